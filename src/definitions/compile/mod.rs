//! Turns the FHIR JSON of a package into a [`Pack`]. `build.rs` runs this for the embedded packages, the library for those that are added.
//!
//! What the model has no place for is passed over; a definition that lacks what makes it usable (a URL, a known code) is left out.

pub mod structures;
pub mod terminology;
pub mod type_tables;

use super::model::*;
use crate::fhir::Node;
use compact_str::CompactString;
use structures::structure;
use terminology::{code_system, value_set};

/// Compiles the definitions of one package, given in any order. `version` is the FHIR release, `4.0.1`.
pub fn compile<'a>(version: &str, definitions: impl Iterator<Item = &'a Node>) -> Pack {
    let mut pack = Pack { version: version.into(), ..Pack::default() };
    for definition in definitions {
        match definition.resource_type() {
            Some("StructureDefinition") => pack.structures.extend(structure(definition)),
            Some("ValueSet") => pack.value_sets.extend(value_set(definition)),
            Some("CodeSystem") => pack.code_systems.extend(code_system(definition)),
            Some("SearchParameter") => pack.search_parameters.extend(search_parameter(definition)),
            Some("CompartmentDefinition") => pack.compartments.extend(compartment(definition)),
            _ => {}
        }
    }
    (pack.types, pack.elements) = type_tables::build(&pack.structures);
    pack
}

fn text(node: &Node, name: &str) -> CompactString {
    node.text(name).unwrap_or_default().into()
}

fn some_text(node: &Node, name: &str) -> Option<CompactString> {
    node.text(name).map(CompactString::from)
}

fn texts(node: &Node, name: &str) -> Vec<CompactString> {
    node.items(name).iter().filter_map(Node::as_text).map(CompactString::from).collect()
}

fn flag(node: &Node, name: &str) -> bool {
    node.get(name).and_then(Node::as_bool).unwrap_or(false)
}

fn search_parameter(definition: &Node) -> Option<SearchParameter> {
    let components = definition.items("component").iter();
    Some(SearchParameter {
        url: some_text(definition, "url")?,
        code: some_text(definition, "code")?,
        base: texts(definition, "base"),
        kind: SearchKind::from_code(definition.text("type")?)?,
        expression: text(definition, "expression"),
        targets: texts(definition, "target"),
        components: components
            .map(|one| SearchComponent {
                definition: without_version(&text(one, "definition")).into(),
                expression: text(one, "expression"),
            })
            .collect(),
    })
}

fn compartment(definition: &Node) -> Option<Compartment> {
    let members = definition.items("resource").iter().map(|entry| (text(entry, "code"), texts(entry, "param")));
    Some(Compartment { code: some_text(definition, "code")?, members: members.filter(|(_, codes)| !codes.is_empty()).collect() })
}

#[cfg(test)]
mod tests;
