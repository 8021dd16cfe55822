//! The deciding part of an accepted transaction: everything between its bytes and the commit, without storage and sockets.

use criterion::{BatchSize, Criterion, Throughput};
use hearthgate::anchor::{Anchor, Leaf, LeafKind, Tags, ToAnchor, commitment};
use hearthgate::clock::{Entropy, Instant};
use hearthgate::definitions::Definitions;
use hearthgate::fhir::{Object, json};
use hearthgate::intake::{Entry, Evidence, Format, Limits, Write, document, split};
use hearthgate::normalise::Normalised;
use hearthgate::normalise::{Context, GatewayIds, Links, SourceRules};
use hearthgate::sign::GatewaySigner;
use hearthgate::store::{Keyring, Method, Target};
use hearthgate::validate::{Policy, Validated};
use std::hint::black_box;
use std::path::PathBuf;

const LIMITS: Limits = Limits { body_bytes: 1 << 20, depth: 64, bundle_entries: 100 };
const AT: Instant = Instant::from_seconds(1_780_000_000);
const PATIENT: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

/// A Patient and an Observation about it.
const TRANSACTION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[
{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.36.146.595.217.0.1","value":"1"}],"name":[{"family":"Load","given":["Test"]}],"gender":"female","birthDate":"1970-03-01"},"request":{"method":"POST","url":"Patient"}},
{"fullUrl":"urn:uuid:00000000-0000-4000-9000-000000000001","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}]},"subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"},"effectiveDateTime":"2026-11-20T08:30:00Z","valueQuantity":{"value":13.20,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}},"request":{"method":"POST","url":"Observation"}}]}"#;

/// What the stages need, with a key store in a folder of its own.
struct Bench {
    folder: PathBuf,
    anchor: Anchor,
    rules: SourceRules,
    links: Links,
    sender: Object,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new() -> Bench {
        let folder = std::env::temp_dir().join(format!("hearthgate-bench-{}", std::process::id()));
        let (entropy, ids) = (Entropy::system(), GatewayIds::new([7; 32]));
        let anchor = Anchor {
            keyring: Keyring::open(&folder, [3; 32], entropy.clone()).expect("a key store"),
            entropy,
            definitions: Definitions::embedded(),
            ids: ids.clone(),
            base_url: "https://gateway.example/fhir".to_owned(),
            origin: "gateway.example/log".to_owned(),
            signer: GatewaySigner::from_seed(&[5; 32]).expect("a key"),
            time: hearthgate::anchor::LedgerTime::default(),
        };
        let mut links = Links::new();
        links.insert(PATIENT, &format!("Patient/{}", ids.id("bench", "Patient", "1")));
        let sender = Object::new().with("display", "Bench");
        Bench { folder, anchor, rules: SourceRules::new("bench", &["https://ehr.example/fhir"]), links, sender }
    }

    fn read(&self) -> (Evidence, Vec<(Write, Target)>) {
        let evidence = Evidence::new(TRANSACTION.into(), Format::Json, AT);
        let bundle = document(&evidence.bytes, Format::Json, &LIMITS, self.anchor.definitions.types()).expect("a Bundle");
        let (_, entries) = split(bundle, &LIMITS, self.anchor.definitions).expect("entries");
        let writes = entries.into_iter().filter_map(|entry| match entry {
            Entry::Write(write) => Some((self.target(&write), *write)),
            _ => None,
        });
        let writes = writes.map(|(target, write)| (write, target)).collect();
        (evidence, writes)
    }

    fn target(&self, write: &Write) -> Target {
        let type_name = write.interaction.type_name().expect("a type").to_owned();
        Target { type_name, id: self.anchor.fresh_id(AT), version: 1, method: Method::Create, previous: None }
    }

    fn normalise(&self, (evidence, writes): (Evidence, Vec<(Write, Target)>)) -> Normalised {
        let context = Context {
            source: &self.rules,
            ids: &self.anchor.ids,
            links: &self.links,
            types: self.anchor.definitions.types(),
            declared: None,
        };
        Normalised::apply(evidence, writes, &context).expect("normalised")
    }

    fn validate(&self, normalised: Normalised) -> Validated {
        let nobody = |_: &_| Vec::new();
        Validated::judge(normalised, self.anchor.definitions, &Policy::default(), nobody).expect("valid")
    }

    fn to_anchor(&self) -> ToAnchor<'_> {
        ToAnchor { source: "bench", sender: &self.sender, client: "bench", partner: "bench", at: AT }
    }
}

/// The steps of anchoring one version.
pub fn pieces(criterion: &mut Criterion) {
    let bench = Bench::new();
    let keyring = &bench.anchor.keyring;
    let patient = keyring.patient(Some("p1")).expect("a patient's key");
    let mut group = criterion.benchmark_group("anchor");
    group.bench_function("patient key, known", |timer| timer.iter(|| keyring.patient(black_box(Some("p1")))));
    group.bench_function("record key", |timer| timer.iter(|| keyring.record(black_box(&patient))));
    let canonical = json::write_canonical(
        &document(TRANSACTION.as_bytes(), Format::Json, &LIMITS, bench.anchor.definitions.types()).expect("a Bundle"),
    );
    let (signer, who) = (&bench.anchor.signer, Object::new().with("display", "Bench"));
    let provenance = Object::resource("Provenance").with("recorded", AT.to_fhir_instant()).into();
    group.bench_function("version signature", |timer| timer.iter(|| signer.sign(black_box(&canonical), &provenance, AT, &who)));
    group.bench_function("commitment", |timer| timer.iter(|| commitment(black_box(&[1; 32]), "bench", &[2; 32])));
    group.bench_function("leaf", |timer| {
        timer.iter(|| Leaf::new(LeafKind::Accept, AT, black_box(Tags::default()), [2; 32], [3; 32]).encode());
    });
    group.finish();
}

/// The stages on a transaction of two entries, each alone and together.
pub fn transaction(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("transaction of two entries");
    group.throughput(Throughput::Elements(1));
    group.bench_function("read", |timer| timer.iter(|| bench.read()));
    group.bench_function("normalise", |timer| {
        timer.iter_batched(|| bench.read(), |read| bench.normalise(read), BatchSize::SmallInput);
    });
    group.bench_function("validate", |timer| {
        timer.iter_batched(|| bench.normalise(bench.read()), |normalised| bench.validate(normalised), BatchSize::SmallInput);
    });
    group.bench_function("anchor", |timer| {
        let ready = || bench.validate(bench.normalise(bench.read()));
        timer.iter_batched(ready, |validated| bench.anchor.anchor(validated, &bench.to_anchor()), BatchSize::SmallInput);
    });
    group.bench_function("all stages", |timer| {
        timer.iter(|| bench.anchor.anchor(bench.validate(bench.normalise(bench.read())), &bench.to_anchor()));
    });
    group.finish();
}
