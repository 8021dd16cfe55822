//! HTTP Message Signatures (RFC 9421) of requests: the base that was signed, rebuilt from what arrived, and the rules a signature must meet.

use super::digest;
use super::fields::{Bare, Item, Member, Parameters, dictionary, write_item, write_list};
use super::key::{Algorithm, PublicKey};
use super::problem::Problem;
use super::verified::Verified;
use crate::clock::Instant;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::time::Duration;

/// How many signatures one request may carry.
const MAX_LABELS: usize = 4;
const INPUT: &str = "The Signature-Input header";
const SIGNATURE: &str = "The Signature header";
/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// A request as a signer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, the port left out where it is the scheme's own.
    pub authority: &'a str,
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// Header fields in the order they came, their names in lower case.
    pub fields: &'a [(String, String)],
    pub body: &'a [u8],
}

/// How old a signature may be.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    pub now: Instant,
    /// How far the signer's clock may differ.
    pub skew: Duration,
    /// How long after `created` a request is taken.
    pub max_age: Duration,
}

/// A signature that meets every rule but the last: whether it holds.
#[derive(Debug, Clone)]
pub struct HttpSignature {
    key_id: String,
    algorithm: Option<Algorithm>,
    base: String,
    signature: Vec<u8>,
    created: Instant,
}

/// The signatures of a request, ready to be checked with keys; none when it is not signed. A Content-Digest is checked either way.
///
/// A signature must name its key and when it was made; of a request with a body it must cover the Content-Digest, of one without the method and
/// the target. Whoever signs less has not signed what is stored.
pub fn http_signatures(request: &Request<'_>, freshness: Freshness) -> Result<Vec<HttpSignature>, Problem> {
    let digested = match request.field("content-digest") {
        Some(field) => digest::check(&field, request.body)?,
        None => false,
    };
    let (input, signatures) = match (request.field("signature-input"), request.field("signature")) {
        (None, None) => return Ok(Vec::new()),
        (Some(input), Some(signatures)) => (dictionary(&input, INPUT)?, dictionary(&signatures, SIGNATURE)?),
        (None, Some(_)) => return Err(Problem::Missing("a Signature-Input header that says what was signed")),
        (Some(_), None) => return Err(Problem::Missing("a Signature header for every label of Signature-Input")),
    };
    if input.len() > MAX_LABELS {
        return Err(Problem::TooMany("signatures in one request"));
    }
    if input.len() != signatures.len() || input.is_empty() {
        return Err(Problem::Missing("a Signature and a Signature-Input under the same label"));
    }
    let one = |(label, member): (String, Member)| {
        let bytes = signatures.iter().find(|(name, _)| *name == label).map(|(_, member)| member);
        let (Some(Member::Item { bare: Bare::Bytes(bytes) }), Member::List { items, parameters }) = (bytes, member) else {
            return Err(Problem::Missing("a Signature and a Signature-Input under the same label"));
        };
        covers_enough(&items, request, digested)?;
        read(&items, &parameters, bytes.clone(), request, freshness)
    };
    input.into_iter().map(one).collect()
}

fn covers_enough(items: &[Item], request: &Request<'_>, digested: bool) -> Result<(), Problem> {
    let covers = |name: &str| items.iter().any(|item| item.bare == Bare::Text(name.to_owned()));
    if !request.body.is_empty() {
        let is_bound = covers("content-digest") && digested;
        return if is_bound { Ok(()) } else { Err(Problem::Missing("\"content-digest\" among its components, with sha-256 or sha-512")) };
    }
    let names_target = covers("@target-uri") || covers("@path") || covers("@request-target");
    if covers("@method") && names_target { Ok(()) } else { Err(Problem::Missing("\"@method\" and \"@target-uri\" among its components")) }
}

fn read(
    items: &[Item],
    parameters: &Parameters,
    signature: Vec<u8>,
    request: &Request<'_>,
    freshness: Freshness,
) -> Result<HttpSignature, Problem> {
    let parameter = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let seconds = |name: &'static str| match parameter(name) {
        None => Ok(None),
        Some(Bare::Integer(seconds)) => Ok(Some(Instant::from_seconds(*seconds))),
        Some(_) => Err(Problem::Unreadable(INPUT)),
    };
    let created = seconds("created")?.ok_or(Problem::Missing("'created', the time it was made"))?;
    if created > freshness.now + freshness.skew {
        return Err(Problem::FromTheFuture);
    }
    let is_old = freshness.now > created + freshness.max_age + freshness.skew;
    if is_old || seconds("expires")?.is_some_and(|expires| freshness.now > expires) {
        return Err(Problem::Expired);
    }
    let key_id = match parameter("keyid") {
        Some(Bare::Text(id)) => id.clone(),
        Some(_) => return Err(Problem::Unreadable(INPUT)),
        None => return Err(Problem::Missing("'keyid', a key of the client's registered key set")),
    };
    let algorithm = match parameter("alg") {
        None => None,
        Some(Bare::Text(name)) => Some(Algorithm::of_http(name).ok_or(Problem::NotOffered("an algorithm"))?),
        Some(_) => return Err(Problem::Unreadable(INPUT)),
    };
    Ok(HttpSignature { key_id, algorithm, base: base(items, parameters, request)?, signature, created })
}

impl HttpSignature {
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Checks it with the signer's keys.
    pub fn verify(self, keys: &[PublicKey]) -> Result<Verified, Problem> {
        let mut named = keys.iter().filter(|key| key.id() == self.key_id).peekable();
        if named.peek().is_none() {
            return Err(Problem::UnknownKey);
        }
        let fitting: Vec<(&PublicKey, Algorithm)> = named
            .filter_map(|key| Some((key, self.algorithm.or_else(|| key.http_algorithm())?)))
            .filter(|(key, algorithm)| key.fits(*algorithm))
            .collect();
        if fitting.is_empty() {
            return Err(Problem::UnknownKey);
        }
        let held = fitting.into_iter().find(|(key, algorithm)| key.verifies(*algorithm, self.base.as_bytes(), &self.signature));
        let (key, algorithm) = held.ok_or(Problem::DoesNotHold)?;
        Ok(Verified::of_message(key, algorithm, &self.base, &self.signature, self.created))
    }
}

/// The signature base (RFC 9421 section 2.5).
pub(super) fn base(items: &[Item], parameters: &Parameters, request: &Request<'_>) -> Result<String, Problem> {
    let mut lines: Vec<String> = Vec::with_capacity(items.len() + 1);
    for (index, item) in items.iter().enumerate() {
        if items.iter().take(index).any(|earlier| earlier == item) {
            return Err(Problem::Repeated("A covered component"));
        }
        lines.push(format!("{}: {}", write_item(item), request.component(item)?));
    }
    lines.push(format!("\"@signature-params\": {}", write_list(items, parameters)));
    Ok(lines.join("\n"))
}

impl Request<'_> {
    /// The value of a field: its lines trimmed and joined, as RFC 9421 section 2.1 has it.
    fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> =
            self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim_matches([' ', '\t'])).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    fn component(&self, item: &Item) -> Result<String, Problem> {
        let Bare::Text(name) = &item.bare else { return Err(Problem::Unreadable(INPUT)) };
        if name == "@query-param" {
            return self.query_parameter(&item.parameters);
        }
        if !item.parameters.is_empty() {
            return Err(Problem::NotOffered("a parameter of a component"));
        }
        let path = if self.path.is_empty() { "/" } else { self.path };
        let query = self.query.map(|query| format!("?{query}"));
        Ok(match name.as_str() {
            "@method" => self.method.to_owned(),
            "@authority" => self.authority.to_owned(),
            "@scheme" => self.scheme.to_owned(),
            "@path" => path.to_owned(),
            "@query" => query.unwrap_or_else(|| "?".to_owned()),
            "@request-target" => format!("{path}{}", query.unwrap_or_default()),
            "@target-uri" => format!("{}://{}{path}{}", self.scheme, self.authority, query.unwrap_or_default()),
            derived if derived.starts_with('@') => return Err(Problem::NotOffered("a derived component")),
            field if field.bytes().any(|byte| byte.is_ascii_uppercase()) => return Err(Problem::Unreadable(INPUT)),
            field => self.field(field).ok_or(Problem::AbsentComponent)?,
        })
    }

    fn query_parameter(&self, parameters: &Parameters) -> Result<String, Problem> {
        let [(name, Bare::Text(wanted))] = parameters.as_slice() else { return Err(Problem::Unreadable(INPUT)) };
        if name != "name" {
            return Err(Problem::NotOffered("a parameter of a component"));
        }
        let again = |text: &str| {
            let decoded = percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
            utf8_percent_encode(&decoded, FORM).to_string()
        };
        let pairs = self.query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(name, _)| again(name) == *wanted).map(|(_, value)| again(value));
        // One that comes twice must not be covered: which of them was meant cannot be said (section 2.2.8).
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(Problem::AbsentComponent),
        }
    }
}
