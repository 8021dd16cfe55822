//! The URIs this room writes and the ones it looks for.

/// Extension that keeps a primitive as it was received, where a rule had to change it in a way a reader may want to see.
pub const ORIGINAL_VALUE: &str = "urn:hearthgate:fhir:original-value";

/// Extension on the coding that travels best, set when a local coding stands before it.
pub const PRIMARY_CODING: &str = "urn:hearthgate:fhir:primary-coding";

/// Extension on a result that repeats an earlier one, with the reference to it.
pub const DUPLICATE_OF: &str = "urn:hearthgate:fhir:duplicate-of";

/// Extension on the `meta` of a Bundle that is kept whole: a patient here, displayed as an entry names them.
pub const NAMED_PATIENT: &str = "urn:hearthgate:fhir:named-patient";

/// HL7's extension for the reason why an element is not there.
pub const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// HL7's extension for the same quantity in another unit system; it keeps a vendor's own unit code beside the UCUM one.
pub const QUANTITY_TRANSLATION: &str = "http://hl7.org/fhir/StructureDefinition/iso21090-PQ-translation";

pub use crate::fhir::ucum::SYSTEM as UCUM;
pub const LOINC: &str = "http://loinc.org";
pub const SNOMED: &str = "http://snomed.info/sct";
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub const CVX: &str = "http://hl7.org/fhir/sid/cvx";
pub const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";
pub const ICD_9_CM: &str = "http://hl7.org/fhir/sid/icd-9-cm";
pub const CPT: &str = "http://www.ama-assn.org/go/cpt";
pub const NDC: &str = "http://hl7.org/fhir/sid/ndc";
pub const OBSERVATION_INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
pub const ABNORMAL_FLAGS: &str = "http://terminology.hl7.org/CodeSystem/v2-0078";
pub const DATA_ABSENT_REASON: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

/// What the gateway's names for systems begin with that call themselves OIDs and are none.
pub const MALFORMED_OID: &str = "urn:hearthgate:malformed-oid:";

/// What the gateway's names for a source begin with. RFC 8141 namespace, unregistered, never resolved.
pub const SOURCE_URN: &str = "urn:hearthgate:source:";

/// HL7's extensions for what an R4 element replaced.
pub const EPISODE_OF_CARE: &str = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare";
pub const OBSERVATION_SEQUEL: &str = "http://hl7.org/fhir/StructureDefinition/observation-sequelTo";
pub const OBSERVATION_REPLACES: &str = "http://hl7.org/fhir/StructureDefinition/observation-replaces";
