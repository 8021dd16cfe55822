//! Rule 19. A resource's id is the gateway's; the source's own name for it moves to `meta.source`.

use super::super::ids::is_gateway_id;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::RESOURCE_IDS;
use super::meta::place_meta;
use super::references::is_type;
use crate::fhir::{Node, Object};

/// Settles `Resource.id` and `meta.source`. A resource without an id keeps none: giving one needs entropy, which the
/// caller has. A resource of no known type is left alone; validation refuses it.
pub(in super::super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(RESOURCE_IDS) {
        return;
    }
    let Some(id) = resource.get("id").and_then(Node::as_text) else { return };
    let type_name = resource.get("resourceType").and_then(Node::as_text).unwrap_or_default();
    if is_gateway_id(id) || !is_type(type_name, work.context) {
        return;
    }
    let source = work.context.source;
    let gateway_id = work.context.ids.id(source.name(), type_name, id);
    let origin = source.origin(type_name, id);
    work.set(RESOURCE_IDS, resource, path, "id", gateway_id);
    set_origin(resource, &origin, path, work);
}

fn set_origin(resource: &mut Object, origin: &str, path: &Path<'_>, work: &mut Work<'_>) {
    place_meta(resource);
    if let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) {
        work.set(RESOURCE_IDS, meta, &path.member("meta"), "source", origin);
    }
}
