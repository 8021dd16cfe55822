//! The words of a text in the one form in which they are searched, however they are written: in full width, with accents, in the letters of
//! another alphabet, with character references, hyphens or marks of style inside.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest name of a character reference that is looked for, its `;` included.
const REFERENCE_LIMIT_BYTES: usize = 12;

/// Elements of XHTML that stand inside words. The others divide them.
const INLINE: [&str; 28] = [
    "a", "abbr", "acronym", "b", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "q", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "tt", "u", "var", "bdo", "wbr",
];

/// What the names of accented letters end with: `eacute`.
const ACCENTS: [&str; 9] = ["acute", "grave", "circ", "uml", "tilde", "cedil", "ring", "caron", "slash"];

/// Hands over the text as it is written, and in the other ways in which its parts may belong together.
pub(super) fn each_form(text: &str, mut search: impl FnMut(&str)) {
    let written = in_plain_letters(text);
    search(&written);
    let untagged = text.contains('<').then(|| without_tags(text));
    let untagged = untagged.as_deref().map(in_plain_letters);
    if let Some(untagged) = &untagged {
        search(untagged);
    }
    let whole = untagged.as_deref().unwrap_or(&written);
    for form in [without_hyphens(whole), humps_apart(whole)].into_iter().flatten() {
        search(&form);
    }
}

/// The words of a text: runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A text in plain Latin letters where its letters look so, in the case in which they are, and without characters that are not seen.
pub(super) fn in_plain_letters(text: &str) -> Cow<'_, str> {
    let text = if text.contains('&') { Cow::Owned(without_references(text)) } else { Cow::Borrowed(text) };
    if text.is_ascii() { text } else { Cow::Owned(plain_letters(&text).collect()) }
}

/// The letters of a text in plain Latin where they look so, without those that are not seen.
pub(super) fn plain_letters(text: &str) -> impl Iterator<Item = char> {
    let seen = text.chars().filter(|letter| !is_unseen(*letter));
    seen.nfkd().filter(|letter| !is_combining_mark(*letter)).map(latin)
}

/// Whether nothing is shown for a letter: those that Unicode has ignored by default (Default_Ignorable_Code_Point), and marks of annotations.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The Latin letter that a Greek or Cyrillic one, or a variant, looks like.
fn latin(letter: char) -> char {
    match letter {
        'а' | 'α' | 'ɑ' => 'a',
        'в' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' | 'đ' => 'd',
        'е' | 'є' | 'ε' => 'e',
        'ɡ' => 'g',
        'һ' | 'н' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' | 'ł' => 'l',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'ø' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' => 'I',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' | 'Ø' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Υ' | 'У' => 'Y',
        'Х' | 'Χ' => 'X',
        'Ζ' => 'Z',
        other => other,
    }
}

/// The text with its character references replaced by what they stand for. An accented letter is replaced by the letter.
fn without_references(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let near = after.get(..after.floor_char_boundary(REFERENCE_LIMIT_BYTES)).unwrap_or_default();
        match near.split_once(';').and_then(|(name, _)| Some((name, referred(name)?))) {
            Some((name, letter)) => {
                plain.extend(letter);
                rest = after.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character a reference stands for, or that it stands for one which is not seen; `None` for what is no reference.
fn referred(name: &str) -> Option<Option<char>> {
    if let Some(number) = name.strip_prefix('#') {
        let hexadecimal = number.strip_prefix(['x', 'X']);
        let number = hexadecimal.map_or_else(|| number.parse(), |digits| u32::from_str_radix(digits, 16));
        return char::from_u32(number.ok()?).map(Some);
    }
    match name {
        "amp" => Some(Some('&')),
        "lt" => Some(Some('<')),
        "gt" => Some(Some('>')),
        "quot" => Some(Some('"')),
        "apos" => Some(Some('\'')),
        "nbsp" | "ensp" | "emsp" | "thinsp" => Some(Some(' ')),
        "shy" | "zwnj" | "zwj" | "lrm" | "rlm" => Some(None),
        _ => {
            let letter = ACCENTS.iter().find_map(|accent| name.strip_suffix(accent))?;
            letter.chars().next().filter(|first| first.is_ascii_alphabetic() && letter.len() == 1).map(Some)
        }
    }
}

/// The text without its tags. Those that style leave a word whole.
pub(super) fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tagged)) = rest.split_once('<') {
        plain.push_str(before);
        let Some((tag, after)) = tagged.split_once('>') else {
            rest = tagged;
            break;
        };
        if !is_inline(tag) {
            plain.push(' ');
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn is_inline(tag: &str) -> bool {
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    let name = tag.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
    tag.starts_with('!') || INLINE.iter().any(|inline| inline.eq_ignore_ascii_case(name))
}

/// The text with the parts of words put together, where hyphens divide them; also across the end of a line.
fn without_hyphens(text: &str) -> Option<String> {
    let is_hyphen = |letter: char| matches!(letter, '-' | '\u{2010}' | '\u{2011}');
    if !text.contains(is_hyphen) {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    for part in text.split(is_hyphen) {
        let is_at_end_of_line = part.starts_with(['\n', '\r']) && plain.ends_with(char::is_alphabetic);
        plain.push_str(if is_at_end_of_line { part.trim_start() } else { part });
    }
    Some(plain)
}

/// A name without spaces, as in an address, with the words apart that only capitals tell apart: `OpioidUse`.
fn humps_apart(text: &str) -> Option<String> {
    let follows = |(first, second): (char, char)| first.is_lowercase() && second.is_uppercase();
    if text.contains(char::is_whitespace) || !text.chars().zip(text.chars().skip(1)).any(follows) {
        return None;
    }
    let mut apart = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if letter.is_uppercase() && apart.ends_with(char::is_lowercase) {
            apart.push(' ');
        }
        apart.push(letter);
    }
    Some(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_form_however_they_are_written() {
        let check = |text: &str, word: &str| {
            let mut found = false;
            each_form(text, |form| found |= words(&form.to_lowercase()).any(|own| own == word));
            assert!(found, "{text:?} does not tell {word}");
        };
        for text in [
            "methadone",
            "ｍｅｔｈａｄｏｎｅ",
            "Méthadone",
            "me\u{301}thadone",
            "mеthadоne",
            "ΜETHADΟΝΕ",
            "metha-done",
            "metha\u{2010}done",
            "metha-\n   done",
            "metha\u{200b}do\u{ad}ne",
            "meth&#97;done",
            "meth&#x61;done",
            "m&eacute;tha&shy;done",
            "meth<b>adone</b>",
            "<td>meth<span class=\"x\">a</span>done</td>",
            "<p>meth<!-- -->adone<br/>daily",
            "<p title=\"methadone\">x</p>",
            "http://example.org/Questionnaire/MethadoneIntake",
            "if a < b then methadone",
            "methadone <",
            "R&D methadone; & more",
        ] {
            check(text, "methadone");
        }
        check("<td>opioid</td><td>use</td>", "opioid");
    }

    #[test]
    fn what_is_apart_stays_apart() {
        let mut forms = Vec::new();
        each_form("<p>metha</p><p>done</p> &#1114112; &made-up; &&amp;", |form| forms.push(form.to_owned()));
        assert!(forms.iter().all(|form| !form.contains("methadone")), "{forms:?}");
        assert!(forms.iter().all(|form| form.contains("&#1114112;")), "{forms:?}");
    }
}
