//! Which facts of a definition are kept, and in which shape.
//!
//! The result is still FHIR JSON, so that any FHIR tool reads it, but members stand in one fixed order and prose is gone:
//! two sources that state the same facts trim to equal documents.

use super::super::compile;
use crate::fhir::{Node, Object};

/// A definition's facts, or `None` for a resource that defines nothing a machine checks.
pub fn facts(resource: &Node) -> Option<Object> {
    match resource.resource_type()? {
        "StructureDefinition" => structure(resource),
        "ValueSet" => Some(value_set(resource)),
        "CodeSystem" => Some(code_system(resource)),
        "SearchParameter" => Some(search_parameter(resource)),
        "CompartmentDefinition" => Some(compartment(resource)),
        _ => None,
    }
}

/// The extension that says which FHIR type a FHIRPath system type stands for.
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
/// How FHIRPath system types are named in `ElementDefinition.type.code`.
const SYSTEM_TYPES: &str = "http://hl7.org/fhirpath/System.";
/// How the extensions end that say that an expansion is not whole.
const CUT_SHORT: [&str; 2] = ["valueset-toocostly", "valueset-unclosed"];
const BEST_PRACTICE: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice";
const ADDITIONAL_BINDING: &str = "/additional-binding";
const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";

/// Builds an object by copying members of a source in a chosen order.
struct Selection<'a> {
    source: &'a Node,
    object: Object,
}

impl<'a> Selection<'a> {
    fn of(source: &'a Node) -> Selection<'a> {
        Selection { source, object: Object::new() }
    }

    /// A resource's type, URL and version. Two R4 code systems carry their version in the URL; it is moved to where it belongs.
    fn of_definition(source: &'a Node) -> Selection<'a> {
        let url = source.text("url").unwrap_or_default();
        let (url, version) = match url.split_once('|') {
            Some((url, version)) => (url, Some(version)),
            None => (url, source.text("version")),
        };
        let object = Object::resource(source.resource_type().unwrap_or_default()).with("url", url).with_some("version", version);
        Selection { source, object }
    }

    fn copy(mut self, names: &[&str]) -> Self {
        for name in names {
            if let Some(node) = self.source.get(name) {
                self.object.set(name, node.clone());
            }
        }
        self
    }

    /// Copies booleans that are true; false is what absence means.
    fn copy_true(mut self, names: &[&str]) -> Self {
        for name in names {
            if self.source.get(name).and_then(Node::as_bool) == Some(true) {
                self.object.set(name, true);
            }
        }
        self
    }

    /// Copies the members of a choice: `fixed` takes `fixedCode`, `fixedUri`, …
    fn copy_choice(mut self, prefix: &str) -> Self {
        for member in self.source.as_object().map(Object::members).unwrap_or_default() {
            let is_choice = member.name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
            if is_choice {
                self.object.set(&member.name, member.node.clone());
            }
        }
        self
    }

    fn copy_one(mut self, name: &str, trim: impl Fn(&Node) -> Object) -> Self {
        if let Some(node) = self.source.get(name) {
            self.object.set(name, trim(node));
        }
        self
    }

    fn copy_list(mut self, name: &str, trim: impl Fn(&Node) -> Object) -> Self {
        let items: Vec<Node> = self.source.items(name).iter().map(|item| trim(item).into()).collect();
        if !items.is_empty() {
            self.object.set(name, items);
        }
        self
    }

    fn set(mut self, name: &str, node: Option<impl Into<Node>>) -> Self {
        if let Some(node) = node {
            self.object.set(name, node);
        }
        self
    }

    fn done(self) -> Object {
        self.object
    }
}

/// Definitions of single elements (`Patient.name` as a definition of its own) repeat what their type says and are left out.
fn structure(resource: &Node) -> Option<Object> {
    let url = resource.text("url")?;
    let last = url.rsplit('/').next().unwrap_or_default();
    if resource.text("type").is_some_and(|type_name| type_name.contains('.')) {
        return None;
    }
    let elements = |list: &Node| Selection::of(list).copy_list("element", |item| element(item, last)).done();
    let facts = Selection::of_definition(resource)
        .copy(&["name", "kind", "abstract"])
        .copy_list("context", |context| {
            let releases = extensions(context, compile::structures::is_of_releases);
            Selection::of(context).copy(&["type", "expression"]).set("extension", releases).done()
        })
        .copy(&["contextInvariant", "type", "baseDefinition", "derivation"])
        .set("extension", extensions(resource, |extension| compile::structures::imposed(extension).is_some()))
        .copy_one("snapshot", elements);
    // A snapshot says all that a differential says; a differential alone is kept for snapshot generation.
    Some(if resource.get("snapshot").is_some() { facts.done() } else { facts.copy_one("differential", elements).done() })
}

fn element(element: &Node, definition: &str) -> Object {
    let path = element.text("path");
    Selection::of(element)
        .set("id", element.text("id").filter(|id| Some(*id) != path))
        .set("extension", extensions(element, |extension| compile::structures::control(extension).is_some()))
        .copy(&["path", "sliceName"])
        .copy_one("slicing", |slicing| {
            Selection::of(slicing)
                .copy_list("discriminator", |discriminator| Selection::of(discriminator).copy(&["type", "path"]).done())
                .copy_true(&["ordered"])
                .copy(&["rules"])
                .done()
        })
        .copy(&["min", "max", "contentReference"])
        .copy_list("type", element_type)
        .copy_choice("fixed")
        .copy_choice("pattern")
        .copy_choice("minValue")
        .copy_choice("maxValue")
        .copy(&["maxLength"])
        .set("constraint", constraints(element, definition))
        .copy_true(&["mustSupport", "isModifier", "isSummary"])
        .copy_one("binding", binding)
        .done()
}

fn element_type(type_use: &Node) -> Object {
    let code = type_use.text("code").unwrap_or_default();
    let stated = extension_text(type_use, FHIR_TYPE);
    let code = if code.starts_with(SYSTEM_TYPES) { stated.unwrap_or(code) } else { code };
    Selection::of(type_use).set("code", Some(code)).copy(&["profile", "targetProfile", "aggregation"]).done()
}

/// The extensions that are looked for, with their values.
fn extensions(holder: &Node, is_looked_for: impl Fn(&Node) -> bool) -> Option<Vec<Node>> {
    let found = holder.items("extension").iter().filter(|extension| is_looked_for(extension));
    let kept: Vec<Node> = found.map(|extension| Selection::of(extension).copy(&["url"]).copy_choice("value").done().into()).collect();
    (!kept.is_empty()).then_some(kept)
}

fn binding(binding: &Node) -> Object {
    let mut further = extensions(binding, |extension| extension.text("url") == Some(MAX_VALUE_SET)).unwrap_or_default();
    let additional =
        binding.items("extension").iter().filter(|extension| extension.text("url").is_some_and(|url| url.ends_with(ADDITIONAL_BINDING)));
    further.extend(additional.map(|extension| {
        let parts = extensions(extension, |part| matches!(part.text("url"), Some("purpose" | "valueSet" | "usage")));
        Node::from(Selection::of(extension).copy(&["url"]).set("extension", parts).done())
    }));
    Selection::of(binding)
        .set("extension", (!further.is_empty()).then_some(further))
        .copy(&["strength", "valueSet"])
        .copy_list("additional", |additional| Selection::of(additional).copy(&["purpose", "valueSet", "usage"]).done())
        .done()
}

/// Every element restates `ele-1` of `Element`, and every extension `ext-1` of `Extension`. They are kept where they are defined.
fn constraints(element: &Node, definition: &str) -> Option<Vec<Node>> {
    let restated = |key: &str| (key == "ele-1" && definition != "Element") || (key == "ext-1" && definition != "Extension");
    let kept: Vec<Node> = element
        .items("constraint")
        .iter()
        .filter(|constraint| !constraint.text("key").is_some_and(restated))
        .map(|constraint| {
            let practice = constraint.items("extension").iter().find(|extension| extension.text("url") == Some(BEST_PRACTICE));
            let practice =
                practice.map(|extension| Node::from(vec![Selection::of(extension).copy(&["url", "valueBoolean"]).done().into()]));
            Selection::of(constraint).set("extension", practice).copy(&["key", "severity", "expression"]).done().into()
        })
        .collect();
    (!kept.is_empty()).then_some(kept)
}

fn extension_text<'a>(node: &'a Node, url: &str) -> Option<&'a str> {
    let extension = node.items("extension").iter().find(|extension| extension.text("url") == Some(url))?;
    extension.as_object()?.members().iter().find(|member| member.name.starts_with("value"))?.node.as_text()
}

fn value_set(resource: &Node) -> Object {
    let compose = |compose: &Node| {
        Selection::of(compose).copy(&["inactive"]).copy_list("include", concept_set).copy_list("exclude", concept_set).done()
    };
    Selection::of_definition(resource).copy_one("compose", compose).copy_one("expansion", expansion).done()
}

/// The codes of an expansion, with what says whether they are all.
fn expansion(expansion: &Node) -> Object {
    let says_cut = |extension: &Node| extension.text("url").is_some_and(|url| CUT_SHORT.iter().any(|name| url.ends_with(name)));
    Selection::of(expansion)
        .set("extension", extensions(expansion, says_cut))
        .copy(&["total"])
        .copy_list("parameter", |parameter| Selection::of(parameter).copy(&["name"]).done())
        .copy_list("contains", contains)
        .done()
}

fn concept_set(set: &Node) -> Object {
    Selection::of(set)
        .copy(&["system", "version"])
        .copy_list("concept", |concept| Selection::of(concept).copy(&["code", "display"]).copy_list("designation", designation).done())
        .copy_list("filter", |filter| Selection::of(filter).copy(&["property", "op", "value"]).done())
        .copy(&["valueSet"])
        .done()
}

fn contains(item: &Node) -> Object {
    Selection::of(item)
        .copy(&["system", "abstract", "version", "code", "display"])
        .copy_list("designation", designation)
        .copy_list("contains", contains)
        .done()
}

/// Another name of a code, with its language.
fn designation(designation: &Node) -> Object {
    Selection::of(designation).copy(&["language", "value"]).done()
}

fn code_system(resource: &Node) -> Object {
    // Displays are in English where nothing else is said, so English need not be.
    let is_other = resource.text("language").is_some_and(|language| language.split('-').next() != Some("en"));
    Selection::of_definition(resource)
        .copy(if is_other { &["language"] } else { &[] })
        .copy(&["caseSensitive", "valueSet", "hierarchyMeaning", "content", "supplements"])
        .copy_list("filter", |filter| Selection::of(filter).copy(&["code", "operator"]).done())
        .copy_list("property", |property| Selection::of(property).copy(&["code", "uri", "type"]).done())
        .copy_list("concept", system_concept)
        .done()
}

fn system_concept(concept: &Node) -> Object {
    let properties: Vec<Node> = concept
        .items("property")
        .iter()
        .filter(|property| property.text("code") != Some("deprecationDate"))
        .map(|property| Selection::of(property).copy(&["code"]).copy_choice("value").done().into())
        .collect();
    Selection::of(concept)
        .copy(&["code", "display"])
        .copy_list("designation", designation)
        .set("property", (!properties.is_empty()).then_some(properties))
        .copy_list("concept", system_concept)
        .done()
}

fn search_parameter(resource: &Node) -> Object {
    Selection::of_definition(resource)
        .copy(&["code", "base", "type"])
        .set("expression", resource.text("expression").map(of_type))
        .copy(&["target", "comparator", "modifier", "chain"])
        .copy_list("component", |component| {
            Selection::of(component).copy(&["definition"]).set("expression", component.text("expression").map(of_type)).done()
        })
        .done()
}

/// Writes `x as T` and `x.as(T)` as `x.ofType(T)`. A search expression selects what has the type; `as` over several values is an error
/// in FHIRPath, and sources differ in which they write.
fn of_type(expression: &str) -> String {
    let mut parts = expression.split(" as ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(part.len());
        let (type_name, rest) = part.split_at(end);
        text.push_str(&format!(".ofType({type_name}){rest}"));
    }
    text.replace(".as(", ".ofType(")
}

fn compartment(resource: &Node) -> Object {
    Selection::of_definition(resource)
        .copy(&["code"])
        .copy_list("resource", |entry| Selection::of(entry).copy(&["code", "param"]).done())
        .done()
}
