//! The token endpoint as data: form in, token or error out (RFC 6749 sections 4.4 and 5, RFC 7523 section 2.2, SMART App Launch 2.2 Backend Services).

use super::assertion::AssertionError;
use super::outgoing::ASSERTION_TYPE;
use crate::config::{Client, Purpose, Scopes, Secret};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Parameters one token request may have.
pub const MAX_PARAMETERS: usize = 32;
/// Purposes one request may name.
pub const MAX_PURPOSES: usize = 32;

/// The error codes of RFC 6749 section 5.2, and one more for our own faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OAuthErrorCode {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
    InvalidScope,
    TemporarilyUnavailable,
}

impl OAuthErrorCode {
    /// The code as RFC 6749 writes it.
    pub fn code(self) -> &'static str {
        match self {
            OAuthErrorCode::InvalidRequest => "invalid_request",
            OAuthErrorCode::InvalidClient => "invalid_client",
            OAuthErrorCode::UnsupportedGrantType => "unsupported_grant_type",
            OAuthErrorCode::InvalidScope => "invalid_scope",
            OAuthErrorCode::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// Why no token was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    pub error: OAuthErrorCode,
    /// What the client can do; it repeats nothing the client sent.
    pub description: String,
    /// A stable label for metrics and audit records.
    pub label: &'static str,
}

impl OAuthError {
    pub fn new(error: OAuthErrorCode, description: impl Into<String>) -> OAuthError {
        OAuthError { error, description: description.into(), label: error.code() }
    }

    /// The HTTP status: 400 as RFC 6749 asks, 503 where the fault is not the client's.
    pub fn status(&self) -> u16 {
        match self.error {
            OAuthErrorCode::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        json!({ "error": self.error.code(), "error_description": self.description })
    }
}

impl From<AssertionError> for OAuthError {
    fn from(error: AssertionError) -> OAuthError {
        OAuthError { error: OAuthErrorCode::InvalidClient, description: error.to_string(), label: error.label() }
    }
}

/// A token and what it grants. The answer that carries it must say `Cache-Control: no-store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResponse {
    pub access_token: Secret,
    pub expires_in_s: u64,
    pub scopes: Scopes,
    pub purposes: Vec<Purpose>,
    /// The id under which uses of the token are audited.
    pub token_id: String,
    pub client_id: String,
}

impl TokenResponse {
    /// The body of the answer: RFC 6749's members, and our `purpose_of_use`.
    pub fn to_json(&self) -> Value {
        let codes: Vec<&str> = self.purposes.iter().map(|purpose| purpose.code()).collect();
        json!({
            "access_token": self.access_token.reveal(),
            "token_type": "bearer",
            "expires_in": self.expires_in_s,
            "scope": self.scopes.to_string(),
            "purpose_of_use": codes.join(" "),
        })
    }
}

/// A token request whose form is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest<'a> {
    pub assertion: &'a str,
    /// `client_id`, which RFC 7521 allows beside the assertion; it must then be the same client.
    pub client_id: Option<&'a str>,
    pub scopes: Scopes,
    /// Our parameter `purpose_of_use`: fewer purposes than the client is registered for.
    pub purposes: Option<Vec<Purpose>>,
}

impl<'a> TokenRequest<'a> {
    /// Reads the decoded pairs of the form. Unknown parameters are ignored, as RFC 6749 asks; repeated ones are refused.
    pub fn read(form: &'a [(String, String)]) -> Result<TokenRequest<'a>, OAuthError> {
        use OAuthErrorCode::{InvalidRequest, InvalidScope, UnsupportedGrantType};
        let form = distinct(form)?;
        match form.get("grant_type") {
            Some(&"client_credentials") => {}
            Some(_) => return Err(OAuthError::new(UnsupportedGrantType, "the grant_type must be client_credentials")),
            None => return Err(OAuthError::new(InvalidRequest, "the parameter grant_type is missing")),
        }
        if form.contains_key("client_secret") {
            return Err(OAuthError::new(InvalidRequest, "client secrets are not taken; prove the client by client_assertion"));
        }
        if form.get("client_assertion_type") != Some(&ASSERTION_TYPE) {
            return Err(OAuthError::new(InvalidRequest, format!("the client_assertion_type must be {ASSERTION_TYPE}")));
        }
        let missing = |name: &str| OAuthError::new(InvalidRequest, format!("the parameter {name} is missing"));
        let assertion = form.get("client_assertion").ok_or_else(|| missing("client_assertion"))?;
        let scope = form.get("scope").ok_or_else(|| missing("scope"))?;
        let scopes = Scopes::parse(scope).map_err(|error| OAuthError::new(InvalidScope, error.to_string()))?;
        let purposes = form.get("purpose_of_use").map(|codes| read_purposes(codes)).transpose()?;
        Ok(TokenRequest { assertion, client_id: form.get("client_id").copied(), scopes, purposes })
    }
}

fn distinct(form: &[(String, String)]) -> Result<HashMap<&str, &str>, OAuthError> {
    let invalid = |text: &str| OAuthError::new(OAuthErrorCode::InvalidRequest, text);
    if form.len() > MAX_PARAMETERS {
        return Err(invalid("the request has too many parameters"));
    }
    let mut distinct = HashMap::with_capacity(form.len());
    for (name, value) in form {
        if distinct.insert(name.as_str(), value.as_str()).is_some() {
            return Err(invalid("a parameter is given twice"));
        }
    }
    // RFC 6749 section 3.2: a parameter without a value counts as left out.
    distinct.retain(|_, value| !value.is_empty());
    Ok(distinct)
}

fn read_purposes(codes: &str) -> Result<Vec<Purpose>, OAuthError> {
    purposes(codes).ok_or_else(|| {
        OAuthError::new(
            OAuthErrorCode::InvalidRequest,
            "purpose_of_use must be codes of v3-PurposeOfUse with blanks between, such as TREAT",
        )
    })
}

/// Codes of purposes, separated by blanks or commas. `None` when one is unknown, there is none, or there are too many.
pub(super) fn purposes(codes: &str) -> Option<Vec<Purpose>> {
    let words = codes.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let purposes: Option<Vec<Purpose>> = words.take(MAX_PURPOSES + 1).map(Purpose::from_code).collect();
    purposes.filter(|purposes| !purposes.is_empty() && purposes.len() <= MAX_PURPOSES)
}

/// What a client is granted of what it asks for: scopes and purposes both asked for and registered.
pub fn grant(client: &Client, scopes: &Scopes, purposes: Option<&[Purpose]>) -> Result<(Scopes, Vec<Purpose>), OAuthError> {
    let granted = scopes.intersection(&client.scopes);
    if granted.is_empty() {
        return Err(OAuthError::new(OAuthErrorCode::InvalidScope, "the client is registered for none of these scopes"));
    }
    let Some(wanted) = purposes else { return Ok((granted, client.purposes.clone())) };
    if !wanted.iter().all(|purpose| client.purposes.contains(purpose)) {
        return Err(OAuthError::new(OAuthErrorCode::InvalidRequest, "the client is not registered for a purpose it asks for"));
    }
    Ok((granted, wanted.to_vec()))
}
