//! The key files a configuration names, read as what they are meant to be, so that a wrong one shows at `hearthgate check` and not at the first use.

use super::access::MIN_SECRET_BYTES;
use super::jwks::Jwks;
use super::jws::SigningKey;
use crate::config::{Auth, ConfigError, Problem, Settings, read_bounded, read_secret};

/// Reads every key set, every private key and the token secret. Their existence was checked when the settings were loaded.
pub fn check_key_files(settings: &Settings) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    let mut add = |section: String, key: &str, text: String| problems.push(Problem { section, key: key.to_owned(), line: None, text });
    if let Err(text) = check_token_secret(settings) {
        add("[identity]".to_owned(), "token_key_file", text);
    }
    for client in &settings.clients {
        if let Err(text) = client.jwks_file.as_ref().map_or(Ok(()), |path| check_key_set(path, settings.identity.jwks_limit_bytes)) {
            add(format!("[[client]] \"{}\"", client.id), "jwks_file", text);
        }
    }
    let holders = settings.holders.iter().map(|holder| ("holder", &holder.name, &holder.auth));
    let destinations = settings.destinations.iter().map(|destination| ("destination", &destination.name, &destination.auth));
    for (kind, name, auth) in holders.chain(destinations) {
        let Auth::BackendServices { key, algorithm, key_file, .. } = auth else { continue };
        if let Err(wrong) = SigningKey::from_pem(key.reveal(), *algorithm) {
            add(format!("[[{kind}]] \"{name}\""), "auth.key_file", format!("{} {wrong}", key_file.display()));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { file: String::new(), problems }) }
}

fn check_token_secret(settings: &Settings) -> Result<(), String> {
    let Some(path) = &settings.identity.token_key_file else { return Ok(()) };
    let is_long = read_secret(path)?.reveal().len() >= MIN_SECRET_BYTES;
    is_long.then_some(()).ok_or_else(|| format!("{} holds fewer than {MIN_SECRET_BYTES} characters", path.display()))
}

fn check_key_set(path: &std::path::Path, limit_bytes: u64) -> Result<(), String> {
    let keys = Jwks::parse(&read_bounded(path, limit_bytes)?).map_err(|error| format!("{} {error}", path.display()))?;
    let is_usable = !keys.is_empty();
    is_usable.then_some(()).ok_or_else(|| format!("{} has no public key with a kid for RS384 or ES384", path.display()))
}
