//! Well-formed markup with namespaces, over the events of `quick-xml`.
//!
//! The crate splits tags from text; what it leaves open (attribute syntax, references, names, legal characters, namespaces) is settled here.

use super::super::entities;
use super::super::json::{SyntaxError, SyntaxErrorKind};
use compact_str::CompactString;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Attributes one element may have. FHIR needs three, narrative a handful.
const MAX_ATTRIBUTES: usize = 64;

/// Namespace declarations that may be in force at one place.
const MAX_NAMESPACES: usize = 64;

/// Characters of a sender's name that an error repeats.
const MAX_QUOTED_NAME_CHARS: usize = 64;

const ILLEGAL_CHARACTER: &str = "a character that XML does not allow";

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// One piece of markup. Comments are passed over; references inside text count as text.
#[derive(Debug)]
pub(super) enum Token<'a> {
    Start { tag: Tag<'a>, is_empty: bool },
    End,
    Space,
    Text,
    Eof,
}

/// A start tag, its attributes lexed, its namespace declarations in force until [`Tokens::leave`].
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// Byte offset of `<` in the received document.
    pub offset: usize,
    /// The name as written, with its prefix.
    pub name: &'a str,
    pub attributes: Vec<Attribute<'a>>,
    mark: usize,
}

#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub name: &'a str,
    pub offset: usize,
    pub value: CompactString,
}

impl<'a> Tag<'a> {
    /// The name without its prefix.
    pub fn local(&self) -> &'a str {
        split_name(self.name).1
    }

    fn prefix(&self) -> &'a str {
        split_name(self.name).0
    }
}

/// A prefix and the namespace it stands for; the empty prefix is the default namespace.
#[derive(Debug)]
pub(super) struct Binding<'a> {
    pub prefix: &'a str,
    pub namespace: CompactString,
}

pub(super) struct Tokens<'a> {
    reader: Reader<&'a [u8]>,
    /// The document without its byte order mark.
    text: &'a str,
    /// Bytes of the byte order mark.
    base: usize,
    bindings: Vec<Binding<'a>>,
    /// Where processing instructions begin, when they are passed over.
    instructions: Option<Vec<usize>>,
    /// Whether the declaration names another encoding than the one that the document is read in, when that is passed over.
    has_other_encoding: bool,
}

impl<'a> Tokens<'a> {
    /// Checks encoding and characters of the whole document, then stands before its first piece.
    pub fn new(bytes: &'a [u8]) -> Result<Tokens<'a>, SyntaxError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(SyntaxErrorKind::TooLong.at(0));
        }
        if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") {
            return Err(SyntaxErrorKind::Encoding.at(0));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| SyntaxErrorKind::InvalidUtf8.at(error.valid_up_to()))?;
        let base = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
        let text = text.get(base..).unwrap_or_default();
        if let Some(at) = first_illegal(text) {
            return Err(ill_formed(ILLEGAL_CHARACTER).at(base + at));
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        Ok(Tokens { reader, text, base, bindings: Vec::new(), instructions: None, has_other_encoding: false })
    }

    /// Passes over processing instructions from here on, and over the name of an encoding.
    pub fn pass_instructions(&mut self) {
        self.instructions = Some(Vec::new());
    }

    /// Where those begin that were passed over.
    pub fn instructions(&self) -> &[usize] {
        self.instructions.as_deref().unwrap_or_default()
    }

    pub fn has_other_encoding(&self) -> bool {
        self.has_other_encoding
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.base + self.inner_position()
    }

    fn inner_position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The received text between two offsets.
    pub fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from.saturating_sub(self.base)..to.saturating_sub(self.base)).unwrap_or_default()
    }

    pub fn bindings(&self) -> &[Binding<'a>] {
        &self.bindings
    }

    /// Whether only white space, comments and the declaration were in the document.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The next piece. After a `Start` the caller calls [`leave`](Tokens::leave) when it has read the element.
    pub fn next(&mut self) -> Result<Token<'a>, SyntaxError> {
        loop {
            let offset = self.position();
            match self.reader.read_event().map_err(|error| explain(&error).at(offset))? {
                Event::Comment(_) => {}
                Event::Decl(declaration) => match check_declaration(&declaration, offset == self.base) {
                    Err(SyntaxErrorKind::Encoding) if self.instructions.is_some() => self.has_other_encoding = true,
                    checked => checked.map_err(|kind| kind.at(offset))?,
                },
                Event::Start(_) => return Ok(Token::Start { tag: self.tag(offset, 1)?, is_empty: false }),
                Event::Empty(_) => return Ok(Token::Start { tag: self.tag(offset, 2)?, is_empty: true }),
                Event::End(_) => return Ok(Token::End),
                Event::Text(_) => return self.text_token(offset),
                Event::CData(_) => return Ok(Token::Text),
                Event::GeneralRef(reference) => {
                    resolve(&reference).map_err(|kind| kind.at(offset))?;
                    return Ok(Token::Text);
                }
                Event::PI(_) => match &mut self.instructions {
                    Some(passed) => passed.push(offset),
                    None => return Err(SyntaxErrorKind::ProcessingInstruction.at(offset)),
                },
                Event::DocType(_) => return Err(SyntaxErrorKind::Doctype.at(offset)),
                Event::Eof => return Ok(Token::Eof),
            }
        }
    }

    fn text_token(&self, offset: usize) -> Result<Token<'a>, SyntaxError> {
        let text = self.slice(offset, self.position());
        if let Some(at) = text.find("]]>") {
            return Err(ill_formed("']]>' may not stand in text").at(offset + at));
        }
        Ok(if text.bytes().all(is_space) { Token::Space } else { Token::Text })
    }

    /// Lexes the tag that ends here; `closing` is the length of `>` or `/>`.
    fn tag(&mut self, offset: usize, closing: usize) -> Result<Tag<'a>, SyntaxError> {
        let content = self.slice(offset + 1, self.position().saturating_sub(closing));
        let name_length = content.bytes().position(is_space).unwrap_or(content.len());
        let (name, rest) = content.split_at(name_length);
        if !is_name(name) {
            return Err(ill_formed("an element's name is not an XML name").at(offset));
        }
        let attributes = lex_attributes(rest, offset + 1 + name_length)?;
        let mark = self.bindings.len();
        self.declare(&attributes)?;
        let tag = Tag { offset, name, attributes, mark };
        if !tag.prefix().is_empty() && self.namespace(tag.prefix()).is_none() {
            return Err(ill_formed("a namespace prefix is not declared").at(offset));
        }
        Ok(tag)
    }

    fn declare(&mut self, attributes: &[Attribute<'a>]) -> Result<(), SyntaxError> {
        for attribute in attributes {
            let prefix = match split_name(attribute.name) {
                ("xmlns", prefix) => prefix,
                ("", "xmlns") => "",
                _ => continue,
            };
            if self.bindings.len() == MAX_NAMESPACES {
                return Err(ill_formed("too many namespace declarations").at(attribute.offset));
            }
            if !prefix.is_empty() && attribute.value.is_empty() || matches!(prefix, "xml" | "xmlns") {
                return Err(ill_formed("a namespace declaration is not allowed").at(attribute.offset));
            }
            self.bindings.push(Binding { prefix, namespace: attribute.value.clone() });
        }
        match attributes.iter().find(|attribute| !self.is_declared(attribute)) {
            Some(attribute) => Err(ill_formed("a namespace prefix is not declared").at(attribute.offset)),
            None => Ok(()),
        }
    }

    fn is_declared(&self, attribute: &Attribute<'_>) -> bool {
        let prefix = split_name(attribute.name).0;
        matches!(prefix, "" | "xmlns" | "xml") || self.namespace(prefix).is_some()
    }

    fn namespace(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(XML_NAMESPACE);
        }
        self.bindings.iter().rev().find(|binding| binding.prefix == prefix).map(|binding| binding.namespace.as_str())
    }

    /// The namespace of an element; empty when none is in force.
    pub fn namespace_of(&self, tag: &Tag<'_>) -> &str {
        self.namespace(tag.prefix()).unwrap_or_default()
    }

    /// Whether an attribute says nothing about the content: a namespace declaration or a schema location.
    pub fn is_ceremony(&self, attribute: &Attribute<'_>) -> bool {
        match split_name(attribute.name) {
            ("xmlns", _) | ("", "xmlns") => true,
            ("", _) => false,
            (prefix, local) => {
                matches!(local, "schemaLocation" | "noNamespaceSchemaLocation") && self.namespace(prefix) == Some(XSI_NAMESPACE)
            }
        }
    }

    /// Whether an attribute declares a namespace.
    pub fn is_declaration(&self, attribute: &Attribute<'_>) -> bool {
        matches!(split_name(attribute.name), ("xmlns", _) | ("", "xmlns"))
    }

    /// Ends what the element's namespace declarations brought into force.
    pub fn leave(&mut self, tag: &Tag<'_>) {
        self.bindings.truncate(tag.mark);
    }
}

pub(super) fn ill_formed(problem: &str) -> SyntaxErrorKind {
    SyntaxErrorKind::Xml { problem: problem.to_owned() }
}

/// A sender's name, short enough to repeat in an error.
pub(super) fn quoted(name: &str) -> String {
    name.chars().take(MAX_QUOTED_NAME_CHARS).collect()
}

fn split_name(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

fn explain(error: &Error) -> SyntaxErrorKind {
    match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_)) => {
            ill_formed("an end tag does not match the open element")
        }
        Error::IllFormed(IllFormedError::DoubleHyphenInComment) => ill_formed("'--' may not stand in a comment"),
        Error::IllFormed(IllFormedError::UnclosedReference) => SyntaxErrorKind::Entity,
        Error::Syntax(problem) => ill_formed(&problem.to_string()),
        _ => ill_formed("the markup is not well-formed XML"),
    }
}

fn check_declaration(declaration: &quick_xml::events::BytesDecl<'_>, is_first: bool) -> Result<(), SyntaxErrorKind> {
    if !is_first {
        return Err(SyntaxErrorKind::ProcessingInstruction);
    }
    if !declaration.version().is_ok_and(|version| version == "1.0") {
        return Err(ill_formed("only XML 1.0 is read"));
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(SyntaxErrorKind::Encoding),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The production `Char` of XML 1.0; surrogates cannot occur in a `char`.
pub(super) fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Where the first character stands that XML does not allow. U+FFFE and U+FFFF are the only ones beyond ASCII; both begin with the byte EF.
fn first_illegal(text: &str) -> Option<usize> {
    let is_suspect = |byte: u8| (byte < 0x20 && !is_space(byte)) || byte == 0xEF;
    if !text.bytes().any(is_suspect) {
        return None;
    }
    text.char_indices().find(|(_, character)| !is_legal(*character)).map(|(at, _)| at)
}

/// The production `QName`, generous beyond ASCII.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{B7}') || (!c.is_ascii() && !c.is_whitespace()))
    };
    match name.split_once(':') {
        Some((prefix, local)) => part(prefix) && part(local),
        None => part(name),
    }
}

/// The attributes of a start tag, from behind its name to its closing mark.
fn lex_attributes(text: &str, offset: usize) -> Result<Vec<Attribute<'_>>, SyntaxError> {
    let mut attributes: Vec<Attribute<'_>> = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let at = offset + text.len() - trimmed.len();
        if trimmed.is_empty() {
            return Ok(attributes);
        }
        if trimmed.len() == rest.len() {
            return Err(ill_formed("white space must stand before an attribute").at(at));
        }
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(ill_formed("too many attributes").at(at));
        }
        let (attribute, after) = lex_attribute(trimmed, at)?;
        if attributes.iter().any(|earlier| earlier.name == attribute.name) {
            return Err(SyntaxErrorKind::Repeated { name: quoted(attribute.name) }.at(at));
        }
        attributes.push(attribute);
        rest = after;
    }
}

fn lex_attribute(text: &str, offset: usize) -> Result<(Attribute<'_>, &str), SyntaxError> {
    let malformed = || ill_formed("an attribute must be a name, '=' and a quoted value").at(offset);
    let (name, rest) = text.split_once('=').ok_or_else(malformed)?;
    let name = name.trim_end_matches([' ', '\t', '\n', '\r']);
    if !is_name(name) {
        return Err(malformed());
    }
    let rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')).ok_or_else(malformed)?;
    let (raw, after) = rest.get(1..).and_then(|inner| inner.split_once(quote)).ok_or_else(malformed)?;
    let value = attribute_value(raw).map_err(|kind| kind.at(offset))?;
    Ok((Attribute { name, offset, value }, after))
}

/// The value an attribute has: references resolved, white space as XML 1.0 §3.3.3 normalises it.
fn attribute_value(raw: &str) -> Result<CompactString, SyntaxErrorKind> {
    if !raw.contains(['&', '<', '\t', '\n', '\r']) {
        return Ok(raw.into());
    }
    let mut value = CompactString::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match character {
            '<' => return Err(ill_formed("'<' may not stand in an attribute value")),
            '&' => {
                let reference = rest.get(1..).and_then(|inner| inner.split_once(';')).ok_or(SyntaxErrorKind::Entity)?.0;
                value.push(resolve(reference)?);
                length += reference.len() + 1;
            }
            '\r' if rest.starts_with("\r\n") => {
                value.push(' ');
                length = 2;
            }
            '\t' | '\n' | '\r' => value.push(' '),
            other => value.push(other),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(value)
}

/// What stands between `&` and `;`, resolved.
fn resolve(reference: &str) -> Result<char, SyntaxErrorKind> {
    if !reference.starts_with('#') && !matches!(reference, "amp" | "lt" | "gt" | "quot" | "apos") {
        return Err(SyntaxErrorKind::Entity);
    }
    entities::character(reference).ok_or_else(|| match reference.strip_prefix('#') {
        Some(code) if code.trim_start_matches('x').bytes().all(|digit| digit.is_ascii_hexdigit()) => ill_formed(ILLEGAL_CHARACTER),
        _ => SyntaxErrorKind::Entity,
    })
}
