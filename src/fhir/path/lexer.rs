//! Text to tokens.

use super::error::PathError;
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::{Date, DateTime, Time};
use compact_str::CompactString;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, and whether it stood in backticks (then it is never a keyword).
    Name {
        text: CompactString,
        quoted: bool,
    },
    Text(CompactString),
    Integer(i64),
    Decimal(Decimal),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    /// `$this`, `$index`, `$total`.
    Dollar(CompactString),
    /// `%name`.
    Percent(CompactString),
    /// Punctuation and operators.
    Symbol(&'static str),
    End,
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 24] =
    ["<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "=", "~", "<", ">", ";", ":"];

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether a text may stand in double quotes too.
    has_double_quotes: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str, has_double_quotes: bool) -> Lexer<'a> {
        Lexer { text, at: 0, has_double_quotes }
    }

    /// The next token and the byte where it begins.
    pub fn next(&mut self) -> Result<(Token, usize), PathError> {
        self.skip_blank()?;
        let start = self.at;
        let token = match self.peek() {
            None => Token::End,
            Some('0'..='9') => self.number()?,
            Some('\'') => Token::Text(self.quoted('\'')?),
            Some('"') if self.has_double_quotes => Token::Text(self.quoted('"')?),
            Some('`') => Token::Name { text: self.quoted('`')?, quoted: true },
            Some('@') => self.moment()?,
            Some('$') => {
                self.at += 1;
                Token::Dollar(self.word().into())
            }
            Some('%') => {
                self.at += 1;
                Token::Percent(self.variable()?)
            }
            Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => Token::Name { text: self.word().into(), quoted: false },
            Some(_) => self.symbol()?,
        };
        Ok((token, start))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, PathError> {
        Err(PathError::Syntax { offset: self.at, expected })
    }

    fn skip_blank(&mut self) -> Result<(), PathError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => self.at += end + 4,
                    None => return self.fail("the end of a comment"),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !accept(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn word(&mut self) -> &'a str {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn variable(&mut self) -> Result<CompactString, PathError> {
        match self.peek() {
            Some(quote @ ('`' | '\'' | '"')) => self.quoted(quote),
            // `%vs-name` and `%ext-name` are written without quotes in many places.
            _ if self.rest().starts_with("vs-") || self.rest().starts_with("ext-") => {
                Ok(self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-').into())
            }
            _ => match self.word() {
                "" => self.fail("the name of a variable"),
                name => Ok(name.into()),
            },
        }
    }

    fn number(&mut self) -> Result<Token, PathError> {
        let start = self.at;
        self.take_while(|byte| byte.is_ascii_digit());
        let mut fraction = self.rest().bytes();
        let is_decimal = fraction.next() == Some(b'.') && fraction.next().is_some_and(|byte| byte.is_ascii_digit());
        if is_decimal {
            self.at += 1;
            self.take_while(|byte| byte.is_ascii_digit());
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if !is_decimal && let Ok(whole) = text.parse() {
            return Ok(Token::Integer(whole));
        }
        match Decimal::parse(text) {
            Some(value) => Ok(Token::Decimal(value)),
            None => self.fail("a number with fewer digits"),
        }
    }

    /// A string or delimited name: from the quote at the current place to its partner, escapes resolved.
    fn quoted(&mut self, quote: char) -> Result<CompactString, PathError> {
        let mut text = CompactString::default();
        let mut letters = self.rest().char_indices();
        letters.next();
        while let Some((index, letter)) = letters.next() {
            if letter == quote {
                self.at += index + 1;
                return Ok(text);
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let escaped = match letters.next() {
                Some((_, 'u')) => {
                    let digits = self.rest().get(index + 2..index + 6);
                    letters.nth(3);
                    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32)
                }
                Some((_, letter)) => unescaped(letter),
                None => None,
            };
            match escaped {
                Some(letter) => text.push(letter),
                None => {
                    self.at += index;
                    return self.fail("an escape that FHIRPath has");
                }
            }
        }
        self.fail("the end of a quoted text")
    }

    /// `@2015-02-04T14:34:28Z`, `@T14:34`.
    fn moment(&mut self) -> Result<Token, PathError> {
        self.at += 1;
        if self.rest().starts_with('T') {
            self.at += 1;
            let text = self.time_of_day();
            return Time::parse_partial(text).map(Token::Time).or_else(|_| self.fail("a time"));
        }
        let start = self.at;
        self.digits_and(b'-');
        let date_end = self.at;
        if !self.rest().starts_with('T') {
            let text = self.text.get(start..date_end).unwrap_or_default();
            return Date::parse(text).map(Token::Date).or_else(|_| self.fail("a date"));
        }
        self.at += 1;
        self.time_of_day();
        self.zone();
        let text = self.text.get(start..self.at).unwrap_or_default();
        DateTime::parse_partial(text).map(Token::DateTime).or_else(|_| self.fail("a date and time"))
    }

    fn time_of_day(&mut self) -> &'a str {
        let start = self.at;
        self.digits_and(b':');
        let mut fraction = self.rest().bytes();
        if fraction.next() == Some(b'.') && fraction.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|byte| byte.is_ascii_digit());
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn zone(&mut self) {
        match self.peek() {
            Some('Z') => self.at += 1,
            Some('+' | '-') if self.rest().as_bytes().get(3) == Some(&b':') => self.at = (self.at + 6).min(self.text.len()),
            _ => {}
        }
    }

    /// Digits, each `separator` only before another digit.
    fn digits_and(&mut self, separator: u8) {
        loop {
            self.take_while(|byte| byte.is_ascii_digit());
            let mut rest = self.rest().bytes();
            if rest.next() != Some(separator) || !rest.next().is_some_and(|byte| byte.is_ascii_digit()) {
                return;
            }
            self.at += 1;
        }
    }

    fn symbol(&mut self) -> Result<Token, PathError> {
        match SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => self.fail("an expression"),
        }
    }
}

fn unescaped(letter: char) -> Option<char> {
    Some(match letter {
        '\'' | '"' | '`' | '\\' | '/' => letter,
        'f' => '\u{C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return None,
    })
}
