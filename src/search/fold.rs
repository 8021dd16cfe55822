//! Text as string search compares it: without case, diacritics and surplus white space (FHIR R4 §3.1.1.4.8).

use super::MAX_TEXT_BYTES;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The folded form. White space at the ends goes, runs of it inside become one space.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        push_folded(&mut out, word);
    }
    out
}

fn push_folded(out: &mut String, word: &str) {
    if word.is_ascii() {
        out.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        return;
    }
    // Upper case first, because it is what makes ß equal to ss and final sigma to sigma.
    let letters = word.nfkd().filter(|letter| !is_combining_mark(*letter));
    out.extend(letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase));
}

/// A code as token search compares it: without case.
pub(super) fn folded_code(code: &str) -> Cow<'_, str> {
    if code.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) { code.to_lowercase().into() } else { code.into() }
}

/// Folded text as it goes into the index: its first [`MAX_TEXT_BYTES`] bytes, not cutting a character.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        let check = |text: &str, expected: &str| assert_eq!(folded(text), expected, "{text}");
        check("  Van  der\tBERG ", "van der berg");
        check("Muñoz", "munoz");
        check("Straße", "strasse");
        check("ΟΔΥΣΣΕΥΣ", &folded("Οδυσσευς"));
        check("Ａｎｎ", "ann");
        check("", "");
    }

    #[test]
    fn cutting_keeps_prefixes() {
        let long = "é".repeat(100);
        assert_eq!(cut(&long).len(), MAX_TEXT_BYTES);
        assert!(cut(&format!("{long}x")).starts_with(cut(&long)));
        assert!(cut(&format!("a{long}")).len() < MAX_TEXT_BYTES);
    }
}
