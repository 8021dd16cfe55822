//! Consents that somebody took out of the database, or put back, with every row that tells of them: what they are about is denied.

use crate::support::data::{observation, patient, permit_to};
use crate::support::world::{OFFICER, Setup, World};
use crate::support::{Call, Party};
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A patient with a permit and, filed after it, a denial for the same hospital.
struct Case {
    world: World,
    seen: String,
    patient: String,
    denial: String,
}

impl Case {
    async fn new() -> Case {
        let world = Setup::configured(OFFICER).start().await;
        let a = world.party("hospital-a").await;
        let patient = a.create(&patient("1")).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        a.create(&permit_to(&patient, "hospital-b")).await;
        let case = Case { world, seen, patient, denial: String::new() };
        assert_eq!(case.status().await, 200);
        // What is noted before the denial, kept aside.
        case.data().execute_batch("CREATE TABLE kept_filed AS SELECT * FROM filed").unwrap();
        let mut denial = permit_to(&case.patient, "hospital-b");
        denial["provision"]["type"] = json!("deny");
        let denial = a.create(&denial).await;
        let case = Case { denial, ..case };
        assert_eq!(case.status().await, 404);
        case
    }

    fn data(&self) -> Connection {
        Connection::open(self.world.data().join("data.db")).unwrap()
    }

    async fn status(&self) -> u16 {
        status(&self.world, &self.seen).await
    }

    /// Whether the denial that is in the log of what was done names this reason.
    async fn is_denied_as_unreadable(&self) -> bool {
        let events = self.world.audit_events().await;
        events.iter().any(|event| event["outcomeDesc"] == "not-found: consents-unreadable" && event.to_string().contains(&self.patient))
    }

    async fn restarted(self) -> Case {
        Case { world: self.world.restart(|_| {}).await, ..self }
    }
}

async fn status(world: &World, seen: &str) -> u16 {
    world.party("hospital-b").await.get(&format!("Observation/{seen}")).await.status
}

/// Everything of a resource but what is noted of it.
fn taken(id: &str) -> String {
    let rid = format!("(SELECT rid FROM resource WHERE id = '{id}')");
    let index = ["exact", "words", "span"].map(|table| format!("DELETE FROM {table} WHERE rid = {rid};")).concat();
    format!("{index} DELETE FROM version WHERE rid = {rid}; DELETE FROM resource WHERE id = '{id}';")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_that_was_taken_out_with_every_row_still_denies() {
    let note = "DELETE FROM filed WHERE consent = 'DENIAL';";
    let refill = "INSERT OR IGNORE INTO filling VALUES ('filed');";
    for (how, also) in [
        ("with what is noted of it", note.to_owned()),
        ("and what closes the list", format!("{note} DELETE FROM filed WHERE consent = '';")),
        ("and the whole list", "DELETE FROM filed;".to_owned()),
        ("and the list of before put back", "DELETE FROM filed; INSERT INTO filed SELECT * FROM kept_filed;".to_owned()),
        ("and the list to be made anew", format!("{note} DELETE FROM filed WHERE consent = ''; {refill}")),
        ("and all lists to be made anew", format!("DELETE FROM filed; {refill}")),
        ("and its closing row taken to count more", format!("{note} UPDATE filed SET version = version + 1 WHERE consent = '';")),
    ] {
        let case = Case::new().await;
        case.data().execute_batch(&format!("{} {}", taken(&case.denial), also.replace("DENIAL", &case.denial))).unwrap();
        assert_eq!(case.status().await, 404, "{how}");
        assert!(case.is_denied_as_unreadable().await, "{how}");
        let case = case.restarted().await;
        assert_eq!(case.status().await, 404, "{how}, after a restart");
        // What is filed afterwards does not make it sound.
        case.world.party("hospital-a").await.create(&permit_to(&case.patient, "hospital-b")).await;
        assert_eq!(case.status().await, 404, "{how}, after another consent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_permit_that_was_put_back_permits_nothing() {
    let case = Case::new().await;
    let a = case.world.party("hospital-a").await;
    let other = a.create(&patient("2")).await;
    let seen = a.create(&observation(&format!("Patient/{other}"))).await;
    let permit = a.create(&permit_to(&other, "hospital-b")).await;
    assert_eq!(status(&case.world, &seen).await, 200);
    let tables = ["resource", "version", "exact", "words", "span"];
    let rid = format!("(SELECT rid FROM resource WHERE id = '{permit}')");
    tables.iter().for_each(|table| {
        case.data().execute_batch(&format!("CREATE TABLE back_{table} AS SELECT * FROM {table} WHERE rid = {rid}")).unwrap();
    });
    let token = case.world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..case.world.stranger() };
    officer.call(Call::new("POST", &format!("Consent/{permit}/$erase"))).await.expect(200);
    assert_eq!(status(&case.world, &seen).await, 404);
    tables.iter().for_each(|table| case.data().execute_batch(&format!("INSERT INTO {table} SELECT * FROM back_{table}")).unwrap());
    assert_eq!(status(&case.world, &seen).await, 404);
}

/// Consents that come while others are read are no damage: a reading is held against what there was when it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_beside_filings_find_no_damage() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let patient = a.create(&patient("1")).await;
    let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
    a.create(&permit_to(&patient, "hospital-b")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..4 {
        let (b, seen, is_over) = (world.party("hospital-b").await, seen.clone(), Arc::clone(&is_over));
        readers.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                b.get(&format!("Observation/{seen}")).await.expect(200);
            }
        }));
    }
    for _ in 0..60 {
        a.create(&permit_to(&patient, "hospital-b")).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// What was stored before lists were closed is taken as it is found, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_of_an_older_store_count_as_they_are_found() {
    let case = Case::new().await;
    let (denial, seen) = (case.denial.clone(), case.seen.clone());
    let kept = case.world.party("hospital-a").await;
    let other = kept.create(&patient("2")).await;
    let others = kept.create(&observation(&format!("Patient/{other}"))).await;
    kept.create(&permit_to(&other, "hospital-b")).await;
    let (folder, settings) = case.world.stop().await;
    let data = settings.storage.data_dir.clone();
    older(&data);
    let world = World::try_open(folder, settings, hearthgate::clock::Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    assert_eq!((status(&world, &seen).await, status(&world, &others).await), (404, 200));
    let sql = format!("{} DELETE FROM filed WHERE consent = '{denial}'; DELETE FROM filed WHERE consent = '';", taken(&denial));
    open(&data).execute_batch(&sql).unwrap();
    assert_eq!((status(&world, &seen).await, status(&world, &others).await), (404, 404), "no list is closed any more");
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("data.db")).unwrap()
}

/// Takes a data folder at rest back to before lists were kept.
fn older(data: &Path) {
    open(data).execute_batch("DELETE FROM filed; DROP TABLE filling; DROP TABLE former; ALTER TABLE unopened DROP COLUMN seal; DROP TABLE tally; PRAGMA user_version = 12").unwrap();
    Connection::open(data.join("keys/keys.db")).unwrap().execute_batch("ALTER TABLE patient DROP COLUMN filed").unwrap();
}
