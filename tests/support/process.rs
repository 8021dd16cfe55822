//! The gateway as a process of its own, for what can only be tried on one: killing it, stopping it, starting two.

use super::folder::Folder;
use super::party::{Answer, Call, Party};
use super::world::{configuration, escape, http_client, write_key_sets};
use super::{PATIENCE, keys};
use hearthgate::clock::Clock;
use hearthgate::identity::{AssertionClaims, make_client_assertion, token_request_form};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a process gets to finish what is under way.
pub const DRAIN_MS: u64 = 1500;

/// Where a gateway process lives: its folder and its ports, the same at every start.
pub struct Site {
    pub folder: Folder,
    pub origin: String,
    pub admin: String,
    pub config: PathBuf,
    pub http: reqwest::Client,
}

impl Site {
    /// A site with the usual parties. Tokens outlive a restart, because their key lies in a file.
    pub fn new(more: &str) -> Site {
        let folder = Folder::new("site");
        write_key_sets(&folder);
        folder.write("token.key", &"k".repeat(48));
        let (public, admin) = (free_port(), free_port());
        let server =
            format!("[server]\nlisten = \"127.0.0.1:{public}\"\nadmin_listen = \"127.0.0.1:{admin}\"\ndrain_timeout_ms = {DRAIN_MS}\n");
        let rest = configuration(more).replace("[identity]\n", "[identity]\ntoken_key_file = \"token.key\"\n");
        let config = folder.write("gateway.toml", &format!("{server}{rest}"));
        let origin = |port| format!("http://127.0.0.1:{port}");
        Site { folder, origin: origin(public), admin: origin(admin), config, http: http_client() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("hearthgate-data")
    }

    /// Starts the gateway without waiting for it.
    pub fn spawn(&self) -> Process {
        self.spawn_with(&[])
    }

    fn spawn_with(&self, arguments: &[&str]) -> Process {
        self.spawn_dying(arguments, "")
    }

    fn spawn_dying(&self, arguments: &[&str], step: &str) -> Process {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearthgate"));
        command.arg("serve").arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("HEARTHGATE_DIE_AT", step);
        Process(command.spawn().unwrap())
    }

    /// Starts the gateway and waits until it is ready.
    pub async fn start(&self) -> Process {
        self.start_with(&[]).await
    }

    /// The same with switches.
    pub async fn start_with(&self, arguments: &[&str]) -> Process {
        self.until_ready(self.spawn_with(arguments)).await
    }

    /// Starts a gateway that will die when it reaches a step (`src/killpoint.rs`), which may be before it is ready.
    pub async fn start_dying_at(&self, step: &str) -> Process {
        self.until_ready_or_ended(self.spawn_dying(&[], step)).await.0
    }

    async fn until_ready(&self, process: Process) -> Process {
        let (process, ended) = self.until_ready_or_ended(process).await;
        assert!(ended.is_none(), "the gateway does not start: {ended:?}\n{}", self.log());
        process
    }

    async fn until_ready_or_ended(&self, mut process: Process) -> (Process, Option<ExitStatus>) {
        let start = Instant::now();
        let ready = format!("{}/health/ready", self.admin);
        loop {
            if self.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
                return (process, None);
            }
            if let Some(ended) = process.0.try_wait().unwrap() {
                return (process, Some(ended));
            }
            assert!(start.elapsed() < PATIENCE, "the gateway does not start\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the gateway said on standard error, over all starts.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub async fn party(&self, client: &str) -> Party {
        self.party_with(client, "system/*.cruds").await
    }

    pub async fn party_with(&self, client: &str, scope: &str) -> Party {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let stranger = Party { http: self.http.clone(), origin: self.origin.clone(), token: None };
        let audience = format!("{}/auth/token", self.origin);
        let jti = format!("site-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let claims =
            AssertionClaims { client_id: client, key_id: keys::KEY_ID, audience: &audience, jti: &jti, now: Clock::system().now() };
        let assertion = make_client_assertion(&keys::private_key(client), claims).unwrap();
        let form = token_request_form(&assertion, scope);
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let answer: Answer = stranger.call(Call::new("POST", &audience).form(&form.join("&"))).await.expect(200);
        Party { token: Some(answer.json()["access_token"].as_str().unwrap().to_owned()), ..stranger }
    }

    pub async fn verifier_key(&self) -> String {
        self.http.get(format!("{}/ledger/key", self.origin)).send().await.unwrap().text().await.unwrap()
    }

    pub async fn checkpoint(&self) -> Option<String> {
        self.http.get(format!("{}/ledger/checkpoint", self.origin)).send().await.ok()?.text().await.ok()
    }
}

/// A running gateway; killed when it is dropped.
pub struct Process(Child);

impl Process {
    /// Ends it without any warning (SIGKILL).
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM), without waiting.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to read its configuration again (SIGHUP), without waiting.
    pub fn hang_up(&self) {
        let sent = Command::new("kill").arg("-HUP").arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, for so long.
    pub async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < within {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the command line once.
pub fn hearthgate(arguments: &[&str], folder: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hearthgate")).args(arguments).current_dir(folder).output().unwrap()
}

/// The same, to die when it reaches a step.
pub fn hearthgate_dying_at(step: &str, arguments: &[&str], folder: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hearthgate")).args(arguments).env("HEARTHGATE_DIE_AT", step).current_dir(folder).output().unwrap()
}

/// A port nobody listens on now; a gateway at a known port can be started again where its clients expect it.
///
/// It lies below the range from which systems take ports for outgoing connections, so that none of those stands in the way of a restart.
fn free_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = 20_000 + u64::from(std::process::id() % 100) * 100;
    let mut candidates = (0..100).map(|_| u16::try_from(own + NEXT.fetch_add(1, Ordering::Relaxed) % 100).unwrap());
    candidates.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}
