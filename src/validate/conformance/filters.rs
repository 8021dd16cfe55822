//! The rules for the filters of a value set: what is known of the property that is filtered by, from its code system where that is in hand, and of some systems
//! without it: the type of its values, and the operators that mean something for it (<https://hl7.org/fhir/R4/loinc.html>,
//! <https://hl7.org/fhir/R4/rxnorm.html>, <https://hl7.org/fhir/R4/codesystem.html#defined-props>).

use crate::definitions::{CodeSystem, Content};
use compact_str::CompactString;

/// Where a code must be that is the value of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Anywhere,
    /// In the system itself, as FHIR has it; many systems define properties whose codes are of a list that is not written down.
    ShouldBeInSystem,
    InSystem,
    /// In the system, which named its values otherwise before.
    InSystemByNow,
}

/// What the values of a property are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Code(Named),
    Coding,
    DateTime,
    Decimal,
    Integer,
    Text,
}

/// A property by which a value set may filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'s> {
    pub kind: Kind,
    /// The operators that mean something by themselves, and those that the system declares. Any does when neither names one.
    operators: &'static [&'static str],
    declared: &'s [CompactString],
}

impl Known<'static> {
    const fn any(kind: Kind) -> Known<'static> {
        Known::of(kind, &[])
    }

    const fn of(kind: Kind, operators: &'static [&'static str]) -> Known<'static> {
        Known { kind, operators, declared: &[] }
    }
}

impl Known<'_> {
    pub fn takes(&self, operator: &str) -> bool {
        let is_any = self.operators.is_empty() && self.declared.is_empty();
        is_any || self.operators.contains(&operator) || self.declared.iter().any(|one| one == operator)
    }
}

/// What there is to judge a filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property<'s> {
    Known(Known<'s>),
    /// There is such a property, or a filter of this name, and nothing is said of its values: they are text.
    Unruled,
    /// The system is in hand and has nothing of this name.
    Missing,
    /// The system is not in hand, so there may be such a property.
    NotInHand,
}

const LOINC: &str = "http://loinc.org";
const CPT: &str = "http://www.ama-assn.org/go/cpt";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
/// Systems that are grammars, or whose filters have rules of their own.
const JUDGED_ELSEWHERE: [&str; 3] = ["http://snomed.info/sct", "http://unitsofmeasure.org", "urn:ietf:bcp:47"];

/// A code that may be of any system, or of none.
const CODE: Kind = Kind::Code(Named::Anywhere);

/// What is known of a property of a system.
pub fn property<'s>(system: &str, in_hand: Option<&'s CodeSystem>, name: &str) -> Property<'s> {
    let is_known = match system {
        LOINC => of_loinc(name),
        CPT => of_cpt(name),
        RXNORM => of_rxnorm(name),
        _ if in_hand.is_some() || JUDGED_ELSEWHERE.contains(&system) => None,
        _ => of_any(name),
    };
    match (is_known, in_hand) {
        (Some(known), _) => Property::Known(known),
        (None, Some(found)) => of_system(found, name),
        (None, None) => Property::NotInHand,
    }
}

/// What a system in hand says, and what is true of the concepts of every system.
fn of_system<'s>(system: &'s CodeSystem, name: &str) -> Property<'s> {
    let filter = system.filters.iter().find(|filter| filter.code == name);
    let declared = filter.map(|filter| filter.operators.as_slice()).unwrap_or_default();
    let stated = system.properties.iter().find(|property| property.code == name).map(|property| property.kind.as_str());
    if stated == Some("string") {
        return Property::Unruled;
    }
    if let Some(kind) = stated.and_then(kind_of) {
        return Property::Known(Known { declared, ..Known::any(kind) });
    }
    match of_any(name).or_else(|| of_hierarchy(name).filter(|_| system.hierarchy.is_some())) {
        Some(known) => Property::Known(Known { declared, ..known }),
        None if name == "comment" || filter.is_some() || stated.is_some() || system.content == Content::NotPresent => Property::Unruled,
        None => Property::Missing,
    }
}

/// The kind of a type that `CodeSystem.property.type` names.
fn kind_of(type_name: &str) -> Option<Kind> {
    Some(match type_name {
        "boolean" => Kind::Boolean,
        "code" => Kind::Code(Named::ShouldBeInSystem),
        "Coding" => Kind::Coding,
        "dateTime" => Kind::DateTime,
        "decimal" => Kind::Decimal,
        "integer" => Kind::Integer,
        _ => return None,
    })
}

/// What the concepts of every system may have.
fn of_any(property: &str) -> Option<Known<'static>> {
    const OF_CODE: &[&str] = &["regex", "=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"];
    const OF_CONCEPT: &[&str] = &["=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"];
    Some(match property {
        "concept" => Known::of(Kind::Code(Named::InSystem), OF_CONCEPT),
        "code" => Known::of(Kind::Code(Named::InSystem), OF_CODE),
        "status" | "synonym" => Known::any(CODE),
        "inactive" | "notSelectable" => Known::any(Kind::Boolean),
        "effectiveDate" | "deprecationDate" | "retirementDate" => Known::any(Kind::DateTime),
        "itemWeight" => Known::any(Kind::Decimal),
        _ => return None,
    })
}

/// What the concepts of a system have that says what its hierarchy means.
fn of_hierarchy(property: &str) -> Option<Known<'static>> {
    matches!(property, "parent" | "child" | "partOf").then_some(Known::any(Kind::Code(Named::InSystem)))
}

const OF_VALUES: &[&str] = &["=", "exists", "regex", "in", "not-in"];

/// The axes and parts of a LOINC term are named by codes, and compared; what else a term has is text.
fn of_loinc(property: &str) -> Option<Known<'static>> {
    let is_part = LOINC_PARTS.contains(&property) || ["rad-", "document-"].iter().any(|start| property.starts_with(start));
    Some(match property {
        "concept" | "code" => Known::of(CODE, &["=", "is-a", "is-not-a"]),
        _ if is_part => Known::of(Kind::Code(Named::InSystemByNow), OF_VALUES),
        _ if LOINC_TEXTS.contains(&property) => Known::of(Kind::Text, OF_VALUES),
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

fn of_cpt(property: &str) -> Option<Known<'static>> {
    match property {
        "modifier" | "modified" | "telemedicine" | "orthopox" => Some(Known::any(Kind::Boolean)),
        "kind" => Some(Known::any(CODE)),
        _ => None,
    }
}

/// Every property of RxNorm is a code: of a term type, a source, or a concept that it is related to.
fn of_rxnorm(property: &str) -> Option<Known<'static>> {
    let is_name = property.len() <= 5 && property.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_name || matches!(property, "concept" | "code")).then_some(Known::any(CODE))
}
