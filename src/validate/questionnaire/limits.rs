//! One answer within the limits of its question: how long, large, exact and of what kind it may be.

use super::super::attachments::held_bytes;
use super::super::order::order;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::super::values::REGEX_BYTES_MAX;
use super::answers::Answer;
use super::{extension, extensions};
use crate::definitions::Membership;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::cmp::Ordering;

const fn wrong(message_id: &'static str) -> Rule {
    Rule::error(IssueType::Structure, message_id)
}

const TOO_SMALL: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DATE_MIN");
const TOO_LARGE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DATE_MAX");
const QUANTITY_TOO_SMALL: Rule = wrong("QUESTIONNAIRE_QR_ITEM_QUANTITY_MIN");
const QUANTITY_TOO_LARGE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_QUANTITY_MAX");
const MIN_NOT_COMPARED: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_CANNOT_COMPARE_MIN_UNITS");
const MAX_NOT_COMPARED: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_CANNOT_COMPARE_MAX_UNITS");
const TOO_MANY_DECIMALS: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_MAX_DECIMALS");
const WRONG_UNIT: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_INVALID_UNITS");
const UNIT_NOT_IN_SET: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_UNIT_FAIL_VS");
const UNITS_NOT_IN_HAND: Rule = Rule::warning(IssueType::CodeInvalid, "QUESTIONNAIRE_QR_ITEM_DECIMAL_INVALID_UNIT_VS");
const TOO_SHORT: Rule = wrong("QUESTIONNAIRE_QR_ITEM_STRING_MIN_LENGTH");
const TOO_LONG: Rule = wrong("QUESTIONNAIRE_QR_ITEM_STRING_MAX_LENGTH");
const WRONG_FORM: Rule = wrong("QUESTIONNAIRE_QR_ITEM_STRING_REGEX_EF");
const FORM_NOT_CHECKED: Rule = Rule::information(IssueType::NotSupported, "QUESTIONNAIRE_QR_ITEM_STRING_REGEX_NOT_CHECKED");
const WRONG_MEDIA_TYPE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_BAD_ATTACHMENT_MIMETYPE");
const TOO_LARGE_ATTACHMENT: Rule = wrong("QUESTIONNAIRE_QR_ITEM_BAD_ATTACHMENT_LENGTH");
const NO_RESOURCE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_REF_INVALID_GENERAL");
const WRONG_RESOURCE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_REF_INVALID");

/// The extensions of the implementation guide for structured data capture that limit quantities.
const MIN_QUANTITY: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-minQuantity";
const MAX_QUANTITY: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-maxQuantity";

/// Judges an answer that is of a type that its question may be answered with.
pub fn check(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>, asked: &str) {
    match asked {
        "quantity" => quantity(walk, item, answer),
        // HL7's validator keeps texts and URLs to no limits.
        "string" | "text" | "url" => string(walk, item, answer, asked == "string"),
        "attachment" => attachment(walk, item, answer),
        "reference" => reference(walk, item, answer),
        _ => range(walk, item, answer),
    }
}

/// `minValue` and `maxValue`. A value known less precisely than its limit is taken by its beginning.
fn range(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    if extension(item, "minValue").is_some_and(|limit| beyond(answer.node, limit) == Some(Ordering::Less)) {
        walk.report.add(TOO_SMALL, answer.at, answer.node, "The answer is below the least value that the Questionnaire allows");
    }
    if extension(item, "maxValue").is_some_and(|limit| beyond(answer.node, limit) == Some(Ordering::Greater)) {
        walk.report.add(TOO_LARGE, answer.at, answer.node, "The answer is above the greatest value that the Questionnaire allows");
    }
    decimals(walk, item, answer, answer.node);
}

fn decimals(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>, value: &Node) {
    let places = value.as_number().and_then(|number| number.split_once('.')).map_or(0, |(_, digits)| digits.len());
    if whole_number(extension(item, "maxDecimalPlaces")).is_some_and(|max| places > max) {
        walk.report.add(TOO_MANY_DECIMALS, answer.at, answer.node, "The answer has more decimal places than the Questionnaire allows");
    }
}

fn whole_number(node: Option<&Node>) -> Option<usize> {
    node.and_then(Node::as_number).and_then(|number| number.parse().ok())
}

fn beyond(value: &Node, limit: &Node) -> Option<Ordering> {
    order(value, limit).or_else(|| Some(value.as_text()?.cmp(limit.as_text()?)))
}

fn quantity(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let mut units = extensions(item, "questionnaire-unitOption").peekable();
    if units.peek().is_some() && !units.any(|unit| is_unit(unit, answer.node, walk.options.as_hl7)) {
        walk.report.add(WRONG_UNIT, answer.at, answer.node, "The unit is none of those the Questionnaire allows");
    }
    if let Some(set) = extension(item, "questionnaire-unitValueSet").and_then(Node::as_text) {
        unit_in_set(walk, set, answer);
    }
    if let Some(value) = answer.node.get("value") {
        decimals(walk, item, answer, value);
    }
    amount(walk, item, answer);
}

/// Whether a quantity has the unit of a Coding: its system and code, or where it has no code what it is called, which HL7's validator always asks.
fn is_unit(unit: &Node, quantity: &Node, as_hl7: bool) -> bool {
    let has = |stated, given| unit.text(stated).is_none_or(|text| quantity.text(given) == Some(text));
    let is_called = || (!as_hl7 && unit.get("code").is_some()) || has("display", "unit");
    has("system", "system") && has("code", "code") && is_called()
}

/// A quantity without a code has a unit of no value set.
fn unit_in_set(walk: &mut Walk<'_>, set: &str, answer: Answer<'_>) {
    let definitions = walk.definitions;
    if definitions.value_set(set).is_none() {
        if walk.options.report_undecided {
            let text = "The value set of units is not in hand, so the unit was not checked";
            walk.report.add(UNITS_NOT_IN_HAND, answer.at, answer.node, text);
        }
        return;
    }
    let within = |code| definitions.value_set_contains(set, answer.node.text("system"), code);
    if answer.node.text("code").is_none_or(|code| within(code) == Membership::NotMember) {
        let text = "The unit is not in the value set of units that the Questionnaire allows";
        walk.report.add(UNIT_NOT_IN_SET, answer.at, answer.node, text);
    }
}

/// The least and the largest quantity.
fn amount(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let limits = [
        (MIN_QUANTITY, Ordering::Less, QUANTITY_TOO_SMALL, MIN_NOT_COMPARED),
        (MAX_QUANTITY, Ordering::Greater, QUANTITY_TOO_LARGE, MAX_NOT_COMPARED),
    ];
    for (url, wrong, broken, not_compared) in limits {
        match extension(item, url).map(|limit| order(answer.node, limit)) {
            Some(Some(found)) if found == wrong => {
                walk.report.add(broken, answer.at, answer.node, "The quantity is outside of what the Questionnaire allows");
            }
            Some(None) => {
                walk.report.add(
                    not_compared,
                    answer.at,
                    answer.node,
                    "The quantity cannot be compared with the limit: their units do not fit",
                );
            }
            _ => {}
        }
    }
}

/// A text that is too short, too long or of another form; whether HL7's validator asks that of the question is told.
fn string(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>, is_asked: bool) {
    let Some(text) = answer.node.as_text() else { return };
    let length = text.chars().count();
    let mut say = |rule: Rule, text: &str| {
        let rule = walk.as_hl7_asks(rule, is_asked);
        walk.report.add(rule, answer.at, answer.node, text);
    };
    if whole_number(extension(item, "minLength")).is_some_and(|min| length < min) {
        say(TOO_SHORT, "The answer is shorter than the Questionnaire allows");
    }
    if whole_number(item.get("maxLength")).is_some_and(|max| length > max) {
        say(TOO_LONG, "The answer is longer than the Questionnaire allows");
    }
    let Some(pattern) = extension(item, "regex").and_then(Node::as_text) else { return };
    match super::super::values::whole(pattern) {
        Some(pattern) if pattern.is_match(text) => {}
        Some(_) => say(WRONG_FORM, "The answer does not have the form that the Questionnaire asks for"),
        None => {
            let text = format!(
                "The regular expression of the question cannot be read, or is larger than {REGEX_BYTES_MAX} bytes, so the form was not checked"
            );
            walk.report.add(FORM_NOT_CHECKED, answer.at, answer.node, text);
        }
    }
}

fn attachment(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let mut allowed = extensions(item, "mimeType").filter_map(Node::as_text).peekable();
    // A type with parameters is of the type that is asked for without them.
    let is_end = |rest: &str| rest.trim_start().is_empty() || rest.trim_start().starts_with(';');
    let is_of = |asked: &str| answer.node.text("contentType").and_then(|given| given.strip_prefix(asked)).is_some_and(is_end);
    if allowed.peek().is_some() && !allowed.any(is_of) {
        let text = "The attachment's media type is none of those the Questionnaire allows";
        walk.report.add(WRONG_MEDIA_TYPE, answer.outer, answer.node, text);
    }
    // The extension states no unit; other validators read bytes, and of what is held here alone.
    let number = |node: &Node| node.as_number().and_then(|number| number.parse::<f64>().ok());
    let held = answer.node.text("data").map(|data| held_bytes(data) as f64);
    let size = held.or_else(|| answer.node.get("size").and_then(number));
    if size.zip(extension(item, "maxSize").and_then(number)).is_some_and(|(size, max)| size > max) {
        let text = "The attachment is larger than the Questionnaire allows";
        let rule = walk.as_hl7_asks(TOO_LARGE_ATTACHMENT, held.is_some());
        walk.report.add(rule, answer.outer, answer.node, text);
    }
}

fn reference(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let Some(literal) = answer.node.text("reference").filter(|literal| !literal.starts_with('#') && !literal.starts_with("urn:")) else {
        return;
    };
    let current = literal.split("/_history/").next().unwrap_or(literal);
    let name = current.rsplit('/').nth(1).and_then(|name| walk.types.resource(name)).map(|definition| definition.name.as_str());
    let mut allowed = extensions(item, "questionnaire-referenceResource").filter_map(Node::as_text).peekable();
    let is_grave = walk.options.references_assumed;
    match name {
        None => walk.report.add(NO_RESOURCE.grave_if(is_grave), answer.at, answer.node, "The reference names no resource type"),
        Some(name) if allowed.peek().is_some() && !allowed.any(|one| one == name) => {
            let text = "The reference is to none of the types that the Questionnaire allows";
            walk.report.add(WRONG_RESOURCE.grave_if(is_grave), answer.at, answer.node, text);
        }
        Some(_) => {}
    }
}
