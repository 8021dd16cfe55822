//! Refusals of requests of which nothing was planned. They are put on record for whomever the request named, as those of the pipeline are; who
//! sent it is told what it would be told anyway.

use super::fhir::FhirState;
use super::negotiate;
use crate::audit;
use crate::identity::Caller;
use crate::intake::{self, Format, Write};
use crate::outcome::{Failure, Refusal};
use axum::http::{HeaderMap, header};

/// What of a request says whom it is about.
pub(super) struct Shown<'a> {
    /// Below the base.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Audits a refusal that no path has audited, and hands it on.
pub(super) async fn refuse<T>(state: &FhirState, shown: Shown<'_>, mut record: audit::Opened, refusal: Refusal) -> Result<T, Failure> {
    let caller = record.caller.clone().or_else(|| caller(state, shown.headers));
    // What strangers name is in nobody's trail, or anybody could fill it.
    let Some(caller) = caller else {
        state.pipeline.record_refusal(&record, &refusal).await?;
        return Err(refusal.into());
    };
    record.caller = Some(caller.clone());
    let media = negotiate::body_media(shown.headers).ok();
    let format = media.map_or(Format::Json, |media| media.format);
    let document = intake::document_leniently(shown.body, format, &state.limits, state.definitions.types());
    let url = format!("{}?{}", shown.path, shown.query.unwrap_or_default());
    let named = (intake::named(&url, document.as_ref()), media.and_then(|media| media.declared));
    state.pipeline.record_refused_request(&caller, named, &record, &refusal).await?;
    Err(refusal.into())
}

/// The same where it is known what was named.
pub(super) async fn refuse_about<T>(
    state: &FhirState,
    caller: &Caller,
    named: Vec<Write>,
    record: &audit::Opened,
    refusal: Refusal,
) -> Result<T, Failure> {
    state.pipeline.record_refused_request(caller, (named, None), record, &refusal).await?;
    Err(refusal.into())
}

/// Who sent it, if that is proved; a request can be refused before it is asked.
fn caller(state: &FhirState, headers: &HeaderMap) -> Option<Caller> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    state.identity.identify(header(header::AUTHORIZATION.as_str())).ok()
}
