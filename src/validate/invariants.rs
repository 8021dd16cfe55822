//! The rules that definitions state in FHIRPath (<https://hl7.org/fhir/R4/conformance-rules.html#constraints>), evaluated where they apply.

use super::environment::Surroundings;
use super::exhausted::{DOCUMENT_STEPS_MAX, GIVEN_UP, give_up};
use super::path::Path;
use super::references::Scope;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::Invariant;
use crate::fhir::Node;
use crate::fhir::path::{DEFAULT_LIMITS, Focus, Item, Limit, Limits, PathError, TreeItem};
use crate::fhir::types::ElementId;
use crate::outcome::{IssueType, Severity};
use std::fmt::Display;

/// Units of work that one rule may cost on one element. The costliest published rule takes some thousands on a large resource.
const STEPS_MAX: u64 = 2_000_000;

const UNREADABLE: Rule = Rule::error(IssueType::Invariant, "PROBLEM_PROCESSING_EXPRESSION__IN_PROFILE__PATH__");
const NOT_EVALUATED: Rule = Rule::information(IssueType::NotSupported, "INV_NOT_EVALUATED");

/// Evaluates the rules that the type table states for an element: where it is used, and as its type.
pub fn check(walk: &mut Walk<'_>, used: Option<ElementId>, place: TreeItem<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let definitions = walk.definitions;
    for id in used.filter(|used| *used != place.content).into_iter().chain([place.content]) {
        for rule in definitions.invariants(id) {
            one(walk, rule, place, scope, path);
        }
    }
}

/// That a resource should have a narrative, which is asked of none that another contains: "Contained resources do not have narrative".
const HAS_NARRATIVE: &str = "dom-6";

/// How the rules begin that ask of a definition what its name is made of, in words and where these are not in hand.
const NAME_IS_IDENTIFIER: [&str; 2] = ["Name should be usable as an identifier", "name.matches("];

/// Evaluates one rule.
pub fn one(walk: &mut Walk<'_>, rule: &Invariant, place: TreeItem<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    if rule.key == HAS_NARRATIVE && !std::ptr::eq(scope.resource, scope.container) {
        return;
    }
    let Some(broken) = broken(walk, rule).filter(|_| !lacks_name(walk, rule, place)) else { return };
    let surroundings = Surroundings::within(walk, scope);
    let steps = STEPS_MAX.min(walk.budget.steps_left());
    let focus = Focus {
        types: walk.types,
        context: Item::Tree(place),
        resource: scope.resource,
        root_resource: scope.container,
        document: scope.document,
        environment: &surroundings,
        now: walk.options.now,
        limits: Limits { steps, ..DEFAULT_LIMITS },
    };
    if walk.exhausted.is_given_up(rule.id) {
        return give_up(walk, NOT_EVALUATED, path, offset(place), not_evaluated(rule, &GIVEN_UP));
    }
    let (held, cost) = match &rule.expression {
        Ok(expression) => expression.truth_and_cost(&focus),
        Err(error) => (Err(error.clone()), 0),
    };
    walk.budget.spend(cost);
    walk.exhausted.note(rule.id, &held);
    match held {
        Ok(true) => {}
        Ok(false) => {
            walk.report.add_at(broken, path, offset(place), format!("Rule {} does not hold: {}", rule.key, rule.text));
        }
        Err(PathError::Limit { limit: Limit::Steps, .. }) if steps < STEPS_MAX => {
            let why = format!("the rules of this document cost more than {DOCUMENT_STEPS_MAX} steps");
            give_up(walk, NOT_EVALUATED, path, offset(place), not_evaluated(rule, &why));
        }
        Err(error @ PathError::Limit { .. }) => give_up(walk, NOT_EVALUATED, path, offset(place), not_evaluated(rule, &error)),
        Err(error) if is_unreadable(&error) => {
            walk.report.add_at(
                UNREADABLE,
                path,
                offset(place),
                format!("Rule {} is no FHIRPath, so nothing can meet it: {error}", rule.key),
            );
        }
        Err(error) if breaks_off(&error) => {
            let text = format!("Rule {} does not hold: it breaks off, for {error}", rule.key);
            walk.report.add_at(broken, path, offset(place), text);
        }
        Err(error) => walk.report.add_at(NOT_EVALUATED, path, offset(place), not_evaluated(rule, &error)),
    }
}

/// Whether a rule asks how a name is made where there is none: HL7's validator reads it as asking that of a name that is there.
fn lacks_name(walk: &Walk<'_>, rule: &Invariant, place: TreeItem<'_>) -> bool {
    let is_of_name = || !rule.is_error && NAME_IS_IDENTIFIER.iter().any(|start| rule.text.starts_with(start));
    walk.options.as_hl7 && is_of_name() && place.node.is_some_and(|node| node.get("name").is_none())
}

fn not_evaluated(rule: &Invariant, why: &dyn Display) -> String {
    format!("Rule {} could not be evaluated: {why}", rule.key)
}

/// What is found where a rule does not hold; none for best practice that is not asked for.
fn broken(walk: &Walk<'_>, rule: &Invariant) -> Option<Rule> {
    let severity = match (rule.best_practice, rule.is_error) {
        (true, _) => walk.options.best_practice?,
        (false, true) => Severity::Error,
        (false, false) => Severity::Warning,
    };
    Some(Rule { severity, code: IssueType::Invariant, message_id: rule.id })
}

/// Whether an expression is one that no document can meet: it is not FHIRPath, or not as its functions are called.
fn is_unreadable(error: &PathError) -> bool {
    matches!(error, PathError::Syntax { .. } | PathError::UnknownFunction { .. } | PathError::Arguments { .. })
}

/// Whether it was the document that made the evaluation end: a rule must come out true, and so did not. Published rules ask `telecom or endpoint` of
/// lists, where HL7's engine takes any items for true; what FHIRPath itself makes of them is not held against the document.
fn breaks_off(error: &PathError) -> bool {
    match error {
        PathError::NotSingle { operation } => !matches!(*operation, "and" | "or" | "xor" | "implies" | "not"),
        PathError::WrongType { .. } | PathError::Pattern => true,
        _ => false,
    }
}

fn offset(place: TreeItem<'_>) -> Option<u32> {
    place.node.and_then(Node::place)
}
