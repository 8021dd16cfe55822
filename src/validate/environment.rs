//! What rules in FHIRPath may ask of the definitions.

use crate::definitions::{Definitions, Membership};
use crate::fhir::Node;
use crate::fhir::path::{Environment, Item, PathError};
use crate::fhir::types::TypeTable;

/// Answers from the definitions in hand.
pub struct Surroundings<'a> {
    pub definitions: &'a Definitions,
}

impl Environment for Surroundings<'_> {
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
}

impl Surroundings<'_> {
    fn coding(&self, coding: &Node, value_set: &str) -> Membership {
        let code = coding.text("code").unwrap_or_default();
        self.definitions.value_set_contains(value_set, Some(coding.text("system").unwrap_or_default()), code)
    }
}
