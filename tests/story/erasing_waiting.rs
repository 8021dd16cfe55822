//! What waits for signatures and leads to a person goes with them, by whatever it names them.

use crate::support::data::{MRN, bundle, creates, observation, permit};
use crate::support::signing::Signer;
use crate::support::two_patients::TwoPatients;
use crate::support::world::OFFICER;
use crate::support::{Call, Party, Setup};
use hearthgate::evidence::{Kept, verify};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const RULE: &str = r#"
[source.laboratory.sign_off]
types = ["Observation"]
quorum = 1
within_s = 3600

[[source.laboratory.sign_off.party]]
role = "ordering clinician"
clients = ["hospital-a"]
"#;

/// A name that stands nowhere else.
const NAME: &str = "Quistelberg";

async fn case() -> TwoPatients {
    let setup = Setup::configured(format!("{RULE}{OFFICER}"));
    let setup = setup.prepared(|folder| Signer::new("clinician-signs").register(folder, "hospital-a"));
    TwoPatients::in_world(setup.start().await).await
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

async fn held(laboratory: &Party, resource: &Value) -> String {
    let task = laboratory.post("Observation", resource).await.expect(202).json();
    format!("Task/{}", task["id"].as_str().unwrap())
}

/// How often a text stands in what waits.
fn standing(case: &TwoPatients, text: &str) -> i64 {
    let sql = "SELECT count(*) FROM pending WHERE instr(held, CAST(? AS BLOB)) > 0";
    case.data().query_row(sql, [text], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_names_a_person_by_identifier_goes_with_them() {
    let case = case().await;
    let laboratory = case.world.party("laboratory").await;
    let (first, second) = (format!("Patient/{}", case.first), format!("Patient/{}", case.second));
    let own = json!({"system": MRN, "value": "1"});
    let by_identifier = with(observation(&first), "subject", json!({"identifier": own, "display": NAME}));
    let inner = json!([{"resourceType": "Patient", "id": "p", "identifier": [own], "name": [{"family": NAME}]}]);
    let by_inner = with(with(observation("#p"), "contained", inner), "subject", json!({"reference": "#p"}));
    let alone =
        [held(&laboratory, &by_identifier).await, held(&laboratory, &by_inner).await, held(&laboratory, &observation(&first)).await];
    let others = held(&laboratory, &observation(&second)).await;
    // Nobody has to be asked of what is theirs alone.
    case.erase(&case.first, "").await.expect(200);
    for task in alone {
        laboratory.get(&task).await.expect(404);
    }
    laboratory.get(&others).await.expect(200);
    assert_eq!((standing(&case, NAME), standing(&case, &case.first), standing(&case, &case.second)), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_is_anothers_goes_where_that_is_asked_for() {
    let case = case().await;
    let laboratory = case.world.party("laboratory").await;
    let second = format!("Patient/{}", case.second);
    let doer = json!([{"identifier": {"system": MRN, "value": "1"}, "display": NAME}]);
    let mentions = held(&laboratory, &with(observation(&second), "performer", doer)).await;
    let of = [format!("Patient/{}", case.first), second.clone()].map(|of| observation(&of));
    let entries = of.into_iter().enumerate();
    let entries = entries.map(|(number, of)| creates(&format!("urn:uuid:0000000{number}-0000-4000-8000-000000000000"), of)).collect();
    let both = laboratory.post("", &bundle("transaction", entries)).await.expect(202).json();
    let both = format!("Task/{}", both["id"].as_str().unwrap());
    case.erase(&case.first, "").await.expect(422);
    for task in [&mentions, &both] {
        laboratory.get(task).await.expect(200);
    }
    case.erase(&case.first, "?shared=true").await.expect(200);
    for task in [&mentions, &both] {
        laboratory.get(task).await.expect(404);
    }
    assert_eq!((standing(&case, NAME), standing(&case, &case.first)), (0, 0));
    assert_eq!(ends(&case, &case.second).await, BTreeSet::from([mentions, both]));
}

/// The Tasks of which a patient's trail says that their waiting ended with an erasure. The package shows it all the same.
async fn ends(case: &TwoPatients, patient: &str) -> BTreeSet<String> {
    let trail = format!("Patient/{patient}/$provenance-trail");
    let package = case.regulator.get(&format!("{trail}?_format=application/zip")).await.expect(200).bytes;
    assert_eq!(verify(&package, &case.world.policy(), &Kept::default()).unwrap().problems, Vec::<String>::new());
    let bundle = case.regulator.get(&trail).await.expect(200).json();
    assert!(!bundle.to_string().contains(&case.first));
    let events = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let ended = events.filter(|event| event["outcomeDesc"].as_str().is_some_and(|text| text.contains("no longer waits for signatures")));
    let tasks = ended.flat_map(|event| event["entity"].as_array().unwrap()).filter_map(|entity| entity["what"]["reference"].as_str());
    tasks.filter(|task| task.starts_with("Task/")).map(str::to_owned).collect()
}

/// What refers to a record that is erased alone is somebody's submission: it is asked for, and whose it is is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_refers_to_an_erased_record_goes_where_that_is_asked_for() {
    let case = case().await;
    let laboratory = case.world.party("laboratory").await;
    let (first, second) = (format!("Patient/{}", case.first), format!("Patient/{}", case.second));
    let record = format!("Observation/{}", case.a.create(&observation(&first)).await);
    let refers = |of: &str| with(observation(of), "derivedFrom", json!([{"reference": record}]));
    let (others, same) = (held(&laboratory, &refers(&second)).await, held(&laboratory, &refers(&first)).await);
    let unrelated = held(&laboratory, &observation(&second)).await;
    let erase = async |more: &str| case.officer.call(Call::new("POST", &format!("{record}/$erase{more}"))).await;
    assert!(erase("").await.expect(422).text().contains("2 resource(s)"));
    case.a.get(&record).await.expect(200);
    laboratory.get(&others).await.expect(200);
    erase("?shared=true").await.expect(200);
    case.a.get(&record).await.expect(404);
    for task in [&others, &same] {
        laboratory.get(task).await.expect(404);
    }
    laboratory.get(&unrelated).await.expect(200);
    assert_eq!(standing(&case, &record), 0);
    assert_eq!(ends(&case, &case.second).await, BTreeSet::from([others]));
}

/// Of a batch each entry waits by itself, and holds nothing of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_batch_that_waits_holds_nothing_of_the_others() {
    let case = case().await;
    let (laboratory, a) = (case.world.party("laboratory").await, &case.a);
    let note = |of: &str, text: &str| with(observation(&format!("Patient/{of}")), "note", json!([{"text": text}]));
    let (theirs, others) = (note(&case.first, NAME), note(&case.second, "kept"));
    let named = ["urn:uuid:00000000-0000-4000-8000-000000000000", "urn:uuid:00000001-0000-4000-8000-000000000000"];
    let batch = bundle("batch", vec![creates(named[0], theirs), creates(named[1], others.clone())]);
    let answer = laboratory.post("", &batch).await.expect(200).json();
    let task = |number: usize| {
        let location = answer["entry"][number]["response"]["location"].as_str().unwrap();
        format!("Task/{}", location.split("/_history").next().unwrap().rsplit_once("Task/").unwrap().1)
    };
    case.erase(&case.first, "").await.expect(200);
    laboratory.get(&task(0)).await.expect(404);
    assert_eq!((standing(&case, NAME), standing(&case, &case.first)), (0, 0));
    // The other is what it was, and is accepted once it is signed.
    a.create(&permit(&case.second)).await;
    assert_eq!(laboratory.get(&format!("{}/$pending", task(1))).await.expect(200).json(), others);
    let signed = Signer::new("clinician-signs").provenance(&[&task(1)], &others);
    let done = a.call(Call::post(&format!("{}/$sign-off", task(1)), &signed)).await.expect(200).json();
    assert_eq!(done["status"], "completed");
    assert_eq!(laboratory.search(&format!("Observation?patient=Patient/{}", case.second)).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_is_no_id() {
    let case = case().await;
    let laboratory = case.world.party("laboratory").await;
    let second = format!("Patient/{}", case.second);
    let named = with(observation(&second), "identifier", json!([{"system": "urn:oid:1.3.6.1.4.1.99999.7", "value": "anna"}]));
    let note = with(named, "note", json!([{"text": "Patient/anna, so she said, is final."}]));
    let (waits, stored) = (held(&laboratory, &note).await, case.a.create(&note).await);
    for word in ["anna", "final", "718-7"] {
        case.erase(word, "").await.expect(404);
        case.erase(word, "?shared=true").await.expect(404);
    }
    laboratory.get(&waits).await.expect(200);
    assert_eq!(case.a.get(&format!("Observation/{stored}")).await.expect(200).json()["note"], note["note"]);
    assert_eq!(standing(&case, "anna"), 1);
}
