//! What `hearthgate ledger fsck --data` says of the rows.

use crate::anchor::{Leaf, LeafKind, Severed, Tags};
use crate::command::{FAULT, FINDINGS, FINE, complain};
use crate::config::read_bounded;
use crate::definitions::Definitions;
use crate::store::{Compared, Erases, LeafReader, LeafSays, compare_rows};
use data_encoding::HEXLOWER;
use std::path::Path;

/// The most of a key file that is read; what is longer is none.
const MAX_KEY_BYTES: u64 = 1024;

/// Compares what is stored with what the leaves stand for and with its seals, and the search index with what is stored.
pub(super) fn check(folder: &Path) -> u8 {
    let gateway = match gateway_key(folder) {
        Ok(gateway) => gateway,
        Err(text) => return complain(FAULT, text),
    };
    match compare_rows(folder, Definitions::embedded(), LeafReader { says, names }, gateway.as_ref()) {
        Ok(Compared { resources, seals, problems }) => {
            problems.iter().for_each(|problem| answer!("{problem}"));
            match seals {
                Some(seals) => answer!("seals: {seals} versions"),
                None => answer!("seals: not checked, for the gateway's key is not in keys/gateway.key"),
            }
            answer!("rows and search index: {resources} resources, {} problems", problems.len());
            if problems.is_empty() { FINE } else { FINDINGS }
        }
        Err(fault) => complain(FAULT, fault),
    }
}

/// The gateway's key, where it lies in the data folder. Data may be looked at apart from its keys.
fn gateway_key(folder: &Path) -> Result<Option<[u8; 32]>, String> {
    let path = folder.join("keys/gateway.key");
    if !path.exists() {
        return Ok(None);
    }
    let text = read_bounded(&path, MAX_KEY_BYTES)?;
    let key = HEXLOWER.decode(text.trim().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    key.map(Some).ok_or_else(|| format!("{}: is not 32 bytes in hexadecimal", path.display()))
}

fn says(entry: &[u8]) -> Option<LeafSays> {
    let leaf = Leaf::decode(entry)?;
    let stands = match leaf.kind {
        LeafKind::Accept => Some("accepts"),
        LeafKind::Disclose | LeafKind::Refuse | LeafKind::Audit | LeafKind::Deliver => Some("puts on record"),
        LeafKind::Erase | LeafKind::Index => None,
    };
    let commitment = leaf.names_what_it_erased().then_some(leaf.canonical);
    let erases = (leaf.kind == LeafKind::Erase).then_some(Erases { commitment, is_noting: leaf.shortens_by_name });
    let (has_provenance, Tags { patient, record, .. }) = (leaf.provenance.is_some(), leaf.tags);
    Some(LeafSays { epoch: leaf.epoch().0, stands, erases, has_provenance, patient, record })
}

fn names(entry: &[u8], noted: &[u8]) -> Option<Vec<(u64, u64)>> {
    Some(Severed::read(noted, &Leaf::decode(entry)?)?.leaves().to_vec())
}
