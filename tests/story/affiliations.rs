//! What is denied by a consent that names very many, or by names that tell nobody apart.

use crate::support::data::{ORGANISATIONS, bundle, creates, observation, patient, permit, permit_to, person};
use crate::support::{Call, Party, Setup, World};
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
    for (system, value) in [(NPI, "1"), ("urn:oid:1.3.6.1.4.1.7", "hospital-b"), (ORGANISATIONS, "hospital-z")] {
        let identifier = json!({"system": system, "value": value});
        let mut renamed = known(NPI, "1");
        (renamed["id"], renamed["identifier"]) = (json!(own), json!([identifier]));
        b.put(&format!("Organization/{own}"), &renamed).await.expect(200);
        assert_eq!(status(&b, &seen).await, 404, "{identifier}");
    }
}

/// A patient whose consent permits one organisation, and what there is to see.
async fn seen_by(a: &Party, number: &str, organisation: &str) -> (String, String) {
    let id = a.create(&person(number)).await;
    a.create(&permit_to(&id, organisation)).await;
    let seen = a.create(&observation(&format!("Patient/{id}"))).await;
    (id, format!("Observation/{seen}"))
}

fn institution(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name, "identifier": [{"system": ORGANISATIONS, "value": name}]})
}

/// Whoever bears two names, whatever bears them.
fn bearing(mut resource: Value, names: [&str; 2]) -> Value {
    let own = resource["identifier"].as_array().cloned().unwrap_or_default().into_iter();
    let lent = names.map(|name| json!({"system": ORGANISATIONS, "value": name}));
    resource["identifier"] = own.chain(lent).collect();
    resource
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_a_record_with_anothers_name_is_not_permitted_what_the_other_is() {
    let (world, a, b) = scene().await;
    let laboratory = world.party("laboratory").await;
    let (id, seen) = seen_by(&a, "17", "hospital-b").await;
    assert_eq!((status(&b, &seen).await, status(&laboratory, &seen).await), (200, 404));
    let both = ["laboratory", "hospital-b"];
    laboratory.create(&bearing(json!({"resourceType": "Organization", "name": "x"}), both)).await;
    assert_eq!((status(&b, &seen).await, status(&laboratory, &seen).await), (200, 404), "its organisation");
    let own = laboratory.create(&bearing(person("17"), both)).await;
    assert_eq!((status(&b, &seen).await, status(&laboratory, &seen).await), (200, 404), "its record of the patient");
    let role = laboratory.create(&bearing(json!({"resourceType": "PractitionerRole"}), both)).await;
    for about in [&id, &own] {
        let mut result = observation(&format!("Patient/{about}"));
        result["performer"] = json!([{"reference": format!("PractitionerRole/{role}")}]);
        laboratory.create(&result).await;
        let found = laboratory.search(&format!("Observation?patient={about}")).await;
        assert!(found.iter().all(|one| !seen.ends_with(one["id"].as_str().unwrap())), "a role of its own");
    }
    assert_eq!((status(&b, &seen).await, status(&laboratory, &seen).await), (200, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_what_is_denied_by_their_own_word_stays_denied() {
    let (_world, a, b) = scene().await;
    let trust = json!({"identifier": {"system": ORGANISATIONS, "value": "the-trust"}});
    let id = a.create(&patient("1")).await;
    let mut consent = permit(&id);
    consent["provision"]["provision"] = json!([{"type": "deny", "actor": [actor(&trust)]}]);
    a.create(&consent).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    assert_eq!(status(&b, &seen).await, 200);
    let mut own = institution("hospital-b");
    own["partOf"] = trust;
    let record = b.create(&own).await;
    assert_eq!(status(&b, &seen).await, 404, "a hospital of the trust");
    let mut alone = institution("hospital-b");
    alone["id"] = json!(record);
    let renamed = json!({"resourceType": "Organization", "id": record, "name": "x"});
    for changed in [alone, renamed] {
        b.put(&format!("Organization/{record}"), &changed).await.expect(200);
        assert_eq!(status(&b, &seen).await, 404, "{changed}");
    }
    b.call(Call::delete(&format!("Organization/{record}"))).await.expect(204);
    assert_eq!(status(&b, &seen).await, 404, "it is gone");
}

/// What is not told apart from a denied organisation is not so by what is done in a role there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_at_a_denied_organisation_tells_nobody_apart_from_it() {
    let (_world, a, b) = scene().await;
    let npi = json!([{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}]);
    let denied = a.create(&json!({"resourceType": "Organization", "name": "x", "identifier": npi})).await;
    let denied = json!({"reference": format!("Organization/{denied}")});
    let doctor = a.create(&json!({"resourceType": "Practitioner", "name": [{"family": "Q"}]})).await;
    let role = json!({"resourceType": "PractitionerRole", "practitioner": {"reference": format!("Practitioner/{doctor}")}, "organization": denied});
    let role = a.create(&role).await;
    let id = a.create(&patient("1")).await;
    let mut consent = permit(&id);
    consent["provision"]["provision"] = json!([{"type": "deny", "actor": [actor(&denied)]}]);
    a.create(&consent).await;
    let mut result = observation(&format!("Patient/{id}"));
    let plain = a.create(&result).await;
    result["performer"] = json!([{"reference": format!("PractitionerRole/{role}")}]);
    let by_role = a.create(&result).await;
    for seen in [plain, by_role] {
        assert_eq!(status(&b, &format!("Observation/{seen}")).await, 404);
    }
    assert!(b.search(&format!("Observation?patient={id}")).await.is_empty());
}

/// Of whoever has more records than are looked at it is not known what they are part of. That is in the way of no permit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_records_with_somebodys_name_take_nothing_from_them_but_what_may_be_denied() {
    let (world, a, b) = scene().await;
    let laboratory = world.party("laboratory").await;
    let (_, seen) = seen_by(&a, "17", "hospital-b").await;
    let id = a.create(&patient("1")).await;
    let mut consent = permit(&id);
    let another = json!({"identifier": {"system": ORGANISATIONS, "value": "hospital-c"}, "type": "Organization"});
    consent["provision"]["provision"] = json!([{"type": "deny", "actor": [actor(&another)]}]);
    a.create(&consent).await;
    let under_denial = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    assert_eq!((status(&b, &seen).await, status(&b, &under_denial).await), (200, 200));
    let ordering = (0..70).map(|number| creates(&format!("urn:test:{number}"), institution("hospital-b")));
    laboratory.post("", &bundle("batch", ordering.collect())).await.expect(200);
    assert_eq!((status(&b, &seen).await, status(&b, &under_denial).await), (200, 404));
    assert_eq!(status(&laboratory, &under_denial).await, 200);
}
