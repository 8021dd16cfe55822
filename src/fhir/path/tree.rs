//! Walking the document beside the type tables: children by name, all children, descendants.

use super::item::{Collection, Item, TreeItem};
use super::syntax::{ChildStep, Form, IsJsonName, Meaning, form_of};
use crate::fhir::node::{Node, Object, Value};
use crate::fhir::types::{ElementId, TypeTable};

/// Adds the children of one name.
pub(super) fn children_named<'d>(
    types: &TypeTable,
    parent: &TreeItem<'d>,
    step: &ChildStep,
    out: &mut Collection<'d>,
) -> Result<(), IsJsonName> {
    let Some(meaning) = step.meaning(types, parent.content)? else { return Ok(()) };
    let Some(object) = parent.object() else { return Ok(()) };
    match meaning.form {
        Form::Choice => push_choice(types, object, parent.content, meaning.target, &step.name, out),
        Form::Primitive => {
            let (node, sibling) = with_sibling(object, &step.name);
            push_primitives(node, sibling, meaning.target, out);
        }
        Form::Complex | Form::Resource => {
            if let Some(node) = object.get(&step.name) {
                push_complex(types, node, meaning, out);
            }
        }
    }
    Ok(())
}

/// The child of a name where it is one object and no choice.
pub(super) fn only_object<'d>(types: &TypeTable, parent: &TreeItem<'d>, step: &ChildStep) -> Option<TreeItem<'d>> {
    let meaning = step.meaning(types, parent.content).ok()??;
    let node = parent.object()?.get(&step.name).filter(|node| matches!(node.value, Value::Object(_)))?;
    match meaning.form {
        Form::Complex => Some(TreeItem { node: Some(node), sibling: None, content: meaning.target }),
        Form::Resource => TreeItem::resource(types, node),
        Form::Primitive | Form::Choice => None,
    }
}

/// Whether there is a child of a name.
pub(super) fn has_child(types: &TypeTable, parent: &TreeItem<'_>, step: &ChildStep) -> Result<bool, IsJsonName> {
    let Some(meaning) = step.meaning(types, parent.content)? else { return Ok(false) };
    let node = parent.object().and_then(|object| object.get(&step.name));
    match (meaning.form, node.map(|node| &node.value)) {
        (Form::Complex | Form::Resource, None) => Ok(false),
        (Form::Complex | Form::Resource | Form::Primitive, Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_))) => {
            Ok(true)
        }
        _ => {
            let mut found = Collection::Empty;
            children_named(types, parent, step, &mut found)?;
            Ok(!found.is_empty())
        }
    }
}

/// A member and its `_name` sibling, found in one pass.
fn with_sibling<'d>(object: &'d Object, name: &str) -> (Option<&'d Node>, Option<&'d Node>) {
    let (mut node, mut sibling) = (None, None);
    for member in object.members() {
        if member.is_named(name) {
            node = Some(&member.node);
        } else if member.name.len() == name.len() + 1 && member.name.strip_prefix('_') == Some(name) {
            sibling = Some(&member.node);
        }
    }
    (node, sibling)
}

fn push_choice<'d>(types: &TypeTable, object: &'d Object, parent: ElementId, choice: ElementId, name: &str, out: &mut Collection<'d>) {
    for member in object.members() {
        let plain = member.name.strip_prefix('_').unwrap_or(&member.name);
        if !plain.starts_with(name) {
            continue;
        }
        let is_sibling = plain.len() < member.name.len();
        let Some(found) = types.member(parent, plain).filter(|found| found.element == choice) else { continue };
        // A sibling that has its value beside it was taken with the value.
        if is_sibling && object.get(plain).is_some() {
            continue;
        }
        push_member(types, object, plain, types.content(found.element, found.type_index), out);
    }
}

/// Adds the values of a member whose type is known.
fn push_member<'d>(types: &TypeTable, object: &'d Object, name: &str, content: ElementId, out: &mut Collection<'d>) {
    let form = form_of(types, content);
    let (node, sibling) = with_sibling(object, name);
    match (form, node) {
        (Form::Primitive, _) => push_primitives(node, sibling, content, out),
        (_, Some(node)) => push_complex(types, node, Meaning { target: content, form }, out),
        (_, None) => {}
    }
}

fn push_complex<'d>(types: &TypeTable, node: &'d Node, meaning: Meaning, out: &mut Collection<'d>) {
    let item = |node: &'d Node| {
        let plain = TreeItem { node: Some(node), sibling: None, content: meaning.target };
        match meaning.form {
            Form::Resource => TreeItem::resource(types, node).unwrap_or(plain),
            _ => plain,
        }
    };
    match &node.value {
        Value::List(items) => {
            out.reserve(items.len());
            items.iter().filter(|node| !matches!(node.value, Value::Null)).for_each(|node| out.push(Item::Tree(item(node))));
        }
        Value::Null => {}
        _ => out.push(Item::Tree(item(node))),
    }
}

/// Values and siblings stand side by side, in lists place by place, with null where one of them is missing.
fn push_primitives<'d>(node: Option<&'d Node>, sibling: Option<&'d Node>, content: ElementId, out: &mut Collection<'d>) {
    let values = node.map_or(&[][..], |node| node.as_list().unwrap_or(std::slice::from_ref(node)));
    let siblings = sibling.map_or(&[][..], |node| node.as_list().unwrap_or(std::slice::from_ref(node)));
    let count = values.len().max(siblings.len());
    out.reserve(count);
    for index in 0..count {
        let node = values.get(index).filter(|node| !matches!(node.value, Value::Null));
        let sibling = siblings.get(index).and_then(Node::as_object);
        if node.is_some() || sibling.is_some() {
            out.push(Item::Tree(TreeItem { node, sibling, content }));
        }
    }
}

/// Adds every child, in the document's order.
pub(super) fn children<'d>(types: &TypeTable, parent: &TreeItem<'d>, out: &mut Collection<'d>) {
    let Some(object) = parent.object() else { return };
    let has_siblings = object.members().iter().any(|member| member.name.starts_with('_'));
    for member in object.members() {
        let plain = member.name.strip_prefix('_').unwrap_or(&member.name);
        if plain.len() < member.name.len() && object.get(plain).is_some() {
            continue;
        }
        let Some(found) = types.member(parent.content, plain) else { continue };
        let content = types.content(found.element, found.type_index);
        match form_of(types, content) {
            _ if has_siblings => push_member(types, object, plain, content, out),
            Form::Primitive => push_primitives(Some(&member.node), None, content, out),
            form => push_complex(types, &member.node, Meaning { target: content, form }, out),
        }
    }
}
