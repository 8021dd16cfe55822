//! What a trail and a package tell of records that were about several patients, that were erased, and that somebody took away.

use super::trail::{Case, file, party, resources, trail_of};
use crate::support::data::{observation, patient};
use crate::support::folder::Folder;
use crate::support::process::hearthgate;
use crate::support::world::OFFICER;
use crate::support::{Call, Party, World};
use hearthgate::evidence::{Account, Kept, Receipt, Report, verify, verify_accounting};
use serde_json::{Value, json};

/// Moves a record to another patient, as a correction does.
pub(super) async fn moved_to(a: &Party, record: &str, subject: &str) {
    let mut corrected = observation(subject);
    (corrected["id"], corrected["status"]) = (json!(record), json!("corrected"));
    a.put(&format!("Observation/{record}"), &corrected).await.expect(200);
}

async fn verified(case: &Case, of: &str, receipts: &[Receipt]) -> Report {
    verify(&case.package(of, None).await, &case.world.policy(), &Kept { receipts, ..Kept::default() }).unwrap()
}

pub(super) async fn receipt(party: &Party, version: &str) -> Receipt {
    Receipt { name: version.to_owned(), text: party.get(&format!("{version}/$receipt")).await.expect(200).text() }
}

/// The versions that the Provenances of a trail are about, in order.
pub(super) fn versions(trail: &Value) -> Vec<String> {
    let about = |one: &&Value| one["target"][0]["reference"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    resources(trail, "Provenance").iter().map(about).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_anothers_once_has_one_trail() {
    let case = Case::new().await;
    let here = format!("Patient/{}", case.patient);
    let there = format!("Patient/{}", case.a.create(&patient("moved-to")).await);
    let record = case.a.create(&observation(&here)).await;
    let of = format!("Observation/{record}");
    case.b.get(&of).await.expect(200);
    let first = receipt(&case.a, &format!("{of}/_history/1")).await;
    moved_to(&case.a, &record, &there).await;
    case.b.get(&of).await.expect(404);
    let second = receipt(&case.a, &format!("{of}/_history/2")).await;
    let trail = trail_of(&case, &of).await;
    // The second version has a leaf for whom it is about, and one for whom it was about.
    assert_eq!(versions(&trail), ["1", "2", "2"], "{trail:#}");
    let told: Vec<(&str, &str)> = resources(&trail, "AuditEvent")
        .iter()
        .map(|event| (event["subtype"][0]["code"].as_str().unwrap(), event["outcome"].as_str().unwrap()))
        .filter(|(what, _)| *what != "operation")
        .collect();
    assert_eq!(told, [("create", "0"), ("read", "0"), ("update", "0"), ("update", "0"), ("read", "4")], "{trail:#}");
    let report = verified(&case, &of, &[first.clone(), second.clone()]).await;
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.receipts, report.bound.len(), report.tags, report.provenances), (2, 2, 2, 3));
    // And back: it is about two still.
    moved_to(&case.a, &record, &here).await;
    let report = verified(&case, &of, &[first.clone(), second]).await;
    assert_eq!((report.problems.as_slice(), report.tags, report.provenances), (&[][..], 2, 5));
    // A receipt of a record of the patient is in the patient's list, and in nobody else's.
    assert_eq!(verified(&case, &here, std::slice::from_ref(&first)).await.problems, Vec::<String>::new());
    let other = verified(&case, &there, &[first]).await.problems;
    assert!(matches!(&other[..], [only] if only.contains("does not list it")), "{other:?}");
}

/// A version about several patients has a leaf for each: a receipt of one of them neither refuses the package of another nor binds its tags.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_another_patient_of_a_record_refuses_nothing() {
    let case = Case::new().await;
    let others = [case.a.create(&patient("member-1")).await, case.a.create(&patient("member-2")).await];
    let members: Vec<Value> = others.iter().map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
    let group = case.a.create(&json!({"resourceType": "Group", "type": "person", "actual": true, "member": members})).await;
    let receipts = [receipt(&case.a, &format!("Group/{group}")).await];
    let mut counted = Vec::new();
    for id in &others {
        let report = verified(&case, &format!("Patient/{id}"), &receipts).await;
        assert_eq!(report.problems, Vec::<String>::new());
        counted.push((report.receipts, report.beside, report.bound.len()));
    }
    counted.sort_unstable();
    assert_eq!(counted, [(0, 1, 0), (1, 0, 1)]);
    let report = verified(&case, &format!("Group/{group}"), &receipts).await;
    assert_eq!((report.problems.as_slice(), report.receipts, report.tags), (&[][..], 1, 2));
    // Of somebody it is not about it is not in the list at all.
    let stranger = verified(&case, &format!("Patient/{}", case.patient), &receipts).await.problems;
    assert!(matches!(&stranger[..], [only] if only.contains("does not list it")), "{stranger:?}");
}

/// A version that somebody took out of the database may have been about a patient by whom nothing is found then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_with_a_gap_has_no_trail() {
    let case = Case::new().await;
    let here = format!("Patient/{}", case.patient);
    let there = format!("Patient/{}", case.a.create(&patient("gap")).await);
    let record = case.a.create(&observation(&there)).await;
    moved_to(&case.a, &record, &here).await;
    moved_to(&case.a, &record, &there).await;
    moved_to(&case.a, &record, &here).await;
    let path = format!("Observation/{record}/$provenance-trail");
    case.regulator.get(&path).await.expect(200);
    let data = rusqlite::Connection::open(case.world.data().join("data.db")).unwrap();
    for gone in ["version = 1", "version = 2", "version IN (1, 3)"] {
        let gone = format!("{gone} AND rid = (SELECT rid FROM resource WHERE id = '{record}')");
        data.execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM version WHERE {gone}; DELETE FROM version WHERE {gone};"))
            .unwrap();
        assert_eq!(case.regulator.get(&path).await.expect(500).issue(), "exception", "{gone}");
        data.execute_batch("INSERT INTO version SELECT * FROM temp.kept; DROP TABLE temp.kept;").unwrap();
    }
    case.regulator.get(&path).await.expect(200);
}

/// An erasure stands in the trail of everybody in whose trail is what was erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_explained_to_everybody_it_was_about() {
    let world = crate::support::Setup::configured(OFFICER).start().await;
    let (a, officer) = (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await);
    let regulator = world.party("health-department").await;
    let (one, other, third) = (a.create(&patient("1")).await, a.create(&patient("2")).await, a.create(&patient("3")).await);
    let erase = async |what: String| officer.call(Call::new("POST", &what)).await.expect(200);
    let sound = async |id: &str| {
        let package = regulator.get(&format!("Patient/{id}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
        let report = verify(&package, &world.policy(), &Kept::default()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "{id}");
        regulator.get(&format!("Patient/{id}/$provenance-trail")).await.expect(200);
    };
    // A record that was moved goes, and with it the version that was about somebody else.
    let record = a.create(&observation(&format!("Patient/{one}"))).await;
    moved_to(&a, &record, &format!("Patient/{other}")).await;
    erase(format!("Observation/{record}/$erase")).await;
    sound(&one).await;
    sound(&other).await;
    // A person goes, with a record of theirs that was another's once and with one that is about another too.
    let record = a.create(&observation(&format!("Patient/{third}"))).await;
    moved_to(&a, &record, &format!("Patient/{one}")).await;
    let members: Vec<Value> = [&one, &other].iter().map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
    a.create(&json!({"resourceType": "Group", "type": "person", "actual": true, "member": members})).await;
    erase(format!("Patient/{one}/$erase?shared=true")).await;
    sound(&other).await;
    sound(&third).await;
}

/// What somebody took out of the database is not called erased: whoever asks is told that the gateway failed, and the operator what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_away_is_not_called_erased() {
    let world = crate::support::Setup::configured(OFFICER).start().await;
    let (a, officer) = (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await);
    let regulator = world.party("health-department").await;
    let id = a.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let (taken, erased) = (a.create(&observation(&here)).await, a.create(&observation(&here)).await);
    officer.call(Call::new("POST", &format!("Observation/{erased}/$erase"))).await.expect(200);
    let asked = ["$provenance-trail", "$provenance-trail?_format=application/zip", "$disclosures"];
    for path in asked {
        regulator.get(&format!("{here}/{path}")).await.expect(200);
    }
    let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    let of_record = format!("rid = (SELECT rid FROM resource WHERE id = '{taken}')");
    let of_type = |name: &str| {
        format!(
            "rid = (SELECT min(v.rid) FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = '{name}' AND instr(v.document, '{here}') > 0)"
        )
    };
    for gone in [of_record, of_type("AuditEvent"), of_type("Provenance")] {
        data.execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM version WHERE {gone}; DELETE FROM version WHERE {gone};"))
            .unwrap();
        for path in asked {
            let answer = regulator.get(&format!("{here}/{path}")).await;
            assert_eq!((answer.status, answer.issue().as_str()), (500, "exception"), "{gone}: {path}");
            assert!(!answer.text().contains(&taken), "{}", answer.text());
        }
        data.execute_batch("INSERT INTO version SELECT * FROM temp.kept; DROP TABLE temp.kept;").unwrap();
    }
    regulator.get(&format!("{here}/{}", asked[0])).await.expect(200);
}

/// Leaves of a patient that take several portions of a trail.
const ENTRIES: usize = 200;

/// A trail that cannot be told to its end breaks off, so that nobody takes it for whole, and a reader who goes away leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_that_breaks_off_is_seen_to_do_so() {
    let world = World::start().await;
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    let mut last = String::new();
    for _ in 0..ENTRIES {
        last = a.create(&observation(&here)).await;
    }
    let path = format!("{here}/$provenance-trail");
    let ask = || regulator.http.get(format!("{}/fhir/{path}", regulator.origin)).bearer_auth(regulator.token.as_ref().unwrap()).send();
    for _ in 0..50 {
        let mut answer = ask().await.unwrap();
        assert!(answer.chunk().await.unwrap().is_some());
    }
    regulator.get(&path).await.expect(200).json();

    let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    data.execute(
        "UPDATE version SET document = replace(document, '13.2', '31.2') WHERE rid = (SELECT rid FROM resource WHERE id = ?)",
        [&last],
    )
    .unwrap();
    let answer = ask().await.unwrap();
    assert_eq!(answer.status(), 200, "the head was out before it showed");
    assert!(answer.bytes().await.is_err(), "it looks whole");
    // A package is made before any of it is sent.
    let package = regulator.get(&format!("{path}?_format=application/zip")).await.expect(500);
    assert_eq!(package.issue(), "exception");
    let metrics = world.stranger().call(Call::get(&format!("{}/metrics", world.admin))).await.expect(200).text();
    assert!(metrics.contains("hearthgate_broken_answers_total{reason=\"storage-corrupt\"} 1"), "{metrics}");
}

/// With the command, as a regulator has it: receipts beside the package.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_beside_a_package_show_whose_it_is() {
    let case = Case::new().await;
    let here = format!("Patient/{}", case.patient);
    let folder = Folder::new("receipts");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("policy", format!("log {}\nquorum none\n", case.world.running.verifier_key).as_bytes());
    write("own", receipt(&case.a, &format!("Observation/{}", case.seen)).await.text.as_bytes());
    let other = case.a.create(&patient("other")).await;
    write("other", receipt(&case.a, &format!("Patient/{other}")).await.text.as_bytes());
    write("e.zip", &case.package(&here, None).await);
    let late = case.a.create(&observation(&here)).await;
    write("late", receipt(&case.a, &format!("Observation/{late}")).await.text.as_bytes());
    let run = |receipts: &[&str]| {
        let more: Vec<&str> = receipts.iter().flat_map(|receipt| ["--receipt", receipt]).collect();
        let done = hearthgate(&[&["evidence", "verify", "e.zip", "--policy", "policy"], &more[..]].concat(), folder.path());
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    for (receipts, status, said) in [
        (&[][..], 0, "not bound: nothing here shows that the tags are those of Patient/"),
        (&["own"], 0, "bound: receipts in the list: 1; they show that all 1 tags are those of Patient/"),
        (&["other"], 1, "receipt other: its leaf "),
        (&["own", "other"], 1, "either the receipt is not about Patient/"),
        (&["late"], 1, "is newer than what this package looked through; ask for a newer package"),
        (&["policy"], 1, "receipt policy: the proof does not hold"),
        (&["nowhere"], 2, ""),
    ] {
        let (found, told) = run(receipts);
        assert!(found == Some(status) && told.contains(said), "{receipts:?}: {found:?} {told}");
    }
    assert!(run(&[]).1.contains("page: index.html says what the files beside it say"));
}

/// An accounting is complete, and whoever has it can tell: what is left out of it, or put into it, shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounting_is_verified_offline() {
    let case = Case::new().await;
    let path = format!("Patient/{}/$disclosures", case.patient);
    let account = case.regulator.get(&path).await.expect(200).json();
    let receipts = [receipt(&case.a, &format!("Observation/{}", case.seen)).await];
    let check = |bundle: &Value| -> Account {
        verify_accounting(bundle.to_string().as_bytes(), &case.world.policy(), &Kept { receipts: &receipts, ..Kept::default() })
    };
    let whole = check(&account);
    assert_eq!((whole.report.problems.as_slice(), whole.report.bound.len(), whole.untold), (&[][..], 1, 0));
    assert_eq!(whole.told, resources(&account, "AuditEvent").len());
    assert_eq!((whole.opened, whole.unopened, whole.shortened), (whole.told, 0, 0));
    let entries = account["entry"].as_array().unwrap();
    let of = |what: &str| {
        entries.iter().position(|entry| entry["fullUrl"].as_str().unwrap().starts_with(&format!("urn:hearthgate:{what}"))).unwrap()
    };
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut changed = account.clone();
        change(changed["entry"].as_array_mut().unwrap());
        check(&changed)
    };
    let untold = changed(&|entries| drop(entries.remove(of("disclosure"))));
    assert!(matches!(&untold.report.problems[..], [only] if only.starts_with("1 disclosures or refusals have no entry")), "{untold:?}");
    let (leaf, told) = (of("leaf"), of("disclosure"));
    let anchor = entries[leaf].clone();
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<Value>));
    let deceits: [Change<'_>; 14] = [
        ("no entry at all", &|entries| entries.retain(|entry| !entry["fullUrl"].as_str().unwrap().contains(":disclosure:"))),
        ("an entry twice", &|entries| entries.push(entries[told].clone())),
        ("entries in another order", &|entries| entries.reverse()),
        ("an entry that is no record", &|entries| entries[told]["resource"] = json!({"resourceType": "Patient"})),
        ("an entry of a later time", &|entries| entries[told]["resource"]["recorded"] = json!("2199-01-01T00:00:00Z")),
        ("a leaf left out with its entry", &|entries| entries.retain(|entry| !is_of(entry, told, &account))),
        ("the last leaf left out", &|entries| drop(entries.pop())),
        ("an invented entry", &|entries| entries[told]["fullUrl"] = json!("urn:hearthgate:disclosure:0")),
        ("no proof of the index", &|entries| drop(entries.remove(leaf))),
        ("a proof in the place of another", &|entries| entries.last_mut().unwrap()["resource"] = anchor["resource"].clone()),
        ("another outcome", &|entries| entries[told]["resource"]["outcome"] = json!("8")),
        ("what is not committed to", &|entries| entries[told]["resource"]["outcomeDesc"] = json!("all is well")),
        ("an organisation that is not said", &|entries| drop(entries[told]["resource"].as_object_mut().unwrap().remove("agent"))),
        ("no completeness", &|entries| drop(entries.remove(of("completeness")))),
    ];
    for (what, change) in deceits {
        assert!(!changed(change).report.problems.is_empty(), "{what} passes");
    }
    // Who says that less was asked for hides no more than the leaves allow, and says so.
    let mut later = account.clone();
    later["entry"].as_array_mut().unwrap().remove(told);
    later.as_object_mut().unwrap().remove("link");
    assert!(!check(&later).report.problems.is_empty(), "it does not say since when it tells");
    // What is to come has no accounting.
    let later = case.regulator.get(&format!("{path}?_since=2199-01-01T00:00:00Z")).await.expect(400).text();
    assert!(later.contains("_since is in the future"), "{later}");

    let folder = Folder::new("accounting");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("policy", &format!("log {}\nquorum none\n", case.world.running.verifier_key));
    write("account.json", &account.to_string());
    let mut altered = account.clone();
    altered["entry"][told]["resource"]["outcome"] = json!("8");
    write("altered.json", &altered.to_string());
    write("not.json", "{}");
    for (file, status, said) in [
        ("account.json", 0, "opened: 4 entries are what their leaves commit to"),
        ("altered.json", 1, "is not what its leaf commits to"),
        ("not.json", 1, "this is no accounting of disclosures"),
        ("nowhere", 2, ""),
    ] {
        let done = hearthgate(&["evidence", "accounting", file, "--policy", "policy"], folder.path());
        let told = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.code() == Some(status) && told.contains(said), "{file}: {told}");
    }
}

/// Whether an entry is the one at a place, or the receipt of the same leaf.
fn is_of(entry: &Value, place: usize, account: &Value) -> bool {
    let position = |entry: &Value| entry["fullUrl"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    position(entry) == position(&account["entry"][place])
}

/// A merge of two patients is in the trails of both: the one that was replaced says by which, and the one that goes on says which it replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_of_patients_is_in_the_trails_of_both() {
    let case = Case::new().await;
    let other = case.a.create(&patient("merged")).await;
    let merged = |id: &str, to: &str, how: &str, number: &str| {
        let mut merged = patient(number);
        (merged["id"], merged["active"]) = (json!(id), json!(how == "replaces"));
        merged["link"] = json!([{"other": {"reference": format!("Patient/{to}")}, "type": how}]);
        merged
    };
    let replaced = merged(&other, &case.patient, "replaced-by", "merged");
    let remains = merged(&case.patient, &other, "replaces", "1");
    let both = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": replaced, "request": {"method": "PUT", "url": format!("Patient/{other}")}},
        {"resource": remains, "request": {"method": "PUT", "url": format!("Patient/{}", case.patient)}}]});
    case.a.post("", &both).await.expect(200);
    for id in [&other, &case.patient] {
        let here = format!("Patient/{id}");
        let trail = trail_of(&case, &here).await;
        let updated = resources(&trail, "Provenance").into_iter().filter(|one| one["activity"]["coding"][0]["code"] == "UPDATE");
        let about: Vec<&str> = updated.map(|one| one["target"][0]["reference"].as_str().unwrap()).collect();
        assert!(about.contains(&format!("{here}/_history/2").as_str()), "{id}: {about:?}");
        assert_eq!(verified(&case, &here, &[]).await.problems, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_tells_what_was_disclosed_and_why() {
    let case = Case::new().await;
    let here = format!("Patient/{}", case.patient);
    let seen = format!("Observation/{}", case.seen);
    case.b.get(&seen).await.expect(200);
    let package = case.package(&here, None).await;
    let page = file(&package, "index.html");
    let consent = case.a.search(&format!("Consent?patient={here}")).await[0]["id"].as_str().unwrap().to_owned();
    let told = format!("Hospital B · read · of {here}, {seen} · for TREAT, HPAYMT · under Consent/{consent}/_history/1 · AuditEvent/");
    assert!(page.contains(&told), "{told}: {page}");
    let refused = format!("Hospital B · read · of {here} · for TREAT, HPAYMT · AuditEvent/");
    assert!(page.contains(&refused) && page.contains(" · search-type · of "), "{page}");
    assert!(page.contains(" · Health Department · operation · of ") && page.contains(" · evidence package"), "{page}");
}
