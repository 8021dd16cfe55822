//! Durable state on one machine: SQLite in WAL mode, every commit synced, one writer that group-commits, many readers.
//!
//! In scope: resources and their versions, raw bytes, the search index, the log's leaves and checkpoints, record keys, the outbox,
//! idempotency keys and one-time token ids. Out of scope: what a resource means, who may see it, how a proof looks.
//!
//! Invariants:
//! * A [`Unit`] is all or nothing. What it relied on is stated as [`Assumption`]s and checked by the writer inside the same transaction,
//!   so a decision taken on a stale reading never commits.
//! * [`Store::commit`] answers only after data, leaves and the signed checkpoint over them are synced.
//! * Records of what was shown and refused may be acknowledged before they are in the tables ([`Store::settle`]); everything else is there when it is.
//! * Record keys live in their own file and are synced before the data that needs them: an orphan key is harmless, a missing one is not. Keys
//!   that are older than the data, or another store's, are refused at opening.
//! * What is acknowledged comes to where others see it: nothing is submitted while the log cannot be published.
//! * The tree never goes back: leaves are numbered by the one writer, each signing swaps the last signed tree in a register apart from the data, and
//!   a log that does not match its checkpoint, or is behind or beside that register, is refused at opening.

mod admission;
mod bound;
mod candidates;
mod changes;
mod compared;
mod counting;
mod destroyed;
mod emptied;
mod entries;
mod erase;
mod filed;
mod filling;
mod folding;
mod former;
mod group;
mod held;
mod index;
mod journal;
mod keeper;
mod key_writing;
mod keys;
mod leaf_form;
mod levels;
mod links;
mod log;
mod makers;
mod mark;
mod newer;
mod opening;
mod outbox;
mod owed;
mod pending;
mod people;
mod reader;
mod recount;
mod register;
mod room;
mod row;
mod rows;
mod schema;
mod seal;
mod seen;
mod signing;
mod spare;
mod tally;
mod unit;
mod writer;

pub use candidates::MAX_CANDIDATES;
pub use changes::PARTIES;
pub use compared::{Compared, Erases, LeafReader, LeafSays, compare_rows, is_of_gateway, newest_leaves};
pub use counting::Count;
pub use held::Whose;
pub use index::{IndexFile, MAX_BATCH};
pub use keys::{Keyring, PatientKey, RecordKeyId, SealedRecord};
pub use leaf_form::{LeafForm, MakeLeafForm, leaf_secret};
pub use log::{Cosigned, LedgerHead};
pub use outbox::{Delivery, DeliveryState, OutboxDraft, OutboxUpdate, SUPERSEDED};
pub use pending::Pending;
pub use people::{CROWD, MAX_PERSON_RECORDS, MAX_WORK, WorkRow};
pub use reader::{HistoryScope, Reader, RecordOfLeaf, StoredRaw};
pub use recount::{KnownTrees, Recounted, inspect, recount};
pub use row::{Damaged, Rows, StoredVersion};
pub use seen::Seen;
pub use spare::{Spare, is_full};
pub use unit::{
    Assumption, Committed, Counted, Elsewhere, Erasure, IdempotencyDraft, LeafDraft, Method, PersonChange, RawDraft, Replay, Target, Unit,
    VersionDraft, WorkDraft,
};

use crate::ledger::{Checkpoint, LogKeys};
use crate::outcome::{Fault, FaultKind};
use opening::{data_file, lock_folder, open_data, open_reader};
use rusqlite::Connection;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

/// What was published of the log, and where.
#[derive(Debug, Clone)]
pub struct Published {
    pub checkpoint: Checkpoint,
    /// What people know the place by.
    pub place: String,
}

/// What the store needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    pub folder: PathBuf,
    /// The data file is refused growth beyond this; reaching it is the same failure as a full disk.
    pub max_bytes: u64,
    /// The most units one group commit takes.
    pub max_group_units: usize,
    /// How many units may wait for the writer before a new one is turned away as overload.
    pub max_waiting_units: usize,
    /// How many readings may run at once.
    pub readers: usize,
    /// SQLite's page cache per connection.
    pub cache_bytes: u64,
    /// The origin line of the log's checkpoints.
    pub origin: String,
    /// Where the last signed tree is remembered, apart from the data.
    pub register: PathBuf,
    /// How long a record of a read that is acknowledged may wait for its place in the log; none when it takes it before that.
    pub anchor_within: Duration,
    /// By how many leaves, or a multiple, the log grows at once where it grows by the gateway's own.
    pub grows_by: u64,
    /// Whether data without a register is taken for the newest.
    pub adopt: bool,
    /// What was published of the log, which the data must have reached: it is refused otherwise, and nothing is signed or remembered.
    pub published: Vec<Published>,
    /// Makes what reads and seals the leaves.
    pub leaf_form: MakeLeafForm,
}

/// The open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    work: mpsc::Sender<writer::Work>,
    readers: Mutex<Vec<Connection>>,
    permits: Semaphore,
    head: Arc<RwLock<LedgerHead>>,
    cosigned: watch::Sender<Option<Cosigned>>,
    committed: watch::Receiver<u64>,
    counters: Arc<writer::Counters>,
    admission: admission::Admission,
    settings: StoreSettings,
    /// Where a commit writes: data, keys, register.
    folders: BTreeSet<PathBuf>,
    /// Makes records durable that take their places later.
    keeper: Arc<keeper::Keeper>,
    sealer: Arc<seal::Sealer>,
    keyring: Keyring,
    leaf_form: Arc<dyn LeafForm>,
    changes: Arc<changes::Changes>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Held for as long as the store is open, so that a second process refuses to start.
    _lock: File,
}

impl Store {
    /// Opens or creates the store in a folder. Refuses a folder another process has open, a file that is not ours,
    /// and a log whose leaves do not match its last checkpoint.
    pub fn open(settings: StoreSettings, keys: LogKeys, keyring: Keyring) -> Result<Store, Fault> {
        std::fs::create_dir_all(&settings.folder)
            .map_err(|error| Fault::new(FaultKind::Storage, format!("create data folder: {error}")))?;
        let lock = lock_folder(&settings.folder)?;
        let mut data = open_data(&settings)?;
        schema::prepare(&data)?;
        bound::check(&data, &keyring)?;
        let is_erasing = erase::is_unfinished(&data)?;
        erase::destroy_condemned(&data, &keyring)?;
        let ledger = log::LogState::load(&data, &settings, keys)?;
        let head = Arc::new(RwLock::new(ledger.head()));
        let (work, queue) = mpsc::channel(settings.max_waiting_units.max(1));
        let (announce, committed) = watch::channel(ledger.head().size());
        let counters = Arc::new(writer::Counters::default());
        let admission = admission::Admission::default();
        let folding = folding::Folding::start(&mut data, &settings.folder)?;
        let sealer = Arc::new(seal::Sealer::of(&keyring)?);
        let leaf_form = (settings.leaf_form)(keyring.leaf_secret());
        if settings.adopt {
            keyring.forget_filings()?;
            keyring.forget_filled()?;
            destroyed::take_for_all(&data, &keyring)?;
        }
        filling::fill(&data, &sealer, &keyring)?;
        let register = settings.register.parent().map(Path::to_owned);
        let folders = register.into_iter().chain([settings.folder.clone(), keyring.folder().to_owned()]).collect();
        let owed = owed::open(&data, &keyring, &settings)?;
        if is_erasing {
            owed.wipe()?;
            erase::finish(&data)?;
        }
        let is_on = !settings.anchor_within.is_zero();
        let keeper = Arc::new(keeper::Keeper::new(owed.shared(), keyring.clone(), is_on, work.clone(), Arc::clone(&counters)));
        let changes = Arc::new(changes::Changes::default());
        let mut writer = writer::Writer {
            changes: Arc::clone(&changes),
            owed,
            sealer: Arc::clone(&sealer),
            data,
            key_writing: key_writing::KeyWriting::start(keyring.clone())?,
            filing: filed::Filing::new(*sealer.of_notes(), keyring.clone()),
            keyring: keyring.clone(),
            ledger,
            folding,
            head: Arc::clone(&head),
            announce,
            counters: Arc::clone(&counters),
            admission: admission.clone(),
            max_group_units: settings.max_group_units,
            grows_by: settings.grows_by.max(1),
            newest_own: None,
            releasing: Vec::new(),
            damaged_acts: BTreeSet::new(),
            recent_raw: VecDeque::new(),
            counting: counting::Counting::new(settings.folder.clone(), Arc::clone(&leaf_form)),
            condemned: false,
            poisoned: None,
        };
        // What a crash left goes first. Where there is no room for it, it waits until there is.
        match writer.take_in() {
            Err(failure) if failure.kind != FaultKind::StorageFull => return Err(failure),
            _ => {}
        }
        let timer = timer()?;
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&timer, queue))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start writer: {error}")))?;
        look_for_makers(open_reader(&settings)?, Arc::clone(&changes))?;
        let readers = (0..settings.readers).map(|_| open_reader(&settings)).collect::<Result<Vec<_>, _>>()?;
        Ok(Store {
            shared: Arc::new(Shared {
                work,
                readers: Mutex::new(readers),
                permits: Semaphore::new(settings.readers.max(1)),
                head,
                cosigned: watch::Sender::new(None),
                committed,
                counters,
                admission,
                settings,
                folders,
                keeper,
                sealer,
                keyring,
                leaf_form,
                changes,
                writer: Mutex::new(Some(thread)),
                _lock: lock,
            }),
        })
    }

    /// Commits one unit together with whatever else is waiting. Answers after the sync.
    pub async fn commit(&self, unit: Unit) -> Result<Committed, Fault> {
        let (answer, receive) = oneshot::channel();
        if let Some(waiting) = self.shared.keeper.offer((Box::new(unit), answer)) {
            writer::submit(&self.shared.work, waiting);
        }
        receive.await.map_err(|_| Fault::new(FaultKind::ShuttingDown, "the writer stopped before it answered"))?
    }

    /// Whether some Practitioner may name a patient, and so be hidden.
    pub fn makers_may_be_hidden(&self) -> bool {
        self.shared.changes.makers.may_name_patients()
    }

    /// Sees to it that all that was acknowledged is in the tables and in the log: for who reads the accounting, or proves what the log has.
    pub async fn settle(&self) -> Result<(), Fault> {
        self.settle_where(None).await
    }

    /// The same where resources of a type are read.
    pub async fn settle_for(&self, type_name: &str) -> Result<(), Fault> {
        self.settle_where(Some(type_name)).await
    }

    /// Whether it is so already.
    pub fn is_settled(&self) -> bool {
        self.shared.keeper.is_settled(None)
    }

    async fn settle_where(&self, type_name: Option<&str>) -> Result<(), Fault> {
        if self.shared.keeper.is_settled(type_name) { Ok(()) } else { self.ask_to_settle(None).await }
    }

    /// The same, and what was kept back from the log has its place there too: for who is told of these, or erases.
    pub async fn release(&self, whose: Whose) -> Result<(), Fault> {
        self.settle().await?;
        if !self.glance(|reader| reader.is_any_held()).await? {
            return Ok(());
        }
        let wanted = whose.clone();
        let is_any = self.read(move |reader| reader.is_any_held_of(&wanted)).await?;
        if is_any { self.ask_to_settle(Some(whose)).await } else { Ok(()) }
    }

    async fn ask_to_settle(&self, release: Option<Whose>) -> Result<(), Fault> {
        let gone = || Fault::new(FaultKind::ShuttingDown, "the writer has stopped");
        let (done, settled) = oneshot::channel();
        self.shared.work.send(writer::Work::Settle { release, done }).await.map_err(|_| gone())?;
        settled.await.map_err(|_| gone())?
    }

    /// The name of the key of what is nobody's.
    pub fn nobodys_key(&self) -> [u8; 32] {
        self.shared.keyring.patient_name("")
    }

    /// Runs a reading on a thread that may block, on one consistent snapshot of the data.
    pub async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Reader<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let shared = Arc::clone(&self.shared);
        let _permit = self.permit().await?;
        tokio::task::spawn_blocking(move || shared.with_reader(reading))
            .await
            .map_err(|error| Fault::new(FaultKind::Internal, format!("a reading panicked: {error}")))?
    }

    /// The same on this thread, where a few rows are looked up by their keys: to hand that over takes longer than to do it.
    pub async fn glance<T>(&self, reading: impl FnOnce(&Reader<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let _permit = self.permit().await?;
        self.shared.with_reader(reading)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.shared.permits.acquire().await.map_err(|_| Fault::new(FaultKind::ShuttingDown, "the store is closed"))
    }

    /// The same at once, for who may wait: while a gateway is built.
    pub fn read_now<T>(&self, reading: impl FnOnce(&Reader<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        self.shared.with_reader(reading)
    }

    /// The newest synced state of the log.
    pub fn ledger_head(&self) -> LedgerHead {
        self.shared.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest cosigned checkpoint, where witnesses are asked.
    pub fn cosigned(&self) -> Option<Cosigned> {
        self.shared.cosigned.borrow().clone()
    }

    /// Changes whenever another cosigned checkpoint is shown.
    pub fn shown(&self) -> watch::Receiver<Option<Cosigned>> {
        self.shared.cosigned.subscribe()
    }

    /// Shows a cosigned checkpoint from now on, unless a larger one is shown.
    pub fn show_cosigned(&self, cosigned: Cosigned) {
        self.shared.cosigned.send_if_modified(|shown| {
            let is_newer = shown.as_ref().is_none_or(|shown| shown.size <= cosigned.size);
            if is_newer {
                *shown = Some(cosigned);
            }
            is_newer
        });
    }

    /// Changes whenever the log has grown: the value is its size.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.shared.committed.clone()
    }

    /// Units committed, group commits, and file syncs asked for since opening.
    pub fn counted(&self) -> Counted {
        self.shared.counters.read()
    }

    /// Whether commits can still succeed: false once a sync has failed.
    pub fn is_writable(&self) -> bool {
        !self.shared.counters.is_poisoned()
    }

    pub fn folder(&self) -> &Path {
        &self.shared.settings.folder
    }

    /// Commits what waits, closes the writer and returns when it has stopped. Later commits are refused.
    pub async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        let _ = tokio::task::spawn_blocking(move || shared.keeper.stop()).await;
        let (done, stopped) = oneshot::channel();
        if self.shared.work.send(writer::Work::Stop { done }).await.is_ok() {
            let _ = stopped.await;
        }
        let thread = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Shared {
    fn with_reader<T>(&self, reading: impl FnOnce(&Reader<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => open_reader(&self.settings)?,
        };
        let outcome =
            Reader::begin(&connection, &self.sealer, (&self.keyring, &*self.leaf_form), &self.changes).and_then(|reader| reading(&reader));
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        outcome
    }
}

/// Finds out beside whether some Practitioner that was stored before may name a patient: the start need not wait for that.
fn look_for_makers(data: rusqlite::Connection, changes: Arc<changes::Changes>) -> Result<(), Fault> {
    let look = move || {
        if let Err(failure) = changes.makers.look(&data) {
            tracing::warn!(detail = %failure.detail, "whether a practitioner's record names a patient could not be found out");
        }
    };
    let started = std::thread::Builder::new().name("store-makers".into()).spawn(look);
    started.map(drop).map_err(|error| Fault::new(FaultKind::Internal, format!("start to look for makers: {error}")))
}

/// What the writer waits by.
fn timer() -> Result<tokio::runtime::Runtime, Fault> {
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build();
    timer.map_err(|error| Fault::new(FaultKind::Internal, format!("start the writer's timer: {error}")))
}

/// What a SQLite error means for us. The detail names the failure, never the data.
pub(crate) fn fault(error: rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode;
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => FaultKind::StorageFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => FaultKind::StorageCorrupt,
        _ => FaultKind::Storage,
    };
    Fault::new(kind, format!("sqlite: {error}"))
}
