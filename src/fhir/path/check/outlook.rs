//! What an expression can yield, as far as that is known before it is evaluated.

use super::super::item::System;
use super::super::syntax::SystemType;
use crate::fhir::types::{ElementId, TypeTable};

/// What an expression can yield.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// `None` when it could be anything.
    pub kinds: Option<Vec<Kind>>,
    pub is_ordered: bool,
}

/// One kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values whose children are found under this element.
    Tree(ElementId),
    System(SystemType),
    /// Values whose children the model lists under this element of its own.
    Own(usize),
}

impl Outlook {
    pub fn unknown() -> Outlook {
        Outlook { kinds: None, is_ordered: true }
    }

    pub fn nothing() -> Outlook {
        Outlook { kinds: Some(Vec::new()), is_ordered: true }
    }

    pub fn of(kind: Kind) -> Outlook {
        Outlook { kinds: Some(vec![kind]), is_ordered: true }
    }

    pub fn system(kind: SystemType) -> Outlook {
        Outlook::of(Kind::System(kind))
    }

    pub fn literal(value: &System<'_>) -> Outlook {
        SystemType::named(value.type_name()).map_or_else(Outlook::unknown, Outlook::system)
    }

    /// The values of an element of the type table; anything where one of its types is not in the table.
    pub fn of_element(types: &TypeTable, id: ElementId) -> Outlook {
        let element = types.element(id);
        let count = if element.is_choice { element.types.len() } else { 1 };
        let is_open = |content: &ElementId| *content == id && element.children.is_empty();
        let contents: Vec<ElementId> = (0..count).map(|index| types.content(id, index)).collect();
        if contents.iter().any(is_open) {
            return Outlook::unknown();
        }
        Outlook { kinds: Some(contents.into_iter().map(Kind::Tree).collect()), is_ordered: true }
    }

    /// The values of a type by its name; anything where the table does not have it.
    pub fn of_type(types: &TypeTable, name: &str) -> Outlook {
        types.type_named(name).map_or_else(Outlook::unknown, |definition| Outlook::of(Kind::Tree(definition.root)))
    }

    /// What either may yield.
    pub fn or(mut self, other: Outlook) -> Outlook {
        self.kinds = match (self.kinds, other.kinds) {
            (Some(mut mine), Some(theirs)) => {
                for kind in theirs {
                    if !mine.contains(&kind) {
                        mine.push(kind);
                    }
                }
                Some(mine)
            }
            _ => None,
        };
        self.is_ordered &= other.is_ordered;
        self
    }
}
