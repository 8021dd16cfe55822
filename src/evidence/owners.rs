//! How many owners' tags a record's leaves are under, as the gateway committed to it before it made the package.
//!
//! A tag is blinded, so that nobody can tell from the outside that one lacks. Exporting leaves a record of what was done under the tags of every owner,
//! and it says how many these are. Whoever takes out all that was claimed by one of them keeps the others' records of it: they cannot be taken out alone.

use super::package::{Completeness, Manifest};
use super::verify::{Files, Report};
use crate::audit;
use crate::fhir::{Node, json};

/// What the record of an export says was done.
const EXPORTED: &str = "evidence package";
/// What follows it in that of a record's export, before the number.
const OF_OWNERS: &str = "; owners: ";

/// What the record of an export says: of a record by how many owners' keys its tags are made, of a patient nothing more.
pub fn exported(owners: Option<usize>) -> String {
    owners.map_or_else(|| EXPORTED.to_owned(), |owners| format!("{EXPORTED}{OF_OWNERS}{owners}"))
}

/// Of the record of an export of the subject how many owners it says there are, if it does; nothing of any other.
fn said(event: &Node, subject: &str) -> Option<Option<usize>> {
    let rest = event.text("outcomeDesc")?.strip_prefix(EXPORTED)?;
    let is_export = event.text("outcome") == Some("0") && audit::names(event, subject);
    is_export.then(|| rest.strip_prefix(OF_OWNERS)?.parse().ok())
}

/// The newest record of an export under each owner's tags is that of this package, or of one made beside it. Each says how many owners there are; in those
/// of older gateways nothing does.
pub(super) fn owners(manifest: &Manifest, files: &Files, report: &mut Report) {
    let completeness = files.get("completeness.json").and_then(|bytes| serde_json::from_slice::<Completeness>(bytes).ok());
    let Some(completeness) = completeness.filter(|_| !manifest.subject.starts_with("Patient/")) else { return };
    let export = |position: &u64| {
        let event = json::parse(files.get(&format!("documents/{position}.json"))?, json::DEFAULT_DEPTH).ok()?;
        said(&event, &manifest.subject)
    };
    let groups = completeness.claims.chunk_by(|one, next| one.patient == next.patient);
    let newest = |of: &[super::package::Claim]| {
        of.iter()
            .flat_map(|claim| &claim.positions)
            .filter_map(|position| Some((*position, export(position)?)))
            .max()
            .and_then(|(_, said)| said)
    };
    let told: Vec<Option<usize>> = groups.map(newest).collect();
    let claimed = told.len();
    match told.iter().flatten().next() {
        // An older gateway exported it.
        None => {}
        // What is under no tag of the subject has no record of the export either.
        Some(_) if told.iter().all(|said| *said == Some(claimed)) => report.owners = Some(claimed),
        Some(said) => report.problem(format!(
            "completeness.json: there are claims by {claimed} owner(s), and the records of the export under their tags say that there are {said}, or are \
             not there"
        )),
    }
}
