//! Which patient is meant: two records are of one person only where they share an identifier that names persons.
//!
//! In scope: taking the identifiers out of a Patient, and the rule that compares two sets of them. Out of scope: where known patients are kept.
//!
//! The rule: equal system and equal value (in the system's canonical form, where that is known), in a system that the configuration declares to name one person by one value. A number without a system,
//! or with a system nobody declared, matches nothing, for the same number means somebody else next door. Where one declared system says "the same" and
//! another says "somebody else", the records conflict and a person has to look.

use crate::config::Identifier;
use crate::fhir::Node;
use std::collections::BTreeSet;

/// Identifiers of one Patient that are looked at; further ones are left out, which can only miss a match.
pub const MAX_IDENTIFIERS: usize = 256;

/// The business identifiers of one patient record, each with a system.
pub type PatientIdentifiers = BTreeSet<Identifier>;

/// The identifiers of a Patient that may name the person: with system and value, and neither `old` nor `temp`.
pub fn patient_identifiers(patient: &Node) -> PatientIdentifiers {
    patient.items("identifier").iter().take(MAX_IDENTIFIERS).filter_map(identifier).collect()
}

/// The same with those that the Patient says are old: the person bore them.
pub fn borne_identifiers(patient: &Node) -> PatientIdentifiers {
    patient.items("identifier").iter().take(MAX_IDENTIFIERS).filter_map(named).collect()
}

fn identifier(node: &Node) -> Option<Identifier> {
    let is_current = !matches!(node.text("use"), Some("old" | "temp"));
    named(node).filter(|_| is_current)
}

fn named(node: &Node) -> Option<Identifier> {
    let (system, value) = (node.text("system")?, node.text("value")?);
    let names_somebody = !system.is_empty() && !is_placeholder(value);
    names_somebody.then(|| Identifier { system: system.to_owned(), value: value.to_owned() })
}

/// Values that registration desks enter when they have none: no letter or digit at all, one repeated (`999-99-9999`), or a word for "none".
fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 7] = ["unknown", "none", "na", "null", "nil", "tbd", "notavailable"];
    let plain: String = value.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let mut letters = plain.chars();
    let is_one_repeated = letters.next().is_none_or(|first| plain.chars().count() > 1 && letters.all(|letter| letter == first));
    is_one_repeated || WORDS.contains(&plain.as_str())
}

/// What two sets of identifiers say about two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// They share an identifier that names persons, and none of them disagrees.
    Same,
    /// They share one, and disagree in another: a person has to decide.
    Conflicting,
    /// Nothing says that they are the same.
    Unrelated,
}

/// Compares two records by the systems for which `is_person_system` answers true.
pub fn compare(one: &PatientIdentifiers, other: &PatientIdentifiers, is_person_system: impl Fn(&str) -> bool) -> Likeness {
    let (mut agreeing, mut disagreeing) = (0, 0);
    for system in shared_systems(one, other, is_person_system) {
        match answer(one, other, system) {
            Answer::Agree => agreeing += 1,
            Answer::Disagree => disagreeing += 1,
            Answer::Unclear => {}
        }
    }
    match (agreeing, disagreeing) {
        (0, _) => Likeness::Unrelated,
        (_, 0) => Likeness::Same,
        _ => Likeness::Conflicting,
    }
}

/// Whether in a system that names persons two records have values and share none: then they are two persons, whatever else they have in common.
/// Values that differ only in how they are written say neither.
pub fn disagree(one: &PatientIdentifiers, other: &PatientIdentifiers, is_person_system: impl Fn(&str) -> bool) -> bool {
    shared_systems(one, other, is_person_system).into_iter().any(|system| answer(one, other, system) == Answer::Disagree)
}

/// The ways in which the value of an identifier is written that is known to be the same in each; the one given is first.
pub fn spellings(identifier: &Identifier) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(number) = social_security_number(identifier) {
        let hyphened = number.get(..3).zip(number.get(3..5)).zip(number.get(5..));
        all.extend(hyphened.map(|((area, group), serial)| format!("{area}-{group}-{serial}")));
        all.push(number);
    }
    all.retain(|spelling| *spelling != identifier.value);
    all.insert(0, identifier.value.clone());
    all
}

/// What one system of identifiers says about two records that both have values in it.
#[derive(PartialEq, Eq)]
enum Answer {
    Agree,
    Disagree,
    /// The values differ in nothing but case and punctuation, and whether that matters in this system is not known.
    Unclear,
}

fn answer(one: &PatientIdentifiers, other: &PatientIdentifiers, system: &str) -> Answer {
    let values = |set: &PatientIdentifiers, form: fn(&Identifier) -> String| -> BTreeSet<String> {
        set.iter().filter(|identifier| identifier.system == system).map(form).collect()
    };
    let shares = |form: fn(&Identifier) -> String| !values(one, form).is_disjoint(&values(other, form));
    match (shares(canonical), shares(folded)) {
        (true, _) => Answer::Agree,
        (false, true) => Answer::Unclear,
        (false, false) => Answer::Disagree,
    }
}

fn shared_systems<'i>(
    one: &'i PatientIdentifiers,
    other: &PatientIdentifiers,
    is_person_system: impl Fn(&str) -> bool,
) -> BTreeSet<&'i str> {
    let systems = one.iter().map(|identifier| identifier.system.as_str());
    systems.filter(|system| is_person_system(system) && other.iter().any(|theirs| theirs.system == *system)).collect()
}

/// The value in the form in which equal values are equal, where the system's is known: else as it is written.
fn canonical(identifier: &Identifier) -> String {
    social_security_number(identifier).unwrap_or_else(|| identifier.value.clone())
}

/// The nine digits of a US social security number, with or without its hyphens.
fn social_security_number(identifier: &Identifier) -> Option<String> {
    const SYSTEM: &str = "http://hl7.org/fhir/sid/us-ssn";
    let is_written_so = |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | ' ');
    let digits: String = identifier.value.chars().filter(char::is_ascii_digit).collect();
    (identifier.system == SYSTEM && digits.len() == 9 && identifier.value.chars().all(is_written_so)).then_some(digits)
}

/// Letters and digits only, without case.
fn folded(identifier: &Identifier) -> String {
    identifier.value.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    fn identifiers(list: &str) -> PatientIdentifiers {
        let patient = format!(r#"{{"resourceType":"Patient","identifier":{list}}}"#);
        patient_identifiers(&json::parse(patient.as_bytes(), 16).unwrap())
    }

    #[test]
    fn identifiers_that_may_name_the_person() {
        let check =
            |identifier: &str, expected: bool| assert_eq!(!identifiers(&format!("[{identifier}]")).is_empty(), expected, "{identifier}");
        check(r#"{"system":"urn:oid:1.2","value":"17"}"#, true);
        check(r#"{"system":"urn:oid:1.2","value":"17","use":"official"}"#, true);
        check(r#"{"system":"urn:oid:1.2","value":"7"}"#, true);
        check(r#"{"value":"17"}"#, false);
        check(r#"{"system":"","value":"17"}"#, false);
        check(r#"{"system":"urn:oid:1.2"}"#, false);
        check(r#"{"system":"urn:oid:1.2","value":17}"#, false);
        check(r#"{"system":"urn:oid:1.2","value":"17","use":"old"}"#, false);
        check(r#"{"system":"urn:oid:1.2","value":"17","use":"temp"}"#, false);
        for placeholder in ["", "   ", "-", "999-99-9999", "000000000", "Unknown", "n/a", "N.A.", "none"] {
            check(&format!(r#"{{"system":"urn:oid:1.2","value":"{placeholder}"}}"#), false);
        }
    }

    #[test]
    fn records_are_compared_by_declared_systems() {
        let declared = |system: &str| matches!(system, "urn:oid:1.1" | "urn:oid:1.2");
        let check = |one: &[(&str, &str)], other: &[(&str, &str)], expected: Likeness| {
            let set = |pairs: &[(&str, &str)]| -> PatientIdentifiers {
                pairs.iter().map(|(system, value)| Identifier { system: (*system).into(), value: (*value).into() }).collect()
            };
            assert_eq!(compare(&set(one), &set(other), declared), expected, "{one:?} {other:?}");
            assert_eq!(compare(&set(other), &set(one), declared), expected, "{other:?} {one:?}");
        };
        check(&[("urn:oid:1.1", "17")], &[("urn:oid:1.1", "17")], Likeness::Same);
        check(&[("urn:oid:1.1", "17")], &[("urn:oid:1.1", "18")], Likeness::Unrelated);
        check(&[("urn:oid:1.1", "17")], &[("urn:oid:1.2", "17")], Likeness::Unrelated);
        check(&[("urn:oid:9.9", "17")], &[("urn:oid:9.9", "17")], Likeness::Unrelated);
        check(&[("", "17")], &[("", "17")], Likeness::Unrelated);
        check(&[], &[], Likeness::Unrelated);
        check(&[("urn:oid:1.1", "17"), ("urn:oid:1.2", "a")], &[("urn:oid:1.1", "17"), ("urn:oid:1.2", "b")], Likeness::Conflicting);
        check(&[("urn:oid:1.1", "17"), ("urn:oid:9.9", "a")], &[("urn:oid:1.1", "17"), ("urn:oid:9.9", "b")], Likeness::Same);
        check(&[("urn:oid:1.1", "17"), ("urn:oid:1.1", "18")], &[("urn:oid:1.1", "18"), ("urn:oid:1.1", "19")], Likeness::Same);
        check(&[("urn:oid:1.1", "17"), ("urn:oid:1.2", "A-7")], &[("urn:oid:1.1", "17"), ("urn:oid:1.2", "a7")], Likeness::Same);
        check(&[("urn:oid:1.1", "A-7")], &[("urn:oid:1.1", "a7")], Likeness::Unrelated);
    }

    /// Equal values in another spelling are the same where the system's spellings are known, and else no reason to say "somebody else".
    #[test]
    fn spelling_tells_nobody_apart() {
        let of = |system: &str, value: &str| PatientIdentifiers::from([Identifier { system: system.into(), value: value.into() }]);
        let check = |system: &str, one: &str, other: &str, likeness: Likeness, disagrees: bool| {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(compare(&of(system, one), &of(system, other), |_| true), likeness, "{system} {one} {other}");
                assert_eq!(disagree(&of(system, one), &of(system, other), |_| true), disagrees, "{system} {one} {other}");
            }
        };
        let ssn = "http://hl7.org/fhir/sid/us-ssn";
        check(ssn, "123-45-6789", "123456789", Likeness::Same, false);
        check(ssn, "123 45 6789", "123-45-6789", Likeness::Same, false);
        check(ssn, "123-45-6789", "123-45-6780", Likeness::Unrelated, true);
        check(ssn, "123-45-678", "12345678", Likeness::Unrelated, false);
        check("urn:oid:1.1", "AB-17", "ab17", Likeness::Unrelated, false);
        check("urn:oid:1.1", "AB-17", "AB-18", Likeness::Unrelated, true);
        let spelled = |value: &str| spellings(&Identifier { system: ssn.into(), value: value.into() });
        assert_eq!(spelled("123456789"), ["123456789", "123-45-6789"]);
        assert_eq!(spelled("123-45-6789"), ["123-45-6789", "123456789"]);
        assert_eq!(spelled("12-3"), ["12-3"]);
    }

    #[test]
    fn other_values_of_a_declared_system_are_other_persons() {
        let one = identifiers(r#"[{"system":"urn:oid:1.1","value":"17"}]"#);
        let other = identifiers(r#"[{"system":"urn:oid:1.1","value":"18"}]"#);
        assert!(disagree(&one, &other, |_| true) && disagree(&other, &one, |_| true));
        assert!(!disagree(&one, &other, |_| false) && !disagree(&one, &one, |_| true));
    }
}
