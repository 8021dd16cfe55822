//! Access tokens: short-lived JWTs that the gateway issues and only the gateway reads (RFC 9068's claims, signed with HS256 by a secret of its own).
//!
//! A token says who was proved and what was granted. What counts is the grant cut down to what the client is registered for when the token is used,
//! so that taking a scope or a client out of the configuration takes effect at once.

use super::jws::{self, Compact};
use crate::clock::{Entropy, Instant};
use crate::config::{Purpose, Scopes};
use crate::fhir::{Node, Object};
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

/// The `typ` of RFC 9068, so that no other kind of token can be taken for an access token.
const TYPE: &str = "at+jwt";
/// The shortest text taken as a signing secret.
pub const MIN_SECRET_BYTES: usize = 32;

/// Issues and reads access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    key: hmac::Key,
    issuer: String,
    audience: String,
}

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub client_id: String,
    pub scopes: Scopes,
    pub purposes: Vec<Purpose>,
    /// The token's id, safe to be audited: it cannot be used as a token.
    pub token_id: String,
    pub expires: Instant,
}

/// Why a token grants nothing. The token itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenError {
    Unreadable,
    /// Not signed by this gateway, or not an access token of it.
    Foreign,
    Expired,
}

impl AccessTokens {
    /// Tokens signed with a secret; the caller has seen to it that it has [`MIN_SECRET_BYTES`].
    pub fn new(secret: &[u8], issuer: String, audience: String) -> AccessTokens {
        AccessTokens { key: hmac::Key::new(hmac::HMAC_SHA256, secret), issuer, audience }
    }

    /// A fresh id for a token.
    pub fn draw_id(entropy: &Entropy) -> String {
        BASE64URL_NOPAD.encode(&entropy.bytes::<16>())
    }

    /// Signs a grant.
    pub fn issue(&self, grant: &Grant, now: Instant) -> String {
        let header = Object::new().with("alg", "HS256").with("typ", TYPE);
        let seconds = |instant: Instant| u64::try_from(instant.seconds()).unwrap_or_default();
        let purposes: Vec<&str> = grant.purposes.iter().map(|purpose| purpose.code()).collect();
        let claims = Object::new()
            .with("iss", self.issuer.as_str())
            .with("aud", self.audience.as_str())
            .with("sub", grant.client_id.as_str())
            .with("client_id", grant.client_id.as_str())
            .with("iat", seconds(now))
            .with("exp", seconds(grant.expires))
            .with("jti", grant.token_id.as_str())
            .with("scope", grant.scopes.to_string())
            .with("purpose_of_use", purposes.join(" "));
        jws::sign_with_secret(&header.into(), &claims.into(), &self.key)
    }

    /// Reads a token this gateway (or another node with the same secret) issued.
    pub fn read(&self, token: &str, now: Instant) -> Result<Grant, TokenError> {
        let token = Compact::read(token).map_err(|_| TokenError::Unreadable)?;
        let is_ours = token.header.text("alg") == Some("HS256") && token.header.text("typ") == Some(TYPE);
        // The comparison inside `verify` takes the same time wherever two tags differ.
        if !is_ours || hmac::verify(&self.key, token.signed, &token.signature).is_err() {
            return Err(TokenError::Foreign);
        }
        let claims = &token.claims;
        if claims.text("iss") != Some(&self.issuer) || claims.text("aud") != Some(&self.audience) {
            return Err(TokenError::Foreign);
        }
        let grant = read_grant(claims).ok_or(TokenError::Foreign)?;
        if grant.expires <= now { Err(TokenError::Expired) } else { Ok(grant) }
    }
}

fn read_grant(claims: &Node) -> Option<Grant> {
    let purposes: Option<Vec<Purpose>> = claims.text("purpose_of_use")?.split_ascii_whitespace().map(Purpose::from_code).collect();
    Some(Grant {
        client_id: claims.text("client_id")?.to_owned(),
        scopes: Scopes::parse(claims.text("scope")?).ok()?,
        purposes: purposes?,
        token_id: claims.text("jti")?.to_owned(),
        expires: Instant::from_seconds(jws::numeric_date(claims, "exp")?),
    })
}
