//! Checkpoints: which log, how large, with which root; signed as a note.

use std::fmt;
use std::str::FromStr;

use super::encoding::{decimal, has_control};
use super::error::{Format, LedgerError, Malformed, SignatureError};
use super::key::{SigningKey, VerifierKey};
use super::merkle::Hash;
use super::note::{Note, OpenedNote};

/// What a checkpoint says. Its text form, by `Display` and `FromStr`, is the note's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity; by custom a URL without its scheme. Not empty, one line.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// Further lines, which nobody audits: kept when read, never written by us.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Checkpoint {
        Checkpoint { origin: origin.into(), size, root, extensions: Vec::new() }
    }

    /// Signs it with each key; the caller answers for never signing two inconsistent ones.
    ///
    /// # Errors
    /// When a line is empty or has control characters, or a key is a cosigner's.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Note, LedgerError> {
        let text = self.to_string();
        if text.parse::<Checkpoint>()? != *self {
            return Err(Malformed::new(Format::Checkpoint, "a line is empty or has a line end in it").into());
        }
        let signatures = keys.iter().map(|key| key.sign(&text)).collect::<Result<_, _>>()?;
        Ok(Note::new(&text, signatures)?)
    }

    /// Opens a signed checkpoint of the log with this origin, one of whose keys must have signed it.
    ///
    /// # Errors
    /// When no such key signed, or one signed wrongly, or the checkpoint is another log's or malformed.
    pub fn open(note: &Note, origin: &str, log_keys: &[&VerifierKey]) -> Result<Checkpoint, LedgerError> {
        let opened = note.open(log_keys)?;
        let checkpoint = Checkpoint::of(&opened)?;
        if checkpoint.origin == origin { Ok(checkpoint) } else { Err(SignatureError::WrongOrigin { origin: checkpoint.origin }.into()) }
    }

    /// What an opened note says; the caller judges who signed and for which log.
    ///
    /// # Errors
    /// When its text is no checkpoint.
    pub fn of(note: &OpenedNote<'_>) -> Result<Checkpoint, Malformed> {
        note.text().parse()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Checkpoint, Malformed> {
        let refuse = |rule| Malformed::new(Format::Checkpoint, rule);
        let body = text.strip_suffix('\n').ok_or(refuse("the last line does not end in a line end"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(refuse("it has fewer than three lines"));
        };
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return Err(refuse("it has an empty line"));
        }
        if body.split('\n').any(has_control) {
            return Err(refuse("it has control characters"));
        }
        let size = decimal(size).ok_or(refuse("the size is not a plain decimal number").at_line(2))?;
        let root = root.parse().map_err(|_| refuse("the root is not the base64 of 32 bytes").at_line(3))?;
        Ok(Checkpoint { origin: origin.to_owned(), size, root, extensions })
    }
}
