//! The languages of a narrative beside that of its resource (<https://hl7.org/fhir/R4/narrative.html#lang>).

use super::controls::parts;
use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use quick_xml::Reader;
use quick_xml::events::Event;

const OTHER_LANG: Rule = Rule::warning(IssueType::BusinessRule, "Language_XHTML_Lang_Different1");
const OTHER_XML_LANG: Rule = Rule::warning(IssueType::BusinessRule, "Language_XHTML_Lang_Different2");
const NONE: Rule = Rule::warning(IssueType::BusinessRule, "Language_XHTML_Lang_Missing1");
const NO_LANG: Rule = Rule::warning(IssueType::BusinessRule, "Language_XHTML_Lang_Missing2");
const NO_XML_LANG: Rule = Rule::warning(IssueType::BusinessRule, "Language_XHTML_Lang_Missing3");
const MIXED: Rule = Rule::warning(IssueType::BusinessRule, "XHTML_XHTML_MIXED_LANG");

/// Judges the languages that a resource's narrative says it is in.
pub fn check(walk: &mut Walk<'_>, resource: &Node, path: &Path<'_>) {
    let Some(node) = resource.get("text").and_then(|text| text.get("div")) else { return };
    let Some(div) = node.as_text() else { return };
    let language = resource.text("language");
    // Most narratives say nothing of languages; they are not read for that.
    let has_languages = div.contains("lang=") || div.contains("lang =");
    if !has_languages {
        if language.is_some() {
            walk.report.add(
                NONE,
                path,
                node,
                "The resource has a language, and its narrative does not say which it is in (lang, xml:lang)",
            );
        }
        return;
    }
    let parts: Vec<Option<String>> = parts(div).into_iter().map(|part| part.language).collect();
    if parts.iter().any(Option::is_some) && parts.iter().any(Option::is_none) {
        let text = path.name("text");
        walk.report.add(MIXED, &text.name("div"), node, "Where parts of a narrative say which language they are in, every part must");
    }
    if let Some(language) = language {
        let inner: Vec<String> = parts.into_iter().flatten().collect();
        if let Some((rule, text)) = against(language, of_root(div), &inner) {
            walk.report.add(rule, path, node, text);
        }
    }
}

/// The first thing in which a narrative's languages are not as that of its resource asks: of all of it, or of one of its parts.
fn against(language: &str, (lang, xml_lang): (Option<String>, Option<String>), parts: &[String]) -> Option<(Rule, &'static str)> {
    let is_other = |stated: &String| !stated.eq_ignore_ascii_case(language);
    match (lang, xml_lang) {
        (None, None) if parts.is_empty() => Some((NONE, "The narrative does not say that it is in the language of the resource")),
        (None, None) if parts.iter().all(is_other) => Some((OTHER_LANG, "No part of the narrative is in the language of the resource")),
        (None, None) => None,
        (Some(lang), _) if is_other(&lang) => Some((OTHER_LANG, "The narrative (lang) is in another language than the resource")),
        (_, Some(lang)) if is_other(&lang) => Some((OTHER_XML_LANG, "The narrative (xml:lang) is in another language than the resource")),
        (None, _) => Some((NO_LANG, "The narrative says its language in xml:lang, and must in lang as well")),
        (_, None) => Some((NO_XML_LANG, "The narrative says its language in lang, and must in xml:lang as well")),
        _ => None,
    }
}

/// `lang` and `xml:lang` of the outermost element.
fn of_root(div: &str) -> (Option<String>, Option<String>) {
    let mut reader = Reader::from_str(div.trim());
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let named = |name: &str| element.attributes().flatten().find(|one| one.key.as_ref() == name);
                return (named("lang").map(|one| one.value.into_owned()), named("xml:lang").map(|one| one.value.into_owned()));
            }
            Ok(Event::Eof) | Err(_) => return (None, None),
            Ok(_) => {}
        }
    }
}
