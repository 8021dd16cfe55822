//! That nothing is left out of a package.

use super::erasers::Erasers;
use super::package::{Claim, Completeness, Manifest};
use super::verify::{Files, Report, proved, read};
use crate::anchor::{Epoch, Leaf, LeafKind, PatientTags};
use crate::ledger::index::{self, Tag};
use crate::ledger::{Checkpoint, Hash};
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// The most epochs a package may speak of: a hundred years.
const MAX_EPOCHS: usize = 1220;

/// The most versions of a record that may lack.
const MAX_LACKING: u32 = 1_000_000;

/// What is listed without what it stands for is followed by the leaf that says that it was erased.
pub(super) fn erased(manifest: &Manifest, leaves: &BTreeMap<u64, Leaf>, erasers: &Erasers, report: &mut Report) {
    for listed in manifest.entries.iter().filter(|listed| listed.target.is_none()) {
        let Some(leaf) = leaves.get(&listed.position).filter(|leaf| leaf.kind != LeafKind::Erase) else { continue };
        match erasers.explain(listed.position, leaf) {
            Some(erased) => *report.erased.entry(erased).or_default() += 1,
            None => report
                .problem(format!("manifest.json: entry {} names nothing, and no later entry says that it was erased", listed.position)),
        }
    }
}

/// The trail of a record has every version of it, from the first to the last: what was about another patient once is not left out. Only where that
/// one was erased does a number lack, and then a leaf names it; or a leaf of an older gateway, which names nothing, comes after a version that came later.
/// Tasks begin with a version that nobody submitted.
pub(super) fn versions(manifest: &Manifest, erasers: &Erasers, report: &mut Report) {
    let begin = format!("{}/_history/", manifest.subject);
    let number = |target: &String| target.strip_prefix(&begin)?.parse::<u32>().ok();
    let listed = || manifest.entries.iter().filter_map(|listed| Some((number(listed.target.as_ref()?)?, listed.position)));
    let there: BTreeSet<u32> = listed().map(|(number, _)| number).collect();
    let Some(last) = there.last().copied() else { return };
    let first = if manifest.subject.starts_with("Task/") { there.first().copied().unwrap_or_default() } else { 1 };
    // The newest version that was there when an older gateway erased something.
    let erased_at = erasers.newest_unnamed();
    let before = erased_at.and_then(|at| listed().filter(|(_, position)| *position < at).map(|(number, _)| number).max());
    let lacking = (u64::from(last) + 1).saturating_sub(u64::from(first)).saturating_sub(there.len() as u64);
    report.erased_versions = u32::try_from(lacking).unwrap_or(u32::MAX);
    let is_explained = |number: u32| before.is_some_and(|before| number < before) || erasers.names_version(number);
    let is_whole = lacking <= u64::from(MAX_LACKING) && (first..=last).filter(|number| !there.contains(number)).all(is_explained);
    report.check(is_whole, || format!("manifest.json: it leaves out a version of {}", manifest.subject));
}

/// Checks that the listed leaves are all there are under the claimed tags, that counters have no gaps, and that no epoch is left out since the log's
/// first or the one given. Gives the tags.
pub(super) fn complete(
    manifest: &Manifest,
    files: &Files,
    checkpoint: &Checkpoint,
    leaves: &BTreeMap<u64, Leaf>,
    since: Option<Epoch>,
    report: &mut Report,
) -> BTreeSet<Tag> {
    let Some(completeness) = read::<Completeness>(files, "completeness.json", report) else { return BTreeSet::new() };
    let anchored = proved(files, "index.tlog-proof", completeness.anchored_at, checkpoint, report);
    let anchor = anchored.and_then(|(leaf, _)| leaf.anchored_index().map(|anchored| (leaf.epoch(), anchored)));
    let root = completeness.root.parse::<Hash>().ok();
    let (Some((last, (anchored_root, covers))), Some(root)) = (anchor, root) else {
        report.problem("completeness.json: no index is anchored where it says".to_owned());
        return BTreeSet::new();
    };
    if Hash(anchored_root) != root || covers != completeness.covers {
        report.problem("completeness.json: the index is not the one that is anchored".to_owned());
        return BTreeSet::new();
    }
    report.covers = covers;
    let (mut tags, mut claimed) = (BTreeSet::new(), BTreeSet::new());
    for claim in &completeness.claims {
        let Some((tag, proof)) = claim.read() else {
            report.problem("completeness.json: a tag or hash is not one".to_owned());
            continue;
        };
        if let Err(error) = index::verify(&root, tag, &claim.positions, &proof) {
            report.problem(format!("completeness.json: the claim of epoch {}: {error}", claim.epoch));
        }
        is_of_subject(claim, tag, manifest, report);
        in_turn(claim, tag, leaves, report);
        report.check(tags.insert(tag), || "completeness.json: a tag is claimed twice".to_owned());
        claimed.extend(claim.positions.iter().copied());
    }
    report.tags = tags.len();
    let first = since.or_else(|| proved(files, "first.tlog-proof", 0, checkpoint, report).map(|(leaf, _)| leaf.epoch()));
    report.check(first.is_some_and(|first| no_epoch_left_out(&completeness.claims, first, last)), || {
        "completeness.json: an epoch is left out".to_owned()
    });
    let is_told = |position: &u64| claimed.contains(position) || report.untagged.contains(position);
    let unclaimed = leaves.keys().filter(|position| **position < covers && !is_told(position)).count();
    report.check(unclaimed == 0, || format!("completeness.json: {unclaimed} leaves of the trail are under none of the tags"));
    untagged(leaves, report);
    tags
}

/// A version under no tag is of an older gateway: it comes before all of the record's that is under that of what is nobody's, and only from there on is
/// it shown that these are all.
fn untagged(leaves: &BTreeMap<u64, Leaf>, report: &mut Report) {
    let is_version = |position: &&u64| leaves.get(position).is_some_and(|leaf| leaf.kind == LeafKind::Accept);
    let Some(last) = report.untagged.iter().filter(is_version).max().copied() else { return };
    let first = leaves.iter().find(|(_, leaf)| leaf.is_nobodys()).map_or(report.covers, |(position, _)| *position);
    report.tagged_from = Some(first);
    report.check(last < first, || format!("leaf {last} bears no tag, although leaf {first} before it is of a gateway whose leaves do"));
}

fn is_of_subject(claim: &Claim, tag: Tag, manifest: &Manifest, report: &mut Report) {
    let secret = claim.secret.as_ref().and_then(|secret| <[u8; 32]>::try_from(BASE64.decode(secret.as_bytes()).ok()?).ok());
    report.check(claim.secret.is_none() || secret.is_some_and(|secret| PatientTags(secret).tag(&claim.of) == tag), || {
        format!("completeness.json: the tag of epoch {} is not that of the subject", claim.epoch)
    });
    report.check(claim.secret.is_some() || !manifest.subject.starts_with("Patient/"), || {
        format!("completeness.json: nothing shows that the tag of epoch {} is the patient's", claim.epoch)
    });
    report.check(claim.of == manifest.subject, || "completeness.json: a claim is about another subject".to_owned());
}

/// The leaves of a claim are listed, each the next under its tag.
fn in_turn(claim: &Claim, tag: Tag, leaves: &BTreeMap<u64, Leaf>, report: &mut Report) {
    for (position, ordinal) in claim.positions.iter().zip(1u64..) {
        let leaf = leaves.get(position);
        let holds = leaf.is_some_and(|leaf| leaf.counted().any(|counted| counted == (tag, ordinal)) && leaf.epoch() == Epoch(claim.epoch));
        report.check(holds, || format!("completeness.json: leaf {position} is not listed, or not the {ordinal}th under its tag"));
    }
}

/// The epochs follow each other without a gap, from that of the log's first leaf to the one in which the index was anchored: once for each patient
/// of a record, and once for a patient.
fn no_epoch_left_out(claims: &[Claim], first: Epoch, last: Epoch) -> bool {
    let by_patient = || claims.chunk_by(|one, next| one.patient == next.patient);
    let is_whole = |claims: &[Claim]| claims.iter().map(|claim| Epoch(claim.epoch)).eq(first.to(last).take(MAX_EPOCHS + 1));
    let in_order = by_patient().map(|claims| claims.first().map(|claim| claim.patient)).eq((0..by_patient().count()).map(Some));
    !claims.is_empty() && in_order && by_patient().all(|claims| claims.len() <= MAX_EPOCHS && is_whole(claims))
}
