//! What was received, split into the writes it asks for: one for a single resource, one an entry for a batch or transaction.

use super::body::{Evidence, IdempotencyKey, Limits};
use super::interaction::{Conditions, Interaction, Verb, decode_pairs, parse};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType, Reason, Refusal};
use crate::sign::X_PROVENANCE;

/// How the entries of a Bundle stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// All or nothing.
    Transaction,
    /// Each on its own.
    Batch,
}

/// A write asked for: the interaction and the resource it carries.
#[derive(Debug, Clone)]
pub struct Write {
    pub interaction: Interaction,
    pub resource: Option<Node>,
    /// `Bundle.entry.fullUrl`: what other entries may call this resource.
    pub full_url: Option<String>,
    /// Indexed path of the resource in what was received: `Bundle.entry[3].resource`, or empty for a single resource.
    pub path: String,
}

/// One entry of a batch or transaction, in the order of the Bundle.
#[derive(Debug, Clone)]
pub enum Entry {
    Write(Box<Write>),
    /// A read or search.
    Query(Interaction),
    /// An operation, with what it is asked about.
    Operation {
        interaction: Interaction,
        parameters: Option<Node>,
    },
    /// Refused on its own; in a transaction that refuses the whole.
    Refused(Refusal),
}

/// What a sender handed over, unchanged but parsed.
#[derive(Debug, Clone)]
pub struct Received {
    evidence: Evidence,
    idempotency: Option<IdempotencyKey>,
    writes: Vec<Write>,
    /// Whether the same bytes carry other submissions too: the entries of a batch.
    shared: bool,
}

impl Received {
    /// A single resource for a create or update, or nothing for a delete.
    pub fn single(
        evidence: Evidence,
        interaction: Interaction,
        resource: Option<Node>,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Received, Refusal> {
        if let Some(resource) = &resource {
            expect_type(&interaction, resource)?;
        }
        let write = Write { interaction, resource, full_url: None, path: String::new() };
        Ok(Received { evidence, idempotency, writes: vec![write], shared: false })
    }

    /// The writes of a transaction.
    pub fn transaction(evidence: Evidence, writes: Vec<Write>, idempotency: Option<IdempotencyKey>) -> Received {
        Received { evidence, idempotency, writes, shared: false }
    }

    /// One write of a batch.
    pub fn batch_entry(evidence: Evidence, write: Write) -> Received {
        Received { evidence, idempotency: None, writes: vec![write], shared: true }
    }

    /// The same with a Provenance of every write in it, as a request may bring one in its header (R4 §6.3.4.3).
    #[must_use]
    pub fn with_provenance(mut self, mut provenance: Node) -> Received {
        let named = self.writes.iter_mut().enumerate().map(|(index, write)| {
            let name = write.full_url.get_or_insert_with(|| format!("urn:uuid:00000000-0000-4000-8000-{index:012x}"));
            Object::new().with("reference", name.as_str()).into()
        });
        let targets: Vec<Node> = named.collect();
        if let Some(object) = provenance.as_object_mut() {
            object.set("target", targets);
        }
        let interaction = Interaction::Create { type_name: "Provenance".to_owned(), if_none_exist: None };
        self.writes.push(Write { interaction, resource: Some(provenance), full_url: None, path: X_PROVENANCE.to_owned() });
        self
    }

    pub fn is_shared(&self) -> bool {
        self.shared
    }

    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    pub fn idempotency(&self) -> Option<IdempotencyKey> {
        self.idempotency
    }

    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Hands on the evidence and the writes.
    pub fn into_parts(self) -> (Evidence, Vec<Write>) {
        (self.evidence, self.writes)
    }
}

/// The resource must be of the type the URL names, and carry the URL's id when it carries one.
fn expect_type(interaction: &Interaction, resource: &Node) -> Result<(), Refusal> {
    let Some(expected) = interaction.type_name() else { return Ok(()) };
    match resource.resource_type() {
        Some(found) if found == expected => {}
        Some(_) => {
            let text = format!("The resource in the body is not of the type {expected} that the URL names.");
            return Err(Refusal::new(Reason::Malformed, IssueType::Invalid, text));
        }
        None => {
            let text = "The body is not a FHIR resource: it has no 'resourceType'.";
            return Err(Refusal::new(Reason::Malformed, IssueType::Structure, text));
        }
    }
    match interaction {
        Interaction::Update { id, .. } if resource.text("id").is_some_and(|own| own != id) => {
            Err(Refusal::new(Reason::Malformed, IssueType::Invalid, "The resource's id is not the id in the URL.")
                .at(format!("{expected}.id")))
        }
        Interaction::Update { .. } if resource.text("id").is_none() => {
            Err(Refusal::new(Reason::Malformed, IssueType::Required, "An update needs the resource's id in the body.")
                .at(format!("{expected}.id")))
        }
        _ => Ok(()),
    }
}

/// Splits a batch or transaction Bundle. Entry errors are kept in place; only a Bundle that is none at all is refused here.
pub fn split(bundle: Node, limits: &Limits, definitions: &Definitions) -> Result<(BundleKind, Vec<Entry>), Refusal> {
    if bundle.resource_type() != Some("Bundle") {
        return Err(Refusal::new(Reason::Malformed, IssueType::Invalid, "Only a Bundle can be posted to the base URL."));
    }
    let kind = match bundle.text("type") {
        Some("transaction") => BundleKind::Transaction,
        Some("batch") => BundleKind::Batch,
        _ => {
            let text = "A Bundle posted to the base URL is of type 'transaction' or 'batch'.";
            return Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at("Bundle.type"));
        }
    };
    let Value::Object(mut object) = bundle.value else { return Ok((kind, Vec::new())) };
    let entries = match object.remove("entry").map(|node| node.value) {
        Some(Value::List(entries)) => entries,
        None => Vec::new(),
        Some(_) => return Err(Refusal::new(Reason::Malformed, IssueType::Structure, "Bundle.entry is a list.").at("Bundle.entry")),
    };
    if entries.len() > limits.bundle_entries {
        let text = format!("The Bundle has more entries than this gateway's limit of {}. Send it in parts.", limits.bundle_entries);
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text).at("Bundle.entry"));
    }
    let split = entries.into_iter().enumerate().map(|(index, node)| {
        let path = format!("Bundle.entry[{index}]");
        entry(node, &path, definitions).unwrap_or_else(|refusal| Entry::Refused(placed(refusal, &path)))
    });
    Ok((kind, split.collect()))
}

/// Findings about an entry that do not say where, say it.
fn placed(refusal: Refusal, path: &str) -> Refusal {
    let place =
        |finding: Finding| if finding.expression.starts_with("Bundle") { finding } else { finding.under(&format!("{path}.resource")) };
    Refusal { findings: refusal.findings.into_iter().map(place).collect(), ..refusal }
}

fn entry(node: Node, path: &str, definitions: &Definitions) -> Result<Entry, Refusal> {
    let Value::Object(mut entry) = node.value else {
        return Err(Refusal::new(Reason::Malformed, IssueType::Structure, "An entry is an object."));
    };
    let request = entry.remove("request").and_then(|node| match node.value {
        Value::Object(request) => Some(request),
        _ => None,
    });
    if entry.get("modifierExtension").is_some() || request.as_ref().is_some_and(|request| request.get("modifierExtension").is_some()) {
        let text = "The entry has a modifierExtension that is not understood, so it cannot be told what it means.";
        return Err(Refusal::new(Reason::Malformed, IssueType::Extension, text).at(format!("{path}.modifierExtension")));
    }
    let Some(request) = request else {
        return Err(Refusal::new(Reason::Malformed, IssueType::Required, "Every entry of a batch or transaction has a request.")
            .at(format!("{path}.request")));
    };
    let interaction = requested(&request, path, definitions)?;
    let full_url = entry.get("fullUrl").and_then(Node::as_text).map(str::to_owned);
    let resource = entry.remove("resource");
    if matches!(interaction, Interaction::Operation { .. }) {
        return Ok(Entry::Operation { interaction, parameters: resource });
    }
    if !interaction.writes() {
        return Ok(Entry::Query(interaction));
    }
    if matches!(interaction, Interaction::Bundle) {
        return Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, "A Bundle within a Bundle cannot be processed.")
            .at(format!("{path}.request.url")));
    }
    let carries = !matches!(interaction, Interaction::Delete { .. } | Interaction::ConditionalDelete { .. });
    match &resource {
        Some(resource) if carries => expect_type(&interaction, resource)?,
        None if carries => {
            return Err(Refusal::new(Reason::Malformed, IssueType::Required, "This entry needs a resource.").at(format!("{path}.resource")));
        }
        _ => {}
    }
    let resource = if carries { resource } else { None };
    Ok(Entry::Write(Box::new(Write { interaction, resource, full_url, path: format!("{path}.resource") })))
}

fn requested(request: &Object, path: &str, definitions: &Definitions) -> Result<Interaction, Refusal> {
    let text = |name: &str| request.get(name).and_then(Node::as_text);
    let verb = text("method").and_then(Verb::parse).ok_or_else(|| {
        Refusal::new(Reason::Malformed, IssueType::Value, "request.method is one of GET, HEAD, POST, PUT, DELETE, PATCH.")
            .at(format!("{path}.request.method"))
    })?;
    let url = text("url").ok_or_else(|| {
        Refusal::new(Reason::Malformed, IssueType::Required, "request.url says what the entry is about.").at(format!("{path}.request.url"))
    })?;
    let (target, query) = url.split_once('?').unwrap_or((url, ""));
    let owned = |name: &str| text(name).map(str::to_owned);
    let conditions = Conditions {
        if_match: owned("ifMatch"),
        if_none_match: owned("ifNoneMatch"),
        if_none_exist: owned("ifNoneExist"),
        if_modified_since: owned("ifModifiedSince"),
    };
    parse(verb, target, decode_pairs(query)?, &conditions, definitions).map_err(|refusal| refusal.at(format!("{path}.request.url")))
}

/// The refusal of a transaction because of its refused entries: all their findings together.
pub fn refusal_of(entries: &[Entry]) -> Option<Refusal> {
    let refused: Vec<&Refusal> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Refused(refusal) => Some(refusal),
            _ => None,
        })
        .collect();
    let first = refused.first()?;
    let findings: Vec<Finding> = refused.iter().flat_map(|refusal| refusal.findings.clone()).collect();
    Some(Refusal::of(first.reason, findings))
}
