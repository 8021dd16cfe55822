//! Real resources, where they lie beside the repository (`../shared`): synthetic patients' records, published patients, all of R4's own package and
//! US Core's with its examples, what vendors' servers answered, and the JSON of HL7's test cases. Without them, the repository's own definitions
//! and fixtures.

use flate2::read::GzDecoder;
use hearthgate::fhir::{Node, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Whole documents: a Bundle comes with its entries in it.
pub fn documents() -> Vec<Node> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared");
    let mut found = Vec::new();
    for file in files(&shared.join("corpus/synthea")).into_iter().chain([shared.join("corpus/test-patients-r4.ndjson.gz")]) {
        found.extend(File::open(file).into_iter().flat_map(|file| lines_or_one(&bytes(GzDecoder::new(file)))));
    }
    for package in files(&shared.join("packages")).iter().filter(|package| is_r4(package)) {
        found.extend(File::open(package).into_iter().flat_map(packed));
    }
    for suite in ["suites/ehr/cerner", "suites/ehr/epic", "suites/ehr/meditech", "suites/fhirpath/input", "suites/validator/files"] {
        found.extend(files(&shared.join(suite)).iter().filter_map(|file| one(&fs::read(file).ok()?)));
    }
    for file in files(&root.join("profiles/r4")) {
        found.extend(lines_or_one(&fs::read(file).unwrap_or_default()));
    }
    for file in files(&root.join("fixtures/mutation")) {
        found.extend(one(&fs::read(file).unwrap_or_default()).and_then(|fixture| fixture.get("resource").cloned()));
    }
    found.retain(|document| document.resource_type().is_some());
    found
}

fn is_r4(package: &Path) -> bool {
    !package.to_string_lossy().contains(".r4b.")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.sort();
    files
}

fn bytes(mut file: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read to its end is no document.
    let _ = file.read_to_end(&mut bytes);
    bytes
}

fn one(bytes: &[u8]) -> Option<Node> {
    json::parse(bytes, json::DEFAULT_DEPTH).ok()
}

fn lines_or_one(bytes: &[u8]) -> Vec<Node> {
    one(bytes).map_or_else(|| bytes.split(|&byte| byte == b'\n').filter_map(one).collect(), |document| vec![document])
}

fn packed(package: File) -> Vec<Node> {
    let mut archive = tar::Archive::new(GzDecoder::new(package));
    let entries = archive.entries().into_iter().flatten().flatten();
    entries.filter_map(|entry| one(&bytes(entry))).collect()
}
