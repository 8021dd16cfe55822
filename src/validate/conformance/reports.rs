//! MeasureReports beside the Measure they report (<https://hl7.org/fhir/R4/measurereport.html>): groups, populations, stratifiers, scores.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::outcome::IssueType;

const fn wrong(message_id: &'static str) -> Rule {
    Rule::error(IssueType::BusinessRule, message_id)
}

const NO_MEASURE: Rule = Rule::information(IssueType::Required, "Measure_MR_M_None");
const NOT_IN_HAND: Rule = Rule::warning(IssueType::Required, "Measure_MR_M_NotFound");
const NO_USABLE_CODE: Rule = wrong("MEASURE_MR_GRP_NO_USABLE_CODE");
const WRONG_CODE: Rule = wrong("MEASURE_MR_GRP_NO_WRONG_CODE");
const GROUP_WITHOUT_CODE: Rule = wrong("MEASURE_MR_GRP_NO_CODE");
const GROUP_UNKNOWN: Rule = wrong("MEASURE_MR_GRP_UNK_CODE");
const GROUP_TWICE: Rule = wrong("MEASURE_MR_GRP_DUPL_CODE");
const MISSING: Rule = wrong("MEASURE_MR_GRP_MISSING_BY_CODE");
const PART_WITHOUT_CODE: Rule = wrong("MEASURE_MR_GRP_POP_NO_CODE");
const PART_UNKNOWN: Rule = wrong("MEASURE_MR_GRP_POP_UNK_CODE");
const PART_TWICE: Rule = wrong("MEASURE_MR_GRP_POP_DUPL_CODE");
const WRONG_COUNT: Rule = wrong("MEASURE_MR_GRP_POP_COUNT_MISMATCH");
const NO_SUBJECTS: Rule = wrong("MEASURE_MR_GRP_POP_NO_SUBJECTS");
const NO_COUNT: Rule = Rule::warning(IssueType::BusinessRule, "MEASURE_MR_GRP_POP_NO_COUNT");
const SCORE_OF_DATA: Rule = wrong("MEASURE_MR_SCORE_PROHIBITED_RT");
const SCORE_OF_COHORT: Rule = wrong("MEASURE_MR_SCORE_PROHIBITED_MS");
const NO_SCORE: Rule = Rule::error(IssueType::Required, "MEASURE_MR_SCORE_REQUIRED");
const NO_SCORE_VALUE: Rule = Rule::error(IssueType::Required, "MEASURE_MR_SCORE_VALUE_REQUIRED");
const SCORE_OUT_OF_RANGE: Rule = Rule::error(IssueType::Required, "MEASURE_MR_SCORE_VALUE_INVALID_01");
const SCORE_WITH_UNIT: Rule = wrong("MEASURE_MR_SCORE_UNIT_PROHIBITED");

/// Judges a MeasureReport by its Measure: contained, or in hand.
pub fn check(walk: &mut Walk<'_>, report: &Node, path: &Path<'_>) {
    let Some(url) = report.text("measure") else {
        return walk.report.add(NO_MEASURE, path, report, "The report names no measure, so it was not checked against one");
    };
    let measure = match url.strip_prefix('#') {
        Some(id) => report.items("contained").iter().find(|one| one.text("id") == Some(id)),
        None => walk.definitions.resource(url),
    };
    match measure.filter(|found| found.resource_type() == Some("Measure")) {
        Some(measure) => groups(walk, measure, report, path),
        None => walk.report.add(NOT_IN_HAND, path, report, "The measure is not in hand, so the report was not checked against it"),
    }
}

fn groups(walk: &mut Walk<'_>, measure: &Node, report: &Node, path: &Path<'_>) {
    let (asked, given) = (measure.items("group"), report.items("group"));
    let name = path.name("group");
    if let ([one], [group]) = (asked, given) {
        let at = name.index(0);
        if let (Some(code), Some(expected)) = (group.get("code"), one.get("code")) {
            let is_usable = code.items("coding").iter().any(|coding| coding.text("system").is_some() && coding.text("code").is_some());
            match (is_usable, shares_code(expected, code)) {
                (false, _) => walk.report.add(NO_USABLE_CODE, &at, group, "The group's code has no coding with a system and a code"),
                (true, false) => walk.report.add(WRONG_CODE, &at, group, "The group's code is not that of the measure's group"),
                (true, true) => {}
            }
        }
        return Group { measure, report, asked: one }.check(walk, group, &at);
    }
    let rules = Rules { without_code: GROUP_WITHOUT_CODE, unknown: GROUP_UNKNOWN, twice: GROUP_TWICE };
    let mut pairs = Vec::new();
    let met = pair(walk, asked, given, rules, &name, &mut pairs);
    for (index, one) in pairs {
        if let Some(group) = given.get(index) {
            Group { measure, report, asked: one }.check(walk, group, &name.index(index));
        }
    }
    if report.text("type") != Some("data-collection") {
        missing(walk, asked, &met, report, path);
    }
}

/// One group of a report and what the measure says of it.
struct Group<'n> {
    measure: &'n Node,
    report: &'n Node,
    asked: &'n Node,
}

impl Group<'_> {
    fn check(&self, walk: &mut Walk<'_>, group: &Node, path: &Path<'_>) {
        let rules = Rules { without_code: PART_WITHOUT_CODE, unknown: PART_UNKNOWN, twice: PART_TWICE };
        for part in ["population", "stratifier"] {
            let (asked, given) = (self.asked.items(part), group.items(part));
            let name = path.name(part);
            let mut pairs = Vec::new();
            let met = pair(walk, asked, given, rules, &name, &mut pairs);
            for (index, _) in pairs.into_iter().filter(|_| part == "population") {
                if let Some(population) = given.get(index) {
                    self.population(walk, population, &name.index(index));
                }
            }
            missing(walk, asked, &met, group, path);
        }
        self.score(walk, group, path);
    }

    fn population(&self, walk: &mut Walk<'_>, population: &Node, path: &Path<'_>) {
        let subjects = population.get("subjectResults").is_some();
        if self.report.text("type") == Some("subject-list") {
            let count = population.get("count").and_then(Node::as_number).and_then(|count| count.parse::<u64>().ok());
            if count.is_some_and(|count| count != u64::from(subjects)) {
                walk.report.add(WRONG_COUNT, path, population, "The count is not the number of subject results");
            }
            return;
        }
        if subjects {
            walk.report.add(NO_SUBJECTS, path, population, "Only a report of type subject-list has subject results");
        }
        if population.get("count").is_none() {
            walk.report.add(NO_COUNT, path, population, "The population should have a count");
        }
    }

    fn score(&self, walk: &mut Walk<'_>, group: &Node, path: &Path<'_>) {
        let scoring =
            self.measure.get("scoring").and_then(|scoring| scoring.items("coding").first()).and_then(|coding| coding.text("code"));
        let score = group.get("measureScore");
        let at = path.name("measureScore");
        match (self.report.text("type"), scoring.unwrap_or_default(), score) {
            (Some("data-collection"), _, Some(score)) => {
                walk.report.add(SCORE_OF_DATA, &at, score, "A report of collected data has no score")
            }
            (Some("data-collection"), ..) => {}
            (_, "cohort", Some(score)) => walk.report.add(SCORE_OF_COHORT, &at, score, "A cohort measure has no score"),
            (_, "proportion" | "ratio" | "continuous-variable", None) => {
                walk.report.add(NO_SCORE, path, group, "The measure's scoring asks for a score");
            }
            (_, kind @ ("proportion" | "ratio" | "continuous-variable"), Some(score)) => score_value(walk, kind, score, &at),
            _ => {}
        }
    }
}

fn score_value(walk: &mut Walk<'_>, kind: &str, score: &Node, path: &Path<'_>) {
    let Some(value) = score.get("value") else {
        if score.get("extension").is_none() {
            walk.report.add(NO_SCORE_VALUE, path, score, "The score must have a value");
        }
        return;
    };
    if kind != "proportion" {
        return;
    }
    for member in ["unit", "system", "code"] {
        if let Some(node) = score.get(member) {
            walk.report.add(SCORE_WITH_UNIT, &path.name(member), node, "The score of a proportion has no unit");
        }
    }
    let bounds = (Decimal::parse("0"), Decimal::parse("1"));
    let number = value.as_number().and_then(Decimal::parse);
    if let (Some(number), (Some(least), Some(greatest))) = (number, bounds)
        && (number < least || number > greatest)
    {
        walk.report.add(SCORE_OUT_OF_RANGE, &path.name("value"), value, "The score of a proportion lies between 0 and 1");
    }
}

/// What is said of parts that do not fit the measure's.
#[derive(Clone, Copy)]
struct Rules {
    without_code: Rule,
    unknown: Rule,
    twice: Rule,
}

/// Pairs the parts of a report with those of the measure by code, and says which of the measure's were met.
fn pair<'n>(
    walk: &mut Walk<'_>,
    asked: &'n [Node],
    given: &[Node],
    rules: Rules,
    name: &Path<'_>,
    pairs: &mut Vec<(usize, &'n Node)>,
) -> Vec<bool> {
    let mut met = vec![false; asked.len()];
    for (index, part) in given.iter().enumerate() {
        let at = name.index(index);
        let Some(code) = code_of(part) else {
            walk.report.add(rules.without_code, &at, part, "The part has no code, so it cannot be told which of the measure's it is");
            continue;
        };
        let found = asked.iter().position(|one| one.get("code").is_some_and(|expected| shares_code(expected, code)));
        match found.and_then(|found| Some((met.get_mut(found)?, asked.get(found)?))) {
            None => walk.report.add(rules.unknown, &at, part, "The measure has no part of this code"),
            Some((true, _)) => walk.report.add(rules.twice, &at, part, "Another part has the same code"),
            Some((met, one)) => {
                *met = true;
                pairs.push((index, one));
            }
        }
    }
    met
}

/// The code of a group, a population or a stratifier, which has a list of them.
fn code_of(part: &Node) -> Option<&Node> {
    part.items("code").first().or_else(|| part.get("code").filter(|code| code.as_object().is_some()))
}

fn missing(walk: &mut Walk<'_>, asked: &[Node], met: &[bool], holder: &Node, path: &Path<'_>) {
    for (one, _) in asked.iter().zip(met).filter(|(_, met)| !**met) {
        let Some(code) = one.get("code") else { continue };
        let is_observation = code.items("coding").iter().any(|coding| coding.text("code") == Some("measure-observation"));
        if !is_observation {
            walk.report.add(MISSING, path, holder, "A part that the measure defines is not there");
        }
    }
}

/// Whether two concepts share a coding, or, when neither has one, their text.
fn shares_code(expected: &Node, given: &Node) -> bool {
    let (expected_codings, given_codings) = (expected.items("coding"), given.items("coding"));
    if expected_codings.is_empty() && given_codings.is_empty() {
        return expected.text("text").is_some() && expected.text("text") == given.text("text");
    }
    let same = |one: &Node, other: &Node| one.text("system") == other.text("system") && one.text("code") == other.text("code");
    expected_codings.iter().any(|one| given_codings.iter().any(|other| same(one, other)))
}
