//! Rule 19. A resource's id is the gateway's; the source's own name for it moves to `meta.source`.
//!
//! The gateway's id is made from the id as it was sent, blanks and all, so that two ids of a source never become one here. An id that FHIR does not
//! allow is flagged: whoever reads it may take it for another.

use super::super::ids::is_gateway_id;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::RESOURCE_IDS;
use super::meta::place_meta;
use super::references::is_type;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// The longest id that FHIR allows (R4 §2.24.0.1).
const MAX_ID: usize = 64;

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
    let gateway_id = work.context.ids.id(source.id_scope(), type_name, id);
    let origin = source.origin(type_name, id);
    if !is_legal(id) {
        let text =
            "the id is none that FHIR allows (1 to 64 letters, digits, hyphens and dots); the gateway's id was made from it as it was sent";
        work.flag(Severity::Warning, IssueType::Value, "id-illegal", &path.member("id"), text);
    }
    work.set(RESOURCE_IDS, resource, path, "id", gateway_id);
    set_origin(resource, &origin, path, work);
}

/// FHIR's grammar of an id.
fn is_legal(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn set_origin(resource: &mut Object, origin: &str, path: &Path<'_>, work: &mut Work<'_>) {
    place_meta(resource);
    if let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut) {
        work.set(RESOURCE_IDS, meta, &path.member("meta"), "source", origin);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use std::collections::HashSet;

    /// Ids and references that differ in nothing but blanks or Unicode form stay apart, and each that FHIR does not allow is flagged.
    #[test]
    fn ids_stay_apart() {
        let mut seen = HashSet::new();
        for (id, legal) in [
            ("p1", true),
            (" p1", false),
            ("p1 ", false),
            ("p1\\n", false),
            ("p\u{e9}", false),
            ("pe\u{301}", false),
            ("p_1", false),
            ("P1", true),
        ] {
            let done = run(&format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#), &source());
            assert_eq!(done.findings.iter().any(|finding| finding.message_id == "id-illegal"), !legal, "{id}");
            let made = done.resource.text("id").unwrap().to_owned();
            if !id.ends_with([' ', 'n']) {
                let link = run(&format!(r#"{{"resourceType":"X","a":{{"reference":"Patient/{id}"}}}}"#), &source());
                assert_eq!(link.resource.get("a").unwrap().text("reference"), Some(format!("Patient/{made}").as_str()), "{id}");
            }
            assert!(seen.insert(made), "{id}");
        }
    }
}
