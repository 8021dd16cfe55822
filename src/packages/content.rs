//! The digest of what a package in the cache holds, so that a change made after it was added is seen.
//!
//! Files whose names begin with a dot are left out: they are indexes that other tools write into the packages of the cache they share.

use super::archive::{Limits, digest};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The digests of a package's files by their paths.
#[derive(Debug, Default)]
pub struct Content(BTreeMap<String, String>);

impl Content {
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        if !path.split('/').any(|part| part.starts_with('.')) {
            self.0.insert(path.to_owned(), digest(bytes));
        }
    }

    /// SHA-256 over the paths and digests of all files, hexadecimal.
    pub fn digest(&self) -> String {
        let lines: String = self.0.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        digest(lines.as_bytes())
    }

    /// What a folder holds; `None` where it cannot be read, or is more than a package may be.
    pub fn of_folder(folder: &Path, limits: &Limits) -> Option<Content> {
        let (mut content, mut pending, mut files) = (Content::default(), vec![folder.to_owned()], 0);
        while let Some(next) = pending.pop() {
            for entry in fs::read_dir(&next).ok()? {
                let entry = entry.ok()?;
                let kind = entry.file_type().ok()?;
                if kind.is_dir() {
                    pending.push(entry.path());
                    continue;
                }
                files += 1;
                if files > limits.files || !kind.is_file() || entry.metadata().ok()?.len() > limits.file_bytes {
                    return None;
                }
                let path = entry.path();
                let inner = path.strip_prefix(folder).ok()?.iter().map(|part| part.to_str()).collect::<Option<Vec<_>>>()?;
                content.add(&inner.join("/"), &fs::read(&path).ok()?);
            }
        }
        Some(content)
    }
}
