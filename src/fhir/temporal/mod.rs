//! FHIR's dates and times: read strictly against the real calendar, with their precision and offset kept.
//!
//! Three values share one reader. [`Date`] is a year, a month or a day. [`Time`] is a time of day. [`DateTime`] is a date, perhaps with a time,
//! perhaps with a [`Zone`]. The strict readers follow the primitives of FHIR R4 (`date`, `dateTime`, `instant`, `time`); the partial readers
//! also take what FHIRPath writes (`2015-02-04T14`, a time without a zone).
//!
//! Each prints as it was written, save that fractions of a second keep nine digits: the document keeps the full text.
//! [`Interval`] is what search needs: every instant a value may stand for. A value without a zone is taken as UTC there, because a server
//! must place it somewhere and the specification leaves the choice to it. Leap seconds (`:60`) are read and fall on the next second.

mod calendar;
mod read;
mod show;
#[cfg(test)]
mod tests;

pub use calendar::days_in_month;

use calendar::{civil_from_days, days_from_civil};
use read::Reader;
use std::cmp::Ordering;
use std::fmt;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Digits of a fraction of a second that are kept.
const FRACTION_DIGITS: usize = 9;

/// The widest offsets in civil use, in minutes: how far a time without a zone may lie from UTC.
const EASTERNMOST_MINUTES: i64 = 14 * 60;
const WESTERNMOST_MINUTES: i64 = -12 * 60;

/// The half-open interval `[low, high)` of instants a value may stand for, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    pub low: i64,
    pub high: i64,
}

/// The last field that was written. Fractions count as part of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// Why a text is not the date or time it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalError {
    /// It does not have the form at all.
    Form,
    /// A month, day, hour, minute, second or offset outside its range, or the year 0000.
    Range,
    /// A day its month does not have: 30 February.
    Calendar,
    /// A time with no zone where the type demands one.
    ZoneMissing,
    /// Less precise than the type demands.
    TooVague,
}

impl fmt::Display for TemporalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TemporalError::Form => "not written as a date or time",
            TemporalError::Range => "a part of the date or time is out of range",
            TemporalError::Calendar => "the month does not have that day",
            TemporalError::ZoneMissing => "a time zone is required",
            TemporalError::TooVague => "less precise than the type requires",
        })
    }
}

impl std::error::Error for TemporalError {}

/// A year, a month of a year, or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    year: u16,
    /// 0 when not written.
    month: u8,
    /// 0 when not written.
    day: u8,
}

/// A time of day, from the hour alone to fractions of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    hour: u8,
    minute: Option<u8>,
    second: Option<u8>,
    nanos: u32,
    fraction_digits: u8,
}

/// An offset from UTC, sign kept so that `-00:00` prints as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    Utc,
    East { minutes: u16 },
    West { minutes: u16 },
}

/// A date, perhaps with a time, perhaps with a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    pub date: Date,
    pub time: Option<Time>,
    pub zone: Option<Zone>,
}

impl Date {
    /// A date from its fields; `None` when there is no such date.
    pub fn new(year: u16, month: Option<u8>, day: Option<u8>) -> Option<Date> {
        let date = Date { year, month: month.unwrap_or(0), day: day.unwrap_or(0) };
        let well_formed = month != Some(0) && day != Some(0) && (day.is_none() || month.is_some());
        (well_formed && date.check().is_ok()).then_some(date)
    }

    /// FHIR `date`: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Result<Date, TemporalError> {
        let mut reader = Reader::new(text);
        let date = reader.date()?;
        reader.end()?;
        Ok(date)
    }

    fn check(self) -> Result<(), TemporalError> {
        if self.year == 0 || self.year > 9999 || self.month > 12 {
            return Err(TemporalError::Range);
        }
        match self.day {
            0 => Ok(()),
            32.. => Err(TemporalError::Range),
            day if day > days_in_month(self.year, self.month) => Err(TemporalError::Calendar),
            _ => Ok(()),
        }
    }

    pub fn year(self) -> u16 {
        self.year
    }

    pub fn month(self) -> Option<u8> {
        (self.month > 0).then_some(self.month)
    }

    pub fn day(self) -> Option<u8> {
        (self.day > 0).then_some(self.day)
    }

    pub fn precision(self) -> Precision {
        match (self.month, self.day) {
            (0, _) => Precision::Year,
            (_, 0) => Precision::Month,
            _ => Precision::Day,
        }
    }

    /// Days from 1970-01-01 to the first day of this date.
    pub fn first_day(self) -> i64 {
        days_from_civil(i64::from(self.year), i64::from(self.month.max(1)), i64::from(self.day.max(1)))
    }

    /// Days from 1970-01-01 to the day after this date's last.
    fn day_after(self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        match self.precision() {
            Precision::Year => days_from_civil(year + 1, 1, 1),
            Precision::Month if month == 12 => days_from_civil(year + 1, 1, 1),
            Precision::Month => days_from_civil(year, month + 1, 1),
            _ => self.first_day() + 1,
        }
    }

    /// The day that lies this many days after 1970-01-01; `None` outside the years 1 to 9999.
    pub fn from_days(days: i64) -> Option<Date> {
        let (year, month, day) = civil_from_days(days);
        Date::new(u16::try_from(year).ok()?, u8::try_from(month).ok(), u8::try_from(day).ok())
    }

    /// Every instant of the date, taken in UTC.
    pub fn interval(self) -> Interval {
        Interval { low: self.first_day() * MICROS_PER_DAY, high: self.day_after() * MICROS_PER_DAY }
    }

    /// Field by field; `None` where one stops and the other goes on while all before was equal.
    pub fn compare(self, other: Date) -> Option<Ordering> {
        let fields = [(self.month, other.month), (self.day, other.day)];
        let mut order = self.year.cmp(&other.year);
        for (mine, theirs) in fields {
            if order != Ordering::Equal || (mine == 0 && theirs == 0) {
                break;
            }
            if mine == 0 || theirs == 0 {
                return None;
            }
            order = mine.cmp(&theirs);
        }
        Some(order)
    }
}

impl Time {
    /// A time from its fields, `nanos` with as many digits as `fraction_digits` says; `None` when there is no such time.
    pub fn new(hour: u8, minute: Option<u8>, second: Option<u8>, nanos: u32, fraction_digits: u8) -> Option<Time> {
        let time = Time { hour, minute, second, nanos, fraction_digits };
        let whole = (minute.is_some() || second.is_none()) && (second.is_some() || (nanos == 0 && fraction_digits == 0));
        (whole && nanos < 1_000_000_000 && usize::from(fraction_digits) <= FRACTION_DIGITS && time.check().is_ok()).then_some(time)
    }

    /// FHIR `time`: `hh:mm:ss` with an optional fraction.
    pub fn parse(text: &str) -> Result<Time, TemporalError> {
        let time = Time::parse_partial(text)?;
        if time.precision() == Precision::Second { Ok(time) } else { Err(TemporalError::TooVague) }
    }

    /// FHIRPath `Time`: may stop after the hour or the minute.
    pub fn parse_partial(text: &str) -> Result<Time, TemporalError> {
        let mut reader = Reader::new(text);
        let time = reader.time()?;
        reader.end()?;
        Ok(time)
    }

    fn check(self) -> Result<(), TemporalError> {
        let in_range = self.hour < 24 && self.minute.is_none_or(|minute| minute < 60) && self.second.is_none_or(|second| second <= 60);
        if in_range { Ok(()) } else { Err(TemporalError::Range) }
    }

    pub fn hour(self) -> u8 {
        self.hour
    }

    pub fn minute(self) -> Option<u8> {
        self.minute
    }

    pub fn second(self) -> Option<u8> {
        self.second
    }

    /// The fraction of the second in nanoseconds.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// How many digits of the fraction were written, nine at most.
    pub fn fraction_digits(self) -> u8 {
        self.fraction_digits
    }

    pub fn precision(self) -> Precision {
        match (self.minute, self.second) {
            (None, _) => Precision::Hour,
            (_, None) => Precision::Minute,
            _ => Precision::Second,
        }
    }

    /// Nanoseconds from midnight to the beginning of what this time names.
    pub fn nanos_of_day(self) -> i128 {
        let seconds = i128::from(self.hour) * 3600 + i128::from(self.minute.unwrap_or(0)) * 60 + i128::from(self.second.unwrap_or(0));
        seconds * NANOS_PER_SECOND + i128::from(self.nanos)
    }

    /// Microseconds that the written precision spans: an hour, a minute, a second, or the last digit of the fraction.
    fn span_micros(self) -> i64 {
        match self.precision() {
            Precision::Hour => 3600 * MICROS_PER_SECOND,
            Precision::Minute => 60 * MICROS_PER_SECOND,
            _ => MICROS_PER_SECOND / 10_i64.pow(u32::from(self.fraction_digits.min(6))),
        }
    }

    /// Field by field, seconds with their fraction; `None` where one stops and the other goes on while all before was equal.
    pub fn compare(self, other: Time) -> Option<Ordering> {
        let fields = [(self.minute, other.minute), (self.second, other.second)];
        let mut order = self.hour.cmp(&other.hour);
        for (mine, theirs) in fields {
            if order != Ordering::Equal {
                return Some(order);
            }
            order = match (mine, theirs) {
                (None, None) => return Some(order),
                (Some(mine), Some(theirs)) => mine.cmp(&theirs),
                _ => return None,
            };
        }
        Some(order.then(self.nanos.cmp(&other.nanos)))
    }
}

impl Zone {
    /// Minutes east of UTC.
    pub fn minutes(self) -> i64 {
        match self {
            Zone::Utc => 0,
            Zone::East { minutes } => i64::from(minutes),
            Zone::West { minutes } => -i64::from(minutes),
        }
    }
}

impl DateTime {
    /// FHIR `dateTime`: a date of any precision, or a date with time to the second and a zone.
    pub fn parse(text: &str) -> Result<DateTime, TemporalError> {
        let value = DateTime::parse_partial(text)?;
        match value.time {
            None if text.len() > 10 => Err(TemporalError::Form),
            None => Ok(value),
            Some(time) if time.precision() != Precision::Second => Err(TemporalError::TooVague),
            Some(_) if value.zone.is_none() => Err(TemporalError::ZoneMissing),
            Some(_) => Ok(value),
        }
    }

    /// FHIR `instant`: a `dateTime` known at least to the second.
    pub fn parse_instant(text: &str) -> Result<DateTime, TemporalError> {
        let value = DateTime::parse(text)?;
        if value.time.is_some() { Ok(value) } else { Err(TemporalError::TooVague) }
    }

    /// FHIRPath `DateTime`: the time may stop after any field and the zone may be missing. A trailing `T` without a time is allowed.
    pub fn parse_partial(text: &str) -> Result<DateTime, TemporalError> {
        let mut reader = Reader::new(text);
        let date = reader.date()?;
        if !reader.take(b'T') {
            reader.end()?;
            return Ok(DateTime { date, time: None, zone: None });
        }
        if reader.at_end() {
            return Ok(DateTime { date, time: None, zone: None });
        }
        if date.precision() != Precision::Day {
            return Err(TemporalError::Form);
        }
        let time = reader.time()?;
        let zone = reader.zone()?;
        reader.end()?;
        Ok(DateTime { date, time: Some(time), zone })
    }

    pub fn precision(&self) -> Precision {
        self.time.map_or(self.date.precision(), Time::precision)
    }

    /// Every instant the value may stand for; without a zone it is taken as UTC.
    pub fn interval(&self) -> Interval {
        match self.time {
            None => self.date.interval(),
            Some(time) => {
                let low = i64::try_from(self.nanos_utc(time).div_euclid(1000)).unwrap_or(i64::MAX / 2);
                Interval { low, high: low + time.span_micros() }
            }
        }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z of the beginning of what is named; a missing zone counts as UTC.
    fn nanos_utc(&self, time: Time) -> i128 {
        let midnight = i128::from(self.date.first_day()) * i128::from(SECONDS_PER_DAY) * NANOS_PER_SECOND;
        let offset = i128::from(self.zone.map_or(0, Zone::minutes)) * 60 * NANOS_PER_SECOND;
        midnight + time.nanos_of_day() - offset
    }

    /// The same instant written in UTC; unchanged without a zone or time. `None` when that leaves the calendar.
    pub fn in_utc(&self) -> Option<DateTime> {
        let (Some(time), Some(_)) = (self.time, self.zone) else { return Some(*self) };
        let nanos = self.nanos_utc(time);
        let day_nanos = i128::from(SECONDS_PER_DAY) * NANOS_PER_SECOND;
        let date = Date::from_days(i64::try_from(nanos.div_euclid(day_nanos)).ok()?)?;
        let seconds = nanos.rem_euclid(day_nanos) / NANOS_PER_SECOND;
        let field = |value: i128| u8::try_from(value).ok();
        let minute = time.minute.and(field(seconds / 60 % 60));
        let second = time.second.and(field(seconds % 60));
        let utc = Time { hour: field(seconds / 3600)?, minute, second, ..time };
        Some(DateTime { date, time: Some(utc), zone: Some(Zone::Utc) })
    }

    /// FHIRPath's comparison: `None` where the precisions leave it open.
    ///
    /// With two zones both are moved to UTC first. With one, the answer is given only when it holds for every offset the other may have.
    pub fn compare(&self, other: &DateTime) -> Option<Ordering> {
        match (self.time, other.time) {
            (Some(mine), Some(theirs)) => match (self.zone, other.zone) {
                (None, None) => compare_fields(self, other),
                (Some(a), Some(b)) if a == b => compare_fields(self, other),
                (Some(_), Some(_)) => compare_fields(&self.in_utc()?, &other.in_utc()?),
                (Some(_), None) => compare_with_local(self.nanos_utc(mine), other.nanos_utc(theirs)),
                (None, Some(_)) => compare_with_local(other.nanos_utc(theirs), self.nanos_utc(mine)).map(Ordering::reverse),
            },
            _ => compare_fields(self, other),
        }
    }
}

fn compare_fields(mine: &DateTime, theirs: &DateTime) -> Option<Ordering> {
    match mine.date.compare(theirs.date)? {
        Ordering::Equal => match (mine.time, theirs.time) {
            (None, None) => Some(Ordering::Equal),
            (Some(a), Some(b)) => a.compare(b),
            _ => None,
        },
        order => Some(order),
    }
}

/// Compares an instant with a local time of unknown offset.
fn compare_with_local(instant: i128, local: i128) -> Option<Ordering> {
    let minute = 60 * NANOS_PER_SECOND;
    if instant < local - i128::from(EASTERNMOST_MINUTES) * minute {
        Some(Ordering::Less)
    } else if instant > local - i128::from(WESTERNMOST_MINUTES) * minute {
        Some(Ordering::Greater)
    } else {
        None
    }
}
