//! One document, read as far as there is room for it.

use super::{Content, InputError};
use crate::command::named;
use std::io::{self, Read};
use std::path::Path;

/// The largest document that is read, unpacked.
pub const FILE_BYTES_MAX: usize = named::BYTES_MAX;
/// The most values or elements of one document. Each takes some 60 bytes once it is read, however short it was, so that this is 2 GB.
pub const VALUES_MAX: usize = 32 << 20;
/// How much is read at once.
const PORTION_BYTES: usize = 16 << 10;
/// How long a document becomes by growing. What grows is copied, and stands beside its copy until then, so that no more than this does.
const PIECE_BYTES: usize = 16 << 20;

/// What one document may take.
#[derive(Clone, Copy)]
pub struct Room {
    pub bytes: usize,
    pub values: usize,
}

pub const ROOM: Room = Room { bytes: FILE_BYTES_MAX, values: VALUES_MAX };

/// Reads one document as far as there is room: a compressed bomb ends here, before it is unpacked. What is read never takes more memory than may be read,
/// and a piece.
pub fn whole(mut reader: impl Read, is_xml: bool, room: Room) -> io::Result<Content> {
    let (mut bytes, mut values, mut portion) = (Vec::new(), Values::of(is_xml), vec![0; PORTION_BYTES]);
    loop {
        let length = match reader.read(&mut portion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let read = portion.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(Content::Bytes(bytes));
        }
        if bytes.len() + read.len() > room.bytes || values.count(read) > room.values {
            return Ok(Content::TooLong);
        }
        make_room(&mut bytes, read.len(), room.bytes);
        bytes.extend_from_slice(read);
    }
}

/// Makes room for more bytes, of which there may be so many in all. What has become long gets all that room at once, which takes no memory until it is
/// written to; where that is refused it grows as what is short does.
fn make_room(bytes: &mut Vec<u8>, more: usize, most: usize) {
    let needed = bytes.len() + more;
    if needed <= bytes.capacity() || needed > PIECE_BYTES && bytes.try_reserve_exact(most - bytes.len()).is_ok() {
        return;
    }
    let wanted = needed.max(bytes.capacity() * 2).min(most);
    bytes.reserve_exact(wanted - bytes.len());
}

/// Counts what takes room in a document once it is read: in JSON what stands between values, in XML the tags. What looks like it within a text or a
/// comment of JSON is none.
pub struct Values {
    number: usize,
    within: Within,
}

/// What the byte last looked at stands in.
#[derive(Clone, Copy)]
enum Within {
    Xml,
    Structure,
    Text,
    /// Behind a backslash in a text.
    Escaped,
    /// Behind a slash that may begin a comment; comments are no JSON, and are passed over.
    Slash,
    Line,
    Block,
    /// Behind a star that may end a comment.
    Star,
}

impl Values {
    pub fn of(is_xml: bool) -> Values {
        Values { number: 0, within: if is_xml { Within::Xml } else { Within::Structure } }
    }

    /// How many there were, up to the end of these bytes.
    pub fn count(&mut self, bytes: &[u8]) -> usize {
        for &byte in bytes {
            let counts = matches!((self.within, byte), (Within::Structure, b',' | b'[' | b'{') | (Within::Xml, b'<'));
            self.number += usize::from(counts);
            self.within = self.within.behind(byte);
        }
        self.number
    }
}

impl Within {
    fn behind(self, byte: u8) -> Within {
        match (self, byte) {
            (Within::Xml, _) => Within::Xml,
            (Within::Structure, b'"') | (Within::Escaped, _) => Within::Text,
            (Within::Structure, b'/') => Within::Slash,
            (Within::Text, b'"') | (Within::Line, b'\n') | (Within::Star, b'/') => Within::Structure,
            (Within::Text, b'\\') => Within::Escaped,
            (Within::Slash, b'/') => Within::Line,
            // As it is read, `/*/` is a comment.
            (Within::Slash | Within::Block | Within::Star, b'*') => Within::Star,
            (Within::Slash, _) => Within::Structure,
            (Within::Star, _) => Within::Block,
            (same, _) => same,
        }
    }
}

/// The bytes of a definition.
pub fn definition(path: &Path) -> Result<Vec<u8>, InputError> {
    let failed = |error: io::Error| InputError::new(true, path, error);
    let is_xml = path.extension().is_some_and(|extension| extension == "xml");
    match whole(named::open(path).map_err(failed)?, is_xml, ROOM).map_err(failed)? {
        Content::Bytes(bytes) => Ok(bytes),
        _ => Err(InputError::new(true, path, format!("is longer than is read ({FILE_BYTES_MAX} bytes, {VALUES_MAX} values)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], is_xml: bool, values: usize) -> Option<(usize, bool)> {
        match whole(io::Cursor::new(bytes), is_xml, Room { bytes: 40_000, values }) {
            Ok(Content::Bytes(read)) => Some((bytes.len(), read == bytes && read.capacity() <= 40_000)),
            _ => None,
        }
    }

    #[test]
    fn a_document_takes_no_more_room_than_there_is() {
        assert_eq!(read(&[b' '; 40_000], false, 0), Some((40_000, true)));
        assert_eq!((read(&[b' '; 40_001], false, 0), read(b"[1,1]", false, 2), read(b"[1,1]", false, 1)), (None, Some((5, true)), None));
        let long: Vec<u8> = (0..PIECE_BYTES * 2 + 5_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let room = Room { bytes: long.len(), values: usize::MAX };
        let Ok(Content::Bytes(read)) = whole(io::Cursor::new(&long), false, room) else { panic!("it is as long as may be") };
        assert!(read == long && read.capacity() == long.len());
        assert!(matches!(whole(io::Cursor::new(&long), false, Room { bytes: long.len() - 1, ..room }), Ok(Content::TooLong)));
    }

    #[test]
    fn what_is_in_a_text_is_no_value() {
        for (text, is_xml, expected) in [
            (r#"{"a": ",[{<", "b": [1]}"#, false, 3),
            (r#"{"a": "\",[{", "b\\": [1]}"#, false, 3),
            ("[1 // \"\n, 2, /* \" */ 3, /*/ 4, /* ** / **/ 5]", false, 5),
            ("[1 / \"[,\", 2]", false, 2),
            ("<a b=\"c\">\",[{<d/>'</a>", true, 3),
        ] {
            assert_eq!(Values::of(is_xml).count(text.as_bytes()), expected, "{text}");
            let in_parts: Vec<usize> = text.bytes().scan(Values::of(is_xml), |values, byte| Some(values.count(&[byte]))).collect();
            assert_eq!(in_parts.last(), Some(&expected), "{text}");
        }
    }
}
