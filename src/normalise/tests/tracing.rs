//! Where every leaf of an input went.

use super::super::rule::EMPTIES;
use super::super::{Change, Normalisation};
use crate::fhir::{Node, Value};

/// A step of a leaf's path: a member or an index.
#[derive(Clone, PartialEq)]
enum Step {
    Member(String),
    Item(usize),
}

/// The leaves of the input that are neither where they were nor in a recorded change about that place.
/// Where dropped items have moved the indices, the value anywhere in the output or in a change must do.
pub(super) fn unaccounted(input: &Node, done: &Normalisation) -> Vec<String> {
    let root = input.resource_type().unwrap_or("Resource");
    let mut leaves = Vec::new();
    collect(input, &mut Vec::new(), &mut leaves);
    let indices_moved = done.changes.iter().any(|change| change.rule == EMPTIES && change.path.ends_with(']'));
    let mut output = Vec::new();
    if indices_moved {
        collect(&done.resource, &mut Vec::new(), &mut output);
    }
    leaves.retain(|(path, value)| {
        at(&done.resource, path) != Some(value)
            && !done.changes.iter().any(|change| explains(change, root, path, value))
            && !(indices_moved && (output.iter().any(|(_, kept)| kept == value) || done.changes.iter().any(|change| held(change, value))))
    });
    leaves.into_iter().map(|(path, _)| written(&path)).collect()
}

/// How many leaves a node has.
pub(super) fn count(node: &Node) -> usize {
    let mut leaves = Vec::new();
    collect(node, &mut Vec::new(), &mut leaves);
    leaves.len()
}

fn collect(node: &Node, path: &mut Vec<Step>, leaves: &mut Vec<(Vec<Step>, Value)>) {
    match &node.value {
        Value::Object(object) if !object.is_empty() => {
            for member in object.members() {
                path.push(Step::Member(member.name.to_string()));
                collect(&member.node, path, leaves);
                path.pop();
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Item(index));
                collect(item, path, leaves);
                path.pop();
            }
        }
        leaf => leaves.push((path.clone(), leaf.clone())),
    }
}

fn at<'n>(node: &'n Node, path: &[Step]) -> Option<&'n Value> {
    let end = path.iter().try_fold(node, |node, step| match step {
        Step::Member(name) => node.get(name),
        Step::Item(index) => node.as_list()?.get(*index),
    });
    end.map(|node| &node.value)
}

/// Whether a change took the leaf: it is about the leaf or something around it, and held its value.
fn explains(change: &Change, root: &str, path: &[Step], value: &Value) -> bool {
    let below_root = change.path.strip_prefix(root).unwrap_or_default();
    held(change, value) && covers(below_root, path)
}

fn held(change: &Change, value: &Value) -> bool {
    change.before.as_ref().is_some_and(|before| holds(before, value))
}

fn holds(node: &Node, value: &Value) -> bool {
    node.value == *value
        || match &node.value {
            Value::Object(object) => object.members().iter().any(|member| holds(&member.node, value)),
            Value::List(items) => items.iter().any(|item| holds(item, value)),
            _ => false,
        }
}

/// Whether a change's path is the leaf's or leads to it. FHIRPath says `value` where JSON says `valueString`.
fn covers(below_root: &str, path: &[Step]) -> bool {
    let mut steps = path.iter();
    below_root.split(['.', '[']).skip(1).all(|written| match (written.strip_suffix(']'), steps.next()) {
        (Some(index), Some(Step::Item(item))) => index.parse() == Ok(*item),
        (None, Some(Step::Member(name))) => name.strip_prefix('_').unwrap_or(name).starts_with(written),
        _ => false,
    })
}

fn written(path: &[Step]) -> String {
    path.iter().fold("$".to_owned(), |text, step| match step {
        Step::Member(name) => format!("{text}.{name}"),
        Step::Item(index) => format!("{text}[{index}]"),
    })
}

#[test]
fn a_lost_leaf_is_noticed() {
    let parse = |text: &str| crate::fhir::json::parse(text.as_bytes(), 16).unwrap();
    let done = Normalisation { resource: parse(r#"{"a":[1,{"b":2}]}"#), changes: vec![], findings: vec![], unmapped: vec![] };
    assert_eq!(unaccounted(&parse(r#"{"a":[1,{"b":2,"c":"x"}],"d":true}"#), &done), ["$.a[1].c", "$.d"]);
    assert_eq!(count(&parse(r#"{"a":[1,{"b":2,"c":{}}],"d":[]}"#)), 4);
}
