//! Visits the logs that are mirrored, and keeps what they show.

use super::files;
use super::remote::RemoteLog;
use crate::clock::Clock;
use crate::ledger::history::MAX_HISTORY_BYTES;
use crate::ledger::mirror::{Mirrored, mirror};
use crate::ledger::{Checkpoint, Folder, Followed, KeyHistory, LedgerError, LogFiles, Note, SignatureError, SigningKey};
use crate::outcome::Fault;
use crate::store::Seen;
use data_encoding::HEXLOWER;
use reqwest::Client;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A log that shows less than was cosigned of it is told of after so many visits in a row.
const VISITS_BEHIND: u32 = 10;

/// Where a gateway shows its log's key history, beside the log.
const KEYS: &str = "keys";

/// The mirrored logs of this gateway.
#[derive(Clone)]
pub(super) struct Mirror {
    pub(super) http: Client,
    pub(super) folder: PathBuf,
    pub(super) logs: Arc<Followed>,
    /// What the witness beside it has cosigned.
    pub(super) seen: Seen,
    pub(super) key: SigningKey,
    pub(super) clock: Clock,
    pub(super) interval: Duration,
}

impl Mirror {
    /// Visits each log again and again until told to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut visits_behind: HashMap<String, u32> = HashMap::new();
        loop {
            for (log, url) in self.logs.logs() {
                let Some(url) = url.map(str::to_owned) else { continue };
                let (mirror, origin) = (self.clone(), log.to_owned());
                let visited = tokio::task::spawn_blocking(move || mirror.visit(&url, &origin)).await;
                match visited {
                    Ok(Ok(mirrored)) => note_behind(log, &mirrored, visits_behind.entry(log.to_owned()).or_default()),
                    Ok(Err(error)) => report(log, &error),
                    Err(_) => {}
                }
                if *stop.borrow() {
                    return;
                }
            }
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    /// Copies a log, by the keys that its history leads to where those known so far did not sign.
    fn visit(&self, url: &str, origin: &str) -> Result<Mirrored, LedgerError> {
        let log = RemoteLog::new(self.http.clone(), url, Handle::current());
        let unsigned = match self.copy(&log, origin) {
            Err(error) if is_unsigned(&error) => error,
            copied => return copied,
        };
        match self.follow(&log, origin) {
            Ok(true) => self.copy(&log, origin),
            _ if matches!(unsigned, LedgerError::CopyRefused { .. }) => Err(unsigned),
            Ok(false) => Err(LedgerError::NotFollowed { reason: Box::new(unsigned) }),
            Err(reason) => Err(LedgerError::NotFollowed { reason: Box::new(reason) }),
        }
    }

    /// Takes in the key history that a log shows, and keeps it; whether it says something new.
    fn follow(&self, log: &RemoteLog, origin: &str) -> Result<bool, LedgerError> {
        let bytes = log.read(KEYS, MAX_HISTORY_BYTES)?.ok_or_else(|| LedgerError::Missing { path: KEYS.to_owned() })?;
        let text = String::from_utf8_lossy(&bytes);
        let history: KeyHistory = text.parse()?;
        let is_new = self.logs.follow(origin, &history)?;
        if is_new {
            let path = history_file(&self.folder, origin);
            std::fs::create_dir_all(&self.folder).map_err(|error| LedgerError::Storage { detail: error.to_string() })?;
            files::replace(&path, &bytes, || ())
                .map_err(|error| LedgerError::Storage { detail: format!("{}: {error}", path.display()) })?;
            tracing::info!(log = origin, key = %history.current(), "the log's key history is followed");
        }
        Ok(is_new)
    }

    fn copy(&self, log: &RemoteLog, origin: &str) -> Result<Mirrored, LedgerError> {
        let folder = Folder::new(log_folder(&self.folder, origin));
        let name: [u8; 32] = Sha256::digest(origin).into();
        let unreadable = |fault: Fault| LedgerError::Storage { detail: fault.detail };
        let seen = self.seen.checkpoint(&name).map_err(unreadable)?.as_deref().map(checkpoint_of).transpose()?;
        mirror(log, &folder, &self.logs.believed().only(origin), seen.as_ref(), |note, checkpoint, keep| {
            let cosigned = self.cosign(note, checkpoint)?;
            // The witness has the same lock when it looks at what is mirrored: the two never sign for trees that contradict each other.
            let kept = |seen: Option<String>| keep(seen.as_deref().map(checkpoint_of).transpose()?.as_ref(), &cosigned);
            self.seen.holding(&name, kept).map_err(unreadable)?
        })
    }

    fn cosign(&self, mut note: Note, checkpoint: &Checkpoint) -> Result<Note, LedgerError> {
        let seconds = u64::try_from(self.clock.now().seconds()).unwrap_or(0);
        note.add(self.key.cosign(&checkpoint.to_string(), seconds)?)?;
        Ok(note)
    }
}

/// Whether no key that is believed of a log signed what it shows, or what is held of it.
fn is_unsigned(error: &LedgerError) -> bool {
    match error {
        LedgerError::CopyRefused { reason } => is_unsigned(reason),
        LedgerError::Signature(reason) => matches!(reason, SignatureError::NoKnownKey | SignatureError::NotSignedByLog),
        _ => false,
    }
}

/// Follows the key histories that were followed before the last start.
pub(super) fn resume(logs: &Followed, folder: &Path) {
    for log in logs.logs().into_keys() {
        let path = history_file(folder, log);
        let followed = match std::fs::read_to_string(&path) {
            Ok(text) => text.parse().and_then(|history| logs.follow(log, &history)).map(drop).map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = followed {
            tracing::warn!(log, file = %path.display(), error, "the key history of a log that was followed before is not followed");
        }
    }
}

/// Where a log's key history is kept, beside what is mirrored of it.
fn history_file(folder: &Path, origin: &str) -> PathBuf {
    log_folder(folder, origin).with_extension("keys")
}

/// The tree that a witness's note is about.
fn checkpoint_of(note: &str) -> Result<Checkpoint, LedgerError> {
    Ok(note.parse::<Note>()?.unverified_text().parse()?)
}

/// Where a log is kept: under the SHA-256 of its origin.
pub(super) fn log_folder(folder: &Path, origin: &str) -> PathBuf {
    folder.join(HEXLOWER.encode(&Sha256::digest(origin)))
}

/// A log shows what it had cosigned a little later. One that goes on showing less is told of, again and again.
fn note_behind(origin: &str, mirrored: &Mirrored, visits_behind: &mut u32) {
    let Some(cosigned_size) = mirrored.cosigned_size else {
        *visits_behind = 0;
        return;
    };
    *visits_behind += 1;
    if *visits_behind >= VISITS_BEHIND {
        *visits_behind = 0;
        report(origin, &LedgerError::Behind { cosigned_size, size: mirrored.checkpoint.size });
    }
}

/// A log that contradicts what is held is an alarm; one that does not answer is not.
fn report(origin: &str, error: &LedgerError) {
    let contradicts =
        matches!(error, LedgerError::NotAnExtension { .. } | LedgerError::RootDiffers { .. } | LedgerError::LeafDiffers { .. });
    if contradicts {
        metrics::counter!("hearthgate_mirror_split_view_total").increment(1);
        tracing::error!(log = origin, %error, "SPLIT VIEW: a mirrored log contradicts what is held of it; nothing was taken over");
    } else if matches!(error, LedgerError::CopyDiffers { .. } | LedgerError::CopyRefused { .. }) {
        tracing::error!(log = origin, %error, "the copy of a mirrored log is not what it should be; nothing is added to it until that is mended");
    } else if matches!(error, LedgerError::Behind { .. }) {
        metrics::counter!("hearthgate_mirror_behind_total").increment(1);
        tracing::warn!(log = origin, %error, "a mirrored log shows less than what was cosigned of it here; nothing is signed for until it shows that");
    } else {
        tracing::warn!(log = origin, %error, "a mirrored log could not be copied");
    }
}
