//! Fetching for the command line: bounded, over HTTPS, or plain HTTP on this machine only.

use reqwest::redirect::Policy;
use std::net::IpAddr;
use std::time::Duration;

/// How long one answer may take to begin and to arrive.
const TIME_OUT: Duration = Duration::from_secs(120);
/// How often an answer may point elsewhere.
const REDIRECTS_MAX: usize = 5;

/// Fetches, one at a time.
pub struct Fetcher {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Fetcher {
    pub fn new() -> Result<Fetcher, String> {
        // Another part of the process may have installed the provider before; either way there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let redirects = Policy::custom(|attempt| {
            let is_allowed = may_be_fetched(attempt.url());
            if attempt.previous().len() > REDIRECTS_MAX || !is_allowed { attempt.stop() } else { attempt.follow() }
        });
        let http = reqwest::Client::builder().redirect(redirects).timeout(TIME_OUT).build().map_err(|error| error.to_string())?;
        Ok(Fetcher { runtime, http })
    }

    /// The body at a URL, at most `limit_bytes` of it.
    pub fn get(&self, url: &str, limit_bytes: u64) -> Result<Vec<u8>, String> {
        let parsed = reqwest::Url::parse(url).map_err(|_| "it is no URL".to_owned())?;
        if !may_be_fetched(&parsed) {
            return Err("only https is fetched, or http on this machine".to_owned());
        }
        self.runtime.block_on(async {
            let mut response = self.http.get(parsed).send().await.map_err(|error| describe(&error))?;
            if response.status() != reqwest::StatusCode::OK {
                return Err(format!("the server answered {}", response.status().as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
                body.extend_from_slice(&chunk);
                if body.len() as u64 > limit_bytes {
                    return Err(format!("it is larger than {limit_bytes} bytes"));
                }
            }
            Ok(body)
        })
    }
}

fn may_be_fetched(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    what.to_owned()
}
