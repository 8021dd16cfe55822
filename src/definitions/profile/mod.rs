//! Profiles and extensions as a tree of what they ask beyond their type: sparse, so that checking a document visits only what is constrained.
//!
//! A snapshot is taken as it is. A differential is laid over the tree of its base, and that over its own, down to a snapshot or to the type:
//! what derived profiles state adds up, so no snapshot has to be generated first.

mod build;

pub use build::ONLY_RECOMMENDED;
use build::Rules;

use super::{Definitions, Invariant, ProfileElement, Structure};
use crate::fhir::Node;
use crate::fhir::path::{Expression, PathError};
use crate::fhir::types::ElementId;
use compact_str::CompactString;
use std::collections::HashMap;
use std::sync::OnceLock;

/// How many profiles may derive from one another.
pub const DERIVATION_DEPTH_MAX: usize = 32;

/// The index of a node in its [`Profile`].
pub type NodeId = usize;

/// A profile or extension, ready to be checked against.
#[derive(Debug)]
pub struct Profile {
    pub url: CompactString,
    pub version: CompactString,
    /// The type that is constrained.
    pub type_name: CompactString,
    /// The first is the root.
    nodes: Vec<ProfileNode>,
    /// Further profiles that it, or what it derives from, asks for.
    pub imposed: Vec<CompactString>,
    /// Why it is not whole.
    pub incomplete: Option<Incomplete>,
    /// The path of an element that cannot be as the profile and its base together ask.
    pub contradiction: Option<CompactString>,
}

/// Why not everything is known of what a profile derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomplete {
    /// The base of this URL is not in hand.
    NotInHand(CompactString),
    /// It derives from itself, by way of this URL.
    Circle(CompactString),
    /// More than [`DERIVATION_DEPTH_MAX`] profiles stand one on another.
    TooDeep,
}

/// What a profile asks of an element or of a slice of it.
#[derive(Debug, Default)]
pub struct ProfileNode {
    /// The path as definitions write it: `Observation.component.value[x]`.
    pub path: CompactString,
    /// Its last step without `[x]`.
    pub name: CompactString,
    pub slice_name: Option<CompactString>,
    /// What is asked; nothing of what the type asks already. `min` is 0 and `max` unbounded where the type is no wider.
    pub element: ProfileElement,
    pub children: Vec<NodeId>,
    /// Slices of this element, in order; slices of a slice are its own.
    pub slices: Vec<NodeId>,
    /// The same element in the type table, where the path leads to just one.
    pub base: Option<ElementId>,
    pub fixed: Option<Node>,
    pub pattern: Option<Node>,
    pub min_value: Option<Node>,
    pub max_value: Option<Node>,
    pub invariants: Vec<Invariant>,
    /// How slices are told apart; those that are understood of themselves (an extension's url, a choice's type) are given where none are stated.
    pub discriminators: Vec<SliceBy>,
    /// By what its slices are looked up, found out when it is first asked for.
    pub keys: OnceLock<SliceKeys>,
    /// Why its slices cannot be told apart, found out when it is first asked for.
    pub undecidable: OnceLock<Option<CompactString>>,
}

/// The slices of an element by their places, so that those which an item may be in are found without going through all.
#[derive(Debug, Default)]
pub struct SliceKeys {
    /// By the place of a discriminator, and a text that what it leads to must have.
    pub by_text: HashMap<(usize, CompactString), Vec<usize>>,
    /// Those that ask for no text.
    pub others: Vec<usize>,
}

/// One discriminator, ready for use.
#[derive(Debug)]
pub struct SliceBy {
    pub kind: SliceKind,
    /// The way to what is compared, as written: for the definition's side.
    pub path: CompactString,
    /// The same compiled: for the document's side.
    pub expression: Result<Expression, PathError>,
}

/// `ElementDefinition.slicing.discriminator.type`; `pattern` is `value` by another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SliceKind {
    Value,
    Exists,
    Type,
    Profile,
    Position,
}

impl Profile {
    /// The tree of a structure. `None` for a type of its own, which the type table has.
    pub fn of(definitions: &Definitions, structure: &Structure) -> Option<Profile> {
        structure.is_constraint.then(|| build::build(definitions, structure, Rules::Compiled))
    }

    /// The same without the rules that it states in FHIRPath: what a rule is called is kept for as long as the process lives, and anybody may send
    /// definitions to be judged.
    pub fn without_rules(definitions: &Definitions, structure: &Structure) -> Option<Profile> {
        structure.is_constraint.then(|| build::build(definitions, structure, Rules::LeftOut))
    }

    pub fn root(&self) -> &ProfileNode {
        self.node(0)
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by the profile that owns them, and it always has a root")]
    pub fn node(&self, id: NodeId) -> &ProfileNode {
        &self.nodes[id]
    }

    pub fn nodes(&self) -> &[ProfileNode] {
        &self.nodes
    }

    /// The child of a node by its name in paths (`value` for `value[x]`).
    pub fn child(&self, node: &ProfileNode, name: &str) -> Option<NodeId> {
        node.children.iter().copied().find(|&id| self.node(id).name == name)
    }

    /// What is asked of the element with an id (`Composition.section:plan`): of the element at all, and of the slice. Empty when it asks nothing of it.
    pub fn part(&self, id: &str) -> Vec<NodeId> {
        let mut part = vec![0];
        for step in id.split('.').skip(1) {
            let (name, slice) = step.split_once(':').map_or((step, None), |(name, slice)| (name, Some(slice)));
            let name = name.strip_suffix("[x]").unwrap_or(name);
            let Some(child) = part.iter().rev().find_map(|&id| self.child(self.node(id), name)) else { return Vec::new() };
            part = vec![child];
            if let Some(slice) = slice {
                let mut slices = self.node(child).slices.iter().copied();
                let Some(slice) = slices.find(|&id| self.node(id).slice_name.as_deref() == Some(slice)) else { return Vec::new() };
                part.push(slice);
            }
        }
        part
    }

    /// `url|version`, as findings name it.
    pub fn canonical(&self) -> String {
        if self.version.is_empty() { self.url.to_string() } else { format!("{}|{}", self.url, self.version) }
    }
}
