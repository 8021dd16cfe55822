//! Rule 14. `>59`, `1:160` and `4.3 to 6.2` become comparator, ratio and range, with the text kept beside.

use super::super::measurement::{self, Measurement};
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::COMPARATORS;
use super::super::source::SourceRules;
use super::numeric_text::{Agreement, agreement, original, quantity, replace_text};
use super::units::ucum_of;
use crate::fhir::decimal::Decimal;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};

/// Reads the text result of an Observation or component.
pub(in super::super) fn apply(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(COMPARATORS) {
        return;
    }
    if holder.get("_valueString").is_none()
        && let Some(text) = holder.get("valueString").and_then(Node::as_text)
        && let Some((name, value)) = structured(text, holder, work.context.source)
    {
        let value = value.with("extension", vec![original(text)]);
        replace_text(COMPARATORS, holder, name, value.into(), path, work);
    }
}

/// Reads the texts of the reference ranges of a result.
pub(in super::super) fn read_ranges(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(COMPARATORS) {
        return;
    }
    let Some(ranges) = holder.get_mut("referenceRange").and_then(Node::as_list_mut) else { return };
    let ranges_path = path.member("referenceRange");
    for (index, range) in ranges.iter_mut().enumerate() {
        if let Some(range) = range.as_object_mut() {
            read_limits(range, &ranges_path.item(index), work);
        }
    }
}

/// The structured form of a text and the member it goes into.
fn structured(text: &str, holder: &Object, source: &SourceRules) -> Option<(&'static str, Object)> {
    match measurement::read(text)? {
        Measurement::Quantity { comparator: None, .. } => None,
        Measurement::Quantity { comparator, number, unit } => {
            fits(unit, holder, source).then(|| ("valueQuantity", quantity(number, comparator, unit, source)))
        }
        // Two numbers with a hyphen and nothing else may be a telephone number, a score or a date.
        Measurement::Range { unit: None, .. } if is_only_hyphenated(text) => None,
        Measurement::Range { low, high, unit } => {
            let range = || Object::new().with("low", quantity(low, None, unit, source)).with("high", quantity(high, None, unit, source));
            (is_ordered(low, high) && fits(unit, holder, source)).then(|| ("valueRange", range()))
        }
        Measurement::Ratio { numerator, denominator } => {
            let part = |number| quantity(number, None, None, source);
            Some(("valueRatio", Object::new().with("numerator", part(numerator)).with("denominator", part(denominator))))
        }
    }
}

/// Whether a text's unit is known and not contradicted by the reference range. No unit is as good as a known one: nothing is claimed.
fn fits(unit: Option<&str>, holder: &Object, source: &SourceRules) -> bool {
    match unit {
        None => true,
        Some(unit) => ucum_of(unit, source).is_some_and(|ucum| agreement(holder, &ucum) != Agreement::Contradicts),
    }
}

fn is_only_hyphenated(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
}

fn is_ordered(low: &str, high: &str) -> bool {
    matches!((Decimal::parse(low), Decimal::parse(high)), (Some(low), Some(high)) if low <= high)
}

/// Fills the limits of a reference range that has only text.
fn read_limits(range: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if range.get("low").is_some() || range.get("high").is_some() {
        return;
    }
    let Some(text) = range.get("text").and_then(Node::as_text) else { return };
    let Some(Measurement::Range { low, high, unit }) = measurement::read(text) else { return };
    let source = work.context.source;
    if !is_ordered(low, high) || unit.is_some_and(|unit| ucum_of(unit, source).is_none()) {
        return;
    }
    let (low, high) = (quantity(low, None, unit, source), quantity(high, None, unit, source));
    work.set(COMPARATORS, range, path, "low", low);
    work.set(COMPARATORS, range, path, "high", high);
}

/// A Quantity whose value is text with a comparator: `">59"` where a number belongs.
pub(in super::super) fn split_value(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(COMPARATORS) {
        return;
    }
    let Some(text) = quantity.get("value").and_then(Node::as_text) else { return };
    let Some(Measurement::Quantity { comparator: Some(comparator), number, unit: None }) = measurement::read(text) else { return };
    if quantity.get("comparator").is_some() {
        let text = "the value has a comparator in its text and another beside it; it was left as it is";
        return work.flag(Severity::Warning, IssueType::Value, "comparator-contradicted", &path.member("value"), text);
    }
    let number = Value::Number(number.into());
    let text = "a number with a comparator was sent as text; they are a number and a comparator now";
    work.flag(Severity::Information, IssueType::Value, "number-as-text", &path.member("value"), text);
    work.set(COMPARATORS, quantity, path, "value", number);
    work.set(COMPARATORS, quantity, path, "comparator", comparator);
}

/// `Quantity.comparator` in FHIR's spelling; one that is none is said.
pub(in super::super) fn respell(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(COMPARATORS) {
        return;
    }
    let Some(sent) = quantity.get("comparator").and_then(Node::as_text) else { return };
    let meant = match sent {
        "<" | "<=" | ">=" | ">" => return,
        "=<" | "≤" => "<=",
        "=>" | "≥" => ">=",
        _ => {
            let text = "the comparator is none of <, <=, >= and >, so it is not known what the value says; it was left as it is";
            return work.flag(Severity::Warning, IssueType::CodeInvalid, "comparator-unknown", &path.member("comparator"), text);
        }
    };
    let text = "the comparator was written in another way than FHIR's, which has one reading";
    work.flag(Severity::Information, IssueType::Value, "comparator-respelt", &path.member("comparator"), text);
    work.set(COMPARATORS, quantity, path, "comparator", meant);
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, run_typed, source};
    use crate::fhir::json;

    #[test]
    fn results() {
        let kept = |text: &str| format!(r#""extension":[{{"url":"urn:hearthgate:fhir:original-value","valueString":"{text}"}}]"#);
        for (text, after) in [
            (">59", format!(r#""valueQuantity":{{"value":59,"comparator":">",{}}}"#, kept(">59"))),
            (
                "<0.50 mg/dL",
                format!(
                    r#""valueQuantity":{{"value":0.50,"comparator":"<","unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL",{}}}"#,
                    kept("<0.50 mg/dL")
                ),
            ),
            ("1:160", format!(r#""valueRatio":{{"numerator":{{"value":1}},"denominator":{{"value":160}},{}}}"#, kept("1:160"))),
            ("4.3 to 6.2", format!(r#""valueRange":{{"low":{{"value":4.3}},"high":{{"value":6.2}},{}}}"#, kept("4.3 to 6.2"))),
            ("555-1234", r#""valueString":"555-1234""#.to_owned()),
            ("1-2", r#""valueString":"1-2""#.to_owned()),
            (
                "1-2 mg/dL",
                format!(
                    r#""valueRange":{{"low":{{"value":1,{unit}}},"high":{{"value":2,{unit}}},{}}}"#,
                    kept("1-2 mg/dL"),
                    unit = r#""unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL""#
                ),
            ),
            ("6.2 to 4.3", r#""valueString":"6.2 to 4.3""#.to_owned()),
            (">59 furlongs", r#""valueString":">59 furlongs""#.to_owned()),
        ] {
            let done = run(&format!(r#"{{"resourceType":"Observation","valueString":"{text}"}}"#), &source());
            assert_eq!(json::write(&done.resource), format!(r#"{{"resourceType":"Observation",{after}}}"#));
        }
    }

    #[test]
    fn a_range_of_text_confirms_the_result_at_once() {
        for (value, range) in [("15.0 gm/dL", "12.0-16.0 gm/dL"), ("5.00 M/mm3", "4.2-5.4 M/mm3"), ("15.0 mg/dL", "12-16 mg/dL")] {
            let text = format!(r#"{{"resourceType":"Observation","valueString":"{value}","referenceRange":[{{"text":"{range}"}}]}}"#);
            let done = run(&text, &source());
            assert!(done.resource.get("valueQuantity").is_some(), "{value}: {}", json::write(&done.resource));
            let again = run(&json::write(&done.resource), &source());
            assert_eq!(json::write(&again.resource), json::write(&done.resource));
        }
    }

    #[test]
    fn spellings_of_comparators() {
        for (sent, after, said) in
            [("<=", "<=", ""), ("=<", "<=", "comparator-respelt"), ("≥", ">=", "comparator-respelt"), ("~", "~", "comparator-unknown")]
        {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"718-7"}}]}},"valueQuantity":{{"value":5,"comparator":"{sent}","unit":"mg"}}}}"#
            );
            let done = run_typed(&text, &source());
            let found: Vec<&str> = done.findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(done.resource.get("valueQuantity").unwrap().text("comparator"), Some(after));
            assert_eq!(found, said.split_terminator(' ').collect::<Vec<_>>(), "{sent}");
        }
    }

    #[test]
    fn limits_have_no_comparator() {
        let text =
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"referenceRange":[{"low":{"value":">5","unit":"mg"}}]}"#;
        let done = run_typed(text, &source());
        assert!(done.resource.items("referenceRange")[0].get("low").unwrap().get("comparator").is_none());
        assert!(!done.findings.is_empty(), "what cannot be read is said");
    }

    #[test]
    fn reference_ranges_and_quantities() {
        let text = r#"{"resourceType":"Observation","valueQuantity":{"value":">59","unit":"mg/dL"},"referenceRange":[{"text":"70_105"}]}"#;
        let done = run(text, &source());
        let value = done.resource.get("valueQuantity").unwrap();
        assert_eq!((value.get("value").unwrap().as_number(), value.text("comparator")), (Some("59"), Some(">")));
        let range = &done.resource.items("referenceRange")[0];
        assert_eq!(json::write(range), r#"{"text":"70_105","low":{"value":70},"high":{"value":105}}"#);
    }
}
