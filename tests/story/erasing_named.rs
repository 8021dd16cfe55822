//! What an identifier or a word of an erased person does not take with them.

use crate::support::at_rest::AtRest;
use crate::support::data::{MRN, ORGANISATIONS, bundle, creates, observation, patient, permit_to};
use crate::support::two_patients::TwoPatients;
use crate::support::world::{PERSON, documents};
use hearthgate::evidence::{Kept, verify};
use serde_json::{Value, json};

fn named(value: &str) -> Value {
    json!({"identifier": {"system": MRN, "value": value}})
}

async fn created(case: &TwoPatients, resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), case.a.create(resource).await)
}

/// Each names the first by an identifier, and is not about them alone.
fn mentions() -> Vec<Value> {
    let performed = |subject: Value| {
        let mut resource = observation("");
        (resource["subject"], resource["performer"]) = (subject, json!([named("1")]));
        resource
    };
    vec![
        json!({"resourceType": "Group", "type": "person", "actual": true, "member": [{"entity": named("1")}, {"entity": named("2")}, {"entity": named("3")}]}),
        json!({"resourceType": "Appointment", "status": "proposed",
            "participant": [{"actor": named("1"), "status": "accepted"}, {"actor": named("2"), "status": "accepted"}]}),
        json!({"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": named("1")}, {"item": named("2")}]}),
        json!({"resourceType": "Communication", "status": "completed", "sender": named("1"), "recipient": [named("2")]}),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "author": named("1"), "source": named("2")}),
        json!({"resourceType": "Person", "identifier": [named("3")["identifier"]], "link": [{"target": named("1")}, {"target": named("3")}]}),
        json!({"resourceType": "PractitionerRole", "practitioner": named("1"), "code": [{"text": "x"}]}),
        performed(json!({"display": "Bob Bbb"})),
        performed(json!({"reference": "https://elsewhere.example/fhir/Patient/9"})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_by_an_identifier_takes_nothing_unasked() {
    let case = TwoPatients::new().await;
    for resource in mentions() {
        let path = created(&case, &resource).await;
        let told = case.erase(&case.first, "").await.expect(422).text();
        assert!(told.contains("1 resource(s)"), "{path}: {told}");
        case.a.get(&path).await.expect(200);
        case.a.delete(&path).await.expect(204);
        case.officer.call(crate::support::Call::new("POST", &format!("{path}/$erase"))).await.expect(200);
    }
    case.erase(&case.first, "").await.expect(200);
}

fn number(system: &str) -> Value {
    json!({"system": system, "value": "1234567893"})
}

/// Somebody who bears a number of the first, and results that name its bearer as the one who did them: without a type, and as a Practitioner.
async fn did(case: &TwoPatients, system: &str) -> [String; 4] {
    let mut numbered = patient("1");
    numbered["id"] = json!(case.first);
    numbered["identifier"].as_array_mut().unwrap().push(number(system));
    case.a.put(&format!("Patient/{}", case.first), &numbered).await.expect(200);
    let clinician = created(case, &json!({"resourceType": "Practitioner", "identifier": [number(system)]})).await;
    let mut done = [clinician.clone(), String::new(), String::new(), String::new()];
    for (done, mut performer) in done[1..].iter_mut().zip([json!({}), json!({"type": "Practitioner"}), json!({ "reference": clinician })]) {
        performer["identifier"] = number(system);
        let mut resource = observation(&format!("Patient/{}", case.second));
        resource["performer"] = json!([performer]);
        *done = created(case, &resource).await;
    }
    done
}

/// A Patient that was sent with a clinician's number must not take the clinician's results.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_clinician_did_stays_when_a_patient_bore_the_clinicians_number() {
    const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
    let case = TwoPatients::new().await;
    let staying = did(&case, NPI).await;
    let naming = |element: &str, mut named: Value| {
        named["identifier"] = number(NPI);
        let mut resource = observation(&format!("Patient/{}", case.second));
        resource[element] = if element == "subject" { named } else { json!([named]) };
        resource
    };
    let about = created(&case, &naming("subject", json!({}))).await;
    let as_patient = created(&case, &naming("performer", json!({"type": "http://hl7.org/fhir/StructureDefinition/Patient"}))).await;

    let told = case.erase(&case.first, "").await.expect(422).text();
    assert!(told.contains("2 resource(s)"), "{told}");
    case.erase(&case.first, "?shared=true").await.expect(200);
    for path in &staying {
        case.a.get(path).await.expect(200);
    }
    for path in [about, as_patient] {
        case.a.get(&path).await.expect(404);
    }
}

/// Somebody else's record that bears a person's number does not keep what names the person by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_a_person_goes_whoever_else_bears_the_number() {
    let case = TwoPatients::new().await;
    let [clinician, untold, as_practitioner, by_reference] = did(&case, PERSON).await;
    let mentioned =
        json!({"resourceType": "Group", "type": "person", "actual": true, "member": [{"entity": {"identifier": number(PERSON)}}]});
    let mentioned = created(&case, &mentioned).await;
    let told = case.erase(&case.first, "").await.expect(422).text();
    assert!(told.contains("4 resource(s)"), "{told}");
    case.erase(&case.first, "?shared=true").await.expect(200);
    for path in [untold, as_practitioner, by_reference, mentioned] {
        case.a.get(&path).await.expect(404);
    }
    case.a.get(&clinician).await.expect(200);
}

/// A subject that is named by a number which something here bears is asked for, whatever Patient somebody gave that number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_measured_of_a_device_does_not_go_with_a_patient_of_its_number() {
    let case = TwoPatients::new().await;
    for (at, kind) in ["Device", "Location", "Group", "Organization"].into_iter().enumerate() {
        let identifier = json!({"system": "urn:x:devices", "value": format!("W{at}")});
        let mut bearer = json!({"resourceType": kind, "identifier": [identifier]});
        if kind == "Group" {
            (bearer["type"], bearer["actual"]) = (json!("device"), json!(true));
        }
        created(&case, &bearer).await;
        let mut measured = observation("");
        measured["subject"] = json!({"identifier": identifier});
        let measured = created(&case, &measured).await;
        let laboratory = case.world.party("laboratory").await;
        let mut patient = patient(&format!("9{at}"));
        patient["identifier"] = json!([identifier]);
        let patient = laboratory.create(&patient).await;
        let told = case.erase(&patient, "").await.expect(422).text();
        assert!(told.contains("1 resource(s)"), "{kind}: {told}");
        case.a.get(&measured).await.expect(200);
    }
}

/// It may have been corrected because it was another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identifier_that_was_corrected_takes_nothing_unasked() {
    let case = TwoPatients::new().await;
    let mut corrected = patient("77");
    corrected["id"] = json!(case.first);
    case.a.put(&format!("Patient/{}", case.first), &corrected).await.expect(200);
    let mut resource = observation("");
    resource["subject"] = named("1");
    let path = created(&case, &resource).await;
    case.erase(&case.first, "").await.expect(422);
    case.a.get(&path).await.expect(200);
    case.erase(&case.first, "?shared=true").await.expect(200);
    case.a.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_is_led_to_and_nobody_elses() {
    let case = TwoPatients::new().await;
    let related =
        case.a.create(&json!({"resourceType": "RelatedPerson", "patient": {"reference": format!("Patient/{}", case.first)}})).await;
    let relative = json!({"target": {"reference": format!("RelatedPerson/{related}")}});
    let person = created(&case, &json!({"resourceType": "Person", "link": [relative, {"target": named("2")}]})).await;
    let text = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="});
    let b = case.world.party("hospital-b").await;
    let (of_b, unattached) = (b.create(&text).await, case.a.create(&text).await);
    let mut resource = observation(&format!("Patient/{}", case.first));
    resource["note"] = json!([{"text": format!("see Binary/{of_b}")}, {"text": format!("Binary/{unattached}")}]);
    created(&case, &resource).await;
    case.erase(&case.first, "").await.expect(200);
    case.a.get(&person).await.expect(200);
    case.a.get(&format!("Binary/{unattached}")).await.expect(200);
    b.get(&format!("Binary/{of_b}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_no_word() {
    let case = TwoPatients::new().await;
    let mut ted = patient("100");
    ted["name"] = json!([{"family": "Zquuux", "given": ["Ted"]}]);
    let ted = case.a.create(&ted).await;
    for code in [json!({"code": "100"}), json!({"code": "ted", "display": "Ted stocking"})] {
        let mut resource = observation(&format!("Patient/{}", case.second));
        resource["code"] = json!({"coding": [code]});
        resource["code"]["coding"][0]["system"] = json!("urn:local");
        created(&case, &resource).await;
    }
    let tasks = || crate::support::world::documents(&case.world.data(), "Task").len();
    let before = tasks();
    assert!(before >= 2);
    case.erase(&ted, "").await.expect(200);
    assert_eq!(tasks(), before);
}

/// An id that no Patient has may be any word, number or code of others' records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_that_never_was_is_not_found() {
    let case = TwoPatients::new().await;
    let seen = created(&case, &observation(&format!("Patient/{}", case.second))).await;
    for word in ["female", "1", "2", "718-7", "final", "0"] {
        for more in ["", "?shared=true"] {
            let answer = case.erase(word, more).await;
            assert_eq!(answer.status, 404, "{word}{more}: {}", answer.text());
        }
    }
    for path in [seen, format!("Patient/{}", case.first), format!("Patient/{}", case.second)] {
        case.a.get(&path).await.expect(200);
    }
}

/// Whoever is filed under the name of an institution, or of the log itself, is not who others' records name by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_who_bears_an_institutions_name_takes_nothing_of_others() {
    let case = TwoPatients::new().await;
    let b = case.world.party("hospital-b").await;
    let seen = created(&case, &observation(&format!("Patient/{}", case.second))).await;
    created(&case, &permit_to(&case.second, "hospital-b")).await;
    b.get(&seen).await.expect(200);
    let statements = || {
        let all = crate::support::world::documents(&case.world.data(), "Provenance");
        all.iter().filter(|statement| statement.to_string().contains(&seen)).count()
    };
    assert_eq!(statements(), 1);
    let statement = case.a.get(&format!("Provenance?target={seen}")).await.expect(200).json()["entry"][0]["resource"].clone();
    let log = statement["agent"].as_array().unwrap().last().unwrap()["who"]["identifier"].clone();
    assert!(log["value"].as_str().unwrap().starts_with("urn:hearthgate:log:"), "{statement}");
    let organisation = |name: &str| json!({"system": ORGANISATIONS, "value": name});
    for identifier in [organisation("hospital-a"), organisation("hospital-b"), log] {
        let mut bearer = patient("77");
        bearer["identifier"] = json!([identifier]);
        let id = case.a.create(&bearer).await;
        case.erase(&id, "?shared=true").await.expect(200);
        assert_eq!(statements(), 1, "{identifier}");
        b.get(&seen).await.expect(200);
    }
}

/// What the gateway stated of others' records stays, without an author whom an erased person was called like; their trails say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stated_of_others_stays_without_an_erased_author() {
    let case = TwoPatients::new().await;
    let theirs = created(&case, &observation(&format!("Patient/{}", case.second))).await;
    // The hospital is known by another number from now on, and somebody turns up with the one it had.
    let TwoPatients { world, first, second, .. } = case;
    let world = world
        .restart(|settings| {
            let clients = settings.clients.iter_mut().map(|client| &mut client.organisation);
            let sources = settings.sources.values_mut().map(|source| &mut source.organisation);
            let identifiers = clients.chain(sources).filter_map(|organisation| organisation.identifier.as_mut());
            identifiers.filter(|identifier| identifier.value == "hospital-a").for_each(|identifier| identifier.value = "moved".to_owned());
        })
        .await;
    let case = TwoPatients::of(world, first, second).await;
    let mut bearer = patient("9");
    bearer["identifier"] = json!([{"system": ORGANISATIONS, "value": "hospital-a"}]);
    let bearer = case.a.create(&bearer).await;
    let stated = |of: &str| {
        let all = documents(&case.world.data(), "Provenance");
        all.into_iter().find(|one| one["target"][0]["reference"] == format!("{of}/_history/1")).unwrap().to_string()
    };
    let named = format!("{{\"system\":\"{ORGANISATIONS}\",\"value\":\"hospital-a\"}}");
    assert!(stated(&theirs).contains(&named));
    case.erase(&bearer, "").await.expect(200);
    assert!(!stated(&theirs).contains(&named) && stated(&theirs).contains("assembler"), "{}", stated(&theirs));
    let of = format!("Patient/{}", case.second);
    for (subject, shortened) in [(&theirs, 1), (&of, 2)] {
        let trail = format!("{subject}/$provenance-trail");
        case.regulator.get(&trail).await.expect(200);
        let package = case.regulator.get(&format!("{trail}?_format=application/zip")).await.expect(200).bytes;
        let report = verify(&package, &case.world.policy(), &Kept::default()).unwrap();
        assert_eq!((report.problems, report.unnamed), (Vec::<String>::new(), shortened), "{subject}");
    }
    case.regulator.get(&format!("{of}/$disclosures")).await.expect(200);
    AtRest::of(case.world).await;
}

/// Of very many who bear a value nobody looks on whether one of them bears it in the same system: it counts as somebody else's, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_very_many_bear_in_other_systems_takes_nothing() {
    const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
    for (alike, is_asked_for) in [(999, true), (1_000, false)] {
        let case = TwoPatients::new().await;
        let mut numbered = patient("1");
        numbered["id"] = json!(case.first);
        numbered["identifier"].as_array_mut().unwrap().push(number(NPI));
        case.a.put(&format!("Patient/{}", case.first), &numbered).await.expect(200);
        let others = (0..alike).map(|other| {
            let bearing = json!({"resourceType": "Practitioner", "identifier": [number(&format!("urn:oid:1.2.9.{other}"))]});
            creates(&format!("urn:test:{other}"), bearing)
        });
        case.a.post("", &bundle("batch", others.collect())).await.expect(200);
        let mut done = observation(&format!("Patient/{}", case.second));
        done["performer"] = json!([{"identifier": number(NPI)}]);
        let done = created(&case, &done).await;
        let answer = case.erase(&case.first, "").await;
        assert_eq!(answer.status, if is_asked_for { 422 } else { 200 }, "{alike}: {}", answer.text());
        case.a.get(&done).await.expect(200);
    }
}
