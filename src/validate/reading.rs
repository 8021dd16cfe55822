//! Documents read to be judged: what is no JSON, or not FHIR's XML, is passed over and said, and the rest is judged.

use super::slips;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, json, xml};
use crate::outcome::{Finding, IssueType, Severity};
use std::fmt::Display;

/// A document that nests no deeper than `depth`, with findings about what was passed over; or the one about what cannot be.
/// Whether what HL7's validator does not ask is warned of only, the caller says.
pub fn read(bytes: &[u8], is_xml: bool, depth: usize, types: &TypeTable, as_hl7: bool) -> Result<(Node, Vec<Finding>), Finding> {
    let read = if is_xml {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let read = xml::parse_leniently(bytes, depth, types);
        read.map(|(document, passed)| (document, slips::xml_findings(&passed)))
    } else {
        json::parse_leniently(bytes, depth).map(|(document, passed)| {
            let findings = slips::findings(types, &document, &passed, as_hl7);
            (document, findings)
        })
    };
    read.map_err(|error| unreadable(&error.kind, is_xml).at_offset(u32::try_from(error.offset).ok()))
}

/// What is said of a document that cannot be read at all.
pub fn unreadable(problem: &dyn Display, is_xml: bool) -> Finding {
    let message_id = if is_xml { "Error_parsing_XML_" } else { "Error_parsing_JSON_" };
    Finding::new(Severity::Fatal, IssueType::Structure, message_id, format!("The document cannot be read: {problem}"))
}
