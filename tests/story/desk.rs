//! The work lists: what the gateway could not decide, shown to whoever operates it, decided once, and in effect from then on.

use crate::support::data::{observation, patient};
use crate::support::world::{OFFICER, documents};
use crate::support::{Call, Setup, World};
use serde_json::{Value, json};

/// What was measured: no time, id or digest holds it by chance.
const VALUE: f64 = 7319.25;

/// A measurement of a test that only the laboratory understands.
fn local(code: &str) -> Value {
    let mut local = observation("Patient/1");
    local["code"] = json!({"coding": [{"system": "urn:oid:1.3.6.1.4.1.99999.7", "code": code}], "text": "Creatinine"});
    local["valueQuantity"]["value"] = json!(VALUE);
    local
}

async fn items(world: &World, query: &str) -> Vec<Value> {
    world.desk("GET", &format!("/work?{query}"), &json!(null)).await.expect(200).json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmapped_code_is_listed_once_filled_in_and_understood() {
    let world = World::start().await;
    let (laboratory, operator) = (world.party("laboratory").await, world.party("operator").await);
    for _ in 0..3 {
        laboratory.create(&local("CREA")).await;
    }
    let listed = items(&world, "source=laboratory&kind=unmapped-code").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["count"], &listed[0]["status"]), (&json!(3), &json!("requested")));
    assert_eq!(listed[0]["inputs"]["code"], "CREA");
    // In FHIR it is a Task, for operators only.
    let tasks = operator.search("Task?code=urn:hearthgate:work|unmapped-code&status=requested").await;
    assert_eq!((tasks.len(), &tasks[0]["id"]), (1, &listed[0]["task"]));
    assert!(!tasks[0].to_string().contains(&VALUE.to_string()), "a Task refers to the record and copies nothing of it");
    assert!(laboratory.search("Task").await.is_empty());
    laboratory.get(&format!("Task/{}", tasks[0]["id"].as_str().unwrap())).await.expect(404);
    // The sheet is exported, filled and given back.
    let sheet = world.desk("GET", "/sources/laboratory/unmapped?format=csv", &json!(null)).await.expect(200).text();
    let filled = sheet.replace("http://loinc.org,,", "http://loinc.org,2160-0,Creatinine");
    assert_ne!(sheet, filled, "{sheet}");
    let load = Call::new("POST", &format!("{}/desk/sources/laboratory/concept-map", world.admin)).body("text/csv", filled);
    let loaded = world.desk_call(load).await.expect(200).json();
    assert_eq!((&loaded["usable"], &loaded["settled"], &loaded["in-effect"]), (&json!(1), &json!(1), &json!(true)));
    let understood = async |world: &World| {
        let laboratory = world.party("laboratory").await;
        let seen = laboratory.post("Observation", &local("CREA")).await.expect(201).json();
        assert_eq!(seen["code"]["coding"][1]["code"], "2160-0", "{seen}");
        assert_eq!(seen["code"]["coding"][0]["code"], "CREA", "what was sent stays");
    };
    understood(&world).await;
    assert!(items(&world, "status=requested").await.is_empty());
    assert_eq!(items(&world, "status=completed").await[0]["recurred"], json!(false));
    // Another source's same code is another matter, and a restart forgets nothing.
    let b = world.party("hospital-b").await;
    let theirs = b.post("Observation", &local("CREA")).await.expect(201).json();
    assert_eq!(theirs["code"]["coding"].as_array().unwrap().len(), 1);
    let world = world.restart(|_| ()).await;
    understood(&world).await;
    assert_eq!(items(&world, "").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concept_map_that_cannot_be_used_changes_nothing() {
    let world = World::start().await;
    let map = |equivalence: &str| {
        json!({"resourceType": "ConceptMap", "status": "active", "group": [{"source": "urn:x", "target": "http://loinc.org",
            "element": [{"code": "A", "target": [{"code": "2160-0", "equivalence": equivalence}]}]}]})
    };
    for (source, body, status) in [
        ("nobody", map("equivalent"), 404),
        ("laboratory", map("wider"), 422),
        ("laboratory", map("frobnicated"), 422),
        ("laboratory", patient("1"), 422),
        ("laboratory", map("equivalent"), 200),
    ] {
        let path = format!("{}/desk/sources/{source}/concept-map", world.admin);
        world.desk_call(Call::new("POST", &path).json(&body)).await.expect(status);
    }
    let operator = world.party("operator").await;
    assert_eq!(operator.search("ConceptMap").await.len(), 1);
    assert!(world.party("hospital-a").await.search("ConceptMap").await.is_empty());
}

/// What an operator gave accounts for nothing that anybody did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_gave_is_erased_like_anything_else() {
    let world = Setup::configured(OFFICER).start().await;
    let map = json!({"resourceType": "ConceptMap", "status": "active", "group": [{"source": "urn:x", "target": "http://loinc.org",
        "element": [{"code": "A", "target": [{"code": "2160-0", "equivalence": "equivalent"}]}]}]});
    let path = format!("{}/desk/sources/laboratory/concept-map", world.admin);
    world.desk_call(Call::new("POST", &path).json(&map)).await.expect(200);
    let operator = world.party("operator").await;
    let id = operator.search("ConceptMap").await[0]["id"].as_str().unwrap().to_owned();
    let officer = world.party_with("officer", "system/Patient.r").await;
    officer.call(Call::new("POST", &format!("ConceptMap/{id}/$erase"))).await.expect(200);
    assert!(operator.search("ConceptMap").await.is_empty());
    assert!(documents(&world.data(), "ConceptMap").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desk_is_for_whoever_has_its_key() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    for party in [world.stranger(), a] {
        for path in ["/work", "/sources/laboratory/unmapped"] {
            party.call(Call::get(&format!("{}/desk{path}", world.admin))).await.expect(401);
        }
        for path in ["/reload", "/people", "/replay?source=laboratory", "/work/hg-1"] {
            party.call(Call::new("POST", &format!("{}/desk{path}", world.admin)).body("application/json", "{}")).await.expect(401);
        }
    }
    // It is not there on the public listener at all.
    world.stranger().call(Call::get(&format!("{}/desk/work", world.origin))).await.expect(404);
    for (method, path, body, status) in [
        ("GET", "/work?kind=nonsense", json!(null), 400),
        ("POST", "/work/hg-1", json!({"decision": "done"}), 404),
        ("POST", "/work/hg-1", json!({"decision": "frob"}), 400),
        ("POST", "/work/hg-1", json!({"decision": "link"}), 400),
        ("POST", "/people", json!({"decision": "link", "patients": ["a"]}), 400),
        ("POST", "/people", json!({"decision": "link", "patients": ["a", "b"]}), 404),
        ("POST", "/people", json!({"decision": "unlink", "patients": ["a"], "more": 1}), 400),
        ("POST", "/replay?source=nobody", json!(null), 404),
        ("POST", "/replay?source=laboratory&since=yesterday", json!(null), 400),
        ("GET", "/sources/laboratory/unmapped?format=xls", json!(null), 400),
        ("POST", "/reload", json!(null), 422),
    ] {
        world.desk(method, path, &body).await.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_is_ignored_stays_so_and_says_when_it_comes_again() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    laboratory.create(&local("ODD")).await;
    let task = items(&world, "").await[0]["task"].as_str().unwrap().to_owned();
    world.desk("POST", &format!("/work/{task}"), &json!({"decision": "ignore", "note": "research only"})).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    laboratory.create(&local("ODD")).await;
    let listed = items(&world, "status=rejected").await;
    assert_eq!((listed.len(), &listed[0]["recurred"], &listed[0]["count"]), (1, &json!(true), &json!(2)));
    // How it was decided is in its history, with a receipt, and in the audit trail.
    let operator = world.party("operator").await;
    let history = operator.get(&format!("Task/{task}/_history")).await.expect(200).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 2);
    let receipt = operator.get(&format!("Task/{task}/$receipt")).await.expect(200).text();
    let stored = operator.get(&format!("Task/{task}")).await.expect(200);
    hearthgate::anchor::verify_receipt(&receipt, &world.policy(), Some(&stored.bytes)).unwrap();
    let events = world.audit_events().await;
    assert!(events.iter().any(|event| event["subtype"][0]["code"] == "operate" && event.to_string().contains(&task)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_units_and_other_releases_are_work_too() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    let mut odd = observation("Patient/1");
    odd["valueQuantity"] = json!({"value": 15, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"});
    laboratory.create(&odd).await;
    laboratory.post("Patient", &json!({"resourceType": "Patient", "careProvider": [{"display": "x"}]})).await.expect(422);
    laboratory.post("Patient", &json!({"resourceType": "Patient", "careProvider": [{"display": "y"}]})).await.expect(422);
    let units = items(&world, "kind=implausible-unit").await;
    assert_eq!((units.len(), &units[0]["inputs"]["unit"], &units[0]["inputs"]["code"]), (1, &json!("g/L"), &json!("718-7")));
    let versions = items(&world, "kind=refused-version").await;
    assert_eq!((versions.len(), &versions[0]["count"]), (1, &json!(2)), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_work_is_on_the_desk_and_a_task() {
    let world = World::start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    laboratory.create(&local("CREA")).await;
    let mut odd = observation("Patient/1");
    odd["valueQuantity"] = json!({"value": 15, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"});
    laboratory.create(&odd).await;
    laboratory.post("Patient", &json!({"resourceType": "Patient", "careProvider": [{"display": "x"}]})).await.expect(422);
    a.create(&patient("18")).await;
    b.create(&patient("18")).await;
    let mut late = observation("Patient/1");
    for status in ["corrected", "preliminary", "final", "final"] {
        (late["id"], late["status"], late["valueQuantity"]["value"]) = (json!("r1"), json!(status), json!(13.5));
        laboratory.put("Observation/r1", &late).await;
    }
    let operator = world.party("operator").await;
    for kind in ["unmapped-code", "implausible-unit", "refused-version", "uncertain-match", "late-result"] {
        let listed = items(&world, &format!("kind={kind}&status=requested")).await;
        let tasks = operator.search(&format!("Task?code=urn:hearthgate:work|{kind}&status=requested")).await;
        assert_eq!((listed.len(), tasks.len()), (1, 1), "{kind}");
        assert_eq!(listed[0]["task"], tasks[0]["id"], "{kind}");
        assert_eq!(tasks[0]["code"]["coding"][0]["code"], kind);
    }
}

/// A test that is nothing but text, or a code without a system, has its row too, and the map made of it applies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_system_can_be_mapped() {
    let world = World::start().await;
    let laboratory = world.party("laboratory").await;
    let of = |code: Value| {
        let mut result = observation("Patient/1");
        result["code"] = code;
        result
    };
    let codes = [json!({"text": "Creatinine"}), json!({"text": "Ada Moor 24 h urine"}), json!({"coding": [{"code": "CREA"}]})];
    for code in &codes {
        laboratory.create(&of(code.clone())).await;
    }
    let sheet = world.desk("GET", "/sources/laboratory/unmapped?format=csv", &json!(null)).await.expect(200).text();
    assert!(sheet.contains(",Creatinine,") && sheet.contains(",CREA,") && !sheet.contains("Moor"), "{sheet}");
    let rows: std::collections::BTreeSet<&str> = sheet.lines().skip(1).collect();
    assert!(rows.len() == 3 && rows.iter().all(|row| !row.starts_with(',') && row.contains("Observation/hg-")), "{sheet}");
    let bad = sheet.replace("http://loinc.org,,", ",2160-0,");
    let load = |sheet: String| Call::new("POST", &format!("{}/desk/sources/laboratory/concept-map", world.admin)).body("text/csv", sheet);
    assert!(world.desk_call(load(bad)).await.expect(400).text().contains("Rows 2, 3, 4 of the sheet"));
    let loaded = world.desk_call(load(sheet.replace("http://loinc.org,,", "http://loinc.org,2160-0,"))).await.expect(200).json();
    assert_eq!((&loaded["usable"], &loaded["settled"]), (&json!(3), &json!(3)));
    let laboratory = world.party("laboratory").await;
    for code in codes {
        let seen = laboratory.post("Observation", &of(code)).await.expect(201).json();
        let coded = seen["code"]["coding"].as_array().unwrap().iter().any(|coding| coding["code"] == "2160-0");
        assert!(coded, "{seen}");
    }
}
