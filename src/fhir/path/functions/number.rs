//! Functions on numbers (N1 §5.7). Roots, logarithms and exponentials go through binary fractions and are rounded to eight places.

use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::quantity::Quantity;
use super::super::syntax::Call;
use super::{maybe, one_value};
use crate::fhir::decimal::{Decimal, MAX_SCALE, Rounding};

/// Places to which results without an end are given.
const PLACES: u32 = 8;

/// The largest whole exponent that is multiplied out.
const MAX_EXPONENT: i64 = 1024;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let Some(value) = one_value(evaluator, input, call.function)? else { return Ok(Collection::Empty) };
    let wrong = PathError::WrongType { operation: call.function.name() };
    let (number, is_integer) = match &value {
        System::Integer(number) => (Decimal::from(*number), true),
        System::Decimal(number) => (*number, false),
        System::Quantity(quantity) if matches!(call.function, Function::Abs | Function::Round) => {
            let argument = evaluator.argument(call, 0, scope)?;
            let places = evaluator.single_integer(&argument, call.function.name())?;
            return quantity_answer(call.function, quantity, places);
        }
        _ => return Err(wrong),
    };
    let whole = |rounding| maybe(number.rescale(0, rounding).and_then(Decimal::to_i64));
    match call.function {
        Function::Abs if is_integer => maybe(number.abs().to_i64()),
        Function::Abs => Ok(System::Decimal(number.abs()).into()),
        Function::Ceiling => whole(Rounding::Up),
        Function::Floor => whole(Rounding::Down),
        Function::Truncate => whole(Rounding::TowardZero),
        Function::Round => {
            let places = evaluator.single_integer(&evaluator.argument(call, 0, scope)?, "round")?;
            maybe(rounded(number, places)?.map(System::Decimal))
        }
        Function::Exp => binary(number.to_f64().exp()),
        Function::Ln => binary(number.to_f64().ln()),
        Function::Sqrt => binary(number.to_f64().sqrt()),
        _ => with_number(evaluator, call, number, is_integer, scope),
    }
}

fn quantity_answer<'d>(function: Function, quantity: &Quantity, places: Option<i64>) -> Yield<'d> {
    let value = if function == Function::Abs { Some(quantity.value.abs()) } else { rounded(quantity.value, places)? };
    maybe(value.map(|value| System::Quantity(Box::new(Quantity { value, unit: quantity.unit.clone() }))))
}

fn rounded(number: Decimal, places: Option<i64>) -> Result<Option<Decimal>, PathError> {
    let places = u32::try_from(places.unwrap_or(0)).map_err(|_| PathError::Arguments { function: "round" })?;
    if places >= number.scale() || places > MAX_SCALE {
        return Ok(Some(number));
    }
    Ok(number.rescale(places, Rounding::Nearest))
}

/// A binary result as a decimal; nothing for what is not a number.
fn binary<'d>(value: f64) -> Yield<'d> {
    maybe(Decimal::from_f64(value, PLACES).map(System::Decimal))
}

/// `log` and `power`, which take a second number.
fn with_number<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, number: Decimal, is_integer: bool, scope: Scope<'_, 'd>) -> Yield<'d> {
    let argument = evaluator.argument(call, 0, scope)?;
    let (other, other_is_integer) = match evaluator.single_system(&argument, call.function.name())? {
        None => return Ok(Collection::Empty),
        Some(System::Integer(other)) => (Decimal::from(other), true),
        Some(System::Decimal(other)) => (other, false),
        Some(_) => return Err(PathError::WrongType { operation: call.function.name() }),
    };
    if call.function == Function::Log {
        return binary(number.to_f64().ln() / other.to_f64().ln());
    }
    match other.to_i64() {
        Some(exponent @ 0..=MAX_EXPONENT) => match power(number, exponent) {
            Some(result) if is_integer && other_is_integer => maybe(result.to_i64()),
            result => maybe(result.map(System::Decimal)),
        },
        _ => binary(number.to_f64().powf(other.to_f64())),
    }
}

/// The exact power; nothing when it has too many digits.
fn power(base: Decimal, exponent: i64) -> Option<Decimal> {
    (0..exponent).try_fold(Decimal::ONE, |product, _| product.checked_mul(base))
}
