//! What belongs to a package's entries: files that belong to none, and what is named and not there.

use super::erasers::Erasers;
use super::package::{Completeness, ERASURE_PROOF, Listed, Manifest, Why};
use super::verify::{Files, Report};
use crate::anchor::{Erased, Leaf, LeafKind};
use crate::audit;
use crate::consent::{PatientReference, patients_of};
use crate::fhir::{Node, json};
use std::collections::{BTreeMap, BTreeSet};

/// The files that a package may have beside those of its entries and consents.
const FIXED: [&str; 10] = [
    "manifest.json",
    "index.html",
    "checkpoint",
    "policy",
    "keys",
    "completeness.json",
    "index.tlog-proof",
    "first.tlog-proof",
    ERASURE_PROOF,
    "consistency.json",
];

/// Where the Provenances of versions are.
const PROVENANCES: &str = "provenance/";

/// Every file is one that a package has, and those of leaves are of leaves that are listed.
pub(super) fn strays(manifest: &Manifest, files: &Files, report: &mut Report) {
    let listed: BTreeSet<u64> = manifest.entries.iter().map(|listed| listed.position).collect();
    let is_known = |name: &str| FIXED.contains(&name) || is_of_consent(name) || position(name).is_some_and(|at| listed.contains(&at));
    let strays = files.keys().filter(|name| !is_known(name)).count();
    report.check(strays == 0, || format!("manifest.json: {strays} file(s) belong to no entry"));
}

fn is_of_consent(name: &str) -> bool {
    name.strip_prefix("consents/").is_some_and(|name| name.ends_with(".json") || name.ends_with(".tlog-proof"))
}

/// The leaf that a file goes with.
fn position(name: &str) -> Option<u64> {
    let (folder, name) = name.split_once('/')?;
    let end = match folder {
        "proofs" => ".tlog-proof",
        "documents" | "provenance" => ".json",
        _ => return None,
    };
    let number = name.strip_suffix(end)?;
    number.parse().ok().filter(|position: &u64| position.to_string() == number)
}

/// Every record of what was done that is listed is there, and every consent that such a record names, unless the package says why it is not. What was
/// lost to an erasure its leaf bears out.
pub(super) fn missing(manifest: &Manifest, files: &Files, leaves: &BTreeMap<u64, Leaf>, erasers: &Erasers, report: &mut Report) {
    let mut missing = BTreeSet::new();
    let is_event = |kind: &str| [LeafKind::Accept, LeafKind::Erase, LeafKind::Index].iter().all(|other| other.label() != kind);
    for listed in manifest.entries.iter().filter(|listed| listed.target.is_some() && is_event(&listed.kind)) {
        match document(files, listed.position) {
            Some(event) => missing.extend(event.items("entity").iter().filter_map(consent)),
            None => drop(missing.insert(format!("documents/{}.json", listed.position))),
        }
    }
    // Of a Provenance that lacks and of which the package says nothing its leaf tells (`verify.rs`).
    let is_stated =
        |listed: &&Listed| listed.target.is_some() && leaves.get(&listed.position).is_some_and(|leaf| leaf.provenance.is_some());
    let provenances = manifest.entries.iter().filter(is_stated).map(|listed| format!("provenance/{}.json", listed.position));
    missing.extend(provenances.filter(|path| manifest.tells_of(path)));
    missing.retain(|path| !files.contains_key(path));
    let told: BTreeMap<&str, Why> = manifest.lacking.iter().map(|lacking| (lacking.path.as_str(), lacking.why)).collect();
    let is_false = told.keys().filter(|path| !missing.contains(**path)).count();
    report.check(is_false == 0, || format!("manifest.json: {is_false} file(s) that it says are not there are, or belong to nothing"));
    for path in &missing {
        match told.get(path.as_str()) {
            Some(why) if path.starts_with(PROVENANCES) && is_unnamed(path, *why, leaves, erasers) => report.unnamed += 1,
            Some(why) if is_borne_out(path, *why, leaves, erasers, report) => *report.lacking.entry(*why).or_default() += 1,
            Some(_) => {
                report.problem(format!("{}: it is missing, and nothing in the log bears out what the package says of why", shown(path)))
            }
            // Older packages do not say what they lack.
            None if !manifest.is_of_now() => report.untold += 1,
            None => report.problem(format!("{}: it is missing, and the package does not say why", shown(path))),
        }
    }
}

/// A Provenance is only ever shortened by an erasure that names the leaf of its version.
fn is_unnamed(path: &str, why: Why, leaves: &BTreeMap<u64, Leaf>, erasers: &Erasers) -> bool {
    let position = position(path).filter(|_| why == Why::Shortened);
    let eraser = |at: u64| leaves.get(&at).and_then(|leaf| erasers.explain_shortened(at, leaf));
    position.and_then(eraser) == Some(Erased::Named)
}

/// A record of what was done is only ever shortened, by an erasure that came after it and names it. A consent may be erased, or hidden from the reader.
fn is_borne_out(path: &str, why: Why, leaves: &BTreeMap<u64, Leaf>, erasers: &Erasers, report: &mut Report) -> bool {
    match (position(path), why) {
        (Some(at), Why::Shortened) if !path.starts_with(PROVENANCES) => {
            let shortened = leaves.get(&at).and_then(|leaf| erasers.explain_shortened(at, leaf));
            shortened.inspect(|erased| *report.shortened.entry(*erased).or_default() += 1).is_some()
        }
        (None, Why::Erased) => erasers.newest().is_some(),
        (None, Why::Withheld) => true,
        _ => false,
    }
}

/// The path, as far as it is a number of the log's; the name of a consent comes from a document and is not repeated.
fn shown(path: &str) -> &str {
    if path.starts_with("documents/") || path.starts_with(PROVENANCES) { path } else { "consents/" }
}

/// Whether what a leaf stands for is a version of the subject, or a record of what was done that names it.
pub(super) fn is_about(manifest: &Manifest, files: &Files, listed: &Listed) -> bool {
    let begin = format!("{}/_history/", manifest.subject);
    match listed.target.as_deref() {
        Some(target) if target.starts_with("AuditEvent/") => {
            document(files, listed.position).is_some_and(|event| audit::names(&event, &manifest.subject))
        }
        Some(target) => target.starts_with(&begin),
        None => false,
    }
}

fn document(files: &Files, position: u64) -> Option<Node> {
    json::parse(files.get(&format!("documents/{position}.json"))?, json::DEFAULT_DEPTH).ok()
}

/// The file of the consent that an entity of an AuditEvent is.
fn consent(entity: &Node) -> Option<String> {
    let (id, version) = entity.text_at(&["what", "reference"])?.strip_prefix("Consent/")?.split_once("/_history/")?;
    Some(format!("consents/{id}-{version}.json"))
}

/// The versions of a record that are shown are about no more patients than there are claims for: who drops all that was claimed by one of them
/// is found out by the versions that name them. Claims of what is about nobody are for no patient; their leaves say so.
pub(super) fn patients(manifest: &Manifest, files: &Files, leaves: &BTreeMap<u64, Leaf>, report: &mut Report) {
    let begin = format!("{}/_history/", manifest.subject);
    if manifest.subject.starts_with("Patient/") {
        return;
    }
    let versions = manifest.entries.iter().filter(|listed| listed.target.as_ref().is_some_and(|target| target.starts_with(&begin)));
    let about = versions.filter_map(|listed| document(files, listed.position)).flat_map(|version| patients_of(&version));
    let named: BTreeSet<String> = about.filter_map(known).collect();
    let completeness = files.get("completeness.json").and_then(|bytes| serde_json::from_slice::<Completeness>(bytes).ok());
    let mut claimed: BTreeSet<usize> = completeness.iter().flat_map(|all| &all.claims).map(|claim| claim.patient).collect();
    let of_patients = |is_of_patient: bool| -> BTreeSet<usize> {
        let is_one = |position: &u64| leaves.get(position).is_some_and(|leaf| leaf.tags.patient.is_some() == is_of_patient);
        let claims = completeness.iter().flat_map(|all| &all.claims);
        claims.filter(|claim| claim.positions.iter().any(is_one)).map(|claim| claim.patient).collect()
    };
    let nobodys = of_patients(false);
    report.check(nobodys.len() <= 1 && nobodys.is_disjoint(&of_patients(true)), || {
        "completeness.json: what is about nobody is claimed among what is about a patient, or twice".to_owned()
    });
    claimed.retain(|of| !nobodys.contains(of));
    report.check(named.len() <= claimed.len(), || {
        let (named, claimed) = (named.len(), claimed.len());
        format!("completeness.json: the versions of {} are about {named} patients, and there are claims by {claimed}", manifest.subject)
    });
}

fn known(patient: PatientReference) -> Option<String> {
    match patient {
        PatientReference::Known(reference) => reference.relative().filter(|text| text.starts_with("Patient/")).map(str::to_owned),
        PatientReference::Unresolvable => None,
    }
}
