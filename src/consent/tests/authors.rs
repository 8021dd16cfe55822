//! By whom something is, where who wrote it is contained.

use super::*;

/// A permit for what one institution wrote.
fn permit_of(institution: &str) -> Node {
    parse(&format!(
        r#"{{"resourceType":"Consent","id":"c","status":"active","patient":{{"reference":"Patient/1"}},
        "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "provision":{{"type":"permit","data":[{{"meaning":"authoredby","reference":{{"reference":"Organization/{institution}"}}}}]}}}}"#
    ))
}

fn denial_of(institution: &str) -> Node {
    let permit = json::write(&permit_of(institution));
    let (head, rule) = permit.split_once(r#""provision":"#).unwrap();
    let rule = rule.strip_suffix('}').unwrap().replacen("permit", "deny", 1);
    parse(&format!(r#"{head}"provision":{{"type":"permit","provision":[{rule}]}}}}"#))
}

#[test]
fn a_permit_for_what_an_institution_wrote_does_not_open_what_those_wrote_who_are_contained() {
    const OX: &str = r#"{"system":"urn:x:ids","value":"ox"}"#;
    let institution = parse(&format!(r#"{{"resourceType":"Organization","id":"ox","identifier":[{OX}]}}"#));
    let contained = |inner: &str| format!(r##""contained":[{{{inner},"id":"p"}}],"performer":[{{"reference":"#p"}}]"##);
    let at_ox = r#"{"reference":"Organization/ox"}"#;
    for (body, permitted, denied) in [
        (format!(r#""performer":[{at_ox}]"#), true, true),
        (contained(&format!(r#""resourceType":"Organization","identifier":[{OX}]"#)), true, true),
        (contained(&format!(r#""resourceType":"Organization","name":"Psych","partOf":{at_ox}"#)), false, true),
        (contained(&format!(r#""resourceType":"PractitionerRole","organization":{at_ox}"#)), false, true),
        (contained(&format!(r#""resourceType":"Practitioner","identifier":[{OX}]"#)), false, true),
        (contained(r#""resourceType":"PractitionerRole","organization":{"reference":"Organization/other"}"#), false, false),
        (r#""performer":[{"reference":"Practitioner/zz"}]"#.to_owned(), false, false),
    ] {
        let resource = parse(&format!(
            r#"{{"resourceType":"Observation","id":"o","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}}]}},
            "subject":{{"reference":"Patient/1"}},{body}}}"#
        ));
        let is_permitted = |consent: Node| {
            let rules = Rules::compile(&[consent], &Directory::of(std::slice::from_ref(&institution)), Policy::default());
            decide(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(&resource)).is_permit()
        };
        assert_eq!(is_permitted(permit_of("ox")), permitted, "permit {body}");
        assert_eq!(!is_permitted(denial_of("ox")), denied, "denial {body}");
    }
}
