//! What an expression may ask of the world around its resource, and what can be answered from the resource alone.

use super::error::PathError;
use super::evaluate::Evaluator;
use super::item::{Item, TreeItem};
use crate::fhir::node::Node;
use crate::fhir::types::{TypeKind, TypeTable};

/// Where the definitions of FHIR's own types live.
const BASE_DEFINITIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Answers from beyond the resource. Every method has a default that knows nothing.
pub trait Environment {
    /// A resource that the root resource does not hold: by relative or absolute reference, or canonical URL.
    fn resolve(&self, reference: &str) -> Option<&Node> {
        let _ = reference;
        None
    }

    /// Whether a code, Coding or CodeableConcept is in a value set; `None` when that cannot be decided.
    fn member_of(&self, types: &TypeTable, coded: &Item<'_>, value_set: &str) -> Result<Option<bool>, PathError> {
        let _ = (types, coded, value_set);
        Err(PathError::NotSupported { function: "memberOf" })
    }

    /// Whether an item conforms to a profile; `None` leaves FHIR's own types to be answered by the item's type.
    fn conforms_to(&self, types: &TypeTable, item: &Item<'_>, profile: &str) -> Result<Option<bool>, PathError> {
        let _ = (types, item, profile);
        Ok(None)
    }

    /// Whether an item is in the slice of that name of a profile.
    fn in_slice(&self, types: &TypeTable, item: &Item<'_>, profile: &str, slice: &str) -> Result<bool, PathError> {
        let _ = (types, item, profile, slice);
        Err(PathError::NotSupported { function: "slice" })
    }

    /// Whether one coded item subsumes another; `None` when that cannot be decided.
    fn subsumes(&self, types: &TypeTable, general: &Item<'_>, special: &Item<'_>) -> Result<Option<bool>, PathError> {
        let _ = (types, general, special);
        Err(PathError::NotSupported { function: "subsumes" })
    }

    /// Whether a narrative keeps to the XHTML that FHIR allows.
    fn html_checks(&self, xhtml: &str) -> Result<bool, PathError> {
        Ok(super::narrative::is_allowed(xhtml))
    }

    /// The value of a variable the caller defines (`%name`).
    fn variable<'e>(&'e self, name: &str) -> Option<&'e [Item<'e>]> {
        let _ = name;
        None
    }
}

/// Nothing but the resource.
pub struct Alone;

impl Environment for Alone {}

/// A profile that is the definition of one of FHIR's own types is met by items of that type.
pub(super) fn conforms_to_base(types: &TypeTable, item: &Item<'_>, profile: &str) -> Result<bool, PathError> {
    let definition = profile.strip_prefix(BASE_DEFINITIONS).and_then(|name| types.type_named(name));
    match definition {
        Some(definition) => Ok(types.is_kind_of(item.type_name(types), &definition.name)),
        None => Err(PathError::UnknownCanonical { function: "conformsTo" }),
    }
}

/// The target of a reference, canonical or URI: contained, beside it in its Bundle, from the environment, or,
/// where only its type is known (`Patient/1`), a resource of that type without content.
pub(super) fn resolve<'d>(evaluator: &Evaluator<'_, 'd>, item: &Item<'d>) -> Result<Option<TreeItem<'d>>, PathError> {
    let types = evaluator.focus.types;
    let (reference, stated_type) = match item {
        Item::Tree(place) => match place.node.and_then(Node::as_object) {
            Some(object) => (object.get("reference").and_then(Node::as_text), object.get("type").and_then(Node::as_text)),
            None => (place.node.and_then(Node::as_text), None),
        },
        Item::System(_) => (None, None),
    };
    let computed = if reference.is_none() && matches!(item, Item::System(_)) { item.text() } else { None };
    let Some(reference) = reference.or(computed.as_deref()) else {
        return Ok(stated_type.and_then(|name| empty_resource(types, name)));
    };
    if let Some(id) = reference.strip_prefix('#') {
        return contained(evaluator, item, id);
    }
    if let Some(node) = bundled(evaluator, reference)? {
        return Ok(TreeItem::resource(types, node));
    }
    if let Some(node) = evaluator.focus.environment.resolve(reference) {
        return Ok(TreeItem::resource(types, node));
    }
    Ok(type_in(reference).or(stated_type).and_then(|name| empty_resource(types, name)))
}

/// The resource of a Bundle's entry that an item stands in, by their places in the document: a rule of a Bundle looks into all of them.
fn entry_around<'d>(evaluator: &Evaluator<'_, 'd>, item: &Item<'d>) -> Result<Option<&'d Node>, PathError> {
    let entries = evaluator.focus.root_resource.items("entry");
    let Some(place) = (if let Item::Tree(found) = item { found.node.and_then(Node::place) } else { None }) else { return Ok(None) };
    evaluator.spend(entries.len())?;
    let resources = entries.iter().filter_map(|entry| entry.get("resource"));
    Ok(resources.take_while(|resource| resource.place().is_some_and(|begin| begin <= place)).last())
}

/// `#id` in the resource that contains the focus, `#` for that resource itself.
fn contained<'d>(evaluator: &Evaluator<'_, 'd>, item: &Item<'d>, id: &str) -> Result<Option<TreeItem<'d>>, PathError> {
    let focus = evaluator.focus;
    for container in entry_around(evaluator, item)?.into_iter().chain([focus.root_resource, focus.resource]) {
        if id.is_empty() {
            return Ok(TreeItem::resource(focus.types, container));
        }
        let all = container.items("contained");
        evaluator.spend(all.len())?;
        if let Some(node) = all.iter().find(|node| node.text("id") == Some(id)) {
            return Ok(TreeItem::resource(focus.types, node));
        }
    }
    Ok(None)
}

/// An entry of the Bundle whose `fullUrl` is the reference, or ends in it when it is relative.
fn bundled<'d>(evaluator: &Evaluator<'_, 'd>, reference: &str) -> Result<Option<&'d Node>, PathError> {
    let document = evaluator.focus.document;
    if document.resource_type() != Some("Bundle") {
        return Ok(None);
    }
    let entries = document.items("entry");
    evaluator.spend(entries.len())?;
    let is_relative = !reference.contains(':');
    let wanted = reference.split_once("/_history/").map_or(reference, |(current, _)| current);
    let names = |url: &str| url == wanted || (is_relative && url.strip_suffix(wanted).is_some_and(|base| base.ends_with('/')));
    let entry = entries.iter().find(|entry| entry.text("fullUrl").is_some_and(names));
    Ok(entry.and_then(|entry| entry.get("resource")))
}

/// The type that a literal reference names: `Patient/1`, `https://host/fhir/Patient/1/_history/2`.
fn type_in(reference: &str) -> Option<&str> {
    let current = reference.split_once("/_history/").map_or(reference, |(current, _)| current);
    let mut parts = current.rsplit('/');
    parts.next()?;
    parts.next()
}

fn empty_resource<'d>(types: &TypeTable, name: &str) -> Option<TreeItem<'d>> {
    let definition = types.type_named(name).filter(|definition| definition.kind == TypeKind::Resource)?;
    Some(TreeItem { node: None, sibling: None, content: definition.root })
}
