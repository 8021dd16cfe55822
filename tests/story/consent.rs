//! What the patient's consent lets through, and that everything else looks as if it were not there.

use crate::support::data::{MRN, bundle, observation, patient, permit, permit_to, purpose};
use crate::support::{Answer, Call, Party, Setup, World};
use hearthgate::clock::{Instant, ScriptedTime};
use hearthgate::consent::is_administrative;
use serde_json::{Value, json};
use std::time::Duration;

/// A patient of hospital A with a measurement and a consent or none.
struct Case {
    world: World,
    a: Party,
    b: Party,
    patient: String,
    seen: String,
}

impl Case {
    async fn new(setup: Setup) -> Case {
        let world = setup.start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let patient = a.create(&patient("1")).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        Case { world, a, b, patient, seen }
    }

    fn paths(&self) -> Vec<String> {
        vec![format!("Patient/{}", self.patient), format!("Observation/{}", self.seen)]
    }

    /// Whether hospital B sees both records, in every way there is to ask; it must see all or nothing.
    async fn sees(&self, party: &Party) -> bool {
        let mut views = Vec::new();
        for path in self.paths() {
            views.push(party.get(&path).await.status == 200);
            views.push(party.get(&format!("{path}/_history/1")).await.status == 200);
            views.push(party.get(&format!("{path}/_history")).await.status == 200);
            views.push(party.get(&format!("{path}/$receipt")).await.status == 200);
        }
        let found = |answer: Answer| answer.expect(200).json()["total"] == 1;
        views.push(found(party.get(&format!("Patient?_id={}", self.patient)).await));
        views.push(found(party.get(&format!("Patient?identifier={MRN}|1&_total=accurate")).await));
        views.push(found(party.get(&format!("Observation?patient={}", self.patient)).await));
        views.push(found(party.get("Observation?code=718-7&_summary=count").await));
        let form = Call::new("POST", "Observation/_search").form(&format!("subject=Patient/{}", self.patient));
        views.push(found(party.call(form).await));
        let history = party.get("Observation/_history").await.expect(200).json();
        views.push(history["entry"].as_array().is_some_and(|entries| entries.len() == 1));
        let read = json!({"request": {"method": "GET", "url": format!("Patient/{}", self.patient)}});
        let batch = party.post("", &bundle("batch", vec![read])).await.expect(200).json();
        views.push(batch["entry"][0]["resource"]["resourceType"] == "Patient");
        assert!(views.iter().all(|view| *view == views[0]), "one way of asking sees more than another: {views:?}");
        views[0]
    }

    async fn file(&self, consent: &Value) -> String {
        self.a.create(consent).await
    }

    async fn revoke(&self, consent: &str) {
        let path = format!("Consent/{consent}");
        let mut stored = self.a.get(&path).await.expect(200).json();
        stored["status"] = json!("inactive");
        self.a.put(&path, &stored).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_opens_and_revocation_closes() {
    let case = Case::new(Setup::default()).await;
    assert!(case.sees(&case.a).await, "the sender sees what it sent");
    assert!(!case.sees(&case.b).await, "nobody else does without consent");
    let consent = case.file(&permit_to(&case.patient, "hospital-b")).await;
    assert!(case.sees(&case.b).await, "consent takes effect on the next request");
    case.revoke(&consent).await;
    assert!(!case.sees(&case.b).await, "and so does its revocation");
    assert!(case.sees(&case.a).await);
    // A consent that is deleted permits nothing either.
    let again = case.file(&permit_to(&case.patient, "hospital-b")).await;
    assert!(case.sees(&case.b).await);
    case.a.delete(&format!("Consent/{again}")).await.expect(204);
    assert!(!case.sees(&case.b).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_for_whom_and_what_it_says() {
    let case = Case::new(Setup::default()).await;
    let with = |change: fn(&mut Value)| {
        let mut consent = permit_to(&case.patient, "hospital-b");
        change(&mut consent);
        consent
    };
    for (why, consent, opens) in [
        ("everybody", permit(&case.patient), true),
        ("this organisation", permit_to(&case.patient, "hospital-b"), true),
        ("another organisation", permit_to(&case.patient, "hospital-c"), false),
        ("for treatment", with(|consent| consent["provision"]["purpose"] = purpose("TREAT")), true),
        ("for payment, which it also asks for", with(|consent| consent["provision"]["purpose"] = purpose("HPAYMT")), true),
        ("for research", with(|consent| consent["provision"]["purpose"] = purpose("HRESCH")), false),
        ("a draft", with(|consent| consent["status"] = json!("draft")), false),
        ("entered in error", with(|consent| consent["status"] = json!("entered-in-error")), false),
        ("a denial", with(|consent| consent["provision"]["type"] = json!("deny")), false),
        ("in force", with(|consent| consent["provision"]["period"] = json!({"start": "2020-01-01", "end": "2099-12-31"})), true),
        ("over", with(|consent| consent["provision"]["period"] = json!({"start": "2020-01-01", "end": "2020-12-31"})), false),
        ("not yet", with(|consent| consent["provision"]["period"] = json!({"start": "2099-01-01"})), false),
        ("about another patient", with(|consent| consent["patient"]["reference"] = json!("Patient/somebody")), false),
        (
            "with a modifier nobody knows",
            with(|consent| consent["modifierExtension"] = json!([{"url": "http://x.example/not", "valueBoolean": true}])),
            false,
        ),
    ] {
        let answer = case.a.post("Consent", &consent).await;
        if answer.status != 201 {
            assert!(!opens, "{why}: {}", answer.text());
            continue;
        }
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(case.sees(&case.b).await, opens, "{why}");
        case.a.delete(&format!("Consent/{id}")).await.expect(204);
        assert!(!case.sees(&case.b).await, "{why}, afterwards");
    }
    // The purpose is the request's: what is for treatment does not answer a question for payment.
    case.file(&with(|consent| consent["provision"]["purpose"] = purpose("TREAT"))).await;
    let path = format!("Patient/{}", case.patient);
    let for_purpose = |code: &str| Call::get(&path).header("x-purpose-of-use", code);
    case.b.call(for_purpose("TREAT")).await.expect(200);
    let in_lines = Call::get(&path).header("x-purpose-of-use", "TREAT").header("x-purpose-of-use", "HPAYMT");
    for call in [for_purpose("HPAYMT"), for_purpose("TREAT HPAYMT"), in_lines] {
        assert_eq!(case.b.call(call).await.expect(404).issue(), "not-found");
    }
    case.file(&with(|consent| consent["provision"]["purpose"] = purpose("HPAYMT"))).await;
    case.b.call(for_purpose("TREAT HPAYMT")).await.expect(200);
    // A regulator is no way round consent.
    let regulator = case.world.party("health-department").await;
    regulator.get(&path).await.expect(403);
    // Of two consents the denial wins.
    let mut denial = permit_to(&case.patient, "hospital-b");
    denial["provision"]["type"] = json!("deny");
    let denial = case.file(&denial).await;
    assert!(!case.sees(&case.b).await);
    case.revoke(&denial).await;
    assert!(case.sees(&case.b).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_ends_when_its_time_is_over() {
    let start = Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap();
    let time = ScriptedTime::starting_at(start);
    let case = Case::new(Setup::default().at(&time)).await;
    let mut consent = permit_to(&case.patient, "hospital-b");
    consent["provision"]["period"] = json!({"start": "2026-06-01T12:01:00Z", "end": "2026-06-01T12:02:00Z"});
    case.file(&consent).await;
    for (seconds, expected) in [(0, false), (59, false), (61, true), (119, true), (122, false)] {
        time.set(start + Duration::from_secs(seconds));
        assert_eq!(case.sees(&case.b).await, expected, "after {seconds} seconds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_looks_like_absent() {
    let case = Case::new(Setup::default()).await;
    // The like of the patient's id that nobody has: same length, same form.
    let absent = |id: &str| format!("{}{}", &id[..id.len() - 4], if id.ends_with("aaaa") { "bbbb" } else { "aaaa" });
    let (no_patient, no_seen) = (absent(&case.patient), absent(&case.seen));
    let pairs = [
        (format!("Patient/{}", case.patient), format!("Patient/{no_patient}")),
        (format!("Observation/{}", case.seen), format!("Observation/{no_seen}")),
        (format!("Patient/{}/_history", case.patient), format!("Patient/{no_patient}/_history")),
        (format!("Patient/{}/_history/1", case.patient), format!("Patient/{no_patient}/_history/1")),
        (format!("Patient/{}/$receipt", case.patient), format!("Patient/{no_patient}/$receipt")),
        (format!("Patient/{}/_history/1/$receipt", case.patient), format!("Patient/{no_patient}/_history/1/$receipt")),
        (format!("Patient?_id={}", case.patient), format!("Patient?_id={no_patient}")),
        (format!("Observation?patient={}", case.patient), format!("Observation?patient={no_patient}")),
        (
            format!("Observation?subject=Patient/{}&_sort=date&_count=1", case.patient),
            format!("Observation?subject=Patient/{no_patient}&_sort=date&_count=1"),
        ),
        (format!("Provenance?target=Patient/{}", case.patient), format!("Provenance?target=Patient/{no_patient}")),
        (format!("AuditEvent?patient=Patient/{}", case.patient), format!("AuditEvent?patient=Patient/{no_patient}")),
        (format!("Consent?patient=Patient/{}", case.patient), format!("Consent?patient=Patient/{no_patient}")),
    ];
    for (hidden, missing) in &pairs {
        for method in ["GET", "HEAD"] {
            let (one, other) = (case.b.call(Call::new(method, hidden)).await, case.b.call(Call::new(method, missing)).await);
            same(&one, &other, &[(&case.patient, &no_patient), (&case.seen, &no_seen)], hidden);
        }
    }
    // Writes and conditions are no way to find out either.
    let mut forged = patient("1");
    forged["id"] = json!(case.patient);
    let mut nobody = forged.clone();
    nobody["id"] = json!(no_patient);
    let swaps = [(case.patient.as_str(), no_patient.as_str())];
    let (hidden, missing) = (format!("Patient/{}", case.patient), format!("Patient/{no_patient}"));
    same(&case.b.put(&hidden, &forged).await, &case.b.put(&missing, &nobody).await, &swaps, "update");
    let guarded = |path: &str, body: &Value| Call::put(path, body).header("if-match", "W/\"1\"");
    same(&case.b.call(guarded(&hidden, &forged)).await, &case.b.call(guarded(&missing, &nobody)).await, &swaps, "guarded update");
    same(&case.b.delete(&hidden).await, &case.b.delete(&missing).await, &swaps, "deletion");
    let known = Call::get(&hidden).header("if-none-match", "W/\"1\"");
    same(&case.b.call(known).await, &case.b.call(Call::get(&missing).header("if-none-match", "W/\"1\"")).await, &swaps, "a known version");
    let in_batch = |path: &str| bundle("batch", vec![json!({"request": {"method": "GET", "url": path}})]);
    same(&case.b.post("", &in_batch(&hidden)).await, &case.b.post("", &in_batch(&missing)).await, &swaps, "batch");
    // What B creates under a condition that only A's record meets is created.
    case.b.call(Call::post("Patient", &patient("1")).header("if-none-exist", &format!("identifier={MRN}|1"))).await.expect(201);
    assert!(case.sees(&case.a).await, "and A's record is untouched");
}

/// The two answers differ in nothing but what names the request and the moment.
fn same(hidden: &Answer, missing: &Answer, swaps: &[(&str, &str)], what: &str) {
    assert_eq!(hidden.status, missing.status, "{what}: {} {}", hidden.text(), missing.text());
    let plain = |text: String| swaps.iter().fold(text, |text, (hidden, missing)| text.replace(hidden, missing));
    assert_eq!(plain(hidden.text()), missing.text(), "{what}");
    let headers = |answer: &Answer| -> Vec<(String, String)> {
        let passing = ["x-request-id", "date"];
        let kept = answer.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str()));
        kept.map(|(name, value)| (name.to_string(), plain(value.to_str().unwrap_or_default().to_owned()))).collect()
    };
    assert_eq!(headers(hidden), headers(missing), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_leaves_no_gap() {
    let case = Case::new(Setup::default()).await;
    // Between hospital A's hidden measurements lie hospital B's own: totals, pages and order are as if A's did not exist.
    let theirs = case.b.create(&patient("b")).await;
    let mut own = Vec::new();
    for day in 1..=9 {
        let mut seen = observation(&format!("Patient/{}", if day % 3 == 0 { &theirs } else { &case.patient }));
        seen["effectiveDateTime"] = json!(format!("2026-01-0{day}"));
        let party = if day % 3 == 0 { &case.b } else { &case.a };
        let id = party.create(&seen).await;
        if day % 3 == 0 {
            own.push(id);
        }
    }
    let mut pages = Vec::new();
    let mut next = Some("Observation?_sort=date&_count=2".to_owned());
    while let Some(path) = next {
        let page = case.b.get(&path).await.expect(200);
        assert_eq!(page.json()["total"], own.len());
        pages.push(crate::support::party::ids(&page.matches()));
        next = page.link("next");
    }
    assert_eq!(pages, [own[..2].to_vec(), own[2..].to_vec()]);
    let mut pages = Vec::new();
    let mut next = Some("Observation/_history?_count=2".to_owned());
    while let Some(path) = next {
        let page = case.b.get(&path).await.expect(200);
        pages.push(page.json()["entry"].as_array().map_or(0, Vec::len));
        next = page.link("next");
        assert!(pages.len() < 5, "pages that never end");
    }
    assert_eq!(pages.iter().sum::<usize>(), own.len());
    assert!(pages.iter().all(|&count| count > 0), "a page that holds nothing says that something is hidden: {pages:?}");
}

/// Of all types, only those that cannot be about a patient go without consent, and those only when they name none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_about_nobody_goes_without_consent() {
    let world = Setup::adjusted(|settings| {
        // Whatever its type needs besides, it is taken.
        settings.sources.get_mut("laboratory").unwrap().on_error = Some(hearthgate::config::OnError::Flag);
    })
    .start()
    .await;
    let (laboratory, b) = (world.party("laboratory").await, world.party("hospital-b").await);
    let patient = laboratory.create(&patient("1")).await;
    let statement = b.get("metadata").await.expect(200).json();
    let about = json!([{"url": "http://example.org/about", "valueReference": {"reference": format!("Patient/{patient}")}}]);
    let mut free = 0;
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let type_name = resource["type"].as_str().unwrap();
        let (bare, mut named) = (json!({"resourceType": type_name}), json!({"resourceType": type_name}));
        named["extension"] = about.clone();
        let mut sent = Vec::new();
        for body in [&bare, &named] {
            let answer = laboratory.post(type_name, body).await;
            match answer.status {
                201 => sent.push(answer.json()["id"].as_str().unwrap().to_owned()),
                // Some cannot be taken so, or not from everybody.
                400..500 => {}
                other => panic!("{type_name}: {other}: {}", answer.text()),
            }
        }
        let seen = crate::support::party::ids(&b.search(type_name).await);
        let expected = if is_administrative(type_name) { sent[..1].to_vec() } else { Vec::new() };
        assert_eq!(seen, expected, "{type_name}");
        free += expected.len();
    }
    assert!(free > 40, "{free} types were seen");
}

/// A rule about a practitioner's records reaches those made in a role of theirs, though the consent names no role; those made in another's are not meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_behind_a_role_is_known() {
    let Case { world: _world, a, b, patient, .. } = Case::new(Setup::default()).await;
    let mut made = Vec::new();
    for name in ["meant", "other"] {
        let practitioner = a.create(&json!({"resourceType": "Practitioner", "name": [{"family": name}]})).await;
        let reference = json!({"reference": format!("Practitioner/{practitioner}")});
        let role = a.create(&json!({"resourceType": "PractitionerRole", "active": true, "practitioner": reference})).await;
        let mut measured = observation(&format!("Patient/{patient}"));
        measured["performer"] = json!([{"reference": format!("PractitionerRole/{role}")}]);
        made.push((practitioner, format!("Observation/{}", a.create(&measured).await)));
    }
    let mut consent = permit_to(&patient, "hospital-b");
    let author = json!({"reference": format!("Practitioner/{}", made[0].0)});
    consent["provision"]["provision"] = json!([{"type": "deny", "data": [{"meaning": "authoredby", "reference": author}]}]);
    a.create(&consent).await;
    b.get(&made[0].1).await.expect(404);
    b.get(&made[1].1).await.expect(200);
}

/// What conforms to a profile conforms to what that is derived from: a denial by the one is meant for it, and a permit is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_by_a_profile_reaches_what_is_derived_from_it() {
    let Case { world: _world, a, b, patient, .. } = Case::new(Setup::default()).await;
    let definition = |name: &str| format!("http://hl7.org/fhir/StructureDefinition/{name}");
    let mut weight = observation(&format!("Patient/{patient}"));
    weight["meta"] = json!({"profile": [definition("bodyweight")]});
    weight["category"] =
        json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}]);
    weight["code"] = json!({"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]});
    weight["valueQuantity"] = json!({"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"});
    let mut inner = weight.clone();
    inner["id"] = json!("i");
    let report = json!({"resourceType": "DiagnosticReport", "status": "final", "subject": {"reference": format!("Patient/{patient}")},
        "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]}, "contained": [inner], "result": [{"reference": "#i"}]});
    let report = format!("DiagnosticReport/{}", a.create(&report).await);
    let weight = format!("Observation/{}", a.create(&weight).await);
    let other = format!("Observation/{}", a.create(&observation(&format!("Patient/{patient}"))).await);
    let class = |name: String| json!([{"system": "urn:ietf:rfc:3986", "code": name}]);
    let consent = a.create(&permit_to(&patient, "hospital-b")).await;
    for (provision, of_weight, of_other) in [
        (json!({"type": "deny", "class": class(definition("vitalsigns"))}), 404, 200),
        (json!({"type": "deny", "class": class(definition("bodyheight"))}), 200, 200),
        (json!({"type": "deny", "class": class(definition("Observation"))}), 404, 404),
    ] {
        let mut changed = permit_to(&patient, "hospital-b");
        changed["id"] = json!(consent);
        changed["provision"]["provision"] = json!([provision]);
        a.put(&format!("Consent/{consent}"), &changed).await.expect(200);
        assert_eq!((b.get(&weight).await.status, b.get(&other).await.status), (of_weight, of_other), "{provision}");
        let read = b.get(&report).await.expect(200).text();
        assert_eq!(read.contains("29463-7"), of_weight == 200, "what is contained: {provision} {read}");
    }
    let mut permitted = permit_to(&patient, "hospital-b");
    permitted["id"] = json!(consent);
    permitted["provision"]["class"] = class(definition("vitalsigns"));
    a.put(&format!("Consent/{consent}"), &permitted).await.expect(200);
    b.get(&weight).await.expect(404);
}
