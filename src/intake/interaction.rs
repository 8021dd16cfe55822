//! The normal form of a FHIR REST request (R4 §3.1): the same whether it came as a URL, a form body, or an entry of a batch.

use crate::definitions::Definitions;
use crate::outcome::{IssueType, Reason, Refusal};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// Decoded name and value pairs of a query string or form, in order.
pub type Pairs = Vec<(String, String)>;

/// The most query parameters a request may have.
const MAX_PAIRS: usize = 200;
/// What is said to a search that names no type.
const ONE_TYPE: &str = "A search across all types is not supported. Search one type: GET [base]/Patient?…";
/// The longest resource id, FHIR's own limit (R4 §2.24.0.1).
const MAX_ID_CHARACTERS: usize = 64;

/// The HTTP methods FHIR uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
}

impl Verb {
    pub fn parse(name: &str) -> Option<Verb> {
        match name {
            "GET" => Some(Verb::Get),
            "HEAD" => Some(Verb::Head),
            "POST" => Some(Verb::Post),
            "PUT" => Some(Verb::Put),
            "DELETE" => Some(Verb::Delete),
            "PATCH" => Some(Verb::Patch),
            _ => None,
        }
    }
}

/// The conditional headers, or their fields in `Bundle.entry.request`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_none_exist: Option<String>,
    pub if_modified_since: Option<String>,
}

/// One operation the gateway offers, by its FHIR name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    Validate,
    /// The receipt of a version: the tlog-proof that anchors it.
    Receipt,
    /// A Patient composed of all records of the person.
    GoldenRecord,
    /// Records that may be a given patient's.
    Match,
    /// Everything of one patient.
    Everything,
    /// Everything on record of a resource, as a Bundle or an evidence package.
    Trail,
    /// Who was told what of a patient.
    Disclosures,
    /// Destroys a resource and what leads to it.
    Erase,
    /// A party's signature for a submission that waits behind a Task.
    SignOff,
    /// What waits behind a Task, to be signed.
    Pending,
    /// What the patient's consents permit to whom.
    ConsentDecide,
    /// Files a consent with the documents it was given on.
    FileConsent,
    /// Ends a consent.
    RevokeConsent,
    /// Opens a patient's record in an emergency.
    BreakGlass,
}

/// What is asked, decided from the request alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interaction {
    Capabilities,
    Read {
        type_name: String,
        id: String,
    },
    VersionRead {
        type_name: String,
        id: String,
        version: String,
    },
    InstanceHistory {
        type_name: String,
        id: String,
        pairs: Pairs,
    },
    TypeHistory {
        type_name: String,
        pairs: Pairs,
    },
    SystemHistory {
        pairs: Pairs,
    },
    Search {
        type_name: String,
        pairs: Pairs,
    },
    Create {
        type_name: String,
        if_none_exist: Option<String>,
    },
    /// `only_new` is `If-None-Match: *`: nothing may be there yet.
    Update {
        type_name: String,
        id: String,
        if_match: Option<String>,
        only_new: bool,
    },
    ConditionalUpdate {
        type_name: String,
        criteria: Pairs,
        if_match: Option<String>,
    },
    Delete {
        type_name: String,
        id: String,
        if_match: Option<String>,
    },
    ConditionalDelete {
        type_name: String,
        criteria: Pairs,
    },
    Bundle,
    Operation {
        operation: Operation,
        type_name: Option<String>,
        id: Option<String>,
        version: Option<String>,
        pairs: Pairs,
    },
}

impl Interaction {
    /// FHIR's code for it (`restful-interaction` and `system-restful-interaction`), or `operation`.
    pub fn code(&self) -> &'static str {
        match self {
            Interaction::Capabilities => "capabilities",
            Interaction::Read { .. } => "read",
            Interaction::VersionRead { .. } => "vread",
            Interaction::InstanceHistory { .. } => "history-instance",
            Interaction::TypeHistory { .. } => "history-type",
            Interaction::SystemHistory { .. } => "history-system",
            Interaction::Search { .. } => "search-type",
            Interaction::Create { .. } => "create",
            Interaction::Update { .. } | Interaction::ConditionalUpdate { .. } => "update",
            Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => "delete",
            Interaction::Bundle => "transaction",
            Interaction::Operation { .. } => "operation",
        }
    }

    /// The resource type it is about, when it names one.
    pub fn type_name(&self) -> Option<&str> {
        match self {
            Interaction::Read { type_name, .. }
            | Interaction::VersionRead { type_name, .. }
            | Interaction::InstanceHistory { type_name, .. }
            | Interaction::TypeHistory { type_name, .. }
            | Interaction::Search { type_name, .. }
            | Interaction::Create { type_name, .. }
            | Interaction::Update { type_name, .. }
            | Interaction::ConditionalUpdate { type_name, .. }
            | Interaction::Delete { type_name, .. }
            | Interaction::ConditionalDelete { type_name, .. } => Some(type_name),
            Interaction::Operation { type_name, .. } => type_name.as_deref(),
            Interaction::Capabilities | Interaction::SystemHistory { .. } | Interaction::Bundle => None,
        }
    }

    /// Whether it changes what is stored.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Interaction::Create { .. }
                | Interaction::Update { .. }
                | Interaction::ConditionalUpdate { .. }
                | Interaction::Delete { .. }
                | Interaction::ConditionalDelete { .. }
                | Interaction::Bundle
        )
    }
}

/// Decodes `a=b&c=d` (`application/x-www-form-urlencoded`). Refuses what does not decode to UTF-8.
pub fn decode_pairs(encoded: &str) -> Result<Pairs, Refusal> {
    let mut pairs = Vec::new();
    for part in encoded.split('&').filter(|part| !part.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            return Err(Refusal::new(Reason::Malformed, IssueType::TooLong, format!("More than {MAX_PAIRS} query parameters.")));
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(String::from).map_err(|_| Refusal::new(Reason::Malformed, IssueType::Invalid, "The query string is not valid UTF-8."))
}

/// Decides what a request asks. `path` is relative to the FHIR base, without leading or trailing slash; `pairs` are URL and form parameters together.
pub fn parse(verb: Verb, path: &str, pairs: Pairs, conditions: &Conditions, definitions: &Definitions) -> Result<Interaction, Refusal> {
    let segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Result<_, _>>()?;
    let steps: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Some(&first) = steps.first()
        && !first.starts_with('$')
        && !matches!(first, "metadata" | "_history" | "_search")
    {
        known_type(first, definitions)?;
    }
    let read = matches!(verb, Verb::Get | Verb::Head);
    if !read {
        understood_on_write(verb, steps.len(), conditions)?;
    }
    if steps.len() != 1 || (verb == Verb::Post && steps.first().is_some_and(|step| !step.starts_with('$'))) {
        no_stray_parameters(verb, &steps, &pairs)?;
    }
    let conditional = !pairs.is_empty();
    let owned = |text: &str| text.to_owned();
    match (verb, steps.as_slice()) {
        (_, ["metadata"]) if read => Ok(Interaction::Capabilities),
        (Verb::Post, []) => Ok(Interaction::Bundle),
        (_, ["_history"]) if read => Ok(Interaction::SystemHistory { pairs }),
        (_, []) if read => Err(unsupported(ONE_TYPE)),
        (Verb::Post, ["_search"]) => Err(unsupported(ONE_TYPE)),
        (_, ["metadata" | "_history" | "_search"]) => Err(not_offered()),
        (_, [operation]) if operation.starts_with('$') => named_operation(verb, operation, [None, None, None], pairs),
        (_, [type_name, operation]) if operation.starts_with('$') => named_operation(verb, operation, [Some(type_name), None, None], pairs),
        (_, [type_name, id, operation]) if operation.starts_with('$') => {
            named_operation(verb, operation, [Some(type_name), Some(id), None], pairs)
        }
        (_, [type_name, id, "_history", version, operation]) if operation.starts_with('$') => {
            named_operation(verb, operation, [Some(type_name), Some(id), Some(version)], pairs)
        }
        (_, [type_name]) if read => Ok(Interaction::Search { type_name: owned(type_name), pairs }),
        (Verb::Post, [type_name, "_search"]) => Ok(Interaction::Search { type_name: owned(type_name), pairs }),
        (_, [type_name, "_history"]) if read => Ok(Interaction::TypeHistory { type_name: owned(type_name), pairs }),
        (Verb::Post, [type_name]) => {
            Ok(Interaction::Create { type_name: owned(type_name), if_none_exist: conditions.if_none_exist.clone() })
        }
        (Verb::Put, [type_name]) if conditional => {
            Ok(Interaction::ConditionalUpdate { type_name: owned(type_name), criteria: pairs, if_match: conditions.if_match.clone() })
        }
        (Verb::Delete, [type_name]) if conditional => Ok(Interaction::ConditionalDelete { type_name: owned(type_name), criteria: pairs }),
        (_, [type_name, id]) if read => Ok(Interaction::Read { type_name: owned(type_name), id: legal_id(id)? }),
        (Verb::Put, [type_name, id]) => {
            let only_new = conditions.if_none_match.is_some();
            Ok(Interaction::Update { type_name: owned(type_name), id: legal_id(id)?, if_match: conditions.if_match.clone(), only_new })
        }
        (Verb::Delete, [type_name, id]) => {
            Ok(Interaction::Delete { type_name: owned(type_name), id: legal_id(id)?, if_match: conditions.if_match.clone() })
        }
        (_, [type_name, id, "_history"]) if read => {
            Ok(Interaction::InstanceHistory { type_name: owned(type_name), id: legal_id(id)?, pairs })
        }
        (_, [type_name, id, "_history", version]) if read => {
            Ok(Interaction::VersionRead { type_name: owned(type_name), id: legal_id(id)?, version: owned(version) })
        }
        (Verb::Patch, [_, ..]) => Err(unsupported("PATCH is not supported. Send the whole resource with PUT.")),
        _ => Err(not_offered()),
    }
}

fn not_offered() -> Refusal {
    let text = "This combination of method and path is not a FHIR interaction the gateway offers. See GET [base]/metadata.";
    Refusal::new(Reason::MethodNotAllowed, IssueType::NotSupported, text)
}

/// Conditions that would change what a write does are carried out or refused.
fn understood_on_write(verb: Verb, steps: usize, conditions: &Conditions) -> Result<(), Refusal> {
    if conditions.if_modified_since.is_some() {
        return Err(unsupported("If-Modified-Since is not supported for writes."));
    }
    let guarded = matches!((verb, steps), (Verb::Put, 1 | 2) | (Verb::Delete, 2));
    if conditions.if_match.is_some() && !guarded {
        return Err(unsupported("If-Match is supported for updates, and for deletions by id."));
    }
    if conditions.if_none_exist.is_some() && (verb, steps) != (Verb::Post, 1) {
        return Err(unsupported("If-None-Exist is supported for creations."));
    }
    match conditions.if_none_match.as_deref() {
        None => Ok(()),
        Some("*") if verb == Verb::Put && steps == 2 => Ok(()),
        Some(_) => Err(unsupported("If-None-Match is supported for reads, and as '*' for an update by id that must create.")),
    }
}

/// Reads and writes by id, creates and Bundles take no parameters but those that shape the answer.
fn no_stray_parameters(verb: Verb, steps: &[&str], pairs: &Pairs) -> Result<(), Refusal> {
    if steps.iter().any(|step| *step == "_history" || *step == "_search" || step.starts_with('$')) && steps.len() != 4 {
        return Ok(());
    }
    let shapes: &[&str] =
        if matches!(verb, Verb::Get | Verb::Head) { &["_format", "_pretty", "_summary", "_elements"] } else { &["_format", "_pretty"] };
    match pairs.iter().find(|(name, _)| !shapes.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let text = "This parameter means nothing here. See GET [base]/metadata for what is offered.";
            Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()))
        }
    }
}

fn unsupported(text: &str) -> Refusal {
    Refusal::new(Reason::NotSupported, IssueType::NotSupported, text)
}

fn known_type(name: &str, definitions: &Definitions) -> Result<(), Refusal> {
    match definitions.types().resource(name) {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            Reason::UnknownType,
            IssueType::NotSupported,
            "The path does not name a resource type of FHIR R4. Type names are case-sensitive.",
        )),
    }
}

fn named_operation(verb: Verb, name: &str, [type_name, id, version]: [Option<&&str>; 3], pairs: Pairs) -> Result<Interaction, Refusal> {
    let is_patient = type_name.is_some_and(|name| *name == "Patient");
    let is_consent = type_name.is_some_and(|name| *name == "Consent");
    let is_task = id.is_some() && type_name.is_some_and(|name| *name == "Task");
    let operation = match name {
        "$validate" => Operation::Validate,
        "$receipt" if id.is_some() => Operation::Receipt,
        "$sign-off" if is_task && version.is_none() => Operation::SignOff,
        "$pending" if is_task && version.is_none() => Operation::Pending,
        "$golden-record" if id.is_some() && version.is_none() && is_patient => Operation::GoldenRecord,
        "$match" if id.is_none() && is_patient => Operation::Match,
        "$everything" if id.is_some() && version.is_none() && is_patient => Operation::Everything,
        "$provenance-trail" if id.is_some() && version.is_none() => Operation::Trail,
        "$disclosures" if id.is_some() && version.is_none() && is_patient => Operation::Disclosures,
        "$consent-decide" if version.is_none() && (id.is_some() && is_patient || id.is_none() && is_consent) => Operation::ConsentDecide,
        "$break-glass" if id.is_some() && version.is_none() && is_patient => Operation::BreakGlass,
        "$fileConsent" if id.is_none() && is_consent => Operation::FileConsent,
        "$revokeConsent" if id.is_some() && version.is_none() && is_consent => Operation::RevokeConsent,
        "$erase" if id.is_some() && version.is_none() => Operation::Erase,
        _ => return Err(unsupported("This operation is not offered here. See GET [base]/metadata for those that are.")),
    };
    // What is validated is in the body, and a receipt needs none (R4 §3.2.0.1: GET only where nothing is changed).
    let by = match operation {
        Operation::Validate
        | Operation::Match
        | Operation::Erase
        | Operation::SignOff
        | Operation::ConsentDecide
        | Operation::FileConsent
        | Operation::RevokeConsent
        | Operation::BreakGlass => verb == Verb::Post,
        Operation::Receipt
        | Operation::GoldenRecord
        | Operation::Everything
        | Operation::Trail
        | Operation::Disclosures
        | Operation::Pending => {
            matches!(verb, Verb::Get | Verb::Head)
        }
    };
    if !by {
        return Err(not_offered());
    }
    let id = id.map(|id| legal_id(id)).transpose()?;
    Ok(Interaction::Operation {
        operation,
        type_name: type_name.map(|name| (*name).to_owned()),
        id,
        version: version.map(|version| (*version).to_owned()),
        pairs,
    })
}

fn legal_id(id: &str) -> Result<String, Refusal> {
    let legal = !id.is_empty()
        && id.len() <= MAX_ID_CHARACTERS
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if legal {
        return Ok(id.to_owned());
    }
    let text = format!("A resource id has 1 to {MAX_ID_CHARACTERS} characters of A-Z, a-z, 0-9, '-' and '.'.");
    Err(Refusal::new(Reason::Malformed, IssueType::Value, text))
}
