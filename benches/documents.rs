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
    let context = Context { source: &rules, ids: &ids, links: &links, types: definitions.types() };
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
