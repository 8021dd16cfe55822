//! What a run of the rules leaves behind besides the resource: changes for the lineage, findings for the report.

use super::path::Path;
use super::rule::RuleId;
use super::{Context, Unmapped};
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;

/// How many changes one resource may need. Real ones need a few dozen; a document that needs more is hostile or no FHIR at all.
pub const MAX_CHANGES: usize = 20_000;

/// How many findings one resource may collect. Those beyond it are counted by one last finding.
pub const MAX_FINDINGS: usize = 1_000;

/// How many local codes of one resource go on the work list.
pub const MAX_UNMAPPED: usize = 1_000;

/// How many members an object may have. FHIR's largest element has fewer than a hundred.
pub(super) const MAX_MEMBERS: usize = 256;

/// One thing a rule changed. `before` and `after` are whole values, so that the original can always be shown.
///
/// Paths of the rule `empties` speak of the resource as received; those of all other rules of the resource as normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub rule: RuleId,
    /// Indexed FHIRPath of the element.
    pub path: String,
    /// `None` when the rule added the element.
    pub before: Option<Node>,
    /// `None` when the rule dropped the element.
    pub after: Option<Node>,
}

/// The state of one run: what rules may know, and what they have recorded.
pub(super) struct Work<'c> {
    pub context: &'c Context<'c>,
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    pub unmapped: Vec<Unmapped>,
    /// The resource is deeper, wider or worse than the rules work through.
    pub over_limit: bool,
    findings_beyond: usize,
    /// References to contained resources: the path of each, and the id it names.
    pub inside: Vec<(String, CompactString)>,
}

impl<'c> Work<'c> {
    pub fn new(context: &'c Context<'c>) -> Work<'c> {
        Work {
            context,
            changes: Vec::new(),
            findings: Vec::new(),
            unmapped: Vec::new(),
            over_limit: false,
            findings_beyond: 0,
            inside: Vec::new(),
        }
    }

    pub fn on(&self, rule: RuleId) -> bool {
        self.context.source.switches.is_on(rule)
    }

    pub fn changed(&mut self, rule: RuleId, path: &Path<'_>, before: Option<Node>, after: Option<Node>) {
        if self.changes.len() < MAX_CHANGES {
            self.changes.push(Change { rule, path: path.to_string(), before, after });
        } else {
            self.over_limit = true;
        }
    }

    /// Remembers a reference to a contained resource.
    pub fn refer_inside(&mut self, name: &str, path: &Path<'_>) {
        if self.inside.len() < MAX_CHANGES {
            self.inside.push((path.to_string(), name.into()));
        } else {
            self.over_limit = true;
        }
    }

    /// Sets a member and records it. Nothing is recorded when it already has that value.
    pub fn set(&mut self, rule: RuleId, object: &mut Object, path: &Path<'_>, name: &str, node: impl Into<Node>) {
        let node = node.into();
        let before = object.get(name).cloned();
        if before.as_ref() == Some(&node) {
            return;
        }
        self.changed(rule, &path.member(name), before, Some(node.clone()));
        object.set(name, node);
    }

    /// Removes a member and records it.
    pub fn remove(&mut self, rule: RuleId, object: &mut Object, path: &Path<'_>, name: &str) -> Option<Node> {
        let before = object.remove(name)?;
        self.changed(rule, &path.member(name), Some(before.clone()), None);
        Some(before)
    }

    /// Adds an item at the end of a list member, which is made when absent.
    pub fn append(&mut self, rule: RuleId, object: &mut Object, path: &Path<'_>, name: &str, item: Node) {
        let index = object.get(name).and_then(Node::as_list).map_or(0, <[Node]>::len);
        self.changed(rule, &path.member(name).item(index), None, Some(item.clone()));
        match object.get_mut(name).map(|node| &mut node.value) {
            Some(Value::List(items)) => items.push(item),
            _ => object.set(name, vec![item]),
        }
    }

    pub fn flag(&mut self, severity: Severity, code: IssueType, message_id: &'static str, path: &Path<'_>, text: impl Into<String>) {
        self.flag_at(Finding::new(severity, code, message_id, text).at(path.to_string()));
    }

    /// The same of a finding that has its place.
    pub fn flag_at(&mut self, finding: Finding) {
        // The first error is never left out, because it is what refuses the resource.
        let first_error = finding.is_error() && !self.findings.iter().any(Finding::is_error);
        if self.findings.len() < MAX_FINDINGS || first_error {
            self.findings.push(finding);
        } else {
            self.findings_beyond += 1;
        }
    }

    /// The findings, with a last one that says how many were left out.
    pub fn finish(&mut self) {
        if self.over_limit {
            let text = format!(
                "the resource nests too deeply, has an element of more than {MAX_MEMBERS} members, or needs more than {MAX_CHANGES} changes"
            );
            self.findings.push(Finding::error(IssueType::TooCostly, "normalise-limit", text));
        }
        if self.findings_beyond > 0 {
            let text = format!("{} further findings of the normalisation rules are not listed", self.findings_beyond);
            self.findings.push(Finding::new(Severity::Warning, IssueType::Incomplete, "normalise-more-findings", text));
        }
    }
}
