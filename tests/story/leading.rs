//! A record that is stored here and leads, by what is stored here, to what lies at a holder alone is decided by that.

use super::settings::{Scene, at, encounter, measured, with_id, withholding};
use crate::support::data::bundle;
use crate::support::holder::Behaviour;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const TELLING: &str = "Riverside Methadone Clinic";
const ORDINARY: &str = "Main building";

/// What it is, what is stored on the way, the record itself, and what the holder has under a name.
type Case = (&'static str, Vec<Value>, Value, fn(&str) -> Value);

async fn scene() -> Scene {
    Scene::configured(withholding, "source = \"hospital-a\"", "").await
}

fn named(kind: &str, id: &str, name: &str) -> Value {
    json!({"resourceType": kind, "id": id, "name": name})
}

fn link(reference: &str) -> Value {
    json!({"reference": reference})
}

impl Scene {
    /// A record of the patient, under an id of the sender's.
    fn own(&self, mut resource: Value, id: &str) -> Value {
        resource["id"] = json!(id);
        for element in ["subject", "patient"] {
            if resource.get(element).is_some() {
                resource[element] = link(&format!("Patient/{}", self.patient));
            }
        }
        resource
    }

    /// Sends records in one batch; their ids here, in the same order.
    async fn send_together(&self, records: Vec<(String, Value)>) -> Vec<String> {
        let entries = records.into_iter().map(|(id, record)| {
            let record = self.own(record, &id);
            let url = format!("{}/{id}", record["resourceType"].as_str().unwrap());
            json!({"resource": record, "request": {"method": "PUT", "url": url}})
        });
        let answer = self.a.post("", &bundle("batch", entries.collect())).await.expect(200).json();
        let id_of = |entry: &Value| {
            let location = entry["response"]["location"].as_str().unwrap_or_else(|| panic!("{entry}"));
            location.split("/_history").next().unwrap().rsplit('/').next().unwrap().to_owned()
        };
        answer["entry"].as_array().unwrap().iter().map(id_of).collect()
    }

    /// Sends what names others as the sender does, by the sender's ids.
    async fn send(&self, resource: Value, id: &str) -> String {
        let resource = self.own(resource, id);
        let path = format!("{}/{id}", resource["resourceType"].as_str().unwrap());
        let answer = self.a.put(&path, &resource).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stored_setting_leads_to_at_a_holder_counts() {
    let visit = |more: Value| encounter(more);
    let cases: [Case; 5] = [
        ("a place", vec![visit(json!({"location": [{"location": link("Location/x")}]}))], measured(at("Encounter/e1")), |name| {
            named("Location", "x", name)
        }),
        ("a provider", vec![visit(json!({"serviceProvider": link("Organization/x")}))], measured(at("Encounter/e1")), |name| {
            named("Organization", "x", name)
        }),
        ("a longer visit", vec![visit(json!({"partOf": link("Encounter/x")}))], measured(at("Encounter/e1")), |name| {
            with_id(encounter(json!({"type": [{"text": name}]})), "x")
        }),
        (
            "whose a room is",
            vec![
                json!({"resourceType": "Location", "id": "l1", "name": "Room 3", "managingOrganization": link("Organization/x")}),
                visit(json!({"location": [{"location": link("Location/l1")}]})),
            ],
            measured(at("Encounter/e1")),
            |name| named("Organization", "x", name),
        ),
        (
            "an id that is none of FHIR",
            vec![visit(json!({"serviceProvider": link("Organization/x_1")}))],
            measured(at("Encounter/e1")),
            |name| named("Organization", "x_1", name),
        ),
    ];
    for (what, carriers, record, at_holder) in cases {
        let is_askable = !what.starts_with("an id");
        for (name, is_shown) in [(TELLING, false), (ORDINARY, is_askable)] {
            let scene = scene().await;
            for carrier in &carriers {
                scene.send(carrier.clone(), carrier["id"].as_str().unwrap()).await;
            }
            let id = scene.send(record.clone(), "o1").await;
            scene.hold(vec![at_holder(name)]);
            let status = if is_shown { 200 } else { 404 };
            scene.b.get(&format!("Observation/{id}")).await.expect(status);
            let found = scene.search("Observation").await;
            assert_eq!(found["total"], json!(u8::from(is_shown)), "{what} {name}: {found}");
            // What refers to it does not name it either.
            let report = json!({"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Panel"}, "subject": {},
                "result": [link("Observation/o1")]});
            let report = scene.send(report, "d1").await;
            let read = scene.b.get(&format!("DiagnosticReport/{report}")).await.expect(200).json();
            assert_eq!(read["result"].is_array(), is_shown, "{what} {name}: {read}");
            // A holder's own record that took place in a stored visit is decided by the same.
            let mut theirs = measured(at("Encounter/e1"));
            theirs["id"] = json!("o2");
            scene.hold(vec![at_holder(name), theirs]);
            let found = scene.search("Observation").await;
            assert_eq!(found["total"], json!(if is_shown { 2 } else { 0 }), "{what} {name}: {found}");
        }
    }
}

/// However much came in together and however differently it turns on what is not here, each record is shown by a search as it is shown alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_in_together_is_shown_by_a_search_as_each_is_alone() {
    let scene = scene().await;
    let typed = |id: &str, text: &str| with_id(encounter(json!({"type": [{"text": text}]})), id);
    let by_identifier =
        |element: &str, type_name: &str| json!({"type": type_name, "identifier": {"system": format!("urn:{element}"), "value": "7"}});
    let with = |element: &str, value: Value| {
        let mut record = measured(None);
        record[element] = value;
        record
    };
    let cases: Vec<(Value, bool)> = vec![
        (measured(None), true),
        (measured(at("Encounter/plain")), true),
        (measured(at("Encounter/telling")), false),
        (measured(at("Encounter/nowhere")), false),
        (measured(at("Encounter/stored")), false),
        (measured(at("Encounter/stored-plain")), true),
        (with("encounter", by_identifier("visit", "Encounter")), true),
        (with("specimen", by_identifier("specimen", "Specimen")), true),
        (with("performer", json!([link("Organization/telling")])), true),
        (with("performer", json!([link("PractitionerRole/role")])), true),
    ];
    let place = |id: &str| json!([{"location": link(&format!("Location/{id}"))}]);
    let role = json!({"resourceType": "PractitionerRole", "organization": link("Organization/telling")});
    let mut records = vec![
        ("stored".to_owned(), encounter(json!({"location": place("telling")}))),
        ("stored-plain".to_owned(), encounter(json!({"location": place("plain")}))),
        ("role".to_owned(), role),
    ];
    for copy in 0..4 {
        records.extend(cases.iter().enumerate().map(|(place, (record, _))| (format!("o{copy}-{place}"), record.clone())));
    }
    let before = records.len() - 4 * cases.len();
    let ids = scene.send_together(records).await;
    scene.hold(vec![
        typed("plain", "Visit"),
        typed("telling", "Substance use counselling"),
        named("Location", "telling", TELLING),
        named("Location", "plain", ORDINARY),
        named("Organization", "telling", TELLING),
    ]);
    let found = scene.b.search(&format!("Observation?patient={}&_count=100", scene.patient)).await;
    let found: BTreeSet<&str> = found.iter().filter_map(|record| record["id"].as_str()).collect();
    for (place, id) in ids.iter().skip(before).enumerate() {
        let (record, is_shown) = &cases[place % cases.len()];
        assert_eq!(found.contains(id.as_str()), *is_shown, "{record}");
        let alone = scene.b.get(&format!("Observation/{id}")).await.expect(if *is_shown { 200 } else { 404 }).json();
        assert!(!is_shown || record.get("performer").is_none() || alone.get("performer").is_none(), "{alone}");
    }
}

/// What came in together is read again once, and each record is decided on once for all that is not here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_records_that_turn_on_what_is_not_here_cost_each_as_much_as_few() {
    let mut took = Vec::new();
    for count in [100, 1_000] {
        let scene = scene().await;
        let records = (0..count).map(|one| (format!("o{one}"), measured(at(&format!("Encounter/e{}", one / 5)))));
        let ids = scene.send_together(records.collect()).await;
        assert_eq!(ids.len(), count);
        scene.hold(Vec::new());
        let asked = Instant::now();
        assert_eq!(scene.search("Observation").await["total"], 0);
        took.push(asked.elapsed());
    }
    assert!(took[1] < took[0] * 25, "ten times as many may take some ten times as long: {took:?}");
}

/// Whoever did something in a stored role, for an institution that only a holder has, is not named where the institution tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stored_role_leads_to_at_a_holder_counts() {
    for (carrier, performer) in [
        (json!({"resourceType": "PractitionerRole", "id": "r1", "organization": link("Organization/x")}), "PractitionerRole/r1"),
        (json!({"resourceType": "Organization", "id": "r1", "name": "Ward 4", "partOf": link("Organization/x")}), "Organization/r1"),
    ] {
        for (name, is_shown) in [(TELLING, false), (ORDINARY, true)] {
            let scene = scene().await;
            scene.send(carrier.clone(), "r1").await;
            let mut record = measured(None);
            record["performer"] = json!([link(performer)]);
            let id = scene.send(record, "o1").await;
            scene.hold(vec![named("Organization", "x", name)]);
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
            assert_eq!(read["performer"].is_array(), is_shown, "{performer} {name}: {read}");
        }
    }
}

/// How long it took to learn at the holder what hides something tells nobody that there was anything to learn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_holder_hides_is_answered_no_later_than_what_is_not_there() {
    const LATE: Duration = Duration::from_millis(80);
    let scene = scene().await;
    let id = scene.send(measured(at("Encounter/x")), "o1").await;
    scene.hold(vec![with_id(encounter(json!({"type": [{"text": TELLING}]})), "x")]);
    scene.clinic.behave(Behaviour::Late(LATE));
    // It becomes known how slow it is.
    for _ in 0..30 {
        assert_eq!(scene.search("Observation").await["total"], 0);
    }
    let absent = format!("hg-{}", "0".repeat(26));
    let of_patient = format!("Observation?patient={}", scene.patient);
    let twins = [
        (format!("Observation/{id}"), format!("Observation/{absent}")),
        (format!("Observation?_id={id}"), format!("Observation?_id={absent}")),
        (format!("{of_patient}&code=718-7"), format!("{of_patient}&code=718-8")),
    ];
    for (hidden, absent) in twins {
        let mut least = [Duration::MAX; 2];
        for _ in 0..7 {
            for (path, least) in [&hidden, &absent].into_iter().zip(&mut least) {
                let asked = Instant::now();
                scene.b.get(path).await;
                *least = asked.elapsed().min(*least);
            }
        }
        let [later, sooner] = least;
        assert!(later.abs_diff(sooner) < LATE / 2, "{hidden}: {later:?}, {absent}: {sooner:?}");
    }
}
