//! Logs in folders: publication, reading, checking, and what a check says about damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{MemoryLog, Numbers, ORIGIN, Scratch, fixture, log_key, policy, witness_key};
use crate::ledger::error::LedgerError;
use crate::ledger::folder::Folder;
use crate::ledger::fsck::{Damage, MAX_PROBLEMS, Problem, fsck};
use crate::ledger::merkle::{self, Hash};
use crate::ledger::reader::{self, LogFiles};
use crate::ledger::{Checkpoint, Policy};

fn problems(folder: &Folder) -> Vec<Problem> {
    fsck(folder, &policy(), &mut |_| {}).unwrap().problems
}

fn problem(path: &str, damage: Damage) -> Problem {
    Problem { path: path.to_owned(), damage }
}

fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(&directory).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A log that was published at each of these sizes, one after another.
fn grown(name: &str, sizes: &[u64]) -> (Scratch, Folder, MemoryLog) {
    let scratch = Scratch::new(name);
    let folder = Folder::new(&scratch.0);
    let mut log = MemoryLog::default();
    for size in sizes {
        log.grow(*size);
        log.publish(&folder).unwrap();
    }
    (scratch, folder, log)
}

#[test]
fn publication_grows_and_reads_back() {
    let sizes = [0, 1, 5, 200, 255, 256, 257, 300, 511, 513, 1000, 66_000];
    let (scratch, folder, log) = grown("grows", &sizes);
    assert_eq!(problems(&folder), []);
    let report = fsck(&folder, &policy(), &mut |_| {}).unwrap();
    assert_eq!((report.leaves, report.stopped, report.checkpoint.unwrap().root), (66_000, false, log.edge.root()));
    let (accepted, edge) = reader::verify(&folder, &policy()).unwrap();
    assert_eq!((accepted.checkpoint().size, &edge), (66_000, &log.edge));
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_999] {
        let (proof, entry) = reader::prove(&folder, index, &policy()).unwrap();
        assert_eq!(entry, log.entries[index as usize]);
        proof.verify(&merkle::leaf_hash(&entry), &policy()).unwrap();
    }
    assert!(reader::prove(&folder, 66_000, &policy()).is_err());

    let at_once = Scratch::new("at-once");
    log.publish(&Folder::new(&at_once.0)).unwrap();
    assert_eq!(contents(&scratch.0), contents(&at_once.0));
}

#[test]
fn publication_again_changes_nothing() {
    let (scratch, folder, log) = grown("again", &[700]);
    let before = contents(&scratch.0);
    assert_eq!(log.publish(&folder), Ok(0));
    assert_eq!(contents(&scratch.0), before);
}

#[test]
fn an_interrupted_publication_is_completed() {
    let (scratch, folder, mut log) = grown("interrupted", &[300]);
    let published = contents(&scratch.0);
    log.grow(20_000);
    log.publish(&folder).unwrap();
    let complete = contents(&scratch.0);
    let mut numbers = Numbers(5);
    for round in 0..3 {
        // Some of the new files are there, some are torn, the checkpoint is still the old one.
        fs::remove_dir_all(&scratch.0).unwrap();
        for (path, bytes) in complete.iter().filter(|(path, _)| path.as_path() != Path::new("checkpoint")) {
            let place = scratch.0.join(path);
            let (keep, cut) = (published.contains_key(path) || numbers.below(2) == 0, numbers.below(10) == 0);
            if keep {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                let torn = cut && !published.contains_key(path);
                fs::write(place, if torn { &bytes[..bytes.len() / 2] } else { bytes }).unwrap();
            }
        }
        fs::write(scratch.0.join("checkpoint"), &published[Path::new("checkpoint")]).unwrap();
        log.publish(&folder).unwrap();
        assert_eq!(problems(&folder), [], "round {round}");
        assert_eq!(contents(&scratch.0), complete, "round {round}");
    }
}

#[test]
fn publication_never_goes_back() {
    let (scratch, folder, log) = grown("back", &[100, 600]);
    let before = contents(&scratch.0);
    let refused = |size| Err(LedgerError::NotAnExtension { published_size: 600, size });
    assert_eq!(MemoryLog::of_size(599).publish(&folder), refused(599));
    let mut forked = MemoryLog::of_size(590);
    forked.entries.push(b"forked".to_vec());
    let _ = forked.edge.append(merkle::leaf_hash(b"forked"));
    forked.grow(600);
    assert_eq!(forked.publish(&folder), refused(600));
    forked.grow(900);
    assert_eq!(forked.publish(&folder), refused(900));
    let other_size = MemoryLog::of_size(601).checkpoint();
    assert_eq!(log.publish_as(&folder, &other_size), Err(LedgerError::RootDiffers { size: 601 }));
    assert_eq!(contents(&scratch.0), before);
}

#[test]
fn publication_fails_when_something_is_missing_and_leaves_the_checkpoint() {
    let (scratch, folder, mut log) = grown("missing", &[10]);
    log.grow(1000);
    let tile = log.tiles.remove(&(0, 2)).unwrap();
    assert_eq!(log.publish(&folder), Err(LedgerError::Missing { path: "tile/0/002".into() }));
    log.tiles.insert((0, 2), tile);
    let entry = log.entries.pop().unwrap();
    assert_eq!(log.publish(&folder), Err(LedgerError::Missing { path: "tile/entries/003.p/232".into() }));
    assert_eq!(reader::verify(&folder, &policy()).unwrap().0.checkpoint().size, 10);
    log.entries.push(entry);
    log.publish(&folder).unwrap();
    assert_eq!(problems(&folder), []);
    drop(scratch);
}

#[test]
fn partial_tiles_stay_until_the_full_one_is_there() {
    let (scratch, folder, mut log) = grown("partials", &[3, 7]);
    let widths = |folder: &Folder, path: &str| folder.partial_widths(path.parse().unwrap()).unwrap();
    assert_eq!(widths(&folder, "tile/0/000.p/7"), [3, 7]);
    assert_eq!(widths(&folder, "tile/entries/000"), [3, 7]);
    log.grow(256);
    log.publish(&folder).unwrap();
    assert!(widths(&folder, "tile/0/000").is_empty());
    assert_eq!(widths(&folder, "tile/1/000"), [1]);
    assert_eq!(reader::read_hashes(&folder, "tile/0/000.p/7".parse().unwrap()).unwrap().unwrap(), log.tiles[&(0, 0)][..7]);
    assert_eq!(reader::read_entries(&folder, 0, 7).unwrap().unwrap(), log.entries[..7]);
    drop(scratch);
}

/// Damages one file of a sound log, expects exactly these problems, and repairs it.
fn check_damage(root: &Path, path: &str, damage: impl Fn(&mut Vec<u8>), expected: &[Problem]) {
    let place = root.join(path);
    let sound = fs::read(&place).unwrap();
    let mut bytes = sound.clone();
    damage(&mut bytes);
    fs::write(&place, bytes).unwrap();
    assert_eq!(problems(&Folder::new(root)), expected, "{path}");
    fs::write(&place, sound).unwrap();
}

#[test]
fn flipped_bits_are_found_and_named() {
    let (scratch, folder, _) = grown("flipped", &[100, 66_000]);
    for (path, byte, position) in [
        ("tile/0/000", 0, 0),
        ("tile/0/000", 8191, 255),
        ("tile/0/256", 40, 1),
        ("tile/0/257.p/208", 33, 1),
        ("tile/1/000", 64, 2),
        ("tile/1/001.p/1", 0, 0),
        ("tile/2/000.p/1", 31, 0),
        ("tile/entries/000", 10, 0),
        ("tile/entries/256", 25, 1),
        ("tile/entries/257.p/208", 5, 0),
    ] {
        check_damage(&scratch.0, path, |bytes| bytes[byte] ^= 0x10, &[problem(path, Damage::Differs { position })]);
    }
    assert_eq!(problems(&folder), []);
}

#[test]
fn cut_and_lost_files_are_found_and_named() {
    let (scratch, folder, _) = grown("cut", &[66_000]);
    let short_tile = Damage::Malformed("its length is not 32 bytes for each hash it should hold");
    for (path, damage) in [
        ("tile/0/000", short_tile.clone()),
        ("tile/0/257.p/208", short_tile.clone()),
        ("tile/1/000", short_tile.clone()),
        ("tile/1/001.p/1", short_tile),
        ("tile/entries/000", Damage::Malformed("an entry is cut short")),
        ("tile/entries/257.p/208", Damage::Malformed("an entry is cut short")),
    ] {
        check_damage(&scratch.0, path, |bytes| bytes.truncate(bytes.len() - 1), &[problem(path, damage)]);
        let lost = scratch.0.join("lost");
        fs::rename(scratch.0.join(path), &lost).unwrap();
        assert_eq!(problems(&folder), [problem(path, Damage::Missing)]);
        fs::rename(&lost, scratch.0.join(path)).unwrap();
    }
    fs::write(scratch.0.join("tile/0/001"), vec![0; 17_000_000]).unwrap();
    assert_eq!(problems(&folder), [problem("tile/0/001", Damage::Malformed("it is larger than any can be"))]);
}

#[test]
fn old_partial_tiles_are_checked_as_well() {
    let (scratch, _, _) = grown("old", &[5, 300, 400]);
    for path in ["tile/0/001.p/44", "tile/entries/001.p/44"] {
        check_damage(&scratch.0, path, |bytes| bytes[3] ^= 1, &[problem(path, Damage::Differs { position: 0 })]);
    }
}

/// What was sound when it was written is not named because of what is not now.
#[test]
fn old_partial_tiles_are_held_against_the_tree_and_not_against_a_damaged_file() {
    let (scratch, _, _) = grown("old-sound", &[5, 300, 400]);
    let path = "tile/entries/001.p/144";
    check_damage(&scratch.0, path, |bytes| bytes[3] ^= 1, &[problem(path, Damage::Differs { position: 0 })]);
    let lost = scratch.0.join("lost");
    fs::rename(scratch.0.join(path), &lost).unwrap();
    let old = "tile/entries/001.p/44";
    check_damage(&scratch.0, old, |bytes| bytes[3] ^= 1, &[problem(path, Damage::Missing), problem(old, Damage::Differs { position: 0 })]);
}

#[test]
fn a_bad_checkpoint_is_named() {
    let (scratch, folder, log) = grown("checkpoint", &[300]);
    let place = scratch.0.join("checkpoint");
    let sound = fs::read_to_string(&place).unwrap();

    let refused = |reason: &str| [problem("checkpoint", Damage::Refused(reason.to_owned()))];
    fs::write(&place, sound.replacen(" ", "  ", 1)).unwrap();
    assert!(matches!(&problems(&folder)[..], [Problem { damage: Damage::Malformed(_), .. }]));
    let unsigned = Checkpoint::new(ORIGIN, 300, log.edge.root()).to_string();
    let other = crate::ledger::SigningKey::from_seed(ORIGIN, crate::ledger::Algorithm::Ed25519, &[8; 32]).unwrap();
    let note = crate::ledger::Note::new(&unsigned, vec![other.sign(&unsigned).unwrap()]).unwrap();
    fs::write(&place, note.to_string()).unwrap();
    assert_eq!(problems(&folder), refused("no known key signed this"));
    let lying = Checkpoint::new(ORIGIN, 300, Hash::default()).sign(&[&log_key()]).unwrap();
    fs::write(&place, lying.to_string()).unwrap();
    assert_eq!(problems(&folder), [problem("checkpoint", Damage::RootDiffers)]);
    assert_eq!(reader::verify(&folder, &policy()).unwrap_err(), LedgerError::RootDiffers { size: 300 });
    fs::remove_file(&place).unwrap();
    assert_eq!(problems(&folder), [problem("checkpoint", Damage::Missing)]);

    let endless = Checkpoint::new(ORIGIN, 1 << 60, Hash::default()).sign(&[&log_key()]).unwrap();
    fs::write(&place, endless.to_string()).unwrap();
    let report = fsck(&folder, &policy(), &mut |_| {}).unwrap();
    assert!(report.stopped && report.problems.len() >= MAX_PROBLEMS && report.problems.len() < MAX_PROBLEMS + 3);
}

#[test]
fn a_rewritten_entry_is_noticed_even_with_its_tile() {
    let (scratch, folder, log) = grown("rewritten", &[66_000]);
    let mut rewritten = log.entries[..256].to_vec();
    rewritten[3] = b"entry number X".to_vec();
    let mut bundle = Vec::new();
    rewritten.iter().for_each(|entry| crate::ledger::tile::encode_entry(&mut bundle, entry).unwrap());
    let hashes: Vec<Hash> = rewritten.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    fs::write(scratch.0.join("tile/entries/000"), bundle).unwrap();
    fs::write(scratch.0.join("tile/0/000"), crate::ledger::tile::encode_hashes(&hashes)).unwrap();
    let found = problems(&folder);
    assert!(found.contains(&problem("checkpoint", Damage::RootDiffers)), "{found:?}");
    assert!(found.contains(&problem("tile/1/000", Damage::Differs { position: 0 })), "{found:?}");
    let refused = reader::prove(&folder, 3, &policy()).unwrap_err();
    assert!(matches!(&refused, LedgerError::Damaged { path, .. } if path == "tile/0/000"), "{refused}");
}

#[test]
fn a_log_that_was_rewritten_does_not_extend_an_older_checkpoint() {
    let (scratch, folder, log) = grown("consistency", &[600]);
    let at = |size: u64| Checkpoint::new(ORIGIN, size, MemoryLog::of_size(size).edge.root());
    for size in [1, 2, 255, 256, 300, 600] {
        let (accepted, _) = reader::prove_consistency(&folder, &at(size), &policy()).unwrap();
        assert_eq!(accepted.checkpoint().root, log.edge.root());
    }
    assert!(reader::prove_consistency(&folder, &at(601), &policy()).is_err());
    assert!(reader::prove_consistency(&folder, &Checkpoint { root: Hash::default(), ..at(300) }, &policy()).is_err());
    assert!(reader::prove_consistency(&folder, &Checkpoint { origin: "other".into(), ..at(300) }, &policy()).is_err());
    drop(scratch);
}

#[test]
fn a_missing_quorum_is_said_and_the_rest_checked() {
    let (scratch, folder, _) = grown("quorum", &[300]);
    let file = format!("log {}\nwitness w {}\nquorum w\n", log_key().verifier(), witness_key(1).verifier());
    let report = fsck(&folder, &Policy::parse(file.as_bytes()).unwrap(), &mut |_| {}).unwrap();
    let reason = "the witnesses that cosigned do not make the quorum".to_owned();
    assert_eq!((report.leaves, report.problems), (300, vec![problem("checkpoint", Damage::Refused(reason))]));
    drop(scratch);
}

/// Cut off between the tiles of a larger tree and its checkpoint, a folder has the full tile in the place of the partial one that its checkpoint ends with.
#[test]
fn a_partial_tile_is_cut_from_the_full_one_that_replaced_it() {
    let (scratch, folder, log) = grown("cut-off", &[208]);
    let held = fs::read(scratch.0.join(reader::CHECKPOINT_PATH)).unwrap();
    let paths = ["tile/0/000.p/208", "tile/entries/000.p/208"];
    let partial = paths.map(|path| fs::read(scratch.0.join(path)).unwrap());
    MemoryLog::of_size(300).publish(&folder).unwrap();
    fs::write(scratch.0.join(reader::CHECKPOINT_PATH), held).unwrap();
    for (path, bytes) in paths.iter().zip(partial) {
        assert!(!scratch.0.join(path).exists(), "{path}");
        assert_eq!(reader::read_confirmed(&folder, &log.edge, path.parse().unwrap()).unwrap(), Some(bytes), "{path}");
    }
    for beyond in ["tile/0/000", "tile/entries/000", "tile/0/001.p/44", "tile/0/000.p/209"] {
        assert_eq!(reader::read_confirmed(&folder, &log.edge, beyond.parse().unwrap()).unwrap(), None, "{beyond}");
    }
    let place = scratch.0.join("tile/entries/000");
    fs::write(&place, fs::read(&place).unwrap().iter().map(|byte| byte ^ u8::from(*byte == b'y')).collect::<Vec<u8>>()).unwrap();
    assert!(matches!(reader::read_confirmed(&folder, &log.edge, paths[1].parse().unwrap()), Err(LedgerError::Damaged { .. })));
}

/// What is published must not change from one version to the next, or logs would no longer extend themselves.
#[test]
fn the_committed_log_is_published_byte_for_byte() {
    let scratch = Scratch::new("golden");
    MemoryLog::of_size(300).publish(&Folder::new(&scratch.0)).unwrap();
    assert_eq!(contents(&scratch.0), contents(&fixture("log")));
    assert_eq!(problems(&Folder::new(fixture("log"))), []);
}
