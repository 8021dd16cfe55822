//! One walk over a resource that knows the type of every element and brings each to the rules that are about it.
//!
//! Types come from the type table. Where that has no answer (an element the release does not know), the element's name and shape decide, so that
//! a reference in a place nobody expected is still resolved.

use super::path::Path;
use super::record::{MAX_MEMBERS, Work};
use super::rule;
use super::rules::{
    code_sanity, coding_systems, comparators, contained, dates, decimals, extensions, free_text_codes, identifier_systems, local_codes,
    narrative, numeric_text, primary_coding, references, sentinels, status, strings, unit_context, units,
};
use super::vocabulary::{ORIGINAL_VALUE, QUANTITY_TRANSLATION};
use crate::fhir::types::{ElementId, TypeTable};
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;

/// How deep the walk goes. The parser's own limit is lower; this one holds for trees that were built otherwise.
const MAX_DEPTH: u16 = 200;

/// What is known of an element: its FHIR type, and where its children are found in the type table.
#[derive(Clone, Copy)]
pub(super) struct Kind<'t> {
    pub name: &'t str,
    content: Option<ElementId>,
    /// The member's name, when the type was guessed from it and from the shape; the items of a list are then guessed one by one.
    guessed_from: Option<&'t str>,
}

impl Kind<'_> {
    /// Whether the type table says what the element is and which members it may have.
    fn is_certain(self) -> bool {
        self.content.is_some() && self.guessed_from.is_none()
    }
}

/// The profile of Quantity that R4 asks of many an element.
const SIMPLE_QUANTITY: &str = "SimpleQuantity";

/// What surrounds an element.
#[derive(Clone, Copy, Default)]
struct Scope {
    depth: u16,
    /// Inside a Bundle or Parameters: references are the container's own business.
    enclosed: bool,
    /// Inside a narrative, an attachment, a signature or a preserved original: text keeps every byte.
    verbatim: bool,
    /// Inside a translation of a quantity: its unit is the vendor's on purpose.
    translation: bool,
    /// An item of a list: nothing can be kept beside it.
    listed: bool,
    /// What is not R4's is not named by element: rule 4 has refused the whole.
    refused: bool,
}

/// Walks a resource and applies the rules of single elements.
pub(super) fn resource(object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let name = object.get("resourceType").and_then(Node::as_text).unwrap_or_default().to_owned();
    let refused = work.findings.iter().any(Finding::is_error);
    let scope = Scope { enclosed: matches!(name.as_str(), "Bundle" | "Parameters"), refused, ..Scope::default() };
    resource_in(object, &name, path, scope, work);
    contained::check(object, path, work);
}

fn resource_in(object: &mut Object, name: &str, path: &Path<'_>, scope: Scope, work: &mut Work<'_>) {
    // JSON does not ask for it, but readers that go through a document once have to know the type first.
    object.lead_with("resourceType");
    let types = work.context.types;
    let content = types.resource(name).map(|definition| definition.root);
    if content.is_none() && !types.types().is_empty() && !scope.refused {
        let text = "FHIR R4 has no resource of this type; it was kept as it is, for validation to refuse";
        flag_unknown("type-unknown", text, &path.member("resourceType"), work);
    }
    extensions::check_implicit_rules(object, path, work);
    members(object, Kind { name, content, guessed_from: None }, path, scope, work);
    narrative::apply(object, path, work);
    match name {
        "Observation" => observation(object, path, work),
        "DiagnosticReport" => {
            status::apply(object, name, path, work);
            local_codes::list_unmapped(object, path, work);
        }
        _ => {}
    }
}

/// The rules about results, on an Observation and each of its components.
fn observation(object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    local_codes::list_unmapped(object, path, work);
    result(object, path, work);
    if let Some(components) = object.get_mut("component").and_then(Node::as_list_mut) {
        let list_path = path.member("component");
        for (index, component) in components.iter_mut().enumerate() {
            if let Some(component) = component.as_object_mut() {
                result(component, &list_path.item(index), work);
            }
        }
    }
    status::apply(object, "Observation", path, work);
}

fn result(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    // Results are read in the light of their ranges, which may be texts themselves.
    comparators::read_ranges(holder, path, work);
    numeric_text::apply(holder, path, work);
    sentinels::apply(holder, path, work);
    comparators::apply(holder, path, work);
    // Part of rule 11, but after the rules that make quantities, which may lack a unit too.
    unit_context::temperature(holder, path, work);
    units::complete(holder, path, work);
    numeric_text::flag_unread(holder, path, work);
    numeric_text::flag_implausible(holder, path, work);
    status::interpret(holder, path, work);
}

fn members(object: &mut Object, kind: Kind<'_>, path: &Path<'_>, scope: Scope, work: &mut Work<'_>) {
    if scope.depth >= MAX_DEPTH || object.len() > MAX_MEMBERS {
        work.over_limit = true;
        return;
    }
    let types = work.context.types;
    let inner = Scope { depth: scope.depth + 1, listed: false, ..within(kind, object, scope) };
    let mut originals: Vec<(CompactString, CompactString, String)> = Vec::new();
    for member in object.members_mut() {
        let name = member.name.as_str();
        if name == "resourceType" {
            continue;
        }
        let (step, child) = child_kind(types, kind, name, &member.node);
        let child_path = path.member(step);
        if child.guessed_from.is_some() && kind.is_certain() && !scope.refused {
            let text = "FHIR R4 has no such element here; it was kept as it is, for validation to refuse";
            flag_unknown("element-unknown", text, &child_path, work);
        }
        if name == "modifierExtension" {
            extensions::check_modifiers(&member.node, &child_path, work);
        }
        let is_name = is_name(kind, name, &member.node, scope, work);
        if let Some(original) = value(&mut member.node, child, &child_path, Scope { verbatim: inner.verbatim || is_name, ..inner }, work) {
            originals.push((member.name.clone(), step.into(), original));
        }
    }
    for (name, step, original) in originals {
        strings::keep_original(rule::DATES, object, &name, &original, &path.member(&step), work);
        if object.get(&name).is_some_and(|node| node.value == Value::Null) {
            object.remove(&name);
        }
    }
}

/// Whether a member is a source's own name for a resource, whose blanks may be all that tells it from another: an id, or a reference that ends in one.
fn is_name(kind: Kind<'_>, name: &str, node: &Node, scope: Scope, work: &Work<'_>) -> bool {
    match name {
        "id" => scope.depth == 0,
        "reference" => kind.name == "Reference" && node.as_text().is_some_and(|literal| references::names_odd_id(literal, work.context)),
        _ => false,
    }
}

/// The scope of an element's children.
fn within(kind: Kind<'_>, object: &Object, scope: Scope) -> Scope {
    let url = if kind.name == "Extension" { object.get("url").and_then(Node::as_text).unwrap_or_default() } else { "" };
    Scope {
        verbatim: scope.verbatim || matches!(kind.name, "Narrative" | "Attachment" | "Signature") || url == ORIGINAL_VALUE,
        translation: scope.translation || url == QUANTITY_TRANSLATION,
        ..scope
    }
}

/// Walks a member's value. Answers the text of a lone primitive that a rule had to cut, so that it can be kept beside.
fn value(node: &mut Node, kind: Kind<'_>, path: &Path<'_>, scope: Scope, work: &mut Work<'_>) -> Option<String> {
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let kind = kind.guessed_from.map_or(kind, |name| by_shape(work.context.types, name, item));
                let item_path = path.item(index);
                if item.as_list().is_some() {
                    flag_nested_list(&item_path, work);
                }
                value(item, kind, &item_path, Scope { listed: true, ..scope }, work);
            }
        }
        Value::Object(object) => element(object, kind, path, scope, work),
        Value::Null => {}
        Value::Text(_) | Value::Number(_) | Value::Bool(_) => return leaf(node, kind.name, path, scope, work),
    }
    None
}

fn flag_unknown(message_id: &'static str, text: &str, path: &Path<'_>, work: &mut Work<'_>) {
    if work.on(rule::VERSIONS) {
        work.flag(Severity::Warning, IssueType::Structure, message_id, path, text);
    }
}

fn flag_nested_list(path: &Path<'_>, work: &mut Work<'_>) {
    let text = "a list stands in a list, which FHIR does not know, so it cannot be told what it means; it was left as it is";
    work.flag(Severity::Warning, IssueType::Structure, "list-in-list", path, text);
}

fn leaf(node: &mut Node, type_name: &str, path: &Path<'_>, scope: Scope, work: &mut Work<'_>) -> Option<String> {
    if !scope.verbatim && !matches!(type_name, "xhtml" | "base64Binary") && work.on(rule::STRINGS) {
        strings::apply(node, path, work);
        strings::flag_control(node, path, work);
    }
    decimals::apply(node, type_name, path, work);
    match type_name {
        "date" | "dateTime" | "instant" => dates::apply(node, type_name, !scope.listed, path, work),
        "time" => {
            dates::apply_to_time(node, path, work);
            None
        }
        "uri" | "url" => {
            references::apply_to_uri(node, type_name, path, work);
            None
        }
        _ => None,
    }
}

/// An object: first its children, then the rules of its own type, which so find clean parts.
fn element(object: &mut Object, kind: Kind<'_>, path: &Path<'_>, scope: Scope, work: &mut Work<'_>) {
    if kind.name == "Resource" || object.get("resourceType").is_some() {
        let name = object.get("resourceType").and_then(Node::as_text).unwrap_or_default().to_owned();
        return resource_in(object, &name, path, scope, work);
    }
    if kind.name == "Identifier" && work.on(rule::STRINGS) {
        strings::keep_padded_value(object, path, work);
    }
    members(object, kind, path, scope, work);
    match kind.name {
        "Identifier" => identifier_systems::apply(object, path, work),
        "Coding" => {
            coding_systems::apply(object, path, work);
            code_sanity::apply(object, path, work);
            free_text_codes::apply(object, path, work);
        }
        "CodeableConcept" => {
            local_codes::apply(object, path, work);
            primary_coding::apply(object, path, work);
        }
        "Quantity" | "Age" | "Count" | "Distance" | "Duration" | SIMPLE_QUANTITY => {
            // R4 allows no comparator in limits and doses.
            if kind.name != SIMPLE_QUANTITY {
                comparators::split_value(object, path, work);
                comparators::respell(object, path, work);
            }
            if !scope.translation {
                units::apply(object, path, work);
            }
        }
        "Extension" => extensions::apply(object, path, work),
        "Reference" if !scope.enclosed => references::apply(object, path, work),
        "BackboneElement" => narrative::apply(object, path, work),
        _ => {}
    }
}

/// The step a member adds to the path, and what the member is.
fn child_kind<'t>(types: &'t TypeTable, parent: Kind<'_>, name: &'t str, node: &Node) -> (&'t str, Kind<'t>) {
    if let Some(primitive) = name.strip_prefix('_') {
        let found = parent.content.and_then(|content| types.member(content, primitive));
        let step = found.map_or(primitive, |found| step_name(types, found.element, primitive));
        let content = types.type_named("Element").map(|definition| definition.root);
        return (step, Kind { name: "Element", content, guessed_from: found.is_none().then_some(name) });
    }
    let Some(found) = parent.content.and_then(|content| types.member(content, name)) else {
        return (name, by_shape(types, name, node));
    };
    let element = types.element(found.element);
    let type_name = element.types.get(found.type_index).map_or("", |type_use| match &type_use.profile {
        Some(profile) if profile.ends_with(SIMPLE_QUANTITY) => SIMPLE_QUANTITY,
        _ => type_use.code.as_str(),
    });
    (
        step_name(types, found.element, name),
        Kind { name: type_name, content: Some(types.content(found.element, found.type_index)), guessed_from: None },
    )
}

/// FHIRPath speaks of `value` where JSON writes `valueQuantity`.
fn step_name<'t>(types: &'t TypeTable, element: ElementId, written: &'t str) -> &'t str {
    let element = types.element(element);
    if element.is_choice { element.name.as_str() } else { written }
}

/// The types worth recognising by what an element looks like.
fn by_shape<'t>(types: &'t TypeTable, name: &'t str, node: &Node) -> Kind<'t> {
    let has = |member: &str| node.get(member).is_some();
    let ends = |suffix: &str| name.ends_with(suffix);
    let type_name = match name {
        "extension" | "modifierExtension" => "Extension",
        "meta" => "Meta",
        "coding" | "security" | "tag" => "Coding",
        "div" => "xhtml",
        "text" if has("div") => "Narrative",
        _ if node.as_object().is_none() => match name {
            "birthDate" => "date",
            "issued" => "instant",
            _ if ends("DateTime") => "dateTime",
            _ => "",
        },
        _ if has("reference") && node.text("reference").is_some() => "Reference",
        _ if ends("dentifier") => "Identifier",
        _ if ends("Coding") => "Coding",
        _ if node.get("coding").is_some_and(|coding| coding.as_list().is_some()) => "CodeableConcept",
        _ if ends("ttachment") => "Attachment",
        _ if ends("ignature") => "Signature",
        "low" | "high" => SIMPLE_QUANTITY,
        _ if ends("Quantity") || matches!(name, "numerator" | "denominator") => "Quantity",
        _ if ends("Period") || name == "period" => "Period",
        _ => "",
    };
    Kind { name: type_name, content: types.type_named(type_name).map(|definition| definition.root), guessed_from: Some(name) }
}
