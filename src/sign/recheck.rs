//! Checking the signatures of a stored Provenance again, anywhere, with nothing but the keys and the records.

use super::canonical::Canonicalisation;
use super::digest;
use super::document::{Candidate, DocumentSignature, is_jws};
use super::fields::{Bare, Member, dictionary};
use super::gateway::check_gateway_signature;
use super::key::{Algorithm, PublicKey, read_keys};
use super::message::Freshness;
use super::problem::Problem;
use super::verified::{Attestation, BASE_EXTENSION, KEY_EXTENSION, MESSAGE_FORMAT, Verified};
use crate::clock::Instant;
use crate::fhir::{Node, json};
use data_encoding::BASE64;
use std::time::Duration;

const KEY_DEPTH: usize = 8;

/// What the signatures are checked with.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The keys the reader believes to be the gateway's: by these alone a signature vouches for the Provenance it stands in.
    pub gateway_keys: &'a [PublicKey],
    /// The keys of whoever else may have signed.
    pub keys: &'a [PublicKey],
    /// The records at hand, as stored or as sent.
    pub records: &'a [Node],
    /// The bytes as received, for signatures of requests.
    pub received: Option<&'a [u8]>,
    pub freshness: Freshness,
}

/// What became of one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rechecked {
    Holds(Covered),
    /// It is of a format that is not judged here.
    NotJudged,
    Fails(Problem),
}

/// What a signature that holds is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// In words.
    pub what: &'static str,
    /// What the key that it holds by is called in its key set.
    pub key_id: String,
    /// Whether it is over the Provenance itself too.
    pub provenance: bool,
    /// Which of the records at hand it is over.
    pub records: Vec<usize>,
}

/// Checks every signature of a Provenance, in their order.
pub fn recheck(provenance: &Node, evidence: &Evidence<'_>) -> Vec<Rechecked> {
    let judged = provenance.items("signature").iter().map(|signature| match signature.text("sigFormat") {
        Some(MESSAGE_FORMAT) => message(signature, evidence),
        _ if is_jws(signature) => document(provenance, signature, evidence),
        _ => Ok(Rechecked::NotJudged),
    });
    judged.map(|judged| judged.unwrap_or_else(Rechecked::Fails)).collect()
}

fn document(provenance: &Node, signature: &Node, evidence: &Evidence<'_>) -> Result<Rechecked, Problem> {
    let signature = DocumentSignature::read(signature, evidence.freshness)?;
    let says_so = check_gateway_signature(signature.detached(), provenance).transpose()?.is_some();
    let mut payloads: Vec<Vec<u8>> = evidence.records.iter().map(|record| signature.canonicalisation.bytes(record)).collect();
    if is_deletion(provenance) && says_so {
        payloads.push(Vec::new());
    }
    if payloads.is_empty() {
        return Err(Problem::Missing("the record it is over: give it as a file"));
    }
    let holding = |keys| signature.holding_key(keys, payloads.iter().map(Vec::as_slice));
    // Anybody can write into a header of theirs what the gateway writes into its own.
    let gateways = holding(evidence.gateway_keys);
    let vouched = says_so && gateways.is_ok();
    // Where nobody else has a key of this name, what the gateway's said is the reason.
    let key = gateways
        .or_else(|problem| holding(evidence.keys).map_err(|other| if matches!(other, Problem::UnknownKey) { problem } else { other }))?;
    let given = payloads.iter().take(evidence.records.len()).enumerate();
    let what = match (vouched, signature.canonicalisation) {
        (true, _) => "the version and this Provenance",
        (false, _) if says_so => "the record alone, for the key was not given as the gateway's",
        (false, Canonicalisation::Json) => "the record",
        (false, Canonicalisation::Data) => "the record but for its narrative",
        (false, Canonicalisation::Static) => "the record but for its narrative and meta",
    };
    let records = given.filter(|(_, payload)| signature.detached().verifies(payload, key)).map(|(number, _)| number).collect();
    Ok(Rechecked::Holds(Covered { what, key_id: key.id().to_owned(), provenance: vouched, records }))
}

/// What the key that is kept with a signature is called in the key set it came from.
pub fn kept_key_id(element: &Node) -> Option<String> {
    Some(kept_keys(element).ok()?.first()?.id().to_owned())
}

/// The key that is kept with a signature.
fn kept_keys(element: &Node) -> Result<Vec<PublicKey>, Problem> {
    let kept = element.items("extension").iter().find(|extension| extension.text("url") == Some(KEY_EXTENSION));
    let jwk = kept.and_then(|extension| extension.text("valueString")).ok_or(Problem::Missing("its key, as an extension"))?;
    let jwk = json::parse(jwk.as_bytes(), KEY_DEPTH).map_err(|_| Problem::Unreadable("The kept key"))?;
    Ok(read_keys(&jwk))
}

/// Checks a kept signature once more, with the key that is kept with it, and stands for it again.
pub fn attest_again(element: &Node, document: &Node, received: &[u8], now: Instant) -> Result<Attestation, Problem> {
    let keys = kept_keys(element)?;
    let freshness = Freshness { now, skew: Duration::ZERO, max_age: Duration::ZERO };
    let verified = match element.text("sigFormat") {
        Some(MESSAGE_FORMAT) => {
            let evidence = Evidence { gateway_keys: &[], keys: &keys, records: &[], received: Some(received), freshness };
            message(element, &evidence)?;
            Verified::kept(element, keys.first().ok_or(Problem::UnknownKey)?)
        }
        _ => DocumentSignature::read(element, freshness)?.verify(&keys, &[Candidate { path: "", resource: document }])?,
    };
    let who = element.get("who").and_then(Node::as_object).cloned().unwrap_or_default();
    Ok(verified.by(who))
}

fn is_deletion(provenance: &Node) -> bool {
    let codings = provenance.get("activity").map(|activity| activity.items("coding")).unwrap_or_default();
    codings.iter().any(|coding| coding.text("code") == Some("DELETE"))
}

fn message(signature: &Node, evidence: &Evidence<'_>) -> Result<Rechecked, Problem> {
    const BASE: &str = "The signature base";
    let kept = signature.items("extension").iter().find(|extension| extension.text("url") == Some(BASE_EXTENSION));
    let base = kept.and_then(|extension| extension.text("valueString")).ok_or(Problem::Missing("its base, as an extension"))?;
    let bytes = signature.text("data").and_then(|data| BASE64.decode(data.as_bytes()).ok()).ok_or(Problem::Unreadable("Signature.data"))?;
    let (_, parameters) = base.rsplit_once("\n\"@signature-params\": ").ok_or(Problem::Unreadable(BASE))?;
    let members = dictionary(&format!("sig={parameters}"), BASE)?;
    let Some((_, Member::List { parameters, .. })) = members.first() else { return Err(Problem::Unreadable(BASE)) };
    let text = |wanted: &str| {
        parameters.iter().find_map(|(name, value)| match value {
            Bare::Text(text) if name == wanted => Some(text.as_str()),
            _ => None,
        })
    };
    let key_id = text("keyid").ok_or(Problem::Unreadable(BASE))?;
    let stated = text("alg").map(|name| Algorithm::of_http(name).ok_or(Problem::NotOffered("an algorithm"))).transpose()?;
    let mut named = evidence.gateway_keys.iter().chain(evidence.keys).filter(|key| key.id() == key_id).peekable();
    if named.peek().is_none() {
        return Err(Problem::UnknownKey);
    }
    let holds =
        |key: &PublicKey| stated.or_else(|| key.http_algorithm()).is_some_and(|algorithm| key.verifies(algorithm, base.as_bytes(), &bytes));
    if !named.any(holds) {
        return Err(Problem::DoesNotHold);
    }
    let digest = base.lines().find_map(|line| line.strip_prefix("\"content-digest\": "));
    let field = digest.ok_or(Problem::Missing("a Content-Digest among what it covers: it is over no bytes"))?;
    let received = evidence.received.ok_or(Problem::Missing("the bytes received, of which it covers the digest: give them as a file"))?;
    if !digest::check(field, received)? {
        return Err(Problem::NotOffered("a digest"));
    }
    Ok(Rechecked::Holds(Covered {
        what: "the request and the bytes received",
        key_id: key_id.to_owned(),
        provenance: false,
        records: Vec::new(),
    }))
}
