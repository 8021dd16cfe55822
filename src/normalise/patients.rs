//! Two patients in one message. Each record stays with the patient it refers to; what refers to none is said to be nobody's, and given to nobody.

use crate::fhir::Node;
use crate::fhir::types::TypeTable;
use crate::outcome::{Finding, IssueType, Severity};
use std::collections::HashSet;

/// The elements by which records name the patient they are about.
const SUBJECTS: [&str; 2] = ["subject", "patient"];

/// Flags a message's second patient, and each record of such a message that could name its patient and does not.
pub(super) fn flag_several<'n>(message: impl Iterator<Item = (&'n Node, &'n mut Vec<Finding>)>, types: &TypeTable) {
    let mut message: Vec<_> = message.collect();
    let mut known = HashSet::new();
    let mut is_new = |resource: &Node| resource.resource_type() == Some("Patient") && known.insert(resource.text("id").map(str::to_owned));
    let patients: Vec<usize> = (0..).zip(&message).filter(|(_, (resource, _))| is_new(resource)).map(|(index, _)| index).collect();
    let Some(&second) = patients.get(1) else { return };
    for (index, (resource, findings)) in message.iter_mut().enumerate() {
        let type_name = resource.resource_type().unwrap_or_default();
        if index == second {
            let text = format!("the message holds {} patients; every record stays with the one it refers to", patients.len());
            findings.push(Finding::new(Severity::Information, IssueType::MultipleMatches, "patient-several", text).at(type_name));
        }
        if names_nobody(resource, type_name, types) {
            let text = "the message holds several patients, and the record names none; it was given to none of them";
            findings.push(Finding::new(Severity::Warning, IssueType::Incomplete, "patient-unsaid", text).at(type_name));
        }
    }
}

/// Whether a record has a place for its patient and nothing there.
fn names_nobody(resource: &Node, type_name: &str, types: &TypeTable) -> bool {
    let Some(definition) = types.resource(type_name) else { return false };
    let has_place = SUBJECTS.iter().any(|name| types.member(definition.root, name).is_some());
    has_place && SUBJECTS.iter().all(|name| resource.get(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::flag_several;
    use crate::definitions::Definitions;
    use crate::fhir::json;
    use crate::outcome::Finding;

    #[test]
    fn messages() {
        let (a, b) = (r#"{"resourceType":"Patient","id":"a"}"#, r#"{"resourceType":"Patient","id":"b"}"#);
        let theirs = r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"}}"#;
        let nobodys = r#"{"resourceType":"Observation"}"#;
        let place = r#"{"resourceType":"Location"}"#;
        for (message, said) in [
            (&[a, b, theirs][..], &[(1, "patient-several")][..]),
            (&[a, nobodys, b, place, a], &[(1, "patient-unsaid"), (2, "patient-several")]),
            (&[a, a, nobodys], &[]),
            (&[nobodys], &[]),
            (&[], &[]),
        ] {
            let mut all: Vec<_> = message.iter().map(|text| (json::parse(text.as_bytes(), 8).unwrap(), Vec::<Finding>::new())).collect();
            flag_several(all.iter_mut().map(|(resource, findings)| (&*resource, findings)), Definitions::embedded().types());
            let found: Vec<_> = all
                .iter()
                .enumerate()
                .flat_map(|(index, (_, findings))| findings.iter().map(move |finding| (index, finding.message_id)))
                .collect();
            assert_eq!(found, said, "{message:?}");
        }
    }
}
