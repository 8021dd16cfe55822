//! Rule 24. Version and time of the last update are the gateway's to say; the source's go to the lineage, and from there into the Provenance.
//!
//! Security labels, tags and profiles stay. `meta.source` names the source, where nothing has named the origin more exactly. What is contained has no
//! version and no labels of its own (R4 dom-4, dom-5): its labels become its container's, so that the most restrictive holds for the whole.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::META;
use super::super::vocabulary::SOURCE_URN;
use crate::fhir::{Node, Object, Value};

/// Clears `meta` of what the gateway sets itself. Recorded, since a Provenance names the version it was made from.
pub(in super::super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(META) {
        return;
    }
    if resource.get("resourceType").is_none_or(|name| name.as_text().is_none()) {
        return;
    }
    place_meta(resource);
    // What is no list of labels is for validation to name, and nothing is added to it.
    let takes_labels = resource
        .get("meta")
        .and_then(Node::as_object)
        .is_some_and(|meta| meta.get("security").is_none_or(|labels| labels.as_list().is_some()));
    let labels = if takes_labels { contained(resource, path, work) } else { Vec::new() };
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
    let known = |meta: &Object, label: &Node| meta.get("security").and_then(Node::as_list).is_some_and(|known| known.contains(label));
    for label in labels {
        if !known(meta, &label) {
            work.append(META, meta, &meta_path, "security", label);
        }
    }
}

/// Takes versions and labels away from what is contained; answers the labels.
fn contained(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) -> Vec<Node> {
    let mut labels = Vec::new();
    let Some(items) = resource.get_mut("contained").and_then(Node::as_list_mut) else { return labels };
    let list_path = path.member("contained");
    for (index, item) in items.iter_mut().enumerate() {
        let Some(inner) = item.as_object_mut() else { continue };
        let Some(meta) = inner.get_mut("meta").and_then(Node::as_object_mut) else { continue };
        let item_path = list_path.item(index);
        let meta_path = item_path.member("meta");
        for name in ["versionId", "_versionId", "lastUpdated", "_lastUpdated"] {
            work.remove(META, meta, &meta_path, name);
        }
        if meta.get("security").is_some_and(|labels| labels.as_list().is_some())
            && let Some(Node { value: Value::List(own), .. }) = work.remove(META, meta, &meta_path, "security")
        {
            labels.extend(own);
        }
        if meta.is_empty() {
            inner.remove("meta");
        }
    }
    labels
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
    fn labels_of_what_is_contained_hold_for_the_whole() {
        let mut source = source();
        source.switches = super::super::super::Switches::default();
        let text = r#"{"resourceType":"Patient","id":"1","meta":{"security":[{"code":"R"}]},"contained":[
            {"resourceType":"Practitioner","id":"a","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z","security":[{"code":"V"},{"code":"R"}]}},
            {"resourceType":"Practitioner","id":"b","meta":{"tag":[{"code":"t"}],"security":[{"code":"V"}]}}]}"#;
        let done = super::super::super::tests::run_typed(text, &source);
        let labels: Vec<&str> =
            done.resource.get("meta").unwrap().items("security").iter().filter_map(|label| label.text("code")).collect();
        assert_eq!(labels, ["R", "V"]);
        let metas: Vec<Option<String>> =
            done.resource.items("contained").iter().map(|inner| inner.get("meta").map(crate::fhir::json::write)).collect();
        assert_eq!(metas, [None, Some(r#"{"tag":[{"code":"t"}]}"#.to_owned())]);
    }

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
