//! Attachments: the size and the hash they state and the data they hold (<https://hl7.org/fhir/R4/datatypes.html#Attachment>).

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const WRONG_SIZE: Rule = Rule::error(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_ATT_SIZE_CORRECT");
const WRONG_HASH: Rule = Rule::error(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_ATT_HASH_MISMATCH");
const NO_CONTENT: Rule = Rule::warning(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_ATT_NO_CONTENT");

/// Judges an Attachment.
pub fn check(walk: &mut Walk<'_>, attachment: &Node, path: &Path<'_>) {
    let data = attachment.text("data");
    let stated = attachment.get("size").and_then(Node::as_number).and_then(|size| size.parse::<usize>().ok());
    if let (Some(data), Some(stated)) = (data, stated)
        && held_bytes(data) != stated
    {
        walk.report.add(WRONG_SIZE, path, attachment, "The size is not that of the data held here");
    }
    // R4 names the one algorithm that a hash is made with.
    if let Some(hash) = attachment.text("hash").and_then(held)
        && let Some(data) = data.and_then(held)
        && digest(&SHA1_FOR_LEGACY_USE_ONLY, &data).as_ref() != hash.as_slice()
    {
        walk.report.add(WRONG_HASH, path, attachment, "The hash is not the SHA-1 of the data held here");
    }
    if data.is_none() && attachment.get("url").is_none() && attachment.get("contentType").is_some() {
        walk.report.add(NO_CONTENT, path, attachment, "The attachment has neither data nor a URL");
    }
}

/// What a Base64 text stands for, white space in it left out.
pub fn held(data: &str) -> Option<Vec<u8>> {
    let plain: String = data.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).ok()
}

/// How many bytes a Base64 text stands for.
pub fn held_bytes(data: &str) -> usize {
    let digits = data.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').count();
    digits * 3 / 4
}
