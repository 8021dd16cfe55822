//! Rule 12. Numbers that were sent as text become quantities where the text leaves no doubt; numbers out of all proportion are flagged.
//!
//! No doubt means: the whole text is a number and a known unit, and the reference range speaks of the same unit. The text stays beside the
//! quantity. A value is never scaled, however likely the wrong power of ten.

use super::super::facts;
use super::super::measurement::{self, Measurement};
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::{NUMERIC_TEXT, RuleId};
use super::super::source::SourceRules;
use super::super::vocabulary::{ORIGINAL_VALUE, UCUM};
use super::units::ucum_of;
use crate::fhir::decimal::Decimal;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};

/// The powers of ten by which units are commonly confused.
const FACTORS: [i64; 3] = [10, 100, 1000];

/// What the reference range of a result says about a unit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    Agrees,
    Contradicts,
    /// There is no range, or it has no units.
    Silent,
}

/// Reads `valueString` of an Observation or component as a quantity.
pub(in super::super) fn apply(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(NUMERIC_TEXT) {
        return;
    }
    let Some(text) = holder.get("valueString").and_then(Node::as_text) else { return };
    let Some(Measurement::Quantity { comparator: None, number, unit }) = measurement::read(text) else { return };
    let ucum = unit.and_then(|unit| ucum_of(unit, work.context.source));
    let certain = ucum.as_deref().is_some_and(|ucum| agreement(holder, ucum) == Agreement::Agrees) && holder.get("_valueString").is_none();
    if !certain {
        let text = "the result is a number sent as text; it was left as text, because its unit is not confirmed by a reference range";
        return work.flag(Severity::Information, IssueType::Value, "numeric-text", &path.member("value"), text);
    }
    let quantity = quantity(number, None, unit, work.context.source).with("extension", vec![original(text)]);
    replace_text(NUMERIC_TEXT, holder, "valueQuantity", quantity.into(), path, work);
}

/// Flags a text that begins as a number does and was not read by any rule: `5,4`, `0x10`, `6.2 to 4.3`, a unit nobody knows.
pub(in super::super) fn flag_unread(holder: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(NUMERIC_TEXT) {
        return;
    }
    let Some(text) = holder.get("valueString").and_then(Node::as_text) else { return };
    let is_told = matches!(measurement::read(text), Some(Measurement::Quantity { comparator: None, .. }));
    let begins_as_number =
        text.trim_start_matches(['<', '>', '=', '≤', '≥', '~', '^', '-', '+', '.', ' ']).starts_with(|c: char| c.is_ascii_digit());
    if begins_as_number && !is_told {
        let text = "the result begins as a number does and cannot be read in only one way; it was left as text";
        work.flag(Severity::Information, IssueType::Value, "numeric-text-unread", &path.member("value"), text);
    }
}

/// Flags a quantity that is out of all proportion for its test.
pub(in super::super) fn flag_implausible(holder: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(NUMERIC_TEXT) {
        return;
    }
    let Some(quantity) = holder.get("valueQuantity").filter(|quantity| quantity.text("system") == Some(UCUM)) else { return };
    let (Some(value), Some(unit)) = (quantity.get("value").and_then(Node::as_number), quantity.text("code")) else { return };
    let (Some(value), Some((low, high))) =
        (Decimal::parse(value), holder.get("code").and_then(|code| plausible_range(code, unit, work.context.source)))
    else {
        return;
    };
    if (low..=high).contains(&value) {
        return;
    }
    let fits = |scaled: Option<Decimal>| scaled.is_some_and(|scaled| (low..=high).contains(&scaled));
    let factor = FACTORS.into_iter().find(|&factor| {
        let factor = Decimal::from(factor);
        fits(value.checked_mul(factor)) || fits(value.checked_div(factor))
    });
    let text = match factor {
        Some(factor) => format!(
            "the value is implausible for this test in this unit and would be plausible by a factor of {factor}; it was not changed"
        ),
        None => "the value is implausible for this test in this unit; it was not changed".to_owned(),
    };
    work.flag(Severity::Warning, IssueType::BusinessRule, "implausible-value", &path.member("value"), text);
}

/// By LOINC code, else by the name of the test; the source's own range first.
fn plausible_range(concept: &Node, unit: &str, source: &SourceRules) -> Option<(Decimal, Decimal)> {
    let own = |test: &str| (!source.plausible.is_empty()).then(|| source.plausible.get(&(test.into(), unit.into())).copied())?;
    let range = |test: &str| own(test).or_else(|| facts::PLAUSIBLE.get(&(test, unit)).copied());
    let by_code = concept.items("coding").iter().filter_map(|coding| coding.text("code")).find_map(range);
    by_code.or_else(|| range(&concept.text("text")?.to_ascii_lowercase()))
}

/// What the reference ranges of the result say about its unit.
pub(super) fn agreement(holder: &Object, ucum: &str) -> Agreement {
    let ranges = holder.get("referenceRange").and_then(Node::as_list).unwrap_or_default();
    let limits = ranges.iter().flat_map(|range| [range.get("low"), range.get("high")]).flatten();
    limits.fold(Agreement::Silent, |so_far, limit| match limit.text("code") {
        Some(code) if code == ucum && so_far != Agreement::Contradicts => Agreement::Agrees,
        Some(_) => Agreement::Contradicts,
        None => so_far,
    })
}

/// A quantity of a number as written and a unit as spelt, coded where the spelling is known.
pub(super) fn quantity(number: &str, comparator: Option<&str>, unit: Option<&str>, source: &SourceRules) -> Object {
    let ucum = unit.and_then(|unit| ucum_of(unit, source));
    Object::new()
        .with("value", Node::from(Value::Number(number.into())))
        .with_some("comparator", comparator)
        .with_some("unit", unit)
        .with_some("system", ucum.as_ref().map(|_| UCUM))
        .with_some("code", ucum)
}

/// The extension that keeps a result as it was typed.
pub(super) fn original(text: &str) -> Node {
    Object::new().with("url", ORIGINAL_VALUE).with("valueString", text).into()
}

/// Puts another type of value in the place of `valueString`.
pub(super) fn replace_text(rule: RuleId, holder: &mut Object, name: &str, value: Node, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(member) = holder.members_mut().iter_mut().find(|member| member.name == "valueString") else { return };
    member.name = name.into();
    let before = std::mem::replace(&mut member.node, value.clone());
    work.changed(rule, &path.member("value"), Some(before), Some(value));
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use crate::fhir::json;

    fn observation(value: &str, range: &str) -> String {
        format!(r#"{{"resourceType":"Observation","code":{{"text":"Hemoglobin"}},{value},"referenceRange":[{range}]}}"#)
    }

    #[test]
    fn text_becomes_a_quantity_only_beside_its_range() {
        let in_grams = r#"{"low":{"value":12,"unit":"gm/L"},"high":{"value":16,"unit":"gm/L"}}"#;
        for (text, range, converted) in [
            ("15.0 gm/L", in_grams, true),
            ("15.0 mg/dL", in_grams, false),
            ("15.0", in_grams, false),
            ("15.0 furlongs", in_grams, false),
            ("15.0 gm/L", r#"{"text":"12 - 16"}"#, false),
        ] {
            let done = run(&observation(&format!(r#""valueString":"{text}""#), range), &source());
            let value = done.resource.get("valueQuantity");
            assert_eq!(value.is_some(), converted, "{text}");
            assert_eq!(done.resource.get("valueString").is_none(), converted);
            if let Some(value) = value {
                let expected = r#"{"value":15.0,"unit":"gm/L","system":"http://unitsofmeasure.org","code":"g/L","extension":[{"url":"urn:hearthgate:fhir:original-value","valueString":"15.0 gm/L"}]}"#;
                assert_eq!(json::write(value), expected);
            }
        }
    }

    #[test]
    fn implausible_values_are_flagged_and_kept() {
        for (value, flagged) in [(r#"15.0,"unit":"g/L""#, true), (r#"15.0,"unit":"g/dL""#, false), (r#"150,"unit":"g/L""#, false)] {
            let done = run(&observation(&format!(r#""valueQuantity":{{"value":{value}}}"#), ""), &source());
            assert_eq!(done.findings.iter().any(|finding| finding.message_id == "implausible-value"), flagged, "{value}");
        }
    }
}
