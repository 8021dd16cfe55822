//! What the store must know of the log's leaves: under which tags each is counted, and how it is sealed.

use crate::ledger::index::Tag;
use std::fmt;
use std::sync::Arc;

/// What the key of leaves is derived for from the gateway's.
const PURPOSE: &str = "leaves";

/// Reads and seals the leaves of a gateway.
pub trait LeafForm: fmt::Debug + Send + Sync {
    /// The tags of an entry with their counters; none of what is no leaf of the gateway's.
    fn tags(&self, entry: &[u8]) -> Vec<(Tag, u64)>;
    /// Seals a leaf that has its counters. What is no such leaf stays as it is.
    fn seal(&self, entry: &mut Vec<u8>);
    /// A sealed leaf that says nothing, of the time of another; nothing where that is no leaf.
    fn blank(&self, like: &[u8], drawn: &[u8; 64]) -> Option<Vec<u8>>;
    /// What opens an entry, if it is a sealed leaf.
    fn key(&self, entry: &[u8]) -> Option<[u8; 32]>;
}

/// Makes what reads and seals them, of their key.
pub type MakeLeafForm = fn([u8; 32]) -> Arc<dyn LeafForm>;

/// The key of leaves of a gateway, by its key.
pub fn leaf_secret(gateway: &[u8; 32]) -> [u8; 32] {
    super::keys::derived(gateway, PURPOSE)
}

impl super::Keyring {
    /// The gateway's key of leaves.
    pub fn leaf_secret(&self) -> [u8; 32] {
        self.derived(PURPOSE)
    }
}
