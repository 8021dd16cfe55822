//! The gate's decisions, the tables' completeness, and whole resources through them.

use super::table::{Conversions, row_lines};
use super::{Release, conversion_table};
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::normalise::tests::{run_typed, source};
use std::path::Path;

#[test]
fn releases_by_name_and_number() {
    for (text, release) in [
        ("STU3", Some(Release::Stu3)),
        ("3.0.2", Some(Release::Stu3)),
        ("4.0", Some(Release::R4)),
        ("4.0.1", Some(Release::R4)),
        ("4.3.0", Some(Release::R4B)),
        ("5.0", Some(Release::R5)),
        ("1.0.2", Some(Release::Dstu2)),
        ("r4b", Some(Release::R4B)),
        ("4.2.0", None),
        ("4", None),
        ("6.1.0", None),
        ("", None),
    ] {
        assert_eq!(Release::parse(text), release, "{text}");
    }
}

#[test]
fn every_row_is_read_and_stands_on_an_r4_element() {
    let types = Definitions::embedded().types();
    for (release, text) in [
        (Release::Stu3, include_str!("../facts/conversions-stu3.tsv")),
        (Release::R4B, include_str!("../facts/conversions-r4b.tsv")),
        (Release::R5, include_str!("../facts/conversions-r5.tsv")),
    ] {
        let conversions = Conversions::of(release).unwrap();
        let rows = conversions.types().iter().map(|name| conversions.rows_of_type(name).len()).sum::<usize>()
            + conversions.rows_of_data_types().len();
        assert_eq!(rows, row_lines(text), "{}", release.name());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let container = line.split('\t').next().unwrap();
            assert!(types.elements().iter().any(|element| element.path == container), "{container} is no element of R4");
        }
    }
}

/// With `HEARTHGATE_BLESS` set, the published table is written anew.
#[test]
fn the_published_table_is_the_codes_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/normalise/CONVERSIONS.md");
    if std::env::var_os("HEARTHGATE_BLESS").is_some() {
        std::fs::write(&path, conversion_table()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), conversion_table());
}

/// What the gate says of a resource: the message ids of its own findings.
fn gate(text: &str) -> Vec<&'static str> {
    let done = run_typed(text, &source());
    done.findings.iter().map(|finding| finding.message_id).filter(|id| id.starts_with("version-")).collect()
}

#[test]
fn telling_apart() {
    for (text, said) in [
        (r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"encounter":{"display":"e"}}"#, &[][..]),
        // By shape.
        (r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"context":{"display":"e"}}"#, &["version-converted"]),
        (
            r#"{"resourceType":"Condition","clinicalStatus":"active","subject":{"display":"p"},"assertedDate":"2020"}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"Procedure","status":"completed","subject":{"display":"p"},"performer":[{"role":{"text":"r"},"actor":{"display":"a"}}]}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","medication":{"concept":{"text":"m"}},"subject":{"display":"p"}}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"Encounter","status":"completed","class":[{"text":"x"}],"actualPeriod":{"start":"2020"}}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"display":"p"},"period":{"start":"2020"},"reason":[{"text":"r"}]}"#,
            &["version-converted"],
        ),
        // DSTU2 and types nobody converts.
        (r#"{"resourceType":"MedicationOrder","status":"active"}"#, &["version-refused"]),
        (r#"{"resourceType":"Patient","careProvider":[{"display":"x"}]}"#, &["version-refused"]),
        (r#"{"resourceType":"Transport","status":"completed"}"#, &["version-refused"]),
        (r#"{"resourceType":"Ingredient","status":"active"}"#, &["version-unclear"]),
        (r#"{"resourceType":"ProcedureRequest","status":"active"}"#, &["version-unclear"]),
        (r#"{"resourceType":"Group","membership":"enumerated"}"#, &["version-refused"]),
        // Two releases fit, and only a declaration helps.
        (r#"{"resourceType":"Patient","animal":{"species":{"text":"dog"}}}"#, &["version-unclear"]),
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient|3.0.1"]},"animal":{"species":{"text":"dog"}}}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/1.0/StructureDefinition/Patient"]},"gender":"male"}"#,
            &["version-refused"],
        ),
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient|4.3.0"]},"gender":"male"}"#,
            &["version-converted"],
        ),
        // R4 with a member nobody knows is R4, and validation names the member.
        (r#"{"resourceType":"Patient","nonsense":1}"#, &[]),
        (r#"{"resourceType":"Nonsense"}"#, &[]),
        // Elements of two releases, one of them R4 or not.
        (
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"encounter":{"display":"e"},"comment":"x"}"#,
            &["version-mixed"],
        ),
        (
            r#"{"resourceType":"Patient","careProvider":[{"display":"x"}],"animal":{"species":{"text":"x"}},"contact":[],"nonsense":1}"#,
            &["version-mixed"],
        ),
        (
            r#"{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/5.0/StructureDefinition/Observation"]},"status":"final","code":{"text":"x"},"context":{"display":"e"}}"#,
            &["version-mixed"],
        ),
        // Older shapes inside.
        (r#"{"resourceType":"Patient","name":[{"family":["Doe"],"given":["J"]}]}"#, &["version-refused"]),
        (r#"{"resourceType":"Patient","contact":[{"name":{"family":["Doe"]}}]}"#, &["version-refused"]),
        (r#"{"resourceType":"Provenance","agent":[{"whoReference":{"display":"x"}}]}"#, &["version-unclear"]),
        (r#"{"resourceType":"CareTeam","participant":[{"role":{"text":"x"}}]}"#, &["version-unclear"]),
        // What is contained is of its container's release.
        (
            r#"{"resourceType":"Basic","code":{"text":"x"},"contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"context":{"display":"e"}}]}"#,
            &["version-refused"],
        ),
        (
            r#"{"resourceType":"Procedure","status":"completed","subject":{"display":"p"},"contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"context":{"display":"e"}}]}"#,
            &["version-converted"],
        ),
        (
            r#"{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"},"encounter":{"display":"e"},"resultsInterpreter":[{"display":"x"}],"contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"context":{"display":"e"}}]}"#,
            &["version-mixed"],
        ),
        (
            r#"{"resourceType":"Basic","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"o","animal":{"species":{"text":"x"}}}]}"#,
            &["version-unclear"],
        ),
        // A guide's version is not FHIR's.
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|3.0.0"]},"gender":"male"}"#,
            &[],
        ),
        // What R5 allows in an element that R4 has too, and demands or reads the rest by.
        (
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"triggeredBy":[{"observation":{"display":"o"},"type":"reflex"}],"valueQuantity":{"value":1,"comparator":"ad"}}"#,
            &["version-element-refused"],
        ),
        (
            r#"{"resourceType":"Procedure","status":"completed","subject":{"reference":"Organization/1"},"occurrenceDateTime":"2024"}"#,
            &["version-element-refused"],
        ),
        // What R4 cannot say.
        (
            r#"{"resourceType":"Location","form":{"text":"room"},"hoursOfOperation":{"availableTime":[{"allDay":true}],"notAvailableTime":[{"description":"holiday"}]}}"#,
            &["version-element-refused"],
        ),
    ] {
        assert_eq!(gate(text), said, "{text}");
    }
}

#[test]
fn a_source_declares_its_release() {
    let text = r#"{"resourceType":"Patient","animal":{"species":{"text":"dog"}}}"#;
    let mut declared = source();
    declared.release = Some(Release::Stu3);
    let done = run_typed(text, &declared);
    assert!(!done.is_refused());
    assert_eq!(done.resource.items("extension").len(), 1);
    // Declared or not, what is R4 already is left alone.
    let r4 = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"interpretation":[{"text":"high"}]}"#;
    assert!(run_typed(r4, &declared).changes.is_empty());
}

/// What the media type says counts, and what it and the resource say must be one.
#[test]
fn a_message_declares_its_release() {
    let definitions = Definitions::embedded();
    let (source, ids, links) = (source(), crate::normalise::GatewayIds::new([7; 32]), crate::normalise::Links::new());
    for (text, declared, said) in [
        (r#"{"resourceType":"Patient","animal":{"species":{"text":"dog"}}}"#, Release::Stu3, "version-converted"),
        (r#"{"resourceType":"Patient","gender":"male"}"#, Release::Dstu2, "version-refused"),
        (r#"{"resourceType":"Patient","gender":"male"}"#, Release::R4, ""),
        (r#"{"resourceType":"Patient","gender":"male"}"#, Release::R5, "version-converted"),
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient|3.0.1"]}}"#,
            Release::R5,
            "version-unclear",
        ),
        (
            r#"{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient|3.0.1"]}}"#,
            Release::Stu3,
            "version-converted",
        ),
    ] {
        let context =
            crate::normalise::Context { source: &source, ids: &ids, links: &links, types: definitions.types(), declared: Some(declared) };
        let done = crate::normalise::normalise(json::parse(text.as_bytes(), 64).unwrap(), &context);
        let found = done.findings.iter().map(|finding| finding.message_id).find(|id| id.starts_with("version-"));
        assert_eq!(found.unwrap_or_default(), said, "{text} as {}", declared.name());
    }
}

#[test]
fn contained_resources_come_along() {
    let text = |inner: &str| {
        format!(
            r#"{{"resourceType":"Observation","contained":[{inner}],"status":"final","code":{{"text":"x"}},"context":{{"display":"e"}}}}"#
        )
    };
    let done = run_typed(
        &text(r##"{"resourceType":"Procedure","id":"p","status":"suspended","subject":{"display":"x"},"notDone":false}"##),
        &source(),
    );
    assert!(!done.is_refused(), "{:?}", done.findings);
    assert_eq!(done.resource.items("contained")[0].text("status"), Some("on-hold"));
    assert!(!run_typed(&text(r#"{"resourceType":"Organization","id":"o","name":"x"}"#), &source()).is_refused());
    assert!(run_typed(&text(r#"{"resourceType":"DeviceComponent","id":"o"}"#), &source()).is_refused());
}

/// Every example of R4B is R4 to the gate, converted, or refused by a rule of the table; and what comes out has R4's elements only.
#[test]
fn r4b_examples() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/packages/hl7.fhir.r4b.core-4.3.0.tgz");
    let Ok(file) = std::fs::File::open(&package) else {
        println!("skipped: {} is not there", package.display());
        return;
    };
    let definitions = Definitions::embedded();
    let (mut passed, mut refused) = (0, std::collections::BTreeMap::<String, usize>::new());
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(file)).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let is_example = name.starts_with("package/other/") || name.starts_with("package/example");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let Ok(resource) = json::parse(&bytes, json::DEFAULT_DEPTH) else { continue };
        let Some(type_name) = resource.resource_type().map(str::to_owned) else { continue };
        if !is_example && matches!(type_name.as_str(), "StructureDefinition" | "ValueSet" | "CodeSystem" | "SearchParameter") {
            continue;
        }
        let text = json::write(&resource);
        let done = run_typed(&text, &source());
        if done.findings.iter().any(|finding| finding.message_id.starts_with("version-") && finding.is_error()) {
            *refused.entry(type_name).or_default() += 1;
        } else {
            passed += 1;
            assert!(
                unknown_members(definitions, &done.resource).is_empty() || type_name == "Bundle",
                "{name}: {:?}",
                unknown_members(definitions, &done.resource)
            );
        }
    }
    println!("{passed} pass, refused: {refused:?}");
}

fn unknown_members(definitions: &Definitions, resource: &Node) -> Vec<String> {
    let findings = crate::validate::check(definitions, resource, &crate::validate::Options::default());
    findings
        .into_iter()
        .filter(|finding| finding.is_error() && finding.message_id.contains("nknown"))
        .map(|finding| format!("{} {}", finding.expression, finding.text))
        .collect()
}

/// What R5 and R4 allow differently in an element of the same name is valid R4 in the end, and nothing of it is lost.
#[test]
fn what_was_widened_is_carried() {
    let definitions = Definitions::embedded();
    for (text, carried) in [
        (
            r#"{"resourceType":"DocumentReference","status":"current","docStatus":"registered","subject":{"reference":"Location/1"},"author":[{"reference":"CareTeam/1"},{"reference":"Practitioner/2"}],"context":[{"reference":"Appointment/3"},{"reference":"Encounter/1"}],"attester":[{"mode":{"text":"x"}}],"content":[{"attachment":{"contentType":"text/plain"}}]}"#,
            &["DocumentReference.context", "DocumentReference.docStatus", "DocumentReference.author", "DocumentReference.subject"][..],
        ),
        (
            r#"{"resourceType":"Encounter","status":"completed","class":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}]}],"participant":[{"actor":{"reference":"Patient/1"}},{"actor":{"reference":"https://x/HealthcareService/1/_history/2"}},{"actor":{"reference":"Practitioner/1"}}],"actualPeriod":{"start":"2024"}}"#,
            &["Encounter.participant.actor", "Encounter.participant.actor"],
        ),
    ] {
        let done = run_typed(text, &source());
        assert!(!done.is_refused(), "{:?}", done.findings);
        let found = crate::validate::check(definitions, &done.resource, &crate::validate::Options::default());
        let errors: Vec<_> = found.iter().filter(|finding| finding.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let written = json::write(&done.resource);
        for path in carried {
            let url = format!("http://hl7.org/fhir/5.0/StructureDefinition/extension-{path}\"");
            let expected = carried.iter().filter(|other| *other == path).count();
            assert_eq!(written.matches(&url).count(), expected, "{path} in {written}");
        }
    }
}
