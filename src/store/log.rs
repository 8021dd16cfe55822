//! The log as the writer holds it, and how it is found again at a start.

use super::register::{Register, Signed, Tree};
use super::signing::{Signing, Underway};
use super::{Published, StoreSettings, fault, reader};
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
    /// The tree in the data.
    edge: Edge,
    note: Arc<str>,
    origin: String,
    keys: LogKeys,
    signing: Signing,
    /// The tree in the register, as far as we know.
    registered: Option<Tree>,
    /// Whether the register may hold a tree whose data did not become durable.
    stray: bool,
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
        // Nothing is made, not even an empty register, where the data is refused.
        check_not_set_back(connection, &edge, Signed::read(&settings.register, origin)?, settings)?;
        check_reaches_published(connection, &edge, settings)?;
        let mut register = Register::open(&settings.register, origin)?;
        // From here on nobody else moves it.
        check_not_set_back(connection, &edge, register.signed(), settings)?;
        match register.last() {
            // A tree that came to nothing.
            Some(last) if last.size > edge.size() => register.withdraw(tree(&edge))?,
            last => register.swap(last, tree(&edge))?,
        }
        register.settle()?;
        let (registered, signing) = (register.last(), Signing::start(register)?);
        Ok(LogState { edge, note, origin: origin.to_owned(), keys, signing, registered, stray: false })
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

    /// Begins to move the register on to an edge, beside the commit of its data.
    pub(super) fn begin(&mut self, edge: &Edge) -> Result<Underway, Fault> {
        self.recall()?;
        let to = tree(edge);
        if self.registered == Some(to) { Ok(Underway::nowhere()) } else { self.signing.swap(self.registered, to) }
    }

    /// Moves on to an edge whose data is durable and which the register holds. Everybody may be told of it once it is settled there.
    pub(super) fn move_on(&mut self, edge: Edge, note: Arc<str>) -> Result<(), Fault> {
        let told = self.registered;
        self.registered = Some(tree(&edge));
        self.hold(edge, note);
        if self.registered == told { Ok(()) } else { self.signing.settle() }
    }

    /// The data has moved on but the register has not: the next group begins from here, and takes both to whoever asks.
    pub(super) fn hold(&mut self, edge: Edge, note: Arc<str>) {
        self.edge = edge;
        self.note = note;
    }

    /// The register has moved on but the data has not. The register is put back now, or before the next group.
    pub(super) fn strayed(&mut self) {
        self.stray = true;
        if let Err(failure) = self.recall() {
            tracing::warn!(detail = %failure.detail, "the register is put back before the next commit");
        }
    }

    /// Whether the register holds the tree that the data has, or one whose data came to nothing.
    pub(super) fn is_registered(&self) -> bool {
        self.registered == Some(tree(&self.edge))
    }

    fn recall(&mut self) -> Result<(), Fault> {
        if let (true, Some(last)) = (self.stray, self.registered) {
            self.signing.withdraw(last)?;
            self.stray = false;
        }
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

/// Compares the data with the tree that was signed last. Data may be ahead of it, when a commit was cut off before it was told; and it may stop
/// at the tree before, while nothing says that anybody was told of the last one.
fn check_not_set_back(connection: &Connection, edge: &Edge, signed: Option<Signed>, settings: &StoreSettings) -> Result<(), Fault> {
    let refuse = |text: String| Err(Fault::new(FaultKind::Ledger, text));
    let place = settings.register.display();
    let Some(signed) = signed else {
        if edge.size() == 0 || settings.adopt {
            return Ok(());
        }
        return refuse(format!(
            "{place}: is missing, so that nobody can say whether this data is the newest. Put it back; or, when no newer checkpoint than \
             {} leaves was ever shown to anybody, run `hearthgate ledger adopt`.",
            edge.size()
        ));
    };
    let must_lead_to = signed.must_lead_to(edge.size());
    if must_lead_to.size > edge.size() {
        let ahead = format!("{place} (and {}, where it is ahead too)", settings.folder.join("ledger").display());
        return refuse(set_back(edge.size(), (must_lead_to.size, "signed"), &ahead));
    }
    check_leads_to(connection, edge, must_lead_to, "signed")
}

/// Refuses to go on from data that is behind or beside what was already published: a restored backup would fork the log.
fn check_reaches_published(connection: &Connection, edge: &Edge, settings: &StoreSettings) -> Result<(), Fault> {
    settings.published.iter().try_for_each(|Published { checkpoint, place }| {
        if checkpoint.size > edge.size() {
            return Err(Fault::new(FaultKind::Ledger, set_back(edge.size(), (checkpoint.size, "published"), place)));
        }
        check_leads_to(connection, edge, Tree { size: checkpoint.size, root: checkpoint.root }, "published")
    })
}

fn check_leads_to(connection: &Connection, edge: &Edge, known: Tree, how: &str) -> Result<(), Fault> {
    match TreeHashes::new(edge, &Stored(connection)).root(known.size) {
        Ok(root) if root == known.root => Ok(()),
        Ok(_) => {
            let text = format!("the store holds another tree of {} leaves than was {how}: it was forked. Restore the data.", known.size);
            Err(Fault::new(FaultKind::Ledger, text))
        }
        Err(error) => Err(Fault::new(FaultKind::StorageCorrupt, format!("the log cannot be rebuilt: {error}"))),
    }
}

/// Why data is not gone on from that lies behind a tree which is known elsewhere, and what to do: put back what is newer or, where nothing is, move away
/// what says so.
fn set_back(there: u64, (known, how): (u64, &str), ahead: &str) -> String {
    format!(
        "the store is at {there} leaves, but {known} were {how}: it was set back. Restore the newest data. Where that is lost, whoever was shown what came since \
         (witnesses, mirrors, holders of receipts) will find a fork: start a new log under another origin. Only where nobody was, stop the gateway, move \
         {ahead} away and run `hearthgate ledger adopt`, which takes this data for the newest."
    )
}

/// The full tiles of the data file.
pub(super) struct Stored<'a>(pub(super) &'a Connection);

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
