//! Keeps the verifiable index up with the log, and anchors its root.

use crate::anchor::{Leaf, LedgerTime};
use crate::clock::Clock;
use crate::ledger::Hash;
use crate::ledger::index::{IndexProof, Tag};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Committed, Count, IndexFile, LeafDraft, MAX_BATCH, Reader, Store, Unit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Between two anchorings that nobody asked for. Each costs one leaf, and per changed tag about log2(tags ÷ changed tags) + 2 hashes and rows.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// So often it is anchored from when something happened on.
const ANCHORED_AFTER: u32 = 60;

/// Between two looks whether the index is near enough to the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The index takes in leaves before their time where there are so many: whoever asks for a trail waits for the rest.
const MAX_UNCOVERED: u64 = 2_000;

/// Where and over what the index was anchored.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnchoredIndex {
    pub position: u64,
    pub covers: u64,
    pub root: Hash,
}

/// The lists of the index, held against the log's counters.
pub(super) struct Lists<'a> {
    file: &'a IndexFile,
    reader: &'a Reader<'a>,
    /// The tags of the leaves that the index does not cover yet, with their counters.
    newer: Vec<(Tag, u64)>,
}

impl<'a> Lists<'a> {
    fn of(file: &'a IndexFile, reader: &'a Reader<'a>) -> Result<Lists<'a>, Fault> {
        let (mut next, _) = file.state()?;
        let mut newer = Vec::new();
        loop {
            let entries = reader.leaves(next, MAX_BATCH)?;
            newer.extend(entries.iter().flat_map(|entry| reader.leaf_tags(entry)));
            next = next.saturating_add(entries.len() as u64);
            if entries.len() < MAX_BATCH {
                return Ok(Lists { file, reader, newer });
            }
        }
    }

    /// The positions of all leaves under a tag. A list that is not as long as the log's counter says is damage, of the one or the other.
    pub fn positions(&self, tag: Tag) -> Result<Vec<u64>, Fault> {
        let positions = self.file.positions(tag)?;
        let listed = Count { number: positions.len() as u64, last: positions.last().copied().unwrap_or_default() };
        let counted = self.reader.count_of(tag)?.unwrap_or_default();
        let newer = self.newer.iter().filter(|(of, _)| *of == tag).count() as u64;
        if counted == listed || (newer > 0 && counted.number == listed.number + newer) {
            return Ok(positions);
        }
        Err(Fault::new(
            FaultKind::StorageCorrupt,
            "index.db lists other leaves under a tag than the log's counter (data.db) says. `hearthgate ledger fsck LOG --data FOLDER` names which; \
             `hearthgate ledger recount` makes both anew from the leaves",
        ))
    }

    pub fn prove(&self, tag: Tag) -> Result<IndexProof, Fault> {
        self.file.prove(tag)
    }
}

/// The one who extends the index.
pub struct Indexer {
    store: Store,
    file: Arc<IndexFile>,
    clock: Clock,
    time: LedgerTime,
    /// Held while the index moves, and while proofs are made that must be of one state.
    turn: Mutex<()>,
}

impl Indexer {
    /// Opens the index beside the store's data.
    pub fn open(store: Store, clock: Clock, time: LedgerTime) -> Result<Indexer, Fault> {
        let file = Arc::new(IndexFile::open(store.folder())?);
        Ok(Indexer { store, file, clock, time, turn: Mutex::new(()) })
    }

    /// Begins a log in which others may add entries with a leaf of the gateway's own, so that every package can show when the log began.
    pub async fn begin(&self) -> Result<(), Fault> {
        if self.store.ledger_head().size() > 0 { Ok(()) } else { self.anchored(|_, _| Ok(())).await }
    }

    /// The positions of all leaves under these tags, up to now.
    pub(super) async fn positions(&self, tags: Vec<Tag>) -> Result<Vec<Vec<u64>>, Fault> {
        let _turn = self.turn.lock().await;
        self.catch_up().await?;
        let file = Arc::clone(&self.file);
        let read = move |reader: &Reader<'_>| {
            let lists = Lists::of(&file, reader)?;
            tags.into_iter().map(|tag| lists.positions(tag)).collect()
        };
        self.store.read(read).await
    }

    /// Takes in all leaves, anchors the root in a leaf of its own, and reads the index in exactly that state.
    pub(super) async fn anchored<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Lists<'_>, AnchoredIndex) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let _turn = self.turn.lock().await;
        self.catch_up().await?;
        let anchored = self.anchor().await?;
        let file = Arc::clone(&self.file);
        self.store.read(move |reader| reading(&Lists::of(&file, reader)?, anchored)).await
    }

    async fn anchor(&self) -> Result<AnchoredIndex, Fault> {
        let file = Arc::clone(&self.file);
        let (covers, root) = self.store.read(move |_| file.state()).await?;
        let leaf = Leaf::index(self.time.of(self.clock.now()), root.0, covers);
        let unit = Unit {
            leaves: vec![LeafDraft {
                entry: leaf.encode(),
                tags: Vec::new(),
                key: None,
                patient: Some(self.store.nobodys_key()),
                is_unseen: false,
            }],
            ..Unit::default()
        };
        match self.store.commit(unit).await? {
            Committed::Done { leaves } if leaves.len() == 1 => {
                Ok(AnchoredIndex { position: leaves.first().copied().unwrap_or_default(), covers, root })
            }
            _ => Err(Fault::new(FaultKind::Internal, "an index leaf without a place")),
        }
    }

    /// Takes in what the log has grown by, with all that was acknowledged. An index that does not fit the log is made again, once.
    async fn catch_up(&self) -> Result<(), Fault> {
        self.store.settle().await?;
        match self.take_in(false).await {
            Err(fault) if fault.kind == FaultKind::StorageCorrupt => {
                tracing::warn!(detail = %fault.detail, "the index does not fit the log and is made again");
                self.file.clear()?;
                self.take_in(true).await
            }
            outcome => outcome,
        }
    }

    /// `sets_apart` where a leaf that does not follow under its tag is the log's own damage: then its tag alone is not shown.
    async fn take_in(&self, sets_apart: bool) -> Result<(), Fault> {
        let size = self.store.ledger_head().size();
        loop {
            let file = Arc::clone(&self.file);
            let (covers, _) = file.state()?;
            if covers == size {
                return Ok(());
            }
            if covers > size {
                return Err(Fault::new(FaultKind::StorageCorrupt, "the index covers more leaves than there are"));
            }
            let wanted = usize::try_from(size - covers).unwrap_or(MAX_BATCH).min(MAX_BATCH);
            self.store
                .read(move |reader| {
                    let leaves = reader.leaves(covers, wanted)?;
                    file.extend(covers, &leaves.iter().map(|entry| reader.leaf_tags(entry)).collect::<Vec<_>>(), sets_apart)
                })
                .await?;
        }
    }

    /// Anchors now and then, for a while after something happened, and keeps the index near the log, until told to stop. That the log grows meanwhile says nothing
    /// of whether acts were kept back from it, which find room there.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let (mut anchored_size, mut left, mut since) = (0, 0, tokio::time::Instant::now());
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let is_due = since.elapsed() >= ANCHOR_EVERY;
            if is_due {
                since = tokio::time::Instant::now();
                left = if self.store.ledger_head().size() > anchored_size { ANCHORED_AFTER } else { left.saturating_sub(1) };
            }
            let done = match is_due && left > 0 {
                true => self.anchored(|_, _| Ok(())).await.map(|()| anchored_size = self.store.ledger_head().size()),
                false => self.stay_near().await,
            };
            if let Err(fault) = done {
                tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "the index could not be anchored");
            }
        }
    }

    /// Takes in what the log has grown by where that is much: the writer keeps in memory what the index does not cover, and a trail begins with the index.
    async fn stay_near(&self) -> Result<(), Fault> {
        let (covers, _) = self.file.state()?;
        if self.store.ledger_head().size().saturating_sub(covers) < MAX_UNCOVERED {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        self.catch_up().await
    }
}
