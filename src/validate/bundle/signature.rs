//! The signature of a Bundle (<https://hl7.org/fhir/R4/signatures.html>): what it says of itself, and whether the key that it brings made it.
//!
//! A JSON Web Signature is verified where it brings a certificate, over the Bundle in canonical JSON. Nobody is asked whose certificate that is.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::{Node, json};
use crate::outcome::IssueType;
use crate::sign::{Brought, Certificate, Certified, Outcome, RSA_BITS_MIN};
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use jiff::Timestamp;

const NOT_CHECKED: Rule = Rule::information(IssueType::NotSupported, "BUNDLE_SIGNATURE_NOT_CHECKED_KIND");
const NO_DATA: Rule = Rule::information(IssueType::NotFound, "BUNDLE_SIGNATURE_NOT_CHECKED_DATA");
const NO_BASE64: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SIGNATURE_NOT_CHECKED_DATA_B64");
const BARE_JWS: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SIGNATURE_CHECKED_DATA_B64");
const NO_HEADER: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SIGNATURE_HEADER_PARSE");
const TIME_AS_NUMBER: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SIGNATURE_HEADER_SIG_TIME_WRONG_FORMAT");
const NO_TIME: Rule = Rule::warning(IssueType::NotFound, "BUNDLE_SIGNATURE_HEADER_NO_SIG_TIME");
const NO_WHEN: Rule = Rule::error(IssueType::NotFound, "BUNDLE_SIGNATURE_NO_WHEN");
const OTHER_TIME: Rule = Rule::error(IssueType::BusinessRule, "BUNDLE_SIGNATURE_HEADER_WHEN_MISMATCH");
const CANON_UNSAID: Rule = Rule::information(IssueType::Informational, "BUNDLE_SIGNATURE_PAYLOAD_CANON_DEFAULT");
const CANON_DIFFERS: Rule = Rule::warning(IssueType::NotFound, "BUNDLE_SIGNATURE_CANON_DIFF");
const NO_CERTIFICATE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SIGNATURE_HEADER_X509_ERROR");
const KEY_NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "BUNDLE_SIGNATURE_HEADER_CERT_NOT_FOUND");
const NO_KEY: Rule = Rule::warning(IssueType::NotFound, "BUNDLE_SIGNATURE_HEADER_NO_KID_OR_CERT");
const PAYLOAD_PRESENT: Rule = Rule::warning(IssueType::Value, "BUNDLE_SIGNATURE_PAYLOAD_PRESENT");
const UNREADABLE: Rule = Rule::error(IssueType::Exception, "BUNDLE_SIGNATURE_SIG_ERROR");
const DOES_NOT_HOLD: Rule = Rule::error(IssueType::Value, "BUNDLE_SIGNATURE_SIG_FAIL_CERT");
const OTHER_PAYLOAD: Rule = Rule::error(IssueType::Value, "BUNDLE_SIGNATURE_PAYLOAD_MISMATCH");
/// Of a Bundle out of the store, which need not be as it was signed.
const DOES_NOT_HOLD_NOW: Rule = Rule::warning(IssueType::Value, "BUNDLE_SIGNATURE_SIG_FAIL_CERT");
/// Of a signature that holds over the Bundle all the same.
const OTHER_PAYLOAD_BESIDE: Rule = Rule::warning(IssueType::Value, "BUNDLE_SIGNATURE_PAYLOAD_MISMATCH");
const CERTIFICATE_FORM: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SIGNATURE_HEADER_X509_FORM");
const OUT_OF_DATE: Rule = Rule::warning(IssueType::BusinessRule, "BUNDLE_SIGNATURE_HEADER_X509_OUT_OF_DATE");
const HOLDS: Rule = Rule::information(IssueType::Informational, "BUNDLE_SIGNATURE_SIG_OK");

/// The format of a JSON Web Signature.
const JOSE: &str = "application/jose";

/// The canonical form of a resource in JSON; a part of it may be named behind `#`.
const CANONICAL_JSON: &str = "http://hl7.org/fhir/canonicalization/json";

/// Base64 of either alphabet, with its padding or without.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Judges the signature of a Bundle where what is not checked is said. What is accepted may have been normalised since it was signed.
pub fn check(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    let Some(signature) = bundle.get("signature").filter(|_| walk.options.report_undecided) else { return };
    let is_stored = walk.options.is_stored;
    let mut say = |rule: Rule, text: &str| walk.report.add(rule, path, signature, text);
    match signature.text("sigFormat") {
        Some(format) if is_picture(format) => {}
        Some(JOSE) => {
            if let Some(data) = data(signature, &mut say) {
                match Certified::read(&data) {
                    Some(jws) => jose((bundle, is_stored), signature, &jws, &mut say),
                    None => say(NO_HEADER, "The signature has no header in JSON, so it was not verified"),
                }
            }
        }
        _ => say(NOT_CHECKED, "The signature was not verified: its format is not looked into"),
    }
}

/// Forms of a signature that a person looks at, and nothing verifies.
fn is_picture(format: &str) -> bool {
    format.starts_with("image/") || format == "application/pdf"
}

/// The text of a JSON Web Signature, which stands in Base64 in the document.
fn data(signature: &Node, say: &mut impl FnMut(Rule, &str)) -> Option<String> {
    let Some(data) = signature.text("data") else {
        say(NO_DATA, "The signature has no data, so it was not verified");
        return None;
    };
    let plain: String = data.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let decode = |alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(&plain).ok();
    match decode(&STANDARD).or_else(|| decode(&URL_SAFE)).map(String::from_utf8) {
        Some(Ok(text)) => Some(text),
        // What is no text has no header either.
        Some(Err(_)) => Some(String::new()),
        None if plain.split('.').count() == 3 => {
            say(BARE_JWS, "The signature stands in the data as it is; it must stand there in Base64");
            Some(plain)
        }
        None => {
            say(NO_BASE64, "The data of the signature is not in Base64, so it was not verified");
            None
        }
    }
}

/// What a JSON Web Signature says of itself, and whether it holds.
fn jose((bundle, is_stored): (&Node, bool), signature: &Node, jws: &Certified<'_>, say: &mut impl FnMut(Rule, &str)) {
    time(signature, jws.header(), say);
    let form = canonical_form(bundle, signature, jws.header(), say);
    let brought = brought(jws, say);
    if !jws.is_detached() {
        say(PAYLOAD_PRESENT, "The signature brings what it is over; it should be detached");
    }
    let Some(certificate) = brought.as_ref().and_then(|brought| certificate(signature, brought, say)) else { return };
    let Some(bytes) = signed_bytes(bundle, &form) else {
        return say(NOT_CHECKED, "The signature was not verified: the form that it is over is not made here");
    };
    let brings_others = !jws.is_detached() && jws.payload().is_none_or(|payload| payload != bytes);
    let fails = if is_stored { DOES_NOT_HOLD_NOW } else { DOES_NOT_HOLD };
    match jws.verify(&bytes, &certificate) {
        Outcome::Holds => {
            say(HOLDS, "The signature holds: the key of the certificate in it made it over this Bundle. Nobody was asked whose that is");
            if brings_others {
                let text = "The signature holds over this Bundle, as HL7's validator judges it, and not over the bytes that it brings as what it is \
                            over: whoever goes by RFC 7515 alone finds that it does not hold";
                say(OTHER_PAYLOAD_BESIDE, text);
            }
        }
        Outcome::Unreadable => say(UNREADABLE, "The signature is not whole, or names no algorithm that is known"),
        Outcome::TooShort(bits) => {
            let text = format!(
                "The key of the certificate has {bits} bits; what one of RSA with fewer than {RSA_BITS_MIN} signs counts for nothing"
            );
            say(fails, &text);
        }
        Outcome::DoesNotHold if is_stored => say(
            fails,
            "The signature does not hold over the Bundle as it is stored, which has an id and meta of its own and may have been normalised since",
        ),
        Outcome::DoesNotHold => {
            say(fails, "The signature does not hold: the key of the certificate in it did not make it over this Bundle");
            if brings_others {
                say(OTHER_PAYLOAD, "What the signature brings as what it is over is not this Bundle");
            }
        }
    }
}

/// The certificate that a signature brings, as it is written.
fn brought(jws: &Certified<'_>, say: &mut impl FnMut(Rule, &str)) -> Option<Brought> {
    let (rule, text) = match jws.certificate() {
        Some(Ok(brought)) => return Some(brought),
        Some(Err(())) => (NO_CERTIFICATE, NOT_READ),
        None if jws.header().get("kid").is_some() => {
            (KEY_NOT_IN_HAND, "The key that the signature names is not in hand, so it was not verified")
        }
        None => (NO_KEY, "The signature brings no certificate and names no key, so it was not verified"),
    };
    say(rule, text);
    None
}

const NOT_READ: &str = "The certificate that the signature brings cannot be read, so it was not verified";

/// What a certificate says, and whether it is written as it must be, and was good when the signature says to have been made.
fn certificate<'c>(signature: &Node, brought: &'c Brought, say: &mut impl FnMut(Rule, &str)) -> Option<Certificate<'c>> {
    let Some(certificate) = Certificate::read(&brought.der) else {
        say(NO_CERTIFICATE, NOT_READ);
        return None;
    };
    if !brought.is_strict || certificate.is_followed {
        say(
            CERTIFICATE_FORM,
            "The certificate is written otherwise than in plain Base64, or more stands behind it; not everybody reads that",
        );
    }
    let when = signature.text("when").and_then(|when| when.parse::<Timestamp>().ok());
    if when.is_some_and(|when| !certificate.is_valid_at(when)) {
        say(OUT_OF_DATE, "The certificate was not good when the signature says to have been made; it was verified all the same");
    }
    Some(certificate)
}

/// The time in the header is written as the one beside it.
fn time(signature: &Node, header: &Node, say: &mut impl FnMut(Rule, &str)) {
    let of_seconds = |seconds: &str| Timestamp::from_second(seconds.parse().ok()?).ok().map(|time| time.to_string());
    let plain = |name: &str| header.get(name).and_then(|node| node.as_text().or_else(|| node.as_number()));
    let stated = match plain("sigT") {
        Some(seconds) if seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
            say(TIME_AS_NUMBER, "The time in the header of the signature (sigT) must be a date and time, not a number");
            of_seconds(seconds)
        }
        Some(time) => Some(time.to_owned()),
        None => plain("iat").and_then(of_seconds),
    };
    if stated.is_none() {
        say(NO_TIME, "The header of the signature should say when it was made (sigT)");
    }
    match (signature.text("when"), stated) {
        (None, _) => say(NO_WHEN, "The signature must say when it was made"),
        (Some(when), Some(stated)) if when != stated => {
            say(OTHER_TIME, "The time in the header of the signature is not the one beside it (when), as both are written");
        }
        _ => {}
    }
}

/// The canonical form that is signed: by the header, else by the format beside it, else that of its type.
fn canonical_form(bundle: &Node, signature: &Node, header: &Node, say: &mut impl FnMut(Rule, &str)) -> String {
    let format = signature.text("targetFormat").unwrap_or_default();
    let beside = format.split(';').filter_map(|parameter| parameter.split_once('=')).find(|(name, _)| name.trim() == "canonicalization");
    let beside = beside.map(|(_, form)| form.trim().trim_matches('"'));
    match (header.text("canon"), beside) {
        (Some(form), Some(other)) if form != other => {
            say(CANON_DIFFERS, "The header of the signature names another canonical form than the format beside it");
            form.to_owned()
        }
        (Some(form), _) | (None, Some(form)) => form.to_owned(),
        (None, None) => {
            say(CANON_UNSAID, "The signature does not say over which canonical form it is, so the one of its format is taken");
            let is_xml = format.split(';').next().unwrap_or_default().contains("xml");
            let kind = if is_xml { "http://hl7.org/fhir/canonicalization/xml" } else { CANONICAL_JSON };
            format!("{kind}{}", if bundle.text("type") == Some("document") { "#document" } else { "" })
        }
    }
}

/// The bytes of a Bundle that a signature is over. `None` for forms that are not made here.
fn signed_bytes(bundle: &Node, form: &str) -> Option<Vec<u8>> {
    let left_out: &[&str] = match form.strip_prefix(CANONICAL_JSON)? {
        // A Bundle has no narrative to leave out.
        "" | "#data" => &["signature"],
        "#static" => &["signature", "meta"],
        "#document" => &["signature", "id", "meta"],
        _ => return None,
    };
    let mut signed = bundle.clone();
    let object = signed.as_object_mut()?;
    left_out.iter().for_each(|name| drop(object.remove(name)));
    Some(json::write_canonical(&signed).into_bytes())
}
