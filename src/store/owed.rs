//! Records that are acknowledged before they take their places in the tables and in the log.
//!
//! What a read leaves behind (who was shown what, who was refused) touches some twenty pages: the record, its index terms, its leaf, tags, tree and
//! checkpoint. Whoever reads does not wait for that: the [keeper](super::keeper) makes the records durable in a [`Journal`], with one sync of a block or two, and
//! they are owed from then on. A moment later, or when somebody wants to see them, the writer takes all of them into the tables and the
//! log, in one commit, which also says up to where.
//!
//! * What is acknowledged is in the journal beyond what the data has taken in, or in the data, and never in both. A start takes in what is left.
//! * How far that is stands in a [`Mark`] apart from the data, so that a start without what was acknowledged is refused.
//! * What is owed goes before whatever is written after it was acknowledged: an erasure finds it in the tables.
//! * Who reads such records, or the log for what was acknowledged, [settles](super::Store::settle) first.

use super::journal::{Held, Journal};
use super::keys::{Keyring, hmac};
use super::mark::Mark;
use super::unit::{LeafDraft, Unit, VersionDraft};
use super::{StoreSettings, fault, reader};
use crate::clock::{Clock, Stopwatch};
use crate::ledger::index::Tag;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After a commit that failed it waits so long.
const RETRY: Duration = Duration::from_millis(500);

/// Where records are kept, and how far they were acknowledged.
pub(super) struct Kept {
    pub journal: Journal,
    pub mark: Arc<Mark>,
}

/// What the writer and whoever keeps records know together.
#[derive(Default)]
pub(super) struct Shared {
    /// How many units are acknowledged, or about to be, and not in the tables.
    pub units: AtomicUsize,
    /// The number up to which the data has taken them in.
    pub taken_in: AtomicU64,
    /// Whether the writer could not take in what is owed.
    pub is_stalled: AtomicBool,
    /// None where there was no room to lay it out.
    kept: Mutex<Option<Kept>>,
    /// What is about to be acknowledged and the writer has not fetched, each with its number.
    coming: Mutex<Vec<(Vec<Unit>, u64)>>,
}

impl Shared {
    pub fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn coming(&self) -> MutexGuard<'_, Vec<(Vec<Unit>, u64)>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts units where the writer fetches them before it commits anything else, and tells whether it must be woken for that.
    pub fn bring(&self, units: Vec<Unit>, number: u64) -> bool {
        let mut coming = self.coming();
        coming.push((units, number));
        coming.len() == 1
    }
}

/// Opens the journal beside the data, with what a crash left in it.
pub(super) fn open(data: &Connection, keyring: &Keyring, settings: &StoreSettings) -> Result<Owed, Fault> {
    let key = keyring.derived("owed");
    let taken_in = taken_in(data, &key)?;
    let (kept, held) = open_kept(keyring, settings, taken_in)?;
    let shared = Arc::new(Shared { taken_in: AtomicU64::new(taken_in), kept: Mutex::new(kept), ..Shared::default() });
    let mut owed = Owed { units: Vec::new(), last: taken_in, key, wait: settings.anchor_within, waits: None, shared: Arc::clone(&shared) };
    for (number, bytes) in held {
        let mut units = decoded(&bytes)?;
        // What went another way after all, when the frame could not be synced, is there already.
        units.retain(|unit| !unit.versions.iter().any(|version| is_known(data, version)));
        shared.units.fetch_add(units.len(), Ordering::Release);
        owed.units.extend(units);
        owed.last = number;
    }
    Ok(owed)
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

/// How records are kept: before them stands what those of older gateways, which begin with how many there are, never begin with.
pub(super) const KEPT_FORM: u8 = 0;

/// A leaf as older gateways kept it.
#[derive(Deserialize)]
struct OlderLeaf {
    entry: Vec<u8>,
    tags: Vec<(usize, Tag)>,
    patient: Option<[u8; 32]>,
}

fn decoded(bytes: &[u8]) -> Result<Vec<Unit>, Fault> {
    let read = match bytes.strip_prefix(&[KEPT_FORM]) {
        Some(records) => postcard::from_bytes(records),
        None => postcard::from_bytes(bytes).map(of_older),
    };
    let records: Vec<(Vec<VersionDraft>, Vec<LeafDraft>)> =
        read.map_err(|_| Fault::new(FaultKind::StorageCorrupt, "a record in owed.journal is none that this build can read"))?;
    Ok(records.into_iter().map(|(versions, leaves)| Unit { versions, leaves, ..Unit::default() }).collect())
}

fn of_older(records: Vec<(Vec<VersionDraft>, Vec<OlderLeaf>)>) -> Vec<(Vec<VersionDraft>, Vec<LeafDraft>)> {
    let leaf = |OlderLeaf { entry, tags, patient }| LeafDraft { entry, tags, key: None, patient, is_unseen: false };
    records.into_iter().map(|(versions, leaves)| (versions, leaves.into_iter().map(leaf).collect())).collect()
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
    shared: Arc<Shared>,
}

impl Owed {
    /// What the keeper shares with it.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty() && self.shared.coming().is_empty()
    }

    /// How long until it is to be written; nothing when nothing is owed.
    pub(super) fn due_in(&mut self) -> Option<Duration> {
        if self.waits.is_none() && !self.is_empty() {
            self.waits = Some((Clock::system().stopwatch(), self.wait));
        }
        self.waits.as_ref().map(|(since, wait)| wait.saturating_sub(since.elapsed()))
    }

    /// All of it, to be written now; what became of that is [told](Owed::told).
    pub(super) fn take(&mut self) -> Vec<Unit> {
        for (units, number) in std::mem::take(&mut *self.shared.coming()) {
            self.units.extend(units);
            self.last = number;
        }
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
