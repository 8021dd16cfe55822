//! Bytes and requests in, plain data out: the only room that reads what a stranger sent.
//!
//! In scope: the media type, decoding with limits, the normal form of a request ([`Interaction`]: method, form body, batch entry and
//! operation alike), splitting a Bundle into entries, idempotency keys. Out of scope: whether the caller may, and what the store holds.
//!
//! Invariants:
//! * [`Received`] keeps the bytes as they came and their SHA-256; nothing has been changed when it is made.
//! * Every limit is in [`Limits`]; beyond one of them the whole request is refused, never a part of it.
//! * What is not understood is refused here. No header, parameter or entry field that would change the meaning is passed over.

mod body;
mod bundle;
mod filing;
mod interaction;
mod named;

pub use body::{Evidence, Format, IdempotencyKey, Limits, Media, document, syntax_refusal};
pub use bundle::{BundleKind, Entry, Received, Write, refusal_of, split};
pub use filing::filing;
pub use interaction::{Conditions, Interaction, Operation, Pairs, Verb, decode_pairs, parse as interaction};
pub use named::{asked_about, document_leniently, named, named_by_entry};
