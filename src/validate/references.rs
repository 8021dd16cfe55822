//! What a Reference may point to (<https://hl7.org/fhir/R4/references.html>), as far as the reference itself and its document say.

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::fhir::types::TypeTable;
use crate::outcome::IssueType;
use compact_str::CompactString;
use std::collections::HashMap;

const WRONG_TARGET: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType");
const TYPE_CONTRADICTS: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType2");
const NOT_CONTAINED: Rule = Rule::error(IssueType::NotFound, "Reference_REF_CantResolve");

/// What references can be resolved in: the resource at hand, and the Bundle it stands in.
pub struct Scope<'a> {
    pub resource: &'a Node,
    /// The resource itself, or the one that contains it.
    pub container: &'a Node,
    /// The outermost resource: the Bundle that the others are entries of.
    pub document: &'a Node,
    /// Types of the entries by `fullUrl`.
    entries: HashMap<&'a str, &'a str>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// The scope of a resource. A contained one has that of its container.
    pub fn of(resource: &'a Node, type_name: &str, outer: Option<&'a Scope<'a>>, is_contained: bool) -> Scope<'a> {
        let container = outer.filter(|_| is_contained).map_or(resource, |outer| outer.container);
        let entries = if type_name == "Bundle" { resource.items("entry") } else { &[] };
        let typed = entries.iter().filter_map(|entry| Some((entry.text("fullUrl")?, entry.get("resource")?.resource_type()?)));
        let document = outer.map_or(resource, |outer| outer.document);
        Scope { resource, container, document, entries: typed.collect(), outer }
    }

    fn entry_type(&self, url: &str) -> Option<&str> {
        self.entries.get(url).copied().or_else(|| self.outer?.entry_type(url))
    }

    /// The type of the contained resource with an id; `#` alone is the container itself.
    fn contained_type(&self, id: &str) -> Option<&str> {
        if id.is_empty() {
            return self.container.resource_type();
        }
        self.container.items("contained").iter().find(|one| one.text("id") == Some(id))?.resource_type()
    }
}

/// Judges the target of a Reference; `targets` are the types allowed, none meaning any.
pub fn check(walk: &mut Walk<'_>, targets: &[CompactString], reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let types = walk.types;
    let stated = reference.text("type").map(|name| name.rsplit('/').next().unwrap_or(name)).filter(|name| types.resource(name).is_some());
    let literal = reference.text("reference");
    let found = literal.and_then(|literal| target_type(types, literal, scope));
    if let (Some(stated), Some(found)) = (stated, found)
        && stated != found
    {
        walk.report.add(
            TYPE_CONTRADICTS,
            path,
            reference,
            format!("The reference says it points to a {stated}, but it points to a {found}"),
        );
    }
    if let Some(literal) = literal
        && found.is_none()
        && literal.starts_with('#')
    {
        walk.report.add(NOT_CONTAINED, path, reference, "The reference points to a contained resource that is not there");
    }
    let Some(target) = found.or(stated) else { return };
    if !targets.is_empty() && !targets.iter().any(|allowed| types.is_kind_of(target, allowed)) {
        let text = format!("The reference points to a {target}; it may point to {}", targets.join(", "));
        walk.report.add(WRONG_TARGET, path, reference, text);
    }
}

/// The type a literal reference names: in this document, or in its path (`Patient/1`, `https://…/Patient/1/_history/2`).
fn target_type<'a>(types: &'a TypeTable, literal: &'a str, scope: &'a Scope<'_>) -> Option<&'a str> {
    if let Some(id) = literal.strip_prefix('#') {
        return scope.contained_type(id);
    }
    if let Some(found) = scope.entry_type(literal) {
        return Some(found);
    }
    let unversioned = literal.split("/_history/").next().unwrap_or(literal);
    let (front, _) = unversioned.rsplit_once('/')?;
    let name = front.rsplit('/').next().unwrap_or(front);
    types.resource(name).map(|definition| definition.name.as_str())
}
