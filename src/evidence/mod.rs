//! The evidence package: one zip file from which anybody who knows whom to believe can check, offline, what the gateway says of a record.
//!
//! In scope: the package's files and their formats, writing it, and verifying one that may come from anywhere. Out of scope: what goes into
//! it and who may have it (`trail`), proofs themselves (`ledger`), files on disk.
//!
//! Its files: `manifest.json` names all others with their digests; `checkpoint` with every cosignature; `policy`, the gateway's own, for
//! information: the reader brings theirs; `keys`, the log's key history, by which a reader who knows an older or newer key believes this checkpoint; `proofs/N.tlog-proof`, one for each leaf, with its
//! opening; `documents/N.json`, what the leaf commits to, where it may be shown; `provenance/N.json`, the Provenance that a version's leaf
//! commits to; `consents/ID-V.json` with `consents/ID-V.tlog-proof`, the consents that governed disclosures;
//! `completeness.json`, `index.tlog-proof` and `first.tlog-proof`, that these are all, from the log's first epoch on; `consistency.json`, from the checkpoint the reader saw last;
//! `index.html`, for people.
//!
//! What always holds: a package is read into memory and never written to disk; every size and count has a limit; a name is one of those
//! above or the package is refused; a finding names a file and a rule, never content.

mod accounting;
mod archive;
mod belongs;
mod erasers;
mod layout;
mod owners;
mod package;
mod page;
mod receipts;
mod verify;
mod whole;

pub use accounting::{Account, MAX_ACCOUNTING_BYTES, verify_accounting};
pub use archive::{ArchiveError, MAX_FILES, MAX_PACKAGE_BYTES, MAX_UNPACKED_BYTES};
pub use owners::exported;
pub use package::{Claim, Completeness, Consent, Consistency, Entry, Lacking, Package, PackageError, Why};
pub use receipts::Receipt;
pub use verify::{Kept, Report, verify};

#[cfg(test)]
mod tests;
