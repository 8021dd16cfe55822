//! The laws of `fuzz/laws.rs`, held for what fuzzing has found (`fixtures/fuzz/LAW`) and for the fixtures of the rooms with damage done to them.

use crate::support::chance::Chance;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/laws.rs"]
mod laws;

const LAWS: [&str; 6] = ["json", "xml", "fhirpath", "ucum", "package", "validate"];

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn what_fuzzing_found_breaks_no_law() {
    for law in LAWS {
        let found = files(&format!("fuzz/{law}"));
        assert!(!found.is_empty(), "{law} has no fixture");
        for path in found {
            println!("{}", path.display());
            laws::hold(law, &fs::read(&path).unwrap());
        }
    }
}

/// How many damaged forms of each fixture are tried; `fuzz/run.sh` tries for as long as it is let.
const DAMAGED: usize = 30;

#[test]
fn damaged_fixtures_break_no_law() {
    let chance = Chance::seeded(53);
    for (law, folder) in
        [("json", "validate"), ("validate", "validate"), ("xml", "xml"), ("fhirpath", "fuzz/fhirpath"), ("ucum", "fuzz/ucum")]
    {
        for path in files(folder) {
            let sound = fs::read(&path).unwrap();
            for _ in 0..DAMAGED {
                laws::hold(law, &damaged(&chance, &sound));
            }
        }
    }
}

/// Bytes changed, cut out or put in twice.
fn damaged(chance: &Chance, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=chance.below(4) {
        if bytes.is_empty() {
            break;
        }
        let (one, other) = (chance.below(bytes.len()), chance.below(bytes.len()));
        let (start, end) = (one.min(other), one.max(other).min(one.min(other) + 40));
        match chance.below(4) {
            0 => bytes[start] ^= 1 << chance.below(8),
            1 => drop(bytes.drain(start..end)),
            2 => {
                let copy = bytes[start..end].to_vec();
                bytes.splice(end..end, copy);
            }
            _ => bytes[start] = chance.of(b"\"{}[],:\\<>&'(). \0\xff"),
        }
    }
    bytes
}
