//! Batches and transactions: entries in, a response Bundle out.

use super::fhir::{FhirState, action, listing, opened, query_of};
use super::negotiate::Wanted;
use super::refusing::refuse_about;
use super::validate::{self, Place};
use super::{render, signing};
use crate::audit;
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::intake::{self, BundleKind, Entry, Evidence, IdempotencyKey, Interaction, Operation, Received, Write};
use crate::outcome::{Failure, Fault, IssueType, Reason, Refusal};
use crate::pipeline::{Done, WriteAnswer};
use crate::problem::Problem;
use axum::body::Body;
use axum::http::Response;
use futures_util::{StreamExt, stream};

/// How many entries of a batch are worked on at once. Those that show nothing wait for the most part.
const BATCH_CONCURRENCY: usize = 64;

/// A Bundle posted to the base, with what came in the headers.
pub(super) struct Posted {
    pub bundle: Node,
    pub evidence: Evidence,
    pub key: Option<IdempotencyKey>,
    /// A Provenance of all that is in it.
    pub provenance: Option<Node>,
}

/// Answers a Bundle posted to the base.
pub(super) async fn answer(
    state: &FhirState,
    wanted: &Wanted,
    caller: &Caller,
    posted: Posted,
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    let Posted { bundle, evidence, key, provenance } = posted;
    let key = key.or_else(|| bundle_key(&bundle, caller));
    let split = intake::split(bundle, &state.limits, state.definitions);
    let (kind, entries) = match split {
        Ok(split) => split,
        Err(refusal) => return refused(state, caller, &evidence, &record, refusal).await,
    };
    let (kind_code, entries) = match kind {
        BundleKind::Transaction => {
            record.interaction = "transaction";
            let refusal = intake::refusal_of(&entries).or_else(|| entries.iter().any(is_operation).then(no_operation));
            if let Some(refusal) = refusal {
                return refused(state, caller, &evidence, &record, refusal).await;
            }
            if let Some(refusal) = failing_reading(state, wanted, caller, &entries, &record).await? {
                return refused(state, caller, &evidence, &record, refusal).await;
            }
            let received = |writes| {
                let received = Received::transaction(evidence, writes, key);
                provenance.into_iter().fold(received, Received::with_provenance)
            };
            match transaction(state, wanted, caller, entries, received, record).await? {
                Transacted::Done(entries) => ("transaction-response", entries),
                Transacted::Held(task) => return Ok(render::write(&task, &state.base_url, wanted, state.definitions)),
            }
        }
        BundleKind::Batch if provenance.is_some() => {
            let text = "X-Provenance goes with one resource or one transaction: the entries of a batch are accepted each on its own.";
            return refused(state, caller, &evidence, &record, Refusal::new(Reason::NotSupported, IssueType::NotSupported, text)).await;
        }
        BundleKind::Batch => ("batch-response", batch(state, wanted, caller, entries, &evidence, &record).await),
    };
    let bundle = Object::resource("Bundle").with("type", kind_code).with_some("entry", (!entries.is_empty()).then_some(entries));
    Ok(render::resource(200, &bundle.into(), wanted, state.definitions))
}

/// Whether it is none of what a transaction may hold: it would be answered with a failure once all else is stored.
fn is_operation(entry: &Entry) -> bool {
    matches!(entry, Entry::Operation { .. } | Entry::Query(Interaction::Capabilities))
}

/// A Bundle's own identifier is an idempotency key too.
fn bundle_key(bundle: &Node, caller: &Caller) -> Option<IdempotencyKey> {
    let identifier = bundle.get("identifier")?;
    let (system, value) = (identifier.text("system")?, identifier.text("value")?);
    Some(IdempotencyKey::new(caller.source.as_deref()?, "bundle", &[system, value]))
}

/// Refuses a whole Bundle, for whomever something in it names.
async fn refused<T>(
    state: &FhirState,
    caller: &Caller,
    evidence: &Evidence,
    record: &audit::Opened,
    refusal: Refusal,
) -> Result<T, Failure> {
    refuse_about(state, caller, intake::named("", read_again(state, evidence).as_ref()), record, refusal).await
}

/// The Bundle as far as it can be read: what was refused of it was taken apart.
fn read_again(state: &FhirState, evidence: &Evidence) -> Option<Node> {
    intake::document_leniently(&evidence.bytes, evidence.format, &state.limits, state.definitions.types())
}

/// Why a reading in a transaction refuses all of it, where one will fail whatever is written: once it is, nothing can be taken back.
async fn failing_reading(
    state: &FhirState,
    wanted: &Wanted,
    caller: &Caller,
    entries: &[Entry],
    record: &audit::Opened,
) -> Result<Option<Refusal>, Fault> {
    let writes: Vec<&Write> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Write(write) => Some(&**write),
            _ => None,
        })
        .collect();
    for (place, entry) in entries.iter().enumerate() {
        let Entry::Query(interaction) = entry else { continue };
        let own = opened_for(caller, interaction, record);
        match state.query.foresee(caller, interaction, wanted.handling, &writes, &own).await {
            Err(Failure::Refused(refusal)) => return Ok(Some(refusal.at(format!("Bundle.entry[{place}]")))),
            Err(Failure::Fault(fault)) => return Err(fault),
            Ok(()) => {}
        }
    }
    Ok(None)
}

/// What became of a transaction.
enum Transacted {
    Done(Vec<Node>),
    /// All of it waits behind a Task.
    Held(Box<WriteAnswer>),
}

/// All writes as one unit, then the reads.
async fn transaction(
    state: &FhirState,
    wanted: &Wanted,
    caller: &Caller,
    entries: Vec<Entry>,
    received: impl FnOnce(Vec<Write>) -> Received,
    record: audit::Opened,
) -> Result<Transacted, Failure> {
    let mut writes: Vec<Write> = Vec::new();
    let mut places: Vec<Option<Interaction>> = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry {
            Entry::Write(write) => {
                writes.push(*write);
                places.push(None);
            }
            Entry::Query(interaction) => places.push(Some(interaction)),
            Entry::Operation { .. } | Entry::Refused(_) => {}
        }
    }
    let written = if writes.is_empty() { Vec::new() } else { state.query.submit(caller, received(writes), record.clone()).await? };
    if let Some(task) = written.iter().find(|answer| answer.done == Done::Held) {
        return Ok(Transacted::Held(Box::new(task.clone())));
    }
    let mut written = written.into_iter();
    let mut answers = Vec::with_capacity(places.len());
    for place in places {
        answers.push(match place {
            None => {
                written.next().map(|answer| render::write_entry(&answer, &state.base_url, wanted)).unwrap_or_else(|| Object::new().into())
            }
            Some(interaction) => query_entry(state, wanted, caller, interaction, &record).await,
        });
    }
    Ok(Transacted::Done(answers))
}

/// Every entry on its own: one that fails leaves the others untouched.
async fn batch(
    state: &FhirState,
    wanted: &Wanted,
    caller: &Caller,
    entries: Vec<Entry>,
    evidence: &Evidence,
    record: &audit::Opened,
) -> Vec<Node> {
    let has_refused = entries.iter().any(|entry| matches!(entry, Entry::Refused(_)));
    let sent = if has_refused { read_again(state, evidence) } else { None };
    let sent = sent.as_ref().map(|bundle| bundle.items("entry")).unwrap_or_default();
    let work = entries.into_iter().enumerate().map(|(index, entry)| async move {
        match entry {
            Entry::Write(write) => {
                let (interaction, action) = (write.interaction.code(), action(&write.interaction));
                let opened = audit::Opened { interaction, action, ..record.clone() };
                match batch_write(state, caller, *write, evidence, opened).await {
                    Ok(answers) => answers
                        .first()
                        .map(|answer| render::write_entry(answer, &state.base_url, wanted))
                        .unwrap_or_else(|| Object::new().into()),
                    Err(failure) => failure_entry(&failure),
                }
            }
            Entry::Query(interaction) => query_entry(state, wanted, caller, interaction, record).await,
            Entry::Operation {
                interaction: Interaction::Operation { operation: Operation::Validate, type_name, id, pairs, .. },
                parameters,
            } => {
                let place = Place { type_name: type_name.as_deref(), id: id.as_deref(), pairs: &pairs };
                let own = audit::Opened { interaction: "operation", action: audit::Action::Execute, ..record.clone() };
                answered(validate::of_entry(state, caller, place, parameters, evidence, &own).await)
            }
            Entry::Operation { interaction, .. } => query_entry(state, wanted, caller, interaction, record).await,
            Entry::Refused(refusal) => {
                let named = sent.get(index).map(intake::named_by_entry).unwrap_or_default();
                match refuse_about::<()>(state, caller, named, record, refusal).await {
                    Err(failure) => failure_entry(&failure),
                    Ok(()) => Object::new().into(),
                }
            }
        }
    });
    stream::iter(work).buffered(BATCH_CONCURRENCY).collect().await
}

/// One write of a batch. A signed Provenance in it is over what was accepted before: entries of a batch do not know each other.
async fn batch_write(
    state: &FhirState,
    caller: &Caller,
    write: Write,
    evidence: &Evidence,
    opened: audit::Opened,
) -> Result<Vec<WriteAnswer>, Failure> {
    let attestations = match signing::of_entry(state, caller, &write, evidence.at).await {
        Ok(attestations) => attestations,
        Err(Failure::Refused(refusal)) => return refuse_about(state, caller, vec![write], &opened, refusal).await,
        Err(fault) => return Err(fault),
    };
    let received = Received::batch_entry(evidence.clone().attested(attestations), write);
    state.query.submit(caller, received, opened).await
}

/// A read or search inside a Bundle goes the same way as one on its own.
async fn query_entry(state: &FhirState, wanted: &Wanted, caller: &Caller, interaction: Interaction, record: &audit::Opened) -> Node {
    let own = opened_for(caller, &interaction, record);
    let found = match interaction {
        Interaction::Read { type_name, id } => state.query.read(caller, &type_name, &id, &own).await.map(|found| found.resource),
        Interaction::VersionRead { type_name, id, version } => {
            state.query.read_version(caller, &type_name, &id, &version, &own).await.map(|found| found.resource)
        }
        Interaction::Operation { type_name, id, .. } => {
            let named = intake::named(&format!("{}/{}", type_name.unwrap_or_default(), id.unwrap_or_default()), None);
            refuse_about(state, caller, named, &own, no_operation()).await
        }
        Interaction::Capabilities => refuse_about(state, caller, Vec::new(), &own, no_operation()).await,
        other => listing(state, other, wanted, caller, &own).await,
    };
    answered(found)
}

/// The record of a reading inside a Bundle.
fn opened_for(caller: &Caller, interaction: &Interaction, record: &audit::Opened) -> audit::Opened {
    let mut own = opened(&record.request_id, record.at, &record.peer, interaction.code(), audit::Action::Read);
    own.caller = Some(caller.clone());
    own.query = query_of(interaction);
    own
}

/// The entry that says what came of one.
fn answered(found: Result<Node, Failure>) -> Node {
    match found {
        Ok(resource) => Object::new().with("resource", resource).with("response", Object::new().with("status", "200")).into(),
        Err(failure) => failure_entry(&failure),
    }
}

fn no_operation() -> Refusal {
    Refusal::new(
        Reason::NotSupported,
        IssueType::NotSupported,
        "Of the operations, $validate alone is offered inside a Bundle, and there in a batch.",
    )
}

fn failure_entry(failure: &Failure) -> Node {
    let problem = Problem::of(failure);
    let response = Object::new().with("status", problem.status.to_string()).with("outcome", problem.outcome);
    Object::new().with("response", response).into()
}
