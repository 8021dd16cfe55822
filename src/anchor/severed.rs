//! What a leaf that erases names: the leaves of its patient's trail that stand for nothing any more, the numbers of a record that lack, and the leaves
//! whose records of what was done lost what led to whoever was erased.
//!
//! The leaf commits to it under a nonce of its own, so that it refers to nobody; who has the trail is given what opens it. Only leaves that are in
//! the trail of whom the leaf is about are named, and none of whoever was erased.

use super::leaf::{Leaf, LeafKind, commitment};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Domain of the commitment to what a leaf erased.
const ERASURE_DOMAIN: &str = "hearthgate/v2/erasure";
/// The same in leaves of older gateways, which do not name the records of what was done that they shortened.
const ERASURE_DOMAIN_BEFORE: &str = "hearthgate/v1/erasure";
/// The most runs of each that one leaf names.
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
    /// Positions of leaves whose records of what was done were shortened, as runs; none where the leaf is of an older gateway.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    shortened: Option<Vec<(u64, u64)>>,
}

/// What is missing from a trail once an erasure is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Positions of leaves that stand for nothing any more.
    pub leaves: BTreeSet<u64>,
    /// Numbers of versions of the record.
    pub versions: BTreeSet<u32>,
    /// Positions of leaves whose records of what was done lack something.
    pub shortened: BTreeSet<u64>,
}

impl Severed {
    /// As many as it takes for this, at least one. Each has a nonce.
    pub fn naming(missing: &Missing, nonce: impl Fn() -> [u8; 32]) -> Vec<Severed> {
        let leaves = runs(missing.leaves.iter().copied());
        let versions = runs(missing.versions.iter().map(|number| u64::from(*number)));
        let shortened = runs(missing.shortened.iter().copied());
        let count = [&leaves, &versions, &shortened].into_iter().map(|runs| runs.len().div_ceil(MAX_RUNS)).max().unwrap_or_default();
        let part = |runs: &[(u64, u64)], number| runs.chunks(MAX_RUNS).nth(number).map(<[_]>::to_vec).unwrap_or_default();
        let parts = (0..count.max(1)).map(|number| Severed {
            nonce: BASE64.encode(&nonce()),
            leaves: part(&leaves, number),
            versions: part(&versions, number),
            shortened: Some(part(&shortened, number)),
        });
        parts.collect()
    }

    /// What the leaf commits to: HMAC-SHA-256 under the nonce over SHA-256(count ‖ first ‖ last ‖ … of the leaves, the same of the versions, and of the
    /// leaves whose records were shortened; each u64, big-endian). Leaves of older gateways commit, under another domain, to the first two. `None` where
    /// the nonce is none.
    pub fn commitment(&self) -> Option<[u8; 32]> {
        let nonce: [u8; 32] = BASE64.decode(self.nonce.as_bytes()).ok()?.try_into().ok()?;
        let domain = if self.shortened.is_some() { ERASURE_DOMAIN } else { ERASURE_DOMAIN_BEFORE };
        let mut digest = Sha256::new();
        for runs in [&self.leaves, &self.versions].into_iter().chain(&self.shortened) {
            digest.update((runs.len() as u64).to_be_bytes());
            runs.iter().for_each(|(first, last)| digest.update([first.to_be_bytes(), last.to_be_bytes()].concat()));
        }
        Some(commitment(&nonce, domain, &digest.finalize().into()))
    }

    /// Whether it is what a leaf commits to. A leaf that says that it names what it shortened is opened by nothing that does not.
    pub fn opens(&self, leaf: &Leaf) -> bool {
        let is_alike = leaf.shortens_by_name == self.shortened.is_some();
        leaf.names_what_it_erased() && is_alike && self.commitment() == Some(leaf.canonical)
    }

    /// What was noted of a leaf, if that is what it commits to.
    pub fn read(noted: &[u8], leaf: &Leaf) -> Option<Severed> {
        serde_json::from_slice(noted).ok().filter(|severed: &Severed| severed.opens(leaf))
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

    /// Whether something was taken out of the record of what was done that this leaf stands for.
    pub fn names_shortened(&self, position: u64) -> bool {
        self.shortened.as_ref().is_some_and(|shortened| is_in(shortened, position))
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
        match self.follows(position) {
            true if is_named() => Some(Erased::Named),
            true if self.leaf.may_have_erased(leaf) => Some(Erased::Unnamed),
            _ => None,
        }
    }

    /// Whether it, in the same patient's trail, is why the record of what was done that another leaf stands for is not what that commits to. What an
    /// older gateway did it may have shortened in what an older gateway wrote; in anything else only what a leaf names was.
    pub fn shortened(&self, position: u64, leaf: &Leaf) -> Option<Erased> {
        let is_named = || self.severed.as_ref().is_some_and(|severed| severed.names_shortened(position) && severed.opens(&self.leaf));
        match self.follows(position) {
            true if is_named() => Some(Erased::Named),
            true if !leaf.shortens_by_name && !self.leaf.shortens_by_name => Some(Erased::Unnamed),
            _ => None,
        }
    }

    fn follows(&self, position: u64) -> bool {
        self.position > position && self.leaf.kind == LeafKind::Erase
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
        let missing = Missing { leaves: BTreeSet::from([3, 4, 5, 9]), versions: BTreeSet::from([1, 2]), shortened: BTreeSet::from([6]) };
        let severed = Severed::naming(&missing, || [8; 32]).pop().unwrap();
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
        // What lacks of a record is not what is gone, and the other way round.
        let eraser = eraser(own, Some(&severed));
        let act = leaf(LeafKind::Disclose, [0; 32]);
        assert_eq!([3, 6].map(|position| eraser.shortened(position, &act)), [None, Some(Erased::Named)]);
    }

    /// A leaf that names what it shortened is not opened as one that need not, nor the other way round; and only what older gateways wrote and shortened is
    /// explained by a leaf that does not name it.
    #[test]
    fn what_an_older_gateway_shortened_is_told_apart() {
        let missing = Missing { shortened: BTreeSet::from([4]), ..Missing::default() };
        let named = Severed::naming(&missing, || [8; 32]).pop().unwrap();
        let before = Severed { shortened: None, ..named.clone() };
        let of_newer = |severed: &Severed| leaf(LeafKind::Erase, severed.commitment().unwrap());
        let of_older = |severed: &Severed| Leaf { shortens_by_name: false, ..of_newer(severed) };
        for (leaf, severed, opens) in [
            (of_newer(&named), &named, true),
            (of_older(&before), &before, true),
            (of_older(&named), &named, false),
            (of_newer(&before), &before, false),
            (of_newer(&named), &before, false),
        ] {
            assert_eq!(severed.opens(&leaf), opens, "{leaf:?} {severed:?}");
        }
        let acts = [leaf(LeafKind::Disclose, [0; 32]), Leaf { shortens_by_name: false, ..leaf(LeafKind::Disclose, [0; 32]) }];
        for (leaf, severed, position, expected) in [
            (of_newer(&named), Some(&named), 4, [Some(Erased::Named); 2]),
            (of_newer(&named), Some(&named), 5, [None; 2]),
            (of_newer(&named), None, 4, [None; 2]),
            (of_older(&before), Some(&before), 4, [None, Some(Erased::Unnamed)]),
            (of_older(&before), None, 5, [None, Some(Erased::Unnamed)]),
            (of_older(&before), None, 7, [None; 2]),
        ] {
            let eraser = Eraser { position: 7, leaf, severed: severed.cloned() };
            assert_eq!([0, 1].map(|act| eraser.shortened(position, &acts[act])), expected, "{position} {eraser:?}");
        }
    }

    #[test]
    fn what_is_too_much_for_one_leaf_is_named_by_several() {
        let scattered: BTreeSet<u64> = (0..=MAX_RUNS as u64).map(|number| number * 2).collect();
        let all = Severed::naming(&Missing { leaves: scattered.clone(), ..Missing::default() }, || [8; 32]);
        assert_eq!(all.iter().map(|one| one.leaves.len()).collect::<Vec<_>>(), [MAX_RUNS, 1]);
        assert!(scattered.iter().all(|position| all.iter().any(|one| one.names_leaf(*position))));
        assert_eq!(Severed::naming(&Missing::default(), || [8; 32]).len(), 1);
        let all =
            Severed::naming(&Missing { shortened: scattered.clone(), versions: BTreeSet::from([1]), ..Missing::default() }, || [8; 32]);
        assert!(all.len() == 2 && scattered.iter().all(|position| all.iter().any(|one| one.names_shortened(*position))));
    }
}
