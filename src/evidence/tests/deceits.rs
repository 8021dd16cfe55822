//! What somebody who makes the package themselves might try.

use super::*;

/// What somebody who makes the package themselves might try: every file is then as the manifest says.
#[test]
fn packages_that_deceive_are_found_out() {
    let log = Log::new();
    type Change = fn(&Log, &mut Package);
    let deceits: [(&str, Change); 27] = [
        ("an entry left out", |_, package| drop(package.entries.remove(2))),
        ("an entry and its position left out", |_, package| {
            package.entries.pop();
            package.completeness.claims[0].positions.pop();
        }),
        ("all left out, as if there were none", |_, package| {
            package.entries.clear();
            package.completeness.claims[0].positions.clear();
        }),
        ("another's leaf as the patient's", |log, package| {
            package.entries[0].position = 1;
            package.entries[0].proof = log.proof(1, "AuditEvent/e0", Some(&KEY));
        }),
        ("a document changed", |_, package| package.entries[1].document = Some(document(77))),
        ("a document under another key", |log, package| package.entries[1].proof = log.proof(2, "AuditEvent/e2", Some(&[1; 32]))),
        ("a key kept back where there is a document", |log, package| package.entries[1].proof = log.proof(2, "AuditEvent/e2", None)),
        ("a proof of another leaf", |log, package| package.entries[1].proof = log.proof(4, "AuditEvent/e2", Some(&KEY))),
        ("a kind that is not the leaf's", |_, package| package.entries[1].kind = LeafKind::Audit),
        ("a tag that is not the subject's", |log, package| {
            let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
            let absent = Tag([0x55; 16]);
            let proof = prove(log.top, absent, &log.nodes, list).unwrap();
            package.entries.clear();
            let epoch = package.completeness.claims[0].epoch;
            package.completeness.claims = vec![Claim::new(SUBJECT.to_owned(), epoch, absent, Some(&SECRET.0), Vec::new(), &proof)];
        }),
        ("no claim at all", |_, package| package.completeness.claims.clear()),
        ("an epoch that is not the leaves'", |_, package| package.completeness.claims[0].epoch += 1),
        ("an index that nobody anchored", |_, package| package.completeness.root = Hash([1; 32]).to_string()),
        ("an index that is said to cover more", |_, package| package.completeness.covers = 11),
        ("a history that never was", |_, package| {
            package.consistency.as_mut().unwrap().old_root = Hash([1; 32]).to_string();
        }),
        ("a Provenance changed", |_, package| package.entries[4].provenance = Some(provenance("invented"))),
        ("a Provenance kept back", |_, package| package.entries[4].provenance = None),
        ("a Provenance of what has none", |_, package| package.entries[0].provenance = Some(provenance("sent"))),
        ("a Provenance of another version", |_, package| package.entries[4].target = Some("AuditEvent/e6".to_owned())),
        ("a consent changed", |_, package| package.consents[0].document = consent().replace("Consent", "Consent \u{fe0f}")),
        ("a consent under another name", |_, package| package.consents[0].name = "c-2".to_owned()),
        ("a record that is no consent, as one", |log, package| {
            package.consents[0] =
                Consent { name: "e8-1".to_owned(), document: document(8), proof: log.proof(8, "Consent/e8/_history/1", Some(&KEY)) };
        }),
        ("a checkpoint of another size", |_, package| package.size += 1),
        ("a version called erased that nothing erased", |log, package| {
            let entry = &mut package.entries[4];
            (entry.target, entry.document, entry.provenance, entry.proof) = (None, None, None, log.proof(8, "", None));
        }),
        ("a document under another's name", |log, package| {
            let entry = &mut package.entries[1];
            (entry.target, entry.proof) = (Some("AuditEvent/e4".to_owned()), log.proof(2, "AuditEvent/e4", Some(&KEY)));
        }),
        ("entries turned round", |_, package| package.entries.reverse()),
        ("a tag of a patient with nothing to show for it", |_, package| package.completeness.claims[0].secret = None),
    ];
    for (what, change) in deceits {
        let mut package = log.package();
        change(&log, &mut package);
        assert!(!log.problems(package).is_empty(), "{what} passes");
    }
}
