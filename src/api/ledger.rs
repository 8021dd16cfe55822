//! The log as anybody may read it: checkpoint and tiles in the layout of C2SP tlog-tiles. Leaves hold no personal data.

use crate::ledger::tile::{self, TileKind, TilePath};
use crate::outcome::Fault;
use crate::store::{LedgerHead, Store};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use std::sync::Arc;

/// What the ledger interface works with.
#[derive(Clone)]
pub struct LedgerState {
    pub store: Store,
    /// The verifier key, as text.
    pub verifier_key: Arc<str>,
    /// Every key the log has had.
    pub key_history: Arc<str>,
}

/// `/ledger/checkpoint`, `/ledger/tile/…`, `/ledger/key`, `/ledger/keys`.
pub fn router(state: LedgerState) -> Router {
    Router::new()
        .route("/ledger/checkpoint", get(checkpoint))
        .route("/ledger/key", get(key))
        .route("/ledger/keys", get(keys))
        .route("/ledger/tile/{*path}", get(serve_tile))
        .with_state(state)
}

async fn checkpoint(State(state): State<LedgerState>) -> Response<Body> {
    answer("text/plain; charset=utf-8", "no-cache", state.store.ledger_head().note.to_string().into_bytes())
}

async fn key(State(state): State<LedgerState>) -> Response<Body> {
    answer("text/plain; charset=utf-8", "no-cache", format!("{}\n", state.verifier_key).into_bytes())
}

async fn keys(State(state): State<LedgerState>) -> Response<Body> {
    answer("text/plain; charset=utf-8", "no-cache", state.key_history.as_bytes().to_vec())
}

async fn serve_tile(State(state): State<LedgerState>, Path(path): Path<String>) -> Response<Body> {
    let head = state.store.ledger_head();
    let Ok(wanted) = format!("tile/{path}").parse::<TilePath>() else { return status(StatusCode::NOT_FOUND) };
    if !wanted.exists_at(head.size()) {
        return status(StatusCode::NOT_FOUND);
    }
    match state.store.read(move |reader| read_tile(reader, &head, wanted)).await {
        Ok(Some(bytes)) => answer("application/octet-stream", "public, max-age=31536000, immutable", bytes),
        Ok(None) => status(StatusCode::NOT_FOUND),
        Err(fault) => {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "a tile could not be read");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The bytes of a tile or entry bundle; partial ones are the beginning of what is there.
fn read_tile(reader: &crate::store::Reader<'_>, head: &LedgerHead, wanted: TilePath) -> Result<Option<Vec<u8>>, Fault> {
    let width = usize::from(wanted.width);
    match wanted.kind {
        TileKind::Entries => {
            let first = wanted.index * u64::from(tile::TILE_WIDTH);
            let entries = reader.leaves(first, width)?;
            let mut bundle = Vec::new();
            let complete = entries.len() == width && entries.iter().all(|entry| tile::encode_entry(&mut bundle, entry).is_ok());
            Ok(complete.then_some(bundle))
        }
        TileKind::Hashes(level) => {
            let stored = reader.tile(level, wanted.index)?;
            let hashes = stored.unwrap_or_else(|| head.edge.partial_tile(level).to_vec());
            Ok(hashes.get(..width).map(tile::encode_hashes))
        }
    }
}

fn answer(media: &'static str, caching: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
