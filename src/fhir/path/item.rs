//! What expressions yield: places in the document tree, and values computed on the way.

use super::quantity::Quantity;
use super::syntax::{Form, form_of};
use crate::fhir::decimal::Decimal;
use crate::fhir::node::{Node, Object, Value};
use crate::fhir::temporal::{Date, DateTime, Time};
use crate::fhir::types::{ElementId, TypeKind, TypeTable};
use std::borrow::Cow;
use std::ops::Deref;

/// One item of a collection.
#[derive(Debug, Clone)]
pub enum Item<'d> {
    Tree(TreeItem<'d>),
    System(System<'d>),
}

/// A place in the document. A primitive may have a value, a `_name` sibling with its id and extensions, or both.
#[derive(Debug, Clone, Copy)]
pub struct TreeItem<'d> {
    pub node: Option<&'d Node>,
    /// The object beside a primitive that holds its id and extensions.
    pub sibling: Option<&'d Object>,
    /// The element under which the children are found; the root of its type, or an element with children of its own.
    pub content: ElementId,
}

/// A value of one of FHIRPath's own types.
#[derive(Debug, Clone)]
pub enum System<'d> {
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    String(Cow<'d, str>),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    Quantity(Box<Quantity>),
    /// What `type()` answers.
    Type(Box<TypeInfo>),
}

/// The namespace and name of an item's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    pub namespace: &'static str,
    pub name: String,
}

impl System<'_> {
    /// `Boolean`, `Integer`, …
    pub fn type_name(&self) -> &'static str {
        match self {
            System::Boolean(_) => "Boolean",
            System::Integer(_) => "Integer",
            System::Decimal(_) => "Decimal",
            System::String(_) => "String",
            System::Date(_) => "Date",
            System::DateTime(_) => "DateTime",
            System::Time(_) => "Time",
            System::Quantity(_) => "Quantity",
            System::Type(_) => "SimpleTypeInfo",
        }
    }
}

impl std::fmt::Display for System<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            System::Boolean(value) => write!(f, "{value}"),
            System::Integer(value) => write!(f, "{value}"),
            System::Decimal(value) => write!(f, "{value}"),
            System::String(value) => f.write_str(value),
            System::Date(value) => write!(f, "{value}"),
            System::DateTime(value) => write!(f, "{value}"),
            System::Time(value) => write!(f, "{value}"),
            System::Quantity(value) => write!(f, "{value}"),
            System::Type(value) => write!(f, "{}.{}", value.namespace, value.name),
        }
    }
}

impl<'d> From<bool> for Item<'d> {
    fn from(value: bool) -> Item<'d> {
        Item::System(System::Boolean(value))
    }
}

impl<'d> From<i64> for Item<'d> {
    fn from(value: i64) -> Item<'d> {
        Item::System(System::Integer(value))
    }
}

impl<'d> From<System<'d>> for Item<'d> {
    fn from(value: System<'d>) -> Item<'d> {
        Item::System(value)
    }
}

impl<'d> From<String> for Item<'d> {
    fn from(value: String) -> Item<'d> {
        Item::System(System::String(Cow::Owned(value)))
    }
}

impl<'d> From<&'d str> for Item<'d> {
    fn from(value: &'d str) -> Item<'d> {
        Item::System(System::String(Cow::Borrowed(value)))
    }
}

impl<'d> Item<'d> {
    /// The node when the item is from the tree and has a value there.
    pub fn node(&self) -> Option<&'d Node> {
        match self {
            Item::Tree(place) => place.node,
            Item::System(_) => None,
        }
    }

    /// The FHIR type (`HumanName`, `code`, `BackboneElement`), or the FHIRPath type of a computed value (`Integer`).
    pub fn type_name<'t>(&self, types: &'t TypeTable) -> &'t str {
        match self {
            Item::Tree(place) => place.type_name(types),
            Item::System(value) => value.type_name(),
        }
    }

    /// The value as text: a primitive as written, a computed value as FHIRPath prints it; `None` for complex items.
    pub fn text(&self) -> Option<Cow<'d, str>> {
        match self {
            Item::Tree(place) => match &place.node?.value {
                Value::Text(text) | Value::Number(text) => Some(Cow::Borrowed(text)),
                Value::Bool(true) => Some(Cow::Borrowed("true")),
                Value::Bool(false) => Some(Cow::Borrowed("false")),
                Value::Null | Value::List(_) | Value::Object(_) => None,
            },
            Item::System(System::String(text)) => Some(text.clone()),
            Item::System(System::Type(_)) => None,
            Item::System(value) => Some(Cow::Owned(value.to_string())),
        }
    }

    /// The value as a number, exactly.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Item::Tree(place) => Decimal::parse(place.node?.as_number()?),
            Item::System(System::Integer(value)) => Some(Decimal::from(*value)),
            Item::System(System::Decimal(value)) => Some(*value),
            Item::System(_) => None,
        }
    }

    /// The value as true or false.
    pub fn boolean(&self) -> Option<bool> {
        match self {
            Item::Tree(place) => place.node?.as_bool(),
            Item::System(System::Boolean(value)) => Some(*value),
            Item::System(_) => None,
        }
    }

    /// The value in FHIRPath's own types: primitives and quantities have one, other complex items do not.
    pub(super) fn system(&self, types: &TypeTable) -> Option<System<'d>> {
        match self {
            Item::Tree(place) => place.system(types),
            Item::System(value) => Some(value.clone()),
        }
    }
}

impl<'d> TreeItem<'d> {
    /// A resource: its type is the one its `resourceType` names, `Resource` when there is none of that name.
    pub fn resource(types: &TypeTable, node: &'d Node) -> Option<TreeItem<'d>> {
        let named = node.resource_type().and_then(|name| types.document(name));
        let definition = named.or_else(|| types.type_named("Resource"))?;
        Some(TreeItem { node: Some(node), sibling: None, content: definition.root })
    }

    /// The value of an element, as its `type_index`-th type.
    pub fn element(types: &TypeTable, node: &'d Node, element: ElementId, type_index: usize) -> TreeItem<'d> {
        let content = types.content(element, type_index);
        match types.root_kind(content) {
            Some(TypeKind::Resource) => TreeItem::resource(types, node).unwrap_or(TreeItem { node: Some(node), sibling: None, content }),
            _ => TreeItem { node: Some(node), sibling: None, content },
        }
    }

    /// A primitive with its `_name` sibling; either may be missing.
    pub fn primitive(
        types: &TypeTable,
        node: Option<&'d Node>,
        sibling: Option<&'d Node>,
        element: ElementId,
        type_index: usize,
    ) -> TreeItem<'d> {
        TreeItem { node, sibling: sibling.and_then(Node::as_object), content: types.content(element, type_index) }
    }

    pub fn type_name<'t>(&self, types: &'t TypeTable) -> &'t str {
        let element = types.element(self.content);
        match types.root_kind(self.content) {
            Some(_) => &element.path,
            None => element.types.first().map_or("BackboneElement", |type_use| &type_use.code),
        }
    }

    pub fn is_primitive(&self, types: &TypeTable) -> bool {
        form_of(types, self.content) == Form::Primitive
    }

    /// The object whose members are the children: the value of a complex item, the sibling of a primitive.
    #[inline]
    pub(super) fn object(&self) -> Option<&'d Object> {
        match self.node.and_then(Node::as_object) {
            Some(object) => Some(object),
            None => self.sibling,
        }
    }

    /// Whether there is a primitive value, rather than children only.
    pub(super) fn has_value(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, Value::Bool(_) | Value::Number(_) | Value::Text(_)))
    }

    fn system(&self, types: &TypeTable) -> Option<System<'d>> {
        match &self.node?.value {
            Value::Bool(flag) => Some(System::Boolean(*flag)),
            Value::Number(number) if self.type_name(types) == "decimal" => Decimal::parse(number).map(System::Decimal),
            Value::Number(number) => number.parse().map(System::Integer).ok().or_else(|| Decimal::parse(number).map(System::Decimal)),
            Value::Text(text) => Some(self.text_value(types, text)),
            Value::Object(object) if types.is_kind_of(self.type_name(types), "Quantity") => {
                Quantity::from_object(object).map(|quantity| System::Quantity(Box::new(quantity)))
            }
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// A text in the type its element gives it. What is no date where a date should be stays text, for the validator to find.
    fn text_value(&self, types: &TypeTable, text: &'d str) -> System<'d> {
        let parsed = match self.type_name(types) {
            "date" => Date::parse(text).ok().map(System::Date),
            "dateTime" | "instant" => DateTime::parse_partial(text).ok().map(System::DateTime),
            "time" => Time::parse_partial(text).ok().map(System::Time),
            _ => None,
        };
        parsed.unwrap_or(System::String(Cow::Borrowed(text)))
    }
}

/// Room that is made for a second item and those that may follow.
const FEW_ITEMS: usize = 4;

/// None, one or many items; one, the usual case, without an allocation.
#[derive(Debug, Clone, Default)]
pub(super) enum Collection<'d> {
    #[default]
    Empty,
    One(Item<'d>),
    Many(Vec<Item<'d>>),
}

impl<'d> Collection<'d> {
    #[inline]
    pub fn as_slice(&self) -> &[Item<'d>] {
        match self {
            Collection::Empty => &[],
            Collection::One(item) => std::slice::from_ref(item),
            Collection::Many(items) => items,
        }
    }

    #[inline]
    pub fn push(&mut self, item: Item<'d>) {
        match self {
            Collection::Empty => *self = Collection::One(item),
            Collection::Many(items) => items.push(item),
            Collection::One(_) => {
                self.reserve(FEW_ITEMS);
                self.push(item);
            }
        }
    }

    /// Makes room for so many more items, so that they are not moved when they come.
    pub fn reserve(&mut self, more: usize) {
        if let Collection::Many(items) = self {
            items.reserve(more);
        } else if more > 1 {
            let mut items = Vec::with_capacity(self.len() + more);
            items.extend(std::mem::take(self).into_first());
            *self = Collection::Many(items);
        }
    }

    /// The first item.
    fn into_first(self) -> Option<Item<'d>> {
        match self {
            Collection::Empty => None,
            Collection::One(item) => Some(item),
            Collection::Many(items) => items.into_iter().next(),
        }
    }

    pub fn append(&mut self, other: Collection<'d>) {
        match other {
            Collection::Empty => {}
            Collection::One(item) => self.push(item),
            Collection::Many(items) if self.is_empty() => *self = Collection::Many(items),
            Collection::Many(items) => items.into_iter().for_each(|item| self.push(item)),
        }
    }

    pub fn into_vec(self) -> Vec<Item<'d>> {
        match self {
            Collection::Empty => Vec::new(),
            Collection::One(item) => vec![item],
            Collection::Many(items) => items,
        }
    }
}

impl<'d> Deref for Collection<'d> {
    type Target = [Item<'d>];

    #[inline]
    fn deref(&self) -> &[Item<'d>] {
        self.as_slice()
    }
}

impl<'d, T: Into<Item<'d>>> From<T> for Collection<'d> {
    fn from(value: T) -> Collection<'d> {
        Collection::One(value.into())
    }
}

impl<'d> From<&[Item<'d>]> for Collection<'d> {
    fn from(items: &[Item<'d>]) -> Collection<'d> {
        match items {
            [] => Collection::Empty,
            [item] => Collection::One(item.clone()),
            many => Collection::Many(many.to_vec()),
        }
    }
}

impl<'d> FromIterator<Item<'d>> for Collection<'d> {
    fn from_iter<I: IntoIterator<Item = Item<'d>>>(items: I) -> Collection<'d> {
        let mut collection = Collection::Empty;
        for item in items {
            collection.push(item);
        }
        collection
    }
}
