//! The signatures of a Provenance (R4 §6.3, `Provenance.signature`): which resource each is over, and whether it holds.
//!
//! Signatures of other formats than detached JWS are not judged: they stay in the Provenance as what somebody claims.

use super::canonical::Canonicalisation;
use super::jws::{Detached, MAX_DETACHED_BYTES};
use super::key::{Algorithm, PublicKey};
use super::message::Freshness;
use super::problem::Problem;
use super::verified::{CANON_EXTENSION, Verified};
use crate::clock::Instant;
use crate::fhir::{Node, Object};
use crate::outcome::{Finding, IssueType, Severity};
use data_encoding::BASE64;

/// Signatures of one Provenance that are looked at.
pub const MAX_SIGNATURES: usize = 8;
/// Resources one signature is tried on.
const MAX_CANDIDATES: usize = 64;
const FORMAT: &str = "application/jose";

/// A resource a signature may be over, and where it stood in what was received.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub path: &'a str,
    pub resource: &'a Node,
}

/// A JWS taken from a Provenance. Nothing in it is proved yet.
#[derive(Debug, Clone)]
pub struct DocumentSignature {
    pub(super) element: Object,
    pub(super) canonicalisation: Canonicalisation,
    detached: Detached,
    algorithm: Algorithm,
    key_id: String,
}

/// The JWS among a Provenance's signatures.
pub fn signatures_of(provenance: &Node, freshness: Freshness) -> Result<Vec<DocumentSignature>, Problem> {
    let signatures = provenance.items("signature");
    if signatures.len() > MAX_SIGNATURES {
        return Err(Problem::TooMany("signatures in one Provenance"));
    }
    signatures.iter().filter(|signature| is_jws(signature)).map(|signature| DocumentSignature::read(signature, freshness)).collect()
}

/// Whether a signature says that it is a JWS. Media types are written in any letters, and may have parameters (RFC 9110 §8.3.1).
pub(super) fn is_jws(signature: &Node) -> bool {
    let media = signature.text("sigFormat").map(|media| media.split(';').next().unwrap_or(media).trim());
    media.is_some_and(|media| media.eq_ignore_ascii_case(FORMAT))
}

/// What is said of the signatures of a Provenance that are of formats that nobody here checks: they are kept, and prove nothing.
pub fn unjudged(resource: &Node) -> Vec<Finding> {
    let is_provenance = resource.resource_type() == Some("Provenance");
    let signatures = resource.items("signature").iter().enumerate().filter(|(_, signature)| is_provenance && !is_jws(signature));
    let finding = |(number, _): (usize, &Node)| {
        let text = "This signature is of a format that is not checked here (a detached JWS, application/jose, is). It is kept as the sender's word.";
        Finding::new(Severity::Warning, IssueType::NotSupported, "signature-not-judged", text).at(format!("Provenance.signature[{number}]"))
    };
    signatures.map(finding).collect()
}

/// The canonicalisation a signature names beside its JWS: R4's parameter of the target's media type, or what the gateway has written down.
fn stated_canon(signature: &Node) -> Option<&str> {
    let noted = signature.items("extension").iter().find(|extension| extension.text("url") == Some(CANON_EXTENSION));
    let (_, uri) = match noted.and_then(|extension| extension.text("valueUri")) {
        Some(uri) => return Some(uri),
        None => signature.text("targetFormat")?.split_once("canonicalization=")?,
    };
    Some(uri.split(';').next().unwrap_or(uri).trim_matches('"'))
}

impl DocumentSignature {
    /// Takes one element of `Provenance.signature` apart.
    pub(super) fn read(signature: &Node, freshness: Freshness) -> Result<DocumentSignature, Problem> {
        const DATA: &str = "Provenance.signature.data";
        let data = signature.text("data").ok_or(Problem::Missing("Provenance.signature.data, a detached JWS in base64"))?;
        if data.len() > MAX_DETACHED_BYTES * 2 {
            return Err(Problem::TooMany("bytes in the JWS"));
        }
        let text = BASE64.decode(data.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Problem::Unreadable(DATA))?;
        let detached = Detached::read(&text)?;
        let key_id = detached.key_id().ok_or(Problem::Missing("'kid' in its header, a key of the client's registered key set"))?.to_owned();
        let header = detached.header();
        let signed_at = header.text("sigT").or_else(|| signature.text("when")).and_then(Instant::from_fhir_instant);
        let signed_at = signed_at.ok_or(Problem::Missing("the time it was made: 'sigT' in its header, or Signature.when"))?;
        if signed_at > freshness.now + freshness.skew {
            return Err(Problem::FromTheFuture);
        }
        let canonicalisation = match header.text("canon").or_else(|| stated_canon(signature)) {
            Some(uri) => Canonicalisation::of(uri).ok_or(Problem::NotOffered("a canonicalisation"))?,
            None => Canonicalisation::default(),
        };
        let element = signature.as_object().cloned().unwrap_or_default();
        Ok(DocumentSignature { element, canonicalisation, algorithm: detached.algorithm(), detached, key_id })
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks it with the signer's keys, on each resource it may be over.
    pub fn verify(self, keys: &[PublicKey], candidates: &[Candidate<'_>]) -> Result<Verified, Problem> {
        if candidates.len() > MAX_CANDIDATES {
            return Err(Problem::TooMany("targets in one signed Provenance"));
        }
        let payloads: Vec<Vec<u8>> = candidates.iter().map(|candidate| self.canonicalisation.bytes(candidate.resource)).collect();
        let key = self.holding_key(keys, payloads.iter().map(Vec::as_slice))?;
        let covered = candidates.iter().zip(&payloads).filter(|(_, payload)| self.detached.verifies(payload, key));
        let paths = covered.map(|(candidate, _)| candidate.path.to_owned()).collect();
        Ok(Verified::of_document(self, key, paths))
    }

    /// The key with which it holds for at least one of the payloads.
    pub(super) fn holding_key<'k, 'p>(
        &self,
        keys: &'k [PublicKey],
        mut payloads: impl Iterator<Item = &'p [u8]>,
    ) -> Result<&'k PublicKey, Problem> {
        let fitting: Vec<&PublicKey> = keys.iter().filter(|key| key.id() == self.key_id && self.detached.fits(key)).collect();
        if fitting.is_empty() {
            return Err(Problem::UnknownKey);
        }
        let held = payloads.find_map(|payload| fitting.iter().find(|key| self.detached.verifies(payload, key)));
        held.copied().ok_or(Problem::DoesNotHold)
    }

    pub(super) fn detached(&self) -> &Detached {
        &self.detached
    }
}
