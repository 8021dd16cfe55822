//! Where a log is read from: a folder or a URL.

use crate::ledger::{Folder, LedgerError, LogFiles, TilePath};
use crate::wire::{RemoteLog, log_client};
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

/// A log to read; with a URL it brings the runtime that fetches.
pub enum Source {
    Folder(Folder),
    Url { log: RemoteLog, _runtime: Runtime },
}

impl Source {
    /// A URL when it looks like one, else a folder.
    pub fn open(place: &str) -> Result<Source, String> {
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Ok(Source::Folder(Folder::new(place)));
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| error.to_string())?;
        let http = log_client().map_err(|fault| fault.to_string())?;
        let log = RemoteLog::new(http, place, runtime.handle().clone());
        Ok(Source::Url { log, _runtime: runtime })
    }

    /// Whether a place can be a log: a folder or a URL, and not a file.
    pub fn is_log(place: &str) -> bool {
        place.starts_with("http://") || place.starts_with("https://") || Path::new(place).is_dir()
    }
}

impl LogFiles for Source {
    fn read(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        match self {
            Source::Folder(folder) => folder.read(path, max_bytes),
            Source::Url { log, .. } => log.read(path, max_bytes),
        }
    }

    fn partial_widths(&self, place: TilePath) -> Result<Vec<u16>, LedgerError> {
        match self {
            Source::Folder(folder) => folder.partial_widths(place),
            Source::Url { log, .. } => log.partial_widths(place),
        }
    }
}
