//! The sections of which a file has at most one: what the gateway itself is.

use super::{BaseUrl, Secret, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`: where the gateway listens, what it is called from outside, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The FHIR, token and ledger listener.
    pub listen: SocketAddr,
    /// Health and metrics.
    pub admin_listen: SocketAddr,
    /// The origin under which clients know the gateway, without `/fhir`. Default: made from `listen`.
    pub base_url: Option<BaseUrl>,
    /// Promises that something in front of the gateway ends TLS, so that it may listen beyond loopback without.
    pub behind_tls_proxy: bool,
    pub body_limit_bytes: u64,
    pub request_timeout_ms: u64,
    pub max_concurrent_requests: u64,
    pub max_bundle_entries: u64,
    pub max_document_depth: u64,
    pub drain_timeout_ms: u64,
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            base_url: None,
            behind_tls_proxy: false,
            body_limit_bytes: limits::BODY_BYTES.default,
            request_timeout_ms: limits::REQUEST_TIMEOUT_MS.default,
            max_concurrent_requests: limits::CONCURRENCY.default,
            max_bundle_entries: limits::BUNDLE_ENTRIES.default,
            max_document_depth: limits::DOCUMENT_DEPTH.default,
            drain_timeout_ms: limits::DRAIN_TIMEOUT_MS.default,
            tls: None,
        }
    }
}

impl Server {
    /// The public origin, without a trailing slash: `https://gateway.example.org`.
    pub fn origin(&self) -> String {
        match &self.base_url {
            Some(url) => url.as_str().to_owned(),
            None => format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.listen),
        }
    }

    /// The public FHIR base: the origin and `/fhir`.
    pub fn fhir_base(&self) -> String {
        format!("{}/fhir", self.origin())
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// `[server.tls]`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[storage]`: the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The directory of the database, the ledger's tiles and the keys the gateway draws itself.
    pub data_dir: PathBuf,
    /// The directory of the keys of records and patients, and of what was signed last; `keys` in the data's, unless it lies apart.
    pub keys_dir: Option<PathBuf>,
    /// The file of the key that opens these: 64 hexadecimal digits.
    pub gateway_key_file: Option<PathBuf>,
    /// The environment variable that holds it, instead of a file.
    pub gateway_key_env: Option<String>,
    pub max_group_units: u64,
    pub max_queued_units: u64,
    pub readers: u64,
    /// The database is refused growth beyond this; reaching it is the same failure as a full disk.
    pub max_bytes: u64,
    /// The database's page cache.
    pub cache_bytes: u64,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            data_dir: PathBuf::from("hearthgate-data"),
            keys_dir: None,
            gateway_key_file: None,
            gateway_key_env: None,
            max_group_units: limits::GROUP_UNITS.default,
            max_queued_units: limits::QUEUE_UNITS.default,
            readers: limits::READERS.default,
            max_bytes: limits::STORAGE_BYTES.default,
            cache_bytes: limits::CACHE_BYTES.default,
        }
    }
}

/// `[ledger]`: the transparency log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// The log's name in checkpoints (C2SP tlog-checkpoint `origin`): a host and path without scheme, never changed once in use.
    pub origin: String,
    /// The signing key. Default: `ledger.key` in the data directory, drawn at the first start.
    pub key_file: Option<PathBuf>,
    /// Where the last signed tree is remembered: away from what a backup of the data holds. Default: `keys/signed-tree` in the data directory.
    pub register_file: Option<PathBuf>,
    /// Signs checkpoints with ML-DSA-44 as well, by a key beside the signing key.
    pub ml_dsa_44: bool,
    /// The witnesses that are asked to cosign, and how many must: a policy file (c2sp.org/tlog-policy) whose witnesses have URLs.
    pub witnesses_file: Option<PathBuf>,
    /// The least time between two rounds of asking them.
    pub witness_interval_ms: u64,
    /// How long the record of a read may wait, synced and acknowledged, for its place in the log; with 0 it takes it before the answer.
    pub anchor_within_ms: u64,
    /// By how many leaves, or a multiple, the log grows at once: what lacks is filled up with leaves that say nothing, so that its size does not tell how
    /// many patients' records a request met with.
    pub grows_by: u64,
    /// How long the log may fail to be published before nothing new is taken.
    pub max_unpublished_ms: u64,
    /// Shows everybody the log's entries, and not its hashes alone. They hold no personal data, and what they say of whom is sealed but in leaves of
    /// older gateways.
    pub open_entries: bool,
    /// Takes entries from whoever asks (`POST /ledger/add`), for load tests. On loopback only.
    pub open_add: bool,
    /// Where the log's files go instead of the data directory: `s3://bucket/prefix`.
    pub publish: Option<Bucket>,
    /// Makes this gateway a witness of others' logs.
    pub witness: Option<Witness>,
}

/// `[ledger.publish]`: an S3-compatible object store. Credentials come from its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub bucket: String,
    /// The path of the log within the bucket.
    #[serde(default)]
    pub prefix: String,
    pub region: String,
    /// The service, where it is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<BaseUrl>,
    pub access_key_id: String,
    pub secret_access_key_file: PathBuf,
    #[serde(skip)]
    pub secret_access_key: Secret,
}

/// `[ledger.witness]`: whose logs are cosigned here, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// The witness's name in its cosignatures; the mirror's is this and `/mirror`. Keys are drawn into the data directory at the first start.
    pub name: String,
    /// The logs: a policy file (c2sp.org/tlog-policy). Those with a URL are mirrored.
    pub logs_file: PathBuf,
    /// The least time between two visits to a log that is mirrored.
    #[serde(default = "mirror_interval")]
    pub mirror_interval_ms: u64,
}

fn mirror_interval() -> u64 {
    limits::MIRROR_INTERVAL_MS.default
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            origin: "localhost/hearthgate".to_owned(),
            key_file: None,
            register_file: None,
            ml_dsa_44: false,
            witnesses_file: None,
            witness_interval_ms: limits::WITNESS_INTERVAL_MS.default,
            anchor_within_ms: limits::ANCHOR_WITHIN_MS.default,
            grows_by: limits::GROWS_BY.default,
            max_unpublished_ms: limits::UNPUBLISHED_MS.default,
            open_entries: true,
            open_add: false,
            publish: None,
            witness: None,
        }
    }
}

/// `[identity]`: tokens, and which identifiers name a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// `iss` of access tokens. Default: the public FHIR base.
    pub issuer: Option<BaseUrl>,
    /// The audience client assertions must name. Default: the origin and `/auth/token`.
    pub token_endpoint: Option<BaseUrl>,
    pub token_lifetime_s: u64,
    pub clock_skew_s: u64,
    /// The secret that signs access tokens, shared by all nodes. Default: drawn at every start, so that a restart ends all tokens.
    pub token_key_file: Option<PathBuf>,
    pub jwks_limit_bytes: u64,
    pub jwks_max_age_s: u64,
    pub jwks_min_interval_s: u64,
    pub jwks_timeout_ms: u64,
    /// Identifier systems of which one value is one person, besides those the holders declare.
    pub person_identifier_systems: Vec<String>,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity {
            issuer: None,
            token_endpoint: None,
            token_lifetime_s: limits::TOKEN_LIFETIME_S.default,
            clock_skew_s: limits::CLOCK_SKEW_S.default,
            token_key_file: None,
            jwks_limit_bytes: limits::JWKS_BYTES.default,
            jwks_max_age_s: limits::JWKS_MAX_AGE_S.default,
            jwks_min_interval_s: limits::JWKS_MIN_INTERVAL_S.default,
            jwks_timeout_ms: limits::JWKS_TIMEOUT_MS.default,
            person_identifier_systems: Vec::new(),
        }
    }
}

/// What happens where no consent applies (IHE PCF, the four implicit options).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentDefault {
    /// Nothing, not even to whoever breaks the glass.
    Deny,
    /// Nothing, but to whoever breaks the glass, which takes a role and a reason.
    #[default]
    BreakGlassOnly,
    /// Treatment, payment and operations, for data that is neither restricted nor sensitive.
    BasicNormal,
    /// Every known purpose, for data that is neither restricted nor sensitive.
    AllNormal,
}

/// The sensitivities of v3-ActCode that the gateway knows.
pub const SENSITIVITIES: [&str; 25] = [
    "ADOL", "BH", "CEL", "COGN", "DVD", "EMOTDIS", "ETH", "ETHUD", "GDIS", "HIV", "MH", "MST", "OPIOIDUD", "PREGNANT", "PSY", "PSYTHPN",
    "SCA", "SDV", "SEX", "SICKLE", "SPI", "STD", "SUD", "TBOO", "VIO",
];

/// `[[consent.implicit]]`: what happens where no consent applies, for some partners, patients or data. What is left empty is met by all. Of
/// several that are met, the one that names the partner holds before others, then the one that names the narrower place; of equals the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImplicitRule {
    pub policy: ConsentDefault,
    /// The organisations that ask or are sent to, by `system|value` or reference, as `organisation` names them.
    #[serde(default)]
    pub partners: Vec<String>,
    /// Where the patient lives, by country or by country and state as addresses write them: `US-TX`.
    #[serde(default)]
    pub jurisdictions: Vec<String>,
    /// Sensitivities of v3-ActCode, with all kinds of them. Without any, the rule is about what is not sensitive.
    #[serde(default)]
    pub sensitivities: Vec<String>,
}

/// `[consent]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consent {
    pub default: ConsentDefault,
    pub implicit: Vec<ImplicitRule>,
    /// The organisations that may know that something was withheld, by `system|value` or reference: what they get is marked REDACTED and
    /// SUBSETTED where something was taken out of it. All others are told nothing.
    pub told_of_redaction: Vec<String>,
    /// The age in whole years at which a patient speaks for themselves.
    pub majority_years: u64,
    /// The same where it is another, by country or by country and state as addresses write them: `US-AL`.
    pub majority: BTreeMap<String, u64>,
    pub break_glass: BreakGlass,
    /// The list of codes and words that are sensitive, in the place of the one that comes with the gateway. Default: that one.
    pub sensitivities_file: Option<PathBuf>,
}

impl Default for Consent {
    fn default() -> Consent {
        Consent {
            default: ConsentDefault::default(),
            implicit: Vec::new(),
            told_of_redaction: Vec::new(),
            majority_years: limits::MAJORITY_YEARS.default,
            majority: BTreeMap::new(),
            break_glass: BreakGlass::default(),
            sensitivities_file: None,
        }
    }
}

/// `[consent.break_glass]`: how far whoever may break the glass gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakGlass {
    /// How long one breaking lasts.
    pub lasts_s: u64,
    /// The highest level of v3-Confidentiality that is reached.
    pub ceiling: Ceiling,
    /// Sensitivities of v3-ActCode that are never reached, with all kinds of them.
    pub never: Vec<String>,
}

impl Default for BreakGlass {
    fn default() -> BreakGlass {
        let never = vec!["PSYTHPN".to_owned(), "SDV".to_owned()];
        BreakGlass { lasts_s: limits::BREAK_GLASS_S.default, ceiling: Ceiling::Restricted, never }
    }
}

/// Codes of v3-Confidentiality that break-glass may be held to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ceiling {
    #[serde(rename = "N")]
    Normal,
    #[default]
    #[serde(rename = "R")]
    Restricted,
    #[serde(rename = "V")]
    VeryRestricted,
}

/// `[redis]`: shared state that may be lost without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:port/database` or `rediss://…`, without a password.
    pub url: String,
    pub password_file: Option<PathBuf>,
}

/// `[definitions]`: what resources are judged by beyond R4 and what the gateway carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Definitions {
    /// Packages of the cache, `NAME#VERSION`, each with what it needs; later ones take the place of earlier ones.
    pub packages: Vec<String>,
    /// The package cache. Default: `.fhir/packages` in the home folder.
    pub cache_dir: Option<PathBuf>,
}

/// `[terminology]`: a server that is asked about codes whose systems are not in hand. Codes leave the gateway then, and nothing else of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminology {
    /// The base of its FHIR interface.
    pub url: BaseUrl,
    #[serde(default = "default_terminology_timeout")]
    pub timeout_ms: u64,
    /// How long an answer is taken as still true.
    #[serde(default = "default_terminology_keep")]
    pub keep_s: u64,
}

fn default_terminology_timeout() -> u64 {
    limits::TERMINOLOGY_TIMEOUT_MS.default
}

fn default_terminology_keep() -> u64 {
    limits::TERMINOLOGY_KEEP_S.default
}
