//! One answer beside its question: type, options, limits.

use super::super::order::order;
use super::super::path::Path;
use super::super::profiles::{Found, find};
use super::super::references;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::super::values::REGEX_BYTES_MAX;
use super::options::{GONE_THROUGH_MAX, Options};
use super::response::offset;
use super::{extension, extensions, value};
use crate::definitions::Membership;
use crate::fhir::{Node, json};
use crate::outcome::IssueType;
use std::cmp::Ordering;
use std::collections::HashSet;

const fn wrong(message_id: &'static str) -> Rule {
    Rule::error(IssueType::Structure, message_id)
}

const WRONG_TYPE: Rule = wrong("Questionnaire_QR_Item_WrongType_one");
const NO_OPTIONS: Rule = Rule::information(IssueType::NotSupported, "Questionnaire_QR_Item_NoOptions");
const STRING_NO_OPTIONS: Rule = Rule::information(IssueType::NotSupported, "Questionnaire_QR_Item_StringNoOptions");
const STRING_IS_NO_OPTION: Rule = wrong("Questionnaire_QR_Item_NoOptionsString");
const CODING_IS_NO_OPTION: Rule = wrong("Questionnaire_QR_Item_NoCoding");
const NOT_ALONE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_OPTION_EXCLUSIVE");
const NOT_IN_VALUE_SET: Rule = Rule::error(IssueType::CodeInvalid, "QUESTIONNAIRE_QR_ITEM_VS_FAIL");
const SET_NOT_IN_HAND: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_ValueSet_NotFound");
const TOO_SMALL: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DATE_MIN");
const TOO_LARGE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DATE_MAX");
const QUANTITY_TOO_SMALL: Rule = wrong("QUESTIONNAIRE_QR_ITEM_QUANTITY_MIN");
const QUANTITY_TOO_LARGE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_QUANTITY_MAX");
const MIN_NOT_COMPARED: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_CANNOT_COMPARE_MIN_UNITS");
const MAX_NOT_COMPARED: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_CANNOT_COMPARE_MAX_UNITS");
const TOO_MANY_DECIMALS: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_MAX_DECIMALS");
const WRONG_UNIT: Rule = wrong("QUESTIONNAIRE_QR_ITEM_DECIMAL_INVALID_UNITS");
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

/// An answer's value, with its type and where findings about it stand.
#[derive(Clone, Copy)]
struct Answer<'a> {
    node: &'a Node,
    type_name: &'a str,
    at: &'a Path<'a>,
    /// The answer that has the value.
    outer: &'a Path<'a>,
    /// What the Questionnaire contains, and what the response does.
    contained: [&'a [Node]; 2],
}

/// Judges the answers to a question beside each other: an option that excludes others stands alone.
pub fn check_all(walk: &mut Walk<'_>, item: &Node, given: &[Found<'_>], asked: Found<'_>, path: &Path<'_>) {
    let is_exclusive = |option: &&Node| extension(option, "questionnaire-optionExclusive").and_then(Node::as_bool) == Some(true);
    let mut exclusive = item.items("answerOption").iter().filter(is_exclusive).filter_map(value).peekable();
    if given.len() < 2 || exclusive.peek().is_none() {
        return;
    }
    let answers: Vec<&Node> = given.iter().filter_map(|answer| value(answer.item.node?)).collect();
    let values: HashSet<String> = answers.iter().map(|answer| json::write(answer)).collect();
    let codings: HashSet<[Option<&str>; 2]> = answers.iter().map(|answer| [answer.text("system"), answer.text("code")]).collect();
    let codes: HashSet<Option<&str>> = answers.iter().map(|answer| answer.text("code")).collect();
    // Codes decide; an option without a system stands for any.
    let is_coded = |option: &Node| match (option.text("system"), option.text("code")) {
        (None, code) => codes.contains(&code),
        (system, code) => codings.contains(&[system, code]),
    };
    let is_given = |option: &Node| values.contains(&json::write(option)) || option.as_object().is_some() && is_coded(option);
    if exclusive.any(is_given) {
        walk.report.add_at(NOT_ALONE, path, offset(asked), "An option that excludes all others is given together with another answer");
    }
}

/// Judges one answer.
pub fn check(walk: &mut Walk<'_>, item: &Node, answer: Found<'_>, contained: [&[Node]; 2], path: &Path<'_>) {
    let Some(found) = find(walk.types, answer.item, "value").first().copied() else { return };
    let Some(node) = found.item.node else { return };
    let type_name = found.type_name(walk.types);
    let named = path.name("value");
    let at = named.of_type(type_name);
    let answer = Answer { node, type_name, at: &at, outer: path, contained };
    let asked = item.text("type").unwrap_or_default();
    if !types_of(asked).contains(&type_name) {
        let text = format!("The answer to a question of type {asked} must be {}, not {type_name}", types_of(asked).join(" or "));
        return walk.report.add_at(WRONG_TYPE, &at, offset(found), text);
    }
    options(walk, item, answer, asked);
    match asked {
        "quantity" => quantity(walk, item, answer),
        "string" | "text" | "url" => string(walk, item, answer),
        "attachment" => attachment(walk, item, answer),
        "reference" => reference(walk, item, answer),
        _ => range(walk, item, answer),
    }
}

/// The types an answer may have.
pub fn types_of(asked: &str) -> &'static [&'static str] {
    match asked {
        "boolean" => &["boolean"],
        "decimal" => &["decimal"],
        "integer" => &["integer"],
        "date" => &["date"],
        "dateTime" => &["dateTime"],
        "time" => &["time"],
        "string" | "text" => &["string"],
        "url" => &["uri"],
        "attachment" => &["Attachment"],
        "reference" => &["Reference"],
        "quantity" => &["Quantity"],
        "choice" | "open-choice" => &["Coding", "string", "integer", "date", "time", "Reference"],
        _ => &[],
    }
}

fn coded_option(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    if !is_coded_option(walk, item, answer.node) {
        walk.report.add(CODING_IS_NO_OPTION, answer.outer, answer.node, "The answer is none of the options");
    }
}

fn options(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>, asked: &str) {
    let listed = item.items("answerOption");
    let set = item.text("answerValueSet");
    let is_choice = matches!(asked, "choice" | "open-choice");
    match answer.type_name {
        "Coding" if !listed.is_empty() => coded_option(walk, item, answer),
        "Coding" => match set {
            Some(set) => in_value_set(walk, set, answer),
            None => walk.report.add(NO_OPTIONS, answer.outer, answer.node, "The question states no options, so the answer was not checked"),
        },
        "string" if is_choice && listed.is_empty() && set.is_none() => {
            walk.report.add(STRING_NO_OPTIONS, answer.outer, answer.node, "The question states no options, so the answer was not checked");
        }
        "string" if asked == "choice" && (set.is_some() || !is_option(walk, item, answer.node)) => {
            walk.report.add(
                STRING_IS_NO_OPTION,
                answer.outer,
                answer.node,
                "The answer to a choice must be one of its options, not free text",
            );
        }
        "string" if asked == "open-choice" => {}
        "string" if set.is_some() => {
            if let Some(set) = set {
                in_value_set(walk, set, answer);
            }
        }
        _ if !listed.is_empty() && !is_option(walk, item, answer.node) => {
            walk.report.add(wrong(no_option(answer.type_name)), answer.at, answer.node, "The answer is none of the options");
        }
        _ => {}
    }
}

fn no_option(type_name: &str) -> &'static str {
    match type_name {
        "integer" => "Questionnaire_QR_Item_NoInteger",
        "date" => "Questionnaire_QR_Item_NoDate",
        "time" => "Questionnaire_QR_Item_NoTime",
        _ => "Questionnaire_QR_Item_NoString",
    }
}

/// The options of a question where they are too many to be gone through for each answer.
fn many<'w>(walk: &'w mut Walk<'_>, item: &Node) -> Option<&'w Options> {
    let listed = item.items("answerOption");
    (listed.len() > GONE_THROUGH_MAX).then(|| &*walk.answer_options.entry(references::address(item)).or_insert_with(|| Options::of(listed)))
}

fn is_coded_option(walk: &mut Walk<'_>, item: &Node, answer: &Node) -> bool {
    let is_same = |option: &Node| ["system", "code"].iter().all(|name| option.text(name) == answer.text(name));
    match many(walk, item) {
        Some(options) => options.has_coding(answer),
        None => item.items("answerOption").iter().filter_map(value).any(|option| option.as_object().is_some() && is_same(option)),
    }
}

fn is_option(walk: &mut Walk<'_>, item: &Node, answer: &Node) -> bool {
    match many(walk, item) {
        Some(options) => options.has(answer),
        None => item.items("answerOption").iter().filter_map(value).any(|option| option == answer),
    }
}

/// Codes decide; an option without a system stands for any.
fn same_coding(option: &Node, answer: &Node) -> bool {
    option.text("code") == answer.text("code") && (option.text("system").is_none() || option.text("system") == answer.text("system"))
}

/// A value set is contained or in hand; one that is neither decides nothing.
fn in_value_set(walk: &mut Walk<'_>, set: &str, answer: Answer<'_>) {
    let (system, code) = match answer.node.as_text() {
        Some(code) => (None, code),
        None => (answer.node.text("system"), answer.node.text("code").unwrap_or_default()),
    };
    if code.is_empty() || (system.is_none() && answer.type_name == "Coding") {
        return;
    }
    let definitions = walk.definitions;
    let membership = match set.strip_prefix('#') {
        Some(id) => {
            let mut held = answer.contained.iter().flat_map(|all| all.iter());
            held.find(|one| one.resource_type() == Some("ValueSet") && one.text("id") == Some(id)).map_or(Membership::Undecidable, |held| {
                let expansions = &mut walk.contained_sets;
                let expansion = expansions.entry(references::address(held)).or_insert_with(|| definitions.contained_expansion(held));
                expansion.contains(system, code)
            })
        }
        None => definitions.value_set_contains(set, system, code),
    };
    if membership == Membership::Undecidable
        && !set.starts_with('#')
        && definitions.value_set(set).is_none()
        && walk.options.report_undecided
    {
        let text = "The value set of the question is not in hand, so the answer was not checked";
        walk.report.add(SET_NOT_IN_HAND, answer.at, answer.node, text);
    }
    if membership == Membership::NotMember {
        walk.report.add(NOT_IN_VALUE_SET, answer.at, answer.node, "The answer is not in the value set of its question");
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
    let decimals = answer.node.as_number().and_then(|number| number.split_once('.')).map_or(0, |(_, digits)| digits.len());
    let max = extension(item, "maxDecimalPlaces").and_then(Node::as_number).and_then(|max| max.parse::<usize>().ok());
    if max.is_some_and(|max| decimals > max) {
        walk.report.add(TOO_MANY_DECIMALS, answer.at, answer.node, "The answer has more decimal places than the Questionnaire allows");
    }
}

fn beyond(value: &Node, limit: &Node) -> Option<Ordering> {
    order(value, limit).or_else(|| Some(value.as_text()?.cmp(limit.as_text()?)))
}

fn quantity(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let mut units = extensions(item, "questionnaire-unitOption").peekable();
    if units.peek().is_some() && !units.any(|unit| same_coding(unit, answer.node)) {
        walk.report.add(WRONG_UNIT, answer.at, answer.node, "The unit is none of those the Questionnaire allows");
    }
    let code = answer.node.text("code");
    let is_outside = |set: &str| {
        code.is_some_and(|code| walk.definitions.value_set_contains(set, answer.node.text("system"), code) == Membership::NotMember)
    };
    if extension(item, "questionnaire-unitValueSet").and_then(Node::as_text).is_some_and(is_outside) {
        walk.report.add(WRONG_UNIT, answer.at, answer.node, "The unit is not in the value set of units that the Questionnaire allows");
    }
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

fn string(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let Some(text) = answer.node.as_text() else { return };
    let length = text.chars().count();
    let number = |node: Option<&Node>| node.and_then(Node::as_number).and_then(|number| number.parse::<usize>().ok());
    if number(extension(item, "minLength")).is_some_and(|min| length < min) {
        walk.report.add(TOO_SHORT, answer.at, answer.node, "The answer is shorter than the Questionnaire allows");
    }
    if number(item.get("maxLength")).is_some_and(|max| length > max) {
        walk.report.add(TOO_LONG, answer.at, answer.node, "The answer is longer than the Questionnaire allows");
    }
    let Some(pattern) = extension(item, "regex").and_then(Node::as_text) else { return };
    match super::super::values::whole(pattern) {
        Some(pattern) if pattern.is_match(text) => {}
        Some(_) => walk.report.add(WRONG_FORM, answer.at, answer.node, "The answer does not have the form that the Questionnaire asks for"),
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
    let given = answer.node.text("contentType").unwrap_or_default();
    if allowed.peek().is_some() && !allowed.any(|one| one == given) {
        walk.report.add(
            WRONG_MEDIA_TYPE,
            answer.outer,
            answer.node,
            "The attachment's media type is none of those the Questionnaire allows",
        );
    }
    let max = extension(item, "maxSize").and_then(Node::as_number).and_then(|number| number.parse::<f64>().ok());
    let stated = answer.node.get("size").and_then(Node::as_number).and_then(|number| number.parse::<f64>().ok());
    let held = answer.node.text("data").map(|data| data.len() as f64 * 0.75);
    // The extension states no unit; other validators read bytes.
    if let (Some(max), Some(size)) = (max, stated.or(held))
        && size > max
    {
        walk.report.add(TOO_LARGE_ATTACHMENT, answer.outer, answer.node, "The attachment is larger than the Questionnaire allows");
    }
}

fn reference(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>) {
    let Some(literal) = answer.node.text("reference").filter(|literal| !literal.starts_with('#') && !literal.starts_with("urn:")) else {
        return;
    };
    let current = literal.split("/_history/").next().unwrap_or(literal);
    let name = current.rsplit('/').nth(1).and_then(|name| walk.types.resource(name)).map(|definition| definition.name.as_str());
    let mut allowed = extensions(item, "questionnaire-referenceResource").filter_map(Node::as_text).peekable();
    match name {
        None => walk.report.add(NO_RESOURCE, answer.at, answer.node, "The reference names no resource type"),
        Some(name) if allowed.peek().is_some() && !allowed.any(|one| one == name) => {
            walk.report.add(WRONG_RESOURCE, answer.at, answer.node, "The reference is to none of the types that the Questionnaire allows");
        }
        Some(_) => {}
    }
}
