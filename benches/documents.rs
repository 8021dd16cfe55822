//! What is done to a document by itself: reading and writing JSON, normalising, validating, indexing.

use criterion::{BatchSize, Criterion, Throughput};
use flate2::read::GzDecoder;
use hearthgate::definitions::Definitions;
use hearthgate::fhir::{Node, json};
use hearthgate::normalise::{Context, GatewayIds, Links, SourceRules, normalise};
use hearthgate::{search, validate};
use std::fs;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;

/// A document under the name it has in the results.
pub struct Document {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub node: Node,
}

impl Document {
    fn new(name: &'static str, bytes: Vec<u8>) -> Document {
        let node = json::parse(&bytes, json::DEFAULT_DEPTH).expect("a well-formed document");
        Document { name, bytes, node }
    }
}

/// The resource of a validation fixture.
pub fn fixture(name: &'static str) -> Document {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/validate").join(name).with_extension("json");
    let case = json::parse(&fs::read(path).expect("a fixture"), json::DEFAULT_DEPTH).expect("a well-formed fixture");
    Document::new(name, json::write(case.get("resource").expect("the fixture's resource")).into_bytes())
}

/// A synthetic patient's record as a transaction Bundle of about a megabyte, where the corpus is at hand.
fn synthetic_record() -> Option<Document> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/synthea/bundle-01.json.gz");
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).ok()?).read_to_end(&mut bytes).ok()?;
    Some(Document::new("synthetic-record", bytes))
}

/// The resources of a Bundle, and the Bundle; any other resource alone.
fn entries(resource: Node) -> Vec<Node> {
    let inner: Vec<Node> = resource.items("entry").iter().filter_map(|entry| entry.get("resource").cloned()).collect();
    std::iter::once(resource).chain(inner).collect()
}

/// Synthetic patients' resources one by one, of every type they have: a hundred of each at most.
fn mix() -> Vec<Document> {
    const OF_ONE_TYPE: usize = 100;
    let mut count = std::collections::HashMap::<String, usize>::new();
    let resources = synthetic_record().into_iter().flat_map(|record| entries(record.node)).skip(1);
    let few = resources.filter(|resource| {
        let seen = count.entry(resource.resource_type().unwrap_or_default().to_owned()).or_default();
        *seen += 1;
        *seen <= OF_ONE_TYPE
    });
    few.map(|resource| Document::new("mix", json::write(&resource).into_bytes())).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Times over that each document is judged when the medians are printed.
const ROUNDS: u32 = 50;

fn micros<T>(mut work: impl FnMut() -> T) -> f64 {
    drop(black_box(work()));
    let start = std::time::Instant::now();
    (0..ROUNDS).for_each(|_| drop(black_box(work())));
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

/// Reading and judging the resources of a synthetic patient, beside `serde_json` reading the same bytes, in one run.
pub fn synthetic_mix(_: &mut Criterion) {
    let definitions = Definitions::embedded();
    let options = validate::Options::default();
    let (mut judged, mut read, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Document { bytes, node, .. } in mix().into_iter().chain([fixture("patient-ordinary"), fixture("observation-ordinary")]) {
        let check = micros(|| validate::check(definitions, black_box(&node), &options));
        let parse = micros(|| json::parse(black_box(&bytes), json::DEFAULT_DEPTH));
        let serde = micros(|| serde_json::from_slice::<serde_json::Value>(black_box(&bytes)));
        judged.push(check);
        read.push(parse + check);
        beside.push(serde);
        ratios.push((parse + check) / serde);
    }
    let sum = |times: &[f64]| times.iter().sum::<f64>();
    println!(
        "mix: {} resources; median µs: judged {:.1}, read and judged {:.1}, serde_json alone {:.1}; read and judged / serde_json: median {:.2}, of the sums {:.2}",
        judged.len(),
        median(judged.clone()),
        median(read.clone()),
        median(beside.clone()),
        median(ratios),
        sum(&read) / sum(&beside)
    );
}

/// A collection of so many Observations about one Patient, each found in it by its URL.
fn collection(entries: usize) -> Node {
    let mut text = String::from(
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"https://e.example/fhir/Patient/p","resource":{"resourceType":"Patient","id":"p"}}"#,
    );
    for number in 1..entries {
        text += &format!(
            r#",{{"fullUrl":"https://e.example/fhir/Observation/o{number}","resource":{{"resourceType":"Observation","id":"o{number}","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/p"}},"valueInteger":{number}}}}}"#
        );
    }
    json::parse((text + "]}").as_bytes(), json::DEFAULT_DEPTH).expect("a Bundle")
}

/// Bundles of ten thousand and of a hundred thousand entries: the time for an entry must not grow.
pub fn bundles(_: &mut Criterion) {
    let definitions = Definitions::embedded();
    for entries in [1_000, 10_000, 100_000] {
        let bundle = collection(entries);
        let start = std::time::Instant::now();
        let found = validate::check(definitions, black_box(&bundle), &validate::Options::default());
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "bundle: {entries} entries in {seconds:.3} s, {:.2} µs an entry, {} findings",
            seconds * 1e6 / entries as f64,
            found.len()
        );
    }
}

fn documents() -> Vec<Document> {
    let mut documents = vec![fixture("patient-ordinary"), fixture("observation-ordinary")];
    documents.extend(synthetic_record());
    documents
}

/// Reading and writing JSON, beside `serde_json` reading the same bytes.
pub fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for Document { name, bytes, node } in documents() {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("parse/{name}"), |bench| bench.iter(|| json::parse(black_box(&bytes), json::DEFAULT_DEPTH)));
        group.bench_function(format!("serde_json parse/{name}"), |bench| {
            bench.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&bytes)));
        });
        group.bench_function(format!("write/{name}"), |bench| bench.iter(|| json::write(black_box(&node))));
        group.bench_function(format!("write canonical/{name}"), |bench| bench.iter(|| json::write_canonical(black_box(&node))));
    }
    group.finish();
}

/// Validating, normalising and indexing one resource.
pub fn judgement(criterion: &mut Criterion) {
    let definitions = Definitions::embedded();
    let (rules, ids, links) = (SourceRules::new("bench", &["https://ehr.example/fhir"]), GatewayIds::new([7; 32]), Links::new());
    let context = Context { source: &rules, ids: &ids, links: &links, types: definitions.types(), declared: None };
    let options = validate::Options::default();
    let mut group = criterion.benchmark_group("resource");
    for Document { name, node, .. } in documents() {
        group.bench_function(format!("validate/{name}"), |bench| bench.iter(|| validate::check(definitions, black_box(&node), &options)));
        group.bench_function(format!("normalise/{name}"), |bench| {
            bench.iter_batched(|| node.clone(), |node| normalise(node, &context), BatchSize::SmallInput);
        });
        group.bench_function(format!("index terms/{name}"), |bench| bench.iter(|| search::terms(definitions, black_box(&node))));
    }
    group.finish();
}
