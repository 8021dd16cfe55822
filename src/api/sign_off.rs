//! The parties' side of a sign-off: reading the Task, what is to be signed, and signing it.

use super::fhir::{Asked, FhirState, parse_body};
use super::negotiate::Wanted;
use super::{render, signing};
use crate::audit;
use crate::config::Interaction as Permission;
use crate::fhir::Node;
use crate::identity::Caller;
use crate::intake::Interaction;
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::pipeline::{Signed, Waiting};
use axum::body::Body;
use axum::http::Response;

/// The Task of a created Provenance that signs a waiting submission: its one target.
pub(super) fn task_of(state: &FhirState, interaction: &Interaction, provenance: &Node) -> Option<String> {
    let creates = matches!(interaction, Interaction::Create { type_name, if_none_exist: None } if type_name == "Provenance");
    let [target] = provenance.items("target") else { return None };
    let reference = target.text("reference").filter(|_| creates)?;
    let relative = reference.strip_prefix(&*state.base_url).map_or(reference, |rest| rest.trim_start_matches('/'));
    relative.strip_prefix("Task/").map(str::to_owned)
}

/// `POST Task/{id}/$sign-off` with a signed Provenance, bare or as the parameter `provenance`.
pub(super) async fn operation(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    id: &str,
    record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    let document = match parse_body(state, asked) {
        Ok((_, document)) => document,
        Err(refusal) => return refused(state, id, &record, refusal).await,
    };
    let given = document.items("parameter").iter().find(|parameter| parameter.text("name") == Some("provenance"));
    let provenance = given.and_then(|parameter| parameter.get("resource")).unwrap_or(&document);
    let names_other = |target: &Node| target.text("reference").is_none_or(|reference| named(state, reference) != id);
    if provenance.resource_type() != Some("Provenance") || provenance.items("target").iter().any(names_other) {
        let text = "$sign-off takes a Provenance with a signature, and no other target than this Task.";
        return refused(state, id, &record, Refusal::new(Reason::Malformed, IssueType::Invalid, text)).await;
    }
    sign(state, asked, wanted, caller, (id, provenance), record).await
}

/// Audits a refusal for those whom the submission behind a Task names, and hands it on. `named` is what [`sign`] takes.
async fn refused<T>(state: &FhirState, named: &str, record: &audit::Opened, refusal: Refusal) -> Result<T, Failure> {
    let id = named.split_once('/').map_or(named, |(id, _)| id);
    state.pipeline.record_refused_signature(id, record, &refusal).await?;
    Err(refusal.into())
}

/// The Task a reference names, its version cut off only where it is named with one.
fn named<'a>(state: &FhirState, reference: &'a str) -> &'a str {
    let relative = reference.strip_prefix(&*state.base_url).map_or(reference, |rest| rest.trim_start_matches('/'));
    relative.strip_prefix("Task/").unwrap_or_default()
}

/// Adds the caller's signature to what waits behind a Task. `named` is the Task's id, or its id and `/_history/` with the version that was read.
pub(super) async fn sign(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    (named, provenance): (&str, &Node),
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    record.interaction = "sign-off";
    match try_sign(state, asked, caller, (named, provenance), &record).await {
        Ok((task, is_done)) => {
            let mut response = render::resource(if is_done { 200 } else { 202 }, &task, wanted, state.definitions);
            let location = format!("{}/Task/{}", state.base_url, task.text("id").unwrap_or_default());
            render::set(&mut response, axum::http::header::LOCATION.as_str(), &location);
            Ok(response)
        }
        Err(Failure::Refused(refusal)) => refused(state, named, &record, refusal).await,
        Err(fault) => Err(fault),
    }
}

async fn try_sign(
    state: &FhirState,
    asked: &Asked,
    caller: &Caller,
    (named, provenance): (&str, &Node),
    record: &audit::Opened,
) -> Result<(Node, bool), Failure> {
    caller.require(Permission::Create, "Provenance")?;
    let (id, version) = named.split_once("/_history/").map_or((named, None), |(id, version)| (id, Some(version)));
    let waiting = waiting(state, caller, id).await?;
    let document = state.pipeline.signed_document(&waiting)?;
    // Who may not see what waits cannot find out by signing guesses of it.
    state.query.check_pending(caller, &waiting).await?;
    if version.is_some_and(|version| version != waiting.version().to_string()) {
        let text = "The Provenance targets another version of the Task than the one that waits. Read the Task again.";
        return Err(Refusal::new(Reason::StaleVersion, IssueType::Conflict, text).at("Provenance.target").into());
    }
    let attestations = signing::of_waiting(state, caller, provenance, &document, asked.at).await?;
    let [attestation] = attestations.as_slice() else {
        let text = "A party signs with one detached JWS (sigFormat application/jose) in Provenance.signature.";
        return Err(Refusal::new(Reason::BadSignature, IssueType::Required, text).at("Provenance.signature").into());
    };
    let waiting = still_counting(state, waiting).await?;
    state.pipeline.countersign(caller, waiting, attestation, record).await
}

/// What waits, with those signatures alone that still count: their client is still of a party, and the key still in its key set.
async fn still_counting(state: &FhirState, waiting: Waiting) -> Result<Waiting, Failure> {
    let mut taken_back = Vec::new();
    for Signed { client, role, key_id, thumbprint } in waiting.signed() {
        let keys = state.identity.signature_keys(&client, &key_id).await?;
        if !state.pipeline.may_sign(&waiting, &client) || !keys.iter().any(|key| key.thumbprint() == thumbprint) {
            taken_back.push(role);
        }
    }
    Ok(waiting.without(&taken_back))
}

async fn waiting(state: &FhirState, caller: &Caller, id: &str) -> Result<Waiting, Failure> {
    let waiting = state.pipeline.waiting(caller, id).await?;
    waiting.ok_or_else(|| {
        Refusal::new(Reason::NotFound, IssueType::NotFound, "No Task with this id is known here, or it may not be shown to you.").into()
    })
}

/// The Task itself, when it is one of these and the caller may know of it.
pub(super) async fn shown(state: &FhirState, caller: &Caller, id: &str, record: &audit::Opened) -> Result<Option<Node>, Failure> {
    let Some(waiting) = state.pipeline.waiting(caller, id).await? else { return Ok(None) };
    if let Err(refusal) = caller.require(Permission::Read, "Task") {
        return refused(state, id, record, refusal).await;
    }
    Ok(Some(state.pipeline.show_task(&waiting, record).await?))
}

/// `GET Task/{id}/$pending`: what is to be signed, as far as consent lets the caller see it whole.
pub(super) async fn pending(
    state: &FhirState,
    wanted: &Wanted,
    caller: &Caller,
    id: &str,
    record: &audit::Opened,
) -> Result<Response<Body>, Failure> {
    let shown = async {
        let waiting = waiting(state, caller, id).await?;
        state.query.pending(caller, &waiting, record).await
    };
    match shown.await {
        Ok(document) => Ok(render::resource(200, &document, wanted, state.definitions)),
        Err(Failure::Refused(refusal)) => refused(state, id, record, refusal).await,
        Err(fault) => Err(fault),
    }
}
