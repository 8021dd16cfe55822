//! What a later leaf says was erased, and what none does.

use super::*;

/// A number may lack below the newest version that a later leaf found when it erased.
#[test]
fn a_version_lacks_only_where_a_later_leaf_says_that_it_was_erased() {
    let leaf = |kind| Leaf::new(kind, at(), Tags::default(), [0; 32], [0; 32]);
    for (numbers, erased_at, lacking) in [
        (&[1, 2, 3][..], None, Some(0)),
        (&[2, 3], None, None),
        (&[2, 3], Some(1), Some(1)),
        (&[2, 4], Some(2), Some(2)),
        (&[2, 4], Some(1), None),
        (&[2, 3], Some(0), None),
        (&[1, 3], None, None),
    ] {
        let targets: Vec<String> = numbers.iter().map(|number| format!("Observation/o/_history/{number}")).collect();
        let entries: Vec<_> = targets.iter().map(|target| ("accept", target.as_str(), "")).collect();
        let (manifest, _) = listing(&entries, 1);
        // Leaves at odd places stand between the listed ones at even places.
        let mut manifest = manifest;
        manifest.entries.iter_mut().for_each(|listed| listed.position *= 2);
        let mut report = Report::default();
        let (leaf, opening) = (leaf(LeafKind::Erase), Opening::new(String::new(), &[], None));
        let erasers = erased_at.map(|after: u64| ((after * 2).saturating_sub(1), &leaf, &opening));
        let erasers = Erasers::of(erasers.into_iter(), &mut report);
        whole::versions(&manifest, &erasers, &mut report);
        assert_eq!(report.problems.is_empty().then_some(report.erased_versions), lacking, "{numbers:?} {erased_at:?}");
    }
}

/// A leaf that names what it erased explains that alone; what names nothing is of an older gateway, and comes after nothing of a newer one.
#[test]
fn what_is_named_as_erased_lacks_and_nothing_else() {
    let severed = |positions: &[u64], versions: &[u32]| {
        let (leaves, versions) = (positions.iter().copied().collect(), versions.iter().copied().collect());
        Severed::naming(&Missing { leaves, versions, ..Missing::default() }, || [8; 32]).pop().unwrap()
    };
    let (named, others) = (severed(&[2], &[1]), severed(&[4], &[2]));
    let accepted = Leaf::new(LeafKind::Accept, at(), Tags::default(), [0; 32], [0; 32]);
    let eraser = |canonical| Leaf::new(LeafKind::Erase, at(), Tags::default(), [1; 32], canonical);
    let (new, old) = (eraser(named.commitment().unwrap()), eraser([0; 32]));
    let opening = |severed: Option<&Severed>| Opening::new(String::new(), &[], None).with_severed(severed.cloned());
    let nothing = opening(None);
    // The erasing leaves with what opens them; how the leaf at 2 is explained, whether version 1 is named, and how many problems there are.
    for (erasers, explained, is_version_named, problems) in [
        (vec![(7, &new, opening(Some(&named)))], Some(Erased::Named), true, 0),
        (vec![(7, &new, opening(None))], None, false, 0),
        (vec![(7, &new, opening(Some(&others)))], None, false, 1),
        (vec![(1, &new, opening(Some(&named)))], None, true, 0),
        (vec![(7, &old, opening(None))], Some(Erased::Unnamed), false, 0),
        (vec![(7, &old, opening(Some(&named)))], Some(Erased::Unnamed), false, 1),
        (vec![(7, &old, opening(None)), (8, &new, opening(Some(&named)))], Some(Erased::Named), true, 0),
        (vec![(7, &new, opening(Some(&named))), (8, &old, opening(None))], Some(Erased::Named), true, 1),
        (vec![(7, &accepted, opening(Some(&named)))], None, false, 1),
    ] {
        let mut report = Report::default();
        let proved = erasers.iter().map(|(position, leaf, opening)| (*position, *leaf, opening));
        let found = Erasers::of(std::iter::once((2, &accepted, &nothing)).chain(proved), &mut report);
        let is_named = found.names_version(1);
        assert_eq!((found.explain(2, &accepted), is_named, report.problems.len()), (explained, is_version_named, problems), "{erasers:?}");
    }
}

/// Records of what was done lack something where a leaf of the trail names them. One erasure does not bear out that anything else was shortened.
#[test]
fn what_is_named_as_shortened_lacks_and_nothing_else() {
    let (second, fourth) = (shortening(&[2]), shortening(&[4]));
    let check = |mut log: Log, severed: Option<&Severed>, opening: Option<&Severed>, is_elsewhere: bool| {
        let position = log.erase(severed, |leaf| leaf);
        let mut package = log.package();
        package.entries[1].document = None;
        package.lacking = vec![Lacking::event(2)];
        let proof = log.erasing_proof(position, opening);
        if is_elsewhere {
            package.erasure_proof = Some(proof);
        } else {
            package.entries.push(erasing(position, proof));
        }
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap()
    };
    let older = || Log::of_older(|_| [0; 32]);
    for (log, named, opening, is_elsewhere, is_sound) in [
        (Log::new(), Some(&second), Some(&second), false, true),
        (Log::new(), Some(&fourth), Some(&fourth), false, false),
        (Log::new(), Some(&fourth), Some(&second), false, false),
        (Log::new(), Some(&second), None, false, false),
        (Log::new(), None, None, false, false),
        (Log::new(), Some(&second), Some(&second), true, false),
        (Log::new(), None, None, true, false),
        // What an older gateway wrote may be shortened by a newer one, which names it.
        (older(), Some(&second), Some(&second), false, true),
        (older(), Some(&fourth), Some(&fourth), false, false),
        (older(), None, None, true, false),
    ] {
        let report = check(log, named, opening, is_elsewhere);
        assert_eq!(report.problems.is_empty(), is_sound, "{named:?} {opening:?} {is_elsewhere}: {:?}", report.problems);
        assert_eq!(report.shortened.into_iter().collect::<Vec<_>>(), if is_sound { vec![(Erased::Named, 1)] } else { Vec::new() });
    }
}

/// A Provenance lacks where a leaf of the trail names its version's, and nowhere else; what an older gateway wrote, too.
#[test]
fn a_provenance_lacks_where_that_is_named() {
    let check = |mut log: Log, severed: Option<&Severed>, lacking: Option<Lacking>| {
        let position = log.erase(severed, |leaf| leaf);
        let mut package = log.package();
        package.entries[4].provenance = None;
        package.lacking = lacking.into_iter().collect();
        package.entries.push(erasing(position, log.erasing_proof(position, severed)));
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap()
    };
    let (named, another) = (shortening(&[8]), shortening(&[2]));
    let older = || Log::of_older(|_| [0; 32]);
    let stated = || Some(Lacking::provenance(8));
    for (log, severed, lacking, is_sound) in [
        (Log::new(), Some(&named), stated(), true),
        (Log::new(), Some(&another), stated(), false),
        (Log::new(), None, stated(), false),
        (Log::new(), Some(&named), None, false),
        (Log::new(), Some(&named), Some(Lacking { why: Why::Erased, ..Lacking::provenance(8) }), false),
        (older(), Some(&named), stated(), true),
        (older(), None, stated(), false),
    ] {
        let report = check(log, severed, lacking.clone());
        assert_eq!(report.problems.is_empty(), is_sound, "{severed:?} {lacking:?}: {:?}", report.problems);
        assert_eq!((report.unnamed, report.lacking.len(), report.shortened.len()), (usize::from(is_sound), 0, 0));
    }
    // One that is there does not lack.
    let (mut log, severed) = (Log::new(), shortening(&[8]));
    let position = log.erase(Some(&severed), |leaf| leaf);
    let mut package = log.package();
    package.lacking = stated().into_iter().collect();
    package.entries.push(erasing(position, log.erasing_proof(position, Some(&severed))));
    assert_eq!(log.problems(package).len(), 1);
}

/// A leaf that does not name what it shortened comes after none that does, in the trail or beside it.
#[test]
fn nobody_goes_back_to_naming_nothing() {
    let check = |mut log: Log, is_elsewhere: bool| {
        let position = log.erase(None, of_older);
        let mut package = log.package();
        let proof = log.erasing_proof(position, None);
        if is_elsewhere {
            package.erasure_proof = Some(proof);
            package.entries[1].document = None;
            package.lacking = vec![Lacking::event(2)];
        } else {
            package.entries.push(erasing(position, proof));
        }
        log.problems(package)
    };
    let older = || Log::of_older(|_| [0; 32]);
    assert_eq!((check(older(), false).len(), check(older(), true).len()), (0, 0));
    assert!(matches!(&check(Log::new(), false)[..], [only] if only.contains("does not name what it shortens")));
    assert!(matches!(&check(Log::new(), true)[..], [only] if only.contains("nothing in the log bears out")));
    // Older leaves, but a newer one among them: what is older than that may have been shortened by what is older too, and by nothing else.
    let mut mixed = older();
    let newer = mixed.erase(Some(&shortening(&[])), |leaf| leaf);
    let older = mixed.erase(None, of_older);
    let mut package = mixed.package();
    package.entries[1].document = None;
    package.lacking = vec![Lacking::event(2)];
    package.entries.push(erasing(newer, mixed.erasing_proof(newer, Some(&shortening(&[])))));
    package.erasure_proof = Some(mixed.erasing_proof(older, None));
    assert!(matches!(&mixed.problems(package)[..], [only] if only.contains("nothing in the log bears out")));
}

/// The entry of a leaf that erases.
fn erasing(position: u64, proof: String) -> Entry {
    let (kind, target, document, provenance) = (LeafKind::Erase, None, None, None);
    Entry { position, kind, target, proof, has_content: false, document, provenance, hour: hour(at()) }
}
