//! Several gateways that share a Redis know of each other's used assertions; without it each still knows its own.
//!
//! Needs a `redis-server` on the path; says so and is skipped where there is none.

use crate::support::keys::{KEY_ID, private_key};
use crate::support::{Folder, Setup, World, until};
use hearthgate::clock::Clock;
use hearthgate::config::{BaseUrl, Redis};
use hearthgate::identity::{AssertionClaims, make_client_assertion};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// The address both gateways are known by.
const ENDPOINT: &str = "http://127.0.0.1:1/auth/token";

/// A Redis of the test's own; ended when it is dropped.
struct Server(Child, u16);

impl Server {
    fn start(folder: &Folder) -> Option<Server> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        let child = command.arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        Some(Server(child, port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn gateway(port: u16) -> World {
    let redis = Redis { url: format!("redis://127.0.0.1:{port}/0"), password_file: None };
    Setup::adjusted(move |settings| {
        settings.redis = Some(redis);
        settings.identity.token_endpoint = Some(BaseUrl::parse(ENDPOINT).unwrap());
    })
    .start()
    .await
}

fn assertion(jti: &str) -> String {
    let claims = AssertionClaims { client_id: "hospital-a", key_id: KEY_ID, audience: ENDPOINT, jti, now: Clock::system().now() };
    make_client_assertion(&private_key("hospital-a"), claims).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_used_at_one_gateway_is_used_at_all() {
    let folder = Folder::new("redis");
    let Some(server) = Server::start(&folder) else {
        println!("skipped: there is no redis-server here");
        return;
    };
    let port = server.1;
    until("Redis to listen", || async move { TcpStream::connect(("127.0.0.1", port)).ok() }).await;
    let (first, second) = (gateway(port).await, gateway(port).await);
    let scope = "system/Patient.r";
    let shared = assertion("shared-1");
    first.send_assertion(&shared, scope).await.expect(200);
    assert_eq!(second.send_assertion(&shared, scope).await.json()["error"], "invalid_client");
    assert_eq!(first.send_assertion(&shared, scope).await.json()["error"], "invalid_client");
    second.send_assertion(&assertion("shared-2"), scope).await.expect(200);

    // Redis goes away: nobody is kept out, and what a gateway has seen itself it still refuses.
    drop(server);
    let alone = assertion("shared-3");
    first.send_assertion(&alone, scope).await.expect(200);
    assert_eq!(first.send_assertion(&alone, scope).await.json()["error"], "invalid_client");
    second.send_assertion(&alone, scope).await.expect(200);
    assert_eq!(second.send_assertion(&alone, scope).await.json()["error"], "invalid_client");
}
