//! ValueSets and CodeSystems.

use super::super::model::*;
use super::{flag, some_text, text, texts, without_version};
use crate::fhir::Node;
use compact_str::CompactString;

/// The extension that names a supplement.
const SUPPLEMENT: &str = "http://hl7.org/fhir/StructureDefinition/valueset-supplement";

/// How deep a code system's hierarchy may nest; concepts below are left out.
const HIERARCHY_DEPTH_MAX: usize = 64;

/// What a ValueSet says, if it can be referred to.
pub fn value_set(definition: &Node) -> Option<ValueSet> {
    definition.text("url").map(|_| contained_set(definition))
}

/// A value set that needs no URL, because it is contained in what refers to it.
pub fn contained_set(definition: &Node) -> ValueSet {
    let supplements = supplements(definition);
    let mut set = ValueSet { url: text(definition, "url"), version: text(definition, "version"), supplements, ..ValueSet::default() };
    match (definition.get("compose"), definition.get("expansion")) {
        (Some(compose), expansion) => {
            set.include = compose.items("include").iter().map(concept_set).collect();
            set.exclude = compose.items("exclude").iter().map(concept_set).collect();
            set.active_only = compose.get("inactive").and_then(Node::as_bool) == Some(false);
            set.expansion = expansion.map(given_expansion);
        }
        (None, Some(expansion)) => add_expansion(expansion.items("contains"), &mut set.include, 0),
        (None, None) => {}
    }
    set
}

/// What a value set says that it needs beside its code systems.
fn supplements(definition: &Node) -> Vec<CompactString> {
    let all = definition.items("extension").iter().filter(|one| one.text("url") == Some(SUPPLEMENT));
    all.filter_map(|one| some_text(one, "valueCanonical")).collect()
}

fn given_expansion(expansion: &Node) -> GivenExpansion {
    let mut sets = Vec::new();
    add_expansion(expansion.items("contains"), &mut sets, 0);
    let listed: usize = sets.iter().map(|set| set.concepts.len()).sum();
    let total = expansion.get("total").and_then(Node::as_number).and_then(|total| total.parse::<usize>().ok());
    let is_cut = expansion
        .items("parameter")
        .iter()
        .any(|parameter| matches!(parameter.text("name"), Some("count" | "offset" | "filter" | "limitedExpansion")))
        || expansion.items("extension").iter().any(|extension| {
            extension.text("url").is_some_and(|url| url.ends_with("valueset-toocostly") || url.ends_with("valueset-unclosed"))
        });
    let outermost = expansion.items("contains").len();
    GivenExpansion { is_whole: !is_cut && total.is_none_or(|total| total <= listed), outermost, sets }
}

fn concept_set(set: &Node) -> ConceptSet {
    ConceptSet {
        system: some_text(set, "system"),
        version: some_text(set, "version"),
        concepts: set.items("concept").iter().map(|one| concept(one, text(one, "code"))).collect(),
        filters: set
            .items("filter")
            .iter()
            .map(|filter| Filter { property: text(filter, "property"), op: text(filter, "op"), value: text(filter, "value") })
            .collect(),
        value_sets: texts(set, "valueSet"),
    }
}

fn concept(node: &Node, code: CompactString) -> Concept {
    let designations = node.items("designation").iter().filter_map(|one| some_text(one, "value")).collect();
    Concept { code, display: some_text(node, "display"), designations }
}

/// An expansion read as a list of codes, one set per system in order of appearance.
fn add_expansion(contains: &[Node], sets: &mut Vec<ConceptSet>, depth: usize) {
    if depth == HIERARCHY_DEPTH_MAX {
        return;
    }
    for item in contains {
        if let (Some(code), false) = (some_text(item, "code"), flag(item, "abstract")) {
            let system = some_text(item, "system");
            let concept = concept(item, code);
            match sets.iter_mut().find(|set| set.system == system) {
                Some(set) => set.concepts.push(concept),
                None => sets.push(ConceptSet { system, concepts: vec![concept], ..ConceptSet::default() }),
            }
        }
        add_expansion(item.items("contains"), sets, depth + 1);
    }
}

/// What a CodeSystem says, if it can be referred to.
pub fn code_system(definition: &Node) -> Option<CodeSystem> {
    let mut system = CodeSystem {
        url: some_text(definition, "url")?,
        version: text(definition, "version"),
        content: content(definition),
        case_sensitive: definition.get("caseSensitive").and_then(Node::as_bool).unwrap_or(true),
        language: some_text(definition, "language"),
        supplements: definition.text("supplements").map(|url| without_version(url).into()),
        properties: definition.items("property").iter().map(property_definition).collect(),
        filters: definition.items("filter").iter().map(filter_definition).collect(),
        hierarchy: some_text(definition, "hierarchyMeaning"),
        count: definition.get("count").and_then(Node::as_number).and_then(|count| count.parse().ok()),
        concepts: Vec::new(),
    };
    add_concepts(definition.items("concept"), None, &mut system.concepts, 0);
    link_by_property(&mut system.concepts);
    mark_inactive(&mut system);
    Some(system)
}

fn property_definition(property: &Node) -> PropertyDefinition {
    PropertyDefinition { code: text(property, "code"), uri: some_text(property, "uri"), kind: text(property, "type") }
}

fn filter_definition(filter: &Node) -> FilterDefinition {
    FilterDefinition { code: text(filter, "code"), operators: texts(filter, "operator") }
}

/// Two R4 code systems leave out the required `content`; what they list is then a fragment.
fn content(definition: &Node) -> Content {
    match definition.text("content") {
        Some("complete") => Content::Complete,
        Some("example") => Content::Example,
        Some("supplement") => Content::Supplement,
        Some("not-present") => Content::NotPresent,
        _ if definition.items("concept").is_empty() => Content::NotPresent,
        _ => Content::Fragment,
    }
}

fn add_concepts(nodes: &[Node], parent: Option<u32>, concepts: &mut Vec<SystemConcept>, depth: usize) {
    if depth == HIERARCHY_DEPTH_MAX {
        return;
    }
    for node in nodes {
        let index = u32::try_from(concepts.len()).unwrap_or(u32::MAX);
        concepts.push(SystemConcept {
            code: text(node, "code"),
            display: some_text(node, "display"),
            designations: node.items("designation").iter().filter_map(designation).collect(),
            parents: parent.into_iter().collect(),
            is_inactive: false,
            properties: node.items("property").iter().filter_map(property).collect(),
        });
        add_concepts(node.items("concept"), Some(index), concepts, depth + 1);
    }
}

fn property(property: &Node) -> Option<(CompactString, CompactString)> {
    let members = property.as_object()?.members();
    let value = &members.iter().find(|member| member.name.starts_with("value"))?.node;
    let value = match (value.as_text(), value.as_number(), value.as_bool()) {
        (Some(text), ..) => CompactString::from(text),
        (_, Some(number), _) => number.into(),
        (.., Some(flag)) => if flag { "true" } else { "false" }.into(),
        _ => some_text(value, "code")?,
    };
    Some((text(property, "code"), value))
}

fn designation(node: &Node) -> Option<Designation> {
    Some(Designation { language: some_text(node, "language"), value: some_text(node, "value")? })
}

/// Hierarchies are also written as properties: `child` at the parent, `parent` and `subsumedBy` at the child.
fn link_by_property(concepts: &mut [SystemConcept]) {
    let by_code: std::collections::HashMap<CompactString, u32> =
        (0..).zip(concepts.iter()).map(|(index, one)| (one.code.clone(), index)).collect();
    let mut links: Vec<(u32, u32)> = Vec::new();
    for (index, concept) in (0..).zip(concepts.iter()) {
        for (name, value) in &concept.properties {
            match (name.as_str(), by_code.get(value)) {
                ("child", Some(&child)) => links.push((index, child)),
                ("parent" | "subsumedBy", Some(&parent)) => links.push((parent, index)),
                _ => {}
            }
        }
    }
    for (parent, child) in links {
        if let Some(concept) = concepts.get_mut(child as usize).filter(|concept| parent != child && !concept.parents.contains(&parent)) {
            concept.parents.push(parent);
        }
    }
    for concept in concepts {
        concept.properties.retain(|(name, _)| !matches!(name.as_str(), "child" | "parent" | "subsumedBy"));
    }
}

/// Finds the concepts that are out of use by the properties `inactive` and `status`, whatever the system calls them.
fn mark_inactive(system: &mut CodeSystem) {
    let called = |known: &'static str| CompactString::from(system.property_called(known));
    let (inactive, status) = (called("inactive"), called("status"));
    for concept in &mut system.concepts {
        let is_out = |(name, value): &(CompactString, CompactString)| {
            (*name == inactive && value == "true") || (*name == status && matches!(value.as_str(), "retired" | "inactive"))
        };
        concept.is_inactive = concept.properties.iter().any(is_out);
    }
}
