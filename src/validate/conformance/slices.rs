//! Slices in a differential: how they are told apart, and how many of them there may be (<https://hl7.org/fhir/R4/profiling.html#slice-cardinality>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::elements::Listed;
use super::over_base::{NO_RANGE, NO_SNAPSHOT, WIDER};
use crate::definitions::profile::Profile;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::{HashMap, HashSet};

const UNTOLD: Rule = Rule::warning(IssueType::BusinessRule, "DIFFERENTIAL_DOES_NOT_HAVE_A_SLICE__B_OF_____IN_PROFILE_");

/// Judges the slices of a differential over a base.
pub fn check(walk: &mut Walk<'_>, list: &Listed<'_>, path: &Path<'_>) {
    unsliced(walk, list, path);
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
/// One alone is no error to HL7's validator; but nothing says which element it is about.
fn unsliced(walk: &mut Walk<'_>, list: &Listed<'_>, path: &Path<'_>) {
    let mut slices: Vec<(&str, Vec<&Node>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let known = Known::of(walk, list);
    for element in list.elements {
        let Some(place) = element.text("path").filter(|_| element.text("sliceName").is_some()) else { continue };
        if known.is_told_apart(place) {
            continue;
        }
        let index = *places.entry(place).or_insert(slices.len());
        match slices.get_mut(index) {
            Some((_, named)) => named.push(element),
            None => slices.push((place, vec![element])),
        }
    }
    for (place, named) in slices {
        match named.as_slice() {
            [_, second, ..] => {
                walk.report.add(NO_SNAPSHOT, path, second, "Slices stand here, and nothing says how they are told apart (slicing)")
            }
            [only] if !known.is_in_other_profile(place) => {
                walk.report.add(UNTOLD, path, only, "A slice stands here, and nothing says which elements are of it (slicing)");
            }
            _ => {}
        }
    }
}

/// What a differential and its base say of places, by path.
struct Known<'a> {
    /// Where it is said how slices are told apart.
    told: HashSet<&'a str>,
    /// Whose type has a profile, which may say what the base does not.
    profiled: HashSet<&'a str>,
}

/// How many elements above a place are looked at. None of FHIR's lies so deep.
const DEPTH_MAX: usize = 64;

impl<'a> Known<'a> {
    fn of(walk: &Walk<'a>, list: &Listed<'a>) -> Known<'a> {
        let base = list.structure.text("baseDefinition").and_then(|url| walk.definitions.profile(url));
        let of_base = base.map(Profile::nodes).unwrap_or_default();
        let sliced = |one: &&Node| one.get("slicing").is_some();
        let has_profile = |one: &&Node| one.items("type").iter().any(|one| one.get("profile").is_some());
        let paths =
            |wanted: &dyn Fn(&&Node) -> bool| list.elements.iter().filter(wanted).filter_map(|one| one.text("path")).collect::<Vec<_>>();
        let told = of_base.iter().filter(|node| !node.slices.is_empty()).map(|node| node.path.as_str());
        let profiled = of_base.iter().filter(|node| node.element.types.iter().any(|one| !one.profiles.is_empty()));
        Known {
            told: paths(&sliced).into_iter().chain(told).collect(),
            profiled: paths(&has_profile).into_iter().chain(profiled.map(|node| node.path.as_str())).collect(),
        }
    }

    fn is_told_apart(&self, place: &str) -> bool {
        let step = place.rsplit('.').next().unwrap_or(place);
        step.ends_with("[x]") || matches!(step, "extension" | "modifierExtension") || self.told.contains(place)
    }

    /// Whether the place is within an element whose type has a profile.
    fn is_in_other_profile(&self, place: &str) -> bool {
        let mut above = place.match_indices('.').take(DEPTH_MAX).filter_map(|(end, _)| place.get(..end));
        above.any(|path| self.profiled.contains(path))
    }
}
