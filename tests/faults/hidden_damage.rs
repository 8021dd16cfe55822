//! A damaged record is to whoever consent keeps from it, or could, as if it were not there. Who sent it, and oversight, learn of it.

use crate::support::data::{MRN, bundle, observation, patient, permit_to};
use crate::support::{Answer, Call, Party, World};
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

/// What is asked in vain of one record, however it is.
fn refused_questions(id: &str) -> Vec<Call> {
    let path = format!("Observation/{id}");
    let accepting = |media: &str| Call::get(&path).header("Accept", media);
    let mut calls = vec![accepting("text/html"), accepting("text/turtle"), accepting("application/fhir+json; fhirVersion=5.0")];
    calls.extend(["$everything", "$meta", "$validate"].map(|operation| Call::get(&format!("{path}/{operation}"))));
    calls.push(Call::delete(&path));
    calls.push(Call::delete(&path).header("If-Match", "W/\"1\""));
    calls.push(Call::new("PATCH", &path).body("application/json-patch+json", "[]"));
    calls.push(Call::get(&path).header("X-HTTP-Method-Override", "DELETE"));
    let mut record = observation("Patient/x");
    record["id"] = json!(id);
    calls.push(Call::put(&path, &record));
    calls.push(Call::put(&path, &record).header("If-None-Match", "*"));
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_anyhow_is_refused_alike_of_a_damaged_record() {
    for change in DAMAGE {
        let case = Case::new().await;
        let absent = format!("{}aaaa", &case.hidden[..case.hidden.len() - 4]);
        case.damage(change);
        let mut before = Vec::new();
        for call in refused_questions(&absent) {
            before.push(told(&case.b.call(call).await, &absent));
        }
        assert!(before.iter().all(|(status, ..)| *status < 500), "{before:?}");
        for id in [&case.damaged, &case.hidden] {
            for (call, before) in refused_questions(id).into_iter().zip(&before) {
                let asked = format!("{change}: {call:?}");
                assert_eq!(told(&case.b.call(call).await, id), *before, "{asked}");
            }
        }
        let refused = case.world.audit_events().await.iter().filter(|event| event["outcomeDesc"] == "not-acceptable").count();
        assert_eq!(refused, 9, "{change}: each refusal is on record");
    }
}

/// Who sent a record learns what is the matter when they change it, and it stays as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_neither_replaced_nor_deleted() {
    for change in DAMAGE.iter().filter(|change| !change.contains("UPDATE resource")) {
        let case = Case::new().await;
        case.damage(change);
        let path = format!("Observation/{}", case.damaged);
        let mut record = observation(&format!("Patient/{}", case.patient));
        record["id"] = json!(case.damaged);
        let bundled = bundle("batch", vec![json!({"resource": record, "request": {"method": "PUT", "url": path}})]);
        for answer in [case.a.put(&path, &record).await, case.a.delete(&path).await] {
            let answer = answer.expect(409);
            assert!(answer.text().contains("record-damaged"), "{change}: {}", answer.text());
        }
        let batch = case.a.post("", &bundled).await.expect(200).json();
        assert_eq!(batch["entry"][0]["response"]["status"].as_str().map(|status| &status[..3]), Some("409"), "{change}: {batch}");
        let data = Connection::open(case.world.data().join("data.db")).unwrap();
        let versions = "SELECT count(*) FROM version WHERE rid = (SELECT rid FROM resource WHERE id = ?)";
        assert_eq!(data.query_row(versions, [&case.damaged], |row| row.get::<_, i64>(0)).unwrap(), 1, "{change}");
        assert!(case.world.audit_events().await.iter().any(|event| event["outcomeDesc"] == "record-damaged"), "{change}");
    }
}

/// A Patient that is damaged is to others as one that is not there, or denies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_patient_is_as_one_that_nobody_knows() {
    let case = Case::new().await;
    let silent = case.a.create(&patient("4")).await;
    let absent = format!("{}aaaa", &silent[..silent.len() - 4]);
    for (id, number) in [(&case.patient, "1"), (&silent, "4")] {
        let data = Connection::open(case.world.data().join("data.db")).unwrap();
        let sql = "UPDATE version SET document = replace(document, '1970-03-01', '1970-03-02') WHERE rid = (SELECT rid FROM resource WHERE id = ?)";
        assert_eq!(data.execute(sql, [id]).unwrap(), 1);
        let mut answers = Vec::new();
        for (id, number) in [(&absent, "9"), (id, number)] {
            let named = json!({"resourceType": "Parameters", "parameter": [{"name": "patient", "valueReference": {"reference": format!("Patient/{id}")}}]});
            let numbered = json!({"resourceType": "Parameters", "parameter": [{"name": "patient", "valueIdentifier": {"system": MRN, "value": number}}]});
            let alike = json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource":
                {"resourceType": "Patient", "identifier": [{"system": MRN, "value": number}]}}]});
            let calls = [
                Call::get(&format!("Observation?patient={id}")),
                Call::get(&format!("Consent?patient={id}")),
                Call::get(&format!("Patient?_id={id}&_revinclude=Observation:subject")),
                Call::get(&format!("Patient?_has:Observation:patient:code=718-7&_id={id}")),
                Call::get(&format!("Observation?patient.identifier={MRN}|{number}")),
                Call::get(&format!("Patient/{id}/$everything")),
                Call::post("Consent/$consent-decide", &named),
                Call::post("Consent/$consent-decide", &numbered),
                Call::post(&format!("Patient/{id}/$consent-decide"), &json!({"resourceType": "Parameters"})),
                Call::post("Patient/$match", &alike),
            ];
            let mut each = Vec::new();
            for call in calls {
                let asked = format!("{call:?}").replace(id.as_str(), "ID").replace(&format!("|{number}"), "|N");
                let answer = case.b.call(call).await;
                each.push((answer.status, asked.split_whitespace().take(6).collect::<String>(), answer.json()["total"].clone()));
            }
            answers.push(each);
        }
        let [unknown, damaged] = &answers[..] else { unreachable!() };
        for ((unknown, damaged), at) in unknown.iter().zip(damaged).zip(0..) {
            assert_eq!((unknown.0, &unknown.2), (damaged.0, &damaged.2), "{at}: {}", damaged.1);
            assert!(unknown.0 < 500);
        }
    }
}

/// A setting that cannot be read hides what turns on it, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_setting_hides_what_turns_on_it_alone() {
    let case = Case::new().await;
    let other = case.a.create(&patient("5")).await;
    let mut consent = permit_to(&other, "hospital-b");
    let sensitive = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": sensitive}]);
    case.a.create(&consent).await;
    let of = format!("Patient/{other}");
    let encounter = case
        .a
        .create(&json!({
            "resourceType": "Encounter", "status": "finished", "subject": {"reference": of},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        }))
        .await;
    let plain = case.a.create(&observation(&of)).await;
    let mut within = observation(&of);
    within["encounter"] = json!({"reference": format!("Encounter/{encounter}")});
    let within = case.a.create(&within).await;
    let found = || async {
        let mut found = case.found(&format!("Observation?patient={of}")).await;
        found.sort();
        found
    };
    let mut both = vec![plain.clone(), within.clone()];
    both.sort();
    assert_eq!(found().await, both);
    let data = Connection::open(case.world.data().join("data.db")).unwrap();
    let sql = "UPDATE version SET seal = zeroblob(17) WHERE rid = (SELECT rid FROM resource WHERE id = ?)";
    assert_eq!(data.execute(sql, [&encounter]).unwrap(), 1);
    assert_eq!(found().await, std::slice::from_ref(&plain));
    case.b.get(&format!("Observation/{within}")).await.expect(404);
    case.b.get(&format!("Observation/{plain}")).await.expect(200);
    case.a.get(&format!("Observation/{within}")).await.expect(200);
    let events = case.world.audit_events().await;
    assert!(events.iter().any(|event| event.to_string().contains("could not be learnt")), "the record of the search says so");
}
