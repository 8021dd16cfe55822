//! Where the definition of an extension says that it may stand (<https://hl7.org/fhir/R4/defining-extensions.html#context>).

use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::rules;
use crate::fhir::Node;
use crate::fhir::path::{Expression, UnknownTypes};
use crate::outcome::IssueType;
use std::borrow::Cow;

const NO_RULE: Rule = Rule::error(IssueType::Invalid, "ED_CONTEXT_INVARIANT_EXPRESSION_ERROR");
const NO_ELEMENT: Rule = Rule::error(IssueType::Invalid, "SD_CONTEXT_SHOULD_ELEMENT_NOT_FOUND");
const NO_PATH: Rule = Rule::error(IssueType::Invalid, "SD_CONTEXT_FHIRPATH_INVALID");

/// What contexts may call elements by that are no types of R4: any, and kinds of resources and types that later releases have.
const KINDS: [&str; 8] = ["*", "Any", "Base", "DataType", "BackboneType", "PrimitiveType", "CanonicalResource", "MetadataResource"];

/// Judges the contexts of an extension's definition, and its rules about them.
pub fn check(walk: &mut Walk<'_>, structure: &Node, path: &Path<'_>) {
    if !rules::is_of_other_release(walk.types, structure) {
        let name = path.name("context");
        for (index, context) in structure.items("context").iter().enumerate() {
            place(walk, context, &name.index(index));
        }
    }
    let name = path.name("contextInvariant");
    for (index, rule) in structure.items("contextInvariant").iter().enumerate() {
        if let Some(Err(error)) = rule.as_text().map(|text| rules::of_context(walk.types, structure, text)) {
            let text = format!("The rule about the context of the extension cannot be used: {}", rules::reason(&error));
            walk.report.add(NO_RULE, &name.index(index), rule, text);
        }
    }
}

/// An element of a kind of resources that later releases have, as one of a resource of that kind.
fn in_this_release(expression: &str) -> Cow<'_, str> {
    let resource = |(kind, rest): (&str, &str)| match kind {
        "CanonicalResource" => Some(format!("CodeSystem.{rest}")),
        "MetadataResource" => Some(format!("PlanDefinition.{rest}")),
        _ => None,
    };
    expression.split_once('.').and_then(resource).map_or(Cow::Borrowed(expression), Cow::Owned)
}

/// A context names an element that there is, or is FHIRPath. What it names by a URL may be a definition that is not in hand.
fn place(walk: &mut Walk<'_>, context: &Node, path: &Path<'_>) {
    let Some((node, expression)) = context.get("expression").and_then(|node| Some((node, node.as_text()?))) else { return };
    match context.text("type") {
        Some("element") if !has_scheme(expression) && !KINDS.contains(&expression) => {
            let expression = in_this_release(expression);
            let type_name = expression.split('.').next().unwrap_or(&expression);
            if !rules::is_element(walk.types, type_name, &expression) {
                walk.report.add(NO_ELEMENT, path, context, "The context names no type or element of this release of FHIR");
            }
        }
        Some("fhirpath") => {
            if let Err(error) = Expression::compile_to_check(expression, walk.types, UnknownTypes::Anywhere) {
                let text = format!("The context cannot be used: {}", rules::reason(&error));
                let rule = walk.as_hl7_asks(NO_PATH, false);
                walk.report.add(rule, &path.name("expression"), node, text);
            }
        }
        _ => {}
    }
}
