//! Language tags (BCP 47, RFC 5646): well-formed, and of subtags that are registered.

use std::collections::HashSet;

/// The registry of RFC 5646 §3 as of 2025-08-25: a line each of the languages of two and of three letters, the extended languages behind theirs, scripts, regions,
/// variants, and the tags of older forms (§2.2.8), all in lower case and sorted; ranges for private use are written out.
const REGISTRY: &str = include_str!("language_subtags.txt");

/// Whether a tag is valid (RFC 5646 §2.2.9). Letters may be large or small (§2.1.1). A variant may stand behind other subtags than those it is meant for.
pub fn is_valid(tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase();
    let subtags: Vec<&str> = tag.split('-').collect();
    let is_formed = |subtag: &&str| matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !subtags.iter().all(is_formed) {
        return false;
    }
    let (before, private) = split(&subtags, |subtag| subtag == "x");
    let (language, extensions) = split(before, |subtag| subtag.len() == 1);
    match (private, language) {
        ([_], _) => false,
        ([_, ..], []) => extensions.is_empty(),
        _ => is_registered("tag", &tag) || (is_language(language) && are_extensions(extensions)),
    }
}

/// What stands before the first subtag of a kind, and the rest with it.
fn split<'s, 't>(subtags: &'s [&'t str], is_first: impl Fn(&str) -> bool) -> (&'s [&'t str], &'s [&'t str]) {
    let place = subtags.iter().position(|subtag| is_first(subtag)).unwrap_or(subtags.len());
    subtags.split_at_checked(place).unwrap_or((subtags, &[]))
}

/// A language, then what may follow in this order: an extended language, a script, a region, and variants, each once.
fn is_language(subtags: &[&str]) -> bool {
    let [language, rest @ ..] = subtags else { return false };
    let is_letters = |subtag: &str, length: usize| subtag.len() == length && subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_region = |subtag: &str| is_letters(subtag, 2) || subtag.len() == 3 && subtag.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = rest;
    let mut take = |is_kind: &dyn Fn(&str) -> bool| -> Option<&str> {
        let (first, others) = rest.split_first().filter(|(first, _)| is_kind(first))?;
        rest = others;
        Some(first)
    };
    let extended = take(&|subtag| is_letters(subtag, 3));
    let script = take(&|subtag| is_letters(subtag, 4));
    let region = take(&is_region);
    let kind = if language.len() == 2 { "language-2" } else { "language-3" };
    let mut met = HashSet::new();
    is_registered(kind, language)
        && extended.is_none_or(|extended| is_registered("extlang", &format!("{language}-{extended}")))
        && script.is_none_or(|script| is_registered("script", script))
        && region.is_none_or(|region| is_registered("region", region))
        && rest.iter().all(|variant| met.insert(*variant) && is_registered("variant", variant))
}

/// Extensions (§2.2.6): a letter or digit each, none twice, and at least one subtag of two or more behind it.
fn are_extensions(subtags: &[&str]) -> bool {
    let mut met = HashSet::new();
    let mut each = subtags.chunk_by(|_, next| next.len() > 1);
    each.all(|extension| extension.len() > 1 && extension.first().is_some_and(|singleton| met.insert(*singleton)))
}

fn is_registered(kind: &str, subtag: &str) -> bool {
    let mut lines = REGISTRY.lines().filter_map(|line| line.split_once(' '));
    let Some((_, codes)) = lines.find(|(name, _)| *name == kind) else { return false };
    if kind != "language-3" {
        return codes.split(' ').any(|code| code == subtag);
    }
    // There are very many of these, all of one length with a blank between them.
    const WIDTH: usize = 4;
    let code_at = |place: usize| codes.get(place * WIDTH..place * WIDTH + WIDTH - 1).unwrap_or_default();
    let (mut low, mut high) = (0, codes.len().div_ceil(WIDTH));
    while low < high {
        let middle = low + (high - low) / 2;
        match code_at(middle).cmp(subtag) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for tag in [
            "de",
            "DE",
            "en-US",
            "en-us",
            "zh-Hant-TW",
            "zh-cmn-Hans-CN",
            "zh-yue",
            "cmn",
            "gsw",
            "sl-rozaj-biske",
            "de-1996",
            "de-419",
            "de-CH-1901",
            "en-US-u-co-phonebk",
            "en-a-bbb-x-a",
            "de-x-own",
            "x-own",
            "i-klingon",
            "en-GB-oed",
            "sgn-BE-FR",
            "und",
            "zxx",
            "qaa",
            "qtz",
            "de-Qaaa-QM",
            "de-ZZ",
            "hy-arevela",
            "zh-min-nan",
        ] {
            assert!(is_valid(tag), "{tag}");
        }
        for tag in [
            "",
            "e",
            "english",
            "abcd",
            "xx",
            "zzz",
            "en_US",
            "en-",
            "en ",
            "-en",
            "de--AT",
            "de-AT-AT",
            "de-x",
            "de-a",
            "de-a-x-b",
            "en-a-bbb-a-ccc",
            "de-1996-1996",
            "de-Lat",
            "de-abc",
            "de-yue",
            "de-zz-ZZ",
            "en-UK",
            "de-QQ1",
            "de-999",
            "de-Xxxx",
            "de-AT-Latn",
            "de-nonsense",
            "x",
            "x-",
            "a-bbb",
            "a-bbb-x-own",
            "abc-defghijklmn",
            "é",
        ] {
            assert!(!is_valid(tag), "{tag}");
        }
    }

    /// What is looked up by halves is sorted and of one length.
    #[test]
    fn the_registry_is_as_it_is_read() {
        let lines: Vec<(&str, Vec<&str>)> =
            REGISTRY.lines().map(|line| line.split_once(' ').unwrap()).map(|(kind, codes)| (kind, codes.split(' ').collect())).collect();
        let kinds: Vec<&str> = lines.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, ["language-2", "language-3", "extlang", "script", "region", "variant", "tag"]);
        for (kind, codes) in lines {
            assert!(codes.is_sorted() && codes.iter().all(|code| is_registered(kind, code)), "{kind}");
            assert!(kind != "language-3" || codes.iter().all(|code| code.len() == 3));
        }
    }
}
