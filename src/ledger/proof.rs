//! Proof files (`.tlog-proof`): that an entry is in a log, checkable offline with nothing but a policy.

use std::fmt;
use std::str::FromStr;

use super::encoding::{base64_bytes, base64_decode, base64_onto, decimal};
use super::error::{Format, LedgerError, Malformed};
use super::merkle::{self, Hash};
use super::note::Note;
use super::policy::{Accepted, Policy};

/// The largest proof file, in bytes.
pub const MAX_PROOF_BYTES: usize = 1024 * 1024;
/// The most hashes in a proof: one for each level of a tree whose size is a 64-bit number.
pub const MAX_PROOF_HASHES: usize = 64;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
const EXTRA: &str = "extra ";
/// The most that the index line and the line ends around it take.
const INDEX_BYTES: usize = 32;

/// A proof file's content, none of it checked. Written and read by `Display` and `FromStr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// Anything the application wants to carry along, such as the opening of a commitment. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index, from zero.
    pub index: u64,
    /// Hashes from the leaf's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

impl LogProof {
    /// Checks that an entry with this leaf hash is in a log that the policy accepts.
    ///
    /// # Errors
    /// When the policy refuses the checkpoint, or the hashes do not lead to its root.
    pub fn verify(&self, leaf: &Hash, policy: &Policy) -> Result<Accepted, LedgerError> {
        let accepted = policy.accept(&self.checkpoint)?;
        let checkpoint = accepted.checkpoint();
        merkle::verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(accepted)
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&proof_text(self.extra.as_deref(), self.index, &self.path, &self.checkpoint.to_string()))
    }
}

/// A proof file's text, for who has the checkpoint as text: many proofs share one.
pub fn proof_text(extra: Option<&[u8]>, index: u64, path: &[Hash], checkpoint: &str) -> String {
    let extra_bytes = extra.map_or(0, |extra| EXTRA.len() + 1 + base64_bytes(extra.len()));
    let path_bytes = path.len() * (base64_bytes(Hash::LEN) + 1);
    let mut text = String::with_capacity(HEADER.len() + extra_bytes + INDEX_BYTES + path_bytes + checkpoint.len());
    text.extend([HEADER, "\n"]);
    if let Some(extra) = extra {
        text.push_str(EXTRA);
        base64_onto(&mut text, extra);
        text.push('\n');
    }
    text.extend(["index ", &index.to_string(), "\n"]);
    for hash in path {
        base64_onto(&mut text, &hash.0);
        text.push('\n');
    }
    text.extend(["\n", checkpoint]);
    text
}

impl FromStr for LogProof {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<LogProof, Malformed> {
        let refuse = |rule| Malformed::new(Format::Proof, rule);
        if text.len() > MAX_PROOF_BYTES {
            return Err(refuse("it is too large"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(refuse("no empty line parts the proof from the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refuse("it does not begin with c2sp.org/tlog-proof@v1").at_line(1));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(|line| line.strip_prefix("extra ").and_then(base64_decode));
        let extra = extra.map(|extra| extra.ok_or(refuse("the extra data is not standard base64").at_line(2))).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(refuse("the index line is missing or not a plain decimal number"))?;
        let path = lines.take(MAX_PROOF_HASHES + 1).map(Hash::from_str).collect::<Result<Vec<_>, _>>();
        let path = path.map_err(|_| refuse("a hash is not the base64 of 32 bytes"))?;
        if path.len() > MAX_PROOF_HASHES {
            return Err(refuse("it has too many hashes"));
        }
        Ok(LogProof { extra, index, path, checkpoint: checkpoint.parse()? })
    }
}
