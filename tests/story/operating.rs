//! What an operator relies on: health, metrics, TLS, HTTP/2, limits, and a development mode that stays at home.

use crate::support::data::patient;
use crate::support::process::Site;
use crate::support::{Call, Party, Setup, World, until};
use hearthgate::config::{BaseUrl, Tls};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_are_told_on_a_listener_of_their_own() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    a.create(&patient("1")).await;
    a.get("Patient/nobody").await.expect(404);
    a.call(Call::new("FROB", "Patient")).await.expect(405);
    let admin = async |path: &str| world.stranger().call(Call::get(&format!("{}{path}", world.admin))).await;
    assert_eq!(admin("/health/live").await.expect(200).text(), "live\n");
    assert_eq!(admin("/health/ready").await.expect(200).text(), "ready\n");
    let metrics = admin("/metrics").await.expect(200).text();
    for name in [
        "hearthgate_requests_total{method=\"POST\",status=\"201\"}",
        "hearthgate_requests_total{method=\"other\",status=\"405\"}",
        "hearthgate_refusals_total{reason=\"not-found\"}",
        "hearthgate_store_units_total",
        "hearthgate_store_syncs_total",
        "hearthgate_ledger_size",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    for word in ["Moor", "nobody", "FROB", "hospital-a"] {
        assert!(!metrics.contains(word), "{word} is in the metrics");
    }
    // Neither is told to the world.
    for path in ["/metrics", "/health/ready", "/health/live"] {
        world.stranger().call(Call::get(&format!("{}{path}", world.origin))).await.expect(404);
    }
    admin("/fhir/metadata").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_http_2_are_spoken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/story/tls");
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(folder.join("certificate.pem")).unwrap()).unwrap();
    let world = Setup::adjusted(move |settings| {
        settings.server.tls = Some(Tls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") });
        settings.server.base_url = Some(BaseUrl::parse("https://localhost:1").unwrap());
    })
    .start()
    .await;
    let client = |builder: reqwest::ClientBuilder| builder.no_proxy().tls_certs_only([certificate.clone()]).build().unwrap();
    let url = format!("https://localhost:{}/fhir/metadata", world.running.public.port());
    for (version, client) in [
        (reqwest::Version::HTTP_2, client(reqwest::Client::builder())),
        (reqwest::Version::HTTP_11, client(reqwest::Client::builder().http1_only())),
    ] {
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    // Who does not know the certificate gets nothing, and nor does plain HTTP.
    assert!(world.stranger().http.get(&url).send().await.is_err());
    assert!(world.stranger().http.get(url.replace("https", "http")).send().await.is_err_and(|error| !error.is_timeout()));

    // Without TLS, HTTP/2 is there for whoever knows.
    let plain = World::start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("{}/fhir/metadata", plain.origin)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_compressed_for_who_asks() {
    let world = World::start().await;
    let plain = world.stranger().get("metadata").await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    let zipped = world.stranger().call(Call::get("metadata").header("accept-encoding", "gzip")).await.expect(200);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(zipped.bytes.len() * 4 < plain.bytes.len());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&zipped.bytes[..]), &mut text).unwrap();
    assert_eq!(text, plain.text());
}

/// A request whose body never comes.
async fn send_slowly(address: &str) -> tokio::net::TcpStream {
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /fhir/Patient HTTP/1.1\r\nhost: {address}\r\ncontent-length: 10\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_at_once_is_turned_away() {
    let world = Setup::adjusted(|settings| settings.server.max_concurrent_requests = 2).start().await;
    let a = world.party("hospital-a").await;
    let address = world.origin.strip_prefix("http://").unwrap().to_owned();
    let slow = std::sync::Mutex::new(Vec::new());
    // Whoever comes while two are at it is turned away, a slow one too: so slow ones come until they are the two.
    let refused = until("a refusal", async || {
        let one = send_slowly(&address).await;
        slow.lock().unwrap().push(one);
        Some(a.get("Patient").await).filter(|answer| answer.status == 503)
    })
    .await;
    assert_eq!(refused.issue(), "transient");
    assert!(refused.header("retry-after").is_some() && refused.header("x-request-id").is_some());
    // When the others are gone it is answered again.
    drop(slow);
    until("an answer", async || (a.get("Patient").await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn development_tokens_are_for_this_machine_and_loudly_so() {
    let site = Site::new("");
    let _process = site.start_with(&["--dev"]).await;
    assert!(site.log().contains("DEVELOPMENT MODE"), "{}", site.log());
    let stranger = Party { http: crate::support::world::http_client(), origin: site.origin.clone(), token: None };
    let ask = |form: &str| Call::new("POST", &format!("{}/auth/dev-token", site.origin)).form(form);
    let token = stranger.call(ask("client_id=hospital-a")).await.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let a = Party { token: Some(token), ..stranger.clone() };
    a.create(&patient("1")).await;
    stranger.call(ask("client_id=nobody")).await.expect(403);
    // What came through a proxy is not from this machine, whatever the connection says.
    stranger.call(ask("client_id=hospital-a").header("x-forwarded-for", "203.0.113.9")).await.expect(403);
    stranger.call(ask("client_id=hospital-a").header("forwarded", "for=203.0.113.9")).await.expect(403);
    tokio::time::sleep(Duration::from_millis(1)).await;
}
