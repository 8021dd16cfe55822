//! The commitment of a disclosure's or refusal's leaf to what its patient is told of it: an accounting's entries are opened by it, and nothing else is.
//!
//! It is HMAC-SHA-256 under [`accounting_key`] over SHA-256(head ‖ entity ‖ entity …). The head is SHA-256 over each element (name ‖ 0 ‖ canonical JSON ‖
//! 0), an entity a commitment of its own, so that one which led to an erased person can go and the rest still opens.

use super::leaf::{Leaf, commitment};
use super::receipt::{Opening, read_key};
use crate::audit::{self, Told};
use crate::fhir::{Node, json};
use sha2::{Digest, Sha256};

/// Domain of the commitment to what a patient is told of an event.
const ACCOUNTING_DOMAIN: &str = "hearthgate/v1/accounting";
/// What the key of that commitment is derived from a record's key by.
const ACCOUNTING_KEY_DOMAIN: &str = "hearthgate/v1/accounting-key";
/// Domain of the commitment to one entity of that.
const ENTITY_DOMAIN: &str = "hearthgate/v1/accounting-entity";

/// The key that opens the commitment to what a patient is told of an event, and leads nowhere else.
pub fn accounting_key(record: &[u8; 32]) -> [u8; 32] {
    commitment(record, ACCOUNTING_KEY_DOMAIN, &[0; 32])
}

/// The commitment to what a patient is told of an event.
pub fn accounting_commitment(key: &[u8; 32], told: &Told<'_>) -> [u8; 32] {
    let mut text = String::with_capacity(1024);
    for (name, element) in told.elements() {
        text.push_str(name);
        text.push('\0');
        json::canonical_onto(&mut text, element);
        text.push('\0');
    }
    let mut all = Sha256::new().chain_update(Sha256::digest(&text));
    for entity in told.entities() {
        all.update(audit::erased_entity(entity).unwrap_or_else(|| entity_commitment(key, entity)));
    }
    commitment(key, ACCOUNTING_DOMAIN, &all.finalize().into())
}

/// The commitment to one entity of an event.
fn entity_commitment(key: &[u8; 32], entity: &Node) -> [u8; 32] {
    commitment(key, ENTITY_DOMAIN, &Sha256::digest(json::write_canonical(entity)).into())
}

/// What stands for an entity in an event that a patient goes on being told of, once the entity is erased. `record` is the key of the event's leaf.
pub fn without_entity(record: &[u8; 32], entity: &Node) -> Node {
    audit::in_place_of(&entity_commitment(&accounting_key(record), entity))
}

/// Whether an accounting's entry is what a leaf commits to, and says nothing beyond that.
pub fn opens_accounting(leaf: &Leaf, opening: &Opening, entry: &Node, patient: &str) -> bool {
    let Some(key) = opening.accounting_key.as_deref().and_then(read_key) else { return false };
    let told = Told::of(entry, patient);
    let is_committed = accounting_commitment(&key, &told) == leaf.raw;
    is_committed && json::write_canonical(&told.into_event()) == json::write_canonical(entry)
}
