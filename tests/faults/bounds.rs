//! Documents and definitions built to cost: time and memory stay bounded, a finding names the limit, and what follows is judged as before.

use hearthgate::definitions::Definitions;
use hearthgate::fhir::{Node, SyntaxErrorKind, json, xml};
use hearthgate::outcome::Finding;
use hearthgate::validate::{self, Options};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What nothing here may exceed, however slow the machine and the build.
const PATIENCE: Duration = Duration::from_secs(90);

const PROFILE: &str = "https://example.org/fhir/StructureDefinition/hostile";

fn read(value: &Value) -> Node {
    json::parse(value.to_string().as_bytes(), json::DEFAULT_DEPTH).unwrap()
}

/// Judges a resource by definitions of its own and `PROFILE`, within bounded time; each finding as `id expression`.
fn judge(why: &str, definitions: &[Value], resource: &Node) -> Vec<Finding> {
    let start = Instant::now();
    let own: Vec<Node> = definitions.iter().map(read).collect();
    let profiles = if own.is_empty() { Vec::new() } else { vec![PROFILE.to_owned()] };
    let options = Options { profiles, report_undecided: true, ..Options::default() };
    let found = validate::check(&Definitions::with(&own), resource, &options);
    assert!(start.elapsed() < PATIENCE, "{why}: {:?}", start.elapsed());
    found
}

/// One finding has this id and says this.
fn check(why: &str, definitions: &[Value], resource: &Value, id: &str, says: &str) {
    let found = judge(why, definitions, &read(resource));
    let is_it = |one: &Finding| one.message_id == id && one.text.contains(says);
    assert!(found.iter().any(is_it), "{why}: {found:?}");
    // The process lives, and judges the next as always.
    assert!(judge("an ordinary resource", &[], &read(&json!({"resourceType": "Patient", "active": true}))).is_empty());
}

fn profile(url: &str, base: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": url, "name": "Hostile", "status": "active", "kind": "resource", "abstract": false,
        "type": "Patient", "baseDefinition": base, "derivation": "constraint", "differential": {"element": elements}})
}

fn rule(expression: &str) -> Value {
    let constraint = json!([{"key": "h-1", "severity": "error", "human": "x", "expression": expression}]);
    profile(
        PROFILE,
        "http://hl7.org/fhir/StructureDefinition/Patient",
        &json!([{"id": "Patient", "path": "Patient", "constraint": constraint}]),
    )
}

#[test]
fn a_resource_of_a_hundred_megabytes() {
    let text = format!(r#"{{"resourceType":"Patient","name":[{{"text":"{}"}}]}}"#, "x".repeat(100 << 20));
    let patient = json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap();
    let found = judge("one long text", &[], &patient);
    assert_eq!(found.first().map(|one| one.message_id), Some("Type_Specific_Checks_DT_String_Length"));
    let text = format!(r#"{{"resourceType":"Patient","name":[{}{{}}]}}"#, "{},".repeat(300_000));
    let patient = json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap();
    let found = judge("many empty names", &[], &patient);
    assert_eq!(found.last().map(|one| one.message_id), Some("FINDINGS_MAX"));
    assert!(found.last().is_some_and(|one| one.text.contains("1000 findings")));
}

#[test]
fn a_nesting_of_a_hundred_thousand() {
    let levels = 100_000;
    let limit = SyntaxErrorKind::TooDeep { limit: json::DEFAULT_DEPTH };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"extension":["#, "]}")] {
        let closed = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        for text in [closed.as_str(), &open.repeat(levels)] {
            assert_eq!(json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap_err().kind, limit);
        }
    }
    let types = Definitions::embedded().types();
    let element = format!("<Patient xmlns=\"http://hl7.org/fhir\">{}", "<extension url=\"a\">".repeat(levels));
    let div =
        format!("<Patient xmlns=\"http://hl7.org/fhir\"><text><div xmlns=\"http://www.w3.org/1999/xhtml\">{}", "<div>".repeat(levels));
    for text in [element, div] {
        assert_eq!(xml::parse(text.as_bytes(), json::DEFAULT_DEPTH, types).unwrap_err().kind, limit);
    }
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", "<b>".repeat(levels));
    let patient = json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}});
    check("a narrative nested in JSON", &[], &patient, "XHTML_DEPTH_MAX", "levels deep");
}

#[test]
fn rules_built_to_explode() {
    const NOT_EVALUATED: &str = "INV_NOT_EVALUATED";
    let patient = json!({"resourceType": "Patient", "name": [{"given": vec!["ab".repeat(5_000); 20]}]});
    for (expression, says) in [
        ("name.given.all(matches('(a|b)*a[ab]{2000}$').not())", "steps of evaluation"),
        ("name.given.all(matches('\\\\w{5000}').not())", "bytes of compiled regular expressions"),
        (&format!("{}true{}", "(".repeat(200), ")".repeat(200)), "levels of nesting"),
        (&format!("'{}'.empty()", "x".repeat(70_000)), "bytes of expression"),
        (
            "name.given.select(%resource.descendants().select(%resource.descendants().select(%resource.descendants().count()))).exists()",
            "steps of evaluation",
        ),
        ("name.given.aggregate($total & $this & $total & $total, 'x').exists()", "bytes of text"),
        ("repeat($this.toString() & 'x' | name.given).select(repeat($this & 'x')).exists()", "steps of evaluation"),
    ] {
        check(expression, &[rule(expression)], &patient, NOT_EVALUATED, says);
    }
}

#[test]
fn definitions_that_turn_in_circles() {
    let patient = json!({"resourceType": "Patient", "gender": "male", "name": [{"family": "x"}], "maritalStatus": {"coding": [{"system": "urn:x:s", "code": "a"}]}});
    let named = json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]);
    let other = "https://example.org/fhir/StructureDefinition/other";
    const BASE_UNKNOWN: &str = "VALIDATION_VAL_PROFILE_BASE_UNKNOWN";
    check("a definition derived from itself", &[profile(PROFILE, PROFILE, &named)], &patient, BASE_UNKNOWN, "derives from itself");
    let pair = [profile(PROFILE, other, &named), profile(other, PROFILE, &named)];
    check("two derived from each other", &pair, &patient, BASE_UNKNOWN, "derives from itself");
    let set = |url: &str, of: &str| json!({"resourceType": "ValueSet", "url": url, "name": "Round", "status": "active", "compose": {"include": [{"valueSet": [of]}]}});
    let bound = json!([{"id": "Patient.gender", "path": "Patient.gender", "binding": {"strength": "required", "valueSet": "urn:x:1"}}]);
    let bound = profile(PROFILE, "http://hl7.org/fhir/StructureDefinition/Patient", &bound);
    for (why, sets) in [
        ("a set of itself", vec![set("urn:x:1", "urn:x:1")]),
        ("sets of each other", vec![set("urn:x:1", "urn:x:2"), set("urn:x:2", "urn:x:1")]),
    ] {
        let definitions: Vec<Value> = sets.into_iter().chain([bound.clone()]).collect();
        let found = judge(why, &definitions, &read(&patient));
        assert!(found.iter().any(|one| one.expression == "Patient.gender" && one.text.contains("urn:x:1")), "{why}: {found:?}");
    }
}

#[test]
fn a_profile_that_contradicts_itself_and_its_base() {
    let elements = json!([
        {"id": "Patient.name", "path": "Patient.name", "min": 2, "max": "1"},
        {"id": "Patient.gender", "path": "Patient.gender", "min": 1, "max": "0"},
        {"id": "Patient.birthDate", "path": "Patient.birthDate", "type": [{"code": "Quantity"}]},
        {"id": "Patient.nothing", "path": "Patient.nothing", "min": 1},
        {"id": "Patient.active", "path": "Patient.active", "fixedBoolean": true, "patternBoolean": false},
    ]);
    let hostile = profile(PROFILE, "http://hl7.org/fhir/StructureDefinition/Patient", &elements);
    let patient =
        read(&json!({"resourceType": "Patient", "active": true, "name": [{"family": "x"}], "gender": "male", "birthDate": "2020"}));
    let found = judge("a profile nobody can meet", &[hostile], &patient);
    for id in
        ["Validation_VAL_Profile_Minimum_one", "Validation_VAL_Profile_Maximum_one", "Validation_VAL_Profile_NoType", "_DT_Fixed_Wrong"]
    {
        assert!(found.iter().any(|one| one.message_id == id && one.text.contains(PROFILE)), "{id}: {found:?}");
    }
}

/// Four times the items take about four times as long, not sixteen.
#[test]
fn time_grows_with_the_document() {
    let ids = |count: usize| (0..count).map(move |number| format!("i{number}"));
    let contained = |count: usize| {
        let all: Vec<Value> = ids(count).map(|id| json!({"resourceType": "Practitioner", "id": id})).collect();
        let references: Vec<Value> = ids(count).map(|id| json!({"reference": format!("#{id}")})).collect();
        json!({"resourceType": "Patient", "contained": all, "generalPractitioner": references})
    };
    let bundle = |count: usize| {
        let entry = |id: String| json!({"fullUrl": format!("https://e.example/fhir/Basic/{id}"), "resource": {"resourceType": "Basic", "id": id, "code": {"text": "x"}, "subject": {"reference": "Basic/i0"}}});
        json!({"resourceType": "Bundle", "type": "collection", "entry": ids(count).map(entry).collect::<Vec<_>>()})
    };
    let response = |count: usize| {
        let items: Vec<Value> = ids(count).map(|id| json!({"linkId": id, "answer": [{"valueString": "x"}]})).collect();
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "https://e.example/fhir/Questionnaire/q", "item": items})
    };
    let form = |count: usize| {
        let item = |id: String| json!({"linkId": id, "type": "string", "enableWhen": [{"question": "i0", "operator": "exists", "answerBoolean": true}]});
        let mut items: Vec<Value> = ids(count).map(item).collect();
        items[0] = json!({"linkId": "i0", "type": "string"});
        json!({"resourceType": "Questionnaire", "url": "https://e.example/fhir/Questionnaire/q", "status": "active", "item": items})
    };
    let few = 1_000;
    for (why, definitions, document) in [
        ("contained resources", None, &contained as &dyn Fn(usize) -> Value),
        ("entries of a Bundle", None, &bundle),
        ("answers to a form", Some(form(8 * few)), &response),
    ] {
        let definitions = Definitions::with(&definitions.iter().map(read).collect::<Vec<_>>());
        let time = |count: usize| {
            let node = read(&document(count));
            let once = || {
                let start = Instant::now();
                assert!(validate::check(&definitions, &node, &Options::default()).iter().all(|one| !one.is_error()), "{why}");
                start.elapsed()
            };
            (0..3).map(|_| once()).min().unwrap()
        };
        let (small, large) = (time(few), time(8 * few));
        assert!(large < small * 8 * 4 + Duration::from_millis(200), "{why}: {few} in {small:?}, {} in {large:?}", 8 * few);
    }
}

#[test]
fn packages_half_written() {
    let folder = crate::support::Folder::new("packages");
    let whole = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/definitions/package");
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    builder.append_dir_all("package", &whole).unwrap();
    let archive = builder.into_inner().unwrap().finish().unwrap();
    let sound = folder.path().join("sound.tgz");
    std::fs::write(&sound, &archive).unwrap();
    Definitions::with_packages(&[&sound]).unwrap();
    let mut refused = 0;
    for length in (0..archive.len()).step_by(archive.len() / 40) {
        let half = folder.path().join("half.tgz");
        std::fs::write(&half, &archive[..length]).unwrap();
        let start = Instant::now();
        refused += usize::from(Definitions::with_packages(&[&half]).is_err_and(|error| !error.to_string().is_empty()));
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(refused >= 40, "{refused} of 41 halves were refused");
}
