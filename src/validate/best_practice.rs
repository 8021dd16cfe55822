//! What the HL7 validator recommends beyond the definitions, where best practice is asked for.

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;

const NO_SUBJECT: Rule = Rule::warning(IssueType::Invalid, "All_observations_should_have_a_subject");
const NO_PERFORMER: Rule = Rule::warning(IssueType::Invalid, "All_observations_should_have_a_performer");
const NO_TIME: Rule = Rule::warning(IssueType::Invalid, "All_observations_should_have_an_effectiveDateTime_or_an_effectivePeriod");

/// An Observation says of whom it is, who made it and when.
pub fn check_observation(walk: &mut Walk<'_>, observation: &Node, path: &Path<'_>) {
    let Some(severity) = walk.options.best_practice else { return };
    let members = observation.as_object().map(Object::members).unwrap_or_default();
    let has = |start: &str| members.iter().any(|member| member.name.trim_start_matches('_').starts_with(start));
    for (is_there, rule, text) in [
        (has("subject"), NO_SUBJECT, "An Observation should say whom or what it is about (subject)"),
        (has("performer"), NO_PERFORMER, "An Observation should say who made it (performer)"),
        (has("effective"), NO_TIME, "An Observation should say when it holds (effective[x])"),
    ] {
        if !is_there {
            walk.report.add(Rule { severity, ..rule }, path, observation, text);
        }
    }
}
