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
            let mut body = Pieces::up_to(limit_bytes);
            if response.content_length().is_some_and(|stated| stated > limit_bytes) {
                return Err(body.too_large());
            }
            while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
                body.add(&chunk)?;
            }
            Ok(body.whole())
        })
    }
}

/// Bytes of one piece of a body.
const PIECE_BYTES: usize = 1 << 20;

/// A body as it comes, in pieces of one size: one that is refused at its limit has cost no more memory than the limit.
struct Pieces {
    limit_bytes: u64,
    bytes: u64,
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pieces {
    fn up_to(limit_bytes: u64) -> Pieces {
        Pieces { limit_bytes, bytes: 0, full: Vec::new(), last: Vec::new() }
    }

    fn too_large(&self) -> String {
        format!("it is larger than {} bytes", self.limit_bytes)
    }

    fn add(&mut self, mut chunk: &[u8]) -> Result<(), String> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limit_bytes {
            return Err(self.too_large());
        }
        while !chunk.is_empty() {
            if self.last.capacity() == 0 {
                self.last.reserve_exact(PIECE_BYTES);
            }
            let (fitting, rest) = chunk.split_at(chunk.len().min(PIECE_BYTES - self.last.len()));
            self.last.extend_from_slice(fitting);
            chunk = rest;
            if self.last.len() == PIECE_BYTES {
                self.full.push(std::mem::take(&mut self.last));
            }
        }
        Ok(())
    }

    /// The body in one; each piece is given back as soon as it is copied.
    fn whole(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        for piece in self.full.into_iter().chain([self.last]) {
            whole.extend_from_slice(&piece);
        }
        whole
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_up_to_its_limit() {
        let limit = PIECE_BYTES as u64 * 2 + 3;
        let sent: Vec<u8> = (0..limit).map(|number| (number % 251) as u8).collect();
        let mut pieces = Pieces::up_to(limit);
        sent.chunks(700_001).for_each(|chunk| pieces.add(chunk).unwrap());
        assert!(pieces.full.iter().chain([&pieces.last]).all(|piece| piece.capacity() <= PIECE_BYTES));
        assert_eq!(pieces.add(b"x"), Err(format!("it is larger than {limit} bytes")));
        let mut pieces = Pieces::up_to(limit);
        sent.chunks(PIECE_BYTES * 2).for_each(|chunk| pieces.add(chunk).unwrap());
        assert!(pieces.whole() == sent);
    }
}
