//! The log's keys in their files, and how one gives way to the next.
//!
//! Beside the signing key (`ledger.key`) lie the key history (`ledger.history`, public) and the ML-DSA-44 key (`ledger.ml-dsa-44.key`) where
//! there is one. A rotation writes the next key (`ledger.next.key`), then the history that names it, then moves the key into place: whatever
//! step it is cut off at, the next start or rotation finds one state or the other.

use super::files::{self, kept, sync_folder};
use super::publish::{published, published_in_bucket};
use super::store_settings;
use crate::anchor::LeafKeys;
use crate::clock::Entropy;
use crate::config::Settings;
use crate::killpoint;
use crate::ledger::history::MAX_HISTORY_BYTES;
use crate::ledger::{Algorithm, Checkpoint, KeyHistory, LedgerError, LogKeys, Note, SigningKey, VerifierKey};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Keyring, Recounted, Store, StoreSettings, leaf_secret, recount};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The keys of records and patients. The key that opens them is drawn for a new gateway alone: beside data, or keys that it does not open, one
/// drawn anew would give everybody new ids and sever what follows from what there is.
pub(super) fn keyring(settings: &Settings, entropy: &Entropy) -> Result<Keyring, Fault> {
    let (folder, path) = (settings.keys_dir(), settings.gateway_key_file());
    if let Some(given) = given_gateway_key(settings)? {
        return Keyring::open(&folder, given, entropy.clone());
    }
    let is_new = !data_of(settings).exists() && !folder.join("keys.db").exists();
    if !is_new && !path.exists() {
        let text = format!("{}: is missing, and there is data that was written with it. Put it back.", path.display());
        return Err(Fault::new(FaultKind::Storage, text));
    }
    Keyring::open(&folder, files::secret(&path, entropy)?, entropy.clone())
}

/// The key that opens the others, where it comes with the environment. What stands there is never told.
fn given_gateway_key(settings: &Settings) -> Result<Option<[u8; 32]>, Fault> {
    let Some(name) = &settings.storage.gateway_key_env else { return Ok(None) };
    let wrong = |what: &str| Fault::new(FaultKind::Storage, format!("the environment variable {name} ([storage] gateway_key_env) {what}"));
    let text = std::env::var(name).map_err(|_| wrong("is not set"))?;
    files::secret_of(&text).map(Some).ok_or_else(|| wrong("does not hold 32 bytes in hexadecimal"))
}

/// Draws a new signing key for a log at rest, signed by the one before it, and gives the history with it.
///
/// # Errors
/// When the gateway runs, or the log does not open, or a file cannot be written.
pub fn rotate_ledger_key(settings: &Settings, entropy: &Entropy) -> Result<KeyHistory, Fault> {
    check_there(settings)?;
    let keys = log_keys(settings, entropy)?;
    let store = Store::open(store_settings(settings, false), keys.clone(), keyring(settings, entropy)?)?;
    check_settled(&store)?;
    rotate(settings, &keys, &store.ledger_head().note, entropy)
}

/// The key by which the leaves of a gateway can be read, whether it runs or not.
///
/// # Errors
/// When there is no gateway's data, or its key is not beside it.
pub fn leaf_secret_of(settings: &Settings) -> Result<[u8; 32], Fault> {
    check_there(settings)?;
    if let Some(given) = given_gateway_key(settings)? {
        return Ok(leaf_secret(&given));
    }
    let path = settings.gateway_key_file();
    if !path.exists() {
        return Err(wrong(&path, "is missing"));
    }
    files::secret(&path, &Entropy::system()).map(|gateway| leaf_secret(&gateway))
}

/// Takes a log at rest whose register was lost for the newest there is, and gives its size.
///
/// # Errors
/// When the gateway runs, the log does not open, or a larger one was published, in the data folder or a configured bucket, which must answer.
pub fn adopt_ledger(settings: &Settings, entropy: &Entropy) -> Result<u64, Fault> {
    check_there(settings)?;
    let keys = log_keys(settings, entropy)?;
    let published = published(settings, keys.history())?.into_iter().chain(published_in_bucket(settings, keys.history())?);
    let store_settings = StoreSettings { published: published.collect(), ..store_settings(settings, true) };
    let store = Store::open(store_settings, keys.clone(), keyring(settings, entropy)?)?;
    check_settled(&store)?;
    Ok(store.ledger_head().size())
}

/// Makes the counters under the tags of a log at rest, and its index, anew from its leaves, which must make the tree that was signed.
///
/// # Errors
/// When the gateway runs, or the leaves are damaged themselves.
pub fn recount_ledger(settings: &Settings, entropy: &Entropy) -> Result<Recounted, Fault> {
    check_there(settings)?;
    let keys = log_keys(settings, entropy)?;
    let opened = |note: &str| {
        let failed = |error: LedgerError| Fault::new(FaultKind::Ledger, format!("the stored checkpoint is not ours: {error}"));
        let note: Note = note.parse().map_err(|error: crate::ledger::Malformed| failed(error.into()))?;
        keys.history().open(&note, &settings.ledger.origin).map_err(failed)
    };
    let published = published(settings, keys.history())?;
    let form = LeafKeys::new(keyring(settings, entropy)?.leaf_secret());
    recount(&store_settings(settings, false), published.as_ref().map(|published| &published.checkpoint), opened, &form)
}

/// Nothing is made where a log at rest is expected.
fn check_there(settings: &Settings) -> Result<(), Fault> {
    if data_of(settings).exists() {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Storage, format!("{}: there is no gateway's data here", settings.storage.data_dir.display())))
}

fn data_of(settings: &Settings) -> PathBuf {
    settings.storage.data_dir.join("data.db")
}

/// Records that a crash left are in the log by now, unless there was no room for them.
fn check_settled(store: &Store) -> Result<(), Fault> {
    if store.is_settled() {
        return Ok(());
    }
    Err(Fault::new(FaultKind::StorageFull, "there is no room to take in the records that are owed: make room first"))
}

/// The log's keys, drawn and written for a new log: beside one that there is already, a key drawn anew could sign nothing that anybody believes.
pub(super) fn log_keys(settings: &Settings, entropy: &Entropy) -> Result<LogKeys, Fault> {
    let path = settings.ledger_key_file();
    let origin = settings.ledger.origin.as_str();
    finish_rotation(&path)?;
    if data_of(settings).exists() && !path.exists() {
        return Err(wrong(&path, "is missing, and there is a log that was signed with it. Put it back."));
    }
    let current = signing_key(&path, origin, Algorithm::Ed25519, entropy)?;
    let second_path = beside(&path, "ml-dsa-44.key");
    let second = settings.ledger.ml_dsa_44.then(|| signing_key(&second_path, origin, Algorithm::MlDsa44, entropy)).transpose()?;
    let history = read_history(&path)?.unwrap_or_else(|| KeyHistory::of(current.verifier().clone()));
    LogKeys::new(current, second, history).map_err(|error| wrong(&path, &error.to_string()))
}

/// Draws a new signing key, has the old one sign it at the log's newest checkpoint, and puts it into place. The gateway must not be running:
/// the caller holds its folder.
fn rotate(settings: &Settings, keys: &LogKeys, note: &str, entropy: &Entropy) -> Result<KeyHistory, Fault> {
    let path = settings.ledger_key_file();
    let failed = |error: LedgerError| wrong(&path, &error.to_string());
    let parsed: Note = note.parse().map_err(|error: crate::ledger::Malformed| failed(error.into()))?;
    let checkpoint: Checkpoint = keys.history().open(&parsed, &settings.ledger.origin).map_err(failed)?;
    let next_path = beside(&path, "next.key");
    // A next key that a rotation left behind was never named by a history, or it would have been put into place.
    let _ = fs::remove_file(&next_path);
    let next = signing_key(&next_path, &settings.ledger.origin, Algorithm::Ed25519, entropy)?;
    let old = signing_key(&path, &settings.ledger.origin, Algorithm::Ed25519, entropy)?;
    killpoint::reached("rotate-drawn");
    let mut history = keys.history().clone();
    history.succeed(&old, &next, &checkpoint).map_err(failed)?;
    let named = history_path(&path);
    let written = files::replace(&named, history.to_string().as_bytes(), || killpoint::reached("rotate-unnamed"));
    written.map_err(|error| storage(&named, &error))?;
    killpoint::reached("rotate-named");
    finish_rotation(&path)?;
    killpoint::reached("rotate-moved");
    Ok(history)
}

/// Moves the next key into place when the history says that the log was handed over to it.
fn finish_rotation(path: &Path) -> Result<(), Fault> {
    let next_path = beside(path, "next.key");
    let (Some(history), Ok(text)) = (read_history(path)?, fs::read_to_string(&next_path)) else { return Ok(()) };
    let next = SigningKey::from_secret_text(&text).map_err(|error| wrong(&next_path, &error.to_string()))?;
    if next.verifier() != history.current() {
        return Ok(());
    }
    fs::rename(&next_path, path).and_then(|()| sync_folder(path)).map_err(|error| storage(path, &error))
}

/// A key of ours, drawn and written when there is none yet.
pub(super) fn signing_key(path: &Path, origin: &str, algorithm: Algorithm, entropy: &Entropy) -> Result<SigningKey, Fault> {
    let text = kept(path, || {
        let key = SigningKey::from_seed(origin, algorithm, &entropy.bytes::<32>()).map_err(|error| wrong(path, &error.to_string()))?;
        Ok(key.to_secret_text())
    })?;
    let key = SigningKey::from_secret_text(text.trim()).map_err(|error| wrong(path, &error.to_string()))?;
    let verifier: &VerifierKey = key.verifier();
    if verifier.name() != origin || verifier.algorithm() != algorithm {
        return Err(wrong(path, "the key is for another log's origin, or of another kind"));
    }
    Ok(key)
}

fn read_history(path: &Path) -> Result<Option<KeyHistory>, Fault> {
    let path = history_path(path);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(storage(&path, &error)),
    };
    let mut text = String::new();
    file.take(MAX_HISTORY_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| storage(&path, &error))?;
    text.parse().map(Some).map_err(|error: LedgerError| wrong(&path, &error.to_string()))
}

fn history_path(key: &Path) -> PathBuf {
    beside(key, "history")
}

/// `ledger.key` → `ledger.<ending>`.
fn beside(key: &Path, ending: &str) -> PathBuf {
    key.with_extension(ending)
}

fn wrong(path: &Path, text: &str) -> Fault {
    Fault::new(FaultKind::Ledger, format!("{}: {text}", path.display()))
}

fn storage(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Storage, format!("{}: {error}", path.display()))
}
