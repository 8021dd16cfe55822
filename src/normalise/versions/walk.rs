//! One walk over a resource of another release, beside R4's type table: each element's rows first, then what is inside it.

use super::apply;
use super::table::Conversions;
use crate::fhir::types::{ElementId, TypeKind};
use crate::fhir::{Node, Object, Value};
use crate::normalise::path::Path;
use crate::normalise::record::{MAX_MEMBERS, Work};
use compact_str::CompactString;

/// How deep the walk goes.
const MAX_DEPTH: usize = 100;

pub(super) fn resource(object: &mut Object, type_name: &str, conversions: &'static Conversions, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(root) = work.context.types.resource(type_name).map(|definition| definition.root) else { return };
    element(object, root, conversions, path, MAX_DEPTH, work);
}

fn element(object: &mut Object, content: ElementId, conversions: &'static Conversions, path: &Path<'_>, depth: usize, work: &mut Work<'_>) {
    if depth == 0 || object.len() > MAX_MEMBERS {
        work.over_limit = true;
        return;
    }
    let types = work.context.types;
    for row in conversions.rows(&types.element(content).path) {
        apply::row(row, conversions.release, object, path, work);
    }
    let names: Vec<CompactString> = object.members().iter().map(|member| member.name.clone()).collect();
    for name in names {
        let Some(found) = types.member(content, &name) else { continue };
        let inner = types.content(found.element, found.type_index);
        let is_resource = types.element(inner).path == "Resource";
        let is_primitive = types.type_named(&types.element(inner).path).is_some_and(|definition| definition.kind == TypeKind::Primitive);
        if is_resource || is_primitive {
            continue;
        }
        let member_path = path.member(&name);
        if let Some(node) = object.get_mut(&name) {
            inside(node, inner, conversions, &member_path, depth - 1, work);
        }
    }
}

fn inside(node: &mut Node, content: ElementId, conversions: &'static Conversions, path: &Path<'_>, depth: usize, work: &mut Work<'_>) {
    match &mut node.value {
        Value::Object(object) => element(object, content, conversions, path, depth, work),
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if let Some(object) = item.as_object_mut() {
                    element(object, content, conversions, &path.item(index), depth, work);
                }
            }
        }
        _ => {}
    }
}
