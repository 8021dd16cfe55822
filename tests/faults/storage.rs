//! Storage that is full, damaged, or somebody else's.

use crate::support::data::{patient, permit_to};
use crate::support::party::ids;
use crate::support::process::Site;
use crate::support::{Call, Party, Setup, World, until};
use hearthgate::clock::{Clock, Entropy};
use hearthgate::config::Settings;
use hearthgate::ledger::{Folder as LogFolder, fsck};
use hearthgate::outcome::FaultKind;
use hearthgate::wire::Gateway;
use serde_json::{Value, json};
use std::path::PathBuf;
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
        large["text"] = narrative(&"x".repeat(20_000));
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
    let health = async |path: &str| world.stranger().call(Call::get(&format!("{}/health/{path}", world.admin))).await;
    assert_eq!(health("live").await.status, 200);
    let unready = health("ready").await.expect(503).text();
    assert!(unready.starts_with("storage is full: data.db"), "{unready}");

    // A read is put on record before it is answered, so that none is answered once there is no room for records. What tells of nobody is.
    let mut read = 200;
    for _ in 0..5000 {
        read = a.get("Patient?_count=1").await.status;
        if read != 200 {
            break;
        }
    }
    assert_eq!(read, 507);
    for open in ["fhir/metadata", "fhir/.well-known/smart-configuration", ".well-known/jwks.json", "ledger/checkpoint", "ledger/keys"] {
        let answer = world.stranger().call(Call::get(&format!("{}/{open}", world.origin))).await;
        assert_eq!(answer.status, 200, "{open}: {}", answer.text());
    }

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

/// How many pages of the database file one round spoils, and how many rounds there are.
const ROUNDS: u64 = 10;
const PAGE: u64 = 4096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_never_gives_wrong_data() {
    let world = World::start().await;
    let known = fill(&world, 40).await;
    let (mut folder, settings) = world.stop().await;
    let sound = whole_data(&settings);
    let pages = sound.len() as u64 / PAGE;
    assert!(pages > 20, "the store is too small for this test: {pages} pages");
    let random = Entropy::seeded(4);
    for round in 0..ROUNDS {
        let mut damaged = sound.clone();
        for _ in 0..=round {
            let page = u64::from_le_bytes(random.bytes()) % pages;
            let at = usize::try_from(page * PAGE).unwrap();
            damaged[at..at + 256].copy_from_slice(&random.bytes::<256>());
        }
        replace_data(&settings, &damaged);
        folder = match World::try_open(folder, settings.clone(), Clock::system()).await {
            Err((folder, fault)) => {
                assert!(matches!(fault.kind, FaultKind::StorageCorrupt | FaultKind::Storage | FaultKind::Ledger), "round {round}: {fault}");
                folder
            }
            Ok(world) => {
                check_reads(&world, &known).await;
                world.stop().await.0
            }
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_changed_behind_the_gateway_is_noticed() {
    let world = World::start().await;
    let known = fill(&world, 1).await;
    let (folder, settings) = world.stop().await;
    let mut data = whole_data(&settings);
    let (name, other) = (b"\"family\":\"Moor\"", b"\"family\":\"Boor\"");
    let places: Vec<usize> = data.windows(name.len()).enumerate().filter(|(_, window)| window == name).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        data[at..at + name.len()].copy_from_slice(other);
    }
    replace_data(&settings, &data);
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    check_reads(&world, &known).await;
}

async fn fill(world: &World, count: usize) -> Vec<Value> {
    let a = world.party("hospital-a").await;
    let mut known = Vec::new();
    for number in 0..count {
        let mut large = patient(&number.to_string());
        large["text"] = narrative(&format!("{number} {}", "x".repeat(3000)));
        known.push(a.post("Patient", &large).await.expect(201).json());
    }
    known
}

fn narrative(text: &str) -> Value {
    json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>")})
}

fn data_file(settings: &Settings) -> PathBuf {
    settings.storage.data_dir.join("data.db")
}

/// The bytes of the database, its write-ahead log folded in.
fn whole_data(settings: &Settings) -> Vec<u8> {
    let connection = rusqlite::Connection::open(data_file(settings)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    std::fs::read(data_file(settings)).unwrap()
}

fn replace_data(settings: &Settings, bytes: &[u8]) {
    std::fs::write(data_file(settings), bytes).unwrap();
    for leftover in ["data.db-wal", "data.db-shm"] {
        let _ = std::fs::remove_file(settings.storage.data_dir.join(leftover));
    }
}

/// Each record reads as it was stored, or not at all, and then the answer says whose fault it is.
async fn check_reads(world: &World, known: &[Value]) {
    let asked = world.ask_token("hospital-a", "system/*.cruds").await;
    if asked.status != 200 {
        // Tokens need the store as well, and an assertion that cannot be remembered is refused like one that was used before.
        let is_refused = matches!(asked.status, 400 | 401) && asked.json()["error"] == "invalid_client";
        assert!(matches!(asked.status, 500 | 503) || is_refused, "{}", asked.text());
        return;
    }
    let a = Party { token: Some(asked.json()["access_token"].as_str().unwrap().to_owned()), ..world.stranger() };
    for patient in known {
        let answer = a.get(&format!("Patient/{}", patient["id"].as_str().unwrap())).await;
        match answer.status {
            200 => assert_eq!(answer.json(), *patient, "wrong data"),
            500 => assert_eq!(answer.issue(), "exception"),
            // The index, too, may be what was damaged: nothing is better than something wrong.
            404 => assert_eq!(answer.issue(), "not-found"),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let found = a.get("Patient?_count=1000").await;
    match found.status {
        200 => assert!(found.matches().iter().all(|patient| known.contains(patient)), "wrong data in a search"),
        status => assert_eq!((status, found.issue().as_str()), (500, "exception")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_not_share_a_folder() {
    let site = Site::new("");
    let first = site.start().await;
    let mut second = site.spawn();
    let status = second.ended(Duration::from_secs(10)).await.expect("the second refuses to start");
    assert!(!status.success());
    // Not only because of its ports: in this process with ports of its own it is refused as well.
    let mut settings = Settings::embedded(site.data());
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
    let start = |settings: &Settings| Gateway::build(settings.clone(), Clock::system(), Entropy::system()).map(drop);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_set_back_is_refused() {
    let world = World::start().await;
    world.party("hospital-a").await.create(&patient("1")).await;
    let (folder, settings) = world.stop().await;
    let backup = whole_data(&settings);
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    world.party("hospital-a").await.create(&patient("2")).await;
    let (folder, settings) = world.stop().await;

    // What was published since says that there was more: going on would sign another history under the same name.
    replace_data(&settings, &backup);
    let Err((_folder, fault)) = World::try_open(folder, settings, Clock::system()).await else { panic!("a fork was begun") };
    assert!(matches!(fault.kind, FaultKind::Ledger | FaultKind::StorageCorrupt), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_published_is_not_acknowledged_and_what_takes_away_goes_on() {
    let adjust = |settings: &mut Settings| (settings.ledger.max_unpublished_ms, settings.ledger.open_add) = (0, true);
    let world = Setup::adjusted(adjust).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    let consent = a.create(&permit_to(&id, "hospital-b")).await;
    b.get(&format!("Patient/{id}")).await.expect(200);
    // Something else lies where the checkpoint belongs.
    let place = world.data().join("ledger/checkpoint");
    until("the place is taken", async || {
        let _ = std::fs::remove_file(&place);
        std::fs::create_dir(&place).ok()
    })
    .await;
    let refused =
        until("nothing is taken", async || Some(a.post("Patient", &patient("2")).await).filter(|answer| answer.status != 201)).await;
    assert_eq!((refused.status, refused.issue().as_str(), refused.header("retry-after")), (503, "transient", Some("60")));
    let mut changed = patient("1");
    changed["id"] = json!(id);
    a.put(&format!("Patient/{id}"), &changed).await.expect(503);
    a.delete(&format!("Patient/{id}")).await.expect(503);
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "POST", "url": "Patient"}, "resource": patient("3")}, {"request": {"method": "GET", "url": format!("Patient/{id}")}}]});
    let answer = a.post("", &batch).await.expect(200).json();
    assert_eq!((&answer["entry"][0]["response"]["status"], &answer["entry"][1]["response"]["status"]), (&json!("503"), &json!("200")));
    world.stranger().call(Call::new("POST", &format!("{}/ledger/add", world.origin)).bare_body("entry")).await.expect(503);
    let ready = async || world.stranger().call(Call::get(&format!("{}/health/ready", world.admin))).await;
    let unready = ready().await.expect(503).text();
    assert!(unready.starts_with("the log cannot be published: "), "{unready}");
    // A consent is taken back all the same, and counts.
    b.get(&format!("Patient/{id}")).await.expect(200);
    a.call(Call::new("POST", &format!("Consent/{consent}/$revokeConsent"))).await.expect(200);
    b.get(&format!("Patient/{id}")).await.expect(404);

    std::fs::remove_dir(&place).unwrap();
    until("it is taken again", async || Some(a.put(&format!("Patient/{id}"), &changed).await).filter(|answer| answer.status == 200)).await;
    ready().await.expect(200);
    let policy = world.policy();
    let (_folder, settings) = world.stop().await;
    let report = fsck::fsck(&LogFolder::new(settings.storage.data_dir.join("ledger")), &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}
