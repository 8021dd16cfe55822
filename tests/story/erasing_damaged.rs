//! Erasing somebody where records of what was done, of who said what, or of what is to be worked on are damaged.

use super::erasing::Case;
use crate::support::Call;
use crate::support::data::{observation, patient};
use serde_json::json;

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
