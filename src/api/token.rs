//! The token endpoint (RFC 6749, SMART Backend Services), and development tokens where they are switched on.

use super::fhir::opened;
use crate::anchor::LeafKind;
use crate::audit::{Action, Closing, Outcome};
use crate::clock::Clock;
use crate::identity::{Identity, OAuthError, OAuthErrorCode, Scopes, TokenResponse};
use crate::intake::decode_pairs;
use crate::pipeline::Pipeline;
use crate::problem::{Problem, outcome_node};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::routing::{get, post};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// The largest token request that is read.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// What the token endpoint works with.
#[derive(Clone)]
pub struct TokenState {
    pub identity: Arc<Identity>,
    pub pipeline: Pipeline,
    pub clock: Clock,
    pub smart_configuration: Arc<Value>,
    pub dev: bool,
    /// The keys the gateway signs versions with, as a JWK set.
    pub key_set: Arc<str>,
}

/// `/auth/token`, `/.well-known/smart-configuration`, `/.well-known/jwks.json`, and `/auth/dev-token` in development.
pub fn router(state: TokenState) -> Router {
    let routes = Router::new().route("/auth/token", post(token)).route("/.well-known/smart-configuration", get(discovery));
    let routes = routes.route("/.well-known/jwks.json", get(key_set));
    let routes = if state.dev { routes.route("/auth/dev-token", post(dev_token)) } else { routes };
    routes.with_state(state)
}

async fn discovery(State(state): State<TokenState>) -> Response<Body> {
    json_response(200, &state.smart_configuration)
}

/// With what others check the gateway's signatures.
async fn key_set(State(state): State<TokenState>) -> Response<Body> {
    let mut response = Response::new(Body::from(state.key_set.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    response
}

/// A JSON answer that is not FHIR.
pub(super) fn json_response(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn token(State(state): State<TokenState>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>) -> Response<Body> {
    let request_id = request_id(request.headers());
    let outcome = match read_form(request).await {
        Ok(pairs) => state.identity.token(&pairs).await,
        Err(error) => Err(error),
    };
    answer(&state, peer, &request_id, outcome).await
}

/// Audited first, answered second: a token that left no record is not given out.
async fn answer(state: &TokenState, peer: SocketAddr, request_id: &str, outcome: Result<TokenResponse, OAuthError>) -> Response<Body> {
    let record = opened(request_id, state.clock.now(), &peer.ip().to_string(), "token", Action::Execute);
    let (ending, closing) = match &outcome {
        Ok(granted) => (Outcome::Success, Closing { description: Some(format!("token for {}", granted.client_id)), ..Closing::default() }),
        Err(error) => (Outcome::Refused(error.label), Closing::default()),
    };
    if let Err(fault) = state.pipeline.record(&record, &ending, LeafKind::Audit, &closing).await {
        tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "a token request could not be recorded");
        let error = OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, "the gateway cannot record token requests at the moment");
        return json_response(error.status(), &error.to_json());
    }
    let mut response = match outcome {
        Ok(granted) => json_response(200, &granted.to_json()),
        Err(error) => json_response(error.status(), &error.to_json()),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn read_form(request: Request<Body>) -> Result<Vec<(String, String)>, OAuthError> {
    let invalid = |text: &str| OAuthError::new(OAuthErrorCode::InvalidRequest, text);
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.starts_with("application/x-www-form-urlencoded") {
        return Err(invalid("the body must be application/x-www-form-urlencoded"));
    }
    let body = to_bytes(request.into_body(), MAX_FORM_BYTES).await.map_err(|_| invalid("the form is too large or incomplete"))?;
    let text = std::str::from_utf8(&body).map_err(|_| invalid("the form is not valid UTF-8"))?;
    decode_pairs(text).map_err(|_| invalid("the form cannot be read"))
}

/// Only with `--dev`, only for loopback: a token for a registered client without proof.
async fn dev_token(State(state): State<TokenState>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>) -> Response<Body> {
    let request_id = request_id(request.headers());
    if request.headers().contains_key("forwarded") || request.headers().contains_key("x-forwarded-for") {
        return json_response(
            403,
            &serde_json::json!({"error": "forbidden", "error_description": "development tokens are not given through a proxy"}),
        );
    }
    let pairs = match read_form(request).await {
        Ok(pairs) => pairs,
        Err(error) => return json_response(error.status(), &error.to_json()),
    };
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let scopes = match value("scope").map(Scopes::parse).transpose() {
        Ok(scopes) => scopes,
        Err(error) => {
            let error = OAuthError::new(OAuthErrorCode::InvalidScope, error.to_string());
            return json_response(error.status(), &error.to_json());
        }
    };
    match state.identity.dev_token(value("client_id").unwrap_or_default(), scopes.as_ref(), peer.ip()) {
        Ok(granted) => answer(&state, peer, &request_id, Ok(granted)).await,
        Err(refusal) => {
            let problem = Problem::of_refusal(&refusal);
            let mut response = Response::new(Body::from(crate::fhir::json::write(&outcome_node(&refusal.findings))));
            *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::FORBIDDEN);
            response
        }
    }
}

fn request_id(headers: &HeaderMap) -> String {
    headers.get(super::fhir::REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}
