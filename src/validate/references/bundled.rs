//! References between the entries of a Bundle, each read beside the `fullUrl` of the entry it stands in
//! (<https://hl7.org/fhir/R4/bundle.html#references>).

use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::Scope;
use crate::fhir::Node;
use crate::outcome::IssueType;

const WRONG_FORM: Rule = Rule::error(IssueType::Invalid, "Reference_REF_Format2");
const WHITE_SPACE: Rule = Rule::error(IssueType::Invalid, "REFERENCE_REF_INVALID_REF");
const WRONG_QUERY: Rule = Rule::error(IssueType::Invalid, "REFERENCE_REF_QUERY_INVALID");
const ENTRY_WITHOUT_URL: Rule = Rule::error(IssueType::Required, "Bundle_BUNDLE_Entry_NoFullUrl");
const SEVERAL: Rule = Rule::error(IssueType::Forbidden, "Bundle_BUNDLE_MultipleMatches");
const NOT_RESOLVABLE: Rule = Rule::error(IssueType::Required, "Bundle_BUNDLE_FullUrl_Missing");
const NOT_LOCAL: Rule = Rule::warning(IssueType::Required, "Bundle_BUNDLE_Not_Local");
const OTHER_TYPE: Rule = Rule::error(IssueType::Required, "Reference_REF_ResourceType");
const ELSEWHERE: Rule = Rule::warning(IssueType::Required, "BUNDLE_BUNDLE_POSSIBLE_MATCH_WRONG_FU");
const SEVERAL_ELSEWHERE: Rule = Rule::warning(IssueType::Required, "BUNDLE_POSSSIBLE_MATCHES");

/// How many of the entries are named that a reference may have meant.
const ELSEWHERE_MAX: usize = 8;

/// Judges a reference in a resource that an entry of a Bundle holds.
pub fn check(walk: &mut Walk<'_>, literal: &str, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    form(walk, literal, reference, scope, path);
    let Some(entry) = scope.entry else { return };
    let is_response = matches!(entry.kind, "batch-response" | "transaction-response");
    if entry.full_url.is_none() && !is_response {
        let text = "The entry has references and no fullUrl, so they cannot be told apart from those of other servers";
        walk.report.add(ENTRY_WITHOUT_URL, path.entry().unwrap_or(path), reference, text);
    }
    if entry.kind != "document" && scope.names_several(literal) {
        walk.report.add(
            SEVERAL,
            path,
            reference,
            "More than one entry of the Bundle has the URL of this reference; it must name a version",
        );
    }
    if has_scheme(literal) {
        if literal.starts_with("urn:") && scope.held(literal).is_none() {
            walk.report.add(NOT_LOCAL, path, reference, "No entry of the Bundle has the URN that this reference names");
        }
        return;
    }
    let is_search = literal.contains('?') && matches!(entry.kind, "transaction" | "batch");
    if entry.full_url.is_none() {
        walk.report.add(NOT_RESOLVABLE, path, reference, "A relative reference needs the fullUrl of its entry");
    } else if !matches!(literal.split('/').count(), 2 | 4) && !is_search {
        walk.report.add(WRONG_FORM, path, reference, "A relative reference in a Bundle is written type/id, or type/id/_history/version");
    } else if !is_search {
        relative(walk, literal, reference, scope, path);
    }
}

/// A reference holds no white space, and one to whatever a search finds is written as such.
fn form(walk: &mut Walk<'_>, literal: &str, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    if literal.contains(|letter: char| letter.is_ascii_whitespace()) {
        walk.report.add(WHITE_SPACE, path, reference, "A reference must not hold white space");
    }
    let Some((before, query)) = literal.split_once('?') else { return };
    let is_in_batch = scope.entry.is_some_and(|entry| matches!(entry.kind, "transaction" | "batch")) && !has_scheme(literal);
    if (is_in_batch || walk.types.resource(before).is_some()) && !is_query(query) {
        walk.report.add(
            WRONG_QUERY,
            path,
            reference,
            "What stands behind the '?' of a conditional reference must be a search: name=value&name=value",
        );
    }
}

/// A relative reference beside the `fullUrl` of its entry leads to an entry of the type it names, or the entries of that name are elsewhere.
fn relative(walk: &mut Walk<'_>, literal: &str, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(url) = scope.beside_entry(literal) else { return };
    let mut parts = literal.split('/');
    let (Some(type_name), Some(id)) = (parts.next(), parts.next()) else { return };
    let current = url.split("/_history/").next().unwrap_or(&url);
    if let Some(found) = scope.held(&url).or_else(|| scope.held(current)) {
        let other = found.resource_type().filter(|found| *found != type_name && url.starts_with("urn:"));
        if let Some(other) = other.filter(|name| walk.types.resource(name).is_some()) {
            walk.report.add(
                OTHER_TYPE,
                path,
                reference,
                format!("The entry that this reference leads to holds a {other}, which it does not name"),
            );
        }
        return;
    }
    let named = scope.entries_named(&format!("{type_name}/{id}"));
    if named.len() > 1 {
        walk.report.add(
            SEVERAL_ELSEWHERE,
            path,
            reference,
            "Entries hold resources of this type and id, under URLs that are not what the reference is read as",
        );
    }
    for index in named.iter().take(ELSEWHERE_MAX) {
        let text = format!("Entry {index} holds a resource of this type and id, and its fullUrl is not what the reference is read as");
        walk.report.add(ELSEWHERE, path, reference, text);
    }
}

/// Whether a text is a search as a URL has it: names of parameters, without modifiers and chains, with their values.
fn is_query(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    text.split('&').all(|part| part.split_once('=').is_some_and(|(name, value)| is_name(name) && !value.contains('=')))
}
