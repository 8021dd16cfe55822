//! Why a document could not be read; XML and JSON share it.

use std::fmt;

/// Why a document could not be read, and the byte where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub offset: usize,
    pub kind: SyntaxErrorKind,
}

/// One variant per refusal of the readers; XML and JSON share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    Empty,
    InvalidUtf8,
    Unexpected {
        expected: &'static str,
    },
    TooDeep {
        limit: usize,
    },
    TooLong,
    TooManyValues {
        limit: usize,
    },
    DuplicateMember {
        name: String,
    },
    LoneSurrogate,
    ControlCharacter,
    BadEscape,
    BadNumber,
    TrailingContent,
    Doctype,
    Entity,
    UnknownElement {
        name: String,
    },
    UnknownAttribute {
        name: String,
    },
    /// An element stands apart from its earlier repetitions.
    OutOfOrder {
        name: String,
    },
    /// An element or attribute that may stand only once stands again.
    Repeated {
        name: String,
    },
    /// An element is not in the namespace of FHIR, or a narrative not in that of XHTML.
    Namespace {
        name: String,
    },
    ProcessingInstruction,
    /// The document says or shows that it is not UTF-8.
    Encoding,
    Xml {
        problem: String,
    },
}

impl fmt::Display for SyntaxErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntaxErrorKind::Empty => write!(f, "the body is empty"),
            SyntaxErrorKind::InvalidUtf8 => write!(f, "the body is not valid UTF-8"),
            SyntaxErrorKind::Unexpected { expected } => write!(f, "expected {expected}"),
            SyntaxErrorKind::TooDeep { limit } => write!(f, "nested more than {limit} levels deep"),
            SyntaxErrorKind::TooLong => write!(f, "longer than 4 GiB"),
            SyntaxErrorKind::TooManyValues { limit } => {
                write!(f, "more than {limit} values, which is the limit for a document of this size")
            }
            SyntaxErrorKind::DuplicateMember { name } => write!(f, "the member '{name}' appears twice in one object"),
            SyntaxErrorKind::LoneSurrogate => write!(f, "a \\u escape is half of a surrogate pair"),
            SyntaxErrorKind::ControlCharacter => write!(f, "a control character stands unescaped in a string"),
            SyntaxErrorKind::BadEscape => write!(f, "an escape that JSON does not have"),
            SyntaxErrorKind::BadNumber => write!(f, "not a JSON number"),
            SyntaxErrorKind::TrailingContent => write!(f, "something follows the end of the document"),
            SyntaxErrorKind::Doctype => write!(f, "a document type declaration is not allowed in FHIR XML"),
            SyntaxErrorKind::Entity => write!(f, "only the five predefined entities and character references are allowed"),
            SyntaxErrorKind::UnknownElement { name } => write!(f, "'{name}' is not an element of FHIR at this place"),
            SyntaxErrorKind::UnknownAttribute { name } => write!(f, "'{name}' is not an attribute of FHIR at this place"),
            SyntaxErrorKind::OutOfOrder { name } => write!(f, "the repetitions of the element '{name}' must stand together"),
            SyntaxErrorKind::Repeated { name } => write!(f, "'{name}' may stand only once here"),
            SyntaxErrorKind::Namespace { name } => write!(f, "'{name}' is not in the namespace it must have"),
            SyntaxErrorKind::ProcessingInstruction => write!(f, "processing instructions are not allowed in FHIR XML"),
            SyntaxErrorKind::Encoding => write!(f, "the body must be encoded in UTF-8"),
            SyntaxErrorKind::Xml { problem } => write!(f, "{problem}"),
        }
    }
}

impl SyntaxErrorKind {
    pub fn at(self, offset: usize) -> SyntaxError {
        SyntaxError { offset, kind: self }
    }
}
