//! How the C2SP texts spell numbers and bytes: one spelling for each value, everything else refused.

use data_encoding::BASE64;

/// A decimal number without sign or leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

/// Standard base64 with padding at the end and nowhere else, trailing bits zero.
pub(super) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    // The decoder also takes several padded texts one after another.
    let one_text = !text.trim_end_matches('=').contains('=');
    if one_text { BASE64.decode(text.as_bytes()).ok() } else { None }
}

/// Standard base64 with padding.
pub(super) fn base64_encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The same behind what there is.
pub(super) fn base64_onto(text: &mut String, bytes: &[u8]) {
    BASE64.encode_append(bytes, text);
}

/// How long the base64 of so many bytes is.
pub(super) fn base64_bytes(bytes: usize) -> usize {
    BASE64.encode_len(bytes)
}

/// Whether a line has ASCII control characters, as the signed-note format counts them.
pub(super) fn has_control(line: &str) -> bool {
    line.bytes().any(|byte| byte < 0x20)
}
