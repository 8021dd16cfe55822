//! A merge (`Patient.link`) is told of both records: in either's trail, and each leads to what is on record of the other.

use crate::support::data::{observation, patient, permit_to};
use crate::support::two_patients::TwoPatients;
use crate::support::world::{OFFICER, Setup};
use crate::support::{Call, Party};
use data_encoding::BASE64;
use hearthgate::evidence::{Kept, verify, verify_accounting};
use serde_json::{Value, json};

use super::evidence::receipt;
use super::trail::resources;

/// An application that speaks for the first patient, or for both.
fn application(patients: &str) -> String {
    format!(
        r#"
[[client]]
id = "app"
organisation = {{ identifier = {{ system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }}, name = "Patient App" }}
jwks_file = "hospital-a.jwks.json"
scopes = "system/AuditEvent.rs"
purposes = ["PATRQT"]
acts_for = [{patients}]
{OFFICER}"#
    )
}

async fn says(case: &TwoPatients, id: &str, number: &str, links: &[(&str, &str)]) {
    let links: Vec<Value> =
        links.iter().map(|(kind, other)| json!({"type": kind, "other": {"reference": format!("Patient/{other}")}})).collect();
    let mut body = patient(number);
    body["id"] = json!(id);
    if !links.is_empty() {
        body["link"] = json!(links);
    }
    case.a.call(Call::put(&format!("Patient/{id}"), &body)).await.expect(200);
}

async fn trail(case: &TwoPatients, id: &str) -> Value {
    case.regulator.get(&format!("Patient/{id}/$provenance-trail")).await.expect(200).json()
}

async fn accounting(party: &Party, id: &str) -> Value {
    party.get(&format!("Patient/{id}/$disclosures")).await.expect(200).json()
}

/// The versions of the other that are in a trail.
fn versions_of(trail: &Value, id: &str) -> Vec<String> {
    let targets = resources(trail, "Provenance").into_iter().map(|one| one["target"][0]["reference"].as_str().unwrap().to_owned());
    targets.filter_map(|target| Some(target.strip_prefix(&format!("Patient/{id}/_history/"))?.to_owned())).collect()
}

fn related(bundle: &Value) -> Vec<&str> {
    let links = bundle["link"].as_array().into_iter().flatten().filter(|link| link["relation"] == "related");
    links.map(|link| link["url"].as_str().unwrap()).collect()
}

/// What the receipts of an accounting name.
fn targets(told: &Value) -> Vec<String> {
    let text = |encoded: &str| String::from_utf8(BASE64.decode(encoded.as_bytes()).unwrap()).unwrap();
    let proofs = resources(told, "Binary").into_iter().map(|proof| text(proof["data"].as_str().unwrap()));
    let openings = proofs.filter_map(|proof| Some(text(proof.lines().nth(1)?.strip_prefix("extra ")?)));
    openings.map(|opening| serde_json::from_str::<Value>(&opening).unwrap()["target"].as_str().unwrap().to_owned()).collect()
}

/// Trail, package and accounting of a patient are there and verify.
async fn verifies(case: &TwoPatients, id: &str) {
    let policy = case.world.policy();
    let package = case.regulator.get(&format!("Patient/{id}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    assert_eq!(verify(&package, &policy, &Kept::default()).unwrap().problems, Vec::<String>::new(), "{id}");
    let told = case.regulator.get(&format!("Patient/{id}/$disclosures")).await.expect(200).bytes;
    assert_eq!(verify_accounting(&told, &policy, &Kept::default()).report.problems, Vec::<String>::new(), "{id}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_stands_in_both_trails_and_each_leads_to_the_other() {
    let case = TwoPatients::new().await;
    let (first, second) = (case.first.as_str(), case.second.as_str());
    let (b, c) = (case.world.party("hospital-b").await, case.world.party("laboratory").await);
    let seen = case.a.create(&observation(&format!("Patient/{first}"))).await;
    case.a.create(&permit_to(first, "hospital-b")).await;
    b.get(&format!("Observation/{seen}")).await.expect(200);
    c.get(&format!("Observation/{seen}")).await.expect(404);
    assert_eq!(related(&trail(&case, second).await), Vec::<&str>::new());
    says(&case, first, "1", &[("replaced-by", second)]).await;
    let merged = trail(&case, second).await;
    assert_eq!(versions_of(&merged, first), ["2"], "{merged:#}");
    let events = resources(&merged, "AuditEvent");
    assert!(events.iter().any(|event| event["action"] == "U"), "who merged them is there: {merged:#}");
    assert!(resources(&merged, "Patient").is_empty(), "and nothing of what the other record says");
    assert_eq!(related(&merged), [format!("Patient/{first}/$provenance-trail")]);
    assert_eq!(related(&trail(&case, first).await), [format!("Patient/{second}/$provenance-trail")]);
    // What was told and refused of the first stands where the second's accounting leads.
    let told = accounting(&case.regulator, second).await;
    assert_eq!(related(&told), [format!("Patient/{first}/$disclosures")]);
    assert_eq!(related(&accounting(&case.regulator, first).await), [format!("Patient/{second}/$disclosures")]);
    // The other's own word, a word that is taken back, and an end.
    says(&case, second, "2", &[("replaces", first)]).await;
    says(&case, first, "1", &[]).await;
    case.a.delete(&format!("Patient/{first}")).await.expect(204);
    assert_eq!(versions_of(&trail(&case, first).await, second), ["2"]);
    assert_eq!(versions_of(&trail(&case, second).await, first), ["2", "3"], "taking it back is told too, and what came later is not");
    for id in [first, second] {
        verifies(&case, id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_speaks_for_a_patient_is_led_to_records_they_speak_for_alone() {
    for (speaks_for, is_led) in
        [(r#""urn:oid:1.3.6.1.4.1.99999.2|1""#, false), (r#""urn:oid:1.3.6.1.4.1.99999.2|1", "urn:oid:1.3.6.1.4.1.99999.2|2""#, true)]
    {
        let case = TwoPatients::in_world(Setup::configured(application(speaks_for)).start().await).await;
        says(&case, &case.second, "2", &[("seealso", &case.first)]).await;
        let told = accounting(&case.world.party("app").await, &case.first).await;
        assert_eq!(!related(&told).is_empty(), is_led, "{told:#}");
        assert_eq!(told.to_string().contains(&case.second), is_led);
        // Nor does a receipt tell of another patient.
        let targets = targets(&told);
        assert!(targets.contains(&format!("Patient/{}/_history/1", case.first)), "{targets:?}");
        assert!(!targets.iter().any(|target| target.contains(&case.second)), "{targets:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_one_of_a_merge_leaves_the_others_trails_whole() {
    // Whom the first links; the one that is erased, and those that stay.
    for (is_first, more) in [(true, ""), (false, "?shared=true")] {
        let case = TwoPatients::new().await;
        let third = case.a.create(&patient("3")).await;
        let (first, second) = (case.first.as_str(), case.second.as_str());
        says(&case, first, "1", &[("replaced-by", second), ("seealso", &third)]).await;
        says(&case, first, "1", &[]).await;
        let erased = if is_first { first } else { second };
        case.erase(erased, more).await.expect(200);
        for id in [first, second, &third].into_iter().filter(|id| *id != erased) {
            let told = trail(&case, id).await;
            assert!(!told.to_string().contains(erased), "{told:#}");
            verifies(&case, id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_merged_is_led_to_after_its_end_and_when_the_link_is_taken_back() {
    let case = TwoPatients::new().await;
    let (first, second) = (case.first.as_str(), case.second.as_str());
    let lead_to_each_other = async |what: &str| {
        for (one, other) in [(first, second), (second, first)] {
            assert_eq!(related(&trail(&case, one).await), [format!("Patient/{other}/$provenance-trail")], "{what}");
            assert_eq!(related(&accounting(&case.regulator, one).await), [format!("Patient/{other}/$disclosures")], "{what}");
        }
    };
    says(&case, first, "1", &[("replaced-by", second)]).await;
    lead_to_each_other("linked").await;
    says(&case, first, "1", &[]).await;
    lead_to_each_other("taken back").await;
    case.a.delete(&format!("Patient/{first}")).await.expect(204);
    lead_to_each_other("deleted").await;
    // What was found by an operator, and taken back by one.
    let third = case.a.create(&patient("3")).await;
    let decide = async |decision: &str, patients: &[&str]| {
        case.world.desk("POST", "/people", &json!({"decision": decision, "patients": patients})).await.expect(200);
    };
    decide("link", &[second, &third]).await;
    decide("unlink", &[&third]).await;
    assert_eq!(related(&accounting(&case.regulator, &third).await), [format!("Patient/{second}/$disclosures")]);
    let mut both = [format!("Patient/{first}/$disclosures"), format!("Patient/{third}/$disclosures")];
    both.sort_unstable();
    assert_eq!(related(&accounting(&case.regulator, second).await), both);
    verifies(&case, second).await;
}

/// A receipt is of the first leaf of a version, which an accounting of somebody else does not list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_the_other_of_a_merge_accuses_no_accounting() {
    let case = TwoPatients::new().await;
    let (first, second) = (case.first.as_str(), case.second.as_str());
    let mut about_both = observation(&format!("Patient/{first}"));
    about_both["focus"] = json!([{"reference": format!("Patient/{second}")}]);
    let about_both = case.a.create(&about_both).await;
    says(&case, first, "1", &[("replaced-by", second)]).await;
    let strangers = case.a.create(&patient("3")).await;
    let report = async |of: &str, version: &str| {
        let receipts = [receipt(&case.a, version).await];
        let told = case.regulator.get(&format!("Patient/{of}/$disclosures")).await.expect(200).bytes;
        verify_accounting(&told, &case.world.policy(), &Kept { receipts: &receipts, ..Kept::default() }).report
    };
    for version in [format!("Observation/{about_both}"), format!("Patient/{first}/_history/2")] {
        let counted = [report(first, &version).await, report(second, &version).await].map(|report| {
            assert_eq!(report.problems, Vec::<String>::new(), "{version}");
            (report.receipts, report.beside, report.bound.len())
        });
        assert_eq!(counted, [(1, 0, 1), (0, 1, 0)], "{version}");
        // Of whom it does not tell it is in no list.
        let stranger = report(&strangers, &version).await.problems;
        assert!(matches!(&stranger[..], [only] if only.contains("does not list it")), "{stranger:?}");
    }
    let other = report(second, &format!("Patient/{strangers}")).await.problems;
    assert!(matches!(&other[..], [only] if only.contains("does not list it")), "{other:?}");
}
