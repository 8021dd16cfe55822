//! The verifiable index beside the log: from a tag to the list of all leaves that carry it, provable in both directions.
//!
//! A list is an RFC 6962 tree over the positions of its leaves (u64, big-endian), in the log's order. The lists hang in a binary prefix tree
//! over their tags in which a node stands only where two tags part; its root, anchored in the log, commits to every list there is.
//!
//! Hashes: a list's node is SHA-256(02 ‖ tag ‖ length, u64 ‖ root of the list), an inner node SHA-256(03 ‖ depth, one byte ‖ the bits all
//! tags below share, the rest zero, 16 bytes ‖ left ‖ right), an empty index SHA-256(04).
//!
//! A proof shows the way from the root to the tag's list, or to where it would have to be. That the tree was built rightly is not in the
//! proof: whoever has the leaves builds it again with [`root_of`] and compares.
//!
//! Cost: adding to one list costs at most one hash per bit in which tags part (log2 of their number, as tags are random) and as many node
//! readings and writings; lists changed together share the nodes above them. Nothing that did not change is read.

use super::error::{LedgerError, ProofError};
use super::merkle::{Hash, leaf_hash, node_hash};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;
/// The most steps on the way to a list: one per bit.
pub const MAX_STEPS: usize = TAG_BYTES * 8;

/// A blinded name under which leaves are found. Sixteen zero bytes stand for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tag(pub [u8; TAG_BYTES]);

impl Tag {
    /// Its bit at a depth, from the first byte's highest.
    fn bit(self, depth: u8) -> bool {
        self.0.get(usize::from(depth / 8)).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
    }

    /// The first `depth` bits, the rest zero.
    fn prefix(self, depth: u8) -> Tag {
        let mut prefix = [0; TAG_BYTES];
        for (index, (slot, byte)) in prefix.iter_mut().zip(self.0).enumerate() {
            let kept = usize::from(depth).saturating_sub(index * 8).min(8);
            *slot = if kept == 0 { 0 } else { byte & (0xFFu8 << (8 - kept)) };
        }
        Tag(prefix)
    }

    /// The first depth at which two tags differ; they must.
    fn parts_from(self, other: Tag) -> u8 {
        (0..=127u8).find(|&depth| self.bit(depth) != other.bit(depth)).unwrap_or(127)
    }
}

/// A list of positions as far as it must be known to grow: how many there are, and the roots of its complete subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    length: u64,
    roots: Vec<Hash>,
}

impl List {
    /// A list as it was stored. `None` when the roots are not as many as the length has bits set.
    pub fn from_parts(length: u64, roots: Vec<Hash>) -> Option<List> {
        (u32::try_from(roots.len()) == Ok(length.count_ones())).then_some(List { length, roots })
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a position.
    pub fn push(&mut self, position: u64) {
        let mut hash = leaf_hash(&position.to_be_bytes());
        for _ in 0..self.length.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.length += 1;
    }

    /// The root of the tree over it.
    pub fn root(&self) -> Hash {
        let folded = self.roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or(Hash::EMPTY_ROOT)
    }

    /// The list of these positions.
    pub fn of(positions: &[u64]) -> List {
        let mut list = List::default();
        positions.iter().for_each(|&position| list.push(position));
        list
    }
}

/// What hangs at one side of an inner node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// `Some` for an inner node at this depth, `None` for a list.
    pub depth: Option<u8>,
    /// The inner node's shared bits, or the list's tag.
    pub tag: Tag,
    pub hash: Hash,
}

/// An inner node, kept under its depth and prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    pub depth: u8,
    pub prefix: Tag,
    pub left: Branch,
    pub right: Branch,
}

impl Inner {
    fn branch(&self) -> Branch {
        Branch { depth: Some(self.depth), tag: self.prefix, hash: inner_hash(self.depth, self.prefix, &self.left.hash, &self.right.hash) }
    }

    fn side(&self, tag: Tag) -> Branch {
        if tag.bit(self.depth) { self.right } else { self.left }
    }

    fn covers(&self, tag: Tag) -> bool {
        tag.prefix(self.depth) == self.prefix
    }
}

/// Where inner nodes are kept.
pub trait Nodes {
    /// The inner node at this depth with this prefix.
    ///
    /// # Errors
    /// When the storage fails.
    fn node(&self, depth: u8, prefix: Tag) -> Result<Option<Inner>, LedgerError>;

    /// Keeps an inner node, in place of the one at its depth and prefix.
    ///
    /// # Errors
    /// When the storage fails.
    fn keep(&mut self, node: Inner) -> Result<(), LedgerError>;
}

/// Inner nodes in memory, for whoever builds an index again.
#[derive(Debug, Default)]
pub struct MemoryNodes(HashMap<(u8, Tag), Inner>);

impl Nodes for MemoryNodes {
    fn node(&self, depth: u8, prefix: Tag) -> Result<Option<Inner>, LedgerError> {
        Ok(self.0.get(&(depth, prefix)).copied())
    }

    fn keep(&mut self, node: Inner) -> Result<(), LedgerError> {
        self.0.insert((node.depth, node.prefix), node);
        Ok(())
    }
}

/// The branch of a list.
pub fn list_branch(tag: Tag, list: &List) -> Branch {
    Branch { depth: None, tag, hash: list_hash(tag, list.length, &list.root()) }
}

fn list_hash(tag: Tag, length: u64, root: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([2]);
    hasher.update(tag.0);
    hasher.update(length.to_be_bytes());
    hasher.update(root.0);
    Hash(hasher.finalize().into())
}

fn inner_hash(depth: u8, prefix: Tag, left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([3, depth]);
    hasher.update(prefix.0);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

/// The root of an index, given its top branch.
pub fn root(top: Option<&Branch>) -> Hash {
    top.map_or_else(|| Hash(Sha256::digest([4]).into()), |branch| branch.hash)
}

/// Puts changed lists into the tree and answers its new top. The lists come in the order of their tags, each tag once.
///
/// # Errors
/// When the storage fails, or lacks a node that the tree refers to.
pub fn update(top: Option<Branch>, changed: &[Branch], nodes: &mut impl Nodes) -> Result<Option<Branch>, LedgerError> {
    match (top, changed) {
        (top, []) => Ok(top),
        (None, [first, rest @ ..]) => merge(*first, rest, nodes).map(Some),
        (Some(top), changed) => merge(top, changed, nodes).map(Some),
    }
}

/// The depth of recursion is bounded by the bits of a tag: each call stands at a node deeper than the last.
fn merge(at: Branch, changed: &[Branch], nodes: &mut impl Nodes) -> Result<Branch, LedgerError> {
    let (Some(first), Some(last)) = (changed.first(), changed.last()) else { return Ok(at) };
    if at.depth.is_none() && changed.len() == 1 && first.tag == at.tag {
        return Ok(*first);
    }
    // Sorted tags part first where the first and the last do; what stands here may part from them earlier still.
    let own = at.depth.unwrap_or(128);
    let parted = [first.tag, last.tag].iter().filter(|tag| **tag != at.tag).map(|tag| tag.parts_from(at.tag)).min().unwrap_or(128);
    let among = if first.tag == last.tag { 128 } else { first.tag.parts_from(last.tag) };
    let depth = own.min(parted).min(among);
    let split = changed.partition_point(|branch| !branch.tag.bit(depth));
    let (to_left, to_right) = changed.split_at_checked(split).unwrap_or((changed, &[]));
    let (left, right) = if depth == own {
        let node = nodes.node(own, at.tag)?.ok_or_else(|| LedgerError::Missing { path: format!("index node at depth {own}") })?;
        (merge(node.left, to_left, nodes)?, merge(node.right, to_right, nodes)?)
    } else {
        let stay = |side: &[Branch], nodes: &mut _| merge(at, side, nodes);
        if at.tag.bit(depth) {
            (gather(to_left, nodes)?, stay(to_right, nodes)?)
        } else {
            (stay(to_left, nodes)?, gather(to_right, nodes)?)
        }
    };
    let node = Inner { depth, prefix: first.tag.prefix(depth), left, right };
    nodes.keep(node)?;
    Ok(node.branch())
}

/// The subtree of lists where nothing stood before; never called without any.
fn gather(branches: &[Branch], nodes: &mut impl Nodes) -> Result<Branch, LedgerError> {
    match branches {
        [first, rest @ ..] => merge(*first, rest, nodes),
        [] => Err(LedgerError::BeyondEdge),
    }
}

/// The root of the index over these lists, built from nothing: what an auditor compares.
pub fn root_of(lists: &BTreeMap<Tag, List>) -> Hash {
    let branches: Vec<Branch> = lists.iter().map(|(tag, list)| list_branch(*tag, list)).collect();
    subtree(&branches).unwrap_or_else(|| root(None))
}

/// Bounded like [`merge`]: each call splits at a later bit.
fn subtree(branches: &[Branch]) -> Option<Hash> {
    let (first, last) = (branches.first()?, branches.last()?);
    if first.tag == last.tag {
        return Some(first.hash);
    }
    let depth = first.tag.parts_from(last.tag);
    let (left, right) = branches.split_at_checked(branches.partition_point(|branch| !branch.tag.bit(depth)))?;
    Some(inner_hash(depth, first.tag.prefix(depth), &subtree(left)?, &subtree(right)?))
}

/// One step from the root: an inner node's depth and the hash of the side not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub depth: u8,
    pub sibling: Hash,
}

/// Where the way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the tag's own list.
    Here,
    /// The index is empty.
    Empty,
    /// At the list of another tag: there is none of this one.
    Other { tag: Tag, length: u64, root: Hash },
    /// Before an inner node below which all tags begin otherwise: there is none of this one.
    Parted { depth: u8, prefix: Tag, left: Hash, right: Hash },
}

/// What the index says of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexProof {
    /// From the root downward.
    pub steps: Vec<Step>,
    pub end: End,
}

/// Shows what the index says of a tag. `list` reads the length and root of another tag's list.
///
/// # Errors
/// When the storage fails, or lacks what the tree refers to.
pub fn prove(
    top: Option<Branch>,
    tag: Tag,
    nodes: &impl Nodes,
    list: impl FnOnce(Tag) -> Result<Option<List>, LedgerError>,
) -> Result<IndexProof, LedgerError> {
    let missing = || LedgerError::Missing { path: "index node".to_owned() };
    let Some(mut at) = top else { return Ok(IndexProof { steps: Vec::new(), end: End::Empty }) };
    let mut steps = Vec::new();
    for _ in 0..=MAX_STEPS {
        let Some(depth) = at.depth else {
            let end = if at.tag == tag {
                End::Here
            } else {
                let other = list(at.tag)?.ok_or_else(missing)?;
                End::Other { tag: at.tag, length: other.len(), root: other.root() }
            };
            return Ok(IndexProof { steps, end });
        };
        let node = nodes.node(depth, at.tag)?.ok_or_else(missing)?;
        if !node.covers(tag) {
            let end = End::Parted { depth, prefix: node.prefix, left: node.left.hash, right: node.right.hash };
            return Ok(IndexProof { steps, end });
        }
        let sibling = if tag.bit(depth) { node.left.hash } else { node.right.hash };
        steps.push(Step { depth, sibling });
        at = node.side(tag);
    }
    Err(missing())
}

/// Checks that these are all the positions of a tag, or, when there are none, that the index has no list of it.
///
/// # Errors
/// When the proof does not lead to the root, or its steps are not in order.
pub fn verify(root_hash: &Hash, tag: Tag, positions: &[u64], proof: &IndexProof) -> Result<(), ProofError> {
    let in_order = proof.steps.iter().zip(proof.steps.iter().skip(1)).all(|(a, b)| a.depth < b.depth);
    let last = proof.steps.last().map(|step| step.depth);
    if !in_order || proof.steps.len() > MAX_STEPS || last.is_some_and(|depth| depth > 127) {
        return Err(ProofError::WrongLength);
    }
    let below = |prefix: Tag| {
        proof.steps.iter().all(|step| prefix.prefix(step.depth) == tag.prefix(step.depth) && prefix.bit(step.depth) == tag.bit(step.depth))
    };
    let mut hash = match (&proof.end, positions.is_empty()) {
        (End::Here, false) => {
            if !positions.iter().zip(positions.iter().skip(1)).all(|(a, b)| a < b) {
                return Err(ProofError::SizesOutOfOrder);
            }
            list_branch(tag, &List::of(positions)).hash
        }
        (End::Empty, true) if proof.steps.is_empty() => root(None),
        (End::Other { tag: other, length, root }, true) if *other != tag && below(*other) => list_hash(*other, *length, root),
        (End::Parted { depth, prefix, left, right }, true)
            if *depth <= 127 && last.is_none_or(|last| last < *depth) && below(*prefix) && tag.prefix(*depth) != *prefix =>
        {
            inner_hash(*depth, *prefix, left, right)
        }
        _ => return Err(ProofError::WrongLength),
    };
    for step in proof.steps.iter().rev() {
        let prefix = tag.prefix(step.depth);
        hash = if tag.bit(step.depth) {
            inner_hash(step.depth, prefix, &step.sibling, &hash)
        } else {
            inner_hash(step.depth, prefix, &hash, &step.sibling)
        };
    }
    if hash == *root_hash { Ok(()) } else { Err(ProofError::RootDiffers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::merkle::{self, HashReader};

    /// Counts what is kept.
    #[derive(Default)]
    struct Memory {
        nodes: MemoryNodes,
        kept: usize,
    }

    impl Nodes for Memory {
        fn node(&self, depth: u8, prefix: Tag) -> Result<Option<Inner>, LedgerError> {
            self.nodes.node(depth, prefix)
        }

        fn keep(&mut self, node: Inner) -> Result<(), LedgerError> {
            self.kept += 1;
            self.nodes.keep(node)
        }
    }

    /// An index that grows in batches, beside the lists it should hold.
    #[derive(Default)]
    struct Growing {
        top: Option<Branch>,
        memory: Memory,
        positions: BTreeMap<Tag, Vec<u64>>,
    }

    impl Growing {
        fn add(&mut self, batch: &[(Tag, u64)]) {
            let mut touched = BTreeMap::new();
            for (tag, position) in batch {
                let positions = self.positions.entry(*tag).or_default();
                positions.push(*position);
                touched.insert(*tag, list_branch(*tag, &List::of(positions)));
            }
            let branches: Vec<Branch> = touched.into_values().collect();
            self.top = update(self.top, &branches, &mut self.memory).unwrap();
        }

        fn lists(&self) -> BTreeMap<Tag, List> {
            self.positions.iter().map(|(tag, positions)| (*tag, List::of(positions))).collect()
        }

        fn prove(&self, tag: Tag) -> IndexProof {
            prove(self.top, tag, &self.memory, |other| Ok(self.positions.get(&other).map(|positions| List::of(positions)))).unwrap()
        }

        fn root(&self) -> Hash {
            root(self.top.as_ref())
        }
    }

    /// Tags that begin alike, tags at the ends, and tags as they come.
    fn tag(number: u64) -> Tag {
        match number % 4 {
            0 => Tag([(number % 251) as u8; 16]),
            1 => Tag([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (number >> 3) as u8, number as u8]),
            2 => Tag([0xFF; 16]),
            _ => {
                let digest = Sha256::digest(number.to_be_bytes());
                Tag(*digest.first_chunk::<16>().unwrap())
            }
        }
    }

    fn grown(count: u64) -> Growing {
        let mut growing = Growing::default();
        let mut at = 0;
        for (number, batch) in [1u64, 1, 2, 3, 40, 1, 7, 200, 1, 500].iter().cycle().enumerate() {
            let entries: Vec<(Tag, u64)> = (at..(at + batch).min(count)).map(|position| (tag(position * 7 % 600), position)).collect();
            growing.add(&entries);
            at += batch;
            if number % 3 == 0 {
                assert_eq!(growing.root(), root_of(&growing.lists()));
            }
            if at >= count {
                return growing;
            }
        }
        growing
    }

    #[test]
    fn what_grows_is_what_is_built_from_nothing() {
        for count in [0, 1, 2, 3, 10, 100, 2000] {
            let growing = grown(count);
            assert_eq!(growing.root(), root_of(&growing.lists()), "{count}");
        }
    }

    #[test]
    fn a_list_is_an_rfc_6962_tree() {
        struct Leaves;
        impl HashReader for Leaves {
            fn subtree(&mut self, height: u8, index: u64) -> Result<Hash, LedgerError> {
                let positions: Vec<u64> = (index << height..(index + 1) << height).collect();
                Ok(positions.iter().map(|position| leaf_hash(&position.to_be_bytes())).collect::<Vec<_>>()).map(|mut level| {
                    while level.len() > 1 {
                        level = level.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
                    }
                    level[0]
                })
            }
        }
        for size in 1..70u64 {
            let positions: Vec<u64> = (0..size).collect();
            assert_eq!(List::of(&positions).root(), merkle::root(size, &mut Leaves).unwrap(), "{size}");
        }
        let list = List::of(&[4, 9, 12]);
        assert_eq!(List::from_parts(3, list.roots().to_vec()), Some(list.clone()));
        assert_eq!(List::from_parts(4, list.roots().to_vec()), None);
        assert_eq!(List::default().root(), Hash::EMPTY_ROOT);
    }

    #[test]
    fn these_are_all_and_there_are_none() {
        let growing = grown(700);
        let root = growing.root();
        for (tag, positions) in &growing.positions {
            let proof = growing.prove(*tag);
            verify(&root, *tag, positions, &proof).unwrap();
            let mut wrong = vec![positions[1..].to_vec(), [positions.as_slice(), &[9999]].concat(), Vec::new()];
            let mut changed = positions.clone();
            changed[0] += 1;
            wrong.push(changed);
            for wrong in wrong {
                assert!(verify(&root, *tag, &wrong, &proof).is_err(), "{tag:?} {wrong:?}");
            }
        }
        for number in 0..500u64 {
            let absent = Tag(*Sha256::digest([&b"absent"[..], &number.to_be_bytes()].concat()).first_chunk::<16>().unwrap());
            let proof = growing.prove(absent);
            verify(&root, absent, &[], &proof).unwrap();
            assert!(verify(&root, absent, &[1], &proof).is_err());
            // A proof of absence proves nothing of a tag that is there.
            for tag in growing.positions.keys().take(40) {
                assert!(verify(&root, *tag, &[], &proof).is_err(), "{tag:?} can be denied");
            }
        }
        let empty = Growing::default();
        verify(&empty.root(), tag(1), &[], &empty.prove(tag(1))).unwrap();
        assert!(verify(&root, tag(1), &[], &empty.prove(tag(1))).is_err());
    }

    #[test]
    fn proofs_that_were_tampered_with_fail() {
        let growing = grown(700);
        let root = growing.root();
        let (tag, positions) = growing.positions.iter().nth(100).unwrap();
        let sound = growing.prove(*tag);
        assert!(sound.steps.len() > 2);
        let mut hostile = Vec::new();
        for index in 0..sound.steps.len() {
            let mut proof = sound.clone();
            proof.steps[index].sibling.0[5] ^= 1;
            hostile.push(proof);
            let mut proof = sound.clone();
            proof.steps[index].depth ^= 1;
            hostile.push(proof);
            let mut proof = sound.clone();
            proof.steps.remove(index);
            hostile.push(proof);
        }
        hostile.push(IndexProof { steps: sound.steps.iter().cloned().cycle().take(MAX_STEPS + 1).collect(), end: End::Here });
        hostile.push(IndexProof { steps: vec![Step { depth: 255, sibling: Hash::default() }], end: End::Here });
        for proof in hostile {
            assert!(verify(&root, *tag, positions, &proof).is_err(), "{proof:?}");
        }
    }

    /// Adding to one list reads and writes one node for each step to it.
    #[test]
    fn growing_costs_what_changes() {
        let mut growing = Growing::default();
        let entries: Vec<(Tag, u64)> = (0..20_000u64).map(|number| (tag(number * 4 + 3), number)).collect();
        growing.add(&entries);
        growing.memory.kept = 0;
        growing.add(&[(tag(4 * 77 + 3), 20_000)]);
        assert!(growing.memory.kept <= 40, "{}", growing.memory.kept);
        growing.memory.kept = 0;
        let batch: Vec<(Tag, u64)> = (0..1000u64).map(|number| (tag(number * 80 + 3), 30_000 + number)).collect();
        growing.add(&batch);
        assert!(growing.memory.kept <= 1000 * 8, "{}", growing.memory.kept);
    }
}
