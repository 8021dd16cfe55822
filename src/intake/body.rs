//! From bytes to a document tree, within limits.

use crate::clock::Instant;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Release, SyntaxError, json, xml};
use crate::outcome::{Finding, IssueType, Reason, Refusal, Severity};
use crate::sign::Attestation;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

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
        Media::of(media_type).filter(|media| media.declared.is_none_or(|release| release == Release::R4)).map(|media| media.format)
    }

    fn of_essence(essence: &str) -> Option<Format> {
        match essence.to_ascii_lowercase().as_str() {
            "application/fhir+json" | "application/json" | "application/json+fhir" | "text/json" | "json" => Some(Format::Json),
            "application/fhir+xml" | "application/xml" | "application/xml+fhir" | "text/xml" | "xml" => Some(Format::Xml),
            _ => None,
        }
    }
}

/// What a media type says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    pub format: Format,
    /// `fhirVersion` (R4 §2.6.0.2); `None` when it is not said.
    pub declared: Option<Release>,
}

impl Media {
    /// Reads a media type; `None` for what the gateway does not read, a `fhirVersion` that is no release's, or two that differ.
    pub fn of(media_type: &str) -> Option<Media> {
        let mut parts = media_type.split(';');
        let format = Format::of_essence(parts.next().unwrap_or_default().trim())?;
        let mut declared = None;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            if !name.trim().eq_ignore_ascii_case("fhirVersion") {
                continue;
            }
            let release = Release::parse(value.trim().trim_matches('"'))?;
            if declared.is_some_and(|other| other != release) {
                return None;
            }
            declared = Some(release);
        }
        Some(Media { format, declared })
    }
}

/// The bytes as received: what is hashed before anything is changed.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub bytes: Bytes,
    pub digest: [u8; 32],
    pub format: Format,
    /// The release of FHIR that the media type said.
    pub declared: Option<Release>,
    pub at: Instant,
    /// What was signed of it, and holds.
    pub attestations: Arc<[Attestation]>,
    /// What is in the bytes, once somebody wanted it: all clones share it.
    whole: Arc<OnceLock<Option<Node>>>,
}

impl Evidence {
    pub fn new(bytes: Bytes, format: Format, at: Instant) -> Evidence {
        let digest = Sha256::digest(&bytes).into();
        Evidence { bytes, digest, format, declared: None, at, attestations: Arc::default(), whole: Arc::default() }
    }

    /// The same bytes, said to be of a release of FHIR.
    #[must_use]
    pub fn declared(self, declared: Option<Release>) -> Evidence {
        Evidence { declared, ..self }
    }

    /// The document in the bytes, read once however many entries of a batch want it; nothing where it cannot be read.
    pub fn whole(&self, limits: &Limits, types: &TypeTable) -> Option<&Node> {
        self.whole.get_or_init(|| document(&self.bytes, self.format, limits, types).ok()).as_ref()
    }

    /// The media type, with the release where one was said.
    pub fn media_type(&self) -> String {
        let version = self.declared.map(|release| format!("; fhirVersion={}", release.number())).unwrap_or_default();
        format!("{}{version}", self.format.media_type())
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
    Refusal::of(Reason::Malformed, vec![finding])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_bytes_is_read_once_for_all_clones() {
        let limits = Limits { body_bytes: 64, depth: 8, bundle_entries: 1 };
        let types = crate::definitions::Definitions::embedded().types();
        let read = |text: &'static str| Evidence::new(Bytes::from(text), Format::Json, Instant::from_seconds(0));
        let evidence = read(r#"{"resourceType":"Bundle"}"#);
        let clone = evidence.clone().attested(Vec::new()).declared(None);
        let (one, other) = (clone.whole(&limits, types).unwrap(), evidence.whole(&limits, types).unwrap());
        assert!(std::ptr::eq(one, other));
        assert_eq!(one.resource_type(), Some("Bundle"));
        assert!(read("{").whole(&limits, types).is_none());
    }

    #[test]
    fn media_types() {
        for (text, format, declared) in [
            ("application/fhir+json", Some(Format::Json), None),
            ("application/fhir+json; charset=utf-8", Some(Format::Json), None),
            ("application/fhir+json; fhirVersion=4.0", Some(Format::Json), Some(Release::R4)),
            ("application/fhir+json;fhirVersion=\"5.0\"", Some(Format::Json), Some(Release::R5)),
            ("application/fhir+xml; FHIRVERSION=3.0", Some(Format::Xml), Some(Release::Stu3)),
            ("application/fhir+json; fhirVersion=4.3; charset=utf-8", Some(Format::Json), Some(Release::R4B)),
            ("application/fhir+json; fhirVersion=9.9", None, None),
            ("application/fhir+json; fhirVersion=3.0; fhirVersion=4.0", None, None),
            ("text/csv", None, None),
        ] {
            let media = Media::of(text);
            assert_eq!(media.map(|media| media.format), format, "{text}");
            assert_eq!(media.and_then(|media| media.declared), declared, "{text}");
            // What is answered is R4.
            assert_eq!(Format::of(text).is_some(), format.is_some() && declared.is_none_or(|release| release == Release::R4), "{text}");
        }
        let evidence = Evidence::new(Bytes::new(), Format::Xml, Instant::EPOCH).declared(Some(Release::R5));
        assert_eq!(Media::of(&evidence.media_type()), Some(Media { format: Format::Xml, declared: Some(Release::R5) }));
    }
}
