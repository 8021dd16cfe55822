//! What an encounter or a place tells that lies at a holder alone: it is asked for there, and what it tells counts; where it cannot be learnt, the
//! record goes only to whom it could go whatever the setting were.

use crate::support::data::{observation, permit, person};
use crate::support::holder::{Behaviour, Holder};
use crate::support::world::PERSON;
use crate::support::{Party, Setup, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TIMEOUT_MS: u64 = 400;
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const PART_2: &str = "42 CFR part 2";

/// Hospital A's patient, known at a clinic under another id; hospital B asks.
pub(super) struct Scene {
    pub world: World,
    pub a: Party,
    pub b: Party,
    pub clinic: Holder,
    pub patient: String,
}

impl Scene {
    pub async fn start(consent: fn(&str) -> Value) -> Scene {
        Scene::configured(consent, "", "").await
    }

    /// With more said of the clinic, and of everything else.
    pub async fn configured(consent: fn(&str) -> Value, of_clinic: &str, more: &str) -> Scene {
        let clinic = Holder::start(vec![with_id(person("1"), "77")]).await;
        let world = Setup::configured(format!(
            "[[holder]]\nname = \"clinic\"\nbase_url = \"{}\"\nidentifier_systems = [\"{PERSON}\"]\ntimeout_ms = {TIMEOUT_MS}\n\
             body_limit_bytes = 4194304\n{of_clinic}\n\
             organisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"clinic\" }}, name = \"Clinic\" }}\n{more}",
            clinic.base
        ))
        .start()
        .await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let patient = a.create(&person("1")).await;
        a.create(&consent(&patient)).await;
        Scene { world, a, b, clinic, patient }
    }

    /// What the clinic has beside its patients.
    pub fn hold(&self, records: Vec<Value>) {
        let patients = vec![with_id(person("1"), "77"), with_id(person("2"), "78")];
        self.clinic.hold(patients.into_iter().chain(records).collect());
    }

    pub async fn search(&self, type_name: &str) -> Value {
        self.b.get(&format!("{type_name}?patient={}", self.patient)).await.expect(200).json()
    }

    /// The questions the clinic was asked about a type from the `from`th on.
    pub fn asked(&self, from: usize, type_name: &str) -> Vec<String> {
        let of_type = |path: &String| path.split(['/', '?']).next() == Some(type_name);
        self.clinic.seen().into_iter().skip(from).map(|seen| seen.path).filter(of_type).collect()
    }
}

pub(super) fn with_id(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

/// A consent that shares everything with everybody, except what is about substance use or psychiatry.
pub(super) fn withholding(patient: &str) -> Value {
    let mut consent = permit(patient);
    let labels = json!([{"system": ACT_CODE, "code": "SUD"}, {"system": ACT_CODE, "code": "PSY"}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": labels}]);
    consent
}

/// A measurement that names an encounter, if one is given.
pub(super) fn measured(encounter: Option<Value>) -> Value {
    let mut resource = with_id(observation("Patient/77"), "o1");
    if let Some(encounter) = encounter {
        resource["encounter"] = encounter;
    }
    resource
}

pub(super) fn at(reference: &str) -> Option<Value> {
    Some(json!({"reference": reference}))
}

/// An encounter of the clinic's patient, with more said of it.
pub(super) fn encounter(more: Value) -> Value {
    let mut resource = json!({"resourceType": "Encounter", "id": "e1", "status": "finished", "subject": {"reference": "Patient/77"},
        "class": {"system": ACT_CODE, "code": "AMB"}});
    resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    resource
}

pub(super) fn plain() -> Value {
    encounter(json!({"type": [{"text": "Visit"}]}))
}

fn place(role: &str) -> Value {
    let coding = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": role});
    json!({"resourceType": "Location", "id": "l1", "type": [{"coding": [coding]}]})
}

/// What a search shows: its entries that are records, and its total.
pub(super) fn shown(answer: &Value) -> (usize, u64) {
    let entries = answer["entry"].as_array().cloned().unwrap_or_default();
    (entries.iter().filter(|entry| entry["search"]["mode"] == "match").count(), answer["total"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_setting_at_the_holder_tells_counts() {
    let scene = Scene::start(withholding).await;
    let medication = |text: &str| {
        let request = json!({"resourceType": "MedicationRequest", "id": "r1", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/77"}, "medicationReference": {"reference": "Medication/m1"}});
        vec![request, json!({"resourceType": "Medication", "id": "m1", "code": {"text": text}})]
    };
    let absolute = format!("{}/Encounter/e1", scene.clinic.base);
    let in_place = || encounter(json!({"location": [{"location": {"reference": "Location/l1"}}]}));
    let by = |name: &str| {
        let organisation = json!({"resourceType": "Organization", "id": "c1", "name": name});
        vec![measured(at("Encounter/e1")), encounter(json!({"serviceProvider": {"reference": "Organization/c1"}})), organisation]
    };
    let typed = |text: &str| encounter(json!({"type": [{"text": text}]}));
    let cases: Vec<(&str, &str, Vec<Value>, usize)> = vec![
        ("no encounter", "Observation", vec![measured(None)], 1),
        ("an ordinary one", "Observation", vec![measured(at("Encounter/e1")), plain()], 1),
        ("its type", "Observation", vec![measured(at("Encounter/e1")), typed("Substance use counselling")], 0),
        ("named by address", "Observation", vec![measured(at(&absolute)), typed("Substance use counselling")], 0),
        ("an ordinary one by address", "Observation", vec![measured(at(&absolute)), plain()], 1),
        ("in a version", "Observation", vec![measured(at("Encounter/e1/_history/2")), typed("Psychiatry")], 0),
        (
            "its label",
            "Observation",
            vec![measured(at("Encounter/e1")), encounter(json!({"meta": {"security": [{"system": ACT_CODE, "code": "PSY"}]}}))],
            0,
        ),
        ("its place", "Observation", vec![measured(at("Encounter/e1")), in_place(), place("PSYCHF")], 0),
        ("an ordinary place", "Observation", vec![measured(at("Encounter/e1")), in_place(), place("CARD")], 1),
        ("whose it is", "Observation", by("Riverside Methadone Clinic"), 0),
        ("an ordinary clinic's", "Observation", by("Riverside Clinic"), 1),
        ("the place of an encounter", "Encounter", vec![in_place(), place("SURF")], 0),
        ("a product", "MedicationRequest", medication("Methadone 10 mg"), 0),
        ("an ordinary product", "MedicationRequest", medication("Amoxicillin 500 mg"), 1),
    ];
    for (what, type_name, records, expected) in cases {
        scene.hold(records);
        let answer = scene.search(type_name).await;
        assert_eq!(shown(&answer), (expected, expected as u64), "{what}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_once_is_hidden_by_what_its_setting_became() {
    let scene = Scene::start(withholding).await;
    scene.hold(vec![measured(at("Encounter/e1")), plain()]);
    let found = scene.search("Observation").await;
    let resource = found["entry"][0]["resource"].clone();
    let path = format!("Observation/{}", resource["id"].as_str().unwrap());
    let read = scene.b.get(&path).await.expect(200);
    assert_eq!(read.json()["encounter"], resource["encounter"]);
    scene.hold(vec![measured(at("Encounter/e1")), encounter(json!({"type": [{"text": "Opioid use disorder group"}]}))]);
    let unknown = scene.b.get("Observation/hg-00000000000000000000000000").await.expect(404);
    for path in [path.clone(), format!("{path}/_history"), format!("{path}/_history/1")] {
        let hidden = scene.b.get(&path).await.expect(404);
        assert_eq!((hidden.issue(), hidden.text().len()), (unknown.issue(), unknown.text().len()), "{path}");
    }
    // Nothing of it is kept: the next request learns it anew.
    scene.hold(vec![measured(at("Encounter/e1")), plain()]);
    scene.b.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_cannot_be_learnt_counts_as_the_worst() {
    let of_encounter = |behaviour: Behaviour| Behaviour::Of("Encounter", Box::new(behaviour));
    let honest = || vec![measured(at("Encounter/e1")), plain()];
    let of_another = encounter(json!({"subject": {"reference": "Patient/78"}}));
    let of_somebody = encounter(json!({"subject": {"identifier": {"system": PERSON, "value": "2"}}}));
    let other = with_id(plain(), "e2");
    let by_identifier = json!({"type": "Encounter", "identifier": {"system": "urn:visits", "value": "9"}});
    let nothing_read: &'static [&'static str] = &["search-type"];
    let cases: Vec<(&str, Behaviour, Vec<Value>)> = vec![
        ("slow", of_encounter(Behaviour::Hang), honest()),
        ("gone", Behaviour::Honest, vec![measured(at("Encounter/e1"))]),
        ("broken", of_encounter(Behaviour::Status(500)), honest()),
        ("forbidden", of_encounter(Behaviour::Status(403)), honest()),
        ("a page for people", of_encounter(Behaviour::Html), honest()),
        ("torn", of_encounter(Behaviour::Truncated), honest()),
        ("endless", of_encounter(Behaviour::Huge), honest()),
        ("elsewhere", of_encounter(Behaviour::Redirect), honest()),
        ("another patient's", Behaviour::Honest, vec![measured(at("Encounter/e1")), of_another]),
        ("somebody's", Behaviour::Honest, vec![measured(at("Encounter/e1")), of_somebody]),
        ("another one", Behaviour::Honest, vec![measured(at("Encounter/e1")), other]),
        ("on another server", Behaviour::Honest, vec![measured(at("https://other.example/fhir/Encounter/e1")), plain()]),
        ("by identifier", Behaviour::Honest, vec![measured(Some(by_identifier)), plain()]),
        (
            "its place is gone",
            Behaviour::Honest,
            vec![measured(at("Encounter/e1")), encounter(json!({"location": [{"location": {"reference": "Location/l1"}}]}))],
        ),
        // The last, for what a holder says it can do is kept for a while.
        (
            "not to be asked for",
            Behaviour::Listing(vec![("Patient", nothing_read, &["identifier"]), ("Observation", nothing_read, &["patient"])]),
            honest(),
        ),
    ];
    let count = cases.len();
    for (index, (what, behaviour, records)) in cases.into_iter().enumerate() {
        // A new gateway for the last, which has not asked what the holder can do.
        let (strict, open) = (Scene::start(withholding).await, Scene::start(permit).await);
        for scene in [&strict, &open] {
            scene.hold(records.clone());
            scene.clinic.behave(behaviour.clone());
        }
        let hidden = strict.search("Observation").await;
        strict.clinic.behave(if index + 1 == count { behaviour } else { Behaviour::Honest });
        strict.hold(Vec::new());
        let absent = strict.search("Observation").await;
        assert_eq!((&hidden["entry"], &hidden["total"]), (&absent["entry"], &absent["total"]), "{what}: {hidden}");
        let events = strict.world.audit_events().await;
        let reason = events.iter().filter(|event| event["outcomeDesc"].as_str().is_some_and(|text| text.contains("setting-unknown")));
        let told: Vec<String> = reason.map(Value::to_string).collect();
        assert!(told.len() == 1 && told[0].contains("Consent/"), "{what}: {told:?}");
        // Whoever may see it whatever the setting is gets it, with what the law wants said of the worst.
        let answer = open.search("Observation").await;
        assert_eq!(shown(&answer), (1, 1), "{what}: {answer}");
        assert!(answer.to_string().contains(PART_2), "{what}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_notice_and_the_label_go_with_what_took_place_there() {
    let scene = Scene::start(permit).await;
    let found = |answer: &Value| answer["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    for (text, is_noticed) in [("Visit", false), ("Substance use counselling", true)] {
        scene.hold(vec![measured(at("Encounter/e1")), encounter(json!({"type": [{"text": text}]}))]);
        let answer = scene.search("Observation").await;
        assert_eq!(answer.to_string().contains(PART_2), is_noticed, "{text}: {answer}");
        assert_eq!(answer["meta"].to_string().contains("SUD"), is_noticed, "{text}: {answer}");
        let read = scene.b.get(&format!("Observation/{}", found(&answer))).await.expect(200);
        assert_eq!(read.header("x-hearthgate-notice").is_some(), is_noticed, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_where_nothing_turns_on_it() {
    let labelled = |mut resource: Value, code: &str| {
        resource["meta"] = json!({"security": [{"system": ACT_CODE, "code": code}]});
        resource
    };
    let nobody = |patient: &str| {
        let mut consent = permit(patient);
        consent["provision"]["provision"] =
            json!([{"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}]);
        consent
    };
    type Case = (&'static str, fn(&str) -> Value, Value, usize);
    let cases: [Case; 5] = [
        ("no encounter", withholding, measured(None), 0),
        ("denied already", withholding, labelled(measured(at("Encounter/e1")), "PSY"), 0),
        ("denied whatever it is", nobody, measured(at("Encounter/e1")), 0),
        ("the notice goes along already", permit, labelled(measured(at("Encounter/e1")), "SUD"), 0),
        ("it decides", withholding, measured(at("Encounter/e1")), 1),
    ];
    for (what, consent, record, expected) in cases {
        let scene = Scene::start(consent).await;
        scene.hold(vec![record, plain()]);
        scene.search("Observation").await;
        assert_eq!(scene.asked(0, "Encounter").len(), expected, "{what}: {:?}", scene.asked(0, "Encounter"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_settings_are_asked_for_together_up_to_a_limit() {
    let numbered = |number: usize| {
        let mut record = with_id(measured(at(&format!("Encounter/e{number}"))), &format!("o{number}"));
        record["valueQuantity"]["value"] = json!(number);
        let text = if number.is_multiple_of(2) { "Visit" } else { "Psychiatry" };
        [record, with_id(encounter(json!({"type": [{"text": text}]})), &format!("e{number}"))]
    };
    let all: &'static [&'static str] = &["search-type", "read"];
    let listing = |parameters| {
        let of_encounter = ("Encounter", all, parameters);
        Behaviour::Listing(vec![("Patient", all, &["identifier"][..]), ("Observation", all, &["patient"][..]), of_encounter])
    };
    // 60 are 30 to show; of 260 no more than 200 are asked for, and the rest is not shown either.
    for (count, behaviour, questions) in
        [(60, Behaviour::Honest, 60), (60, listing(&["_id"]), 2), (60, listing(&["patient"]), 60), (260, listing(&["_id"]), 4)]
    {
        let scene = Scene::start(withholding).await;
        scene.hold((0..count).flat_map(numbered).collect());
        scene.clinic.behave(behaviour);
        let answer = scene.b.get(&format!("Observation?patient={}&_count=500", scene.patient)).await.expect(200).json();
        // One that is slow may be put a second time.
        let asked: BTreeSet<String> = scene.asked(0, "Encounter").into_iter().collect();
        assert_eq!(asked.len(), questions, "{asked:?}");
        let values: Vec<u64> =
            answer["entry"].as_array().unwrap().iter().filter_map(|entry| entry["resource"]["valueQuantity"]["value"].as_u64()).collect();
        assert!(values.iter().all(|value| value.is_multiple_of(2)), "{values:?}");
        // Those that were asked for and are nothing to hide are shown, and no others.
        let ids = asked.iter().flat_map(|path| path.rsplit(['/', '=']).next().unwrap_or_default().split("%2C"));
        let numbers: Vec<u64> = ids.map(|id| id.trim_start_matches('e').parse().unwrap()).collect();
        assert_eq!(numbers.len(), count.min(200));
        assert_eq!(values.len(), numbers.iter().filter(|number| number.is_multiple_of(2)).count(), "of {count}");
    }
}

/// What somebody asks about is decided as what is read: by the setting that lies at a holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_decided_by_a_setting_at_the_holder() {
    let scene = Scene::configured(withholding, "", super::consultation::MORE).await;
    let enforcer = scene.world.party_with("enforcer", "system/Consent.r").await;
    scene.hold(vec![measured(at("Encounter/e1")), plain()]);
    let shown = scene.search("Encounter").await;
    let visit = shown["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let mut brought = observation(&format!("Patient/{}", scene.patient));
    brought["encounter"] = json!({"reference": format!("Encounter/{visit}")});
    let content = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": brought}]});
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "actor", "valueIdentifier": {"system": "urn:oid:1.3.6.1.4.1.99999.1", "value": "hospital-b"}},
        {"name": "purpose", "valueCode": "TREAT"},
        {"name": "content", "resource": content},
    ]});
    let left = async || {
        let told = enforcer.post(&format!("Patient/{}/$consent-decide", scene.patient), &parameters).await.expect(200).json();
        told["parameter"].to_string().contains("\"Observation\"")
    };
    assert!(left().await, "an ordinary visit");
    scene.hold(vec![measured(at("Encounter/e1")), encounter(json!({"type": [{"text": "Substance use counselling"}]}))]);
    assert!(!left().await, "what it took place in tells");
    scene.hold(vec![measured(at("Encounter/e1"))]);
    assert!(!left().await, "nobody knows what it took place in");
}
