//! What a laid tree asks beyond its type: the rest is taken away, so that checking a document visits only what is constrained.

use super::super::super::{Definitions, ProfileType, without_version};
use super::super::{NodeId, SliceBy, SliceKind};
use super::{ONLY_RECOMMENDED, Tree};
use crate::fhir::path::Expression;
use crate::fhir::types::{Binding, BindingStrength, Element, UNBOUNDED};

impl Tree<'_> {
    /// Takes away what the type asks already, and the nodes that then ask nothing.
    pub fn finish(&mut self, definitions: &Definitions) {
        for id in 0..self.nodes.len() {
            let types = self.types;
            let node = self.node_mut(id);
            let Some(base) = node.base.map(|base| types.element(base)) else { continue };
            if node.slice_name.is_none() {
                node.element.min = if node.element.min <= base.min { 0 } else { node.element.min };
                node.element.max = if node.element.max >= base.max { UNBOUNDED } else { node.element.max };
            }
            if let Some(binding) = node.element.binding.as_mut().filter(|binding| without_version(&binding.value_set) == ONLY_RECOMMENDED) {
                binding.strength = BindingStrength::Extensible;
            }
            let same_binding = |one: &Binding| {
                base.binding.as_ref().is_some_and(|other| {
                    other.strength == one.strength
                        && definitions.is_same_value_set(&other.value_set, &one.value_set)
                        && one.further.iter().all(|further| other.further.contains(further))
                })
            };
            if node.element.binding.as_ref().is_some_and(same_binding) {
                node.element.binding = None;
            }
            if says_as_much(&node.element.types, base) {
                node.element.types.clear();
            }
        }
        for id in 0..self.nodes.len() {
            if !self.node(id).slices.is_empty() {
                self.node_mut(id).discriminators = self.discriminators(id);
            }
        }
        // Children come after their parents, so that going backwards meets the leaves first.
        for id in (0..self.nodes.len()).rev() {
            let kept: Vec<NodeId> = self.node(id).children.iter().copied().filter(|&child| !self.asks_nothing(child)).collect();
            self.node_mut(id).children = kept;
        }
    }

    fn discriminators(&self, id: NodeId) -> Vec<SliceBy> {
        let node = self.node(id);
        let stated = node.element.slicing.as_ref().map(|slicing| slicing.discriminators.as_slice()).unwrap_or_default();
        let slice = |kind: SliceKind, path: &str| {
            // Some definitions write the choice's brackets into the path, which FHIRPath does not know.
            let expression = Expression::compile(&path.replace("[x]", ""), self.types);
            SliceBy { kind, path: path.into(), expression }
        };
        if stated.is_empty() && matches!(node.name.as_str(), "extension" | "modifierExtension") {
            return vec![slice(SliceKind::Value, "url")];
        }
        if stated.is_empty() && node.base.is_some_and(|base| self.types.element(base).is_choice) {
            return vec![slice(SliceKind::Type, "$this")];
        }
        let known = stated.iter().filter_map(|one| {
            let kind = match one.kind.as_str() {
                "value" | "pattern" => SliceKind::Value,
                "exists" => SliceKind::Exists,
                "type" => SliceKind::Type,
                "profile" => SliceKind::Profile,
                "position" => SliceKind::Position,
                _ => return None,
            };
            Some(slice(kind, &one.path))
        });
        known.collect()
    }

    fn asks_nothing(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let element = &node.element;
        node.children.is_empty()
            && node.slices.is_empty()
            && node.invariants.is_empty()
            && [&node.fixed, &node.pattern, &node.min_value, &node.max_value].iter().all(|value| value.is_none())
            && (element.min, element.max) == (0, UNBOUNDED)
            && element.types.is_empty()
            && element.binding.is_none()
            && element.max_length.is_none()
            && element.controls.is_empty()
            && element.slicing.as_ref().is_none_or(|slicing| slicing.rules != "closed")
    }
}

/// Whether the types given are those of the type table, without profiles. Types of targets are compared by name.
fn says_as_much(stated: &[ProfileType], base: &Element) -> bool {
    stated.len() == base.types.len()
        && stated.iter().zip(&base.types).all(|(one, other)| {
            let names: Vec<&str> =
                one.target_profiles.iter().map(|url| url.rsplit('/').next().unwrap_or(url)).filter(|name| *name != "Resource").collect();
            one.code == other.code
                && one.profiles.iter().all(|profile| Some(profile) == other.profile.as_ref())
                && one.aggregation.is_empty()
                && one.target_profiles.iter().all(|url| url.starts_with("http://hl7.org/fhir/StructureDefinition/"))
                && names.len() == other.targets.len()
                && names.iter().all(|name| other.targets.iter().any(|target| target == name))
        })
}
