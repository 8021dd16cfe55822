//! The functions, by what they work on. [`call`] finds the right one; each file holds one family.

mod collection;
mod conversion;
mod encoding;
mod existence;
mod fhir;
mod moment;
mod number;
pub(super) mod text;
pub(super) mod types;

use super::error::PathError;
use super::evaluate::{Evaluator, Scope, Yield};
use super::function::Function;
use super::item::{Collection, Item, System};
use super::syntax::Call;

/// Calls a function on its input.
pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    use Function::*;
    match call.function {
        Empty | Exists | All | AllTrue | AnyTrue | AllFalse | AnyFalse | SubsetOf | SupersetOf | Count | Distinct | IsDistinct | Not => {
            existence::call(evaluator, call, input, scope)
        }
        Where | Select | Repeat | Aggregate | Sort | Iif | Single | First | Last | Tail | Item | Skip | Take | Intersect | Exclude
        | Union | Combine | Coalesce | Children | Descendants | Trace | DefineVariable => collection::call(evaluator, call, input, scope),
        ToBoolean | ToInteger | ToDecimal | ToText | ToDate | ToDateTime | ToTime | ToQuantity | ConvertsToBoolean | ConvertsToInteger
        | ConvertsToDecimal | ConvertsToText | ConvertsToDate | ConvertsToDateTime | ConvertsToTime | ConvertsToQuantity => {
            conversion::call(evaluator, call, input, scope)
        }
        IndexOf | LastIndexOf | Substring | StartsWith | EndsWith | Contains | Upper | Lower | Replace | Matches | MatchesFull
        | ReplaceMatches | Length | ToChars | Trim | Split | Join => text::call(evaluator, call, input, scope),
        Encode | Decode | Escape | Unescape => encoding::call(evaluator, call, input, scope),
        Abs | Ceiling | Exp | Floor | Ln | Log | Power | Round | Sqrt | Truncate => number::call(evaluator, call, input, scope),
        LowBoundary | HighBoundary | Precision | Comparable | YearOf | MonthOf | DayOf | HourOf | MinuteOf | SecondOf | MillisecondOf
        | TimezoneOffsetOf | DateOf | TimeOf | Now | Today | TimeOfDay => moment::call(evaluator, call, input, scope),
        Is | As | OfType | Type => types::call(evaluator, call, input),
        Extension | HasExtension | HasValue | GetValue | Resolve | MemberOf | ConformsTo | HtmlChecks | HtmlContent | Slice
        | ElementDefinition | CheckModifiers | Subsumes | SubsumedBy => fhir::call(evaluator, call, input, scope),
    }
}

/// The one value of the input; `None` when there is none, an error when there are more.
fn one_value<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>], function: Function) -> Result<Option<System<'d>>, PathError> {
    evaluator.single_system(input, function.name())
}

/// An answer that may be missing.
fn maybe<'d>(value: Option<impl Into<Item<'d>>>) -> Yield<'d> {
    Ok(value.map_or(Collection::Empty, Collection::from))
}

/// A whole number that may be missing, as an answer.
fn maybe_count<'d>(value: Option<usize>) -> Yield<'d> {
    maybe(value.and_then(|value| i64::try_from(value).ok()))
}
