//! Definitions as resources: what a ValueSet lists, what a SearchParameter derives from, what a CapabilityStatement says of search.

use super::codings::MOVING;
use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::Standing;
use crate::fhir::Node;
use crate::outcome::IssueType;

const NOT_IN_SYSTEM: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_INCLUDE_INVALID_CONCEPT_CODE_VER");
const SYSTEM_IS_FRAGMENT: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_INCLUDE_SYSTEM_ABSOLUTE_FRAG");
const OTHER_TYPE: Rule = Rule::error(IssueType::BusinessRule, "SEARCHPARAMETER_TYPE_WRONG");
const NO_COMPONENTS: Rule = Rule::error(IssueType::BusinessRule, "SEARCHPARAMETER_MISSING_COMPONENTS");
const OTHER_SEARCH_TYPE: Rule = Rule::error(IssueType::BusinessRule, "CapabalityStatement_CS_SP_WrongType");

/// Judges what a ValueSet includes and excludes: listed codes are those of their systems.
pub fn value_set(walk: &mut Walk<'_>, set: &Node, path: &Path<'_>) {
    let Some(compose) = set.get("compose") else { return };
    let composed = path.name("compose");
    for part in ["include", "exclude"] {
        let name = composed.name(part);
        for (index, include) in compose.items(part).iter().enumerate() {
            concepts(walk, set, include, &name.index(index));
        }
    }
}

fn concepts(walk: &mut Walk<'_>, set: &Node, include: &Node, path: &Path<'_>) {
    let Some(system) = include.text("system") else { return };
    if let Some(id) = system.strip_prefix('#') {
        let is_contained = set.items("contained").iter().any(|one| one.text("id") == Some(id));
        let text = if is_contained { "A code system is named by its URL, contained or not" } else { "A code system is named by its URL" };
        return walk.report.add(SYSTEM_IS_FRAGMENT, path, include, text);
    }
    let definitions = walk.definitions;
    let name = path.name("concept");
    for (index, concept) in include.items("concept").iter().enumerate() {
        // Systems that move on between releases may have codes that are not in hand, and grammars are judged where their codes are used.
        let is_fixed = !system.starts_with(MOVING) && definitions.code_system(system).is_some();
        let is_absent = |code: &str| is_fixed && definitions.standing(system, code) == Standing::Absent;
        if concept.text("code").is_some_and(is_absent) {
            walk.report.add(NOT_IN_SYSTEM, &name.index(index), concept, "The system, as it is in hand, does not have this code");
        }
    }
}

/// Judges a SearchParameter beside the one it derives from.
pub fn search_parameter(walk: &mut Walk<'_>, parameter: &Node, path: &Path<'_>) {
    let kind = parameter.text("type");
    if kind == Some("composite") && parameter.items("component").is_empty() {
        walk.report.add(NO_COMPONENTS, path, parameter, "A composite search parameter must have components");
    }
    let base = parameter.text("derivedFrom").and_then(|url| walk.definitions.search_parameter_by_url(url));
    if let (Some(kind), Some(base)) = (kind, base)
        && base.kind.code() != kind
    {
        walk.report.add(OTHER_TYPE, path, parameter, "The type must be that of the search parameter this one derives from");
    }
}

/// Judges the search parameters that a CapabilityStatement names by those in hand.
pub fn capability_statement(walk: &mut Walk<'_>, statement: &Node, path: &Path<'_>) {
    let rest_name = path.name("rest");
    for (index, rest) in statement.items("rest").iter().enumerate() {
        let rest_path = rest_name.index(index);
        let name = rest_path.name("resource");
        for (index, resource) in rest.items("resource").iter().enumerate() {
            let at = name.index(index);
            let name = at.name("searchParam");
            for (index, parameter) in resource.items("searchParam").iter().enumerate() {
                let defined = parameter.text("definition").and_then(|url| walk.definitions.search_parameter_by_url(url));
                if let (Some(kind), Some(defined)) = (parameter.text("type"), defined)
                    && defined.kind.code() != kind
                {
                    walk.report.add(OTHER_SEARCH_TYPE, &name.index(index), parameter, "The type must be that of the definition named here");
                }
            }
        }
    }
}
