//! SearchParameters beside what they derive from, and what CapabilityStatements say of search.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::rules;
use crate::fhir::Node;
use crate::outcome::IssueType;

const OTHER_TYPE: Rule = Rule::error(IssueType::BusinessRule, "SEARCHPARAMETER_TYPE_WRONG");
const OTHER_BASE: Rule = Rule::error(IssueType::BusinessRule, "SEARCHPARAMETER_BASE_WRONG");
const OTHER_EXPRESSION: Rule = Rule::warning(IssueType::BusinessRule, "SEARCHPARAMETER_EXP_WRONG");
const NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "SEARCHPARAMETER_NOTFOUND");
const NO_COMPONENTS: Rule = Rule::error(IssueType::BusinessRule, "SEARCHPARAMETER_MISSING_COMPONENTS");
const NO_EXPRESSION: Rule = Rule::error(IssueType::Invalid, "ED_SEARCH_EXPRESSION_ERROR");
const OTHER_SEARCH_TYPE: Rule = Rule::error(IssueType::BusinessRule, "CapabalityStatement_CS_SP_WrongType");

/// Judges a SearchParameter beside the one it derives from.
pub fn parameter(walk: &mut Walk<'_>, parameter: &Node, path: &Path<'_>) {
    let kind = parameter.text("type");
    if let Some(expression) = parameter.get("expression")
        && let Some(Err(error)) = expression.as_text().map(|text| rules::of_search(walk.types, parameter, text))
    {
        let text = format!("The expression of the search parameter cannot be used: {}", rules::reason(&error));
        walk.report.add(NO_EXPRESSION, &path.name("expression"), expression, text);
    }
    if kind == Some("composite") && parameter.items("component").len() < 2 {
        walk.report.add(NO_COMPONENTS, path, parameter, "A composite search parameter must have two components or more");
    }
    let Some(url) = parameter.text("derivedFrom") else { return };
    let Some(base) = walk.definitions.search_parameter_by_url(url) else {
        if walk.options.report_undecided {
            let text = "The search parameter this one derives from is not in hand, so what is stated here was not checked against it";
            walk.report.add(NOT_IN_HAND, path, parameter, text);
        }
        return;
    };
    if kind.is_some_and(|kind| base.kind.code() != kind) {
        walk.report.add(OTHER_TYPE, path, parameter, "The type must be that of the search parameter this one derives from");
    }
    let is_new = |name: &str| !base.base.iter().any(|one| one == name || walk.types.is_kind_of(name, one));
    if parameter.items("base").iter().filter_map(Node::as_text).any(is_new) {
        walk.report.add(OTHER_BASE, path, parameter, "The search parameter this one derives from is for other types");
    }
    let known = parts(&base.expression);
    if !known.is_empty() && parts(parameter.text("expression").unwrap_or_default()).iter().any(|part| !known.contains(part)) {
        walk.report.add(OTHER_EXPRESSION, path, parameter, "The search parameter this one derives from selects something else");
    }
}

/// The parts of a union, without white space.
fn parts(expression: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut quote) = (Vec::new(), String::new(), 0_usize, None);
    for letter in expression.chars().filter(|letter| !letter.is_whitespace()).chain(['|']) {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(letter),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            (None, '|') if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Judges the search parameters that a CapabilityStatement names by those in hand.
pub fn capability_statement(walk: &mut Walk<'_>, statement: &Node, path: &Path<'_>) {
    let rest_name = path.name("rest");
    for (index, rest) in statement.items("rest").iter().enumerate() {
        let rest_path = rest_name.index(index);
        let name = rest_path.name("resource");
        for (index, resource) in rest.items("resource").iter().enumerate() {
            let at = name.index(index);
            let name = at.name("searchParam");
            for (index, parameter) in resource.items("searchParam").iter().enumerate() {
                let defined = parameter.text("definition").and_then(|url| walk.definitions.search_parameter_by_url(url));
                if let (Some(kind), Some(defined)) = (parameter.text("type"), defined)
                    && defined.kind.code() != kind
                {
                    walk.report.add(OTHER_SEARCH_TYPE, &name.index(index), parameter, "The type must be that of the definition named here");
                }
            }
        }
    }
}
