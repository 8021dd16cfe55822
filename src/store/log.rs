//! The log as the writer holds it, and how it is found again at a start.

use super::register::{Register, Tree};
use super::{StoreSettings, fault, reader};
use crate::ledger::merkle::leaf_hash;
use crate::ledger::tile::{TILE_WIDTH, levels};
use crate::ledger::{Checkpoint, Edge, Hash, LedgerError, LogKeys, Note, TileReader, TreeHashes};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

const WIDTH: u64 = TILE_WIDTH as u64;

/// The newest synced state of the log: enough to make a proof together with the stored tiles.
#[derive(Debug, Clone)]
pub struct LedgerHead {
    pub edge: Arc<Edge>,
    /// The signed checkpoint over it.
    pub note: Arc<str>,
}

impl LedgerHead {
    /// How many leaves the log has.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }
}

/// A checkpoint that as many witnesses cosigned as the policy asks for.
#[derive(Debug, Clone)]
pub struct Cosigned {
    pub size: u64,
    /// The checkpoint with all signatures.
    pub note: Arc<str>,
    /// The edge at its size; unknown for one that was cosigned before the last start.
    pub edge: Option<Arc<Edge>>,
}

/// The log as the writer holds it.
pub(super) struct LogState {
    edge: Edge,
    note: Arc<str>,
    origin: String,
    keys: LogKeys,
    register: Register,
}

impl LogState {
    /// Rebuilds the edge from the stored leaves and tiles, and refuses to go on from a checkpoint they do not lead to, or behind or beside
    /// the tree that was signed last.
    pub(super) fn load(connection: &Connection, settings: &StoreSettings, keys: LogKeys) -> Result<LogState, Fault> {
        let origin = settings.origin.as_str();
        let size: u64 = connection.query_row("SELECT coalesce(max(position) + 1, 0) FROM leaf", [], |row| row.get(0)).map_err(fault)?;
        let edge = load_edge(connection, size)?;
        let stored: Option<String> = connection.query_row("SELECT note FROM checkpoint", [], |row| row.get(0)).optional().map_err(fault)?;
        let note = match stored {
            None if size == 0 => sign(&keys, origin, &edge)?,
            None => return Err(Fault::new(FaultKind::StorageCorrupt, "the log has leaves but no checkpoint")),
            Some(note) => stored_note(&note, &edge, &keys, origin)?,
        };
        let mut register = Register::open(&settings.register, origin)?;
        check_not_set_back(connection, &edge, register.last(), settings)?;
        register.swap(register.last(), tree(&edge))?;
        Ok(LogState { edge, note, origin: origin.to_owned(), keys, register })
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    pub(super) fn head(&self) -> LedgerHead {
        LedgerHead { edge: Arc::new(self.edge.clone()), note: Arc::clone(&self.note) }
    }

    /// The signed checkpoint over an edge: the present one when the log has not grown.
    pub(super) fn note_for(&self, edge: &Edge) -> Result<Arc<str>, Fault> {
        if edge.size() == self.edge.size() { Ok(Arc::clone(&self.note)) } else { sign(&self.keys, &self.origin, edge) }
    }

    /// Moves on to an edge that is durable: swaps the register, after which its checkpoint may be shown.
    pub(super) fn move_on(&mut self, edge: Edge, note: Arc<str>) -> Result<(), Fault> {
        self.register.swap(Some(tree(&self.edge)), tree(&edge))?;
        self.edge = edge;
        self.note = note;
        Ok(())
    }
}

fn tree(edge: &Edge) -> Tree {
    Tree { size: edge.size(), root: edge.root() }
}

fn sign(keys: &LogKeys, origin: &str, edge: &Edge) -> Result<Arc<str>, Fault> {
    let signed = keys.sign(&Checkpoint::new(origin, edge.size(), edge.root()));
    signed.map(|note| note.to_string().into()).map_err(|error| Fault::new(FaultKind::Ledger, format!("sign checkpoint: {error}")))
}

/// The stored checkpoint, when it is ours and over these leaves; signed anew when its key has been succeeded.
fn stored_note(note: &str, edge: &Edge, keys: &LogKeys, origin: &str) -> Result<Arc<str>, Fault> {
    let foreign = |error: LedgerError| Fault::new(FaultKind::Ledger, format!("the stored checkpoint is not ours: {error}"));
    let parsed: Note = note.parse().map_err(|error: crate::ledger::Malformed| foreign(error.into()))?;
    let checkpoint = keys.history().open(&parsed, origin).map_err(foreign)?;
    if checkpoint.size != edge.size() || checkpoint.root != edge.root() {
        return Err(Fault::new(FaultKind::StorageCorrupt, "the log's leaves do not lead to its last checkpoint"));
    }
    if keys.is_signed_now(&parsed) { Ok(note.into()) } else { sign(keys, origin, edge) }
}

/// Compares the data with the tree that was signed last. Data may be ahead of it, when a commit was cut off before it was told.
fn check_not_set_back(connection: &Connection, edge: &Edge, last: Option<Tree>, settings: &StoreSettings) -> Result<(), Fault> {
    let refuse = |text: String| Err(Fault::new(FaultKind::Ledger, text));
    let place = settings.register.display();
    let Some(last) = last else {
        if edge.size() == 0 || settings.adopt {
            return Ok(());
        }
        return refuse(format!(
            "{place}: is missing, so that nobody can say whether this data is the newest. Put it back; or, when no newer checkpoint than \
             {} leaves was ever shown to anybody, run `hearthgate ledger adopt`.",
            edge.size()
        ));
    };
    if last.size > edge.size() {
        return refuse(format!(
            "the store is at {} leaves, but {} were signed: it was set back. Restore the newest data, or start a new log under another origin.",
            edge.size(),
            last.size
        ));
    }
    let then = TreeHashes::new(edge, &Stored(connection)).root(last.size);
    match then {
        Ok(root) if root == last.root => Ok(()),
        Ok(_) => refuse(format!("the store holds another tree of {} leaves than was signed: it was forked. Restore the data.", last.size)),
        Err(error) => Err(Fault::new(FaultKind::StorageCorrupt, format!("the log cannot be rebuilt: {error}"))),
    }
}

/// The full tiles of the data file.
struct Stored<'a>(&'a Connection);

impl TileReader for Stored<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        reader::tile(self.0, level, index).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })
    }
}

/// The hashes of the partial tiles at a size: level 0 from the leaves, each higher level from the full tiles below it.
fn load_edge(connection: &Connection, size: u64) -> Result<Edge, Fault> {
    let broken = |what: &str| Fault::new(FaultKind::StorageCorrupt, format!("the log cannot be rebuilt: {what}"));
    let mut hashes_by_level: Vec<Vec<Hash>> = Vec::new();
    let start = size - size % WIDTH;
    let mut statement = connection.prepare("SELECT entry FROM leaf WHERE position >= ? ORDER BY position").map_err(fault)?;
    let leaves = statement.query_map([start], |row| row.get::<_, Vec<u8>>(0)).map_err(fault)?;
    hashes_by_level.push(leaves.map(|entry| entry.map(|entry| leaf_hash(&entry))).collect::<Result<_, _>>().map_err(fault)?);
    let mut tiles_below = size / WIDTH;
    let mut level: u8 = 0;
    while tiles_below > 0 {
        let first = tiles_below - tiles_below % WIDTH;
        let mut hashes = Vec::new();
        for position in first..tiles_below {
            let tile = reader::tile(connection, level, position)?.ok_or_else(|| broken("a full tile is missing"))?;
            hashes.push(root_of_tile(&tile));
        }
        hashes_by_level.push(hashes);
        tiles_below /= WIDTH;
        level += 1;
    }
    hashes_by_level.truncate(usize::from(levels(size)));
    Edge::from_partial_tiles(size, &hashes_by_level).map_err(|error| broken(&error.to_string()))
}

fn root_of_tile(hashes: &[Hash]) -> Hash {
    let mut tree = Edge::new();
    for &hash in hashes {
        let _complete = tree.append(hash);
    }
    tree.root()
}
