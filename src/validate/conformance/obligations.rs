//! Profiles that only lay obligations on the elements of another (<http://hl7.org/fhir/StructureDefinition/obligation-profile-flag>): what else
//! their differentials say would make them profiles of another kind.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::extension;
use crate::definitions::Structure;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;

const FLAGS: [&str; 2] = [
    "http://hl7.org/fhir/StructureDefinition/obligation-profile-flag",
    "http://hl7.org/fhir/tools/StructureDefinition/obligation-profile-flag",
];
const OBLIGATIONS: [&str; 2] =
    ["http://hl7.org/fhir/StructureDefinition/obligation", "http://hl7.org/fhir/tools/StructureDefinition/obligation"];

const ILLEGAL: Rule = Rule::error(IssueType::Invalid, "SD_OBGLIGATION_PROFILE_ILLEGAL");
const UNMATCHED: Rule = Rule::error(IssueType::Invalid, "SD_OBGLIGATION_PROFILE_UNMATCHED");
const OTHER_PATH: Rule = Rule::error(IssueType::Invalid, "SD_OBGLIGATION_PROFILE_PATH_WRONG");
const NOT_BOUND: Rule = Rule::error(IssueType::Invalid, "SD_OBGLIGATION_PROFILE_ILLEGAL_BINDING");

/// Judges the differential of a profile that says of itself that it only lays obligations. `path` is that of the StructureDefinition.
pub fn check(walk: &mut Walk<'_>, structure: &Node, base: &Structure, path: &Path<'_>) {
    let is_flagged = FLAGS.iter().any(|url| extension(structure, url).and_then(Node::as_bool) == Some(true));
    if !is_flagged || base.is_differential {
        return;
    }
    let types = walk.types;
    let (differential, stated) = (path.name("differential"), structure.get("differential"));
    let name = differential.name("element");
    for (index, element) in stated.map(|stated| stated.items("element")).unwrap_or_default().iter().enumerate() {
        let at = name.index(index);
        let Some(of_base) = base.elements.iter().find(|one| element.text("id") == Some(&one.id)) else {
            walk.report.add(UNMATCHED, &at, element, "The base has no element of this id that obligations could be laid on");
            continue;
        };
        for member in element.as_object().map(Object::members).unwrap_or_default().iter().filter(|member| is_known(types, &member.name)) {
            let at = at.name(&member.name);
            match member.name.as_str() {
                "id" | "mustSupport" | "min" | "max" => {}
                "extension" => extensions(walk, &member.node, &at),
                "path" if member.node.as_text() == Some(&of_base.path) => {}
                "path" => walk.report.add(OTHER_PATH, &at, &member.node, "The path is not that of the base's element"),
                "binding" if of_base.binding.is_some() => {}
                "binding" => walk.report.add(NOT_BOUND, &at, &member.node, "The base's element is bound to nothing"),
                _ => walk.report.add(ILLEGAL, &at, &member.node, "A profile of obligations says nothing of this of an element"),
            }
        }
    }
}

/// What no definition of an element has is refused where its structure is judged.
fn is_known(types: &TypeTable, name: &str) -> bool {
    let definition = types.type_named("ElementDefinition");
    definition.is_some_and(|definition| types.member(definition.root, name).is_some())
}

fn extensions(walk: &mut Walk<'_>, extensions: &Node, path: &Path<'_>) {
    for (index, one) in extensions.as_list().unwrap_or_default().iter().enumerate() {
        if !one.text("url").is_some_and(|url| OBLIGATIONS.contains(&url)) {
            walk.report.add(ILLEGAL, &path.index(index), one, "A profile of obligations has no other extensions of an element");
        }
    }
}
