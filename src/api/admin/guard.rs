//! Who may operate: whoever has the key that lies in the gateway's own folder.

use super::AdminState;
use crate::audit::{Action, Opened};
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::problem::Problem;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use std::net::SocketAddr;

/// The largest body an operator may send: a ConceptMap.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Lets through who has the key; everybody else is answered alike and leaves an audit record.
pub(super) async fn guard(
    State(state): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let opened = opened(&state, peer, "operate");
    if !state.key.matches(given) {
        let refusal =
            Refusal::new(Reason::Unauthenticated, IssueType::Login, "The operator's key is needed: Authorization: Bearer and the key.");
        let stranger = Opened { interaction: "unreadable", ..opened };
        return match state.pipeline.record_refusal(&stranger, &refusal).await {
            Ok(()) => failed(&refusal.into()),
            Err(fault) => failed(&fault.into()),
        };
    }
    request.extensions_mut().insert(opened);
    next.run(request).await
}

fn opened(state: &AdminState, peer: SocketAddr, interaction: &'static str) -> Opened {
    let at = state.pipeline.clock.now();
    let request_id = format!("operator-{}", at.micros());
    Opened { interaction, action: Action::Execute, request_id, at, peer: peer.ip().to_string(), caller: None, query: None }
}

/// The body of a request, within limits.
pub(super) async fn body(request: Request) -> Result<Bytes, Refusal> {
    let too_large = || {
        let text = format!("The body is incomplete, or larger than {MAX_BODY_BYTES} bytes.");
        Refusal::new(Reason::TooLarge, IssueType::TooLong, text)
    };
    to_bytes(request.into_body(), MAX_BODY_BYTES).await.map_err(|_| too_large())
}

/// What a refusal or fault answers here: the status and OperationOutcome of the FHIR interface.
pub(super) fn failed(failure: &Failure) -> Response<Body> {
    let problem = Problem::of(failure);
    if let Failure::Fault(fault) = failure {
        tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "an operator's request failed");
    }
    answer(problem.status, "application/fhir+json", crate::fhir::json::write(&problem.outcome))
}

pub(super) fn answer(status: u16, media: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
