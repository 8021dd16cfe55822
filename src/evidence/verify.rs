//! Checking a package that may come from anywhere.

use super::archive::{ArchiveError, MAX_UNPACKED_BYTES, unpack};
use super::belongs;
use super::erasers::Erasers;
use super::owners::owners;
use super::package::{Consistency, FORMAT, FORMAT_OF_BRIEFER_PAGE, FORMATS_BEFORE, Listed, Manifest, Why, described};
use super::page::{self, Page, Row};
use super::receipts::{self, Receipt};
use super::whole::{complete, erased, versions};
use crate::anchor::{Erased, Leaf, LeafKind, Opening, opens, opens_provenance};
use crate::clock::Instant;
use crate::fhir::json;
use crate::ledger::index::Tag;
use crate::ledger::merkle::{leaf_hash, verify_consistency};
use crate::ledger::{Checkpoint, Hash, KeyHistory, LogProof, Note, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// The most findings that are listed.
const MAX_PROBLEMS: usize = 100;

/// What checking a package came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What does not hold; empty for a sound package.
    pub problems: Vec<String>,
    pub subject: String,
    pub origin: String,
    /// The size of the log at the package's checkpoint.
    pub size: u64,
    /// Leaves whose inclusion was checked.
    pub leaves: usize,
    /// Documents that are what their leaf commits to.
    pub opened: usize,
    /// Leaves whose content was erased or is not shown.
    pub closed: usize,
    /// Records of what was done, and consents that they name, that are not there, by what the package says of why.
    pub lacking: BTreeMap<Why, usize>,
    /// The same in a package of an older format, which does not say why.
    pub untold: usize,
    /// Records of what was done that were shortened, by whether the leaf that erased something from them names them.
    pub shortened: BTreeMap<Erased, usize>,
    /// Provenances that were shortened, each of which a leaf that erases names.
    pub unnamed: usize,
    /// Leaves that stand for nothing any more, by whether the leaf that erased it names them.
    pub erased: BTreeMap<Erased, usize>,
    /// Versions of the record whose numbers lack: they were about somebody else, who was erased.
    pub erased_versions: u32,
    /// Provenances that are what the leaf of their version commits to.
    pub provenances: usize,
    /// Provenances of versions from before leaves committed to them: shown, not proved.
    pub unproved: usize,
    /// Consents that are what their leaf commits to.
    pub consents: usize,
    /// How many leaves the proof of completeness covers.
    pub covers: u64,
    /// The size from which the log was shown to have grown, if it was.
    pub extends: Option<u64>,
    /// Receipts of the reader's that are in the list.
    pub receipts: usize,
    /// Receipts of another patient of a record that is in the list: they show nothing of whose the tags are.
    pub beside: usize,
    /// Versions that their leaf commits to, themselves or by their Provenance.
    pub proven: BTreeSet<String>,
    /// Leaves under no tag that are shown to be of the subject all the same: versions about nobody in the log of an older gateway, and what was done with
    /// several such records at once. Nothing shows that these are all.
    pub untagged: BTreeSet<u64>,
    /// How many more of these the package says it leaves out, since something was taken out of them.
    pub left_out: usize,
    /// Where versions are among them: the leaf from which on there are tags for what is nobody's.
    pub tagged_from: Option<u64>,
    /// Tags that are claimed, and of these the ones that receipts show to be the subject's.
    pub tags: usize,
    pub bound: BTreeSet<Tag>,
    /// By how many owners' keys the tags are made, where the records of the export under each say that these are all.
    pub owners: Option<usize>,
    /// Whether the page was made again and compared; packages of older formats have another.
    pub is_page_compared: bool,
}

impl Report {
    pub(super) fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }

    pub(super) fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.problem(text());
        }
    }
}

pub(super) type Files = BTreeMap<String, Vec<u8>>;
/// Entries of the log by position, base64.
pub(super) type Entries = BTreeMap<u64, String>;

/// What a reader kept from before, to hold a package against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept<'a> {
    /// The checkpoint they saw last.
    pub seen: Option<&'a Checkpoint>,
    /// Receipts of what was submitted about the package's subject.
    pub receipts: &'a [Receipt],
    /// Whether packages of older formats are looked at, whose page nobody can compare with the files beside it.
    pub allows_old_formats: bool,
    /// Since when they asked for an accounting, where they say so.
    pub asked_since: Option<Instant>,
}

/// Checks a package by what the reader believes, and against what they kept.
///
/// # Errors
/// When it cannot be unpacked within the limits.
pub fn verify(package: &[u8], policy: &Policy, kept: &Kept<'_>) -> Result<Report, ArchiveError> {
    let files = unpack(package, MAX_UNPACKED_BYTES)?;
    let mut report = Report::default();
    let Some(manifest) = read::<Manifest>(&files, "manifest.json", &mut report) else { return Ok(report) };
    if let Some(problem) = format_problem(&manifest, kept) {
        report.problem(problem);
        return Ok(report);
    }
    (report.subject, report.origin, report.left_out) = (manifest.subject.clone(), manifest.origin.clone(), manifest.left_out);
    same_files(&manifest, &files, &mut report);
    belongs::strays(&manifest, &files, &mut report);
    // What it says nothing proves, and nothing here relies on: the reader brought theirs.
    report.check(files.contains_key("policy"), || "policy: it is missing".to_owned());
    let policy = with_keys_of(&files, policy, &mut report);
    let Some(checkpoint) = accepted(&manifest, &files, &policy, &mut report) else { return Ok(report) };
    report.size = checkpoint.size;
    let (leaves, entries, erasers) = leaves(&manifest, &files, &checkpoint, &mut report);
    belongs::patients(&manifest, &files, &leaves, &mut report);
    owners(&manifest, &files, &mut report);
    let erasers = erasers.with_proof(&files, &checkpoint, &mut report);
    belongs::missing(&manifest, &files, &leaves, &erasers, &mut report);
    erased(&manifest, &leaves, &erasers, &mut report);
    versions(&manifest, &erasers, &mut report);
    let tags = complete(&manifest, &files, &checkpoint, &leaves, None, &mut report);
    consents(&files, &checkpoint, &mut report);
    consistent(&files, &checkpoint, kept.seen, &mut report);
    kept.receipts.iter().for_each(|receipt| {
        receipts::bind(
            receipt,
            &policy,
            receipts::Listed { leaves: &leaves, entries: &entries, said: &BTreeMap::new() },
            &tags,
            &mut report,
        )
    });
    same_page(&manifest, &files, &leaves, &mut report);
    Ok(report)
}

/// Why a package of this format is not looked at.
fn format_problem(manifest: &Manifest, kept: &Kept<'_>) -> Option<String> {
    let format = manifest.format.as_str();
    match FORMATS_BEFORE.contains(&format) {
        true if kept.allows_old_formats => None,
        true => Some(
            "manifest.json: it says that the package is of an older format, which does not say what it lacks, and whose page is not compared with the \
             files beside it; ask for a new package, or allow older formats and do not believe the page"
                .to_owned(),
        ),
        false => (!manifest.is_of_now()).then(|| format!("manifest.json: the format is not {FORMAT}")),
    }
}

/// The page people read says what the files beside it do.
fn same_page(manifest: &Manifest, files: &Files, leaves: &BTreeMap<u64, Leaf>, report: &mut Report) {
    report.is_page_compared = manifest.is_of_now();
    if !report.is_page_compared {
        return;
    }
    let file = |folder: &str, position: u64| files.get(&format!("{folder}/{position}.json")).map(Vec::as_slice);
    let rows = manifest.entries.iter().map(|listed| Row {
        position: listed.position,
        kind: &listed.kind,
        hour: leaves.get(&listed.position).map_or(0, |leaf| leaf.hour),
        target: listed.target.as_deref(),
        has_content: leaves.get(&listed.position).is_some_and(Leaf::has_content),
        document: file("documents", listed.position),
        provenance: file("provenance", listed.position),
    });
    let page = Page {
        lacking: (manifest.format != FORMAT_OF_BRIEFER_PAGE).then(|| page::by_path(&manifest.lacking)),
        tells_what: manifest.format == FORMAT,
        left_out: manifest.left_out,
        subject: &manifest.subject,
        origin: &manifest.origin,
        size: manifest.size,
        created: &manifest.created,
        asked_by: &manifest.asked_by,
        covers: report.covers,
        rows: rows.collect(),
        consents: files.keys().filter_map(|name| name.strip_prefix("consents/")?.strip_suffix(".json")).collect(),
    };
    let is_same = files.get("index.html").is_some_and(|found| *found == page::render(&page).into_bytes());
    report.check(is_same, || "index.html: it does not say what the files beside it say; do not believe it".to_owned());
}

pub(super) fn read<T: serde::de::DeserializeOwned>(files: &Files, name: &str, report: &mut Report) -> Option<T> {
    let read = files.get(name).map(|bytes| serde_json::from_slice(bytes));
    match read {
        Some(Ok(value)) => return Some(value),
        Some(Err(_)) => report.problem(format!("{name}: it is not what its format demands")),
        None => report.problem(format!("{name}: it is missing")),
    }
    None
}

/// Every file is in the manifest with its digest, and every one the manifest names is there.
fn same_files(manifest: &Manifest, files: &Files, report: &mut Report) {
    let named: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    report.check(named.len() == manifest.files.len(), || "manifest.json: it names a file twice".to_owned());
    for file in &manifest.files {
        let holds = files.get(&file.path).is_some_and(|bytes| described(&file.path, bytes) == *file);
        report.check(holds, || "manifest.json: a file it names is missing or was changed".to_owned());
    }
    let strays = files.keys().filter(|name| *name != "manifest.json" && !named.contains(name.as_str())).count();
    report.check(strays == 0, || format!("manifest.json: {strays} file(s) are not in it"));
}

/// The policy, with the keys that a key the reader believes was succeeded by, or succeeded, each in its time.
fn with_keys_of(files: &Files, policy: &Policy, report: &mut Report) -> Policy {
    let text = files.get("keys").and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.map(str::parse::<KeyHistory>) {
        Some(Ok(history)) => policy.clone().with_history(&history),
        _ => {
            report.problem("keys: it is missing, or no key history whose successions are signed".to_owned());
            policy.clone()
        }
    }
}

/// The checkpoint, if the reader's policy accepts it and it is the one the manifest speaks of.
fn accepted(manifest: &Manifest, files: &Files, policy: &Policy, report: &mut Report) -> Option<Checkpoint> {
    let text = files.get("checkpoint").and_then(|bytes| std::str::from_utf8(bytes).ok());
    let note = text.and_then(|text| text.parse::<Note>().ok());
    let Some(note) = note else {
        report.problem("checkpoint: it is missing or not a signed note".to_owned());
        return None;
    };
    match policy.accept(&note) {
        Ok(accepted) => {
            let checkpoint = accepted.checkpoint().clone();
            let same = checkpoint.size == manifest.size && checkpoint.origin == manifest.origin;
            report.check(same, || "checkpoint: it is not the one the manifest speaks of".to_owned());
            Some(checkpoint)
        }
        Err(error) => {
            report.problem(format!("checkpoint: {error}"));
            None
        }
    }
}

/// Checks each listed leaf: that it is in the log, and that its document is what it commits to. Gives the leaves by position, the entries that they
/// are in the log (base64), and those that erase.
fn leaves(manifest: &Manifest, files: &Files, checkpoint: &Checkpoint, report: &mut Report) -> (BTreeMap<u64, Leaf>, Entries, Erasers) {
    let (mut leaves, mut openings) = (BTreeMap::new(), Vec::new());
    for listed in &manifest.entries {
        let name = format!("proofs/{}.tlog-proof", listed.position);
        let Some((leaf, opening)) = proved(files, &name, listed.position, checkpoint, report) else { continue };
        report.check(leaf.kind.label() == listed.kind && opening.target == listed.target.clone().unwrap_or_default(), || {
            format!("{name}: the manifest says something else of it")
        });
        let is_opened = judge_document(files, listed, &leaf, &opening, report);
        let is_stated = judge_provenance((manifest, files), listed, &leaf, &opening, report);
        let is_shown = is_opened || is_stated;
        report.proven.extend(listed.target.clone().filter(|_| leaf.kind == LeafKind::Accept && is_shown));
        report
            .untagged
            .extend(Some(listed.position).filter(|_| is_shown && leaf.is_untagged() && belongs::is_about(manifest, files, listed)));
        report.leaves += 1;
        report.check(leaves.last_key_value().is_none_or(|(last, _)| *last < listed.position), || {
            format!("{name}: the manifest lists it twice, or out of order")
        });
        openings.push((listed.position, leaf.clone(), opening));
        leaves.insert(listed.position, leaf);
    }
    let erasers = Erasers::of(openings.iter().map(|(position, leaf, opening)| (*position, leaf, opening)), report);
    let entries = openings.into_iter().map(|(position, _, opening)| (position, opening.leaf)).collect();
    (leaves, entries, erasers)
}

/// A proof file's leaf, if it leads to the package's checkpoint.
pub(super) fn proved(files: &Files, name: &str, position: u64, checkpoint: &Checkpoint, report: &mut Report) -> Option<(Leaf, Opening)> {
    let text = files.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let proof = text.and_then(|text| text.parse::<LogProof>().ok());
    let opening = proof.as_ref().and_then(|proof| serde_json::from_slice::<Opening>(proof.extra.as_deref()?).ok());
    let entry = opening.as_ref().and_then(Opening::entry);
    let (Some(proof), Some(opening), Some((entry, leaf))) = (proof, opening, entry) else {
        report.problem(format!("{name}: it is missing, or not a proof with the leaf it is for"));
        return None;
    };
    let included = crate::ledger::merkle::verify_inclusion(&leaf_hash(&entry), position, checkpoint.size, &proof.path, &checkpoint.root);
    report.check(proof.index == position, || format!("{name}: it is for another leaf"));
    // The path is checked against the package's one checkpoint, so that a proof's own is only looked at for being the same.
    let same = proof.checkpoint.unverified_text() == checkpoint.to_string();
    report.check(same, || format!("{name}: it is for another checkpoint"));
    if let Err(error) = &included {
        report.problem(format!("{name}: {error}"));
    }
    included.is_ok().then_some((leaf, opening))
}

/// Whether the document is there and what its leaf commits to.
fn judge_document(files: &Files, listed: &Listed, leaf: &Leaf, opening: &Opening, report: &mut Report) -> bool {
    let name = format!("documents/{}.json", listed.position);
    let before = report.opened;
    match (files.get(&name), &opening.key) {
        (Some(document), Some(_)) if opens(leaf, opening, document) && is_target(document, listed) => report.opened += 1,
        (Some(_), _) => report.problem(format!("{name}: it is not what its leaf commits to")),
        (None, _) => report.closed += 1,
    }
    report.opened > before
}

/// A version that was not erased goes with the Provenance its leaf commits to, and no other, unless the package says that it lost something. Whether that is
/// there.
fn judge_provenance((manifest, files): (&Manifest, &Files), listed: &Listed, leaf: &Leaf, opening: &Opening, report: &mut Report) -> bool {
    let before = report.provenances;
    let name = format!("provenance/{}.json", listed.position);
    match (files.get(&name), leaf.provenance) {
        (Some(_), None) if leaf.kind == LeafKind::Accept => report.unproved += 1,
        (Some(provenance), _) if opens_provenance(leaf, opening, provenance) && is_about(provenance, listed) => report.provenances += 1,
        (Some(_), _) => report.problem(format!("{name}: it is not what its leaf commits to")),
        (None, Some(_)) if listed.target.is_some() && !manifest.tells_of(&name) => report.problem(format!("{name}: it is missing")),
        (None, _) => {}
    }
    report.provenances > before
}

/// Whether a document is the version, or the event, that a leaf is listed for.
fn is_target(document: &[u8], listed: &Listed) -> bool {
    let Ok(document) = json::parse(document, json::DEFAULT_DEPTH) else { return false };
    let (Some(type_name), Some(id)) = (document.resource_type(), document.text("id")) else { return false };
    let reference = format!("{type_name}/{id}");
    let version = document.text_at(&["meta", "versionId"]).map(|version| format!("{reference}/_history/{version}"));
    listed.target.as_deref().is_some_and(|target| target == reference || Some(target) == version.as_deref())
}

/// Whether a Provenance is about the version a leaf is listed for.
fn is_about(provenance: &[u8], listed: &Listed) -> bool {
    let Ok(provenance) = json::parse(provenance, json::DEFAULT_DEPTH) else { return false };
    provenance.items("target").iter().any(|target| target.text("reference") == listed.target.as_deref())
}

/// The reference of a document, and its id and version as a package's file is named.
fn version_of(document: &[u8]) -> Option<(String, String)> {
    let document = json::parse(document, json::DEFAULT_DEPTH).ok()?;
    let (id, version) = (document.text("id")?, document.text_at(&["meta", "versionId"])?);
    Some((format!("{}/{id}", document.resource_type()?), format!("{id}-{version}")))
}

/// Every consent is a version in the log, under its own name.
fn consents(files: &Files, checkpoint: &Checkpoint, report: &mut Report) {
    let names: BTreeSet<&str> = files
        .keys()
        .filter_map(|name| name.strip_prefix("consents/"))
        .map(|name| name.rsplit_once('.').map_or(name, |(of, _)| of))
        .collect();
    for name in names {
        let (document, proof) = (format!("consents/{name}.json"), format!("consents/{name}.tlog-proof"));
        let (Some(content), Some(position)) = (files.get(&document), index_of(files, &proof)) else {
            report.problem(format!("{document}: it or its proof is missing, or no proof"));
            continue;
        };
        let Some((leaf, opening)) = proved(files, &proof, position, checkpoint, report) else { continue };
        let is_named = version_of(content).is_some_and(|(reference, of)| of == name && reference.starts_with("Consent/"));
        if is_named && leaf.kind == LeafKind::Accept && opens(&leaf, &opening, content) {
            report.consents += 1;
        } else {
            report.problem(format!("{document}: it is not what its leaf commits to"));
        }
    }
}

/// The leaf that a proof says it is for.
pub(super) fn index_of(files: &Files, name: &str) -> Option<u64> {
    let proof: LogProof = std::str::from_utf8(files.get(name)?).ok()?.parse().ok()?;
    Some(proof.index)
}

/// Checks that the log extends the one the reader saw.
fn consistent(files: &Files, checkpoint: &Checkpoint, seen: Option<&Checkpoint>, report: &mut Report) {
    let (is_given, is_needed) = (files.contains_key("consistency.json"), seen.is_some_and(|seen| needs_proof(seen, checkpoint, report)));
    if !is_given {
        report.check(!is_needed, || {
            "consistency.json: it is missing; ask for the package with the size of the checkpoint you saw".to_owned()
        });
        return;
    }
    let Some(consistency) = read::<Consistency>(files, "consistency.json", report) else { return };
    let proof: Option<Vec<Hash>> = consistency.proof.iter().map(|hash| hash.parse().ok()).collect();
    let (Some(proof), Ok(old_root)) = (proof, consistency.old_root.parse::<Hash>()) else {
        report.problem("consistency.json: a hash is not one".to_owned());
        return;
    };
    match verify_consistency(consistency.old_size, checkpoint.size, &proof, &old_root, &checkpoint.root) {
        Ok(()) if seen.is_none() => report.extends = Some(consistency.old_size),
        Ok(()) => {}
        Err(error) => report.problem(format!("consistency.json: {error}")),
    }
    if let Some(seen) = seen.filter(|_| is_needed) {
        compare(seen, consistency.old_size, &old_root, report);
    }
}

/// What a checkpoint that the reader saw shows beside that of the package, and whether more is needed to tell that the log extends it: one of another
/// size, of a log with leaves.
fn needs_proof(seen: &Checkpoint, checkpoint: &Checkpoint, report: &mut Report) -> bool {
    let (old, new) = (seen.size, checkpoint.size);
    if seen.origin != checkpoint.origin {
        report.problem("checkpoint: the one you saw is of another log".to_owned());
        return false;
    }
    if old > new {
        report.problem(format!(
            "checkpoint: the one you saw is of size {old}, and the package's of size {new}: it shows less than was seen. It was made before that, or the log was \
             rolled back; ask for a new package"
        ));
        return false;
    }
    if old == new {
        let is_same = seen.root == checkpoint.root;
        report.check(is_same, || {
            "checkpoint: the one you saw is of the same size and of another tree: the log was forked or rewritten".to_owned()
        });
        report.extends = is_same.then_some(old);
        return false;
    }
    if old == 0 {
        // A tree without leaves is extended by every other.
        report.extends = Some(old);
    }
    old > 0
}

/// Only a checkpoint of the size that the proof was made for tells whether the log was forked.
fn compare(seen: &Checkpoint, old_size: u64, old_root: &Hash, report: &mut Report) {
    if seen.size != old_size {
        let size = seen.size;
        report.problem(format!(
            "consistency.json: it was made for a checkpoint of size {old_size}, and the one you saw is of size {size}: ask for the package with seen={size}"
        ));
        return;
    }
    let is_same = seen.root == *old_root;
    report
        .check(is_same, || "consistency.json: the checkpoint you saw is not in this log's history: it was forked or rewritten".to_owned());
    report.extends = report.extends.or(is_same.then_some(old_size));
}
