//! Public keys as key sets publish them (RFC 7517), and the algorithms each may be used with.

use crate::fhir::{Node, Object, json};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// Keys of one set that are looked at.
pub const MAX_KEYS: usize = 64;
/// The longest key id.
const MAX_KEY_ID_BYTES: usize = 256;
/// RSA keys from 2048 to 8192 bits are taken.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Ed25519,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    RsaPssSha512,
    /// Only in documents: the key of a client assertion may sign them too.
    RsaV15Sha384,
}

impl Algorithm {
    const ALL: [Algorithm; 5] =
        [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384, Algorithm::RsaPssSha512, Algorithm::RsaV15Sha384];

    /// The names of RFC 7518, RFC 8037 and RFC 9864.
    pub fn jws_names(self) -> &'static [&'static str] {
        match self {
            Algorithm::Ed25519 => &["EdDSA", "Ed25519"],
            Algorithm::EcdsaP256Sha256 => &["ES256"],
            Algorithm::EcdsaP384Sha384 => &["ES384"],
            Algorithm::RsaPssSha512 => &["PS512"],
            Algorithm::RsaV15Sha384 => &["RS384"],
        }
    }

    /// The name in the registry of RFC 9421; `None` for what is not offered there.
    pub fn http_name(self) -> Option<&'static str> {
        match self {
            Algorithm::Ed25519 => Some("ed25519"),
            Algorithm::EcdsaP256Sha256 => Some("ecdsa-p256-sha256"),
            Algorithm::EcdsaP384Sha384 => Some("ecdsa-p384-sha384"),
            Algorithm::RsaPssSha512 => Some("rsa-pss-sha512"),
            Algorithm::RsaV15Sha384 => None,
        }
    }

    pub fn of_jws(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.jws_names().contains(&name))
    }

    pub fn of_http(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.http_name() == Some(name))
    }
}

/// A public key with the id its owner gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: String,
    /// The one algorithm the key set states, when it states one.
    stated: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// The usable keys of a JWK set, or of one JWK. Others are passed over, so that one set may serve several purposes; a key that comes with its
/// private half is passed over too, because whoever could read the set could sign with it.
pub fn read_keys(set: &Node) -> Vec<PublicKey> {
    match set.get("keys").and_then(Node::as_list) {
        Some(keys) => keys.iter().take(MAX_KEYS).filter_map(PublicKey::read).collect(),
        None => PublicKey::read(set).into_iter().collect(),
    }
}

impl PublicKey {
    /// An Ed25519 key under its own thumbprint.
    pub(super) fn ed25519(bytes: &[u8]) -> PublicKey {
        let mut key = PublicKey { id: String::new(), stated: Some(Algorithm::Ed25519), material: Material::Ed25519(bytes.to_vec()) };
        key.id = key.thumbprint();
        key
    }

    fn read(jwk: &Node) -> Option<PublicKey> {
        let id = jwk.text("kid").filter(|id| !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES)?;
        let is_private = jwk.get("d").is_some() || jwk.get("k").is_some();
        let is_for_signatures = jwk.get("use").is_none_or(|wanted| wanted.as_text() == Some("sig"));
        let may_verify =
            jwk.get("key_ops").is_none_or(|_| jwk.items("key_ops").iter().any(|operation| operation.as_text() == Some("verify")));
        if is_private || !is_for_signatures || !may_verify {
            return None;
        }
        let part = |name: &str| BASE64URL_NOPAD.decode(jwk.text(name)?.as_bytes()).ok();
        let point = |bytes: usize| {
            let (x, y) = (part("x")?, part("y")?);
            (x.len() == bytes && y.len() == bytes).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.text("kty")?, jwk.text("crv")) {
            ("OKP", Some("Ed25519")) => Material::Ed25519(part("x").filter(|x| x.len() == 32)?),
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("RSA", _) => {
                let modulus = without_leading_zeros(part("n")?);
                RSA_BYTES.contains(&modulus.len()).then_some(())?;
                Material::Rsa { modulus, exponent: without_leading_zeros(part("e")?) }
            }
            _ => return None,
        };
        // A key for an algorithm that is not offered is no key here.
        let stated = jwk.get("alg").map(|stated| stated.as_text().and_then(Algorithm::of_jws).ok_or(())).transpose().ok()?;
        let key = PublicKey { id: id.to_owned(), stated, material };
        stated.is_none_or(|algorithm| key.material.fits(algorithm)).then_some(key)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the key may be used with the algorithm.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.stated.is_none_or(|stated| stated == algorithm) && self.material.fits(algorithm)
    }

    /// The algorithm of an HTTP message signature that names none.
    pub(super) fn http_algorithm(&self) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|&algorithm| algorithm.http_name().is_some() && self.fits(algorithm))
    }

    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let verified = match (&self.material, algorithm) {
            (Material::Ed25519(key), _) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            (Material::P256(key), _) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature),
            (Material::P384(key), _) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature),
            (Material::Rsa { modulus: n, exponent: e }, Algorithm::RsaPssSha512) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA512, message, signature)
            }
            (Material::Rsa { modulus: n, exponent: e }, _) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature)
            }
        };
        verified.is_ok()
    }

    /// The key as a JWK, without what it is used for.
    pub fn to_jwk(&self) -> Object {
        let stated = self.stated.and_then(|algorithm| algorithm.jws_names().first().copied());
        self.members().with("kid", self.id.as_str()).with_some("alg", stated)
    }

    /// The members that make the key what it is.
    fn members(&self) -> Object {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
            Object::new().with("crv", name).with("kty", "EC").with("x", text(x)).with("y", text(y))
        };
        match &self.material {
            Material::Ed25519(key) => Object::new().with("crv", "Ed25519").with("kty", "OKP").with("x", text(key)),
            Material::P256(point) => curve("P-256", point),
            Material::P384(point) => curve("P-384", point),
            Material::Rsa { modulus, exponent } => Object::new().with("e", text(exponent)).with("kty", "RSA").with("n", text(modulus)),
        }
    }

    /// RFC 7638: the same for the same key, whatever it is called.
    pub fn thumbprint(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(json::write_canonical(&self.members().into())))
    }
}

impl Material {
    fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Material::Ed25519(_) => algorithm == Algorithm::Ed25519,
            Material::P256(_) => algorithm == Algorithm::EcdsaP256Sha256,
            Material::P384(_) => algorithm == Algorithm::EcdsaP384Sha384,
            Material::Rsa { .. } => matches!(algorithm, Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha384),
        }
    }
}

fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|&byte| byte == 0).collect()
}
