//! What the gateway has to do with logs: where its own goes, who cosigns it, and whose it cosigns and copies.

use super::keys::signing_key;
use super::mirror::{self, Mirror};
use super::publish::Publisher;
use super::published::PublishedLog;
use super::remote::log_client;
use super::witnesses::Witnesses;
use crate::api::{WitnessState, witness_router};
use crate::clock::{Clock, Entropy};
use crate::config::{Settings, Witness, read_bounded};
use crate::ledger::policy::MAX_POLICY_BYTES;
use crate::ledger::{Algorithm, Folder, Followed, LogKeys, Policy, SigningKey, VerifierKey};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Seen, Spare, Store};
use axum::Router;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What two publications may be apart, in bytes of tiles and entries: some 14,000 leaves with all their tiles.
const SPARE_BYTES: u64 = 4 << 20;

/// Those who watch our log, and those we watch.
pub(super) struct Others {
    witnesses: Option<Witnesses>,
    witness: Option<WitnessState>,
    mirror: Option<Mirror>,
}

impl Others {
    /// What the configuration asks for: nothing by default.
    pub(super) fn build(settings: &Settings, store: &Store, keys: &LogKeys, clock: &Clock, entropy: &Entropy) -> Result<Others, Fault> {
        let ledger = &settings.ledger;
        let witnesses = match &ledger.witnesses_file {
            None => None,
            Some(file) => {
                let interval = Duration::from_millis(ledger.witness_interval_ms);
                let witnesses = Witnesses::new(store.clone(), log_client()?, read_policy(file)?, keys, interval);
                witnesses.resume(&Folder::new(settings.storage.data_dir.join("ledger")));
                Some(witnesses)
            }
        };
        let (mut witness, mut copying) = (None, None);
        if let Some(section) = &ledger.witness {
            let logs = Arc::new(Followed::new(read_policy(&section.logs_file)?));
            mirror::resume(&logs, &settings.storage.data_dir.join("mirror"));
            let key = key_of(settings, &format!("{}/mirror", section.name), "mirror.key", entropy)?;
            let state = witness_state(settings, section, (Arc::clone(&logs), key.verifier()), clock, entropy)?;
            copying = Some(Mirror {
                http: log_client()?,
                folder: state.mirrored.clone(),
                logs,
                seen: state.seen.clone(),
                key,
                clock: clock.clone(),
                interval: Duration::from_millis(section.mirror_interval_ms),
            });
            witness = Some(state);
        }
        Ok(Others { witnesses, witness, mirror: copying })
    }

    /// The routes of the witness.
    pub(super) fn routes(&self) -> Router {
        self.witness.clone().map_or_else(Router::new, witness_router)
    }

    /// Begins to ask and to copy; once.
    pub(super) fn start(&mut self, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let asking = self.witnesses.take().map(|witnesses| tokio::spawn(witnesses.run(stopped.clone())));
        let copying = self.mirror.take().map(|mirror| tokio::spawn(mirror.run(stopped.clone())));
        asking.into_iter().chain(copying).collect()
    }
}

fn witness_state(
    settings: &Settings,
    section: &Witness,
    (logs, mirror_key): (Arc<Followed>, &VerifierKey),
    clock: &Clock,
    entropy: &Entropy,
) -> Result<WitnessState, Fault> {
    let folder = &settings.storage.data_dir;
    Ok(WitnessState {
        logs,
        seen: Seen::open(&folder.join("witness.db"))?,
        key: key_of(settings, &section.name, "witness.key", entropy)?,
        clock: clock.clone(),
        mirror_key: mirror_key.clone(),
        mirrored: folder.join("mirror"),
    })
}

/// A cosigner's key, in the folder of the other keys.
fn key_of(settings: &Settings, name: &str, file: &str, entropy: &Entropy) -> Result<SigningKey, Fault> {
    let key = signing_key(&settings.keys_dir().join(file), name, Algorithm::CosignatureV1, entropy)?;
    tracing::info!(key = %key.verifier(), "cosigning");
    Ok(key)
}

/// Who signs and cosigns this log, as a policy file for its readers.
pub(super) fn own_policy(settings: &Settings, keys: &LogKeys) -> Result<String, Fault> {
    let second = keys.second().map(|key| format!("witness ml-dsa-44 {key}\n")).unwrap_or_default();
    let log = format!("log {}\n{second}", keys.verifier());
    let Some(file) = &settings.ledger.witnesses_file else { return Ok(log + "quorum none\n") };
    let text = read_bounded(file, MAX_POLICY_BYTES as u64).map_err(|text| Fault::new(FaultKind::Internal, text))?;
    let others = text.split_inclusive('\n').filter(|line| !line.starts_with("log "));
    Ok(others.fold(log, |policy, line| policy + line))
}

fn read_policy(file: &Path) -> Result<Policy, Fault> {
    let wrong = |text: String| Fault::new(FaultKind::Internal, text);
    let text = read_bounded(file, MAX_POLICY_BYTES as u64).map_err(wrong)?;
    Policy::parse(text.as_bytes()).map_err(|error| wrong(format!("{}: {error}", file.display())))
}

/// What publishes our log.
pub(super) fn publisher(settings: &Settings, store: &Store) -> Result<Publisher, Fault> {
    let folder = settings.storage.data_dir.join("ledger");
    let (place, spare) = match &settings.ledger.publish {
        Some(bucket) => (PublishedLog::in_bucket(bucket)?, Spare::within(None, 0)),
        None => (PublishedLog::in_folder(&folder)?, Spare::within(Some(&folder), SPARE_BYTES)),
    };
    Ok(Publisher::new(store.clone(), place, spare, Duration::from_millis(settings.ledger.max_unpublished_ms)))
}
