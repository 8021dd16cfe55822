//! Arithmetic, comparison, membership and union.

use super::Dialect;
use super::calendar::{Moved, moved};
use super::equality::{self, ItemSet, as_date_time, as_decimal, as_quantity, distinct};
use super::error::PathError;
use super::evaluate::{Evaluator, Operand, Yield};
use super::item::{Collection, Item, System};
use super::quantity::Quantity;
use super::syntax::Operator;
use crate::fhir::decimal::Decimal;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Every binary operator but the logical ones and the relations.
pub(super) fn binary<'d>(evaluator: &Evaluator<'_, 'd>, operator: Operator, left: Operand<'d>, right: Operand<'d>) -> Yield<'d> {
    match operator {
        Operator::Union => union(evaluator, left.into_collection(), right.into_collection()),
        Operator::Concatenate => concatenate(evaluator, &left, &right),
        _ => match both(evaluator, &left, &right, operator)? {
            Some((left, right)) => arithmetic(evaluator, operator, left, right),
            None => Ok(Collection::Empty),
        },
    }
}

/// The operators that yield a boolean or nothing.
pub(super) fn relation<'d>(
    evaluator: &Evaluator<'_, 'd>,
    operator: Operator,
    left: &[Item<'d>],
    right: &[Item<'d>],
) -> Result<Option<bool>, PathError> {
    let types = evaluator.focus.types;
    let negated = matches!(operator, Operator::NotEqual | Operator::NotEquivalent);
    match operator {
        Operator::Equal | Operator::NotEqual => Ok(equality::equal_collections(types, left, right).map(|equal| equal != negated)),
        Operator::Equivalent | Operator::NotEquivalent => {
            evaluator.spend(left.len().saturating_mul(right.len()))?;
            Ok(Some(equality::equivalent_collections(types, left, right) != negated))
        }
        Operator::In => membership(evaluator, left, right, operator),
        Operator::Contains => membership(evaluator, right, left, operator),
        _ => match both(evaluator, left, right, operator)? {
            Some((left, right)) => Ok(compare(&left, &right, operator.symbol())?.map(|order| holds(operator, order))),
            None => Ok(None),
        },
    }
}

fn both<'d>(
    evaluator: &Evaluator<'_, 'd>,
    left: &[Item<'d>],
    right: &[Item<'d>],
    operator: Operator,
) -> Result<Option<(System<'d>, System<'d>)>, PathError> {
    let left = evaluator.single_system(left, operator.symbol())?;
    let right = evaluator.single_system(right, operator.symbol())?;
    Ok(left.zip(right))
}

fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// The order of two values; `None` where precision or units leave it open, an error where their types have no order in common.
pub(super) fn compare(a: &System<'_>, b: &System<'_>, operation: &'static str) -> Result<Option<Ordering>, PathError> {
    if let (Some(a), Some(b)) = (as_decimal(a), as_decimal(b)) {
        return Ok(Some(a.cmp(&b)));
    }
    match (a, b) {
        (System::String(a), System::String(b)) => Ok(Some(a.cmp(b))),
        (System::Time(a), System::Time(b)) => Ok(a.compare(*b)),
        (System::Quantity(_), _) | (_, System::Quantity(_)) => match (as_quantity(a), as_quantity(b)) {
            (Some(a), Some(b)) => Ok(a.compare(&b)),
            _ => Err(PathError::WrongType { operation }),
        },
        _ => match (as_date_time(a), as_date_time(b)) {
            (Some(a), Some(b)) => Ok(a.compare(&b)),
            _ => Err(PathError::WrongType { operation }),
        },
    }
}

/// Both collections without repetitions.
pub(super) fn union<'d>(evaluator: &Evaluator<'_, 'd>, left: Collection<'d>, right: Collection<'d>) -> Yield<'d> {
    if right.is_empty() && left.len() <= 1 {
        return Ok(left);
    }
    evaluator.spend(left.len() + right.len())?;
    let both = left.into_vec().into_iter().chain(right.into_vec());
    evaluator.produced(Collection::Many(distinct(evaluator.focus.types, both)))
}

/// R4's tim-9 asks `when in (…)` where `when` repeats, and means all of them, as HL7's engine does; the specification takes one item.
fn membership<'d>(
    evaluator: &Evaluator<'_, 'd>,
    wanted: &[Item<'d>],
    items: &[Item<'d>],
    operator: Operator,
) -> Result<Option<bool>, PathError> {
    match wanted {
        [] => Ok(None),
        // One question does not pay for a hash.
        [one] => Ok(Some(items.iter().any(|other| evaluator.equal(one, other) == Some(true)))),
        _ if evaluator.dialect == Dialect::Specification => Err(PathError::NotSingle { operation: operator.symbol() }),
        many => {
            let mut set = ItemSet::new();
            Ok(Some(many.iter().all(|one| set.contains(evaluator.focus.types, items, one))))
        }
    }
}

/// Texts one after the other; what is missing is an empty text.
fn concatenate<'d>(evaluator: &Evaluator<'_, 'd>, left: &[Item<'d>], right: &[Item<'d>]) -> Yield<'d> {
    let text = |side| match evaluator.single_system(side, "&")? {
        None => Ok(Cow::Borrowed("")),
        Some(System::String(text)) => Ok(text),
        Some(_) => Err(PathError::WrongType { operation: "&" }),
    };
    let (left, right) = (text(left)?, text(right)?);
    match (left.is_empty(), right.is_empty()) {
        (_, true) => Ok(System::String(left).into()),
        (true, _) => Ok(System::String(right).into()),
        _ => evaluator.text([left, right].concat()),
    }
}

fn arithmetic<'d>(evaluator: &Evaluator<'_, 'd>, operator: Operator, left: System<'d>, right: System<'d>) -> Yield<'d> {
    let operation = operator.symbol();
    match (&left, &right) {
        (System::Integer(a), System::Integer(b)) if operator != Operator::Divide => Ok(integers(operator, *a, *b)),
        (System::String(a), System::String(b)) if operator == Operator::Add => evaluator.text(format!("{a}{b}")),
        (System::Date(_) | System::DateTime(_) | System::Time(_), System::Quantity(duration)) => match operator {
            Operator::Add => moved_by(&left, duration, 1),
            Operator::Subtract => moved_by(&left, duration, -1),
            _ => Err(PathError::WrongType { operation }),
        },
        (System::Quantity(_), _) | (_, System::Quantity(_)) => match (as_quantity(&left), as_quantity(&right)) {
            (Some(a), Some(b)) => quantities(operator, &a, &b),
            _ => Err(PathError::WrongType { operation }),
        },
        _ => match (as_decimal(&left), as_decimal(&right)) {
            (Some(a), Some(b)) => Ok(decimals(operator, a, b)),
            _ => Err(PathError::WrongType { operation }),
        },
    }
}

fn some_or_empty<'d>(value: Option<System<'d>>) -> Collection<'d> {
    value.map_or(Collection::Empty, Collection::from)
}

/// A result beyond the range of its type is empty, as the specification has it.
fn integers<'d>(operator: Operator, a: i64, b: i64) -> Collection<'d> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::WholeDivide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    some_or_empty(result.filter(|result| is_integer(*result) || !(is_integer(a) && is_integer(b))).map(System::Integer))
}

/// An Integer has 32 bits; what `integer64` of R5 holds beyond is reckoned with in 64.
fn is_integer(value: i64) -> bool {
    i32::try_from(value).is_ok()
}

fn decimals<'d>(operator: Operator, a: Decimal, b: Decimal) -> Collection<'d> {
    let decimal = |value: Option<Decimal>| some_or_empty(value.map(System::Decimal));
    match operator {
        Operator::Add => decimal(a.checked_add(b)),
        Operator::Subtract => decimal(a.checked_sub(b)),
        Operator::Multiply => decimal(a.checked_mul(b)),
        Operator::Divide => decimal(a.checked_div(b)),
        Operator::WholeDivide => some_or_empty(a.checked_whole_div(b).and_then(|whole| i64::try_from(whole).ok()).map(System::Integer)),
        _ => decimal(a.checked_rem(b)),
    }
}

fn quantities<'d>(operator: Operator, a: &Quantity, b: &Quantity) -> Yield<'d> {
    let result = match operator {
        Operator::Add => a.plus(b),
        Operator::Subtract => a.plus(&b.negated()),
        Operator::Multiply => a.times(b),
        Operator::Divide => a.divided(b),
        _ => return Err(PathError::WrongType { operation: operator.symbol() }),
    };
    Ok(some_or_empty(result.map(|quantity| System::Quantity(Box::new(quantity)))))
}

fn moved_by<'d>(value: &System<'d>, duration: &Quantity, sign: i64) -> Yield<'d> {
    match moved(value, duration, sign) {
        Moved::To(result) => Ok(result.into()),
        Moved::OutOfRange => Ok(Collection::Empty),
        Moved::NotADuration => Err(PathError::WrongType { operation: if sign < 0 { "-" } else { "+" } }),
    }
}

pub(super) fn negate(operand: Option<System<'_>>) -> Yield<'_> {
    Ok(match operand {
        None => Collection::Empty,
        Some(System::Integer(value)) => some_or_empty(value.checked_neg().map(System::Integer)),
        Some(System::Decimal(value)) => System::Decimal(value.negated()).into(),
        Some(System::Quantity(quantity)) => System::Quantity(Box::new(quantity.negated())).into(),
        Some(_) => return Err(PathError::WrongType { operation: "-" }),
    })
}

pub(super) fn affirm(operand: Option<System<'_>>) -> Yield<'_> {
    match operand {
        None => Ok(Collection::Empty),
        Some(value @ (System::Integer(_) | System::Decimal(_) | System::Quantity(_))) => Ok(value.into()),
        Some(_) => Err(PathError::WrongType { operation: "+" }),
    }
}
