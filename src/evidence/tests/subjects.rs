//! Records that are, or were, about several patients.

use super::*;

/// A record that was about several patients has the leaves under the tags of each, and none of them may be left out.
#[test]
fn a_record_of_several_patients_is_complete_for_each() {
    let log = Log::new();
    let package = || {
        let mut package = log.package();
        package.subject = "Observation/o".to_owned();
        let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
        let claim = |tag: Tag, patient| {
            let proof = prove(log.top, tag, &log.nodes, list).unwrap();
            let positions = log.lists[&tag].clone();
            Claim::new("Observation/o".to_owned(), Epoch::of(at()).0, tag, None, positions, &proof).by_patient(patient)
        };
        package.completeness.claims = vec![claim(SECRET.tag(SUBJECT), 0), claim(OTHER, 1)];
        package.entries.extend([1, 3, 5, 7].map(|position| log.entry(position)));
        let mut last = log.entry(9);
        last.document = Some(consent());
        last.proof = log.proof(9, "Consent/c/_history/1", Some(&KEY));
        last.target = Some("Consent/c/_history/1".to_owned());
        package.entries.push(last);
        package.entries.sort_by_key(|entry| entry.position);
        package
    };
    let problems = log.problems(package());
    assert_eq!(problems, ["provenance/9.json: it is missing"], "all but what this log has none of");
    for (what, change) in [
        ("an epoch of the second left out", (|package| drop(package.completeness.claims.pop())) as fn(&mut Package)),
        ("two that say they are the first", |package| package.completeness.claims[1].patient = 0),
        ("one that says it is the third", |package| package.completeness.claims[1].patient = 2),
        ("one twice", |package| {
            let mut again = package.completeness.claims[0].clone();
            again.patient = 2;
            package.completeness.claims.push(again);
        }),
        ("a version left out", |package| package.entries[1].target = Some("Observation/o/_history/2".to_owned())),
    ] {
        let mut package = package();
        change(&mut package);
        assert!(log.problems(package).len() > 1, "{what} passes");
    }
}

/// Who drops what was claimed by one of a record's patients is found out by the versions that name them.
#[test]
fn a_record_is_claimed_by_everybody_its_versions_name() {
    let of = |patient: &str| format!(r#"{{"resourceType":"Observation","subject":{{"reference":"Patient/{patient}"}}}}"#);
    let (a, b) = (of("a"), of("b"));
    let versions = [
        ("accept", "Observation/o/_history/1", a.as_str()),
        ("accept", "Observation/o/_history/2", b.as_str()),
        ("accept", "Observation/o/_history/2", b.as_str()),
        ("disclose", "AuditEvent/e", r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Patient/c"}}]}"#),
    ];
    for (shown, claims, is_sound) in [(4, 2, true), (4, 3, true), (4, 1, false), (1, 1, true), (4, 0, false)] {
        let (manifest, files) = listing(&versions[..shown], claims);
        let mut report = Report::default();
        belongs::patients(&manifest, &files, &mut report);
        assert_eq!(report.problems.is_empty(), is_sound, "{shown} entries, {claims} claims: {:?}", report.problems);
    }
}
