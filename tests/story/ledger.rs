//! The log as anybody may read it: over HTTP, and in the data folder.

use crate::support::bucket::Bucket;
use crate::support::data::{bundle, creates, patient};
use crate::support::party::Party;
use crate::support::process::hearthgate;
use crate::support::{Call, Setup, World, until};
use data_encoding::BASE64;
use hearthgate::clock::Clock;
use hearthgate::config::Settings;
use hearthgate::ledger::reader::{self, LogFiles};
use hearthgate::ledger::{Checkpoint, Folder as LogFolder, LedgerError, Note, fsck};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};

/// The files of a log as they came over HTTP.
struct Fetched(HashMap<String, Vec<u8>>);

impl LogFiles for Fetched {
    fn read(&self, path: &str, _max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.0.get(path).cloned())
    }
}

/// Fetches whatever a reader of the log at its present size may ask for.
async fn fetch(party: &Party) -> Fetched {
    let get = async |path: &str| party.call(Call::get(&format!("{}/ledger/{path}", party.origin))).await;
    let checkpoint = get("checkpoint").await.expect(200);
    let note: Note = checkpoint.text().parse().unwrap();
    let size: u64 = note.unverified_text().lines().nth(1).unwrap().parse().unwrap();
    let mut files = HashMap::from([("checkpoint".to_owned(), checkpoint.bytes)]);
    for (level, kind) in [(0, "0".to_owned()), (1, "1".to_owned()), (0, "entries".to_owned())] {
        let count = size >> (8 * level);
        let (full, partial) = (count / 256, count % 256);
        let mut paths: Vec<String> = (0..full).map(|index| format!("tile/{kind}/{index:03}")).collect();
        paths.extend((partial > 0).then(|| format!("tile/{kind}/{full:03}.p/{partial}")));
        for path in paths {
            let file = get(&path).await.expect(200);
            assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
            files.insert(path, file.bytes);
        }
    }
    Fetched(files)
}

async fn fill(party: &Party, transactions: usize) {
    for number in 0..transactions {
        let entries = (0..30).map(|entry| creates(&format!("urn:uuid:{entry}"), patient(&format!("{number}-{entry}")))).collect();
        party.post("", &bundle("transaction", entries)).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_can_check_the_whole_log() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let stranger = world.stranger();
    let policy = world.policy();
    let key = stranger.call(Call::get(&format!("{}/ledger/key", world.origin))).await.expect(200).text();
    assert_eq!(key.trim(), &*world.running.verifier_key);

    let empty = fetch(&stranger).await;
    let before = policy.accept(&reader::read_checkpoint(&empty).unwrap()).unwrap().checkpoint().clone();
    fill(&a, 10).await;
    let files = fetch(&stranger).await;
    let report = fsck::fsck(&files, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.leaves > 300, "{}", report.leaves);
    for index in [0, 255, 256, report.leaves - 1] {
        reader::prove(&files, index, &policy).unwrap();
    }
    if before.size > 0 {
        reader::prove_consistency(&files, &before, &policy).unwrap();
    }

    // What is not there is not made up, and the paths lead nowhere else.
    for path in ["tile/0/999", "tile/0/000.p/0", "tile/0/000.p/257", "tile/9/000", "tile/x/000", "tile/entries/999", "frob", ""] {
        let answer = stranger.call(Call::get(&format!("{}/ledger/{path}", world.origin))).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // A partial tile that a reader asks for late is cut from what is there.
    let late = stranger.call(Call::get(&format!("{}/ledger/tile/0/000.p/100", world.origin))).await.expect(200);
    assert_eq!(late.bytes, files.0["tile/0/000"][..100 * 32]);
    // Nothing of the records is in the log.
    for (path, bytes) in &files.0 {
        for word in ["Moor", "Ada", "hospital-a", "1970-03-01"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{path} holds {word}");
        }
    }
}

/// By how much the log grew with a request says nothing of how many patients it met with: it grows by so many leaves, or a multiple. What has no room there is
/// on record all the same, and told to whoever is told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_grows_by_so_many_leaves_at_once() {
    for (grows_by, grown) in [(16, [16, 16, 16, 16]), (4, [4, 4, 4, 4]), (1, [1, 1, 6, 18])] {
        let adjust = move |settings: &mut Settings| (settings.ledger.grows_by, settings.ledger.anchor_within_ms) = (grows_by, 0);
        let world = Setup::adjusted(adjust).start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let mut ids = Vec::new();
        for number in 0..18 {
            ids.push(a.create(&patient(&number.to_string())).await);
        }
        let some = ids[..6].join(",");
        let questions = [
            "Patient/hg-00000000000000000000000000".to_owned(),
            format!("Patient/{}", ids[0]),
            format!("Patient?_id={some}"),
            format!("Patient?_id={}", ids.join(",")),
        ];
        for (question, grown) in questions.iter().zip(grown) {
            let before = world.running.store.ledger_head().size();
            b.get(question).await;
            assert_eq!(world.running.store.ledger_head().size() - before, grown, "{question} by {grows_by}");
        }
        let oversight = world.party("health-department").await;
        for (number, id) in ids.iter().enumerate() {
            let trail = oversight.get(&format!("Patient/{id}/$provenance-trail")).await.expect(200).text();
            let refused = 1 + usize::from(number < 6) + usize::from(number == 0);
            assert_eq!(trail.matches("{\"type\":\"withheld\"").count(), refused, "{number} by {grows_by}");
        }
    }
}

/// Where very many acts wait for room there is more of it, whoever asks what: they do not become ever more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_grows_by_more_where_very_many_wait() {
    let world = Setup::adjusted(|settings| settings.ledger.anchor_within_ms = 0).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut ids = Vec::new();
    for number in 0..48 {
        ids.push(a.create(&patient(&number.to_string())).await);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..24 {
        let before = world.running.store.ledger_head().size();
        b.get(&format!("Patient?_id={}", ids.join(","))).await.expect(200);
        seen.insert(world.running.store.ledger_head().size() - before);
        let waiting: u64 = rusqlite::Connection::open(world.data().join("data.db"))
            .and_then(|data| data.query_row("SELECT count(*) FROM held", [], |row| row.get(0)))
            .unwrap();
        assert!(waiting < 512 + 48, "{waiting}");
    }
    // One is counted and twelve have room, and 256 more do from 512 on that wait.
    assert_eq!(seen, BTreeSet::from([16, 272]));
}

/// Nor does it at the edge of what it grows by, with as many records of one's own as one likes beside what is hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_records_of_ones_own_beside_it() {
    let world = Setup::adjusted(|settings| settings.ledger.anchor_within_ms = 0).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let hidden = a.create(&patient("hidden")).await;
    let mut own = Vec::new();
    for number in 0..33 {
        own.push(b.create(&patient(&format!("own-{number}"))).await);
    }
    for count in [1, 3, 4, 5, 15, 16, 17, 20, 32, 33] {
        let mut grown = Vec::new();
        for beside in ["hg-00000000000000000000000000", &hidden] {
            let before = world.running.store.ledger_head().size();
            let found = b.get(&format!("Patient?_id={},{beside}&_count=50", own[..count].join(","))).await.expect(200);
            assert_eq!(found.json()["total"], count);
            grown.push(world.running.store.ledger_head().size() - before);
        }
        assert_eq!(grown[0], grown[1], "{count}");
    }
}

/// Nor does where the next thing stands that somebody sends, or what the entries look like: what a question met with comes before it in one group, and what the
/// gateway noted of its own stands beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_leaf_stands_tells_nothing_of_what_was_met() {
    let world = Setup::adjusted(|settings| settings.ledger.anchor_within_ms = 1000).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    for number in 0..5 {
        let id = a.create(&patient(&number.to_string())).await;
        a.create(&json!({ "resourceType": "Observation", "status": "final", "code": { "coding": [{ "system": "http://loinc.org", "code": "718-7" }] },
            "subject": { "reference": format!("Patient/{id}") } })).await;
    }
    let head = || world.running.store.ledger_head().size();
    let mut seen = Vec::new();
    // Five hidden ones, none, and a person who is known here and one who is not: the first of these is linked.
    let questions = ["Observation?code=718-7", "Observation?code=718-8"];
    let person = |number: &str| {
        json!({ "resourceType": "Patient", "birthDate": "1970-03-01", "name": [{ "family": "Moor", "given": ["Ada"] }],
        "identifier": [{ "system": "http://hl7.org/fhir/sid/us-ssn", "value": number }] })
    };
    a.create(&person("111-22-3333")).await;
    for (question, number) in questions.into_iter().flat_map(|question| [(question, "111-22-3333"), (question, "111-22-4444")]) {
        world.running.store.settle().await.unwrap();
        let before = head();
        assert_eq!(b.get(question).await.expect(200).json()["total"], 0);
        let first = b.create(&person(number)).await;
        let receipt = b.get(&format!("Patient/{first}/$receipt")).await.expect(200).text();
        let index: u64 = receipt.lines().find_map(|line| line.strip_prefix("index ")).unwrap().parse().unwrap();
        let entries = world.running.store.read(move |reader| reader.leaves(before, 64)).await.unwrap();
        let looks: BTreeSet<(usize, u8)> = entries.iter().map(|entry| (entry.len(), entry[0])).collect();
        seen.push((index - before, head() - before, looks));
        b.call(Call::new("DELETE", &format!("Patient/{first}"))).await.expect(204);
    }
    assert!(seen.iter().all(|one| *one == (16, 32, BTreeSet::from([(206, 7)]))), "{seen:?}");
}

/// Whoever operates it may keep the entries from everybody: what is proved by hashes goes on being proved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_can_be_withheld() {
    let world = Setup::adjusted(|settings| settings.ledger.open_entries = false).start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let of = async |path: &str| reqwest::get(format!("{}/ledger/{path}", world.origin)).await.unwrap().status().as_u16();
    assert_eq!(of("tile/entries/000.p/1").await, 404);
    for path in ["tile/0/000.p/1", "checkpoint", "keys"] {
        assert_eq!(of(path).await, 200, "{path}");
    }
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200);
    let (key, folder) = (world.running.verifier_key.to_string(), world.folder.path());
    std::fs::write(folder.join("receipt"), &receipt.bytes).unwrap();
    let record = a.get(&format!("Patient/{id}")).await.expect(200);
    std::fs::write(folder.join("record"), &record.bytes).unwrap();
    let verify = |file: &str, record: &[&str]| {
        let run = hearthgate(&[&["ledger", "verify", file, "--key", &key], record].concat(), folder);
        let text = [run.stdout, run.stderr].concat();
        (run.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (status, told) = verify("receipt", &["--record", "record"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with(&format!("verified: Patient/{id}/_history/1 is leaf ")), "{told}");
    // What a receipt says that it is of is no more than said, where nothing shows it.
    let (status, told) = verify("receipt", &[]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with("verified: leaf ") && told.contains("which nothing here proves"), "{told}");
    let text = receipt.text();
    let extra = text.lines().find_map(|line| line.strip_prefix("extra ")).unwrap();
    let opening = String::from_utf8(BASE64.decode(extra.as_bytes()).unwrap()).unwrap();
    for other in ["Patient/somebody-else/_history/1", &format!("Patient/{id}"), ""] {
        let opening = opening.replace(&format!("Patient/{id}/_history/1"), other);
        std::fs::write(folder.join("forged"), text.replace(extra, &BASE64.encode(opening.as_bytes()))).unwrap();
        let (status, told) = verify("forged", &["--record", "record"]);
        assert_eq!(status, Some(1), "{other}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_in_the_folder_are_the_log() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    fill(&a, 5).await;
    let (policy, folder) = (world.policy(), LogFolder::new(world.data().join("ledger")));
    let size = world.running.store.ledger_head().size();
    let published = async || reader::verify(&folder, &policy).ok().filter(|(accepted, _)| accepted.checkpoint().size >= size).map(drop);
    until("the log is published", published).await;
    let old: Checkpoint = reader::verify(&folder, &policy).unwrap().0.checkpoint().clone();
    fill(&a, 5).await;
    let key = world.running.verifier_key.to_string();
    let (keep, settings) = world.stop().await;

    // After a stop everything is published.
    let report = fsck::fsck(&folder, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty() && report.leaves > old.size, "{:?}", report.problems);
    reader::prove_consistency(&folder, &old, &policy).unwrap();
    let ledger = settings.storage.data_dir.join("ledger");
    let checked = hearthgate(&["ledger", "fsck", ledger.to_str().unwrap(), "--key", &key], keep.path());
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    // A byte changed in a tile or an entry is found.
    for file in ["tile/0/000", "tile/entries/000"] {
        let path = ledger.join(file);
        let sound = std::fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        damaged[1000] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let found = fsck::fsck(&folder, &policy, &mut |_| ());
        assert!(found.is_err() || found.is_ok_and(|report| !report.problems.is_empty()), "{file}");
        let checked = hearthgate(&["ledger", "fsck", ledger.to_str().unwrap(), "--key", &key], keep.path());
        assert_eq!(checked.status.code(), Some(1), "{file}");
        std::fs::write(&path, &sound).unwrap();
    }
}

/// The log in a bucket.
fn publish(endpoint: &str) -> impl FnOnce(&mut hearthgate::config::Settings) + Clone + Send + 'static {
    let endpoint = endpoint.to_owned();
    move |settings| {
        settings.ledger.publish = Some(hearthgate::config::Bucket {
            bucket: "log".to_owned(),
            prefix: "clinic".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: Some(endpoint.try_into().unwrap()),
            access_key_id: "id".to_owned(),
            secret_access_key_file: "unused".into(),
            secret_access_key: hearthgate::config::Secret::new("secret".to_owned()),
        });
    }
}

/// Data from before what a bucket shows is not taken for the newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_lies_behind_the_bucket_is_not_adopted() {
    let (bucket, endpoint) = Bucket::start().await;
    let world = Setup::adjusted(publish(&endpoint)).start().await;
    let a = world.party("hospital-a").await;
    a.create(&patient("1")).await;
    let (folder, settings) = world.stop().await;
    let data = settings.storage.data_dir.clone();
    let files = ["data.db", "owed.journal"];
    let before = files.map(|name| std::fs::read(data.join(name)).unwrap());
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    fill(&world.party("hospital-a").await, 2).await;
    let (size, policy) = (world.running.store.ledger_head().size(), world.policy());
    until("the log is published", async || {
        let note = reader::read_checkpoint(&bucket).ok()?;
        (policy.accept(&note).unwrap().checkpoint().size >= size).then_some(())
    })
    .await;
    let (_folder, settings) = world.stop().await;
    files.iter().zip(before).for_each(|(name, bytes)| std::fs::write(data.join(name), bytes).unwrap());
    let register = data.join("keys/signed-tree");
    std::fs::remove_file(&register).unwrap();
    let _ = std::fs::remove_file(data.join("keys/signed-tree.records"));
    let adopt = || {
        let settings = settings.clone();
        std::thread::spawn(move || hearthgate::wire::adopt_ledger(&settings, &hearthgate::clock::Entropy::system())).join().unwrap()
    };
    let refused = adopt().unwrap_err().detail;
    assert!(refused.contains("in the bucket log") && !register.exists(), "{refused}");
    // Nor is anything adopted while nobody can say what the bucket shows.
    bucket.fail(true);
    assert!(adopt().is_err() && !register.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_holds_the_log_and_the_second_publisher_is_kept_out() {
    let (bucket, endpoint) = Bucket::start().await;
    let publish = publish(&endpoint);
    let world = Setup::adjusted(publish.clone()).start().await;
    let a = world.party("hospital-a").await;
    fill(&a, 6).await;
    let policy = world.policy();
    let size = async || {
        let note = reader::read_checkpoint(&bucket).ok()?;
        Some(policy.accept(&note).unwrap().checkpoint().clone())
    };
    let old = until("the log is published", async || size().await.filter(|checkpoint| checkpoint.size > 100)).await;

    // While the store is away the gateway goes on, and then catches up.
    bucket.fail(true);
    fill(&a, 6).await;
    bucket.fail(false);
    fill(&a, 1).await;
    let head = world.running.store.ledger_head().size();
    until("the log is published again", async || size().await.filter(|checkpoint| checkpoint.size >= head)).await;
    reader::prove_consistency(&bucket, &old, &policy).unwrap();

    // The log is the files that readers ask for, with the right caching. A publication that was interrupted may leave partial
    // tiles beside the full ones, which readers no longer ask for.
    let report = fsck::fsck(&bucket, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty() && report.leaves >= 390, "{} {:?}", report.leaves, report.problems);
    for (path, object) in bucket.objects() {
        let caching = if path.ends_with("checkpoint") { "no-cache" } else { "public, max-age=31536000, immutable" };
        assert_eq!(object.caching, caching, "{path}");
    }

    // Another gateway that publishes another log there is kept out.
    let other = Setup::adjusted(publish).start().await;
    fill(&other.party("hospital-a").await, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert!(size().await.unwrap().size >= head, "its checkpoint did not take the place of the first's");
    assert!(fsck::fsck(&bucket, &policy, &mut |_| ()).unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_damaged_in_the_database_is_not_served() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    fill(&a, 10).await;
    let id = a.create(&patient("last")).await;
    let stranger = world.stranger();
    let status = async |path: &str| stranger.call(Call::get(&format!("{}/ledger/{path}", world.origin))).await.status;
    let paths = ["tile/0/000", "tile/0/000.p/7", "tile/entries/000", "tile/entries/000.p/3"];
    for path in paths {
        assert_eq!(status(path).await, 200, "{path}");
    }
    let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    let flip = |table: &str, column: &str, position: u64| {
        let sql = format!("SELECT {column} FROM {table} WHERE position = {position}");
        let mut bytes: Vec<u8> = data.query_row(&sql, [], |row| row.get(0)).unwrap();
        bytes[1] ^= 0x20;
        data.execute(&format!("UPDATE {table} SET {column} = ? WHERE position = {position}"), [bytes]).unwrap();
    };
    // One bit of an entry: its bundle is not served, its tile still is.
    flip("leaf", "entry", 1);
    assert_eq!([status(paths[0]).await, status(paths[1]).await, status(paths[2]).await, status(paths[3]).await], [200, 200, 500, 500]);
    flip("leaf", "entry", 1);
    assert_eq!(status(paths[2]).await, 200);
    // One bit of a tile: neither it nor what it should confirm is served, and no receipt is made with it.
    flip("tile", "hashes", 0);
    for path in paths {
        assert_eq!(status(path).await, 500, "{path}");
    }
    let early = a.search("Patient?_count=1").await.remove(0);
    let receipt = a.get(&format!("Patient/{}/$receipt", early["id"].as_str().unwrap())).await;
    assert_eq!((receipt.status, receipt.issue().as_str()), (500, "exception"));
    // Nor is the tree's edge handed out in the place of a tile that was lost.
    data.execute("DELETE FROM tile WHERE position = 0", []).unwrap();
    for path in paths {
        assert_eq!(status(path).await, 500, "{path}");
    }
    a.get(&format!("Patient/{id}")).await.expect(200);
}
