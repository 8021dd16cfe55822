//! For other gateways' logs: cosigning what grows consistently, and showing what was cosigned and what is mirrored.
//!
//! `POST /witness/add-checkpoint` and `GET /witness/{sha256 of the origin}/checkpoint` are those of tlog-witness; below `/mirror/{sha256 of
//! the origin}/` lies a log in the layout of tlog-tiles, its checkpoint cosigned by the mirror.

use super::ledger::{FRESH, IMMUTABLE, OCTETS, TEXT, answer, status};
use crate::clock::Clock;
use crate::killpoint;
use crate::ledger::witness::{AddCheckpoint, Declined, MAX_REQUEST_BYTES, SIZE_MEDIA_TYPE, identify, is_split_view, judge};
use crate::ledger::{Checkpoint, Folder, Followed, Hash, LedgerError, Note, SigningKey, TilePath, VerifierKey, reader};
use crate::outcome::{Fault, FaultKind};
use crate::store::Seen;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

/// What the witness works with.
#[derive(Clone)]
pub struct WitnessState {
    /// The logs it knows.
    pub logs: Arc<Followed>,
    pub seen: Seen,
    pub key: SigningKey,
    pub clock: Clock,
    /// What the mirror cosigns with.
    pub mirror_key: VerifierKey,
    /// Where mirrored logs lie, each under the hash of its origin.
    pub mirrored: PathBuf,
}

/// `/witness/…` and `/mirror/…`.
pub fn router(state: WitnessState) -> Router {
    Router::new()
        .route("/witness/add-checkpoint", post(add_checkpoint).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)))
        .route("/witness/{origin}/checkpoint", get(checkpoint))
        .route("/mirror/{origin}/{*path}", get(mirrored))
        .with_state(state)
}

async fn add_checkpoint(State(state): State<WitnessState>, body: Bytes) -> Response<Body> {
    match tokio::task::spawn_blocking(move || cosign(&state, &body)).await {
        Ok(Ok(Ok(line))) => answer(TEXT, FRESH, line.into_bytes()),
        Ok(Ok(Err(declined))) => decline(&declined),
        Ok(Err(fault)) => failed(&fault),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The steps, with the status that ends each:
/// 1. Read the request (400).
/// 2. Find the log (404) and its signature (403).
/// 3. Compare with what is mirrored here (422) and what was cosigned last (409, 422), and remember the new checkpoint with our cosignature, synced. What
///    goes beyond the mirror must be shown to extend what is mirrored, where that is the larger of the two (409). No other request comes between 2
///    and 3, and the mirror keeps no checkpoint meanwhile.
/// 4. Answer.
fn cosign(state: &WitnessState, body: &[u8]) -> Result<Result<String, Declined>, Fault> {
    let request = std::str::from_utf8(body).ok().and_then(|text| text.parse::<AddCheckpoint>().ok());
    let Some(request) = request else { return Ok(Err(Declined::Malformed)) };
    let checkpoint = match identify(&request, &state.logs.believed()) {
        Ok(checkpoint) => checkpoint,
        Err(declined) => {
            if declined == Declined::NotSigned {
                metrics::counter!("hearthgate_witness_unsigned_total").increment(1);
                let log = request.checkpoint.unverified_text().split('\n').next().unwrap_or_default();
                tracing::warn!(
                    log,
                    "a checkpoint is not signed by a key that is named for its log, or that was its at that size; where the log has a new key and is not \
                     mirrored here, add a line `log KEY` to logs_file, beside the old one"
                );
            }
            return Ok(Err(declined));
        }
    };
    let seconds = u64::try_from(state.clock.now().seconds()).unwrap_or(0);
    let unusable = |error: LedgerError| Fault::new(FaultKind::Ledger, error.to_string());
    let line = state.key.cosign(&checkpoint.to_string(), seconds).map_err(unusable)?;
    let mut kept: Note = request.checkpoint.clone();
    if kept.add(line.clone()).is_err() {
        return Ok(Err(Declined::Malformed));
    }
    killpoint::reached("cosign-signed");
    let mut split = false;
    let decided = state.seen.advance(&checkpoint.origin, |last| {
        let from = match mirrored_of(state, &checkpoint) {
            Mirrored::Reaches(root) if root != checkpoint.root => {
                split = true;
                return Err(Declined::NotExtending);
            }
            Mirrored::Ends(size, root) if last.is_none_or(|(last, _)| last < size) => Some((size, root)),
            _ => last,
        };
        split = is_split_view(&checkpoint, last);
        judge(&request, &checkpoint, from)?;
        Ok((checkpoint.size, checkpoint.root, kept.to_string(), format!("{line}\n")))
    })?;
    killpoint::reached("cosign-remembered");
    if split {
        metrics::counter!("hearthgate_witness_split_view_total").increment(1);
        tracing::error!(
            log = checkpoint.origin,
            size = checkpoint.size,
            "SPLIT VIEW: a log signed a tree that is not the one cosigned or mirrored here"
        );
    } else if decided == Err(Declined::NotExtending) {
        metrics::counter!("hearthgate_witness_bad_proofs_total").increment(1);
        tracing::warn!(
            log = checkpoint.origin,
            size = checkpoint.size,
            "a proof does not show that this log's tree extends what was cosigned"
        );
    }
    Ok(decided)
}

/// What is mirrored here of a log, seen from one of its trees.
enum Mirrored {
    Nothing,
    /// The root of what is mirrored at the tree's size.
    Reaches(Hash),
    /// The size and root of what is mirrored, which is less.
    Ends(u64, Hash),
}

/// What is mirrored and cannot be read says nothing of the log.
fn mirrored_of(state: &WitnessState, checkpoint: &Checkpoint) -> Mirrored {
    let folder = folder_of(state, &checkpoint.origin);
    let held = reader::verify(&folder, &state.logs.believed().only(&checkpoint.origin));
    let found = held.and_then(|(_, edge)| match edge.size() >= checkpoint.size {
        true => reader::root_at(&folder, &edge, checkpoint.size).map(Mirrored::Reaches),
        false => Ok(Mirrored::Ends(edge.size(), edge.root())),
    });
    match found {
        Ok(found) => found,
        Err(LedgerError::Missing { .. }) => Mirrored::Nothing,
        Err(error) => {
            tracing::error!(log = checkpoint.origin, %error, "what is mirrored of a log cannot be compared with what is to be cosigned");
            Mirrored::Nothing
        }
    }
}

fn decline(declined: &Declined) -> Response<Body> {
    let code = StatusCode::from_u16(declined.status()).unwrap_or(StatusCode::BAD_REQUEST);
    match declined {
        Declined::OtherSize { size } => {
            let mut response = answer(SIZE_MEDIA_TYPE, FRESH, format!("{size}\n").into_bytes());
            *response.status_mut() = code;
            response
        }
        _ => status(code),
    }
}

async fn checkpoint(State(state): State<WitnessState>, Path(origin): Path<String>) -> Response<Body> {
    let Some(name) = origin_hash(&origin) else { return status(StatusCode::NOT_FOUND) };
    match tokio::task::spawn_blocking(move || state.seen.checkpoint(&name)).await {
        Ok(Ok(Some(note))) => answer(TEXT, FRESH, note.into_bytes()),
        Ok(Ok(None)) => status(StatusCode::NOT_FOUND),
        Ok(Err(fault)) => failed(&fault),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A log that is not named any more is not shown: nobody can say whether what lies there is its.
async fn mirrored(State(state): State<WitnessState>, Path((origin, path)): Path<(String, String)>) -> Response<Body> {
    let is_checkpoint = path == reader::CHECKPOINT_PATH;
    let known = state.logs.logs().into_keys().find(|name| origin_hash(&origin) == Some(Sha256::digest(name).into())).map(str::to_owned);
    let (Some(log), true) = (known, is_checkpoint || path.parse::<TilePath>().is_ok()) else {
        return status(StatusCode::NOT_FOUND);
    };
    match tokio::task::spawn_blocking(move || mirrored_file(&state, &log, &path)).await {
        Ok(Ok(Some(bytes))) if is_checkpoint => answer(TEXT, FRESH, bytes),
        Ok(Ok(Some(bytes))) => answer(OCTETS, IMMUTABLE, bytes),
        Ok(Ok(None)) => status(StatusCode::NOT_FOUND),
        Ok(Err(LedgerError::Missing { path })) if path == reader::CHECKPOINT_PATH => status(StatusCode::NOT_FOUND),
        Ok(Err(error)) => failed(&Fault::new(FaultKind::Storage, format!("a mirrored log: {error}"))),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A file of a mirrored log: what does not lead to the checkpoint that is held, or is signed for by nobody, is not given out.
fn mirrored_file(state: &WitnessState, log: &str, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    let (folder, policy) = (folder_of(state, log), state.logs.believed().only(log).with_second(state.mirror_key.clone()));
    match path.parse::<TilePath>() {
        Ok(tile) => {
            let (_, edge) = reader::verify(&folder, &policy)?;
            reader::read_confirmed(&folder, &edge, tile)
        }
        Err(_) => {
            let note = reader::read_checkpoint(&folder)?;
            policy.accept(&note).map(|_| Some(note.to_string().into_bytes()))
        }
    }
}

/// Where a log is mirrored.
fn folder_of(state: &WitnessState, log: &str) -> Folder {
    Folder::new(state.mirrored.join(HEXLOWER.encode(&Sha256::digest(log))))
}

/// The hash a path names, in its one spelling.
fn origin_hash(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn failed(fault: &Fault) -> Response<Body> {
    tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "the witness could not answer");
    status(StatusCode::INTERNAL_SERVER_ERROR)
}
