//! The leaf record: what the log says of one event, fixed in size and bare of personal data.
//!
//! Layout, 142 bytes: format `02` · kind · hours since 1970 (u32, big-endian) · three tags, each 16 bytes and a counter under it (u64,
//! big-endian): of the patient, of the record, of the partner · commitment to the raw digest (32) · commitment to the canonical digest (32).
//! What does not apply is zero. A tag is in the leaf so that anybody who has the leaves can rebuild the index over them.
//!
//! The leaf of a version has format `03` and 32 bytes more: the commitment to the version's Provenance, under a key of its own, so that
//! whoever may see where a version came from can check it and learns nothing of the version. Versions in format `02` are read.
//!
//! The leaf of an act, and of an erasure, has format `04` and the layout of `02`: it is of a gateway whose erasing leaves name each record of what was
//! done that they take something out of, and that notes of every erasure which leaves stand for nothing since. In format `02` they are read.
//!
//! In the leaf of a patient's disclosure, delivery or refusal the raw commitment is to what the patient is told of it, under a key of its own
//! ([`opens_accounting`](super::opens_accounting)). In those of other acts it is drawn. In older leaves, none of which is sealed, it is zero in both.
//!
//! What is written has format `07`: 206 bytes, laid out like `03`, with kind, hour, tags and counters sealed (`anchor/sealed.rs`), and with a digest of the key that
//! opens it at the end. What would tell a version from anything else, or its deletion from its content, is drawn where there is nothing to commit to. `02`, `03`
//! and `04` are what leaves of older gateways are, and what a sealed one reads as once it is opened. Formats `05` and `06`, which are `04` and `03` sealed in
//! the same places, are read.
//!
//! A leaf of kind [`Index`](LeafKind::Index) is not sealed. It has no tags: its first 32 bytes of commitment are the index's root, the next 8 how many leaves
//! the index covers (u64, big-endian). Format `01` (94 bytes, the patient's tag alone) is read, and no longer written.

use super::tags::Epoch;
use crate::clock::Instant;
use crate::ledger::index::Tag;
use crate::sign::hmac;

/// The size of a leaf of anything but a version.
pub const LEAF_BYTES: usize = 142;
/// The size of a version's leaf.
pub const VERSION_LEAF_BYTES: usize = LEAF_BYTES + 32;
/// The size of a leaf as it is written, whatever it is of.
pub const SEALED_LEAF_BYTES: usize = VERSION_LEAF_BYTES + 32;
/// Bytes of a tag with its counter.
const SLOT_BYTES: usize = 24;
pub(super) const KIND_AT: usize = 1;
pub(super) const HOUR_AT: usize = 2;
pub(super) const TAGS_AT: usize = 6;
const TAGS: usize = 3;
pub(super) const COMMITMENTS_AT: usize = TAGS_AT + TAGS * SLOT_BYTES;

const FORMAT: u8 = 2;
pub(super) const VERSION_FORMAT: u8 = 3;
pub(super) const ACT_FORMAT: u8 = 4;
pub(super) const SEALED_ACT_FORMAT: u8 = 5;
pub(super) const SEALED_VERSION_FORMAT: u8 = 6;
pub(super) const SEALED_FORMAT: u8 = 7;
const SECONDS_AN_HOUR: i64 = 3600;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// A version was accepted; the commitments are to its raw and canonical digests.
    Accept,
    /// Something was disclosed; the canonical commitment is to its AuditEvent, the raw one to what its patient is told of that.
    Disclose,
    /// A known caller was refused; committed to like a disclosure.
    Refuse,
    /// Any other audited act; the canonical commitment is to the AuditEvent.
    Audit,
    /// A version was delivered to a destination; committed to like a disclosure.
    Deliver,
    /// Keys and content were destroyed. The raw commitment is random, so that the leaf refers to nobody; the canonical one is to what it erased of its
    /// patient's trail, or of that of what is nobody's ([`Severed`](super::Severed)), random where it says nothing of that, and zero in leaves of older
    /// gateways.
    Erase,
    /// The index over all leaves before this one: its root and how many leaves it covers.
    Index,
    /// Nothing happened: it stands where a group of leaves was filled up.
    Blank,
    /// Its leaf is sealed and was not opened. No leaf says so itself.
    Sealed,
}

impl LeafKind {
    const ALL: [LeafKind; 8] = [
        LeafKind::Accept,
        LeafKind::Disclose,
        LeafKind::Refuse,
        LeafKind::Audit,
        LeafKind::Deliver,
        LeafKind::Erase,
        LeafKind::Index,
        LeafKind::Blank,
    ];

    pub(super) fn code(self) -> u8 {
        match self {
            LeafKind::Accept => 1,
            LeafKind::Disclose => 2,
            LeafKind::Refuse => 3,
            LeafKind::Audit => 4,
            LeafKind::Deliver => 5,
            LeafKind::Erase => 6,
            LeafKind::Index => 7,
            LeafKind::Blank => 8,
            LeafKind::Sealed => 0,
        }
    }

    /// Whether an accounting of disclosures tells of it.
    pub fn is_accounted(self) -> bool {
        matches!(self, LeafKind::Disclose | LeafKind::Deliver | LeafKind::Refuse)
    }

    /// Whether it is of an act, on which there is a record of what was done, or of an erasure, which may take something out of such a record.
    pub fn is_act(self) -> bool {
        !matches!(self, LeafKind::Accept | LeafKind::Index)
    }

    /// The word people read.
    pub fn label(self) -> &'static str {
        match self {
            LeafKind::Accept => "accept",
            LeafKind::Disclose => "disclose",
            LeafKind::Refuse => "refuse",
            LeafKind::Audit => "audit",
            LeafKind::Deliver => "deliver",
            LeafKind::Erase => "erase",
            LeafKind::Index => "index",
            LeafKind::Blank => "blank",
            LeafKind::Sealed => "sealed",
        }
    }
}

/// Under what a leaf is found. Each is blinded and changes with the epoch; `None` where it does not apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags {
    /// The patient it is about; none where it is about nobody.
    pub patient: Option<Tag>,
    /// The one record it is about, by the key of the patient, or of what is nobody's; an act on several carries none. Leaves of older gateways that are
    /// about nobody carry none either.
    pub record: Option<Tag>,
    /// The organisation that sent, asked or received.
    pub partner: Option<Tag>,
}

impl Tags {
    /// In the leaf's order.
    pub fn slots(&self) -> [Option<Tag>; TAGS] {
        [self.patient, self.record, self.partner]
    }
}

/// A leaf before its counters are known, or as read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub kind: LeafKind,
    /// Whole hours since 1970: coarse on purpose. Zero where it is sealed and was not opened.
    pub hour: u32,
    pub tags: Tags,
    /// Each counts the leaves under its tag, from 1, without gaps; 0 where there is no tag.
    pub counters: [u64; TAGS],
    pub raw: [u8; 32],
    pub canonical: [u8; 32],
    /// Of a version: the commitment to its Provenance. Of what is sealed and was not opened: what stands in the place of one.
    pub provenance: Option<[u8; 32]>,
    /// Of an act: something is taken out of its record only by an erasure whose leaf names it. Of an erasure: its leaf does, and its gateway noted which
    /// leaves stand for nothing since. False in leaves of older gateways, and in those of anything else.
    pub shortens_by_name: bool,
    /// It is sealed and was not opened: neither its tags nor its kind are known, nor in the newest format its hour.
    pub is_closed: bool,
}

impl Leaf {
    pub fn new(kind: LeafKind, at: Instant, tags: Tags, raw: [u8; 32], canonical: [u8; 32]) -> Leaf {
        let (counters, shortens_by_name) = ([0; TAGS], kind.is_act());
        Leaf { kind, hour: hour(at), tags, counters, raw, canonical, provenance: None, shortens_by_name, is_closed: false }
    }

    /// The leaf of a version.
    pub fn version(at: Instant, tags: Tags, raw: [u8; 32], canonical: [u8; 32], provenance: [u8; 32]) -> Leaf {
        Leaf { provenance: Some(provenance), ..Leaf::new(LeafKind::Accept, at, tags, raw, canonical) }
    }

    /// The leaf that anchors the index over the first `covers` leaves.
    pub fn index(at: Instant, root: [u8; 32], covers: u64) -> Leaf {
        let mut canonical = [0; 32];
        canonical.iter_mut().zip(covers.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        Leaf::new(LeafKind::Index, at, Tags::default(), root, canonical)
    }

    /// A leaf that says nothing, of no time yet.
    pub(super) fn blank(raw: [u8; 32], canonical: [u8; 32]) -> Leaf {
        Leaf::new(LeafKind::Blank, Instant::from_seconds(0), Tags::default(), raw, canonical)
    }

    /// The root and the size an index leaf anchors; `None` for other kinds.
    pub fn anchored_index(&self) -> Option<([u8; 32], u64)> {
        let covers = self.canonical.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))?;
        (self.kind == LeafKind::Index).then_some((self.raw, covers))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(VERSION_LEAF_BYTES);
        out.extend([self.format(), self.kind.code()]);
        out.extend(self.hour.to_be_bytes());
        for (tag, counter) in self.tags.slots().into_iter().zip(self.counters) {
            out.extend(tag.unwrap_or_default().0);
            out.extend(counter.to_be_bytes());
        }
        out.extend(self.raw);
        out.extend(self.canonical);
        out.extend(self.provenance.iter().flatten());
        out
    }

    fn format(&self) -> u8 {
        match self.provenance {
            Some(_) => VERSION_FORMAT,
            None if self.shortens_by_name => ACT_FORMAT,
            None => FORMAT,
        }
    }

    /// Reads a leaf, one that is sealed as far as it is in the clear; `None` for anything no build of the gateway writes.
    pub fn decode(entry: &[u8]) -> Option<Leaf> {
        match entry.first() {
            Some(&format @ (SEALED_ACT_FORMAT | SEALED_VERSION_FORMAT | SEALED_FORMAT)) => Leaf::closed(entry, format),
            _ => Leaf::of_clear(entry),
        }
    }

    fn closed(entry: &[u8], format: u8) -> Option<Leaf> {
        let mut rest = entry.get(HOUR_AT..)?;
        let hour = Some(u32::from_be_bytes(take(&mut rest)?)).filter(|_| format != SEALED_FORMAT).unwrap_or_default();
        let _tags = take::<{ TAGS * SLOT_BYTES }>(&mut rest)?;
        let (raw, canonical) = (take(&mut rest)?, take(&mut rest)?);
        let provenance = if format == SEALED_ACT_FORMAT { None } else { Some(take(&mut rest)?) };
        if format == SEALED_FORMAT {
            let _digest_of_its_key = take::<32>(&mut rest)?;
        }
        let kind = if format == SEALED_VERSION_FORMAT { LeafKind::Accept } else { LeafKind::Sealed };
        let (tags, counters, shortens_by_name) = (Tags::default(), [0; TAGS], kind.is_act());
        rest.is_empty().then_some(Leaf { kind, hour, tags, counters, raw, canonical, provenance, shortens_by_name, is_closed: true })
    }

    fn of_clear(entry: &[u8]) -> Option<Leaf> {
        let mut rest = entry;
        let [format, code] = take::<2>(&mut rest)?;
        let kind = LeafKind::ALL.into_iter().find(|kind| kind.code() == code)?;
        let hour = u32::from_be_bytes(take(&mut rest)?);
        let slots = match format {
            1 => 1,
            FORMAT => TAGS,
            VERSION_FORMAT if kind == LeafKind::Accept => TAGS,
            ACT_FORMAT if kind.is_act() => TAGS,
            _ => return None,
        };
        let (mut tags, mut counters) = ([None; TAGS], [0; TAGS]);
        for (tag, counter) in tags.iter_mut().zip(&mut counters).take(slots) {
            *tag = Some(Tag(take(&mut rest)?)).filter(|tag| *tag != Tag::default());
            *counter = u64::from_be_bytes(take(&mut rest)?);
        }
        let (raw, canonical) = (take(&mut rest)?, take(&mut rest)?);
        let provenance = if format == VERSION_FORMAT { Some(take(&mut rest)?) } else { None };
        let [patient, record, partner] = tags;
        let (tags, shortens_by_name) = (Tags { patient, record, partner }, format == ACT_FORMAT);
        rest.is_empty().then_some(Leaf { kind, hour, tags, counters, raw, canonical, provenance, shortens_by_name, is_closed: false })
    }

    /// Whether it is of a version that says something: of none that is a deletion.
    pub fn has_content(&self) -> bool {
        self.kind == LeafKind::Accept && self.canonical != [0; 32]
    }

    /// Whether an accounting tells of it and it commits to what that says. Leaves of older gateways do not.
    pub fn commits_to_told(&self) -> bool {
        self.kind.is_accounted() && self.raw != [0; 32]
    }

    /// Whether it is about nobody and is found under its record all the same.
    pub fn is_nobodys(&self) -> bool {
        self.tags.patient.is_none() && self.tags.record.is_some()
    }

    /// Whether it is under the tag of neither patient nor record: what was done with several records that are nobody's, or anything about nobody in a log
    /// of an older gateway.
    pub fn is_untagged(&self) -> bool {
        !self.is_closed && self.tags.patient.is_none() && self.tags.record.is_none()
    }

    pub fn epoch(&self) -> Epoch {
        Epoch::of_hour(self.hour)
    }

    /// Whether it erases and commits to what. Leaves of older gateways do not.
    pub fn names_what_it_erased(&self) -> bool {
        self.kind == LeafKind::Erase && self.canonical != [0; 32]
    }

    /// Whether this leaf, later in the same patient's trail and of an older gateway, may be what says that another one's record was erased. Within an epoch a record has one
    /// tag; in a later one it has another, which nobody can compare.
    pub fn may_have_erased(&self, other: &Leaf) -> bool {
        let is_same = self.tags.record.is_none() || self.tags.record == other.tags.record;
        let is_unnamed = self.kind == LeafKind::Erase && !self.names_what_it_erased();
        is_unnamed && (self.epoch() > other.epoch() || (self.epoch() == other.epoch() && is_same))
    }

    /// The tags and their counters, where there are any.
    pub fn counted(&self) -> impl Iterator<Item = (Tag, u64)> {
        self.tags.slots().into_iter().zip(self.counters).filter_map(|(tag, counter)| Some((tag?, counter)))
    }
}

/// Whole hours since 1970.
pub fn hour(at: Instant) -> u32 {
    u32::try_from(at.seconds().div_euclid(SECONDS_AN_HOUR)).unwrap_or(0)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*part)
}

/// Where the writer puts the counters.
pub fn counter_offsets() -> [usize; TAGS] {
    [0, 1, 2].map(|slot| TAGS_AT + slot * SLOT_BYTES + 16)
}

/// HMAC-SHA-256(record key, domain ‖ 0 ‖ digest). The domain names what was digested and how.
pub fn commitment(key: &[u8; 32], domain: &str, digest: &[u8; 32]) -> [u8; 32] {
    hmac(key, [domain.as_bytes(), &[0], digest])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_reads_back_and_nothing_else_is_one() {
        let tags = Tags { patient: Some(Tag([1; 16])), record: None, partner: Some(Tag([3; 16])) };
        let mut leaf = Leaf::new(LeafKind::Deliver, Instant::from_seconds(7200), tags, [4; 32], [5; 32]);
        leaf.counters = [7, 0, 9];
        let entry = leaf.encode();
        assert_eq!(entry.len(), LEAF_BYTES);
        assert_eq!(Leaf::decode(&entry), Some(leaf));
        for (offset, counter) in counter_offsets().into_iter().zip([7u64, 0, 9]) {
            assert_eq!(entry[offset..offset + 8], counter.to_be_bytes());
        }
        for wrong in [&entry[..141], &[&entry[..], &[0]].concat(), &[], &[3; 142], &[2; 142][..1]] {
            assert_eq!(Leaf::decode(wrong), None);
        }
        for index in 0..2 {
            let mut other = entry.clone();
            other[index] = 99;
            assert_eq!(Leaf::decode(&other), None, "{index}");
        }
    }

    #[test]
    fn a_versions_leaf_says_where_it_came_from() {
        let leaf = Leaf::version(Instant::from_seconds(7200), Tags::default(), [4; 32], [5; 32], [6; 32]);
        let entry = leaf.encode();
        assert_eq!((entry.len(), Leaf::decode(&entry)), (VERSION_LEAF_BYTES, Some(leaf)));
        assert_eq!(Leaf::decode(&entry[..LEAF_BYTES]), None, "cut");
        let mut other = entry.clone();
        other[1] = LeafKind::Audit.code();
        assert_eq!(Leaf::decode(&other), None, "only versions have a Provenance");
        other[..2].copy_from_slice(&[FORMAT, LeafKind::Accept.code()]);
        assert_eq!(Leaf::decode(&other), None, "too long for its format");
        assert_eq!(Leaf::decode(&other[..LEAF_BYTES]).unwrap().provenance, None, "older versions have none");
    }

    #[test]
    fn what_was_erased_is_told_by_its_tag_and_later_by_the_epoch_alone() {
        const EPOCH_S: i64 = 30 * 24 * 3600;
        let leaf = |kind, epoch: i64, record| {
            let tags = Tags { patient: Some(Tag([1; 16])), record, partner: None };
            Leaf::new(kind, Instant::from_seconds(epoch * EPOCH_S), tags, [0; 32], [0; 32])
        };
        let (this, other) = (Some(Tag([2; 16])), Some(Tag([3; 16])));
        let accepted = leaf(LeafKind::Accept, 5, this);
        for (eraser, expected) in [
            (leaf(LeafKind::Erase, 5, this), true),
            (leaf(LeafKind::Erase, 5, other), false),
            (leaf(LeafKind::Erase, 5, None), true),
            (leaf(LeafKind::Erase, 6, other), true),
            (leaf(LeafKind::Erase, 4, this), false),
            (leaf(LeafKind::Audit, 6, this), false),
        ] {
            assert_eq!(eraser.may_have_erased(&accepted), expected, "{eraser:?}");
        }
    }

    #[test]
    fn leaves_of_the_first_format_are_still_read() {
        let mut entry = vec![1, 2, 0, 0, 0, 9];
        entry.extend([8; 16]);
        entry.extend(5u64.to_be_bytes());
        entry.extend([6; 64]);
        let leaf = Leaf::decode(&entry).unwrap();
        assert_eq!((leaf.kind, leaf.hour, leaf.tags.patient), (LeafKind::Disclose, 9, Some(Tag([8; 16]))));
        assert_eq!(leaf.counted().collect::<Vec<_>>(), [(Tag([8; 16]), 5)]);
    }

    #[test]
    fn a_leaf_says_whether_it_is_of_a_gateway_that_names_what_it_shortens() {
        for (kind, is_said) in [(LeafKind::Disclose, true), (LeafKind::Audit, true), (LeafKind::Erase, true), (LeafKind::Accept, false)] {
            let leaf = Leaf::new(kind, Instant::from_seconds(7200), Tags::default(), [4; 32], [5; 32]);
            let mut entry = leaf.encode();
            assert_eq!((entry.len(), leaf.shortens_by_name, Leaf::decode(&entry)), (LEAF_BYTES, is_said, Some(leaf.clone())), "{kind:?}");
            entry[0] = ACT_FORMAT;
            assert_eq!(Leaf::decode(&entry).is_some(), is_said, "{kind:?}");
            entry[0] = FORMAT;
            assert_eq!(Leaf::decode(&entry), Some(Leaf { shortens_by_name: false, ..leaf }), "{kind:?} of an older gateway");
        }
    }

    #[test]
    fn an_index_leaf_says_what_it_anchors() {
        let leaf = Leaf::index(Instant::from_seconds(0), [9; 32], 300);
        assert_eq!(Leaf::decode(&leaf.encode()).unwrap().anchored_index(), Some(([9; 32], 300)));
        let other = Leaf::new(LeafKind::Audit, Instant::from_seconds(0), Tags::default(), [9; 32], [0; 32]);
        assert_eq!(other.anchored_index(), None);
    }
}
