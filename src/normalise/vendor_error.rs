//! Rule 26. What an upstream server sends when it fails: HTML of a proxy, a vendor's own JSON, XML, or an OperationOutcome.
//!
//! The findings say which status and what kind of body came back. The body itself is not quoted: it may name the patient who was asked about.

use super::envelope::upstream_issues;
use super::rules::bytes::without_mark;
use crate::fhir::{Node, json};
use crate::outcome::{Finding, IssueType};

/// The part of an error body that is read.
pub const MAX_ERROR_BODY: usize = 256 * 1024;

/// How deep an error body may nest.
const MAX_DEPTH: usize = 32;

/// What an upstream error says. Never empty; the first finding carries the status and is an error.
pub fn vendor_error(status: u16, content_type: Option<&str>, body: &[u8]) -> Vec<Finding> {
    let (code, meaning) = meaning(status);
    let text = format!("the holder answered with status {status} ({meaning}) and {}", kind(content_type, body));
    let mut findings = vec![Finding::error(code, "upstream-error", text)];
    findings.extend(outcome_issues(body));
    findings
}

/// The same of a body whose status was not recorded, by what it says itself, in a number or in the words that servers use. `None` where there is no
/// body.
pub(super) fn bare_error(body: &[u8]) -> Option<Vec<Finding>> {
    if body.trim_ascii().is_empty() {
        return None;
    }
    let head = String::from_utf8_lossy(body.get(..MAX_WORDS.min(body.len())).unwrap_or_default()).to_ascii_lowercase();
    if let Some(status) = titled_status(&head) {
        return Some(vendor_error(status, None, body));
    }
    let said = WORDS.iter().find(|(word, _)| head.contains(word)).map(|(_, status)| meaning(*status));
    let (code, meaning) = said.unwrap_or((IssueType::Processing, "what went wrong is not told"));
    let text = format!("the holder answered with an error whose status was not recorded ({meaning}) and {}", kind(None, body));
    let mut findings = vec![Finding::error(code, "upstream-error", text)];
    findings.extend(outcome_issues(body));
    Some(findings)
}

/// The status that a recording of an answer or a vendor's error names, whatever it calls it: a number of three digits, also as text and with its
/// words behind it.
pub(super) fn said_status(document: &Node) -> Option<u16> {
    let here = || NAMES.iter().find_map(|name| status_in(document.get(name)?));
    let below = || AROUND.iter().find_map(|name| document.get(name).and_then(said_status));
    match document.as_list() {
        Some(errors) => errors.first().filter(|error| error.as_object().is_some()).and_then(said_status),
        None => here().or_else(below),
    }
}

/// What servers and recorders call the status of an answer.
const NAMES: [&str; 7] = ["status", "statusCode", "status_code", "httpStatus", "httpStatusCode", "http_status", "code"];

/// What they put it into.
const AROUND: [&str; 6] = ["_request", "_response", "response", "error", "errors", "fault"];

fn status_in(node: &Node) -> Option<u16> {
    let text = node.as_number().or_else(|| node.as_text())?;
    let (digits, rest) = text.split_at_checked(3)?;
    let status = digits.parse().ok().filter(|status| (100..=599).contains(status))?;
    (!rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')).then_some(status)
}

/// The status in the title of a page (`<title>404 - File not found`) or in an element of its name (`<status>503</status>`).
fn titled_status(head: &str) -> Option<u16> {
    let text = ["<title>", "<status>", "<statuscode>", "<code>"].iter().find_map(|start| head.split_once(start))?.1;
    let text = text.split('<').next().unwrap_or_default();
    let numbers = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() == 3);
    numbers.filter_map(|word| word.parse().ok()).find(|status| (400..=599).contains(status))
}

/// How far into a body its words are looked for.
const MAX_WORDS: usize = 4096;

/// Words of servers' errors, and the status that means the same.
const WORDS: [(&str, u16); 14] = [
    ("unauthorized", 401),
    ("unauthorised", 401),
    ("not authenticated", 401),
    ("invalid_token", 401),
    ("invalid token", 401),
    ("forbidden", 403),
    ("access denied", 403),
    ("insufficient_scope", 403),
    ("not found", 404),
    ("too many requests", 429),
    ("rate limit", 429),
    ("timed out", 504),
    ("service unavailable", 503),
    ("bad gateway", 502),
];

fn outcome_issues(body: &[u8]) -> Vec<Finding> {
    if body.len() > MAX_ERROR_BODY {
        return Vec::new();
    }
    match json::parse(body, MAX_DEPTH) {
        Ok(node) if node.resource_type() == Some("OperationOutcome") => upstream_issues(&node),
        _ => Vec::new(),
    }
}

fn meaning(status: u16) -> (IssueType, &'static str) {
    match status {
        400 | 405 | 406 | 415 => (IssueType::NotSupported, "it does not take the request"),
        401 => (IssueType::Login, "it does not accept the gateway's credentials"),
        403 => (IssueType::Forbidden, "it does not allow the request"),
        404 => (IssueType::NotFound, "it does not have what was asked for"),
        408 | 504 => (IssueType::Timeout, "it took too long"),
        409 | 412 => (IssueType::Conflict, "the version it has is another"),
        410 => (IssueType::Deleted, "what was asked for was deleted"),
        413 | 414 | 431 => (IssueType::TooLong, "the request is too long for it"),
        422 => (IssueType::Processing, "it refuses the content"),
        429 => (IssueType::Throttled, "it answers fewer requests than were sent"),
        501 => (IssueType::NotSupported, "it does not support the request"),
        500..=599 => (IssueType::Transient, "it failed"),
        _ => (IssueType::Processing, "an answer the gateway did not expect"),
    }
}

/// What the body is, by its bytes rather than by what the header claims.
fn kind(content_type: Option<&str>, body: &[u8]) -> &'static str {
    let body = without_mark(body).trim_ascii_start();
    let head = String::from_utf8_lossy(body.get(..512.min(body.len())).unwrap_or_default()).to_ascii_lowercase();
    let is_html =
        ["<!doctype html", "<html"].iter().any(|start| head.starts_with(start)) || content_type.is_some_and(|kind| kind.contains("html"));
    match head.bytes().next() {
        None => "no body",
        _ if is_html => "an HTML page",
        Some(b'{' | b'[') if head.contains("operationoutcome") => "an OperationOutcome",
        Some(b'{' | b'[') => "JSON that is no OperationOutcome",
        Some(b'<') if head.contains("operationoutcome") => "an OperationOutcome in XML",
        Some(b'<') => "XML that is no OperationOutcome",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::{bare_error, said_status, vendor_error};
    use crate::fhir::json;
    use crate::outcome::IssueType;

    #[test]
    fn statuses() {
        for (text, status) in [
            (r#"{"status":503,"body":"<html>"}"#, Some(503)),
            (r#"{"_request":{"status":404}}"#, Some(404)),
            (r#"{"_response":{"statusCode":"429 Too Many Requests"}}"#, Some(429)),
            (r#"{"statusCode":401,"message":"Access denied"}"#, Some(401)),
            (r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#, Some(404)),
            (r#"{"response":{"error":{"status":"500"}}}"#, Some(500)),
            (r#"{"status":"active"}"#, None),
            (r#"{"code":4042}"#, None),
            (r#"{"code":"404.5"}"#, None),
            (r#"{"status":20}"#, None),
            (r#"{"detail":"Unauthorized"}"#, None),
            (r#"{"errors":[{"status":"422","title":"x"}]}"#, Some(422)),
            ("[404]", None),
        ] {
            assert_eq!(said_status(&json::parse(text.as_bytes(), 8).unwrap()), status, "{text}");
        }
    }

    #[test]
    fn errors_of_no_recorded_status() {
        for (body, said) in [
            ("<html><head><title>503 Service Temporarily Unavailable</title>", "with status 503 (it failed) and an HTML page"),
            ("<html><title>IIS 10.0 - 404 - File not found</title>", "with status 404 ("),
            ("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", "not recorded (it does not allow"),
            ("<error><status>429</status></error>", "with status 429 ("),
            ("<html><title>Maintenance</title>", "not recorded (what went wrong is not told) and an HTML page"),
            ("forbidden", "not recorded (it does not allow the request) and text"),
        ] {
            let findings = bare_error(body.as_bytes()).unwrap();
            assert!(findings[0].text.contains(said), "{body}: {}", findings[0].text);
        }
        assert!(bare_error(b" \n").is_none());
    }

    #[test]
    fn vendors() {
        let outcome =
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","details":{"text":"Jane Doe"}}]}"#;
        for (status, content_type, body, code, said, count) in [
            (404, Some("text/html"), "<!DOCTYPE html PUBLIC \"x\"><html></html>", IssueType::NotFound, "an HTML page", 1),
            (401, Some("application/json"), r#"{"resource":"v1/error","detail":"Unauthorized"}"#, IssueType::Login, "JSON that is no", 1),
            (404, Some("application/fhir+json"), outcome, IssueType::NotFound, "an OperationOutcome", 2),
            (500, None, "<OperationOutcome xmlns=\"http://hl7.org/fhir\"/>", IssueType::Transient, "in XML", 1),
            (503, None, "", IssueType::Transient, "no body", 1),
            (429, Some("text/plain"), "slow down", IssueType::Throttled, "text", 1),
            (302, None, "", IssueType::Processing, "did not expect", 1),
        ] {
            let findings = vendor_error(status, content_type, body.as_bytes());
            assert_eq!((findings[0].code, findings.len()), (code, count), "{body}");
            assert!(findings[0].is_error() && findings[0].text.contains(said), "{}", findings[0].text);
            assert!(findings.iter().all(|finding| !finding.text.contains("Doe")));
        }
    }
}
