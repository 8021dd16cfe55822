//! The gateway, a demonstration or a test as the client: making assertions and keys.

use super::jws::{self, SigningKey};
use crate::clock::Instant;
use crate::config::SigningAlgorithm;
use crate::fhir::Object;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use std::time::Duration;

/// How long an assertion of ours lives: long enough for a slow server, well below the five minutes that are allowed.
pub const ASSERTION_LIFETIME: Duration = Duration::from_secs(120);

/// The form value that names the kind of assertion.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an assertion says.
#[derive(Debug, Clone, Copy)]
pub struct AssertionClaims<'a> {
    pub client_id: &'a str,
    /// The `kid` under which the other side knows the key.
    pub key_id: &'a str,
    /// The token endpoint of the other side.
    pub audience: &'a str,
    /// New for each assertion.
    pub jti: &'a str,
    pub now: Instant,
}

/// Makes a client assertion; the error never quotes the key.
pub fn make_client_assertion(key: &SigningKey, claims: AssertionClaims<'_>) -> Result<String, &'static str> {
    let header = Object::new().with("alg", key.algorithm().name()).with("kid", claims.key_id).with("typ", "JWT");
    let seconds = |instant: Instant| u64::try_from(instant.seconds()).unwrap_or_default();
    let body = Object::new()
        .with("iss", claims.client_id)
        .with("sub", claims.client_id)
        .with("aud", claims.audience)
        .with("jti", claims.jti)
        .with("iat", seconds(claims.now))
        .with("exp", seconds(claims.now + ASSERTION_LIFETIME));
    jws::sign(&header.into(), &body.into(), key).map_err(|_| "the assertion could not be signed")
}

/// The form of a token request (RFC 6749 section 4.4, RFC 7523 section 2.2).
pub fn token_request_form<'a>(assertion: &'a str, scope: &'a str) -> [(&'static str, &'a str); 4] {
    [("grant_type", "client_credentials"), ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion), ("scope", scope)]
}

/// A freshly drawn key pair: the private half as PEM (PKCS #8), the public half as a JWKS of one key.
pub struct GeneratedKey {
    pub private_pem: String,
    pub public_jwks: String,
}

/// Draws a key pair. The randomness is the cryptographic library's own.
pub fn generate_key(algorithm: SigningAlgorithm, key_id: &str) -> Result<GeneratedKey, &'static str> {
    const FAILED: &str = "a key could not be generated";
    let key = Object::new().with("kid", key_id).with("use", "sig").with("alg", algorithm.name());
    let (der, key) = match algorithm {
        SigningAlgorithm::Es384 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(|_| FAILED)?;
            let point = pair.public_key().as_ref();
            let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(both.len() / 2)).ok_or(FAILED)?;
            let key = key.with("kty", "EC").with("crv", "P-384").with("x", BASE64URL_NOPAD.encode(x)).with("y", BASE64URL_NOPAD.encode(y));
            (pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec(), key)
        }
        SigningAlgorithm::Rs384 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| FAILED)?;
            let public = pair.public_key();
            let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
            let modulus = part(public.modulus().big_endian_without_leading_zero());
            let exponent = part(public.exponent().big_endian_without_leading_zero());
            let key = key.with("kty", "RSA").with("n", modulus).with("e", exponent);
            (AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair).map_err(|_| FAILED)?.as_ref().to_vec(), key)
        }
    };
    let set = Object::new().with("keys", vec![key.into()]);
    Ok(GeneratedKey { private_pem: pem(&der), public_jwks: crate::fhir::json::write(&set.into()) })
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: String = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n")
}
