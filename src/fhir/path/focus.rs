//! What an expression is evaluated on, and within which bounds.

use super::environment::{Alone, Environment};
use super::item::{Item, TreeItem};
use crate::fhir::node::Node;
use crate::fhir::temporal::DateTime;
use crate::fhir::types::TypeTable;

/// Bounds of one evaluation. Reaching one is an error, never a wrong answer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units of work: about one per node visited.
    pub steps: u64,
    /// Items in any collection.
    pub items: usize,
    /// Bytes of any text that is computed.
    pub text_bytes: usize,
}

/// Bounds when the caller sets none: seconds of work at most, far above what any published expression needs.
pub const DEFAULT_LIMITS: Limits = Limits { steps: 20_000_000, items: 2_000_000, text_bytes: 1 << 20 };

/// The place an expression is evaluated at.
#[derive(Clone)]
pub struct Focus<'d> {
    pub types: &'d TypeTable,
    /// `%context` and the first `$this`.
    pub context: Item<'d>,
    /// `%resource`: the resource the context is in.
    pub resource: &'d Node,
    /// `%rootResource`: the resource that contains that one, or the same.
    pub root_resource: &'d Node,
    /// The whole document: the Bundle that the root resource is an entry of, or the same. `resolve()` looks here.
    pub document: &'d Node,
    pub environment: &'d dyn Environment,
    /// What `now()` answers; without it, `now()` is an error.
    pub now: Option<DateTime>,
    pub limits: Limits,
}

impl<'d> Focus<'d> {
    /// A whole resource. `None` when the table has no resource types.
    pub fn resource(types: &'d TypeTable, node: &'d Node) -> Option<Focus<'d>> {
        let context = Item::Tree(TreeItem::resource(types, node)?);
        Some(Focus {
            types,
            context,
            resource: node,
            root_resource: node,
            document: node,
            environment: &Alone,
            now: None,
            limits: DEFAULT_LIMITS,
        })
    }

    /// The same surroundings with another context.
    #[must_use]
    pub fn at(&self, context: TreeItem<'d>) -> Focus<'d> {
        Focus { context: Item::Tree(context), ..self.clone() }
    }

    pub(super) fn resource_item(&self) -> Option<Item<'d>> {
        TreeItem::resource(self.types, self.resource).map(Item::Tree)
    }

    pub(super) fn root_resource_item(&self) -> Option<Item<'d>> {
        TreeItem::resource(self.types, self.root_resource).map(Item::Tree)
    }
}
