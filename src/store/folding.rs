//! Folds the write-ahead log into the data file beside the commits, so that no commit waits while thousands of pages are copied and synced.
//!
//! A thread with a connection of its own copies what has gathered. What was committed meanwhile is little; the writer copies that itself
//! between two groups, after which the write-ahead log begins at its start again. It so keeps its size, and overwriting it is what makes a
//! commit's sync cheap. It may take about as much of the disk as the data does; where the disk is full it is folded whatever it holds, because then
//! what it takes is all the room there is.

use super::fault;
use super::opening::data_file;
use super::spare::Spare;
use crate::outcome::{Fault, FaultKind};
use rusqlite::Connection;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// Pages in the write-ahead log at which folding begins: as many as the data has, but from 16 MB on, and from 64 MB in any case.
const FOLD_AT_PAGES: RangeInclusive<u64> = 4_000..=16_000;
/// Where no room is kept: 1 MB, so that little is needed when the disk is full.
const FOLD_WITHOUT_ROOM_AT_PAGES: u64 = 250;
/// What is kept free for folding on a full disk: what the data file may grow by then, about a tenth of what the write-ahead log holds.
const ROOM_BYTES: u64 = 8 << 20;
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
    /// So many begin a folding.
    begins_at: u64,
    room: Spare,
    thread: Option<JoinHandle<()>>,
}

impl Folding {
    /// Watches the writer's connection, and folds with another.
    pub(super) fn start(data: &mut Connection, folder: &Path) -> Result<Folding, Fault> {
        let mut room = Spare::within(Some(folder), ROOM_BYTES);
        // What a crash left would stay, and take its room.
        fold_with(data, &mut room);
        let begins_at = begins_at(data, &room);
        let pages = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&pages);
        data.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(fault)?;
        let connection = Connection::open(data_file(folder)).map_err(fault)?;
        connection.pragma_update(None, "synchronous", 2).map_err(fault)?;
        let (begin, begun) = mpsc::channel();
        let state = Arc::new(AtomicU8::new(IDLE));
        let shown = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("store-folding".into())
            .spawn(move || run(&connection, &begun, &shown))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start folding: {error}")))?;
        Ok(Folding { begin: Some(begin), state, pages, begins_at, room, thread: Some(thread) })
    }

    /// The writer's part, between two groups.
    pub(super) fn turn(&mut self, data: &Connection) {
        match self.state.load(Ordering::Acquire) {
            IDLE if self.pages.load(Ordering::Relaxed) >= self.begins_at => {
                self.state.store(FOLDING, Ordering::Release);
                if let Some(begin) = &self.begin {
                    let _ = begin.send(());
                }
            }
            NEARLY_DONE => {
                let _rest = pass(data);
                self.begins_at = begins_at(data, &self.room);
                self.state.store(IDLE, Ordering::Release);
            }
            _ => {}
        }
    }

    /// Gives back what the write-ahead log takes, where the disk is full, and says whether it gave anything. The writer waits for it: nothing can be
    /// written anyway.
    pub(super) fn make_room(&mut self, data: &Connection) -> bool {
        if self.pages.swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        let is_folded = fold_with(data, &mut self.room);
        self.begins_at = begins_at(data, &self.room);
        is_folded
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

fn begins_at(data: &Connection, room: &Spare) -> u64 {
    if !room.is_held() {
        return FOLD_WITHOUT_ROOM_AT_PAGES;
    }
    let pages = data.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap_or(*FOLD_AT_PAGES.end());
    pages.clamp(*FOLD_AT_PAGES.start(), *FOLD_AT_PAGES.end())
}

/// Folds everything, with the room that is kept for it where there is no other, and keeps that room again. Says whether that could be done.
fn fold_with(data: &Connection, room: &mut Spare) -> bool {
    let is_folded = fold_all(data) || (room.give_up() && fold_all(data));
    if let Err(failure) = room.hold() {
        tracing::warn!(detail = %failure.detail, "no room can be kept for folding the write-ahead log");
    }
    is_folded
}

/// Folds everything and empties the write-ahead log; says whether that could be done now. If not, the next time makes it good.
pub(super) fn fold_all(data: &Connection) -> bool {
    let is_held_up = data.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map_err(fault);
    match &is_held_up {
        Ok(0) => {}
        Ok(_) => tracing::warn!("the write-ahead log is being read and could not be emptied"),
        Err(failure) => tracing::warn!(detail = %failure.detail, "the write-ahead log could not be folded"),
    }
    matches!(is_held_up, Ok(0))
}

/// Copies what no reader still needs where it is; gives how many pages are left, or nothing when it failed, which the next pass makes good.
fn pass(connection: &Connection) -> Option<i64> {
    let row = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
        .map_err(|error| tracing::warn!(detail = %fault(error).detail, "the write-ahead log could not be folded"));
    row.ok().map(|(pages, folded)| pages - folded)
}
