//! A backup that was put back in the place of newer data: it is refused, and the refusal says what is to be done where nothing newer is left.

use crate::support::data::patient;
use crate::support::process::{Process, Site, hearthgate};
use hearthgate::ledger::{Folder as LogFolder, fsck};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// What no backup has: which tree was signed last, and how far records were acknowledged.
const REGISTER: [&str; 2] = ["keys/signed-tree", "keys/signed-tree.records"];

async fn stopped(site: &Site, mut process: Process) {
    process.terminate();
    assert!(process.ended(SOON).await.is_some_and(|status| status.success()), "{}", site.log());
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Puts a backup in the place of all there is, but for the register and what else is kept.
fn restore(backup: &Path, data: &Path, kept: &[&str]) {
    let newer = data.with_extension("newer");
    std::fs::rename(data, &newer).unwrap();
    copy(backup, data);
    for name in REGISTER.iter().chain(kept) {
        let _ = std::fs::remove_dir_all(data.join(name));
        std::fs::rename(newer.join(name), data.join(name)).unwrap();
    }
    std::fs::remove_dir_all(newer).unwrap();
}

fn adopt(site: &Site) -> (bool, String) {
    let done = hearthgate(&["ledger", "adopt", "--config", site.config.to_str().unwrap()], site.folder.path());
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

async fn refused(site: &Site) {
    let mut process = site.spawn();
    assert!(process.ended(SOON).await.is_some_and(|status| !status.success()), "set back, and served");
}

/// `kept` is what else is newer than the backup. Each refusal names one that is to be moved away, after which the data is adopted.
async fn check(kept: &[&str]) {
    let site = Site::new("");
    let process = site.start().await;
    let earlier = site.party("hospital-a").await.create(&patient("1")).await;
    stopped(&site, process).await;
    let (data, backup) = (site.data(), site.folder.path().join("backup"));
    copy(&data, &backup);
    REGISTER.iter().for_each(|name| std::fs::remove_file(backup.join(name)).unwrap());
    let process = site.start().await;
    let later = site.party("hospital-a").await.create(&patient("2")).await;
    stopped(&site, process).await;
    restore(&backup, &data, kept);
    for (number, name) in REGISTER.iter().take(1).chain(kept).enumerate() {
        let place = data.join(name);
        refused(&site).await;
        let (is_done, told) = adopt(&site);
        assert!(!is_done, "{kept:?}: adopted, {name} ahead");
        assert!(number == 0 || !data.join(REGISTER[0]).exists(), "{kept:?}: refused, and adopted all the same");
        assert!(told.contains(&format!("move {} ", place.display())) && told.contains("hearthgate ledger adopt"), "{name}: {told}");
        std::fs::rename(&place, site.folder.path().join(format!("moved-{number}"))).unwrap();
    }
    refused(&site).await;
    assert!(!data.join(REGISTER[0]).exists(), "{kept:?}: a start that is refused makes no register");
    let (is_done, told) = adopt(&site);
    assert!(is_done, "{kept:?}: {told}");
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    party.get(&format!("Patient/{earlier}")).await.expect(200);
    party.get(&format!("Patient/{later}")).await.expect(404);
    party.create(&patient("3")).await;
    let key = site.verifier_key().await;
    stopped(&site, process).await;
    let report = fsck::fsck(&LogFolder::new(data.join("ledger")), &crate::support::world::policy(&key), &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_put_back_is_adopted_once_what_is_ahead_of_it_is_moved_away() {
    check(&[]).await;
    check(&["ledger"]).await;
}
