//! Compares two trimmed packages, definition by definition and element by element.

use super::Trimmed;
use crate::fhir::{Node, Object, json};

/// One fact two packages do not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Resource type and URL.
    pub definition: String,
    /// The element or member that differs; empty when the whole definition is on one side only.
    pub place: String,
    /// The fact as JSON on either side, `None` where it is missing.
    pub left: Option<String>,
    pub right: Option<String>,
}

/// Every fact that differs, in the order of the definitions.
pub fn compare(left: &Trimmed, right: &Trimmed) -> Vec<Difference> {
    let mut differences = Vec::new();
    let missing = right.definitions.keys().filter(|key| !left.definitions.contains_key(key));
    for key in left.definitions.keys().chain(missing) {
        let definition = format!("{} {}", key.0, key.1);
        match (left.definitions.get(key), right.definitions.get(key)) {
            (Some(ours), Some(theirs)) => compare_definitions(&definition, ours, theirs, &mut differences),
            (ours, theirs) => differences.push(Difference {
                definition,
                place: String::new(),
                left: ours.map(|_| "present".to_owned()),
                right: theirs.map(|_| "present".to_owned()),
            }),
        }
    }
    differences
}

fn compare_definitions(definition: &str, left: &Object, right: &Object, differences: &mut Vec<Difference>) {
    let mut add = |place: &str, ours: Option<&Node>, theirs: Option<&Node>| {
        let text = |node: Option<&Node>| node.map(json::write_canonical);
        let (left, right) = (text(ours), text(theirs));
        if left != right {
            differences.push(Difference { definition: definition.to_owned(), place: place.to_owned(), left, right });
        }
    };
    for name in names(left, right).into_iter().filter(|name| *name != "snapshot") {
        add(name, left.get(name), right.get(name));
    }
    let (ours, theirs) = (elements(left), elements(right));
    let only_theirs = theirs.iter().filter(|element| !ours.iter().any(|other| element_id(other) == element_id(element)));
    for element in ours.iter().chain(only_theirs) {
        let id = element_id(element);
        let find = |list: &'_ [Node]| list.iter().position(|other| element_id(other) == id);
        let side = |list| find(list).and_then(|index| <[Node]>::get(list, index));
        add(id, side(ours), side(theirs));
    }
    let order = |list: &[Node]| Node::from(list.iter().map(|element| Node::from(element_id(element))).collect::<Vec<_>>());
    add("order of elements", Some(&order(ours)), Some(&order(theirs)));
}

fn names<'a>(left: &'a Object, right: &'a Object) -> Vec<&'a str> {
    let only_right = right.members().iter().filter(|member| left.get(&member.name).is_none());
    left.members().iter().chain(only_right).map(|member| member.name.as_str()).collect()
}

fn elements(definition: &Object) -> &[Node] {
    definition.get("snapshot").map(|snapshot| snapshot.items("element")).unwrap_or_default()
}

fn element_id(element: &Node) -> &str {
    element.text("id").or(element.text("path")).unwrap_or_default()
}
