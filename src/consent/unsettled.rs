//! A setting of which nobody could say what it is: what took place there is decided as if the setting told the worst.
//!
//! A permit may rest on a label as well as a denial, so neither a setting that tells nothing nor one that tells everything is the worst: each
//! sensitivity is tried by itself.

use super::code::Code;
use super::decision::{Decision, decide, explain, permits};
use super::facts::ResourceFacts;
use super::label::level;
use super::permitted::withholds_labels;
use super::request::Request;
use super::rules::Rules;
use super::screen::with_level;
use super::vocabulary::{ACT_CODE, Concept, sensitivities};

/// Why something is denied whose setting nobody could tell, where it would not be if the setting told nothing.
pub const SETTING_UNKNOWN: &str = "setting-unknown";

/// The sensitivity of v3-ActCode that stands for all of which 42 CFR Part 2 speaks.
const SUBSTANCE_USE: &str = "SUD";

/// Whether what a setting tells could change what is released of a resource, or what the law wants said with it.
pub fn turns_on_setting(rules: &Rules, request: &Request, facts: &ResourceFacts) -> bool {
    let plain = decide(rules, request, facts);
    let is_released = plain.is_permit() || plain.screen.as_ref().is_some_and(|screen| screen.permits_bare());
    match rules.reach.weighs_labels {
        false => is_released && !facts.tells_substance_use(),
        // Whoever is refused for another reason than the resource is refused whatever the resource is.
        true => is_released || (plain.screen.is_some() && tellings().any(|labels| permits(rules, request, &told(facts, labels)))),
    }
}

/// Whether what those tell who are named in a resource could change what is shown of it, by the decision on it.
pub fn turns_on_doers(decision: &Decision) -> bool {
    let is_released = decision.is_permit() || decision.screen.as_ref().is_some_and(|screen| screen.permits_bare());
    is_released && withholds_labels(decision)(&labels_of_worst_setting())
}

/// Decides on one resource whose setting is not known: a permit if it is one whatever the setting tells, and then with what the law wants said of
/// the worst. What is denied is denied whole.
pub fn decide_unsettled(rules: &Rules, request: &Request, facts: &ResourceFacts) -> Decision {
    unsettled(rules, request, facts, decide)
}

/// The same decision, with the account of every rule.
pub fn explain_unsettled(rules: &Rules, request: &Request, facts: &ResourceFacts) -> Decision {
    unsettled(rules, request, facts, explain)
}

fn unsettled(
    rules: &Rules,
    request: &Request,
    facts: &ResourceFacts,
    decide: impl Fn(&Rules, &Request, &ResourceFacts) -> Decision,
) -> Decision {
    if rules.reach.weighs_labels {
        let plain = decide(rules, request, facts);
        if !plain.is_permit() {
            return plain.on_the_whole();
        }
        if let Some(labels) = tellings().find(|labels| !permits(rules, request, &told(facts, labels.clone()))) {
            return decide(rules, request, &told(facts, labels)).because(SETTING_UNKNOWN).on_the_whole();
        }
    }
    decide(rules, request, &told(facts, telling(SUBSTANCE_USE)))
}

/// How what took place in an unknown setting is labelled: as restricted, for nobody knows more.
pub fn labels_of_unknown_setting() -> Vec<Concept> {
    vec![level("R")]
}

/// All that a setting may tell, together: whoever must not know one of it must not know of the setting.
pub fn labels_of_worst_setting() -> Vec<Concept> {
    tellings().flatten().collect()
}

/// What a setting may tell: each sensitivity, with the level that goes with it.
fn tellings() -> impl Iterator<Item = Vec<Concept>> {
    sensitivities().map(telling)
}

fn telling(sensitivity: &str) -> Vec<Concept> {
    with_level(vec![Concept::new(Code::new(ACT_CODE, sensitivity))])
}

fn told(facts: &ResourceFacts, labels: Vec<Concept>) -> ResourceFacts {
    let mut facts = facts.clone();
    facts.add_setting(labels);
    facts
}
