//! A log as a folder of files, in exactly the layout that clients ask for, so that any file server can serve it.
//!
//! The only place of the room that touches a file system. There must be one publisher to a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::encoding::decimal;
use super::error::{Format, LedgerError, Malformed};
use super::merkle::Hash;
use super::note::Note;
use super::reader::{self, CHECKPOINT_PATH, LogFiles};
use super::tile::{self, TILE_WIDTH, TileKind, TilePath};
use super::tree::{Edge, TileReader, TreeHashes};

/// What is being written has this name until it is complete.
const UNFINISHED_NAME: &str = ".publishing";

/// Whether publication waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Files are complete or absent whenever the process dies, but a power failure may take the latest. For folders that can be
    /// published again from the data they came from.
    Renamed,
    /// Every file, and the directory it lies in, is on the disk before the checkpoint that needs it.
    Synced,
}

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
    pub durability: Durability,
}

/// What a publication did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// The size that was published before.
    pub previous_size: u64,
    pub size: u64,
    /// Files that were not there yet, the checkpoint not counted.
    pub files_written: u64,
}

impl Folder {
    /// A log in this folder, which need not exist before something is published.
    pub fn new(root: impl Into<PathBuf>) -> Folder {
        Folder { root: root.into() }
    }

    /// Writes what the folder lacks of a checkpoint's tiles and bundles, then the checkpoint. Doing it again changes nothing, and
    /// after an interruption completes it. Partial tiles go when the full one is there.
    ///
    /// # Errors
    /// When the checkpoint is not the edge's, or does not extend the published one; when tiles or entries are missing; when the
    /// file system fails. The published checkpoint is then the one before.
    pub fn publish(&self, publication: &Publication<'_>) -> Result<Published, LedgerError> {
        let previous_size = self.check_extends(publication)?;
        let mut writing = Writing { folder: self, durability: publication.durability, directories: BTreeSet::new(), files_written: 0 };
        let size = publication.edge.size();
        for level in 0..tile::levels(size) {
            writing.hash_tiles(publication, level, previous_size)?;
        }
        writing.entry_bundles(publication, previous_size)?;
        writing.sync_directories()?;
        writing.replace(CHECKPOINT_PATH, publication.checkpoint.to_string().as_bytes())?;
        writing.sync_directories()?;
        Ok(Published { previous_size, size, files_written: writing.files_written })
    }

    /// The published size, when what is to be published is sound and extends it.
    fn check_extends(&self, publication: &Publication<'_>) -> Result<u64, LedgerError> {
        let edge = publication.edge;
        let checkpoint: Checkpoint = publication.checkpoint.unverified_text().parse()?;
        if checkpoint.size != edge.size() || checkpoint.root != edge.root() {
            return Err(LedgerError::RootDiffers { size: checkpoint.size });
        }
        if self.read(CHECKPOINT_PATH, super::note::MAX_NOTE_BYTES)?.is_none() {
            return Ok(0);
        }
        let published: Checkpoint = reader::read_checkpoint(self)?.unverified_text().parse()?;
        let refused = LedgerError::NotAnExtension { published_size: published.size, size: checkpoint.size };
        if published.size > checkpoint.size || published.origin != checkpoint.origin {
            return Err(refused);
        }
        let root_then = TreeHashes::new(edge, publication.tiles).root(published.size)?;
        if root_then == published.root { Ok(published.size) } else { Err(refused) }
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
}

/// One publication at work.
struct Writing<'a> {
    folder: &'a Folder,
    durability: Durability,
    /// Directories that got something new since they were last synced.
    directories: BTreeSet<PathBuf>,
    files_written: u64,
}

impl Writing<'_> {
    fn hash_tiles(&mut self, publication: &Publication<'_>, level: u8, previous_size: u64) -> Result<(), LedgerError> {
        let (kind, size) = (TileKind::Hashes(level), publication.edge.size());
        for index in tile::full_tiles(level, previous_size)..tile::full_tiles(level, size) {
            let path = TilePath::full(kind, index);
            let hashes: Vec<Hash> = publication.tiles.tile(level, index)?.ok_or_else(|| missing(path))?;
            self.write_full(path, &tile::encode_hashes(&hashes))?;
        }
        let partial = publication.edge.partial_tile(level);
        if partial.is_empty() {
            return Ok(());
        }
        let path = TilePath { kind, index: tile::full_tiles(level, size), width: tile::partial_width(level, size) };
        self.write(path, &tile::encode_hashes(partial))
    }

    fn entry_bundles(&mut self, publication: &Publication<'_>, previous_size: u64) -> Result<(), LedgerError> {
        let size = publication.edge.size();
        for index in tile::full_tiles(0, previous_size)..tile::full_tiles(0, size) {
            let path = TilePath::full(TileKind::Entries, index);
            self.write_full(path, &read_bundle(publication, path)?)?;
        }
        let path = TilePath { kind: TileKind::Entries, index: tile::full_tiles(0, size), width: tile::partial_width(0, size) };
        if path.width == 0 { Ok(()) } else { self.write(path, &read_bundle(publication, path)?) }
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
        self.replace(&path, bytes)
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
        if self.durability == Durability::Synced {
            file.sync_all()?;
        }
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
        let directories = std::mem::take(&mut self.directories);
        if self.durability == Durability::Synced {
            for directory in directories {
                let synced = File::open(&directory).and_then(|directory| directory.sync_all());
                synced.map_err(|error| failed("syncing", "a directory", &error))?;
            }
        }
        Ok(())
    }
}

fn read_bundle(publication: &Publication<'_>, path: TilePath) -> Result<Vec<u8>, LedgerError> {
    let entries = publication.entries.entries(path.index, path.width)?.ok_or_else(|| missing(path))?;
    if entries.len() != usize::from(path.width) {
        return Err(missing(path));
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

/// The operating system's reason, with the path inside the log: where the log lies is nobody's business.
fn failed(doing: &str, path: &str, error: &io::Error) -> LedgerError {
    LedgerError::Storage { detail: format!("{doing} {path}: {error}") }
}
