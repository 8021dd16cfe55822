//! HL7's own definitions: the work group that keeps one, and its publisher's name (<https://hl7.org/fhir/R4/extension-structuredefinition-wg.html>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::choice;
use crate::fhir::Node;
use crate::outcome::{IssueType, Severity};

const SEVERAL_GROUPS: Rule = Rule::error(IssueType::Invalid, "VALIDATION_HL7_PUBLISHER_MULTIPLE_WGS");
const GROUP_UNKNOWN: Rule = Rule::error(IssueType::CodeInvalid, "VALIDATION_HL7_WG_UNKNOWN");
const OTHER_PUBLISHER: Rule = Rule::error(IssueType::BusinessRule, "VALIDATION_HL7_PUBLISHER_MISMATCH");

pub const WORK_GROUP: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-wg";

/// What HL7's definitions have URLs under.
const HL7: &str = "http://hl7.org/fhir/";

/// HL7's work groups by their codes. One may be called by more than one name.
#[rustfmt::skip]
const GROUPS: [(&str, &str); 46] = [
    ("aid", "Application Implementation and Design"), ("arden", "Arden Syntax"), ("brr", "Biomedical Research and Regulation"),
    ("cbcc", "Community Based Collaborative Care"), ("cdamg", "CDA Management Group"), ("cds", "Clinical Decision Support"),
    ("cg", "Clinical Genomics"), ("cgp", "Cross-Group Projects"), ("cic", "Clinical Interoperability Council"),
    ("cimi", "Clinical Information Modeling Initiative"), ("claims", "Payer/Provider Information Exchange Work Group"),
    ("cqi", "Clinical Quality Information"), ("dev", "Health Care Devices"), ("ec", "Emergency Care"), ("ehr", "Electronic Health Records"),
    ("fhir", "FHIR Infrastructure"), ("fm", "Financial Management"), ("fmg", "FHIR Management Group"), ("hsi", "Health Standards Integration"),
    ("hsswg", "Human and Social Services"), ("hta", "Terminology Authority"), ("ictc", "Conformance"), ("ii", "Imaging Integration"),
    ("inm", "Infrastructure And Messaging"), ("its", "Implementable Technology Specifications"), ("lhs", "Learning Health Systems"),
    ("mnm", "Modeling and Methodology"), ("mobile", "Mobile Health"), ("oo", "Orders and Observations"), ("pa", "Patient Administration"),
    ("pc", "Patient Care"), ("pe", "Patient Empowerment"), ("pher", "Public Health"), ("phx", "Pharmacy"), ("sd", "Structured Documents"),
    ("sec", "Security"), ("soa", "Services Oriented Architecture"), ("ti", "Terminology Infrastructure"), ("ti", "Vocabulary"),
    ("tsmg", "Terminology Services Management Group (TSMG)"), ("us", "US Realm Steering Committee"), ("v2", "V2 Management Group"),
    ("vocab", "Terminology Infrastructure"), ("vocab", "Vocabulary"), ("rcrim", "Biomedical Research and Regulation"),
    ("dss", "Clinical Decision Support"),
];

/// Whether a resource is one of HL7's own definitions, and no example.
pub fn is_hl7(resource: &Node) -> bool {
    resource.text("url").is_some_and(|url| url.starts_with(HL7) && !url.contains("example") && !url.starts_with("http://hl7.org/fhir/test"))
}

/// Judges who keeps and publishes one of HL7's definitions.
pub fn check(walk: &mut Walk<'_>, resource: &Node, path: &Path<'_>) {
    if !is_hl7(resource) {
        return;
    }
    let mut stated = resource.items("extension").iter().filter(|one| one.text("url") == Some(WORK_GROUP));
    let Some(first) = stated.next() else { return };
    if stated.next().is_some() {
        return walk.report.add(SEVERAL_GROUPS, path, resource, "One work group keeps a definition of HL7's, and more are named");
    }
    let Some(code) = choice(first, "value").and_then(|(value, _)| value.as_text()) else { return };
    let mut names = GROUPS.iter().filter(|group| group.0 == code).map(|group| group.1).peekable();
    if names.peek().is_none() {
        return walk.report.add(GROUP_UNKNOWN, path, resource, "HL7 has no work group of the code that is named");
    }
    let Some(publisher) = resource.text("publisher") else { return };
    let is_named = names.any(|name| publisher.strip_prefix("HL7 International / ") == Some(name));
    if !is_named {
        // Publishers of before were not named by their group, and some definitions are others' too.
        let names_a_group = publisher.starts_with("HL7 International") && publisher.contains('/');
        let severity = if names_a_group { Severity::Error } else { Severity::Warning };
        let text = "The publisher of a definition of HL7's is HL7 International, with the name of the work group that is stated";
        walk.report.add(Rule { severity, ..OTHER_PUBLISHER }, path, resource, text);
    }
}
