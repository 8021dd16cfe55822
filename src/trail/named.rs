//! What names a person by an identifier instead of the gateway's id: logical references, Patients inside other resources, a Person's or relative's own.
//!
//! Only identifiers with a system count, and only those that no other Patient here bears: what names two names the other too, and stays. One of a
//! registry of clinicians that one of them here bears names that one, where no Patient is said to be meant. In a system of persons an identifier names
//! the person wherever it stands, and any other where nothing else than a Patient is said to be meant. A practitioner's own identifier says who somebody is at work, and a
//! resource's own is no person's.
//!
//! A record is about the person where they are its subject, by an identifier that they have now. One that was corrected may have been another's, and what
//! stands anywhere else, among the members of a group or as who did something, mentions the person: whether such a record goes is asked.

use crate::consent::{Named, named_in, patients_told_in};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Value, json};
use crate::outcome::{Fault, FaultKind};
use crate::search::{Handling, Query, escaped};
use crate::store::Reader;
use std::collections::{BTreeSet, HashMap};

/// The most records with the same value in whatever system that are looked at. Of more it is not told who bears an identifier: others may.
const MAX_ALIKE: usize = 1_000;
/// Elements that name what something took place in or was done with, or what it follows.
const NO_PERSONS: [&str; 14] = [
    "basedOn",
    "context",
    "derivedFrom",
    "device",
    "encounter",
    "episodeOfCare",
    "hasMember",
    "location",
    "managingOrganization",
    "medication",
    "medicationReference",
    "partOf",
    "serviceProvider",
    "specimen",
];
/// Under which names identifiers stand that may be a person's; under others they are a record's own.
const NAMES: [&str; 2] = ["identifier", "valueIdentifier"];
/// Who the identifiers of such a resource identify is whom it is about.
const PERSON: &str = "Person";
/// Resources whose own identifier is one of a person.
const PERSONS: [&str; 2] = [PERSON, "RelatedPerson"];
/// Who and what else may bear a number that a Patient bears by mistake, or at work.
const OTHERS: [&str; 9] =
    ["Practitioner", "PractitionerRole", "Organization", "Device", "Location", "Group", "HealthcareService", "Medication", "Substance"];
/// Registries of clinicians and institutions alone.
const REGISTRIES: [&str; 2] = ["http://hl7.org/fhir/sid/us-npi", "urn:oid:2.16.840.1.113883.4.6"];

pub(super) type Pair = (String, String);

/// How what gateways give names to begins.
const GATEWAYS: &str = "urn:hearthgate:";

/// The identifiers of one person, as system and value.
#[derive(Debug, Default)]
pub(super) struct Identifiers {
    own: BTreeSet<Pair>,
    /// Those that were taken back: they may have been somebody else's all along.
    former: BTreeSet<Pair>,
    /// Those of both that somebody here bears who is no Patient.
    others: BTreeSet<Pair>,
    /// Those of both that are of systems of persons.
    certain: BTreeSet<Pair>,
}

/// Whom an identifier is said to be of, by what stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Patient,
    Other,
    Nothing,
}

/// Who a subject is that is not told by a gateway's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Person,
    Other,
    /// Somebody without an identifier or a reference.
    Untold,
}

/// Whom a resource names so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    /// Whether an identifier that is or was the person's stands anywhere.
    pub person: bool,
    /// Who its subjects are.
    pub subjects: BTreeSet<Who>,
    /// What refers to Patients inside the resource who are the person.
    pub known_as: BTreeSet<String>,
}

impl Identifiers {
    /// What the versions of the patient say, the newest first. Only what that says is certainly the person's.
    pub fn of<'n>(patients: impl IntoIterator<Item = &'n Node>) -> Identifiers {
        let mut all = patients.into_iter().map(|patient| patient.items("identifier").iter().filter_map(parts).collect::<BTreeSet<Pair>>());
        let own = all.next().unwrap_or_default();
        let former = all.flatten().filter(|parts| !own.contains(parts)).collect();
        Identifiers { own, former, ..Identifiers::default() }
    }

    /// Leaves out by what institutions are registered, and what gateways call logs and sources: whoever writes that into a Patient is not named by it.
    pub fn without_institutions(&mut self, registered: &BTreeSet<Pair>) {
        for known in [&mut self.own, &mut self.former] {
            known.retain(|pair| !registered.contains(pair) && !pair.1.starts_with(GATEWAYS));
        }
    }

    /// Leaves out what other Patients bear as well, and notes what somebody else does, unless it is of a system of persons.
    pub fn told_from_others(
        &mut self,
        reader: &Reader<'_>,
        definitions: &'static Definitions,
        person: &str,
        is_of_persons: impl Fn(&str) -> bool,
    ) -> Result<(), Fault> {
        let mut bearers = Bearers { reader, definitions, person, known: HashMap::new() };
        let mut is_borne = |type_name: &'static str, pair: &Pair| bearers.have(type_name, pair);
        for known in [&mut self.own, &mut self.former] {
            let mut kept = BTreeSet::new();
            for pair in std::mem::take(known) {
                if is_borne("Patient", &pair)? {
                    continue;
                }
                if is_of_persons(&pair.0) {
                    self.certain.insert(pair.clone());
                }
                for type_name in OTHERS {
                    if is_borne(type_name, &pair)? {
                        self.others.insert(pair.clone());
                        break;
                    }
                }
                kept.insert(pair);
            }
            *known = kept;
        }
        Ok(())
    }

    /// The values as documents hold them, with the name of the member: a short one stands in every document.
    pub fn words(&self) -> Vec<String> {
        let written = |value: &String| format!("\"value\":{}", json::write(&Node::from(value.as_str())));
        self.own.iter().chain(&self.former).map(|(_, value)| written(value)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whom a resource names, when the person has this id. Another Patient is named by their id, whatever they bear.
    pub fn naming(&self, resource: &Node, id: &str) -> Naming {
        let type_name = resource.resource_type().unwrap_or_default();
        if type_name == "Patient" {
            return Naming::default();
        }
        let mut naming = Naming { person: self.is_mentioned(type_name, resource), ..Naming::default() };
        self.add_known(resource, id, &mut naming.known_as);
        let told: Vec<&str> =
            patients_told_in(resource).filter(|(name, _)| naming.known_as.contains(*name)).map(|(_, patient)| patient).collect();
        naming.known_as.extend(told.into_iter().map(str::to_owned));
        naming.subjects = named_in(resource).into_iter().flat_map(|named| self.who(named, id, &naming.known_as)).collect();
        naming.subjects.extend(self.who_itself(type_name, resource));
        naming.person |= naming.subjects.contains(&Who::Person);
        naming
    }

    fn is_mentioned(&self, type_name: &str, resource: &Node) -> bool {
        let members = resource.as_object().map(Object::members).unwrap_or_default();
        let is_looked_at = |name: &str| name != "identifier" || PERSONS.contains(&type_name);
        members.iter().any(|member| is_looked_at(&member.name) && self.stands_within(&member.node, &member.name, Said::Nothing))
    }

    /// Whether an identifier that is or was the person's stands anywhere in something, and means them.
    pub fn stands_in(&self, node: &Node) -> bool {
        self.stands_within(node, "identifier", Said::Nothing)
    }

    /// `name` is that of the element, and `said` of whom what it is in says that it is.
    fn stands_within(&self, node: &Node, name: &str, said: Said) -> bool {
        match &node.value {
            Value::List(items) => items.iter().any(|item| self.stands_within(item, name, said)),
            Value::Object(object) => {
                let is_known = |pair: &Pair| self.own.contains(pair) || self.former.contains(pair);
                let said = if NAMES.contains(&name) { said } else { Said::Other };
                let is_one = parts(node).is_some_and(|pair| is_known(&pair) && self.means_the_person(&pair, said));
                let within = |member: &str| if member == "identifier" { said_of(node, name) } else { Said::Nothing };
                is_one || object.members().iter().any(|member| self.stands_within(&member.node, &member.name, within(&member.name)))
            }
            _ => false,
        }
    }

    fn means_the_person(&self, pair: &Pair, said: Said) -> bool {
        let is_clinicians = || REGISTRIES.contains(&pair.0.as_str()) && self.others.contains(pair);
        match said {
            Said::Patient => true,
            Said::Other => self.certain.contains(pair),
            Said::Nothing => self.certain.contains(pair) || !is_clinicians(),
        }
    }

    /// What in a Bundle refers to the Patients in it who are the person.
    fn add_known(&self, resource: &Node, id: &str, found: &mut BTreeSet<String>) {
        found.extend(
            patients_told_in(resource).filter(|(_, patient)| patient.strip_prefix("Patient/") == Some(id)).map(|(name, _)| name.to_owned()),
        );
        for entry in resource.items("entry").iter().filter(|_| resource.resource_type() == Some("Bundle")) {
            let Some(inner) = entry.get("resource") else { continue };
            self.add_known(inner, id, found);
            if inner.resource_type() == Some("Patient") && self.is_person(inner, id) {
                found.extend(entry.text("fullUrl").map(str::to_owned));
                found.extend(inner.text("id").map(|id| format!("Patient/{id}")));
            }
        }
    }

    /// Nobody where nobody is told, or by a gateway's id. Only a subject by whose identifier the record is told is the person: what stands in elements that
    /// may name anything mentions them. By an identifier that somebody or something else here bears, too, either may be the subject.
    fn who(&self, named: Named<'_>, id: &str, known_as: &BTreeSet<String>) -> Vec<Who> {
        let (Named::Subject(node) | Named::Further(node)) = named else {
            let is_known = |patient: &Node| patient.text("id").is_some_and(|id| known_as.contains(&format!("Patient/{id}")));
            let is_person = matches!(named, Named::Patient(patient) if self.is_person(patient, id) || is_known(patient));
            return vec![if is_person { Who::Person } else { Who::Other }];
        };
        let is_subject = matches!(named, Named::Subject(_));
        match (node.text("reference"), node.get("identifier")) {
            (Some(reference), _) if known_as.contains(reference) => vec![Who::Person],
            (Some(reference), _) if reference.starts_with("Patient/") => Vec::new(),
            (None, Some(identifier)) if self.is_subjects(node, identifier) => match is_subject {
                true if self.may_be_others(node, identifier) => vec![Who::Person, Who::Other],
                true => vec![Who::Person],
                false => Vec::new(),
            },
            (None, None) if is_subject => vec![Who::Untold],
            (None, None) => Vec::new(),
            _ => vec![Who::Other],
        }
    }

    /// Whether a subject's identifier may be that of somebody or something else here, because nothing says that a Patient is meant.
    fn may_be_others(&self, subject: &Node, identifier: &Node) -> bool {
        let is_shared = |pair: Pair| self.others.contains(&pair) && !self.certain.contains(&pair);
        said_of(subject, "subject") != Said::Patient && parts(identifier).is_some_and(is_shared)
    }

    /// Whose record of a person it is.
    fn who_itself(&self, type_name: &str, resource: &Node) -> Option<Who> {
        let identifiers = resource.items("identifier");
        let is_one = type_name == PERSON && !identifiers.is_empty();
        let is_persons = |identifier: &Node| self.is_own(identifier) && self.stands_in(identifier);
        is_one.then(|| if identifiers.iter().any(is_persons) { Who::Person } else { Who::Other })
    }

    fn is_person(&self, patient: &Node, id: &str) -> bool {
        patient.text("id") == Some(id) || patient.items("identifier").iter().any(|identifier| self.is_own(identifier))
    }

    /// Whether a subject is the person, by an identifier: a clinician's number names the clinician where one is said to be meant.
    fn is_subjects(&self, subject: &Node, identifier: &Node) -> bool {
        self.is_own(identifier) && (said_of(subject, "subject") != Said::Other || self.stands_within(identifier, "identifier", Said::Other))
    }

    fn is_own(&self, identifier: &Node) -> bool {
        parts(identifier).is_some_and(|parts| self.own.contains(&parts))
    }
}

/// Who here bears identifiers: of each type, what bears a value is read once, however many systems the value is looked for in.
struct Bearers<'r, 'c> {
    reader: &'r Reader<'c>,
    definitions: &'static Definitions,
    person: &'r str,
    /// By type and value, in which systems; nothing where there are too many to be told.
    known: HashMap<(&'static str, String), Option<BTreeSet<String>>>,
}

impl Bearers<'_, '_> {
    /// Whether a resource of this type, and other than the person's, bears an identifier.
    fn have(&mut self, type_name: &'static str, (system, value): &Pair) -> Result<bool, Fault> {
        let key = (type_name, value.to_lowercase());
        if !self.known.contains_key(&key) {
            let found = self.systems_of(type_name, value)?;
            self.known.insert(key.clone(), found);
        }
        let systems = self.known.get(&key).and_then(Option::as_ref);
        Ok(systems.is_none_or(|systems| systems.contains(system)))
    }

    fn systems_of(&self, type_name: &str, value: &str) -> Result<Option<BTreeSet<String>>, Fault> {
        let pairs = [("identifier".to_owned(), escaped(value))];
        let query = Query::parse(self.definitions, type_name, &pairs, Handling::Strict)
            .map_err(|_| Fault::new(FaultKind::Internal, "the query for who bears an identifier does not parse"))?;
        let found = self.reader.first_candidates(&query, MAX_ALIKE)?;
        if found.len() == MAX_ALIKE {
            return Ok(None);
        }
        let mut systems = BTreeSet::new();
        let is_persons = |id: &str| type_name == "Patient" && id == self.person;
        for other in found.iter().filter(|found| !is_persons(&found.id)) {
            let borne = other.parse()?.items("identifier").iter().filter_map(parts).collect::<Vec<Pair>>();
            systems.extend(borne.into_iter().filter(|(_, own)| own.eq_ignore_ascii_case(value)).map(|(system, _)| system));
        }
        Ok(Some(systems))
    }
}

/// Of whom a resource, or a reference in an element, says that it is. A type may be told as a URL (R4 Reference.type).
fn said_of(node: &Node, element: &str) -> Said {
    let literal = node.text("reference").filter(|reference| !reference.starts_with('#'));
    let told = node.text("type").map(|name| name.rsplit('/').next().unwrap_or(name));
    match (node.text("resourceType"), literal, told) {
        (Some("Patient"), ..) => Said::Patient,
        (Some(type_name), ..) if PERSONS.contains(&type_name) => Said::Nothing,
        (Some(_), ..) => Said::Other,
        (None, Some(literal), _) if literal.contains("Patient/") => Said::Patient,
        // Somebody who bears the patient's number as whatever else a person is here is the patient.
        (None, Some(literal), _) if PERSONS.iter().any(|name| literal.contains(&format!("{name}/"))) => Said::Nothing,
        (None, None, Some(told)) if PERSONS.contains(&told) => Said::Nothing,
        (None, Some(literal), _) if literal.contains('/') => Said::Other,
        (None, _, Some("Patient")) => Said::Patient,
        (None, _, Some(_)) => Said::Other,
        (None, _, None) if NO_PERSONS.contains(&element) => Said::Other,
        (None, _, None) => Said::Nothing,
    }
}

fn parts(identifier: &Node) -> Option<Pair> {
    Some((identifier.text("system")?.to_owned(), identifier.text("value")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"{"system":"urn:ssn","value":"1-2"}"#;
    const FORMER: &str = r#"{"system":"urn:ssn","value":"0-0"}"#;
    const C: &str = r#"{"system":"urn:ssn","value":"7-7"}"#;

    fn identifiers() -> Identifiers {
        let patient = |text: &str| json::parse(format!(r#"{{"identifier":[{text},{{"value":"7"}}]}}"#).as_bytes(), 9).unwrap();
        Identifiers::of(&[patient(OWN), patient(&format!("{FORMER},{OWN}"))])
    }

    /// OWN, FORMER and C stand for identifiers, MINE for a Patient with the first, THEIRS for one with the last.
    #[test]
    fn a_resource_is_about_whom_it_has_as_subject_and_names_whoever_stands_in_it() {
        let cases: &[(&str, bool, &[Who])] = &[
            (r#"{"resourceType":"Observation","subject":{"identifier":OWN}}"#, true, &[Who::Person]),
            (r#"{"resourceType":"Observation","subject":{"identifier":FORMER}}"#, true, &[Who::Other]),
            (r#"{"resourceType":"Observation","subject":{"identifier":C}}"#, false, &[Who::Other]),
            (r##"{"resourceType":"Observation","contained":[MINE],"subject":{"reference":"#p"}}"##, true, &[Who::Person]),
            (
                r##"{"resourceType":"Observation","contained":[THEIRS],"subject":{"reference":"#p"},"performer":[{"identifier":OWN}]}"##,
                true,
                &[Who::Other],
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":MINE},{"resource":{"resourceType":"Patient"}}]}"#,
                true,
                &[Who::Person, Who::Other],
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:1","resource":MINE},{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"}}}]}"#,
                true,
                &[Who::Person],
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":MINE},{"resource":{"resourceType":"Observation","subject":{"reference":"https://e.example/Patient/9"}}}]}"#,
                true,
                &[Who::Person, Who::Other],
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":MINE},{"resource":{"resourceType":"Observation","subject":{"display":"Bob"}}}]}"#,
                true,
                &[Who::Person, Who::Untold],
            ),
            (
                r#"{"resourceType":"Observation","performer":[{"identifier":OWN}],"subject":{"identifier":{"value":"7"}}}"#,
                true,
                &[Who::Other],
            ),
            (r#"{"resourceType":"Observation","performer":[{"identifier":OWN}],"subject":{"reference":"Location/1"}}"#, true, &[]),
            (r#"{"resourceType":"Observation","performer":[{"identifier":OWN}],"subject":{"display":"Bob"}}"#, true, &[Who::Untold]),
            (r#"{"resourceType":"Group","member":[{"entity":{"identifier":OWN}},{"entity":{"identifier":C}}]}"#, true, &[Who::Other]),
            (r#"{"resourceType":"Group","member":[{"entity":{"identifier":OWN}}]}"#, true, &[]),
            (r#"{"resourceType":"List","entry":[{"item":{"identifier":OWN}},{"item":{"identifier":C}}]}"#, true, &[]),
            (r#"{"resourceType":"Schedule","actor":[{"identifier":OWN},{"display":"Room 7"}]}"#, true, &[]),
            (r#"{"resourceType":"Organization","extension":[{"url":"urn:x","valueIdentifier":OWN}]}"#, true, &[]),
            (r#"{"resourceType":"Person","identifier":[OWN]}"#, true, &[Who::Person]),
            (r#"{"resourceType":"Person","identifier":[C],"link":[{"target":{"identifier":OWN}}]}"#, true, &[Who::Other]),
            (r#"{"resourceType":"RelatedPerson","identifier":[OWN],"patient":{"identifier":C}}"#, true, &[Who::Other]),
            (r#"{"resourceType":"Practitioner","identifier":[OWN]}"#, false, &[]),
            ("MINE", false, &[]),
            (r#"{"resourceType":"Observation","subject":{"identifier":{"system":"urn:mrn","value":"1-2"}}}"#, false, &[Who::Other]),
        ];
        for (text, person, subjects) in cases {
            let patient = |identifier: &str| format!(r#"{{"resourceType":"Patient","id":"p","identifier":[{identifier}]}}"#);
            let text = text.replace("MINE", &patient(OWN)).replace("THEIRS", &patient(C)).replace("OWN", OWN).replace("FORMER", FORMER);
            let text = text.replace("identifier\":C", &format!("identifier\":{C}")).replace("[C]", &format!("[{C}]"));
            let found = identifiers().naming(&json::parse(text.as_bytes(), 99).unwrap(), "hg-a");
            assert_eq!((found.person, found.subjects), (*person, subjects.iter().copied().collect()), "{text}");
        }
        assert_eq!(identifiers().words(), [r#""value":"0-0""#, r#""value":"1-2""#]);
    }

    /// Of whom a record is whose subject is named by a number that something else here bears too, in a system of persons and in another.
    #[test]
    fn who_a_subject_is_whose_number_something_else_bears_is_not_told() {
        for (system, subject, expected) in [
            ("urn:mrn", "", vec![Who::Person, Who::Other]),
            ("urn:mrn", r#""type":"Patient","#, vec![Who::Person]),
            ("urn:mrn", r#""type":"Device","#, Vec::new()),
            ("urn:ssn", "", vec![Who::Person]),
        ] {
            let own = OWN.replace("urn:ssn", system);
            let patient = json::parse(format!(r#"{{"identifier":[{own}]}}"#).as_bytes(), 9).unwrap();
            let pair = BTreeSet::from([(system.to_owned(), "1-2".to_owned())]);
            let certain = if system == "urn:ssn" { pair.clone() } else { BTreeSet::new() };
            let known = Identifiers { others: pair, certain, ..Identifiers::of(std::iter::once(&patient)) };
            let text = format!(r#"{{"resourceType":"Observation","subject":{{{subject}"identifier":{own}}}}}"#);
            let naming = known.naming(&json::parse(text.as_bytes(), 9).unwrap(), "hg-a");
            assert_eq!(naming.subjects, expected.iter().copied().collect(), "{text}");
            assert_eq!(naming.person, expected.contains(&Who::Person), "{text}");
        }
    }

    /// OWN stands for a number that a Practitioner here bears, too: of a registry of those, and of another.
    #[test]
    fn a_clinicians_number_names_the_patient_where_a_patient_is_meant() {
        let cases: &[(&str, bool, bool)] = &[
            (r#"{"resourceType":"Observation","performer":[{"identifier":OWN}]}"#, false, true),
            (r#"{"resourceType":"Observation","performer":[{"type":"Practitioner","identifier":OWN}]}"#, false, false),
            (r#"{"resourceType":"Observation","performer":[{"reference":"Practitioner/d1","identifier":OWN}]}"#, false, false),
            (r#"{"resourceType":"Observation","performer":[{"type":"Patient","identifier":OWN}]}"#, true, true),
            (r#"{"resourceType":"Observation","performer":[{"reference":"https://e.example/Patient/9","identifier":OWN}]}"#, true, true),
            (r#"{"resourceType":"Observation","subject":{"identifier":OWN}}"#, true, true),
            (r#"{"resourceType":"Observation","subject":{"type":"Patient","identifier":OWN}}"#, true, true),
            (
                r#"{"resourceType":"Observation","focus":[{"type":"http://hl7.org/fhir/StructureDefinition/Patient","identifier":OWN}]}"#,
                true,
                true,
            ),
            (r#"{"resourceType":"Group","member":[{"entity":{"identifier":OWN}}]}"#, false, true),
            (r#"{"resourceType":"Flag","subject":{"type":"Practitioner","identifier":OWN}}"#, false, false),
            (r#"{"resourceType":"Observation","contained":[{"resourceType":"Practitioner","id":"d","identifier":[OWN]}]}"#, false, false),
            (r#"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p","identifier":[OWN]}]}"#, true, true),
            (r#"{"resourceType":"Observation","extension":[{"url":"urn:x","valueIdentifier":OWN}]}"#, false, true),
            (r#"{"resourceType":"Person","identifier":[OWN]}"#, false, true),
            (r#"{"resourceType":"RelatedPerson","identifier":[OWN]}"#, false, true),
            (r#"{"resourceType":"Observation","encounter":{"identifier":OWN}}"#, false, false),
            (r#"{"resourceType":"Observation","device":{"identifier":OWN},"specimen":{"identifier":OWN}}"#, false, false),
            (r#"{"resourceType":"Observation","performer":[{"type":"RelatedPerson","identifier":OWN}]}"#, false, true),
            (r#"{"resourceType":"Person","link":[{"target":{"type":"Person","identifier":OWN}}]}"#, false, true),
            (r#"{"resourceType":"Person","link":[{"target":{"reference":"https://e.example/Person/9","identifier":OWN}}]}"#, false, true),
            (r#"{"resourceType":"Procedure","basedOn":[{"type":"ServiceRequest","identifier":OWN}]}"#, false, false),
            (r#"{"resourceType":"ServiceRequest","requisition":OWN}"#, false, false),
            (r#"{"resourceType":"Procedure","contained":[{"resourceType":"Location","identifier":[OWN]}]}"#, false, false),
        ];
        for (text, of_a_registry, of_another) in cases {
            for (system, named) in [(REGISTRIES[0], of_a_registry), ("urn:mrn", of_another), ("urn:ssn", &true)] {
                let own = OWN.replace("urn:ssn", system);
                let patient = json::parse(format!(r#"{{"identifier":[{own}]}}"#).as_bytes(), 9).unwrap();
                let pair = BTreeSet::from([(system.to_owned(), "1-2".to_owned())]);
                let certain = if system == "urn:ssn" { pair.clone() } else { BTreeSet::new() };
                let known = Identifiers { others: pair, certain, ..Identifiers::of(std::iter::once(&patient)) };
                let resource = json::parse(text.replace("OWN", &own).as_bytes(), 99).unwrap();
                assert_eq!(known.naming(&resource, "hg-a").person, *named, "{system} {text}");
            }
        }
    }
}
