//! A log's keys over time: each key was succeeded at some size, by a note that the old key and the new one both signed.
//!
//! The file is lines of text: `hearthgate/key-history/v1`, `key <vkey>` for the first key, then for each succession `next <base64>` with
//! the signed note. Last comes `second <base64>` where the log signs with a key of another kind too (ML-DSA-44): a note by which the key in use
//! names it. The note's text says which log, at which size and root, from which key to which. Its first line is no origin of
//! ours and its second no number, so that it can never be taken for a checkpoint.

use std::fmt;
use std::str::FromStr;

use super::checkpoint::Checkpoint;
use super::encoding::{base64_decode, base64_encode, decimal};
use super::error::{Format, LedgerError, Malformed, SignatureError};
use super::key::{Algorithm, SigningKey, VerifierKey};
use super::merkle::Hash;
use super::note::Note;

/// The largest history file, in bytes.
pub const MAX_HISTORY_BYTES: usize = 1024 * 1024;
/// The most successions one log may have: one a month for a century.
pub const MAX_SUCCESSIONS: usize = 1200;

const HEADER: &str = "hearthgate/key-history/v1";
const NOTE_HEADER: &str = "hearthgate/key-rotation/v1";
const SECOND_HEADER: &str = "hearthgate/second-key/v1";

/// A log's keys, each succession of which was verified when this was made. Written and read by `Display` and `FromStr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHistory {
    first: VerifierKey,
    successions: Vec<Succession>,
    second: Option<Second>,
}

/// A key of another kind beside the one in use, which names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Second {
    key: VerifierKey,
    note: Note,
}

/// One key giving way to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Succession {
    /// Leaves in the tree when it happened: the old key signs no larger one.
    size: u64,
    root: Hash,
    next: VerifierKey,
    note: Note,
}

/// A key and the largest tree it may have signed; nothing for the key in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    pub key: VerifierKey,
    pub until_size: Option<u64>,
}

impl KeyHistory {
    /// The history of a log that has had one key.
    pub fn of(first: VerifierKey) -> KeyHistory {
        KeyHistory { first, successions: Vec::new(), second: None }
    }

    /// The key in use.
    pub fn current(&self) -> &VerifierKey {
        self.successions.last().map_or(&self.first, |succession| &succession.next)
    }

    /// The key that signs beside the one in use.
    pub fn second(&self) -> Option<&VerifierKey> {
        self.second.as_ref().map(|second| &second.key)
    }

    /// Whether it says all that an earlier one of the same log does, and maybe more.
    pub fn goes_on_from(&self, earlier: &KeyHistory) -> bool {
        self.first == earlier.first && self.successions.starts_with(&earlier.successions)
    }

    /// Every key from the first to the one in use, with the size it signed up to.
    pub fn tenures(&self) -> Vec<Tenure> {
        let ends = self.successions.iter().map(|succession| Some(succession.size)).chain([None]);
        let keys = std::iter::once(&self.first).chain(self.successions.iter().map(|succession| &succession.next));
        keys.cloned().zip(ends).map(|(key, until_size)| Tenure { key, until_size }).collect()
    }

    /// Hands the log over from the key in use to another, at the tree of this checkpoint. Both keys sign.
    ///
    /// # Errors
    /// When the old key is not the one in use, the new one was used before, is of another kind or for another log, or the checkpoint is
    /// older than the last succession.
    pub fn succeed(&mut self, old: &SigningKey, new: &SigningKey, at: &Checkpoint) -> Result<(), LedgerError> {
        if old.verifier() != self.current() {
            return Err(SignatureError::WrongAlgorithm { key_name: old.verifier().name().to_owned() }.into());
        }
        let text = format!("{NOTE_HEADER}\n{}\n{}\n{}\n{}\n{}\n", at.origin, at.size, at.root, old.verifier(), new.verifier());
        let note = Note::new(&text, vec![old.sign(&text)?, new.sign(&text)?])?;
        self.add(note)
    }

    fn add(&mut self, note: Note) -> Result<(), LedgerError> {
        let refuse = |rule| LedgerError::Malformed(Malformed::new(Format::KeyHistory, rule));
        let text = note.unverified_text().to_owned();
        let lines: Vec<&str> = text.split('\n').collect();
        let &[NOTE_HEADER, origin, size, root, old, new, ""] = lines.as_slice() else {
            return Err(refuse("a succession does not have its six lines"));
        };
        let size = decimal(size).ok_or(refuse("a size is not a plain decimal number"))?;
        let root: Hash = root.parse()?;
        let (old, next): (VerifierKey, VerifierKey) = (old.parse()?, new.parse()?);
        let known = self.tenures();
        let is_new = known.iter().all(|tenure| tenure.key.public_key() != next.public_key());
        if old != *self.current() || !is_new || next.algorithm() != Algorithm::Ed25519 {
            return Err(refuse("a succession does not lead from the key in use to a new one"));
        }
        if origin != self.first.name() || next.name() != self.first.name() {
            return Err(refuse("a succession is another log's"));
        }
        if self.successions.last().is_some_and(|last| size < last.size) || self.successions.len() >= MAX_SUCCESSIONS {
            return Err(refuse("successions go back, or there are too many"));
        }
        let signed = note.open(&[&old, &next])?;
        if !signed.verified().iter().any(|signature| signature.key == old) || !signed.verified().iter().any(|one| one.key == next) {
            return Err(refuse("a succession is not signed by both keys"));
        }
        self.successions.push(Succession { size, root, next, note });
        // It was named by the key before.
        self.second = None;
        Ok(())
    }

    /// Names a second key, by a note of the key in use.
    fn name_second(&mut self, current: &SigningKey, second: &VerifierKey) -> Result<(), LedgerError> {
        let text = format!("{SECOND_HEADER}\n{}\n{}\n{second}\n", self.first.name(), current.verifier());
        let note = Note::new(&text, vec![current.sign(&text)?])?;
        self.add_second(note)
    }

    fn add_second(&mut self, note: Note) -> Result<(), LedgerError> {
        let refuse = |rule| LedgerError::Malformed(Malformed::new(Format::KeyHistory, rule));
        let text = note.unverified_text().to_owned();
        let lines: Vec<&str> = text.split('\n').collect();
        let &[SECOND_HEADER, origin, current, second, ""] = lines.as_slice() else {
            return Err(refuse("a second key does not have its four lines"));
        };
        let (named_by, key): (VerifierKey, VerifierKey) = (current.parse()?, second.parse()?);
        if origin != self.first.name() || key.name() != self.first.name() || key.algorithm() != Algorithm::MlDsa44 {
            return Err(refuse("a second key is another log's, or not of another kind"));
        }
        if named_by != *self.current() || self.second.is_some() {
            return Err(refuse("a second key is not named by the key in use, or there are two"));
        }
        note.open(&[&named_by])?;
        self.second = Some(Second { key, note });
        Ok(())
    }

    /// Opens a checkpoint that one of the log's keys signed in its time.
    ///
    /// # Errors
    /// When none did, or the key that did had been succeeded at a smaller size, or signed another tree at the size of its succession.
    pub fn open(&self, note: &Note, origin: &str) -> Result<Checkpoint, LedgerError> {
        let tenures = self.tenures();
        let keys: Vec<&VerifierKey> = tenures.iter().map(|tenure| &tenure.key).chain(self.second()).collect();
        let opened = note.open(&keys)?;
        let checkpoint = Checkpoint::of(&opened)?;
        if checkpoint.origin != origin {
            return Err(SignatureError::WrongOrigin { origin: checkpoint.origin }.into());
        }
        let in_time = |tenure: &Tenure| tenure.until_size.is_none_or(|size| checkpoint.size <= size);
        let signed = |tenure: &Tenure| opened.verified().iter().any(|signature| signature.key == tenure.key);
        if !tenures.iter().any(|tenure| signed(tenure) && in_time(tenure)) {
            return Err(SignatureError::NotSignedByLog.into());
        }
        if self.successions.iter().any(|succession| succession.size == checkpoint.size && succession.root != checkpoint.root) {
            return Err(LedgerError::RootDiffers { size: checkpoint.size });
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for KeyHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nkey {}", self.first)?;
        let mut line = |word: &str, note: &Note| writeln!(f, "{word} {}", base64_encode(note.to_string().as_bytes()));
        self.successions.iter().try_for_each(|succession| line("next", &succession.note))?;
        self.second.iter().try_for_each(|second| line("second", &second.note))
    }
}

impl FromStr for KeyHistory {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<KeyHistory, LedgerError> {
        let refuse = |rule, line| LedgerError::Malformed(Malformed::new(Format::KeyHistory, rule).at_line(line));
        if text.len() > MAX_HISTORY_BYTES {
            return Err(refuse("it is too large", 1));
        }
        let body = text.strip_suffix('\n').ok_or(refuse("the last line does not end in a line end", 1))?;
        let mut lines = body.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(refuse("it does not begin with hearthgate/key-history/v1", 1));
        }
        let first = lines.next().and_then(|line| line.strip_prefix("key ")).ok_or(refuse("the first key is missing", 2))?;
        let mut history = KeyHistory::of(first.parse()?);
        for (number, line) in (3..).zip(lines) {
            let (word, note) = line.split_once(' ').unwrap_or_default();
            let note = base64_decode(note).ok_or(refuse("it is no succession in base64", number))?;
            match word {
                "next" if history.second.is_none() => history.add(Note::from_bytes(&note)?)?,
                "second" => history.add_second(Note::from_bytes(&note)?)?,
                _ => return Err(refuse("it is neither a succession nor a second key", number)),
            }
        }
        Ok(history)
    }
}

/// The keys a log signs with: the one in use, those before it, and a second one of another kind if it has one.
#[derive(Debug, Clone)]
pub struct LogKeys {
    current: SigningKey,
    second: Option<SigningKey>,
    history: KeyHistory,
}

impl LogKeys {
    /// The keys of a log.
    ///
    /// # Errors
    /// When the key is not the last of the history, or the second is not of another kind or for another log.
    pub fn new(current: SigningKey, second: Option<SigningKey>, history: KeyHistory) -> Result<LogKeys, LedgerError> {
        let unfit = |key: &SigningKey| LedgerError::from(SignatureError::WrongAlgorithm { key_name: key.verifier().name().to_owned() });
        if current.verifier() != history.current() || current.verifier().algorithm() != Algorithm::Ed25519 {
            return Err(unfit(&current));
        }
        if let Some(second) = &second
            && (second.verifier().algorithm() != Algorithm::MlDsa44 || second.verifier().name() != current.verifier().name())
        {
            return Err(unfit(second));
        }
        let mut history = KeyHistory { second: None, ..history };
        second.iter().try_for_each(|second| history.name_second(&current, second.verifier()))?;
        Ok(LogKeys { current, second, history })
    }

    /// A log's only key.
    ///
    /// # Errors
    /// When it is a cosigner's.
    pub fn only(current: SigningKey) -> Result<LogKeys, LedgerError> {
        let history = KeyHistory::of(current.verifier().clone());
        LogKeys::new(current, None, history)
    }

    /// The public half of the key in use.
    pub fn verifier(&self) -> &VerifierKey {
        self.current.verifier()
    }

    /// The public half of the second key.
    pub fn second(&self) -> Option<&VerifierKey> {
        self.second.as_ref().map(SigningKey::verifier)
    }

    /// The keys in use, one a line: what a reader is given.
    pub fn texts(&self) -> String {
        std::iter::once(self.verifier()).chain(self.second()).map(|key| format!("{key}\n")).collect()
    }

    /// Every key there was.
    pub fn history(&self) -> &KeyHistory {
        &self.history
    }

    /// Signs a checkpoint; the caller answers for never signing two inconsistent ones.
    ///
    /// # Errors
    /// When a line of it is empty or has a line end in it.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, LedgerError> {
        let keys: Vec<&SigningKey> = std::iter::once(&self.current).chain(&self.second).collect();
        checkpoint.sign(&keys)
    }

    /// Whether a note is signed by the keys in use, and not only by those before them.
    pub fn is_signed_now(&self, note: &Note) -> bool {
        let keys = std::iter::once(self.verifier()).chain(self.second());
        keys.into_iter().all(|key| note.signatures().iter().any(|signature| key.claims(signature)))
    }
}
