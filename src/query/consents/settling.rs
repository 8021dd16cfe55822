//! What becomes of a holder's record as far as it turns on its setting, and what is learnt of that from the holder.

use super::{Candidate, FEW, Judge};
use crate::consent::{self, Concept, is_administrative, labels_of_unknown_setting, settings_of};
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::pipeline::Pipeline;
use crate::query::beside::{Beside, MAX_BESIDE, name_of};
use crate::registry::Organisation;
use std::collections::BTreeSet;

impl Judge {
    /// What is told by the settings in which something took place.
    pub(super) fn setting(&self, resource: &Node) -> Vec<Concept> {
        let patients = self.beside.patients_in(resource, &self.registry).unwrap_or_default();
        let mut labels = self.labels_by_setting(resource, &patients);
        if self.is_unsettled(resource, &patients) {
            labels.extend(labels_of_unknown_setting());
        }
        labels
    }

    /// Whether it is not known of some setting what it is.
    pub(super) fn is_unsettled(&self, resource: &Node, patients: &[String]) -> bool {
        self.beside.is_unsettled(resource, &|setting| self.is_of(setting, patients))
    }

    /// Whether what a candidate names is at hand.
    pub(in crate::query) fn knows(&self, name: &str) -> bool {
        self.beside.has(name)
    }

    /// What is at hand under a name.
    pub(in crate::query) fn known(&self, name: &str) -> Option<&Candidate> {
        self.beside.record(name)
    }

    /// Whether a setting that is not known could change what becomes of a candidate.
    pub(in crate::query) fn turns_on_setting(&self, candidate: &Candidate) -> bool {
        let type_name = candidate.resource.resource_type().unwrap_or_default();
        let sender = self.registry.organisation_of(&candidate.source).map(Organisation::key).unwrap_or_default();
        let is_own = !sender.is_empty() && sender == self.recipient.organisation.key();
        if is_own || is_administrative(type_name) || matches!(type_name, "AuditEvent" | "Provenance") {
            return false;
        }
        let patients = self.beside.patients_in(&candidate.resource, &self.registry).unwrap_or_default();
        let facts = self.facts(&candidate.resource, &patients);
        let mut rules = patients.iter().flat_map(|id| self.speaking(id));
        rules.any(|rules| self.requests.iter().any(|request| consent::turns_on_setting(rules, request, &facts)))
    }

    /// Takes in what was learnt of settings, and looks up here what they name as theirs.
    pub(in crate::query) async fn learn(&mut self, pipeline: &Pipeline, learnt: Vec<(String, Option<Candidate>)>) -> Result<(), Fault> {
        let mut named = BTreeSet::new();
        for (name, setting) in learnt {
            named.extend(setting.iter().flat_map(|setting| settings_of(&setting.resource)).filter_map(|reference| name_of(&reference)));
            self.beside.learn(name, setting);
        }
        named.retain(|name| !self.beside.has(name));
        if named.is_empty() {
            self.beside.label_places(&self.labeller);
            return Ok(());
        }
        let definitions = pipeline.definitions;
        let are_few = named.len() <= FEW;
        let look = move |reader: &crate::store::Reader<'_>| Beside::gather(reader, definitions, named, MAX_BESIDE);
        let found = if are_few { pipeline.store.glance(look).await? } else { pipeline.store.read(look).await? };
        let names = self.beside.join(found);
        self.beside.label_places(&self.labeller);
        self.hide_learnt(&names);
        Ok(())
    }

    /// Finds out which of the records that were learnt are hidden, and so must not be pointed at.
    pub(in crate::query) fn hide_learnt(&mut self, names: &[String]) {
        let hidden = self.hidden_among(names.iter().filter_map(|name| self.beside.record(name)));
        self.beside.hide(hidden);
    }
}
