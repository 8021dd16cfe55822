//! Loading, lookup and terminology over the embedded pack.

use super::*;
use crate::fhir::types::{TypeKind, UNBOUNDED};

const VS: &str = "http://hl7.org/fhir/ValueSet/";

#[test]
fn every_section_decodes() {
    let definitions = Definitions::embedded();
    let index = &definitions.blob.index;
    assert!(
        index
            .value_sets
            .iter()
            .all(|(url, _)| definitions.value_set(url).is_some_and(|set| format!("{}|{}", set.url, set.version) == *url))
    );
    assert!(index.code_systems.iter().all(|(url, _)| definitions.code_system(url).is_some()));
    assert!(index.structures.iter().all(|(url, _)| definitions.structure(url).is_some()));
    assert_eq!((index.value_sets.len(), index.code_systems.len(), index.structures.len()), (1316, 1066, 673));
    assert_eq!(definitions.search_parameters.len(), 1375);
    let version =
        |url: &str| definitions.code_system(&format!("http://terminology.hl7.org/CodeSystem/v2-0360{url}")).map(|one| one.version.as_str());
    assert_eq!([version(""), version("|2.7"), version("|2.3.1"), version("|9")], [Some("2.7"), Some("2.7"), Some("2.3.1"), Some("2.7")]);
}

#[test]
fn the_types_are_those_of_r4() {
    let types = Definitions::embedded().types();
    assert_eq!(types.version, "4.0.1");
    let resources = types.types().iter().filter(|one| one.kind == TypeKind::Resource && !one.is_abstract).count();
    assert_eq!(resources, 146);
    assert!(
        types.is_kind_of("Age", "Quantity")
            && types.is_kind_of("Patient", "DomainResource")
            && !types.is_kind_of("Bundle", "DomainResource")
    );
    let patient = types.resource("Patient").unwrap();
    let member = |parent, name: &str| types.member(parent, name).unwrap();
    let id = member(patient.root, "id");
    assert_eq!(types.element(id.element).types[0].code, "id");
    let deceased = member(patient.root, "deceasedDateTime");
    assert_eq!(types.element(deceased.element).types[deceased.type_index].code, "dateTime");
    let name = member(patient.root, "name");
    assert_eq!(types.element(name.element).max, UNBOUNDED);
    let human_name = types.content(name.element, name.type_index);
    assert_eq!(types.element(member(human_name, "family").element).types[0].code, "string");
    let observation = types.resource("Observation").unwrap();
    let component = member(observation.root, "component");
    let range = member(types.content(component.element, 0), "referenceRange");
    assert!(types.member(types.content(range.element, 0), "low").is_some(), "a content reference leads to the elements it names");
}

#[test]
fn search_parameters_come_with_those_of_the_ancestors() {
    let definitions = Definitions::embedded();
    let check = |type_name: &str, code: &str, kind: Option<SearchKind>| {
        assert_eq!(definitions.search_parameter(type_name, code).map(|one| one.kind), kind, "{type_name}.{code}");
    };
    check("Patient", "birthdate", Some(SearchKind::Date));
    check("Patient", "_id", Some(SearchKind::Token));
    check("Patient", "_text", Some(SearchKind::String));
    check("Bundle", "_text", None);
    check("Observation", "code-value-quantity", Some(SearchKind::Composite));
    check("Observation", "patient", Some(SearchKind::Reference));
    check("Nonsense", "_id", None);
    let composite = definitions.search_parameter("Observation", "code-value-quantity").unwrap();
    assert_eq!(composite.components[1].expression, "value.ofType(Quantity)");
    assert!(composite.components.iter().all(|one| definitions.search_parameter_by_url(&one.definition).is_some()));
    assert_eq!(definitions.compartment("Patient", "Observation"), ["subject", "performer"]);
    assert!(definitions.compartment("Patient", "Medication").is_empty());
}

#[test]
fn value_sets_say_who_is_in() {
    let definitions = Definitions::embedded();
    let check = |set: &str, system: Option<&str>, code: &str, expected: &str| {
        let url = if set.contains(':') { set.to_owned() } else { format!("{VS}{set}") };
        let found = match definitions.value_set_contains(&url, system, code) {
            Membership::Member { display } => display.unwrap_or_default().to_string(),
            Membership::NotMember => "no".to_owned(),
            Membership::Undecidable => "undecidable".to_owned(),
        };
        assert_eq!(found, expected, "{set} {system:?} {code}");
    };
    // Whole systems, with and without a version after the URL.
    check("administrative-gender", None, "female", "Female");
    check("administrative-gender|4.0.1", Some("http://hl7.org/fhir/administrative-gender"), "female", "Female");
    check("administrative-gender", Some("http://elsewhere"), "female", "no");
    check("administrative-gender", None, "robot", "no");
    // Listed codes take their display from the system.
    check("observation-interpretation", Some("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"), "H", "High");
    // Filters over a hierarchy: a code below the root is in, one elsewhere is not.
    check(
        "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
        Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
        "AMB",
        "ambulatory",
    );
    check(
        "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
        Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
        "CPAY",
        "no",
    );
    // Systems that are a grammar.
    check("all-languages", Some("urn:ietf:bcp:47"), "de-CH", "");
    check("all-languages", Some("urn:ietf:bcp:47"), "not a language", "no");
    check("mimetypes", None, "application/fhir+json", "");
    check("mimetypes", None, "json", "undecidable");
    check("currencies", None, "CHF", "");
    check("currencies", None, "QQQ", "no");
    check("currencies", None, "chf", "no");
    check("iso3166-1-2", None, "CH", "Switzerland");
    check("iso3166-1-3", None, "CHE", "undecidable");
    check("iso3166-1-3", None, "CHX", "no");
    // Systems that are not in hand.
    check("observation-codes", Some("http://loinc.org"), "1234-4", "undecidable");
    check("observation-codes", Some("http://elsewhere"), "1234-4", "no");
    check("no-such-set", None, "a", "undecidable");
    // A set made of other sets.
    check("defined-types", None, "Patient", "Patient");
    check("defined-types", None, "Element", "Element");
    check("defined-types", None, "Nonsense", "no");
}

/// What keeps a value set from being listed is named.
#[test]
fn hindrances_are_named() {
    let set = |name: &str, include: &str| {
        let text = format!(r#"{{"resourceType": "ValueSet", "url": "http://example.org/{name}", "compose": {{"include": [{include}]}}}}"#);
        crate::fhir::json::parse(text.as_bytes(), 16).unwrap()
    };
    let other = |name: &str| format!(r#"{{"valueSet": ["http://example.org/{name}"]}}"#);
    let regex = |value: &str| {
        let system = "http://hl7.org/fhir/administrative-gender";
        format!(r#"{{"system": "{system}", "filter": [{{"property": "code", "op": "regex", "value": "{value}"}}]}}"#)
    };
    let mut sets = vec![
        set("circle", &other("through")),
        set("through", &other("circle")),
        set("self", &other("self")),
        set("version", &other("plain|9")),
        set("plain", &regex("m.*")),
        set("large", &regex("(a{1000}){1000}")),
        set("system", r#"{"system": "http://hl7.org/fhir/administrative-gender", "version": "9"}"#),
    ];
    sets.extend((0..20).map(|level| set(&format!("deep-{level}"), &other(&format!("deep-{}", level + 1)))));
    sets.push(set("deep-20", &regex("m.*")));
    let definitions = Definitions::with(&sets);
    for (name, expected) in [
        ("circle", Some(Hindrance::Circle("http://example.org/circle".into()))),
        ("self", Some(Hindrance::Circle("http://example.org/self".into()))),
        ("version", Some(Hindrance::ValueSetVersion("http://example.org/plain|9".into()))),
        ("plain", None),
        ("large", Some(Hindrance::Limit("REGEX_BYTES_MAX"))),
        ("system", Some(Hindrance::SystemVersion("http://hl7.org/fhir/administrative-gender|9".into()))),
        ("deep-0", Some(Hindrance::Limit("REFERENCE_DEPTH_MAX"))),
        ("deep-10", None),
    ] {
        assert_eq!(definitions.hindrance(&format!("http://example.org/{name}")), expected.as_ref(), "{name}");
    }
}

#[test]
fn structures_state_what_extensions_and_profiles_ask() {
    let definitions = Definitions::embedded();
    let race = definitions.structure("http://hl7.org/fhir/StructureDefinition/patient-nationality").unwrap();
    assert!(race.is_constraint && race.type_name == "Extension");
    assert_eq!(race.contexts, [ExtensionContext { kind: ContextKind::Element, expression: "Patient".into(), releases: [None, None] }]);
    let url = race.elements.iter().find(|element| element.path == "Extension.url").unwrap();
    assert_eq!(url.fixed, Some(TypedJson { type_name: "uri".into(), json: format!("\"{}\"", race.url) }));
    let vitals = definitions.structure("http://hl7.org/fhir/StructureDefinition/vitalsigns|4.0.1").unwrap();
    let slicing = vitals.elements.iter().find_map(|element| element.slicing.as_ref()).unwrap();
    assert_eq!(slicing.rules, "open");
    assert!(vitals.elements.iter().any(|element| element.slice_name.as_deref() == Some("VSCat") && element.min == 1));
    assert!(definitions.structure("http://hl7.org/fhir/StructureDefinition/SubscriptionStatus").is_none());
}

#[test]
fn a_file_cut_short_is_an_error() {
    for length in [0, 3, 4, 100] {
        assert!(Definitions::open(&EMBEDDED[..length]).is_err(), "{length}");
    }
}

#[test]
fn packages_are_added() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/definitions/package");
    let definitions = Definitions::with_packages(&[&folder]).unwrap();
    let url = "http://example.org/fhir/StructureDefinition/named";
    assert!(Definitions::embedded().profile(url).is_none());
    let profile = definitions.profile(url).unwrap();
    assert_eq!(profile.canonical(), format!("{url}|1.0.0"));
    // What the type asks already is left out.
    let asked: Vec<&str> = profile.root().children.iter().map(|&id| profile.node(id).name.as_str()).collect();
    assert_eq!(asked, ["name"]);
    assert!(definitions.profile(&format!("{url}|1.0.0")).is_some());
    let own = |code: &str| definitions.standing("http://example.org/fhir/CodeSystem/own", code);
    assert_eq!(own("a"), Standing::Known { display: Some("The letter A"), is_inactive: false });
    assert_eq!(own("b"), Standing::Absent);
    // The embedded definitions are there as before.
    assert!(definitions.profile("http://hl7.org/fhir/StructureDefinition/bp").is_some());
    assert!(matches!(definitions.standing("http://hl7.org/fhir/observation-status", "final"), Standing::Known { .. }));
    assert_eq!(definitions.standing("http://loinc.org", "8867-4"), Standing::UnknownSystem);
    assert!(Definitions::with_packages(&[&folder.join("absent")]).is_err());
}

#[test]
fn every_embedded_profile_and_rule_compiles() {
    let definitions = Definitions::embedded();
    let types = definitions.types();
    for (url, _) in &definitions.blob.index.structures {
        let Some(profile) = definitions.profile(url) else { continue };
        assert_eq!(profile.incomplete, None, "{url}");
        for node in profile.nodes() {
            assert!(node.discriminators.iter().all(|by| by.expression.is_ok()), "{url} {}", node.path);
            assert!(node.invariants.iter().all(|rule| rule.expression.is_ok()), "{url} {}", node.path);
        }
    }
    for index in (0..).take(types.elements().len()) {
        for rule in definitions.invariants(ElementId(index)) {
            assert!(rule.expression.is_ok(), "{}", rule.id);
        }
    }
}

/// Anybody may send definitions to be judged, and ever new ones.
#[test]
fn what_rules_of_others_are_called_is_not_kept() {
    let definitions = Definitions::embedded();
    let profile = |url: &str| {
        let text = format!(
            r#"{{"resourceType": "StructureDefinition", "url": "{url}", "name": "P", "status": "draft", "kind": "resource", "abstract": false,
            "type": "Observation", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation", "derivation": "constraint",
            "differential": {{"element": [
                {{"id": "Observation", "path": "Observation", "constraint": [{{"key": "own-1", "severity": "error", "human": "h", "expression": "code.exists()"}}]}},
                {{"id": "Observation.component", "path": "Observation.component", "slicing": {{"discriminator": [{{"type": "value", "path": "code"}}], "rules": "open"}}}},
                {{"id": "Observation.component:a", "path": "Observation.component", "sliceName": "a", "min": 1}}
            ]}}}}"#
        );
        crate::fhir::json::parse(text.as_bytes(), 64).unwrap()
    };
    let (judged, loaded) = ("http://example.org/judged", "http://example.org/loaded");
    crate::validate::check(definitions, &profile(judged), &crate::validate::Options::default());
    assert_eq!(definitions.profile_of(&profile(judged)).unwrap().nodes().len(), 3, "its elements and slices are looked at");
    assert!(!invariants::is_kept(&format!("{judged}#own-1")));
    let own = Definitions::with(&[profile(loaded)]);
    assert_eq!(own.profile(loaded).unwrap().root().invariants.len(), 1);
    assert!(invariants::is_kept(&format!("{loaded}#own-1")), "what is loaded is evaluated");
}
