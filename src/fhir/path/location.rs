//! Where an item stands: its indexed path, as findings quote it (`Bundle.entry[2].resource.value.ofType(Quantity)`).
//!
//! Found by a search through the document, since items do not carry their way: only what is reported pays.

use super::item::TreeItem;
use crate::fhir::node::{Node, Object, Value};
use crate::fhir::types::{TypeKind, TypeTable};
use std::fmt::Write;

/// The indexed path of an item in a document; `None` when it is not of that document.
pub fn locate(types: &TypeTable, document: &Node, item: &TreeItem<'_>) -> Option<String> {
    let root = TreeItem::resource(types, document)?;
    let mut search = Search { types, item, path: root.type_name(types).to_string() };
    search.is_at(Some(document), None).then(|| search.path.clone()).or_else(|| search.inside(&root).then_some(search.path))
}

struct Search<'s, 'd> {
    types: &'s TypeTable,
    item: &'s TreeItem<'d>,
    /// The way so far; the whole way once found.
    path: String,
}

impl Search<'_, '_> {
    fn is_at(&self, node: Option<&Node>, sibling: Option<&Node>) -> bool {
        match (self.item.node, self.item.sibling) {
            (Some(wanted), _) => node.is_some_and(|node| std::ptr::eq(node, wanted)),
            (None, Some(wanted)) => sibling.and_then(Node::as_object).is_some_and(|object| std::ptr::eq(object, wanted)),
            (None, None) => false,
        }
    }

    fn inside(&mut self, parent: &TreeItem<'_>) -> bool {
        let Some(object) = parent.object() else { return false };
        object.members().iter().any(|member| {
            let plain = member.name.strip_prefix('_').unwrap_or(&member.name);
            self.member(parent, object, plain)
        })
    }

    /// Looks through the values of one member and, on the way back, takes its step off the path again.
    fn member(&mut self, parent: &TreeItem<'_>, object: &Object, name: &str) -> bool {
        let Some(found) = self.types.member(parent.content, name) else { return false };
        let element = self.types.element(found.element);
        let before = self.path.len();
        let sibling = object.get(&format!("_{name}"));
        let node = object.get(name);
        let items = |node: Option<&Node>| node.map_or(0, |node| node.as_list().map_or(1, <[Node]>::len));
        for index in 0..items(node).max(items(sibling)) {
            let (node, sibling) = (nth(node, index), nth(sibling, index));
            let _ = write!(self.path, ".{}", element.name);
            if element.repeats() {
                let _ = write!(self.path, "[{index}]");
            }
            if element.is_choice {
                let type_name = element.types.get(found.type_index).map_or("", |type_use| &type_use.code);
                let _ = write!(self.path, ".ofType({type_name})");
            }
            if self.is_at(node, sibling) {
                return true;
            }
            let content = self.types.content(found.element, found.type_index);
            let child = TreeItem { node, sibling: sibling.and_then(Node::as_object), content };
            let child = match (self.types.root_kind(content), node) {
                (Some(TypeKind::Resource), Some(node)) => TreeItem::resource(self.types, node).unwrap_or(child),
                _ => child,
            };
            if self.inside(&child) {
                return true;
            }
            self.path.truncate(before);
        }
        false
    }
}

fn nth(node: Option<&Node>, index: usize) -> Option<&Node> {
    let node = node?;
    match node.as_list() {
        Some(items) => items.get(index).filter(|item| item.value != Value::Null),
        None => Some(node).filter(|_| index == 0),
    }
}
