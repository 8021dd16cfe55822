//! CDS Hooks 2.0: the service by which other systems ask what a patient's consents permit.

use super::fhir::{FhirState, REQUEST_ID, Shared, opened, read_body};
use super::negotiate::{self, Wanted};
use super::refusing::{Shown, refuse};
use super::render;
use crate::audit::Action;
use crate::consent::{Consultation, HOOK, services};
use crate::fhir::{Node, json};
use crate::intake::{Format, document};
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;

/// `/cds-services` and the one service there is.
pub fn router(state: Shared) -> Router {
    Router::new().route("/cds-services", get(discovery)).route(&format!("/cds-services/{HOOK}"), post(call)).with_state(state)
}

/// Like a CapabilityStatement, it is for everybody.
async fn discovery() -> Response<Body> {
    plain(&services())
}

async fn call(State(state): State<Shared>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, state.limits.body_bytes).await;
    let bytes = body.as_ref().map_or(0, Bytes::len);
    let asked = Arc::clone(&state);
    let answering = async move { consult(&asked, &parts.headers, peer, body.as_deref().map_err(Clone::clone)).await };
    let answered = state.room.answer(bytes, answering).await;
    let answered = answered.map_err(Failure::from).and_then(|answer| answer);
    answered.unwrap_or_else(|failure| render::failure(&failure, None, &Wanted::default(), state.definitions))
}

async fn consult(
    state: &FhirState,
    headers: &HeaderMap,
    peer: SocketAddr,
    bytes: Result<&[u8], Refusal>,
) -> Result<Response<Body>, Failure> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let request_id = header(REQUEST_ID).unwrap_or_default();
    let mut record = opened(request_id, state.clock.now(), &peer.ip().to_string(), "consent-decide", Action::Execute);
    let caller = match state.identity.authenticate(header("authorization"), negotiate::purposes(headers).as_deref()) {
        Ok(caller) => caller,
        Err(refusal) => return refuse(state, Shown { path: "", query: None, headers, body: &[] }, record, refusal).await,
    };
    record.caller = Some(caller.clone());
    let question = bytes.and_then(|bytes| {
        let is_json = header(header::CONTENT_TYPE.as_str()).and_then(Format::of) == Some(Format::Json);
        let text = "Send the body as application/json and say so in Content-Type.";
        let media = Refusal::new(Reason::UnsupportedMedia, IssueType::NotSupported, text);
        let body = is_json.then_some(bytes).ok_or(media)?;
        Consultation::from_hook(&document(body, Format::Json, &state.limits, state.definitions.types())?)
    });
    let question = match question {
        Ok(question) => question,
        Err(refusal) => return refuse(state, Shown { path: "", query: None, headers, body: &[] }, record, refusal).await,
    };
    let (consulted, told) = state.query.consult(&caller, &question, &record).await?;
    Ok(plain(&consulted.cards(told, &state.base_url)))
}

/// JSON that is not FHIR.
fn plain(node: &Node) -> Response<Body> {
    let mut response = Response::new(Body::from(json::write(node)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
