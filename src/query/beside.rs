//! What resources refer to, as far as the gateway keeps it: the setting tells how sensitive something is, and what points at hidden records must not
//! say so.

use super::Candidate;
use crate::consent::{
    Concept, Labeller, PatientReference, Reference, is_administrative, is_setting, labels_of_setting, patients_of, references_of,
    settings_of,
};
use crate::fhir::Node;
use crate::outcome::{Fault, FaultKind};
use crate::store::Reader;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most records looked up because others refer to them, for one answer. References to further ones are not shown.
pub(super) const MAX_BESIDE: usize = 5_000;
/// How many steps settings are followed: from a result to its encounter, from there to the place.
const SETTING_STEPS: usize = 2;
/// Who and what a record is by: references to them stay.
const PARTIES: [&str; 4] = ["Device", "Person", "Practitioner", "PractitionerRole"];

/// The records that others refer to.
#[derive(Default)]
pub(super) struct Beside {
    records: HashMap<String, Candidate>,
    /// References to what was deleted, or to more than was looked up.
    gone: HashSet<String>,
}

impl Beside {
    /// What a resource refers to that may be hidden, or may tell what the resource is. Whose it is, is neither.
    pub fn named_by(resource: &Node) -> impl Iterator<Item = String> {
        let own = patients_of(resource);
        let is_meant = move |reference: &Reference| {
            let may_be = |name: &str| !PARTIES.contains(&name) && (is_setting(name) || !is_administrative(name));
            reference.type_name().is_some_and(may_be) && !is_among(reference, &own)
        };
        references_of(resource).into_iter().filter(is_meant).filter_map(|reference| relative(&reference))
    }

    /// Looks up what is named. What the gateway never had stays as it is.
    pub fn gather(reader: &Reader<'_>, mut wanted: BTreeSet<String>, limit: usize) -> Result<Beside, Fault> {
        let mut beside = Beside::default();
        for step in 0..=SETTING_STEPS {
            let mut settings = BTreeSet::new();
            for reference in wanted {
                if beside.records.contains_key(&reference) || beside.gone.contains(&reference) {
                    continue;
                }
                if beside.records.len() >= limit {
                    beside.gone.insert(reference);
                    continue;
                }
                let Some((type_name, id)) = reference.split_once('/') else { continue };
                let version = match reader.current(type_name, id) {
                    // Nobody can tell whether it may be pointed at, unless it would say how sensitive something is: then nothing is answered.
                    Err(fault) if fault.kind == FaultKind::StorageCorrupt && !is_setting(type_name) => {
                        tracing::error!(detail = %fault.detail, "what is referred to cannot be read: references to it are not shown");
                        beside.gone.insert(reference);
                        continue;
                    }
                    version => version?,
                };
                let Some(version) = version else { continue };
                if version.deleted() {
                    beside.gone.insert(reference);
                    continue;
                }
                let candidate = Candidate::stored(&version)?;
                settings.extend(settings_of(&candidate.resource).iter().filter_map(relative));
                beside.records.insert(reference, candidate);
            }
            if step == SETTING_STEPS {
                break;
            }
            wanted = settings;
        }
        Ok(beside)
    }

    /// The records themselves.
    pub fn records(&self) -> impl Iterator<Item = &Candidate> {
        self.records.values()
    }

    /// Leaves out of sight what is hidden: from now on references to it go.
    pub fn hide(&mut self, hidden: Vec<String>) {
        self.gone.extend(hidden);
    }

    /// The references of a resource that must not be shown.
    pub fn hidden_from(&self, resource: &Node) -> Vec<Reference> {
        if self.gone.is_empty() {
            return Vec::new();
        }
        let own = patients_of(resource);
        let is_gone = |reference: &Reference| relative(reference).is_some_and(|text| self.gone.contains(&text));
        references_of(resource).into_iter().filter(|reference| is_gone(reference) && !is_among(reference, &own)).collect()
    }

    /// What the settings tell in which something took place.
    pub fn labels(&self, resource: &Node, labeller: &Labeller) -> Vec<Concept> {
        let mut labels = Vec::new();
        let mut fresh: Vec<&Node> = vec![resource];
        for _ in 0..SETTING_STEPS {
            let named: Vec<String> = fresh.iter().flat_map(|node| settings_of(node)).filter_map(|reference| relative(&reference)).collect();
            fresh = named.iter().filter_map(|reference| self.records.get(reference)).map(|candidate| &candidate.resource).collect();
            for label in fresh.iter().flat_map(|setting| labels_of_setting(setting, labeller)) {
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
        }
        labels
    }
}

fn is_among(reference: &Reference, patients: &[PatientReference]) -> bool {
    patients.iter().any(|patient| matches!(patient, PatientReference::Known(known) if known.relative() == reference.relative()))
}

fn relative(reference: &Reference) -> Option<String> {
    reference.relative().map(str::to_owned)
}
