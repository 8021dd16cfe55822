//! Collects findings up to a limit.

use super::path::Path;
use crate::fhir::Node;
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;

/// The findings so far.
pub struct Report {
    findings: Vec<Finding>,
    /// How many errors are kept, and how many other findings.
    limit: usize,
    errors: usize,
    /// How many errors were met, those that were said before and those left out among them.
    met: u64,
    left_out: Option<Severity>,
    /// URL and version of the profiles being checked, the innermost last: it is the one that asks.
    pub contexts: Vec<(CompactString, CompactString)>,
}

/// A rule's name and kind; the place and the words are added where it is broken.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub severity: Severity,
    pub code: IssueType,
    pub message_id: &'static str,
}

impl Rule {
    /// A document, or a part of it, that cannot be judged at all.
    pub const fn fatal(code: IssueType, message_id: &'static str) -> Rule {
        Rule { severity: Severity::Fatal, code, message_id }
    }

    pub const fn error(code: IssueType, message_id: &'static str) -> Rule {
        Rule { severity: Severity::Error, code, message_id }
    }

    pub const fn warning(code: IssueType, message_id: &'static str) -> Rule {
        Rule { severity: Severity::Warning, code, message_id }
    }

    pub const fn information(code: IssueType, message_id: &'static str) -> Rule {
        Rule { severity: Severity::Information, code, message_id }
    }

    /// The rule itself where a condition holds; elsewhere what breaks it is warned of.
    pub const fn grave_if(self, is_grave: bool) -> Rule {
        if is_grave { self } else { Rule { severity: Severity::Warning, ..self } }
    }
}

impl Report {
    pub fn new(limit: usize) -> Report {
        Report { findings: Vec::new(), limit, errors: 0, met: 0, left_out: None, contexts: Vec::new() }
    }

    /// Adds a finding at an element; `node` gives its place in the received document.
    pub fn add(&mut self, rule: Rule, path: &Path<'_>, node: &Node, text: impl Into<String>) {
        self.add_at(rule, path, node.place(), text);
    }

    /// Adds a finding at an element that begins at `offset`. The same finding is made once: profiles share rules.
    pub fn add_at(&mut self, rule: Rule, path: &Path<'_>, offset: Option<u32>, text: impl Into<String>) {
        self.add_below(rule, path, "", offset, text);
    }

    /// Adds a finding at something below an element: `below` is the rest of its path, `.coding[0].system`.
    pub fn add_below(&mut self, rule: Rule, path: &Path<'_>, below: &str, offset: Option<u32>, text: impl Into<String>) {
        let is_error = rule.severity >= Severity::Error;
        self.met += u64::from(is_error);
        let kept = if is_error { self.errors } else { self.findings.len() - self.errors };
        if kept >= self.limit {
            self.left_out = self.left_out.max(Some(rule.severity));
            return;
        }
        let finding = Finding::new(rule.severity, rule.code, rule.message_id, text);
        let finding = finding.at(path.expression() + below).at_offset(offset);
        // What several profiles ask alike is said once.
        let same =
            |other: &Finding| other.text == finding.text && other.expression == finding.expression && other.message_id == rule.message_id;
        if !self.findings.iter().any(same) {
            self.errors += usize::from(is_error);
            let context = self.contexts.last().map(|(url, version)| format!("{url}|{version}")).unwrap_or_default();
            self.findings.push(finding.in_context(context.trim_end_matches('|')));
        }
    }

    /// Whether further errors are only counted.
    pub fn is_full_of_errors(&self) -> bool {
        self.errors >= self.limit
    }

    /// How many errors were met so far, in all.
    pub fn errors_met(&self) -> u64 {
        self.met
    }

    /// Whether one of these rules was broken so far.
    pub fn has(&self, message_ids: &[&str]) -> bool {
        self.findings.iter().any(|finding| message_ids.contains(&finding.message_id))
    }

    /// Takes back what was found by these rules at an element.
    pub fn take_back(&mut self, message_ids: &[&str], path: &Path<'_>) {
        let expression = path.expression();
        self.findings.retain(|finding| !(message_ids.contains(&finding.message_id) && finding.expression == expression));
        let errors = self.findings.iter().filter(|finding| finding.is_error()).count();
        self.met -= (self.errors - errors) as u64;
        self.errors = errors;
    }

    /// The findings in order, the last saying so when some were left out. Warnings cannot crowd out errors.
    pub fn done(mut self) -> Vec<Finding> {
        if let Some(severity) = self.left_out {
            let text = format!("There are more than {} findings; the rest is left out", self.limit);
            self.findings.push(Finding::new(severity, IssueType::TooCostly, "FINDINGS_MAX", text));
        }
        self.findings
    }
}
