//! Receipts that others hold, against packages.

use super::*;

/// Whoever holds a receipt finds out that a package names tags under which there is nothing, drawn for that.
#[test]
fn receipts_bind_the_tags_to_the_subject() {
    let log = Log::new();
    let receipt = |number: u64| Receipt { name: format!("{number}.tlog-proof"), text: log.proof(number, "AuditEvent/e", Some(&KEY)) };
    let check = |package: Package, receipts: &[Receipt]| {
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept { receipts, ..Kept::default() }).unwrap()
    };
    let sound = check(log.package(), &[receipt(2), receipt(8)]);
    assert_eq!((sound.problems.as_slice(), sound.receipts, sound.bound.len(), sound.tags), (&[][..], 2, 1, 1));
    let unbound = check(log.package(), &[]);
    assert_eq!((unbound.problems.len(), unbound.receipts, unbound.bound.len(), unbound.tags), (0, 0, 0, 1));

    // "There are none", under a secret that somebody drew: sound in itself, and refused by whoever has a receipt.
    let drawn = PatientTags([0x55; 32]);
    let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
    let proof = prove(log.top, drawn.tag(SUBJECT), &log.nodes, list).unwrap();
    let none = || {
        let mut package = log.package();
        package.entries.clear();
        let claim = Claim::new(SUBJECT.to_owned(), Epoch::of(at()).0, drawn.tag(SUBJECT), Some(&drawn.0), Vec::new(), &proof);
        package.completeness.claims = vec![claim];
        package
    };
    assert_eq!(check(none(), &[]).problems, Vec::<String>::new());
    type Wrong<'a> = (&'a str, Package, Receipt);
    let forked = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[4; 32]).unwrap();
    let foreign = Log { signer: forked, ..Log::new() }.proof(2, "AuditEvent/e", Some(&KEY));
    let wrong: [Wrong<'_>; 5] = [
        ("does not list it", none(), receipt(2)),
        ("does not list it", log.package(), receipt(9)),
        ("newer than what this package looked through", log.package(), receipt(10)),
        ("the proof does not hold", log.package(), Receipt { name: "other".to_owned(), text: foreign }),
        ("the proof does not hold", log.package(), Receipt { name: "none".to_owned(), text: "nothing".to_owned() }),
    ];
    for (expected, package, receipt) in wrong {
        let report = check(package, std::slice::from_ref(&receipt));
        assert!(matches!(&report.problems[..], [only] if only.contains(expected)), "{expected}: {:?}", report.problems);
    }
    // Two histories of one log.
    let mut other = Log::new();
    other.edge = Edge::new();
    let entries = std::mem::take(&mut other.entries);
    for (number, mut entry) in entries.into_iter().enumerate() {
        if number == 2 {
            *entry.last_mut().unwrap() ^= 1;
        }
        other.append(entry);
    }
    let split = Receipt { name: "split".to_owned(), text: other.proof(2, "AuditEvent/e", Some(&KEY)) };
    assert!(check(log.package(), &[split]).problems[0].contains("there are two histories"));
}
