//! The transparency log: an append-only Merkle tree, laid out as static tiles, signed as checkpoints, proved offline.
//!
//! In scope: RFC 6962 hashing and proofs, C2SP tiles and entry bundles, signed notes, checkpoints, cosignatures,
//! trust policies, proof files; reading, checking and publishing a log that is laid out as files.
//! Out of scope: what an entry means, who may read it, how entries become durable, HTTP, clocks and randomness.
//!
//! What always holds:
//! - Everything but [`folder`] is plain data in, plain data out. Files come in through [`reader::LogFiles`], tiles through
//!   [`tree::TileReader`], time and seeds as arguments.
//! - What was parsed from outside stays unverified by its type until keys or a policy accepted it ([`note::Note`] → [`note::OpenedNote`],
//!   [`policy::Policy::accept`] → [`policy::Accepted`]).
//! - Nothing read from outside can make a loop, a size or a recursion exceed a named limit.
//! - Publication never goes back: a checkpoint that does not extend the published one is refused.
//!
//! Its parts in the order data meets them: an entry is hashed ([`merkle`]), appended ([`tree`]), cut into tiles ([`tile`]), signed
//! ([`key`], [`note`], [`checkpoint`], by keys that succeed each other: [`history`]), cosigned ([`cosignature`]), accepted under a [`policy`],
//! handed out as a [`proof`], written to and read from files ([`folder`], [`reader`]), audited ([`fsck`]), and found again, all of it, by tag
//! ([`index`]). Others' logs are [`witness`]ed and [`mirror`]ed.
//!
//! Specifications: RFC 6962 section 2.1, RFC 9162 section 2.1, and `c2sp.org/` [tlog-tiles](https://c2sp.org/tlog-tiles),
//! [signed-note](https://c2sp.org/signed-note), [tlog-checkpoint](https://c2sp.org/tlog-checkpoint),
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature), [tlog-policy](https://c2sp.org/tlog-policy),
//! [tlog-proof](https://c2sp.org/tlog-proof), [tlog-witness](https://c2sp.org/tlog-witness).

pub mod checkpoint;
pub mod cosignature;
mod encoding;
mod error;
pub mod folder;
pub mod followed;
pub mod fsck;
pub mod history;
pub mod index;
pub mod key;
pub mod merkle;
pub mod mirror;
pub mod note;
pub mod policy;
pub mod proof;
pub mod reader;
pub mod tile;
pub mod tree;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use error::{Format, LedgerError, Malformed, ProofError, SignatureError};
pub use folder::Folder;
pub use followed::Followed;
pub use history::{KeyHistory, LogKeys};
pub use key::{Algorithm, SigningKey, VerifierKey};
pub use merkle::Hash;
pub use note::{Note, NoteSignature};
pub use policy::{Accepted, Policy};
pub use proof::{LogProof, proof_text};
pub use reader::LogFiles;
pub use tile::{TileKind, TilePath};
pub use tree::{Edge, FullTile, TileReader, TreeHashes};

#[cfg(test)]
mod tests;
