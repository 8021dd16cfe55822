//! Roots, proofs, edges: against a recomputation straight from the definition, for all small sizes.

use super::{MemoryLog, Numbers, read_fixture};
use crate::ledger::error::{LedgerError, ProofError};
use crate::ledger::merkle::{self, Hash, leaf_hash, node_hash};
use crate::ledger::tile;
use crate::ledger::tree::{Edge, TreeHashes};
use data_encoding::HEXLOWER;

const SIZES: u64 = 300;

/// RFC 6962's definition, word for word.
fn defined_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&defined_root(&leaves[..split]), &defined_root(&leaves[split..]))
        }
    }
}

fn leaves(log: &MemoryLog) -> Vec<Hash> {
    log.entries.iter().map(|entry| leaf_hash(entry)).collect()
}

fn flip(hash: &Hash, bit: u64) -> Hash {
    let mut bytes = hash.0;
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    Hash(bytes)
}

#[test]
fn published_roots_of_eight_leaves() {
    let mut edge = Edge::new();
    assert_eq!(edge.root(), Hash::EMPTY_ROOT);
    for line in read_fixture("eight-leaves.txt").lines().filter(|line| !line.starts_with('#')) {
        let (leaf, root) = line.split_once(' ').unwrap();
        assert!(edge.append(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap())).is_empty());
        assert_eq!(HEXLOWER.encode(&edge.root().0), root);
    }
    assert_eq!(edge.size(), 8);
}

#[test]
fn roots_follow_the_definition() {
    let log = MemoryLog::of_size(SIZES);
    let leaves = leaves(&log);
    let mut tree = TreeHashes::new(&log.edge, &log);
    let mut edge = Edge::new();
    for size in 0..=SIZES {
        let expected = defined_root(&leaves[..size as usize]);
        assert_eq!(edge.root(), expected, "edge of {size}");
        assert_eq!(tree.root(size).unwrap(), expected, "root of {size}");
        if size < SIZES {
            let _ = edge.append(leaves[size as usize]);
        }
    }
}

#[test]
fn inclusion_of_every_leaf_at_every_size() {
    let log = MemoryLog::of_size(SIZES);
    let leaves = leaves(&log);
    let mut tree = TreeHashes::new(&log.edge, &log);
    let mut numbers = Numbers(1);
    for size in 1..=SIZES {
        let root = tree.root(size).unwrap();
        for index in 0..size {
            let leaf = leaves[index as usize];
            let proof = tree.inclusion_proof(index, size).unwrap();
            merkle::verify_inclusion(&leaf, index, size, &proof, &root).unwrap();
            if numbers.below(16) != 0 {
                continue;
            }
            let bit = numbers.below(256);
            assert!(merkle::verify_inclusion(&flip(&leaf, bit), index, size, &proof, &root).is_err());
            assert!(merkle::verify_inclusion(&leaf, index, size, &proof, &flip(&root, bit)).is_err());
            if !proof.is_empty() {
                let mut altered = proof.clone();
                let at = numbers.below(proof.len() as u64) as usize;
                altered[at] = flip(&altered[at], bit);
                assert!(merkle::verify_inclusion(&leaf, index, size, &altered, &root).is_err());
                assert!(merkle::verify_inclusion(&leaf, index, size, &proof[1..], &root).is_err());
                altered = proof.clone();
                altered.push(leaf);
                assert!(merkle::verify_inclusion(&leaf, index, size, &altered, &root).is_err());
            }
            let elsewhere = numbers.below(size);
            if elsewhere != index {
                assert!(merkle::verify_inclusion(&leaf, elsewhere, size, &proof, &root).is_err());
            }
        }
    }
}

#[test]
fn consistency_of_every_pair_of_sizes() {
    let log = MemoryLog::of_size(SIZES);
    let mut tree = TreeHashes::new(&log.edge, &log);
    let mut numbers = Numbers(2);
    for new_size in 1..=SIZES {
        let new_root = tree.root(new_size).unwrap();
        for old_size in 1..=new_size {
            let old_root = tree.root(old_size).unwrap();
            let proof = tree.consistency_proof(old_size, new_size).unwrap();
            let verify = |proof: &[Hash], old: &Hash, new: &Hash| merkle::verify_consistency(old_size, new_size, proof, old, new);
            verify(&proof, &old_root, &new_root).unwrap();
            if numbers.below(16) != 0 {
                continue;
            }
            let bit = numbers.below(256);
            assert!(verify(&proof, &flip(&old_root, bit), &new_root).is_err());
            assert!(verify(&proof, &old_root, &flip(&new_root, bit)).is_err());
            if !proof.is_empty() {
                let mut altered = proof.clone();
                let at = numbers.below(proof.len() as u64) as usize;
                altered[at] = flip(&altered[at], bit);
                assert!(verify(&altered, &old_root, &new_root).is_err());
                assert!(verify(&proof[1..], &old_root, &new_root).is_err());
                assert!(verify(&proof[..proof.len() - 1], &old_root, &new_root).is_err());
            }
            let mut longer = proof.clone();
            longer.push(new_root);
            assert!(verify(&longer, &old_root, &new_root).is_err());
        }
    }
}

#[test]
fn every_single_bit_matters() {
    let log = MemoryLog::of_size(261);
    let mut tree = TreeHashes::new(&log.edge, &log);
    let root = tree.root(261).unwrap();
    let old_root = tree.root(77).unwrap();
    let inclusion = tree.inclusion_proof(77, 261).unwrap();
    let consistency = tree.consistency_proof(77, 261).unwrap();
    let leaf = leaf_hash(&log.entries[77]);
    for bit in 0..256 {
        for at in 0..inclusion.len() {
            let mut altered = inclusion.clone();
            altered[at] = flip(&altered[at], bit);
            assert!(merkle::verify_inclusion(&leaf, 77, 261, &altered, &root).is_err());
        }
        for at in 0..consistency.len() {
            let mut altered = consistency.clone();
            altered[at] = flip(&altered[at], bit);
            assert!(merkle::verify_consistency(77, 261, &altered, &old_root, &root).is_err());
        }
    }
}

#[test]
fn hostile_sizes_are_refused() {
    let hash = Hash::default();
    let many = vec![hash; 1000];
    let inclusion = |index, size, proof: &[Hash]| merkle::verify_inclusion(&hash, index, size, proof, &hash).unwrap_err();
    assert_eq!(inclusion(0, 0, &[]), ProofError::IndexBeyondSize);
    assert_eq!(inclusion(5, 5, &[]), ProofError::IndexBeyondSize);
    assert_eq!(inclusion(u64::MAX - 1, u64::MAX, &many), ProofError::WrongLength);
    assert_eq!(inclusion(0, u64::MAX, &[]), ProofError::WrongLength);
    let consistency = |old, new, proof: &[Hash]| merkle::verify_consistency(old, new, proof, &hash, &hash).unwrap_err();
    assert_eq!(consistency(0, 0, &[]), ProofError::SizesOutOfOrder);
    assert_eq!(consistency(0, 9, &[]), ProofError::SizesOutOfOrder);
    assert_eq!(consistency(9, 8, &[]), ProofError::SizesOutOfOrder);
    assert_eq!(consistency(8, 8, &[hash]), ProofError::WrongLength);
    assert_eq!(consistency(7, 8, &[]), ProofError::WrongLength);
    assert_eq!(consistency(1 << 63, u64::MAX, &many), ProofError::WrongLength);
    assert_eq!(consistency(u64::MAX - 1, u64::MAX, &many), ProofError::WrongLength);
}

#[test]
fn what_the_tree_lacks_is_said() {
    let log = MemoryLog::of_size(600);
    let empty = MemoryLog::default();
    let mut tree = TreeHashes::new(&log.edge, &empty);
    assert_eq!(tree.inclusion_proof(3, 600), Err(LedgerError::Missing { path: "tile/0/000".into() }));
    assert!(tree.inclusion_proof(590, 600).is_ok(), "an edge alone proves what lies in its own tile");
    assert_eq!(tree.inclusion_proof(600, 600), Err(ProofError::IndexBeyondSize.into()));
    assert_eq!(tree.inclusion_proof(600, 601), Err(LedgerError::BeyondEdge));
    assert_eq!(tree.consistency_proof(600, 601), Err(LedgerError::BeyondEdge));
    assert_eq!(tree.root(601), Err(LedgerError::BeyondEdge));
    assert_eq!(tree.consistency_proof(0, 600), Err(ProofError::SizesOutOfOrder.into()));
    let mut cut = MemoryLog::of_size(600);
    cut.tiles.values_mut().for_each(|hashes| hashes.truncate(255));
    assert!(matches!(TreeHashes::new(&log.edge, &cut).leaf(0), Err(LedgerError::Damaged { .. })));
}

/// What `TreeHashes` says when the storage of a log of 70,000 leaves was changed: the path of the tile it names.
fn named(change: impl FnOnce(&mut MemoryLog)) -> String {
    let sound = MemoryLog::of_size(70_000);
    let mut log = MemoryLog::of_size(70_000);
    change(&mut log);
    match TreeHashes::new(&sound.edge, &log).inclusion_proof(300, 70_000) {
        Err(LedgerError::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tile_that_was_changed_is_named_and_no_proof_is_made_of_it() {
    let flipped = |place: (u8, u64), at: usize| named(move |log| log.tiles.get_mut(&place).unwrap()[at] = Hash([7; 32]));
    for at in [0, 44, 255] {
        assert_eq!(flipped((0, 1), at), "tile/0/001");
        assert_eq!(flipped((1, 0), at), "tile/1/000", "found before what lies below it is believed");
    }
    let other = |log: &mut MemoryLog| {
        let other = log.tiles[&(0, 2)].clone();
        log.tiles.insert((0, 1), other);
    };
    assert_eq!(named(other), "tile/0/001", "one that is sound elsewhere");
}

#[test]
fn an_edge_is_rebuilt_from_its_partial_tiles() {
    let mut edge = Edge::new();
    let mut completed = 0;
    for size in 0..140_000u64 {
        let near_a_border = size % 256 < 2 || size % 256 == 255 || size % 65_536 < 300;
        if near_a_border {
            let partials: Vec<Vec<Hash>> = (0..tile::levels(size)).map(|level| edge.partial_tile(level).to_vec()).collect();
            let mut rebuilt = Edge::from_partial_tiles(size, &partials).unwrap();
            assert_eq!(rebuilt, edge, "size {size}");
            assert_eq!(rebuilt.root(), edge.root());
            let mut grown = edge.clone();
            assert_eq!(rebuilt.append(Hash::default()), grown.append(Hash::default()));
            assert_eq!(rebuilt.root(), grown.root());
            assert!(Edge::from_partial_tiles(size + 1, &partials).is_err());
        }
        completed += edge.append(leaf_hash(&size.to_be_bytes())).len() as u64;
    }
    assert_eq!(completed, tile::full_tiles(0, 140_000) + tile::full_tiles(1, 140_000));
}

#[test]
fn a_snapshot_does_not_change_when_the_tree_grows() {
    let mut log = MemoryLog::of_size(1000);
    let snapshot = log.edge.clone();
    let root = snapshot.root();
    log.grow(5000);
    assert_eq!((snapshot.size(), snapshot.root()), (1000, root));
    let old = TreeHashes::new(&snapshot, &log).inclusion_proof(999, 1000).unwrap();
    assert_eq!(TreeHashes::new(&log.edge, &log).inclusion_proof(999, 1000).unwrap(), old, "a later edge proves for older sizes");
    assert_eq!(TreeHashes::new(&log.edge, &log).root(1000).unwrap(), root);
}

#[test]
fn proofs_hold_in_a_tree_of_three_tile_levels() {
    let mut edge = Edge::new();
    let mut log = MemoryLog::default();
    let size = 70_000u64 + 65_536;
    for index in 0..size {
        for tile in edge.append(leaf_hash(&index.to_be_bytes())) {
            log.tiles.insert((tile.level, tile.index), tile.hashes);
        }
    }
    let mut tree = TreeHashes::new(&edge, &log);
    let mut numbers = Numbers(3);
    for _ in 0..300 {
        let at = 1 + numbers.below(size);
        let index = numbers.below(at);
        let (root, proof) = (tree.root(at).unwrap(), tree.inclusion_proof(index, at).unwrap());
        merkle::verify_inclusion(&leaf_hash(&index.to_be_bytes()), index, at, &proof, &root).unwrap();
        let proof = tree.consistency_proof(at, size).unwrap();
        merkle::verify_consistency(at, size, &proof, &root, &edge.root()).unwrap();
    }
}
