//! Exact positive and negative fractions with a power of ten apart, which is what factors between units are.

use crate::fhir::decimal::{Decimal, Rounding};
use std::cmp::Ordering;

/// Significant digits that are kept of a product which has no room for all of its digits.
const ROUNDED_DIGITS: u32 = 18;

/// The largest power of ten that is reckoned with.
const EXPONENT_MAX: i32 = 1_000;

/// An exact number: numerator / denominator × 10^exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    pub numerator: i128,
    pub denominator: i128,
    pub exponent: i32,
}

impl Ratio {
    pub const ZERO: Ratio = Ratio { numerator: 0, denominator: 1, exponent: 0 };
    pub const ONE: Ratio = Ratio { numerator: 1, denominator: 1, exponent: 0 };

    /// `numerator` × 10^`exponent`.
    pub fn new(numerator: i128, exponent: i32) -> Ratio {
        Ratio { numerator, denominator: 1, exponent }.reduced()
    }

    /// A decimal as it stands.
    pub fn of(value: Decimal) -> Ratio {
        Ratio::new(value.mantissa(), value.scale().try_into().map_or(0, i32::wrapping_neg))
    }

    /// Reads `6.0221367`, `1e-24`; more digits than there is room for are dropped.
    pub fn parse(text: &str) -> Option<Ratio> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction = fraction.get(..30).unwrap_or(fraction);
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Ratio::new(digits, exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?))
    }

    /// The one form that equal ratios share: lowest terms, and no factor of ten, two or five left in the denominator
    /// as long as there is room. Small terms also keep products small.
    pub(super) fn reduced(mut self) -> Ratio {
        if self.numerator == 0 {
            return Ratio::ZERO;
        }
        let common = greatest_common_divisor(self.numerator.unsigned_abs(), self.denominator.unsigned_abs());
        if let Ok(common) = i128::try_from(common) {
            self.numerator /= common;
            self.denominator /= common;
        }
        for (factor, partner) in [(10, 1), (2, 5), (5, 2)] {
            while self.denominator % factor == 0
                && let Some(numerator) = self.numerator.checked_mul(partner)
            {
                self.numerator = numerator;
                self.denominator /= factor;
                self.exponent -= 1;
            }
        }
        while self.numerator % 10 == 0 {
            self.numerator /= 10;
            self.exponent += 1;
        }
        self
    }

    /// The product; rounded when its terms would be too long. `None` beyond any measurable size.
    pub fn times(self, other: Ratio) -> Option<Ratio> {
        let exponent = self.exponent.checked_add(other.exponent).filter(|exponent| exponent.abs() <= EXPONENT_MAX)?;
        let exact = self.numerator.checked_mul(other.numerator).zip(self.denominator.checked_mul(other.denominator));
        match exact {
            Some((numerator, denominator)) => Some(Ratio { numerator, denominator, exponent }.reduced()),
            None => self.rounded()?.exactly_times(other.rounded()?),
        }
    }

    fn exactly_times(self, other: Ratio) -> Option<Ratio> {
        let numerator = self.numerator.checked_mul(other.numerator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Some(Ratio { numerator, denominator, exponent: self.exponent.checked_add(other.exponent)? }.reduced())
    }

    /// The nearest decimal of [`ROUNDED_DIGITS`] digits.
    fn rounded(self) -> Option<Ratio> {
        let (mut value, mut exponent, mut rest) = (self.numerator / self.denominator, self.exponent, self.numerator % self.denominator);
        let enough = 10_i128.pow(ROUNDED_DIGITS);
        while rest != 0 && value.abs() < enough {
            let tenfold = rest.checked_mul(10)?;
            value = value * 10 + tenfold / self.denominator;
            rest = tenfold % self.denominator;
            exponent -= 1;
        }
        while value.abs() >= enough {
            value = (value + 5 * value.signum()) / 10;
            exponent += 1;
        }
        Some(Ratio::new(value, exponent))
    }

    pub fn inverse(self) -> Option<Ratio> {
        let sign = self.numerator.signum();
        (sign != 0)
            .then(|| Ratio { numerator: self.denominator * sign, denominator: self.numerator.abs(), exponent: -self.exponent }.reduced())
    }

    pub fn negated(self) -> Ratio {
        Ratio { numerator: -self.numerator, ..self }
    }

    /// The sum; `None` when the numbers are too long to be laid side by side.
    pub fn plus(self, other: Ratio) -> Option<Ratio> {
        if other.numerator == 0 {
            return Some(self);
        }
        let exponent = self.exponent.min(other.exponent);
        let lift = |one: Ratio| one.numerator.checked_mul(10_i128.checked_pow(u32::try_from(one.exponent.checked_sub(exponent)?).ok()?)?);
        let mine = lift(self)?.checked_mul(other.denominator)?;
        let theirs = lift(other)?.checked_mul(self.denominator)?;
        Some(
            Ratio { numerator: mine.checked_add(theirs)?, denominator: self.denominator.checked_mul(other.denominator)?, exponent }
                .reduced(),
        )
    }

    pub fn power(self, exponent: i32) -> Option<Ratio> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        (0..exponent.unsigned_abs()).try_fold(Ratio::ONE, |product, _| product.times(base))
    }

    /// `None` when the numbers are too long to be laid side by side.
    pub fn compare(self, other: Ratio) -> Option<Ordering> {
        let shift = self.exponent.checked_sub(other.exponent)?;
        let lift = |value: i128, by: i32| value.checked_mul(10_i128.checked_pow(u32::try_from(by).ok()?)?);
        let mine = self.numerator.checked_mul(other.denominator)?;
        let theirs = other.numerator.checked_mul(self.denominator)?;
        if shift >= 0 { Some(lift(mine, shift)?.cmp(&theirs)) } else { Some(mine.cmp(&lift(theirs, -shift)?)) }
    }

    /// The nearest binary fraction, for what has no exact answer.
    pub fn to_f64(self) -> f64 {
        let mantissa = self.numerator as f64 / self.denominator as f64;
        // The power of ten is read from text, which rounds once.
        format!("{mantissa:e}").split_once('e').map_or(mantissa, |(digits, exponent)| {
            let exponent = exponent.parse::<i32>().unwrap_or(0).saturating_add(self.exponent);
            format!("{digits}e{exponent}").parse().unwrap_or(f64::NAN)
        })
    }

    /// The decimal it is; one without an end is rounded after the digits that a decimal has room for.
    pub fn to_decimal(self) -> Option<Decimal> {
        if self.denominator != 1 {
            return self.rounded()?.to_decimal();
        }
        match self.exponent {
            0.. => Decimal::new(self.numerator.checked_mul(10_i128.checked_pow(self.exponent.unsigned_abs())?)?, 0),
            exponent if exponent.unsigned_abs() <= crate::fhir::decimal::MAX_SCALE => Decimal::new(self.numerator, exponent.unsigned_abs()),
            // Digits beyond the last place are rounded away.
            exponent => {
                let beyond = exponent.unsigned_abs() - crate::fhir::decimal::MAX_SCALE;
                let whole = Decimal::new(self.numerator, beyond.min(crate::fhir::decimal::MAX_SCALE))?.rescale(0, Rounding::Nearest)?;
                Decimal::new(whole.mantissa(), crate::fhir::decimal::MAX_SCALE)
            }
        }
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
