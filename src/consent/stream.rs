//! Decisions in bulk: one JSON case a line in, one JSON decision a line out. What `hearthgate consent decide` runs.
//!
//! A case is `{"id", "consents": [Consent…], "context": [resources…], "request": {…}}`. The request has `now`, `patient`, `actors` (References),
//! `purpose` (Codings), `action`, `scope`, `category` and `class` (Codings), `recipient_location`, `resource`, or `resource_attributes`
//! (`author`, `reference`, `date`) where the resource itself is not at hand. `request.now` is the clock.

use super::code::{Code, Reference, codings, items};
use super::criteria::Kind;
use super::decision::{Decision, Obligation, decide_request, explain};
use super::directory::Directory;
use super::facts::{self, Author, ResourceFacts};
use super::patients::{PatientReference, patient_identifiers_of};
use super::period::Period;
use super::policy::Policy;
use super::request::{Action, Party, Request};
use super::rules::Rules;
use super::vocabulary::{CONSENT_SCOPE, Concept};
use crate::clock::Instant;
use crate::definitions::Definitions;
use crate::fhir::json::{self, DEFAULT_DEPTH};
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object, Value};
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

/// The longest line that is read. The rest of a longer one is passed over, and the case denied.
const LINE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Decides case after case until the input ends; answers how many. A case that cannot be read is denied, flagged `malformed`, and its trace says why.
pub fn decide_stream(mut input: impl BufRead, mut output: impl Write) -> io::Result<usize> {
    let mut count = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let is_cut = read as u64 == LINE_LIMIT_BYTES && line.last() != Some(&b'\n');
        if is_cut {
            input.skip_until(b'\n')?;
        } else if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let case = if is_cut { None } else { json::parse(&line, DEFAULT_DEPTH).ok() };
        let answer = case.map_or_else(|| malformed(Value::Null.into(), "not-json"), |case| answer(&case));
        writeln!(output, "{}", json::write(&answer))?;
        count += 1;
    }
    output.flush()?;
    Ok(count)
}

fn malformed(id: Node, why: &str) -> Node {
    let flags = vec![Node::from("malformed")];
    Object::new().with("id", id).with("decision", "deny").with("flags", flags).with("trace", vec![Node::from(why)]).into()
}

fn answer(case: &Node) -> Node {
    let id = case.get("id").cloned().unwrap_or_else(|| Value::Null.into());
    let request = case.get("request").ok_or("no-request").and_then(|node| Ok((node, read_request(node)?)));
    let (request_node, request) = match request {
        Ok(read) => read,
        Err(why) => return malformed(id, why),
    };
    let directory = Directory::of(items(case, "context")).taken_for_whole();
    let consents: Vec<Node> = items(case, "consents").iter().filter(|consent| is_about(consent, request_node)).cloned().collect();
    // The request is taken as given: one that declares no purpose is not refused for that alone, one about a time before the consent was given asks
    // what it would say, and nobody is of age of whom no record comes along.
    let policy = Policy { purpose_required: false, dates_bind: false, age_required: false, ..Policy::default() };
    let rules = Rules::compile(&consents, &directory, policy);
    let decision = match read_facts(request_node, &directory) {
        Some(facts) => explain(&rules, &request, &facts),
        None => decide_request(&rules, &request),
    };
    write_decision(id, &decision)
}

/// Reads the request, or says what is wrong with it. A day is no instant: whether a rule holds may change in the course of it.
fn read_request(node: &Node) -> Result<Request, &'static str> {
    let now = node.text("now").and_then(|now| DateTime::parse_instant(now).ok());
    let instant = now.ok_or("now-is-no-instant")?.interval().low;
    let codes = |name: &str| items(node, name).iter().flat_map(codings).filter_map(Code::from_coding).collect::<Vec<_>>();
    let scope = node.text("scope").map(|scope| Code::new(CONSENT_SCOPE, scope));
    let action = match node.text("action") {
        None => Action::Access,
        Some(code) => Action::from_code(code).ok_or("action-unknown")?,
    };
    Ok(Request {
        actors: items(node, "actors").iter().map(Party::from_reference).collect(),
        custodian: node.get("custodian").map(Party::from_reference),
        locations: items(node, "recipient_location").iter().filter_map(read_reference).collect(),
        purposes: codes("purpose").into_iter().map(Concept::new).collect(),
        action,
        classes: codes("class"),
        categories: codes("category").into_iter().chain(scope).collect(),
        instant: Instant::from_micros(instant),
    })
}

/// A reference written as FHIR does, or as its bare text.
fn read_reference(node: &Node) -> Option<Reference> {
    node.as_text().map_or_else(|| Reference::from_node(node), Reference::new)
}

/// Whether a consent may be the patient's whom the request names: not when both name different patients in the same form.
fn is_about(consent: &Node, request: &Node) -> bool {
    let Some(asked) = request.get("patient") else { return true };
    let Some(subject) = consent.get("patient").or_else(|| consent.get("subject")) else { return true };
    let (asked, subject) = (Party::from_reference(asked), Party::from_reference(subject));
    let meets = |a: &Reference| subject.references.iter().any(|b| a.may_be(b));
    asked.references.is_empty() || subject.references.is_empty() || asked.references.iter().any(meets)
}

fn read_facts(request: &Node, directory: &Directory) -> Option<ResourceFacts> {
    if let Some(resource) = request.get("resource") {
        return Some(facts_in(resource, request.get("patient").and_then(Reference::from_node).as_ref(), directory));
    }
    let attributes = request.get("resource_attributes")?;
    let mut facts = ResourceFacts { type_name: "Resource".into(), ..ResourceFacts::default() };
    let author = attributes.get("author").and_then(read_reference);
    facts.authors = Arc::new(author.map(|author| Author::from(Party::named(&author))).into_iter().collect());
    facts.references.extend(attributes.get("reference").and_then(read_reference));
    facts.dates = Arc::new(attributes.text("date").and_then(Period::of_date).into_iter().collect());
    // What is not among the attributes is not known, which is not the same as that it is not there.
    let told = [(Kind::Data, facts.references.is_empty())].into_iter().filter_map(|(kind, is_untold)| is_untold.then_some(kind));
    [Kind::Class, Kind::Document, Kind::Label, Kind::Code].into_iter().chain(told).for_each(|kind| facts.untold.add(kind));
    let patient = request.get("patient").and_then(Reference::from_node).or_else(|| Reference::new("Patient/of-the-request"));
    facts.patients.extend(patient.map(PatientReference::Known));
    Some(facts)
}

/// The facts of a resource among others: what it names by identifier is what they are known by. Where that is another patient than the one it
/// names literally, nobody can tell whose it is. Nor is anything said by one patient's consents of what is about another.
fn facts_in(resource: &Node, asked: Option<&Reference>, directory: &Directory) -> ResourceFacts {
    let mut facts = facts::of(resource);
    facts.add_bases(Definitions::embedded());
    let meant: Vec<Reference> = directory.meant_by(facts.references.as_slice()).collect();
    facts.add_meant(meant);
    let is_others = asked.is_some_and(|asked| facts.patients().iter().any(|about| is_another(about, asked)));
    if is_others || !directory.other_patients(&patient_identifiers_of(resource), facts.patients()).is_empty() {
        facts.add_patient(PatientReference::Unresolvable);
    }
    facts
}

/// Whether a resource names another patient than the request, in the same form: of one with a base and one without nobody can tell.
fn is_another(about: &PatientReference, asked: &Reference) -> bool {
    match about {
        PatientReference::Known(about) => about != asked && about.has_no_base() == asked.has_no_base(),
        PatientReference::Unresolvable => false,
    }
}

fn write_decision(id: Node, decision: &Decision) -> Node {
    let word = match (decision.is_permit(), decision.governing().is_some()) {
        (true, _) => "permit",
        (false, true) => "deny",
        (false, false) => "no-consent",
    };
    let ambiguous = decision.is_ambiguous().then_some("ambiguous");
    let flags: Vec<Node> = ambiguous.into_iter().chain(decision.dissent()).map(Node::from).collect();
    let codes = std::iter::once(decision.reason().to_owned());
    let steps = decision.steps().iter().map(|step| format!("{} {} {}", step.consent.consent, step.rule, step.code()));
    let trace: Vec<Node> = codes.chain(steps).map(Node::from).collect();
    let obligations: Vec<Node> = decision.obligations().iter().map(write_obligation).collect();
    let governing = decision.governing().map(|governing| governing.consent.as_str());
    Object::new()
        .with("id", id)
        .with("decision", word)
        .with("flags", flags)
        .with("trace", trace)
        .with("obligations", obligations)
        .with_some("governing", governing)
        .with("sentence", decision.sentence())
        .into()
}

fn write_obligation(obligation: &Obligation) -> Node {
    match obligation {
        Obligation::NoticePart2 => Object::new().with("code", "notice-42-cfr-2.32").into(),
        Obligation::Withhold { rule, labels, classes, codes } => limited("withhold", rule, [labels, classes, codes]),
        Obligation::ReleaseOnly { rule, labels, classes, codes } => limited("release-only", rule, [labels, classes, codes]),
    }
}

fn limited(code: &str, rule: &str, [labels, classes, codes]: [&[Code]; 3]) -> Node {
    let list = |codes: &[Code]| codes.iter().map(write_code).collect::<Vec<Node>>();
    Object::new()
        .with("code", code)
        .with("rule", rule)
        .with("labels", list(labels))
        .with("classes", list(classes))
        .with("codes", list(codes))
        .into()
}

fn write_code(code: &Code) -> Node {
    Object::new().with("system", code.system.as_str()).with("code", code.code.as_str()).into()
}
