//! The command line: what people type, turned into calls of the rooms.
//!
//! Exit status: 0 fine, 1 findings, 2 usage or configuration, 3 fault. Answers go to standard output, progress and complaints to standard error.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic where nobody listens; `said` does not")]

#[macro_use]
mod said;

mod bench;
mod demo;
mod desk;
mod evidence;
mod fetch;
mod ledger;
mod named;
mod neighbours;
mod normalise;
mod package;
mod provenance;
mod serve;
mod tools;
mod validation;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Everything is fine.
pub const FINE: u8 = 0;
/// The answer is findings: a resource is invalid, a proof does not hold.
pub const FINDINGS: u8 = 1;
/// The command or the configuration is wrong.
pub const USAGE: u8 = 2;
/// The gateway failed.
pub const FAULT: u8 = 3;

#[derive(Parser)]
#[command(name = "hearthgate", version, about = "A FHIR interoperability gateway")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the gateway; without a configuration, an embedded one in ./hearthgate-data on loopback.
    Serve(serve::ServeArguments),
    /// Tells a story in the terminal: two hospitals, a laboratory and a regulator around a gateway, on this machine.
    Demo(demo::DemoArguments),
    /// Runs the server of the story's hospital B alone, as a holder of records to try the gateway out with.
    DemoHospital(demo::HospitalArguments),
    /// Checks a configuration and prints the effective settings, secrets withheld.
    Check { file: PathBuf },
    /// Evaluates a FHIRPath expression on a resource, or requests from standard input with --batch.
    Fhirpath(tools::FhirpathArguments),
    /// Validates resources against R4, the profiles they claim and those asked for.
    Validate(validation::ValidateArguments),
    /// Shows what normalisation makes of a source's resources; `replay` does so over what a running gateway has stored.
    Normalise(normalise::NormaliseCommand),
    /// The work lists of a running gateway, and who is who.
    Work(desk::WorkArguments),
    /// Has a running gateway read its configuration again.
    Reload(desk::Desk),
    /// Definition packages.
    #[command(subcommand)]
    Package(package::PackageCommand),
    /// Consent decisions.
    #[command(subcommand)]
    Consent(tools::ConsentCommand),
    /// The transparency log, offline.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// The signatures of a Provenance, offline.
    #[command(subcommand)]
    Provenance(provenance::ProvenanceCommand),
    /// Evidence packages, offline.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Erases a record, or a patient with everything about them, while the gateway is stopped.
    Erase(evidence::EraseArguments),
    /// Drives a running gateway and prints throughput, latency and syncs.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // The HL7 validator's options have one dash; its users' scripts should not need a second.
    let mut typed: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if typed.get(1).is_some_and(|command| command == "validate") {
        typed = validation::as_known(typed);
    }
    let arguments = Arguments::parse_from(typed);
    let status = match arguments.command {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::DemoHospital(arguments) => demo::hospital(&arguments),
        Command::Check { file } => tools::check(&file),
        Command::Fhirpath(arguments) => tools::fhirpath(&arguments),
        Command::Validate(arguments) => validation::validate(&arguments),
        Command::Normalise(command) => normalise::normalise_command(&command),
        Command::Work(arguments) => desk::work(&arguments),
        Command::Reload(desk) => desk::reload(&desk),
        Command::Package(command) => package::package(&command),
        Command::Consent(command) => tools::consent(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Provenance(command) => provenance::run(&command),
        Command::Evidence(command) => evidence::run(&command),
        Command::Erase(arguments) => evidence::erase(&arguments),
        Command::Bench(command) => bench::run(&command),
    };
    ExitCode::from(said::closed(status))
}

/// Says on standard error what went wrong, and gives the exit status.
fn complain(status: u8, text: impl std::fmt::Display) -> u8 {
    remark!("hearthgate: {text}");
    status
}
