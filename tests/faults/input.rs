//! Hostile and mistaken input: each kind has its status and an OperationOutcome that says what to do, and leaves nothing but its audit record.

use crate::support::data::{bundle, creates, observation, patient};
use crate::support::party::{FHIR_JSON, FHIR_XML};
use crate::support::{Call, Party, Setup, World};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a world with small limits takes.
const BODY_LIMIT: u64 = 64 * 1024;
const DEPTH_LIMIT: usize = 16;
const ENTRY_LIMIT: usize = 10;

async fn small_world() -> World {
    Setup::adjusted(|settings| {
        settings.server.body_limit_bytes = BODY_LIMIT;
        settings.server.max_document_depth = DEPTH_LIMIT as u64;
        settings.server.max_bundle_entries = ENTRY_LIMIT as u64;
    })
    .start()
    .await
}

/// Sends what is wrong, and holds the answer to its status and issue code. The store is as it was, but for one audit record of the refusal.
async fn check(world: &World, party: &Party, why: &str, call: Call, status: u16, code: &str) {
    let before = stored(world).await;
    let answer = party.call(call).await;
    assert_eq!(answer.status, status, "{why}: {}", answer.text());
    assert_eq!(answer.issue(), code, "{why}: {}", answer.text());
    assert!(answer.header("x-request-id").is_some(), "{why}: no correlation id");
    let after = stored(world).await;
    assert_eq!(after.0, before.0, "{why}: something was stored");
    assert_eq!(after.1, before.1 + 1, "{why}: audit records");
}

/// How many resources there are, and how many audit records.
async fn stored(world: &World) -> (u64, u64) {
    world.running.store.settle().await.unwrap();
    let counts = world.running.store.read(|reader| reader.counts()).await.unwrap();
    let audit = counts.iter().filter(|(type_name, _)| type_name == "AuditEvent").map(|(_, count)| count).sum();
    (counts.iter().filter(|(type_name, _)| type_name != "AuditEvent").map(|(_, count)| count).sum(), audit)
}

fn nested(depth: usize) -> String {
    let open = r#"{"extension":["#.repeat(depth / 2);
    let close = "]}".repeat(depth / 2);
    format!(r#"{{"resourceType":"Patient","extension":[{open}{close}]}}"#)
}

fn posted(media: &str, body: impl Into<Vec<u8>>) -> Call {
    Call::new("POST", "Patient").body(media, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_cannot_be_read() {
    let world = small_world().await;
    let a = world.party("hospital-a").await;
    let xml = |inner: &str| format!("<Patient xmlns=\"http://hl7.org/fhir\">{inner}</Patient>");
    let entity = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><Patient xmlns=\"http://hl7.org/fhir\"><language value=\"&e;\"/></Patient>";
    let cases: Vec<(&str, Call)> = vec![
        ("nothing", posted(FHIR_JSON, "")),
        ("no JSON", posted(FHIR_JSON, "{not json}")),
        ("cut off", posted(FHIR_JSON, r#"{"resourceType":"Patient""#)),
        ("something after the end", posted(FHIR_JSON, r#"{"resourceType":"Patient"} {}"#)),
        ("a member twice", posted(FHIR_JSON, r#"{"resourceType":"Patient","gender":"male","gender":"female"}"#)),
        ("a member twice, spelled differently", posted(FHIR_JSON, r#"{"resourceType":"Patient","gender":"male","\u0067ender":"female"}"#)),
        ("invalid UTF-8", posted(FHIR_JSON, b"{\"resourceType\":\"Patient\",\"language\":\"\xff\"}".to_vec())),
        ("overlong UTF-8", posted(FHIR_JSON, b"{\"resourceType\":\"Patient\",\"language\":\"\xc0\xaf\"}".to_vec())),
        ("a lone surrogate", posted(FHIR_JSON, r#"{"resourceType":"Patient","language":"\ud800"}"#)),
        ("surrogates the wrong way round", posted(FHIR_JSON, r#"{"resourceType":"Patient","language":"\udc00\ud800"}"#)),
        ("a control character", posted(FHIR_JSON, "{\"resourceType\":\"Patient\",\"language\":\"\u{1}\"}")),
        ("a number that is none", posted(FHIR_JSON, r#"{"resourceType":"Patient","multipleBirthInteger":01}"#)),
        ("not a number", posted(FHIR_JSON, r#"{"resourceType":"Patient","multipleBirthInteger":NaN}"#)),
        ("a comment", posted(FHIR_JSON, r#"{"resourceType":"Patient"/*x*/}"#)),
        ("a trailing comma", posted(FHIR_JSON, r#"{"resourceType":"Patient",}"#)),
        ("too deep", posted(FHIR_JSON, nested(DEPTH_LIMIT + 4))),
        ("very deep", posted(FHIR_JSON, "[".repeat(60_000))),
        ("JSON said to be XML", posted(FHIR_XML, patient("1").to_string())),
        ("XML said to be JSON", posted(FHIR_JSON, xml("<active value=\"true\"/>"))),
        ("XML cut off", posted(FHIR_XML, "<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/>")),
        ("a document type", posted(FHIR_XML, entity)),
        ("an entity", posted(FHIR_XML, xml("<language value=\"&e;\"/>"))),
        ("no namespace", posted(FHIR_XML, "<Patient><active value=\"true\"/></Patient>")),
        ("another namespace", posted(FHIR_XML, "<Patient xmlns=\"urn:x\"><active value=\"true\"/></Patient>")),
        ("an unknown element", posted(FHIR_XML, xml("<frob value=\"1\"/>"))),
        ("an unknown attribute", posted(FHIR_XML, xml("<active frob=\"true\"/>"))),
        ("XML too deep", posted(FHIR_XML, xml(&"<extension url=\"x\">".repeat(40)))),
        ("a processing instruction", posted(FHIR_XML, xml("<?php x?>"))),
    ];
    for (why, call) in cases {
        check(&world, &a, why, call, 400, "structure").await;
    }
    // Where it stands is said as line and column.
    let broken = a.call(posted(FHIR_JSON, "{\n  \"resourceType\": \"Patient\",\n  \"gender\": ?\n}")).await.expect(400);
    assert!(broken.text().contains("line 3, column 13"), "{}", broken.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_that_are_not_what_was_said() {
    let world = small_world().await;
    let a = world.party("hospital-a").await;
    let with_id = |id: &str| {
        let mut patient = patient("1");
        patient["id"] = json!(id);
        patient
    };
    let many = bundle("transaction", (0..=ENTRY_LIMIT).map(|number| creates(&format!("urn:uuid:{number}"), patient("x"))).collect());
    let big = json!({"resourceType": "Patient", "language": "x".repeat(usize::try_from(BODY_LIMIT).unwrap())});
    let mut wrong_reference = observation("Practitioner/1");
    wrong_reference["subject"]["reference"] = json!("Medication/1");
    let mut modified = bundle("transaction", vec![creates("urn:uuid:1", patient("1"))]);
    modified["entry"][0]["modifierExtension"] = json!([{"url": "http://example.org/negated", "valueBoolean": true}]);
    let cases: Vec<(&str, Call, u16, &str)> = vec![
        ("a list", posted(FHIR_JSON, "[]"), 400, "structure"),
        ("no resource", posted(FHIR_JSON, "{}"), 400, "structure"),
        ("a text", posted(FHIR_JSON, "\"Patient\""), 400, "structure"),
        ("another type", posted(FHIR_JSON, observation("Patient/1").to_string()), 400, "invalid"),
        ("an update without id", Call::put("Patient/1", &patient("1")), 400, "required"),
        ("an update with another id", Call::put("Patient/1", &with_id("2")), 400, "invalid"),
        ("an id that is none", Call::put("Patient/a_b", &with_id("a_b")), 400, "value"),
        ("an id too long", Call::put(&format!("Patient/{}", "x".repeat(65)), &with_id("x")), 400, "value"),
        (
            "an id of the gateway's form",
            Call::put("Patient/hg-aaaaaaaaaaaaaaaaaaaaaaaaaa", &with_id("hg-aaaaaaaaaaaaaaaaaaaaaaaaaa")),
            404,
            "not-found",
        ),
        ("too many entries", Call::post("", &many), 413, "too-long"),
        ("a body too large", Call::post("Patient", &big), 413, "too-long"),
        ("an unknown element", Call::post("Patient", &json!({"resourceType": "Patient", "frob": 1})), 422, "structure"),
        ("an unknown code", Call::post("Patient", &json!({"resourceType": "Patient", "gender": "frob"})), 422, "code-invalid"),
        ("a missing element", Call::post("Observation", &json!({"resourceType": "Observation", "status": "final"})), 422, "structure"),
        ("a date that is none", Call::post("Patient", &json!({"resourceType": "Patient", "birthDate": "2026-02-30"})), 422, "value"),
        ("a reference to what may not be", Call::post("Observation", &wrong_reference), 422, "structure"),
        ("an entry with a modifier", Call::post("", &modified), 400, "extension"),
    ];
    for (why, call, status, code) in cases {
        check(&world, &a, why, call, status, code).await;
    }
    // What is wrong in a transaction is said with its place in it.
    let invalid = bundle(
        "transaction",
        vec![creates("urn:uuid:1", patient("1")), creates("urn:uuid:2", json!({"resourceType": "Patient", "gender": "frob"}))],
    );
    let refused = a.post("", &invalid).await.expect(422).json();
    assert_eq!(refused["issue"][0]["expression"][0], "Bundle.entry[1].resource.gender");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_the_gateway_does_not_offer() {
    let world = small_world().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let one = || patient("1");
    let cases: Vec<(&str, Call, u16, &str)> = vec![
        ("an unknown type", Call::get("Frob/1"), 404, "not-supported"),
        ("a type in lower case", Call::get("patient/1"), 404, "not-supported"),
        ("an abstract type", Call::get("DomainResource/1"), 404, "not-supported"),
        ("a data type", Call::get("HumanName/1"), 404, "not-supported"),
        ("an unknown operation", Call::get(&format!("{here}/$frobnicate")), 400, "not-supported"),
        ("an unknown operation on a type", Call::post("Patient/$frobnicate", &one()), 400, "not-supported"),
        ("an unknown operation on the system", Call::post("$process-message", &one()), 400, "not-supported"),
        ("a receipt by another method", Call::delete(&format!("{here}/$receipt")), 405, "not-supported"),
        ("a validation of nothing", Call::get("Patient/$validate"), 405, "not-supported"),
        ("a search of everything by form", Call::new("POST", "_search").form("_id=1"), 400, "not-supported"),
        ("a history as a type", Call::put("_history?_id=1", &one()), 405, "not-supported"),
        ("a change of the statement", Call::post("metadata", &one()), 405, "not-supported"),
        ("a type with digits", Call::post("1Patient", &one()), 404, "not-supported"),
        ("a patch", Call::new("PATCH", &here).body("application/json-patch+json", "[]"), 400, "not-supported"),
        ("a search of everything", Call::get("?_id=1"), 400, "not-supported"),
        ("a method for another", Call::post(&here, &one()), 405, "not-supported"),
        ("a deletion of a type", Call::delete("Patient"), 405, "not-supported"),
        ("a deletion of everything", Call::delete(""), 405, "not-supported"),
        ("an update of a type without condition", Call::put("Patient", &one()), 405, "not-supported"),
        ("a deeper path", Call::get(&format!("{here}/name/family")), 405, "not-supported"),
        ("a compartment", Call::get(&format!("{here}/Observation")), 405, "not-supported"),
        ("a method of its own", Call::new("FROB", "Patient"), 405, "not-supported"),
        ("a trace", Call::new("TRACE", &here), 405, "not-supported"),
        ("another method in a header", Call::post("Patient", &one()).header("x-http-method-override", "DELETE"), 400, "not-supported"),
        ("no content type", Call::new("POST", "Patient").bare_body(one().to_string()), 415, "not-supported"),
        ("a content type nobody knows", Call::new("POST", "Patient").body("text/plain", one().to_string()), 415, "not-supported"),
        ("RDF", Call::new("POST", "Patient").body("text/turtle", "x"), 415, "not-supported"),
        (
            "a release that nobody knows",
            Call::new("POST", "Patient").body("application/fhir+json; fhirVersion=9.9", one().to_string()),
            415,
            "not-supported",
        ),
        ("a packed body", Call::post("Patient", &one()).header("content-encoding", "gzip"), 415, "not-supported"),
        ("a form for a resource", Call::new("POST", "Patient").form("a=b"), 415, "not-supported"),
        ("a resource for a form", Call::post("Patient/_search", &one()), 415, "not-supported"),
        ("an answer nobody writes", Call::get(&here).header("accept", "image/png"), 406, "not-supported"),
        ("an encoded slash in an id", Call::get("Patient/a%2Fb"), 400, "value"),
        ("a nought in an id", Call::get("Patient/a%00b"), 400, "value"),
        ("bytes that are no text", Call::get("Patient/%ff"), 400, "invalid"),
        ("a query that is no text", Call::get("Patient?name=%ff"), 400, "invalid"),
        ("too many parameters", Call::get(&format!("Patient?{}", "name=x&".repeat(300))), 400, "too-long"),
        ("a parameter on a read", Call::get(&format!("{here}?frobnicate=1")), 400, "not-supported"),
        ("a parameter on a creation", Call::post("Patient?frobnicate=1", &one()), 400, "not-supported"),
        ("a condition of creations on an update", Call::put(&here, &one()).header("if-none-exist", "identifier=1"), 400, "not-supported"),
        ("a condition on a deletion by criteria", Call::delete("Patient?identifier=1").header("if-match", "W/\"1\""), 400, "not-supported"),
        ("a condition of reads on a write", Call::put(&here, &one()).header("if-none-match", "W/\"1\""), 400, "not-supported"),
        ("a condition that means nothing here", Call::post("Patient", &one()).header("if-match", "W/\"1\""), 400, "not-supported"),
    ];
    for (why, call, status, code) in cases {
        check(&world, &a, why, call, status, code).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_forged_tokens() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    let stranger = world.stranger();
    let token = a.token.clone().unwrap();
    let mut forged = token.clone().into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (why, authorization) in [
        ("no token", None),
        ("another scheme", Some("Basic YTpi".to_owned())),
        ("an empty token", Some("Bearer ".to_owned())),
        ("no token at all", Some("Bearer frobnicate".to_owned())),
        ("a forged token", Some(format!("Bearer {forged}"))),
        ("a token without signature", Some(format!("Bearer {}.", token.rsplit_once('.').unwrap().0))),
        ("two tokens", Some(format!("Bearer {token} {token}"))),
    ] {
        for call in
            [Call::get(&here), Call::get("Patient"), Call::post("Patient", &patient("2")), Call::delete(&here), Call::get("Frob/1/frob")]
        {
            let is_request = !format!("{call:?}").contains("Frob");
            let call = match &authorization {
                Some(value) => call.header("authorization", value),
                None => call,
            };
            let answer = stranger.call(call).await;
            if is_request {
                assert_eq!((answer.status, answer.issue().as_str()), (401, "login"), "{why}: {}", answer.text());
                let challenge = answer.header("www-authenticate").unwrap_or_else(|| panic!("{why}: no challenge"));
                assert!(challenge.starts_with("Bearer"), "{why}: {challenge}");
            }
        }
    }
    // A stranger's requests are recorded, but make no leaf: nobody outside makes the log grow.
    let size = world.running.store.ledger_head().size();
    let events = world.audit_events().await.len();
    stranger.get("Patient").await.expect(401);
    assert_eq!(world.running.store.ledger_head().size(), size);
    assert_eq!(world.audit_events().await.len(), events + 1);
    // What is public stays public.
    stranger.get("metadata").await.expect(200);
    stranger.get(".well-known/smart-configuration").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_enforced() {
    let world = World::start().await;
    let id = world.party("hospital-a").await.create(&patient("1")).await;
    let here = format!("Patient/{id}");
    let all = |who: &str| -> Vec<(char, Call)> {
        vec![
            ('r', Call::get(&here)),
            ('r', Call::get(&format!("{here}/_history"))),
            ('r', Call::get(&format!("{here}/_history/1"))),
            ('s', Call::get("Patient")),
            ('s', Call::new("POST", "Patient/_search").form("gender=female")),
            ('s', Call::get("Patient/_history")),
            ('c', Call::post("Patient", &patient(who))),
            ('u', Call::put("Patient?identifier=frob", &patient(who))),
            ('d', Call::delete("Patient/nobody")),
        ]
    };
    for (scope, letters) in [
        ("system/Patient.cruds", "cruds"),
        ("system/Patient.r", "r"),
        ("system/Patient.rs", "rs"),
        ("system/Patient.c", "c"),
        ("system/Patient.ud", "ud"),
        ("system/Patient.read", "rs"),
        ("system/Patient.write", "cud"),
        ("system/*.r", "r"),
        ("system/Observation.cruds", ""),
    ] {
        let party = world.party_with("hospital-a", scope).await;
        for (letter, call) in all(scope) {
            let what = format!("{scope}: {call:?}");
            let answer = party.call(call).await;
            if letters.contains(letter) {
                assert!(answer.status < 300, "{what}: {} {}", answer.status, answer.text());
            } else {
                assert_eq!((answer.status, answer.issue().as_str()), (403, "forbidden"), "{what}");
            }
        }
        // A Bundle is no way around: one entry that is not allowed refuses the transaction, and its own answer in a batch.
        let entries = bundle("transaction", vec![creates("urn:uuid:1", patient("t"))]);
        assert_eq!(party.post("", &entries).await.status, if letters.contains('c') { 200 } else { 403 }, "{scope}");
        let read = bundle("batch", vec![json!({"request": {"method": "GET", "url": here}})]);
        let status = party.post("", &read).await.expect(200).json()["entry"][0]["response"]["status"].as_str().unwrap()[..3].to_owned();
        assert_eq!(status, if letters.contains('r') { "200" } else { "403" }, "{scope}");
    }
    // Filing consents is a privilege of its own, and somebody without a source cannot push.
    let b = world.party("hospital-b").await;
    assert_eq!(b.post("Consent", &crate::support::data::permit(&id)).await.expect(403).issue(), "forbidden");
    let inside = bundle("transaction", vec![creates("urn:uuid:1", crate::support::data::permit(&id))]);
    assert_eq!(b.post("", &inside).await.expect(403).issue(), "forbidden");
    let regulator = world.party("health-department").await;
    assert_eq!(regulator.post("Patient", &patient("x")).await.expect(403).issue(), "forbidden");
    // A purpose the token does not have is not taken from a header.
    let a = world.party("hospital-a").await;
    let with = |purpose: &str| Call::get(&here).header("x-purpose-of-use", purpose);
    a.call(with("TREAT")).await.expect(200);
    assert_eq!(a.call(with("HRESCH")).await.expect(403).issue(), "forbidden");
    assert_eq!(a.call(with("frobnicate")).await.expect(400).issue(), "code-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_broken_connections() {
    let world = Setup::adjusted(|settings| settings.server.request_timeout_ms = 1500).start().await;
    let a = world.party("hospital-a").await;
    let address = world.origin.strip_prefix("http://").unwrap().to_owned();
    let token = a.token.clone().unwrap();
    let head = format!(
        "POST /fhir/Patient HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: {FHIR_JSON}\r\ncontent-length: 500\r\n\r\n"
    );

    // A body that never comes is not waited for.
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(b"{\"resourceType\":").await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), async {
        while !answer.windows(16).any(|window| window == b"OperationOutcome") {
            let count = slow.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed without an answer: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..count]);
        }
    });
    read.await.expect("an answer in time");
    assert!(answer.starts_with(b"HTTP/1.1 503") || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));

    // One that breaks off leaves nothing.
    let mut broken = tokio::net::TcpStream::connect(&address).await.unwrap();
    broken.write_all(head.as_bytes()).await.unwrap();
    drop(broken);
    assert!(a.search("Patient").await.is_empty());

    // Nor does one that is no HTTP at all.
    let mut noise = tokio::net::TcpStream::connect(&address).await.unwrap();
    noise.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0]).await.unwrap();
    drop(noise);
    a.get("Patient").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compressed_or_claimed_is_bounded() {
    let world = small_world().await;
    let a = world.party("hospital-a").await;
    // A compressed body is not unpacked behind the sender's back.
    let zipped = a.call(posted(FHIR_JSON, vec![0x1f, 0x8b, 8, 0]).header("content-encoding", "gzip")).await;
    assert_eq!(zipped.status, 415, "{}", zipped.text());
    zipped.issue();
    // A correlation id is the client's when it is sound, ours when it is not.
    let asked = a.call(Call::get("Patient").header("x-request-id", "abc-1.2_3")).await.expect(200);
    assert_eq!(asked.header("x-request-id"), Some("abc-1.2_3"));
    let unsound = a.call(Call::get("Patient").header("x-request-id", &"x".repeat(100))).await.expect(200);
    assert!(unsound.header("x-request-id").is_some_and(|id| id.len() < 64));
    assert_eq!(asked.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(asked.header("cache-control"), Some("no-store"));
}

/// Clients tidy paths up before they send them, so these are sent by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_lead_nowhere_else() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let id = a.create(&patient("1")).await;
    let token = a.token.clone().unwrap();
    for path in [
        "/fhir/Patient/..".to_owned(),
        "/fhir/Patient/%2e%2e".to_owned(),
        "/fhir/Patient/../../etc/passwd".to_owned(),
        "/fhir/../metrics".to_owned(),
        "/fhir/%2e%2e/metrics".to_owned(),
        "/metrics".to_owned(),
        "/health/ready".to_owned(),
        "/ledger/tile/../checkpoint".to_owned(),
        "/ledger/tile/../../keys/gateway.key".to_owned(),
        "/ledger/tile/%2e%2e/%2e%2e/data.db".to_owned(),
        "/ledger/tile//etc/passwd".to_owned(),
        "//fhir/Patient".to_owned(),
        "/fhir/Patient/\\..\\..".to_owned(),
        format!("/fhir/Patient/{id}%00"),
        format!("/fhir/Patient/{id};v=1"),
        format!("/FHIR/Patient/{id}"),
        format!("/fhir/Patient/{id}/..%2f..%2f"),
    ] {
        let answer = raw(&world.origin, &path, &token).await;
        let status: u16 = answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        assert!(matches!(status, 400 | 404 | 405), "{path}: {answer}");
        assert!(!answer.contains("Moor") && !answer.contains("root:"), "{path}: {answer}");
    }
}

async fn raw(origin: &str, path: &str, token: &str) -> String {
    let address = origin.strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
