//! Rule 6. Every identifier value has a system, and one namespace has one name.
//!
//! OIDs that HL7 or a national programme has named get that name; a vendor's own OIDs stay. A value without a system means nothing outside its
//! source, so it is scoped to the source, and by its type: a record number and an account number of one system may be equal.

use super::super::facts;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::IDENTIFIER_SYSTEMS;
use super::super::source::opaque;
use super::super::vocabulary::MALFORMED_OID;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};
use std::borrow::Cow;

/// Settles `Identifier.system`.
pub(in super::super) fn apply(identifier: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(IDENTIFIER_SYSTEMS) {
        return;
    }
    match identifier.get("system").map(Node::as_text) {
        Some(Some(system)) => {
            if let Some(settled) = settled(system) {
                work.set(IDENTIFIER_SYSTEMS, identifier, path, "system", settled);
            }
            let system = identifier.get("system").and_then(Node::as_text).unwrap_or_default();
            if system.starts_with(MALFORMED_OID) {
                let text = "the identifier's system says it is an OID and is none; the gateway's name for it stands in its place";
                work.flag(Severity::Warning, IssueType::Value, "identifier-system-oid", &path.member("system"), text);
            } else if !system.contains(':') {
                let text = "the identifier's system is a name and no URI, and other sources may use the same; it was left as it is";
                work.flag(Severity::Warning, IssueType::Value, "identifier-system-name", &path.member("system"), text);
            }
        }
        None if identifier.get("value").is_some_and(|value| value.as_text().is_some()) && identifier.get("_system").is_none() => {
            let scoped = work.context.source.identifier_system.clone().unwrap_or_else(|| scoped(work.context.source.urn(), identifier));
            work.set(IDENTIFIER_SYSTEMS, identifier, path, "system", scoped);
        }
        _ => {}
    }
}

/// The name under which the gateway keeps a namespace of identifiers or codes, `None` when that is the name given. What asks for a record by a
/// namespace's other name means the same.
pub fn canonical_system(system: &str) -> Option<String> {
    let oid = strip_prefix_ignoring_case(system, "urn:oid:").unwrap_or(system);
    settled(system).or_else(|| is_oid(oid).then(|| super::coding_systems::oid_system(oid)).flatten())
}

/// The better name of a namespace, `None` when it has a good one.
fn settled(system: &str) -> Option<String> {
    let uri: Cow<'_, str> = if is_oid(system) {
        format!("urn:oid:{system}").into()
    } else if is_uuid(system) {
        format!("urn:uuid:{}", system.to_ascii_lowercase()).into()
    } else if let Some(oid) = strip_prefix_ignoring_case(system, "urn:oid:").or_else(|| strip_prefix_ignoring_case(system, "oid:")) {
        if is_oid(oid) { format!("urn:oid:{oid}").into() } else { malformed_oid(oid).into() }
    } else {
        system.into()
    };
    let known = facts::IDENTIFIER_SYSTEMS.get(uri.to_ascii_lowercase().as_str()).copied();
    let best = known.unwrap_or(&uri);
    (best != system).then(|| best.to_owned())
}

/// The gateway's name for what is called an OID and is none, which no `uri` may hold: injective, so that namespaces stay apart.
pub(super) fn malformed_oid(oid: &str) -> String {
    format!("{MALFORMED_OID}{}", opaque(oid))
}

/// A system for a value that came without: the source's URN and the identifier's type, by code or else by text.
fn scoped(urn: &str, identifier: &Object) -> String {
    let kind = identifier.get("type");
    let code = kind.and_then(|kind| kind.items("coding").iter().find_map(|coding| coding.text("code")));
    match code.or_else(|| kind?.text("text")) {
        Some(word) => format!("{urn}:identifier:{}", opaque(word)),
        None => format!("{urn}:identifier"),
    }
}

pub(super) fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The grammar of FHIR's `oid` without its prefix: `[0-2](\.(0|[1-9][0-9]*))+`.
pub(super) fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    let first = arcs.next().is_some_and(|arc| matches!(arc, "0" | "1" | "2"));
    let arc = |arc: &str| arc == "0" || (!arc.is_empty() && !arc.starts_with('0') && arc.bytes().all(|b| b.is_ascii_digit()));
    first && text.contains('.') && arcs.all(arc)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use super::{is_oid, settled};

    #[test]
    fn names_are_no_systems() {
        for (system, said) in [
            ("MRN", Some("identifier-system-name")),
            ("SSN", None),
            ("urn:oid:5.5.", Some("identifier-system-oid")),
            ("https://h/mrn", None),
        ] {
            let done = run(&format!(r#"{{"resourceType":"Patient","identifier":[{{"system":"{system}","value":"1"}}]}}"#), &source());
            assert_eq!(done.findings.first().map(|finding| finding.message_id), said, "{system}");
        }
    }

    #[test]
    fn settling() {
        for (system, best) in [
            ("urn:oid:2.16.840.1.113883.4.1", Some("http://hl7.org/fhir/sid/us-ssn")),
            ("2.16.840.1.113883.4.6", Some("http://hl7.org/fhir/sid/us-npi")),
            ("1.2.3.4", Some("urn:oid:1.2.3.4")),
            ("URN:OID:1.2.3.4", Some("urn:oid:1.2.3.4")),
            ("urn:oid:5.5.5.5.", Some("urn:hearthgate:malformed-oid:5.5.5.5.")),
            ("NPI", Some("http://hl7.org/fhir/sid/us-npi")),
            ("0F0F0F0F-0000-4000-8000-000000000000", Some("urn:uuid:0f0f0f0f-0000-4000-8000-000000000000")),
            ("urn:oid:1.2.840.114350.1.13.0.1.7.2.698084", None),
            ("urn:ietf:rfc:3986", None),
            ("https://fhir.cerner.com/ceuuid", None),
        ] {
            assert_eq!(settled(system).as_deref(), best, "{system}");
        }
        assert!(!is_oid("5.5.5.5.5.5.") && !is_oid("1") && !is_oid("1.02") && is_oid("1.0.3166"));
    }
}
