//! The one place where a refusal or fault becomes an HTTP status, an OperationOutcome and public text.
//!
//! Nothing else answers errors. Refusals carry their findings to the sender; faults say only what kind they are and whether to try again,
//! their detail goes to the log under the correlation id.

use crate::fhir::json::line_and_column;
use crate::fhir::{Node, Object};
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal, Severity};

const LINE: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line";
const COLUMN: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col";
const MESSAGE_ID: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id";
const CONTEXT: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-context";
/// The most issues one OperationOutcome holds; the rest is counted.
pub const MAX_ISSUES: usize = 500;

/// An answer that is not what was asked for.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: u16,
    pub outcome: Node,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// The stable label for metrics.
    pub label: &'static str,
}

impl Problem {
    /// What the sender is told.
    pub fn of(failure: &Failure) -> Problem {
        match failure {
            Failure::Refused(refusal) => Problem::of_refusal(refusal),
            Failure::Fault(fault) => Problem::of_fault(fault),
        }
    }

    pub fn of_refusal(refusal: &Refusal) -> Problem {
        Problem {
            status: status(refusal.reason),
            outcome: outcome_node(&refusal.findings),
            retry_after: None,
            label: refusal.reason.label(),
        }
    }

    pub fn of_fault(fault: &Fault) -> Problem {
        let (status, code, text, retry_after) = public(fault.kind);
        let finding = Finding::new(Severity::Fatal, code, fault.kind.label(), text);
        Problem { status, outcome: outcome_node(&[finding]), retry_after, label: fault.kind.label() }
    }
}

/// The status a FHIR client expects (R4 §3.1.0).
fn status(reason: Reason) -> u16 {
    match reason {
        Reason::Malformed | Reason::UnknownParameter | Reason::NotSupported | Reason::BadSignature => 400,
        Reason::Unauthenticated => 401,
        Reason::Forbidden => 403,
        Reason::NotFound | Reason::UnknownType => 404,
        Reason::MethodNotAllowed => 405,
        Reason::NotAcceptable => 406,
        Reason::IdempotencyConflict | Reason::RecordDamaged => 409,
        Reason::Gone => 410,
        Reason::StaleVersion | Reason::MultipleMatches => 412,
        Reason::TooLarge => 413,
        Reason::UnsupportedMedia => 415,
        Reason::Invalid | Reason::UnresolvedReference => 422,
    }
}

/// Status, issue code, text and retry advice of a fault.
fn public(kind: FaultKind) -> (u16, IssueType, &'static str, Option<u32>) {
    match kind {
        FaultKind::StorageFull => {
            (507, IssueType::NoStore, "The gateway's storage is full. Nothing of this request was stored; try again later.", Some(60))
        }
        FaultKind::Unpublished => (
            503,
            IssueType::Transient,
            "The gateway's log cannot be published at the moment, so nothing new is taken. Nothing of this request was stored; try again later.",
            Some(60),
        ),
        FaultKind::Overloaded => (503, IssueType::Transient, "The gateway has too much to do at the moment. Try again shortly.", Some(1)),
        FaultKind::ShuttingDown => (503, IssueType::Transient, "The gateway is shutting down. Try again shortly.", Some(5)),
        FaultKind::Timeout => {
            (503, IssueType::Timeout, "The gateway could not finish in time. Try again; use an Idempotency-Key for writes.", Some(1))
        }
        FaultKind::Upstream => {
            (502, IssueType::Transient, "A system behind the gateway did not answer as it should. Try again later.", Some(5))
        }
        FaultKind::Storage | FaultKind::StorageCorrupt | FaultKind::Ledger | FaultKind::Internal => (
            500,
            IssueType::Exception,
            "The gateway failed. The operator finds the cause in the log under this request's X-Request-Id.",
            None,
        ),
    }
}

/// An OperationOutcome of findings, without places in a received document.
pub fn outcome_node(findings: &[Finding]) -> Node {
    outcome_with_places(findings, None)
}

/// An OperationOutcome of findings; with the received bytes at hand, each says its line and column.
pub fn outcome_with_places(findings: &[Finding], received: Option<&[u8]>) -> Node {
    let Some(bytes) = received else { return outcome_placed(findings, None) };
    let place = |offset| {
        let (line, column) = line_and_column(bytes, offset);
        (line as u64, column as u64)
    };
    outcome_placed(findings, Some(&place))
}

/// The same, with the line and column of a byte as `place` says.
pub fn outcome_placed(findings: &[Finding], place: Option<&dyn Fn(usize) -> (u64, u64)>) -> Node {
    let mut issues: Vec<Node> = findings.iter().take(MAX_ISSUES).map(|finding| issue(finding, place)).collect();
    if let Some(more) = findings.len().checked_sub(MAX_ISSUES).filter(|&more| more > 0) {
        let text = format!("{more} more findings are not listed.");
        issues.push(issue(&Finding::new(Severity::Information, IssueType::Informational, "more-findings", text), None));
    }
    if issues.is_empty() {
        let text = "Nothing to report.";
        issues.push(issue(&Finding::new(Severity::Information, IssueType::Informational, "no-findings", text), None));
    }
    Object::resource("OperationOutcome").with("issue", issues).into()
}

fn issue(finding: &Finding, place: Option<&dyn Fn(usize) -> (u64, u64)>) -> Node {
    let mut extensions: Vec<Node> = Vec::new();
    if let (Some(offset), Some(place)) = (finding.offset, place) {
        let (line, column) = place(offset as usize);
        extensions.push(Object::new().with("url", LINE).with("valueInteger", line).into());
        extensions.push(Object::new().with("url", COLUMN).with("valueInteger", column).into());
    }
    if !finding.message_id.is_empty() {
        extensions.push(Object::new().with("url", MESSAGE_ID).with("valueString", finding.message_id).into());
    }
    if !finding.context.is_empty() {
        extensions.push(Object::new().with("url", CONTEXT).with("valueString", finding.context.as_str()).into());
    }
    let expression: Option<Vec<Node>> = (!finding.expression.is_empty()).then(|| vec![finding.expression.as_str().into()]);
    Object::new()
        .with_some("extension", (!extensions.is_empty()).then_some(extensions))
        .with("severity", finding.severity.code())
        .with("code", finding.code.code())
        .with("details", Object::new().with("text", finding.text.as_str()))
        .with_some("expression", expression)
        .into()
}
