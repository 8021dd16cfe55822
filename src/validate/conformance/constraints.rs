//! The rules that the elements of a StructureDefinition state (`ElementDefinition.constraint`).
//!
//! A snapshot repeats the rules of what it derives from: a key may stand there often, always with the same expression. A differential states
//! rules of its own, under keys of their own. An expression that stands in both is judged in the snapshot.

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::elements::Listed;
use super::rules;
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::fhir::path::Model;
use crate::fhir::types::Constraint;
use crate::outcome::IssueType;
use std::collections::{HashMap, HashSet};

const DIFFERS: Rule = Rule::error(IssueType::Invalid, "ED_INVARIANT_EXPRESSION_CONFLICT");
const UNREADABLE: Rule = Rule::error(IssueType::Invalid, "ED_INVARIANT_EXPRESSION_ERROR");
const KEY_IN_USE: Rule = Rule::error(IssueType::Invalid, "ED_INVARIANT_KEY_ALREADY_USED");
const OTHER_SOURCE: Rule = Rule::error(IssueType::Invalid, "ED_INVARIANT_DIFF_NO_SOURCE");

/// How many definitions a definition is followed through to what it derives from.
const BASES_MAX: usize = 16;

/// What the rules of one differential or snapshot are judged by.
pub struct Judge<'n> {
    list: &'n Listed<'n>,
    model: Option<Model<'n>>,
    /// The expressions met so far, by the keys of their rules.
    met: HashMap<&'n str, &'n str>,
    /// For a differential: the keys and expressions of the rules in the snapshot beside it.
    in_snapshot: HashSet<(&'n str, &'n str)>,
    /// For a differential: the expressions of the rules of what it derives from, by key.
    of_bases: HashMap<&'n str, Vec<&'n str>>,
}

impl<'n> Judge<'n> {
    pub fn of(definitions: &'n Definitions, list: &'n Listed<'n>) -> Judge<'n> {
        let states_rules = list.elements.iter().any(|element| element.get("constraint").is_some());
        let is_differential = !list.is_snapshot && states_rules;
        Judge {
            list,
            model: rules::model_of(list),
            met: HashMap::new(),
            in_snapshot: if is_differential { in_snapshot(list.structure) } else { HashSet::new() },
            of_bases: if is_differential && list.is_constraint && !rules::is_of_other_release(definitions.types(), list.structure) {
                of_bases(definitions, list)
            } else {
                HashMap::new()
            },
        }
    }

    /// Judges the rules of one element.
    pub fn element(&mut self, walk: &mut Walk<'_>, element: &'n Node, path: &Path<'_>) {
        let name = path.name("constraint");
        for (index, constraint) in element.items("constraint").iter().enumerate() {
            let Some(key) = constraint.text("key") else { continue };
            let at = name.index(index);
            if !self.list.is_snapshot && !self.is_own(constraint) {
                walk.report.add(OTHER_SOURCE, &at, constraint, "The source of a rule in a differential must be the definition itself");
            }
            if let Some(expression) = constraint.text("expression") {
                self.key(walk, constraint, (key, expression), &at);
                self.expression(walk, element, constraint, (key, expression), &at);
            }
        }
    }

    /// A rule that is stated more than once is stated alike.
    fn key(&mut self, walk: &mut Walk<'_>, constraint: &Node, rule: (&'n str, &'n str), path: &Path<'_>) {
        let (key, expression) = rule;
        let is_met = self.met.insert(key, expression).is_some_and(|met| met != expression);
        let is_of_base = self.of_bases.get(key).is_some_and(|stated| !stated.contains(&expression));
        if key == "ele-1" || !is_met && !is_of_base {
            return;
        }
        match (self.list.is_snapshot, is_of_base) {
            (true, _) => {
                walk.report.add(DIFFERS, path, constraint, format!("Rule {key} is stated elsewhere with another expression"));
            }
            (false, true) => {
                walk.report.add(KEY_IN_USE, path, constraint, "What this derives from has another rule of this key");
            }
            (false, false) => walk.report.add(KEY_IN_USE, path, constraint, "Another rule here has this key"),
        }
    }

    /// The expression of a rule that the definition states itself can be evaluated on what the element is.
    fn expression(&self, walk: &mut Walk<'_>, element: &Node, constraint: &Node, rule: (&str, &str), path: &Path<'_>) {
        if !self.is_own(constraint) || self.in_snapshot.contains(&rule) {
            return;
        }
        let (key, expression) = rule;
        if let Err(error) = rules::of_element(walk.types, self.list, self.model.as_ref(), element, expression) {
            let text = format!("The expression of rule {key} cannot be used: {}", rules::reason(&error));
            // HL7's validator reads the rules of snapshots alone.
            let rule = walk.as_hl7_asks(UNREADABLE, self.list.is_snapshot);
            walk.report.add(rule, path, constraint, text);
        }
    }

    /// Whether a rule is the definition's own, by its `source`: none, the definition's URL, or that with its version.
    fn is_own(&self, constraint: &Node) -> bool {
        let Some(source) = constraint.text("source") else { return true };
        let (url, version) = source.split_once('|').map_or((source, None), |(url, version)| (url, Some(version)));
        self.list.structure.text("url") == Some(url) && version.is_none_or(|version| self.list.structure.text("version") == Some(version))
    }
}

fn in_snapshot(structure: &Node) -> HashSet<(&str, &str)> {
    let elements = structure.get("snapshot").map(|snapshot| snapshot.items("element")).unwrap_or_default();
    let constraints = elements.iter().flat_map(|element| element.items("constraint"));
    constraints.filter_map(|constraint| Some((constraint.text("key")?, constraint.text("expression")?))).collect()
}

/// The rules of the definitions that one derives from, and of its type, as far as they are in hand.
fn of_bases<'n>(definitions: &'n Definitions, list: &'n Listed<'n>) -> HashMap<&'n str, Vec<&'n str>> {
    let mut stated: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut add = |constraints: &'n [Constraint]| {
        for constraint in constraints {
            stated.entry(&constraint.key).or_default().push(&constraint.expression);
        }
    };
    let mut next = list.structure.text("baseDefinition");
    for _ in 0..BASES_MAX {
        let Some(base) = next.and_then(|url| definitions.structure(url)) else { break };
        base.elements.iter().for_each(|element| add(&element.constraints));
        next = base.base.as_deref();
    }
    let types = definitions.types();
    let mut pending: Vec<_> = types.type_named(list.type_name).map(|definition| definition.root).into_iter().collect();
    while let Some(id) = pending.pop() {
        let element = types.element(id);
        add(&element.constraints);
        pending.extend(&element.children);
    }
    stated
}
