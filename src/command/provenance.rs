//! `hearthgate provenance`: checking the signatures of a Provenance, offline.

use super::{FINDINGS, FINE, USAGE, complain, named};
use crate::clock::Clock;
use crate::definitions::Definitions;
use crate::fhir::{Node, json, xml};
use crate::sign::{Evidence, Freshness, PublicKey, Rechecked, read_keys, recheck};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far the clock of this machine may differ from a signer's.
const SKEW: Duration = Duration::from_secs(60);

#[derive(Subcommand)]
pub enum ProvenanceCommand {
    /// Checks every signature of a Provenance: the gateway's, and those of whoever else signed.
    Verify(VerifyArguments),
}

#[derive(Args)]
pub struct VerifyArguments {
    /// The Provenance, as the gateway gives it.
    file: PathBuf,
    /// A JWK or JWK set that is the gateway's (/.well-known/jwks.json): only by a key of it does a signature vouch for the Provenance itself. May be
    /// given several times.
    #[arg(long = "gateway-key", required_unless_present = "keys")]
    gateway_keys: Vec<PathBuf>,
    /// A JWK or JWK set to believe, as a submitter's. May be given several times; where no --gateway-key is given, the first is the gateway's.
    #[arg(long = "key")]
    keys: Vec<PathBuf>,
    /// A record that was signed: the version as stored, or as it was sent. May be given several times.
    #[arg(long = "record")]
    records: Vec<PathBuf>,
    /// The body as received, byte for byte, for signatures of requests.
    #[arg(long)]
    received: Option<PathBuf>,
}

pub fn run(command: &ProvenanceCommand) -> u8 {
    let ProvenanceCommand::Verify(arguments) = command;
    verify(arguments).unwrap_or_else(|text| complain(USAGE, text))
}

fn verify(arguments: &VerifyArguments) -> Result<u8, String> {
    let provenance = read_node(&arguments.file)?;
    if provenance.resource_type() != Some("Provenance") {
        return Err(format!("{} is not a Provenance", arguments.file.display()));
    }
    let (gateways, others) = key_files(arguments);
    let (gateway_keys, keys) = (read_key_files(gateways)?, read_key_files(others)?);
    let records = arguments.records.iter().map(|path| read_node(path)).collect::<Result<Vec<_>, _>>()?;
    let received = arguments.received.as_deref().map(read).transpose()?;
    let freshness = Freshness { now: Clock::system().now(), skew: SKEW, max_age: Duration::MAX };
    let evidence = Evidence { gateway_keys: &gateway_keys, keys: &keys, records: &records, received: received.as_deref(), freshness };
    let outcomes = recheck(&provenance, &evidence);
    for (number, (outcome, signature)) in outcomes.iter().zip(provenance.items("signature")).enumerate() {
        answer!("signature {} of {}: {}", number + 1, signature.text("when").unwrap_or("an unknown time"), told(outcome));
    }
    let lacking = lacking(arguments, &outcomes);
    lacking.iter().for_each(|text| answer!("{text}"));
    let all_hold = lacking.is_empty() && outcomes.iter().all(|outcome| matches!(outcome, Rechecked::Holds(_)));
    Ok(if all_hold { FINE } else { FINDINGS })
}

/// The files of the gateway's keys, and those of everybody else's.
fn key_files(arguments: &VerifyArguments) -> (&[PathBuf], &[PathBuf]) {
    if arguments.gateway_keys.is_empty() {
        arguments.keys.split_at(arguments.keys.len().min(1))
    } else {
        (&arguments.gateway_keys, &arguments.keys)
    }
}

fn read_key_files(files: &[PathBuf]) -> Result<Vec<PublicKey>, String> {
    let sets = files.iter().map(|path| read_node(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(sets.iter().flat_map(read_keys).collect())
}

/// What no signature that holds is over: the Provenance itself, or a record that was given.
fn lacking(arguments: &VerifyArguments, outcomes: &[Rechecked]) -> Vec<String> {
    if outcomes.is_empty() {
        return vec!["no signatures".to_owned()];
    }
    let covered = || {
        outcomes.iter().filter_map(|outcome| match outcome {
            Rechecked::Holds(covered) => Some(covered),
            _ => None,
        })
    };
    let itself = (!covered().any(|covered| covered.provenance)).then(|| {
        "not signed: no signature of the gateway's that holds is over this Provenance; of what and of whom it is, and when, it says on nobody's word"
            .to_owned()
    });
    let is_covered = |number: usize| covered().any(|covered| covered.records.contains(&number));
    let records = arguments.records.iter().enumerate().filter(|(number, _)| !is_covered(*number));
    itself.into_iter().chain(records.map(|(_, path)| format!("{}: no signature that holds is over it", path.display()))).collect()
}

fn told(outcome: &Rechecked) -> String {
    match outcome {
        Rechecked::Holds(covered) => format!("holds for {} (key {:?})", covered.what, covered.key_id),
        Rechecked::NotJudged => "is of a format that is not judged here".to_owned(),
        Rechecked::Fails(problem) => format!("is not proved. {problem}"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    named::bytes(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A resource as JSON, or as FHIR's XML where it begins like that.
fn read_node(path: &Path) -> Result<Node, String> {
    let bytes = read(path)?;
    let is_xml = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    let (form, read) = if is_xml {
        ("FHIR's XML", xml::parse(&bytes, json::DEFAULT_DEPTH, Definitions::embedded().types()))
    } else {
        ("JSON", json::parse(&bytes, json::DEFAULT_DEPTH))
    };
    read.map_err(|error| format!("{}: not {form} at byte {}", path.display(), error.offset))
}
