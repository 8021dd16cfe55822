//! Questionnaires: questions that enable others must be there, and come before.

use super::super::DEPTH_MAX;
use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::answers::types_of;
use super::derived;
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;
use std::collections::HashMap;

const NO_TARGET: Rule = Rule::error(IssueType::BusinessRule, "Questionnaire_Q_EnableWhen_NoTarget");
const IS_INNER: Rule = Rule::error(IssueType::BusinessRule, "Questionnaire_Q_EnableWhen_IsInner");
/// R4's own expression of this rule lets two conditions pass; its text, and later releases, do not.
const NO_BEHAVIOUR: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Questionnaire#que-12");
const AFTER: Rule = Rule::warning(IssueType::BusinessRule, "Questionnaire_Q_EnableWhen_After");

/// Where an item stands in the order of reading, and where what is in it ends.
struct Span {
    start: usize,
    end: usize,
}

/// The types of values that an item's type allows to begin with (<https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.initial.value_x_>).
const OTHER_INITIAL: Rule = Rule::error(IssueType::BusinessRule, "QUESTIONNAIRE_Q_ITEM_INITIAL_TYPE");

/// Judges a Questionnaire.
pub fn check(walk: &mut Walk<'_>, questionnaire: &Node, path: &Path<'_>) {
    derived::check(walk, questionnaire, path);
    let mut spans = HashMap::new();
    index(questionnaire, &mut spans, &mut 0, 0);
    items(walk, questionnaire, &spans, path, 0);
}

fn index<'a>(parent: &'a Node, spans: &mut HashMap<&'a str, Span>, next: &mut usize, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    for item in parent.items("item") {
        let start = *next;
        *next += 1;
        index(item, spans, next, depth + 1);
        if let Some(id) = item.text("linkId") {
            spans.entry(id).or_insert(Span { start, end: *next });
        }
    }
}

fn items(walk: &mut Walk<'_>, parent: &Node, spans: &HashMap<&str, Span>, path: &Path<'_>, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    let name = path.name("item");
    for (index, item) in parent.items("item").iter().enumerate() {
        let at = name.index(index);
        if item.items("enableWhen").len() > 1 && item.get("enableBehavior").is_none() {
            walk.report.add(
                NO_BEHAVIOUR,
                &at,
                item,
                "Rule que-12: with more than one enableWhen, enableBehavior must say whether all or any count",
            );
        }
        initial(walk, item, &at);
        for condition in item.items("enableWhen") {
            condition_of(walk, item, condition, spans, &at);
        }
        items(walk, item, spans, &at, depth + 1);
    }
}

/// What stands in an item to begin with is an answer that could be given to it.
fn initial(walk: &mut Walk<'_>, item: &Node, path: &Path<'_>) {
    let allowed = types_of(item.text("type").unwrap_or_default());
    let name = path.name("initial");
    for (index, initial) in item.items("initial").iter().enumerate() {
        let members = initial.as_object().map(Object::members).unwrap_or_default();
        let Some(given) = members.iter().find_map(|member| member.name.strip_prefix("value")) else { continue };
        if !allowed.is_empty() && !allowed.iter().any(|one| one.eq_ignore_ascii_case(given)) {
            let text = format!("What an item begins with must be of the item's type: {}", allowed.join(" or "));
            let rule = walk.as_hl7_asks(OTHER_INITIAL, false);
            walk.report.add(rule, &name.index(index), initial, text);
        }
    }
}

fn condition_of(walk: &mut Walk<'_>, item: &Node, condition: &Node, spans: &HashMap<&str, Span>, path: &Path<'_>) {
    let Some(own) = item.text("linkId").and_then(|id| spans.get(id)) else { return };
    let Some(question) = condition.text("question") else { return };
    match spans.get(question) {
        None => walk.report.add(NO_TARGET, path, condition, "The question that enables this item is not in the Questionnaire"),
        Some(target) if target.start >= own.start && target.start < own.end => {
            walk.report.add(IS_INNER, path, condition, "The question that enables this item is the item itself or within it");
        }
        Some(target) if target.start > own.start => {
            walk.report.add(AFTER, path, condition, "The question that enables this item comes after it");
        }
        Some(_) => {}
    }
}
