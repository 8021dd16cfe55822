//! What the people of the story have on file. All of it is invented.

use crate::fhir::{Node, Object, json};
use crate::normalise::canonical_system;
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;

/// The system of the identifier by which everybody knows the patient.
pub const PERSON_SYSTEM: &str = "http://hl7.org/fhir/sid/us-ssn";
/// The identifier in the embedded records; that of the story's patient takes its place.
const EMBEDDED_IDENTIFIER: &str = "999-41-2386";
/// The largest bundle that is read.
const MAX_BUNDLE_BYTES: u64 = 64 * 1024 * 1024;

pub const GATEWAY: &str = include_str!("../../fixtures/demo/gateway.toml");
pub const HOSPITAL_A_BUNDLE: &str = include_str!("../../fixtures/demo/hospital-a-bundle.json");
pub const HOSPITAL_A_SERVER: &str = include_str!("../../fixtures/demo/hospital-a-server.json");
pub const HOSPITAL_B_SERVER: &str = include_str!("../../fixtures/demo/hospital-b-server.json");
pub const LABORATORY_REPORT: &str = include_str!("../../fixtures/demo/laboratory-report.json");
pub const LABORATORY_REFUSED: &str = include_str!("../../fixtures/demo/laboratory-refused.json");
pub const CONSENT: &str = include_str!("../../fixtures/demo/consent.json");

/// A Bundle to be pushed: what it is called and its bytes, unpacked.
pub struct BundleFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl BundleFile {
    pub fn embedded() -> BundleFile {
        BundleFile { name: "fixtures/demo/hospital-a-bundle.json".to_owned(), bytes: HOSPITAL_A_BUNDLE.as_bytes().to_vec() }
    }

    /// Reads a file, `.json` or `.json.gz`.
    pub fn read(path: &Path) -> Result<BundleFile, String> {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = std::fs::File::open(path).map_err(wrong)?;
        let mut reader: Box<dyn Read> = if name.ends_with(".gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut bytes = Vec::new();
        let size = reader.by_ref().take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
        if size as u64 > MAX_BUNDLE_BYTES {
            return Err(format!("{}: is larger than {MAX_BUNDLE_BYTES} bytes", path.display()));
        }
        Ok(BundleFile { name, bytes })
    }

    /// How many entries it has, when it can be read.
    pub fn entries(&self) -> usize {
        json::parse(&self.bytes, json::DEFAULT_DEPTH).map_or(0, |bundle| bundle.items("entry").len())
    }

    /// The first patient in it who can be told by the identifier everybody uses.
    pub fn person(&self) -> Option<Person> {
        let bundle = json::parse(&self.bytes, json::DEFAULT_DEPTH).ok()?;
        bundle.items("entry").iter().enumerate().find_map(|(index, entry)| Person::of(entry.get("resource")?, index))
    }
}

/// The patient the story is about, as its first record tells.
pub struct Person {
    /// The value of [`PERSON_SYSTEM`].
    pub identifier: String,
    pub name: String,
    /// Which entry of its Bundle it is.
    pub entry: usize,
    record: Node,
}

impl Person {
    fn of(patient: &Node, entry: usize) -> Option<Person> {
        let patient = Some(patient).filter(|patient| patient.resource_type() == Some("Patient"))?;
        let names_person = |identifier: &&Node| {
            let system = identifier.text("system").unwrap_or_default();
            canonical_system(system).as_deref().unwrap_or(system) == PERSON_SYSTEM
        };
        let identifier = patient.items("identifier").iter().find(names_person)?.text("value")?.to_owned();
        let name = patient.items("name").first()?;
        let given = name.items("given").first().and_then(Node::as_text).unwrap_or_default();
        let name = format!("{given} {}", name.text("family").unwrap_or_default()).trim().to_owned();
        Some(Person { identifier, name, entry, record: patient.clone() })
    }

    /// An embedded text about the patient of the embedded records, made one about this person.
    pub fn about(&self, text: &str) -> String {
        text.replace(EMBEDDED_IDENTIFIER, &self.identifier)
    }

    /// The resources of an embedded collection, about this person.
    pub fn records(&self, collection: &str) -> Vec<Node> {
        let bundle = json::parse(self.about(collection).as_bytes(), json::DEFAULT_DEPTH).unwrap_or_else(|_| Object::new().into());
        let mut records: Vec<Node> = bundle.items("entry").iter().filter_map(|entry| entry.get("resource").cloned()).collect();
        for patient in records.iter_mut().filter(|record| record.resource_type() == Some("Patient")) {
            for member in ["name", "gender", "birthDate"] {
                if let (Some(object), Some(value)) = (patient.as_object_mut(), self.record.get(member)) {
                    object.set(member, value.clone());
                }
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_records_are_about_one_person() {
        let bundle = BundleFile::embedded();
        let person = bundle.person().unwrap();
        assert_eq!((person.identifier.as_str(), person.name.as_str(), person.entry), (EMBEDDED_IDENTIFIER, "Rosalind Ashdown", 0));
        assert_eq!(bundle.entries(), 9);
        for text in [HOSPITAL_A_SERVER, HOSPITAL_B_SERVER] {
            let records = person.records(text);
            let patients: Vec<&Node> = records.iter().filter(|record| record.resource_type() == Some("Patient")).collect();
            assert_eq!(patients.len(), 1);
            assert!(records.len() > 2);
        }
        for text in [LABORATORY_REPORT, LABORATORY_REFUSED] {
            assert!(text.contains(EMBEDDED_IDENTIFIER));
            assert!(json::parse(text.as_bytes(), json::DEFAULT_DEPTH).is_ok());
        }
    }
}
