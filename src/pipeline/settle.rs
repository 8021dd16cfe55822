//! What a write changes at all: a resend of what is there changes nothing, and a late result must not hide a later one.

use super::patient_ids;
use super::plan::{Step, Withdrawn};
use crate::fhir::{Node, json};
use crate::normalise::{Normalised, NormalisedEntry, Succession, succession};
use crate::outcome::{Fault, Finding, IssueType, Severity};
use crate::store::StoredVersion;
use crate::worklist::{self, Item};
use std::sync::Arc;

/// What becomes of a write once it is normalised.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// It makes a version.
    Stored,
    /// It says what the current version says already, of these patients.
    Unchanged(Arc<StoredVersion>, Vec<String>),
    /// It is older than its arrival: the current version stays, and what was received is kept as evidence.
    Late(Arc<StoredVersion>, Late),
}

impl Fate {
    /// The version that stays in the place of what was sent, and the patients whose it is.
    pub(super) fn stays(&self) -> Option<(&StoredVersion, &[String])> {
        match self {
            Fate::Stored => None,
            Fate::Unchanged(version, patients) => Some((version, patients)),
            Fate::Late(version, late) => Some((version, &late.patients)),
        }
    }

    /// Whether it is judged by what it says: what changes nothing was.
    fn is_judged(&self) -> bool {
        !matches!(self, Fate::Unchanged(..))
    }
}

/// What is said of a late result.
#[derive(Debug, Clone)]
pub(super) struct Late {
    finding: Finding,
    /// Its status and that of the last one known.
    statuses: (String, String),
    /// The patients of the last one known.
    patients: Vec<String>,
}

/// What people must decide: a result that is itself a last word, and says something else than the correction or withdrawal it came after.
pub(super) fn questions(source: &str, fates: &[Fate]) -> Vec<Item> {
    let question = |fate: &Fate| match fate {
        Fate::Late(version, Late { statuses: (incoming, known), .. }) if is_last_word(incoming) => {
            Some(worklist::late_result(source, &format!("{}/{}", version.type_name, version.id), incoming, known))
        }
        _ => None,
    };
    fates.iter().filter_map(question).collect()
}

fn is_last_word(status: &str) -> bool {
    matches!(status, "final" | "cancelled" | "amended" | "appended" | "corrected" | "entered-in-error")
}

/// Sets aside what changes nothing. The fates are in the order of the writes; what is late is still there, to be judged like any other write.
pub(super) fn settle(normalised: Normalised, withdrawn: &Withdrawn) -> Result<(Normalised, Vec<Fate>), Fault> {
    let fates = normalised.entries().iter().map(|entry| fate(entry, withdrawn)).collect::<Result<Vec<Fate>, Fault>>()?;
    let mut each = fates.iter();
    let judged = normalised.keep(|_| each.next().is_some_and(Fate::is_judged));
    Ok((judged, fates))
}

/// Of what was judged, what is stored, in order.
pub(super) fn stored(fates: &[Fate]) -> impl Iterator<Item = bool> {
    fates.iter().filter(|fate| fate.is_judged()).map(|fate| matches!(fate, Fate::Stored))
}

fn fate(entry: &NormalisedEntry, withdrawn: &Withdrawn) -> Result<Fate, Fault> {
    let (Some(previous), Some(resource)) = (&entry.target.previous, &entry.resource) else { return Ok(Fate::Stored) };
    if previous.deleted() {
        let last = withdrawn.get(&format!("{}/{}", previous.type_name, previous.id)).map(StoredVersion::parse).transpose()?;
        let late = last.and_then(|last| late(entry, &last, resource, "was deleted since. It is kept as evidence; the deletion stays"));
        return Ok(late.map_or(Fate::Stored, |late| Fate::Late(Arc::clone(previous), late)));
    }
    let current = previous.parse()?;
    if content(current.clone()) == content(resource.clone()) {
        return Ok(Fate::Unchanged(Arc::clone(previous), patient_ids(&current)));
    }
    let late = late(entry, &current, resource, "is current. It is kept as evidence; the current result stays");
    Ok(late.map_or(Fate::Stored, |late| Fate::Late(Arc::clone(previous), late)))
}

/// What is said of a result that is older than its arrival, beside the last one known.
fn late(entry: &NormalisedEntry, known: &Node, incoming: &Node, which: &str) -> Option<Late> {
    if !matches!(entry.target.type_name.as_str(), "Observation" | "DiagnosticReport") {
        return None;
    }
    let patients = patient_ids(known);
    let (known, incoming) = known.text("status").zip(incoming.text("status"))?;
    let text = format!("A result of status {incoming} came after one of status {known}, which {which}.");
    let finding = Finding::new(Severity::Warning, IssueType::BusinessRule, "late-result", text).at(entry.path.clone());
    let statuses = (incoming.to_owned(), known.to_owned());
    (succession(known, incoming) == Succession::ArrivesLate).then_some(Late { finding, statuses, patients })
}

/// What a resource says, without what the gateway stamps on it.
pub(super) fn content(mut resource: Node) -> String {
    if let Some(object) = resource.as_object_mut() {
        object.remove("id");
        if let Some(meta) = object.get_mut("meta").and_then(Node::as_object_mut) {
            meta.remove("versionId");
            meta.remove("lastUpdated");
            if meta.is_empty() {
                object.remove("meta");
            }
        }
    }
    json::write_canonical(&resource)
}

/// The steps of a plan after settling: what was set aside is answered with the version that stays.
pub(super) fn settled(steps: Vec<Step>, fates: &[Fate]) -> Vec<Step> {
    let settle = |step: Step| match step {
        Step::Write(index) => match fates.get(index) {
            Some(Fate::Unchanged(version, _)) => Step::Stays { version: Arc::clone(version), finding: None },
            Some(Fate::Late(version, late)) => Step::Stays { version: Arc::clone(version), finding: Some(late.finding.clone()) },
            _ => Step::Write(fates.iter().take(index).filter(|fate| matches!(fate, Fate::Stored)).count()),
        },
        other => other,
    };
    steps.into_iter().map(settle).collect()
}
