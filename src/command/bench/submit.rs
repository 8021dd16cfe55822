//! An open-loop load of transactions on a running gateway, and what it answered.

use crate::command::{FAULT, FINDINGS, FINE, complain};
use crate::demo::latencies::Latencies;
use clap::Args;
use reqwest::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct SubmitArguments {
    /// The FHIR base of the gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080/fhir")]
    base: String,
    /// Its metrics, for the count of syncs.
    #[arg(long, default_value = "http://127.0.0.1:8081/metrics")]
    metrics: String,
    /// A token with system/*.cruds of a client that pushes.
    #[arg(long, env = "HEARTHGATE_TOKEN", hide_env_values = true)]
    token: String,
    /// Clients at once; each sends its next request when it was answered, unless --rate says when.
    #[arg(long, default_value_t = 32)]
    clients: u32,
    /// Requests a second over all clients, sent at their time whether or not others were answered. 0: as fast as the clients can.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
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

impl Transactions {
    fn of(arguments: &SubmitArguments, http: Client) -> Transactions {
        let begin = Instant::now();
        Transactions {
            http,
            base: arguments.base.clone(),
            token: arguments.token.clone(),
            next: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            begin,
            interval: (arguments.rate > 0).then(|| Duration::from_secs(1) / arguments.rate),
            end: begin + Duration::from_secs(arguments.seconds),
        }
    }
}

pub(super) async fn drive(arguments: &SubmitArguments) -> u8 {
    let http = match Client::builder().pool_max_idle_per_host(arguments.clients as usize).build() {
        Ok(http) => http,
        Err(error) => return complain(FAULT, error),
    };
    let before = syncs(&http, &arguments.metrics).await;
    let load = Arc::new(Transactions::of(arguments, http.clone()));
    let workers: Vec<_> = (0..arguments.clients).map(|_| tokio::spawn(work(Arc::clone(&load)))).collect();
    let mut taken: Vec<Duration> = Vec::new();
    for worker in workers {
        taken.extend(worker.await.unwrap_or_default());
    }
    let (elapsed, latencies) = (load.begin.elapsed(), Latencies::of(taken));
    let after = syncs(&http, &arguments.metrics).await;
    let failed = load.failed.load(Ordering::Relaxed);
    answer!(
        "clients {:>4}  transactions {:>7}  failed {failed}  {:>8.0}/s  {latencies}  syncs {}",
        arguments.clients,
        latencies.count(),
        latencies.rate(elapsed),
        after.zip(before).map_or("unknown".to_owned(), |(after, before)| (after - before).to_string()),
    );
    if failed == 0 { FINE } else { FINDINGS }
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
