//! `hearthgate evidence` and `hearthgate erase`.

use super::ledger::{Reading, Source, Trust};
use super::{FAULT, FINDINGS, FINE, USAGE, complain};
use crate::anchor::{Erased, Leaf, LeafKeys};
use crate::audit::{Action, Opened};
use crate::clock::{Clock, Entropy, Instant};
use crate::config::Settings;
use crate::evidence::{Kept, MAX_ACCOUNTING_BYTES, MAX_PACKAGE_BYTES, Receipt, Report, Why, verify, verify_accounting};
use crate::ledger::index::{Branch, List, MemoryNodes, Tag, list_branch, root, root_of, update};
use crate::ledger::tile::TILE_WIDTH;
use crate::ledger::{Checkpoint, Hash, LedgerError, Note, Policy, fsck, reader};
use crate::outcome::Failure;
use crate::wire::Gateway;
use clap::{Args, Subcommand};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most of a receipt that is read; what is longer is none.
const MAX_RECEIPT_BYTES: u64 = 1 << 20;

const SECONDS_A_DAY: i64 = 24 * 3600;
/// Of an instant, the day.
const DAY_LETTERS: usize = 10;

#[derive(Subcommand)]
pub enum EvidenceCommand {
    /// Verifies an evidence package: needs the file and whom to believe, and nothing else.
    ///
    /// A package proves that its leaves are all there are under the tags it names. That the tags are those of the person or record, and not others
    /// under which there is little or nothing, only receipts can show that somebody else holds: whoever submitted records was given one for each
    /// (`GET /fhir/TYPE/ID/$receipt`). With --receipt the package must list their leaves.
    Verify {
        package: PathBuf,
        #[command(flatten)]
        trust: Trust,
        /// The checkpoint you kept from the last time: the package must show that the log still extends it.
        #[arg(long)]
        seen: Option<PathBuf>,
        /// A receipt of a record of this person, or of this record, as the gateway gave it to whoever submitted it. The package is refused when it
        /// does not list the receipt's leaf. May be given many times; each shows whose the tag of its thirty days is.
        #[arg(long = "receipt", value_name = "FILE")]
        receipts: Vec<PathBuf>,
        /// Looks at packages of older formats, too. Whoever makes a package chooses what it says it is, and the page of an older one cannot be
        /// compared with the files beside it: do not believe it.
        #[arg(long)]
        allow_old_formats: bool,
    },
    /// Verifies an accounting of disclosures as `GET /fhir/Patient/ID/$disclosures` gave it, in JSON: that its leaves are all there are of the patient
    /// since the month it begins with, that it tells of each that discloses or refuses, once and in order, and that what it tells is what the leaves
    /// commit to.
    Accounting {
        accounting: PathBuf,
        #[command(flatten)]
        trust: Trust,
        /// A receipt of a record of this person, as for `verify`.
        #[arg(long = "receipt", value_name = "FILE")]
        receipts: Vec<PathBuf>,
        /// Since when it was asked for, as a FHIR instant (`2020-01-01T00:00:00Z`): one that tells of less is refused. Whoever hands it on can leave out what
        /// is from before the time that its own link names.
        #[arg(long, value_name = "INSTANT")]
        since: Option<String>,
    },
    /// Builds the index over a log's leaves again and compares it with every root the log anchors.
    Index {
        /// The log's folder or URL.
        log: String,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        trust: Trust,
    },
}

/// `hearthgate erase`.
#[derive(Args)]
pub struct EraseArguments {
    /// The configuration of the gateway, which must be stopped.
    #[arg(long)]
    config: PathBuf,
    /// What to erase: `Patient/hg-…` with everything about them, or one record.
    reference: String,
    /// Erases also what is about other patients too.
    #[arg(long)]
    shared: bool,
}

pub fn run(command: &EvidenceCommand) -> u8 {
    let done = match command {
        EvidenceCommand::Verify { package, trust, seen, receipts, allow_old_formats } => {
            check(package, trust, seen.as_deref(), receipts, *allow_old_formats)
        }
        EvidenceCommand::Accounting { accounting, trust, receipts, since } => {
            check_accounting(accounting, trust, receipts, since.as_deref())
        }
        EvidenceCommand::Index { log, reading, trust } => index(log, reading, trust),
    };
    done.unwrap_or_else(|(status, text)| complain(status, text))
}

type Problem = (u8, String);

fn usage(path: &Path, error: impl std::fmt::Display) -> Problem {
    (USAGE, format!("{}: {error}", path.display()))
}

fn policy_of(trust: &Trust) -> Result<Policy, Problem> {
    trust.policy().map_err(|error| (USAGE, error))
}

fn check(package: &Path, trust: &Trust, seen: Option<&Path>, receipts: &[PathBuf], allows_old_formats: bool) -> Result<u8, Problem> {
    let policy = policy_of(trust)?;
    let seen = seen.map(|path| seen_checkpoint(path, &policy)).transpose()?;
    let receipts = receipts.iter().map(|path| read_receipt(path)).collect::<Result<Vec<_>, Problem>>()?;
    let bytes = read_up_to(package, MAX_PACKAGE_BYTES)?;
    let report = match verify(&bytes, &policy, &Kept { seen: seen.as_ref(), receipts: &receipts, allows_old_formats, ..Kept::default() }) {
        Ok(report) => report,
        Err(error) => return Ok(complain(FINDINGS, error)),
    };
    report.problems.iter().for_each(|problem| answer!("{problem}"));
    if !report.problems.is_empty() {
        answer!("{} problems: this package proves nothing", report.problems.len());
        return Ok(FINDINGS);
    }
    tell(&report);
    Ok(FINE)
}

/// A file, and one byte more than it may have where it has more.
fn read_up_to(path: &Path, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| usage(path, error))?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| (FAULT, format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

fn check_accounting(accounting: &Path, trust: &Trust, receipts: &[PathBuf], since: Option<&str>) -> Result<u8, Problem> {
    let policy = policy_of(trust)?;
    let no_instant = || (USAGE, "--since: this is no FHIR instant".to_owned());
    let asked_since = since.map(|since| Instant::from_fhir_instant(since).ok_or_else(no_instant)).transpose()?;
    let receipts = receipts.iter().map(|path| read_receipt(path)).collect::<Result<Vec<_>, Problem>>()?;
    let bytes = read_up_to(accounting, MAX_ACCOUNTING_BYTES)?;
    if bytes.len() > MAX_ACCOUNTING_BYTES {
        return Ok(complain(FINDINGS, format!("the accounting is larger than {MAX_ACCOUNTING_BYTES} bytes")));
    }
    let account = verify_accounting(&bytes, &policy, &Kept { receipts: &receipts, asked_since, ..Kept::default() });
    let report = &account.report;
    report.problems.iter().for_each(|problem| answer!("{problem}"));
    if !report.problems.is_empty() {
        answer!("{} problems: this accounting proves nothing", report.problems.len());
        return Ok(FINDINGS);
    }
    answer!("verified: the accounting of {} in {} at size {}", report.subject, report.origin, report.size);
    let begins = Instant::from_seconds(account.begins.saturating_mul(SECONDS_A_DAY)).to_fhir_instant();
    answer!(
        "complete: these {} leaves are all there are under the tags named, from {} on, among the first {}",
        report.leaves,
        begins.get(..DAY_LETTERS).unwrap_or(&begins),
        report.covers
    );
    tell_bound(report);
    let since = account.since.map_or_else(|| "the beginning".to_owned(), Instant::to_fhir_instant);
    answer!("told: {} disclosures and refusals, each there is since {since}", account.told);
    if account.untold > 0 {
        answer!("not told: {} more are from before that, or were erased", account.untold);
    }
    answer!("opened: {} entries are what their leaves commit to", account.opened);
    if account.shortened > 0 {
        answer!("shortened: {} entries are so too, but for what led to an erased person", account.shortened);
    }
    report.shortened.iter().for_each(|(erased, count)| answer!("{}", shortened(*erased, *count)));
    if account.unopened > 0 {
        answer!(
            "not proved: what {} entries say is the gateway's word, for they are from before leaves committed to it; the log proves their number, \
             their order and their kind",
            account.unopened
        );
    }
    Ok(FINE)
}

/// What a sound package shows, and what it does not.
fn tell(report: &Report) {
    let subject = &report.subject;
    answer!("verified: the trail of {subject} in {} at size {}", report.origin, report.size);
    let tagged = report.leaves - report.untagged.len();
    // Of a record whose owners nothing shows, all that is under the tags named may not be all.
    let complete = if report.owners.is_some() || subject.starts_with("Patient/") {
        "complete"
    } else {
        "complete under these tags, and not shown of others"
    };
    answer!("{complete}: these {tagged} leaves are all there are under the tags named, among the first {}", report.covers);
    tell_owners(report);
    tell_untagged(report);
    tell_bound(report);
    let cut = report.lacking.get(&Why::Shortened).copied().unwrap_or_default();
    answer!("opened: {} documents are what their leaves commit to; {} leaves stay closed", report.opened, report.closed - cut);
    for (why, count) in &report.lacking {
        answer!("{}", lacking(*why, *count));
    }
    if report.untold > 0 {
        answer!(
            "missing: {} records of what was done, or consents that they name, are not in the package, which is of a format that does not say why",
            report.untold
        );
    }
    report.shortened.iter().for_each(|(erased, count)| answer!("{}", shortened(*erased, *count)));
    for (erased, count) in &report.erased {
        answer!("{}", gone(*erased, *count));
    }
    if report.erased_versions > 0 {
        answer!("erased: {} earlier versions, which a later leaf says were erased", report.erased_versions);
    }
    answer!("provenance: {} are what their versions' leaves commit to; {} consents are in the log", report.provenances, report.consents);
    if report.unnamed > 0 {
        answer!(
            "provenance, shortened: {} more lost what led to an erased person, as later leaves that erase say, each by name",
            report.unnamed
        );
    }
    if report.unproved > 0 {
        answer!("unproved: {} Provenances are of versions from before leaves committed to them", report.unproved);
    }
    if report.is_page_compared {
        answer!("page: index.html says what the files beside it say");
    } else {
        answer!("page: index.html was not compared; packages of this format have a page that says more than the files beside it");
    }
    answer!("policy: the package's own was not used, and nothing proves what it says; believed was whom you named");
    if let Some(size) = report.extends {
        answer!("consistent: the log extends its state at size {size}");
    }
}

/// Whether it was shown that no owner of a record is left out with all that is under their tags.
fn tell_owners(report: &Report) {
    match report.owners {
        _ if report.subject.starts_with("Patient/") => {}
        Some(owners) => answer!("owners: the tags are those of {owners}, and the records of the export say that there are no more"),
        None => answer!(
            "owners: not shown; an older gateway exported this, which did not say under how many owners' tags the record is: all that is under the \
             tags of another may be left out"
        ),
    }
}

/// What is told beside the proof that these are all.
fn tell_untagged(report: &Report) {
    if !report.untagged.is_empty() {
        answer!(
            "beside: {} leaves are under none of the tags: of versions from before there were tags for records that are nobody's, or of what was done \
             with several such records at once; they are in the log, and nothing shows that these are all",
            report.untagged.len()
        );
    }
    if report.left_out > 0 {
        answer!(
            "beside, left out: {} more of what was done with several such records at once, out of which the package says what led to an erased person \
             was taken",
            report.left_out
        );
    }
    if let Some(first) = report.tagged_from {
        answer!(
            "complete from leaf {first} on: before it nothing shows that these are all; the versions follow each other by their numbers"
        );
    }
}

/// What leaves stand for nothing any more.
fn gone(erased: Erased, count: usize) -> String {
    match erased {
        Erased::Named => format!("erased: what {count} leaves stood for, each of which the leaf that says so names"),
        Erased::Unnamed => format!("erased: what {count} leaves stood for; the leaves that say so are of older gateways, and name nothing"),
    }
}

/// What bears out that records of what was done were shortened.
fn shortened(erased: Erased, count: usize) -> String {
    match erased {
        Erased::Named => format!("named: {count} of the shortened, each of which a later leaf that erases names"),
        Erased::Unnamed => format!("not named: {count} of the shortened; older gateways wrote them, and something was erased after them"),
    }
}

/// What the package says it lacks: its maker's word, as far as the log does not bear it out.
fn lacking(why: Why, count: usize) -> String {
    match why {
        Why::Withheld => {
            format!("withheld: {count} consents that records of disclosures name, which the package says the reader may not see")
        }
        Why::Erased => format!(
            "erased: {count} consents that records of disclosures name, which the package says were erased; the log says that something was"
        ),
        Why::Shortened => {
            format!("shortened: {count} records of what was done, out of which the package says what led to an erased person was taken")
        }
    }
}

/// Whether it was shown whose the tags are.
fn tell_bound(report: &Report) {
    let subject = &report.subject;
    if report.beside > 0 {
        answer!(
            "beside: {} receipts are of another patient of a record in the list, and show nothing of whose the tags are",
            report.beside
        );
    }
    match (report.receipts, report.bound.len(), report.tags) {
        (0, ..) => {
            answer!("not bound: nothing here shows that the tags are those of {subject}; receipts that others hold do (--receipt FILE)")
        }
        (receipts, bound, tags) if bound < tags => answer!(
            "bound in part: receipts in the list: {receipts}; they show that {bound} of the {tags} tags are those of {subject}; there is one for \
             every thirty days, and nothing here shows whose the others are"
        ),
        (receipts, _, tags) => answer!("bound: receipts in the list: {receipts}; they show that all {tags} tags are those of {subject}"),
    }
}

fn read_receipt(path: &Path) -> Result<Receipt, Problem> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| usage(path, error))?;
    file.take(MAX_RECEIPT_BYTES).read_to_string(&mut text).map_err(|error| usage(path, error))?;
    Ok(Receipt { name: path.display().to_string(), text })
}

fn seen_checkpoint(path: &Path, policy: &Policy) -> Result<Checkpoint, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| usage(path, error))?;
    let note: Note = text.parse().map_err(|error| usage(path, error))?;
    policy.accept(&note).map(|accepted| accepted.checkpoint().clone()).map_err(|error| usage(path, error))
}

/// Everything the index is made of is in the leaves: this makes it from them alone.
fn index(place: &str, reading: &Reading, trust: &Trust) -> Result<u8, Problem> {
    let policy = policy_of(trust)?;
    let keys = reading.keys().map_err(|error| (USAGE, error))?;
    if !Source::is_log(place) {
        return Err((USAGE, format!("{place}: there is no such folder, and it is no URL")));
    }
    let log = Source::open(place).map_err(|error| (USAGE, error))?;
    let checked = fsck::fsck(&log, &policy, &mut |_| ());
    let leaves = match checked {
        Ok(report) if report.problems.is_empty() => report.leaves,
        Ok(report) => return Ok(complain(FINDINGS, format!("the log itself has {} problems; see ledger fsck", report.problems.len()))),
        Err(error) => return Ok(complain(FINDINGS, error)),
    };
    let mut replay = Replay { keys, ..Replay::default() };
    let width = u64::from(TILE_WIDTH);
    for bundle in 0..leaves.div_ceil(width) {
        let count = (leaves - bundle * width).min(width);
        let entries =
            reader::read_entries(&log, bundle, u16::try_from(count).unwrap_or(TILE_WIDTH)).map_err(|error| (FAULT, error.to_string()))?;
        let entries = entries.ok_or_else(|| (FAULT, format!("entry bundle {bundle} is missing")))?;
        for (position, entry) in (bundle * width..).zip(entries) {
            replay.take(position, &entry).map_err(|error| (FAULT, error.to_string()))?;
        }
    }
    if replay.closed > 0 {
        let sealed = replay.closed;
        return Err((USAGE, format!("{sealed} of {leaves} leaves are sealed: --leaf-key FILE opens them (hearthgate ledger leaf-key)")));
    }
    // Grown step by step and built from nothing, the index must come to the same.
    replay.settle().map_err(|error| (FAULT, error.to_string()))?;
    if root_of(&replay.lists) != root(replay.top.as_ref()) {
        replay.problems.push("the two ways to build the index disagree".to_owned());
    }
    replay.problems.iter().for_each(|problem| answer!("{problem}"));
    let Replay { lists, anchored, problems, .. } = replay;
    answer!("{leaves} leaves under {} tags, {anchored} anchored roots, {} problems", lists.len(), problems.len());
    Ok(if problems.is_empty() { FINE } else { FINDINGS })
}

/// An index made of leaves as they come.
#[derive(Default)]
struct Replay {
    keys: Option<LeafKeys>,
    /// Leaves that are sealed, where there is no key.
    closed: u64,
    lists: BTreeMap<Tag, List>,
    touched: BTreeSet<Tag>,
    top: Option<Branch>,
    nodes: MemoryNodes,
    anchored: u64,
    problems: Vec<String>,
}

impl Replay {
    fn take(&mut self, position: u64, entry: &[u8]) -> Result<(), LedgerError> {
        let Some(leaf) = Leaf::decode(entry) else { return Ok(()) };
        self.closed += u64::from(leaf.is_closed && self.keys.is_none());
        let Some(leaf) = self.keys.map_or(Some(leaf), |keys| keys.read(entry)) else {
            self.problems.push(format!("leaf {position}: the key of leaves does not open it"));
            return Ok(());
        };
        if let Some((anchored_root, covers)) = leaf.anchored_index() {
            self.anchored += 1;
            self.settle()?;
            if covers != position || root(self.top.as_ref()) != Hash(anchored_root) {
                self.problems.push(format!("leaf {position}: the index it anchors is not the one the leaves make"));
            }
        }
        for (tag, counter) in leaf.counted() {
            let list = self.lists.entry(tag).or_default();
            list.push(position);
            self.touched.insert(tag);
            if list.len() != counter {
                self.problems.push(format!("leaf {position}: its counter does not follow"));
            }
        }
        Ok(())
    }

    /// Puts the lists that changed into the tree.
    fn settle(&mut self) -> Result<(), LedgerError> {
        let touched = std::mem::take(&mut self.touched);
        let changed: Vec<Branch> = touched.iter().filter_map(|tag| Some(list_branch(*tag, self.lists.get(tag)?))).collect();
        self.top = update(self.top, &changed, &mut self.nodes)?;
        Ok(())
    }
}

/// Erases with the gateway stopped; the data folder's lock sees to that.
pub fn erase(arguments: &EraseArguments) -> u8 {
    let Some((type_name, id)) = arguments.reference.split_once('/') else {
        return complain(USAGE, "name what to erase as Type/id");
    };
    let settings = match Settings::load(&arguments.config) {
        Ok(settings) => settings,
        Err(error) => return complain(USAGE, error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    runtime.block_on(async {
        let clock = Clock::system();
        let (trail, store) = match Gateway::build(settings, clock.clone(), Entropy::system()) {
            Ok(gateway) => gateway.into_trail(),
            Err(fault) => return complain(FAULT, fault),
        };
        let opened = Opened {
            interaction: "erase",
            action: Action::Delete,
            request_id: "command-line".to_owned(),
            at: clock.now(),
            peer: "console".to_owned(),
            caller: None,
            query: None,
        };
        let outcome = trail.carry_out(type_name, id, arguments.shared, &opened).await;
        store.close().await;
        match outcome {
            Ok(erased) => {
                answer!(
                    "erased {} resource(s) for good, and {} version(s) of what is others' now; {} record(s) of others no longer lead to them",
                    erased.resources, erased.versions, erased.rewritten
                );
                FINE
            }
            Err(Failure::Refused(refusal)) => {
                complain(FINDINGS, refusal.findings.first().map_or("refused", |finding| finding.text.as_str()))
            }
            Err(Failure::Fault(fault)) => complain(FAULT, fault),
        }
    })
}
