//! Client assertions: the signed statement by which a backend service proves who it is (RFC 7523, SMART App Launch 2.2 "Asymmetric Authentication").
//!
//! Checking has two steps, because the keys may have to be fetched in between: [`Assertion::read`] finds out who claims to speak and with which key,
//! [`Assertion::verify`] decides. Both are pure. What the sender learns before the signature is proved does not tell whether a client exists.

use super::jwks::{Jwks, MAX_KEY_ID_BYTES};
use super::jws::{Compact, Unreadable, numeric_date};
use crate::clock::Instant;
use crate::config::SigningAlgorithm;
use crate::fhir::Node;
use std::fmt;
use std::time::Duration;

/// The longest time an assertion may still be valid: five minutes.
pub const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// The longest `jti`, in bytes.
pub const MAX_JTI_BYTES: usize = 256;
/// The longest client id, in bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 255;
/// Audiences one assertion may name.
const MAX_AUDIENCES: usize = 8;

/// Why an assertion does not prove the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssertionError {
    TooLarge,
    Malformed,
    Critical,
    Algorithm,
    Type,
    KeyId,
    Issuer,
    /// The client is not registered, has no such key, or did not make the signature. The three are not told apart.
    Unproven,
    KeySetUrl,
    Audience,
    NoExpiry,
    Expired,
    LivesTooLong,
    NotYetValid,
    NoJti,
    Replayed,
}

impl AssertionError {
    /// The stable label of metrics and audit records.
    pub fn label(self) -> &'static str {
        match self {
            AssertionError::TooLarge => "too-large",
            AssertionError::Malformed => "malformed",
            AssertionError::Critical => "critical-extension",
            AssertionError::Algorithm => "algorithm",
            AssertionError::Type => "type",
            AssertionError::KeyId => "key-id",
            AssertionError::Issuer => "issuer",
            AssertionError::Unproven => "unproven",
            AssertionError::KeySetUrl => "key-set-url",
            AssertionError::Audience => "audience",
            AssertionError::NoExpiry => "no-expiry",
            AssertionError::Expired => "expired",
            AssertionError::LivesTooLong => "lives-too-long",
            AssertionError::NotYetValid => "not-yet-valid",
            AssertionError::NoJti => "no-jti",
            AssertionError::Replayed => "replayed",
        }
    }
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AssertionError::TooLarge => "the client assertion is larger than 8 KiB",
            AssertionError::Malformed => "the client assertion is not a compact JWT of a JSON header, JSON claims and a signature",
            AssertionError::Critical => "the client assertion has critical header extensions, and none is supported",
            AssertionError::Algorithm => "the client assertion must be signed with RS384 or ES384",
            AssertionError::Type => "the header typ of the client assertion must be JWT",
            AssertionError::KeyId => "the client assertion needs the header kid",
            AssertionError::Issuer => "the claims iss and sub must both be the client id",
            AssertionError::Unproven => "the client is not registered, its key set has no such key, or the signature is not its own",
            AssertionError::KeySetUrl => "the header jku is not the key set URL the client registered",
            AssertionError::Audience => "the claim aud must be the URL of this token endpoint",
            AssertionError::NoExpiry => "the claim exp is required, in whole seconds since 1970",
            AssertionError::Expired => "the client assertion has expired; check the clock and make a new one",
            AssertionError::LivesTooLong => "the claim exp lies more than five minutes ahead",
            AssertionError::NotYetValid => "the claims iat and nbf must not lie ahead; check the clock",
            AssertionError::NoJti => "the claim jti is required, a text of at most 256 bytes",
            AssertionError::Replayed => "this client assertion was used before; each request needs a new jti",
        })
    }
}

/// An assertion that could be read. Who it claims to come from is not proved.
pub struct Assertion<'a> {
    token: Compact<'a>,
    client_id: String,
    key_id: String,
    algorithm: SigningAlgorithm,
}

/// What an assertion is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The URL of the token endpoint.
    pub audience: &'a str,
    /// The key set URL the client registered, when it registered one.
    pub jwks_url: Option<&'a str>,
    pub now: Instant,
    /// How far the client's clock may differ.
    pub skew: Duration,
}

/// A proved assertion, save that its `jti` may have been seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    pub client_id: String,
    pub jti: String,
    /// Until when the `jti` must be remembered: the expiry and the skew that is granted on it.
    pub remember_until: Instant,
}

impl<'a> Assertion<'a> {
    /// Reads the header and who claims to speak.
    pub fn read(text: &'a str) -> Result<Assertion<'a>, AssertionError> {
        let token = Compact::read(text).map_err(|unreadable| match unreadable {
            Unreadable::TooLarge => AssertionError::TooLarge,
            Unreadable::Malformed => AssertionError::Malformed,
            Unreadable::Critical => AssertionError::Critical,
        })?;
        let algorithm = match token.header.text("alg") {
            Some("RS384") => SigningAlgorithm::Rs384,
            Some("ES384") => SigningAlgorithm::Es384,
            _ => return Err(AssertionError::Algorithm),
        };
        let is_jwt = |typ: &Node| typ.as_text().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"));
        if !token.header.get("typ").is_none_or(is_jwt) {
            return Err(AssertionError::Type);
        }
        let key_id = token.header.text("kid").filter(|id| !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES).ok_or(AssertionError::KeyId)?;
        let issuer =
            token.claims.text("iss").filter(|id| !id.is_empty() && id.len() <= MAX_CLIENT_ID_BYTES).ok_or(AssertionError::Issuer)?;
        if token.claims.text("sub") != Some(issuer) {
            return Err(AssertionError::Issuer);
        }
        let (key_id, client_id) = (key_id.to_owned(), issuer.to_owned());
        Ok(Assertion { token, client_id, key_id, algorithm })
    }

    /// The client the assertion claims to come from.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The key it claims to be signed with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Proves the signature, then the claims.
    pub fn verify(&self, keys: &Jwks, expected: Expected<'_>) -> Result<Proven, AssertionError> {
        if !keys.verifies(&self.key_id, self.algorithm, self.token.signed, &self.token.signature) {
            return Err(AssertionError::Unproven);
        }
        if self.token.header.get("jku").is_some_and(|url| url.as_text().is_none() || url.as_text() != expected.jwks_url) {
            return Err(AssertionError::KeySetUrl);
        }
        let claims = &self.token.claims;
        if !names_audience(claims, expected.audience) {
            return Err(AssertionError::Audience);
        }
        let expiry = check_times(claims, expected)?;
        let jti = claims.text("jti").filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI_BYTES).ok_or(AssertionError::NoJti)?;
        Ok(Proven { client_id: self.client_id.clone(), jti: jti.to_owned(), remember_until: expiry + expected.skew })
    }
}

fn names_audience(claims: &Node, audience: &str) -> bool {
    match claims.get("aud") {
        Some(named) if named.as_text().is_some() => named.as_text() == Some(audience),
        Some(named) => {
            named.as_list().is_some_and(|list| list.len() <= MAX_AUDIENCES && list.iter().any(|one| one.as_text() == Some(audience)))
        }
        None => false,
    }
}

/// Holds `exp`, `nbf` and `iat` against the clock and answers the expiry.
fn check_times(claims: &Node, expected: Expected<'_>) -> Result<Instant, AssertionError> {
    let expiry = numeric_date(claims, "exp").map(Instant::from_seconds).ok_or(AssertionError::NoExpiry)?;
    if expiry + expected.skew <= expected.now {
        return Err(AssertionError::Expired);
    }
    if expiry > expected.now + MAX_LIFETIME + expected.skew {
        return Err(AssertionError::LivesTooLong);
    }
    for name in ["nbf", "iat"].into_iter().filter(|name| claims.get(name).is_some()) {
        let from = numeric_date(claims, name).map(Instant::from_seconds).ok_or(AssertionError::NotYetValid)?;
        if from > expected.now + expected.skew {
            return Err(AssertionError::NotYetValid);
        }
    }
    Ok(expiry)
}
