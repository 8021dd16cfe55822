//! Requests with large bodies: how many are worked on at once, and where.
//!
//! Reading and judging a large document takes seconds of a processor and several times its size in memory. It is done on a thread beside those that
//! answer everything else, and only so much of it at once; what finds no room waits for its turn.

use crate::outcome::{Fault, FaultKind};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Instrument;

/// A body of this many bytes is a large one.
const LARGE_BYTES: usize = 16 * 1024;
/// How many bodies of the largest size have room together.
const LARGEST_AT_ONCE: usize = 2;
/// How many large bodies have room together, for each processor.
const AT_ONCE: usize = 4;
const KIB: usize = 1024;
/// More can be taken of no room at once.
const MOST_KIB: usize = u32::MAX as usize;

/// Room for requests with large bodies, in KiB of bodies.
pub struct Room {
    free: Arc<Semaphore>,
    /// What the smallest of them takes, and the largest.
    share: (usize, usize),
}

impl Room {
    /// Room for bodies of up to a number of bytes.
    pub fn new(body_bytes: usize) -> Room {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let largest = body_bytes.div_ceil(KIB).clamp(1, MOST_KIB / LARGEST_AT_ONCE);
        let all = largest * LARGEST_AT_ONCE;
        let least = (all / (AT_ONCE * processors)).clamp(1, largest);
        Room { free: Arc::new(Semaphore::new(all)), share: (least, largest) }
    }

    /// Answers a request with a body of so many bytes.
    pub(super) async fn answer<A: Send + 'static>(
        &self,
        bytes: usize,
        answering: impl Future<Output = A> + Send + 'static,
    ) -> Result<A, Fault> {
        if bytes < LARGE_BYTES {
            return Ok(answering.await);
        }
        let failed = |what| Fault::new(FaultKind::Internal, what);
        let (least, largest) = self.share;
        let share = u32::try_from(bytes.div_ceil(KIB).clamp(least, largest)).unwrap_or(u32::MAX);
        let held =
            Arc::clone(&self.free).acquire_many_owned(share).await.map_err(|_| failed("there is no more room for large requests"))?;
        let answering = answering.in_current_span();
        let runtime = Handle::current();
        // The room is taken until the answer is there, also where nobody waits for it any more.
        let answered = tokio::task::spawn_blocking(move || {
            let _held = held;
            runtime.block_on(answering)
        });
        answered.await.map_err(|_| failed("the thread of a large request ended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_large_body_keeps_nobody_waiting() {
        let room = Room::new(1024 * KIB);
        let (small, large) = mpsc::channel();
        let judging = room.answer(LARGE_BYTES, async move { large.recv_timeout(Duration::from_secs(20)) });
        let other = room.answer(LARGE_BYTES - 1, async move { small.send(()) });
        let (judged, answered) = tokio::join!(judging, other);
        assert!(judged.unwrap().is_ok() && answered.unwrap().is_ok());
    }

    /// How many may be answered at once, if each is small for a large one.
    fn most() -> usize {
        AT_ONCE * std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// How many are answered at once, of more than may be.
    async fn at_once(body_bytes: usize, bytes: usize) -> usize {
        let (room, counts) = (Arc::new(Room::new(body_bytes)), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
        let answers = (0..2 * most()).map(|_| {
            let (room, counts) = (Arc::clone(&room), Arc::clone(&counts));
            tokio::spawn(async move {
                let answering = async move {
                    let running = counts[0].fetch_add(1, Ordering::SeqCst) + 1;
                    counts[1].fetch_max(running, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(10));
                    counts[0].fetch_sub(1, Ordering::SeqCst);
                };
                room.answer(bytes, answering).await
            })
        });
        for answer in answers.collect::<Vec<_>>() {
            answer.await.unwrap().unwrap();
        }
        counts[1].load(Ordering::SeqCst)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_many_large_bodies_have_room_at_once() {
        assert_eq!(at_once(8 * 1024 * KIB, 8 * 1024 * KIB).await, LARGEST_AT_ONCE);
        assert_eq!(at_once(8 * 1024 * KIB, 5 * 1024 * KIB).await, 3);
        assert!((2..=most()).contains(&at_once(8 * 1024 * KIB, LARGE_BYTES).await));
        // A limit below what is large, and one above what can be counted.
        assert_eq!(at_once(KIB, LARGE_BYTES).await, LARGEST_AT_ONCE);
        assert!((2..=most()).contains(&at_once(usize::MAX, LARGE_BYTES).await));
    }
}
