//! Slices in a differential: how they are told apart, and how many of them there may be (<https://hl7.org/fhir/R4/profiling.html#slice-cardinality>).

use super::super::path::Path;
use super::super::structure::Walk;
use super::elements::Listed;
use super::over_base::{NO_RANGE, NO_SNAPSHOT, WIDER};
use crate::definitions::Structure;
use crate::fhir::Node;
use std::collections::HashMap;

/// Judges the slices of a differential over a base.
pub fn check(walk: &mut Walk<'_>, list: &Listed<'_>, base: &Structure, path: &Path<'_>) {
    unsliced(walk, list, base, path);
    numbers(walk, list, path);
}

/// No slice may be there more often than what is sliced, and all that are asked for must find room.
fn numbers(walk: &mut Walk<'_>, list: &Listed<'_>, path: &Path<'_>) {
    let bounded = list.elements.iter().filter_map(|element| Some((element.text("id")?, number(element.text("max")?)?)));
    // R4's own extensions forbid their parts and define them all the same (codesystem-history).
    let bounds: HashMap<&str, u32> = bounded.filter(|(_, most)| *most > 0).collect();
    let mut least: HashMap<&str, u32> = HashMap::new();
    for element in list.elements.iter().filter(|element| element.text("sliceName").is_some()) {
        let Some(sliced) = element.text("id").and_then(sliced) else { continue };
        let Some(&most) = bounds.get(sliced) else { continue };
        if element.text("max").is_some_and(|max| number(max).is_none_or(|max| max > most)) {
            walk.report.add(WIDER, path, element, format!("{sliced}: a slice is allowed more often than what is sliced, {most}"));
        }
        let min = element.get("min").and_then(Node::as_number).and_then(number).unwrap_or_default();
        let before = least.entry(sliced).or_default();
        let was_above = *before > most;
        *before = before.saturating_add(min);
        if *before > most && !was_above && min <= most {
            walk.report.add(NO_RANGE, path, element, format!("{sliced}: the slices together are asked for more often than {most}"));
        }
    }
}

/// A number of times; none for any number.
fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// The id of what a slice is one of: `Patient.identifier` of `Patient.identifier:a`. Slices of slices are counted by those.
pub fn sliced(id: &str) -> Option<&str> {
    let (before, last) = id.rsplit_once(':').filter(|(_, last)| !last.contains('.'))?;
    (!last.contains('/')).then_some(before)
}

/// More than one slice stands at a place only where it is said how they are told apart: there, or in the base. Extensions are told apart by their url.
fn unsliced(walk: &mut Walk<'_>, list: &Listed<'_>, base: &Structure, path: &Path<'_>) {
    let mut slices: HashMap<&str, usize> = HashMap::new();
    let of_base = walk.definitions.profile(&base.url);
    for element in list.elements {
        let Some(place) = element.text("path").filter(|_| element.text("sliceName").is_some()) else { continue };
        let step = place.rsplit('.').next().unwrap_or(place);
        let is_told_apart = step.ends_with("[x]")
            || matches!(step, "extension" | "modifierExtension")
            || list.elements.iter().any(|one| one.text("path") == Some(place) && one.get("slicing").is_some())
            || of_base.is_some_and(|base| base.nodes().iter().any(|node| node.path == place && !node.slices.is_empty()));
        let number = slices.entry(place).or_default();
        *number += 1;
        if *number == 2 && !is_told_apart {
            let text = "Slices stand here, and nothing says how they are told apart (slicing)";
            walk.report.add(NO_SNAPSHOT, path, element, text);
        }
    }
}
