//! Who did what to whose record, as FHIR AuditEvents shaped by IHE BALP.
//!
//! In scope: an [`Opened`] record made before the work, closed with its outcome into an AuditEvent; what of that a patient is told ([`Told`]). Out of
//! scope: storing and anchoring it (it commits with the work it describes), and searching it (it is a resource like others).
//!
//! Invariants: every request of the FHIR interface closes exactly one record; it names resources by reference, never copies them;
//! a token is cut to its last 32 characters; query strings are kept, results never are.

mod closing;
mod event;
mod told;

pub use closing::{Apart, Closing, is_account};
pub use event::{Action, Opened, Outcome, Record, SOURCE, WITHHELD, names, organisation_reference};
pub use told::{Told, erased_entity, in_place_of, is_told};
