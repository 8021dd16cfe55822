//! Zip files: written by us, read from anybody. Reading is bounded whatever the file claims of itself.

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};

/// The largest package that is looked at.
pub const MAX_PACKAGE_BYTES: usize = 512 << 20;
/// The most a package may unpack to, all files together.
pub const MAX_UNPACKED_BYTES: usize = 1 << 30;
/// The most files.
pub const MAX_FILES: usize = 400_000;
const MAX_NAME_BYTES: usize = 128;

/// Why a file is not a package. Names from it are not repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveError {
    TooLarge,
    TooManyFiles,
    /// It unpacks to more than the limit.
    Bomb,
    /// A name that no package has: a path upward, an absolute one, a folder, a character that is not allowed.
    Name,
    Twice,
    /// Not a zip file, damaged, or packed by a method that packages do not use.
    Malformed(String),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveError::TooLarge => write!(f, "the package is larger than {MAX_PACKAGE_BYTES} bytes"),
            ArchiveError::TooManyFiles => write!(f, "the package has more than {MAX_FILES} files"),
            ArchiveError::Bomb => write!(f, "the package unpacks to more than {MAX_UNPACKED_BYTES} bytes"),
            ArchiveError::Name => f.write_str("the package has a file whose name no package has"),
            ArchiveError::Twice => f.write_str("the package has two files of one name"),
            ArchiveError::Malformed(detail) => write!(f, "the package is not a sound zip file: {detail}"),
        }
    }
}

impl std::error::Error for ArchiveError {}

fn malformed(error: impl fmt::Display) -> ArchiveError {
    ArchiveError::Malformed(error.to_string())
}

/// Packs files in their order.
pub(super) fn pack<'f>(files: impl Iterator<Item = (&'f str, &'f [u8])>) -> Result<Vec<u8>, ArchiveError> {
    let mut packed = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut packed);
    for (name, bytes) in files {
        let (mut entry, config) = archive.new_file(name).compression_method(CompressionMethod::DEFLATE).start().map_err(malformed)?;
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
        writer.write_all(bytes).map_err(malformed)?;
        let (encoder, descriptor) = writer.finish().map_err(malformed)?;
        encoder.finish().map_err(malformed)?;
        entry.finish(descriptor).map_err(malformed)?;
    }
    archive.finish().map_err(malformed)?;
    Ok(packed)
}

/// Unpacks a package, by name.
pub(super) fn unpack(bytes: &[u8], unpacked_limit: usize) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    if bytes.len() > MAX_PACKAGE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let archive = ZipArchive::from_slice(bytes).map_err(malformed)?;
    let mut entries = archive.entries();
    let mut files = BTreeMap::new();
    let mut left = unpacked_limit;
    while let Some(entry) = entries.next_entry().map_err(malformed)? {
        if files.len() >= MAX_FILES {
            return Err(ArchiveError::TooManyFiles);
        }
        let path = entry.file_path();
        let raw: &[u8] = path.as_ref();
        let name = std::str::from_utf8(raw).ok().filter(|name| is_legal(name)).ok_or(ArchiveError::Name)?.to_owned();
        let method = entry.compression_method();
        let local = archive.get_entry(entry.wayfinder()).map_err(malformed)?;
        // One byte more than may be: a file that fills it is too much.
        let bound = left as u64 + 1;
        let mut content = Vec::new();
        let read = if method == CompressionMethod::DEFLATE {
            local.verifying_reader(DeflateDecoder::new(local.data())).take(bound).read_to_end(&mut content)
        } else if method == CompressionMethod::STORE {
            local.verifying_reader(local.data()).take(bound).read_to_end(&mut content)
        } else {
            return Err(malformed("a compression method that packages do not use"));
        };
        read.map_err(malformed)?;
        left = left.checked_sub(content.len()).ok_or(ArchiveError::Bomb)?;
        if files.insert(name, content).is_some() {
            return Err(ArchiveError::Twice);
        }
    }
    Ok(files)
}

/// Letters, digits, `-`, `.` and `_`, at most one folder deep.
fn is_legal(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    name.len() <= MAX_NAME_BYTES && name.split('/').count() <= 2 && name.split('/').all(part)
}
