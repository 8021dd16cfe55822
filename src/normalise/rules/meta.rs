//! Rule 24. Version and time of the last update are the gateway's to say; the source's go to the lineage, and from there into the Provenance.
//!
//! Security labels, tags and profiles stay. `meta.source` names the source, where nothing has named the origin more exactly.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::META;
use super::super::vocabulary::SOURCE_URN;
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
    // What names a source of the gateway's is the gateway's to say; a sender may not name another's.
    let is_anothers =
        |name: &str| name.strip_prefix(urn).is_none_or(|rest| !(rest.is_empty() || rest.starts_with('/'))) && name.starts_with(SOURCE_URN);
    if meta.get("source").is_none_or(|name| name.as_text().is_some_and(is_anothers)) {
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

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    #[test]
    fn another_source_is_not_named() {
        for (sent, kept) in [
            ("urn:hearthgate:source:laboratory", "urn:hearthgate:source:epic"),
            ("urn:hearthgate:source:epic2/Patient/1", "urn:hearthgate:source:epic"),
            ("urn:hearthgate:source:epic/Patient/1", "urn:hearthgate:source:epic/Patient/1"),
            ("http://system.example", "http://system.example"),
        ] {
            let mut source = source();
            source.switches = super::super::super::Switches::default();
            let done = run(&format!(r#"{{"resourceType":"Patient","meta":{{"source":"{sent}"}}}}"#), &source);
            assert_eq!(done.resource.text_at(&["meta", "source"]), Some(kept), "{sent}");
        }
    }
}
