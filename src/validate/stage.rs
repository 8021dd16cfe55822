//! Normalised → Validated: every resource judged, and the partner's policy applied to what was found.

use super::asking::Question;
use super::{Options, check, check_asking};
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::intake::Evidence;
use crate::normalise::{Change, Normalised, NormalisedEntry};
use crate::outcome::{Finding, IssueType, Reason, Refusal, Severity};
use crate::sign;
use crate::store::Target;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The most questions that one submission has for a terminology server; codes beyond are not asked about.
const SUBMISSION_QUESTIONS_MAX: usize = 2_000;

/// What a partner wants done with a resource that is not valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnInvalid {
    #[default]
    /// Refuse the whole submission.
    Reject,
    /// Refuse the whole submission where the base definitions are broken by its form; keep every other finding with it.
    RejectStructure,
    /// Accept it and keep the findings with it.
    Flag,
}

/// What a partner's resources are held to.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub on_invalid: OnInvalid,
    pub options: Options,
    /// Profiles by resource type that every resource of the type must meet.
    pub profiles: BTreeMap<String, Vec<String>>,
}

impl Policy {
    /// The options for resources of a type.
    pub fn options_for(&self, type_name: &str) -> Cow<'_, Options> {
        match self.profiles.get(type_name) {
            None => Cow::Borrowed(&self.options),
            Some(profiles) => {
                let mut options = self.options.clone();
                options.profiles.extend(profiles.iter().cloned());
                Cow::Owned(options)
            }
        }
    }
}

/// A submission fit to be anchored. Only [`Validated::judge`] makes one.
#[derive(Debug)]
pub struct Validated {
    evidence: Evidence,
    entries: Vec<ValidatedEntry>,
}

/// One write, judged.
#[derive(Debug)]
pub struct ValidatedEntry {
    pub target: Target,
    pub resource: Option<Node>,
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    /// Ids of the patients it is about.
    pub patients: Vec<String>,
    /// Where the resource stood in what was received.
    pub path: String,
}

/// What a terminology server would have to be asked to judge a submission, each question once.
pub fn questions(normalised: &Normalised, definitions: &Definitions, policy: &Policy) -> Vec<Question> {
    let mut asked = BTreeSet::new();
    for resource in normalised.entries().iter().filter_map(|entry| entry.resource.as_ref()) {
        if asked.len() >= SUBMISSION_QUESTIONS_MAX {
            break;
        }
        let options = policy.options_for(resource.resource_type().unwrap_or_default());
        asked.extend(check_asking(definitions, resource, &options).1);
    }
    asked.into_iter().take(SUBMISSION_QUESTIONS_MAX).collect()
}

impl Validated {
    /// Judges every resource. `patients_of` names the patients a resource is about.
    pub fn judge(
        normalised: Normalised,
        definitions: &Definitions,
        policy: &Policy,
        patients_of: impl Fn(&Node) -> Vec<String>,
    ) -> Result<Validated, Refusal> {
        let (evidence, entries) = normalised.into_parts();
        let entries: Vec<ValidatedEntry> = entries.into_iter().map(|entry| judge(entry, definitions, policy, &patients_of)).collect();
        let all = || entries.iter().flat_map(|entry| &entry.findings);
        let is_refused = match policy.on_invalid {
            OnInvalid::Reject => all().any(Finding::is_error),
            OnInvalid::RejectStructure => all().any(|finding| breaks_structure(definitions, finding)),
            OnInvalid::Flag => false,
        };
        if is_refused {
            let shown = all().filter(|finding| finding.severity >= Severity::Warning).cloned().collect();
            return Err(Refusal::of(Reason::Invalid, shown));
        }
        Ok(Validated { evidence, entries })
    }

    /// The submission without the entries that were judged and are not stored.
    pub fn keep(mut self, mut is_kept: impl FnMut() -> bool) -> Validated {
        self.entries.retain(|_| is_kept());
        self
    }

    pub fn into_parts(self) -> (Evidence, Vec<ValidatedEntry>) {
        (self.evidence, self.entries)
    }
}

/// Whether a finding says that a resource is no FHIR by its form: elements, cardinalities and formats as the base definitions have them.
/// Codes, invariants, extensions and what a profile adds are what the sender says, and no matter of form.
pub fn breaks_structure(definitions: &Definitions, finding: &Finding) -> bool {
    let profile = finding.context.split('|').next().unwrap_or_default();
    let is_base = profile.is_empty()
        || profile
            .strip_prefix("http://hl7.org/fhir/StructureDefinition/")
            .is_some_and(|name| definitions.types().type_named(name).is_some());
    let is_form = matches!(finding.code, IssueType::Structure | IssueType::Required | IssueType::Value | IssueType::Invalid);
    finding.is_error() && is_form && is_base
}

fn judge(
    entry: NormalisedEntry,
    definitions: &Definitions,
    policy: &Policy,
    patients_of: &impl Fn(&Node) -> Vec<String>,
) -> ValidatedEntry {
    let mut findings = entry.findings;
    if let Some(resource) = &entry.resource {
        let found = check(definitions, resource, &policy.options_for(resource.resource_type().unwrap_or_default()));
        findings.extend(found.into_iter().chain(sign::unjudged(resource)).map(|finding| finding.under(&entry.path)));
    }
    let mut patients = entry.resource.as_ref().map(patients_of).unwrap_or_default();
    // Whoever it was about until now learns that it is gone, or somebody else's. What cannot be read is refused where it is anchored.
    let previous = entry.target.previous.as_ref().filter(|previous| !previous.deleted());
    let former = previous.and_then(|previous| previous.parse().ok()).map(|former| patients_of(&former)).unwrap_or_default();
    former.into_iter().for_each(|patient| {
        if !patients.contains(&patient) {
            patients.push(patient);
        }
    });
    ValidatedEntry { target: entry.target, resource: entry.resource, changes: entry.changes, findings, patients, path: entry.path }
}
