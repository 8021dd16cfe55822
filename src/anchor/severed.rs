//! What a leaf that erases names: the leaves of its patient's trail that stand for nothing any more, and the numbers of a record that lack.
//!
//! The leaf commits to it under a nonce of its own, so that it refers to nobody; who has the trail is given what opens it. Only leaves that are in
//! the trail of whom the leaf is about are named, and none of whoever was erased.

use super::leaf::{Leaf, LeafKind, commitment};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Domain of the commitment to what a leaf erased.
const ERASURE_DOMAIN: &str = "hearthgate/v1/erasure";
/// The most runs that one leaf names.
pub const MAX_RUNS: usize = 10_000;

/// What opens the canonical commitment of a leaf that erases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Severed {
    /// 32 bytes, base64.
    nonce: String,
    /// Positions, as runs from the first to the last.
    leaves: Vec<(u64, u64)>,
    /// Numbers of versions of the record, as runs.
    versions: Vec<(u64, u64)>,
}

impl Severed {
    /// As many as it takes for these, at least one. Each has a nonce.
    pub fn naming(leaves: &BTreeSet<u64>, versions: &BTreeSet<u32>, nonce: impl Fn() -> [u8; 32]) -> Vec<Severed> {
        let (leaves, versions) = (runs(leaves.iter().copied()), runs(versions.iter().map(|number| u64::from(*number))));
        let (mut leaves, mut versions) = (leaves.chunks(MAX_RUNS), versions.chunks(MAX_RUNS));
        let mut all = Vec::new();
        loop {
            let (some, numbers) = (leaves.next(), versions.next());
            if some.is_none() && numbers.is_none() && !all.is_empty() {
                return all;
            }
            let runs = |runs: Option<&[(u64, u64)]>| runs.map(<[_]>::to_vec).unwrap_or_default();
            all.push(Severed { nonce: BASE64.encode(&nonce()), leaves: runs(some), versions: runs(numbers) });
        }
    }

    /// What the leaf commits to: HMAC-SHA-256 under the nonce over SHA-256(count ‖ first ‖ last ‖ … of the leaves, and the same of the versions; each u64,
    /// big-endian). `None` where the nonce is none.
    pub fn commitment(&self) -> Option<[u8; 32]> {
        let nonce: [u8; 32] = BASE64.decode(self.nonce.as_bytes()).ok()?.try_into().ok()?;
        let mut digest = Sha256::new();
        for runs in [&self.leaves, &self.versions] {
            digest.update((runs.len() as u64).to_be_bytes());
            runs.iter().for_each(|(first, last)| digest.update([first.to_be_bytes(), last.to_be_bytes()].concat()));
        }
        Some(commitment(&nonce, ERASURE_DOMAIN, &digest.finalize().into()))
    }

    /// Whether it is what a leaf commits to.
    pub fn opens(&self, leaf: &Leaf) -> bool {
        leaf.names_what_it_erased() && self.commitment() == Some(leaf.canonical)
    }

    /// The leaves it names, as runs from the first to the last.
    pub fn leaves(&self) -> &[(u64, u64)] {
        &self.leaves
    }

    pub fn names_leaf(&self, position: u64) -> bool {
        is_in(&self.leaves, position)
    }

    pub fn names_version(&self, number: u32) -> bool {
        is_in(&self.versions, u64::from(number))
    }
}

fn is_in(runs: &[(u64, u64)], number: u64) -> bool {
    runs.iter().any(|(first, last)| (*first..=*last).contains(&number))
}

/// Numbers that follow each other, as runs from the first to the last.
fn runs(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|(_, last)| last.checked_add(1) == Some(number)) {
            Some((_, last)) => *last = number,
            None => runs.push((number, number)),
        }
    }
    runs
}

/// A leaf that erases, and what it names if that is known.
#[derive(Debug, Clone)]
pub struct Eraser {
    pub position: u64,
    pub leaf: Leaf,
    pub severed: Option<Severed>,
}

/// Why what a leaf stands for is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Erased {
    /// A later leaf names it.
    Named,
    /// A later leaf of an older gateway, which names nothing, may have erased it.
    Unnamed,
}

impl Eraser {
    /// Whether it, in the same patient's trail, is why what another leaf stands for is not there.
    pub fn explains(&self, position: u64, leaf: &Leaf) -> Option<Erased> {
        let is_named = || self.severed.as_ref().is_some_and(|severed| severed.names_leaf(position) && severed.opens(&self.leaf));
        match self.position > position && self.leaf.kind == LeafKind::Erase {
            true if is_named() => Some(Erased::Named),
            true if self.leaf.may_have_erased(leaf) => Some(Erased::Unnamed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::Tags;
    use crate::clock::Instant;

    fn leaf(kind: LeafKind, canonical: [u8; 32]) -> Leaf {
        Leaf::new(kind, Instant::from_seconds(0), Tags::default(), [1; 32], canonical)
    }

    #[test]
    fn a_leaf_that_erases_explains_what_it_names_and_nothing_else() {
        let severed = Severed::naming(&BTreeSet::from([3, 4, 5, 9]), &BTreeSet::from([1, 2]), || [8; 32]).pop().unwrap();
        assert_eq!((&severed.leaves[..], &severed.versions[..]), (&[(3, 5), (9, 9)][..], &[(1, 2)][..]));
        let accepted = leaf(LeafKind::Accept, [0; 32]);
        let eraser = |canonical, severed: Option<&Severed>| Eraser {
            position: 7,
            leaf: leaf(LeafKind::Erase, canonical),
            severed: severed.cloned(),
        };
        let own = severed.commitment().unwrap();
        let other = Severed { versions: vec![(1, 3)], ..severed.clone() };
        for (eraser, position, expected) in [
            (eraser(own, Some(&severed)), 4, Some(Erased::Named)),
            (eraser(own, Some(&severed)), 6, None),
            (eraser(own, Some(&severed)), 9, None),
            (eraser(own, None), 4, None),
            (eraser(own, Some(&other)), 4, None),
            (eraser([2; 32], Some(&severed)), 4, None),
            (eraser([0; 32], None), 4, Some(Erased::Unnamed)),
            (eraser([0; 32], Some(&severed)), 4, Some(Erased::Unnamed)),
            (eraser([0; 32], None), 8, None),
        ] {
            assert_eq!(eraser.explains(position, &accepted), expected, "{position} {eraser:?}");
        }
        assert!(severed.names_version(2) && !severed.names_version(3));
        assert!(!severed.opens(&leaf(LeafKind::Audit, own)));
    }

    #[test]
    fn what_is_too_much_for_one_leaf_is_named_by_several() {
        let scattered: BTreeSet<u64> = (0..=MAX_RUNS as u64).map(|number| number * 2).collect();
        let all = Severed::naming(&scattered, &BTreeSet::new(), || [8; 32]);
        assert_eq!(all.iter().map(|one| one.leaves.len()).collect::<Vec<_>>(), [MAX_RUNS, 1]);
        assert!(scattered.iter().all(|position| all.iter().any(|one| one.names_leaf(*position))));
        assert_eq!(Severed::naming(&BTreeSet::new(), &BTreeSet::new(), || [8; 32]).len(), 1);
    }
}
