//! The log as anybody may read it: checkpoint and tiles in the layout of C2SP tlog-tiles. Leaves hold no personal data.

use crate::anchor::Leaf;
use crate::ledger::TreeHashes;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::tile::{self, TileKind, TilePath};
use crate::outcome::{Fault, FaultKind};
use crate::query::StoredTiles;
use crate::store::{Committed, LeafDraft, LedgerHead, Store, Unit};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use bytes::Bytes;
use std::sync::Arc;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const OCTETS: &str = "application/octet-stream";
/// For what never changes.
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For what must be asked for each time.
pub(super) const FRESH: &str = "no-cache";

/// What the ledger interface works with.
#[derive(Clone)]
pub struct LedgerState {
    pub store: Store,
    /// The verifier keys in use, one a line.
    pub verifier_keys: Arc<str>,
    /// Every key the log has had.
    pub key_history: Arc<str>,
    /// Whether anybody may read the entries.
    pub open_entries: bool,
    /// Whether anybody may add entries.
    pub open_add: bool,
}

/// `/ledger/checkpoint`, `/ledger/tile/…`, `/ledger/key`, `/ledger/keys`.
pub fn router(state: LedgerState) -> Router {
    let routes = if state.open_add { Router::new().route("/ledger/add", post(add)) } else { Router::new() };
    routes
        .route("/ledger/checkpoint", get(checkpoint))
        .route("/ledger/key", get(key))
        .route("/ledger/keys", get(keys))
        .route("/ledger/tile/{*path}", get(serve_tile))
        .with_state(state)
}

/// Whoever was told of something finds it under the checkpoint asked for then: what is owed goes into the tree first, where it can.
async fn checkpoint(State(state): State<LedgerState>) -> Response<Body> {
    if let Err(fault) = state.store.settle().await {
        tracing::warn!(fault = fault.kind.label(), detail = %fault.detail, "the checkpoint does not cover the last records");
    }
    let note = state.store.cosigned().map_or_else(|| state.store.ledger_head().note, |cosigned| cosigned.note);
    answer(TEXT, FRESH, note.as_bytes().to_vec())
}

/// Adds an entry as it is, durably, and answers its index. What reads as a leaf of the gateway's own is refused: nobody else may write those.
async fn add(State(state): State<LedgerState>, entry: Bytes) -> Response<Body> {
    if entry.len() > tile::MAX_ENTRY_BYTES {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if Leaf::decode(&entry).is_some() {
        return status(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let leaf = LeafDraft { entry: entry.to_vec(), tags: Vec::new(), key: None, patient: None, is_unseen: false };
    match state.store.commit(Unit { submits: true, leaves: vec![leaf], ..Unit::default() }).await {
        Ok(Committed::Done { leaves }) => match leaves.first() {
            Some(index) => answer(TEXT, "no-store", index.to_string().into_bytes()),
            None => status(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Ok(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        Err(fault) => {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "an entry could not be added");
            status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

async fn key(State(state): State<LedgerState>) -> Response<Body> {
    answer(TEXT, FRESH, state.verifier_keys.as_bytes().to_vec())
}

async fn keys(State(state): State<LedgerState>) -> Response<Body> {
    answer(TEXT, FRESH, state.key_history.as_bytes().to_vec())
}

async fn serve_tile(State(state): State<LedgerState>, Path(path): Path<String>) -> Response<Body> {
    let head = state.store.ledger_head();
    let Ok(wanted) = format!("tile/{path}").parse::<TilePath>() else { return status(StatusCode::NOT_FOUND) };
    let is_withheld = wanted.kind == TileKind::Entries && !state.open_entries;
    if is_withheld || !wanted.exists_at(head.size()) {
        return status(StatusCode::NOT_FOUND);
    }
    match state.store.read(move |reader| read_tile(reader, &head, wanted)).await {
        Ok(Some(bytes)) => answer(OCTETS, IMMUTABLE, bytes),
        Ok(None) => status(StatusCode::NOT_FOUND),
        Err(fault) => {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "a tile could not be read");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The bytes of a tile or entry bundle; partial ones are the beginning of what is there. What the tree does not confirm was damaged, and is
/// named and not served.
fn read_tile(reader: &crate::store::Reader<'_>, head: &LedgerHead, wanted: TilePath) -> Result<Option<Vec<u8>>, Fault> {
    let width = usize::from(wanted.width);
    let damaged = || Fault::new(FaultKind::StorageCorrupt, format!("{wanted} is not as it was written"));
    let level = wanted.kind.level();
    let hashes = match reader.tile(level, wanted.index)? {
        None if wanted.index < tile::full_tiles(level, head.size()) => return Err(damaged()),
        None => head.edge.partial_tile(level).to_vec(),
        Some(hashes) => {
            let tiles = StoredTiles(reader);
            let confirmed = TreeHashes::new(&head.edge, &tiles).is_tile(level, wanted.index, &hashes);
            let confirmed = confirmed.map_err(|error| Fault::new(FaultKind::StorageCorrupt, format!("{wanted}: {error}")))?;
            confirmed.then_some(hashes).ok_or_else(damaged)?
        }
    };
    let Some(hashes) = hashes.get(..width) else { return Ok(None) };
    if wanted.kind != TileKind::Entries {
        return Ok(Some(tile::encode_hashes(hashes)));
    }
    let entries = reader.leaves(wanted.index * u64::from(tile::TILE_WIDTH), width)?;
    if !entries.iter().map(|entry| leaf_hash(entry)).eq(hashes.iter().copied()) {
        return Err(damaged());
    }
    let mut bundle = Vec::new();
    let complete = entries.iter().all(|entry| tile::encode_entry(&mut bundle, entry).is_ok());
    Ok(complete.then_some(bundle))
}

pub(super) fn answer(media: &'static str, caching: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

pub(super) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
