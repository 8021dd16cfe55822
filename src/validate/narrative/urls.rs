//! The URLs of links and images in narrative: that they are some, and that none runs code.

use crate::validate::primitives::is_base64;

/// Media types of documents that browsers run the code of.
const ACTIVE_TYPES: [&str; 6] =
    ["application/javascript", "application/xhtml+xml", "application/xml", "image/svg+xml", "text/html", "text/javascript"];

/// Whether a link or an image has a URL: not an empty one, and data that can be read.
pub fn is_url(value: &str) -> bool {
    match value.strip_prefix("data:") {
        Some(data) => is_data(data),
        None => !value.is_empty() && value.chars().all(is_of_url),
    }
}

/// Whether the rest of a `data:` URL holds what it says (RFC 2397): a media type or none, whether it is Base64, and behind the one comma the data.
fn is_data(rest: &str) -> bool {
    let Some((stated, data)) = rest.split_once(',') else { return false };
    let (media_type, is_encoded) = match stated.strip_suffix(";base64") {
        Some(media_type) => (media_type, true),
        None => (stated, false),
    };
    !data.is_empty() && !data.contains(',') && (!is_encoded || is_base64(data)) && is_media_type_or_none(media_type.trim())
}

/// A media type with or without parameters, parameters alone (of plain text), or nothing.
fn is_media_type_or_none(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte));
    essence.is_empty() || essence.split_once('/').is_some_and(|(kind, format)| is_name(kind) && is_name(format))
}

/// Whether a URL may hold a character (RFC 3986 §2, and letters of other scripts as RFC 3987 has them). A `|` stands before a version in FHIR's own URLs.
fn is_of_url(letter: char) -> bool {
    letter.is_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%|".contains(letter)
}

/// Whether a URL is a name that no browser follows.
pub fn only_names(value: &str) -> bool {
    value.starts_with("urn:") || value.starts_with("cid:")
}

/// Whether a link's scheme is one that runs code. Browsers pass over white space and control characters in a scheme, and read
/// character references, so a scheme that has any of them counts as one too.
pub fn runs_code(value: &str) -> bool {
    let (scheme, has_colon) = value.split_once(':').map_or((value, false), |(scheme, _)| (scheme, true));
    match scheme.chars().find(|letter| matches!(letter, '/' | '?' | '#' | '&')) {
        Some('&') => true,
        // A path, query or fragment has begun, so the colon ends no scheme.
        Some(_) => false,
        None => {
            has_colon
                && (scheme.contains(|letter| letter <= ' ')
                    || ["javascript", "vbscript"].iter().any(|code| scheme.eq_ignore_ascii_case(code)))
        }
    }
}

/// Whether a link leads to a document in its own URL that may hold code. An image shows such a document and does not run it.
pub fn opens_active_data(value: &str) -> bool {
    let Some(rest) = value.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data")).map(|(_, rest)| rest) else {
        return false;
    };
    let media_type = rest.split([',', ';']).next().unwrap_or_default().trim();
    ACTIVE_TYPES.iter().any(|active| media_type.eq_ignore_ascii_case(active))
}
