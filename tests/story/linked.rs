//! Chains, `_has`, includes and `$everything`: searches through other resources, in which the hidden ones neither select nor come along.

use crate::support::data::{bundle, observation, patient, permit, permit_to};
use crate::support::party::ids;
use crate::support::{Answer, Party, World};
use serde_json::{Value, json};

/// Two patients of hospital A, alike but for what hospital B may see.
struct Twins {
    world: World,
    a: Party,
    b: Party,
    open: Record,
    closed: Record,
}

struct Record {
    patient: String,
    seen: String,
    visit: String,
}

async fn record(a: &Party, number: &str) -> Record {
    let id = a.create(&patient(number)).await;
    let reference = format!("Patient/{id}");
    let visit = json!({"resourceType": "Encounter", "status": "finished", "subject": {"reference": reference},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}});
    let visit = a.create(&visit).await;
    let mut seen = observation(&reference);
    seen["encounter"] = json!({"reference": format!("Encounter/{visit}")});
    let seen = a.create(&seen).await;
    Record { patient: id, seen, visit }
}

impl Twins {
    async fn new() -> Twins {
        let world = World::start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let (open, closed) = (record(&a, "1").await, record(&a, "2").await);
        a.create(&permit_to(&open.patient, "hospital-b")).await;
        Twins { world, a, b, open, closed }
    }
}

fn modes(answer: &Answer, mode: &str) -> Vec<String> {
    let entries = answer.json()["entry"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<String> = entries
        .iter()
        .filter(|entry| entry["search"]["mode"] == mode)
        .map(|entry| format!("{}/{}", entry["resource"]["resourceType"].as_str().unwrap(), entry["resource"]["id"].as_str().unwrap()))
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_lead_only_through_what_may_be_seen() {
    let twins = Twins::new().await;
    let (open, closed) = (&twins.open, &twins.closed);
    let cases = [
        ("Observation?subject:Patient.gender=female", vec![&open.seen], vec![&open.seen, &closed.seen]),
        ("Observation?patient.identifier=1", vec![&open.seen], vec![&open.seen]),
        ("Observation?patient.identifier=2", vec![], vec![&closed.seen]),
        ("Observation?encounter.status=finished", vec![&open.seen], vec![&open.seen, &closed.seen]),
        ("Observation?encounter.subject:Patient.birthdate=1970-03-01", vec![&open.seen], vec![&open.seen, &closed.seen]),
        ("Patient?_has:Observation:patient:code=718-7", vec![&open.patient], vec![&open.patient, &closed.patient]),
        ("Patient?_has:Observation:patient:code=1-8", vec![], vec![]),
        ("Patient?_has:Observation:patient:value-quantity=gt13", vec![&open.patient], vec![&open.patient, &closed.patient]),
        ("Patient?_has:Observation:patient:encounter.status=finished", vec![&open.patient], vec![&open.patient, &closed.patient]),
        ("Encounter?_has:Observation:encounter:subject:Patient.gender=female", vec![&open.visit], vec![&open.visit, &closed.visit]),
    ];
    for (query, for_b, for_a) in cases {
        for (party, expected) in [(&twins.b, for_b), (&twins.a, for_a)] {
            let answer = party.get(query).await.expect(200);
            let mut found = ids(&answer.matches());
            found.sort();
            let mut expected: Vec<String> = expected.into_iter().cloned().collect();
            expected.sort();
            assert_eq!(found, expected, "{query}");
            assert_eq!(answer.json()["total"], json!(expected.len()), "{query}");
        }
    }
    // What the token may not search it may not search through either.
    let narrow = twins.world.party_with("hospital-b", "system/Observation.rs").await;
    narrow.get("Observation?subject:Patient.gender=female").await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_along_is_only_what_may_be_seen() {
    let twins = Twins::new().await;
    let (open, closed) = (&twins.open, &twins.closed);
    // A record of B's own that refers to both patients of A.
    let list = json!({"resourceType": "Group", "type": "person", "actual": true, "member": [
        {"entity": {"reference": format!("Patient/{}", open.patient)}}, {"entity": {"reference": format!("Patient/{}", closed.patient)}}]});
    let list = twins.b.create(&list).await;
    let along = |record: &Record| vec![format!("Encounter/{}", record.visit), format!("Patient/{}", record.patient)];

    let answer = twins.b.get("Observation?_include=Observation:subject&_include=Observation:encounter").await.expect(200);
    assert_eq!(modes(&answer, "match"), [format!("Observation/{}", open.seen)]);
    assert_eq!(modes(&answer, "include"), along(open));
    assert_eq!(answer.json()["total"], 1, "what comes along does not count");
    let wild = twins.b.get("Observation?_include=*").await.expect(200);
    assert_eq!(modes(&wild, "include"), along(open));

    let members = twins.b.get(&format!("Group?_id={list}&_include=Group:member")).await.expect(200);
    assert_eq!(modes(&members, "include"), [format!("Patient/{}", open.patient)]);
    let iterated =
        twins.b.get(&format!("Group?_id={list}&_include=Group:member&_revinclude:iterate=Observation:subject")).await.expect(200);
    assert_eq!(modes(&iterated, "include"), [format!("Observation/{}", open.seen), format!("Patient/{}", open.patient)]);

    let reverse = twins.b.get("Patient?_revinclude=Observation:subject&_revinclude=Encounter:patient").await.expect(200);
    assert_eq!(modes(&reverse, "include"), [format!("Encounter/{}", open.visit), format!("Observation/{}", open.seen)]);
    let all = twins.a.get("Patient?_revinclude=Observation:subject").await.expect(200);
    assert_eq!(modes(&all, "include").len(), 2, "the sender sees all it sent");
    // A type that the token may not read does not come along.
    let narrow = twins.world.party_with("hospital-b", "system/Observation.rs").await;
    assert!(modes(&narrow.get("Observation?_include=*").await.expect(200), "include").is_empty());
    // What comes along is disclosed, and the audit record says so.
    let audits = twins.world.audit_events().await;
    let named = |audit: &Value| audit["entity"].to_string().contains(&open.visit);
    assert!(audits.iter().any(named), "the record of a search names what came along with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_of_a_patient_is_everything_that_may_be_seen() {
    let twins = Twins::new().await;
    let (open, closed) = (&twins.open, &twins.closed);
    let everything = |record: &Record| format!("Patient/{}/$everything", record.patient);
    let of_open = twins.b.get(&everything(open)).await.expect(200);
    let expected = [format!("Patient/{}", open.patient), format!("Encounter/{}", open.visit), format!("Observation/{}", open.seen)];
    assert!(expected.iter().all(|each| modes(&of_open, "match").contains(each)), "{:?}", modes(&of_open, "match"));
    assert_eq!(of_open.matches()[0]["resourceType"], "Patient", "the patient comes first");
    // Hidden is like absent.
    let hidden = twins.b.get(&everything(closed)).await.expect(404);
    let absent = twins.b.get("Patient/hg-aaaaaaaaaaaaaaaaaaaaaaaaaa/$everything").await.expect(404);
    assert_eq!(hidden.json(), absent.json());
    // By type, by time and in pages.
    let typed = twins.b.get(&format!("{}?_type=Observation", everything(open))).await.expect(200);
    assert_eq!(modes(&typed, "match"), [format!("Observation/{}", open.seen)]);
    let later = twins.b.get(&format!("{}?_since=2999-01-01T00:00:00Z&_type=Observation", everything(open))).await.expect(200);
    assert!(later.matches().is_empty());
    let mut found = Vec::new();
    let mut next = Some(format!("{}?_count=1", everything(open)));
    while let Some(path) = next {
        let page = twins.b.get(&path).await.expect(200);
        assert!(page.matches().len() <= 1);
        found.extend(modes(&page, "match"));
        next = page.link("next");
        assert!(found.len() <= 10, "pages that never end");
    }
    found.sort();
    assert_eq!(found, modes(&of_open, "match"), "the pages together are the whole");
    for bad in ["?start=2020", "?_type=Thing", "?_since=x", "?_count=x"] {
        twins.b.get(&format!("{}{bad}", everything(open))).await.expect(400);
    }
    // A consent about some types opens those alone.
    let mut consent = permit(&closed.patient);
    consent["provision"]["class"] = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}]);
    twins.a.create(&consent).await;
    let partly = twins.b.get(&everything(closed)).await.expect(200);
    let seen = modes(&partly, "match");
    assert!(seen.contains(&format!("Patient/{}", closed.patient)), "{seen:?}");
    assert!(!seen.iter().any(|each| each.starts_with("Observation/") || each.starts_with("Encounter/")), "{seen:?}");
    let entry = json!({"request": {"method": "GET", "url": everything(open)}});
    let batch = twins.b.post("", &bundle("batch", vec![entry])).await.expect(200).json();
    assert_eq!(batch["entry"][0]["response"]["status"], "400", "operations are not offered inside a Bundle");
}
