//! What a question, `Type?name=value&…`, asks for: each value, with what a value of its parameter can be.

use crate::definitions::{Definitions, SearchKind};
use crate::fhir::types::TypeKind;
use crate::search::{LinkedName, folded};
use std::collections::BTreeMap;

/// The parameters that ask for a name.
const NAMES: [&str; 4] = ["name", "family", "given", "phonetic"];
const IDENTIFIERS: [&str; 2] = ["identifier", "subscriberid"];
const CONTACTS: [&str; 4] = ["phone", "email", "telecom", "contact"];
/// Control parameters that look for words.
const WORDS: [&str; 4] = ["_content", "_text", "_filter", "_query"];
/// The most links that are followed to the parameter at the end of a name.
const MAX_LINKS: usize = 16;

/// What a parameter's values can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Names,
    Identifiers,
    Contacts,
    Addresses,
    BirthDates,
    /// Anything, in words: what is no parameter known here may have been meant for anything.
    Words,
    /// Codes, which are an identifier only where their system is that one's.
    Codes,
    /// Nothing but ids, numbers, times, addresses of the net.
    Nothing,
}

/// One value, folded.
#[derive(Debug)]
pub(super) struct Asked<'q> {
    pub holds: Holds,
    /// Whether any part of a text counts.
    pub is_part: bool,
    pub value: &'q str,
}

/// The parameters that there are, by folded code.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    known: BTreeMap<String, Vec<SearchKind>>,
}

impl Parameters {
    pub fn of(definitions: &Definitions) -> Parameters {
        let mut known: BTreeMap<String, Vec<SearchKind>> = BTreeMap::new();
        let types = definitions.types().types().iter().filter(|each| each.kind == TypeKind::Resource && !each.is_abstract);
        for parameter in types.flat_map(|each| definitions.search_parameters(&each.name)) {
            known.entry(folded(&parameter.code)).or_default().push(parameter.kind);
        }
        Parameters { known }
    }

    /// Each value of a folded question, and each alternative of those that are several.
    pub fn asked<'q>(&self, question: &'q str) -> Vec<Asked<'q>> {
        let query = question.split_once('?').map_or(question, |(_, query)| query);
        let mut asked = Vec::new();
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair))) {
            let (code, modifier) = last(name);
            let (holds, is_part) = (self.holds(code, modifier), modifier == "contains");
            let pieces = value.split(',').filter(|piece| *piece != value);
            asked.extend(std::iter::once(value).chain(pieces).map(|value| Asked { holds, is_part, value: value.trim() }));
        }
        asked
    }

    fn holds(&self, code: &str, modifier: &str) -> Holds {
        let known = self.known.get(code);
        match code {
            _ if modifier == "text" => Holds::Words,
            _ if modifier == "identifier" || IDENTIFIERS.contains(&code) => Holds::Identifiers,
            _ if NAMES.contains(&code) => Holds::Names,
            _ if CONTACTS.contains(&code) => Holds::Contacts,
            "birthdate" => Holds::BirthDates,
            _ if code == "address" || code.starts_with("address-") => Holds::Addresses,
            _ if WORDS.contains(&code) => Holds::Words,
            _ if code.starts_with('_') => Holds::Nothing,
            _ => known.map_or(Holds::Words, |kinds| of_kinds(kinds)),
        }
    }
}

fn of_kinds(kinds: &[SearchKind]) -> Holds {
    let has = |wanted: &[SearchKind]| kinds.iter().any(|kind| wanted.contains(kind));
    if has(&[SearchKind::String]) {
        Holds::Words
    } else if has(&[SearchKind::Token, SearchKind::Composite]) {
        Holds::Codes
    } else {
        Holds::Nothing
    }
}

/// The code and modifier at the end of a name: `patient:Patient.given:exact` asks for a given name, and so does `_has:Patient:link:given`.
fn last(mut name: &str) -> (&str, &str) {
    for _ in 0..MAX_LINKS {
        match LinkedName::of(name) {
            Some(LinkedName::Forward { rest, .. } | LinkedName::Reverse { rest, .. }) => name = rest,
            None => break,
        }
    }
    name.split_once(':').unwrap_or((name, ""))
}
