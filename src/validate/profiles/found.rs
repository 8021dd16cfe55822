//! Elements of a document, as rules lead to them.

use crate::fhir::path::{Item, TreeItem};
use crate::fhir::types::{ElementId, TypeTable};
use crate::fhir::{Node, Object, Value};

/// An element found in the document.
#[derive(Debug, Clone, Copy)]
pub struct Found<'d> {
    pub item: TreeItem<'d>,
    /// The element of the type table it is a value of; none for a root.
    pub element: Option<ElementId>,
    pub type_index: usize,
    /// Its place in a list.
    pub index: Option<usize>,
}

impl<'d> Found<'d> {
    /// A resource, or something a rule led to.
    pub fn root(item: TreeItem<'d>) -> Found<'d> {
        Found { item, element: None, type_index: 0, index: None }
    }

    /// `Quantity`; a resource's own type.
    pub fn type_name<'t>(&self, types: &'t TypeTable) -> &'t str {
        self.item.type_name(types)
    }

    pub fn offset(&self) -> Option<u32> {
        self.item.node.and_then(Node::place)
    }
}

/// The children of an element by their name in paths, in document order.
pub fn find<'d>(types: &TypeTable, parent: TreeItem<'d>, name: &str) -> Vec<Found<'d>> {
    let mut all = Vec::new();
    let object = parent.node.and_then(Node::as_object).or(parent.sibling);
    let members = object.map(Object::members).unwrap_or_default();
    for member in members {
        let plain = member.name.strip_prefix('_').unwrap_or(&member.name);
        let is_sibling = plain.len() != member.name.len();
        // A sibling without the value beside it stands for itself; else the value comes with its sibling.
        let is_named = plain.starts_with(name) && !(is_sibling && object.is_some_and(|object| object.get(plain).is_some()));
        let Some(used) = types.member(parent.content, plain).filter(|_| is_named) else { continue };
        if types.element(used.element).name != name {
            continue;
        }
        let sibling = if is_sibling { Some(&member.node) } else { object.and_then(|object| object.get(&format!("_{plain}"))) };
        let node = (!is_sibling).then_some(&member.node);
        let repeats = types.element(used.element).repeats();
        let length = |node: Option<&Node>| node.map_or(0, |node| node.as_list().map_or(1, <[Node]>::len));
        for index in 0..length(node).max(length(sibling)) {
            let (node, sibling) = (nth(node, index), nth(sibling, index).and_then(Node::as_object));
            let item = match node {
                Some(node) => TreeItem { sibling, ..TreeItem::element(types, node, used.element, used.type_index) },
                None => TreeItem { node: None, sibling, content: types.content(used.element, used.type_index) },
            };
            all.push(Found { item, element: Some(used.element), type_index: used.type_index, index: repeats.then_some(index) });
        }
    }
    all
}

fn nth(node: Option<&Node>, index: usize) -> Option<&Node> {
    let node = node?;
    let one = if let Some(items) = node.as_list() { items.get(index) } else { (index == 0).then_some(node) };
    one.filter(|one| one.value != Value::Null)
}

/// The items that a compiled path leads to, of those that stand in the document.
pub fn items_at<'d>(items: Vec<Item<'d>>) -> Vec<Found<'d>> {
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Tree(item) => Some(Found::root(item)),
            Item::System(_) => None,
        })
        .collect()
}
