//! Keeps the log's files up to date with the store, off the path of requests.

use crate::ledger::folder::EntryReader;
use crate::ledger::folder::Publication;
use crate::ledger::{Durability, Folder, KeyHistory, LedgerError, TileReader};
use crate::outcome::{Fault, FaultKind};
use crate::store::{LedgerHead, Reader, Store};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// Publications are at least this far apart: under load many checkpoints are signed for one that is published.
const PAUSE: Duration = Duration::from_millis(200);

struct Stored<'a>(&'a Reader<'a>);

impl TileReader for Stored<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<crate::ledger::Hash>>, LedgerError> {
        self.0.tile(level, index).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })
    }
}

impl EntryReader for Stored<'_> {
    fn entries(&self, bundle: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
        let first = bundle * u64::from(crate::ledger::tile::TILE_WIDTH);
        let entries = self.0.leaves(first, usize::from(width)).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })?;
        Ok((entries.len() == usize::from(width)).then_some(entries))
    }
}

/// Publishes until told to stop, and once more then.
pub(super) async fn run(store: Store, folder: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut grown = store.grown();
    loop {
        grown.borrow_and_update();
        if let Err(fault) = publish(&store, folder.clone()).await {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "the log could not be published");
        }
        if *stop.borrow() {
            return;
        }
        tokio::select! {
            // Whoever holds the other end may be gone without a word; that is a stop too.
            changed = stop.changed() => if changed.is_err() { return } else { continue },
            () = tokio::time::sleep(PAUSE) => {}
        }
        tokio::select! {
            changed = stop.changed() => if changed.is_err() { return },
            changed = grown.changed() => if changed.is_err() { return },
        }
    }
}

async fn publish(store: &Store, folder: PathBuf) -> Result<(), Fault> {
    let head = store.ledger_head();
    let failed = |error: String| Fault::new(FaultKind::Ledger, error);
    store
        .read(move |reader| {
            let stored = Stored(reader);
            let checkpoint = head.note.parse().map_err(|error: crate::ledger::Malformed| failed(error.to_string()))?;
            let publication = Publication {
                checkpoint: &checkpoint,
                edge: &head.edge,
                tiles: &stored,
                entries: &stored,
                durability: Durability::Renamed,
            };
            Folder::new(folder).publish(&publication).map(drop).map_err(|error| failed(error.to_string()))
        })
        .await
}

/// Refuses to go on signing from a store that is behind what was already published: a restored backup would fork the log.
pub(super) fn refuse_set_back(folder: &Path, head: &LedgerHead, origin: &str, keys: &KeyHistory) -> Result<(), Fault> {
    let text = match std::fs::read_to_string(folder.join("checkpoint")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Fault::new(FaultKind::Storage, format!("published checkpoint: {error}"))),
    };
    let published = text.parse().map_err(LedgerError::from).and_then(|note| keys.open(&note, origin));
    let published = published.map_err(|error| Fault::new(FaultKind::Ledger, format!("the published checkpoint is not ours: {error}")))?;
    let forked = published.size == head.size() && published.root != head.edge.root();
    if forked || published.size > head.size() {
        let text = format!(
            "the store is at {} leaves, but {} were published: it was set back. Restore the newest data, or start a new log under another origin.",
            head.size(),
            published.size
        );
        return Err(Fault::new(FaultKind::Ledger, text));
    }
    Ok(())
}
