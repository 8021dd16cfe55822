//! Everything by which a resource points at other records: its references, URIs that are the address of a record, and addresses in what people
//! wrote.
//!
//! Out of scope: what is withheld of it (`redact`), and what a decision is taken on, which are the references alone.

use super::code::{Identifier, Reference, items};
use super::facts::{DOERS, references_of};
use super::label::encoded_text;
use super::setting::{NamedRecord, names_of_contained};
use super::written::records_in;
use crate::fhir::{Node, Value};

/// Elements of the type Identifier that name another record, and not the one they stand in.
const NAMING: [&str; 4] = ["preAdmissionIdentifier", "reference", "targetIdentifier", "valueIdentifier"];

/// Elements whose text is a name or a system of names, and where it names another record that is known by what stands around it.
const OWN: [&str; 4] = ["id", "profile", "system", "value"];

/// Elements that are extensions.
const EXTENSIONS: [&str; 2] = ["extension", "modifierExtension"];

/// Whether the text of a member, in an element of this name, is the name of a system of names, or of what is defined: an institution's numbers go by the OID
/// that it goes by itself, and whoever writes one of them points at no record. An attachment's `url` is no such name, whatever stands beside it.
pub(super) fn is_namespace(element: &str, member: &str) -> bool {
    matches!(member, "profile" | "system") || (member == "url" && EXTENSIONS.contains(&element))
}

/// Whose text is a name.
const SYSTEM: &str = "system";

/// Types of those who do something and may tell: institutions, roles there, and teams of the patient's. People tell nothing, and a person who did
/// something is no other record.
const DOING: [&str; 5] = ["CareTeam", "HealthcareService", "Location", "Organization", "PractitionerRole"];

/// What a resource points at, in whatever way.
pub fn pointers_of(resource: &Node) -> Vec<Reference> {
    let mut found = references_of(resource);
    collect(resource, "", &mut found);
    found.extend(items(resource, "contained").iter().flat_map(names_of_contained));
    found
}

/// The records whose addresses a URL is.
pub fn records_at(url: &str) -> Vec<Reference> {
    records_in(url, true)
}

/// Those whom a resource refers to that may do something and tell, wherever it does. One of an untold type may be a person, and is left out.
pub fn doers_of(resource: &Node) -> Vec<NamedRecord> {
    let mut found = Vec::new();
    collect_doers(resource, &mut found);
    found
}

fn collect_doers(node: &Node, found: &mut Vec<NamedRecord>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| collect_doers(item, found)),
        Value::Object(object) => {
            found.extend(NamedRecord::of(node, |type_name| DOING.contains(&type_name)));
            object.members().iter().for_each(|member| collect_doers(&member.node, found));
        }
        _ => {}
    }
}

fn collect(node: &Node, name: &str, found: &mut Vec<Reference>) {
    match &node.value {
        Value::Text(text) => {
            found.extend(records_in(text, OWN.contains(&name)));
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, name, found)),
        Value::Object(object) => {
            if DOERS.contains(&name) {
                found.extend(untyped(node).iter().flat_map(doing));
            }
            for member in object.members() {
                match member.name.as_str() {
                    // A Bundle's entries are named so by themselves, and references are known already.
                    "fullUrl" | "reference" if member.node.as_text().is_some() => continue,
                    // What stands there says nothing of what the resource is about, but it may point.
                    "meta" | "text" => found.extend(references_of(&member.node)),
                    name => found.extend(named_by(name, &member.node)),
                }
                let inner = if is_namespace(name, &member.name) { SYSTEM } else { &member.name };
                collect(&member.node, inner, found);
                found.extend(encoded_text(node, &member.name).iter().flat_map(|text| records_in(text, false)));
            }
        }
        _ => {}
    }
}

/// The identifier by which a reference names something without telling its type.
fn untyped(node: &Node) -> Option<Identifier> {
    let is_untyped = |named: Reference| named.sought().is_some_and(|(type_name, _)| type_name.is_empty());
    Reference::logical(node).is_some_and(is_untyped).then(|| node.get("identifier").and_then(Identifier::from_node)).flatten()
}

/// Those who may tell and whom an identifier may mean where it names who did something.
fn doing(identifier: &Identifier) -> impl Iterator<Item = Reference> {
    DOING.iter().map(|type_name| Reference::by_identifier(type_name, identifier))
}

/// What a reference names by identifier, as whatever `pointers_of` may have found it.
pub(super) fn named_logically(node: &Node) -> impl Iterator<Item = Reference> {
    let named = Reference::logical(node);
    let others: Vec<Reference> = untyped(node).iter().flat_map(doing).collect();
    named.into_iter().chain(others)
}

/// The record that an element names by an identifier without a `Reference` around it, `Claim.related.reference` for instance.
pub(super) fn named_by(name: &str, node: &Node) -> Option<Reference> {
    let identifier = NAMING.contains(&name).then(|| Identifier::from_node(node)).flatten();
    identifier.map(|identifier| Reference::by_identifier("", &identifier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{DEFAULT_DEPTH, parse};

    #[test]
    fn whatever_points_at_a_record_is_found() {
        let check = |body: &str, expected: &[&str]| {
            let resource = parse(format!(r#"{{"resourceType":"CarePlan",{body}}}"#).as_bytes(), DEFAULT_DEPTH).unwrap();
            let found: Vec<String> = pointers_of(&resource).iter().map(|reference| reference.as_str().to_owned()).collect();
            assert_eq!(found, expected, "{body}");
        };
        check(r#""subject":{"reference":"Patient/1"}"#, &["Patient/1"]);
        check(r#""note":[{"text":"See URN:UUID:0a-1."}],"identifier":[{"value":"urn:uuid:0b"}]"#, &["urn:uuid:0a-1"]);
        check(r#""instantiatesUri":["Condition/1/_history/2","http://x.example/plans/3"]"#, &["Condition/1"]);
        check(r#""presentedForm":[{"url":"https://h.example/fhir/Binary/1?_format=pdf"}]"#, &["https://h.example/fhir/Binary/1"]);
        check(r#""extension":[{"url":"http://x.example/seen","valueUri":"Condition/4#part"}]"#, &["Condition/4"]);
        check(r#""text":{"div":"<div><a href=\"Condition/5\">it</a> <img src = 'Binary/6' /></div>"}"#, &["Condition/5", "Binary/6"]);
        check(r#""note":[{"text":"See [this](Condition/7) and/or that"}]"#, &["Condition/7"]);
        check(
            r#""note":[{"text":"See Condition/8 of 1/2/2026."}],"description":"N/A","title":"Docs/1"}"#.trim_end_matches('}'),
            &["Condition/8"],
        );
        check(
            r#""note":[{"text":"[x](<Condition/1>), [y]( Condition/2 ) and [z][1]\n\n[1]: Condition/3"}]"#,
            &["Condition/1", "Condition/2", "Condition/3"],
        );
        check(
            r#""title":"[x](Condition/1)","description":"<https://h.example/fhir/Condition/2>""#,
            &["Condition/1", "https://h.example/fhir/Condition/2"],
        );
        check(r#""note":[{"text":"It is at https://h.example/fhir/Condition/1."}]"#, &["https://h.example/fhir/Condition/1"]);
        check(r#""text":{"div":"<div><q cite='Condition/1'>x</q><a href=Condition/2>y</a></div>"}"#, &["Condition/1", "Condition/2"]);
        check(r#""instantiatesCanonical":["https://h.example/fhir/Condition/1|2"]"#, &["https://h.example/fhir/Condition/1"]);
        check(
            r#""instantiatesUri":["Condition?_id=1","https://h.example/fhir/Condition?code=x&amp;_id=2"]"#,
            &["Condition/1", "https://h.example/fhir/Condition/2"],
        );
        check(
            r#""instantiatesUri":["Condition?identifier=urn:s%7C1","Condition?identifier=2"]"#,
            &["Condition?identifier=urn:s|1", "Condition?identifier=2"],
        );
        check(r#""meta":{"tag":[{"extension":[{"valueReference":{"reference":"Condition/1"}}]}]}"#, &["Condition/1"]);
        check(
            r#""text":{"extension":[{"valueReference":{"reference":"Condition/1"}},{"valueReference":{"type":"Condition","identifier":{"value":"2"}}}]}"#,
            &["Condition/1", "Condition?identifier=2"],
        );
        check(r#""category":[{"coding":[{"system":"http://loinc.org/x/Y","code":"1/2"}]}]"#, &[]);
        check(r#""extension":[{"valueIdentifier":{"system":"s","value":"1"}}]"#, &["?identifier=s|1"]);
        check(r#""extension":[{"url":"urn:oid:1.2.3","valueCode":"x"}],"note":[{"text":"urn:oid:1.2.4"}]"#, &["urn:oid:1.2.4"]);
        check(
            r#""content":[{"attachment":{"url":"urn:oid:1.2.3","extension":[{"url":"urn:oid:1.2.4","valueInteger":4}]}}]"#,
            &["urn:oid:1.2.3"],
        );
        check(r#""related":[{"reference":{"value":"1"}}],"identifier":[{"value":"2"}]"#, &["?identifier=1"]);
        check(
            r#""supportingInfo":[{"type":"Condition","identifier":{"system":"s","value":"9"}}],"author":{"identifier":{"system":"npi","value":"1"}}"#,
            &[
                "Condition?identifier=s|9",
                "CareTeam?identifier=npi|1",
                "HealthcareService?identifier=npi|1",
                "Location?identifier=npi|1",
                "Organization?identifier=npi|1",
                "PractitionerRole?identifier=npi|1",
            ],
        );
        check(
            r#""performer":[{"reference":"Practitioner/1","identifier":{"system":"npi","value":"1"}}]"#,
            &["Practitioner/1", "Practitioner?identifier=npi|1"],
        );
    }
}
