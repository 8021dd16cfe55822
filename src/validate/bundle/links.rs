//! Links of a Bundle: which relations its type has, each once, and style sheets that a document carries with it.

use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashSet;

const TWICE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_LINK_SEARCH_NO_DUPLICATES");
const NO_PAGES: Rule = Rule::error(IssueType::Invalid, "BUNDLE_LINK_SEARCH_PROHIBITED");
const STYLE_NOT_FOUND: Rule = Rule::error(IssueType::NotFound, "BUNDLE_LINK_STYELSHEET_NOT_FOUND");
const STYLE_ELSEWHERE: Rule = Rule::warning(IssueType::BusinessRule, "BUNDLE_LINK_STYELSHEET_EXTERNAL");
const STYLE_UNPROTECTED: Rule = Rule::warning(IssueType::BusinessRule, "BUNDLE_LINK_STYELSHEET_INSECURE");

const STYLE_SHEET: &str = "stylesheet";

/// The style sheet that HL7 publishes.
const PUBLISHED_STYLE: &str = "https://hl7.org/fhir/fhir.css";

/// Judges the links of a Bundle of a type.
pub fn check(walk: &mut Walk<'_>, bundle: &Node, kind: &str, path: &Path<'_>) {
    let (mut seen, mut held) = (HashSet::new(), None);
    let has_pages = matches!(kind, "searchset" | "history");
    let name = path.name("link");
    for (index, link) in bundle.items("link").iter().enumerate() {
        let Some(relation) = link.text("relation") else { continue };
        let at = name.index(index);
        let is_page = matches!(relation, "first" | "previous" | "next" | "last");
        if is_page && !has_pages {
            walk.report.add(NO_PAGES, &at.name("relation"), link, "Only search results and histories have pages");
        }
        // Where there are no pages, that they are there is said already.
        if !seen.insert(relation) && (relation == "self" || is_page && has_pages) {
            let stated_at = at.name("relation");
            walk.report.add(TWICE, if has_pages { &at } else { &stated_at }, link, "A Bundle has one link of this relation");
        }
        if kind == "document" && relation == STYLE_SHEET {
            let is_held =
                |url: &str| url.split_once('/').is_some_and(|name| held.get_or_insert_with(|| resources_in(bundle)).contains(&name));
            style(walk, is_held, link, &at.name("url"));
        }
    }
}

/// The type and the id of each resource.
fn resources_in(bundle: &Node) -> HashSet<(&str, &str)> {
    bundle.items("entry").iter().filter_map(|entry| entry.get("resource")).filter_map(named).collect()
}

/// The type and the id of a resource.
pub fn named(resource: &Node) -> Option<(&str, &str)> {
    resource.resource_type().zip(resource.text("id"))
}

/// The types and ids of the style sheets that a document is to be shown with, and carries.
pub fn style_sheets(bundle: &Node) -> HashSet<(&str, &str)> {
    let links = bundle.items("link").iter().filter(|link| link.text("relation") == Some(STYLE_SHEET));
    links.filter_map(|link| link.text("url")?.split_once('/')).collect()
}

fn style(walk: &mut Walk<'_>, mut is_held: impl FnMut(&str) -> bool, link: &Node, path: &Path<'_>) {
    let Some(url) = link.text("url") else { return };
    if has_scheme(url) {
        if url != PUBLISHED_STYLE {
            walk.report.add(STYLE_ELSEWHERE, path, link, "A style sheet that is not in the document may change or vanish");
        }
        if url.starts_with("http:") {
            walk.report.add(STYLE_UNPROTECTED, path, link, "The style sheet is fetched without protection");
        }
        return;
    }
    if !is_held(url) {
        walk.report.add(STYLE_NOT_FOUND, path, link, "The style sheet is not in the document");
    }
}
