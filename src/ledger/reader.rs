//! Reading a log that is laid out as files, wherever the files are: in a folder, behind a URL, in an object store.
//!
//! Nothing read here is believed: what [`verify`] and [`prove`] give was checked against a checkpoint that the policy accepted.

use super::checkpoint::Checkpoint;
use super::error::{Format, LedgerError, Malformed, SignatureError};
use super::merkle::{self, Hash, HashReader};
use super::note::{MAX_NOTE_BYTES, Note};
use super::policy::{Accepted, Policy};
use super::proof::LogProof;
use super::tile::{self, MAX_BUNDLE_BYTES, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, TileKind, TilePath};
use super::tree::{Edge, TileReader, TreeHashes};

/// The path of the signed checkpoint, relative to the log's prefix.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// Gives the files of a log by their paths below its prefix.
pub trait LogFiles {
    /// The file's bytes, or nothing when there is no such file.
    ///
    /// # Errors
    /// When the storage fails; [`LedgerError::Damaged`] when the file is larger than `max_bytes`.
    fn read(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError>;

    /// The widths of the partial tiles that are kept at a tile's place, where the storage can tell. Only [`super::fsck`] asks, to
    /// check old ones as well.
    ///
    /// # Errors
    /// When the storage fails.
    fn partial_widths(&self, _place: TilePath) -> Result<Vec<u16>, LedgerError> {
        Ok(Vec::new())
    }

    /// Files that no log has, at most so many of them, where the storage can tell. Only [`super::fsck`] asks.
    ///
    /// # Errors
    /// When the storage fails.
    fn strays(&self, _limit: usize) -> Result<Vec<String>, LedgerError> {
        Ok(Vec::new())
    }
}

/// The full tiles of a log that is laid out as files.
pub struct FileTiles<'a, F: LogFiles + ?Sized>(pub &'a F);

impl<F: LogFiles + ?Sized> TileReader for FileTiles<'_, F> {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        read_hashes(self.0, TilePath::full(TileKind::Hashes(level), index))
    }
}

/// The signed checkpoint, as it lies there.
///
/// # Errors
/// When it is missing, or no signed note, or the storage fails.
pub fn read_checkpoint(files: &(impl LogFiles + ?Sized)) -> Result<Note, LedgerError> {
    let bytes = files.read(CHECKPOINT_PATH, MAX_NOTE_BYTES)?.ok_or_else(|| LedgerError::Missing { path: CHECKPOINT_PATH.to_owned() })?;
    Note::from_bytes(&bytes).map_err(|reason| damaged(CHECKPOINT_PATH.to_owned(), reason))
}

/// The hashes of a tile, for a partial one cut from the full tile where that has replaced it.
///
/// # Errors
/// When the file has the wrong length, or the storage fails.
pub fn read_hashes(files: &(impl LogFiles + ?Sized), path: TilePath) -> Result<Option<Vec<Hash>>, LedgerError> {
    let decode = |path: TilePath, bytes: &[u8]| tile::decode_hashes(bytes, path.width);
    read_tile(files, path, TILE_BYTES, decode)
}

/// The entries of a bundle, for a partial one cut from the full bundle where that has replaced it.
///
/// # Errors
/// When the file does not hold as many entries as its path says, or the storage fails.
pub fn read_entries(files: &(impl LogFiles + ?Sized), index: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
    let decode = |path: TilePath, bytes: &[u8]| {
        tile::decode_entries(bytes, path.width).map(|entries| entries.into_iter().map(<[u8]>::to_vec).collect())
    };
    read_tile(files, TilePath { kind: TileKind::Entries, index, width }, MAX_BUNDLE_BYTES, decode)
}

fn read_tile<T>(
    files: &(impl LogFiles + ?Sized),
    path: TilePath,
    max_bytes: usize,
    decode: impl Fn(TilePath, &[u8]) -> Result<Vec<T>, Malformed>,
) -> Result<Option<Vec<T>>, LedgerError> {
    let places = if path.is_partial() { vec![path, path.to_full()] } else { vec![path] };
    for place in places {
        if let Some(bytes) = files.read(&place.to_string(), max_bytes)? {
            let mut items = decode(place, &bytes).map_err(|reason| damaged(place.to_string(), reason))?;
            items.truncate(usize::from(path.width));
            return Ok(Some(items));
        }
    }
    Ok(None)
}

/// The right edge of the tree at a size, from its partial tiles; compare its root before believing it.
///
/// # Errors
/// When a tile is missing or damaged, or the storage fails.
pub fn read_edge(files: &(impl LogFiles + ?Sized), size: u64) -> Result<Edge, LedgerError> {
    let mut partials = vec![Vec::new(); usize::from(tile::levels(size))];
    for path in tile::partial_tiles(size) {
        let hashes = read_hashes(files, path)?.ok_or_else(|| LedgerError::Missing { path: path.to_string() })?;
        if let Some(partial) = partials.get_mut(usize::from(path.kind.level())) {
            *partial = hashes;
        }
    }
    Ok(Edge::from_partial_tiles(size, &partials)?)
}

/// Checks the published checkpoint against a policy, and the right edge of the tiles against its root.
///
/// # Errors
/// When the policy refuses it, a tile is missing or damaged, or the tiles hash to another root.
pub fn verify(files: &(impl LogFiles + ?Sized), policy: &Policy) -> Result<(Accepted, Edge), LedgerError> {
    let accepted = policy.accept(&read_checkpoint(files)?)?;
    let edge = edge_of(files, accepted.checkpoint())?;
    Ok((accepted, edge))
}

/// The proof file of the entry at an index, with its bytes, under the published checkpoint. It was verified before it is given.
///
/// # Errors
/// When [`verify`] fails, the index lies beyond the log, or the entry or the tiles on its way are missing or do not fit.
pub fn prove(files: &(impl LogFiles + ?Sized), index: u64, policy: &Policy) -> Result<(LogProof, Vec<u8>), LedgerError> {
    let note = read_checkpoint(files)?;
    let accepted = policy.accept(&note)?;
    let checkpoint = accepted.checkpoint();
    let edge = edge_of(files, checkpoint)?;
    let tiles = FileTiles(files);
    let path = TreeHashes::new(&edge, &tiles).inclusion_proof(index, checkpoint.size)?;
    let entry = read_entry(files, index, checkpoint.size)?;
    let proof = LogProof { extra: None, index, path, checkpoint: note };
    let leaf = merkle::leaf_hash(&entry);
    merkle::verify_inclusion(&leaf, index, checkpoint.size, &proof.path, &checkpoint.root)
        .map_err(|_| LedgerError::LeafDiffers { index })?;
    Ok((proof, entry))
}

/// The proof that the published log extends an older, trusted checkpoint of it; verified before it is given.
///
/// # Errors
/// When [`verify`] fails, the checkpoint is another log's, the sizes do not fit, or the log was rewritten.
pub fn prove_consistency(
    files: &(impl LogFiles + ?Sized),
    old: &Checkpoint,
    policy: &Policy,
) -> Result<(Accepted, Vec<Hash>), LedgerError> {
    let (accepted, edge) = verify(files, policy)?;
    let new = accepted.checkpoint();
    if new.origin != old.origin {
        return Err(SignatureError::WrongOrigin { origin: new.origin.clone() }.into());
    }
    let tiles = FileTiles(files);
    let proof = TreeHashes::new(&edge, &tiles).consistency_proof(old.size, new.size)?;
    merkle::verify_consistency(old.size, new.size, &proof, &old.root, &new.root)?;
    Ok((accepted, proof))
}

/// The root that a tree with this edge had at a size.
///
/// # Errors
/// When the size lies beyond the edge, a tile is missing or damaged, or the storage fails.
pub fn root_at(files: &(impl LogFiles + ?Sized), edge: &Edge, size: u64) -> Result<Hash, LedgerError> {
    TreeHashes::new(edge, &FileTiles(files)).root(size)
}

/// One entry of a tree of `size` leaves.
///
/// # Errors
/// When it lies beyond the tree, its bundle is missing or damaged, or the storage fails.
pub fn read_entry(files: &(impl LogFiles + ?Sized), index: u64, size: u64) -> Result<Vec<u8>, LedgerError> {
    if index >= size {
        return Err(LedgerError::BeyondEdge);
    }
    let (bundle, position) = (index / u64::from(TILE_WIDTH), (index % u64::from(TILE_WIDTH)) as usize);
    let width = if bundle < tile::full_tiles(0, size) { TILE_WIDTH } else { tile::partial_width(0, size) };
    let missing = || LedgerError::Missing { path: TilePath { kind: TileKind::Entries, index: bundle, width }.to_string() };
    read_entries(files, bundle, width)?.and_then(|entries| entries.into_iter().nth(position)).ok_or_else(missing)
}

/// The bytes of a tile or bundle as the tree with this edge confirms them; nothing where there is no such file, or the tree does not reach so far. A partial one
/// is cut from the full one where that has replaced it, also where the tree itself does not reach to its end yet.
///
/// # Errors
/// When the file, or a tile that leads to it, is damaged or missing, or the storage fails.
pub fn read_confirmed(files: &(impl LogFiles + ?Sized), edge: &Edge, path: TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
    if !path.exists_at(edge.size()) {
        return Ok(None);
    }
    let read = match path.kind {
        TileKind::Hashes(_) => read_hashes(files, path)?.map(|hashes| (tile::encode_hashes(&hashes), hashes)),
        TileKind::Entries => match read_entries(files, path.index, path.width)? {
            Some(entries) => {
                let mut bundle = Vec::new();
                entries
                    .iter()
                    .try_for_each(|entry| tile::encode_entry(&mut bundle, entry))
                    .map_err(|reason| damaged(path.to_string(), reason))?;
                Some((bundle, entries.iter().map(|entry| merkle::leaf_hash(entry)).collect()))
            }
            None => None,
        },
    };
    let Some((bytes, hashes)) = read else { return Ok(None) };
    let (tiles, first) = (FileTiles(files), path.index * u64::from(TILE_WIDTH));
    let mut tree = TreeHashes::new(edge, &tiles);
    for (index, hash) in (first..).zip(hashes) {
        if tree.subtree(path.kind.level().saturating_mul(TILE_HEIGHT), index)? != hash {
            return Err(damaged(path.to_string(), Malformed::new(Format::Tile, "it is not what the checkpoint says it is")));
        }
    }
    Ok(Some(bytes))
}

fn edge_of(files: &(impl LogFiles + ?Sized), checkpoint: &Checkpoint) -> Result<Edge, LedgerError> {
    let edge = read_edge(files, checkpoint.size)?;
    if edge.root() == checkpoint.root { Ok(edge) } else { Err(LedgerError::RootDiffers { size: checkpoint.size }) }
}

fn damaged(path: String, reason: Malformed) -> LedgerError {
    LedgerError::Damaged { path, reason }
}
