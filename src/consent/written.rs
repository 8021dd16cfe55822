//! Addresses of records in what people wrote: as the whole of a text, as links in markdown or a narrative, as steps of a longer URL, or bare.

mod forms;

use super::code::{Identifier, OID_SCHEME, Reference, UUID_SCHEME};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::types::TypeKind;
use crate::search::{LinkedName, MAX_LINK_DEPTH};
use forms::forms_of;
use percent_encoding::percent_decode_str;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// How far before an address its base URL may begin, and of how many steps it may be.
const LONGEST_BASE: usize = 2_000;
const MAX_STEPS: usize = 24;
/// More letters than any type's name has.
const LONGEST_TYPE: usize = 48;
/// What a URN begins with, before the first colon.
const URN: &str = "urn";
/// The letters of a UUID, its hyphens among them (RFC 4122 §3).
const UUID_LENGTH: usize = 36;
/// Where its hyphens are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// The most words that are taken off the end of an id, and the most digits of one that is a page's number.
const MAX_WORDS: usize = 16;
const LONGEST_PAGE: usize = 4;
/// What the gateway's own ids begin with; no record has it for an id.
const GATEWAY_IDS: &str = "hg";
/// So many types a reference may lead to, and still be searched for by an id alone.
const FEW_TARGETS: usize = 16;
/// What ends a sentence or an emphasis behind an address.
const TRAILING: [char; 8] = ['.', ';', ':', '!', '*', '_', '~', ','];

/// The records that a text points at, however it is written: by their addresses and, unless the text is a name itself, by the UUIDs they go by. A search
/// by id or identifier is the address of what it finds. Versions and fragments are left out.
pub(super) fn records_in(text: &str, is_name: bool) -> Vec<Reference> {
    let mut found = Vec::new();
    for form in forms_of(text) {
        collect(&form, &mut found);
        if !is_name {
            found.extend(uuids_in(&form).chain(oids_in(&form)));
        }
    }
    let mut seen = HashSet::new();
    found.retain(|address| seen.insert(address.clone()));
    found
}

/// The UUIDs in one form of a text, as URIs in small letters: those that say that they are some, and those in braces, as registries write them.
fn uuids_in(text: &str) -> impl Iterator<Item = Reference> {
    let places = text.match_indices(':').filter_map(|(at, _)| at.checked_sub(URN.len()));
    let schemes = places.filter_map(|at| text.get(at..).filter(|rest| is_uuid(rest)));
    let written = schemes
        .map(|rest| rest.get(UUID_SCHEME.len()..).unwrap_or_default().trim_start_matches('{'))
        .map(|rest| leading(rest, |letter| letter.is_ascii_alphanumeric() || letter == '-'));
    // Words may follow behind a hyphen.
    let uuids = written.flat_map(|uuid| std::iter::once(uuid).chain(uuid.get(..UUID_LENGTH).filter(|whole| *whole != uuid)));
    uuids
        .chain(in_braces(text))
        .filter(|uuid| !uuid.is_empty())
        .filter_map(|uuid| Reference::new(&format!("{UUID_SCHEME}{}", uuid.to_ascii_lowercase())))
}

/// The OIDs in one form of a text that say that they are some.
fn oids_in(text: &str) -> impl Iterator<Item = Reference> {
    let places = text.match_indices(':').filter_map(|(at, _)| at.checked_sub(URN.len()));
    let schemes = places
        .filter_map(|at| text.get(at..))
        .filter(|rest| rest.get(..OID_SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(OID_SCHEME)));
    let written =
        schemes.filter_map(|rest| Some(leading(rest.get(OID_SCHEME.len()..)?, |letter| letter.is_ascii_digit() || letter == '.')));
    let bare = written.map(|oid| oid.trim_end_matches('.')).filter(|oid| !oid.is_empty());
    bare.filter_map(|oid| Reference::new(&format!("{OID_SCHEME}{oid}")))
}

fn in_braces(text: &str) -> impl Iterator<Item = &str> {
    let braced = text.match_indices('{').filter_map(|(at, brace)| text.get(at + brace.len()..)?.get(..=UUID_LENGTH)?.strip_suffix('}'));
    braced.filter(|within| {
        within.bytes().enumerate().all(|(at, letter)| if HYPHENS.contains(&at) { letter == b'-' } else { letter.is_ascii_hexdigit() })
    })
}

fn is_uuid(text: &str) -> bool {
    text.get(..UUID_SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(UUID_SCHEME))
}

/// The addresses in one form of a text.
fn collect(text: &str, found: &mut Vec<Reference>) {
    for (at, mark) in text.match_indices(['/', '?']) {
        let Some((before, after)) = text.split_at_checked(at) else { continue };
        let after = after.strip_prefix(mark).unwrap_or_default();
        found.extend(if mark == "/" { literal(before, after) } else { searched(before, after) });
    }
}

/// The records whose type stands before a slash and whose id behind it. An underscore may end an emphasis, or belong to the id of a lax sender.
fn literal(before: &str, after: &str) -> Vec<Reference> {
    let (before, word) = word_at_end(before);
    if word.is_empty() {
        return Vec::new();
    }
    let after = after.trim_start_matches(['/', '{']);
    let id = leading(after, is_of_id);
    let longer = Some(leading(after, |letter| is_of_id(letter) || letter == '_')).filter(|longer| *longer != id);
    let ids: Vec<&str> =
        std::iter::once(id).chain(longer).chain(before_a_dash(id)).chain(before_words(id)).filter(|_| !id.is_empty()).collect();
    let bases = if ids.is_empty() || !is_type_like(word) { Vec::new() } else { bases_of(before) };
    let named = bases.iter().filter_map(|base| Some((base, type_of(word, !base.is_empty())?)));
    named.flat_map(|(base, type_name)| ids.iter().filter_map(move |id| Reference::new(&format!("{base}{type_name}/{id}")))).collect()
}

/// An id without what may be a dash, or the beginning of the next sentence, behind it.
fn before_a_dash(id: &str) -> Option<&str> {
    let next = id
        .match_indices('.')
        .find(|(at, _)| id.get(at + 1..).is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase())));
    let end = [id.find("--"), next.map(|(at, _)| at)].into_iter().flatten().min().unwrap_or(id.len());
    id.get(..end).map(|id| id.trim_end_matches(['-', '.'])).filter(|shorter| *shorter != id && !shorter.is_empty())
}

/// An id without the words, page numbers and endings of files that may follow it behind hyphens and dots: with each of them less.
fn before_words(id: &str) -> impl Iterator<Item = &str> {
    let mut end = id.len();
    let pieces = id.rsplit(['-', '.']).map_while(move |piece| {
        end = end.checked_sub(piece.len() + 1)?;
        is_word(piece).then_some(end)
    });
    let shorter = pieces.take(MAX_WORDS).filter_map(|end| id.get(..end)).map(|shorter| shorter.trim_end_matches(['-', '.']));
    shorter.filter(|shorter| !shorter.is_empty() && *shorter != GATEWAY_IDS)
}

fn is_word(piece: &str) -> bool {
    let is_number = piece.len() <= LONGEST_PAGE && piece.bytes().all(|letter| letter.is_ascii_digit());
    !piece.is_empty() && (is_number || piece.bytes().all(|letter| letter.is_ascii_alphabetic()))
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
    // A text of steps and nothing else is gone through once, and not from each of them.
    let near = near.rmatch_indices('/').nth(MAX_STEPS).map_or(near, |(at, _)| near.get(at + 1..).unwrap_or_default());
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
    let (base, type_name) =
        path.rsplit_once('/').map_or(("", path), |(base, type_name)| (path.get(..=base.len()).unwrap_or_default(), type_name));
    pairs.iter().flat_map(|(name, value)| asked_for((base, type_name), name, value.trim_end_matches(TRAILING), MAX_LINK_DEPTH)).collect()
}

/// The records that one parameter of a search on a type names, or one behind a link of it: by id, by identifier, or as what a reference leads to.
fn asked_for((base, type_name): (&str, &str), name: &str, value: &str, depth: usize) -> Vec<Reference> {
    let behind = |types: Vec<&str>, rest: &str| match depth.checked_sub(1) {
        Some(depth) => types.iter().flat_map(|type_name| asked_for((base, type_name), rest, value, depth)).collect(),
        None => Vec::new(),
    };
    match LinkedName::of(name) {
        Some(LinkedName::Reverse { type_name, rest, .. } | LinkedName::Forward { type_name: Some(type_name), rest, .. }) => {
            return behind(vec![type_name], rest);
        }
        Some(LinkedName::Forward { parameter, type_name: None, rest }) => return behind(targets(type_name, parameter), rest),
        None => {}
    }
    let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
    let value = percent_decode_str(value).decode_utf8_lossy();
    let by_id = |type_name: &str, id: &str| Reference::new(&format!("{base}{type_name}/{}", leading(id, is_of_id)));
    let alternatives = parts(&value, ',').into_iter().filter(|one| !one.is_empty());
    match (code, modifier) {
        ("_id", _) => alternatives.filter_map(|id| by_id(type_name, id)).collect(),
        ("identifier", _) => alternatives.map(|token| Reference::by_identifier(type_name, &identifier(token))).collect(),
        (_, Some("identifier")) => alternatives.map(|token| Reference::by_identifier("", &identifier(token))).collect(),
        (code, modifier) => {
            let types =
                modifier.filter(|name| type_of(name, false).is_some()).map_or_else(|| targets(type_name, code), |named| vec![named]);
            let bare = alternatives.filter(|one| !one.contains(['/', ':', '|']));
            bare.flat_map(|id| types.iter().filter_map(move |type_name| by_id(type_name, id))).collect()
        }
    }
}

/// The types that a reference leads to by which a type is searched, where they are few: one that may lead anywhere says nothing by an id alone.
fn targets(type_name: &str, code: &str) -> Vec<&'static str> {
    let parameter = Definitions::embedded().search_parameter(type_name, code).filter(|parameter| parameter.kind == SearchKind::Reference);
    let targets = parameter.map(|parameter| parameter.targets.as_slice()).filter(|targets| targets.len() <= FEW_TARGETS);
    targets.into_iter().flatten().map(|target| target.as_str()).collect()
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
            let found = records_in(text, true);
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
            "Condition/{H}",
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
            "Condition/./H",
            "Condition/%2e/H",
            "Condition/\u{2066}H\u{2069}",
            "Condition/\u{180E}H",
            "Condition\u{FE0F}/H",
            "Condition/\u{1D5A7}",
            "\u{1D402}ondition/H",
            "Condition/<i>H</i>",
            "Con<b>dition</b>/<wbr/>H",
            "Observation?focus:Condition=H",
            "Patient?_has:Condition:patient:_id=H",
            "Observation?focus:Condition._id=H",
            "Encounter?diagnosis:Condition=H",
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
        for text in ["https://h.example/fhir/Condition/zzz/../H", "https://h.example/fhir/./Condition/./H"] {
            assert!(records_in(text, true).iter().any(|found| found.as_str() == "https://h.example/fhir/Condition/H"), "{text}");
        }
        for (text, id) in [
            ("Condition/H--see", "H--see"),
            ("Condition/H-", "H-"),
            ("Condition/H.See there", "H.See"),
            ("Condition/H.json", "H.json"),
            ("Condition/H.csv", "H.csv"),
            ("Condition/H-See", "H-See"),
            ("Condition/H-7", "H-7"),
        ] {
            check(text, &[&format!("Condition/{id}"), "Condition/H"]);
        }
        check("Condition/H-see-below", &["Condition/H-see-below", "Condition/H-see", "Condition/H"]);
        check(
            "Condition/H-page-2.json.gz",
            &["H-page-2.json.gz", "H-page-2.json", "H-page-2", "H-page", "H"]
                .map(|id| format!("Condition/{id}"))
                .each_ref()
                .map(String::as_str),
        );
        check("Condition/H-a1-see", &["Condition/H-a1-see", "Condition/H-a1"]);
        for (text, id) in
            [("Condition/x/../H", "Condition/H"), ("Condition/y/z/../../H", "Condition/H"), ("Observation?encounter=H", "Encounter/H")]
        {
            assert!(records_in(text, true).iter().any(|found| found.as_str() == id), "{text}");
        }
        check("Observation?has-member:identifier=s|v", &["?identifier=s|v"]);
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

    /// However long an id is, and however many words follow it, it is gone through a few times.
    #[test]
    fn what_looks_like_a_very_long_id_is_read_at_once() {
        let started = std::time::Instant::now();
        for piece in ["a-", "a.", "-", ".", "a1-", "--a"] {
            let text = format!("Condition/{}1", piece.repeat(200_000 / piece.len()));
            assert!(records_in(&text, false).len() <= MAX_WORDS + 4, "{piece}");
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[test]
    fn uuids_are_found_however_they_are_written() {
        const UUID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
        let wide = UUID.replace('-', "\u{2011}");
        for text in [
            format!("urn:uuid:{UUID}"),
            format!("see URN:UUID:{}.", UUID.to_ascii_uppercase()),
            format!("urn:uuid&#58;{UUID}"),
            format!("urn%3Auuid%3A{UUID}"),
            format!("urn:uuid:{}", UUID.replacen('-', "%2D", 1)),
            format!("urn:uuid:{wide}"),
            format!("urn:uuid:{}", UUID.replace("883f-", "883f-\u{200B}")),
            format!("urn\u{FF1A}uuid\u{FF1A}{UUID}"),
            format!("<p>urn:uuid:<b>{UUID}</b></p>"),
            format!("urn:uuid:{UUID}-which"),
            format!("urn:uuid:{{{UUID}}}"),
            format!("see {{{}}}", UUID.to_ascii_uppercase()),
        ] {
            let found = records_in(&text, false);
            assert!(found.iter().any(|found| found.as_str() == format!("urn:uuid:{UUID}")), "{text}: {found:?}");
            assert!(records_in(&text, true).is_empty(), "{text}: a name is no pointer");
        }
    }

    #[test]
    fn a_base_is_looked_for_no_farther_than_it_may_be_long() {
        let far = format!("https://h.example/{}Condition/H", "é/".repeat(LONGEST_BASE));
        assert_eq!(records_in(&far, true).iter().map(Reference::as_str).collect::<Vec<_>>(), ["Condition/H"]);
        let steps = format!("https://h.example/{}x", "Condition/".repeat(20_000));
        let found = records_in(&steps, true);
        assert!(found.len() < 100, "addresses of more steps than there are have no base, and are one");
        let near = format!("https://h.example/{}Condition/H", "a/".repeat(MAX_STEPS - 4));
        assert_eq!(records_in(&near, true).iter().map(Reference::as_str).collect::<Vec<_>>(), [near.as_str()]);
        let many = "Condition/1/".repeat(20_000);
        assert_eq!(records_in(&many, true).len(), 1);
    }
}
