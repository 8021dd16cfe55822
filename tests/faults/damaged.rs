//! A record of what was done that is damaged: it is named and not served, and blocks neither searches nor the erasure of anybody.

use crate::support::Party;
use crate::support::data::observation;
use crate::support::two_patients::TwoPatients;
use serde_json::Value;

struct Case(TwoPatients);

impl std::ops::Deref for Case {
    type Target = TwoPatients;

    fn deref(&self) -> &TwoPatients {
        &self.0
    }
}

impl Case {
    /// Two patients with something on record, whom somebody looked at.
    async fn new() -> Case {
        let two = TwoPatients::new().await;
        for id in [&two.first, &two.second] {
            two.a.create(&observation(&format!("Patient/{id}"))).await;
            two.a.get(&format!("Patient/{id}")).await.expect(200);
        }
        two.world.running.store.settle().await.unwrap();
        Case(two)
    }

    /// The rows of records that name a patient, oldest first.
    fn events(&self, patient: &str) -> Vec<i64> {
        let data = self.data();
        let sql =
            "SELECT v.seq FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = 'AuditEvent' AND v.document LIKE ? ORDER BY v.seq";
        let mut statement = data.prepare(sql).unwrap();
        statement.query_map([format!("%{patient}%")], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    async fn search(&self, party: &Party, query: &str) -> Value {
        party.get(query).await.expect(200).json()
    }

    fn is_there(&self, seq: i64) -> bool {
        self.data().query_row("SELECT count(*) FROM version WHERE seq = ?", [seq], |row| row.get::<_, i64>(0)).unwrap() == 1
    }
}

/// What becomes of a row, `?1`.
const DAMAGE: &[&str] = &[
    "UPDATE version SET document = replace(document, '\"recorded\":\"2', '\"recorded\":\"3') WHERE seq = ?1",
    "UPDATE version SET document = CAST(x'7b22ff' AS TEXT) WHERE seq = ?1",
    "UPDATE version SET document = CAST(document AS BLOB) WHERE seq = ?1",
    "UPDATE version SET seal = x'00' WHERE seq = ?1",
    "UPDATE version SET at = 'late' WHERE seq = ?1",
    "UPDATE version SET leaf = NULL WHERE seq = ?1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_hides_no_other_from_oversight() {
    let case = Case::new().await;
    let seq = case.events(&case.first)[0];
    let total = |found: &Value| found["total"].as_u64().unwrap();
    let says = |found: &Value| found.to_string().contains("damaged-records");
    let query = format!("AuditEvent?patient={}&_count=100&date=le2100", case.first);
    for change in DAMAGE {
        let before = case.search(&case.regulator, &query).await;
        let data = case.data();
        data.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM version").unwrap();
        assert_eq!(data.execute(change, [seq]).unwrap(), 1, "{change}");
        let after = case.search(&case.regulator, &query).await;
        // The search before is on record by now, and is no record of the patient's own.
        assert!(says(&after) && !says(&before), "{change}");
        assert!(total(&after) + 1 >= total(&before), "{change}: {} {}", total(&after), total(&before));
        assert!(!after.to_string().contains("\"3026-"), "{change}");
        let other = case.search(&case.regulator, &format!("AuditEvent?patient={}", case.second)).await;
        assert!(!says(&other) && total(&other) > 0, "{change}");
        // Whoever is shown none is not told either.
        assert!(!says(&case.search(&case.a, &query).await), "{change}");
        data.execute("INSERT OR REPLACE INTO version SELECT * FROM temp.kept WHERE seq = ?", [seq]).unwrap();
        data.execute_batch("DROP TABLE temp.kept").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_goes_with_whom_it_may_speak_of_and_blocks_nobody() {
    for change in DAMAGE {
        let case = Case::new().await;
        let (own, another) = (case.events(&case.first)[0], case.events(&case.second)[0]);
        for seq in [own, another] {
            assert_eq!(case.data().execute(change, [seq]).unwrap(), 1, "{change}");
        }
        assert_eq!(case.erase(&case.first, "").await.status, 200, "{change}");
        assert!(!case.is_there(own), "{change}: what may be of the person is gone");
        // What is certainly under another's tag, and does not name the person, stays as it is.
        assert_eq!(case.is_there(another), !change.contains("SET leaf"), "{change}");
        case.a.get(&format!("Patient/{}", case.second)).await.expect(200);
        assert_eq!(case.erase(&case.second, "").await.status, 200, "{change}");
        assert!(!case.is_there(another), "{change}");
    }
}

/// Another's record that names the person goes too, whatever is wrong with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_of_another_that_names_the_person_goes() {
    let case = Case::new().await;
    let another = case.events(&case.second)[0];
    let sql = "UPDATE version SET document = replace(document, 'Patient/' || ?2, 'Patient/' || ?1) WHERE seq = ?3";
    case.data().execute(sql, rusqlite::params![case.first, case.second, another]).unwrap();
    assert_eq!(case.erase(&case.first, "").await.status, 200);
    assert!(!case.is_there(another));
}
