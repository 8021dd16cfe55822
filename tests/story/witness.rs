//! Gateways that watch each other: cosigned checkpoints, witnesses that refuse, mirrors, and keys that succeed each other.

use super::trail::party;
use crate::support::data::{observation, patient};
use crate::support::party::Party;
use crate::support::process::hearthgate;
use crate::support::world::{OFFICER, ORIGIN};
use crate::support::{Call, Folder, Setup, World, until};
use hearthgate::clock::Clock;
use hearthgate::evidence::{Kept, verify};
use hearthgate::ledger::merkle::leaf_hash;
use hearthgate::ledger::witness::{AddCheckpoint, SIZE_MEDIA_TYPE};
use hearthgate::ledger::{Algorithm, Checkpoint, Edge, Hash, LedgerError, Note, Policy, SigningKey, TileReader, TreeHashes, VerifierKey};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The text of the one signing key a folder of keys holds under a name.
fn key_in(world: &World, file: &str) -> SigningKey {
    SigningKey::from_secret_text(&std::fs::read_to_string(world.data().join(file)).unwrap()).unwrap()
}

fn name_of(origin: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(origin))
}

/// The log's key, as the configuration of others names it before the log itself has started.
fn log_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[seed; 32]).unwrap()
}

/// A gateway that witnesses a log with this key, and mirrors it from a URL if one is given.
async fn witness(folder: &Folder, log: &VerifierKey, url: &str) -> World {
    let file = folder.write("logs.policy", &format!("log {log} {url}\nquorum none\n"));
    Setup::adjusted(move |settings| {
        settings.ledger.origin = "witness.test/log".to_owned();
        settings.ledger.witness =
            Some(hearthgate::config::Witness { name: "witness.test".to_owned(), logs_file: file, mirror_interval_ms: 20 });
    })
    .start()
    .await
}

/// A gateway whose log has this key and asks one witness.
async fn witnessed(folder: &Folder, key: &SigningKey, witness: &VerifierKey, url: &str) -> World {
    let key_file = folder.write("log.key", &key.to_secret_text());
    let policy = folder.write("witnesses.policy", &format!("log {}\nwitness w {witness} {url}/witness\nquorum w\n", key.verifier()));
    Setup::adjusted(move |settings| {
        settings.ledger.key_file = Some(key_file);
        settings.ledger.witnesses_file = Some(policy);
        settings.ledger.witness_interval_ms = 20;
    })
    .start()
    .await
}

async fn text(party: &Party, url: &str) -> Option<String> {
    let answer = party.call(Call::get(url)).await;
    (answer.status == 200).then(|| answer.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_cosigned_mirrored_and_read_with_the_witnesss_word() {
    let (files, key) = (Folder::new("files"), log_key(1));
    // The mirror needs to know where the log will be, the log who its witness is: the log starts again once both are known.
    let first = witness(&files, key.verifier(), "http://127.0.0.1:9").await;
    let cosigner = key_in(&first, "keys/witness.key");
    let log = witnessed(&files, &key, cosigner.verifier(), &first.origin).await;
    let a = log.party("hospital-a").await;
    let created = a.post("Patient", &patient("1")).await.expect(201);
    let strict = format!("log {}\nwitness w {}\nquorum w\n", key.verifier(), cosigner.verifier());
    let strict = Policy::parse(strict.as_bytes()).unwrap();
    let stranger = log.stranger();
    let size = log.running.store.ledger_head().size();
    let accepted = until("the checkpoint is cosigned", async || {
        let note: Note = text(&stranger, &format!("{}/ledger/checkpoint", log.origin)).await?.parse().ok()?;
        strict.accept(&note).ok().filter(|accepted| accepted.checkpoint().size >= size)
    })
    .await;
    assert!(accepted.signatures().iter().any(|line| line.timestamp_seconds.is_some()));

    // A receipt carries the witness's word.
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let proof: hearthgate::ledger::LogProof = receipt.parse().unwrap();
    strict.accept(&proof.checkpoint).unwrap();
    hearthgate::anchor::verify_receipt(&receipt, &strict, None).unwrap();

    // The witness shows what it cosigned last.
    let shown = text(&first.stranger(), &format!("{}/witness/{}/checkpoint", first.origin, name_of(ORIGIN))).await.unwrap();
    strict.accept(&shown.parse().unwrap()).unwrap();
    assert!(text(&first.stranger(), &format!("{}/witness/{}/checkpoint", first.origin, name_of("nobody"))).await.is_none());

    // A mirror of the log, in a gateway of its own, is the log.
    let mirror_files = Folder::new("mirror-files");
    let mirror = witness(&mirror_files, key.verifier(), &format!("{}/ledger", log.origin)).await;
    let place = format!("{}/mirror/{}", mirror.origin, name_of(ORIGIN));
    until("the log is mirrored", async || text(&mirror.stranger(), &format!("{place}/checkpoint")).await).await;
    let holder = key_in(&mirror, "keys/mirror.key");
    let held = format!("log {}\nwitness m {}\nquorum m\n", key.verifier(), holder.verifier());
    let held = mirror_files.write("held.policy", &held);
    for command in [vec!["ledger", "fsck", &place], vec!["ledger", "verify", &place], vec!["ledger", "prove", &place, "0"]] {
        let done = tokio::task::block_in_place(|| {
            hearthgate(&[&command[..], &["--policy", held.to_str().unwrap()]].concat(), mirror_files.path())
        });
        assert!(done.status.success(), "{command:?} {} {}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }
    for path in ["tile/0/999", "../witness.db", "checkpoint/x", "tile/entries/000/../../checkpoint"] {
        let answer = mirror.stranger().call(Call::get(&format!("{place}/{path}"))).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// A package waits for the witnesses' word after it was proved what belongs to it. What is erased in that time is not listed as lost to nothing: the package
/// is begun anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_while_a_package_is_made_is_explained_in_it() {
    let world = Setup::configured(OFFICER).start().await;
    let silent = SigningKey::from_seed("w.test", Algorithm::CosignatureV1, &[6; 32]).unwrap();
    let key = world.running.verifier_key.trim().to_owned();
    let policy = format!("log {key}\nwitness w {} http://127.0.0.1:9/witness\nquorum w\n", silent.verifier());
    let files = Folder::new("files");
    let policy = files.write("witnesses.policy", &policy);
    let world = world.restart(|settings| settings.ledger.witnesses_file = Some(policy)).await;
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let officer = party(&world, "officer", "system/Patient.r").await;
    let of = format!("Patient/{}", a.create(&patient("1")).await);
    let wrong = a.create(&observation(&of)).await;
    let size = || world.running.store.ledger_head().size();
    let before = size();
    let package = async { regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200).bytes };
    let erased = async {
        // That it was asked for is on record, and the index is anchored.
        until("the package is begun", async || (size() >= before + 2).then_some(())).await;
        officer.call(Call::new("POST", &format!("Observation/{wrong}/$erase"))).await.expect(200);
    };
    let (package, ()) = tokio::join!(package, erased);
    let report = verify(&package, &world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.erased.values().sum::<usize>() > 0, "{report:?}");
}

async fn add(witness: &World, request: &AddCheckpoint) -> (u16, String) {
    let call = Call::new("POST", &format!("{}/witness/add-checkpoint", witness.origin)).bare_body(request.to_string());
    let answer = witness.stranger().call(call).await;
    (answer.status, answer.text())
}

/// Counts are the process's: whoever counts alarms and whoever raises them take turns.
static ALARMS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How often something was counted.
async fn counted(witness: &World, what: &str) -> u64 {
    let metrics = text(&witness.stranger(), &format!("{}/metrics", witness.admin)).await.unwrap();
    let name = format!("hearthgate_{what}_total ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

fn checkpoint(key: &SigningKey, size: u64, root: u8) -> Note {
    Checkpoint::new(ORIGIN, size, Hash([root; 32])).sign(&[key]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_remembers_over_restarts_and_lets_no_log_go_back() {
    let _turn = ALARMS.lock().await;
    let (files, key) = (Folder::new("files"), log_key(2));
    let world = witness(&files, key.verifier(), "").await;
    let before = counted(&world, "witness_split_view").await;
    let ask = |old_size, size, root| AddCheckpoint { old_size, proof: Vec::new(), checkpoint: checkpoint(&key, size, root) };
    assert_eq!(add(&world, &ask(0, 5, 1)).await.0, 200);
    assert_eq!(add(&world, &ask(5, 5, 1)).await.0, 200, "the same again");
    let (folder, settings) = world.stop().await;
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    assert_eq!(add(&world, &ask(0, 5, 1)).await, (409, "5\n".to_owned()));
    assert_eq!(add(&world, &ask(0, 4, 1)).await, (409, "5\n".to_owned()), "rolled back");
    // Whoever has a signed checkpoint can send it with a false proof: that is declined, and no word against the log.
    assert_eq!(add(&world, &ask(5, 9, 2)).await.0, 422, "not shown to extend");
    assert_eq!((counted(&world, "witness_split_view").await, counted(&world, "witness_bad_proofs").await), (before, 1));
    // What the log signed twice at one size is, whatever the request starts from.
    assert_eq!(add(&world, &ask(5, 5, 2)).await.0, 422, "equivocating");
    assert_eq!(add(&world, &ask(0, 5, 2)).await.0, 409, "equivocating, from elsewhere");
    assert_eq!((counted(&world, "witness_split_view").await, counted(&world, "witness_bad_proofs").await), (before + 2, 1));
    assert_eq!(add(&world, &ask(6, 5, 1)).await.0, 400);
    let stranger = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: checkpoint(&log_key(3), 5, 1) };
    assert_eq!(add(&world, &stranger).await.0, 403);
    let unknown = Checkpoint::new("nobody.test/log", 1, Hash([1; 32]));
    let signer = SigningKey::from_seed("nobody.test/log", Algorithm::Ed25519, &[3; 32]).unwrap();
    let unknown = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: unknown.sign(&[&signer]).unwrap() };
    assert_eq!(add(&world, &unknown).await.0, 404);
    let call = Call::new("POST", &format!("{}/witness/add-checkpoint", world.origin)).bare_body("old 0\n\nnonsense");
    assert_eq!(world.stranger().call(call).await.status, 400);

    // Damage to what it remembers is found, and then it cosigns nothing.
    let (folder, settings) = world.stop().await;
    let memory = rusqlite::Connection::open(settings.storage.data_dir.join("witness.db")).unwrap();
    memory.execute("UPDATE seen SET size = 3", []).unwrap();
    drop(memory);
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    assert_eq!(add(&world, &ask(3, 3, 1)).await.0, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cosigned_and_what_is_mirrored_here_are_one_tree() {
    let _turn = ALARMS.lock().await;
    let (files, key) = (Folder::new("files"), log_key(6));
    let key_file = files.write("log.key", &key.to_secret_text());
    let log = Setup::adjusted(move |settings| settings.ledger.key_file = Some(key_file)).start().await;
    log.party("hospital-a").await.create(&patient("1")).await;
    let url = format!("{}/ledger", log.origin);
    let forked = |size| AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: checkpoint(&key, size, 1) };
    let shown = |world: &World| format!("{}/mirror/{}/checkpoint", world.origin, name_of(ORIGIN));

    // What is mirrored is not cosigned otherwise.
    let watching = witness(&files, key.verifier(), &url).await;
    let mirrored = until("the log is mirrored", async || text(&watching.stranger(), &shown(&watching)).await).await;
    let mirrored: Checkpoint = mirrored.parse::<Note>().unwrap().unverified_text().parse().unwrap();
    let before = counted(&watching, "witness_split_view").await;
    for size in [mirrored.size, 1] {
        assert_eq!(add(&watching, &forked(size)).await.0, 422);
    }
    assert_eq!(counted(&watching, "witness_split_view").await, before + 2);
    let cosigned = format!("{}/witness/{}/checkpoint", watching.origin, name_of(ORIGIN));
    assert_eq!(text(&watching.stranger(), &cosigned).await, None);

    // What was cosigned is not mirrored otherwise.
    let files = Folder::new("files-2");
    let watching = witness(&files, key.verifier(), "").await;
    assert_eq!(add(&watching, &forked(1)).await.0, 200);
    let before = counted(&watching, "mirror_split_view").await;
    let (folder, settings) = watching.stop().await;
    files.write("logs.policy", &format!("log {} {url}\nquorum none\n", key.verifier()));
    let watching = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    until("the alarm is raised", async || (counted(&watching, "mirror_split_view").await > before).then_some(())).await;
    assert_eq!(text(&watching.stranger(), &shown(&watching)).await, None);
}

/// What goes beyond the mirror is cosigned only where it is shown to extend what is mirrored, so that no fork begins below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_beyond_the_mirror_extends_it() {
    struct NoTiles;
    impl TileReader for NoTiles {
        fn tile(&self, _level: u8, _index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
            Ok(None)
        }
    }
    let _turn = ALARMS.lock().await;
    let (files, key) = (Folder::new("files"), log_key(7));
    let key_file = files.write("log.key", &key.to_secret_text());
    let log = Setup::adjusted(move |settings| settings.ledger.key_file = Some(key_file)).start().await;
    log.party("hospital-a").await.create(&patient("1")).await;
    // What is owed of what was done so far is in the log, and nothing else comes.
    log.running.store.settle().await.unwrap();
    let leaves = log.running.store.read(|reader| reader.leaves(0, 200)).await.unwrap();
    let watching = witness(&files, key.verifier(), &format!("{}/ledger", log.origin)).await;
    let shown = format!("{}/mirror/{}/checkpoint", watching.origin, name_of(ORIGIN));
    let size = until("the log is mirrored", async || {
        let note: Note = text(&watching.stranger(), &shown).await?.parse().ok()?;
        let mirrored: Checkpoint = note.unverified_text().parse().ok()?;
        (mirrored.size == leaves.len() as u64).then_some(mirrored.size)
    })
    .await;
    let mut edge = Edge::new();
    for entry in leaves.into_iter().chain([b"one more".to_vec(), b"and one".to_vec()]) {
        let _tiles = edge.append(leaf_hash(&entry));
    }
    let goes_on = |old_size, proof| {
        let checkpoint = Checkpoint::new(ORIGIN, edge.size(), edge.root()).sign(&[&key]).unwrap();
        AddCheckpoint { old_size, proof, checkpoint }
    };
    let forked = |old_size, proof| AddCheckpoint { old_size, proof, checkpoint: checkpoint(&key, size + 2, 1) };
    let proof = TreeHashes::new(&edge, &NoTiles).consistency_proof(size, edge.size()).unwrap();
    for (request, answer) in [
        (forked(0, Vec::new()), (409, format!("{size}\n"))),
        (goes_on(0, Vec::new()), (409, format!("{size}\n"))),
        (forked(size, proof.clone()), (422, String::new())),
        (goes_on(size, Vec::new()), (422, String::new())),
    ] {
        assert_eq!(add(&watching, &request).await, answer, "{request}");
    }
    let before = counted(&watching, "mirror_behind").await;
    assert_eq!(add(&watching, &goes_on(size, proof)).await.0, 200);
    // The log goes on showing what it showed before, which is less.
    until("the mirror says so", async || (counted(&watching, "mirror_behind").await > before).then_some(())).await;
}

/// A mirror's file is what the mirrored checkpoint says it is, or it is not served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_in_a_mirror_is_not_served() {
    let (files, key) = (Folder::new("files"), log_key(8));
    let key_file = files.write("log.key", &key.to_secret_text());
    let log = Setup::adjusted(move |settings| settings.ledger.key_file = Some(key_file)).start().await;
    log.party("hospital-a").await.create(&patient("1")).await;
    log.running.store.settle().await.unwrap();
    let size = log.running.store.ledger_head().size();
    let mirror = witness(&files, key.verifier(), &format!("{}/ledger", log.origin)).await;
    let place = format!("{}/mirror/{}", mirror.origin, name_of(ORIGIN));
    let read = async |path: &str| mirror.stranger().call(Call::get(&format!("{place}/{path}"))).await;
    let bundle = format!("tile/entries/000.p/{size}");
    until("the log is mirrored", async || (read(&bundle).await.status == 200).then_some(())).await;
    let folder = mirror.data().join("mirror").join(name_of(ORIGIN));
    let tile = format!("tile/0/000.p/{size}");
    // In an entry, in a hash, in the text that is signed, and in the mirror's cosignature, which is the last.
    for (path, byte) in [(bundle.as_str(), Some(60)), (tile.as_str(), Some(60)), ("checkpoint", Some(14)), ("checkpoint", None)] {
        let sound = std::fs::read(folder.join(path)).unwrap();
        let mut damaged = sound.clone();
        damaged[byte.unwrap_or(sound.len() - 10)] ^= 1;
        std::fs::write(folder.join(path), damaged).unwrap();
        assert_eq!(read(path).await.status, 500, "{path}");
        std::fs::write(folder.join(path), &sound).unwrap();
        assert_eq!(read(path).await.expect(200).bytes, sound, "{path}");
    }
    // What lies beyond the checkpoint is not the log's yet.
    std::fs::write(folder.join(format!("tile/entries/000.p/{}", size + 1)), b"unfinished").unwrap();
    assert_eq!(read(&format!("tile/entries/000.p/{}", size + 1)).await.status, 404);
}

/// Where the old key of a log is taken out of the policy, the copy that it signed is named as what is not accepted any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_whose_copy_is_signed_by_a_key_that_is_no_longer_named_says_so() {
    use hearthgate::ledger::{Folder as LogFolder, mirror::mirror};
    let (there, here, key, next) = (Folder::new("there"), Folder::new("here"), log_key(1), log_key(2));
    let empty = |key: &SigningKey| Checkpoint::new(ORIGIN, 0, Hash::EMPTY_ROOT).sign(&[key]).unwrap().to_string();
    let copy = |policy: Policy| {
        mirror(&LogFolder::new(there.path()), &LogFolder::new(here.path()), &policy, None, |note, _, keep| keep(None, &note))
    };
    there.write("checkpoint", &empty(&key));
    copy(Policy::of_log(key.verifier().clone())).unwrap();
    there.write("checkpoint", &empty(&next));
    let refused = copy(Policy::of_log(next.verifier().clone())).unwrap_err();
    assert!(matches!(refused, LedgerError::CopyRefused { .. }), "{refused}");
    assert!(refused.to_string().contains("copy") && refused.to_string().contains("old key"), "{refused}");
    copy(Policy::of_log(next.verifier().clone()).with_log(key.verifier().clone())).unwrap();
    let refused = copy(Policy::of_log(key.verifier().clone())).unwrap_err();
    assert!(matches!(refused, LedgerError::Signature(_)), "what the log shows: {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_witness_saw_another_history_is_told() {
    let (files, key) = (Folder::new("files"), log_key(4));
    let watching = witness(&files, key.verifier(), "").await;
    let elsewhere = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: checkpoint(&key, 1_000_000, 1) };
    assert_eq!(add(&watching, &elsewhere).await.0, 200);
    let cosigner = key_in(&watching, "keys/witness.key");
    let log = witnessed(&files, &key, cosigner.verifier(), &watching.origin).await;
    log.party("hospital-a").await.create(&patient("1")).await;
    until("the alarm is raised", async || {
        let metrics = text(&log.stranger(), &format!("{}/metrics", log.admin)).await?;
        metrics.contains("hearthgate_ledger_split_view_total").then_some(())
    })
    .await;
    assert!(log.running.store.cosigned().is_none());
}

/// A request to a witness that it can answer.
struct Asked {
    stream: tokio::net::TcpStream,
    checkpoint: Note,
}

impl Asked {
    async fn next(listener: &tokio::net::TcpListener) -> Asked {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "a request breaks off");
            read.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&read);
            if let Some(Ok(request)) = text.split_once("\r\n\r\n").map(|(_, body)| body.parse::<AddCheckpoint>()) {
                return Asked { stream, checkpoint: request.checkpoint };
            }
        }
    }

    async fn answer(mut self, status: u16, media: &str, body: &str) {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        self.stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

/// Whoever holds a newer checkpoint of the log may have shown it to a witness already: that is no other history, and the log goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_was_shown_more_by_others_is_asked_from_there() {
    let (files, key) = (Folder::new("files"), log_key(9));
    let cosigner = SigningKey::from_seed("w.test", Algorithm::CosignatureV1, &[9; 32]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let log = witnessed(&files, &key, cosigner.verifier(), &format!("http://{}", listener.local_addr().unwrap())).await;
    let first = Asked::next(&listener).await;
    // While it is asked, somebody else shows it what the log has signed since.
    log.party("hospital-a").await.create(&patient("1")).await;
    let size = log.running.store.ledger_head().size();
    assert!(size > 0 && !first.checkpoint.unverified_text().contains(&format!("\n{size}\n")));
    first.answer(409, SIZE_MEDIA_TYPE, &format!("{size}\n")).await;
    let second = Asked::next(&listener).await;
    let cosignature = cosigner.cosign(second.checkpoint.unverified_text(), 1).unwrap();
    second.answer(200, "text/plain", &format!("{cosignature}\n")).await;
    let shown = until("the checkpoint is cosigned", async || log.running.store.cosigned()).await;
    assert!(shown.size >= size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_goes_on_where_the_old_one_stopped() {
    let world = Setup::adjusted(|settings| settings.ledger.ml_dsa_44 = true).start().await;
    let a = world.party("hospital-a").await;
    let created = a.post("Patient", &patient("1")).await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let regulator = world.party("health-department").await;
    let package = regulator.get(&format!("Patient/{id}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let accounting = regulator.get(&format!("Patient/{id}/$disclosures")).await.expect(200).bytes;
    let (old_key, old_policy) = (world.running.verifier_key.to_string(), world.policy());
    let (folder, settings) = world.stop().await;
    let config = folder.write("rotate.toml", &settings.to_toml());
    let rotated = hearthgate(&["ledger", "rotate", "--config", config.to_str().unwrap()], folder.path());
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let world = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    assert_ne!(world.running.verifier_key.to_string(), old_key);
    world.party("hospital-a").await.create(&patient("2")).await;

    // The old receipt verifies by the old key alone, and by the new one with the history; new checkpoints by the old key with the history.
    hearthgate::anchor::verify_receipt(&receipt, &old_policy, None).unwrap();
    assert!(hearthgate::anchor::verify_receipt(&receipt, &world.policy(), None).is_err());
    let history = text(&world.stranger(), &format!("{}/ledger/keys", world.origin)).await.unwrap();
    let history_file = world.folder.write("keys.history", &history);
    let history: hearthgate::ledger::KeyHistory = history.parse().unwrap();
    hearthgate::anchor::verify_receipt(&receipt, &world.policy().with_history(&history), None).unwrap();
    let place = format!("{}/ledger", world.origin);
    let command = ["ledger", "fsck", &place, "--key", &old_key, "--history", history_file.to_str().unwrap()];
    let checked = tokio::task::block_in_place(|| hearthgate(&command, world.folder.path()));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    // A package and an accounting from before are believed by whoever knows the new key, with the history.
    world.folder.write("new.policy", &format!("log {}\nquorum none\n", world.running.verifier_key));
    for (command, bytes) in [("verify", package), ("accounting", accounting)] {
        std::fs::write(world.folder.path().join("old"), bytes).unwrap();
        for (more, status) in [(&["--history", "keys.history"][..], 0), (&[][..], 1)] {
            let arguments = [&["evidence", command, "old", "--policy", "new.policy"][..], more].concat();
            let run = tokio::task::block_in_place(|| hearthgate(&arguments, world.folder.path()));
            assert_eq!(run.status.code(), Some(status), "{arguments:?}: {}", String::from_utf8_lossy(&run.stdout));
        }
    }
}

/// Whoever witnesses and mirrors a log goes on when it has a new key, which the old one signed: the old one counts up to where it was succeeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_and_a_mirror_follow_a_logs_keys() {
    let (files, key) = (Folder::new("files"), log_key(8));
    let key_file = files.write("log.key", &key.to_secret_text());
    let log = Setup::adjusted(move |settings| settings.ledger.key_file = Some(key_file)).start().await;
    log.party("hospital-a").await.create(&patient("1")).await;
    let watching = witness(&files, key.verifier(), &format!("{}/ledger", log.origin)).await;
    let shown = |world: &World| format!("{}/mirror/{}/checkpoint", world.origin, name_of(ORIGIN));
    until("the log is mirrored", async || text(&watching.stranger(), &shown(&watching)).await).await;

    let (folder, settings) = log.stop().await;
    let config = folder.write("rotate.toml", &settings.to_toml());
    let rotated = hearthgate(&["ledger", "rotate", "--config", config.to_str().unwrap()], folder.path());
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let log = World::try_open(folder, settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let succeeded_at = log.running.store.ledger_head().size();
    log.party("hospital-a").await.create(&patient("2")).await;
    let new: VerifierKey = log.running.verifier_key.trim().parse().unwrap();
    assert_ne!(&new, key.verifier());
    // It has moved; its operator is told by the old key still.
    let moved = |url: &str| files.write("logs.policy", &format!("log {} {url}\nquorum none\n", key.verifier()));
    moved(&format!("{}/ledger", log.origin));
    let watching = watching.restart(|_| {}).await;
    let new_policy = Policy::of_log(new.clone());
    let size = log.running.store.ledger_head().size();
    let mirrored = until("the new key is followed", async || {
        let note: Note = text(&watching.stranger(), &shown(&watching)).await?.parse().ok()?;
        new_policy.accept(&note).ok().map(|accepted| accepted.checkpoint().clone()).filter(|checkpoint| checkpoint.size >= size)
    })
    .await;
    let request = |key: &SigningKey, size: u64, root: Hash| AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: Checkpoint::new(ORIGIN, size, root).sign(&[key]).unwrap(),
    };
    let newest: Note = text(&watching.stranger(), &shown(&watching)).await.unwrap().parse().unwrap();
    let newest =
        Note::new(newest.unverified_text(), newest.signatures().iter().filter(|line| new.claims(line)).cloned().collect()).unwrap();
    let newest_size = newest.unverified_text().parse::<Checkpoint>().unwrap().size;
    assert!(mirrored.size > succeeded_at && newest_size >= mirrored.size);
    // The old key signs nothing larger than where it was succeeded, be it the very tree.
    assert_eq!(add(&watching, &request(&key, mirrored.size, mirrored.root)).await.0, 403);
    assert_eq!(add(&watching, &AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: newest }).await.0, 200);

    // So it is after a start at which the log cannot be asked.
    moved("http://127.0.0.1:9");
    let watching = watching.restart(|_| {}).await;
    new_policy.accept(&text(&watching.stranger(), &shown(&watching)).await.unwrap().parse().unwrap()).unwrap();
    assert_eq!(add(&watching, &request(&key, mirrored.size, mirrored.root)).await.0, 403);
    // Nobody is believed whom no key that is named for the log signed.
    let stranger = log_key(9);
    files.write("logs.policy", &format!("log {} {}/ledger\nquorum none\n", stranger.verifier(), log.origin));
    let watching = watching.restart(|_| {}).await;
    assert_eq!(watching.stranger().call(Call::get(&shown(&watching))).await.status, 500);
    assert_eq!(add(&watching, &request(&key, 1, mirrored.root)).await.0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_added_only_where_that_is_switched_on() {
    let world = World::start().await;
    let call = |world: &World, entry: &str| Call::new("POST", &format!("{}/ledger/add", world.origin)).bare_body(entry);
    assert_eq!(world.stranger().call(call(&world, "hello")).await.status, 404);
    drop(world);
    let world = Setup::adjusted(|settings| settings.ledger.open_add = true).start().await;
    let before = world.running.store.ledger_head().size();
    for number in 0..3 {
        let answer = world.stranger().call(call(&world, &format!("entry {number}"))).await.expect(200);
        assert_eq!(answer.text(), (before + number).to_string());
    }
    assert_eq!(world.running.store.ledger_head().size(), before + 3);
    assert_eq!(world.stranger().call(call(&world, &"x".repeat(65_536))).await.status, 413);
    assert_eq!(world.stranger().call(call(&world, &"x".repeat(65_535))).await.status, 200);
    // What the gateway writes itself, nobody else may.
    let leaf = world.running.store.read(|reader| Ok(reader.leaves(0, 1)?.remove(0))).await.unwrap();
    let forged = Call::new("POST", &format!("{}/ledger/add", world.origin)).bare_body(leaf);
    assert_eq!(world.stranger().call(forged).await.status, if before > 0 { 422 } else { 200 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_key_is_given_out_and_can_be_asked_for() {
    let world = Setup::adjusted(|settings| settings.ledger.ml_dsa_44 = true).start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let read = async |path: &str| text(&world.stranger(), &format!("{}/{path}", world.origin)).await.unwrap();
    let (keys, history) = (read("ledger/key").await, read("ledger/keys").await);
    let (first, second) = keys.trim_end().split_once('\n').unwrap();
    let second: VerifierKey = second.parse().unwrap();
    assert_eq!(second.algorithm(), Algorithm::MlDsa44);
    assert_eq!(history.parse::<hearthgate::ledger::KeyHistory>().unwrap().second(), Some(&second));
    let regulator = world.party("health-department").await;
    let package = regulator.get(&format!("Patient/{id}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    assert_eq!(super::trail::file(&package, "keys"), history);
    assert!(super::trail::file(&package, "policy").contains(&format!("witness ml-dsa-44 {second}\n")));

    // Whoever asks for both keys needs both signatures; whoever knows the first learns of the second by the history.
    let folder = world.folder.path();
    let demanding = format!("log {first}\nwitness pq {second}\nquorum pq\n");
    let bare: hearthgate::ledger::LogProof = receipt.parse().unwrap();
    let mut without: Vec<_> = bare.checkpoint.signatures().to_vec();
    without.retain(|signature| !second.claims(signature));
    let checkpoint = Note::new(bare.checkpoint.unverified_text(), without).unwrap();
    let without = hearthgate::ledger::LogProof { checkpoint, ..bare }.to_string();
    for (name, written) in [("keys", &keys), ("history", &history), ("policy", &demanding), ("receipt", &receipt), ("without", &without)] {
        std::fs::write(folder.join(name), written).unwrap();
    }
    std::fs::write(folder.join("package"), &package).unwrap();
    let runs: [(&[&str], bool); 7] = [
        (&["ledger", "verify", "receipt", "--key", "keys"], true),
        (&["ledger", "verify", "receipt", "--policy", "policy"], true),
        (&["ledger", "verify", "receipt", "--key", first, "--history", "history"], true),
        (&["ledger", "verify", "without", "--key", "keys"], false),
        (&["ledger", "verify", "without", "--policy", "policy"], false),
        (&["ledger", "verify", "without", "--key", first, "--history", "history"], true),
        (&["evidence", "verify", "package", "--policy", "policy"], true),
    ];
    for (arguments, holds) in runs {
        let run = tokio::task::block_in_place(|| hearthgate(arguments, folder));
        assert_eq!(run.status.success(), holds, "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    }
}
