//! One person at several hospitals: records that are surely the same are one, others are a question, and nothing is ever merged away.

use crate::support::data::{MRN, bundle, creates, observation, patient, permit, permit_to, person};
use crate::support::party::ids;
use crate::support::world::PERSON;
use crate::support::{Party, World};
use serde_json::{Value, json};

struct Scene {
    world: World,
    a: Party,
    b: Party,
    /// The patient's id at hospital A and at hospital B.
    at_a: String,
    at_b: String,
}

async fn scene(of_a: Value, of_b: Value) -> Scene {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (at_a, at_b) = (a.create(&of_a).await, b.create(&of_b).await);
    Scene { world, a, b, at_a, at_b }
}

async fn questions(world: &World) -> Vec<Value> {
    let listed = world.desk("GET", "/work?kind=uncertain-match&status=requested", &json!(null)).await.expect(200).json();
    listed.as_array().unwrap().clone()
}

async fn decide(world: &World, decision: &str, patients: &[&str]) -> u16 {
    world.desk("POST", "/people", &json!({"decision": decision, "patients": patients})).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_at_one_hospital_finds_the_others_data_as_consents_allow() {
    let Scene { world, a, b, at_a, at_b } = scene(person("17"), person("17")).await;
    let mine = a.create(&observation(&format!("Patient/{at_a}"))).await;
    let theirs = b.create(&observation(&format!("Patient/{at_b}"))).await;
    let query = format!("Observation?patient={at_a}");
    assert_eq!(ids(&a.search(&query).await), std::slice::from_ref(&mine), "a link shows nothing by itself");
    // A consent about one record speaks for the person.
    a.create(&permit(&at_a)).await;
    assert_eq!(ids(&a.search(&query).await), [mine.clone(), theirs.clone()]);
    assert_eq!(ids(&b.search(&format!("Observation?subject=Patient/{at_b}")).await), [mine.clone(), theirs.clone()]);
    let answer = a.get(&query).await;
    assert!(answer.link("self").unwrap().ends_with(&format!("patient={at_a}")), "links speak of what was asked");
    // A narrower one about the other record narrows it for both: the strictest wins.
    let denial = a.create(&permit_to(&at_b, "hospital-b")).await;
    assert_eq!(ids(&a.search(&query).await), std::slice::from_ref(&mine));
    assert_eq!(b.search(&format!("Observation?subject=Patient/{at_b}")).await.len(), 2);
    a.delete(&format!("Consent/{denial}")).await.expect(204);
    // Taking the link back restores what was before.
    assert_eq!(decide(&world, "unlink", &[&at_b]).await, 200);
    assert_eq!(ids(&a.search(&query).await), std::slice::from_ref(&mine));
    a.get(&format!("Observation/{theirs}")).await.expect(404);
    // It is not linked again by itself, and how it went is in the history, with receipts.
    let mut again = person("17");
    again["active"] = json!(true);
    again["id"] = json!(at_b);
    b.put(&format!("Patient/{at_b}"), &again).await.expect(200);
    assert_eq!(a.search(&query).await.len(), 1);
    let operator = world.party("operator").await;
    let linkages = operator.search("Linkage").await;
    assert_eq!((linkages.len(), &linkages[0]["active"]), (1, &json!(false)));
    let linkage = format!("Linkage/{}", linkages[0]["id"].as_str().unwrap());
    let history = operator.get(&format!("{linkage}/_history")).await.expect(200).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 2);
    assert_eq!(operator.search(&format!("Provenance?target={linkage}")).await.len(), 2);
    let stored = operator.get(&linkage).await.expect(200);
    let receipt = operator.get(&format!("{linkage}/$receipt")).await.expect(200).text();
    hearthgate::anchor::verify_receipt(&receipt, &world.policy(), Some(&stored.bytes)).unwrap();
    // A person may decide otherwise.
    assert_eq!(decide(&world, "link", &[&at_a, &at_b]).await, 200);
    assert_eq!(a.search(&query).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sure_is_a_question() {
    let with = |identifier: Value, birth: &str, gender: &str| {
        let mut patient = patient("7");
        patient["identifier"].as_array_mut().unwrap().push(identifier);
        (patient["birthDate"], patient["gender"]) = (json!(birth), json!(gender));
        patient
    };
    let ssn = |value: &str| json!({"system": PERSON, "value": value});
    let bare = |mut patient: Value, system: &str, family: &str| {
        patient["identifier"] = json!([{"system": system, "value": "7"}]);
        patient["name"][0]["family"] = json!(family);
        patient
    };
    for (why, one, other, is_linked, asked) in [
        ("the same identifier of persons", with(ssn("1"), "1970-03-01", "female"), with(ssn("1"), "1970-03-01", "female"), true, 0),
        ("the same, but born on another day", with(ssn("1"), "1970-03-01", "female"), with(ssn("1"), "1971-03-01", "female"), false, 1),
        ("the same, but of another gender", with(ssn("1"), "1970-03-01", "female"), with(ssn("1"), "1970-03-01", "male"), false, 1),
        ("another identifier of persons", with(ssn("1"), "1970-03-01", "female"), with(ssn("2"), "1970-03-01", "female"), false, 0),
        ("name and birth date", patient("7"), patient("8"), false, 1),
        ("a bare number at two authorities", bare(patient("7"), "urn:mrn:a", "Moor"), bare(patient("7"), "urn:mrn:b", "Young"), false, 0),
        ("a bare number in one system", bare(patient("7"), MRN, "Moor"), bare(patient("7"), MRN, "Young"), false, 0),
        (
            "a number everybody is given",
            with(ssn("999-99-9999"), "1970-03-01", "female"),
            with(ssn("999-99-9999"), "1980-03-01", "female"),
            false,
            0,
        ),
    ] {
        let Scene { world, at_a, at_b, .. } = scene(one, other).await;
        let operator = world.party("operator").await;
        let linked = operator.search("Linkage").await;
        assert_eq!(!linked.is_empty(), is_linked, "{why}: {linked:?}");
        let asked_now = questions(&world).await;
        assert_eq!(asked_now.len(), asked, "{why}: {asked_now:?}");
        if asked == 0 {
            continue;
        }
        // A person's answer is carried out; the question is settled by it.
        let task = asked_now[0]["task"].as_str().unwrap();
        let both = asked_now[0].to_string();
        assert!(both.contains(&at_a) && both.contains(&at_b) && !both.contains("Moor"), "{why}: references only: {both}");
        world.desk("POST", &format!("/work/{task}"), &json!({"decision": "link"})).await.expect(200);
        assert_eq!(operator.search("Linkage").await.len(), 1, "{why}");
        assert!(questions(&world).await.is_empty(), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_in_conflict_never_become_one() {
    let ssn = "1";
    let with_passport = |passport: &str| {
        let mut patient = person(ssn);
        patient["identifier"].as_array_mut().unwrap().push(json!({"system": "urn:passport", "value": passport}));
        patient
    };
    let world = crate::support::Setup::adjusted(|settings| settings.identity.person_identifier_systems.push("urn:passport".to_owned()))
        .start()
        .await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    let at_a = a.create(&with_passport("X")).await;
    let at_b = b.create(&with_passport("Y")).await;
    let operator = world.party("operator").await;
    assert!(operator.search("Linkage").await.is_empty());
    assert_eq!(questions(&world).await.len(), 1);
    // Not even through a third record that fits both, and not even when an operator says so.
    laboratory.create(&person(ssn)).await;
    let linked = operator.search("Linkage").await;
    let text = Value::from(linked.clone()).to_string();
    assert_eq!(linked.len(), 1);
    assert!(!(text.contains(&at_a) && text.contains(&at_b)), "{text}");
    assert_eq!(decide(&world, "link", &[&at_a, &at_b]).await, 409);
    // A record that comes to disagree with its person leaves it.
    let (linked_one, party) = if text.contains(&at_a) { (&at_a, &a) } else { (&at_b, &b) };
    let mut changed = person("2");
    changed["id"] = json!(linked_one);
    party.put(&format!("Patient/{linked_one}"), &changed).await.expect(200);
    assert!(
        operator
            .search("Linkage")
            .await
            .iter()
            .all(|linkage| linkage["active"] == json!(false) || !linkage.to_string().contains(linked_one.as_str()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_golden_record_says_where_each_element_is_from() {
    let mut older = person("17");
    older["birthDate"] = json!("1970");
    let Scene { world: _world, a, b, at_a, at_b } = scene(older, person("17")).await;
    let golden = async |party: &Party, id: &str| party.get(&format!("Patient/{id}/$golden-record")).await.expect(200).json();
    let element = |golden: &Value, path: &str| -> Value {
        let parts = golden["parameter"].as_array().unwrap().iter().find(|parameter| parameter["part"][0]["valueString"] == path);
        parts.unwrap_or_else(|| panic!("{path} is not in {golden}"))["part"].clone()
    };
    // Without consent each sees its own record alone.
    let alone = golden(&a, &at_a).await;
    assert_eq!(alone["parameter"][0]["resource"]["birthDate"], "1970");
    a.create(&permit(&at_a)).await;
    let whole = golden(&a, &at_a).await;
    assert_eq!(whole["parameter"][0]["resource"]["birthDate"], "1970-03-01", "the more precise date survives: {whole}");
    let sources = element(&whole, "Patient.birthDate").to_string();
    assert!(sources.contains("most precise") && sources.contains(&at_b), "{sources}");
    assert_eq!(whole["parameter"][0]["resource"]["link"].as_array().unwrap().len(), 2);
    // Nothing was changed by it.
    assert_eq!(a.get(&format!("Patient/{at_a}")).await.expect(200).json()["birthDate"], "1970");
    b.get("Patient/nobody/$golden-record").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn match_answers_what_the_caller_may_see() {
    let Scene { world: _world, a, b, at_a, .. } = scene(person("17"), patient("8")).await;
    let ask = |resource: Value, more: Value| {
        let mut parameters = vec![json!({"name": "resource", "resource": resource})];
        parameters.extend(more.as_array().unwrap().clone());
        json!({"resourceType": "Parameters", "parameter": parameters})
    };
    let found = a.post("Patient/$match", &ask(person("17"), json!([]))).await.expect(200).json();
    assert_eq!(found["entry"].as_array().unwrap().len(), 1, "hospital B's is not shown: {found}");
    let entry = &found["entry"][0];
    assert_eq!((&entry["resource"]["id"], &entry["search"]["score"]), (&json!(at_a), &json!(1.0)));
    assert_eq!(entry["search"]["extension"][0]["valueCode"], "certain");
    let probable = ask(patient("99"), json!([{"name": "onlyCertainMatches", "valueBoolean": true}]));
    assert_eq!(a.post("Patient/$match", &probable).await.expect(200).json()["total"], 0);
    assert_eq!(
        b.post("Patient/$match", &ask(patient("99"), json!([{"name": "count", "valueInteger": 1}]))).await.expect(200).json()["total"],
        1
    );
    for wrong in
        [json!({"resourceType": "Patient"}), ask(observation("Patient/1"), json!([])), ask(patient("1"), json!([{"name": "frob"}]))]
    {
        a.post("Patient/$match", &wrong).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_kept_apart_stays_apart_through_a_third() {
    let Scene { world, a, at_a, at_b, .. } = scene(person("17"), person("17")).await;
    assert_eq!(decide(&world, "unlink", &[&at_b]).await, 200);
    world.party("laboratory").await.create(&person("17")).await;
    a.create(&permit(&at_a)).await;
    let golden = a.get(&format!("Patient/{at_a}/$golden-record")).await.expect(200).text();
    assert!(!golden.contains(&format!("Patient/{at_b}")), "{golden}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_records_of_one_person_in_one_submission_are_a_question() {
    let Scene { world, .. } = scene(person("17"), person("18")).await;
    let laboratory = world.party("laboratory").await;
    laboratory.create(&person("17")).await;
    let twins = bundle("transaction", vec![creates("urn:uuid:1", person("17")), creates("urn:uuid:2", person("17"))]);
    world.party("hospital-b").await.post("", &twins).await.expect(200);
    let operator = world.party("operator").await;
    let linkages = operator.search("Linkage").await;
    assert_eq!(linkages.len(), 1, "one person: {linkages:?}");
    assert_eq!(linkages[0]["item"].as_array().unwrap().len(), 3, "one of the two is linked: {linkages:?}");
    assert!(!questions(&world).await.is_empty(), "and the other is a question");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_with_hyphens_is_the_same_number() {
    let Scene { world, a, at_a, at_b, b } = scene(person("123-45-6789"), person("123456789")).await;
    let theirs = b.create(&observation(&format!("Patient/{at_b}"))).await;
    a.create(&permit(&at_a)).await;
    assert_eq!(ids(&a.search(&format!("Observation?patient={at_a}")).await), [theirs]);
    assert!(questions(&world).await.is_empty());
}

/// What changes the same link of persons at one moment is decided one after the other, also where it goes into one commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_leave_their_persons_at_one_moment_are_all_taken() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut leaving = Vec::new();
    for number in 0..12 {
        let together = person(&format!("777{number}"));
        for (party, number) in [(&a, format!("888{number}")), (&b, format!("999{number}"))] {
            let id = party.create(&together).await;
            let mut apart = person(&number);
            apart["id"] = json!(id);
            leaving.push((party, format!("Patient/{id}"), apart));
        }
    }
    let answers = futures_util::future::join_all(leaving.iter().map(|(party, path, apart)| party.put(path, apart))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}
