//! The log: appending leaves, proving and verifying inclusion, signing a checkpoint.

use criterion::Criterion;
use hearthgate::ledger::merkle::{leaf_hash, verify_inclusion};
use hearthgate::ledger::{Algorithm, Checkpoint, Edge, Hash, LedgerError, SigningKey, TileReader, TreeHashes};
use std::collections::HashMap;
use std::hint::black_box;

/// The size of the tree that proofs are made of: two full levels of tiles and a part of a third.
const LEAVES: u64 = 100_000;

#[derive(Default)]
struct Tiles(HashMap<(u8, u64), Vec<Hash>>);

impl TileReader for Tiles {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        Ok(self.0.get(&(level, index)).cloned())
    }
}

fn grown() -> (Edge, Tiles) {
    let (mut edge, mut tiles) = (Edge::new(), Tiles::default());
    for number in 0..LEAVES {
        for tile in edge.append(leaf_hash(&number.to_be_bytes())) {
            tiles.0.insert((tile.level, tile.index), tile.hashes);
        }
    }
    (edge, tiles)
}

pub fn tree(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    let (mut edge, tiles) = grown();
    let entry = [5; hearthgate::anchor::LEAF_BYTES];
    let root = edge.root();
    let prove = |index| TreeHashes::new(&edge, &tiles).inclusion_proof(index, LEAVES).expect("a proof");
    group.bench_function("prove inclusion, 100,000 leaves", |bench| bench.iter(|| prove(black_box(12_345))));
    let proof = prove(12_345);
    let leaf = leaf_hash(&12_345_u64.to_be_bytes());
    group.bench_function("verify inclusion, 100,000 leaves", |bench| {
        bench.iter(|| verify_inclusion(black_box(&leaf), 12_345, LEAVES, &proof, &root));
    });
    let key = SigningKey::from_seed("bench.example/log", Algorithm::Ed25519, &[9; 32]).expect("a key");
    group.bench_function("sign checkpoint", |bench| bench.iter(|| Checkpoint::new("bench.example/log", LEAVES, root).sign(&[&key])));
    group.bench_function("append leaf", |bench| bench.iter(|| edge.append(leaf_hash(black_box(&entry)))));
    group.finish();
}
