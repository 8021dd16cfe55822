//! That a zip file is its members and nothing else: what it says of each twice it says alike, and no byte of it belongs to nobody.
//!
//! In scope: local headers against the central directory, data descriptors, what stands between members, and how the file ends. Out of scope: the members'
//! contents, whose checksums are checked where they are unpacked. Of the central directory nothing says anything again: which system a member was made
//! on and what attributes it had there.
//!
//! Layout by PKWARE's APPNOTE 6.3, sections 4.3.7 (local header), 4.3.9 (descriptor), 4.3.12 (central directory) and 4.3.16 (its end).

use super::archive::{ArchiveError, malformed};
use std::ops::Range;

const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
/// Version, flags, method, time and date.
const LOCAL_ABOUT: Range<usize> = 4..14;
const CENTRAL_ABOUT: Range<usize> = 6..16;
/// Checksum and both sizes.
const LOCAL_SUMS: Range<usize> = 14..26;
const CENTRAL_SUMS: Range<usize> = 16..28;
/// The lengths of the name and of extra fields.
const LOCAL_LENGTHS: Range<usize> = 26..30;
const CENTRAL_LENGTHS: Range<usize> = 28..32;
/// The length of a comment, and on which disk the member begins.
const CENTRAL_REST: Range<usize> = 32..36;
/// Bit 3 of the flags: checksum and sizes stand behind the member.
const DESCRIPTOR_FLAG: u8 = 8;
const DESCRIPTOR_SIGNATURE: &[u8] = b"PK\x07\x08";
const END_SIGNATURE: &[u8] = b"PK\x05\x06";
/// What stands before the end where there are more members than its fields count (sections 4.3.14 and 4.3.15).
const LARGE_END_BYTES: usize = 56 + 20;

/// A member, by its places in the file.
pub(super) struct Member {
    /// Where its record in the central directory begins.
    pub central: u64,
    /// Where its local header begins.
    pub local: u64,
    /// Where its packed content begins and ends.
    pub data: (u64, u64),
}

/// The members of a file as they are gone through, in the order of its central directory.
pub(super) struct Layout<'z> {
    bytes: &'z [u8],
    /// From where to where each reaches with all that is its own.
    members: Vec<Range<usize>>,
    /// The same of their records in the directory.
    records: Vec<Range<usize>>,
}

impl<'z> Layout<'z> {
    pub(super) fn of(bytes: &'z [u8]) -> Layout<'z> {
        Layout { bytes, members: Vec::new(), records: Vec::new() }
    }

    /// Takes in the next member.
    pub(super) fn add(&mut self, member: &Member) -> Result<(), ArchiveError> {
        let [central, local, begins, ends] = [member.central, member.local, member.data.0, member.data.1].map(place);
        let record = self.part(central, CENTRAL_BYTES)?;
        let header = self.part(local, LOCAL_BYTES)?;
        let name_bytes = usize::from(u16::from_le_bytes(fixed(record, CENTRAL_LENGTHS)?));
        let name = |at: usize| self.part(at, name_bytes);
        if record.get(CENTRAL_REST) != Some(&[0; 4]) || fixed::<4>(record, CENTRAL_LENGTHS)?.get(2..) != Some(&[0; 2]) {
            return Err(malformed("a member has a comment or extra fields, which none in a package has"));
        }
        let is_alike = header.get(LOCAL_ABOUT) == record.get(CENTRAL_ABOUT)
            && header.get(LOCAL_LENGTHS) == record.get(CENTRAL_LENGTHS)
            && name(local + LOCAL_BYTES)? == name(central + CENTRAL_BYTES)?
            && begins == local + LOCAL_BYTES + name_bytes;
        let sums = record.get(CENTRAL_SUMS).unwrap_or_default();
        let has_descriptor = record.get(8).is_some_and(|flags| flags & DESCRIPTOR_FLAG != 0);
        let told = header.get(LOCAL_SUMS).unwrap_or_default();
        if !is_alike || !(told == sums || (has_descriptor && told.iter().all(|byte| *byte == 0))) {
            return Err(malformed("a member's own header says something else than the directory"));
        }
        let end = if has_descriptor { ends + self.descriptor(ends, sums)? } else { ends };
        self.members.push(local..end);
        self.records.push(central..central + CENTRAL_BYTES + name_bytes);
        Ok(())
    }

    /// How long the descriptor is that stands at a place and says this; its signature may be left out.
    fn descriptor(&self, at: usize, sums: &[u8]) -> Result<usize, ArchiveError> {
        let found = self.bytes.get(at..).unwrap_or_default();
        let said = found.strip_prefix(DESCRIPTOR_SIGNATURE).filter(|said| said.starts_with(sums));
        match said {
            Some(_) => Ok(DESCRIPTOR_SIGNATURE.len() + sums.len()),
            None if found.starts_with(sums) => Ok(sums.len()),
            None => Err(malformed("what stands behind a member says something else of it than the directory")),
        }
    }

    /// All are taken in: they follow each other from the first byte on, then their records do, and then the file ends.
    pub(super) fn close(mut self) -> Result<(), ArchiveError> {
        self.members.sort_by_key(|member| member.start);
        let directory = joined(0, &self.members)?;
        let end = joined(directory, &self.records)?;
        let tail = self.bytes.get(end..).unwrap_or_default();
        match u16::try_from(self.records.len()).ok().filter(|count| *count < u16::MAX) {
            Some(count) if tail == ending(count, end - directory, directory) => Ok(()),
            None if tail.len() == LARGE_END_BYTES + ending(0, 0, 0).len() => Ok(()),
            _ => Err(malformed("the directory does not end as it says")),
        }
    }

    fn part(&self, at: usize, length: usize) -> Result<&'z [u8], ArchiveError> {
        self.bytes.get(at..at.saturating_add(length)).ok_or_else(|| malformed("a header is cut off"))
    }
}

/// Where parts end that follow each other from a place on.
fn joined(from: usize, parts: &[Range<usize>]) -> Result<usize, ArchiveError> {
    let joined = parts.iter().try_fold(from, |at, part| (part.start == at).then_some(part.end));
    joined.ok_or_else(|| malformed("bytes in it belong to none of its members, or to two"))
}

/// The end of a directory: on one disk, so many records, so many bytes, from there on, and no comment.
fn ending(count: u16, length: usize, from: usize) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let (count, disk) = (count.to_le_bytes(), [0; 4]);
    [END_SIGNATURE, &disk, &count, &count, &word(length), &word(from), &[0; 2]].concat()
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn fixed<const N: usize>(bytes: &[u8], range: Range<usize>) -> Result<[u8; N], ArchiveError> {
    let found = bytes.get(range).and_then(<[u8]>::first_chunk);
    found.copied().ok_or_else(|| malformed("a header is cut off"))
}
