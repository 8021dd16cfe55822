//! MeasureReports beside the Measure they report (<https://hl7.org/fhir/R4/measurereport.html>): groups, populations, stratifiers, scores.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::extension;
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::outcome::IssueType;
use std::collections::HashMap;

const POPULATIONS: &str = "http://terminology.hl7.org/CodeSystem/measure-population";
/// Says in which unit a measure's score is.
const UNIT: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit";
/// Stands for a score that is no quantity.
const OTHER_SCORE: &str = "http://hl7.org/fhir/us/davinci-deqm/StructureDefinition/extension-alternateScoreType";

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

const SCORE_OF_OTHER_UNIT: Rule = Rule::error(IssueType::CodeInvalid, "MEASURE_MR_SCORE_FIXED");

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
        if let (Some(code), Some(_)) = (group.get("code"), one.get("code")) {
            let is_usable = code.items("coding").iter().any(|coding| coding.text("system").is_some() && coding.text("code").is_some());
            match (is_usable, ByCode::of(asked).find(code).is_some()) {
                (false, _) => walk.report.add(NO_USABLE_CODE, &at, group, "The group's code has no coding with a system and a code"),
                (true, false) => walk.report.add(WRONG_CODE, &at, group, "The group's code is not that of the measure's group"),
                (true, true) => {}
            }
        }
        return Group { measure, report, asked: one }.check(walk, group, &at);
    }
    let rules = Rules { without_code: GROUP_WITHOUT_CODE, unknown: GROUP_UNKNOWN, twice: GROUP_TWICE, by_text: false };
    let mut pairs = Vec::new();
    let met = pair(walk, asked, given, rules, &name, &mut pairs);
    for (index, one) in pairs {
        if let Some(group) = given.get(index) {
            Group { measure, report, asked: one }.check(walk, group, &name.index(index));
        }
    }
    if report.text("type") != Some("data-collection") {
        missing(walk, asked, &met, |_| false, report, path);
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
        for part in ["population", "stratifier"] {
            let rules = Rules { without_code: PART_WITHOUT_CODE, unknown: PART_UNKNOWN, twice: PART_TWICE, by_text: part == "stratifier" };
            let (asked, given) = (self.asked.items(part), group.items(part));
            let name = path.name(part);
            let mut pairs = Vec::new();
            let met = pair(walk, asked, given, rules, &name, &mut pairs);
            for (index, _) in pairs.into_iter().filter(|_| part == "population") {
                if let Some(population) = given.get(index) {
                    self.population(walk, population, &name.index(index));
                }
            }
            missing(walk, asked, &met, |one| part == "population" && is_observation(one), group, path);
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
            (_, kind @ ("proportion" | "ratio" | "continuous-variable"), Some(score)) => score_value(walk, kind, self.measure, score, &at),
            _ => {}
        }
    }
}

fn score_value(walk: &mut Walk<'_>, kind: &str, measure: &Node, score: &Node, path: &Path<'_>) {
    let Some(value) = score.get("value").or_else(|| extension(score, OTHER_SCORE)) else {
        return walk.report.add(NO_SCORE_VALUE, path, score, "The score must have a value");
    };
    if kind != "proportion" {
        return unit(walk, measure, score, path);
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

/// A measure may say in which unit its score is.
fn unit(walk: &mut Walk<'_>, measure: &Node, score: &Node, path: &Path<'_>) {
    let Some(asked) = extension(measure, UNIT) else { return };
    let text = "The score must be in the unit that the measure states";
    match score.get("code") {
        None => walk.report.add(SCORE_OF_OTHER_UNIT, path, score, text),
        Some(code) if code.as_text() != asked.text("code") => walk.report.add(SCORE_OF_OTHER_UNIT, &path.name("code"), code, text),
        Some(_) if score.text("system").is_some_and(|system| asked.text("system") != Some(system)) => {
            walk.report.add(SCORE_OF_OTHER_UNIT, path, score, text);
        }
        Some(_) => {}
    }
}

/// What is said of parts that do not fit the measure's.
#[derive(Clone, Copy)]
struct Rules {
    without_code: Rule,
    unknown: Rule,
    twice: Rule,
    /// Whether parts without a coding are told apart by their text.
    by_text: bool,
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
    let by_code = ByCode::of(asked);
    for (index, part) in given.iter().enumerate() {
        let at = name.index(index);
        let Some(code) = code_of(part) else {
            walk.report.add(rules.without_code, &at, part, "The part has no code, so it cannot be told which of the measure's it is");
            continue;
        };
        let found = by_code.find(code).filter(|_| rules.by_text || !code.items("coding").is_empty());
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

/// Says which parts of the measure were not met; one without a code is met by none.
fn missing(walk: &mut Walk<'_>, asked: &[Node], met: &[bool], is_excused: impl Fn(&Node) -> bool, holder: &Node, path: &Path<'_>) {
    for (one, _) in asked.iter().zip(met).filter(|(_, met)| !**met) {
        if !is_excused(one) {
            walk.report.add(MISSING, path, holder, "A part that the measure defines is not there");
        }
    }
}

/// Whether a population is what is observed of others, which a report need not count.
fn is_observation(population: &Node) -> bool {
    let codings = population.get("code").map(|code| code.items("coding")).unwrap_or_default();
    codings.iter().any(|coding| key(coding) == [Some(POPULATIONS), Some("measure-observation")])
}

/// The places of a measure's parts by what they are told apart by, the first of each.
#[derive(Default)]
struct ByCode<'n> {
    /// By system and code.
    codings: HashMap<[Option<&'n str>; 2], usize>,
    /// Those without a coding by their text.
    texts: HashMap<&'n str, usize>,
}

impl<'n> ByCode<'n> {
    fn of(parts: &'n [Node]) -> ByCode<'n> {
        let mut by_code = ByCode::default();
        for (place, code) in parts.iter().enumerate().filter_map(|(place, part)| Some((place, part.get("code")?))) {
            let codings = code.items("coding");
            for coding in codings {
                by_code.codings.entry(key(coding)).or_insert(place);
            }
            if let Some(text) = code.text("text").filter(|_| codings.is_empty()) {
                by_code.texts.entry(text).or_insert(place);
            }
        }
        by_code
    }

    /// The first part that shares a coding, or, where neither has one, the text.
    fn find(&self, code: &Node) -> Option<usize> {
        match code.items("coding") {
            [] => self.texts.get(code.text("text")?).copied(),
            codings => codings.iter().filter_map(|coding| self.codings.get(&key(coding)).copied()).min(),
        }
    }
}

fn key(coding: &Node) -> [Option<&str>; 2] {
    [coding.text("system"), coding.text("code")]
}
