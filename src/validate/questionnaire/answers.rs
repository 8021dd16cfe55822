//! One answer beside its question: type and options.

use super::super::path::Path;
use super::super::profiles::{Found, find};
use super::super::references;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::limits;
use super::options::{GONE_THROUGH_MAX, Options};
use super::response::offset;
use super::{extension, value};
use crate::definitions::{Membership, Standing};
use crate::fhir::Node;
use crate::outcome::IssueType;

const fn wrong(message_id: &'static str) -> Rule {
    Rule::error(IssueType::Structure, message_id)
}

const WRONG_TYPE: Rule = wrong("Questionnaire_QR_Item_WrongType_one");
const NO_OPTIONS: Rule = Rule::information(IssueType::NotSupported, "Questionnaire_QR_Item_NoOptions");
const STRING_NO_OPTIONS: Rule = Rule::information(IssueType::NotSupported, "Questionnaire_QR_Item_StringNoOptions");
const STRING_IS_NO_OPTION: Rule = wrong("Questionnaire_QR_Item_NoOptionsString");
const CODING_IS_NO_OPTION: Rule = wrong("Questionnaire_QR_Item_NoCoding");
const NOT_ALONE: Rule = wrong("QUESTIONNAIRE_QR_ITEM_EXCLUSIVE");
const CODING_NOT_IN_VALUE_SET: Rule = Rule::error(IssueType::CodeInvalid, "Questionnaire_QR_Item_BadOption");
const NOT_IN_VALUE_SET: Rule = Rule::error(IssueType::CodeInvalid, "QUESTIONNAIRE_QR_ITEM_VS_FAIL");
const SET_NOT_IN_HAND: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_ValueSet_NotFound");

/// An answer's value, with its type and where findings about it stand.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub node: &'a Node,
    type_name: &'a str,
    pub at: &'a Path<'a>,
    /// The answer that has the value.
    pub outer: &'a Path<'a>,
    /// What the Questionnaire contains, and what the response does.
    contained: [&'a [Node]; 2],
}

/// Judges the answers to a question beside each other: an option that excludes others stands alone.
pub fn check_all(walk: &mut Walk<'_>, item: &Node, given: &[Found<'_>], path: &Path<'_>) {
    let is_exclusive = |option: &&Node| extension(option, "questionnaire-optionExclusive").and_then(Node::as_bool) == Some(true);
    let mut exclusive = item.items("answerOption").iter().filter(is_exclusive).filter_map(value).peekable();
    if given.len() < 2 || exclusive.peek().is_none() {
        return;
    }
    let (exclusive, name) = (Options::of(exclusive), path.name("answer"));
    for found in given {
        let Some((answer, value)) = found.item.node.and_then(|node| Some((node, value(node)?))) else { continue };
        let is_coding = value.as_object().is_some();
        if if is_coding { exclusive.has_coding(value) } else { exclusive.has(value) } {
            let at = name.index(found.index.unwrap_or_default());
            // HL7's validator knows Codings alone to exclude others.
            let rule = walk.as_hl7_asks(NOT_ALONE, is_coding);
            walk.report.add(rule, &at, answer, "An option that excludes all others is given with another answer");
        }
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
    // A choice is of references only where its options are such.
    let is_listed = type_name != "Reference" || !is_choice(asked) || is_option(walk, item, node);
    if !types_of(asked).contains(&type_name) || !is_listed {
        let text = format!("The answer to a question of type {asked} must be {}, not {type_name}", types_of(asked).join(" or "));
        return walk.report.add_at(WRONG_TYPE, &at, offset(found), text);
    }
    options(walk, item, answer, asked);
    limits::check(walk, item, answer, asked);
}

fn is_choice(asked: &str) -> bool {
    matches!(asked, "choice" | "open-choice")
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
    match (answer.type_name, set) {
        ("Coding", _) if !listed.is_empty() => coded_option(walk, item, answer),
        ("Coding", Some(set)) => in_value_set(walk, set, answer, CODING_NOT_IN_VALUE_SET),
        ("Coding", None) => {
            walk.report.add(NO_OPTIONS, answer.outer, answer.node, "The question states no options, so the answer was not checked");
        }
        ("string", _) if is_choice(asked) => text_option(walk, item, answer, asked),
        ("string", Some(set)) => {
            let rule = walk.as_hl7_asks(NOT_IN_VALUE_SET, asked == "string");
            in_value_set(walk, set, answer, rule);
        }
        _ if !listed.is_empty() && !is_option(walk, item, answer.node) => {
            let at = if is_choice(asked) { answer.outer } else { answer.at };
            let rule = walk.as_hl7_asks(wrong(no_option(answer.type_name)), has_options(asked));
            walk.report.add(rule, at, answer.node, "The answer is none of the options");
        }
        _ => {}
    }
}

/// A text given to a choice: one of its options, unless the choice is open. What options a value set has instead, HL7's validator does not ask.
fn text_option(walk: &mut Walk<'_>, item: &Node, answer: Answer<'_>, asked: &str) {
    let (has_set, has_listed) = (item.get("answerValueSet").is_some(), !item.items("answerOption").is_empty());
    if !has_set && !has_listed {
        walk.report.add(STRING_NO_OPTIONS, answer.outer, answer.node, "The question states no options, so the answer was not checked");
    } else if asked == "choice" && !(has_listed && is_option(walk, item, answer.node)) {
        let text = "The answer to a choice must be one of its options, not free text";
        let rule = walk.as_hl7_asks(STRING_IS_NO_OPTION, has_listed);
        walk.report.add(rule, answer.outer, answer.node, text);
    }
}

/// Whether HL7's validator holds answers to questions of a type against the options that are listed.
fn has_options(asked: &str) -> bool {
    is_choice(asked) || matches!(asked, "string" | "integer" | "decimal" | "quantity" | "date" | "dateTime" | "time")
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
    (listed.len() > GONE_THROUGH_MAX)
        .then(|| &*walk.answer_options.entry(references::address(item)).or_insert_with(|| Options::of(listed.iter().filter_map(value))))
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

/// A value set is contained or in hand; one that is neither decides nothing.
fn in_value_set(walk: &mut Walk<'_>, set: &str, answer: Answer<'_>, broken: Rule) {
    let is_coding = answer.type_name == "Coding";
    let at = if is_coding { answer.outer } else { answer.at };
    let (system, code) = match answer.node.as_text() {
        Some(code) => (None, code),
        None => (answer.node.text("system"), answer.node.text("code").unwrap_or_default()),
    };
    if code.is_empty() || (system.is_none() && is_coding) {
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
        walk.report.add(SET_NOT_IN_HAND, at, answer.node, text);
    }
    if membership == Membership::NotMember {
        // HL7's validator does not know what else a system has that it does not know.
        let is_known = system.is_none_or(|system| definitions.standing(system, code) != Standing::UnknownSystem);
        let rule = walk.as_hl7_asks(broken, is_known);
        walk.report.add(rule, at, answer.node, "The answer is not in the value set of its question");
    }
}
