//! Replay, asked page by page.

use super::AdminState;
use super::guard::{answer, failed};
use crate::audit::Opened;
use crate::clock::Instant;
use crate::fhir::{Object, json};
use crate::outcome::{IssueType, Reason, Refusal};
use crate::pipeline::{MAX_PAGE, ReplayAsked};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::Response;
use axum::routing::post;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    source: String,
    /// An instant or a date; from the beginning without one.
    since: Option<String>,
    #[serde(default)]
    after: i64,
    #[serde(default = "dry")]
    dry: bool,
    limit: Option<usize>,
}

fn dry() -> bool {
    true
}

pub(super) fn router() -> Router<AdminState> {
    Router::new().route("/replay", post(replay))
}

/// NDJSON: a line for each resource that differs, then one that sums up and says where to go on.
async fn replay(State(state): State<AdminState>, Extension(opened): Extension<Opened>, Query(asked): Query<Asked>) -> Response<Body> {
    let since = match asked.since.as_deref().map(instant).unwrap_or(Some(Instant::EPOCH)) {
        Some(since) => since,
        None => return failed(&Refusal::new(Reason::Malformed, IssueType::Value, "'since' is an instant or a date.").into()),
    };
    let asked = ReplayAsked { source: asked.source, since, after: asked.after, is_dry: asked.dry, limit: asked.limit.unwrap_or(MAX_PAGE) };
    let opened = Opened { interaction: "replay", ..opened };
    match state.pipeline.replay(&asked, &opened).await {
        Ok(page) => {
            let summary = Object::new().with("looked-at", page.looked_at as u64).with("written", page.written as u64);
            let summary = summary.with_some("next", page.next.and_then(|next| u64::try_from(next).ok())).into();
            let lines = page.lines.iter().chain([&summary]).map(|line| json::write(line) + "\n");
            answer(200, "application/x-ndjson", lines.collect())
        }
        Err(failure) => failed(&failure),
    }
}

fn instant(text: &str) -> Option<Instant> {
    Instant::from_fhir_instant(text).or_else(|| Instant::from_fhir_instant(&format!("{text}T00:00:00Z")))
}
