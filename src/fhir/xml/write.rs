//! The tree as XML.

use super::super::node::{Member, Node, Object, Value};
use super::super::types::{ElementId, TypeKind, TypeTable};
use super::tokens::is_legal;
use super::{FHIR, XHTML_TYPE, is_attribute, narrative};
use std::fmt::Write;

/// Writes a resource as FHIR XML, elements in the order of the definitions, numbers as written.
///
/// Members the type table does not know have no form in XML and are left out; a validated document has none.
/// A character that XML cannot hold is written as U+FFFD.
pub fn write(resource: &Node, table: &TypeTable) -> String {
    let mut writer = Writer { out: String::with_capacity(2048), table };
    writer.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    writer.resource(resource, true);
    writer.out
}

/// One element to be written: a member of the object and what the table says of it.
struct Item<'a> {
    /// Where the definition puts it among its siblings.
    position: usize,
    name: &'a str,
    type_code: &'a str,
    content: ElementId,
    value: Option<&'a Node>,
    /// The `_name` member.
    sibling: Option<&'a Node>,
}

struct Writer<'t> {
    out: String,
    table: &'t TypeTable,
}

impl<'t> Writer<'t> {
    fn resource(&mut self, node: &Node, is_root: bool) {
        let Some(object) = node.as_object() else { return };
        let Some(definition) = object.get("resourceType").and_then(Node::as_text).and_then(|name| self.table.resource(name)) else {
            return;
        };
        self.out.push('<');
        self.out.push_str(&definition.name);
        if is_root {
            let _ = write!(self.out, " xmlns=\"{FHIR}\"");
        }
        self.element_body(&definition.name, object, definition.root, true);
    }

    /// Attributes, `>`, children and the end tag; `/>` when there are none.
    fn element_body(&mut self, tag: &str, object: &Object, content: ElementId, is_resource: bool) {
        let parent_path = self.table.element(content).path.as_str();
        let mut items = self.items(object, content);
        for item in items.iter().filter(|item| is_attribute(parent_path, is_resource, item.name)) {
            self.attribute(item.name, item.value);
        }
        items.retain(|item| !is_attribute(parent_path, is_resource, item.name));
        if items.is_empty() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        for item in &items {
            self.repetitions(item);
        }
        let _ = write!(self.out, "</{tag}>");
    }

    fn items<'a>(&self, object: &'a Object, content: ElementId) -> Vec<Item<'a>>
    where
        't: 'a,
    {
        let order = &self.table.element(content).children;
        let mut items: Vec<Item<'a>> = Vec::with_capacity(object.len());
        for Member { name, node } in object.members() {
            let (plain, is_sibling) = name.strip_prefix('_').map_or((name.as_str(), false), |plain| (plain, true));
            if is_sibling && object.get(plain).is_some() {
                continue;
            }
            let Some(usage) = self.table.member(content, plain) else { continue };
            let element = self.table.element(usage.element);
            items.push(Item {
                position: order.iter().position(|id| *id == usage.element).unwrap_or(usize::MAX),
                name: plain,
                type_code: element.types.get(usage.type_index).map_or("", |type_use| &type_use.code),
                content: self.table.content(usage.element, usage.type_index),
                value: (!is_sibling).then_some(node),
                sibling: if is_sibling { Some(node) } else { sibling_of(object, plain) },
            });
        }
        items.sort_by_key(|item| item.position);
        items
    }

    fn attribute(&mut self, name: &str, value: Option<&Node>) {
        let text = match value.map(|node| &node.value) {
            Some(Value::Text(text) | Value::Number(text)) => text.as_str(),
            Some(Value::Bool(true)) => "true",
            Some(Value::Bool(false)) => "false",
            _ => return,
        };
        let _ = write!(self.out, " {name}=\"");
        push_escaped(&mut self.out, text);
        self.out.push('"');
    }

    fn repetitions(&mut self, item: &Item<'_>) {
        let values = item.value.map_or(&[][..], as_items);
        let siblings = item.sibling.map_or(&[][..], as_items);
        for index in 0..values.len().max(siblings.len()) {
            self.element(item, values.get(index), siblings.get(index));
        }
    }

    fn element(&mut self, item: &Item<'_>, value: Option<&Node>, sibling: Option<&Node>) {
        if item.type_code == XHTML_TYPE {
            if let Some(text) = value.and_then(Node::as_text) {
                self.out.push_str(&narrative::for_xml(text));
            }
            return;
        }
        match self.table.type_named(item.type_code).map(|definition| definition.kind) {
            Some(TypeKind::Primitive) => self.primitive(item, value, sibling.and_then(Node::as_object)),
            Some(TypeKind::Resource) => {
                let Some(value) = value else { return };
                let _ = write!(self.out, "<{}>", item.name);
                self.resource(value, false);
                let _ = write!(self.out, "</{}>", item.name);
            }
            _ => {
                let Some(object) = value.and_then(Node::as_object) else { return };
                let _ = write!(self.out, "<{}", item.name);
                self.element_body(item.name, object, item.content, false);
            }
        }
    }

    fn primitive(&mut self, item: &Item<'_>, value: Option<&Node>, sibling: Option<&Object>) {
        let _ = write!(self.out, "<{}", item.name);
        self.attribute("id", sibling.and_then(|sibling| sibling.get("id")));
        self.attribute("value", value);
        let extensions = sibling.and_then(|sibling| sibling.get("extension")).map_or(&[][..], as_items);
        let root = self.table.type_named("Extension").map(|definition| definition.root);
        let (Some(root), false) = (root, extensions.is_empty()) else {
            self.out.push_str("/>");
            return;
        };
        self.out.push('>');
        for extension in extensions.iter().filter_map(Node::as_object) {
            self.out.push_str("<extension");
            self.element_body("extension", extension, root, false);
        }
        let _ = write!(self.out, "</{}>", item.name);
    }
}

fn sibling_of<'a>(object: &'a Object, name: &str) -> Option<&'a Node> {
    object.members().iter().find(|member| member.name.strip_prefix('_') == Some(name)).map(|member| &member.node)
}

/// A list's items, or the one value there is.
fn as_items(node: &Node) -> &[Node] {
    node.as_list().unwrap_or(std::slice::from_ref(node))
}

/// The text as attribute value or character data.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

fn push_escaped(out: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && !matches!(byte, b'&' | b'<' | b'>' | b'"' | 0xEF);
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            other if is_legal(other) => out.push(other),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}
