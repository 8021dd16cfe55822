//! One person with records at several sources: which records may be one person's, and what they say together.
//!
//! In scope: grading two Patient records ([`grade()`]), the Linkage that says which belong together ([`linkage()`]), the golden record composed of
//! them by rules it shows ([`golden()`]). Out of scope: finding the records, storing links, consent.
//!
//! Invariants: pure. Only an identifier that names persons makes two records certainly one person's; a bare number never does, and likeness of
//! names and dates is only ever a question to a person. Records that disagree in such an identifier are never linked. Composing changes no record.

mod golden;
mod grade;
mod linkage;

pub use golden::{Contribution, Element, Golden, golden};
pub use grade::{Grade, grade, likeness_keys, search_words};
pub use linkage::linkage;
