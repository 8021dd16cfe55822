//! Who is calling (SMART Backend Services), and which patient is meant ([`crossref`]).
//!
//! In scope: proving a client by its signed assertion, granting it what it asks for and is registered for, short-lived access tokens, the caller a token
//! stands for; making assertions of our own. Out of scope: what the caller may see of a patient (`consent`), HTTP (`api`), TLS.
//!
//! Invariants: only RS384 and ES384 prove a client, by keys of its own registered set, once per assertion. A grant is never more than is registered, at
//! issue and at use; a request header narrows it, never widens it. Tokens and assertions appear in no error and no log. Hostile key ids cannot make the
//! gateway fetch a key set more often than configured, and what is told to an unproved caller does not say which clients exist.
//!
//! Follows SMART App Launch 2.2 (<https://hl7.org/fhir/smart-app-launch/backend-services.html>), RFC 6749, RFC 7523, RFC 7515, RFC 7517, RFC 9068.

mod access;
mod assertion;
mod caller;
mod check;
pub mod crossref;
mod discovery;
mod jwks;
mod jws;
mod keys;
mod oauth;
mod outgoing;
mod replay;
#[cfg(test)]
mod tests;

pub use access::{AccessTokens, Grant, MIN_SECRET_BYTES, TokenError};
pub use assertion::{Assertion, AssertionError, Expected, MAX_LIFETIME, Proven};
pub use caller::{Caller, PURPOSE_HEADER};
pub use check::check_key_files;
pub use discovery::smart_configuration;
pub use jwks::{Jwks, JwksError};
pub use jws::{MAX_TOKEN_BYTES, SigningKey};
pub use keys::{KeySets, http_client};
pub use oauth::{OAuthError, OAuthErrorCode, TokenRequest, TokenResponse};
pub use outgoing::{
    ASSERTION_LIFETIME, ASSERTION_TYPE, AssertionClaims, GeneratedKey, generate_key, make_client_assertion, token_request_form,
};
pub use replay::{MAX_JTIS_PER_CLIENT, ReplayGuard, ReplayRecord};

use crate::clock::{Clock, Entropy};
use crate::config::{Client, Secret, Settings, read_secret};
pub use crate::config::{Interaction, Purpose, Role, ScopeError, Scopes};
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use crate::registry::Registry;
use crate::sign;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Proves clients, issues tokens and recognises callers.
pub struct Identity {
    registry: Arc<Registry>,
    keys: KeySets,
    replay: Arc<dyn ReplayRecord>,
    tokens: AccessTokens,
    clock: Clock,
    entropy: Entropy,
    audience: String,
    skew: Duration,
    token_lifetime: Duration,
    dev: bool,
}

impl Identity {
    /// Built once. `http` fetches key sets; see [`http_client`]. Fails when the signing secret cannot be read or is too short.
    pub fn new(
        settings: &Settings,
        registry: Arc<Registry>,
        replay: Arc<dyn ReplayRecord>,
        http: reqwest::Client,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Identity, Fault> {
        let secret = signing_secret(settings, &entropy)?;
        Ok(Identity {
            keys: KeySets::new(registry.clients(), &settings.identity, http, clock.clone()),
            tokens: AccessTokens::new(secret.as_slice(), settings.issuer(), settings.server.fhir_base()),
            registry,
            replay,
            clock,
            entropy,
            audience: settings.token_endpoint(),
            skew: Duration::from_secs(settings.identity.clock_skew_s),
            token_lifetime: Duration::from_secs(settings.identity.token_lifetime_s),
            dev: settings.dev,
        })
    }

    /// The same for other settings: tokens given out before and assertions used before are remembered.
    pub fn renewed(&self, settings: &Settings, registry: Arc<Registry>, http: reqwest::Client) -> Identity {
        Identity {
            keys: KeySets::new(registry.clients(), &settings.identity, http, self.clock.clone()),
            tokens: self.tokens.clone(),
            registry,
            replay: Arc::clone(&self.replay),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            audience: self.audience.clone(),
            skew: Duration::from_secs(settings.identity.clock_skew_s),
            token_lifetime: Duration::from_secs(settings.identity.token_lifetime_s),
            dev: settings.dev,
        }
    }

    /// Answers a token request: the decoded pairs of its form.
    pub async fn token(&self, form: &[(String, String)]) -> Result<TokenResponse, OAuthError> {
        let request = TokenRequest::read(form)?;
        let assertion = Assertion::read(request.assertion)?;
        if request.client_id.is_some_and(|id| id != assertion.client_id()) {
            return Err(OAuthError::new(OAuthErrorCode::InvalidClient, "client_id is not the client of the assertion"));
        }
        let client = self.prove(&assertion).await?;
        let (scopes, purposes) = oauth::grant(client, &request.scopes, request.purposes.as_deref())?;
        Ok(self.issue(client, scopes, purposes))
    }

    /// The keys with which a client may have signed, read anew where they lack the one that is named. Empty for a client without a key set.
    pub async fn signature_keys(&self, client_id: &str, key_id: &str) -> Result<Vec<sign::PublicKey>, Fault> {
        let keys = self.keys.for_signature(client_id, key_id).await?;
        Ok(keys.map(|keys| keys.signature_keys().to_vec()).unwrap_or_default())
    }

    /// How far another's clock may differ.
    pub fn skew(&self) -> Duration {
        self.skew
    }

    async fn prove(&self, assertion: &Assertion<'_>) -> Result<&Client, OAuthError> {
        let client = self.registry.client(assertion.client_id()).ok_or(AssertionError::Unproven)?;
        let keys = self.keys.of(&client.id, assertion.key_id(), assertion.algorithm()).await;
        let unavailable =
            |_| OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, "the key set of the client cannot be read; try again later");
        let keys = keys.map_err(unavailable)?.ok_or(AssertionError::Unproven)?;
        let now = self.clock.now();
        let expected = Expected { audience: &self.audience, jwks_url: client.jwks_url.as_deref(), now, skew: self.skew };
        let proven = assertion.verify(&keys, expected)?;
        if !self.replay.record(&proven.client_id, &proven.jti, proven.remember_until, now) {
            return Err(AssertionError::Replayed.into());
        }
        Ok(client)
    }

    fn issue(&self, client: &Client, scopes: Scopes, purposes: Vec<Purpose>) -> TokenResponse {
        let now = self.clock.now();
        let token_id = AccessTokens::draw_id(&self.entropy);
        let grant = Grant { client_id: client.id.clone(), scopes, purposes, token_id, expires: now + self.token_lifetime };
        let access_token = Secret::new(self.tokens.issue(&grant, now));
        TokenResponse {
            access_token,
            expires_in_s: self.token_lifetime.as_secs(),
            scopes: grant.scopes,
            purposes: grant.purposes,
            token_id: grant.token_id,
            client_id: grant.client_id,
        }
    }

    /// A token without proof, for trying things out: only with `--dev`, only for a caller on this machine, never more than the client is registered for.
    /// `peer` is the address of the connection, not of a header; a request that a proxy forwarded must not reach this.
    pub fn dev_token(&self, client_id: &str, scopes: Option<&Scopes>, peer: IpAddr) -> Result<TokenResponse, Refusal> {
        let forbidden = |text: &str| Refusal::new(Reason::Forbidden, IssueType::Forbidden, text);
        if !self.dev || !peer.to_canonical().is_loopback() {
            return Err(forbidden("development tokens are for a gateway started with --dev, and for callers on the same machine"));
        }
        let client = self.registry.client(client_id).ok_or_else(|| forbidden("no client of this id is configured"))?;
        let granted = oauth::grant(client, scopes.unwrap_or(&client.scopes), None).map_err(|error| forbidden(&error.description))?;
        Ok(self.issue(client, granted.0, granted.1))
    }

    /// The caller of a request, from its `Authorization` header and its header [`PURPOSE_HEADER`].
    pub fn authenticate(&self, authorization: Option<&str>, purpose_header: Option<&str>) -> Result<Caller, Refusal> {
        self.identify(authorization)?.narrowed(purpose_header)
    }

    /// Whose token it is, whatever it is asked for.
    pub fn identify(&self, authorization: Option<&str>) -> Result<Caller, Refusal> {
        let token = caller::bearer(authorization)?;
        let grant = self.tokens.read(token, self.clock.now()).map_err(caller::refuse_token)?;
        let client = self.registry.client(&grant.client_id).ok_or_else(|| caller::refuse_token(TokenError::Foreign))?;
        Ok(Caller::of(client, grant))
    }
}

/// The secret of the configured file, or one drawn for this run.
fn signing_secret(settings: &Settings, entropy: &Entropy) -> Result<Vec<u8>, Fault> {
    let Some(path) = &settings.identity.token_key_file else { return Ok(entropy.bytes::<32>().to_vec()) };
    let secret = read_secret(path).map_err(|text| Fault::new(FaultKind::Internal, format!("[identity] token_key_file: {text}")))?;
    if secret.reveal().len() < MIN_SECRET_BYTES {
        return Err(Fault::new(FaultKind::Internal, format!("[identity] token_key_file: needs at least {MIN_SECRET_BYTES} characters")));
    }
    Ok(secret.reveal().as_bytes().to_vec())
}
