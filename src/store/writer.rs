//! The one writer: takes what waits, checks it, inserts it, numbers its leaves, signs one checkpoint, syncs once, and only then answers.

use super::admission::Admission;
use super::changes::Changes;
use super::counting::Counting;
use super::filed::Filing;
use super::folding::{self, Folding};
use super::group::{Gathering, Group};
use super::held::Whose;
use super::key_writing::KeyWriting;
use super::keys::{Keyring, SealedRecord};
use super::levels::Level;
use super::log::{LedgerHead, LogState};
use super::owed::Owed;
use super::rows::Begun;
use super::seal::Sealer;
use super::signing::Underway;
use super::unit::{Committed, Counted, Erasure, Unit, VersionDraft};
use super::{bound, erase, fault};
use crate::clock::Clock;
use crate::killpoint;
use crate::ledger::Edge;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// What is asked of the writer.
pub(super) enum Work {
    Commit {
        unit: Box<Unit>,
        answer: oneshot::Sender<Result<Committed, Fault>>,
    },
    /// Something is owed from now on.
    Owe,
    /// Gives back what can be given back of a full disk.
    MakeRoom,
    /// Writes what is owed.
    Settle {
        /// Whose acts that were kept back are wanted too.
        release: Option<Whose>,
        done: oneshot::Sender<Result<(), Fault>>,
    },
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// Whether a group may have failed for some of its units alone.
fn concerns_some(failure: &Fault) -> bool {
    matches!(failure.kind, FaultKind::StorageFull | FaultKind::StorageCorrupt)
}

type Answer = oneshot::Sender<Result<Committed, Fault>>;
pub(super) type Waiting = (Box<Unit>, Answer);

/// Lets a unit wait for the writer; one that cannot is told so at once.
pub(super) fn submit(work: &mpsc::Sender<Work>, (unit, answer): Waiting) {
    let (turned_away, failure) = match work.try_send(Work::Commit { unit, answer }) {
        Ok(()) => return,
        Err(TrySendError::Full(work)) => (work, Fault::new(FaultKind::Overloaded, "the writer's queue is full")),
        Err(TrySendError::Closed(work)) => (work, Fault::new(FaultKind::ShuttingDown, "the writer has stopped")),
    };
    if let Work::Commit { answer, .. } = turned_away {
        let _ = answer.send(Err(failure));
    }
}

#[derive(Default)]
pub(super) struct Counters {
    units: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    poisoned: AtomicBool,
}

impl Counters {
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// So many units were made durable by a sync of their own.
    pub(super) fn kept(&self, units: usize) {
        self.units.fetch_add(units as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counted {
        Counted {
            units: self.units.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }
}

pub(super) struct Writer {
    pub(super) data: Connection,
    pub(super) keyring: Keyring,
    pub(super) key_writing: KeyWriting,
    pub(super) ledger: LogState,
    pub(super) folding: Folding,
    pub(super) head: Arc<RwLock<LedgerHead>>,
    pub(super) announce: watch::Sender<u64>,
    pub(super) counters: Arc<Counters>,
    /// What is acknowledged and not yet in the tables.
    pub(super) owed: Owed,
    /// Whether submissions are taken.
    pub(super) admission: Admission,
    pub(super) max_group_units: usize,
    /// By how many leaves, or a multiple, a group makes the log grow.
    pub(super) grows_by: u64,
    /// The newest of the gateway's own leaves in the group under way.
    pub(super) newest_own: Option<Vec<u8>>,
    /// Seals what is stored.
    pub(super) sealer: Arc<Sealer>,
    /// How far each tag of the group under way has been counted.
    pub(super) counting: Counting,
    /// Notes which consents there are.
    pub(super) filing: Filing,
    /// How often institutions have changed.
    pub(super) changes: Arc<Changes>,
    /// Whose acts that were kept back go into the group under way.
    pub(super) releasing: Vec<Whose>,
    /// The acts kept back that are known not to be as they were stored.
    pub(super) damaged_acts: BTreeSet<i64>,
    /// Whether the group under way erases.
    pub(super) condemned: bool,
    /// Bytes that several units share, newest first, with the row that holds them.
    pub(super) recent_raw: VecDeque<([u8; 32], String, i64)>,
    /// Set once a sync has failed in a way after which nothing may be acknowledged any more.
    pub(super) poisoned: Option<Fault>,
}

impl Writer {
    /// Serves the queue until it is told to stop or nobody can send any more.
    pub(super) fn run(mut self, timer: &Runtime, mut queue: mpsc::Receiver<Work>) {
        let mut gathering = Gathering::default();
        while let Some(first) = self.next(timer, &mut queue) {
            let mut group = Group::default();
            group.take(first);
            gathering.fill(&mut group, &mut queue, self.max_group_units);
            let Group { units, settling, releasing, wants_room, stop, .. } = group;
            if !units.is_empty() {
                let (count, watch) = (units.len(), Clock::system().stopwatch());
                self.serve(units);
                gathering.served(count, queue.len(), watch.elapsed());
            }
            self.releasing = releasing;
            self.settle(settling, stop.is_some());
            self.releasing.clear();
            self.folding.turn(&self.data);
            if wants_room {
                self.folding.make_room(&self.data);
            }
            if let Some(done) = stop {
                self.tidy();
                drop(self);
                let _ = done.send(());
                return;
            }
        }
        self.settle(Vec::new(), true);
    }

    /// What comes next. Meanwhile what is owed is written when its time has come.
    fn next(&mut self, timer: &Runtime, queue: &mut mpsc::Receiver<Work>) -> Option<Work> {
        loop {
            let Some(wait) = self.owed.due_in() else { return queue.blocking_recv() };
            match timer.block_on(async { tokio::time::timeout(wait, queue.recv()).await }) {
                Ok(work) => return work,
                Err(_) => self.settle(Vec::new(), false),
            }
        }
    }

    /// Writes what is owed, where somebody waits for that or its time has come.
    fn settle(&mut self, waiting: Vec<oneshot::Sender<Result<(), Fault>>>, at_once: bool) {
        let is_due = at_once || !waiting.is_empty() || self.owed.due_in().is_some_and(|wait| wait.is_zero());
        let done = if is_due { self.take_in() } else { Ok(()) };
        if let Err(failure) = &done {
            tracing::error!(fault = failure.kind.label(), detail = %failure.detail, "what is owed could not be written");
        }
        for asked in waiting {
            let _ = asked.send(done.clone());
        }
    }

    /// Leaves one whole file behind, for backups and a quick start. If it cannot be done now, the next start does it.
    fn tidy(&mut self) {
        self.folding.stop();
        let _is_whole = folding::fold_all(&self.data);
    }

    /// Writes what is owed.
    pub(super) fn take_in(&mut self) -> Result<(), Fault> {
        if self.owed.is_empty() && self.releasing.is_empty() {
            return Ok(());
        }
        self.commit_group(&[]).map(drop).inspect_err(|_| self.owed.put_off())
    }

    /// Answers what may not be written now; gives what may.
    fn admitted(&self, group: Vec<Waiting>) -> Vec<Waiting> {
        let admit = |(unit, answer): Waiting| match self.admission.refuses(&unit) {
            None => Some((unit, answer)),
            Some(reason) => {
                let _ = answer.send(Err(reason));
                None
            }
        };
        group.into_iter().filter_map(admit).collect()
    }

    fn serve(&mut self, group: Vec<Waiting>) {
        let group = self.admitted(group);
        if group.is_empty() {
            return;
        }
        let (units, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let size = self.ledger.edge().size();
        match self.commit_group(&units) {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(outcome));
                }
            }
            // What finds room is not refused along with what does not: a read's record where there is none for new keys. Nor is what meets no damage.
            Err(failure) if concerns_some(&failure) && units.len() > 1 && self.is_unwritten_since(size) => {
                units.into_iter().zip(answers).for_each(|one| self.serve(vec![one]));
            }
            Err(failure) => {
                tracing::error!(fault = failure.kind.label(), detail = %failure.detail, "a group commit failed");
                for answer in answers {
                    let _ = answer.send(Err(failure.clone()));
                }
            }
        }
    }

    /// Commits a group. A full disk may be full of the write-ahead log: what folding gives back is room for the same group, which is written anew
    /// unless the data has it already.
    fn commit_group(&mut self, units: &[Box<Unit>]) -> Result<Vec<Committed>, Fault> {
        let size = self.ledger.edge().size();
        match self.try_group(units) {
            Err(failure) if failure.kind == FaultKind::StorageFull => {
                let has_room = self.folding.make_room(&self.data);
                if has_room && self.is_unwritten_since(size) { self.try_group(units) } else { Err(failure) }
            }
            done => done,
        }
    }

    /// Whether a group that failed at this size of the log is not in the data. It is where the register alone found no room.
    fn is_unwritten_since(&self, size: u64) -> bool {
        self.ledger.edge().size() == size && self.ledger.is_registered()
    }

    fn try_group(&mut self, units: &[Box<Unit>]) -> Result<Vec<Committed>, Fault> {
        if let Some(reason) = &self.poisoned {
            return Err(reason.clone());
        }
        let owed = self.owed.take();
        let before = self.ledger.edge().size();
        let written = self.write_group(&owed, units);
        // After the data, also where it may have moved on in spite of a failure, and before anybody is told.
        self.changes.note(units);
        let outcomes = match written {
            Ok(outcomes) => outcomes,
            Err(failure) => {
                self.roll_back(before);
                self.owed.told(owed, false, &self.data).inspect_err(|failure| self.poison(failure))?;
                return Err(failure);
            }
        };
        self.counting.committed();
        self.filing.committed();
        let head = self.ledger.head();
        let size = head.size();
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = head;
        self.announce.send_if_modified(|told| std::mem::replace(told, size) != size);
        // Whoever finds nothing owed any more finds it in the head.
        self.owed.told(owed, true, &self.data)?;
        self.counters.units.fetch_add(units.len() as u64, Ordering::Relaxed);
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        // The tree has grown whatever comes of this: only who asked for the erasure must hear that it is not finished.
        if self.condemned {
            killpoint::reached("erase-committed");
            self.finish_erasure()?;
            killpoint::reached("erase-finished");
        }
        Ok(outcomes)
    }

    /// What was not written is forgotten. The data may have moved on all the same, where only the register did not.
    fn roll_back(&mut self, before: u64) {
        self.recent_raw.clear();
        if self.ledger.edge().size() > before {
            self.counting.committed();
            self.filing.committed();
        } else {
            self.counting.forget();
            self.filing.rolled_back();
        }
        self.condemned = false;
        if !self.data.is_autocommit() {
            let _ = self.data.execute_batch("ROLLBACK");
        }
    }

    /// Writes what is owed, and then these, in one commit; what is owed has been answered. What stands in front of a leaf whose place its submitter is told
    /// must not tell what somebody's request met with: what is owed is filled up, and what stands beside the units of a group stands behind them all.
    fn write_group(&mut self, owed: &[Unit], units: &[Box<Unit>]) -> Result<Vec<Committed>, Fault> {
        let (keys, written) = self.begin_keys(units)?;
        self.data.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
        written.map_or(Ok(()), |written| bound::note_written(&self.data, written))?;
        self.newest_own = None;
        let mut edge = self.ledger.edge().clone();
        if !self.releasing.is_empty() || owed.iter().chain(units.iter().map(Box::as_ref)).any(Unit::has_own_leaves) {
            self.counting.begin(&self.data, &edge)?;
        }
        let mut level = Level::at(&edge);
        if !owed.is_empty() {
            self.counting.is_owed(true);
            for unit in owed {
                let mut begun = self.begin_checked(unit, &mut edge)?;
                self.finish_unit(&mut begun, &mut level, &mut edge)?;
            }
            self.owed.note(&self.data)?;
            if units.iter().any(|unit| !unit.leaves.is_empty()) {
                self.level(&mut level, &mut edge)?;
            }
        }
        self.counting.is_owed(false);
        self.write_released(&mut level, &mut edge)?;
        let outcomes = self.write_units(units, &mut level, &mut edge)?;
        self.level(&mut level, &mut edge)?;
        self.keep_back(level)?;
        self.counting.write(&self.data)?;
        let note = self.ledger.note_for(&edge)?;
        self.execute("INSERT OR REPLACE INTO checkpoint (one, note) VALUES (1, ?)", params![&*note])?;
        self.make_durable(keys, edge, note)?;
        Ok(outcomes)
    }

    /// Writes units in their order, and then what stands beside them; earlier where a unit relies on what stands beside one before it. Before one that
    /// erases, all of these is written, acts that wait for room too.
    fn write_units<'u>(&mut self, units: &'u [Box<Unit>], level: &mut Level<'u>, edge: &mut Edge) -> Result<Vec<Committed>, Fault> {
        let mut begun = Vec::with_capacity(units.len());
        for unit in units {
            if unit.erasure.is_some() || begun.iter().any(|earlier: &Begun<'_>| earlier.is_relied_on_by(unit)) {
                begun.iter_mut().try_for_each(|earlier| self.finish_unit(earlier, level, edge))?;
            }
            if unit.erasure.is_some() {
                self.write_waiting(level, edge)?;
            }
            let one = self.begin_unit(unit, edge)?;
            if !one.is_turned_away() {
                level.expect(unit);
            }
            begun.push(one);
        }
        begun.iter_mut().try_for_each(|unit| self.finish_unit(unit, level, edge))?;
        Ok(begun.into_iter().filter_map(|unit| unit.outcome).collect())
    }

    /// Begins to write the keys of a group beside its rows, and says which writing that is. Those of a unit that then writes nothing open nothing.
    fn begin_keys(&self, units: &[Box<Unit>]) -> Result<(Underway, Option<u64>), Fault> {
        units.iter().flat_map(|unit| &unit.versions).try_for_each(|version| self.check_key_of(version))?;
        let leaves = || units.iter().flat_map(|unit| &unit.leaves);
        let records: Vec<SealedRecord> = leaves().filter_map(|leaf| leaf.key.clone()).collect();
        // What only reads waits for no key, so that it does not wait for room among the keys either.
        if records.is_empty() && !self.keyring.is_any_fresh(leaves().filter_map(|leaf| leaf.patient)) {
            return Ok((Underway::nowhere(), None));
        }
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        let number = self.keyring.next_writing();
        Ok((self.key_writing.begin(records, number)?, Some(number)))
    }

    /// A patient who was here before has a key; one drawn anew would sever what follows from what there is.
    fn check_key_of(&self, version: &VersionDraft) -> Result<(), Fault> {
        let is_later = version.type_name == "Patient" && version.version > 1;
        if is_later && self.keyring.is_any_fresh(std::iter::once(self.keyring.patient_name(&version.id))) {
            return Err(Fault::new(FaultKind::StorageCorrupt, "the key of a patient who was here before is missing"));
        }
        Ok(())
    }

    /// Syncs the data and the register at the same time; only when both are on the disk may anybody be told.
    fn make_durable(&mut self, keys: Underway, edge: Edge, note: Arc<str>) -> Result<(), Fault> {
        killpoint::reached("commit-before");
        let moving = self.ledger.begin(&edge)?;
        self.counters.syncs.fetch_add(u64::from(edge.size() > self.ledger.edge().size()), Ordering::Relaxed);
        let stored = self.commit_data(keys);
        killpoint::reached("commit-stored");
        let registered = moving.wait();
        killpoint::reached("commit-registered");
        match (stored, registered) {
            // A register that cannot be settled leaves in doubt what was told; only a start anew, which compares it with the data, can say.
            (Ok(()), Ok(())) => self.ledger.move_on(edge, note).inspect_err(|failure| self.poison(failure)),
            (Ok(()), Err(failure)) => {
                // The data has moved on and nobody may be told. With room on the disk the next group takes the register along; any other
                // failure leaves open what it holds, and only a start anew, which compares the two, can say.
                self.ledger.hold(edge, note);
                if failure.kind != FaultKind::StorageFull {
                    self.poison(&failure);
                }
                Err(failure)
            }
            (Err(failure), registered) => {
                if registered.is_ok() {
                    self.ledger.strayed();
                }
                Err(failure)
            }
        }
    }

    /// Keys first: an orphan key is harmless, a missing one is not.
    fn commit_data(&mut self, keys: Underway) -> Result<(), Fault> {
        keys.wait()?;
        killpoint::reached("commit-keys");
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.data.execute_batch("COMMIT").map_err(|error| {
            let failure = fault(error);
            // After a failed sync the kernel may have dropped the pages: a later success would be a lie. Only a full disk is safe to retry.
            if failure.kind != FaultKind::StorageFull {
                self.poison(&failure);
            }
            failure
        })
    }

    fn poison(&mut self, failure: &Fault) {
        self.poisoned = Some(failure.clone());
        self.counters.poison();
    }

    pub(super) fn erase(&mut self, erasure: &Erasure) -> Result<(), Fault> {
        self.recent_raw.clear();
        self.condemned = true;
        erase::erase(&self.data, &self.sealer, &mut self.filing, erasure)
    }

    /// Once an erasure is committed: destroys the keys it condemned and sees to it that no copy of what was erased stays in the write-ahead logs
    /// and in the journal.
    pub(super) fn finish_erasure(&mut self) -> Result<(), Fault> {
        erase::destroy_condemned(&self.data, &self.keyring)?;
        self.condemned = false;
        self.owed.wipe()?;
        erase::finish(&self.data)
    }
}
