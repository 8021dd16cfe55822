//! The operator's desk: work lists, ConceptMaps of sources, who is who.

use super::AdminState;
use super::guard::{answer, body, failed};
use super::reload::{Reload, ask};
use super::sheet::{self, UnmappedCode};
use crate::audit::Opened;
use crate::fhir::{Node, Object, json};
use crate::intake::{Format, Limits, document};
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::pipeline::input;
use crate::store::{MAX_WORK, WorkRow};
use crate::worklist::{KINDS, Kind, STATUS_DONE, STATUS_IGNORED, STATUS_OPEN};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{Response, header};
use axum::routing::{get, post};
use serde::Deserialize;

/// The longest note an operator may leave, in characters.
const MAX_NOTE: usize = 1_000;

pub(super) fn router() -> Router<AdminState> {
    Router::new()
        .route("/work", get(list))
        .route("/work/{task}", post(resolve))
        .route("/sources/{source}/unmapped", get(export))
        .route("/sources/{source}/concept-map", post(load))
        .route("/people", post(people))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    source: Option<String>,
    kind: Option<String>,
    status: Option<String>,
}

type Answered = Result<Response<Body>, Failure>;

fn answered(outcome: Answered) -> Response<Body> {
    outcome.unwrap_or_else(|failure| failed(&failure))
}

fn malformed(text: &str) -> Failure {
    Refusal::new(Reason::Malformed, IssueType::Value, text).into()
}

async fn list(State(state): State<AdminState>, Query(listed): Query<Listed>) -> Response<Body> {
    answered(try_list(&state, listed).await)
}

async fn try_list(state: &AdminState, listed: Listed) -> Answered {
    if listed.kind.as_deref().is_some_and(|kind| !KINDS.iter().any(|known| known.label() == kind)) {
        return Err(malformed("'kind' is one of unmapped-code, implausible-unit, refused-version, uncertain-match, late-result."));
    }
    let found = state.pipeline.work_list(listed.source, listed.kind, MAX_WORK).await?;
    let wanted = |task: &Node| listed.status.as_deref().is_none_or(|status| task.text("status") == Some(status));
    let items: Vec<Node> = found.iter().filter(|(_, task)| wanted(task)).map(|(row, task)| item(row, task)).collect();
    Ok(answer(200, "application/json", json::write(&items.into())))
}

fn item(row: &WorkRow, task: &Node) -> Node {
    let is_open = task.text("status") == Some(STATUS_OPEN);
    let resolved_at = task.text("lastModified").and_then(crate::clock::Instant::from_fhir_instant);
    let has_recurred = !is_open && resolved_at.is_some_and(|at| row.last > at);
    let texts = task.items("input").iter().filter_map(|input| {
        let name = input.get("type")?.items("coding").first()?.text("code")?;
        let value = input.text("valueString").or_else(|| input.text_at(&["valueReference", "reference"]))?;
        Some((name, value))
    });
    let mut inputs = Object::new();
    texts.for_each(|(name, value)| inputs.set(name, value));
    Object::new()
        .with("task", row.task.as_str())
        .with("kind", row.kind.as_str())
        .with("source", row.source.as_str())
        .with_some("status", task.text("status"))
        .with("count", row.count)
        .with("first", row.first.to_fhir_instant())
        .with("last", row.last.to_fhir_instant())
        .with("recurred", has_recurred)
        .with_some("focus", task.text_at(&["focus", "reference"]))
        .with("inputs", inputs)
        .into()
}

/// What an operator decides about an item.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    /// `done`, `ignore`; for an uncertain match also `link` and `apart`.
    decision: String,
    #[serde(default)]
    note: String,
}

async fn resolve(
    State(state): State<AdminState>,
    Extension(opened): Extension<Opened>,
    Path(task): Path<String>,
    request: Request,
) -> Response<Body> {
    answered(try_resolve(&state, &opened, &task, request).await)
}

async fn try_resolve(state: &AdminState, opened: &Opened, task: &str, request: Request) -> Answered {
    let resolution: Resolution = read_json(request).await?;
    if resolution.note.chars().count() > MAX_NOTE {
        return Err(malformed("The note is too long."));
    }
    let note =
        if resolution.note.is_empty() { resolution.decision.clone() } else { format!("{}: {}", resolution.decision, resolution.note) };
    let status = match resolution.decision.as_str() {
        "done" => STATUS_DONE,
        "ignore" => STATUS_IGNORED,
        decision @ ("link" | "apart") => {
            let (one, other) = matched(state, task).await?;
            if decision == "link" {
                state.pipeline.link(&one, &other, opened).await?;
            } else {
                state.pipeline.keep_apart(&one, &other, opened).await?;
            }
            STATUS_DONE
        }
        _ => return Err(malformed("'decision' is one of done, ignore, link, apart.")),
    };
    state.pipeline.resolve(task, status, &note, opened).await?;
    Ok(answer(200, "application/json", json::write(&Object::new().with("task", task).with("status", status).into())))
}

/// The two patients of an uncertain match.
async fn matched(state: &AdminState, task: &str) -> Result<(String, String), Failure> {
    let listed = state.pipeline.work_list(None, Some(Kind::UncertainMatch.label().to_owned()), MAX_WORK).await?;
    let found = listed.iter().find(|(row, _)| row.task == task).map(|(_, task)| task);
    let focus = found.and_then(|task| task.text_at(&["focus", "reference"]));
    let candidate = found.and_then(|task| task.items("input").iter().find_map(|input| input.text_at(&["valueReference", "reference"])));
    let id = |reference: &str| reference.strip_prefix("Patient/").map(str::to_owned);
    let pair = focus.and_then(id).zip(candidate.and_then(id));
    pair.ok_or_else(|| malformed("Only an uncertain match can be linked or kept apart."))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    format: Option<String>,
}

async fn export(State(state): State<AdminState>, Path(source): Path<String>, Query(exported): Query<Exported>) -> Response<Body> {
    answered(try_export(&state, source, exported.format.as_deref().unwrap_or("csv")).await)
}

async fn try_export(state: &AdminState, source: String, format: &str) -> Answered {
    let listed = state.pipeline.work_list(Some(source.clone()), Some(Kind::UnmappedCode.label().to_owned()), MAX_WORK).await?;
    let open = listed.iter().filter(|(_, task)| task.text("status") == Some(STATUS_OPEN));
    let codes: Vec<UnmappedCode> = open
        .map(|(row, task)| {
            let text = |name: &str| input(task, name).unwrap_or_default().to_owned();
            let record = task.text_at(&["focus", "reference"]).unwrap_or_default().to_owned();
            UnmappedCode { system: text("system"), code: text("code"), text: text("text"), count: row.count, record }
        })
        .collect();
    match format {
        "csv" => Ok(answer(200, "text/csv; charset=utf-8", sheet::csv(&codes))),
        "concept-map" => Ok(answer(200, "application/fhir+json", json::write_pretty(&sheet::draft(&source, &codes)))),
        _ => Err(malformed("'format' is csv or concept-map.")),
    }
}

async fn load(
    State(state): State<AdminState>,
    Extension(opened): Extension<Opened>,
    Path(source): Path<String>,
    request: Request,
) -> Response<Body> {
    answered(try_load(&state, opened, &source, request).await)
}

async fn try_load(state: &AdminState, opened: Opened, source: &str, request: Request) -> Answered {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let bytes = body(request).await?;
    let map = if media.starts_with("text/csv") {
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("The sheet is not valid UTF-8."))?;
        sheet::read(source, text)?
    } else {
        let limits = Limits { body_bytes: bytes.len(), depth: json::DEFAULT_DEPTH, bundle_entries: 0 };
        let format = Format::of(&media).ok_or_else(|| malformed("Send a ConceptMap as application/fhir+json, or a sheet as text/csv."))?;
        document(&bytes, format, &limits, state.pipeline.definitions.types())?
    };
    let loaded = state.pipeline.load_map(source, map, &opened).await?;
    // The map is kept whatever comes of this; a configuration that cannot be read again says so.
    let taken = ask(&state.reload, Reload::Same, opened).await?;
    let told = Object::new().with("map", loaded.version).with("usable", loaded.usable as u64).with("settled", loaded.settled as u64);
    let told = told.with("in-effect", taken.is_ok()).with_some("reason", taken.err());
    Ok(answer(200, "application/json", json::write(&told.into())))
}

/// Who is who, decided by a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// `link`, `unlink` (one patient) or `apart`.
    decision: String,
    /// Ids of Patients.
    patients: Vec<String>,
}

async fn people(State(state): State<AdminState>, Extension(opened): Extension<Opened>, request: Request) -> Response<Body> {
    answered(try_people(&state, &opened, request).await)
}

async fn try_people(state: &AdminState, opened: &Opened, request: Request) -> Answered {
    let decision: Decision = read_json(request).await?;
    match (decision.decision.as_str(), decision.patients.as_slice()) {
        ("link", [one, other]) if one != other => state.pipeline.link(one, other, opened).await?,
        ("apart", [one, other]) if one != other => state.pipeline.keep_apart(one, other, opened).await?,
        ("unlink", [one]) => state.pipeline.unlink(one, opened).await?,
        _ => return Err(malformed("'decision' is link or apart with two patients, or unlink with one.")),
    }
    Ok(answer(200, "application/json", json::write(&Object::new().with("decision", decision.decision).into())))
}

async fn read_json<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, Failure> {
    let bytes = body(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(&format!("The body cannot be read: {error}.")))
}
