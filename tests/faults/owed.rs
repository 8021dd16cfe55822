//! Records of what was shown are acknowledged a moment before they take their places; whenever the process dies, each is there once.

use super::kill::check_log;
use crate::support::data::{patient, permit_to};
use crate::support::process::{Process, Site, hearthgate};
use crate::support::world::{OFFICER, audit_events};
use crate::support::{Call, Party, Setup, World};
use serde_json::Value;
use std::time::Duration;

/// Where the record of a read can be cut off: before and after it is kept, and on its way to its places.
const STEPS: [&str; 9] = [
    "keep-before:1",
    "keep-before:9",
    "keep-synced:5",
    "keep-kept:1",
    "keep-kept:9",
    "commit-before:4",
    "commit-stored:4",
    "register-after:4",
    "commit-registered:4",
];
const READERS: usize = 3;
const JOURNAL: &str = "owed.journal";
/// A frame begins with a block.
const BLOCK: usize = 4096;
const SOON: Duration = Duration::from_secs(30);

/// Reads until the gateway is gone; how often it was answered.
async fn read(party: Party, path: String) -> usize {
    let mut answered = 0;
    while let Ok(answer) = party.try_call(Call::get(&path)).await {
        answer.expect(200);
        answered += 1;
    }
    answered
}

async fn stopped(site: &Site, process: Process) {
    let mut process = process;
    process.terminate();
    assert!(process.ended(SOON).await.is_some_and(|status| status.success()), "{}", site.log());
}

/// The number of the first frame that the data has not taken in.
fn owed_from(site: &Site) -> u64 {
    let connection = rusqlite::Connection::open(site.data().join("data.db")).unwrap();
    connection.query_row("SELECT coalesce(max(number), 0) + 1 FROM taken_in", [], |row| row.get(0)).unwrap()
}

fn is_owing(site: &Site) -> bool {
    let first = owed_from(site);
    numbers(&std::fs::read(site.data().join(JOURNAL)).unwrap()).any(|number| number >= first)
}

/// The numbers of the frames in a journal.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let heads = bytes.chunks(BLOCK).filter_map(|block| block.strip_prefix(b"hg owed1"));
    heads.filter_map(|rest| rest.first_chunk().map(|number| u64::from_be_bytes(*number)))
}

/// How many records of a resource having been read there are.
fn accounted(site: &Site, path: &str) -> usize {
    let events = audit_events(&site.data());
    let reads = events.iter().filter(|event| event["subtype"][0]["code"] == "read" && event["outcome"] == "0");
    reads.filter(|event| event["entity"].to_string().contains(path)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_is_accounted_for_once_wherever_the_process_dies() {
    let site = Site::new("");
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let path = format!("Patient/{}", party.create(&patient("read")).await);
    stopped(&site, process).await;
    let (mut answered, mut unanswered, mut left, mut checkpoints) = (0, 0, 0, Vec::new());
    for step in STEPS {
        let mut process = site.start_dying_at(step).await;
        let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(party.clone(), path.clone()))).collect();
        let status = process.ended(SOON).await.unwrap_or_else(|| panic!("{step} was never reached"));
        assert!(!status.success(), "{step}: {}", site.log());
        for reader in readers {
            answered += reader.await.unwrap();
        }
        unanswered += READERS;
        left += usize::from(is_owing(&site));
        let process = site.start().await;
        checkpoints.push(site.checkpoint().await.unwrap());
        stopped(&site, process).await;
        assert!(!is_owing(&site), "{step}");
        let accounted = accounted(&site, &path);
        assert!((answered..=answered + unanswered).contains(&accounted), "{step}: {accounted} of {answered} and {unanswered}");
    }
    assert!(left > 0, "no crash left anything to take in");
    assert!(answered > STEPS.len(), "the load was no load");
    let process = site.start().await;
    let key = site.verifier_key().await;
    stopped(&site, process).await;
    check_log(&site, &key, &checkpoints);
}

/// A site whose process died over a few records that the data has not taken in.
async fn died_owing() -> Site {
    let site = Site::new("");
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let path = format!("Patient/{}", party.create(&patient("read")).await);
    stopped(&site, process).await;
    let mut process = site.start_dying_at("commit-before:3").await;
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(party.clone(), path.clone()))).collect();
    process.ended(SOON).await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(is_owing(&site));
    site
}

async fn refused(site: &Site, why: &str) {
    let mut refused = site.spawn();
    let status = refused.ended(SOON).await.unwrap_or_else(|| panic!("{why}: served"));
    assert!(!status.success() && site.log().contains(why), "{why}: {}", site.log());
}

fn ledger(site: &Site, command: &str) {
    let done = hearthgate(&["ledger", command, "--config", site.config.to_str().unwrap()], site.folder.path());
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Whoever takes away what was acknowledged, with the journal or from its end, is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_were_acknowledged_cannot_be_taken_away() {
    let site = died_owing().await;
    let journal = site.data().join(JOURNAL);
    let whole = std::fs::read(&journal).unwrap();
    std::fs::remove_file(&journal).unwrap();
    // It is gone, and then empty.
    for _ in 0..2 {
        refused(&site, "signed-tree.records").await;
    }
    std::fs::write(&journal, whole).unwrap();
    let process = site.start().await;
    stopped(&site, process).await;
    assert!(!is_owing(&site));
    // Nor is it forgotten how far that was, unless the operator says so.
    std::fs::remove_file(site.data().join("keys/signed-tree.records")).unwrap();
    refused(&site, "signed-tree.records").await;
    std::fs::remove_file(site.data().join("keys/signed-tree")).unwrap();
    ledger(&site, "adopt");
    let process = site.start().await;
    stopped(&site, process).await;
}

/// Whatever is done with the log at rest first takes in what a crash left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_over_what_a_crash_left() {
    let site = died_owing().await;
    ledger(&site, "rotate");
    assert!(!is_owing(&site));
    let process = site.start().await;
    stopped(&site, process).await;
    ledger(&site, "rotate");
    let process = site.start().await;
    stopped(&site, process).await;
}

/// A refused start leaves everything as it was; what the operator takes as it is, is taken once, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_with_a_gap_are_refused_and_may_be_adopted() {
    let site = died_owing().await;
    let journal = site.data().join(JOURNAL);
    let mut bytes = std::fs::read(&journal).unwrap();
    let newest = numbers(&bytes).max().unwrap();
    let first = owed_from(&site);
    assert!(first < newest, "the process died over a single one");
    let block = bytes.chunks(BLOCK).position(|block| numbers(block).any(|number| number == first)).unwrap();
    bytes[block * BLOCK + 100] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    for _ in 0..2 {
        refused(&site, "owed.journal").await;
        assert!(std::fs::read(&journal).unwrap() == bytes, "a refused start wrote");
    }
    std::fs::remove_file(site.data().join("keys/signed-tree")).unwrap();
    ledger(&site, "adopt");
    assert!(!is_owing(&site));
    for _ in 0..2 {
        let process = site.start().await;
        let party = site.party("hospital-a").await;
        party.create(&patient("after")).await;
        stopped(&site, process).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_records_were_taken_in_cannot_be_set_forward() {
    let site = died_owing().await;
    let rows = rusqlite::Connection::open(site.data().join("data.db")).unwrap();
    rows.execute("INSERT OR REPLACE INTO taken_in (one, number, seal) VALUES (1, 1000, coalesce((SELECT seal FROM taken_in), x'00'))", [])
        .unwrap();
    drop(rows);
    refused(&site, "taken in").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_may_wait_a_record_is_in_the_log_before_the_answer() {
    // One leaf is one leaf: nothing fills up beside it.
    let world = Setup::adjusted(|settings| (settings.ledger.anchor_within_ms, settings.ledger.grows_by) = (0, 1)).start().await;
    let a = world.party("hospital-a").await;
    let path = format!("Patient/{}", a.create(&patient("1")).await);
    for _ in 0..5 {
        let before = world.running.store.ledger_head().size();
        a.get(&path).await.expect(200);
        assert_eq!(world.running.store.ledger_head().size(), before + 1);
    }
}

/// How many leaves the gateway's checkpoint is over.
async fn size(world: &World) -> u64 {
    let note = reqwest::get(format!("{}/ledger/checkpoint", world.origin)).await.unwrap().text().await.unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_seen_and_erased_as_soon_as_it_is_acknowledged() {
    let world = Setup::configured(OFFICER.to_owned()).with(|settings| settings.ledger.grows_by = 1).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (regulator, officer) = (world.party("health-department").await, world.party_with("officer", "system/Patient.r").await);
    for number in 0..20 {
        let id = a.create(&patient(&number.to_string())).await;
        a.create(&permit_to(&id, "hospital-b")).await;
        let path = format!("Patient/{id}");
        b.get(&path).await.expect(200);
        let shown = regulator.search(&format!("AuditEvent?patient={path}")).await;
        let reads = |events: &[Value]| events.iter().filter(|event| event["subtype"][0]["code"] == "read").count();
        assert_eq!(reads(&shown), 1, "{number}");
        b.get(&path).await.expect(200);
        let trail = regulator.get(&format!("{path}/$provenance-trail")).await.expect(200).text();
        assert_eq!(trail.matches("\"code\":\"read\"").count(), 2, "{number}: {trail}");
        let before = size(&world).await;
        b.get(&path).await.expect(200);
        assert_eq!(size(&world).await, before + 1, "{number}: its leaf is in the tree that is shown next");
        officer.call(Call::new("POST", &format!("{path}/$erase"))).await.expect(200);
        let events = world.audit_events().await;
        assert!(!events.iter().any(|event| event.to_string().contains(&path)), "{number}");
    }
}
