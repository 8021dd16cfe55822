//! Why an expression could not be compiled or evaluated.

use super::function::Takes;
use std::fmt;

/// One variant per reason. Texts name operations, types and limits, never values of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// The text is not FHIRPath; `offset` is the byte where reading stopped.
    Syntax {
        offset: usize,
        expected: &'static str,
    },
    UnknownFunction {
        name: String,
    },
    /// Too few, too many or the wrong kind of arguments.
    Arguments {
        function: &'static str,
    },
    UnknownType {
        name: String,
    },
    UnknownVariable {
        name: String,
    },
    /// More than one item where one or none is required.
    NotSingle {
        operation: &'static str,
    },
    /// Operands of types the operation is not defined for.
    WrongType {
        operation: &'static str,
    },
    /// A function on something that it does not take; found before anything is evaluated.
    WrongInput {
        function: &'static str,
        takes: Takes,
        found: Box<str>,
    },
    /// An argument that the function does not take; found before anything is evaluated. Places count from 0.
    WrongArgument {
        function: &'static str,
        place: usize,
        takes: Takes,
        found: Box<str>,
    },
    /// A name that its parent's type does not have; found by the strict check, and always for the JSON name of a choice (`valueQuantity`).
    UnknownElement {
        name: Box<str>,
        parent: Box<str>,
    },
    /// The order of the input means nothing, yet the function depends on it; found by the strict check.
    Unordered {
        function: &'static str,
    },
    Limit {
        limit: Limit,
        value: u64,
    },
    /// What is given as a regular expression is none.
    Pattern,
    /// A regular expression with something that is not matched here: lookaround, backreferences, atomic groups.
    PatternNotSupported,
    /// `now()` and its kin without a clock in the focus.
    NoClock,
    /// The environment cannot answer: no terminology, no profiles.
    NotSupported {
        function: &'static str,
    },
    /// A canonical URL that nobody here knows.
    UnknownCanonical {
        function: &'static str,
    },
    /// The expression was compiled against another type table than the focus has.
    OtherTypes,
}

/// The bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Length,
    Nesting,
    Steps,
    Items,
    TextBytes,
    PatternBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Length => "bytes of expression",
            Limit::Nesting => "levels of nesting",
            Limit::Steps => "steps of evaluation",
            Limit::Items => "items in a collection",
            Limit::TextBytes => "bytes of text",
            Limit::PatternBytes => "bytes of compiled regular expressions",
        })
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Syntax { offset, expected } => write!(f, "FHIRPath syntax: expected {expected} at byte {offset}"),
            PathError::UnknownFunction { name } => write!(f, "FHIRPath has no function '{name}'"),
            PathError::Arguments { function } => write!(f, "the arguments of '{function}' are not as it requires"),
            PathError::UnknownType { name } => write!(f, "'{name}' is not a known type"),
            PathError::UnknownVariable { name } => write!(f, "the variable '%{name}' is not defined"),
            PathError::NotSingle { operation } => write!(f, "'{operation}' takes one item, and there are more"),
            PathError::WrongType { operation } => write!(f, "'{operation}' is not defined for what it was given"),
            PathError::WrongInput { function, takes, found } => write!(f, "'{function}' works on {}, not on '{found}'", takes.in_words()),
            PathError::WrongArgument { function, place, takes, found } => {
                write!(f, "argument {} of '{function}' must be {}, not '{found}'", place + 1, takes.in_words())
            }
            PathError::UnknownElement { name, parent } => write!(f, "'{name}' is not an element of '{parent}'"),
            PathError::Unordered { function } => write!(f, "'{function}' needs an order, which its input does not have"),
            PathError::Limit { limit, value } => write!(f, "more than {value} {limit}"),
            PathError::Pattern => write!(f, "not a regular expression"),
            PathError::PatternNotSupported => write!(f, "the regular expression has something that is not supported here"),
            PathError::NoClock => write!(f, "the current time is not available here"),
            PathError::NotSupported { function } => write!(f, "'{function}' cannot be answered here"),
            PathError::UnknownCanonical { function } => write!(f, "the URL given to '{function}' is not known"),
            PathError::OtherTypes => write!(f, "the expression was compiled for another release"),
        }
    }
}

impl PathError {
    /// The id that the Java validator's messages have for it, where there is one.
    pub fn message_id(&self) -> Option<&'static str> {
        Some(match self {
            PathError::WrongInput { takes, .. } => takes.message_id(),
            PathError::WrongArgument { .. } => "FHIRPATH_PARAM_WRONG",
            PathError::UnknownElement { .. } => "FHIRPATH_UNKNOWN_NAME",
            PathError::UnknownVariable { .. } => "FHIRPATH_UNKNOWN_CONSTANT",
            PathError::Unordered { .. } => "FHIRPATH_ORDERED_ONLY",
            _ => return None,
        })
    }
}

impl std::error::Error for PathError {}
