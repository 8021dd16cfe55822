//! Search results: links that say what was asked, entries that say why they are there.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use percent_encoding::percent_decode_str;

const NO_SELF: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SEARCH_NOSELF");
const NO_RESOURCE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_NO_RESOURCE");
const NO_MODE: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SEARCH_NO_MODE");
const NO_ID: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_NO_RESOURCE_ID");
const NOT_AN_OUTCOME: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_WRONG_RESOURCE_TYPE_OUTCOME");
const OTHER_TYPE_WITHOUT_MODE: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_WRONG_RESOURCE_TYPE_NO_MODE");
const OTHER_TYPE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_WRONG_RESOURCE_TYPE_MODE");

/// Judges a searchset.
pub fn check(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    links(walk, bundle, path);
    let entries = bundle.items("entry");
    let mode = |entry: &Node| entry.text_at(&["search", "mode"]).map(str::to_owned);
    if !entries.is_empty() && entries.iter().any(|entry| mode(entry).is_none()) {
        walk.report.add(NO_MODE, path, bundle, "Entries of a search result should say why they are there (search.mode)");
    }
    let has_modes = entries.iter().any(|entry| mode(entry).is_some());
    let asked = asked_types(walk, bundle);
    let name = path.name("entry");
    for (index, entry) in entries.iter().enumerate() {
        let Some(resource) = entry.get("resource") else {
            walk.report.add(NO_RESOURCE, &name.index(index), entry, "An entry of a search result must hold a resource");
            continue;
        };
        let Some(mode) = mode(entry) else {
            if !has_modes {
                without_mode(walk, resource, &asked, &name.index(index).name("resource"));
            }
            continue;
        };
        let entry = name.index(index);
        let at = entry.name("resource");
        let is_outcome = resource.resource_type() == Some("OperationOutcome");
        if mode == "outcome" && !is_outcome {
            walk.report.add(NOT_AN_OUTCOME, &at, resource, "An entry with the mode outcome must be an OperationOutcome");
        }
        if mode == "match" && !asked.is_empty() && !asked.iter().any(|one| resource.resource_type() == Some(one)) {
            walk.report.add(OTHER_TYPE, &at, resource, "What was searched for are resources of other types, and this is said to match");
        } else if mode != "outcome" && is_outcome {
            walk.report.add(OTHER_TYPE, &at, resource, "An OperationOutcome in a search result must have the mode outcome");
        }
        if mode != "outcome" && resource.text("id").is_none() {
            walk.report.add(NO_ID, &at, resource, "What a search found must have an id");
        }
    }
}

/// An entry of a result that states no modes at all: it counts as a match.
fn without_mode(walk: &mut Walk<'_>, resource: &Node, asked: &[String], path: &Path<'_>) {
    let Some(type_name) = resource.resource_type().filter(|name| *name != "OperationOutcome") else { return };
    if resource.text("id").is_none() {
        walk.report.add(NO_ID, path, resource, "What a search found must have an id");
    }
    if !asked.is_empty() && !asked.iter().any(|one| one == type_name) {
        let text = "What was searched for are resources of other types; is a search mode missing?";
        walk.report.add(OTHER_TYPE_WITHOUT_MODE, path, resource, text);
    }
}

fn links(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    let all = bundle.items("link");
    if !all.iter().any(|link| link.text("relation") == Some("self")) {
        walk.report.add(NO_SELF, path, bundle, "A search result should say what was asked, in a link with the relation self");
    }
}

/// The types that the search was for, as its link to itself says: `…/Patient?…`, or `_type`.
fn asked_types(walk: &Walk<'_>, bundle: &Node) -> Vec<String> {
    let own = bundle.items("link").iter().find(|link| link.text("relation") == Some("self"));
    let Some(url) = own.and_then(|link| link.text("url")) else { return Vec::new() };
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let last = place.rsplit('/').next().unwrap_or_default();
    if walk.types.resource(last).is_some() {
        return vec![last.to_owned()];
    }
    let stated = query.split('&').find_map(|pair| pair.strip_prefix("_type=")).map(|types| percent_decode_str(types).decode_utf8_lossy());
    stated.map(|types| types.split(',').map(str::to_owned).collect()).unwrap_or_default()
}
