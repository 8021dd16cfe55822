//! Asking what consents permit: `$consent-decide`, and the CDS Hooks service as LEAP-CDS and SHARES call it.

use crate::support::data::{MRN, observation, patient, permit, permit_to, purpose};
use crate::support::party::Answer;
use crate::support::{Call, Party, Setup, World};
use serde_json::{Value, json};

/// A patient's application, and a system that enforces consents elsewhere.
pub const MORE: &str = r#"
[[client]]
id = "app"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/Consent.cruds system/Communication.rs"
purposes = ["PATRQT"]
acts_for = ["urn:oid:1.3.6.1.4.1.99999.2|1"]
source = "hospital-b"

[[client]]
id = "enforcer"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "enforcer" }, name = "Enforcer" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/Consent.r"
purposes = ["TREAT"]
roles = ["consent-consult"]
"#;

const ORGANISATIONS: &str = "urn:oid:1.3.6.1.4.1.99999.1";

struct Case {
    world: World,
    a: Party,
    b: Party,
    app: Party,
    enforcer: Party,
    regulator: Party,
    patient: String,
}

impl Case {
    async fn new() -> Case {
        let world = Setup::configured(MORE).start().await;
        let a = world.party("hospital-a").await;
        let patient = a.create(&patient("1")).await;
        let (b, regulator) = (world.party("hospital-b").await, world.party("health-department").await);
        let (app, enforcer) =
            (world.party_with("app", "system/Consent.cruds").await, world.party_with("enforcer", "system/Consent.r").await);
        Case { world, a, b, app, enforcer, regulator, patient }
    }

    async fn hook(&self, party: &Party, context: Value) -> Answer {
        let body = json!({"hook": "patient-consent-consult", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context});
        hook(party, &body).await
    }

    async fn decide(&self, party: &Party, parameters: Value) -> Answer {
        party
            .post(&format!("Patient/{}/$consent-decide", self.patient), &json!({"resourceType": "Parameters", "parameter": parameters}))
            .await
    }
}

async fn hook(party: &Party, body: &Value) -> Answer {
    let url = format!("{}/cds-services/patient-consent-consult", party.origin);
    party.call(Call::new("POST", &url).body("application/json", body.to_string())).await
}

fn organisation(value: &str) -> Value {
    json!({"system": ORGANISATIONS, "value": value})
}

fn actor(value: &str) -> Value {
    json!({"name": "actor", "valueIdentifier": organisation(value)})
}

/// The values of the parameters of a name.
fn all<'v>(parameters: &'v Value, name: &str) -> Vec<&'v Value> {
    parameters["parameter"].as_array().unwrap().iter().filter(|parameter| parameter["name"] == name).collect()
}

fn decision(answer: Answer) -> String {
    let parameters = answer.expect(200).json();
    all(&parameters, "decision")[0]["valueCode"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_what_if_tells_each_asker_what_they_may_know() {
    let case = Case::new().await;
    let consent = case.a.create(&permit_to(&case.patient, "hospital-b")).await;
    // The patient asks what others may see, and is told by which rule.
    let told = case.decide(&case.app, json!([actor("hospital-b"), {"name": "purpose", "valueCode": "TREAT"}])).await.expect(200).json();
    assert_eq!(all(&told, "decision")[0]["valueCode"], "permit");
    assert_eq!(all(&told, "basedOn")[0]["valueReference"]["reference"], format!("Consent/{consent}/_history/1"));
    let step = &all(&told, "step")[0]["part"];
    assert_eq!((&step[1]["valueString"], &step[2]["valueCode"]), (&json!("provision"), &json!("matched")));
    assert_eq!(step[3]["valueString"], "This rule applies.");
    let other = case.decide(&case.app, json!([actor("hospital-c"), {"name": "purpose", "valueCode": "TREAT"}])).await.expect(200).json();
    assert_eq!(all(&other, "decision")[0]["valueCode"], "no-consent");
    assert_eq!(all(&other, "step")[0]["part"][2]["valueCode"], "differs:actor");
    // Oversight too; a system that enforces learns the outcome, and no rule.
    let asked = json!([actor("hospital-b"), {"name": "purpose", "valueCode": "TREAT"}]);
    assert!(!all(&case.decide(&case.regulator, asked.clone()).await.expect(200).json(), "step").is_empty());
    let told = case.decide(&case.enforcer, asked.clone()).await.expect(200).json();
    assert_eq!(told["parameter"].as_array().unwrap().len(), 1, "the decision alone: {told:#}");
    // Hospital B may ask about itself, as it is and now, and about nobody else.
    assert_eq!(decision(case.decide(&case.b, json!([])).await), "permit");
    assert_eq!(decision(case.decide(&case.b, json!([actor("hospital-b")])).await), "permit");
    for beyond in [
        json!([actor("hospital-a")]),
        json!([{"name": "actor", "valueReference": {"display": "Hospital B"}}]),
        json!([{"name": "purpose", "valueCode": "HRESCH"}]),
        json!([{"name": "at", "valueInstant": "2030-01-01T00:00:00Z"}]),
        json!([{"name": "action", "valueCode": "correct"}]),
    ] {
        let answer = case.decide(&case.b, beyond.clone()).await;
        assert!(matches!(answer.status, 400 | 403), "{beyond}: {}", answer.text());
    }
    // What cannot be understood is refused.
    for wrong in [
        json!([{"name": "verdict", "valueCode": "permit"}]),
        json!([{"name": "at", "valueDateTime": "2026"}]),
        json!([{"name": "at", "valueInstant": "soon"}]),
        json!([{"name": "action", "valueCode": "teleport"}]),
        json!([{"name": "patient", "valueReference": {"reference": "Patient/1"}}]),
        json!([{"name": "code", "valueCoding": {"system": "http://loinc.org", "code": "718-7"}}]),
        json!([{"name": "purpose"}]),
        Value::Array(vec![json!({"name": "purpose", "valueCode": "TREAT"}); 101]),
    ] {
        let answer = case.decide(&case.app, wrong.clone()).await;
        assert!(matches!(answer.status, 400 | 413), "{wrong}: {}", answer.text());
    }
    case.world
        .stranger()
        .post(&format!("Patient/{}/$consent-decide", case.patient), &json!({"resourceType": "Parameters"}))
        .await
        .expect(401);
    // Every one of these is on record, and so is what was refused, for the patient whom the URL names.
    let events = case.world.audit_events().await;
    let consulted: Vec<&Value> = events.iter().filter(|event| event["subtype"][0]["code"] == "consent-decide").collect();
    assert!(consulted.len() > 12, "{}", consulted.len());
    let of_patient = consulted.iter().filter(|event| event.to_string().contains(&format!("Patient/{}", case.patient)));
    // Six were answered, thirteen refused.
    assert_eq!(of_patient.count(), 6 + 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_action_class_and_labels_can_be_tried() {
    let case = Case::new().await;
    let mut consent = permit(&case.patient);
    consent["provision"]["period"] = json!({"end": "2027-12-31T00:00:00Z"});
    consent["provision"]["provision"] = json!([
        {"type": "deny", "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]},
        {"type": "deny", "purpose": purpose("HMARKT")}
    ]);
    case.a.create(&consent).await;
    let with = |more: Value| {
        let mut all = vec![actor("hospital-b")];
        all.extend(more.as_array().unwrap().iter().cloned());
        Value::Array(all)
    };
    let label =
        |code: &str| json!({"name": "label", "valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code}});
    let observation = json!({"name": "class", "valueCode": "Observation"});
    let code = |code: &str| json!({"name": "code", "valueCoding": {"system": "http://loinc.org", "code": code}});
    for (why, asked, expected) in [
        ("for treatment", json!([{"name": "purpose", "valueCode": "TREAT"}]), "permit"),
        ("for marketing", json!([{"name": "purpose", "valueCode": "HMARKT"}]), "deny"),
        (
            "after its end",
            json!([{"name": "purpose", "valueCode": "TREAT"}, {"name": "at", "valueInstant": "2028-01-01T00:00:00Z"}]),
            "no-consent",
        ),
        ("haemoglobin", json!([{"name": "purpose", "valueCode": "TREAT"}, observation, code("718-7")]), "permit"),
        ("psychiatry", json!([{"name": "purpose", "valueCode": "TREAT"}, observation, label("PSY")]), "deny"),
        ("an unknown purpose", json!([{"name": "purpose", "valueCode": "CURIOSITY"}]), "no-consent"),
        ("an actor by display", json!([{"name": "purpose", "valueCode": "TREAT"}]), "permit"),
    ] {
        assert_eq!(decision(case.decide(&case.app, with(asked)).await), expected, "{why}");
    }
    let by_display = json!([{"name": "actor", "valueReference": {"display": "Hospital B"}}, {"name": "purpose", "valueCode": "TREAT"}]);
    assert_eq!(decision(case.decide(&case.app, by_display).await), "no-consent");
    let without_system = json!([{"name": "actor", "valueIdentifier": {"value": "hospital-b"}}, {"name": "purpose", "valueCode": "TREAT"}]);
    assert_eq!(decision(case.decide(&case.app, without_system).await), "no-consent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_is_found_and_answers_as_leap_and_shares_ask() {
    let case = Case::new().await;
    let discovery = case.world.stranger().call(Call::get(&format!("{}/cds-services", case.world.origin))).await.expect(200).json();
    assert_eq!(discovery["services"][0]["id"], "patient-consent-consult");
    let mut consent = permit_to(&case.patient, "hospital-b");
    consent["provision"]["provision"] = json!([{
        "type": "deny",
        "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
    }]);
    let consent = case.a.create(&consent).await;
    // LEAP-CDS: one identifier each, a scope, a code.
    let leap = json!({
        "patientId": {"system": MRN, "value": "1"},
        "scope": "patient-privacy",
        "purposeOfUse": "TREAT",
        "actor": organisation("hospital-b")
    });
    // SHARES: lists, categories, content.
    let shares = json!({
        "patientId": [{"system": MRN, "value": "1"}],
        "purposeOfUse": ["TREAT"],
        "actor": [organisation("hospital-b")],
        "category": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}],
        "class": []
    });
    for asked in [&leap, &shares] {
        let card = &case.hook(&case.enforcer, asked.clone()).await.expect(200).json()["cards"][0];
        assert_eq!((&card["summary"], &card["indicator"]), (&json!("CONSENT_PERMIT"), &json!("info")));
        let extension = &card["extension"];
        assert_eq!(extension["decision"], "CONSENT_PERMIT");
        assert_eq!(extension["obligations"][0]["id"]["code"], "REDACT");
        assert_eq!(extension["obligations"][0]["parameters"]["codes"][0]["code"], "R");
        assert!(extension.get("basedOn").is_none() && extension.get("trace").is_none());
        let card = &case.hook(&case.app, asked.clone()).await.expect(200).json()["cards"][0];
        assert_eq!(card["extension"]["basedOn"], format!("Consent/{consent}"));
        assert!(card["extension"]["trace"].as_array().is_some_and(|trace| trace.len() == 2));
    }
    let with = |name: &str, value: Value| {
        let mut context = leap.clone();
        context[name] = value;
        context
    };
    for (why, context, expected) in [
        ("another actor", with("actor", organisation("hospital-c")), "NO_CONSENT"),
        ("nobody known", with("patientId", json!({"system": MRN, "value": "none"})), "NO_CONSENT"),
        ("a number without a system", with("patientId", json!({"value": "1"})), "NO_CONSENT"),
        ("about treatment", with("scope", json!("treatment")), "NO_CONSENT"),
        ("no purpose anybody knows", with("purposeOfUse", json!("WHATEVER")), "NO_CONSENT"),
        ("the id of the record", with("patientId", json!(case.patient)), "CONSENT_PERMIT"),
    ] {
        let card = &case.hook(&case.enforcer, context).await.expect(200).json()["cards"][0];
        assert_eq!(card["extension"]["decision"], expected, "{why}");
        assert_eq!(card["summary"], expected);
    }
    // Content comes back without what is withheld, and without what is somebody else's.
    let mut restricted = observation("Patient/theirs");
    restricted["id"] = json!("restricted");
    restricted["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]});
    let mut open = observation("Patient/theirs");
    open["id"] = json!("open");
    let mut foreign = observation("Patient/foreign");
    foreign["id"] = json!("foreign");
    let mut record = patient("1");
    record["id"] = json!("theirs");
    let entries: Vec<Value> = [foreign, restricted, record, open].into_iter().map(|resource| json!({"resource": resource})).collect();
    let content = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
    let card = case.hook(&case.enforcer, with("content", content)).await.expect(200).json();
    let kept: Vec<&str> = card["cards"][0]["extension"]["content"]["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(kept, ["theirs", "open"]);
    // A caller brings no consents of its own, and nothing that is not understood.
    for context in [
        with("consent", json!([permit(&case.patient)])),
        with("overrideConsent", json!(true)),
        with("patientId", json!(null)),
        with("actor", json!(["hospital-b"])),
        with("class", json!([{"system": "x"}])),
        with("purposeOfUse", json!([1])),
        with("content", json!({"entry": []})),
        json!({}),
    ] {
        assert_eq!(case.hook(&case.enforcer, context.clone()).await.status, 400, "{context}");
    }
    for body in [json!({}), json!([]), json!({"hook": "patient-view", "hookInstance": "x", "context": leap})] {
        assert_eq!(hook(&case.enforcer, &body).await.expect(400).issue(), "invalid");
    }
    hook(&case.world.stranger(), &json!({})).await.expect(401);
    let url = format!("{}/cds-services/patient-consent-consult", case.world.origin);
    case.enforcer.call(Call::new("POST", &url).body("text/plain", "{}")).await.expect(415);
    case.enforcer.call(Call::new("POST", &url).body("application/json", "{")).await.expect(400);
}

/// Whoever reads and names several purposes must be permitted each; so must whoever is asked about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_purposes_are_decided_as_a_reading_for_them_is() {
    let case = Case::new().await;
    let seen = case.a.create(&observation(&format!("Patient/{}", case.patient))).await;
    let mut consent = permit_to(&case.patient, "hospital-b");
    consent["provision"]["purpose"] = purpose("TREAT");
    case.a.create(&consent).await;
    for (purposes, is_permitted) in [
        (vec!["TREAT"], true),
        (vec!["TREAT", "TREAT"], true),
        (vec!["HPAYMT"], false),
        (vec!["TREAT", "HPAYMT"], false),
        (vec!["HPAYMT", "TREAT"], false),
    ] {
        let named = Call::get(&format!("Observation/{seen}")).header("X-Purpose-Of-Use", &purposes.join(","));
        let reads = case.b.call(named).await.status;
        assert_eq!(reads, if is_permitted { 200 } else { 404 }, "{purposes:?}");
        let context = json!({"patientId": {"system": MRN, "value": "1"}, "purposeOfUse": purposes, "actor": organisation("hospital-b")});
        let card = case.hook(&case.enforcer, context.clone()).await.expect(200).json();
        let said = card["cards"][0]["extension"]["decision"].clone();
        assert_eq!(said == "CONSENT_PERMIT", is_permitted, "{purposes:?}: {card}");
        // What is brought along is released for all of them, too.
        let mut brought = observation(&format!("Patient/{}", case.patient));
        brought["id"] = json!("brought");
        let mut with_content = context;
        with_content["content"] = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": brought}]});
        let card = case.hook(&case.enforcer, with_content).await.expect(200).json();
        assert_eq!(card.to_string().contains("brought"), is_permitted, "{purposes:?}: {card}");
        // The operation, asked about hospital B and by hospital B about itself.
        let purpose = |code: &&str| json!({"name": "purpose", "valueCode": code});
        let parameters: Vec<Value> = purposes.iter().map(purpose).collect();
        let actor = json!({"name": "actor", "valueIdentifier": organisation("hospital-b")});
        let of_others: Vec<Value> = parameters.iter().cloned().chain([actor]).collect();
        for (party, parameters) in [(&case.enforcer, of_others), (&case.b, parameters.clone())] {
            let answer = case.decide(party, json!(parameters)).await.expect(200).json();
            assert_eq!(answer["parameter"][0]["valueCode"] == "permit", is_permitted, "{purposes:?}: {answer}");
        }
        // And by hospital B in the header of the question.
        let body = json!({"resourceType": "Parameters"});
        let path = format!("Patient/{}/$consent-decide", case.patient);
        let call = Call::post(&path, &body).header("X-Purpose-Of-Use", &purposes.join(","));
        let answer = case.b.call(call).await.expect(200).json();
        assert_eq!(answer["parameter"][0]["valueCode"] == "permit", is_permitted, "{purposes:?}: {answer}");
    }
    // Two codings of one purpose are two purposes.
    let codings = ["TREAT", "HPAYMT"].map(|code| purpose(code)[0].clone());
    let both = json!([{"name": "purpose", "valueCodeableConcept": {"coding": codings}}]);
    assert_ne!(case.decide(&case.b, both).await.expect(200).json()["parameter"][0]["valueCode"], "permit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_question_is_no_way_to_find_out() {
    let case = Case::new().await;
    let mut denial = permit(&case.patient);
    denial["provision"]["type"] = json!("deny");
    denial["policyRule"]["coding"][0]["code"] = json!("OPTOUT");
    case.a.create(&denial).await;
    let silent = case.a.create(&patient("2")).await;
    let unknown = format!("{}{}", &silent[..silent.len() - 4], if silent.ends_with("aaaa") { "bbbb" } else { "aaaa" });
    let shape = |answer: &Answer| {
        let headers: Vec<(String, String)> = answer
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        (answer.status, headers, answer.text())
    };
    let parameters = json!({"resourceType": "Parameters"});
    let mut answers = Vec::new();
    for id in [&case.patient, &silent, &unknown] {
        answers.push(shape(&case.b.post(&format!("Patient/{id}/$consent-decide"), &parameters).await.expect(200)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let mut answers = Vec::new();
    for number in ["1", "2", "3"] {
        answers.push(shape(&case.hook(&case.b, json!({"patientId": {"system": MRN, "value": number}})).await.expect(200)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    // Nor whether anything is withheld from what is permitted.
    let plain = case.a.create(&patient("4")).await;
    let partial = case.a.create(&patient("5")).await;
    case.a.create(&permit(&plain)).await;
    let mut consent = permit(&partial);
    consent["provision"]["provision"] = json!([{
        "type": "deny",
        "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]
    }]);
    case.a.create(&consent).await;
    let (one, other) = (
        case.hook(&case.b, json!({"patientId": {"system": MRN, "value": "4"}})).await.expect(200),
        case.hook(&case.b, json!({"patientId": {"system": MRN, "value": "5"}})).await.expect(200),
    );
    assert_eq!(one.json()["cards"][0]["summary"], "CONSENT_PERMIT");
    assert_eq!(shape(&one), shape(&other));
    // An application of one patient is a stranger to another.
    let asked = json!({"resourceType": "Parameters", "parameter": [actor("hospital-b"), {"name": "purpose", "valueCode": "TREAT"}]});
    for id in [&silent, &unknown] {
        case.app.post(&format!("Patient/{id}/$consent-decide"), &asked).await.expect(403);
    }
    // Two records under one number are nobody in particular.
    case.b.create(&patient("1")).await;
    let card = case.hook(&case.enforcer, json!({"patientId": {"system": MRN, "value": "1"}, "actor": organisation("hospital-b")})).await;
    assert_eq!(card.expect(200).json()["cards"][0]["summary"], "NO_CONSENT");
}

/// A consent that shares everything with hospital B, except what is about substance use.
fn withholding(patient: &str) -> Value {
    let mut consent = permit_to(patient, "hospital-b");
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": [{"system": ACT_CODE, "code": "ETH"}]}]);
    consent
}

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const LOCAL: &str = "urn:oid:1.3.6.1.4.1.99999.7";

impl Case {
    /// What is left of content that the enforcer brings along about hospital B, resource by resource; nothing where the answer is a denial.
    async fn left(&self, party: &Party, resources: &[Value]) -> Vec<Value> {
        let entry = |(index, resource): (usize, &Value)| json!({"fullUrl": format!("urn:uuid:0000000{index}-2fa1-11d2-883f-0016d3cca427"), "resource": resource});
        let entries: Vec<Value> = resources.iter().enumerate().map(entry).collect();
        let content = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        let answer = self.asked_with(party, content).await;
        let content = all(&answer, "content").first().map(|content| content["resource"]["entry"].clone());
        content.iter().filter_map(Value::as_array).flatten().map(|entry| entry["resource"].clone()).collect()
    }

    async fn asked_with(&self, party: &Party, content: Value) -> Value {
        let purpose = json!({"name": "purpose", "valueCode": "TREAT"});
        self.decide(party, json!([actor("hospital-b"), purpose, {"name": "content", "resource": content}])).await.expect(200).json()
    }

    fn subject(&self) -> Value {
        json!({"reference": format!("Patient/{}", self.patient)})
    }

    fn encounter(&self, kind: &str) -> Value {
        json!({"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"system": ACT_CODE, "code": "AMB"},
            "type": [{"text": kind}], "subject": self.subject(), "identifier": [{"system": LOCAL, "value": "E-1"}]})
    }

    fn problem(&self, kind: &str) -> Value {
        json!({"resourceType": "Condition", "id": "c", "code": {"text": kind}, "subject": self.subject(),
            "identifier": [{"system": LOCAL, "value": "C-1"}]})
    }

    fn measured(&self, members: Value) -> Value {
        let mut measured = observation(&format!("Patient/{}", self.patient));
        measured["id"] = json!("o");
        measured.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        measured
    }
}

fn ids(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|resource| resource["id"].as_str().unwrap_or("none")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_brought_along_is_decided_as_if_it_were_read() {
    let case = Case::new().await;
    case.a.create(&withholding(&case.patient)).await;
    // By the setting, however the content names it: the plain twin stays whole, in the words in which it came.
    for encounter in [
        json!({"reference": "Encounter/e"}),
        json!({"reference": "urn:uuid:00000000-2fa1-11d2-883f-0016d3cca427"}),
        json!({"type": "Encounter", "identifier": {"system": LOCAL, "value": "E-1"}}),
    ] {
        let measured = case.measured(json!({"encounter": encounter}));
        let left = case.left(&case.enforcer, &[case.encounter("Methadone maintenance"), measured.clone()]).await;
        assert_eq!(left, [Value::Null; 0], "{encounter}");
        let left = case.left(&case.enforcer, &[case.encounter("Visit"), measured]).await;
        assert_eq!(ids(&left), ["e", "o"], "{encounter}");
        assert_eq!((&left[1]["encounter"], &left[1]["subject"]), (&encounter, &case.subject()));
    }
    // What is hidden is not pointed at, by a reference or in a text.
    let pointing = case.measured(json!({"focus": [{"reference": "Condition/c"}], "note": [{"text": "see Condition/c"}]}));
    let left = case.left(&case.enforcer, &[case.problem("Heroin dependence"), pointing.clone()]).await;
    assert_eq!(ids(&left), ["o"]);
    assert!(left[0].get("focus").is_none() && left[0].get("note").is_none(), "{left:#?}");
    let left = case.left(&case.enforcer, &[case.problem("Hypertension"), pointing]).await;
    assert_eq!((ids(&left), &left[1]["focus"][0]["reference"]), (vec!["c", "o"], &json!("Condition/c")));
    assert_eq!(left[1]["note"][0]["text"], "see Condition/c");
    // An institution that tells is neither named nor sent along.
    let by = case.measured(json!({"performer": [{"reference": "Organization/g"}]}));
    let clinic = |name: &str| json!({"resourceType": "Organization", "id": "g", "name": name});
    let left = case.left(&case.enforcer, &[clinic("Riverside Methadone Clinic"), by.clone()]).await;
    assert_eq!((ids(&left), left[0].get("performer")), (vec!["o"], None));
    let left = case.left(&case.enforcer, &[clinic("Main Hospital"), by]).await;
    assert_eq!((ids(&left), &left[1]["performer"][0]["reference"]), (vec!["g", "o"], &json!("Organization/g")));
    // By what is stored here, as a read of the same is: one resource, too.
    for (kind, status, expected) in [("Methadone maintenance", 404, "deny"), ("Visit", 200, "permit")] {
        let visit = case.a.create(&case.encounter(kind)).await;
        let measured = case.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}}));
        let id = case.a.create(&measured).await;
        assert_eq!(case.b.get(&format!("Observation/{id}")).await.status, status, "{kind}");
        let stored = case.a.get(&format!("Observation/{id}")).await.expect(200).json();
        let answer = case.asked_with(&case.enforcer, stored.clone()).await;
        assert_eq!(answer["parameter"][0]["valueCode"] == "permit", expected == "permit", "{kind}: {answer}");
        assert_eq!(case.left(&case.enforcer, &[stored]).await.len(), usize::from(expected == "permit"), "{kind}");
        // Two accounts of one setting that differ: nobody can tell what it is.
        let mut other = case.encounter(if expected == "permit" { "Methadone maintenance" } else { "Visit" });
        other["id"] = json!(visit);
        let left = case.left(&case.enforcer, &[other, measured]).await;
        assert!(!ids(&left).contains(&"o"), "{kind}: {left:#?}");
        case.a.delete(&format!("Observation/{id}")).await;
        case.a.delete(&format!("Encounter/{visit}")).await;
    }
    // The trace is told to whom it is due, and what is left of one resource that is permitted in part.
    let told = case.asked_with(&case.app, case.measured(json!({"note": [{"text": "on methadone"}]}))).await;
    assert!(!all(&told, "step").is_empty(), "{told:#}");
    let partly = case.measured(json!({"focus": [{"reference": "Observation/x"}], "component": [
        {"code": {"text": "Methadone"}, "valueString": "yes"}, {"code": {"text": "Sodium"}, "valueString": "no"}]}));
    // As a reading does: it is permitted without the part that is denied, and what is left comes along.
    let told = case.asked_with(&case.enforcer, partly).await;
    assert_eq!(told["parameter"][0]["valueCode"], "permit", "{told:#}");
    let text = told.to_string();
    assert!(text.contains("Sodium") && !text.contains("Methadone"), "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_about_two_patients_is_decided_for_both_and_tells_a_patient_of_no_other() {
    let case = Case::new().await;
    case.a.create(&permit_to(&case.patient, "hospital-b")).await;
    let denying = case.a.create(&patient("2")).await;
    let mut denial = permit(&denying);
    denial["provision"]["type"] = json!("deny");
    denial["policyRule"]["coding"][0]["code"] = json!("OPTOUT");
    case.a.create(&denial).await;
    let sharing = case.a.create(&patient("3")).await;
    case.a.create(&permit_to(&sharing, "hospital-b")).await;
    let bearing = |number: &str| {
        let mut subject = case.subject();
        subject["identifier"] = json!({"system": MRN, "value": number});
        case.measured(json!({"subject": subject}))
    };
    for (number, expected) in [("1", 1), ("2", 0), ("3", 1)] {
        assert_eq!(case.left(&case.enforcer, &[bearing(number)]).await.len(), expected, "number {number}");
    }
    // The patient's own application learns nothing of who else is known, nor of what is known of them.
    assert_eq!(case.left(&case.app, &[bearing("1")]).await.len(), 1);
    let mut hidden = case.problem("Hypertension");
    hidden["subject"] = json!({"reference": format!("Patient/{denying}")});
    hidden["identifier"][0]["value"] = json!("C-2");
    case.a.create(&hidden).await;
    let pointing =
        |number: &str| case.measured(json!({"focus": [{"type": "Condition", "identifier": {"system": LOCAL, "value": number}}]}));
    for (known, unknown) in [(bearing("2"), bearing("99")), (bearing("3"), bearing("99")), (pointing("C-2"), pointing("C-9"))] {
        let (known, unknown) = (case.asked_with(&case.app, known).await, case.asked_with(&case.app, unknown).await);
        let shape = |told: &Value| told.to_string().replace("C-2", "C-9");
        assert_eq!(shape(&known), shape(&unknown));
        assert!(!shape(&known).contains(&denying));
    }
    // A system that enforces is told to take the pointer out.
    let told = case.asked_with(&case.enforcer, pointing("C-2")).await;
    let left = &all(&told, "content")[0]["resource"]["entry"][0]["resource"];
    assert!(left["id"] == "o" && left.get("focus").is_none(), "{told:#}");
    // Whoever asks about itself brings nothing.
    let asked = json!([{"name": "content", "resource": case.measured(json!({}))}]);
    case.decide(&case.b, asked).await.expect(403);
}

/// One resource that is denied because of a part of it comes back without that, alone as in a Bundle, and as whoever reads it gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reading_gives_in_part_is_permitted_in_part() {
    let case = Case::new().await;
    let mut consent = permit(&case.patient);
    let substance_use = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": substance_use}]);
    case.a.create(&consent).await;
    let mut record = observation(&format!("Patient/{}", case.patient));
    record["note"] = json!([{"text": "takes methadone"}]);
    let id = case.a.create(&record).await;
    let read = case.b.get(&format!("Observation/{id}")).await.expect(200).json();
    assert!(read.get("note").is_none());
    record["id"] = json!("brought");
    let asked =
        |content: Value| json!([actor("hospital-b"), {"name": "purpose", "valueCode": "TREAT"}, {"name": "content", "resource": content}]);
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": record}]});
    for content in [record.clone(), bundle] {
        let told = case.decide(&case.enforcer, asked(content)).await.expect(200).json();
        assert_eq!(all(&told, "decision")[0]["valueCode"], "permit", "{told:#}");
        let text = told.to_string();
        assert!(text.contains("718-7") && !text.contains("methadone"), "{told:#}");
    }
    // What is denied whole is denied, with nothing of it.
    record["code"] = json!({"coding": [{"system": "http://snomed.info/sct", "code": "75544000", "display": "Opioid dependence"}]});
    let told = case.decide(&case.enforcer, asked(record)).await.expect(200).json();
    assert_ne!(all(&told, "decision")[0]["valueCode"], "permit", "{told:#}");
    assert!(all(&told, "content").is_empty());
}
