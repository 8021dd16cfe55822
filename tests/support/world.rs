//! A gateway that runs in this process, and the parties that are registered with it.

use super::folder::Folder;
use super::keys::{KEY_ID, private_key, public_key_set};
use super::party::{Answer, Call, Party};
use hearthgate::clock::{Clock, Entropy, ScriptedTime};
use hearthgate::config::Settings;
use hearthgate::identity::{AssertionClaims, make_client_assertion, token_request_form};
use hearthgate::ledger::{Policy, VerifierKey};
use hearthgate::outcome::Fault;
use hearthgate::wire::{Gateway, Listeners, Running};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Who is registered: two hospitals, a laboratory that pushes, a health department that may only look at the accounting.
pub const PARTIES: &str = r#"
[source.hospital-a]
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "hospital-a" }, name = "Hospital A" }
base_urls = ["https://ehr.hospital-a.example/fhir"]

[source.hospital-b]
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "hospital-b" }, name = "Hospital B" }

[source.laboratory]
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "laboratory" }, name = "Laboratory" }

[[client]]
id = "hospital-a"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "hospital-a" }, name = "Hospital A" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/*.cruds"
purposes = ["TREAT", "HPAYMT"]
source = "hospital-a"
files_consent = true

[[client]]
id = "hospital-b"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "hospital-b" }, name = "Hospital B" }
jwks_file = "hospital-b.jwks.json"
scopes = "system/*.cruds"
purposes = ["TREAT", "HPAYMT"]
source = "hospital-b"

[[client]]
id = "laboratory"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "laboratory" }, name = "Laboratory" }
jwks_file = "laboratory.jwks.json"
scopes = "system/*.cruds"
purposes = ["TREAT"]
source = "laboratory"

[[client]]
id = "health-department"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "health-department" }, name = "Health Department" }
jwks_file = "health-department.jwks.json"
scopes = "system/Provenance.rs system/AuditEvent.rs"
purposes = ["PUBHLTH"]
roles = ["regulator"]

[[client]]
id = "operator"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "operator" }, name = "Operator" }
jwks_file = "operator.jwks.json"
scopes = "system/*.rs"
purposes = ["HOPERAT"]
roles = ["operator"]
"#;

/// The log's name in every test.
pub const ORIGIN: &str = "gateway.test/log";
/// One value of this system is one person.
pub const PERSON: &str = "http://hl7.org/fhir/sid/us-ssn";

const CLIENTS: [&str; 5] = ["hospital-a", "hospital-b", "laboratory", "health-department", "operator"];

/// A client that may break the glass, to be added to the configuration.
pub const EMERGENCY: &str = r#"
[[client]]
id = "emergency"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "emergency" }, name = "Emergency Department" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/*.rs"
purposes = ["TREAT", "BTG"]
roles = ["break-glass"]
"#;

/// A client that may erase, to be added to the configuration.
pub const OFFICER: &str = r#"
[[client]]
id = "officer"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "officer" }, name = "Officer" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/Patient.r"
purposes = ["TREAT"]
roles = ["eraser"]
"#;

/// The text of a configuration with the usual parties, listening where the system chooses.
pub fn configuration(more: &str) -> String {
    let own = format!("[ledger]\norigin = \"{ORIGIN}\"\n[identity]\nperson_identifier_systems = [\"{PERSON}\"]\n");
    format!("{own}\n{PARTIES}\n{more}")
}

/// Puts what the configuration names into a folder.
pub fn write_key_sets(folder: &Folder) {
    for client in CLIENTS {
        folder.write(&format!("{client}.jwks.json"), public_key_set(client));
    }
}

type Prepare = Box<dyn FnOnce(&Folder)>;
type Adjust = Box<dyn FnOnce(&mut Settings)>;

/// How a world differs from the usual one.
#[derive(Default)]
pub struct Setup {
    more: String,
    time: Option<ScriptedTime>,
    adjust: Option<Adjust>,
    prepare: Option<Prepare>,
    seed: Option<u64>,
}

impl Setup {
    /// More sections for the configuration: holders, destinations.
    pub fn configured(more: impl Into<String>) -> Setup {
        Setup { more: more.into(), ..Setup::default() }
    }

    pub fn adjusted(adjust: impl FnOnce(&mut Settings) + 'static) -> Setup {
        Setup { adjust: Some(Box::new(adjust)), ..Setup::default() }
    }

    /// The same with settings that are changed once they are read.
    pub fn with(mut self, adjust: impl FnOnce(&mut Settings) + 'static) -> Setup {
        self.adjust = Some(Box::new(adjust));
        self
    }

    /// Lays more into the folder before the gateway starts.
    pub fn prepared(mut self, prepare: impl FnOnce(&Folder) + 'static) -> Setup {
        self.prepare = Some(Box::new(prepare));
        self
    }

    pub fn at(mut self, time: &ScriptedTime) -> Setup {
        self.time = Some(time.clone());
        self
    }

    /// Keys, and with them ids, are those of every other world of this seed.
    pub fn drawing(mut self, seed: u64) -> Setup {
        self.seed = Some(seed);
        self
    }

    pub async fn start(self) -> World {
        let folder = Folder::new("world");
        write_key_sets(&folder);
        if let Some(prepare) = self.prepare {
            prepare(&folder);
        }
        let mut settings = Settings::from_toml(&configuration(&self.more), folder.path()).unwrap_or_else(|error| panic!("{error}"));
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.admin_listen = "127.0.0.1:0".parse().unwrap();
        if let Some(adjust) = self.adjust {
            adjust(&mut settings);
        }
        let clock = self.time.as_ref().map_or_else(Clock::system, ScriptedTime::clock);
        let entropy = self.seed.map_or_else(Entropy::system, Entropy::seeded);
        World::try_open_drawing(folder, settings, clock, entropy).await.unwrap_or_else(|(_, fault)| panic!("{fault}"))
    }
}

/// A running gateway.
pub struct World {
    pub folder: Folder,
    pub settings: Settings,
    pub origin: String,
    pub admin: String,
    pub running: Running,
    clock: Clock,
    http: reqwest::Client,
}

/// Entries that the log shows together.
const BUNDLE: u64 = 256;

impl World {
    pub async fn start() -> World {
        Setup::default().start().await
    }

    async fn open(folder: Folder, settings: Settings, clock: Clock) -> World {
        World::try_open(folder, settings, clock).await.unwrap_or_else(|(_, fault)| panic!("{fault}"))
    }

    /// Starts a gateway on what another has left; gives the folder back when it refuses to start.
    pub async fn try_open(folder: Folder, settings: Settings, clock: Clock) -> Result<World, (Folder, Fault)> {
        World::try_open_drawing(folder, settings, clock, Entropy::system()).await
    }

    async fn try_open_drawing(folder: Folder, mut settings: Settings, clock: Clock, entropy: Entropy) -> Result<World, (Folder, Fault)> {
        log_when_asked();
        let http = http_client();
        settings.server.listen.set_port(0);
        let listeners = Listeners::bind(&settings).unwrap();
        settings.server.listen = listeners.public_address().unwrap();
        let gateway = match Gateway::build(settings.clone(), clock.clone(), entropy) {
            Ok(gateway) => gateway,
            Err(fault) => return Err((folder, fault)),
        };
        let running = gateway.start(listeners).await.unwrap();
        let (origin, admin) = (format!("http://{}", running.public), format!("http://{}", running.admin));
        Ok(World { folder, settings, origin, admin, running, clock, http })
    }

    /// The entries of the log from a position on, as it shows them to everybody.
    pub async fn entries_from(&self, from: u64) -> Vec<Vec<u8>> {
        let get = async |path: String| self.http.get(format!("{}/ledger/{path}", self.origin)).send().await.unwrap().bytes().await.unwrap();
        let checkpoint = get("checkpoint".to_owned()).await;
        let size: u64 = std::str::from_utf8(&checkpoint).unwrap().lines().nth(1).unwrap().parse().unwrap();
        let mut entries = Vec::new();
        for bundle in from / BUNDLE..size.div_ceil(BUNDLE) {
            let width = (size - bundle * BUNDLE).min(BUNDLE);
            let partial = if width < BUNDLE { format!(".p/{width}") } else { String::new() };
            let bytes = get(format!("tile/entries/{bundle:03}{partial}")).await;
            let mut rest = &bytes[..];
            while let [high, low, after @ ..] = rest {
                let (entry, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                entries.push(entry.to_vec());
                rest = after;
            }
        }
        entries.split_off(usize::try_from(from % BUNDLE).unwrap().min(entries.len()))
    }

    /// Stops the gateway and starts it again on the same folder, at another port.
    pub async fn restart(self, adjust: impl FnOnce(&mut Settings)) -> World {
        let World { folder, mut settings, running, clock, .. } = self;
        running.shut_down().await;
        adjust(&mut settings);
        World::open(folder, settings, clock).await
    }

    /// Stops the gateway; the folder stays until it is dropped.
    pub async fn stop(self) -> (Folder, Settings) {
        self.running.shut_down().await;
        (self.folder, self.settings)
    }

    pub fn data(&self) -> PathBuf {
        self.settings.storage.data_dir.clone()
    }

    /// A file with the key by which the leaves of the log can be read, as `hearthgate ledger leaf-key` prints it.
    pub fn leaf_key_file(&self) -> PathBuf {
        let secret = hearthgate::wire::leaf_secret_of(&self.settings).unwrap();
        let path = self.folder.path().join("leaf.key");
        std::fs::write(&path, data_encoding::HEXLOWER.encode(&secret)).unwrap();
        path
    }

    /// The whole accounting, of all that was answered so far.
    pub async fn audit_events(&self) -> Vec<serde_json::Value> {
        self.running.store.settle().await.unwrap();
        audit_events(&self.data())
    }

    /// Somebody with the token of a registered client, with all it may have.
    pub async fn party(&self, client: &str) -> Party {
        let scope = match client {
            "health-department" => "system/Provenance.rs system/AuditEvent.rs",
            "operator" => "system/*.rs",
            _ => "system/*.cruds",
        };
        self.party_with(client, scope).await
    }

    /// The same with fewer scopes.
    pub async fn party_with(&self, client: &str, scope: &str) -> Party {
        let answer = self.ask_token(client, scope).await.expect(200);
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Party { token: Some(token), ..self.stranger() }
    }

    /// Somebody without a token.
    pub fn stranger(&self) -> Party {
        Party { http: self.http.clone(), origin: self.origin.clone(), token: None }
    }

    pub async fn ask_token(&self, client: &str, scope: &str) -> Answer {
        let assertion = self.assertion(client);
        self.send_assertion(&assertion, scope).await
    }

    pub async fn send_assertion(&self, assertion: &str, scope: &str) -> Answer {
        let form: Vec<String> =
            token_request_form(assertion, scope).iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        self.stranger().call(Call::new("POST", &format!("{}/auth/token", self.origin)).form(&form.join("&"))).await
    }

    /// A client assertion as the client would make it now.
    pub fn assertion(&self, client: &str) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let jti = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let audience = format!("{}/auth/token", self.origin);
        let claims = AssertionClaims { client_id: client, key_id: KEY_ID, audience: &audience, jti: &jti, now: self.clock.now() };
        make_client_assertion(&private_key(client), claims).unwrap()
    }

    /// What the operator's desk answers.
    pub async fn desk(&self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        self.desk_call(Call::new(method, &format!("{}/desk{path}", self.admin)).body("application/json", body.to_string())).await
    }

    /// The same for any call.
    pub async fn desk_call(&self, call: Call) -> Answer {
        let key = std::fs::read_to_string(self.data().join("keys/operator.key")).unwrap();
        Party { token: Some(key.trim().to_owned()), ..self.stranger() }.call(call).await
    }

    /// What somebody who trusts this log's key believes.
    pub fn policy(&self) -> Policy {
        policy(&self.running.verifier_key)
    }
}

pub fn policy(key: &str) -> Policy {
    Policy::of_log(key.trim().parse::<VerifierKey>().unwrap())
}

/// Percent-encodes everything a form or query could misread.
pub fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// With `HEARTHGATE_LOG` set, the gateways in this process say what they do.
fn log_when_asked() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("HEARTHGATE_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
}

pub fn http_client() -> reqwest::Client {
    // Whoever comes first installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// The AuditEvents in the database file of a gateway, newest last. Nobody reads them over HTTP yet without being their subject.
pub fn audit_events(data: &Path) -> Vec<serde_json::Value> {
    documents(data, "AuditEvent")
}

/// The current documents of a type, read from the database file itself.
pub fn documents(data: &Path, type_name: &str) -> Vec<serde_json::Value> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(data.join("data.db"), flags).unwrap();
    let sql = "SELECT v.document FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = ? AND v.document <> '' ORDER BY v.seq";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([type_name], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
}
