//! What the client wants to be answered with: format, preference, handling, and the shorter forms of a resource.

use crate::identity::PURPOSE_HEADER;
use crate::intake::{Format, Media, Pairs};
use crate::outcome::{IssueType, Reason, Refusal};
use crate::search::Handling;
use axum::http::{HeaderMap, header};

/// `Prefer: return=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

/// How an answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub format: Format,
    pub pretty: bool,
    pub prefer: Return,
    pub handling: Handling,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { format: Format::Json, pretty: false, prefer: Return::Representation, handling: Handling::Strict }
    }
}

/// Reads `_format`, `_pretty`, `Accept` and `Prefer`. `_format` wins over `Accept` (R4 §3.1.0.1.11).
pub fn wanted(headers: &HeaderMap, pairs: &Pairs) -> Result<Wanted, Refusal> {
    let format = match pairs.iter().find(|(name, _)| name == "_format") {
        // A '+' that was not escaped arrives as a blank.
        Some((_, value)) => Format::of(&value.replace(' ', "+")).ok_or_else(|| not_acceptable("_format"))?,
        None => accepted(headers)?,
    };
    let pretty = pairs.iter().any(|(name, value)| name == "_pretty" && value == "true");
    let mut wanted = Wanted { format, pretty, ..Wanted::default() };
    for preference in preferences(headers) {
        match preference.as_str() {
            "return=minimal" => wanted.prefer = Return::Minimal,
            "return=representation" => wanted.prefer = Return::Representation,
            "return=operationoutcome" => wanted.prefer = Return::OperationOutcome,
            "handling=lenient" => wanted.handling = Handling::Lenient,
            "handling=strict" => wanted.handling = Handling::Strict,
            // A preference that is not known may be passed over (RFC 7240 §2).
            _ => {}
        }
    }
    Ok(wanted)
}

/// Why a request is made, by all lines of its header (RFC 9110 section 5.3). What is no text stays there, and is no purpose that is known.
pub fn purposes(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<_> = headers.get_all(PURPOSE_HEADER).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

fn preferences(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).map(|part| part.trim().replace('"', "").to_ascii_lowercase()).collect()
}

/// The best format the Accept header allows, by quality, JSON before XML where they are equal.
fn accepted(headers: &HeaderMap) -> Result<Format, Refusal> {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() {
        return Ok(Format::Json);
    }
    let mut best: Option<(Format, f32)> = None;
    for range in values.iter().flat_map(|value| value.split(',')) {
        let mut parts = range.split(';');
        let media = parts.next().unwrap_or_default().trim();
        let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let format = match media {
            "*/*" | "application/*" | "text/*" => Some(Format::Json),
            _ => Format::of(range),
        };
        if let Some(format) = format.filter(|_| quality > 0.0)
            && best.is_none_or(|(_, known)| quality > known)
        {
            best = Some((format, quality));
        }
    }
    best.map(|(format, _)| format).ok_or_else(|| not_acceptable("Accept"))
}

fn not_acceptable(what: &str) -> Refusal {
    let text = format!("{what} asks for a format the gateway does not write. It writes application/fhir+json and application/fhir+xml.");
    Refusal::new(Reason::NotAcceptable, IssueType::NotSupported, text)
}

/// What the Content-Type says of a request body, which is taken as it is and never unpacked.
pub fn body_media(headers: &HeaderMap) -> Result<Media, Refusal> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::new(Reason::UnsupportedMedia, IssueType::NotSupported, "Send the body without Content-Encoding."));
    }
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(Media::of).ok_or_else(|| {
        let text = "Send the body as application/fhir+json or application/fhir+xml and say so in Content-Type.";
        Refusal::new(Reason::UnsupportedMedia, IssueType::NotSupported, text)
    })
}
