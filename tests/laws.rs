//! What must hold whatever is sent, tried with what chance brings up from a fixed seed.

use crate::support::chance::Chance;
use crate::support::data::{MRN, observation, patient, permit_to, purpose};
use crate::support::party::{FHIR_JSON, FHIR_XML, ids};
use crate::support::{Call, Party, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Numbers keep their digits, and texts every character, through JSON and XML, in and out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_the_formats() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let subject = format!("Patient/{}", a.create(&patient("1")).await);
    let chance = Chance::seeded(31);
    let mut numbers: Vec<String> =
        ["1.10", "0.0", "-0.50", "100", "1e3", "1.0E-2", "123456789012345678", "0.000000000000000001", "9999999999.99999999"]
            .map(String::from)
            .to_vec();
    numbers.extend((0..20).map(|_| format!("{}.{:0width$}", chance.below(10_000), chance.below(1000), width = 1 + chance.below(8))));
    let texts = ["plain", "a & b < c > d \" e '", "ä ö ü ß – „“", "𝔸 🩺", "line\nbreak\ttab", "  inside   blanks  x", "]]>", "&amp;"];
    for (index, number) in numbers.iter().enumerate() {
        let mut seen = observation(&subject);
        let note = texts[index % texts.len()];
        seen["note"] = json!([{"text": note}]);
        seen["valueQuantity"]["value"] = json!("NUMBER");
        let text = seen.to_string().replace("\"NUMBER\"", number);
        let created = a.call(Call::new("POST", "Observation").body(FHIR_JSON, text)).await.expect(201);
        let here = format!("Observation/{}", created.json()["id"].as_str().unwrap());
        let written = format!("\"value\":{number}");
        assert!(created.text().contains(&written), "{number}: {}", created.text());
        let xml = a.call(Call::get(&here).header("accept", FHIR_XML)).await.expect(200).text();
        assert!(xml.contains(&format!("<value value=\"{number}\"/>")), "{number}: {xml}");
        let again = a.call(Call::new("PUT", &here).body(FHIR_XML, xml)).await.expect(200);
        assert!(again.text().contains(&written), "{number} after XML: {}", again.text());
        assert_eq!(again.json()["note"], created.json()["note"], "{note:?} after XML");
        assert_eq!(created.json()["note"][0]["text"].as_str().unwrap().trim(), note.trim(), "{note:?}");
    }
}

/// What the gateway has made of a resource it leaves as it is when it comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_normalised_is_once_normalised() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/normalise");
    let mut tried = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let input = &case["input"];
        let Some(type_name) = input["resourceType"].as_str().filter(|name| *name != "Bundle") else { continue };
        let call = match input["id"].as_str() {
            Some(id) => Call::put(&format!("{type_name}/{id}"), input),
            None => Call::post(type_name, input),
        };
        let first = a.call(call).await;
        if !matches!(first.status, 200 | 201) {
            assert!((400..500).contains(&first.status), "{}: {}", path.display(), first.text());
            continue;
        }
        let once = first.json();
        let here = format!("{type_name}/{}", once["id"].as_str().unwrap());
        let twice = a.put(&here, &once).await.expect(200).json();
        assert_eq!(without_version(twice), without_version(once), "{}", path.display());
        tried += 1;
    }
    assert!(tried > 5, "only {tried} fixtures were accepted");
}

fn without_version(mut resource: Value) -> Value {
    if let Some(meta) = resource["meta"].as_object_mut() {
        meta.remove("versionId");
        meta.remove("lastUpdated");
    }
    resource
}

const ROUNDS: usize = 30;

/// However consents stand, one more denial never lets anybody see more; and on its own it lets nobody see anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_never_releases_more() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let chance = Chance::seeded(7);
    let mut released = 0;
    for round in 0..ROUNDS {
        let (patient_id, number) = (a.create(&patient(&format!("r{round}"))).await, format!("r{round}"));
        for status in ["final", "amended"] {
            let mut seen = observation(&format!("Patient/{patient_id}"));
            seen["status"] = json!(status);
            a.create(&seen).await;
        }
        let mut filed = Vec::new();
        for _ in 0..chance.below(4) {
            filed.push(a.create(&any_consent(&chance, &patient_id)).await);
        }
        let before = visible(&b, &patient_id, &number).await;
        released += usize::from(!before.is_empty());
        let mut denial = any_consent(&chance, &patient_id);
        denial["provision"]["type"] = json!("deny");
        denial["provision"].as_object_mut().unwrap().remove("provision");
        let denial_id = a.create(&denial).await;
        let mut after = visible(&b, &patient_id, &number).await;
        // The denial is a record of the patient too; what it must not do is open others.
        after.remove(&denial_id);
        assert!(after.is_subset(&before), "round {round}: {denial} released {:?}", after.difference(&before));
        for consent in &filed {
            a.delete(&format!("Consent/{consent}")).await.expect(204);
        }
        assert!(visible(&b, &patient_id, &number).await.is_empty(), "round {round}: a denial alone released something");
        a.delete(&format!("Consent/{denial_id}")).await.expect(204);
    }
    assert!(released > ROUNDS / 10, "the consents of {released} rounds released anything: the law was hardly tried");
}

fn any_consent(chance: &Chance, patient_id: &str) -> Value {
    let mut consent = permit_to(patient_id, chance.of(&["hospital-b", "hospital-b", "hospital-c"]));
    if chance.is() {
        consent["provision"].as_object_mut().unwrap().remove("actor");
    }
    consent["dateTime"] = json!(chance.of(&["2025-01-01", "2026-01-01", "2026-05-05T10:00:00Z"]));
    consent["provision"]["type"] = json!(chance.of(&["permit", "permit", "deny"]));
    if chance.is() {
        consent["provision"]["purpose"] = purpose(chance.of(&["TREAT", "HPAYMT", "HRESCH"]));
    }
    if chance.is() {
        consent["provision"]["period"] =
            chance.of(&[json!({"start": "2020-01-01"}), json!({"end": "2099-01-01"}), json!({"end": "2021-01-01"})]);
    }
    if chance.below(3) == 0 {
        let exception = if consent["provision"]["type"] == "permit" { "deny" } else { "permit" };
        consent["provision"]["provision"] =
            json!([{"type": exception, "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}]);
    }
    consent
}

/// What hospital B gets to see of a patient, by every way at once.
async fn visible(party: &Party, patient_id: &str, number: &str) -> BTreeSet<String> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for query in
        [format!("Patient?identifier={MRN}|{number}"), format!("Observation?patient={patient_id}"), format!("Consent?patient={patient_id}")]
    {
        seen.extend(ids(&party.search(&query).await));
    }
    seen
}
