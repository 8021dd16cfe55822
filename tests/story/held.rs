//! The versions and the history of what only a holder has.

use crate::support::data::{observation, permit, person};
use crate::support::holder::Holder;
use crate::support::world::PERSON;
use crate::support::{Party, Setup, World};
use serde_json::{Value, json};

/// What the consent withholds.
const WITHHELD: &str = "PSY";

/// Hospital A's patient, of whom a clinic has a measurement in three versions; hospital B, who may see them, has found it.
struct Scene {
    _world: World,
    _clinic: Holder,
    a: Party,
    b: Party,
    patient: String,
    /// The measurement.
    path: String,
}

/// A version of the measurement, labelled or not.
fn version(number: u32, label: Option<&str>) -> Value {
    let mut version = observation("Patient/77");
    version["id"] = json!("o1");
    version["valueQuantity"]["value"] = json!(number);
    version["meta"] = json!({"versionId": number.to_string(), "lastUpdated": format!("2026-01-0{number}T12:00:00Z")});
    if let Some(label) = label {
        version["meta"]["security"] = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": label}]);
    }
    version
}

/// The versions, newest first. `found` is one of them with which the holder began, so that hospital B could find it.
async fn scene(found: Value, versions: Vec<Value>) -> Scene {
    let mut known = person("1");
    known["id"] = json!("77");
    let clinic = Holder::start(vec![known.clone(), found]).await;
    let configured = format!(
        "[[holder]]\nname = \"clinic\"\nbase_url = \"{}\"\nidentifier_systems = [\"{PERSON}\"]\ntimeout_ms = 400\nbody_limit_bytes = 65536\n\
         organisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"clinic\" }}, name = \"Clinic\" }}\n",
        clinic.base
    );
    let world = Setup::configured(configured).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = a.create(&person("1")).await;
    let mut consent = permit(&patient);
    let withheld = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": WITHHELD}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": withheld}]);
    a.create(&consent).await;
    let found = b.search(&format!("Observation?patient={patient}")).await;
    let path = format!("Observation/{}", found[0]["id"].as_str().unwrap());
    clinic.hold(std::iter::once(known).chain(versions).collect());
    Scene { _world: world, _clinic: clinic, a, b, patient, path }
}

fn numbers(history: &Value) -> Vec<i64> {
    let entries = history["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["valueQuantity"]["value"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_holder_has_can_be_asked_for_in_every_version() {
    let Scene { _world, _clinic, b, patient, path, .. } =
        scene(version(3, None), vec![version(3, None), version(2, None), version(1, None)]).await;
    for number in 1..=3 {
        let read = b.get(&format!("{path}/_history/{number}")).await.expect(200).json();
        assert_eq!((read["valueQuantity"]["value"].clone(), read["id"].clone()), (json!(number), json!(path.split_once('/').unwrap().1)));
        assert_eq!(read["subject"]["reference"], format!("Patient/{patient}"));
    }
    for unknown in ["4", "none", "a%20b"] {
        b.get(&format!("{path}/_history/{unknown}")).await.expect(404);
    }
    let history = b.get(&format!("{path}/_history")).await.expect(200).json();
    assert_eq!(numbers(&history), [3, 2, 1], "{history}");
    assert_eq!(history["entry"][0]["response"]["etag"], "W/\"3\"");
    assert_eq!(history["entry"][0]["request"], json!({"method": "PUT", "url": path}));
    assert!(history["entry"][0]["fullUrl"].as_str().unwrap().ends_with(&format!("/fhir/{path}")));
    let since = b.get(&format!("{path}/_history?_since=2026-01-02T00:00:00Z")).await.expect(200).json();
    assert_eq!(numbers(&since), [3, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_it_goes_on_until_the_consents_change() {
    let Scene { _world, _clinic, a, b, patient, path } =
        scene(version(3, None), vec![version(3, None), version(2, None), version(1, None)]).await;
    let mut next = Some(format!("{path}/_history?_count=1"));
    let mut seen = Vec::new();
    let mut links = Vec::new();
    while let Some(page) = next {
        let answer = b.get(&page).await.expect(200);
        seen.extend(numbers(&answer.json()));
        next = answer.link("next");
        links.extend(next.clone());
    }
    assert_eq!(seen, [3, 2, 1]);
    a.create(&permit(&patient)).await;
    b.get(&links[0]).await.expect(400).issue();
    b.get(&format!("{path}/_history")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_added_later_hides_the_versions_before() {
    let labelled = || version(3, Some(WITHHELD));
    let Scene { _world, _clinic, b, path, .. } = scene(version(2, None), vec![labelled(), version(2, None), version(1, None)]).await;
    for hidden in ["", "/_history", "/_history/3", "/_history/2", "/_history/1"] {
        b.get(&format!("{path}{hidden}")).await.expect(404);
    }
    // One that was labelled and is no longer is hidden alone.
    let Scene { _world, _clinic, b, path, .. } =
        scene(version(3, None), vec![version(3, None), version(2, Some(WITHHELD)), version(1, None)]).await;
    assert_eq!(numbers(&b.get(&format!("{path}/_history")).await.expect(200).json()), [3, 1]);
    b.get(&format!("{path}/_history/2")).await.expect(404);
}
