//! The snapshot of a profile beside its differential: whoever makes it of the base finds no fewer elements
//! (<https://hl7.org/fhir/R4/profiling.html#snapshot>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::slices::sliced;
use crate::definitions::Structure;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashSet;

const TOO_FEW: Rule = Rule::error(IssueType::NotFound, "SNAPSHOT_EXISTING_PROBLEM");

/// Judges how many elements the snapshot of a constraint has. One that is made of the differential has every element of the base and every slice that
/// the differential adds; how many more are laid open below these is not counted.
pub fn check(walk: &mut Walk<'_>, structure: &Node, base: &Structure, path: &Path<'_>) {
    let listed = |view: &str| structure.get(view).map(|view| view.items("element")).unwrap_or_default();
    let (changes, stated) = (listed("differential"), listed("snapshot").len());
    if base.is_differential || changes.is_empty() || stated == 0 {
        return;
    }
    let least = least(changes, base);
    if stated < least {
        let text = format!("A snapshot made of the base and the differential has {least} elements or more, and this one has {stated}");
        walk.report.add(TOO_FEW, path, structure, text);
    }
}

fn least(changes: &[Node], base: &Structure) -> usize {
    let closed: HashSet<&str> = changes.iter().filter(|one| one.text("max") == Some("0")).filter_map(|one| one.text("path")).collect();
    let is_closed = |path: &str| path.match_indices('.').any(|(end, _)| path.get(..end).is_some_and(|above| closed.contains(above)));
    let of_base: HashSet<&str> = base.elements.iter().filter(|one| !is_closed(&one.path)).map(|one| one.id.as_str()).collect();
    // A slice of what is not sliced is the element itself by another name.
    let mut open: HashSet<&str> = base.elements.iter().filter(|one| one.slicing.is_some()).map(|one| one.id.as_str()).collect();
    open.extend(changes.iter().filter(|one| one.get("slicing").is_some()).filter_map(|one| one.text("id")));
    let is_sliced = |id: &&str| sliced(id).is_some_and(|whole| whole.ends_with("xtension") || open.contains(whole));
    let slices = changes.iter().filter(|one| one.get("sliceName").is_some()).filter_map(|one| one.text("id")).filter(is_sliced);
    of_base.len() + slices.filter(|id| !of_base.contains(id)).collect::<HashSet<_>>().len()
}
