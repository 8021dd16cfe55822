//! Every function: how it is called, what it takes and what it yields.

use super::super::syntax::SystemType;
use super::{Function, Takes};

/// One function. What each argument takes is listed; the last of them holds for all that follow.
#[derive(Debug)]
pub(in super::super) struct Signature {
    pub name: &'static str,
    pub function: Function,
    /// The fewest and the most arguments.
    pub arguments: (usize, usize),
    pub input: Takes,
    takes: &'static [Takes],
    pub gives: Gives,
}

impl Signature {
    /// What the argument in a place takes.
    pub fn argument(&self, place: usize) -> Takes {
        self.takes.get(place).or(self.takes.last()).copied().unwrap_or(Takes::Anything)
    }
}

/// What a function yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Gives {
    System(SystemType),
    /// Items of its input.
    Input,
    /// Items of its input, now in an order.
    Ordered,
    /// Anything, in no order.
    Unordered,
    /// What its argument yields of each item.
    Projection,
    /// What its argument yields of each item, and of what that yields.
    Repeated,
    /// Items of its input or of its argument.
    Either,
    /// What one of its last two arguments yields.
    Branches,
    /// The type that is named.
    Named,
    Extension,
    Unknown,
}

impl Gives {
    const BOOLEAN: Gives = Gives::System(SystemType::Boolean);
    const INTEGER: Gives = Gives::System(SystemType::Integer);
    const DECIMAL: Gives = Gives::System(SystemType::Decimal);
    const STRING: Gives = Gives::System(SystemType::String);
    const DATE: Gives = Gives::System(SystemType::Date);
    const DATE_TIME: Gives = Gives::System(SystemType::DateTime);
    const TIME: Gives = Gives::System(SystemType::Time);
    const QUANTITY: Gives = Gives::System(SystemType::Quantity);
}

const fn row(
    name: &'static str,
    function: Function,
    arguments: (usize, usize),
    input: Takes,
    takes: &'static [Takes],
    gives: Gives,
) -> Signature {
    Signature { name, function, arguments, input, takes, gives }
}

/// In the order of [`Function`].
pub(in super::super) const SIGNATURES: &[Signature] = {
    use Function::*;
    use Takes as T;
    &[
        row("empty", Empty, (0, 0), T::Anything, &[], Gives::BOOLEAN),
        row("exists", Exists, (0, 1), T::Anything, &[T::Boolean], Gives::BOOLEAN),
        row("all", All, (1, 1), T::Anything, &[T::Boolean], Gives::BOOLEAN),
        row("allTrue", AllTrue, (0, 0), T::Boolean, &[], Gives::BOOLEAN),
        row("anyTrue", AnyTrue, (0, 0), T::Boolean, &[], Gives::BOOLEAN),
        row("allFalse", AllFalse, (0, 0), T::Boolean, &[], Gives::BOOLEAN),
        row("anyFalse", AnyFalse, (0, 0), T::Boolean, &[], Gives::BOOLEAN),
        row("subsetOf", SubsetOf, (1, 1), T::Anything, &[T::Anything], Gives::BOOLEAN),
        row("supersetOf", SupersetOf, (1, 1), T::Anything, &[T::Anything], Gives::BOOLEAN),
        row("count", Count, (0, 0), T::Anything, &[], Gives::INTEGER),
        row("distinct", Distinct, (0, 0), T::Anything, &[], Gives::Input),
        row("isDistinct", IsDistinct, (0, 0), T::Anything, &[], Gives::BOOLEAN),
        row("not", Not, (0, 0), T::Anything, &[], Gives::BOOLEAN),
        row("where", Where, (1, 1), T::Anything, &[T::Boolean], Gives::Input),
        row("select", Select, (1, 1), T::Anything, &[T::Anything], Gives::Projection),
        row("repeat", Repeat, (1, 1), T::Anything, &[T::Anything], Gives::Repeated),
        row("ofType", OfType, (1, 1), T::Anything, &[], Gives::Named),
        row("aggregate", Aggregate, (1, 2), T::Anything, &[T::Anything, T::Anything], Gives::Unknown),
        row("sort", Sort, (0, 16), T::Anything, &[T::Anything], Gives::Ordered),
        row("iif", Iif, (2, 3), T::Anything, &[T::Boolean, T::Anything, T::Anything], Gives::Branches),
        row("single", Single, (0, 0), T::Anything, &[], Gives::Input),
        row("first", First, (0, 0), T::Anything, &[], Gives::Input),
        row("last", Last, (0, 0), T::Anything, &[], Gives::Input),
        row("tail", Tail, (0, 0), T::Anything, &[], Gives::Input),
        row("item", Item, (1, 1), T::Anything, &[T::Integer], Gives::Input),
        row("skip", Skip, (1, 1), T::Anything, &[T::Integer], Gives::Input),
        row("take", Take, (1, 1), T::Anything, &[T::Integer], Gives::Input),
        row("intersect", Intersect, (1, 1), T::Anything, &[T::Anything], Gives::Input),
        row("exclude", Exclude, (1, 1), T::Anything, &[T::Anything], Gives::Input),
        row("union", Union, (1, 1), T::Anything, &[T::Anything], Gives::Either),
        row("combine", Combine, (1, 1), T::Anything, &[T::Anything], Gives::Either),
        row("coalesce", Coalesce, (1, 16), T::Anything, &[T::Anything], Gives::Unknown),
        row("toBoolean", ToBoolean, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("toInteger", ToInteger, (0, 0), T::Value, &[], Gives::INTEGER),
        row("toDecimal", ToDecimal, (0, 0), T::Value, &[], Gives::DECIMAL),
        row("toString", ToText, (0, 0), T::Value, &[], Gives::STRING),
        row("toDate", ToDate, (0, 0), T::Value, &[], Gives::DATE),
        row("toDateTime", ToDateTime, (0, 0), T::Value, &[], Gives::DATE_TIME),
        row("toTime", ToTime, (0, 0), T::Value, &[], Gives::TIME),
        row("toQuantity", ToQuantity, (0, 1), T::Value, &[T::Text], Gives::QUANTITY),
        row("convertsToBoolean", ConvertsToBoolean, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToInteger", ConvertsToInteger, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToDecimal", ConvertsToDecimal, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToString", ConvertsToText, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToDate", ConvertsToDate, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToDateTime", ConvertsToDateTime, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToTime", ConvertsToTime, (0, 0), T::Value, &[], Gives::BOOLEAN),
        row("convertsToQuantity", ConvertsToQuantity, (0, 1), T::Value, &[T::Text], Gives::BOOLEAN),
        row("indexOf", IndexOf, (1, 1), T::Text, &[T::Text], Gives::INTEGER),
        row("lastIndexOf", LastIndexOf, (1, 1), T::Text, &[T::Text], Gives::INTEGER),
        row("substring", Substring, (1, 2), T::Text, &[T::Integer, T::Integer], Gives::STRING),
        row("startsWith", StartsWith, (1, 1), T::Text, &[T::Text], Gives::BOOLEAN),
        row("endsWith", EndsWith, (1, 1), T::Text, &[T::Text], Gives::BOOLEAN),
        row("contains", Contains, (1, 1), T::Text, &[T::Text], Gives::BOOLEAN),
        row("upper", Upper, (0, 0), T::Text, &[], Gives::STRING),
        row("lower", Lower, (0, 0), T::Text, &[], Gives::STRING),
        row("replace", Replace, (2, 2), T::Text, &[T::Text, T::Text], Gives::STRING),
        row("matches", Matches, (1, 2), T::Text, &[T::Text, T::Text], Gives::BOOLEAN),
        row("matchesFull", MatchesFull, (1, 2), T::Text, &[T::Text, T::Text], Gives::BOOLEAN),
        row("replaceMatches", ReplaceMatches, (2, 3), T::Text, &[T::Text, T::Text, T::Text], Gives::STRING),
        row("length", Length, (0, 0), T::Primitive, &[], Gives::INTEGER),
        row("toChars", ToChars, (0, 0), T::Text, &[], Gives::STRING),
        row("encode", Encode, (1, 1), T::Text, &[T::Text], Gives::STRING),
        row("decode", Decode, (1, 1), T::Text, &[T::Text], Gives::STRING),
        row("escape", Escape, (1, 1), T::Text, &[T::Text], Gives::STRING),
        row("unescape", Unescape, (1, 1), T::Text, &[T::Text], Gives::STRING),
        row("trim", Trim, (0, 0), T::Text, &[], Gives::STRING),
        row("split", Split, (1, 1), T::Text, &[T::Text], Gives::STRING),
        row("join", Join, (0, 1), T::Primitive, &[T::Text], Gives::STRING),
        row("abs", Abs, (0, 0), T::Number, &[], Gives::Unknown),
        row("ceiling", Ceiling, (0, 0), T::Number, &[], Gives::INTEGER),
        row("exp", Exp, (0, 0), T::Number, &[], Gives::Unknown),
        row("floor", Floor, (0, 0), T::Number, &[], Gives::INTEGER),
        row("ln", Ln, (0, 0), T::Number, &[], Gives::Unknown),
        row("log", Log, (1, 1), T::Number, &[T::Number], Gives::Unknown),
        row("power", Power, (1, 1), T::Number, &[T::Number], Gives::Unknown),
        row("round", Round, (0, 1), T::Number, &[T::Integer], Gives::Unknown),
        row("sqrt", Sqrt, (0, 0), T::Number, &[], Gives::Unknown),
        row("truncate", Truncate, (0, 0), T::Number, &[], Gives::INTEGER),
        row("lowBoundary", LowBoundary, (0, 1), T::Continuous, &[T::Integer], Gives::Unknown),
        row("highBoundary", HighBoundary, (0, 1), T::Continuous, &[T::Integer], Gives::Unknown),
        row("precision", Precision, (0, 0), T::Continuous, &[], Gives::INTEGER),
        row("comparable", Comparable, (1, 1), T::Number, &[T::Number], Gives::BOOLEAN),
        row("yearOf", YearOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("monthOf", MonthOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("dayOf", DayOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("hourOf", HourOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("minuteOf", MinuteOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("secondOf", SecondOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("millisecondOf", MillisecondOf, (0, 0), T::Moment, &[], Gives::INTEGER),
        row("timezoneOffsetOf", TimezoneOffsetOf, (0, 0), T::Moment, &[], Gives::DECIMAL),
        row("dateOf", DateOf, (0, 0), T::Moment, &[], Gives::DATE),
        row("timeOf", TimeOf, (0, 0), T::Moment, &[], Gives::TIME),
        row("now", Now, (0, 0), T::Anything, &[], Gives::DATE_TIME),
        row("today", Today, (0, 0), T::Anything, &[], Gives::DATE),
        row("timeOfDay", TimeOfDay, (0, 0), T::Anything, &[], Gives::TIME),
        row("children", Children, (0, 0), T::Anything, &[], Gives::Unordered),
        row("descendants", Descendants, (0, 0), T::Anything, &[], Gives::Unordered),
        row("is", Is, (1, 1), T::Anything, &[], Gives::BOOLEAN),
        row("as", As, (1, 1), T::Anything, &[], Gives::Named),
        row("type", Type, (0, 0), T::Anything, &[], Gives::Unknown),
        row("trace", Trace, (1, 2), T::Anything, &[T::Text, T::Anything], Gives::Input),
        row("defineVariable", DefineVariable, (1, 2), T::Anything, &[T::Text, T::Anything], Gives::Input),
        row("extension", Extension, (1, 1), T::Anything, &[T::Text], Gives::Extension),
        row("hasExtension", HasExtension, (1, 1), T::Anything, &[T::Text], Gives::BOOLEAN),
        row("hasValue", HasValue, (0, 0), T::Anything, &[], Gives::BOOLEAN),
        row("getValue", GetValue, (0, 0), T::Anything, &[], Gives::Unknown),
        row("resolve", Resolve, (0, 0), T::Reference, &[], Gives::Unknown),
        row("memberOf", MemberOf, (1, 1), T::Coded, &[T::Text], Gives::BOOLEAN),
        row("conformsTo", ConformsTo, (1, 1), T::Anything, &[T::Text], Gives::BOOLEAN),
        row("htmlChecks", HtmlChecks, (0, 0), T::Narrative, &[], Gives::BOOLEAN),
        row("htmlChecks2", HtmlContent, (0, 0), T::Narrative, &[], Gives::BOOLEAN),
        row("slice", Slice, (2, 2), T::Anything, &[T::Text, T::Text], Gives::Input),
        row("elementDefinition", ElementDefinition, (0, 0), T::Anything, &[], Gives::Unknown),
        row("checkModifiers", CheckModifiers, (0, 16), T::Anything, &[T::Text], Gives::Input),
        row("subsumes", Subsumes, (1, 1), T::Coded, &[T::Coded], Gives::BOOLEAN),
        row("subsumedBy", SubsumedBy, (1, 1), T::Coded, &[T::Coded], Gives::BOOLEAN),
    ]
};
