//! RFC 6962 Merkle trees: hashes, roots, and proofs made from a reader of subtree hashes and verified without one.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::encoding::{base64_decode, base64_encode};
use super::error::{Format, LedgerError, Malformed, ProofError};

/// A SHA-256 hash of a leaf or a node. Its text form is standard base64.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; Hash::LEN]);

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;
    /// The root of a tree without leaves: SHA-256 of nothing.
    pub const EMPTY_ROOT: Hash = Hash([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
        0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Hash, Malformed> {
        let bytes = base64_decode(text).ok_or(Malformed::new(Format::Hash, "not standard base64"))?;
        let bytes = bytes.try_into().map_err(|_| Malformed::new(Format::Hash, "not 32 bytes long"))?;
        Ok(Hash(bytes))
    }
}

/// The hash of an entry as a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0u8]);
    hasher.update(entry);
    Hash(hasher.finalize().into())
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [1u8; 1 + 2 * Hash::LEN];
    let (_, children) = block.split_at_mut(1);
    let (left_half, right_half) = children.split_at_mut(Hash::LEN);
    left_half.copy_from_slice(&left.0);
    right_half.copy_from_slice(&right.0);
    Hash(Sha256::digest(block).into())
}

/// Gives hashes of complete subtrees, from wherever they are kept.
pub trait HashReader {
    /// The root of the complete subtree of 2^`height` leaves that begins at leaf `index` · 2^`height`.
    ///
    /// # Errors
    /// When the tree does not reach that far, or the storage fails.
    fn subtree(&mut self, height: u8, index: u64) -> Result<Hash, LedgerError>;

    /// The hash of what is no complete subtree, if it was made before. All proofs for one size end in the same ones.
    fn remembered(&self, _range: Range) -> Option<Hash> {
        None
    }

    /// Takes note of the hash of what is no complete subtree.
    fn remember(&mut self, _range: Range, _hash: Hash) {}
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// Those of the reader.
pub fn root(size: u64, reader: &mut impl HashReader) -> Result<Hash, LedgerError> {
    if size == 0 { Ok(Hash::EMPTY_ROOT) } else { range_hash(Range { begin: 0, end: size }, reader) }
}

/// The proof that leaf `index` is in the tree of `size` leaves: siblings from the leaf's to the root's child (RFC 6962, 2.1.1).
///
/// # Errors
/// When `index` is not below `size`, and those of the reader.
pub fn inclusion_proof(index: u64, size: u64, reader: &mut impl HashReader) -> Result<Vec<Hash>, LedgerError> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize.into());
    }
    let mut siblings = Vec::new();
    let mut range = Range { begin: 0, end: size };
    while range.len() > 1 {
        let (left, right) = range.split();
        let (chosen, sibling) = if index < right.begin { (left, right) } else { (right, left) };
        siblings.push(sibling);
        range = chosen;
    }
    hashes_upward(&siblings, reader)
}

/// The proof that the tree of `old_size` leaves is a prefix of the tree of `new_size` leaves (RFC 6962, 2.1.2).
///
/// # Errors
/// When `old_size` is zero or above `new_size`, and those of the reader.
pub fn consistency_proof(old_size: u64, new_size: u64, reader: &mut impl HashReader) -> Result<Vec<Hash>, LedgerError> {
    if old_size == 0 || old_size > new_size {
        return Err(ProofError::SizesOutOfOrder.into());
    }
    let mut parts = Vec::new();
    let mut range = Range { begin: 0, end: new_size };
    while range.end != old_size {
        let (left, right) = range.split();
        let (chosen, sibling) = if old_size <= left.end { (left, right) } else { (right, left) };
        parts.push(sibling);
        range = chosen;
    }
    // The old tree itself needs no mention when it is one complete subtree: the verifier has its root.
    if range.begin != 0 {
        parts.push(range);
    }
    hashes_upward(&parts, reader)
}

/// Checks that the leaf with this hash is at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
///
/// # Errors
/// One per way in which the proof can fail.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize);
    }
    let mut path = Path { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match path.step()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    path.finish()?;
    if hash == *root { Ok(()) } else { Err(ProofError::RootDiffers) }
}

/// Checks that the tree of `old_size` leaves is a prefix of the tree of `new_size` leaves (RFC 9162, 2.1.4.2).
///
/// An older size of zero is refused, although every tree extends the empty one: there is nothing to check, and who asks has
/// most likely lost a checkpoint. A witness that meets a log for the first time decides that for itself.
///
/// # Errors
/// One per way in which the proof can fail.
pub fn verify_consistency(old_size: u64, new_size: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
    if old_size == 0 || old_size > new_size {
        return Err(ProofError::SizesOutOfOrder);
    }
    if old_size == new_size {
        return match (proof.is_empty(), old_root == new_root) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::RootDiffers),
            (false, _) => Err(ProofError::WrongLength),
        };
    }
    let (seed, rest) = if old_size.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::WrongLength)? };
    let complete_levels = (old_size - 1).trailing_ones();
    let mut path = Path { node: (old_size - 1) >> complete_levels, last: (new_size - 1) >> complete_levels };
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in rest {
        match path.step()? {
            Side::Left => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Side::Right => new_hash = node_hash(&new_hash, sibling),
        }
    }
    path.finish()?;
    if old_hash != *old_root {
        return Err(ProofError::OldRootDiffers);
    }
    if new_hash == *new_root { Ok(()) } else { Err(ProofError::RootDiffers) }
}

/// On which side of the path the next sibling lies.
enum Side {
    Left,
    Right,
}

/// A walk from a leaf to the root: the node it stands on and the last node of that level, both by index.
struct Path {
    node: u64,
    last: u64,
}

impl Path {
    /// Goes up to the next node that has a sibling; an error when the root is reached already.
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::WrongLength);
        }
        let side = if self.node & 1 == 1 || self.node == self.last { Side::Left } else { Side::Right };
        if matches!(side, Side::Left) {
            // A last node without a right neighbour is carried up unhashed until it is somebody's right child.
            let carried = self.node.trailing_zeros().min(63);
            self.node >>= carried;
            self.last >>= carried;
        }
        self.node >>= 1;
        self.last >>= 1;
        Ok(side)
    }

    fn finish(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::WrongLength) }
    }
}

/// Leaves from `begin` up to, not including, `end`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Range {
    begin: u64,
    end: u64,
}

impl Range {
    fn len(self) -> u64 {
        self.end - self.begin
    }

    /// Splits at the largest power of two below the length, which must be at least two.
    fn split(self) -> (Range, Range) {
        let middle = self.begin + (1 << (self.len() - 1).ilog2());
        (Range { begin: self.begin, end: middle }, Range { begin: middle, end: self.end })
    }
}

/// The hashes of ranges that were collected from the root downward, in the order proofs list them: from the leaf upward.
fn hashes_upward(ranges: &[Range], reader: &mut impl HashReader) -> Result<Vec<Hash>, LedgerError> {
    ranges.iter().rev().map(|range| range_hash(*range, reader)).collect()
}

/// The hash of a range that begins where a subtree at least as large can begin; it must not be empty.
fn range_hash(range: Range, reader: &mut impl HashReader) -> Result<Hash, LedgerError> {
    if range.len().is_power_of_two() {
        return subtree_at(range.begin, range.len(), reader);
    }
    if let Some(hash) = reader.remembered(range) {
        return Ok(hash);
    }
    let mut complete = Vec::new();
    let mut at = range.begin;
    while at < range.end {
        let leaves = 1 << (range.end - at).ilog2();
        complete.push(subtree_at(at, leaves, reader)?);
        at += leaves;
    }
    let folded = complete.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    let hash = folded.unwrap_or(Hash::EMPTY_ROOT);
    reader.remember(range, hash);
    Ok(hash)
}

/// The root of the complete subtree of so many leaves, a power of two.
fn subtree_at(begin: u64, leaves: u64, reader: &mut impl HashReader) -> Result<Hash, LedgerError> {
    let height = leaves.ilog2();
    reader.subtree(height as u8, begin >> height)
}
