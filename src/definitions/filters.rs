//! The filters of a value set's composition over a code system in hand (<https://hl7.org/fhir/R4/valueset-filter-operator.html>).

use super::{CodeSystem, Filter, SystemConcept};
use crate::fhir::regular::{self, Refusal};
use regex::{Regex, RegexBuilder};
use std::collections::HashSet;

/// The largest program a filter's regular expression may compile to, in bytes; matching takes time in proportion to the text.
const REGEX_BYTES_MAX: usize = 1 << 16;

/// The concepts that every filter lets through; `None` when a filter cannot be applied.
pub fn kept<'a>(system: &'a CodeSystem, filters: &[Filter]) -> Option<Vec<&'a SystemConcept>> {
    let mut kept: Vec<(u32, &SystemConcept)> = (0..).zip(&system.concepts).collect();
    for filter in filters {
        match filter.property.as_str() {
            "concept" | "code" => by_code(system, filter, &mut kept)?,
            "display" => by_text(filter, &mut kept, |concept| concept.display.as_deref())?,
            "parent" => by_link(filter, &mut kept, &parents(system))?,
            "child" => by_link(filter, &mut kept, &children(system))?,
            "inactive" if filter.op == "=" => kept.retain(|(_, concept)| concept.is_inactive == (filter.value == "true")),
            property => by_property(system, property, filter, &mut kept)?,
        }
    }
    Some(kept.into_iter().map(|(_, concept)| concept).collect())
}

/// The limit that a filter's regular expression goes beyond, if one does.
pub fn limit(filters: &[Filter]) -> Option<&'static str> {
    let is_too_large = |filter: &&Filter| filter.op == "regex" && matches!(regex(filter), Err(Refusal::TooLarge));
    filters.iter().find(is_too_large).map(|_| "REGEX_BYTES_MAX")
}

/// A filter's regular expression, which must match the whole.
fn regex(filter: &Filter) -> Result<Regex, Refusal> {
    regular::compile(&filter.value, |pattern| RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build())
}

fn by_code(system: &CodeSystem, filter: &Filter, kept: &mut Vec<(u32, &SystemConcept)>) -> Option<()> {
    let root = || system.concepts.iter().position(|concept| concept.code == filter.value).and_then(|index| u32::try_from(index).ok());
    let listed = |concept: &SystemConcept| filter.value.split(',').any(|code| code.trim() == concept.code);
    match filter.op.as_str() {
        "is-a" | "descendent-of" | "is-not-a" => {
            let root = root()?;
            let below = descendants(system, root);
            kept.retain(|(index, _)| match filter.op.as_str() {
                "is-a" => *index == root || below.contains(index),
                "descendent-of" => below.contains(index),
                _ => *index != root && !below.contains(index),
            });
        }
        "child-of" => {
            let root = root()?;
            kept.retain(|(_, concept)| concept.parents.contains(&root));
        }
        "descendent-leaf" => {
            let below = descendants(system, root()?);
            let inner: HashSet<u32> = system.concepts.iter().flat_map(|concept| concept.parents.iter().copied()).collect();
            kept.retain(|(index, _)| below.contains(index) && !inner.contains(index));
        }
        "generalizes" => {
            let above = ancestors(system, root()?);
            kept.retain(|(index, _)| above.contains(index));
        }
        "=" => kept.retain(|(_, concept)| concept.code == filter.value),
        "in" => kept.retain(|(_, concept)| listed(concept)),
        "not-in" => kept.retain(|(_, concept)| !listed(concept)),
        "regex" => by_text(filter, kept, |concept| Some(concept.code.as_str()))?,
        _ => return None,
    }
    Some(())
}

fn by_text(filter: &Filter, kept: &mut Vec<(u32, &SystemConcept)>, text: impl Fn(&SystemConcept) -> Option<&str>) -> Option<()> {
    match filter.op.as_str() {
        "=" => kept.retain(|(_, concept)| text(concept) == Some(filter.value.as_str())),
        "regex" => {
            let regex = regex(filter).ok()?;
            kept.retain(|(_, concept)| text(concept).is_some_and(|text| regex.is_match(text)));
        }
        _ => return None,
    }
    Some(())
}

fn by_property(system: &CodeSystem, property: &str, filter: &Filter, kept: &mut Vec<(u32, &SystemConcept)>) -> Option<()> {
    // If the system gives the property for no code at all, a filter on it cannot be applied.
    let of = |concept: &SystemConcept| concept.properties.iter().filter(|(name, _)| name == property).count();
    if !system.concepts.iter().any(|concept| of(concept) > 0) {
        return None;
    }
    let any = |concept: &SystemConcept, fits: &dyn Fn(&str) -> bool| {
        concept.properties.iter().any(|(name, value)| name == property && fits(value))
    };
    let listed = |value: &str| filter.value.split(',').any(|one| one.trim() == value);
    match filter.op.as_str() {
        "=" => kept.retain(|(_, concept)| any(concept, &|value| *value == filter.value)),
        "in" => kept.retain(|(_, concept)| any(concept, &listed)),
        "not-in" => kept.retain(|(_, concept)| !any(concept, &listed)),
        "exists" => kept.retain(|(_, concept)| (of(concept) > 0) == (filter.value == "true")),
        "regex" => {
            let regex = regex(filter).ok()?;
            kept.retain(|(_, concept)| any(concept, &|value| regex.is_match(value)));
        }
        _ => return None,
    }
    Some(())
}

/// By the codes one step above or below each concept.
fn by_link(filter: &Filter, kept: &mut Vec<(u32, &SystemConcept)>, links: &[Vec<&str>]) -> Option<()> {
    let of = |index: u32| links.get(index as usize).map(Vec::as_slice).unwrap_or_default();
    let listed: Vec<&str> = filter.value.split(',').map(str::trim).collect();
    let is_listed = |index: u32| of(index).iter().any(|code| listed.contains(code));
    match filter.op.as_str() {
        "=" => kept.retain(|(index, _)| of(*index).contains(&filter.value.as_str())),
        "in" => kept.retain(|(index, _)| is_listed(*index)),
        "not-in" => kept.retain(|(index, _)| !is_listed(*index)),
        "exists" => kept.retain(|(index, _)| of(*index).is_empty() == (filter.value != "true")),
        _ => return None,
    }
    Some(())
}

/// The codes of each concept's parents.
fn parents(system: &CodeSystem) -> Vec<Vec<&str>> {
    let code = |parent: &u32| system.concepts.get(*parent as usize).map(|concept| concept.code.as_str());
    system.concepts.iter().map(|concept| concept.parents.iter().filter_map(code).collect()).collect()
}

/// The codes of each concept's children.
fn children(system: &CodeSystem) -> Vec<Vec<&str>> {
    let mut children = vec![Vec::new(); system.concepts.len()];
    for concept in &system.concepts {
        for parent in &concept.parents {
            if let Some(list) = children.get_mut(*parent as usize) {
                list.push(concept.code.as_str());
            }
        }
    }
    children
}

/// Everything below a concept. Each link is followed once, so that hierarchies that lead back to themselves end.
fn descendants(system: &CodeSystem, root: u32) -> HashSet<u32> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); system.concepts.len()];
    for (index, concept) in (0..).zip(&system.concepts) {
        for parent in &concept.parents {
            if let Some(list) = children.get_mut(*parent as usize) {
                list.push(index);
            }
        }
    }
    reached(root, |index| children.get(index as usize).map(Vec::as_slice).unwrap_or_default())
}

/// A concept and everything above it.
fn ancestors(system: &CodeSystem, root: u32) -> HashSet<u32> {
    let mut above =
        reached(root, |index| system.concepts.get(index as usize).map(|concept| concept.parents.as_slice()).unwrap_or_default());
    above.insert(root);
    above
}

fn reached<'a>(root: u32, next: impl Fn(u32) -> &'a [u32]) -> HashSet<u32> {
    let (mut found, mut pending) = (HashSet::new(), vec![root]);
    while let Some(index) = pending.pop() {
        pending.extend(next(index).iter().copied().filter(|one| found.insert(*one)));
    }
    found
}
