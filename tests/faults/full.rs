//! Disks without room: nothing is acknowledged that is not kept, what room there is is found, and no restart is needed to go on.

use crate::support::data::patient;
use crate::support::party::{Party, ids};
use crate::support::process::Site;
use crate::support::{PATIENCE, until};
use hearthgate::ledger::{Folder as LogFolder, fsck, reader};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file system of its own for a data folder, which can be filled. Unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(place: PathBuf, megabytes: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(&place).ok()?;
        let size = format!("size={megabytes}m");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&place).output().ok()?;
        mounted.status.success().then_some(SmallDisk(place))
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(std::process::Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A folder on a disk of its own that is filled.
struct Full {
    place: &'static str,
    /// Whether what is stored can be read meanwhile, which is put on record.
    reads: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_everything_is_left_without_a_restart() {
    a_full_disk_is_left(Full { place: "", reads: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_keys_is_left_without_a_restart() {
    a_full_disk_is_left(Full { place: "keys", reads: true }).await;
}

/// Nothing is acknowledged that others could not see: what was, until it showed that the disk is full, is published all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_the_logs_files_is_left_without_a_restart() {
    a_full_disk_is_left(Full { place: "ledger", reads: true }).await;
}

/// After so many refusals the disk counts as full.
const REFUSED: usize = 20;

async fn a_full_disk_is_left(full: Full) {
    let site = Site::new("");
    let Some(disk) = SmallDisk::mount(site.data().join(full.place), 24) else {
        eprintln!("skipped: only who may mount can try a full disk");
        return;
    };
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let before = format!("Patient/{}", party.create(&patient("before")).await);
    let checkpoint = site.checkpoint().await.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        disk.fill();
        // What is left in the last pages may still take a few, and so may what comes before the log's next publication.
        let (mut refused, begun) = (0, Instant::now());
        for number in 0.. {
            let answer = party.post("Patient", &patient(&format!("full-{round}-{number}"))).await;
            match answer.status {
                201 => acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned()),
                503 | 507 => refused += 1,
                other => panic!("{other}: {}", answer.text()),
            }
            if refused == REFUSED {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the disk was never full");
        }
        assert!(site.checkpoint().await.is_some(), "the log is still read");
        let read = party.get(&before).await.status;
        assert!(read == 200 || (!full.reads && matches!(read, 503 | 507)), "{read}");
        if let Some(last) = acknowledged.last().filter(|_| full.place == "ledger") {
            check_is_published(&site, &party, last).await;
        }
        assert_eq!(health(&site).await, (200, 503), "live, ready");
        disk.clear();
        until("it is ready", async || (health(&site).await == (200, 200)).then_some(())).await;
        acknowledged.push(party.create(&patient(&format!("after-{round}"))).await);
    }
    party.get(&before).await.expect(200);
    let key = site.verifier_key().await;
    drop(process);
    // What was acknowledged is there, and what the files say is one history, from the first checkpoint on.
    let process = site.start().await;
    for id in acknowledged {
        party.get(&format!("Patient/{id}")).await.expect(200);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (files, policy) = (LogFolder::new(site.data().join("ledger")), crate::support::world::policy(&key));
    let report = fsck::fsck(&files, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let note: hearthgate::ledger::Note = checkpoint.parse().unwrap();
    let old = policy.accept(&note).unwrap().checkpoint().clone();
    reader::prove_consistency(&files, &old, &policy).unwrap();
    process.kill();
    drop(disk);
}

/// The write-ahead log takes ten times the room of what is in it: a disk that nobody else fills is full of data, not of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_the_gateway_fills_is_full_of_data() {
    let site = Site::new("");
    let Some(disk) = SmallDisk::mount(site.data(), 64) else {
        eprintln!("skipped: only who may mount can try a full disk");
        return;
    };
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let (mut acknowledged, mut refused, begun) = (Vec::new(), 0, Instant::now());
    for number in 0.. {
        let answer = party.post("Patient", &patient(&format!("many-{number}"))).await;
        match answer.status {
            201 => {
                refused = 0;
                acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned());
            }
            503 | 507 => refused += 1,
            other => panic!("{other}: {}", answer.text()),
        }
        if refused == REFUSED {
            break;
        }
        assert!(begun.elapsed() < 4 * PATIENCE, "the disk was never full");
    }
    let bytes = |name: &str| std::fs::metadata(site.data().join(name)).map_or(0, |file| file.len());
    let (data, log) = (bytes("data.db"), bytes("data.db-wal"));
    assert!(data > log, "{} writes: {data} bytes of data, {log} of write-ahead log", acknowledged.len());
    process.kill();
    // What is in the write-ahead log after a crash is folded by the start, so that it is no room lost.
    disk.grow(96);
    let process = site.start().await;
    assert!(bytes("data.db-wal") < 1 << 20, "{}", bytes("data.db-wal"));
    for id in acknowledged.iter().step_by(acknowledged.len() / 20 + 1) {
        party.get(&format!("Patient/{id}")).await.expect(200);
    }
    process.kill();
}

/// The files of the log come to hold what was acknowledged, full as their disk is.
async fn check_is_published(site: &Site, party: &Party, id: &str) {
    let receipt = party.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let index: u64 = receipt.lines().find_map(|line| line.strip_prefix("index ")).unwrap().parse().unwrap();
    let (files, policy) = (LogFolder::new(site.data().join("ledger")), crate::support::world::policy(&site.verifier_key().await));
    let published = async || Some(reader::verify(&files, &policy).ok()?.0.checkpoint().size).filter(|size| *size > index);
    until("what was acknowledged is published", published).await;
}

/// What `/health/live` and `/health/ready` answer.
async fn health(site: &Site) -> (u16, u16) {
    let ask = async |what: &str| site.http.get(format!("{}/health/{what}", site.admin)).send().await.unwrap().status().as_u16();
    (ask("live").await, ask("ready").await)
}

/// So much lies in the write-ahead log when the disk is full: less than it is folded at, more than what follows needs.
const UNFOLDED_BYTES: u64 = 4 << 20;
/// Who writes at the same time, into one group commit or a few.
const WRITERS: usize = 8;

/// While the disk stays full, writers at the same time find the room that folding the write-ahead log gives back, at once or when they ask again: each is
/// stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_finds_no_room_waits_for_what_folding_gives_back() {
    let site = Site::new("");
    let Some(disk) = SmallDisk::mount(site.data(), 64) else {
        eprintln!("skipped: only who may mount can try a full disk");
        return;
    };
    let process = site.start().await;
    let party = site.party("hospital-a").await;
    let unfolded = || std::fs::metadata(site.data().join("data.db-wal")).map_or(0, |file| file.len());
    let mut acknowledged = Vec::new();
    while unfolded() < UNFOLDED_BYTES {
        acknowledged.push(party.create(&patient(&format!("before-{}", acknowledged.len()))).await);
    }
    disk.fill();
    // Others that keep room for themselves may find it first: whoever is refused asks again, as the answer says, and the disk stays full.
    let writers = (0..WRITERS).map(|number| {
        let party = party.clone();
        let write = async move {
            let attempt =
                async || Some(party.post("Patient", &patient(&format!("full-{number}"))).await).filter(|answer| answer.status != 507);
            until("room that folding gave back", attempt).await
        };
        tokio::spawn(write)
    });
    for writer in writers.collect::<Vec<_>>() {
        acknowledged.push(writer.await.unwrap().expect(201).json()["id"].as_str().unwrap().to_owned());
    }
    assert!(unfolded() < UNFOLDED_BYTES, "it was folded: {}", unfolded());
    // None is lost, and none is there twice.
    disk.clear();
    let mut found = ids(&party.search("Patient?_count=1000").await);
    found.sort();
    acknowledged.sort();
    assert_eq!(found, acknowledged);
    for number in 0..WRITERS {
        assert_eq!(party.search(&format!("Patient?identifier=full-{number}")).await.len(), 1);
    }
    let key = site.verifier_key().await;
    process.kill();
    let (files, policy) = (LogFolder::new(site.data().join("ledger")), crate::support::world::policy(&key));
    let report = fsck::fsck(&files, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}
