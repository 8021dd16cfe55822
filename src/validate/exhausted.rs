//! What one document may cost, and what was given up because of it: an expression that reaches its limit again and again is not tried on every element,
//! and where something was given up within a check whose findings are not reported, that is said all the same.

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::fhir::path::PathError;
use compact_str::CompactString;
use std::cell::Cell;
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

/// How often items may be compared with slices in one document, where there are very many slices of an element.
pub const COMPARISONS_MAX: usize = 500_000;

/// What is left of what one document may cost. The walks that its rules begin, to find out what meets a profile, share it.
#[derive(Debug)]
pub struct Budget {
    steps_left: Cell<u64>,
    comparisons_left: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { steps_left: Cell::new(DOCUMENT_STEPS_MAX), comparisons_left: Cell::new(COMPARISONS_MAX) }
    }
}

impl Budget {
    /// What the next evaluation may cost.
    pub fn steps_left(&self) -> u64 {
        self.steps_left.get() + STEPS_EACH
    }

    /// Counts what an evaluation cost.
    pub fn spend(&self, steps: u64) {
        self.steps_left.set(self.steps_left().saturating_sub(steps).min(DOCUMENT_STEPS_MAX));
    }

    /// Takes one comparison of an item with a slice, if there is one left.
    pub fn compare(&self) -> bool {
        let left = self.comparisons_left.get().checked_sub(1);
        self.comparisons_left.set(left.unwrap_or_default());
        left.is_some()
    }

    /// Counts slices that were gathered for an item and then not compared with it.
    pub fn pass_over(&self, slices: usize) {
        self.comparisons_left.set(self.comparisons_left.get().saturating_sub(slices));
    }

    pub fn may_compare(&self) -> bool {
        self.comparisons_left.get() > 0
    }
}

/// How many limits are remembered that were reached where it could not be said.
const UNSAID_MAX: usize = 20;

/// The expressions that reached a limit, by the name of their rule, and how often; and what was given up where it could not be said.
#[derive(Debug, Default)]
pub struct Exhausted {
    reached: HashMap<CompactString, u32>,
    unsaid: Vec<(Rule, String)>,
}

impl Exhausted {
    /// Whether a check whose findings are not reported gave something up, so that what it found none the matter with is not known to be right.
    pub fn has_unsaid(&self) -> bool {
        !self.unsaid.is_empty()
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

/// Says that something was given up at a limit: where it is, or in the end, when the findings of what is being checked are not reported.
pub fn give_up(walk: &mut Walk<'_>, rule: Rule, path: &Path<'_>, offset: Option<u32>, text: String) {
    let unsaid = &mut walk.exhausted.unsaid;
    let is_new = walk.verdicts.trials > 0 && unsaid.len() < UNSAID_MAX && !unsaid.iter().any(|(_, other)| *other == text);
    if is_new {
        unsaid.push((rule, text.clone()));
    }
    walk.report.add_at(rule, path, offset, text);
}

/// Says once for the document what was given up only in finding out what meets which profile.
pub fn say(walk: &mut Walk<'_>, resource: &Node, path: &Path<'_>) {
    for (rule, text) in std::mem::take(&mut walk.exhausted.unsaid) {
        let text = format!("{text}. What was asked to meet a profile there counts as meeting it, as far as is known");
        walk.report.add(rule, path, resource, text);
    }
}
