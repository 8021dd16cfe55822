//! Measures: groups, populations and stratifiers can be told apart, and criteria in CQL name what a library in hand defines
//! (<https://hl7.org/fhir/R4/measure.html>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::{Node, xml};
use crate::outcome::IssueType;

const NO_LIBRARY: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_NO_LIB");
const LIBRARY_TWICE: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_LIB_DUPL");
const LIBRARY_NOT_FOUND: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_LIB_NOT_FOUND");
const SEVERAL_LIBRARIES: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_ONLY_ONE_LIB");
const NO_ELM: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_NO_ELM");
const UNREADABLE_ELM: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_ERROR");
const NOT_FOUND: Rule = Rule::error(IssueType::Invalid, "MEASURE_M_CRITERIA_CQL_NOT_FOUND");
const NO_GROUPS: Rule = Rule::warning(IssueType::Required, "MEASURE_M_NO_GROUPS");
const GROUP_WITHOUT_CODE: Rule = Rule::warning(IssueType::Required, "MEASURE_M_GROUP_CODE");
const NO_POPULATION: Rule = Rule::warning(IssueType::Required, "MEASURE_M_GROUP_POP");
const POPULATION_WITHOUT_CODE: Rule = Rule::warning(IssueType::Required, "MEASURE_M_GROUP_POP_NO_CODE");
const STRATIFIER_WITHOUT_CODE: Rule = Rule::warning(IssueType::Required, "MEASURE_M_GROUP_STRATA_NO_CODE");
const NOT_CHECKED: Rule = Rule::warning(IssueType::Required, "MEASURE_M_CRITERIA_UNKNOWN");
const NOT_IN_HAND: Rule = Rule::information(IssueType::NotFound, "MEASURE_M_LIB_UNKNOWN");

/// The media types of a compiled CQL library.
const ELM_XML: &str = "application/elm+xml";
const ELM_JSON: &str = "application/elm+json";

/// Criteria that are nothing but the name of what a library defines.
const IDENTIFIER: &str = "text/cql-identifier";

/// The namespace of a compiled library in XML.
const ELM: &str = "urn:hl7-org:elm:r1";

/// Judges a Measure.
pub fn check(walk: &mut Walk<'_>, measure: &Node, path: &Path<'_>) {
    let definitions = walk.definitions;
    let mut libraries: Vec<&Node> = Vec::new();
    let name = path.name("library");
    for (index, url) in measure.items("library").iter().enumerate() {
        let found = url.as_text().and_then(|url| match url.strip_prefix('#') {
            Some(id) => measure.items("contained").iter().find(|one| one.text("id") == Some(id)),
            None => definitions.resource(url),
        });
        match found.filter(|found| found.resource_type() == Some("Library")) {
            Some(library) => libraries.push(library),
            None if walk.options.report_undecided => {
                walk.report.add(
                    NOT_IN_HAND,
                    &name.index(index),
                    url,
                    "The library is not in hand, so criteria that name it were not checked",
                );
            }
            None => {}
        }
    }
    let has_all = libraries.len() == measure.items("library").len();
    let group_name = path.name("group");
    let groups = measure.items("group");
    if groups.is_empty() {
        walk.report.add(NO_GROUPS, path, measure, "A measure without groups measures nothing");
    }
    coded(walk, measure, "group", GROUP_WITHOUT_CODE, path);
    for (index, group) in groups.iter().enumerate() {
        let group_path = group_name.index(index);
        if group.items("population").is_empty() {
            walk.report.add(NO_POPULATION, &group_path, group, "A group should have a population");
        }
        coded(walk, group, "population", POPULATION_WITHOUT_CODE, &group_path);
        coded(walk, group, "stratifier", STRATIFIER_WITHOUT_CODE, &group_path);
        let name = group_path.name("stratifier");
        for (index, stratifier) in group.items("stratifier").iter().enumerate() {
            let at = name.index(index);
            criteria(walk, stratifier, &libraries, has_all, &at);
            let name = at.name("component");
            for (index, component) in stratifier.items("component").iter().enumerate() {
                criteria(walk, component, &libraries, has_all, &name.index(index));
            }
        }
    }
}

/// Where there is more than one of a kind, a code tells each from the others.
fn coded(walk: &mut Walk<'_>, holder: &Node, member: &str, rule: Rule, path: &Path<'_>) {
    let all = holder.items(member);
    if all.len() < 2 {
        return;
    }
    let name = path.name(member);
    for (index, one) in all.iter().enumerate().filter(|(_, one)| one.get("code").is_none()) {
        walk.report.add(rule, &name.index(index), one, format!("There is more than one {member}, so each should have a code"));
    }
}

fn criteria(walk: &mut Walk<'_>, holder: &Node, libraries: &[&Node], has_all: bool, path: &Path<'_>) {
    let Some(criteria) = holder.get("criteria") else { return };
    let at = path.name("criteria");
    let expression = criteria.text("expression").unwrap_or_default();
    match criteria.text("language") {
        // The Java validator takes `text/cql` for a name too, and asks for a library where it is used; what is called an identifier may be another's.
        Some(IDENTIFIER) if libraries.is_empty() => {
            walk.report.add(NOT_CHECKED, &at, criteria, "No library is in hand that may define this")
        }
        Some("text/cql" | "text/cql.identifier" | IDENTIFIER) => {
            if libraries.is_empty() {
                return walk.report.add(
                    NO_LIBRARY,
                    &at,
                    criteria,
                    "The criteria are in CQL, and the measure has no library in hand that defines them",
                );
            }
            let (library, name) = parts(expression);
            if let Some(library) = library_of(walk, library, libraries, has_all, criteria, &at) {
                in_library(walk, library, name, criteria, &at);
            }
        }
        Some(_) => walk.report.add(NOT_CHECKED, &at, criteria, "Criteria in this language were not checked"),
        None => {}
    }
}

/// The library that a name in CQL begins with, and what it names there. Either may stand in quotes.
fn parts(expression: &str) -> (Option<&str>, &str) {
    let expression = expression.trim();
    let (mut quote, mut dot) = (None, None);
    for (index, letter) in expression.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '`') => quote = Some(letter),
            (None, '.') => {
                dot = Some(index);
                break;
            }
            _ => {}
        }
    }
    let (library, name) = dot.map_or((None, expression), |dot| {
        let (library, name) = expression.split_at(dot);
        (Some(unquoted(library)), name.trim_start_matches('.'))
    });
    (library, unquoted(name))
}

fn unquoted(name: &str) -> &str {
    let inner = |quote: char| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('`')).unwrap_or(name)
}

fn library_of<'n>(
    walk: &mut Walk<'_>,
    name: Option<&str>,
    libraries: &[&'n Node],
    has_all: bool,
    criteria: &Node,
    path: &Path<'_>,
) -> Option<&'n Node> {
    let Some(name) = name else {
        if let [one] = libraries {
            return Some(one);
        }
        walk.report.add(SEVERAL_LIBRARIES, path, criteria, "With more than one library, the criteria must name theirs");
        return None;
    };
    let named: Vec<&Node> = libraries.iter().copied().filter(|library| library.text("name") == Some(name)).collect();
    match named.as_slice() {
        [] if has_all => {
            walk.report.add(LIBRARY_NOT_FOUND, path, criteria, "The measure has no library of the name that the criteria give")
        }
        [] | [_] => {}
        _ => walk.report.add(LIBRARY_TWICE, path, criteria, "The measure has more than one library of the name that the criteria give"),
    }
    named.first().copied()
}

fn in_library(walk: &mut Walk<'_>, library: &Node, name: &str, criteria: &Node, path: &Path<'_>) {
    let compiled = library.items("content").iter().filter(|one| matches!(one.text("contentType"), Some(ELM_XML | ELM_JSON)));
    let Some((elm, kind)) = compiled.filter_map(|one| Some((one.text("data")?, one.text("contentType")?))).next() else {
        return walk.report.add(NO_ELM, path, criteria, "The library has no compiled content (ELM), so the criteria were not found");
    };
    let Some(defines) = decode(elm).and_then(|elm| defines(&elm, kind == ELM_XML, name)) else {
        return walk.report.add(UNREADABLE_ELM, path, criteria, "The compiled content of the library cannot be read");
    };
    if !defines {
        walk.report.add(NOT_FOUND, path, criteria, "The library does not define what the criteria name");
    }
}

/// Whether a compiled library defines a name; `None` when it is none.
fn defines(elm: &[u8], is_xml: bool, name: &str) -> Option<bool> {
    if is_xml {
        let names = xml::attributes(elm, ELM, &["library", "statements", "def"], "name").ok()??;
        return Some(names.iter().any(|one| one == name));
    }
    let library = crate::fhir::json::parse(elm, crate::fhir::json::DEFAULT_DEPTH).ok()?;
    let statements = library.get("library")?.get("statements")?;
    Some(statements.items("def").iter().any(|def| def.text("name") == Some(name)))
}

fn decode(data: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let plain: String = data.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(plain).ok()
}
