//! Files by the names that people give them.
//!
//! At the other end of a pipe that lies about under a name there may be nobody, for ever; so it is refused, and not waited for. One that a shell made for
//! a command (`<(…)`, `/dev/stdin`) is served by that shell.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The most bytes of a file that is read whole.
pub const BYTES_MAX: usize = 1 << 30;

/// Refuses a pipe that has a name.
pub fn check(path: &Path) -> io::Result<()> {
    let is_of_shell = path.starts_with("/dev") || path.starts_with("/proc");
    if !is_of_shell && path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(io::Error::new(ErrorKind::Unsupported, "is a named pipe, which may never end; give a file"));
    }
    Ok(())
}

pub fn open(path: &Path) -> io::Result<File> {
    check(path)?;
    File::open(path)
}

pub fn create(path: &Path) -> io::Result<File> {
    check(path)?;
    File::create(path)
}

/// The bytes of a file.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata().map_or(0, |found| usize::try_from(found.len()).unwrap_or(BYTES_MAX));
    let mut bytes = Vec::with_capacity(length.min(BYTES_MAX) + 1);
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > BYTES_MAX {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("is longer than is read ({BYTES_MAX} bytes)")));
    }
    Ok(bytes)
}
