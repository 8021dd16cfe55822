//! Reads JSON.

use super::super::node::{Member, NO_OFFSET, Node, Object, Value};
use super::{BYTES_OF_A_VALUE, OUTSIDE, SLIPS_MAX, Slip, SlipKind, SyntaxError, SyntaxErrorKind, VALUES_OF_ANY};
use compact_str::CompactString;
use std::collections::HashSet;

/// From this many members on, duplicates are looked for by hash instead of by scan.
const SCAN_MEMBERS: usize = 16;

pub fn read(bytes: &[u8], depth_limit: usize, slips: Option<Vec<Slip>>) -> Result<(Node, Vec<Slip>), SyntaxError> {
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
                0..=0x1F if !self.passes_control(start) => return Err(SyntaxErrorKind::ControlCharacter.at(self.at)),
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
                0..=0x1F if !self.passes_control(start) => return Err(SyntaxErrorKind::ControlCharacter.at(self.at)),
                _ => self.at += 1,
            }
        }
        self.unexpected("the end of a string")
    }

    /// Whether a control character in the string that begins at `start` is passed over. One slip tells of all that the string has.
    fn passes_control(&mut self, start: usize) -> bool {
        let last = self.slips.as_ref().and_then(|slips| slips.last());
        let is_told = last.is_some_and(|last| last.kind == SlipKind::ControlCharacter && last.at >= start);
        is_told || self.slip(SlipKind::ControlCharacter)
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
