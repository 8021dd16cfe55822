//! Where key sets come from: files, and a server on loopback that can misbehave.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A key set server on loopback: answers every connection with the current answer, and counts them.
struct KeyServer {
    url: String,
    answer: Arc<std::sync::Mutex<String>>,
    served: Arc<AtomicUsize>,
    /// While it is set, connections are accepted and not answered.
    is_held: Arc<AtomicBool>,
}

fn key_server(answer: String) -> KeyServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json?tenant=1", listener.local_addr().unwrap());
    let (answer, served) = (Arc::new(std::sync::Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
    let is_held = Arc::new(AtomicBool::new(false));
    let (shared, counter, gate) = (Arc::clone(&answer), Arc::clone(&served), Arc::clone(&is_held));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            counter.fetch_add(1, Ordering::SeqCst);
            while gate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let answer = shared.lock().unwrap().clone();
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    KeyServer { url, answer, served, is_held }
}

fn http_answer(status: &str, extra: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n{body}", body.len())
}

#[tokio::test]
async fn key_sets_are_fetched_kept_and_fetched_anew_for_a_new_key() {
    let server = key_server(http_answer("200 OK", "", &EC_KEY.public_jwks));
    let gateway = gateway("rotation", Some(&server.url), false);
    let ask = async |key: &Key, key_id: &str, jti: &str| {
        let now = u64::try_from(gateway.time.clock().now().seconds()).unwrap();
        let claims = claims().with("jti", jti).with("iat", now).with("exp", now + 60);
        let token = jws::sign(&header().with("kid", key_id).into(), &claims.into(), &key.signing).unwrap();
        gateway.identity.token(&request(&token, "system/Observation.rs")).await.map_err(|error| error.label)
    };
    assert!(ask(&EC_KEY, "key-1", "a").await.is_ok());
    assert!(ask(&EC_KEY, "key-1", "b").await.is_ok());
    assert_eq!(server.served.load(Ordering::SeqCst), 1, "the set is kept");

    let new_key = new_key(SigningAlgorithm::Es384, "key-2");
    *server.answer.lock().unwrap() = http_answer("200 OK", "", &new_key.public_jwks);
    for index in 0..50 {
        assert_eq!(ask(&new_key, &format!("flood-{index}"), "c").await.unwrap_err(), "unproven");
    }
    assert_eq!(server.served.load(Ordering::SeqCst), 1, "a flood of key ids does not make us fetch");

    gateway.time.advance(Duration::from_secs(60));
    assert!(ask(&new_key, "key-2", "d").await.is_ok(), "the new key is found once the interval is over");
    assert_eq!(ask(&EC_KEY, "key-1", "e").await.unwrap_err(), "unproven", "the old key is gone");
    assert_eq!(server.served.load(Ordering::SeqCst), 2);

    *server.answer.lock().unwrap() = http_answer("500 Internal Server Error", "", "");
    gateway.time.advance(Duration::from_secs(599));
    assert!(ask(&new_key, "key-2", "f").await.is_ok(), "an outage is bridged");
    gateway.time.advance(Duration::from_secs(1));
    assert_eq!(ask(&new_key, "key-2", "g").await.unwrap_err(), "temporarily_unavailable", "but not for ever");
}

#[tokio::test]
async fn key_sets_that_cannot_be_fetched() {
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(70_000));
    let elsewhere = key_server(http_answer("200 OK", "", &EC_KEY.public_jwks));
    let cases = [
        ("error", http_answer("404 Not Found", "", &EC_KEY.public_jwks)),
        ("redirect", http_answer("302 Found", &format!("Location: {}\r\n", elsewhere.url), "")),
        ("html", http_answer("200 OK", "", "<html></html>")),
        ("huge", http_answer("200 OK", "", &huge)),
        ("torn", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_owned()),
        ("not http", "hello\r\n\r\n".to_owned()),
        ("silent", String::new()),
    ];
    for (name, answer) in cases {
        let server = key_server(answer);
        let gateway = gateway(name, Some(&server.url), false);
        let error = gateway.identity.token(&request(&signed(header(), claims()), "system/*.rs")).await.unwrap_err();
        assert_eq!((error.error, error.status()), (OAuthErrorCode::TemporarilyUnavailable, 503), "{name}");
    }
    assert_eq!(elsewhere.served.load(Ordering::SeqCst), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_key_set_file_is_read_again_for_a_new_key() {
    let gateway = gateway("file", None, false);
    let ask = async |token: &str| gateway.identity.token(&request(token, "system/Observation.rs")).await.map_err(|error| error.label);
    assert!(ask(&signed(header(), claims())).await.is_ok());
    let new_key = new_key(SigningAlgorithm::Es384, "key-2");
    std::fs::write(gateway.directory.join("laboratory.jwks.json"), &new_key.public_jwks).unwrap();
    let token = |jti: &str| {
        let claims = claims().with("jti", jti);
        jws::sign(&header().with("kid", "key-2").into(), &claims.into(), &new_key.signing).unwrap()
    };
    assert_eq!(ask(&token("a")).await.unwrap_err(), "unproven");
    gateway.time.advance(Duration::from_secs(60));
    assert!(ask(&token("b")).await.is_ok());
}

#[test]
fn key_files_are_checked_for_what_they_are() {
    let full = Settings::load(&repository().join("fixtures/config/full/hearthgate.toml")).unwrap();
    let found: Vec<String> =
        check_key_files(&full).unwrap_err().problems.iter().map(|problem| format!("{} {}", problem.section, problem.key)).collect();
    assert_eq!(found, ["[[client]] \"hospital\" jwks_file", "[[holder]] \"smart\" auth.key_file"]);
    assert_eq!(check_key_files(&Settings::load(&repository().join("deploy/hearthgate.example.toml")).unwrap()), Ok(()));
}

/// Somebody who names a client and an unknown key has its set read again. Meanwhile the client itself must not have to wait.
#[tokio::test]
async fn known_keys_are_found_while_the_set_is_read_again() {
    let server = key_server(http_answer("200 OK", "", &EC_KEY.public_jwks));
    let gateway = gateway("waiting", Some(&server.url), false);
    let ask = async |key_id: &str, jti: &str| {
        let now = u64::try_from(gateway.time.clock().now().seconds()).unwrap();
        let token = signed(header().with("kid", key_id), claims().with("jti", jti).with("exp", now + 60));
        gateway.identity.token(&request(&token, "system/Observation.rs")).await.map_err(|error| error.label)
    };
    assert!(ask("key-1", "a").await.is_ok());
    gateway.time.advance(Duration::from_secs(60));
    server.is_held.store(true, Ordering::SeqCst);
    let stranger = ask("key-2", "b");
    tokio::pin!(stranger);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut stranger).await.is_err(), "the reading is under way");
    assert!(ask("key-1", "c").await.is_ok());
    server.is_held.store(false, Ordering::SeqCst);
    assert_eq!(stranger.await.unwrap_err(), "unproven");
}
