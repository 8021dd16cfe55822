//! Records that are acknowledged before they take their places in the tables and in the log.
//!
//! What a read leaves behind (who was shown what, who was refused) touches some twenty pages: the record, its index terms, its leaf, tags, tree and
//! checkpoint. Whoever reads does not wait for that: the records are made durable in a [`Journal`] by a thread of its own, with one sync of
//! a block or two, and are owed from then on. A moment later, or when somebody wants to see them, the writer takes all of them into the tables and the
//! log, in one commit, which also says up to where.
//!
//! * What is acknowledged is in the journal beyond what the data has taken in, or in the data, and never in both. A start takes in what is left.
//! * How far that is stands in a [`Mark`] apart from the data, so that a start without what was acknowledged is refused.
//! * What is owed goes before whatever is written after it was acknowledged: an erasure finds it in the tables.
//! * Who reads such records, or the log for what was acknowledged, [settles](super::Store::settle) first.

use super::journal::{Held, Journal};
use super::keys::{Keyring, hmac};
use super::mark::Mark;
use super::unit::{Committed, LeafDraft, Unit, VersionDraft};
use super::writer::{Counters, Waiting, Work};
use super::{StoreSettings, fault, reader};
use crate::clock::{Clock, Stopwatch};
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc as tasks;

/// The only resources that are kept so; everything else is asked for as soon as it is acknowledged.
const TYPE_NAME: &str = "AuditEvent";
/// So many units may be owed; more wait for the writer as everything does.
const MAX_OWED: usize = 256;
/// So many units share a frame of the journal.
const MAX_TOGETHER: usize = 32;
/// After a commit that failed it waits so long.
const RETRY: Duration = Duration::from_millis(500);

/// Where records are kept, and how far they were acknowledged.
struct Kept {
    journal: Journal,
    mark: Arc<Mark>,
}

/// What the threads know together.
#[derive(Clone, Default)]
struct Shared {
    /// How many units are acknowledged, or about to be, and not in the tables.
    units: Arc<AtomicUsize>,
    /// The number up to which the data has taken them in.
    taken_in: Arc<AtomicU64>,
    /// Whether the writer could not take in what is owed.
    is_stalled: Arc<AtomicBool>,
    /// None where there was no room to lay it out.
    kept: Arc<Mutex<Option<Kept>>>,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the journal beside the data, and gives both ends of it with what a crash left.
pub(super) fn open(data: &Connection, keyring: &Keyring, settings: &StoreSettings) -> Result<(Owed, Keeping), Fault> {
    let key = keyring.derived("owed");
    let taken_in = taken_in(data, &key)?;
    let (kept, held) = open_kept(keyring, settings, taken_in)?;
    let shared = Shared { taken_in: Arc::new(AtomicU64::new(taken_in)), kept: Arc::new(Mutex::new(kept)), ..Shared::default() };
    let mut owed = Owed { units: Vec::new(), last: taken_in, key, wait: settings.anchor_within, waits: None, shared: shared.clone() };
    for (number, bytes) in held {
        let mut units = decoded(&bytes)?;
        // What went another way after all, when the frame could not be synced, is there already.
        units.retain(|unit| !unit.versions.iter().any(|version| is_known(data, version)));
        shared.units.fetch_add(units.len(), Ordering::Release);
        owed.owe(units, number);
    }
    Ok((owed, Keeping { shared, keyring: keyring.clone(), broken: None }))
}

fn is_known(data: &Connection, version: &VersionDraft) -> bool {
    matches!(reader::newest_version(data, &version.type_name, &version.id), Ok(Some(_)))
}

/// Refuses a journal that lacks what was acknowledged, unless the operator says that this data is the newest. Nothing is written before that is certain.
fn open_kept(keyring: &Keyring, settings: &StoreSettings, taken_in: u64) -> Result<(Option<Kept>, Held), Fault> {
    let place = settings.register.with_added_extension("records");
    let (mark, told) = Mark::open(&place, keyring.derived("kept-records"), settings.adopt)?;
    let (mut journal, mut held) = Journal::open(&settings.folder.join("owed.journal"), keyring.derived("owed"))?;
    held.retain(|(number, _)| *number > taken_in);
    let last = held.last().map_or(taken_in, |(number, _)| *number);
    let is_whole = held.iter().zip(taken_in + 1..).all(|((number, _), expected)| *number == expected);
    let is_behind = told.map_or(taken_in > 0, |told| told > last);
    if (is_behind || !is_whole) && !settings.adopt {
        let text = format!(
            "{}: records of the accounting that were acknowledged are not in this data and its owed.journal, or nobody can say whether they are. \
             Put back the newest; or, when this is the newest there is, run `hearthgate ledger adopt`.",
            place.display()
        );
        return Err(Fault::new(FaultKind::Ledger, text));
    }
    match journal.begin(taken_in).and_then(|()| mark.note(last)).and_then(|()| mark.sync()) {
        Ok(()) => Ok((Some(Kept { journal, mark: Arc::new(mark) }), held)),
        Err(failure) if failure.kind == FaultKind::StorageFull && held.is_empty() => {
            tracing::warn!(detail = %failure.detail, "there is no room for the journal of records: they wait for the data");
            Ok((None, held))
        }
        Err(failure) => Err(failure),
    }
}

/// Up to which frame the data has taken records in.
fn taken_in(data: &Connection, key: &[u8; 32]) -> Result<u64, Fault> {
    let row: Option<(u64, Vec<u8>)> = data
        .prepare_cached("SELECT number, seal FROM taken_in")
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(fault)?;
    let Some((number, seal)) = row else { return Ok(0) };
    match aws_lc_rs::constant_time::verify_slices_are_equal(&seal_of(number, key), &seal) {
        Ok(()) => Ok(number),
        Err(_) => Err(Fault::new(FaultKind::StorageCorrupt, "how far records were taken in is not as it was stored")),
    }
}

fn seal_of(number: u64, key: &[u8; 32]) -> [u8; 32] {
    hmac(key, &[b"taken in", &number.to_be_bytes()])
}

fn encoded(units: &[Waiting]) -> Result<Vec<u8>, Fault> {
    let records: Vec<(&[VersionDraft], &[LeafDraft])> = units.iter().map(|(unit, _)| (&unit.versions[..], &unit.leaves[..])).collect();
    postcard::to_stdvec(&records).map_err(|error| Fault::new(FaultKind::Internal, format!("keep a record: {error}")))
}

fn decoded(bytes: &[u8]) -> Result<Vec<Unit>, Fault> {
    let records: Vec<(Vec<VersionDraft>, Vec<LeafDraft>)> = postcard::from_bytes(bytes)
        .map_err(|_| Fault::new(FaultKind::StorageCorrupt, "a record in owed.journal is none that this build can read"))?;
    Ok(records.into_iter().map(|(versions, leaves)| Unit { versions, leaves, ..Unit::default() }).collect())
}

/// What is owed, as the writer holds it.
pub(super) struct Owed {
    units: Vec<Unit>,
    /// The number of the last of them in the journal.
    last: u64,
    key: [u8; 32],
    /// How long it waits for more to go along.
    wait: Duration,
    /// Since when the oldest waits, and how long it is to.
    waits: Option<(Stopwatch, Duration)>,
    shared: Shared,
}

impl Owed {
    pub(super) fn owe(&mut self, units: Vec<Unit>, number: u64) {
        self.units.extend(units);
        self.last = number;
        self.waits.get_or_insert_with(|| (Clock::system().stopwatch(), self.wait));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// How long until it is to be written; nothing when nothing is owed.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.waits.as_ref().map(|(since, wait)| wait.saturating_sub(since.elapsed()))
    }

    /// All of it, to be written now; what became of that is [told](Owed::told).
    pub(super) fn take(&mut self) -> Vec<Unit> {
        std::mem::take(&mut self.units)
    }

    /// Notes, in the commit that takes it in, how far that is.
    pub(super) fn note(&self, data: &Connection) -> Result<(), Fault> {
        let row = params![self.last, &seal_of(self.last, &self.key)[..]];
        data.prepare_cached("INSERT OR REPLACE INTO taken_in (one, number, seal) VALUES (1, ?, ?)")
            .and_then(|mut statement| statement.execute(row))
            .map(drop)
            .map_err(fault)
    }

    /// After a commit, or one that failed: the data says whether it has taken these in.
    pub(super) fn told(&mut self, units: Vec<Unit>, is_certain: bool, data: &Connection) -> Result<(), Fault> {
        if units.is_empty() {
            return Ok(());
        }
        if is_certain || taken_in(data, &self.key)? >= self.last {
            self.waits = None;
            self.shared.is_stalled.store(false, Ordering::Release);
            self.shared.taken_in.store(self.last, Ordering::Release);
            self.shared.units.fetch_sub(units.len(), Ordering::Release);
            self.keep_mark();
        } else {
            self.units = units;
            self.put_off();
        }
        Ok(())
    }

    /// It could not be written, and is tried again a while later. Until then nothing more is acknowledged so.
    pub(super) fn put_off(&mut self) {
        self.waits = Some((Clock::system().stopwatch(), RETRY));
        self.shared.is_stalled.store(true, Ordering::Release);
    }

    /// Syncs how far records were acknowledged. Nobody waits for that: it counts only where the machine itself goes down.
    fn keep_mark(&self) {
        let mark = self.shared.kept().as_ref().map(|kept| Arc::clone(&kept.mark));
        if let Some(Err(failure)) = mark.map(|mark| mark.sync()) {
            tracing::warn!(detail = %failure.detail, "how far records were acknowledged could not be synced");
        }
    }

    /// Overwrites what the data has taken in: an erasure must find no copy.
    pub(super) fn wipe(&self) -> Result<(), Fault> {
        let taken_in = self.shared.taken_in.load(Ordering::Acquire);
        self.shared.kept().as_mut().map_or(Ok(()), |kept| kept.journal.wipe_taken_in(taken_in))
    }
}

/// What the thread works with that makes records durable.
pub(super) struct Keeping {
    shared: Shared,
    keyring: Keyring,
    /// Why nothing can be kept any more.
    broken: Option<Fault>,
}

/// The thread that makes records durable, as everybody else sees it.
pub(super) struct Keeper {
    shared: Shared,
    /// Whether records are acknowledged before they are in the log at all.
    is_on: bool,
    counters: Arc<Counters>,
    orders: Mutex<Option<Sender<Waiting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(super) fn start(keeping: Keeping, is_on: bool, work: tasks::Sender<Work>, counters: Arc<Counters>) -> Result<Keeper, Fault> {
        let (orders, received) = mpsc::channel();
        let (shared, told) = (keeping.shared.clone(), Arc::clone(&counters));
        let thread = std::thread::Builder::new()
            .name("store-owed".into())
            .spawn(move || keeping.run(&received, &work, &told))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start journal: {error}")))?;
        Ok(Keeper { shared, is_on, counters, orders: Mutex::new(Some(orders)), thread: Mutex::new(Some(thread)) })
    }

    /// Takes a unit that may be acknowledged before it is in the tables, or gives it back.
    pub(super) fn offer(&self, waiting: Waiting) -> Option<Waiting> {
        let may_wait = self.is_on && !self.shared.is_stalled.load(Ordering::Acquire) && !self.counters.is_poisoned();
        if !may_wait || !waiting.0.is_record_of(TYPE_NAME) || self.shared.units.load(Ordering::Acquire) >= MAX_OWED {
            return Some(waiting);
        }
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        match &*orders {
            Some(orders) => orders.send(waiting).err().map(|refused| refused.0),
            None => Some(waiting),
        }
    }

    /// Whether all that was acknowledged is in the tables, as far as a type of resource is concerned.
    pub(super) fn is_settled(&self, type_name: Option<&str>) -> bool {
        type_name.is_some_and(|name| name != TYPE_NAME) || self.shared.units.load(Ordering::Acquire) == 0
    }

    /// Ends the thread, when it has kept what it was given.
    pub(super) fn stop(&self) {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Keeping {
    fn run(mut self, received: &Receiver<Waiting>, work: &tasks::Sender<Work>, counters: &Counters) {
        while let Ok(first) = received.recv() {
            let mut group = vec![first];
            while group.len() < MAX_TOGETHER
                && let Ok(more) = received.try_recv()
            {
                group.push(more);
            }
            if let Err((failure, group)) = self.serve(group, work, counters) {
                tracing::error!(fault = failure.kind.label(), detail = %failure.detail, "records could not be kept");
                group.into_iter().for_each(|(_, answer)| drop(answer.send(Err(failure.clone()))));
            }
        }
    }

    /// Keeps a group and acknowledges it; what cannot be kept now waits for the writer.
    fn serve(&mut self, group: Vec<Waiting>, work: &tasks::Sender<Work>, counters: &Counters) -> Result<(), (Fault, Vec<Waiting>)> {
        // A key that is not stored yet would have to be synced too.
        let has_key = |(unit, _): &Waiting| !self.keyring.is_any_fresh(unit.leaves.iter().filter_map(|leaf| leaf.patient));
        let (group, without): (Vec<Waiting>, Vec<Waiting>) = group.into_iter().partition(has_key);
        without.into_iter().for_each(|one| pass_on(one, work));
        if group.is_empty() {
            return Ok(());
        }
        // Whoever settles from here on waits for these.
        self.shared.units.fetch_add(group.len(), Ordering::AcqRel);
        match self.keep(&group) {
            Ok(Some(number)) => {
                counters.kept(group.len());
                acknowledge(group, number, work);
                Ok(())
            }
            kept => {
                self.shared.units.fetch_sub(group.len(), Ordering::AcqRel);
                match kept {
                    Err(failure) => {
                        counters.poison();
                        self.broken = Some(failure.clone());
                        Err((failure, group))
                    }
                    Ok(_) => {
                        group.into_iter().for_each(|one| pass_on(one, work));
                        Ok(())
                    }
                }
            }
        }
    }

    fn keep(&self, group: &[Waiting]) -> Result<Option<u64>, Fault> {
        // After a failed sync the kernel may have dropped the pages: a later success would be a lie.
        self.broken.clone().map_or(Ok(()), Err)?;
        let bytes = encoded(group)?;
        killpoint::reached("keep-before");
        let taken_in = self.shared.taken_in.load(Ordering::Acquire);
        let kept = match &mut *self.shared.kept() {
            Some(Kept { journal, mark }) => {
                let number = journal.append(&bytes, taken_in)?;
                killpoint::reached("keep-synced");
                number.map(|number| mark.note(number).map(|()| number)).transpose()?
            }
            None => None,
        };
        killpoint::reached("keep-kept");
        Ok(kept)
    }
}

/// The writer hears of what is owed before anybody is told that it was kept: whatever is asked for then comes to the writer later.
fn acknowledge(group: Vec<Waiting>, number: u64, work: &tasks::Sender<Work>) {
    let (units, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|(unit, answer)| (*unit, answer)).unzip();
    // When the writer has stopped, the next start takes them in.
    let _ = work.blocking_send(Work::Owe { units, number });
    answers.into_iter().for_each(|answer| drop(answer.send(Ok(Committed::Kept))));
}

fn pass_on((unit, answer): Waiting, work: &tasks::Sender<Work>) {
    let _ = work.blocking_send(Work::Commit { unit, answer });
}
