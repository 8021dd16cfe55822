//! Every acknowledgement comes with a receipt that anybody who has the log's key can check, with nothing else.

use crate::support::data::{bundle, creates, observation, patient};
use crate::support::party::FHIR_XML;
use crate::support::process::hearthgate;
use crate::support::{Call, World};
use hearthgate::anchor::{LeafKind, Subject, verify_receipt};
use hearthgate::ledger::Policy;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_holds_for_what_was_sent_and_what_is_stored() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let policy = world.policy();
    let sent = patient("1").to_string();
    let created = a.call(Call::new("POST", "Patient").body("application/fhir+json", sent.clone())).await.expect(201);
    let link = created.header("x-hearthgate-receipt").expect("a link to the receipt").to_owned();
    let receipt = a.get(&link).await.expect(200);
    assert!(receipt.header("content-type").unwrap().starts_with("text/plain"));
    let receipt = receipt.text();
    let id = created.json()["id"].as_str().unwrap().to_owned();

    let raw = verify_receipt(&receipt, &policy, Some(sent.as_bytes())).unwrap();
    assert_eq!((raw.subject, raw.kind), (Some(Subject::Received), LeafKind::Accept));
    assert_eq!(raw.target, format!("Patient/{id}/_history/1"));
    let stored = verify_receipt(&receipt, &policy, Some(&created.bytes)).unwrap();
    assert_eq!(stored.subject, Some(Subject::Stored));
    // The stored form is canonical: how it is written does not matter, what it says does.
    let pretty = serde_json::to_vec_pretty(&created.json()).unwrap();
    assert_eq!(verify_receipt(&receipt, &policy, Some(&pretty)).unwrap().subject, Some(Subject::Stored));
    verify_receipt(&receipt, &policy, None).unwrap();

    // Another record, another proof, another log: nothing of it passes.
    let mut other = created.json();
    other["gender"] = json!("male");
    assert!(verify_receipt(&receipt, &policy, Some(other.to_string().as_bytes())).is_err());
    assert!(verify_receipt(&receipt, &policy, Some(format!("{sent} ").as_bytes())).is_err() || sent.ends_with(' '));
    assert!(verify_receipt(&receipt, &World::start().await.policy(), None).is_err());
    check_tampering(&receipt, &policy, sent.as_bytes());

    // The same by the command line, offline.
    let folder = world.folder.path();
    std::fs::write(folder.join("receipt"), &receipt).unwrap();
    std::fs::write(folder.join("record.json"), &sent).unwrap();
    std::fs::write(folder.join("other.json"), other.to_string()).unwrap();
    let key = world.running.verifier_key.to_string();
    let verified = hearthgate(&["ledger", "verify", "receipt", "--record", "record.json", "--key", &key], folder);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let refused = hearthgate(&["ledger", "verify", "receipt", "--record", "other.json", "--key", &key], folder);
    assert_eq!(refused.status.code(), Some(1));
}

/// Whatever single character of a receipt is changed, it no longer holds for the record.
fn check_tampering(receipt: &str, policy: &Policy, record: &[u8]) {
    let mut passed = Vec::new();
    for at in 0..receipt.len() {
        let mut tampered = receipt.as_bytes().to_vec();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let Ok(tampered) = String::from_utf8(tampered) else { continue };
        if tampered != receipt && verify_receipt(&tampered, policy, Some(record)).is_ok() {
            passed.push(at);
        }
    }
    // The name of the target is what the gateway calls the record; it is not what the leaf commits to.
    let explained = |at: &usize| receipt.lines().nth(1).is_some_and(|extra| *at < receipt.find('\n').unwrap() + 1 + extra.len());
    let unexplained: Vec<&usize> = passed.iter().filter(|at| !explained(at)).collect();
    assert!(unexplained.is_empty(), "changes at {unexplained:?} pass\n{receipt}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_and_every_entry_has_a_receipt() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let policy = world.policy();
    let xml = "<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/></Patient>";
    let created = a.call(Call::new("POST", "Patient").body(FHIR_XML, xml)).await.expect(201);
    let receipt = a.get(created.header("x-hearthgate-receipt").unwrap()).await.expect(200).text();
    assert_eq!(verify_receipt(&receipt, &policy, Some(xml.as_bytes())).unwrap().subject, Some(Subject::Received));

    let here = format!("Patient/{}", created.json()["id"].as_str().unwrap());
    let mut changed = created.json();
    changed["gender"] = json!("female");
    let updated = a.put(&here, &changed).await.expect(200);
    let second = a.get(updated.header("x-hearthgate-receipt").unwrap()).await.expect(200).text();
    assert!(verify_receipt(&second, &policy, Some(&updated.bytes)).is_ok());
    assert!(verify_receipt(&second, &policy, Some(&created.bytes)).is_err(), "each version has its own");
    let newest = a.get(&format!("{here}/$receipt")).await.expect(200).text();
    assert_eq!(verify_receipt(&newest, &policy, None).unwrap().target, format!("{here}/_history/2"));

    let deleted = a.delete(&here).await.expect(204);
    if let Some(link) = deleted.header("x-hearthgate-receipt") {
        let gone = a.get(link).await.expect(200).text();
        assert_eq!(verify_receipt(&gone, &policy, None).unwrap().target, format!("{here}/_history/3"));
    }
    // The proof of what was there before still holds.
    let old = a.get(&format!("{here}/_history/1/$receipt")).await.expect(200).text();
    assert!(verify_receipt(&old, &policy, Some(&created.bytes)).is_ok());

    // In a transaction every entry has its own, for the whole of what was received and for the part that is stored.
    let sent = bundle("transaction", vec![creates("urn:uuid:1", patient("1")), creates("urn:uuid:2", observation("urn:uuid:1"))]);
    let answer = a.post("", &sent).await.expect(200).json();
    for entry in answer["entry"].as_array().unwrap() {
        let location = entry["response"]["location"].as_str().unwrap();
        let receipt = a.get(&format!("{location}/$receipt")).await.expect(200).text();
        let raw = verify_receipt(&receipt, &policy, Some(sent.to_string().as_bytes())).unwrap();
        assert_eq!(raw.subject, Some(Subject::Received));
        let stored = a.get(location).await.expect(200).bytes;
        assert_eq!(verify_receipt(&receipt, &policy, Some(&stored)).unwrap().subject, Some(Subject::Stored));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_has_its_provenance() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let created = a.post("Patient", &patient("1")).await.expect(201).json();
    let here = format!("Patient/{}", created["id"].as_str().unwrap());
    let mut changed = created.clone();
    changed["gender"] = json!("other");
    a.put(&here, &changed).await.expect(200);
    a.delete(&here).await.expect(204);

    let found = a.search(&format!("Provenance?target={here}")).await;
    let mut targets: Vec<String> = found.iter().map(target).collect();
    targets.sort();
    assert_eq!(targets, [1, 2, 3].map(|version| format!("{here}/_history/{version}")));
    for provenance in &found {
        assert!(provenance["recorded"].is_string() && provenance["agent"].as_array().is_some_and(|agents| !agents.is_empty()));
        assert!(provenance.to_string().contains("hospital-a"), "it says who sent it: {provenance}");
    }
    assert_eq!(a.search("Provenance").await.len(), 3);
    // Who may not see the record may not see where it came from.
    let b = world.party("hospital-b").await;
    assert!(b.search("Provenance").await.is_empty());
    assert!(b.search(&format!("Provenance?target={here}")).await.is_empty());
    // Nobody writes the gateway's own records.
    let mut forged = found[0].clone();
    forged["recorded"] = json!("2020-01-01T00:00:00Z");
    let path = format!("Provenance/{}", forged["id"].as_str().unwrap());
    assert!(a.put(&path, &forged).await.status >= 400);
    a.delete(&path).await;
    assert_eq!(a.search("Provenance").await.len(), 3);
}

fn target(provenance: &Value) -> String {
    provenance["target"][0]["reference"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_of_what_was_done_opens_it() {
    let world = World::start().await;
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    a.get(&here).await.expect(200);
    a.search("Practitioner?name=nobody").await;
    let events = regulator.search("AuditEvent?_count=20").await;
    let of_patient = events.iter().filter(|event| event["entity"].to_string().contains(&here)).count();
    assert!(of_patient >= 2 && of_patient < events.len(), "of a patient, and of nobody: {events:#?}");
    for event in events {
        let address = format!("AuditEvent/{}", event["id"].as_str().unwrap());
        let receipt = regulator.get(&format!("{address}/$receipt")).await;
        if receipt.status == 404 {
            // What a stranger did, who was given a token, is in no leaf.
            assert_eq!(event["subtype"][0]["code"], "token", "{event}");
            assert!(receipt.text().contains("has no leaf in the log"), "it is there, and has none: {}", receipt.text());
            continue;
        }
        let opened = verify_receipt(&receipt.text(), &world.policy(), Some(event.to_string().as_bytes())).unwrap();
        assert_eq!((opened.subject, opened.target), (Some(Subject::Stored), address));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_line_proves_it_verifies() {
    let world = World::start().await;
    world.party("hospital-a").await.create(&patient("1")).await;
    let (key, folder) = (world.running.verifier_key.to_string(), world.folder.path());
    let log = format!("{}/ledger", world.origin);
    let run = |arguments: &[&str]| {
        let run = hearthgate(&[arguments, &["--key", &key]].concat(), folder);
        let text = [run.stdout, run.stderr].concat();
        (run.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (status, proof) = run(&["ledger", "prove", &log, "0"]);
    assert_eq!(status, Some(0), "{proof}");
    std::fs::write(folder.join("proof"), proof).unwrap();
    let bundle = reqwest::get(format!("{log}/tile/entries/000.p/1")).await.unwrap().bytes().await.unwrap();
    std::fs::write(folder.join("entry"), &bundle[2..]).unwrap();
    std::fs::write(folder.join("other"), "other").unwrap();
    let (status, told) = run(&["ledger", "verify", "proof", "--record", "entry"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("the entry is leaf 0 of") && told.contains("nothing is opened"), "{told}");
    assert_eq!(run(&["ledger", "verify", "proof", "--record", "other"]).0, Some(1));
    let (status, told) = run(&["ledger", "verify", "proof"]);
    assert_eq!(status, Some(1));
    assert!(told.contains("give the entry"), "{told}");

    // A copy that is behind what was seen is no split view.
    let copy = folder.join("copy");
    copy_folder(&world.data().join("ledger"), &copy);
    world.party("hospital-a").await.create(&patient("2")).await;
    let newer = reqwest::get(format!("{log}/checkpoint")).await.unwrap().text().await.unwrap();
    std::fs::write(folder.join("newer"), newer).unwrap();
    let (status, told) = run(&["ledger", "verify", "copy", "--since", "newer"]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("shows less than was seen") && !told.contains("SPLIT VIEW"), "{told}");
    assert_eq!(run(&["ledger", "verify", &log, "--since", "newer"]).0, Some(0));

    // Whoever has the leaves by a URL builds the index again too.
    let leaf_key = world.leaf_key_file();
    let leaf_key = leaf_key.to_str().unwrap();
    let (status, told) = run(&["evidence", "index", &log, "--leaf-key", leaf_key]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains(", 0 problems"), "{told}");
    // Without the key they say nothing of whom they are about, and with another nothing that fits.
    let (status, told) = run(&["evidence", "index", &log]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("leaves are sealed: --leaf-key FILE opens them"), "{told}");
    std::fs::write(folder.join("another.key"), "07".repeat(32)).unwrap();
    let (status, told) = run(&["evidence", "index", &log, "--leaf-key", "another.key"]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("the key of leaves does not open it") || told.contains("its counter does not follow"), "{told}");
    std::fs::write(folder.join("no.key"), "07").unwrap();
    assert_eq!(run(&["evidence", "index", &log, "--leaf-key", "no.key"]).0, Some(2));
    let (status, told) = run(&["evidence", "index", "/nonexistent"]);
    assert_eq!(status, Some(2));
    assert!(told.contains("no such folder"), "{told}");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}
