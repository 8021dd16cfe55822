//! `hearthgate bench`: what a running gateway takes and how fast it answers, by four kinds of load.

mod add;
mod submit;
mod trail;

use super::{FAULT, FINDINGS, FINE, complain, said};
use crate::clock::{Clock, Entropy};
use crate::demo::forwarded::{Load, measure};
use clap::Subcommand;

#[derive(Subcommand)]
pub enum BenchCommand {
    /// Transactions of a Patient and an Observation: throughput, latency and syncs.
    Submit(submit::SubmitArguments),
    /// Entries for the log itself (`POST /ledger/add`, see `[ledger] open_add`).
    Add(add::AddArguments),
    /// A patient with many entries in the log, and how long their provenance trail takes.
    Trail(trail::TrailArguments),
    /// Reads forwarded to a holder, over asking the holder itself. Starts a gateway and the holders of `hearthgate demo` on loopback.
    Forwarded {
        /// Reads a second, of the gateway and of the holder.
        #[arg(long, default_value_t = 500)]
        rate: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

pub fn run(command: &BenchCommand) -> u8 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    runtime.block_on(async {
        match command {
            BenchCommand::Submit(arguments) => submit::drive(arguments).await,
            BenchCommand::Add(arguments) => add::drive(arguments).await,
            BenchCommand::Trail(arguments) => trail::drive(arguments).await,
            BenchCommand::Forwarded { rate, seconds } => forwarded(Load { rate: *rate, seconds: *seconds }).await,
        }
    })
}

async fn forwarded(load: Load) -> u8 {
    match measure(load, &mut said::Answers, Clock::system(), Entropy::system()).await {
        Ok(true) => FINE,
        Ok(false) => FINDINGS,
        Err(fault) => complain(FAULT, fault),
    }
}
