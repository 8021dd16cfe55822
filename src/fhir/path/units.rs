//! Units reduced to a factor and a dimension, exactly: enough of UCUM to compare the quantities that meet in expressions.
//!
//! A unit with an offset (`Cel`, `[degF]`) or an arbitrary one (`[IU]`) has no factor here and compares only with itself.
//! Factors are those of UCUM 2.1 (<https://ucum.org/ucum>), whose base units are m, g, s, K, C, cd and rad.

use std::cmp::Ordering;

/// Characters of a unit code.
const MAX_CODE: usize = 128;

/// How deep parentheses in a unit code may nest.
const MAX_DEPTH: u8 = 8;

/// An exact positive number: numerator / denominator × 10^exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    pub numerator: i128,
    pub denominator: i128,
    pub exponent: i32,
}

impl Ratio {
    pub const ONE: Ratio = Ratio { numerator: 1, denominator: 1, exponent: 0 };

    pub fn new(numerator: i128, exponent: i32) -> Ratio {
        Ratio { numerator, denominator: 1, exponent }.reduced()
    }

    /// The one form that equal ratios share: lowest terms, and no factor of ten, two or five left in the denominator
    /// as long as there is room. Small terms also keep products small.
    fn reduced(mut self) -> Ratio {
        if self.numerator == 0 {
            return Ratio { numerator: 0, ..Ratio::ONE };
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

    pub fn times(self, other: Ratio) -> Option<Ratio> {
        Some(
            Ratio {
                numerator: self.numerator.checked_mul(other.numerator)?,
                denominator: self.denominator.checked_mul(other.denominator)?,
                exponent: self.exponent.checked_add(other.exponent)?,
            }
            .reduced(),
        )
    }

    pub fn inverse(self) -> Option<Ratio> {
        let sign = self.numerator.signum();
        (sign != 0).then(|| Ratio { numerator: self.denominator * sign, denominator: self.numerator.abs(), exponent: -self.exponent })
    }

    fn power(self, exponent: i32) -> Option<Ratio> {
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
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Exponents of metre, second, gram, radian, kelvin, coulomb, candela, and of the calendar's month.
pub(super) type Dimension = [i32; 8];

const NONE: Dimension = [0; 8];
pub(super) const CALENDAR_MONTH: Dimension = [0, 0, 0, 0, 0, 0, 0, 1];

/// What a unit is worth in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    pub factor: Ratio,
    pub dimension: Dimension,
}

impl Scale {
    pub const SECOND: Scale = Scale { factor: Ratio::ONE, dimension: [0, 1, 0, 0, 0, 0, 0, 0] };

    fn combined(self, other: Scale, sign: i32) -> Option<Scale> {
        let mut dimension = self.dimension;
        for (mine, theirs) in dimension.iter_mut().zip(other.dimension) {
            *mine += sign * theirs;
        }
        let factor = if sign < 0 { other.factor.inverse()? } else { other.factor };
        Some(Scale { factor: self.factor.times(factor)?, dimension })
    }
}

/// Code, takes prefixes, mantissa and power of ten of the factor, and what the factor multiplies.
type Row = (&'static str, bool, i128, i32, Dimension);

const LENGTH: Dimension = [1, 0, 0, 0, 0, 0, 0, 0];
const TIME: Dimension = [0, 1, 0, 0, 0, 0, 0, 0];
const MASS: Dimension = [0, 0, 1, 0, 0, 0, 0, 0];
const ANGLE: Dimension = [0, 0, 0, 1, 0, 0, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 0, 1, 0, 0, 0];
const CHARGE: Dimension = [0, 0, 0, 0, 0, 1, 0, 0];
const LUMINOSITY: Dimension = [0, 0, 0, 0, 0, 0, 1, 0];
const VOLUME: Dimension = [3, 0, 0, 0, 0, 0, 0, 0];
const FREQUENCY: Dimension = [0, -1, 0, 0, 0, 0, 0, 0];
const FORCE: Dimension = [1, -2, 1, 0, 0, 0, 0, 0];
const PRESSURE: Dimension = [-1, -2, 1, 0, 0, 0, 0, 0];
const ENERGY: Dimension = [2, -2, 1, 0, 0, 0, 0, 0];
const POWER: Dimension = [2, -3, 1, 0, 0, 0, 0, 0];
const CURRENT: Dimension = [0, -1, 0, 0, 0, 1, 0, 0];
const VOLTAGE: Dimension = [2, -2, 1, 0, 0, -1, 0, 0];
const CAPACITY: Dimension = [-2, 2, -1, 0, 0, 2, 0, 0];
const RESISTANCE: Dimension = [2, -1, 1, 0, 0, -2, 0, 0];
const CONDUCTANCE: Dimension = [-2, 1, -1, 0, 0, 2, 0, 0];
const ABSORBED: Dimension = [2, -2, 0, 0, 0, 0, 0, 0];

/// Particles in a mole, as UCUM has it.
const AVOGADRO: (i128, i32) = (60_221_367, 16);

const UNITS: &[Row] = &[
    ("m", true, 1, 0, LENGTH),
    ("s", true, 1, 0, TIME),
    ("g", true, 1, 0, MASS),
    ("rad", true, 1, 0, ANGLE),
    ("K", true, 1, 0, TEMPERATURE),
    ("C", true, 1, 0, CHARGE),
    ("cd", true, 1, 0, LUMINOSITY),
    ("10*", false, 1, 1, NONE),
    ("10^", false, 1, 1, NONE),
    ("%", false, 1, -2, NONE),
    ("[ppth]", false, 1, -3, NONE),
    ("[ppm]", false, 1, -6, NONE),
    ("[ppb]", false, 1, -9, NONE),
    ("mol", true, AVOGADRO.0, AVOGADRO.1, NONE),
    ("eq", true, AVOGADRO.0, AVOGADRO.1, NONE),
    ("osm", true, AVOGADRO.0, AVOGADRO.1, NONE),
    ("kat", true, AVOGADRO.0, AVOGADRO.1, FREQUENCY),
    ("Hz", true, 1, 0, FREQUENCY),
    ("Bq", true, 1, 0, FREQUENCY),
    ("N", true, 1, 3, FORCE),
    ("dyn", true, 1, -2, FORCE),
    ("Pa", true, 1, 3, PRESSURE),
    ("bar", true, 1, 8, PRESSURE),
    ("atm", false, 101_325, 3, PRESSURE),
    ("m[Hg]", true, 133_322, 3, PRESSURE),
    ("m[H2O]", true, 980_665, 1, PRESSURE),
    ("J", true, 1, 3, ENERGY),
    ("erg", true, 1, -4, ENERGY),
    ("cal", true, 4184, 0, ENERGY),
    ("[Cal]", false, 4184, 3, ENERGY),
    ("W", true, 1, 3, POWER),
    ("A", true, 1, 0, CURRENT),
    ("V", true, 1, 3, VOLTAGE),
    ("F", true, 1, -3, CAPACITY),
    ("Ohm", true, 1, 3, RESISTANCE),
    ("S", true, 1, -3, CONDUCTANCE),
    ("Gy", true, 1, 0, ABSORBED),
    ("Sv", true, 1, 0, ABSORBED),
    ("l", true, 1, -3, VOLUME),
    ("L", true, 1, -3, VOLUME),
    ("t", true, 1, 6, MASS),
    ("min", false, 60, 0, TIME),
    ("h", false, 3600, 0, TIME),
    ("d", false, 86_400, 0, TIME),
    ("wk", false, 604_800, 0, TIME),
    ("mo", false, 2_629_800, 0, TIME),
    ("mo_j", false, 2_629_800, 0, TIME),
    ("a", false, 31_557_600, 0, TIME),
    ("a_j", false, 31_557_600, 0, TIME),
    ("[in_i]", false, 254, -4, LENGTH),
    ("[ft_i]", false, 3048, -4, LENGTH),
    ("[yd_i]", false, 9144, -4, LENGTH),
    ("[mi_i]", false, 1_609_344, -3, LENGTH),
    ("[lb_av]", false, 45_359_237, -5, MASS),
    ("[oz_av]", false, 28_349_523_125, -9, MASS),
    ("[gr]", false, 6_479_891, -8, MASS),
    ("[stone_av]", false, 635_029_318, -5, MASS),
    ("[gal_us]", false, 3_785_411_784, -12, VOLUME),
    ("[qt_us]", false, 946_352_946, -12, VOLUME),
    ("[pt_us]", false, 473_176_473, -12, VOLUME),
    ("[cup_us]", false, 2_365_882_365, -13, VOLUME),
    ("[foz_us]", false, 295_735_295_625, -16, VOLUME),
    ("[tbs_us]", false, 1_478_676_478_125, -17, VOLUME),
    ("[tsp_us]", false, 492_892_159_375, -17, VOLUME),
];

const PREFIXES: [(&str, i32); 20] = [
    ("da", 1),
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

/// What a UCUM code is worth; `None` for what is not one, or has no factor.
pub(super) fn scale(code: &str) -> Option<Scale> {
    if code.len() > MAX_CODE {
        return None;
    }
    let mut reader = Reader { rest: code, depth: 0 };
    let scale = reader.term()?;
    reader.rest.is_empty().then_some(scale)
}

struct Reader<'a> {
    rest: &'a str,
    depth: u8,
}

impl Reader<'_> {
    fn take(&mut self, symbol: char) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Components joined by `.` and `/`, from left to right.
    fn term(&mut self) -> Option<Scale> {
        let one = Scale { factor: Ratio::ONE, dimension: NONE };
        let mut product = if self.take('/') { one.combined(self.component()?, -1)? } else { self.component()? };
        loop {
            if self.take('.') {
                product = product.combined(self.component()?, 1)?;
            } else if self.take('/') {
                product = product.combined(self.component()?, -1)?;
            } else {
                return Some(product);
            }
        }
    }

    fn component(&mut self) -> Option<Scale> {
        if self.take('(') {
            if self.depth == MAX_DEPTH {
                return None;
            }
            self.depth += 1;
            let inner = self.term()?;
            self.depth -= 1;
            return self.take(')').then_some(inner);
        }
        let simple = self.simple_unit()?;
        self.annotation()?;
        Some(simple)
    }

    /// `{…}` says something about a unit without changing it.
    fn annotation(&mut self) -> Option<()> {
        if self.take('{') {
            let (_, after) = self.rest.split_once('}')?;
            self.rest = after;
        }
        Some(())
    }

    fn simple_unit(&mut self) -> Option<Scale> {
        if self.rest.starts_with('{') {
            return Some(Scale { factor: Ratio::ONE, dimension: NONE });
        }
        let mut in_brackets = false;
        let end = self.rest.find(|letter| match letter {
            '[' | ']' => {
                in_brackets = letter == '[';
                false
            }
            '.' | '/' | '(' | ')' | '{' => !in_brackets,
            _ => false,
        });
        let (unit, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if let Ok(factor) = unit.parse::<u32>() {
            return Some(Scale { factor: Ratio::new(i128::from(factor), 0), dimension: NONE });
        }
        atom(unit).or_else(|| with_exponent(unit))
    }
}

/// A unit and the exponent behind it: `m2`, `s-1`, `10*3`.
fn with_exponent(unit: &str) -> Option<Scale> {
    let digits = unit.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (mut symbol, mut exponent) = unit.split_at_checked(unit.len() - digits)?;
    if let Some(stem) = symbol.strip_suffix(['-', '+']) {
        exponent = unit.get(stem.len()..)?;
        symbol = stem;
    }
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= 30)?;
    let base = atom(symbol)?;
    Some(Scale { factor: base.factor.power(exponent)?, dimension: base.dimension.map(|part| part * exponent) })
}

/// A unit of the table, bare or with a prefix.
fn atom(symbol: &str) -> Option<Scale> {
    let row_named = |name: &str| UNITS.iter().find(|row| row.0 == name);
    let scaled = |row: &Row, by: i32| Scale { factor: Ratio::new(row.2, row.3 + by), dimension: row.4 };
    if let Some(row) = row_named(symbol) {
        return Some(scaled(row, 0));
    }
    if symbol == "U" {
        // A micromole a minute is no decimal multiple of the base units.
        let minute = Ratio { numerator: 1, denominator: 60, exponent: 0 };
        return Some(Scale { factor: Ratio::new(AVOGADRO.0, AVOGADRO.1 - 6).times(minute)?, dimension: FREQUENCY });
    }
    PREFIXES.iter().find_map(|&(prefix, power)| row_named(symbol.strip_prefix(prefix)?).filter(|row| row.1).map(|row| scaled(row, power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        let same = |a: &str, b: &str| match (scale(a), scale(b)) {
            (Some(a), Some(b)) => a.dimension == b.dimension && a.factor.compare(b.factor) == Some(Ordering::Equal),
            _ => false,
        };
        for (a, b) in [
            ("cm.m", "10*-2.m2"),
            ("mmol/L", "mol/m3"),
            ("g/dL", "10.g/L"),
            ("mm[Hg]", "m[Hg]/1000"),
            ("kg.m/s2", "N"),
            ("[lb_av]", "45359237.10*-5.g"),
            ("{beats}/min", "/min"),
            ("mg/(kg.d)", "mg/kg/d"),
            ("U", "umol/min"),
            ("dam", "10.m"),
            ("J/s", "W"),
        ] {
            assert!(same(a, b), "{a} {b}: {:?} {:?}", scale(a), scale(b));
        }
        let ratio = |numerator, denominator, exponent| Ratio { numerator, denominator, exponent }.reduced();
        assert_eq!(ratio(30, 60, 0), ratio(5, 1, -1));
        assert_eq!(ratio(0, 7, 3), ratio(0, 1, 0));
        assert_eq!(ratio(7, 30, 0), ratio(14, 6, -1));
        for code in ["[s]", "", "m/", "(m", "m)", "kk", "Cel", "m99", "((((((((((m))))))))))"] {
            assert_eq!(scale(code), None, "{code}");
        }
    }
}
