//! What is denied by a consent that names very many, or by names that tell nobody apart.

use crate::support::data::{ORGANISATIONS, observation, patient, permit, permit_to};
use crate::support::{Party, Setup, World};
use serde_json::{Value, json};

async fn status(party: &Party, seen: &str) -> u16 {
    // Twice, so that what the first one compiled is there for the second.
    let statuses = [party.get(seen).await.status, party.get(seen).await.status];
    assert_eq!(statuses[0], statuses[1]);
    statuses[0]
}

fn actor(reference: &Value) -> Value {
    let role = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]});
    json!({"role": role, "reference": reference})
}

/// More than anybody is looked up for: of so many nobody can tell who they are.
const TOO_MANY: usize = 2_100;

async fn scene() -> (World, Party, Party) {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    (world, a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_names_very_many_is_judged_by_all_of_them_or_permits_nothing() {
    let (_world, a, b) = scene().await;
    // A consent that somebody else gave for a child, who has come of age; and one of the patient's own.
    for (others, given_for, expected) in
        [(150, true, 404), (210, true, 404), (TOO_MANY, true, 404), (150, false, 200), (210, false, 200), (TOO_MANY, false, 404)]
    {
        let mut grown = patient("1");
        grown["birthDate"] = json!("2000-01-01");
        let id = a.create(&grown).await;
        let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
        let mut consent = permit_to(&id, "hospital-b");
        consent["dateTime"] = json!("2010-01-01");
        if given_for {
            let parent = json!({"identifier": {"system": "urn:parents", "value": "1"}, "type": "RelatedPerson"});
            consent["performer"] = json!([parent]);
        }
        let actors = consent["provision"]["actor"].as_array_mut().unwrap();
        actors.extend((0..others).map(|number| actor(&json!({"reference": format!("Organization/AA{number}")}))));
        a.create(&consent).await;
        assert_eq!(status(&b, &seen).await, expected, "{others} others, given for somebody: {given_for}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_a_denied_record_is_denied_among_very_many() {
    let (_world, a, b) = scene().await;
    for others in [0, 150, 210, TOO_MANY] {
        let id = a.create(&patient("1")).await;
        let result = a.create(&observation(&format!("Patient/{id}"))).await;
        let report = a
            .create(&json!({
                "resourceType": "DiagnosticReport", "status": "final", "subject": {"reference": format!("Patient/{id}")},
                "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]},
                "result": [{"reference": format!("Observation/{result}")}]
            }))
            .await;
        let mut consent = permit_to(&id, "hospital-b");
        let related = |reference: String| json!({"meaning": "related", "reference": {"reference": reference}});
        let data: Vec<Value> = (0..others).map(|number| related(format!("Condition/AA{number}"))).collect();
        let data: Vec<Value> = data.into_iter().chain([related(format!("DiagnosticReport/{report}"))]).collect();
        consent["provision"]["provision"] = json!([{"type": "deny", "data": data}]);
        a.create(&consent).await;
        assert_eq!(status(&b, &format!("Observation/{result}")).await, 404, "{others} others");
    }
}

/// Whoever a denial names by what says nothing of others is in doubt meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_holds_where_the_names_it_goes_by_tell_nobody_apart() {
    const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
    let (_world, a, b) = scene().await;
    let known = |system: &str, value: &str| json!({"resourceType": "Organization", "name": "x", "identifier": [{"system": system, "value": value}]});
    let registered = a.create(&known(NPI, "1234567893")).await;
    let bare = a.create(&json!({"resourceType": "Organization", "name": "x", "identifier": [{"value": "hospital-b"}]})).await;
    let other = a.create(&known(ORGANISATIONS, "hospital-c")).await;
    let own = b.create(&known(ORGANISATIONS, "hospital-b")).await;
    let to = |id: &str| json!({"reference": format!("Organization/{id}")});
    let mut seen = String::new();
    for (reference, expected) in [
        (json!({"identifier": {"value": "hospital-b"}}), 404),
        (json!({"identifier": {"value": "hospital-b"}, "display": "Hospital B"}), 404),
        (json!({"identifier": {"system": ORGANISATIONS, "value": "hospital-c"}, "type": "Organization"}), 200),
        (to(&registered), 404),
        (to(&bare), 404),
        (to(&other), 200),
        (to(&own), 404),
    ] {
        let id = a.create(&patient("1")).await;
        seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
        let mut consent = permit(&id);
        consent["provision"]["provision"] = json!([{"type": "deny", "actor": [actor(&reference)]}]);
        a.create(&consent).await;
        assert_eq!(status(&b, &seen).await, expected, "{reference}");
    }
    // The last one is denied by its own record: what it calls itself from now on does not help it.
    for identifier in [json!({"system": NPI, "value": "1"}), json!({"system": "urn:oid:1.3.6.1.4.1.7", "value": "hospital-b"})] {
        let mut renamed = known(NPI, "1");
        (renamed["id"], renamed["identifier"]) = (json!(own), json!([identifier]));
        b.put(&format!("Organization/{own}"), &renamed).await.expect(200);
        assert_eq!(status(&b, &seen).await, 404, "{identifier}");
    }
}
