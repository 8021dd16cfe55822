//! Rule 24. Version and time of the last update are the gateway's to say; the source's go to the lineage, and from there into the Provenance.
//!
//! Security labels, tags and profiles stay. `meta.source` names the source, where nothing has named the origin more exactly.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::META;
use crate::fhir::{Node, Object};

/// Clears `meta` of what the gateway sets itself. Recorded, since a Provenance names the version it was made from.
pub(in super::super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(META) {
        return;
    }
    if resource.get("resourceType").is_none_or(|name| name.as_text().is_none()) {
        return;
    }
    place_meta(resource);
    let urn = work.context.source.urn();
    let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) else { return };
    let meta_path = path.member("meta");
    for name in ["versionId", "_versionId", "lastUpdated", "_lastUpdated"] {
        work.remove(META, meta, &meta_path, name);
    }
    if meta.get("source").is_none() {
        work.set(META, meta, &meta_path, "source", urn);
    }
}

/// Makes an empty `meta` behind the id where there is none.
pub(super) fn place_meta(resource: &mut Object) {
    if resource.get("meta").is_none() {
        let place = resource.members().iter().position(|member| member.name == "id").map_or(1, |index| index + 1);
        resource.set_at(place, "meta", Object::new());
    }
}
