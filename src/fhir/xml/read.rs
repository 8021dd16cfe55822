//! XML into the tree.

use super::super::json::{SyntaxError, SyntaxErrorKind, is_number};
use super::super::node::{Node, Object, Value};
use super::super::types::{ElementId, MemberUse, TypeKind, TypeTable};
use super::tokens::{Tag, Token, Tokens, ill_formed, quoted};
use super::{FHIR, XHTML, XHTML_TYPE, is_attribute, narrative};
use compact_str::{CompactString, format_compact};

/// Reads one resource. `depth_limit` counts objects and lists as the JSON form would nest them.
pub fn parse(bytes: &[u8], depth_limit: usize, table: &TypeTable) -> Result<Node, SyntaxError> {
    let mut reader = Reader { tokens: Tokens::new(bytes)?, table, depth_limit };
    if reader.tokens.is_blank() {
        return Err(SyntaxErrorKind::Empty.at(0));
    }
    let resource = match reader.start_or_end("a resource")? {
        Some((tag, is_empty)) => reader.resource(&tag, is_empty, 0)?,
        None => return Err(SyntaxErrorKind::Empty.at(reader.tokens.position())),
    };
    loop {
        let offset = reader.tokens.position();
        match reader.tokens.next()? {
            Token::Space => {}
            Token::Eof => return Ok(resource),
            _ => return Err(SyntaxErrorKind::TrailingContent.at(offset)),
        }
    }
}

struct Reader<'a, 't> {
    tokens: Tokens<'a>,
    table: &'t TypeTable,
    depth_limit: usize,
}

/// Elements of one name that stand together: one member and its `_name` sibling.
struct Run {
    name: CompactString,
    usage: MemberUse,
    offset: u32,
    values: Vec<Node>,
    /// Per value what `_name` says of it; null when nothing.
    siblings: Vec<Node>,
}

impl<'a> Reader<'a, '_> {
    /// The next start tag, or `None` at the end of the open element or of the document.
    fn start_or_end(&mut self, expected: &'static str) -> Result<Option<(Tag<'a>, bool)>, SyntaxError> {
        loop {
            let offset = self.tokens.position();
            match self.tokens.next()? {
                Token::Start { tag, is_empty } => return Ok(Some((tag, is_empty))),
                Token::End => return Ok(None),
                Token::Space => {}
                Token::Text => return Err(SyntaxErrorKind::Unexpected { expected }.at(offset)),
                Token::Eof => return Err(ill_formed("the document ends inside an element").at(offset)),
            }
        }
    }

    fn deeper(&self, depth: usize, by: usize, offset: usize) -> Result<usize, SyntaxError> {
        let inner = depth + by;
        if inner > self.depth_limit { Err(SyntaxErrorKind::TooDeep { limit: self.depth_limit }.at(offset)) } else { Ok(inner) }
    }

    fn check_fhir(&self, tag: &Tag<'_>) -> Result<(), SyntaxError> {
        if self.tokens.namespace_of(tag) == FHIR {
            Ok(())
        } else {
            Err(SyntaxErrorKind::Namespace { name: quoted(tag.name) }.at(tag.offset))
        }
    }

    fn resource(&mut self, tag: &Tag<'a>, is_empty: bool, depth: usize) -> Result<Node, SyntaxError> {
        self.check_fhir(tag)?;
        let depth = self.deeper(depth, 1, tag.offset)?;
        let Some(definition) = self.table.resource(tag.local()) else {
            return Err(SyntaxErrorKind::UnknownElement { name: quoted(tag.local()) }.at(tag.offset));
        };
        self.refuse_attributes(tag, |_| false)?;
        let mut object = Object::resource(tag.local());
        if !is_empty {
            self.members(&mut object, definition.root, true, depth)?;
        }
        self.tokens.leave(tag);
        Ok(Node { value: Value::Object(object), offset: place(tag) })
    }

    /// Every attribute must be ceremony or one the caller knows.
    fn refuse_attributes(&self, tag: &Tag<'_>, is_known: impl Fn(&str) -> bool) -> Result<(), SyntaxError> {
        match tag.attributes.iter().find(|attribute| !is_known(attribute.name) && !self.tokens.is_ceremony(attribute)) {
            Some(attribute) => Err(SyntaxErrorKind::UnknownAttribute { name: quoted(attribute.name) }.at(attribute.offset)),
            None => Ok(()),
        }
    }

    /// The child elements up to the end tag, as members of `object`.
    fn members(&mut self, object: &mut Object, parent: ElementId, is_resource: bool, depth: usize) -> Result<(), SyntaxError> {
        let mut run: Option<Run> = None;
        while let Some((tag, is_empty)) = self.start_or_end("an element, since text stands only in the narrative")? {
            let usage = self.child(&tag, parent, is_resource)?;
            let mut current = match run.take() {
                Some(open) if open.name == tag.local() => open,
                closed => {
                    if let Some(closed) = closed {
                        self.close(object, closed);
                    }
                    open_run(object, &tag, usage)?
                }
            };
            if !self.table.element(usage.element).repeats() && !current.values.is_empty() {
                return Err(SyntaxErrorKind::Repeated { name: quoted(tag.local()) }.at(tag.offset));
            }
            self.element(&mut current, &tag, is_empty, depth)?;
            self.tokens.leave(&tag);
            run = Some(current);
        }
        if let Some(last) = run {
            self.close(object, last);
        }
        Ok(())
    }

    /// What a child element is.
    fn child(&self, tag: &Tag<'_>, parent: ElementId, is_resource: bool) -> Result<MemberUse, SyntaxError> {
        let unknown = || SyntaxErrorKind::UnknownElement { name: quoted(tag.local()) }.at(tag.offset);
        let usage = self.table.member(parent, tag.local()).ok_or_else(unknown)?;
        if is_attribute(&self.table.element(parent).path, is_resource, tag.local()) {
            return Err(unknown());
        }
        let expected = if self.type_code(usage) == XHTML_TYPE { XHTML } else { FHIR };
        if self.tokens.namespace_of(tag) != expected {
            return Err(SyntaxErrorKind::Namespace { name: quoted(tag.name) }.at(tag.offset));
        }
        Ok(usage)
    }

    fn type_code(&self, usage: MemberUse) -> &str {
        self.table.element(usage.element).types.get(usage.type_index).map_or("", |type_use| &type_use.code)
    }

    /// Turns a run into the member, and where any value has an id or extensions, its `_name` sibling.
    fn close(&self, object: &mut Object, run: Run) {
        let has_siblings = run.siblings.iter().any(|sibling| sibling.value != Value::Null);
        let has_values = !has_siblings || run.values.iter().any(|value| value.value != Value::Null);
        let name = run.name;
        let sibling_name = || format_compact!("_{name}");
        if self.table.element(run.usage.element).repeats() {
            if has_values {
                object.set(&name, Node { value: Value::List(run.values), offset: run.offset });
            }
            if has_siblings {
                object.set(&sibling_name(), Node { value: Value::List(run.siblings), offset: run.offset });
            }
            return;
        }
        if let Some(value) = run.values.into_iter().next().filter(|_| has_values) {
            object.set(&name, value);
        }
        if let Some(sibling) = run.siblings.into_iter().next().filter(|_| has_siblings) {
            object.set(&sibling_name(), sibling);
        }
    }

    /// One element's value (and sibling) added to its run.
    fn element(&mut self, run: &mut Run, tag: &Tag<'a>, is_empty: bool, depth: usize) -> Result<(), SyntaxError> {
        let list = usize::from(self.table.element(run.usage.element).repeats());
        let depth = self.deeper(depth, list, tag.offset)?;
        let type_code = CompactString::from(self.type_code(run.usage));
        if type_code == XHTML_TYPE {
            let text = narrative::read(&mut self.tokens, tag, is_empty)?;
            run.values.push(Node { value: Value::Text(text.into()), offset: place(tag) });
            return Ok(());
        }
        match self.table.type_named(&type_code).map(|definition| definition.kind) {
            Some(TypeKind::Primitive) => self.primitive(run, tag, is_empty, &type_code, depth),
            Some(TypeKind::Resource) => {
                let resource = self.wrapped_resource(tag, is_empty, depth)?;
                run.values.push(resource);
                Ok(())
            }
            _ => {
                let content = self.table.content(run.usage.element, run.usage.type_index);
                let value = self.complex(tag, is_empty, content, depth)?;
                run.values.push(value);
                Ok(())
            }
        }
    }

    fn complex(&mut self, tag: &Tag<'a>, is_empty: bool, content: ElementId, depth: usize) -> Result<Node, SyntaxError> {
        let depth = self.deeper(depth, 1, tag.offset)?;
        let path = self.table.element(content).path.as_str();
        self.refuse_attributes(tag, |name| is_attribute(path, false, name))?;
        let mut object = Object::new();
        for attribute in tag.attributes.iter().filter(|attribute| is_attribute(path, false, attribute.name)) {
            object.set(attribute.name, Node { value: Value::Text(attribute.value.clone()), offset: byte(attribute.offset) });
        }
        if !is_empty {
            self.members(&mut object, content, false, depth)?;
        }
        Ok(Node { value: Value::Object(object), offset: place(tag) })
    }

    /// `contained` and `Bundle.entry.resource`: an element around exactly one resource.
    fn wrapped_resource(&mut self, tag: &Tag<'a>, is_empty: bool, depth: usize) -> Result<Node, SyntaxError> {
        self.refuse_attributes(tag, |_| false)?;
        let missing = SyntaxErrorKind::Unexpected { expected: "one resource" }.at(tag.offset);
        if is_empty {
            return Err(missing);
        }
        let Some((inner, inner_is_empty)) = self.start_or_end("a resource")? else { return Err(missing) };
        let resource = self.resource(&inner, inner_is_empty, depth)?;
        match self.start_or_end("the end of the resource")? {
            None => Ok(resource),
            Some((extra, _)) => Err(SyntaxErrorKind::UnknownElement { name: quoted(extra.local()) }.at(extra.offset)),
        }
    }

    fn primitive(&mut self, run: &mut Run, tag: &Tag<'a>, is_empty: bool, type_code: &str, depth: usize) -> Result<(), SyntaxError> {
        self.refuse_attributes(tag, |name| matches!(name, "id" | "value"))?;
        let attribute = |name: &str| tag.attributes.iter().find(|attribute| attribute.name == name);
        let value = attribute("value").map_or(Value::Null, |attribute| primitive_value(type_code, &attribute.value));
        let mut sibling = Object::new();
        if let Some(id) = attribute("id") {
            sibling.set("id", Node { value: Value::Text(id.value.clone()), offset: byte(id.offset) });
        }
        if !is_empty && let Some(definition) = self.table.type_named(type_code) {
            let depth = self.deeper(depth, 1, tag.offset)?;
            self.members(&mut sibling, definition.root, false, depth)?;
        }
        let sibling = if sibling.is_empty() { Value::Null } else { Value::Object(sibling) };
        run.values.push(Node { value, offset: place(tag) });
        run.siblings.push(Node { value: sibling, offset: place(tag) });
        Ok(())
    }
}

/// A run begins; that its name has no member yet shows that no repetition stands elsewhere.
fn open_run(object: &Object, tag: &Tag<'_>, usage: MemberUse) -> Result<Run, SyntaxError> {
    let name = CompactString::from(tag.local());
    if object.members().iter().any(|member| member.name == name || member.name.strip_prefix('_') == Some(&name)) {
        return Err(SyntaxErrorKind::OutOfOrder { name: quoted(&name) }.at(tag.offset));
    }
    Ok(Run { name, usage, offset: place(tag), values: Vec::new(), siblings: Vec::new() })
}

/// The JSON kind a type's values have. Text that does not have the type's form stays text.
fn primitive_value(type_code: &str, text: &str) -> Value {
    match (type_code, text) {
        ("boolean", "true") => Value::Bool(true),
        ("boolean", "false") => Value::Bool(false),
        ("integer" | "unsignedInt" | "positiveInt" | "decimal", number) if is_number(number) => Value::Number(number.into()),
        _ => Value::Text(text.into()),
    }
}

fn place(tag: &Tag<'_>) -> u32 {
    byte(tag.offset)
}

fn byte(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(super::super::node::NO_OFFSET)
}
