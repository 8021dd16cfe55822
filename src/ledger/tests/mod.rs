//! Tests of the room, by what they check: formats, trees, files, and the public vectors of other implementations.

mod files;
mod formats;
mod history;
mod interop;
mod keys;
mod policies;
mod trees;
mod vectors;
mod witness;

use super::error::LedgerError;
use super::folder::{EntryReader, Folder, Publication};
use super::key::{Algorithm, SigningKey};
use super::merkle::{self, Hash};
use super::note::Note;
use super::reader;
use super::tree::{Edge, TileReader};
use super::{Checkpoint, Policy};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub const ORIGIN: &str = "hearth.example/log";

/// A small reproducible stream of numbers (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A log in memory: entries, edge and full tiles.
#[derive(Default)]
pub struct MemoryLog {
    pub entries: Vec<Vec<u8>>,
    pub edge: Edge,
    pub tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl MemoryLog {
    pub fn of_size(size: u64) -> MemoryLog {
        let mut log = MemoryLog::default();
        log.grow(size);
        log
    }

    pub fn grow(&mut self, size: u64) {
        for index in self.edge.size()..size {
            let entry = format!("entry number {index}").into_bytes();
            for tile in self.edge.append(merkle::leaf_hash(&entry)) {
                self.tiles.insert((tile.level, tile.index), tile.hashes);
            }
            self.entries.push(entry);
        }
    }

    pub fn checkpoint(&self) -> Note {
        Checkpoint::new(ORIGIN, self.edge.size(), self.edge.root()).sign(&[&log_key()]).unwrap()
    }

    /// Lays it out in a folder, as a mirror does; gives how many files were not there yet.
    pub fn publish(&self, folder: &Folder) -> Result<u64, LedgerError> {
        self.publish_as(folder, &self.checkpoint())
    }

    pub fn publish_as(&self, folder: &Folder, checkpoint: &Note) -> Result<u64, LedgerError> {
        let publication = Publication { checkpoint, edge: &self.edge, tiles: self, entries: self };
        let published = match reader::read_checkpoint(folder) {
            Err(LedgerError::Missing { .. }) => None,
            published => Some(published?),
        };
        let mut filling = folder.fill();
        for path in publication.paths_since(publication.check_extends(published.as_ref())?) {
            filling.tile(path, &publication.bytes(path)?)?;
        }
        filling.finish(checkpoint)
    }
}

impl TileReader for MemoryLog {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        Ok(self.tiles.get(&(level, index)).cloned())
    }
}

impl EntryReader for MemoryLog {
    fn entries(&self, bundle: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
        let begin = bundle as usize * 256;
        Ok(self.entries.get(begin..begin + usize::from(width)).map(<[_]>::to_vec))
    }
}

pub fn log_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[7; 32]).unwrap()
}

pub fn witness_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&format!("witness{number}.example"), Algorithm::CosignatureV1, &[number; 32]).unwrap()
}

pub fn key_of_another_log() -> SigningKey {
    SigningKey::from_seed("other.example/log", Algorithm::Ed25519, &[7; 32]).unwrap()
}

pub fn policy() -> Policy {
    Policy::of_log(log_key().verifier().clone())
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ledger").join(name)
}

pub fn read_fixture(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

/// A folder of its own for one test, removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("hearthgate-ledger-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
