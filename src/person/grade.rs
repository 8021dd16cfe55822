//! How likely it is that two Patient records are one person's.

use crate::fhir::Node;
use crate::identity::crossref::{self, Likeness};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

/// Family names, and given names, under which a record is found; few have more.
const MAX_NAMES: usize = 4;

/// What two records say about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// They share an identifier that names persons, agree in all such, and contradict each other in nothing that does not change.
    Certain,
    /// They share one, but disagree in another, or in birth date or gender.
    Conflicting,
    /// Family name, given name and birth date are the same.
    Probable,
    /// One name and the birth date are the same.
    Possible,
    /// Nothing says so, or an identifier says otherwise.
    Unrelated,
}

impl Grade {
    /// The code of FHIR's `match-grade`.
    pub fn code(self) -> &'static str {
        match self {
            Grade::Certain => "certain",
            Grade::Probable => "probable",
            Grade::Conflicting | Grade::Possible => "possible",
            Grade::Unrelated => "certainly-not",
        }
    }

    /// `Bundle.entry.search.score`.
    pub fn score(self) -> &'static str {
        match self {
            Grade::Certain => "1.0",
            Grade::Probable => "0.8",
            Grade::Possible => "0.5",
            Grade::Conflicting => "0.4",
            Grade::Unrelated => "0.0",
        }
    }

    /// Whether a person should be asked.
    pub fn is_question(self) -> bool {
        matches!(self, Grade::Conflicting | Grade::Probable)
    }
}

/// Compares two Patients, by the identifier systems of which one value is one person, and by what does not change in a life.
pub fn grade(one: &Node, other: &Node, is_person_system: impl Fn(&str) -> bool) -> Grade {
    let (ours, theirs) = (crossref::patient_identifiers(one), crossref::patient_identifiers(other));
    match crossref::compare(&ours, &theirs, &is_person_system) {
        Likeness::Same if contradict(one, other) => Grade::Conflicting,
        Likeness::Same => Grade::Certain,
        Likeness::Conflicting => Grade::Conflicting,
        Likeness::Unrelated if crossref::disagree(&ours, &theirs, &is_person_system) => Grade::Unrelated,
        Likeness::Unrelated => by_demographics(one, other),
    }
}

fn by_demographics(one: &Node, other: &Node) -> Grade {
    let birth = |patient: &Node| patient.text("birthDate").filter(|date| date.len() == 10).map(str::to_owned);
    let is_same_birth = birth(one).is_some_and(|date| Some(date) == birth(other));
    if !is_same_birth || contradict(one, other) {
        return Grade::Unrelated;
    }
    let shares = |names: fn(&Node) -> BTreeSet<String>| !names(one).is_disjoint(&names(other));
    match (shares(families), shares(givens)) {
        (true, true) => Grade::Probable,
        (true, false) | (false, true) => Grade::Possible,
        (false, false) => Grade::Unrelated,
    }
}

/// Whether what a life does not change differs: the birth date as far as both know it, or the gender where both say male or female.
fn contradict(one: &Node, other: &Node) -> bool {
    let dates = one.text("birthDate").zip(other.text("birthDate"));
    let is_other_date = dates.is_some_and(|(one, other)| !one.starts_with(other) && !other.starts_with(one));
    let gender = |patient: &Node| patient.text("gender").filter(|code| matches!(*code, "male" | "female")).map(str::to_owned);
    is_other_date || gender(one).zip(gender(other)).is_some_and(|(one, other)| one != other)
}

/// Family and given name and birth date, by which records of the same person may be looked for. `None` where any is missing.
pub fn search_words(patient: &Node) -> Option<(String, String)> {
    let name = patient.items("name").iter().find(|name| name.text("family").is_some() && !name.items("given").is_empty())?;
    patient.text("birthDate").filter(|date| date.len() == 10)?;
    Some((name.text("family")?.to_owned(), name.items("given").first()?.as_text()?.to_owned()))
}

/// Under which keys the records are found that have a family name, a given name and the birth date of this one: those that are at least
/// [`Grade::Probable`], if nothing contradicts it.
pub fn likeness_keys(patient: &Node) -> Vec<[u8; 32]> {
    let Some(birth) = patient.text("birthDate").filter(|date| date.len() == 10) else { return Vec::new() };
    let (families, givens) = (families(patient), givens(patient));
    let pairs = families.iter().take(MAX_NAMES).flat_map(|family| givens.iter().take(MAX_NAMES).map(move |given| (family, given)));
    pairs.map(|(family, given)| Sha256::digest(["Patient", family, given, birth].join("\0").as_bytes()).into()).collect()
}

fn families(patient: &Node) -> BTreeSet<String> {
    patient.items("name").iter().filter_map(|name| name.text("family")).map(folded).filter(|name| !name.is_empty()).collect()
}

fn givens(patient: &Node) -> BTreeSet<String> {
    let given = patient.items("name").iter().flat_map(|name| name.items("given"));
    given.filter_map(Node::as_text).map(folded).filter(|name| !name.is_empty()).collect()
}

/// A name without case, marks and blanks.
fn folded(name: &str) -> String {
    name.nfkd().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    const SSN: &str = r#"{"system":"urn:ssn","value":"17"}"#;

    fn patient(identifiers: &str, family: &str, given: &str, birth: &str, gender: &str) -> Node {
        let text = format!(
            r#"{{"resourceType":"Patient","identifier":[{identifiers}],"name":[{{"family":"{family}","given":["{given}"]}}],"birthDate":"{birth}","gender":"{gender}"}}"#
        );
        json::parse(text.as_bytes(), 32).unwrap()
    }

    #[test]
    fn grades() {
        let ada = |identifiers: &str| patient(identifiers, "Möör", "Ada", "1970-03-01", "female");
        let check = |one: &Node, other: &Node, expected: Grade| {
            let declared = |system: &str| matches!(system, "urn:ssn" | "urn:passport");
            assert_eq!(grade(one, other, declared), expected, "{}", json::write(other));
            assert_eq!(grade(other, one, declared), expected, "{}", json::write(other));
        };
        let known = ada(SSN);
        check(&known, &ada(SSN), Grade::Certain);
        check(&known, &patient(SSN, "Smith", "Ada", "1970-03-01", "female"), Grade::Certain);
        check(&known, &patient(SSN, "Moor", "Ada", "1970", "unknown"), Grade::Certain);
        check(&known, &patient(SSN, "Moor", "Ada", "1971-03-01", "female"), Grade::Conflicting);
        check(&known, &patient(SSN, "Moor", "Ada", "1970-03-01", "male"), Grade::Conflicting);
        check(
            &ada(r#"{"system":"urn:ssn","value":"17"},{"system":"urn:passport","value":"a"}"#),
            &ada(r#"{"system":"urn:ssn","value":"17"},{"system":"urn:passport","value":"b"}"#),
            Grade::Conflicting,
        );
        // A bare number is nobody, and another value of a person's system is somebody else, whatever the names say.
        check(&known, &ada(r#"{"system":"urn:ssn","value":"18"}"#), Grade::Unrelated);
        // In another spelling it may be the same: the names decide whether somebody is asked.
        check(&ada(r#"{"system":"urn:ssn","value":"A-17"}"#), &ada(r#"{"system":"urn:ssn","value":"a17"}"#), Grade::Probable);
        let numbered = ada(r#"{"system":"urn:mrn-a","value":"17"}"#);
        check(&numbered, &patient(r#"{"system":"urn:mrn-b","value":"17"}"#, "Young", "Bo", "1980-01-01", "male"), Grade::Unrelated);
        check(&numbered, &patient(r#"{"system":"urn:mrn-b","value":"9"}"#, "MOOR", "ada", "1970-03-01", "female"), Grade::Probable);
        check(&numbered, &patient("", "Moor", "Eve", "1970-03-01", "female"), Grade::Possible);
        check(&numbered, &patient("", "Moor", "Ada", "1970", "female"), Grade::Unrelated);
        check(&numbered, &patient("", "Moor", "Ada", "1970-03-01", "male"), Grade::Unrelated);
    }
}
