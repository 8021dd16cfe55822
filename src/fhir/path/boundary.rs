//! `lowBoundary`, `highBoundary` and `precision`: the least and the greatest value that a written value may stand for.

use super::item::System;
use super::quantity::Quantity;
use crate::fhir::decimal::{Decimal, Rounding};
use crate::fhir::temporal::{Date, DateTime, Precision, Time, Zone, days_in_month};

/// Places asked for when none are given, and at most.
const DECIMAL_PLACES: i64 = 8;
const MOST_DECIMAL_PLACES: i64 = 31;

/// Digits of a full date, a full date with time, and a full time.
const DATE_DIGITS: i64 = 8;
const DATE_TIME_DIGITS: i64 = 17;
const TIME_DIGITS: i64 = 9;

const MILLIS_DIGITS: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Low,
    High,
}

impl Side {
    fn pick<T>(self, low: T, high: T) -> T {
        match self {
            Side::Low => low,
            Side::High => high,
        }
    }
}

/// The boundary on one side, to so many places or digits; `None` when that cannot be expressed.
pub(super) fn boundary(value: &System<'_>, side: Side, digits: Option<i64>) -> Option<System<'static>> {
    match value {
        System::Integer(number) => decimal_boundary(Decimal::from(*number), side, digits).map(System::Decimal),
        System::Decimal(number) => decimal_boundary(*number, side, digits).map(System::Decimal),
        System::Quantity(quantity) => {
            let value = decimal_boundary(quantity.value, side, digits)?;
            Some(System::Quantity(Box::new(Quantity { value, unit: quantity.unit.clone() })))
        }
        System::Date(date) => date_boundary(*date, side, digits.unwrap_or(DATE_DIGITS)).map(System::Date),
        System::DateTime(moment) => date_time_boundary(moment, side, digits.unwrap_or(DATE_TIME_DIGITS)).map(System::DateTime),
        System::Time(time) => time_boundary(*time, side, digits.unwrap_or(TIME_DIGITS)).map(System::Time),
        System::Boolean(_) | System::String(_) | System::Type(_) => None,
    }
}

/// Half a unit of the last written place away. With fewer places asked for than written, the inner side is cut and the outer rounded.
fn decimal_boundary(value: Decimal, side: Side, digits: Option<i64>) -> Option<Decimal> {
    let places = digits.unwrap_or(DECIMAL_PLACES);
    if !(0..=MOST_DECIMAL_PLACES).contains(&places) {
        return None;
    }
    let half = Decimal::new(5, value.scale() + 1)?;
    let outward = (side == Side::High) != value.is_negative();
    let magnitude = if outward { value.abs().checked_add(half)? } else { value.abs().checked_sub(half)? };
    let rounding = if outward { Rounding::Nearest } else { Rounding::TowardZero };
    let bounded = magnitude.rescale(u32::try_from(places).ok()?, rounding)?;
    Some(if value.is_negative() { bounded.negated() } else { bounded })
}

fn date_boundary(date: Date, side: Side, digits: i64) -> Option<Date> {
    let month = date.month().unwrap_or(side.pick(1, 12));
    let day = date.day().unwrap_or(side.pick(1, days_in_month(date.year(), month)));
    match digits {
        4 => Date::new(date.year(), None, None),
        6 => Date::new(date.year(), Some(month), None),
        8 => Date::new(date.year(), Some(month), Some(day)),
        _ => None,
    }
}

fn date_time_boundary(moment: &DateTime, side: Side, digits: i64) -> Option<DateTime> {
    if digits <= DATE_DIGITS {
        return Some(DateTime { date: date_boundary(moment.date, side, digits)?, time: None, zone: None });
    }
    let date = date_boundary(moment.date, side, DATE_DIGITS)?;
    let time = match moment.time {
        Some(time) => time_boundary(time, side, digits - DATE_DIGITS)?,
        None => time_boundary(Time::new(side.pick(0, 23), None, None, 0, 0)?, side, digits - DATE_DIGITS)?,
    };
    // The earliest instant of a local time is in the easternmost zone, the latest in the westernmost.
    let widest = side.pick(Zone::East { minutes: 14 * 60 }, Zone::West { minutes: 12 * 60 });
    Some(DateTime { date, time: Some(time), zone: Some(moment.zone.unwrap_or(widest)) })
}

fn time_boundary(time: Time, side: Side, digits: i64) -> Option<Time> {
    let minute = time.minute().unwrap_or(side.pick(0, 59));
    let second = time.second().unwrap_or(side.pick(0, 59));
    let nanos = match time.fraction_digits() {
        0 => side.pick(0, 999_000_000),
        _ => time.nanos(),
    };
    match digits {
        2 => Time::new(time.hour(), None, None, 0, 0),
        4 => Time::new(time.hour(), Some(minute), None, 0, 0),
        6 => Time::new(time.hour(), Some(minute), Some(second), 0, 0),
        9 => Time::new(time.hour(), Some(minute), Some(second), nanos, time.fraction_digits().max(MILLIS_DIGITS)),
        _ => None,
    }
}

/// How many digits were written: places of a decimal, digits of a date or time.
pub(super) fn precision(value: &System<'_>) -> Option<i64> {
    match value {
        System::Integer(_) => Some(0),
        System::Decimal(number) => Some(i64::from(number.scale())),
        System::Quantity(quantity) => Some(i64::from(quantity.value.scale())),
        System::Date(date) => Some(date_digits(date.precision())),
        System::DateTime(moment) => Some(match moment.time {
            Some(time) => DATE_DIGITS + time_digits(time),
            None => date_digits(moment.date.precision()),
        }),
        System::Time(time) => Some(time_digits(*time)),
        System::Boolean(_) | System::String(_) | System::Type(_) => None,
    }
}

fn date_digits(precision: Precision) -> i64 {
    match precision {
        Precision::Year => 4,
        Precision::Month => 6,
        _ => DATE_DIGITS,
    }
}

fn time_digits(time: Time) -> i64 {
    match time.precision() {
        Precision::Hour => 2,
        Precision::Minute => 4,
        _ => 6 + i64::from(time.fraction_digits()),
    }
}
