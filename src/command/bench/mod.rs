//! `hearthgate bench`: an open-loop load on a running gateway, and what it answered; and the same for its log and for a patient's trail.

mod add;
mod trail;

use super::{FAULT, FINDINGS, FINE, complain};
use crate::clock::{Clock, Entropy};
use crate::demo::forwarded::{Load, measure};
use clap::{Args, Subcommand};
use reqwest::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BenchArguments {
    #[command(subcommand)]
    what: Option<BenchCommand>,
    /// The FHIR base of the gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080/fhir")]
    base: String,
    /// Its metrics, for the count of syncs.
    #[arg(long, default_value = "http://127.0.0.1:8081/metrics")]
    metrics: String,
    /// A token with system/*.cruds of a client that pushes.
    #[arg(long, env = "HEARTHGATE_TOKEN", hide_env_values = true, required_unless_present = "ledger_add")]
    token: Option<String>,
    /// Clients at once; each sends its next request when it was answered, unless --rate says when.
    #[arg(long, default_value_t = 32)]
    clients: u32,
    /// Requests a second over all clients, sent at their time whether or not others were answered. 0: as fast as the clients can.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Sends entries to the log itself (`POST /ledger/add`, see `[ledger] open_add`) instead of transactions.
    #[arg(long, conflicts_with_all = ["rate", "trail"])]
    ledger_add: bool,
    /// Bytes of such an entry.
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Makes a patient with so many entries in the log instead, and measures how long their provenance trail takes.
    #[arg(long, requires = "reader")]
    trail: Option<usize>,
    /// A token of a client with the role `regulator`, who asks for the trail.
    #[arg(long, env = "HEARTHGATE_READER", hide_env_values = true)]
    reader: Option<String>,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Reads forwarded to a holder, over asking the holder itself. Starts a gateway and the holders of `hearthgate demo` on loopback.
    Forwarded {
        /// Reads a second, of the gateway and of the holder.
        #[arg(long, default_value_t = 500)]
        rate: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

/// A transaction of a Patient and an Observation about it.
fn transaction(number: u64) -> String {
    format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"fullUrl":"urn:uuid:00000000-0000-4000-8000-{number:012x}","resource":{{"resourceType":"Patient","identifier":[{{"system":"urn:oid:1.2.36.146.595.217.0.1","value":"{number}"}}],"name":[{{"family":"Load","given":["Test"]}}],"gender":"female","birthDate":"1970-03-01"}},"request":{{"method":"POST","url":"Patient"}}}},{{"fullUrl":"urn:uuid:00000000-0000-4000-9000-{number:012x}","resource":{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}}]}},"subject":{{"reference":"urn:uuid:00000000-0000-4000-8000-{number:012x}"}},"effectiveDateTime":"2026-11-20T08:30:00Z","valueQuantity":{{"value":13.20,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}}},"request":{{"method":"POST","url":"Observation"}}}}]}}"#
    )
}

struct Transactions {
    http: Client,
    base: String,
    token: String,
    next: AtomicU64,
    failed: AtomicU64,
    begin: Instant,
    /// Between two requests, when a rate is given.
    interval: Option<Duration>,
    end: Instant,
}

pub fn run(arguments: &BenchArguments) -> u8 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => match arguments.what {
            Some(BenchCommand::Forwarded { rate, seconds }) => runtime.block_on(forwarded(Load { rate, seconds })),
            None if arguments.ledger_add => runtime.block_on(add::drive(arguments)),
            None if arguments.trail.is_some() => runtime.block_on(trail::drive(arguments)),
            None => runtime.block_on(drive(arguments)),
        },
        Err(error) => complain(FAULT, error),
    }
}

async fn forwarded(load: Load) -> u8 {
    match measure(load, &mut std::io::stdout(), Clock::system(), Entropy::system()).await {
        Ok(true) => FINE,
        Ok(false) => FINDINGS,
        Err(fault) => complain(FAULT, fault),
    }
}

async fn drive(arguments: &BenchArguments) -> u8 {
    let http = match Client::builder().pool_max_idle_per_host(arguments.clients as usize).build() {
        Ok(http) => http,
        Err(error) => return complain(FAULT, error),
    };
    let before = syncs(&http, &arguments.metrics).await;
    let begin = Instant::now();
    let load = Arc::new(Transactions {
        http: http.clone(),
        base: arguments.base.clone(),
        token: arguments.token.clone().unwrap_or_default(),
        next: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        begin,
        interval: (arguments.rate > 0).then(|| Duration::from_secs(1) / arguments.rate),
        end: begin + Duration::from_secs(arguments.seconds),
    });
    let workers: Vec<_> = (0..arguments.clients).map(|_| tokio::spawn(work(Arc::clone(&load)))).collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for worker in workers {
        latencies.extend(worker.await.unwrap_or_default());
    }
    let elapsed = begin.elapsed();
    let after = syncs(&http, &arguments.metrics).await;
    latencies.sort_unstable();
    let at = |share| at(&latencies, share);
    let rate = rate(latencies.len(), elapsed);
    let failed = load.failed.load(Ordering::Relaxed);
    println!(
        "clients {:>4}  transactions {:>7}  failed {failed}  {rate:>8.0}/s  p50 {:.2?}  p99 {:.2?}  max {:.2?}  syncs {}",
        arguments.clients,
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        after.zip(before).map_or("unknown".to_owned(), |(after, before)| (after - before).to_string()),
    );
    if failed == 0 { FINE } else { FINDINGS }
}

/// The latency below which a share of them lies, of a sorted list.
fn at(latencies: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a list of latencies"
    )]
    let index = (latencies.len() as f64 * share) as usize;
    latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// One client. With a rate, latency counts from the moment the request was due, so that a stalled server shows.
async fn work(load: Arc<Transactions>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let salt = u64::from(std::process::id()) << 32;
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        let due = match load.interval {
            Some(interval) => load.begin + interval * u32::try_from(number).unwrap_or(u32::MAX),
            None => Instant::now(),
        };
        if due >= load.end {
            return latencies;
        }
        tokio::time::sleep_until(due.into()).await;
        let request = load.http.post(&load.base).header("content-type", "application/fhir+json").header("prefer", "return=minimal");
        let sent = request.bearer_auth(&load.token).body(transaction(salt | number)).send().await;
        let answered = match sent {
            Ok(response) if response.status().is_success() => response.bytes().await.is_ok(),
            _ => false,
        };
        if answered {
            latencies.push(due.elapsed());
        } else {
            load.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn syncs(http: &Client, metrics: &str) -> Option<u64> {
    let text = http.get(metrics).send().await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix("hearthgate_store_syncs_total "))?.trim().parse().ok()
}
