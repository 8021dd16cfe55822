//! XML into the tree.

use super::super::json::{SyntaxError, SyntaxErrorKind, is_number};
use super::super::node::{Node, Object, Value};
use super::super::types::{ElementId, MemberUse, TypeDefinition, TypeKind, TypeTable};
use super::lenient::{Mark, Places, XmlSlip, XmlSlipKind};
use super::tokens::{Tag, Token, Tokens, ill_formed, quoted};
use super::{FHIR, XHTML, XHTML_TYPE, is_attribute, narrative};
use compact_str::{CompactString, format_compact};

/// Reads one resource. `depth_limit` counts objects and lists as the JSON form would nest them.
pub fn parse(bytes: &[u8], depth_limit: usize, table: &TypeTable) -> Result<Node, SyntaxError> {
    read(&mut Reader { tokens: Tokens::new(bytes)?, table, depth_limit, places: None })
}

/// Reads a resource although some of its markup is not FHIR's, for those who say what is wrong with it: unknown elements and attributes, text between
/// elements and processing instructions are passed over, and elements taken in any order.
pub fn parse_leniently(bytes: &[u8], depth_limit: usize, table: &TypeTable) -> Result<(Node, Vec<XmlSlip>), SyntaxError> {
    let mut tokens = Tokens::new(bytes)?;
    tokens.pass_instructions();
    let mut reader = Reader { tokens, table, depth_limit, places: Some(Places::default()) };
    let resource = read(&mut reader)?;
    let mut places = reader.places.unwrap_or_default();
    for offset in reader.tokens.instructions() {
        places.add(XmlSlipKind::ProcessingInstruction, *offset);
    }
    if reader.tokens.has_other_encoding() {
        places.add(XmlSlipKind::Encoding, 0);
    }
    Ok((resource, places.slips))
}

fn read(reader: &mut Reader<'_, '_>) -> Result<Node, SyntaxError> {
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
    /// Where the reader is, when slips are passed over.
    places: Option<Places>,
}

/// The elements of one name: one member and its `_name` sibling.
struct Run {
    name: CompactString,
    usage: MemberUse,
    offset: u32,
    values: Vec<Node>,
    /// Per value what `_name` says of it; null when nothing.
    siblings: Vec<Node>,
}

impl<'a, 't> Reader<'a, 't> {
    /// The next start tag, or `None` at the end of the open element or of the document.
    fn start_or_end(&mut self, expected: &'static str) -> Result<Option<(Tag<'a>, bool)>, SyntaxError> {
        loop {
            let offset = self.tokens.position();
            match self.tokens.next()? {
                Token::Start { tag, is_empty } => return Ok(Some((tag, is_empty))),
                Token::End => return Ok(None),
                Token::Space => {}
                Token::Text => match &mut self.places {
                    Some(places) => places.add(XmlSlipKind::Text, offset),
                    None => return Err(SyntaxErrorKind::Unexpected { expected }.at(offset)),
                },
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
        let Some(definition) = self.document(tag, depth) else {
            return Err(SyntaxErrorKind::UnknownElement { name: quoted(tag.local()) }.at(tag.offset));
        };
        let outer = self.places.as_mut().map(|places| places.enter_resource(tag.local()));
        self.refuse_attributes(tag, |_| false)?;
        let mut object = Object::resource(tag.local());
        let before = self.slips();
        if !is_empty {
            self.members(&mut object, definition.root, true, depth)?;
        }
        self.note_empty(tag, object.members().len() == 1, before);
        if let (Some(places), Some(outer)) = (&mut self.places, outer) {
            places.leave_resource(outer);
        }
        self.tokens.leave(tag);
        Ok(Node { value: Value::Object(object), offset: place(tag) })
    }

    /// A resource type; at the root a logical model too.
    fn document(&self, tag: &Tag<'_>, depth: usize) -> Option<&'t TypeDefinition> {
        let table = self.table;
        if depth == 1 { table.document(tag.local()) } else { table.resource(tag.local()) }
    }

    /// Every attribute must be ceremony or one the caller knows.
    fn refuse_attributes(&mut self, tag: &Tag<'_>, is_known: impl Fn(&str) -> bool) -> Result<(), SyntaxError> {
        for attribute in tag.attributes.iter().filter(|attribute| !is_known(attribute.name)) {
            let name = || quoted(attribute.name);
            match &mut self.places {
                Some(places) if !self.tokens.is_declaration(attribute) => {
                    places.add(XmlSlipKind::UnknownAttribute { name: name() }, attribute.offset);
                }
                None if !self.tokens.is_ceremony(attribute) => {
                    return Err(SyntaxErrorKind::UnknownAttribute { name: name() }.at(attribute.offset));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many slips were noted so far.
    fn slips(&self) -> usize {
        self.places.as_ref().map_or(0, |places| places.slips.len())
    }

    /// Notes an element of FHIR's that has neither attributes nor content, not even such as was passed over since there were `before` slips.
    fn note_empty(&mut self, tag: &Tag<'_>, is_empty: bool, before: usize) {
        let is_bare = tag.attributes.iter().all(|attribute| self.tokens.is_declaration(attribute));
        let is_noted = is_empty && is_bare && self.slips() == before && self.tokens.namespace_of(tag) == FHIR;
        if let Some(places) = self.places.as_mut().filter(|_| is_noted) {
            places.add(XmlSlipKind::Empty, tag.offset);
        }
    }

    /// The child elements up to the end tag, as members of `object`.
    fn members(&mut self, object: &mut Object, parent: ElementId, is_resource: bool, depth: usize) -> Result<(), SyntaxError> {
        let mut runs: Vec<Run> = Vec::new();
        let mut before = 0;
        while let Some((tag, is_empty)) = self.start_or_end("an element, since text stands only in the narrative")? {
            let Some(usage) = self.child(&tag, parent, is_resource)? else {
                self.pass_over(tag, is_empty)?;
                continue;
            };
            let index = self.run(&mut runs, &tag, usage)?;
            let Some(run) = runs.get_mut(index) else { continue };
            let is_again = !self.table.element(usage.element).repeats() && !run.values.is_empty();
            if is_again {
                self.refuse_again(&tag)?;
            }
            let mark = self.enter(&tag, usage, run.values.len());
            before = self.in_order(parent, usage, before, &tag);
            if is_again {
                let mut aside = Run { name: run.name.clone(), usage, offset: run.offset, values: Vec::new(), siblings: Vec::new() };
                self.element(&mut aside, &tag, is_empty, depth)?;
            } else {
                self.element(run, &tag, is_empty, depth)?;
            }
            if let (Some(places), Some(mark)) = (&mut self.places, mark) {
                places.leave(mark);
            }
            self.tokens.leave(&tag);
        }
        runs.into_iter().for_each(|run| self.close(object, run));
        Ok(())
    }

    /// The run of an element's name: the last one, or a new one. That a name has been left shows that a repetition stands apart.
    fn run(&self, runs: &mut Vec<Run>, tag: &Tag<'_>, usage: MemberUse) -> Result<usize, SyntaxError> {
        let last = runs.len().checked_sub(1);
        match runs.iter().rposition(|run| run.name == tag.local()) {
            Some(index) if Some(index) == last || self.places.is_some() => Ok(index),
            Some(_) => Err(SyntaxErrorKind::OutOfOrder { name: quoted(tag.local()) }.at(tag.offset)),
            None => {
                runs.push(Run { name: tag.local().into(), usage, offset: place(tag), values: Vec::new(), siblings: Vec::new() });
                Ok(runs.len() - 1)
            }
        }
    }

    fn refuse_again(&mut self, tag: &Tag<'_>) -> Result<(), SyntaxError> {
        let name = quoted(tag.local());
        match &mut self.places {
            Some(places) => places.add(XmlSlipKind::Repeated { name }, tag.offset),
            None => return Err(SyntaxErrorKind::Repeated { name }.at(tag.offset)),
        }
        Ok(())
    }

    /// Notes the step to an element, where places are kept.
    fn enter(&mut self, tag: &Tag<'_>, usage: MemberUse, index: usize) -> Option<Mark> {
        let places = self.places.as_mut()?;
        let element = self.table.element(usage.element);
        let mut step = element.name.to_string();
        if element.repeats() {
            step += &format!("[{index}]");
        }
        if element.is_choice {
            step += &format!(".ofType({})", element.types.get(usage.type_index).map_or("", |one| &one.code));
        }
        Some(places.enter(tag.local(), &step))
    }

    /// Whether an element stands behind those that come before it in its definition; where it stands, for the next one.
    fn in_order(&mut self, parent: ElementId, usage: MemberUse, before: usize, tag: &Tag<'_>) -> usize {
        let Some(places) = &mut self.places else { return before };
        let position = self.table.element(parent).children.iter().position(|id| *id == usage.element).unwrap_or(before);
        if position < before {
            places.add(XmlSlipKind::OutOfOrder { name: quoted(tag.local()) }, tag.offset);
        }
        position
    }

    /// Reads to the end of an element that FHIR does not have.
    fn pass_over(&mut self, tag: Tag<'a>, is_empty: bool) -> Result<(), SyntaxError> {
        if is_empty {
            self.tokens.leave(&tag);
            return Ok(());
        }
        let mut open = vec![tag];
        while let Some(innermost) = open.last() {
            let offset = self.tokens.position();
            match self.tokens.next()? {
                Token::Start { tag, is_empty: true } => self.tokens.leave(&tag),
                Token::Start { tag, is_empty: false } => open.push(tag),
                Token::End => {
                    self.tokens.leave(innermost);
                    open.pop();
                }
                Token::Space | Token::Text => {}
                Token::Eof => return Err(ill_formed("the document ends inside an element").at(offset)),
            }
        }
        Ok(())
    }

    /// What a child element is; none for one that is passed over. Where slips are noted, a known name of another namespace is read as what it is called.
    fn child(&mut self, tag: &Tag<'_>, parent: ElementId, is_resource: bool) -> Result<Option<MemberUse>, SyntaxError> {
        let usage = self.table.member(parent, tag.local());
        let is_element = |_: &MemberUse| !is_attribute(&self.table.element(parent).path, is_resource, tag.local());
        let is_narrative = usage.is_some_and(|usage| self.type_code(usage) == XHTML_TYPE);
        let problem = match usage.filter(is_element) {
            Some(usage) if self.tokens.namespace_of(tag) == if is_narrative { XHTML } else { FHIR } => return Ok(Some(usage)),
            Some(_) => SyntaxErrorKind::Namespace { name: quoted(tag.name) },
            None => SyntaxErrorKind::UnknownElement { name: quoted(tag.local()) },
        };
        let Some(places) = &mut self.places else { return Err(problem.at(tag.offset)) };
        let Some(usage) = usage.filter(is_element) else {
            places.add(XmlSlipKind::UnknownElement { name: quoted(tag.name) }, tag.offset);
            return Ok(None);
        };
        // Of which namespace a narrative is, is judged with the narrative.
        if !is_narrative {
            places.add(XmlSlipKind::Namespace { name: quoted(tag.local()) }, tag.offset);
        }
        Ok(Some(usage))
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
        let before = self.slips();
        for attribute in tag.attributes.iter().filter(|attribute| is_attribute(path, false, attribute.name)) {
            object.set(attribute.name, Node { value: Value::Text(attribute.value.clone()), offset: byte(attribute.offset) });
        }
        if !is_empty {
            self.members(&mut object, content, false, depth)?;
        }
        self.note_empty(tag, object.is_empty(), before);
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
        let before = self.slips();
        if let Some(id) = attribute("id") {
            sibling.set("id", Node { value: Value::Text(id.value.clone()), offset: byte(id.offset) });
        }
        if !is_empty && let Some(definition) = self.table.type_named(type_code) {
            let depth = self.deeper(depth, 1, tag.offset)?;
            self.members(&mut sibling, definition.root, false, depth)?;
        }
        // With neither value nor content it is an element that is empty, which JSON has no null for.
        let is_nothing = value == Value::Null && sibling.is_empty();
        self.note_empty(tag, is_nothing, before);
        let sibling = if sibling.is_empty() && !is_nothing { Value::Null } else { Value::Object(sibling) };
        run.values.push(Node { value, offset: place(tag) });
        run.siblings.push(Node { value: sibling, offset: place(tag) });
        Ok(())
    }
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
