//! What points at a hidden record otherwise than by a literal reference: an identifier, the address of an attachment, a link in a narrative.

use crate::support::data::{observation, patient, permit, permit_to, person};
use crate::support::world::PERSON;
use crate::support::{Party, World};
use serde_json::{Value, json};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
pub(super) const VISITS: &str = "urn:oid:1.3.6.1.4.1.99999.7";

/// The system of identifiers that are URIs themselves.
const URIS: &str = "urn:ietf:rfc:3986";

pub(super) struct Scene {
    world: World,
    pub a: Party,
    pub b: Party,
    pub patient: String,
}

/// A patient whom hospital B may see, but for what is about substance use.
pub(super) async fn scene() -> Scene {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = a.create(&person("1")).await;
    let mut consent = permit(&patient);
    let labels = json!([{"system": ACT_CODE, "code": "SUD"}, {"system": ACT_CODE, "code": "OPIOIDUD"}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": labels}]);
    a.create(&consent).await;
    Scene { world, a, b, patient }
}

impl Scene {
    /// What hospital A files about the patient.
    pub async fn file(&self, kind: &str, members: Value) -> String {
        let mut resource = json!({"resourceType": kind, "subject": {"reference": format!("Patient/{}", self.patient)}});
        members.as_object().unwrap().iter().for_each(|(name, value)| resource[name] = value.clone());
        self.a.create(&resource).await
    }

    async fn visit(&self, number: &str, kind: &str) -> String {
        let class = json!({"system": ACT_CODE, "code": "AMB"});
        let identifier = json!([{"system": VISITS, "value": number}]);
        self.file("Encounter", json!({"status": "finished", "class": class, "type": [{"text": kind}], "identifier": identifier})).await
    }

    async fn problem(&self, number: &str, kind: &str) -> String {
        self.file("Condition", json!({"code": {"text": kind}, "identifier": [{"system": VISITS, "value": number}]})).await
    }

    /// A measurement with some members more.
    pub async fn measured(&self, members: Value) -> String {
        let mut measured = observation(&format!("Patient/{}", self.patient));
        members.as_object().unwrap().iter().for_each(|(name, value)| measured[name] = value.clone());
        self.a.create(&measured).await
    }
}

pub(super) fn by_identifier(type_name: Option<&str>, number: &str) -> Value {
    let mut reference = json!({"identifier": {"system": VISITS, "value": number}});
    type_name.iter().for_each(|name| reference["type"] = json!(name));
    reference
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_named_by_identifier_tells_as_one_that_is_referred_to() {
    let scene = scene().await;
    scene.visit("H-779", "Methadone maintenance visit").await;
    scene.visit("H-780", "Check-up").await;
    for (reference, status) in [
        (by_identifier(Some("Encounter"), "H-779"), 404),
        (by_identifier(None, "H-779"), 404),
        (by_identifier(Some("Encounter"), "H-780"), 200),
        (by_identifier(Some("Encounter"), "H-781"), 200),
    ] {
        let id = scene.measured(json!({"encounter": reference})).await;
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(status);
        assert!(!read.text().contains("H-779"), "{reference}");
        if status == 200 {
            assert_eq!(read.json()["encounter"]["identifier"], reference["identifier"]);
        }
    }
    let found = scene.b.search(&format!("Observation?encounter:identifier={VISITS}|H-779")).await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_record_is_not_named_by_its_identifier() {
    let scene = scene().await;
    scene.problem("P-1", "Opioid dependence").await;
    scene.problem("P-2", "Asthma").await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let named = |type_name: Option<&str>| {
        let condition = |number: &str| json!({"condition": by_identifier(type_name, number)});
        json!({"status": "finished", "class": class, "diagnosis": [condition("P-1"), condition("P-2")]})
    };
    for type_name in [Some("Condition"), None] {
        let id = scene.file("Encounter", named(type_name)).await;
        let read = scene.b.get(&format!("Encounter/{id}")).await.expect(200).json();
        assert_eq!(read["diagnosis"], json!([{"condition": by_identifier(type_name, "P-2")}]), "{read}");
    }
    let both = json!({"reference": format!("Condition/{}", scene.problem("P-3", "Migraine").await), "identifier": {"system": VISITS, "value": "P-1"}});
    let id = scene.file("Encounter", json!({"status": "finished", "class": class, "reasonReference": [both]})).await;
    let read = scene.b.get(&format!("Encounter/{id}")).await.expect(200).json();
    assert!(read["reasonReference"].is_null(), "{read}");
}

/// An identifier that a hidden record bore once, and what one bore that was deleted, name it as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_record_is_not_named_by_an_identifier_of_before() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let renamed = |id: &str, kind: &str, number: &str| {
        json!({"resourceType": "Condition", "id": id, "code": {"text": kind}, "identifier": [{"system": VISITS, "value": number}],
            "subject": {"reference": format!("Patient/{}", scene.patient)}})
    };
    let (hidden, seen) = (scene.problem("O-1", "Opioid dependence").await, scene.problem("O-2", "Asthma").await);
    for (id, kind, number) in [(&hidden, "Opioid dependence", "N-1"), (&seen, "Asthma", "N-2")] {
        scene.a.put(&format!("Condition/{id}"), &renamed(id, kind, number)).await.expect(200);
        // A version on, so that the identifier is not that of the version before.
        let kind = format!("{kind}, seen again");
        scene.a.put(&format!("Condition/{id}"), &renamed(id, &kind, number)).await.expect(200);
    }
    let deleted = scene.problem("D-1", "Opioid dependence").await;
    scene.a.delete(&format!("Condition/{deleted}")).await;
    // A number that another record took over from a deleted one is that one's.
    let twice = scene.problem("T-1", "Asthma").await;
    scene.a.delete(&format!("Condition/{twice}")).await;
    scene.problem("T-1", "Asthma").await;
    for (number, is_shown) in [("O-1", false), ("N-1", false), ("D-1", false), ("O-2", true), ("N-2", true), ("T-1", true), ("none", true)]
    {
        for type_name in [Some("Condition"), None] {
            let reasons = json!([by_identifier(type_name, number)]);
            let id = scene.file("Encounter", json!({"status": "finished", "class": class, "reasonReference": reasons})).await;
            let read = scene.b.get(&format!("Encounter/{id}")).await.expect(200).json();
            assert_eq!(read["reasonReference"].is_array(), is_shown, "{number} {type_name:?}: {read}");
        }
    }
    // A number of another namespace is another's.
    let other = json!([{"type": "Condition", "identifier": {"system": "urn:oid:1.2.36.1", "value": "O-1"}}]);
    let id = scene.file("Encounter", json!({"status": "finished", "class": class, "reasonReference": other})).await;
    assert!(scene.b.get(&format!("Encounter/{id}")).await.expect(200).json()["reasonReference"].is_array());
    // No search finds anything by a name of before.
    for number in ["O-1", "O-2"] {
        assert!(scene.a.search(&format!("Condition?identifier={VISITS}|{number}")).await.is_empty());
    }
}

/// The same of what was stored before it was noted which identifiers went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_before_are_found_in_an_older_store() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let hidden = scene.problem("O-1", "Opioid dependence").await;
    scene.a.delete(&format!("Condition/{hidden}")).await;
    let reasons = json!([by_identifier(Some("Condition"), "O-1")]);
    let id = scene.file("Encounter", json!({"status": "finished", "class": class, "reasonReference": reasons})).await;
    let (folder, settings) = scene.world.stop().await;
    let data = rusqlite::Connection::open(settings.storage.data_dir.join("data.db")).unwrap();
    data.execute_batch(
        "DROP TABLE former; DROP TABLE filling; ALTER TABLE unopened DROP COLUMN seal; DROP TABLE tally; PRAGMA user_version = 12",
    )
    .unwrap();
    let world = World::try_open(folder, settings, hearthgate::clock::Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let read = world.party("hospital-b").await.get(&format!("Encounter/{id}")).await.expect(200).json();
    assert!(read["reasonReference"].is_null(), "{read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_records_under_one_identifier_than_are_looked_at_are_not_pointed_at() {
    let scene = scene().await;
    for _ in 0..9 {
        scene.problem("P-9", "Asthma").await;
    }
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let reasons = json!([by_identifier(Some("Condition"), "P-9")]);
    let id = scene.file("Encounter", json!({"status": "finished", "class": class, "reasonReference": reasons})).await;
    let read = scene.b.get(&format!("Encounter/{id}")).await.expect(200).json();
    assert!(read["reasonReference"].is_null(), "{read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_a_hidden_record_goes_wherever_it_is_written() {
    let scene = scene().await;
    let hidden = scene.problem("P-1", "Opioid dependence").await;
    let seen = scene.problem("P-2", "Asthma").await;
    let shown = |id: &str| {
        let extension = json!([{"url": "http://example.org/reason", "valueUri": format!("Condition/{id}/_history/1")}]);
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"Condition/{id}\">reason</a></div>");
        vec![
            ("extension", extension),
            ("text", json!({"status": "generated", "div": div})),
            ("note", json!([{"text": format!("See [the problem](Condition/{id}).")}])),
            ("note", json!([{"text": format!("**Condition/{id}**—first seen in May")}])),
            ("note", json!([{"text": format!("<https://viewer.example/launch?resource=Condition%2F{id}>")}])),
            ("note", json!([{"text": format!("Condition?_id=none,{id}")}])),
        ]
    };
    for (pointed_at, is_shown) in [(&seen, true), (&hidden, false)] {
        for (name, value) in shown(pointed_at) {
            let id = scene.measured(json!({name: value})).await;
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
            assert_eq!(read[name].to_string().contains(pointed_at.as_str()), is_shown, "{name}: {read}");
            assert_eq!(read["valueQuantity"]["value"], 13.2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attachment_does_not_point_at_a_hidden_binary() {
    let scene = scene().await;
    let binary = |label: Option<&str>| {
        let security: Vec<Value> = label.iter().map(|code| json!({"system": ACT_CODE, "code": code})).collect();
        let level = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"});
        json!({
            "resourceType": "Binary", "contentType": "text/plain", "data": "QWxsIGlzIHdlbGwu",
            "meta": {"security": security.into_iter().chain([level]).collect::<Vec<_>>()},
            "securityContext": {"reference": format!("Patient/{}", scene.patient)}
        })
    };
    let (hidden, seen) = (scene.a.create(&binary(Some("SUD"))).await, scene.a.create(&binary(None)).await);
    scene.b.get(&format!("Binary/{hidden}")).await.expect(404);
    scene.b.get(&format!("Binary/{seen}")).await.expect(200);
    let attachment = |id: &str| json!({"contentType": "text/plain", "url": format!("Binary/{id}")});
    let code = json!({"coding": [{"system": "http://loinc.org", "code": "58410-2"}]});
    let report = |forms: Value| scene.file("DiagnosticReport", json!({"status": "final", "code": code, "presentedForm": forms}));
    let id = report(json!([attachment(&seen)])).await;
    let whole = scene.b.get(&format!("DiagnosticReport/{id}")).await.expect(200).json();
    assert_eq!(whole["presentedForm"], json!([attachment(&seen)]));
    let id = report(json!([attachment(&hidden)])).await;
    let read = scene.b.get(&format!("DiagnosticReport/{id}")).await.expect(200);
    assert!(!read.text().contains(&hidden), "{}", read.text());
    let id = scene.file("DocumentReference", json!({"status": "current", "content": [{"attachment": attachment(&hidden)}]})).await;
    scene.b.get(&format!("DocumentReference/{id}")).await.expect(404);
    // A document's own numbers are no names of what the attachment's extensions are, whatever stands beside them.
    let (oid, uuid) = ("urn:oid:1.3.6.1.4.1.99999.8.5", "urn:uuid:11111111-2222-4333-8444-555555555555");
    let document = json!({"status": "current", "masterIdentifier": {"system": URIS, "value": oid}, "identifier": [{"system": URIS, "value": uuid}],
        "meta": {"security": [{"system": ACT_CODE, "code": "SUD"}]}, "content": [{"attachment": {"contentType": "text/plain", "title": "x"}}]});
    let document = scene.file("DocumentReference", document).await;
    scene.b.get(&format!("DocumentReference/{document}")).await.expect(404);
    for url in [oid, uuid] {
        for extension in [json!([]), json!([{"url": "http://e.example/size", "valueInteger": 4}])] {
            let mut form = json!({"contentType": "text/plain", "url": url});
            if extension != json!([]) {
                form["extension"] = extension;
            }
            let id = report(json!([form])).await;
            let read = scene.b.get(&format!("DiagnosticReport/{id}")).await.expect(200).text();
            assert!(!read.contains(url), "{read}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_identifier_beside_a_patient_needs_their_consent_too() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let one = a.create(&person("1")).await;
    let other = a.create(&person("2")).await;
    a.create(&patient("3")).await;
    a.create(&permit_to(&one, "hospital-b")).await;
    let mrn = crate::support::data::MRN;
    let about = |system: &str, value: &str| {
        let mut about = observation(&format!("Patient/{one}"));
        about["subject"]["identifier"] = json!({"system": system, "value": value});
        about
    };
    let cases = [
        (PERSON, "1", 200),
        (mrn, "1", 200),
        ("urn:oid:1.3.6.1.4.1.99999.8", "2", 200),
        (mrn, "77", 200),
        (PERSON, "2", 404),
        (mrn, "3", 404),
        // Nobody has it, and the patient has another.
        (PERSON, "77", 404),
    ];
    let mut paths = Vec::new();
    for (system, value, status) in cases {
        let path = format!("Observation/{}", a.create(&about(system, value)).await);
        b.get(&path).await.expect(status);
        paths.push(path);
    }
    a.create(&permit_to(&other, "hospital-b")).await;
    b.get(&paths[4]).await.expect(200);
    b.get(&paths[5]).await.expect(404);
}

/// How a provenance of a record that may be seen can speak of one that may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provenance_does_not_point_at_what_is_hidden() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (one, other) = (a.create(&person("1")).await, a.create(&person("2")).await);
    a.create(&permit_to(&one, "hospital-b")).await;
    let seen = a.create(&observation(&format!("Patient/{one}"))).await;
    let hidden = a.create(&observation(&format!("Patient/{other}"))).await;
    let stating = |name: &str, value: Value| {
        let target = json!([{"reference": format!("Observation/{seen}")}]);
        let agent = json!([{"who": {"display": "Ward 3"}}]);
        let mut provenance = json!({"resourceType": "Provenance", "target": target, "recorded": "2026-01-15T09:00:00Z", "agent": agent});
        provenance[name] = value;
        provenance
    };
    let entity = |what: Value| json!([{"role": "source", "what": what}]);
    for (name, value) in [
        ("entity", entity(json!({"reference": format!("Observation/{hidden}")}))),
        ("entity", entity(json!({"type": "Patient", "identifier": {"system": PERSON, "value": "2"}}))),
        ("extension", json!([{"url": "http://example.org/of", "valueReference": {"reference": format!("Patient/{other}")}}])),
        ("agent", json!([{"who": {"display": "Ward 3"}}, {"who": {"reference": format!("Patient/{other}")}}])),
    ] {
        let id = a.create(&stating(name, value)).await;
        let read = b.get(&format!("Provenance/{id}")).await.expect(200);
        assert!(!read.text().contains(&hidden) && !read.text().contains(&other), "{name}: {}", read.text());
        assert!(read.json()["entity"].is_null() && read.json()["extension"].is_null(), "{name}: {}", read.text());
    }
    for query in
        [format!("Provenance?entity=Observation/{hidden}"), format!("Observation?_has:Provenance:target:entity=Observation/{hidden}")]
    {
        let found = b.search(&query).await;
        assert!(found.is_empty(), "{query}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_record_is_not_named_where_anything_may_stand() {
    let scene = scene().await;
    let hidden = scene.problem("P-1", "Opioid dependence").await;
    scene.problem("P-2", "Asthma").await;
    let named = |number: &str| by_identifier(Some("Condition"), number);
    let extended = |value: Value| json!([{"url": "http://example.org/e", "valueReference": value}]);
    let tag = |extension: Value| json!({"system": "urn:x", "code": "x", "extension": extension});
    let forms: [(&str, &dyn Fn(Value) -> Value); 5] = [
        ("extension", &extended),
        ("note", &|value| json!([{"text": "Seen", "extension": extended(value)}])),
        ("_status", &|value| json!({"extension": extended(value)})),
        ("meta", &|value| json!({"tag": [tag(extended(value))]})),
        (
            "text",
            &|value| json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Seen</div>", "extension": extended(value)}),
        ),
    ];
    for (name, form) in forms {
        for (reference, is_shown) in
            [(named("P-2"), true), (named("P-1"), false), (json!({"reference": format!("Condition/{hidden}")}), false)]
        {
            let id = scene.measured(json!({name: form(reference.clone())})).await;
            let read = scene.b.get(&format!("Observation/{id}")).await;
            let text = read.text();
            assert!(!text.contains("P-1") && !text.contains(&hidden), "{name}: {text}");
            assert_eq!(text.contains("P-2"), is_shown, "{name}: {text}");
        }
    }
    let label =
        json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N", "extension": extended(named("P-1"))});
    let id = scene.measured(json!({"meta": {"security": [label]}})).await;
    let read = scene.b.get(&format!("Observation/{id}")).await.expect(200);
    assert!(!read.text().contains("P-1"), "{}", read.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_senders_own_address_of_a_hidden_record_is_not_shown() {
    let scene = scene().await;
    let problem = |id: &str, kind: &str| {
        let subject = json!({"reference": format!("Patient/{}", scene.patient)});
        json!({"resourceType": "Condition", "id": id, "subject": subject, "code": {"text": kind}})
    };
    scene.a.put("Condition/own-1", &problem("own-1", "Opioid dependence")).await.expect(201);
    scene.a.put("Condition/own-2", &problem("own-2", "Asthma")).await.expect(201);
    let link = |address: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{address}\">reason</a></div>");
    for (own, is_shown) in [("own-2", true), ("own-1", false)] {
        let base = "ehr.hospital-a.example/fhir";
        for address in [
            format!("Condition/{own}"),
            format!("https://{base}/Condition/{own}"),
            format!("http://{base}//Condition/{own}"),
            format!("https://{base}/Patient/1/Condition/{own}"),
            format!("https://nurse:secret@{base}/Condition/{own}"),
            format!("HTTPS://EHR.Hospital-A.Example.:0443/FHIR/./condition/{own}"),
            format!("{base}/Condition/{own}"),
            format!("//{base}/x/../Condition?_id={own}"),
            format!("https://{base}?_type=Condition&amp;_id={own}"),
            format!(r"https:\\{base}\Condition\{own}").replace('/', "\\"),
            format!("https://{base}/Condition/{}", own.replace('-', "\u{2011}")),
        ] {
            for (name, value) in [
                ("extension", json!([{"url": "http://example.org/reason", "valueUri": address}])),
                ("note", json!([{"text": format!("See [the problem]({address}).")}])),
                ("text", json!({"status": "generated", "div": link(&address)})),
            ] {
                // A narrative with such a link is refused.
                if name == "text" && address.contains(['\\', '\u{2011}']) {
                    continue;
                }
                let id = scene.measured(json!({name: value})).await;
                let read = scene.b.get(&format!("Observation/{id}")).await.expect(200);
                let text = read.text().replace('\u{2011}', "-");
                // No link of a narrative names a host alone: that is taken out of everybody's.
                let is_kept = name != "text" || !address.starts_with("//");
                assert_eq!(text.contains(own), is_shown && is_kept, "{name} {address}: {text}");
            }
        }
    }
}

/// The same in another sender's words, which says whose it is; and a UUID by which a hidden record goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_at_another_senders_and_a_uuid_name_a_hidden_record_too() {
    let scene = scene().await;
    let laboratory = scene.world.party("laboratory").await;
    let problem = |id: &str, kind: &str| {
        let subject = json!({"reference": format!("Patient/{}", scene.patient)});
        let uuid = format!("urn:uuid:0b2f0e5e-2d4e-4a55-9d0f-0000000000{id}");
        json!({"resourceType": "Condition", "id": id, "subject": subject, "code": {"text": kind}, "identifier": [{"system": URIS, "value": uuid}]})
    };
    scene.a.put("Condition/71", &problem("71", "Opioid dependence")).await.expect(201);
    scene.a.put("Condition/72", &problem("72", "Asthma")).await.expect(201);
    let base = "ehr.hospital-a.example/fhir";
    for (own, is_shown) in [("72", true), ("71", false)] {
        for address in [
            format!("https://{base}/Condition/{own}"),
            format!("https://nurse@EHR.hospital-a.example:443/fhir/Condition/{own}/_history/1"),
            format!("{base}/Condition/{own}"),
            format!("https://{base}/Condition?_id={own}"),
            format!("urn:uuid:0b2f0e5e-2d4e-4a55-9d0f-0000000000{own}"),
            format!("URN:UUID:0B2F0E5E-2D4E-4A55-9D0F-0000000000{own}"),
        ] {
            let mut measured = observation(&format!("Patient/{}", scene.patient));
            measured["note"] = json!([{"text": format!("See {address}.")}]);
            let id = laboratory.create(&measured).await;
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200);
            assert_eq!(read.json()["note"].is_array(), is_shown, "{address}: {}", read.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identifier_alone_names_a_hidden_record_too() {
    let scene = scene().await;
    scene.problem("P-1", "Opioid dependence").await;
    scene.problem("P-2", "Asthma").await;
    for (number, is_shown) in [("P-2", true), ("P-1", false)] {
        let identifier = json!({"system": VISITS, "value": number});
        let id = scene.measured(json!({"extension": [{"url": "http://example.org/e", "valueIdentifier": identifier}]})).await;
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(200);
        assert_eq!(read.text().contains(number), is_shown, "{}", read.text());
    }
}

/// Where more is indexed under a number than is looked at, each type is asked by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_common_number_hides_no_record_from_being_found() {
    let scene = scene().await;
    for series in 0..66 {
        scene.measured(json!({"identifier": [{"system": format!("urn:oid:1.3.6.1.4.1.99999.8.{series}"), "value": "P-1"}]})).await;
    }
    scene.problem("P-1", "Opioid dependence").await;
    let id = scene.measured(json!({"partOf": [by_identifier(None, "P-1")]})).await;
    let read = scene.b.get(&format!("Observation/{id}")).await.expect(200);
    assert!(!read.text().contains("P-1"), "{}", read.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_institution_that_tells_is_not_named() {
    let scene = scene().await;
    // Whoever did something is no condition of the patient, whatever numbers both have.
    scene.problem("P-1", "Opioid dependence").await;
    let institution = |kind: &str, name: &str, number: &str| json!({"resourceType": kind, "name": name, "identifier": [{"system": VISITS, "value": number}]});
    let clinic = scene.a.create(&institution("Organization", "Riverside Methadone Clinic", "C-1")).await;
    let ordinary = scene.a.create(&institution("Organization", "Riverside Clinic", "C-2")).await;
    let mut room = institution("Location", "Room 3", "R-1");
    room["managingOrganization"] = json!({"reference": format!("Organization/{clinic}")});
    let room = scene.a.create(&room).await;
    let by = |id: &str| json!([{"reference": format!("Organization/{id}")}]);
    for (performer, is_shown) in [
        (by(&ordinary), true),
        (by(&clinic), false),
        (json!([by_identifier(Some("Organization"), "C-1")]), false),
        (json!([by_identifier(Some("Organization"), "C-2")]), true),
        (json!([by_identifier(None, "C-1")]), false),
        (json!([by_identifier(None, "C-2")]), true),
        (json!([{"identifier": {"value": "C-1"}}]), false),
        (json!([by_identifier(None, "P-1")]), true),
    ] {
        let id = scene.measured(json!({"performer": performer})).await;
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
        assert_eq!(read["performer"], if is_shown { performer } else { Value::Null });
    }
    let patient = json!({"generalPractitioner": by(&clinic), "managingOrganization": by(&clinic)[0]});
    let mut named = person("1");
    patient.as_object().unwrap().iter().for_each(|(name, value)| named[name] = value.clone());
    named["id"] = json!(scene.patient);
    scene.a.put(&format!("Patient/{}", scene.patient), &named).await.expect(200);
    let read = scene.b.get(&format!("Patient/{}", scene.patient)).await.expect(200);
    assert!(!read.text().contains(&clinic) && read.json()["name"].is_array(), "{}", read.text());
    // What took place in a room of the clinic took place there.
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let there = json!([{"location": {"reference": format!("Location/{room}")}}]);
    let visit = scene.file("Encounter", json!({"status": "finished", "class": class, "location": there})).await;
    scene.b.get(&format!("Encounter/{visit}")).await.expect(404);
    let during = scene.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}})).await;
    scene.b.get(&format!("Observation/{during}")).await.expect(404);
    // And still did when nothing but its id is left.
    scene.a.delete(&format!("Encounter/{visit}")).await.expect(204);
    scene.b.get(&format!("Observation/{during}")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_patients_record_of_the_same_number_is_no_setting() {
    let scene = scene().await;
    let visit = scene.visit("V-1", "Check-up").await;
    let both = json!({"reference": format!("Encounter/{visit}"), "identifier": {"system": VISITS, "value": "V-1"}});
    let mut measured = Vec::new();
    for encounter in [by_identifier(Some("Encounter"), "V-1"), both] {
        measured.push((scene.measured(json!({"encounter": encounter.clone()})).await, encounter));
    }
    let stranger = scene.b.create(&patient("7")).await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    scene
        .b
        .create(&json!({
            "resourceType": "Encounter", "status": "finished", "class": class, "type": [{"text": "Methadone maintenance visit"}],
            "subject": {"reference": format!("Patient/{stranger}")}, "identifier": [{"system": VISITS, "value": "V-1"}]
        }))
        .await;
    for (id, encounter) in measured {
        let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
        assert_eq!(read["encounter"]["identifier"], encounter["identifier"], "{read}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identifier_means_the_same_however_its_system_is_written() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let forms = [
        ("http://x.example/visits", json!({"system": "http://x.example/visits/"})),
        ("http://x.example/places/", json!({"system": "http://x.example/places"})),
        ("urn:uuid:0f0f0f0f-0000-4000-8000-000000000001", json!({"system": "urn:uuid:0F0F0F0F-0000-4000-8000-000000000001"})),
        (VISITS, json!({})),
        (URIS, json!({"system": URIS, "value": "urn:uuid:0F0F0F0F-0000-4000-8000-00000000000A"})),
    ];
    for (number, (system, written)) in forms.into_iter().enumerate() {
        let value = if system == URIS { "urn:uuid:0f0f0f0f-0000-4000-8000-00000000000a".to_owned() } else { format!("W-{number}") };
        let identifier = json!([{"system": system, "value": value}]);
        let kind = json!([{"text": "Methadone maintenance visit"}]);
        scene.file("Encounter", json!({"status": "finished", "class": class, "type": kind, "identifier": identifier})).await;
        for type_name in [Some("Encounter"), None] {
            let mut reference = json!({"identifier": written});
            if written["value"].is_null() {
                reference["identifier"]["value"] = json!(value);
            }
            type_name.iter().for_each(|name| reference["type"] = json!(name));
            let id = scene.measured(json!({"encounter": reference})).await;
            scene.b.get(&format!("Observation/{id}")).await.expect(404);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contained_patient_is_somebody() {
    let scene = scene().await;
    let contained = json!([{"resourceType": "Patient", "id": "p", "name": [{"family": "Fell"}]}]);
    let id = scene.measured(json!({"contained": contained, "performer": [{"reference": "#p"}]})).await;
    scene.b.get(&format!("Observation/{id}")).await.expect(404);
}

/// What was taken out of a record does not bring it along, nor lead to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_from_an_institution_does_not_say_who_goes_there() {
    let scene = scene().await;
    let mut found = Vec::new();
    for name in ["Riverside Methadone Clinic", "Hillside Clinic"] {
        let clinic = scene.a.create(&json!({"resourceType": "Organization", "name": name})).await;
        let by = json!({"reference": format!("Organization/{clinic}")});
        scene.measured(json!({"performer": [by]})).await;
        let mut named = person("1");
        (named["id"], named["generalPractitioner"]) = (json!(scene.patient), json!([by]));
        scene.a.put(&format!("Patient/{}", scene.patient), &named).await.expect(200);
        let (performed, practised) = ("_revinclude=Observation:performer", "_revinclude=Patient:general-practitioner");
        for query in [
            format!("Organization?_id={clinic}&{performed}"),
            format!("Organization?_id={clinic}&{practised}"),
            format!("Organization?_id={clinic}&{performed}&_include:iterate=Observation:subject"),
            format!("Observation?performer={clinic}"),
            format!("Observation?performer:Organization._id={clinic}"),
            format!("Patient?general-practitioner=Organization/{clinic}"),
            format!("Patient?_has:Observation:patient:performer={clinic}"),
            format!("Organization?_id={clinic}&_has:Observation:performer:status=final"),
            format!("Organization?_id={clinic}&_has:Patient:general-practitioner:gender=female"),
        ] {
            let answer = scene.b.get(&query).await.expect(200).json();
            found.push(answer["entry"].as_array().map_or(0, Vec::len));
        }
    }
    assert_eq!(found, [1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 2, 3, 1, 1, 1, 1, 1, 1]);
}

/// Elements in which a product may be named, each beside what keeps the record worth showing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_tells_is_not_named() {
    let scene = scene().await;
    let product = |kind: &str, name: &str| json!({"resourceType": kind, "code": {"text": name}});
    let mixture = |of: &str| json!({"resourceType": "Medication", "ingredient": [{"itemReference": {"reference": of}}]});
    let mut told = Vec::new();
    for (kind, name) in [("Medication", "Methadone 10 mg"), ("Substance", "Methadone hydrochloride")] {
        told.push(format!("{kind}/{}", scene.a.create(&product(kind, name)).await));
    }
    told.push(format!("Medication/{}", scene.a.create(&mixture(&told[1])).await));
    let ordinary = format!("Medication/{}", scene.a.create(&product("Medication", "Paracetamol 500 mg")).await);
    let mixed = format!("Medication/{}", scene.a.create(&mixture(&ordinary)).await);
    let item = |to: &str| json!({"reference": to});
    for (to, is_shown) in told.iter().map(|to| (to, false)).chain([(&ordinary, true), (&mixed, true)]) {
        for (kind, members) in [
            ("Observation", json!({"status": "final", "code": {"text": "Height"}, "focus": [item(to)]})),
            ("Procedure", json!({"status": "completed", "code": {"text": "Dressing"}, "usedReference": [item(to)]})),
            (
                "List",
                json!({"status": "current", "mode": "working", "title": "Notes", "entry": [{"item": item(to)}, {"item": item(&ordinary)}]}),
            ),
            (
                "Observation",
                json!({"status": "final", "code": {"text": "Height"}, "extension": [{"url": "http://example.org/e", "valueReference": item(to)}]}),
            ),
        ] {
            let id = scene.file(kind, members).await;
            let read = scene.b.get(&format!("{kind}/{id}")).await.expect(200);
            assert_eq!(read.text().contains(to.as_str()), is_shown, "{kind}: {}", read.text());
        }
        if to.starts_with("Substance/") {
            continue;
        }
        let ordered = json!({"status": "active", "intent": "order", "medicationReference": item(to)});
        let id = scene.file("MedicationRequest", ordered).await;
        scene.b.get(&format!("MedicationRequest/{id}")).await.expect(if is_shown { 200 } else { 404 });
    }
}

/// However many records have a number in other systems, or are others': a setting by identifier is found, or is not known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_records_of_the_same_number_hide_no_setting() {
    let scene = scene().await;
    let stranger = scene.b.create(&patient("7")).await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let of_stranger = |system: String, number: &str| {
        json!({"resourceType": "Encounter", "status": "finished", "class": class, "type": [{"text": "Check-up"}],
            "subject": {"reference": format!("Patient/{stranger}")}, "identifier": [{"system": system, "value": number}]})
    };
    for number in ["V-1", "V-2", "V-3"] {
        for series in 0..9 {
            let system = if number == "V-3" { VISITS.to_owned() } else { format!("urn:oid:1.3.6.1.4.1.99999.9.{series}") };
            scene.b.create(&of_stranger(system, number)).await;
        }
    }
    scene.visit("V-1", "Methadone maintenance visit").await;
    scene.visit("V-2", "Check-up").await;
    scene.visit("V-3", "Methadone maintenance visit").await;
    for (number, status) in [("V-1", 404), ("V-2", 200), ("V-3", 404)] {
        for type_name in [Some("Encounter"), None] {
            let id = scene.measured(json!({"encounter": by_identifier(type_name, number)})).await;
            scene.b.get(&format!("Observation/{id}")).await.expect(status);
        }
    }
}

/// Rooms inside rooms: what lies farther than settings are followed is not known, and a ring has an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_tells_from_afar() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let mut cases = Vec::new();
    for (name, hidden_from) in [("Riverside Methadone Clinic", 0), ("Riverside Clinic", 6)] {
        let clinic = scene.a.create(&json!({"resourceType": "Organization", "name": name})).await;
        let mut within = json!({"managingOrganization": {"reference": format!("Organization/{clinic}")}});
        for depth in 0..9 {
            within["resourceType"] = json!("Location");
            let id = scene.a.create(&within).await;
            within = json!({"partOf": {"reference": format!("Location/{id}")}});
            cases.push((id, if depth < hidden_from { 200 } else { 404 }));
        }
    }
    let ring = scene.a.create(&json!({"resourceType": "Location", "name": "Ward 3"})).await;
    let part = scene.a.create(&json!({"resourceType": "Location", "partOf": {"reference": format!("Location/{ring}")}})).await;
    let closed = json!({"resourceType": "Location", "id": ring, "name": "Ward 3", "partOf": {"reference": format!("Location/{part}")}});
    scene.a.put(&format!("Location/{ring}"), &closed).await.expect(200);
    cases.push((ring, 200));
    for (location, status) in cases {
        let there = json!([{"location": {"reference": format!("Location/{location}")}}]);
        let visit = scene.file("Encounter", json!({"status": "finished", "class": class, "location": there})).await;
        let id = scene.measured(json!({"encounter": {"reference": format!("Encounter/{visit}")}})).await;
        scene.b.get(&format!("Observation/{id}")).await.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contained_setting_leads_on_to_whose_it_is() {
    let scene = scene().await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    for (name, status) in [("Riverside Methadone Clinic", 404), ("Riverside Clinic", 200)] {
        let clinic = scene.a.create(&json!({"resourceType": "Organization", "name": name})).await;
        let by = json!({"reference": format!("Organization/{clinic}")});
        let visit = json!([{"resourceType": "Encounter", "id": "c", "status": "finished", "class": class, "serviceProvider": by}]);
        let id = scene.measured(json!({"contained": visit, "encounter": {"reference": "#c"}})).await;
        scene.b.get(&format!("Observation/{id}")).await.expect(status);
        let room = json!([{"resourceType": "Location", "id": "l", "name": "Room 3", "managingOrganization": by}]);
        let done = json!({"status": "completed", "code": {"text": "Inspection"}, "contained": room, "location": {"reference": "#l"}});
        let id = scene.file("Procedure", done).await;
        scene.b.get(&format!("Procedure/{id}")).await.expect(status);
    }
}

/// Where the record is referred to that bears the identifier beside the reference, it is the one that is meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_institution_of_the_same_number_hides_nothing() {
    let scene = scene().await;
    let institution = |name: &str, number: &str| json!({"resourceType": "Organization", "name": name, "identifier": [{"system": VISITS, "value": number}]});
    let general = scene.a.create(&institution("General Hospital", "N-1")).await;
    scene.b.create(&institution("Riverside Methadone Clinic", "N-1")).await;
    scene.a.create(&institution("Riverside Methadone Clinic", "N-2")).await;
    let class = json!({"system": ACT_CODE, "code": "AMB"});
    let named = |number: &str| {
        let mut named = by_identifier(None, number);
        named["reference"] = json!(format!("Organization/{general}"));
        named
    };
    for (provider, status) in [(named("N-1"), 200), (named("N-2"), 404), (by_identifier(Some("Organization"), "N-1"), 404)] {
        let visit = json!({"status": "finished", "class": class, "serviceProvider": provider});
        let id = scene.file("Encounter", visit).await;
        let read = scene.b.get(&format!("Encounter/{id}")).await.expect(status);
        if status == 200 {
            assert_eq!(read.json()["serviceProvider"], provider);
        }
    }
}

/// What stands in an attachment points as the same words in a note do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_attachment_says_is_read_as_any_text() {
    let scene = scene().await;
    let (hidden, seen) = (scene.problem("A-1", "Opioid dependence").await, scene.problem("A-2", "Asthma").await);
    let encoded = |text: String| data_encoding::BASE64.encode(text.as_bytes());
    for (id, is_shown) in [(&hidden, false), (&seen, true)] {
        for (kind, text) in [
            ("text/plain", format!("See Condition/{id}.")),
            ("text/html", format!("<a href=\"Condition/{id}\">it</a>")),
            ("application/fhir+json", format!(r#"{{"resourceType":"Basic","subject":{{"reference":"Condition/{id}"}}}}"#)),
        ] {
            let attachment = json!({"contentType": kind, "data": encoded(text)});
            let id = scene.measured(json!({"extension": [{"url": "http://x.example/u", "valueAttachment": attachment}]})).await;
            let read = scene.b.get(&format!("Observation/{id}")).await.expect(200).json();
            assert_eq!(read.to_string().contains("http://x.example/u"), is_shown, "{kind}: {read}");
        }
        let bytes = json!([{"url": "http://x.example/u", "valueBase64Binary": encoded(format!("See Condition/{id}."))}]);
        let measured = scene.measured(json!({"extension": bytes})).await;
        let read = scene.b.get(&format!("Observation/{measured}")).await.expect(200).json();
        assert_eq!(read.to_string().contains("http://x.example/u"), is_shown, "{read}");
        let context = json!({"reference": format!("Patient/{}", scene.patient)});
        let binary = json!({"resourceType": "Binary", "contentType": "text/plain", "securityContext": context,
            "data": encoded(format!("See Condition/{id}."))});
        let binary = scene.a.create(&binary).await;
        let read = scene.b.call(crate::support::Call::get(&format!("Binary/{binary}")).header("Accept", "application/fhir+json")).await;
        assert_eq!(read.text().contains(&encoded(format!("See Condition/{id}."))), is_shown, "{}", read.text());
    }
    let telling = json!([{"url": "http://x.example/u", "valueBase64Binary": encoded("on methadone".to_owned())}]);
    let measured = scene.measured(json!({"extension": telling})).await;
    assert!(!scene.b.get(&format!("Observation/{measured}")).await.text().contains("valueBase64Binary"));
}

/// Whoever guesses the identifier of something hidden does not learn that it is there by sending what is nobody's under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_nobodys_makes_no_hidden_record_shown() {
    let scene = scene().await;
    let other = scene.a.create(&person("2")).await;
    let hidden = json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": format!("Patient/{other}")},
        "identifier": [{"system": VISITS, "value": "D-80"}],
        "content": [{"attachment": {"contentType": "text/plain", "url": "https://ehr.example/letter"}}]});
    scene.a.create(&hidden).await;
    let id = scene.measured(json!({"hasMember": [by_identifier(None, "D-80")]})).await;
    let read = async || scene.b.get(&format!("Observation/{id}")).await.expect(200).text().contains("D-80");
    assert!(!read().await);
    scene.b.create(&json!({"resourceType": "Location", "name": "Room", "identifier": [{"system": VISITS, "value": "D-80"}]})).await;
    assert!(!read().await, "a guess is confirmed");
    let mut own = observation(&format!("Patient/{}", scene.patient));
    own["identifier"] = json!([{"system": VISITS, "value": "D-80"}]);
    scene.b.create(&own).await;
    assert!(!read().await, "a guess is confirmed by a record of the patient's that the asker sent");
    // A record of the patient's own says which is meant, unless whoever asks has sent it.
    scene.problem("D-80", "Asthma").await;
    assert!(read().await);
}
