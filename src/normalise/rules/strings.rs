//! Rule 5. Text without white space around it, with plain line ends, in Unicode normal form C.
//!
//! Narrative, attachments and signatures keep every byte: the walker does not come here for them.
//! Epic sends one record number twice, once padded to width; which of the two a reader must show is the vendor's secret, so the padded one stays
//! readable beside the trimmed value.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::{RuleId, STRINGS};
use super::super::vocabulary::ORIGINAL_VALUE;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};
use compact_str::CompactString;
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Cleans one text in place.
pub(in super::super) fn apply(node: &mut Node, path: &Path<'_>, work: &mut Work<'_>) {
    let Value::Text(text) = &mut node.value else { return };
    let Some(clean) = cleaned(text) else { return };
    let before = std::mem::replace(text, clean);
    let after = text.clone();
    work.changed(STRINGS, path, Some(Value::Text(before).into()), Some(Value::Text(after).into()));
}

/// Says of a text that it has characters no FHIR string may have (R4 §2.24.0.1: none below U+0020 but tab and line ends).
pub(in super::super) fn flag_control(node: &Node, path: &Path<'_>, work: &mut Work<'_>) {
    let is_control = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    if node.as_text().is_some_and(|text| text.bytes().any(is_control)) {
        let text = "the text has control characters, which FHIR does not allow in one; it was left as it is";
        work.flag(Severity::Warning, IssueType::Value, "control-character", path, text);
    }
}

/// Keeps an identifier's padded value in an extension before [`apply`] trims it.
pub(in super::super) fn keep_padded_value(identifier: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(padded) = identifier.get("value").and_then(Node::as_text).filter(|value| trimmed(value).len() < value.len()) else { return };
    if trimmed(padded).is_empty() {
        return;
    }
    let original = padded.to_owned();
    let text = "the identifier's value came with white space around it; it was trimmed, and the padded value kept beside";
    work.flag(Severity::Information, IssueType::Value, "identifier-padded", &path.member("value"), text);
    keep_original(STRINGS, identifier, "value", &original, &path.member("value"), work);
}

/// Keeps a text as it was written in an extension of the primitive `name`, where its extensions are of a usable shape.
pub(in super::super) fn keep_original(
    rule: RuleId,
    element: &mut Object,
    name: &str,
    original: &str,
    path: &Path<'_>,
    work: &mut Work<'_>,
) {
    let sibling = format!("_{name}");
    let mut extras = match element.get(&sibling).map(|node| &node.value) {
        None => Object::new(),
        Some(Value::Object(extras)) => extras.clone(),
        Some(_) => return,
    };
    if extras.get("extension").is_some_and(|list| list.as_list().is_none()) {
        return;
    }
    let extension = Object::new().with("url", ORIGINAL_VALUE).with("valueString", original);
    work.append(rule, &mut extras, path, "extension", extension.into());
    element.set(&sibling, extras);
}

/// The clean form, `None` when the text is clean already or nothing would be left of it.
fn cleaned(text: &str) -> Option<CompactString> {
    let inner = trimmed(text);
    if inner.is_empty() {
        return None;
    }
    let unix = if inner.contains('\r') { Cow::Owned(inner.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(inner) };
    let composed =
        if inner.is_ascii() || is_nfc_quick(inner.chars()) == IsNormalized::Yes { unix } else { Cow::Owned(unix.nfc().collect()) };
    (composed != text).then(|| composed.into())
}

/// Without white space and byte order marks around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use super::cleaned;

    #[test]
    fn control_characters_are_said() {
        for (text, said) in [("a\\u0000b", true), ("a\\u001fb", true), ("a\\tb\\nc", false), ("ab", false)] {
            let done = run(&format!(r#"{{"resourceType":"X","a":"{text}"}}"#), &source());
            assert_eq!(done.findings.iter().any(|finding| finding.message_id == "control-character"), said, "{text}");
        }
    }

    #[test]
    fn cleaning() {
        for (text, clean) in [
            ("Z6127", None),
            ("     Z6127", Some("Z6127")),
            ("a\r\nb\rc", Some("a\nb\nc")),
            ("two  inner", None),
            ("\u{FEFF}x\u{A0}", Some("x")),
            ("e\u{301}", Some("é")),
            ("é", None),
            ("10*6/µL", None),
            ("line\n", Some("line")),
            ("\u{A0}", None),
        ] {
            assert_eq!(cleaned(text).as_deref(), clean, "{text:?}");
        }
    }
}
