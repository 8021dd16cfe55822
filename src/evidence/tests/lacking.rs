//! What is named and not there.

use super::*;

/// What is named and not there was taken away, unless the package says why it is not; what it says must be so.
#[test]
fn what_is_named_and_not_there_must_be_told() {
    let event = r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Consent/c/_history/1"}},{"what":{"reference":"Consent/c/_history/2"}},{"what":{"reference":"Observation/o/_history/1"}}]}"#;
    let listed = [
        ("accept", "Observation/o/_history/1", ""),
        ("disclose", "AuditEvent/e", event),
        ("deliver", "AuditEvent/f", event),
        ("refuse", "AuditEvent/g", ""),
        ("erase", "AuditEvent/h", ""),
    ];
    // All of it was written by a gateway whose erasing leaves do not name what they shorten.
    let leaf = |kind| of_older(Leaf::new(kind, at(), Tags::default(), [0; 32], [0; 32]));
    let (eraser, opening) = (leaf(LeafKind::Erase), Opening::new(String::new(), &[], None));
    let leaves: BTreeMap<u64, Leaf> = (1..4).map(|position| (position, leaf(LeafKind::Disclose))).collect();
    let (gone, consent_gone) = (|| Lacking::event(3), |why| Lacking::consent("c-2", why));
    let event_gone = |why| Lacking { why, ..gone() };
    for (lacking, erased_at, problems, counted) in [
        (vec![], Some(4), 2, vec![]),
        (vec![gone()], Some(4), 1, vec![(Why::Shortened, 1)]),
        (vec![gone(), consent_gone(Why::Withheld)], Some(4), 0, vec![(Why::Withheld, 1), (Why::Shortened, 1)]),
        (vec![gone(), consent_gone(Why::Erased)], Some(4), 0, vec![(Why::Erased, 1), (Why::Shortened, 1)]),
        // Records of what was done are neither withheld nor erased, consents are not shortened.
        (vec![event_gone(Why::Withheld), consent_gone(Why::Withheld)], Some(4), 1, vec![(Why::Withheld, 1)]),
        (vec![event_gone(Why::Erased), consent_gone(Why::Withheld)], Some(4), 1, vec![(Why::Withheld, 1)]),
        (vec![gone(), consent_gone(Why::Shortened)], Some(4), 1, vec![(Why::Shortened, 1)]),
        // No erasure, or only one before it.
        (vec![gone(), consent_gone(Why::Withheld)], None, 1, vec![(Why::Withheld, 1)]),
        (vec![gone(), consent_gone(Why::Erased)], None, 2, vec![]),
        (vec![gone(), consent_gone(Why::Erased)], Some(3), 1, vec![(Why::Erased, 1)]),
        // What is there, and what nothing names.
        (
            vec![gone(), consent_gone(Why::Erased), Lacking::consent("c-1", Why::Erased)],
            Some(4),
            1,
            vec![(Why::Erased, 1), (Why::Shortened, 1)],
        ),
        (vec![gone(), consent_gone(Why::Erased), Lacking::event(0)], Some(4), 1, vec![(Why::Erased, 1), (Why::Shortened, 1)]),
    ] {
        let (mut manifest, mut files) = listing(&listed, 1);
        files.insert("consents/c-1.json".to_owned(), consent().into_bytes());
        manifest.lacking.clone_from(&lacking);
        let mut report = Report::default();
        let erasers = Erasers::of(erased_at.map(|at| (at, &eraser, &opening)).into_iter(), &mut report);
        belongs::missing(&manifest, &files, &leaves, &erasers, &mut report);
        assert_eq!((report.problems.len(), report.lacking), (problems, counted.into_iter().collect()), "{lacking:?} {erased_at:?}");
    }
    let (mut manifest, files) = listing(&listed, 1);
    manifest.format = "hearthgate/evidence/3".to_owned();
    let mut report = Report::default();
    belongs::missing(&manifest, &files, &leaves, &Erasers::default(), &mut report);
    assert_eq!((report.problems.len(), report.untold), (0, 3), "older ones do not say");
}

/// A disclosure cut out of a package is not called something else: only the log's own word of an erasure after it lets it lack. So it was before leaves
/// named what was shortened.
#[test]
fn a_record_that_was_cut_out_is_missed() {
    let mut log = Log::of_older(|_| [0; 32]);
    log.append(of_older(Leaf::new(LeafKind::Erase, at(), Tags::default(), [0; 32], [0; 32])).encode());
    let cut = |why, erasure: Option<u64>| {
        let mut package = log.package();
        package.entries[1].document = None;
        package.lacking = vec![Lacking { why, ..Lacking::event(package.entries[1].position) }];
        package.erasure_proof = erasure.map(|position| log.proof(position, "", None));
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap()
    };
    for (why, erasure, problems) in [
        (Why::Withheld, None, 1),
        (Why::Withheld, Some(11), 1),
        (Why::Erased, Some(11), 1),
        (Why::Shortened, None, 1),
        (Why::Shortened, Some(6), 2),
        (Why::Shortened, Some(11), 0),
    ] {
        let report = cut(why, erasure);
        assert_eq!(report.problems.len(), problems, "{why:?} {erasure:?}: {:?}", report.problems);
        assert_eq!(report.lacking.values().sum::<usize>(), usize::from(problems == 0), "{why:?} {erasure:?}");
    }
}
