//! JSON Web Signatures that bring the certificate of their key (RFC 7515 §4.1.6). They show that whoever had that key signed these bytes, and not who that is:
//! nobody is asked to vouch for the certificate.

use super::jws::signing_input;
use crate::fhir::{Node, json};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};

const HEADER_DEPTH_MAX: usize = 8;

/// A signature taken apart. Nothing in it is proved yet.
#[derive(Debug)]
pub struct Certified<'t> {
    protected: &'t str,
    /// The bytes it is over, where it brings them.
    payload: &'t str,
    signature: Option<&'t str>,
    header: Node,
}

/// What came of looking at a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Holds,
    DoesNotHold,
    /// It is not whole, or names no algorithm that is known here.
    Unreadable,
}

/// The key of a certificate, as the certificate has it (`SubjectPublicKeyInfo`).
#[derive(Debug, Clone, Copy)]
pub struct CertifiedKey<'c>(&'c [u8]);

impl<'t> Certified<'t> {
    /// Takes a compact serialisation apart, which has three parts. `None` when its header is no JSON object.
    pub fn read(text: &'t str) -> Option<Certified<'t>> {
        let mut parts = text.split('.');
        let (protected, payload, signature) = (parts.next()?, parts.next().unwrap_or_default(), parts.next());
        let signature = signature.filter(|_| parts.next().is_none());
        let header = json::parse(&BASE64URL_NOPAD.decode(protected.trim_end_matches('=').as_bytes()).ok()?, HEADER_DEPTH_MAX).ok()?;
        header.as_object()?;
        Some(Certified { protected, payload, signature, header })
    }

    pub fn header(&self) -> &Node {
        &self.header
    }

    /// The bytes that the signature brings along; none where it is detached from them, or they are not in Base64.
    pub fn payload(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.payload.as_bytes()).ok()
    }

    /// Whether it is detached from the bytes it is over.
    pub fn is_detached(&self) -> bool {
        self.payload.is_empty()
    }

    /// The first certificate that it brings, in DER; `None` where it brings none.
    pub fn certificate(&self) -> Option<Result<Vec<u8>, ()>> {
        let all = self.header.get("x5c")?;
        let first = all.as_list().and_then(<[Node]>::first).and_then(Node::as_text);
        Some(first.and_then(|first| BASE64.decode(first.as_bytes()).ok()).ok_or(()))
    }

    /// Whether the key made the signature over these bytes. Critical extensions are not understood, nor bytes that are not in Base64 (RFC 7797).
    pub fn verify(&self, bytes: &[u8], key: CertifiedKey<'_>) -> Outcome {
        let signature = self.signature.and_then(|signature| BASE64URL_NOPAD.decode(signature.as_bytes()).ok());
        let is_extended = ["crit", "b64"].iter().any(|name| self.header.get(name).is_some());
        let algorithm = self.header.text("alg").and_then(algorithm).filter(|_| !is_extended);
        let (Some(signature), Some(algorithm)) = (signature, algorithm) else { return Outcome::Unreadable };
        match UnparsedPublicKey::new(algorithm, key.0).verify(&signing_input(self.protected, bytes), &signature) {
            Ok(()) => Outcome::Holds,
            Err(_) => Outcome::DoesNotHold,
        }
    }
}

/// The algorithms of RFC 7518 §3.1 that a certificate's key may be used with. One of another kind than the key does not verify.
fn algorithm(name: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match name {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        "ES256" => &ECDSA_P256_SHA256_FIXED,
        "ES384" => &ECDSA_P384_SHA384_FIXED,
        "ES512" => &ECDSA_P521_SHA512_FIXED,
        _ => return None,
    })
}

impl<'c> CertifiedKey<'c> {
    /// The key of an X.509 certificate (RFC 5280 §4.1): the seventh part of what is certified, or the sixth where no version is stated.
    pub fn of(certificate: &'c [u8]) -> Option<CertifiedKey<'c>> {
        let certificate = Element::first(certificate).filter(|one| one.tag == SEQUENCE)?;
        let mut rest = Element::first(certificate.content).filter(|one| one.tag == SEQUENCE)?.content;
        if Element::first(rest)?.tag == VERSION {
            rest = Element::first(rest)?.rest;
        }
        for _serial_signature_issuer_validity_subject in 0..5 {
            rest = Element::first(rest)?.rest;
        }
        Element::first(rest).filter(|one| one.tag == SEQUENCE).map(|key| CertifiedKey(key.whole))
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// An element of the distinguished encoding rules (X.690 §8.1), and what stands behind it.
struct Element<'c> {
    tag: u8,
    whole: &'c [u8],
    content: &'c [u8],
    rest: &'c [u8],
}

impl<'c> Element<'c> {
    fn first(bytes: &'c [u8]) -> Option<Element<'c>> {
        let (&tag, after) = bytes.split_first()?;
        let (&short, after) = after.split_first()?;
        let (length, content) = match short {
            0..=0x7f => (usize::from(short), after),
            // Nothing that is certified has a length of more than three bytes.
            0x81..=0x83 => {
                let (digits, content) = after.split_at_checked(usize::from(short & 0x7f))?;
                (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), content)
            }
            _ => return None,
        };
        let (content, rest) = content.split_at_checked(length)?;
        let whole = bytes.get(..bytes.len() - rest.len())?;
        Some(Element { tag, whole, content, rest })
    }
}
