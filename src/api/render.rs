//! From answers to HTTP responses.

use super::negotiate::{Return, Wanted};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, json, xml};
use crate::intake::Format;
use crate::outcome::{Failure, Finding, IssueType, Refusal, Severity};
use crate::pipeline::{Done, WriteAnswer};
use crate::problem::{Problem, outcome_node, outcome_with_places};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// The header that links the receipt of what was accepted.
pub const RECEIPT_HEADER: &str = "x-hearthgate-receipt";

/// The header that lists what the filer of a consent should know, where the answer is the resource itself.
pub const FINDINGS_HEADER: &str = "x-hearthgate-findings";
/// The most findings it lists.
const MAX_LISTED: usize = 20;

/// Writes a resource in the format asked for.
pub fn body(node: &Node, wanted: &Wanted, definitions: &Definitions) -> Body {
    let text = match (wanted.format, wanted.pretty) {
        (Format::Json, false) => json::write(node),
        (Format::Json, true) => json::write_pretty(node),
        (Format::Xml, _) => xml::write(node, definitions.types()),
    };
    Body::from(text)
}

/// A response with a resource as its body.
pub fn resource(status: u16, node: &Node, wanted: &Wanted, definitions: &Definitions) -> Response<Body> {
    let mut response = Response::new(body(node, wanted, definitions));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media = match wanted.format {
        Format::Json => "application/fhir+json; charset=utf-8",
        Format::Xml => "application/fhir+xml; charset=utf-8",
    };
    set(&mut response, header::CONTENT_TYPE.as_str(), media);
    response
}

/// A response without a body.
pub fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Sets a header; a value that HTTP cannot carry is left out rather than sent broken.
pub fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What a refusal or fault answers. With the received bytes, findings say line and column.
pub fn failure(failure: &Failure, received: Option<&[u8]>, wanted: &Wanted, definitions: &Definitions) -> Response<Body> {
    let problem = Problem::of(failure);
    metrics::counter!("hearthgate_refusals_total", "reason" => problem.label).increment(1);
    let outcome = match failure {
        Failure::Refused(Refusal { findings, .. }) => outcome_with_places(findings, received),
        Failure::Fault(fault) => {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "request failed");
            problem.outcome
        }
    };
    let mut response = resource(problem.status, &outcome, wanted, definitions);
    if let Some(seconds) = problem.retry_after {
        set(&mut response, header::RETRY_AFTER.as_str(), &seconds.to_string());
    }
    if problem.status == 401 {
        set(&mut response, header::WWW_AUTHENTICATE.as_str(), "Bearer realm=\"hearthgate\"");
    }
    response
}

fn status(done: Done) -> u16 {
    match done {
        Done::Created => 201,
        Done::Updated | Done::Existing => 200,
        Done::Deleted | Done::Nothing => 204,
        Done::Held => 202,
    }
}

/// The answer to a single write.
pub fn write(answer: &WriteAnswer, base_url: &str, wanted: &Wanted, definitions: &Definitions) -> Response<Body> {
    let status = status(answer.done);
    let node = match wanted.prefer {
        _ if status == 204 => None,
        Return::Minimal => None,
        Return::Representation => answer.document.as_deref().and_then(reparse),
        Return::OperationOutcome => Some(outcome_node(&informed(answer))),
    };
    let mut response = match node {
        Some(node) => resource(status, &node, wanted, definitions),
        None => empty(status),
    };
    if wanted.prefer != Return::OperationOutcome
        && let Some(listed) = listed(&answer.findings)
    {
        set(&mut response, FINDINGS_HEADER, &listed);
    }
    place(&mut response, answer, base_url);
    response
}

/// Says where what was written is.
pub fn place(response: &mut Response<Body>, answer: &WriteAnswer, base_url: &str) {
    if answer.done == Done::Held {
        set(response, header::LOCATION.as_str(), &format!("{base_url}/Task/{}", answer.id));
    }
    if let Some(version) = answer.version_reference() {
        set(response, header::LOCATION.as_str(), &format!("{base_url}/{version}"));
        set(response, header::ETAG.as_str(), &format!("W/\"{}\"", answer.version));
        set(response, header::LAST_MODIFIED.as_str(), &answer.at.to_http_date());
        set(response, RECEIPT_HEADER, &format!("{base_url}/{version}/$receipt"));
    }
}

/// The findings on a consent in one line: whoever did not ask for them learns that there are some. They are told in full with
/// `Prefer: return=OperationOutcome`, and by `$validate` before anything is filed.
fn listed(findings: &[Finding]) -> Option<String> {
    let told = findings.iter().filter(|finding| finding.message_id.starts_with("consent-")).take(MAX_LISTED);
    let listed: Vec<String> = told.map(|finding| format!("{} {}", finding.message_id, finding.expression)).collect();
    (!listed.is_empty()).then(|| listed.join("; "))
}

/// The entry of a transaction-response or batch-response for a write.
pub fn write_entry(answer: &WriteAnswer, base_url: &str, wanted: &Wanted) -> Node {
    let version = answer.version_reference();
    let task = (answer.done == Done::Held).then(|| format!("{base_url}/Task/{}", answer.id));
    let outcome = (!answer.findings.is_empty() || wanted.prefer == Return::OperationOutcome).then(|| outcome_node(&informed(answer)));
    let response = Object::new()
        .with("status", status(answer.done).to_string())
        .with_some("location", task.or_else(|| version.as_ref().map(|version| format!("{base_url}/{version}"))))
        .with_some("etag", version.as_ref().map(|_| format!("W/\"{}\"", answer.version)))
        .with_some("lastModified", version.as_ref().map(|_| answer.at.to_fhir_instant()))
        .with_some("outcome", outcome);
    let full_url = version.is_some().then(|| format!("{base_url}/{}/{}", answer.type_name, answer.id));
    let shown = if wanted.prefer == Return::Representation { answer.document.as_deref().and_then(reparse) } else { None };
    Object::new().with_some("fullUrl", full_url).with_some("resource", shown).with("response", response).into()
}

fn informed(answer: &WriteAnswer) -> Vec<Finding> {
    if answer.findings.is_empty() {
        vec![Finding::new(Severity::Information, IssueType::Informational, "accepted", "Accepted without findings.")]
    } else {
        answer.findings.clone()
    }
}

fn reparse(document: &str) -> Option<Node> {
    json::parse(document.as_bytes(), usize::MAX).ok()
}
