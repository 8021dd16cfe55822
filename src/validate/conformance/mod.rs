//! Definitions as resources: what they say of themselves, of each other, and of the types they define.
//!
//! In scope: ValueSet, CodeSystem, ConceptMap, StructureDefinition, SearchParameter, CapabilityStatement, Measure and MeasureReport, as far as the definitions
//! in hand decide. Out of scope: whether the definitions named by them exist.

mod code_systems;
mod concept_maps;
mod constraints;
mod contexts;
mod discriminators;
mod elements;
mod filters;
mod guides;
mod maps;
mod measures;
mod obligations;
mod operations;
mod over_base;
mod properties;
mod publishers;
mod reports;
mod rules;
mod search;
mod slices;
mod snapshots;
mod structures;
mod value_sets;
mod values;

use super::path::Path;
use super::structure::Walk;
use crate::fhir::Node;

/// Judges a resource by what its type asks beyond its structure; most types ask nothing more.
pub fn check(walk: &mut Walk<'_>, type_name: &str, resource: &Node, path: &Path<'_>) {
    publishers::check(walk, resource, path);
    match type_name {
        "ValueSet" => value_sets::check(walk, resource, path),
        "CodeSystem" => code_systems::check(walk, resource, path),
        "ConceptMap" => concept_maps::check(walk, resource, path),
        "StructureDefinition" => structures::check(walk, resource, path),
        "SearchParameter" => search::parameter(walk, resource, path),
        "CapabilityStatement" => search::capability_statement(walk, resource, path),
        "OperationDefinition" => operations::check(walk, resource, path),
        "ImplementationGuide" => guides::check(walk, resource, path),
        "StructureMap" => maps::check(walk, resource, path),
        "Measure" => measures::check(walk, resource, path),
        "MeasureReport" => reports::check(walk, resource, path),
        _ => {}
    }
}

/// The value of a choice member and the FHIR type in its name: `valueCode` gives `code`.
fn choice<'n>(node: &'n Node, name: &str) -> Option<(&'n Node, &'n str)> {
    let members = node.as_object()?.members();
    members.iter().find_map(|member| {
        let type_name = member.name.strip_prefix(name)?;
        type_name.starts_with(|first: char| first.is_ascii_uppercase()).then_some((&member.node, type_name))
    })
}

/// Whether the type in a choice's name (`DateTime`) is the type of a code (`dateTime`).
fn is_type(in_name: &str, code: &str) -> bool {
    in_name == code || in_name.eq_ignore_ascii_case(code) && code.starts_with(|first: char| first.is_ascii_lowercase())
}

/// The value of the extension with a URL.
fn extension<'n>(node: &'n Node, url: &str) -> Option<&'n Node> {
    let found = node.items("extension").iter().find(|extension| extension.text("url") == Some(url))?;
    choice(found, "value").map(|(value, _)| value)
}
