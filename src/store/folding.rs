//! Folds the write-ahead log into the data file beside the commits, so that no commit waits while thousands of pages are copied and synced.
//!
//! A thread with a connection of its own copies what has gathered. What was committed meanwhile is little; the writer copies that itself
//! between two groups, after which the write-ahead log begins at its start again. It so keeps its size, and overwriting it is what makes a
//! commit's sync cheap.

use super::fault;
use crate::outcome::{Fault, FaultKind};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// Pages in the write-ahead log at which folding begins: 64 MB.
const FOLD_AT_PAGES: u64 = 16_000;
/// What the writer folds itself is at most so much, unless commits come faster than they can be folded: commits wait for it.
const LAST_PAGES: i64 = 100;
/// How often the thread tries to come so close.
const MAX_PASSES: usize = 8;

const IDLE: u8 = 0;
const FOLDING: u8 = 1;
const NEARLY_DONE: u8 = 2;

/// The thread that folds, as the writer sees it.
pub(super) struct Folding {
    begin: Option<Sender<()>>,
    state: Arc<AtomicU8>,
    /// Pages in the write-ahead log, told by every commit.
    pages: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Folding {
    /// Watches the writer's connection, and folds with another.
    pub(super) fn start(data: &mut Connection, file: &Path) -> Result<Folding, Fault> {
        let pages = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&pages);
        data.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(fault)?;
        let connection = Connection::open(file).map_err(fault)?;
        connection.pragma_update(None, "synchronous", 2).map_err(fault)?;
        let (begin, begun) = mpsc::channel();
        let state = Arc::new(AtomicU8::new(IDLE));
        let shown = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("store-folding".into())
            .spawn(move || run(&connection, &begun, &shown))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start folding: {error}")))?;
        Ok(Folding { begin: Some(begin), state, pages, thread: Some(thread) })
    }

    /// The writer's part, between two groups.
    pub(super) fn turn(&self, data: &Connection) {
        match self.state.load(Ordering::Acquire) {
            IDLE if self.pages.load(Ordering::Relaxed) >= FOLD_AT_PAGES => {
                self.state.store(FOLDING, Ordering::Release);
                if let Some(begin) = &self.begin {
                    let _ = begin.send(());
                }
            }
            NEARLY_DONE => {
                let _rest = pass(data);
                self.state.store(IDLE, Ordering::Release);
            }
            _ => {}
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(connection: &Connection, begun: &Receiver<()>, state: &AtomicU8) {
    while begun.recv().is_ok() {
        for _ in 0..MAX_PASSES {
            match pass(connection) {
                Some(rest) if rest > LAST_PAGES => {}
                _ => break,
            }
        }
        state.store(NEARLY_DONE, Ordering::Release);
    }
}

/// Copies what no reader still needs where it is; gives how many pages are left, or nothing when it failed, which the next pass makes good.
fn pass(connection: &Connection) -> Option<i64> {
    let row = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
        .map_err(|error| tracing::warn!(detail = %fault(error).detail, "the write-ahead log could not be folded"));
    row.ok().map(|(pages, folded)| pages - folded)
}
