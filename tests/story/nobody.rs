//! The trail of what is about nobody: who sent it, what became of it, who saw it; also where it was about somebody in one of its versions, and where the
//! log is of an older gateway, whose leaves had no tag for it.

use super::evidence::{moved_to, receipt, versions};
use super::trail::{Case, party, resources, trail_of};
use crate::support::data::{bundle, creates, observation, patient};
use crate::support::world::OFFICER;
use crate::support::{Call, Party, Setup, World};
use hearthgate::anchor::{CANONICAL_DOMAIN, Erased, Leaf, PROVENANCE_DOMAIN, RAW_DOMAIN, Tags, commitment, provenance_key};
use hearthgate::clock::{Entropy, Instant};
use hearthgate::definitions::Definitions;
use hearthgate::evidence::{Kept, Receipt, Report, Why, verify};
use hearthgate::fhir::json as text;
use hearthgate::search::terms;
use hearthgate::store::{Committed, Keyring, LeafDraft, Method, Unit, VersionDraft};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn practitioner(family: &str) -> Value {
    json!({"resourceType": "Practitioner", "name": [{"family": family}], "gender": "female"})
}

fn without_subject() -> Value {
    let mut observation = observation("");
    observation.as_object_mut().unwrap().remove("subject");
    observation
}

async fn package(regulator: &Party, of: &str) -> Vec<u8> {
    regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200).bytes
}

async fn verified(world: &World, regulator: &Party, of: &str, receipts: &[Receipt]) -> Report {
    let report = verify(&package(regulator, of).await, &world.policy(), &Kept { receipts, ..Kept::default() }).unwrap();
    assert_eq!(report.problems, Vec::<String>::new(), "{of}");
    report
}

/// What was done, in order, without who asked for the trail.
fn told(trail: &Value) -> Vec<(String, String)> {
    let events = resources(trail, "AuditEvent").into_iter();
    let told =
        events.map(|event| (event["subtype"][0]["code"].as_str().unwrap().to_owned(), event["outcome"].as_str().unwrap().to_owned()));
    told.filter(|(what, _)| what != "operation").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_about_nobody_has_a_trail_of_its_own() {
    let case = Case::new().await;
    let (a, b, regulator) = (&case.a, &case.b, &case.regulator);
    let id = a.create(&practitioner("Quillfeather")).await;
    let other = a.create(&practitioner("Somebodyelse")).await;
    let of = format!("Practitioner/{id}");
    let mut corrected = practitioner("Quillfeather");
    (corrected["id"], corrected["gender"]) = (json!(id), json!("male"));
    a.put(&of, &corrected).await.expect(200);
    let mut wrong = corrected.clone();
    wrong["gender"] = json!("bogus");
    a.put(&of, &wrong).await.expect(422);
    b.get(&of).await.expect(200);
    assert_eq!(b.search("Practitioner").await.len(), 2);
    b.get("Practitioner/nobody").await.expect(404);
    let trail = trail_of(&case, &of).await;
    assert_eq!(versions(&trail), ["1", "2"], "{trail:#}");
    let expected = [("create", "0"), ("update", "0"), ("update", "4"), ("read", "0"), ("search-type", "0")];
    assert_eq!(told(&trail), expected.map(|(what, outcome)| (what.to_owned(), outcome.to_owned())), "{trail:#}");
    // The search found another too, and has a record under the tag of each.
    assert_eq!(resources(&trail, "OperationOutcome").len(), 0, "{trail:#}");
    let events = resources(&trail, "AuditEvent").into_iter();
    assert!(events.clone().count() > 4 && events.clone().all(|event| !event.to_string().contains(&other)), "{trail:#}");
    let receipts = [receipt(a, &format!("{of}/_history/1")).await, receipt(a, &format!("{of}/_history/2")).await];
    let report = verified(&case.world, regulator, &of, &receipts).await;
    assert_eq!((report.provenances, report.unproved, report.tags, report.bound.len(), report.receipts), (2, 0, 1, 1, 2));
    assert_eq!(report.owners, Some(1));
    assert_eq!((report.untagged.len(), report.tagged_from), (0, None));
    // Nobody else may ask, and nobody learns whether there is such a record.
    for (id, party) in [(id.as_str(), a), (id.as_str(), b), ("nobody", b)] {
        assert_eq!(party.get(&format!("Practitioner/{id}/$provenance-trail")).await.expect(403).issue(), "forbidden");
    }
    regulator.get("Practitioner/nobody/$provenance-trail").await.expect(404);
    // What was done is told in the trails of what it was done with.
    let event = resources(&trail, "AuditEvent")[0]["id"].as_str().unwrap();
    regulator.get(&format!("AuditEvent/{event}/$provenance-trail")).await.expect(404);
    let stated = resources(&trail, "Provenance")[0]["id"].as_str().unwrap();
    regulator.get(&format!("Provenance/{stated}/$provenance-trail")).await.expect(404);
}

/// A deleted record, and one that a receipt of another would have to be in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_has_its_trail_and_nobody_elses_receipt_is_in_it() {
    let case = Case::new().await;
    let (a, regulator) = (&case.a, &case.regulator);
    let id = a.create(&json!({"resourceType": "Organization", "name": "Clinic"})).await;
    let other = a.create(&json!({"resourceType": "Location", "name": "Ward"})).await;
    let of = format!("Organization/{id}");
    a.call(Call::delete(&of)).await.expect(204);
    let trail = trail_of(&case, &of).await;
    assert_eq!(versions(&trail), ["1", "2"], "{trail:#}");
    let report = verified(&case.world, regulator, &of, &[]).await;
    assert_eq!((report.provenances, report.tags, report.untagged.len()), (2, 1, 0));
    let stranger = [receipt(a, &format!("Location/{other}")).await];
    let report = verify(&package(regulator, &of).await, &case.world.policy(), &Kept { receipts: &stranger, ..Kept::default() }).unwrap();
    assert!(matches!(&report.problems[..], [only] if only.contains("does not list it")), "{:?}", report.problems);
}

/// A record that was about nobody, and about somebody, has every version in its trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_about_nobody_once_has_all_its_versions() {
    let case = Case::new().await;
    let (a, regulator) = (&case.a, &case.regulator);
    let here = format!("Patient/{}", case.patient);
    let record = a.create(&without_subject()).await;
    let of = format!("Observation/{record}");
    let first = receipt(a, &format!("{of}/_history/1")).await;
    moved_to(a, &record, &here).await;
    let second = receipt(a, &format!("{of}/_history/2")).await;
    let report = verified(&case.world, regulator, &of, &[first.clone(), second.clone()]).await;
    assert_eq!((report.provenances, report.tags, report.bound.len(), report.receipts), (2, 2, 2, 2));
    assert_eq!(versions(&trail_of(&case, &of).await), ["1", "2"]);
    // And about nobody again: the first such version is told to whom it was about, the next to nobody.
    for status in ["corrected", "amended"] {
        let mut again = without_subject();
        (again["id"], again["status"]) = (json!(record), json!(status));
        a.put(&of, &again).await.expect(200);
    }
    let report = verified(&case.world, regulator, &of, &[first, second]).await;
    assert_eq!((report.provenances, report.tags, report.receipts, report.owners), (4, 2, 2, Some(2)));
    // The patient's own trail has what was about the patient.
    let own = trail_of(&case, &here).await;
    let stated = |number: u32| {
        let version = format!("{of}/_history/{number}");
        resources(&own, "Provenance").iter().any(|one| one["target"][0]["reference"] == version.as_str())
    };
    assert_eq!([1, 2, 3, 4].map(stated), [false, true, true, false]);
    // One that was never about nobody has a package as ever: a tag for its patient, and none beside.
    let one = verified(&case.world, regulator, &format!("Observation/{}", case.seen), &[]).await;
    assert_eq!((one.tags, one.owners), (1, Some(1)));
}

/// What of a record was about nobody goes with the person it was about before, and the trail of what stays says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_about_nobody_and_went_is_explained() {
    let world = Setup::configured(OFFICER).start().await;
    let (a, officer) = (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await);
    let regulator = world.party("health-department").await;
    let (one, other) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
    let record = a.create(&observation(&format!("Patient/{one}"))).await;
    let of = format!("Observation/{record}");
    for status in ["corrected", "amended"] {
        let mut unsaid = without_subject();
        (unsaid["id"], unsaid["status"]) = (json!(record), json!(status));
        a.put(&of, &unsaid).await.expect(200);
    }
    moved_to(&a, &record, &format!("Patient/{other}")).await;
    assert_eq!(verified(&world, &regulator, &of, &[]).await.provenances, 4);
    officer.call(Call::new("POST", &format!("Patient/{one}/$erase"))).await.expect(200);
    let report = verified(&world, &regulator, &of, &[]).await;
    assert_eq!((report.provenances, report.erased_versions), (1, 3));
    assert_eq!(report.erased.values().sum::<usize>(), 1, "the leaf that is nobody's");
    regulator.get(&format!("{of}/$provenance-trail")).await.expect(200);
    verified(&world, &regulator, &format!("Patient/{other}"), &[]).await;
    // A record that is nobody's goes as a whole.
    let id = a.create(&practitioner("Quillfeather")).await;
    officer.call(Call::new("POST", &format!("Practitioner/{id}/$erase"))).await.expect(200);
    regulator.get(&format!("Practitioner/{id}/$provenance-trail")).await.expect(404);
}

/// What was done with a record that is nobody's, and named whoever was erased, lacks that since; the record's own trail has the leaf that names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shortened_in_the_trail_of_what_is_about_nobody_is_named() {
    let world = Setup::configured(OFFICER).start().await;
    let (a, officer) = (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await);
    let regulator = world.party("health-department").await;
    let gone = a.create(&patient("1")).await;
    let one = a.create(&practitioner("Quillfeather")).await;
    let crowd = (0..100).map(|number| creates(&format!("urn:test:{number}"), practitioner("Somebodyelse"))).collect();
    let crowd = a.post("", &bundle("batch", crowd)).await.expect(200).json();
    let location = |entry: &Value| entry["response"]["location"].as_str().unwrap().split('/').nth_back(2).unwrap().to_owned();
    let crowd: Vec<String> = crowd["entry"].as_array().unwrap().iter().map(location).collect();
    // What one search found has a tag, what the other found is a crowd, and is under that of none.
    assert_eq!(a.search(&format!("Practitioner?_id={gone},{one}")).await.len(), 1);
    let beside = format!("Practitioner?_count=200&_id={gone},{one},{}", crowd.join(","));
    assert_eq!(a.get(&beside).await.expect(200).matches().len(), 101);
    let of = format!("Practitioner/{one}");
    let report = verified(&world, &regulator, &of, &[]).await;
    assert_eq!((report.shortened.len(), report.lacking.len(), report.untagged.len()), (0, 0, 1));
    officer.call(Call::new("POST", &format!("Patient/{gone}/$erase"))).await.expect(200);
    let report = verified(&world, &regulator, &of, &[]).await;
    assert_eq!((report.shortened.get(&Erased::Named), report.shortened.len()), (Some(&1), 1), "{report:?}");
    assert_eq!(
        (report.lacking.get(&Why::Shortened), report.untagged.len()),
        (Some(&1), 0),
        "out of what bears no tag nothing may be missing"
    );
    let trail = regulator.get(&format!("{of}/$provenance-trail")).await.expect(200).json();
    let searches = told(&trail).into_iter().filter(|(what, _)| what == "search-type").count();
    assert_eq!((searches, trail.to_string().contains(&gone)), (2, false), "{trail:#}");
}

/// A version as an older gateway anchored it: its leaf is under no tag.
async fn anchored_untagged(world: &World, id: &str) {
    let secret = std::fs::read_to_string(world.data().join("keys/gateway.key")).unwrap();
    let secret = data_encoding::HEXLOWER.decode(secret.trim().as_bytes()).unwrap().try_into().unwrap();
    let keyring = Keyring::open(&world.data().join("keys"), secret, Entropy::system()).unwrap();
    let (key, sealed) = keyring.record(&keyring.patient(None).unwrap()).unwrap();
    let at = Instant::from_seconds(1_790_000_000);
    let parsed = |value: &Value| text::parse(value.to_string().as_bytes(), text::DEFAULT_DEPTH).unwrap();
    let digest = |value: &Value| -> [u8; 32] { Sha256::digest(text::write_canonical(&parsed(value))).into() };
    let mut resource = practitioner("Quillfeather");
    resource["id"] = json!(id);
    resource["meta"] = json!({"versionId": "1", "lastUpdated": at.to_fhir_instant()});
    let stated = json!({"resourceType": "Provenance", "id": "older-provenance", "meta": {"versionId": "1"},
        "target": [{"reference": format!("Practitioner/{id}/_history/1")}], "recorded": at.to_fhir_instant(), "agent": [{"who": {"display": "x"}}]});
    let canonical = commitment(&key, CANONICAL_DOMAIN, &digest(&resource));
    let provenance = commitment(&provenance_key(&key), PROVENANCE_DOMAIN, &digest(&stated));
    let leaf = Leaf::version(at, Tags::default(), commitment(&key, RAW_DOMAIN, &[0; 32]), canonical, provenance);
    let draft = |type_name: &str, value: &Value, leaf| VersionDraft {
        type_name: type_name.to_owned(),
        id: value["id"].as_str().unwrap().to_owned(),
        version: 1,
        at,
        method: Method::Create,
        source: "hospital-a".to_owned(),
        document: text::write(&parsed(value)),
        terms: terms(Definitions::embedded(), &parsed(value)),
        old_terms: Vec::new(),
        former: Vec::new(),
        leaf,
        place: None,
    };
    let unit = Unit {
        versions: vec![draft("Practitioner", &resource, Some(0)), draft("Provenance", &stated, None)],
        leaves: vec![LeafDraft { entry: leaf.encode(), tags: Vec::new(), key: Some(sealed), patient: None, is_unseen: false }],
        ..Unit::default()
    };
    assert!(matches!(world.running.store.commit(unit).await, Ok(Committed::Done { .. })));
}

/// Of before there were tags for what is about nobody, the versions are told, and from where on these are all is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_gateway_anchored_is_told_and_from_where_on_the_proof_is_whole() {
    let case = Case::new().await;
    let (a, regulator) = (&case.a, &case.regulator);
    let of = "Practitioner/hg-0123456789abcdefghijklmnop";
    // By now there is a key for what is nobody's.
    a.create(&practitioner("Somebodyelse")).await;
    anchored_untagged(&case.world, "hg-0123456789abcdefghijklmnop").await;
    let trail = trail_of(&case, of).await;
    assert_eq!(versions(&trail), ["1"], "{trail:#}");
    let remarks = resources(&trail, "OperationOutcome");
    assert!(remarks.len() == 1 && remarks[0].to_string().contains("1 entries"), "{remarks:?}");
    let mut corrected = practitioner("Quillfeather");
    corrected["id"] = json!("hg-0123456789abcdefghijklmnop");
    a.put(of, &corrected).await.expect(200);
    let report = verified(&case.world, regulator, of, &[]).await;
    assert_eq!((report.provenances, report.untagged.len(), report.tags), (2, 1, 1));
    let first = *report.untagged.first().unwrap();
    assert!(report.tagged_from.is_some_and(|from| from > first), "{report:?}");
}
