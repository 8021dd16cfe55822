//! By what a question that somebody asked leads to a person, once the person is to be forgotten.
//!
//! What is the person's is looked for in the values that can hold it (`asked.rs`), never in types, names of parameters and what only steers a
//! search. A name counts where a name is asked for: as a whole word, by its beginning, and with `:contains` by any part of it, from three
//! characters on; a shorter one as a whole value. An identifier counts as a whole, of its own system where both have one; a code only
//! where its system is the identifier's. A telephone number counts by its digits, however it was written; with and without the
//! country's prefix, and whatever extension follows, it is the same. Whole dates of birth, lines of an address, postal codes count where
//! such are asked for. A city, a country or a year is nobody's, and leads to nobody. Words, of a Task or of a parameter that looks for words
//! or that nobody knows, are looked through for all of it: each as it stands for itself. The gateway's own id of the person counts anywhere.
//!
//! Words are compared as string search compares them: without case, accents and surplus white space.

use super::asked::{Asked, Holds, Parameters};
use crate::definitions::Definitions;
use crate::fhir::{Node, Value};
use crate::normalise::canonical_system;
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
/// What stands inside identifiers, and joins what stands beside it to one.
const JOINERS: [char; 4] = ['-', '_', '.', '/'];

/// What leads to a person. All of it folded.
#[derive(Debug, Default)]
pub(super) struct Traces {
    parameters: Parameters,
    /// The gateway's id of the person.
    id: Option<String>,
    /// Names, and the words of those that are written in one.
    names: BTreeSet<String>,
    /// System, empty where there is none, and value.
    identifiers: BTreeSet<(String, String)>,
    /// Addresses of the net.
    contacts: BTreeSet<String>,
    /// The digits of telephone numbers, without zeros before them.
    phones: BTreeSet<String>,
    /// Lines of addresses and postal codes.
    addresses: BTreeSet<String>,
    births: BTreeSet<String>,
}

impl Traces {
    /// The id of the patient, to which every version adds.
    pub fn of(definitions: &Definitions, id: &str) -> Traces {
        Traces { parameters: Parameters::of(definitions), id: Some(folded(id)), ..Traces::default() }
    }

    /// What a version of the patient says of the person.
    pub fn add(&mut self, patient: &Node) {
        patient.items("identifier").iter().for_each(|identifier| self.identifier(identifier));
        patient.items("telecom").iter().filter_map(|telecom| telecom.text("value")).for_each(|value| self.telecom(value));
        for name in patient.items("name") {
            self.names.extend(name.text("family").into_iter().chain(texts(name.items("given"))).map(folded));
            name.text("text").iter().for_each(|text| self.written_name(text));
        }
        add(&mut self.births, patient.text("birthDate"), DATE_CHARACTERS);
        for address in patient.items("address") {
            add(&mut self.addresses, texts(address.items("line")).chain(address.text("text")), MIN_LINE_CHARACTERS);
            add(&mut self.addresses, address.text("postalCode"), MIN_WORD_CHARACTERS);
        }
    }

    /// Whether a question, `Type?name=value&…`, leads to the person.
    pub fn lead_from(&self, question: &str) -> bool {
        let question = folded(question);
        self.is_id_in(&question) || self.parameters.asked(&question).iter().any(|asked| self.is_asked_for(asked))
    }

    /// Whether words lead to the person.
    pub fn lead_from_words(&self, words: &str) -> bool {
        let words = folded(words);
        self.is_id_in(&words) || self.are_words_of(&words)
    }

    /// Whether a code is an identifier of the person's: its system says so.
    pub fn lead_from_code(&self, system: &str, code: &str) -> bool {
        self.is_identifier(&folded(&format!("{system}|{code}")), true)
    }

    /// Whether a text holds the gateway's id of the person.
    pub fn name_the_id(&self, text: &str) -> bool {
        self.is_id_in(&folded(text))
    }

    fn is_asked_for(&self, asked: &Asked<'_>) -> bool {
        let value = asked.value;
        match asked.holds {
            Holds::Names => self.is_name(value, asked.is_part),
            Holds::Identifiers => self.is_identifier(value, false),
            Holds::Codes => self.is_identifier(value, true),
            Holds::Contacts => self.is_phone(value) || value.split('|').any(|value| is_any_in(&self.contacts, value)),
            Holds::Addresses => is_any_in(&self.addresses, value),
            Holds::BirthDates => is_any_in(&self.births, without_prefix(value)),
            Holds::Words => self.are_words_of(value) || is_any_in(&self.births, without_prefix(value)) || self.is_identifier(value, false),
            Holds::Nothing => false,
        }
    }

    fn are_words_of(&self, text: &str) -> bool {
        let mut names = self.names.iter().filter(|name| is_long(name));
        names.any(|name| stands_alone(text, name))
            || self.identifiers.iter().any(|(system, value)| is_identifier_in(text, system, value))
            || [&self.contacts, &self.addresses, &self.births].into_iter().any(|words| is_any_in(words, text))
            || self.is_phone(text)
    }

    fn is_id_in(&self, text: &str) -> bool {
        self.id.as_ref().is_some_and(|id| text.contains(id.as_str()))
    }

    fn identifier(&mut self, identifier: &Node) {
        let system = identifier.text("system").map(system_of).unwrap_or_default();
        let value = identifier.text("value").map(folded).filter(|value| is_long(value));
        self.identifiers.extend(value.map(|value| (system, value)));
    }

    /// A whole name in one text. Its words may be everybody's, such as `van` or `Dr`.
    fn written_name(&mut self, text: &str) {
        let words = text.split(|c: char| c.is_whitespace() || c == ',').map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
        let words = words.filter(|word| !word.is_empty());
        self.names.extend(std::iter::once(text).chain(words).map(folded));
    }

    fn telecom(&mut self, text: &str) {
        self.phones.extend(phone_digits(text));
        if !is_written_as_phone(text) {
            add(&mut self.contacts, [text], MIN_WORD_CHARACTERS);
        }
    }

    fn is_name(&self, value: &str, is_part: bool) -> bool {
        let begins = |name: &String| if is_part { name.contains(value) } else { name.starts_with(value) };
        let is_one = |name: &String| name == value || is_long(value) && begins(name) || is_long(name) && stands_alone(value, name);
        self.names.iter().any(is_one)
    }

    /// `value`, `system|value`, or with `:of-type` the system of the type, its code and the value.
    fn is_identifier(&self, asked: &str, is_system_needed: bool) -> bool {
        let parts: Vec<&str> = asked.split('|').collect();
        let (system, asked) = match parts.as_slice() {
            [system, value] => (system_of(system), *value),
            [.., value] => (String::new(), *value),
            [] => return false,
        };
        let is_same = |of: &str| if of.is_empty() || system.is_empty() { !is_system_needed } else { of == system };
        self.identifiers.iter().any(|(of, value)| value == asked && is_same(of))
    }

    fn is_phone(&self, value: &str) -> bool {
        let digits = |part: &str| phone_digits(part).is_some_and(|asked| self.is_phone_of(&asked));
        value.split('|').any(digits)
    }

    fn is_phone_of(&self, asked: &str) -> bool {
        self.phones.iter().any(|phone| phone.ends_with(asked) || asked.ends_with(phone.as_str()))
    }
}

fn system_of(text: &str) -> String {
    canonical_system(text).map_or_else(|| folded(text), |system| folded(&system))
}

fn is_long(word: &str) -> bool {
    word.chars().count() >= MIN_WORD_CHARACTERS
}

fn add<'a>(to: &mut BTreeSet<String>, texts: impl IntoIterator<Item = &'a str>, least: usize) {
    to.extend(texts.into_iter().filter(|text| text.chars().count() >= least).map(folded));
}

fn is_any_in(words: &BTreeSet<String>, text: &str) -> bool {
    words.iter().any(|word| stands_alone(text, word))
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

/// What stands before a word wherever it is found in a text, and after it.
fn places<'t>(text: &'t str, word: &str) -> impl Iterator<Item = (&'t str, &'t str)> {
    let length = word.len();
    text.match_indices(word).map(move |(at, _)| (text.get(..at).unwrap_or_default(), text.get(at + length..).unwrap_or_default()))
}

/// Whether a word stands in a text with no letter or digit before or after it.
fn stands_alone(text: &str, word: &str) -> bool {
    places(text, word).any(|(before, after)| !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric))
}

/// Whether an identifier stands in a text, no part of another one and no code of another system.
fn is_identifier_in(text: &str, system: &str, value: &str) -> bool {
    let is_whole = |(before, after): (&str, &str)| {
        let is_begun = match before.strip_suffix('|') {
            Some(before) => system.is_empty() || before.split(char::is_whitespace).next_back() == Some(system),
            None => !before.trim_end_matches(JOINERS).ends_with(char::is_alphanumeric),
        };
        is_begun && !after.trim_start_matches(JOINERS).starts_with(char::is_alphanumeric)
    };
    places(text, value).any(is_whole)
}

/// A date without what says how it compares.
fn without_prefix(value: &str) -> &str {
    const PREFIXES: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    PREFIXES.iter().find_map(|prefix| value.strip_prefix(prefix)).unwrap_or(value)
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

    fn traces(patient: &[u8]) -> Traces {
        let mut traces = Traces::of(Definitions::embedded(), "hg-abc");
        traces.add(&json::parse(patient, usize::MAX).unwrap());
        traces
    }

    #[test]
    fn what_is_a_persons_leads_to_them_and_what_is_everybodys_does_not() {
        let patient = br#"{"resourceType":"Patient","birthDate":"1961-04-09","identifier":[{"value":"QX-77"},{"value":"12"}],
            "name":[{"family":"M\u00fcller-Quist","given":["Zora","Li"]}],
            "telecom":[{"system":"phone","value":"+44 20 7946-0958"},{"system":"email","value":"zq@mail.example"},{"system":"phone","value":"112"}],
            "address":[{"line":["7 Elm Row","9"],"city":"Springfield","postalCode":"SW1A 4QQ","country":"GB"},{"postalCode":"40210"}]}"#;
        let mut traces = traces(patient);
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
    #[test]
    fn short_names_and_numbers_lead_from_no_question_of_others() {
        let traces = traces(
            br#"{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"100"},
                {"system":"urn:oid:2.16.840.1.113883.4.1","value":"999-41-2386"}],"name":[{"family":"Code","given":["Pat","Ted"]}]}"#,
        );
        let leads = [
            "Patient?name=pat",
            "Patient?name:contains=ted",
            "Patient?name=Pat Code",
            "Patient?identifier=urn:mrn|100",
            "Patient?identifier=100",
            "Patient?identifier=urn:other|7,100",
            "Patient?identifier=http://hl7.org/fhir/sid/us-ssn|999-41-2386",
            "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|100",
            "Observation?subject:identifier=urn:mrn|100",
            "Observation?patient.name=pat",
            "Observation?patient.identifier=100",
            "Organization?_has:Patient:organization:identifier=urn:mrn|100",
            "Organization?_has:Patient:organization:name=pat",
            "Patient?mrn=100",
            "Patient?ssn=999-41-2386",
            "Observation?category=urn:mrn|100",
            "Observation?_content=met Pat",
        ];
        for question in leads {
            assert!(traces.lead_from(question), "{question}");
        }
        let others = [
            "Observation?patient=Patient/hg-other",
            "Observation?patient=hg-pat",
            "Observation?_lastUpdated=gt2020-01-01",
            "Observation?_count=100",
            "Observation?code=http://loinc.org|1003-0",
            "Observation?code=http://loinc.org|100",
            "Observation?code=100",
            "Observation?value-quantity=100",
            "Patient?identifier=urn:other|100",
            "Patient?identifier=urn:mrn|1001",
            "Patient?name=patricia",
            "Patient?name:contains=at",
            "Observation?code:text=decode",
            "Location?near=100",
            "Patient?_content=path 1-100 100-b",
        ];
        for question in others {
            assert!(!traces.lead_from(question), "{question}");
        }
        for (words, is_led) in [
            ("Weird pathology panel", false),
            ("patx", false),
            ("urn:local|100", false),
            ("urn:mrn|100", true),
            ("for Pat, at noon", true),
            ("no. 100.", true),
            ("1003-0", false),
        ] {
            assert_eq!(traces.lead_from_words(words), is_led, "{words}");
        }
        for (system, code, is_led) in [
            ("urn:local", "100", false),
            ("urn:local", "ted", false),
            ("urn:mrn", "100", true),
            ("urn:mrn", "101", false),
            ("http://hl7.org/fhir/sid/us-ssn", "999-41-2386", true),
        ] {
            assert_eq!(traces.lead_from_code(system, code), is_led, "{system} {code}");
        }
    }
}
