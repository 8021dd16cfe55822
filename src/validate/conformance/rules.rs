//! What the expressions of definitions are written for, and whether they can be: rules of elements and of extensions' contexts, search parameters.

use super::elements::{Listed, codes};
use crate::fhir::Node;
use crate::fhir::path::{Begin, Expression, Model, PathError, Purpose, UnknownTypes};
use crate::fhir::types::{ElementId, TypeTable};

/// The type that a definition makes itself: its elements are known from nowhere else.
pub fn model_of<'n>(list: &Listed<'n>) -> Option<Model<'n>> {
    let base = list.structure.text("baseDefinition").unwrap_or_default();
    (!list.is_constraint).then(|| Model::of(list.elements, base.rsplit('/').next().unwrap_or(base)))
}

/// The first thing in the expression of an element's rule that cannot be.
pub fn of_element(
    types: &TypeTable,
    list: &Listed<'_>,
    model: Option<&Model<'_>>,
    element: &Node,
    expression: &str,
) -> Result<(), PathError> {
    if is_of_other_release(types, list.structure) {
        return Ok(());
    }
    let path = element.text("path").unwrap_or_default();
    let context = match model {
        Some(_) => Begin::Model(path),
        None => contents_at(types, list.type_name, path, &codes(element)).map_or(Begin::Anything, Begin::Elements),
    };
    let is_resource = list.structure.text("kind") == Some("resource") && list.is_constraint;
    let resource = is_resource.then_some(list.type_name);
    checked(expression, types, Purpose { context, resource, model, ..Purpose::default() })
}

/// The first thing in the expression of a search parameter that cannot be. What names types that are not in hand may still be right elsewhere.
pub fn of_search(types: &TypeTable, parameter: &Node, expression: &str) -> Result<(), PathError> {
    let bases = parameter.items("base").iter().filter_map(Node::as_text);
    let contents: Option<Vec<ElementId>> = bases.map(|name| types.type_named(name).map(|definition| definition.root)).collect();
    checked(expression, types, Purpose { context: begin(contents), selects: true, ..Purpose::default() })
}

/// The first thing in a rule about the context of an extension that cannot be. It is evaluated on what the extension stands on.
pub fn of_context(types: &TypeTable, definition: &Node, rule: &str) -> Result<(), PathError> {
    if is_of_other_release(types, definition) {
        return Ok(());
    }
    let places = definition.items("context").iter().map(|one| {
        let path = one.text("expression").filter(|_| one.text("type") == Some("element"))?;
        contents_at(types, path.split('.').next().unwrap_or(path), path, &[])
    });
    let contents: Option<Vec<Vec<ElementId>>> = places.collect();
    let contents = contents.map(|contents| contents.concat());
    checked(rule, types, Purpose { context: begin(contents), variables: &["extension"], ..Purpose::default() })
}

/// Where the beginning may be anything, types that are not in hand may be right elsewhere; after `is` and `as` they are right everywhere.
fn checked(expression: &str, types: &TypeTable, purpose: Purpose<'_>) -> Result<(), PathError> {
    let unknown = if matches!(purpose.context, Begin::Elements(_)) { UnknownTypes::OfOperators } else { UnknownTypes::Anywhere };
    Expression::compile_to_check(expression, types, unknown)?.check_for(types, &purpose)
}

/// Why an expression cannot be used, with the id that the Java validator has for that reason.
pub fn reason(error: &PathError) -> String {
    error.message_id().map_or_else(|| error.to_string(), |id| format!("{error} ({id})"))
}

fn begin<'m>(contents: Option<Vec<ElementId>>) -> Begin<'m> {
    contents.filter(|contents| !contents.is_empty()).map_or(Begin::Anything, Begin::Elements)
}

/// Whether a definition is for another release of FHIR than the types in hand.
pub fn is_of_other_release(types: &TypeTable, structure: &Node) -> bool {
    let release = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    structure.text("fhirVersion").is_some_and(|version| release(version) != release(&types.version))
}

/// Whether a path leads to an element of a type: to none where a step has no such child. What may be of types that are not known leads anywhere.
pub fn is_element(types: &TypeTable, type_name: &str, path: &str) -> bool {
    let Some(definition) = types.type_named(type_name) else { return false };
    let mut contents = vec![definition.root];
    for step in path.split('.').skip(1) {
        contents = contents.into_iter().flat_map(|content| children(types, content, step)).collect();
        if contents.is_empty() {
            return false;
        }
    }
    true
}

/// The elements under which what a step leads to has its children.
fn children(types: &TypeTable, content: ElementId, step: &str) -> Vec<ElementId> {
    let bare = step.strip_suffix("[x]").unwrap_or(step);
    match (types.child_named(content, bare), types.member(content, bare)) {
        (Some(child), _) => (0..types.element(child).types.len().max(1)).map(|index| types.content(child, index)).collect(),
        (None, Some(used)) => vec![types.content(used.element, used.type_index)],
        (None, None) => Vec::new(),
    }
}

/// The elements under which the children of an element's values are found; `None` when they may be of types that are not known.
/// `stated` are the types that a profile leaves the element.
fn contents_at(types: &TypeTable, type_name: &str, path: &str, stated: &[&str]) -> Option<Vec<ElementId>> {
    let mut contents = vec![types.type_named(type_name)?.root];
    let mut steps = path.split('.').skip(1).peekable();
    while let Some(step) = steps.next() {
        let stated = if steps.peek().is_none() { stated } else { &[] };
        let mut next = Vec::new();
        for content in contents {
            next.extend(below(types, content, step, stated)?);
        }
        contents = next;
    }
    Some(contents)
}

/// What a step of a path leads to from one element: `value[x]`, `value`, `valueQuantity`.
fn below(types: &TypeTable, content: ElementId, step: &str, stated: &[&str]) -> Option<Vec<ElementId>> {
    let bare = step.strip_suffix("[x]").unwrap_or(step);
    let (element, only) = match types.child_named(content, bare) {
        Some(child) => (child, None),
        None => types.member(content, bare).map(|used| (used.element, Some(used.type_index)))?,
    };
    let uses = &types.element(element).types;
    let is_stated = |index: &usize| stated.is_empty() || uses.get(*index).is_some_and(|one| stated.contains(&one.code.as_str()));
    let mut indexes: Vec<usize> = (0..uses.len().max(1)).filter(|index| only.is_none_or(|only| only == *index)).collect();
    if indexes.iter().any(is_stated) {
        indexes.retain(is_stated);
    }
    let contents: Vec<ElementId> = indexes.into_iter().map(|index| types.content(element, index)).collect();
    let is_known = |content: &ElementId| *content != element || !types.element(element).children.is_empty();
    contents.iter().all(is_known).then_some(contents)
}
