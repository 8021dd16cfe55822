//! Rule 24. Version and time of the last update are the gateway's to say; the source's go to the lineage, and from there into the Provenance.
//!
//! Security labels, tags and profiles stay.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::META;
use crate::fhir::{Node, Object};

/// Clears `meta` of what the gateway sets itself. Recorded, since a Provenance names the version it was made from.
pub(in super::super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(META) {
        return;
    }
    let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) else { return };
    let meta_path = path.member("meta");
    for name in ["versionId", "_versionId", "lastUpdated", "_lastUpdated"] {
        work.remove(META, meta, &meta_path, name);
    }
    if meta.is_empty() {
        resource.remove("meta");
    }
}
