//! FHIR R4 search, decided on documents alone: index terms, queries, matching, sorting and the shorter forms of a resource.
//!
//! The store asks [`terms`] what to index and [`Query::lookups`] where to look; every candidate, and every resource that another server
//! returned, is then put to [`Query::matches`], which has the last word. So an index may be coarse but never blind:
//! what matches satisfies every lookup.
//!
//! In scope: the parameters that the definitions give a type, their modifiers and prefixes, `_id`, `_lastUpdated`, `_sort`, `_count`, `_total`,
//! `_summary`, `_elements`, chains, `_has`, `_include`, `_revinclude`, conditional criteria.
//! Out of scope, and refused: `_filter`, `_query`, text search, terminology modifiers. Whose data it is decides `consent`, and it does so
//! for each [`Link`] and [`Include`] as well: they are searches of their own here, which the querying path makes.
//!
//! Invariants: nothing is dropped in silence: a parameter is applied, listed in [`Query::ignored`], or refused. Everything is bounded by the
//! limits named here. Parameters are compiled once per type and kept for the life of the process.
//!
//! Choices the specification leaves open: codes compare without regard to case, identifiers with regard; a date without a zone is UTC; a
//! number in a resource is exact, whatever digits it was written with; relative references are not resolved against any base,
//! so the caller brings references under the gateway's own base into relative form first.
//!
//! Follows <https://hl7.org/fhir/R4/search.html>.

mod compile;
mod criteria;
mod expression;
mod fold;
mod include;
mod link;
mod lookup;
mod matching;
mod parameter;
mod project;
mod query;
mod reference;
mod select;
mod sort;
mod target;
mod term;
mod value;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub use fold::folded;
pub use include::Include;
pub use link::{Link, LinkedName, MAX_LINK_DEPTH};
pub use lookup::Lookup;
pub use parameter::{Parameter, supported};
pub use project::{Projection, Summary, project};
pub use query::{Handling, Query, Total};
pub use term::{Term, identifier_keys, reference_key, reference_keys, terms, value_keys};
pub use value::escaped;

/// Parameters one query may have.
pub const MAX_PARAMETERS: usize = 64;

/// Alternatives (separated by commas) one parameter may have.
pub const MAX_ALTERNATIVES: usize = 512;

/// Bytes one parameter's value may have.
pub const MAX_VALUE_BYTES: usize = 32_768;

/// Keys, texts and ids that all lookups of one query may have together; lookups beyond scan instead, so that a statement stays of a
/// size a database takes.
pub const MAX_LOOKUP_VALUES: usize = 8192;

/// Keys `_sort` may have.
pub const MAX_SORT_KEYS: usize = 8;

/// Names `_elements` may have.
pub const MAX_ELEMENTS: usize = 64;

/// Bytes of folded text that go into an index term; longer texts are told apart by matching.
pub const MAX_TEXT_BYTES: usize = 128;
