//! A setting tells the same whether it is a record of its own, contained, or only displayed.

use super::pointing::scene;
use serde_json::{Value, json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_is_contained_or_displayed_tells() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    for (name, status) in [("Riverside Methadone Clinic", 404), ("Riverside Clinic", 200)] {
        let place = json!({"resourceType": "Location", "id": "l", "name": name});
        let visit = |members: Value| {
            let mut visit = json!({"resourceType": "Encounter", "id": "e", "status": "finished", "class": class});
            visit.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            visit
        };
        let mut checked = Vec::new();
        for members in [
            json!({"contained": [visit(json!({"type": [{"text": name}]}))], "encounter": {"reference": "#e"}}),
            json!({"contained": [visit(json!({"location": [{"location": {"reference": "#l"}}]})), place], "encounter": {"reference": "#e"}}),
            json!({"contained": [visit(json!({"serviceProvider": {"display": name}}))], "encounter": {"reference": "#e"}}),
            json!({"encounter": {"display": name}}),
        ] {
            checked.push(format!("Observation/{}", scene.measured(members).await));
        }
        let done = json!({"status": "completed", "code": {"text": "Inspection"}, "location": {"display": name}});
        checked.push(format!("Procedure/{}", scene.file("Procedure", done).await));
        for members in
            [json!({"location": [{"location": {"reference": "#l"}}], "contained": [place]}), json!({"serviceProvider": {"display": name}})]
        {
            let mut members = members;
            members["status"] = json!("finished");
            members["class"] = class.clone();
            let visit = scene.file("Encounter", members).await;
            let during = scene.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}})).await;
            checked.extend([format!("Encounter/{visit}"), format!("Observation/{during}")]);
        }
        for path in checked {
            let read = scene.b.get(&path).await;
            assert_eq!(read.status, status, "{name} {path}: {}", read.text());
        }
    }
}

/// A role or a unit that says itself for which clinic it is leads there as one that refers to its record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_displays_or_contains_its_clinic_is_not_named() {
    let scene = scene().await;
    for (name, is_shown) in [("Riverside Methadone Clinic", false), ("Riverside Clinic", true)] {
        let clinic = json!([{"resourceType": "Organization", "id": "c", "name": name}]);
        for (kind, members) in [
            ("PractitionerRole", json!({"organization": {"display": name}})),
            ("PractitionerRole", json!({"contained": clinic, "organization": {"reference": "#c"}})),
            ("PractitionerRole", json!({"location": [{"display": name}]})),
            ("Organization", json!({"name": "Ward 4", "partOf": {"display": name}})),
        ] {
            let mut by = members;
            by["resourceType"] = json!(kind);
            let performer = json!([{"reference": format!("{kind}/{}", scene.a.create(&by).await)}]);
            let id = scene.measured(json!({"performer": performer})).await;
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
            assert_eq!(read["performer"].is_array(), is_shown, "{by}: {read}");
        }
    }
}
