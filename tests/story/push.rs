//! What was accepted goes on to those who subscribed, when consent permits it, once and in order.

use crate::support::data::{observation, patient, permit, permit_to};
use crate::support::holder::{Behaviour, Holder, Seen};
use crate::support::{Party, Setup, World, until};
use hearthgate::store::DeliveryState;
use serde_json::{Value, json};
use std::time::Duration;

fn configured(base: &str, attempts: u32) -> String {
    format!(
        "[[destination]]\nname = \"clinic\"\nbase_url = \"{base}\"\norganisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"clinic\" }} }}\n\
         purpose = \"TREAT\"\ntypes = [\"Observation\"]\ntimeout_ms = 500\nretry = {{ initial_ms = 20, max_ms = 100, max_attempts = {attempts} }}\n"
    )
}

async fn scene(attempts: u32) -> (World, Party, Holder, String) {
    let clinic = Holder::start(Vec::new()).await;
    let world = Setup::configured(configured(&clinic.base, attempts)).start().await;
    let a = world.party("hospital-a").await;
    let patient = a.create(&patient("1")).await;
    (world, a, clinic, patient)
}

async fn delivered(clinic: &Holder, count: usize) -> Vec<Seen> {
    until(&format!("{count} deliveries"), async || Some(clinic.delivered()).filter(|seen| seen.len() >= count)).await
}

async fn deliveries(world: &World, state: DeliveryState) -> usize {
    world.running.store.read(move |reader| reader.deliveries_in(state, 100)).await.unwrap().len()
}

fn key(seen: &Seen) -> &str {
    seen.headers["idempotency-key"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_measurement_reaches_who_subscribed() {
    let (world, a, clinic, patient) = scene(5).await;
    a.create(&permit_to(&patient, "clinic")).await;
    let id = a.create(&observation(&format!("Patient/{patient}"))).await;
    let seen = delivered(&clinic, 1).await;
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("PUT", format!("Observation/{id}").as_str()));
    assert_eq!(seen[0].json()["subject"]["reference"], format!("Patient/{patient}"));
    assert_eq!(seen[0].headers["content-type"], "application/fhir+json");
    // It was accounted for before it left: a record names the destination and the consent.
    let events = world.audit_events().await;
    let disclosed = events.iter().filter(|event| event["subtype"][0]["code"] == "push").collect::<Vec<_>>();
    assert_eq!(disclosed.len(), 1);
    assert!(disclosed[0].to_string().contains(&format!("Observation/{id}")) && disclosed[0].to_string().contains("clinic"));

    // A change and a deletion follow, each under a key of its own.
    let mut changed = a.get(&format!("Observation/{id}")).await.json();
    changed["status"] = json!("amended");
    a.put(&format!("Observation/{id}"), &changed).await.expect(200);
    let seen = delivered(&clinic, 2).await;
    assert_eq!(seen[1].json()["status"], "amended");
    a.delete(&format!("Observation/{id}")).await.expect(204);
    let seen = delivered(&clinic, 3).await;
    assert_eq!(seen[2].method, "DELETE");
    let keys: std::collections::HashSet<&str> = seen.iter().map(key).collect();
    assert_eq!(keys.len(), 3);
    // What was not subscribed to stays.
    assert!(clinic.delivered().iter().all(|seen| seen.path.starts_with("Observation/")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_delivery_is_tried_again_under_the_same_key() {
    let (world, a, clinic, patient) = scene(10).await;
    a.create(&permit_to(&patient, "clinic")).await;
    clinic.behave_in_turn([Behaviour::Status(500), Behaviour::Status(503), Behaviour::Hang, Behaviour::Honest]);
    let first = a.create(&observation(&format!("Patient/{patient}"))).await;
    let seen = delivered(&clinic, 4).await;
    assert!(seen.iter().all(|one| key(one) == key(&seen[0]) && one.path == format!("Observation/{first}")), "the same key each time");
    until("the outbox is empty", async || (deliveries(&world, DeliveryState::Waiting).await == 0).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(clinic.delivered().len(), 4, "once it was taken it is not sent again");

    // While one for a patient waits, later ones for the same patient wait behind it.
    clinic.behave_in_turn([Behaviour::Status(500), Behaviour::Status(500), Behaviour::Honest]);
    let second = a.create(&observation(&format!("Patient/{patient}"))).await;
    let third = a.create(&observation(&format!("Patient/{patient}"))).await;
    let seen = delivered(&clinic, 8).await;
    let order: Vec<&str> = seen[4..].iter().map(|one| one.path.strip_prefix("Observation/").unwrap()).collect();
    assert_eq!(order, [second.as_str(), &second, &second, &third], "in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_delivered_is_put_aside_with_its_reason() {
    let (world, a, clinic, patient) = scene(3).await;
    a.create(&permit_to(&patient, "clinic")).await;
    clinic.behave(Behaviour::Status(500));
    a.create(&observation(&format!("Patient/{patient}"))).await;
    until("a dead letter", async || (deliveries(&world, DeliveryState::Dead).await == 1).then_some(())).await;
    assert_eq!(clinic.delivered().len(), 3, "no more attempts than configured");
    // A refusal that will not change is not tried again.
    clinic.behave(Behaviour::Status(422));
    a.create(&observation(&format!("Patient/{patient}"))).await;
    until("a second dead letter", async || (deliveries(&world, DeliveryState::Dead).await == 2).then_some(())).await;
    assert_eq!(clinic.delivered().len(), 4);
    // What is dead does not stand in the way of what follows.
    clinic.behave(Behaviour::Honest);
    let id = a.create(&observation(&format!("Patient/{patient}"))).await;
    let seen = delivered(&clinic, 5).await;
    assert_eq!(seen[4].path, format!("Observation/{id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pushed_without_consent() {
    let (world, a, clinic, patient) = scene(5).await;
    let held = a.create(&observation(&format!("Patient/{patient}"))).await;
    until("a held delivery", async || (deliveries(&world, DeliveryState::Held).await == 1).then_some(())).await;
    assert!(clinic.seen().is_empty());
    // Nor with another's.
    a.create(&permit_to(&patient, "hospital-b")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(clinic.seen().is_empty());
    // Consent lets out what waited.
    let consent = a.create(&permit_to(&patient, "clinic")).await;
    let seen = delivered(&clinic, 1).await;
    assert_eq!(seen[0].path, format!("Observation/{held}"));
    // Revoked, it holds back what is yet to leave.
    revoke(&a, &consent).await;
    a.create(&observation(&format!("Patient/{patient}"))).await;
    until("held again", async || (deliveries(&world, DeliveryState::Held).await == 1).then_some(())).await;
    assert_eq!(clinic.delivered().len(), 1);
}

/// What the accounting of a patient tells of an organisation: what was done, how it ended, why, of which record, and whether a consent governed it.
async fn accounted(world: &World, patient: &str, organisation: &str) -> Vec<String> {
    let regulator = world.party("health-department").await;
    let account = regulator.get(&format!("Patient/{patient}/$disclosures")).await.expect(200).json();
    let events = account["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let told = events.filter(|event| event["resourceType"] == "AuditEvent" && event["agent"].to_string().contains(organisation));
    told.map(|event| {
        let purpose = event["purposeOfEvent"][0]["coding"][0]["code"].as_str().unwrap_or("-");
        let entities = event["entity"].as_array().unwrap().iter().filter_map(|entity| entity["what"]["reference"].as_str());
        let (consents, records): (Vec<&str>, Vec<&str>) =
            entities.filter(|of| !of.starts_with("Patient/")).partition(|of| of.starts_with("Consent/"));
        let governed = if consents.is_empty() { "" } else { " by consent" };
        format!(
            "{} {} {purpose} {}{governed}",
            event["subtype"][0]["code"].as_str().unwrap(),
            event["outcome"].as_str().unwrap(),
            records.join(" ")
        )
    })
    .collect()
}

/// What went to a subscriber, what was held back from it, and that something is gone: the patient finds each in the accounting, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pushed_and_what_was_not_is_accounted_for() {
    let (world, a, clinic, patient) = scene(2).await;
    let here = format!("Patient/{patient}");
    let consent = a.create(&permit_to(&patient, "clinic")).await;
    let sent = a.create(&observation(&here)).await;
    delivered(&clinic, 1).await;
    // The other end refuses it: it was told all the same.
    clinic.behave(Behaviour::Status(422));
    let refused = a.create(&observation(&here)).await;
    until("a dead letter", async || (deliveries(&world, DeliveryState::Dead).await == 1).then_some(())).await;
    clinic.behave(Behaviour::Honest);
    revoke(&a, &consent).await;
    let held = a.create(&observation(&here)).await;
    until("a held delivery", async || (deliveries(&world, DeliveryState::Held).await == 1).then_some(())).await;
    // Of what it has it is told that it is gone; what it was never sent it does not hear of.
    a.delete(&format!("Observation/{sent}")).await.expect(204);
    let gone = delivered(&clinic, 3).await;
    assert_eq!((gone[2].method.as_str(), gone[2].path.as_str()), ("DELETE", format!("Observation/{sent}").as_str()));
    a.delete(&format!("Observation/{held}")).await.expect(204);
    until("nothing is left to do", async || (deliveries(&world, DeliveryState::Waiting).await == 0).then_some(())).await;
    assert_eq!(clinic.delivered().len(), 3);
    let told = accounted(&world, &patient, "clinic").await;
    let expected = [
        format!("push 0 TREAT Observation/{sent}/_history/1 by consent"),
        format!("push 0 TREAT Observation/{refused}/_history/1 by consent"),
        format!("push 4 TREAT Observation/{held}/_history/1"),
        format!("push 0 TREAT Observation/{sent}/_history/2"),
    ];
    assert_eq!(told, expected);
    // The same in the evidence, which verifies.
    let regulator = world.party("health-department").await;
    let package = regulator.get(&format!("{here}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let report = hearthgate::evidence::verify(&package, &world.policy(), &hearthgate::evidence::Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// The record of what was held back says why, and which consent said so, as for what was asked and not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_back_is_on_record_with_the_reason() {
    let (world, a, _clinic, patient) = scene(2).await;
    let here = format!("Patient/{patient}");
    let held_back = async |count: usize| {
        until("a held delivery", async || (deliveries(&world, DeliveryState::Held).await == count).then_some(())).await;
        let mut events = world.audit_events().await;
        events.retain(|event| event["subtype"][0]["code"] == "push");
        events.into_iter().map(|event| (event["outcomeDesc"].as_str().unwrap().to_owned(), event["entity"].to_string())).collect::<Vec<_>>()
    };
    a.create(&observation(&here)).await;
    let told = held_back(1).await;
    assert!(told.len() == 1 && told[0].0.starts_with("held-back: no-consent: delivery to "), "{told:?}");
    assert!(!told[0].1.contains("Consent/"), "{told:?}");
    let mut consent = permit(&patient);
    let clinic = permit_to(&patient, "clinic")["provision"]["actor"].clone();
    consent["provision"]["provision"] = json!([{"type": "deny", "actor": clinic}]);
    let id = a.create(&consent).await;
    a.create(&observation(&here)).await;
    let told = held_back(2).await;
    let denied: Vec<_> = told.iter().filter(|(why, _)| why.starts_with("held-back: denied: delivery to ")).collect();
    assert!(denied.len() == 1 && denied[0].1.contains(&format!("Consent/{id}/_history/1")), "{told:?}");
}

/// A record that was sent of one patient, and moved to another of whom nothing may be sent: its deletion is told of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_accounted_to_whom_the_record_was_sent_of() {
    let (world, a, clinic, first) = scene(2).await;
    let second = a.create(&patient("2")).await;
    a.create(&permit_to(&first, "clinic")).await;
    let id = a.create(&observation(&format!("Patient/{first}"))).await;
    delivered(&clinic, 1).await;
    let mut moved = observation(&format!("Patient/{second}"));
    moved["id"] = json!(id);
    a.put(&format!("Observation/{id}"), &moved).await.expect(200);
    until("a held delivery", async || (deliveries(&world, DeliveryState::Held).await == 1).then_some(())).await;
    a.delete(&format!("Observation/{id}")).await.expect(204);
    assert_eq!(delivered(&clinic, 2).await[1].method, "DELETE");
    let told = |version: u32, rest: &str| format!("push {rest} Observation/{id}/_history/{version}");
    assert_eq!(accounted(&world, &first, "clinic").await, [told(1, "0 TREAT") + " by consent", told(3, "0 TREAT")]);
    assert_eq!(accounted(&world, &second, "clinic").await, [told(2, "4 TREAT")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stands_in_nobodys_way() {
    let (world, a, clinic, patient) = scene(5).await;
    let withheld = json!({"system": "http://loinc.org", "code": "5640-8"});
    let mut consent = permit_to(&patient, "clinic");
    consent["provision"]["provision"] = json!([{"type": "deny", "code": [{"coding": [&withheld]}]}]);
    a.create(&consent).await;
    let mut ethanol = observation(&format!("Patient/{patient}"));
    ethanol["code"] = json!({"coding": [&withheld]});
    a.create(&ethanol).await;
    until("a held delivery", async || (deliveries(&world, DeliveryState::Held).await == 1).then_some(())).await;
    let first = a.create(&observation(&format!("Patient/{patient}"))).await;
    let second = a.create(&observation(&format!("Patient/{patient}"))).await;
    let seen = delivered(&clinic, 2).await;
    assert_eq!([&seen[0].path, &seen[1].path], [&format!("Observation/{first}"), &format!("Observation/{second}")]);
    assert_eq!(deliveries(&world, DeliveryState::Held).await, 1);
}

async fn revoke(party: &Party, consent: &str) {
    let path = format!("Consent/{consent}");
    let mut stored: Value = party.get(&path).await.expect(200).json();
    stored["status"] = json!("inactive");
    party.put(&path, &stored).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_outlives_a_restart() {
    let (world, a, clinic, patient) = scene(50).await;
    a.create(&permit_to(&patient, "clinic")).await;
    clinic.behave(Behaviour::Status(503));
    let id = a.create(&observation(&format!("Patient/{patient}"))).await;
    delivered(&clinic, 1).await;
    let world = world.restart(|_| ()).await;
    clinic.behave(Behaviour::Honest);
    until("the delivery after the restart", async || (deliveries(&world, DeliveryState::Delivered).await == 1).then_some(())).await;
    let seen = clinic.delivered();
    assert_eq!(key(&seen[0]), key(seen.last().unwrap()));
    assert_eq!(seen.last().unwrap().path, format!("Observation/{id}"));
}
