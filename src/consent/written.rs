//! Addresses of records in what people wrote: as the whole of a text, as links in markdown or a narrative, as steps of a longer URL, or bare.

use super::code::{Identifier, Reference, UUID_SCHEME};
use crate::definitions::Definitions;
use crate::fhir::entities::character;
use crate::fhir::types::TypeKind;
use percent_encoding::percent_decode_str;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// How often a text is decoded: an address in the query of a link is encoded more than once.
const DECODINGS: usize = 3;
/// How far before an address its base URL may begin.
const LONGEST_BASE: usize = 2_000;
/// More letters than any type's name has.
const LONGEST_TYPE: usize = 48;
/// What a URN begins with, before the first colon.
const URN: &str = "urn";
/// How far wide letters are from the plain ones (Unicode, Halfwidth and Fullwidth Forms).
const WIDE: u32 = 0xFEE0;
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

/// The UUIDs in a text, as URIs in small letters.
pub(super) fn uuids_in(text: &str) -> Vec<Reference> {
    let places = text.match_indices(':').filter_map(|(at, _)| at.checked_sub(URN.len()));
    let schemes = places.filter_map(|at| text.get(at..).filter(|rest| is_uuid(rest)));
    let uuids = schemes
        .map(|rest| leading(rest.get(UUID_SCHEME.len()..).unwrap_or_default(), |letter| letter.is_ascii_alphanumeric() || letter == '-'));
    uuids
        .filter(|uuid| !uuid.is_empty())
        .filter_map(|uuid| Reference::new(&format!("{UUID_SCHEME}{}", uuid.to_ascii_lowercase())))
        .collect()
}

fn is_uuid(text: &str) -> bool {
    text.get(..UUID_SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(UUID_SCHEME))
}

fn collect(text: &str, found: &mut Vec<Reference>) {
    let marks = |text: &str, found: &mut Vec<Reference>| {
        for (at, mark) in text.match_indices(['/', '?']) {
            let Some((before, after)) = text.split_at_checked(at) else { continue };
            let after = after.strip_prefix(mark).unwrap_or_default();
            found.extend(if mark == "/" { literal(before, after) } else { searched(before, after) });
        }
    };
    marks(text, found);
    for form in as_followed(text) {
        marks(&form, found);
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

/// A text as it is read and followed, where that differs: with wide letters and word processors' hyphens in their plain form, and without letters that
/// nobody sees. A backslash may be the escape of Markdown; browsers take it for a slash, and in the value of a search it is what it is.
fn as_followed(text: &str) -> Vec<String> {
    let has_backslash = text.contains('\\');
    if text.is_ascii() && !has_backslash {
        return Vec::new();
    }
    let plain: String = text.chars().filter(|letter| !is_unseen(*letter)).map(plain_letter).collect();
    let is_search = plain.contains('?');
    let others = if has_backslash && !is_search { vec![plain.replace('\\', "/"), plain.replace('\\', "")] } else { Vec::new() };
    others.into_iter().chain([plain]).filter(|form| form != text).collect()
}

fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}')
}

fn plain_letter(letter: char) -> char {
    match letter {
        '\u{2044}' | '\u{2215}' => '/',
        '\u{2010}' | '\u{2011}' | '\u{2212}' => '-',
        '\u{3002}' => '.',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(letter) - WIDE).unwrap_or(letter),
        letter => letter,
    }
}

/// The records whose type stands before a slash and whose id behind it. An underscore may end an emphasis, or belong to the id of a lax sender.
fn literal(before: &str, after: &str) -> Vec<Reference> {
    let (before, word) = word_at_end(before);
    if word.is_empty() {
        return Vec::new();
    }
    let after = after.trim_start_matches('/');
    let id = leading(after, is_of_id);
    let longer = Some(leading(after, |letter| is_of_id(letter) || letter == '_')).filter(|longer| *longer != id);
    let ids: Vec<&str> = std::iter::once(id).chain(longer).filter(|_| !id.is_empty()).collect();
    let bases = if ids.is_empty() || !is_type_like(word) { Vec::new() } else { bases_of(before) };
    let named = bases.iter().filter_map(|base| Some((base, type_of(word, !base.is_empty())?)));
    named.flat_map(|(base, type_name)| ids.iter().filter_map(move |id| Reference::new(&format!("{base}{type_name}/{id}")))).collect()
}

/// The word of letters that a text ends with, and what is before it.
fn word_at_end(text: &str) -> (&str, &str) {
    let word = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).len();
    text.split_at_checked(word).unwrap_or((text, ""))
}

/// The type that a text ends with, and what is before it.
fn type_at_end(text: &str) -> Option<(&str, &str)> {
    Some(word_at_end(text)).filter(|(_, name)| type_of(name, false).is_some())
}

fn is_type_like(word: &str) -> bool {
    type_of(word, true).is_some()
}

/// The type that a word is. Some servers do not tell small letters from capitals in their addresses; in other words they are told apart.
fn type_of(word: &str, in_any_letters: bool) -> Option<&'static str> {
    let mut letters = [0; LONGEST_TYPE];
    let small = letters.get_mut(..word.len())?;
    small.copy_from_slice(word.as_bytes());
    small.make_ascii_lowercase();
    TYPES.get(&*small).copied().filter(|name| in_any_letters || *name == word)
}

/// The types of resources, by their names in small letters.
static TYPES: LazyLock<HashMap<Vec<u8>, &'static str>> = LazyLock::new(|| {
    let types = Definitions::embedded().types().types().iter().filter(|definition| definition.kind == TypeKind::Resource);
    types.map(|definition| (definition.name.as_str().to_ascii_lowercase().into_bytes(), definition.name.as_str())).collect()
});

fn is_of_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')
}

fn leading(text: &str, is_meant: impl Fn(char) -> bool) -> &str {
    let end = text.find(|letter| !is_meant(letter)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_end_matches(TRAILING)
}

/// The base URLs that a text may end with, each with a slash at its end; an empty one where it ends with none. What is below another record has the
/// base of that. Where no scheme is written, it may be a server or none.
fn bases_of(before: &str) -> Vec<String> {
    let from = (before.len().saturating_sub(LONGEST_BASE)..=before.len()).find(|at| before.is_char_boundary(*at));
    let near = from.and_then(|from| before.get(from..)).filter(|near| near.ends_with('/')).unwrap_or_default();
    let word = near.rsplit(|letter| letter == ',' || is_between(letter)).next().unwrap_or_default();
    let based = |scheme: &str, rest: &str| format!("{scheme}://{}/", without_holder(without_user(rest).trim_end_matches('/')));
    match word.rsplit_once("://") {
        Some((_, rest)) if rest.contains(['?', '#']) => vec![String::new()],
        Some((scheme, rest)) => vec![based(scheme.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default(), rest)],
        None => bare_server(word).map(|rest| based("https", rest)).into_iter().chain([String::new()]).collect(),
    }
}

/// What begins with the name of a server, in a word that names no scheme.
fn bare_server(word: &str) -> Option<&str> {
    let word = word.rsplit(['?', '#', '=']).next().unwrap_or_default();
    let (rest, is_marked) = word.strip_prefix("//").map_or((word, false), |rest| (rest, true));
    let (server, _) = rest.split_once('/')?;
    let host = server.rsplit('@').next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host).trim_end_matches('.');
    let is_name = host.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(|letter: char| letter.is_ascii_alphabetic()));
    (!host.is_empty() && (is_marked || is_name || server.contains('@'))).then_some(rest)
}

/// What follows the scheme of a URL, without the name of a user.
fn without_user(rest: &str) -> &str {
    let server = rest.find('/').unwrap_or(rest.len());
    rest.get(..server).and_then(|server| server.rfind('@')).and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
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

/// The records that a search asks for by name: of the type it is of, or of those it names.
fn searched(before: &str, after: &str) -> Vec<Reference> {
    let path = before.strip_suffix("/_search").unwrap_or(before).trim_end_matches('/');
    let query = after.split(|letter| matches!(letter, '#' | '?') || is_between(letter)).next().unwrap_or_default();
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let (base, word) = word_at_end(path);
    let types = || pairs.iter().filter(|(name, _)| *name == "_type").flat_map(|(_, types)| types.split(','));
    let of_type = |base: &String, word: &str, is_lax: bool| {
        let stem = type_of(word, is_lax).map(|type_name| format!("{base}{type_name}"));
        stem.into_iter().flat_map(|stem| asked(&pairs, &stem)).collect::<Vec<_>>()
    };
    if is_type_like(word) {
        return bases_of(base).iter().flat_map(|base| of_type(base, word, !base.is_empty())).collect();
    }
    if pairs.iter().all(|(name, _)| *name != "_type") {
        return Vec::new();
    }
    let bases = bases_of(&format!("{path}/"));
    bases.iter().flat_map(|base| types().flat_map(move |word| of_type(base, word, false))).collect()
}

/// The records that the parameters of a search name, of the type that a path ends with.
fn asked(pairs: &[(&str, &str)], path: &str) -> Vec<Reference> {
    pairs.iter().flat_map(|(name, value)| asked_for(path, name, value.trim_end_matches(TRAILING))).collect()
}

/// The records that one parameter of a search names.
fn asked_for(path: &str, name: &str, value: &str) -> Vec<Reference> {
    let type_name = path.rsplit('/').next().unwrap_or(path);
    let value = percent_decode_str(value).decode_utf8_lossy();
    let alternatives = parts(&value, ',').into_iter();
    match name.split(':').next() {
        Some("_id") => alternatives.filter_map(|id| Reference::new(&format!("{path}/{}", leading(id, is_of_id)))).collect(),
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
            r"Condition\H",
            r"Condition\/H",
            "Condition&sol;H",
            "Condition&#47H",
            "Condition/&#10;H",
            "Con\u{AD}dition/\u{200B}H",
            "Condition\u{FF0F}H",
            "?_type=Condition,Nothing&_id=H",
        ] {
            check(text, &["Condition/H"]);
        }
        for text in [
            "https://h.example/fhir/Condition/H",
            "https://h.example/fhir//Condition/H",
            "see=https://h.example/fhir/Condition/H/$x",
            "https://nurse:secret@h.example/fhir/Condition/H",
            "https://h.example/fhir/condition/H",
            r"https:\\h.example\fhir\Condition\H",
            "https://h.example/fhir/Condition?_id=H",
            "https://h.example/fhir?_type=Condition&_id=H",
        ] {
            check(text, &["https://h.example/fhir/Condition/H"]);
        }
        for text in ["h.example/fhir/Condition/H", "see //h.example/fhir/Condition/H.", "nurse@h.example/fhir/Condition/H"] {
            check(text, &["https://h.example/fhir/Condition/H", "Condition/H"]);
        }
        check("h.example:8443/condition/H", &["https://h.example:8443/Condition/H"]);
        check("Condition?_id=zz,H", &["Condition/zz", "Condition/H"]);
        check("Patient/1/Condition/H", &["Patient/1", "Condition/H"]);
        let below = ["https://h.example/fhir/Patient/1", "https://h.example/fhir/Condition/H"];
        check("https://h.example/fhir/Patient/1/Condition/H", &below);
        check("Condition/own_1", &["Condition/own", "Condition/own_1"]);
        check("Condition?identifier=zz,s|v", &["Condition?identifier=zz", "Condition?identifier=s|v"]);
        check("Condition?identifier:of-type=t|MR|v&code=x", &["Condition?identifier=v"]);
        check("Condition?identifier=s%7Ca%5C%7Cb", &["Condition?identifier=s|a\\|b"]);
        for text in [
            "N/A",
            "and/or",
            "MyCondition/H",
            "condition/H",
            "Condition",
            "Condition/",
            "Condition?code=x",
            "Docs/1",
            "100% & more",
            "?",
            "/",
        ] {
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
