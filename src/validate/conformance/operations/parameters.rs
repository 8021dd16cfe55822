//! The parameters of an operation beside the slices of the profile that says what goes in or comes out: each as often, and of the same types.

use super::super::super::path::Path;
use super::super::super::report::Rule;
use super::super::super::structure::Walk;
use crate::definitions::profile::{Profile, ProfileNode};
use crate::fhir::Node;
use crate::fhir::types::{TypeTable, UNBOUNDED};
use crate::outcome::IssueType;

const NOT_A_PARAMETER: Rule = Rule::warning(IssueType::NotFound, "OPDEF_PROFILE_NOT_IN_PARAM");
const NOT_A_SLICE: Rule = Rule::warning(IssueType::NotFound, "OPDEF_PROFILE_NOT_IN_PROFILE");
const OTHER_NUMBER: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_NOT_VALUE_MISMATCH");
const TYPE_NOT_OF_PARAMETER: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_TYPE_NOT_IN_PARAMS");
const TYPE_NOT_OF_PROFILE: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_TYPE_NOT_IN_PROFILE");

const TARGET_NOT_OF_PROFILE: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_PROFILE_NOT_IN_PARAMS");
const TARGET_NOT_OF_PARAMETER: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_PROFILE_NOT_IN_PROFILE");

/// The types of a parameter that may be of several: R4 states them in extensions, R5 in an element of its own.
const ALLOWED_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/operationdefinition-allowed-type";

/// Judges the parameters of one use (`in` or `out`). What stands in parts of parameters is not compared.
pub fn check(walk: &mut Walk<'_>, operation: &Node, profile: &Profile, of_use: &str, path: &Path<'_>) {
    let slices = profile.child(profile.root(), "parameter").map(|id| profile.node(id).slices.as_slice()).unwrap_or_default();
    let named: Vec<(&ProfileNode, &str)> =
        slices.iter().filter_map(|&id| Some((profile.node(id), name_of(profile, profile.node(id))?))).collect();
    let name = path.name("parameter");
    let mut stated = Vec::new();
    for (index, parameter) in operation.items("parameter").iter().enumerate().filter(|one| one.1.text("use") == Some(of_use)) {
        let Some(called) = parameter.text("name") else { continue };
        stated.push(called);
        let at = name.index(index);
        match named.iter().find(|slice| slice.1 == called) {
            Some((slice, _)) => compare(walk, parameter, profile, slice, &at),
            None => walk.report.add(NOT_A_SLICE, &at, parameter, "The profile of the parameters has none of this name"),
        }
    }
    for (_, called) in named.iter().filter(|slice| !stated.contains(&slice.1)) {
        walk.report.add(
            NOT_A_PARAMETER,
            path,
            operation,
            format!("The profile of the parameters has a parameter {called}, and the operation has none"),
        );
    }
}

/// What the name of a parameter in a slice is fixed to.
fn name_of<'p>(profile: &'p Profile, slice: &'p ProfileNode) -> Option<&'p str> {
    let name = profile.node(profile.child(slice, "name")?);
    name.fixed.as_ref().or(name.pattern.as_ref())?.as_text()
}

fn compare(walk: &mut Walk<'_>, parameter: &Node, profile: &Profile, slice: &ProfileNode, path: &Path<'_>) {
    let min = parameter.get("min").and_then(Node::as_number).and_then(|min| min.parse::<u32>().ok());
    let max = parameter.text("max").and_then(|max| if max == "*" { Some(UNBOUNDED) } else { max.parse().ok() });
    for (name, stated, asked) in [("min", min, slice.element.min), ("max", max, slice.element.max)] {
        if stated.is_some_and(|stated| stated != asked) {
            walk.report.add(
                OTHER_NUMBER,
                path,
                parameter,
                format!("The {name} of the parameter is another in the profile of the parameters"),
            );
        }
    }
    let (of_profile, of_parameter) = (types_of(walk.types, profile, slice), allowed(parameter));
    for code in of_profile.iter().filter(|code| !of_parameter.contains(code)) {
        let text = format!("The profile of the parameters has the type {code} for it, and the parameter does not");
        walk.report.add(TYPE_NOT_OF_PARAMETER, path, parameter, text);
    }
    if of_parameter.iter().any(|code| !of_profile.contains(code)) {
        let text = "The parameter has a type that the profile of the parameters does not have for it";
        walk.report.add(TYPE_NOT_OF_PROFILE, path, parameter, text);
    }
    targets(walk, parameter, profile, slice, path);
}

/// What a parameter may refer to is what its value may in the profile.
fn targets(walk: &mut Walk<'_>, parameter: &Node, profile: &Profile, slice: &ProfileNode, path: &Path<'_>) {
    let of_parameter: Vec<&str> = parameter.items("targetProfile").iter().filter_map(Node::as_text).collect();
    let value = profile.child(slice, "value").map(|id| profile.node(id)).filter(|value| value.element.max > 0);
    let types = value.map(|value| value.element.types.as_slice()).unwrap_or_default();
    let of_profile: Vec<&str> = types.iter().flat_map(|one| &one.target_profiles).map(|url| url.as_str()).collect();
    if of_parameter.iter().any(|url| !of_profile.contains(url)) {
        let text = "The parameter may refer to something that its value may not in the profile of the parameters";
        walk.report.add(TARGET_NOT_OF_PROFILE, path, parameter, text);
    }
    for url in of_profile.iter().filter(|url| !of_parameter.contains(url)) {
        let text = format!("The profile of the parameters has {url} for it to refer to, and the parameter does not");
        walk.report.add(TARGET_NOT_OF_PARAMETER, path, parameter, text);
    }
}

fn allowed(parameter: &Node) -> Vec<&str> {
    let of_extensions = parameter.items("extension").iter().filter(|one| one.text("url") == Some(ALLOWED_TYPE));
    let mut codes: Vec<&str> = of_extensions.filter_map(|one| one.text("valueUri").or_else(|| one.text("valueCode"))).collect();
    codes.extend(parameter.items("allowedType").iter().filter_map(Node::as_text));
    if codes.is_empty() {
        codes.extend(parameter.text("type"));
    }
    codes
}

/// The types of the value and of the resource of a slice, as far as the one may be there beside what must be.
fn types_of<'p>(types: &'p TypeTable, profile: &'p Profile, slice: &'p ProfileNode) -> Vec<&'p str> {
    let child = |name: &str| profile.child(slice, name).map(|id| profile.node(id));
    let must_be = |name: &str| child(name).is_some_and(|child| child.element.min > 0);
    let is_shut = |name: &str| child(name).is_some_and(|child| child.element.max == 0);
    let mut codes: Vec<&str> = Vec::new();
    for (name, other) in [("value", "resource"), ("resource", "value")] {
        if is_shut(name) || must_be(other) || must_be("part") {
            continue;
        }
        match child(name).filter(|child| !child.element.types.is_empty()) {
            Some(child) => codes.extend(child.element.types.iter().map(|one| one.code.as_str())),
            None => codes.extend(of_any_parameter(types, name)),
        }
    }
    codes
}

/// The types that R4 gives the value or the resource of a parameter.
fn of_any_parameter<'t>(types: &'t TypeTable, name: &str) -> impl Iterator<Item = &'t str> {
    let parameter = types.type_named("Parameters").and_then(|definition| types.child_named(definition.root, "parameter"));
    let child = parameter.and_then(|parameter| types.child_named(parameter, name));
    child.into_iter().flat_map(|child| types.element(child).types.iter().map(|one| one.code.as_str()))
}
