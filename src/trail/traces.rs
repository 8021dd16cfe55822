//! By what a question that somebody asked leads to a person, once the person is to be forgotten.
//!
//! What is one person's, or nearly so, counts wherever it stands in a question: identifiers, names, addresses of the net, of three characters
//! and more. What is also part of other words counts only where it stands for itself, between anything but letters and digits: a whole date
//! of birth, a line of an address, a postal code, a word of a name that is written in one. A name of one or two characters counts only where a
//! name was asked for; there the beginning of a name counts too, and with `:contains` any part of one, from three characters on. A telephone
//! number counts by its digits, however it was written; with and without the country's prefix, and whatever extension follows, it is the same. A
//! city, a country or a year is nobody's, and leads to nobody.
//!
//! Words are compared as string search compares them: without case, accents and surplus white space.

use crate::fhir::{Node, Value};
use crate::search::folded;
use std::collections::BTreeSet;

/// Words of a person shorter than this would strike out the questions of everybody.
const MIN_WORD_CHARACTERS: usize = 3;
/// A line of an address shorter than this is a house number.
const MIN_LINE_CHARACTERS: usize = 5;
/// Characters of a whole date.
const DATE_CHARACTERS: usize = 10;
/// Fewer digits than this are no telephone number.
const MIN_PHONE_DIGITS: usize = 7;
/// The parameters that ask for a name.
const NAME_PARAMETERS: [&str; 4] = ["name", "family", "given", "phonetic"];

/// What leads to a person. All of it folded.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Found anywhere.
    words: BTreeSet<String>,
    /// Found where they stand for themselves.
    alone: BTreeSet<String>,
    /// Found as the value of a parameter that asks for a name.
    short_names: BTreeSet<String>,
    /// Names of any length, of which the beginning, or a part, may be such a value.
    names: BTreeSet<String>,
    /// The digits of telephone numbers, without zeros before them.
    phones: BTreeSet<String>,
}

impl Traces {
    /// The id of the patient, to which every version adds.
    pub fn of(id: &str) -> Traces {
        Traces { words: BTreeSet::from([folded(id)]), ..Traces::default() }
    }

    /// What a version of the patient says of the person.
    pub fn add(&mut self, patient: &Node) {
        patient.items("identifier").iter().filter_map(|identifier| identifier.text("value")).for_each(|value| self.word(value));
        patient.items("telecom").iter().filter_map(|telecom| telecom.text("value")).for_each(|value| self.telecom(value));
        for name in patient.items("name") {
            name.text("family").into_iter().chain(texts(name.items("given"))).for_each(|name| self.name(name));
            name.text("text").iter().for_each(|text| self.written_name(text));
        }
        patient.text("birthDate").iter().for_each(|date| self.alone(date, DATE_CHARACTERS));
        for address in patient.items("address") {
            texts(address.items("line")).for_each(|line| self.alone(line, MIN_LINE_CHARACTERS));
            address.text("text").iter().for_each(|text| self.alone(text, MIN_LINE_CHARACTERS));
            address.text("postalCode").iter().for_each(|code| self.alone(code, MIN_WORD_CHARACTERS));
        }
    }

    /// Whether a question, `Type?name=value&…`, leads to the person.
    pub fn lead_from(&self, question: &str) -> bool {
        let question = folded(question);
        self.words.iter().any(|word| question.contains(word.as_str()))
            || self.alone.iter().any(|word| stands_alone(&question, word))
            || values(&question).any(|(name, value)| self.is_name(name, value) || self.is_phone(value))
    }

    fn word(&mut self, text: &str) {
        if text.chars().count() >= MIN_WORD_CHARACTERS {
            self.words.insert(folded(text));
        }
    }

    fn name(&mut self, text: &str) {
        self.names.insert(folded(text));
        if text.chars().count() < MIN_WORD_CHARACTERS {
            self.short_names.insert(folded(text));
        } else {
            self.word(text);
        }
    }

    /// A whole name in one text. Its words may be everybody's, such as `van` or `Dr`.
    fn written_name(&mut self, text: &str) {
        self.names.insert(folded(text));
        for word in text.split(|c: char| c.is_whitespace() || c == ',') {
            self.names.insert(folded(word));
            self.alone(word, MIN_WORD_CHARACTERS);
        }
    }

    fn alone(&mut self, text: &str, least: usize) {
        if text.chars().count() >= least {
            self.alone.insert(folded(text));
        }
    }

    fn telecom(&mut self, text: &str) {
        self.phones.extend(phone_digits(text));
        if !is_written_as_phone(text) {
            self.word(text);
        }
    }

    fn is_name(&self, parameter: &str, value: &str) -> bool {
        // `patient:Patient.given:exact` asks for a given name.
        let last = parameter.rsplit('.').next().unwrap_or_default();
        let (code, modifier) = last.split_once(':').unwrap_or((last, ""));
        let is_part = |name: &String| if modifier == "contains" { name.contains(value) } else { name.starts_with(value) };
        let is_long = value.chars().count() >= MIN_WORD_CHARACTERS;
        NAME_PARAMETERS.contains(&code) && (self.short_names.contains(value) || is_long && self.names.iter().any(is_part))
    }

    fn is_phone(&self, value: &str) -> bool {
        let asked = phone_digits(value);
        asked.is_some_and(|asked| self.phones.iter().any(|phone| phone.ends_with(&asked) || asked.ends_with(phone.as_str())))
    }
}

/// Each value that a question asks for, with its parameter.
fn values(question: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = question.split_once('?').map_or(question, |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.flat_map(|(name, value)| value.split([',', '|']).map(move |value| (name, value)))
}

fn is_written_as_phone(text: &str) -> bool {
    text.trim().trim_start_matches("tel:").chars().all(|c| c.is_ascii_digit() || " +-/().\u{a0}".contains(c))
}

/// The digits of what is written like a telephone number, up to an extension, without zeros before them, unless they are too few for one.
fn phone_digits(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("tel:");
    let end = text.find(|c: char| c.is_alphabetic() || c == ';' || c == '#').unwrap_or(text.len());
    let text = text.get(..end).filter(|_| !text.contains('@'))?;
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (is_written_as_phone(text) && digits.len() >= MIN_PHONE_DIGITS).then(|| digits.to_owned())
}

/// Whether a word stands in a text with no letter or digit before or after it. The prefix of a date (`eq`, `ge`, …) is none of them.
fn stands_alone(text: &str, word: &str) -> bool {
    const PREFIXES: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
        let before =
            PREFIXES.iter().find_map(|prefix| before.strip_suffix(prefix).filter(|rest| rest.ends_with(['=', ',']))).unwrap_or(before);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

fn texts(items: &[Node]) -> impl Iterator<Item = &str> {
    items.iter().filter_map(|item| match &item.value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn what_is_a_persons_leads_to_them_and_what_is_everybodys_does_not() {
        let patient = br#"{"resourceType":"Patient","birthDate":"1961-04-09","identifier":[{"value":"QX-77"},{"value":"12"}],
            "name":[{"family":"M\u00fcller-Quist","given":["Zora","Li"]}],
            "telecom":[{"system":"phone","value":"+44 20 7946-0958"},{"system":"email","value":"zq@mail.example"},{"system":"phone","value":"112"}],
            "address":[{"line":["7 Elm Row","9"],"city":"Springfield","postalCode":"SW1A 4QQ","country":"GB"},{"postalCode":"40210"}]}"#;
        let mut traces = Traces::of("hg-abc");
        traces.add(&json::parse(patient, usize::MAX).unwrap());
        let text = br#"{"resourceType":"Patient","name":[{"text":"Dr. Wolfgang Uxbridge"},{"family":"M\u00fcllerquist"}],
            "telecom":[{"system":"phone","value":"+49 30 5551234 ext. 7"}]}"#;
        traces.add(&json::parse(text, usize::MAX).unwrap());
        let leads = [
            "Patient?name=Uxbridge",
            "Patient?name=wolfgang uxb",
            "Patient?name:contains=uxb",
            "Patient?name:contains=xbridg",
            "Patient?family=Mullerquist,Cc",
            "Patient?family=m\u{fc}llerq",
            "Observation?subject:Patient.family:contains=lerqui",
            "Patient?_content=UXBRIDGE",
            "Patient?phone=+49 30 5551234",
            "Patient?phone=0305551234 ext. 7",
            "Patient?telecom=phone|+49305551234x9",
            "Observation?patient=Patient/hg-abc",
            "Patient?identifier=http://a.example|qx-77",
            "Patient?family=m\u{fc}ller-quist",
            "Patient?name:exact=Zora",
            "Patient?given=Li",
            "Observation?patient.given=li",
            "Patient?given:exact=an,li",
            "Patient?birthdate=1961-04-09",
            "Patient?birthdate=ge1961-04-09&gender=male",
            "Patient?address=7 elm row",
            "Patient?address-postalcode=sw1a 4qq",
            "Patient?address-postalcode=10115,40210",
            "Patient?phone=+442079460958",
            "Patient?phone=02079460958",
            "Patient?telecom=phone|020 7946 0958",
            "Patient?email=zq@mail.example",
        ];
        for question in leads {
            assert!(traces.lead_from(question), "{question}");
        }
        let others = [
            "Patient?birthdate=1961-04",
            "Patient?birthdate=1961",
            "Observation?date=1961-04-091",
            "Patient?address-city=Springfield",
            "Patient?address-country=GB",
            "Patient?identifier=http://a.example|402101",
            "Patient?identifier=12",
            "Patient?language=li",
            "Patient?name=elm",
            "Patient?name=xbridge",
            "Patient?name:contains=ux",
            "Patient?name=Wo",
            "Patient?address:contains=uxb",
            "Patient?name=Uxberry",
            "Patient?phone=+49305551235 ext. 7",
            "Patient?phone=112",
            "Patient?phone=+442079460959",
            "Observation?code=http://loinc.org|718-7",
            "Observation?_count=100&_sort=-date",
        ];
        for question in others {
            assert!(!traces.lead_from(question), "{question}");
        }
    }
}
