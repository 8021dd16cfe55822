//! What HL7 publishes about itself: the definitions of R4 core and of US Core are refused only for what is wrong in them.

use super::shared;
use hearthgate::definitions::{Definitions, trim};
use hearthgate::fhir::Node;
use hearthgate::validate::{self, Options};
use std::collections::BTreeMap;

/// What is rightly found, and why: by the id of the finding, in definitions of any kind.
const RIGHT: [(&str, &str); 28] = [
    ("CONCEPTMAP_GROUP_SOURCE_CODE_INVALID", "maps of statuses list several codes in one, and codes that the systems lost"),
    ("CONCEPTMAP_GROUP_TARGET_CODE_INVALID", "the same of what is mapped to"),
    ("CONCEPTMAP_GROUP_SOURCE_CODE_INVALID_VS", "the map of clinical impressions names statuses that they do not have"),
    ("TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE", "CapabilityStatements name profiles as StructureDefinition/Library"),
    ("Validation_VAL_Profile_Minimum_one", "search parameters of extensions have no base"),
    ("CapabalityStatement_CS_SP_WrongType", "CapabilityStatements give search parameters other types"),
    ("VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_1", "value sets of HL7 v2, and one of US Core 7.0.0, have the version in the system"),
    (
        "http://hl7.org/fhir/StructureDefinition/StructureDefinition#sdf-4",
        "the patterns Event and Request derive from nothing and are not abstract",
    ),
    ("CODESYSTEM_PROPERTY_DUPLICATE_URI", "SNOMED CT's properties have a placeholder for a URI"),
    ("CODESYSTEM_PROPERTY_DUPLICATE_CODE", "SNOMED CT has the property Laterality twice"),
    ("CODESYSTEM_PROPERTY_BAD_HL7_URI", "part-of is no property of FHIR's"),
    ("TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_VALUE", "an example of Consent.identifier is words"),
    ("SD_ED_BIND_NOT_VS", "ExplanationOfBenefit.priority is bound to a code system"),
    ("ED_INVARIANT_EXPRESSION_ERROR", "rules name elements that are not there"),
    ("ED_SEARCH_EXPRESSION_ERROR", "search parameters select of other types, and by JSON's names"),
    ("SD_CONSTRAINED_KIND_NO_MATCH", "examples of profiles call Composition a complex type"),
    ("SD_DERIVATION_KIND_MISMATCH", "the same"),
    ("TERMINOLOGY_TX_SYSTEM_WRONG_BUILD", "an example of an OperationDefinition names the site of drafts"),
    ("Resource_RES_ID_Malformed_Length", "one search parameter's id is too long"),
    ("CODESYSTEM_CS_COUNT_COMPLETE_WRONG", "a code system of US Core 6.1.0 counts two and has one"),
    ("Type_Specific_Checks_DT_XHTML_Resolve", "the narrative of US Core 6.1.0's server links to a table that is not there"),
    (
        "VALUESET_BAD_FILTER_VALUE_VALID_CODE_CHANGE",
        "value sets select from LOINC by the names of its parts, which HL7's validator takes no longer",
    ),
    ("SM_SOURCE_CONTEXT_UNKNOWN", "the example of a StructureMap names types where its input stands"),
    ("SM_TARGET_CONTEXT_UNKNOWN", "the same of what it makes"),
    ("SM_TARGET_PATH_INVALID", "another example makes an element orderedItem, which a SupplyRequest does not have"),
    (
        "IG_HL7_STANDARDS_STATUS_REQUIRED",
        "the guide of US Core 6.1.0 does not say how far it is a standard, which HL7's validator asks of guides since",
    ),
    ("IG_HL7_WG_REQUIRED", "nor which work group keeps it"),
    ("VALUESET_INCLUDE_SYSTEM_ABSOLUTE_FRAG", "an example of a value set names its system by a fragment"),
];

#[test]
fn published_definitions_are_refused_for_what_is_wrong_in_them() {
    let options = Options { report_undecided: true, refuse_unknown_extensions: true, ..Options::default() };
    let mut unexplained = BTreeMap::new();
    for package in ["hl7.fhir.r4.core-4.0.1", "hl7.fhir.us.core-6.1.0", "hl7.fhir.us.core-7.0.0"] {
        let Some(path) = shared(&format!("packages/{package}.tgz")) else { return };
        let resources = trim::read_resources(&path).unwrap();
        let definitions = if package.contains(".us.") { Definitions::with(&resources) } else { Definitions::with(&[]) };
        let is_definition = |one: &&Node| one.text("url").is_some();
        let mut refused = 0;
        for definition in resources.iter().filter(is_definition) {
            let found = validate::check(&definitions, definition, &options);
            refused += usize::from(found.iter().any(|one| one.is_error()));
            for one in found.iter().filter(|one| one.is_error() && !RIGHT.iter().any(|(id, _)| *id == one.message_id)) {
                let name = definition.text("url").unwrap_or_default();
                unexplained.insert(format!("{name} {} {}", one.message_id, one.expression), one.text.clone());
            }
        }
        println!("{package}: {} resources, {refused} refused", resources.len());
        assert!(refused < 70, "{package}: {refused}");
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
