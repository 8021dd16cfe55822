//! What a release of FHIR widened without a new name: references to types, and codes, that R4 does not allow in an element of the same name.
//!
//! Judged by R4's own definitions, after the rows of the table. What does not fit and may be left out is carried in an extension beside; what R4
//! demands, or what changes how the rest is read, refuses the resource.

use super::carried::extensions;
use super::table::{Action, Carried, Conversions};
use super::{Release, VERSIONS};
use crate::definitions::{Definitions, Membership};
use crate::fhir::types::{BindingStrength, Element, ElementId, TypeKind, TypeUse};
use crate::fhir::{Node, Object, Value};
use crate::normalise::path::Path;
use crate::normalise::record::Work;
use crate::outcome::{IssueType, Severity};
use compact_str::CompactString;

/// How deep the walk goes.
const MAX_DEPTH: usize = 100;

/// Looks through a converted resource.
pub(super) fn resource(object: &mut Object, type_name: &str, conversions: &'static Conversions, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(root) = work.context.types.resource(type_name).map(|definition| definition.root) else { return };
    element(object, root, conversions, path, MAX_DEPTH, work);
}

fn element(object: &mut Object, content: ElementId, conversions: &'static Conversions, path: &Path<'_>, depth: usize, work: &mut Work<'_>) {
    let Some(depth) = depth.checked_sub(1) else {
        work.over_limit = true;
        return;
    };
    let types = work.context.types;
    let names: Vec<CompactString> = object.members().iter().map(|member| member.name.clone()).collect();
    for name in names {
        let Some(found) = types.member(content, &name) else { continue };
        let definition = types.element(found.element);
        let Some(type_use) = definition.types.get(found.type_index) else { continue };
        let misfits = object.get(&name).map(|node| misfits(node, definition, type_use, work)).unwrap_or_default();
        if !misfits.is_empty() {
            let type_name = if type_use.code == "Reference" { "Reference" } else { "code" };
            let url = url(conversions, &types.element(content).path, definition, &name);
            Member { name: &name, definition, type_name, url, release: conversions.release }.carry(&misfits, object, path, work);
            continue;
        }
        let inner = types.content(found.element, found.type_index);
        let is_primitive = types.type_named(&types.element(inner).path).is_some_and(|definition| definition.kind == TypeKind::Primitive);
        if types.element(inner).path == "Resource" || is_primitive || name == "extension" {
            continue;
        }
        let member_path = path.member(&name);
        match object.get_mut(&name).map(|node| &mut node.value) {
            Some(Value::Object(inside)) => element(inside, inner, conversions, &member_path, depth, work),
            Some(Value::List(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(inside) = item.as_object_mut() {
                        element(inside, inner, conversions, &member_path.item(index), depth, work);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The places of a member's items (0 of what is no list) that R4 does not allow.
fn misfits(node: &Node, definition: &Element, type_use: &TypeUse, work: &Work<'_>) -> Vec<usize> {
    let single = std::slice::from_ref(node);
    let fits = |item: &Node| match type_use.code.as_str() {
        "Reference" => reference_fits(item, type_use, work),
        "code" => code_fits(item, definition),
        _ => true,
    };
    node.as_list().unwrap_or(single).iter().enumerate().filter(|(_, item)| !fits(item)).map(|(index, _)| index).collect()
}

/// Whether a reference leads to a type that it may; one that does not say its type may.
fn reference_fits(reference: &Node, type_use: &TypeUse, work: &Work<'_>) -> bool {
    let types = work.context.types;
    let literal = reference.text("reference").unwrap_or_default();
    let literal = work.context.links.get(literal).unwrap_or(literal);
    let unversioned = literal.split_once("/_history/").map_or(literal, |(literal, _)| literal);
    let named = unversioned.split('?').next().and_then(|target| target.rsplit('/').nth(usize::from(!literal.contains('?'))));
    let Some(target) = named.or(reference.text("type")).filter(|name| types.resource(name).is_some()) else { return true };
    type_use.targets.is_empty() || type_use.targets.iter().any(|allowed| types.is_kind_of(target, allowed))
}

/// Whether a code is in the value set that R4 demands. What no release would call one of its codes (`F`, `=<`) is for the rules that come later, and
/// for validation.
fn code_fits(code: &Node, definition: &Element) -> bool {
    let required = definition.binding.as_ref().filter(|binding| binding.strength == BindingStrength::Required);
    let is_fhirs = |code: &&str| code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let Some((binding, code)) = required.zip(code.as_text().filter(is_fhirs)) else { return true };
    Definitions::embedded().value_set_contains(&binding.value_set, None, code) != Membership::NotMember
}

/// A member some items of which do not fit.
struct Member<'m> {
    name: &'m str,
    definition: &'m Element,
    type_name: &'static str,
    /// Of the extensions that carry them.
    url: String,
    release: Release,
}

impl Member<'_> {
    fn carry(self, misfits: &[usize], object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
        let sibling = format!("_{}", self.name);
        let count = object.get(self.name).and_then(Node::as_list).map_or(1, <[Node]>::len);
        let is_demanded = self.definition.min > 0 && misfits.len() == count;
        if is_demanded || self.definition.is_modifier || (count > 1 && object.get(&sibling).is_some()) {
            return self.refuse(path, work);
        }
        let Some(taken) = work.remove(VERSIONS, object, path, self.name) else { return };
        let beside = work.remove(VERSIONS, object, path, &sibling);
        let kept = match taken.value {
            Value::List(items) => {
                let (misfit, kept): (Vec<_>, Vec<_>) = items.into_iter().enumerate().partition(|(index, _)| misfits.contains(index));
                let only = |items: Vec<(usize, Node)>| items.into_iter().map(|(_, item)| item).collect::<Vec<Node>>();
                self.append(only(misfit).into(), beside, object, path, work);
                only(kept)
            }
            value => return self.append(value.into(), beside, object, path, work),
        };
        if !kept.is_empty() {
            work.set(VERSIONS, object, path, self.name, kept);
        }
    }

    fn append(&self, node: Node, beside: Option<Node>, object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
        let made = extensions(&self.url, Some(node), beside, &Carried::Value(self.type_name)).unwrap_or_default();
        made.into_iter().for_each(|one| work.append(VERSIONS, object, path, "extension", one));
    }

    fn refuse(&self, path: &Path<'_>, work: &mut Work<'_>) {
        let text = format!(
            "R4 does not allow here what this element of FHIR {} holds, and leaving it out could change what the resource says; send the resource in R4",
            self.release.name()
        );
        work.flag(Severity::Error, IssueType::NotSupported, "version-element-refused", &path.member(self.name), text);
    }
}

/// The URL of HL7's cross-version extension for a member that stands in R4 under `container`: by the name it has in its own release.
fn url(conversions: &'static Conversions, container: &str, definition: &Element, name: &str) -> String {
    let renamed = conversions.rows(container).iter().find(|row| becomes(&row.action, name));
    let nested = || {
        let (outer, inner) = container.rsplit_once('.')?;
        conversions.rows(outer).iter().find(|row| row.member == inner && matches!(row.action, Action::Nest(held) if held == name))
    };
    match renamed.or_else(nested) {
        Some(row) => row.url(conversions.release),
        None => {
            format!("http://hl7.org/fhir/{}/StructureDefinition/extension-{container}.{}", conversions.release.number(), definition.name)
        }
    }
}

/// Whether a row makes a member of this name.
fn becomes(action: &Action, name: &str) -> bool {
    match action {
        Action::Rename(to) | Action::Many(to) | Action::Beside { name: to, .. } => *to == name,
        Action::Choose { concept, reference } => *concept == name || *reference == name,
        Action::Split { concept, reference } => [concept, reference].into_iter().flatten().any(|place| place.name == name),
        _ => false,
    }
}
