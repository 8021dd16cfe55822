//! Whether a definition says at all by what its slices are told apart (<https://hl7.org/fhir/R4/profiling.html#discriminator>).

use super::super::path::Path;
use super::super::profiles::{Asked, Found};
use super::super::report::Rule;
use super::super::structure::Walk;
use super::DEFAULT_SLICE;
use super::candidates::{Candidate, candidates, steps};
use crate::definitions::profile::{ProfileNode, SliceBy, SliceKind};
use crate::fhir::Node;
use crate::fhir::types::{BindingStrength, ElementId, TypeTable};
use crate::outcome::IssueType;
use compact_str::{CompactString, format_compact};

const CANNOT_BE_EVALUATED: Rule = Rule::error(IssueType::Processing, "SLICING_CANNOT_BE_EVALUATED");

/// Says at the first item why the items of an element cannot be sorted, if the definition is at fault.
pub fn is_undecidable(walk: &mut Walk<'_>, asked: Asked<'_>, all: &[Found<'_>], path: &Path<'_>) -> bool {
    let node = asked.node();
    let Some(why) = node.undecidable.get_or_init(|| fault(walk, asked)) else { return false };
    if let Some(first) = all.first() {
        let named = path.name(&node.name);
        let indexed = named.index(first.index.unwrap_or_default());
        let at = if first.index.is_some() { &indexed } else { &named };
        let text = format!("{}: the slicing of {} cannot be evaluated: {why}", node.path, asked.profile.canonical());
        walk.report.add_at(CANNOT_BE_EVALUATED, at, first.item.node.and_then(Node::place), text);
    }
    true
}

/// What keeps slices from being told apart. What hangs on definitions that may not be in hand is not judged.
pub fn fault(walk: &Walk<'_>, asked: Asked<'_>) -> Option<CompactString> {
    let by = asked.node().discriminators.as_slice();
    let slices = asked.node().slices.iter().map(|&id| Asked { id, ..asked });
    let mut named = slices.filter(|slice| slice.node().slice_name.as_deref() != Some(DEFAULT_SLICE));
    named.find_map(|slice| {
        let says: Vec<Says> = by.iter().map(|by| says(walk, slice, by)).collect();
        let astray = by.iter().zip(&says).find(|(_, says)| **says == Says::Astray);
        match astray {
            Some((by, _)) => Some(format_compact!("the discriminator {:?} leads to no element", by.path)),
            None if !says.is_empty() && says.iter().all(|says| *says == Says::Nothing) => {
                let name = slice.node().slice_name.as_deref().unwrap_or_default();
                let paths: Vec<&str> = by.iter().map(|by| by.path.as_str()).collect();
                Some(format_compact!("the slice {name} has no value, pattern, binding or existence at {}", paths.join(", ")))
            }
            None => None,
        }
    })
}

/// What a definition says of a discriminator in a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Something,
    Nothing,
    /// There is no such element, or the path cannot be read.
    Astray,
}

fn says(walk: &Walk<'_>, slice: Asked<'_>, by: &SliceBy) -> Says {
    if by.expression.is_err() {
        return Says::Astray;
    }
    if by.kind != SliceKind::Value || by.path.contains('(') || candidates(walk, slice, &by.path).iter().any(|one| asks(*one, slice)) {
        return Says::Something;
    }
    match reached(walk.types, slice.node(), &by.path) {
        Reached::Element(id) => {
            let element = walk.types.element(id);
            let is_bound = element.binding.as_ref().is_some_and(|binding| binding.strength == BindingStrength::Required);
            if element.min > 0 || is_bound { Says::Something } else { Says::Nothing }
        }
        Reached::Nothing => Says::Astray,
        Reached::Unknown => Says::Something,
    }
}

/// Elements that ask nothing are not in a profile's tree, but a slice always is.
fn asks(one: Candidate<'_>, slice: Asked<'_>) -> bool {
    let Candidate::Node(asked) = one else { return true };
    let node = asked.node();
    asked.id != slice.id
        || !(node.children.is_empty() && node.slices.is_empty() && node.invariants.is_empty() && node.element.types.is_empty())
        || node.element.binding.is_some()
        || node.fixed.is_some()
        || node.pattern.is_some()
}

/// Where a path leads in the type table.
enum Reached {
    Element(ElementId),
    Nothing,
    /// Types or profiles decide that are stated elsewhere.
    Unknown,
}

fn reached(types: &TypeTable, slice: &ProfileNode, path: &str) -> Reached {
    let Some(mut at) = slice.base.filter(|_| slice.element.types.iter().all(|one| one.profiles.is_empty())) else {
        return Reached::Unknown;
    };
    for step in steps(path).into_iter().filter(|step| *step != "$this") {
        let content = types.content(at, 0);
        let is_any = types.element(at).types.len() > 1 || matches!(types.element(content).path.as_str(), "Resource" | "DomainResource");
        let child = types.child_named(content, step.strip_suffix("[x]").unwrap_or(step));
        match child {
            Some(child) if !is_any => at = child,
            None if !is_any && types.member(content, step).is_none() => return Reached::Nothing,
            _ => return Reached::Unknown,
        }
    }
    Reached::Element(at)
}
