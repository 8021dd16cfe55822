//! Why the ledger says no. Texts name formats, rules, paths and key names; entries are never quoted.

use std::fmt;

/// The format that something broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    TilePath,
    Tile,
    EntryBundle,
    Hash,
    VerifierKey,
    SigningKey,
    Note,
    Checkpoint,
    Cosignature,
    Policy,
    Proof,
    KeyHistory,
    WitnessRequest,
}

impl Format {
    /// The name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Format::TilePath => "tile path",
            Format::Tile => "tile",
            Format::EntryBundle => "entry bundle",
            Format::Hash => "hash",
            Format::VerifierKey => "verifier key",
            Format::SigningKey => "signing key",
            Format::Note => "signed note",
            Format::Checkpoint => "checkpoint",
            Format::Cosignature => "cosignature",
            Format::Policy => "policy",
            Format::Proof => "proof file",
            Format::KeyHistory => "key history",
            Format::WitnessRequest => "witness request",
        }
    }
}

/// Bytes that are not what their format demands: which format, which rule, and in line-based formats on which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub format: Format,
    pub rule: &'static str,
    pub line: Option<usize>,
}

impl Malformed {
    pub(crate) fn new(format: Format, rule: &'static str) -> Malformed {
        Malformed { format, rule, line: None }
    }

    pub(crate) fn at_line(mut self, line: usize) -> Malformed {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {}", self.format.label())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.rule)
    }
}

/// Why an inclusion or consistency proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// The index is not below the tree's size.
    IndexBeyondSize,
    /// The older size is zero, from which nothing can be proved, or above the newer one.
    SizesOutOfOrder,
    /// The proof has too few or too many hashes for these sizes.
    WrongLength,
    /// The hashes do not lead to the older root.
    OldRootDiffers,
    /// The hashes do not lead to the root.
    RootDiffers,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProofError::IndexBeyondSize => "the index lies beyond the tree's size",
            ProofError::SizesOutOfOrder => "the older size must be above zero and not above the newer size",
            ProofError::WrongLength => "the proof has the wrong number of hashes",
            ProofError::OldRootDiffers => "the proof does not lead to the older root",
            ProofError::RootDiffers => "the proof does not lead to the root",
        })
    }
}

/// Why a signed note, a checkpoint or a cosignature is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    /// A signature by this known key does not verify: the whole note is refused.
    Invalid { key_name: String },
    /// No known key signed the note.
    NoKnownKey,
    /// Two different known keys share name and id, so that the signature cannot be told apart.
    AmbiguousKey { key_name: String },
    /// The checkpoint is for another log.
    WrongOrigin { origin: String },
    /// No log of the policy signed the checkpoint under its origin.
    NotSignedByLog,
    /// Too few of the policy's witnesses cosigned.
    QuorumMissed,
    /// The key is of the other kind: a log key where a cosigner's is needed, or the reverse.
    WrongAlgorithm { key_name: String },
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Invalid { key_name } => write!(f, "the signature of {key_name} does not verify"),
            SignatureError::NoKnownKey => f.write_str("no known key signed this"),
            SignatureError::AmbiguousKey { key_name } => write!(f, "two known keys share the name {key_name} and the key id"),
            SignatureError::WrongOrigin { origin } => write!(f, "the checkpoint belongs to {origin}"),
            SignatureError::NotSignedByLog => f.write_str("no accepted log signed the checkpoint under its own origin"),
            SignatureError::QuorumMissed => f.write_str("the witnesses that cosigned do not make the quorum"),
            SignatureError::WrongAlgorithm { key_name } => write!(f, "the key {key_name} is not of the kind needed here"),
        }
    }
}

/// Everything that can go wrong in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerError {
    Malformed(Malformed),
    Proof(ProofError),
    Signature(SignatureError),
    /// A hash was asked for that the tree does not have yet.
    BeyondEdge,
    /// A file or tile the tree needs is not there.
    Missing {
        path: String,
    },
    /// A file is there, and broken.
    Damaged {
        path: String,
        reason: Malformed,
    },
    /// The tiles do not hash to the root the checkpoint signs.
    RootDiffers {
        size: u64,
    },
    /// The tiles of a copy do not hash to the root of the copy's own checkpoint: the copy was damaged.
    CopyDiffers {
        size: u64,
    },
    /// The checkpoint of a copy is not accepted any more, whatever the log shows.
    CopyRefused {
        reason: Box<LedgerError>,
    },
    /// The log's newest checkpoint is signed by no key that is believed of it, and its key history leads to none.
    NotFollowed {
        reason: Box<LedgerError>,
    },
    /// The entry does not hash to the leaf at its index.
    LeafDiffers {
        index: u64,
    },
    /// A log shows less than a witness cosigned of it already.
    Behind {
        cosigned_size: u64,
        size: u64,
    },
    /// What is to be published does not extend what is published.
    NotAnExtension {
        published_size: u64,
        size: u64,
    },
    /// The storage failed; the text is its own, about a path.
    Storage {
        detail: String,
    },
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Malformed(reason) => reason.fmt(f),
            LedgerError::Proof(reason) => reason.fmt(f),
            LedgerError::Signature(reason) => reason.fmt(f),
            LedgerError::BeyondEdge => f.write_str("the tree does not reach that far"),
            LedgerError::Missing { path } => write!(f, "{path} is missing"),
            LedgerError::Damaged { path, reason } => write!(f, "{path} is damaged: {reason}"),
            LedgerError::RootDiffers { size } => write!(f, "the tiles do not hash to the checkpoint's root at size {size}"),
            LedgerError::CopyDiffers { size } => {
                write!(f, "the copy's own tiles do not hash to its checkpoint's root at size {size}: it was damaged")
            }
            LedgerError::CopyRefused { reason } => {
                write!(f, "the checkpoint of the copy that is held here: {reason}; where the log has a new key, name its old key beside it")
            }
            LedgerError::NotFollowed { reason } => write!(
                f,
                "the checkpoint that the log shows is signed by no key that is named for it, and the key history beside it (keys) leads to none: {reason}. \
                 Where the log has a new key, ask its operator for it and add a line `log KEY URL` to logs_file, beside the old one"
            ),
            LedgerError::LeafDiffers { index } => write!(f, "the entry does not hash to the leaf at index {index}"),
            LedgerError::Behind { cosigned_size, size } => {
                write!(
                    f,
                    "the log shows size {size}, and was cosigned at size {cosigned_size} already: it is taken over once it shows that"
                )
            }
            LedgerError::NotAnExtension { published_size, size } => {
                write!(f, "size {size} does not extend the published checkpoint of size {published_size}")
            }
            LedgerError::Storage { detail } => f.write_str(detail),
        }
    }
}

impl std::error::Error for Malformed {}
impl std::error::Error for ProofError {}
impl std::error::Error for SignatureError {}
impl std::error::Error for LedgerError {}

impl From<Malformed> for LedgerError {
    fn from(reason: Malformed) -> LedgerError {
        LedgerError::Malformed(reason)
    }
}

impl From<ProofError> for LedgerError {
    fn from(reason: ProofError) -> LedgerError {
        LedgerError::Proof(reason)
    }
}

impl From<SignatureError> for LedgerError {
    fn from(reason: SignatureError) -> LedgerError {
        LedgerError::Signature(reason)
    }
}
