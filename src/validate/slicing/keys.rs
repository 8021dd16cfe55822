//! Which slices an item may be in at all: those that ask for a text which it has. Definitions of very many slices tell them apart by codes or URLs.

use super::super::environment::Surroundings;
use super::super::profiles::{Asked, Found};
use super::super::references::Scope;
use super::super::structure::Walk;
use super::candidates::{Candidate, candidates};
use super::{focus, reached};
use crate::definitions::profile::{SliceBy, SliceKeys, SliceKind};
use crate::fhir::{Node, Value};
use compact_str::CompactString;
use std::collections::HashMap;

/// From how many slices on they are looked up; a few are gone through as fast.
const LOOKED_UP_FROM: usize = 8;

/// How many texts an item may have to be looked up by.
const TEXTS_MAX: usize = 1_000;

/// How many texts of what a slice asks for are looked at, to take the one that fewest others ask for.
const TEXTS_OF_SLICE_MAX: usize = 8;

/// A discriminator by its place, and a text that what it leads to must have.
type Key = (usize, CompactString);

/// The places of the slices that an item may be in, in order. `None` when it may be in any.
pub fn possible(walk: &Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>) -> Option<Vec<usize>> {
    let node = asked.node();
    if node.slices.len() < LOOKED_UP_FROM {
        return None;
    }
    let keys = node.keys.get_or_init(|| keys(walk, asked));
    if keys.by_text.is_empty() {
        return None;
    }
    let surroundings = Surroundings::within(walk, scope);
    let focus = focus(walk, found, scope, &surroundings);
    let mut places = keys.others.clone();
    for (index, by) in node.discriminators.iter().enumerate().filter(|(_, by)| by.kind == SliceKind::Value) {
        let mut texts = Vec::new();
        for item in reached(by, &focus).unwrap_or_default() {
            item.item.node.into_iter().for_each(|value| texts_of(value, TEXTS_MAX, &mut texts));
        }
        if texts.len() >= TEXTS_MAX {
            return None;
        }
        // What an item repeats is looked up once.
        texts.sort_unstable();
        texts.dedup();
        places.extend(texts.into_iter().filter_map(|text| keys.by_text.get(&(index, text))).flatten());
    }
    places.sort_unstable();
    places.dedup();
    Some(places)
}

fn keys(walk: &Walk<'_>, asked: Asked<'_>) -> SliceKeys {
    let node = asked.node();
    let all = |slice: Asked<'_>| -> Vec<Key> {
        let each = node.discriminators.iter().enumerate();
        each.flat_map(|(index, by)| texts_asked(walk, slice, by).into_iter().map(move |text| (index, text))).collect()
    };
    let of_slices: Vec<Vec<Key>> = node.slices.iter().map(|&id| all(Asked { id, ..asked })).collect();
    let mut shared: HashMap<&Key, usize> = HashMap::new();
    of_slices.iter().flatten().for_each(|key| *shared.entry(key).or_default() += 1);
    let mut keys = SliceKeys::default();
    for (place, of_slice) in of_slices.iter().enumerate() {
        match of_slice.iter().min_by_key(|key| shared.get(key)) {
            Some(key) => keys.by_text.entry(key.clone()).or_default().push(place),
            None => keys.others.push(place),
        }
    }
    keys
}

/// Texts that what a discriminator leads to has in every item of a slice.
fn texts_asked(walk: &Walk<'_>, slice: Asked<'_>, by: &SliceBy) -> Vec<CompactString> {
    let mut texts = Vec::new();
    if by.kind != SliceKind::Value {
        return texts;
    }
    for one in candidates(walk, slice, &by.path) {
        let stated = match one {
            Candidate::Value(value, _) => Some(value),
            _ => one.resolved(walk).and_then(|asked| asked.node().fixed.as_ref().or(asked.node().pattern.as_ref())),
        };
        stated.into_iter().for_each(|value| texts_of(value, TEXTS_OF_SLICE_MAX, &mut texts));
    }
    texts
}

/// The texts in a value, no more than `most` in all.
fn texts_of(value: &Node, most: usize, texts: &mut Vec<CompactString>) {
    if texts.len() >= most {
        return;
    }
    match &value.value {
        Value::Object(object) => object.members().iter().for_each(|member| texts_of(&member.node, most, texts)),
        Value::List(items) => items.iter().for_each(|item| texts_of(item, most, texts)),
        _ => texts.extend(value.as_text().map(CompactString::from)),
    }
}
