//! Measures: groups, populations and stratifiers can be told apart, and criteria in CQL name what a library in hand defines
//! (<https://hl7.org/fhir/R4/measure.html>).

use super::super::attachments::held;
use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::{Node, xml};
use crate::outcome::{IssueType, Severity};
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};

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
    let mut libraries = Libraries::of(walk, measure, path);
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
            criteria(walk, stratifier, &mut libraries, Severity::Error, &at);
            let name = at.name("component");
            // HL7's validator looks for components beside the stratifiers, where there are none, and so refuses no criteria of theirs.
            for (index, component) in stratifier.items("component").iter().enumerate() {
                criteria(walk, component, &mut libraries, Severity::Warning, &name.index(index));
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

/// Judges criteria; what is wrong with them is as grave as `severity` at most.
fn criteria(walk: &mut Walk<'_>, holder: &Node, libraries: &mut Libraries<'_>, severity: Severity, path: &Path<'_>) {
    let Some(criteria) = holder.get("criteria") else { return };
    let wrong = match criteria.text("language") {
        // The Java validator takes `text/cql` for a name too, and asks for a library where it is used; what is called an identifier may be another's.
        Some(IDENTIFIER) if libraries.all.is_empty() => vec![(NOT_CHECKED, "No library is in hand that may define this")],
        Some("text/cql" | "text/cql.identifier" | IDENTIFIER) if libraries.all.is_empty() => {
            vec![(NO_LIBRARY, "The criteria are in CQL, and the measure has no library in hand that defines them")]
        }
        Some("text/cql" | "text/cql.identifier" | IDENTIFIER) => {
            let (library, name) = parts(criteria.text("expression").unwrap_or_default());
            libraries.wrong(library, name)
        }
        Some(_) => vec![(NOT_CHECKED, "Criteria in this language were not checked")],
        None => return,
    };
    for (rule, text) in wrong {
        let rule = Rule { severity: rule.severity.min(severity), ..rule };
        walk.report.add(rule, &path.name("criteria"), criteria, text);
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

/// What is wrong, and the words for it.
type Wrong = (Rule, &'static str);

/// The libraries of a measure that are in hand. Each is read once, when criteria first name it.
struct Libraries<'n> {
    all: Vec<&'n Node>,
    /// Whether every library that the measure names is in hand.
    is_whole: bool,
    /// The place of the first of each name, and whether there are more.
    by_name: HashMap<&'n str, (usize, bool)>,
    defined: HashMap<usize, Result<HashSet<CompactString>, Wrong>>,
}

impl<'n> Libraries<'n> {
    fn of<'w: 'n>(walk: &mut Walk<'w>, measure: &'n Node, path: &Path<'_>) -> Libraries<'n> {
        let definitions = walk.definitions;
        let mut contained: HashMap<&str, &Node> = HashMap::new();
        for one in measure.items("contained") {
            contained.entry(one.text("id").unwrap_or_default()).or_insert(one);
        }
        let (mut all, urls, name) = (Vec::new(), measure.items("library"), path.name("library"));
        for (index, url) in urls.iter().enumerate() {
            let found = url.as_text().and_then(|url| match url.strip_prefix('#') {
                Some(id) => contained.get(id).copied(),
                None => definitions.resource(url),
            });
            match found.filter(|found| found.resource_type() == Some("Library")) {
                Some(library) => all.push(library),
                None if walk.options.report_undecided => {
                    let text = "The library is not in hand, so criteria that name it were not checked";
                    walk.report.add(NOT_IN_HAND, &name.index(index), url, text);
                }
                None => {}
            }
        }
        let mut by_name: HashMap<&str, (usize, bool)> = HashMap::new();
        for (place, name) in all.iter().enumerate().filter_map(|(place, library)| Some((place, library.text("name")?))) {
            by_name.entry(name).and_modify(|(_, has_more)| *has_more = true).or_insert((place, false));
        }
        Libraries { is_whole: all.len() == urls.len(), all, by_name, defined: HashMap::new() }
    }

    /// What is wrong with criteria that name what a library defines.
    fn wrong(&mut self, library: Option<&str>, name: &str) -> Vec<Wrong> {
        let (place, is_twice) = match library.map(|library| self.by_name.get(library)) {
            None if self.all.len() == 1 => (0, false),
            None => return vec![(SEVERAL_LIBRARIES, "With more than one library, the criteria must name theirs")],
            Some(Some(found)) => *found,
            Some(None) if self.is_whole => {
                return vec![(LIBRARY_NOT_FOUND, "The measure has no library of the name that the criteria give")];
            }
            Some(None) => return Vec::new(),
        };
        let twice = is_twice.then_some((LIBRARY_TWICE, "The measure has more than one library of the name that the criteria give"));
        twice.into_iter().chain(self.wrong_in(place, name)).collect()
    }

    fn wrong_in(&mut self, place: usize, name: &str) -> Option<Wrong> {
        let library = self.all.get(place)?;
        match self.defined.entry(place).or_insert_with(|| defined(library)) {
            Ok(names) => (!names.contains(name)).then_some((NOT_FOUND, "The library does not define what the criteria name")),
            Err(wrong) => Some(*wrong),
        }
    }
}

/// The names that a library defines.
fn defined(library: &Node) -> Result<HashSet<CompactString>, Wrong> {
    let compiled = library.items("content").iter().filter(|one| matches!(one.text("contentType"), Some(ELM_XML | ELM_JSON)));
    let elm = compiled.filter_map(|one| Some((one.text("data")?, one.text("contentType")?))).next();
    let (elm, kind) = elm.ok_or((NO_ELM, "The library has no compiled content (ELM), so the criteria were not found"))?;
    let names = held(elm).and_then(|elm| names(&elm, kind == ELM_XML));
    names.ok_or((UNREADABLE_ELM, "The compiled content of the library cannot be read"))
}

/// The names that a compiled library defines; `None` when it is none.
fn names(elm: &[u8], is_xml: bool) -> Option<HashSet<CompactString>> {
    if is_xml {
        let names = xml::attributes(elm, ELM, &["library", "statements", "def"], "name").ok()??;
        return Some(names.into_iter().collect());
    }
    let library = crate::fhir::json::parse(elm, crate::fhir::json::DEFAULT_DEPTH).ok()?;
    let statements = library.get("library")?.get("statements")?;
    Some(statements.items("def").iter().filter_map(|def| def.text("name")).map(CompactString::from).collect())
}
