//! What functions take: their input and their arguments, by the types that may stand there.

use super::super::syntax::SystemType;

/// What may stand in a place. Types are listed by what they are specialised from; those that have no type of their own pass everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Anything,
    /// Criteria, and truths to be counted.
    Boolean,
    Integer,
    /// Numbers, with units or without.
    Number,
    /// Dates and times.
    Moment,
    /// What lies between two boundaries: numbers and moments.
    Continuous,
    /// Texts, URIs, codes and ids.
    Text,
    Primitive,
    /// Primitives and quantities.
    Value,
    Coded,
    Reference,
    Narrative,
}

/// FHIR's types that hold a text. A code, an id and Markdown are strings, and all kinds of URLs are URIs.
const TEXTS: [&str; 4] = ["string", "uri", "base64Binary", "xhtml"];

impl Takes {
    /// In words, for findings.
    pub fn in_words(self) -> &'static str {
        match self {
            Takes::Anything => "anything",
            Takes::Boolean => "a Boolean",
            Takes::Integer => "an Integer",
            Takes::Number => "a number",
            Takes::Moment => "a date or a time",
            Takes::Continuous => "a number, a date or a time",
            Takes::Text => "text",
            Takes::Primitive => "a primitive",
            Takes::Value => "a primitive or a Quantity",
            Takes::Coded => "a code, a Coding or a CodeableConcept",
            Takes::Reference => "a Reference or a URI",
            Takes::Narrative => "XHTML",
        }
    }

    /// The Java validator's message id for an input that is something else.
    pub fn message_id(self) -> &'static str {
        match self {
            Takes::Text => "FHIRPATH_STRING_SING_ONLY",
            Takes::Primitive | Takes::Value => "FHIRPATH_PRIMITIVE_ONLY",
            Takes::Coded => "FHIRPATH_CODED_ONLY",
            Takes::Reference => "FHIRPATH_REFERENCE_ONLY",
            Takes::Number => "FHIRPATH_NUMERICAL_ONLY",
            Takes::Continuous | Takes::Moment => "FHIRPATH_CONTINUOUS_ONLY",
            Takes::Anything | Takes::Boolean | Takes::Integer | Takes::Narrative => "FHIRPATH_CANNOT_USE",
        }
    }

    /// Whether a value of FHIRPath's own type may stand here.
    pub(in super::super) fn has_system(self, kind: SystemType) -> bool {
        use SystemType::{Any, Date, DateTime, Decimal, Quantity, String, Time};
        let is_number = matches!(kind, SystemType::Integer | Decimal | Quantity);
        let is_moment = matches!(kind, Date | DateTime | Time);
        kind == Any
            || match self {
                Takes::Anything | Takes::Value => true,
                Takes::Boolean => kind == SystemType::Boolean,
                Takes::Integer => kind == SystemType::Integer,
                Takes::Number => is_number,
                Takes::Moment => is_moment,
                Takes::Continuous => is_number || is_moment,
                Takes::Text | Takes::Coded | Takes::Reference | Takes::Narrative => kind == String,
                Takes::Primitive => kind != Quantity,
            }
    }

    /// Whether every one of FHIR's primitives may stand here.
    pub(in super::super) fn has_primitives(self) -> bool {
        matches!(self, Takes::Anything | Takes::Primitive | Takes::Value)
    }

    /// FHIR's types that may stand here, with what is specialised from them; beside all primitives where [`Takes::has_primitives`].
    pub(in super::super) fn types(self) -> &'static [&'static str] {
        match self {
            Takes::Anything | Takes::Primitive => &[],
            Takes::Boolean => &["boolean"],
            Takes::Integer => &["integer", "integer64"],
            Takes::Number => &["integer", "integer64", "decimal", "Quantity"],
            Takes::Moment => &["date", "dateTime", "instant", "time"],
            Takes::Continuous => &["integer", "integer64", "decimal", "Quantity", "date", "dateTime", "instant", "time"],
            Takes::Text => &TEXTS,
            Takes::Value => &["Quantity"],
            Takes::Coded => &["string", "uri", "Coding", "CodeableConcept", "CodeableReference", "Quantity"],
            Takes::Reference => &["string", "uri", "Reference", "CodeableReference"],
            Takes::Narrative => &["xhtml", "string"],
        }
    }
}
