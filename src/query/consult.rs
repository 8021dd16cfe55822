//! The story of one consultation: who asks, about whom, what of the answer they may be told, the decision, its record.
//!
//! Whoever asks about themselves learns whether the gateway would let them, by the purposes of their token and now, and nothing that tells an
//! unknown patient from one who denies. Asking about others is for systems with the role `consent-consult`; the trace is for the patient,
//! whoever acts for them, and oversight.

use super::brought::Brought;
use super::consents::{Judge, Question, Recipient, reference_of};
use super::{Candidate, QueryPath, may};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::config::Interaction as Permission;
use crate::consent::{Code, Consultation, Consulted, Deciding, Identifier, Matter, Party, Told, are_among, decide_requests, is_same_party};
use crate::fhir::Node;
use crate::identity::Caller;
use crate::outcome::{Failure, Fault, IssueType, Reason, Refusal};
use crate::pipeline::{leave_out, linked_as_far_as_known, readable};
use crate::registry::Role;
use crate::search::{Handling, Query, escaped};
use crate::store::Reader;
use std::collections::{BTreeSet, HashSet};

/// The most records one name of a patient may find; more are nobody in particular.
const MAX_NAMED: usize = 16;

impl QueryPath {
    /// Answers a question about what the patient's consents permit. Nothing is answered that is not on record.
    pub async fn consult(&self, caller: &Caller, question: &Consultation, opened: &audit::Opened) -> Result<(Consulted, Told), Failure> {
        let outcome = self.try_consult(caller, question, opened).await;
        if let Err(Failure::Refused(refusal)) = &outcome {
            let meant = self.patient_meant(caller, &question.patient).await.ok().flatten();
            let asked = Closing { withheld: meant.into_iter().collect(), ..Closing::default() };
            self.pipeline.record_refusal_of(opened, refusal, asked).await?;
        }
        outcome
    }

    async fn try_consult(&self, caller: &Caller, question: &Consultation, opened: &audit::Opened) -> Result<(Consulted, Told), Failure> {
        let patient = self.patient_meant(caller, &question.patient).await?;
        let told = self.told(caller, patient.as_deref()).await?;
        if told != Told::Trace {
            may(caller, Permission::Read, "Consent")?;
        }
        let recipient = Recipient::of(caller);
        if told == Told::Outcome {
            only_about_oneself(question, &recipient)?;
        }
        let consulted = match &patient {
            Some(patient) => self.decided(caller, question, recipient, (patient, told)).await?,
            None => Consulted::unknown(),
        };
        self.record_consultation(&consulted, patient, opened).await?;
        Ok((consulted, told))
    }

    /// How much the caller may be told of what is decided about this patient.
    async fn told(&self, caller: &Caller, patient: Option<&str>) -> Result<Told, Fault> {
        let speaks = match patient {
            Some(patient) => self.pipeline.represents(caller, patient).await?,
            None => false,
        };
        Ok(if speaks || caller.has_role(Role::Regulator) {
            Told::Trace
        } else if caller.has_role(Role::ConsentConsult) {
            Told::Obligations
        } else {
            Told::Outcome
        })
    }

    /// Decides as what is read is decided, for whom the question names: what is brought along is put into the gateway's words for it.
    async fn decided(
        &self,
        caller: &Caller,
        question: &Consultation,
        recipient: Recipient,
        (patient, told): (&str, Told),
    ) -> Result<Consulted, Fault> {
        let actors = if question.actors.is_empty() { recipient.parties() } else { question.actors.clone() };
        let requests = question.requests(&actors, recipient.purposes_apart(), question.at.unwrap_or(self.pipeline.clock.now()));
        // What is asked is what the consents say of somebody, not what else they may see by their office.
        let recipient = Recipient { oversees: false, operates: false, ..recipient.asked_for(&actors) };
        let is_registered = caller.has_role(Role::Regulator) || caller.has_role(Role::ConsentConsult);
        let is_patients_own = told == Told::Trace && !is_registered;
        let about = Question { patient: patient.to_owned(), is_patients_own, hidden: HashSet::new() };
        let brought = Brought::with(question, &self.pipeline.dialect(caller), patient);
        let mut judge = Judge::for_question(&self.pipeline, (recipient, requests.clone()), about, &brought.records).await?;
        let candidates: Vec<Candidate> = brought.records.iter().map(|(candidate, _)| candidate.clone()).collect();
        self.settle(&mut judge, &candidates).await?;
        judge.hide_brought(&brought.records);
        let on = |resource: &Node| judge.explain(resource);
        let release = |resource: &Node| {
            let permitted = judge.release(brought.candidate(resource.clone()))?;
            let is_less = permitted.is_redacted();
            Some((brought.in_their_words(permitted.into_resource()), is_less))
        };
        let whole = decide_requests(&judge.speaking(patient), &requests);
        Ok(brought.question.decide(Deciding { whole, on: &on, release: &release }))
    }

    /// The record of a consultation: whether it permitted, under which consent; a denial is kept with its reason, like every other.
    async fn record_consultation(&self, consulted: &Consulted, patient: Option<String>, opened: &audit::Opened) -> Result<(), Fault> {
        let decision = consulted.decision();
        let consents = decision.governing().map(reference_of).into_iter().collect();
        let description = Some("consent consultation".to_owned());
        let (patients, withheld): (Vec<String>, Vec<String>) =
            if decision.is_permit() { (patient.into_iter().collect(), Vec::new()) } else { (Vec::new(), patient.into_iter().collect()) };
        let closing = Closing { patients, withheld, consents, description, ..Closing::default() };
        let (outcome, kind) = if decision.is_permit() {
            (Outcome::Success, LeafKind::Disclose)
        } else {
            (Outcome::Refused(decision.reason()), LeafKind::Refuse)
        };
        self.pipeline.record(opened, &outcome, kind, &closing).await
    }

    /// The record a question means; `None` when it names nobody who is known, or more than one person.
    async fn patient_meant(&self, caller: &Caller, named: &Party) -> Result<Option<String>, Failure> {
        let dialect = self.pipeline.dialect(caller);
        let base = format!("{}/", self.base_url);
        let references = named.references.iter().filter_map(|reference| {
            let text = reference.as_str();
            let id = text.strip_prefix(&base).unwrap_or(text).strip_prefix("Patient/")?;
            Some(dialect.id("Patient", id))
        });
        let ids: Vec<String> = references.collect();
        let searchable = |identifier: &&Identifier| !identifier.system.is_empty();
        let queries = named.identifiers.iter().filter(searchable).map(|identifier| {
            let token = format!("{}|{}", escaped(&identifier.system), escaped(&identifier.value));
            let pairs = dialect.pairs("Patient", vec![("identifier".to_owned(), token)]);
            Query::parse(self.pipeline.definitions, "Patient", &pairs, Handling::Strict)
        });
        let queries = queries.collect::<Result<Vec<Query>, Refusal>>()?;
        Ok(self.pipeline.store.read(move |reader| one_person(reader, ids, &queries)).await?)
    }
}

/// The first of the records that these ids and queries find, if they are all of one person.
fn one_person(reader: &Reader<'_>, ids: Vec<String>, queries: &[Query]) -> Result<Option<String>, Fault> {
    let mut found = BTreeSet::new();
    for id in ids {
        if readable(reader.current("Patient", &id))?.is_some_and(|version| !version.deleted()) {
            found.insert(id);
        }
    }
    for query in queries {
        let Some(candidates) = reader.candidates_apart(query)? else { return Ok(None) };
        candidates.damaged.iter().for_each(|damaged| leave_out(&damaged.fault));
        for version in candidates.sound.iter().take(MAX_NAMED + 1) {
            if query.matches(&version.parse()?) {
                found.insert(version.id.clone());
            }
        }
    }
    let Some(first) = found.pop_first().filter(|_| found.len() < MAX_NAMED) else { return Ok(None) };
    let linked = linked_as_far_as_known(reader.linked(&first))?;
    Ok(found.iter().all(|other| linked.contains(other)).then_some(first))
}

/// Whoever is not registered to ask about others asks about themselves: as they are, for what their token says, now.
fn only_about_oneself(question: &Consultation, recipient: &Recipient) -> Result<(), Refusal> {
    let own = recipient.parties();
    let held: Vec<Code> = recipient.purpose_codes();
    let forbidden = |text: &str| Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text));
    if !question.actors.iter().all(|actor| own.iter().any(|own| is_same_party(actor, own))) {
        return forbidden(
            "Asking what others may see is for systems with the role consent-consult. Leave the actor out to ask about yourself.",
        );
    }
    if !are_among(&question.purposes, &held) {
        return forbidden("The question names a purpose the access token does not allow.");
    }
    if !matches!(question.matter, Matter::Request) {
        return forbidden(
            "What consent withholds of single records is for the patient, whoever acts for them, oversight, and systems with the role \
             consent-consult. Ask about the request as a whole, or for the records themselves.",
        );
    }
    if question.is_hypothetical() {
        return forbidden("Asking about another time or action is for the patient, whoever acts for them, and oversight.");
    }
    Ok(())
}
