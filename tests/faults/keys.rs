//! Keys that were lost, are older than the data, or another gateway's: nothing goes on without the ones the data rests on.

use crate::support::data::{observation, patient};
use crate::support::process::{Site, hearthgate};
use crate::support::world::OFFICER;
use crate::support::{AtRest, Call, Folder, Setup, World};
use hearthgate::clock::Clock;
use hearthgate::config::Settings;
use hearthgate::outcome::Fault;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The key store as a backup keeps it: its files and what is in them.
type Backup = BTreeMap<PathBuf, Vec<u8>>;

fn files(settings: &Settings) -> Vec<PathBuf> {
    let keys = std::fs::read_dir(settings.storage.data_dir.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    keys.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("keys.db")).collect()
}

fn back_up(settings: &Settings) -> Backup {
    files(settings).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn put_back(settings: &Settings, backup: &Backup) {
    files(settings).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    backup.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
}

async fn open(folder: Folder, settings: &Settings) -> Result<World, (Folder, Fault)> {
    World::try_open(folder, settings.clone(), Clock::system()).await
}

async fn opened(folder: Folder, settings: &Settings) -> World {
    open(folder, settings).await.unwrap_or_else(|(_, fault)| panic!("{fault}"))
}

async fn refused(folder: Folder, settings: &Settings, says: &str) -> Folder {
    let Err((folder, fault)) = open(folder, settings).await else { panic!("it started, where it had to say: {says}") };
    assert!(fault.detail.contains(says), "{says}: {fault}");
    folder
}

fn count(settings: &Settings, file: &str, sql: &str) -> i64 {
    rusqlite::Connection::open(settings.storage.data_dir.join(file)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn change(settings: &Settings, file: &str, sql: &str) {
    rusqlite::Connection::open(settings.storage.data_dir.join(file)).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_not_the_datas_are_refused() {
    let world = World::start().await;
    let id = world.party("hospital-a").await.create(&patient("1")).await;
    let (folder, settings) = world.stop().await;
    let older = back_up(&settings);
    let world = opened(folder, &settings).await;
    world.party("hospital-a").await.create(&observation(&format!("Patient/{id}"))).await;
    let (mut folder, settings) = world.stop().await;
    let newest = back_up(&settings);
    let gateway = settings.storage.data_dir.join("keys/gateway.key");
    let secret = std::fs::read_to_string(&gateway).unwrap();

    for (backup, says) in [(&Backup::new(), "was lost"), (&older, "older than the data")] {
        put_back(&settings, backup);
        folder = refused(folder, &settings, says).await;
        // Trying again does not help.
        folder = refused(folder, &settings, says).await;
    }
    put_back(&settings, &newest);
    std::fs::remove_file(&gateway).unwrap();
    folder = refused(folder, &settings, "gateway.key: is missing").await;
    assert!(!gateway.exists(), "none is drawn in its place");
    std::fs::write(&gateway, "ab".repeat(32)).unwrap();
    folder = refused(folder, &settings, "gateway.key is another").await;
    std::fs::write(&gateway, secret).unwrap();

    // Data from before it remembered its keys is bound to them when it is opened, and only to those it rests on.
    change(&settings, "data.db", "DELETE FROM bound");
    put_back(&settings, &older);
    folder = refused(folder, &settings, "does not have the keys").await;
    put_back(&settings, &newest);
    let world = opened(folder, &settings).await;
    let a = world.party("hospital-a").await;
    a.get(&format!("Patient/{id}/$receipt")).await.expect(200);
    a.create(&patient("2")).await;
    let (folder, settings) = world.stop().await;
    assert_eq!(count(&settings, "data.db", "SELECT count(*) FROM bound"), 1);

    // A patient's key that is gone is not drawn anew for what follows.
    change(&settings, "keys/keys.db", "DELETE FROM patient");
    let world = opened(folder, &settings).await;
    let a = world.party("hospital-a").await;
    let mut later = patient("1");
    (later["id"], later["gender"]) = (id.as_str().into(), "male".into());
    assert_eq!(a.put(&format!("Patient/{id}"), &later).await.status, 500);
    a.create(&patient("3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_from_before_an_erasure_are_destroyed_again() {
    let world = Setup::configured(OFFICER).start().await;
    let a = world.party("hospital-a").await;
    let gone = a.create(&patient("1")).await;
    let seen = a.create(&observation(&format!("Patient/{gone}"))).await;
    let kept = a.create(&patient("2")).await;
    let also = a.create(&observation(&format!("Patient/{kept}"))).await;
    // What is about nobody has a key too.
    assert!(a.search("Patient?family=Nobody").await.is_empty());
    let (folder, settings) = world.stop().await;
    let before = back_up(&settings);
    let keys = ["SELECT count(*) FROM record", "SELECT count(*) FROM patient"];
    let all = keys.map(|sql| count(&settings, "keys/keys.db", sql));
    let world = opened(folder, &settings).await;
    let officer = world.party_with("officer", "system/Patient.r").await;
    officer.call(Call::new("POST", &format!("Patient/{gone}/$erase"))).await.expect(200);
    officer.call(Call::new("POST", &format!("Observation/{also}/$erase"))).await.expect(200);
    let (folder, settings) = world.stop().await;
    let left = keys.map(|sql| count(&settings, "keys/keys.db", sql));
    assert_eq!(left, [all[0] - 3, all[1] - 1], "two of the patient, and one of another's records");

    put_back(&settings, &before);
    assert_eq!(keys.map(|sql| count(&settings, "keys/keys.db", sql)), all, "there again");
    let world = opened(folder, &settings).await;
    assert_eq!(keys.map(|sql| count(&settings, "keys/keys.db", sql)), left, "gone again");
    let a = world.party("hospital-a").await;
    a.get(&format!("Patient/{kept}/$receipt")).await.expect(200);
    a.get(&format!("Observation/{seen}")).await.expect(404);
    // What the data keeps of it leads to nobody: it is drawn, and no name of a key.
    let (_folder, settings) = world.stop().await;
    assert_eq!(count(&settings, "data.db", "SELECT count(*) FROM destroyed"), 4);
    assert_eq!(count(&settings, "data.db", "SELECT max(length(label)) FROM destroyed"), 16);
}

/// A start says so; it goes on, for nothing is there that should not be. Where the data is taken for the newest, so are its labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_misses_labels_of_destroyed_keys() {
    let site = Site::new(OFFICER);
    let process = site.start().await;
    let id = site.party("hospital-a").await.create(&patient("1")).await;
    site.party("officer").await.call(Call::new("POST", &format!("Patient/{id}/$erase"))).await.expect(200);
    let stop = async |mut process: crate::support::process::Process| {
        process.terminate();
        assert!(process.ended(Duration::from_secs(30)).await.is_some_and(|status| status.success()));
    };
    stop(process).await;
    let says = "labels of destroyed keys";
    let again = async |expected: usize| {
        stop(site.start().await).await;
        assert_eq!(site.log().matches(says).count(), expected, "{}", site.log());
    };
    again(0).await;
    let data = rusqlite::Connection::open(site.data().join("data.db")).unwrap();
    assert_eq!(data.execute("DELETE FROM destroyed WHERE number = 1", []).unwrap(), 1);
    drop(data);
    again(1).await;
    std::fs::remove_file(site.data().join("keys/signed-tree")).unwrap();
    assert!(hearthgate(&["ledger", "adopt", "--config", site.config.to_str().unwrap()], site.folder.path()).status.success());
    again(1).await;
}

/// Keys, and what was signed last, lie where the operator says, and the key that opens them comes as a file or with the environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_lie_apart_from_the_data() {
    let apart = |settings: &mut Settings| {
        let disk = settings.storage.data_dir.with_file_name("another-disk");
        settings.storage.gateway_key_file = Some(disk.with_file_name("wrapping.key"));
        settings.storage.keys_dir = Some(disk);
    };
    let world = Setup::adjusted(apart).start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let disk = world.folder.path().join("another-disk");
    for name in ["keys.db", "signed-tree", "operator.key"] {
        assert!(disk.join(name).exists(), "{name}");
    }
    assert!(!world.data().join("keys").exists() && !disk.join("gateway.key").exists());
    let at_rest = AtRest::left_by(world).await;
    let (keys, wrapping) = (disk.display().to_string(), disk.with_file_name("wrapping.key").display().to_string());
    let (code, told) = at_rest.fsck_with(&["--keys", &keys, "--gateway-key", &wrapping]);
    assert_eq!((code, told.contains("seals: ")), (Some(0), true), "{told}");
    assert!(!told.contains("not checked"), "{told}");
    assert!(at_rest.fsck().1.contains("not checked"), "what is not there is not looked at, and that is said");
    // The key of another gateway accuses nobody.
    std::fs::write(disk.with_file_name("other.key"), "07".repeat(32)).unwrap();
    let (code, told) = at_rest.fsck_with(&["--keys", &keys, "--leaf-key", &disk.with_file_name("other.key").display().to_string()]);
    assert_eq!(code, Some(1));
    assert!(!told.contains("does not follow") && !told.contains("is not there"), "{told}");
    // The same key by the environment: what it opens is the same, and what stands there is told nobody.
    let secret = std::fs::read_to_string(&wrapping).unwrap();
    let mut settings = at_rest.settings().clone();
    let by_file = leaf_key(&settings, &disk, &[]);
    settings.storage.gateway_key_file = None;
    settings.storage.gateway_key_env = Some("HEARTHGATE_GATEWAY_KEY".to_owned());
    assert_eq!(leaf_key(&settings, &disk, &[("HEARTHGATE_GATEWAY_KEY", &secret)]), by_file);
    for wrong in [&[][..], &[("HEARTHGATE_GATEWAY_KEY", &secret[..63])], &[("HEARTHGATE_GATEWAY_KEY", "")]] {
        let (code, told) = leaf_key(&settings, &disk, wrong);
        assert_ne!(code, Some(0));
        assert!(told.contains("HEARTHGATE_GATEWAY_KEY") && !told.contains(&secret[..8]), "{told}");
    }
    // Two of them are none.
    settings.storage.gateway_key_file = Some(wrapping.into());
    let (code, told) = leaf_key(&settings, &disk, &[("HEARTHGATE_GATEWAY_KEY", &secret)]);
    assert_ne!(code, Some(0));
    assert!(told.contains("gateway_key_env"), "{told}");
    let world = at_rest.start().await;
    world.party("hospital-a").await.get(&format!("Patient/{id}")).await.expect(200);
}

/// The key of leaves as the command prints it, or what it says instead.
fn leaf_key(settings: &Settings, beside: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let config = beside.with_file_name("apart.toml");
    std::fs::write(&config, settings.to_toml()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearthgate"));
    let told = command.args(["ledger", "leaf-key", "--config"]).arg(&config).envs(environment.iter().copied()).output().unwrap();
    (told.status.code(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
}
