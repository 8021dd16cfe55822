//! Witnessing: asking for a cosignature, judging such a request, and reading the answer. Plain data on both sides of the wire.
//!
//! [tlog-witness](https://c2sp.org/tlog-witness). Where two trees of the same size differ, version 1.0.0 answers 409 and later texts 422;
//! this witness answers 422, and as a client takes a 409 that names no size for the same alarm.

use std::fmt;
use std::str::FromStr;

use super::checkpoint::Checkpoint;
use super::encoding::decimal;
use super::error::{Format, Malformed};
use super::key::VerifierKey;
use super::merkle::{self, Hash};
use super::note::{MAX_NOTE_BYTES, Note, NoteSignature};
use super::policy::{Policy, PolicyLog};

/// The most hashes a request may carry.
pub const MAX_CONSISTENCY_HASHES: usize = 63;
/// The largest request, in bytes: a checkpoint, and a line for the old size and for each hash.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 64 * 64;
/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The most signature lines of an answer that are looked at.
const MAX_ANSWER_LINES: usize = 16;

/// The media type of a 409's body.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// A request for a cosignature. Written and read by `Display` and `FromStr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size the witness last cosigned, as the log believes.
    pub old_size: u64,
    /// That the checkpoint's tree extends the one of that size.
    pub proof: Vec<Hash>,
    pub checkpoint: Note,
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for AddCheckpoint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<AddCheckpoint, Malformed> {
        let refuse = |rule| Malformed::new(Format::WitnessRequest, rule);
        if text.len() > MAX_REQUEST_BYTES {
            return Err(refuse("it is too large"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(refuse("no empty line parts the proof from the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = old_size.ok_or(refuse("the old size is missing or not a plain decimal number"))?;
        let proof = lines.take(MAX_CONSISTENCY_HASHES + 1).map(Hash::from_str).collect::<Result<Vec<_>, _>>();
        let proof = proof.map_err(|_| refuse("a hash is not the base64 of 32 bytes"))?;
        if proof.len() > MAX_CONSISTENCY_HASHES {
            return Err(refuse("it has too many hashes"));
        }
        Ok(AddCheckpoint { old_size, proof, checkpoint: checkpoint.parse()? })
    }
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declined {
    /// The checkpoint is none, or its size is below the old one: 400.
    Malformed,
    /// The log is not one that is witnessed here: 404.
    UnknownLog,
    /// No key of the log signed, or one signed wrongly: 403.
    NotSigned,
    /// The witness is at this size: 409.
    OtherSize { size: u64 },
    /// Nothing shows that the tree extends what the witness cosigned: 422. Whoever sends the request makes the proof, so that this says nothing
    /// against the log.
    NotExtending,
}

impl Declined {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Declined::Malformed => 400,
            Declined::UnknownLog => 404,
            Declined::NotSigned => 403,
            Declined::OtherSize { .. } => 409,
            Declined::NotExtending => 422,
        }
    }
}

/// The log and tree of a request that one of `logs` signed under its own origin; nothing is said yet of whether it may be cosigned.
///
/// # Errors
/// When it is malformed, another's, or not signed.
pub fn identify(request: &AddCheckpoint, logs: &Policy) -> Result<Checkpoint, Declined> {
    let checkpoint: Checkpoint = request.checkpoint.unverified_text().parse().map_err(|_| Declined::Malformed)?;
    let of_log: Vec<&PolicyLog> = logs.logs().iter().filter(|log| log.key.name() == checkpoint.origin).collect();
    if of_log.is_empty() {
        return Err(Declined::UnknownLog);
    }
    // A key that was succeeded signs nothing larger than the tree at which it was.
    let keys: Vec<&VerifierKey> = of_log.into_iter().filter(|log| log.is_in_time(checkpoint.size)).map(|log| &log.key).collect();
    request.checkpoint.open(&keys).map_err(|_| Declined::NotSigned)?;
    if request.old_size > checkpoint.size {
        return Err(Declined::Malformed);
    }
    Ok(checkpoint)
}

/// Whether a checkpoint extends the tree that was cosigned last (its size and root; none means none yet).
///
/// # Errors
/// When the request starts from another size, or the proof does not hold.
pub fn judge(request: &AddCheckpoint, checkpoint: &Checkpoint, last: Option<(u64, Hash)>) -> Result<(), Declined> {
    let (size, root) = last.unwrap_or((0, Hash::EMPTY_ROOT));
    if request.old_size != size {
        return Err(Declined::OtherSize { size });
    }
    let consistent = if size == 0 || size == checkpoint.size {
        let expected = if checkpoint.size == 0 { Some(Hash::EMPTY_ROOT) } else { (size > 0).then_some(root) };
        request.proof.is_empty() && expected.is_none_or(|root| root == checkpoint.root)
    } else {
        merkle::verify_consistency(size, checkpoint.size, &request.proof, &root, &checkpoint.root).is_ok()
    };
    if consistent { Ok(()) } else { Err(Declined::NotExtending) }
}

/// Whether the log's own signatures stand under two trees of one size, the one cosigned last and this one. That is a split view, whoever shows
/// it and whatever proof comes along; nothing else is.
pub fn is_split_view(checkpoint: &Checkpoint, last: Option<(u64, Hash)>) -> bool {
    last.is_some_and(|(size, root)| size == checkpoint.size && root != checkpoint.root)
}

/// What an answer to a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The witness's cosignature, verified.
    Cosigned(NoteSignature),
    /// The witness is at this size: ask again from there.
    From(u64),
    /// The witness is at this size, beyond the tree that it was shown: whoever holds a newer checkpoint of the log may have shown it that. Where the log was
    /// never so large, it is another log.
    Beyond(u64),
    /// The witness saw another history of this log than the one it was shown now.
    SplitView,
    /// Nothing that can be used; asking again later may help.
    Unusable(&'static str),
}

/// Reads a witness's answer to a checkpoint of ours, by its status, media type and body.
pub fn read_answer(status: u16, media_type: &str, body: &[u8], checkpoint: &Note, size: u64, witness: &VerifierKey) -> Answer {
    match status {
        200 => cosignature(body, checkpoint, witness).unwrap_or_else(Answer::Unusable),
        409 if media_type.split(';').next().map(str::trim) == Some(SIZE_MEDIA_TYPE) => {
            let stated = std::str::from_utf8(body).ok().and_then(|text| decimal(text.trim_end_matches('\n')));
            match stated {
                Some(stated) if stated > size => Answer::Beyond(stated),
                Some(stated) => Answer::From(stated),
                None => Answer::SplitView,
            }
        }
        409 | 422 => Answer::SplitView,
        404 => Answer::Unusable("it does not know this log"),
        403 => Answer::Unusable("it does not know this log's key"),
        429 => Answer::Unusable("it asks for patience"),
        _ => Answer::Unusable("it answered with another status"),
    }
}

fn cosignature(body: &[u8], checkpoint: &Note, witness: &VerifierKey) -> Result<Answer, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "its answer is not UTF-8")?;
    for line in text.lines().take(MAX_ANSWER_LINES) {
        let Ok(signature) = line.parse::<NoteSignature>() else { return Err("its answer is not made of signature lines") };
        if witness.claims(&signature) {
            let verified = witness.verify(checkpoint.unverified_text(), &signature);
            return verified.map(|_| Answer::Cosigned(signature)).map_err(|_| "its cosignature does not verify");
        }
    }
    Err("its answer has no cosignature by its key")
}
