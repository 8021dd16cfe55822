//! Code systems that are a grammar or a short public list and so need no CodeSystem resource.

use super::{countries, language_tags};
use crate::fhir::ucum;

/// What a computed system says about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Valid,
    Invalid,
    /// The form is right or the system unknown; whether the code exists cannot be said here.
    Unknown,
}

/// The alphabetic codes of ISO 4217.
#[rustfmt::skip]
const CURRENCIES: [&str; 182] = [
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF", "BMD", "BND",
    "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY", "COP", "COU",
    "CRC", "CUC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS",
    "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD",
    "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL",
    "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR",
    "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG",
    "SEK", "SGD", "SHP", "SLE", "SLL", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY",
    "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV", "WST", "XAF", "XAG",
    "XAU", "XBA", "XBB", "XBC", "XBD", "XCD", "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XTS", "XUA", "XXX", "YER", "ZAR", "ZMW",
    "ZWG", "ZWL",
];

/// ISO 3166: countries.
const COUNTRIES: &str = "urn:iso:std:iso:3166";

/// ISO 3166-2: the parts of countries.
const SUBDIVISIONS: &str = "urn:iso:std:iso:3166:-2";

/// M49 of the United Nations: countries and regions by number.
const REGIONS: &str = "http://unstats.un.org/unsd/methods/m49/m49.htm";

/// Judges a code of a system that has no concepts in hand.
pub fn judge(system: &str, code: &str) -> Judgement {
    match system {
        "urn:ietf:bcp:47" => from_form(language_tags::is_valid(code)),
        "urn:ietf:bcp:13" => media_type(code),
        "urn:ietf:rfc:3986" => from_form(is_uri(code)),
        "http://loinc.org" => unless(is_loinc(code)),
        "http://snomed.info/sct" => unless(is_snomed(code)),
        "urn:iso:std:iso:4217" => from_form(CURRENCIES.contains(&code)),
        COUNTRIES => countries::judge(code),
        SUBDIVISIONS => unless(is_subdivision(code)),
        REGIONS => unless(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())),
        ucum::SYSTEM => from_form(ucum::check(code).is_ok()),
        _ => Judgement::Unknown,
    }
}

fn from_form(is_right: bool) -> Judgement {
    if is_right { Judgement::Valid } else { Judgement::Invalid }
}

/// A wrong form is invalid; a right one decides nothing.
fn unless(form_is_right: bool) -> Judgement {
    if form_is_right { Judgement::Unknown } else { Judgement::Invalid }
}

/// The form of ISO 3166-2: the two letters of a country that there is or was, a hyphen, and one to three letters or digits.
fn is_subdivision(code: &str) -> bool {
    let Some((country, part)) = code.split_once('-') else { return false };
    let is_capital = |byte: u8| byte.is_ascii_uppercase();
    country.len() == 2
        && countries::judge(country) != Judgement::Invalid
        && matches!(part.len(), 1..=3)
        && part.bytes().all(|byte| is_capital(byte) || byte.is_ascii_digit())
}

/// RFC 3986: a scheme, and none of the characters that a URI never holds.
fn is_uri(code: &str) -> bool {
    let Some((scheme, rest)) = code.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme
        && !rest.is_empty()
        && !rest.chars().any(|letter| letter.is_whitespace() || letter.is_control() || "<>\"{}|\\^`".contains(letter))
}

/// A LOINC code: digits and behind a hyphen their check digit (modulus 10, as in ISO/IEC 7812). The codes of parts, answers and lists begin with
/// letters, which count in ways of their own, so of them only the form is held to.
fn is_loinc(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else { return false };
    let prefix = ["LP", "LA", "LL", "LG", "MTHU"].iter().find(|prefix| number.starts_with(**prefix));
    let digits = prefix.and_then(|prefix| number.strip_prefix(prefix)).unwrap_or(number);
    if !(1..=9).contains(&digits.len()) || check.len() != 1 || !digits.bytes().chain(check.bytes()).all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let weighted = digits.bytes().rev().enumerate().map(|(place, byte)| {
        let value = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
        value / 10 + value % 10
    });
    prefix.is_some() || check.parse() == Ok((10 - weighted.sum::<u32>() % 10) % 10)
}

/// Verhoeff's tables: the group of the pentagon's symmetries, and how digits are permuted by their place.
#[rustfmt::skip]
const VERHOEFF_PRODUCT: [[usize; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6], [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1], [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];
#[rustfmt::skip]
const VERHOEFF_PERMUTATION: [[usize; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2], [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1], [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// A SNOMED CT concept identifier: 6 to 18 digits with Verhoeff's check digit last and a concept's partition before it. Expressions of several
/// concepts are not looked into.
fn is_snomed(code: &str) -> bool {
    if code.contains([':', '+', '=', '|', '{', ' ']) {
        return true;
    }
    let bytes = code.as_bytes();
    if !(6..=18).contains(&bytes.len()) || code.starts_with('0') || !bytes.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let check = bytes.iter().rev().enumerate().try_fold(0_usize, |check, (place, byte)| {
        let moved = VERHOEFF_PERMUTATION.get(place % 8)?.get(usize::from(byte - b'0'))?;
        VERHOEFF_PRODUCT.get(check)?.get(*moved).copied()
    });
    let partition = bytes.len().checked_sub(3).and_then(|start| bytes.get(start..start + 2));
    check == Some(0) && matches!(partition, Some(b"00" | b"10"))
}

/// What `_format` and `CapabilityStatement.format` call FHIR's own media types for short.
const SHORT_MEDIA_TYPES: [&str; 3] = ["xml", "json", "ttl"];

/// The form of a media type (RFC 6838 §4.2, RFC 2045 §5.1): `type/subtype`, then parameters.
fn media_type(code: &str) -> Judgement {
    let essence = code.split(';').next().unwrap_or_default().trim();
    let name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte));
    match essence.split_once('/') {
        Some((kind, subtype)) => from_form(name(kind) && name(subtype)),
        None => unless(SHORT_MEDIA_TYPES.contains(&code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_by_form() {
        for (system, right, wrong) in [
            ("http://loinc.org", &["8867-4", "85354-9", "LA6576-8", "LP14885-5"][..], &["8867-5", "8867", "x-1", "-4", "LA6576-"][..]),
            (
                "http://snomed.info/sct",
                &["73211009", "22298006", "38341003", "900000000000207008", "73211009:363698007=15776009"],
                &["73211008", "7", "073211009", "7321100x", "101013"],
            ),
            ("urn:ietf:rfc:3986", &["urn:uuid:1", "https://example.org/a"], &["no scheme", "http://a b", "x", "1a:b", "http:"]),
            ("http://unitsofmeasure.org", &["mg/dL"], &["mgs"]),
            (
                "urn:ietf:bcp:13",
                &["text/plain", "application/fhir+json; charset=utf-8", "json"],
                &["/", "a/b/c", "text/", "png", "PDF", "json; charset=utf-8"],
            ),
            (
                "urn:ietf:bcp:47",
                &["en", "en-US", "zh-Hant-TW", "gsw", "i-klingon", "x-own"],
                &["", "e", "xx", "en_US", "abcd", "english", "en-"],
            ),
            ("urn:iso:std:iso:4217", &["USD"], &["usd", "US", "XYZ"]),
            (REGIONS, &["001", "419"], &["1", "World"]),
            (SUBDIVISIONS, &["US-CA", "FR-2A", "AD-07"], &["US", "Australia", "us-ca", "US-CALI", "UX-CA"]),
            (COUNTRIES, &["US", "USA", "840"], &["us", "U", "USAA", "UX", "USB", "841"]),
        ] {
            for code in right {
                assert_ne!(judge(system, code), Judgement::Invalid, "{system} {code}");
            }
            for code in wrong {
                assert_eq!(judge(system, code), Judgement::Invalid, "{system} {code}");
            }
        }
        assert_eq!(judge("http://example.org/other", "x"), Judgement::Unknown);
    }
}
