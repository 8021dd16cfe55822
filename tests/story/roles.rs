//! Whoever did something in a role did it for somebody and somewhere: a role that leads to an institution whose kind is withheld names that institution.

use super::pointing::{Scene, VISITS, by_identifier, scene};
use serde_json::{Value, json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn to(kind: &str, id: &str) -> Value {
    json!({"reference": format!("{kind}/{id}")})
}

/// A record of a type that is nobody's, with some members.
fn of_nobody(kind: &str, members: Value) -> Value {
    let mut resource = members;
    resource["resourceType"] = json!(kind);
    resource
}

/// How a role leads to an institution, each as members of a PractitionerRole.
async fn ways_to(scene: &Scene, institution: &str) -> Vec<Value> {
    let at = |element: &str| json!({element: to("Organization", institution)});
    let service = scene.a.create(&of_nobody("HealthcareService", at("providedBy"))).await;
    let ward = scene.a.create(&of_nobody("Location", at("managingOrganization"))).await;
    let room = scene.a.create(&of_nobody("Location", json!({"partOf": to("Location", &ward)}))).await;
    let unit = scene.a.create(&of_nobody("Organization", json!({"name": "Unit 4", "partOf": to("Organization", institution)}))).await;
    vec![
        at("organization"),
        json!({"organization": to("Organization", &unit)}),
        json!({"location": [to("Location", &room)]}),
        json!({"healthcareService": [to("HealthcareService", &service)]}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_at_an_institution_that_tells_is_not_named() {
    let scene = scene().await;
    let practitioner = scene.a.create(&of_nobody("Practitioner", json!({"name": [{"family": "Rowe"}]}))).await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    for (name, is_shown) in [("Riverside Methadone Clinic", false), ("Riverside Clinic", true)] {
        let clinic = scene.a.create(&of_nobody("Organization", json!({"name": name}))).await;
        let mut ways = ways_to(&scene, &clinic).await;
        let specialty = if is_shown { "Cardiology" } else { "Opioid use disorder" };
        ways.push(json!({"specialty": [{"text": specialty}]}));
        for (number, mut role) in ways.into_iter().enumerate() {
            role["practitioner"] = to("Practitioner", &practitioner);
            role["identifier"] = json!([{"system": VISITS, "value": format!("{name} {number}")}]);
            let id = scene.a.create(&of_nobody("PractitionerRole", role)).await;
            // Who has which role is known to everybody.
            scene.b.get(&format!("PractitionerRole/{id}")).await.expect(200);
            let by = to("PractitionerRole", &id);
            let numbered = |type_name| {
                let mut named = by_identifier(type_name, "");
                named["identifier"]["value"] = json!(format!("{name} {number}"));
                named
            };
            let authored =
                json!({"status": "active", "intent": "order", "medicationCodeableConcept": {"text": "Paracetamol"}, "requester": by});
            let visit = json!({"status": "finished", "class": class, "participant": [{"individual": by}, {"individual": to("Practitioner", &practitioner)}]});
            for (kind, element, members) in [
                ("Observation", "performer", json!({"status": "final", "code": {"text": "Height"}, "performer": [by]})),
                (
                    "Observation",
                    "performer",
                    json!({"status": "final", "code": {"text": "Height"}, "performer": [numbered(Some("PractitionerRole"))]}),
                ),
                ("Observation", "performer", json!({"status": "final", "code": {"text": "Height"}, "performer": [numbered(None)]})),
                ("MedicationRequest", "requester", authored),
                ("Encounter", "participant", visit),
                ("Condition", "recorder", json!({"code": {"text": "Asthma"}, "recorder": by})),
            ] {
                let path = format!("{kind}/{}", scene.file(kind, members.clone()).await);
                let read = scene.b.get(&path).await.expect(200).json();
                let told = read[element].to_string();
                assert_eq!(told.contains(&id) || told.contains(name), is_shown, "{name} {number} {kind}: {read}");
                assert_eq!(told.contains(&practitioner), kind == "Encounter", "{kind}: {read}");
            }
            let found = scene.b.search(&format!("Observation?performer=PractitionerRole/{id}")).await;
            assert_eq!(found.len(), usize::from(is_shown), "{name} {number}: {found:?}");
            let found = scene.b.get(&format!("PractitionerRole?_id={id}&_revinclude=Observation:performer")).await.expect(200).json();
            assert_eq!(found["entry"].as_array().map_or(0, Vec::len), if is_shown { 2 } else { 1 }, "{found}");
        }
    }
}

/// A performer that is named by a number alone may be a team of the patient's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_that_is_hidden_is_not_named_by_its_number() {
    let scene = scene().await;
    for (name, number, is_shown) in [("Substance use recovery team", "T-1", false), ("Cardiology team", "T-2", true)] {
        let team = scene.file("CareTeam", json!({"name": name, "identifier": [{"system": VISITS, "value": number}]})).await;
        scene.b.get(&format!("CareTeam/{team}")).await.expect(if is_shown { 200 } else { 404 });
        for performer in [to("CareTeam", &team), by_identifier(Some("CareTeam"), number), by_identifier(None, number)] {
            let id = scene.measured(json!({"performer": [performer.clone()]})).await;
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
            assert_eq!(read["performer"], if is_shown { json!([performer]) } else { Value::Null });
        }
    }
}

/// A Practitioner's record that names a patient is hidden, and so is not named as having done something; others' are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_hidden_is_not_named_as_having_done_something() {
    let scene = scene().await;
    let other = scene.a.create(&json!({"resourceType": "Practitioner", "name": [{"family": "Rowe"}]})).await;
    let by = |id: &str| json!({"reference": format!("Practitioner/{id}"), "display": "Dr. Somebody"});
    let shown = async |performer: Value| {
        let id = scene.measured(json!({"performer": [performer]})).await;
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
        read["performer"].to_string()
    };
    assert!(shown(by(&other)).await.contains("Dr. Somebody"));
    let mut own = json!({"resourceType": "Practitioner", "name": [{"family": "Doe"}],
        "identifier": [{"system": "urn:oid:1.3.6.1.9.9", "value": "doe"}]});
    own["extension"] =
        json!([{"url": "https://ehr.example/also-a-patient", "valueReference": {"reference": format!("Patient/{}", scene.patient)}}]);
    let hidden = scene.a.create(&own).await;
    scene.b.get(&format!("Practitioner/{hidden}")).await.expect(404);
    let numbered =
        json!({"type": "Practitioner", "identifier": {"system": "urn:oid:1.3.6.1.9.9", "value": "doe"}, "display": "Dr. Somebody"});
    for performer in [by(&hidden), numbered] {
        let told = shown(performer.clone()).await;
        assert!(!told.contains("Somebody") && !told.contains(&hidden) && !told.contains("doe"), "{performer}: {told}");
    }
    assert!(shown(by(&other)).await.contains("Dr. Somebody"), "others are named as before");
    // Whoever was deleted did what they did.
    scene.a.delete(&format!("Practitioner/{other}")).await.expect(204);
    assert!(shown(by(&other)).await.contains("Dr. Somebody"));
}
