//! What `hearthgate ledger fsck --data` says of the rows.

use super::At;
use crate::anchor::{Leaf, LeafKeys, LeafKind, Severed, Tags};
use crate::command::{FAULT, FINDINGS, FINE, complain};
use crate::definitions::Definitions;
use crate::store::{Compared, Erases, LeafReader, LeafSays, compare_rows, newest_leaves};
use std::path::Path;

/// Compares what is stored with what the leaves stand for and with its seals, and the search index with what is stored.
pub(super) fn check(at: &At, gateway: Option<&[u8; 32]>, keys: Option<LeafKeys>) -> u8 {
    let reader = keys.map(Rows);
    match compare_rows((&at.data, &at.keys), Definitions::embedded(), reader.as_ref().map(|rows| rows as &dyn LeafReader), gateway) {
        Ok(Compared { resources, seals, problems }) => {
            problems.iter().for_each(|problem| answer!("{problem}"));
            match seals {
                Some(seals) => answer!("seals: {seals} versions"),
                None => answer!("seals: not checked, for the gateway's key is not there"),
            }
            if reader.is_none() {
                answer!("what the leaves stand for: not checked, for the key of leaves is not there");
            }
            answer!("rows and search index: {resources} resources, {} problems", problems.len());
            if problems.is_empty() { FINE } else { FINDINGS }
        }
        Err(fault) => complain(FAULT, fault),
    }
}

/// Whether a key of leaves opens any that is sealed, as far as there are such. Data that cannot be read says so later.
pub(super) fn opens_leaves(data: &Path, keys: &LeafKeys) -> bool {
    let newest = newest_leaves(data).unwrap_or_default();
    let mut sealed = newest.iter().filter(|entry| Leaf::decode(entry).is_some_and(|leaf| leaf.is_closed)).peekable();
    sealed.peek().is_none() || sealed.any(|entry| keys.read(entry).is_some())
}

/// What reads the leaves of a gateway whose key is at hand.
struct Rows(LeafKeys);

impl LeafReader for Rows {
    fn says(&self, entry: &[u8]) -> Option<LeafSays> {
        self.0.read(entry).map(|leaf| says(&leaf))
    }

    fn names(&self, entry: &[u8], noted: &[u8]) -> Option<Vec<(u64, u64)>> {
        Some(Severed::read(noted, &self.0.read(entry)?)?.leaves().to_vec())
    }
}

fn says(leaf: &Leaf) -> LeafSays {
    let stands = match leaf.kind {
        LeafKind::Accept => Some("accepts"),
        LeafKind::Disclose | LeafKind::Refuse | LeafKind::Audit | LeafKind::Deliver | LeafKind::Sealed => Some("puts on record"),
        LeafKind::Erase | LeafKind::Index | LeafKind::Blank => None,
    };
    let commitment = leaf.names_what_it_erased().then_some(leaf.canonical);
    let erases = (leaf.kind == LeafKind::Erase).then_some(Erases { commitment, is_noting: leaf.shortens_by_name });
    let (has_provenance, Tags { patient, record, .. }) = (leaf.provenance.is_some(), leaf.tags);
    LeafSays { epoch: leaf.epoch().0, stands, erases, has_provenance, patient, record }
}
