//! The options of a question, looked up rather than gone through where they are many.

use crate::fhir::{Node, json};
use compact_str::CompactString;
use std::collections::HashSet;

/// How many options are gone through for each answer; more are looked up.
pub const GONE_THROUGH_MAX: usize = 32;

/// The values of a question's options.
#[derive(Debug, Default)]
pub struct Options {
    /// System and code of those that are Codings.
    codings: HashSet<[Option<CompactString>; 2]>,
    /// Each as JSON.
    values: HashSet<String>,
}

impl Options {
    pub fn of<'a>(values: impl Iterator<Item = &'a Node>) -> Options {
        let mut options = Options::default();
        for option in values {
            options.values.insert(json::write(option));
            if option.as_object().is_some() {
                options.codings.insert(coding(option));
            }
        }
        options
    }

    pub fn has_coding(&self, answer: &Node) -> bool {
        self.codings.contains(&coding(answer))
    }

    pub fn has(&self, answer: &Node) -> bool {
        self.values.contains(&json::write(answer))
    }
}

fn coding(node: &Node) -> [Option<CompactString>; 2] {
    ["system", "code"].map(|name| node.text(name).map(CompactString::from))
}
