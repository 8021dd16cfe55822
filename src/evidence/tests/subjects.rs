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
        belongs::patients(&manifest, &files, &BTreeMap::new(), &mut report);
        assert_eq!(report.problems.is_empty(), is_sound, "{shown} entries, {claims} claims: {:?}", report.problems);
    }
    // What is claimed as nobody's is not another patient's, and nobody's are claimed once.
    let leaf =
        |patient: Option<Tag>| Leaf::new(LeafKind::Accept, at(), Tags { patient, record: Some(OTHER), partner: None }, [0; 32], [0; 32]);
    for (places, is_sound) in
        [([&[0][..], &[1, 2]], true), ([&[0], &[3]], false), ([&[3], &[]], false), ([&[0], &[1, 3]], false), ([&[3], &[3]], false)]
    {
        let (manifest, mut files) = listing(&versions, 2);
        let mut completeness: Completeness = serde_json::from_slice(&files["completeness.json"]).unwrap();
        completeness.claims.iter_mut().zip(places).for_each(|(claim, places)| claim.positions = places.to_vec());
        files.insert("completeness.json".to_owned(), serde_json::to_vec(&completeness).unwrap());
        let leaves = (0..4).map(|position| (position, leaf((position < 3).then_some(OTHER)))).collect();
        let mut report = Report::default();
        belongs::patients(&manifest, &files, &leaves, &mut report);
        assert_eq!(report.problems.is_empty(), is_sound, "{places:?}: {:?}", report.problems);
    }
}

/// Who drops what was claimed by one of a record's owners, or puts claims of something else in its place, is found out by the records of the export under the
/// tags of the others, also where no version is shown.
#[test]
fn a_record_is_claimed_by_as_many_owners_as_its_export_says() {
    let event = |said: &str, outcome: &str, of: &str| {
        format!(
            r#"{{"resourceType":"AuditEvent","outcome":"{outcome}","outcomeDesc":"{said}","entity":[{{"what":{{"reference":"{of}"}}}}]}}"#
        )
    };
    let of = "Observation/o";
    let documents = [
        event("evidence package", "0", of),
        event(&exported(Some(1)), "0", of),
        event(&exported(Some(2)), "0", of),
        event(&exported(Some(2)), "0", of),
        event(&exported(Some(9)), "8", of),
        event(&exported(Some(9)), "0", "Observation/other"),
        event("provenance trail", "0", of),
    ];
    let listed: Vec<_> = documents.iter().map(|document| ("disclose", "AuditEvent/e", document.as_str())).collect();
    for (claims, shown, is_sound) in [
        (&[&[0, 1, 2][..], &[3, 4, 5, 6]][..], Some(2), true),
        (&[&[0, 1, 2]], None, false),
        (&[&[3, 4, 5, 6]], None, false),
        (&[&[0, 1, 2], &[]], None, false),
        (&[&[0, 1, 2], &[4, 5, 6]], None, false),
        (&[&[0, 1, 2], &[3], &[]], None, false),
        (&[&[0, 1]], Some(1), true),
        (&[&[0, 6]], None, true),
        (&[&[0, 6], &[4, 5]], None, true),
        (&[&[0, 6], &[3]], None, false),
    ] {
        let (manifest, mut files) = listing(&listed, claims.len());
        let mut completeness: Completeness = serde_json::from_slice(&files["completeness.json"]).unwrap();
        completeness.claims.iter_mut().zip(claims).for_each(|(claim, positions)| claim.positions = positions.to_vec());
        files.insert("completeness.json".to_owned(), serde_json::to_vec(&completeness).unwrap());
        let mut report = Report::default();
        owners::owners(&manifest, &files, &mut report);
        assert_eq!((report.owners, report.problems.is_empty()), (shown, is_sound), "{claims:?}: {:?}", report.problems);
    }
}

/// A leaf under none of the tags belongs to a trail where what it commits to says so, and a version that does comes before all that is nobody's.
#[test]
fn what_bears_no_tag_must_show_that_it_belongs() {
    let log = Log::new();
    let leaf = |record: Option<Tag>| Leaf::new(LeafKind::Accept, at(), Tags { record, ..Tags::default() }, [0; 32], [0; 32]);
    for (tagged_at, is_shown, problems) in [(5, true, 0), (5, false, 1), (2, true, 1)] {
        let (mut manifest, mut files) = listing(&[], 0);
        manifest.subject = "Practitioner/p".to_owned();
        let package = log.package();
        let mut claim = log.claim();
        (claim.of, claim.secret) = (manifest.subject.clone(), None);
        files.insert(
            "completeness.json".to_owned(),
            serde_json::to_vec(&Completeness { claims: vec![claim], ..package.completeness }).unwrap(),
        );
        files.insert("index.tlog-proof".to_owned(), package.index_proof.into_bytes());
        files.insert("first.tlog-proof".to_owned(), package.first_proof.into_bytes());
        let checkpoint: Checkpoint = log.note().unverified_text().parse().unwrap();
        let mut report = Report::default();
        report.untagged.extend(is_shown.then_some(3));
        let leaves = BTreeMap::from([(3, leaf(None)), (tagged_at, leaf(Some(OTHER)))]);
        let _tags = whole::complete(&manifest, &files, &checkpoint, &leaves, None, &mut report);
        // That the claim's own leaves and the tagged one are not where they should be is beside the point.
        let about =
            |problem: &&String| problem.contains("under none of the tags") && !problem.contains(": 1 ") || problem.contains("bears no tag");
        assert_eq!(report.problems.iter().filter(about).count(), problems, "{:?}", report.problems);
        assert_eq!(report.tagged_from, is_shown.then_some(tagged_at));
    }
}
