//! What the variables of a map are of, as far as that can be told, and whether the elements that rules name are in there.

use super::super::super::path::Path;
use super::super::super::profiles::base_type;
use super::super::super::report::Rule;
use super::super::super::structure::Walk;
use super::super::choice;
use crate::fhir::Node;
use crate::fhir::types::{ElementId, TypeDefinition, TypeKind, TypeTable};
use crate::outcome::IssueType;
use std::collections::HashMap;
use std::ops::RangeInclusive;

const NO_STRUCTURE: Rule = Rule::error(IssueType::Invalid, "SM_GROUP_INPUT_TYPE_UNKNOWN_STRUCTURE");
const NO_TYPE: Rule = Rule::error(IssueType::Invalid, "SM_GROUP_INPUT_TYPE_UNKNOWN_TYPE");
const OTHER_MODE: Rule = Rule::error(IssueType::NotSupported, "SM_GROUP_INPUT_MODE_MISMATCH");
const NOT_IN_SOURCE: Rule = Rule::error(IssueType::Invalid, "SM_SOURCE_PATH_INVALID");
const NOT_IN_TARGET: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_PATH_INVALID");
const PARAMETERS_RANGE: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_TRANSFORM_PARAM_COUNT_RANGE");
const PARAMETERS_SINGLE: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_TRANSFORM_PARAM_COUNT_SINGLE");
const PARAMETERS_MISSING: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_TRANSFORM_MISSING_PARAMS");
const NOT_JUDGED: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_TRANSFORM_NOT_CHECKED");

/// The transforms that HL7's validator knows, with how many parameters it takes them, and what it says of others.
const TRANSFORMS: [(&str, RangeInclusive<usize>, Rule); 8] = [
    ("create", 0..=1, PARAMETERS_RANGE),
    ("copy", 0..=1, PARAMETERS_RANGE),
    ("reference", 1..=1, PARAMETERS_RANGE),
    ("evaluate", 1..=1, PARAMETERS_SINGLE),
    ("cc", 2..=3, PARAMETERS_MISSING),
    ("append", 1..=usize::MAX, PARAMETERS_MISSING),
    ("uuid", 0..=0, PARAMETERS_MISSING),
    ("translate", 3..=3, PARAMETERS_MISSING),
];

/// What an input is of: a structure that the map names, or a type. Neither is an error for HL7's validator, which knows what it does not have from
/// nothing else; for us it may be of somebody's definitions that are not in hand.
pub fn input(walk: &mut Walk<'_>, structures: &Structures<'_>, input: &Node, path: &Path<'_>) -> Option<ElementId> {
    let name = input.text("type")?;
    let Some(structure) = structures.get(name) else {
        let found = walk.types.type_named(name);
        if found.is_none() {
            let rule = NO_TYPE.grave_if(walk.options.as_hl7);
            walk.report.add(rule, path, input, "The type of the input is none of FHIR's, and no structure of the map is called so");
        }
        return found.and_then(open);
    };
    let found = structure.text("url").and_then(|url| named(walk, url));
    if found.is_none() && walk.options.report_undecided {
        let rule = NO_STRUCTURE.grave_if(walk.options.as_hl7);
        walk.report.add(rule, path, input, "The structure that the input is of is not in hand, so elements were not looked for in it");
    }
    let (mode, of_structure) = (input.text("mode"), structure.text("mode"));
    if of_structure.is_some() && mode != of_structure {
        let rule = OTHER_MODE.grave_if(walk.options.as_hl7 || matches!(of_structure, Some("source" | "target")));
        walk.report.add(rule, path, input, "The map names the structure of this input for the other side");
        return None;
    }
    found.and_then(open)
}

/// The structures of a map by what it calls them.
pub type Structures<'n> = HashMap<&'n str, &'n Node>;

pub fn structures(map: &Node) -> Structures<'_> {
    let called = map.items("structure").iter().filter_map(|one| Some((one.text("alias")?, one)));
    // The first one of a name is meant.
    called.rev().collect()
}

/// The type of a structure, which may be a profile.
fn named<'w>(walk: &Walk<'w>, url: &str) -> Option<&'w TypeDefinition> {
    let (types, definitions) = (walk.types, walk.definitions);
    let name = base_type(types, url).or_else(|| definitions.structure(url).map(|found| found.type_name.as_str()));
    name.and_then(|name| types.type_named(name)).or_else(|| types.type_named(url))
}

/// The root of a type whose elements are known: an abstract type may be any that specialises it, and what a primitive one is made of has no name.
fn open(found: &TypeDefinition) -> Option<ElementId> {
    (!found.is_abstract && found.kind != TypeKind::Primitive).then_some(found.root)
}

/// An element that a rule names, in what its variable is of.
#[derive(Clone, Copy)]
enum Named {
    Element(ElementId),
    /// There is none of this name.
    Nothing,
    /// What the variable is of is not known, or no element is named.
    Untold,
}

fn element(types: &TypeTable, within: Option<ElementId>, side: &Node) -> Named {
    let (Some(within), Some(name)) = (within, side.text("element")) else { return Named::Untold };
    match types.child_named(within, name).or_else(|| types.member(within, name).map(|used| used.element)) {
        Some(found) => Named::Element(found),
        None => Named::Nothing,
    }
}

/// What is below an element of a single type.
fn content(types: &TypeTable, id: ElementId) -> Option<ElementId> {
    let element = types.element(id);
    if element.types.len() > 1 {
        return None;
    }
    let content = types.content(id, 0);
    let code = element.types.first().map(|one| one.code.as_str()).unwrap_or_default();
    match types.root_kind(content) {
        Some(_) => types.type_named(code).and_then(open),
        None => Some(content),
    }
}

/// Judges the element that a source takes; what its variable is of then.
pub fn source(walk: &mut Walk<'_>, source: &Node, within: Option<ElementId>, path: &Path<'_>) -> Option<ElementId> {
    let types = walk.types;
    match (element(types, within, source), source.text("type")) {
        (Named::Nothing, _) => {
            walk.report.add(NOT_IN_SOURCE, path, source, "What the source variable is of has no element of this name");
            None
        }
        (_, Some(stated)) => types.type_named(stated).and_then(open),
        (Named::Element(id), None) => content(types, id),
        (Named::Untold, None) => within.filter(|_| source.get("element").is_none()),
    }
}

/// Judges the element that a target makes, and how; what its variable is of then.
pub fn target(
    walk: &mut Walk<'_>,
    structures: &Structures<'_>,
    target: &Node,
    within: Option<ElementId>,
    path: &Path<'_>,
) -> Option<ElementId> {
    let id = match element(walk.types, within, target) {
        Named::Nothing => {
            walk.report.add(NOT_IN_TARGET, path, target, "What the target variable is of has no element of this name");
            return None;
        }
        Named::Untold => None,
        Named::Element(id) => Some(id),
    };
    if id.is_some() && walk.options.as_hl7 {
        transform(walk, target, path);
    }
    match created(target) {
        Some(name) => {
            let structure = structures.get(name).and_then(|structure| structure.text("url")).and_then(|url| named(walk, url));
            structure.or_else(|| named(walk, name)).and_then(open)
        }
        None => id.and_then(|id| content(walk.types, id)),
    }
}

/// The type that a target says it makes.
fn created(target: &Node) -> Option<&str> {
    let is_made = target.text("transform") == Some("create");
    let parameter = target.items("parameter").first().filter(|_| is_made)?;
    choice(parameter, "value")?.0.as_text()
}

/// Says what HL7's validator says of transforms and their parameters, which is less than the language has.
fn transform(walk: &mut Walk<'_>, target: &Node, path: &Path<'_>) {
    let (Some(name), number) = (target.text("transform"), target.items("parameter").len()) else { return };
    match TRANSFORMS.iter().find(|one| one.0 == name) {
        None => walk.report.add(NOT_JUDGED, path, target, "What this transform makes cannot be checked"),
        Some((_, numbers, broken)) if !numbers.contains(&number) => {
            walk.report.add(*broken, path, target, format!("The transform {name} is not made with {number} parameters"));
        }
        Some(_) => {}
    }
}
