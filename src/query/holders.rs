//! Asking the holders that know a patient, and bringing what they answer into the gateway's ids.

use super::settings::{self, There};
use super::{Candidate, Judge, QueryPath};
use crate::consent::Permitted;
use crate::fhir::Node;
use crate::forward::{Capabilities, UpstreamProblem};
use crate::identity::Caller;
use crate::identity::crossref::{self, PatientIdentifiers};
use crate::intake::Pairs;
use crate::normalise::{Context, Links, canonical_system, normalise, without_claims};
use crate::outcome::{Failure, Fault, Finding, IssueType, Reason, Refusal, Severity};
use crate::pipeline::readable;
use crate::registry::{Holder, Identifier};
use crate::search::Query;
use crate::store::Elsewhere;
use futures_util::future::join_all;

/// The most patients one search asks holders about.
const MAX_PATIENTS: usize = 8;
/// The most identifiers by which one holder is asked for a patient.
const MAX_IDENTIFIERS: usize = 8;

/// A patient as the gateway knows it: id and identifiers.
struct KnownPatient {
    id: String,
    record: Node,
}

/// What the holders answered.
#[derive(Default)]
pub(super) struct Told {
    pub found: Vec<Candidate>,
    /// The holders' ids of the patient, so that what is shown now can be read later.
    pub patients: Vec<Elsewhere>,
    /// An OperationOutcome for each that did not answer, or not as it should.
    pub silent: Vec<Node>,
    /// That none was asked, because the search means too many patients.
    pub unasked: Option<Node>,
}

/// One holder's answer about one patient.
struct Answered {
    candidates: Vec<Candidate>,
    patient: Elsewhere,
    /// Whether it sent records of somebody else, or what is no record that can be read.
    has_strayed: bool,
}

impl QueryPath {
    /// Asks every holder about the patients the query names. Where the caller named few and chains lead to many, none is asked, and it is said so; `here`
    /// is what was found without them.
    pub(super) async fn ask_holders_of_few(
        &self,
        caller: &Caller,
        (asked, query): (&Query, &Query),
        here: &[Candidate],
        pairs: &Pairs,
    ) -> Result<Told, Failure> {
        let is_within = |named: &[&str]| named.len() <= MAX_PATIENTS;
        let mut named = query.patients_named_throughout();
        if self.pipeline.registry.holders().is_empty() || is_within(&named) || !is_within(&asked.patients()) {
            return self.ask_holders(caller, query, pairs).await;
        }
        let shown = if query.type_name() == "Patient" { self.shown_matches(caller, query, here).await? } else { Vec::new() };
        named.retain(|id| query.type_name() != "Patient" || shown.iter().any(|shown| shown == id));
        if is_within(&named) {
            return self.ask_about_all(caller, query, pairs, named).await;
        }
        Ok(Told { unasked: Some(unasked()), ..Told::default() })
    }

    /// The ids of those of the candidates that match as they may be shown.
    async fn shown_matches(&self, caller: &Caller, query: &Query, here: &[Candidate]) -> Result<Vec<String>, Failure> {
        let matching = here.iter().filter(|candidate| query.matches(&candidate.resource)).cloned().collect();
        let shown = self.permitted(caller, matching).await?.into_iter().map(Permitted::into_resource);
        Ok(shown.filter(|resource| query.matches(resource)).filter_map(|resource| resource.text("id").map(str::to_owned)).collect())
    }

    /// Asks every holder about the patients the query names.
    pub(super) async fn ask_holders(&self, caller: &Caller, query: &Query, pairs: &Pairs) -> Result<Told, Failure> {
        let named = query.patients_named_throughout();
        if self.pipeline.registry.holders().is_empty() || named.is_empty() {
            return Ok(Told::default());
        }
        if named.len() > MAX_PATIENTS {
            let text = format!("Holders are asked for at most {MAX_PATIENTS} patients at once. Name fewer.");
            return Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into());
        }
        self.ask_about_all(caller, query, pairs, named).await
    }

    async fn ask_about_all(&self, caller: &Caller, query: &Query, pairs: &Pairs, named: Vec<&str>) -> Result<Told, Failure> {
        let mut told = Told::default();
        for id in named {
            self.ask_about(caller, query, pairs, id, &mut told).await?;
        }
        Ok(told)
    }

    /// Asks every holder that may be asked about one patient.
    async fn ask_about(&self, caller: &Caller, query: &Query, pairs: &Pairs, id: &str, told: &mut Told) -> Result<(), Failure> {
        let Some(patient) = self.known_patient(id).await? else { return Ok(()) };
        let judge = Judge::gather(&self.pipeline, caller, std::iter::once((&patient.record, crate::audit::SOURCE))).await?;
        let may_ask = |holder: &&Holder| holder.organisation == caller.organisation || judge.may_ask(&patient.id);
        let asked: Vec<&Holder> = self.pipeline.registry.holders().iter().filter(may_ask).collect();
        let answers = join_all(asked.iter().map(|holder| self.ask(holder, &patient, query, pairs))).await;
        for (holder, answer) in asked.iter().zip(answers) {
            match answer? {
                Ok(Some(answered)) => {
                    told.found.extend(answered.candidates);
                    told.patients.push(answered.patient);
                    told.silent.extend(answered.has_strayed.then(|| strayed(holder)));
                }
                Ok(None) => {}
                Err(problem) => told.silent.push(unanswered(holder, &problem)),
            }
        }
        Ok(())
    }

    /// Lets what a holder calls a patient lead to the gateway's id.
    fn link(&self, holder: &Holder, (remote, ours): (&str, &str), links: &mut Links) {
        let ours = format!("Patient/{ours}");
        links.insert(&format!("Patient/{remote}"), &ours);
        // An absolute reference to it arrives at the id the holder's own would get.
        if let Some(rules) = self.holder_rules.get(&holder.name) {
            links.insert(&format!("Patient/{}", self.pipeline.ids.id(rules.name(), "Patient", remote)), &ours);
        }
    }

    /// What a holder calls these patients, as far as it knows them and can be asked.
    pub(super) async fn links_to(&self, holder: &Holder, patients: &[String]) -> Result<Links, Fault> {
        let mut links = Links::new();
        for id in patients {
            let Some(patient) = self.known_patient(id).await? else { continue };
            if let Ok(Some(remote)) = self.remote_patient(holder, &patient).await? {
                self.link(holder, (remote.as_str(), id.as_str()), &mut links);
            }
        }
        Ok(links)
    }

    async fn known_patient(&self, id: &str) -> Result<Option<KnownPatient>, Fault> {
        let stored = readable(self.pipeline.store.glance(|reader| reader.current("Patient", id)).await)?;
        let stored = stored.filter(|version| !version.deleted());
        stored.map(|version| Ok(KnownPatient { id: id.to_owned(), record: version.parse()? })).transpose()
    }

    /// One holder: find its patient, search there, translate. `None` when it does not know the patient.
    async fn ask(
        &self,
        holder: &Holder,
        patient: &KnownPatient,
        query: &Query,
        pairs: &Pairs,
    ) -> Result<Result<Option<Answered>, UpstreamProblem>, Fault> {
        let known = self.upstream.capabilities(holder).await;
        if !known.offers(query.type_name(), "search-type") {
            return Ok(Ok(None));
        }
        let remote = match self.remote_patient(holder, patient).await? {
            Ok(Some(remote)) => remote,
            Ok(None) => return Ok(Ok(None)),
            Err(problem) => return Ok(Err(problem)),
        };
        let forwarded = forwarded_pairs(query.type_name(), pairs, &remote, &known);
        let answer = match self.upstream.search(holder, query.type_name(), &forwarded).await {
            Ok(answer) => answer,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut links = Links::new();
        self.link(holder, (remote.as_str(), patient.id.as_str()), &mut links);
        let received = answer.resources.len() + answer.foreign;
        let translated = answer.resources.into_iter().filter_map(|resource| self.translate(holder, resource, &links));
        // What is of another type, or about somebody else than the patient asked for, is never let in, whatever the holder made of the search.
        let is_asked_for = |candidate: &Candidate| {
            let is_of_type = candidate.resource.resource_type() == Some(query.type_name());
            is_of_type && crate::pipeline::patient_ids(&candidate.resource) == [patient.id.as_str()]
        };
        let candidates: Vec<Candidate> = translated.filter(is_asked_for).collect();
        let has_strayed = candidates.len() < received;
        let patient = Elsewhere { type_name: "Patient".to_owned(), id: patient.id.clone(), holder: holder.name.clone(), remote };
        Ok(Ok(Some(Answered { candidates, patient, has_strayed })))
    }

    /// The holder's id of the patient: known from before, or found by an identifier of which one value is one person.
    async fn remote_patient(&self, holder: &Holder, patient: &KnownPatient) -> Result<Result<Option<String>, UpstreamProblem>, Fault> {
        if let Some(known) = self.pipeline.store.glance(|reader| reader.remote_id(&holder.name, "Patient", &patient.id)).await? {
            return Ok(Ok(Some(known)));
        }
        let identifiers = crossref::patient_identifiers(&patient.record);
        for (spelled, identifier) in spelled_for(holder, &identifiers).into_iter().take(MAX_IDENTIFIERS) {
            let pairs = [("identifier".to_owned(), format!("{spelled}|{}", identifier.value))];
            let found = match self.upstream.search(holder, "Patient", &pairs).await {
                Ok(found) => found.resources,
                Err(problem) => return Ok(Err(problem)),
            };
            // Compared in the gateway's form, for the holder may name the system by its OID.
            let patients = found.into_iter().filter(|record| record.resource_type() == Some("Patient"));
            let translated = patients.filter_map(|record| self.translate(holder, record, &Links::new()));
            let same = translated.filter(|candidate| crossref::patient_identifiers(&candidate.resource).contains(identifier));
            let ids: Vec<String> = same.filter_map(|candidate| Some(candidate.elsewhere?.remote)).collect();
            // Two records under one identifier is a matter for people, not for a guess.
            if let [only] = ids.as_slice() {
                return Ok(Ok(Some(only.clone())));
            }
        }
        Ok(Ok(None))
    }

    /// A holder's resource in the gateway's form; one that its rules refuse is left out.
    pub(super) fn translate(&self, holder: &Holder, mut resource: Node, links: &Links) -> Option<Candidate> {
        let remote = resource.text("id")?.to_owned();
        let type_name = resource.resource_type()?.to_owned();
        let rules = self.holder_rules.get(&holder.name)?;
        let context = Context { source: rules, ids: &self.pipeline.ids, links, types: self.pipeline.definitions.types(), declared: None };
        drop(without_claims(&mut resource));
        let spelled = settings::spelled(&resource, |type_name, remote| self.pipeline.ids.id(rules.name(), type_name, remote));
        let outcome = normalise(resource, &context);
        if outcome.is_refused() {
            return None;
        }
        let mut resource = outcome.resource;
        // The patient asked for keeps the id under which it was asked for.
        if let Some(linked) = links.get(&format!("{type_name}/{remote}")).and_then(|target| target.split_once('/')) {
            resource.as_object_mut()?.set("id", linked.1);
        }
        // Who it comes from may be said; where it lies there and under which id is the holder's own business.
        if let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) {
            meta.set("source", rules.urn());
        }
        let id = resource.text("id")?.to_owned();
        let elsewhere = Elsewhere { type_name, id, holder: holder.name.clone(), remote };
        let there = There::of(&resource, &holder.name, &spelled, links).map(Box::new);
        Some(Candidate { resource, source: holder.name.clone(), version: None, at: None, elsewhere: Some(elsewhere), there })
    }
}

/// The identifiers by which a holder may know a patient, each with its system as the holder spells it.
fn spelled_for<'a>(holder: &'a Holder, identifiers: &'a PatientIdentifiers) -> Vec<(&'a str, &'a Identifier)> {
    let of_system = |spelled: &'a String| {
        let canonical = canonical_system(spelled);
        let named = move |identifier: &&Identifier| identifier.system == canonical.as_deref().unwrap_or(spelled);
        identifiers.iter().filter(named).map(|identifier| (spelled.as_str(), identifier))
    };
    holder.identifier_systems.iter().flat_map(of_system).collect()
}

/// What the holder is asked: its own id of the patient, and the filters it can understand. Everything is checked again on its answer.
fn forwarded_pairs(type_name: &str, pairs: &Pairs, remote: &str, known: &Capabilities) -> Pairs {
    let patient = if type_name == "Patient" { "_id" } else { "patient" };
    let mut forwarded = vec![(patient.to_owned(), remote.to_owned())];
    let understood = ["code", "category", "date", "status", "clinical-status", "type", "onset-date", "issued"];
    let is_worth_it = |name: &str| understood.contains(&name) && known.knows(type_name, name);
    forwarded.extend(pairs.iter().filter(|(name, _)| is_worth_it(name)).cloned());
    forwarded
}

/// The entry that names a holder which sent what was not asked for, or cannot be read as a record of the patient's. How much is not said.
fn strayed(holder: &Holder) -> Node {
    metrics::counter!("hearthgate_holder_strays_total", "holder" => holder.name.clone()).increment(1);
    let name = holder.organisation.name.as_deref().unwrap_or(&holder.name);
    let text = format!("{name} sent something that is not a record of the patient asked for; it was left out of this answer.");
    crate::problem::outcome_node(&[Finding::new(Severity::Warning, IssueType::Incomplete, "holder-strayed", text)])
}

/// The entry that says that no holder was asked.
fn unasked() -> Node {
    let text = format!(
        "The search means more than {MAX_PATIENTS} patients, so that no other system was asked: this is what is known here. Name fewer patients for what others hold."
    );
    crate::problem::outcome_node(&[Finding::new(Severity::Warning, IssueType::Incomplete, "holders-not-asked", text)])
}

/// The entry that names a holder which did not answer.
fn unanswered(holder: &Holder, problem: &UpstreamProblem) -> Node {
    metrics::counter!("hearthgate_holder_failures_total", "holder" => holder.name.clone()).increment(1);
    let text =
        format!("{} {problem}; its records are missing from this answer.", holder.organisation.name.as_deref().unwrap_or(&holder.name));
    crate::problem::outcome_node(&[Finding::new(Severity::Warning, IssueType::Incomplete, "holder-unanswered", text)])
}
