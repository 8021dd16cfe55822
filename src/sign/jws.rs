//! JSON Web Signatures with detached content (RFC 7515 appendix F), read strictly.

use super::key::{Algorithm, PublicKey};
use super::problem::Problem;
use crate::fhir::{Node, json};
use data_encoding::BASE64URL_NOPAD;

/// The largest detached signature that is looked at, header and all: room for a chain of certificates.
pub const MAX_DETACHED_BYTES: usize = 32 * 1024;
const MAX_DEPTH: usize = 8;
const NAME: &str = "The JWS of Provenance.signature.data";

/// A signature taken apart: `header..signature`. Nothing in it is proved yet.
#[derive(Debug, Clone)]
pub struct Detached {
    text: String,
    /// Bytes of the protected header at the beginning of the text.
    protected_bytes: usize,
    header: Node,
    algorithm: Algorithm,
    signature: Vec<u8>,
}

impl Detached {
    /// Takes a compact serialisation with an empty payload apart. Critical extensions are refused, because none is understood; so is `b64`.
    pub fn read(text: &str) -> Result<Detached, Problem> {
        if text.len() > MAX_DETACHED_BYTES {
            return Err(Problem::TooMany("bytes in the JWS"));
        }
        let mut parts = text.split('.');
        let (Some(protected), Some(""), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Problem::Unreadable(NAME));
        };
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Problem::Unreadable(NAME));
        let header = json::parse(&decode(protected)?, MAX_DEPTH).map_err(|_| Problem::Unreadable("The header of the JWS"))?;
        if header.as_object().is_none() {
            return Err(Problem::Unreadable("The header of the JWS"));
        }
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Problem::NotOffered("an extension of JWS"));
        }
        let name = header.text("alg").ok_or(Problem::Missing("'alg' in its header"))?;
        let algorithm = Algorithm::of_jws(name).ok_or(Problem::NotOffered("an algorithm"))?;
        let (signature, protected_bytes) = (decode(signature)?, protected.len());
        Ok(Detached { text: text.to_owned(), protected_bytes, header, algorithm, signature })
    }

    pub fn header(&self) -> &Node {
        &self.header
    }

    pub fn key_id(&self) -> Option<&str> {
        self.header.text("kid")
    }

    pub fn verifies(&self, payload: &[u8], key: &PublicKey) -> bool {
        let protected = self.text.get(..self.protected_bytes).unwrap_or_default();
        key.verifies(self.algorithm, &signing_input(protected, payload), &self.signature)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a key may make signatures of this kind.
    pub(super) fn fits(&self, key: &PublicKey) -> bool {
        key.fits(self.algorithm)
    }

    pub fn as_text(&self) -> &str {
        &self.text
    }
}

/// RFC 7515 section 5.1: the protected header, a dot, and the payload in base64url, though it is not sent.
pub(super) fn signing_input(protected: &str, payload: &[u8]) -> Vec<u8> {
    let mut input = String::with_capacity(protected.len() + 1 + payload.len().div_ceil(3) * 4);
    input.push_str(protected);
    input.push('.');
    BASE64URL_NOPAD.encode_append(payload, &mut input);
    input.into_bytes()
}
