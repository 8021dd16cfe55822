//! Whole conversations, kept as they were: every file of `fixtures/golden` is one, in a gateway of its own.
//!
//! A step says who asks what, and what was answered: status, headers, body. The clock is scripted: a second passes before each step. What differs
//! from run to run is written as a name: `ORIGIN`, `ID-1`, `REQUEST-1`, `DIGEST-1`. A later step may ask by such a name. With `HEARTHGATE_BLESS` set, the answers are written into the files, to be read
//! before they are believed.

use crate::support::{Answer, Call, Party, Setup};
use data_encoding::BASE64;
use hearthgate::clock::{Instant, ScriptedTime};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// When every conversation begins.
const START: &str = "2026-06-01T12:00:00Z";

/// The headers of an answer that are part of what is promised.
const HEADERS: [&str; 8] =
    ["content-type", "etag", "last-modified", "location", "retry-after", "www-authenticate", "x-hearthgate-receipt", "cache-control"];

/// Names for what differs from run to run, in the order in which it appeared.
#[derive(Default)]
struct Names {
    origin: String,
    real_to_name: HashMap<String, String>,
    name_to_real: HashMap<String, String>,
}

impl Names {
    fn name(&mut self, kind: &str, real: &str) -> String {
        if let Some(known) = self.real_to_name.get(real) {
            return known.clone();
        }
        let count = self.name_to_real.keys().filter(|name| name.starts_with(kind)).count() + 1;
        let name = format!("{kind}-{count}");
        self.real_to_name.insert(real.to_owned(), name.clone());
        self.name_to_real.insert(name.clone(), real.to_owned());
        name
    }

    /// The text with names in place of what differs.
    fn hide(&mut self, text: &str) -> String {
        let text = text.replace(&self.origin, "ORIGIN");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, word) = rest.split_at(at);
            out.push_str(before);
            let end = word
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=' | ':' | '.')))
                .unwrap_or(word.len());
            let (token, after) = self.token(word, end);
            out.push_str(&token);
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// The word at the front, named if it differs from run to run, and what follows it.
    fn token<'t>(&mut self, word: &'t str, end: usize) -> (String, &'t str) {
        let alphanumeric = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(end);
        let (id, after) = word.split_at(alphanumeric);
        if id.starts_with("hg-") && id.len() == 29 {
            return (self.name("ID", id), after);
        }
        if id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            match id.len() {
                24 => return (self.name("REQUEST", id), after),
                64 => return (self.name("DIGEST", id), after),
                _ => {}
            }
        }
        let whole = &word[..end];
        if whole.starts_with("urn:hearthgate:token:") {
            return (self.name("TOKEN", whole), &word[end..]);
        }
        if end == 44 && whole.ends_with('=') {
            return (self.name("DIGEST", whole), &word[end..]);
        }
        (id.to_owned(), after)
    }

    /// The text with what names stand for. Longer names first, so that `ID-1` is not taken for the beginning of `ID-10`.
    fn show(&self, text: &str) -> String {
        let mut names: Vec<&String> = self.name_to_real.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.replace("ORIGIN", &self.origin), |text, name| text.replace(name.as_str(), &self.name_to_real[name]))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_go_as_they_went() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let written = std::fs::read_to_string(&file).unwrap();
        let case: Value = serde_json::from_str(&written).unwrap();
        let found = converse(&case).await;
        if std::env::var_os("HEARTHGATE_BLESS").is_some() {
            std::fs::write(&file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
            continue;
        }
        let steps = case["steps"].as_array().unwrap().iter().zip(found["steps"].as_array().unwrap());
        for (number, (expected, step)) in steps.enumerate() {
            assert_eq!(step["answer"], expected["answer"], "{} step {}: {}", file.display(), number + 1, step["call"]);
        }
    }
}

/// The case with what was really answered.
async fn converse(case: &Value) -> Value {
    let time = ScriptedTime::starting_at(Instant::from_fhir_instant(START).unwrap());
    let world = Setup::default().at(&time).start().await;
    let mut names = Names { origin: world.origin.clone(), ..Names::default() };
    let mut parties: HashMap<String, Party> = HashMap::from([("nobody".to_owned(), world.stranger())]);
    let mut found = case.clone();
    for step in found["steps"].as_array_mut().unwrap() {
        let who = step["who"].as_str().unwrap().to_owned();
        if !parties.contains_key(&who) {
            parties.insert(who.clone(), world.party(&who).await);
        }
        time.advance(Duration::from_secs(1));
        let answer = parties[&who].call(call(step, &names)).await;
        step["answer"] = told(&answer, &mut names);
    }
    found.sort_all_objects();
    found
}

fn call(step: &Value, names: &Names) -> Call {
    let (method, path) = step["call"].as_str().unwrap().split_once(' ').unwrap();
    let mut call = Call::new(method, &names.show(path));
    for (name, value) in step["headers"].as_object().into_iter().flatten() {
        call = call.header(name, &names.show(value.as_str().unwrap()));
    }
    match &step["body"] {
        Value::Null => call,
        Value::String(text) => call.bare_body(names.show(text)),
        body => call.json(&serde_json::from_str(&names.show(&body.to_string())).unwrap()),
    }
}

fn told(answer: &Answer, names: &mut Names) -> Value {
    let mut headers = serde_json::Map::new();
    for name in HEADERS {
        if let Some(value) = answer.header(name) {
            headers.insert(name.to_owned(), json!(names.hide(value)));
        }
    }
    let text = match serde_json::from_slice::<Value>(&answer.bytes) {
        Ok(mut body) => {
            read_queries(&mut body);
            hide_signatures(&mut body);
            // Names are given in the order of their first use, which must not depend on how a library keeps members.
            body.sort_all_objects();
            names.hide(&body.to_string())
        }
        Err(_) => names.hide(&answer.text()),
    };
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    json!({"status": answer.status, "headers": headers, "body": body})
}

/// What is signed with a key drawn for the run is another each time; that it holds is other tests' matter.
fn hide_signatures(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("sigFormat") {
                members.insert("data".to_owned(), json!("SIGNATURE"));
            }
            members.values_mut().for_each(hide_signatures);
        }
        Value::Array(items) => items.iter_mut().for_each(hide_signatures),
        _ => {}
    }
}

/// The queries that audit records hold in base64, as they were asked.
fn read_queries(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let query = member.as_str().filter(|_| name == "query").and_then(|text| BASE64.decode(text.as_bytes()).ok());
                match query {
                    Some(query) => *member = json!(String::from_utf8_lossy(&query)),
                    None => read_queries(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(read_queries),
        _ => {}
    }
}
