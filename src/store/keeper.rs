//! Making records durable before anybody is told of them.
//!
//! Where a sync is quick, whoever brings the first record does it itself: to hand it to another thread and be woken by it costs nearly as much. One
//! such caller is at it at a time, so that the others never wait for the disk on a thread that serves requests. What comes meanwhile goes together
//! in the next frame, on a thread that may block; so does everything where syncs take longer.

use super::keys::Keyring;
use super::owed::{self, Kept, Shared};
use super::unit::{Committed, LeafDraft, VersionDraft};
use super::writer::{Counters, Waiting, Work, submit};
use crate::clock::Clock;
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc as tasks;

/// The only resources that are kept so; everything else is asked for as soon as it is acknowledged.
const TYPE_NAME: &str = "AuditEvent";
/// So many units may be owed; more wait for the writer as everything does.
const MAX_OWED: usize = 256;
/// So many units share a frame of the journal.
const MAX_TOGETHER: usize = 32;
/// A disk on which a frame is usually written within this is quick.
const QUICK: Duration = Duration::from_micros(500);
/// What is usual moves by this part of itself towards what the last one took, so that it settles where half of them take longer.
const STEP: u32 = 16;

/// Who waits to be made durable.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Whether somebody is at it.
    is_served: bool,
    /// Whether nobody is let in any more.
    is_closed: bool,
    /// How long a frame takes to be written, as far as that is known.
    usually: Option<Duration>,
}

impl Line {
    fn is_quick(&self) -> bool {
        self.usually.is_some_and(|usually| usually <= QUICK)
    }

    fn took(&mut self, time: Duration) {
        let moved = |usually: Duration| if time > usually { usually + usually / STEP } else { usually - usually / STEP };
        self.usually = Some(self.usually.map_or(time, moved));
    }
}

/// Makes records durable that take their places in the tables and in the log later.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    keyring: Keyring,
    /// Whether records are acknowledged before they are in the log at all.
    is_on: bool,
    counters: Arc<Counters>,
    work: tasks::Sender<Work>,
    line: Mutex<Line>,
    /// Nobody is at it any more.
    done: Condvar,
    /// Why nothing can be kept any more.
    broken: Mutex<Option<Fault>>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, keyring: Keyring, is_on: bool, work: tasks::Sender<Work>, counters: Arc<Counters>) -> Keeper {
        Keeper { shared, keyring, is_on, counters, work, line: Mutex::default(), done: Condvar::new(), broken: Mutex::default() }
    }

    /// Takes a unit that may be acknowledged before it is in the tables, or gives it back.
    pub(super) fn offer(self: &Arc<Self>, waiting: Waiting) -> Option<Waiting> {
        let may_wait = self.is_on && !self.shared.is_stalled.load(Ordering::Acquire) && !self.counters.is_poisoned();
        if !may_wait || !waiting.0.is_record_of(TYPE_NAME) || self.shared.units.load(Ordering::Acquire) >= MAX_OWED {
            return Some(waiting);
        }
        let mut line = self.line();
        if line.is_closed {
            return Some(waiting);
        }
        line.waiting.push_back(waiting);
        let is_first = !std::mem::replace(&mut line.is_served, true);
        let is_quick = line.is_quick();
        drop(line);
        if is_first {
            self.serve_line(is_quick);
        }
        None
    }

    /// Whether all that was acknowledged is in the tables, as far as a type of resource is concerned.
    pub(super) fn is_settled(&self, type_name: Option<&str>) -> bool {
        type_name.is_some_and(|name| name != TYPE_NAME) || self.shared.units.load(Ordering::Acquire) == 0
    }

    /// Returns when what it was given is kept. From then on it takes nothing.
    pub(super) fn stop(&self) {
        let mut line = self.line();
        line.is_closed = true;
        while line.is_served {
            line = self.done.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever is first in the line serves one group, if that is quick, and leaves the rest to a thread that may block: its own answer must not wait
    /// for theirs.
    fn serve_line(self: &Arc<Self>, is_quick: bool) {
        if is_quick && let Some(group) = self.next() {
            self.serve(group);
        }
        if let Some(group) = self.next() {
            let keeper = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                keeper.serve(group);
                while let Some(group) = keeper.next() {
                    keeper.serve(group);
                }
            });
        }
    }

    /// Those that go together next. Where there are none, nobody is at it any more.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut line = self.line();
        let together = line.waiting.len().min(MAX_TOGETHER);
        line.is_served = together > 0;
        if together == 0 {
            self.done.notify_all();
            return None;
        }
        Some(line.waiting.drain(..together).collect())
    }

    /// Keeps a group and acknowledges it; what cannot be kept now waits for the writer.
    fn serve(&self, group: Vec<Waiting>) {
        // A key that is not stored yet would have to be synced too.
        let has_key = |(unit, _): &Waiting| !self.keyring.is_any_fresh(unit.leaves.iter().filter_map(|leaf| leaf.patient));
        let (group, without): (Vec<Waiting>, Vec<Waiting>) = group.into_iter().partition(has_key);
        without.into_iter().for_each(|one| submit(&self.work, one));
        if group.is_empty() {
            return;
        }
        // Whoever settles from here on waits for these.
        self.shared.units.fetch_add(group.len(), Ordering::AcqRel);
        match self.keep(&group) {
            Ok(Some(number)) => {
                self.counters.kept(group.len());
                self.acknowledge(group, number);
            }
            kept => {
                self.shared.units.fetch_sub(group.len(), Ordering::AcqRel);
                match kept {
                    Ok(_) => group.into_iter().for_each(|one| submit(&self.work, one)),
                    Err(failure) => self.fail(group, &failure),
                }
            }
        }
    }

    fn keep(&self, group: &[Waiting]) -> Result<Option<u64>, Fault> {
        // After a failed sync the kernel may have dropped the pages: a later success would be a lie.
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)?;
        let bytes = encoded(group)?;
        killpoint::reached("keep-before");
        let (taken_in, watch) = (self.shared.taken_in.load(Ordering::Acquire), Clock::system().stopwatch());
        let kept = match &mut *self.shared.kept() {
            Some(Kept { journal, mark }) => {
                let number = journal.append(&bytes, taken_in)?;
                killpoint::reached("keep-synced");
                number.map(|number| mark.note(number).map(|()| number)).transpose()?
            }
            None => None,
        };
        self.line().took(watch.elapsed());
        killpoint::reached("keep-kept");
        Ok(kept)
    }

    /// The writer has them before anybody is told that they were kept: whatever is asked of it then comes later.
    fn acknowledge(&self, group: Vec<Waiting>, number: u64) {
        let (units, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|(unit, answer)| (*unit, answer)).unzip();
        if self.shared.bring(units, number) {
            // With a full queue the writer looks after them all the same; when it has stopped, the next start takes them in.
            let _ = self.work.try_send(Work::Owe);
        }
        answers.into_iter().for_each(|answer| drop(answer.send(Ok(Committed::Kept))));
    }

    fn fail(&self, group: Vec<Waiting>, failure: &Fault) {
        tracing::error!(fault = failure.kind.label(), detail = %failure.detail, "records could not be kept");
        self.counters.poison();
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.clone());
        group.into_iter().for_each(|(_, answer)| drop(answer.send(Err(failure.clone()))));
    }
}

fn encoded(units: &[Waiting]) -> Result<Vec<u8>, Fault> {
    let records: Vec<(&[VersionDraft], &[LeafDraft])> = units.iter().map(|(unit, _)| (&unit.versions[..], &unit.leaves[..])).collect();
    postcard::to_extend(&records, vec![owed::KEPT_FORM]).map_err(|error| Fault::new(FaultKind::Internal, format!("keep a record: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a disk is taken for quick after frames that took so many microseconds each.
    fn check(took: &[u64], is_quick: bool) {
        let mut line = Line::default();
        took.iter().for_each(|micros| line.took(Duration::from_micros(*micros)));
        assert_eq!(line.is_quick(), is_quick, "{took:?}");
    }

    #[test]
    fn what_requests_are_served_on_waits_for_a_quick_disk_alone() {
        check(&[], false);
        check(&[200], true);
        check(&[5_000], false);
        // Now and then a slow one, whatever it takes, changes nothing. A disk that grows slow is left alone after a few, and tried again when it has
        // recovered.
        check(&[200, 9_000_000, 200, 200, 9_000_000], true);
        let grown_slow = [vec![200; 9], vec![1_000; 32]].concat();
        check(&grown_slow, false);
        let recovered = [grown_slow, vec![200; 64]].concat();
        check(&recovered, true);
    }
}
