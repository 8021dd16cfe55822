//! Quantities: a decimal and a unit of the calendar or of UCUM, compared and combined exactly.
//!
//! What units are worth comes from [`ucum`] alone.

use crate::fhir::decimal::{Decimal, Rounding};
use crate::fhir::node::Object;
use crate::fhir::ucum::{self, Dimension, Ratio, Scale};
use compact_str::{CompactString, format_compact};
use std::cmp::Ordering;
use std::fmt;

const UCUM: &str = "http://unitsofmeasure.org";

/// An amount of something.
#[derive(Debug, Clone)]
pub struct Quantity {
    pub value: Decimal,
    pub unit: Unit,
}

/// A unit: one of the calendar's words, or a UCUM code (`1` for none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    Calendar(Calendar),
    Ucum(CompactString),
}

/// The calendar's durations. Years and months have no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Calendar {
    /// The duration a word names, singular or plural.
    pub fn named(word: &str) -> Option<Calendar> {
        Some(match word.strip_suffix('s').unwrap_or(word) {
            "year" => Calendar::Year,
            "month" => Calendar::Month,
            "week" => Calendar::Week,
            "day" => Calendar::Day,
            "hour" => Calendar::Hour,
            "minute" => Calendar::Minute,
            "second" => Calendar::Second,
            "millisecond" => Calendar::Millisecond,
            _ => return None,
        })
    }

    /// The duration a UCUM code names. Its years and months are averages, which no calendar date can be moved by.
    pub fn of_ucum(code: &str) -> Option<Calendar> {
        Some(match code {
            "wk" => Calendar::Week,
            "d" => Calendar::Day,
            "h" => Calendar::Hour,
            "min" => Calendar::Minute,
            "s" => Calendar::Second,
            "ms" => Calendar::Millisecond,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Calendar::Year => "year",
            Calendar::Month => "month",
            Calendar::Week => "week",
            Calendar::Day => "day",
            Calendar::Hour => "hour",
            Calendar::Minute => "minute",
            Calendar::Second => "second",
            Calendar::Millisecond => "millisecond",
        }
    }

    /// The UCUM code of the same name.
    fn ucum(self) -> &'static str {
        match self {
            Calendar::Year => "a",
            Calendar::Month => "mo",
            Calendar::Week => "wk",
            Calendar::Day => "d",
            Calendar::Hour => "h",
            Calendar::Minute => "min",
            Calendar::Second => "s",
            Calendar::Millisecond => "ms",
        }
    }

    fn scale(self) -> Scale {
        let months = |count| Scale { factor: Ratio::new(count, 0), dimension: Dimension::CALENDAR_MONTH, ..Scale::ONE };
        let seconds = |count, exponent| Scale { factor: Ratio::new(count, exponent), ..Scale::SECOND };
        match self {
            Calendar::Year => months(12),
            Calendar::Month => months(1),
            Calendar::Week => seconds(604_800, 0),
            Calendar::Day => seconds(86_400, 0),
            Calendar::Hour => seconds(3600, 0),
            Calendar::Minute => seconds(60, 0),
            Calendar::Second => seconds(1, 0),
            Calendar::Millisecond => seconds(1, -3),
        }
    }
}

impl Unit {
    /// No unit.
    pub fn one() -> Unit {
        Unit::Ucum(CompactString::const_new("1"))
    }

    fn scale(&self) -> Option<Scale> {
        match self {
            Unit::Calendar(calendar) => Some(calendar.scale()),
            Unit::Ucum(code) => ucum::scale(code),
        }
    }

    fn code(&self) -> &str {
        match self {
            Unit::Calendar(calendar) => calendar.ucum(),
            Unit::Ucum(code) => code,
        }
    }

    fn is_one(&self) -> bool {
        matches!(self, Unit::Ucum(code) if code == "1")
    }

    /// Equivalence forgives the difference between the calendar's years and months and UCUM's averages.
    fn forgiving_scale(&self, other: &Unit) -> Option<Scale> {
        let days = |count: i128| Scale { factor: Ratio::new(count * 86_400, 0), ..Scale::SECOND };
        match (self, other) {
            (Unit::Calendar(calendar), Unit::Ucum(_)) => ucum::scale(calendar.ucum()),
            (Unit::Calendar(_), Unit::Calendar(Calendar::Year | Calendar::Month)) => self.scale(),
            (Unit::Calendar(Calendar::Year), _) => Some(days(365)),
            (Unit::Calendar(Calendar::Month), _) => Some(days(30)),
            _ => self.scale(),
        }
    }
}

impl Quantity {
    /// A number without a unit.
    pub fn pure(value: Decimal) -> Quantity {
        Quantity { value, unit: Unit::one() }
    }

    /// A FHIR Quantity. The code counts when the system is UCUM, else the unit as it is shown.
    pub(super) fn from_object(object: &Object) -> Option<Quantity> {
        let text = |name| object.get(name).and_then(crate::fhir::node::Node::as_text);
        let value = Decimal::parse(object.get("value")?.as_number()?)?;
        let unit = match (text("system"), text("code"), text("unit")) {
            (Some(UCUM), Some(code), _) => Unit::Ucum(code.into()),
            (_, _, Some(unit)) => Unit::Ucum(unit.into()),
            (_, Some(code), None) => Unit::Ucum(code.into()),
            _ => Unit::one(),
        };
        Some(Quantity { value, unit })
    }

    /// Reads `4 days`, `10.1 'mg'`, `3`.
    pub fn parse(text: &str) -> Option<Quantity> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '-')).unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let value = Decimal::parse(number)?;
        let unit = rest.trim();
        if unit.is_empty() {
            return Some(Quantity::pure(value));
        }
        let unit = match unit.strip_prefix('\'').and_then(|code| code.strip_suffix('\'')) {
            Some(code) if !code.is_empty() => Unit::Ucum(code.into()),
            _ => Unit::Calendar(Calendar::named(unit)?),
        };
        Some(Quantity { value, unit })
    }

    fn in_base(&self, scale: Scale) -> Option<Ratio> {
        scale.in_base(Ratio::of(self.value))
    }

    /// Whether both measure the same kind of thing.
    pub fn comparable(&self, other: &Quantity) -> bool {
        self.unit == other.unit
            || match (self.unit.scale(), other.unit.scale()) {
                (Some(mine), Some(theirs)) => mine.dimension == theirs.dimension,
                _ => ucum::are_alike(self.unit.code(), other.unit.code()),
            }
    }

    /// Exact order; `None` when the units do not compare.
    pub fn compare(&self, other: &Quantity) -> Option<Ordering> {
        if self.unit == other.unit {
            return Some(self.value.cmp(&other.value));
        }
        let (Some(mine), Some(theirs)) = (self.unit.scale(), other.unit.scale()) else {
            return self.compare_rounded(other);
        };
        if mine.dimension != theirs.dimension {
            return None;
        }
        self.in_base(mine)?.compare(other.in_base(theirs)?)
    }

    /// The order where a conversion rounds: in one of the two units, whichever side asks, so that both sides see the same.
    fn compare_rounded(&self, other: &Quantity) -> Option<Ordering> {
        if self.unit.code() < other.unit.code() {
            return Some(self.value.cmp(&other.converted(&self.unit)?.value));
        }
        Some(self.converted(&other.unit)?.value.cmp(&other.value))
    }

    /// FHIRPath's `~`: in the coarser unit, rounded to the fewer places of the two.
    pub fn equivalent(&self, other: &Quantity) -> bool {
        let pair = (self.unit.forgiving_scale(&other.unit), other.unit.forgiving_scale(&self.unit));
        let (Some(mine), Some(theirs)) = pair else {
            return self.unit == other.unit && equivalent_decimals(self.value, other.value);
        };
        if mine.dimension != theirs.dimension {
            return false;
        }
        let coarser = if mine.factor.compare(theirs.factor) == Some(Ordering::Less) { theirs } else { mine };
        let converted = |quantity: &Quantity, scale: Scale| {
            if scale == coarser { Some(quantity.value) } else { decimal(coarser.of_base(quantity.in_base(scale)?)?) }
        };
        matches!((converted(self, mine), converted(other, theirs)), (Some(a), Some(b)) if equivalent_decimals(a, b))
    }

    /// The same amount in another unit; `None` when it cannot be or has no exact decimal.
    fn converted(&self, unit: &Unit) -> Option<Quantity> {
        if self.unit == *unit {
            return Some(self.clone());
        }
        let value = match (self.unit.scale(), unit.scale()) {
            (Some(mine), Some(theirs)) if mine.dimension == theirs.dimension => decimal(theirs.of_base(self.in_base(mine)?)?)?,
            (Some(_), Some(_)) => return None,
            // Logarithmic units and their like have no scale; the answer is a rounded one.
            _ => ucum::convert(self.value, self.unit.code(), unit.code())?,
        };
        Some(Quantity { value, unit: unit.clone() })
    }

    /// The same amount in the unit of a name or UCUM code.
    pub fn in_unit(&self, unit: &str) -> Option<Quantity> {
        self.converted(&Calendar::named(unit).map_or_else(|| Unit::Ucum(unit.into()), Unit::Calendar))
    }

    /// The sum in the finer unit of the two.
    pub fn plus(&self, other: &Quantity) -> Option<Quantity> {
        let finer = match (self.unit.scale(), other.unit.scale()) {
            (Some(mine), Some(theirs)) if mine.factor.compare(theirs.factor) == Some(Ordering::Greater) => &other.unit,
            _ => &self.unit,
        };
        let (mine, theirs) = (self.converted(finer)?, other.converted(finer)?);
        Some(Quantity { value: mine.value.checked_add(theirs.value)?, unit: finer.clone() })
    }

    pub fn negated(&self) -> Quantity {
        Quantity { value: self.value.negated(), unit: self.unit.clone() }
    }

    pub fn times(&self, other: &Quantity) -> Option<Quantity> {
        let value = self.value.checked_mul(other.value)?;
        let unit = match (&self.unit, &other.unit) {
            (one, unit) if one.is_one() => unit.clone(),
            (unit, one) if one.is_one() => unit.clone(),
            (mine, theirs) => Unit::Ucum(format_compact!("{}.{}", mine.code(), grouped(theirs.code()))),
        };
        Some(Quantity { value, unit })
    }

    pub fn divided(&self, other: &Quantity) -> Option<Quantity> {
        let value = self.value.checked_div(other.value)?;
        let unit = match (&self.unit, &other.unit) {
            (mine, theirs) if mine == theirs => Unit::one(),
            (unit, one) if one.is_one() => unit.clone(),
            (mine, theirs) => Unit::Ucum(format_compact!("{}/{}", mine.code(), grouped(theirs.code()))),
        };
        Some(Quantity { value, unit })
    }

    /// A number such that equal quantities give equal numbers; for hashing.
    pub(super) fn fingerprint(&self) -> Option<Ratio> {
        self.in_base(self.unit.scale()?)
    }
}

fn grouped(code: &str) -> CompactString {
    if code.contains(['.', '/']) { format_compact!("({code})") } else { code.into() }
}

/// The decimal a ratio is, rounded only where it has no end.
fn decimal(ratio: Ratio) -> Option<Decimal> {
    let power = |exponent: i32| 10_i128.checked_pow(u32::try_from(exponent).ok()?);
    let numerator = match ratio.exponent {
        0.. => Decimal::new(ratio.numerator.checked_mul(power(ratio.exponent)?)?, 0)?,
        _ => Decimal::new(ratio.numerator, ratio.exponent.unsigned_abs())?,
    };
    if ratio.denominator == 1 { Some(numerator) } else { numerator.checked_div(Decimal::new(ratio.denominator, 0)?) }
}

/// Equal when rounded to the fewer places of the two.
pub(super) fn equivalent_decimals(mine: Decimal, theirs: Decimal) -> bool {
    let (mine, theirs) = (mine.normalised(), theirs.normalised());
    let places = mine.scale().min(theirs.scale());
    let rounded = |value: Decimal| value.rescale(places, Rounding::Nearest);
    rounded(mine) == rounded(theirs)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Unit::Ucum(code) => write!(f, "{} '{code}'", self.value),
            Unit::Calendar(calendar) => {
                let plural = if self.value == Decimal::ONE { "" } else { "s" };
                write!(f, "{} {}{plural}", self.value, calendar.word())
            }
        }
    }
}
