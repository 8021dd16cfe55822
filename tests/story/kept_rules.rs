//! Compiled consents are used again only while everything they were compiled of is as it was.

use crate::support::data::{ORGANISATIONS, observation, patient, permit_to};
use crate::support::{Party, Setup};
use serde_json::{Value, json};

async fn sees(party: &Party, path: &str) -> bool {
    // Twice, so that what the first one compiled is there for the second.
    let statuses = [party.get(path).await.status, party.get(path).await.status];
    assert_eq!(statuses[0], statuses[1], "{path}");
    statuses[0] == 200
}

/// A care team that a consent permits: who is in it is asked at each reading, through every change of the team, the consent and the patient.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_what_a_consent_names_holds_at_the_next_reading() {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    let with = |name: &str| -> Value {
        let member = json!({"identifier": {"system": ORGANISATIONS, "value": name}, "type": "Organization"});
        json!({"resourceType": "CareTeam", "status": "active", "subject": {"reference": format!("Patient/{id}")}, "participant": [{"member": member}]})
    };
    let team = a.create(&with("nobody-known")).await;
    let mut consent = permit_to(&id, "hospital-b");
    consent["provision"]["actor"][0]["reference"] = json!({"reference": format!("CareTeam/{team}")});
    let consent_id = a.create(&consent).await;
    let update = |path: String, body: Value| {
        let mut body = body;
        body["id"] = json!(path.split('/').next_back().unwrap());
        let a = &a;
        async move { a.put(&path, &body).await.expect(200) }
    };
    assert!(!sees(&b, &seen).await, "a team without it");
    update(format!("CareTeam/{team}"), with("hospital-b")).await;
    assert!(sees(&b, &seen).await, "a team with it");
    update(format!("CareTeam/{team}"), with("nobody-known")).await;
    assert!(!sees(&b, &seen).await, "a team that it left");
    update(format!("CareTeam/{team}"), with("hospital-b")).await;
    assert!(sees(&b, &seen).await, "a team that it came back to");
    a.delete(&format!("CareTeam/{team}")).await;
    assert!(!sees(&b, &seen).await, "a team that is no more");
    update(format!("Consent/{consent_id}"), permit_to(&id, "hospital-b")).await;
    assert!(sees(&b, &seen).await, "a consent that names it");
    let mut denial = permit_to(&id, "hospital-b");
    denial["provision"]["type"] = json!("deny");
    let denial = a.create(&denial).await;
    assert!(!sees(&b, &seen).await, "another consent that denies");
    a.delete(&format!("Consent/{denial}")).await;
    assert!(sees(&b, &seen).await, "the denial deleted");
}

/// A consent that somebody else gave for a child: it ends when it becomes known that the patient is of age.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_patient_holds_at_the_next_reading() {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let born = |date: &str| {
        let mut child = patient("1");
        child["birthDate"] = json!(date);
        child
    };
    let id = a.create(&born("2020-01-01")).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    let parent = json!({"resourceType": "RelatedPerson", "patient": {"reference": format!("Patient/{id}")}});
    let parent = a.create(&parent).await;
    let mut consent = permit_to(&id, "hospital-b");
    consent["dateTime"] = json!("2021-01-01");
    consent["performer"] = json!([{"reference": format!("RelatedPerson/{parent}")}]);
    a.create(&consent).await;
    assert!(sees(&b, &seen).await, "a child");
    let mut grown = born("2005-01-01");
    grown["id"] = json!(id);
    a.put(&format!("Patient/{id}"), &grown).await.expect(200);
    assert!(!sees(&b, &seen).await, "of age");
}

/// A team of so many that they are not looked up where the question is asked. Only a change of one of them is looked at again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_one_of_very_many_holds_at_the_next_reading() {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    let organisation =
        |name: &str| json!({"resourceType": "Organization", "name": name, "identifier": [{"system": ORGANISATIONS, "value": name}]});
    let mut members = Vec::new();
    for number in 0..150 {
        members.push(a.create(&organisation(&format!("ward-{number}"))).await);
    }
    let participants: Vec<Value> = members.iter().map(|id| json!({"member": {"reference": format!("Organization/{id}")}})).collect();
    let team = json!({"resourceType": "CareTeam", "status": "active", "subject": {"reference": format!("Patient/{id}")}, "participant": participants});
    let team = a.create(&team).await;
    let mut consent = permit_to(&id, "hospital-b");
    consent["provision"]["actor"][0]["reference"] = json!({"reference": format!("CareTeam/{team}")});
    a.create(&consent).await;
    assert!(!sees(&b, &seen).await, "a team without it");
    let ward = &members[120];
    let rename = async |name: &str| {
        let mut body = organisation(name);
        body["id"] = json!(ward);
        a.put(&format!("Organization/{ward}"), &body).await.expect(200);
    };
    for name in ["hospital-b", "ward-120", "hospital-b"] {
        rename(name).await;
        assert_eq!(sees(&b, &seen).await, name == "hospital-b", "{name}");
        a.create(&json!({"resourceType": "Practitioner", "name": [{"family": name}]})).await;
        assert_eq!(sees(&b, &seen).await, name == "hospital-b", "{name}, after somebody else came");
    }
}
