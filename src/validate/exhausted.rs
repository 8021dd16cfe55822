//! Expressions that reach their limits: one that does so again and again is not tried on every element of a document.

use crate::fhir::path::PathError;
use compact_str::CompactString;
use std::collections::HashMap;

/// How often an expression may cost all it may in one document.
pub const EXHAUSTED_MAX: u32 = 3;

/// Why an expression was not tried.
pub const GIVEN_UP: &str = "it has reached its limit elsewhere in the document too often";

/// The expressions that reached a limit, by the name of their rule, and how often.
#[derive(Debug, Default)]
pub struct Exhausted(HashMap<CompactString, u32>);

impl Exhausted {
    pub fn is_given_up(&self, rule: &str) -> bool {
        !self.0.is_empty() && self.0.get(rule).is_some_and(|times| *times >= EXHAUSTED_MAX)
    }

    /// Remembers how an evaluation ended.
    pub fn note<T>(&mut self, rule: &str, ended: &Result<T, PathError>) {
        if matches!(ended, Err(PathError::Limit { .. })) {
            *self.0.entry(rule.into()).or_default() += 1;
        }
    }
}
