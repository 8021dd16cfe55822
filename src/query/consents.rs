//! Gathering what a decision needs, and making it for each resource.

mod affiliation;
mod gathering;
mod place;
mod question;
mod recipient;
mod settling;

pub(super) use question::{BroughtRecord, Question};
pub use recipient::Recipient;

use super::addresses::Addresses;
use super::beside::{Beside, Pointing, may_be_named};
use super::page::ConsentState;
use super::{Candidate, not_found};
use crate::consent::{self, Concept, Decision, Governing, Ground, Labeller, Permitted, Reference, Request, ResourceFacts, Rules};
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::identity::Caller;
use crate::normalise::is_gateway_id;
use crate::outcome::{Aside, Fault, Refusal};
use crate::pipeline::{Pipeline, patient_ids};
use crate::registry::{DataKind, Organisation, Registry};
use gathering::{Gathered, Gathering};
use place::PatientRules;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// So many patients and records are looked up where the question is asked; more are left to a thread that may block.
const FEW: usize = 4;

/// What becomes of a candidate.
pub enum Ruling {
    Permitted(Box<Permitted>),
    /// With why, where a consent was asked.
    Denied(Option<Aside>),
}

impl Ruling {
    pub fn permitted(self) -> Option<Permitted> {
        match self {
            Ruling::Permitted(permitted) => Some(*permitted),
            Ruling::Denied(_) => None,
        }
    }

    /// What is permitted, or the refusal of what may not be seen: why stands in the record of it alone.
    pub fn or_refuse(self, type_name: &str) -> Result<Permitted, Refusal> {
        match self {
            Ruling::Permitted(permitted) => Ok(*permitted),
            Ruling::Denied(aside) => Err(Refusal { aside, ..not_found(type_name) }),
        }
    }
}

/// Everything one request's decisions need, gathered once.
pub(crate) struct Judge {
    recipient: Recipient,
    /// What is asked, for each purpose that must be permitted by itself.
    requests: Vec<Request>,
    rules: HashMap<String, PatientRules>,
    /// Which organisation each source and holder belongs to.
    registry: Arc<Registry>,
    /// The records that Provenances speak of, by `Type/id`: a Provenance may be seen by whoever may see its target.
    targets: HashMap<String, Candidate>,
    /// The patients for whom whoever asks speaks, as far as it matters here.
    spoken_for: BTreeSet<String>,
    /// What the candidates refer to.
    beside: Beside,
    addresses: Addresses,
    labeller: Labeller,
    definitions: &'static Definitions,
    /// How much could not be learnt of what candidates name, on which something turned.
    unlearnt: usize,
    /// Where nothing is read, but asked whether it might be.
    question: Option<Question>,
}

impl Judge {
    pub async fn gather<'r>(pipeline: &Pipeline, caller: &Caller, resources: impl Iterator<Item = Pointing<'r>>) -> Result<Judge, Fault> {
        let resources: Vec<Pointing<'r>> = resources.collect();
        let mut spoken_for = BTreeSet::new();
        // Only the patient's own word, and what the gateway wrote to them, depends on it.
        let own_word = |resource: &&Node| matches!(resource.resource_type(), Some("Communication" | "Consent"));
        for id in resources.iter().map(|(resource, _)| *resource).filter(own_word).flat_map(patient_ids) {
            if !spoken_for.contains(&id) && pipeline.represents(caller, &id).await? {
                spoken_for.insert(id);
            }
        }
        let judge = Judge::for_recipient(pipeline, Recipient::of(caller), resources.into_iter()).await?;
        Ok(Judge { spoken_for, ..judge })
    }

    pub async fn for_recipient<'r>(
        pipeline: &Pipeline,
        recipient: Recipient,
        resources: impl Iterator<Item = Pointing<'r>>,
    ) -> Result<Judge, Fault> {
        let requests = recipient.requests(pipeline.clock.now());
        Judge::asked(pipeline, (recipient, requests), None, resources).await
    }

    async fn asked<'r>(
        pipeline: &Pipeline,
        (recipient, requests): (Recipient, Vec<Request>),
        question: Option<Question>,
        resources: impl Iterator<Item = Pointing<'r>>,
    ) -> Result<Judge, Fault> {
        let (rules, registry) = (Arc::clone(&pipeline.rules), Arc::clone(&pipeline.registry));
        let addresses = Addresses { ids: pipeline.ids.clone(), rules, registry };
        let gathering = Gathering::of(pipeline, recipient.partner(&requests, &pipeline.registry), &addresses, resources);
        let Gathered { targets, mut beside, rules } = gathering.done(&pipeline.store).await?;
        let definitions = pipeline.definitions;
        let (registry, labeller) = (Arc::clone(&pipeline.registry), pipeline.labeller.clone());
        beside.label_places(&labeller);
        let spoken_for = BTreeSet::new();
        let mut judge = Judge {
            recipient,
            requests,
            rules,
            registry,
            targets,
            spoken_for,
            beside,
            addresses,
            labeller,
            definitions,
            unlearnt: 0,
            question,
        };
        judge.hide();
        Ok(judge)
    }

    /// Finds out which of the records that others refer to are hidden, and so must not be pointed at.
    pub(super) fn hide(&mut self) {
        let hidden = self.hidden_among(self.beside.records());
        self.beside.hide(hidden);
    }

    fn hidden_among<'c>(&self, records: impl Iterator<Item = &'c Candidate>) -> Vec<String> {
        let is_denied = |candidate: &Candidate| matches!(self.rule(candidate.clone()), Ruling::Denied(_));
        let is_hidden = |candidate: &&Candidate| !may_be_named(&candidate.resource) && is_denied(candidate);
        records.filter(is_hidden).filter_map(|hidden| super::reference(&hidden.resource)).collect()
    }

    /// Whether anything at all of a patient might be released, so that holders need not be asked in vain.
    pub fn may_ask(&self, patient: &str) -> bool {
        let rules = self.speaking(patient);
        let is_permitted = |rules: &&Rules| self.requests.iter().all(|request| consent::decide_request(rules, request).is_permit());
        !rules.is_empty() && rules.iter().all(is_permitted)
    }

    /// What the consents about patients and the other records of theirs are now.
    pub(super) fn consent_state<'p>(&self, patients: impl IntoIterator<Item = &'p str>) -> ConsentState {
        let mut filed = BTreeSet::new();
        for own in patients.into_iter().filter_map(|patient| self.rules.get(patient)) {
            let others = own.linked.iter().chain(&own.parted).filter_map(|record| self.rules.get(record));
            filed.extend(std::iter::once(own).chain(others).flat_map(|known| &known.filed));
        }
        let mut digest = Sha256::new();
        filed.iter().for_each(|(id, version)| digest.update(format!("{id}/{version}\n")));
        digest.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// The rules that a patient's data are decided by: those of every record of the person about which a consent was filed. All must permit, so
    /// that the strictest wins. Where none was filed, the record's own, which permit nothing. What was filed about a record that was the person's must
    /// permit too, and is not enough. Empty for a patient that was not gathered.
    pub(super) fn speaking(&self, patient: &str) -> Vec<&Rules> {
        let Some(own) = self.rules.get(patient) else { return Vec::new() };
        let others = |records: &'_ [String]| records.iter().filter_map(|record| self.rules.get(record)).collect::<Vec<_>>();
        let spoken = |known: &&PatientRules| known.has_spoken;
        let all = std::iter::once(own).chain(others(&own.linked));
        let mut speaking: Vec<&Rules> = all.filter(spoken).map(|known| &known.rules).collect();
        if speaking.is_empty() {
            speaking.push(&own.rules);
        }
        speaking.extend(others(&own.parted).into_iter().filter(spoken).map(|known| &known.rules));
        speaking
    }

    /// The patients a resource tells of: those it is about, and those its target is about.
    pub(super) fn patients_of(&self, resource: &Node) -> Vec<String> {
        let target = self.target_of(resource).map(|target| patient_ids(&target.resource)).unwrap_or_default();
        patient_ids(resource).into_iter().chain(target).collect()
    }

    fn target_of(&self, resource: &Node) -> Option<&Candidate> {
        provenance_target(resource).and_then(|(type_name, id)| self.targets.get(&format!("{type_name}/{id}")))
    }

    /// Decides one candidate.
    pub fn rule(&self, candidate: Candidate) -> Ruling {
        let sender = self.sender_of(&candidate);
        let asker = self.recipient.organisation.key();
        let is_audit = candidate.resource.resource_type() == Some("AuditEvent");
        let is_own = candidate.source == crate::audit::SOURCE;
        let about = self.target_of(&candidate.resource).map(|target| patient_ids(&target.resource)).unwrap_or_default();
        let permitted = if is_own && self.recipient.operates && consent::is_operators(&candidate.resource) {
            consent::own_work(candidate.resource)
        } else if self.is_own_word(&candidate.resource, is_own) {
            consent::own_word(candidate.resource)
        } else if is_own && matches!(candidate.resource.resource_type(), Some("Task" | "ConceptMap" | "Communication")) {
            None
        } else if self.recipient.oversees && (is_audit || candidate.resource.resource_type() == Some("Provenance")) {
            consent::oversight(candidate.resource)
        } else if !sender.is_empty() && sender == asker {
            consent::own_record(&sender, &asker, candidate.resource)
        } else if is_audit {
            // An audit record may name what its reader must not know of; only oversight sees those of others.
            None
        } else if candidate.resource.resource_type().is_some_and(consent::is_administrative) {
            consent::no_patient(candidate.resource)
        } else {
            match self.decided(candidate) {
                Ok(permitted) => Some(permitted),
                Err(aside) => return Ruling::Denied(aside),
            }
        };
        let told = permitted.map(|permitted| self.told(permitted).telling_of(about));
        told.map_or(Ruling::Denied(None), |permitted| Ruling::Permitted(Box::new(permitted)))
    }

    /// The organisation that sent a record. What a question turns on is what the consents say of whom it names, whoever sent what.
    fn sender_of(&self, candidate: &Candidate) -> String {
        let sender = self.registry.organisation_of(&candidate.source).filter(|_| self.question.is_none());
        sender.map(Organisation::key).unwrap_or_default()
    }

    /// Whether it is a consent of patients for all of whom whoever asks speaks, or the gateway's notice to them.
    fn is_own_word(&self, resource: &Node, is_own: bool) -> bool {
        let is_such = resource.resource_type() == Some("Consent") || (is_own && resource.resource_type() == Some("Communication"));
        let patients = if is_such && !self.spoken_for.is_empty() { patient_ids(resource) } else { Vec::new() };
        !patients.is_empty() && patients.iter().all(|id| self.spoken_for.contains(id))
    }

    /// What this kind of recipient may be told of what is permitted. Whoever sent a record knows what is in it.
    fn told(&self, permitted: Permitted) -> Permitted {
        let is_own = matches!(permitted.ground(), Ground::OwnRecord);
        let permitted = if is_own { permitted } else { permitted.without_links(|reference| self.may_see(reference)) };
        let permitted = if self.recipient.data == DataKind::Identified || is_own { permitted } else { permitted.without_free_text_codes() };
        if is_own { permitted } else { permitted.in_order() }
    }

    /// Whether the whole of a record that another links to would be released.
    fn may_see(&self, reference: &str) -> bool {
        let Some(target) = self.targets.get(reference).map(|target| &target.resource) else { return false };
        let released = self.decide(target).and_then(|decision| consent::release(&decision, target.clone()));
        released.is_some_and(|permitted| !permitted.is_redacted())
    }

    fn decided(&self, candidate: Candidate) -> Result<Permitted, Option<Aside>> {
        let target = match provenance_target(&candidate.resource) {
            Some((type_name, id)) => Some(self.targets.get(&format!("{type_name}/{id}")).ok_or(None)?),
            None => None,
        };
        let asked = target.unwrap_or(&candidate);
        let decision = self.decide(&asked.resource).ok_or(Some(Aside { reason: "patient-unresolved", consent: None }))?;
        let hidden = self.hidden_from(&decision, target.into_iter().chain([&candidate]));
        let setting = self.setting(&asked.resource);
        let released = match target {
            Some(target) => consent::release_provenance(&decision, &target.resource, &hidden, candidate.resource),
            None => consent::release_beside(&decision, candidate.resource, &hidden),
        };
        if consent::is_beyond_deciding(&decision) {
            tracing::warn!("a record tells more than is compared with the consents about it: what was not is not shown");
            metrics::counter!("hearthgate_records_beyond_deciding_total").increment(1);
        }
        released.map(|permitted| permitted.in_setting(setting)).ok_or_else(|| Some(why(&decision)))
    }

    /// What the settings tell in which something of these patients took place.
    fn labels_by_setting(&self, resource: &Node, patients: &[String]) -> Vec<Concept> {
        self.beside.labels(resource, &self.labeller, &|setting| self.is_of(setting, patients))
    }

    /// What records that are shown on one decision must not point at.
    fn hidden_from<'c>(&self, decision: &Decision, shown: impl Iterator<Item = &'c Candidate>) -> Vec<Reference> {
        let shown: Vec<Pointing<'c>> = shown.map(|candidate| (&candidate.resource, candidate.source.as_str())).collect();
        let patients: Vec<String> = shown.iter().flat_map(|(resource, _)| patient_ids(resource)).collect();
        let is_withheld = consent::withholds_labels(decision);
        let is_of_theirs = |record: &Candidate| self.is_of(&record.resource, &patients);
        let is_askers = |record: &Candidate| {
            !self.recipient.organisation.key().is_empty() && self.sender_of(record) == self.recipient.organisation.key()
        };
        let hidden = self.beside.hidden_from(&shown, &self.addresses, [&is_of_theirs, &is_askers], &is_withheld);
        self.that_may_be_told(hidden, &shown)
    }

    /// Whether a record is one of these patients', in whichever of their records, or nobody's; what it tells of them it told before the records were parted.
    fn is_of(&self, record: &Node, patients: &[String]) -> bool {
        let about = patient_ids(record);
        let is_others = |known: &PatientRules, id: &String| known.linked.contains(id) || known.parted.contains(id);
        let is_same = |id: &String| patients.iter().any(|own| own == id || self.rules.get(own).is_some_and(|known| is_others(known, id)));
        about.is_empty() || about.iter().any(is_same)
    }

    /// The decision for a resource: that of all its patients together. `None` when somebody it is about cannot be told.
    fn decide(&self, resource: &Node) -> Option<Decision> {
        self.decide_by(resource, [consent::decide, consent::decide_unsettled])
    }

    /// The same, by one way of deciding or, where it is not known of some setting what it is, by the other.
    fn decide_by(&self, resource: &Node, [plainly, unsettled]: [Decide; 2]) -> Option<Decision> {
        let patients = self.patients_in(resource)?;
        let facts = self.facts(resource, &patients);
        let decide = if self.is_unsettled(resource, &patients) { unsettled } else { plainly };
        let mut decisions = Vec::new();
        for id in patients {
            let rules = self.speaking(&id);
            if rules.is_empty() {
                return None;
            }
            for rules in rules {
                let each = self.requests.iter().map(|request| decide(rules, request, &facts)).collect();
                decisions.extend(Decision::for_all_purposes(each));
            }
        }
        Decision::all(decisions)
    }

    /// What a resource about these patients tells.
    fn facts(&self, resource: &Node, patients: &[String]) -> ResourceFacts {
        let mut facts = consent::facts::of(resource);
        facts.add_bases(self.definitions);
        facts.add_meant(self.beside.meant_in(resource));
        facts.add_setting(self.labels_by_setting(resource, patients));
        if is_in_others_words(resource) {
            facts.add_others_words();
        }
        self.labeller.label(resource, &mut facts);
        facts
    }
}

/// Whether a Bundle's entries are as their source sent them, with ids that are not the gateway's.
fn is_in_others_words(resource: &Node) -> bool {
    let entries = if resource.resource_type() == Some("Bundle") { resource.items("entry") } else { &[] };
    entries.iter().filter_map(|entry| entry.get("resource")).any(|entry| !entry.text("id").is_some_and(is_gateway_id))
}

/// A way of deciding on one resource.
type Decide = fn(&Rules, &Request, &ResourceFacts) -> Decision;

/// Why a decision releases nothing: as it says, or because nothing is left of what it permits.
fn why(decision: &Decision) -> Aside {
    let reason = if decision.is_permit() { "withheld" } else { decision.reason() };
    Aside { reason, consent: decision.governing().map(reference_of) }
}

/// The version a Provenance is about, as type and id.
pub(super) fn provenance_target(resource: &Node) -> Option<(String, String)> {
    if resource.resource_type() != Some("Provenance") {
        return None;
    }
    let mut steps = resource.items("target").first()?.text("reference")?.split('/');
    Some((steps.next()?.to_owned(), steps.next()?.to_owned()))
}

/// The result that a result repeats, as type and id.
fn earlier_result(resource: &Node) -> Option<(String, String)> {
    let (type_name, id) = crate::normalise::repeats(resource)?.split_once('/')?;
    Some((type_name.to_owned(), id.to_owned()))
}

/// Reference of the consent that governed a release.
pub fn governing(permitted: &Permitted) -> Option<String> {
    match permitted.ground() {
        Ground::Consent { governing, .. } => governing.as_ref().map(reference_of),
        Ground::OwnRecord | Ground::NoPatient | Ground::Oversight | Ground::Operation | Ground::OwnWord => None,
    }
}

/// A consent by its reference, with its version where it has one.
pub(super) fn reference_of(consent: &Governing) -> String {
    match &consent.version {
        Some(version) => format!("Consent/{}/_history/{version}", consent.consent),
        None => format!("Consent/{}", consent.consent),
    }
}
