//! JSON Web Signatures that bring the certificate of their key (RFC 7515 §4.1.6). They show that whoever had that key signed these bytes, and not who that is:
//! nobody is asked to vouch for the certificate.

use super::certificate::Certificate;
use super::jws::signing_input;
use crate::fhir::{Node, json};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

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
    /// The key is one of RSA that has so many bits, which are too few ([`RSA_BITS_MIN`]); it is not looked at.
    TooShort(usize),
    /// It is not whole, or names no algorithm that is known here.
    Unreadable,
}

/// A certificate that a signature brings, in DER.
#[derive(Debug)]
pub struct Brought {
    pub der: Vec<u8>,
    /// Whether it is written in Base64 as it must be, without line breaks and in its own alphabet.
    pub is_strict: bool,
}

/// The shortest RSA key whose signatures count (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2_048;

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

    /// The first certificate that it brings; `None` where it brings none.
    pub fn certificate(&self) -> Option<Result<Brought, ()>> {
        let all = self.header.get("x5c")?;
        let first = all.as_list().and_then(<[Node]>::first).and_then(Node::as_text);
        Some(first.and_then(Brought::read).ok_or(()))
    }

    /// Whether the key made the signature over these bytes. Critical extensions are not understood, nor bytes that are not in Base64 (RFC 7797).
    pub fn verify(&self, bytes: &[u8], certificate: &Certificate<'_>) -> Outcome {
        let signature = self.signature.and_then(|signature| BASE64URL_NOPAD.decode(signature.as_bytes()).ok());
        let is_extended = ["crit", "b64"].iter().any(|name| self.header.get(name).is_some());
        let name = self.header.text("alg").unwrap_or_default();
        let algorithm = algorithm(name).filter(|_| !is_extended);
        let (Some(signature), Some(algorithm)) = (signature, algorithm) else { return Outcome::Unreadable };
        if let Some(bits) = certificate.rsa_bits().filter(|bits| *bits < RSA_BITS_MIN && !name.starts_with("ES")) {
            return Outcome::TooShort(bits);
        }
        let holds = certificate.has_signed(algorithm, &signing_input(self.protected, bytes), &signature);
        if holds { Outcome::Holds } else { Outcome::DoesNotHold }
    }
}

impl Brought {
    /// Base64 as RFC 7515 §4.1.6 has it, or what is read for it elsewhere: with line breaks, of the other alphabet, without padding.
    fn read(text: &str) -> Option<Brought> {
        if let Ok(der) = BASE64.decode(text.as_bytes()) {
            return Some(Brought { der, is_strict: true });
        }
        let letters = text.trim_end().trim_end_matches('=').bytes().filter(|byte| !byte.is_ascii_whitespace());
        let plain: Vec<u8> = letters
            .map(|byte| {
                if byte == b'-' {
                    b'+'
                } else if byte == b'_' {
                    b'/'
                } else {
                    byte
                }
            })
            .collect();
        BASE64_NOPAD.decode(&plain).ok().map(|der| Brought { der, is_strict: false })
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
