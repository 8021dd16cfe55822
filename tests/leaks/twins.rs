//! Two gateways that differ in one thing: in one of them there are records the caller may not see, in the other there never were.

use super::scene::{Item, scene};
use crate::support::{Answer, Call, Party, Setup, World};
use hearthgate::anchor::{Leaf, LeafKind};
use hearthgate::clock::{Instant, ScriptedTime};
use hearthgate::config::{Settings, limits};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Both draw the same keys, so that the same record has the same id in both.
const SEED: u64 = 48;
/// Headers that tell the moment or the request and nothing else.
const PASSING: [&str; 2] = ["x-request-id", "date"];
/// The medians of two series may differ by this factor, and by this much, before time is taken to tell something.
const TIME_FACTOR: f64 = 3.0;
const TIME_SLACK: Duration = Duration::from_millis(150);
/// How often it is measured again before that is believed.
const TIME_ATTEMPTS: usize = 4;
/// Compressed, the addresses of the two make this much of a difference.
const COMPRESSED_SLACK: usize = 8;

/// One of the two gateways, with those who call it.
pub struct Side {
    pub world: World,
    /// Whoever sent the records.
    pub sender: Party,
    /// Whoever may not see all of them.
    pub caller: Party,
    /// How many leaves of the log were looked at.
    seen: AtomicU64,
}

impl Side {
    /// What the log shows to everybody of the leaves that came since this was asked last: format and length of each, in order. Nothing where the index was
    /// anchored meanwhile, for which its time had come.
    async fn grown(&self) -> Option<Vec<(u8, usize)>> {
        let from = self.seen.load(Ordering::Relaxed);
        let entries = self.world.entries_from(from).await;
        self.seen.store(from + entries.len() as u64, Ordering::Relaxed);
        let is_anchored = entries.iter().any(|entry| Leaf::decode(entry).is_some_and(|leaf| leaf.kind == LeafKind::Index));
        (!is_anchored).then(|| entries.iter().map(|entry| (entry[0], entry.len())).collect())
    }
}

pub struct Twins {
    pub with: Side,
    pub without: Side,
    pub time: ScriptedTime,
    /// The gateway's ids of what was sent, by the sender's.
    ids: BTreeMap<String, String>,
}

impl Twins {
    pub async fn start() -> Twins {
        Twins::anchoring_within(limits::ANCHOR_WITHIN_MS.default).await
    }

    /// Two that put what a question leaves into the log before they answer it, so that it does not mix with what the next one leaves.
    pub async fn anchoring_at_once() -> Twins {
        Twins::anchoring_within(0).await
    }

    async fn anchoring_within(millis: u64) -> Twins {
        let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-11-20T12:00:00Z").unwrap());
        let (with, without) = (side(&time, millis).await, side(&time, millis).await);
        let mut twins = Twins { with, without, time, ids: BTreeMap::new() };
        for item in scene() {
            twins.send(item).await;
        }
        twins
    }

    /// Sends a record to both gateways, or to the one only, at the same moment.
    async fn send(&mut self, item: Item) {
        self.time.advance(Duration::from_secs(1));
        let path = format!("{}/{}", item.with["resourceType"].as_str().unwrap(), item.with["id"].as_str().unwrap());
        let answer = self.with.sender.put(&path, &item.with).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
        self.ids.insert(item.name(), answer.json()["id"].as_str().unwrap().to_owned());
        if let Some(without) = &item.without {
            let other = self.without.sender.put(&path, without).await;
            assert!(matches!(other.status, 200 | 201), "{path}: {}", other.text());
            assert_eq!(other.json()["id"], answer.json()["id"], "the two draw the same ids");
        }
        if item.is_deleted {
            self.with.sender.delete(&path).await.expect(204);
        }
    }

    /// A text with the gateway's ids in the place of `{names}`.
    pub fn named(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    /// Puts a question to both gateways several times. Answers what told them apart, if anything did.
    pub async fn tell_apart(&self, probe: &Probe, runs: usize) -> Option<String> {
        let mut slower = Vec::new();
        // A machine that does other things as well is slow now here, now there; what tells something is slow on one side every time.
        for _ in 0..TIME_ATTEMPTS {
            let (mut with, mut without) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
            drop((self.with.grown().await, self.without.grown().await));
            for _ in 0..runs {
                let (one, took) = self.ask(&self.with, &self.with.caller, probe).await;
                with.push(took);
                let (other, took) = self.ask(&self.without, &self.without.caller, probe).await;
                without.push(took);
                if let Some((one, other)) = one.iter().zip(&other).find(|(one, other)| !one.is_like(other)) {
                    let (one, other) = (one.to_string(), other.to_string());
                    return Some(format!("{}: with\n  {}\nwithout\n  {}", probe.path, around(&one, &other), around(&other, &one)));
                }
                if one.len() != other.len() {
                    return Some(format!("{}: {} pages with, {} without", probe.path, one.len(), other.len()));
                }
                let (Some(mut one), Some(mut other)) = (self.with.grown().await, self.without.grown().await) else { continue };
                if probe.path.is_empty() {
                    // The entries of a Bundle are answered side by side, and which of them come into the log together is chance.
                    one.dedup();
                    other.dedup();
                }
                if one != other {
                    return Some(format!("{}: the log shows {one:?} with, {other:?} without", probe.path));
                }
            }
            let (one, other) = (median(with), median(without));
            let bound = |time: Duration| time.mul_f64(TIME_FACTOR) + TIME_SLACK;
            slower.push(if one > bound(other) {
                "with"
            } else if other > bound(one) {
                "without"
            } else {
                return None;
            });
        }
        let is_one_sided = slower.windows(2).all(|pair| pair[0] == pair[1]);
        is_one_sided.then(|| format!("{}: it takes longer {} each time", probe.path, slower[0]))
    }

    /// Whether the same question tells the two apart when the sender puts it: then there was something to be told.
    pub async fn tells_sender(&self, probe: &Probe) -> bool {
        let (one, _) = self.ask(&self.with, &self.with.sender, probe).await;
        let (other, _) = self.ask(&self.without, &self.without.sender, probe).await;
        one.len() != other.len() || one.iter().zip(&other).any(|(one, other)| !one.is_like(other))
    }

    /// The statuses of both gateways' answers to the caller.
    pub async fn statuses(&self, probe: &Probe) -> [u16; 2] {
        let one = self.with.caller.call(self.call(probe)).await.status;
        [one, self.without.caller.call(self.call(probe)).await.status]
    }

    /// Every page of the answer in the one form, and how long the first took.
    async fn ask(&self, side: &Side, party: &Party, probe: &Probe) -> (Vec<Form>, Duration) {
        let start = std::time::Instant::now();
        let first = party.call(self.call(probe)).await;
        let took = start.elapsed();
        let mut pages = vec![form(&side.world.origin, &first, probe.makes)];
        let mut next = if probe.follows { next_of(&first) } else { None };
        while let Some(link) = next {
            assert!(link.starts_with(&side.world.origin), "{}: a link that leads elsewhere: {link}", probe.path);
            let page = party.get(&link).await;
            pages.push(form(&side.world.origin, &page, probe.makes));
            next = next_of(&page);
            assert!(pages.len() < 100, "{}: pages that never end", probe.path);
        }
        (pages, took)
    }

    pub fn call(&self, probe: &Probe) -> Call {
        let mut call = Call::new(probe.method, &self.named(probe.path));
        for (name, value) in &probe.headers {
            call = call.header(name, &self.named(value));
        }
        match &probe.body {
            Some((media, body)) => call.body(media, self.named(body)),
            None => call,
        }
    }
}

async fn side(time: &ScriptedTime, anchor_within_ms: u64) -> Side {
    let adjust = move |settings: &mut Settings| settings.ledger.anchor_within_ms = anchor_within_ms;
    let world = Setup::adjusted(adjust).at(time).drawing(SEED).start().await;
    let (sender, caller) = (world.party("hospital-a").await, world.party("hospital-b").await);
    Side { world, sender, caller, seen: AtomicU64::new(0) }
}

fn next_of(answer: &Answer) -> Option<String> {
    let is_bundle = answer.status == 200 && answer.text().starts_with("{\"resourceType\":\"Bundle\"");
    is_bundle.then(|| answer.link("next")).flatten()
}

/// An answer in the one form: of a compressed one its length, for its bytes hold the address.
struct Form {
    text: String,
    compressed: usize,
}

impl Form {
    fn is_like(&self, other: &Form) -> bool {
        self.text == other.text && self.compressed.abs_diff(other.compressed) < COMPRESSED_SLACK
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.compressed == 0 { f.write_str(&self.text) } else { write!(f, "{} {} bytes compressed", self.text, self.compressed) }
    }
}

/// Status, headers, length and body, without what differs between any two answers: the moment, the address, and what a sealed page link holds.
fn form(origin: &str, answer: &Answer, masks_ids: bool) -> Form {
    let sealed = Regex::new("_page=([A-Za-z0-9_-]+)").unwrap();
    let drawn = Regex::new("hg-[0-9a-v]{26}").unwrap();
    let plain = |text: &str| {
        let text = text.replace(origin, "GATEWAY");
        let text = if masks_ids { drawn.replace_all(&text, "hg-ID").into_owned() } else { text };
        sealed.replace_all(&text, |found: &regex::Captures<'_>| format!("_page=<{} characters>", found[1].len())).into_owned()
    };
    let kept = answer.headers.iter().filter(|(name, _)| !PASSING.contains(&name.as_str()));
    let headers: Vec<String> = kept.map(|(name, value)| format!("{name}: {}", plain(&String::from_utf8_lossy(value.as_bytes())))).collect();
    if answer.headers.contains_key("content-encoding") {
        return Form { text: format!("{} {}", answer.status, headers.join("; ")), compressed: answer.bytes.len() };
    }
    let text = format!("{} {} {} bytes {}", answer.status, headers.join("; "), answer.bytes.len(), plain(&answer.text()));
    Form { text, compressed: 0 }
}

/// The status of an answer, and where its body begins to differ from another's.
fn around(one: &str, other: &str) -> String {
    let body = |text: &str| text.split_once(" {").map_or(String::new(), |(_, body)| body.to_owned());
    let (text, other) = (body(one), body(other));
    let differs = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let window: String = text.chars().skip(differs.saturating_sub(300)).take(600).collect();
    format!("{} … {window}", one.chars().take(200).collect::<String>())
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// One question, with `{names}` for ids.
#[derive(Debug, Clone)]
pub struct Probe {
    pub method: &'static str,
    pub path: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Option<(&'static str, String)>,
    /// Whether the pages behind the first are asked for as well.
    pub follows: bool,
    /// Whether it makes something: then the ids that the gateway draws differ.
    pub makes: bool,
}

pub fn get(path: &'static str) -> Probe {
    Probe { method: "GET", path, headers: Vec::new(), body: None, follows: false, makes: false }
}

/// A search of which every page is read.
pub fn pages(path: &'static str) -> Probe {
    Probe { follows: true, ..get(path) }
}

pub fn send(method: &'static str, path: &'static str, body: &serde_json::Value) -> Probe {
    Probe { method, body: Some((crate::support::party::FHIR_JSON, body.to_string())), ..get(path) }
}

pub fn form_of(path: &'static str, form: &str) -> Probe {
    Probe { method: "POST", body: Some(("application/x-www-form-urlencoded", form.to_owned())), ..get(path) }
}

impl Probe {
    pub fn makes(self) -> Probe {
        Probe { makes: true, ..self }
    }

    pub fn method(self, method: &'static str) -> Probe {
        Probe { method, ..self }
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Probe {
        self.headers.push((name, value));
        self
    }
}
