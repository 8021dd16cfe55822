//! What is asked to be decided about resources that somebody brings along: by the same judge as what is read.

use super::{Judge, Recipient};
use crate::consent::{
    self, Decision, PatientReference, Reference, Request, bears, is_nobodys, is_setting, labels_of_setting, labels_of_worst_setting,
    patient_identifiers_of, patients_of, settings_of, withholds_labels,
};
use crate::fhir::{Node, Object};
use crate::outcome::Fault;
use crate::pipeline::Pipeline;
use crate::query::beside::Pointing;
use crate::query::{Candidate, Ruling};
use std::collections::HashSet;

/// How a question differs from a reading.
pub(in crate::query) struct Question {
    /// The patient it is about.
    pub patient: String,
    /// Whether whoever asks speaks for that patient alone, and so is told nothing of what is known of others.
    pub is_patients_own: bool,
    /// What is hidden of what is brought along, by every name of it.
    pub hidden: HashSet<String>,
}

/// A resource that is brought along, and what else it may be named by.
pub(in crate::query) type BroughtRecord = (Candidate, Vec<String>);

impl Judge {
    /// Gathers what is needed to decide what somebody asks about a patient, and about what is brought along.
    pub(in crate::query) async fn for_question(
        pipeline: &Pipeline,
        asked: (Recipient, Vec<Request>),
        question: Question,
        brought: &[BroughtRecord],
    ) -> Result<Judge, Fault> {
        let patient = record_of(&question.patient);
        let shown = brought.iter().map(|(candidate, _)| (&candidate.resource, candidate.source.as_str()));
        let resources = std::iter::once((&patient, crate::audit::SOURCE)).chain(shown);
        let mut judge = Judge::asked(pipeline, asked, Some(question), resources).await?;
        let settings = judge.settings_among(brought);
        judge.learn(pipeline, settings).await?;
        Ok(judge)
    }

    /// What is brought along and tells what others are, by its name. Where two accounts of one setting disagree nobody can tell what it is.
    fn settings_among(&self, brought: &[BroughtRecord]) -> Vec<(String, Option<Candidate>)> {
        let settings = brought.iter().map(|(candidate, _)| candidate).filter(|candidate| is_telling(&candidate.resource));
        let named: Vec<(String, &Candidate)> = settings.filter_map(|one| Some((crate::query::reference(&one.resource)?, one))).collect();
        let is_disputed = |name: &String, setting: &Candidate| {
            let others = named.iter().filter(|(other, _)| other == name).map(|(_, other)| *other).chain(self.known(name));
            others.into_iter().any(|other| !self.tells_the_same(&other.resource, &setting.resource))
        };
        let learnt = named.iter().map(|(name, setting)| (name.clone(), (!is_disputed(name, setting)).then(|| Candidate::clone(setting))));
        learnt.collect()
    }

    fn tells_the_same(&self, one: &Node, other: &Node) -> bool {
        let [(labels, behind), (other_labels, behind_other)] = [one, other]
            .map(|setting| (labels_of_setting(setting, &self.labeller), settings_of(setting).into_iter().collect::<HashSet<_>>()));
        let are_same = labels.len() == other_labels.len() && labels.iter().all(|label| other_labels.contains(label));
        are_same && behind == behind_other
    }

    /// Leaves out of sight what is hidden of what is brought along, so that nothing else that is points at it.
    pub(in crate::query) fn hide_brought(&mut self, brought: &[BroughtRecord]) {
        let is_hidden = |candidate: &Candidate| matches!(self.rule(candidate.clone()), Ruling::Denied(_));
        // Whose the rest is may be said, also where their record may not be shown.
        let others = brought.iter().filter(|(candidate, _)| !self.is_the_patient(&candidate.resource));
        let hidden = others.filter(|(candidate, _)| is_hidden(candidate)).flat_map(|(_, names)| names.iter().cloned());
        let hidden: Vec<String> = hidden.collect();
        if let Some(question) = &mut self.question {
            question.hidden.extend(hidden.iter().cloned());
        }
        self.beside.hide(hidden);
    }

    /// The decision for a resource about the patient of the question, with the account of why.
    pub(in crate::query) fn explain(&self, resource: &Node) -> Option<Decision> {
        self.is_about_the_patient(resource).then(|| self.decide_by(resource, [consent::explain, consent::explain_unsettled])).flatten()
    }

    /// What is released of a resource that is brought along: one about the patient, or about nobody that tells nothing which is withheld. That it came
    /// with the patient's records says that they have to do with it.
    pub(in crate::query) fn release(&self, candidate: Candidate) -> Option<consent::Permitted> {
        let is_nobodys_own = patients_of(&candidate.resource).is_empty();
        let may_come =
            if is_nobodys_own { !self.tells_withheld(&candidate.resource) } else { self.is_about_the_patient(&candidate.resource) };
        self.rule(candidate).permitted().filter(|_| may_come)
    }

    fn is_the_patient(&self, resource: &Node) -> bool {
        let asked_about = self.question.as_ref().map(|question| question.patient.as_str());
        resource.resource_type() == Some("Patient") && resource.text("id") == asked_about
    }

    fn is_about_the_patient(&self, resource: &Node) -> bool {
        let own = self.question.as_ref().map(|question| format!("Patient/{}", question.patient));
        let named = patients_of(resource);
        let is_own = |named: &PatientReference| matches!(named, PatientReference::Known(name) if name.relative() == own.as_deref());
        own.is_some() && !named.is_empty() && named.iter().all(is_own)
    }

    fn tells_withheld(&self, place: &Node) -> bool {
        if !place.resource_type().is_some_and(is_nobodys) {
            return false;
        }
        let mut labels = labels_of_setting(place, &self.labeller);
        labels.extend(self.beside.labels(place, &self.labeller, &|_| true));
        if self.is_unsettled(place, &[]) {
            labels.extend(labels_of_worst_setting());
        }
        let patient = self.question.as_ref().map(|question| record_of(&question.patient));
        !labels.is_empty() && patient.and_then(|patient| self.decide(&patient)).is_none_or(|decision| withholds_labels(&decision)(&labels))
    }

    /// The ids of the patients a resource is about. Whoever speaks for one patient must not find out by identifiers who else is known.
    pub(super) fn patients_in(&self, resource: &Node) -> Option<Vec<String>> {
        if let Some(question) = self.question.as_ref().filter(|question| question.is_patients_own) {
            let record = self.beside.record(&format!("Patient/{}", question.patient));
            let named = patient_identifiers_of(resource);
            let is_own = |name: &Reference| record.is_some_and(|record| bears(&record.resource, name));
            if !named.iter().map(|identifier| Reference::by_identifier("", identifier)).all(|name| is_own(&name)) {
                return None;
            }
        }
        self.beside.patients_in(resource, &self.registry)
    }

    /// Of what must not be shown, what whoever asks may learn is hidden: for one who speaks for a patient alone, what is known of others is unknown.
    pub(super) fn that_may_be_told(&self, mut hidden: Vec<Reference>, shown: &[Pointing<'_>]) -> Vec<Reference> {
        let Some(question) = self.question.as_ref().filter(|question| question.is_patients_own) else { return hidden };
        let own = std::slice::from_ref(&question.patient);
        let is_theirs = |record: &Node| self.is_of(record, own);
        let is_known = |name: &String| match self.beside.record(name) {
            Some(candidate) => is_theirs(&candidate.resource),
            None => self.beside.has(name, &is_theirs),
        };
        let is_told = |name: &String| question.hidden.contains(name) || is_known(name);
        let sources: Vec<&str> = shown.iter().map(|(_, source)| *source).collect();
        hidden.retain(|reference| sources.iter().any(|source| self.addresses.names_of(reference, source).iter().any(is_told)));
        hidden
    }
}

fn is_telling(resource: &Node) -> bool {
    resource.resource_type().is_some_and(is_setting)
}

/// A patient's record, as far as it matters to whose rules are gathered.
fn record_of(patient: &str) -> Node {
    Object::resource("Patient").with("id", patient).into()
}
