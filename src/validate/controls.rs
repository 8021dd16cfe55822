//! What a profile asks by extension of an ElementDefinition: where narrative comes from and in which languages it is
//! (`narrative-source-control`, `narrative-language-control`), and which extensions may stand for a value (`valueAlternatives`).

use super::amounts;
use super::path::Path;
use super::profiles::Found;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::profile::ProfileNode;
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const NO_SOURCE: Rule = Rule::error(IssueType::BusinessRule, "XHTML_CONTROL_NO_SOURCE");
const NO_LANGUAGES: Rule = Rule::error(IssueType::BusinessRule, "XHTML_CONTROL_LANGS_REQUIRED");
const NOT_IN_LANGUAGE: Rule = Rule::error(IssueType::BusinessRule, "XHTML_CONTROL_LANGS_REQUIRED_DEF");
const NO_LANGUAGE: Rule = Rule::warning(IssueType::BusinessRule, "XHTML_CONTROL_LANGS_NONE");
const NO_DEFAULT: Rule = Rule::warning(IssueType::BusinessRule, "XHTML_CONTROL_LANGS_NO_DEFAULT");
const LANGUAGES: Rule = Rule::error(IssueType::BusinessRule, "XHTML_CONTROL_LANGS_PROHIBITED");
const NO_ALTERNATIVE: Rule = Rule::error(IssueType::BusinessRule, "PRIMITIVE_VALUE_ALTERNATIVES_MESSAGE_one");

/// Classes that say where a part of a narrative comes from.
const SOURCES: [&str; 3] = ["boilerplate", "generated", "original"];

/// Judges an element by the extensions that its definition carries. `resource` is the one it stands in.
pub fn check(walk: &mut Walk<'_>, node: &ProfileNode, found: Found<'_>, resource: &Node, path: &Path<'_>) {
    let narrative = found.item.node.and_then(|node| node.text("div"));
    for (name, value) in &node.element.controls {
        match (name.as_str(), narrative) {
            ("narrative-source-control", Some(div)) => source(walk, div, found, path),
            ("narrative-language-control", Some(div)) => language(walk, value, div, found, resource, path),
            _ => {}
        }
    }
    amounts::check(walk, node, found, path);
    let mut alternatives =
        node.element.controls.iter().filter(|one| one.0.ends_with("valueAlternatives")).map(|one| one.1.as_str()).peekable();
    let has_value = found.item.node.is_some_and(|node| node.as_object().is_none());
    if alternatives.peek().is_none() || has_value {
        return;
    }
    let extensions = found.item.sibling.and_then(|sibling| sibling.get("extension")).and_then(Node::as_list).unwrap_or_default();
    if !alternatives.any(|url| extensions.iter().any(|extension| extension.text("url") == Some(url))) {
        let text = format!("{}: without a value, one of the extensions that the profile allows instead must be there", node.path);
        walk.report.add_at(NO_ALTERNATIVE, path, place(found), text);
    }
}

fn place(found: Found<'_>) -> Option<u32> {
    found.item.node.and_then(Node::place).or_else(|| found.item.sibling.and_then(first_place))
}

fn first_place(object: &Object) -> Option<u32> {
    object.members().first().and_then(|member| member.node.place())
}

/// Every text directly in the narrative, and every element there, has a class that says where it comes from.
fn source(walk: &mut Walk<'_>, div: &str, found: Found<'_>, path: &Path<'_>) {
    for (index, part) in parts(div).into_iter().enumerate() {
        if !part.has_source {
            let text = format!("Part {} of the narrative does not say where it comes from (class {})", index + 1, SOURCES.join(", "));
            walk.report.add_at(NO_SOURCE, path, place(found), text);
        }
    }
}

/// `_no`: no parts in a language of their own; `_yes`: such parts; `_resource`: one of them in the resource's language; else one in that named.
/// Only `_yes` asks for parts where there are none; the others ask which they are.
fn language(walk: &mut Walk<'_>, asked: &str, div: &str, found: Found<'_>, resource: &Node, path: &Path<'_>) {
    let languages: Vec<String> = parts(div).into_iter().filter_map(|part| part.language).collect();
    let has = |language: &str| languages.iter().any(|one| one == language);
    let (rule, text) = match asked.replace('#', "_").as_str() {
        "_no" if !languages.is_empty() => (LANGUAGES, "The narrative must not have parts in languages of their own"),
        "_no" => return,
        "_yes" if languages.is_empty() => (NO_LANGUAGES, "The narrative must have a part for each language"),
        "_yes" => return,
        _ if languages.is_empty() => {
            (NO_LANGUAGE, "The narrative has no parts in languages of their own, so it does not say which it is in")
        }
        "_resource" if resource.get("language").is_none() => {
            (NO_DEFAULT, "The narrative must have a part in the language of the resource, which has none")
        }
        "_resource" if resource.text("language").is_none_or(has) => return,
        "_resource" => (NOT_IN_LANGUAGE, "The narrative must have a part in the language of the resource"),
        other if has(other) => return,
        _ => (NO_LANGUAGES, "The narrative lacks a part in a language that the profile asks for"),
    };
    walk.report.add_at(rule, path, place(found), text);
}

/// What stands directly in the root of a narrative.
pub struct Part {
    has_source: bool,
    /// Of a `div` only.
    pub language: Option<String>,
}

pub fn parts(div: &str) -> Vec<Part> {
    let mut reader = Reader::from_str(div.trim());
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                if depth == 1 {
                    found.push(part(&element));
                }
                depth += 1;
            }
            Ok(Event::Empty(element)) if depth == 1 => found.push(part(&element)),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Text(text)) if depth == 1 && !text.trim().is_empty() => found.push(Part { has_source: false, language: None }),
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn part(element: &BytesStart<'_>) -> Part {
    let attribute = |name: &str| element.attributes().flatten().find(|one| one.key.as_ref() == name).map(|one| one.value.into_owned());
    let has_source = attribute("class").is_some_and(|classes| classes.split_whitespace().any(|class| SOURCES.contains(&class)));
    let is_div = element.local_name().as_ref() == "div";
    Part { has_source, language: attribute("xml:lang").or_else(|| attribute("lang")).filter(|_| is_div) }
}
