//! Special units: scales that begin elsewhere (temperatures) or are no multiples at all (logarithms, slopes).

use super::grammar::Worth;
use super::{Ratio, Scale};
use crate::fhir::decimal::Decimal;

/// How a special unit is defined.
pub enum Function {
    /// The hundredths that are added before the factor applies.
    Offset(i128),
    Curve(Curve),
}

/// The base of a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    E,
    Of(u32),
}

impl Base {
    fn value(self) -> f64 {
        match self {
            Base::E => std::f64::consts::E,
            Base::Of(number) => f64::from(number),
        }
    }
}

/// A function from a value to the multiple of the reference unit that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// The base to the power of the value divided by the divisor: 10 and 1 for `lg`, 10 and 2 for `2lg`, 10 and -1 for `pH`.
    Exponential { base: Base, divisor: i8 },
    /// The angle whose tangent is a hundredth of the value.
    Slope,
    /// The root of the reference unit.
    Root,
}

impl Function {
    /// The function of a name in `units.tsv`.
    pub fn named(name: &str) -> Option<Function> {
        let exponential = |base, divisor| Function::Curve(Curve::Exponential { base, divisor });
        Some(match name {
            "Cel" => Function::Offset(27_315),
            "degF" => Function::Offset(45_967),
            "degRe" => Function::Offset(21_852),
            "ln" => exponential(Base::E, 1),
            "lg" => exponential(Base::Of(10), 1),
            "2lg" => exponential(Base::Of(10), 2),
            "ld" => exponential(Base::Of(2), 1),
            "pH" | "hpX" => exponential(Base::Of(10), -1),
            "hpC" => exponential(Base::Of(100), -1),
            "hpM" => exponential(Base::Of(1_000), -1),
            "hpQ" => exponential(Base::Of(50_000), -1),
            "100tan" => Function::Curve(Curve::Slope),
            "sqrt" => Function::Curve(Curve::Root),
            _ => return None,
        })
    }
}

/// A unit whose amounts are a curve over those of a reference unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    pub curve: Curve,
    pub scale: Scale,
    /// What a prefix multiplies values by: `dB`.
    pub prefix: Ratio,
}

impl Special {
    fn in_base(&self, value: f64) -> f64 {
        let value = value * self.prefix.to_f64();
        let multiple = match self.curve {
            Curve::Exponential { base, divisor } => base.value().powf(value / f64::from(divisor)),
            Curve::Slope => (value / 100.0).atan(),
            Curve::Root => value * value,
        };
        multiple * self.scale.factor.to_f64()
    }

    fn of_base(&self, amount: f64) -> f64 {
        let multiple = amount / self.scale.factor.to_f64();
        let value = match self.curve {
            Curve::Exponential { base: Base::Of(10), divisor } => multiple.log10() * f64::from(divisor),
            Curve::Exponential { base: Base::Of(2), divisor } => multiple.log2() * f64::from(divisor),
            Curve::Exponential { base, divisor } => multiple.ln() / base.value().ln() * f64::from(divisor),
            Curve::Slope => multiple.tan() * 100.0,
            Curve::Root => multiple.sqrt(),
        };
        value / self.prefix.to_f64()
    }
}

/// Significant digits of an answer that came over a curve.
const DIGITS: usize = 12;

/// Converts where at least one side is a curve.
pub fn convert(value: Decimal, from: Worth, to: Worth) -> Option<Decimal> {
    let base = match from {
        Worth::Scale(scale) => scale.in_base(Ratio::of(value))?.to_f64(),
        Worth::Special(special) => special.in_base(value.to_f64()),
        Worth::Unmeasured => return None,
    };
    if from.dimension()? != to.dimension()? {
        return None;
    }
    let answer = match to {
        Worth::Scale(scale) => base / scale.factor.to_f64() - scale.offset.to_f64(),
        Worth::Special(special) => special.of_base(base),
        Worth::Unmeasured => return None,
    };
    answer.is_finite().then(|| Ratio::parse(&format!("{answer:.*e}", DIGITS - 1))?.to_decimal())?
}
