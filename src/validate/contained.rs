//! Contained resources (<https://hl7.org/fhir/R4/references.html#contained>): rules dom-2 to dom-5, judged in one pass over the container.

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Object, Value};
use crate::outcome::IssueType;
use std::collections::HashSet;

const WITHOUT_ID: Rule = Rule::error(IssueType::Invalid, "Resource_RES_ID_Missing");
const NESTED: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/DomainResource#dom-2");
const ORPHAN: Rule = Rule::error(IssueType::Invariant, "CONTAINED_ORPHAN_DOM3");
const ID_TWICE: Rule = Rule::error(IssueType::BusinessRule, "DUPLICATE_ID");
const VERSIONED: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/DomainResource#dom-4");
const LABELLED: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/DomainResource#dom-5");

/// Judges a resource that is contained in another.
pub fn check(walk: &mut Walk<'_>, node: &Node, object: &Object, path: &Path<'_>) {
    if object.get("id").is_none() {
        walk.report.add(WITHOUT_ID, path, node, "A contained resource must have an id");
    }
}

/// Judges what a resource contains as a whole.
pub fn check_all(walk: &mut Walk<'_>, container: &Node, path: &Path<'_>) {
    let all = container.items("contained");
    if all.is_empty() {
        return;
    }
    let mut fragments = HashSet::new();
    collect(container, &mut fragments);
    let name = path.name("contained");
    let mut ids = HashSet::new();
    for (index, one) in all.iter().enumerate() {
        if one.text("id").is_some_and(|id| !ids.insert(id)) {
            walk.report.add(ID_TWICE, &name.index(index), one, "Another contained resource has this id");
        }
        let is_reached = one.text("id").is_none_or(|id| fragments.contains(id)) || refers_to_container(one);
        if !is_reached {
            let text = "Rule dom-3: nothing refers to this contained resource, and it does not refer to its container";
            walk.report.add(ORPHAN, &name.index(index), one, text);
        }
    }
    if all.iter().any(|one| one.get("contained").is_some()) {
        walk.report.add(NESTED, path, container, "Rule dom-2: a contained resource must not contain resources itself");
    }
    let meta = |member: &str| all.iter().any(|one| one.get("meta").is_some_and(|meta| meta.get(member).is_some()));
    if meta("versionId") || meta("lastUpdated") {
        let text = "Rule dom-4: a contained resource must not have meta.versionId or meta.lastUpdated";
        walk.report.add(VERSIONED, path, container, text);
    }
    if meta("security") {
        walk.report.add(LABELLED, path, container, "Rule dom-5: a contained resource must not have a security label");
    }
}

/// The ids that texts like `#id` name. Only references and URLs look so.
fn collect<'a>(node: &'a Node, fragments: &mut HashSet<&'a str>) {
    match &node.value {
        Value::Text(text) => {
            fragments.extend(text.strip_prefix('#'));
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, fragments)),
        Value::Object(object) => {
            for member in object.members() {
                collect(&member.node, fragments);
                // Images and links in narrative may name what is contained.
                let narrative = member.node.as_text().filter(|_| member.name == "div").unwrap_or_default();
                fragments.extend(narrative.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()));
            }
        }
        _ => {}
    }
}

fn refers_to_container(contained: &Node) -> bool {
    let mut fragments = HashSet::new();
    collect(contained, &mut fragments);
    fragments.contains("")
}
