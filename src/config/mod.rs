//! One TOML file and the secret files it names → checked, bounded settings.
//!
//! In scope: the shape of the file, defaults, ranges ([`limits`]), what must agree with what, secrets read from files, and the effective settings printed
//! back without them. Out of scope: what the settings are used for; keys the gateway draws itself; JWKS content, which `identity` reads.
//!
//! Invariants: an unknown key, a number out of its range, a name that points nowhere or a file that cannot be read is an error that names section and
//! key, and all such errors are reported at once. Relative paths are meant from the directory of the file. Secrets stand only in files of their own, and
//! neither errors nor printed settings hold one. What lets less protection through (plain HTTP, a proxy that ends TLS) is off unless written.
//!
//! [`Settings`] fields are public so that a demonstration or a test can set them; [`Settings::check`] then holds them to the same rules.

mod base_url;
mod check;
mod files;
pub mod limits;
mod parties;
mod problem;
mod purpose;
mod scope;
mod secret;
mod sections;
#[cfg(test)]
mod tests;

pub use base_url::BaseUrl;
pub use parties::{
    Auth, Client, DataKind, Destination, Holder, Identifier, OnError, Organisation, PatientSelector, Patients, Retry, Role, SignOff,
    SigningAlgorithm, SigningParty, Source, SourceValidate,
};
pub use problem::{ConfigError, Problem};
pub use purpose::{Purpose, SYSTEM as PURPOSE_SYSTEM};
pub use scope::{Interaction, MAX_SCOPE_BYTES, ScopeError, Scopes};
pub use secret::{Secret, read_bounded, read_secret};
pub use sections::{
    BreakGlass, Bucket, Ceiling, Consent, ConsentDefault, Definitions, Identity, ImplicitRule, Ledger, Redis, SENSITIVITIES, Server,
    Storage, Terminology, Tls, Witness,
};

use problem::Problems;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of the gateway's own store among the holders; no party may be called so.
pub const OWN_STORE: &str = "hearthgate";

/// Everything an operator can set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub server: Server,
    pub storage: Storage,
    pub ledger: Ledger,
    pub identity: Identity,
    pub consent: Consent,
    pub redis: Option<Redis>,
    pub definitions: Definitions,
    pub terminology: Option<Terminology>,
    #[serde(rename = "client")]
    pub clients: Vec<Client>,
    #[serde(rename = "source")]
    pub sources: BTreeMap<String, Source>,
    #[serde(rename = "holder")]
    pub holders: Vec<Holder>,
    #[serde(rename = "destination")]
    pub destinations: Vec<Destination>,
    /// Whether tokens are issued on loopback without proof. Only the command line can say so, see [`Settings::enable_dev`].
    #[serde(skip)]
    pub dev: bool,
}

impl Settings {
    /// The settings of a gateway without a file: everything at its default, on loopback, in a directory (`./hearthgate-data`).
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Settings {
        Settings { storage: Storage { data_dir: data_dir.into(), ..Storage::default() }, ..Settings::default() }
    }

    /// Reads a file and the secret files it names.
    pub fn load(path: &Path) -> Result<Settings, ConfigError> {
        let file = path.display().to_string();
        let text = read_bounded(path, limits::MAX_FILE_BYTES).map_err(|text| {
            let problem = Problem { section: String::new(), key: String::new(), line: None, text };
            ConfigError { file: String::new(), problems: vec![problem] }
        })?;
        Settings::read(&text, path.parent().unwrap_or(Path::new("")), &file)
    }

    /// Reads the text of a file. Relative paths in it are meant from `directory`.
    pub fn from_toml(text: &str, directory: &Path) -> Result<Settings, ConfigError> {
        Settings::read(text, directory, "")
    }

    fn read(text: &str, directory: &Path, file: &str) -> Result<Settings, ConfigError> {
        let mut settings: Settings = toml::from_str(text).map_err(|error| problem::from_toml_error(&error, text, file))?;
        let mut problems = Problems::default();
        files::resolve_paths(&mut settings, directory);
        check::check(&settings, &mut problems);
        files::check_and_load(&mut settings, &mut problems);
        problems.finish(settings, file)
    }

    /// Holds settings that were put together in code to the rules a file is held to.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        check::check(self, &mut problems);
        problems.finish((), "")
    }

    /// Turns development tokens on; refused when the gateway listens beyond loopback.
    pub fn enable_dev(&mut self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        let is_loopback = self.server.listen.ip().is_loopback();
        problems.require(is_loopback, "[server]", "listen", "must be a loopback address with --dev, which gives tokens to whoever asks");
        problems.finish((), "")?;
        self.dev = true;
        Ok(())
    }

    /// `iss` of access tokens.
    pub fn issuer(&self) -> String {
        self.identity.issuer.as_ref().map_or_else(|| self.server.fhir_base(), |url| url.as_str().to_owned())
    }

    /// The public URL of the token endpoint: what client assertions name as their audience.
    pub fn token_endpoint(&self) -> String {
        self.identity.token_endpoint.as_ref().map_or_else(|| format!("{}/auth/token", self.server.origin()), |url| url.as_str().to_owned())
    }

    /// The ledger's signing key.
    pub fn ledger_key_file(&self) -> PathBuf {
        self.ledger.key_file.clone().unwrap_or_else(|| self.storage.data_dir.join("ledger.key"))
    }

    /// Where the keys of records and patients lie.
    pub fn keys_dir(&self) -> PathBuf {
        self.storage.keys_dir.clone().unwrap_or_else(|| self.storage.data_dir.join("keys"))
    }

    /// The file of the key that opens them, where none comes with the environment.
    pub fn gateway_key_file(&self) -> PathBuf {
        self.storage.gateway_key_file.clone().unwrap_or_else(|| self.keys_dir().join("gateway.key"))
    }

    /// Where the last signed tree is remembered.
    pub fn ledger_register_file(&self) -> PathBuf {
        self.ledger.register_file.clone().unwrap_or_else(|| self.keys_dir().join("signed-tree"))
    }

    /// The effective settings as a file: defaults filled in, paths resolved, secrets named by their files only. It loads again to the same settings.
    pub fn to_toml(&self) -> String {
        // Every field is a table, list, string, number or flag, all of which TOML can hold.
        toml::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_toml())
    }
}
