//! Periods and dates of any precision, compared so that doubt never helps a permit.

use crate::clock::Instant;
use crate::fhir::Node;
use crate::fhir::temporal::{DateTime, Interval};

/// How far the clock on the wall may run ahead of or behind UTC: what a bound without a zone may mean.
const EASTERNMOST_MICROS: i64 = 14 * 3_600_000_000;
const WESTERNMOST_MICROS: i64 = 12 * 3_600_000_000;

/// A date or time as two intervals: on the world's clock, and on the clock of where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    universal: Interval,
    local: Interval,
    has_zone: bool,
}

impl Moment {
    fn parse(text: &str) -> Option<Moment> {
        let written = DateTime::parse(text).ok()?;
        let local = DateTime { zone: None, ..written };
        Some(Moment { universal: written.interval(), local: local.interval(), has_zone: written.zone.is_some() })
    }

    /// When it may have begun, in microseconds, wherever it was written.
    fn earliest(&self) -> i64 {
        self.universal.low - if self.has_zone { 0 } else { EASTERNMOST_MICROS }
    }

    /// By when it must have been over.
    fn latest(&self) -> i64 {
        self.universal.high + if self.has_zone { 0 } else { WESTERNMOST_MICROS }
    }
}

/// A `Period`, or one date taken as a period. An absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    start: Option<Moment>,
    end: Option<Moment>,
}

/// A period that is there but says nothing that can be relied on: no bounds, not dates, or an end before the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Period {
    /// Reads a `Period`.
    pub(super) fn from_node(node: &Node) -> Result<Period, Unreadable> {
        let bound = |name: &str| match node.get(name) {
            // One of which only something beside its value is said is there, and not known.
            None if node.get(&format!("_{name}")).is_some() => Err(Unreadable),
            None => Ok(None),
            Some(value) => value.as_text().and_then(Moment::parse).map(Some).ok_or(Unreadable),
        };
        let period = Period { start: bound("start")?, end: bound("end")? };
        let reversed = match (&period.start, &period.end) {
            (None, None) => true,
            (Some(start), Some(end)) => end.universal.high <= start.universal.low,
            _ => false,
        };
        if reversed { Err(Unreadable) } else { Ok(period) }
    }

    /// One date, as the period it names.
    pub(super) fn of_date(text: &str) -> Option<Period> {
        let moment = Moment::parse(text)?;
        Some(Period { start: Some(moment), end: Some(moment) })
    }

    /// Whether the instant lies in the period, a bound without a zone taken as UTC.
    pub(super) fn contains(&self, instant: Instant) -> bool {
        self.contains_with(instant.micros(), 0, 0)
    }

    /// Whether the instant may lie in the period, wherever a bound without a zone was written.
    pub(super) fn may_contain(&self, instant: Instant) -> bool {
        self.contains_with(instant.micros(), EASTERNMOST_MICROS, WESTERNMOST_MICROS)
    }

    fn contains_with(&self, instant: i64, before: i64, after: i64) -> bool {
        let begun = self.start.is_none_or(|start| start.universal.low - if start.has_zone { 0 } else { before } <= instant);
        let running = self.end.is_none_or(|end| instant < end.universal.high + if end.has_zone { 0 } else { after });
        begun && running
    }

    /// Whether the period has not begun by the instant.
    pub(super) fn is_after(&self, instant: Instant) -> bool {
        self.start.is_some_and(|start| start.universal.low > instant.micros())
    }

    /// Whether the period had ended before something that is dated so.
    pub(super) fn is_over_by(&self, dated: Interval) -> bool {
        self.end.is_some_and(|end| end.universal.high <= dated.low)
    }

    /// Whether everything in `inner` lies in this period, on both clocks where they differ.
    pub(super) fn encloses(&self, inner: &Period) -> bool {
        let start = match (self.start, inner.start) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => on_every_clock(&outer, &inner, |outer, inner| outer.low <= inner.low),
        };
        let end = match (self.end, inner.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => on_every_clock(&outer, &inner, |outer, inner| inner.high <= outer.high),
        };
        start && end
    }

    /// Whether the two periods may have an instant in common, on either clock.
    pub(super) fn overlaps(&self, other: &Period) -> bool {
        begins_before_end(self, other) && begins_before_end(other, self)
    }

    /// Whether the two may have one, wherever those of their bounds that have no zone were written.
    pub(super) fn may_overlap(&self, other: &Period) -> bool {
        may_begin_before_end(self, other) && may_begin_before_end(other, self)
    }
}

fn begins_before_end(first: &Period, second: &Period) -> bool {
    match (first.start, second.end) {
        (Some(start), Some(end)) => !on_every_clock(&start, &end, |start, end| start.low >= end.high),
        _ => true,
    }
}

fn may_begin_before_end(first: &Period, second: &Period) -> bool {
    match (first.start, second.end) {
        // Two that name no zone were written by the same clock.
        (Some(start), Some(end)) if start.has_zone != end.has_zone => start.earliest() < end.latest(),
        _ => begins_before_end(first, second),
    }
}

/// Two moments with zones meet on the world's clock alone; otherwise a claim must hold on both clocks.
fn on_every_clock(a: &Moment, b: &Moment, holds: impl Fn(Interval, Interval) -> bool) -> bool {
    holds(a.universal, b.universal) && ((a.has_zone && b.has_zone) || holds(a.local, b.local))
}

/// How far the clock of whoever dates a consent may run ahead of ours.
const SKEW_MICROS: i64 = 5 * 60 * 1_000_000;

/// The earliest instant at which something dated so can have been said, wherever a date without a zone was written.
pub(super) fn earliest(text: &str) -> Option<Instant> {
    let written = DateTime::parse(text).ok()?;
    let ahead = if written.zone.is_some() { SKEW_MICROS } else { EASTERNMOST_MICROS };
    Some(Instant::from_micros(written.interval().low - ahead))
}

/// When something was said, for telling the newer of two apart: surely before only when the intervals do not touch.
pub(super) fn date_interval(text: &str) -> Option<Interval> {
    DateTime::parse(text).ok().map(|date| date.interval())
}
