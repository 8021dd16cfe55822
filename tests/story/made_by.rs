//! A record that was made for a study, at a time, or by a definition tells what these tell.

use super::settings::{Scene, withholding};
use crate::support::data::observation;
use crate::support::party::ids;
use serde_json::{Value, json};

const TELLING: &str = "Methadone maintenance";
const ORDINARY: &str = "Annual check";

fn url(kind: &str) -> String {
    format!("https://plans.example/{kind}/{}", kind.to_lowercase())
}

fn published(kind: &str, title: &str, more: Value) -> Value {
    let mut definition = json!({"resourceType": kind, "url": url(kind), "status": "active", "title": title});
    definition.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    definition
}

/// Records made by what is published, or for what has an id.
fn records(patient: &Value, ids: &dyn Fn(&str) -> Value) -> Vec<Value> {
    let period = json!({"start": "2026-01-01", "end": "2026-02-01"});
    let at = json!({"start": "2026-12-01T08:00:00Z", "end": "2026-12-01T09:00:00Z"});
    vec![
        json!({"resourceType": "ResearchSubject", "status": "on-study", "study": ids("ResearchStudy"), "individual": patient}),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": format!("{}|1", url("Questionnaire")), "subject": patient}),
        json!({"resourceType": "CarePlan", "status": "active", "intent": "plan", "instantiatesCanonical": [url("PlanDefinition")], "subject": patient}),
        json!({"resourceType": "CarePlan", "status": "active", "intent": "plan", "instantiatesUri": [url("PlanDefinition")], "subject": patient}),
        json!({"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": patient,
            "activity": [{"detail": {"status": "scheduled", "instantiatesCanonical": [url("ActivityDefinition")]}}]}),
        json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order", "instantiatesCanonical": [url("ActivityDefinition")], "subject": patient}),
        json!({"resourceType": "MeasureReport", "status": "complete", "type": "individual", "measure": url("Measure"), "subject": patient, "period": period}),
        json!({"resourceType": "Appointment", "status": "booked", "slot": [ids("Slot")], "start": at["start"], "end": at["end"],
            "participant": [{"actor": patient, "status": "accepted"}]}),
        json!({"resourceType": "GuidanceResponse", "status": "success", "moduleCanonical": url("PlanDefinition"), "subject": patient}),
        json!({"resourceType": "GuidanceResponse", "status": "success", "moduleUri": url("PlanDefinition"), "subject": patient}),
        json!({"resourceType": "MedicationAdministration", "status": "completed", "instantiates": [url("ActivityDefinition")], "subject": patient,
            "medicationCodeableConcept": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "161", "display": "Acetaminophen"}]},
            "effectiveDateTime": "2026-01-01"}),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": format!("{AT}/Questionnaire/mine"), "subject": patient}),
        with(
            patient,
            json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/workflow-instantiatesUri", "valueUri": url("PlanDefinition")}]}),
        ),
        made_at(patient, "/_history/1"),
        made_at(patient, "?x=1"),
        made_at(patient, ".json"),
    ]
}

/// A result made by the plan at an address.
fn made_at(patient: &Value, ending: &str) -> Value {
    let url = format!("{AT}/PlanDefinition/mine{ending}");
    with(patient, json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/workflow-instantiatesUri", "valueUri": url}]}))
}

/// What its publisher numbers plans by, and the OID of one.
const PLANS: &str = "urn:oid:1.3.6.1.4.1.99999.8";
const PLAN_OID: &str = "urn:oid:1.3.6.1.4.1.99999.8.77";

/// Where hospital-a has its records, in its own words.
const AT: &str = "https://ehr.hospital-a.example/fhir";

fn with(patient: &Value, more: Value) -> Value {
    let mut record = observation(patient["reference"].as_str().unwrap());
    record.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    record
}

/// Made by what is contained in them.
fn with_contained(patient: &Value, title: &str) -> Vec<Value> {
    let contained = |kind: &str| json!([{"resourceType": kind, "id": "c", "status": "active", "title": title}]);
    let plan = |more: Value| {
        let mut plan = json!({"resourceType": "PlanDefinition", "id": "c", "status": "active", "title": "Plan"});
        plan.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        plan
    };
    let procedure = |more: Value| {
        let mut procedure = json!({"resourceType": "Procedure", "status": "completed", "subject": patient,
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "430193006", "display": "Medication reconciliation"}]}});
        procedure.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        procedure
    };
    let order = json!({"resourceType": "CarePlan", "id": "c", "status": "active", "intent": "plan", "subject": patient,
        "activity": [{"detail": {"status": "completed", "instantiatesCanonical": [url("PlanDefinition")]}}]});
    let by_plan = json!(["#c"]);
    vec![
        procedure(json!({"contained": [plan(json!({"url": url("PlanDefinition")}))], "instantiatesCanonical": by_plan})),
        procedure(
            json!({"contained": [plan(json!({"identifier": [{"system": PLANS, "value": "MM-2"}]}))], "instantiatesCanonical": by_plan}),
        ),
        procedure(json!({"contained": [plan(json!({"relatedArtifact": [{"type": "derived-from", "resource": url("PlanDefinition")}]}))],
            "instantiatesCanonical": by_plan})),
        procedure(json!({"contained": [order], "basedOn": [{"reference": "#c"}]})),
        procedure(json!({"instantiatesUri": [PLAN_OID]})),
        procedure(json!({"instantiatesUri": [format!("https://ehr.example/fhir/PlanDefinition?url={}", url("PlanDefinition"))]})),
        procedure(json!({"instantiatesUri": [format!("https://ehr.example/fhir/PlanDefinition?_format=json&url={}",
            url("PlanDefinition").replace(':', "%3A").replace('/', "%2F"))]})),
        json!({"resourceType": "ClinicalImpression", "status": "completed", "protocol": [url("PlanDefinition")], "subject": patient}),
        json!({"resourceType": "Task", "status": "completed", "intent": "order", "for": patient,
            "input": [{"type": {"text": "By"}, "valueCanonical": url("PlanDefinition")}]}),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "contained": contained("Questionnaire"), "questionnaire": "#c", "subject": patient}),
        json!({"resourceType": "Procedure", "status": "completed", "contained": contained("PlanDefinition"), "instantiatesCanonical": ["#c"], "subject": patient,
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "430193006", "display": "Medication reconciliation"}]}}),
    ]
}

async fn seen_of(title: &str, is_shown: bool) {
    let scene = Scene::start(withholding).await;
    let patient = json!({"reference": format!("Patient/{}", scene.patient)});
    let mut ids = std::collections::HashMap::new();
    let schedule = json!({"resourceType": "Schedule", "actor": [{"display": "Room 3"}], "comment": title});
    let schedule = scene.a.create(&schedule).await;
    let slot = json!({"resourceType": "Slot", "status": "busy", "schedule": {"reference": format!("Schedule/{schedule}")},
        "start": "2026-12-01T08:00:00Z", "end": "2026-12-01T09:00:00Z"});
    for resource in [
        slot,
        json!({"resourceType": "ResearchStudy", "status": "active", "title": title}),
        published("Questionnaire", title, json!({"item": [{"linkId": "1", "text": "Have you?", "type": "integer"}]})),
        published(
            "PlanDefinition",
            title,
            json!({"identifier": [{"system": PLANS, "value": "MM-2"}, {"system": "urn:ietf:rfc:3986", "value": PLAN_OID}]}),
        ),
        published("ActivityDefinition", title, json!({})),
        published("Measure", title, json!({})),
    ] {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        let id = scene.a.create(&resource).await;
        // What is published is known to everybody.
        if kind != "Slot" {
            scene.b.get(&format!("{kind}/{id}")).await.expect(200);
        }
        ids.insert(kind.clone(), json!({"reference": format!("{kind}/{id}")}));
    }
    for kind in ["Questionnaire", "PlanDefinition"] {
        let mut own = published(kind, title, json!({"id": "mine"}));
        own["url"] = json!(format!("https://plans.example/{kind}/another"));
        scene.a.put(&format!("{kind}/mine"), &own).await.expect(201);
    }
    for record in records(&patient, &|kind| ids[kind].clone()).into_iter().chain(with_contained(&patient, title)) {
        let kind = record["resourceType"].as_str().unwrap();
        let id = scene.a.create(&record).await;
        let status = if is_shown { 200 } else { 404 };
        assert_eq!(scene.b.get(&format!("{kind}/{id}")).await.status, status, "{title}: {record}");
    }
    // What only points at one does not, where it would tell.
    let mut pointing = observation(patient["reference"].as_str().unwrap());
    pointing["focus"] = json!([ids["ActivityDefinition"]]);
    let pointing = scene.a.create(&pointing).await;
    let read = scene.b.get(&format!("Observation/{pointing}")).await.expect(200).json();
    assert_eq!(read["focus"].is_array(), is_shown, "{title}: {read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_something_was_made_by_counts() {
    seen_of(TELLING, false).await;
    seen_of(ORDINARY, true).await;
}

/// What two sources call alike is either's, whoever's record comes last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_one_name_at_two_sources_may_be_the_one_that_tells() {
    let scene = Scene::start(withholding).await;
    let patient = json!({"reference": format!("Patient/{}", scene.patient)});
    let plan = json!({"resourceType": "PlanDefinition", "id": "mine", "status": "active", "title": TELLING});
    scene.a.put("PlanDefinition/mine", &plan).await.expect(201);
    let made = |patient: &Value| {
        let plan = json!([{"url": "http://hl7.org/fhir/StructureDefinition/workflow-instantiatesUri", "valueUri": "PlanDefinition/mine"}]);
        with(patient, json!({ "extension": plan }))
    };
    let told = scene.a.create(&made(&patient)).await;
    scene.b.get(&format!("Observation/{told}")).await.expect(404);
    for _ in 0..3 {
        scene.b.create(&made(&patient)).await;
    }
    let found = scene.b.search(&format!("Observation?patient={}", patient["reference"].as_str().unwrap())).await;
    assert!(!ids(&found).contains(&told), "{found:?}");
}

/// What is asked, given, planned or measured tells, whatever the definition is called, and so does what it was made of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_definition_says_counts_beside_its_title() {
    for (word, is_shown) in [("methadone", false), ("water", true)] {
        let scene = Scene::start(withholding).await;
        let patient = json!({"reference": format!("Patient/{}", scene.patient)});
        let at = |name: &str| format!("https://plans.example/{name}");
        let definition = |kind: &str, name: &str, title: &str, more: Value| {
            let mut definition = json!({"resourceType": kind, "url": at(name), "status": "active", "title": title});
            definition.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            definition
        };
        let codes: (&str, &str) = if is_shown { ("161", "Acetaminophen") } else { ("6813", "Methadone") };
        let product = json!({"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": codes.0, "display": codes.1}]});
        let item = json!([{"linkId": "1", "type": "group", "text": "Intake", "item":
            [{"linkId": "2", "type": "integer", "text": format!("How much {word} do you take a day?")}]}]);
        let title = format!("Maintenance with {word}");
        let medication = scene.a.create(&json!({"resourceType": "Medication", "code": product})).await;
        for made in [
            definition("Questionnaire", "asks", "Form", json!({"item": item})),
            definition("Questionnaire", "of", "Form", json!({"derivedFrom": [at("asks")]})),
            definition(
                "PlanDefinition",
                "acts",
                "Plan",
                json!({"action": [{"title": "First", "action": [{"title": format!("Give {word}")}]}]}),
            ),
            definition("PlanDefinition", "aims", "Plan", json!({"goal": [{"description": {"text": format!("Stay on {word}")}}]})),
            definition("PlanDefinition", "titled", &title, json!({})),
            definition(
                "PlanDefinition",
                "carries",
                "Plan",
                json!({"action": [{"action": [{"definitionCanonical": format!("{}|1", at("titled"))}]}]}),
            ),
            definition(
                "PlanDefinition",
                "further",
                "Plan",
                json!({"relatedArtifact": [{"type": "derived-from", "resource": at("carries")}]}),
            ),
            definition("ActivityDefinition", "gives", "Order", json!({"productCodeableConcept": product})),
            definition(
                "ActivityDefinition",
                "names",
                "Order",
                json!({"productReference": {"reference": format!("Medication/{medication}")}}),
            ),
            definition("Measure", "counts", "Quality", json!({"group": [{"description": format!("Those on {word}")}]})),
        ] {
            scene.a.create(&made).await;
        }
        let response = |name: &str| json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": at(name), "subject": patient});
        let plan = |name: &str| json!({"resourceType": "CarePlan", "status": "active", "intent": "plan", "instantiatesCanonical": [at(name)], "subject": patient});
        let order = |name: &str| json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order", "instantiatesCanonical": [at(name)], "subject": patient});
        let within = |named: Value, more: Value| {
            let mut contained =
                vec![json!({"resourceType": "ServiceRequest", "id": "c", "status": "active", "intent": "order", "subject": patient,
                "instantiatesCanonical": named})];
            contained.extend(more.as_array().cloned().unwrap());
            with(&patient, json!({"contained": contained, "basedOn": [{"reference": "#c"}]}))
        };
        let report = json!({"resourceType": "MeasureReport", "status": "complete", "type": "individual", "measure": at("counts"), "subject": patient,
            "period": {"start": "2026-01-01", "end": "2026-02-01"}});
        for record in [
            response("asks"),
            response("of"),
            plan("acts"),
            plan("aims"),
            plan("carries"),
            plan("further"),
            order("gives"),
            order("names"),
            report,
            within(json!([at("titled")]), json!([])),
            within(json!(["#p"]), json!([{"resourceType": "PlanDefinition", "id": "p", "status": "active", "title": title}])),
            with(&patient, json!({"extension": [{"url": "https://ehr.example/made-by", "valueCanonical": at("titled")}]})),
        ] {
            let id = scene.a.create(&record).await;
            let path = format!("{}/{id}", record["resourceType"].as_str().unwrap());
            assert_eq!(scene.b.get(&path).await.status, if is_shown { 200 } else { 404 }, "{word}: {record}");
        }
    }
}

/// What a source calls its own is what it means, whoever else calls something so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_another_source_that_is_called_the_same_hides_nothing() {
    let scene = Scene::start(withholding).await;
    let laboratory = scene.world.party("laboratory").await;
    let there = laboratory.create(&crate::support::data::person("1")).await;
    scene.a.create(&withholding(&there)).await;
    let mut made = Vec::new();
    for (party, patient, title) in [(&laboratory, &there, ORDINARY), (&scene.a, &scene.patient, TELLING)] {
        let mut plan = published("PlanDefinition", title, json!({"id": "seven"}));
        plan["url"] = json!(format!("https://plans.example/{}", title.len()));
        party.put("PlanDefinition/seven", &plan).await.expect(201);
        let procedure = json!({"resourceType": "Procedure", "status": "completed", "instantiatesUri": ["PlanDefinition/seven"],
            "subject": {"reference": format!("Patient/{patient}")},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "430193006", "display": "Medication reconciliation"}]}});
        made.push(party.create(&procedure).await);
    }
    let statuses = [200, 404];
    for (id, status) in made.iter().zip(statuses) {
        scene.b.get(&format!("Procedure/{id}")).await.expect(status);
    }
    assert_eq!(ids(&scene.b.search(&format!("Procedure?patient={}", scene.patient)).await), made[..1]);
}
