//! What a Reference may point to (<https://hl7.org/fhir/R4/references.html>), as far as the reference itself and its document say.

use super::path::Path;
use super::profiles::{Found, base_type, conforms};
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::ProfileType;
use crate::fhir::Node;
use crate::fhir::path::TreeItem;
use crate::fhir::types::TypeTable;
use crate::outcome::IssueType;
use compact_str::CompactString;
use std::collections::HashMap;

const WRONG_TARGET: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType");
const TYPE_CONTRADICTS: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType2");
const NO_PROFILE_MET: Rule = Rule::error(IssueType::Structure, "Reference_REF_CantMatchChoice");
const AGGREGATION: Rule = Rule::error(IssueType::Structure, "Reference_REF_Aggregation");
const NOT_CONTAINED: Rule = Rule::error(IssueType::NotFound, "Reference_REF_CantResolve");

/// What references can be resolved in: the resource at hand, and the Bundle it stands in.
pub struct Scope<'a> {
    pub resource: &'a Node,
    /// The resource itself, or the one that contains it.
    pub container: &'a Node,
    /// The outermost resource: the Bundle that the others are entries of.
    pub document: &'a Node,
    /// The resources of the entries by `fullUrl`.
    entries: HashMap<&'a str, &'a Node>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// The scope of a resource. A contained one has that of its container.
    pub fn of(resource: &'a Node, type_name: &str, outer: Option<&'a Scope<'a>>, is_contained: bool) -> Scope<'a> {
        let container = outer.filter(|_| is_contained).map_or(resource, |outer| outer.container);
        let entries = if type_name == "Bundle" { resource.items("entry") } else { &[] };
        let placed = entries.iter().filter_map(|entry| Some((entry.text("fullUrl")?, entry.get("resource")?)));
        let document = outer.map_or(resource, |outer| outer.document);
        Scope { resource, container, document, entries: placed.collect(), outer }
    }

    /// The resource of the entry with a `fullUrl`, here or further out.
    fn entry(&self, url: &str) -> Option<&'a Node> {
        self.entries.get(url).copied().or_else(|| self.outer?.entry(url))
    }

    /// The contained resource with an id; `#` alone is the container itself.
    fn contained(&self, id: &str) -> Option<&'a Node> {
        if id.is_empty() {
            return Some(self.container);
        }
        self.container.items("contained").iter().find(|one| one.text("id") == Some(id))
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
        return scope.contained(id)?.resource_type();
    }
    if let Some(found) = scope.entry(literal) {
        return found.resource_type();
    }
    let unversioned = literal.split("/_history/").next().unwrap_or(literal);
    let (front, _) = unversioned.rsplit_once('/')?;
    let name = front.rsplit('/').next().unwrap_or(front);
    types.resource(name).map(|definition| definition.name.as_str())
}

/// The resource a literal reference points to, where the document holds it.
pub fn target<'d>(literal: &str, scope: &Scope<'d>) -> Option<&'d Node> {
    if let Some(id) = literal.strip_prefix('#') {
        return scope.contained(id);
    }
    scope.entry(literal)
}

/// Judges a reference by what a profile asks of its target: which profiles it may meet, and how it may be held.
pub fn check_profiles(walk: &mut Walk<'_>, asked: &ProfileType, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(literal) = reference.text("reference") else { return };
    let found = target(literal, scope);
    aggregation(walk, asked, literal, found.is_some(), reference, path);
    if asked.target_profiles.is_empty() {
        return;
    }
    let types = walk.types;
    let type_of = |url: &str| match base_type(types, url) {
        Some(name) => Some(name.into()),
        None => walk.definitions.structure(url).map(|structure| structure.type_name.clone()),
    };
    let allowed: Vec<Option<CompactString>> = asked.target_profiles.iter().map(|url| type_of(url)).collect();
    let known = found.and_then(Node::resource_type).or_else(|| target_type(types, literal, scope));
    let Some(name) = known else { return };
    let fits = allowed.iter().any(|one| one.as_ref().is_none_or(|one| types.is_kind_of(name, one)));
    if !fits {
        let names: Vec<&str> = allowed.iter().flatten().map(CompactString::as_str).collect();
        let text = format!("The reference points to a {name}; the profile allows {}", names.join(", "));
        return walk.report.add(WRONG_TARGET, path, reference, text);
    }
    let Some((resource, item)) = found.and_then(|node| Some((node, TreeItem::resource(types, node)?))) else { return };
    let candidates: Vec<&str> = asked.target_profiles.iter().map(CompactString::as_str).collect();
    let inner = Scope::of(resource, name, Some(scope), literal.starts_with('#'));
    let meets = candidates.iter().any(|url| conforms(walk, url, Found::root(item), &inner, path));
    if !meets {
        let text = format!("What the reference points to meets none of the profiles allowed: {}", candidates.join(", "));
        walk.report.add(NO_PROFILE_MET, path, reference, text);
    }
}

fn aggregation(walk: &mut Walk<'_>, asked: &ProfileType, literal: &str, is_held: bool, reference: &Node, path: &Path<'_>) {
    if asked.aggregation.is_empty() {
        return;
    }
    let held = match (literal.starts_with('#'), is_held) {
        (true, _) => "contained",
        (false, true) => "bundled",
        (false, false) => "referenced",
    };
    // What is bundled is also referenced.
    let fits = asked.aggregation.iter().any(|one| one == held || (one == "referenced" && held == "bundled"));
    if !fits {
        let text = format!("The target must be {} here, and it is {held}", asked.aggregation.join(" or "));
        walk.report.add(AGGREGATION, path, reference, text);
    }
}
