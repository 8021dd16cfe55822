//! Rule 4. Which release of FHIR a resource is written in, and what becomes of it: R4 stays, others are converted by table or refused.
//!
//! In scope: telling DSTU2, STU3, R4, R4B and R5 apart by what the source or the resource declares, then by the shape of the resource; R4B and R5
//! to R4 and STU3 to R4 for the types of the tables under `facts/conversions-*.tsv`; telling XML of another release from XML that is wrong. Out of
//! scope: converting XML of another release, whose elements have no known cardinality here, and Bundles, whose entries are judged one by one.
//!
//! Always true: what is R4 is left alone. A release is never guessed: where two fit, or no table has the type, the resource is refused by name.
//! What R4 has no element for becomes HL7's cross-version extension, `http://hl7.org/fhir/5.0/StructureDefinition/extension-Type.path`; what even
//! an extension cannot hold refuses the resource. Each step is a [`Change`](super::Change), and converting what was converted changes nothing.
//!
//! Spec: R4 §2.1.4.0 (versions.html), "Extensions for converting between versions"; HL7's published maps between the releases.

mod apply;
mod carried;
mod detect;
mod fit;
mod in_r4;
mod published;
mod table;
mod walk;
mod xml;

#[cfg(test)]
mod tests;

pub use crate::fhir::Release;
pub use detect::other_releases;
pub use in_r4::{InR4, in_r4};
pub use published::conversion_table;
pub use xml::other_release;

use super::Context;
use super::path::Path;
use super::record::Work;
use super::rule::VERSIONS;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType, Severity};
use detect::{Detected, detect};
use table::Conversions;

/// What is said of elements that no one release has all of.
const MIXED: &str = "the resource has elements of more than one release of FHIR, so it is not known which it is written in; send it in R4";

/// Brings a resource to R4, or says why it cannot be. What is inside of it (contained) comes along.
pub(super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(VERSIONS) || work.context.types.types().is_empty() {
        return;
    }
    let Some(type_name) = resource.get("resourceType").and_then(Node::as_text).map(str::to_owned) else { return };
    match release_of(resource, &type_name, work.context) {
        Detected::One(Release::R4) => {}
        Detected::One(release) => convert_once(resource, &type_name, release, path, work),
        Detected::Several(releases) => refuse_unclear(&type_name, &releases, path, work),
        // What was refused by element is not refused as a whole too.
        Detected::Mixed if work.findings.iter().any(Finding::is_error) => {}
        Detected::Mixed => flag_mixed(path, work),
    }
}

/// What a resource is written in, or what is inside of it.
fn release_of(resource: &Object, type_name: &str, context: &Context<'_>) -> Detected {
    match detect(resource, type_name, context) {
        Detected::One(Release::R4) => detect::inside(resource, type_name, context),
        detected => detected,
    }
}

/// Real resources are of one release. One that is of another still after it was converted has elements of several. What is refused stays as it came.
fn convert_once(resource: &mut Object, type_name: &str, release: Release, path: &Path<'_>, work: &mut Work<'_>) {
    let before = Before::of(resource, work);
    if !convert(resource, type_name, release, path, work) {
        return;
    }
    if work.findings.iter().any(Finding::is_error) {
        return before.undo(resource, work);
    }
    match detect(resource, type_name, work.context) {
        Detected::One(now) if now == Release::R4 || now == release => {}
        _ => {
            work.findings.truncate(before.findings);
            before.undo(resource, work);
            flag_mixed(path, work);
        }
    }
}

/// A resource before it was converted, and what had been said of it.
struct Before {
    resource: Object,
    changes: usize,
    findings: usize,
}

impl Before {
    fn of(resource: &Object, work: &Work<'_>) -> Before {
        Before { resource: resource.clone(), changes: work.changes.len(), findings: work.findings.len() }
    }

    fn undo(self, resource: &mut Object, work: &mut Work<'_>) {
        *resource = self.resource;
        work.changes.truncate(self.changes);
    }
}

/// Converts by the release's table; `false` when there is none for the type, so that the resource is refused.
fn convert(resource: &mut Object, type_name: &str, release: Release, path: &Path<'_>, work: &mut Work<'_>) -> bool {
    let Some(conversions) = Conversions::of(release).filter(|conversions| conversions.has(type_name)) else {
        refuse(release, type_name, path, work);
        return false;
    };
    let found = work.findings.len();
    drop_claims(resource, release, path, work);
    walk::resource(resource, type_name, conversions, path, work);
    fit::resource(resource, type_name, conversions, path, work);
    contained(resource, conversions, path, work);
    if !work.findings.iter().skip(found).any(Finding::is_error) {
        let text = format!("the resource is written in FHIR {}; it was converted to R4 by the published table", release.name());
        work.flag(Severity::Information, IssueType::Informational, "version-converted", path, text);
    }
    true
}

fn flag_mixed(path: &Path<'_>, work: &mut Work<'_>) {
    work.flag(Severity::Error, IssueType::NotSupported, "version-mixed", path, MIXED);
}

/// Contained resources are of their container's release. One whose type is the same in both releases needs no table.
fn contained(resource: &mut Object, conversions: &'static Conversions, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(items) = resource.get_mut("contained").and_then(Node::as_list_mut) else { return };
    let list_path = path.member("contained");
    for (index, item) in items.iter_mut().enumerate() {
        let Some(object) = item.as_object_mut() else { continue };
        let Some(type_name) = object.get("resourceType").and_then(Node::as_text).map(str::to_owned) else { continue };
        let item_path = list_path.item(index);
        if conversions.has(&type_name) {
            walk::resource(object, &type_name, conversions, &item_path, work);
            fit::resource(object, &type_name, conversions, &item_path, work);
        } else if detect::differs(conversions.release, &type_name) || work.context.types.resource(&type_name).is_none() {
            refuse(conversions.release, &type_name, &item_path, work);
        }
    }
}

/// A claim to a profile of the other release is no longer true of what is now R4.
fn drop_claims(resource: &mut Object, release: Release, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) else { return };
    let Some(Value::List(profiles)) = meta.get("profile").map(|node| &node.value) else { return };
    let kept: Vec<Node> = profiles.iter().filter(|profile| profile.as_text().and_then(detect::claimed) != Some(release)).cloned().collect();
    let meta_path = path.member("meta");
    if kept.is_empty() {
        work.remove(VERSIONS, meta, &meta_path, "profile");
        if meta.is_empty() {
            resource.remove("meta");
        }
    } else {
        work.set(VERSIONS, meta, &meta_path, "profile", kept);
    }
}

fn refuse(release: Release, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    work.flag(Severity::Error, IssueType::NotSupported, "version-refused", path, refused_text(release, type_name));
}

fn refused_text(release: Release, type_name: &str) -> String {
    let known = Conversions::of(release).map(Conversions::types).unwrap_or_default();
    let offer = match (release, known.is_empty()) {
        (Release::R4B, _) => "those that R4 has with the same elements".to_owned(),
        (_, true) => "no types".to_owned(),
        _ => known.join(", "),
    };
    let type_name = shown(type_name);
    format!(
        "this {type_name} is written in FHIR {}, of which this gateway converts {offer}; send it in R4 (fhirVersion 4.0)",
        release.name()
    )
}

fn refuse_unclear(type_name: &str, releases: &[Release], path: &Path<'_>, work: &mut Work<'_>) {
    work.flag(Severity::Error, IssueType::NotSupported, "version-unclear", path, unclear_text(type_name, releases));
}

fn unclear_text(type_name: &str, releases: &[Release]) -> String {
    let names: Vec<&str> = releases.iter().map(|release| release.name()).collect();
    let type_name = shown(type_name);
    format!(
        "this {type_name} is not R4 and could be {}; declare its release (in meta.profile, in the media type's fhirVersion, or as fhir_version of the source), or send it in R4",
        names.join(" or ")
    )
}

/// Type names are shown only when they are ones of FHIR's length and letters.
fn shown(type_name: &str) -> &str {
    if type_name.len() <= 64 && type_name.bytes().all(|byte| byte.is_ascii_alphanumeric()) { type_name } else { "resource" }
}
