//! The operations on consents: asking what they permit, filing them with their documents, taking them back, and breaking the glass.

use super::fhir::{Asked, FhirState, idempotency, parse_body};
use super::negotiate::Wanted;
use super::refusing::refuse;
use super::render;
use super::signing::{self, Signed};
use crate::audit;
use crate::consent::Consultation;
use crate::identity::Caller;
use crate::intake::{self, Evidence, Pairs, Received};
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal, Severity};
use crate::pipeline::{Done, WriteAnswer};
use crate::problem::outcome_node;
use axum::body::Body;
use axum::http::Response;

/// `POST Patient/{id}/$consent-decide` and `POST Consent/$consent-decide`.
pub(super) async fn decide(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    (patient, pairs): (Option<&str>, &Pairs),
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    record.interaction = "consent-decide";
    let question = no_parameters(pairs).and_then(|()| {
        let (_, parameters) = parse_body(state, asked)?;
        Consultation::from_parameters(&parameters, patient)
    });
    let question = match question {
        Ok(question) => question,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    let (consulted, told) = state.query.consult(caller, &question, &record).await?;
    Ok(render::resource(200, &consulted.parameters(told), wanted, state.definitions))
}

/// `POST Consent/$fileConsent`: a Consent, alone or with the documents it was given on; all or nothing.
pub(super) async fn file(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    pairs: &Pairs,
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    record.interaction = "consent-file";
    let received = match received(state, asked, caller, pairs).await {
        Ok(received) => received,
        Err(Failure::Refused(refusal)) => return refuse(state, asked.shown(), record, refusal).await,
        Err(fault) => return Err(fault),
    };
    let answers = state.pipeline.accept(caller, received, record).await?;
    let filed = answers.iter().find(|answer| answer.type_name == "Consent" || answer.done == Done::Held);
    let filed = filed.ok_or_else(|| Fault::new(FaultKind::Internal, "a filing without an answer"))?;
    if filed.done == Done::Held {
        return Ok(render::write(filed, &state.base_url, wanted, state.definitions));
    }
    let mut findings = vec![told(filed)];
    findings.extend(answers.iter().flat_map(|answer| answer.findings.iter().cloned()));
    Ok(operated(state, wanted, filed, &findings))
}

async fn received(state: &FhirState, asked: &Asked, caller: &Caller, pairs: &Pairs) -> Result<Received, Failure> {
    no_parameters(pairs)?;
    let key = idempotency(&asked.headers, caller)?;
    let (media, document) = parse_body(state, asked)?;
    let Signed { attestations, provenance } = signing::of_submission(state, asked, caller, Some(&document)).await?;
    let evidence = Evidence::new(asked.body.clone(), media.format, asked.at).declared(media.declared).attested(attestations);
    let received = Received::transaction(evidence, intake::filing(document)?, key);
    Ok(provenance.into_iter().fold(received, Received::with_provenance))
}

/// `POST Consent/{id}/$revokeConsent`, with no body.
pub(super) async fn revoke(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    (id, pairs): (&str, &Pairs),
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    record.interaction = "consent-revoke";
    let is_plain = no_parameters(pairs).and_then(|()| is_empty(state, asked));
    if let Err(refusal) = is_plain {
        return refuse(state, asked.shown(), record, refusal).await;
    }
    let answer = state.pipeline.revoke_consent(caller, id, &record).await?;
    let text = "The consent is revoked. From the next request on it permits nothing.";
    let finding = Finding::new(Severity::Information, IssueType::Informational, "consent-revoked", text);
    Ok(operated(state, wanted, &answer, &[finding]))
}

/// `POST Patient/{id}/$break-glass` with the parameter `reason`.
pub(super) async fn break_glass(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    (id, pairs): (&str, &Pairs),
    mut record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    record.interaction = "break-glass";
    let reason = no_parameters(pairs).and_then(|()| reason(state, asked));
    let reason = match reason {
        Ok(reason) => reason,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    let broken = state.pipeline.break_glass(caller, id, &reason, &record).await?;
    let text = format!(
        "The record is open to you until {} for requests whose one purpose is BTG (X-Purpose-Of-Use: BTG). The patient is told.",
        broken.until.to_fhir_instant()
    );
    let finding = Finding::new(Severity::Information, IssueType::Informational, "glass-broken", text);
    let mut response = render::resource(200, &outcome_node(&[finding]), wanted, state.definitions);
    render::set(&mut response, axum::http::header::LOCATION.as_str(), &format!("{}/{}", state.base_url, broken.notice));
    Ok(response)
}

fn reason(state: &FhirState, asked: &Asked) -> Result<String, Refusal> {
    let (_, document) = parse_body(state, asked)?;
    let text = "$break-glass takes Parameters with one parameter: 'reason', a text for the patient and for whoever reviews this.";
    let refused = || Refusal::new(Reason::Malformed, IssueType::Required, text).at("Parameters.parameter");
    let [given] = document.items("parameter") else { return Err(refused()) };
    let is_meant = document.resource_type() == Some("Parameters") && given.text("name") == Some("reason");
    given.text("valueString").filter(|_| is_meant).map(str::to_owned).ok_or_else(refused)
}

/// Nothing that is sent along may be passed over.
fn is_empty(state: &FhirState, asked: &Asked) -> Result<(), Refusal> {
    if asked.body.is_empty() {
        return Ok(());
    }
    let (_, document) = parse_body(state, asked)?;
    if document.resource_type() == Some("Parameters") && document.items("parameter").is_empty() {
        return Ok(());
    }
    let text = "$revokeConsent takes no parameters: it ends the consent the URL names.";
    Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text))
}

/// The OperationOutcome of an operation that made a version.
fn operated(state: &FhirState, wanted: &Wanted, answer: &WriteAnswer, findings: &[Finding]) -> Response<Body> {
    let mut response = render::resource(200, &outcome_node(findings), wanted, state.definitions);
    render::place(&mut response, answer, &state.base_url);
    response
}

/// What becomes of a consent that was filed.
fn told(filed: &WriteAnswer) -> Finding {
    let text = match filed.done {
        Done::Existing => "This consent is on file already, in these words.",
        _ => "The consent is filed. It counts from the next request on, as the findings say.",
    };
    Finding::new(Severity::Information, IssueType::Informational, "consent-filed", text)
}

/// What an operation is asked stands in its body.
fn no_parameters(pairs: &Pairs) -> Result<(), Refusal> {
    let stray = pairs.iter().find(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty"));
    stray.map_or(Ok(()), |(name, _)| {
        let text = "This operation takes its parameters in the body.";
        Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()))
    })
}
