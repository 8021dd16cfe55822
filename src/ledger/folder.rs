//! A log as a folder of files, in exactly the layout that clients ask for, so that any file server can serve it; and what a log's owner
//! has to publish, wherever it goes.
//!
//! The only place of the room that touches a file system: it reads logs, and writes copies of others' that are on the disk before anybody is
//! told of them. The gateway's own log is published through an object store (`wire`), since its data can publish it again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::encoding::decimal;
use super::error::{Format, LedgerError, Malformed};
use super::merkle::{Hash, leaf_hash};
use super::note::Note;
use super::reader::{CHECKPOINT_PATH, LogFiles};
use super::tile::{self, TILE_WIDTH, TileKind, TilePath};
use super::tree::{Edge, TileReader, TreeHashes};
use crate::killpoint;

/// What is being written has this name until it is complete.
const UNFINISHED_NAME: &str = ".publishing";

/// A log in a folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// Gives entries by bundle, for publication.
pub trait EntryReader {
    /// The first `width` entries of the bundle, or nothing when they are not there.
    ///
    /// # Errors
    /// When the storage fails.
    fn entries(&self, bundle: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, LedgerError>;
}

/// What is to be published: a signed checkpoint, the tree it was made of, and where to find that tree's tiles and entries.
pub struct Publication<'a> {
    pub checkpoint: &'a Note,
    /// The edge at the checkpoint's size.
    pub edge: &'a Edge,
    pub tiles: &'a dyn TileReader,
    pub entries: &'a dyn EntryReader,
}

impl Publication<'_> {
    /// The size of the checkpoint that is published, when this one is sound and extends it.
    ///
    /// # Errors
    /// When the checkpoint is not the edge's, or does not extend the published one.
    pub fn check_extends(&self, published: Option<&Note>) -> Result<u64, LedgerError> {
        let checkpoint: Checkpoint = self.checkpoint.unverified_text().parse()?;
        if checkpoint.size != self.edge.size() || checkpoint.root != self.edge.root() {
            return Err(LedgerError::RootDiffers { size: checkpoint.size });
        }
        let Some(published) = published else { return Ok(0) };
        let published: Checkpoint = published.unverified_text().parse()?;
        let refused = LedgerError::NotAnExtension { published_size: published.size, size: checkpoint.size };
        if published.size > checkpoint.size || published.origin != checkpoint.origin {
            return Err(refused);
        }
        let root_then = TreeHashes::new(self.edge, self.tiles).root(published.size)?;
        if root_then == published.root { Ok(published.size) } else { Err(refused) }
    }

    /// The tiles and bundles that a log published at a size lacks, lower levels first.
    pub fn paths_since(&self, previous_size: u64) -> impl Iterator<Item = TilePath> {
        let size = self.edge.size();
        let kinds = (0..tile::levels(size)).map(TileKind::Hashes).chain([TileKind::Entries]);
        kinds.flat_map(move |kind| {
            let (level, first) = (kind.level(), tile::full_tiles(kind.level(), previous_size));
            let full = (first..tile::full_tiles(level, size)).map(move |index| TilePath::full(kind, index));
            let partial = TilePath { kind, index: tile::full_tiles(level, size), width: tile::partial_width(level, size) };
            full.chain((partial.width > 0).then_some(partial))
        })
    }

    /// The bytes of one of them, as the tree confirms them: what was damaged where they come from is not published.
    ///
    /// # Errors
    /// When they are missing or damaged where they should come from.
    pub fn bytes(&self, path: TilePath) -> Result<Vec<u8>, LedgerError> {
        let hashes = self.confirmed(path)?;
        match path.kind {
            TileKind::Entries => read_bundle(self, path, &hashes),
            TileKind::Hashes(_) => Ok(tile::encode_hashes(&hashes)),
        }
    }

    fn confirmed(&self, path: TilePath) -> Result<Vec<Hash>, LedgerError> {
        let level = path.kind.level();
        if path.is_partial() {
            return Ok(self.edge.partial_tile(level).to_vec());
        }
        let hashes = self.tiles.tile(level, path.index)?.ok_or_else(|| missing(path))?;
        if TreeHashes::new(self.edge, self.tiles).is_tile(level, path.index, &hashes)? { Ok(hashes) } else { Err(damaged(path)) }
    }
}

impl Folder {
    /// A log in this folder, which need not exist before something is published.
    pub fn new(root: impl Into<PathBuf>) -> Folder {
        Folder { root: root.into() }
    }

    /// Begins to write files of the log one by one.
    pub fn fill(&self) -> Filling<'_> {
        Filling { folder: self, directories: BTreeSet::new(), files_written: 0 }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl LogFiles for Folder {
    fn read(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        let file = match File::open(self.place(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("reading", path, &error)),
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|error| failed("reading", path, &error))?;
        if bytes.len() > max_bytes {
            let reason = Malformed::new(Format::Tile, "it is larger than any can be");
            return Err(LedgerError::Damaged { path: path.to_owned(), reason });
        }
        Ok(Some(bytes))
    }

    fn partial_widths(&self, place: TilePath) -> Result<Vec<u16>, LedgerError> {
        let path = place.partial_directory();
        let directory = match fs::read_dir(self.place(&path)) {
            Ok(directory) => directory,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("listing", &path, &error)),
        };
        let mut widths = Vec::new();
        for file in directory {
            let name = file.map_err(|error| failed("listing", &path, &error))?.file_name();
            let width = name.to_str().and_then(decimal).and_then(|width| u16::try_from(width).ok());
            widths.extend(width.filter(|width| (1..TILE_WIDTH).contains(width)));
        }
        widths.sort_unstable();
        Ok(widths)
    }

    fn strays(&self, limit: usize) -> Result<Vec<String>, LedgerError> {
        let (mut strays, mut folders) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = folders.pop().filter(|_| strays.len() < limit) {
            let listed = |error| failed("listing", &folder, &error);
            for file in fs::read_dir(self.place(&folder)).map_err(listed)? {
                let file = file.map_err(listed)?;
                let path = format!("{folder}{}", file.file_name().to_string_lossy());
                if file.file_type().map_err(listed)?.is_dir() {
                    folders.push(path + "/");
                } else if !is_of_a_log(&path) {
                    strays.push(path);
                }
            }
        }
        strays.sort_unstable();
        strays.truncate(limit);
        Ok(strays)
    }
}

/// Whether some log has a file of this path, or one that is still being written has this name.
fn is_of_a_log(path: &str) -> bool {
    // What an object store has not finished writing has a number behind its name.
    let (path, _unfinished) = path.split_once('#').unwrap_or((path, ""));
    let is_tile = || path.parse::<TilePath>().is_ok_and(|path| path.exists_at(u64::MAX));
    let is_unfinished = || path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    path == CHECKPOINT_PATH || is_tile() || is_unfinished()
}

/// Files of a log being written. Nobody looks at them before the checkpoint that needs them is there, and they are on the disk by then.
pub struct Filling<'a> {
    folder: &'a Folder,
    /// Directories that got something new since they were last synced.
    directories: BTreeSet<PathBuf>,
    files_written: u64,
}

impl Filling<'_> {
    /// Writes a tile or bundle; a full one takes the place of the partial ones.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn tile(&mut self, path: TilePath, bytes: &[u8]) -> Result<(), LedgerError> {
        if path.is_partial() { self.write(path, bytes) } else { self.write_full(path, bytes) }
    }

    /// Writes the checkpoint, when everything before it is on the disk; gives how many files were not there yet, it not counted.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn finish(mut self, checkpoint: &Note) -> Result<u64, LedgerError> {
        self.sync_directories()?;
        killpoint::reached("mirror-tiles");
        self.replace(CHECKPOINT_PATH, checkpoint.to_string().as_bytes())?;
        killpoint::reached("mirror-checkpoint");
        self.sync_directories()?;
        Ok(self.files_written)
    }

    /// Writes a full tile, then removes the partial ones it replaces: whoever still asks for them falls back to it.
    fn write_full(&mut self, path: TilePath, bytes: &[u8]) -> Result<(), LedgerError> {
        self.write(path, bytes)?;
        let partials = path.partial_directory();
        let place = self.folder.place(&partials);
        if !place.is_dir() {
            return Ok(());
        }
        self.sync_directories()?;
        killpoint::reached("mirror-full");
        fs::remove_dir_all(place).map_err(|error| failed("removing", &partials, &error))
    }

    /// Writes a tile unless it is there already. One that is there with other bytes was torn by a power failure.
    fn write(&mut self, path: TilePath, bytes: &[u8]) -> Result<(), LedgerError> {
        let path = path.to_string();
        match self.folder.read(&path, tile::MAX_BUNDLE_BYTES) {
            Ok(Some(present)) if present == bytes => return Ok(()),
            Ok(_) | Err(LedgerError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
        self.files_written += 1;
        self.replace(&path, bytes)?;
        killpoint::reached("mirror-tile");
        Ok(())
    }

    /// Puts a complete file where readers look for it, at once.
    fn replace(&mut self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let place = self.folder.place(path);
        let directory = place.parent().unwrap_or(&self.folder.root).to_owned();
        self.replace_file(&place, &directory, bytes).map_err(|error| failed("writing", path, &error))?;
        self.directories.insert(directory);
        Ok(())
    }

    fn replace_file(&mut self, place: &Path, directory: &Path, bytes: &[u8]) -> io::Result<()> {
        self.create_directories(directory)?;
        let unfinished = self.folder.place(UNFINISHED_NAME);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, place)
    }

    /// Creates what is missing of a directory's path, and remembers the parents to be synced.
    fn create_directories(&mut self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(directory)?;
        let inside = directory.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(&self.folder.root));
        self.directories.extend(inside.map(Path::to_owned));
        Ok(())
    }

    fn sync_directories(&mut self) -> Result<(), LedgerError> {
        for directory in std::mem::take(&mut self.directories) {
            let synced = File::open(&directory).and_then(|directory| directory.sync_all());
            synced.map_err(|error| failed("syncing", "a directory", &error))?;
        }
        Ok(())
    }
}

fn read_bundle(publication: &Publication<'_>, path: TilePath, hashes: &[Hash]) -> Result<Vec<u8>, LedgerError> {
    let entries = publication.entries.entries(path.index, path.width)?.ok_or_else(|| missing(path))?;
    if entries.len() != usize::from(path.width) {
        return Err(missing(path));
    }
    if !entries.iter().map(|entry| leaf_hash(entry)).eq(hashes.iter().copied()) {
        return Err(damaged(path));
    }
    let mut bundle = Vec::new();
    for entry in &entries {
        tile::encode_entry(&mut bundle, entry)?;
    }
    Ok(bundle)
}

fn missing(path: TilePath) -> LedgerError {
    LedgerError::Missing { path: path.to_string() }
}

fn damaged(path: TilePath) -> LedgerError {
    LedgerError::Damaged { path: path.to_string(), reason: Malformed::new(Format::Tile, "it is not what the tree says it is") }
}

/// The operating system's reason, with the path inside the log: where the log lies is nobody's business.
fn failed(doing: &str, path: &str, error: &io::Error) -> LedgerError {
    LedgerError::Storage { detail: format!("{doing} {path}: {error}") }
}
