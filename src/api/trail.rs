//! Trails, accountings and erasure: what is asked by whom oversees the gateway, acts for a patient, or may erase.

use super::fhir::FhirState;
use super::negotiate::Wanted;
use super::refusing::refuse_about;
use super::render;
use crate::audit;
use crate::identity::Caller;
use crate::intake::{self, Format, Operation, Pairs};
use crate::outcome::{Failure, Fault, Finding, IssueType, Reason, Refusal, Severity};
use crate::problem::outcome_node;
use axum::body::Body;
use axum::http::{Response, header};
use futures_util::TryStreamExt;

/// Answers one of the operations on what is on record.
pub(super) async fn answer(
    state: &FhirState,
    wanted: &Wanted,
    (operation, type_name, id): (Operation, &str, &str),
    pairs: &Pairs,
    as_package: bool,
    caller: &Caller,
    record: &audit::Opened,
) -> Result<Response<Body>, Failure> {
    match operation {
        Operation::Trail if as_package => {
            let seen = refused(state, caller, (type_name, id), record, seen(pairs)).await?;
            let package = state.trail.package(caller, (type_name, id), seen, record).await?;
            let mut response = Response::new(Body::from(package));
            render::set(&mut response, header::CONTENT_TYPE.as_str(), "application/zip");
            render::set(&mut response, header::CONTENT_DISPOSITION.as_str(), "attachment; filename=\"evidence.zip\"");
            Ok(response)
        }
        Operation::Trail => {
            let plain = only(pairs, &[]).and_then(|()| in_json(wanted));
            refused(state, caller, (type_name, id), record, plain).await?;
            let pieces = state.trail.bundle(caller, type_name, id, record).await?;
            let request = record.request_id.clone();
            let mut response = Response::new(Body::from_stream(pieces.inspect_err(move |fault| broken_off(fault, &request))));
            render::set(&mut response, header::CONTENT_TYPE.as_str(), "application/fhir+json; charset=utf-8");
            Ok(response)
        }
        Operation::Disclosures => {
            let bundle = state.trail.disclosures(caller, id, pairs, record).await?;
            Ok(render::resource(200, &bundle, wanted, state.definitions))
        }
        Operation::Erase => {
            let shared = refused(state, caller, (type_name, id), record, shared(pairs)).await?;
            let erased = state.trail.erase(caller, (type_name, id), shared, record).await?;
            let text = format!(
                "Erased {} resource(s) for good, and {} version(s) of what is others' now; {} record(s) of others no longer lead to them.",
                erased.resources, erased.versions, erased.rewritten
            );
            let finding = Finding::new(Severity::Information, IssueType::Informational, "erased", text);
            Ok(render::resource(200, &outcome_node(&[finding]), wanted, state.definitions))
        }
        Operation::Validate
        | Operation::Receipt
        | Operation::GoldenRecord
        | Operation::Match
        | Operation::Everything
        | Operation::SignOff
        | Operation::Pending
        | Operation::ConsentDecide
        | Operation::FileConsent
        | Operation::RevokeConsent
        | Operation::BreakGlass => {
            Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, "This operation is not offered here.").into())
        }
    }
}

/// The head of the answer is out: whoever reads it sees a transfer that ends before its end, and the operator why.
fn broken_off(fault: &Fault, request: &str) {
    metrics::counter!("hearthgate_broken_answers_total", "reason" => fault.kind.label()).increment(1);
    tracing::error!(fault = fault.kind.label(), detail = %fault.detail, request, "an answer was broken off");
}

/// Audits a refusal that no path has audited.
async fn refused<T>(
    state: &FhirState,
    caller: &Caller,
    (type_name, id): (&str, &str),
    record: &audit::Opened,
    outcome: Result<T, Refusal>,
) -> Result<T, Failure> {
    match outcome {
        Ok(understood) => Ok(understood),
        Err(refusal) => refuse_about(state, caller, intake::named(&format!("{type_name}/{id}"), None), record, refusal).await,
    }
}

/// The size of the checkpoint the reader saw last.
fn seen(pairs: &Pairs) -> Result<Option<u64>, Refusal> {
    only(pairs, &["seen"])?;
    let Some((name, value)) = pairs.iter().find(|(name, _)| name == "seen") else { return Ok(None) };
    let text = "'seen' is the size in the second line of the checkpoint you kept.";
    value.parse().map(Some).map_err(|_| Refusal::new(Reason::Malformed, IssueType::Value, text).at(name.clone()))
}

/// Whether what is about others too may go.
fn shared(pairs: &Pairs) -> Result<bool, Refusal> {
    only(pairs, &["shared"])?;
    let mut given = pairs.iter().filter(|(name, _)| name == "shared");
    match (given.next().map(|(_, value)| value.as_str()), given.next()) {
        (None | Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => {
            let text = "'shared' is true or false, once.";
            Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at("shared"))
        }
    }
}

fn only(pairs: &Pairs, known: &[&str]) -> Result<(), Refusal> {
    let stray = pairs.iter().find(|(name, _)| !known.contains(&name.as_str()) && !matches!(name.as_str(), "_format" | "_pretty"));
    stray.map_or(Ok(()), |(name, _)| {
        let text = "This parameter means nothing here. See GET [base]/metadata for what is offered.";
        Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()))
    })
}

fn in_json(wanted: &Wanted) -> Result<(), Refusal> {
    if wanted.format == Format::Json && !wanted.pretty {
        return Ok(());
    }
    let text = "A trail is streamed: it is written as application/fhir+json, without _pretty, or as application/zip.";
    Err(Refusal::new(Reason::NotAcceptable, IssueType::NotSupported, text))
}
