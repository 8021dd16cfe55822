//! Counters and index that somebody changed: nothing wrong is signed, nothing is left out in silence, it is named, and made anew from the leaves.

use crate::support::data::{observation, patient, permit_to};
use crate::support::process::hearthgate;
use crate::support::world::{OFFICER, Setup, World};
use crate::support::{Call, Party};
use hearthgate::anchor::LeafKeys;
use hearthgate::clock::{Clock, Entropy};
use hearthgate::ledger::Note;
use hearthgate::outcome::{Fault, FaultKind};
use hearthgate::store::{KnownTrees, inspect, leaf_secret};
use hearthgate::wire::{publish_folder, recount_ledger};
use rusqlite::{Connection, params};
use std::path::Path;

struct Case {
    world: World,
    a: Party,
    regulator: Party,
    /// Whose counters are changed, and somebody else.
    patient: String,
    other: String,
}

impl Case {
    /// Two patients with something on record, in an index that is up to date.
    async fn new() -> Case {
        let world = Setup::configured(OFFICER).start().await;
        let (a, b, regulator) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("health-department").await);
        let (patient, other) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
        for id in [&patient, &other] {
            a.create(&observation(&format!("Patient/{id}"))).await;
            a.create(&permit_to(id, "hospital-b")).await;
            b.get(&format!("Patient/{id}")).await.expect(200);
        }
        let case = Case { world, a, regulator, patient, other };
        case.trail().await.expect(200);
        case
    }

    async fn trail(&self) -> crate::support::party::Answer {
        self.regulator.get(&format!("Patient/{}/$provenance-trail", self.patient)).await
    }

    fn file(&self, name: &str) -> Connection {
        Connection::open(self.world.data().join(name)).unwrap()
    }

    /// The tag of a patient in this month.
    fn tag(&self, patient: &str) -> Vec<u8> {
        let sql = "SELECT l.entry FROM leaf l JOIN version v ON v.leaf = l.position JOIN resource r ON r.rid = v.rid \
                   WHERE r.type = 'Patient' AND r.id = ? AND v.version = 1";
        let entry: Vec<u8> = self.file("data.db").query_row(sql, [patient], |row| row.get(0)).unwrap();
        leaf_keys(&self.world.data()).read(&entry).unwrap().tags.patient.unwrap().0.to_vec()
    }

    fn problems(&self) -> Vec<String> {
        problems(&self.world, &self.world.data())
    }

    async fn write(&self, patient: &str) -> u16 {
        self.a.post("Observation", &observation(&format!("Patient/{patient}"))).await.status
    }
}

fn problems(world: &World, data: &Path) -> Vec<String> {
    let opened = |note: &str| {
        let note: Note = note.parse().unwrap();
        let accepted = world.policy().accept(&note).map_err(|error| Fault::new(FaultKind::Ledger, error.to_string()))?;
        Ok(accepted.checkpoint().clone())
    };
    inspect(data, &KnownTrees { published: None, register: &data.join("keys/signed-tree") }, opened, &leaf_keys(data)).unwrap().problems
}

fn leaf_keys(data: &Path) -> LeafKeys {
    let gateway = std::fs::read_to_string(data.join("keys/gateway.key")).unwrap();
    LeafKeys::new(leaf_secret(&data_encoding::HEXLOWER.decode(gateway.trim().as_bytes()).unwrap().try_into().unwrap()))
}

/// What is done to a patient's counter, `?1`; `?2` is another's tag.
const COUNTERS: &[&str] = &[
    "UPDATE tag SET count = count + 1 WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE tag SET count = count - 1 WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE tag SET count = 0 WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE tag SET last = last + 1 WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE tag SET last = (SELECT last FROM tag WHERE tag = ?2) WHERE tag = ?1",
    // The leaf fits the counter, but it is not the newest.
    "UPDATE tag SET count = 1, last = (SELECT min(v.leaf) FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = 'Patient') WHERE tag = ?1 AND ?2 <> ?1",
    "DELETE FROM tag WHERE tag = ?1 AND ?2 <> ?1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_was_altered_is_found_before_anything_is_signed() {
    let case = Case::new().await;
    let (data, tag, other) = (case.file("data.db"), case.tag(&case.patient), case.tag(&case.other));
    for change in COUNTERS {
        case.trail().await.expect(200);
        case.world.running.store.settle().await.unwrap();
        assert_eq!(case.problems(), Vec::<String>::new(), "{change}");
        let size = case.world.running.store.ledger_head().size();
        let row: (u64, u64) =
            data.query_row("SELECT count, last FROM tag WHERE tag = ?", [&tag], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(data.execute(change, params![tag, other]).unwrap(), 1, "{change}");
        assert_eq!(case.write(&case.patient).await, 500, "{change}");
        assert_eq!(case.world.running.store.ledger_head().size(), size, "nothing was signed: {change}");
        assert!(case.problems().iter().all(|problem| problem.starts_with("data.db: the counter")), "{change}: {:?}", case.problems());
        assert_eq!(case.problems().len(), 1, "{change}");
        let (one, another) = tokio::join!(case.write(&case.patient), case.write(&case.other));
        assert_eq!((one, another), (500, 201), "others go on: {change}");
        data.execute("INSERT OR REPLACE INTO tag (tag, count, last) VALUES (?, ?, ?)", params![tag, row.0, row.1]).unwrap();
        assert_eq!(case.write(&case.patient).await, 201, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_written_after_the_leaves_were_counted_anew() {
    let case = Case::new().await;
    let (data, tag, other) = (case.file("data.db"), case.tag(&case.patient), case.tag(&case.other));
    for change in COUNTERS {
        data.execute(change, params![tag, other]).unwrap();
        case.a.get(&format!("Patient/{}", case.patient)).await.expect(200);
        case.world.running.store.settle().await.unwrap();
        assert_eq!(case.problems(), Vec::<String>::new(), "{change}");
        case.trail().await.expect(200);
    }
}

fn row(data: &Connection, tag: &[u8]) -> (u64, u64) {
    data.query_row("SELECT count, last FROM tag WHERE tag = ?", [tag], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn set(data: &Connection, tag: &[u8], (count, last): (u64, u64)) {
    data.execute("INSERT OR REPLACE INTO tag (tag, count, last) VALUES (?, ?, ?)", params![tag, count, last]).unwrap();
}

/// Stops the gateway, does something to its data, and starts it again.
async fn restarted(case: Case, change: impl FnOnce(&Path)) -> Case {
    let (patient, other) = (case.patient.clone(), case.other.clone());
    let (folder, settings) = case.world.stop().await;
    change(&settings.storage.data_dir);
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    Case { world, a, regulator, patient, other }
}

fn remove_index(data: &Path) {
    ["index.db", "index.db-wal", "index.db-shm"].iter().for_each(|name| drop(std::fs::remove_file(data.join(name))));
}

/// An older row was true once, and its leaf bears it. There are newer leaves, of which the index does not know yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_was_set_back_to_what_it_was_signs_no_number_twice() {
    let mut case = Case::new().await;
    for (is_stopped, has_index) in [(false, true), (true, true), (true, false)] {
        let (data, tag) = (case.file("data.db"), case.tag(&case.patient));
        let older = row(&data, &tag);
        for _ in 0..2 {
            assert_eq!(case.write(&case.patient).await, 201);
        }
        let newest = row(&data, &tag);
        assert!(newest.0 > older.0);
        if is_stopped {
            case = restarted(case, |folder| {
                set(&Connection::open(folder.join("data.db")).unwrap(), &tag, older);
                if !has_index {
                    remove_index(folder);
                }
            })
            .await;
        } else {
            set(&data, &tag, older);
        }
        let size = case.world.running.store.ledger_head().size();
        assert_eq!(case.write(&case.patient).await, 500, "{is_stopped} {has_index}");
        assert_eq!(case.world.running.store.ledger_head().size(), size, "nothing was signed: {is_stopped} {has_index}");
        assert_eq!(case.write(&case.other).await, 201, "others go on: {is_stopped} {has_index}");
        // What is acknowledged is counted on from the newest leaf.
        case.a.get(&format!("Patient/{}", case.patient)).await.expect(200);
        case.world.running.store.settle().await.unwrap();
        assert_eq!(case.problems(), Vec::<String>::new(), "{is_stopped} {has_index}");
        case.trail().await.expect(200);
        assert_eq!(case.write(&case.patient).await, 201, "{is_stopped} {has_index}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_counters_and_index_nothing_is_taken_for_the_first() {
    let case = Case::new().await;
    let case = restarted(case, |folder| {
        Connection::open(folder.join("data.db")).unwrap().execute("DELETE FROM tag", []).unwrap();
        remove_index(folder);
    })
    .await;
    let size = case.world.running.store.ledger_head().size();
    assert_eq!((case.write(&case.patient).await, case.write(&case.other).await), (500, 500));
    assert_eq!(case.world.running.store.ledger_head().size(), size, "nothing was signed");
    let case = restarted(case, |_| ()).await;
    assert_eq!(case.write(&case.patient).await, 500);
    let (patient, other) = (case.patient.clone(), case.other.clone());
    let (folder, settings) = case.world.stop().await;
    recount_ledger(&settings, &Entropy::system()).unwrap();
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let case = Case { world, a, regulator, patient, other };
    assert_eq!((case.write(&case.patient).await, case.write(&case.other).await), (201, 201));
    case.trail().await.expect(200);
    assert_eq!(case.problems(), Vec::<String>::new());
}

/// A leaf that does not bear what the index says is damage, and says nothing of how far there was counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_that_was_altered_hides_no_counter() {
    let case = Case::new().await;
    let (data, index, tag) = (case.file("data.db"), case.file("index.db"), case.tag(&case.patient));
    let newest = row(&data, &tag);
    let listed: u64 = index.query_row("SELECT max(position) FROM place WHERE tag = ?", [&tag], |row| row.get(0)).unwrap();
    let entry: Vec<u8> = data.query_row("SELECT entry FROM leaf WHERE position = ?", [listed], |row| row.get(0)).unwrap();
    data.execute("DELETE FROM tag WHERE tag = ?", [&tag]).unwrap();
    data.execute("UPDATE leaf SET entry = zeroblob(length(entry)) WHERE position = ?", [listed]).unwrap();
    let size = case.world.running.store.ledger_head().size();
    assert_eq!(case.write(&case.patient).await, 500);
    assert_eq!(case.world.running.store.ledger_head().size(), size, "nothing was signed");
    assert_eq!(case.write(&case.other).await, 201, "others go on");
    let altered = publish_folder(&case.world.running.store, &case.world.data().join("altered")).await.unwrap_err();
    assert!(altered.detail.contains("tile/entries/000"), "it is named and not published: {altered}");
    data.execute("UPDATE leaf SET entry = ? WHERE position = ?", params![entry, listed]).unwrap();
    set(&data, &tag, newest);
    assert_eq!(case.write(&case.patient).await, 201);
    assert_eq!(case.problems(), Vec::<String>::new());
}

/// What is done to the list of a patient, `?1`, in the index; `?2` is another's tag.
const LISTS: &[&str] = &[
    "DELETE FROM place WHERE tag = ?1 AND counter = 3 AND ?2 <> ?1",
    "DELETE FROM place WHERE tag = ?1 AND counter = (SELECT max(counter) FROM place WHERE tag = ?1) AND ?2 <> ?1",
    "DELETE FROM place WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE place SET position = (SELECT position FROM place WHERE tag = ?2 AND counter = 2) WHERE tag = ?1 AND counter = 2",
    "UPDATE list SET length = length - 1 WHERE tag = ?1 AND ?2 <> ?1",
    "UPDATE list SET roots = (SELECT roots FROM list WHERE tag = ?2) WHERE tag = ?1",
    "DELETE FROM list WHERE tag = ?1 AND ?2 <> ?1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_the_index_that_was_changed_shortens_no_trail() {
    let case = Case::new().await;
    let (tag, other) = (case.tag(&case.patient), case.tag(&case.other));
    for change in LISTS {
        let index = case.file("index.db");
        index.execute_batch("CREATE TEMP TABLE places AS SELECT * FROM place; CREATE TEMP TABLE lists AS SELECT * FROM list;").unwrap();
        assert_eq!(index.execute(change, params![tag, other]).unwrap_or(1).min(1), 1, "{change}");
        for operation in ["$provenance-trail", "$disclosures", "$provenance-trail?_format=application/zip"] {
            let answer = case.regulator.get(&format!("Patient/{}/{operation}", case.patient)).await;
            let is_made_anew = change.contains("list") && case.problems().is_empty();
            assert!(answer.status == 500 || is_made_anew, "{change}: {operation}: {}", answer.status);
        }
        case.regulator.get(&format!("Patient/{}/$provenance-trail", case.other)).await.expect(200);
        let problems = case.problems();
        assert!(problems.iter().all(|problem| problem.starts_with("index.db: ")), "{change}: {problems:?}");
        assert!(change.contains("list") || !problems.is_empty(), "{change}");
        put_back(&index);
        case.trail().await.expect(200);
    }
}

/// Both files of one mind: the leaves say otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_of_another_is_in_nobodys_trail() {
    let case = Case::new().await;
    let (index, tag, other) = (case.file("index.db"), case.tag(&case.patient), case.tag(&case.other));
    let places = |tag: &[u8]| -> Vec<u64> {
        let mut statement = index.prepare("SELECT position FROM place WHERE tag = ? ORDER BY counter").unwrap();
        statement.query_map([tag], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let (mut own, others) = (places(&tag), places(&other));
    let fits = |at: usize| others.iter().find(|position| own[at - 1] < **position && **position < own[at + 1]).map(|other| (at, *other));
    let (at, strange) = (1..own.len() - 1).find_map(fits).unwrap();
    own[at] = strange;
    let list = hearthgate::ledger::index::List::of(&own);
    let roots: Vec<u8> = list.roots().iter().flat_map(|root| root.0).collect();
    index.execute("UPDATE place SET position = ? WHERE tag = ? AND counter = ?", params![strange, tag, at + 1]).unwrap();
    index.execute("UPDATE list SET roots = ? WHERE tag = ?", params![roots, tag]).unwrap();
    case.trail().await.expect(500);
    let token = case.world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..case.world.stranger() };
    officer.call(Call::new("POST", &format!("Patient/{}/$erase", case.patient))).await.expect(500);
    case.a.get(&format!("Patient/{}", case.other)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_and_index_are_made_anew_from_the_leaves() {
    let case = Case::new().await;
    for (file, change) in [("data.db", "UPDATE tag SET count = count + 7"), ("index.db", "DELETE FROM place")] {
        case.file(file).execute(change, []).unwrap();
    }
    let (tag, data) = (case.tag(&case.patient), case.world.data());
    let key = case.world.running.verifier_key.trim().to_owned();
    let log = data.join("ledger").display().to_string();
    let named = hearthgate(&["ledger", "fsck", &log, "--data", &data.display().to_string(), "--key", &key], &data);
    let told = String::from_utf8_lossy(&named.stdout).into_owned();
    let tag = data_encoding::HEXLOWER.encode(&tag);
    assert_eq!(named.status.code(), Some(1), "{told}");
    for of in ["data.db: the counter of the tag", "index.db: the places of the tag"] {
        assert!(told.contains(&format!("{of} {tag}")), "{told}");
    }
    assert!(recount_ledger(&case.world.settings, &Entropy::system()).is_err(), "the gateway runs");
    let patient = case.patient.clone();
    let (folder, settings) = case.world.stop().await;
    recount_ledger(&settings, &Entropy::system()).unwrap();
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    assert_eq!(problems(&world, &data), Vec::<String>::new());
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    a.create(&observation(&format!("Patient/{patient}"))).await;
    regulator.get(&format!("Patient/{patient}/$provenance-trail")).await.expect(200);
    assert_eq!(problems(&world, &data), Vec::<String>::new());
}

/// Data that lies behind what was shown or signed is not taken for whole, and nothing is made where there is nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_was_set_back_is_neither_sound_nor_counted_anew() {
    let world = Setup::configured(OFFICER).start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let (folder, settings) = world.stop().await;
    let data = settings.storage.data_dir.clone();
    let older = std::fs::read(data.join("data.db")).unwrap();
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    world.party("hospital-a").await.create(&observation(&format!("Patient/{id}"))).await;
    let key = world.running.verifier_key.trim().to_owned();
    let (_folder, settings) = world.stop().await;
    let fsck = || {
        let log = data.join("ledger").display().to_string();
        let told = hearthgate(&["ledger", "fsck", &log, "--data", &data.display().to_string(), "--key", &key], &data);
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    let refused = |says: &str| {
        let fault = recount_ledger(&settings, &Entropy::system()).unwrap_err();
        assert!(fault.detail.contains(says), "{says}: {fault}");
    };
    assert_eq!(fsck().0, Some(0), "{:?}", fsck());
    let newest = std::fs::read(data.join("data.db")).unwrap();
    std::fs::write(data.join("data.db"), &older).unwrap();
    for (hidden, says) in
        [(None, "were published"), (Some("ledger/checkpoint"), "were signed"), (Some("keys/signed-tree"), "were published")]
    {
        let hide = |from: &str, to: &str| std::fs::rename(data.join(from), data.join(to)).unwrap();
        hidden.inspect(|name| hide(name, "hidden"));
        let (code, told) = fsck();
        assert_eq!((code, told.contains(says)), (Some(1), true), "{hidden:?}: {told}");
        assert!(recount_ledger(&settings, &Entropy::system()).is_err(), "{hidden:?}");
        hidden.inspect(|name| hide("hidden", name));
    }
    refused("it was set back");
    std::fs::write(data.join("data.db"), &newest).unwrap();
    let register = data.join("keys/signed-tree");
    std::fs::rename(&register, data.join("hidden")).unwrap();
    refused("nobody can say whether this data is the newest");
    std::fs::rename(data.join("hidden"), &register).unwrap();
    recount_ledger(&settings, &Entropy::system()).unwrap();
    std::fs::remove_file(data.join("ledger.key")).unwrap();
    refused("ledger.key: is missing");
    assert!(!data.join("ledger.key").exists(), "none is drawn");
    let mut elsewhere = settings.clone();
    elsewhere.storage.data_dir = data.join("none");
    assert!(recount_ledger(&elsewhere, &Entropy::system()).is_err());
    assert!(!elsewhere.storage.data_dir.exists(), "nothing is made");
}

fn put_back(index: &Connection) {
    index
        .execute_batch(
            "DELETE FROM place; INSERT INTO place SELECT * FROM temp.places; DROP TABLE temp.places;
             DELETE FROM list; INSERT INTO list SELECT * FROM temp.lists; DROP TABLE temp.lists;",
        )
        .unwrap();
}

/// A seal says that a row is as it was written. That it is there, and that a search finds it, is told by the leaves and by what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_away_or_is_not_found_is_named() {
    let world = Setup::configured(OFFICER).start().await;
    let a = world.party("hospital-a").await;
    let (id, other) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
    let of = a.create(&observation(&format!("Patient/{id}"))).await;
    let consent = a.create(&permit_to(&id, "hospital-b")).await;
    world.party("hospital-b").await.get(&format!("Observation?patient={id}")).await.expect(200);
    a.create(&observation(&format!("Patient/{other}"))).await;
    let token = world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..world.stranger() };
    officer.call(Call::new("POST", &format!("Patient/{other}/$erase"))).await.expect(200);
    let key = world.running.verifier_key.trim().to_owned();
    let (_folder, settings) = world.stop().await;
    let data = settings.storage.data_dir.clone();
    let fsck = || {
        let log = data.join("ledger").display().to_string();
        let told = hearthgate(&["ledger", "fsck", &log, "--data", &data.display().to_string(), "--key", &key], &data);
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    assert_eq!(fsck().0, Some(0), "what was erased is not missed: {}", fsck().1);
    let whole = std::fs::read(data.join("data.db")).unwrap();
    let taken = |id: &str| {
        let rid = format!("(SELECT rid FROM resource WHERE id = '{id}')");
        let index = ["exact", "words", "span"].map(|table| format!("DELETE FROM {table} WHERE rid = {rid};")).concat();
        format!("{index} DELETE FROM version WHERE rid = {rid}; DELETE FROM filed; DELETE FROM resource WHERE id = '{id}';")
    };
    let row = format!("rid = (SELECT rid FROM resource WHERE id = '{of}')");
    let unfound = format!("does not lead to Observation/{of}");
    for (change, says) in [
        (format!("UPDATE exact SET key = key + 1 WHERE {row}"), unfound.as_str()),
        (format!("DELETE FROM span WHERE {row}"), &unfound),
        ("INSERT INTO words VALUES (1, 'x', 999999)".to_owned(), "leads to a resource that is not there"),
        (taken(&of), "accepts is not there"),
        (taken(&consent), "accepts is not there"),
    ] {
        let changed = rusqlite::Connection::open(data.join("data.db")).unwrap();
        changed.execute_batch(&change).unwrap();
        drop(changed);
        let (code, told) = fsck();
        assert_eq!((code, told.contains(says)), (Some(1), true), "{change}: {told}");
        std::fs::write(data.join("data.db"), &whole).unwrap();
    }
    assert_eq!(fsck().0, Some(0));
}
