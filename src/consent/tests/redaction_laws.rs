//! Laws of redaction, tried on many resources put together at random from parts that may be seen and parts that may not. The seed is fixed.

use super::redaction::released;
use super::*;
use crate::fhir::Value;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

const ROUNDS: usize = 4_000;

/// Nothing about psychiatry or substance use, and not the one observation.
const CONSENT: &str = r#"{"resourceType":"Consent","id":"c","status":"active","patient":{"reference":"Patient/1"},
    "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
    "provision":{"type":"permit","provision":[
        {"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]},
        {"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"ETH"}]},
        {"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Flag"}]},
        {"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/hidden"}}]}]}}"#;

/// What must not be found in what is released, in lower case.
const SECRETS: [&str; 17] = [
    "f20.0",
    "f10.2",
    "58214004",
    "99408",
    "1819",
    "schizophrenia",
    "methadone",
    "opioid",
    "heroin",
    "psychiatric",
    "hidden",
    "flag/",
    "redacted",
    "subsetted",
    "securest",
    "\"psy\"",
    "\"ethud\"",
];

const SEEN_CONCEPTS: [&str; 3] = [
    r#"{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"Hypertension"}],"text":"High blood pressure"}"#,
    r#"{"coding":[{"system":"http://loinc.org","code":"718-7"},{"system":"urn:local","code":"hb"}]}"#,
    r#"{"text":"Knee"}"#,
];
const HIDDEN_CONCEPTS: [&str; 7] = [
    r#"{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F20.0"}]}"#,
    r#"{"coding":[{"system":"urn:local","code":"v1"},{"system":"urn:oid:2.16.840.1.113883.6.90","code":" F10.2 "}],"text":"visit"}"#,
    r#"{"coding":[{"system":"http://snomed.info/sct/","code":"58214004","display":"x"}]}"#,
    r#"{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"SCHIZOPHRENIA"}]}"#,
    r#"{"text":"Opioid dependence"}"#,
    r#"{"coding":[{"code":"99408","system":"http://www.ama-assn.org/go/cpt|2024"}]}"#,
    r#"{"extension":[{"url":"http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label","valueCoding":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"ETHUD"}}],"text":"securest"}"#,
];
const SEEN_REFERENCES: [&str; 3] = [
    r#"{"reference":"Observation/seen","display":"Hb"}"#,
    r#"{"reference":"Practitioner/9"}"#,
    r#"{"identifier":{"system":"urn:x","value":"7"}}"#,
];
const HIDDEN_REFERENCES: [&str; 6] = [
    r#"{"reference":"Observation/hidden"}"#,
    r#"{"reference":"Observation/hidden/_history/3","display":"Hb"}"#,
    r#"{"reference":"Flag/1"}"#,
    r#"{"type":"Flag","identifier":{"value":"hidden-7"}}"#,
    r#"{"reference":"Encounter/4","display":"Visit to the methadone clinic"}"#,
    r##"{"reference":"#hidden"}"##,
];
const SEEN_WORDS: [&str; 3] = ["seen on the ward", "as before", "Hb 13"];
const HIDDEN_WORDS: [&str; 4] = ["history of heroin", "on Methadone 40 mg", "psychiatric\\nhistory", "OPIOID-USE"];

/// A resource of a type, without its id and subject, and which elements of it hold which kind of part: `C` concept, `R` reference, `W` words,
/// `A` annotation, `N` narrative; before it the element, with `[]` where it is a list, and `.` between an element and what is in it.
const TYPES: [(&str, &[&str]); 10] = [
    (
        r#""resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}"#,
        &[
            "R hasMember[]",
            "R performer[]",
            "R encounter",
            "A note[]",
            "N text",
            "C bodySite",
            "C interpretation[]",
            "C component[].code",
            "E extension[]",
        ],
    ),
    (
        r#""resourceType":"Encounter","status":"finished","class":{"code":"AMB"}"#,
        &[
            "C reasonCode[]",
            "R reasonReference[]",
            "R diagnosis[].condition",
            "C hospitalization.dischargeDisposition",
            "R location[].location",
            "N text",
        ],
    ),
    (
        r#""resourceType":"CarePlan","status":"active","intent":"plan""#,
        &[
            "R activity[].reference",
            "C activity[].detail.code",
            "W activity[].detail.description",
            "R goal[]",
            "W description",
            "A note[]",
            "E extension[]",
        ],
    ),
    (
        r#""resourceType":"DiagnosticReport","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}"#,
        &["R result[]", "W conclusion", "C conclusionCode[]", "R media[].link", "N text", "W presentedForm[].title", "E extension[]"],
    ),
    (
        r#""resourceType":"Composition","status":"final","type":{"coding":[{"system":"http://loinc.org","code":"60591-5"}]},"date":"2024","author":[{"reference":"Practitioner/9"}],"title":"Summary""#,
        &[
            "R section[].entry[]",
            "C section[].code",
            "N section[].text",
            "W section[].title",
            "R section[].section[].entry[]",
            "N text",
            "R event[].detail[]",
        ],
    ),
    (
        r#""resourceType":"List","status":"current","mode":"working""#,
        &["R entry[].item", "C entry[].flag", "A note[]", "R encounter", "N text"],
    ),
    (
        r#""resourceType":"QuestionnaireResponse","status":"completed""#,
        &["W item[].text", "W item[].answer[].valueString", "R item[].answer[].valueReference", "W item[].item[].text", "R encounter"],
    ),
    (
        r#""resourceType":"Appointment","status":"booked","participant":[{"status":"accepted","actor":{"reference":"Patient/1"}}]"#,
        &[
            "C reasonCode[]",
            "W comment",
            "W description",
            "R basedOn[]",
            "R supportingInformation[]",
            "W patientInstruction",
            "C specialty[]",
        ],
    ),
    (
        r#""resourceType":"MedicationRequest","status":"active","intent":"order","medicationReference":{"reference":"Medication/1"}"#,
        &[
            "C reasonCode[]",
            "R reasonReference[]",
            "W dosageInstruction[].text",
            "C dosageInstruction[].route",
            "A note[]",
            "R encounter",
            "C category[]",
        ],
    ),
    (
        r#""resourceType":"Communication","status":"completed""#,
        &["W payload[].contentString", "R payload[].contentReference", "R basedOn[]", "C reasonCode[]", "C topic", "A note[]", "R sender"],
    ),
];

/// What a part of a kind looks like.
fn part(random: &mut StdRng, kind: &str, is_hidden: bool) -> Node {
    let words = if is_hidden { HIDDEN_WORDS.choose(random) } else { SEEN_WORDS.choose(random) }.unwrap();
    let concept = if is_hidden { HIDDEN_CONCEPTS.choose(random) } else { SEEN_CONCEPTS.choose(random) }.unwrap();
    let reference = if is_hidden { HIDDEN_REFERENCES.choose(random) } else { SEEN_REFERENCES.choose(random) }.unwrap();
    parse(&match kind {
        "C" => (*concept).to_owned(),
        "R" => (*reference).to_owned(),
        "A" => format!(r#"{{"text":"{words}"}}"#),
        "N" => format!(r#"{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{words}</div>"}}"#),
        "E" => format!(r#"{{"url":"urn:x","valueCodeableConcept":{concept}}}"#),
        _ => format!("\"{words}\""),
    })
}

/// Puts a part where a path leads, into a list item that may be there already.
fn put(random: &mut StdRng, holder: &mut Object, path: &str, part: Node) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, repeats) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let mut items = match holder.get(name) {
        Some(Node { value: Value::List(items), .. }) => items.clone(),
        Some(other) => vec![other.clone()],
        None => Vec::new(),
    };
    match rest {
        None if repeats || items.is_empty() => items.push(part),
        None => items = vec![part],
        Some(rest) => {
            let reused = items.len().checked_sub(1).filter(|_| !repeats || random.random_bool(0.3));
            let index = reused.unwrap_or_else(|| {
                items.push(Object::new().into());
                items.len() - 1
            });
            put(random, items[index].as_object_mut().unwrap(), rest, part);
        }
    }
    let node = if repeats { items.into() } else { items.swap_remove(0) };
    holder.set(name, node);
}

/// A resource with parts.
fn resource(random: &mut StdRng, hidden_share: f64) -> Node {
    let (head, places) = TYPES.choose(random).unwrap();
    let subject = if head.contains("Appointment") { "" } else { r#","subject":{"reference":"Patient/1"}"# };
    let mut resource = parse(&format!(r#"{{{head},"id":"r1"{subject}}}"#));
    let object = resource.as_object_mut().unwrap();
    let mut names_contained = false;
    for _ in 0..random.random_range(1..9) {
        let (kind, path) = places.choose(random).unwrap().split_once(' ').unwrap();
        let is_hidden = random.random_bool(hidden_share);
        let part = part(random, kind, is_hidden);
        names_contained |= part.text("reference") == Some("#hidden");
        put(random, object, path, part);
    }
    let contained = contained(random, names_contained, object);
    if !contained.is_empty() {
        object.set_at(2, "contained", contained);
    }
    resource
}

/// The contained resources that are referred to, and one that may be seen.
fn contained(random: &mut StdRng, names_hidden: bool, holder: &mut Object) -> Vec<Node> {
    let mut contained = Vec::new();
    if names_hidden {
        let (concept, reference) = (HIDDEN_CONCEPTS[0], r##"{"reference":"#other"}"##);
        let asserter = if random.random_bool(0.5) { format!(r#","asserter":{reference}"#) } else { String::new() };
        contained.push(parse(&format!(
            r#"{{"resourceType":"Condition","id":"hidden","subject":{{"reference":"Patient/1"}},"code":{concept}{asserter}}}"#
        )));
        if !asserter.is_empty() {
            contained.push(parse(r#"{"resourceType":"Practitioner","id":"other","name":[{"family":"Holm"}]}"#));
        }
    }
    if random.random_bool(0.3) {
        contained.push(parse(r#"{"resourceType":"Practitioner","id":"seen","name":[{"family":"Berg"}]}"#));
        put(random, holder, "extension[]", parse(r##"{"url":"urn:x","valueReference":{"reference":"#seen"}}"##));
    }
    contained.shuffle(random);
    contained
}

/// A resource, or a Bundle of some.
fn thing(random: &mut StdRng, hidden_share: f64) -> Node {
    if random.random_bool(0.8) {
        return resource(random, hidden_share);
    }
    let mut entries = Vec::new();
    for index in 0..random.random_range(1..5) {
        let mut inner = resource(random, hidden_share);
        inner.as_object_mut().unwrap().set("id", format!("r{index}"));
        entries.push(Object::new().with("fullUrl", format!("http://h.example/r{index}")).with("resource", inner).into());
    }
    if hidden_share > 0.0 && random.random_bool(0.5) {
        let condition =
            format!(r#"{{"resourceType":"Condition","id":"hidden","subject":{{"reference":"Patient/1"}},"code":{}}}"#, HIDDEN_CONCEPTS[0]);
        entries.insert(0, Object::new().with("resource", parse(&condition)).into());
    }
    let bundle = Object::resource("Bundle").with("id", "b").with("type", "collection").with("total", entries.len() as u64);
    bundle.with("entry", entries).into()
}

fn secrets_in(written: &str) -> Vec<&'static str> {
    let written = written.to_lowercase();
    SECRETS.into_iter().filter(|secret| written.contains(secret)).collect()
}

/// Whether everything in one tree stands in the other, in the same order.
fn is_within(part: &Node, whole: &Node) -> bool {
    match (&part.value, &whole.value) {
        (Value::Object(part), Value::Object(_)) => {
            part.members().iter().all(|member| whole.get(&member.name).is_some_and(|whole| is_within(&member.node, whole)))
        }
        (Value::List(part), Value::List(whole)) => {
            let mut whole = whole.iter();
            part.iter().all(|item| whole.any(|whole| is_within(item, whole)))
        }
        (part, whole) => part == whole,
    }
}

fn try_many(seed: u64, law: impl Fn(&mut StdRng) -> bool) -> usize {
    (0..ROUNDS).filter(|round| law(&mut StdRng::seed_from_u64(seed * 1_000_000 + *round as u64))).count()
}

#[test]
fn nothing_that_is_withheld_survives_and_nothing_is_added() {
    let consents = [parse(CONSENT)];
    let released = try_many(1, |random| {
        let whole = thing(random, 0.25);
        let any_hidden = !secrets_in(&json::write(&whole)).is_empty();
        let Some(left) = released(&consents, Policy::default(), &whole) else { return false };
        let written = json::write(left.resource());
        let told = format!("{}\n{written}", json::write(&whole));
        let found = secrets_in(&written);
        assert!(found.is_empty(), "{found:?} in\n{told}");
        assert!(is_within(left.resource(), &whole), "{told}");
        assert_eq!(left.is_redacted(), any_hidden, "{told}");
        let again = super::redaction::released(&consents, Policy::default(), left.resource());
        let again = again.unwrap_or_else(|| panic!("nothing the second time: {told}"));
        assert!(!again.is_redacted() && again.resource() == left.resource(), "{told}\n{}", json::write(again.resource()));
        any_hidden
    });
    assert!(released > ROUNDS / 3, "only {released} were released in part");
}

#[test]
fn what_nobody_withholds_anything_from_is_left_as_it_is() {
    let consents = [parse(CONSENT)];
    let released = try_many(2, |random| {
        let whole = thing(random, 0.0);
        let left = released(&consents, Policy { reveal_redaction: true, ..Policy::default() }, &whole);
        assert_eq!(left.map(|left| json::write(left.resource())), Some(json::write(&whole)), "{}", json::write(&whole));
        true
    });
    assert_eq!(released, ROUNDS);
}

#[test]
fn marks_are_all_that_is_added_where_the_recipient_may_know() {
    let consents = [parse(CONSENT)];
    try_many(3, |random| {
        let whole = thing(random, 0.25);
        let silent = released(&consents, Policy::default(), &whole);
        let told = released(&consents, Policy { reveal_redaction: true, ..Policy::default() }, &whole);
        assert_eq!(silent.is_some(), told.is_some());
        let (Some(silent), Some(told)) = (silent, told) else { return false };
        let mut unmarked = told.resource().clone();
        unmarked.as_object_mut().unwrap().remove("meta");
        assert_eq!(json::write(&unmarked), json::write(silent.resource()));
        assert_eq!(told.resource().get("meta").is_some(), silent.is_redacted());
        true
    });
}

#[test]
fn spoiled_resources_are_redacted_without_harm() {
    let consents = [parse(CONSENT)];
    try_many(4, |random| {
        let mut whole = thing(random, 0.25);
        super::laws::spoil(&mut whole, random);
        let Some(left) = released(&consents, Policy::default(), &whole) else { return false };
        assert!(is_within(left.resource(), &whole), "{}", json::write(&whole));
        true
    });
}

#[test]
fn whatever_the_consents_say_what_is_left_would_be_permitted_whole() {
    let released = try_many(5, |random| {
        let (consents, policy, whole) = (super::made::consents(random), super::made::policy(random), thing(random, 0.25));
        let Some(left) = released(&consents, policy, &whole) else { return false };
        let told = || format!("{}\n{}", super::laws::told(&consents, &whole), json::write(left.resource()));
        let again = super::redaction::released(&consents, policy, left.resource());
        let again = again.unwrap_or_else(|| panic!("nothing the second time: {}", told()));
        assert!(!again.is_redacted() && again.resource() == left.resource(), "{}", told());
        assert!(is_within(left.resource(), &whole), "{}", told());
        left.is_redacted()
    });
    assert!(released > ROUNDS / 100, "only {released} were released in part");
}
