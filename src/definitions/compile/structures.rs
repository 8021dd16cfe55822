//! StructureDefinitions: their elements, with what each asks.

use super::super::model::*;
use super::{flag, some_text, text, texts};
use crate::fhir::types::{Binding, BindingPurpose, BindingStrength, Constraint, FurtherBinding, UNBOUNDED};
use crate::fhir::{Node, Object, json};
use compact_str::{CompactString, format_compact};

/// The extension that names the largest value set codes may come from.
const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";

/// The extension that says of a rule that it is good practice, and no more.
const BEST_PRACTICE: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice";

/// The extension that says which element of a profile is meant where the profile stands.
const PROFILE_ELEMENT: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element";

/// What a StructureDefinition says, if it can be used.
pub fn structure(definition: &Node) -> Option<Structure> {
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
    Some(ExtensionContext { kind, expression: text(context, "expression"), releases: releases(context) })
}

/// Whether an extension says for which releases of FHIR what it stands on is.
pub fn is_of_releases(extension: &Node) -> bool {
    extension.text("url") == Some("http://hl7.org/fhir/StructureDefinition/version-specific-use")
}

fn releases(context: &Node) -> [Option<CompactString>; 2] {
    let stated = context.items("extension").iter().find(|one| is_of_releases(one));
    ["startFhirVersion", "endFhirVersion"].map(|name| {
        let part = stated?.items("extension").iter().find(|part| part.text("url") == Some(name))?;
        part.text("valueCode").or_else(|| part.text("valueString")).map(CompactString::from)
    })
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
        profiles: type_profiles(type_use),
        target_profiles: texts(type_use, "targetProfile"),
        aggregation: texts(type_use, "aggregation"),
    }
}

/// The profiles of a type. One that means a single element of the profile has the element's id behind it: `url#Composition.section:plan`.
fn type_profiles(type_use: &Node) -> Vec<CompactString> {
    let extended = type_use.items("_profile");
    let element_of = |index: usize| {
        let extensions = extended.get(index).map(|one| one.items("extension")).unwrap_or_default();
        extensions.iter().find(|one| one.text("url") == Some(PROFILE_ELEMENT)).and_then(|one| one.text("valueString"))
    };
    let stated = texts(type_use, "profile").into_iter().enumerate();
    stated.map(|(index, url)| element_of(index).map(|id| format_compact!("{url}#{id}")).unwrap_or(url)).collect()
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
            Some("required") => BindingPurpose::Required,
            // What is recorded now is of this set; what was before need not be, and nothing tells them apart.
            Some("extensible" | "current") => BindingPurpose::Extensible,
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
        best_practice: constraint.items("extension").iter().any(is_best_practice),
    })
}

fn is_best_practice(extension: &Node) -> bool {
    extension.text("url") == Some(BEST_PRACTICE) && flag(extension, "valueBoolean")
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
