//! The operations on consents: asking what they permit.

use super::fhir::{Asked, FhirState, parse_body, refuse};
use super::negotiate::Wanted;
use super::render;
use crate::audit;
use crate::consent::Consultation;
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Failure, IssueType, Reason, Refusal};
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
        Err(refusal) => return refuse(state, &record, refusal).await,
    };
    let (consulted, told) = state.query.consult(caller, &question, &record).await?;
    Ok(render::resource(200, &consulted.parameters(told), wanted, state.definitions))
}

/// What an operation is asked stands in its body.
fn no_parameters(pairs: &Pairs) -> Result<(), Refusal> {
    let stray = pairs.iter().find(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty"));
    stray.map_or(Ok(()), |(name, _)| {
        let text = "This operation takes its parameters in the body.";
        Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()))
    })
}
