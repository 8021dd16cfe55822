//! A small package, compiled, stored and read back: what the embedded one does not happen to exercise.

use super::*;
use crate::definitions::store::write;
use crate::definitions::{Definitions, Membership};
use crate::fhir::json;
use crate::fhir::types::{BindingPurpose, FurtherBinding};

/// The fixture's definitions, one a line.
fn definitions() -> Definitions {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/definitions/small.ndjson"));
    let nodes: Vec<Node> = text.lines().map(|line| json::parse(line.as_bytes(), 32).unwrap()).collect();
    let bytes = write(compile("4.0.1", nodes.iter())).unwrap();
    Definitions::open(bytes.leak()).unwrap()
}

#[test]
fn composition() {
    let definitions = definitions();
    let check = |set: &str, system: Option<&str>, code: &str, expected: &str| {
        let found = match definitions.value_set_contains(&format!("http://example.org/vs/{set}"), system, code) {
            Membership::Member { .. } => "in",
            Membership::NotMember => "out",
            Membership::Undecidable => "?",
        };
        assert_eq!(found, expected, "{set} {system:?} {code}");
    };
    // Hierarchy by nesting, by `child` and by `subsumedBy`.
    for (code, expected) in
        [("root", "in"), ("nested", "in"), ("by-child", "in"), ("by-subsumed", "in"), ("below-by-child", "in"), ("other", "out")]
    {
        check("is-a", None, code, expected);
    }
    check("descendent-of", None, "root", "out");
    check("descendent-of", None, "nested", "in");
    check("is-not-a", None, "other", "in");
    check("is-not-a", None, "nested", "out");
    // Properties, lists of codes, and a filter nobody knows.
    check("property", None, "other", "in");
    check("property", None, "root", "out");
    check("code-in", None, "nested", "in");
    check("code-in", None, "other", "out");
    check("filter-unknown", None, "root", "?");
    check("filter-unknown", Some("http://example.org/elsewhere"), "root", "out");
    // Exclusion, of listed codes and of what cannot be listed.
    check("exclude", None, "other", "out");
    check("exclude", None, "root", "in");
    check("exclude-unknown", None, "root", "?");
    // Two sets in one include must both hold the code; a set not in hand leaves it open.
    check("both", None, "nested", "in");
    check("both", None, "root", "out");
    check("with-missing-set", None, "root", "?");
    // Sets that refer to each other end at the limit.
    check("circle-a", None, "root", "?");
    check("tangle-0", None, "root", "?");
    // An expansion without a composition, abstract entries left out.
    check("expanded", Some("http://example.org/cs"), "deep", "in");
    check("expanded", None, "grouping", "out");
    // Case counts unless the system says otherwise.
    check("blind", None, "ABC", "in");
    check("blind", Some("http://example.org/blind"), "abc", "in");
    check("is-a", None, "ROOT", "out");
    // A fragment may have more codes than are in hand.
    check("fragment", None, "known", "in");
    check("fragment", None, "unknown", "?");
}

#[test]
fn structures() {
    let definitions = definitions();
    let thing = definitions.structure("http://example.org/StructureDefinition/Thing").unwrap();
    let element = |path: &str| thing.elements.iter().find(|element| element.path == path).unwrap();
    let typed =
        |path: &str| element(path).fixed.as_ref().or(element(path).pattern.as_ref()).map(|one| (one.type_name.as_str(), one.json.as_str()));
    assert_eq!(typed("Thing.a"), Some(("dateTime", "\"2020\"")));
    assert_eq!(typed("Thing.b"), Some(("CodeableConcept", r#"{"text":"x"}"#)));
    let further = element("Thing.b").binding.as_ref().map(|binding| binding.further.clone()).unwrap_or_default();
    assert_eq!(further, [FurtherBinding { purpose: BindingPurpose::Maximum, value_set: "http://example.org/vs/max|2".into() }]);
    assert!(element("Thing").constraints.iter().any(|one| one.best_practice && !one.is_error));
    let types = definitions.types();
    let id_of = |name: &str| {
        let id = types.member(types.type_named(name).unwrap().root, "id").unwrap();
        types.element(id.element).types.first().unwrap().code.as_str()
    };
    assert_eq!(id_of("Thing"), "id", "a resource's id is an id, whatever R4 says");
    assert_eq!(id_of("ElementDefinition"), "string", "that of an element of a definition is not, whatever R5 says");
}

#[test]
fn only_its_own_extension_makes_a_rule_good_practice() {
    for (url, expected) in [("elementdefinition-bestpractice", true), ("elementdefinition-suppress", false)] {
        let definition = format!(
            r#"{{"resourceType": "StructureDefinition", "url": "http://example.org/p", "kind": "resource", "type": "Patient", "differential": {{"element": [
                {{"id": "Patient", "path": "Patient", "constraint": [{{"key": "a", "expression": "true", "extension": [
                    {{"url": "http://hl7.org/fhir/StructureDefinition/{url}", "valueBoolean": true}}]}}]}}]}}}}"#
        );
        let compiled = structure(&json::parse(definition.as_bytes(), 32).unwrap()).unwrap();
        assert_eq!(compiled.elements[0].constraints[0].best_practice, expected, "{url}");
    }
}
