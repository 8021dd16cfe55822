//! Every request leaves one record, whatever became of it, and the accounting is for oversight.

use crate::support::data::{bundle, creates, observation, patient, permit_to};
use crate::support::{Answer, Call, Party, World};
use serde_json::{Value, json};

/// The records that one call leaves.
async fn records(world: &World, party: &Party, call: Call) -> (Answer, Vec<Value>) {
    let before = world.audit_events().await.len();
    let answer = party.call(call).await;
    (answer, world.audit_events().await.split_off(before))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_leaves_its_record() {
    let world = World::start().await;
    let (a, b, stranger) = (world.party("hospital-a").await, world.party("hospital-b").await, world.stranger());
    let id = a.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let mut wrong = patient("2");
    wrong["gender"] = json!("frobnicated");
    // Interaction, action, outcome.
    let cases: Vec<(&Party, Call, u16, [&str; 3])> = vec![
        (&a, Call::get(&here), 200, ["read", "R", "0"]),
        (&a, Call::get(&format!("{here}/_history/1")), 200, ["vread", "R", "0"]),
        (&a, Call::get(&format!("{here}/_history")), 200, ["history-instance", "R", "0"]),
        (&a, Call::get("Patient?gender=female"), 200, ["search-type", "E", "0"]),
        (&a, Call::post("Patient", &patient("3")), 201, ["create", "C", "0"]),
        (&a, Call::delete("Patient/nobody"), 204, ["delete", "D", "0"]),
        (&a, Call::post("", &bundle("transaction", vec![creates("urn:uuid:1", patient("4"))])), 200, ["transaction", "E", "0"]),
        (&a, Call::post("Patient/$validate", &wrong), 200, ["operation", "E", "0"]),
        (&a, Call::get(&format!("{here}/$receipt")), 200, ["operation", "E", "0"]),
        (&a, Call::post("Patient", &wrong), 422, ["create", "C", "4"]),
        (&a, Call::get("Patient/nobody"), 404, ["read", "R", "4"]),
        (&a, Call::get("Patient?frobnicate=1"), 400, ["search-type", "E", "4"]),
        (&b, Call::get(&here), 404, ["read", "R", "4"]),
        (&b, Call::post("Consent", &permit_to(&id, "hospital-b")), 403, ["create", "C", "4"]),
        (&stranger, Call::get(&here), 401, ["read", "R", "4"]),
    ];
    for (party, call, status, [interaction, action, outcome]) in cases {
        let what = format!("{call:?}");
        let (answer, left) = records(&world, party, call).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(left.len(), 1, "{what}: {left:?}");
        let event = &left[0];
        assert_eq!(event["subtype"][0]["code"], interaction, "{what}");
        assert_eq!((event["action"].as_str(), event["outcome"].as_str()), (Some(action), Some(outcome)), "{what}: {event}");
        assert!(event.to_string().contains(answer.header("x-request-id").unwrap()), "{what}: no correlation id");
        assert!(event["agent"][0]["network"]["address"].is_string() && event["recorded"].is_string());
        let who = event["agent"][0]["who"]["identifier"]["value"].as_str().unwrap();
        assert_eq!(who == "anonymous", party.token.is_none(), "{what}");
        assert!(!event.to_string().contains("Moor"), "a record names resources, it does not hold them");
    }
    // A refusal says why, in a word that stays the same.
    let (_, left) = records(&world, &b, Call::get(&here)).await;
    assert_eq!(left[0]["outcomeDesc"], "not-found: no-consent");
    let (_, left) = records(&world, &b, Call::get(&format!("{here}/$golden-record"))).await;
    assert_eq!(left[0]["outcomeDesc"], "not-found: no-consent");
    // What was disclosed is named, with whose it is and on what ground.
    a.create(&permit_to(&id, "hospital-b")).await;
    let seen = a.create(&observation(&here)).await;
    let (_, left) = records(&world, &b, Call::get(&format!("Observation?patient={id}"))).await;
    let text = left[0].to_string();
    for named in [format!("Patient/{id}"), format!("Observation/{seen}"), "Consent/".to_owned()] {
        assert!(text.contains(&named), "{named} is not in {text}");
    }
    assert_eq!(left[0]["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
    // As BALP has it: the client with the token it showed, its organisation, and who authorised.
    let agents = left[0]["agent"].as_array().unwrap();
    assert!(agents[0]["policy"][0].as_str().is_some_and(|token| token.starts_with("urn:hearthgate:token:") && token.len() > 25), "{text}");
    let typed = |code: &str| {
        agents.iter().find(|agent| agent["type"]["coding"][0]["code"] == code).unwrap_or_else(|| panic!("no {code} in {text}"))
    };
    assert_eq!(typed("CST")["who"]["identifier"]["value"], "hospital-b");
    assert_eq!(typed("110150")["role"][0]["text"], "authorizer");
    let query = left[0]["entity"].as_array().unwrap().iter().find_map(|entity| entity["query"].as_str()).unwrap();
    let query = String::from_utf8(data_encoding::BASE64.decode(query.as_bytes()).unwrap()).unwrap();
    assert_eq!(query, format!("Observation?patient={id}"));
    // The records are valid resources themselves.
    let events = world.audit_events().await;
    for event in events.iter().rev().take(25) {
        let judged = a.post("AuditEvent/$validate", event).await.expect(200).json();
        let errors: Vec<&Value> = judged["issue"].as_array().unwrap().iter().filter(|issue| issue["severity"] == "error").collect();
        assert!(errors.is_empty(), "{errors:?} in {event}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounting_is_for_oversight() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    a.create(&permit_to(&id, "hospital-b")).await;
    b.get(&format!("Patient/{id}")).await.expect(200);
    // Whoever asks or sends does not see who else did.
    for party in [&a, &b] {
        assert!(party.search("AuditEvent").await.is_empty());
        assert!(party.search(&format!("AuditEvent?patient=Patient/{id}")).await.is_empty());
    }
    // The regulator sees every record of the patient, and the provenance, but not the data.
    let regulator = world.party("health-department").await;
    let seen = regulator.search(&format!("AuditEvent?patient=Patient/{id}&_count=100")).await;
    assert!(seen.iter().any(|event| event.to_string().contains("hospital-b")), "the disclosure to hospital B is accounted for");
    assert_eq!(regulator.search(&format!("Provenance?target=Patient/{id}")).await.len(), 1);
    regulator.get(&format!("Patient/{id}")).await.expect(403);
    // Its own look is recorded too.
    let again = regulator.search("AuditEvent?_count=1000").await;
    assert!(again.iter().any(|event| event.to_string().contains("health-department")));
    // Nobody changes or deletes a record.
    let event = &seen[0];
    let path = format!("AuditEvent/{}", event["id"].as_str().unwrap());
    for party in [&a, &b] {
        assert!(party.put(&path, event).await.status >= 400);
        party.delete(&path).await;
    }
    assert_eq!(regulator.get(&path).await.expect(200).json(), *event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_records_were_counted_is_on_record_like_whose_were_read() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (one, two) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
    let mut consents = Vec::new();
    for id in [&one, &two] {
        consents.push(a.create(&permit_to(id, "hospital-b")).await);
        a.create(&observation(&format!("Patient/{id}"))).await;
        a.create(&observation(&format!("Patient/{id}"))).await;
    }
    let of_one = format!("patient={one}");
    // What is asked, and how many of the two patients it tells something of.
    let asked = [
        (format!("Observation?{of_one}&_summary=count"), 1),
        (format!("Observation?{of_one}&_count=0"), 1),
        (format!("Observation?{of_one}&code=http://loinc.org|none&_summary=count"), 0),
        ("Observation?_summary=count".to_owned(), 2),
        ("Observation?_count=1".to_owned(), 2),
        ("Observation?_count=2&_sort=patient&_total=none".to_owned(), 2),
        (format!("Observation?{of_one}&_total=none&_summary=count"), 0),
        (format!("Patient/{one}/$everything?_count=1"), 1),
    ];
    for (question, patients) in asked {
        let (_, left) = records(&world, &b, Call::get(&question)).await;
        let told: Vec<&Value> = left.iter().filter(|event| event.to_string().contains("Patient/hg-")).collect();
        assert_eq!(told.len(), patients, "{question}: {left:#?}");
        for event in told {
            let text = event.to_string();
            let (own, other) = if text.contains(&format!("Patient/{one}\"")) { (0, 1) } else { (1, 0) };
            assert!(text.contains(&consents[own]) && !text.contains(&consents[other]), "{question}: {text}");
        }
    }
}

/// What a system sent itself it may read back, of this type too; nobody else may, and nothing of the gateway's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_filed_an_account_reads_it_back() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    a.create(&permit_to(&id, "hospital-b")).await;
    let filed = json!({"resourceType": "AuditEvent", "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "recorded": "2026-11-20T08:30:00Z", "agent": [{"who": {"display": "x"}, "requestor": true}], "source": {"observer": {"display": "our EHR"}},
        "entity": [{"what": {"reference": format!("Patient/{id}")}}]});
    let event = format!("AuditEvent/{}", b.create(&filed).await);
    let ways = [event.clone(), format!("{event}/_history"), format!("{event}/_history/1"), format!("{event}/$receipt")];
    for way in &ways {
        b.get(way).await.expect(200);
        a.get(way).await.expect(404);
    }
    for search in ["AuditEvent".to_owned(), format!("AuditEvent?patient=Patient/{id}"), "AuditEvent?date=2026-11-20".to_owned()] {
        let found = b.search(&search).await;
        assert_eq!(
            found.iter().map(|event| format!("AuditEvent/{}", event["id"].as_str().unwrap())).collect::<Vec<_>>(),
            std::slice::from_ref(&event),
            "{search}"
        );
        assert!(a.search(&search).await.is_empty(), "{search}");
    }
    assert!(b.search("AuditEvent?date=lt2026-11-20").await.is_empty());
    let own =
        world.audit_events().await.into_iter().find(|one| one["agent"].to_string().contains("hospital-b")).expect("the gateway's own");
    b.get(&format!("AuditEvent/{}", own["id"].as_str().unwrap())).await.expect(404);
}
