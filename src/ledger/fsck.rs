//! Checking a whole log against its checkpoint: every entry, every tile, every partial tile that is still kept.
//!
//! One bundle and the tree's edge are in memory at a time. What is broken is named; where entries and leaf tile disagree, the
//! tile above decides which of them is right. Files beyond the checkpoint's size are not looked at: a publication may be under way.

use std::fmt;

use super::checkpoint::Checkpoint;
use super::error::{LedgerError, Malformed};
use super::merkle::{self, Hash};
use super::policy::Policy;
use super::reader::{self, CHECKPOINT_PATH, LogFiles};
use super::tile::{self, MAX_BUNDLE_BYTES, TILE_WIDTH, TileKind, TilePath};
use super::tree::{Edge, FullTile};

/// A check stops after so many problems: a log of a hostile size has no end of missing files.
pub const MAX_PROBLEMS: usize = 1000;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    Missing,
    /// It cannot be read as what it should be.
    Malformed(&'static str),
    /// It is not what the rest of the log says it is, first at this hash or entry.
    Differs {
        position: usize,
    },
    /// It disagrees with its counterpart, first at this hash or entry, and nothing above confirms either.
    Undecided {
        position: usize,
    },
    /// The entries do not hash to the root that it signs.
    RootDiffers,
    /// The policy does not accept it, for this reason.
    Refused(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Missing => f.write_str("is missing"),
            Damage::Malformed(rule) => write!(f, "is damaged: {rule}"),
            Damage::Differs { position } => write!(f, "is altered, first at position {position}"),
            Damage::Undecided { position } => {
                write!(f, "disagrees with its counterpart or with the tile above, first at position {position}")
            }
            Damage::RootDiffers => f.write_str("signs a root that the entries do not hash to"),
            Damage::Refused(reason) => write!(f, "is not accepted: {reason}"),
        }
    }
}

/// A file of the log and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: String,
    pub damage: Damage,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.damage)
    }
}

/// What a check found. The log is sound when there are no problems.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What the published checkpoint says, if it says anything.
    pub checkpoint: Option<Checkpoint>,
    /// Leaves that were checked.
    pub leaves: u64,
    pub problems: Vec<Problem>,
    /// Files among the log's that no log has. They change nothing of it.
    pub strays: Vec<String>,
    /// Whether the check stopped at [`MAX_PROBLEMS`].
    pub stopped: bool,
}

/// Checks a log that is laid out as files; `progress` is told the number of leaves checked, once a bundle.
///
/// # Errors
/// Only when the storage fails: whatever is wrong with the log is in the report.
pub fn fsck(files: &(impl LogFiles + ?Sized), policy: &Policy, progress: &mut dyn FnMut(u64)) -> Result<Report, LedgerError> {
    let mut problems = Vec::new();
    let Some(checkpoint) = checkpoint_of(files, policy, &mut problems)? else {
        return Ok(Report { problems, ..Report::default() });
    };
    let mut walk = Walk { files, checkpoint: &checkpoint, edge: Edge::new(), lost: false, problems };
    let size = checkpoint.size;
    let (full, width) = (tile::full_tiles(0, size), tile::partial_width(0, size));
    let mut leaves = 0;
    let mut index = 0;
    while index < full && !walk.is_hopeless() {
        walk.leaf_tile(index, TILE_WIDTH)?;
        index += 1;
        leaves += u64::from(TILE_WIDTH);
        progress(leaves);
    }
    if width > 0 && !walk.is_hopeless() {
        walk.leaf_tile(full, width)?;
        leaves += u64::from(width);
        progress(leaves);
    }
    let stopped = walk.is_hopeless();
    if !walk.lost && !stopped {
        walk.upper_partial_tiles()?;
        walk.root();
    }
    let (problems, strays) = (walk.problems, files.strays(MAX_PROBLEMS)?);
    Ok(Report { leaves, problems, strays, stopped, checkpoint: Some(checkpoint) })
}

/// The checkpoint, also when the policy refuses it: the rest can be checked against it all the same.
fn checkpoint_of(
    files: &(impl LogFiles + ?Sized),
    policy: &Policy,
    problems: &mut Vec<Problem>,
) -> Result<Option<Checkpoint>, LedgerError> {
    let mut report = |damage| problems.push(Problem { path: CHECKPOINT_PATH.to_owned(), damage });
    let note = match reader::read_checkpoint(files) {
        Ok(note) => note,
        Err(LedgerError::Missing { .. }) => {
            report(Damage::Missing);
            return Ok(None);
        }
        Err(LedgerError::Damaged { reason, .. }) => {
            report(Damage::Malformed(reason.rule));
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    if let Err(reason) = policy.accept(&note) {
        report(Damage::Refused(reason.to_string()));
    }
    Ok(note.unverified_text().parse().ok())
}

/// A check at work.
struct Walk<'a, F: LogFiles + ?Sized> {
    files: &'a F,
    checkpoint: &'a Checkpoint,
    /// The tree as far as it was recomputed.
    edge: Edge,
    /// Set once leaf hashes are unknown: from there on nothing can be said about the tiles above and the root.
    lost: bool,
    problems: Vec<Problem>,
}

impl<F: LogFiles + ?Sized> Walk<'_, F> {
    fn is_hopeless(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// Checks one bundle and its leaf tile, adds its leaves to the tree, and checks every tile above that this completes.
    fn leaf_tile(&mut self, index: u64, width: u16) -> Result<(), LedgerError> {
        let bundle_path = TilePath { kind: TileKind::Entries, index, width };
        let tile_path = TilePath { kind: TileKind::Hashes(0), index, width };
        let bundle = self.read(bundle_path)?;
        let from_entries = bundle.as_ref().and_then(|(place, bytes)| self.keep(*place, hash_entries(bytes, *place, width)));
        let tile = self.read(tile_path)?;
        let from_tile = tile.as_ref().and_then(|(place, bytes)| self.keep(*place, decode_prefix(bytes, *place, width)));
        let Some(leaves) = self.settle(tile_path, from_entries, from_tile)? else {
            self.lost = true;
            return Ok(());
        };
        // Entries hash to the leaves in one encoding alone, so that nothing depends on whether the present bundle is sound.
        self.old_partials(bundle_path, |old, bytes| hash_entries(bytes, old, old.width).is_ok_and(|entries| leaves.starts_with(&entries)))?;
        self.old_partials(tile_path, |old, bytes| begins_with(&leaves, old, bytes))?;
        if self.lost {
            return Ok(());
        }
        for leaf in leaves {
            for completed in self.edge.append(leaf) {
                self.upper_tile(&completed)?;
            }
        }
        Ok(())
    }

    /// Decides which leaf hashes are right, and reports which file is not.
    fn settle(
        &mut self,
        tile_path: TilePath,
        from_entries: Option<Vec<Hash>>,
        from_tile: Option<Vec<Hash>>,
    ) -> Result<Option<Vec<Hash>>, LedgerError> {
        let bundle_path = TilePath { kind: TileKind::Entries, ..tile_path };
        match (from_entries, from_tile) {
            (Some(entries), Some(tile)) if entries == tile => Ok(Some(entries)),
            (Some(entries), Some(tile)) => {
                let position = first_difference(&entries, &tile);
                if self.confirms(tile_path, &entries)? {
                    self.report(tile_path, Damage::Differs { position });
                    return Ok(Some(entries));
                }
                if self.confirms(tile_path, &tile)? {
                    self.report(bundle_path, Damage::Differs { position });
                    return Ok(Some(tile));
                }
                self.report(bundle_path, Damage::Undecided { position });
                self.report(tile_path, Damage::Undecided { position });
                Ok(None)
            }
            (Some(only), None) => self.settle_alone(tile_path, bundle_path, only),
            (None, Some(only)) => self.settle_alone(tile_path, tile_path, only),
            (None, None) => Ok(None),
        }
    }

    fn settle_alone(&mut self, tile_path: TilePath, source: TilePath, only: Vec<Hash>) -> Result<Option<Vec<Hash>>, LedgerError> {
        if self.confirms(tile_path, &only)? {
            return Ok(Some(only));
        }
        self.report(source, Damage::Undecided { position: 0 });
        Ok(None)
    }

    /// Whether what lies above a leaf tile is made of these hashes: the tile above for a full one, the root for the last one.
    fn confirms(&self, leaf_tile: TilePath, hashes: &[Hash]) -> Result<bool, LedgerError> {
        let mut tree = if leaf_tile.is_partial() { self.edge.clone() } else { Edge::new() };
        for hash in hashes {
            let _ = tree.append(*hash);
        }
        if leaf_tile.is_partial() {
            return Ok(!self.lost && tree.root() == self.checkpoint.root);
        }
        let index = leaf_tile.index / u64::from(TILE_WIDTH);
        let full = index < tile::full_tiles(1, self.checkpoint.size);
        let width = if full { TILE_WIDTH } else { tile::partial_width(1, self.checkpoint.size) };
        let above = match reader::read_hashes(self.files, TilePath { kind: TileKind::Hashes(1), index, width }) {
            Ok(above) => above.unwrap_or_default(),
            Err(LedgerError::Damaged { .. }) => Vec::new(),
            Err(other) => return Err(other),
        };
        Ok(above.get((leaf_tile.index % u64::from(TILE_WIDTH)) as usize) == Some(&tree.root()))
    }

    /// Checks a tile above the leaves that was just completed; leaf tiles were checked with their entries.
    fn upper_tile(&mut self, completed: &FullTile) -> Result<(), LedgerError> {
        if completed.level == 0 { Ok(()) } else { self.compare(completed.path(), &completed.hashes) }
    }

    fn upper_partial_tiles(&mut self) -> Result<(), LedgerError> {
        for path in tile::partial_tiles(self.checkpoint.size).filter(|path| path.kind.level() > 0) {
            let hashes = self.edge.partial_tile(path.kind.level()).to_vec();
            self.compare(path, &hashes)?;
        }
        Ok(())
    }

    fn root(&mut self) {
        if self.edge.root() != self.checkpoint.root {
            self.problems.push(Problem { path: CHECKPOINT_PATH.to_owned(), damage: Damage::RootDiffers });
        }
    }

    /// Compares a tile with what it must hold.
    fn compare(&mut self, path: TilePath, expected: &[Hash]) -> Result<(), LedgerError> {
        if let Some((place, bytes)) = self.read(path)?
            && let Some(hashes) = self.keep(place, decode_prefix(&bytes, place, path.width))
            && hashes != expected
        {
            self.report(place, Damage::Differs { position: first_difference(&hashes, expected) });
        }
        self.old_partials(path, |old, bytes| begins_with(expected, old, bytes))
    }

    /// Checks the partial tiles that are kept from earlier sizes: each must be how the present one begins where that is sound.
    fn old_partials(&mut self, path: TilePath, is_sound: impl Fn(TilePath, &[u8]) -> bool) -> Result<(), LedgerError> {
        // A wider one than this size needs belongs to a publication that did not get as far as its checkpoint.
        let widths = self.files.partial_widths(path)?;
        for width in widths.into_iter().filter(|width| *width < path.width) {
            let old = TilePath { width, ..path };
            let bytes = self.files.read(&old.to_string(), MAX_BUNDLE_BYTES)?;
            if bytes.is_some_and(|bytes| !is_sound(old, &bytes)) {
                self.report(old, Damage::Differs { position: 0 });
            }
        }
        Ok(())
    }

    /// The file at a place, or the full one that has replaced it, with the place it was found at.
    fn read(&mut self, path: TilePath) -> Result<Option<(TilePath, Vec<u8>)>, LedgerError> {
        for place in [path, path.to_full()] {
            match self.files.read(&place.to_string(), MAX_BUNDLE_BYTES) {
                Ok(Some(bytes)) => return Ok(Some((place, bytes))),
                Ok(None) => {}
                Err(LedgerError::Damaged { reason, .. }) => {
                    self.report(place, Damage::Malformed(reason.rule));
                    return Ok(None);
                }
                Err(other) => return Err(other),
            }
        }
        self.report(path, Damage::Missing);
        Ok(None)
    }

    /// Keeps what could be read, reports what could not.
    fn keep<T>(&mut self, place: TilePath, read: Result<T, Malformed>) -> Option<T> {
        read.map_err(|reason| self.report(place, Damage::Malformed(reason.rule))).ok()
    }

    fn report(&mut self, path: TilePath, damage: Damage) {
        self.problems.push(Problem { path: path.to_string(), damage });
    }
}

fn hash_entries(bundle: &[u8], place: TilePath, width: u16) -> Result<Vec<Hash>, Malformed> {
    let entries = tile::decode_entries(bundle, place.width)?;
    Ok(entries.into_iter().take(usize::from(width)).map(merkle::leaf_hash).collect())
}

fn decode_prefix(bytes: &[u8], place: TilePath, width: u16) -> Result<Vec<Hash>, Malformed> {
    let mut hashes = tile::decode_hashes(bytes, place.width)?;
    hashes.truncate(usize::from(width));
    Ok(hashes)
}

/// Whether a tile's bytes are how these hashes begin.
fn begins_with(hashes: &[Hash], tile: TilePath, bytes: &[u8]) -> bool {
    hashes.get(..usize::from(tile.width)).is_some_and(|hashes| bytes == tile::encode_hashes(hashes))
}

fn first_difference(left: &[Hash], right: &[Hash]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}
