//! Identifiers and labels: systems that are absolute, values that fit them, and no label twice (<https://hl7.org/fhir/R4/datatypes.html#Identifier>).

use super::path::Path;
use super::primitives::{has_scheme, is_uuid};
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashSet;

const LOCAL_SYSTEM: Rule = Rule::error(IssueType::CodeInvalid, "Type_Specific_Checks_DT_Identifier_System");
const VALUE_IS_NO_URI: Rule = Rule::error(IssueType::CodeInvalid, "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_VALUE");
const VALUE_IS_NO_UUID: Rule = Rule::error(IssueType::CodeInvalid, "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_WRONG_1");
const BARE_UUID: Rule = Rule::warning(IssueType::CodeInvalid, "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_WRONG_2");
const URN_OF_OTHER: Rule = Rule::warning(IssueType::CodeInvalid, "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_WRONG_3");
const LABEL_TWICE: Rule = Rule::error(IssueType::BusinessRule, "META_RES_SECURITY_DUPLICATE");

/// The system of identifiers that are URIs themselves.
const URIS: &str = "urn:ietf:rfc:3986";

/// Where the document about UUIDs is, which some take for the system of identifiers that are UUIDs.
const OF_UUIDS: &str = "https://tools.ietf.org/html/rfc4122";

/// Judges an Identifier.
pub fn check(walk: &mut Walk<'_>, identifier: &Node, path: &Path<'_>) {
    let Some(system) = identifier.text("system").filter(|system| !system.is_empty()) else { return };
    if !has_scheme(system) {
        walk.report.add(LOCAL_SYSTEM, path, identifier, "The system of an identifier must be an absolute URI");
    }
    if system == URIS && identifier.text("value").is_some_and(|value| !has_scheme(value)) {
        walk.report.add(VALUE_IS_NO_URI, path, identifier, "An identifier with this system must have an absolute URI as its value");
    }
    if let Some(value) = identifier.text("value").filter(|_| system == OF_UUIDS) {
        let (rule, text) = if value.starts_with("urn:uuid:") {
            (URN_OF_OTHER, "A UUID that is written as a URN is of the system urn:ietf:rfc:3986")
        } else if is_uuid(&format!("urn:uuid:{value}")) {
            (BARE_UUID, "A UUID is of the system urn:ietf:rfc:3986, and its value begins urn:uuid:")
        } else {
            (VALUE_IS_NO_UUID, "The system says that the value is a UUID, and it is none")
        };
        walk.report.add(rule, path, identifier, text);
    }
}

/// Judges the security labels of a resource.
pub fn check_labels(walk: &mut Walk<'_>, meta: &Node, path: &Path<'_>) {
    let mut seen = HashSet::new();
    // HL7's validator numbers labels as if they were profiles.
    let name = path.name(if walk.options.as_hl7 { "profile" } else { "security" });
    for (index, label) in meta.items("security").iter().enumerate() {
        let Some(code) = label.text("code") else { continue };
        if !seen.insert((label.text("system"), code)) {
            walk.report.add(LABEL_TWICE, &name.index(index), label, "The resource has this security label already");
        }
    }
}
