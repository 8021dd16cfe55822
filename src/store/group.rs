//! Which of those that wait go into one commit together.
//!
//! Who was just answered usually comes back at once. Without any wait, callers fall into two parties of which one waits while the other is
//! written, and every sync serves half of them. So the writer waits for those it answered, for a part of the time that a commit takes here:
//! nothing that is noticed on a fast disk, and enough on a slow one.

use super::held::Whose;
use super::writer::{Waiting, Work};
use crate::outcome::Fault;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many leaves one group commit may add, so that one answer never waits for an endless group.
const MAX_GROUP_LEAVES: usize = 20_000;
/// The wait for others is at most the last commit's time divided by this.
const PART_OF_A_COMMIT: u32 = 4;
/// It is never longer than this.
const MAX_WAIT: Duration = Duration::from_millis(3);
/// Between two looks at the queue.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// Units that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub units: Vec<Waiting>,
    /// Who wants to see what is owed in the tables.
    pub settling: Vec<oneshot::Sender<Result<(), Fault>>>,
    /// Whose acts that were kept back they want to see.
    pub releasing: Vec<Whose>,
    /// Whether something else found the disk full.
    pub wants_room: bool,
    pub stop: Option<oneshot::Sender<()>>,
    leaves: usize,
}

impl Group {
    pub(super) fn take(&mut self, work: Work) {
        match work {
            Work::Commit { unit, answer } => {
                self.leaves += unit.leaves.len();
                self.units.push((unit, answer));
            }
            Work::Owe => {}
            Work::MakeRoom => self.wants_room = true,
            Work::Settle { release, done } => {
                self.settling.push(done);
                self.releasing.extend(release);
            }
            Work::Stop { done } => self.stop = Some(done),
        }
    }

    fn is_full(&self, max_units: usize) -> bool {
        self.stop.is_some() || self.units.len() >= max_units || self.leaves >= MAX_GROUP_LEAVES
    }
}

/// What is known of how many to expect, and how long they are worth waiting for.
#[derive(Default)]
pub(super) struct Gathering {
    expected: usize,
    wait: Duration,
}

impl Gathering {
    /// Takes what waits, and waits for who is expected.
    pub(super) fn fill(&self, group: &mut Group, queue: &mut mpsc::Receiver<Work>, max_units: usize) {
        let mut looks = self.wait.as_micros() / LOOK_EVERY.as_micros();
        loop {
            while !group.is_full(max_units)
                && let Ok(work) = queue.try_recv()
            {
                group.take(work);
            }
            if looks == 0 || group.is_full(max_units) || group.units.len() >= self.expected {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
            looks -= 1;
        }
    }

    /// So many were answered and so many came meanwhile.
    pub(super) fn served(&mut self, answered: usize, came: usize, took: Duration) {
        // Alone, nobody is waited for; and not for the last few, who may have gone.
        self.expected = if answered + came > 2 { (answered + came) * 9 / 10 } else { 0 };
        self.wait = (took / PART_OF_A_COMMIT).min(MAX_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LeafDraft, Unit};

    fn work(leaves: usize) -> Work {
        let leaf = || LeafDraft { entry: Vec::new(), tags: Vec::new(), key: None, patient: None, is_unseen: false };
        let unit = Unit { leaves: std::iter::repeat_with(leaf).take(leaves).collect(), ..Unit::default() };
        Work::Commit { unit: Box::new(unit), answer: oneshot::channel().0 }
    }

    /// How many of those that wait go together: with so many leaves each, when so many may.
    fn check(waiting: usize, leaves_each: usize, max_units: usize, together: usize) {
        let (send, mut queue) = mpsc::channel(64);
        for _ in 0..waiting {
            assert!(send.try_send(work(leaves_each)).is_ok());
        }
        let mut group = Group::default();
        group.take(queue.try_recv().unwrap());
        Gathering::default().fill(&mut group, &mut queue, max_units);
        assert_eq!(group.units.len(), together, "{waiting} {leaves_each} {max_units}");
    }

    #[test]
    fn a_group_has_limits() {
        check(1, 1, 4096, 1);
        check(50, 1, 4096, 50);
        check(50, 1, 8, 8);
        check(10, MAX_GROUP_LEAVES / 2, 4096, 2);
        check(3, MAX_GROUP_LEAVES, 4096, 1);
    }

    #[test]
    fn nothing_is_taken_after_a_stop() {
        let (send, mut queue) = mpsc::channel(4);
        assert!(send.try_send(Work::Stop { done: oneshot::channel().0 }).is_ok() && send.try_send(work(1)).is_ok());
        let mut group = Group::default();
        group.take(work(1));
        Gathering::default().fill(&mut group, &mut queue, 10);
        assert!(group.units.len() == 1 && group.stop.is_some());
    }

    #[test]
    fn who_was_answered_is_waited_for_and_nobody_for_long() {
        let (send, mut queue) = mpsc::channel(4);
        let mut gathering = Gathering::default();
        gathering.served(2, 2, Duration::from_secs(1));
        assert_eq!((gathering.expected, gathering.wait), (3, MAX_WAIT));
        let mut group = Group::default();
        group.take(work(1));
        gathering.fill(&mut group, &mut queue, 10);
        assert_eq!(group.units.len(), 1, "nobody came, and the wait ended");
        assert!((0..3).all(|_| send.try_send(work(1)).is_ok()));
        gathering.fill(&mut group, &mut queue, 10);
        assert_eq!(group.units.len(), 4);
        gathering.served(1, 0, Duration::from_secs(1));
        assert_eq!(gathering.expected, 0, "a single caller waits for nobody");
    }
}
