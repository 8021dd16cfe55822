//! `hearthgate ledger`: everything offline, on files.

use super::{FAULT, FINDINGS, FINE, USAGE, complain};
use crate::anchor::{Subject, verify_receipt};
use crate::ledger::{Folder, Policy, VerifierKey, fsck, reader};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Leaves between two lines of progress: whole tiles, and a line a second or so.
const PROGRESS_EVERY: u64 = 1 << 18;

#[derive(Subcommand)]
pub enum LedgerCommand {
    /// Verifies a receipt, and that a record is the one it is for.
    Verify {
        /// The receipt (a .tlog-proof file).
        receipt: PathBuf,
        /// The record: the bytes as sent, or the resource as the gateway stores it.
        #[arg(long)]
        record: Option<PathBuf>,
        #[command(flatten)]
        trust: Trust,
    },
    /// Recomputes a log from its entries and compares every tile and the checkpoint.
    Fsck {
        folder: PathBuf,
        #[command(flatten)]
        trust: Trust,
    },
    /// Makes the proof for an entry of a log.
    Prove {
        folder: PathBuf,
        index: u64,
        #[command(flatten)]
        trust: Trust,
    },
    /// Checks a policy file and prints the logs it believes.
    Policy { file: PathBuf },
}

/// Whom to believe.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Trust {
    /// The log's verifier key: the key itself, or a file that holds it.
    #[arg(long)]
    key: Option<String>,
    /// A policy file (c2sp.org/tlog-policy).
    #[arg(long)]
    policy: Option<PathBuf>,
}

impl Trust {
    fn policy(&self) -> Result<Policy, String> {
        match (&self.key, &self.policy) {
            (_, Some(file)) => read_policy(file),
            (Some(key), None) => {
                let text = if key.contains('+') {
                    key.clone()
                } else {
                    std::fs::read_to_string(key).map_err(|error| format!("{key}: {error}"))?
                };
                let key: VerifierKey = text.trim().parse().map_err(|error| format!("the key cannot be used: {error}"))?;
                Ok(Policy::of_log(key))
            }
            (None, None) => Err("give --key or --policy".to_owned()),
        }
    }
}

fn read_policy(file: &Path) -> Result<Policy, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Policy::parse(&bytes).map_err(|error| format!("{}: {error}", file.display()))
}

pub fn run(command: &LedgerCommand) -> u8 {
    let done = match command {
        LedgerCommand::Verify { receipt, record, trust } => verify(receipt, record.as_deref(), trust),
        LedgerCommand::Fsck { folder, trust } => check(folder, trust),
        LedgerCommand::Prove { folder, index, trust } => prove(folder, *index, trust),
        LedgerCommand::Policy { file } => policy(file),
    };
    done.unwrap_or_else(|text| complain(USAGE, text))
}

fn verify(receipt: &Path, record: Option<&Path>, trust: &Trust) -> Result<u8, String> {
    let policy = trust.policy()?;
    let text = std::fs::read_to_string(receipt).map_err(|error| format!("{}: {error}", receipt.display()))?;
    let record = record.map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))).transpose()?;
    match verify_receipt(&text, &policy, record.as_deref()) {
        Ok(receipt) => {
            println!(
                "verified: {} is leaf {} ({}) of {} at size {}",
                receipt.target,
                receipt.index,
                receipt.kind.label(),
                receipt.origin,
                receipt.size
            );
            match receipt.subject {
                Some(Subject::Received) => println!("record: byte for byte what the gateway received"),
                Some(Subject::Stored) => println!("record: the version the gateway stored, in canonical form"),
                None => {}
            }
            Ok(FINE)
        }
        Err(error) => Ok(complain(FINDINGS, error)),
    }
}

fn check(folder: &Path, trust: &Trust) -> Result<u8, String> {
    let policy = trust.policy()?;
    match fsck::fsck(&Folder::new(folder), &policy, &mut progress) {
        Ok(report) => {
            for problem in &report.problems {
                println!("{problem}");
            }
            println!("{} leaves, {} problems", report.leaves, report.problems.len());
            Ok(if report.problems.is_empty() { FINE } else { FINDINGS })
        }
        Err(error) => Ok(complain(FINDINGS, error)),
    }
}

/// Says now and then how far the check has come.
fn progress(leaves: u64) {
    if leaves.is_multiple_of(PROGRESS_EVERY) {
        eprintln!("{leaves} leaves");
    }
}

fn prove(folder: &Path, index: u64, trust: &Trust) -> Result<u8, String> {
    match reader::prove(&Folder::new(folder), index, &trust.policy()?) {
        Ok((proof, _)) => {
            print!("{proof}");
            Ok(FINE)
        }
        Err(error) => Ok(complain(FAULT, error)),
    }
}

fn policy(file: &Path) -> Result<u8, String> {
    let policy = read_policy(file)?;
    for log in policy.logs() {
        println!("log {}", log.key);
    }
    Ok(FINE)
}
