//! Rule 16. Numbers keep the digits they were written with, also when they were written as text.
//!
//! The document model never turns a number into a binary fraction, so this rule only has to undo wrong JSON types: `"5.00"` where FHIR has a
//! number, `1985` where it has text. The characters stay the same, and it is said. Text that is no number (`5,4` and `0x10` are read differently in
//! different places) is flagged and left.

use super::super::measurement::{self, Measurement};
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::DECIMALS;
use crate::fhir::json::is_number;
use crate::fhir::{Node, Value};
use crate::outcome::{IssueType, Severity};

/// Gives a primitive the JSON type of its FHIR type, where its text allows it.
pub(in super::super) fn apply(node: &mut Node, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(DECIMALS) {
        return;
    }
    let Some(value) = retyped(&node.value, type_name) else { return flag_undecided(&node.value, type_name, path, work) };
    flag_retyped(&value, path, work);
    let before = std::mem::replace(&mut node.value, value.clone());
    work.changed(DECIMALS, path, Some(before.into()), Some(value.into()));
}

fn flag_retyped(value: &Value, path: &Path<'_>, work: &mut Work<'_>) {
    let (message_id, text) = match value {
        Value::Number(_) => ("number-as-text", "the number was sent as text; it is a number of the same digits now"),
        Value::Bool(_) => ("boolean-as-text", "true or false was sent as text; it is a truth value now"),
        _ => ("text-as-number", "a number or truth value was sent where text belongs; it is text of the same characters now"),
    };
    work.flag(Severity::Information, IssueType::Value, message_id, path, text);
}

/// Says of a text in the place of a number or a truth value that it is none. A number behind a comparator is for [`super::comparators`].
fn flag_undecided(value: &Value, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let (message_id, text) = match (value, type_name) {
        (Value::Text(text), "decimal" | "integer" | "positiveInt" | "unsignedInt") if !is_compared(text) => {
            ("number-unreadable", "a number belongs here, and the text is none that can be read in only one way; it was left as it is")
        }
        (Value::Bool(_), "decimal" | "integer" | "positiveInt" | "unsignedInt") => {
            ("number-unreadable", "a number belongs here, and a truth value was sent; it was left as it is")
        }
        (Value::Number(number), "integer" | "positiveInt" | "unsignedInt") if number.contains(['.', 'e', 'E']) => {
            ("number-not-whole", "a whole number belongs here, written without point and exponent; it was left as it is")
        }
        (Value::Text(_) | Value::Number(_), "boolean") => {
            ("boolean-unreadable", "true or false belongs here, and what was sent is neither; it was left as it is")
        }
        _ => return,
    };
    work.flag(Severity::Warning, IssueType::Value, message_id, path, text);
}

fn is_compared(text: &str) -> bool {
    matches!(measurement::read(text), Some(Measurement::Quantity { comparator: Some(_), unit: None, .. }))
}

fn retyped(value: &Value, type_name: &str) -> Option<Value> {
    match (value, type_name) {
        (Value::Text(text), "decimal") => is_number(text).then(|| Value::Number(text.clone())),
        (Value::Text(text), "integer" | "positiveInt" | "unsignedInt") => {
            (is_number(text) && !text.contains(['.', 'e', 'E'])).then(|| Value::Number(text.clone()))
        }
        (Value::Text(text), "boolean") if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        (Value::Text(text), "boolean") if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        (Value::Number(number), "string" | "code" | "id" | "markdown" | "date" | "dateTime") => Some(Value::Text(number.clone())),
        (Value::Bool(flag), "string" | "code" | "markdown") => Some(Value::Text(if *flag { "true".into() } else { "false".into() })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retyping() {
        let (text, number) = (|t: &str| Value::Text(t.into()), |n: &str| Value::Number(n.into()));
        for (value, type_name, after) in [
            (text("5.00"), "decimal", Some(number("5.00"))),
            (text("1.2E+2"), "decimal", Some(number("1.2E+2"))),
            (text("5,0"), "decimal", None),
            (text("5.0"), "integer", None),
            (text("12"), "positiveInt", Some(number("12"))),
            (number("1985"), "date", Some(text("1985"))),
            (number("5.00"), "decimal", None),
            (number("02139"), "string", Some(text("02139"))),
            (text("true"), "boolean", Some(Value::Bool(true))),
            (text("FALSE"), "boolean", Some(Value::Bool(false))),
            (text("yes"), "boolean", None),
        ] {
            assert_eq!(retyped(&value, type_name), after, "{value:?} {type_name}");
        }
    }
    #[test]
    fn what_is_undecided_is_flagged() {
        use super::super::super::tests::{run_typed, source};
        for (member, said) in [
            (r#""valueQuantity":{"value":"5,4","unit":"mg"}"#, "number-unreadable"),
            (r#""valueQuantity":{"value":"0x10","unit":"mg"}"#, "number-unreadable"),
            (r#""valueQuantity":{"value":"12 to 14","unit":"mg"}"#, "number-unreadable"),
            (r#""valueQuantity":{"value":"1,200","unit":"mg"}"#, "number-unreadable"),
            (r#""valueQuantity":{"value":">5","comparator":"<","unit":"mg"}"#, "comparator-contradicted"),
            (r#""valueInteger":"5.5""#, "number-unreadable"),
            (r#""valueQuantity":{"value":true,"unit":"mg"}"#, "number-unreadable"),
            (r#""valueInteger":5.0"#, "number-not-whole"),
            (r#""valueInteger":1e2"#, "number-not-whole"),
            (r#""valueBoolean":"yes""#, "boolean-unreadable"),
            (r#""valueBoolean":1"#, "boolean-unreadable"),
            (r#""valueQuantity":{"value":">5","unit":"mg"}"#, "number-as-text"),
            (r#""valueQuantity":{"value":"5.0","unit":"mg"}"#, "number-as-text"),
            (r#""valueQuantity":{"value":5.0,"unit":"mg"}"#, ""),
            (r#""valueInteger":"5""#, "number-as-text"),
            (r#""valueString":5"#, "text-as-number numeric-text"),
            (r#""valueBoolean":"FALSE""#, "boolean-as-text"),
        ] {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"718-7"}}]}},{member}}}"#
            );
            let found: Vec<&str> = run_typed(&text, &source()).findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(found, said.split_terminator(' ').collect::<Vec<_>>(), "{member}");
        }
    }
}
