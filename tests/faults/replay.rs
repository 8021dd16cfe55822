//! The gateway is killed in the middle of a replay, again and again; in the end every resource was written anew exactly once.

use crate::support::data::{bundle, creates, observation};
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
