//! What a holder's record names and lies there alone: whoever did something may tell what is withheld, and is asked for there as a setting is.

use super::settings::{Scene, at, encounter, measured, plain, shown, with_id, withholding};
use crate::support::Call;
use crate::support::data::permit;
use crate::support::holder::Behaviour;
use serde_json::{Value, json};

const VISITS: &str = "urn:oid:1.3.6.1.4.1.99999.7";

fn organisation(id: &str, name: &str) -> Value {
    json!({"resourceType": "Organization", "id": id, "name": name})
}

fn part_of(mut resource: Value, parent: &str) -> Value {
    resource["partOf"] = json!({"reference": parent});
    resource
}

fn team(name: &str) -> Value {
    json!({"resourceType": "CareTeam", "id": "t1", "name": name, "subject": {"reference": "Patient/77"}})
}

fn role(organisation: &str) -> Value {
    json!({"resourceType": "PractitionerRole", "id": "r1", "organization": {"reference": organisation}})
}

fn performed(by: Value) -> Value {
    let mut record = measured(None);
    record["performer"] = json!([by]);
    record
}

fn by(reference: &str) -> Value {
    performed(json!({"reference": reference}))
}

/// The performers that a search shows of the one record there is.
async fn performers(scene: &Scene) -> usize {
    let answer = scene.search("Observation").await;
    assert_eq!(shown(&answer), (1, 1), "{answer}");
    answer["entry"][0]["resource"]["performer"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_did_something_at_the_holder_and_tells_is_not_named() {
    let scene = Scene::start(withholding).await;
    let telling = || organisation("c1", "Riverside Methadone Clinic");
    let ordinary = || organisation("c1", "Riverside Clinic");
    let unit = || part_of(organisation("u1", "Unit 4"), "Organization/c1");
    let typed = |type_name: &str| performed(json!({"type": type_name, "identifier": {"system": VISITS, "value": "C-1"}}));
    let untyped = performed(json!({"identifier": {"system": VISITS, "value": "C-1"}}));
    let ward = json!({"resourceType": "HealthcareService", "id": "h1", "providedBy": {"reference": "Organization/c1"}});
    let served = json!({"resourceType": "PractitionerRole", "id": "r1", "healthcareService": [{"reference": "HealthcareService/h1"}]});
    let somebodys = json!({"resourceType": "CareTeam", "id": "t1", "name": "Team", "subject": {"reference": "Patient/78"}});
    let cases: Vec<(&str, Vec<Value>, usize)> = vec![
        ("a clinic", vec![by("Organization/c1"), telling()], 0),
        ("an ordinary clinic", vec![by("Organization/c1"), ordinary()], 1),
        ("a unit of it", vec![by("Organization/u1"), unit(), telling()], 0),
        ("a unit of an ordinary one", vec![by("Organization/u1"), unit(), ordinary()], 1),
        ("a unit of an unknown one", vec![by("Organization/u1"), unit()], 0),
        ("a role there", vec![by("PractitionerRole/r1"), role("Organization/c1"), telling()], 0),
        ("a role in an ordinary one", vec![by("PractitionerRole/r1"), role("Organization/c1"), ordinary()], 1),
        ("a role in a service of it", vec![by("PractitionerRole/r1"), served, ward, telling()], 0),
        ("a team", vec![by("CareTeam/t1"), team("Substance use recovery team")], 0),
        ("an ordinary team", vec![by("CareTeam/t1"), team("Cardiology team")], 1),
        ("somebody else's team", vec![by("CareTeam/t1"), somebodys], 0),
        ("one that is gone", vec![by("Organization/c1")], 0),
        ("one by number", vec![typed("Organization")], 0),
        ("whoever has a number", vec![untyped], 1),
        ("a person", vec![by("Practitioner/p1")], 1),
        ("a person by number", vec![typed("Practitioner")], 1),
    ];
    for (what, records, expected) in cases {
        scene.hold(records);
        assert_eq!(performers(&scene).await, expected, "{what}");
    }
    assert!(scene.asked(0, "Practitioner").is_empty());
    scene.hold(vec![by("Organization/c1"), ordinary()]);
    scene.clinic.behave(Behaviour::Of("Organization", Box::new(Behaviour::Status(500))));
    assert_eq!(performers(&scene).await, 0, "one that cannot be asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_for_where_nothing_turns_on_it() {
    for (consent, questions) in [(permit as fn(&str) -> Value, 0), (withholding, 1)] {
        let scene = Scene::start(consent).await;
        scene.hold(vec![by("Organization/c1"), organisation("c1", "Riverside Clinic")]);
        assert_eq!(performers(&scene).await, 1);
        assert_eq!(scene.asked(0, "Organization").len(), questions);
    }
}

/// More than are asked for: operators, oversight and whoever may know of redaction are told, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_asked_for_is_counted_and_told_to_whoever_may_know() {
    const COUNT: usize = 203;
    let numbered = |number: usize| {
        let record = with_id(measured(at(&format!("Encounter/e{number}"))), &format!("o{number}"));
        [record, with_id(plain(), &format!("e{number}"))]
    };
    let told = "[consent]\ntold_of_redaction = [\"urn:oid:1.3.6.1.4.1.99999.1|hospital-b\"]\n";
    for (more, is_told) in [(told, true), ("", false)] {
        let scene = Scene::configured(withholding, "", more).await;
        scene.hold((0..COUNT).flat_map(numbered).collect());
        let said = |answer: &Value| answer.to_string().contains("setting-unknown");
        for path in
            [format!("Observation?patient={}&_count=500", scene.patient), format!("Patient/{}/$everything?_count=500", scene.patient)]
        {
            let answer = scene.b.get(&path).await.expect(200).json();
            assert_eq!(said(&answer), is_told, "{path}");
        }
        let metrics = scene.world.stranger().call(Call::get(&format!("{}/metrics", scene.world.admin))).await.expect(200).text();
        let count = metrics.lines().find_map(|line| line.strip_prefix("hearthgate_holder_settings_unknown_total{holder=\"clinic\"} "));
        assert!(count.is_some_and(|count| count.parse::<u64>().unwrap() >= 3), "{metrics}");
        let events = scene.world.audit_events().await;
        let noted = events.iter().filter(|event| event["outcomeDesc"].as_str().is_some_and(|text| text.contains("3 setting(s)"))).count();
        assert!(noted >= 1, "{events:?}");
        scene.hold([0, 1].into_iter().flat_map(numbered).collect());
        assert!(!said(&scene.search("Observation").await));
    }
}

/// By a number alone no record of other patients is meant, so one of theirs says nothing of the setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_encounter_of_the_same_number_settles_nothing() {
    let scene = Scene::start(withholding).await;
    let stranger = scene.a.create(&crate::support::data::patient("7")).await;
    let mut theirs = plain();
    theirs.as_object_mut().unwrap().remove("id");
    (theirs["subject"], theirs["identifier"]) =
        (json!({"reference": format!("Patient/{stranger}")}), json!([{"system": VISITS, "value": "V-1"}]));
    scene.a.create(&theirs).await;
    let number = json!({"type": "Encounter", "identifier": {"system": VISITS, "value": "V-1"}});
    let mut both = number.clone();
    both["reference"] = json!("Encounter/e1");
    let telling = encounter(json!({"type": [{"text": "Substance use counselling"}]}));
    for (reference, records, expected) in [(number, vec![], 0), (both.clone(), vec![telling], 0), (both, vec![plain()], 1)] {
        let named = measured(Some(reference.clone()));
        scene.hold(records.into_iter().chain([named]).collect());
        assert_eq!(shown(&scene.search("Observation").await).0, expected, "{reference}");
    }
}

/// A record that comes with others of the same answer does not point at one that was left out of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_of_an_answer_is_not_pointed_at_in_it() {
    let scene = Scene::start(withholding).await;
    let problem = |id: &str, text: &str| {
        json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/77"}, "code": {"text": text},
            "identifier": [{"system": VISITS, "value": format!("N-{id}")}]})
    };
    let numbered = |id: &str| json!({"type": "Condition", "identifier": {"system": VISITS, "value": format!("N-{id}")}});
    let literal = |id: &str| json!({"reference": format!("Condition/{id}")});
    for named in [&literal as &dyn Fn(&str) -> Value, &numbered] {
        let diagnosis = json!([{"condition": named("c1")}, {"condition": named("c2")}]);
        scene.hold(vec![problem("c1", "Opioid dependence"), problem("c2", "Asthma"), encounter(json!({"diagnosis": diagnosis}))]);
        let answer = scene.b.get(&format!("Patient/{}/$everything?_type=Condition,Encounter", scene.patient)).await.expect(200).json();
        assert_eq!(answer["total"], 2, "{answer}");
        let entries = answer["entry"].as_array().unwrap();
        let visit = entries.iter().find(|entry| entry["resource"]["resourceType"] == "Encounter").unwrap();
        assert_eq!(visit["resource"]["diagnosis"].as_array().map_or(0, Vec::len), 1, "{visit}");
    }
}

/// What a holder writes is in the words of the source as which it is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holders_own_address_of_a_hidden_record_is_not_shown() {
    let scene = Scene::configured(withholding, "source = \"hospital-a\"", "").await;
    for (own, kind, is_shown) in [("own-1", "Opioid dependence", false), ("own-2", "Asthma", true)] {
        let subject = json!({"reference": format!("Patient/{}", scene.patient)});
        let problem = json!({"resourceType": "Condition", "id": own, "subject": subject, "code": {"text": kind}});
        scene.a.put(&format!("Condition/{own}"), &problem).await.expect(201);
        for address in [format!("Condition/{own}"), format!("{}/Condition/{own}", scene.clinic.base)] {
            let mut record = measured(None);
            record["note"] = json!([{"text": format!("See {address} for more.")}]);
            scene.hold(vec![record]);
            let answer = scene.search("Observation").await;
            assert_eq!(shown(&answer), (1, 1), "{answer}");
            assert_eq!(answer.to_string().contains(own), is_shown, "{address}: {answer}");
        }
    }
}

/// What is stored here and took place in an encounter that lies at a holder alone is decided by that encounter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_record_is_decided_by_its_setting_at_a_holder() {
    let telling = || encounter(json!({"type": [{"text": "Substance use counselling"}]}));
    for (of_clinic, records, status) in [
        ("source = \"hospital-a\"", vec![plain()], 200),
        ("source = \"hospital-a\"", vec![telling()], 404),
        ("source = \"hospital-a\"", vec![], 404),
        // Whose it is no holder can be asked for goes by what is here.
        ("", vec![telling()], 200),
    ] {
        let scene = Scene::configured(withholding, of_clinic, "").await;
        let mut record = measured(at("Encounter/e1"));
        record["subject"] = json!({"reference": format!("Patient/{}", scene.patient)});
        let bundled = crate::support::data::bundle(
            "transaction",
            vec![crate::support::data::creates("urn:uuid:0f0f0f0f-0000-4000-8000-000000000001", record.clone())],
        );
        record.as_object_mut().unwrap().remove("id");
        let single = scene.a.create(&record).await;
        let answer = scene.a.post("", &bundled).await.expect(200).json();
        let location = answer["entry"][0]["response"]["location"].as_str().unwrap().to_owned();
        let together = location.split("Observation/").nth(1).unwrap().split('/').next().unwrap().to_owned();
        scene.hold(records);
        for id in [single, together] {
            scene.b.get(&format!("Observation/{id}")).await.expect(status);
        }
        let found = scene.b.get(&format!("Observation?patient={}", scene.patient)).await.expect(200).json();
        assert_eq!(shown(&found).0, if status == 200 { 2 } else { 0 }, "{of_clinic}: {found}");
    }
}

/// What is delivered is decided like what is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_decided_by_its_setting_at_a_holder() {
    let destination = crate::support::holder::Holder::start(Vec::new()).await;
    let more = format!(
        "[[destination]]\nname = \"hospital-b\"\nbase_url = \"{}\"\n\
         organisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"hospital-b\" }} }}\n\
         purpose = \"TREAT\"\ntypes = [\"Observation\"]\n",
        destination.base
    );
    let scene = Scene::configured(withholding, "source = \"hospital-a\"", &more).await;
    let visit = |id: &str, text: &str| with_id(encounter(json!({"type": [{"text": text}]})), id);
    scene.hold(vec![visit("e1", "Substance use counselling"), visit("e2", "Visit")]);
    let mut sent = Vec::new();
    for visit in ["e1", "e2"] {
        let mut record = measured(at(&format!("Encounter/{visit}")));
        record.as_object_mut().unwrap().remove("id");
        record["subject"] = json!({"reference": format!("Patient/{}", scene.patient)});
        sent.push(scene.a.create(&record).await);
    }
    let seen = crate::support::until("a delivery", async || Some(destination.delivered()).filter(|seen| !seen.is_empty())).await;
    assert!(seen.iter().all(|one| one.path == format!("Observation/{}", sent[1])), "{seen:?}");
}
