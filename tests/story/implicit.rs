//! What the operator says happens where no consent applies: by partner, by where the patient lives, by how sensitive the data is; and who is told that
//! something was taken out.

use crate::support::data::{bundle, observation, patient, permit};
use crate::support::world::{EMERGENCY, documents};
use crate::support::{Call, Party, Setup};
use serde_json::{Value, json};
use std::process::Command;

const MORE: &str = r#"
[consent]
told_of_redaction = ["urn:oid:1.3.6.1.4.1.99999.1|laboratory"]

[[consent.implicit]]
policy = "basic-normal"
partners = ["urn:oid:1.3.6.1.4.1.99999.1|hospital-b"]

[[consent.implicit]]
policy = "deny"
partners = ["urn:oid:1.3.6.1.4.1.99999.1|hospital-b"]
jurisdictions = ["US-NY"]

[[consent.implicit]]
policy = "basic-normal"
partners = ["urn:oid:1.3.6.1.4.1.99999.1|hospital-b"]
jurisdictions = ["US-TX"]
sensitivities = ["HIV"]
"#;

/// A patient of hospital A's, who lives somewhere, and a Condition of theirs for each of these codes.
async fn record(a: &Party, number: &str, state: &str, codes: &[&str]) -> String {
    let mut living = patient(number);
    living["address"] = json!([{"country": "US", "state": state}]);
    let id = a.create(&living).await;
    for code in codes {
        a.create(&condition(&id, code)).await;
    }
    id
}

fn condition(patient: &str, code: &str) -> Value {
    json!({
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")}
    })
}

async fn seen(party: &Party, patient: &str) -> Vec<String> {
    let found = party.search(&format!("Condition?patient={patient}")).await;
    let mut codes: Vec<String> = found.iter().map(|one| one["code"]["coding"][0]["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_without_consent_differs_by_partner_place_and_sensitivity() {
    let world = Setup::configured(MORE).start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    let codes = ["I10", "B20", "F20.9"];
    let texan = record(&a, "1", "TX", &codes).await;
    let newyorker = record(&a, "2", "NY", &codes).await;
    let ohioan = record(&a, "3", "OH", &codes).await;
    assert_eq!(seen(&b, &texan).await, ["B20", "I10"], "HIV is opened in Texas, mental health is not");
    assert_eq!(seen(&b, &ohioan).await, ["I10"]);
    assert!(seen(&b, &newyorker).await.is_empty());
    for patient in [&texan, &newyorker, &ohioan] {
        assert!(seen(&laboratory, patient).await.is_empty(), "nothing was said of the laboratory");
        let payment = b.call(Call::get(&format!("Condition?patient={patient}")).header("x-purpose-of-use", "HPAYMT")).await.expect(200);
        assert_eq!(payment.matches().is_empty(), patient == &newyorker, "payment is treated like treatment");
    }
    // A consent has the last word, and its end opens nothing.
    let mut denial = permit(&texan);
    denial["provision"] = json!({"type": "deny"});
    let id = a.create(&denial).await;
    assert!(seen(&b, &texan).await.is_empty());
    denial["id"] = json!(id);
    denial["status"] = json!("inactive");
    a.put(&format!("Consent/{id}"), &denial).await.expect(200);
    assert!(seen(&b, &texan).await.is_empty(), "it denied this while it was in force");
}

/// Of a patient who is not here nobody knows that they have said nothing: whoever it is may have denied it under the id they have here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_holds_without_consent_for_a_patient_who_is_not_here() {
    let world = Setup::configured(MORE).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let send = async |path: &str, body: Value| a.put(path, &body).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let with_id = |mut body: Value, id: &str| {
        body["id"] = json!(id);
        body
    };
    let normal = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]});
    let about = |subject: &str| {
        let mut resource = with_id(observation(subject), "o");
        resource["meta"] = normal.clone();
        resource
    };
    let silent = send("Patient/silent", with_id(patient("1"), "silent")).await;
    let denying = send("Patient/denying", with_id(patient("2"), "denying")).await;
    let mut denial = permit(&denying);
    denial["provision"] = json!({"type": "deny"});
    a.create(&denial).await;
    let own = "https://ehr.hospital-a.example/fhir/Patient";
    let cases = [
        (format!("Patient/{silent}"), true),
        (format!("Patient/{denying}"), false),
        ("Patient/denying".to_owned(), false),
        (format!("{}/denying", own.replace("https", "http")), false),
        ("Patient/silent".to_owned(), true),
        (format!("{own}/denying"), false),
        ("https://other.example/fhir/Patient/denying".to_owned(), false),
    ];
    let mut shown = 0;
    for (number, (subject, is_shown)) in cases.into_iter().enumerate() {
        shown += usize::from(is_shown);
        let expected = if is_shown { 200 } else { 404 };
        let bundle = json!({"resourceType": "Bundle", "id": "x", "meta": normal, "type": "collection",
            "entry": [{"fullUrl": "https://ehr.hospital-a.example/fhir/Observation/o", "resource": about(&subject)}]});
        let id = send(&format!("Bundle/x{number}"), with_id(bundle, &format!("x{number}"))).await;
        b.get(&format!("Bundle/{id}")).await.expect(expected);
        a.get(&format!("Bundle/{id}")).await.expect(200);
        let id = send(&format!("Observation/o{number}"), with_id(about(&subject), &format!("o{number}"))).await;
        b.get(&format!("Observation/{id}")).await.expect(expected);
        assert_eq!(b.search("Bundle").await.len(), shown, "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_know_is_told_that_something_was_taken_out() {
    let world = Setup::configured(MORE).start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    let id = a.create(&patient("1")).await;
    let mut consent = permit(&id);
    let hiv = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": hiv}]);
    a.create(&consent).await;
    let mut told = observation(&format!("Patient/{id}"));
    told["note"] = json!([{"text": "Known HIV infection"}]);
    let told = a.create(&told).await;
    let plain = a.create(&observation(&format!("Patient/{id}"))).await;
    let marks = async |party: &Party, id: &str| {
        let read = party.get(&format!("Observation/{id}")).await.expect(200).json();
        assert!(!read.to_string().contains("HIV"), "{read}");
        let security = read["meta"]["security"].as_array().cloned().unwrap_or_default();
        let tags = read["meta"]["tag"].as_array().cloned().unwrap_or_default();
        let codes = |list: Vec<Value>| list.iter().filter_map(|one| one["code"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        [codes(security), codes(tags)].concat()
    };
    assert_eq!(marks(&laboratory, &told).await, ["REDACTED", "SUBSETTED"]);
    assert!(marks(&laboratory, &plain).await.is_empty(), "nothing was taken out of it");
    assert!(marks(&b, &told).await.is_empty(), "hospital B is told nothing");
}

#[test]
fn a_configuration_is_checked_for_what_its_policies_name() {
    let folder = crate::support::Folder::new("implicit");
    crate::support::world::write_key_sets(&folder);
    let check = |more: &str| {
        let file = folder.write("gateway.toml", &crate::support::world::configuration(more));
        let output = Command::new(env!("CARGO_BIN_EXE_hearthgate")).arg("check").arg(&file).output().unwrap();
        (output.status.code().unwrap(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    let (status, shown) = check(MORE);
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("[[consent.implicit]]") && shown.contains("jurisdictions = [\"US-TX\"]"), "{shown}");
    let rule = "[[consent.implicit]]\npolicy = \"basic-normal\"\n";
    for (more, complaint) in [
        (format!("{rule}partners = [\"Organization/nobody\"]\n"), "partners"),
        (format!("{rule}jurisdictions = [\"Texas\"]\n"), "jurisdictions"),
        (format!("{rule}sensitivities = [\"FLU\"]\n"), "sensitivities"),
        (rule.to_owned(), "that is [consent] default"),
        (rule.replace("basic-normal", "everything"), "everything"),
        ("[consent]\ntold_of_redaction = [\"Organization/nobody\"]\n".to_owned(), "told_of_redaction"),
        (format!("{rule}jurisdictions = [\"US\"]\n").repeat(257), "[consent] implicit"),
    ] {
        let (status, shown) = check(&more);
        assert!(status == 2 && shown.contains(complaint), "{status} {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_holds_even_for_whoever_breaks_the_glass() {
    for (default, opens) in [("break-glass-only", true), ("deny", false), ("basic-normal", true)] {
        let world = Setup::configured(format!("[consent]\ndefault = \"{default}\"\n{EMERGENCY}")).start().await;
        let (a, emergency) = (world.party("hospital-a").await, world.party_with("emergency", "system/*.rs").await);
        let patient = a.create(&patient("1")).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        let reason = json!([{"name": "reason", "valueString": "Unconscious after a fall, allergies unknown"}]);
        let breaking = json!({"resourceType": "Parameters", "parameter": reason});
        let broken = emergency.call(Call::post(&format!("Patient/{patient}/$break-glass"), &breaking)).await;
        let read = emergency.call(Call::get(&format!("Observation/{seen}")).header("x-purpose-of-use", "BTG")).await;
        assert_eq!((broken.status, read.status), if opens { (200, 200) } else { (403, 404) }, "{default}: {}", broken.text());
        // Nobody is told of an opening that was none.
        assert_eq!(documents(&world.data(), "Communication").len(), usize::from(opens));
    }
}

/// A batch of reads is decided entry by entry, as the reads would be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_reads_is_decided_like_the_reads() {
    let world = Setup::configured(MORE).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let texan = record(&a, "1", "TX", &[]).await;
    let open = a.create(&condition(&texan, "I10")).await;
    let closed = a.create(&condition(&texan, "F20.9")).await;
    let entries = [&open, &closed].map(|id| json!({"request": {"method": "GET", "url": format!("Condition/{id}")}})).to_vec();
    let answer = b.post("", &bundle("batch", entries)).await.expect(200).json();
    let statuses: Vec<u16> =
        answer["entry"].as_array().unwrap().iter().map(|one| one["response"]["status"].as_str().unwrap()[..3].parse().unwrap()).collect();
    let reads = [b.get(&format!("Condition/{open}")).await.status, b.get(&format!("Condition/{closed}")).await.status];
    assert_eq!((statuses, reads), (vec![200, 404], [200, 404]));
}
