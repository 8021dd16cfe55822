//! What is decided of a record whose setting nobody could tell, and when a setting is worth asking for.

use super::*;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn consent(root: &str, nested: &str) -> Node {
    parse(&format!(
        r#"{{"resourceType":"Consent","id":"c","status":"active","scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "patient":{{"reference":"Patient/1"}},"provision":{{"type":"{root}"{nested}}}}}"#
    ))
}

fn labels(codes: &[&str]) -> String {
    let coding = |code: &&str| {
        let system = if code.len() == 1 { "http://terminology.hl7.org/CodeSystem/v3-Confidentiality" } else { ACT_CODE };
        format!(r#"{{"system":"{system}","code":"{code}"}}"#)
    };
    codes.iter().map(coding).collect::<Vec<_>>().join(",")
}

fn observation(own: &[&str]) -> Node {
    parse(&format!(
        r#"{{"resourceType":"Observation","id":"1","subject":{{"reference":"Patient/1"}},"meta":{{"security":[{}]}},
        "code":{{"coding":[{{"system":"http://loinc.org","code":"718-7"}}]}}}}"#,
        labels(own)
    ))
}

#[test]
fn an_unknown_setting_is_the_worst() {
    use ImplicitPolicy::{AllNormal, BreakGlassOnly};
    let nested = |kind: &str, codes: &[&str]| format!(r#","provision":[{{"type":"{kind}","securityLabel":[{}]}}]"#, labels(codes));
    // What is decided, the reason, whether the notice goes along, and whether the setting was worth asking for.
    let check = |consents: &[Node], implicit, own: &[&str], expected: (bool, &str, bool, bool)| {
        let rules = Rules::compile(consents, &Directory::default(), Policy { implicit, ..Policy::default() });
        let (request, resource) = (request("Practitioner/berg", "TREAT"), observation(own));
        let mut facts = facts::of(&resource);
        Labeller::built_in().label(&resource, &mut facts);
        let decision = decide_unsettled(&rules, &request, &facts);
        let is_noticed = decision.obligations().contains(&Obligation::NoticePart2);
        let found = (decision.is_permit(), decision.reason(), is_noticed, turns_on_setting(&rules, &request, &facts));
        assert_eq!(found, expected, "{consents:?} {own:?}");
        assert!(!decision.is_permit() || decide(&rules, &request, &facts).is_permit(), "more than with a known one: {consents:?} {own:?}");
        assert!(decision.is_permit() || release(&decision, resource).is_none(), "in part: {consents:?} {own:?}");
    };
    // Where nothing is said of labels only the notice turns on it.
    check(&[consent("permit", "")], BreakGlassOnly, &["N"], (true, "permitted", true, true));
    check(&[consent("permit", "")], BreakGlassOnly, &["SUD"], (true, "permitted", true, false));
    check(&[consent("deny", "")], BreakGlassOnly, &["N"], (false, "denied", false, false));
    check(&[], BreakGlassOnly, &["N"], (false, "no-consent", false, false));
    // Any denial by a label may be meant, and any permit up to a level too narrow.
    for code in ["SUD", "PSY", "HIV", "SDV", "R"] {
        check(&[consent("permit", &nested("deny", &[code]))], BreakGlassOnly, &["N"], (false, SETTING_UNKNOWN, false, true));
    }
    check(
        &[consent("permit", &format!(r#","securityLabel":[{}]"#, labels(&["N"])))],
        BreakGlassOnly,
        &["N"],
        (false, SETTING_UNKNOWN, false, true),
    );
    check(
        &[consent("permit", &format!(r#","securityLabel":[{}]"#, labels(&["R"])))],
        BreakGlassOnly,
        &["N"],
        (true, "permitted", true, true),
    );
    // A permit by a label is none for what may bear it.
    let only = format!(r#","securityLabel":[{}]"#, labels(&["SUD"]));
    check(&[consent("permit", &only)], BreakGlassOnly, &["N"], (false, "not-covered", false, true));
    check(&[consent("permit", &nested("deny", &["PSY"]))], BreakGlassOnly, &["PSY"], (false, "denied", false, false));
    // The rules of the place hold for what is normal, which may not be.
    check(&[], AllNormal, &["N"], (false, SETTING_UNKNOWN, false, true));
    check(&[], AllNormal, &["R"], (false, "no-consent", false, false));
}
