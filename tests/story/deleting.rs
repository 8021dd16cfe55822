//! Whoever would delete what another sent does not, and it is on record of whose it is: to whoever may read it, it is refused, to others it is as if
//! there were nothing.

use super::trail::{Case, resources};
use crate::support::data::{bundle, creates, observation, patient};
use crate::support::{Call, Party};
use hearthgate::evidence::{Kept, verify};
use serde_json::{Value, json};

async fn events(case: &Case, of: &str) -> Vec<Value> {
    let trail = case.regulator.get(&format!("{of}/$provenance-trail")).await.expect(200).json();
    resources(&trail, "AuditEvent").into_iter().cloned().collect()
}

/// The attempt is answered so, its record stands in the trails of these alone, and the record is there as before.
async fn check(case: &Case, who: &Party, call: Call, status: u16, named: &[&str]) {
    let what = format!("{call:?}");
    let mut before = Vec::new();
    for of in named {
        before.push(events(case, of).await.len());
    }
    let answer = who.call(call).await;
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    if status == 403 {
        assert_eq!(answer.issue(), "forbidden");
    }
    for (of, before) in named.iter().zip(before) {
        let new = events(case, of).await.split_off(before);
        let refusals: Vec<&Value> = new.iter().filter(|event| event["subtype"][0]["code"] == "delete").collect();
        assert_eq!(refusals.len(), 1, "{what}: {of}: {new:#?}");
        assert_eq!((&refusals[0]["action"], &refusals[0]["outcome"]), (&json!("D"), &json!("4")), "{what}");
        let entities = refusals[0]["entity"].to_string();
        assert!(entities.contains(of), "{what}: {entities}");
    }
    let seen = format!("Observation/{}", case.seen);
    assert_eq!(case.a.get(&seen).await.expect(200).json()["meta"]["versionId"], "1", "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_what_another_sent_is_refused_and_on_record_of_whose_it_is() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    let (patient, seen) = (format!("Patient/{}", case.patient), format!("Observation/{}", case.seen));
    let of_patient = format!("Observation?patient={patient}");
    let missing = "Observation/hg-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    // Hospital B reads them, and the laboratory does not.
    for (who, status) in [(&case.b, 403), (&laboratory, 204)] {
        check(&case, who, Call::delete(&seen), status, &[&seen, &patient]).await;
        check(&case, who, Call::delete(&patient), status, &[&patient]).await;
        check(&case, who, Call::delete(&of_patient), status, &[&seen, &patient]).await;
    }
    let (hidden, absent) = (laboratory.delete(&seen).await, laboratory.delete(missing).await);
    assert_eq!((hidden.status, hidden.text()), (absent.status, absent.text()), "hidden is like absent");
    // What there is not, or is no more, is deleted by nobody.
    let before = events(&case, &patient).await.len();
    case.b.delete(missing).await.expect(204);
    let gone = case.a.create(&observation(&patient)).await;
    case.a.delete(&format!("Observation/{gone}")).await.expect(204);
    case.b.delete(&format!("Observation/{gone}")).await.expect(204);
    let new = events(&case, &patient).await.split_off(before);
    assert!(new.iter().all(|event| event["outcome"] == "0"), "{new:#?}");
    let package = case.package(&patient, None).await;
    assert_eq!(verify(&package, &case.world.policy(), &Kept::default()).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_of_what_another_sent_ends_a_transaction_where_it_can_be_seen() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    let (patient, seen) = (format!("Patient/{}", case.patient), format!("Observation/{}", case.seen));
    let both = |kind: &str| {
        bundle(kind, vec![json!({"request": {"method": "DELETE", "url": seen}}), creates("urn:uuid:1", observation("Patient/nobody"))])
    };
    let statuses = |answer: &Value| {
        let entries = answer["entry"].as_array().unwrap().iter();
        entries.map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect::<Vec<_>>()
    };
    let count = async |who: &Party| who.search("Observation?patient=Patient/nobody").await.len();
    check(&case, &case.b, Call::post("", &both("batch")), 200, &[&seen, &patient]).await;
    assert_eq!(count(&case.b).await, 1, "each entry of a batch is on its own");
    let answer = case.b.post("", &both("batch")).await.expect(200).json();
    assert_eq!(statuses(&answer), ["403", "201"]);
    let answer = case.b.post("", &both("transaction")).await.expect(403);
    assert!(answer.text().contains("Bundle.entry[0]"), "{}", answer.text());
    assert_eq!(count(&case.b).await, 2, "nothing of the transaction was stored");
    let before = events(&case, &seen).await.len();
    let answer = laboratory.post("", &both("transaction")).await.expect(200).json();
    assert_eq!(statuses(&answer), ["204", "201"], "to whoever may not see it there is none");
    assert_eq!(count(&laboratory).await, 1);
    let new = events(&case, &seen).await.split_off(before);
    assert_eq!(new.iter().filter(|event| event["outcome"] == "4").count(), 1, "{new:#?}");
}

/// However many they are, and whether they can be seen or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_the_records_of_a_crowd_is_on_record_of_each() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    let crowd: Vec<Value> = (0..60).map(|number| creates(&format!("urn:uuid:{number}"), patient(&format!("crowd-{number}")))).collect();
    let made = case.a.post("", &bundle("batch", crowd)).await.expect(200).json();
    let location = |entry: &Value| entry["response"]["location"].as_str().unwrap().split_once("/fhir/").unwrap().1.to_owned();
    let mut patients: Vec<String> = made["entry"].as_array().unwrap().iter().map(location).collect();
    patients.iter_mut().for_each(|location| location.truncate(location.find("/_history").unwrap()));
    let delete = |of: &String| json!({"request": {"method": "DELETE", "url": of}});
    // Hospital B may see the one that is consented to, and is refused the whole.
    let seen = [format!("Patient/{}", case.patient)];
    for (who, more, status) in [(&laboratory, &[][..], 200), (&case.b, &seen[..], 403)] {
        let deletions = patients.iter().chain(more).map(delete).collect();
        let answer = who.post("", &bundle("transaction", deletions)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for of in [&patients[0], &patients[30], &patients[59]] {
        let refused: Vec<Value> = events(&case, of).await.into_iter().filter(|event| event["outcome"] == "4").collect();
        assert_eq!(refused.len(), 2, "{of}: {refused:#?}");
        for event in refused {
            let named = event["entity"].to_string();
            assert!(named.contains(of) && !patients.iter().any(|other| other != of && named.contains(other)), "{named}");
        }
        case.a.get(of).await.expect(200);
    }
}

/// However many older ones there are that whoever asks may not see: it is answered by what it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conditional_deletion_is_answered_by_what_can_be_seen_of_what_it_meets() {
    const CODE: &str = "718-7";
    for hidden in [0, 99, 100, 130] {
        let case = Case::new().await;
        let laboratory = case.world.party("laboratory").await;
        let stranger = case.a.create(&patient("stranger")).await;
        case.a.delete(&format!("Observation/{}", case.seen)).await.expect(204);
        let about = |id: &str| {
            let mut result = observation(&format!("Patient/{id}"));
            result["code"] = json!({"coding": [{"system": "http://loinc.org", "code": CODE}]});
            result
        };
        let older: Vec<Value> = (0..hidden).map(|number| creates(&format!("urn:uuid:{number}"), about(&stranger))).collect();
        if hidden > 0 {
            case.a.post("", &bundle("batch", older)).await.expect(200);
        }
        let seen = format!("Observation/{}", case.a.create(&about(&case.patient)).await);
        let delete = format!("Observation?code={CODE}");
        assert_eq!(case.b.search(&delete).await.len(), 1);
        let refused = case.b.delete(&delete).await.expect(403);
        assert_eq!(refused.issue(), "forbidden");
        laboratory.delete(&delete).await.expect(204);
        case.a.get(&seen).await.expect(200);
        // It is on record of whose it is that could be seen, and that not all is named.
        let told: Vec<Value> = events(&case, &seen).await.into_iter().filter(|event| event["outcome"] == "4").collect();
        assert!(!told.is_empty(), "{hidden}");
        assert!(
            told.iter().all(|event| event["outcomeDesc"].to_string().contains("more records meet") == (hidden >= 100)),
            "{hidden}: {told:#?}"
        );
        let entities: Vec<String> = told.iter().map(|event| event["entity"].to_string()).collect();
        assert!(entities.iter().any(|named| named.contains(&format!("Patient/{}", case.patient))), "{hidden}: {entities:?}");
    }
}
