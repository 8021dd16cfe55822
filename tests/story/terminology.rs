//! A terminology server that is asked before a resource is accepted.

use crate::support::data::patient;
use crate::support::world::Setup;
use crate::support::{Call, World};
use axum::Router;
use axum::body::Bytes;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A server that knows one code of every system, and what it was asked..
async fn server(asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/r4", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |body: Bytes| async move {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let is_known = body.contains(r#""known""#);
        asked.lock().unwrap().push(body);
        json!({"resourceType": "Parameters", "parameter": [{"name": "result", "valueBoolean": is_known}]}).to_string()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

async fn asking(base: &str) -> World {
    let base = base.to_owned();
    Setup::adjusted(move |settings| {
        settings.sources.get_mut("hospital-a").unwrap().validate.ask_terminology = true;
        settings.terminology = Some(toml::from_str(&format!("url = \"{base}\"\ntimeout_ms = 500")).unwrap());
    })
    .start()
    .await
}

/// A patient whose marital status is from a system that the gateway does not have.
fn married(number: &str, code: &str) -> Value {
    let mut patient = patient(number);
    patient["maritalStatus"] = json!({"coding": [{"system": "http://example.org/states", "code": code}]});
    patient
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_are_asked_about_before_a_resource_is_accepted() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let world = asking(&server(Arc::clone(&asked)).await).await;
    let a = world.party("hospital-a").await;
    a.post("Patient", &married("1", "known")).await.expect(201);
    let refused = a.post("Patient", &married("2", "odd")).await.expect(422);
    assert!(refused.text().contains("Patient.maritalStatus.coding[0].code"), "{}", refused.text());
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().any(|body| body.contains("http://example.org/states")), "{asked:?}");
    let name = patient("1")["name"][0]["family"].as_str().unwrap().to_owned();
    assert!(asked.iter().all(|body| !body.contains(&name)), "nothing but codes is sent: {asked:?}");
    // Another source does not ask.
    world.party("hospital-b").await.post("Patient", &married("3", "odd")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_stops_nothing_and_is_said() {
    let world = asking("http://127.0.0.1:9/r4").await;
    let a = world.party("hospital-a").await;
    let call = Call::post("Patient", &married("1", "known")).header("prefer", "return=OperationOutcome");
    let accepted = a.call(call).await.expect(201);
    assert!(accepted.text().contains("TERMINOLOGY_SERVER_AWAY"), "{}", accepted.text());
}
