//! JSON and XML, in and out, and the shorter forms of a resource.

use crate::support::data::patient;
use crate::support::party::{FHIR_JSON, FHIR_XML};
use crate::support::{Call, World};
use serde_json::json;

const XML_PATIENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><p>Ada &amp; <b>Moor</b></p></div></text>
<identifier><system value="urn:oid:1.3.6.1.4.1.99999.2"/><value value="x-1"/></identifier><active value="true"/>
<name><family value="Moor"/><given value="Ada"/><given value="Beth"/></name><birthDate value="1970-03-01"/></Patient>"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xml_goes_in_and_comes_out() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let created = a.call(Call::new("POST", "Patient").body(FHIR_XML, XML_PATIENT).header("accept", FHIR_JSON)).await.expect(201);
    let body = created.json();
    assert_eq!(body["active"], json!(true));
    assert_eq!(body["name"][0]["given"], json!(["Ada", "Beth"]));
    assert!(body["text"]["div"].as_str().unwrap().contains("<b>Moor</b>"), "{body}");

    let here = format!("Patient/{}", body["id"].as_str().unwrap());
    let xml = a.call(Call::get(&here).header("accept", FHIR_XML)).await.expect(200);
    assert!(xml.header("content-type").unwrap().starts_with(FHIR_XML));
    let text = xml.text();
    assert!(text.contains("<Patient xmlns=\"http://hl7.org/fhir\">") && text.contains("<given value=\"Beth\"/>"), "{text}");

    // What the gateway wrote as XML it reads again as the same resource.
    let again = a.call(Call::new("PUT", &here).body(FHIR_XML, text)).await.expect(200).json();
    assert_eq!(again["name"], body["name"]);
    assert_eq!(again["text"], body["text"]);

    let bundle = a.call(Call::get("Patient").header("accept", FHIR_XML)).await.expect(200).text();
    assert!(bundle.contains("<total value=\"1\"/>") && bundle.contains("<given value=\"Beth\"/>"), "{bundle}");
    let refused = a.call(Call::get("Patient/nobody").header("accept", FHIR_XML)).await.expect(404);
    assert!(refused.text().contains("<OperationOutcome xmlns=\"http://hl7.org/fhir\">"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_format_is_the_readers_choice() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let here = format!("Patient/{}", a.create(&patient("1")).await);
    let media = async |call: Call| {
        let answer = a.call(call).await;
        (answer.status, answer.header("content-type").unwrap_or_default().split(';').next().unwrap().to_owned())
    };
    for (accept, query, status, expected) in [
        ("", "", 200, FHIR_JSON),
        ("*/*", "", 200, FHIR_JSON),
        ("application/json", "", 200, FHIR_JSON),
        ("application/fhir+json;fhirVersion=4.0", "", 200, FHIR_JSON),
        ("application/xml", "", 200, FHIR_XML),
        ("text/html, application/fhir+xml;q=0.9, */*;q=0.1", "", 200, FHIR_XML),
        ("application/fhir+xml;q=0.2, application/fhir+json;q=0.8", "", 200, FHIR_JSON),
        (FHIR_JSON, "?_format=xml", 200, FHIR_XML),
        (FHIR_XML, "?_format=json", 200, FHIR_JSON),
        ("", "?_format=application%2Ffhir%2Bxml", 200, FHIR_XML),
        ("", "?_format=application/fhir+xml", 200, FHIR_XML),
        ("text/html", "", 406, FHIR_JSON),
        ("application/fhir+turtle", "", 406, FHIR_JSON),
        ("", "?_format=ttl", 406, FHIR_JSON),
        ("application/fhir+json;q=0", "", 406, FHIR_JSON),
        ("application/fhir+json;fhirVersion=5.0", "", 406, FHIR_JSON),
    ] {
        let call = Call::get(&format!("{here}{query}"));
        let call = if accept.is_empty() { call } else { call.header("accept", accept) };
        assert_eq!(media(call).await, (status, expected.to_owned()), "Accept: {accept} {query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_as_short_as_was_asked() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut long = patient("1");
    long["text"] = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ada</p></div>"});
    long["maritalStatus"] = json!({"text": "married"});
    let here = format!("Patient/{}", a.create(&long).await);

    let pretty = a.get(&format!("{here}?_pretty=true")).await.expect(200).text();
    assert!(pretty.lines().count() > 10, "{pretty}");
    let elements = a.get(&format!("{here}?_elements=birthDate")).await.expect(200).json();
    assert!(elements["birthDate"].is_string() && elements["name"].is_null() && elements["resourceType"] == "Patient", "{elements}");
    assert!(has_subsetted(&elements), "what is cut says so: {elements}");
    for (summary, name, text, status) in
        [("true", true, false, false), ("data", true, false, true), ("text", false, true, false), ("false", true, true, true)]
    {
        let shown = a.get(&format!("{here}?_summary={summary}")).await.expect(200).json();
        let found = (shown["name"].is_array(), shown["text"].is_object(), shown["maritalStatus"].is_object());
        assert_eq!(found, (name, text, status), "_summary={summary}: {shown}");
        let listed = a.search(&format!("Patient?_summary={summary}")).await;
        assert_eq!(listed[0]["name"].is_array(), name, "_summary={summary} in a search");
    }
    a.get(&format!("{here}?_summary=frobnicate")).await.expect(400).issue();
}

fn has_subsetted(resource: &serde_json::Value) -> bool {
    let tags = resource["meta"]["tag"].as_array().cloned().unwrap_or_default();
    tags.iter().any(|tag| tag["code"] == "SUBSETTED")
}
