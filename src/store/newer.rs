//! The newest leaf under each tag, among the leaves that the index does not cover.
//!
//! The index is made a while after the leaves. What it says of a tag is the newest there is only together with the leaves that came since; those are
//! read once, held against the tree, and followed in memory from then on. Where there is no index, they are all leaves.

use super::counting::Count;
use super::log::Stored;
use super::{Fault, FaultKind, LeafForm, fault};
use crate::ledger::index::Tag;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::tile::TILE_WIDTH;
use crate::ledger::{Edge, Hash, LedgerError, TreeHashes};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::Arc;

const WIDTH: u64 = TILE_WIDTH as u64;
/// So many tags are kept, though the index covers them by now, before it is looked which may go.
const MAX_COVERED: usize = 65_536;

pub(super) struct Newer {
    leaf_form: Arc<dyn LeafForm>,
    /// The leaf from which on all are known; none before they were read.
    from: Option<u64>,
    counts: HashMap<Tag, Count>,
}

impl Newer {
    pub(super) fn new(leaf_form: Arc<dyn LeafForm>) -> Newer {
        Newer { leaf_form, from: None, counts: HashMap::new() }
    }

    /// The newest leaf under a tag, unless only older ones than these bear it.
    pub(super) fn newest(&self, tag: Tag) -> Option<Count> {
        self.counts.get(&tag).copied()
    }

    /// Whether there are leaves that only the index tells of.
    pub(super) fn is_part(&self) -> bool {
        self.from.is_some_and(|from| from > 0)
    }

    /// Joins on to an index that covers so many leaves. One that covers more than there are is of other data.
    pub(super) fn follow(&mut self, data: &Connection, edge: &Edge, covers: u64) -> Result<(), Fault> {
        let covers = if covers > edge.size() { 0 } else { covers };
        match self.from {
            Some(from) if from <= covers => {
                self.let_go(from, covers);
                Ok(())
            }
            _ => self.read(data, edge, covers),
        }
    }

    /// Takes in what was counted.
    pub(super) fn extend(&mut self, counts: impl IntoIterator<Item = (Tag, Count)>) {
        self.counts.extend(counts);
    }

    fn let_go(&mut self, from: u64, covers: u64) {
        if self.counts.len() > MAX_COVERED && from < covers {
            self.counts.retain(|_, count| count.last >= covers);
            self.from = Some(covers);
        }
    }

    /// Reads the leaves from one on, tile by tile.
    fn read(&mut self, data: &Connection, edge: &Edge, covers: u64) -> Result<(), Fault> {
        (self.from, self.counts) = (None, HashMap::new());
        let stored = Stored(data);
        let mut tree = TreeHashes::new(edge, &stored);
        for tile in covers / WIDTH..edge.size().div_ceil(WIDTH) {
            let entries = leaves(data, tile * WIDTH, edge.size())?;
            let hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            if !is_in(&mut tree, edge, tile, &hashes).map_err(broken)? {
                return Err(broken(format!("the leaves from {} on are not those of the tree", tile * WIDTH)));
            }
            for (last, entry) in (tile * WIDTH..).zip(&entries).filter(|(position, _)| *position >= covers) {
                self.counts.extend(self.leaf_form.tags(entry).into_iter().map(|(tag, number)| (tag, Count { number, last })));
            }
        }
        self.from = Some(covers);
        Ok(())
    }
}

/// The leaves of a tile.
fn leaves(data: &Connection, first: u64, size: u64) -> Result<Vec<Vec<u8>>, Fault> {
    let sql = "SELECT entry FROM leaf WHERE position >= ? AND position < ? ORDER BY position";
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let entries = statement.query_map(params![first, size.min(first + WIDTH)], |row| row.get(0)).map_err(fault)?;
    entries.collect::<Result<_, _>>().map_err(fault)
}

fn is_in(tree: &mut TreeHashes<'_, Stored<'_>>, edge: &Edge, tile: u64, hashes: &[Hash]) -> Result<bool, LedgerError> {
    if tile < edge.size() / WIDTH { tree.is_tile(0, tile, hashes) } else { Ok(edge.partial_tile(0) == hashes) }
}

fn broken(what: impl std::fmt::Display) -> Fault {
    Fault::new(FaultKind::StorageCorrupt, format!("the log's tags cannot be counted: {what}"))
}
