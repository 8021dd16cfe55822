//! The FHIR interface: one handler that turns any request into an [`Interaction`] and answers it.

use super::batch;
use super::capability;
use super::consent;
use super::large::Room;
use super::negotiate::{self, Wanted};
use super::refusing::{Shown, refuse};
use super::render;
use super::sign_off;
use super::signing::{self, Signed};
use super::validate::{self, Place};
use crate::anchor::LeafKind;
use crate::audit::{self, Action, Closing, Outcome};
use crate::clock::{Clock, Instant};
use crate::config::Settings;
use crate::consent::NOTICE_HEADER;
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::identity::{Caller, Identity};
use crate::intake::{self, Conditions, Evidence, Format, IdempotencyKey, Interaction, Limits, Media, Operation, Pairs, Received, Verb};
use crate::normalise::other_release;
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::pipeline::Pipeline;
use crate::query::{Found, QueryPath};
use crate::search;
use crate::store::HistoryScope;
use crate::trail::Trail;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, OriginalUri, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::debug_span;

/// The longest Idempotency-Key.
const MAX_KEY_BYTES: usize = 255;
/// The header that carries the correlation id.
pub const REQUEST_ID: &str = "x-request-id";

/// What the FHIR interface works with.
pub struct FhirState {
    pub pipeline: Pipeline,
    pub query: QueryPath,
    pub trail: Trail,
    pub identity: Arc<Identity>,
    pub definitions: &'static Definitions,
    pub clock: Clock,
    pub limits: Limits,
    pub room: Room,
    pub settings: Settings,
    pub base_url: Arc<str>,
}

pub type Shared = Arc<FhirState>;

/// Everything below `/fhir`.
pub fn router(state: Shared) -> Router {
    Router::new().fallback(handle).with_state(state)
}

/// A request taken apart, before anything of it was judged.
pub(super) struct Asked {
    pub verb: Verb,
    pub path: String,
    pub pairs: Pairs,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub peer: String,
    pub request_id: String,
    pub at: Instant,
    /// The whole target, as the caller wrote it.
    pub target: Uri,
    pub method: Method,
}

impl Asked {
    /// What of it says whom it is about.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { path: &self.path, query: self.target.query(), headers: &self.headers, body: &self.body }
    }
}

async fn handle(State(state): State<Shared>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>) -> Response<Body> {
    let at = state.clock.now();
    let (parts, body) = request.into_parts();
    let received = read_body(body, state.limits.body_bytes).await;
    let bytes = received.as_ref().map_or(0, Bytes::len);
    let answered = state.room.answer(bytes, answer(Arc::clone(&state), peer, parts, received, at)).await;
    answered.unwrap_or_else(|fault| render::failure(&fault.into(), None, &Wanted::default(), state.definitions))
}

async fn answer(state: Shared, peer: SocketAddr, parts: Parts, received: Result<Bytes, Refusal>, at: Instant) -> Response<Body> {
    let mut wanted = Wanted::default();
    let request_id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let asked = received.and_then(|body| {
        let verb = Verb::parse(parts.method.as_str()).ok_or_else(method_not_allowed)?;
        let pairs = intake::decode_pairs(parts.uri.query().unwrap_or_default())?;
        let path = parts.uri.path().trim_matches('/').to_owned();
        let headers = parts.headers.clone();
        let target = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0).clone();
        Ok(Asked {
            verb,
            path,
            pairs,
            headers,
            body,
            peer: peer.ip().to_string(),
            request_id: request_id.clone(),
            at,
            target,
            method: parts.method.clone(),
        })
    });
    let outcome = match &asked {
        Ok(asked) => serve(&state, asked, &mut wanted).await,
        Err(refusal) => {
            let record = opened(&request_id, at, &peer.ip().to_string(), "unreadable", Action::Execute);
            let shown = Shown { path: parts.uri.path(), query: parts.uri.query(), headers: &parts.headers, body: &[] };
            refuse(&state, shown, record, refusal.clone()).await
        }
    };
    let received = asked.as_ref().ok().map(|asked| &asked.body[..]);
    outcome.unwrap_or_else(|failure| render::failure(&failure, received, &wanted, state.definitions))
}

pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let text = format!("The body is larger than this gateway's limit of {limit} bytes. Split it into smaller Bundles.");
            Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text))
        }
        Err(_) => Err(Refusal::new(Reason::Malformed, IssueType::Incomplete, "The body ended before it was complete.")),
    }
}

fn method_not_allowed() -> Refusal {
    Refusal::new(Reason::MethodNotAllowed, IssueType::NotSupported, "FHIR uses GET, HEAD, POST, PUT, DELETE and PATCH.")
}

pub(super) fn opened(request_id: &str, at: Instant, peer: &str, interaction: &'static str, action: Action) -> audit::Opened {
    audit::Opened { interaction, action, request_id: request_id.to_owned(), at, peer: peer.to_owned(), caller: None, query: None }
}

async fn serve(state: &FhirState, asked: &Asked, wanted: &mut Wanted) -> Result<Response<Body>, Failure> {
    if asked.path == ".well-known/smart-configuration" {
        return Ok(super::token::json_response(200, &crate::identity::smart_configuration(&state.settings)));
    }
    let mut record = opened(&asked.request_id, asked.at, &asked.peer, "unreadable", Action::Execute);
    let understood = negotiated(asked).and_then(|negotiated| {
        *wanted = negotiated;
        interaction_of(state, asked)
    });
    let interaction = match understood {
        Ok(interaction) => interaction,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    if interaction == Interaction::Capabilities {
        record.interaction = interaction.code();
        // It tells of nobody: where it cannot be put on record, whoever looks for the reason still finds the gateway.
        if let Err(fault) = state.pipeline.record(&record, &Outcome::Success, LeafKind::Audit, &Closing::default()).await {
            tracing::warn!(fault = fault.kind.label(), "metadata goes out without a record");
        }
        let statement = capability::statement(&state.settings, state.definitions, &state.base_url);
        return Ok(render::resource(200, &statement, wanted, state.definitions));
    }
    record.interaction = interaction.code();
    record.action = action(&interaction);
    record.query = query_of(&interaction);
    let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let caller = match state.identity.authenticate(header("authorization"), negotiate::purposes(&asked.headers).as_deref()) {
        Ok(caller) => caller,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    record.caller = Some(caller.clone());
    if interaction.writes() {
        return submit(state, asked, wanted, interaction, &caller, record).await;
    }
    match interaction {
        Interaction::Operation { operation: Operation::Validate, type_name, id, pairs, .. } => {
            let place = Place { type_name: type_name.as_deref(), id: id.as_deref(), pairs: &pairs };
            validate::validate(state, asked, wanted, &caller, place, &record).await
        }
        Interaction::Operation { operation: Operation::Everything, id, pairs, .. } => {
            let bundle = state.query.everything(&caller, &id.unwrap_or_default(), pairs, &record).await?;
            Ok(render::resource(200, &bundle, wanted, state.definitions))
        }
        Interaction::Operation { operation: Operation::Receipt, type_name, id, version, .. } => {
            let text =
                state.query.receipt(&caller, &type_name.unwrap_or_default(), &id.unwrap_or_default(), version.as_deref(), &record).await?;
            let mut response = Response::new(Body::from(text));
            render::set(&mut response, header::CONTENT_TYPE.as_str(), "text/plain; charset=utf-8");
            Ok(response)
        }
        Interaction::Operation { operation: Operation::GoldenRecord, id, .. } => {
            let record = state.query.golden_record(&caller, &id.unwrap_or_default(), &record).await?;
            Ok(render::resource(200, &record, wanted, state.definitions))
        }
        Interaction::Operation { operation: Operation::Match, .. } => match parse_body(state, asked) {
            Ok((_, parameters)) => {
                let bundle = state.query.match_patient(&caller, &parameters, &record).await?;
                Ok(render::resource(200, &bundle, wanted, state.definitions))
            }
            Err(refusal) => refuse(state, asked.shown(), record, refusal).await,
        },
        Interaction::Operation { operation: Operation::ConsentDecide, id, pairs, .. } => {
            consent::decide(state, asked, wanted, &caller, (id.as_deref(), &pairs), record).await
        }
        Interaction::Operation { operation: Operation::FileConsent, pairs, .. } => {
            consent::file(state, asked, wanted, &caller, &pairs, record).await
        }
        Interaction::Operation { operation: Operation::RevokeConsent, id, pairs, .. } => {
            consent::revoke(state, asked, wanted, &caller, (&id.unwrap_or_default(), &pairs), record).await
        }
        Interaction::Operation { operation: Operation::BreakGlass, id, pairs, .. } => {
            consent::break_glass(state, asked, wanted, &caller, (&id.unwrap_or_default(), &pairs), record).await
        }
        Interaction::Operation { operation: Operation::SignOff, id, .. } => {
            sign_off::operation(state, asked, wanted, &caller, &id.unwrap_or_default(), record).await
        }
        Interaction::Operation { operation: Operation::Pending, id, .. } => {
            sign_off::pending(state, wanted, &caller, &id.unwrap_or_default(), &record).await
        }
        Interaction::Operation { operation, type_name, id, pairs, .. } => {
            let (type_name, id) = (type_name.unwrap_or_default(), id.unwrap_or_default());
            super::trail::answer(state, wanted, (operation, &type_name, &id), &pairs, asks_package(asked), &caller, &record).await
        }
        other => read(state, asked, wanted, other, &caller, &record).await,
    }
}

/// Whether a zip file is asked for, which only a trail has.
fn asks_package(asked: &Asked) -> bool {
    let named =
        asked.pairs.iter().find(|(name, _)| name == "_format").map(|(_, value)| matches!(value.as_str(), "application/zip" | "zip"));
    let accepted = asked.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    asked.path.ends_with("/$provenance-trail") && named.unwrap_or(accepted == Some("application/zip"))
}

/// The format asked for; of a package, that of a refusal.
fn negotiated(asked: &Asked) -> Result<Wanted, Refusal> {
    if !asks_package(asked) {
        return negotiate::wanted(&asked.headers, &asked.pairs);
    }
    let mut headers = asked.headers.clone();
    headers.remove(header::ACCEPT);
    let pairs: Pairs = asked.pairs.iter().filter(|(name, _)| name != "_format").cloned().collect();
    negotiate::wanted(&headers, &pairs)
}

fn interaction_of(state: &FhirState, asked: &Asked) -> Result<Interaction, Refusal> {
    if asked.headers.contains_key("x-http-method-override") {
        let text = "X-HTTP-Method-Override is not supported: use the method itself.";
        return Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, text));
    }
    let mut pairs = asked.pairs.clone();
    if asked.verb == Verb::Post && asked.path.ends_with("/_search") {
        let form = asked.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !asked.body.is_empty() && !form.starts_with("application/x-www-form-urlencoded") {
            let text = "A search by POST carries its parameters as application/x-www-form-urlencoded.";
            return Err(Refusal::new(Reason::UnsupportedMedia, IssueType::NotSupported, text));
        }
        let text = std::str::from_utf8(&asked.body)
            .map_err(|_| Refusal::new(Reason::Malformed, IssueType::Invalid, "The form is not valid UTF-8."))?;
        pairs.extend(intake::decode_pairs(text)?);
    }
    if asked.verb != Verb::Get && asked.verb != Verb::Head {
        pairs.retain(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty"));
    }
    let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let conditions = Conditions {
        if_match: header("if-match"),
        if_none_match: header("if-none-match"),
        if_none_exist: header("if-none-exist"),
        if_modified_since: header("if-modified-since"),
    };
    intake::interaction(asked.verb, &asked.path, pairs, &conditions, state.definitions)
}

pub(super) fn action(interaction: &Interaction) -> Action {
    match interaction {
        Interaction::Create { .. } => Action::Create,
        Interaction::Update { .. } | Interaction::ConditionalUpdate { .. } => Action::Update,
        Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => Action::Delete,
        Interaction::Read { .. } | Interaction::VersionRead { .. } | Interaction::InstanceHistory { .. } => Action::Read,
        _ => Action::Execute,
    }
}

pub(super) fn query_of(interaction: &Interaction) -> Option<String> {
    match interaction {
        Interaction::Search { type_name, pairs } => {
            let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Some(format!("{type_name}?{}", query.join("&")))
        }
        _ => None,
    }
}

async fn submit(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    interaction: Interaction,
    caller: &Caller,
    record: audit::Opened,
) -> Result<Response<Body>, Failure> {
    let key = match idempotency(&asked.headers, caller) {
        Ok(key) => key,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    let deletes = matches!(interaction, Interaction::Delete { .. } | Interaction::ConditionalDelete { .. });
    let parsed = if deletes {
        Ok((Media { format: Format::Json, declared: None }, None))
    } else {
        debug_span!("intake").in_scope(|| parse_body(state, asked)).map(|(media, node)| (media, Some(node)))
    };
    let (media, document) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
    };
    if let Some(provenance) = &document
        && let Some(task) = sign_off::task_of(state, &interaction, provenance)
    {
        return sign_off::sign(state, asked, wanted, caller, (&task, provenance), record).await;
    }
    let Signed { attestations, provenance } = match signing::of_submission(state, asked, caller, document.as_ref()).await {
        Ok(signed) => signed,
        Err(Failure::Refused(refusal)) => return refuse(state, asked.shown(), record, refusal).await,
        Err(fault) => return Err(fault),
    };
    let evidence = Evidence::new(asked.body.clone(), media.format, asked.at).declared(media.declared).attested(attestations);
    match (interaction, document) {
        (Interaction::Bundle, Some(bundle)) => {
            batch::answer(state, wanted, caller, batch::Posted { bundle, evidence, key, provenance }, record).await
        }
        (interaction, document) => {
            let received = match Received::single(evidence, interaction, document, key) {
                Ok(received) => provenance.into_iter().fold(received, Received::with_provenance),
                Err(refusal) => return refuse(state, asked.shown(), record, refusal).await,
            };
            let answers = state.query.submit(caller, received, record).await?;
            let answer = answers
                .first()
                .ok_or_else(|| crate::outcome::Fault::new(crate::outcome::FaultKind::Internal, "a write without an answer"))?;
            Ok(render::write(answer, &state.base_url, wanted, state.definitions))
        }
    }
}

/// A body that is no R4 XML may be XML of another release, which is said rather than which element R4 does not know.
pub(super) fn parse_body(state: &FhirState, asked: &Asked) -> Result<(Media, Node), Refusal> {
    let media = negotiate::body_media(&asked.headers)?;
    let types = state.definitions.types();
    let read = intake::document(&asked.body, media.format, &state.limits, types);
    let document = read.map_err(|refusal| match media.format {
        Format::Xml => other_release(&asked.body, media.declared, types).unwrap_or(refusal),
        Format::Json => refusal,
    });
    Ok((media, document?))
}

/// The `Idempotency-Key` header, bound to the caller.
pub(super) fn idempotency(headers: &HeaderMap, caller: &Caller) -> Result<Option<IdempotencyKey>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let legal = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
    let key = legal.ok_or_else(|| {
        let text = format!("An Idempotency-Key has 1 to {MAX_KEY_BYTES} visible ASCII characters.");
        Refusal::new(Reason::Malformed, IssueType::Value, text)
    })?;
    Ok(Some(IdempotencyKey::new(&caller.client_id, "header", &[key])))
}

async fn read(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    interaction: Interaction,
    caller: &Caller,
    record: &audit::Opened,
) -> Result<Response<Body>, Failure> {
    if let Interaction::Read { type_name, id } = &interaction
        && type_name == "Task"
        && let Some(task) = sign_off::shown(state, caller, id, record).await?
    {
        return Ok(render::resource(200, &task, wanted, state.definitions));
    }
    match interaction {
        Interaction::Read { type_name, id } => {
            let found = state.query.read(caller, &type_name, &id, record).await?;
            single(state, asked, wanted, found)
        }
        Interaction::VersionRead { type_name, id, version } => {
            let found = state.query.read_version(caller, &type_name, &id, &version, record).await?;
            single(state, asked, wanted, found)
        }
        other => {
            let bundle = listing(state, other, wanted, caller, record).await?;
            Ok(render::resource(200, &bundle, wanted, state.definitions))
        }
    }
}

/// Searches and histories: everything that answers a Bundle.
pub(super) async fn listing(
    state: &FhirState,
    interaction: Interaction,
    wanted: &Wanted,
    caller: &Caller,
    record: &audit::Opened,
) -> Result<Node, Failure> {
    match interaction {
        Interaction::Search { type_name, pairs } => state.query.search(caller, &type_name, pairs, wanted.handling, record).await,
        Interaction::InstanceHistory { type_name, id, pairs } => {
            state.query.history(caller, HistoryScope::Instance { type_name, id }, pairs, record).await
        }
        Interaction::TypeHistory { type_name, pairs } => state.query.history(caller, HistoryScope::Type { type_name }, pairs, record).await,
        Interaction::SystemHistory { pairs } => state.query.history(caller, HistoryScope::System, pairs, record).await,
        _ => Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, "This interaction is not offered here.").into()),
    }
}

/// One resource with its headers, or 304 when the client has it already.
fn single(state: &FhirState, asked: &Asked, wanted: &Wanted, found: Found) -> Result<Response<Body>, Failure> {
    let header = |name: header::HeaderName| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let tag = found.version.map(|version| format!("W/\"{version}\""));
    let known = match (header(header::IF_NONE_MATCH), header(header::IF_MODIFIED_SINCE), found.at) {
        (Some(tags), _, _) => tag.as_deref().is_some_and(|tag| tags.split(',').any(|known| known.trim() == tag)),
        (None, Some(since), Some(at)) => since == at.to_http_date(),
        _ => false,
    };
    let projection = search::Projection::parse(&asked.pairs)?;
    let shown = search::project(state.definitions, &found.resource, &projection);
    let mut response = if known { render::empty(304) } else { render::resource(200, &shown, wanted, state.definitions) };
    if let Some(tag) = tag {
        render::set(&mut response, header::ETAG.as_str(), &tag);
    }
    if let Some(notice) = found.notices.first() {
        render::set(&mut response, NOTICE_HEADER, notice.text());
    }
    if let Some(at) = found.at {
        render::set(&mut response, header::LAST_MODIFIED.as_str(), &at.to_http_date());
    }
    Ok(response)
}
