//! The CapabilityStatement is true: what it lists works, and what it does not list is refused.

use crate::support::data::patient;
use crate::support::{Call, Party, World};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_says_what_this_gateway_is() {
    let world = World::start().await;
    let answer = world.stranger().get("metadata").await.expect(200);
    let statement = answer.json();
    assert_eq!((statement["resourceType"].as_str(), statement["fhirVersion"].as_str()), (Some("CapabilityStatement"), Some("4.0.1")));
    assert_eq!(statement["implementation"]["url"], format!("{}/fhir", world.origin));
    let security = statement["rest"][0]["security"]["description"].as_str().unwrap();
    assert!(security.contains(&format!("{}/fhir/.well-known/smart-configuration", world.origin)), "{security}");
    // It is a valid resource by the gateway's own judgement.
    let a = world.party("hospital-a").await;
    let judged = a.post("CapabilityStatement/$validate", &statement).await.expect(200).json();
    let errors: Vec<&Value> = judged["issue"].as_array().unwrap().iter().filter(|issue| issue["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
    // And so it comes in XML.
    let xml = world.stranger().call(Call::get("metadata?_format=xml")).await.expect(200).text();
    assert!(xml.starts_with("<?xml") || xml.starts_with("<CapabilityStatement"), "{}", &xml[..80]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listed_search_parameter_works() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let statement = a.get("metadata").await.expect(200).json();
    let types = statement["rest"][0]["resource"].as_array().unwrap().clone();
    assert!(types.len() > 140, "{} types", types.len());
    let mut listed = 0;
    for resource in &types {
        let type_name = resource["type"].as_str().unwrap();
        let parameters = resource["searchParam"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for common in ["_id", "_lastUpdated", "_profile", "_security", "_tag"] {
            assert!(names.contains(&common), "{type_name} does not list {common}");
        }
        let pairs: Vec<String> = parameters.iter().filter_map(pair).collect();
        listed += pairs.len();
        for some in pairs.chunks(60) {
            let answer = a.get(&format!("{type_name}?{}", some.join("&"))).await;
            assert_eq!(answer.status, 200, "{type_name}: {}", answer.text());
        }
        a.get(&format!("{type_name}?frobnicate=1")).await.expect(400);
    }
    assert!(listed > 1500, "{listed} parameters");
}

/// A query with a value of the parameter's type. Composites have values of their own kind each and are tried in the search story.
fn pair(parameter: &Value) -> Option<String> {
    let value = match parameter["type"].as_str().unwrap() {
        "token" | "string" => "x",
        "date" => "2020-01",
        "reference" => "Patient/1",
        "quantity" | "number" => "1",
        "uri" => "http://example.org/x",
        "composite" | "special" => return None,
        other => panic!("a parameter of type {other}"),
    };
    Some(format!("{}={value}", parameter["name"].as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listed_interaction_works() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let rest = a.get("metadata").await.expect(200).json()["rest"][0].clone();
    for resource in rest["resource"].as_array().unwrap() {
        let codes: Vec<&str> = resource["interaction"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
        for code in &codes {
            check_interaction(&a, resource["type"].as_str().unwrap(), code).await;
        }
        assert!(!codes.contains(&"patch"));
        let operations: Vec<&str> = resource["operation"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let own: &[&str] = match resource["type"].as_str().unwrap() {
            "Patient" => &["everything", "match", "golden-record", "disclosures", "consent-decide", "break-glass"],
            "Consent" => &["consent-decide", "fileConsent", "revokeConsent"],
            "Task" => &["pending", "sign-off"],
            _ => &[],
        };
        assert_eq!(operations, [&["validate", "receipt", "provenance-trail", "erase"], own].concat());
    }
    let system: Vec<&str> = rest["interaction"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(system, ["transaction", "batch", "history-system"]);
    for kind in ["transaction", "batch"] {
        a.post("", &json!({"resourceType": "Bundle", "type": kind})).await.expect(200);
    }
    a.get("_history").await.expect(200);
    for operation in rest["operation"].as_array().unwrap() {
        let path = format!("${}", operation["name"].as_str().unwrap());
        a.post(&path, &patient("1")).await.expect(200);
    }
}

/// An interaction that is offered is never answered as not supported, whatever else may be wrong with the request.
async fn check_interaction(party: &Party, type_name: &str, code: &str) {
    let empty = json!({"resourceType": type_name, "id": "frob"});
    let call = match code {
        "read" => Call::get(&format!("{type_name}/frob")),
        "vread" => Call::get(&format!("{type_name}/frob/_history/1")),
        "update" => Call::put(&format!("{type_name}/frob"), &empty),
        "delete" => Call::delete(&format!("{type_name}/frob")),
        "history-instance" => Call::get(&format!("{type_name}/frob/_history")),
        "history-type" => Call::get(&format!("{type_name}/_history")),
        "create" => Call::post(type_name, &empty),
        "search-type" => Call::get(type_name),
        other => panic!("{type_name} lists {other}"),
    };
    let answer = party.call(call).await;
    let understood = matches!(answer.status, 200 | 201 | 204 | 404 | 410 | 422);
    assert!(understood, "{type_name} {code}: {} {}", answer.status, answer.text());
}
