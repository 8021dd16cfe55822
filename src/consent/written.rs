//! Addresses of records in what people wrote: as the whole of a text, as links in markdown or a narrative, as steps of a longer URL, or bare.

use super::code::{Identifier, Reference};
use crate::definitions::Definitions;
use crate::fhir::entities::character;
use percent_encoding::percent_decode_str;
use std::collections::HashSet;

/// How often a text is decoded: an address in the query of a link is encoded more than once.
const DECODINGS: usize = 3;
/// How far before an address its base URL may begin.
const LONGEST_BASE: usize = 2_000;
/// What ends a sentence or an emphasis behind an address.
const TRAILING: [char; 8] = ['.', ';', ':', '!', '*', '_', '~', ','];

/// The addresses of records in a text. A search by id or identifier is the address of what it finds. Versions and fragments are left out.
pub(super) fn addresses_in(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(text, &mut found);
    let mut form = decoded(text);
    for _ in 0..DECODINGS {
        let Some(plain) = form else { break };
        collect(&plain, &mut found);
        form = decoded(&plain);
    }
    let mut seen = HashSet::new();
    found.retain(|address| seen.insert(address.clone()));
    found
}

fn collect(text: &str, found: &mut Vec<Reference>) {
    for (at, mark) in text.match_indices(['/', '?']) {
        let Some((before, after)) = text.split_at_checked(at) else { continue };
        let after = after.strip_prefix(mark).unwrap_or_default();
        found.extend(if mark == "/" { literal(before, after) } else { searched(before, after) });
    }
}

/// A text without percent-encoding and references to characters; `None` where it has neither.
fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '&']) {
        return None;
    }
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest))) {
            Some((letter, rest)) => plain.extend(std::iter::once(letter).chain(rest.chars())),
            None => plain.extend(std::iter::once('&').chain(piece.chars())),
        }
    }
    let plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
    (plain != text).then_some(plain)
}

/// The records whose type stands before a slash and whose id behind it. An underscore may end an emphasis, or belong to the id of a lax sender.
fn literal(before: &str, after: &str) -> Vec<Reference> {
    let Some((before, type_name)) = type_at_end(before) else { return Vec::new() };
    let base = base_of(before);
    let after = after.trim_start_matches('/');
    let id = leading(after, is_of_id);
    let longer = Some(leading(after, |letter| is_of_id(letter) || letter == '_')).filter(|longer| *longer != id);
    let ids = std::iter::once(id).chain(longer).filter(|_| !id.is_empty());
    ids.filter_map(|id| Reference::new(&format!("{base}{type_name}/{id}"))).collect()
}

/// The type that a text ends with, and what is before it.
fn type_at_end(text: &str) -> Option<(&str, &str)> {
    let word = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).len();
    text.split_at_checked(word).filter(|(_, name)| Definitions::embedded().types().resource(name).is_some())
}

fn is_of_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')
}

fn leading(text: &str, is_meant: impl Fn(char) -> bool) -> &str {
    let end = text.find(|letter| !is_meant(letter)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_end_matches(TRAILING)
}

/// The base URL that a text ends with, with a slash at its end; empty where there is none. What is below another record has the base of that.
fn base_of(before: &str) -> String {
    let from = (before.len().saturating_sub(LONGEST_BASE)..=before.len()).find(|at| before.is_char_boundary(*at));
    let near = from.and_then(|from| before.get(from..)).filter(|near| near.ends_with('/')).unwrap_or_default();
    let word = near.rsplit(|letter| letter == ',' || is_between(letter)).next().unwrap_or_default();
    let Some((scheme, rest)) = word.rsplit_once("://").filter(|(_, rest)| !rest.contains(['?', '#'])) else { return String::new() };
    let scheme = scheme.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
    format!("{scheme}://{}/", without_holder(rest.trim_end_matches('/')))
}

/// A base without the record at its end in whose compartment others are.
fn without_holder(base: &str) -> &str {
    let holder = base.rsplit_once('/').and_then(|(before, _)| type_at_end(before));
    holder.and_then(|(before, _)| before.strip_suffix('/')).unwrap_or(base).trim_end_matches('/')
}

/// Whether a letter stands between the words of a text, and in no address.
fn is_between(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '`')
}

/// The records that a search of a type asks for by name.
fn searched(before: &str, after: &str) -> Vec<Reference> {
    let path = before.strip_suffix("/_search").unwrap_or(before).trim_end_matches('/');
    let Some((_, type_name)) = type_at_end(path) else { return Vec::new() };
    let query = after.split(|letter| matches!(letter, '#' | '?') || is_between(letter)).next().unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.flat_map(|(name, value)| asked_for(type_name, name, value.trim_end_matches(TRAILING))).collect()
}

/// The records that one parameter of a search names.
fn asked_for(type_name: &str, name: &str, value: &str) -> Vec<Reference> {
    let value = percent_decode_str(value).decode_utf8_lossy();
    let alternatives = parts(&value, ',').into_iter();
    match name.split(':').next() {
        Some("_id") => alternatives.filter_map(|id| Reference::new(&format!("{type_name}/{}", leading(id, is_of_id)))).collect(),
        Some("identifier") => alternatives.map(|token| Reference::by_identifier(type_name, &identifier(token))).collect(),
        _ => Vec::new(),
    }
}

/// The identifier that a search value means; of `type-system|type|value` the value.
fn identifier(token: &str) -> Identifier {
    match parts(token, '|').as_slice() {
        [system, value] => Identifier::new(&unescaped(system), &unescaped(value)),
        parts => Identifier::new("", &unescaped(parts.last().copied().unwrap_or_default())),
    }
}

/// The parts of a search value, still escaped.
fn parts(value: &str, mark: char) -> Vec<&str> {
    let mut is_escaped = false;
    let is_end = |letter: char| {
        let is_plain = !is_escaped;
        is_escaped = is_plain && letter == '\\';
        is_plain && letter == mark
    };
    value.split(is_end).collect()
}

fn unescaped(value: &str) -> String {
    let mut letters = value.chars();
    std::iter::from_fn(|| letters.next().map(|letter| if letter == '\\' { letters.next().unwrap_or(letter) } else { letter })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_however_they_are_written() {
        let check = |text: &str, expected: &[&str]| {
            let found = addresses_in(text);
            assert_eq!(found.iter().map(Reference::as_str).collect::<Vec<_>>(), expected, "{text}");
        };
        for text in [
            "Condition/H",
            "**Condition/H**",
            "_Condition/H_",
            "|Condition/H|",
            "see:Condition/H",
            "Condition/H;then",
            "Condition/H—see",
            "Condition%2FH",
            "Condition%252FH",
            "Condition&#47;H",
            "Condition&#x2F;H.",
            "https://viewer.example/launch?resource=Condition/H",
            "https://viewer.example/#/Condition/H",
            "Observation?focus=Condition/H",
            "Observation?focus=Condition%2FH&x=y",
            "Condition//H",
            "Condition/H/$validate",
            "Condition?_id=H",
            "Condition?_id:exact=H",
            "Condition/?_id=H",
            "Condition/_search?_id=H**",
        ] {
            check(text, &["Condition/H"]);
        }
        for text in
            ["https://h.example/fhir/Condition/H", "https://h.example/fhir//Condition/H", "see=https://h.example/fhir/Condition/H/$x"]
        {
            check(text, &["https://h.example/fhir/Condition/H"]);
        }
        check("Condition?_id=zz,H", &["Condition/zz", "Condition/H"]);
        check("Patient/1/Condition/H", &["Patient/1", "Condition/H"]);
        let below = ["https://h.example/fhir/Patient/1", "https://h.example/fhir/Condition/H"];
        check("https://h.example/fhir/Patient/1/Condition/H", &below);
        check("Condition/own_1", &["Condition/own", "Condition/own_1"]);
        check("Condition?identifier=zz,s|v", &["Condition?identifier=zz", "Condition?identifier=s|v"]);
        check("Condition?identifier:of-type=t|MR|v&code=x", &["Condition?identifier=v"]);
        check("Condition?identifier=s%7Ca%5C%7Cb", &["Condition?identifier=s|a\\|b"]);
        for text in ["N/A", "and/or", "MyCondition/H", "Condition", "Condition/", "Condition?code=x", "Docs/1", "100% & more", "?", "/"] {
            check(text, &[]);
        }
    }

    #[test]
    fn a_base_is_looked_for_no_farther_than_it_may_be_long() {
        let far = format!("https://h.example/{}Condition/H", "é/".repeat(LONGEST_BASE));
        assert_eq!(addresses_in(&far).iter().map(Reference::as_str).collect::<Vec<_>>(), ["Condition/H"]);
        let many = "Condition/1/".repeat(20_000);
        assert_eq!(addresses_in(&many).len(), 1);
    }
}
