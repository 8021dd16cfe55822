//! The verifiable index over the log's leaves, in a file of its own (`index.db`). All of it is made of the leaves: a file that is missing,
//! or does not fit the log, is made again.

use super::counting::Count;
use super::fault;
use super::recount::{Told, hex};
use crate::ledger::index::{Branch, Inner, List, Nodes, Tag, list_branch, prove, update};
use crate::ledger::index::{IndexProof, root};
use crate::ledger::{Hash, LedgerError};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most leaves one step takes in.
pub const MAX_BATCH: usize = 20_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), covers INTEGER NOT NULL, top BLOB);
CREATE TABLE IF NOT EXISTS node (prefix BLOB NOT NULL, depth INTEGER NOT NULL, sides BLOB NOT NULL, PRIMARY KEY (prefix, depth)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS list (tag BLOB PRIMARY KEY, length INTEGER NOT NULL, roots BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (tag BLOB NOT NULL, counter INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (tag, counter)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS apart (tag BLOB PRIMARY KEY) WITHOUT ROWID;
INSERT OR IGNORE INTO state (one, covers) VALUES (1, 0);
";

/// The open index.
pub struct IndexFile {
    connection: Mutex<Connection>,
}

impl IndexFile {
    /// Opens or creates `index.db` in the folder.
    pub fn open(folder: &Path) -> Result<IndexFile, Fault> {
        let connection = Connection::open(folder.join("index.db")).map_err(fault)?;
        let _mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fault)?;
        connection.pragma_update(None, "synchronous", 1).map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(16);
        connection.execute_batch(TABLES).map_err(fault)?;
        Ok(IndexFile { connection: Mutex::new(connection) })
    }

    /// How many leaves it covers, and its root.
    pub fn state(&self) -> Result<(u64, Hash), Fault> {
        let connection = self.lock();
        let (covers, top) = state(&connection)?;
        Ok((covers, root(top.as_ref())))
    }

    /// Forgets everything, so that it is made again from the first leaf.
    pub fn clear(&self) -> Result<(), Fault> {
        let script = "BEGIN; DELETE FROM node; DELETE FROM list; DELETE FROM place; DELETE FROM apart; UPDATE state SET covers = 0, top = NULL; COMMIT;";
        self.lock().execute_batch(script).map_err(fault)
    }

    /// Takes in the leaves from `first` on: of each, its tags with their counters. A counter that does not follow is damage, in the log or here. Where it
    /// can only be in the log, its tag is set apart: the list is that of all its leaves, as others make it, and is shown to nobody.
    pub fn extend(&self, first: u64, leaves: &[Vec<(Tag, u64)>], sets_apart: bool) -> Result<(), Fault> {
        let mut connection = self.lock();
        let transaction = connection.transaction().map_err(fault)?;
        let (covers, top) = state(&transaction)?;
        if covers != first {
            return Err(Fault::new(FaultKind::Internal, "the index was extended from another place than its end"));
        }
        let mut lists: BTreeMap<Tag, List> = BTreeMap::new();
        for (position, tags) in (first..).zip(leaves) {
            for (tag, counter) in tags {
                if !lists.contains_key(tag) {
                    lists.insert(*tag, read_list(&transaction, *tag)?.unwrap_or_default());
                }
                let list = lists.entry(*tag).or_default();
                if list.len().checked_add(1) != Some(*counter) && !is_apart(&transaction, *tag)? {
                    set_apart(&transaction, *tag, position, sets_apart)?;
                }
                list.push(position);
                transaction
                    .prepare_cached("INSERT INTO place (tag, counter, position) VALUES (?, ?, ?)")
                    .and_then(|mut statement| statement.execute(params![&tag.0[..], list.len(), position]))
                    .map_err(fault)?;
            }
        }
        let changed: Vec<Branch> = lists.iter().map(|(tag, list)| list_branch(*tag, list)).collect();
        let top = update(top, &changed, &mut Stored(&transaction)).map_err(broken)?;
        for (tag, list) in &lists {
            let roots: Vec<u8> = list.roots().iter().flat_map(|hash| hash.0).collect();
            transaction
                .prepare_cached("INSERT OR REPLACE INTO list (tag, length, roots) VALUES (?, ?, ?)")
                .and_then(|mut statement| statement.execute(params![&tag.0[..], list.len(), roots]))
                .map_err(fault)?;
        }
        let top = top.as_ref().map(|top| encode_branch(top).to_vec());
        transaction.execute("UPDATE state SET covers = ?, top = ?", params![first + leaves.len() as u64, top]).map_err(fault)?;
        transaction.commit().map_err(fault)
    }

    /// The positions of all leaves under a tag, in the log's order. A list in which one is missing, or that is not the one in the tree, is damage.
    pub fn positions(&self, tag: Tag) -> Result<Vec<u64>, Fault> {
        let connection = self.lock();
        if is_apart(&connection, tag)? {
            let text = format!("the leaves under the tag {} do not follow each other: what they are a list of is not shown", hex(tag));
            return Err(Fault::new(FaultKind::StorageCorrupt, text));
        }
        let mut statement =
            connection.prepare_cached("SELECT counter, position FROM place WHERE tag = ? ORDER BY counter").map_err(fault)?;
        let places = statement.query_map([&tag.0[..]], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        let places = places.collect::<Result<Vec<(u64, u64)>, _>>().map_err(fault)?;
        let (counters, positions): (Vec<u64>, Vec<u64>) = places.into_iter().unzip();
        let is_whole = counters.into_iter().eq(1..=positions.len() as u64);
        if is_whole && read_list(&connection, tag)?.unwrap_or_default() == List::of(&positions) { Ok(positions) } else { Err(damaged()) }
    }

    /// What the index says of a tag: the list, or that there is none.
    pub fn prove(&self, tag: Tag) -> Result<IndexProof, Fault> {
        let connection = self.lock();
        let (_, top) = state(&connection)?;
        let list = |tag| read_list(&connection, tag).map_err(|fault| LedgerError::Storage { detail: fault.to_string() });
        prove(top, tag, &Stored(&connection), list).map_err(broken)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(error: LedgerError) -> Fault {
    Fault::new(FaultKind::Ledger, format!("the index: {error}"))
}

fn damaged() -> Fault {
    Fault::new(
        FaultKind::StorageCorrupt,
        "index.db holds something that is not of the index. `hearthgate ledger fsck LOG --data FOLDER` names it; `hearthgate ledger recount` has it made \
         anew from the leaves",
    )
}

fn state(connection: &Connection) -> Result<(u64, Option<Branch>), Fault> {
    let (covers, top): (u64, Option<Vec<u8>>) = connection
        .prepare_cached("SELECT covers, top FROM state")
        .and_then(|mut statement| statement.query_row([], |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?))))
        .map_err(fault)?;
    let top = top.map(|bytes| decode_branch(&bytes).ok_or_else(damaged)).transpose()?;
    Ok((covers, top))
}

fn read_list(connection: &Connection, tag: Tag) -> Result<Option<List>, Fault> {
    let row: Option<(u64, Vec<u8>)> = connection
        .prepare_cached("SELECT length, roots FROM list WHERE tag = ?")
        .and_then(|mut statement| statement.query_row([&tag.0[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(fault)?;
    let list = row.map(|(length, roots)| List::from_parts(length, roots.as_chunks::<32>().0.iter().map(|&hash| Hash(hash)).collect()));
    list.map(|list| list.ok_or_else(damaged)).transpose()
}

/// Whether the leaves under a tag do not follow each other.
fn is_apart(connection: &Connection, tag: Tag) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM apart WHERE tag = ?").map_err(fault)?;
    statement.exists([&tag.0[..]]).map_err(fault)
}

fn set_apart(connection: &Connection, tag: Tag, position: u64, may: bool) -> Result<(), Fault> {
    if !may {
        return Err(Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} does not follow under its tag")));
    }
    tracing::error!(position, tag = hex(tag), "a leaf does not follow under its tag; what is under the tag is not shown");
    connection.execute("INSERT INTO apart (tag) VALUES (?)", [&tag.0[..]]).map(drop).map_err(fault)
}

/// The index's files, which are made anew by whoever opens it.
pub(super) fn remove(folder: &Path) -> Result<(), Fault> {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Fault::new(FaultKind::Storage, format!("{name}: {error}"))),
            _ => {}
        }
    }
    Ok(())
}

/// The index as others read it, beside whoever extends it.
pub(super) struct Lists(Connection);

impl Lists {
    /// Nothing where there is none yet, or it cannot be opened.
    pub(super) fn open(folder: &Path) -> Option<Lists> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = folder.join("index.db");
        path.exists().then(|| Connection::open_with_flags(path, flags).ok()).flatten().map(Lists)
    }

    /// The last place under a tag, as far as the index can be read.
    pub(super) fn newest(&self, tag: Tag) -> Option<Count> {
        let sql = "SELECT counter, position FROM place WHERE tag = ? ORDER BY counter DESC LIMIT 1";
        let row = self.0.prepare_cached(sql).and_then(|mut statement| {
            statement.query_row([&tag.0[..]], |row| Ok(Count { number: row.get(0)?, last: row.get(1)? })).optional()
        });
        row.ok().flatten()
    }

    /// Whether the leaves under a tag do not follow each other.
    pub(super) fn is_apart(&self, tag: Tag) -> bool {
        is_apart(&self.0, tag).unwrap_or(false)
    }

    /// Reads one snapshot from now on, and says how many leaves it covers.
    pub(super) fn begin(&self) -> Result<u64, Fault> {
        self.end();
        self.0.execute_batch("BEGIN").map_err(fault)?;
        Ok(state(&self.0)?.0)
    }

    /// Lets go of the snapshot.
    pub(super) fn end(&self) {
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }

    /// Compares the whole index with what the leaves say: each list with its places, and the tree over them.
    pub(super) fn compare(&self, told: &HashMap<Tag, Told>, problems: &mut Vec<String>) -> Result<(), Fault> {
        let lists: BTreeMap<Tag, &List> = told.iter().map(|(tag, told)| (*tag, &told.list)).filter(|(_, list)| !list.is_empty()).collect();
        self.compare_places(&lists, problems)?;
        for (tag, list) in &lists {
            if read_list(&self.0, *tag).ok().flatten().as_ref() != Some(*list) {
                problems.push(format!("index.db: the list of the tag {} is another than its leaves make", hex(*tag)));
            }
        }
        let branches: Vec<Branch> = lists.iter().map(|(tag, list)| list_branch(*tag, list)).collect();
        let mut compared = Compared { stored: Stored(&self.0), wrong: 0 };
        let top = update(None, &branches, &mut compared).map_err(broken)?;
        if compared.wrong > 0 || state(&self.0).ok().map(|(_, top)| top) != Some(top) {
            problems
                .push(format!("index.db: {} nodes of the tree over the lists are others than they make, or its top is", compared.wrong));
        }
        Ok(())
    }

    fn compare_places(&self, lists: &BTreeMap<Tag, &List>, problems: &mut Vec<String>) -> Result<(), Fault> {
        let mut statement = self.0.prepare("SELECT tag, counter, position FROM place ORDER BY tag, counter").map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        let mut found: HashMap<Tag, List> = HashMap::new();
        while let Some(row) = rows.next().map_err(fault)? {
            let place = row.get(0).and_then(|tag| Ok((Tag(tag), row.get::<_, u64>(1)?, row.get::<_, u64>(2)?)));
            let Ok((tag, counter, position)) = place else {
                problems.push("index.db: a place of no tag".to_owned());
                continue;
            };
            let list = found.entry(tag).or_default();
            list.push(position);
            if list.len() != counter {
                problems.push(format!("index.db: place {counter} of the tag {} does not follow the one before it", hex(tag)));
            }
        }
        for (tag, list) in lists {
            if found.remove(tag).as_ref() != Some(*list) {
                problems.push(format!("index.db: the places of the tag {} are not those of its leaves", hex(*tag)));
            }
        }
        let strange = found.keys().map(|tag| format!("index.db: there are places of the tag {}, and no leaf under it", hex(*tag)));
        problems.extend(strange);
        Ok(())
    }
}

/// Counts the inner nodes that are not stored as they are made.
struct Compared<'c> {
    stored: Stored<'c>,
    wrong: usize,
}

impl Nodes for Compared<'_> {
    fn node(&self, depth: u8, prefix: Tag) -> Result<Option<Inner>, LedgerError> {
        self.stored.node(depth, prefix)
    }

    fn keep(&mut self, node: Inner) -> Result<(), LedgerError> {
        self.wrong += usize::from(self.stored.node(node.depth, node.prefix).ok().flatten() != Some(node));
        Ok(())
    }
}

/// The inner nodes as rows.
struct Stored<'c>(&'c Connection);

/// Bytes of a branch: its depth (255 for a list), its tag, its hash.
const BRANCH_BYTES: usize = 49;

fn encode_branch(branch: &Branch) -> [u8; BRANCH_BYTES] {
    let mut bytes = [0; BRANCH_BYTES];
    let parts = std::iter::once(branch.depth.unwrap_or(255)).chain(branch.tag.0).chain(branch.hash.0);
    bytes.iter_mut().zip(parts).for_each(|(slot, byte)| *slot = byte);
    bytes
}

fn decode_branch(bytes: &[u8]) -> Option<Branch> {
    let (depth, rest) = bytes.split_first()?;
    let (tag, hash) = rest.split_first_chunk::<16>()?;
    Some(Branch { depth: (*depth != 255).then_some(*depth), tag: Tag(*tag), hash: Hash(hash.try_into().ok()?) })
}

impl Nodes for Stored<'_> {
    fn node(&self, depth: u8, prefix: Tag) -> Result<Option<Inner>, LedgerError> {
        let failed = |error: rusqlite::Error| LedgerError::Storage { detail: error.to_string() };
        let sides: Option<Vec<u8>> = self
            .0
            .prepare_cached("SELECT sides FROM node WHERE prefix = ? AND depth = ?")
            .and_then(|mut statement| statement.query_row(params![&prefix.0[..], depth], |row| row.get(0)).optional())
            .map_err(failed)?;
        let read = |bytes: Vec<u8>| {
            let (left, right) = bytes.split_at_checked(BRANCH_BYTES)?;
            Some(Inner { depth, prefix, left: decode_branch(left)?, right: decode_branch(right)? })
        };
        Ok(sides.and_then(read))
    }

    fn keep(&mut self, node: Inner) -> Result<(), LedgerError> {
        let sides = [encode_branch(&node.left), encode_branch(&node.right)].concat();
        self.0
            .prepare_cached("INSERT OR REPLACE INTO node (prefix, depth, sides) VALUES (?, ?, ?)")
            .and_then(|mut statement| statement.execute(params![&node.prefix.0[..], node.depth, sides]))
            .map(drop)
            .map_err(|error| LedgerError::Storage { detail: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_whose_leaves_do_not_follow_is_set_apart_and_others_go_on() {
        let folder = std::env::temp_dir().join(format!("hearthgate-apart-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (bad, good) = (Tag([1; 16]), Tag([2; 16]));
        let leaves = [vec![(bad, 1)], vec![(good, 1)], vec![(bad, 1)]];
        let index = IndexFile::open(&folder).unwrap();
        assert_eq!(index.extend(0, &leaves, false).unwrap_err().kind, FaultKind::StorageCorrupt);
        assert_eq!(index.state().unwrap().0, 0, "nothing was taken in");
        index.extend(0, &leaves, true).unwrap();
        index.extend(3, &[vec![(bad, 2), (good, 2)]], false).unwrap();
        assert_eq!(index.positions(good).unwrap(), [1, 3]);
        assert!(index.positions(bad).unwrap_err().detail.contains(&hex(bad)));
        // The root is the one that anybody makes of the leaves.
        let branches = [list_branch(bad, &List::of(&[0, 2, 3])), list_branch(good, &List::of(&[1, 3]))];
        let top = update(None, &branches, &mut crate::ledger::index::MemoryNodes::default()).unwrap();
        assert_eq!(index.state().unwrap(), (4, root(top.as_ref())));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
