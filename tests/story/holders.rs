//! Queries across the systems behind the gateway: merged, in the gateway's words, with the silent ones named.

use crate::support::data::{observation, permit, permit_to, person};
use crate::support::holder::{Behaviour, Holder};
use crate::support::party::ids;
use crate::support::world::PERSON;
use crate::support::{Call, Party, Setup, World};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const TIMEOUT_MS: u64 = 400;

fn configured(name: &str, base: &str) -> String {
    format!(
        "[[holder]]\nname = \"{name}\"\nbase_url = \"{base}\"\nidentifier_systems = [\"{PERSON}\"]\ntimeout_ms = {TIMEOUT_MS}\nbody_limit_bytes = 65536\n\
         organisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"{name}\" }}, name = \"Clinic {name}\" }}\n"
    )
}

/// A record of a holder's: its own id, about its own patient.
fn record(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

struct Scene {
    /// Holds the gateway up.
    world: World,
    b: Party,
    clinic: Holder,
    /// The gateway's id of the patient.
    patient: String,
    own: String,
}

/// Hospital A's patient, known at a clinic under another id, with a measurement here and two there; hospital B asks.
async fn scene(consent: Option<fn(&str) -> Value>) -> Scene {
    let mut low = observation("Patient/77");
    (low["valueQuantity"]["value"], low["effectiveDateTime"]) = (json!(9.1), json!("2026-01-01"));
    let foreign = observation("Patient/78");
    let mut unnamed = observation("Patient/77");
    unnamed.as_object_mut().unwrap().remove("subject");
    let clinic = Holder::start(vec![
        record(person("1"), "77"),
        record(person("2"), "78"),
        record(observation("Patient/77"), "o1"),
        record(low, "o2"),
        record(foreign, "o3"),
        record(unnamed, "o4"),
    ])
    .await;
    let world = Setup::configured(configured("clinic", &clinic.base)).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = a.create(&person("1")).await;
    let own = a.create(&observation(&format!("Patient/{patient}"))).await;
    if let Some(consent) = consent {
        a.create(&consent(&patient)).await;
    }
    Scene { world, b, clinic, patient, own }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_several_holders_come_as_one() {
    let Scene { world, b, clinic, patient, own } = scene(Some(permit)).await;
    let answer = b.get(&format!("Observation?patient={patient}&_sort=date")).await.expect(200);
    let found = answer.matches();
    assert_eq!(found.len(), 3, "{}", answer.text());
    assert_eq!(answer.json()["total"], 3);
    assert_eq!(found[0]["valueQuantity"]["value"], json!(9.1), "in the order asked for, whoever holds what");
    assert!(ids(&found).contains(&own));
    for resource in &found {
        assert_eq!(resource["subject"]["reference"], format!("Patient/{patient}"), "references are the gateway's");
        assert!(resource["id"].as_str().unwrap().starts_with("hg-"), "ids are the gateway's");
    }
    for link in answer.json()["link"].as_array().unwrap() {
        assert!(link["url"].as_str().unwrap().starts_with(&world.origin), "links are the gateway's");
    }
    for entry in answer.json()["entry"].as_array().unwrap() {
        assert!(entry["fullUrl"].as_str().unwrap().starts_with(&format!("{}/fhir/Observation/hg-", world.origin)));
    }
    // What was shown can be read again under its id, wherever it lies.
    for resource in &found {
        let read = b.get(&format!("Observation/{}", resource["id"].as_str().unwrap())).await.expect(200).json();
        assert_eq!(read["valueQuantity"], resource["valueQuantity"]);
        assert_eq!(read["subject"], resource["subject"]);
    }
    // Filters and totals are the gateway's own, whatever the holder made of the parameters.
    let filtered = b.search(&format!("Observation?patient={patient}&value-quantity=lt10")).await;
    assert_eq!(filtered.len(), 1);
    assert!(b.search(&format!("Observation?patient={patient}&code=http://loinc.org|1-1")).await.is_empty());
    let pages = b.get(&format!("Observation?patient={patient}&_count=2")).await.expect(200);
    let rest = b.get(&pages.link("next").unwrap()).await.expect(200);
    assert_eq!((pages.matches().len(), rest.matches().len()), (2, 1));
    // The gateway asked only for this patient, and did not show who wanted to know.
    for seen in clinic.seen() {
        assert!(!seen.path.contains("78") && seen.headers.get("authorization").is_none(), "{}", seen.path);
        assert!(!seen.path.contains(&patient), "the holder is asked in its own words: {}", seen.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consent_nobody_is_even_asked() {
    for consent in [None, Some((|patient: &str| permit_to(patient, "hospital-c")) as fn(&str) -> Value)] {
        let Scene { world: _world, b, clinic, patient, .. } = scene(consent).await;
        let answer = b.get(&format!("Observation?patient={patient}")).await.expect(200);
        assert_eq!((answer.matches().len(), answer.json()["total"].as_u64()), (0, Some(0)));
        assert!(clinic.seen().is_empty(), "asking would have told the clinic, and the time it takes the caller");
        clinic.behave(Behaviour::Status(500));
        let silent = b.get(&format!("Observation?patient={patient}")).await.expect(200);
        assert_eq!(silent.json()["entry"], answer.json()["entry"], "nor is it told who did not answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_fails_is_named_and_the_rest_is_answered() {
    let Scene { world, b, clinic, patient, own } = scene(Some(permit)).await;
    let query = format!("Observation?patient={patient}");
    for behaviour in [
        Behaviour::Hang,
        Behaviour::Status(500),
        Behaviour::Status(401),
        Behaviour::Status(404),
        Behaviour::Html,
        Behaviour::Mislabelled,
        Behaviour::Truncated,
        Behaviour::LoopingLink,
        Behaviour::ForeignLink,
        Behaviour::Huge,
        Behaviour::Redirect,
    ] {
        clinic.behave(behaviour.clone());
        let start = Instant::now();
        let answer = b.get(&query).await.expect(200);
        assert!(start.elapsed() < Duration::from_millis(TIMEOUT_MS * 10), "{behaviour:?}: {:?}", start.elapsed());
        assert_eq!(ids(&answer.matches()), std::slice::from_ref(&own), "{behaviour:?}: {}", answer.text());
        let entries = answer.json()["entry"].as_array().unwrap().clone();
        let outcome =
            entries.iter().find(|entry| entry["search"]["mode"] == "outcome").unwrap_or_else(|| panic!("{behaviour:?}: nobody named"));
        let issue = &outcome["resource"]["issue"][0];
        assert_eq!(issue["code"], "incomplete", "{behaviour:?}");
        assert!(issue["details"]["text"].as_str().unwrap().contains("Clinic clinic"), "{behaviour:?}: {issue}");
        if let Behaviour::Status(status) = behaviour {
            let told = format!("answered with status {status} (");
            let text = issue["details"]["text"].as_str().unwrap();
            assert!(text.contains(&told) && text.contains("an OperationOutcome"), "{text}");
        }
        assert!(
            !answer.text().contains("log in") && !answer.text().contains("169.254"),
            "{behaviour:?}: nothing of its answer is passed on"
        );
    }
    assert!(clinic.seen().iter().all(|seen| seen.headers["accept"] == "application/fhir+json"), "some answer XML to who does not say");
    // It recovers by itself.
    clinic.behave(Behaviour::Honest);
    assert_eq!(b.search(&query).await.len(), 3);
    // One that is not there at all is named just the same.
    drop(world);
    let gone = Setup::configured(configured("clinic", "http://127.0.0.1:9/fhir")).start().await;
    let a = gone.party("hospital-a").await;
    let patient = a.create(&person("1")).await;
    let mine = a.create(&observation(&format!("Patient/{patient}"))).await;
    a.create(&permit(&patient)).await;
    let answer = a.get(&format!("Observation?patient={patient}")).await.expect(200);
    assert_eq!(ids(&answer.matches()), [mine]);
    assert!(answer.text().contains("Clinic clinic could not be reached"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_about_somebody_else_is_withheld() {
    let Scene { world, b, clinic, patient, .. } = scene(Some(permit)).await;
    clinic.behave(Behaviour::Careless);
    let answer = b.get(&format!("Observation?patient={patient}")).await.expect(200);
    let found = answer.matches();
    assert_eq!(found.len(), 3, "a holder that gives every record it has: {found:?}");
    for resource in found {
        assert_eq!(resource["subject"]["reference"], format!("Patient/{patient}"));
    }
    // It is said that it strayed, not what was in it, and counted.
    assert!(answer.text().contains("Clinic clinic sent something that is not a record of the patient asked for"), "{}", answer.text());
    let metrics = world.stranger().call(Call::get(&format!("{}/metrics", world.admin))).await.expect(200).text();
    assert!(metrics.contains("hearthgate_holder_strays_total{holder=\"clinic\"} 1"), "{metrics}");
    clinic.behave(Behaviour::Honest);
    let honest = b.get(&format!("Observation?patient={patient}")).await.expect(200);
    assert!(!honest.text().contains("sent something"), "{}", honest.text());
}

/// `Patient/77` in an entry of another server is that server's patient.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_on_another_server_is_withheld() {
    let Scene { world: _world, b, clinic, patient, .. } = scene(Some(permit)).await;
    clinic.behave(Behaviour::Mixing);
    let answer = b.get(&format!("Observation?patient={patient}")).await.expect(200);
    assert_eq!(answer.matches().len(), 3, "{}", answer.text());
    assert!(answer.text().contains("Clinic clinic sent something that is not a record of the patient asked for"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_is_asked_for_what_it_says_it_can_do() {
    let Scene { world: _world, b, clinic, patient, own } = scene(Some(permit)).await;
    clinic.behave(Behaviour::Stating);
    // A filter it does not know is not sent, and holds all the same.
    let found = b.search(&format!("Observation?patient={patient}&date=lt2026-02-01&status=final")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let searches: Vec<String> =
        clinic.seen().iter().map(|seen| seen.path.clone()).filter(|path| path.starts_with("Observation?")).collect();
    assert_eq!(searches, ["Observation?patient=77"]);
    // A type it does not have is not asked for, and nobody is named for it.
    let answer = b.get(&format!("Condition?patient={patient}")).await.expect(200);
    assert_eq!(answer.json()["total"], 0);
    assert!(clinic.seen().iter().all(|seen| !seen.path.starts_with("Condition")));
    // It is asked what it can do once, and not each time.
    assert_eq!(b.search(&format!("Observation?patient={patient}")).await.len(), 3);
    assert_eq!(clinic.seen().iter().filter(|seen| seen.path == "metadata").count(), 1);
    // What it has shown is read there only if it lets itself be read.
    let held = b
        .search(&format!("Observation?patient={patient}"))
        .await
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .find(|id| *id != own);
    b.get(&format!("Observation/{}", held.unwrap())).await.expect(404);
    assert!(clinic.seen().iter().all(|seen| !seen.path.starts_with("Observation/")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_wants_a_certificate_is_shown_it() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/story/tls");
    let clinic = Holder::start(vec![record(person("1"), "77"), record(observation("Patient/77"), "o1")]).await;
    let address = certified::front(&files, &clinic.base).await;
    let auth = |certificate: &str, key: &str| {
        let file = |name: &str| files.join(name).display().to_string();
        let (certificate, key, ca) = (file(certificate), file(key), file("authority.pem"));
        format!("auth = {{ kind = \"mtls\", certificate_file = \"{certificate}\", key_file = \"{key}\", ca_file = \"{ca}\" }}\n")
    };
    for (auth, is_known) in [
        (auth("client.pem", "client-key.pem"), true),
        // Somebody else's, and none.
        (auth("certificate.pem", "key.pem"), false),
        (String::new(), false),
    ] {
        let section = format!("{}{auth}", configured("clinic", &format!("https://localhost:{}/fhir", address.port())));
        let world = Setup::configured(section).start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let patient = a.create(&person("1")).await;
        a.create(&permit(&patient)).await;
        let before = clinic.seen().len();
        let answer = b.get(&format!("Observation?patient={patient}")).await.expect(200);
        assert_eq!((answer.matches().len(), answer.text().contains("could not be reached")), (usize::from(is_known), !is_known), "{auth}");
        assert_eq!(clinic.seen().len() > before, is_known, "only who is known comes through: {auth}");
    }
}

/// A server that lets in only whoever shows a certificate of its authority's, and passes on to a holder.
mod certified {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::State;
    use axum::http::{Response, Uri};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;

    pub async fn front(files: &Path, base: &str) -> SocketAddr {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(files.join("authority.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let certificate = CertificateDer::from_pem_file(files.join("holder.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(files.join("holder-key.pem")).unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(vec![certificate], key).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state((reqwest::Client::new(), base.trim_end_matches("/fhir").to_owned()));
        let config = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
        tokio::spawn(axum_server::from_tcp_rustls(listener, config).unwrap().serve(router.into_make_service()));
        address
    }

    async fn pass(State((http, base)): State<(reqwest::Client, String)>, uri: Uri) -> Response<Body> {
        let request = http.get(format!("{base}{uri}")).header("accept", "application/fhir+json");
        let body = request.send().await.unwrap().bytes().await.unwrap();
        Response::builder().header("content-type", "application/fhir+json").body(Body::from(body)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_holder_of_five_is_named_and_soon_left_alone() {
    let names = ["clinic-1", "clinic-2", "clinic-3", "clinic-4", "clinic-5"];
    let mut holders = Vec::new();
    for (number, _) in names.iter().enumerate() {
        let mut seen = observation("Patient/77");
        seen["valueQuantity"]["value"] = json!(number + 1);
        holders.push(Holder::start(vec![record(person("1"), "77"), record(seen, &format!("o{number}"))]).await);
    }
    let sections: Vec<String> = names.iter().zip(&holders).map(|(name, holder)| configured(name, &holder.base)).collect();
    let time = hearthgate::clock::ScriptedTime::starting_at(hearthgate::clock::Instant::from_fhir_instant("2026-11-20T12:00:00Z").unwrap());
    let world = Setup::configured(sections.join("\n")).at(&time).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let patient = a.create(&person("1")).await;
    a.create(&permit(&patient)).await;
    let query = format!("Observation?patient={patient}");
    let asked = async || {
        let start = Instant::now();
        let answer = b.get(&query).await.expect(200);
        (answer.matches().len(), answer.text().contains("Clinic clinic-3"), start.elapsed())
    };
    let (found, is_named, _) = asked().await;
    assert_eq!((found, is_named), (5, false));
    holders[2].behave(Behaviour::Hang);
    let mut last = Duration::MAX;
    for round in 0..8 {
        let (found, is_named, took) = asked().await;
        assert_eq!((found, is_named), (4, true), "round {round}: the others complete, the dead one is named");
        assert!(took < Duration::from_millis(TIMEOUT_MS * 5), "round {round}: {took:?}");
        last = took;
    }
    assert!(last < Duration::from_millis(TIMEOUT_MS), "after five failures it is not waited for: {last:?}");
    let calls = holders[2].seen().len();
    asked().await;
    assert_eq!(holders[2].seen().len(), calls, "nor asked");
    holders[2].behave(Behaviour::Honest);
    time.advance(Duration::from_secs(11));
    let answer = b.get(&query).await.expect(200);
    assert_eq!(answer.matches().len(), 5, "after its rest it is asked again: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_asked_for_again_and_the_faster_counts() {
    let Scene { world: _world, b, clinic, patient, .. } = scene(Some(permit)).await;
    let query = format!("Observation?patient={patient}");
    assert_eq!(b.search(&query).await.len(), 3);
    clinic.behave_in_turn([Behaviour::Hang, Behaviour::Honest]);
    let answer = b.get(&query).await.expect(200);
    assert_eq!(answer.matches().len(), 3, "{}", answer.text());
    clinic.behave_in_turn([Behaviour::Status(503), Behaviour::Honest]);
    assert_eq!(b.search(&query).await.len(), 3, "one that was away for a moment is asked again");
}

/// Who asks by what leads to many patients has no way to name fewer: what is here answers, and it is said that nobody else was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_to_many_patients_is_answered_from_what_is_here() {
    let clinic = Holder::start(vec![record(person("3"), "73")]).await;
    let world = Setup::configured(configured("clinic", &clinic.base)).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut patients = Vec::new();
    for number in 1..=9 {
        let patient = a.create(&person(&number.to_string())).await;
        a.create(&permit(&patient)).await;
        a.create(&observation(&format!("Patient/{patient}"))).await;
        patients.push(patient);
    }
    let measured = "Patient?_has:Observation:patient:code=http://loinc.org|718-7";
    for path in [measured, "Observation?patient.gender=female", "Observation?patient.gender=female&code=http://loinc.org|718-7"] {
        let answer = b.get(path).await.expect(200);
        assert_eq!(answer.matches().len(), 9, "{path}");
        assert!(answer.text().contains("no other system was asked"), "{path}: {}", answer.text());
        assert!(clinic.seen().is_empty(), "{path}");
    }
    // Where other conditions leave few, these are asked for.
    for (path, found) in [
        (format!("{measured}&identifier={PERSON}|3"), 1),
        (format!("Observation?patient.gender=female&patient={}", patients[2]), 1),
        (format!("{measured}&_id={}", patients[2]), 1),
    ] {
        let answer = b.get(&path).await.expect(200);
        assert_eq!(answer.matches().len(), found, "{path}");
        assert!(!answer.text().contains("no other system was asked"), "{path}");
        assert!(!clinic.seen().is_empty(), "{path}");
    }
    // Whoever names that many can name fewer.
    b.get(&format!("Observation?patient={}", patients.join(","))).await.expect(413);
}
