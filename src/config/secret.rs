//! Secrets: read from files, never shown, compared in constant time.

use super::limits::MAX_SECRET_FILE_BYTES;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A secret text. It has no `Display`, its `Debug` withholds it, and equality takes the same time wherever two secrets differ.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, to be sent or used as a key, never to be written anywhere.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the offered text is this secret.
    pub fn matches(&self, offered: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), offered.as_bytes()).is_ok()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(withheld)")
    }
}

/// The text of a small file; refused when it is larger than `limit_bytes`, empty, or not UTF-8. The error never quotes the content.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("{} cannot be opened: {}", path.display(), plain(&error)))?;
    let mut text = String::new();
    let read = file.take(limit_bytes + 1).read_to_string(&mut text);
    let read = read.map_err(|error| format!("{} cannot be read: {}", path.display(), plain(&error)))?;
    match read as u64 {
        0 => Err(format!("{} is empty", path.display())),
        size if size > limit_bytes => Err(format!("{} is larger than {limit_bytes} bytes", path.display())),
        _ => Ok(text),
    }
}

/// The secret in a file, without the line end an editor leaves.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = read_bounded(path, MAX_SECRET_FILE_BYTES)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    if secret.contains(|letter: char| letter.is_control()) {
        return Err(format!("{} must hold one line of text", path.display()));
    }
    Ok(Secret::new(secret))
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
