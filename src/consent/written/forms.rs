//! The forms in which an address may stand in a text: as it is written, and as whoever reads or follows it takes it.

use super::is_between;
use crate::consent::wording::{plain_letters, without_tags};
use crate::fhir::entities::character;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// How often a text is decoded: an address in the query of a link is encoded more than once.
const DECODINGS: usize = 3;
/// Marks that HTML has names for and XHTML has not.
const HTML_NAMES: [(&str, char); 12] = [
    ("sol", '/'),
    ("bsol", '\\'),
    ("colon", ':'),
    ("quest", '?'),
    ("equals", '='),
    ("num", '#'),
    ("period", '.'),
    ("percnt", '%'),
    ("lowbar", '_'),
    ("commat", '@'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
];

/// A text as it is written, as it is read and followed, and the same of what its percent-encoding and references to characters stand for.
pub(super) fn forms_of(text: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(text)];
    if text.is_ascii() && !text.contains(['%', '&', '\\', '<']) && !text.contains("/.") {
        return forms;
    }
    let mut written = text.to_owned();
    forms.extend(as_followed(&written).into_iter().map(Cow::Owned));
    for _ in 0..DECODINGS {
        let Some(plain) = decoded(&written) else { break };
        forms.push(Cow::Owned(plain.clone()));
        forms.extend(as_followed(&plain).into_iter().map(Cow::Owned));
        written = plain;
    }
    forms
}

/// A text without percent-encoding and references to characters; `None` where it has neither.
fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '&']) {
        return None;
    }
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match referred(piece) {
            // Whoever follows a link leaves out breaks within it.
            Some(('\t' | '\n' | '\r', rest)) => plain.push_str(rest),
            Some((letter, rest)) => plain.extend(std::iter::once(letter).chain(rest.chars())),
            None => plain.extend(std::iter::once('&').chain(piece.chars())),
        }
    }
    let plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
    (plain != text).then_some(plain)
}

/// The character that a text behind an ampersand refers to, and what follows. Browsers take numbers without their semicolon, and Markdown the names of
/// HTML.
fn referred(piece: &str) -> Option<(char, &str)> {
    if let Some((name, rest)) = piece.split_once(';') {
        let marked = HTML_NAMES.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter);
        if let Some(letter) = character(name).or(marked) {
            return Some((letter, rest));
        }
    }
    let number = piece.strip_prefix('#')?;
    let is_hexadecimal = number.starts_with(['x', 'X']);
    let digits = if is_hexadecimal { number.get(1..)? } else { number };
    let is_digit = |letter: char| if is_hexadecimal { letter.is_ascii_hexdigit() } else { letter.is_ascii_digit() };
    let (digits, rest) = digits.split_at(digits.find(|letter| !is_digit(letter)).unwrap_or(digits.len()));
    let code = u32::from_str_radix(digits, if is_hexadecimal { 16 } else { 10 }).ok()?;
    Some((char::from_u32(code)?, rest))
}

/// A text as it is read and followed, where that differs: without marks of style, with wide letters and word processors' hyphens in their plain form and
/// without letters that nobody sees, and without steps that lead back. A backslash may be the escape of Markdown; browsers take it for a slash, and in the
/// value of a search it is what it is.
fn as_followed(text: &str) -> Vec<String> {
    let untagged = text.contains('<').then(|| without_tags(text));
    let mut forms = Vec::new();
    for seen in std::iter::once(text).chain(untagged.as_deref()) {
        let plain: Cow<'_, str> =
            if seen.is_ascii() { seen.into() } else { plain_letters(seen).map(plain_mark).collect::<String>().into() };
        if plain.contains('\\') && !plain.contains('?') {
            forms.extend([plain.replace('\\', "/"), plain.replace('\\', "")]);
        }
        forms.push(plain.into_owned());
    }
    let straight: Vec<String> = forms.iter().filter_map(|form| without_steps(form)).collect();
    forms.extend(straight);
    forms.retain(|form| form != text);
    forms
}

/// What an address is told by that has another look in Unicode than in a URL.
fn plain_mark(letter: char) -> char {
    match letter {
        '\u{2044}' | '\u{2215}' | '\u{29F8}' => '/',
        '\u{2010}' | '\u{2011}' | '\u{2212}' => '-',
        '\u{2236}' | '\u{A789}' => ':',
        '\u{3002}' => '.',
        letter => letter,
    }
}

/// A text in whose addresses no step stays where it is or leads back (RFC 3986 §5.2.4); `None` where none did.
fn without_steps(text: &str) -> Option<String> {
    if !text.contains("/./") && !text.contains("/../") {
        return None;
    }
    let mut straight = String::with_capacity(text.len());
    for word in text.split_inclusive(is_between) {
        let mut steps: Vec<&str> = Vec::new();
        for step in word.split('/') {
            match step {
                "." if !steps.is_empty() => {}
                // Nothing leads out of a server.
                ".." if steps.last().is_some_and(|last| !matches!(*last, "" | "..") && !last.ends_with(':') && !is_server(&steps)) => {
                    _ = steps.pop()
                }
                step => steps.push(step),
            }
        }
        straight.push_str(&steps.join("/"));
    }
    Some(straight)
}

/// Whether the steps of an address are a scheme and a server, and no more.
fn is_server(steps: &[&str]) -> bool {
    matches!(steps, [scheme, "", _] if scheme.ends_with(':'))
}
