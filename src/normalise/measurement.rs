//! Results that were typed as text, read whole or not at all.

/// What a text says when all of it is a measurement. Numbers are as written and valid in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measurement<'t> {
    Quantity { comparator: Option<&'static str>, number: &'t str, unit: Option<&'t str> },
    Range { low: &'t str, high: &'t str, unit: Option<&'t str> },
    Ratio { numerator: &'t str, denominator: &'t str },
}

/// The longest text that is looked at. Real ones are a few dozen characters.
const MAX_TEXT: usize = 64;

/// FHIR's comparators and what senders write for them, longer spellings first.
const COMPARATORS: [(&str, &str); 6] = [("<=", "<="), (">=", ">="), ("≤", "<="), ("≥", ">="), ("<", "<"), (">", ">")];

/// Words and signs between the ends of a range.
const RANGE_SIGNS: [&str; 5] = [" to ", " - ", "–", "_", "-"];

/// Reads a text as one measurement. `None` when any part of it is something else.
pub(super) fn read(text: &str) -> Option<Measurement<'_>> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return None;
    }
    if text.contains('^') {
        return structured(text);
    }
    if let Some((sign, rest)) = COMPARATORS.iter().find_map(|&(written, sign)| Some((sign, text.strip_prefix(written)?))) {
        let (number, unit) = number_and_unit(rest.trim_start())?;
        return Some(Measurement::Quantity { comparator: Some(sign), number, unit });
    }
    if let Some((numerator, denominator)) = text.split_once(':') {
        let is_count = |part: &str| !part.starts_with('0') && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        // Titres are one in so many. Other pairs of numbers may be times of day.
        return (numerator == "1" && is_count(denominator)).then_some(Measurement::Ratio { numerator, denominator });
    }
    let (number, rest) = leading_number(text)?;
    if let Some(after) = RANGE_SIGNS.iter().find_map(|sign| rest.strip_prefix(sign)) {
        let (high, unit) = number_and_unit(after)?;
        return Some(Measurement::Range { low: number, high, unit });
    }
    Some(Measurement::Quantity { comparator: None, number, unit: unit_after(rest)? })
}

/// HL7 v2's structured numeric (SN, v2.9 §2A.2.71): comparator, number, separator, number.
fn structured(text: &str) -> Option<Measurement<'_>> {
    let mut parts = text.split('^');
    let (sign, first) = (parts.next()?, number(parts.next()?)?);
    let (separator, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if parts.next().is_some() {
        return None;
    }
    let is_plain = matches!(sign, "" | "=");
    match (separator, number(second)) {
        ("", None) if second.is_empty() => {
            let comparator = COMPARATORS.iter().find(|(written, _)| *written == sign).map(|&(_, sign)| sign);
            (is_plain || comparator.is_some()).then_some(Measurement::Quantity { comparator, number: first, unit: None })
        }
        ("-", Some(high)) if is_plain => Some(Measurement::Range { low: first, high, unit: None }),
        (":" | "/", Some(denominator)) if is_plain => Some(Measurement::Ratio { numerator: first, denominator }),
        _ => None,
    }
}

/// A text that is a JSON number without exponent and nothing else.
fn number(text: &str) -> Option<&str> {
    leading_number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

fn number_and_unit(text: &str) -> Option<(&str, Option<&str>)> {
    let (number, rest) = leading_number(text)?;
    Some((number, unit_after(rest)?))
}

/// The rest after a number: nothing, or something that begins as units do and not as the rest of a number or date.
fn unit_after(rest: &str) -> Option<Option<&str>> {
    let unit = rest.trim();
    let begins_well = match unit.chars().next() {
        None => return Some(None),
        // Two numbers, as of a blood pressure or a visual acuity.
        Some('/') if unit.bytes().skip(1).all(|byte| byte.is_ascii_digit()) => false,
        Some('%' | '/' | '[' | '{' | '#' | '°') => true,
        Some(first) => first.is_alphabetic() || (first.is_ascii_digit() && rest.starts_with(' ')),
    };
    begins_well.then_some(Some(unit))
}

/// The longest JSON number without exponent that a text begins with.
fn leading_number(text: &str) -> Option<(&str, &str)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let fraction = match unsigned.get(whole..).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => rest.bytes().take_while(u8::is_ascii_digit).count(),
        None => 0,
    };
    let end = sign + whole + if fraction > 0 { fraction + 1 } else { 0 };
    let (number, rest) = text.split_at_checked(end)?;
    crate::fhir::json::is_number(number).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::Measurement::{Quantity, Range, Ratio};
    use super::read;

    #[test]
    fn reading() {
        let quantity = |comparator, number, unit| Some(Quantity { comparator, number, unit });
        for (text, measurement) in [
            ("15.0 gm/L", quantity(None, "15.0", Some("gm/L"))),
            ("120/80", None),
            ("5 /100 WBC", quantity(None, "5", Some("/100 WBC"))),
            ("15.0gm/L", quantity(None, "15.0", Some("gm/L"))),
            ("5.00", quantity(None, "5.00", None)),
            ("-2.5", quantity(None, "-2.5", None)),
            (">59", quantity(Some(">"), "59", None)),
            ("≥ 60 mL/min", quantity(Some(">="), "60", Some("mL/min"))),
            ("<=0.5", quantity(Some("<="), "0.5", None)),
            ("4 /HPF", quantity(None, "4", Some("/HPF"))),
            ("70_105", Some(Range { low: "70", high: "105", unit: None })),
            ("4.3 to 6.2", Some(Range { low: "4.3", high: "6.2", unit: None })),
            ("4.3-6.2 mg/dL", Some(Range { low: "4.3", high: "6.2", unit: Some("mg/dL") })),
            ("1:160", Some(Ratio { numerator: "1", denominator: "160" })),
            (">^59", quantity(Some(">"), "59", None)),
            ("^59^", quantity(None, "59", None)),
            ("^1^:^128", Some(Ratio { numerator: "1", denominator: "128" })),
            ("=^70^-^105", Some(Range { low: "70", high: "105", unit: None })),
            ("^2^+", None),
            (">^1^-^2", None),
            ("10^3", None),
            ("^x", None),
            ("12:30", None),
            ("1,000", None),
            ("1.2.3", None),
            ("007", None),
            ("Negative", None),
            ("2022-12-14", None),
            ("", None),
            (">", None),
            ("5-", None),
        ] {
            assert_eq!(read(text), measurement, "{text}");
        }
    }
}
