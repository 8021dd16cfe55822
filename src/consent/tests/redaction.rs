//! Cases from `fixtures/consent/redaction`: what is left of a resource under some consents, and that it is then left as it is.

use super::*;

pub(super) fn released(consents: &[Node], policy: Policy, resource: &Node) -> Option<Permitted> {
    let mut facts = facts::of(resource);
    Labeller::built_in().label(resource, &mut facts);
    let rules = Rules::compile(consents, &Directory::default(), policy);
    release(&decide(&rules, &request("Practitioner/berg", "TREAT"), &facts), resource.clone())
}

fn check(consents: &[Node], case: &Node, told: &str) {
    let resource = case.get("resource").unwrap();
    let expected = case.get("expect").filter(|expected| expected.as_object().is_some());
    let is_whole = case.text("expect") == Some("same");
    let policy = Policy { reveal_redaction: case.get("reveal").is_some(), ..Policy::default() };
    let left = released(consents, policy, resource);
    let told = format!("{told}: left {}", left.as_ref().map_or("nothing".to_owned(), |left| json::write(left.resource())));
    assert_eq!(left.as_ref().map(Permitted::resource), if is_whole { Some(resource) } else { expected }, "{told}");
    let Some(left) = left else { return };
    assert_eq!(left.is_redacted(), !is_whole, "{told}");
    let again = released(consents, policy, left.resource()).expect(&told);
    assert_eq!(again.resource(), left.resource(), "{told}");
    assert!(!again.is_redacted(), "{told}");
}

#[test]
fn what_is_withheld_is_taken_out_as_the_fixtures_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/consent/redaction");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let fixture = parse(&std::fs::read_to_string(&path).unwrap());
        for case in fixture.items("cases") {
            let told = format!("{}: {}", path.file_stem().unwrap().display(), case.text("about").unwrap());
            check(fixture.items("consents"), case, &told);
            count += 1;
        }
    }
    assert!(count > 70, "only {count} cases");
}

/// A permit of everything but what these rules deny.
fn permit_but(rules: &str) -> Vec<Node> {
    vec![parse(&format!(
        r#"{{"resourceType":"Consent","id":"c","status":"active","patient":{{"reference":"Patient/1"}},
        "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "provision":{{"type":"permit","provision":[{rules}]}}}}"#
    ))]
}

const NO_PSYCHIATRY: &str =
    r#"{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}"#;
const NO_SUBSTANCE_USE: &str =
    r#"{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"ETH"}]}"#;

/// An Encounter of the patients, for reasons.
fn encounter(rest: &str) -> Node {
    parse(&format!(r#"{{"resourceType":"Encounter","id":"e","status":"finished","subject":{{"reference":"Patient/1"}}{rest}}}"#))
}

fn decided(consents: &[Node], resource: &Node) -> Decision {
    let mut facts = facts::of(resource);
    Labeller::built_in().label(resource, &mut facts);
    decide(&Rules::compile(consents, &Directory::default(), Policy::default()), &request("Practitioner/berg", "TREAT"), &facts)
}

#[test]
fn the_notice_goes_with_substance_use_and_not_with_what_is_left_without_it() {
    let check = |rules: &str, rest: &str, expected: &[Notice]| {
        let left = released(&permit_but(rules), Policy::default(), &encounter(rest)).expect(rest);
        assert_eq!(left.notices(), expected, "{rules} {rest}");
    };
    let (detox, psychosis) = (r#"{"text":"detox"}"#, r#"{"text":"psychosis"}"#);
    let reasons = |reasons: &str| format!(r#","reasonCode":[{reasons}]"#);
    check("", &reasons(detox), &[Notice::Part2]);
    check("", &reasons(psychosis), &[]);
    check(NO_PSYCHIATRY, &reasons(&format!("{detox},{psychosis}")), &[Notice::Part2]);
    check(NO_SUBSTANCE_USE, &reasons(&format!("{detox},{psychosis}")), &[]);
    assert_eq!((Notice::Part2.code(), Notice::Part2.text().is_empty()), ("42CFRPart2", false));
}

#[test]
fn what_any_of_the_patients_withholds_goes() {
    let both =
        r#","participant":[{"individual":{"reference":"Patient/2"}}],"reasonCode":[{"text":"detox"},{"text":"psychosis"},{"text":"fall"}]"#;
    let resource = encounter(both);
    let all = |decisions: Vec<Decision>| Decision::all(decisions).and_then(|decision| release(&decision, resource.clone()));
    let (first, second) = (decided(&permit_but(NO_PSYCHIATRY), &resource), decided(&permit_but(NO_SUBSTANCE_USE), &resource));
    let left = all(vec![first.clone(), second.clone()]).unwrap();
    let reasons: Vec<_> = left.resource().items("reasonCode").iter().map(|reason| reason.text("text").unwrap()).collect();
    assert_eq!(reasons, ["fall"]);
    assert_eq!(left.ground(), &Ground::Consent { governing: first.governing().cloned(), reason: "permitted-in-part" });
    assert!(all(vec![first.clone(), decided(&[], &resource)]).is_none());
    assert!(all(vec![decided(&permit_but(r#"{"type":"deny"}"#), &resource), second]).is_none());
}

#[test]
fn a_provenance_loses_what_is_withheld_of_its_record_too() {
    let decision = decided(
        &permit_but(&format!(
            r#"{NO_SUBSTANCE_USE},{{"type":"deny","class":[{{"system":"http://hl7.org/fhir/resource-types","code":"Flag"}}]}}"#
        )),
        &encounter(""),
    );
    let check = |rest: &str, expected: Option<&str>| {
        let agent = r#""agent":[{"who":{"reference":"Organization/1"}}]"#;
        let parse_with = |rest: &str| {
            parse(&format!(
                r#"{{"resourceType":"Provenance","target":[{{"reference":"Encounter/e"}}],"recorded":"2024-01-01T00:00:00Z",{agent}{rest}}}"#
            ))
        };
        let left = release_provenance(&decision, &encounter(""), &[], parse_with(rest));
        assert_eq!(left.map(Permitted::into_resource), expected.map(parse_with), "{rest}");
    };
    check("", Some(""));
    // What speaks of the whole goes whenever the consent tells parts apart, or its absence would tell that one of them was withheld.
    check(r#","entity":[{"role":"source","what":{"reference":"Observation/1"}}]"#, Some(""));
    check(r#","extension":[{"url":"urn:x","valueString":"12"}]"#, Some(""));
    check(r#","entity":[{"role":"source","what":{"reference":"Flag/1"}}]"#, Some(""));
    check(r#","reason":[{"text":"heroin overdose"}],"signature":[{"data":"eA=="}]"#, Some(""));
    check(r#","policy":["http://x.example/methadone"]"#, Some(""));
}

#[test]
fn references_to_what_is_hidden_elsewhere_go() {
    let resource = encounter(
        r#","reasonReference":[{"reference":"Condition/1"},{"reference":"https://h.example/fhir/Condition/2/_history/1"}],"text":{"status":"generated","div":"<div>x</div>"}"#,
    );
    let hidden = [Reference::new("Condition/2").unwrap()];
    for rules in ["", NO_PSYCHIATRY] {
        let decision = decided(&permit_but(rules), &resource);
        let left = release_beside(&decision, resource.clone(), &hidden).unwrap();
        assert_eq!(left.resource(), &encounter(r#","reasonReference":[{"reference":"Condition/1"}]"#));
        assert!(!release(&decision, resource.clone()).unwrap().is_redacted());
    }
    assert!(release_beside(&decided(&[], &resource), resource, &hidden).is_none());
}

#[test]
fn what_falls_with_something_else_falls_to_an_end() {
    let check = |length: usize, is_released: bool| {
        let link = |index: usize| {
            let next = if index + 1 < length { format!(r##","partOf":{{"reference":"#c{}"}}"##, index + 1) } else { String::new() };
            format!(r#"{{"resourceType":"Location","id":"c{index}"{next}}}"#)
        };
        let chain: Vec<String> = (0..length).map(link).collect();
        let reasons = r##","location":[{"location":{"reference":"#c0","display":"psychiatric ward"}}]"##;
        let resource = encounter(&format!(r#","contained":[{}]{reasons}"#, chain.join(",")));
        let left = released(&permit_but(NO_PSYCHIATRY), Policy::default(), &resource);
        assert_eq!(left.map(Permitted::into_resource), is_released.then(|| encounter("")), "{length}");
    };
    check(1, true);
    check(14, true);
    check(100, false);
}

#[test]
fn resources_in_resources_are_shown_to_a_depth() {
    let check = |depth: usize, is_whole: bool| {
        let inner = (0..depth).fold(String::new(), |inner, _| {
            let inner = if inner.is_empty() { inner } else { format!(r##","contained":[{inner}],"basedOn":[{{"reference":"#o"}}]"##) };
            format!(r#"{{"resourceType":"Observation","id":"o","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/1"}}{inner}}}"#)
        });
        let resource = parse(&inner);
        let left = released(&permit_but(NO_PSYCHIATRY), Policy::default(), &resource).unwrap();
        assert_eq!(left.is_redacted(), !is_whole, "{depth}");
    };
    check(9, true);
    check(10, false);
}

/// A part is cut by the category or the block that its code is in as by the code itself.
#[test]
fn a_part_is_named_by_what_its_code_is_in() {
    let coded = |code: &str| format!(r#"{{"coding":[{{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"{code}"}}]}}"#);
    let procedure = parse(&format!(
        r#"{{"resourceType":"Procedure","id":"p","status":"completed","subject":{{"reference":"Patient/1"}},"performedDateTime":"2025-01-01",
        "code":{{"coding":[{{"system":"http://snomed.info/sct","code":"430193006"}}]}},"reasonCode":[{},{}]}}"#,
        coded("E10.9"),
        coded("J45.9")
    ));
    for named in ["E10.9", "E10", "E10-E14", "E10.90"] {
        let consents = permit_but(&format!(r#"{{"type":"deny","code":[{}]}}"#, coded(named)));
        let left = released(&consents, Policy::default(), &procedure).unwrap_or_else(|| panic!("{named}: nothing is left"));
        let text = json::write(left.resource());
        assert!(!text.contains("E10.9") && text.contains("J45.9"), "{named}: {text}");
    }
}

/// An OID that something hidden goes by is also what an institution's numbers go by.
#[test]
fn a_system_of_names_points_at_nothing() {
    const OID: &str = "urn:oid:1.2.276.0.76.5.409.70";
    let system = |more: &str| format!(r#"{{"system":"{OID}",{more}}}"#);
    let resource = parse(&format!(
        r#"{{"resourceType":"Observation","id":"o","meta":{{"profile":["{OID}"]}},"extension":[{{"url":"{OID}","valueCode":"x"}}],"identifier":[{}],
        "status":"final","category":[{{"coding":[{}]}}],"code":{{"coding":[{}]}},"subject":{{"reference":"Patient/1"}},
        "valueQuantity":{},"note":[{{"text":"see {OID}"}},{{"text":"and no more"}}]}}"#,
        system(r#""value":"7""#),
        system(r#""code":"a""#),
        system(r#""code":"b""#),
        system(r#""code":"c","value":1"#),
    ));
    let rules = Rules::compile(&permit_but(""), &Directory::default(), Policy::default());
    let decision = decide(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(&resource));
    let left = release_beside(&decision, resource.clone(), &[Reference::new(OID).unwrap()]).unwrap();
    let left = json::write(left.resource());
    assert!(!left.contains("see urn") && left.contains("\"code\":\"b\""), "{left}");
    for kept in ["profile", "extension", "identifier", "category", "valueQuantity"] {
        assert!(left.contains(&format!("\"{kept}\"")), "{kept}: {left}");
    }
}
