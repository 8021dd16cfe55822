//! Checking an accounting of disclosures (`Patient/ID/$disclosures`) that may come from anywhere: that its leaves are all there are of the patient
//! since the month it begins with, and that each that discloses or refuses is told of.

use super::package::{Completeness, Manifest};
use super::receipts;
use super::verify::{Files, Kept, Report, proved};
use super::whole::complete;
use crate::anchor::{Epoch, Leaf, LeafKind};
use crate::fhir::{Node, json};
use crate::ledger::{Checkpoint, LogProof, Policy};
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// The largest accounting that is looked at.
pub const MAX_ACCOUNTING_BYTES: usize = 512 << 20;

/// What checking an accounting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// What a package's report says, where it applies.
    pub report: Report,
    /// The first day it is complete from, in days since 1970.
    pub begins: i64,
    /// Disclosures and refusals that are told of.
    pub told: usize,
    /// Leaves of disclosures and refusals without an entry: they are from before the time that was asked for, or what they stood for is gone.
    pub untold: usize,
}

/// Days of an epoch.
const EPOCH_DAYS: i64 = 30;

/// Checks an accounting by what the reader believes, and against the receipts they kept.
pub fn verify_accounting(bundle: &[u8], policy: &Policy, kept: &Kept<'_>) -> Account {
    let mut account = Account::default();
    let Some((files, told)) = unpacked(bundle) else {
        account.report.problem("this is no accounting of disclosures in JSON".to_owned());
        return account;
    };
    let Some(checkpoint) = accepted(&files, policy, &mut account.report) else { return account };
    let claimed = files.get("completeness.json").and_then(|bytes| serde_json::from_slice::<Completeness>(bytes).ok());
    let first = claimed.as_ref().and_then(|completeness| completeness.claims.first());
    let Some(first) = first.map(|claim| (claim.of.clone(), Epoch(claim.epoch))) else {
        account.report.problem("completeness: it is missing, or says nothing of anybody".to_owned());
        return account;
    };
    let (subject, begins) = first;
    let report = &mut account.report;
    (report.subject, report.origin, report.size) = (subject.clone(), checkpoint.origin.clone(), checkpoint.size);
    let leaves = leaves(&files, &checkpoint, report);
    report.leaves = leaves.len();
    let manifest = Manifest::of(subject, &checkpoint);
    let tags = complete(&manifest, &files, &checkpoint, &leaves, Some(begins), report);
    kept.receipts.iter().for_each(|receipt| receipts::bind(receipt, policy, &leaves, &tags, report));
    tell(&mut account, &leaves, &told);
    account.begins = begins.0.saturating_mul(EPOCH_DAYS);
    account
}

/// What is told must have a leaf that says so.
fn tell(account: &mut Account, leaves: &BTreeMap<u64, Leaf>, told: &BTreeSet<u64>) {
    let is_told_of = |leaf: &Leaf| matches!(leaf.kind, LeafKind::Disclose | LeafKind::Deliver | LeafKind::Refuse);
    let unfounded = told.iter().filter(|position| !leaves.get(position).is_some_and(is_told_of)).count();
    account.report.check(unfounded == 0, || format!("{unfounded} entries have no leaf of a disclosure or refusal"));
    account.told = told.len() - unfounded;
    account.untold = leaves.iter().filter(|(position, leaf)| is_told_of(leaf) && !told.contains(position)).count();
}

/// The proofs of an accounting as files of a package, and which leaves it tells of.
fn unpacked(bundle: &[u8]) -> Option<(Files, BTreeSet<u64>)> {
    let bundle = json::parse(bundle, json::DEFAULT_DEPTH).ok()?;
    let data = |entry: &Node| BASE64.decode(entry.text_at(&["resource", "data"])?.as_bytes()).ok();
    let (mut files, mut told) = (Files::new(), BTreeSet::new());
    for entry in bundle.items("entry") {
        let url = entry.text("fullUrl")?.strip_prefix("urn:hearthgate:")?;
        match url.split_once(':') {
            None if url == "completeness" => drop(files.insert("completeness.json".to_owned(), data(entry)?)),
            Some(("leaf", position)) => drop(files.insert(format!("proofs/{}.tlog-proof", position.parse::<u64>().ok()?), data(entry)?)),
            Some(("disclosure", position)) => drop(told.insert(position.parse().ok()?)),
            _ => return None,
        }
    }
    let completeness: Completeness = serde_json::from_slice(files.get("completeness.json")?).ok()?;
    let anchor = files.remove(&format!("proofs/{}.tlog-proof", completeness.anchored_at))?;
    files.insert("index.tlog-proof".to_owned(), anchor);
    Some((files, told))
}

/// The checkpoint that all its proofs are under, if the reader's policy accepts it.
fn accepted(files: &Files, policy: &Policy, report: &mut Report) -> Option<Checkpoint> {
    let text = files.get("index.tlog-proof").and_then(|bytes| std::str::from_utf8(bytes).ok());
    let Some(proof) = text.and_then(|text| text.parse::<LogProof>().ok()) else {
        report.problem("the proof of the index is not one".to_owned());
        return None;
    };
    match policy.accept(&proof.checkpoint) {
        Ok(accepted) => Some(accepted.checkpoint().clone()),
        Err(error) => {
            report.problem(format!("checkpoint: {error}"));
            None
        }
    }
}

fn leaves(files: &Files, checkpoint: &Checkpoint, report: &mut Report) -> BTreeMap<u64, Leaf> {
    let position = |name: &str| name.strip_prefix("proofs/")?.strip_suffix(".tlog-proof")?.parse::<u64>().ok();
    let names = files.keys().filter_map(|name| Some((position(name)?, name)));
    let proved = names.filter_map(|(position, name)| Some((position, proved(files, name, position, checkpoint, report)?.0)));
    proved.collect()
}
