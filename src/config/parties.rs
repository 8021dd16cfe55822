//! The sections of which a file has many: who pushes, who asks, who holds data and who receives them.

use super::{BaseUrl, Purpose, Scopes, Secret, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An organisation as consents name it: by reference, by identifier, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organisation {
    /// A reference. Consents know it where it is in the gateway's ids, `Organization/hg-…`; what has the same reference elsewhere in the file is the same
    /// organisation.
    pub reference: Option<String>,
    pub identifier: Option<Identifier>,
    pub name: Option<String>,
}

impl Organisation {
    /// The one name by which two records of an organisation are compared: its identifier, else its reference; empty when it has neither.
    pub fn key(&self) -> String {
        match (&self.identifier, &self.reference) {
            (Some(identifier), _) => format!("{}|{}", identifier.system, identifier.value),
            (None, Some(reference)) => reference.clone(),
            (None, None) => String::new(),
        }
    }
}

impl Organisation {
    /// Every name it goes by: `system|value`, and its reference.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let identifier = self.identifier.as_ref().map(|identifier| format!("{}|{}", identifier.system, identifier.value));
        identifier.into_iter().chain(self.reference.clone())
    }
}

/// A business identifier. The system is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    pub system: String,
    pub value: String,
}

/// What a client may do besides what its scopes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May ask for provenance trails and evidence packages.
    Regulator,
    /// May invoke break-glass.
    BreakGlass,
    /// May erase records and patients for good.
    Eraser,
    /// May see the work lists: Tasks, links between records, and ConceptMaps that the gateway keeps.
    Operator,
    /// May ask what consents permit to others than itself: a system that enforces them elsewhere.
    ConsentConsult,
}

/// How much of the persons concerned a recipient may be told (45 CFR 164.514). What is less than `identified` has codes masked that are
/// free text and may hold names; consent decides as for everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    #[default]
    Identified,
    Limited,
    DeIdentified,
}

/// `[[client]]`: one system that calls the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The OAuth client id.
    pub id: String,
    pub organisation: Organisation,
    /// A JWKS file; read again when a client signs with a key it does not hold yet.
    pub jwks_file: Option<PathBuf>,
    /// A JWKS over https; exactly one of the two is given.
    pub jwks_url: Option<String>,
    /// The most the client may be granted.
    pub scopes: Scopes,
    /// The purposes for which the client may ask. Empty: it may only push.
    #[serde(default)]
    pub purposes: Vec<Purpose>,
    /// The `[source.NAME]` its pushes count as; without one it may not push.
    pub source: Option<String>,
    #[serde(default)]
    pub roles: Vec<Role>,
    /// What it may be told of the persons concerned.
    #[serde(default)]
    pub data: DataKind,
    /// Whether the client may file, change and revoke Consents.
    #[serde(default)]
    pub files_consent: bool,
    /// The patients for whom it may ask who was told what: `"all"`, or some as in a destination's list. A patient's own application, or a delegate's.
    #[serde(default)]
    pub acts_for: Option<Patients>,
    /// Whose application it is: the identifier of a person. They may act for the patients whose RelatedPerson or delegate they are.
    pub person: Option<Identifier>,
}

/// What happens to a resource that is not valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    #[default]
    Reject,
    /// Refused where it is no FHIR by its form; errors in what it says, such as a code that its system does not have, are recorded beside it.
    RejectStructure,
    /// Accepted, its findings recorded beside it.
    Flag,
}

/// `[source.NAME]`: one system whose data come in, by push or by query, and how they are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub organisation: Organisation,
    /// Bases of the source's own absolute references.
    #[serde(default)]
    pub base_urls: Vec<BaseUrl>,
    /// Left out: `reject`, and `reject-structure` for a source whose vendor is named, for what such systems say is theirs to answer for.
    pub on_error: Option<OnError>,
    /// The system given to identifiers that have none.
    pub default_identifier_system: Option<String>,
    /// The zone of local times without an offset: `Europe/Vienna` or `+01:00`. Without one they are cut to the date and flagged.
    pub time_zone: Option<String>,
    /// Who must sign what comes from here before it is accepted.
    #[serde(default)]
    pub sign_off: Option<SignOff>,
    /// Switches and parameters of rules, by rule name; `normalise` reads them.
    #[serde(default)]
    pub normalise: toml::Table,
    /// How strictly what it sends is judged.
    #[serde(default)]
    pub validate: SourceValidate,
}

impl Source {
    /// What becomes of what is not valid.
    pub fn on_error(&self) -> OnError {
        let usual = if self.normalise.contains_key("vendor") { OnError::RejectStructure } else { OnError::Reject };
        self.on_error.unwrap_or(usual)
    }
}

/// `[source.NAME.validate]`: what is asked of a source beyond FHIR's own rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceValidate {
    /// Profiles by resource type, each a canonical URL, that every resource of the type must meet.
    pub profiles: BTreeMap<String, Vec<String>>,
    /// Whether rules that are marked as best practice count.
    pub best_practice: bool,
    /// Whether text that looks like active content is refused.
    pub security_checks: bool,
    /// Whether an extension whose definition is not in hand is an error.
    pub refuse_unknown_extensions: bool,
    /// Whether a display that is not that of its code is an error.
    pub refuse_wrong_displays: bool,
    /// Whether the terminology server is asked, before a resource is accepted, about codes whose systems are not in hand.
    pub ask_terminology: bool,
}

/// `[source.NAME.sign_off]`: what comes from the source is held until enough parties have signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOff {
    /// Resource types, or `["*"]`. A submission that holds one of them is held as a whole; deletions never are.
    #[serde(default = "every_type")]
    pub types: Vec<String>,
    /// How many of the parties must sign.
    pub quorum: u64,
    /// How long they have.
    #[serde(default = "sign_off_within_s")]
    pub within_s: u64,
    pub party: Vec<SigningParty>,
}

/// `[[source.NAME.sign_off.party]]`: one of those who sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningParty {
    /// What people call it: `laboratory`, `ordering clinician`.
    pub role: String,
    /// The clients that sign for it; one signature stands for all of them.
    pub clients: Vec<String>,
}

impl SignOff {
    /// Whether resources of a type need signatures.
    pub fn concerns(&self, type_name: &str) -> bool {
        self.types.iter().any(|wanted| wanted == "*" || wanted == type_name)
    }

    /// The party a client signs for.
    pub fn party_of(&self, client: &str) -> Option<&SigningParty> {
        self.party.iter().find(|party| party.clients.iter().any(|known| known == client))
    }
}

fn every_type() -> Vec<String> {
    vec!["*".to_owned()]
}

fn sign_off_within_s() -> u64 {
    limits::SIGN_OFF_WITHIN_S.default
}

/// How the gateway identifies itself to a holder or destination. Secrets are read from the files when the settings are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        user: String,
        password_file: PathBuf,
        #[serde(skip)]
        password: Secret,
    },
    /// A fixed bearer token.
    Bearer {
        token_file: PathBuf,
        #[serde(skip)]
        token: Secret,
    },
    /// A client certificate (mutual TLS).
    Mtls {
        /// The gateway's certificate and the chain above it, PEM.
        certificate_file: PathBuf,
        #[serde(skip)]
        certificate: String,
        /// Its private key, PEM.
        key_file: PathBuf,
        #[serde(skip)]
        key: Secret,
        /// The authority that alone vouches for the other side, PEM. Default: those the system trusts.
        ca_file: Option<PathBuf>,
        #[serde(skip)]
        ca: String,
    },
    /// SMART Backend Services, the gateway as the client.
    BackendServices {
        token_endpoint: BaseUrl,
        client_id: String,
        /// The `kid` under which the other side knows the key.
        key_id: String,
        algorithm: SigningAlgorithm,
        scopes: Scopes,
        /// A private key, PKCS #8 PEM.
        key_file: PathBuf,
        #[serde(skip)]
        key: Secret,
    },
}

/// The two signature algorithms of SMART Backend Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "ES384")]
    Es384,
}

impl SigningAlgorithm {
    /// The `alg` of RFC 7518.
    pub fn name(self) -> &'static str {
        match self {
            SigningAlgorithm::Rs384 => "RS384",
            SigningAlgorithm::Es384 => "ES384",
        }
    }
}

/// `[[holder]]`: a FHIR server that queries are forwarded to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    pub name: String,
    /// Its FHIR base.
    pub base_url: BaseUrl,
    /// Permits a base without TLS beyond loopback, for a network that is protected otherwise.
    #[serde(default)]
    pub allow_plain_http: bool,
    pub organisation: Organisation,
    /// The `[source.NAME]` as which its answers are read. Default: the source of the same name, if there is one.
    pub source: Option<String>,
    /// Systems of the identifiers by which it knows patients; each value of them is one person.
    pub identifier_systems: Vec<String>,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default = "holder_timeout_ms")]
    pub timeout_ms: u64,
    #[serde(default = "holder_body_limit_bytes")]
    pub body_limit_bytes: u64,
}

impl Holder {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

fn holder_timeout_ms() -> u64 {
    limits::HOLDER_TIMEOUT_MS.default
}

fn holder_body_limit_bytes() -> u64 {
    limits::HOLDER_BODY_BYTES.default
}

/// `[[destination]]`: a FHIR server that accepted resources are pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    pub name: String,
    /// Its FHIR base.
    pub base_url: BaseUrl,
    /// Permits a base without TLS beyond loopback, for a network that is protected otherwise.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// The recipient the consent decision is about.
    pub organisation: Organisation,
    /// The purpose the consent decision is about.
    pub purpose: Purpose,
    /// What it may be told of the persons concerned.
    #[serde(default)]
    pub data: DataKind,
    /// Resource types, or `["*"]`.
    pub types: Vec<String>,
    /// `"all"`, or patients by gateway reference (`Patient/…`) or identifier (`system|value`).
    #[serde(default)]
    pub patients: Patients,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default = "delivery_timeout_ms")]
    pub timeout_ms: u64,
    #[serde(default)]
    pub retry: Retry,
}

impl Destination {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

fn delivery_timeout_ms() -> u64 {
    limits::DELIVERY_TIMEOUT_MS.default
}

/// Whose resources a destination receives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenPatients", into = "WrittenPatients")]
pub enum Patients {
    #[default]
    All,
    Listed(Vec<PatientSelector>),
}

/// One patient of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatientSelector {
    /// `Patient/…` in the gateway's ids.
    Reference(String),
    Identifier(Identifier),
}

impl PatientSelector {
    fn parse(text: &str) -> Option<PatientSelector> {
        if let Some((system, value)) = text.split_once('|') {
            let identifier = Identifier { system: system.to_owned(), value: value.to_owned() };
            return (!system.is_empty() && !value.is_empty()).then_some(PatientSelector::Identifier(identifier));
        }
        let id = text.strip_prefix("Patient/")?;
        let is_id = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        is_id.then(|| PatientSelector::Reference(text.to_owned()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenPatients {
    Word(String),
    List(Vec<String>),
}

impl TryFrom<WrittenPatients> for Patients {
    type Error = &'static str;

    fn try_from(written: WrittenPatients) -> Result<Patients, &'static str> {
        match written {
            WrittenPatients::Word(word) if word == "all" => Ok(Patients::All),
            WrittenPatients::Word(_) => Err("must be \"all\" or a list"),
            WrittenPatients::List(items) => {
                let selectors: Option<Vec<_>> = items.iter().map(|item| PatientSelector::parse(item)).collect();
                selectors.map(Patients::Listed).ok_or("each item must be \"Patient/id\" or \"system|value\"")
            }
        }
    }
}

impl From<Patients> for WrittenPatients {
    fn from(patients: Patients) -> WrittenPatients {
        match patients {
            Patients::All => WrittenPatients::Word("all".to_owned()),
            Patients::Listed(selectors) => WrittenPatients::List(selectors.into_iter().map(written_selector).collect()),
        }
    }
}

fn written_selector(selector: PatientSelector) -> String {
    match selector {
        PatientSelector::Reference(reference) => reference,
        PatientSelector::Identifier(Identifier { system, value }) => format!("{system}|{value}"),
    }
}

/// `[destination.retry]`: the wait doubles from `initial_ms` to `max_ms`, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    pub initial_ms: u64,
    pub max_ms: u64,
    pub max_attempts: u64,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            initial_ms: limits::RETRY_INITIAL_MS.default,
            max_ms: limits::RETRY_MAX_MS.default,
            max_attempts: limits::RETRY_ATTEMPTS.default,
        }
    }
}
