//! What was deleted or got another number tells what it told.

use super::pointing::{VISITS, by_identifier, scene};
use serde_json::{Value, json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_named_by_an_identifier_of_before_tells() {
    let scene = scene().await;
    let visit = |kind: &str, number: &str| {
        json!({"resourceType": "Encounter", "status": "finished", "class": {"system": ACT_CODE, "code": "AMB"}, "type": [{"text": kind}],
            "identifier": [{"system": VISITS, "value": number}], "subject": {"reference": format!("Patient/{}", scene.patient)}})
    };
    for (kind, status) in [("Methadone maintenance", 404), ("Check-up", 200)] {
        let (deleted, renumbered) = (format!("{status}-D"), format!("{status}-O"));
        let gone = scene.a.create(&visit(kind, &deleted)).await;
        let moved = scene.a.create(&visit(kind, &renumbered)).await;
        let mut measured = Vec::new();
        for number in [&deleted, &renumbered] {
            for type_name in [Some("Encounter"), None] {
                let id = scene.measured(json!({"encounter": by_identifier(type_name, number)})).await;
                scene.b.get(&format!("Observation/{id}")).await.expect(status);
                measured.push(id);
            }
        }
        scene.a.delete(&format!("Encounter/{gone}")).await.expect(204);
        let mut other = visit(kind, &format!("{status}-N"));
        other["id"] = json!(moved);
        scene.a.put(&format!("Encounter/{moved}"), &other).await.expect(200);
        for id in measured {
            scene.b.get(&format!("Observation/{id}")).await.expect(status);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_institution_named_by_an_identifier_of_before_tells() {
    let scene = scene().await;
    for (name, is_shown) in [("Riverside Methadone Clinic", false), ("Riverside Clinic", true)] {
        let numbered =
            |number: &str| json!({"resourceType": "Organization", "name": name, "identifier": [{"system": VISITS, "value": number}]});
        let id = scene.a.create(&numbered(&format!("{is_shown}-1"))).await;
        let mut other = numbered(&format!("{is_shown}-2"));
        other["id"] = json!(id);
        scene.a.put(&format!("Organization/{id}"), &other).await.expect(200);
        for number in ["1", "2"] {
            for type_name in [Some("Organization"), None] {
                let performer = json!([by_identifier(type_name, &format!("{is_shown}-{number}"))]);
                let seen = scene.measured(json!({"performer": performer})).await;
                let read = scene.b.get(&format!("Observation/{seen}")).await.expect(200).json();
                assert_eq!(read["performer"], if is_shown { performer } else { Value::Null }, "{name} {number}");
            }
        }
    }
}

/// A patient's device is a record of that patient's; a device that is nobody's may be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_device_is_not_pointed_at() {
    let scene = scene().await;
    let device = |kind: &str, is_theirs: bool| {
        let mut device = json!({"resourceType": "Device", "type": {"text": kind}});
        if is_theirs {
            device["patient"] = json!({"reference": format!("Patient/{}", scene.patient)});
        }
        device
    };
    for (kind, is_theirs, is_shown) in [("Methadone dispenser", true, false), ("Scales", true, true), ("Scales", false, true)] {
        let id = scene.a.create(&device(kind, is_theirs)).await;
        let named = json!({"reference": format!("Device/{id}")});
        let note = json!([{"text": format!("Measured with Device/{id}.")}]);
        let seen = scene.measured(json!({"device": named, "note": note})).await;
        let read = scene.b.get(&format!("Observation/{seen}")).await.expect(200);
        assert_eq!(read.text().contains(&id), is_shown, "{kind}: {}", read.text());
        let found = scene.b.search(&format!("Observation?device=Device/{id}")).await;
        assert_eq!(found.len(), usize::from(is_shown), "{kind}");
    }
}
