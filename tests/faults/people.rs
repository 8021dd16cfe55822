//! Which records are one person's, changed in the database by somebody: what was denied of one of them stays denied of all.

use crate::support::data::{observation, patient, permit, permit_to, person};
use crate::support::process::hearthgate;
use crate::support::world::{OFFICER, Setup, World};
use crate::support::{Call, Party};
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;

/// One person with a record at each of two hospitals: everything is permitted of the one, and denied of the other.
struct Case {
    world: World,
    permitted: String,
    denied: String,
    seen: String,
}

impl Case {
    async fn new() -> Case {
        let world = Setup::configured(OFFICER).start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let (permitted, denied) = (b.create(&person("17")).await, a.create(&person("17")).await);
        let seen = b.create(&observation(&format!("Patient/{permitted}"))).await;
        a.create(&permit(&permitted)).await;
        let case = Case { world, permitted, denied, seen };
        assert_eq!(case.status().await, 200);
        let mut denial = permit_to(&case.denied, "laboratory");
        denial["provision"]["type"] = json!("deny");
        a.create(&denial).await;
        assert_eq!(case.status().await, 404);
        case
    }

    fn data(&self) -> Connection {
        open(&self.world.data())
    }

    async fn status(&self) -> u16 {
        status(&self.world, &self.seen).await
    }

    fn rows(&self, sql: &str) -> String {
        sql.replace("PERMITTED", &self.permitted).replace("DENIED", &self.denied)
    }
}

async fn status(world: &World, seen: &str) -> u16 {
    world.party("laboratory").await.get(&format!("Observation/{seen}")).await.status
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("data.db")).unwrap()
}

fn fsck(world: &World) -> (Option<i32>, String) {
    let data = world.data();
    let (key, log) = (world.running.verifier_key.trim().to_owned(), data.join("ledger").display().to_string());
    let told = hearthgate(&["ledger", "fsck", &log, "--data", &data.display().to_string(), "--key", &key], &data);
    (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_taken_out_of_its_person_is_still_denied() {
    let noted = "DELETE FROM filed WHERE consent LIKE 'Patient/%';";
    let refill = "INSERT OR IGNORE INTO filling VALUES ('linked');";
    for (how, change) in [
        ("the row of what is permitted", "DELETE FROM person WHERE patient = 'PERMITTED'".to_owned()),
        ("the row of what is denied", "DELETE FROM person WHERE patient = 'DENIED'".to_owned()),
        ("both rows", "DELETE FROM person".to_owned()),
        ("to another person", "UPDATE person SET person = 'other' WHERE patient = 'DENIED'".to_owned()),
        ("and what is noted", format!("DELETE FROM person; {noted}")),
        ("and what closes the lists", format!("DELETE FROM person; {noted} DELETE FROM filed WHERE consent = '';")),
        ("and all lists", "DELETE FROM person; DELETE FROM filed;".to_owned()),
        ("and what is to be noted anew", format!("DELETE FROM person; {noted} {refill}")),
        ("and everything to be noted anew", format!("DELETE FROM person; DELETE FROM filed; {refill}")),
    ] {
        let case = Case::new().await;
        assert_eq!(fsck(&case.world).0, Some(0), "{}", fsck(&case.world).1);
        case.data().execute_batch(&case.rows(&change)).unwrap();
        assert_eq!(case.status().await, 404, "{how}");
        let (code, told) = fsck(&case.world);
        // What is gone with every note of it is told by the count beside the keys alone.
        assert_eq!(code == Some(1) && told.contains(&case.permitted), !change.contains("DELETE FROM filed;"), "{how}: {told}");
        let seen = case.seen.clone();
        let world = case.world.restart(|_| {}).await;
        assert_eq!(status(&world, &seen).await, 404, "{how}, after a restart");
    }
}

/// Nor does a link that somebody wrote there permit what one record's consent does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_put_there_permits_nothing() {
    for refill in ["", "INSERT OR IGNORE INTO filling VALUES ('linked');"] {
        let case = Case::new().await;
        let a = case.world.party("hospital-a").await;
        let (silent, other) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
        a.create(&permit(&other)).await;
        let of_silent = a.create(&observation(&format!("Patient/{silent}"))).await;
        assert_eq!(status(&case.world, &of_silent).await, 404);
        let sql = format!("INSERT INTO person VALUES ('{silent}', 'p'), ('{other}', 'p'); {refill}");
        case.data().execute_batch(&sql).unwrap();
        assert_eq!(status(&case.world, &of_silent).await, 404);
        let world = case.world.restart(|_| {}).await;
        assert_eq!(status(&world, &of_silent).await, 404, "{refill}");
    }
}

/// What is noted follows what becomes of the person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_linked_unlinked_and_erased_is_decided_by_what_is_left() {
    let case = Case::new().await;
    let world = &case.world;
    let third = world.party("laboratory").await.create(&person("17")).await;
    assert_eq!((case.status().await, fsck(world).0), (404, Some(0)));
    let decide = |decision: &'static str, patients: Vec<String>| async move {
        world.desk("POST", "/people", &json!({"decision": decision, "patients": patients})).await.status
    };
    assert_eq!(decide("unlink", vec![case.denied.clone()]).await, 200);
    assert_eq!((case.status().await, fsck(world).0), (200, Some(0)), "the denial is another's");
    assert_eq!(decide("link", vec![case.denied.clone(), third.clone()]).await, 200);
    assert_eq!((case.status().await, fsck(world).0), (404, Some(0)), "linked again");
    let token = world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..world.stranger() };
    officer.call(Call::new("POST", &format!("Patient/{third}/$erase?shared=true"))).await.expect(200);
    assert_eq!((case.status().await, fsck(world).0), (404, Some(0)), "the third is gone");
    officer.call(Call::new("POST", &format!("Patient/{}/$erase?shared=true", case.denied))).await.expect(200);
    assert_eq!((case.status().await, fsck(world).0), (200, Some(0)), "the denial went with whom it was about");
}

/// A record that its source parted from its person is noted as that, sealed like what is linked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_parted_stays_noted_whatever_is_written_there() {
    for (how, change) in [
        ("nothing", ""),
        ("the note", "DELETE FROM filed WHERE consent LIKE 'Patient/%'"),
        ("one side of it", "DELETE FROM filed WHERE consent LIKE 'Patient/%' AND patient = 'PERMITTED'"),
        ("how it stands", "UPDATE filed SET version = 0 WHERE consent LIKE 'Patient/%'"),
        ("all lists", "DELETE FROM filed"),
    ] {
        let case = Case::new().await;
        let mut other = person("998");
        other["id"] = json!(case.denied);
        case.world.party("hospital-a").await.put(&format!("Patient/{}", case.denied), &other).await.expect(200);
        assert_eq!((case.status().await, fsck(&case.world).0), (404, Some(0)), "{}", fsck(&case.world).1);
        case.data().execute_batch(&case.rows(change)).unwrap();
        assert_eq!(case.status().await, 404, "{how}");
        let seen = case.seen.clone();
        let world = case.world.restart(|_| {}).await;
        assert_eq!(status(&world, &seen).await, 404, "{how}, after a restart");
    }
    // It goes with whom it was about.
    let case = Case::new().await;
    let mut other = person("998");
    other["id"] = json!(case.denied);
    case.world.party("hospital-a").await.put(&format!("Patient/{}", case.denied), &other).await.expect(200);
    let token = case.world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..case.world.stranger() };
    officer.call(Call::new("POST", &format!("Patient/{}/$erase?shared=true", case.denied))).await.expect(200);
    assert_eq!((case.status().await, fsck(&case.world).0), (200, Some(0)), "{}", fsck(&case.world).1);
}

/// Links of before they were noted are noted once, as they are found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_an_older_store_are_noted_as_they_are_found() {
    let case = Case::new().await;
    let seen = case.seen.clone();
    let (folder, settings) = case.world.stop().await;
    let data = settings.storage.data_dir.clone();
    // As the gateway of before left it: lists that were closed without links.
    let older = "DELETE FROM filed; INSERT INTO filling VALUES ('filed'); ALTER TABLE unopened DROP COLUMN seal; DROP TABLE tally; PRAGMA user_version = 15";
    open(&data).execute_batch(older).unwrap();
    let keys = Connection::open(data.join("keys/keys.db")).unwrap();
    keys.execute_batch("UPDATE patient SET filed = 0; DELETE FROM filled; PRAGMA user_version = 0").unwrap();
    drop(keys);
    let world = World::try_open(folder, settings, hearthgate::clock::Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let noted = |world: &World| -> u64 {
        open(&world.data()).query_row("SELECT count(*) FROM filed WHERE consent LIKE 'Patient/%'", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((noted(&world), fsck(&world).0), (2, Some(0)));
    assert_eq!(status(&world, &seen).await, 404);
    open(&data).execute_batch("DELETE FROM person").unwrap();
    assert_eq!(status(&world, &seen).await, 404, "what was noted holds");
}
