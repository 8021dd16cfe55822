//! Batches and transactions.

use crate::support::data::{MRN, bundle, creates, observation, patient};
use crate::support::party::FHIR_XML;
use crate::support::{Call, World};
use serde_json::{Value, json};

const ADA: &str = "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const SEEN: &str = "urn:uuid:6ba7b811-9dad-41d1-80b4-00c04fd430c8";

fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

fn statuses(response: &Value) -> Vec<String> {
    let entries = response["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_links_its_entries() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let seen = observation(ADA);
    // The link points forward and back: the order of entries does not matter.
    let sent = bundle("transaction", vec![creates(SEEN, seen), creates(ADA, patient("1"))]);
    let answer = a.post("", &sent).await.expect(200).json();
    assert_eq!(answer["type"], "transaction-response");
    assert_eq!(statuses(&answer), ["201", "201"]);
    let location = |index: usize| answer["entry"][index]["response"]["location"].as_str().unwrap().to_owned();
    let (seen, ada) = (location(0), location(1));
    assert!(seen.contains("/fhir/Observation/") && ada.contains("/fhir/Patient/"));
    let stored = a.get(&seen).await.expect(200).json();
    let patient_reference = stored["subject"]["reference"].as_str().unwrap();
    assert!(ada.contains(patient_reference), "{patient_reference} is {ada}");

    // The same in XML.
    let xml = format!(
        "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"transaction\"/><entry><fullUrl value=\"{ADA}\"/><resource><Patient><active value=\"true\"/></Patient></resource>\
         <request><method value=\"POST\"/><url value=\"Patient\"/></request></entry></Bundle>"
    );
    let answer = a.call(Call::new("POST", "").body(FHIR_XML, xml)).await.expect(200).json();
    assert_eq!(statuses(&answer), ["201"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_all_or_nothing() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mine = a.create(&patient("0")).await;
    let here = format!("Patient/{mine}");
    let mut same = patient("1");
    same["id"] = json!(mine);
    let mut invalid = patient("3");
    invalid["gender"] = json!("frobnicated");
    let conditional = |number: &str| {
        let mut entry = creates(&format!("urn:uuid:6ba7b81{number}-9dad-41d1-80b4-00c04fd430c8"), patient("8"));
        entry["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|8"));
        entry
    };
    let stale = {
        let mut entry = entry("PUT", &here, Some(same.clone()));
        entry["request"]["ifMatch"] = json!("W/\"9\"");
        entry
    };
    let no_such = |reference: &str| creates(SEEN, observation(reference));
    for (why, status, last) in [
        ("the same resource twice", 400, vec![entry("PUT", &here, Some(same.clone())), entry("PUT", &here, Some(same.clone()))]),
        ("changed and deleted", 400, vec![entry("PUT", &here, Some(same.clone())), entry("DELETE", &here, None)]),
        ("one condition twice", 400, vec![conditional("2"), conditional("3")]),
        ("an invalid resource", 422, vec![creates(SEEN, invalid)]),
        ("an entry without a request", 400, vec![json!({"resource": patient("4")})]),
        ("a request without a url", 400, vec![json!({"resource": patient("4"), "request": {"method": "POST"}})]),
        ("a method nobody knows", 400, vec![entry("FROB", "Patient", Some(patient("4")))]),
        ("a type nobody knows", 404, vec![entry("POST", "Frob", Some(json!({"resourceType": "Frob"})))]),
        ("another type than the url's", 400, vec![entry("POST", "Observation", Some(patient("4")))]),
        ("a creation without a resource", 400, vec![entry("POST", "Patient", None)]),
        ("a patch", 400, vec![entry("PATCH", &here, Some(patient("4")))]),
        ("an operation", 400, vec![entry("POST", "Patient/$validate", Some(patient("4")))]),
        ("an operation on what is there", 400, vec![entry("GET", &format!("{here}/$everything"), None)]),
        ("what the gateway can do", 400, vec![entry("GET", "metadata", None)]),
        ("a stale version", 412, vec![stale]),
        ("a reading of nothing", 404, vec![entry("GET", "Patient/nobody", None)]),
        ("a reading of no version", 404, vec![entry("GET", &format!("{here}/_history/9"), None)]),
        ("a search by what is not understood", 400, vec![entry("GET", "Patient?frobnicate=1", None)]),
        ("a history by what is not understood", 400, vec![entry("GET", &format!("{here}/_history?frobnicate=1"), None)]),
        ("a type nobody searches", 404, vec![entry("GET", "Frob?name=x", None)]),
        ("a conditional reference to nobody", 422, vec![no_such(&format!("Patient?identifier={MRN}|none"))]),
        ("a conditional reference by what is not understood", 400, vec![no_such("Patient?frobnicate=1")]),
    ] {
        let mut entries = vec![creates(ADA, patient("77"))];
        entries.extend(last);
        let answer = a.post("", &bundle("transaction", entries)).await;
        assert_eq!(answer.status, status, "{why}: {}", answer.text());
        answer.issue();
        assert!(a.search(&format!("Patient?identifier={MRN}|77")).await.is_empty(), "{why}: something was left");
        assert_eq!(a.get(&here).await.expect(200).header("etag"), Some("W/\"1\""), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_entry_has_its_answer() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let old = a.create(&patient("old")).await;
    let gone = a.create(&patient("gone")).await;
    let mut put = a.get(&format!("Patient/{old}")).await.json();
    put["gender"] = json!("other");
    let mut conditional = creates("urn:uuid:6ba7b812-9dad-41d1-80b4-00c04fd430c8", patient("c"));
    conditional["request"]["ifNoneExist"] = json!(format!("identifier={MRN}|c"));
    let entries = vec![
        creates(ADA, patient("new")),
        entry("PUT", &format!("Patient/{old}"), Some(put)),
        entry("DELETE", &format!("Patient/{gone}"), None),
        conditional.clone(),
        creates(SEEN, observation(&format!("Patient?identifier={MRN}|old"))),
        entry("GET", &format!("Patient/{old}"), None),
        entry("GET", &format!("Patient?identifier={MRN}|new"), None),
        entry("GET", &format!("Patient/{old}/_history"), None),
    ];
    let answer = a.post("", &bundle("transaction", entries)).await.expect(200).json();
    assert_eq!(statuses(&answer), ["201", "200", "204", "201", "201", "200", "200", "200"]);
    assert_eq!(answer["entry"][5]["resource"]["gender"], "other", "reads see what the transaction wrote (R4 §3.1.0.11.2)");
    assert_eq!(answer["entry"][6]["resource"]["total"], 1);
    let seen = a.get(answer["entry"][4]["response"]["location"].as_str().unwrap()).await.json();
    assert_eq!(seen["subject"]["reference"], format!("Patient/{old}"));

    // In a batch each entry stands alone.
    let entries = vec![
        creates(ADA, patient("batch")),
        entry("GET", "Patient/nobody", None),
        entry("POST", "Patient", Some(json!({"resourceType": "Patient", "gender": "frobnicated"}))),
        conditional,
        entry("GET", &format!("Patient/{old}"), None),
        entry("DELETE", "Patient/nobody", None),
        entry("GET", "Patient?frobnicate=1", None),
        entry("POST", "Patient/$validate", Some(patient("v"))),
        json!({"request": {"method": "GET"}}),
        entry("POST", "Patient/$validate", Some(json!({"resourceType": "Patient", "gender": "frobnicated"}))),
        entry("POST", "Patient/$validate", None),
        entry("POST", "Patient/$match", Some(patient("v"))),
    ];
    let answer = a.post("", &bundle("batch", entries)).await.expect(200).json();
    assert_eq!(answer["type"], "batch-response");
    let statuses = statuses(&answer);
    assert_eq!(statuses[..7], ["201", "404", "422", "200", "200", "204", "400"]);
    assert_eq!(statuses[7..], ["200", "400", "200", "400", "400"]);
    // Outcomes come out as what was asked for, not as what went wrong.
    let is_wrong = |index: usize| answer["entry"][index]["resource"]["issue"].to_string().contains("\"error\"");
    assert_eq!([is_wrong(7), is_wrong(9)], [false, true], "{answer}");
    for index in [1, 2, 6, 8, 10, 11] {
        assert_eq!(answer["entry"][index]["response"]["outcome"]["resourceType"], "OperationOutcome", "entry {index}");
    }
    assert_eq!(a.search(&format!("Patient?identifier={MRN}|batch")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_sent_twice_is_stored_once() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut sent = bundle("transaction", vec![creates(ADA, patient("1")), creates(SEEN, observation(ADA))]);
    sent["identifier"] = json!({"system": "urn:oid:1.3.6.1.4.1.99999.3", "value": "message-1"});
    let first = a.post("", &sent).await.expect(200).json();
    let again = a.post("", &sent).await.expect(200).json();
    let locations =
        |answer: &Value| answer["entry"].as_array().unwrap().iter().map(|entry| entry["response"]["location"].clone()).collect::<Vec<_>>();
    assert_eq!(locations(&first), locations(&again));
    assert_eq!(a.search("Patient").await.len(), 1);

    sent["entry"][0]["resource"]["gender"] = json!("male");
    assert_eq!(a.post("", &sent).await.expect(409).issue(), "conflict");
    assert_eq!(a.search("Patient?gender=male").await.len(), 0);

    // What cannot be a batch or transaction is refused.
    for wrong in [json!({"resourceType": "Bundle", "type": "collection"}), json!({"resourceType": "Bundle"}), patient("2")] {
        a.post("", &wrong).await.expect(400).issue();
    }
    a.post("", &bundle("transaction", vec![])).await;
}

/// A relative reference is of the server its own entry names: another server's `Patient/3` is not ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_servers_entry_does_not_lead_to_our_patient() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut ours = patient("3");
    ours["id"] = json!("3");
    a.put("Patient/3", &ours).await.expect(201);
    let seen = |base: &str| creates(&format!("{base}/Observation/1"), observation("Patient/3"));
    let subject = async |base: &str| {
        let answer = a.post("", &bundle("transaction", vec![seen(base)])).await.expect(200).json();
        let stored = a.get(answer["entry"][0]["response"]["location"].as_str().unwrap()).await.expect(200).json();
        stored["subject"]["reference"].as_str().unwrap().to_owned()
    };
    let own = a.get("Patient/3").await.expect(200).json();
    let name = format!("Patient/{}", own["id"].as_str().unwrap());
    assert_eq!(subject("https://ehr.hospital-a.example:443/fhir").await, name);
    assert_eq!(subject("https://other.example/fhir").await, "https://other.example/fhir/Patient/3");
    // Where that server's patient came along, it is that one.
    let theirs = creates("https://other.example:443/fhir/Patient/3", patient("4"));
    let answer = a.post("", &bundle("transaction", vec![seen("https://other.example/fhir"), theirs])).await.expect(200).json();
    let stored = a.get(answer["entry"][0]["response"]["location"].as_str().unwrap()).await.expect(200).json();
    let reference = stored["subject"]["reference"].as_str().unwrap();
    assert!(reference != name && answer["entry"][1]["response"]["location"].as_str().unwrap().contains(reference), "{answer}");
}

/// An id that FHIR does not allow is found again by who names it, where the source has such a resource.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_with_a_slash_is_found() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut ours = patient("3");
    ours["id"] = json!("ward/3");
    // By its URL it could not be sent: such ids come in the resource.
    a.put("Patient/ward%2F3", &ours).await.expect(400);
    let own = a.put(&format!("Patient?identifier={MRN}|3"), &ours).await.expect(201).json();
    let subject = async |reference: &str| {
        let stored = a.post("Observation", &observation(reference)).await.expect(201).json();
        stored["subject"]["reference"].as_str().unwrap().to_owned()
    };
    assert_eq!(subject("Patient/ward/3").await, format!("Patient/{}", own["id"].as_str().unwrap()));
    assert_eq!(subject("Patient/ward/4").await, "Patient/ward/4", "nothing is guessed");
}

/// What is written in the same transaction is there to be read, and what cannot be read refuses all of it, hidden and absent alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_fails_refuses_the_transaction() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let hidden = format!("Patient/{}", a.create(&patient("hidden")).await);
    let mut own = patient("own");
    own["id"] = json!("own");
    let reading = |url: &str| bundle("transaction", vec![creates(ADA, patient("77")), entry("GET", url, None)]);
    let mut told = Vec::new();
    let absent = "Patient/hg-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let histories = [format!("{hidden}/_history"), format!("{absent}/_history")];
    for url in [hidden.as_str(), absent, &histories[0], &histories[1]] {
        let answer = b.post("", &reading(url)).await.expect(404);
        assert!(answer.text().contains("Bundle.entry[1]"), "{}", answer.text());
        told.push(answer.text());
        assert!(b.search(&format!("Patient?identifier={MRN}|77")).await.is_empty(), "{url}");
    }
    assert_eq!((&told[0], &told[2]), (&told[1], &told[3]));
    let mut reading_own = vec![entry("PUT", "Patient/own", Some(own)), entry("GET", "Patient/own", None)];
    reading_own.push(entry("GET", "Patient/own/_history", None));
    assert_eq!(statuses(&b.post("", &bundle("transaction", reading_own)).await.expect(200).json()), ["201", "200", "200"]);
    assert_eq!(statuses(&b.post("", &reading("Patient/own/_history")).await.expect(200).json()), ["201", "200"]);
    b.post("", &reading("Patient/own/_history?_since=2199-01-01T00:00:00Z")).await.expect(404);
    // It is on record of whose it is.
    let regulator = world.party("health-department").await;
    let refused = regulator.search(&format!("AuditEvent?entity={hidden}&outcome=4")).await;
    assert!(refused.iter().any(|event| event["subtype"][0]["code"] == "read"), "{refused:#?}");
}
