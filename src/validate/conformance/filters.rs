//! What is known of the properties that value sets filter by, of systems that are not in hand: their types, and the operators that mean something for
//! them (<https://hl7.org/fhir/R4/loinc.html>, <https://hl7.org/fhir/R4/rxnorm.html>, <https://hl7.org/fhir/R4/codesystem.html#defined-props>).

/// What the values of a property are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    /// Codes, be it of the same system or of none that is known here.
    Code {
        is_of_system: bool,
    },
    DateTime,
    Decimal,
    Text,
}

/// A property by which a value set may filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub kind: Kind,
    /// The operators that mean something; any when none are named.
    pub operators: &'static [&'static str],
}

impl Known {
    const fn any(kind: Kind) -> Known {
        Known { kind, operators: &[] }
    }
}

const LOINC: &str = "http://loinc.org";
const CPT: &str = "http://www.ama-assn.org/go/cpt";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
/// Systems that are grammars, or whose filters have rules of their own.
const JUDGED_ELSEWHERE: [&str; 3] = ["http://snomed.info/sct", "http://unitsofmeasure.org", "urn:ietf:bcp:47"];

const CODE: Kind = Kind::Code { is_of_system: false };

/// What is known of a property, of a system that is in hand or not.
pub fn known(system: &str, property: &str, is_in_hand: bool) -> Option<Known> {
    match system {
        LOINC => of_loinc(property),
        CPT => of_cpt(property),
        RXNORM => of_rxnorm(property),
        _ if is_in_hand || JUDGED_ELSEWHERE.contains(&system) => None,
        _ => of_any(property),
    }
}

/// What the concepts of every system may have.
fn of_any(property: &str) -> Option<Known> {
    Some(match property {
        "concept" => Known { kind: CODE, operators: &["=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"] },
        "code" => Known { kind: CODE, operators: &["regex", "=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"] },
        "status" | "synonym" => Known::any(CODE),
        "inactive" | "notSelectable" => Known::any(Kind::Boolean),
        "effectiveDate" | "deprecationDate" | "retirementDate" => Known::any(Kind::DateTime),
        "itemWeight" => Known::any(Kind::Decimal),
        _ => return None,
    })
}

const OF_VALUES: &[&str] = &["=", "exists", "regex", "in", "not-in"];

/// The axes and parts of a LOINC term are named by codes, and compared; what else a term has is text.
fn of_loinc(property: &str) -> Option<Known> {
    let is_part = LOINC_PARTS.contains(&property) || ["rad-", "document-"].iter().any(|start| property.starts_with(start));
    Some(match property {
        "concept" | "code" => Known { kind: CODE, operators: &["=", "is-a", "is-not-a"] },
        _ if is_part => Known { kind: Kind::Code { is_of_system: true }, operators: OF_VALUES },
        _ if LOINC_TEXTS.contains(&property) => Known { kind: Kind::Text, operators: OF_VALUES },
        _ => return None,
    })
}

#[rustfmt::skip]
const LOINC_PARTS: [&str; 30] = [
    "ancestor", "descendent", "parent", "child", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "answer-list",
    "MAP_TO", "analyte", "analyte-core", "analyte-suffix", "analyte-numerator", "analyte-divisor", "analyte-divisor-suffix", "challenge", "adjustment",
    "count", "time-core", "time-modifier", "system-core", "super-system", "analyte-gene", "category", "answers-for", "answer",
];

#[rustfmt::skip]
const LOINC_TEXTS: [&str; 27] = [
    "VersionLastChanged", "CHNG_TYPE", "DefinitionDescription", "STATUS", "CLASSTYPE", "FORMULA", "EXMPL_ANSWERS", "SURVEY_QUEST_TEXT",
    "SURVEY_QUEST_SRC", "UNITSREQUIRED", "ORDER_OBS", "HL7_FIELD_SUBFIELD_ID", "EXTERNAL_COPYRIGHT_NOTICE", "EXAMPLE_UNITS", "EXAMPLE_UCUM_UNITS",
    "STATUS_REASON", "STATUS_TEXT", "CHANGE_REASON_PUBLIC", "COMMON_TEST_RANK", "COMMON_ORDER_RANK", "HL7_ATTACHMENT_STRUCTURE",
    "EXTERNAL_COPYRIGHT_LINK", "PanelType", "AskAtOrderEntry", "AssociatedObservations", "VersionFirstReleased", "ValidHL7AttachmentRequest",
];

fn of_cpt(property: &str) -> Option<Known> {
    match property {
        "modifier" | "modified" | "telemedicine" | "orthopox" => Some(Known::any(Kind::Boolean)),
        "kind" => Some(Known::any(CODE)),
        _ => None,
    }
}

/// Every property of RxNorm is a code: of a term type, a source, or a concept that it is related to.
fn of_rxnorm(property: &str) -> Option<Known> {
    let is_name = property.len() <= 5 && property.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_name || matches!(property, "concept" | "code")).then_some(Known::any(CODE))
}
