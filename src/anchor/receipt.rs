//! Receipts: a tlog-proof that carries the leaf and its opening, verifiable offline with the log's public key and nothing else.

use super::leaf::{Leaf, LeafKind, commitment};
use super::severed::Severed;
use crate::fhir::{Node, json};
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{Hash, LedgerError, LogProof, Policy, proof_text};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Domain of the commitment to the bytes as received.
pub const RAW_DOMAIN: &str = "hearthgate/v1/raw";
/// Domain of the commitment to the canonical form (`http://hl7.org/fhir/canonicalization/json`) of the version as stored.
pub const CANONICAL_DOMAIN: &str = "hearthgate/v1/http://hl7.org/fhir/canonicalization/json";

/// Domain of the commitment to the canonical form of a version's Provenance.
pub const PROVENANCE_DOMAIN: &str = "hearthgate/v1/provenance";
/// What the key of that commitment is derived from a record's key by.
const PROVENANCE_KEY_DOMAIN: &str = "hearthgate/v1/provenance-key";

/// The key that opens the commitment to a version's Provenance, and leads nowhere else.
pub fn provenance_key(record: &[u8; 32]) -> [u8; 32] {
    commitment(record, PROVENANCE_KEY_DOMAIN, &[0; 32])
}

/// Domain of the commitment to a value that normalisation changed.
const CHANGE_DOMAIN: &str = "hearthgate/v1/change";
/// What the key of those commitments is derived from a record's key by.
const CHANGE_KEY_DOMAIN: &str = "hearthgate/v1/change-key";

/// The key of the commitments to what normalisation changed of a version. Whoever holds the record's key, as its receipt has it, can open them;
/// without it a value cannot be told by trying what it may have been, and with it gone nobody can.
pub fn change_key(record: &[u8; 32]) -> [u8; 32] {
    commitment(record, CHANGE_KEY_DOMAIN, &[0; 32])
}

/// The commitment to a value before or after a change: HMAC-SHA-256 under [`change_key`] over SHA-256(path ‖ 0 ‖ canonical JSON of the value).
pub fn change_commitment(key: &[u8; 32], path: &str, value: &Node) -> [u8; 32] {
    let digest = Sha256::new().chain_update(path).chain_update([0]).chain_update(json::write_canonical(value)).finalize();
    commitment(key, CHANGE_DOMAIN, &digest.into())
}

/// What a receipt carries beside the proof: the leaf, and the key that opens its commitments. Written as JSON into the proof's `extra`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// `Observation/hg-…/_history/1`.
    pub target: String,
    /// The leaf as it stands in the log, base64.
    pub leaf: String,
    /// The record's key, base64; absent once it has been destroyed, and for whoever may not see the record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The key of the leaf alone, base64, where it is sealed, for whoever may know of whom it is: of which kind it is, and under which tags.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leaf_key: Option<String>,
    /// The key of the Provenance alone, base64, for whoever may see that and not the record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provenance_key: Option<String>,
    /// The key of what a patient is told of an event, base64, for the patient's accounting.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accounting_key: Option<String>,
    /// What a leaf that erases names, for whoever has the trail it stands in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub severed: Option<Severed>,
}

impl Opening {
    pub fn new(target: String, leaf: &[u8], key: Option<&[u8; 32]>) -> Opening {
        Opening {
            target,
            leaf: BASE64.encode(leaf),
            key: key.map(|key| BASE64.encode(key)),
            leaf_key: None,
            provenance_key: None,
            accounting_key: None,
            severed: None,
        }
    }

    /// The entry, and the leaf that it is as far as this opens it; nothing where it is none.
    pub fn entry(&self) -> Option<(Vec<u8>, Leaf)> {
        let entry = BASE64.decode(self.leaf.as_bytes()).ok()?;
        let key = self.leaf_key.as_deref().and_then(read_key);
        Leaf::opened(&entry, key.as_ref()).map(|leaf| (entry, leaf))
    }

    /// The same with the leaf's own key.
    pub fn with_leaf_key(self, key: Option<&[u8; 32]>) -> Opening {
        Opening { leaf_key: key.map(|key| BASE64.encode(key)), ..self }
    }

    /// The same with the key of the Provenance.
    pub fn with_provenance_key(self, key: Option<&[u8; 32]>) -> Opening {
        Opening { provenance_key: key.map(|key| BASE64.encode(key)), ..self }
    }

    /// The same with the key of what a patient is told of an event.
    pub fn with_accounting_key(self, key: Option<&[u8; 32]>) -> Opening {
        Opening { accounting_key: key.map(|key| BASE64.encode(key)), ..self }
    }

    /// The same with what the leaf erased.
    pub fn with_severed(self, severed: Option<Severed>) -> Opening {
        Opening { severed, ..self }
    }
}

/// What of the record was compared with the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The file is byte for byte what the gateway received.
    Received,
    /// The file's canonical form is that of the version stored.
    Stored,
}

/// A receipt that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    pub target: String,
    pub kind: LeafKind,
    pub index: u64,
    /// The entry as it stands in the log.
    pub entry: Vec<u8>,
    pub leaf: Leaf,
    pub origin: String,
    pub size: u64,
    /// What the given record is; `None` when none was given.
    pub subject: Option<Subject>,
}

/// Why a receipt does not hold.
#[derive(Debug)]
pub enum ReceiptError {
    /// The proof or its checkpoint.
    Proof(LedgerError),
    /// The receipt does not carry a leaf and opening of ours.
    Opening(&'static str),
    /// The record given is not the one the receipt is for.
    OtherRecord,
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiptError::Proof(error) => write!(f, "the proof does not hold: {error}"),
            ReceiptError::Opening(what) => write!(f, "the receipt is not complete: {what}"),
            ReceiptError::OtherRecord => write!(f, "the record given is not the one this receipt is for, or it was changed"),
        }
    }
}

impl std::error::Error for ReceiptError {}

/// The text of a receipt: the leaf's place and proof, the checkpoint they are under, and the opening, in one file.
pub fn receipt_text((index, path): (u64, &[Hash]), checkpoint: &str, opening: &Opening) -> Result<String, serde_json::Error> {
    Ok(proof_text(Some(&serde_json::to_vec(opening)?), index, path, checkpoint))
}

/// Verifies a receipt against a policy, and a record against the receipt when one is given.
pub fn verify_receipt(text: &str, policy: &Policy, record: Option<&[u8]>) -> Result<VerifiedReceipt, ReceiptError> {
    let proof: LogProof = text.parse().map_err(|error| ReceiptError::Proof(LedgerError::from(error)))?;
    let extra = proof.extra.as_deref().ok_or(ReceiptError::Opening("it carries no opening"))?;
    let opening: Opening = serde_json::from_slice(extra).map_err(|_| ReceiptError::Opening("its opening cannot be read"))?;
    let (entry, leaf) = opening.entry().ok_or(ReceiptError::Opening("its leaf is not one of this format"))?;
    let accepted = proof.verify(&leaf_hash(&entry), policy).map_err(ReceiptError::Proof)?;
    let checkpoint = accepted.checkpoint();
    let subject = record.map(|record| compare(&leaf, &opening, record)).transpose()?;
    Ok(VerifiedReceipt {
        target: opening.target,
        // Nothing but a version commits to what was received.
        kind: if subject == Some(Subject::Received) { LeafKind::Accept } else { leaf.kind },
        index: proof.index,
        entry,
        leaf,
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        subject,
    })
}

/// A proof that an entry is in a log, whatever the entry says: nothing is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    pub index: u64,
    pub origin: String,
    pub size: u64,
}

/// Verifies a proof that carries no opening, of the entry as it stands in the log. Nothing where it carries one.
pub fn verify_entry(text: &str, policy: &Policy, entry: Option<&[u8]>) -> Result<Option<VerifiedEntry>, ReceiptError> {
    let proof: LogProof = text.parse().map_err(|error| ReceiptError::Proof(LedgerError::from(error)))?;
    if proof.extra.is_some() {
        return Ok(None);
    }
    let entry = entry.ok_or(ReceiptError::Opening("it carries no opening; give the entry, as it stands in the log, with --record"))?;
    let accepted = proof.verify(&leaf_hash(entry), policy).map_err(ReceiptError::Proof)?;
    let checkpoint = accepted.checkpoint();
    Ok(Some(VerifiedEntry { index: proof.index, origin: checkpoint.origin.clone(), size: checkpoint.size }))
}

/// Whether a document is what a leaf commits to, by its opening.
pub fn opens(leaf: &Leaf, opening: &Opening, document: &[u8]) -> bool {
    compare(leaf, opening, document).is_ok()
}

/// Whether a Provenance is the one a version's leaf commits to, by its opening.
pub fn opens_provenance(leaf: &Leaf, opening: &Opening, provenance: &[u8]) -> bool {
    let key = opening.provenance_key.as_deref().and_then(read_key);
    let canonical = json::parse(provenance, json::DEFAULT_DEPTH).map(|node| Sha256::digest(json::write_canonical(&node)));
    match (key, canonical) {
        (Some(key), Ok(digest)) => leaf.provenance == Some(commitment(&key, PROVENANCE_DOMAIN, &digest.into())),
        _ => false,
    }
}

pub(super) fn read_key(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn compare(leaf: &Leaf, opening: &Opening, record: &[u8]) -> Result<Subject, ReceiptError> {
    let key =
        opening.key.as_deref().ok_or(ReceiptError::Opening("it carries no key: that was destroyed, or is withheld from whoever asked"))?;
    let key = read_key(key).ok_or(ReceiptError::Opening("its key is not 32 bytes of base64"))?;
    if commitment(&key, RAW_DOMAIN, &Sha256::digest(record).into()) == leaf.raw {
        return Ok(Subject::Received);
    }
    let canonical = json::parse(record, json::DEFAULT_DEPTH).map(|node| Sha256::digest(json::write_canonical(&node)));
    match canonical {
        Ok(digest) if commitment(&key, CANONICAL_DOMAIN, &digest.into()) == leaf.canonical => Ok(Subject::Stored),
        _ => Err(ReceiptError::OtherRecord),
    }
}
