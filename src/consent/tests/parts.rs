//! Which patients a resource is about, what is released on which ground, and what is told to whoever files a consent.

use super::*;

fn known(reference: &str) -> PatientReference {
    PatientReference::Known(Reference::new(reference).unwrap())
}

#[test]
fn patients_are_found_where_a_resource_names_them() {
    let someone = PatientReference::Unresolvable;
    let check = |resource: &str, expected: &[PatientReference]| assert_eq!(patients_of(&parse(resource)), expected, "{resource}");
    check(r#"{"resourceType":"Patient","id":"1"}"#, &[known("Patient/1")]);
    check(r#"{"resourceType":"Patient"}"#, std::slice::from_ref(&someone));
    check(r#"{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/2"}}"#, &[known("Patient/1")]);
    check(
        r#"{"resourceType":"Observation","subject":{"reference":"https://h.example/fhir/Patient/1"}}"#,
        &[known("https://h.example/fhir/Patient/1")],
    );
    check(
        r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}}"#,
        &[known("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")],
    );
    check(r#"{"resourceType":"Observation","subject":{"identifier":{"system":"urn:x","value":"1"}}}"#, std::slice::from_ref(&someone));
    check(r#"{"resourceType":"Observation","subject":{"display":"Anna"}}"#, std::slice::from_ref(&someone));
    check(
        r##"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}"##,
        std::slice::from_ref(&someone),
    );
    check(r#"{"resourceType":"Observation","subject":{"reference":"Group/1"}}"#, std::slice::from_ref(&someone));
    check(r#"{"resourceType":"Observation","subject":{"reference":"Device/1"}}"#, &[]);
    check(
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"focus":[{"reference":"Patient/2"},{"reference":"Device/3"}]}"#,
        &[known("Patient/1"), known("Patient/2")],
    );
    check(
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"contained":[{"resourceType":"Condition","subject":{"reference":"Patient/2"}}]}"#,
        &[known("Patient/1"), known("Patient/2")],
    );
    check(
        r#"{"resourceType":"Appointment","participant":[{"actor":{"reference":"Practitioner/9"}},{"actor":{"reference":"Patient/1"}}]}"#,
        &[known("Patient/1")],
    );
    check(
        r#"{"resourceType":"Coverage","beneficiary":{"reference":"Patient/1"},"subscriber":{"reference":"Patient/2"},"policyHolder":{"reference":"Organization/3"}}"#,
        &[known("Patient/1"), known("Patient/2")],
    );
    check(
        r#"{"resourceType":"Group","member":[{"entity":{"reference":"Patient/1"}},{"entity":{"reference":"Patient/1"}}]}"#,
        &[known("Patient/1")],
    );
    check(
        r#"{"resourceType":"DocumentReference","subject":{"reference":"Patient/1"},"context":{"sourcePatientInfo":{"reference":"Patient/2"}}}"#,
        &[known("Patient/1"), known("Patient/2")],
    );
    check(r#"{"resourceType":"Linkage","item":[{"resource":{"reference":"Patient/1"}}]}"#, &[known("Patient/1")]);
    check(r#"{"resourceType":"Task","for":{"reference":"Patient/1"}}"#, &[known("Patient/1")]);
    check(r#"{"resourceType":"Provenance","target":[{"reference":"Observation/1"}]}"#, &[]);
    check(
        r#"{"resourceType":"Bundle","entry":[{},{"resource":{"resourceType":"Patient","id":"1"}},{"resource":{"resourceType":"Condition","subject":{"reference":"Patient/2"}}}]}"#,
        &[known("Patient/1"), known("Patient/2")],
    );
    check(r#"{"resourceType":"Organization","id":"1"}"#, &[]);
    check("[]", &[]);
}

const PERMIT: &str = r#"{"resourceType":"Consent","id":"c1","meta":{"versionId":"3"},"status":"active",
    "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},"provision":{"type":"permit"}}"#;

fn decided(resource: &Node) -> Decision {
    decide_on(&[parse(PERMIT)], Policy::default(), &request("Practitioner/berg", "TREAT"), resource)
}

#[test]
fn a_decision_releases_the_resource_it_was_taken_on_and_no_other() {
    let resource = |id: &str, version: &str| {
        parse(&format!(
            r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"{version}"}},"subject":{{"reference":"Patient/1"}}}}"#
        ))
    };
    let decision = decided(&resource("1", "1"));
    let permitted = release(&decision, resource("1", "1")).unwrap();
    let governing = Governing { consent: "c1".into(), version: Some("3".into()) };
    assert_eq!(permitted.ground(), &Ground::Consent { governing: Some(governing), reason: "permitted" });
    assert_eq!(permitted.into_resource(), resource("1", "1"));
    assert!(release(&decision, resource("1", "2")).is_none());
    assert!(release(&decision, resource("2", "1")).is_none());
    assert!(release(&decision, parse(r#"{"resourceType":"Condition","id":"1","meta":{"versionId":"1"}}"#)).is_none());
    let asked =
        decide_request(&Rules::compile(&[parse(PERMIT)], &Directory::default(), Policy::default()), &request("Practitioner/berg", "TREAT"));
    assert!(asked.is_permit() && release(&asked, resource("1", "1")).is_none());
}

#[test]
fn a_consent_permits_nothing_before_it_can_have_been_given() {
    let check = |dated: &str, dates_bind: bool, permits: bool| {
        let consent = parse(&PERMIT.replace(r#""status":"active""#, &format!(r#""status":"active","dateTime":"{dated}""#)));
        let resource = parse(r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/1"}}"#);
        let policy = Policy { dates_bind, ..Policy::default() };
        let decision = decide_on(&[consent], policy, &request("Practitioner/berg", "TREAT"), &resource);
        assert_eq!(decision.is_permit(), permits, "{dated} {decision:?}");
        assert_eq!(decision.reason(), if permits { "permitted" } else { "not-yet-given" }, "{dated}");
    };
    check("2025-06-01T12:00:00Z", true, true);
    check("2025-06-01T12:04:00Z", true, true);
    check("2025-06-01T12:06:00Z", true, false);
    check("2025-06-02", true, true);
    check("2025-06-03", true, false);
    check("2026", true, false);
    check("2026", false, true);
}

#[test]
fn a_provenance_goes_with_the_record_it_is_about() {
    let record = parse(r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/1"}}"#);
    let decision = decided(&record);
    let check = |rest: &str, released: bool| {
        let provenance = parse(&format!(r#"{{"resourceType":"Provenance",{rest}}}"#));
        assert_eq!(release_provenance(&decision, &record, &[], provenance).is_some(), released, "{rest}");
    };
    check(r#""target":[{"reference":"Observation/1"}]"#, true);
    check(r#""target":[{"reference":"Observation/1/_history/2"}]"#, true);
    check(r#""target":[{"reference":"Observation/12"}]"#, false);
    check(r#""target":[{"reference":"Observation/1"},{"reference":"Observation/2"}]"#, false);
    check(r#""target":[]"#, false);
    check(r#""target":[{"reference":"Observation/1"}],"contained":[{"resourceType":"Condition"}]"#, false);
}

#[test]
fn a_resource_of_two_patients_needs_both() {
    let shared =
        parse(r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/1"},"focus":[{"reference":"Patient/2"}]}"#);
    let permit = decided(&shared);
    let denial = decide_on(&[], Policy::default(), &request("Practitioner/berg", "TREAT"), &shared);
    let all = |decisions: Vec<Decision>| Decision::all(decisions).and_then(|decision| release(&decision, shared.clone()));
    assert!(release(&permit, shared.clone()).is_none());
    assert!(all(vec![permit.clone()]).is_none());
    assert!(all(vec![permit.clone(), permit.clone()]).is_some());
    assert!(all(vec![permit.clone(), denial.clone()]).is_none());
    assert!(all(vec![denial, permit.clone()]).is_none());
    assert!(all(vec![]).is_none());
    let other = decided(&parse(r#"{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/1"}}"#));
    assert!(Decision::all(vec![permit, other]).is_none());
}

#[test]
fn grounds_other_than_consent_are_narrow() {
    let organisation = parse(r#"{"resourceType":"Organization","id":"1"}"#);
    assert_eq!(no_patient(organisation.clone()).unwrap().ground(), &Ground::NoPatient);
    for refused in [
        r#"{"resourceType":"Observation","id":"1"}"#,
        r#"{"resourceType":"Device","id":"1"}"#,
        r#"{"resourceType":"Binary","id":"1"}"#,
        r#"{"resourceType":"Library","id":"1","subject":{"reference":"Patient/1"}}"#,
        r#"{"resourceType":"Organization","id":"1","contained":[{"resourceType":"Observation"}]}"#,
        r#"{"resourceType":"Made-up"}"#,
        "{}",
    ] {
        assert!(no_patient(parse(refused)).is_none(), "{refused}");
    }
    assert_eq!(own_record("org-a", "org-a", organisation.clone()).unwrap().ground(), &Ground::OwnRecord);
    assert!(own_record("org-a", "org-b", organisation.clone()).is_none());
    assert!(own_record("", "", organisation).is_none());
}

#[test]
fn administrative_types_are_found() {
    for name in [
        "ActivityDefinition",
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "Location",
        "HealthcareService",
        "Endpoint",
        "Medication",
        "ValueSet",
    ] {
        assert!(is_administrative(name), "{name}");
    }
    for name in
        ["Patient", "Observation", "Group", "List", "Device", "Basic", "Bundle", "Binary", "Schedule", "Slot", "Task", "", "valueset"]
    {
        assert!(!is_administrative(name), "{name}");
    }
}

#[test]
fn a_disclosure_of_substance_use_carries_its_notice() {
    let resource = parse(
        r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/1"},
        "meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"OPIOIDUD"}]}}"#,
    );
    assert_eq!(decided(&resource).obligations(), [Obligation::NoticePart2]);
}

#[test]
fn what_a_request_will_lack_is_told_with_the_permit() {
    let consent = parse(&PERMIT.replace(
        r#"{"type":"permit"}"#,
        r#"{"type":"permit","provision":[{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}]}"#,
    ));
    let rules = Rules::compile(&[consent], &Directory::default(), Policy::default());
    let decision = decide_request(&rules, &request("Practitioner/berg", "TREAT"));
    assert!(decision.is_permit());
    let [Obligation::Withhold { rule, labels, classes, codes }] = decision.obligations() else { panic!("{decision:?}") };
    assert_eq!((&**rule, labels.len(), classes.len(), codes.len()), ("provision.provision[0]", 1, 0, 0));
}

#[test]
fn implicit_policies_permit_what_they_say() {
    use ImplicitPolicy::{AllNormal, BasicNormal, BreakGlassOnly, Deny};
    let labelled = |code: &str| {
        parse(&format!(
            r#"{{"resourceType":"Observation","id":"1","subject":{{"reference":"Patient/1"}},
            "meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"{code}"}}]}}}}"#
        ))
    };
    for (implicit, purpose, label, permits) in [
        (Deny, "TREAT", "N", false),
        (BasicNormal, "TREAT", "N", true),
        (BasicNormal, "TREAT", "R", false),
        (BasicNormal, "TREAT", "?", false),
        (BasicNormal, "HMARKT", "N", false),
        (AllNormal, "HMARKT", "N", true),
        (AllNormal, "HMARKT", "V", false),
        (BreakGlassOnly, "BTG", "R", true),
        (BreakGlassOnly, "BTG", "V", false),
        (BreakGlassOnly, "TREAT", "N", false),
        (Deny, "BTG", "N", false),
    ] {
        let glass = Some(BrokenGlass::reaching(Confidentiality::Restricted, &[]));
        let policy = Policy { implicit, glass, ..Policy::default() };
        let decision = decide_on(&[], policy, &request("Practitioner/berg", purpose), &labelled(label));
        assert_eq!(decision.is_permit(), permits, "{implicit:?} {purpose} {label}");
    }
}

#[test]
fn implicit_policies_differ_by_sensitivity() {
    use ImplicitPolicy::{AllNormal, BasicNormal, BreakGlassOnly, Deny};
    let labelled = |labels: &str| {
        let label = |code: &str| {
            let system = if code.len() == 1 { "v3-Confidentiality" } else { "v3-ActCode" };
            format!(r#"{{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}"#)
        };
        let labels: Vec<String> = labels.split(' ').map(label).collect();
        parse(&format!(
            r#"{{"resourceType":"Observation","id":"1","subject":{{"reference":"Patient/1"}},"meta":{{"security":[{}]}}}}"#,
            labels.join(",")
        ))
    };
    let check = |general: ImplicitPolicy, rules: &[(&str, ImplicitPolicy)], purpose: &str, labels: &str, permits: bool| {
        let mut by_sensitivity = BySensitivity::default();
        rules.iter().for_each(|(code, policy)| by_sensitivity.set(code, *policy));
        let glass = Some(BrokenGlass::reaching(Confidentiality::Restricted, &[]));
        let policy = Policy { implicit: general, by_sensitivity, glass, ..Policy::default() };
        let decision = decide_on(&[], policy, &request("Practitioner/berg", purpose), &labelled(labels));
        assert_eq!(decision.is_permit(), permits, "{general:?} {rules:?} {purpose} {labels}");
    };
    check(BasicNormal, &[], "TREAT", "N", true);
    check(BasicNormal, &[], "TREAT", "R HIV", false);
    check(BasicNormal, &[("HIV", BasicNormal)], "TREAT", "R HIV", true);
    check(BasicNormal, &[("HIV", BasicNormal)], "HMARKT", "R HIV", false);
    check(BasicNormal, &[("HIV", AllNormal)], "HMARKT", "R HIV", true);
    check(BasicNormal, &[("HIV", BasicNormal)], "TREAT", "V HIV", false);
    check(BasicNormal, &[("HIV", BasicNormal)], "TREAT", "R HIV PSY", false);
    check(BasicNormal, &[("HIV", BasicNormal), ("PSY", BasicNormal)], "TREAT", "R HIV PSY", true);
    check(BasicNormal, &[("HIV", BasicNormal), ("PSY", Deny)], "TREAT", "R HIV PSY", false);
    // What holds for a sensitivity holds for its kinds; the stricter of two stays.
    check(BasicNormal, &[("SUD", BasicNormal)], "TREAT", "R OPIOIDUD", true);
    check(BasicNormal, &[("OPIOIDUD", BasicNormal)], "TREAT", "R SUD", false);
    check(BasicNormal, &[("SUD", BasicNormal), ("OPIOIDUD", Deny)], "TREAT", "R OPIOIDUD", false);
    check(BasicNormal, &[("no-such", AllNormal)], "TREAT", "R HIV", false);
    // A sensitivity may be opened where everything else is closed, and closed to whoever breaks the glass.
    check(Deny, &[("HIV", BasicNormal)], "TREAT", "R HIV", true);
    check(Deny, &[("HIV", BasicNormal)], "TREAT", "N", false);
    check(BreakGlassOnly, &[], "BTG", "R SDV", true);
    check(BreakGlassOnly, &[("SDV", Deny)], "BTG", "R SDV", false);
    check(Deny, &[("SDV", BreakGlassOnly)], "BTG", "R SDV", true);
    // A request as a whole may be made where anything may come of it, and the trace names what holds.
    let mut by_sensitivity = BySensitivity::default();
    by_sensitivity.set("HIV", BasicNormal);
    let policy = Policy { implicit: Deny, by_sensitivity, ..Policy::default() };
    let rules = Rules::compile(&[], &Directory::default(), policy);
    let decision = decide_request(&rules, &request("Practitioner/berg", "TREAT"));
    assert!(decision.is_permit());
    let steps: Vec<String> =
        decision.steps().iter().map(|step| format!("{} {} {}", step.consent.consent, step.rule, step.code())).collect();
    assert_eq!(steps, ["implicit-policy basic-normal matched"]);
}

#[test]
fn whoever_files_is_told_how_it_will_be_read() {
    let check = |provision: &str, rest: &str, expected: &[&str]| {
        let text = format!(
            r#"{{"resourceType":"Consent","status":"active","dateTime":"2025-01-01","scope":{{"coding":[{{"code":"patient-privacy"}}]}},
            "provision":{provision}{rest}}}"#
        );
        let found: Vec<&str> = lint(&parse(&text), &[]).iter().map(|finding| finding.message_id).collect();
        assert_eq!(found, expected, "{text}");
    };
    let optin = r#","policyRule":{"coding":[{"code":"OPTIN"}]}"#;
    check(r#"{"type":"permit"}"#, "", &[]);
    check(r#"{"type":"deny"}"#, optin, &["consent-root-against-policy-rule"]);
    let immunization = r#"{"type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Immunization"}]}"#;
    check(&format!(r#"{{"provision":[{immunization}]}}"#), optin, &["consent-permits-listed"]);
    check(&format!(r#"{{"type":"permit","provision":[{immunization}]}}"#), optin, &[]);
    check(r#"{"type":"permit","actor":[{"role":{"text":"x"},"modifierExtension":[{"url":"urn:x"}]}]}"#, "", &["consent-modifier"]);
    check("{}", "", &["consent-no-base"]);
    check(r#"{"actor":[{"reference":{"reference":"Practitioner/1"}}]}"#, optin, &["consent-denial-without-deny"]);
    check(r#"{"type":"permit","provision":[{"type":"permit"}]}"#, "", &["consent-empty-rule"]);
    check(
        r#"{"type":"permit","provision":[{"actor":[{"reference":{"reference":"Practitioner/1"}}]}]}"#,
        "",
        &["consent-denial-without-deny"],
    );
    check(r#"{"type":"permit","period":{"start":"2020","end":"2021"}}"#, "", &["consent-period-for-data-period"]);
    check(r#"{"type":"permit","period":{"start":"2022","end":"2021"}}"#, "", &["consent-period-unreadable"]);
    check(r#"{"type":"permit","dataPeriod":{}}"#, "", &["consent-period-unreadable"]);
    check(
        r#"{"type":"permit","securityLabel":[{"system":"http://terminology.hl7.org/ValueSet/v3-ActCode","code":"PSY"}]}"#,
        "",
        &["consent-value-set-as-system"],
    );
    check(r#"{"type":"permit","code":[{"coding":[{"system":"http://loinc.org/","code":"1-8"}]}]}"#, "", &["consent-system-form"]);
    check(
        r#"{"type":"permit","code":[{"coding":[{"code":"1-8"}]},{"text":"x"}]}"#,
        "",
        &["consent-system-missing", "consent-code-missing"],
    );
    check(
        r#"{"type":"permit","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"FUN"}]}"#,
        "",
        &["consent-purpose-unknown"],
    );
    check(r#"{"type":"permit","actor":[{"reference":{"display":"x"}}]}"#, "", &["consent-actor-unidentified"]);
    // Labels and types that nothing here bears: what a rule by them does.
    for (label, is_unknown) in [
        (("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSY"), false),
        (("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "V"), false),
        (("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSYCH"), true),
        (("http://terminology.hl7.org/CodeSystem/v3-ActCode", "NORDSCLCD"), true),
        (("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "X"), true),
        (("urn:our-labels", "PSY"), true),
    ] {
        let rule = format!(r#"{{"type":"permit","securityLabel":[{{"system":"{}","code":"{}"}}]}}"#, label.0, label.1);
        check(&rule, "", if is_unknown { &["consent-label-unknown"] } else { &[] });
    }
    for (class, is_unknown) in [
        (("http://hl7.org/fhir/resource-types", "Condition"), false),
        (("http://hl7.org/fhir/resource-types", "Diagnosis"), true),
        (("http://loinc.org", "34133-9"), false),
    ] {
        let rule = format!(r#"{{"type":"permit","class":[{{"system":"{}","code":"{}"}}]}}"#, class.0, class.1);
        check(&rule, "", if is_unknown { &["consent-class-unknown"] } else { &[] });
    }
    for class in ["DomainResource", "Resource"] {
        let rule = format!(r#"{{"type":"permit","class":[{{"system":"http://hl7.org/fhir/resource-types","code":"{class}"}}]}}"#);
        check(&rule, "", &["consent-class-base"]);
    }
    let action =
        |system: &str, code: &str| format!(r#"{{"type":"permit","action":[{{"coding":[{{"system":"{system}","code":"{code}"}}]}}]}}"#);
    check(&action("http://terminology.hl7.org/CodeSystem/consentaction", "access"), "", &[]);
    check(&action("http://terminology.hl7.org/CodeSystem/consentaction", "look"), "", &["consent-action-unknown"]);
    check(&action("urn:x", "access"), "", &["consent-action-unknown"]);
    check(r#"{"type":"permit","purpose":[{"system":"urn:x","code":"TREAT"}]}"#, "", &["consent-purpose-unknown"]);
    check(r#"{"type":"permit"}"#, r#","sourceAttachment":{"title":"x"}"#, &["consent-document-opens"]);
    check(r#"{"type":"deny"}"#, r#","sourceAttachment":{"title":"x"}"#, &[]);
    check(r#"{"type":"permit","modifierExtension":[{"url":"x"}]}"#, "", &["consent-modifier"]);
    check(r#"{"type":"permit"}"#, r#","implicitRules":"x""#, &["consent-modifier"]);
    check(
        r#"{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"List"}],
        "provision":[{"type":"permit","action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"access"}]}]}]}]}"#,
        "",
        &["consent-nested"],
    );
    let scanned =
        r#"{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"sourceAttachment":{"title":"x"}}"#;
    assert_eq!(lint(&parse(scanned), &[]).first().map(|finding| finding.message_id), Some("consent-document-only"));
    let bare = r#"{"resourceType":"Consent","provision":{"type":"permit"}}"#;
    let found: Vec<&str> = lint(&parse(bare), &[]).iter().map(|finding| finding.message_id).collect();
    assert_eq!(found, ["consent-status", "consent-scope"]);
}

/// What a denial by a sensitivity, beside a permit of everything, makes of a resource once it is labelled.
fn denied_by(label: &str, resource: &str) -> (bool, bool) {
    denied_by_label(("http://terminology.hl7.org/CodeSystem/v3-ActCode", label), resource)
}

/// The same of any label: whether it is permitted, and whether that is doubtful.
fn denied_by_label((system, label): (&str, &str), resource: &str) -> (bool, bool) {
    let consent = parse(&format!(
        r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},"provision":{{"type":"permit","provision":[
        {{"type":"deny","securityLabel":[{{"system":"{system}","code":"{label}"}}]}}]}}}}"#
    ));
    let resource = parse(resource);
    let mut facts = facts::of(&resource);
    Labeller::built_in().label(&resource, &mut facts);
    let decision =
        decide(&Rules::compile(&[consent], &Directory::default(), Policy::default()), &request("Organization/quay", "TREAT"), &facts);
    (decision.is_permit(), decision.is_ambiguous())
}

/// What a denial by a label means that no vocabulary of HL7's has nobody can tell: it may be anything. What a partner calls something it knows itself.
#[test]
fn a_denial_by_a_label_that_nobody_has_heard_of_may_mean_any() {
    const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let plain = r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"meta":{"security":[{"system":"urn:our-labels","code":"OWN"}]},
        "code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}}"#;
    for (label, expected) in [
        ((ACT_CODE, "PSYCH"), (false, true)),
        ((ACT_CODE, "42CFRPart2"), (false, true)),
        (("urn:oid:2.16.840.1.113883.5.4", "SUBSTANCE"), (false, true)),
        (("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "X"), (false, true)),
        (("http://terminology.hl7.org/CodeSystem/of-nobody", "PSY"), (false, true)),
        (("http://terminology.hl7.org/CodeSystem/v3-ActUSPrivacyLaw", "42CFRPart2"), (false, true)),
        (("", "PSYCH"), (false, true)),
        ((ACT_CODE, "PSY"), (true, false)),
        ((ACT_CODE, "psy"), (true, false)),
        ((ACT_CODE, "DIA"), (true, false)),
        ((ACT_CODE, "NORDSCLCD"), (true, false)),
        (("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "MASKED"), (true, false)),
        (("", "PSY"), (true, false)),
        (("", "psy"), (true, false)),
        (("urn:our-labels", "PSYCH"), (true, false)),
        (("urn:our-labels", "OWN"), (false, false)),
    ] {
        assert_eq!(denied_by_label(label, plain), expected, "{label:?}");
        let consent = format!(
            r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
            "provision":{{"type":"permit","provision":[{{"type":"deny","securityLabel":[{{"system":"{}","code":"{}"}}]}}]}}}}"#,
            label.0, label.1
        );
        let findings = lint(&parse(&consent), &[]);
        let is_told = findings.iter().any(|finding| finding.text.contains("a denial by it is taken to mean any label"));
        assert_eq!(is_told, expected.1, "{label:?}: {findings:?}");
    }
}

#[test]
fn a_denial_by_one_of_the_names_of_a_sensitivity_is_met_by_the_others() {
    let condition = |code: &str| {
        format!(
            r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/1"}},"code":{{"coding":[{{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"{code}"}}]}}}}"#
        )
    };
    for (label, code, expected) in [
        ("PSY", "F32.9", (false, false)),
        ("MH", "F32.9", (false, true)),
        ("EMOTDIS", "F32.9", (false, true)),
        ("DVD", "F84.0", (false, true)),
        ("VIO", "T74.21XA", (false, true)),
        ("MH", "F11.20", (true, false)),
        ("MH", "E11.9", (true, false)),
        ("HIV", "F32.9", (true, false)),
    ] {
        assert_eq!(denied_by(label, &condition(code)), expected, "{label} {code}");
    }
}

#[test]
fn a_product_without_a_name_may_be_what_is_withheld() {
    let product = |concept: &str| {
        format!(r#"{{"resourceType":"MedicationRequest","subject":{{"reference":"Patient/1"}},"medicationCodeableConcept":{{{concept}}}}}"#)
    };
    let coding =
        |code: &str, more: &str| format!(r#""coding":[{{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"{code}"{more}}}]"#);
    for (concept, expected) in [
        (coding("99999999", ""), (false, true)),
        (coding("99999999", r#","display":"Amoxicillin 500 MG""#), (true, false)),
        (format!(r#"{},"text":"Amoxicillin""#, coding("99999999", "")), (true, false)),
        (coding("1307061", ""), (false, false)),
        (coding("99999999", r#","display":"Methadone 5 MG""#), (false, false)),
    ] {
        assert_eq!(denied_by("SUD", &product(&concept)), expected, "{concept}");
    }
}

#[test]
fn whoever_files_is_told_who_cannot_be_compared_with_an_actor() {
    let npi = "http://hl7.org/fhir/sid/us-npi";
    let registered = |names: &[(&str, &str)]| -> Vec<Party> {
        let party = |(system, value): &(&str, &str)| {
            Party::from_reference(&parse(&format!(r#"{{"identifier":{{"system":"{system}","value":"{value}"}}}}"#)))
        };
        names.iter().map(party).collect()
    };
    let check = |actor: &str, recipients: &[(&str, &str)], expected: &[&str]| {
        for kind in ["deny", "permit"] {
            let rule = format!(r#"{{"type":"{kind}","actor":[{{"role":{{"text":"x"}},"reference":{actor}}}]}}"#);
            let text = format!(
                r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},
                "provision":{{"type":"permit","provision":[{rule}]}}}}"#
            );
            let found: Vec<&str> = lint(&parse(&text), &registered(recipients)).iter().map(|finding| finding.message_id).collect();
            assert_eq!(found, expected, "{actor} {recipients:?}");
        }
    };
    let by_npi = format!(r#"{{"identifier":{{"system":"{npi}","value":"1"}}}}"#);
    check(&by_npi, &[], &[]);
    check(&by_npi, &[(npi, "1"), (npi, "2")], &[]);
    check(&by_npi, &[(npi, "1"), ("urn:oid:1.2", "b")], &["consent-actor-not-comparable"]);
    check(&by_npi, &[("urn:oid:1.2", "b")], &["consent-actor-not-comparable"]);
    check(r#"{"identifier":{"system":"urn:oid:1.2","value":"a"}}"#, &[("urn:oid:1.2", "b")], &[]);
    check(r#"{"reference":"Practitioner/1"}"#, &[("urn:oid:1.2", "b")], &[]);
}

#[test]
fn whoever_files_is_told_what_keeps_a_consent_from_counting() {
    let found = |more: &str, scope: &str, record: &str| -> Vec<&'static str> {
        let consent = parse(&format!(
            r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"{scope}"}}]}},"patient":{{"reference":"Patient/1"}}{more}}}"#
        ));
        let directory = Directory::of(&[parse(record)]);
        will_not_count(&consent, &directory, Policy::default(), noon()).iter().map(|finding| finding.message_id).collect()
    };
    let grown = r#"{"resourceType":"Patient","id":"1","birthDate":"1970-01-01"}"#;
    let child = r#"{"resourceType":"Patient","id":"1","birthDate":"2015-01-01"}"#;
    let nobody = r#"{"resourceType":"Patient","id":"2"}"#;
    let given = r#","dateTime":"1980-01-01","performer":[{"reference":"RelatedPerson/1"}],"provision":{"type":"permit"}"#;
    let given_since = r#","dateTime":"2016-01-01","performer":[{"reference":"RelatedPerson/1"}],"provision":{"type":"permit"}"#;
    for (more, scope, record, expected) in [
        (r#","provision":{"type":"permit"}"#, "patient-privacy", grown, None),
        (r#","provision":{"type":"permit","period":{"start":"2025-01-01","end":"2025-12-31"}}"#, "patient-privacy", grown, None),
        (r#","provision":{"type":"permit","period":{"end":"2025-05-31"}}"#, "patient-privacy", grown, Some("consent-over")),
        (r#","provision":{"type":"permit","period":{"start":"2025-06-03"}}"#, "patient-privacy", grown, Some("consent-not-begun")),
        (r#","dateTime":"2025-07-01","provision":{"type":"permit"}"#, "patient-privacy", grown, Some("consent-dated-later")),
        (r#","verification":[{"verified":false}]"#, "patient-privacy", grown, Some("consent-not-verified")),
        (r#","verification":[{"verified":true}]"#, "patient-privacy", grown, None),
        (r#","decision":"permit","provision":{"type":"permit"}"#, "patient-privacy", grown, Some("consent-edition")),
        ("", "treatment", grown, Some("consent-scope-elsewhere")),
        ("", "research", grown, Some("consent-research")),
        (given, "patient-privacy", grown, Some("consent-outgrown")),
        (given_since, "patient-privacy", grown, None),
        (given_since, "patient-privacy", nobody, Some("consent-outgrown")),
        (given_since, "patient-privacy", child, None),
    ] {
        assert_eq!(found(more, scope, record), expected.into_iter().collect::<Vec<_>>(), "{more} {scope} {record}");
    }
}

/// Whoever files hears what a denial will reach beyond what it names, and what of it is read by nobody.
#[test]
fn the_filer_hears_of_groups_and_of_what_cannot_be_recognised() {
    let check = |contained: &str, rule: &str, expected: &[&str]| {
        let text = format!(
            r#"{{"resourceType":"Consent","status":"active","patient":{{"reference":"Patient/1"}},"contained":[{contained}],
            "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
            "provision":{{"type":"permit","provision":[{{"type":"deny",{rule}}}]}}}}"#
        );
        let found: Vec<&str> = lint(&parse(&text), &[]).iter().map(|finding| finding.message_id).collect();
        assert_eq!(found, expected, "{contained} {rule}");
    };
    let group = r#""code":[{"coding":[{"system":"http://loinc.org","code":"LG51018-6"}]}]"#;
    check("", group, &["consent-code-group"]);
    check("", &group.replace("LG51018-6", "718-7"), &[]);
    let actor = r##""actor":[{"reference":{"reference":"#r"}}]"##;
    let number = r#"{"identifier":{"system":"urn:x","value":"1"}}"#;
    let team = |member: &str| format!(r#"{{"resourceType":"CareTeam","id":"r","participant":[{{"member":{member}}}]}}"#);
    check(&team(number), actor, &[]);
    check(&team(r#"{"display":"Somebody"}"#), actor, &["consent-actor-unidentified"]);
    check(r#"{"resourceType":"Group","id":"r"}"#, actor, &["consent-actor-unidentified"]);
    check("", actor, &["consent-actor-unidentified"]);
    let data = |meaning: &str, reference: &str| format!(r#""data":[{{"meaning":"{meaning}","reference":{reference}}}]"#);
    check("", &data("authoredby", number), &[]);
    check("", &data("instance", number), &[]);
    check("", &data("related", number), &["consent-data-unidentified"]);
    check("", &data("authoredby", r#"{"display":"Somebody"}"#), &["consent-data-unidentified"]);
    check(&team(number), &data("authoredby", r##"{"reference":"#r"}"##), &[]);
}
