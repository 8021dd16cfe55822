//! Signatures on what is sent and on what is stored: who made them, over which bytes, and whether they hold.
//!
//! In scope: detached JSON Web Signatures over canonical FHIR JSON, the signatures of a Provenance, HTTP Message Signatures with
//! Content-Digest, the public keys they are checked with, and the key the gateway signs with; keyed hashes. Out of scope: fetching key sets (`identity`),
//! who must sign what (`pipeline`), signed notes of the log (`ledger`), tokens and assertions (`identity`).
//!
//! Invariants:
//! * Everything here is a plain function of its arguments: no clock, no store, no waiting.
//! * Only a signature that held becomes a [`Verified`]; it carries what somebody else needs to check it again, the key included.
//! * The signature never chooses how it is checked: a key fits the algorithms of its kind, and no more than its key set states.
//! * What is ambiguous is refused: repeated labels, members, components, digests of one kind.
//!
//! Follows RFC 7515 (appendix F), RFC 7638, RFC 8037, RFC 8941, RFC 9421, RFC 9530 and <https://hl7.org/fhir/R4/signatures.html>.

mod canonical;
mod certificate;
mod certified;
mod digest;
mod document;
mod fields;
mod gateway;
mod jws;
mod key;
mod mac;
mod message;
mod problem;
mod recheck;
#[cfg(test)]
mod tests;
mod verified;

pub use canonical::Canonicalisation;
pub use certificate::Certificate;
pub use certified::{Brought, Certified, Outcome, RSA_BITS_MIN};
pub use document::{Candidate, DocumentSignature, MAX_SIGNATURES, signatures_of, unjudged};
pub use gateway::{GatewaySigner, PROVENANCE_DIGEST, check_gateway_signature, is_gateways};
pub use jws::Detached;
pub use key::{Algorithm, MAX_KEYS, PublicKey, read_keys};
pub use mac::hmac;
pub use message::{Freshness, HttpSignature, Request, http_signatures};
pub use problem::Problem;
pub use recheck::{Covered, Evidence, Rechecked, attest_again, kept_key_id, recheck};
pub use verified::{Attestation, BASE_EXTENSION, CANON_EXTENSION, KEY_EXTENSION, Verified, X_PROVENANCE};
