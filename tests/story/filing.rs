//! Filing consents, alone and with their documents; what the filer is told; taking them back; who may do it for whom.

use crate::support::data::{MRN, bundle, observation, patient, permit, permit_to};
use crate::support::party::Answer;
use crate::support::{Call, Party, Setup, World};
use serde_json::{Value, json};

/// A patient's application with a source of its own, and two people's.
const PEOPLE: &str = r#"
[source.app]
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }

[[client]]
id = "own-app"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/Consent.cruds system/RelatedPerson.cruds"
purposes = ["PATRQT"]
acts_for = ["urn:oid:1.3.6.1.4.1.99999.2|1"]
source = "app"

[[client]]
id = "mother"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/*.cruds"
purposes = ["FAMRQT"]
person = { system = "urn:oid:1.3.6.1.4.1.99999.9", value = "mother" }
source = "app"
"#;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

struct Case {
    world: World,
    a: Party,
    b: Party,
    app: Party,
    mother: Party,
    patient: String,
}

impl Case {
    async fn new(setup: Setup) -> Case {
        let world = setup.start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let patient = a.create(&patient("1")).await;
        let app = world.party_with("own-app", "system/Consent.cruds system/RelatedPerson.cruds").await;
        let mother = world.party_with("mother", "system/*.cruds").await;
        Case { world, a, b, app, mother, patient }
    }

    async fn is_open(&self) -> bool {
        self.b.get(&format!("Patient/{}", self.patient)).await.status == 200
    }

    async fn revoke(&self, party: &Party, consent: &str) -> Answer {
        party.call(Call::new("POST", &format!("Consent/{consent}/$revokeConsent"))).await
    }
}

fn people() -> Setup {
    Setup::configured(PEOPLE)
}

fn ids_of(outcome: &Value) -> Vec<String> {
    let issues = outcome["issue"].as_array().unwrap().iter();
    let message = |issue: &Value| {
        issue["extension"].as_array().and_then(|all| all.iter().find_map(|one| one["valueString"].as_str().map(str::to_owned)))
    };
    issues.filter_map(message).collect()
}

fn location(answer: &Answer) -> String {
    answer.header("location").unwrap().split("/fhir/Consent/").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filer_is_told_how_it_will_be_read() {
    let case = Case::new(people()).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut consent = permit(&case.patient);
        change(&mut consent);
        consent
    };
    let rule = |rule: Value| move |consent: &mut Value| consent["provision"]["provision"] = json!([rule.clone()]);
    let scanned = json!({"contentType": "application/pdf", "title": "signed.pdf", "data": "AAAA"});
    for (expected, consent) in [
        ("consent-empty-rule", with(&rule(json!({"type": "permit"})))),
        ("consent-root-against-policy-rule", with(&|consent| consent["provision"]["type"] = json!("deny"))),
        (
            "consent-denial-without-deny",
            with(&rule(json!({"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT"}]}))),
        ),
        ("consent-period-for-data-period", with(&rule(json!({"type": "deny", "period": {"end": "2020-01-01"}})))),
        (
            "consent-value-set-as-system",
            with(&rule(
                json!({"type": "deny", "purpose": [{"system": "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse", "code": "HMARKT"}]}),
            )),
        ),
        (
            "consent-nested",
            with(&rule(json!({"type": "deny", "code": [{"text": "x"}], "provision": [{"type": "permit", "code": [{"text": "y"}]}]}))),
        ),
        (
            "consent-actor-unidentified",
            with(&rule(json!({"type": "deny", "actor": [{"role": {"text": "doctor"}, "reference": {"display": "Dr Bob"}}]}))),
        ),
        (
            "consent-purpose-unknown",
            with(&rule(
                json!({"type": "deny", "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "CURIOSITY"}]}),
            )),
        ),
        (
            "consent-contradiction",
            with(&|consent| {
                consent["provision"]["provision"] = json!([
                    {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]},
                    {"type": "permit", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}
                ])
            }),
        ),
        (
            "consent-purpose-unknown",
            with(&rule(json!({"type": "deny", "purpose": [{"system": "http://x.example/purposes", "code": "Z"}]}))),
        ),
        (
            "consent-action-unknown",
            with(&rule(json!({"type": "deny", "action": [{"coding": [{"system": "http://x.example/actions", "code": "Z"}]}]}))),
        ),
        (
            "consent-label-abstract",
            with(&rule(json!({"type": "deny", "securityLabel": [{"system": ACT_CODE, "code": "_InformationSensitivityPolicy"}]}))),
        ),
        (
            "consent-class-base",
            with(&rule(json!({"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "DomainResource"}]}))),
        ),
        ("consent-not-verified", with(&|consent| consent["verification"] = json!([{"verified": false}]))),
        ("consent-dated-later", with(&|consent| consent["dateTime"] = json!("2999-01-01"))),
        ("consent-over", with(&|consent| consent["provision"]["period"] = json!({"start": "2026-01-01", "end": "2026-01-02"}))),
        ("consent-not-begun", with(&|consent| consent["provision"]["period"] = json!({"start": "2999-01-01"}))),
        ("consent-scope-elsewhere", with(&|consent| consent["scope"]["coding"][0]["code"] = json!("adr"))),
        ("consent-research", with(&|consent| consent["scope"]["coding"][0]["code"] = json!("research"))),
        ("consent-scope", with(&|consent| consent["scope"]["coding"][0]["code"] = json!("something"))),
        ("consent-emergencies", with(&|consent| consent["category"] = json!([{"coding": [{"system": ACT_CODE, "code": "EMRGONLY"}]}]))),
        (
            "consent-document-opens",
            with(&|consent| {
                consent.as_object_mut().unwrap().remove("provision");
                consent["sourceAttachment"] = scanned.clone();
            }),
        ),
        ("consent-not-in-force", with(&|consent| consent["status"] = json!("draft"))),
        (
            "consent-document-only",
            with(&|consent| {
                let object = consent.as_object_mut().unwrap();
                object.remove("provision");
                object.remove("policyRule");
                object.insert("policy".to_owned(), json!([{"uri": "http://example.org/form"}]));
                object.insert("sourceAttachment".to_owned(), scanned.clone());
            }),
        ),
    ] {
        let answer = case.a.call(Call::post("Consent", &consent).header("prefer", "return=OperationOutcome")).await.expect(201);
        let told = ids_of(&answer.json());
        assert!(told.iter().any(|id| id == expected), "{expected}: {told:?}");
        // Whoever wants the resource learns that there is something to know; whoever asks before filing is told the same.
        let again = case.a.post("Consent", &consent).await.expect(201);
        assert!(again.header("x-hearthgate-findings").is_some_and(|listed| listed.contains(expected)), "{expected}");
        let examined = case.a.post("Consent/$validate", &consent).await.expect(200).json();
        assert!(ids_of(&examined).iter().any(|id| id == expected), "{expected}: {examined:#}");
        for filed in [answer, again] {
            let id = location(&filed);
            case.a.delete(&format!("Consent/{id}")).await.expect(204);
        }
    }
    let clean = case.a.post("Consent", &permit(&case.patient)).await.expect(201);
    assert_eq!(clean.header("x-hearthgate-findings"), None);
}

/// Whether what somebody else gave for the patient counts turns on how old the patient is, and is told whoever files it, however they do; to whoever only
/// asks how a consent would be read nothing is told of the patient.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filer_is_told_of_a_consent_that_was_outgrown() {
    let case = Case::new(people()).await;
    for (born, is_outgrown) in [(json!("1970-03-01"), true), (Value::Null, true), (json!("2020-01-01"), false)] {
        let mut record = patient(&born.to_string());
        record["birthDate"] = born.clone();
        if born.is_null() {
            record.as_object_mut().unwrap().remove("birthDate");
        }
        let id = case.a.create(&record).await;
        let mut consent = permit(&id);
        consent["performer"] =
            json!([{"type": "RelatedPerson", "identifier": {"system": "urn:oid:1.3.6.1.4.1.99999.9", "value": "mother"}}]);
        consent["dateTime"] = json!("1980-01-01");
        let is_told = |outcome: &Value| ids_of(outcome).iter().any(|told| told == "consent-outgrown");
        let created = case.a.call(Call::post("Consent", &consent).header("prefer", "return=OperationOutcome")).await.expect(201);
        assert_eq!(is_told(&created.json()), is_outgrown, "{born}: {}", created.text());
        let filed = location(&created);
        let mut again = consent.clone();
        (again["id"], again["dateTime"]) = (json!(filed), json!("1980-01-02"));
        let updated =
            case.a.call(Call::put(&format!("Consent/{filed}"), &again).header("prefer", "return=OperationOutcome")).await.expect(200);
        assert_eq!(is_told(&updated.json()), is_outgrown, "{born}: {}", updated.text());
        let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "consent", "resource": consent}]});
        let operated = case.a.post("Consent/$fileConsent", &parameters).await;
        assert_eq!(is_told(&operated.json()), is_outgrown, "{born}: {}", operated.text());
        assert!(!is_told(&case.a.post("Consent/$validate", &consent).await.expect(200).json()), "{born}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanned_form_alone_permits_nothing() {
    let case = Case::new(people()).await;
    let mut consent = permit(&case.patient);
    let object = consent.as_object_mut().unwrap();
    object.remove("provision");
    object.remove("policyRule");
    object.insert("policy".to_owned(), json!([{"uri": "http://example.org/form"}]));
    object.insert("sourceAttachment".to_owned(), json!({"contentType": "application/pdf", "data": "AAAA"}));
    let told = case.a.post("Consent/$fileConsent", &consent).await.expect(200);
    assert_eq!(ids_of(&told.json()), ["consent-filed", "consent-document-only"]);
    assert!(!case.is_open().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_filed_with_the_form_it_was_given_on() {
    let case = Case::new(people()).await;
    let document = json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": format!("Patient/{}", case.patient)},
        "content": [{"attachment": {"contentType": "application/pdf", "data": "AAAA"}}]
    });
    let answers = json!({
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "subject": {"reference": format!("Patient/{}", case.patient)}
    });
    let parameters = |resources: Vec<(&str, &Value)>| {
        let list: Vec<Value> = resources.into_iter().map(|(name, resource)| json!({"name": name, "resource": resource})).collect();
        json!({"resourceType": "Parameters", "parameter": list})
    };
    let consent = permit_to(&case.patient, "hospital-b");
    let entries = [&document, &consent].map(|resource| json!({"resource": resource})).to_vec();
    for body in [
        consent.clone(),
        parameters(vec![("consent", &consent), ("document", &document)]),
        parameters(vec![("document", &answers), ("consent", &consent)]),
        bundle("collection", entries),
    ] {
        assert!(!case.is_open().await);
        let filed = case.a.post("Consent/$fileConsent", &body).await.expect(200);
        let told = ids_of(&filed.json());
        assert_eq!(told.iter().filter(|id| id.starts_with("consent-")).collect::<Vec<_>>(), ["consent-filed"]);
        assert!(filed.header("etag").is_some() && filed.header("x-hearthgate-receipt").is_some());
        assert!(case.is_open().await, "it counts from the next request on");
        let id = location(&filed);
        let stored = case.a.get(&format!("Consent/{id}")).await.expect(200).json();
        if body["resourceType"] != "Consent" {
            let source = stored["sourceReference"]["reference"].as_str().unwrap().to_owned();
            case.a.get(&source).await.expect(200);
        }
        let revoked = case.revoke(&case.a, &id).await.expect(200);
        assert_eq!(ids_of(&revoked.json()), ["consent-revoked"]);
        assert!(revoked.header("etag").is_some_and(|tag| tag == "W/\"2\""));
    }
    // What does not belong together is refused as a whole.
    for body in [
        json!({"resourceType": "Parameters"}),
        parameters(vec![("document", &document)]),
        parameters(vec![("consent", &consent), ("consent", &consent)]),
        parameters(vec![("consent", &consent), ("document", &patient("9"))]),
        parameters(vec![("agreement", &consent)]),
        bundle("collection", vec![json!({"resource": consent}), json!({"resource": observation("Patient/1")})]),
        patient("9"),
    ] {
        case.a.post("Consent/$fileConsent", &body).await.expect(400);
    }
    let mut broken = consent.clone();
    broken["status"] = json!("perhaps");
    case.a.post("Consent/$fileConsent", &parameters(vec![("consent", &broken), ("document", &document)])).await.expect(422);
    assert!(!case.is_open().await);
    case.b.post("Consent/$fileConsent", &consent).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_is_a_version_like_any_other_and_keeps_what_was() {
    let case = Case::new(people()).await;
    let consent = case.a.create(&permit_to(&case.patient, "hospital-b")).await;
    assert!(case.is_open().await);
    // The patient's own application sees a consent that somebody else filed, and may end it; nobody else's does.
    let listed = case.app.search(&format!("Consent?patient=Patient/{}", case.patient)).await;
    assert_eq!(crate::support::party::ids(&listed), std::slice::from_ref(&consent));
    case.app.get(&format!("Consent/{consent}")).await.expect(200);
    case.mother.get(&format!("Consent/{consent}")).await.expect(404);
    assert!(case.mother.search(&format!("Consent?patient=Patient/{}", case.patient)).await.is_empty());
    case.revoke(&case.app, &consent).await.expect(200);
    assert!(!case.is_open().await, "revocation counts from the next request on");
    let history = case.a.get(&format!("Consent/{consent}/_history")).await.expect(200).json();
    let states: Vec<&str> =
        history["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["inactive", "active"]);
    let provenances = crate::support::world::documents(&case.world.data(), "Provenance");
    let of_second = format!("Consent/{consent}/_history/2");
    assert!(provenances.iter().any(|provenance| provenance["target"][0]["reference"] == of_second), "the new version has its Provenance");
    case.a.get(&format!("Consent/{consent}/_history/2/$receipt")).await.expect(200);
    // Once more changes nothing.
    assert_eq!(case.revoke(&case.app, &consent).await.expect(200).header("etag"), Some("W/\"2\""));
    // Whoever may not is answered as if there were none.
    let other = case.a.create(&permit(&case.patient)).await;
    let absent = format!("{}{}", &other[..other.len() - 4], if other.ends_with("aaaa") { "bbbb" } else { "aaaa" });
    let (hidden, missing) = (case.revoke(&case.b, &other).await, case.revoke(&case.b, &absent).await);
    assert_eq!((hidden.status, hidden.text()), (404, missing.text()));
    assert_eq!(case.revoke(&case.mother, &other).await.status, 404);
    let reasoned = json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "x"}]});
    case.a.post(&format!("Consent/{other}/$revokeConsent"), &reasoned).await.expect(400);
    case.a.post(&format!("Consent/{other}/$revokeConsent"), &json!({"resourceType": "Parameters"})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_file_for_themselves_and_for_nobody_else() {
    let case = Case::new(people()).await;
    let other = case.a.create(&patient("2")).await;
    let filed = case.app.create(&permit_to(&case.patient, "hospital-b")).await;
    assert!(case.is_open().await);
    case.app.post("Consent", &permit_to(&other, "hospital-b")).await.expect(403);
    let mut taken = permit_to(&other, "hospital-b");
    taken["id"] = json!(filed);
    case.app.put(&format!("Consent/{filed}"), &taken).await.expect(403);
    // In a transaction neither; and nothing of it is stored.
    let both = bundle(
        "transaction",
        [&case.patient, &other].map(|id| json!({"resource": permit(id), "request": {"method": "POST", "url": "Consent"}})).to_vec(),
    );
    case.app.post("", &both).await.expect(403);
    // What was in force is not made away with.
    assert_eq!(case.app.delete(&format!("Consent/{filed}")).await.expect(403).issue(), "forbidden");
    let mut narrowed = permit_to(&case.patient, "hospital-c");
    narrowed["id"] = json!(filed);
    case.app.put(&format!("Consent/{filed}"), &narrowed).await.expect(200);
    assert!(!case.is_open().await);
}

fn related(patient: &str, relation: &str) -> Value {
    json!({
        "resourceType": "RelatedPerson",
        "active": true,
        "identifier": [{"system": "urn:oid:1.3.6.1.4.1.99999.9", "value": "mother"}],
        "patient": {"reference": format!("Patient/{patient}")},
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": relation}]}]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardians_act_until_the_child_is_of_age() {
    use hearthgate::clock::{Instant, ScriptedTime};
    let start = Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap();
    let time = ScriptedTime::starting_at(start);
    let setup = Setup::configured(format!("[consent]\nmajority_years = 18\n[consent.majority]\nUS-AL = 19\n{PEOPLE}"));
    let case = Case::new(setup.at(&time)).await;
    let child = |number: &str, born: Option<&str>, state: &str| {
        let mut child = patient(number);
        child["birthDate"] = json!(born);
        child["address"] = json!([{"country": "US", "state": state}]);
        if born.is_none() {
            child.as_object_mut().unwrap().remove("birthDate");
        }
        child
    };
    for (why, number, born, state, relation, expected) in [
        ("a child", "10", Some("2016-01-01"), "TX", "MTH", true),
        ("of age since yesterday", "11", Some("2008-05-31"), "TX", "MTH", false),
        ("of age tomorrow", "12", Some("2008-06-02"), "TX", "MTH", true),
        ("of age later where the address says so", "13", Some("2008-01-01"), "AL", "MTH", true),
        ("a birthday nobody knows", "14", None, "TX", "MTH", false),
        ("a stepmother", "15", Some("2016-01-01"), "TX", "STPMTH", false),
        ("a court's guardian of a grown-up", "16", Some("1950-01-01"), "TX", "GUADLTM", true),
    ] {
        let id = case.a.create(&child(number, born, state)).await;
        let alone = case.mother.post("Consent", &permit_to(&id, "hospital-b")).await;
        assert_eq!(alone.status, 403, "{why}, before anybody said so");
        // What the person's own application says of it is not believed.
        case.mother.create(&related(&id, relation)).await;
        assert_eq!(case.mother.post("Consent", &permit_to(&id, "hospital-b")).await.status, 403, "{why}, by their own word");
        case.a.create(&related(&id, relation)).await;
        let filed = case.mother.post("Consent", &permit_to(&id, "hospital-b")).await;
        assert_eq!(filed.status == 201, expected, "{why}: {}", filed.text());
        let asked = json!({"resourceType": "Parameters", "parameter": [
            {"name": "actor", "valueIdentifier": {"system": "urn:oid:1.3.6.1.4.1.99999.1", "value": "hospital-b"}},
            {"name": "purpose", "valueCode": "TREAT"}
        ]});
        let told = case.mother.post(&format!("Patient/{id}/$consent-decide"), &asked).await;
        assert_eq!(told.status == 200, expected, "{why}: who may file may ask");
        let accounting = case.mother.get(&format!("Patient/{id}/$disclosures")).await.status;
        assert_eq!(accounting == 200, expected, "{why}: and may see who was told");
    }
    // The mother's consent for the child ends with the child's childhood, and so does her say.
    let id = case.a.create(&child("20", Some("2008-06-02"), "TX")).await;
    case.a.create(&related(&id, "MTH")).await;
    let mut consent = permit_to(&id, "hospital-b");
    consent["performer"] = json!([{"reference": "RelatedPerson/mother"}]);
    case.mother.post("Consent", &consent).await.expect(201);
    case.b.get(&format!("Patient/{id}")).await.expect(200);
    time.set(Instant::from_fhir_instant("2026-06-02T12:00:00Z").unwrap());
    let (b, mother) = (case.world.party("hospital-b").await, case.world.party_with("mother", "system/*.cruds").await);
    b.get(&format!("Patient/{id}")).await.expect(404);
    mother.post("Consent", &consent).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_names_a_delegate_and_takes_it_back() {
    let case = Case::new(people()).await;
    let person = json!({"system": "urn:oid:1.3.6.1.4.1.99999.9", "value": "mother"});
    let naming = |role: &str, kind: &str| {
        let mut consent = permit(&case.patient);
        consent["provision"] = json!({"type": "permit", "provision": [{
            "type": kind,
            "actor": [{
                "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": role}]},
                "reference": {"identifier": person}
            }]
        }]});
        consent
    };
    let may_ask = async || {
        let asked = json!({"resourceType": "Parameters", "parameter": [{"name": "action", "valueCode": "use"}]});
        case.mother.post(&format!("Patient/{}/$consent-decide", case.patient), &asked).await.status == 200
    };
    assert!(!may_ask().await);
    let named = case.app.create(&naming("DELEGATEE", "permit")).await;
    assert!(may_ask().await);
    // She may now file for the patient; a recipient is no delegate.
    let filed = case.mother.create(&permit_to(&case.patient, "hospital-b")).await;
    assert!(case.is_open().await);
    case.revoke(&case.mother, &filed).await.expect(200);
    let denial = case.app.create(&naming("DELEGATEE", "deny")).await;
    assert!(!may_ask().await, "a denial of the same person wins");
    case.revoke(&case.app, &denial).await.expect(200);
    assert!(may_ask().await);
    case.revoke(&case.app, &named).await.expect(200);
    assert!(!may_ask().await, "a delegate who was taken back is one no longer");
    case.app.create(&naming("SPS", "permit")).await;
    assert!(!may_ask().await, "to be named is not to be made a delegate");
}

/// A consent that says of whom it is in no way a decision finds it by is refused, and not said to count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_names_nobody_who_can_be_found_is_refused() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let id = a.create(&patient("1")).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{id}"))).await);
    a.create(&permit_to(&id, "hospital-b")).await;
    b.get(&seen).await.expect(200);
    let mut denial = permit_to(&id, "hospital-b");
    denial["provision"]["type"] = json!("deny");
    let number = json!({"system": MRN, "value": "1"});
    for named in [
        json!({"identifier": number}),
        json!({"identifier": number, "type": "Patient"}),
        json!({"display": "Ada Moor"}),
        json!({"reference": format!("https://elsewhere.example/fhir/Patient/{id}")}),
        json!({"reference": format!("https://elsewhere.example/fhir//Patient/{id}")}),
        json!({"reference": "Patient/somebody-else", "identifier": number}),
        json!({"reference": "#p"}),
    ] {
        let is_inner = named["reference"] == "#p";
        denial["patient"] = named;
        if is_inner {
            denial["contained"] = json!([{"resourceType": "Patient", "id": "p", "identifier": [number]}]);
        }
        let answer = a.post("Consent", &denial).await.expect(422);
        assert!(answer.text().contains("Consent.patient"), "{}", answer.text());
    }
    b.get(&seen).await.expect(200);
    denial.as_object_mut().unwrap().remove("contained");
    // An identifier beside the reference is that of the same patient, or of nobody who is known.
    for identifier in [number.clone(), json!({"system": MRN, "value": "nobody"})] {
        denial["patient"] = json!({"reference": format!("Patient/{id}"), "identifier": identifier});
        let filed = a.create(&denial).await;
        b.get(&seen).await.expect(404);
        a.delete(&format!("Consent/{filed}")).await.expect(204);
    }
    denial["patient"] = json!({"reference": format!("Patient?identifier={MRN}|1")});
    a.create(&denial).await;
    b.get(&seen).await.expect(404);
}
