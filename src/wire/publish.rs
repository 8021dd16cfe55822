//! Keeps the log's files up to date with the store, off the path of requests.

use super::published::{PIECE, PublishedLog};
use crate::config::Settings;
use crate::killpoint;
use crate::ledger::folder::{EntryReader, Publication};
use crate::ledger::{Edge, KeyHistory, LedgerError, Malformed, Note, TilePath, TileReader};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Published, Reader, Spare, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Publications are at least this far apart: under load many checkpoints are signed for one that is published.
const PAUSE: Duration = Duration::from_millis(200);

/// After so long it is tried again where it failed.
const RETRY: Duration = Duration::from_millis(300);

/// The tiles and entries in the store.
pub struct StoredLog<'a>(pub &'a Reader<'a>);

impl TileReader for StoredLog<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<crate::ledger::Hash>>, LedgerError> {
        self.0.tile(level, index).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })
    }
}

impl EntryReader for StoredLog<'_> {
    fn entries(&self, bundle: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
        let first = bundle * u64::from(crate::ledger::tile::TILE_WIDTH);
        let entries = self.0.leaves(first, usize::from(width)).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })?;
        Ok((entries.len() == usize::from(width)).then_some(entries))
    }
}

/// Publishes the log, and says when it cannot: then nothing new is taken, for nobody else would see it.
pub(super) struct Publisher {
    store: Store,
    place: PublishedLog,
    spare: Spare,
    /// How long it may fail for another reason than a lack of room.
    patience: Duration,
    failing_since: Option<Instant>,
    /// Whether it was told that no room can be kept.
    is_spare_told: bool,
}

impl Publisher {
    pub(super) fn new(store: Store, place: PublishedLog, spare: Spare, patience: Duration) -> Publisher {
        Publisher { store, place, spare, patience, failing_since: None, is_spare_told: false }
    }

    /// Publishes until told to stop, and once more then.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut grown = self.store.grown();
        loop {
            let is_last = *stop.borrow();
            if is_last && let Err(fault) = self.store.settle().await {
                tracing::warn!(fault = fault.kind.label(), "the last records are published after the next start");
            }
            grown.borrow_and_update();
            self.turn().await;
            if is_last {
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
                () = tokio::time::sleep(RETRY), if self.failing_since.is_some() => {}
            }
        }
    }

    /// Publishes once, and tells the store what came of it.
    async fn turn(&mut self) {
        let reason = match self.publish().await {
            Ok(()) => {
                self.failing_since = None;
                None
            }
            Err(fault) => self.failed(fault),
        };
        self.store.tell_unpublished(reason);
    }

    /// What is acknowledged finds its place in the room that was spared for it, and the lack of room is told all the same.
    async fn publish(&mut self) -> Result<(), Fault> {
        match publish(&self.store, &self.place).await {
            Err(fault) if fault.kind == FaultKind::StorageFull && self.spare.give_up() => {
                publish(&self.store, &self.place).await?;
                Err(fault)
            }
            Err(fault) => Err(fault),
            Ok(()) => self.hold_spare().await,
        }
    }

    async fn hold_spare(&mut self) -> Result<(), Fault> {
        if self.spare.is_held() {
            return Ok(());
        }
        let mut spare = self.spare.clone();
        let held = tokio::task::spawn_blocking(move || spare.hold().map(|()| spare)).await;
        match held.map_err(|error| Fault::new(FaultKind::Internal, format!("holding room: {error}")))? {
            Ok(spare) => self.spare = spare,
            Err(fault) if fault.kind == FaultKind::StorageFull => return Err(fault),
            // The log is there; only for a full disk there is no provision.
            Err(fault) if !self.is_spare_told => {
                tracing::warn!(detail = %fault.detail, "no room can be kept for publishing the log on a full disk");
                self.is_spare_told = true;
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Why nothing may be taken from now on: at once where there is no room, after a while where something else is wrong.
    fn failed(&mut self, fault: Fault) -> Option<Fault> {
        if self.failing_since.is_none() {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "the log could not be published");
        }
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        match fault.kind {
            FaultKind::StorageFull => Some(fault),
            _ if since.elapsed() >= self.patience => Some(Fault::new(FaultKind::Unpublished, fault.detail)),
            _ => None,
        }
    }
}

/// What is to be published: the newest cosigned checkpoint where witnesses are asked, else the newest there is. Nothing while only one
/// from before the last start is cosigned: that one was published then.
fn newest(store: &Store) -> Result<Option<(Note, Arc<Edge>)>, Fault> {
    let (note, edge) = match store.cosigned() {
        Some(cosigned) => (cosigned.note, cosigned.edge),
        None => {
            let head = store.ledger_head();
            (head.note, Some(head.edge))
        }
    };
    let note = note.parse().map_err(|error: Malformed| failed(&error.into()))?;
    Ok(edge.map(|edge| (note, edge)))
}

/// Lays the log out in a folder once.
///
/// # Errors
/// When the folder holds another log, or a storage fails.
pub async fn publish_folder(store: &Store, folder: &Path) -> Result<(), Fault> {
    publish(store, &PublishedLog::in_folder(folder)?).await
}

/// Writes what the place lacks, a piece at a time, clears away the partial tiles that are full now, then writes the checkpoint.
async fn publish(store: &Store, place: &PublishedLog) -> Result<(), Fault> {
    let Some((note, edge)) = newest(store)? else { return Ok(()) };
    let present = place.checkpoint().await?;
    let with = async |published: Option<Note>, work: PublicationWork| {
        let (note, edge) = (note.clone(), Arc::clone(&edge));
        let reading = move |reader: &Reader<'_>| {
            let stored = StoredLog(reader);
            let publication = Publication { checkpoint: &note, edge: &edge, tiles: &stored, entries: &stored };
            work.of(&publication, published.as_ref()).map_err(|error| failed(&error))
        };
        store.read(reading).await
    };
    let published = present.as_ref().map(|present| present.note.clone());
    let (_, paths) = with(published, PublicationWork::Paths).await?;
    for piece in paths.chunks(PIECE) {
        let (tiles, _) = with(None, PublicationWork::Tiles(piece.to_vec())).await?;
        place.put_tiles(tiles).await?;
    }
    // Only what was partial before can have partial tiles: the first that is full now, of each kind. They go before the checkpoint comes, so
    // that a publication that is cut off and done again clears them away.
    let mut full: Vec<_> = paths.into_iter().filter(|path| !path.is_partial()).collect();
    full.dedup_by_key(|path| path.kind);
    if !full.is_empty() {
        killpoint::reached("publish-full");
    }
    let cleared = place.drop_partials(&full).await;
    killpoint::reached("publish-tiles");
    place.put_checkpoint(&note, present).await?;
    killpoint::reached("publish-checkpoint");
    // A place that takes files and gives none up still gets its checkpoints.
    if let Err(fault) = cleared {
        tracing::warn!(detail = %fault.detail, "partial tiles could not be removed");
    }
    Ok(())
}

/// What is read of the store for a publication: the paths that are missing, or the bytes of some of them.
enum PublicationWork {
    Paths,
    Tiles(Vec<TilePath>),
}

type Tiles = Vec<(TilePath, Vec<u8>)>;

impl PublicationWork {
    fn of(self, publication: &Publication<'_>, published: Option<&Note>) -> Result<(Tiles, Vec<TilePath>), LedgerError> {
        match self {
            PublicationWork::Paths => {
                let previous_size = publication.check_extends(published)?;
                Ok((Vec::new(), publication.paths_since(previous_size).collect()))
            }
            PublicationWork::Tiles(paths) => {
                let tiles = paths.into_iter().map(|path| Ok((path, publication.bytes(path)?))).collect::<Result<_, LedgerError>>()?;
                Ok((tiles, Vec::new()))
            }
        }
    }
}

fn failed(error: &LedgerError) -> Fault {
    Fault::new(FaultKind::Ledger, error.to_string())
}

/// What lies published in the data folder.
pub(super) fn published(settings: &Settings, keys: &KeyHistory) -> Result<Option<Published>, Fault> {
    let folder = settings.storage.data_dir.join("ledger");
    let path = folder.join("checkpoint");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::new(FaultKind::Storage, format!("published checkpoint {}: {error}", path.display()))),
    };
    let note = text.parse().map_err(|error: Malformed| not_ours(&error.into()))?;
    opened(settings, keys, &note, folder.display().to_string()).map(Some)
}

/// What lies published in the bucket, where one is configured. It waits for that: use it outside the runtime's own threads.
pub(super) fn published_in_bucket(settings: &Settings, keys: &KeyHistory) -> Result<Option<Published>, Fault> {
    let Some(bucket) = &settings.ledger.publish else { return Ok(None) };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::new(FaultKind::Internal, format!("[ledger.publish]: {error}")))?;
    let log = PublishedLog::in_bucket(bucket)?;
    let Some(present) = runtime.block_on(log.checkpoint())? else { return Ok(None) };
    opened(settings, keys, &present.note, format!("what lies in the bucket {} under '{}'", bucket.bucket, bucket.prefix)).map(Some)
}

fn opened(settings: &Settings, keys: &KeyHistory, note: &Note, place: String) -> Result<Published, Fault> {
    let checkpoint = keys.open(note, &settings.ledger.origin).map_err(|error| not_ours(&error))?;
    Ok(Published { checkpoint, place })
}

fn not_ours(error: &LedgerError) -> Fault {
    Fault::new(FaultKind::Ledger, format!("the published checkpoint is not ours: {error}"))
}
