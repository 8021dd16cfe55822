//! Structured fields (RFC 8941), as far as signatures need them: dictionaries of items and inner lists.
//!
//! Stricter than the RFC where it lets the last one win: a name that comes twice is refused.

use super::problem::Problem;
use data_encoding::BASE64;
use std::fmt::Write;

/// Members of one dictionary, components of one list, parameters of one item.
const MAX_PARTS: usize = 64;

/// A value without parameters. Decimals are not used by what is read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bare {
    Integer(i64),
    Text(String),
    Token(String),
    Bytes(Vec<u8>),
    Bool(bool),
}

pub(super) type Parameters = Vec<(String, Bare)>;

/// An item of an inner list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub bare: Bare,
    pub parameters: Parameters,
}

/// A member of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    Item { bare: Bare },
    List { items: Vec<Item>, parameters: Parameters },
}

/// Reads a dictionary; `name` says of which field, for the refusal.
pub(super) fn dictionary(text: &str, name: &'static str) -> Result<Vec<(String, Member)>, Problem> {
    let mut reader = Reader { rest: text.trim_matches([' ', '\t']), name };
    let mut members: Vec<(String, Member)> = Vec::new();
    while !reader.rest.is_empty() {
        let key = reader.key()?;
        if members.iter().any(|(known, _)| *known == key) {
            return Err(Problem::Repeated(name));
        }
        if members.len() == MAX_PARTS {
            return Err(Problem::TooMany("members in a header"));
        }
        members.push((key, reader.member()?));
        reader.skip(&[' ', '\t']);
        if reader.rest.is_empty() {
            break;
        }
        reader.expect(',')?;
        reader.skip(&[' ', '\t']);
        if reader.rest.is_empty() {
            return Err(Problem::Unreadable(name));
        }
    }
    Ok(members)
}

struct Reader<'a> {
    rest: &'a str,
    name: &'static str,
}

impl Reader<'_> {
    fn bad<T>(&self) -> Result<T, Problem> {
        Err(Problem::Unreadable(self.name))
    }

    fn skip(&mut self, characters: &[char]) {
        self.rest = self.rest.trim_start_matches(characters);
    }

    fn takes(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, character: char) -> Result<(), Problem> {
        if self.takes(character) { Ok(()) } else { self.bad() }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    fn key(&mut self) -> Result<String, Problem> {
        let key = self.run(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)).to_owned();
        if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') { Ok(key) } else { self.bad() }
    }

    fn member(&mut self) -> Result<Member, Problem> {
        if !self.takes('=') {
            self.parameters()?;
            return Ok(Member::Item { bare: Bare::Bool(true) });
        }
        if self.takes('(') {
            return self.list();
        }
        let bare = self.bare()?;
        self.parameters()?;
        Ok(Member::Item { bare })
    }

    fn list(&mut self) -> Result<Member, Problem> {
        let mut items = Vec::new();
        loop {
            self.skip(&[' ']);
            if self.takes(')') {
                return Ok(Member::List { items, parameters: self.parameters()? });
            }
            if items.len() == MAX_PARTS {
                return Err(Problem::TooMany("components"));
            }
            items.push(Item { bare: self.bare()?, parameters: self.parameters()? });
            if !self.rest.starts_with([' ', ')']) {
                return self.bad();
            }
        }
    }

    fn parameters(&mut self) -> Result<Parameters, Problem> {
        let mut parameters: Parameters = Vec::new();
        while self.takes(';') {
            self.skip(&[' ']);
            let key = self.key()?;
            if parameters.iter().any(|(known, _)| *known == key) {
                return Err(Problem::Repeated("A parameter of a signature"));
            }
            if parameters.len() == MAX_PARTS {
                return Err(Problem::TooMany("parameters"));
            }
            let value = if self.takes('=') { self.bare()? } else { Bare::Bool(true) };
            parameters.push((key, value));
        }
        Ok(parameters)
    }

    fn bare(&mut self) -> Result<Bare, Problem> {
        match self.rest.chars().next() {
            Some('"') => self.text(),
            Some(':') => self.bytes(),
            Some('?') => {
                self.expect('?')?;
                let value = self.takes('1');
                if value || self.takes('0') { Ok(Bare::Bool(value)) } else { self.bad() }
            }
            Some(c) if c == '-' || c.is_ascii_digit() => {
                let digits = self.run(|c| c == '-' || c.is_ascii_digit()).to_owned();
                let is_short = digits.trim_start_matches('-').len() <= 15;
                let whole = digits.parse().ok().filter(|_| is_short && !self.rest.starts_with('.'));
                whole.map(Bare::Integer).map_or_else(|| self.bad(), Ok)
            }
            Some(c) if c == '*' || c.is_ascii_alphabetic() => {
                Ok(Bare::Token(self.run(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c)).to_owned()))
            }
            _ => self.bad(),
        }
    }

    fn text(&mut self) -> Result<Bare, Problem> {
        self.expect('"')?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(Bare::Text(text));
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return self.bad(),
                },
                ' '..='~' => text.push(character),
                _ => return self.bad(),
            }
        }
        self.bad()
    }

    fn bytes(&mut self) -> Result<Bare, Problem> {
        self.expect(':')?;
        let encoded = self.run(|c| c != ':').to_owned();
        self.expect(':')?;
        BASE64.decode(encoded.as_bytes()).map(Bare::Bytes).or_else(|_| self.bad())
    }
}

/// The strict serialisation of an inner list with its parameters: what `@signature-params` is (RFC 9421 section 2.3).
pub(super) fn write_list(items: &[Item], parameters: &Parameters) -> String {
    let mut out = String::from("(");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&write_item(item));
    }
    out.push(')');
    write_parameters(&mut out, parameters);
    out
}

/// One item with its parameters.
pub(super) fn write_item(item: &Item) -> String {
    let mut out = String::new();
    write_bare(&mut out, &item.bare);
    write_parameters(&mut out, &item.parameters);
    out
}

fn write_parameters(out: &mut String, parameters: &Parameters) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Bool(true) {
            out.push('=');
            write_bare(out, value);
        }
    }
}

fn write_bare(out: &mut String, bare: &Bare) {
    let _infallible = match bare {
        Bare::Integer(number) => write!(out, "{number}"),
        Bare::Text(text) => write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Bare::Token(token) => write!(out, "{token}"),
        Bare::Bytes(bytes) => write!(out, ":{}:", BASE64.encode(bytes)),
        Bare::Bool(flag) => write!(out, "?{}", u8::from(*flag)),
    };
}
