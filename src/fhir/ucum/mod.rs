//! UCUM, the Unified Code for Units of Measure: which codes are well formed, what they are worth, and how amounts convert.
//!
//! In scope: the whole case-sensitive grammar, every unit of the table (`units.tsv`), prefixes, annotations, arbitrary units, special units
//! (`Cel`, `[pH]`, `B`, …), canonical forms. Out of scope: the case-insensitive codes, print symbols, names of units.
//!
//! Invariants: a code is valid, or [`Invalid`] says why not; factors are exact fractions unless a product has no room for its digits, when it is rounded
//! to 18; arbitrary units compare with nothing but themselves; reading a code takes time in proportion to its length.
//!
//! Follows <https://ucum.org/ucum>, the semantics of 2.0.1.

mod grammar;
mod ratio;
mod special;
mod table;
#[cfg(test)]
mod tests;

pub use ratio::Ratio;

use super::decimal::Decimal;
use grammar::Worth;

/// The code system's URL in FHIR.
pub const SYSTEM: &str = "http://unitsofmeasure.org";

/// Characters of a unit code.
pub const CODE_MAX: usize = 256;

/// How deep parentheses in a unit code may nest.
pub const NESTING_MAX: usize = 16;

/// Why a text is no UCUM code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    Empty,
    TooLong,
    TooDeep,
    UnknownUnit,
    /// An operator, a parenthesis or an annotation that is left open, or closed without being opened.
    Incomplete,
    /// An annotation may hold printable ASCII without spaces and braces.
    Annotation,
    /// Something stands where an operator was due.
    Operator,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Invalid::Empty => "it is empty",
            Invalid::TooLong => "it is too long to be a unit",
            Invalid::TooDeep => "its parentheses nest too deep",
            Invalid::UnknownUnit => "a part of it is no unit of UCUM",
            Invalid::Incomplete => "it ends or closes too early",
            Invalid::Annotation => "an annotation may hold printable ASCII without spaces and braces only",
            Invalid::Operator => "an operator is missing between two units",
        })
    }
}

/// Exponents of what a unit measures: metre, second, gram, radian, kelvin, coulomb, candela, the calendar's month, and arbitrary units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dimension {
    base: [i16; 8],
    /// Each arbitrary unit adds its exponent times a number of its own.
    arbitrary: i64,
}

impl Dimension {
    pub const TIME: Dimension = Dimension { base: [0, 1, 0, 0, 0, 0, 0, 0], arbitrary: 0 };
    /// The calendar's months have no length in seconds, so they measure something of their own.
    pub const CALENDAR_MONTH: Dimension = Dimension { base: [0, 0, 0, 0, 0, 0, 0, 1], arbitrary: 0 };

    /// One of a base unit, by its place among them.
    fn of(place: usize) -> Dimension {
        let mut base = [0; 8];
        base.iter_mut().skip(place).take(1).for_each(|exponent| *exponent = 1);
        Dimension { base, arbitrary: 0 }
    }

    fn combined(self, other: Dimension, sign: i16) -> Dimension {
        let mut sum = self;
        for (mine, theirs) in sum.base.iter_mut().zip(other.base) {
            *mine = mine.saturating_add(theirs.saturating_mul(sign));
        }
        sum.arbitrary = self.arbitrary.wrapping_add(other.arbitrary.wrapping_mul(i64::from(sign)));
        sum
    }

    fn power(self, exponent: i16) -> Dimension {
        Dimension { base: self.base.map(|part| part.saturating_mul(exponent)), arbitrary: self.arbitrary.wrapping_mul(i64::from(exponent)) }
    }
}

/// What a unit is worth in base units: an amount is (value + offset) × factor of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    pub factor: Ratio,
    /// Nought but for scales of temperature.
    pub offset: Ratio,
    pub dimension: Dimension,
}

impl Scale {
    pub const ONE: Scale = Scale { factor: Ratio::ONE, offset: Ratio::ZERO, dimension: Dimension { base: [0; 8], arbitrary: 0 } };
    pub const SECOND: Scale = Scale { dimension: Dimension::TIME, ..Scale::ONE };

    /// An amount in base units.
    pub fn in_base(&self, value: Ratio) -> Option<Ratio> {
        value.plus(self.offset)?.times(self.factor)
    }

    /// An amount of base units on this scale.
    pub fn of_base(&self, amount: Ratio) -> Option<Ratio> {
        amount.times(self.factor.inverse()?)?.plus(self.offset.negated())
    }

    fn combined(self, other: Scale, sign: i16) -> Option<Scale> {
        if self.offset != Ratio::ZERO || other.offset != Ratio::ZERO {
            return None;
        }
        let factor = if sign < 0 { other.factor.inverse()? } else { other.factor };
        Some(Scale { factor: self.factor.times(factor)?, dimension: self.dimension.combined(other.dimension, sign), ..Scale::ONE })
    }

    fn power(self, exponent: i16) -> Option<Scale> {
        if exponent == 1 {
            return Some(self);
        }
        let factor = self.factor.power(i32::from(exponent))?;
        (self.offset == Ratio::ZERO).then_some(Scale { factor, dimension: self.dimension.power(exponent), ..Scale::ONE })
    }

    fn scaled(self, by: Ratio) -> Option<Scale> {
        Some(Scale { factor: self.factor.times(by)?, offset: self.offset.times(by.inverse()?)?, ..self })
    }
}

/// Whether a text is a UCUM code.
pub fn check(code: &str) -> Result<(), Invalid> {
    grammar::read(code).map(|_| ())
}

/// What a UCUM code is worth. `None` for what is no code, and for units whose amounts no factor gives (`B`, `[pH]`).
pub fn scale(code: &str) -> Option<Scale> {
    match grammar::read(code) {
        Ok(Worth::Scale(scale)) => Some(scale),
        _ => None,
    }
}

/// Whether two units measure the same kind of thing, those without a factor too.
pub fn are_alike(one: &str, other: &str) -> bool {
    let dimension = |code: &str| grammar::read(code).ok()?.dimension();
    matches!((dimension(one), dimension(other)), (Some(mine), Some(theirs)) if mine == theirs)
}

/// An amount in another unit; `None` when they measure different things. Exact where both are multiples, else to 12 significant digits.
pub fn convert(value: Decimal, from: &str, to: &str) -> Option<Decimal> {
    match (grammar::read(from).ok()?, grammar::read(to).ok()?) {
        (Worth::Scale(mine), Worth::Scale(theirs)) => {
            let amount = mine.in_base(Ratio::of(value))?;
            (mine.dimension == theirs.dimension).then(|| theirs.of_base(amount)?.to_decimal())?
        }
        (mine, theirs) => special::convert(value, mine, theirs),
    }
}

/// What one of a unit is in base units, and those written in UCUM: 9.80665 and `m.s-2` for `[g]`. `None` for special and arbitrary units.
pub fn canonical(code: &str) -> Option<(Decimal, String)> {
    let scale = scale(code).filter(|scale| scale.offset == Ratio::ZERO && scale.dimension.arbitrary == 0)?;
    let names = table::BASE.iter().zip(scale.dimension.base).filter(|(_, exponent)| *exponent != 0);
    let parts: Vec<String> =
        names.map(|(name, exponent)| if exponent == 1 { (*name).to_owned() } else { format!("{name}{exponent}") }).collect();
    let unit = if parts.is_empty() { "1".to_owned() } else { parts.join(".") };
    Some((scale.factor.to_decimal()?, unit))
}
