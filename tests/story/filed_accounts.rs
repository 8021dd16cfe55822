//! What partners file of the types in which the gateway notes what others did is a record like any other: in the trail, and in an erasure.

use crate::support::Party;
use crate::support::at_rest::AtRest;
use crate::support::two_patients::TwoPatients;
use hearthgate::evidence::{Kept, verify};
use serde_json::{Value, json};

const AT: &str = "2026-11-20T08:30:00Z";

fn event(entities: &[&str], who: &Value) -> Value {
    let entities: Vec<Value> = entities.iter().map(|id| json!({"what": {"reference": format!("Patient/{id}")}})).collect();
    json!({"resourceType": "AuditEvent", "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}, "recorded": AT,
        "agent": [{"who": who, "requestor": true}], "source": {"observer": {"display": "our EHR"}}, "entity": entities})
}

fn accounts(first: &str, second: &str) -> Vec<Value> {
    let to = |id: &str| json!({"reference": format!("Patient/{id}")});
    vec![
        event(&[first, second], &json!({"display": "x"})),
        event(&[second], &json!({"reference": format!("Patient/{first}"), "display": "Quistelberg"})),
        json!({"resourceType": "Provenance", "target": [to(first), to(second)], "recorded": AT, "agent": [{"who": {"display": "Dr"}}]}),
        json!({"resourceType": "Linkage", "item": [{"type": "source", "resource": to(first)}, {"type": "alternate", "resource": to(second)}]}),
    ]
}

/// The trail, its package and the accounting of a patient are there, and verify.
async fn is_told(case: &TwoPatients, patient: &str) {
    let regulator: &Party = &case.world.party("health-department").await;
    regulator.get(&format!("Patient/{patient}/$provenance-trail")).await.expect(200);
    regulator.get(&format!("Patient/{patient}/$disclosures")).await.expect(200);
    let package = regulator.get(&format!("Patient/{patient}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let report = verify(&package, &case.world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new(), "{patient}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_partners_file_of_what_was_done_ends_nobodys_trail() {
    let case = TwoPatients::new().await;
    let laboratory = case.world.party("laboratory").await;
    for party in [&case.a, &laboratory] {
        party.create(&event(&[&case.first], &json!({"display": "x"}))).await;
        is_told(&case, &case.first).await;
    }
    for account in accounts(&case.first, &case.second) {
        laboratory.create(&account).await;
        is_told(&case, &case.first).await;
        is_told(&case, &case.second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_partners_file_of_two_is_erased_when_asked_for_alone() {
    for number in 0..4 {
        let case = TwoPatients::new().await;
        let account = &accounts(&case.first, &case.second)[number];
        case.a.create(account).await;
        let told = case.erase(&case.first, "").await.expect(422).text();
        assert!(told.contains("1 resource(s)"), "{account}: {told}");
        is_told(&case, &case.first).await;
        case.erase(&case.first, "?shared=true").await.expect(200);
        is_told(&case, &case.second).await;
        let first = case.first.clone();
        let at_rest = AtRest::of(case.world).await;
        let kept = std::fs::read(at_rest.data.join("data.db")).unwrap();
        for trace in [first.as_str(), "Quistelberg"] {
            assert!(!kept.windows(trace.len()).any(|window| window == trace.as_bytes()), "{account}: {trace}");
        }
    }
}
