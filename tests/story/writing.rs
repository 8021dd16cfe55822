//! Creating, changing and deleting, with and without conditions.

use crate::support::data::{MRN, patient};
use crate::support::{Call, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;

    let created = a.post("Patient", &patient("1")).await.expect(201);
    let body = created.json();
    let id = body["id"].as_str().unwrap();
    let here = format!("Patient/{id}");
    assert_eq!(created.header("location").unwrap(), format!("{}/fhir/{here}/_history/1", world.origin));
    assert_eq!(created.header("etag"), Some("W/\"1\""));
    assert!(created.header("last-modified").is_some());
    assert_eq!(body["meta"]["versionId"], "1");
    assert_eq!(body["identifier"][0]["value"], "1");

    let read = a.get(&here).await.expect(200);
    assert_eq!(read.json(), body, "what was answered is what is stored");
    assert_eq!(read.header("etag"), Some("W/\"1\""));

    let mut changed = body.clone();
    changed["name"][0]["family"] = json!("Marsh");
    let updated = a.call(Call::put(&here, &changed).header("if-match", "W/\"1\"")).await.expect(200);
    assert_eq!(updated.header("etag"), Some("W/\"2\""));
    assert_eq!(updated.json()["name"][0]["family"], "Marsh");
    let stale = a.call(Call::put(&here, &changed).header("if-match", "W/\"1\"")).await.expect(412);
    assert_eq!(stale.issue(), "conflict");
    a.call(Call::delete(&here).header("if-match", "W/\"1\"")).await.expect(412);
    assert_eq!(a.get(&here).await.json()["meta"]["versionId"], "2", "a refused change changes nothing");
    assert_eq!(a.get(&format!("{here}/_history/1")).await.expect(200).json(), body);

    a.delete(&here).await.expect(204);
    assert!(matches!(a.get(&here).await.status, 404 | 410), "what was deleted is not read");
    a.delete(&here).await.expect(204);
    assert_eq!(a.get(&format!("{here}/_history/2")).await.expect(200).json()["name"][0]["family"], "Marsh");
    assert!(a.search(&format!("Patient?_id={id}")).await.is_empty());

    let history = a.get(&format!("{here}/_history")).await.expect(200).json();
    let told: Vec<(String, String)> = history["entry"].as_array().unwrap().iter().map(told).collect();
    let expected = [("DELETE", "204"), ("PUT", "200"), ("POST", "201")].map(|(verb, status)| (verb.to_owned(), status.to_owned()));
    assert_eq!(told, expected);

    // A resource that was deleted comes back with the next version (R4 §3.1.0.7).
    let back = a.put(&here, &changed).await;
    assert!(matches!(back.status, 200 | 201), "{}", back.text());
    assert_eq!(back.header("etag"), Some("W/\"4\""));
    a.get(&here).await.expect(200);
}

fn told(entry: &serde_json::Value) -> (String, String) {
    let status = entry["response"]["status"].as_str().unwrap();
    (entry["request"]["method"].as_str().unwrap().to_owned(), status.split(' ').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_goes_on_using_its_own_ids() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut mine = patient("7");
    mine["id"] = json!("p.7");

    let created = a.put("Patient/p.7", &mine).await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_ne!(id, "p.7", "the gateway gives ids of its own");
    assert_eq!(a.get("Patient/p.7").await.expect(200).json()["id"], json!(id));
    assert_eq!(a.get(&format!("Patient/{id}")).await.expect(200).json()["id"], json!(id));
    a.put("Patient/p.7", &mine).await.expect(200);

    // The same words of another partner mean another resource.
    b.get("Patient/p.7").await.expect(404);
    let theirs = b.put("Patient/p.7", &mine).await.expect(201).json();
    assert_ne!(theirs["id"], json!(id));
    a.delete("Patient/p.7").await.expect(204);
    b.get("Patient/p.7").await.expect(200);

    // Nobody changes what another partner sent, and what is hidden is answered like what is absent.
    let mut forged = theirs.clone();
    let their_id = theirs["id"].as_str().unwrap();
    forged["gender"] = json!("male");
    let refused = a.put(&format!("Patient/{their_id}"), &forged).await.expect(404);
    assert_eq!(refused.issue(), "not-found");
    a.delete(&format!("Patient/{their_id}")).await.expect(204);
    assert_eq!(b.get("Patient/p.7").await.expect(200).json()["gender"], "female");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_decide_what_is_written() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let criteria = |value: &str| format!("identifier={MRN}|{value}");
    let create_if_none = |value: &str| Call::post("Patient", &patient(value)).header("if-none-exist", &criteria(value));

    let first = a.call(create_if_none("1")).await.expect(201);
    let second = a.call(create_if_none("1")).await.expect(200);
    assert_eq!(first.header("location"), second.header("location"));

    let by_criteria = |value: &str| format!("Patient?{}", criteria(value));
    a.put(&by_criteria("2"), &patient("2")).await.expect(201);
    let mut changed = patient("2");
    changed["active"] = json!(true);
    let updated = a.put(&by_criteria("2"), &changed).await.expect(200);
    assert_eq!(updated.header("etag"), Some("W/\"2\""));
    a.call(Call::put(&by_criteria("2"), &patient("2")).header("if-match", "W/\"1\"")).await.expect(412);

    a.post("Patient", &patient("1")).await.expect(201);
    assert_eq!(a.call(create_if_none("1")).await.expect(412).issue(), "multiple-matches");
    assert_eq!(a.put(&by_criteria("1"), &patient("1")).await.expect(412).issue(), "multiple-matches");
    assert_eq!(a.delete(&by_criteria("1")).await.expect(412).issue(), "multiple-matches");

    a.delete(&by_criteria("2")).await.expect(204);
    assert!(a.search(&by_criteria("2")).await.is_empty());
    a.delete(&by_criteria("2")).await.expect(204);

    // The criteria mean this partner's resources: another's neither stop a creation nor are changed.
    let b = world.party("hospital-b").await;
    b.call(create_if_none("1")).await.expect(201);
    b.put(&by_criteria("1"), &patient("1")).await.expect(200);
    assert_eq!(b.search("Patient").await.len(), 1);

    // Criteria nobody understands refuse the write instead of matching everything or nothing.
    for wrong in ["frobnicate=1", "identifier:frobnicate=1", "birthdate=yesterday", ""] {
        let call = Call::post("Patient", &patient("9")).header("if-none-exist", wrong);
        let answer = a.call(call).await;
        assert!((400..500).contains(&answer.status), "{wrong}: {}", answer.status);
        answer.issue();
    }
    assert!(a.search(&by_criteria("9")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_says_what_it_wants_back() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let preferring = async |preference: &str| a.call(Call::post("Patient", &patient("1")).header("prefer", preference)).await.expect(201);

    let minimal = preferring("return=minimal").await;
    assert!(minimal.bytes.is_empty() && minimal.header("location").is_some() && minimal.header("etag").is_some());
    assert_eq!(preferring("return=representation").await.json()["resourceType"], "Patient");
    assert_eq!(preferring("return=OperationOutcome").await.json()["resourceType"], "OperationOutcome");
    assert_eq!(preferring("respond-async, return=minimal").await.bytes.len(), 0, "an unknown preference is passed over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_gets_the_first_answer() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let send = |number: &str, key: &str| Call::post("Patient", &patient(number)).header("idempotency-key", key);

    let first = a.call(send("1", "k-1")).await.expect(201);
    let again = a.call(send("1", "k-1")).await.expect(201);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.json(), again.json());
    assert_eq!(a.call(send("2", "k-1")).await.expect(409).issue(), "conflict");
    let other = a.call(send("1", "k-2")).await.expect(201);
    assert_ne!(first.header("location"), other.header("location"));
    // The same word of another client is another key.
    b.call(send("3", "k-1")).await.expect(201);
    a.call(send("4", "")).await.expect(400);
    a.call(send("4", &"k".repeat(300))).await.expect(400);
    assert_eq!(a.search("Patient").await.len(), 2);

    // Sent at once from many hands, it is still one.
    let calls = (0..20).map(|_| a.call(send("5", "k-5")));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.header("location") == answers[0].header("location")));
    assert_eq!(a.search(&format!("Patient?identifier={MRN}|5")).await.len(), 1);
}
