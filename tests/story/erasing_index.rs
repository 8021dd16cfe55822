//! After an erasure the search index leads nobody to the person, nor from the person's id to what was done.

use super::erasing::Case;
use crate::support::World;
use crate::support::data::patient;
use crate::support::two_patients::TwoPatients;
use hearthgate::search::reference_keys;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// How many records the index has under an id, by whatever parameter.
fn indexed(data: &Connection, id: &str) -> i64 {
    let (low, high) = reference_keys(id);
    data.query_row("SELECT count(*) FROM exact WHERE key BETWEEN ? AND ?", [low, high], |row| row.get(0)).unwrap()
}

fn shortened(data: &Connection) -> Vec<i64> {
    let sql =
        "SELECT r.rid FROM resource r JOIN version v ON v.seq = r.current WHERE r.type = 'AuditEvent' AND instr(v.document, 'REDACTED')";
    data.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Both patients were created and changed, are named by one record, and were found by one search.
async fn seen_together() -> Case {
    let case = Case::new().await;
    for (id, number) in [(&case.first, "1"), (&case.second, "2")] {
        let mut later = patient(number);
        (later["id"], later["gender"]) = (json!(id), json!("male"));
        case.a.put(&format!("Patient/{id}"), &later).await.expect(200);
    }
    let mut shared = case.noted(&case.second, "shared");
    shared["focus"] = json!([{"reference": format!("Patient/{}", case.first)}]);
    let shared = case.created(&shared).await;
    case.a.get(&shared).await.expect(200);
    assert_eq!(case.a.search("Patient?family=Moor").await.len(), 2);
    case
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_with_a_person_alone_goes_and_nothing_is_found_by_the_person() {
    let case = seen_together().await;
    assert!(indexed(&case.data(), &case.first) > 0);
    let kept = indexed(&case.data(), &case.second);
    case.erase(&case.first, "?shared=true").await.expect(200);
    assert_eq!(indexed(&case.data(), &case.first), 0, "the index leads to what was done with the person");
    assert!(indexed(&case.data(), &case.second) >= kept, "what was done with the other is found as before");
    // Shortened is what was done with both; of the person's own creation and change there is nothing left to shorten.
    let subtypes = |event: &Value| event["subtype"][0]["code"].as_str().unwrap().to_owned();
    let sql = "SELECT v.document FROM version v WHERE instr(v.document, 'REDACTED') AND instr(v.document, '\"AuditEvent\"')";
    let data = case.data();
    let mut statement = data.prepare(sql).unwrap();
    let left = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let left: Vec<Value> = left.map(|document| serde_json::from_str(&document.unwrap()).unwrap()).collect();
    assert!(!left.is_empty());
    for event in &left {
        assert!(event.to_string().contains(&case.second), "{} is about nobody else: {event}", subtypes(event));
    }
}

/// Data of an older gateway, whose erasures left the index as it was, is put right at the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_gateway_left_in_the_index_is_taken_out_at_the_start() {
    let case = seen_together().await;
    case.erase(&case.first, "?shared=true").await.expect(200);
    let first = case.first.clone();
    let rids = shortened(&case.data());
    for rid in &rids {
        case.data().execute("INSERT INTO exact (key, rid) VALUES (?, ?)", params![reference_keys(&first).0 | 1, rid]).unwrap();
    }
    case.data().execute("INSERT INTO filling VALUES ('shortened')", []).unwrap();
    assert_eq!(indexed(&case.data(), &first), i64::try_from(rids.len()).unwrap());
    let TwoPatients { world, second, .. } = case.into_inner();
    let world: World = world.restart(|_| ()).await;
    let data = Connection::open(world.data().join("data.db")).unwrap();
    assert_eq!(indexed(&data, &first), 0);
    assert!(indexed(&data, &second) > 0);
}
