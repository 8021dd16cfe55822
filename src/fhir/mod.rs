//! The document model: one generic tree for every resource, JSON and XML in and out, exact numbers, positions, and FHIRPath.
//!
//! In scope: reading and writing without loss, canonical forms, dates with their precision, the shape of types ([`types`]).
//! Out of scope: which types exist (that is data, from `definitions`), and whether a document is valid.
//! Imports nothing of ours.

pub mod decimal;
pub mod entities;
pub mod json;
pub mod node;
pub mod path;
pub mod regular;
mod release;
pub mod temporal;
pub mod types;
pub mod ucum;
pub mod xhtml;
pub mod xml;

pub use json::{SyntaxError, SyntaxErrorKind};
pub use node::{Member, Node, Object, Value};
pub use release::Release;

/// The most characters of an `id`.
pub const MAX_ID_CHARACTERS: usize = 64;

/// Whether a text is an `id`: 1 to 64 letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    matches!(text.len(), 1..=MAX_ID_CHARACTERS) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
