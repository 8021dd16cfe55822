//! The key sets of all clients: read or fetched, kept for a while, and read again when a client turns to a new key.
//!
//! However many unknown key ids callers name, a set is read at most once in the configured interval, and by one request at a time. When it cannot be
//! read, the last one serves until it is older than the configured age; after that its client cannot be proved, which is our fault and said so.

use super::jwks::Jwks;
use crate::clock::{Clock, Instant};
use crate::config::{Client, Identity, SigningAlgorithm};
use crate::outcome::{Fault, FaultKind};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Key sets by client id. The clients are fixed when it is built, so hostile client ids cannot make it grow.
pub struct KeySets {
    sets: HashMap<String, KeySet>,
    limits: KeyLimits,
    http: reqwest::Client,
    clock: Clock,
}

struct KeySet {
    place: Place,
    /// Never held across a wait, so that known keys are found at once while somebody else's unknown key id has the set read again.
    kept: RwLock<Kept>,
    /// Held while the set is read: one reading at a time.
    reading: tokio::sync::Mutex<()>,
}

enum Place {
    File(PathBuf),
    Url(String),
}

#[derive(Default)]
struct Kept {
    keys: Option<Arc<Jwks>>,
    read_at: Option<Instant>,
    attempted_at: Option<Instant>,
}

struct KeyLimits {
    bytes: u64,
    max_age: Duration,
    min_interval: Duration,
    timeout: Duration,
}

impl KeySets {
    /// The sets of these clients; none is read yet.
    pub fn new<'a>(clients: impl Iterator<Item = &'a Client>, settings: &Identity, http: reqwest::Client, clock: Clock) -> KeySets {
        let limits = KeyLimits {
            bytes: settings.jwks_limit_bytes,
            max_age: Duration::from_secs(settings.jwks_max_age_s),
            min_interval: Duration::from_secs(settings.jwks_min_interval_s),
            timeout: Duration::from_millis(settings.jwks_timeout_ms),
        };
        let sets = clients.filter_map(|client| {
            Some((client.id.clone(), KeySet { place: place(client)?, kept: RwLock::default(), reading: tokio::sync::Mutex::default() }))
        });
        KeySets { sets: sets.collect(), limits, http, clock }
    }

    /// The keys of a client, read anew where they are old or lack the key that is asked for. `None` for a client that has no key set.
    pub async fn of(&self, client_id: &str, key_id: &str, algorithm: SigningAlgorithm) -> Result<Option<Arc<Jwks>>, Fault> {
        self.having(client_id, |keys| keys.has(key_id, algorithm)).await
    }

    /// The keys of a client that signed something with the key of this id, read anew under the same limits.
    pub async fn for_signature(&self, client_id: &str, key_id: &str) -> Result<Option<Arc<Jwks>>, Fault> {
        self.having(client_id, |keys| keys.signature_keys().iter().any(|key| key.id() == key_id)).await
    }

    async fn having(&self, client_id: &str, has_key: impl Fn(&Jwks) -> bool) -> Result<Option<Arc<Jwks>>, Fault> {
        let Some(set) = self.sets.get(client_id) else { return Ok(None) };
        if set.kept().needs_reading(&has_key, self.clock.now(), &self.limits) {
            let _one_at_a_time = set.reading.lock().await;
            // Whoever was waited for may have read what is wanted.
            if set.kept().needs_reading(&has_key, self.clock.now(), &self.limits) {
                self.read_anew(client_id, set).await;
            }
        }
        match set.kept().usable(self.clock.now(), &self.limits) {
            Some(keys) => Ok(Some(keys)),
            None => Err(Fault::new(FaultKind::Upstream, "the key set of a client cannot be read")),
        }
    }

    async fn read_anew(&self, client_id: &str, set: &KeySet) {
        let now = self.clock.now();
        let read = self.read(&set.place).await;
        // A panic while the lock was held cannot leave what is kept torn, so poison is no reason to refuse everybody.
        let mut kept = set.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.attempted_at = Some(now);
        match read {
            Ok(keys) => (kept.keys, kept.read_at) = (Some(Arc::new(keys)), Some(now)),
            Err(text) => tracing::warn!(client_id, "the key set of a client cannot be read: {text}"),
        }
    }

    async fn read(&self, place: &Place) -> Result<Jwks, String> {
        let text = match place {
            Place::File(path) => read_file(path, self.limits.bytes).await,
            Place::Url(url) => match tokio::time::timeout(self.limits.timeout, fetch(&self.http, url, self.limits.bytes)).await {
                Ok(fetched) => fetched,
                Err(_) => Err("no answer in time".to_owned()),
            },
        }?;
        Jwks::parse(&text).map_err(|error| format!("the key set {error}"))
    }
}

fn place(client: &Client) -> Option<Place> {
    let file = client.jwks_file.clone().map(Place::File);
    file.or_else(|| client.jwks_url.clone().map(Place::Url))
}

impl KeySet {
    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn needs_reading(&self, has_key: impl Fn(&Jwks) -> bool, now: Instant, limits: &KeyLimits) -> bool {
        // A clock that was set back must not stop reading for ever: an attempt in the future counts as none.
        let attempted_lately = self.attempted_at.is_some_and(|at| at <= now && now < at + limits.min_interval);
        let has_key = self.keys.as_deref().is_some_and(has_key);
        // Reading anew at half the age leaves the other half to get over an outage.
        let is_young = self.read_at.is_some_and(|at| at <= now && now < at + limits.max_age / 2);
        !(attempted_lately || has_key && is_young)
    }

    fn usable(&self, now: Instant, limits: &KeyLimits) -> Option<Arc<Jwks>> {
        let is_usable = self.read_at.is_some_and(|at| now < at + limits.max_age);
        self.keys.clone().filter(|_| is_usable)
    }
}

async fn read_file(path: &PathBuf, limit_bytes: u64) -> Result<String, String> {
    let file = tokio::fs::File::open(path).await.map_err(|error| error.kind().to_string())?;
    let mut text = String::new();
    let size = file.take(limit_bytes + 1).read_to_string(&mut text).await.map_err(|error| error.kind().to_string())?;
    if size as u64 > limit_bytes { Err("it is too large".to_owned()) } else { Ok(text) }
}

/// An HTTP client fit for fetching key sets: it follows no redirect, because the registered URL is what the operator trusts.
pub fn http_client() -> Result<reqwest::Client, Fault> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    client.map_err(|error| Fault::new(FaultKind::Internal, format!("no HTTP client can be made: {error}")))
}

/// Fetches a key set: status 200, at most `limit_bytes`, UTF-8. The caller bounds the time; the configuration has checked the URL.
async fn fetch(http: &reqwest::Client, url: &str, limit_bytes: u64) -> Result<String, String> {
    let request = http.get(url).header(reqwest::header::ACCEPT, "application/jwk-set+json, application/json");
    let mut response = request.send().await.map_err(|error| describe(&error))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > limit_bytes {
            return Err("it is too large".to_owned());
        }
    }
    String::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())
}

/// What went wrong, without the URL: its query may hold a key.
fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the request failed"
    };
    kind.to_owned()
}
