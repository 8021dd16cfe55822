//! What must hold of all rules together: the fixtures' outcomes, one run as good as two, and no leaf lost.

mod corpus;
mod documents;
mod outcomes;
mod tracing;

use super::*;
use crate::fhir::json;
use std::path::Path as FilePath;

/// A source for the tests of single rules. It does not add a `meta.source` to every example.
pub(super) fn source() -> SourceRules {
    let mut source = SourceRules::new("epic", &["https://epic.example/api/FHIR/R4"]);
    source.switches.set(rule::META, false);
    source
}

/// Normalises JSON for a source, without links and without a type table.
pub(super) fn run(text: &str, source: &SourceRules) -> Normalisation {
    let ids = GatewayIds::new([7; 32]);
    let (links, types) = (Links::new(), TypeTable::default());
    normalise(
        json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap(),
        &Context { source, ids: &ids, links: &links, types: &types, declared: None },
    )
}

/// Normalises JSON for a source with the gateway's own type tables, and keeps the laws.
pub(super) fn run_typed(text: &str, source: &SourceRules) -> Normalisation {
    let ids = GatewayIds::new([7; 32]);
    let links = Links::new();
    let context = Context { source, ids: &ids, links: &links, types: crate::definitions::Definitions::embedded().types(), declared: None };
    check_laws(text, &json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap(), &context)
}

/// The laws every resource must keep, whatever it is: nothing lost, and a second run with nothing left to do.
fn check_laws(what: &str, input: &Node, context: &Context<'_>) -> Normalisation {
    let done = normalise(input.clone(), context);
    let lost = tracing::unaccounted(input, &done);
    assert!(lost.is_empty(), "{what}: not accounted for: {lost:?}");
    let again = normalise(done.resource.clone(), context);
    assert_eq!(json::write(&again.resource), json::write(&done.resource), "{what}: a second run changes the resource");
    assert!(again.changes.is_empty(), "{what}: a second run records {:?}", again.changes);
    done
}

/// The cases of `fixtures/normalise`, by name.
fn cases() -> Vec<std::path::PathBuf> {
    cases_in("fixtures/normalise")
}

fn cases_in(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect();
    cases.sort();
    cases
}

/// Every file of `fixtures/normalise` is one case: a source, an input, and what comes out.
/// With `HEARTHGATE_BLESS` set, what comes out is written into the files, to be read before it is believed.
#[test]
fn fixtures() {
    let files = cases();
    assert!(!files.is_empty());
    for file in files {
        let case = json::parse(&std::fs::read(&file).unwrap(), json::DEFAULT_DEPTH).unwrap();
        let found = fixture(&file.file_name().unwrap().to_string_lossy(), &case);
        if std::env::var_os("HEARTHGATE_BLESS").is_some() {
            std::fs::write(&file, json::write_pretty(&found)).unwrap();
        } else {
            assert_eq!(json::write_pretty(&found), json::write_pretty(&case), "{}", file.display());
        }
    }
}

/// The case with what really comes out.
fn fixture(name: &str, case: &Node) -> Node {
    let source = fixture_source(case.get("source"));
    let ids = GatewayIds::new([7; 32]);
    let mut links = Links::new();
    for member in case.get("links").and_then(Node::as_object).map_or(&[][..], |links| links.members()) {
        links.insert(&member.name, member.node.as_text().unwrap());
    }
    let definitions = crate::definitions::Definitions::embedded();
    let context = Context { source: &source, ids: &ids, links: &links, types: definitions.types(), declared: None };
    let done = check_laws(name, case.get("input").unwrap(), &context);
    if done.changes.iter().any(|change| change.rule == rule::VERSIONS) && !done.is_refused() {
        let found = crate::validate::check(definitions, &done.resource, &crate::validate::Options::default());
        let errors: Vec<_> = found.iter().filter(|finding| finding.is_error()).collect();
        assert!(errors.is_empty(), "{name}: what was converted is not valid R4: {errors:?}");
    }
    let changes = done.changes.iter().map(|change| format!("{} {}", change.rule, change.path).into());
    let findings =
        done.findings.iter().map(|finding| format!("{} {} {}", finding.severity.code(), finding.message_id, finding.expression).into());
    let mut found = case.as_object().unwrap().clone();
    found.set("output", done.resource.clone());
    found.set("changes", changes.collect::<Vec<Node>>());
    found.set("findings", findings.collect::<Vec<Node>>());
    found.into()
}

/// Every fixture with one place of it changed to something else, many times over: nothing panics, and the laws hold.
#[test]
fn mutated_fixtures_keep_the_laws() {
    let strange = json::parse(include_bytes!("tests/strange.json"), json::DEFAULT_DEPTH).unwrap();
    let strange = strange.as_list().unwrap();
    let (ids, mut links, types) = (GatewayIds::new([7; 32]), Links::new(), crate::definitions::Definitions::embedded().types());
    links.insert("urn:uuid:1", &format!("Patient/{}", ids.fresh(crate::clock::Instant::EPOCH, [1; 10])));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for file in cases() {
        let case = json::parse(&std::fs::read(file).unwrap(), json::DEFAULT_DEPTH).unwrap();
        let source = fixture_source(case.get("source"));
        let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
        for _ in 0..200 {
            let mut input = case.get("input").unwrap().clone();
            for _ in 0..=random(2) {
                let mut place = random(nodes(&input));
                replace(&mut input, &mut place, &strange[random(strange.len())]);
            }
            check_laws(&json::write(&input), &input, &context);
        }
    }
}

fn nodes(node: &Node) -> usize {
    let below = node.as_list().unwrap_or_default().iter().map(nodes).sum::<usize>();
    let members = node.as_object().map_or(0, |object| object.members().iter().map(|member| nodes(&member.node)).sum());
    1 + below + members
}

fn replace(node: &mut Node, place: &mut usize, with: &Node) {
    if *place == 0 {
        *node = with.clone();
        *place = usize::MAX;
        return;
    }
    *place -= usize::from(*place != usize::MAX);
    if let Some(items) = node.as_list_mut() {
        items.iter_mut().for_each(|item| replace(item, place, with));
    } else if let Some(object) = node.as_object_mut() {
        object.members_mut().iter_mut().for_each(|member| replace(&mut member.node, place, with));
    }
}

fn fixture_source(settings: Option<&Node>) -> SourceRules {
    let Some(settings) = settings else { return SourceRules::new("epic", &["https://epic.example/api/FHIR/R4"]) };
    let bases: Vec<&str> = settings.items("bases").iter().filter_map(Node::as_text).collect();
    let mut source = SourceRules::new(settings.text("name").unwrap_or("epic"), &bases);
    if settings.text("dangling") == Some("logical") {
        source.dangling = Dangling::Logical;
    }
    source.us_dates = settings.get("usDates").and_then(Node::as_bool).unwrap_or_default();
    source.time_zone = settings.text("timeZone").map(|zone| jiff::tz::TimeZone::posix(zone).unwrap());
    for rule in settings.items("off").iter().filter_map(Node::as_text) {
        source.switch(rule, false).unwrap();
    }
    source
}

#[test]
fn a_switched_off_rule_does_nothing() {
    let text = r#"{"resourceType":"Observation","id":" 1","meta":{"versionId":"3"},"text":{"div":"<div><script/></div>"},"x":null,
        "identifier":[{"value":" 2"}],"status":"F","code":{"coding":[{"system":"L","code":"C"},{"system":"SCT","code":"4548-4"}]},
        "subject":{"reference":"Patient/1"},"issued":"20221214","valueString":"TNP","extension":[{"url":"http://hl7.org/fhir/5.0/StructureDefinition/x"}],
        "interpretation":[{"coding":[{"system":"HL70078","code":"H"}]}],"referenceRange":[{"text":"1 - 2"}],"doseQuantity":{"value":1,"unit":"mmHg"}}"#;
    for rule in RULES {
        let mut source = source();
        source.switches = Switches::default();
        source.switch(rule.name, false).unwrap();
        let done = run(text, &source);
        assert!(done.changes.iter().all(|change| change.rule != rule), "{rule}");
    }
    assert!(source().switch("nonsense", true).is_none());
}

#[test]
fn rules_are_in_order_and_named_once() {
    assert!(RULES.windows(2).all(|pair| pair[0].number < pair[1].number));
    for rule in RULES {
        assert_eq!(rule_named(rule.name), Some(rule));
    }
    assert_eq!(rule::STRINGS.to_string(), "05-strings@3");
}

#[test]
fn limits_refuse() {
    let many = format!(r#"{{"resourceType":"X","a":[{}]}}"#, vec![r#"" x""#; MAX_CHANGES + 1].join(","));
    let done = run(&many, &source());
    assert_eq!(done.changes.len(), MAX_CHANGES);
    assert!(done.is_refused() && done.findings.iter().any(|finding| finding.message_id == "normalise-limit"));

    let findings = format!(r#"{{"resourceType":"X","a":[{}],"b":1}}"#, vec!["null"; MAX_FINDINGS + 5].join(","));
    let done = run(&findings, &source());
    assert_eq!(done.findings.len(), MAX_FINDINGS + 1);
    assert_eq!(done.findings.last().unwrap().message_id, "normalise-more-findings");

    let unmapped =
        format!(r#"{{"resourceType":"Observation","component":[{}]}}"#, vec![r#"{"code":{"text":"x"}}"#; MAX_UNMAPPED + 1].join(","));
    assert_eq!(run(&unmapped, &source()).unmapped.len(), MAX_UNMAPPED);

    let errors = format!(r#"{{"resourceType":"X","a":[{}],"modifierExtension":[{{"url":"u"}}]}}"#, vec!["null"; MAX_FINDINGS].join(","));
    let done = run(&errors, &source());
    assert!(done.is_refused() && done.findings.len() == MAX_FINDINGS + 2);

    let wide: Vec<String> = (0..=record::MAX_MEMBERS).map(|index| format!(r#""a{index}":[null]"#)).collect();
    assert!(run(&format!("{{{}}}", wide.join(",")), &source()).is_refused());

    let long = run(&format!(r#"{{"resourceType":"X","{}":null,"b":1}}"#, "é".repeat(1000)), &source());
    assert_eq!(long.changes[0].path, format!("X.{}", "é".repeat(32)));

    let mut deep = Node::from("x");
    for _ in 0..300 {
        deep = crate::fhir::Object::new().with("a", deep).into();
    }
    let resource: Node = crate::fhir::Object::resource("X").with("a", deep).into();
    let (source, ids, links, types) = (source(), GatewayIds::new([7; 32]), Links::new(), TypeTable::default());
    assert!(normalise(resource, &Context { source: &source, ids: &ids, links: &links, types: &types, declared: None }).is_refused());
}

#[test]
fn what_is_no_resource_stays_what_it_is() {
    for text in ["1", "[]", "{}", r#""x""#, "null", "[1,[2]]", r#"{"resourceType":1,"id":2}"#] {
        assert_eq!(json::write(&run(text, &source()).resource), text);
    }
}

#[test]
fn lineage_can_be_shown() {
    let done = run(r#"{"resourceType":"Patient","language":" en"}"#, &source());
    assert_eq!(explain(&done), "Patient.language  05-strings@3  \" en\" -> \"en\"\n");
    let line = r#"{"file":"f","index":0,"resource":{"resourceType":"Patient","language":"en"},"changes":[{"path":"Patient.language","rule":"05-strings@3","before":" en","after":"en"}],"findings":[]}"#;
    assert_eq!(ndjson_line("f", 0, &done), line);
    // What was not there is null, and so is a resource that is refused; what a document said stands.
    let added = run(r#"{"resourceType":"Patient","implicitRules":"http://x","contact":[]}"#, &source());
    let line = ndjson_line("f", 0, &added);
    assert!(line.starts_with(r#"{"file":"f","index":0,"resource":null,"#) && line.contains(r#""before":[],"after":null"#), "{line}");
}
