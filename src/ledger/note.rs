//! Signed notes: a text and the lines of those who signed it.
//!
//! A [`Note`] was parsed and is not believed; an [`OpenedNote`] was signed by at least one key that the reader knows.

use std::fmt;
use std::str::FromStr;

use super::encoding::{base64_decode, base64_encode, has_control};
use super::error::{Format, Malformed, SignatureError};
use super::key::{VerifierKey, check_name};

/// The largest note that is read, in bytes.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;
/// The most signature lines a note may have; the format demands at least sixteen.
pub const MAX_SIGNATURES: usize = 64;

/// One signature line: `— <key name> base64(key id ‖ payload)`. Written and read without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub key_name: String,
    pub key_id: u32,
    /// What the key's algorithm puts there: for Ed25519 64 bytes, for a cosignature time and signature.
    pub payload: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.payload);
        write!(f, "\u{2014} {} {}", self.key_name, base64_encode(&bytes))
    }
}

impl FromStr for NoteSignature {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<NoteSignature, Malformed> {
        let refuse = |rule| Malformed::new(Format::Note, rule);
        let rest = line.strip_prefix("\u{2014} ").ok_or(refuse("a signature line does not begin with an em dash and a space"))?;
        let (name, data) = rest.split_once(' ').ok_or(refuse("a signature line has no signature"))?;
        check_name(name).map_err(refuse)?;
        let bytes = base64_decode(data).ok_or(refuse("a signature is not standard base64"))?;
        let (id, payload) = bytes.split_first_chunk::<4>().ok_or(refuse("a signature is shorter than its key id"))?;
        if payload.is_empty() {
            return Err(refuse("a signature is nothing but its key id"));
        }
        Ok(NoteSignature { key_name: name.to_owned(), key_id: u32::from_be_bytes(*id), payload: payload.to_vec() })
    }
}

/// A text with signature lines, none of them checked. Written and read by `Display` and `FromStr`, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Puts signatures under a text.
    ///
    /// # Errors
    /// When the text does not end in a line end or has control characters, or there are no or too many signatures.
    pub fn new(text: &str, signatures: Vec<NoteSignature>) -> Result<Note, Malformed> {
        let refuse = |rule| Malformed::new(Format::Note, rule);
        if !text.ends_with('\n') {
            return Err(refuse("the text does not end in a line end"));
        }
        if text.split('\n').any(has_control) {
            return Err(refuse("it has control characters"));
        }
        if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
            return Err(refuse("it has no signatures, or too many"));
        }
        Ok(Note { text: text.to_owned(), signatures })
    }

    /// Reads a note from bytes.
    ///
    /// # Errors
    /// When they break a rule of the format, or are more than [`MAX_NOTE_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Note, Malformed> {
        let refuse = |rule| Malformed::new(Format::Note, rule);
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(refuse("it is too large"));
        }
        std::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))?.parse()
    }

    /// The text, as anybody may have written it.
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in their order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a line, say a witness's.
    ///
    /// # Errors
    /// When there would be too many.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), Malformed> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(Malformed::new(Format::Note, "it has too many signatures"));
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Checks every signature by a known key; lines by others are ignored.
    ///
    /// # Errors
    /// When a known key's signature does not verify, or no known key signed.
    pub fn open(&self, known: &[&VerifierKey]) -> Result<OpenedNote<'_>, SignatureError> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            if let Some(key) = find_key(known, signature)? {
                let timestamp_seconds = key.verify(&self.text, signature)?;
                verified.push(VerifiedSignature { key: key.clone(), timestamp_seconds });
            }
        }
        if verified.is_empty() { Err(SignatureError::NoKnownKey) } else { Ok(OpenedNote { text: &self.text, verified }) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = Malformed;

    fn from_str(note: &str) -> Result<Note, Malformed> {
        let refuse = |rule| Malformed::new(Format::Note, rule);
        if note.len() > MAX_NOTE_BYTES {
            return Err(refuse("it is too large"));
        }
        // The text may have empty lines itself; only the last one parts it from the signatures.
        let blank = note.rfind("\n\n").ok_or(refuse("no empty line parts the text from the signatures"))?;
        let (text, lines) = note.split_at_checked(blank + 1).ok_or(refuse("no empty line parts the text from the signatures"))?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(refuse("the last line does not end in a line end"))?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(refuse("it has too many signatures"));
        }
        let signatures = lines.split('\n').map(NoteSignature::from_str).collect::<Result<_, _>>()?;
        Note::new(text, signatures)
    }
}

/// A note that a known key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedNote<'a> {
    text: &'a str,
    verified: Vec<VerifiedSignature>,
}

impl<'a> OpenedNote<'a> {
    /// The text the known keys signed.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Who signed, in the order of the lines; never empty.
    pub fn verified(&self) -> &[VerifiedSignature] {
        &self.verified
    }
}

/// A known key's signature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    pub key: VerifierKey,
    /// The time a cosignature states, in POSIX seconds.
    pub timestamp_seconds: Option<u64>,
}

fn find_key<'a>(known: &[&'a VerifierKey], signature: &NoteSignature) -> Result<Option<&'a VerifierKey>, SignatureError> {
    let mut found: Option<&VerifierKey> = None;
    for key in known.iter().filter(|key| key.claims(signature)) {
        if found.is_some_and(|other| other != *key) {
            return Err(SignatureError::AmbiguousKey { key_name: key.name().to_owned() });
        }
        found = Some(key);
    }
    Ok(found)
}
