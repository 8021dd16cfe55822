//! Questions as others spell them, within their limits, and who acts for a patient.

use super::laws::spoil;
use super::*;
use crate::outcome::Reason;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn hook(context: &str) -> Node {
    parse(&format!(r#"{{"hook":"patient-consent-consult","hookInstance":"1","context":{context}}}"#))
}

fn parameters(list: Vec<Node>) -> Node {
    Object::resource("Parameters").with("parameter", list).into()
}

#[test]
fn questions_have_limits() {
    let many = |count: usize, item: &str| vec![item; count].join(",");
    let patient = r#""patientId":{"system":"s","value":"v"}"#;
    let code = r#"{"system":"s","code":"c"}"#;
    let resource = r#"{"resource":{"resourceType":"Observation"}}"#;
    for (within, context) in [
        (true, format!(r#"{{{patient},"class":[{}]}}"#, many(100, code))),
        (false, format!(r#"{{{patient},"class":[{}]}}"#, many(101, code))),
        (false, format!(r#"{{{patient},"purposeOfUse":[{}]}}"#, many(101, "\"TREAT\""))),
        (false, format!(r#"{{"patientId":[{}]}}"#, many(101, "\"x\""))),
        (true, format!(r#"{{{patient},"content":{{"resourceType":"Bundle","entry":[{}]}}}}"#, many(1_000, resource))),
        (false, format!(r#"{{{patient},"content":{{"resourceType":"Bundle","entry":[{}]}}}}"#, many(1_001, resource))),
    ] {
        let read = Consultation::from_hook(&hook(&context));
        assert_eq!(read.is_ok(), within, "{read:?}");
        assert!(within || read.unwrap_err().reason == Reason::TooLarge);
    }
    let purpose: Node = Object::new().with("name", "purpose").with("valueCode", "TREAT").into();
    assert_eq!(Consultation::from_parameters(&parameters(vec![purpose; 501]), Some("1")).unwrap_err().reason, Reason::TooLarge);
}

#[test]
fn spoiled_questions_are_answered_or_refused_without_harm() {
    let context = r#"{"patientId":[{"system":"s","value":"v"}],"actor":[{"system":"s","value":"a"}],"purposeOfUse":["TREAT"],
        "class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}],"category":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}],
        "content":{"resourceType":"Bundle","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Patient","id":"p","identifier":[{"system":"s","value":"v"}]}},
        {"resource":{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"}}}]}}"#;
    let consent = parse(
        r#"{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},"provision":{"type":"permit"}}"#,
    );
    let rules = Rules::compile(&[consent], &Directory::default(), Policy::default());
    let mut released = 0;
    for seed in 0..2_000 {
        let mut body = hook(context);
        let random = &mut StdRng::seed_from_u64(seed);
        if seed > 0 {
            spoil(&mut body, random);
        }
        let Ok(question) = Consultation::from_hook(&body) else { continue };
        let requests = question.requests(&question.actors, vec![Vec::new()], noon());
        let labelled = |resource: &Node| {
            let mut facts = facts::of(resource);
            Labeller::built_in().label(resource, &mut facts);
            facts
        };
        let on = |resource: &Node| requests.first().map(|request| explain(&rules, request, &labelled(resource)));
        let release = |resource: &Node| release(&on(resource)?, resource.clone()).map(|rest| (rest.into_resource(), false));
        let whole = decide_requests(&[&rules], &requests);
        let consulted = question.decide(Deciding { whole, on: &on, release: &release });
        for told in [Told::Outcome, Told::Obligations, Told::Trace] {
            let cards = json::write(&consulted.cards(told, "http://x"));
            released += usize::from(cards.contains(r#""id":"o""#));
            assert!(!json::write(&consulted.parameters(told)).is_empty());
        }
    }
    assert!(released > 300, "{released} answers held the observation");
}

#[test]
fn what_must_be_withheld_for_several_purposes_is_said_once() {
    let consent = parse(
        r#"{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"provision":{"type":"permit","provision":[
        {"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}]}}"#,
    );
    let rules = Rules::compile(&[consent], &Directory::default(), Policy::default());
    let requests = ["TREAT", "HPAYMT"].map(|purpose| request("Practitioner/berg", purpose));
    let decision = decide_requests(&[&rules], &requests).unwrap();
    assert!(decision.is_permit());
    assert_eq!(decision.obligations().len(), 1, "{:?}", decision.obligations());
}

#[test]
fn every_step_has_a_sentence() {
    let consent = parse(
        r#"{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"provision":{"type":"permit","provision":[
        {"type":"deny","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HMARKT"}]},
        {"type":"deny","actor":[{"reference":{"display":"Dr Bob"}}]},
        {"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}]}}"#,
    );
    let rules = Rules::compile(&[consent], &Directory::default(), Policy::default());
    let decision = decide_request(&rules, &request("Practitioner/berg", "TREAT"));
    let told: Vec<(String, String)> = decision.steps().iter().map(|step| (step.code(), step.sentence())).collect();
    let expected = [
        ("matched", "This rule applies."),
        ("differs:purpose", "This rule does not apply: the purpose of use is not what is asked."),
        ("unknown:actor", "It cannot be told whether this rule applies: the recipient is not known."),
        ("deferred:security-label", "Whether this rule applies is decided for each resource, by the security label."),
    ];
    assert_eq!(told, expected.map(|(code, sentence)| (code.to_owned(), sentence.to_owned())));
}

#[test]
fn who_acts_for_a_patient() {
    let related = |more: &str| {
        parse(&format!(
            r#"{{"resourceType":"RelatedPerson","id":"r","identifier":[{{"system":"s","value":"v"}}]{more},
            "relationship":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-RoleCode","code":"MTH"}}]}}]}}"#
        ))
    };
    let naming = |status: &str, actor: &str| {
        parse(&format!(
            r#"{{"resourceType":"Consent","id":"c","status":"{status}","scope":{{"coding":[{{"code":"patient-privacy"}}]}},
            "patient":{{"reference":"Patient/p"}},"provision":{{"type":"permit","period":{{"end":"2026-01-01"}},"provision":[{{"type":"permit","actor":[{{
            "role":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-RoleCode","code":"HPOWATT"}}]}},"reference":{actor}}}]}}]}}}}"#
        ))
    };
    let child = parse(r#"{"resourceType":"Patient","id":"p","birthDate":"2015"}"#);
    let grown = parse(r#"{"resourceType":"Patient","id":"p","birthDate":"1980-01-01"}"#);
    let teenager = parse(r#"{"resourceType":"Patient","id":"p","birthDate":"2007-06"}"#);
    let by_identifier = r#"{"identifier":{"system":"s","value":"v"}}"#;
    use Capacity::{Delegate, Guardian};
    for (why, patient, records, consents, expected) in [
        ("a mother of a child", &child, vec![related("")], vec![], Some(Guardian)),
        ("a mother of a grown-up", &grown, vec![related("")], vec![], None),
        ("a mother in the month of the birthday", &teenager, vec![related("")], vec![], None),
        ("no longer", &child, vec![related(r#","active":false"#)], vec![], None),
        ("over", &child, vec![related(r#","period":{"end":"2025-05-01"}"#)], vec![], None),
        ("a period nobody can read", &child, vec![related(r#","period":{"end":"soon"}"#)], vec![], None),
        ("with a modifier", &child, vec![related(r#","modifierExtension":[{"url":"x"}]"#)], vec![], None),
        ("named", &grown, vec![], vec![naming("active", by_identifier)], Some(Delegate)),
        (
            "named as a related person",
            &grown,
            vec![related("")],
            vec![naming("active", r#"{"reference":"RelatedPerson/r"}"#)],
            Some(Delegate),
        ),
        ("named by display", &grown, vec![], vec![naming("active", r#"{"display":"v"}"#)], None),
        ("named by a number", &grown, vec![], vec![naming("active", r#"{"identifier":{"value":"v"}}"#)], None),
        ("named in a draft", &grown, vec![], vec![naming("draft", by_identifier)], None),
        ("taken back", &grown, vec![], vec![naming("inactive", by_identifier)], None),
    ] {
        assert_eq!(capacity(("s", "v"), patient, &records, &consents, 18, noon()), expected, "{why}");
    }
    // At another time the same consent is over; a person without a system is nobody.
    let later = Instant::from_fhir_instant("2026-06-01T00:00:00Z").unwrap();
    assert_eq!(capacity(("s", "v"), &grown, &[], &[naming("active", by_identifier)], 18, later), None);
    assert_eq!(capacity(("", "v"), &child, &[related("")], &[], 18, noon()), None);
}

#[test]
fn broken_glass_reaches_up_to_its_ceiling() {
    let consent = |kind: &str| {
        parse(&format!(
            r#"{{"resourceType":"Consent","id":"c","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},"provision":{{"type":"{kind}",
            "actor":[{{"reference":{{"reference":"Practitioner/holm"}}}}]}}}}"#
        ))
    };
    let labelled = |system: &str, code: &str| {
        parse(&format!(
            r#"{{"resourceType":"Observation","id":"o","subject":{{"reference":"Patient/p"}},"meta":{{"security":[
            {{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}]}}}}"#
        ))
    };
    let policy =
        |never: &str| Policy { glass: Some(BrokenGlass::reaching(Confidentiality::Restricted, &[never.to_owned()])), ..Policy::default() };
    let restricted = labelled("v3-Confidentiality", "R");
    for (why, consents, never, who, purpose, resource, expected) in [
        ("nothing said", vec![], "SDV", "Practitioner/berg", "BTG", &restricted, true),
        ("for treatment", vec![], "SDV", "Practitioner/berg", "TREAT", &restricted, false),
        ("others are permitted", vec![consent("permit")], "SDV", "Practitioner/berg", "BTG", &restricted, true),
        ("denied", vec![consent("deny")], "SDV", "Practitioner/holm", "BTG", &restricted, false),
        ("very restricted", vec![], "SDV", "Practitioner/berg", "BTG", &labelled("v3-Confidentiality", "V"), false),
        ("a kind of what is never reached", vec![], "BH", "Practitioner/berg", "BTG", &labelled("v3-ActCode", "ETHUD"), false),
        ("another sensitivity", vec![], "SDV", "Practitioner/berg", "BTG", &labelled("v3-ActCode", "ETHUD"), true),
        ("a sensitivity nobody knows is never reached", vec![], "XYZ", "Practitioner/berg", "BTG", &labelled("v3-ActCode", "ETHUD"), false),
    ] {
        let decision = decide_on(&consents, policy(never), &request(who, purpose), resource);
        assert_eq!(decision.is_permit(), expected, "{why}: {}", decision.reason());
    }
}

#[test]
fn groups_that_hold_each_other_come_to_an_end() {
    let group = |id: &str, other: &str| {
        parse(&format!(
            r#"{{"resourceType":"Group","id":"{id}","actual":true,"member":[{{"entity":{{"reference":"Group/{other}"}}}},{{"entity":{{"reference":"Practitioner/{id}"}}}}]}}"#
        ))
    };
    let consent = parse(
        r#"{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},
        "provision":{"type":"permit","actor":[{"reference":{"reference":"Group/a"}}]}}"#,
    );
    let rules = Rules::compile(&[consent], &Directory::of(&[group("a", "b"), group("b", "a")]), Policy::default());
    for (who, expected) in [("Practitioner/a", true), ("Practitioner/b", true), ("Practitioner/c", false)] {
        assert_eq!(decide_request(&rules, &request(who, "TREAT")).is_permit(), expected, "{who}");
    }
}
