//! What every public request passes through: correlation id, overload, time limit, panics, compression, one log line, one metric.

use crate::clock::Entropy;
use crate::config::Settings;
use crate::fhir::json;
use crate::outcome::{Fault, FaultKind};
use crate::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use data_encoding::HEXLOWER;
use std::any::Any;
use std::time::Duration;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest correlation id taken over from a client.
const MAX_REQUEST_ID: usize = 64;

#[derive(Clone)]
struct Correlation {
    entropy: Entropy,
}

/// Wraps the public routes.
pub(super) fn public(routes: Router, settings: &Settings, entropy: Entropy) -> Router {
    let concurrency = usize::try_from(settings.server.max_concurrent_requests).unwrap_or(usize::MAX);
    let nosniff = SetResponseHeaderLayer::if_not_present(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    routes.layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(Correlation { entropy }, correlate))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(nosniff)
            .layer(no_store)
            .layer(CompressionLayer::new())
            .layer(HandleErrorLayer::new(|_: BoxError| async { problem(FaultKind::Overloaded) }))
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(concurrency))
            .layer(map_response(explain_timeout))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout(settings))),
    )
}

fn timeout(settings: &Settings) -> Duration {
    settings.server.request_timeout()
}

/// Gives every request a correlation id, and leaves one log line and one metric. Neither names a resource, a query or a body.
async fn correlate(State(correlation): State<Correlation>, mut request: Request, next: Next) -> Response<Body> {
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_sound(id)).map(str::to_owned);
    let id = given.unwrap_or_else(|| HEXLOWER.encode(&correlation.entropy.bytes::<12>()));
    let Ok(value) = HeaderValue::from_str(&id) else { return problem(FaultKind::Internal) };
    request.headers_mut().insert(REQUEST_ID, value.clone());
    let method = request.method().clone();
    let span = tracing::info_span!("request", id = %id, method = %method);
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, value);
    span.in_scope(|| tracing::info!(status = response.status().as_u16(), "answered"));
    metrics::counter!("hearthgate_requests_total", "method" => label(&method), "status" => response.status().as_u16().to_string())
        .increment(1);
    response
}

/// A method as a metric names it: strangers must not be able to make up labels.
fn label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn is_sound(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a request panicked");
    problem(FaultKind::Internal)
}

/// The time limit answers without a body; here it gets one.
async fn explain_timeout(response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::REQUEST_TIMEOUT { problem(FaultKind::Timeout) } else { response }
}

fn problem(kind: FaultKind) -> Response<Body> {
    let problem = Problem::of_fault(&Fault::new(kind, ""));
    let mut response = Response::new(Body::from(json::write(&problem.outcome)));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+json; charset=utf-8"));
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
