//! Functions on dates and times, precision and boundaries.

use super::super::boundary::{Side, boundary, precision};
use super::super::equality::as_quantity;
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::syntax::Call;
use super::{maybe, one_value};
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::{Date, DateTime, Time, Zone};

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    use Function::*;
    if matches!(call.function, Now | Today | TimeOfDay) {
        let now = evaluator.focus.now.ok_or(PathError::NoClock)?;
        return maybe(match call.function {
            Now => Some(System::DateTime(now)),
            Today => Some(System::Date(now.date)),
            _ => now.time.map(System::Time),
        });
    }
    let Some(value) = one_value(evaluator, input, call.function)? else { return Ok(Collection::Empty) };
    match call.function {
        LowBoundary | HighBoundary => {
            let side = if call.function == LowBoundary { Side::Low } else { Side::High };
            let digits = evaluator.single_integer(&evaluator.argument(call, 0, scope)?, call.function.name())?;
            maybe(boundary(&value, side, digits))
        }
        Precision => maybe(precision(&value)),
        Comparable => {
            let other = evaluator.single_system(&evaluator.argument(call, 0, scope)?, "comparable")?;
            let pair = as_quantity(&value).zip(other.as_ref().and_then(as_quantity));
            maybe(pair.map(|(mine, theirs)| mine.comparable(&theirs)))
        }
        _ => maybe(component(&value, call.function)?),
    }
}

/// One part of a date or time; nothing when it was not written.
fn component(value: &System<'_>, function: Function) -> Result<Option<System<'static>>, PathError> {
    let (date, time, zone) = match value {
        System::Date(date) => (Some(*date), None, None),
        System::DateTime(DateTime { date, time, zone }) => (Some(*date), *time, *zone),
        System::Time(time) => (None, Some(*time), None),
        _ => return Err(PathError::WrongType { operation: function.name() }),
    };
    let whole = |value: Option<i64>| value.map(System::Integer);
    Ok(match function {
        Function::YearOf => whole(date.map(|date| i64::from(date.year()))),
        Function::MonthOf => whole(date.and_then(Date::month).map(i64::from)),
        Function::DayOf => whole(date.and_then(Date::day).map(i64::from)),
        Function::HourOf => whole(time.map(|time| i64::from(time.hour()))),
        Function::MinuteOf => whole(time.and_then(Time::minute).map(i64::from)),
        Function::SecondOf => whole(time.and_then(Time::second).map(i64::from)),
        Function::MillisecondOf => whole(time.filter(|time| time.fraction_digits() > 0).map(|time| i64::from(time.nanos() / 1_000_000))),
        Function::TimezoneOffsetOf => zone.and_then(hours).map(System::Decimal),
        Function::DateOf => date.map(System::Date),
        _ => time.map(System::Time),
    })
}

fn hours(zone: Zone) -> Option<Decimal> {
    Decimal::from(zone.minutes()).checked_div(Decimal::from(60))
}
