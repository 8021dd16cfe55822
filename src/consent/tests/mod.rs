//! Cases from `fixtures/consent` through the whole decision, laws over consents made at random, and the parts one by one.

mod authors;
mod consult;
mod laws;
mod limits;
mod made;
mod parts;
mod redaction;
mod redaction_laws;
mod unsettled;

use super::*;
use crate::clock::Instant;
use crate::fhir::json::{self, DEFAULT_DEPTH};
use crate::fhir::{Node, Object};
use std::path::Path;

fn parse(text: &str) -> Node {
    json::parse(text.as_bytes(), DEFAULT_DEPTH).unwrap()
}

/// 2025-06-01T12:00:00Z.
fn noon() -> Instant {
    Instant::from_micros(1_748_779_200_000_000)
}

fn party(reference: &str) -> Party {
    Party { references: vec![Reference::new(reference).unwrap()], ..Party::default() }
}

fn request(who: &str, purpose: &str) -> Request {
    Request::new(vec![party(who)], vec![Code::new("http://terminology.hl7.org/CodeSystem/v3-ActReason", purpose)], noon())
}

fn decide_on(consents: &[Node], policy: Policy, request: &Request, resource: &Node) -> Decision {
    decide(&Rules::compile(consents, &Directory::default(), policy), request, &facts::of(resource))
}

/// One line of the stream, decided.
fn decide_case(case: &Node) -> Node {
    let mut output = Vec::new();
    decide_stream(json::write(case).as_bytes(), &mut output).unwrap();
    json::parse(&output, DEFAULT_DEPTH).unwrap()
}

fn check(name: &str, fixture: &Node, index: usize, case: &Node) {
    let line = Object::new()
        .with("id", "case")
        .with("consents", fixture.get("consents").unwrap().clone())
        .with("context", fixture.get("context").unwrap().clone())
        .with("request", case.get("request").unwrap().clone());
    let answer = decide_case(&line.into());
    let flags: Vec<&str> = answer.items("flags").iter().filter_map(Node::as_text).collect();
    let told = format!("{name} case {index}: {}", json::write(&answer));
    assert_eq!(answer.text("decision"), case.text("expect"), "{told}");
    assert_eq!(flags.first().copied(), case.text("flag"), "{told}");
}

#[test]
fn fixtures_are_decided_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/consent");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let fixture = parse(&std::fs::read_to_string(&path).unwrap());
        for (index, case) in fixture.items("cases").iter().enumerate() {
            check(&path.display().to_string(), &fixture, index, case);
            count += 1;
        }
    }
    assert!(count > 150, "only {count} cases");
}

#[test]
fn a_stream_answers_line_by_line_whatever_it_is_given() {
    let input = b"\n{\"id\":1}\nnot json\n{\"id\":2,\"request\":{\"now\":\"yesterday\"}}\n{\"id\":3,\"request\":{\"now\":\"2025-06-01T00:00:00Z\",\"action\":\"teleport\"}}\n{\"id\":4,\"request\":{\"now\":\"2025-06-01T00:00:00Z\"}}";
    let mut output = Vec::new();
    assert_eq!(decide_stream(&input[..], &mut output).unwrap(), 5);
    let lines: Vec<Node> = String::from_utf8(output).unwrap().lines().map(parse).collect();
    let answers: Vec<_> = lines.iter().map(|line| (line.text("decision").unwrap(), line.items("flags").len())).collect();
    assert_eq!(answers, [("deny", 1), ("deny", 1), ("deny", 1), ("deny", 1), ("no-consent", 0)]);
}
