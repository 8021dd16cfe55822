//! What a request names that is refused before it is planned: as writes that are never made, so that it is read as it would have been.

use super::body::{Format, Limits};
use super::bundle::Write;
use super::interaction::{Interaction, Pairs, decode_pairs};
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, json, xml};

/// Names of parameters that say whom a search is about.
const ABOUT: [&str; 4] = ["patient", "patient:Patient", "subject", "subject:Patient"];

/// The records a URL names, and every resource in the body.
pub fn named(url: &str, document: Option<&Node>) -> Vec<Write> {
    of_url(url).into_iter().chain(document.into_iter().flat_map(of_document)).collect()
}

/// What an entry of a Bundle names.
pub fn named_by_entry(entry: &Node) -> Vec<Write> {
    let url = entry.get("request").and_then(|request| request.text("url"));
    let resource = entry.get("resource").into_iter().flat_map(of_resource);
    url.into_iter().flat_map(of_url).chain(resource).collect()
}

/// The document as far as it can be read: what would not be accepted may still say whom it is about.
pub fn document_leniently(bytes: &[u8], format: Format, limits: &Limits, types: &TypeTable) -> Option<Node> {
    if bytes.is_empty() || bytes.len() > limits.body_bytes {
        return None;
    }
    match format {
        Format::Json => json::parse_leniently(bytes, limits.depth).map(|(node, _)| node).ok(),
        Format::Xml => xml::parse_leniently(bytes, limits.depth, types).map(|(node, _)| node).ok(),
    }
}

fn of_document(document: &Node) -> Vec<Write> {
    match document.resource_type() {
        Some("Bundle") => document.items("entry").iter().flat_map(named_by_entry).collect(),
        Some("Parameters") => document.items("parameter").iter().filter_map(|one| one.get("resource")).flat_map(of_resource).collect(),
        _ => of_resource(document),
    }
}

/// A resource is about whom it names, and about whom the record is of whose id it has.
fn of_resource(resource: &Node) -> Vec<Write> {
    let Some(type_name) = resource.resource_type() else { return Vec::new() };
    let own = resource.text("id").map(|id| record(type_name, id));
    let interaction = Interaction::Create { type_name: type_name.to_owned(), if_none_exist: None };
    own.into_iter().chain([write(interaction, Some(resource.clone()))]).collect()
}

/// The patients by whose ids a search asks.
pub fn asked_about(type_name: &str, pairs: &Pairs) -> Vec<Write> {
    let names_patients = |name: &str| ABOUT.contains(&name) || (name == "_id" && type_name == "Patient");
    let values = pairs.iter().filter(|(name, _)| names_patients(name)).flat_map(|(_, value)| value.split(','));
    values.map(|value| record("Patient", value.strip_prefix("Patient/").unwrap_or(value))).collect()
}

/// `Type/id`, whatever follows, or the patients a search is about.
fn of_url(url: &str) -> Vec<Write> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parts = path.trim_matches('/').split('/');
    let type_name = parts.next().unwrap_or_default();
    if !type_name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return Vec::new();
    }
    match parts.next() {
        Some(id) if !id.starts_with(['$', '_']) => vec![record(type_name, id)],
        _ => decode_pairs(query).map(|pairs| asked_about(type_name, &pairs)).unwrap_or_default(),
    }
}

fn record(type_name: &str, id: &str) -> Write {
    write(Interaction::Delete { type_name: type_name.to_owned(), id: id.to_owned(), if_match: None }, None)
}

fn write(interaction: Interaction, resource: Option<Node>) -> Write {
    Write { interaction, resource, full_url: None, path: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records and the types of resources that are named.
    fn check(url: &str, document: &str, records: &[&str], resources: &[&str]) {
        let document = json::parse(document.as_bytes(), 16).ok();
        let writes = named(url, document.as_ref());
        let of = |write: &Write| match &write.interaction {
            Interaction::Delete { type_name, id, .. } => Some(format!("{type_name}/{id}")),
            _ => None,
        };
        assert_eq!(writes.iter().filter_map(of).collect::<Vec<_>>(), records, "{url}");
        let sent: Vec<&str> = writes.iter().filter_map(|write| write.resource.as_ref()?.resource_type()).collect();
        assert_eq!(sent, resources, "{url}");
    }

    #[test]
    fn a_request_names_what_its_url_and_its_body_name() {
        check("Patient/1", "", &["Patient/1"], &[]);
        check("Consent/7/$revokeConsent", "", &["Consent/7"], &[]);
        check("Observation?patient=Patient/1,2&code=x", "", &["Patient/1", "Patient/2"], &[]);
        check("Patient?_id=1", "", &["Patient/1"], &[]);
        check("Observation?_id=1&subject%3APatient=2", "", &["Patient/2"], &[]);
        check("/Patient/1/_history/2?x=y", "", &["Patient/1"], &[]);
        for nothing in ["", "Patient", "Patient?identifier=1", "Consent/$fileConsent", "Patient/_search", "metadata/x", "$x/y"] {
            check(nothing, "", &[], &[]);
        }
        check("Patient/1", r#"{"resourceType":"Patient","id":"2"}"#, &["Patient/1", "Patient/2"], &["Patient"]);
        check("", r#"{"id":"2"}"#, &[], &[]);
        let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"x"},{"name":"c","resource":{"resourceType":"Consent"}}]}"#;
        check("Consent/$fileConsent", parameters, &[], &["Consent"]);
        let bundle =
            r#"{"resourceType":"Bundle","entry":[{"request":{"url":"Patient/3"}},{"resource":{"resourceType":"List","id":"4"}},5]}"#;
        check("", bundle, &["Patient/3", "List/4"], &["List"]);
    }

    #[test]
    fn what_cannot_be_accepted_is_read_as_far_as_it_can_be() {
        let limits = Limits { body_bytes: 64, depth: 8, bundle_entries: 1 };
        let types = crate::definitions::Definitions::embedded().types();
        let read = |bytes: &str, format| document_leniently(bytes.as_bytes(), format, &limits, types);
        let twice = r#"{"resourceType":"Patient","id":"1","id":"2"}"#;
        assert_eq!(read(twice, Format::Json).and_then(|node| node.text("id").map(str::to_owned)).as_deref(), Some("1"));
        let odd = r#"<Patient xmlns="http://hl7.org/fhir"><id value="1"/><x/></Patient>"#;
        assert_eq!(read(odd, Format::Xml), None, "it is larger than may be read");
        for nothing in ["", "{", "\u{0}"] {
            assert!(read(nothing, Format::Json).is_none() && read(nothing, Format::Xml).is_none());
        }
    }
}
