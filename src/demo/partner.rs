//! A partner of the gateway: a client with a key of its own that asks for a token and then pushes or asks.

use crate::clock::{Clock, Entropy};
use crate::config::SigningAlgorithm;
use crate::fhir::{Node, json};
use crate::identity::{AssertionClaims, GeneratedKey, SigningKey, make_client_assertion, token_request_form};
use crate::outcome::{Fault, FaultKind};
use data_encoding::HEXLOWER;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder};
use std::time::Duration;

/// The name of the one key each partner has.
pub const KEY_ID: &str = "demo";
const MEDIA: &str = "application/fhir+json";
/// The header that carries the purpose of one request.
const PURPOSE: &str = "x-purpose-of-use";

/// Somebody who calls the gateway.
pub struct Partner {
    http: Client,
    /// The gateway's FHIR base.
    base: String,
    token: String,
    clock: Clock,
    /// How long it took to get the token.
    pub signed_in: Duration,
}

/// What the gateway answered.
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub body: Option<Node>,
    pub took: Duration,
}

impl Answer {
    /// The entries of a Bundle.
    pub fn entries(&self) -> impl Iterator<Item = &Node> {
        self.body.iter().flat_map(|body| body.items("entry"))
    }

    /// The issues of an OperationOutcome, or of those in the entries of a Bundle.
    pub fn issues(&self) -> Vec<Node> {
        let own = self.body.iter().flat_map(|body| body.items("issue"));
        let of_entries =
            self.entries().filter_map(|entry| entry.get("response")?.get("outcome")).flat_map(|outcome| outcome.items("issue"));
        own.chain(of_entries).cloned().collect()
    }
}

/// Whether an issue says that something is wrong.
pub fn is_error(issue: &Node) -> bool {
    matches!(issue.text("severity"), Some("error" | "fatal"))
}

/// What a partner proves itself with.
pub struct Credentials<'a> {
    pub client_id: &'a str,
    pub key: &'a GeneratedKey,
    pub algorithm: SigningAlgorithm,
}

impl Partner {
    /// Proves itself to the token endpoint by a signed assertion.
    pub async fn sign_in(
        http: &Client,
        origin: &str,
        credentials: Credentials<'_>,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Partner, Fault> {
        let broken = |text: &str| Fault::new(FaultKind::Internal, text);
        let endpoint = format!("{origin}/auth/token");
        let stopwatch = clock.stopwatch();
        let key = SigningKey::from_pem(&credentials.key.private_pem, credentials.algorithm).map_err(broken)?;
        let jti = HEXLOWER.encode(&entropy.bytes::<16>());
        let claims = AssertionClaims { client_id: credentials.client_id, key_id: KEY_ID, audience: &endpoint, jti: &jti, now: clock.now() };
        let assertion = make_client_assertion(&key, claims).map_err(broken)?;
        let form = token_request_form(&assertion, "system/*.rs system/*.cud");
        let escape = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let request = http.post(&endpoint).header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
        let text = request.send().await.map_err(unreachable)?.text().await.map_err(unreachable)?;
        let granted: serde_json::Value = serde_json::from_str(&text).map_err(|_| broken("the token endpoint did not answer in JSON"))?;
        let token = granted.get("access_token").and_then(serde_json::Value::as_str);
        let token = token.ok_or_else(|| broken("the token endpoint gave no token"))?.to_owned();
        let signed_in = stopwatch.elapsed();
        Ok(Partner { http: http.clone(), base: format!("{origin}/fhir"), token, clock: clock.clone(), signed_in })
    }

    /// Posts a document. An empty path is the base.
    pub async fn post(&self, path: &str, body: impl Into<Vec<u8>>, key: Option<&str>) -> Result<Answer, Fault> {
        let request = self.request(Method::POST, path).body(body.into());
        self.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
    }

    pub async fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Result<Answer, Fault> {
        self.send(self.request(Method::PUT, path).body(body.into())).await
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.send(self.request(Method::GET, path)).await
    }

    /// A read, to be sent as often as one likes.
    pub fn reading(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Asks for one purpose only.
    pub async fn get_for(&self, path: &str, purpose: &str) -> Result<Answer, Fault> {
        self.send(self.request(Method::GET, path).header(PURPOSE, purpose)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.is_empty() { self.base.clone() } else { format!("{}/{path}", self.base) };
        self.http.request(method, url).header("content-type", MEDIA).header("accept", MEDIA).bearer_auth(&self.token)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        let stopwatch = self.clock.stopwatch();
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(unreachable)?;
        let took = stopwatch.elapsed();
        let body = json::parse(text.as_bytes(), json::DEFAULT_DEPTH).ok();
        Ok(Answer { status, text, body, took })
    }
}

fn unreachable(error: reqwest::Error) -> Fault {
    Fault::new(FaultKind::Upstream, format!("the gateway could not be reached: {error}"))
}
