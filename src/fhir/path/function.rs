//! The functions an expression may call, with the number of arguments each takes.

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

/// Name, function, fewest and most arguments.
type Row = (&'static str, Function, usize, usize);

/// In the order of [`Function`].
const FUNCTIONS: &[Row] = {
    use Function::*;
    &[
        ("empty", Empty, 0, 0),
        ("exists", Exists, 0, 1),
        ("all", All, 1, 1),
        ("allTrue", AllTrue, 0, 0),
        ("anyTrue", AnyTrue, 0, 0),
        ("allFalse", AllFalse, 0, 0),
        ("anyFalse", AnyFalse, 0, 0),
        ("subsetOf", SubsetOf, 1, 1),
        ("supersetOf", SupersetOf, 1, 1),
        ("count", Count, 0, 0),
        ("distinct", Distinct, 0, 0),
        ("isDistinct", IsDistinct, 0, 0),
        ("not", Not, 0, 0),
        ("where", Where, 1, 1),
        ("select", Select, 1, 1),
        ("repeat", Repeat, 1, 1),
        ("ofType", OfType, 1, 1),
        ("aggregate", Aggregate, 1, 2),
        ("sort", Sort, 0, 16),
        ("iif", Iif, 2, 3),
        ("single", Single, 0, 0),
        ("first", First, 0, 0),
        ("last", Last, 0, 0),
        ("tail", Tail, 0, 0),
        ("skip", Skip, 1, 1),
        ("take", Take, 1, 1),
        ("intersect", Intersect, 1, 1),
        ("exclude", Exclude, 1, 1),
        ("union", Union, 1, 1),
        ("combine", Combine, 1, 1),
        ("coalesce", Coalesce, 1, 16),
        ("toBoolean", ToBoolean, 0, 0),
        ("toInteger", ToInteger, 0, 0),
        ("toDecimal", ToDecimal, 0, 0),
        ("toString", ToText, 0, 0),
        ("toDate", ToDate, 0, 0),
        ("toDateTime", ToDateTime, 0, 0),
        ("toTime", ToTime, 0, 0),
        ("toQuantity", ToQuantity, 0, 1),
        ("convertsToBoolean", ConvertsToBoolean, 0, 0),
        ("convertsToInteger", ConvertsToInteger, 0, 0),
        ("convertsToDecimal", ConvertsToDecimal, 0, 0),
        ("convertsToString", ConvertsToText, 0, 0),
        ("convertsToDate", ConvertsToDate, 0, 0),
        ("convertsToDateTime", ConvertsToDateTime, 0, 0),
        ("convertsToTime", ConvertsToTime, 0, 0),
        ("convertsToQuantity", ConvertsToQuantity, 0, 1),
        ("indexOf", IndexOf, 1, 1),
        ("lastIndexOf", LastIndexOf, 1, 1),
        ("substring", Substring, 1, 2),
        ("startsWith", StartsWith, 1, 1),
        ("endsWith", EndsWith, 1, 1),
        ("contains", Contains, 1, 1),
        ("upper", Upper, 0, 0),
        ("lower", Lower, 0, 0),
        ("replace", Replace, 2, 2),
        ("matches", Matches, 1, 2),
        ("matchesFull", MatchesFull, 1, 2),
        ("replaceMatches", ReplaceMatches, 2, 3),
        ("length", Length, 0, 0),
        ("toChars", ToChars, 0, 0),
        ("encode", Encode, 1, 1),
        ("decode", Decode, 1, 1),
        ("escape", Escape, 1, 1),
        ("unescape", Unescape, 1, 1),
        ("trim", Trim, 0, 0),
        ("split", Split, 1, 1),
        ("join", Join, 0, 1),
        ("abs", Abs, 0, 0),
        ("ceiling", Ceiling, 0, 0),
        ("exp", Exp, 0, 0),
        ("floor", Floor, 0, 0),
        ("ln", Ln, 0, 0),
        ("log", Log, 1, 1),
        ("power", Power, 1, 1),
        ("round", Round, 0, 1),
        ("sqrt", Sqrt, 0, 0),
        ("truncate", Truncate, 0, 0),
        ("lowBoundary", LowBoundary, 0, 1),
        ("highBoundary", HighBoundary, 0, 1),
        ("precision", Precision, 0, 0),
        ("comparable", Comparable, 1, 1),
        ("yearOf", YearOf, 0, 0),
        ("monthOf", MonthOf, 0, 0),
        ("dayOf", DayOf, 0, 0),
        ("hourOf", HourOf, 0, 0),
        ("minuteOf", MinuteOf, 0, 0),
        ("secondOf", SecondOf, 0, 0),
        ("millisecondOf", MillisecondOf, 0, 0),
        ("timezoneOffsetOf", TimezoneOffsetOf, 0, 0),
        ("dateOf", DateOf, 0, 0),
        ("timeOf", TimeOf, 0, 0),
        ("now", Now, 0, 0),
        ("today", Today, 0, 0),
        ("timeOfDay", TimeOfDay, 0, 0),
        ("children", Children, 0, 0),
        ("descendants", Descendants, 0, 0),
        ("is", Is, 1, 1),
        ("as", As, 1, 1),
        ("type", Type, 0, 0),
        ("trace", Trace, 1, 2),
        ("defineVariable", DefineVariable, 1, 2),
        ("extension", Extension, 1, 1),
        ("hasExtension", HasExtension, 1, 1),
        ("hasValue", HasValue, 0, 0),
        ("getValue", GetValue, 0, 0),
        ("resolve", Resolve, 0, 0),
        ("memberOf", MemberOf, 1, 1),
        ("conformsTo", ConformsTo, 1, 1),
        ("htmlChecks", HtmlChecks, 0, 0),
        ("htmlChecks2", HtmlContent, 0, 0),
        ("slice", Slice, 2, 2),
        ("elementDefinition", ElementDefinition, 0, 0),
        ("checkModifiers", CheckModifiers, 0, 16),
        ("subsumes", Subsumes, 1, 1),
        ("subsumedBy", SubsumedBy, 1, 1),
    ]
};

impl Function {
    /// The function of a name, with the fewest and most arguments it takes.
    pub fn named(name: &str) -> Option<(Function, usize, usize)> {
        FUNCTIONS.iter().find(|row| row.0 == name).map(|&(_, function, fewest, most)| (function, fewest, most))
    }

    /// The name it is called by.
    pub fn name(self) -> &'static str {
        FUNCTIONS.get(self as usize).map_or("", |row| row.0)
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
        matches!(self, Function::First | Function::Last | Function::Tail | Function::Skip | Function::Take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_place() {
        for (place, row) in FUNCTIONS.iter().enumerate() {
            assert_eq!((row.1 as usize, row.1.name()), (place, row.0));
        }
    }
}
