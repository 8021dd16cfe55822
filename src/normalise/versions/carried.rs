//! Cross-version extensions: values of elements that R4 does not have.

use super::table::Carried;
use crate::fhir::{Node, Object, Value};
use crate::normalise::vocabulary::DATA_ABSENT;

/// The extensions that hold a value (or each of a list) under a URL. `None` when the value has a part whose type is not known.
///
/// `sibling` is what `_name` says beside a primitive.
pub(super) fn extensions(url: &str, node: Option<Node>, sibling: Option<Node>, carried: &Carried) -> Option<Vec<Node>> {
    let values = node.map(listed).unwrap_or_default();
    let siblings = sibling.map(listed).unwrap_or_default();
    let count = values.len().max(siblings.len());
    let (mut values, mut siblings) = (values.into_iter(), siblings.into_iter());
    (0..count).map(|_| extension(url, values.next(), siblings.next(), carried)).collect()
}

/// The items of a list, or what is none as its own.
pub(super) fn listed(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        _ => vec![node],
    }
}

fn extension(url: &str, value: Option<Node>, sibling: Option<Node>, carried: &Carried) -> Option<Node> {
    // A list in a list is no FHIR of any release.
    if value.as_ref().is_some_and(|value| value.as_list().is_some()) {
        return None;
    }
    let made = Object::new().with("url", url);
    match carried {
        Carried::Value(type_name) => {
            let name = value_name(type_name);
            let present = |node: &Node| node.value != Value::Null;
            Some(made.with_some(&name, value.filter(present)).with_some(&format!("_{name}"), sibling.filter(present)).into())
        }
        Carried::Members(types) => {
            let Some(Value::Object(object)) = value.map(|node| node.value) else { return None };
            Some(made.with("extension", members(object, types)?).into())
        }
    }
}

/// The members of an object as extensions named like them. Its own extensions stay what they are.
pub(super) fn members(object: Object, types: &[(&str, &'static str)]) -> Option<Vec<Node>> {
    let mut inner = Vec::new();
    for member in object.members() {
        if member.name == "extension" {
            inner.extend(member.node.as_list()?.iter().cloned());
            continue;
        }
        let (_, type_name) = types.iter().find(|(name, _)| *name == member.name)?;
        inner.extend(extensions(&member.name, Some(member.node.clone()), None, &Carried::Value(type_name))?);
    }
    Some(inner)
}

/// `valueCodeableConcept` for `CodeableConcept`.
fn value_name(type_name: &str) -> String {
    let mut letters = type_name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    "value".chars().chain(first).chain(letters).collect()
}

/// The data-absent-reason extension: the sender's release did not demand what R4 demands, and nothing was sent.
pub(super) fn absent() -> Node {
    let said = Object::new().with("url", DATA_ABSENT).with("valueCode", "unknown");
    Object::new().with("extension", vec![said.into()]).into()
}
