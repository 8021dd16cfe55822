//! A configuration read again while the gateway runs, and what its rules then make of what was stored before.

use crate::support::data::{bundle, creates, observation, patient};
use crate::support::process::{Site, hearthgate};
use crate::support::{Call, World, until};
use hearthgate::api::Reload;
use serde_json::{Value, json};

/// A world whose laboratory names systems as it likes: the rule about that is off.
async fn lax() -> World {
    crate::support::Setup::adjusted(|settings| {
        settings.sources.get_mut("laboratory").unwrap().normalise.insert("coding-systems".to_owned(), toml::Value::Boolean(false));
    })
    .start()
    .await
}

async fn strict(world: &World) {
    let mut settings = world.settings.clone();
    settings.sources.get_mut("laboratory").unwrap().normalise.clear();
    let reloaded = world.running.reload(Reload::Settings(Box::new(settings)), "test").await.unwrap();
    assert!(reloaded.at_restart.is_empty(), "{reloaded:?}");
}

fn by_oid(subject: &str) -> Value {
    let mut seen = observation(subject);
    seen["code"]["coding"][0]["system"] = json!("urn:oid:2.16.840.1.113883.6.1");
    seen
}

async fn replay(world: &World, query: &str) -> (Vec<Value>, Value) {
    let told = world.desk("POST", &format!("/replay?source=laboratory&{query}"), &json!(null)).await.expect(200).text();
    let mut lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    (lines, summary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_take_effect_on_the_next_request_and_a_broken_configuration_on_none() {
    let world = lax().await;
    let laboratory = world.party("laboratory").await;
    let system =
        async || laboratory.post("Observation", &by_oid("Patient/1")).await.expect(201).json()["code"]["coding"][0]["system"].clone();
    assert_eq!(system().await, "urn:oid:2.16.840.1.113883.6.1");
    strict(&world).await;
    assert_eq!(system().await, "http://loinc.org", "with the token of before");
    let mut broken = world.settings.clone();
    broken.sources.get_mut("laboratory").unwrap().normalise.insert("no-such-rule".to_owned(), toml::Value::Boolean(true));
    let refused = world.running.reload(Reload::Settings(Box::new(broken)), "test").await.unwrap_err();
    assert!(refused.contains("no-such-rule"), "{refused}");
    assert_eq!(system().await, "http://loinc.org", "the old one stays");
    // A limit of the intake, a partner that is taken out, and what only a restart can change.
    let mut other = world.settings.clone();
    other.server.body_limit_bytes = hearthgate::config::limits::BODY_BYTES.min;
    other.ledger.origin = "elsewhere.test/log".to_owned();
    other.clients.retain(|client| client.id != "laboratory");
    let reloaded = world.running.reload(Reload::Settings(Box::new(other)), "test").await.unwrap();
    assert_eq!(reloaded.at_restart, ["[ledger]"]);
    laboratory.get("Observation").await.expect(401);
    let mut large = patient("1");
    large["name"][0]["text"] = json!("x".repeat(usize::try_from(hearthgate::config::limits::BODY_BYTES.min).unwrap()));
    world.party("hospital-a").await.post("Patient", &large).await.expect(413);
    // Each is in the audit trail, the refused one too.
    let events = world.audit_events().await;
    let outcomes: Vec<&str> =
        events.iter().filter(|event| event["subtype"][0]["code"] == "reload").map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["0", "4", "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_shows_what_would_change_and_then_changes_it_once() {
    let world = lax().await;
    let laboratory = world.party("laboratory").await;
    laboratory.create(&by_oid("Patient/1")).await;
    let subject = json!({"fullUrl": "urn:uuid:1", "resource": patient("1"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:oid:1.3.6.1.4.1.99999.2|1"}});
    let both = bundle("transaction", vec![subject.clone(), creates("urn:uuid:2", by_oid("urn:uuid:1"))]);
    laboratory.post("", &both).await.expect(200);
    // The second time the patient is there already, and the reference leads to what is there.
    laboratory.post("", &both).await.expect(200);
    laboratory.create(&observation("Patient/1")).await;
    let before = laboratory.search("Observation").await;
    let since = before[0]["meta"]["lastUpdated"].as_str().unwrap().to_owned();
    strict(&world).await;
    let (lines, summary) = replay(&world, "dry=true").await;
    assert_eq!((lines.len(), &summary["written"]), (3, &json!(0)), "{lines:?}");
    for line in &lines {
        let change = &line["changes"][0];
        assert_eq!(line["changes"].as_array().unwrap().len(), 1, "{line}");
        assert_eq!(change["path"], "Observation.code.coding[0].system");
        assert!(change["rule"].as_str().unwrap().contains("coding-systems"), "{line}");
        assert_eq!((&change["before"], &change["after"]), (&json!("urn:oid:2.16.840.1.113883.6.1"), &json!("http://loinc.org")));
    }
    assert_eq!(laboratory.search("Observation").await, before, "a dry run changes nothing");
    assert!(replay(&world, "dry=true&since=2100-01-01").await.0.is_empty());
    assert_eq!(replay(&world, &format!("dry=true&since={}", crate::support::world::escape(&since))).await.0.len(), 3);
    // In pages of one, as a replay that is cut off again and again would go.
    let (mut after, mut written) = (json!(0), 0);
    while !after.is_null() {
        let (_, summary) = replay(&world, &format!("dry=false&limit=1&after={after}")).await;
        written += summary["written"].as_u64().unwrap();
        after = summary["next"].clone();
    }
    assert_eq!(written, 3);
    for (old, new) in before.iter().zip(laboratory.search("Observation").await) {
        assert_eq!(new["code"]["coding"][0]["system"], "http://loinc.org");
        assert_eq!((&new["id"], &new["subject"]), (&old["id"], &old["subject"]));
    }
    let (lines, summary) = replay(&world, "dry=false").await;
    assert_eq!((lines.len(), &summary["written"]), (0, &json!(0)), "once is enough");
    // The new version's receipt opens to the bytes that were received at first.
    let id = before[0]["id"].as_str().unwrap();
    let receipt = laboratory.get(&format!("Observation/{id}/_history/2/$receipt")).await.expect(200).text();
    hearthgate::anchor::verify_receipt(&receipt, &world.policy(), Some(by_oid("Patient/1").to_string().as_bytes())).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_has_the_file_read_again() {
    let site = Site::new("");
    let process = site.start().await;
    let config = site.folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let laboratory = site.party("laboratory").await;
    let system =
        async || laboratory.post("Observation", &by_oid("Patient/1")).await.expect(201).json()["code"]["coding"][0]["system"].clone();
    std::fs::write(&config, format!("{text}\n[source.laboratory.normalise]\ncoding-systems = false\n")).unwrap();
    process.hang_up();
    until("the rule is off", async || (system().await == "urn:oid:2.16.840.1.113883.6.1").then_some(())).await;
    std::fs::write(&config, "nonsense = 1\n").unwrap();
    process.hang_up();
    until("the refusal is loud", async || site.log().contains("the old one stays").then_some(())).await;
    assert_eq!(system().await, "urn:oid:2.16.840.1.113883.6.1");
    // The file is looked at of itself too, and the command line can ask.
    std::fs::write(&config, &text).unwrap();
    until("the rule is on", async || (system().await == "http://loinc.org").then_some(())).await;
    let done = hearthgate(&["reload", "--config", "gateway.toml"], site.folder.path());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let listed = hearthgate(&["work", "--config", "gateway.toml", "list"], site.folder.path());
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success() && text.contains("unmapped-code") && text.contains("718-7"), "{text}");
    let key = std::fs::metadata(site.data().join("keys/operator.key")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&key) & 0o077, 0, "the operator's key is for its owner alone");
    let refused = site.party("laboratory").await.call(Call::new("POST", &format!("{}/desk/reload", site.admin))).await;
    assert_eq!(refused.status, 401);
}
