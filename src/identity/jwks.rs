//! JSON Web Key Sets (RFC 7517): the public keys a client may sign with.
//!
//! Keys of other kinds or for other uses are passed over, so that one set may serve several purposes. A key that comes with its private half is
//! passed over too: whoever could read the set could sign with it.

use crate::config::SigningAlgorithm;
use crate::fhir::{Node, json};
use crate::sign::{self, read_keys};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use std::fmt;

/// Keys of one set that are looked at; a longer set is refused.
pub const MAX_KEYS: usize = 64;
/// The longest key id.
pub const MAX_KEY_ID_BYTES: usize = 256;
const MAX_DEPTH: usize = 8;
/// Bytes of one coordinate of P-384.
const P384_BYTES: usize = 48;
/// RSA keys from 2048 to 8192 bits are taken.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The usable keys of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<PublicKey>,
    /// Those that may sign requests and documents; more kinds than prove a client.
    signature_keys: Vec<sign::PublicKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PublicKey {
    id: String,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point of P-384.
    P384(Vec<u8>),
}

/// Why a text is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwksError {
    NotJson,
    NoKeys,
    TooMany,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwksError::NotJson => "is not a JSON object",
            JwksError::NoKeys => "has no list of keys",
            JwksError::TooMany => "has too many keys",
        })
    }
}

impl Jwks {
    /// Reads a set. The caller has bounded the size of the text.
    pub fn parse(text: &str) -> Result<Jwks, JwksError> {
        let set = json::parse(text.as_bytes(), MAX_DEPTH).map_err(|_| JwksError::NotJson)?;
        let listed = set.get("keys").and_then(Node::as_list).ok_or(JwksError::NoKeys)?;
        if listed.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        Ok(Jwks { keys: listed.iter().filter_map(PublicKey::read).collect(), signature_keys: read_keys(&set) })
    }

    /// How many keys of the set can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a usable key has this id and fits this algorithm.
    pub fn has(&self, key_id: &str, algorithm: SigningAlgorithm) -> bool {
        self.matching(key_id, algorithm).next().is_some()
    }

    /// The keys that may sign requests and documents.
    pub fn signature_keys(&self) -> &[sign::PublicKey] {
        &self.signature_keys
    }

    /// Whether a key of this id and algorithm made the signature.
    pub fn verifies(&self, key_id: &str, algorithm: SigningAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.matching(key_id, algorithm).any(|key| key.material.verifies(message, signature))
    }

    fn matching(&self, key_id: &str, algorithm: SigningAlgorithm) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().filter(move |key| key.id == key_id && key.material.algorithm() == algorithm)
    }
}

impl PublicKey {
    fn read(jwk: &Node) -> Option<PublicKey> {
        let id = jwk.text("kid").filter(|id| !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES)?;
        let is_private = jwk.get("d").is_some() || jwk.get("k").is_some();
        let is_for_signatures = jwk.get("use").is_none_or(|wanted| wanted.as_text() == Some("sig"));
        let may_verify =
            jwk.get("key_ops").is_none_or(|_| jwk.items("key_ops").iter().any(|operation| operation.as_text() == Some("verify")));
        if is_private || !is_for_signatures || !may_verify {
            return None;
        }
        let material = match jwk.text("kty")? {
            "RSA" => Material::rsa(jwk)?,
            "EC" if jwk.text("crv") == Some("P-384") => Material::p384(jwk)?,
            _ => return None,
        };
        let fits = jwk.get("alg").is_none_or(|stated| stated.as_text() == Some(material.algorithm().name()));
        fits.then(|| PublicKey { id: id.to_owned(), material })
    }
}

impl Material {
    fn rsa(jwk: &Node) -> Option<Material> {
        let modulus = without_leading_zeros(decoded(jwk, "n")?);
        let exponent = without_leading_zeros(decoded(jwk, "e")?);
        RSA_BYTES.contains(&modulus.len()).then_some(Material::Rsa { modulus, exponent })
    }

    fn p384(jwk: &Node) -> Option<Material> {
        let (x, y) = (decoded(jwk, "x")?, decoded(jwk, "y")?);
        let has_size = x.len() == P384_BYTES && y.len() == P384_BYTES;
        has_size.then(|| Material::P384([&[4][..], &x, &y].concat()))
    }

    fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Material::Rsa { .. } => SigningAlgorithm::Rs384,
            Material::P384(_) => SigningAlgorithm::Es384,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Material::Rsa { modulus: n, exponent: e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature).is_ok()
            }
            Material::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok(),
        }
    }
}

fn decoded(jwk: &Node, name: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(jwk.text(name)?.as_bytes()).ok()
}

fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|&byte| byte == 0).collect()
}
