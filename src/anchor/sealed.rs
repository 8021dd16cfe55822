//! What a leaf says of whom, sealed: the log is open to everybody, and who finds a leaf of its own in it must not tell by it what it was not shown.
//!
//! Sealed are the kind, the hour, the tags and the counters. In the clear stay the format and the commitments, which are keyed, and which all leaves have alike:
//! where one has nothing to commit to, what stands there is made under the key of leaves. So neither an act and a version can be told apart, nor a version
//! and its deletion, and nobody sees what the gateway noted of its own beside what somebody sent. Each leaf has a key of its
//! own, HMAC-SHA-256 under the gateway's key of leaves over what stays in the clear; with that key SHA-256(key ‖ 0), SHA-256(key ‖ 1), … are laid over what is
//! sealed (exclusive or). At the end stands a digest of that key: no other one opens the leaf, for with another it would say something else. No two leaves
//! share their commitments, so no two share a key. Whoever is shown a trail is given the keys of its leaves; whoever
//! has the gateway's key of leaves can read all, and build the index over them again. The tree is over the leaves as they are sealed.

use super::leaf::{
    ACT_FORMAT, COMMITMENTS_AT, HOUR_AT, KIND_AT, LEAF_BYTES, Leaf, LeafKind, SEALED_ACT_FORMAT, SEALED_FORMAT, SEALED_VERSION_FORMAT,
    TAGS_AT, VERSION_FORMAT, VERSION_LEAF_BYTES,
};
use crate::ledger::index::Tag;
use crate::sign::hmac;
use crate::store::{LeafForm, Reader};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The kind of a deletion's leaf, as it is sealed: it commits to no content.
const DELETION: u8 = 9;
/// Where the commitment to the content stands.
const CONTENT_AT: Range<usize> = COMMITMENTS_AT + 32..COMMITMENTS_AT + 64;

/// What the digest of a leaf's key is made for.
const KEY_DOMAIN: &[u8] = b"hearthgate/v1/leaf-key";

/// The gateway's key of leaves: whoever has it can read what every leaf says.
#[derive(Clone, Copy)]
pub struct LeafKeys([u8; 32]);

impl LeafKeys {
    pub fn new(secret: [u8; 32]) -> LeafKeys {
        LeafKeys(secret)
    }

    /// As the store takes them.
    pub fn form(secret: [u8; 32]) -> Arc<dyn LeafForm> {
        Arc::new(LeafKeys(secret))
    }

    /// The leaf of an entry; nothing where it is none.
    pub fn read(&self, entry: &[u8]) -> Option<Leaf> {
        Leaf::opened(entry, self.key(entry).as_ref())
    }

    /// The key of what reads as a sealed leaf.
    fn of_sealed(&self, entry: &[u8]) -> Option<[u8; 32]> {
        match entry.first()? {
            // In these the hour is in the clear.
            older @ (&SEALED_ACT_FORMAT | &SEALED_VERSION_FORMAT) => self.derived(&[&[*older], entry.get(HOUR_AT..TAGS_AT)?], entry),
            newest => self.derived(&[&[*newest]], entry),
        }
    }

    /// What is made for a purpose of the commitments of an entry.
    fn derived(&self, purpose: &[&[u8]], entry: &[u8]) -> Option<[u8; 32]> {
        let commitments = entry.get(COMMITMENTS_AT..entry.len().min(VERSION_LEAF_BYTES))?;
        Some(hmac(&self.0, purpose.iter().copied().chain([commitments])))
    }

    /// Gives a leaf in the clear the form that all have; nothing where it is none.
    fn levelled(&self, entry: &[u8]) -> Option<Vec<u8>> {
        let leaf = Leaf::decode(entry)?;
        let mut level = entry.to_vec();
        match *entry.first()? {
            ACT_FORMAT => level.extend(self.derived(&[b"provenance"], entry)?),
            VERSION_FORMAT if !leaf.has_content() => {
                level.get_mut(CONTENT_AT)?.copy_from_slice(&self.derived(&[b"content"], entry)?);
                *level.get_mut(KIND_AT)? = DELETION;
            }
            VERSION_FORMAT => {}
            _ => return None,
        }
        *level.first_mut()? = SEALED_FORMAT;
        Some(level)
    }
}

/// It says nothing of what it is.
impl fmt::Debug for LeafKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeafKeys")
    }
}

impl LeafForm for LeafKeys {
    fn tags(&self, entry: &[u8]) -> Vec<(Tag, u64)> {
        self.read(entry).map(|leaf| leaf.counted().collect()).unwrap_or_default()
    }

    /// Others' entries, and the leaves that anchor the index, which say nothing of anybody, stay as they are.
    fn seal(&self, entry: &mut Vec<u8>) {
        let Some(level) = self.levelled(entry) else { return };
        if let Some(key) = self.of_sealed(&level) {
            *entry = level;
            mask(entry, &key);
            entry.extend(digest_of(&key));
        }
    }

    fn blank(&self, like: &[u8], drawn: &[u8; 64]) -> Option<Vec<u8>> {
        let (raw, canonical) = (drawn.first_chunk::<32>()?, drawn.last_chunk::<32>()?);
        let blank = Leaf { hour: self.read(like)?.hour, ..Leaf::blank(*raw, *canonical) };
        let mut entry = blank.encode();
        self.seal(&mut entry);
        Some(entry)
    }

    fn key(&self, entry: &[u8]) -> Option<[u8; 32]> {
        if is_sealed(entry) { self.of_sealed(entry) } else { None }
    }
}

impl Leaf {
    /// The leaf of an entry of this gateway's log.
    pub fn read(reader: &Reader<'_>, entry: &[u8]) -> Option<Leaf> {
        Leaf::opened(entry, reader.leaf_key(entry).as_ref())
    }

    /// The leaf of an entry, with its own key where there is one. Without it a sealed one shows what stands there in the clear, and nothing of whom it is
    /// about. With a key that is not its own it is none.
    pub fn opened(entry: &[u8], key: Option<&[u8; 32]>) -> Option<Leaf> {
        let Some(key) = key.filter(|_| is_sealed(entry)) else { return Leaf::decode(entry) };
        let mut clear = entry.to_vec();
        mask(&mut clear, key);
        match *entry.first()? {
            SEALED_ACT_FORMAT => *clear.first_mut()? = ACT_FORMAT,
            SEALED_VERSION_FORMAT => *clear.first_mut()? = VERSION_FORMAT,
            _ if entry.get(VERSION_LEAF_BYTES..) == Some(&digest_of(key)[..]) => unlevel(&mut clear)?,
            _ => return None,
        }
        // Older sealed leaves say nothing of their key. Under another one their counters would be of any size.
        Leaf::decode(&clear).filter(|leaf| leaf.counters.iter().all(|counter| *counter <= u64::from(u32::MAX)))
    }
}

fn digest_of(key: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(KEY_DOMAIN).chain_update(key).finalize().into()
}

/// Gives a leaf that is no longer sealed the form of what it is.
fn unlevel(clear: &mut Vec<u8>) -> Option<()> {
    let kind = *clear.get(KIND_AT)?;
    let is_version = kind == DELETION || kind == LeafKind::Accept.code();
    *clear.first_mut()? = if is_version { VERSION_FORMAT } else { ACT_FORMAT };
    clear.truncate(if is_version { VERSION_LEAF_BYTES } else { LEAF_BYTES });
    if kind == DELETION {
        *clear.get_mut(KIND_AT)? = LeafKind::Accept.code();
        clear.get_mut(CONTENT_AT)?.fill(0);
    }
    Some(())
}

/// Whether an entry is of a sealed format.
fn is_sealed(entry: &[u8]) -> bool {
    matches!(entry.first(), Some(&SEALED_ACT_FORMAT | &SEALED_VERSION_FORMAT | &SEALED_FORMAT))
}

/// Lays the stream of a leaf's key over what is sealed of it, or takes it off again.
fn mask(entry: &mut [u8], key: &[u8; 32]) {
    let stream = (0..=u8::MAX).flat_map(|number| Sha256::new().chain_update(key).chain_update([number]).finalize());
    let is_hour_sealed = entry.first() == Some(&SEALED_FORMAT);
    let sealed = entry.iter_mut().enumerate().take(COMMITMENTS_AT).skip(KIND_AT);
    let sealed = sealed.filter(|(at, _)| is_hour_sealed || !(HOUR_AT..TAGS_AT).contains(at));
    sealed.zip(stream).for_each(|((_, byte), mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::{SEALED_LEAF_BYTES, Tags};
    use crate::clock::Instant;

    const KEYS: LeafKeys = LeafKeys([7; 32]);

    fn leaf(kind: LeafKind, tags: Tags, canonical: u8) -> Leaf {
        Leaf::new(kind, Instant::from_seconds(7200), tags, [4; 32], [canonical; 32])
    }

    fn sealed(leaf: &Leaf) -> Vec<u8> {
        let mut entry = leaf.encode();
        KEYS.seal(&mut entry);
        entry
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_alone() {
        let tags = Tags { patient: Some(Tag([1; 16])), record: None, partner: Some(Tag([3; 16])) };
        let version = Leaf { counters: [5, 0, 6], ..Leaf::version(Instant::from_seconds(0), tags, [4; 32], [5; 32], [6; 32]) };
        for clear in [leaf(LeafKind::Refuse, tags, 5), leaf(LeafKind::Erase, Tags::default(), 5), version] {
            let entry = sealed(&clear);
            assert_eq!((entry.len(), entry[0]), (SEALED_LEAF_BYTES, SEALED_FORMAT));
            assert_eq!((KEYS.read(&entry), KEYS.tags(&entry)), (Some(clear.clone()), clear.counted().collect()));
            let key = KEYS.key(&entry).unwrap();
            assert_eq!(Leaf::opened(&entry, Some(&key)), Some(clear.clone()), "and no more than its own is needed");
            let closed = Leaf::decode(&entry).unwrap();
            assert_eq!((closed.is_closed, closed.tags, closed.counters), (true, Tags::default(), [0; 3]));
            assert_eq!((closed.hour, closed.raw, closed.canonical), (0, clear.raw, clear.canonical));
            assert!(clear.provenance.is_none() || closed.provenance == clear.provenance);
            assert!(!closed.is_untagged() && !closed.is_nobodys(), "of whom it is nothing is said");
            assert_eq!(LeafKeys([8; 32]).read(&entry), None);
        }
    }

    /// Who holds a leaf, the gateway above all, finds no key with which it says something else: not what was done, nor that something was erased.
    #[test]
    fn no_other_key_opens_a_leaf() {
        let tags = Tags { patient: Some(Tag([1; 16])), ..Tags::default() };
        let clear = leaf(LeafKind::Disclose, tags, 5);
        let mut older = clear.encode();
        older[0] = SEALED_ACT_FORMAT;
        mask(&mut older, &KEYS.of_sealed(&clear.encode()).unwrap());
        for entry in [sealed(&clear), older] {
            // Of 4,096 keys some sixteen make any kind of it.
            let others = (0..4096_u32).map(|number| Sha256::digest(number.to_be_bytes()).into());
            assert_eq!(others.filter_map(|key| Leaf::opened(&entry, Some(&key))).next(), None);
        }
    }

    /// An act on somebody and one on nobody differ in nothing that can be seen but in their commitments; nor do two on the same patient have anything in
    /// common.
    #[test]
    fn nothing_shows_of_whom_it_is() {
        let tags = Tags { patient: Some(Tag([1; 16])), record: Some(Tag([2; 16])), partner: Some(Tag([3; 16])) };
        let clear = [leaf(LeafKind::Refuse, tags, 5), leaf(LeafKind::Refuse, tags, 6), leaf(LeafKind::Disclose, Tags::default(), 7)];
        let [one, other, nobody] = clear.map(|leaf| sealed(&leaf));
        for (entry, beside) in [(&one, &other), (&one, &nobody)] {
            assert_eq!((entry.len(), entry[0]), (beside.len(), beside[0]));
            let alike = (KIND_AT..COMMITMENTS_AT).filter(|at| entry[*at] == beside[*at]).count();
            assert!(alike < 8, "{alike} of 77 bytes are alike");
        }
        let clear = (KIND_AT..COMMITMENTS_AT).filter(|at| nobody[*at] == 0).count();
        assert!(clear < 8, "nor does it show that there are no tags");
    }

    /// Nor does it show what it is of: an act, a version, or that one was deleted.
    #[test]
    fn nothing_shows_of_what_it_is() {
        let version = |content| Leaf::version(Instant::from_seconds(7200), Tags::default(), [4; 32], content, [6; 32]);
        let (content, deletion) = (sealed(&version([5; 32])), sealed(&version([0; 32])));
        for entry in [&content, &deletion, &sealed(&leaf(LeafKind::Refuse, Tags::default(), 5))] {
            assert_eq!((entry.len(), entry[0]), (SEALED_LEAF_BYTES, SEALED_FORMAT));
            let zeros = entry[COMMITMENTS_AT..].iter().filter(|byte| **byte == 0).count();
            assert!(zeros < 8, "{zeros} of 128 bytes are zero");
        }
        let read = KEYS.read(&deletion).unwrap();
        assert_eq!((read.clone(), read.has_content()), (version([0; 32]), false));
    }

    #[test]
    fn what_the_gateway_sealed_before_is_still_read() {
        let tags = Tags { patient: Some(Tag([1; 16])), record: None, partner: Some(Tag([3; 16])) };
        let version = Leaf::version(Instant::from_seconds(0), tags, [4; 32], [5; 32], [6; 32]);
        for (clear, format) in [(leaf(LeafKind::Refuse, tags, 5), SEALED_ACT_FORMAT), (version, SEALED_VERSION_FORMAT)] {
            let mut entry = clear.encode();
            entry[0] = format;
            let key = KEYS.of_sealed(&entry).unwrap();
            mask(&mut entry, &key);
            assert_eq!((KEYS.read(&entry), KEYS.key(&entry)), (Some(clear.clone()), Some(key)));
            let closed = Leaf::decode(&entry).unwrap();
            assert_eq!((closed.is_closed, closed.hour, closed.provenance), (true, clear.hour, clear.provenance));
            let again = entry.clone();
            KEYS.seal(&mut entry);
            assert_eq!(entry, again, "and nothing is sealed twice");
        }
    }

    #[test]
    fn what_fills_up_looks_like_any_act() {
        let tags = Tags { patient: Some(Tag([1; 16])), ..Tags::default() };
        let act = sealed(&leaf(LeafKind::Refuse, tags, 5));
        let drawn: Vec<u8> = (0..64).collect();
        let blank = KEYS.blank(&act, drawn.first_chunk().unwrap()).unwrap();
        assert_eq!((blank.len(), blank[0]), (act.len(), act[0]));
        let read = KEYS.read(&blank).unwrap();
        assert_eq!((read.kind, read.hour, read.tags, read.counters), (LeafKind::Blank, 2, Tags::default(), [0; 3]));
        assert_eq!(KEYS.blank(b"an entry of others", &[0; 64]), None);
    }

    #[test]
    fn what_says_nothing_of_anybody_stays_as_it_is() {
        let index = Leaf::index(Instant::from_seconds(0), [9; 32], 300);
        assert_eq!(sealed(&index), index.encode());
        for others in [&b"an entry of others"[..], &[ACT_FORMAT; 40], &[VERSION_FORMAT; 174], &[]] {
            let mut entry = others.to_vec();
            KEYS.seal(&mut entry);
            assert_eq!(entry, others);
        }
    }
}
