//! What becomes of a holder's record as far as it turns on its setting, and what is learnt of that from the holder.

use super::{Candidate, FEW, Judge, Ruling};
use crate::consent::{self, Concept, is_administrative, labels_of_unknown_setting, logical_names, settings_of};
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::pipeline::Pipeline;
use crate::query::beside::{Beside, MAX_BESIDE, Wanted, name_of};
use std::collections::BTreeSet;

impl Judge {
    /// What is told by the settings in which something took place.
    pub(super) fn setting(&self, resource: &Node) -> Vec<Concept> {
        let patients = self.patients_in(resource).unwrap_or_default();
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

    /// Whether what a record about these patients names is at hand, or was asked for in vain.
    pub(in crate::query) fn knows(&self, name: &str, patients: &[String]) -> bool {
        self.beside.has(name, &|record| self.is_of(record, patients))
    }

    /// Whether something was looked for by this name and is not here.
    pub(in crate::query) fn lacks(&self, name: &str) -> bool {
        self.beside.lacks(name)
    }

    /// The stored records that stand between a candidate and settings that are not here, with the names of these.
    pub(in crate::query) fn lacking_behind(&self, candidate: &Candidate) -> Vec<(&Candidate, Vec<String>)> {
        let patients = self.patients_in(&candidate.resource).unwrap_or_default();
        self.beside.lacking_behind(&candidate.resource, &|setting| self.is_of(setting, &patients))
    }

    /// The same between a candidate and what those belong to who did something.
    pub(in crate::query) fn lacking_behind_doers(&self, candidate: &Candidate) -> Vec<(&Candidate, Vec<String>)> {
        let patients = self.patients_in(&candidate.resource).unwrap_or_default();
        let is_of_theirs = |record: &Node| self.is_of(record, &patients);
        let named = consent::doers_of(&candidate.resource);
        let names: BTreeSet<String> =
            named.iter().flat_map(|named| [&named.literal, &named.logical]).flatten().filter_map(name_of).collect();
        let doers = names.iter().flat_map(|name| self.beside.meant_as(name)).filter_map(|name| Some((name, self.beside.record(name)?)));
        let lacking = doers.flat_map(|(name, doer)| {
            let behind = self.beside.lacking_behind(&doer.resource, &is_of_theirs);
            self.beside.lacking(name).into_iter().chain(behind)
        });
        lacking.collect()
    }

    /// The records that candidates refer to and that are decided by themselves, which may lead to what is not here.
    pub(in crate::query) fn referred_to(&self) -> impl Iterator<Item = &Candidate> {
        self.beside.records().filter(|record| record.elsewhere.is_none() && self.is_decided_by_consent(record))
    }

    /// Whether anything was looked for and is not here.
    pub(in crate::query) fn lacks_any(&self) -> bool {
        self.beside.lacks_any()
    }

    /// What is at hand under a name.
    pub(in crate::query) fn known(&self, name: &str) -> Option<&Candidate> {
        self.beside.record(name)
    }

    /// Whether a setting that is not known could change what becomes of a candidate.
    pub(in crate::query) fn turns_on_setting(&self, candidate: &Candidate) -> bool {
        if !self.is_decided_by_consent(candidate) {
            return false;
        }
        let patients = self.patients_in(&candidate.resource).unwrap_or_default();
        let facts = self.facts(&candidate.resource, &patients);
        let mut rules = patients.iter().flat_map(|id| self.speaking(id));
        rules.any(|rules| self.requests.iter().any(|request| consent::turns_on_setting(rules, request, &facts)))
    }

    /// How much could not be learnt of what candidates name, on which something turned.
    pub(in crate::query) fn unlearnt(&self) -> usize {
        self.unlearnt + self.beside.unreadable()
    }

    /// Whether what those tell whom a candidate names could change what is shown of it.
    pub(in crate::query) fn turns_on_doers(&self, candidate: &Candidate) -> bool {
        self.is_decided_by_consent(candidate) && self.decide(&candidate.resource).is_some_and(|decision| consent::turns_on_doers(&decision))
    }

    /// Whether what becomes of a candidate is a matter of consent on itself.
    fn is_decided_by_consent(&self, candidate: &Candidate) -> bool {
        let type_name = candidate.resource.resource_type().unwrap_or_default();
        let sender = self.sender_of(candidate);
        let is_own = !sender.is_empty() && sender == self.recipient.organisation.key();
        !is_own && !is_administrative(type_name) && !matches!(type_name, "AuditEvent" | "Provenance")
    }

    /// Leaves out of sight what is hidden of the candidates that lie at holders alone, so that no other candidate points at it.
    pub(in crate::query) fn hide_among(&mut self, candidates: &[Candidate]) {
        if !self.beside.lacks_any() {
            return;
        }
        let there = candidates.iter().filter(|candidate| candidate.elsewhere.is_some());
        let named = there.map(|candidate| (candidate, names_of(&candidate.resource)));
        let pointed_at = named.filter(|(_, names)| names.iter().any(|name| self.beside.lacks(name)));
        let is_hidden = |candidate: &Candidate| matches!(self.rule(candidate.clone()), Ruling::Denied(_));
        let hidden: Vec<String> = pointed_at.filter(|(candidate, _)| is_hidden(candidate)).flat_map(|(_, names)| names).collect();
        self.beside.hide(hidden);
    }

    /// Takes in what was learnt of settings, and looks up here what they name as theirs.
    pub(in crate::query) async fn learn(&mut self, pipeline: &Pipeline, learnt: Vec<(String, Option<Candidate>)>) -> Result<(), Fault> {
        let mut named = BTreeSet::new();
        for (name, setting) in learnt {
            self.unlearnt += usize::from(setting.is_none());
            named.extend(setting.iter().flat_map(|setting| settings_of(&setting.resource)).filter_map(|reference| name_of(&reference)));
            self.beside.learn(name, setting);
        }
        named.retain(|name| !self.beside.knows(name));
        if !named.is_empty() {
            let definitions = pipeline.definitions;
            let are_few = named.len() <= FEW;
            let look = move |reader: &crate::store::Reader<'_>| Beside::gather(reader, definitions, &Wanted::named(named), MAX_BESIDE);
            let found = if are_few { pipeline.store.glance(look).await? } else { pipeline.store.read(look).await? };
            self.beside.join(found);
        }
        self.beside.label_places(&self.labeller);
        Ok(())
    }
}

/// Everything that a record may be named by: `Type/id`, and its identifiers.
fn names_of(record: &Node) -> Vec<String> {
    let logical = logical_names(record).map(|name| name.as_str().to_owned());
    crate::query::reference(record).into_iter().chain(logical).collect()
}
