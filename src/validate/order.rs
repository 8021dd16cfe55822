//! Which of two values is the greater, for least and greatest values.

use crate::fhir::decimal::Decimal;
use crate::fhir::path::quantity::{Quantity, Unit};
use crate::fhir::temporal::{Date, DateTime, Time};
use crate::fhir::ucum::SYSTEM as UCUM;
use crate::fhir::{Node, Value};
use std::cmp::Ordering;

/// Numbers, dates and times, and quantities whose units can be converted; `None` for what cannot be compared.
pub fn order(value: &Node, limit: &Node) -> Option<Ordering> {
    match (&value.value, &limit.value) {
        (Value::Number(value), Value::Number(limit)) => Some(Decimal::parse(value)?.cmp(&Decimal::parse(limit)?)),
        (Value::Text(value), Value::Text(limit)) => temporal(value, limit),
        (Value::Object(_), Value::Object(_)) => quantities(value, limit),
        _ => None,
    }
}

fn quantities(value: &Node, limit: &Node) -> Option<Ordering> {
    let same = |name: &str| value.text(name) == limit.text(name);
    if value.text("code").is_some() && same("system") && same("code") {
        return order(value.get("value")?, limit.get("value")?);
    }
    quantity(value)?.compare(&quantity(limit)?)
}

fn quantity(node: &Node) -> Option<Quantity> {
    let code = node.text("code").filter(|_| node.text("system") == Some(UCUM))?;
    Some(Quantity { value: Decimal::parse(node.get("value")?.as_number()?)?, unit: Unit::Ucum(code.into()) })
}

fn temporal(value: &str, limit: &str) -> Option<Ordering> {
    if let (Ok(value), Ok(limit)) = (Date::parse(value), Date::parse(limit)) {
        return value.compare(limit);
    }
    if let (Ok(value), Ok(limit)) = (Time::parse(value), Time::parse(limit)) {
        return value.compare(limit);
    }
    DateTime::parse(value).ok()?.compare(&DateTime::parse(limit).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn orders() {
        let check = |value: &str, limit: &str, expected: Option<Ordering>| {
            let node = |text: &str| json::parse(text.as_bytes(), 8).unwrap();
            assert_eq!(order(&node(value), &node(limit)), expected, "{value} {limit}");
        };
        check("1.50", "1.5", Some(Ordering::Equal));
        check("2", "10", Some(Ordering::Less));
        check(r#""2024-02""#, r#""2024-01""#, Some(Ordering::Greater));
        check(r#""2024""#, r#""2024-01""#, None);
        check(r#""10:00:00""#, r#""09:59:59""#, Some(Ordering::Greater));
        check(r#""2024-01-01T00:00:00Z""#, r#""2024-01-01T01:00:00+01:00""#, Some(Ordering::Equal));
        let quantity = |value: &str, code: &str| format!(r#"{{"value": {value}, "system": "{UCUM}", "code": "{code}"}}"#);
        check(&quantity("1", "km"), &quantity("999", "m"), Some(Ordering::Greater));
        check(&quantity("1", "km"), &quantity("1", "kg"), None);
        check(r#"{"value": 1, "unit": "boxes"}"#, r#"{"value": 2, "unit": "boxes"}"#, None);
        check("1", r#""1""#, None);
    }
}
