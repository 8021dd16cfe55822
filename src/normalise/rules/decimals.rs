//! Rule 16. Numbers keep the digits they were written with, also when they were written as text.
//!
//! The document model never turns a number into a binary fraction, so this rule only has to undo wrong JSON types: `"5.00"` where FHIR has a
//! number, `1985` where it has text. The characters stay the same.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::DECIMALS;
use crate::fhir::json::is_number;
use crate::fhir::{Node, Value};

/// Gives a primitive the JSON type of its FHIR type, where its text allows it.
pub(in super::super) fn apply(node: &mut Node, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(DECIMALS) {
        return;
    }
    let Some(value) = retyped(&node.value, type_name) else { return };
    let before = std::mem::replace(&mut node.value, value.clone());
    work.changed(DECIMALS, path, Some(before.into()), Some(value.into()));
}

fn retyped(value: &Value, type_name: &str) -> Option<Value> {
    match (value, type_name) {
        (Value::Text(text), "decimal") => is_number(text).then(|| Value::Number(text.clone())),
        (Value::Text(text), "integer" | "positiveInt" | "unsignedInt") => {
            (is_number(text) && !text.contains(['.', 'e', 'E'])).then(|| Value::Number(text.clone()))
        }
        (Value::Text(text), "boolean") => match text.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
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
            (text("yes"), "boolean", None),
        ] {
            assert_eq!(retyped(&value, type_name), after, "{value:?} {type_name}");
        }
    }
}
