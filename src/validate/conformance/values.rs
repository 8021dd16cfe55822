//! What a differential fixes where its base fixes a value already: the same, of the same type (<https://hl7.org/fhir/R4/elementdefinition.html#fixed>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::super::values::{Mode, difference};
use super::{choice, is_type};
use crate::definitions::{Structure, TypedJson};
use crate::fhir::{Node, json};
use crate::outcome::IssueType;

const OTHER_TYPE: Rule = Rule::error(IssueType::Invalid, "SD_ELEMENT_FIXED_WRONG_TYPE");
const OTHER_VALUE: Rule = Rule::error(IssueType::Value, "_DT_Fixed_Wrong");
const NOT_THE_PATTERN: Rule = Rule::error(IssueType::Invalid, "SD_ELEMENT_PATTERN_NO_FIXED");

/// How deep a fixed value may nest.
const DEPTH_MAX: usize = 64;

/// Judges the fixed value or the pattern of one element. A pattern may ask for more than that of the base, and for no less.
pub fn check(walk: &mut Walk<'_>, element: &Node, base: &Structure, path: &Path<'_>) {
    let Some(id) = element.text("id").or_else(|| element.text("path")) else { return };
    let Some(of_base) = base.elements.iter().find(|one| one.id == id) else { return };
    if let (Some((value, type_name)), Some(fixed)) = (choice(element, "fixed"), &of_base.fixed) {
        if !is_type(type_name, &fixed.type_name) {
            return walk.report.add(OTHER_TYPE, &path.name("fixed"), value, format!("The base fixes a value of type {}", fixed.type_name));
        }
        if let Some(below) = read(fixed).and_then(|fixed| difference(value, &fixed, Mode::Fixed)) {
            let whole = element.text("path").unwrap_or_default();
            let (root, rest) = whole.split_at(whole.find('.').unwrap_or(whole.len()));
            // The finding is about the element that is defined, and stands at its path.
            let text = "The value that is fixed here is not the one that the base fixes, so nothing can meet both";
            walk.report.add_below(OTHER_VALUE, &Path::root(root), &format!("{rest}{below}"), value.place(), text);
        }
    }
    if let (Some((value, _)), Some(pattern)) = (choice(element, "pattern"), &of_base.pattern) {
        let lacks = read(pattern).is_some_and(|pattern| difference(value, &pattern, Mode::Pattern).is_some());
        if lacks {
            let text = "The base has a pattern that this one does not keep, so what meets this one need not meet both";
            walk.report.add(NOT_THE_PATTERN, &path.name("pattern"), value, text);
        }
    }
}

fn read(value: &TypedJson) -> Option<Node> {
    json::parse(value.json.as_bytes(), DEPTH_MAX).ok()
}
