//! Code systems that are a grammar or a short public list and so need no CodeSystem resource.

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

/// Judges a code of a system that has no concepts in hand.
pub fn judge(system: &str, code: &str) -> Judgement {
    match system {
        "urn:ietf:bcp:47" => language_tag(code),
        "urn:ietf:bcp:13" => media_type(code),
        "urn:ietf:rfc:3986" => from_form(!code.is_empty() && !code.contains(char::is_whitespace)),
        "urn:iso:std:iso:4217" if CURRENCIES.contains(&code) => Judgement::Valid,
        // Currencies come and go, so one that is not listed may be new.
        "urn:iso:std:iso:4217" => unless(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())),
        "urn:iso:std:iso:3166" => {
            unless(matches!(code.len(), 2 | 3) && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
        }
        "http://unitsofmeasure.org" => from_form(ucum::check(code).is_ok()),
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

/// The form of BCP 47 (RFC 5646 §2.1): subtags of one to eight letters or digits, the first of two, three or five to eight letters, or `x`, `i`.
fn language_tag(code: &str) -> Judgement {
    let mut subtags = code.split('-');
    let first = subtags.next().unwrap_or_default();
    let letters = first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let starts = letters && (matches!(first.len(), 2 | 3 | 5..=8) || (matches!(first, "x" | "i" | "X" | "I") && code.len() > 2));
    from_form(starts && subtags.all(|subtag| matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())))
}

/// The form of a media type (RFC 6838 §4.2, RFC 2045 §5.1): `type/subtype`, then parameters. Bare words (`json`) are in use and left undecided.
fn media_type(code: &str) -> Judgement {
    let essence = code.split(';').next().unwrap_or_default().trim();
    let name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte));
    match essence.split_once('/') {
        Some((kind, subtype)) => from_form(name(kind) && name(subtype)),
        None => unless(name(essence)),
    }
}
