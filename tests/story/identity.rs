//! How a client proves who it is, and what it is told when it does not.

use crate::support::keys::{KEY_ID, private_key};
use crate::support::world::escape;
use crate::support::{Call, Setup, World};
use hearthgate::clock::{Clock, Instant, ScriptedTime};
use hearthgate::config::SigningAlgorithm;
use hearthgate::identity::{AssertionClaims, SigningKey, generate_key, make_client_assertion};
use serde_json::{Value, json};
use std::time::Duration;

const ALL: &str = "system/*.cruds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_the_token_endpoint_and_gets_a_token() {
    let world = World::start().await;
    let found = world.stranger().get(".well-known/smart-configuration").await.expect(200);
    assert!(found.header("content-type").unwrap().starts_with("application/json"));
    let document = found.json();
    assert_eq!(document["token_endpoint"], format!("{}/auth/token", world.origin));
    assert_eq!(document["token_endpoint_auth_signing_alg_values_supported"], json!(["RS384", "ES384"]));
    // The laboratory signs with RS384, the hospital with ES384.
    for client in ["laboratory", "hospital-a"] {
        let answer = world.ask_token(client, ALL).await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let token = answer.json();
        assert_eq!((token["token_type"].as_str().unwrap().to_lowercase().as_str(), token["expires_in"].as_u64()), ("bearer", Some(300)));
        assert_eq!(token["scope"], ALL);
    }
    // What is asked for and not registered is not granted; where nothing is left, that is said.
    let some = world.ask_token("health-department", "system/Provenance.rs system/Patient.rs").await.expect(200).json();
    assert_eq!(some["scope"], "system/Provenance.rs");
    assert_eq!(world.ask_token("health-department", "system/Patient.rs").await.expect(400).json()["error"], "invalid_scope");
    assert_eq!(world.ask_token("hospital-a", "frobnicate").await.expect(400).json()["error"], "invalid_scope");
    // There are no development tokens unless the command line asked for them.
    world.stranger().call(Call::new("POST", &format!("{}/auth/dev-token", world.origin)).form("client_id=hospital-a")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_that_proves_nothing_gets_nothing() {
    let world = World::start().await;
    let audience = format!("{}/auth/token", world.origin);
    let stranger = generate_key(SigningAlgorithm::Es384, KEY_ID).unwrap();
    let stranger = SigningKey::from_pem(&stranger.private_pem, SigningAlgorithm::Es384).unwrap();
    let (own, now) = (private_key("hospital-a"), Clock::system().now());
    let made = |key: &SigningKey, claims: AssertionClaims<'_>| make_client_assertion(key, claims).unwrap();
    let claims = |jti: &'static str| AssertionClaims { client_id: "hospital-a", key_id: KEY_ID, audience: &audience, jti, now };
    let sound = world.assertion("hospital-a");
    let parts: Vec<&str> = sound.split('.').collect();
    let cases: Vec<(&str, String)> = vec![
        ("another's key", made(&stranger, claims("1"))),
        ("a client nobody knows", made(&own, AssertionClaims { client_id: "nobody", ..claims("2") })),
        ("another client's name", made(&private_key("laboratory"), claims("3"))),
        ("a key nobody registered", made(&own, AssertionClaims { key_id: "key-2", ..claims("4") })),
        ("for another server", made(&own, AssertionClaims { audience: "https://other.example/token", ..claims("5") })),
        ("expired", made(&own, AssertionClaims { now: now - Duration::from_secs(3600), ..claims("6") })),
        ("not yet valid", made(&own, AssertionClaims { now: now + Duration::from_secs(3600), ..claims("7") })),
        ("no jti", made(&own, claims(""))),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("the algorithm none", format!("{}.{}.", base64(r#"{"alg":"none","kid":"key-1","typ":"JWT"}"#), parts[1])),
        ("a shared secret", format!("{}.{}.{}", base64(r#"{"alg":"HS256","kid":"key-1","typ":"JWT"}"#), parts[1], parts[2])),
        ("a weaker curve", format!("{}.{}.{}", base64(r#"{"alg":"ES256","kid":"key-1","typ":"JWT"}"#), parts[1], parts[2])),
        ("other claims under a signature", format!("{}.{}.{}", parts[0], base64(r#"{"iss":"hospital-b","sub":"hospital-b"}"#), parts[2])),
        ("no token at all", "frobnicate".to_owned()),
        ("nothing", String::new()),
        ("too large", "x".repeat(20_000)),
    ];
    for (why, assertion) in cases {
        let answer = world.send_assertion(&assertion, ALL).await;
        assert_eq!(answer.status, 400, "{why}: {}", answer.text());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(matches!(error.as_str(), "invalid_client" | "invalid_request"), "{why}: {error}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{why}");
    }
    // Whether a client exists is not told: the three that cannot prove themselves are answered alike.
    let text = async |assertion: String| world.send_assertion(&assertion, ALL).await.text();
    let unknown = text(made(&own, AssertionClaims { client_id: "nobody", ..claims("8") })).await;
    assert_eq!(text(made(&stranger, claims("9"))).await, unknown);
    assert_eq!(text(made(&own, AssertionClaims { key_id: "key-2", ..claims("10") })).await, unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_is_good_for_one_token() {
    let world = World::start().await;
    let assertion = world.assertion("hospital-a");
    world.send_assertion(&assertion, ALL).await.expect(200);
    let again = world.send_assertion(&assertion, ALL).await.expect(400);
    assert_eq!(again.json()["error"], "invalid_client");
    // Sent at once from many hands, it is still good for one.
    let assertion = world.assertion("hospital-a");
    let answers = futures_util::future::join_all((0..20).map(|_| world.send_assertion(&assertion, ALL))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);

    // Nor does a restart make the gateway forget. Its address must stay what the assertion names.
    let world =
        Setup::adjusted(|settings| settings.server.base_url = Some(hearthgate::config::BaseUrl::parse("http://127.0.0.1:1").unwrap()))
            .start()
            .await;
    let claims = AssertionClaims {
        client_id: "hospital-a",
        key_id: KEY_ID,
        audience: "http://127.0.0.1:1/auth/token",
        jti: "once",
        now: Clock::system().now(),
    };
    let assertion = make_client_assertion(&private_key("hospital-a"), claims).unwrap();
    world.send_assertion(&assertion, ALL).await.expect(200);
    let world = world.restart(|_| ()).await;
    world.send_assertion(&assertion, ALL).await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_of_a_token_request_is_kept() {
    let world = World::start().await;
    let endpoint = format!("{}/auth/token", world.origin);
    let kind = escape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let whole = |grant: &str, more: &str| {
        let assertion = world.assertion("hospital-a");
        format!("grant_type={grant}&client_assertion_type={kind}&client_assertion={assertion}&scope={}{more}", escape(ALL))
    };
    let stranger = world.stranger();
    for (why, call, error) in [
        ("another grant", Call::new("POST", &endpoint).form(&whole("password", "")), "unsupported_grant_type"),
        ("a secret", Call::new("POST", &endpoint).form(&whole("client_credentials", "&client_secret=x")), "invalid_request"),
        (
            "a parameter twice",
            Call::new("POST", &endpoint).form(&whole("client_credentials", "&grant_type=client_credentials")),
            "invalid_request",
        ),
        (
            "another client beside",
            Call::new("POST", &endpoint).form(&whole("client_credentials", "&client_id=hospital-b")),
            "invalid_client",
        ),
        (
            "a purpose it has not",
            Call::new("POST", &endpoint).form(&whole("client_credentials", "&purpose_of_use=HRESCH")),
            "invalid_request",
        ),
        ("JSON", Call::new("POST", &endpoint).body("application/json", "{}"), "invalid_request"),
        ("nothing", Call::new("POST", &endpoint).form(""), "invalid_request"),
        ("too much", Call::new("POST", &endpoint).form(&"x".repeat(100_000)), "invalid_request"),
    ] {
        let answer = stranger.call(call).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(error)), "{why}: {}", answer.text());
    }
    stranger.call(Call::get(&endpoint)).await.expect(405);
    // A token may be asked for with fewer purposes.
    let granted =
        stranger.call(Call::new("POST", &endpoint).form(&whole("client_credentials", "&purpose_of_use=HPAYMT"))).await.expect(200);
    assert_eq!(granted.json()["purpose_of_use"], "HPAYMT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends() {
    let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap());
    let world = Setup::default().at(&time).start().await;
    let a = world.party("hospital-a").await;
    a.get("Patient").await.expect(200);
    time.advance(Duration::from_secs(299));
    a.get("Patient").await.expect(200);
    time.advance(Duration::from_secs(40));
    let ended = a.get("Patient").await.expect(401);
    assert_eq!(ended.issue(), "expired");
    assert!(ended.header("www-authenticate").is_some());
    world.party("hospital-a").await.get("Patient").await.expect(200);
}

fn base64(text: &str) -> String {
    data_encoding::BASE64URL_NOPAD.encode(text.as_bytes())
}

/// What a caller registers and what a token holds is never written where others read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_assertions_are_not_kept() {
    let world = World::start().await;
    let assertion = world.assertion("hospital-a");
    let token: Value = world.send_assertion(&assertion, ALL).await.expect(200).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    world.stranger().call(Call::get("Patient").header("authorization", &format!("Bearer {token}"))).await.expect(200);
    let (_folder, settings) = world.stop().await;
    let mut pending = vec![settings.storage.data_dir.clone()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in [&token, &assertion] {
                let signature = secret.rsplit('.').next().unwrap().as_bytes();
                assert!(!bytes.windows(signature.len()).any(|window| window == signature), "{} holds a credential", path.display());
            }
        }
    }
}
