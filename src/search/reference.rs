//! What the text of a reference says.

use crate::fhir::{Node, is_id};

/// The type and id of a relative reference, `Patient/1` or `Patient/1/_history/2`.
pub(super) fn relative(reference: &str) -> Option<(&str, &str)> {
    if is_absolute(reference) {
        return None;
    }
    last_type_and_id(reference).filter(|(type_name, _)| reference.starts_with(type_name))
}

/// Whether the reference is a URL or URN and not relative to a base.
pub(super) fn is_absolute(reference: &str) -> bool {
    reference.contains("://") || reference.starts_with("urn:")
}

/// The type and id at the end of a RESTful URL, without its version.
fn last_type_and_id(reference: &str) -> Option<(&str, &str)> {
    let unversioned = reference.split_once("/_history/").map_or(reference, |(before, _)| before);
    let (before, id) = unversioned.rsplit_once('/')?;
    let type_name = before.rsplit('/').next()?;
    let is_type = type_name.starts_with(|first: char| first.is_ascii_uppercase()) && type_name.bytes().all(|b| b.is_ascii_alphabetic());
    (is_type && is_id(id)).then_some((type_name, id))
}

/// The type of the resource a Reference points to, as far as the document shows it.
pub(super) fn target_type<'a>(reference: &'a Node, resource: &'a Node) -> Option<&'a str> {
    let literal = reference.text("reference").unwrap_or_default();
    if let Some(id) = literal.strip_prefix('#') {
        return resource.items("contained").iter().find(|contained| contained.text("id") == Some(id))?.resource_type();
    }
    let told = last_type_and_id(literal).filter(|_| !literal.starts_with("urn:")).map(|(type_name, _)| type_name);
    told.or_else(|| reference.text("type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_references() {
        let check = |text: &str, expected: Option<(&str, &str)>| assert_eq!(relative(text), expected, "{text}");
        check("Patient/1", Some(("Patient", "1")));
        check("Patient/1/_history/2", Some(("Patient", "1")));
        check("http://a.example/Patient/1", None);
        check("urn:uuid:x", None);
        check("#p", None);
        check("Patient/", None);
        check("a/Patient/1", None);
        check("patient/1", None);
    }
}
