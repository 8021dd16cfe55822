use super::*;
use std::path::Path;

const PARTIES: &str = r#"
[identity]
person_identifier_systems = ["urn:oid:1.1"]

[source.hospital]
organisation = { reference = "Organization/hospital" }

[source.clinic-feed]
organisation = { reference = "Organization/clinic" }

[[holder]]
name = "hospital"
base_url = "https://hospital.example.org/fhir"
organisation = { reference = "Organization/hospital" }
identifier_systems = ["urn:oid:1.2"]

[[holder]]
name = "clinic"
base_url = "https://clinic.example.org/fhir"
organisation = { reference = "Organization/clinic" }
source = "clinic-feed"
identifier_systems = ["urn:oid:1.3"]

[[holder]]
name = "other"
base_url = "https://other.example.org/fhir"
organisation = { reference = "Organization/other" }
identifier_systems = ["urn:oid:1.2"]

[[destination]]
name = "everything"
base_url = "https://a.example.org"
organisation = { reference = "Organization/a" }
purpose = "TREAT"
types = ["*"]

[[destination]]
name = "laboratory-results"
base_url = "https://b.example.org"
organisation = { reference = "Organization/b" }
purpose = "TREAT"
types = ["Observation", "DiagnosticReport"]

[[destination]]
name = "two-patients"
base_url = "https://c.example.org"
organisation = { reference = "Organization/c" }
purpose = "TREAT"
types = ["*"]
patients = ["Patient/p1", "urn:oid:1.2|17"]
"#;

fn registry() -> Registry {
    Registry::new(&Settings::from_toml(PARTIES, Path::new("")).unwrap(), str::to_owned)
}

#[test]
fn destinations_are_chosen_by_type_and_patient() {
    let registry = registry();
    let numbered = [Identifier { system: "urn:oid:1.2".into(), value: "17".into() }];
    let elsewhere = [Identifier { system: "urn:oid:1.3".into(), value: "17".into() }];
    let check = |type_name: &str, patient: Option<(&str, &[Identifier])>, expected: &[&str]| {
        let facts = patient.map(|(reference, identifiers)| PatientFacts { reference, identifiers });
        let names: Vec<&str> = registry.destinations_for(type_name, facts).map(|destination| destination.name.as_str()).collect();
        assert_eq!(names, expected, "{type_name} of {patient:?}");
    };
    check("Observation", Some(("Patient/p1", &[])), &["everything", "laboratory-results", "two-patients"]);
    check("Condition", Some(("Patient/p2", &numbered)), &["everything", "two-patients"]);
    check("Condition", Some(("Patient/p2", &elsewhere)), &["everything"]);
    check("Observation", Some(("Patient/p2", &[])), &["everything", "laboratory-results"]);
    check("Organization", None, &["everything"]);
}

#[test]
fn parties_are_found_by_name() {
    let registry = registry();
    assert!(registry.client("nobody").is_none());
    assert!(registry.source("hospital").is_some() && registry.source("clinic").is_none());
    let source_of = |name: &str| registry.source_of_holder(registry.holder(name).unwrap()).map(|(name, _)| name);
    assert_eq!((source_of("hospital"), source_of("clinic"), source_of("other")), (Some("hospital"), Some("clinic-feed"), None));
    assert!(registry.destination("everything").is_some() && registry.destination("nothing").is_none());
}

#[test]
fn person_systems_are_those_declared() {
    let registry = registry();
    for (system, expected) in [("urn:oid:1.1", true), ("urn:oid:1.2", true), ("urn:oid:1.3", true), ("urn:oid:1.4", false), ("", false)] {
        assert_eq!(registry.is_person_system(system), expected, "{system}");
    }
}

#[test]
fn the_dev_client_exists_only_with_dev() {
    let mut settings = Settings::default();
    assert!(Registry::new(&settings, str::to_owned).client(DEV_NAME).is_none());
    settings.enable_dev().unwrap();
    let registry = Registry::new(&settings, str::to_owned);
    let source = registry.client(DEV_NAME).and_then(|client| client.source.as_deref());
    assert!(source.is_some_and(|name| registry.source(name).is_some()));
}

/// An organisation is the same wherever the file names it by one reference, and its identifier is said once.
#[test]
fn an_organisation_has_its_identifier_wherever_its_reference_stands() {
    let said = r#"organisation = { reference = "Organization/hospital", identifier = { system = "urn:oid:1.9", value = "H" } }"#;
    let alone = r#"organisation = { reference = "Organization/hospital" }"#;
    let settings = |text: &str| Settings::from_toml(text, Path::new("")).unwrap();
    let registry = Registry::new(&settings(&PARTIES.replacen(alone, said, 1)), str::to_owned);
    let hospital = &registry.holder("hospital").unwrap().organisation;
    assert_eq!(hospital.key(), "urn:oid:1.9|H");
    assert_eq!(registry.sources_of(hospital).collect::<Vec<_>>(), ["hospital"]);
    assert_eq!(registry.sources_of(&registry.holder("other").unwrap().organisation).count(), 0);
    // Where two are said, nobody can tell which is meant.
    let two = PARTIES.replacen(alone, said, 1).replacen(
        "Organization/other\" }",
        "Organization/hospital\", identifier = { system = \"urn:oid:1.9\", value = \"I\" } }",
        1,
    );
    assert_eq!(Registry::new(&settings(&two), str::to_owned).holder("hospital").unwrap().organisation.key(), "Organization/hospital");
}
