//! Copying another's log into a folder: every entry is hashed again, and what is kept leads to the checkpoint that is kept with it.

use super::checkpoint::Checkpoint;
use super::error::{LedgerError, SignatureError};
use super::folder::{Filling, Folder};
use super::merkle;
use super::note::Note;
use super::policy::Policy;
use super::reader::{self, LogFiles};
use super::tile::{self, TILE_WIDTH, TileKind, TilePath};
use super::tree::{Edge, FullTile};

/// What a copying did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The size that was held before.
    pub previous_size: u64,
    /// What is held now.
    pub checkpoint: Checkpoint,
    /// The size that a witness beside has cosigned, where the log shows less.
    pub cosigned_size: Option<u64>,
}

/// Keeps a cosigned checkpoint beside what was copied, if a witness's last word then does not contradict it.
pub type Keep<'a> = &'a mut dyn FnMut(Option<&Checkpoint>, &Note) -> Result<(), LedgerError>;

/// Copies what a log has gained since the last time, and hands it over to be signed for once all of it is on the disk. An interrupted copying
/// goes on where it was; what is already held is never given up for something else. `seen` is what a witness beside the mirror cosigned last:
/// nothing is signed that contradicts it, or that cannot be compared with it yet. `finish` is given the checkpoint, and what keeps it: it says what the
/// witness cosigned meanwhile, and sees to it that the witness says nothing until that has returned.
///
/// # Errors
/// When the policy refuses the checkpoint, the log went back or was rewritten, files are missing or damaged, or a storage fails.
pub fn mirror(
    log: &(impl LogFiles + ?Sized),
    folder: &Folder,
    policy: &Policy,
    seen: Option<&Checkpoint>,
    finish: impl FnOnce(Note, &Checkpoint, Keep<'_>) -> Result<(), LedgerError>,
) -> Result<Mirrored, LedgerError> {
    let note = reader::read_checkpoint(log)?;
    let checkpoint = policy.accept(&note)?.checkpoint().clone();
    let held = held(folder, policy).map_err(|reason| LedgerError::CopyRefused { reason: Box::new(reason) })?;
    let mut edge = match &held {
        Some(held) => reader::read_edge(folder, held.size)?,
        None => Edge::new(),
    };
    let previous_size = edge.size();
    check_goes_on(held.as_ref(), &edge, &checkpoint)?;
    if held.as_ref() == Some(&checkpoint) {
        check_agrees(folder, &edge, seen.filter(|seen| seen.size <= checkpoint.size))?;
        let cosigned_size = seen.map(|seen| seen.size).filter(|size| *size > checkpoint.size);
        return Ok(Mirrored { previous_size, checkpoint, cosigned_size });
    }
    check_reaches(&checkpoint, seen)?;
    let mut filling = folder.fill();
    for index in tile::full_tiles(0, previous_size)..tile::full_tiles(0, checkpoint.size) {
        copy_bundle(log, &mut filling, &mut edge, index, TILE_WIDTH)?;
    }
    let width = tile::partial_width(0, checkpoint.size);
    if width > 0 && edge.size() < checkpoint.size {
        copy_bundle(log, &mut filling, &mut edge, tile::full_tiles(0, checkpoint.size), width)?;
    }
    if edge.root() != checkpoint.root {
        return Err(LedgerError::RootDiffers { size: checkpoint.size });
    }
    for path in tile::partial_tiles(checkpoint.size) {
        filling.tile(path, &tile::encode_hashes(edge.partial_tile(path.kind.level())))?;
    }
    check_agrees(folder, &edge, seen)?;
    let mut filling = Some(filling);
    finish(note, &checkpoint, &mut |seen, cosigned| {
        check_reaches(&checkpoint, seen)?;
        check_agrees(folder, &edge, seen)?;
        filling.take().map_or(Ok(()), |filling| filling.finish(cosigned).map(drop))
    })?;
    Ok(Mirrored { previous_size, checkpoint, cosigned_size: None })
}

/// Refuses a tree that is smaller than what a witness beside saw: nothing says yet whether they are one.
fn check_reaches(checkpoint: &Checkpoint, seen: Option<&Checkpoint>) -> Result<(), LedgerError> {
    match seen.filter(|seen| seen.size > checkpoint.size) {
        Some(seen) => Err(LedgerError::Behind { cosigned_size: seen.size, size: checkpoint.size }),
        None => Ok(()),
    }
}

/// The checkpoint that is held, if any is.
///
/// # Errors
/// When what is held is damaged, or the storage fails.
pub fn held(folder: &Folder, policy: &Policy) -> Result<Option<Checkpoint>, LedgerError> {
    match reader::read_checkpoint(folder) {
        Ok(note) => policy.accept(&note).map(|accepted| Some(accepted.checkpoint().clone())),
        Err(LedgerError::Missing { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn check_goes_on(held: Option<&Checkpoint>, edge: &Edge, next: &Checkpoint) -> Result<(), LedgerError> {
    let Some(held) = held else { return Ok(()) };
    if held.origin != next.origin {
        return Err(SignatureError::WrongOrigin { origin: next.origin.clone() }.into());
    }
    if edge.root() != held.root {
        return Err(LedgerError::CopyDiffers { size: held.size });
    }
    let went_back = next.size < held.size || (next.size == held.size && next.root != held.root);
    if went_back { Err(LedgerError::NotAnExtension { published_size: held.size, size: next.size }) } else { Ok(()) }
}

/// Refuses a tree that a witness beside saw otherwise.
fn check_agrees(folder: &Folder, edge: &Edge, seen: Option<&Checkpoint>) -> Result<(), LedgerError> {
    match seen {
        Some(seen) if reader::root_at(folder, edge, seen.size)? != seen.root => Err(LedgerError::RootDiffers { size: seen.size }),
        _ => Ok(()),
    }
}

/// Copies one bundle and adds those of its entries that the edge lacks; entries that are held already must be the same.
fn copy_bundle(
    log: &(impl LogFiles + ?Sized),
    filling: &mut Filling<'_>,
    edge: &mut Edge,
    index: u64,
    width: u16,
) -> Result<(), LedgerError> {
    let path = TilePath { kind: TileKind::Entries, index, width };
    let entries = reader::read_entries(log, index, width)?.ok_or_else(|| LedgerError::Missing { path: path.to_string() })?;
    let known = edge.partial_tile(0).to_vec();
    let mut bundle = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        tile::encode_entry(&mut bundle, entry)?;
        let leaf = merkle::leaf_hash(entry);
        match known.get(position) {
            Some(held) if *held == leaf => {}
            Some(_) => return Err(LedgerError::LeafDiffers { index: index * u64::from(TILE_WIDTH) + position as u64 }),
            None => {
                for FullTile { level, index, hashes } in edge.append(leaf) {
                    filling.tile(TilePath::full(TileKind::Hashes(level), index), &tile::encode_hashes(&hashes))?;
                }
            }
        }
    }
    filling.tile(path, &bundle)
}
