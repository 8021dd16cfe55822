//! What cannot be asked of twins at rest: writes, changes of consent, time, what others are told.

use super::scene::concept;
use super::twins::{Probe, Side, Twins, form_of, get, median, send};
use crate::support::data::{MRN, bundle, creates, observation, patient, permit, permit_to, purpose};
use crate::support::{Answer, Call, Party, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How often the questions are put whose time is compared, and by how much the medians may differ on a machine that does other things as well.
const TIMED_RUNS: usize = 40;
const TIMED_ATTEMPTS: usize = 3;
const TIMED_FACTOR: f64 = 1.2;
const TIMED_SLACK: Duration = Duration::from_millis(2);

/// Writes, alone, under conditions, in Bundles, with wrong bodies: the answers of the twins are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn writes_tell_nothing() {
    let twins = Twins::anchoring_at_once().await;
    let about = |subject: &str| observation(&format!("Patient/{subject}"));
    let with_id = |id: &str, mut resource: Value| {
        resource["id"] = json!(id);
        resource
    };
    let criteria = format!("identifier={MRN}|2");
    let leaked: &'static str = criteria.clone().leak();
    let conditional: &'static str = format!("Patient?{criteria}").leak();
    let read = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let conditional_create = |resource: Value| {
        let mut entry = creates("urn:uuid:6f2fbd4e-0d0c-4b38-94a6-9c5e8e6d0a01", resource);
        entry["request"]["ifNoneExist"] = json!(criteria);
        entry
    };
    let probes: Vec<Probe> = vec![
        send("PUT", "Patient/{quiet}", &with_id("{quiet}", patient("2"))),
        send("PUT", "Patient/{quiet}", &with_id("{quiet}", patient("2"))).header("if-match", "W/\"1\""),
        send("PUT", "Patient/{quiet}", &with_id("{quiet}", patient("2"))).header("if-none-match", "*"),
        send("PUT", "Observation/{screen}", &with_id("{screen}", about("{some}"))),
        get("Patient/{quiet}").method("DELETE"),
        get("Condition/{condition}").method("DELETE").header("if-match", "W/\"1\""),
        get("Condition/{gone}").method("DELETE"),
        send("PATCH", "Patient/{quiet}", &json!([{"op": "remove", "path": "/name"}])),
        send("POST", "Patient", &patient("2")).header("if-none-exist", leaked),
        send("PUT", conditional, &patient("2")),
        get(conditional).method("DELETE"),
        get("Condition?code=F11.20").method("DELETE"),
        send("POST", "Observation", &about("{quiet}")),
        send("POST", "Observation", &json!({"resourceType": "Observation", "subject": {"reference": "Patient/{quiet}"}})),
        send(
            "POST",
            "Observation",
            &json!({
                "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "hasMember": [{"reference": "Condition/{condition}"}]
            }),
        ),
        send("POST", "Condition/$validate", &json!({"resourceType": "Condition", "subject": {"reference": "Patient/{quiet}"}})),
        send("POST", "", &bundle("transaction", vec![conditional_create(patient("2"))])),
        send(
            "POST",
            "",
            &bundle(
                "transaction",
                vec![read("Condition/{condition}"), creates("urn:uuid:6f2fbd4e-0d0c-4b38-94a6-9c5e8e6d0a02", patient("7"))],
            ),
        ),
        send("POST", "", &bundle("batch", vec![conditional_create(patient("2")), read("Patient/{quiet}")])),
        send(
            "POST",
            "Subscription",
            &json!({
                "resourceType": "Subscription", "status": "requested", "reason": "to know", "criteria": "Condition?code=F11.20",
                "channel": {"type": "rest-hook", "endpoint": "https://b.example/hook"}
            }),
        ),
        form_of("Patient/_search", &criteria),
    ];
    for probe in probes {
        let difference = twins.tell_apart(&probe.makes(), 1).await;
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
}

/// A subscription is stored like any record, if at all; nothing evaluates its criteria and nobody is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn subscriptions_select_nothing() {
    let world = World::start().await;
    let b = world.party("hospital-b").await;
    let hook = crate::support::holder::Holder::start(Vec::new()).await;
    let subscription = json!({
        "resourceType": "Subscription", "status": "requested", "reason": "to know", "criteria": "Observation?",
        "channel": {"type": "rest-hook", "endpoint": hook.base}
    });
    b.post("Subscription", &subscription).await;
    let a = world.party("hospital-a").await;
    let patient = a.create(&patient("1")).await;
    a.create(&observation(&format!("Patient/{patient}"))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(hook.seen().is_empty(), "a subscriber was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn page_links_are_for_one_caller() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let laboratory = world.party("laboratory").await;
    let patient = a.create(&patient("1")).await;
    for _ in 0..3 {
        a.create(&observation(&format!("Patient/{patient}"))).await;
    }
    let consent = a.create(&permit(&patient)).await;
    let first = b.get(&format!("Observation?patient={patient}&_count=1")).await.expect(200);
    let next = first.link("next").unwrap();
    let opened = laboratory.get(&next).await.expect(400);
    let forged = laboratory.get(&format!("Observation?_page={}", "A".repeat(120))).await.expect(400);
    assert_eq!(opened.text(), forged.text(), "a link of somebody else is like one that never was");
    b.call(Call::get(&next).header("x-purpose-of-use", "TREAT")).await.expect(400);
    assert_eq!(b.get(&next).await.expect(200).matches().len(), 1);
    a.delete(&format!("Consent/{consent}")).await.expect(204);
    let after = b.get(&next).await.expect(400);
    assert_eq!(after.text(), forged.text(), "a link made under another consent is like one that never was");
    let anew = b.get(&format!("Observation?patient={patient}&_count=1")).await.expect(200);
    assert!(anew.matches().is_empty() && anew.json()["total"] == 0, "{}", anew.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn no_answer_outlives_its_consent() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = a.create(&patient("1")).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{patient}"))).await);
    let path = format!("Consent/{}", a.create(&permit(&patient)).await);
    let mut consent = a.get(&path).await.expect(200).json();
    for _ in 0..10 {
        let shown = b.get(&seen).await.expect(200);
        assert!(shown.header("cache-control").is_some_and(|control| control.contains("no-store")), "nobody on the way may keep it");
        consent["status"] = json!("inactive");
        a.put(&path, &consent).await.expect(200);
        let (one, other, all) = tokio::join!(b.get(&seen), b.get(&seen), b.get("Observation"));
        assert_eq!((one.status, other.status, all.matches().len()), (404, 404, 0), "a stale permit");
        consent["status"] = json!("active");
        a.put(&path, &consent).await.expect(200);
    }
}

/// What is done to a consent.
type Change = fn(&mut Value);

/// Consents that cannot be read, name nobody who is proved, or denied and ended: a record behind them is answered like one that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn what_cannot_be_read_denies_alike() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let changes: Vec<(&str, Change)> = vec![
        ("an unknown modifier", |consent| consent["modifierExtension"] = json!([{"url": "http://x.example/m", "valueBoolean": true}])),
        ("a modifier on its rule", |consent| {
            consent["provision"]["modifierExtension"] = json!([{"url": "http://x.example/m", "valueBoolean": true}]);
        }),
        ("a partial date that may be over", |consent| consent["provision"]["period"] = json!({"end": "2025"})),
        ("a period turned round", |consent| consent["provision"]["period"] = json!({"start": "2027-01-01", "end": "2020-01-01"})),
        ("an hour that has not come", |consent| consent["provision"]["period"] = json!({"start": "2099-01-01T00:00:00+14:00"})),
        ("an unknown purpose", |consent| consent["provision"]["purpose"] = purpose("NONSENSE")),
        ("an unknown action", |consent| consent["provision"]["action"] = json!([concept("urn:x", "look", "Look")])),
        ("a denial that ended", |consent| {
            consent["provision"]["type"] = json!("deny");
            consent["provision"]["period"] = json!({"start": "2020-01-01", "end": "2020-12-31"});
        }),
        ("an actor by display", |consent| consent["provision"]["actor"][0]["reference"] = json!({"display": "Hospital B"})),
        ("an actor of another system", |consent| {
            consent["provision"]["actor"][0]["reference"]["identifier"]["system"] = json!("urn:oid:1.3.6.1.4.1.99999.77");
        }),
        ("an actor without a system", |consent| {
            consent["provision"]["actor"][0]["reference"]["identifier"].as_object_mut().unwrap().remove("system");
        }),
        ("a role alone", |consent| {
            consent["provision"]["actor"][0]["reference"] = json!({"reference": "Organization/nobody"});
        }),
        ("a research consent", |consent| {
            consent["scope"] = concept("http://terminology.hl7.org/CodeSystem/consentscope", "research", "Research");
        }),
        ("nothing but a scan", |consent| {
            consent.as_object_mut().unwrap().remove("provision");
            consent.as_object_mut().unwrap().remove("policyRule");
            consent["policy"] = json!([{"uri": "urn:x:policy"}]);
            consent["sourceAttachment"] = json!({"contentType": "application/pdf", "data": "JVBERi0="});
        }),
    ];
    for (number, (why, change)) in changes.into_iter().enumerate() {
        let patient = a.create(&patient(&number.to_string())).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        let mut consent = permit_to(&patient, "hospital-b");
        change(&mut consent);
        // One that is refused at filing permits nothing either.
        a.post("Consent", &consent).await;
        let absent = absent(&seen);
        let (hidden, missing) = (b.get(&format!("Observation/{seen}")).await, b.get(&format!("Observation/{absent}")).await);
        assert_alike(&hidden, &missing, why);
        let listed = |id: &str| format!("Observation?_id={id}");
        let (hidden, missing) = (b.get(&listed(&seen)).await.expect(200), b.get(&listed(&absent)).await.expect(200));
        assert_eq!(hidden.text().replace(&seen, &absent), missing.text(), "{why}");
    }
    // A consent whose row is damaged under the running gateway, which permitted a moment ago.
    let person = a.create(&patient("damaged")).await;
    let seen = a.create(&observation(&format!("Patient/{person}"))).await;
    let consent = a.create(&permit_to(&person, "hospital-b")).await;
    b.get(&format!("Observation/{seen}")).await.expect(200);
    let rows = rusqlite::Connection::open(world.data().join("data.db")).unwrap();
    let spoil = "UPDATE version SET document = replace(document, 'permit', 'permlt') WHERE rid = (SELECT rid FROM resource WHERE id = ?)";
    assert_eq!(rows.execute(spoil, [&consent]).unwrap(), 1);
    let absent = absent(&seen);
    for path in ["Observation/{id}", "Observation/{id}/_history", "Observation/{id}/$receipt", "Observation?_id={id}"] {
        let (hidden, missing) = (b.get(&path.replace("{id}", &seen)).await, b.get(&path.replace("{id}", &absent)).await);
        assert_eq!((hidden.status, hidden.text().replace(&seen, &absent)), (missing.status, missing.text()), "{path}");
    }
    // One that denies and is lost from the index, or put back to a version that permitted, opens nothing either.
    for (damage, sql) in [
        ("lost from the index", "DELETE FROM exact WHERE rid = (SELECT rid FROM resource WHERE id = ?)"),
        ("lost", "DELETE FROM resource WHERE id = ?"),
        (
            "put back",
            "UPDATE resource SET version = 1, current = (SELECT v.seq FROM version v WHERE v.rid = resource.rid AND v.version = 1) WHERE id = ?",
        ),
    ] {
        let patient = a.create(&patient(damage)).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        a.create(&permit_to(&patient, "hospital-b")).await;
        let mut denial = permit_to(&patient, "hospital-b");
        let denying = a.create(&denial).await;
        denial["id"] = json!(denying);
        denial["provision"]["type"] = json!("deny");
        b.get(&format!("Observation/{seen}")).await.expect(200);
        a.put(&format!("Consent/{denying}"), &denial).await.expect(200);
        let hidden = b.get(&format!("Observation/{seen}")).await.expect(404);
        if damage == "put back" {
            rows.execute("DELETE FROM version WHERE version > 1 AND rid = (SELECT rid FROM resource WHERE id = ?)", [&denying]).unwrap();
        }
        assert!(rows.execute(sql, [&denying]).unwrap() > 0, "{damage}");
        assert_alike(&b.get(&format!("Observation/{seen}")).await, &hidden, damage);
    }
    // Why it was denied is on the patient's record, and nowhere else.
    let events = world.audit_events().await;
    let says = |interaction: &str, outcome: &str, description: &str| {
        let is_such = |event: &&Value| {
            event["subtype"][0]["code"] == interaction && event["outcome"] == outcome && event["outcomeDesc"] == description
        };
        assert!(events.iter().filter(is_such).any(|event| event.to_string().contains(&person)), "{interaction} {description}");
    };
    says("read", "4", "not-found: consents-unreadable");
    says("history-instance", "4", "not-found: consents-unreadable");
    says("search-type", "0", "consents-unreadable");
    let regulator = world.party("health-department").await;
    assert!(!regulator.search(&format!("AuditEvent?patient=Patient/{person}")).await.is_empty(), "oversight reads it");
    // Who sent the record reads it as ever; only the consent itself is not served.
    a.get(&format!("Observation/{seen}")).await.expect(200);
    a.get(&format!("Consent/{consent}")).await.expect(500);
}

/// An id of the same form that nobody has.
fn absent(id: &str) -> String {
    format!("{}{}", &id[..id.len() - 4], if id.ends_with("aaaa") { "bbbb" } else { "aaaa" })
}

fn assert_alike(hidden: &Answer, missing: &Answer, why: &str) {
    assert_eq!((hidden.status, hidden.text()), (missing.status, missing.text()), "{why}");
    let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(hidden), names(missing), "{why}");
    assert_eq!(hidden.header("content-length"), missing.header("content-length"), "{why}");
}

/// A receipt opens a commitment to the whole record. Where a consent tells parts apart, nobody it binds is given one, whether parts were cut or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn what_was_cut_has_no_receipt() {
    let twins = Twins::start().await;
    for path in ["Observation/{labelled}/$receipt", "Observation/{seen}/$receipt", "Patient/{open}/$receipt"] {
        assert_eq!(twins.statuses(&get(path)).await, if path.contains("open") { [200, 200] } else { [404, 404] }, "{path}");
    }
}

/// Many questions to both, in turns, so that what else the machine does falls on both alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn time_tells_nothing() {
    let twins = Twins::start().await;
    let runs = super::runs().max(TIMED_RUNS);
    for path in
        ["Condition/{condition}", "Patient/{quiet}", "Observation/{seen}", "Condition?patient={quiet}", "Patient/{quiet}/$everything"]
    {
        let probe = get(path);
        let mut slower = Vec::new();
        while slower.len() < TIMED_ATTEMPTS {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                with.push(timed(&twins, &twins.with.caller, &probe).await);
                without.push(timed(&twins, &twins.without.caller, &probe).await);
            }
            let (one, other) = (median(with), median(without));
            let bound = |time: Duration| time.mul_f64(TIMED_FACTOR) + TIMED_SLACK;
            println!("{path}: median of {runs}: {one:?} with, {other:?} without");
            match (one > bound(other), other > bound(one)) {
                (true, _) => slower.push("with"),
                (_, true) => slower.push("without"),
                _ => break,
            }
        }
        let is_believed = slower.len() == TIMED_ATTEMPTS && slower.windows(2).all(|pair| pair[0] == pair[1]);
        assert!(!is_believed, "{path} takes longer {} each time", slower[0]);
    }
}

async fn timed(twins: &Twins, party: &Party, probe: &Probe) -> Duration {
    let start = Instant::now();
    party.call(twins.call(probe)).await;
    start.elapsed()
}

/// What the operator counts is on the inner listener; the public one has the log, whose leaves tell nothing of whom they are about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn counters_are_not_for_partners() {
    let twins = Twins::start().await;
    for path in ["/metrics", "/health/ready", "/desk", "/desk/tasks"] {
        let answer = twins.with.caller.get(&format!("{}{path}", twins.with.world.origin)).await;
        assert_eq!(answer.status, 404, "{path} on the public listener: {}", answer.text());
    }
    let checkpoint = |side: &Side| format!("{}/ledger/checkpoint", side.world.origin);
    let with = twins.with.caller.get(&checkpoint(&twins.with)).await.expect(200);
    let without = twins.without.caller.get(&checkpoint(&twins.without)).await.expect(200);
    let lines = |answer: &Answer| answer.text().lines().count();
    assert_eq!(lines(&with), lines(&without), "a checkpoint says how many leaves there are of everybody, and no more");
}

/// Whoever files about somebody has a receipt, and with it a leaf that it knows is theirs. By that it finds no other: neither of its own questions, told or
/// refused, nor of what others did; and it does not learn how many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn a_receipt_leads_to_no_other_leaf() {
    let twins = Twins::start().await;
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    for _ in 0..2 {
        let caller = &twins.with.caller;
        let filed = caller.create(&observation(&twins.named("Patient/{some}"))).await;
        let receipt = caller.get(&format!("Observation/{filed}/$receipt")).await.expect(200).text();
        let extra: Value = serde_json::from_slice(&receipt.parse::<hearthgate::ledger::LogProof>().unwrap().extra.unwrap()).unwrap();
        assert_eq!(extra.get("leaf_key"), None, "a version's leaf stays closed for whoever may see the version");
        leaves.push(data_encoding::BASE64.decode(extra["leaf"].as_str().unwrap().as_bytes()).unwrap());
        for path in ["Observation/{noted}", "Condition/{condition}", "Condition?code=F11.20", "Condition?patient={some}"] {
            caller.call(twins.call(&get(path))).await;
        }
    }
    let entries = twins.with.world.entries_from(0).await;
    assert!(entries.len() > 10 && leaves.iter().all(|leaf| entries.contains(leaf)));
    // Nothing of eight bytes stands in two of them but the time, and zeros in what anchors the index.
    let mut seen = std::collections::HashMap::new();
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry[0] > 4) {
        for window in entry[6..].windows(8) {
            let first = *seen.entry(window.to_vec()).or_insert(number);
            assert!(first == number || window == [0; 8], "leaves {first} and {number} have something in common");
        }
    }
    assert!(entries.iter().filter(|entry| entry[0] > 4).count() > 10, "leaves are sealed");
}

/// Audit records name who, when, what was asked and what was shown by id; nothing of what is in the records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn audits_hold_no_content() {
    let twins = Twins::start().await;
    for path in ["Condition/{condition}", "Condition?patient={some}", "Patient/{some}/$everything", "Observation/{noted}"] {
        twins.with.caller.call(twins.call(&get(path))).await;
    }
    let audits = twins.with.world.audit_events().await;
    assert!(audits.len() > 4);
    for word in ["F11.20", "ethadone", "pioid", "Moor", "1970-03-01"] {
        assert!(!audits.iter().any(|audit| audit.to_string().contains(word)), "an audit record holds `{word}`");
    }
    let denied = audits.iter().filter(|audit| audit["outcome"] != "0").count();
    assert!(denied > 0, "refusals are on record");
}

/// What a recipient stores of what it was given is judged like the original: by its codes, and by the labels that came with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub async fn a_copy_is_as_sensitive() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let laboratory = world.party("laboratory").await;
    let patient_a = a.create(&patient("1")).await;
    let mut original = observation(&format!("Patient/{patient_a}"));
    original["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]});
    let original = a.create(&original).await;
    a.create(&permit_to(&patient_a, "hospital-b")).await;
    let given = b.get(&format!("Observation/{original}")).await.expect(200);
    assert!(given.headers.iter().any(|(name, _)| name.as_str().contains("notice")), "the notice of 42 CFR 2.32 goes with it");
    // Hospital B keeps a copy under its own patient, who lets the laboratory see everything but substance use.
    let patient_b = b.create(&patient("b-1")).await;
    let mut copy = given.json();
    copy.as_object_mut().unwrap().remove("id");
    copy["subject"]["reference"] = json!(format!("Patient/{patient_b}"));
    let copy = b.create(&copy).await;
    let plain = b.create(&observation(&format!("Patient/{patient_b}"))).await;
    let mut consent = permit_to(&patient_b, "laboratory");
    let label = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"});
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": [label]}]);
    a.post("Consent", &consent).await.expect(201);
    laboratory.get(&format!("Observation/{plain}")).await.expect(200);
    laboratory.get(&format!("Observation/{copy}")).await.expect(404);
    let kept = b.get(&format!("Observation/{copy}")).await.expect(200).json();
    assert_eq!(kept["meta"]["security"][0]["code"], "SUD", "its labels are kept");
}
