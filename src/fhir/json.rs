//! JSON in and out (RFC 8259, FHIR R4 §2.6.1), nothing lost and nothing guessed.
//!
//! Refused, each with the byte where it stands: duplicate member names (compared after unescaping), nesting beyond the limit,
//! invalid UTF-8, lone surrogates, control characters in strings, anything after the document, and every leniency JSON does not have.
//! A byte order mark is the one thing passed over. Numbers keep their text.

#[cfg(test)]
mod tests;

use super::node::{Member, NO_OFFSET, Node, Object, Value};
use compact_str::CompactString;
use std::collections::HashSet;
use std::fmt;

/// How deep arrays and objects may nest when the configuration says nothing.
pub const DEFAULT_DEPTH: usize = 128;

/// A document of any size may hold this many values, and one more for each [`BYTES_OF_A_VALUE`] of its bytes: FHIR's own documents have half as many, and
/// what holds more would take many times its size in memory.
pub const VALUES_OF_ANY: usize = 131_072;
pub const BYTES_OF_A_VALUE: usize = 8;

/// From this many members on, duplicates are looked for by hash instead of by scan.
const SCAN_MEMBERS: usize = 16;

/// Why a document could not be read, and the byte where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub offset: usize,
    pub kind: SyntaxErrorKind,
}

/// One variant per refusal of the readers; XML and JSON share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    Empty,
    InvalidUtf8,
    Unexpected {
        expected: &'static str,
    },
    TooDeep {
        limit: usize,
    },
    TooLong,
    TooManyValues {
        limit: usize,
    },
    DuplicateMember {
        name: String,
    },
    LoneSurrogate,
    ControlCharacter,
    BadEscape,
    BadNumber,
    TrailingContent,
    Doctype,
    Entity,
    UnknownElement {
        name: String,
    },
    UnknownAttribute {
        name: String,
    },
    /// An element stands apart from its earlier repetitions.
    OutOfOrder {
        name: String,
    },
    /// An element or attribute that may stand only once stands again.
    Repeated {
        name: String,
    },
    /// An element is not in the namespace of FHIR, or a narrative not in that of XHTML.
    Namespace {
        name: String,
    },
    ProcessingInstruction,
    /// The document says or shows that it is not UTF-8.
    Encoding,
    Xml {
        problem: String,
    },
}

impl fmt::Display for SyntaxErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntaxErrorKind::Empty => write!(f, "the body is empty"),
            SyntaxErrorKind::InvalidUtf8 => write!(f, "the body is not valid UTF-8"),
            SyntaxErrorKind::Unexpected { expected } => write!(f, "expected {expected}"),
            SyntaxErrorKind::TooDeep { limit } => write!(f, "nested more than {limit} levels deep"),
            SyntaxErrorKind::TooLong => write!(f, "longer than 4 GiB"),
            SyntaxErrorKind::TooManyValues { limit } => {
                write!(f, "more than {limit} values, which is the limit for a document of this size")
            }
            SyntaxErrorKind::DuplicateMember { name } => write!(f, "the member '{name}' appears twice in one object"),
            SyntaxErrorKind::LoneSurrogate => write!(f, "a \\u escape is half of a surrogate pair"),
            SyntaxErrorKind::ControlCharacter => write!(f, "a control character stands unescaped in a string"),
            SyntaxErrorKind::BadEscape => write!(f, "an escape that JSON does not have"),
            SyntaxErrorKind::BadNumber => write!(f, "not a JSON number"),
            SyntaxErrorKind::TrailingContent => write!(f, "something follows the end of the document"),
            SyntaxErrorKind::Doctype => write!(f, "a document type declaration is not allowed in FHIR XML"),
            SyntaxErrorKind::Entity => write!(f, "only the five predefined entities and character references are allowed"),
            SyntaxErrorKind::UnknownElement { name } => write!(f, "'{name}' is not an element of FHIR at this place"),
            SyntaxErrorKind::UnknownAttribute { name } => write!(f, "'{name}' is not an attribute of FHIR at this place"),
            SyntaxErrorKind::OutOfOrder { name } => write!(f, "the repetitions of the element '{name}' must stand together"),
            SyntaxErrorKind::Repeated { name } => write!(f, "'{name}' may stand only once here"),
            SyntaxErrorKind::Namespace { name } => write!(f, "'{name}' is not in the namespace it must have"),
            SyntaxErrorKind::ProcessingInstruction => write!(f, "processing instructions are not allowed in FHIR XML"),
            SyntaxErrorKind::Encoding => write!(f, "the body must be encoded in UTF-8"),
            SyntaxErrorKind::Xml { problem } => write!(f, "{problem}"),
        }
    }
}

impl SyntaxErrorKind {
    pub(super) fn at(self, offset: usize) -> SyntaxError {
        SyntaxError { offset, kind: self }
    }
}

/// How many slips of a document are passed over; the next one ends the reading.
pub const SLIPS_MAX: usize = 100;

/// Where a slip is that no object is around.
pub const OUTSIDE: usize = usize::MAX;

/// Something that is not JSON, and that a reader can pass over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slip {
    pub kind: SlipKind,
    /// The byte where it is.
    pub at: usize,
    /// The byte where the innermost object around it begins, or [`OUTSIDE`].
    pub within: usize,
}

/// What a slip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlipKind {
    Comment,
    CommaMissing,
    CommaExtra,
    NameUnquoted,
    Duplicate,
}

/// Line and column (both from 1, the column in characters) of a byte offset.
pub fn line_and_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset.min(bytes.len())).unwrap_or_default();
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
    (line, column)
}

/// Reads one JSON document.
pub fn parse(bytes: &[u8], depth_limit: usize) -> Result<Node, SyntaxError> {
    read(bytes, depth_limit, None).map(|(node, _)| node)
}

/// Reads one JSON document, going on after what can be passed over: comments, commas that are missing or too many, names without quotes, and members
/// that are there twice, of which the first counts. What was passed over is said.
pub fn parse_leniently(bytes: &[u8], depth_limit: usize) -> Result<(Node, Vec<Slip>), SyntaxError> {
    read(bytes, depth_limit, Some(Vec::new()))
}

fn read(bytes: &[u8], depth_limit: usize, slips: Option<Vec<Slip>>) -> Result<(Node, Vec<Slip>), SyntaxError> {
    if bytes.len() >= NO_OFFSET as usize {
        return Err(SyntaxErrorKind::TooLong.at(0));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(SyntaxErrorKind::InvalidUtf8.at(error.valid_up_to())),
    };
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let limit = VALUES_OF_ANY + bytes.len() / BYTES_OF_A_VALUE;
    let (members, items) = (Vec::new(), Vec::new());
    let mut reader =
        Reader { text, bytes, at: start, depth: 0, depth_limit, values: 0, values_limit: limit, members, items, within: OUTSIDE, slips };
    reader.skip_space();
    if reader.at == bytes.len() {
        return Err(SyntaxErrorKind::Empty.at(reader.at));
    }
    let node = reader.value()?;
    reader.skip_space();
    match reader.peek() {
        None => Ok((node, reader.slips.unwrap_or_default())),
        Some(_) => Err(SyntaxErrorKind::TrailingContent.at(reader.at)),
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    depth_limit: usize,
    values: usize,
    values_limit: usize,
    /// The members of the objects and the items of the lists that are still open, the innermost ones last: each object and list is then made as large
    /// as it is.
    members: Vec<Member>,
    items: Vec<Node>,
    /// Where the innermost object begins.
    within: usize,
    /// What was passed over; none where nothing is.
    slips: Option<Vec<Slip>>,
}

impl Reader<'_> {
    /// Passes over something, where that is allowed and has not been done too often.
    fn slip(&mut self, kind: SlipKind) -> bool {
        let (at, within) = (self.at, self.within);
        let Some(slips) = self.slips.as_mut().filter(|slips| slips.len() < SLIPS_MAX) else { return false };
        slips.push(Slip { kind, at, within });
        true
    }

    /// The length of the comment that begins here, where comments are passed over.
    fn comment(&self) -> Option<usize> {
        let rest = self.slips.as_ref().and(self.text.get(self.at..))?;
        if rest.starts_with("//") {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        rest.starts_with("/*").then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        loop {
            while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
                self.at += 1;
            }
            match self.comment() {
                Some(length) if self.slip(SlipKind::Comment) => self.at += length,
                _ => return,
            }
        }
    }

    fn unexpected<T>(&self, expected: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxErrorKind::Unexpected { expected }.at(self.at))
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        let offset = self.at;
        self.values += 1;
        if self.values > self.values_limit {
            return Err(SyntaxErrorKind::TooManyValues { limit: self.values_limit }.at(offset));
        }
        let value = match self.peek() {
            Some(b'"') => Value::Text(self.string()?),
            Some(b'{') => Value::Object(self.nested(Reader::object)?),
            Some(b'[') => Value::List(self.nested(Reader::list)?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.literal("true", Value::Bool(true))?,
            Some(b'f') => self.literal("false", Value::Bool(false))?,
            Some(b'n') => self.literal("null", Value::Null)?,
            _ => return self.unexpected("a value"),
        };
        #[expect(clippy::cast_possible_truncation, reason = "parse refuses documents of 4 GiB and more")]
        Ok(Node { value, offset: offset as u32 })
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Result<Value, SyntaxError> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            return Ok(value);
        }
        self.unexpected("true, false or null")
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth == self.depth_limit {
            return Err(SyntaxErrorKind::TooDeep { limit: self.depth_limit }.at(self.at));
        }
        self.depth += 1;
        self.at += 1;
        let inner = read(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    fn list(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let start = self.items.len();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Vec::new());
        }
        loop {
            self.skip_space();
            let item = self.value()?;
            self.items.push(item);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if self.ends_after_comma(b']') {
                        break;
                    }
                }
                Some(b']') => break,
                Some(b'"' | b'{' | b'[') if self.slip(SlipKind::CommaMissing) => {}
                _ => return self.unexpected("',' or ']'"),
            }
        }
        self.at += 1;
        Ok(self.items.split_off(start))
    }

    /// Whether nothing follows a comma, where such a comma is passed over.
    fn ends_after_comma(&mut self, end: u8) -> bool {
        self.skip_space();
        self.peek() == Some(end) && self.slip(SlipKind::CommaExtra)
    }

    /// A member's name; without quotes where that is passed over.
    fn member_name(&mut self) -> Result<CompactString, SyntaxError> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if length == 0 || !self.slip(SlipKind::NameUnquoted) {
            return self.unexpected("a member name in double quotes");
        }
        let start = self.at;
        self.at += length;
        Ok(self.slice(start).into())
    }

    fn object(&mut self) -> Result<Object, SyntaxError> {
        let (around, start) = (std::mem::replace(&mut self.within, self.at - 1), self.members.len());
        self.members(start)?;
        self.within = around;
        Ok(Object::from_members(self.members.split_off(start)))
    }

    /// Reads the members of an object; they stand in `self.members` from `start` on.
    fn members(&mut self, start: usize) -> Result<(), SyntaxError> {
        let mut seen: HashSet<CompactString> = HashSet::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            let name_at = self.at;
            let name = self.member_name()?;
            let is_second = is_duplicate(self.members.get(start..).unwrap_or_default(), &mut seen, &name);
            if is_second && !self.slip(SlipKind::Duplicate) {
                return Err(SyntaxErrorKind::DuplicateMember { name: name.into() }.at(name_at));
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.unexpected("':'");
            }
            self.at += 1;
            self.skip_space();
            let node = self.value()?;
            if !is_second {
                self.members.push(Member { name, node });
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if self.ends_after_comma(b'}') {
                        break;
                    }
                }
                Some(b'}') => break,
                Some(b'"') if self.slip(SlipKind::CommaMissing) => {}
                _ => return self.unexpected("',' or '}'"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<CompactString, SyntaxError> {
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let plain = CompactString::from(self.slice(start));
                    self.at += 1;
                    return Ok(plain);
                }
                b'\\' => return self.escaped_string(start),
                0..=0x1F => return Err(SyntaxErrorKind::ControlCharacter.at(self.at)),
                _ => self.at += 1,
            }
        }
        self.unexpected("the end of a string")
    }

    /// The rest of a string from its first backslash on.
    fn escaped_string(&mut self, start: usize) -> Result<CompactString, SyntaxError> {
        let mut text = CompactString::from(self.slice(start));
        let mut run = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    text.push_str(self.slice(run));
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => {
                    text.push_str(self.slice(run));
                    text.push(self.escape()?);
                    run = self.at;
                }
                0..=0x1F => return Err(SyntaxErrorKind::ControlCharacter.at(self.at)),
                _ => self.at += 1,
            }
        }
        self.unexpected("the end of a string")
    }

    fn slice(&self, start: usize) -> &str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let at = self.at;
        self.at += 2;
        match self.bytes.get(at + 1) {
            Some(b'"') => Ok('"'),
            Some(b'\\') => Ok('\\'),
            Some(b'/') => Ok('/'),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{C}'),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b't') => Ok('\t'),
            Some(b'u') => self.unicode_escape(at),
            _ => Err(SyntaxErrorKind::BadEscape.at(at)),
        }
    }

    fn unicode_escape(&mut self, at: usize) -> Result<char, SyntaxError> {
        let unit = self.hex_unit(at)?;
        let scalar = match unit {
            0xD800..=0xDBFF if self.bytes.get(self.at..self.at + 2) == Some(b"\\u") => {
                self.at += 2;
                let low = self.hex_unit(at)?;
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(SyntaxErrorKind::LoneSurrogate.at(at));
                }
                0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            }
            _ => unit,
        };
        char::from_u32(scalar).ok_or(SyntaxErrorKind::LoneSurrogate.at(at))
    }

    fn hex_unit(&mut self, escape_at: usize) -> Result<u32, SyntaxError> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(SyntaxErrorKind::BadEscape.at(escape_at));
        }
        self.at += 4;
        Ok(digits.iter().fold(0, |unit, &digit| unit * 16 + char::from(digit).to_digit(16).unwrap_or(0)))
    }

    fn number(&mut self) -> Result<CompactString, SyntaxError> {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = self.slice(start);
        if is_number(text) { Ok(text.into()) } else { Err(SyntaxErrorKind::BadNumber.at(start)) }
    }
}

/// Whether the text is a number of RFC 8259 §6.
pub fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

fn is_duplicate(members: &[Member], seen: &mut HashSet<CompactString>, name: &CompactString) -> bool {
    if members.len() < SCAN_MEMBERS {
        return members.iter().any(|member| member.name == *name);
    }
    if seen.is_empty() {
        seen.extend(members.iter().map(|member| member.name.clone()));
    }
    !seen.insert(name.clone())
}

/// Writes without insignificant white space, members in their order.
pub fn write(node: &Node) -> String {
    let mut out = String::with_capacity(1024);
    Writer { out: &mut out, indent: None, sorted: false }.node(node);
    out
}

/// Writes with two-space indentation, for people.
pub fn write_pretty(node: &Node) -> String {
    let mut out = String::with_capacity(2048);
    Writer { out: &mut out, indent: Some(0), sorted: false }.node(node);
    out.push('\n');
    out
}

/// FHIR R4 canonical JSON (`http://hl7.org/fhir/canonicalization/json`): no insignificant white space, members sorted by name, numbers as written.
pub fn write_canonical(node: &Node) -> String {
    let mut out = String::with_capacity(1024);
    canonical_onto(&mut out, node);
    out
}

/// The same, after what is there already.
pub fn canonical_onto(out: &mut String, node: &Node) {
    Writer { out, indent: None, sorted: true }.node(node);
}

struct Writer<'a> {
    out: &'a mut String,
    indent: Option<usize>,
    sorted: bool,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => self.out.push_str(number),
            Value::Text(text) => write_string(self.out, text),
            Value::List(items) => self.sequence('[', ']', items.iter(), Writer::node),
            Value::Object(object) if self.sorted => {
                let mut members: Vec<&Member> = object.members().iter().collect();
                members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                self.sequence('{', '}', members.into_iter(), Writer::member);
            }
            Value::Object(object) => self.sequence('{', '}', object.members().iter(), Writer::member),
        }
    }

    fn member(&mut self, member: &Member) {
        write_string(self.out, &member.name);
        self.out.push(':');
        if self.indent.is_some() {
            self.out.push(' ');
        }
        self.node(&member.node);
    }

    fn sequence<'n, T: 'n>(&mut self, open: char, close: char, items: impl ExactSizeIterator<Item = &'n T>, write: fn(&mut Self, &T)) {
        self.out.push(open);
        let empty = items.len() == 0;
        self.indent = self.indent.map(|depth| depth + 1);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.new_line();
            write(self, item);
        }
        self.indent = self.indent.map(|depth| depth - 1);
        if !empty {
            self.new_line();
        }
        self.out.push(close);
    }

    fn new_line(&mut self) {
        if let Some(depth) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut run = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x8 => "\\b",
            0xC => "\\f",
            0..=0x1F => "",
            _ => continue,
        };
        out.push_str(text.get(run..index).unwrap_or_default());
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        run = index + 1;
    }
    out.push_str(text.get(run..).unwrap_or_default());
    out.push('"');
}
