//! Judges a package archive: one pass that reads everything and writes nothing, then one that writes what was judged.
//!
//! Every check names the attack or accident it stops. Archives are hostile until they have been walked to their end.

use super::name::Coordinates;
use crate::fhir::{Node, json};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::path::{Component, Path};

/// How much an archive may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes as they are packed.
    pub packed_bytes: u64,
    /// Bytes of all files together, unpacked: what a compression bomb runs into.
    pub unpacked_bytes: u64,
    pub file_bytes: u64,
    pub files: usize,
    /// Entries of `dependencies`.
    pub dependencies: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { packed_bytes: 256 << 20, unpacked_bytes: 1 << 30, file_bytes: 128 << 20, files: 50_000, dependencies: 100 }
    }
}

/// How deep `package.json` may nest.
const MANIFEST_DEPTH: usize = 16;
/// Bytes of the longest path.
const PATH_BYTES_MAX: usize = 512;

/// What `package.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub at: Coordinates,
    /// `fhirVersions`, or what older packages call `fhir-version-list`.
    pub releases: Vec<String>,
    pub dependencies: Vec<Coordinates>,
}

/// Why an archive is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    PackedTooLarge {
        limit: u64,
    },
    UnpackedTooLarge {
        limit: u64,
    },
    FileTooLarge {
        limit: u64,
    },
    TooManyFiles {
        limit: usize,
    },
    TooManyDependencies {
        limit: usize,
    },
    /// Not gzip, not tar, or cut off.
    Unreadable(String),
    /// A path that leads out of the package's folder, or is none.
    Path,
    /// A link, a device, a pipe: what could lead elsewhere when written or read.
    NotAFile,
    /// Two entries with one path: readers disagree on which counts.
    Twice,
    NoManifest,
    /// A definition that is half written: nothing that reads the package could use it.
    NotJson {
        file: String,
    },
    /// `package.json` is not an object with a name and a version that can name a folder.
    Manifest,
    Digest {
        expected: String,
        found: String,
    },
    /// The archive is another package than the one asked for.
    Other {
        expected: Coordinates,
        found: Coordinates,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::PackedTooLarge { limit } => write!(f, "the archive is larger than {limit} bytes"),
            Rejected::UnpackedTooLarge { limit } => write!(f, "the archive unpacks to more than {limit} bytes"),
            Rejected::FileTooLarge { limit } => write!(f, "a file of the archive is larger than {limit} bytes"),
            Rejected::TooManyFiles { limit } => write!(f, "the archive has more than {limit} files"),
            Rejected::TooManyDependencies { limit } => write!(f, "the package depends on more than {limit} others"),
            Rejected::Unreadable(problem) => write!(f, "the archive is broken or cut off: {problem}"),
            Rejected::Path => write!(f, "a path in the archive leads out of its folder"),
            Rejected::NotAFile => write!(f, "the archive holds a link or a device; a package holds files only"),
            Rejected::Twice => write!(f, "a path stands twice in the archive"),
            Rejected::NoManifest => write!(f, "the archive has no package/package.json"),
            Rejected::NotJson { file } => write!(f, "{file} is not JSON; the package is half written or damaged"),
            Rejected::Manifest => write!(f, "package.json does not give a usable name and version"),
            Rejected::Digest { expected, found } => write!(f, "the digest is wrong: expected {expected}, found {found}"),
            Rejected::Other { expected, found } => write!(f, "it is {found}, not {expected}"),
        }
    }
}

impl std::error::Error for Rejected {}

/// Judges an archive whole and reads its manifest.
pub fn judge(bytes: &[u8], limits: &Limits) -> Result<Manifest, Rejected> {
    if bytes.len() as u64 > limits.packed_bytes {
        return Err(Rejected::PackedTooLarge { limit: limits.packed_bytes });
    }
    let (mut manifest, mut broken) = (None, None);
    walk(bytes, limits, |path, content| {
        if path == "package.json" {
            manifest = Some(content.to_vec());
        } else if broken.is_none() && is_definition(path) && json::parse(content, json::DEFAULT_DEPTH).is_err() {
            broken = Some(path.to_owned());
        }
        Ok(())
    })?;
    let manifest = read_manifest(&manifest.ok_or(Rejected::NoManifest)?, limits)?;
    broken.map_or(Ok(manifest), |file| Err(Rejected::NotJson { file }))
}

/// What is read as a definition: the JSON beside `package.json`. Folders hold examples and pages, `.index.json` what tools made of the rest.
fn is_definition(path: &str) -> bool {
    !path.contains('/') && !path.starts_with('.') && Path::new(path).extension().is_some_and(|extension| extension == "json")
}

/// Gives every file to `visit`, with its path below `package/`. The whole archive is walked, to its end.
pub fn walk(bytes: &[u8], limits: &Limits, mut visit: impl FnMut(&str, &[u8]) -> io::Result<()>) -> Result<(), Rejected> {
    let unreadable = |error: io::Error| Rejected::Unreadable(error.to_string());
    // The reader stops a little past the limit, so that padding and headers cannot grow without end either.
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(limits.unpacked_bytes + limits.files as u64 * 2_048 + 4_096));
    let (mut paths, mut total, mut content) = (HashSet::new(), 0_u64, Vec::new());
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let kind = entry.header().entry_type();
        // Headers that only describe the next entry have been read into it; a folder is made when a file needs it.
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() {
            return Err(Rejected::NotAFile);
        }
        if paths.len() == limits.files {
            return Err(Rejected::TooManyFiles { limit: limits.files });
        }
        let path = inner_path(&entry.path_bytes())?;
        content.clear();
        (&mut entry).take(limits.file_bytes + 1).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > limits.file_bytes {
            return Err(Rejected::FileTooLarge { limit: limits.file_bytes });
        }
        total += content.len() as u64;
        if total > limits.unpacked_bytes {
            return Err(Rejected::UnpackedTooLarge { limit: limits.unpacked_bytes });
        }
        // Cache folders live on file systems that do not tell cases apart, too.
        if !paths.insert(path.to_lowercase()) {
            return Err(Rejected::Twice);
        }
        visit(&path, &content).map_err(unreadable)?;
    }
    Ok(())
}

/// A path below `package/`, plain and relative. Files beside that folder keep their path.
fn inner_path(bytes: &[u8]) -> Result<String, Rejected> {
    let text = std::str::from_utf8(bytes).map_err(|_| Rejected::Path)?;
    let is_plain = text.len() <= PATH_BYTES_MAX && !text.contains(['\\', ':', '\0']) && !text.chars().any(char::is_control);
    let steps = Path::new(text).components().filter(|step| *step != Component::CurDir);
    let plain = steps.map(|step| match step {
        Component::Normal(name) => name.to_str().ok_or(Rejected::Path),
        _ => Err(Rejected::Path),
    });
    let steps: Vec<&str> = plain.collect::<Result<_, _>>()?;
    let inner = match steps.as_slice() {
        ["package", rest @ ..] if !rest.is_empty() => rest.join("/"),
        other => other.join("/"),
    };
    if is_plain && !inner.is_empty() { Ok(inner) } else { Err(Rejected::Path) }
}

/// Reads `package.json`.
pub fn read_manifest(bytes: &[u8], limits: &Limits) -> Result<Manifest, Rejected> {
    let document = json::parse(bytes, MANIFEST_DEPTH).map_err(|_| Rejected::Manifest)?;
    let at = Coordinates::new(document.text("name").unwrap_or_default(), document.text("version").unwrap_or_default());
    let listed = match document.get("dependencies") {
        Some(listed) => listed.as_object().ok_or(Rejected::Manifest)?.members(),
        None => &[],
    };
    if listed.len() > limits.dependencies {
        return Err(Rejected::TooManyDependencies { limit: limits.dependencies });
    }
    let dependency = |member: &crate::fhir::Member| Coordinates::new(&member.name, member.node.as_text()?);
    let dependencies = listed.iter().map(|member| dependency(member).ok_or(Rejected::Manifest)).collect::<Result<_, _>>()?;
    let releases = ["fhirVersions", "fhir-version-list"].iter().find(|name| document.get(name).is_some());
    let releases = releases.map(|name| document.items(name).iter().filter_map(Node::as_text).map(str::to_owned).collect());
    Ok(Manifest { at: at.ok_or(Rejected::Manifest)?, releases: releases.unwrap_or_default(), dependencies })
}

/// SHA-256 of an archive, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}
