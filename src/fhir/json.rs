//! JSON in and out (RFC 8259, FHIR R4 §2.6.1), nothing lost and nothing guessed.
//!
//! Refused, each with the byte where it stands: duplicate member names (compared after unescaping), nesting beyond the limit,
//! invalid UTF-8, lone surrogates, control characters in strings, anything after the document, and every leniency JSON does not have.
//! A byte order mark is the one thing passed over. Numbers keep their text.

mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use read::is_number;
pub use write::{canonical_onto, write, write_canonical, write_pretty};

use super::node::Node;

/// How deep arrays and objects may nest when the configuration says nothing.
pub const DEFAULT_DEPTH: usize = 128;

/// A document of any size may hold this many values, and one more for each [`BYTES_OF_A_VALUE`] of its bytes: FHIR's own documents have half as many, and
/// what holds more would take many times its size in memory.
pub const VALUES_OF_ANY: usize = 131_072;
pub const BYTES_OF_A_VALUE: usize = 8;

/// How many slips of a document are passed over; the next one ends the reading.
pub const SLIPS_MAX: usize = 100;

/// Where a slip is that no object is around.
pub const OUTSIDE: usize = usize::MAX;

/// Something that is not JSON, and that a reader can pass over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slip {
    pub kind: SlipKind,
    /// The byte where it is.
    pub at: usize,
    /// The byte where the innermost object around it begins, or [`OUTSIDE`].
    pub within: usize,
}

/// What a slip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlipKind {
    Comment,
    CommaMissing,
    CommaExtra,
    NameUnquoted,
    Duplicate,
    ControlCharacter,
}

/// Line and column (both from 1, the column in characters) of a byte offset.
pub fn line_and_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset.min(bytes.len())).unwrap_or_default();
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
    (line, column)
}

/// Reads one JSON document.
pub fn parse(bytes: &[u8], depth_limit: usize) -> Result<Node, SyntaxError> {
    read::read(bytes, depth_limit, None).map(|(node, _)| node)
}

/// Reads one JSON document, going on after what can be passed over: comments, commas that are missing or too many, names without quotes, and members
/// that are there twice, of which the first counts. What was passed over is said.
pub fn parse_leniently(bytes: &[u8], depth_limit: usize) -> Result<(Node, Vec<Slip>), SyntaxError> {
    read::read(bytes, depth_limit, Some(Vec::new()))
}
