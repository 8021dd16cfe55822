//! Expressions that reach their limits: one that does so again and again is not tried on every element of a document.

use crate::fhir::path::PathError;
use compact_str::CompactString;
use std::collections::HashMap;

/// How often an expression may cost all it may in one document.
pub const EXHAUSTED_MAX: u32 = 3;

/// Why an expression was not tried.
pub const GIVEN_UP: &str = "it has reached its limit elsewhere in the document too often";

/// Units of work that the rules of one document may cost together, beyond [`STEPS_EACH`]: one that compares each element with every other costs little each
/// time, and very much for all of them.
pub const DOCUMENT_STEPS_MAX: u64 = 20_000_000;

/// What each evaluation adds to that, so that larger documents have more. Published rules cost some hundreds.
const STEPS_EACH: u64 = 2_000;

/// The expressions that reached a limit, by the name of their rule, and how often; and what evaluations may still cost.
#[derive(Debug)]
pub struct Exhausted {
    reached: HashMap<CompactString, u32>,
    steps_left: u64,
}

impl Default for Exhausted {
    fn default() -> Exhausted {
        Exhausted { reached: HashMap::new(), steps_left: DOCUMENT_STEPS_MAX }
    }
}

impl Exhausted {
    /// What the next evaluation may cost.
    pub fn steps_left(&self) -> u64 {
        self.steps_left + STEPS_EACH
    }

    /// Counts what an evaluation cost.
    pub fn spend(&mut self, steps: u64) {
        self.steps_left = self.steps_left().saturating_sub(steps).min(DOCUMENT_STEPS_MAX);
    }

    pub fn is_given_up(&self, rule: &str) -> bool {
        !self.reached.is_empty() && self.reached.get(rule).is_some_and(|times| *times >= EXHAUSTED_MAX)
    }

    /// Remembers how an evaluation ended.
    pub fn note<T>(&mut self, rule: &str, ended: &Result<T, PathError>) {
        if matches!(ended, Err(PathError::Limit { .. })) {
            *self.reached.entry(rule.into()).or_default() += 1;
        }
    }
}
