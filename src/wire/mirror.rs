//! Visits the logs that are mirrored, and keeps what they show.

use super::remote::RemoteLog;
use crate::clock::Clock;
use crate::ledger::mirror::{Mirrored, mirror};
use crate::ledger::{Checkpoint, Folder, LedgerError, Note, Policy, SigningKey};
use crate::outcome::Fault;
use crate::store::Seen;
use data_encoding::HEXLOWER;
use reqwest::Client;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A log that shows less than was cosigned of it is told of after so many visits in a row.
const VISITS_BEHIND: u32 = 10;

/// The mirrored logs of this gateway.
#[derive(Clone)]
pub(super) struct Mirror {
    pub(super) http: Client,
    pub(super) folder: PathBuf,
    pub(super) logs: Arc<Policy>,
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
            for log in self.logs.logs() {
                let Some(url) = log.url.clone() else { continue };
                let (mirror, origin) = (self.clone(), log.key.name().to_owned());
                let visited = tokio::task::spawn_blocking(move || mirror.visit(&url, &origin)).await;
                match visited {
                    Ok(Ok(mirrored)) => note_behind(log.key.name(), &mirrored, visits_behind.entry(log.key.name().to_owned()).or_default()),
                    Ok(Err(error)) => report(log.key.name(), &error),
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

    fn visit(&self, url: &str, origin: &str) -> Result<Mirrored, LedgerError> {
        let log = RemoteLog::new(self.http.clone(), url, Handle::current());
        let folder = Folder::new(log_folder(&self.folder, origin));
        let name: [u8; 32] = Sha256::digest(origin).into();
        let unreadable = |fault: Fault| LedgerError::Storage { detail: fault.detail };
        let seen = self.seen.checkpoint(&name).map_err(unreadable)?.as_deref().map(checkpoint_of).transpose()?;
        mirror(&log, &folder, &self.logs.only(origin), seen.as_ref(), |note, checkpoint, keep| {
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
