//! The four kinds of "no", as plain data every room can speak.
//!
//! A [`Finding`] is data in a report. A [`Refusal`] is the sender's or the policy's reason, shown to the sender and audited.
//! A [`Fault`] is ours: it says whether trying again helps, and keeps its detail private. A bug is a crash and has no type.
//! Only `problem` turns these into HTTP statuses; nothing here knows HTTP.

use std::fmt;

/// `OperationOutcome.issue.severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Information,
    Warning,
    Error,
    Fatal,
}

impl Severity {
    /// The code of the value set `issue-severity`.
    pub fn code(self) -> &'static str {
        match self {
            Severity::Information => "information",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Fatal => "fatal",
        }
    }
}

/// `OperationOutcome.issue.code`: the codes of the value set `issue-type` that the gateway uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueType {
    Invalid,
    Structure,
    Required,
    Value,
    Invariant,
    Security,
    Login,
    Expired,
    Forbidden,
    Processing,
    NotSupported,
    Duplicate,
    MultipleMatches,
    NotFound,
    Deleted,
    TooLong,
    CodeInvalid,
    Extension,
    TooCostly,
    BusinessRule,
    Conflict,
    Transient,
    NoStore,
    Timeout,
    Incomplete,
    Throttled,
    Exception,
    Informational,
}

impl IssueType {
    /// The code of the value set `issue-type`.
    pub fn code(self) -> &'static str {
        match self {
            IssueType::Invalid => "invalid",
            IssueType::Structure => "structure",
            IssueType::Required => "required",
            IssueType::Value => "value",
            IssueType::Invariant => "invariant",
            IssueType::Security => "security",
            IssueType::Login => "login",
            IssueType::Expired => "expired",
            IssueType::Forbidden => "forbidden",
            IssueType::Processing => "processing",
            IssueType::NotSupported => "not-supported",
            IssueType::Duplicate => "duplicate",
            IssueType::MultipleMatches => "multiple-matches",
            IssueType::NotFound => "not-found",
            IssueType::Deleted => "deleted",
            IssueType::TooLong => "too-long",
            IssueType::CodeInvalid => "code-invalid",
            IssueType::Extension => "extension",
            IssueType::TooCostly => "too-costly",
            IssueType::BusinessRule => "business-rule",
            IssueType::Conflict => "conflict",
            IssueType::Transient => "transient",
            IssueType::NoStore => "no-store",
            IssueType::Timeout => "timeout",
            IssueType::Incomplete => "incomplete",
            IssueType::Throttled => "throttled",
            IssueType::Exception => "exception",
            IssueType::Informational => "informational",
        }
    }
}

/// One entry of a report: what is wrong (or worth saying), where, and by which rule. Its text never quotes patient data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub code: IssueType,
    /// What the sender can read and act on.
    pub text: String,
    /// Indexed FHIRPath of the element, `Patient.name[0].family`; empty when the finding is about the whole.
    pub expression: String,
    /// Byte offset into the received document, when the finding has a place there.
    pub offset: Option<u32>,
    /// The Java validator's message id where it has one for this, else ours.
    pub message_id: &'static str,
    /// The profile that asks for what is broken, `url|version`; empty for FHIR's own rules.
    pub context: String,
}

impl Finding {
    /// A finding about the whole input.
    pub fn new(severity: Severity, code: IssueType, message_id: &'static str, text: impl Into<String>) -> Finding {
        Finding { severity, code, text: text.into(), expression: String::new(), offset: None, message_id, context: String::new() }
    }

    /// An error about the whole input.
    pub fn error(code: IssueType, message_id: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(Severity::Error, code, message_id, text)
    }

    /// The same finding, placed at an element.
    pub fn at(mut self, expression: impl Into<String>) -> Finding {
        self.expression = expression.into();
        self
    }

    /// The same finding, by what a profile asks.
    pub fn in_context(mut self, profile: impl Into<String>) -> Finding {
        self.context = profile.into();
        self
    }

    /// The same finding, placed at a byte of the received document.
    pub fn at_offset(mut self, offset: Option<u32>) -> Finding {
        self.offset = offset;
        self
    }

    /// The same finding about a resource that stands at `path` in what was received: `Patient.name` becomes `Bundle.entry[3].resource.name`.
    pub fn under(mut self, path: &str) -> Finding {
        if path.is_empty() || self.expression.starts_with(path) {
            return self;
        }
        self.expression = match self.expression.split_once('.') {
            Some((_, below)) => format!("{path}.{below}"),
            None => path.to_owned(),
        };
        self
    }

    /// Whether this finding alone makes the input invalid.
    pub fn is_error(&self) -> bool {
        self.severity >= Severity::Error
    }
}

/// Why a request was refused. The name is a stable label: metrics, audit records and `problem` use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    Malformed,
    UnsupportedMedia,
    NotAcceptable,
    TooLarge,
    UnknownType,
    UnknownParameter,
    NotSupported,
    MethodNotAllowed,
    NotFound,
    Gone,
    StaleVersion,
    MultipleMatches,
    IdempotencyConflict,
    /// What is stored is not as it was stored, and whoever sent it asks to change it.
    RecordDamaged,
    Invalid,
    Unauthenticated,
    Forbidden,
    UnresolvedReference,
    /// What was signed does not hold, or cannot be checked.
    BadSignature,
}

impl Reason {
    /// The stable label used in metrics and audit records.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::UnsupportedMedia => "unsupported-media",
            Reason::NotAcceptable => "not-acceptable",
            Reason::TooLarge => "too-large",
            Reason::UnknownType => "unknown-type",
            Reason::UnknownParameter => "unknown-parameter",
            Reason::NotSupported => "not-supported",
            Reason::MethodNotAllowed => "method-not-allowed",
            Reason::NotFound => "not-found",
            Reason::Gone => "gone",
            Reason::RecordDamaged => "record-damaged",
            Reason::StaleVersion => "stale-version",
            Reason::MultipleMatches => "multiple-matches",
            Reason::IdempotencyConflict => "idempotency-conflict",
            Reason::Invalid => "invalid",
            Reason::Unauthenticated => "unauthenticated",
            Reason::Forbidden => "forbidden",
            Reason::UnresolvedReference => "unresolved-reference",
            Reason::BadSignature => "bad-signature",
        }
    }
}

/// A request the gateway will not carry out, for a reason the sender can act on. It leaves nothing behind but an audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub findings: Vec<Finding>,
    pub aside: Option<Aside>,
}

/// Why consent withheld something, as only the record of it says: whoever is refused must not learn it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aside {
    /// The reason as a code.
    pub reason: &'static str,
    /// The consent that said so, by its reference.
    pub consent: Option<String>,
}

impl Refusal {
    /// A refusal with one finding about the whole request.
    pub fn new(reason: Reason, code: IssueType, text: impl Into<String>) -> Refusal {
        Refusal::of(reason, vec![Finding::error(code, reason.label(), text)])
    }

    /// A refusal for what was found.
    pub fn of(reason: Reason, findings: Vec<Finding>) -> Refusal {
        Refusal { reason, findings, aside: None }
    }

    /// The same refusal, its first finding placed at an element.
    pub fn at(mut self, expression: impl Into<String>) -> Refusal {
        if let Some(first) = self.findings.first_mut() {
            first.expression = expression.into();
        }
        self
    }
}

/// Where a fault arose; the stable label of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    Storage,
    StorageFull,
    StorageCorrupt,
    /// The log cannot be brought to where others see it.
    Unpublished,
    Overloaded,
    ShuttingDown,
    Ledger,
    Upstream,
    Timeout,
    Internal,
}

impl FaultKind {
    /// The stable label used in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            FaultKind::Storage => "storage",
            FaultKind::StorageFull => "storage-full",
            FaultKind::StorageCorrupt => "storage-corrupt",
            FaultKind::Unpublished => "unpublished",
            FaultKind::Overloaded => "overloaded",
            FaultKind::ShuttingDown => "shutting-down",
            FaultKind::Ledger => "ledger",
            FaultKind::Upstream => "upstream",
            FaultKind::Timeout => "timeout",
            FaultKind::Internal => "internal",
        }
    }
}

/// An error of ours. The detail goes to the log under the correlation id, never to the sender, and never holds patient data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub detail: String,
}

impl Fault {
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Fault {
        Fault { kind, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// What a stage that can both refuse and fail returns on the unhappy path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Refused(Refusal),
    Fault(Fault),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Fault(fault)
    }
}
