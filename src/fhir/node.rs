//! The document tree: JSON's shape, FHIR's order, numbers as written, and where each value stood in the received bytes.

use compact_str::CompactString;

/// The offset of a node that did not come from received bytes (a rule or the gateway made it).
pub const NO_OFFSET: u32 = u32::MAX;

/// One value and the byte at which it began in the received document.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub offset: u32,
}

/// A JSON value. Numbers keep their text: `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(CompactString),
    Text(CompactString),
    List(Vec<Node>),
    Object(Object),
}

/// An object's members in the order they were written. Names are unique: the parser refuses a second one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: CompactString,
    pub node: Node,
}

impl Member {
    /// Whether this is its name. Most names differ in length or first letter, which takes no comparison of texts.
    #[inline]
    pub fn is_named(&self, name: &str) -> bool {
        let (own, name) = (self.name.as_bytes(), name.as_bytes());
        own.len() == name.len() && own.first() == name.first() && own == name
    }
}

/// Equality is of values; where they stood does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node { value, offset: NO_OFFSET }
    }
}

impl From<Object> for Node {
    fn from(object: Object) -> Node {
        Value::Object(object).into()
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Value::Text(text.into()).into()
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Value::Text(text.into()).into()
    }
}

impl From<bool> for Node {
    fn from(flag: bool) -> Node {
        Value::Bool(flag).into()
    }
}

impl From<u64> for Node {
    fn from(number: u64) -> Node {
        Value::Number(compact_str::format_compact!("{number}")).into()
    }
}

impl From<Vec<Node>> for Node {
    fn from(items: Vec<Node>) -> Node {
        Value::List(items).into()
    }
}

impl Node {
    #[inline]
    pub fn as_object(&self) -> Option<&Object> {
        match &self.value {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match &mut self.value {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The number as written.
    pub fn as_number(&self) -> Option<&str> {
        match &self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The member of an object; `None` for everything else.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.as_object()?.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.as_object_mut()?.get_mut(name)
    }

    /// The text of a member: `node.text("id")`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// The items of a member that is a list; empty when it is absent or something else.
    pub fn items(&self, name: &str) -> &[Node] {
        self.get(name).and_then(Node::as_list).unwrap_or_default()
    }

    /// The text at the end of a path of member names: `node.text_at(&["meta", "versionId"])`.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        path.iter().try_fold(self, |node, name| node.get(name))?.as_text()
    }

    /// `resourceType`, when there is one.
    pub fn resource_type(&self) -> Option<&str> {
        self.text("resourceType")
    }

    /// The offset as an option, for findings.
    pub fn place(&self) -> Option<u32> {
        (self.offset != NO_OFFSET).then_some(self.offset)
    }
}

impl Object {
    pub fn new() -> Object {
        Object::default()
    }

    /// An object that already holds the given members, in order. The caller vouches that names are unique.
    pub(crate) fn from_members(members: Vec<Member>) -> Object {
        Object { members }
    }

    /// An empty resource of a type.
    pub fn resource(type_name: &str) -> Object {
        Object::new().with("resourceType", type_name)
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members for change in place. A caller that renames one vouches that names stay unique.
    pub fn members_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }

    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members.iter().find(|member| member.is_named(name)).map(|member| &member.node)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.members.iter_mut().find(|member| member.name == name).map(|member| &mut member.node)
    }

    /// Sets a member: replaced where it stands, else added at the end.
    pub fn set(&mut self, name: &str, node: impl Into<Node>) {
        let node = node.into();
        match self.get_mut(name) {
            Some(old) => *old = node,
            None => self.members.push(Member { name: name.into(), node }),
        }
    }

    /// Sets a member so that a new one stands at `index` (or at the end when there are fewer).
    pub fn set_at(&mut self, index: usize, name: &str, node: impl Into<Node>) {
        let node = node.into();
        match self.get_mut(name) {
            Some(old) => *old = node,
            None => self.members.insert(index.min(self.members.len()), Member { name: name.into(), node }),
        }
    }

    /// Puts a member that is there before all others; where it stood, the others close up.
    pub fn lead_with(&mut self, name: &str) {
        if let Some(members) = self.members.iter().position(|member| member.name == name).and_then(|index| self.members.get_mut(..=index)) {
            members.rotate_right(1);
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<Node> {
        let index = self.members.iter().position(|member| member.name == name)?;
        Some(self.members.remove(index).node)
    }

    /// Keeps the members for which `keep` answers true.
    pub fn retain(&mut self, keep: impl FnMut(&Member) -> bool) {
        self.members.retain(keep);
    }

    /// The object with one more member; for building what the gateway authors.
    #[must_use]
    pub fn with(mut self, name: &str, node: impl Into<Node>) -> Object {
        self.set(name, node);
        self
    }

    /// Like [`with`](Object::with), and unchanged when there is nothing to add.
    #[must_use]
    pub fn with_some(self, name: &str, node: Option<impl Into<Node>>) -> Object {
        match node {
            Some(node) => self.with(name, node),
            None => self,
        }
    }
}
