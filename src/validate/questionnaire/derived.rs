//! Questionnaires that derive from others: what extends or complies with another asks for nothing that the other does not
//! (<http://hl7.org/fhir/StructureDefinition/questionnaire-derivationType>).

use super::super::DEPTH_MAX;
use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::{by_id, extension};
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashMap;

const fn broken(message_id: &'static str) -> Rule {
    Rule::error(IssueType::BusinessRule, message_id)
}

const NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "QUESTIONNAIRE_Q_UNKNOWN_DERIVATION");
const NO_KIND: Rule = Rule::information(IssueType::NotFound, "QUESTIONNAIRE_Q_NO_DERIVATION_TYPE");
const UNKNOWN_KIND: Rule = Rule::warning(IssueType::NotFound, "QUESTIONNAIRE_Q_DERIVATION_TYPE_UNKNOWN");
const NEW_ITEM: Rule = broken("QUESTIONNAIRE_Q_ITEM_NOT_DERIVED");
const OTHER_TYPE: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_NC_TYPE");
const REPEATS: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_NC_REPEATS");
const NOT_REQUIRED: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_NC_REQUIRED");
const LONGER: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_NC_MAXLENGTH");
const ENDLESS: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_MAXLENGTH");
const NO_OPTIONS: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_ANSWER_OPTIONS");
const NEW_OPTION: Rule = broken("QUESTIONNAIRE_Q_ITEM_DERIVED_ANSWER_OPTIONS_NEW");

/// Judges a Questionnaire by those it derives from.
pub fn check(walk: &mut Walk<'_>, questionnaire: &Node, path: &Path<'_>) {
    let siblings = questionnaire.get("_derivedFrom").and_then(Node::as_list).unwrap_or_default();
    let name = path.name("derivedFrom");
    for (index, node) in questionnaire.items("derivedFrom").iter().enumerate() {
        let Some(url) = node.as_text() else { continue };
        let at = name.index(index);
        let Some(base) = walk.definitions.resource(url).filter(|found| found.resource_type() == Some("Questionnaire")) else {
            if walk.options.report_undecided {
                walk.report.add(NOT_IN_HAND, &at, node, "The Questionnaire this one derives from is not in hand, so it was not checked");
            }
            continue;
        };
        let kind = siblings.get(index).and_then(|sibling| extension(sibling, "questionnaire-derivationType"));
        let is_whole = match kind.map(|kind| kind.as_text().or_else(|| kind.text("code")).unwrap_or_default()) {
            Some("extends") => false,
            Some("compliesWith") => true,
            Some("inspiredBy") => continue,
            Some(_) => {
                walk.report.add(
                    UNKNOWN_KIND,
                    &at,
                    node,
                    "How this Questionnaire derives from the other is not known, so it was not checked",
                );
                continue;
            }
            None => {
                walk.report.add(NO_KIND, &at, node, "It is not said how this Questionnaire derives from the other, so it was not checked");
                continue;
            }
        };
        Derived { known: by_id(base), is_whole }.items(walk, questionnaire, path, 0);
    }
}

/// What a Questionnaire derives from.
struct Derived<'n> {
    /// Its items by their ids.
    known: HashMap<&'n str, &'n Node>,
    /// Whether there may be no items beside its own.
    is_whole: bool,
}

impl Derived<'_> {
    fn items(&self, walk: &mut Walk<'_>, parent: &Node, path: &Path<'_>, depth: usize) {
        if depth == DEPTH_MAX {
            return;
        }
        let name = path.name("item");
        for (index, item) in parent.items("item").iter().enumerate() {
            let at = name.index(index);
            match item.text("linkId").map(|id| self.known.get(id)) {
                Some(Some(base)) => item_over(walk, base, item, &at),
                Some(None) if self.is_whole => {
                    walk.report.add(NEW_ITEM, &at, item, "The Questionnaire that this one complies with has no such item");
                }
                _ => {}
            }
            self.items(walk, item, &at, depth + 1);
        }
    }
}

/// An item asks no less than the one it derives from.
fn item_over(walk: &mut Walk<'_>, base: &Node, item: &Node, path: &Path<'_>) {
    let is_set = |node: &Node, name: &str| node.get(name).and_then(Node::as_bool) == Some(true);
    let length = |node: &Node| node.get("maxLength").and_then(Node::as_number).and_then(|number| number.parse::<u64>().ok());
    let mut broken = |is_broken: bool, rule: Rule, text: &str| {
        if is_broken {
            walk.report.add(rule, path, item, text);
        }
    };
    broken(base.text("type") != item.text("type"), OTHER_TYPE, "The item has another type than the one it derives from");
    broken(is_set(item, "repeats") && !is_set(base, "repeats"), REPEATS, "The item it derives from does not repeat, so this one must not");
    broken(
        is_set(base, "required") && !is_set(item, "required"),
        NOT_REQUIRED,
        "The item it derives from is required, so this one must be",
    );
    match (length(base), length(item)) {
        (Some(_), None) => broken(true, ENDLESS, "The item it derives from limits the length, so this one must"),
        (Some(most), Some(own)) => broken(own > most, LONGER, "The item allows longer answers than the one it derives from"),
        _ => {}
    }
    options_over(walk, base, item, path);
}

fn options_over(walk: &mut Walk<'_>, base: &Node, item: &Node, path: &Path<'_>) {
    let (known, own) = (base.items("answerOption"), item.items("answerOption"));
    if known.is_empty() {
        return;
    }
    if own.is_empty() {
        return walk.report.add(NO_OPTIONS, path, item, "The item it derives from lists options, so this one must");
    }
    let name = path.name("answerOption");
    for (index, option) in own.iter().enumerate() {
        if !known.iter().filter_map(super::value).any(|one| Some(one) == super::value(option)) {
            walk.report.add(NEW_OPTION, &name.index(index), option, "The item it derives from does not have this option");
        }
    }
}
