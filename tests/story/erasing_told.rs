//! What the log says of what was erased, to whoever reads another's trail or accounting.

use super::erasing::Case;
use super::trail::resources;
use crate::support::Call;
use crate::support::data::patient;
use crate::support::process::hearthgate;
use hearthgate::anchor::Erased;
use hearthgate::evidence::{Kept, Why, verify, verify_accounting};
use serde_json::{Value, json};

/// A version that somebody took away is not passed off as an erased one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_taken_away_was_not_erased() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let id = case.record(&[(one, "first"), (two, "second"), (two, "third")]).await;
    case.erase(one, "").await.expect(200);
    case.verify(&format!("Observation/{id}")).await;
    let data = rusqlite::Connection::open(case.world.data().join("data.db")).unwrap();
    let gone = format!("(SELECT rid FROM resource WHERE id = '{id}')");
    data.execute(&format!("DELETE FROM version WHERE version = 2 AND rid = {gone}"), []).unwrap();
    case.regulator.get(&format!("Observation/{id}/$provenance-trail")).await.expect(500);
    let sql = format!("INSERT INTO erased SELECT rid, 2, seal FROM erased WHERE rid = {gone}");
    data.execute(&sql, []).unwrap();
    case.regulator.get(&format!("Observation/{id}/$provenance-trail")).await.expect(500);
}

/// A record of what was done about both loses what led to the erased one. It lacks in the other's package, and a leaf of the other's trail names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_about_both_lacks_in_the_others_package_and_the_log_says_why() {
    let case = Case::new().await;
    let found = case.a.get(&format!("Patient?_id={},{}", case.first, case.second)).await.expect(200).json();
    assert_eq!(found["entry"].as_array().map(Vec::len), Some(2), "{found:#}");
    case.erase(&case.first, "").await.expect(200);
    let of = format!("Patient/{}/$provenance-trail?_format=application/zip", case.second);
    let package = case.regulator.get(&of).await.expect(200).bytes;
    let report = verify(&package, &case.world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.lacking.keys().collect::<Vec<_>>(), [&Why::Shortened]);
    let shortened = || report.shortened.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(shortened(), [(Erased::Named, report.lacking[&Why::Shortened])]);
    assert!(report.erased.is_empty(), "nothing else of the other's is gone: {:?}", report.erased);
}

/// Of a record's own trail too: the question that named the erased one was about one record of the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_out_is_named_in_the_trail_of_the_record_it_was_about() {
    let case = Case::new().await;
    let of = case.record(&[(&case.second, "the second's")]).await;
    let found = case.a.get(&format!("Observation?_id={of},{}", case.first)).await.expect(200).json();
    assert_eq!(found["entry"].as_array().map(Vec::len), Some(1), "{found:#}");
    case.erase(&case.first, "").await.expect(200);
    for trail in [format!("Patient/{}", case.second), format!("Observation/{of}")] {
        let report = case.report(&trail).await;
        assert_eq!(report.shortened.into_iter().collect::<Vec<_>>(), [(Erased::Named, 1)], "{trail}");
    }
}

/// The receipt of a record of what was done is of what that was before something was taken out of it, and says so of the record as it is read now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_of_what_was_shortened_does_not_accuse_it() {
    let case = Case::new().await;
    let of = case.record(&[(&case.second, "the second's")]).await;
    case.a.get(&format!("Observation?_id={of},{}", case.first)).await.expect(200);
    case.erase(&case.first, "").await.expect(200);
    let trail = case.regulator.get(&format!("Observation/{of}/$provenance-trail")).await.expect(200).json();
    let shortened = resources(&trail, "AuditEvent").into_iter().find(|event| event.to_string().contains("REDACTED")).expect("one").clone();
    let receipt = case.regulator.get(&format!("AuditEvent/{}/$receipt", shortened["id"].as_str().unwrap())).await.expect(200).text();
    let folder = case.world.folder.path();
    let key = case.world.running.verifier_key.to_string();
    let mut whole = shortened.clone();
    whole["meta"].as_object_mut().unwrap().remove("security");
    for (record, said) in [(&shortened, "is labelled REDACTED"), (&whole, "is not the one this receipt is for")] {
        std::fs::write(folder.join("record.json"), record.to_string()).unwrap();
        std::fs::write(folder.join("receipt"), &receipt).unwrap();
        let run = hearthgate(&["ledger", "verify", "receipt", "--record", "record.json", "--key", &key], folder);
        let told = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.code() == Some(1) && told.contains(said), "{told}");
    }
}

/// What opens a leaf that erases is missed when it was taken away: by whoever reads a trail that the leaf stands in, and by whoever checks the data. What went
/// with a trail is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opens_an_erasing_leaf_is_missed() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let moved = case.record(&[(one, "first"), (two, "second")]).await;
    let third = case.a.create(&patient("3")).await;
    let erased = case.record(&[(&third, "erased alone")]).await;
    case.officer.call(Call::new("POST", &format!("Observation/{erased}/$erase"))).await.expect(200);
    for person in [one, &third] {
        case.erase(person, "").await.expect(200);
    }
    let (data, key) = (case.world.data(), case.world.running.verifier_key.trim().to_owned());
    let fsck = || {
        let (log, data) = (data.join("ledger").display().to_string(), data.display().to_string());
        let arguments = ["ledger", "fsck", &log, "--data", &data, "--key", &key];
        let told = tokio::task::block_in_place(|| hearthgate(&arguments, case.world.folder.path()));
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    let trail = format!("Observation/{moved}/$provenance-trail");
    case.regulator.get(&trail).await.expect(200);
    assert_eq!(fsck().0, Some(0), "{}", fsck().1);
    let rows = case.data();
    rows.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM severed; CREATE TEMP TABLE left AS SELECT * FROM unopened").unwrap();
    for (change, is_served, says) in [
        ("DELETE FROM severed", false, "erased is not noted any more"),
        ("UPDATE severed SET opening = x'7b7d'", false, "erased is not as it was noted"),
        ("DELETE FROM severed; INSERT INTO unopened SELECT commitment, x'' FROM temp.kept", false, "was not noted by the gateway"),
        ("DELETE FROM unopened", true, "erased is not noted any more"),
    ] {
        rows.execute_batch(change).unwrap();
        assert_eq!(case.regulator.get(&trail).await.status, if is_served { 200 } else { 500 }, "{change}");
        let (code, told) = fsck();
        assert_eq!((code == Some(1), told.contains(says)), (!says.is_empty(), true), "{change}: {told}");
        let put_back = "DELETE FROM severed; INSERT INTO severed SELECT * FROM temp.kept;
            DELETE FROM unopened; INSERT INTO unopened SELECT * FROM temp.left";
        rows.execute_batch(put_back).unwrap();
    }
    case.regulator.get(&trail).await.expect(200);
    assert_eq!(fsck().0, Some(0), "{}", fsck().1);
}

/// A record of what was done that named what went with the erased one: the other's accounting tells of it without that, and still opens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounting_opens_after_an_erasure() {
    let case = Case::new().await;
    let members: Vec<Value> =
        [&case.first, &case.second].iter().map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
    let group = case.a.create(&json!({"resourceType": "Group", "type": "person", "actual": true, "member": members})).await;
    case.a.get(&format!("Group/{group}")).await.expect(200);
    case.a.get(&format!("Patient/{}", case.second)).await.expect(200);
    let account = async |shortened: usize| {
        let bundle = case.regulator.get(&format!("Patient/{}/$disclosures", case.second)).await.expect(200);
        let account = verify_accounting(&bundle.bytes, &case.world.policy(), &Kept::default());
        assert_eq!(account.report.problems, Vec::<String>::new());
        assert_eq!((account.opened + account.shortened, account.shortened, account.unopened), (account.told, shortened, 0));
        assert!(account.opened > 0);
        let named = (shortened > 0).then_some((Erased::Named, shortened));
        assert_eq!(account.report.shortened.into_iter().collect::<Vec<_>>(), named.into_iter().collect::<Vec<_>>());
        bundle.text()
    };
    assert!(account(0).await.contains(&group));
    case.erase(&case.first, "?shared=true").await.expect(200);
    assert!(!account(1).await.contains(&group));
    for word in [&group, &case.first] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    // What was taken out is not put back, and nothing else is taken out unseen.
    let third = case.a.create(&patient("3")).await;
    case.erase(&third, "").await.expect(200);
    account(1).await;
}

/// Each leaf that erases names what is missing from the trail it stands in: the version that was about both, and the number that lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_by_the_leaf_that_erased_it() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let moved = case.record(&[(one, "first"), (two, "second"), (one, "third"), (two, "fourth")]).await;
    let erased = case.record(&[(two, "fifth")]).await;
    case.officer.call(Call::new("POST", &format!("Observation/{erased}/$erase"))).await.expect(200);
    case.erase(one, "").await.expect(200);
    let report = async |of: &str| {
        let package = case.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
        let report = verify(&package, &case.world.policy(), &Kept::default()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "{of}");
        (report.erased.into_iter().collect::<Vec<_>>(), report.erased_versions)
    };
    // The second version stands in the first's trail too; the first and the third stood in the second's where they came from or went to.
    let (of_patient, _) = report(&format!("Patient/{two}")).await;
    assert!(matches!(&of_patient[..], [(Erased::Named, 2..)]), "{of_patient:?}");
    let (of_record, lacking) = report(&format!("Observation/{moved}")).await;
    assert!(of_record.iter().all(|(erased, _)| *erased == Erased::Named) && lacking == 2, "{of_record:?} {lacking}");
    // What opens a leaf is held against it, and a gap that none names was made by somebody else.
    let data = case.data();
    let noted = || data.query_row("SELECT count(*) FROM severed", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(noted() >= 2);
    let other = "CAST(replace(CAST(opening AS TEXT), '\"leaves\":[[', '\"leaves\":[[1') AS BLOB)";
    data.execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM severed; UPDATE severed SET opening = {other};")).unwrap();
    let trail = format!("Patient/{two}/$provenance-trail");
    case.regulator.get(&trail).await.expect(500);
    data.execute_batch("DELETE FROM severed").unwrap();
    case.regulator.get(&trail).await.expect(500);
    data.execute_batch("INSERT INTO severed SELECT * FROM temp.kept").unwrap();
    case.regulator.get(&trail).await.expect(200);
    // With a trail goes what opens the leaves in it.
    case.erase(two, "").await.expect(200);
    assert_eq!(noted(), 0);
}
