//! What canonical URLs name (<https://hl7.org/fhir/R4/references.html#canonical>): something that is there, of a type that is asked for.

use super::path::Path;
use super::profiles::base_type;
use super::references::{self, Scope};
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use compact_str::CompactString;

const LEADS_NOWHERE: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_CANONICAL_RESOLVE");
const OTHER_TYPE: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_CANONICAL_TYPE");

/// What else looks up its canonicals and says what they should be: profiles that are claimed, and what is judged in `conformance`.
const WITH_RULES: [&str; 6] = ["Meta", "ConceptMap", "ValueSet", "StructureDefinition", "ElementDefinition", "MeasureReport"];

/// Whether the canonicals of an element, by its path, have rules of their own.
pub fn has_rule(path: &str) -> bool {
    WITH_RULES.contains(&path.split('.').next().unwrap_or_default())
}

/// Judges a canonical: a fragment always, and where it is followed what is in hand; `targets` are the types allowed, none meaning any.
pub fn check(walk: &mut Walk<'_>, targets: &[CompactString], is_followed: bool, node: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(url) = node.as_text() else { return };
    let found = if url.starts_with('#') {
        let Some(contained) = references::target(url, scope) else {
            return walk.report.add(LEADS_NOWHERE, path, node, "The canonical names a contained resource that is not there");
        };
        Vec::from_iter(contained.resource_type())
    } else if is_followed && !targets.is_empty() {
        types_in_hand(walk, url)
    } else {
        return;
    };
    let fits = |name: &&str| targets.iter().any(|allowed| walk.types.is_kind_of(name, allowed));
    if let Some(first) = found.first().filter(|_| !targets.is_empty() && !found.iter().any(fits)) {
        let text = format!("The canonical names a {first}; it may name {}", targets.join(", "));
        walk.report.add(OTHER_TYPE, path, node, text);
    }
}

/// Says of a canonical that names nothing of use that it is not in hand, or what it is instead.
pub fn absent(walk: &Walk<'_>, url: &str, asked: &str, so: &str) -> String {
    match types_in_hand(walk, url).first().filter(|name| **name != asked) {
        Some(other) => format!("What is named here is a {other} and no {asked}, so {so}"),
        None => format!("The {asked} named here is not in hand, so {so}"),
    }
}

/// The types of what is in hand under a URL.
fn types_in_hand<'w>(walk: &'w Walk<'_>, url: &str) -> Vec<&'w str> {
    let definitions = walk.definitions;
    let is_structure = base_type(walk.types, url).is_some() || definitions.structure_in_any_version(url).is_some();
    let known = [
        is_structure.then_some("StructureDefinition"),
        definitions.value_set(url).map(|_| "ValueSet"),
        definitions.code_system(url).map(|_| "CodeSystem"),
        definitions.search_parameter_by_url(url).map(|_| "SearchParameter"),
        definitions.resource(url).and_then(Node::resource_type),
    ];
    known.into_iter().flatten().collect()
}
