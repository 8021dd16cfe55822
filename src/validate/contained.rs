//! Contained resources (<https://hl7.org/fhir/R4/references.html#contained>): rules dom-2 to dom-5, judged in one pass over the container.

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::types::{ElementId, TypeTable};
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
    let fragments = Fragments::of(walk.types, container);
    let name = path.name("contained");
    let mut ids = HashSet::new();
    for (index, one) in all.iter().enumerate() {
        if one.text("id").is_some_and(|id| !ids.insert(id)) {
            walk.report.add(ID_TWICE, &name.index(index), one, "Another contained resource has this id");
        }
        let is_reached = one.text("id").is_none_or(|id| fragments.contains(id)) || refers_to_container(walk.types, one);
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

/// Gathers the ids that fragments like `#id` name, where rule dom-3 looks for them: in `reference`, and in a canonical, a URI or a URL.
struct Fragments<'t, 'n> {
    types: &'t TypeTable,
    found: HashSet<&'n str>,
}

impl<'t, 'n> Fragments<'t, 'n> {
    fn of(types: &'t TypeTable, resource: &'n Node) -> HashSet<&'n str> {
        let mut fragments = Fragments { types, found: HashSet::new() };
        fragments.resource(resource);
        fragments.found
    }

    fn resource(&mut self, node: &'n Node) {
        if let Some(definition) = node.resource_type().and_then(|name| self.types.resource(name)) {
            self.members(node, definition.root);
        }
    }

    /// The members that FHIR has. Nesting is bounded by the reader that made the node.
    fn members(&mut self, node: &'n Node, content: ElementId) {
        for member in node.as_object().map(Object::members).unwrap_or_default() {
            let (name, is_beside) = match member.name.strip_prefix('_') {
                Some(name) => (name, true),
                None => (member.name.as_str(), false),
            };
            let Some(used) = self.types.member(content, name) else { continue };
            let type_name = self.types.element(used.element).types.get(used.type_index).map(|one| one.code.as_str()).unwrap_or_default();
            let inner = if is_beside { self.types.type_named("Element").map(|element| element.root) } else { None };
            let inner = inner.unwrap_or_else(|| self.types.content(used.element, used.type_index));
            let items = member.node.as_list().unwrap_or(std::slice::from_ref(&member.node));
            items.iter().for_each(|item| self.item(item, name, type_name, inner));
        }
    }

    fn item(&mut self, item: &'n Node, name: &str, type_name: &str, content: ElementId) {
        match &item.value {
            Value::Object(_) if type_name == "Resource" => self.resource(item),
            Value::Object(_) => self.members(item, content),
            Value::Text(text) if type_name == "xhtml" => self.narrative(text),
            Value::Text(text) if name == "reference" || matches!(type_name, "canonical" | "uri" | "url") => {
                self.found.extend(text.strip_prefix('#'));
            }
            _ => {}
        }
    }

    /// Images and links in narrative may name what is contained.
    fn narrative(&mut self, div: &'n str) {
        self.found.extend(div.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()));
    }
}

fn refers_to_container(types: &TypeTable, contained: &Node) -> bool {
    Fragments::of(types, contained).contains("")
}
