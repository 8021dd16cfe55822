//! Breaking the glass: who may, how far it reaches, for how long, and what it leaves behind.

use crate::support::data::{observation, patient, permit_to};
use crate::support::world::EMERGENCY;
use crate::support::{Call, Party, Setup, World};
use hearthgate::clock::{Instant, ScriptedTime};
use serde_json::{Value, json};
use std::time::Duration;

const MORE: &str = r#"
[consent.break_glass]
lasts_s = 600
ceiling = "R"
never = ["PSYTHPN"]

[[client]]
id = "colleague"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "emergency" }, name = "Emergency Department" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/*.rs"
purposes = ["BTG"]
roles = ["break-glass"]

[[client]]
id = "app"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/Communication.rs system/AuditEvent.rs"
purposes = ["PATRQT"]
acts_for = ["urn:oid:1.3.6.1.4.1.99999.2|1"]
"#;

const REASON: &str = "Unconscious after a fall, allergies unknown";

struct Case {
    world: World,
    time: ScriptedTime,
    start: Instant,
    a: Party,
    emergency: Party,
    patient: String,
    seen: String,
}

impl Case {
    async fn new() -> Case {
        let start = Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap();
        let time = ScriptedTime::starting_at(start);
        let world = Setup::configured(format!("{MORE}{EMERGENCY}")).at(&time).start().await;
        let a = world.party("hospital-a").await;
        let emergency = world.party_with("emergency", "system/*.rs").await;
        let patient = a.create(&patient("1")).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        Case { world, time, start, a, emergency, patient, seen }
    }

    async fn opens(&self, party: &Party, purpose: &str) -> bool {
        let path = format!("Observation/{}", self.seen);
        party.call(Call::get(&path).header("x-purpose-of-use", purpose)).await.status == 200
    }

    fn breaking(&self, reason: Value) -> Call {
        let body = json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason}]});
        Call::post(&format!("Patient/{}/$break-glass", self.patient), &body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_glass_is_broken_for_a_while_and_not_without_notice() {
    let case = Case::new().await;
    assert!(!case.opens(&case.emergency, "BTG").await, "a purpose alone breaks nothing");
    // Role, reason, purpose.
    assert_eq!(case.a.call(case.breaking(json!(REASON))).await.expect(403).issue(), "forbidden");
    for reason in [json!("help"), json!("x".repeat(1_001)), json!(null)] {
        case.emergency.call(case.breaking(reason)).await.expect(400);
    }
    let treating = case.breaking(json!(REASON)).header("x-purpose-of-use", "TREAT");
    case.emergency.call(treating).await.expect(403);
    assert!(!case.opens(&case.emergency, "BTG").await);
    let broken = case.emergency.call(case.breaking(json!(REASON))).await.expect(200);
    assert!(case.opens(&case.emergency, "BTG").await);
    assert!(!case.opens(&case.emergency, "TREAT").await, "it is open for breaking the glass and nothing else");
    assert!(!case.opens(&case.emergency, "TREAT,BTG").await);
    let colleague = case.world.party_with("colleague", "system/*.rs").await;
    assert!(!case.opens(&colleague, "BTG").await, "it is open to who broke it");
    // The patient is told by whom, why and until when; nobody else reads the notice.
    let app = case.world.party_with("app", "system/Communication.rs system/AuditEvent.rs").await;
    let notice = &app.search(&format!("Communication?subject=Patient/{}", case.patient)).await[0];
    let text = notice["payload"][0]["contentString"].as_str().unwrap();
    assert!(text.contains("Emergency Department") && text.contains(REASON) && text.contains("2026-06-01T12:10:00"), "{text}");
    assert_eq!((&notice["priority"], &notice["reasonCode"][0]["coding"][0]["code"]), (&json!("urgent"), &json!("BTG")));
    let path = format!("Communication/{}", notice["id"].as_str().unwrap());
    assert!(broken.header("location").unwrap().ends_with(&path));
    for party in [&case.emergency, &case.a, &case.world.party("hospital-b").await] {
        party.get(&path).await.expect(404);
    }
    // The accounting has the breaking and what was read; the alarm has gone off.
    let accounting = app.get(&format!("Patient/{}/$disclosures", case.patient)).await.expect(200).text();
    assert!(accounting.contains("break-glass"));
    let events = case.world.audit_events().await;
    let broke: Vec<&Value> =
        events.iter().filter(|event| event["subtype"][0]["code"] == "break-glass" && event["outcome"] == "0").collect();
    assert_eq!(broke.len(), 1);
    assert!(!broke[0].to_string().contains(REASON), "the reason is in the notice and nowhere else");
    let metrics = case.world.stranger().call(Call::get(&format!("{}/metrics", case.world.admin))).await.expect(200).text();
    assert!(metrics.contains("hearthgate_break_glass_total{outcome=\"broken\"}"));
    assert!(!metrics.contains(REASON) && !metrics.contains(&case.patient));
    // Ten minutes later it is whole again.
    case.time.set(case.start + Duration::from_secs(599));
    let emergency = case.world.party_with("emergency", "system/*.rs").await;
    assert!(case.opens(&emergency, "BTG").await);
    case.time.set(case.start + Duration::from_secs(600));
    assert!(!case.opens(&emergency, "BTG").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reaches_no_further_than_its_labels_and_no_denial() {
    let case = Case::new().await;
    case.emergency.call(case.breaking(json!(REASON))).await.expect(200);
    let labelled = |system: &str, code: &str| {
        let mut seen = observation(&format!("Patient/{}", case.patient));
        seen["meta"] = json!({"security": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]});
        seen
    };
    for (why, resource, expected) in [
        ("restricted", labelled("v3-Confidentiality", "R"), true),
        ("very restricted", labelled("v3-Confidentiality", "V"), false),
        ("substance use", labelled("v3-ActCode", "ETH"), true),
        ("psychotherapy notes", labelled("v3-ActCode", "PSYTHPN"), false),
    ] {
        let id = case.a.create(&resource).await;
        let path = format!("Observation/{id}");
        let found = case.emergency.call(Call::get(&path).header("x-purpose-of-use", "BTG")).await;
        assert_eq!(found.status == 200, expected, "{why}: {}", found.status);
    }
    // Consents that speak of others do not keep it closed; one that denies does, and so does its end.
    case.a.create(&permit_to(&case.patient, "hospital-c")).await;
    assert!(case.opens(&case.emergency, "BTG").await);
    let mut denial = permit_to(&case.patient, "emergency");
    denial["provision"]["type"] = json!("deny");
    let denial = case.a.create(&denial).await;
    assert!(!case.opens(&case.emergency, "BTG").await, "who is denied breaks nothing");
    case.a.call(Call::new("POST", &format!("Consent/{denial}/$revokeConsent"))).await.expect(200);
    assert!(!case.opens(&case.emergency, "BTG").await, "and the end of the denial opens nothing");
    case.a.delete(&format!("Consent/{denial}")).await.expect(204);
    assert!(case.opens(&case.emergency, "BTG").await);
}
