//! What rules in FHIRPath may ask of the definitions.

use super::Options;
use super::exhausted::{Budget, DOCUMENT_STEPS_MAX};
use super::path::Path;
use super::profiles::{self, Found};
use super::references::Scope;
use super::structure::Walk;
use crate::definitions::{Definitions, Membership};
use crate::fhir::Node;
use crate::fhir::path::{Environment, Item, Limit, PathError, TreeItem};
use crate::fhir::temporal::DateTime;
use crate::fhir::types::TypeTable;
use std::collections::HashMap;
use std::rc::Rc;

/// Answers from the definitions in hand.
pub struct Surroundings<'a> {
    definitions: &'a Definitions,
    /// How many rules ask for profiles around this one.
    depth: usize,
    /// Resources beside the document, by the reference that names them.
    neighbours: Option<&'a HashMap<String, Node>>,
    /// The time that is now, for the rules of profiles that are asked for.
    now: Option<DateTime>,
    /// `%extension`, where a rule is about what an extension stands on.
    extension: Option<[Item<'a>; 1]>,
    /// What the document may still cost, whoever asks.
    budget: Rc<Budget>,
}

/// How often a rule may ask whether something meets a profile whose rules ask the same.
const CONFORMING_DEPTH_MAX: usize = 4;

impl<'a> Surroundings<'a> {
    /// Those of a question that stands alone.
    pub fn of(definitions: &'a Definitions, now: Option<DateTime>) -> Surroundings<'a> {
        Surroundings { definitions, depth: 0, neighbours: None, now, extension: None, budget: Rc::default() }
    }

    /// Those of a rule: with the resources beside the document, where references are followed.
    pub fn within(walk: &Walk<'a>, scope: &Scope<'a>) -> Surroundings<'a> {
        let (definitions, neighbours) = (walk.definitions, scope.neighbours);
        let budget = Rc::clone(&walk.budget);
        Surroundings { definitions, depth: walk.conforming, neighbours, now: walk.options.now, extension: None, budget }
    }

    /// The same for a rule about an extension and what it stands on.
    pub fn about(&self, extension: &'a Node) -> Surroundings<'a> {
        let content = self.definitions.types().type_named("Extension").map(|definition| definition.root);
        let itself = content.map(|content| [Item::Tree(TreeItem { node: Some(extension), sibling: None, content })]);
        Surroundings { extension: itself, budget: Rc::clone(&self.budget), ..*self }
    }
}

impl Environment for Surroundings<'_> {
    fn variable<'e>(&'e self, name: &str) -> Option<&'e [Item<'e>]> {
        self.extension.as_ref().filter(|_| name == "extension").map(<[Item<'_>; 1]>::as_slice)
    }

    fn resolve(&self, reference: &str) -> Option<&Node> {
        self.neighbours?.get(reference)
    }

    /// A question about codes that are not in hand cannot be answered; to answer "no" would be a false alarm.
    fn member_of(&self, types: &TypeTable, coded: &Item<'_>, value_set: &str) -> Result<Option<bool>, PathError> {
        let verdict = match (coded.type_name(types), coded.node()) {
            ("Coding" | "Quantity", Some(node)) => self.coding(node, value_set),
            ("CodeableConcept", Some(node)) => {
                node.items("coding").iter().map(|coding| self.coding(coding, value_set)).fold(Membership::NotMember, |so_far, one| {
                    match (&so_far, &one) {
                        (Membership::Member { .. }, _) | (Membership::Undecidable, Membership::NotMember) => so_far,
                        _ => one,
                    }
                })
            }
            _ => match coded.text() {
                Some(code) => self.definitions.value_set_contains(value_set, None, &code),
                None => return Ok(None),
            },
        };
        match verdict {
            Membership::Member { .. } => Ok(Some(true)),
            Membership::NotMember => Ok(Some(false)),
            Membership::Undecidable => Err(PathError::NotSupported { function: "memberOf" }),
        }
    }

    /// By the profile, where it is in hand: the item alone, without what stands around it.
    fn conforms_to(&self, types: &TypeTable, item: &Item<'_>, profile: &str) -> Result<Option<bool>, PathError> {
        let Some(asked) = self.definitions.profile(profile) else { return Ok(None) };
        let Item::Tree(place) = item else { return Ok(Some(false)) };
        let options = Options { now: self.now, ..Options::default() };
        let walk = Walk::new(self.definitions, &options).filter(|_| self.depth < CONFORMING_DEPTH_MAX);
        let (Some(mut walk), Some(node)) = (walk, place.node) else { return Err(PathError::NotSupported { function: "conformsTo" }) };
        walk.conforming = self.depth + 1;
        walk.budget = Rc::clone(&self.budget);
        let found = Found::root(*place);
        let scope = Scope::of(node, found.type_name(types), None, false);
        let is_its_type = types.is_kind_of(found.type_name(types), &asked.type_name);
        let is_met = is_its_type && profiles::conforms(&mut walk, profile, found, &scope, &Path::root(&asked.type_name));
        if is_met && walk.exhausted.has_unsaid() {
            return Err(PathError::Limit { limit: Limit::Steps, value: DOCUMENT_STEPS_MAX });
        }
        Ok(Some(is_met))
    }
}

impl Surroundings<'_> {
    fn coding(&self, coding: &Node, value_set: &str) -> Membership {
        let code = coding.text("code").unwrap_or_default();
        self.definitions.value_set_contains(value_set, Some(coding.text("system").unwrap_or_default()), code)
    }
}
