//! What names a person by an identifier instead of the gateway's id: logical references, Patients inside other resources, a Person's or relative's own.
//!
//! Only identifiers with a system count, and only those that no other Patient here bears: what names two names the other too, and stays. A
//! practitioner's own identifier says who somebody is at work, and a resource's own is no person's.

use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Value, json};
use crate::outcome::{Fault, FaultKind};
use crate::search::{Handling, Query, escaped};
use crate::store::Reader;
use std::collections::BTreeSet;

/// Other patients with an identifier that are looked for.
const FEW: usize = 2;
/// Elements that name a patient in most types.
const SUBJECTS: [&str; 3] = ["subject", "patient", "beneficiary"];
/// Resources whose own identifier is one of a person.
const PERSONS: [&str; 2] = ["Person", "RelatedPerson"];

/// The identifiers of one person, as system and value.
#[derive(Debug, Default)]
pub(super) struct Identifiers {
    own: BTreeSet<(String, String)>,
}

/// Whom a resource names so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    pub person: bool,
    pub others: bool,
    /// The ids that Patients inside the resource have there, who are the person.
    pub known_as: BTreeSet<String>,
}

impl Identifiers {
    /// What a version of the patient says.
    pub fn add(&mut self, patient: &Node) {
        self.own.extend(patient.items("identifier").iter().filter_map(parts));
    }

    /// Leaves out what other Patients bear as well.
    pub fn without_shared(&mut self, reader: &Reader<'_>, definitions: &'static Definitions, person: &str) -> Result<(), Fault> {
        let mut kept = BTreeSet::new();
        for (system, value) in std::mem::take(&mut self.own) {
            let pairs = [("identifier".to_owned(), format!("{}|{}", escaped(&system), escaped(&value)))];
            let query = Query::parse(definitions, "Patient", &pairs, Handling::Strict)
                .map_err(|_| Fault::new(FaultKind::Internal, "the query for who bears an identifier does not parse"))?;
            let mut is_shared = false;
            for found in reader.first_candidates(&query, FEW)?.iter().filter(|found| found.id != person) {
                is_shared |= query.matches(&found.parse()?);
            }
            if !is_shared {
                kept.insert((system, value));
            }
        }
        self.own = kept;
        Ok(())
    }

    /// The values as documents hold them, with the name of the member: a short one stands in every document.
    pub fn words(&self) -> Vec<String> {
        let written = |value: &String| format!("\"value\":{}", json::write(&Node::from(value.as_str())));
        self.own.iter().map(|(_, value)| written(value)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whom a resource names. Another Patient is named by their id, whatever they bear.
    pub fn naming(&self, resource: &Node) -> Naming {
        let mut naming = Naming::default();
        let type_name = resource.resource_type().unwrap_or_default();
        if !self.own.is_empty() && type_name != "Patient" {
            let members = resource.as_object().map(Object::members).unwrap_or_default();
            let is_looked_at = |name: &str| name != "identifier" || PERSONS.contains(&type_name);
            members
                .iter()
                .filter(|member| is_looked_at(&member.name))
                .for_each(|member| self.look(&member.name, &member.node, &mut naming));
        }
        naming
    }

    fn look(&self, name: &str, node: &Node, naming: &mut Naming) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.look(name, item, naming)),
            Value::Object(object) => {
                naming.person |= self.is_own(node);
                naming.others |= self.is_anothers(name, node);
                naming.known_as.extend(self.known_as(node));
                object.members().iter().for_each(|member| self.look(&member.name, &member.node, naming));
            }
            _ => {}
        }
    }

    fn is_own(&self, identifier: &Node) -> bool {
        parts(identifier).is_some_and(|parts| self.own.contains(&parts))
    }

    fn known_as(&self, node: &Node) -> Option<String> {
        let is_person = node.resource_type() == Some("Patient") && !self.is_anothers("", node);
        node.text("id").filter(|_| is_person).map(str::to_owned)
    }

    /// A Patient with none of the identifiers, or a subject who is told by another.
    fn is_anothers(&self, name: &str, node: &Node) -> bool {
        if node.resource_type() == Some("Patient") {
            return !node.items("identifier").iter().any(|identifier| self.is_own(identifier));
        }
        let told = node.get("identifier").filter(|_| SUBJECTS.contains(&name) && node.resource_type().is_none());
        told.is_some_and(|identifier| !self.is_own(identifier))
    }
}

fn parts(identifier: &Node) -> Option<(String, String)> {
    Some((identifier.text("system")?.to_owned(), identifier.text("value")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_names_who_bears_the_identifier_and_others_beside() {
        let own = r#"{"system":"urn:ssn","value":"1-2"}"#;
        let mut identifiers = Identifiers::default();
        identifiers.add(&json::parse(format!(r#"{{"identifier":[{own},{{"value":"7"}}]}}"#).as_bytes(), 9).unwrap());
        let mine = format!(r#"{{"resourceType":"Patient","identifier":[{own}]}}"#);
        let cases = [
            (format!(r#"{{"resourceType":"Observation","subject":{{"identifier":{own}}}}}"#), (true, false)),
            (format!(r##"{{"resourceType":"Observation","contained":[{mine}],"subject":{{"reference":"#p"}}}}"##), (true, false)),
            (
                format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{mine}}},{{"resource":{{"resourceType":"Patient"}}}}]}}"#),
                (true, true),
            ),
            (
                format!(
                    r#"{{"resourceType":"Observation","performer":[{{"identifier":{own}}}],"subject":{{"identifier":{{"value":"7"}}}}}}"#
                ),
                (true, true),
            ),
            (format!(r#"{{"resourceType":"Person","identifier":[{own}]}}"#), (true, false)),
            (format!(r#"{{"resourceType":"Practitioner","identifier":[{own}]}}"#), (false, false)),
            (mine.clone(), (false, false)),
            (r#"{"resourceType":"Observation","subject":{"identifier":{"system":"urn:mrn","value":"1-2"}}}"#.to_owned(), (false, true)),
        ];
        for (resource, (person, others)) in cases {
            let found = identifiers.naming(&json::parse(resource.as_bytes(), 99).unwrap());
            assert_eq!((found.person, found.others), (person, others), "{resource}");
        }
        assert_eq!(identifiers.words(), [r#""value":"1-2""#]);
    }
}
