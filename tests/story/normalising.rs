//! One form for what every partner says in its own way: names of systems, references, ids, units; with every change on record.

use crate::support::data::{MRN, bundle, creates, observation, patient, permit, person};
use crate::support::world::PERSON;
use crate::support::{Setup, World};
use hearthgate::config::DataKind;
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
    // Into the system of another source of this gateway nobody refers by that system's URLs.
    let across = b.post("Observation", &observation("https://ehr.hospital-a.example/fhir/Patient/p.7")).await.expect(422).json();
    assert!(across["issue"][0]["details"]["text"].as_str().unwrap().contains("another source of this gateway"), "{across}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_is_converted_or_refused_by_name() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut old = observation("Patient/1");
    old["context"] = json!({"reference": "Encounter/e"});
    old["comment"] = json!("seen twice");
    old["interpretation"] = json!({"coding": [{"system": "http://hl7.org/fhir/v2/0078", "code": "H"}]});
    let stored = a.post("Observation", &old).await.expect(201).json();
    assert_eq!(stored["note"][0]["text"], "seen twice");
    assert_eq!(stored["interpretation"][0]["coding"][1]["code"], "H");
    assert!(stored["encounter"]["reference"].as_str().unwrap().starts_with("Encounter/hg-"));
    let provenance = a.search(&format!("Provenance?target=Observation/{}", stored["id"].as_str().unwrap())).await;
    assert!(provenance[0].to_string().contains("04-versions@5"), "the conversion is in the lineage");
    let mut older = patient("1");
    older["careProvider"] = json!([{"display": "x"}]);
    let refused = a.post("Patient", &older).await.expect(422).json();
    assert!(refused["issue"][0]["details"]["text"].as_str().unwrap().contains("written in FHIR DSTU2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_know_who_it_is_gets_no_free_text_codes() {
    let setup = Setup::adjusted(|settings| {
        let hospital_b = settings.clients.iter_mut().find(|client| client.id == "hospital-b").unwrap();
        hospital_b.data = DataKind::DeIdentified;
    });
    let world = setup.start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&person("999-11-2222")).await;
    a.create(&permit(&id)).await;
    let mut typed = observation(&format!("Patient/{id}"));
    let coding = json!({"system": "urn:oid:1.2.840.114350.1.13.0.1.7.4.1", "code": "call Jane Doe", "display": "call Jane Doe"});
    typed["code"]["coding"].as_array_mut().unwrap().push(coding);
    typed["code"]["text"] = json!("call Jane Doe");
    let seen = a.create(&typed).await;
    assert!(a.get(&format!("Observation/{seen}")).await.expect(200).json().to_string().contains("Jane Doe"), "its own record is whole");
    let told = b.get(&format!("Observation/{seen}")).await.expect(200).json();
    assert!(!told.to_string().contains("Jane Doe"), "{told}");
    assert_eq!(told["code"]["coding"][1]["_code"]["extension"][0]["valueCode"], "masked");
    assert!(b.search(&format!("Observation?patient={id}&code=call%20Jane%20Doe")).await.is_empty(), "nor is it found by what is masked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_order_mark_is_removed_and_on_record() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let body = format!("\u{FEFF}{}", patient("1"));
    let stored = a.call(crate::support::Call::post("Patient", &json!({})).body("application/fhir+json", body)).await.expect(201).json();
    let provenance = a.search(&format!("Provenance?target=Patient/{}", stored["id"].as_str().unwrap())).await;
    assert!(provenance[0].to_string().contains("01-bytes@1"));
}
