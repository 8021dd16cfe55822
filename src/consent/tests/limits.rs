//! Every limit, reached.

use super::*;

fn permit_with(member: &str, value: &str) -> Node {
    parse(&format!(
        r#"{{"resourceType":"Consent","id":"c","status":"active","patient":{{"reference":"Patient/anna"}},
        "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "provision":{{"type":"permit","{member}":{value}}}}}"#
    ))
}

fn observation() -> Node {
    parse(
        r#"{"resourceType":"Observation","id":"o","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]},"subject":{"reference":"Patient/anna"}}"#,
    )
}

fn check(consents: &[Node], reason: &str) {
    let decision = decide_on(consents, Policy::default(), &request("Practitioner/berg", "TREAT"), &observation());
    assert_eq!(decision.reason(), reason);
}

fn list(item: &str, count: usize) -> String {
    format!("[{}]", vec![item; count].join(","))
}

fn nested(depth: usize) -> String {
    (0..depth).fold("[]".to_owned(), |inner, _| format!(r#"[{{"type":"deny","purpose":[{{"code":"X"}}],"provision":{inner}}}]"#))
}

#[test]
fn consents_beyond_the_limits_permit_nothing() {
    let plain = permit_with("extension", "[]");
    check(std::slice::from_ref(&plain), "permitted");
    check(&vec![plain.clone(); 1024], "permitted");
    check(&vec![plain; 1025], "too-large");
    let never = r#"{"type":"deny","purpose":[{"system":"urn:x","code":"X"}]}"#;
    check(&[permit_with("provision", &list(never, 8191))], "permitted");
    check(&[permit_with("provision", &list(never, 8192))], "too-large");
    check(&[permit_with("provision", &nested(8))], "permitted");
    check(&[permit_with("provision", &nested(9))], "too-large");
    let purpose = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}"#;
    check(&[permit_with("purpose", &list(purpose, 2048))], "permitted");
    check(&[permit_with("purpose", &list(purpose, 2049))], "too-large");
}

/// Each of two groups beyond what all actors may stand for together: the one that comes last is not known.
#[test]
fn what_all_actors_stand_for_has_an_end() {
    const SIZE: usize = 4_000;
    let group = |id: usize| {
        let members: Vec<String> = (0..SIZE).map(|one| format!(r#"{{"entity":{{"reference":"Practitioner/p{id}x{one}"}}}}"#)).collect();
        parse(&format!(r#"{{"resourceType":"Group","id":"g{id}","actual":true,"member":[{}]}}"#, members.join(",")))
    };
    let permits = |groups: usize| {
        let actors: Vec<String> = (0..groups).map(|id| format!(r#"{{"reference":{{"reference":"Group/g{id}"}}}}"#)).collect();
        let consent = permit_with("actor", &format!("[{}]", actors.join(",")));
        let rules = Rules::compile(&[consent], &Directory::of(&(0..groups).map(group).collect::<Vec<_>>()), Policy::default());
        let last = format!("Practitioner/p{}x7", groups - 1);
        decide(&rules, &request(&last, "TREAT"), &facts::of(&observation())).is_permit()
    };
    assert_eq!([8, 9, 10].map(permits), [true, true, false]);
}

#[test]
fn the_labels_that_are_compared_have_an_end_and_codes_need_none() {
    let denial = |criterion: &str| permit_with("provision", &format!(r#"[{{"type":"deny",{criterion}}}]"#));
    let permitted = |consent: &Node, resource: &str| {
        let rules = Rules::compile(std::slice::from_ref(consent), &Directory::default(), Policy::default());
        decide(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(&parse(resource))).is_permit()
    };
    let labelled = |count: usize| {
        let labels: Vec<String> = (0..count).map(|one| format!(r#"{{"system":"urn:x","code":"l{one}"}}"#)).collect();
        let normal = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
        format!(
            r#"{{"resourceType":"Observation","id":"o","meta":{{"security":[{normal},{}]}},"subject":{{"reference":"Patient/anna"}}}}"#,
            labels.join(",")
        )
    };
    let consent = denial(r#""securityLabel":[{"system":"urn:x","code":"other"}]"#);
    assert_eq!([511, 512].map(|count| permitted(&consent, &labelled(count))), [true, false]);

    let codes = |count: usize, name: &str| {
        (0..count).map(|one| format!(r#"{{"system":"urn:x","code":"{name}{one}"}}"#)).collect::<Vec<_>>().join(",")
    };
    let consent = denial(&format!(r#""code":[{{"coding":[{}]}}]"#, codes(1_000, "a")));
    let coded = |count: usize| {
        format!(
            r#"{{"resourceType":"Observation","id":"o","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}}]}},
            "subject":{{"reference":"Patient/anna"}},"code":{{"coding":[{}]}}}}"#,
            codes(count, "b")
        )
    };
    assert_eq!([199, 201, 2_000].map(|count| permitted(&consent, &coded(count))), [true; 3]);
}

/// A value set of categories, and a record with as many codes of which none is in it.
#[test]
fn many_codes_are_looked_up_in_a_time_that_grows_with_them() {
    const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
    let codes = |count: usize, letter: char| {
        (0..count).map(move |one| format!(r#"{{"system":"{ICD}","code":"{letter}{:02}.{}"}}"#, one % 100, one / 100))
    };
    let of = |count: usize, letter: char| {
        let denied: Vec<String> = codes(count, 'F').collect();
        let reasons: Vec<String> = codes(count, letter).map(|code| format!(r#"{{"coding":[{code}]}}"#)).collect();
        let resource = parse(&format!(
            r#"{{"resourceType":"Procedure","id":"p","status":"completed","subject":{{"reference":"Patient/anna"}},
            "code":{{"coding":[{{"system":"http://snomed.info/sct","code":"71388002"}}]}},"reasonCode":[{}]}}"#,
            reasons.join(",")
        ));
        (permit_with("provision", &format!(r#"[{{"type":"deny","code":[{{"coding":[{}]}}]}}]"#, denied.join(","))), resource)
    };
    let taken = [250, 2_000].map(|count| {
        let (consent, resource) = of(count, 'I');
        let each = (0..3).map(|_| {
            let started = std::time::Instant::now();
            assert!(left_of(&consent, &resource).0.is_some_and(|left| !left.is_redacted()), "{count}");
            started.elapsed()
        });
        each.min().unwrap()
    });
    assert!(taken[1] < taken[0] * 24, "eight times as many may take some eight times as long: {taken:?}");
    let (consent, resource) = of(500, 'F');
    assert!(left_of(&consent, &resource).0.is_none_or(|left| left.is_redacted()));
}

/// Those who are denied by number, and a record by as many others.
#[test]
fn many_authors_are_looked_up_in_a_time_that_grows_with_them() {
    let named = |first: usize, count: usize| {
        let one = |number: usize| {
            format!(r#"{{"type":"Practitioner","identifier":{{"system":"http://hl7.org/fhir/sid/us-npi","value":"{number}"}}}}"#)
        };
        (first..first + count).map(one).collect::<Vec<_>>()
    };
    let of = |count: usize, first: usize| {
        let data: Vec<String> = named(0, count).iter().map(|who| format!(r#"{{"meaning":"authoredby","reference":{who}}}"#)).collect();
        let resource = parse(&format!(
            r#"{{"resourceType":"Observation","id":"o","subject":{{"reference":"Patient/anna"}},"performer":[{}]}}"#,
            named(first, count).join(",")
        ));
        (permit_with("provision", &format!(r#"[{{"type":"deny","data":[{}]}}]"#, data.join(","))), resource)
    };
    let known = |first: usize, count: usize| {
        let one = |number: usize| {
            format!(
                r#"{{"resourceType":"Practitioner","id":"p{number}","identifier":[{{"system":"http://hl7.org/fhir/sid/us-npi","value":"{number}"}}]}}"#
            )
        };
        Directory::of(&(first..first + count).map(|number| parse(&one(number))).collect::<Vec<_>>())
    };
    let shown = |rules: &Rules, resource: &Node| decide(rules, &request("Practitioner/berg", "TREAT"), &facts::of(resource)).is_permit();
    let taken = [125, 1_000].map(|count| {
        let (consent, resource) = of(count, 5_000);
        let rules = Rules::compile(&[consent], &known(5_000, count), Policy::default());
        let each = (0..3).map(|_| {
            let started = std::time::Instant::now();
            assert!(shown(&rules, &resource), "{count}");
            started.elapsed()
        });
        each.min().unwrap()
    });
    assert!(taken[1] < taken[0] * 24, "eight times as many may take some eight times as long: {taken:?}");
    let (consent, resource) = of(1_000, 999);
    assert!(!shown(&Rules::compile(&[consent], &known(999, 1_000), Policy::default()), &resource), "one of them is denied");
}

#[test]
fn a_trace_has_an_end() {
    let never = r#"{"type":"deny","purpose":[{"system":"urn:x","code":"X"}]}"#;
    let rules = Rules::compile(&[permit_with("provision", &list(never, 500))], &Directory::default(), Policy::default());
    let decision = explain(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(&observation()));
    assert!(decision.is_permit() && decision.steps().len() == 64);
}

#[test]
fn membership_has_an_end() {
    let group = |id: usize, entity: &str| {
        parse(&format!(r#"{{"resourceType":"Group","id":"g{id}","actual":true,"member":[{{"entity":{{"reference":"{entity}"}}}}]}}"#))
    };
    let chain = |length: usize| -> Vec<Node> {
        let last = group(length, "Practitioner/berg");
        (0..length).map(|id| group(id, &format!("Group/g{}", id + 1))).chain([last]).collect()
    };
    let consent = permit_with("actor", r#"[{"reference":{"reference":"Group/g0"}}]"#);
    for (length, permits) in [(0, true), (3, true), (4, false), (100, false)] {
        let rules = Rules::compile(std::slice::from_ref(&consent), &Directory::of(&chain(length)), Policy::default());
        assert_eq!(decide(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(&observation())).is_permit(), permits, "{length}");
    }
    let crowd: Vec<String> = (0..5000).map(|id| format!(r#"{{"entity":{{"reference":"Practitioner/p{id}"}}}}"#)).collect();
    let crowd = parse(&format!(r#"{{"resourceType":"Group","id":"g0","actual":true,"member":[{}]}}"#, crowd.join(",")));
    let rules = Rules::compile(std::slice::from_ref(&consent), &Directory::of(&[crowd]), Policy::default());
    for (who, permits) in [("Practitioner/p7", true), ("Practitioner/p4999", false)] {
        assert_eq!(decide(&rules, &request(who, "TREAT"), &facts::of(&observation())).is_permit(), permits, "{who}");
    }
}

#[test]
fn bundles_in_bundles_have_an_end() {
    let bundle = |depth: usize| {
        let inner = json::write(&observation());
        parse(&(0..depth).fold(inner, |inner, _| format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{inner}}}]}}"#)))
    };
    assert!(!patients_of(&bundle(8)).contains(&PatientReference::Unresolvable));
    assert!(patients_of(&bundle(9)).contains(&PatientReference::Unresolvable));
}

/// A denial of what belongs to records that are named, and an Observation that has many members.
fn belonging(named: usize) -> Node {
    let data: Vec<String> =
        (0..named).map(|one| format!(r#"{{"meaning":"dependents","reference":{{"reference":"Observation/z{one}"}}}}"#)).collect();
    permit_with("provision", &format!(r#"[{{"type":"deny","data":[{}]}}]"#, data.join(",")))
}

fn with_members(prefix: &str, count: usize) -> Node {
    let members: Vec<String> = (0..count).map(|one| format!(r#"{{"reference":"Observation/{prefix}{one}"}}"#)).collect();
    parse(&format!(
        r#"{{"resourceType":"Observation","id":"o","subject":{{"reference":"Patient/anna"}},"hasMember":[{}]}}"#,
        members.join(",")
    ))
}

/// What is left of a resource, and how much was compared for it.
fn left_of(consent: &Node, resource: &Node) -> (Option<Permitted>, usize, bool) {
    let rules = Rules::compile(std::slice::from_ref(consent), &Directory::default(), Policy::default());
    let decision = decide(&rules, &request("Practitioner/berg", "TREAT"), &facts::of(resource));
    let left = release(&decision, resource.clone());
    (left, decision.spent(), is_beyond_deciding(&decision))
}

#[test]
fn what_no_rule_names_is_decided_once_however_many_refer_to_it() {
    let consent = belonging(100);
    let [few, many] = [10, 1_000].map(|count| left_of(&consent, &with_members("m", count)));
    assert!(few.0.is_some() && many.0.is_some());
    assert_eq!((few.1, few.2), (many.1, many.2), "a hundred times as many cost no more");
}

#[test]
fn what_is_compared_for_one_record_has_an_end_and_others_are_shown() {
    let rule = |first: usize| {
        let data: Vec<String> = (first..first + 1_999)
            .map(|one| format!(r#"{{"meaning":"instance","reference":{{"reference":"Observation/m{one}"}}}}"#))
            .collect();
        format!(r#"{{"type":"deny","data":[{}]}}"#, data.join(","))
    };
    let consent = permit_with("provision", &format!("[{},{},{}]", rule(0), rule(1_999), rule(3_998)));
    for (named, is_beyond) in [(500, false), (2_000, true)] {
        assert_eq!(left_of(&consent, &with_members("m", named)).2, is_beyond, "{named}");
    }
    let (neighbour, _, is_beyond) = left_of(&consent, &with_members("x", 2_000));
    assert!(neighbour.is_some_and(|left| !left.is_redacted()) && !is_beyond);
}

#[test]
fn the_labels_of_a_consent_that_are_compared_have_an_end() {
    let normal = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
    let labels = |count: usize, name: &str| {
        (0..count).map(|one| format!(r#"{{"system":"urn:x","code":"{name}{one}"}}"#)).collect::<Vec<_>>().join(",")
    };
    let consent = permit_with("provision", &format!(r#"[{{"type":"deny","securityLabel":[{}]}}]"#, labels(1_000, "a")));
    let shown = |count: usize| {
        let resource = parse(&format!(
            r#"{{"resourceType":"Observation","id":"o","meta":{{"security":[{normal},{}]}},"subject":{{"reference":"Patient/anna"}}}}"#,
            labels(count, "b")
        ));
        left_of(&consent, &resource).0.is_some()
    };
    assert_eq!([1, 199, 200].map(shown), [true, true, false]);
}

/// Nothing is copied, or looked through, for each of what is contained.
#[test]
fn contained_authors_are_found_in_a_time_that_grows_with_them() {
    let with_authors = |count: usize| {
        let contained: Vec<String> = (0..count).map(|one| format!(r#"{{"resourceType":"Practitioner","id":"l{one}"}}"#)).collect();
        let performers: Vec<String> = (0..count).map(|one| format!(r##"{{"reference":"#l{one}"}}"##)).collect();
        parse(&format!(
            r#"{{"resourceType":"Observation","id":"o","contained":[{}],"subject":{{"reference":"Patient/anna"}},"performer":[{}]}}"#,
            contained.join(","),
            performers.join(",")
        ))
    };
    let consent = permit_with(
        "provision",
        r#"[{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}]"#,
    );
    let taken = [250, 2_000].map(with_authors).map(|resource| {
        let each = (0..3).map(|_| {
            let started = std::time::Instant::now();
            assert!(left_of(&consent, &resource).0.is_some());
            started.elapsed()
        });
        each.min().unwrap()
    });
    assert!(taken[1] < taken[0] * 24, "eight times as many may take some eight times as long: {taken:?}");
}
