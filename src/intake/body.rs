//! From bytes to a document tree, within limits.

use crate::clock::Instant;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, SyntaxError, json, xml};
use crate::outcome::{Finding, IssueType, Reason, Refusal, Severity};
use crate::sign::Attestation;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What intake refuses to go beyond.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub body_bytes: usize,
    pub depth: usize,
    pub bundle_entries: usize,
}

/// The two wire formats of FHIR R4 that the gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// The media type without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/fhir+json",
            Format::Xml => "application/fhir+xml",
        }
    }

    /// The format of a media type or a `_format` value; `None` for what the gateway does not speak.
    ///
    /// A `fhirVersion` other than R4's is another format (R4 §3.1.0.1.6).
    pub fn of(media_type: &str) -> Option<Format> {
        let mut parts = media_type.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let versions = parts.filter_map(|part| part.trim().strip_prefix("fhirVersion="));
        if versions.into_iter().any(|version| version.trim_matches('"') != "4.0") {
            return None;
        }
        match essence.to_ascii_lowercase().as_str() {
            "application/fhir+json" | "application/json" | "application/json+fhir" | "text/json" | "json" => Some(Format::Json),
            "application/fhir+xml" | "application/xml" | "application/xml+fhir" | "text/xml" | "xml" => Some(Format::Xml),
            _ => None,
        }
    }
}

/// The bytes as received: what is hashed before anything is changed.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub bytes: Bytes,
    pub digest: [u8; 32],
    pub format: Format,
    pub at: Instant,
    /// What was signed of it, and holds.
    pub attestations: Arc<[Attestation]>,
}

impl Evidence {
    pub fn new(bytes: Bytes, format: Format, at: Instant) -> Evidence {
        let digest = Sha256::digest(&bytes).into();
        Evidence { bytes, digest, format, at, attestations: Arc::default() }
    }

    /// The same bytes, attested by more.
    #[must_use]
    pub fn attested(mut self, more: Vec<Attestation>) -> Evidence {
        if !more.is_empty() {
            self.attestations = self.attestations.iter().cloned().chain(more).collect();
        }
        self
    }
}

/// A key under which a resend gets the first answer, already bound to who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 32]);

impl IdempotencyKey {
    /// Binds a key to its sender, so that two partners may use the same words.
    pub fn new(sender: &str, kind: &str, words: &[&str]) -> IdempotencyKey {
        let mut hash = Sha256::new();
        for part in [sender, kind].iter().chain(words) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        IdempotencyKey(hash.finalize().into())
    }
}

/// Reads a document in either format.
pub fn document(bytes: &[u8], format: Format, limits: &Limits, types: &TypeTable) -> Result<Node, Refusal> {
    if bytes.len() > limits.body_bytes {
        let text = format!("The body is larger than this gateway's limit of {} bytes. Split it into smaller Bundles.", limits.body_bytes);
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text));
    }
    let read = match format {
        Format::Json => json::parse(bytes, limits.depth),
        Format::Xml => xml::parse(bytes, limits.depth, types),
    };
    read.map_err(|error| syntax_refusal(bytes, &error))
}

/// What the sender is told of a document that cannot be read: what is wrong and on which line.
pub fn syntax_refusal(bytes: &[u8], error: &SyntaxError) -> Refusal {
    let (line, column) = json::line_and_column(bytes, error.offset);
    let text = format!("The document cannot be read: {} (line {line}, column {column}).", error.kind);
    let mut finding = Finding::new(Severity::Fatal, IssueType::Structure, "syntax", text);
    finding.offset = u32::try_from(error.offset).ok();
    Refusal { reason: Reason::Malformed, findings: vec![finding] }
}
