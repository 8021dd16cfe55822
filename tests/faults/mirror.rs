//! A mirror dies among the files it copies, before a full tile takes the place of the partial ones, between the files and the checkpoint that needs
//! them, and right after the checkpoint.

use crate::support::data::patient;
use crate::support::process::{Process, Site, hearthgate};
use crate::support::until;
use crate::support::world::{ORIGIN, policy};
use hearthgate::ledger::{Checkpoint, Folder, Note, Policy, fsck, mirror, reader};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Where a copying is cut off, and whether what it copied counts by then. Each is met at the first visit to a log and at a later one; the log
/// outgrows its first tile in the third round.
const STEPS: [(&str, bool); 7] = [
    ("mirror-tiles:1", false),
    ("mirror-checkpoint:1", true),
    ("mirror-full:1", false),
    ("mirror-tiles:2", false),
    ("mirror-checkpoint:2", true),
    ("mirror-tile:1", false),
    ("mirror-tile:5", false),
];
/// Each leaves two leaves in the log, so that it outgrows a tile while it is mirrored.
const CREATED_A_ROUND: usize = 45;
const SOON: Duration = Duration::from_secs(30);

/// A log, and a mirror of it that looks every 20 ms.
struct Pair {
    log: Site,
    mirror: Site,
    policy: Policy,
    name: String,
}

impl Pair {
    async fn new() -> (Pair, Process) {
        let log = Site::new("");
        let running = log.start().await;
        let key = log.verifier_key().await;
        let mirror = Site::new("[ledger.witness]\nname = \"witness.test\"\nlogs_file = \"logs.policy\"\nmirror_interval_ms = 20\n");
        mirror.folder.write("logs.policy", &format!("log {} {}/ledger\nquorum none\n", key.trim(), log.origin));
        mirror.folder.write("log.policy", &format!("log {}\nquorum none\n", key.trim()));
        let text = std::fs::read_to_string(&mirror.config).unwrap().replace(ORIGIN, "witness.test/own");
        std::fs::write(&mirror.config, text).unwrap();
        let name = data_encoding::HEXLOWER.encode(&Sha256::digest(ORIGIN));
        (Pair { log, mirror, policy: policy(&key), name }, running)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.mirror.data().join("mirror").join(&self.name))
    }

    /// What the mirror holds on its disk; whole, whatever it was in the midst of.
    fn held(&self) -> u64 {
        let Some(held) = mirror::held(&self.folder(), &self.policy).unwrap() else { return 0 };
        let report = fsck::fsck(&self.folder(), &self.policy, &mut |_| ()).unwrap();
        assert!(report.problems.is_empty() && report.leaves == held.size, "{held}: {:?}", report.problems);
        held.size
    }

    /// The checkpoint a gateway shows at a path.
    async fn shown(&self, site: &Site, path: &str) -> Option<Checkpoint> {
        let answer = site.http.get(format!("{}{path}/checkpoint", site.origin)).send().await.ok()?;
        let note: Note = answer.text().await.ok()?.parse().ok()?;
        self.policy.accept(&note).ok().map(|accepted| accepted.checkpoint().clone())
    }

    /// What the mirror serves, read and hashed by another process.
    fn check_served(&self) {
        let url = format!("{}/mirror/{}", self.mirror.origin, self.name);
        let done =
            tokio::task::block_in_place(|| hearthgate(&["ledger", "fsck", &url, "--policy", "log.policy"], self.mirror.folder.path()));
        assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_cut_off_anywhere_goes_on_from_what_it_holds() {
    let (pair, mut running) = Pair::new().await;
    let party = pair.log.party("hospital-a").await;
    let mut created = 0;
    let mut seen: Option<Checkpoint> = None;
    for (step, counts) in STEPS {
        let before = pair.held();
        let mut process = pair.mirror.start_dying_at(step).await;
        for _ in 0..CREATED_A_ROUND {
            party.create(&patient(&created.to_string())).await;
            created += 1;
        }
        let status = process.ended(SOON).await.unwrap_or_else(|| panic!("{step} was never reached"));
        assert!(!status.success(), "{step}: {}", pair.mirror.log());
        let held = pair.held();
        assert!(held >= before && (!counts || held > before), "{step}: {before} leaves were held, {held} are");

        // The log does not answer: what is held is served as it was, whole.
        running.kill();
        let process = pair.mirror.start().await;
        if held > 0 {
            pair.check_served();
        }
        let path = format!("/mirror/{}", pair.name);
        assert_eq!(pair.shown(&pair.mirror, &path).await.map_or(0, |shown| shown.size), held, "{step}");

        // It answers again: the mirror takes over the rest, and what it showed before leads there.
        running = pair.log.start().await;
        let wanted = pair.shown(&pair.log, "/ledger").await.unwrap();
        let size =
            until("the rest is mirrored", async || pair.shown(&pair.mirror, &path).await.filter(|shown| shown.size >= wanted.size)).await;
        if let Some(seen) = &seen {
            reader::prove_consistency(&pair.folder(), seen, &pair.policy).unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        seen = Some(size);
        pair.check_served();
        process.kill();
    }
    assert!(pair.held() > 256 && created == STEPS.len() * CREATED_A_ROUND);
    running.kill();
}
