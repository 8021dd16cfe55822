//! The gateway is killed in the middle of a replay, again and again; in the end every resource was written anew exactly once. And a Bundle that was stored
//! before the gateway noted whom it means is made right by a replay.

use crate::support::data::{bundle, creates, observation, patient, permit};
use crate::support::process::{Site, hearthgate};
use crate::support::world::documents;
use serde_json::{Value, json};
use std::time::Duration;

const RESOURCES: usize = 150;
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_killed_goes_on_and_writes_nothing_twice() {
    let site = Site::new("[source.laboratory.normalise]\ncoding-systems = false\n");
    let process = site.start().await;
    let laboratory = site.party("laboratory").await;
    let entries = (0..RESOURCES).map(|number| {
        let mut seen: Value = observation("Patient/1");
        seen["code"]["coding"][0]["system"] = json!("urn:oid:2.16.840.1.113883.6.1");
        seen["valueQuantity"]["value"] = json!(number);
        creates(&format!("urn:uuid:{number}"), seen)
    });
    laboratory.post("", &bundle("transaction", entries.collect())).await.expect(200);
    drop(process);
    let config = site.folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("coding-systems = false", "coding-systems = true");
    std::fs::write(&config, text).unwrap();
    let folder = site.folder.path().to_owned();
    let run = move || hearthgate(&["normalise", "replay", "--config", "gateway.toml", "--source", "laboratory"], &folder);
    let mut cut_off = 0;
    for kill in 0..KILLS {
        let process = site.start().await;
        let replaying = tokio::task::spawn_blocking(run.clone());
        tokio::time::sleep(Duration::from_millis(20 + 40 * kill)).await;
        process.kill();
        cut_off += usize::from(!replaying.await.unwrap().status.success());
    }
    assert!(cut_off > 0, "every replay was done before it was killed");
    let _process = site.start().await;
    let done = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let versions = documents(&site.data(), "Observation");
    let (old, new): (Vec<&Value>, Vec<&Value>) = versions.iter().partition(|version| version["meta"]["versionId"] == "1");
    assert_eq!((old.len(), new.len()), (RESOURCES, RESOURCES));
    assert!(new.iter().all(|version| version["meta"]["versionId"] == "2" && version["code"]["coding"][0]["system"] == "http://loinc.org"));
}

/// With the references of a source left as they are, its Bundles are stored as by a gateway of before: whom they mean stands nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_says_whom_stored_bundles_mean() {
    let (off, on) = ("references = false", "references = true");
    let site = Site::new(&format!("[source.hospital-a.normalise]\n{off}\n"));
    let process = site.start().await;
    let (a, b) = (site.party("hospital-a").await, site.party("hospital-b").await);
    let put = async |mut resource: Value, id: &str| {
        resource["id"] = json!(id);
        let path = format!("{}/{id}", resource["resourceType"].as_str().unwrap());
        a.put(&path, &resource).await.expect(201).json()["id"].as_str().unwrap().to_owned()
    };
    let permitted = put(patient("1"), "one").await;
    let denied = put(patient("2"), "two").await;
    a.create(&permit(&permitted)).await;
    let mut denial = permit(&denied);
    denial["provision"] = json!({"type": "deny"});
    a.create(&denial).await;
    let kept = |subject: &str| {
        let mut result = observation(subject);
        result["id"] = json!("o");
        let entry = json!({"fullUrl": "https://ehr.hospital-a.example/fhir/Observation/o", "resource": result});
        json!({"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    };
    let of_permitted = put(kept("Patient/one"), "first").await;
    let of_denied = put(kept("Patient/two"), "second").await;
    for id in [&of_permitted, &of_denied] {
        b.get(&format!("Bundle/{id}")).await.expect(404);
    }
    drop(process);
    let text = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, text.replace(off, on)).unwrap();
    let _process = site.start().await;
    let folder = site.folder.path().to_owned();
    let run = move || hearthgate(&["normalise", "replay", "--config", "gateway.toml", "--source", "hospital-a"], &folder);
    let done = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = b.get(&format!("Bundle/{of_permitted}")).await.expect(200).json();
    assert_eq!(shown["entry"], kept("Patient/one")["entry"], "entries stay as they were sent");
    assert_eq!(shown["meta"]["versionId"], "2");
    b.get(&format!("Bundle/{of_denied}")).await.expect(404);
    let regulator = site.party_with("health-department", "system/Provenance.rs system/AuditEvent.rs").await;
    let trail = regulator.get(&format!("Patient/{permitted}/$provenance-trail")).await.expect(200).text();
    assert!(trail.contains(&of_permitted) && !trail.contains(&of_denied));
}
