//! What another release's resource becomes by conversion alone, so that it can be judged as it would be stored.

use super::detect::Detected;
use super::{Release, apply, release_of};
use crate::fhir::Node;
use crate::normalise::Context;
use crate::normalise::path::Path;
use crate::normalise::record::Work;
use crate::normalise::rules::empties;
use crate::outcome::Finding;

/// A resource by the release it is written in.
#[derive(Debug, Clone, PartialEq)]
pub enum InR4 {
    /// R4, or what cannot be told from it.
    AsItIs,
    /// Another: what it becomes, and what is said of that.
    Converted(Node, Vec<Finding>),
    /// Another that is not converted, and why.
    Refused(Vec<Finding>),
}

/// Tells what accepting a resource would make of its release; of a batch or a transaction, entry by entry. Nothing else is normalised.
pub fn in_r4(resource: &Node, context: &Context<'_>) -> InR4 {
    if !is_taken_apart(resource) {
        return if is_r4(resource, context) { InR4::AsItIs } else { one(resource, context) };
    }
    let entries = resource.items("entry").iter().filter_map(|entry| entry.get("resource"));
    if entries.into_iter().all(|entry| is_r4(entry, context)) { InR4::AsItIs } else { each(resource, context) }
}

/// Whether the entries are accepted one by one, rather than the Bundle as it is.
fn is_taken_apart(resource: &Node) -> bool {
    resource.resource_type() == Some("Bundle") && matches!(resource.text("type"), Some("batch" | "transaction"))
}

/// Most are; what is not is copied to be converted.
fn is_r4(resource: &Node, context: &Context<'_>) -> bool {
    let (Some(object), Some(type_name)) = (resource.as_object(), resource.resource_type()) else { return true };
    matches!(release_of(object, type_name, context), Detected::One(Release::R4))
}

fn one(resource: &Node, context: &Context<'_>) -> InR4 {
    let Converted { resource, findings } = convert(resource, context);
    match findings.iter().any(Finding::is_error) {
        _ if findings.is_empty() => InR4::AsItIs,
        true => InR4::Refused(findings),
        false => InR4::Converted(resource, findings),
    }
}

/// An entry that is refused stays as it came, and is judged so.
fn each(bundle: &Node, context: &Context<'_>) -> InR4 {
    let (mut bundle, mut said) = (bundle.clone(), Vec::new());
    let entries = bundle.get_mut("entry").and_then(Node::as_list_mut).into_iter().flatten().enumerate();
    for (index, entry) in entries {
        let Some(resource) = entry.as_object_mut().and_then(|entry| entry.get_mut("resource")) else { continue };
        let Converted { resource: converted, findings } = convert(resource, context);
        if !findings.is_empty() {
            *resource = converted;
            said.extend(findings.into_iter().map(|finding| finding.under(&format!("Bundle.entry[{index}].resource"))));
        }
    }
    if said.is_empty() { InR4::AsItIs } else { InR4::Converted(bundle, said) }
}

struct Converted {
    resource: Node,
    /// Of the conversion alone; none where there was nothing to convert.
    findings: Vec<Finding>,
}

fn convert(resource: &Node, context: &Context<'_>) -> Converted {
    let mut resource = resource.clone();
    let type_name = resource.resource_type().unwrap_or("Resource").to_owned();
    let path = Path::root(&type_name);
    let mut work = Work::new(context);
    empties::apply(&mut resource, &path, &mut work);
    let before = work.findings.len();
    if let Some(object) = resource.as_object_mut() {
        apply(object, &path, &mut work);
    }
    Converted { resource, findings: work.findings.split_off(before).into_iter().map(judged_as_r4).collect() }
}

fn judged_as_r4(mut finding: Finding) -> Finding {
    if finding.message_id == "version-converted" {
        finding.text.push_str(", and judged as R4");
    }
    finding
}
