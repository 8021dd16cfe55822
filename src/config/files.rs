//! The files a configuration names: found from its directory, proved readable, secrets taken in.

use super::problem::Problems;
use super::{Auth, Secret, Settings, limits, read_bounded, read_secret};
use std::path::{Path, PathBuf};

/// Makes relative paths relative to the directory of the configuration.
pub fn resolve_paths(settings: &mut Settings, directory: &Path) {
    let Settings { server, storage, ledger, identity, consent, redis, definitions, clients, holders, destinations, sources, .. } = settings;
    let mut paths: Vec<&mut PathBuf> = vec![&mut storage.data_dir];
    paths.extend(storage.keys_dir.iter_mut().chain(&mut storage.gateway_key_file));
    paths.extend(ledger.key_file.iter_mut().chain(&mut ledger.register_file).chain(&mut ledger.witnesses_file));
    paths.extend(ledger.publish.iter_mut().map(|bucket| &mut bucket.secret_access_key_file));
    paths.extend(ledger.witness.iter_mut().map(|witness| &mut witness.logs_file));
    paths.extend(identity.token_key_file.iter_mut());
    paths.extend(definitions.cache_dir.iter_mut().chain(&mut consent.sensitivities_file));
    paths.extend(server.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]));
    paths.extend(redis.iter_mut().filter_map(|redis| redis.password_file.as_mut()));
    paths.extend(clients.iter_mut().filter_map(|client| client.jwks_file.as_mut()));
    let auths = holders.iter_mut().map(|holder| &mut holder.auth).chain(destinations.iter_mut().map(|destination| &mut destination.auth));
    for auth in auths {
        paths.extend(auth_files(auth));
    }
    for path in paths {
        *path = directory.join(&*path);
    }
    for source in sources.values_mut() {
        let maps = source.normalise.get_mut("concept_maps").and_then(toml::Value::as_array_mut);
        for map in maps.into_iter().flatten() {
            if let toml::Value::String(path) = map {
                *path = directory.join(&*path).display().to_string();
            }
        }
    }
}

/// Reads every secret, and proves that the other files can be read, so that a mistake shows at the start and not at the first use.
pub fn check_and_load(settings: &mut Settings, problems: &mut Problems) {
    if let Some(tls) = &settings.server.tls {
        readable(&tls.certificate, "[server.tls]", "certificate", problems);
        readable(&tls.key, "[server.tls]", "key", problems);
    }
    for (path, section, key) in [
        (&settings.ledger.key_file, "[ledger]", "key_file"),
        (&settings.identity.token_key_file, "[identity]", "token_key_file"),
        (&settings.redis.as_ref().and_then(|redis| redis.password_file.clone()), "[redis]", "password_file"),
    ] {
        path.iter().for_each(|path| readable(path, section, key, problems));
    }
    for (path, section, key) in [
        (settings.ledger.witnesses_file.as_ref(), "[ledger]", "witnesses_file"),
        (settings.consent.sensitivities_file.as_ref(), "[consent]", "sensitivities_file"),
        (settings.ledger.witness.as_ref().map(|witness| &witness.logs_file), "[ledger.witness]", "logs_file"),
    ] {
        if let Some(Err(text)) = path.map(|path| read_bounded(path, limits::MAX_POLICY_FILE_BYTES)) {
            problems.add(section, key, text);
        }
    }
    if let Some(bucket) = &mut settings.ledger.publish {
        match read_secret(&bucket.secret_access_key_file) {
            Ok(secret) => bucket.secret_access_key = secret,
            Err(text) => problems.add("[ledger.publish]", "secret_access_key_file", text),
        }
    }
    for client in &settings.clients {
        if let Some(Err(text)) = client.jwks_file.as_ref().map(|path| read_bounded(path, settings.identity.jwks_limit_bytes)) {
            problems.add(&format!("[[client]] \"{}\"", client.id), "jwks_file", text);
        }
    }
    for holder in &mut settings.holders {
        load_auth(&mut holder.auth, &format!("[[holder]] \"{}\"", holder.name), problems);
    }
    for destination in &mut settings.destinations {
        load_auth(&mut destination.auth, &format!("[[destination]] \"{}\"", destination.name), problems);
    }
}

fn readable(path: &Path, section: &str, key: &str, problems: &mut Problems) {
    if let Err(text) = read_bounded(path, limits::MAX_SECRET_FILE_BYTES) {
        problems.add(section, key, text);
    }
}

fn load_auth(auth: &mut Auth, section: &str, problems: &mut Problems) {
    if let Auth::Mtls { certificate_file, certificate, ca_file, ca, .. } = auth {
        let mut take = |key: &str, path: &Path, text: &mut String| match read_bounded(path, limits::MAX_SECRET_FILE_BYTES) {
            Ok(read) => *text = read,
            Err(problem) => problems.add(section, key, problem),
        };
        take("auth.certificate_file", certificate_file, certificate);
        ca_file.iter().for_each(|path| take("auth.ca_file", path, ca));
    }
    let is_pem = matches!(auth, Auth::BackendServices { .. } | Auth::Mtls { .. });
    let Some((key, path, secret)) = secret_parts(auth) else { return };
    let read = if is_pem { read_bounded(path, limits::MAX_SECRET_FILE_BYTES).map(Secret::new) } else { read_secret(path) };
    match read {
        Ok(text) => *secret = text,
        Err(text) => problems.add(section, key, text),
    }
}

/// Every file an `auth` names.
fn auth_files(auth: &mut Auth) -> Vec<&mut PathBuf> {
    match auth {
        Auth::Mtls { certificate_file, key_file, ca_file, .. } => {
            [certificate_file, key_file].into_iter().chain(ca_file.as_mut()).collect()
        }
        other => secret_parts(other).map(|(_, path, _)| path).into_iter().collect(),
    }
}

/// The key, the path and the secret of an `auth` that has one.
fn secret_parts(auth: &mut Auth) -> Option<(&'static str, &mut PathBuf, &mut Secret)> {
    match auth {
        Auth::None => None,
        Auth::Basic { password_file, password, .. } => Some(("auth.password_file", password_file, password)),
        Auth::Bearer { token_file, token } => Some(("auth.token_file", token_file, token)),
        Auth::Mtls { key_file, key, .. } => Some(("auth.key_file", key_file, key)),
        Auth::BackendServices { key_file, key, .. } => Some(("auth.key_file", key_file, key)),
    }
}
