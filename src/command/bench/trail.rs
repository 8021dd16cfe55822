//! A patient with many entries in the log, and how long their provenance trail takes: until its first byte, and until its last.

use crate::command::{FAULT, FINE, complain};
use crate::demo::latencies::Latencies;
use clap::Args;
use reqwest::{Client, RequestBuilder};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Observations in one transaction.
const TOGETHER: usize = 200;
/// How often the trail is asked for.
const ROUNDS: usize = 7;
/// What stands once in a trail for each of its leaves.
const LEAF_MARK: &[u8] = b"\"urn:hearthgate:leaf:";

#[derive(Args)]
pub struct TrailArguments {
    /// The FHIR base of the gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080/fhir")]
    base: String,
    /// A token with system/*.cruds of a client that pushes.
    #[arg(long, env = "HEARTHGATE_TOKEN", hide_env_values = true)]
    token: String,
    /// A token of a client with the role `regulator`, who asks for the trail.
    #[arg(long, env = "HEARTHGATE_READER", hide_env_values = true)]
    reader: String,
    /// How many entries in the log the patient is to have.
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
}

pub(super) async fn drive(arguments: &TrailArguments) -> u8 {
    match measure(arguments).await {
        Ok(text) => {
            answer!("{text}");
            FINE
        }
        Err(text) => complain(FAULT, text),
    }
}

async fn measure(arguments: &TrailArguments) -> Result<String, String> {
    let http = Client::new();
    let wanted = arguments.entries;
    let post = |path: &str, body: String| {
        let request = http.post(format!("{}{path}", arguments.base)).header("content-type", "application/fhir+json");
        request.bearer_auth(&arguments.token).body(body)
    };
    let patient = id_of(&sent(post("/Patient", r#"{"resourceType":"Patient","name":[{"family":"Load"}]}"#.to_owned())).await?)?;
    // The patient and the act of sending it have two leaves; every transaction has one beside those of its resources.
    let mut entries = 2;
    while entries + 1 < wanted {
        let count = TOGETHER.min(wanted - entries - 1);
        sent(post("", transaction(&patient, entries, count))).await?;
        entries += count + 1;
    }
    let path = format!("{}/Patient/{patient}/$provenance-trail", arguments.base);
    let (mut first, mut whole, mut leaves, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let asked = ask(http.get(&path).header("accept-encoding", "identity").bearer_auth(&arguments.reader)).await?;
        first.push(asked.first);
        whole.push(asked.whole);
        (leaves, bytes) = (asked.leaves, asked.bytes);
    }
    let (first, whole) = (Latencies::of(first), Latencies::of(whole));
    Ok(format!(
        "trail of {leaves} entries, {:.1} MB: first byte p50 {:.1?}; whole p50 {:.1?}, slowest of {ROUNDS} {:.1?}",
        f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6,
        first.at(0.5),
        whole.at(0.5),
        whole.at(1.0),
    ))
}

/// Results that are all different, numbered from `first` on.
fn transaction(patient: &str, first: usize, count: usize) -> String {
    let mut body = String::from(r#"{"resourceType":"Bundle","type":"transaction","entry":["#);
    for number in first..first + count {
        let comma = if number == first { "" } else { "," };
        let _infallible = write!(
            body,
            r#"{comma}{{"resource":{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"718-7"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"2026-11-20T08:30:00Z","valueQuantity":{{"value":{number},"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}}},"request":{{"method":"POST","url":"Observation"}}}}"#
        );
    }
    body.push_str("]}");
    body
}

async fn sent(request: RequestBuilder) -> Result<String, String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if status.is_success() { Ok(text) } else { Err(format!("the gateway answered {status}")) }
}

fn id_of(resource: &str) -> Result<String, String> {
    let parsed: serde_json::Value = serde_json::from_str(resource).map_err(|error| error.to_string())?;
    parsed.get("id").and_then(|id| id.as_str()).map(str::to_owned).ok_or_else(|| "the patient has no id".to_owned())
}

struct Asked {
    first: Duration,
    whole: Duration,
    leaves: usize,
    bytes: usize,
}

/// Reads a trail as it comes; what it says is counted afterwards.
async fn ask(request: RequestBuilder) -> Result<Asked, String> {
    let begin = Instant::now();
    let mut answer = request.send().await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("the gateway answered {} to the question for the trail", answer.status()));
    }
    let (mut first, mut text) = (None, Vec::new());
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        first.get_or_insert_with(|| begin.elapsed());
        text.extend_from_slice(&piece);
    }
    let whole = begin.elapsed();
    let leaves = text.windows(LEAF_MARK.len()).filter(|window| *window == LEAF_MARK).count();
    Ok(Asked { first: first.unwrap_or(whole), whole, leaves, bytes: text.len() })
}
