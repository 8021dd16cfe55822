//! Another implementation reads what we write, and we read what it writes: the crates `tlog_tiles` and `signed_note`.

use std::str::FromStr;

use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Tile, TileHashReader};

use super::{MemoryLog, Numbers, ORIGIN, Scratch, log_key, policy};
use crate::ledger::merkle::{self, Hash};
use crate::ledger::reader::{self, LogFiles};
use crate::ledger::tile::{self, TileKind, TilePath};
use crate::ledger::{Checkpoint, Folder, Note, SigningKey, TreeHashes};

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

/// Their tiles have a height in their paths, which is always eight in this layout.
fn path_of(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

struct TheirReader<'a>(&'a Folder);

impl tlog_tiles::TileReader for TheirReader<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile| reader::read_hashes(self.0, TilePath::from_str(&path_of(tile)).unwrap());
        Ok(tiles.iter().map(|tile| tile::encode_hashes(&read(tile).unwrap().unwrap())).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

fn their_verifiers(key: &SigningKey) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key.verifier().to_string()).unwrap())])
}

#[test]
fn they_read_our_log() {
    let scratch = Scratch::new("interop");
    let (folder, log) = (Folder::new(&scratch.0), MemoryLog::of_size(66_000));
    log.publish(&folder).unwrap();
    let note = signed_note::Note::from_bytes(&folder.read("checkpoint", 10_000).unwrap().unwrap()).unwrap();
    assert_eq!(note.verify(&their_verifiers(&log_key())).unwrap().0.len(), 1);
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.extension()), (ORIGIN, 66_000, ""));

    let tiles = TheirReader(&folder);
    let hashes = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), &tiles);
    let mut ours = TreeHashes::new(&log.edge, &log);
    let mut numbers = Numbers(21);
    let mut indexes: Vec<u64> = vec![0, 255, 256, 65_535, 65_536, 65_999];
    indexes.extend((0..20).map(|_| numbers.below(66_000)));
    for index in indexes {
        let leaf = theirs(&merkle::leaf_hash(&log.entries[index as usize]));
        let made = tlog_tiles::prove_record(66_000, index, &hashes).unwrap();
        let own: Vec<_> = ours.inclusion_proof(index, 66_000).unwrap().iter().map(theirs).collect();
        assert_eq!(made, own, "index {index}");
        tlog_tiles::check_record(&own, 66_000, *checkpoint.hash(), index, leaf).unwrap();

        let old_size = index + 1;
        let made = tlog_tiles::prove_tree(66_000, old_size, &hashes).unwrap();
        let own: Vec<_> = ours.consistency_proof(old_size, 66_000).unwrap().iter().map(theirs).collect();
        assert_eq!(made, own, "size {old_size}");
        let old_root = theirs(&ours.root(old_size).unwrap());
        tlog_tiles::check_tree(&own, 66_000, *checkpoint.hash(), old_size, old_root).unwrap();
    }
}

#[test]
fn both_mean_the_same_tiles() {
    for (old, new) in [(0, 1), (0, 70_000), (255, 257), (300, 70_000), (65_000, 66_000), (1_234_067 << 8, (1_234_067 << 8) + 300)] {
        for tile in Tile::new_tiles(8, old, new) {
            let path: TilePath = path_of(&tile).parse().unwrap();
            assert_eq!((path.kind, path.index), (TileKind::Hashes(tile.level()), tile.level_index()));
            assert_eq!((u32::from(path.width), path.to_string()), (tile.width(), path_of(&tile)));
            assert!(path.exists_at(new));
        }
    }
}

#[test]
fn notes_pass_both_ways() {
    let key = log_key();
    let their_signer = StandardSigner::new(&key.to_secret_text()).unwrap();
    let text = Checkpoint::new(ORIGIN, 3, MemoryLog::of_size(3).edge.root()).to_string();
    let mut their_note = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    their_note.add_sigs(&[&their_signer]).unwrap();
    let our_note = MemoryLog::of_size(3).checkpoint();
    assert_eq!(our_note.to_string().into_bytes(), their_note.to_bytes());
    let read = Note::from_bytes(&their_note.to_bytes()).unwrap();
    assert_eq!(policy().accept(&read).unwrap().checkpoint().size, 3);
}
