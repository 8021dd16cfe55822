//! Reading one resource, its versions, and histories.

use crate::support::data::{observation, patient};
use crate::support::{Call, World};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_told_when_nothing_has_changed() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let read = a.get(&here).await.expect(200);
    let modified = read.header("last-modified").unwrap().to_owned();

    let known = a.call(Call::get(&here).header("if-none-match", "W/\"1\"")).await.expect(304);
    assert!(known.bytes.is_empty() && known.header("etag") == Some("W/\"1\""));
    a.call(Call::get(&here).header("if-none-match", "W/\"9\", W/\"1\"")).await.expect(304);
    a.call(Call::get(&here).header("if-none-match", "W/\"2\"")).await.expect(200);
    a.call(Call::get(&here).header("if-modified-since", &modified)).await.expect(304);
    a.call(Call::get(&here).header("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")).await.expect(200);
    let mut changed = read.json();
    changed["active"] = json!(true);
    a.put(&here, &changed).await.expect(200);
    a.call(Call::get(&here).header("if-none-match", "W/\"1\"")).await.expect(200);

    let head = a.call(Call::new("HEAD", &here)).await.expect(200);
    assert!(head.bytes.is_empty() && head.header("etag") == Some("W/\"2\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_found() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    for path in [
        "Patient/nobody".to_owned(),
        "Patient/nobody/_history/1".to_owned(),
        "Patient/nobody/_history".to_owned(),
        format!("Patient/{id}/_history/2"),
        format!("Patient/{id}/_history/0"),
        format!("Patient/{id}/_history/x"),
        format!("Patient/{id}/_history/99999999999999999999"),
        format!("Observation/{id}"),
        format!("Observation/{id}/_history"),
        format!("Patient/{id}/_history/2/$receipt"),
        "Patient/nobody/$receipt".to_owned(),
    ] {
        let answer = a.get(&path).await.expect(404);
        assert_eq!(answer.issue(), "not-found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_tell_every_version_newest_first() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let mut body = a.get(&here).await.json();
    for turn in 2..=5 {
        body["name"][0]["given"] = serde_json::json!([format!("Ada{turn}")]);
        a.put(&here, &body).await.expect(200);
    }
    a.create(&observation(&here)).await;

    let instance = a.get(&format!("{here}/_history")).await.expect(200).json();
    assert_eq!(instance["type"], "history");
    assert_eq!(versions(&instance), ["5", "4", "3", "2", "1"]);
    for entry in instance["entry"].as_array().unwrap() {
        assert_eq!(entry["fullUrl"], format!("{}/fhir/{here}", world.origin));
        assert!(entry["response"]["etag"].is_string() && entry["response"]["lastModified"].is_string());
    }
    assert_eq!(versions(&a.get("Patient/_history").await.expect(200).json()).len(), 5);
    let system = a.get("_history").await.expect(200).json();
    assert_eq!(versions(&system).len(), 6);
    assert_eq!(system["entry"][0]["resource"]["resourceType"], "Observation");

    // Page by page it is the same.
    let mut paged = Vec::new();
    let mut next = Some(format!("{here}/_history?_count=2"));
    while let Some(path) = next {
        let page = a.get(&path).await.expect(200);
        paged.extend(versions(&page.json()));
        next = page.link("next");
        assert!(paged.len() <= 5, "pages that never end");
    }
    assert_eq!(paged, ["5", "4", "3", "2", "1"]);

    tokio::time::sleep(Duration::from_millis(20)).await;
    let since = hearthgate::clock::Clock::system().now().to_fhir_instant();
    tokio::time::sleep(Duration::from_millis(20)).await;
    body["active"] = json!(true);
    a.put(&here, &body).await.expect(200);
    assert_eq!(versions(&a.get(&format!("{here}/_history?_since={since}")).await.expect(200).json()), ["6"]);
    for wrong in ["_since=yesterday", "_count=x", "_count=-1", "frobnicate=1"] {
        a.get(&format!("{here}/_history?{wrong}")).await.expect(400).issue();
    }
}

fn versions(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["meta"]["versionId"].as_str().unwrap().to_owned()).collect()
}
