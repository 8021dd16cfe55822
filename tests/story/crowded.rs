//! Records that name very much, and names that very many go by: whoever sends them hides nothing of what others say, and holds nobody up.

use super::settings::withholding;
use crate::support::data::{observation, person};
use crate::support::party::ids;
use crate::support::{Party, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

struct Case {
    world: World,
    a: Party,
    b: Party,
    patient: String,
}

impl Case {
    async fn new() -> Case {
        let world = World::start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let patient = a.create(&person("1")).await;
        a.create(&withholding(&patient)).await;
        Case { world, a, b, patient }
    }

    fn measured(&self, more: Value) -> Value {
        let mut resource = observation(&format!("Patient/{}", self.patient));
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    }

    fn encounter(&self, more: Value) -> Value {
        let mut resource = json!({"resourceType": "Encounter", "status": "finished", "subject": {"reference": format!("Patient/{}", self.patient)},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}});
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    }
}

/// One record that names more than is looked up for a whole answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_names_very_much_hides_none_beside_it() {
    let case = Case::new().await;
    let visit = case.a.create(&case.encounter(json!({}))).await;
    let mut shown = Vec::new();
    for _ in 0..3 {
        shown.push(case.a.create(&case.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}}))).await);
    }
    let laboratory = case.world.party("laboratory").await;
    let theirs = laboratory.create(&person("2")).await;
    case.a.create(&withholding(&theirs)).await;
    let named = |at: usize| json!({"url": "urn:x:named", "valueReference": {"type": "Account", "identifier": {"system": "urn:q", "value": format!("k{at}")}}});
    let mut crowded = observation(&format!("Patient/{theirs}"));
    crowded["extension"] = (0..5_200).map(named).collect();
    let crowded = laboratory.create(&crowded).await;
    let found = ids(&case.b.search("Observation?code=718-7").await);
    assert!(shown.iter().all(|id| found.contains(id)), "{found:?}");
    // What it names beyond its share is not shown of it; the rest is.
    let left = case.b.get(&format!("Observation/{crowded}")).await.expect(200).json();
    assert_eq!(left["extension"].as_array().map(Vec::len), Some(5_000));
}

/// The same hospital as each of many partners has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_copies_of_one_institution_hide_nothing_that_names_it() {
    let case = Case::new().await;
    let provider = |value: &str| json!({"type": "Organization", "identifier": {"system": NPI, "value": value}});
    let sources = [&case.a, &case.b];
    let mut statuses = Vec::new();
    for (number, last) in [("1234567893", "General Hospital"), ("1245319599", "Riverside Methadone Clinic")] {
        for copy in 0..9 {
            let name = if copy == 8 { last } else { "General Hospital" };
            let copy = json!({"resourceType": "Organization", "name": name, "identifier": [{"system": NPI, "value": number}]});
            sources[usize::from(number == "1234567893")].create(&copy).await;
        }
        let visit = case.a.create(&case.encounter(json!({"serviceProvider": provider(number)}))).await;
        let taken = case.a.create(&case.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}}))).await;
        statuses.push(case.b.get(&format!("Encounter/{visit}")).await.status);
        statuses.push(case.b.get(&format!("Observation/{taken}")).await.status);
    }
    assert_eq!(statuses, [200, 200, 404, 404], "one of many that tells is told of");
}

/// What names others by identifiers alone is read in a time that grows as it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_many_by_identifiers_is_read_in_a_time_that_grows_with_them() {
    let case = Case::new().await;
    let mut taken = Vec::new();
    for (kind, count) in [("few", 400), ("many", 1_600)] {
        let named = |at: usize| json!({"identifier": {"system": "urn:q", "value": format!("{kind}{at}")}});
        let id = case.a.create(&case.measured(json!({"hasMember": (0..count).map(named).collect::<Vec<_>>()}))).await;
        let mut least = Duration::MAX;
        for _ in 0..3 {
            let started = Instant::now();
            case.b.get(&format!("Observation/{id}")).await.expect(200);
            least = least.min(started.elapsed());
        }
        taken.push(least);
    }
    assert!(taken[1] < taken[0] * 10, "four times as many may take some four times as long: {taken:?}");
}
