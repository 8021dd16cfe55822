//! Every rule, by data: `fixtures/validate/*.json`, one case a file (`why`, `resource`, `findings` in order).

mod costs;

use super::*;
use crate::fhir::{Object, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

fn fixtures() -> Vec<(String, Node)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/validate");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), json::parse(&std::fs::read(&path).unwrap(), 64).unwrap()))
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

fn summary(finding: &Finding) -> String {
    format!("{} {} {} {}", finding.severity.code(), finding.code.code(), finding.message_id, finding.expression)
}

fn judge(resource: &Node) -> Vec<Finding> {
    check(Definitions::embedded(), resource, &Options::default())
}

/// Judges a case: beside the resource it may have `definitions`, `profiles` and names of `options` that are on.
fn judge_case(case: &Node, as_hl7: bool) -> Vec<Finding> {
    let is_on = |name: &str| case.items("options").iter().any(|one| one.as_text() == Some(name));
    let options = Options {
        profiles: case.items("profiles").iter().map(|one| one.as_text().unwrap().to_owned()).collect(),
        report_undecided: is_on("report_undecided"),
        best_practice: case
            .text("best_practice")
            .map(|level| [Severity::Information, Severity::Warning, Severity::Error].into_iter().find(|one| one.code() == level).unwrap()),
        refuse_unknown_extensions: is_on("refuse_unknown_extensions"),
        security_checks: is_on("security_checks"),
        refuse_example_urls: is_on("refuse_example_urls"),
        related_vital_signs: is_on("related_vital_signs"),
        from_xml: is_on("from_xml"),
        is_stored: is_on("is_stored"),
        references_assumed: !is_on("references_not_assumed"),
        as_hl7,
        language: case.text("language").map(str::to_owned),
        refuse_direction_controls: is_on("refuse_direction_controls"),
        neighbours: is_on("follow_references").then(HashMap::new),
        now: case.text("now").map(|now| crate::fhir::temporal::DateTime::parse(now).unwrap()),
        ..Options::default()
    };
    let own = case.get("definitions").and_then(Node::as_list).map(Definitions::with);
    check(own.as_ref().unwrap_or_else(|| Definitions::embedded()), case.get("resource").unwrap(), &options)
}

#[test]
fn every_case_has_its_findings() {
    check_cases(false, |_| true);
}

/// Findings that are marked (`beyond_hl7`) are errors, and warnings where HL7's validator is followed; others (`hl7_alone`) are made there only.
#[test]
fn hl7_is_followed_where_the_specification_asks_otherwise() {
    check_cases(true, |case| case.items("findings").iter().any(|one| is_marked(one, "beyond_hl7") || is_marked(one, "hl7_alone")));
}

fn is_marked(finding: &Node, mark: &str) -> bool {
    finding.get(mark).and_then(Node::as_bool) == Some(true)
}

#[test]
fn a_bundle_meets_the_profile_of_what_it_begins_with() {
    let profile = r#"{"resourceType": "StructureDefinition", "url": "http://example.org/p", "name": "P", "status": "active", "kind": "resource",
        "abstract": false, "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
        "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]}}"#;
    let definitions = Definitions::with(&[json::parse(profile.as_bytes(), 16).unwrap()]);
    let errors = |first: &str, as_hl7: bool| -> Vec<String> {
        let entry = format!(r#"{{"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": {first}}}"#);
        let bundle = format!(r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{entry}]}}"#);
        let options = Options { profiles: vec!["http://example.org/p".to_owned()], as_hl7, ..Options::default() };
        let found = check(&definitions, &json::parse(bundle.as_bytes(), 16).unwrap(), &options);
        found.iter().filter(|one| one.severity == Severity::Error).map(|one| format!("{} {}", one.message_id, one.expression)).collect()
    };
    let (whole, part) = (r#"{"resourceType": "Patient", "birthDate": "2001-01-01"}"#, r#"{"resourceType": "Patient"}"#);
    assert_eq!(errors(whole, true), [""; 0]);
    assert_eq!(errors(part, true), ["Validation_VAL_Profile_Minimum_one Bundle.entry[0].resource"]);
    for (first, as_hl7) in [(whole, false), (r#"{"resourceType": "Basic", "code": {"text": "x"}}"#, true)] {
        assert_eq!(errors(first, as_hl7), ["Validation_VAL_Profile_WrongType Bundle"]);
    }
}

/// What is told otherwise, or elsewhere, where HL7's validator is followed.
#[test]
fn places_and_severities_of_hl7() {
    let label = r#"{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}"#;
    let labels = format!(r#"{{"resourceType": "Basic", "meta": {{"security": [{label}, {label}]}}, "code": {{"text": "x"}}}}"#);
    let map = r#"{"resourceType": "StructureMap", "url": "http://example.org/m", "name": "M", "status": "active",
        "structure": [{"url": "http://example.org/none", "mode": "source", "alias": "None"}], "group": [{"name": "a", "typeMode": "none",
        "input": [{"name": "s", "type": "None", "mode": "source"}, {"name": "t", "type": "Nothing", "mode": "target"}],
        "rule": [{"name": "r", "source": [{"context": "s"}]}]}]}"#;
    let set = r#"{"resourceType": "ValueSet", "url": "http://example.org/v", "status": "draft", "compose": {"include": [{"system": "urn:iso:x"}]}}"#;
    for (resource, here, there) in [
        (
            labels.as_str(),
            "error META_RES_SECURITY_DUPLICATE Basic.meta.security[1]",
            "error META_RES_SECURITY_DUPLICATE Basic.meta.profile[1]",
        ),
        (
            map,
            "warning SM_GROUP_INPUT_TYPE_UNKNOWN_STRUCTURE StructureMap.group[0].input[0], \
             warning SM_GROUP_INPUT_TYPE_UNKNOWN_TYPE StructureMap.group[0].input[1]",
            "error SM_GROUP_INPUT_TYPE_UNKNOWN_STRUCTURE StructureMap.group[0].input[0], \
             error SM_GROUP_INPUT_TYPE_UNKNOWN_TYPE StructureMap.group[0].input[1]",
        ),
        (set, "warning http://hl7.org/fhir/StructureDefinition/ValueSet#vsd-0 ValueSet", ""),
    ] {
        for (as_hl7, expected) in [(false, here), (true, there)] {
            let options = Options { as_hl7, report_undecided: resource == map, ..Options::default() };
            let found = check(Definitions::embedded(), &json::parse(resource.as_bytes(), 16).unwrap(), &options);
            let found: Vec<_> = found.iter().map(|one| format!("{} {} {}", one.severity.code(), one.message_id, one.expression)).collect();
            assert_eq!(found.join(", "), expected);
        }
    }
}

fn check_cases(as_hl7: bool, is_asked: fn(&Node) -> bool) {
    let text = |finding: &Node, member: &str| finding.text(member).unwrap().to_owned();
    let expected = |one: &Node| {
        let severity = if as_hl7 && is_marked(one, "beyond_hl7") { "warning".to_owned() } else { text(one, "severity") };
        format!("{severity} {} {} {}", text(one, "code"), text(one, "id"), text(one, "expression"))
    };
    let cases: Vec<_> = fixtures().into_iter().filter(|(_, case)| is_asked(case)).collect();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let found: Vec<String> = judge_case(&case, as_hl7).iter().map(summary).collect();
        let expected: Vec<String> =
            case.items("findings").iter().filter(|one| as_hl7 || !is_marked(one, "hl7_alone")).map(expected).collect();
        if found != expected {
            wrong.push(format!("{name}\n  found {found:#?}\n  expected {expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case() {
    let covered: BTreeSet<String> = fixtures()
        .iter()
        .flat_map(|(_, case)| case.items("findings").iter().map(|one| one.text("id").unwrap().to_owned()).collect::<Vec<_>>())
        .collect();
    let sources = [
        include_str!("structure.rs"),
        include_str!("structure/primitive.rs"),
        include_str!("structure/resource.rs"),
        include_str!("amounts.rs"),
        include_str!("attachments.rs"),
        include_str!("best_practice.rs"),
        include_str!("bundle.rs"),
        include_str!("bundle/search.rs"),
        include_str!("bundle/signature.rs"),
        include_str!("canonicals.rs"),
        include_str!("codings.rs"),
        include_str!("bundle/links.rs"),
        include_str!("conformance/code_systems.rs"),
        include_str!("conformance/concept_maps.rs"),
        include_str!("conformance/constraints.rs"),
        include_str!("conformance/contexts.rs"),
        include_str!("conformance/elements.rs"),
        include_str!("conformance/maps.rs"),
        include_str!("conformance/maps/typed.rs"),
        include_str!("conformance/measures.rs"),
        include_str!("conformance/over_base.rs"),
        include_str!("conformance/properties.rs"),
        include_str!("conformance/publishers.rs"),
        include_str!("conformance/reports.rs"),
        include_str!("conformance/search.rs"),
        include_str!("conformance/slices.rs"),
        include_str!("conformance/structures.rs"),
        include_str!("conformance/snapshots.rs"),
        include_str!("conformance/values.rs"),
        include_str!("conformance/discriminators.rs"),
        include_str!("conformance/operations.rs"),
        include_str!("conformance/operations/parameters.rs"),
        include_str!("conformance/value_sets.rs"),
        include_str!("controls.rs"),
        include_str!("identifiers.rs"),
        include_str!("limits.rs"),
        include_str!("languages.rs"),
        include_str!("links.rs"),
        include_str!("contained.rs"),
        include_str!("contexts.rs"),
        include_str!("invariants.rs"),
        include_str!("profiles.rs"),
        include_str!("profiles/elements.rs"),
        include_str!("profiles/types.rs"),
        include_str!("questionnaire/answers.rs"),
        include_str!("questionnaire/derived.rs"),
        include_str!("questionnaire/expression.rs"),
        include_str!("questionnaire/form.rs"),
        include_str!("questionnaire/limits.rs"),
        include_str!("questionnaire/response.rs"),
        include_str!("slicing.rs"),
        include_str!("text_links.rs"),
        include_str!("conformance/guides.rs"),
        include_str!("conformance/obligations.rs"),
        include_str!("slicing/told.rs"),
        include_str!("bindings.rs"),
        include_str!("extensions.rs"),
        include_str!("narrative.rs"),
        include_str!("references.rs"),
        include_str!("references/bundled.rs"),
        include_str!("plausible.rs"),
        include_str!("primitives.rs"),
    ];
    // Limits have tests of their own below, and codings and the limits of narrative ones beside their rule.
    let elsewhere = [
        "DEPTH_MAX",
        "PROFILE_DEPTH_MAX",
        "SLICE_COMPARISONS_MAX",
        "Type_Specific_Checks_DT_String_Length",
        "Terminology_TX_NoValid_4",
        "Terminology_TX_NoValid_7",
        "Terminology_TX_NoValid_9",
        "Terminology_TX_NoValid_11",
        "Display_Name_for__should_be_one_of__instead_of_other",
        "Display_Name_WS_for__should_be_one_of__instead_of_other",
        "NO_VALID_DISPLAY_FOUND_LANG_SOME_one",
        "UNKNOWN_CODESYSTEM_VERSION",
        "CODESYSTEM_CS_NO_SUPPLEMENT",
        "XHTML_DEPTH_MAX",
        "XHTML_ATTRIBUTES_MAX",
        "XHTML_NAMESPACES_MAX",
        "CONTEXTS_MAX",
        "DERIVATION_DEPTH_MAX",
        "TERMINOLOGY_SERVER_AWAY",
    ];
    let rules = sources.iter().flat_map(|source| source.split('"')).filter(|text| {
        let is_id = text.contains('_') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_id && text.starts_with(|first: char| first.is_ascii_uppercase()) && !elsewhere.contains(text)
    });
    let missing: Vec<&str> = rules.filter(|id| !covered.contains(*id)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn findings_stand_at_their_bytes() {
    let text = br#"{"resourceType": "Patient", "gender": "robot", "name": [{"family": ""}]}"#;
    let offsets: Vec<_> = judge(&json::parse(text, 16).unwrap()).iter().map(|one| one.offset.unwrap() as usize).collect();
    let at = |part: &str| String::from_utf8_lossy(text).find(part).unwrap();
    assert_eq!(offsets, [at("\"robot\""), at("\"\"")]);
}

#[test]
fn texts_never_quote_values() {
    const SECRET: &str = "Zq7secret";
    // What the author of a definition called things is nobody's data, and the author must find it.
    const OF_DEFINITIONS: [&str; 6] = [
        "ED_INVARIANT_EXPRESSION_CONFLICT",
        "ED_INVARIANT_EXPRESSION_ERROR",
        "ED_SEARCH_EXPRESSION_ERROR",
        "SD_PATH_TYPE_MISMATCH",
        "SD_VALUE_TYPE_IILEGAL",
        "SD_CONTEXT_FHIRPATH_INVALID",
    ];
    fn poison(node: &mut Node) {
        match &mut node.value {
            Value::Object(object) => {
                object.members_mut().iter_mut().filter(|member| member.name != "resourceType").for_each(|member| poison(&mut member.node))
            }
            Value::List(items) => items.iter_mut().for_each(poison),
            Value::Text(text) => text.push_str(SECRET),
            _ => {}
        }
    }
    let mut quoting = BTreeSet::new();
    for (name, mut case) in fixtures() {
        poison(case.get_mut("resource").unwrap());
        let found = judge_case(&case, false);
        let quotes = |finding: &&Finding| finding.text.contains(SECRET) && !OF_DEFINITIONS.contains(&finding.message_id);
        quoting.extend(found.iter().filter(quotes).map(|finding| format!("{name}: {}", finding.message_id)));
    }
    assert!(quoting.is_empty(), "{quoting:#?}");
}

fn bundles_in_bundles() -> Node {
    let text = r#"{"resourceType": "StructureDefinition", "url": "http://example.org/fhir/StructureDefinition/nested", "kind": "resource",
        "type": "Bundle", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Bundle", "derivation": "constraint", "differential": {"element": [
        {"path": "Bundle.entry.resource", "type": [{"code": "Bundle", "profile": ["http://example.org/fhir/StructureDefinition/nested"]}]}]}}"#;
    json::parse(text.as_bytes(), 16).unwrap()
}

/// A profile that derives from that of the next level, and that of the last level from Patient.
fn derived(level: usize, last: usize) -> Node {
    let next = if level == last { "hl7.org/fhir/StructureDefinition/Patient".to_owned() } else { format!("example.org/{}", level + 1) };
    let text = format!(
        r#"{{"resourceType": "StructureDefinition", "url": "http://example.org/{level}", "kind": "resource", "type": "Patient",
        "baseDefinition": "http://{next}", "derivation": "constraint", "differential": {{"element": [{{"path": "Patient"}}]}}}}"#
    );
    json::parse(text.as_bytes(), 16).unwrap()
}

#[test]
fn limits_are_reached_and_said() {
    // Findings.
    let names: Vec<Node> = (0..20).map(|_| Node::from(Object::new())).collect();
    let patient = Node::from(Object::resource("Patient").with("name", names));
    let found = check(Definitions::embedded(), &patient, &Options { findings_max: 5, ..Options::default() });
    assert_eq!((found.len(), found.last().map(|one| one.message_id)), (6, Some("FINDINGS_MAX")));
    assert!(found.iter().all(Finding::is_error));
    // What crowds the report are warnings, and so is the note that some are left out.
    let warned: Vec<Node> = (0..20).map(|_| Node::from(Object::new().with("text", "  "))).collect();
    let patient = Node::from(Object::resource("Patient").with("name", warned).with("gender", "robot"));
    let found = check(Definitions::embedded(), &patient, &Options { findings_max: 5, ..Options::default() });
    let severities: Vec<_> = found.iter().map(|one| (one.message_id == "FINDINGS_MAX", one.is_error())).collect();
    assert_eq!(severities.iter().filter(|one| one.1).count(), 1);
    assert_eq!(severities.last(), Some(&(true, false)));
    // Depth: a Questionnaire's items nest by content reference.
    let mut item = Object::new().with("linkId", "x").with("type", "group");
    for _ in 0..DEPTH_MAX {
        item = Object::new().with("linkId", "x").with("type", "group").with("item", vec![Node::from(item)]);
    }
    let questionnaire = Node::from(Object::resource("Questionnaire").with("status", "draft").with("item", vec![Node::from(item)]));
    assert!(judge(&questionnaire).iter().any(|one| one.message_id == "DEPTH_MAX"));
    // Profiles that ask for one another: Bundles in Bundles, each to meet the profile of the outer one.
    let definitions = Definitions::with(&[bundles_in_bundles()]);
    let mut bundle = Object::resource("Bundle").with("type", "collection");
    for _ in 0..40 {
        let entry = Object::new().with("fullUrl", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520").with("resource", bundle);
        bundle = Object::resource("Bundle").with("type", "collection").with("entry", vec![Node::from(entry)]);
    }
    let options = Options { profiles: vec!["http://example.org/fhir/StructureDefinition/nested".into()], ..Options::default() };
    let found = check(&definitions, &bundle.into(), &options);
    assert_eq!(found.iter().map(|one| one.message_id).collect::<Vec<_>>(), ["PROFILE_DEPTH_MAX"]);
    // Profiles that stand one on another.
    let depth = crate::definitions::profile::DERIVATION_DEPTH_MAX;
    let definitions = Definitions::with(&(0..=depth).map(|level| derived(level, depth)).collect::<Vec<_>>());
    for (asked, found) in [(0, &["DERIVATION_DEPTH_MAX"][..]), (1, &[])] {
        let options = Options { profiles: vec![format!("http://example.org/{asked}")], ..Options::default() };
        let ids: Vec<_> = check(&definitions, &Object::resource("Patient").into(), &options).iter().map(|one| one.message_id).collect();
        assert_eq!(ids, found);
    }
    // Strings.
    let string = |length: usize| {
        Node::from(Object::resource("Patient").with("name", vec![Node::from(Object::new().with("text", "x".repeat(length)))]))
    };
    assert!(judge(&string(primitives::STRING_BYTES_MAX)).is_empty());
    assert_eq!(
        judge(&string(primitives::STRING_BYTES_MAX + 1)).first().map(|one| one.message_id),
        Some("Type_Specific_Checks_DT_String_Length")
    );
}

#[test]
fn every_resource_type_is_known() {
    let definitions = Definitions::embedded();
    for definition in definitions.types().types() {
        let found = judge(&Object::resource(&definition.name).into());
        let is_resource = definitions.types().resource(&definition.name).is_some();
        assert_eq!(found.iter().any(|one| one.message_id.starts_with("This_does_not")), !is_resource, "{}", definition.name);
    }
}

/// Many times what this takes, in a build for tests; comparing each with every other takes longer.
const LONGEST: Duration = Duration::from_secs(10);

/// A watch of what this thread computes: what a machine does beside is none of it.
struct Effort(Duration);

impl Effort {
    fn begin() -> Effort {
        Effort(Effort::so_far())
    }

    fn spent(&self) -> Duration {
        Effort::so_far() - self.0
    }

    /// In hundredths of a second, as Linux tells it (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, fields 14 and 15); elsewhere by the clock.
    fn so_far() -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let Ok(told) = std::fs::read_to_string("/proc/thread-self/stat") else { return BEGAN.elapsed() };
        let behind_name = told.rsplit(')').next().unwrap();
        let ticks: u64 = behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

fn takes_no_longer(document: &str) {
    let document = json::parse(document.as_bytes(), 64).unwrap();
    let start = Effort::begin();
    judge(&document);
    assert!(start.spent() < LONGEST, "{:?}", start.spent());
}

#[test]
fn contained_resources_cost_as_much_each_as_there_are_more() {
    let next = |index: usize| {
        format!(
            r##"{{"resourceType": "Organization", "id": "o{index}", "name": "n", "partOf": {{"reference": "#o{}"}}}}"##,
            (index + 1) % 60_000
        )
    };
    let contained: Vec<String> = (0..60_000).map(next).collect();
    takes_no_longer(&format!(
        r##"{{"resourceType": "Patient", "contained": [{}], "managingOrganization": {{"reference": "#o0"}}}}"##,
        contained.join(",")
    ));
}

#[test]
fn rules_of_an_element_cost_as_much_each_as_there_are_more() {
    let rule = |index| format!(r#"{{"key": "k{index}", "severity": "error", "human": "h", "expression": "true"}}"#);
    let rules: Vec<String> = (0..80_000).map(rule).collect();
    takes_no_longer(&format!(
        r#"{{"resourceType": "StructureDefinition", "url": "http://a.b/s", "name": "S", "status": "active", "kind": "resource", "abstract": false,
            "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
            "differential": {{"element": [{{"id": "Patient", "path": "Patient", "constraint": [{}]}}]}}}}"#,
        rules.join(",")
    ));
}

/// Two profiles of Organization whose `partOf` may meet either, and a profile of List whose entries meet it too.
fn following() -> Definitions {
    let profile = |url: &str, type_name: &str, element: &str, targets: &str, more: &str| {
        format!(
            r#"{{"resourceType": "StructureDefinition", "url": "{url}", "name": "P", "status": "active", "kind": "resource", "abstract": false, "type": "{type_name}",
                "baseDefinition": "http://hl7.org/fhir/StructureDefinition/{type_name}", "derivation": "constraint", "differential": {{"element": [
                {{"id": "{element}", "path": "{element}", "type": [{{"code": "Reference", "targetProfile": [{targets}]}}]}}{more}]}}}}"#
        )
    };
    let either = r#""http://a.b/ra", "http://a.b/rb""#;
    let texts = [
        profile("http://a.b/ra", "Organization", "Organization.partOf", either, ""),
        profile("http://a.b/rb", "Organization", "Organization.partOf", either, ""),
        profile(
            "http://a.b/la",
            "List",
            "List.entry.item",
            r#""http://a.b/la""#,
            r#", {"id": "List.title", "path": "List.title", "max": "0"}"#,
        ),
    ];
    Definitions::with(&texts.map(|text| json::parse(text.as_bytes(), 64).unwrap()))
}

fn follow(document: &str, profile: &str) -> Vec<String> {
    let start = Effort::begin();
    let options = Options { profiles: vec![profile.to_owned()], ..Options::default() };
    let found = check(&following(), &json::parse(document.as_bytes(), 64).unwrap(), &options);
    assert!(start.spent() < LONGEST, "{:?}", start.spent());
    found.iter().map(summary).collect()
}

/// Lists that all name one another; the last has a title, which the profile forbids, where `is_broken`.
fn lists(number: usize, is_broken: bool) -> String {
    let entries = |of: &str| {
        let others: Vec<String> = (0..number).map(|index| format!(r##"{{"item": {{"reference": "#l{index}"}}}}"##)).collect();
        format!(r#"{{"resourceType": "List", {of}"status": "current", "mode": "working", "entry": [{}]"#, others.join(", "))
    };
    let odd = |index: usize| if is_broken && index + 1 == number { r#", "title": "t""# } else { "" };
    let contained: Vec<String> =
        (0..number).map(|index| format!(r#"{}{}}}"#, entries(&format!(r#""id": "l{index}", "#)), odd(index))).collect();
    format!(r#"{}, "contained": [{}]}}"#, entries(""), contained.join(", "))
}

#[test]
fn profiles_that_follow_references_are_asked_of_each_element_once() {
    assert_eq!(follow(&lists(20, false), "http://a.b/la"), [""; 0]);
    // Each leads to the broken one, by one way or another.
    let unmet = |index| format!("error structure Reference_REF_CantMatchChoice List.entry[{index}].item");
    assert_eq!(follow(&lists(20, true), "http://a.b/la"), (0..20).map(unmet).collect::<Vec<_>>());
    let chain: Vec<String> = (0..100)
        .map(|index| {
            format!(r##"{{"resourceType": "Organization", "id": "o{index}", "name": "n", "partOf": {{"reference": "#o{}"}}}}"##, index + 1)
        })
        .chain([r#"{"resourceType": "Organization", "id": "o100", "name": "n"}"#.to_owned()])
        .collect();
    let document = format!(
        r##"{{"resourceType": "Organization", "name": "n", "partOf": {{"reference": "#o0"}}, "contained": [{}]}}"##,
        chain.join(", ")
    );
    let found = follow(&document, "http://a.b/ra");
    assert!(found.iter().any(|one| one.contains("PROFILE_DEPTH_MAX")), "{found:?}");
}
