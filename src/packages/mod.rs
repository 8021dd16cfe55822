//! FHIR packages on this machine: the cache under `~/.fhir/packages`, what may be put into it, and what is needed beside what is asked for.
//!
//! In scope: judging an archive before anything of it is written ([`archive`]), names and versions ([`name`]), the closure over dependencies
//! ([`closure`]), the folder layout with `packages.ini`, locks and the lock file ([`Cache`]). Out of scope: fetching (the caller brings bytes), and what
//! definitions mean (`definitions`).
//!
//! Invariants: an archive is judged whole before a byte of it is written; a package appears in the cache by one rename, so that it is there whole or not
//! at all; a name and version stand for one digest, and another archive under them is refused; what was changed in the cache since it was added is not
//! given out; what is refused says why.
//!
//! Follows <https://hl7.org/fhir/packages.html> and the layout that other FHIR tools share.

pub mod archive;
mod beside;
mod cache;
pub mod closure;
mod content;
mod locked;
pub mod name;
#[cfg(test)]
mod tests;

pub use archive::{Limits, Manifest, Rejected};
pub use beside::with_neighbours;
pub use cache::{Cache, CacheError, Entry};
pub use locked::{Locked, LockedPackage};
pub use name::Coordinates;
