//! What binds a record to the log: commitments, leaves, Provenance and receipts.
//!
//! In scope: the leaf record, keyed commitments to raw and canonical digests, the blinded patient tag, the Provenance of each accepted
//! version, the receipt a holder can verify offline. Out of scope: numbering and signing (the store's writer does it in the commit),
//! the tree itself (`ledger`).
//!
//! Invariants:
//! * A leaf holds no personal data: commitments are keyed per record, tags are keyed and change with the epoch, time is whole hours.
//! * Of what kind a leaf is, and under which tags, is sealed: who has no key tells no act on somebody from one on nobody.
//! * What concerns several patients has a leaf for each: a version's stand one after the other, an act has a record for each patient.
//! * What concerns nobody has its record's tag by a key that stands for nobody.
//! * A disclosure's or refusal's leaf commits to what its patient is told of it too, under a key of its own.
//! * A version's leaf commits to its Provenance too, under a key of its own. What a Provenance says of values and bytes are keyed commitments.
//! * The raw digest is of the bytes as received; the canonical digest is of FHIR canonical JSON of the version as stored.
//! * Everything the gateway acknowledges has a leaf: accepted versions, disclosures, refusals of known callers.

mod accounting;
mod leaf;
mod own;
mod provenance;
mod receipt;
mod sealed;
mod severed;
mod stage;
mod tags;
mod time;

pub use accounting::{accounting_commitment, accounting_key, opens_accounting, without_entity};
pub use leaf::{LEAF_BYTES, Leaf, LeafKind, SEALED_LEAF_BYTES, Tags, VERSION_LEAF_BYTES, commitment, counter_offsets, hour};
pub use own::OwnVersion;
pub use provenance::{CHANGE_EXTENSION, FINDING_EXTENSION, Lineage, Provenance, Sender};
pub use receipt::{
    CANONICAL_DOMAIN, Opening, PROVENANCE_DOMAIN, RAW_DOMAIN, ReceiptError, Subject, VerifiedEntry, VerifiedReceipt, change_commitment,
    change_key, opens, opens_provenance, provenance_key, receipt_text, verify_entry, verify_receipt,
};
pub use sealed::LeafKeys;
pub use severed::{Erased, Eraser, Missing, Severed};
pub use stage::{Act, Anchor, Anchored, AnchoredVersion, ToAnchor, audit_key, shared_key};
pub use tags::{Epoch, PatientTags};
pub use time::LedgerTime;
