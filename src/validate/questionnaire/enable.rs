//! Whether an item is enabled by the answers given so far (<https://hl7.org/fhir/R4/questionnaire.html#enableWhen>).

use super::super::order::order;
use super::value;
use crate::fhir::{Node, Object};
use std::cmp::Ordering;

/// How many items of a response one condition looks through.
const ITEMS_MAX: usize = 100_000;

/// Whether an item is enabled. `around` are the response and the items around the one at hand, the innermost last: a condition asks the nearest
/// answer to its question.
pub fn is_enabled(item: &Node, around: &[&Node]) -> bool {
    let conditions = item.items("enableWhen");
    let holds = |condition: &Node| {
        let Some(question) = condition.text("question") else { return true };
        holds(condition, &answers(question, around))
    };
    match item.text("enableBehavior") {
        _ if conditions.is_empty() => true,
        Some("any") => conditions.iter().any(holds),
        _ => conditions.iter().all(holds),
    }
}

fn answers<'a>(question: &str, around: &[&'a Node]) -> Vec<&'a Node> {
    let mut left = ITEMS_MAX;
    for scope in around.iter().rev() {
        let mut found = Vec::new();
        collect(scope, question, &mut found, &mut left);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn collect<'a>(parent: &'a Node, question: &str, found: &mut Vec<&'a Node>, left: &mut usize) {
    for item in parent.items("item").iter().chain(parent.items("answer").iter().flat_map(|answer| answer.items("item"))) {
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        if item.text("linkId") == Some(question) {
            found.extend(item.items("answer").iter().filter_map(value));
        }
        collect(item, question, found, left);
    }
}

fn holds(condition: &Node, answers: &[&Node]) -> bool {
    let members = condition.as_object().map(Object::members).unwrap_or_default();
    let Some(asked) = members.iter().find(|member| member.name.starts_with("answer")).map(|member| &member.node) else { return true };
    let compared = |wanted: fn(Ordering) -> bool| answers.iter().any(|answer| order(answer, asked).is_some_and(wanted));
    match condition.text("operator") {
        Some("exists") => asked.as_bool() != Some(answers.is_empty()),
        Some("=") => answers.iter().any(|answer| same(answer, asked)),
        Some("!=") => !answers.is_empty() && answers.iter().all(|answer| !same(answer, asked)),
        Some(">") => compared(Ordering::is_gt),
        Some("<") => compared(Ordering::is_lt),
        Some(">=") => compared(Ordering::is_ge),
        Some("<=") => compared(Ordering::is_le),
        // What is not known cannot disable.
        _ => true,
    }
}

fn same(answer: &Node, asked: &Node) -> bool {
    match (answer.as_object(), asked.as_object()) {
        (Some(_), Some(_)) if asked.get("value").is_some() => order(answer, asked) == Some(Ordering::Equal) || answer == asked,
        (Some(_), Some(_)) if asked.get("reference").is_some() => answer.text("reference") == asked.text("reference"),
        (Some(_), Some(_)) => {
            let system_fits = asked.text("system").is_none() || answer.text("system") == asked.text("system");
            answer.text("code") == asked.text("code") && system_fits
        }
        _ => answer == asked || order(answer, asked) == Some(Ordering::Equal),
    }
}
