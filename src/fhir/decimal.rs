//! Exact decimals: what was written is what is kept, `1.10` stays `1.10`, and no binary fraction ever stands for a value.
//!
//! A number is a whole mantissa and a count of digits after the point. Arithmetic that would need more than 38 digits answers `None`,
//! never a rounded or wrapped result. Division and roots cannot be exact and are carried to a stated number of places.

use std::cmp::Ordering;
use std::fmt;

/// Places after the point that are kept, at most. Larger exponents are refused when a text is read.
pub const MAX_SCALE: u32 = 36;

/// Places after the point to which a quotient is carried beyond those of its operands.
pub const DIVISION_PLACES: u32 = 16;

/// A decimal number. Equality, order and hash are of the value: `1.0 == 1.00`. Packed, because it sits in every item that FHIRPath moves about.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(8))]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// What to do with the digits that a shorter number has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest; halves away from zero.
    Nearest,
    TowardZero,
    Down,
    Up,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };
    pub const ONE: Decimal = Decimal { mantissa: 1, scale: 0 };

    /// `mantissa` × 10^-`scale`; `None` when the scale is beyond [`MAX_SCALE`].
    pub fn new(mantissa: i128, scale: u32) -> Option<Decimal> {
        (scale <= MAX_SCALE).then_some(Decimal { mantissa, scale })
    }

    /// Reads a number of JSON or FHIR: sign, digits, fraction, exponent. `None` when it is not one or needs more digits than there is room for.
    pub fn parse(text: &str) -> Option<Decimal> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || (digits.len() > whole.len() && fraction.is_empty()) {
            return None;
        }
        let mut mantissa = 0_i128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
        }
        if text.len() > unsigned.len() {
            mantissa = -mantissa;
        }
        let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        match u32::try_from(scale) {
            Ok(scale) => Decimal::new(mantissa, scale),
            Err(_) => Some(Decimal { mantissa: mantissa.checked_mul(power_of_ten(u32::try_from(-scale).ok()?)?)?, scale: 0 }),
        }
    }

    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point, as written.
    pub fn scale(self) -> u32 {
        self.scale
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether nothing but zeros stands after the point.
    pub fn is_whole(self) -> bool {
        power_of_ten(self.scale).is_some_and(|unit| self.mantissa % unit == 0)
    }

    /// The value as a whole number, when it is one and fits.
    pub fn to_i64(self) -> Option<i64> {
        if !self.is_whole() {
            return None;
        }
        i64::try_from(self.mantissa / power_of_ten(self.scale)?).ok()
    }

    /// The nearest binary fraction: for index keys and transcendental functions, never for a value that is kept.
    pub fn to_f64(self) -> f64 {
        // The text form is read back because a division of two rounded floats could be off by one in the last place.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The decimal nearest to a binary fraction, with at most `places` digits after the point. `None` for what is not finite or too large.
    pub fn from_f64(value: f64, places: u32) -> Option<Decimal> {
        if !value.is_finite() || value.abs() >= 1e30 {
            return None;
        }
        let places = usize::try_from(places.min(MAX_SCALE)).ok()?;
        Some(Decimal::parse(&format!("{value:.places$}"))?.normalised())
    }

    /// The same value without zeros at the end of its fraction.
    pub fn normalised(self) -> Decimal {
        let mut shorter = self;
        while shorter.scale > 0 && shorter.mantissa % 10 == 0 {
            shorter.mantissa /= 10;
            shorter.scale -= 1;
        }
        shorter
    }

    /// The same value with exactly `scale` places, rounding where digits must go. `None` when it has no room for the zeros.
    pub fn rescale(self, scale: u32, rounding: Rounding) -> Option<Decimal> {
        if scale >= self.scale {
            let mantissa = self.mantissa.checked_mul(power_of_ten(scale - self.scale)?)?;
            return Decimal::new(mantissa, scale);
        }
        let unit = power_of_ten(self.scale - scale)?;
        Decimal::new(divide(self.mantissa, unit, rounding), scale)
    }

    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let (mine, theirs, scale) = self.aligned(other)?;
        Decimal::new(mine.checked_add(theirs)?, scale)
    }

    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        self.checked_add(other.negated())
    }

    /// The product with as many places as both together; zeros at the end are given up where there would be too many.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let direct = |a: Decimal, b: Decimal| Decimal::new(a.mantissa.checked_mul(b.mantissa)?, a.scale + b.scale);
        direct(self, other).or_else(|| direct(self.normalised(), other.normalised()))
    }

    /// The quotient to [`DIVISION_PLACES`] places beyond the operands', without zeros at its end. `None` for a zero divisor or no room.
    pub fn checked_div(self, other: Decimal) -> Option<Decimal> {
        if other.is_zero() {
            return None;
        }
        let (mine, theirs, _) = self.normalised().aligned(other.normalised())?;
        let mut places = DIVISION_PLACES;
        loop {
            match power_of_ten(places).and_then(|unit| mine.checked_mul(unit)) {
                Some(dividend) => return Some(Decimal::new(divide(dividend, theirs, Rounding::Nearest), places)?.normalised()),
                None if places == 0 => return None,
                None => places -= 1,
            }
        }
    }

    /// The whole part of the quotient, toward zero.
    pub fn checked_whole_div(self, other: Decimal) -> Option<i128> {
        let (mine, theirs, _) = self.aligned(other)?;
        mine.checked_div(theirs)
    }

    /// What [`checked_whole_div`](Decimal::checked_whole_div) leaves over.
    pub fn checked_rem(self, other: Decimal) -> Option<Decimal> {
        let (mine, theirs, scale) = self.aligned(other)?;
        Decimal::new(mine.checked_rem(theirs)?, scale)
    }

    pub fn negated(self) -> Decimal {
        Decimal { mantissa: self.mantissa.saturating_neg(), scale: self.scale }
    }

    pub fn abs(self) -> Decimal {
        Decimal { mantissa: self.mantissa.saturating_abs(), scale: self.scale }
    }

    /// Both mantissas at the larger of the two scales.
    fn aligned(self, other: Decimal) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let lift = |value: Decimal| value.mantissa.checked_mul(power_of_ten(scale - value.scale)?);
        Some((lift(self)?, lift(other)?, scale))
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Whole division of `value` by a positive or negative `unit` that is not zero.
fn divide(value: i128, unit: i128, rounding: Rounding) -> i128 {
    let quotient = value / unit;
    let rest = value % unit;
    if rest == 0 {
        return quotient;
    }
    let negative = (value < 0) != (unit < 0);
    let away = if negative { quotient - 1 } else { quotient + 1 };
    match rounding {
        Rounding::TowardZero => quotient,
        Rounding::Down => {
            if negative {
                away
            } else {
                quotient
            }
        }
        Rounding::Up => {
            if negative {
                quotient
            } else {
                away
            }
        }
        Rounding::Nearest => {
            if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) {
                away
            } else {
                quotient
            }
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match self.aligned(*other) {
            Some((mine, theirs, _)) => mine.cmp(&theirs),
            // No common scale has room: the signs decide, then the magnitudes as scientific notation.
            None => compare_far_apart(*self, *other),
        }
    }
}

fn compare_far_apart(mine: Decimal, theirs: Decimal) -> Ordering {
    let signs = mine.mantissa.signum().cmp(&theirs.mantissa.signum());
    if signs != Ordering::Equal {
        return signs;
    }
    // Whole parts first; they are exact. Equal whole parts leave fractions, which fit side by side once the whole part is gone.
    let split =
        |value: Decimal| power_of_ten(value.scale).map_or((0, value.mantissa), |unit| (value.mantissa / unit, value.mantissa % unit));
    let ((my_whole, my_rest), (their_whole, their_rest)) = (split(mine), split(theirs));
    my_whole.cmp(&their_whole).then_with(|| {
        let fraction = |rest, scale| Decimal { mantissa: rest, scale };
        match fraction(my_rest, mine.scale).aligned(fraction(their_rest, theirs.scale)) {
            Some((a, b, _)) => a.cmp(&b),
            None => Ordering::Equal,
        }
    })
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let shortest = self.normalised();
        (shortest.mantissa, shortest.scale).hash(state);
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal { mantissa: i128::from(value), scale: 0 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::try_from(self.scale).unwrap_or(0);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn reads_and_prints() {
        for (text, want) in [
            ("1.10", Some("1.10")),
            ("-0.05", Some("-0.05")),
            ("0", Some("0")),
            ("1e3", Some("1000")),
            ("1.5E-3", Some("0.0015")),
            ("1.50e1", Some("15.0")),
            ("12345678901234567890.123456789", Some("12345678901234567890.123456789")),
            ("1.", None),
            (".5", None),
            ("", None),
            ("-", None),
            ("1e99", None),
            ("1e-99", None),
            ("1x", None),
            ("999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(Decimal::parse(text).map(|value| value.to_string()), want.map(String::from), "{text}");
        }
    }

    #[test]
    fn arithmetic() {
        let show = |value: Option<Decimal>| value.map(|value| value.to_string());
        let some = |text: &str| Some(text.to_string());
        assert_eq!(show(decimal("1.8").checked_sub(decimal("1.2"))), some("0.6"));
        assert_eq!(show(decimal("1.2").checked_mul(decimal("1.8"))), some("2.16"));
        assert_eq!(show(decimal("1").checked_div(decimal("8"))), some("0.125"));
        assert_eq!(show(decimal("2").checked_div(decimal("3"))), some("0.6666666666666667"));
        assert_eq!(decimal("1").checked_div(decimal("0.0")), None);
        assert_eq!(decimal("2.2").checked_whole_div(decimal("1.8")), Some(1));
        assert_eq!(show(decimal("2.2").checked_rem(decimal("1.8"))), some("0.4"));
        assert_eq!(decimal("1").checked_rem(Decimal::ZERO), None);
        let largest = Decimal::new(i128::MAX, 0).unwrap();
        assert_eq!(largest.checked_add(Decimal::ONE), None);
        assert_eq!(largest.checked_mul(decimal("2")), None);
    }

    #[test]
    fn rounding() {
        use Rounding::*;
        for (text, scale, rounding, want) in [
            ("2.5", 0, Nearest, "3"),
            ("-2.5", 0, Nearest, "-3"),
            ("2.45", 1, TowardZero, "2.4"),
            ("-2.45", 1, Down, "-2.5"),
            ("-2.45", 1, Up, "-2.4"),
            ("2.41", 1, Up, "2.5"),
            ("2", 3, Nearest, "2.000"),
        ] {
            assert_eq!(decimal(text).rescale(scale, rounding).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn order() {
        assert_eq!(decimal("1.0"), decimal("1.00"));
        assert!(decimal("-1") < decimal("0.5"));
        let tiny = Decimal::new(1, MAX_SCALE).unwrap();
        let huge = Decimal::new(i128::MAX, 0).unwrap();
        assert!(tiny < huge && huge.negated() < tiny);
    }

    #[test]
    fn binary_fractions() {
        assert_eq!(decimal("0.1").to_f64(), 0.1);
        assert_eq!(Decimal::from_f64(0.5, 8), Some(decimal("0.5")));
        assert_eq!(Decimal::from_f64(f64::NAN, 8), None);
    }
}
