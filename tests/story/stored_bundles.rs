//! Bundles that are kept whole speak of patients and settings in the words of whoever sent them; consents, trails and erasure mean what these mean here.

use crate::support::data::{observation, patient, permit, person};
use crate::support::holder::Holder;
use crate::support::two_patients::TwoPatients;
use crate::support::world::{OFFICER, PERSON};
use crate::support::{Party, Setup};
use serde_json::{Value, json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// What hospital A's records are called there.
const BASE: &str = "https://ehr.hospital-a.example/fhir";

fn named(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

/// Files a resource under its sender's id; answers the gateway's.
async fn put(party: &Party, resource: Value) -> String {
    let path = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    party.put(&path, &resource).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

fn collection(id: &str, entries: &[(&str, Value)]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|(url, resource)| json!({"fullUrl": url, "resource": resource})).collect();
    json!({"resourceType": "Bundle", "id": id, "type": "collection", "entry": entries})
}

/// One result in each way in which its source may say whose it is.
fn bundles(patient_id: &str, number: &str) -> Vec<Value> {
    let result = format!("{BASE}/Observation/o");
    let subjects = [
        format!("Patient/{patient_id}"),
        format!("{BASE}/Patient/{patient_id}"),
        format!("{}//Patient/{patient_id}/_history/1", BASE.replace("https", "http")),
    ];
    let one = |(at, subject): (usize, &String)| collection(&format!("{patient_id}{at}"), &[(&result, named(observation(subject), "o"))]);
    let mut all: Vec<Value> = subjects.iter().enumerate().map(one).collect();
    let (person, told) = ("urn:uuid:22222222-2222-4222-8222-2222222222aa", "urn:uuid:22222222-2222-4222-8222-2222222222bb");
    let entries = [(person, named(patient(number), patient_id)), (told, named(observation(person), "o"))];
    all.push(collection(&format!("{patient_id}u"), &entries));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_a_bundle_is_counts_in_its_sources_words() {
    let world = Setup::configured(OFFICER).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let first = put(&a, named(patient("1"), "one")).await;
    let second = put(&a, named(patient("2"), "two")).await;
    a.create(&permit(&first)).await;
    let mut denial = permit(&second);
    denial["provision"] = json!({"type": "deny"});
    a.create(&denial).await;
    let case = TwoPatients::of(world, first, second).await;
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for bundle in bundles("one", "1") {
        let entries = bundle["entry"].clone();
        let id = put(&a, bundle).await;
        let shown = b.get(&format!("Bundle/{id}")).await.expect(200).json();
        assert_eq!(shown["entry"], entries, "entries stay as they were sent");
        ones.push(id);
    }
    for bundle in bundles("two", "2") {
        twos.push(put(&a, bundle).await);
        b.get(&format!("Bundle/{}", twos.last().unwrap())).await.expect(404);
    }
    let of_both =
        ["one", "two"].map(|patient| (format!("{BASE}/Observation/{patient}"), named(observation(&format!("Patient/{patient}")), patient)));
    let both = collection("both", &of_both.each_ref().map(|(url, resource)| (url.as_str(), resource.clone())));
    let both = put(&a, both).await;
    b.get(&format!("Bundle/{both}")).await.expect(404);

    let trail = case.regulator.get(&format!("Patient/{}/$provenance-trail", case.first)).await.expect(200).text();
    let account = case.regulator.get(&format!("Patient/{}/$disclosures", case.first)).await.expect(200).text();
    for id in &ones {
        assert!(trail.contains(id), "{id} is missing from the trail");
        assert!(account.contains(id), "{id} is missing from the account");
    }
    assert!(twos.iter().all(|id| !trail.contains(id)), "another's is in the trail");

    case.erase(&case.first, "").await.expect(422);
    a.delete(&format!("Bundle/{both}")).await.expect(204);
    case.officer.call(crate::support::Call::new("POST", &format!("Bundle/{both}/$erase"))).await.expect(200);
    case.erase(&case.first, "").await.expect(200);
    for id in &ones {
        a.get(&format!("Bundle/{id}")).await.expect(404);
    }
    for id in &twos {
        a.get(&format!("Bundle/{id}")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_setting_tells_counts_for_what_stands_in_a_bundle() {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = put(&a, named(patient("1"), "one")).await;
    let label = json!([{"system": ACT_CODE, "code": "PSY"}]);
    let mut consent = permit(&id);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": label}]);
    a.create(&consent).await;
    let encounter = |id: &str| {
        let class = json!({"system": ACT_CODE, "code": "AMB"});
        named(json!({"resourceType": "Encounter", "status": "finished", "class": class, "subject": {"reference": "Patient/one"}}), id)
    };
    let mut withheld = encounter("hidden");
    withheld["meta"] = json!({"security": label});
    let (hidden, plain) = (put(&a, withheld).await, put(&a, encounter("plain")).await);
    let cases = [
        (Some(format!("Encounter/{hidden}")), 404),
        (Some("Encounter/hidden".to_owned()), 404),
        (Some(format!("{BASE}/Encounter/hidden")), 404),
        (Some(format!("Encounter/{plain}")), 200),
        (Some("Encounter/plain".to_owned()), 200),
        (None, 200),
    ];
    for (number, (reference, expected)) in cases.into_iter().enumerate() {
        for subject in ["Patient/one".to_owned(), format!("Patient/{id}")] {
            let mut result = named(observation(&subject), "o");
            if let Some(reference) = &reference {
                result["encounter"] = json!({"reference": reference});
            }
            let name = format!("b{number}{}", subject.len());
            let bundle = put(&a, collection(&name, &[(&format!("{BASE}/Observation/o"), result)])).await;
            let told = b.get(&format!("Bundle/{bundle}")).await;
            assert_eq!(told.status, expected, "{reference:?} {subject}");
            assert_eq!(b.search("Bundle").await.iter().any(|one| one["id"] == bundle.as_str()), expected == 200, "{reference:?}");
        }
    }
}

/// What a Bundle's entries name is not asked for at its sender: a setting that is neither here nor in the Bundle may be any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_its_sender_alone_may_have_counts_as_the_worst_in_a_bundle() {
    let sender = Holder::start(Vec::new()).await;
    let configured = format!(
        "[[holder]]\nname = \"hospital-a\"\nbase_url = \"{}\"\nidentifier_systems = [\"{PERSON}\"]\ntimeout_ms = 400\nbody_limit_bytes = 65536\n\
         organisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"hospital-a\" }}, name = \"Hospital A\" }}\n",
        sender.base
    );
    let world = Setup::configured(configured).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = put(&a, named(patient("1"), "one")).await;
    let mut consent = permit(&id);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": [{"system": ACT_CODE, "code": "PSY"}]}]);
    a.create(&consent).await;
    let visit = json!({"resourceType": "Encounter", "status": "finished", "class": {"system": ACT_CODE, "code": "AMB"}, "subject": {"reference": "Patient/one"}});
    let visit = (format!("{BASE}/Encounter/within"), named(visit, "within"));
    for (number, (encounter, more, expected)) in [
        (Some("Encounter/nowhere".to_owned()), None, 404),
        (Some(format!("{BASE}/Encounter/nowhere")), None, 404),
        (Some("Encounter/within".to_owned()), Some(&visit), 200),
        (Some(format!("{BASE}/Encounter/within")), Some(&visit), 200),
        (None, None, 200),
    ]
    .into_iter()
    .enumerate()
    {
        let mut result = named(observation("Patient/one"), "o");
        if let Some(encounter) = &encounter {
            result["encounter"] = json!({"reference": encounter});
        }
        let url = format!("{BASE}/Observation/o");
        let entries: Vec<(&str, Value)> =
            [(url.as_str(), result)].into_iter().chain(more.map(|(url, one)| (url.as_str(), one.clone()))).collect();
        let bundle = put(&a, collection(&format!("s{number}"), &entries)).await;
        assert_eq!(b.get(&format!("Bundle/{bundle}")).await.status, expected, "{encounter:?}");
    }
}

/// A Patient among the entries is also whoever else bears its numbers, and whom it says to be one person with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_in_a_bundle_is_whoever_its_numbers_and_links_mean() {
    let world = Setup::default().start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    let denied = a.create(&person("77")).await;
    let mut denial = permit(&denied);
    denial["provision"] = json!({"type": "deny"});
    a.create(&denial).await;
    let own = put(&laboratory, named(patient("5"), "five")).await;
    a.create(&permit(&own)).await;
    let number = person("77")["identifier"].as_array().unwrap().iter().find(|one| one["system"] == PERSON).unwrap().clone();
    let link = |kind: &str| json!([{"other": {"reference": format!("Patient/{denied}")}, "type": kind}]);
    for (at, (numbers, links, expected)) in [
        (Vec::new(), Value::Null, 200),
        (vec![number], Value::Null, 404),
        (Vec::new(), link("seealso"), 404),
        (Vec::new(), link("replaces"), 404),
    ]
    .into_iter()
    .enumerate()
    {
        let mut entry = named(patient("5"), "five");
        entry["identifier"].as_array_mut().unwrap().extend(numbers);
        if !links.is_null() {
            entry["link"] = links;
        }
        let entries = [("urn:uuid:22222222-2222-4222-8222-2222222222cc", entry)];
        let bundle = put(&laboratory, collection(&format!("n{at}"), &entries)).await;
        assert_eq!(b.get(&format!("Bundle/{bundle}")).await.status, expected, "{at}");
    }
}

/// Of a Patient in a Bundle who bears more numbers than are looked up nobody can say who else is meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_in_a_bundle_with_very_many_numbers_is_not_shown() {
    const MOST: usize = 500;
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = put(&a, named(patient("1"), "one")).await;
    a.create(&permit(&id)).await;
    for (count, expected) in [(MOST, 200), (MOST + 1, 404)] {
        let mut entry = named(patient("1"), "one");
        entry["identifier"] = (0..count).map(|number| json!({"system": "urn:numbers", "value": number.to_string()})).collect();
        let bundle = put(&a, collection(&format!("m{count}"), &[("urn:uuid:22222222-2222-4222-8222-2222222222ff", entry)])).await;
        assert_eq!(b.get(&format!("Bundle/{bundle}")).await.status, expected, "{count}");
    }
}

/// A record that is denied by its name, and a setting that tells, are what they are among the entries of a Bundle too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_by_name_or_by_its_setting_is_so_in_a_bundle() {
    let world = Setup::default().start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = put(&a, named(patient("1"), "one")).await;
    let instance = put(&a, named(observation("Patient/one"), "inst")).await;
    let label = json!([{"system": ACT_CODE, "code": "PSY"}]);
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let visit = json!({"resourceType": "Encounter", "status": "finished", "class": class, "subject": {"reference": "Patient/one"}});
    let mut hidden = named(visit.clone(), "vi");
    hidden["meta"] = json!({"security": label});
    put(&a, hidden.clone()).await;
    let (at, of) = ("urn:uuid:22222222-2222-4222-8222-2222222222dd", "urn:uuid:22222222-2222-4222-8222-2222222222ee");
    let mut during = named(observation("Patient/one"), "o");
    during["encounter"] = json!({"reference": at});
    hidden["id"] = json!("other");
    let bundles = [
        collection("n1", &[(of, named(observation("Patient/one"), "inst"))]),
        collection("n2", &[(at, named(visit.clone(), "vi")), (of, during.clone())]),
        collection("n3", &[(at, hidden), (of, during.clone())]),
        collection("n4", &[(at, named(visit, "plain")), (of, during)]),
    ];
    let mut ids = Vec::new();
    for bundle in bundles {
        ids.push(put(&a, bundle).await);
    }
    let data = json!([{"meaning": "instance", "reference": {"reference": format!("Observation/{instance}")}}]);
    let mut consent = permit(&id);
    let consent_id = a.create(&consent).await;
    consent["id"] = json!(consent_id);
    for (denied, expected) in [
        (json!({"type": "deny", "data": data}), [404, 404, 404, 404]),
        (json!({"type": "deny", "securityLabel": label}), [200, 404, 404, 200]),
        (Value::Null, [200, 200, 200, 200]),
    ] {
        consent["provision"]["provision"] = if denied.is_null() { json!([]) } else { json!([denied]) };
        if denied.is_null() {
            consent["provision"].as_object_mut().unwrap().remove("provision");
        }
        a.put(&format!("Consent/{consent_id}"), &consent).await.expect(200);
        for (id, expected) in ids.iter().zip(expected) {
            assert_eq!(b.get(&format!("Bundle/{id}")).await.status, expected, "{id} {denied}");
        }
    }
}
