//! What a leaf says of whom, sealed: the log is open to everybody, and who finds a leaf of its own in it must not tell by it what it was not shown.
//!
//! Sealed are the kind, the tags and the counters. In the clear stay the format, the hour and the commitments, which are keyed. Each leaf has a key of its
//! own, HMAC-SHA-256 under the gateway's key of leaves over what stays in the clear; with that key SHA-256(key ‖ 0), SHA-256(key ‖ 1), … are laid over what is
//! sealed (exclusive or). No two leaves share their commitments, so no two share a key. Whoever is shown a trail is given the keys of its leaves; whoever
//! has the gateway's key of leaves can read all, and build the index over them again. The tree is over the leaves as they are sealed.

use super::leaf::{ACT_FORMAT, COMMITMENTS_AT, HOUR_AT, KIND_AT, Leaf, SEALED_ACT_FORMAT, SEALED_VERSION_FORMAT, TAGS_AT, VERSION_FORMAT};
use crate::ledger::index::Tag;
use crate::store::{LeafForm, Reader};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

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
        let (format, hour, rest) = (entry.first()?, entry.get(HOUR_AT..TAGS_AT)?, entry.get(COMMITMENTS_AT..)?);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length");
        [&[*format], hour, rest].iter().for_each(|part| mac.update(part));
        Some(mac.finalize().into_bytes().into())
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
    fn seal(&self, entry: &mut [u8]) {
        let format = match entry.first() {
            Some(&ACT_FORMAT) => SEALED_ACT_FORMAT,
            Some(&VERSION_FORMAT) => SEALED_VERSION_FORMAT,
            _ => return,
        };
        if Leaf::decode(entry).is_none() {
            return;
        }
        entry.iter_mut().take(1).for_each(|slot| *slot = format);
        if let Some(key) = self.of_sealed(entry) {
            mask(entry, &key);
        }
    }

    fn blank(&self, like: &[u8], drawn: &[u8; 64]) -> Option<Vec<u8>> {
        let (raw, canonical) = (drawn.first_chunk::<32>()?, drawn.last_chunk::<32>()?);
        let blank = Leaf { hour: Leaf::decode(like)?.hour, ..Leaf::blank(*raw, *canonical) };
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
    /// about.
    pub fn opened(entry: &[u8], key: Option<&[u8; 32]>) -> Option<Leaf> {
        let Some(key) = key.filter(|_| is_sealed(entry)) else { return Leaf::decode(entry) };
        let mut clear = entry.to_vec();
        mask(&mut clear, key);
        let format = if entry.first() == Some(&SEALED_ACT_FORMAT) { ACT_FORMAT } else { VERSION_FORMAT };
        clear.iter_mut().take(1).for_each(|slot| *slot = format);
        Leaf::decode(&clear)
    }
}

/// Whether an entry is of a sealed format.
fn is_sealed(entry: &[u8]) -> bool {
    matches!(entry.first(), Some(&SEALED_ACT_FORMAT | &SEALED_VERSION_FORMAT))
}

/// Lays the stream of a leaf's key over what is sealed of it, or takes it off again.
fn mask(entry: &mut [u8], key: &[u8; 32]) {
    let stream = (0..=u8::MAX).flat_map(|number| Sha256::new().chain_update(key).chain_update([number]).finalize());
    let sealed = entry.iter_mut().enumerate().filter(|(at, _)| *at == KIND_AT || (TAGS_AT..COMMITMENTS_AT).contains(at));
    sealed.zip(stream).for_each(|((_, byte), mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::{LeafKind, Tags};
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
            assert_eq!(entry.len(), clear.encode().len());
            assert_eq!((KEYS.read(&entry), KEYS.tags(&entry)), (Some(clear.clone()), clear.counted().collect()));
            let key = KEYS.key(&entry).unwrap();
            assert_eq!(Leaf::opened(&entry, Some(&key)), Some(clear.clone()), "and no more than its own is needed");
            let closed = Leaf::decode(&entry).unwrap();
            assert_eq!((closed.is_closed, closed.tags, closed.counters), (true, Tags::default(), [0; 3]));
            assert_eq!(
                (closed.hour, closed.raw, closed.canonical, closed.provenance),
                (clear.hour, clear.raw, clear.canonical, clear.provenance)
            );
            assert!(!closed.is_untagged() && !closed.is_nobodys(), "of whom it is nothing is said");
            assert!(LeafKeys([8; 32]).read(&entry).is_none_or(|other| other != clear));
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
            assert_eq!((entry.len(), entry[0], &entry[HOUR_AT..TAGS_AT]), (beside.len(), beside[0], &beside[HOUR_AT..TAGS_AT]));
            let alike = (TAGS_AT..COMMITMENTS_AT).filter(|at| entry[*at] == beside[*at]).count();
            assert!(alike < 8, "{alike} of 72 bytes are alike");
        }
        let clear = (TAGS_AT..COMMITMENTS_AT).filter(|at| nobody[*at] == 0).count();
        assert!(clear < 8, "nor does it show that there are no tags");
    }

    #[test]
    fn what_fills_up_looks_like_any_act() {
        let tags = Tags { patient: Some(Tag([1; 16])), ..Tags::default() };
        let act = sealed(&leaf(LeafKind::Refuse, tags, 5));
        let drawn: Vec<u8> = (0..64).collect();
        let blank = KEYS.blank(&act, drawn.first_chunk().unwrap()).unwrap();
        assert_eq!((blank.len(), blank[0], &blank[HOUR_AT..TAGS_AT]), (act.len(), act[0], &act[HOUR_AT..TAGS_AT]));
        let read = KEYS.read(&blank).unwrap();
        assert_eq!((read.kind, read.tags, read.counters), (LeafKind::Blank, Tags::default(), [0; 3]));
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
