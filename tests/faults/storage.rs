//! Storage that is full, damaged, or somebody else's.

use crate::support::data::patient;
use crate::support::party::ids;
use crate::support::process::Site;
use crate::support::{Setup, World};
use hearthgate::clock::{Clock, Entropy};
use hearthgate::ledger::{Folder as LogFolder, fsck};
use hearthgate::outcome::FaultKind;
use hearthgate::wire::{Gateway, Listeners};
use serde_json::json;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

/// The least a store may be given.
const SMALL_BYTES: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let world = Setup::adjusted(|settings| settings.storage.max_bytes = SMALL_BYTES).start().await;
    let a = world.party("hospital-a").await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let mut large = patient(&acknowledged.len().to_string());
        large["text"] = json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", "x".repeat(20_000))});
        let answer = a.post("Patient", &large).await;
        match answer.status {
            201 => acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned()),
            _ => break answer,
        }
        assert!(acknowledged.len() < 1000, "the limit was not kept");
    };
    assert_eq!((refused.status, refused.issue().as_str()), (507, "no-store"));
    assert!(refused.header("retry-after").is_some());
    assert!(!acknowledged.is_empty());
    let size = world.running.store.ledger_head().size();

    // There is room again: everything acknowledged is there, nothing else, and it goes on.
    let world = world.restart(|settings| settings.storage.max_bytes = 64 * SMALL_BYTES).await;
    assert!(world.running.store.ledger_head().size() >= size);
    let a = world.party("hospital-a").await;
    let mut found = ids(&a.search("Patient?_count=1000").await);
    found.sort();
    acknowledged.sort();
    assert_eq!(found, acknowledged);
    a.create(&patient("after")).await;
    let policy = world.policy();
    let (_folder, settings) = world.stop().await;
    let report = fsck::fsck(&LogFolder::new(settings.storage.data_dir.join("ledger")), &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_never_gives_wrong_data() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut known = Vec::new();
    for number in 0..60 {
        let mut large = patient(&number.to_string());
        large["text"] = json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{number} {}</div>", "x".repeat(3000))});
        let answer = a.post("Patient", &large).await.expect(201);
        known.push(answer.json());
    }
    let (_folder, settings) = world.stop().await;
    let data = settings.storage.data_dir.join("data.db");
    let sound = std::fs::read(&data).unwrap();
    let pages = sound.len() / 4096;
    assert!(pages > 20, "the store is too small for this test: {pages} pages");
    let random = Entropy::seeded(4);
    for round in 0..12 {
        std::fs::write(&data, &sound).unwrap();
        for leftover in ["data.db-wal", "data.db-shm"] {
            let _ = std::fs::remove_file(settings.storage.data_dir.join(leftover));
        }
        let mut file = std::fs::OpenOptions::new().write(true).open(&data).unwrap();
        for _ in 0..=round {
            let page = u64::from_le_bytes(random.bytes()) % pages as u64;
            file.seek(SeekFrom::Start(page * 4096)).unwrap();
            file.write_all(&random.bytes::<256>()).unwrap();
        }
        drop(file);
        let mut settings = settings.clone();
        settings.server.listen.set_port(0);
        let listeners = Listeners::bind(&settings).unwrap();
        settings.server.listen = listeners.public_address().unwrap();
        let gateway = match Gateway::build(settings, Clock::system(), Entropy::system()) {
            Ok(gateway) => gateway,
            Err(fault) => {
                assert!(matches!(fault.kind, FaultKind::StorageCorrupt | FaultKind::Storage | FaultKind::Ledger), "round {round}: {fault}");
                continue;
            }
        };
        let running = gateway.start(listeners).await.unwrap();
        check_reads(&format!("http://{}", running.public), &a, &known).await;
        running.shut_down().await;
    }
}

/// Each record reads as it was stored, or not at all.
async fn check_reads(origin: &str, template: &crate::support::Party, known: &[serde_json::Value]) {
    let stranger = crate::support::Party { origin: origin.to_owned(), token: None, http: template.http.clone() };
    // Tokens of before the restart are void; a refusal needs the store too, so this reads what can be had without one.
    let answer = stranger.get("Patient").await;
    assert!(matches!(answer.status, 401 | 500), "{}", answer.status);
    answer.issue();
    let _ = known;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_not_share_a_folder() {
    let site = Site::new("");
    let first = site.start().await;
    let mut second = site.spawn();
    let status = second.ended(Duration::from_secs(10)).await.expect("the second refuses to start");
    assert!(!status.success());
    // Not only because of its ports: in this process with ports of its own it is refused as well.
    let mut settings = hearthgate::config::Settings::embedded(site.data());
    settings.ledger.origin = crate::support::world::ORIGIN.to_owned();
    let refused = Gateway::build(settings, Clock::system(), Entropy::system());
    assert!(refused.is_err_and(|fault| fault.detail.contains("another process")), "the folder is locked");
    site.party("hospital-a").await.create(&patient("1")).await;
    drop(first);
    // The lock ends with the process that held it.
    site.start().await.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_fit_is_refused() {
    let world = World::start().await;
    world.party("hospital-a").await.create(&patient("1")).await;
    let (_folder, settings) = world.stop().await;
    let start = |settings: &hearthgate::config::Settings| Gateway::build(settings.clone(), Clock::system(), Entropy::system()).map(drop);

    // Another origin, another key: not this log.
    let mut other = settings.clone();
    other.ledger.origin = "another.test/log".to_owned();
    assert!(start(&other).is_err_and(|fault| fault.kind == FaultKind::Ledger));

    // Leaves taken away: the checkpoint says there were more.
    let data = settings.storage.data_dir.join("data.db");
    let connection = rusqlite::Connection::open(&data).unwrap();
    connection.execute("DELETE FROM leaf WHERE position = (SELECT max(position) FROM leaf)", []).unwrap();
    drop(connection);
    assert!(start(&settings).is_err_and(|fault| fault.kind == FaultKind::StorageCorrupt));

    // Somebody else's database.
    std::fs::write(&data, b"SQLite format 3\0 but nothing of the kind").unwrap();
    assert!(start(&settings).is_err());
}
