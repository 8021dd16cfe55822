//! Erasing whom a record was about before it was corrected to be another's.

use super::trail::resources;
use crate::support::Call;
use crate::support::data::{observation, patient};
use crate::support::two_patients::TwoPatients;
use hearthgate::anchor::{Erased, verify_receipt};
use hearthgate::evidence::{Kept, Why, verify, verify_accounting};
use serde_json::{Value, json};

struct Case(TwoPatients);

impl std::ops::Deref for Case {
    type Target = TwoPatients;

    fn deref(&self) -> &TwoPatients {
        &self.0
    }
}

impl Case {
    async fn new() -> Case {
        Case(TwoPatients::new().await)
    }

    fn noted(&self, about: &str, note: &str) -> Value {
        let mut resource = observation(&format!("Patient/{about}"));
        resource["note"] = json!([{ "text": note }]);
        resource
    }

    /// A record that says one thing after another, each about somebody.
    async fn record(&self, versions: &[(&str, &str)]) -> String {
        let id = self.a.create(&self.noted(versions[0].0, versions[0].1)).await;
        for (about, note) in &versions[1..] {
            let mut next = self.noted(about, note);
            (next["id"], next["status"]) = (json!(id), json!("corrected"));
            self.a.put(&format!("Observation/{id}"), &next).await.expect(200);
        }
        id
    }

    /// The path of a new record.
    async fn created(&self, resource: &Value) -> String {
        format!("{}/{}", resource["resourceType"].as_str().unwrap(), self.a.create(resource).await)
    }

    async fn verify(&self, of: &str) -> usize {
        let package = self.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
        let report = verify(&package, &self.world.policy(), &Kept::default()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "{of}");
        report.closed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_corrected_to_be_anothers_stays_and_what_was_before_goes() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let moved = case.record(&[(one, "unmistakable-1"), (one, "unmistakable-2"), (two, "rightly filed")]).await;
    let deleted = case.record(&[(one, "unmistakable-3"), (two, "deleted later")]).await;
    case.a.delete(&format!("Observation/{deleted}")).await.expect(204);
    let back = case.record(&[(one, "unmistakable-4"), (two, "the second's once"), (one, "unmistakable-6")]).await;
    let mut receipts = Vec::new();
    for number in [1, 3] {
        receipts.push(case.a.get(&format!("Observation/{moved}/_history/{number}/$receipt")).await.expect(200).text());
    }
    let told = case.erase(one, "").await.expect(200).text();
    assert!(told.contains("5 version(s)"), "{told}");
    for (path, status) in [
        (format!("Observation/{moved}"), 200),
        (format!("Observation/{moved}/_history/3"), 200),
        (format!("Observation/{moved}/_history/2"), 404),
        (format!("Observation/{moved}/_history/1"), 404),
        (format!("Observation/{moved}/_history/1/$receipt"), 404),
        (format!("Observation/{deleted}"), 410),
        (format!("Observation/{deleted}/_history/2"), 200),
        (format!("Observation/{deleted}/_history/1"), 404),
        (format!("Observation/{back}"), 410),
        (format!("Observation/{back}/_history/1"), 404),
        (format!("Observation/{back}/_history/2"), 200),
        (format!("Observation/{back}/_history/3"), 404),
        (format!("Patient/{one}"), 404),
        (format!("Patient/{two}"), 200),
    ] {
        assert_eq!(case.a.get(&path).await.status, status, "{path}");
    }
    let history = case.a.get(&format!("Observation/{moved}/_history")).await.expect(200).json();
    assert_eq!(resources(&history, "Observation").len(), 1);
    for receipt in receipts {
        verify_receipt(&receipt, &case.world.policy(), None).unwrap();
    }
    for word in ["unmistakable", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    let trail = case.regulator.get(&format!("Patient/{two}/$provenance-trail")).await.expect(200).json();
    assert!(trail.to_string().contains(&format!("Observation/{moved}/_history/3")));
    for of in [format!("Patient/{two}"), format!("Observation/{moved}"), format!("Observation/{deleted}")] {
        assert!(case.verify(&of).await > 0, "{of}: the leaf that says that something was erased");
    }
    goes_on(case, &moved).await;
}

/// The record is written on, and goes with whose it is now; after a start all of it still fits.
async fn goes_on(case: Case, moved: &str) {
    let two = case.second.clone();
    let mut next = case.noted(&two, "more of the second");
    next["id"] = json!(moved);
    case.a.put(&format!("Observation/{moved}"), &next).await.expect(200);
    let TwoPatients { world, first, .. } = case.0;
    let case = Case(TwoPatients::of(world.restart(|_| ()).await, first, two.clone()).await);
    case.verify(&format!("Observation/{moved}")).await;
    case.erase(&two, "").await.expect(200);
    case.a.get(&format!("Observation/{moved}")).await.expect(404);
    assert_eq!(super::trail::holds(&case.world.data(), "more of the second"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_about_both_goes_only_when_that_is_said() {
    let case = Case::new().await;
    let (one, two) = (&case.first, &case.second);
    let member = |id: &str| json!({"entity": {"reference": format!("Patient/{id}")}});
    let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "member": [member(one), member(two)]});
    let id = case.a.create(&group).await;
    (group["id"], group["member"]) = (json!(id), json!([member(two)]));
    case.a.put(&format!("Group/{id}"), &group).await.expect(200);
    case.erase(one, "").await.expect(422);
    case.erase(one, "?shared=true").await.expect(200);
    case.a.get(&format!("Group/{id}")).await.expect(200);
    case.a.get(&format!("Group/{id}/_history/1")).await.expect(404);
}

/// What a record says, version by version, and what of it is left once the first is erased.
struct Told {
    /// Whom each version is about: `1`, `2`, both, or nobody; `-` is a deletion.
    versions: &'static [&'static str],
    /// Whether it must be said that what is about others too goes.
    asks: bool,
    /// The versions that stay.
    stay: &'static [usize],
    /// What reading the record answers.
    current: u16,
}

const TOLD: [Told; 12] = [
    Told { versions: &["1", "2"], asks: false, stay: &[2], current: 200 },
    Told { versions: &["1", "-"], asks: false, stay: &[], current: 404 },
    Told { versions: &["1", ""], asks: false, stay: &[], current: 404 },
    Told { versions: &["1", "", "2"], asks: false, stay: &[3], current: 200 },
    Told { versions: &["1", "2", ""], asks: false, stay: &[2, 3], current: 200 },
    Told { versions: &["2", "1"], asks: false, stay: &[1], current: 410 },
    Told { versions: &["2", "1", "-"], asks: false, stay: &[1], current: 410 },
    Told { versions: &["2", "1", "-", "2"], asks: false, stay: &[1, 4], current: 200 },
    Told { versions: &["12", "-"], asks: true, stay: &[], current: 404 },
    Told { versions: &["12", "1"], asks: true, stay: &[], current: 404 },
    Told { versions: &["2", "12"], asks: true, stay: &[1], current: 410 },
    Told { versions: &["2", "12", "2"], asks: true, stay: &[1, 3], current: 200 },
];

impl Told {
    async fn check(&self, case: &Case, number: usize) {
        let (one, two) = (case.a.create(&patient(&format!("{number}-1"))).await, case.a.create(&patient(&format!("{number}-2"))).await);
        let group = |about: &str, word: &str| {
            let ids = [("1", &one), ("2", &two)].into_iter().filter(|(sign, _)| about.contains(sign)).map(|(_, id)| id);
            let members: Vec<Value> = ids.map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
            let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "name": word});
            if !members.is_empty() {
                group["member"] = json!(members);
            }
            group
        };
        let word = |version: usize| format!("said-{number}-{version}.");
        let id = case.a.create(&group(self.versions[0], &word(1))).await;
        let path = format!("Group/{id}");
        for (about, version) in self.versions.iter().zip(1..).skip(1) {
            if *about == "-" {
                case.a.delete(&path).await.expect(204);
            } else {
                let mut next = group(about, &word(version));
                next["id"] = json!(id);
                assert!(case.a.put(&path, &next).await.status < 300, "{:?}", self.versions);
            }
        }
        let history = async || case.a.get(&format!("{path}/_history")).await.json();
        if self.asks {
            let before = history().await;
            case.erase(&one, "").await.expect(422);
            assert_eq!(history().await["entry"], before["entry"], "{:?}", self.versions);
        }
        case.erase(&one, if self.asks { "?shared=true" } else { "" }).await.expect(200);
        assert_eq!(case.a.get(&path).await.status, self.current, "{:?}", self.versions);
        let named = |version: usize| super::trail::holds(&case.world.data(), &word(version)).is_some();
        for version in (1..=self.versions.len()).filter(|version| self.versions[version - 1] != "-") {
            let (status, stays) = (case.a.get(&format!("{path}/_history/{version}")).await.status, self.stay.contains(&version));
            assert_eq!((status == 200, named(version)), (stays, stays), "{:?} {version}: {status}", self.versions);
        }
        assert_eq!(super::trail::holds(&case.world.data(), &one), None, "{:?}", self.versions);
        case.verify(&format!("Patient/{two}")).await;
        if !self.stay.is_empty() {
            case.verify(&path).await;
            let mut next = group("2", "goes on");
            next["id"] = json!(id);
            assert!(case.a.put(&path, &next).await.status < 300, "{:?}", self.versions);
            case.verify(&path).await;
            case.verify(&format!("Patient/{two}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_a_version_is_decides_whether_it_goes() {
    let case = Case::new().await;
    for (told, number) in TOLD.iter().zip(0..) {
        told.check(&case, number).await;
    }
    case.0.world.restart(|_| ()).await;
}

/// Wherever a record of another's names who goes, in whichever version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_version_of_anothers_record_names_who_was_erased() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let person = |display: &str| json!({"reference": format!("Patient/{one}"), "display": display});
    let plain = || case.noted(two, "plain");
    let performed = || {
        let mut resource = plain();
        resource["performer"] = json!([person("Named-1")]);
        resource
    };
    let mut authored = plain();
    authored["note"][0]["authorReference"] = person("Named-2");
    let mut linked = patient("linked");
    linked["link"] = json!([{"type": "seealso", "other": person("Named-3")}]);
    let mut ids = Vec::new();
    for (first, then) in [(performed(), Some(plain())), (performed(), None), (authored, Some(plain())), (linked, Some(patient("linked")))] {
        let id = case.a.create(&first).await;
        let path = format!("{}/{id}", first["resourceType"].as_str().unwrap());
        match then {
            Some(mut next) => {
                next["id"] = json!(id);
                case.a.put(&path, &next).await.expect(200);
            }
            None => drop(case.a.delete(&path).await.expect(204)),
        }
        ids.push(path);
    }
    case.erase(one, "").await.expect(422);
    for path in &ids {
        assert_eq!(case.a.get(&format!("{path}/_history/1")).await.status, 200, "{path}: nothing was done");
    }
    case.erase(one, "?shared=true").await.expect(200);
    for word in ["Named-", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    for (path, status) in ids.iter().zip([200, 404, 200, 200]) {
        assert_eq!(case.a.get(path).await.status, status, "{path}");
        assert_eq!(case.a.get(&format!("{path}/_history/1")).await.status, 404, "{path}");
    }
    for path in [&ids[0], &ids[2], &ids[3], &format!("Patient/{two}")] {
        case.verify(path).await;
    }
}

/// What was to be worked on goes with the record it came up in, and comes up again with the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_list_keeps_nothing_of_what_was_erased() {
    let case = Case::new().await;
    let coded = |about: &str, code: Value| {
        let mut resource = observation(&format!("Patient/{about}"));
        resource["code"] = code;
        resource
    };
    let alone = |word: &str| json!({ "text": word });
    let beside = |word: &str| json!({"coding": [{"system": "urn:hospital-a:local", "code": word, "display": format!("{word} as said")}]});
    let tasks = || crate::support::world::documents(&case.world.data(), "Task");
    let is_told = |word: &str| tasks().iter().any(|task| task.to_string().contains(word));
    let mut ids = Vec::new();
    for (about, code) in [
        (&case.first, alone("Unmistakable")),
        (&case.first, beside("UNMISTAKABLE2")),
        (&case.second, alone("Others")),
        (&case.second, beside("shared")),
        (&case.first, beside("shared")),
    ] {
        ids.push(case.a.create(&coded(about, code)).await);
    }
    assert!(is_told("Unmistakable") && is_told("UNMISTAKABLE2") && is_told("Others") && is_told("shared"), "{:?}", tasks());
    case.officer.call(Call::new("POST", &format!("Observation/{}/$erase", ids[1]))).await.expect(200);
    assert!(!is_told("UNMISTAKABLE2"));
    case.erase(&case.first, "").await.expect(200);
    for word in ["Unmistakable", "UNMISTAKABLE2", case.first.as_str(), ids[0].as_str()] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    assert!(is_told("Others") && is_told("shared"), "what came up with another's record stays");
    case.a.create(&coded(&case.second, beside("UNMISTAKABLE2"))).await;
    assert!(is_told("UNMISTAKABLE2"), "it comes up again");
}

/// Damages the rows of a type whose document holds a word; gives how many, and what they were.
fn damage(case: &Case, type_name: &str, word: &str) -> Vec<(i64, String)> {
    let data = rusqlite::Connection::open(case.world.data().join("data.db")).unwrap();
    let sql = "SELECT v.seq, v.document FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = ? AND instr(v.document, ?) > 0";
    let mut statement = data.prepare(sql).unwrap();
    let rows: Vec<(i64, String)> =
        statement.query_map([type_name, word], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (seq, _) in &rows {
        data.execute("UPDATE version SET document = substr(document, 1, length(document) - 1) || 'x' WHERE seq = ?", [seq]).unwrap();
    }
    rows
}

fn put_back(case: &Case, rows: &[(i64, String)]) -> usize {
    let data = rusqlite::Connection::open(case.world.data().join("data.db")).unwrap();
    rows.iter().map(|(seq, document)| data.execute("UPDATE version SET document = ? WHERE seq = ?", (document, seq)).unwrap()).sum()
}

/// Whoever's it is: what is to be worked on and what was said of versions blocks nobody's erasure by being damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_to_anothers_records_blocks_no_erasure() {
    let case = Case::new().await;
    let coded = |about: &str, word: &str| {
        let mut resource = observation(&format!("Patient/{about}"));
        resource["code"] = json!({ "text": word });
        resource
    };
    let theirs = case.a.create(&coded(&case.second, "Others")).await;
    let (one, two) = (case.a.create(&coded(&case.first, "Once")).await, case.a.create(&coded(&case.first, "Twice")).await);
    assert_eq!(damage(&case, "Task", &theirs).len(), 1);
    assert_eq!(damage(&case, "Provenance", &theirs).len(), 1);
    assert_eq!(damage(&case, "Provenance", &one).len(), 1);
    case.officer.call(Call::new("POST", &format!("Observation/{one}/$erase"))).await.expect(200);
    assert_eq!(damage(&case, "Task", &two).len(), 1);
    assert_eq!(damage(&case, "Provenance", &two).len(), 1);
    case.erase(&case.first, "").await.expect(200);
    for word in ["Once", "Twice", case.first.as_str(), one.as_str(), two.as_str()] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    case.a.get(&format!("Observation/{theirs}")).await.expect(200);
    assert_eq!(damage(&case, "Provenance", &theirs).len(), 1, "what was said of another's is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_of_anothers_is_kept_unless_it_names_who_goes() {
    let case = Case::new().await;
    let seen = case.a.create(&case.noted(&case.second, "the second's")).await;
    case.a.get(&format!("Observation/{seen}")).await.expect(200);
    case.verify(&format!("Patient/{}", case.second)).await;
    let events = damage(&case, "AuditEvent", &format!("Observation/{seen}"));
    assert!(!events.is_empty());
    let trail = format!("Patient/{}/$provenance-trail", case.second);
    case.regulator.get(&trail).await.expect(500);
    case.erase(&case.first, "").await.expect(200);
    assert_eq!(put_back(&case, &events), events.len(), "each is still there");
    case.verify(&format!("Patient/{}", case.second)).await;
    // One that names who goes, in what was asked, goes; and the other's trail says that something was erased.
    let third = case.a.create(&patient("unmistakable-3")).await;
    assert_eq!(case.a.search("Patient?identifier=unmistakable-3,2").await.len(), 2);
    case.verify(&format!("Patient/{}", case.second)).await;
    let named = damage(&case, "AuditEvent", "\"query\"");
    assert_eq!(named.len(), 2);
    case.erase(&third, "").await.expect(200);
    assert_eq!(put_back(&case, &named), 0);
    case.verify(&format!("Patient/{}", case.second)).await;
}

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

/// A record of what was done about both loses what led to the erased one. It lacks in the other's package, which shows the erasure of the log: the leaf of
/// that one is in no other trail.
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

/// What everybody's questions and Tasks hold is nobody's, whatever a person is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_name_and_number_take_nothing_from_others() {
    let case = Case::new().await;
    let two = &case.second;
    let mut pat = patient("100");
    pat["name"] = json!([{"family": "Nguyen", "given": ["Pat", "Ted"]}]);
    let pat = case.a.create(&pat).await;
    for code in [json!({"text": "Weird pathology panel"}), json!({"coding": [{"system": "urn:local", "code": "patx"}]})] {
        let mut resource = observation(&format!("Patient/{two}"));
        resource["code"] = code;
        case.a.create(&resource).await;
    }
    let stays = [
        format!("Observation?patient={two}"),
        format!("Observation?subject=Patient/{two}&_count=100"),
        format!("Observation?patient={two}&_lastUpdated=gt2020-01-01"),
        format!("Observation?patient={two}&code=http://loinc.org|1003-0"),
    ];
    let goes = ["Patient?name=pat,moor", "Patient?identifier=100", "Observation?patient.name=pat"];
    for path in stays.iter().map(String::as_str).chain(goes) {
        case.a.get(path).await.expect(200);
    }
    // By POST it is the same question.
    case.a.call(Call::new("POST", "Patient/_search").form("given=ted")).await.expect(200);
    let tasks = || crate::support::world::documents(&case.world.data(), "Task").len();
    let before = tasks();
    case.erase(&pat, "").await.expect(200);
    assert_eq!(tasks(), before);
    let events = crate::support::world::documents(&case.world.data(), "AuditEvent");
    let queries = events.iter().flat_map(|event| event["entity"].as_array().cloned().unwrap_or_default());
    let queries: Vec<String> = queries
        .filter_map(|entity| data_encoding::BASE64.decode(entity["query"].as_str()?.as_bytes()).ok())
        .map(|query| String::from_utf8(query).unwrap())
        .collect();
    for path in &stays {
        assert!(queries.contains(path), "{path}: {queries:?}");
    }
    for path in goes.iter().chain(&["Patient?given=ted"]) {
        assert!(!queries.iter().any(|query| query == path), "{path}: {queries:?}");
    }
}

/// Who is named by an identifier is named; and what only what goes leads to goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_a_person_by_an_identifier_goes_and_what_only_that_leads_to() {
    let case = Case::new().await;
    let (one, two) = (&case.first, &case.second);
    let identifier = json!({"system": crate::support::data::MRN, "value": "1"});
    let nested = json!({"resourceType": "Patient", "id": "p", "identifier": [identifier], "name": [{"family": "Unmistakable"}]});
    let bundle = |patients: &[&Value]| {
        let entries = patients.iter().enumerate().map(
            |(number, patient)| json!({"fullUrl": format!("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e{number}"), "resource": patient}),
        );
        json!({"resourceType": "Bundle", "type": "collection", "entry": entries.collect::<Vec<_>>()})
    };
    let subject = |subject: Value| {
        let mut resource = observation(&format!("Patient/{two}"));
        resource["subject"] = subject;
        resource
    };
    let mut contained = subject(json!({"reference": "#p"}));
    contained["contained"] = json!([nested]);
    let mut performed = observation(&format!("Patient/{two}"));
    performed["performer"] = json!([{"identifier": identifier, "display": "Unmistakable"}]);
    let mut named_in_words = observation(&format!("Patient/{two}"));
    named_in_words["note"] = json!([{"text": "met Ms Moor"}]);
    let letter = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "VW5taXN0YWthYmxl"});
    let (letter, form) = (
        case.a.create(&letter).await,
        case.a.create(&json!({"resourceType": "Binary", "contentType": "text/plain", "data": "Rm9ybQ=="})).await,
    );
    let document = |about: &str, urls: &[&str]| {
        let content: Vec<Value> =
            urls.iter().map(|id| json!({"attachment": {"contentType": "text/plain", "url": format!("Binary/{id}")}})).collect();
        json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": format!("Patient/{about}")}, "content": content})
    };
    let related = case.a.create(&json!({"resourceType": "RelatedPerson", "patient": {"reference": format!("Patient/{one}")}})).await;
    let medication = case.a.create(&json!({"resourceType": "Medication", "code": {"text": "Everybody's"}})).await;
    let request = json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"reference": format!("Patient/{one}")},
        "medicationReference": {"reference": format!("Medication/{medication}")}});
    let person = json!({"resourceType": "Person", "link": [{"target": {"reference": format!("RelatedPerson/{related}")}}]});
    let other = json!({"resourceType": "Patient", "name": [{"family": "Other"}]});
    let goes = [
        case.created(&subject(json!({"identifier": identifier, "display": "Unmistakable"}))).await,
        case.created(&contained).await,
        case.created(&bundle(&[&nested])).await,
        case.created(&document(one, &[&letter, &form])).await,
        case.created(&person).await,
        case.created(&request).await,
        format!("Binary/{letter}"),
    ];
    let shared = [case.created(&performed).await, case.created(&bundle(&[&nested, &other])).await];
    let stays = [
        case.created(&named_in_words).await,
        case.created(&document(two, &[&form])).await,
        case.created(&subject(json!({"identifier": {"system": "urn:other", "value": "1"}}))).await,
        format!("Binary/{form}"),
        format!("Medication/{medication}"),
    ];
    let told = case.erase(one, "").await.expect(422).text();
    assert!(told.contains("2 resource(s)"), "{told}");
    case.erase(one, "?shared=true").await.expect(200);
    for path in goes.iter().chain(&shared) {
        assert_eq!(case.a.get(path).await.status, 404, "{path}");
    }
    for path in &stays {
        assert_eq!(case.a.get(path).await.status, 200, "{path}");
    }
    for word in ["Unmistakable", "VW5taXN0YWthYmxl", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    case.verify(&format!("Patient/{two}")).await;
}

/// What two Patients bear names both: it stays until the other is erased too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identifier_of_two_patients_is_not_one_persons() {
    let case = Case::new().await;
    let b = case.world.party("hospital-b").await;
    let again = b.create(&patient("1")).await;
    let mut resource = observation("");
    resource["subject"] = json!({"identifier": {"system": crate::support::data::MRN, "value": "1"}});
    let named = case.created(&resource).await;
    for (person, status) in [(&case.first, 200), (&again, 404)] {
        case.erase(person, "").await.expect(200);
        assert_eq!(case.a.get(&named).await.status, status, "{person}");
    }
}
