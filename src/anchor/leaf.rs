//! The leaf record: what the log says of one event, fixed in size and bare of personal data.
//!
//! Layout, 94 bytes: format `01` · kind · hours since 1970 (u32, big-endian) · tag (16) · counter under the tag (u64, big-endian) ·
//! commitment to the raw digest (32) · commitment to the canonical digest (32). A commitment that does not apply is 32 zero bytes.

use crate::clock::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The size of every leaf.
pub const LEAF_BYTES: usize = 94;

const FORMAT: u8 = 1;
const TAG_AT: usize = 6;
const COUNTER_AT: usize = 22;
const RAW_AT: usize = 30;
const CANONICAL_AT: usize = 62;
const SECONDS_AN_HOUR: i64 = 3600;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// A version was accepted; the commitments are to its raw and canonical digests.
    Accept,
    /// Something was disclosed; the canonical commitment is to its AuditEvent.
    Disclose,
    /// A known caller was refused; the canonical commitment is to the AuditEvent.
    Refuse,
    /// Any other audited act; the canonical commitment is to the AuditEvent.
    Audit,
    /// A version was delivered to a destination; the canonical commitment is to the AuditEvent.
    Deliver,
}

impl LeafKind {
    const ALL: [LeafKind; 5] = [LeafKind::Accept, LeafKind::Disclose, LeafKind::Refuse, LeafKind::Audit, LeafKind::Deliver];

    fn code(self) -> u8 {
        match self {
            LeafKind::Accept => 1,
            LeafKind::Disclose => 2,
            LeafKind::Refuse => 3,
            LeafKind::Audit => 4,
            LeafKind::Deliver => 5,
        }
    }

    /// The word people read.
    pub fn label(self) -> &'static str {
        match self {
            LeafKind::Accept => "accept",
            LeafKind::Disclose => "disclose",
            LeafKind::Refuse => "refuse",
            LeafKind::Audit => "audit",
            LeafKind::Deliver => "deliver",
        }
    }
}

/// A leaf before its counter is known, or as read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub kind: LeafKind,
    /// Whole hours since 1970: coarse on purpose.
    pub hour: u32,
    pub tag: [u8; 16],
    /// Counts the leaves under the tag, from 1, without gaps.
    pub counter: u64,
    pub raw: [u8; 32],
    pub canonical: [u8; 32],
}

impl Leaf {
    pub fn new(kind: LeafKind, at: Instant, tag: [u8; 16], raw: [u8; 32], canonical: [u8; 32]) -> Leaf {
        let hour = u32::try_from(at.seconds().div_euclid(SECONDS_AN_HOUR)).unwrap_or(0);
        Leaf { kind, hour, tag, counter: 0, raw, canonical }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEAF_BYTES);
        out.extend([FORMAT, self.kind.code()]);
        out.extend(self.hour.to_be_bytes());
        out.extend(self.tag);
        out.extend(self.counter.to_be_bytes());
        out.extend(self.raw);
        out.extend(self.canonical);
        out
    }

    /// Reads a leaf; `None` for anything this build does not write.
    pub fn decode(entry: &[u8]) -> Option<Leaf> {
        let entry: &[u8; LEAF_BYTES] = entry.try_into().ok()?;
        let kind = LeafKind::ALL.into_iter().find(|kind| kind.code() == entry[1])?;
        if entry[0] != FORMAT {
            return None;
        }
        Some(Leaf {
            kind,
            hour: u32::from_be_bytes(part(entry, 2)?),
            tag: part(entry, TAG_AT)?,
            counter: u64::from_be_bytes(part(entry, COUNTER_AT)?),
            raw: part(entry, RAW_AT)?,
            canonical: part(entry, CANONICAL_AT)?,
        })
    }
}

fn part<const N: usize>(entry: &[u8; LEAF_BYTES], at: usize) -> Option<[u8; N]> {
    entry.get(at..at + N)?.try_into().ok()
}

/// Where the writer puts the counter.
pub fn counter_offset() -> usize {
    COUNTER_AT
}

/// HMAC-SHA-256(record key, domain ‖ 0 ‖ digest). The domain names what was digested and how.
pub fn commitment(key: &[u8; 32], domain: &str, digest: &[u8; 32]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(domain.as_bytes());
    mac.update(&[0]);
    mac.update(digest);
    mac.finalize().into_bytes().into()
}
