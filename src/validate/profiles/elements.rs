//! What a profile asks of an element: of its value, its types, its rules, and what is below it.

use super::super::path::Path;
use super::super::references::Scope;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::super::values::{Mode, difference, extended};
use super::super::{bindings, controls, invariants, limits, slicing};
use super::types::{self, Allowed, allowed_type};
use super::{Asked, Found, find};
use crate::fhir::Node;
use crate::fhir::types::{BindingStrength, TypeTable, UNBOUNDED};
use crate::outcome::IssueType;

const MINIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Minimum_one");
const MAXIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_one");
const FIXED: Rule = Rule::error(IssueType::Value, "_DT_Fixed_Wrong");
const EXTENDED: Rule = Rule::error(IssueType::Value, "EXTENSION_EXT_FIXED_BANNED");
const TOO_LONG: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_String_Length");

/// Checks one element against one node of a profile. For a resource in another, `scope` is its own, and `outer` that of the rules which the
/// outer resource's profile states for it.
pub fn check(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, outer: &Scope<'_>, path: &Path<'_>) {
    value(walk, asked, found, scope, path);
    types::check(walk, asked, found, scope, path);
    if !asked.node().element.controls.is_empty() {
        controls::check(walk, asked.node(), found, scope.resource, path);
    }
    for rule in &asked.node().invariants {
        invariants::one(walk, rule, found.item, outer, path);
    }
    for &child in &asked.node().children {
        children(walk, Asked { id: child, ..asked }, found, scope, path);
    }
}

fn children(walk: &mut Walk<'_>, asked: Asked<'_>, parent: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let node = asked.node();
    let all = find(walk.types, parent.item, &node.name);
    count(walk, asked, all.len(), parent, path);
    let slices = slicing::sort(walk, asked, &all, parent, scope, path);
    for (found, slices) in all.iter().zip(&slices) {
        let steps = Steps::of(walk.types, *found);
        let (named, typed);
        let indexed;
        named = path.name(steps.name.unwrap_or(&node.name));
        let mut at = &named;
        if let Some(index) = found.index {
            indexed = at.index(index);
            at = &indexed;
        }
        if let Some(type_name) = steps.type_name {
            typed = at.of_type(type_name);
            at = &typed;
        }
        // A resource inside another is a root of its own.
        let resource = steps.is_resource.then_some(found.item.node).flatten();
        let own = resource.map(|resource| Scope::of(resource, found.type_name(walk.types), Some(scope), node.name == "contained"));
        let inner = own.as_ref().unwrap_or(scope);
        check(walk, asked, *found, inner, scope, at);
        for &slice in slices {
            check(walk, Asked { id: slice, ..asked }, *found, inner, scope, at);
        }
    }
}

/// How an element is named in paths.
pub struct Steps<'a> {
    name: Option<&'a str>,
    /// For choices.
    type_name: Option<&'a str>,
    pub is_resource: bool,
}

impl<'a> Steps<'a> {
    pub fn of(types: &'a TypeTable, found: Found<'_>) -> Steps<'a> {
        let element = found.element.map(|id| types.element(id));
        let type_use = element.and_then(|element| element.types.get(found.type_index));
        Steps {
            name: element.map(|element| element.name.as_str()),
            type_name: type_use.filter(|_| element.is_some_and(|element| element.is_choice)).map(|one| one.code.as_str()),
            is_resource: type_use.is_some_and(|one| one.code == "Resource"),
        }
    }
}

/// How many there are, of all or of a slice.
fn count(walk: &mut Walk<'_>, asked: Asked<'_>, number: usize, parent: Found<'_>, path: &Path<'_>) {
    let node = asked.node();
    let (element, profile) = (&node.element, asked.profile.canonical());
    if number < element.min as usize {
        let text = format!("{}: at least {} is required by {profile}, there are {number}", node.path, element.min);
        walk.report.add_at(MINIMUM, path, parent.offset(), text);
    }
    if element.max != UNBOUNDED && number > element.max as usize {
        let text = format!("{}: at most {} are allowed by {profile}, there are {number}", node.path, element.max);
        walk.report.add_at(MAXIMUM, path, parent.offset(), text);
    }
}

/// Fixed values, patterns, lengths, ranges and codes.
fn value(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let node = asked.node();
    for (value, mode, words) in [(&node.fixed, Mode::Fixed, "the fixed value"), (&node.pattern, Mode::Pattern, "the pattern")] {
        let Some(value) = value else { continue };
        let below = found.item.node.map_or(Some(String::new()), |found| difference(found, value, mode));
        if let Some(below) = below {
            let text = format!("{}: the value is not {words} that {} asks for", node.path, asked.profile.canonical());
            walk.report.add_below(FIXED, path, &below, found.offset(), text);
        }
    }
    if let Some(fixed) = &node.fixed {
        without_extensions(walk, asked, fixed, found, path);
    }
    let Some(value) = found.item.node else {
        let of_type = found.element.and_then(|id| walk.types.element(id).binding.as_ref());
        // What the type asks was said where the type was judged.
        let binding = node.element.binding.as_ref().filter(|_| !of_type.is_some_and(|one| one.strength == BindingStrength::Required));
        return bindings::check_missing(walk, binding, found.offset(), path);
    };
    if let Some(max) = node.element.max_length
        && value.as_text().is_some_and(|text| text.chars().count() > max as usize)
    {
        let rule = walk.as_hl7_asks(TOO_LONG, has_length(found.type_name(walk.types)));
        walk.report.add(rule, path, value, format!("{} must not be longer than {max} characters", node.path));
    }
    limits::check(walk, asked, found, scope, path);
    // A value of a type that may not be here is not also held to codes that are for another.
    if let Some(binding) = node.element.binding.as_ref().filter(|_| allowed_type(walk.types, asked, found) != Allowed::No) {
        let type_name = found.type_name(walk.types).to_owned();
        bindings::check(walk, binding, &type_name, value, path);
    }
}

/// Whether HL7's validator measures values of a type.
fn has_length(type_name: &str) -> bool {
    matches!(type_name, "string" | "uri" | "url" | "canonical" | "oid" | "uuid" | "date" | "dateTime" | "code")
}

/// A fixed value that has no extensions is met by none that has some.
fn without_extensions(walk: &mut Walk<'_>, asked: Asked<'_>, fixed: &Node, found: Found<'_>, path: &Path<'_>) {
    let beside = found.item.sibling.is_some_and(|sibling| sibling.get("extension").is_some());
    let place = beside.then(String::new).or_else(|| found.item.node.and_then(|value| extended(value, fixed)));
    if let Some(below) = place {
        let text =
            format!("{}: the value fixed by {} has no extension, so there may be none", asked.node().path, asked.profile.canonical());
        walk.report.add_below(EXTENDED, path, &below, found.offset(), text);
    }
}
