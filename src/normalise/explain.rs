//! Showing what the rules did, to people and to programs.

use super::{Change, Normalisation};
use crate::fhir::{Node, Object, Value, json};
use crate::outcome::Finding;
use std::fmt::Write;

/// One line for other programs: `{"file", "index", "resource", "changes": [{"path", "rule", "before", "after"}], "findings": […]}`.
/// `before` is null where the rule added something, `after` where it dropped something. A refused resource is null: the findings say why.
pub fn ndjson_line(file: &str, index: usize, done: &Normalisation) -> String {
    // What a document said is told by an OperationOutcome that stands, whatever errors it tells.
    let is_kept = !done.is_refused() || done.resource.resource_type() == Some("OperationOutcome");
    let resource = if is_kept { done.resource.clone() } else { Value::Null.into() };
    let changes: Vec<Node> = done.changes.iter().map(|change| change_object(change).into()).collect();
    let findings: Vec<Node> = done.findings.iter().map(|finding| finding_object(finding).into()).collect();
    let line = Object::new()
        .with("file", file)
        .with("index", index as u64)
        .with("resource", resource)
        .with("changes", changes)
        .with("findings", findings);
    json::write(&line.into())
}

/// A few lines for people: each change as path, rule, before and after, then the findings.
pub fn explain(done: &Normalisation) -> String {
    let mut out = String::new();
    for change in &done.changes {
        let side = |node: &Option<Node>| node.as_ref().map_or("nothing".to_owned(), json::write);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {}  {} -> {}", change.path, change.rule, side(&change.before), side(&change.after));
    }
    for finding in &done.findings {
        let _ = writeln!(out, "{}  {}  {}: {}", finding.expression, finding.severity.code(), finding.message_id, finding.text);
    }
    out
}

fn change_object(change: &Change) -> Object {
    Object::new()
        .with("path", change.path.as_str())
        .with("rule", change.rule.to_string())
        .with("before", side(&change.before))
        .with("after", side(&change.after))
}

fn side(node: &Option<Node>) -> Node {
    node.clone().unwrap_or_else(|| Value::Null.into())
}

fn finding_object(finding: &Finding) -> Object {
    Object::new()
        .with("severity", finding.severity.code())
        .with("code", finding.code.code())
        .with("messageId", finding.message_id)
        .with("expression", finding.expression.as_str())
        .with("text", finding.text.as_str())
        .with_some("offset", finding.offset.map(u64::from))
}
