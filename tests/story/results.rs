//! Results that come twice, late or corrected.

use crate::support::World;
use crate::support::data::{bundle, observation};
use serde_json::{Value, json};

fn result(status: &str, value: f64) -> Value {
    let mut result = observation("Patient/1");
    (result["id"], result["status"], result["valueQuantity"]["value"]) = (json!("r1"), json!(status), json!(value));
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_preliminary_result_never_hides_the_final_one() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    let put =
        async |status: &str, value: f64, expected: u16| laboratory.put("Observation/r1", &result(status, value)).await.expect(expected);
    put("preliminary", 12.0, 201).await;
    put("final", 13.0, 200).await;
    let late = laboratory
        .call(crate::support::Call::put("Observation/r1", &result("preliminary", 12.5)).header("prefer", "return=OperationOutcome"))
        .await
        .expect(200);
    assert!(late.text().contains("late-result"), "{}", late.text());
    assert_eq!(late.header("etag"), Some("W/\"2\""));
    let current = async || laboratory.get("Observation/r1").await.expect(200).json();
    assert_eq!((&current().await["status"], &current().await["meta"]["versionId"]), (&json!("final"), &json!("2")));
    // What came late is kept as evidence, and the trail says so.
    let id = current().await["id"].as_str().unwrap().to_owned();
    let trail = Value::from(laboratory.search(&format!("Provenance?target=Observation/{id}")).await).to_string();
    assert!(trail.contains("A late result"), "{trail}");
    let connection = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    let raws: i64 = connection.query_row("SELECT count(*) FROM raw", [], |row| row.get(0)).unwrap();
    assert_eq!(raws, 3);
    // In a transaction the rest goes on.
    let entry = |resource: Value, url: &str| json!({"resource": resource, "request": {"method": "PUT", "url": url}});
    let mut other = result("final", 1.0);
    other["id"] = json!("r2");
    let both = bundle("transaction", vec![entry(result("preliminary", 12.6), "Observation/r1"), entry(other, "Observation/r2")]);
    let answer = laboratory.post("", &both).await.expect(200).json();
    assert_eq!((&answer["entry"][0]["response"]["status"], &answer["entry"][1]["response"]["status"]), (&json!("200"), &json!("201")));
    assert!(answer["entry"][1]["response"]["location"].as_str().unwrap().contains("/Observation/"));
    // A correction supersedes, and so does a withdrawal; the chain stays.
    put("corrected", 13.5, 200).await;
    put("final", 13.0, 200).await;
    assert_eq!(current().await["status"], "corrected");
    put("entered-in-error", 13.5, 200).await;
    let history = laboratory.get("Observation/r1/_history").await.expect(200).json();
    let statuses: Vec<&str> =
        history["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["entered-in-error", "corrected", "final", "preliminary"]);
}

/// What comes late is judged like any other write, and what has no status of a result does not come late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_result_that_is_no_result_is_refused() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    laboratory.put("Observation/r1", &result("final", 13.0)).await.expect(201);
    let changes: [(&str, Value); 6] = [
        ("status", json!("bogus")),
        ("status", json!(5)),
        ("noFhir", json!("x")),
        ("valueQuantity", json!("x")),
        ("code", Value::Null),
        ("code", json!({"coding": 5})),
    ];
    for (member, value) in changes {
        let mut sent = result("preliminary", 12.0);
        sent[member] = value.clone();
        if value.is_null() {
            sent.as_object_mut().unwrap().remove(member);
        }
        let answer = laboratory.put("Observation/r1", &sent).await;
        assert_eq!(answer.status, 422, "{member} {value}: {}", answer.text());
        // The same beside a result that is stored: nothing is.
        let entry = |resource: &Value, url: &str| json!({"resource": resource, "request": {"method": "PUT", "url": url}});
        let mut other = result("final", 1.0);
        other["id"] = json!("r2");
        let both = bundle("transaction", vec![entry(&other, "Observation/r2"), entry(&sent, "Observation/r1")]);
        assert_eq!(laboratory.post("", &both).await.status, 422, "{member} {value}");
        laboratory.get("Observation/r2").await.expect(404);
    }
    assert_eq!(laboratory.get("Observation/r1").await.expect(200).header("etag"), Some("W/\"1\""));
}

/// What changed nothing has its place in the trail of the record and of its patient, and so has what was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_nothing_stands_in_the_trail() {
    let world = World::start().await;
    let (laboratory, regulator) = (world.party("laboratory").await, world.party("health-department").await);
    let patient = laboratory.create(&crate::support::data::patient("1")).await;
    let sent = |status: &str| {
        let mut sent = result(status, 13.0);
        sent["subject"] = json!({"reference": format!("Patient/{patient}")});
        sent
    };
    let stored = laboratory.put("Observation/r1", &sent("final")).await.expect(201).json();
    let record = format!("Observation/{}", stored["id"].as_str().unwrap());
    let acts = async |of: &str, outcome: &str| {
        let trail = regulator.get(&format!("{of}/$provenance-trail")).await.expect(200).json();
        let events = trail["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
        let updates = events.filter(|event| event["resourceType"] == "AuditEvent" && event["subtype"][0]["code"] == "update");
        updates.filter(|event| event["outcome"] == outcome && event.to_string().contains(&record)).count()
    };
    let here = format!("Patient/{patient}");
    assert_eq!((acts(&here, "0").await, acts(&record, "0").await), (1, 1));
    laboratory.put("Observation/r1", &sent("final")).await.expect(200);
    assert_eq!((acts(&here, "0").await, acts(&record, "0").await), (2, 2), "sent again");
    laboratory.put("Observation/r1", &sent("preliminary")).await.expect(200);
    assert_eq!((acts(&here, "0").await, acts(&record, "0").await), (3, 3), "late");
    laboratory.put("Observation/r1", &sent("bogus")).await.expect(422);
    assert_eq!((acts(&here, "4").await, acts(&record, "4").await), (1, 1), "refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_is_answered_and_not_stored_again() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    let first = laboratory.put("Observation/r1", &result("final", 13.0)).await.expect(201);
    let again = laboratory.put("Observation/r1", &result("final", 13.0)).await.expect(200);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("x-hearthgate-receipt"), again.header("x-hearthgate-receipt"));
    // In other words it is the same too.
    let mut spelled = result("final", 13.0);
    spelled["code"]["coding"][0]["system"] = json!("urn:oid:2.16.840.1.113883.6.1");
    assert_eq!(laboratory.put("Observation/r1", &spelled).await.expect(200).header("etag"), Some("W/\"1\""));
    assert_eq!(laboratory.put("Observation/r1", &result("final", 13.1)).await.expect(200).header("etag"), Some("W/\"2\""));
    // A delete and the same again are two things.
    laboratory.delete("Observation/r1").await.expect(204);
    assert_eq!(laboratory.put("Observation/r1", &result("final", 13.1)).await.expect(200).header("etag"), Some("W/\"4\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_under_another_id_is_linked_to_the_first_and_kept() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    let linked = |stored: &Value| -> Vec<String> {
        let extensions = stored["extension"].as_array().cloned().unwrap_or_default();
        let of = extensions.iter().filter(|extension| extension["url"] == "urn:hearthgate:fhir:duplicate-of");
        of.map(|extension| extension["valueReference"]["reference"].as_str().unwrap().to_owned()).collect()
    };
    let put = async |id: &str, value: f64, expected: u16| -> Value {
        let mut sent = result("final", value);
        sent["id"] = json!(id);
        laboratory.put(&format!("Observation/{id}"), &sent).await.expect(expected).json()
    };
    let first = put("r1", 13.0, 201).await;
    let name = format!("Observation/{}", first["id"].as_str().unwrap());
    assert!(linked(&first).is_empty());
    let second = put("r2", 13.0, 201).await;
    assert_eq!(linked(&second), std::slice::from_ref(&name));
    assert_eq!(laboratory.search("Observation").await.len(), 2, "linked, not dropped");
    // Sent again, both are what they were; another value is another result; a correction of the copy takes its link away.
    assert_eq!(put("r2", 13.0, 200).await["meta"]["versionId"], "1");
    assert_eq!(put("r1", 13.0, 200).await["meta"]["versionId"], "1");
    assert!(linked(&put("r3", 13.1, 201).await).is_empty());
    assert!(linked(&put("r2", 13.2, 200).await).is_empty());
    // In one submission the first stands first, and another source's result is another matter.
    let twins = bundle(
        "transaction",
        (0..3).map(|number| crate::support::data::creates(&format!("urn:uuid:{number}"), observation("Patient/9"))).collect(),
    );
    laboratory.post("", &twins).await.expect(200);
    let found = laboratory.search("Observation?patient=9").await;
    assert_eq!(found.iter().filter(|stored| linked(stored).is_empty()).count(), 1);
    let theirs = world.party("hospital-b").await.put("Observation/r1", &result("final", 13.0)).await.expect(201).json();
    assert!(linked(&theirs).is_empty());
}
