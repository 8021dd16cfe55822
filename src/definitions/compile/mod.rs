//! Turns the FHIR JSON of a package into a [`Pack`]. `build.rs` runs this for the embedded packages, the library for those that are added.
//!
//! What the model has no place for is passed over; a definition that lacks what makes it usable (a URL, a known code) is left out.

mod type_tables;

use super::model::*;
use crate::fhir::types::{Binding, BindingPurpose, BindingStrength, Constraint, FurtherBinding, UNBOUNDED};
use crate::fhir::{Node, Object, json};
use compact_str::CompactString;

/// How deep a code system's hierarchy may nest; concepts below are left out.
const HIERARCHY_DEPTH_MAX: usize = 64;

/// The extension that names the largest value set codes may come from.
const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";

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

fn structure(definition: &Node) -> Option<Structure> {
    let kind = match definition.text("kind")? {
        "primitive-type" => StructureKind::Primitive,
        "complex-type" => StructureKind::Complex,
        "resource" => StructureKind::Resource,
        _ => StructureKind::Logical,
    };
    let listed = |view: &str| definition.get(view).map(|view| view.items("element")).filter(|elements| !elements.is_empty());
    let snapshot = listed("snapshot");
    let elements = snapshot.or_else(|| listed("differential")).unwrap_or_default();
    let mut structure = Structure {
        url: some_text(definition, "url")?,
        version: text(definition, "version"),
        name: text(definition, "name"),
        type_name: text(definition, "type"),
        kind,
        is_abstract: flag(definition, "abstract"),
        is_constraint: definition.text("derivation") == Some("constraint"),
        base: some_text(definition, "baseDefinition"),
        contexts: definition.items("context").iter().filter_map(context).collect(),
        context_invariants: texts(definition, "contextInvariant"),
        imposed: definition.items("extension").iter().filter_map(imposed).collect(),
        is_differential: snapshot.is_none(),
        elements: elements.iter().map(element).collect(),
    };
    if !structure.is_differential {
        // Nothing stands behind a snapshot that could name the value set.
        for element in &mut structure.elements {
            element.binding.take_if(|binding| binding.value_set.is_empty());
        }
    }
    if kind == StructureKind::Resource {
        give_id_its_type(&mut structure, "id");
    } else if structure.type_name == "ElementDefinition" {
        // R5 says `id`, and writes longer ones with ':' and '/' in them itself.
        give_id_its_type(&mut structure, "string");
    }
    Some(structure)
}

/// R4 says that `Resource.id` is a string; its own text, its regular expression and every later release say `id`.
fn give_id_its_type(structure: &mut Structure, code: &str) {
    let path = format!("{}.id", structure.type_name);
    if let Some(id) = structure.elements.iter_mut().find(|element| element.path == path) {
        id.types = vec![ProfileType { code: code.into(), profiles: vec![], target_profiles: vec![], aggregation: vec![] }];
    }
}

fn context(context: &Node) -> Option<ExtensionContext> {
    let kind = match context.text("type")? {
        "fhirpath" => ContextKind::FhirPath,
        "element" => ContextKind::Element,
        "extension" => ContextKind::Extension,
        _ => return None,
    };
    Some(ExtensionContext { kind, expression: text(context, "expression") })
}

/// A further profile that what meets this one must meet.
pub fn imposed(extension: &Node) -> Option<CompactString> {
    let name = extension.text("url")?.strip_prefix("http://hl7.org/fhir/StructureDefinition/structuredefinition-")?;
    let url = ["valueCanonical", "valueUri"].iter().find_map(|member| extension.text(member));
    url.filter(|_| matches!(name, "imposeProfile" | "dependencies")).map(CompactString::from)
}

fn element(element: &Node) -> ProfileElement {
    let path = text(element, "path");
    ProfileElement {
        id: some_text(element, "id").unwrap_or_else(|| path.clone()),
        path,
        slice_name: some_text(element, "sliceName"),
        min: number(element, "min").unwrap_or(0),
        max: match element.text("max") {
            Some("*") | None => UNBOUNDED,
            Some(max) => max.parse().unwrap_or(UNBOUNDED),
        },
        types: element.items("type").iter().map(profile_type).collect(),
        binding: element.get("binding").and_then(binding),
        constraints: element.items("constraint").iter().filter_map(constraint).collect(),
        content_reference: some_text(element, "contentReference"),
        slicing: element.get("slicing").map(slicing),
        fixed: typed(element, "fixed"),
        pattern: typed(element, "pattern"),
        min_value: typed(element, "minValue"),
        max_value: typed(element, "maxValue"),
        max_length: number(element, "maxLength"),
        must_support: flag(element, "mustSupport"),
        is_modifier: flag(element, "isModifier"),
        is_summary: flag(element, "isSummary"),
        controls: element.items("extension").iter().filter_map(control).collect(),
    }
}

/// Extensions of an ElementDefinition that change what is checked.
const CONTROLS: [&str; 8] = [
    "narrative-source-control",
    "narrative-language-control",
    "extension-ElementDefinition.valueAlternatives",
    "extension-ElementDefinition.mustHaveValue",
    "regex",
    "minLength",
    "maxSize",
    "maxDecimalPlaces",
];

/// The name and value of an extension of an ElementDefinition that changes what is checked.
pub fn control(extension: &Node) -> Option<(CompactString, CompactString)> {
    let name = extension.text("url")?.rsplit('/').next()?;
    let members = extension.as_object().map(Object::members).unwrap_or_default();
    let value = &members.iter().find(|member| member.name.starts_with("value"))?.node;
    let value =
        value.as_text().or_else(|| value.as_number()).or_else(|| value.as_bool().map(|flag| if flag { "true" } else { "false" }))?;
    CONTROLS.contains(&name).then(|| (name.into(), value.into()))
}

fn number(node: &Node, name: &str) -> Option<u32> {
    node.get(name)?.as_number()?.parse().ok()
}

/// How FHIRPath's own types are named; one element of R4 (`xhtml.id`) has no FHIR type beside it.
const SYSTEM_STRING: &str = "http://hl7.org/fhirpath/System.String";

fn profile_type(type_use: &Node) -> ProfileType {
    let code = type_use.text("code").unwrap_or_default();
    ProfileType {
        code: if code == SYSTEM_STRING { fhir_type(type_use) } else { code }.into(),
        profiles: texts(type_use, "profile"),
        target_profiles: texts(type_use, "targetProfile"),
        aggregation: texts(type_use, "aggregation"),
    }
}

/// The FHIR type that stands for FHIRPath's string: an extension says so (`structuredefinition-fhir-type`).
fn fhir_type(type_use: &Node) -> &str {
    let named = |extension: &Node| extension.text("url").is_some_and(|url| url.ends_with("/structuredefinition-fhir-type"));
    let extension = type_use.items("extension").iter().find(|extension| named(extension));
    extension.and_then(|extension| extension.text("valueUrl").or_else(|| extension.text("valueUri"))).unwrap_or("string")
}

fn binding(binding: &Node) -> Option<Binding> {
    let strength = match binding.text("strength")? {
        "required" => BindingStrength::Required,
        "extensible" => BindingStrength::Extensible,
        "preferred" => BindingStrength::Preferred,
        _ => BindingStrength::Example,
    };
    Some(Binding { strength, value_set: text(binding, "valueSet"), further: further_bindings(binding) })
}

/// R4 states a further value set in extensions, R5 in an element of its own.
fn further_bindings(binding: &Node) -> Vec<FurtherBinding> {
    let mut further: Vec<FurtherBinding> = Vec::new();
    let mut add = |purpose: Option<&str>, value_set: Option<&str>, is_conditional: bool| {
        let purpose = match purpose {
            Some("maximum") => BindingPurpose::Maximum,
            Some("required" | "current") => BindingPurpose::Required,
            Some("extensible") => BindingPurpose::Extensible,
            Some("preferred") => BindingPurpose::Preferred,
            _ => return,
        };
        // Where a binding depends on a context of use, whether it applies is not known here.
        if let Some(value_set) = value_set.filter(|_| !is_conditional) {
            further.push(FurtherBinding { purpose, value_set: value_set.into() });
        }
    };
    for extension in binding.items("extension") {
        match extension.text("url").unwrap_or_default() {
            MAX_VALUE_SET => add(Some("maximum"), extension.text("valueCanonical").or_else(|| extension.text("valueUri")), false),
            url if url.ends_with("/additional-binding") => {
                let part = |name: &str| extension.items("extension").iter().find(|part| part.text("url") == Some(name));
                let value_set = part("valueSet").and_then(|part| part.text("valueCanonical"));
                add(part("purpose").and_then(|part| part.text("valueCode")), value_set, part("usage").is_some());
            }
            _ => {}
        }
    }
    for additional in binding.items("additional") {
        add(additional.text("purpose"), additional.text("valueSet"), !additional.items("usage").is_empty());
    }
    further
}

fn constraint(constraint: &Node) -> Option<Constraint> {
    Some(Constraint {
        key: some_text(constraint, "key")?,
        is_error: constraint.text("severity") != Some("warning"),
        expression: some_text(constraint, "expression")?,
        best_practice: constraint.items("extension").iter().any(|extension| flag(extension, "valueBoolean")),
    })
}

fn slicing(slicing: &Node) -> Slicing {
    let discriminators = slicing.items("discriminator").iter();
    Slicing {
        discriminators: discriminators.map(|one| Discriminator { kind: text(one, "type"), path: text(one, "path") }).collect(),
        ordered: flag(slicing, "ordered"),
        rules: text(slicing, "rules"),
    }
}

/// The value of a choice member: `fixedCode` gives type `code`. Primitive names are lower case, and no other type begins like one.
fn typed(element: &Node, prefix: &str) -> Option<TypedJson> {
    let members = element.as_object().map(Object::members).unwrap_or_default();
    members.iter().find_map(|member| {
        let name = member.name.strip_prefix(prefix).filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))?;
        Some(TypedJson { type_name: type_name(name), json: json::write(&member.node) })
    })
}

const CAPITALISED_PRIMITIVES: [(&str, &str); 20] = [
    ("Base64Binary", "base64Binary"),
    ("Boolean", "boolean"),
    ("Canonical", "canonical"),
    ("Code", "code"),
    ("Date", "date"),
    ("DateTime", "dateTime"),
    ("Decimal", "decimal"),
    ("Id", "id"),
    ("Instant", "instant"),
    ("Integer", "integer"),
    ("Integer64", "integer64"),
    ("Markdown", "markdown"),
    ("Oid", "oid"),
    ("PositiveInt", "positiveInt"),
    ("String", "string"),
    ("Time", "time"),
    ("UnsignedInt", "unsignedInt"),
    ("Uri", "uri"),
    ("Url", "url"),
    ("Uuid", "uuid"),
];

fn type_name(capitalised: &str) -> CompactString {
    let primitive = CAPITALISED_PRIMITIVES.iter().find(|(name, _)| *name == capitalised);
    primitive.map_or(capitalised, |(_, name)| name).into()
}

fn value_set(definition: &Node) -> Option<ValueSet> {
    definition.text("url").map(|_| contained_set(definition))
}

/// A value set that needs no URL, because it is contained in what refers to it.
pub fn contained_set(definition: &Node) -> ValueSet {
    let mut set = ValueSet { url: text(definition, "url"), version: text(definition, "version"), ..ValueSet::default() };
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
    GivenExpansion { is_whole: !is_cut && total.is_none_or(|total| total <= listed), sets }
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

fn code_system(definition: &Node) -> Option<CodeSystem> {
    let mut system = CodeSystem {
        url: some_text(definition, "url")?,
        version: text(definition, "version"),
        content: content(definition),
        case_sensitive: definition.get("caseSensitive").and_then(Node::as_bool).unwrap_or(true),
        supplements: definition.text("supplements").map(|url| without_version(url).into()),
        properties: definition.items("property").iter().map(property_definition).collect(),
        filters: definition.items("filter").iter().map(|filter| text(filter, "code")).collect(),
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

/// The URI of a property that FHIR defines, before its name.
const CONCEPT_PROPERTIES: &str = "http://hl7.org/fhir/concept-properties#";

/// Finds the concepts that are out of use by the properties `inactive` and `status`, whatever the system calls them.
fn mark_inactive(system: &mut CodeSystem) {
    let called = |known: &str| {
        let by_uri = |one: &&PropertyDefinition| one.uri.as_deref().and_then(|uri| uri.strip_prefix(CONCEPT_PROPERTIES)) == Some(known);
        system.properties.iter().find(by_uri).map_or(CompactString::from(known), |one| one.code.clone())
    };
    let (inactive, status) = (called("inactive"), called("status"));
    for concept in &mut system.concepts {
        let is_out = |(name, value): &(CompactString, CompactString)| {
            (*name == inactive && value == "true") || (*name == status && matches!(value.as_str(), "retired" | "inactive"))
        };
        concept.is_inactive = concept.properties.iter().any(is_out);
    }
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
