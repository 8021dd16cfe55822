//! What several parties must sign waits, apart from everything else, until enough have; then it is accepted like any other.

use crate::support::data::{bundle, creates, observation, permit, person};
use crate::support::signing::Signer;
use crate::support::world::OFFICER;
use crate::support::world::documents;
use crate::support::{Call, Party, Setup, World, until};
use hearthgate::clock::{Clock, Instant, ScriptedTime};
use hearthgate::store::{Pending, Unit};
use serde_json::{Value, json};
use std::time::Duration;

const RULE: &str = r#"
[source.laboratory.sign_off]
types = ["Observation"]
quorum = 2
within_s = 3600

[[source.laboratory.sign_off.party]]
role = "laboratory"
clients = ["laboratory"]

[[source.laboratory.sign_off.party]]
role = "ordering clinician"
clients = ["hospital-a"]
"#;

/// What the clinician's hospital is shown of whom no consent speaks of.
const OPEN: &str = r#"
[[consent.implicit]]
policy = "basic-normal"
partners = ["urn:oid:1.3.6.1.4.1.99999.1|hospital-a"]
"#;

fn signers() -> [Signer; 2] {
    [Signer::new("laboratory-signs"), Signer::new("clinician-signs")]
}

fn setup() -> Setup {
    setup_with("")
}

fn setup_with(more: &str) -> Setup {
    Setup::configured(format!("{RULE}{OFFICER}{more}")).prepared(|folder| {
        for (client, signer) in ["laboratory", "hospital-a"].into_iter().zip(signers()) {
            signer.register(folder, client);
        }
    })
}

fn inputs<'a>(task: &'a Value, kind: &str) -> Vec<&'a str> {
    let all = task["input"].as_array().unwrap();
    all.iter().filter(|input| input["type"]["coding"][0]["code"] == kind).map(|input| input["valueString"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_waits_for_the_laboratory_and_the_clinician() {
    let [lab_signs, clinician_signs] = signers();
    let world = setup().start().await;
    let (laboratory, a, b) = (world.party("laboratory").await, world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = laboratory.create(&person("1")).await;
    let result = observation(&format!("Patient/{patient}"));
    // What would be refused is refused at once; nobody is asked to sign it.
    laboratory.post("Observation", &json!({"resourceType": "Observation"})).await.expect(422);

    let held = laboratory.post("Observation", &result).await.expect(202);
    let task = held.json();
    let id = task["id"].as_str().unwrap().to_owned();
    let here = format!("Task/{id}");
    assert!(held.header("location").unwrap().ends_with(&here));
    assert_eq!((task["resourceType"].as_str(), task["status"].as_str()), (Some("Task"), Some("requested")));
    assert_eq!(inputs(&task, "missing"), ["laboratory", "ordering clinician"]);
    let valid = laboratory.post("Task/$validate", &task).await.expect(200).json();
    assert!(!valid.to_string().contains("\"error\""), "{valid}");
    assert!(documents(&world.data(), "Observation").is_empty());
    assert!(laboratory.search("Observation").await.is_empty());

    // Parties see the Task, nobody else; what is to be signed only as far as consent goes.
    a.get(&here).await.expect(200);
    assert_eq!(b.get(&here).await.status, 404);
    // Whoever may know of it is not told that it was withdrawn; to anybody else it is what is not there.
    for (party, status) in [(&laboratory, 405), (&a, 405), (&b, 204)] {
        party.call(Call::new("DELETE", &here)).await.expect(status);
        let entry = json!({"request": {"method": "DELETE", "url": here}});
        let answer = party.post("", &bundle("batch", vec![entry])).await.expect(200).json();
        assert!(answer["entry"][0]["response"]["status"].as_str().unwrap().starts_with(&status.to_string()), "{answer}");
    }
    laboratory.get(&here).await.expect(200);
    assert_eq!(laboratory.get(&format!("{here}/$pending")).await.expect(200).json(), result);
    assert_eq!(a.get(&format!("{here}/$pending")).await.status, 404);

    // Nor may whoever is not shown it try what it says, whether the guess is right or wrong.
    let mut other = result.clone();
    other["valueQuantity"]["value"] = json!(99);
    for guess in [&result, &other] {
        a.post("Provenance", &clinician_signs.provenance(&[&here], guess)).await.expect(404);
        a.post(&format!("{here}/$sign-off"), &clinician_signs.provenance(&[], guess)).await.expect(404);
    }
    a.create(&permit(&patient)).await;
    assert_eq!(a.get(&format!("{here}/$pending")).await.expect(200).json(), result);

    // It survives a restart.
    let world = world.restart(|_| {}).await;
    let (laboratory, a, b) = (world.party("laboratory").await, world.party("hospital-a").await, world.party("hospital-b").await);
    let sign = |signer: &Signer, document: &Value| signer.provenance(&[&here], document);
    let first = laboratory.post("Provenance", &sign(&lab_signs, &result)).await.expect(202).json();
    assert_eq!((first["status"].as_str(), inputs(&first, "missing")), (Some("in-progress"), vec!["ordering clinician"]));

    let older = clinician_signs.provenance(&[&format!("{here}/_history/1")], &result);
    let elsewhere = clinician_signs.provenance(&["Task/other"], &result);
    for (what, party, call, status) in [
        ("twice", &laboratory, Call::post("Provenance", &sign(&lab_signs, &result)), 409),
        ("another document", &a, Call::post("Provenance", &sign(&clinician_signs, &other)), 400),
        ("another's key", &a, Call::post("Provenance", &sign(&lab_signs, &result)), 400),
        ("an older version of the Task", &a, Call::post("Provenance", &older), 412),
        ("no party", &b, Call::post("Provenance", &sign(&clinician_signs, &result)), 404),
        ("another Task", &a, Call::post(&format!("{here}/$sign-off"), &elsewhere), 400),
        ("no Provenance", &a, Call::post(&format!("{here}/$sign-off"), &result), 400),
        ("no signature", &a, Call::post(&format!("{here}/$sign-off"), &json!({"resourceType": "Provenance"})), 400),
    ] {
        let answer = party.call(call).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        answer.issue();
    }
    assert!(documents(&world.data(), "Observation").is_empty());

    let signed = clinician_signs.provenance(&[], &result);
    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "provenance", "resource": signed}]});
    let done = a.post(&format!("{here}/$sign-off"), &parameters).await.expect(200).json();
    assert_eq!(done["status"], "completed");
    let accepted = done["output"].as_array().unwrap().iter().find_map(|output| output["valueReference"]["reference"].as_str()).unwrap();
    laboratory.get(accepted).await.expect(200);
    let (resource, _) = accepted.split_once("/_history").unwrap();
    let provenance = laboratory.search(&format!("Provenance?target={resource}")).await.remove(0);
    assert_eq!(provenance["signature"].as_array().unwrap().len(), 3, "both parties and the gateway: {provenance}");
    let roles = provenance["agent"].to_string();
    assert!(roles.contains("attester") && roles.contains("hospital-a") && roles.contains("laboratory"));
    assert_eq!(a.post("Provenance", &sign(&clinician_signs, &result)).await.status, 409);
    assert_eq!(laboratory.get(&here).await.expect(200).json()["status"], "completed");
    check_trail(&world, &patient).await;
}

/// The patient's trail shows what was held, who signed, every signature that was refused, and who was not shown what waits.
async fn check_trail(world: &World, patient: &str) {
    let regulator = world.party("health-department").await;
    let trail = regulator.get(&format!("Patient/{patient}/$provenance-trail")).await.expect(200).json();
    let events =
        trail["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).filter(|one| one["resourceType"] == "AuditEvent");
    let told: Vec<(&str, &str)> =
        events.map(|event| (event["outcome"].as_str().unwrap(), event["outcomeDesc"].as_str().unwrap_or_default())).collect();
    for expected in [("0", "held until enough parties have signed"), ("0", "signed; more signatures are needed")] {
        assert!(told.contains(&expected), "{expected:?}: {told:?}");
    }
    assert_eq!(told.iter().filter(|(outcome, _)| *outcome == "4").count(), 13, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_wait_whole_and_batches_by_the_entry() {
    let [lab_signs, clinician_signs] = signers();
    let world = setup_with(OPEN).start().await;
    let (laboratory, a) = (world.party("laboratory").await, world.party("hospital-a").await);
    let entries = || {
        vec![
            creates("urn:uuid:00000000-0000-4000-8000-00000000000a", person("2")),
            creates("urn:uuid:00000000-0000-4000-8000-00000000000b", observation("urn:uuid:00000000-0000-4000-8000-00000000000a")),
        ]
    };

    // The sender's signature of its own request counts as its party's.
    let transaction = bundle("transaction", entries());
    let task = laboratory.call(lab_signs.post("", &transaction)).await.expect(202).json();
    assert_eq!(inputs(&task, "missing"), ["ordering clinician"]);
    assert!(documents(&world.data(), "Patient").is_empty(), "not even what needs no signature");
    let here = format!("Task/{}", task["id"].as_str().unwrap());
    let done = a.post("Provenance", &clinician_signs.provenance(&[&here], &transaction)).await.expect(200).json();
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!((documents(&world.data(), "Patient").len(), documents(&world.data(), "Observation").len()), (1, 1));
    assert_eq!(done["output"].as_array().unwrap().iter().filter(|output| output["valueReference"].is_object()).count(), 2);

    let patient = documents(&world.data(), "Patient")[0]["id"].as_str().unwrap().to_owned();
    let mut another = observation(&format!("Patient/{patient}"));
    another["effectiveDateTime"] = json!("2026-11-19T08:30:00Z");
    let batch = bundle("batch", vec![creates("urn:uuid:1", person("3")), creates("urn:uuid:2", another.clone())]);
    let answer = laboratory.post("", &batch).await.expect(200).json();
    let statuses: Vec<&str> =
        answer["entry"].as_array().unwrap().iter().map(|entry| entry["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "202"]);
    let location = answer["entry"][1]["response"]["location"].as_str().unwrap();
    let (_, here) = location.split_once("/fhir/").unwrap();
    laboratory.post("Provenance", &lab_signs.provenance(&[here], &another)).await.expect(202);
    let done = a.post("Provenance", &clinician_signs.provenance(&[here], &another)).await.expect(200).json();
    assert_eq!(done["status"], "completed", "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_in_time_ends_with_a_notice() {
    let time = ScriptedTime::starting_at(Instant::from_seconds(1_795_000_000));
    let [lab_signs, _] = signers();
    let world: World = setup().at(&time).start().await;
    let laboratory = world.party("laboratory").await;
    let patient = laboratory.create(&person("1")).await;
    let result = observation(&format!("Patient/{patient}"));
    let task = laboratory.post("Observation", &result).await.expect(202).json();
    let here = format!("Task/{}", task["id"].as_str().unwrap());
    time.advance(Duration::from_secs(3601));
    let laboratory = world.party("laboratory").await;
    assert_eq!(laboratory.post("Provenance", &lab_signs.provenance(&[&here], &result)).await.status, 409);
    let ended = until("the Task to fail", || async {
        let task = laboratory.get(&here).await.expect(200).json();
        (task["status"] == "failed").then_some(task)
    })
    .await;
    assert_eq!(ended["statusReason"]["text"], "not signed in time; missing: laboratory, ordering clinician");
    assert_eq!(laboratory.get(&format!("{here}/$pending")).await.status, 409);
    let notices = documents(&world.data(), "AuditEvent");
    let late = notices.iter().find(|event| event["outcomeDesc"].as_str().is_some_and(|text| text.contains("not signed in time"))).unwrap();
    assert!(late.to_string().contains(&format!("Patient/{patient}")), "whose result it was: {late}");
}

/// In how many rows a signature is kept of what waits, or waited.
fn kept_signatures(world: &World) -> u64 {
    let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    data.query_row("SELECT count(*) FROM pending WHERE instr(progress, CAST('sigFormat' AS BLOB)) > 0", [], |row| row.get(0)).unwrap()
}

/// A result that waits and that the laboratory alone has signed, and the path of its Task.
async fn signed_by_one() -> (ScriptedTime, World, String) {
    let time = ScriptedTime::starting_at(Clock::system().now());
    let [lab_signs, _] = signers();
    let world: World = setup().at(&time).start().await;
    let laboratory = world.party("laboratory").await;
    let patient = laboratory.create(&person("1")).await;
    let (result, here) = held(&laboratory, &patient).await;
    laboratory.post("Provenance", &lab_signs.provenance(&[&here], &result)).await.expect(202);
    (time, world, here)
}

/// What a party signed goes with what it is over: whoever has a signature can try guesses of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_does_not_outlive_what_it_is_over() {
    let (time, world, here) = signed_by_one().await;
    assert_eq!(kept_signatures(&world), 1);
    time.advance(Duration::from_secs(3601));
    let laboratory = world.party("laboratory").await;
    let ended = until("the Task to fail", || async {
        let task = laboratory.get(&here).await.expect(200).json();
        (task["status"] == "failed").then_some(task)
    })
    .await;
    assert_eq!(ended["output"][0]["valueString"], "laboratory", "who signed stays: {ended}");
    assert_eq!(kept_signatures(&world), 0);
}

/// An older gateway kept them: they go with the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_that_outlived_what_they_are_over_are_forgotten() {
    let (time, world, here) = signed_by_one().await;
    let id = here.trim_start_matches("Task/").to_owned();
    let row = async || {
        let id = id.clone();
        world.running.store.read(move |reader| reader.pending(&id)).await.unwrap().unwrap()
    };
    let signed = row().await.progress;
    time.advance(Duration::from_secs(3601));
    let ended = until("the waiting to end", || async { Some(row().await).filter(|row| !row.is_open) }).await;
    let older = Pending { progress: signed, revision: ended.revision + 1, ..ended };
    world.running.store.commit(Unit { pending: Some(older), ..Unit::default() }).await.unwrap();
    assert_eq!(kept_signatures(&world), 1);
    let world = world.restart(|_| {}).await;
    until("the signature to be forgotten", || async { (kept_signatures(&world) == 0).then_some(()) }).await;
    let left = world.running.store.read(move |reader| reader.pending(&id)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&left.progress).contains("laboratory"), "who signed stays");
}

/// A key or a party that is taken back before enough have signed does not count, and is missing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_meanwhile_does_not_count() {
    let [lab_signs, clinician_signs] = signers();
    let world = setup().start().await;
    let (laboratory, a) = (world.party("laboratory").await, world.party("hospital-a").await);
    let (result, here) = held_and_shown(&laboratory, &a).await;
    laboratory.post("Provenance", &lab_signs.provenance(&[&here], &result)).await.expect(202);
    // The laboratory signs with another key from now on.
    let newer = Signer::new("laboratory-signs-anew");
    let keys = world.folder.path().join("laboratory.jwks.json");
    let mut set: Value = serde_json::from_str(&std::fs::read_to_string(&keys).unwrap()).unwrap();
    set["keys"].as_array_mut().unwrap().retain(|key| key["kid"] != "laboratory-signs");
    std::fs::write(&keys, set.to_string()).unwrap();
    newer.register(&world.folder, "laboratory");
    let world = world.restart(|_| {}).await;
    let a = world.party("hospital-a").await;
    let task = a.post("Provenance", &clinician_signs.provenance(&[&here], &result)).await.expect(202).json();
    assert_eq!((task["status"].as_str(), inputs(&task, "missing")), (Some("in-progress"), vec!["laboratory"]));
    assert!(documents(&world.data(), "Observation").is_empty());
    // The hospital is a party no more: to it there is no such Task, and what it signed does not count.
    let world = world
        .restart(|settings| {
            let rule = settings.sources.get_mut("laboratory").unwrap().sign_off.as_mut().unwrap();
            rule.party[1].clients = vec!["hospital-b".to_owned()];
        })
        .await;
    let a = world.party("hospital-a").await;
    a.get(&here).await.expect(404);
    a.post("Provenance", &clinician_signs.provenance(&[&here], &result)).await.expect(404);
    let laboratory = world.party("laboratory").await;
    let task = laboratory.post("Provenance", &newer.provenance(&[&here], &result)).await.expect(202).json();
    assert_eq!(inputs(&task, "missing"), ["ordering clinician"]);
    // Given back, it signs again.
    let world = world
        .restart(|settings| {
            let rule = settings.sources.get_mut("laboratory").unwrap().sign_off.as_mut().unwrap();
            rule.party[1].clients = vec!["hospital-a".to_owned()];
        })
        .await;
    let a = world.party("hospital-a").await;
    let done = a.post("Provenance", &clinician_signs.provenance(&[&here], &result)).await.expect(200).json();
    assert_eq!(done["status"], "completed");
}

/// A result that waits and that the clinician's hospital is shown, and the path of its Task.
async fn held_and_shown(laboratory: &Party, a: &Party) -> (Value, String) {
    let patient = laboratory.create(&person("1")).await;
    a.create(&permit(&patient)).await;
    held(laboratory, &patient).await
}

/// A result that waits, and the path of its Task.
async fn held(laboratory: &Party, patient: &str) -> (Value, String) {
    let result = observation(&format!("Patient/{patient}"));
    let task = laboratory.post("Observation", &result).await.expect(202).json();
    (result, format!("Task/{}", task["id"].as_str().unwrap()))
}

/// What is held is not withdrawn by deleting its Task, and whoever asks for that is not told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_of_what_waits_is_not_deleted() {
    let world = setup().start().await;
    let (laboratory, b) = (world.party("laboratory").await, world.party("hospital-b").await);
    let patient = laboratory.create(&person("1")).await;
    let (_, here) = held(&laboratory, &patient).await;
    let refused = laboratory.call(Call::new("DELETE", &here)).await.expect(405);
    assert_eq!(refused.issue(), "not-supported");
    let entry = json!({"request": {"method": "DELETE", "url": here}});
    let answer = laboratory.post("", &bundle("batch", vec![entry])).await.expect(200).json();
    assert!(answer["entry"][0]["response"]["status"].as_str().unwrap().starts_with("405"), "{answer}");
    // To others there is no such Task.
    for (party, path) in [(&b, here.as_str()), (&laboratory, "Task/other")] {
        assert_eq!(party.call(Call::new("DELETE", path)).await.status, 204, "{path}");
    }
    assert_eq!(laboratory.get(&here).await.expect(200).json()["status"], "requested");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_behind_the_gateway_while_it_waited_is_not_accepted() {
    let [lab_signs, _] = signers();
    let world = setup().start().await;
    let laboratory = world.party("laboratory").await;
    let patient = laboratory.create(&person("1")).await;
    let (result, here) = held(&laboratory, &patient).await;
    for change in [
        "UPDATE pending SET held = CAST(replace(held, '13.2', '13.3') AS BLOB)",
        "UPDATE pending SET source = 'hospital-a'",
        "UPDATE pending SET expires = expires + 1",
        "UPDATE pending SET revision = revision + 1",
        "UPDATE pending SET progress = x'0100'",
    ] {
        let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
        data.execute_batch("CREATE TEMP TABLE before AS SELECT * FROM main.pending").unwrap();
        data.execute(change, []).unwrap();
        for call in
            [Call::get(&here), Call::get(&format!("{here}/$pending")), Call::post("Provenance", &lab_signs.provenance(&[&here], &result))]
        {
            let answer = laboratory.call(call).await;
            assert_eq!((answer.status, answer.issue().as_str()), (500, "exception"), "{change}");
        }
        data.execute_batch("DELETE FROM main.pending; INSERT INTO main.pending SELECT * FROM before; DROP TABLE before;").unwrap();
    }
    laboratory.post("Provenance", &lab_signs.provenance(&[&here], &result)).await.expect(202);
    assert!(documents(&world.data(), "Observation").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parties_that_sign_at_the_same_moment_make_one_acceptance() {
    let [lab_signs, clinician_signs] = signers();
    let world = setup().start().await;
    let (laboratory, a) = (world.party("laboratory").await, world.party("hospital-a").await);
    let (result, here) = held_and_shown(&laboratory, &a).await;
    let signs = |party: &Party, signer: &Signer| {
        let (party, call) = (party.clone(), Call::post("Provenance", &signer.provenance(&[&here], &result)));
        tokio::spawn(async move { party.call(call).await.status })
    };
    let all: Vec<_> = (0..10).flat_map(|_| [signs(&laboratory, &lab_signs), signs(&a, &clinician_signs)]).collect();
    let mut accepted = 0;
    for one in all {
        let status = one.await.unwrap();
        assert!(matches!(status, 200 | 202 | 409), "{status}");
        accepted += usize::from(status == 200);
    }
    if accepted == 0 {
        // Whoever was beaten to it signs again, as the answer said.
        for (party, signer) in [(&laboratory, &lab_signs), (&a, &clinician_signs)] {
            accepted += usize::from(signs(party, signer).await.unwrap() == 200);
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(documents(&world.data(), "Observation").len(), 1);
    assert_eq!(laboratory.get(&here).await.expect(200).json()["status"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_accepted_any_more_ends_with_its_signatures_and_the_reason() {
    let [lab_signs, clinician_signs] = signers();
    let world = setup_with(OPEN).start().await;
    let (laboratory, a) = (world.party("laboratory").await, world.party("hospital-a").await);
    let patient = laboratory.create(&person("1")).await;
    let result = observation(&format!("Patient/{patient}"));
    let conditional = format!("Patient?identifier={}|new", crate::support::data::MRN);
    let mut entry = creates("urn:uuid:1", person("9"));
    entry["request"]["ifNoneExist"] = json!(conditional.trim_start_matches("Patient?"));
    let whole = bundle("transaction", vec![entry, creates("urn:uuid:2", result)]);
    let task = laboratory.post("", &whole).await.expect(202).json();
    let here = format!("Task/{}", task["id"].as_str().unwrap());
    a.post("Provenance", &clinician_signs.provenance(&[&here], &whole)).await.expect(202);
    // Meanwhile two records came into the world that the condition fits: which of them is meant, nobody can say.
    for name in ["first", "second"] {
        let mut twin = person(name);
        twin["identifier"] = json!([{"system": crate::support::data::MRN, "value": "new"}]);
        laboratory.post("Patient", &twin).await.expect(201);
    }
    // What it would be nobody can say, nor then who may be shown it. Whoever sent it knows.
    assert_eq!(a.post("Provenance", &clinician_signs.provenance(&[&here], &whole)).await.status, 412);
    assert_eq!(kept_signatures(&world), 1);
    let ended = laboratory.post("Provenance", &lab_signs.provenance(&[&here], &whole)).await.expect(200).json();
    assert_eq!(ended["status"], "rejected", "{ended}");
    let signed = ended["output"].to_string();
    assert!(signed.contains("laboratory") && signed.contains("ordering clinician"), "who signed stays: {signed}");
    assert_eq!(kept_signatures(&world), 0);
    assert!(documents(&world.data(), "Observation").is_empty());
    assert_eq!(laboratory.get(&format!("{here}/$pending")).await.status, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_patient_takes_what_waits_about_them() {
    let world = setup().start().await;
    let laboratory = world.party("laboratory").await;
    let officer = world.party_with("officer", "system/Patient.r").await;
    let (gone, kept) = (laboratory.create(&person("1")).await, laboratory.create(&person("2")).await);
    let (_, about_gone) = held(&laboratory, &gone).await;
    let (_, about_kept) = held(&laboratory, &kept).await;
    officer.call(Call::new("POST", &format!("Patient/{gone}/$erase"))).await.expect(200);
    assert_eq!(laboratory.get(&about_gone).await.status, 404);
    laboratory.get(&about_kept).await.expect(200);
    let data = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    let rows: u64 = data.query_row("SELECT count(*) FROM pending", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}
