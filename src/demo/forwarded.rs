//! `hearthgate bench forwarded`: what a read costs that the gateway forwards to a holder, over asking the holder itself, in one run.
//!
//! The gateway is the real one with all it does for such a read: the token, the consent, the holder's answer in the gateway's words, the decision,
//! the audit record and its leaf synced to disk before anything is answered. Both are asked in an open loop: each request goes off when it is due,
//! whether or not others were answered, and its time counts from then.

use super::latencies::Latencies;
use super::records::{BundleFile, CONSENT, PERSON_SYSTEM, Person};
use super::scene::Scene;
use crate::clock::{Clock, Entropy, Stopwatch};
use crate::fhir::Node;
use crate::identity::http_client;
use crate::outcome::{Fault, FaultKind};
use std::fmt;
use std::io::Write;
use std::time::Duration;
use tokio::sync::mpsc;

/// Reads before the clock starts, so that connections are open and the holder is known.
const WARM_UP: usize = 200;

/// How hard, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests a second to each of the two.
    pub rate: u32,
    pub seconds: u64,
}

/// Asks both and tells what came of it. Answers whether all were answered.
pub async fn measure(load: Load, out: &mut dyn Write, clock: Clock, entropy: Entropy) -> Result<bool, Fault> {
    let person = BundleFile::embedded().person().ok_or_else(|| broken("the embedded records name no patient"))?;
    let scene = Scene::open(&person, &clock, &entropy).await?;
    let measured = race(&scene, &person, load, &clock).await;
    scene.close().await;
    let (direct, forwarded) = measured?;
    let added = |share: f64| forwarded.taken.at(share).saturating_sub(direct.taken.at(share));
    let lines =
        format!("asked directly  {direct}\nforwarded       {forwarded}\nadded           p50 {:.2?}  p99 {:.2?}\n", added(0.5), added(0.99));
    out.write_all(lines.as_bytes()).map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    Ok(direct.failed == 0 && forwarded.failed == 0)
}

fn broken(text: &str) -> Fault {
    Fault::new(FaultKind::Internal, text)
}

/// Lets hospital B ask for a record that lies at hospital A, at the gateway and there.
async fn race(scene: &Scene, person: &Person, load: Load, clock: &Clock) -> Result<(Times, Times), Fault> {
    let id = prepare(scene, person).await?;
    let http = http_client()?;
    let there = format!("http://{}/fhir/Observation", scene.server_a.address);
    let listed = http.get(&there).send().await.map_err(unreachable)?.text().await.map_err(unreachable)?;
    let listed = crate::fhir::json::parse(listed.as_bytes(), crate::fhir::json::DEFAULT_DEPTH).map_err(|_| broken("no Bundle there"))?;
    let held = resources(&listed).find_map(|record| record.text("id")).ok_or_else(|| broken("no Observation there"))?;
    let direct = http.get(format!("{there}/{held}"));
    let forwarded = scene.partners.hospital_b.reading(&format!("Observation/{id}"));
    let ask = |request: &reqwest::RequestBuilder| request.try_clone().ok_or_else(|| broken("the request cannot be repeated"));
    for _ in 0..WARM_UP {
        is_answered(ask(&direct)?).await;
        is_answered(ask(&forwarded)?).await;
    }
    let pace =
        Pace { interval: Duration::from_secs(1) / load.rate.max(1), count: u64::from(load.rate) * load.seconds, watch: clock.stopwatch() };
    tokio::try_join!(pace.run(ask(&direct)?, Duration::ZERO), pace.run(ask(&forwarded)?, pace.interval / 2))
}

/// Files the record and a consent; answers the gateway's id of an Observation that hospital A holds and hospital B may see.
async fn prepare(scene: &Scene, person: &Person) -> Result<String, Fault> {
    let (a, b) = (&scene.partners.hospital_a, &scene.partners.hospital_b);
    a.post("", BundleFile::embedded().bytes, None).await?;
    let found = a.get(&format!("Patient?identifier={PERSON_SYSTEM}|{}", person.identifier)).await?;
    let patient = found.body.iter().flat_map(resources).find_map(|patient| patient.text("id"));
    let patient = patient.ok_or_else(|| broken("the patient was not accepted"))?.to_owned();
    a.post("Consent", person.about(CONSENT).replace("PATIENT", &patient), None).await?;
    let seen = b.get(&format!("Observation?patient={patient}&_count=100")).await?;
    // What a holder has bears no version of the gateway's.
    let is_held = |record: &&Node| {
        let source = record.text_at(&["meta", "source"]).unwrap_or_default();
        source.ends_with("hospital-a") && record.text_at(&["meta", "versionId"]).is_none()
    };
    let held = seen.body.iter().flat_map(resources).find(is_held).and_then(|record| record.text("id")).map(str::to_owned);
    held.ok_or_else(|| broken("nothing that hospital A holds was found"))
}

fn resources(bundle: &Node) -> impl Iterator<Item = &Node> {
    bundle.items("entry").iter().filter_map(|entry| entry.get("resource"))
}

fn unreachable(error: reqwest::Error) -> Fault {
    Fault::new(FaultKind::Upstream, error.to_string())
}

async fn is_answered(request: reqwest::RequestBuilder) -> bool {
    match request.send().await {
        Ok(response) if response.status().is_success() => response.bytes().await.is_ok(),
        _ => false,
    }
}

/// When each request is due.
#[derive(Clone)]
struct Pace {
    interval: Duration,
    count: u64,
    watch: Stopwatch,
}

impl Pace {
    /// Sends one request after another, each at its time; answers how long each took from when it was due.
    async fn run(&self, request: reqwest::RequestBuilder, offset: Duration) -> Result<Times, Fault> {
        let (told, mut times) = mpsc::unbounded_channel();
        let (pace, runtime) = (self.clone(), tokio::runtime::Handle::current());
        // The runtime's own timer is right to a millisecond; a thread that sleeps is right to much less.
        let pacer = std::thread::spawn(move || {
            for number in 0..pace.count {
                let due = offset + pace.interval.mul_f64(number_of(number));
                std::thread::sleep(due.saturating_sub(pace.watch.elapsed()));
                let (told, watch, request) = (told.clone(), pace.watch.clone(), request.try_clone());
                runtime.spawn(async move {
                    let is_good = match request {
                        Some(request) => is_answered(request).await,
                        None => false,
                    };
                    let _ = told.send(is_good.then(|| watch.elapsed().saturating_sub(due)));
                });
            }
        });
        let mut taken = Vec::new();
        let mut failed = 0;
        while let Some(answer) = times.recv().await {
            match answer {
                Some(took) => taken.push(took),
                None => failed += 1,
            }
        }
        pacer.join().map_err(|_| broken("the pacing thread ended early"))?;
        Ok(Times { taken: Latencies::of(taken), failed })
    }
}

#[expect(clippy::cast_precision_loss, reason = "the number of a request")]
fn number_of(number: u64) -> f64 {
    number as f64
}

/// How long the requests took.
struct Times {
    taken: Latencies,
    failed: usize,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times { taken, failed } = self;
        write!(f, "reads {:>6}  failed {failed}  {taken}", taken.count())
    }
}
