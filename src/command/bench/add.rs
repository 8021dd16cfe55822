//! Entries for the log, over connections that stay: each client sends its next entry when it was told the index of the last.
//!
//! It speaks just as much HTTP/1.1 as that takes, so that what is measured is the gateway and not the client beside it.

use crate::command::{FAULT, FINDINGS, FINE, complain};
use crate::demo::latencies::Latencies;
use clap::Args;
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 4096;

#[derive(Args)]
pub struct AddArguments {
    /// The gateway, over plain HTTP.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base: String,
    /// Clients at once; each sends its next entry when it was told the index of the last.
    #[arg(long, default_value_t = 32)]
    clients: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Bytes of an entry.
    #[arg(long, default_value_t = 256)]
    bytes: usize,
}

pub(super) async fn drive(arguments: &AddArguments) -> u8 {
    let Some(authority) = reqwest::Url::parse(&arguments.base).ok().and_then(|url| authority(&url)) else {
        return complain(FAULT, "--base is not a URL of http with a host");
    };
    let begin = Instant::now();
    let end = begin + Duration::from_secs(arguments.seconds);
    let clients: Vec<_> = (0..arguments.clients)
        .map(|client| {
            let (authority, bytes) = (authority.clone(), arguments.bytes);
            tokio::spawn(async move { Client::new(authority, client, bytes).run(end).await })
        })
        .collect();
    let (mut taken, mut failed, mut last, mut reason) = (Vec::new(), 0, 0, None);
    for client in clients {
        match client.await {
            Ok(Ok(told)) => {
                last = told.last_index.max(last);
                taken.extend(told.latencies);
            }
            Ok(Err(error)) => {
                failed += 1;
                reason.get_or_insert(error);
            }
            Err(_) => failed += 1,
        }
    }
    let (elapsed, latencies) = (begin.elapsed(), Latencies::of(taken));
    answer!(
        "clients {:>4}  entries {:>7} of {} bytes  failed {failed}  {:>8.0}/s  {latencies}  last index {last}",
        arguments.clients,
        latencies.count(),
        arguments.bytes,
        latencies.rate(elapsed),
    );
    if let Some(reason) = reason {
        remark!("the first client that ended early: {reason}");
    }
    if failed == 0 { FINE } else { FINDINGS }
}

fn authority(url: &reqwest::Url) -> Option<String> {
    let host = url.host_str()?;
    (url.scheme() == "http").then(|| format!("{host}:{}", url.port_or_known_default().unwrap_or(80)))
}

/// What one client was told.
struct Told {
    latencies: Vec<Duration>,
    last_index: u64,
}

struct Client {
    authority: String,
    number: u32,
    bytes: usize,
}

impl Client {
    fn new(authority: String, number: u32, bytes: usize) -> Client {
        Client { authority, number, bytes: bytes.max(16) }
    }

    async fn run(&self, end: Instant) -> Result<Told, Error> {
        let mut stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let mut told = Told { latencies: Vec::new(), last_index: 0 };
        let mut answer = Vec::new();
        while Instant::now() < end {
            let begin = Instant::now();
            stream.write_all(&self.request(told.latencies.len())).await?;
            told.last_index = read_index(&mut stream, &mut answer).await?;
            told.latencies.push(begin.elapsed());
        }
        Ok(told)
    }

    /// An entry that no other client or round sends.
    fn request(&self, round: usize) -> Vec<u8> {
        let head = format!("POST /ledger/add HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n", self.authority, self.bytes);
        let mut request = head.into_bytes();
        let end = request.len() + self.bytes;
        request.extend(std::process::id().to_le_bytes());
        request.extend(self.number.to_be_bytes());
        request.extend((round as u64).to_be_bytes());
        request.resize(end, 0xA5);
        request
    }
}

/// Reads one answer: status 200 and a decimal index.
async fn read_index(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<u64, Error> {
    answer.clear();
    loop {
        if let Some(index) = index_of(answer)? {
            return Ok(index);
        }
        if answer.len() > MAX_ANSWER_BYTES || stream.read_buf(answer).await? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the answer ends too early or not at all"));
        }
    }
}

/// The index in an answer, once it is whole.
fn index_of(answer: &[u8]) -> Result<Option<u64>, Error> {
    let malformed = || Error::new(ErrorKind::InvalidData, "the answer is not what the log should say");
    let Some(head_ends) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = answer.split_at_checked(head_ends + 4).ok_or_else(malformed)?;
    let head = std::str::from_utf8(head).map_err(|_| malformed())?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    if status != "200" {
        return Err(Error::new(ErrorKind::InvalidData, format!("status {status}")));
    }
    let length = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(malformed)?;
    if body.len() < length {
        return Ok(None);
    }
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole_and_only_if_it_is_an_index() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx: y\r\n\r\n117";
        for length in 0..whole.len() {
            assert_eq!(index_of(&whole[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(index_of(whole).unwrap(), Some(117));
        for wrong in [
            &b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n117",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
        ] {
            assert!(index_of(wrong).is_err());
        }
    }
}
