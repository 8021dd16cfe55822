//! ConceptMaps: the codes they map and map to, beside the systems and value sets they name (<https://hl7.org/fhir/R4/conceptmap.html>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::choice;
use crate::definitions::{Content, Membership, Standing};
use crate::fhir::Node;
use crate::outcome::{IssueType, Severity};

const SOURCE_MISSING: Rule = Rule::warning(IssueType::Required, "CONCEPTMAP_GROUP_SOURCE_MISSING");
const TARGET_MISSING: Rule = Rule::warning(IssueType::Required, "CONCEPTMAP_GROUP_TARGET_MISSING");
const SOURCE_UNKNOWN: Rule = Rule::warning(IssueType::NotFound, "CONCEPTMAP_GROUP_SOURCE_UNKNOWN");
const TARGET_UNKNOWN: Rule = Rule::warning(IssueType::NotFound, "CONCEPTMAP_GROUP_TARGET_UNKNOWN");
const SOURCE_CODE: Rule = Rule::error(IssueType::Required, "CONCEPTMAP_GROUP_SOURCE_CODE_INVALID");
const TARGET_CODE: Rule = Rule::error(IssueType::Required, "CONCEPTMAP_GROUP_TARGET_CODE_INVALID");
const SOURCE_DISPLAY: Rule = Rule::warning(IssueType::Required, "CONCEPTMAP_GROUP_SOURCE_DISPLAY_INVALID");
const TARGET_DISPLAY: Rule = Rule::warning(IssueType::Required, "CONCEPTMAP_GROUP_TARGET_DISPLAY_INVALID");
const SOURCE_NOT_IN_SET: Rule = Rule::error(IssueType::Required, "CONCEPTMAP_GROUP_SOURCE_CODE_INVALID_VS");
const TARGET_NOT_IN_SET: Rule = Rule::error(IssueType::Required, "CONCEPTMAP_GROUP_TARGET_CODE_INVALID_VS");
const SOURCE_INCOMPLETE: Rule = Rule::warning(IssueType::NotFound, "CONCEPTMAP_GROUP_SOURCE_INCOMPLETE");
const TARGET_INCOMPLETE: Rule = Rule::warning(IssueType::NotFound, "CONCEPTMAP_GROUP_TARGET_INCOMPLETE");
const OUTSIDE: Rule = Rule::error(IssueType::BusinessRule, "CONCEPTMAP_VS_INVALID_CONCEPT_CODE");
const OUTSIDE_UNKNOWN: Rule = Rule::warning(IssueType::BusinessRule, "CONCEPTMAP_VS_CONCEPT_CODE_UNKNOWN_SYSTEM");
const OUTSIDE_UNKNOWN_VERSION: Rule = Rule::warning(IssueType::BusinessRule, "CONCEPTMAP_VS_CONCEPT_CODE_UNKNOWN_SYSTEM_VERSION");
const TOO_MANY_OUTSIDE: Rule = Rule::information(IssueType::BusinessRule, "CONCEPTMAP_VS_TOO_MANY_CODES");
const NO_VALUE_SET: Rule = Rule::error(IssueType::Invalid, "CONCEPTMAP_VS_NOT_A_VS");

/// Of how many codes whose systems are not whole in hand it is asked whether the value set of the map has them.
const CODES_ASKED_MAX: usize = 500;

/// Systems that no package holds, and every terminology server has in some version.
const SERVED: [&str; 2] = ["http://loinc.org", "http://snomed.info/sct"];

/// One side of a group: its system, the value set the map names for that side, and the rules its codes may break.
#[derive(Clone, Copy)]
struct Side<'n> {
    system: &'n str,
    /// The version of it that the group names.
    version: Option<&'n str>,
    set: Option<&'n str>,
    /// Whether the whole system is in hand. Where it is not, its codes are those that the value set of the map has.
    is_whole: bool,
    /// Whether a code outside of that value set is surely wrong: a part of the system is in hand, or its codes are known everywhere.
    is_known: bool,
    code: Rule,
    display: Rule,
    not_in_set: Rule,
}

/// Judges a ConceptMap.
pub fn check(walk: &mut Walk<'_>, map: &Node, path: &Path<'_>) {
    let sets = ["source", "target"].map(|name| value_set(walk, map, name, path));
    let is_too_many = codes_asked(walk, map, sets) > CODES_ASKED_MAX;
    if is_too_many {
        let text = format!(
            "More than {CODES_ASKED_MAX} codes are of systems that are not whole in hand, so they were not looked for in value sets"
        );
        walk.report.add(TOO_MANY_OUTSIDE, path, map, text);
    }
    // What is whole in hand is looked up all the same: that asks nothing but what is here.
    let looked_for = |side: Side<'_>| side.is_whole || !is_too_many;
    let name = path.name("group");
    for (index, group) in map.items("group").iter().enumerate() {
        let at = name.index(index);
        let [source_set, target_set] = sets;
        let source = side(walk, group, ("source", [SOURCE_MISSING, SOURCE_UNKNOWN, SOURCE_INCOMPLETE]), source_set, &at);
        let target = side(walk, group, ("target", [TARGET_MISSING, TARGET_UNKNOWN, TARGET_INCOMPLETE]), target_set, &at);
        let [source, target] = [source, target].map(|side| side.map(|side| Side { set: side.set.filter(|_| looked_for(side)), ..side }));
        let source = source.map(|side| Side { code: SOURCE_CODE, display: SOURCE_DISPLAY, not_in_set: SOURCE_NOT_IN_SET, ..side });
        elements(walk, group, source, target, &at);
    }
}

/// The value set that a map is from or to; one that names something else is refused.
fn value_set<'n>(walk: &mut Walk<'_>, map: &'n Node, name: &str, path: &Path<'_>) -> Option<&'n str> {
    let (node, _) = choice(map, name)?;
    let url = node.as_text()?;
    let definitions = walk.definitions;
    let is_other = definitions.value_set(url).is_none() && (definitions.code_system(url).is_some() || definitions.structure(url).is_some());
    if is_other {
        walk.report.add(NO_VALUE_SET, &path.name(name), node, "A map is from and to value sets, and what is named here is none");
    }
    Some(url)
}

fn side<'n>(
    walk: &mut Walk<'_>,
    group: &'n Node,
    (name, [missing, unknown, incomplete]): (&str, [Rule; 3]),
    set: Option<&'n str>,
    path: &Path<'_>,
) -> Option<Side<'n>> {
    let Some(system) = group.text(name) else {
        walk.report.add(missing, path, group, format!("The group should say which system its {name} codes are of"));
        return None;
    };
    let version = group.text(&format!("{name}Version"));
    if version.is_some_and(|version| walk.definitions.lacks_system_version(system, version)) {
        let text = "The code system is in hand in another version only, so its codes were not checked";
        walk.report.add(unknown, &path.name(name), group, text);
        return None;
    }
    let found = walk.definitions.code_system(system);
    if found.is_none() && walk.options.report_undecided {
        walk.report.add(unknown, &path.name(name), group, "The code system is not in hand, so its codes were not checked");
    }
    let is_part = found.is_some_and(|found| matches!(found.content, Content::Fragment | Content::Example));
    if is_part {
        walk.report.add(incomplete, &path.name(name), group, "Only a part of the code system is in hand, so its codes were not checked");
    }
    let is_whole = is_whole(walk, system);
    let is_known = is_part || version.is_none() && SERVED.contains(&system);
    Some(Side { system, version, set, is_whole, is_known, code: TARGET_CODE, display: TARGET_DISPLAY, not_in_set: TARGET_NOT_IN_SET })
}

fn is_whole(walk: &Walk<'_>, system: &str) -> bool {
    walk.definitions.code_system(system).is_some_and(|found| found.content == Content::Complete)
}

/// How many codes are asked for in value sets, because their systems are not whole in hand.
fn codes_asked(walk: &Walk<'_>, map: &Node, [source, target]: [Option<&str>; 2]) -> usize {
    let is_asked = |group: &Node, name: &str| group.text(name).is_some_and(|system| !is_whole(walk, system));
    let of_group = |group: &Node| {
        let elements = group.items("element");
        let sources = if source.is_some() && is_asked(group, "source") { elements.len() } else { 0 };
        let targets =
            if target.is_some() && is_asked(group, "target") { elements.iter().map(|one| one.items("target").len()).sum() } else { 0 };
        sources + targets
    };
    map.items("group").iter().map(of_group).sum()
}

fn elements(walk: &mut Walk<'_>, group: &Node, source: Option<Side<'_>>, target: Option<Side<'_>>, path: &Path<'_>) {
    let name = path.name("element");
    for (index, element) in group.items("element").iter().enumerate() {
        let at = name.index(index);
        if let Some(source) = source {
            code(walk, element, source, &at);
        }
        let Some(target) = target else { continue };
        let name = at.name("target");
        for (index, one) in element.items("target").iter().enumerate() {
            code(walk, one, target, &name.index(index));
        }
    }
}

fn code(walk: &mut Walk<'_>, node: &Node, side: Side<'_>, path: &Path<'_>) {
    let Some(code) = node.text("code") else { return };
    let definitions = walk.definitions;
    let at = path.name("code");
    match definitions.standing_in(side.system, side.version, code) {
        Standing::Absent => {
            let severity = if side.is_whole { Severity::Error } else { Severity::Warning };
            walk.report.add(Rule { severity, ..side.code }, &at, node, "The system, as it is in hand, does not have this code");
        }
        _ if !side.is_whole => outside(walk, code, node, side, &at),
        Standing::Known { display, .. } => {
            let given = node.text("display");
            let names = definitions.designations(side.system, side.version, code);
            let is_name =
                |given: &str| display.is_none_or(|name| name.eq_ignore_ascii_case(given)) || names.iter().any(|one| one.1 == given);
            if given.is_some_and(|given| !is_name(given)) {
                walk.report.add(side.display, &at, node, "The display is not that of the code in its system");
            }
            let outside = |set: &&str| definitions.value_set_contains(set, Some(side.system), code) == Membership::NotMember;
            if side.set.filter(outside).is_some() {
                walk.report.add(side.not_in_set, &at, node, "The code is not in the value set that the map names");
            }
        }
        _ => {}
    }
}

/// A code of a system that is not whole in hand is one of the value set that the map names.
fn outside(walk: &mut Walk<'_>, code: &str, node: &Node, side: Side<'_>, path: &Path<'_>) {
    let Some(set) = side.set else { return };
    if walk.definitions.value_set_contains(set, Some(side.system), code) == Membership::NotMember {
        let rule = match side.version {
            _ if side.is_known => OUTSIDE,
            Some(_) => OUTSIDE_UNKNOWN_VERSION,
            None => OUTSIDE_UNKNOWN,
        };
        walk.report.add(rule, path, node, "The value set that the map names does not have this code");
    }
}
