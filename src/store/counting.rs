//! The counters of the log's tags: under each, how many leaves there are and where the newest stands.
//!
//! A leaf is signed with its number under each of its tags, and the numbers have no gap. So a counter is believed only when the leaf it points at bears
//! it, and when the index (`index.db`) knows of no leaf that bears a higher one: a row that was altered, set back or taken away shows before anything
//! is signed. What is submitted then is refused. What is owed was acknowledged and cannot be: for that, the tag's leaves are counted anew.

use super::fault;
use super::index::Lists;
use super::unit::LeafDraft;
use crate::ledger::index::Tag;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes of a tag, which stands before its counter.
const TAG_BYTES: usize = 16;

/// How many leaves there are under a tag, and where the newest stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub number: u64,
    pub last: u64,
}

/// The counters of the group under way, each read once and written once, since one partner or patient has many leaves in it.
pub(super) struct Counting {
    /// In the order of the table.
    counts: BTreeMap<Tag, Count>,
    folder: PathBuf,
    lists: Option<Lists>,
    /// Whether a counter that does not fit is made anew, for what is owed.
    recounts: bool,
}

impl Counting {
    pub(super) fn new(folder: PathBuf) -> Counting {
        Counting { counts: BTreeMap::new(), folder, lists: None, recounts: false }
    }

    /// Begins a group, or its next part: with what is owed, or with what is submitted.
    pub(super) fn begin(&mut self, is_owed: bool) {
        self.recounts = is_owed;
        if self.lists.is_none() {
            self.lists = Lists::open(&self.folder);
        }
    }

    pub(super) fn forget(&mut self) {
        self.counts.clear();
    }

    /// The entry of a leaf that comes to stand at a position, with its numbers under its tags.
    pub(super) fn entry(&mut self, data: &Connection, leaf: &LeafDraft, position: u64) -> Result<Vec<u8>, Fault> {
        let mut entry = leaf.entry.clone();
        for (offset, tag) in &leaf.tags {
            let number = self.next(data, *tag, *offset, position)?;
            if let Some(place) = entry.get_mut(*offset..*offset + 8) {
                place.copy_from_slice(&number.to_be_bytes());
            }
        }
        Ok(entry)
    }

    fn next(&mut self, data: &Connection, tag: Tag, offset: usize, position: u64) -> Result<u64, Fault> {
        let count = match self.counts.get(&tag) {
            Some(count) => *count,
            None => self.stored(data, tag, offset)?,
        };
        let next = Count { number: count.number + 1, last: position };
        self.counts.insert(tag, next);
        Ok(next.number)
    }

    fn stored(&self, data: &Connection, tag: Tag, offset: usize) -> Result<Count, Fault> {
        let count = read(data, tag)?;
        let is_last = count.map_or(Ok(true), |count| bears(data, tag, offset, count))?;
        let newest = self.lists.as_ref().and_then(|lists| lists.newest(tag));
        let known = newest.filter(|newest| newest.number > count.unwrap_or_default().number);
        let is_behind = known.map_or(Ok(false), |newest| bears(data, tag, offset, newest))?;
        match (is_last && !is_behind, self.recounts) {
            (true, _) => Ok(count.unwrap_or_default()),
            (false, true) => {
                tracing::error!("a counter of the log's tags was altered; what is owed is written after counting the leaves anew");
                recounted(data, tag, offset)
            }
            (false, false) => Err(altered()),
        }
    }

    /// Writes the counters of the group.
    pub(super) fn write(&mut self, data: &Connection) -> Result<(), Fault> {
        for (tag, count) in std::mem::take(&mut self.counts) {
            write(data, tag, count)?;
        }
        Ok(())
    }
}

fn altered() -> Fault {
    Fault::new(
        FaultKind::StorageCorrupt,
        "a counter of the log's tags (data.db) is not that of the newest leaf under its tag, so that nothing was written. `hearthgate ledger fsck LOG \
         --data FOLDER` names it; `hearthgate ledger recount` makes the counters anew from the leaves",
    )
}

pub(super) fn read(data: &Connection, tag: Tag) -> Result<Option<Count>, Fault> {
    data.prepare_cached("SELECT count, last FROM tag WHERE tag = ?")
        .and_then(|mut statement| statement.query_row([&tag.0[..]], |row| Ok(Count { number: row.get(0)?, last: row.get(1)? })).optional())
        .map_err(fault)
}

pub(super) fn write(data: &Connection, tag: Tag, count: Count) -> Result<(), Fault> {
    data.prepare_cached("INSERT OR REPLACE INTO tag (tag, count, last) VALUES (?, ?, ?)")
        .and_then(|mut statement| statement.execute(params![&tag.0[..], count.number, count.last]))
        .map(drop)
        .map_err(fault)
}

/// Whether the leaf at the count's place bears the tag with this number.
fn bears(data: &Connection, tag: Tag, offset: usize, count: Count) -> Result<bool, Fault> {
    let entry: Option<Vec<u8>> = data
        .prepare_cached("SELECT entry FROM leaf WHERE position = ?")
        .and_then(|mut statement| statement.query_row([count.last], |row| row.get(0)).optional())
        .map_err(fault)?;
    let slot = entry.as_ref().and_then(|entry| entry.get(offset.checked_sub(TAG_BYTES)?..offset + 8));
    Ok(slot.is_some_and(|slot| *slot == [&tag.0[..], &count.number.to_be_bytes()].concat()))
}

/// Counts the leaves under a tag, all of them looked through.
fn recounted(data: &Connection, tag: Tag, offset: usize) -> Result<Count, Fault> {
    let sql = "SELECT position, substr(entry, ?1 + 1, 8) FROM leaf WHERE substr(entry, ?1 + 1 - 16, 16) = ?2 ORDER BY position";
    let mut statement = data.prepare(sql).map_err(fault)?;
    let mut rows = statement.query(params![offset, &tag.0[..]]).map_err(fault)?;
    let mut count = Count::default();
    while let Some(row) = rows.next().map_err(fault)? {
        let (position, number): (u64, Vec<u8>) = (row.get(0).map_err(fault)?, row.get(1).map_err(fault)?);
        count = Count { number: count.number + 1, last: position };
        if number != count.number.to_be_bytes() {
            return Err(Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} does not follow under its tag")));
        }
    }
    Ok(count)
}
