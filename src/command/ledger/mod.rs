//! `hearthgate ledger`: checking logs, wherever they lie, with nothing but files; and what an operator does to a log at rest.

mod bench;
mod rows;
mod source;

use super::{FAULT, FINDINGS, FINE, USAGE, complain};
use crate::anchor::{LeafKeys, ReceiptError, Subject, verify_entry, verify_receipt};
use crate::clock::Entropy;
use crate::config::Settings;
use crate::consent::is_marked_redacted;
use crate::fhir::json;
use crate::ledger::history::MAX_HISTORY_BYTES;
use crate::ledger::policy::{Party, Role};
use crate::ledger::{Checkpoint, KeyHistory, LedgerError, Note, Policy, fsck, reader};
use crate::outcome::{Fault, FaultKind};
use crate::store::{KnownTrees, inspect, is_of_gateway, leaf_secret};
use crate::wire;
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
pub(super) use source::Source;
use std::path::{Path, PathBuf};

/// Leaves between two lines of progress: whole tiles, and a line a second or so.
const PROGRESS_EVERY: u64 = 1 << 18;

#[derive(Subcommand)]
pub enum LedgerCommand {
    /// Verifies a receipt and that a record is the one it is for; or the newest checkpoint of a log in a folder or behind a URL.
    Verify {
        /// The receipt (a .tlog-proof file), or the log's folder or URL.
        what: String,
        /// The record: the bytes as sent, or the resource as the gateway stores it.
        #[arg(long)]
        record: Option<PathBuf>,
        /// A checkpoint of the log seen earlier, which it must still extend.
        #[arg(long)]
        since: Option<PathBuf>,
        #[command(flatten)]
        trust: Trust,
    },
    /// Recomputes a log from its entries and compares every tile and the checkpoint.
    Fsck {
        /// The log's folder or URL.
        log: String,
        /// The gateway's data folder: its counters and index are compared with its leaves, and these with the log and with what was signed last. Its rows
        /// are compared with what the leaves stand for, and with their seals where keys/gateway.key is there; its search index with the rows.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Where the gateway's keys lie, if not in the folder `keys` of its data.
        #[arg(long, requires = "data")]
        keys: Option<PathBuf>,
        /// The key that opens these, if it is not `gateway.key` beside them.
        #[arg(long, requires = "data")]
        gateway_key: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        trust: Trust,
    },
    /// Makes the proof for an entry of a log.
    Prove {
        /// The log's folder or URL.
        log: String,
        index: u64,
        #[command(flatten)]
        trust: Trust,
    },
    /// Prints the key by which the leaves of a gateway can be read: of whom each is, by tags, and what was done. It is for whoever builds the log's index
    /// again, and for nobody who must not tell what was kept from them.
    LeafKey {
        /// The gateway's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Checks a policy file and prints whom it believes and asks for.
    Policy { file: PathBuf },
    /// Measures appending, proving and checking on a log of its own.
    Bench(bench::BenchArguments),
    /// Draws a new signing key, signed by the old one. The gateway must be stopped.
    Rotate {
        /// The gateway's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Makes the counters under the log's tags, and its index, anew from its leaves. The gateway must be stopped.
    Recount {
        /// The gateway's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Takes data whose register was lost for the newest there is. The gateway must be stopped.
    Adopt {
        /// The gateway's configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

/// What the leaves are read with.
#[derive(Args)]
pub struct Reading {
    /// A file with the key of leaves (`hearthgate ledger leaf-key`), without which nobody tells under which tags they are.
    #[arg(long)]
    leaf_key: Option<PathBuf>,
}

/// The most of a key file that is read; what is longer is none.
const MAX_KEY_BYTES: u64 = 1024;

impl Reading {
    pub(super) fn keys(&self) -> Result<Option<LeafKeys>, String> {
        self.leaf_key.as_deref().map(|path| key_in(path).map(LeafKeys::new)).transpose()
    }
}

/// The key that a file holds.
fn key_in(path: &Path) -> Result<[u8; 32], String> {
    let text = crate::config::read_bounded(path, MAX_KEY_BYTES)?;
    let key = HEXLOWER.decode(text.trim().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| format!("{}: is not 32 bytes in hexadecimal", path.display()))
}

/// Where a gateway's data and keys lie.
pub(super) struct At {
    pub data: PathBuf,
    pub keys: PathBuf,
    gateway_key: PathBuf,
}

impl At {
    fn of(data: &Path, keys: Option<&Path>, gateway_key: Option<&Path>) -> At {
        let keys = keys.map_or_else(|| data.join("keys"), Path::to_owned);
        At { data: data.to_owned(), gateway_key: gateway_key.map_or_else(|| keys.join("gateway.key"), Path::to_owned), keys }
    }

    /// The gateway's key, where it is there. Data may be looked at apart from its keys.
    fn gateway_key(&self) -> Result<Option<[u8; 32]>, String> {
        self.gateway_key.exists().then(|| key_in(&self.gateway_key)).transpose()
    }
}

/// Whom to believe.
#[derive(Args)]
pub struct Trust {
    /// The log's verifier key: the key itself, or a file that holds it, with its second key on the next line where that must have signed too.
    #[arg(long, required_unless_present = "policy", conflicts_with = "policy")]
    key: Option<String>,
    /// A policy file (c2sp.org/tlog-policy).
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The log's key history, for what other keys of it signed in their time.
    #[arg(long)]
    history: Option<PathBuf>,
}

impl Trust {
    /// What the reader believes, with what other keys of the log signed in their time.
    pub(super) fn policy(&self) -> Result<Policy, String> {
        let policy = match (&self.key, &self.policy) {
            (_, Some(file)) => read_policy(file)?,
            (Some(key), None) => {
                let text = if key.contains('+') { key.clone() } else { read_text(Path::new(key), MAX_HISTORY_BYTES)? };
                Policy::of_keys(&text).map_err(|error| format!("the key cannot be used: {error}"))?
            }
            (None, None) => return Err("give --key or --policy".to_owned()),
        };
        let Some(file) = &self.history else { return Ok(policy) };
        let history: KeyHistory =
            read_text(file, MAX_HISTORY_BYTES)?.parse().map_err(|error: LedgerError| format!("{}: {error}", file.display()))?;
        Ok(policy.with_history(&history))
    }
}

fn read_policy(file: &Path) -> Result<Policy, String> {
    let bytes = read_text(file, crate::ledger::policy::MAX_POLICY_BYTES)?;
    Policy::parse(bytes.as_bytes()).map_err(|error| format!("{}: {error}", file.display()))
}

fn read_text(file: &Path, max_bytes: usize) -> Result<String, String> {
    crate::config::read_bounded(file, max_bytes as u64)
}

pub fn run(command: &LedgerCommand) -> u8 {
    let done = match command {
        LedgerCommand::Verify { what, record: None, since, trust } if Source::is_log(what) => verify_log(what, since.as_deref(), trust),
        LedgerCommand::Verify { what, record, trust, .. } => verify(Path::new(what), record.as_deref(), trust),
        LedgerCommand::Fsck { log, data, keys, gateway_key, reading, trust } => {
            let of = |data: &PathBuf| At::of(data, keys.as_deref(), gateway_key.as_deref());
            check(log, data.as_ref().map(of).as_ref(), reading, trust)
        }
        LedgerCommand::LeafKey { config } => leaf_key(config),
        LedgerCommand::Prove { log, index, trust } => prove(log, *index, trust),
        LedgerCommand::Policy { file } => policy(file),
        LedgerCommand::Bench(arguments) => done(bench::bench(arguments), |()| ()),
        LedgerCommand::Rotate { config } => rotate(config),
        LedgerCommand::Recount { config } => recount(config),
        LedgerCommand::Adopt { config } => adopt(config),
    };
    done.unwrap_or_else(|text| complain(USAGE, text))
}

fn verify(receipt: &Path, record: Option<&Path>, trust: &Trust) -> Result<u8, String> {
    let policy = trust.policy()?;
    let text = read_text(receipt, crate::ledger::proof::MAX_PROOF_BYTES)?;
    let record = record.map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))).transpose()?;
    match verify_entry(&text, &policy, record.as_deref()) {
        Ok(Some(entry)) => {
            answer!("verified: the entry is leaf {} of {} at size {}", entry.index, entry.origin, entry.size);
            answer!("nothing is opened: the proof carries no opening, and says nothing of what the entry stands for");
            return Ok(FINE);
        }
        Ok(None) => {}
        Err(error) => return Ok(complain(FINDINGS, error)),
    }
    match verify_receipt(&text, &policy, record.as_deref()) {
        Ok(receipt) => {
            let leaf = format!("leaf {} ({}) of {} at size {}", receipt.index, receipt.kind.label(), receipt.origin, receipt.size);
            let target = receipt.target.escape_debug();
            match receipt.subject {
                // What is stored says itself which version of which record it is.
                Some(Subject::Stored) => match names_of(record.as_deref()) {
                    Some(names) if names.contains(&receipt.target) => answer!("verified: {target} is {leaf}"),
                    _ => return Ok(complain(FINDINGS, format!("the record given is not {target}, which the receipt says it is"))),
                },
                _ => answer!("verified: {leaf}; it says itself that it stands for {target}, which nothing here proves"),
            }
            match receipt.subject {
                Some(Subject::Received) => answer!("record: byte for byte what the gateway received"),
                Some(Subject::Stored) => answer!("record: the version the gateway stored, in canonical form"),
                None => {}
            }
            Ok(FINE)
        }
        Err(ReceiptError::OtherRecord) if record.as_deref().is_some_and(is_redacted) => Ok(complain(
            FINDINGS,
            "the record given is labelled REDACTED: something was taken out of it, as of what led to a person who was erased, and this receipt is of \
             what it was before. Whether anything else of it was changed cannot be told by a receipt; an evidence package shows which erasure names it",
        )),
        Err(error) => Ok(complain(FINDINGS, error)),
    }
}

/// Whether a record says itself that something was taken out of it.
fn is_redacted(record: &[u8]) -> bool {
    json::parse(record, json::DEFAULT_DEPTH).is_ok_and(|record| is_marked_redacted(&record))
}

/// What a record is called by itself: with its version, and where it is of what was done without.
fn names_of(record: Option<&[u8]>) -> Option<Vec<String>> {
    let record = json::parse(record?, json::DEFAULT_DEPTH).ok()?;
    let name = format!("{}/{}", record.resource_type()?, record.text("id")?);
    let version = record.text_at(&["meta", "versionId"]).unwrap_or("1");
    let is_of_what_was_done = record.resource_type() == Some("AuditEvent");
    Some(std::iter::once(format!("{name}/_history/{version}")).chain(is_of_what_was_done.then_some(name)).collect())
}

/// Verifies the newest checkpoint of a log, its right edge, and that it extends an older one.
fn verify_log(place: &str, since: Option<&Path>, trust: &Trust) -> Result<u8, String> {
    let (policy, source) = (trust.policy()?, Source::open(place)?);
    let accepted = match reader::verify(&source, &policy) {
        Ok((accepted, _)) => accepted,
        Err(error) => return Ok(complain(status_of(&error), error)),
    };
    let checkpoint = accepted.checkpoint();
    answer!("verified: {} at size {}, root {}", checkpoint.origin, checkpoint.size, checkpoint.root);
    for signature in accepted.signatures() {
        match signature.timestamp_seconds {
            Some(seconds) if seconds > 0 => answer!("signed by {} at {seconds}", signature.key.name()),
            _ => answer!("signed by {}", signature.key.name()),
        }
    }
    let Some(file) = since else { return Ok(FINE) };
    let old = seen_before(file, &policy)?;
    if old.size > checkpoint.size {
        let (seen, shown) = (old.size, checkpoint.size);
        return Ok(complain(
            FINDINGS,
            format!("the log shows less than was seen ({seen} > {shown}): what is read here is behind, or the log was rolled back"),
        ));
    }
    match extends(&source, &old, &policy) {
        Ok(()) => {
            answer!("consistent: it extends the {} leaves seen before", old.size);
            Ok(FINE)
        }
        Err(error) => Ok(complain(status_of(&error), format!("SPLIT VIEW: the log does not extend what was seen before: {error}"))),
    }
}

/// An older checkpoint, which must have been signed as well as the newest: nothing else says that the log ever showed it.
fn seen_before(file: &Path, policy: &Policy) -> Result<Checkpoint, String> {
    let text = read_text(file, crate::ledger::note::MAX_NOTE_BYTES)?;
    let note: Note = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    let accepted = policy.accept(&note).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(accepted.checkpoint().clone())
}

fn extends(source: &Source, old: &Checkpoint, policy: &Policy) -> Result<(), LedgerError> {
    // A tree without leaves is extended by every other.
    if old.size == 0 { Ok(()) } else { reader::prove_consistency(source, old, policy).map(drop) }
}

/// Storage that fails is a fault; anything else is a finding about the log.
fn status_of(error: &LedgerError) -> u8 {
    if matches!(error, LedgerError::Storage { .. }) { FAULT } else { FINDINGS }
}

fn check(place: &str, data: Option<&At>, reading: &Reading, trust: &Trust) -> Result<u8, String> {
    let (policy, source) = (trust.policy()?, Source::open(place)?);
    let (published, checkpoint) = match fsck::fsck(&source, &policy, &mut progress) {
        Ok(report) => {
            report.strays.iter().for_each(|path| answer!("{path} is no file of a log; nothing was checked of it"));
            (found("", report.leaves, &report.problems), report.checkpoint)
        }
        Err(error) => (complain(status_of(&error), error), None),
    };
    let kept = data.map_or(Ok(FINE), |at| check_data(at, checkpoint.as_ref(), reading, &policy))?;
    Ok(published.max(kept))
}

/// Compares what is made of the leaves in the data with them, and the leaves with what was published and signed.
fn check_data(at: &At, published: Option<&Checkpoint>, reading: &Reading, policy: &Policy) -> Result<u8, String> {
    let gateway = at.gateway_key()?;
    // Read with another gateway's key, leaves would say what they do not.
    let own = gateway.filter(|gateway| is_of_gateway(&at.data, gateway).unwrap_or(false));
    let given = reading.keys()?;
    if let Some(keys) = &given
        && !rows::opens_leaves(&at.data, keys)
    {
        return Ok(complain(FINDINGS, "--leaf-key opens no leaf of this data: it is another gateway's. Nothing was checked of the data."));
    }
    let keys = given.or_else(|| own.map(|gateway| LeafKeys::new(leaf_secret(&gateway))));
    // It is signed by the log and not yet cosigned.
    let policy = policy.clone().without_quorum();
    let opened = |note: &str| {
        let failed = |error: &dyn std::fmt::Display| Fault::new(FaultKind::Ledger, format!("the checkpoint in data.db: {error}"));
        let note: Note = note.parse().map_err(|error| failed(&error))?;
        policy.accept(&note).map(|accepted| accepted.checkpoint().clone()).map_err(|error| failed(&error))
    };
    let register = at.keys.join("signed-tree");
    let Some(form) = keys else {
        answer!("counters and index: not checked, for the key of leaves is not there: neither the gateway's nor --leaf-key");
        return Ok(rows::check(at, gateway.as_ref(), None));
    };
    let counted = match inspect(&at.data, &KnownTrees { published, register: &register }, opened, &form) {
        Ok(report) => found(&format!("counters and index: {} tags of ", report.tags), report.leaves, &report.problems),
        Err(fault) if fault.kind == FaultKind::Ledger => complain(FINDINGS, fault),
        Err(fault) => complain(FAULT, fault),
    };
    Ok(counted.max(rows::check(at, gateway.as_ref(), keys)))
}

fn found(what: &str, leaves: u64, problems: &[impl std::fmt::Display]) -> u8 {
    problems.iter().for_each(|problem| answer!("{problem}"));
    answer!("{what}{leaves} leaves, {} problems", problems.len());
    if problems.is_empty() { FINE } else { FINDINGS }
}

/// Says now and then how far the check has come.
fn progress(leaves: u64) {
    if leaves.is_multiple_of(PROGRESS_EVERY) {
        remark!("{leaves} leaves");
    }
}

fn prove(place: &str, index: u64, trust: &Trust) -> Result<u8, String> {
    match reader::prove(&Source::open(place)?, index, &trust.policy()?) {
        Ok((proof, _)) => {
            answer_part!("{proof}");
            Ok(FINE)
        }
        Err(error) => Ok(complain(status_of(&error), error)),
    }
}

fn policy(file: &Path) -> Result<u8, String> {
    let policy = read_policy(file)?;
    for log in policy.logs() {
        answer!("log {}{}", log.key, log.url.as_ref().map(|url| format!(" {url}")).unwrap_or_default());
    }
    let name = |party: &Party| String::from_utf8_lossy(&party.name).into_owned();
    for party in policy.parties() {
        match &party.role {
            Role::Witness { key, url } => {
                answer!("witness {} {key}{}", name(party), url.as_ref().map(|url| format!(" {url}")).unwrap_or_default());
            }
            Role::Group { threshold, members } => {
                let members: Vec<String> = members.iter().filter_map(|member| policy.parties().get(*member)).map(name).collect();
                answer!("group {} {threshold} of {}", name(party), members.join(" "));
            }
        }
    }
    answer!("quorum {}", policy.quorum().map_or_else(|| "none".to_owned(), name));
    Ok(FINE)
}

fn rotate(config: &Path) -> Result<u8, String> {
    let settings = Settings::load(config).map_err(|error| error.to_string())?;
    done(wire::rotate_ledger_key(&settings, &Entropy::system()), |history| {
        answer!("the log is now signed by {}", history.current());
    })
}

fn recount(config: &Path) -> Result<u8, String> {
    let settings = Settings::load(config).map_err(|error| error.to_string())?;
    done(wire::recount_ledger(&settings, &Entropy::system()), |made| {
        answer!("counted {} tags in {} leaves; the index is made anew when it is wanted", made.tags, made.leaves);
    })
}

fn leaf_key(config: &Path) -> Result<u8, String> {
    let settings = Settings::load(config).map_err(|error| error.to_string())?;
    done(wire::leaf_secret_of(&settings), |secret| answer!("{}", HEXLOWER.encode(&secret)))
}

fn adopt(config: &Path) -> Result<u8, String> {
    let settings = Settings::load(config).map_err(|error| error.to_string())?;
    done(wire::adopt_ledger(&settings, &Entropy::system()), |size| answer!("the log goes on from {size} leaves"))
}

fn done<T>(outcome: Result<T, Fault>, say: impl FnOnce(T)) -> Result<u8, String> {
    match outcome {
        Ok(value) => {
            say(value);
            Ok(FINE)
        }
        Err(fault) if fault.kind == FaultKind::Ledger => Ok(complain(FINDINGS, fault)),
        Err(fault) => Ok(complain(FAULT, fault)),
    }
}
