//! Compact JSON Web Signatures (RFC 7515), read strictly and signed with three algorithms, none of which the token itself can choose.
//!
//! Reading refuses what lenient libraries let pass: duplicate members, padding, trailing bits, critical extensions, more or fewer than three parts.

use crate::config::SigningAlgorithm;
use crate::fhir::{Node, json};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA384, RsaKeyPair};
use aws_lc_rs::{error::Unspecified, hmac};
use data_encoding::{BASE64_MIME_PERMISSIVE, BASE64URL_NOPAD};

/// The largest compact token that is looked at: 8 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Headers and claims are flat; a little nesting is allowed for claims of others.
const MAX_DEPTH: usize = 8;

/// A token taken apart. Nothing in it is proved yet.
#[derive(Clone)]
pub struct Compact<'a> {
    pub header: Node,
    pub claims: Node,
    /// The bytes that were signed.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
}

/// Why a text is not a token that could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    TooLarge,
    Malformed,
    /// The header has `crit`: an extension that must be understood, and none is.
    Critical,
}

impl<'a> Compact<'a> {
    /// Takes `header.claims.signature` apart.
    pub fn read(text: &'a str) -> Result<Compact<'a>, Unreadable> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Unreadable::Malformed)?;
        let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Unreadable::Malformed)?;
        let header = object(header)?;
        if header.get("crit").is_some() {
            return Err(Unreadable::Critical);
        }
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| Unreadable::Malformed)?;
        Ok(Compact { header, claims: object(claims)?, signed: signed.as_bytes(), signature })
    }
}

fn object(part: &str) -> Result<Node, Unreadable> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Unreadable::Malformed)?;
    let node = json::parse(&bytes, MAX_DEPTH).map_err(|_| Unreadable::Malformed)?;
    node.as_object().is_some().then_some(node).ok_or(Unreadable::Malformed)
}

/// A claim that is a `NumericDate` (RFC 7519): whole seconds since 1970, a fraction cut off. `None` for anything else.
pub fn numeric_date(claims: &Node, name: &str) -> Option<i64> {
    let number = claims.get(name)?.as_number()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())?
}

/// The private key of a client assertion.
pub enum SigningKey {
    Rs384(Box<RsaKeyPair>),
    Es384(Box<EcdsaKeyPair>),
}

impl SigningKey {
    /// Reads an unencrypted private key from PEM: PKCS #8 for both, or the older PKCS #1 and SEC 1. The error never quotes the key.
    pub fn from_pem(pem: &str, algorithm: SigningAlgorithm) -> Result<SigningKey, &'static str> {
        let der = pem_content(pem).ok_or("is not a PEM private key")?;
        let key = match algorithm {
            SigningAlgorithm::Rs384 => {
                RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).ok().map(|pair| SigningKey::Rs384(Box::new(pair)))
            }
            SigningAlgorithm::Es384 => EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, &der)
                .or_else(|_| EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der))
                .ok()
                .map(|pair| SigningKey::Es384(Box::new(pair))),
        };
        key.ok_or("is not a private key of the algorithm it is configured for")
    }

    pub fn algorithm(&self) -> SigningAlgorithm {
        match self {
            SigningKey::Rs384(_) => SigningAlgorithm::Rs384,
            SigningKey::Es384(_) => SigningAlgorithm::Es384,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        // The nonce of ECDSA is drawn inside the cryptographic library; no other source may be given to it.
        let random = SystemRandom::new();
        match self {
            SigningKey::Rs384(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &random, message, &mut signature)?;
                Ok(signature)
            }
            SigningKey::Es384(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
        }
    }
}

/// The bytes between the first `-----BEGIN … PRIVATE KEY-----` and its end.
fn pem_content(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    (label.ends_with("PRIVATE KEY") && !label.contains("ENCRYPTED")).then(|| BASE64_MIME_PERMISSIVE.decode(body.trim().as_bytes()).ok())?
}

/// Signs with a client's private key.
pub fn sign(header: &Node, claims: &Node, key: &SigningKey) -> Result<String, Unspecified> {
    let signed = signing_input(header, claims);
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// Signs with a shared secret (HS256). Only for tokens the gateway issues to itself.
pub fn sign_with_secret(header: &Node, claims: &Node, secret: &hmac::Key) -> String {
    let signed = signing_input(header, claims);
    let tag = hmac::sign(secret, signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

fn signing_input(header: &Node, claims: &Node) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(json::write(header).as_bytes()), BASE64URL_NOPAD.encode(json::write(claims).as_bytes()))
}
