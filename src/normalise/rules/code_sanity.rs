//! Rule 8. A code must look like a code of its system: check digits of LOINC and SNOMED CT, the shape of the others.
//!
//! Nothing is thrown away. One mistake is certain enough to be put right: a code that fails SNOMED CT's check digit and passes LOINC's.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::CODE_SANITY;
use super::super::vocabulary::{CPT, CVX, ICD_9_CM, ICD_10, ICD_10_CM, LOINC, NDC, RXNORM, SNOMED};
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Checks `Coding.code` against `Coding.system`.
pub(in super::super) fn apply(coding: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(CODE_SANITY) {
        return;
    }
    let text = |name: &str| coding.get(name).and_then(Node::as_text);
    let (Some(system), Some(code)) = (text("system"), text("code")) else { return };
    let Some((is_sane, name)) = judge(system, code) else { return };
    if is_sane {
        if matches!(system, ICD_10_CM | ICD_10) && code.len() > 3 && !code.contains('.') {
            let text = format!("{name} writes a dot behind the third character of a code, and there is none; it was kept as it is");
            work.flag(Severity::Information, IssueType::CodeInvalid, "code-undotted", &path.member("code"), text);
        }
        return;
    }
    let relabel = system == SNOMED && is_loinc(code);
    let (message_id, message) = if relabel {
        ("code-relabelled", format!("the code is no {name} code and has LOINC's form and check digit; its system was changed to LOINC"))
    } else {
        ("code-shape", format!("the code does not have the form or check digit of {name}; it was kept as it is"))
    };
    work.flag(Severity::Warning, IssueType::CodeInvalid, message_id, &path.member("code"), message);
    if relabel {
        work.set(CODE_SANITY, coding, path, "system", LOINC);
    }
}

/// Whether the code may be one of the system, as far as its form tells.
pub(super) fn is_sane(system: &str, code: &str) -> bool {
    judge(system, code).is_none_or(|(is_sane, _)| is_sane)
}

/// Whether the code may be one of the system, and the system's name; `None` for systems without a known form.
fn judge(system: &str, code: &str) -> Option<(bool, &'static str)> {
    Some(match system {
        LOINC => (is_loinc(code) || is_loinc_part(code), "LOINC"),
        SNOMED => (is_snomed(code), "SNOMED CT"),
        ICD_10_CM => (is_icd_10(code, 7), "ICD-10-CM"),
        ICD_10 => (is_icd_10(code, 6), "ICD-10"),
        ICD_9_CM => (is_icd_9(code), "ICD-9-CM"),
        // Codes below ten are written with a leading zero.
        CVX => ((2..=3).contains(&code.len()) && is_digits(code), "CVX"),
        RXNORM => ((1..=8).contains(&code.len()) && is_digits(code), "RxNorm"),
        CPT => (is_cpt(code), "CPT"),
        NDC => (is_ndc(code), "NDC"),
        _ => return None,
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn digit(byte: u8) -> usize {
    usize::from(byte.saturating_sub(b'0'))
}

/// One to seven digits without leading zero, a hyphen, and the check digit of the modulus 10 scheme over them.
pub(in super::super) fn is_loinc(code: &str) -> bool {
    let Some((body, check)) = code.split_once('-') else { return false };
    if !(1..=7).contains(&body.len()) || !is_digits(body) || body.starts_with('0') || check.len() != 1 || !is_digits(check) {
        return false;
    }
    let sum: usize =
        body.bytes().rev().enumerate().map(|(place, byte)| if place % 2 == 0 { folded_double(digit(byte)) } else { digit(byte) }).sum();
    (10 - sum % 10) % 10 == check.bytes().next().map_or(10, digit)
}

/// The sum of the digits of twice a digit.
fn folded_double(digit: usize) -> usize {
    let double = digit * 2;
    if double > 9 { double - 9 } else { double }
}

/// Answers, answer lists, groups and parts: `LA29518-0`, `LP14635-4`.
fn is_loinc_part(code: &str) -> bool {
    let prefixes = ["LA", "LL", "LG", "LP"];
    prefixes
        .iter()
        .find_map(|prefix| code.strip_prefix(prefix))
        .is_some_and(|rest| rest.split_once('-').is_some_and(|(body, check)| is_digits(body) && check.len() == 1 && is_digits(check)))
}

/// A SNOMED CT identifier: 6 to 18 digits, no leading zero, Verhoeff check digit last. Post-coordinated expressions are not judged.
pub(in super::super) fn is_snomed(code: &str) -> bool {
    if code.contains([':', '+', '|', '{', '(', '=']) {
        return true;
    }
    (6..=18).contains(&code.len()) && is_digits(code) && !code.starts_with('0') && verhoeff(code.bytes()) == 0
}

/// Multiplication in the dihedral group of order ten.
fn dihedral(a: usize, b: usize) -> usize {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// The check sum of Verhoeff's scheme; 0 when the check digit is right.
fn verhoeff(digits: impl DoubleEndedIterator<Item = u8>) -> usize {
    digits.rev().enumerate().fold(0, |sum, (place, byte)| {
        let permuted = (0..place % 8).fold(digit(byte), |value, _| permute(value));
        dihedral(sum, permuted)
    })
}

/// The permutation that Verhoeff's scheme applies once per place.
fn permute(digit: usize) -> usize {
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4].get(digit).copied().unwrap_or_default()
}

/// A letter, a digit, a third character, and up to `longest - 3` more, with or without the dot behind the third.
fn is_icd_10(code: &str, longest: usize) -> bool {
    let (category, rest) = code.split_at_checked(3).unwrap_or((code, ""));
    let mut characters = category.chars();
    let category_fits = characters.next().is_some_and(|c| c.is_ascii_uppercase())
        && characters.next().is_some_and(|c| c.is_ascii_digit())
        && characters.next().is_some_and(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    category_fits && rest.len() + 3 <= longest && rest.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

/// Diagnoses (`250.00`, `V70.0`, `E812.0`) and procedures (`47.09`), with or without the dot.
fn is_icd_9(code: &str) -> bool {
    let bare = code.strip_prefix(['V', 'E']).unwrap_or(code);
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    is_digits(whole) && (2..=5).contains(&whole.len()) && fraction.len() <= 2 && fraction.bytes().all(|b| b.is_ascii_digit())
}

/// Five characters: digits, the last of which may be a letter (categories II and III, laboratory analyses); HCPCS level II begins with one.
fn is_cpt(code: &str) -> bool {
    code.len() == 5 && code.bytes().enumerate().all(|(place, b)| b.is_ascii_digit() || (matches!(place, 0 | 4) && b.is_ascii_uppercase()))
}

/// Ten or eleven digits, or three groups of them.
fn is_ndc(code: &str) -> bool {
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    let hyphens = code.bytes().filter(|&b| b == b'-').count();
    digits + hyphens == code.len() && (10..=11).contains(&digits) && matches!(hyphens, 0 | 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judging() {
        for (system, code, sane) in [
            (LOINC, "4548-4", true),
            (LOINC, "2339-0", true),
            (LOINC, "8867-4", true),
            (LOINC, "8867-5", false),
            (LOINC, "LA29518-0", true),
            (LOINC, "73211009", false),
            (SNOMED, "73211009", true),
            (SNOMED, "248153007", true),
            (SNOMED, "47625008", true),
            (SNOMED, "47625009", false),
            (SNOMED, "4548-4", false),
            (SNOMED, "71388002:260686004=129304002", true),
            (ICD_10_CM, "E11.9", true),
            (ICD_10_CM, "S72001A", true),
            (ICD_10_CM, "C7A.00", true),
            (ICD_10_CM, "250.00", false),
            (ICD_9_CM, "250.00", true),
            (ICD_9_CM, "V70.0", true),
            (ICD_9_CM, "47.09", true),
            (ICD_9_CM, "E11.9A", false),
            (CVX, "207", true),
            (CVX, "FLU", false),
            (CPT, "99213", true),
            (CPT, "0001A", true),
            (CPT, "9921", false),
            (NDC, "0006-4992-00", true),
            (NDC, "00064992", false),
        ] {
            assert_eq!(judge(system, code).unwrap().0, sane, "{system} {code}");
        }
    }
}
