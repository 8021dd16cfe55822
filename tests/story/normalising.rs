//! One form for what every partner says in its own way: names of systems, references, ids, units; with every change on record.

use crate::support::World;
use crate::support::data::{MRN, bundle, creates, observation, patient, person};
use crate::support::world::PERSON;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_have_one_name_however_they_were_called() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut by_oid = patient("1");
    by_oid["identifier"][0] = json!({"system": "urn:oid:2.16.840.1.113883.4.1", "value": "999-11-2222"});
    let stored = a.post("Patient", &by_oid).await.expect(201).json();
    assert_eq!(stored["identifier"][0]["system"], PERSON);
    let mut seen = observation(&format!("Patient/{}", stored["id"].as_str().unwrap()));
    seen["code"]["coding"][0]["system"] = json!("urn:oid:2.16.840.1.113883.6.1");
    let seen = a.post("Observation", &seen).await.expect(201).json();
    assert_eq!(seen["code"]["coding"][0]["system"], "http://loinc.org");
    // It is found by either name, and a condition by either name means it.
    for system in [PERSON, "urn:oid:2.16.840.1.113883.4.1"] {
        assert_eq!(a.search(&format!("Patient?identifier={system}|999-11-2222")).await.len(), 1, "{system}");
        let again = a
            .call(crate::support::Call::post("Patient", &by_oid).header("if-none-exist", &format!("identifier={system}|999-11-2222")))
            .await;
        assert_eq!(again.expect(200).json()["id"], stored["id"], "{system}");
    }
    // Each change is in the Provenance: rule, place, and digests of before and after.
    let provenance = a.search(&format!("Provenance?target=Patient/{}", stored["id"].as_str().unwrap())).await;
    let text = provenance[0].to_string();
    for named in ["identifier-systems", "Patient.identifier[0].system"] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    assert!(!text.contains("999-11-2222"), "the lineage holds digests, not data");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_lead_to_the_gateways_ids() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut own = patient("7");
    own["id"] = json!("p.7");
    let id = a.put("Patient/p.7", &own).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let expected = format!("Patient/{id}");
    for reference in [
        "Patient/p.7".to_owned(),
        "Patient/p.7/_history/3".to_owned(),
        "https://ehr.hospital-a.example/fhir/Patient/p.7".to_owned(),
        expected.clone(),
        format!("{}/fhir/{expected}", world.origin),
        format!("{}/fhir/{expected}/_history/1", world.origin),
    ] {
        let seen = a.post("Observation", &observation(&reference)).await.expect(201).json();
        assert_eq!(seen["subject"]["reference"], expected, "{reference}");
    }
    assert_eq!(a.search(&format!("Observation?patient={id}")).await.len(), 6);
    assert_eq!(a.search("Observation?patient=p.7").await.len(), 6, "asked by its own id as well");
    // The same words of another partner mean another patient, whether or not it has sent one.
    let theirs = b.post("Observation", &observation("Patient/p.7")).await.expect(201).json();
    assert_ne!(theirs["subject"]["reference"], expected);
    // A reference to somebody else's server stays what it is.
    let foreign = a.post("Observation", &observation("https://other.example/fhir/Patient/1")).await.expect(201).json();
    assert_eq!(foreign["subject"]["reference"], "https://other.example/fhir/Patient/1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_laboratory_names_a_patient_it_never_sent() {
    let world = World::start().await;
    let (a, laboratory) = (world.party("hospital-a").await, world.party("laboratory").await);
    let id = a.create(&person("999-11-2222")).await;
    let result =
        |criteria: &str| bundle("transaction", vec![creates("urn:uuid:1", observation(&format!("Patient?identifier={criteria}")))]);
    let answer = laboratory.post("", &result(&format!("{PERSON}|999-11-2222"))).await.expect(200).json();
    let seen = laboratory.get(answer["entry"][0]["response"]["location"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(seen["subject"]["reference"], format!("Patient/{id}"));
    // By a number that is not a person's, it finds only what it sent itself.
    laboratory.post("", &result(&format!("{MRN}|999-11-2222"))).await.expect(422);
    // Naming the patient shows nothing of the patient.
    laboratory.get(&format!("Patient/{id}")).await.expect(404);
    assert!(laboratory.search(&format!("Patient?identifier={PERSON}|999-11-2222")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_clinical_is_invented_lost_or_rounded() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut odd = observation("Patient/1");
    odd["valueQuantity"] = json!({"value": 0, "unit": " mg / dL ", "system": "http://unitsofmeasure.org", "code": "mg/dL"});
    odd["effectiveDateTime"] = json!("2026-11");
    odd["note"] = json!([{"text": "  two  blanks kept inside  "}]);
    odd["component"] = json!([{"code": {"text": "remark"}, "valueString": "scanty growth after two days"}]);
    let stored: Value = a.post("Observation", &odd).await.expect(201).json();
    assert_eq!(stored["effectiveDateTime"], "2026-11", "a date keeps its precision");
    assert_eq!(stored["valueQuantity"]["code"], "mg/dL");
    assert_eq!(stored["component"][0]["valueString"], "scanty growth after two days");
    assert!(stored["note"][0]["text"].as_str().unwrap().contains("two  blanks kept inside"));
}
