//! What of others' questions, Tasks and records leads to an erased person, by words, numbers and identifiers, and goes with them.

use super::erasing::Case;
use crate::support::Call;
use crate::support::data::{observation, patient};
use serde_json::{Value, json};

/// What was to be worked on goes with the record it came up in, and comes up again with the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_list_keeps_nothing_of_what_was_erased() {
    let case = Case::new().await;
    let coded = |about: &str, code: Value| {
        let mut resource = observation(&format!("Patient/{about}"));
        resource["code"] = code;
        resource
    };
    let alone = |word: &str| json!({ "text": word });
    let beside = |word: &str| json!({"coding": [{"system": "urn:hospital-a:local", "code": word, "display": format!("{word} as said")}]});
    let tasks = || crate::support::world::documents(&case.world.data(), "Task");
    let is_told = |word: &str| tasks().iter().any(|task| task.to_string().contains(word));
    let mut ids = Vec::new();
    for (about, code) in [
        (&case.first, alone("Unmistakable")),
        (&case.first, beside("UNMISTAKABLE2")),
        (&case.second, alone("Others")),
        (&case.second, beside("shared")),
        (&case.first, beside("shared")),
    ] {
        ids.push(case.a.create(&coded(about, code)).await);
    }
    assert!(is_told("Unmistakable") && is_told("UNMISTAKABLE2") && is_told("Others") && is_told("shared"), "{:?}", tasks());
    case.officer.call(Call::new("POST", &format!("Observation/{}/$erase", ids[1]))).await.expect(200);
    assert!(!is_told("UNMISTAKABLE2"));
    case.erase(&case.first, "").await.expect(200);
    for word in ["Unmistakable", "UNMISTAKABLE2", case.first.as_str(), ids[0].as_str()] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    assert!(is_told("Others") && is_told("shared"), "what came up with another's record stays");
    case.a.create(&coded(&case.second, beside("UNMISTAKABLE2"))).await;
    assert!(is_told("UNMISTAKABLE2"), "it comes up again");
}

/// What everybody's questions and Tasks hold is nobody's, whatever a person is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_name_and_number_take_nothing_from_others() {
    let case = Case::new().await;
    let two = &case.second;
    let mut pat = patient("100");
    pat["name"] = json!([{"family": "Nguyen", "given": ["Pat", "Ted"]}]);
    let pat = case.a.create(&pat).await;
    for code in [json!({"text": "Weird pathology panel"}), json!({"coding": [{"system": "urn:local", "code": "patx"}]})] {
        let mut resource = observation(&format!("Patient/{two}"));
        resource["code"] = code;
        case.a.create(&resource).await;
    }
    let stays = [
        format!("Observation?patient={two}"),
        format!("Observation?subject=Patient/{two}&_count=100"),
        format!("Observation?patient={two}&_lastUpdated=gt2020-01-01"),
        format!("Observation?patient={two}&code=http://loinc.org|1003-0"),
    ];
    let goes = ["Patient?name=pat,moor", "Patient?identifier=100", "Observation?patient.name=pat"];
    for path in stays.iter().map(String::as_str).chain(goes) {
        case.a.get(path).await.expect(200);
    }
    // By POST it is the same question.
    case.a.call(Call::new("POST", "Patient/_search").form("given=ted")).await.expect(200);
    let tasks = || crate::support::world::documents(&case.world.data(), "Task").len();
    let before = tasks();
    case.erase(&pat, "").await.expect(200);
    assert_eq!(tasks(), before);
    let events = crate::support::world::documents(&case.world.data(), "AuditEvent");
    let queries = events.iter().flat_map(|event| event["entity"].as_array().cloned().unwrap_or_default());
    let queries: Vec<String> = queries
        .filter_map(|entity| data_encoding::BASE64.decode(entity["query"].as_str()?.as_bytes()).ok())
        .map(|query| String::from_utf8(query).unwrap())
        .collect();
    for path in &stays {
        assert!(queries.contains(path), "{path}: {queries:?}");
    }
    for path in goes.iter().chain(&["Patient?given=ted"]) {
        assert!(!queries.iter().any(|query| query == path), "{path}: {queries:?}");
    }
}

/// Who is named by an identifier is named; and what only what goes leads to goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_a_person_by_an_identifier_goes_and_what_only_that_leads_to() {
    let case = Case::new().await;
    let (one, two) = (&case.first, &case.second);
    let identifier = json!({"system": crate::support::data::MRN, "value": "1"});
    let nested = json!({"resourceType": "Patient", "id": "p", "identifier": [identifier], "name": [{"family": "Unmistakable"}]});
    let bundle = |patients: &[&Value]| {
        let entries = patients.iter().enumerate().map(
            |(number, patient)| json!({"fullUrl": format!("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e{number}"), "resource": patient}),
        );
        json!({"resourceType": "Bundle", "type": "collection", "entry": entries.collect::<Vec<_>>()})
    };
    let subject = |subject: Value| {
        let mut resource = observation(&format!("Patient/{two}"));
        resource["subject"] = subject;
        resource
    };
    let mut contained = subject(json!({"reference": "#p"}));
    contained["contained"] = json!([nested]);
    let mut performed = observation(&format!("Patient/{two}"));
    performed["performer"] = json!([{"identifier": identifier, "display": "Unmistakable"}]);
    let mut named_in_words = observation(&format!("Patient/{two}"));
    named_in_words["note"] = json!([{"text": "met Ms Moor"}]);
    let letter = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "VW5taXN0YWthYmxl"});
    let (letter, form) = (
        case.a.create(&letter).await,
        case.a.create(&json!({"resourceType": "Binary", "contentType": "text/plain", "data": "Rm9ybQ=="})).await,
    );
    let document = |about: &str, urls: &[&str]| {
        let content: Vec<Value> =
            urls.iter().map(|id| json!({"attachment": {"contentType": "text/plain", "url": format!("Binary/{id}")}})).collect();
        json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": format!("Patient/{about}")}, "content": content})
    };
    let related = case.a.create(&json!({"resourceType": "RelatedPerson", "patient": {"reference": format!("Patient/{one}")}})).await;
    let medication = case.a.create(&json!({"resourceType": "Medication", "code": {"text": "Everybody's"}})).await;
    let request = json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"reference": format!("Patient/{one}")},
        "medicationReference": {"reference": format!("Medication/{medication}")}});
    let person = json!({"resourceType": "Person", "link": [{"target": {"reference": format!("RelatedPerson/{related}")}}]});
    let other = json!({"resourceType": "Patient", "name": [{"family": "Other"}]});
    let goes = [
        case.created(&subject(json!({"identifier": identifier, "display": "Unmistakable"}))).await,
        case.created(&contained).await,
        case.created(&bundle(&[&nested])).await,
        case.created(&document(one, &[&letter, &form])).await,
        case.created(&person).await,
        case.created(&request).await,
        format!("Binary/{letter}"),
    ];
    let shared = [case.created(&performed).await, case.created(&bundle(&[&nested, &other])).await];
    let stays = [
        case.created(&named_in_words).await,
        case.created(&document(two, &[&form])).await,
        case.created(&subject(json!({"identifier": {"system": "urn:other", "value": "1"}}))).await,
        format!("Binary/{form}"),
        format!("Medication/{medication}"),
    ];
    let told = case.erase(one, "").await.expect(422).text();
    assert!(told.contains("2 resource(s)"), "{told}");
    case.erase(one, "?shared=true").await.expect(200);
    for path in goes.iter().chain(&shared) {
        assert_eq!(case.a.get(path).await.status, 404, "{path}");
    }
    for path in &stays {
        assert_eq!(case.a.get(path).await.status, 200, "{path}");
    }
    for word in ["Unmistakable", "VW5taXN0YWthYmxl", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    case.verify(&format!("Patient/{two}")).await;
}

/// What two Patients bear names both: it stays until the other is erased too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identifier_of_two_patients_is_not_one_persons() {
    let case = Case::new().await;
    let b = case.world.party("hospital-b").await;
    let again = b.create(&patient("1")).await;
    let mut resource = observation("");
    resource["subject"] = json!({"identifier": {"system": crate::support::data::MRN, "value": "1"}});
    let named = case.created(&resource).await;
    for (person, status) in [(&case.first, 200), (&again, 404)] {
        case.erase(person, "").await.expect(200);
        assert_eq!(case.a.get(&named).await.status, status, "{person}");
    }
}
