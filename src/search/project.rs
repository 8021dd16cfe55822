//! The shorter forms of a resource that `_summary` and `_elements` ask for (FHIR R4 §3.1.1.5.8, §3.1.1.5.9).

use super::MAX_ELEMENTS;
use super::query::malformed;
use crate::definitions::Definitions;
use crate::fhir::node::{Member, Node, Object, Value};
use crate::fhir::types::{ElementId, TypeKind, TypeTable};
use crate::outcome::Refusal;
use compact_str::CompactString;

/// `_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// Elements marked as summary.
    True,
    /// Narrative, id, meta and what is mandatory.
    Text,
    /// Everything but the narrative.
    Data,
    /// No resources, only their number.
    Count,
    /// Everything.
    False,
}

impl Summary {
    /// The summary a code of the value set `summary` names.
    pub fn from_code(code: &str) -> Option<Summary> {
        Some(match code {
            "true" => Summary::True,
            "text" => Summary::Text,
            "data" => Summary::Data,
            "count" => Summary::Count,
            "false" => Summary::False,
            _ => return None,
        })
    }
}

/// Which parts of a resource are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    pub summary: Option<Summary>,
    /// Names of elements directly below the resource, perhaps with the type before them (`Patient.name`); empty means all.
    pub elements: Vec<CompactString>,
}

impl Projection {
    /// What `_summary` and `_elements` among the pairs of a read ask for; other parameters are passed over. A read has nothing to count.
    pub fn parse(pairs: &[(String, String)]) -> Result<Projection, Refusal> {
        let mut projection = Projection::default();
        for (name, value) in pairs {
            projection.read(name, value)?;
        }
        if projection.summary == Some(Summary::Count) {
            return Err(malformed("_summary", "can be count only in a search"));
        }
        projection.checked()
    }

    /// Takes a parameter in; answers `false` when it is neither `_summary` nor `_elements`.
    pub(super) fn read(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        match name {
            "_summary" => {
                let summary = Summary::from_code(value).ok_or_else(|| malformed(name, "must be true, text, data, count or false"))?;
                if self.summary.replace(summary).is_some() {
                    return Err(malformed(name, "may stand only once"));
                }
            }
            "_elements" => {
                if !self.elements.is_empty() {
                    return Err(malformed(name, "may stand only once"));
                }
                self.elements = value.split(',').take(MAX_ELEMENTS + 1).map(|element| element.trim().into()).collect();
                if self.elements.len() > MAX_ELEMENTS {
                    return Err(malformed(name, &format!("may have at most {MAX_ELEMENTS} names")));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses the two together, since each says what to leave out.
    pub(super) fn checked(self) -> Result<Projection, Refusal> {
        let is_shortened = !matches!(self.summary, None | Some(Summary::False));
        if is_shortened && !self.elements.is_empty() { Err(malformed("_elements", "cannot be combined with _summary")) } else { Ok(self) }
    }

    /// Whether resources are to be shortened at all.
    pub fn is_whole(&self) -> bool {
        self.elements.is_empty() && matches!(self.summary, None | Some(Summary::False | Summary::Count))
    }
}

const SUBSETTED_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const SUBSETTED_CODE: &str = "SUBSETTED";

/// The resource with only the parts that are wanted, marked SUBSETTED in `meta.tag`; unchanged when the whole is wanted or its type is not known.
/// `resourceType`, `id`, `meta`, mandatory elements and modifiers always stay.
pub fn project(definitions: &Definitions, resource: &Node, projection: &Projection) -> Node {
    let table = definitions.types();
    let root = resource.resource_type().and_then(|name| table.resource(name)).map(|definition| definition.root);
    let (Some(root), Some(object), false) = (root, resource.as_object(), projection.is_whole()) else { return resource.clone() };
    let mut shorter = Object::new();
    for member in object.members() {
        if let Some(node) = kept(table, root, member, projection) {
            shorter.set(&member.name, node);
        }
    }
    mark_subsetted(&mut shorter);
    Node { value: Value::Object(shorter), offset: resource.offset }
}

/// Whether `_elements` can name this below the type: the name of an element, or of a choice with its type.
pub(super) fn is_element(definitions: &Definitions, type_name: &str, name: &str) -> bool {
    let name = without_type(name, type_name);
    let table = definitions.types();
    let Some(definition) = table.resource(type_name) else { return false };
    table.member(definition.root, name).is_some()
        || table.element(definition.root).children.iter().any(|id| table.element(*id).name == name)
}

fn without_type<'a>(name: &'a str, type_name: &str) -> &'a str {
    name.strip_prefix(type_name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

/// What stays of a member of the resource.
fn kept(table: &TypeTable, root: ElementId, member: &Member, projection: &Projection) -> Option<Node> {
    let name = plain_name(&member.name);
    if matches!(name, "resourceType" | "id" | "meta") {
        return Some(member.node.clone());
    }
    let element = table.element(table.member(root, name)?.element);
    let is_needed = element.min > 0 || element.is_modifier;
    let whole = |is_kept: bool| is_kept.then(|| member.node.clone());
    if !projection.elements.is_empty() {
        let type_name = &table.element(root).path;
        let mut wanted = projection.elements.iter().map(|wanted| without_type(wanted, type_name));
        return whole(is_needed || wanted.any(|wanted| wanted == name || wanted == element.name));
    }
    match projection.summary {
        Some(Summary::Text) => whole(name == "text" || element.min > 0),
        Some(Summary::Data) => whole(name != "text"),
        Some(Summary::True) if is_needed || element.is_summary => Some(summarised(table, root, member)),
        Some(Summary::True) => None,
        _ => whole(true),
    }
}

fn plain_name(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// A kept member with only the summary elements of its parts. Data types are kept whole: their parts are summary as a rule, and the few that are
/// not (`Attachment.data` apart) are what makes them readable.
fn summarised(table: &TypeTable, parent: ElementId, member: &Member) -> Node {
    let Some(usage) = table.member(parent, plain_name(&member.name)) else { return member.node.clone() };
    let content = table.content(usage.element, usage.type_index);
    let type_code = table.element(usage.element).types.get(usage.type_index).map_or("", |type_use| type_use.code.as_str());
    let is_attachment = type_code == "Attachment";
    let is_resource = table.type_named(type_code).is_some_and(|definition| definition.kind == TypeKind::Resource);
    let has_own_parts = !is_resource && (is_attachment || !table.element(usage.element).children.is_empty());
    if has_own_parts { summarised_node(table, content, &member.node) } else { member.node.clone() }
}

/// The recursion is as deep as the definitions nest elements in elements, whatever the document.
fn summarised_node(table: &TypeTable, content: ElementId, node: &Node) -> Node {
    let value = match &node.value {
        Value::List(items) => Value::List(items.iter().map(|item| summarised_node(table, content, item)).collect()),
        Value::Object(object) => {
            let is_kept = |member: &&Member| {
                table.member(content, plain_name(&member.name)).is_some_and(|usage| {
                    let element = table.element(usage.element);
                    element.is_summary || element.min > 0 || element.is_modifier
                })
            };
            let mut shorter = Object::new();
            for member in object.members().iter().filter(is_kept) {
                shorter.set(&member.name, summarised(table, content, member));
            }
            Value::Object(shorter)
        }
        other => other.clone(),
    };
    Node { value, offset: node.offset }
}

fn mark_subsetted(resource: &mut Object) {
    let after_id = usize::from(resource.get("resourceType").is_some()) + usize::from(resource.get("id").is_some());
    if resource.get("meta").and_then(Node::as_object).is_none() {
        resource.set_at(after_id, "meta", Object::new());
    }
    let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) else { return };
    let tags = meta.get("tag").and_then(Node::as_list).unwrap_or_default();
    if tags.iter().any(|tag| tag.text("code") == Some(SUBSETTED_CODE) && tag.text("system") == Some(SUBSETTED_SYSTEM)) {
        return;
    }
    let mut tags = tags.to_vec();
    tags.push(Object::new().with("system", SUBSETTED_SYSTEM).with("code", SUBSETTED_CODE).into());
    meta.set("tag", tags);
}
