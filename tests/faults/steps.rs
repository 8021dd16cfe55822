//! The gateway dies at every step of a commit, a publication, a cosigning, a rotation of keys and an erasure. Whatever step it was, the tree
//! goes on from where others have seen it, and nothing acknowledged is lost.

use super::kill::{Acknowledged, Client, check_audit, check_log, check_newest, check_versions};
use crate::support::data::patient;
use crate::support::process::{Process, Site, hearthgate, hearthgate_dying_at};
use crate::support::world::OFFICER;
use crate::support::{Call, Party, until};
use hearthgate::clock::{Clock, Entropy};
use hearthgate::config::Settings;
use hearthgate::ledger::witness::AddCheckpoint;
use hearthgate::ledger::{Algorithm, Checkpoint, Folder as LogFolder, Hash, KeyHistory, Note, Policy, SigningKey, fsck, reader};
use hearthgate::outcome::FaultKind;
use hearthgate::wire::Gateway;
use serde_json::{Value, json};
use std::time::Duration;

/// Where a commit or a publication can be cut off, each the so many-th time it is reached.
const STEPS: [&str; 13] = [
    "commit-before:9",
    "register-before:7",
    "register-after:7",
    "commit-keys:8",
    "commit-stored:1",
    "commit-stored:11",
    "commit-registered:8",
    "publish-tile:2",
    "publish-tile:5",
    "publish-tiles:2",
    "publish-checkpoint:1",
    "publish-checkpoint:2",
    "publish-full:1",
];
const CLIENTS: usize = 4;
const SOON: Duration = Duration::from_secs(30);

async fn died(site: &Site, mut process: Process, step: &str) {
    let status = process.ended(SOON).await.unwrap_or_else(|| panic!("{step} was never reached"));
    assert!(!status.success(), "{step}: {}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_and_a_publication_cut_off_anywhere_leave_one_history() {
    let site = Site::new("");
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::numbered).collect();
    let mut checkpoints = Vec::new();
    let first = site.start().await;
    let party: Party = site.party("hospital-a").await;
    first.kill();
    for step in STEPS {
        let process = site.start_dying_at(step).await;
        let senders: Vec<_> = clients.drain(..).map(|client| tokio::spawn(client.send(party.clone()))).collect();
        died(&site, process, step).await;
        for sender in senders {
            clients.push(sender.await.unwrap());
        }
        let process = site.start().await;
        checkpoints.push(site.checkpoint().await.unwrap());
        check_newest(&site, &party, &clients).await;
        process.kill();
    }
    let mut process = site.start().await;
    let key = site.verifier_key().await;
    process.terminate();
    assert!(process.ended(SOON).await.is_some_and(|status| status.success()), "{}", site.log());
    let acknowledged: Vec<Acknowledged> = clients.iter().flat_map(|client| client.acknowledged.clone()).collect();
    assert!(acknowledged.len() > STEPS.len(), "the load was no load: {} acknowledgements", acknowledged.len());
    check_versions(&site, &acknowledged);
    check_audit(&site, &acknowledged);
    check_log(&site, &key, &checkpoints);
}

/// Nothing but the register knows that the last group was told; however soon after the answer the process dies, it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_told_tree_is_in_no_doubt_however_soon_after_it_the_process_dies() {
    const DATA: [&str; 2] = ["data.db", "data.db-wal"];
    let site = Site::new("");
    let mut process = site.start().await;
    let party = site.party("hospital-a").await;
    for round in 0..5 {
        party.create(&patient(&format!("before-{round}"))).await;
        // Nothing is under way: the data as it lies there is one group behind what is told next.
        let behind: Vec<Vec<u8>> = DATA.iter().map(|name| std::fs::read(site.data().join(name)).unwrap()).collect();
        party.create(&patient(&format!("told-{round}"))).await;
        process.kill();
        let whole: Vec<Vec<u8>> = DATA.iter().map(|name| std::fs::read(site.data().join(name)).unwrap()).collect();
        let put =
            |files: &[Vec<u8>]| DATA.iter().zip(files).for_each(|(name, bytes)| std::fs::write(site.data().join(name), bytes).unwrap());
        let _ = std::fs::remove_file(site.data().join("data.db-shm"));
        put(&behind);
        let mut refused = site.spawn();
        let status = refused.ended(SOON).await.unwrap_or_else(|| panic!("round {round}: a log that was set back by one group is served"));
        assert!(!status.success() && site.log().contains("set back"), "round {round}: {}", site.log());
        let _ = std::fs::remove_file(site.data().join("data.db-shm"));
        put(&whole);
        process = site.start().await;
    }
    process.kill();
}

/// How many bytes of the write-ahead log are cut off at a time, and how often.
const CUT_BYTES: u64 = 4_200;
const CUTS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_repaired_or_refused_and_never_goes_on_behind_what_was_published() {
    let site = Site::new("");
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    for number in 0..30 {
        party.create(&patient(&number.to_string())).await;
    }
    let told: Note = site.checkpoint().await.unwrap().parse().unwrap();
    let told: Checkpoint = told.unverified_text().parse().unwrap();
    // By now it is certain which tree was told last.
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.kill();
    let whole = std::fs::read(site.data().join("data.db-wal")).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for cut in 0..CUTS {
        // What the process died over is put back each time, but for the tail of the write-ahead log.
        let kept = usize::try_from((whole.len() as u64).saturating_sub(cut * CUT_BYTES)).unwrap();
        let copy = crate::support::Folder::new("torn");
        copy_folder(&site.data(), copy.path());
        std::fs::write(copy.path().join("data.db-wal"), &whole[..kept]).unwrap();
        let mut settings = Settings::embedded(copy.path().to_owned());
        settings.ledger.origin = told.origin.clone();
        match Gateway::build(settings, Clock::system(), Entropy::system()) {
            Ok(gateway) => {
                let (_, store) = gateway.into_trail();
                let head = store.ledger_head();
                assert!(head.size() >= told.size, "cut {cut}: the log went back from {} to {}", told.size, head.size());
                store.close().await;
                opened += 1;
            }
            Err(fault) => {
                assert!(matches!(fault.kind, FaultKind::Ledger | FaultKind::StorageCorrupt), "cut {cut}: {fault}");
                refused += 1;
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let place = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_folder(&file.path(), &place);
        } else {
            std::fs::copy(file.path(), place).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_dies_while_cosigning_cosigns_no_second_history() {
    let log = SigningKey::from_seed("log.test/steps", Algorithm::Ed25519, &[7; 32]).unwrap();
    let site = Site::new("[ledger.witness]\nname = \"witness.test\"\nlogs_file = \"logs.policy\"\n");
    site.folder.write("logs.policy", &format!("log {}\nquorum none\n", log.verifier()));
    let ask = |old_size, size, root| {
        let checkpoint = Checkpoint::new("log.test/steps", size, Hash([root; 32])).sign(&[&log]).unwrap();
        AddCheckpoint { old_size, proof: Vec::new(), checkpoint }.to_string()
    };
    let add = async |body: String| {
        let answer = site.http.post(format!("{}/witness/add-checkpoint", site.origin)).body(body).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };

    // Signed, and neither remembered nor told: either history may still be the first.
    let process = site.start_dying_at("cosign-signed").await;
    assert_eq!(add(ask(0, 5, 1)).await, None);
    died(&site, process, "cosign-signed").await;
    let process = site.start().await;
    assert_eq!(add(ask(0, 5, 2)).await.unwrap().0, 200);
    process.kill();

    // Remembered and not told: that was the one.
    let process = site.start_dying_at("cosign-remembered:1").await;
    let fresh = Checkpoint::new("log.test/steps", 5, Hash([2; 32]));
    assert_eq!(add(ask(5, 5, 2)).await, None);
    died(&site, process, "cosign-remembered").await;
    let process = site.start().await;
    assert_eq!(add(ask(5, 5, 3)).await.unwrap().0, 422);
    assert_eq!(add(ask(0, 4, 2)).await, Some((409, "5\n".to_owned())));
    let (status, line) = add(ask(5, 5, 2)).await.unwrap();
    assert!(status == 200 && fresh.to_string().starts_with("log.test/steps") && line.contains("witness.test"));
    process.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_dies_with_a_cosignature_in_hand_asks_again() {
    let log_key = SigningKey::from_seed(crate::support::world::ORIGIN, Algorithm::Ed25519, &[9; 32]).unwrap();
    let witness = Site::new("[ledger.witness]\nname = \"witness.test\"\nlogs_file = \"logs.policy\"\n");
    witness.folder.write("logs.policy", &format!("log {}\nquorum none\n", log_key.verifier()));
    let text = std::fs::read_to_string(&witness.config).unwrap().replace(crate::support::world::ORIGIN, "witness.test/own");
    std::fs::write(&witness.config, text).unwrap();
    let _witnessing = witness.start().await;
    let cosigner = std::fs::read_to_string(witness.data().join("keys/witness.key")).unwrap();
    let cosigner = SigningKey::from_secret_text(cosigner.trim()).unwrap();

    let site = Site::new("");
    let policy = format!("log {}\nwitness w {} {}/witness\nquorum w\n", log_key.verifier(), cosigner.verifier(), witness.origin);
    site.folder.write("witnesses.policy", &policy);
    site.folder.write("log.key", &log_key.to_secret_text());
    let asks = "[ledger]\nkey_file = \"log.key\"\nwitnesses_file = \"witnesses.policy\"\nwitness_interval_ms = 20\n";
    std::fs::write(&site.config, std::fs::read_to_string(&site.config).unwrap().replace("[ledger]\n", asks)).unwrap();
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    // The empty log is cosigned too.
    let process = site.start_dying_at("cosigned-before-shown:3").await;
    let party = site.party("hospital-a").await;
    let mut created = Vec::new();
    while let Ok(answer) = party.try_call(Call::post("Patient", &patient(&created.len().to_string()))).await {
        created.push(answer.expect(201).json()["id"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    died(&site, process, "cosigned-before-shown").await;
    let process = site.start().await;
    let shown = until("the checkpoint is cosigned", async || {
        let note: Note = site.checkpoint().await?.parse().ok()?;
        let accepted = policy.accept(&note).ok()?;
        (accepted.checkpoint().size as usize > created.len()).then(|| accepted.checkpoint().clone())
    })
    .await;
    process.kill();
    assert!(shown.size > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_cut_off_anywhere_leaves_one_key_in_use() {
    let site = Site::new("");
    let process = site.start().await;
    let first_key = site.verifier_key().await;
    let party = site.party("hospital-a").await;
    party.create(&patient("1")).await;
    process.kill();
    let arguments = ["ledger", "rotate", "--config", site.config.to_str().unwrap()];
    for (number, step) in ["rotate-drawn", "rotate-unnamed", "rotate-named", "rotate-moved"].into_iter().enumerate() {
        let cut_off = tokio::task::block_in_place(|| hearthgate_dying_at(step, &arguments, site.folder.path()));
        assert!(!cut_off.status.success(), "{step} was never reached");
        let process = site.start().await;
        party.create(&patient(&format!("after-{number}"))).await;
        let history = site.http.get(format!("{}/ledger/keys", site.origin)).send().await.unwrap().text().await.unwrap();
        let history: KeyHistory = history.parse().unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_eq!(history.current().to_string(), site.verifier_key().await.trim(), "{step}");
        process.kill();
        let whole = tokio::task::block_in_place(|| hearthgate(&arguments, site.folder.path()));
        assert!(whole.status.success(), "{step}: {}", String::from_utf8_lossy(&whole.stderr));
    }
    let mut process = site.start().await;
    let history: KeyHistory =
        site.http.get(format!("{}/ledger/keys", site.origin)).send().await.unwrap().text().await.unwrap().parse().unwrap();
    process.terminate();
    assert!(process.ended(SOON).await.is_some());
    let policy = Policy::of_log(first_key.trim().parse().unwrap()).with_history(&history);
    let files = LogFolder::new(site.data().join("ledger"));
    let report = fsck::fsck(&files, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty() && report.leaves > 4, "{:?}", report.problems);
    reader::verify(&files, &policy).unwrap();
}

/// Keys in the key store, and names of keys that are still to be destroyed.
fn keys(site: &Site) -> (u64, u64) {
    let count = |file: &str, sql: &str| -> u64 {
        rusqlite::Connection::open(site.data().join(file)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    (count("keys/keys.db", "SELECT count(*) FROM record"), count("data.db", "SELECT count(*) FROM condemned"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_cut_off_after_its_commit_is_finished_at_the_next_start() {
    let site = Site::new(OFFICER);
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let kept = party.create(&patient("2")).await;
    process.kill();
    for (step, are_keys_gone, is_unfinished) in [
        ("erase-committed", false, true),
        ("erase-noted", false, true),
        ("erase-destroyed", true, true),
        ("erase-folded", true, true),
        ("erase-finished", true, false),
    ] {
        let process = site.start().await;
        let gone = party.create(&named(step)).await;
        process.kill();
        assert!(!holding(&site, step).is_empty(), "what was stored is there");
        cut_off_erasure(&site, &party, (step, are_keys_gone, is_unfinished), (&gone, &kept)).await;
    }
}

/// A patient of a name that is found in files.
fn named(name: &str) -> Value {
    let mut named = patient(name);
    named["name"] = json!([{"family": format!("Family-{name}-family")}]);
    named
}

/// The files of the data folder in which that name stands.
fn holding(site: &Site, name: &str) -> Vec<String> {
    let mark = format!("Family-{name}-family").into_bytes();
    let files = std::fs::read_dir(site.data()).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let holds = |path: &std::path::PathBuf| std::fs::read(path).unwrap().windows(mark.len()).any(|window| window == mark);
    files.filter(holds).map(|path| path.display().to_string()).collect()
}

/// `are_keys_gone` is whether the keys are destroyed when the process has died, `is_unfinished` whether anything is still to be done.
async fn cut_off_erasure(site: &Site, party: &Party, (step, are_keys_gone, is_unfinished): (&str, bool, bool), (gone, kept): (&str, &str)) {
    let before = keys(site);
    assert!(before.0 >= 2 && before.1 == 0, "{before:?}");
    let config = site.config.to_str().unwrap();
    let cut_off = tokio::task::block_in_place(|| {
        hearthgate_dying_at(step, &["erase", "--config", config, &format!("Patient/{gone}")], site.folder.path())
    });
    assert!(!cut_off.status.success(), "the step was never reached");
    let between = keys(site);
    assert_eq!((between.1 > 0, between.0 < before.0), (is_unfinished, are_keys_gone), "{step}: {before:?} {between:?}");
    let process = site.start().await;
    assert_eq!(holding(site, step), Vec::<String>::new(), "{step}: what was erased is still in a file");
    assert_eq!(party.get(&format!("Patient/{gone}")).await.status, 404);
    party.get(&format!("Patient/{kept}")).await.expect(200);
    process.kill();
    let after = keys(site);
    assert!(after.0 < before.0 && after.1 == 0, "{before:?} {after:?}");
}
