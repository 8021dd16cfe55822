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

/// What is contained may be a record here, by its identifier, and tells what that tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contained_setting_tells_what_the_record_of_its_identifier_does() {
    let scene = scene().await;
    for (number, name, is_shown) in [("1", "Riverside Methadone Clinic", false), ("2", "Riverside Clinic", true)] {
        let identifier = json!([{"system": "urn:oid:1.2.3.99", "value": number}]);
        for kind in ["Location", "Organization"] {
            scene.a.create(&json!({"resourceType": kind, "name": name, "identifier": identifier})).await;
        }
        let place = json!({"resourceType": "Location", "id": "l", "identifier": identifier});
        let done = json!({"status": "completed", "code": {"text": "Inspection"}, "contained": [place], "location": {"reference": "#l"}});
        let done = scene.file("Procedure", done).await;
        assert_eq!(scene.b.get(&format!("Procedure/{done}")).await.status == 200, is_shown, "{name}");
        // Who did something is not named, and the record stays.
        let clinic = json!([{"resourceType": "Organization", "id": "o", "identifier": identifier}]);
        let id = scene.measured(json!({"contained": clinic, "performer": [{"reference": "#o"}]})).await;
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
        assert_eq!((read["performer"].is_array(), read["contained"].is_array()), (is_shown, is_shown), "{read}");
    }
}
