//! Conversion between FHIRPath's own types (N1 §5.5).

use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield};
use super::super::function::Function;
use super::super::item::{Item, System};
use super::super::quantity::Quantity;
use super::super::syntax::Call;
use super::{maybe, one_value};
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::{Date, DateTime, Time};
use std::borrow::Cow;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    use Function::*;
    if is_complex(evaluator, input) {
        return if gives_value(call.function) { maybe(None::<bool>) } else { Ok(false.into()) };
    }
    let Some(value) = one_value(evaluator, input, call.function)? else { return maybe(None::<bool>) };
    let converted = match call.function {
        ToBoolean | ConvertsToBoolean => to_boolean(&value).map(System::Boolean),
        ToInteger | ConvertsToInteger => to_integer(&value).map(System::Integer),
        ToDecimal | ConvertsToDecimal => to_decimal(&value).map(System::Decimal),
        ToText | ConvertsToText => to_text(value),
        ToDate | ConvertsToDate => to_date(&value).map(System::Date),
        ToDateTime | ConvertsToDateTime => to_date_time(&value).map(System::DateTime),
        ToTime | ConvertsToTime => to_time(&value).map(System::Time),
        _ => to_quantity(evaluator, call, &value, scope)?.map(|quantity| System::Quantity(Box::new(quantity))),
    };
    if gives_value(call.function) { maybe(converted) } else { Ok(converted.is_some().into()) }
}

/// Whether a function converts, rather than says whether that can be done.
fn gives_value(function: Function) -> bool {
    use Function::*;
    matches!(function, ToBoolean | ToInteger | ToDecimal | ToText | ToDate | ToDateTime | ToTime | ToQuantity)
}

/// Whether the input is one item of a type that nothing converts from.
fn is_complex(evaluator: &Evaluator<'_, '_>, input: &[Item<'_>]) -> bool {
    let types = evaluator.focus.types;
    matches!(input, [item @ Item::Tree(place)] if item.system(types).is_none() && !place.is_primitive(types))
}

fn to_boolean(value: &System<'_>) -> Option<bool> {
    match value {
        System::Boolean(flag) => Some(*flag),
        System::Integer(1) => Some(true),
        System::Integer(0) => Some(false),
        System::Decimal(number) if *number == Decimal::ONE => Some(true),
        System::Decimal(number) if number.is_zero() => Some(false),
        System::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn to_integer(value: &System<'_>) -> Option<i64> {
    match value {
        System::Integer(number) => Some(*number),
        System::Boolean(flag) => Some(i64::from(*flag)),
        System::String(text) => text.parse::<i32>().ok().map(i64::from),
        _ => None,
    }
}

fn to_decimal(value: &System<'_>) -> Option<Decimal> {
    match value {
        System::Integer(number) => Some(Decimal::from(*number)),
        System::Decimal(number) => Some(*number),
        System::Boolean(flag) => Some(Decimal::from(i64::from(*flag))),
        System::String(text) if !text.contains(['e', 'E']) => Decimal::parse(text.strip_prefix('+').unwrap_or(text)),
        _ => None,
    }
}

fn to_text(value: System<'_>) -> Option<System<'_>> {
    match value {
        System::Type(_) => None,
        System::String(text) => Some(System::String(text)),
        other => Some(System::String(Cow::Owned(other.to_string()))),
    }
}

fn to_date(value: &System<'_>) -> Option<Date> {
    match value {
        System::Date(date) => Some(*date),
        System::DateTime(moment) => Some(moment.date),
        System::String(text) => DateTime::parse_partial(text).ok().map(|moment| moment.date),
        _ => None,
    }
}

fn to_date_time(value: &System<'_>) -> Option<DateTime> {
    match value {
        System::Date(date) => Some(DateTime { date: *date, time: None, zone: None }),
        System::DateTime(moment) => Some(*moment),
        System::String(text) => DateTime::parse_partial(text).ok(),
        _ => None,
    }
}

fn to_time(value: &System<'_>) -> Option<Time> {
    match value {
        System::Time(time) => Some(*time),
        System::String(text) => Time::parse_partial(text).ok(),
        _ => None,
    }
}

/// With a unit as argument, only what can be expressed in it converts.
fn to_quantity<'d>(
    evaluator: &Evaluator<'_, 'd>,
    call: &'d Call,
    value: &System<'d>,
    scope: Scope<'_, 'd>,
) -> Result<Option<Quantity>, PathError> {
    let quantity = match value {
        System::Quantity(quantity) => Some((**quantity).clone()),
        System::String(text) => Quantity::parse(text),
        System::Integer(_) | System::Decimal(_) | System::Boolean(_) => to_decimal(value).map(Quantity::pure),
        _ => None,
    };
    match evaluator.single_system(&evaluator.argument(call, 0, scope)?, call.function.name())? {
        None => Ok(quantity),
        Some(System::String(unit)) => Ok(quantity.and_then(|quantity| quantity.in_unit(&unit))),
        Some(_) => Err(PathError::WrongType { operation: call.function.name() }),
    }
}
