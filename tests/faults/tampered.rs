//! What somebody changed in the database, behind the gateway: it is named, and not served.

use crate::support::World;
use crate::support::data::{observation, patient};
use hearthgate::outcome::FaultKind;
use rusqlite::Connection;
use serde_json::json;

/// A change to the current version's row, or to its resource's, as SQL. `VERSION` and `RESOURCE` stand for the conditions that find these.
const CHANGES: &[&str] = &[
    "UPDATE version SET source = 'hospital-b' WHERE VERSION",
    "UPDATE version SET at = at + 1 WHERE VERSION",
    "UPDATE version SET method = 0 WHERE VERSION",
    "UPDATE version SET method = 2 WHERE VERSION",
    "UPDATE version SET leaf = leaf - 1 WHERE VERSION",
    "UPDATE version SET leaf = NULL WHERE VERSION",
    "UPDATE version SET leaves = 2 WHERE VERSION",
    "UPDATE version SET key = zeroblob(16) WHERE VERSION",
    "UPDATE version SET key = NULL WHERE VERSION",
    "UPDATE version SET raw = raw - 1 WHERE VERSION",
    "UPDATE version SET raw = NULL WHERE VERSION",
    "UPDATE version SET place = 'Bundle.entry[7].resource' WHERE VERSION",
    "UPDATE version SET document = replace(document, '13.2', '13.3') WHERE VERSION",
    "UPDATE version SET seal = zeroblob(16) WHERE VERSION",
    "UPDATE version SET rid = (SELECT rid FROM resource WHERE type = 'Patient' LIMIT 1), version = 7 WHERE VERSION",
    // Another version is said to be the newest, by the number of its row, by its own number, and by both.
    "UPDATE resource SET current = (SELECT seq FROM version WHERE version = 1 AND version.rid = resource.rid) WHERE RESOURCE",
    "UPDATE resource SET version = 1 WHERE RESOURCE",
    "UPDATE resource SET version = 3 WHERE RESOURCE",
    "UPDATE resource SET version = 1, current = (SELECT seq FROM version WHERE version = 1 AND version.rid = resource.rid) WHERE RESOURCE",
    // The same, where the version after it was taken away and a later one is there.
    "UPDATE version SET version = 3 WHERE VERSION; UPDATE resource SET version = 1, current = (SELECT seq FROM version WHERE version = 1 AND \
     version.rid = resource.rid) WHERE RESOURCE",
    // The same, where nothing newer is there any more.
    "DELETE FROM version WHERE VERSION; UPDATE resource SET version = 1, current = (SELECT seq FROM version WHERE version = 1 AND version.rid = \
     resource.rid) WHERE RESOURCE",
    // What is there is said to be deleted.
    "UPDATE resource SET deleted = 1 WHERE RESOURCE",
    // Another record is said to be this one.
    "UPDATE resource SET id = 'gone' WHERE RESOURCE; UPDATE resource SET id = 'ID' WHERE id = 'TWIN'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_changed_is_named_and_not_served() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    let (id, twin) = (a.create(&observation(&here)).await, a.create(&observation(&here)).await);
    let mut corrected = observation(&here);
    (corrected["id"], corrected["status"]) = (json!(id), json!("corrected"));
    let stored = a.put(&format!("Observation/{id}"), &corrected).await.expect(200).json();
    let data = Connection::open(world.data().join("data.db")).unwrap();
    let resource = format!("id = '{id}'");
    let version = format!("version = 2 AND rid = (SELECT rid FROM resource WHERE {resource})");
    for change in CHANGES {
        keep(&data);
        let sql = change.replace("VERSION", &version).replace("RESOURCE", &resource).replace("ID", &id).replace("TWIN", &twin);
        data.execute_batch(&sql).unwrap();
        let read = a.get(&format!("Observation/{id}")).await;
        // Taken away altogether it cannot be told from what never was; that shows in the trail.
        let is_moved = change.contains("SET rid");
        assert!(is_moved || (read.status, read.issue().as_str()) == (500, "exception"), "{change}: {}", read.text());
        assert!(read.status != 200, "{change}");
        let (of, is_named) = (id.clone(), format!("/{id} version "));
        let fault = world.running.store.read(move |reader| reader.current("Observation", &of)).await;
        match fault {
            Err(fault) => assert!(fault.kind == FaultKind::StorageCorrupt && fault.detail.contains(&is_named), "{change}: {fault}"),
            Ok(found) => assert!(is_moved && found.is_none(), "{change}"),
        }
        let found = a.get(&format!("Observation?_id={id}")).await;
        assert!(found.status == 500 || found.matches().is_empty(), "{change}: {}", found.text());
        put_back(&data);
        assert_eq!(a.get(&format!("Observation/{id}")).await.expect(200).json(), stored, "{change}");
    }
}

/// What the newest version took the place of cannot be shown in its place, even where nothing newer is said to exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newest_version_that_was_taken_away_is_missed_in_the_trail() {
    let world = World::start().await;
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    let id = a.create(&observation(&here)).await;
    let mut corrected = observation(&here);
    (corrected["id"], corrected["status"]) = (json!(id), json!("entered-in-error"));
    a.put(&format!("Observation/{id}"), &corrected).await.expect(200);
    let data = Connection::open(world.data().join("data.db")).unwrap();
    data.execute_batch(&format!(
        "DELETE FROM version WHERE version = 2 AND rid = (SELECT rid FROM resource WHERE id = '{id}');
         UPDATE resource SET version = 1, current = (SELECT seq FROM version WHERE version.rid = resource.rid) WHERE id = '{id}';"
    ))
    .unwrap();
    for of in [here, format!("Observation/{id}")] {
        assert_eq!(regulator.get(&format!("{of}/$provenance-trail")).await.expect(500).issue(), "exception", "{of}");
    }
}

fn keep(data: &Connection) {
    data.execute_batch("CREATE TEMP TABLE versions AS SELECT * FROM version; CREATE TEMP TABLE resources AS SELECT * FROM resource;")
        .unwrap();
}

fn put_back(data: &Connection) {
    data.execute_batch(
        "BEGIN IMMEDIATE;
         INSERT OR IGNORE INTO temp.versions SELECT * FROM version WHERE seq > (SELECT max(seq) FROM temp.versions);
         INSERT OR IGNORE INTO temp.resources SELECT * FROM resource WHERE rid > (SELECT max(rid) FROM temp.resources);
         DELETE FROM version; INSERT INTO version SELECT * FROM temp.versions; DROP TABLE temp.versions;
         DELETE FROM resource; INSERT INTO resource SELECT * FROM temp.resources; DROP TABLE temp.resources;
         COMMIT;",
    )
    .unwrap();
}
