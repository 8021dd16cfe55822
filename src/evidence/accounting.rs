//! Checking an accounting of disclosures (`Patient/ID/$disclosures`) that may come from anywhere: that its leaves are all there are of the patient
//! since the month it begins with, and that each that discloses or refuses is told of once, in order, unless it is from before the time that was
//! asked for or was erased.
//!
//! An entry names organisations and not who acted for them, so that it is less than the record its leaf commits to. Its leaf commits to what the entry
//! says too, and the receipt has the key of that. Leaves of older gateways do not: what entries of these say is the word of who wrote them. No such leaf
//! comes after one that does.

use super::erasers::Erasers;
use super::package::{Completeness, ERASURE_PROOF, Manifest};
use super::receipts::{self, Listed};
use super::verify::{Files, Kept, Report, proved};
use super::whole::complete;
use crate::anchor::{Epoch, Leaf, Opening, hour, opens_accounting};
use crate::audit::erased_entity;
use crate::clock::Instant;
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
    /// Entries that are what their leaves commit to.
    pub opened: usize,
    /// Entries of leaves that do not commit to what is told of them.
    pub unopened: usize,
    /// Entries that are what their leaves commit to but for what led to an erased person.
    pub shortened: usize,
    /// Since when it tells, as it says itself.
    pub since: Option<Instant>,
    /// Leaves of disclosures and refusals without an entry: they are from before that, or were erased.
    pub untold: usize,
}

/// An entry that tells of a disclosure or refusal.
struct Told {
    position: u64,
    /// What it says, if it is an AuditEvent that says when.
    event: Option<(u32, Node)>,
}

impl Told {
    fn is_shortened(&self) -> bool {
        self.event.iter().any(|(_, event)| event.items("entity").iter().any(|entity| erased_entity(entity).is_some()))
    }
}

/// The leaves of an accounting, each with what opens it.
type Leaves = BTreeMap<u64, (Leaf, Opening)>;

/// An accounting taken apart.
struct Unpacked {
    /// Its proofs, as files of a package.
    files: Files,
    told: Vec<Told>,
    asked: Option<(String, Instant)>,
    /// A member that no gateway writes, where there is one.
    more: Option<String>,
}

/// The members that an accounting has, as whole, in an entry, and in an entry's proof.
const MEMBERS: [&str; 5] = ["resourceType", "type", "timestamp", "link", "entry"];
const ENTRY_MEMBERS: [&str; 2] = ["fullUrl", "resource"];
const PROOF_MEMBERS: [&str; 3] = ["resourceType", "contentType", "data"];

/// Days of an epoch.
const EPOCH_DAYS: i64 = 30;

/// Checks an accounting by what the reader believes, and against the receipts they kept.
pub fn verify_accounting(bundle: &[u8], policy: &Policy, kept: &Kept<'_>) -> Account {
    let mut account = Account::default();
    let Some(Unpacked { files, told, asked, more }) = unpacked(bundle) else {
        account.report.problem("this is no accounting of disclosures in JSON".to_owned());
        return account;
    };
    if let Some(more) = more {
        account.report.problem(format!("it has members that nothing proves, and that no gateway writes: {more}"));
    }
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
    let proved = leaves(&files, &checkpoint, report);
    let leaves = proved.iter().map(|(position, (leaf, _))| (*position, leaf.clone())).collect();
    report.leaves = proved.len();
    let manifest = Manifest::of(subject, &checkpoint);
    let tags = complete(&manifest, &files, &checkpoint, &leaves, Some(begins), report);
    let entries = proved.iter().map(|(position, (_, opening))| (*position, opening.leaf.clone())).collect();
    let targets = proved.iter().map(|(position, (_, opening))| (*position, opening.target.clone())).collect();
    let listed = Listed { leaves: &leaves, entries: &entries, said: &targets };
    kept.receipts.iter().for_each(|receipt| receipts::bind(receipt, policy, listed, &tags, report));
    account.since = asked.as_ref().map(|(_, since)| *since);
    let fits = asked.is_none_or(|(of, since)| of == account.report.subject && Epoch::of(since) <= begins);
    let is_asked = kept.asked_since.zip(account.since).is_none_or(|(asked, since)| since <= asked);
    account.report.check(is_asked, || "it tells since a later time than it was asked for".to_owned());
    account
        .report
        .check(fits, || "its own link is of somebody else, or of a later time than that of which it proves to be complete".to_owned());
    let erasers = Erasers::of(proved.iter().map(|(position, (leaf, opening))| (*position, leaf, opening)), &mut account.report);
    let erasers = erasers.with_proof(&files, &checkpoint, &mut account.report);
    tell(&mut account, &leaves, &erasers, &told);
    open(&mut account, &proved, &told, &erasers);
    account.begins = begins.0.saturating_mul(EPOCH_DAYS);
    account
}

/// What is told is what its leaf commits to, as far as leaves do. What was taken out of it went with an erasure that came later, and whose leaf names it.
fn open(account: &mut Account, leaves: &Leaves, told: &[Told], erasers: &Erasers) {
    let subject = account.report.subject.clone();
    for one in told {
        let Some(((leaf, opening), (_, event))) = leaves.get(&one.position).zip(one.event.as_ref()) else { continue };
        if !leaf.commits_to_told() {
            account.unopened += 1;
            continue;
        }
        let (is_opened, is_shortened) = (opens_accounting(leaf, opening, event, &subject), one.is_shortened());
        account.opened += usize::from(is_opened && !is_shortened);
        account.shortened += usize::from(is_opened && is_shortened);
        account
            .report
            .check(is_opened, || format!("entry {} is not what its leaf commits to, or the key of that is missing", one.position));
        let erased = erasers.explain_shortened(one.position, leaf).filter(|_| is_shortened);
        if let Some(erased) = erased.filter(|_| is_opened) {
            *account.report.shortened.entry(erased).or_default() += 1;
        }
        account.report.check(!is_shortened || erased.is_some(), || {
            format!("entry {} says that something was erased from it, and nothing in the log bears that out", one.position)
        });
        account.report.check(!is_shortened || names(event, &subject), || {
            format!("entry {} says no more of whom it is; an erasure of others takes that from none", one.position)
        });
    }
    let mut accounted = leaves.values().map(|(leaf, _)| leaf).filter(|leaf| leaf.kind.is_accounted());
    let is_relapse = accounted.by_ref().any(Leaf::commits_to_told) && accounted.any(|leaf| !leaf.commits_to_told());
    account.report.check(!is_relapse, || "a leaf does not commit to what is told of it, although one before it does".to_owned());
}

fn names(event: &Node, subject: &str) -> bool {
    event.items("entity").iter().any(|entity| entity.text_at(&["what", "reference"]) == Some(subject))
}

/// What is told must have a leaf that says so, and each such leaf is told of.
fn tell(account: &mut Account, leaves: &BTreeMap<u64, Leaf>, erasers: &Erasers, told: &[Told]) {
    let is_founded = |one: &&Told| {
        let leaf = leaves.get(&one.position).filter(|leaf| leaf.kind.is_accounted());
        leaf.zip(one.event.as_ref()).is_some_and(|(leaf, (hour, _))| *hour <= leaf.hour)
    };
    account.told = told.iter().filter(is_founded).count();
    let unfounded = told.len() - account.told;
    let report = &mut account.report;
    report.check(unfounded == 0, || format!("{unfounded} entries have no leaf of a disclosure or refusal, or are no record of its time"));
    report.check(told.is_sorted_by(|one, next| one.position < next.position), || "entries are there twice, or out of order".to_owned());
    let positions: BTreeSet<u64> = told.iter().map(|one| one.position).collect();
    let untold = || leaves.iter().filter(|(position, leaf)| leaf.kind.is_accounted() && !positions.contains(position));
    account.untold = untold().count();
    let first = account.since.map(hour);
    let is_before = |leaf: &Leaf| first.is_some_and(|first| leaf.hour <= first);
    let hidden = untold().filter(|(position, leaf)| !is_before(leaf) && erasers.explain(**position, leaf).is_none()).count();
    report.check(hidden == 0, || {
        format!("{hidden} disclosures or refusals have no entry, although they are of the time that is told of, and no leaf says that they were erased")
    });
}

/// Of whom and since when an accounting says that it tells: what its own link asks for.
fn asked(bundle: &Node) -> Option<(String, Instant)> {
    let own = bundle.items("link").iter().find(|link| link.text("relation") == Some("self"))?;
    let (of, since) = own.text("url")?.split_once("/$disclosures?_since=")?;
    Some((of.to_owned(), Instant::from_fhir_instant(since)?))
}

fn told(position: u64, resource: Option<&Node>) -> Told {
    let event = resource.filter(|resource| resource.resource_type() == Some("AuditEvent"));
    let at = |event: &Node| event.text("recorded").and_then(Instant::from_fhir_instant).map(hour);
    Told { position, event: event.and_then(|event| Some((at(event)?, event.clone()))) }
}

fn unpacked(bundle: &[u8]) -> Option<Unpacked> {
    let bundle = json::parse(bundle, json::DEFAULT_DEPTH).ok()?;
    let data = |entry: &Node| BASE64.decode(entry.text_at(&["resource", "data"])?.as_bytes()).ok();
    let (mut files, mut entries) = (Files::new(), Vec::new());
    for entry in bundle.items("entry") {
        let url = entry.text("fullUrl")?.strip_prefix("urn:hearthgate:")?;
        match url.split_once(':') {
            None if url == "erasure" => drop(files.insert(ERASURE_PROOF.to_owned(), data(entry)?)),
            None if url == "completeness" => drop(files.insert("completeness.json".to_owned(), data(entry)?)),
            Some(("leaf", position)) => drop(files.insert(format!("proofs/{}.tlog-proof", position.parse::<u64>().ok()?), data(entry)?)),
            Some(("disclosure", position)) => entries.push(told(position.parse().ok()?, entry.get("resource"))),
            _ => return None,
        }
    }
    let completeness: Completeness = serde_json::from_slice(files.get("completeness.json")?).ok()?;
    let anchor = files.remove(&format!("proofs/{}.tlog-proof", completeness.anchored_at))?;
    files.insert("index.tlog-proof".to_owned(), anchor);
    Some(Unpacked { files, told: entries, asked: asked(&bundle), more: more(&bundle) })
}

/// The first member that no gateway writes: what it says would stand beside what is proved.
fn more(bundle: &Node) -> Option<String> {
    let of_proof = |resource: &Node| if resource.resource_type() == Some("Binary") { unknown(resource, &PROOF_MEMBERS) } else { None };
    let of_entry = |entry: &Node| unknown(entry, &ENTRY_MEMBERS).or_else(|| entry.get("resource").and_then(of_proof));
    unknown(bundle, &MEMBERS).or_else(|| bundle.items("entry").iter().find_map(of_entry))
}

fn unknown(node: &Node, known: &[&str]) -> Option<String> {
    let members = node.as_object()?.members().iter();
    members.map(|member| member.name.as_str()).find(|name| !known.contains(name)).map(str::to_owned)
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

fn leaves(files: &Files, checkpoint: &Checkpoint, report: &mut Report) -> Leaves {
    let position = |name: &str| name.strip_prefix("proofs/")?.strip_suffix(".tlog-proof")?.parse::<u64>().ok();
    let names = files.keys().filter_map(|name| Some((position(name)?, name)));
    let proved = names.filter_map(|(position, name)| Some((position, proved(files, name, position, checkpoint, report)?)));
    proved.collect()
}

#[cfg(test)]
mod tests;
