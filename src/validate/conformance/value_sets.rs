//! ValueSets: what they include and exclude (<https://hl7.org/fhir/R4/valueset.html#compositions>).

use super::super::codings::MOVING;
use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::extension;
use super::filters::{self, Kind, Known, Named, Property};
use crate::definitions::{Content, Standing};
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::fhir::regular::{self, Refusal};
use crate::outcome::{IssueType, Severity};
use regex::RegexBuilder;
use std::cell::OnceCell;
use std::collections::HashSet;

const NOT_IN_SYSTEM: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_INCLUDE_INVALID_CONCEPT_CODE_VER");
const NOT_ABSOLUTE: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_SYSTEM_ABSOLUTE");
const IS_FRAGMENT: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_SYSTEM_ABSOLUTE_FRAG");
const NOT_CONTAINED: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_CS_NOT_FOUND");
const CONTAINED_IS_NO_SYSTEM: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_CS_NOT_CS");
const IS_SUPPLEMENT: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_CS_SUPPLEMENT");
const IS_VALUE_SET: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_WRONG_VS");
const VERSION_EMPTY: Rule = Rule::warning(IssueType::BusinessRule, "VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_0");
const VERSION_IN_SYSTEM: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_1");
const VERSION_DIFFERS: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_2");
const VERSION_TWICE: Rule = Rule::error(IssueType::BusinessRule, "VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_3");
const VERSION_NOT_IN_HAND: Rule = Rule::warning(IssueType::BusinessRule, "VALUESET_UNC_SYSTEM_WARNING_VER");
const SYSTEM_BY_OID: Rule = Rule::error(IssueType::Invalid, "VALUESET_INCLUDE_WRONG_CS_OID");
const IMPORT_NO_SET: Rule = Rule::warning(IssueType::BusinessRule, "VALUESET_REFERENCE_INVALID_TYPE");
const IMPORT_NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "VALUESET_REFERENCE_UNKNOWN");
const NO_SYSTEM: Rule = Rule::warning(IssueType::BusinessRule, "VALUESET_NO_SYSTEM_WARNING");
const TWICE: Rule = Rule::warning(IssueType::Invalid, "VALUESET_CONCEPT_DUPLICATE_CODE");
const NO_SUCH_PROPERTY: Rule = Rule::warning(IssueType::Invalid, "VALUESET_UNKNOWN_FILTER_PROPERTY");
const NO_VALUE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_EXPR_OR_VALUE");
const VALUE_AND_EXPRESSION: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_EXPR_AND_VALUE");
const WRONG_LANGUAGE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_EXPR_LANG");
const NO_SUCH_PARAMETER: Rule = Rule::error(IssueType::Exception, "VALUESET_BAD_FILTER_EXPR_PARAM_NAME");
const NO_BOOLEAN: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_BOOLEAN");
const NO_CODE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_CODE");
const UNKNOWN_CODE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_VALID_CODE");
const CHANGED_CODE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_VALID_CODE_CHANGE");
const NO_DATE: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_DATETIME");
const NO_DECIMAL: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_DECIMAL");
const NO_INTEGER: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_INTEGER");
const NO_CODING: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_CODED");
const UNKNOWN_CODING: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_CODED_INVALID");
const NO_REGEX: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_VALID_REGEX");
const REGEX_OF_CONCEPT: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_PROPERTY_NO_REGEX");
const WRONG_OPERATOR: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_OP");
const NO_CONSTRAINT: Rule = Rule::error(IssueType::Invalid, "VALUESET_BAD_FILTER_VALUE_INVALID");

const PARAMETER: &str = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter";
const EXPRESSION: &str = "http://hl7.org/fhir/StructureDefinition/cqf-expression";
const SNOMED_CT: &str = "http://snomed.info/sct";

/// How large a compiled regular expression of a filter may be, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Judges a ValueSet.
pub fn check(walk: &mut Walk<'_>, set: &Node, path: &Path<'_>) {
    let Some(compose) = set.get("compose") else { return };
    let composed = path.name("compose");
    let judged = Judged { set, declared: OnceCell::new() };
    for part in ["include", "exclude"] {
        let name = composed.name(part);
        for (index, include) in compose.items(part).iter().enumerate() {
            part_of(walk, &judged, include, &name.index(index));
        }
    }
}

/// A value set, and the parameters that it declares, gathered once where an expression may name one.
struct Judged<'n> {
    set: &'n Node,
    declared: OnceCell<HashSet<&'n str>>,
}

impl Judged<'_> {
    fn declares(&self, name: &str) -> bool {
        let parameters = || self.set.items("extension").iter().filter(|one| one.text("url") == Some(PARAMETER));
        self.declared.get_or_init(|| parameters().filter_map(name_of).collect()).contains(name)
    }
}

fn part_of(walk: &mut Walk<'_>, judged: &Judged<'_>, include: &Node, path: &Path<'_>) {
    imports(walk, judged.set, include, path);
    let Some(system) = include.text("system") else {
        let is_listed = !include.items("concept").is_empty() || !include.items("filter").is_empty();
        if is_listed {
            walk.report.add(NO_SYSTEM, path, include, "Codes and filters mean nothing without their system");
        }
        return;
    };
    let system = versioned(walk, include, system, path);
    if !is_system(walk, judged.set, include, system, path) {
        return;
    }
    if include.text("version").is_some_and(|version| walk.definitions.lacks_system_version(system, version)) {
        let text = "The code system is in hand in another version only, so its codes were not checked";
        return walk.report.add(VERSION_NOT_IN_HAND, path, include, text);
    }
    concepts(walk, include, system, path);
    let name = path.name("filter");
    for (index, filter) in include.items("filter").iter().enumerate() {
        filter_of(walk, judged, system, filter, &name.index(index));
    }
}

/// What is taken in as a value set is one.
fn imports(walk: &mut Walk<'_>, set: &Node, include: &Node, path: &Path<'_>) {
    let definitions = walk.definitions;
    let name = path.name("valueSet");
    for (index, node) in include.items("valueSet").iter().enumerate() {
        let Some(url) = node.as_text().filter(|url| definitions.value_set(url).is_none() && !url.starts_with('#')) else { continue };
        let at = name.index(index);
        if definitions.code_system(url).is_some() || definitions.structure(url).is_some() {
            walk.report.add(IMPORT_NO_SET, &at, node, "What is taken in must be a value set, and what is named here is none");
        } else if walk.options.report_undecided && set.text("url") != Some(url) {
            walk.report.add(IMPORT_NOT_IN_HAND, &at, node, "The value set that is taken in is not in hand, so it was not checked");
        }
    }
}

/// The system without the version that may stand after it, where it should not.
fn versioned<'n>(walk: &mut Walk<'_>, include: &Node, system: &'n str, path: &Path<'_>) -> &'n str {
    let Some((system, version)) = system.split_once('|') else { return system };
    let (rule, text) = match include.text("version") {
        _ if version.is_empty() => (VERSION_EMPTY, "The system ends in '|' and no version"),
        None => (VERSION_IN_SYSTEM, "The version of a system is stated in 'version', not in its URI"),
        Some(stated) if stated != version => (VERSION_DIFFERS, "The version in the URI of the system is not the one stated in 'version'"),
        Some(_) => (VERSION_TWICE, "The version of a system is stated in 'version', not in its URI as well"),
    };
    walk.report.add(rule, path, include, text);
    system
}

/// Where HL7 registers the OIDs of the code systems of FHIR, which have URLs.
const OIDS_OF_FHIR: &str = "urn:oid:2.16.840.1.113883.4.642.4.";

/// Whether what is named as a system can be one.
fn is_system(walk: &mut Walk<'_>, set: &Node, include: &Node, system: &str, path: &Path<'_>) -> bool {
    let definitions = walk.definitions;
    if let Some(id) = system.strip_prefix('#') {
        walk.report.add(IS_FRAGMENT, path, include, "A code system is named by its URL, contained or not");
        match set.items("contained").iter().find(|one| one.text("id") == Some(id)) {
            None => walk.report.add(NOT_CONTAINED, path, include, "No contained resource has this id"),
            Some(found) if found.resource_type() != Some("CodeSystem") => {
                walk.report.add(CONTAINED_IS_NO_SYSTEM, path, include, "The contained resource named here is no CodeSystem");
            }
            Some(_) => {}
        }
        return false;
    }
    if !has_scheme(system) {
        walk.report.add(NOT_ABSOLUTE, path, include, "The system must be an absolute URI");
        return false;
    }
    if system.starts_with(OIDS_OF_FHIR) {
        walk.report.add(SYSTEM_BY_OID, path, include, "The code systems of FHIR are named by their URLs, not by their OIDs");
    }
    match definitions.code_system(system) {
        Some(found) if found.content == Content::Supplement => {
            walk.report.add(IS_SUPPLEMENT, path, include, "This is a supplement; the codes are those of the system it supplements");
            false
        }
        None if definitions.value_set(system).is_some() => {
            walk.report.add(IS_VALUE_SET, path, include, "This is a value set; codes come from a code system");
            false
        }
        _ => true,
    }
}

fn concepts(walk: &mut Walk<'_>, include: &Node, system: &str, path: &Path<'_>) {
    let definitions = walk.definitions;
    let mut seen = HashSet::new();
    let name = path.name("concept");
    for (index, concept) in include.items("concept").iter().enumerate() {
        let Some(code) = concept.text("code") else { continue };
        if !seen.insert(code) {
            walk.report.add(TWICE, &name.index(index), concept, "The code is listed twice");
        }
        // Systems that move on between releases may have codes that are not in hand.
        if !system.starts_with(MOVING) && definitions.standing_in(system, include.text("version"), code) == Standing::Absent {
            walk.report.add(NOT_IN_SYSTEM, &name.index(index), concept, "The system, as it is in hand, does not have this code");
        }
    }
}

fn filter_of(walk: &mut Walk<'_>, judged: &Judged<'_>, system: &str, filter: &Node, path: &Path<'_>) {
    let (Some(property), Some(op)) = (filter.text("property"), filter.text("op")) else { return };
    let known = match filters::property(system, walk.definitions.code_system(system), property) {
        _ if system == SNOMED_CT && property == "constraint" => None,
        Property::Unruled => return,
        Property::Missing => {
            return walk.report.add(NO_SUCH_PROPERTY, path, filter, "The code system defines no property or filter of this code");
        }
        Property::NotInHand => None,
        Property::Known(known) => Some(known),
    };
    if known.is_some_and(|known| !known.takes(op)) {
        walk.report.add(WRONG_OPERATOR, path, filter, "The operator means nothing for this property");
    }
    let stated = filter.get("_value").and_then(|sibling| extension(sibling, EXPRESSION));
    match (filter.text("value"), stated) {
        (None, None) => walk.report.add(NO_VALUE, path, filter, "A filter must have a value, or an expression for it"),
        (None, Some(expression)) => expression_of(walk, judged, filter, expression, path),
        (Some(_), Some(_)) => walk.report.add(VALUE_AND_EXPRESSION, path, filter, "A filter has a value or an expression, not both"),
        (Some(value), None) if system == SNOMED_CT && property == "constraint" => {
            if !super::super::ecl::is_valid(value) {
                walk.report.add(NO_CONSTRAINT, path, filter, "The value is no expression constraint of SNOMED CT");
            }
        }
        (Some(value), None) => {
            known.into_iter().for_each(|known| value_of(walk, system, Filter { property, op, value }, &known, filter, path))
        }
    }
}

/// The parameters that an expression names are those that the value set declares.
fn expression_of(walk: &mut Walk<'_>, judged: &Judged<'_>, filter: &Node, expression: &Node, path: &Path<'_>) {
    let sibling = path.name("extension");
    let indexed = sibling.index(0);
    let value = indexed.name("value");
    let at = value.of_type("Expression");
    if expression.text("language") != Some("text/fhirpath") {
        return walk.report.add(WRONG_LANGUAGE, &at, filter, "The expression of a filter must be in FHIRPath (text/fhirpath)");
    }
    if constants(expression.text("expression").unwrap_or_default()).any(|name| !judged.declares(name)) {
        walk.report.add(NO_SUCH_PARAMETER, &at, filter, "The expression names a parameter that the value set does not declare");
    }
}

fn name_of(parameter: &Node) -> Option<&str> {
    let name = parameter.items("extension").iter().find(|part| part.text("url") == Some("name"))?;
    super::choice(name, "value")?.0.as_text()
}

/// The names after each `%`, as FHIRPath delimits them; a name with other letters is quoted there, and is not looked at here.
fn constants(expression: &str) -> impl Iterator<Item = &str> {
    let end = |rest: &str| rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '-')).unwrap_or(rest.len());
    expression.split('%').skip(1).filter_map(move |rest| rest.get(..end(rest))).filter(|name| !name.is_empty())
}

#[derive(Clone, Copy)]
struct Filter<'a> {
    property: &'a str,
    op: &'a str,
    value: &'a str,
}

/// A filter's value, by what is known of the property.
fn value_of(walk: &mut Walk<'_>, system: &str, asked: Filter<'_>, known: &Known<'_>, filter: &Node, path: &Path<'_>) {
    if asked.op == "regex" {
        return expression_to_match(walk, asked, filter, path);
    }
    let kind = if asked.op == "exists" { Kind::Boolean } else { known.kind };
    for value in values(asked) {
        if let Some((rule, text)) = broken(walk, system, value, kind) {
            walk.report.add(rule, path, filter, text);
        }
    }
}

fn expression_to_match(walk: &mut Walk<'_>, asked: Filter<'_>, filter: &Node, path: &Path<'_>) {
    if asked.property == "concept" {
        walk.report.add(REGEX_OF_CONCEPT, path, filter, "A regular expression does not select by hierarchy");
    }
    let compiled = regular::compile(asked.value, |pattern| RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build());
    if matches!(compiled, Err(Refusal::Malformed)) {
        walk.report.add(NO_REGEX, path, filter, "The value is no regular expression");
    }
}

fn values(asked: Filter<'_>) -> Vec<&str> {
    if matches!(asked.op, "in" | "not-in") { asked.value.split(',').collect() } else { vec![asked.value] }
}

/// What a filter's value breaks, by the kind of its property.
fn broken(walk: &Walk<'_>, system: &str, value: &str, kind: Kind) -> Option<(Rule, &'static str)> {
    match kind {
        Kind::Boolean => (!matches!(value, "true" | "false")).then_some((NO_BOOLEAN, "The value must be true or false")),
        Kind::Code(_) if value.trim() != value => Some((NO_CODE, "The value must be a code, without white space around it")),
        Kind::Code(named) => not_in_system(walk, system, value, named),
        Kind::Coding => coding(walk, value),
        Kind::DateTime => {
            super::super::calendar::date_time(bare(value)).is_err().then_some((NO_DATE, "The value must be a date, or a date with a time"))
        }
        Kind::Decimal => Decimal::parse(bare(value)).is_none().then_some((NO_DECIMAL, "The value must be a number")),
        Kind::Integer => bare(value).parse::<i64>().is_err().then_some((NO_INTEGER, "The value must be a whole number")),
        Kind::Text => None,
    }
}

/// A code that is not where it must be.
fn not_in_system(walk: &Walk<'_>, system: &str, code: &str, named: Named) -> Option<(Rule, &'static str)> {
    let is_warning = system.starts_with(MOVING) || named == Named::ShouldBeInSystem;
    let (rule, text) = match named {
        Named::Anywhere => return None,
        Named::InSystemByNow => (CHANGED_CODE, "The system has no code of this form, by which the values of this property are named"),
        _ if is_warning => {
            (Rule { severity: Severity::Warning, ..UNKNOWN_CODE }, "The system, as it is in hand, does not have the code in the value")
        }
        _ => (UNKNOWN_CODE, "The system, as it is in hand, does not have the code in the value"),
    };
    (walk.definitions.standing(system, code) == Standing::Absent).then_some((rule, text))
}

/// A value without the comparator that may stand before it.
fn bare(value: &str) -> &str {
    let comparators = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    comparators.iter().find_map(|comparator| value.strip_prefix(comparator)).unwrap_or(value)
}

/// A Coding as text: `system#code` or `system|version#code`.
fn coding(walk: &Walk<'_>, value: &str) -> Option<(Rule, &'static str)> {
    let Some((system, code)) = value.split_once('#').filter(|(system, code)| has_scheme(system) && !code.is_empty()) else {
        return Some((NO_CODING, "The value must be a Coding, written as system#code"));
    };
    let is_absent = walk.definitions.standing(system, code) == Standing::Absent;
    is_absent.then_some((UNKNOWN_CODING, "The system named in the value does not have the code named there"))
}
