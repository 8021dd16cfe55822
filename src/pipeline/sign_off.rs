//! The story of a submission that several parties must sign: held, shown, signed, and accepted like any other once enough have.
//!
//! What is held is no resource: it lies apart, is not read, searched or delivered, and survives a restart. Its face is a Task that says who is
//! missing. It is checked like every submission before it is held, so that nobody is asked to sign what would be refused, and once more, with
//! every signature, when it is complete; in the meantime the world may have changed. Who signs, and with which key, is judged by the rule under which it was
//! submitted, and whenever another signs: a party or key that was taken back until then does not count, and is missing again.

mod ending;
mod held;
mod progress;
mod task;

use super::{Attempt, Done, MAX_ATTEMPTS, Pipeline, WriteAnswer, closing};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::clock::Instant;
use crate::config::SignOff;
use crate::fhir::{Node, json};
use crate::identity::Caller;
use crate::intake::{Interaction, Received, Write};
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::sign::{Attestation, attest_again};
use crate::store::{Assumption, Committed, IdempotencyDraft, Pending, Unit};
pub use ending::{EXPIRY_PASS, Waits};
use held::Held;
pub use progress::Signed;
use progress::{Countersignature, End, Progress};
use std::time::Duration;

/// A submission that waits, as one of its parties sees it.
pub struct Waiting {
    row: Pending,
    held: Held,
    progress: Progress,
}

impl Waiting {
    fn read(row: Pending) -> Result<Waiting, Fault> {
        let (held, progress) = (Held::decode(&row.held)?, Progress::decode(&row.progress)?);
        Ok(Waiting { row, held, progress })
    }

    /// The next revision of the row. With its end goes what was held, and what the parties signed of it.
    fn next(&self, progress: &Progress) -> Pending {
        let is_open = progress.end.is_none();
        let (held, progress) = match is_open {
            true => (self.row.held.clone(), progress.encode()),
            false => (self.held.without_content().encode(), progress.without_signed().encode()),
        };
        Pending { revision: self.row.revision + 1, is_open, held, progress, ..self.row.clone() }
    }

    fn unchanged(&self) -> Assumption {
        Assumption::Pending { id: self.row.id.clone(), revision: self.row.revision }
    }

    /// The version of the Task.
    pub fn version(&self) -> u32 {
        self.row.revision
    }

    /// The source it will count as sent by.
    pub fn source(&self) -> &str {
        &self.row.source
    }

    /// Who has signed so far.
    pub fn signed(&self) -> Vec<Signed> {
        self.progress.signatures.iter().map(Countersignature::signed).collect()
    }

    /// The same as if these had not signed.
    #[must_use]
    pub fn without(self, roles: &[String]) -> Waiting {
        let mut progress = self.progress;
        progress.signatures.retain(|known| !roles.contains(&known.role));
        Waiting { progress, ..self }
    }

    fn task(&self) -> Node {
        task::task(&self.row, &self.held, &self.progress)
    }

    fn reference(&self) -> String {
        format!("Task/{}", self.row.id)
    }
}

impl Pipeline {
    /// The rule a submission falls under, when it needs signatures that it does not bring.
    pub(super) fn sign_off_rule(&self, caller: &Caller, received: &Received) -> Option<&SignOff> {
        let source = caller.source.as_deref()?;
        let rule = self.registry.source(source)?.sign_off.as_ref()?;
        let concerns = received.writes().iter().filter(|write| write.resource.is_some()).filter_map(|write| write.interaction.type_name());
        let is_concerned = concerns.into_iter().any(|type_name| type_name != "Provenance" && rule.concerns(type_name));
        let brought = first_signatures(rule, caller, received);
        (is_concerned && !brought.is_complete(rule)).then_some(rule)
    }

    /// Holds a submission that was found acceptable; answers with the Task that stands for it.
    pub(super) async fn hold(
        &self,
        caller: &Caller,
        source: &str,
        received: Received,
        rule: &SignOff,
        opened: &audit::Opened,
    ) -> Result<Vec<WriteAnswer>, Failure> {
        let progress = first_signatures(rule, caller, &received);
        // A signature that was brought may be over all the bytes.
        let alone = if progress.signatures.is_empty() { Held::alone(&received, &self.limits, self.definitions) } else { None };
        let held = Held::of(&received, rule, (caller, &opened.request_id), alone);
        let (key, at, writes) = (received.idempotency(), self.clock.now(), received.writes().len());
        let (evidence, writes_asked) = received.into_parts();
        let digest = evidence.digest;
        let plan = self.plan(source, writes_asked).await?;
        let anchored = self.prepare(caller, source, evidence, plan.writes, (&plan.links, &plan.withdrawn)).await?.anchored;
        let row = Pending {
            id: self.anchor.fresh_id(at),
            source: source.to_owned(),
            revision: 1,
            is_open: true,
            at,
            expires: at + Duration::from_secs(rule.within_s),
            held: held.encode(),
            progress: progress.encode(),
        };
        let waiting = Waiting { row, held, progress };
        let answers = vec![held_answer(&waiting); writes];
        let unit = Unit {
            submits: true,
            idempotency: key.map(|key| IdempotencyDraft { key: key.0, body: digest, outcome: super::answer::encode(&answers), at }),
            pending: Some(waiting.row.clone()),
            ..Unit::default()
        };
        let mut closing = closing(&[], anchored.versions(), &[]);
        closing.resources = vec![waiting.reference()];
        closing.description = Some("held until enough parties have signed".to_owned());
        match self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await? {
            Committed::Done { .. } => Ok(answers),
            _ => Err(Fault::new(FaultKind::Overloaded, "the same idempotency key was used at the same time").into()),
        }
    }

    /// The submission behind a Task, for whoever may know of it: the source it came from and the parties that must sign.
    pub async fn waiting(&self, caller: &Caller, id: &str) -> Result<Option<Waiting>, Fault> {
        let waiting = self.behind(id).await?;
        let may_know = |waiting: &Waiting| caller.source.as_ref() == Some(&waiting.row.source) || self.may_sign(waiting, &caller.client_id);
        Ok(waiting.filter(may_know))
    }

    /// Whether a client is of a party that was to sign when this was submitted, and still is.
    pub fn may_sign(&self, waiting: &Waiting, client: &str) -> bool {
        let now = self.registry.source(&waiting.row.source).and_then(|source| source.sign_off.as_ref());
        let is_party = |rule: &SignOff| rule.party_of(client).is_some();
        self.registry.client(client).is_some() && is_party(&waiting.held.rule) && now.is_none_or(is_party)
    }

    /// What waits for signatures, or waited, is not deleted by its Task: the Task says how it ends.
    pub(super) async fn check_deletions(&self, caller: &Caller, writes: &[Write]) -> Result<(), Failure> {
        for write in writes {
            let Interaction::Delete { type_name, id, .. } = &write.interaction else { continue };
            if type_name == "Task" && self.waiting(caller, id).await?.is_some() {
                let text = "The Task of a submission that waits for signatures, or waited, is not deleted. It ends when enough have signed or its time has passed.";
                return Err(Refusal::new(Reason::MethodNotAllowed, IssueType::NotSupported, text).into());
            }
        }
        Ok(())
    }

    /// The same, whoever asks.
    async fn behind(&self, id: &str) -> Result<Option<Waiting>, Fault> {
        let id = id.to_owned();
        let row = self.store.read(move |reader| reader.pending(&id)).await?;
        row.map(Waiting::read).transpose()
    }

    /// The Task, its reading recorded.
    pub async fn show_task(&self, waiting: &Waiting, opened: &audit::Opened) -> Result<Node, Fault> {
        let closing = Closing { resources: vec![waiting.reference()], ..Closing::default() };
        self.record(opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(waiting.task())
    }

    /// The document that is signed: the resource, or the whole transaction, as it was sent.
    pub fn signed_document(&self, waiting: &Waiting) -> Result<Node, Failure> {
        if !waiting.row.is_open || waiting.row.expires <= self.clock.now() {
            let text = "This submission no longer waits for signatures. Its Task says how it ended.";
            return Err(Refusal::new(Reason::IdempotencyConflict, IssueType::Conflict, text).into());
        }
        waiting.held.document(&self.limits, self.definitions)
    }

    /// What the submission would be stored as, for ruling on who may see it.
    pub async fn normalised_form(&self, waiting: &Waiting) -> Result<Vec<Node>, Failure> {
        let submitter = self.submitter(waiting)?;
        let received = waiting.held.received(&self.limits, self.definitions, Vec::new())?;
        let (evidence, writes) = received.into_parts();
        let plan = self.plan(&waiting.row.source, writes).await?;
        let anchored = self.prepare(&submitter, &waiting.row.source, evidence, plan.writes, (&plan.links, &plan.withdrawn)).await?.anchored;
        Ok(anchored.versions().iter().filter_map(|version| version.resource.clone()).collect())
    }

    /// Adds a party's signature. The last one that is needed has the submission accepted in the same commit.
    pub async fn countersign(
        &self,
        caller: &Caller,
        waiting: Waiting,
        attestation: &Attestation,
        opened: &audit::Opened,
    ) -> Result<(Node, bool), Failure> {
        let at = self.clock.now();
        let progress = waiting.progress.with(&waiting.held.rule, Countersignature::of(&caller.client_id, attestation, at))?;
        if progress.is_complete(&waiting.held.rule) {
            return self.complete(waiting, progress, opened).await;
        }
        let row = waiting.next(&progress);
        let unit = Unit { submits: true, assumptions: vec![waiting.unchanged()], pending: Some(row.clone()), ..Unit::default() };
        let closing = Closing {
            resources: vec![waiting.reference()],
            patients: self.patients_of(&waiting).await?,
            description: Some("signed; more signatures are needed".to_owned()),
            ..Closing::default()
        };
        match self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await? {
            Committed::Done { .. } => Ok((Waiting { row, held: waiting.held, progress }.task(), false)),
            _ => Err(signed_meanwhile().into()),
        }
    }

    async fn complete(&self, waiting: Waiting, progress: Progress, opened: &audit::Opened) -> Result<(Node, bool), Failure> {
        match self.accept_held(&waiting, &progress, opened).await {
            Ok(task) => Ok((task, true)),
            // What cannot be accepted any more ends here, with every signature and the reason.
            Err(Failure::Refused(refusal)) if refusal.reason != Reason::IdempotencyConflict => {
                let progress = Progress { end: Some(End::Refused(refusal.reason.label().to_owned())), ..progress };
                let row = waiting.next(&progress);
                let unit = Unit { assumptions: vec![waiting.unchanged()], pending: Some(row.clone()), ..Unit::default() };
                let withheld = self.patients_of(&waiting).await?;
                let closing = Closing { resources: vec![waiting.reference()], withheld, ..Closing::default() };
                let outcome = Outcome::Refused(refusal.reason.label());
                match self.record_with(unit, opened, &outcome, LeafKind::Refuse, &closing).await? {
                    Committed::Done { .. } => Ok((Waiting { row, held: waiting.held, progress }.task(), true)),
                    _ => Err(signed_meanwhile().into()),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// The ordinary pipeline, with what was held as the submission and every signature checked once more.
    async fn accept_held(&self, waiting: &Waiting, progress: &Progress, opened: &audit::Opened) -> Result<Node, Failure> {
        let submitter = self.submitter(waiting)?;
        let document = waiting.held.document(&self.limits, self.definitions)?;
        let damaged = |_| Fault::new(FaultKind::StorageCorrupt, "a kept signature no longer holds for what is held");
        let again = progress.signatures.iter().map(|signature| {
            let element = json::parse(signature.element.as_bytes(), json::DEFAULT_DEPTH).map_err(|_| damaged(()))?;
            attest_again(&element, &document, &waiting.held.bytes, self.clock.now()).map_err(|_| damaged(()))
        });
        let attestations = again.collect::<Result<Vec<Attestation>, Fault>>()?;
        let received = waiting.held.received(&self.limits, self.definitions, attestations)?;
        for _ in 0..MAX_ATTEMPTS {
            let mut done = None;
            let close = |unit: &mut Unit, answers: &[WriteAnswer]| {
                let accepted = answers.iter().filter_map(WriteAnswer::version_reference).collect();
                let progress = Progress { end: Some(End::Accepted(accepted)), ..progress.clone() };
                let row = waiting.next(&progress);
                unit.assumptions.push(waiting.unchanged());
                unit.pending = Some(row.clone());
                done = Some(task::task(&row, &waiting.held, &progress));
            };
            let attempt = self.attempt_with(&submitter, &waiting.row.source, received.clone(), opened, close).await?;
            let revision = waiting.row.id.clone();
            match (attempt, done) {
                (Attempt::Done(_), Some(task)) => return Ok(task),
                _ if self.store.read(move |reader| reader.pending(&revision)).await?.map(|row| row.revision)
                    != Some(waiting.row.revision) =>
                {
                    return Err(signed_meanwhile().into());
                }
                _ => {}
            }
        }
        Err(Fault::new(FaultKind::Overloaded, "a completed submission kept being overtaken").into())
    }

    /// The audit record of a signature that was refused, for those whom the waiting submission names.
    pub async fn record_refused_signature(&self, id: &str, opened: &audit::Opened, refusal: &Refusal) -> Result<(), Fault> {
        let withheld = match self.behind(id).await? {
            Some(waiting) => self.patients_of(&waiting).await?,
            None => Vec::new(),
        };
        self.record_refusal_of(opened, refusal, Closing { withheld, ..Closing::default() }).await
    }

    /// The patients known here whom a waiting submission names; nobody once it no longer waits, for then nothing is kept of it.
    async fn patients_of(&self, waiting: &Waiting) -> Result<Vec<String>, Fault> {
        let Ok(submitter) = self.submitter(waiting) else { return Ok(Vec::new()) };
        match waiting.held.received(&self.limits, self.definitions, Vec::new()) {
            Ok(received) => {
                let (evidence, writes) = received.into_parts();
                self.known_patients(&submitter, writes, evidence.declared).await
            }
            Err(Failure::Refused(_)) => Ok(Vec::new()),
            // What no longer waits has left no bytes to read.
            Err(Failure::Fault(_)) if !waiting.row.is_open => Ok(Vec::new()),
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }

    /// The client that submitted it, as it is registered now.
    fn submitter(&self, waiting: &Waiting) -> Result<Caller, Refusal> {
        let client = self.registry.client(&waiting.held.client).ok_or_else(|| {
            let text = "The client that submitted this is no longer registered.";
            Refusal::new(Reason::Forbidden, IssueType::Forbidden, text)
        })?;
        Ok(Caller {
            client_id: client.id.clone(),
            organisation: client.organisation.clone(),
            purposes: Vec::new(),
            names_purposes: false,
            scopes: client.scopes.clone(),
            roles: client.roles.clone(),
            files_consent: client.files_consent,
            source: client.source.clone(),
            data: client.data,
            acts_for: client.acts_for.clone(),
            person: client.person.clone(),
            token_id: String::new(),
        })
    }
}

/// What the submission itself brings: the signature of its sender, where the sender is one of the parties.
fn first_signatures(rule: &SignOff, caller: &Caller, received: &Received) -> Progress {
    let covers_all = |attestation: &&Attestation| {
        received
            .writes()
            .iter()
            .filter(|write| write.resource.is_some() && write.path != crate::sign::X_PROVENANCE)
            .all(|write| attestation.covers(&write.path))
    };
    let own = received.evidence().attestations.iter().find(covers_all);
    let signature = own.map(|attestation| Countersignature::of(&caller.client_id, attestation, received.evidence().at));
    signature.and_then(|signature| Progress::default().with(rule, signature).ok()).unwrap_or_default()
}

fn held_answer(waiting: &Waiting) -> WriteAnswer {
    WriteAnswer {
        done: Done::Held,
        type_name: "Task".to_owned(),
        id: waiting.row.id.clone(),
        version: waiting.row.revision,
        at: waiting.row.at,
        document: Some(json::write(&waiting.task())),
        findings: Vec::new(),
    }
}

fn signed_meanwhile() -> Refusal {
    let text = "Another party signed at the same moment. Read the Task and sign again if it still waits for you.";
    Refusal::new(Reason::IdempotencyConflict, IssueType::Conflict, text)
}

/// Instants as they are kept.
fn micros(at: Instant) -> i64 {
    at.micros()
}
