//! What a narrative says of itself: which part of it was made of which data (<http://hl7.org/fhir/StructureDefinition/textLink>).

use super::links;
use super::path::Path;
use super::references::{Scope, target};
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;

const TEXT_LINK: &str = "http://hl7.org/fhir/StructureDefinition/textLink";

const NO_SUCH_TEXT: Rule = Rule::error(IssueType::Invalid, "TEXT_LINK_NO_ID");
const NO_DATA: Rule = Rule::error(IssueType::Invalid, "TEXT_LINK_NO_DATA");
const NO_SUCH_DATA: Rule = Rule::error(IssueType::Invalid, "TEXT_LINK_DATA_NOT_FOUND");

/// Judges the links of a Narrative: the id is one of its text, and the data is in the resource or the Bundle around it.
pub fn check(walk: &mut Walk<'_>, narrative: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let mut ids = None;
    for link in narrative.items("extension").iter().filter(|one| one.text("url") == Some(TEXT_LINK)) {
        let part = |name: &str| link.items("extension").iter().find(|part| part.text("url") == Some(name));
        let id = part("htmlid").and_then(|part| part.text("valueString"));
        let data = part("data").and_then(|part| part.text("valueUri").or_else(|| part.text("valueUrl")));
        let mut has_id = |id: &str| ids.get_or_insert_with(|| links::ids_in(narrative.text("div").unwrap_or_default())).contains(id);
        if id.is_some_and(|id| !has_id(id)) {
            walk.report.add(NO_SUCH_TEXT, path, link, "The text has no element with the id that a link of it (textLink) names");
        }
        if data.is_none() {
            walk.report.add(NO_DATA, path, link, "A link of the text (textLink) names no data");
        }
        let within = data.and_then(|data| data.strip_prefix('#')).filter(|id| !id.is_empty());
        if within.is_some_and(|id| !links::places_of(walk, scope).contains_key(id)) {
            walk.report.add(
                NO_SUCH_DATA,
                path,
                link,
                "Nothing in the resource has the id of the data that a link of the text (textLink) names",
            );
        }
        let resource = data.and_then(|data| data.split('#').next()).filter(|url| !url.is_empty());
        if resource.is_some_and(|url| target(url, scope).is_none()) {
            let text = "No entry of a Bundle around the resource is what a link of the text (textLink) names as its data";
            walk.report.add(NO_SUCH_DATA, path, link, text);
        }
    }
}
