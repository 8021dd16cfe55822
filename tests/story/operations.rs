//! `$validate`: what is wrong with a resource, without storing it.

use crate::support::data::{observation, patient};
use crate::support::party::FHIR_XML;
use crate::support::{Call, World};
use serde_json::{Value, json};

fn worst(outcome: &Value) -> &'static str {
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let severities: Vec<&str> = outcome["issue"].as_array().unwrap().iter().map(|issue| issue["severity"].as_str().unwrap()).collect();
    ["fatal", "error", "warning", "information"].into_iter().find(|severity| severities.contains(severity)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_answers_200_whatever_it_finds() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let wrapped = |resource: Value| json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}]});
    let mut wrong = patient("1");
    wrong["gender"] = json!("frobnicated");
    for (why, call, valid) in [
        ("a bare resource", Call::post("Patient/$validate", &patient("1")), true),
        ("a bare resource that is invalid", Call::post("Patient/$validate", &wrong), false),
        ("in Parameters", Call::post("Patient/$validate", &wrapped(patient("1"))), true),
        ("invalid in Parameters", Call::post("Patient/$validate", &wrapped(wrong.clone())), false),
        ("on the system", Call::post("$validate", &observation("Patient/1")), true),
        ("invalid on the system", Call::post("$validate", &wrong), false),
        (
            "XML",
            Call::new("POST", "Patient/$validate")
                .body(FHIR_XML, "<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/></Patient>"),
            true,
        ),
        (
            "invalid XML",
            Call::new("POST", "Patient/$validate")
                .body(FHIR_XML, "<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"frob\"/></Patient>"),
            false,
        ),
        ("what cannot be read", Call::new("POST", "Patient/$validate").body("application/fhir+json", "{"), false),
        (
            "Parameters of their own",
            Call::post("Parameters/$validate", &json!({"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]})),
            true,
        ),
    ] {
        let answer = a.call(call).await.expect(200).json();
        assert_eq!(!matches!(worst(&answer), "fatal" | "error"), valid, "{why}: {answer}");
    }
    assert!(a.search("Patient").await.is_empty(), "nothing is stored");
    // A finding says where: an expression, a line and a column.
    let finding = a.post("Patient/$validate", &wrong).await.json()["issue"][0].clone();
    assert_eq!(finding["expression"][0], "Patient.gender");
    assert!(finding["extension"].to_string().contains("operationoutcome-issue-line"), "{finding}");
    // What would not be taken in is judged as far as it can be read, and said as the command line says it.
    for (body, expected) in [
        (r#"{"resourceType": "Patient", "gender": "frobnicated",}"#, &["JSON_COMMA_EXTRA", "Terminology_TX_NoValid_16"][..]),
        (
            r#"{"resourceType": "Patient", "id": "1", "id": "2", "gender": "frobnicated"}"#,
            &["DUPLICATE_JSON_PROPERTY", "Terminology_TX_NoValid_16"],
        ),
        (r#"{"resourceType": "Patient""#, &["Error_parsing_JSON_"]),
    ] {
        let answer = a.call(Call::new("POST", "Patient/$validate").body("application/fhir+json", body)).await.expect(200).json();
        let missing: Vec<_> = expected.iter().filter(|id| !answer.to_string().contains(**id)).collect();
        assert!(missing.is_empty(), "{body}: {missing:?} not in {answer}");
    }
    // What it cannot do is refused rather than left out.
    let profiled = json!({"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": patient("1")},
        {"name": "profile", "valueUri": "http://example.org/StructureDefinition/nobody-knows"},
    ]});
    let answer = a.post("Patient/$validate", &profiled).await;
    assert!(answer.status == 400 || matches!(worst(&answer.json()), "fatal" | "error"), "{}", answer.text());
    for wrong in [json!({"resourceType": "Parameters", "parameter": []}), observation("Patient/1")] {
        let answer = a.post("Patient/$validate", &wrong).await;
        assert!(answer.status == 400 || matches!(worst(&answer.json()), "fatal" | "error"), "{}", answer.text());
    }
}

const VITAL_SIGNS: &str = "http://hl7.org/fhir/StructureDefinition/vitalsigns";

fn question(resource: Value, parameters: &[(&str, &str, &str)]) -> Value {
    let mut all = vec![json!({"name": "resource", "resource": resource})];
    all.extend(parameters.iter().map(|(name, member, value)| json!({"name": name, *member: value})));
    json!({"resourceType": "Parameters", "parameter": all})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_by_mode_and_profile() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut seventh = patient("7");
    seventh["id"] = json!("7");
    let mut without_id = patient("7");
    without_id.as_object_mut().unwrap().remove("id");
    for (why, call, expected) in [
        ("an update under its own id", Call::post("Patient/7/$validate?mode=update", &seventh), ""),
        ("an update under another id", Call::post("Patient/8/$validate?mode=update", &seventh), "VALIDATE_UPDATE_OTHER_ID"),
        ("an update without an id", Call::post("Patient/8/$validate?mode=update", &without_id), "VALIDATE_UPDATE_NO_ID"),
        ("a creation", Call::post("Patient/$validate", &question(seventh.clone(), &[("mode", "valueCode", "create")])), ""),
        ("a deletion", Call::new("POST", "Patient/7/$validate?mode=delete"), "VALIDATE_DELETE"),
        ("a profile that is met by its type alone", Call::post("Observation/$validate", &observation("Patient/1")), ""),
        (
            "a profile that is not met",
            Call::post("Observation/$validate", &question(observation("Patient/1"), &[("profile", "valueCanonical", VITAL_SIGNS)])),
            VITAL_SIGNS,
        ),
        (
            "a profile in the URL",
            Call::post(&format!("Observation/$validate?mode=profile&profile={VITAL_SIGNS}"), &observation("Patient/1")),
            VITAL_SIGNS,
        ),
        (
            "a profile that nobody knows",
            Call::post("Observation/$validate?profile=http://example.org/nobody", &observation("Patient/1")),
            "Validation_VAL_Unknown_Profile",
        ),
    ] {
        let answer = a.call(call).await.expect(200).json();
        assert_eq!(answer["resourceType"], "OperationOutcome", "{why}");
        let is_error = matches!(worst(&answer), "fatal" | "error");
        assert_eq!(is_error, !expected.is_empty() && expected != "VALIDATE_DELETE", "{why}: {answer}");
        assert!(answer.to_string().contains(expected), "{why}: {answer}");
    }
    let with = |part: Value| {
        let mut asked = question(seventh.clone(), &[]);
        asked["parameter"].as_array_mut().unwrap().push(part);
        asked
    };
    let twice = question(seventh.clone(), &[]).as_object().map(|question| {
        let mut question = question.clone();
        let part = question["parameter"][0].clone();
        question["parameter"].as_array_mut().unwrap().push(part);
        Value::from(question)
    });
    for (why, path, body) in [
        ("a mode that there is not", "Patient/$validate?mode=frob", seventh.clone()),
        ("two modes", "Patient/$validate?mode=create&mode=update", seventh.clone()),
        ("no profile named", "Patient/$validate?mode=profile", seventh.clone()),
        ("a parameter that there is not", "Patient/$validate?foo=1", seventh.clone()),
        ("a part that there is not", "Patient/$validate", question(seventh.clone(), &[("foo", "valueString", "1")])),
        ("two resources", "Patient/$validate", twice.unwrap()),
        ("no resource", "Patient/$validate", json!({"resourceType": "Parameters", "parameter": []})),
        ("a profile that is a number", "Patient/$validate", with(json!({"name": "profile", "valueInteger": 1}))),
        ("a profile that is code", "Patient/$validate", with(json!({"name": "profile", "valueCode": VITAL_SIGNS}))),
        ("a profile without a value", "Patient/$validate", with(json!({"name": "profile"}))),
        ("a profile with two values", "Patient/$validate", with(json!({"name": "profile", "valueUri": VITAL_SIGNS, "valueInteger": 1}))),
        ("a mode that is a number", "Patient/$validate", with(json!({"name": "mode", "valueInteger": 1}))),
        ("a mode without a value", "Patient/$validate", with(json!({"name": "mode", "part": []}))),
        (
            "a resource that is a string",
            "Patient/$validate?mode=delete",
            json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "valueString": "x"}]}),
        ),
    ] {
        let answer = a.post(path, &body).await.expect(400).json();
        assert!(matches!(worst(&answer), "fatal" | "error"), "{why}: {answer}");
    }
    assert!(a.search("Patient").await.is_empty(), "nothing is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_validated_for_whom_may_see_it() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let stored = a.create(&observation(&format!("Patient/{id}"))).await;
    let path = format!("Observation/{stored}/$validate");
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "mode", "valueCode": "profile"}, {"name": "profile", "valueUri": VITAL_SIGNS}]});
    let bare = Call::new("POST", &format!("{path}?mode=profile&profile={VITAL_SIGNS}"));
    for call in [Call::post(&path, &wrapped), bare] {
        let answer = a.call(call).await.expect(200).json();
        assert!(answer.to_string().contains(VITAL_SIGNS) && worst(&answer) == "error", "{answer}");
    }
    let b = world.party("hospital-b").await;
    b.post(&path, &wrapped).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_is_held_to_the_profiles_asked_of_it() {
    let world = crate::support::Setup::adjusted(|settings| {
        let laboratory = &mut settings.sources.get_mut("laboratory").unwrap().validate;
        laboratory.profiles.insert("Observation".to_owned(), vec![VITAL_SIGNS.to_owned()]);
        laboratory.security_checks = true;
    })
    .start()
    .await;
    let (a, laboratory) = (world.party("hospital-a").await, world.party("laboratory").await);
    a.post("Patient", &patient("1")).await.expect(201);
    let refused = laboratory.post("Observation", &observation("Patient/1")).await.expect(422);
    assert!(refused.text().contains(VITAL_SIGNS), "{}", refused.text());
    let mut active = patient("2");
    active["name"] = json!([{"family": "<script>alert(1)</script>"}]);
    assert!(laboratory.post("Patient", &active).await.expect(422).text().contains("SECURITY_STRING_CONTENT_ERROR"));
    // What is asked of one partner is not asked of another.
    a.post("Patient", &active).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_and_flagged_where_the_partner_wants_it() {
    let world = crate::support::Setup::adjusted(|settings| {
        settings.sources.get_mut("laboratory").unwrap().on_error = Some(hearthgate::config::OnError::Flag);
    })
    .start()
    .await;
    let (a, laboratory) = (world.party("hospital-a").await, world.party("laboratory").await);
    let mut wrong = patient("1");
    wrong["gender"] = json!("frobnicated");
    a.post("Patient", &wrong).await.expect(422);
    let flagged = laboratory.call(Call::post("Patient", &wrong).header("prefer", "return=OperationOutcome")).await.expect(201);
    assert_eq!(worst(&flagged.json()), "error", "what is wrong is said: {}", flagged.text());
    assert!(flagged.header("x-hearthgate-receipt").is_some());
    assert_eq!(laboratory.search("Patient").await.len(), 1);
    // What cannot be read is refused from everybody.
    laboratory.call(Call::new("POST", "Patient").body("application/fhir+json", "{")).await.expect(400);
}

/// What is accepted by being converted is judged as what it becomes, and what is refused for its release is so here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_and_a_creation_agree_about_other_releases() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let patient = format!("Patient/{}", a.create(&patient("1")).await);
    let class = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"});
    let r5 = json!({"resourceType": "Encounter", "status": "completed", "class": [{"coding": [class]}],
        "subject": {"reference": patient}, "actualPeriod": {"start": "2020"}});
    let r4 = json!({"resourceType": "Encounter", "status": "finished", "class": class, "subject": {"reference": patient}, "period": {"start": "2020"}});
    let mut wrong = r5.clone();
    wrong["status"] = json!("frobnicated");
    let json = |version: &str| format!("application/fhir+json{version}");
    for (why, body, version, accepted, said) in [
        ("R5 that says so", &r5, "; fhirVersion=5.0", true, "FHIR R5; it was converted to R4 by the published table, and judged as R4"),
        ("R5 by its shape", &r5, "", true, "FHIR R5; it was converted"),
        ("R5 that is wrong", &wrong, "; fhirVersion=5.0", false, "Encounter.status"),
        ("R5 that says it is R4B", &r5, "; fhirVersion=4.3", false, ""),
        ("R4B that says so", &r4, "; fhirVersion=4.3", true, "FHIR R4B; it was converted to R4"),
        ("R4", &r4, "; fhirVersion=4.0", true, ""),
    ] {
        let call = |path: &str| Call::new("POST", path).body(&json(version), body.to_string());
        let judged = a.call(call("Encounter/$validate")).await.expect(200).json();
        let is_valid = !matches!(worst(&judged), "fatal" | "error");
        assert_eq!(is_valid, accepted, "{why}: {judged}");
        assert!(judged.to_string().contains(said), "{why}: {judged}");
        assert_eq!(judged.to_string().contains("converted to R4"), said.contains("converted"), "{why}: {judged}");
        let created = a.call(call("Encounter")).await;
        assert_eq!(created.status == 201, accepted, "{why}: {}", created.text());
        if !accepted {
            let ids = |outcome: &Value| -> Vec<Value> {
                let issues = outcome["issue"].as_array().unwrap().iter();
                issues
                    .filter(|issue| matches!(issue["severity"].as_str(), Some("fatal" | "error")))
                    .map(|issue| issue["details"].clone())
                    .collect()
            };
            assert_eq!(ids(&judged), ids(&created.json()), "{why}");
        }
    }
    // In a batch or transaction, each entry is of its own release; a Bundle that is stored as it is, is of one.
    for (kind, accepted) in [("transaction", true), ("collection", false)] {
        let entry = json!({"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": r5, "request": {"method": "POST", "url": "Encounter"}});
        let mut bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
        if kind == "collection" {
            bundle["entry"][0].as_object_mut().unwrap().remove("request");
        }
        let judged = a.post("Bundle/$validate", &bundle).await.expect(200).json();
        assert_eq!(!matches!(worst(&judged), "fatal" | "error"), accepted, "{kind}: {judged}");
        assert!(judged.to_string().contains("Bundle.entry[0].resource"), "{kind}: {judged}");
    }
    // XML of another release is converted nowhere, and that is what is found.
    let xml = "<Observation xmlns=\"http://hl7.org/fhir\"><context/></Observation>";
    let answer = a.call(Call::new("POST", "Observation/$validate").body(FHIR_XML, xml)).await.expect(200).json();
    assert!(answer.to_string().contains("version-refused") && worst(&answer) == "error", "{answer}");
}
