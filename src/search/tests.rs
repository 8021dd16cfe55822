use super::*;
use crate::definitions::Definitions;
use crate::fhir::json::{self, DEFAULT_DEPTH};
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object};
use crate::outcome::{Reason, Refusal};
use std::path::Path;

pub(super) fn definitions() -> &'static Definitions {
    Definitions::embedded()
}

pub(super) fn resources() -> Vec<Node> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/search/resources.json");
    let list = json::parse(&std::fs::read(path).unwrap(), DEFAULT_DEPTH).unwrap();
    list.as_list().unwrap().to_vec()
}

fn resource(id: &str) -> Node {
    resources().into_iter().find(|resource| resource.text("id") == Some(id)).unwrap()
}

/// `Patient?name=a&gender=b`, taken apart at its marks; values stand as they are, without percent-encoding.
fn query(text: &str, handling: Handling) -> Result<Query, Refusal> {
    let (type_name, rest) = text.split_once('?').unwrap_or((text, ""));
    Query::parse(definitions(), type_name, &pairs(rest), handling)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let split = |pair: &str| pair.split_once('=').map_or((pair.into(), String::new()), |(name, value)| (name.into(), value.into()));
    text.split('&').filter(|pair| !pair.is_empty()).map(split).collect()
}

/// Which of the fixtures a query finds, in their order; every one it finds is also a candidate by the index.
fn check(text: &str, expected: &str) {
    let query = query(text, Handling::Strict).unwrap_or_else(|refusal| panic!("{text}: {:?}", refusal.findings));
    let found: Vec<String> = resources()
        .iter()
        .filter(|resource| query.matches(resource))
        .inspect(|resource| assert_eq!(missed_by(&query, resource), None, "{text}"))
        .filter_map(|resource| resource.text("id").map(str::to_owned))
        .collect();
    assert_eq!(found.join(" "), expected, "{text}");
}

/// The lookup that a resource's terms do not satisfy, though it matches.
pub(super) fn missed_by(query: &Query, resource: &Node) -> Option<Lookup> {
    if !query.matches(resource) {
        return None;
    }
    let terms = terms(definitions(), resource);
    query.lookups().into_iter().find(|lookup| !is_satisfied(lookup, &terms, resource))
}

fn is_satisfied(lookup: &Lookup, terms: &[Term], resource: &Node) -> bool {
    let any = |test: &dyn Fn(&Term) -> bool| terms.iter().any(test);
    match lookup {
        Lookup::Exact(keys) => any(&|term| matches!(term, Term::Exact { key } if keys.contains(key))),
        Lookup::Prefix { parameter: wanted, prefixes } => any(&|term| match term {
            Term::Text { parameter, value } => parameter == wanted && prefixes.iter().any(|prefix| value.starts_with(prefix)),
            _ => false,
        }),
        Lookup::Range { parameter: wanted, low: from, high: to } => any(&|term| match term {
            Term::Range { parameter, low, high } => parameter == wanted && low <= to && high >= from,
            _ => false,
        }),
        Lookup::Ids(ids) => resource.text("id").is_some_and(|id| ids.iter().any(|wanted| wanted == id)),
        Lookup::LastUpdated { low, high } => resource.text_at(&["meta", "lastUpdated"]).is_some_and(|text| {
            let at = DateTime::parse_partial(text).unwrap().interval().low;
            at <= *high && at >= *low
        }),
        Lookup::Scan => true,
    }
}

#[test]
fn tokens() {
    check("Patient?gender=female", "anna");
    check("Patient?gender=FEMALE,male", "anna bert");
    check("Patient?gender:not=female", "bert carl");
    check("Patient?gender:missing=true", "carl");
    check("Patient?gender:missing=false", "anna bert");
    check("Patient?active=true", "anna");
    check(r"Patient?identifier=http://a.example/mrn|Ab\,12\|x", "anna");
    check(r"Patient?identifier=Ab\,12\|x", "anna");
    check(r"Patient?identifier=ab\,12\|x", "");
    check(r"Patient?identifier=|Ab\,12\|x", "");
    check("Patient?identifier=http://a.example/mrn|", "anna");
    check("Patient?identifier=http://b.example/mrn|", "");
    check(r"Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|Ab\,12\|x", "anna");
    check("Patient?identifier:text=record", "anna");
    check("Patient?phone=555-1000", "anna");
    check("Patient?phone=anna@example.org", "");
    check("Patient?email=anna@example.org", "anna");
    check("Patient?telecom=555-1000", "anna");
    check("Patient?deceased=true", "bert");
    check("Patient?deceased=false", "anna carl");
    check("Observation?code=http://loinc.org|15074-8", "glucose group");
    check("Observation?code=15074-8&status=final&subject=Patient/anna", "glucose");
    check("Observation?code=|BP", "pressure");
    check("Observation?code=http://loinc.org|BP", "");
    check("Observation?code:text=blood", "glucose");
    check("Observation?combo-code=8480-6", "pressure");
    check("Observation?value-concept=http://snomed.info/sct|260385009", "culture");
    check("Patient?_tag=http://example.org/tags|night", "anna");
    check("Patient?_security=R", "anna");
}

#[test]
fn codes_take_the_system_of_their_binding() {
    let has_value_sets = definitions().value_set("http://hl7.org/fhir/ValueSet/administrative-gender").is_some();
    assert!(has_value_sets, "the definitions have no value set for gender");
    check("Patient?gender=http://hl7.org/fhir/administrative-gender|female", "anna");
    check("Patient?gender=http://example.org|female", "");
}

#[test]
fn strings() {
    check("Patient?name=ann", "anna");
    check("Patient?name=lise", "anna");
    check("Patient?family=munoz str", "anna");
    check("Patient?family=MUÑOZ STRASSE", "anna");
    check("Patient?family=strasse", "");
    check("Patient?family:contains=strasse", "anna");
    check("Patient?family:exact=Muñoz  Straße", "anna");
    check("Patient?family:exact=Muñoz Straße", "");
    check("Patient?name=annie,zed", "anna carl");
    check("Patient?given=anna&given=lise", "anna");
    check("Patient?given=anna&given=bert", "");
    check("Patient?address=hearth", "");
    check("Patient?address=1 hearth", "anna");
    check("Patient?address-city=angstrom", "anna");
}

#[test]
fn dates() {
    check("Patient?birthdate=1970", "anna bert");
    check("Patient?birthdate=1970-03", "anna");
    check("Patient?birthdate=eq1970-03-30", "anna");
    check("Patient?birthdate=ne1970-03-30", "bert");
    check("Patient?birthdate=gt1970-03-30", "bert");
    check("Patient?birthdate=ge1970-03-30", "anna bert");
    check("Patient?birthdate=lt1970-03-30", "bert");
    check("Patient?birthdate=sa1969,eb1960", "anna bert");
    check("Patient?birthdate=eb1970-03-31", "anna");
    check("Patient?birthdate=ap1970-03-29", "anna bert");
    check("Patient?death-date=2020", "bert");
    check("Observation?date=2013-04-02T08:30:10Z", "glucose");
    check("Observation?date=2013-04-02T08:30", "glucose");
    check("Observation?date=2013-03", "pressure");
    check("Observation?date=gt2013-03-14", "glucose culture");
    check("Observation?date=lt2013-03-02", "pressure");
    check("Observation?date=sa2013-12-31", "culture");
    check("Observation?date=ge2030", "culture");
    check("Patient?_lastUpdated=gt2026-03-15", "bert");
    check("Patient?_lastUpdated=2026-03-01", "anna");
    check("Patient?_lastUpdated=ge2026-03-01T12:00:00.250Z&_lastUpdated=lt2026-04", "anna");
}

#[test]
fn numbers_and_quantities() {
    check("RiskAssessment?probability=0.1", "risk");
    check("RiskAssessment?probability=0.10", "risk");
    check("RiskAssessment?probability=0.2", "");
    check("RiskAssessment?probability=gt0.1", "risk");
    check("Observation?value-quantity=6.3", "glucose");
    check("Observation?value-quantity=6.300", "glucose");
    check("Observation?value-quantity=6", "glucose");
    check("Observation?value-quantity=6.2", "");
    check("Observation?value-quantity=6.3|http://unitsofmeasure.org|mmol/L", "glucose");
    check("Observation?value-quantity=6.3||mmol/l", "glucose");
    check("Observation?value-quantity=6.3||mg", "");
    check("Observation?value-quantity=lt5||mg", "group");
    check("Observation?value-quantity=gt5", "glucose");
    check("Observation?value-quantity=ap6", "glucose");
    check("Observation?value-quantity=le6.30", "glucose group");
    check("Observation?combo-value-quantity=107||mmHg", "pressure");
    check("Observation?component-value-quantity=sa100", "pressure");
}

#[test]
fn references_and_uris() {
    check("Observation?subject=Patient/anna", "glucose");
    check("Observation?subject=anna", "glucose group");
    check("Observation?subject:Patient=anna", "glucose");
    check("Observation?subject:Group=anna", "group");
    check("Observation?patient=anna", "glucose");
    check("Observation?patient=Patient/bert", "pressure");
    check("Patient?general-practitioner=gp", "anna");
    check("Patient?organization:identifier=http://example.org/orgs|ORG1", "anna");
    check("Patient?organization:identifier=ORG2", "");
    check("Patient?link=http://other.example/fhir/Patient/9", "bert");
    check("Patient?link=Patient/9", "");
    check("Bundle?composition=c1", "document");
    check("ValueSet?url=http://example.org/fhir/ValueSet/colours", "set");
    check("ValueSet?url=http://example.org/fhir/ValueSet/colours|2.0", "set");
    check("ValueSet?url=http://example.org/fhir/ValueSet/colours|1.0", "");
    check("ValueSet?url:below=http://example.org/fhir", "set");
    check("ValueSet?url:below=http://example.org/fhir/Value", "");
    check("ValueSet?url:above=http://example.org/fhir/ValueSet/colours/of/spring", "set");
    check("Patient?_profile=http://example.org/StructureDefinition/patient", "anna");
    check("Patient?_profile=http://example.org/StructureDefinition/patient|1.0", "anna");
    check("Patient?_profile=http://example.org/StructureDefinition/patient|2.0", "");
    check("Patient?_source=http://a.example/feed", "anna");
    check("Patient?_id=anna,carl,nobody", "anna carl");
}

#[test]
fn composites() {
    check("Observation?code-value-quantity=http://loinc.org|15074-8$gt6", "glucose");
    check("Observation?code-value-quantity=15074-8$gt7", "");
    check("Observation?component-code-value-quantity=8480-6$107", "pressure");
    check("Observation?component-code-value-quantity=8480-6$60", "");
    check("Observation?component-code-value-quantity=8462-4$60,8480-6$60", "pressure");
    check("Observation?combo-code-value-quantity=8462-4$lt61,15074-8$lt7", "glucose pressure group");
    let composite = query("Observation?code-value-quantity=15074-8$6.3", Handling::Strict).unwrap();
    assert!(matches!(composite.lookups()[..], [Lookup::Exact(_), Lookup::Range { .. }]));
}

fn check_refused(text: &str, reason: Reason, place: &str) {
    for handling in [Handling::Strict, Handling::Lenient] {
        let refusal = query(text, handling).expect_err(text);
        assert_eq!((refusal.reason, refusal.findings[0].expression.as_str()), (reason, place), "{text} {handling:?}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_any_handling() {
    for name in ["_filter", "_query", "_text", "_content", "_list", "_contained", "near"] {
        let type_name = if name == "near" { "Location" } else { "Patient" };
        check_refused(&format!("{type_name}?{name}=x"), Reason::NotSupported, name);
    }
    for (text, reason, place) in [
        ("Observation?code.name=x", Reason::Malformed, "code.name"),
        ("Observation?subject:Encounter.status=x", Reason::Malformed, "subject:Encounter.status"),
        ("Observation?subject.colour=x", Reason::UnknownParameter, "colour"),
        ("Observation?subject:Patient.birthdate=x", Reason::Malformed, "birthdate"),
        ("Observation?focus.name=x", Reason::Malformed, "focus.name"),
        ("Patient?_has:Observation:patient=1", Reason::Malformed, "_has:Observation:patient"),
        ("Patient?_has:Thing:patient:code=1", Reason::Malformed, "_has:Thing:patient:code"),
        ("Patient?_has:Observation:encounter:code=1", Reason::Malformed, "_has:Observation:encounter:code"),
        ("Patient?_has:Observation:patient:code:in=1", Reason::NotSupported, "code:in"),
        ("Patient?_include=Patient", Reason::Malformed, "_include"),
        ("Patient?_include=Patient:name", Reason::Malformed, "_include"),
        ("Patient?_include=Patient:link:Observation", Reason::Malformed, "_include"),
        ("Patient?_include:recurse=Patient:link", Reason::Malformed, "_include"),
        ("Patient?_revinclude=*", Reason::Malformed, "_revinclude"),
    ] {
        check_refused(text, reason, place);
    }
    let deep = format!("Patient?{}name=x", "link:Patient.".repeat(MAX_LINK_DEPTH + 1));
    assert_eq!(query(&deep, Handling::Strict).unwrap_err().reason, Reason::NotSupported);
    check_refused(&format!("Patient?{}", "_include=Patient:link&".repeat(17)), Reason::Malformed, "_include");
    check_refused("Patient?name:above=x", Reason::NotSupported, "name:above");
    check_refused("Observation?code:in=x", Reason::NotSupported, "code:in");
    check_refused("Observation?subject:Encounter=1", Reason::NotSupported, "subject:Encounter");
    check_refused("Patient?_id:not=x", Reason::NotSupported, "_id:not");
    check_refused("Patient?birthdate=yesterday", Reason::Malformed, "birthdate");
    check_refused("Patient?gender=a,", Reason::Malformed, "gender");
    check_refused("Patient?_count=-1", Reason::Malformed, "_count");
    check_refused("Patient?_count=+1", Reason::Malformed, "_count");
    check_refused("Patient?_summary=yes", Reason::Malformed, "_summary");
    check_refused("Patient?_sort=nothing", Reason::Malformed, "_sort");
    check_refused("Patient?_elements=id&_summary=true", Reason::Malformed, "_elements");
    check_refused("Observation?code-value-quantity=15074-8", Reason::Malformed, "code-value-quantity");
    check_refused("Nothing?a=b", Reason::UnknownType, "");
    check_refused(&format!("Patient?gender={}", "a,".repeat(MAX_ALTERNATIVES) + "a"), Reason::Malformed, "gender");
    check_refused(&format!("Patient?gender={}", "a".repeat(MAX_VALUE_BYTES + 1)), Reason::Malformed, "gender");
    check_refused(&format!("Patient?{}", "gender=a&".repeat(MAX_PARAMETERS + 1)), Reason::Malformed, "");
    check_refused(&format!("Patient?_sort={}", ["name"; MAX_SORT_KEYS + 1].join(",")), Reason::Malformed, "_sort");
    check_refused(&format!("Patient?_elements={}", ["name"; MAX_ELEMENTS + 1].join(",")), Reason::Malformed, "_elements");
}

#[test]
fn unknown_parameters_are_refused_or_listed() {
    let text = "Patient?colour=red&name=ann&shape=&_count=5&_format=json";
    let refusal = query(text, Handling::Strict).unwrap_err();
    assert_eq!((refusal.reason, refusal.findings[0].expression.as_str()), (Reason::UnknownParameter, "colour"));
    let lenient = query(text, Handling::Lenient).unwrap();
    assert_eq!(lenient.ignored(), ["colour", "shape"]);
    let used: Vec<&str> = lenient.used().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(used, ["name", "_count", "_format"]);
    assert_eq!(lenient.count(), Some(5));
}

#[test]
fn sorting() {
    let check = |text: &str, expected: &str| {
        let query = query(text, Handling::Strict).unwrap();
        let found: Vec<Node> = resources().into_iter().filter(|resource| query.matches(resource)).collect();
        let ids = |nodes: &[Node]| nodes.iter().filter_map(|node| node.text("id").map(str::to_owned)).collect::<Vec<_>>().join(" ");
        let mut compared = found.clone();
        compared.sort_by(|a, b| query.compare(a, b));
        assert_eq!(ids(&compared), expected, "{text}");
        assert_eq!(ids(&query.sorted(found)), expected, "{text}");
    };
    check("Patient", "anna bert carl");
    check("Patient?_sort=-_id", "carl bert anna");
    check("Patient?_sort=birthdate", "bert anna carl");
    check("Patient?_sort=-birthdate", "anna bert carl");
    check("Patient?_sort=-family", "carl bert anna");
    check("Patient?_sort=_lastUpdated", "anna bert carl");
    check("Observation?_sort=value-quantity", "group glucose culture pressure");
    check("Observation?_sort=-status,date", "glucose culture group pressure");
}

#[test]
fn lookups_stay_within_their_room() {
    let many = (0..MAX_ALTERNATIVES).map(|number| format!("A{number}")).collect::<Vec<_>>().join(",");
    let text = format!("Patient?{}", format!("identifier={many}&").repeat(MAX_PARAMETERS));
    let lookups = query(&text, Handling::Strict).unwrap().lookups();
    let keys: usize = lookups.iter().map(Lookup::len).sum();
    assert!(keys <= MAX_LOOKUP_VALUES && keys > MAX_LOOKUP_VALUES / 2);
    assert!(lookups.contains(&Lookup::Scan));
}

#[test]
fn criteria() {
    let read = |text: &str| Query::criteria(definitions(), "Patient", text);
    for text in ["identifier=http%3A%2F%2Fa.example%2Fmrn%7CAb%5C%2C12%5C%7Cx", "?_id=anna", "Patient?birthdate=1970-03-30", "name=anna+l"]
    {
        assert!(read(text).is_ok(), "{text}");
    }
    assert!(read("identifier=http%3A%2F%2Fa.example%2Fmrn%7CAb%5C%2C12%5C%7Cx").unwrap().matches(&resource("anna")));
    for text in [
        "",
        "?",
        "gender:not=male",
        "gender:missing=true",
        "birthdate=ge1970",
        "birthdate=ne1970",
        "name:contains=a",
        "_id=a&_count=1",
        "_lastUpdated=2020",
        "identifier=%FF",
        "Observation?code=1",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

fn projected(id: &str, text: &str) -> String {
    let resource = resource(id);
    let query = query(&format!("{}?{text}", resource.resource_type().unwrap()), Handling::Strict).unwrap();
    let shorter = project(definitions(), &resource, query.projection());
    shorter.as_object().unwrap().members().iter().map(|member| member.name.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn projections() {
    assert_eq!(projected("glucose", "_elements=value"), "resourceType id meta status code valueQuantity");
    assert_eq!(projected("glucose", "_elements=Observation.subject,category"), "resourceType id meta status category code subject");
    assert_eq!(projected("glucose", "_summary=text"), "resourceType id meta status code");
    assert_eq!(
        projected("anna", "_summary=true"),
        "resourceType id meta identifier active name telecom gender birthDate address managingOrganization"
    );
    assert_eq!(projected("culture", "_summary=true"), "resourceType id meta status code subject effectivePeriod valueCodeableConcept");
    assert_eq!(projected("bert", "_summary=false"), "resourceType id meta name gender birthDate deceasedDateTime link");
}

#[test]
fn projections_are_marked() {
    let shorter = project(definitions(), &resource("anna"), &Projection { summary: Some(Summary::Data), elements: Vec::new() });
    let tags = shorter.get("meta").unwrap().items("tag");
    assert_eq!(tags.len(), 2);
    assert_eq!(tags[1].text("code"), Some("SUBSETTED"));
    let twice = project(definitions(), &shorter, &Projection { summary: Some(Summary::Data), elements: Vec::new() });
    assert_eq!(twice, shorter);
}

#[test]
fn documents_of_other_shapes_do_no_harm() {
    assert_eq!(terms(definitions(), &Node::from("text")), []);
    assert_eq!(terms(definitions(), &Object::resource("Nothing").into()), []);
    let odd = br#"{"resourceType":"Patient","name":"x","birthDate":{"a":1},"identifier":[[{"value":"a"}],null,3],"meta":[],"telecom":{"value":["x"]},"gender":[["male"]]}"#;
    terms(definitions(), &json::parse(odd, DEFAULT_DEPTH).unwrap());
}

#[test]
fn projections_of_reads() {
    let read = |text: &str| Projection::parse(&pairs(text)).is_ok();
    assert!(read("_elements=name,Patient.gender&anything=x"));
    assert!(read("_summary=data"));
    for text in ["_summary=count", "_summary=", "_summary=text&_summary=text", "_summary=text&_elements=name"] {
        assert!(!read(text), "{text}");
    }
}

#[test]
fn composites_that_reach_back_to_the_resource() {
    let sequence = json::parse(
        br#"{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"coding":[{"code":"1"}]}},"variant":[{"start":10,"end":20}]}"#,
        DEFAULT_DEPTH,
    );
    let sequence = sequence.unwrap();
    for (text, expected) in [("1$le10$ge20", true), ("2$le10$ge20", false), ("1$le9$ge20", false)] {
        let query = query(&format!("MolecularSequence?chromosome-variant-coordinate={text}"), Handling::Strict).unwrap();
        assert_eq!(query.matches(&sequence), expected, "{text}");
        assert_eq!(missed_by(&query, &sequence), None);
    }
}

fn parsed(text: &str) -> Node {
    json::parse(text.as_bytes(), DEFAULT_DEPTH).unwrap()
}

#[test]
fn a_link_is_searched_first_and_then_is_a_condition() {
    let ada = parsed(r#"{"resourceType":"Patient","id":"ada"}"#);
    let seen = parsed(r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/ada"},"status":"final"}"#);
    let check = |text: &str, linked: &[&str], found: Vec<Node>, matching: &Node, other: &Node| {
        let asked = query(text, Handling::Strict).expect(text);
        let queries: Vec<&str> = asked.links().iter().flat_map(|link| link.queries()).map(Query::type_name).collect();
        assert_eq!(queries, linked, "{text}");
        assert!(!asked.matches(matching), "{text}: nothing matches before the link is searched");
        let joined = asked.clone().joined(definitions(), &[found]);
        assert!(joined.matches(matching), "{text}");
        assert!(!joined.matches(other), "{text}");
        assert!(!asked.joined(definitions(), &[]).matches(matching), "{text}: what was not found selects nothing");
    };
    let eve = parsed(r#"{"resourceType":"Patient","id":"eve"}"#);
    let unseen = parsed(r#"{"resourceType":"Observation","id":"p","subject":{"reference":"Patient/eve"},"status":"final"}"#);
    check("Observation?subject:Patient.name=a", &["Patient"], vec![ada.clone()], &seen, &unseen);
    check("Observation?patient.gender=male&status=final", &["Patient"], vec![ada.clone()], &seen, &unseen);
    check("Observation?subject.identifier=a", &["Group", "Device", "Patient", "Location"], vec![ada.clone()], &seen, &unseen);
    check("Patient?_has:Observation:patient:code=a", &["Observation"], vec![seen.clone()], &ada, &eve);
    let deep = query("Patient?_has:Observation:patient:encounter.status=finished", Handling::Strict).unwrap();
    assert_eq!(deep.links()[0].queries()[0].links()[0].queries()[0].type_name(), "Encounter");
}

#[test]
fn what_comes_along_is_named_by_references() {
    let seen = parsed(
        r##"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/ada"},"performer":[{"reference":"Practitioner/x"},
        {"reference":"Organization/y"},{"reference":"http://elsewhere.example/Practitioner/z"}],"encounter":{"reference":"#e"}}"##,
    );
    let check = |include: &str, expected: &[&str]| {
        let asked = query(&format!("Observation?_include={include}"), Handling::Strict).expect(include);
        let mut named = Vec::new();
        asked.includes()[0].referred_to(&seen, &mut |type_name, id| named.push(format!("{type_name}/{id}")));
        named.sort();
        named.dedup();
        assert_eq!(named, expected, "{include}");
        assert!(asked.includes()[0].referring(definitions(), &[&seen]).is_empty());
    };
    check("Observation:subject", &["Patient/ada"]);
    check("Observation:performer", &["Organization/y", "Practitioner/x"]);
    check("Observation:performer:Practitioner", &["Practitioner/x"]);
    check("*", &["Organization/y", "Patient/ada", "Practitioner/x"]);
    check("Encounter:*", &[]);
    let ada = parsed(r#"{"resourceType":"Patient","id":"ada"}"#);
    let reverse = query("Patient?_revinclude:iterate=Observation:subject", Handling::Strict).unwrap();
    assert!(reverse.includes()[0].iterates());
    let queries = reverse.includes()[0].referring(definitions(), &[&ada]);
    assert_eq!(queries.len(), 1);
    assert!(queries[0].matches(&seen) && !queries[0].matches(&ada));
    assert!(reverse.includes()[0].referring(definitions(), &[&seen]).is_empty(), "nothing refers to an Observation by its subject");
}

#[test]
fn the_patients_a_query_is_about() {
    let check = |text: &str, expected: &[&str]| assert_eq!(query(text, Handling::Strict).expect(text).patients(), expected, "{text}");
    check("Observation?patient=a,Patient/b", &["a", "b"]);
    check("Observation?subject:Patient=a", &["a"]);
    check("Observation?subject=Group/a", &[]);
    check("Observation?patient:missing=true", &[]);
    check("Observation?code=x", &[]);
    check("Patient?_id=a", &["a"]);
}
