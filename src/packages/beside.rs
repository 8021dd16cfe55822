//! Packages that lie beside each other in a folder, as `name#version.tgz`.

use super::archive::judge;
use super::{Coordinates, Limits};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Packages that one package may bring along.
const BESIDE_MAX: usize = 64;

/// What a package file needs and what that needs, as far as it lies in the same folder; the needed before the needing, the package itself last.
/// A file that is no package brings nothing along: whoever reads it says what is wrong.
pub fn with_neighbours(package: &Path, limits: &Limits) -> Vec<PathBuf> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    add(package, limits, &mut seen, &mut found);
    found
}

fn add(package: &Path, limits: &Limits, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>) {
    if seen.len() < BESIDE_MAX && seen.insert(package.to_owned()) {
        for needed in needs(package, limits) {
            let neighbour = package.with_file_name(format!("{}#{}.tgz", needed.name, needed.version));
            if neighbour.is_file() {
                add(&neighbour, limits, seen, found);
            }
        }
        found.push(package.to_owned());
    }
}

fn needs(package: &Path, limits: &Limits) -> Vec<Coordinates> {
    let is_small = package.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= limits.packed_bytes);
    let bytes = if is_small { std::fs::read(package).ok() } else { None };
    bytes.and_then(|bytes| judge(&bytes, limits).ok()).map(|manifest| manifest.dependencies).unwrap_or_default()
}
