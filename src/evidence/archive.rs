//! Zip files: written by us, read from anybody. Reading is bounded whatever the file claims of itself.

use super::layout::{Layout, Member};
use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter, ZipSliceEntry};
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

pub(super) fn malformed(error: impl fmt::Display) -> ArchiveError {
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

/// Unpacks a package, by name. It is nothing but its files: headers that differ, and bytes that are no file's, are refused like a changed content.
pub(super) fn unpack(bytes: &[u8], unpacked_limit: usize) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    if bytes.len() > MAX_PACKAGE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let archive = ZipArchive::from_slice(bytes).map_err(malformed)?;
    let mut entries = archive.entries();
    let (mut files, mut layout) = (BTreeMap::new(), Layout::of(bytes));
    let mut left = unpacked_limit;
    while let Some(entry) = entries.next_entry().map_err(malformed)? {
        if files.len() >= MAX_FILES {
            return Err(ArchiveError::TooManyFiles);
        }
        let path = entry.file_path();
        let raw: &[u8] = path.as_ref();
        let name = std::str::from_utf8(raw).ok().filter(|name| is_legal(name)).ok_or(ArchiveError::Name)?.to_owned();
        let local = archive.get_entry(entry.wayfinder()).map_err(malformed)?;
        let content = content(&local, entry.compression_method(), left)?;
        left = left.checked_sub(content.len()).ok_or(ArchiveError::Bomb)?;
        if files.insert(name, content).is_some() {
            return Err(ArchiveError::Twice);
        }
        let data = local.compressed_data_range();
        layout.add(&Member { central: entry.central_directory_offset(), local: entry.local_header_offset(), data })?;
    }
    layout.close()?;
    Ok(files)
}

/// What a file holds, or one byte more than may be: whoever fills that is too much.
fn content(local: &ZipSliceEntry<'_>, method: CompressionMethod, left: usize) -> Result<Vec<u8>, ArchiveError> {
    let (bound, mut content) = (left as u64 + 1, Vec::new());
    if method == CompressionMethod::STORE {
        local.verifying_reader(local.data()).take(bound).read_to_end(&mut content).map_err(malformed)?;
    } else if method == CompressionMethod::DEFLATE {
        let mut packed = DeflateDecoder::new(local.data());
        local.verifying_reader(&mut packed).take(bound).read_to_end(&mut content).map_err(malformed)?;
        if content.len() <= left && packed.total_in() != local.data().len() as u64 {
            return Err(malformed("a file goes on behind its end"));
        }
    } else {
        return Err(malformed("a compression method that packages do not use"));
    }
    Ok(content)
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
