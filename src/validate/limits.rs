//! The least and the greatest value that a profile allows, which for dates and times may be so long before or after now.

use super::order::order;
use super::path::Path;
use super::profiles::{Asked, Found};
use super::references::Scope;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::fhir::path::{Expression, Focus};
use crate::fhir::ucum::SYSTEM as UCUM;
use crate::outcome::IssueType;
use std::cmp::Ordering;

const TOO_SMALL: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_Decimal_GT");
const TOO_LARGE: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_Decimal_LT");
const LEAST_OF_OTHER_UNIT: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_QTY_MIN_MIN_NO_CONVERT");
const MOST_OF_OTHER_UNIT: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_QTY_MAX_MIN_NO_CONVERT");
const LIMIT_OF_NO_QUANTITY: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_QTY_NO_QTY");
const LEAST_WITHOUT_VALUE: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_QTY_MIN_MIN_NO_VALUE");
const MOST_WITHOUT_VALUE: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_QTY_MAX_MIN_NO_VALUE");
const NOT_EVALUATED: Rule = Rule::information(IssueType::NotSupported, "LIMIT_NOT_EVALUATED");

/// Judges a value by the least and the greatest that a profile sets.
pub fn check(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let (node, Some(value)) = (asked.node(), found.item.node) else { return };
    for (limit, wrong, rule, words) in [
        (&node.min_value, Ordering::Less, TOO_SMALL, "smaller than the least"),
        (&node.max_value, Ordering::Greater, TOO_LARGE, "larger than the greatest"),
    ] {
        let Some(limit) = limit else { continue };
        let is_beyond = match limit.as_object().and(value.as_text()) {
            Some(_) => is_beyond_now(walk, found, limit, wrong, scope),
            None => order(value, limit).map(|found| found == wrong).ok_or_else(|| "the two cannot be compared".to_owned()),
        };
        match is_beyond {
            Ok(false) => {}
            Ok(true) => {
                let text = format!("{}: the value is {words} that {} allows", node.path, asked.profile.canonical());
                let rule = walk.as_hl7_asks(rule, !is_of_time(found.type_name(walk.types)));
                walk.report.add(rule, path, value, text);
            }
            Err(_) if value.as_object().is_some() && limit.get("value").is_none() => {
                let rule = match (limit.as_object().is_some(), wrong) {
                    (false, _) => LIMIT_OF_NO_QUANTITY,
                    (true, Ordering::Less) => LEAST_WITHOUT_VALUE,
                    (true, _) => MOST_WITHOUT_VALUE,
                };
                let text =
                    format!("{}: the limit that {} sets for a quantity is no quantity with a value", node.path, asked.profile.canonical());
                walk.report.add(rule, path, value, text);
            }
            Err(_) if are_measured(value, limit) => {
                let rule = if wrong == Ordering::Less { LEAST_OF_OTHER_UNIT } else { MOST_OF_OTHER_UNIT };
                let text =
                    format!("{}: the unit is none that can be converted to that of the limit of {}", node.path, asked.profile.canonical());
                walk.report.add(rule, path, value, text);
            }
            Err(why) => {
                let text = format!("{}: a limit that {} sets could not be evaluated: {why}", node.path, asked.profile.canonical());
                walk.report.add(NOT_EVALUATED, path, value, text);
            }
        }
    }
}

/// Whether a type is one of dates and times, which HL7's validator does not compare.
fn is_of_time(type_name: &str) -> bool {
    matches!(type_name, "date" | "dateTime" | "instant" | "time")
}

/// Whether both are amounts in units of UCUM, so that the units alone keep them from being compared.
fn are_measured(value: &Node, limit: &Node) -> bool {
    [value, limit].iter().all(|one| one.text("system") == Some(UCUM) && one.text("code").is_some() && one.get("value").is_some())
}

/// Whether a date or time is further from now than a duration allows: a least value so long before now, a greatest so long after it
/// (<https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.minValue_x_>); or why that cannot be said.
fn is_beyond_now(walk: &Walk<'_>, found: Found<'_>, limit: &Node, wrong: Ordering, scope: &Scope<'_>) -> Result<bool, String> {
    let unit = match limit.text("code") {
        Some("a") => "years",
        Some("mo") => "months",
        Some("wk") => "weeks",
        Some("d") => "days",
        Some("h") => "hours",
        Some("min") => "minutes",
        Some("s") => "seconds",
        _ => return Err("its unit is none of time".to_owned()),
    };
    let amount = limit.get("value").and_then(Node::as_number).ok_or("it has no number")?;
    let (comparison, sign) = if wrong == Ordering::Less { ("<", "-") } else { (">", "+") };
    let base = if found.type_name(walk.types) == "date" { "today()" } else { "now()" };
    let rule = format!("iif($this {comparison} {base} {sign} {amount} {unit}, true, false)");
    let expression = Expression::compile(&rule, walk.types).map_err(|error| error.to_string())?;
    let focus = Focus::resource(walk.types, scope.resource).ok_or("the resource is of no known type")?;
    let focus = Focus { now: walk.options.now, ..focus.at(found.item) };
    expression.truth(&focus).map_err(|error| error.to_string())
}
