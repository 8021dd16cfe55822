//! The functions an expression may call.

mod table;
mod takes;

pub(super) use table::{Gives, SIGNATURES, Signature};
pub use takes::Takes;

/// Every function of FHIRPath N1 and of FHIR R4, and those later releases added that are already in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    // Existence
    Empty,
    Exists,
    All,
    AllTrue,
    AnyTrue,
    AllFalse,
    AnyFalse,
    SubsetOf,
    SupersetOf,
    Count,
    Distinct,
    IsDistinct,
    Not,
    // Filtering and projection
    Where,
    Select,
    Repeat,
    OfType,
    Aggregate,
    Sort,
    Iif,
    // Subsetting and combining
    Single,
    First,
    Last,
    Tail,
    Item,
    Skip,
    Take,
    Intersect,
    Exclude,
    Union,
    Combine,
    Coalesce,
    // Conversion
    ToBoolean,
    ToInteger,
    ToDecimal,
    ToText,
    ToDate,
    ToDateTime,
    ToTime,
    ToQuantity,
    ConvertsToBoolean,
    ConvertsToInteger,
    ConvertsToDecimal,
    ConvertsToText,
    ConvertsToDate,
    ConvertsToDateTime,
    ConvertsToTime,
    ConvertsToQuantity,
    // Text
    IndexOf,
    LastIndexOf,
    Substring,
    StartsWith,
    EndsWith,
    Contains,
    Upper,
    Lower,
    Replace,
    Matches,
    MatchesFull,
    ReplaceMatches,
    Length,
    ToChars,
    Encode,
    Decode,
    Escape,
    Unescape,
    Trim,
    Split,
    Join,
    // Numbers
    Abs,
    Ceiling,
    Exp,
    Floor,
    Ln,
    Log,
    Power,
    Round,
    Sqrt,
    Truncate,
    // Precision
    LowBoundary,
    HighBoundary,
    Precision,
    Comparable,
    // Dates
    YearOf,
    MonthOf,
    DayOf,
    HourOf,
    MinuteOf,
    SecondOf,
    MillisecondOf,
    TimezoneOffsetOf,
    DateOf,
    TimeOf,
    Now,
    Today,
    TimeOfDay,
    // The tree and its types
    Children,
    Descendants,
    Is,
    As,
    Type,
    Trace,
    DefineVariable,
    // FHIR
    Extension,
    HasExtension,
    HasValue,
    GetValue,
    Resolve,
    MemberOf,
    ConformsTo,
    HtmlChecks,
    HtmlContent,
    Slice,
    ElementDefinition,
    CheckModifiers,
    Subsumes,
    SubsumedBy,
}

impl Function {
    /// The function of a name, with the fewest and most arguments it takes.
    pub fn named(name: &str) -> Option<(Function, usize, usize)> {
        let signature = SIGNATURES.iter().find(|signature| signature.name == name)?;
        Some((signature.function, signature.arguments.0, signature.arguments.1))
    }

    /// The name it is called by.
    pub fn name(self) -> &'static str {
        self.signature().map_or("", |signature| signature.name)
    }

    /// How it is called, what it takes and what it yields.
    pub fn signature(self) -> Option<&'static Signature> {
        SIGNATURES.get(self as usize)
    }

    /// Whether its argument is a type's name rather than an expression.
    pub fn takes_type(self) -> bool {
        matches!(self, Function::Is | Function::As | Function::OfType)
    }

    /// Whether its first argument is a regular expression.
    pub fn takes_pattern(self) -> bool {
        matches!(self, Function::Matches | Function::MatchesFull | Function::ReplaceMatches)
    }

    /// Whether its result depends on the order of its input.
    pub fn needs_order(self) -> bool {
        matches!(self, Function::First | Function::Last | Function::Tail | Function::Item | Function::Skip | Function::Take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_place() {
        for (place, row) in SIGNATURES.iter().enumerate() {
            assert_eq!((row.function as usize, row.function.name()), (place, row.name));
        }
    }
}
