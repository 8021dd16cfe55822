//! Moving dates and times by durations (FHIRPath N1 §6.6.7).
//!
//! A duration finer than the value is first turned into the value's own precision, what is left over dropped: `@2014 + 18 months` is `@2015`.

use super::item::System;
use super::quantity::{Calendar, Quantity, Unit};
use crate::fhir::decimal::{Decimal, Rounding};
use crate::fhir::temporal::{Date, DateTime, Precision, Time, days_in_month};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;
const DAYS_PER_MONTH: i64 = 30;
const DAYS_PER_YEAR: i64 = 365;

/// A duration as the calendar sees it.
#[derive(Debug, Clone, Copy)]
struct Shift {
    months: i64,
    nanos: i128,
    /// Whether it counts milliseconds, so that a result needs three digits of fraction.
    has_millis: bool,
}

/// The value moved by a duration; `None` when the unit is no duration or the result leaves the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moved<T> {
    To(T),
    OutOfRange,
    NotADuration,
}

/// Adds (or with `-1` subtracts) a duration.
pub(super) fn moved(value: &System<'_>, duration: &Quantity, sign: i64) -> Moved<System<'static>> {
    let Some(shift) = shift_of(duration, sign) else { return Moved::NotADuration };
    let result = match value {
        System::Date(date) => date_plus(*date, shift).map(System::Date),
        System::DateTime(value) => date_time_plus(value, shift).map(System::DateTime),
        System::Time(time) => time_plus(*time, shift).map(|(time, _)| System::Time(time)),
        _ => return Moved::NotADuration,
    };
    result.map_or(Moved::OutOfRange, Moved::To)
}

fn shift_of(duration: &Quantity, sign: i64) -> Option<Shift> {
    let unit = match &duration.unit {
        Unit::Calendar(calendar) => *calendar,
        Unit::Ucum(code) => Calendar::of_ucum(code).or_else(|| Calendar::named(code))?,
    };
    let whole = duration.value.rescale(0, Rounding::TowardZero)?.to_i64()?.checked_mul(sign)?;
    let nanos = |per_unit: i128| i128::from(whole).checked_mul(per_unit);
    // Only seconds and what is finer may have a fraction.
    let exact = |per_unit: i64| {
        let nanos = duration.value.checked_mul(Decimal::from(per_unit))?.rescale(0, Rounding::TowardZero)?;
        nanos.mantissa().checked_mul(i128::from(sign))
    };
    let (months, nanos) = match unit {
        Calendar::Year => (whole.checked_mul(12)?, 0),
        Calendar::Month => (whole, 0),
        Calendar::Week => (0, nanos(7 * NANOS_PER_DAY)?),
        Calendar::Day => (0, nanos(NANOS_PER_DAY)?),
        Calendar::Hour => (0, nanos(3600 * NANOS_PER_SECOND)?),
        Calendar::Minute => (0, nanos(60 * NANOS_PER_SECOND)?),
        Calendar::Second => (0, exact(1_000_000_000)?),
        Calendar::Millisecond => (0, exact(1_000_000)?),
    };
    Some(Shift { months, nanos, has_millis: nanos % NANOS_PER_SECOND != 0 })
}

fn date_plus(date: Date, shift: Shift) -> Option<Date> {
    let days = i64::try_from(shift.nanos / NANOS_PER_DAY).ok()?;
    match date.precision() {
        Precision::Year => {
            let year = i64::from(date.year()) + shift.months / 12 + days / DAYS_PER_YEAR;
            Date::new(u16::try_from(year).ok()?, None, None)
        }
        Precision::Month => plus_months(date, shift.months.checked_add(days / DAYS_PER_MONTH)?),
        _ => Date::from_days(plus_months(date, shift.months)?.first_day().checked_add(days)?),
    }
}

/// The same day so many months on, or the month's last day when it is too short.
fn plus_months(date: Date, months: i64) -> Option<Date> {
    let index = (i64::from(date.year()) * 12 + i64::from(date.month().unwrap_or(1)) - 1).checked_add(months)?;
    let year = u16::try_from(index.div_euclid(12)).ok()?;
    let month = u8::try_from(index.rem_euclid(12) + 1).ok()?;
    Date::new(year, Some(month), date.day().map(|day| day.min(days_in_month(year, month))))
}

fn date_time_plus(value: &DateTime, shift: Shift) -> Option<DateTime> {
    let Some(time) = value.time else {
        return Some(DateTime { date: date_plus(value.date, shift)?, ..*value });
    };
    let (time, days) = time_plus(time, Shift { months: 0, ..shift })?;
    let date = plus_months(value.date, shift.months)?.first_day().checked_add(days)?;
    Some(DateTime { date: Date::from_days(date)?, time: Some(time), ..*value })
}

/// The time of day moved, and how many days it went over midnight. `None` for years and months.
fn time_plus(time: Time, shift: Shift) -> Option<(Time, i64)> {
    if shift.months != 0 {
        return None;
    }
    let unit = match time.precision() {
        Precision::Hour => 3600 * NANOS_PER_SECOND,
        Precision::Minute => 60 * NANOS_PER_SECOND,
        _ => 1,
    };
    let total = time.nanos_of_day().checked_add(shift.nanos / unit * unit)?;
    let of_day = total.rem_euclid(NANOS_PER_DAY);
    let seconds = of_day / NANOS_PER_SECOND;
    let field = |value: i128| u8::try_from(value).ok();
    let digits = if shift.has_millis && time.second().is_some() { time.fraction_digits().max(3) } else { time.fraction_digits() };
    let minute = time.minute().and(field(seconds / 60 % 60));
    let second = time.second().and(field(seconds % 60));
    let nanos = u32::try_from(of_day % NANOS_PER_SECOND).ok()?;
    let moved = Time::new(field(seconds / 3600)?, minute, second, nanos, digits)?;
    Some((moved, i64::try_from(total.div_euclid(NANOS_PER_DAY)).ok()?))
}
