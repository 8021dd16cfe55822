//! Public vectors of other implementations, read where they lie beside the repository; skipped, and said so, where they do not.

use std::path::{Path, PathBuf};

use super::super::reader::{self, LogFiles};
use super::super::tile::{self, TilePath};
use super::super::{Checkpoint, Edge, Hash, LedgerError, Policy, TileReader, TreeHashes, merkle};
use serde_json::Value;

const TESTDATA_KEY: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

fn suite(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites/ledger").join(name);
    if !path.is_dir() {
        eprintln!("skipped: {name} of the ledger suites is not here");
        return None;
    }
    Some(path)
}

fn cases(directory: &Path, found: &mut Vec<PathBuf>) {
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { cases(&path, found) } else { found.push(path) }
    }
}

/// Some cases have stand-ins that are no hashes: each becomes some hash of its own, but for the empty one, which cannot be said.
fn hash(value: &Value) -> Option<Hash> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| merkle::leaf_hash(text.as_bytes())))
}

fn proof(case: &Value) -> Option<Vec<Hash>> {
    case["proof"].as_array().into_iter().flatten().map(hash).collect()
}

fn inclusion_holds(case: &Value) -> Option<bool> {
    let (leaf, root, proof) = (hash(&case["leafHash"])?, hash(&case["root"])?, proof(case)?);
    Some(merkle::verify_inclusion(&leaf, case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?, &proof, &root).is_ok())
}

fn consistency_holds(case: &Value) -> Option<bool> {
    let (old, new, proof) = (hash(&case["root1"])?, hash(&case["root2"])?, proof(case)?);
    Some(merkle::verify_consistency(case["size1"].as_u64()?, case["size2"].as_u64()?, &proof, &old, &new).is_ok())
}

fn check(name: &str, holds: fn(&Value) -> Option<bool>) {
    let Some(directory) = suite(name) else { return };
    let mut paths = Vec::new();
    cases(&directory, &mut paths);
    assert_eq!(paths.len(), 98, "{name}");
    let mut wrong = Vec::new();
    for path in paths {
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if holds(&case).unwrap_or(false) == case["wantErr"].as_bool().unwrap() {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

#[test]
fn merkle_suite_of_inclusion_proofs() {
    check("merkle/inclusion", inclusion_holds);
}

#[test]
fn merkle_suite_of_consistency_proofs() {
    check("merkle/consistency", consistency_holds);
}

/// The small signed log, with the checkpoint it had at one size in the place of the published one.
struct AtSize {
    root: PathBuf,
    size: u64,
}

impl LogFiles for AtSize {
    fn read(&self, path: &str, _max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        let path = if path == "checkpoint" { format!("checkpoint.{}", self.size) } else { path.to_owned() };
        Ok(std::fs::read(self.root.join(path)).ok())
    }
}

struct NoFullTiles;

impl TileReader for NoFullTiles {
    fn tile(&self, _level: u8, _index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        Ok(None)
    }
}

#[test]
fn a_log_signed_by_another_implementation() {
    let Some(root) = suite("tessera-log") else { return };
    let policy = Policy::of_log(TESTDATA_KEY.parse().unwrap());
    let mut recomputed = Edge::new();
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    for size in 0..=15 {
        let files = AtSize { root: root.clone(), size };
        let (accepted, edge) = reader::verify(&files, &policy).unwrap();
        let checkpoint = accepted.checkpoint().clone();
        assert_eq!((checkpoint.size, checkpoint.root, &edge), (size, recomputed.root(), &recomputed));
        for index in 0..size {
            let (proof, entry) = reader::prove(&files, index, &policy).unwrap();
            proof.to_string().parse::<super::super::LogProof>().unwrap().verify(&merkle::leaf_hash(&entry), &policy).unwrap();
        }
        for old in checkpoints.iter().filter(|old| old.size > 0) {
            reader::prove_consistency(&files, old, &policy).unwrap();
        }
        let report = super::super::fsck::fsck(&files, &policy, &mut |_| {}).unwrap();
        assert_eq!((report.problems, report.leaves), (Vec::new(), size));
        checkpoints.push(checkpoint);
        if size < 15 {
            let entries = reader::read_entries(&AtSize { root: root.clone(), size: size + 1 }, 0, size as u16 + 1).unwrap().unwrap();
            let _ = recomputed.append(merkle::leaf_hash(entries.last().unwrap()));
        }
    }
    let tiles: Vec<TilePath> = tile::partial_tiles(15).collect();
    assert_eq!(tiles.len(), 1);
    assert!(TreeHashes::new(&recomputed, &NoFullTiles).consistency_proof(3, 15).is_ok());
}
