//! Which patient is meant: two records are of one person only where they share an identifier that names persons.
//!
//! In scope: taking the identifiers out of a Patient, and the rule that compares two sets of them. Out of scope: where known patients are kept.
//!
//! The rule: equal system and equal value, in a system that the configuration declares to name one person by one value. A number without a system,
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

fn identifier(node: &Node) -> Option<Identifier> {
    let (system, value) = (node.text("system")?, node.text("value")?);
    let is_current = !matches!(node.text("use"), Some("old" | "temp"));
    let names_somebody = !system.is_empty() && !is_placeholder(value);
    (is_current && names_somebody).then(|| Identifier { system: system.to_owned(), value: value.to_owned() })
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
    let values = |set: &PatientIdentifiers, system: &str| -> BTreeSet<String> {
        set.iter().filter(|identifier| identifier.system == system).map(|identifier| identifier.value.clone()).collect()
    };
    let shared_systems: BTreeSet<&str> = one
        .iter()
        .map(|identifier| identifier.system.as_str())
        .filter(|system| is_person_system(system) && other.iter().any(|theirs| theirs.system == *system))
        .collect();
    let agreeing = shared_systems.iter().filter(|system| !values(one, system).is_disjoint(&values(other, system))).count();
    match agreeing {
        0 => Likeness::Unrelated,
        all if all == shared_systems.len() => Likeness::Same,
        _ => Likeness::Conflicting,
    }
}

/// Whether in a system that names persons two records have values and share none: then they are two persons, whatever else they have in common.
pub fn disagree(one: &PatientIdentifiers, other: &PatientIdentifiers, is_person_system: impl Fn(&str) -> bool) -> bool {
    let of_system = |set: &PatientIdentifiers, system: &str| set.iter().any(|identifier| identifier.system == system);
    let shared = |system: &str| one.iter().any(|identifier| identifier.system == system && other.contains(identifier));
    one.iter()
        .map(|identifier| identifier.system.as_str())
        .any(|system| is_person_system(system) && of_system(other, system) && !shared(system))
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
    }

    #[test]
    fn other_values_of_a_declared_system_are_other_persons() {
        let one = identifiers(r#"[{"system":"urn:oid:1.1","value":"17"}]"#);
        let other = identifiers(r#"[{"system":"urn:oid:1.1","value":"18"}]"#);
        assert!(disagree(&one, &other, |_| true) && disagree(&other, &one, |_| true));
        assert!(!disagree(&one, &other, |_| false) && !disagree(&one, &one, |_| true));
    }
}
