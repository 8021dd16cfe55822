//! A damaged record is to whoever consent keeps from it, or could, as if it were not there. Who sent it, and oversight, learn of it.

use crate::support::data::{bundle, observation, patient, permit_to};
use crate::support::{Answer, Party, World};
use rusqlite::Connection;
use serde_json::{Value, json};

/// What becomes of the rows of a record.
const DAMAGE: [&str; 5] = [
    "UPDATE version SET document = replace(document, '13.2', '13.3') WHERE ROW",
    "UPDATE version SET document = CAST(x'7b22ff' AS TEXT) WHERE ROW",
    "UPDATE version SET seal = zeroblob(17) WHERE ROW",
    // Even where it says that it is the asker's own.
    "UPDATE version SET source = 'hospital-b' WHERE ROW",
    "UPDATE resource SET deleted = 1 WHERE ROW",
];

struct Case {
    world: World,
    a: Party,
    b: Party,
    /// The patient whose records hospital B may see, one of these, and one that is damaged.
    patient: String,
    seen: String,
    damaged: String,
    /// A record that it may not see.
    hidden: String,
}

impl Case {
    async fn new() -> Case {
        let world = World::start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let (patient, other) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
        a.create(&permit_to(&patient, "hospital-b")).await;
        let of = |id: &str| observation(&format!("Patient/{id}"));
        let (seen, damaged, hidden) = (a.create(&of(&patient)).await, a.create(&of(&patient)).await, a.create(&of(&other)).await);
        world.running.store.settle().await.unwrap();
        Case { world, a, b, patient, seen, damaged, hidden }
    }

    fn damage(&self, change: &str) {
        let data = Connection::open(self.world.data().join("data.db")).unwrap();
        for id in [&self.damaged, &self.hidden] {
            let changed = data.execute(&change.replace("ROW", &format!("rid = (SELECT rid FROM resource WHERE id = '{id}')")), []);
            assert_eq!(changed.unwrap(), 1, "{change}");
        }
    }

    async fn found(&self, query: &str) -> Vec<String> {
        let found = self.b.get(query).await.expect(200).json();
        let id = |entry: &Value| {
            entry["resource"]["id"].as_str().filter(|_| entry["resource"]["resourceType"] == "Observation").map(str::to_owned)
        };
        found["entry"].as_array().into_iter().flatten().filter_map(id).collect()
    }
}

/// The questions about one record.
fn questions(id: &str) -> [String; 4] {
    ["", "/_history/1", "/_history", "/$receipt"].map(|more| format!("Observation/{id}{more}"))
}

fn told(answer: &Answer, id: &str) -> (u16, String, Vec<String>) {
    let names = answer.headers.keys().map(ToString::to_string).collect();
    (answer.status, answer.text().replace(id, "ID"), names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_tells_nobody_that_there_is_something_to_hide() {
    for change in DAMAGE {
        let case = Case::new().await;
        let absent = format!("{}aaaa", &case.hidden[..case.hidden.len() - 4]);
        let mut before = Vec::new();
        for question in questions(&absent) {
            before.push(told(&case.b.get(&question).await, &absent));
        }
        case.damage(change);
        for id in [&case.damaged, &case.hidden] {
            for (question, before) in questions(id).iter().zip(&before) {
                assert_eq!(told(&case.b.get(question).await, id), *before, "{change}: {question}");
            }
            let entries = [id, &absent].map(|id| json!({"request": {"method": "GET", "url": format!("Observation/{id}")}}));
            let batch = case.b.post("", &bundle("batch", entries.into())).await.expect(200).json();
            assert_eq!(batch["entry"][0], batch["entry"][1], "{change}");
        }
        let of = format!("Patient/{}", case.patient);
        for query in [format!("Observation?patient={of}"), "Observation".into(), "Observation/_history".into(), format!("{of}/$everything")]
        {
            assert_eq!(case.found(&query).await, std::slice::from_ref(&case.seen), "{change}: {query}");
        }
        assert!(case.found(&format!("Observation?_id={}", case.hidden)).await.is_empty(), "{change}");

        // Who sent it learns that the gateway failed; the record says to whom it was not told, and why.
        case.a.get(&format!("Observation/{}", case.damaged)).await.expect(500);
        // What is said to be deleted no search comes upon.
        if !change.contains("SET deleted") {
            case.a.get(&format!("Observation?patient={of}")).await.expect(500);
        }
        let events = case.world.audit_events().await;
        let is_such = |event: &&Value| event["outcomeDesc"] == "not-found: record-damaged" && event["outcome"] == "4";
        assert!(events.iter().filter(is_such).count() >= 2 * questions("").len(), "{change}");
    }
}
