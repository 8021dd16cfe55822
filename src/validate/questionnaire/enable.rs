//! Whether an item is enabled by the answers given so far (<https://hl7.org/fhir/R4/questionnaire.html#enableWhen>).

use super::super::order::order;
use super::super::references::Scope;
use super::super::structure::Walk;
use super::expression::{Expressions, Said};
use super::value;
use crate::fhir::{Node, Object};
use std::cmp::Ordering;
use std::collections::HashMap;

/// How deep the items of a response are looked into; the readers refuse what nests deeper.
const DEPTH_MAX: usize = super::super::DEPTH_MAX;

/// How often the conditions of a form may be compared with an answer, all together: each may ask the question that has the most.
const COMPARISONS_MAX: usize = 2_000_000;

/// The response and the items around the one at hand, the innermost last, each with its answers by question once they were asked for.
pub struct Around<'n> {
    scopes: Vec<(&'n Node, Option<Answers<'n>>)>,
    expressions: Expressions<'n>,
    /// How often conditions were compared with answers.
    comparisons: usize,
}

/// The answers by question; none in place of one that has no value and says why.
type Answers<'n> = HashMap<&'n str, Vec<Option<&'n Node>>>;

impl<'n> Around<'n> {
    pub fn new(form: &'n Node, response: &'n Node, scope: &'n Scope<'n>) -> Around<'n> {
        Around { scopes: vec![(response, None)], expressions: Expressions::of(form, scope), comparisons: 0 }
    }

    pub fn depth(&self) -> usize {
        self.scopes.len()
    }

    pub fn enter(&mut self, scope: &'n Node) {
        self.scopes.push((scope, None));
    }

    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Whether a condition holds by the nearest answers to its question.
    fn meets(&mut self, condition: &Node, question: &str) -> Said {
        if self.comparisons > COMPARISONS_MAX {
            return Err(format!("the conditions of the form were compared with answers {COMPARISONS_MAX} times"));
        }
        let answers = self.answers(question);
        let (held, compared) = (holds(condition, answers), answers.len());
        self.comparisons += compared;
        Ok(held)
    }

    /// The nearest answers to a question.
    fn answers(&mut self, question: &str) -> &[Option<&'n Node>] {
        for (scope, answers) in self.scopes.iter_mut().rev() {
            let answers = answers.get_or_insert_with(|| {
                let mut found = Answers::new();
                collect(scope, &mut found, 0);
                found
            });
            if let Some(found) = answers.get(question) {
                return found;
            }
        }
        &[]
    }
}

/// Whether an item is enabled: by its expression, else by its conditions, each of which asks the nearest answer to its question.
pub fn is_enabled<'n>(walk: &mut Walk<'_>, item: &'n Node, around: &mut Around<'n>) -> Said {
    around.expressions.enables(walk, item).unwrap_or_else(|| by_conditions(item, around))
}

fn by_conditions(item: &Node, around: &mut Around<'_>) -> Said {
    let conditions = item.items("enableWhen");
    let is_any = item.text("enableBehavior") == Some("any");
    for condition in conditions {
        let held = condition.text("question").map_or(Ok(true), |question| around.meets(condition, question))?;
        if held == is_any {
            return Ok(is_any);
        }
    }
    Ok(conditions.is_empty() || !is_any)
}

/// Adds the answers below an item; an item without one is no answer.
fn collect<'n>(parent: &'n Node, found: &mut Answers<'n>, depth: usize) {
    if depth >= DEPTH_MAX {
        return;
    }
    for item in parent.items("item").iter().chain(parent.items("answer").iter().flat_map(|answer| answer.items("item"))) {
        let answers = item.items("answer").iter().filter(|answer| is_answered(answer)).map(value);
        if let Some(question) = item.text("linkId") {
            let mut answers = answers.peekable();
            if answers.peek().is_some() {
                found.entry(question).or_default().extend(answers);
            }
        }
        collect(item, found, depth + 1);
    }
}

/// Whether there is more to an answer than its id: a value, why there is none, or further items.
fn is_answered(answer: &Node) -> bool {
    answer.as_object().is_some_and(|answer| answer.members().iter().any(|member| member.name != "id"))
}

fn holds(condition: &Node, answers: &[Option<&Node>]) -> bool {
    let members = condition.as_object().map(Object::members).unwrap_or_default();
    let Some(asked) = members.iter().find(|member| member.name.starts_with("answer")).map(|member| &member.node) else { return true };
    let is_any = |fits: &dyn Fn(&Node) -> bool| answers.iter().flatten().any(|answer| fits(answer));
    let compared = |wanted: fn(Ordering) -> bool| is_any(&|answer| order(answer, asked).is_some_and(wanted));
    match condition.text("operator") {
        Some("exists") => asked.as_bool() != Some(answers.is_empty()),
        Some("=") => is_any(&|answer| same(answer, asked)),
        Some("!=") => is_any(&|answer| !same(answer, asked)),
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
