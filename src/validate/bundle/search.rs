//! Search results: links that say what was asked, entries that say why they are there.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashSet;

const NO_SELF: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SEARCH_NOSELF");
const LINK_TWICE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_LINK_SEARCH_NO_DUPLICATES");
const NO_MODE: Rule = Rule::warning(IssueType::Invalid, "BUNDLE_SEARCH_NO_MODE");
const NO_ID: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_NO_RESOURCE_ID");
const NOT_AN_OUTCOME: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_WRONG_RESOURCE_TYPE_OUTCOME");
const OUTCOME_AS_MATCH: Rule = Rule::error(IssueType::Invalid, "BUNDLE_SEARCH_ENTRY_WRONG_RESOURCE_TYPE_MODE");

/// Judges a searchset.
pub fn check(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    links(walk, bundle, path);
    let entries = bundle.items("entry");
    let mode = |entry: &Node| entry.text_at(&["search", "mode"]).map(str::to_owned);
    if !entries.is_empty() && entries.iter().any(|entry| mode(entry).is_none()) {
        walk.report.add(NO_MODE, path, bundle, "Entries of a search result should say why they are there (search.mode)");
    }
    let name = path.name("entry");
    for (index, entry) in entries.iter().enumerate() {
        let (Some(mode), Some(resource)) = (mode(entry), entry.get("resource")) else { continue };
        let entry = name.index(index);
        let at = entry.name("resource");
        let is_outcome = resource.resource_type() == Some("OperationOutcome");
        if mode == "outcome" && !is_outcome {
            walk.report.add(NOT_AN_OUTCOME, &at, resource, "An entry with the mode outcome must be an OperationOutcome");
        }
        if mode != "outcome" && is_outcome {
            walk.report.add(OUTCOME_AS_MATCH, &at, resource, "An OperationOutcome in a search result must have the mode outcome");
        }
        if mode != "outcome" && resource.text("id").is_none() {
            walk.report.add(NO_ID, &at, resource, "What a search found must have an id");
        }
    }
}

fn links(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    let all = bundle.items("link");
    if !all.iter().any(|link| link.text("relation") == Some("self")) {
        walk.report.add(NO_SELF, path, bundle, "A search result should say what was asked, in a link with the relation self");
    }
    let mut seen = HashSet::new();
    let name = path.name("link");
    for (index, link) in all.iter().enumerate() {
        if link.text("relation").is_some_and(|relation| !seen.insert(relation)) {
            walk.report.add(LINK_TWICE, &name.index(index), link, "A search result has one link of each relation");
        }
    }
}
