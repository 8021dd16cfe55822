//! The counters of the log's tags: under each, how many leaves there are and where the newest stands.
//!
//! A leaf is signed with its number under each of its tags, and the numbers have no gap. So a counter is believed only when it is that of the newest leaf
//! under its tag: by the leaves that the index (`index.db`) does not cover, which are known ([`Newer`]), or else by the index, and then the leaf must
//! bear it. A row that was altered, set back or taken away shows before anything is signed. What is submitted then is refused. What is owed was
//! acknowledged and cannot be: for that, the tag's leaves are counted anew.

use super::index::Lists;
use super::newer::Newer;
use super::register::Tree;
use super::unit::LeafDraft;
use super::{LeafForm, fault};
use crate::ledger::index::Tag;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{Edge, Hash};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

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
    leaf_form: Arc<dyn LeafForm>,
    lists: Option<Lists>,
    newer: Newer,
    /// The tree that the group is added to.
    tree: Tree,
    /// Whether a counter that does not fit is made anew, for what is owed.
    recounts: bool,
}

impl Counting {
    pub(super) fn new(folder: PathBuf, leaf_form: Arc<dyn LeafForm>) -> Counting {
        let tree = Tree { size: 0, root: Hash::EMPTY_ROOT };
        let newer = Newer::new(Arc::clone(&leaf_form));
        Counting { counts: BTreeMap::new(), folder, leaf_form, lists: None, newer, tree, recounts: false }
    }

    /// Begins a group whose leaves have tags: index and leaves are looked at as they are now.
    pub(super) fn begin(&mut self, data: &Connection, edge: &Edge) -> Result<(), Fault> {
        if self.lists.is_none() {
            self.lists = Lists::open(&self.folder);
        }
        let covers = self.lists.as_ref().and_then(|lists| lists.begin().ok()).unwrap_or(0);
        self.tree = Tree { size: edge.size(), root: edge.root() };
        self.newer.follow(data, edge, covers)
    }

    /// What follows is owed, or submitted.
    pub(super) fn is_owed(&mut self, is_owed: bool) {
        self.recounts = is_owed;
    }

    /// The group came to nothing.
    pub(super) fn forget(&mut self) {
        self.counts.clear();
        self.end();
    }

    /// The group is in the data.
    pub(super) fn committed(&mut self) {
        self.newer.extend(std::mem::take(&mut self.counts));
        self.end();
    }

    fn end(&self) {
        self.lists.iter().for_each(Lists::end);
    }

    /// The entry of a leaf that comes to stand at a position, with its numbers under its tags, sealed.
    pub(super) fn entry(&mut self, data: &Connection, leaf: &LeafDraft, position: u64) -> Result<Vec<u8>, Fault> {
        let mut entry = leaf.entry.clone();
        for (offset, tag) in &leaf.tags {
            let number = self.next(data, *tag, position)?;
            if let Some(place) = entry.get_mut(*offset..*offset + 8) {
                place.copy_from_slice(&number.to_be_bytes());
            }
        }
        self.leaf_form.seal(&mut entry);
        Ok(entry)
    }

    /// A leaf that says nothing, of the time of another.
    pub(super) fn blank(&self, like: &[u8], drawn: &[u8; 64]) -> Option<Vec<u8>> {
        self.leaf_form.blank(like, drawn)
    }

    fn next(&mut self, data: &Connection, tag: Tag, position: u64) -> Result<u64, Fault> {
        let count = match self.counts.get(&tag) {
            Some(count) => *count,
            None => self.stored(data, tag)?,
        };
        let next = Count { number: count.number + 1, last: position };
        self.counts.insert(tag, next);
        Ok(next.number)
    }

    fn stored(&self, data: &Connection, tag: Tag) -> Result<Count, Fault> {
        let count = read(data, tag)?;
        let newest = self.newer.newest(tag);
        let is_newest = if newest.is_some() { count == newest } else { self.is_listed(data, tag, count)? };
        match (is_newest, self.recounts) {
            (true, _) => Ok(count.unwrap_or_default()),
            (false, true) => {
                tracing::error!("a counter of the log's tags was altered; what is owed is written after counting the leaves anew");
                newest.map_or_else(|| self.recounted(data, tag), Ok)
            }
            (false, false) => Err(altered()),
        }
    }

    /// Whether a counter is that of the last leaf that the index lists under the tag, and the leaf bears it; or there is neither. Of a tag whose leaves
    /// do not follow each other the index knows the place alone.
    fn is_listed(&self, data: &Connection, tag: Tag, count: Option<Count>) -> Result<bool, Fault> {
        let lists = self.lists.as_ref().filter(|_| self.newer.is_part());
        match (count, lists.and_then(|lists| lists.newest(tag))) {
            (None, None) => Ok(true),
            (Some(count), Some(listed)) if count.last == listed.last => {
                let is_same = count == listed || lists.is_some_and(|lists| lists.is_apart(tag));
                Ok(is_same && self.bears(data, tag, count)?)
            }
            _ => Ok(false),
        }
    }

    /// Whether the leaf at the count's place bears the tag with this number.
    fn bears(&self, data: &Connection, tag: Tag, count: Count) -> Result<bool, Fault> {
        let entry: Option<Vec<u8>> = data
            .prepare_cached("SELECT entry FROM leaf WHERE position = ?")
            .and_then(|mut statement| statement.query_row([count.last], |row| row.get(0)).optional())
            .map_err(fault)?;
        Ok(entry.is_some_and(|entry| self.number_in(&entry, tag) == Some(count.number)))
    }

    /// The number that an entry bears under a tag.
    fn number_in(&self, entry: &[u8], tag: Tag) -> Option<u64> {
        self.leaf_form.tags(entry).into_iter().find_map(|(of, number)| (of == tag).then_some(number))
    }

    /// Counts the leaves under a tag, all of them looked through: they must make the tree.
    fn recounted(&self, data: &Connection, tag: Tag) -> Result<Count, Fault> {
        let mut statement = data.prepare("SELECT entry FROM leaf WHERE position < ? ORDER BY position").map_err(fault)?;
        let mut rows = statement.query([self.tree.size]).map_err(fault)?;
        let (mut edge, mut count) = (Edge::new(), Count::default());
        while let Some(row) = rows.next().map_err(fault)? {
            let entry: Vec<u8> = row.get(0).map_err(fault)?;
            let last = edge.size();
            let _tiles = edge.append(leaf_hash(&entry));
            let Some(number) = self.number_in(&entry, tag) else { continue };
            count = Count { number: count.number + 1, last };
            if number != count.number {
                return Err(Fault::new(FaultKind::StorageCorrupt, format!("leaf {last} does not follow under its tag")));
            }
        }
        if (edge.size(), edge.root()) == (self.tree.size, self.tree.root) {
            return Ok(count);
        }
        Err(Fault::new(
            FaultKind::StorageCorrupt,
            "the leaves (data.db) do not make the tree that was signed, so that they cannot be counted. Restore the data.",
        ))
    }

    /// Writes the counters of the group.
    pub(super) fn write(&self, data: &Connection) -> Result<(), Fault> {
        self.counts.iter().try_for_each(|(tag, count)| write(data, *tag, *count))
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
