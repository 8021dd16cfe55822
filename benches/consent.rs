//! Consent decisions on one resource, by how many rules the patient's consent has.

use super::documents::fixture;
use criterion::Criterion;
use hearthgate::clock::Instant;
use hearthgate::consent::{Code, Directory, Labeller, Party, Policy, Reference, Request, Rules, decide, explain, facts};
use hearthgate::fhir::{Node, Object};
use std::hint::black_box;

const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

fn coding(system: &str, code: &str) -> Node {
    Object::new().with("system", system).with("code", code).into()
}

fn concept(system: &str, code: &str) -> Node {
    Object::new().with("coding", vec![coding(system, code)]).into()
}

fn reference(text: &str) -> Node {
    Object::new().with("reference", text).into()
}

/// A rule below the root: one organisation in four is barred, the others may treat with what is not very restricted.
fn rule(number: usize) -> Node {
    let recipient = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    let actor: Node = Object::new().with("role", recipient).with("reference", reference(&format!("Organization/{number}"))).into();
    let rule = Object::new().with("type", if number.is_multiple_of(4) { "deny" } else { "permit" }).with("actor", vec![actor]);
    let rule = rule.with("purpose", vec![coding(ACT_REASON, "TREAT")]);
    rule.with("securityLabel", vec![coding(CONFIDENTIALITY, if number.is_multiple_of(2) { "N" } else { "R" })]).into()
}

/// A consent in the form of IHE PCF with this many rules, the root among them.
fn consent(rules: usize) -> Node {
    let provision = Object::new().with("type", "deny").with("provision", (1..rules).map(rule).collect::<Vec<_>>());
    let consent = Object::resource("Consent").with("id", "bench").with("status", "active");
    let consent = consent.with("scope", concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"));
    let consent = consent.with("patient", reference("Patient/1")).with("performer", vec![reference("Patient/1")]);
    consent.with("dateTime", "2025-03-01").with("organization", vec![reference("Organization/0")]).with("provision", provision).into()
}

/// What the gateway does for each entry it may show: facts, labels, decision.
fn is_permitted(rules: &Rules, request: &Request, resource: &Node) -> bool {
    let mut known = facts::of(resource);
    Labeller::built_in().label(resource, &mut known);
    decide(rules, request, &known).is_permit()
}

/// Compiling a consent, gathering a resource's facts, and deciding.
pub fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consent");
    let observation = fixture("observation-ordinary").node;
    group.bench_function("facts/observation-ordinary", |bench| bench.iter(|| facts::of(black_box(&observation))));
    let known = facts::of(&observation);
    for count in [20, 1_000] {
        let consents = [consent(count)];
        let asker = Party { references: Reference::new(&format!("Organization/{}", count - 1)).into_iter().collect(), ..Party::default() };
        let request = Request::new(vec![asker], vec![Code::new(ACT_REASON, "TREAT")], Instant::from_seconds(1_750_000_000));
        group.bench_function(format!("compile/{count} rules"), |bench| {
            bench.iter(|| Rules::compile(black_box(&consents), &Directory::default(), Policy::default()));
        });
        let rules = Rules::compile(&consents, &Directory::default(), Policy::default());
        group.bench_function(format!("decide/{count} rules"), |bench| bench.iter(|| decide(&rules, black_box(&request), &known)));
        group.bench_function(format!("explain/{count} rules"), |bench| bench.iter(|| explain(&rules, black_box(&request), &known)));
        if count == 20 {
            let entries = vec![observation.clone(); 1_000];
            group.bench_function("bundle/1,000 entries, 20 rules", |bench| {
                bench.iter(|| entries.iter().filter(|entry| is_permitted(&rules, &request, entry)).count());
            });
        }
    }
    group.finish();
}
