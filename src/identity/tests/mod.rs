//! What the tests of the room share: keys drawn once, an assertion as it should be, and a gateway with one client.

mod assertions;
mod key_sets;
mod tokens;

use super::*;
use crate::clock::{Instant, ScriptedTime};
use crate::config::SigningAlgorithm;
use crate::fhir::Object;
use std::path::PathBuf;
use std::sync::LazyLock;

const TOKEN_ENDPOINT: &str = "https://gateway.example.org/auth/token";
const NOW_S: i64 = 1_795_178_096;

struct Key {
    signing: SigningKey,
    public_jwks: String,
}

fn new_key(algorithm: SigningAlgorithm, id: &str) -> Key {
    let generated = generate_key(algorithm, id).unwrap();
    Key { signing: SigningKey::from_pem(&generated.private_pem, algorithm).unwrap(), public_jwks: generated.public_jwks }
}

static EC_KEY: LazyLock<Key> = LazyLock::new(|| new_key(SigningAlgorithm::Es384, "key-1"));
static RSA_KEY: LazyLock<Key> = LazyLock::new(|| new_key(SigningAlgorithm::Rs384, "key-1"));

fn start() -> Instant {
    Instant::from_seconds(NOW_S)
}

fn header() -> Object {
    Object::new().with("alg", "ES384").with("kid", "key-1").with("typ", "JWT")
}

fn seconds(offset: i64) -> u64 {
    u64::try_from(NOW_S + offset).unwrap()
}

fn claims() -> Object {
    Object::new()
        .with("iss", "laboratory")
        .with("sub", "laboratory")
        .with("aud", TOKEN_ENDPOINT)
        .with("exp", seconds(120))
        .with("iat", seconds(0))
        .with("jti", "one")
}

fn signed(header: Object, claims: Object) -> String {
    jws::sign(&header.into(), &claims.into(), &EC_KEY.signing).unwrap()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

struct Gateway {
    identity: Identity,
    time: ScriptedTime,
    directory: PathBuf,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A gateway whose client `laboratory` signs with [`EC_KEY`], its key set in a file or behind a URL.
fn gateway(name: &str, jwks_url: Option<&str>, dev: bool) -> Gateway {
    let directory = std::env::temp_dir().join(format!("hearthgate-identity-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("laboratory.jwks.json"), &EC_KEY.public_jwks).unwrap();
    let keys = jwks_url.map_or_else(|| "jwks_file = \"laboratory.jwks.json\"".to_owned(), |url| format!("jwks_url = \"{url}\""));
    let text = format!(
        r#"
        [server]
        base_url = "https://gateway.example.org"
        [identity]
        jwks_max_age_s = 600
        jwks_min_interval_s = 60
        [source.laboratory]
        organisation = {{ reference = "Organization/laboratory" }}
        [[client]]
        id = "laboratory"
        organisation = {{ reference = "Organization/laboratory" }}
        {keys}
        scopes = "system/Observation.cruds system/Patient.rs"
        purposes = ["TREAT", "PUBHLTH"]
        source = "laboratory"
        roles = ["regulator"]
        "#
    );
    let mut settings = Settings::from_toml(&text, &directory).unwrap();
    if dev {
        settings.enable_dev().unwrap();
    }
    let time = ScriptedTime::starting_at(start());
    let registry = Arc::new(Registry::new(&settings, str::to_owned));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let replay = Arc::new(ReplayGuard::new());
    let identity = Identity::new(&settings, registry, replay, http_client().unwrap(), time.clock(), Entropy::seeded(1)).unwrap();
    Gateway { identity, time, directory }
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn request(assertion: &str, scope: &str) -> Vec<(String, String)> {
    form(&token_request_form(assertion, scope))
}
