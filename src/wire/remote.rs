//! A log behind a URL, read over HTTP: bounded, without redirects, without credentials.

use crate::ledger::{Format, LedgerError, LogFiles, Malformed};
use crate::outcome::{Fault, FaultKind};
use reqwest::{Client, Response, StatusCode, redirect};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one file may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Repeats of a reading that failed on the way.
const REPEATS: u32 = 2;
/// The wait before a repeat.
const REPEAT_AFTER: Duration = Duration::from_millis(300);

/// The client towards other logs and witnesses.
pub fn log_client() -> Result<Client, Fault> {
    // Another part of the process may have installed the provider before; either way there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .timeout(TIMEOUT)
        .user_agent("hearthgate")
        .build()
        .map_err(|error| Fault::new(FaultKind::Internal, format!("http client: {error}")))
}

/// A log's files behind a URL prefix. It blocks: use it outside the runtime's own threads.
pub struct RemoteLog {
    http: Client,
    base: String,
    runtime: Handle,
}

impl RemoteLog {
    /// The log below this URL.
    pub fn new(http: Client, url: &str, runtime: Handle) -> RemoteLog {
        RemoteLog { http, base: url.trim_end_matches('/').to_owned(), runtime }
    }

    async fn fetch(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut repeats = 0;
        loop {
            match self.http.get(format!("{}/{path}", self.base)).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => return bounded(answer, path, max_bytes).await.map(Some),
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) if !answer.status().is_server_error() || repeats == REPEATS => {
                    return Err(failed(path, &format!("answered with status {}", answer.status().as_u16())));
                }
                Err(error) if repeats == REPEATS => return Err(failed(path, &error.without_url().to_string())),
                _ => {}
            }
            repeats += 1;
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }
}

impl LogFiles for RemoteLog {
    fn read(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        self.runtime.block_on(self.fetch(path, max_bytes))
    }
}

/// The body of an answer, when it is not longer than what can be right.
async fn bounded(mut answer: Response, path: &str, max_bytes: usize) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(path, &error.without_url().to_string()))? {
        if bytes.len() + chunk.len() > max_bytes {
            let reason = Malformed::new(Format::Tile, "it is larger than any can be");
            return Err(LedgerError::Damaged { path: path.to_owned(), reason });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn failed(path: &str, detail: &str) -> LedgerError {
    LedgerError::Storage { detail: format!("fetching {path}: {detail}") }
}
