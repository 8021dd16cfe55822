//! What a profile asks of an element beyond its type (<https://hl7.org/fhir/R4/profiling.html>).

mod elements;
mod found;
mod types;

pub use found::{Found, find, items_at};

use super::canonicals;
use super::path::Path;
use super::references::Scope;
use super::report::{Report, Rule};
use super::structure::Walk;
use super::verdicts::Question;
use crate::definitions::profile::{DERIVATION_DEPTH_MAX, Incomplete, NodeId, Profile, ProfileNode};
use crate::fhir::Node;
use crate::fhir::types::TypeTable;
use crate::outcome::{Finding, IssueType, Severity};

const WRONG_TYPE: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_WrongType");
const UNKNOWN: Rule = Rule::warning(IssueType::NotFound, "VALIDATION_VAL_PROFILE_UNKNOWN_NOT_POLICY");
const NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "Validation_VAL_Unknown_Profile");
/// A profile of which only a part is known cannot be met as far as anybody knows; where it only tells things apart, it is said all the same.
const BASE_NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "Validation_VAL_Profile_NoSnapshot");
const CIRCLE: Rule = Rule::error(IssueType::Processing, "Circular_snapshot_references_detected_cannot_generate_snapshot__stack__");
const DERIVED_TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "DERIVATION_DEPTH_MAX");
const CONTRADICTORY: Rule = Rule::warning(IssueType::Processing, "PROFILE_CONTRADICTS_BASE");
const TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "PROFILE_DEPTH_MAX");

/// How many profiles may ask for one another around one element.
const PROFILE_DEPTH_MAX: usize = 32;

/// Where the definitions of FHIR's own types live.
pub const BASE_DEFINITIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// One profile being checked, and where.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub profile: &'a Profile,
    pub id: NodeId,
}

impl<'a> Asked<'a> {
    pub fn node(self) -> &'a ProfileNode {
        self.profile.node(self.id)
    }
}

/// Checks an element against a profile by canonical URL; one that is not in hand is said to be unchecked, at `stated_at`.
pub fn check_url(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>, stated_at: &Path<'_>) {
    if let Some(type_name) = base_type(walk.types, url).filter(|_| is_version(url, &walk.types.version)) {
        if !walk.types.is_kind_of(found.type_name(walk.types), type_name) {
            walk.report.add_at(WRONG_TYPE, path, found.offset(), format!("The type {type_name} is asked for here"));
        }
        return;
    }
    match walk.definitions.profile(url) {
        Some(profile) => check(walk, profile, found, scope, path),
        None if url.contains('#') && walk.definitions.profile_part(url).is_some() => check_part(walk, url, found, scope, path),
        None => {
            let text = unknown(walk, url);
            walk.report.add_at(UNKNOWN, stated_at, found.offset(), text)
        }
    }
}

/// Why a profile was not checked. One that is in hand in another version says nothing about this one.
fn unknown(walk: &Walk<'_>, url: &str) -> String {
    if version_in_hand(walk, url).is_some_and(|version| !is_version(url, version)) {
        return "A profile named here is in hand in another version only, so it was not checked".to_owned();
    }
    canonicals::absent(walk, url, "StructureDefinition", "it was not checked")
}

/// The version in hand of what a canonical URL names, be it a type or a profile.
fn version_in_hand<'w>(walk: &'w Walk<'_>, url: &str) -> Option<&'w str> {
    match base_type(walk.types, url) {
        Some(_) => Some(walk.types.version.as_str()),
        None => walk.definitions.structure_in_any_version(url).map(|structure| structure.version.as_str()),
    }
}

/// Whether a version is the one that a canonical URL asks for. None asked for is any, and `4.0` is every `4.0.x`.
fn is_version(url: &str, version: &str) -> bool {
    url.split_once('|').is_none_or(|(_, asked)| version.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Whether what a canonical URL asks for is in hand, be it a type, a profile or a part of one, in the version that it names.
pub fn is_in_hand(walk: &Walk<'_>, url: &str) -> bool {
    let is_type = || base_type(walk.types, url).is_some() && is_version(url, &walk.types.version);
    is_type() || walk.definitions.structure(url.split('#').next().unwrap_or(url)).is_some()
}

/// Checks a resource against a profile that was asked for; one that is not in hand is an error, since the question cannot be answered.
pub fn check_requested(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    if version_in_hand(walk, url).is_none_or(|version| !is_version(url, version)) {
        return walk.report.add_at(NOT_IN_HAND, path, found.offset(), format!("The profile {url} that was asked for is not in hand"));
    }
    check_url(walk, url, found, scope, path, path);
}

/// The type that the URL of one of FHIR's own definitions names, or that of a logical model.
pub fn base_type<'t>(types: &'t TypeTable, url: &str) -> Option<&'t str> {
    let url = url.split('|').next().unwrap_or(url);
    let definition = match url.strip_prefix(BASE_DEFINITIONS) {
        Some(name) => types.type_named(name),
        None => types.model(url),
    };
    definition.map(|definition| definition.name.as_str())
}

/// Checks an element against a profile.
pub fn check(walk: &mut Walk<'_>, profile: &Profile, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    asking(walk, profile, 0, found, path, |walk| {
        if !walk.types.is_kind_of(found.type_name(walk.types), &profile.type_name) {
            let text = format!("The profile {} is for {}, and this is none", profile.canonical(), profile.type_name);
            return walk.report.add_at(WRONG_TYPE, path, found.offset(), text);
        }
        wholeness(walk, profile, found, path);
        walk.report.contexts.push((profile.url.clone(), profile.version.clone()));
        elements::check(walk, Asked { profile, id: 0 }, found, scope, scope, path);
        for url in &profile.imposed {
            check_url(walk, url, found, scope, path, path);
        }
        walk.report.contexts.pop();
    });
}

/// Says what is not known of a profile, or cannot be met.
fn wholeness(walk: &mut Walk<'_>, profile: &Profile, found: Found<'_>, path: &Path<'_>) {
    if let Some(why) = &profile.incomplete {
        let (rule, why) = match why {
            Incomplete::NotInHand(base) => {
                let severity = if walk.profiles_open.len() == 1 { Severity::Error } else { Severity::Warning };
                (Rule { severity, ..BASE_NOT_IN_HAND }, format!("{base} is not in hand"))
            }
            Incomplete::Circle(base) => (CIRCLE, format!("it derives from itself, by way of {base}")),
            Incomplete::TooDeep => (DERIVED_TOO_DEEP, format!("more than {DERIVATION_DEPTH_MAX} profiles stand one on another")),
        };
        let text = format!("What the base of {} asks was not checked: {why}", profile.canonical());
        walk.report.add_at(rule, path, found.offset(), text);
    }
    if let Some(element) = &profile.contradiction {
        let text = format!("{} contradicts what it is based on at {element}, so no resource can meet it there", profile.canonical());
        walk.report.add_at(CONTRADICTORY, path, found.offset(), text);
    }
}

/// Checks an element against one element of a profile.
fn check_part(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let Some((profile, part)) = walk.definitions.profile_part(url) else { return };
    asking(walk, profile, part.last().copied().unwrap_or_default(), found, path, |walk| {
        walk.report.contexts.push((profile.url.clone(), profile.version.clone()));
        for id in part {
            elements::check(walk, Asked { profile, id }, found, scope, scope, path);
        }
        walk.report.contexts.pop();
    });
}

/// Asks whether an element meets a profile, or the part of it that a node begins. What is being asked already holds as far as anybody knows.
fn asking(walk: &mut Walk<'_>, profile: &Profile, part: NodeId, found: Found<'_>, path: &Path<'_>, ask: impl FnOnce(&mut Walk<'_>)) {
    let question = question(profile, part, found);
    let depth = walk.profiles_open.len();
    // Profiles that ask for each other around a circle of references hold when nothing else contradicts them.
    if let Some(open) = walk.profiles_open.iter().position(|open| *open == question) {
        return walk.verdicts.lean_on(open);
    }
    if depth == PROFILE_DEPTH_MAX {
        walk.verdicts.is_too_deep = true;
        let text = format!("Profiles ask for one another more than {PROFILE_DEPTH_MAX} levels deep; the rest was not checked");
        return walk.report.add_at(TOO_DEEP, path, found.offset(), text);
    }
    let (opened, before) = (walk.verdicts.open(), walk.report.errors_met());
    walk.profiles_open.push(question);
    ask(walk);
    walk.profiles_open.pop();
    let verdict = walk.report.errors_met() == before;
    walk.verdicts.close(question, opened, depth, verdict);
}

/// Says that profiles ask for one another too deep, where that was met only in finding out what meets them.
pub fn say_too_deep(walk: &mut Walk<'_>, resource: &Node, path: &Path<'_>) {
    if walk.verdicts.is_too_deep && !walk.report.has(&[TOO_DEEP.message_id]) {
        let rule = Rule { severity: Severity::Warning, ..TOO_DEEP };
        let text =
            format!("Profiles ask for one another more than {PROFILE_DEPTH_MAX} levels deep; what lies deeper counts as not meeting them");
        walk.report.add(rule, path, resource, text);
    }
}

fn question(profile: &Profile, part: NodeId, found: Found<'_>) -> Question {
    // Nodes are numbers within their profile, which is larger than there may be of them.
    let element = found.item.node.map_or(0, |node| std::ptr::from_ref(node).addr());
    (std::ptr::from_ref(profile).addr() ^ part.rotate_right(16), element, found.item.content.0)
}

/// Whether it was found out before that an element meets a profile.
pub fn is_known_to_conform(walk: &mut Walk<'_>, url: &str, found: Found<'_>) -> Option<bool> {
    let part = walk.definitions.profile_part(url).and_then(|(profile, part)| Some((profile, *part.last()?)));
    part.filter(|_| found.item.node.is_some()).and_then(|(profile, id)| walk.verdicts.of(question(profile, id, found)))
}

/// Whether an element meets a profile; what it breaks is not reported.
pub fn conforms(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) -> bool {
    is_known_to_conform(walk, url, found).unwrap_or_else(|| {
        walk.verdicts.trials += 1;
        let broken = trial(walk, |walk| check_url(walk, url, found, scope, path, path));
        walk.verdicts.trials -= 1;
        broken.iter().all(|finding| !finding.is_error())
    })
}

/// Does something and takes back what it reported.
fn trial(walk: &mut Walk<'_>, act: impl FnOnce(&mut Walk<'_>)) -> Vec<Finding> {
    let aside = Report::new(walk.options.findings_max);
    let kept = std::mem::replace(&mut walk.report, aside);
    act(walk);
    std::mem::replace(&mut walk.report, kept).done()
}
