//! Whether there is something, and whether it is all so (N1 §5.1).

use super::super::condition::truth_of;
use super::super::equality::{ItemSet, are_distinct, distinct};
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::syntax::Call;
use super::maybe;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    if matches!(call.function, Function::Distinct | Function::IsDistinct | Function::SubsetOf | Function::SupersetOf) {
        evaluator.spend(input.len())?;
    }
    match call.function {
        Function::Empty => Ok(input.is_empty().into()),
        Function::Exists => exists(evaluator, call, input),
        Function::Count => super::maybe_count(Some(input.len())),
        Function::Not => maybe(truth_of(input, "not")?.map(|truth| !truth)),
        Function::All => all(evaluator, call, input),
        Function::AllTrue => all_are(evaluator, call, input, true),
        Function::AllFalse => all_are(evaluator, call, input, false),
        Function::AnyTrue => any_is(evaluator, call, input, true),
        Function::AnyFalse => any_is(evaluator, call, input, false),
        Function::SubsetOf => Ok(is_subset(evaluator, input, &evaluator.argument(call, 0, scope)?).into()),
        Function::SupersetOf => Ok(is_subset(evaluator, &evaluator.argument(call, 0, scope)?, input).into()),
        Function::Distinct => Ok(Collection::Many(distinct(evaluator.focus.types, input.iter().cloned()))),
        _ => Ok(are_distinct(evaluator.focus.types, input).into()),
    }
}

fn exists<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    let Some(criterion) = call.arguments.first() else { return Ok((!input.is_empty()).into()) };
    for (index, item) in input.iter().enumerate() {
        if evaluator.meets(criterion, item, index, call.function)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn all<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    let criterion = evaluator.lambda(call, 0)?;
    for (index, item) in input.iter().enumerate() {
        if !evaluator.meets(criterion, item, index, call.function)? {
            return Ok(false.into());
        }
    }
    Ok(true.into())
}

fn boolean(evaluator: &Evaluator<'_, '_>, item: &Item<'_>, function: Function) -> Result<bool, PathError> {
    match item.system(evaluator.focus.types) {
        Some(System::Boolean(value)) => Ok(value),
        _ => Err(PathError::WrongType { operation: function.name() }),
    }
}

/// Every item is looked at, so that a wrong type among them never goes unseen.
fn all_are<'d>(evaluator: &Evaluator<'_, 'd>, call: &Call, input: &[Item<'d>], wanted: bool) -> Yield<'d> {
    let mut all = true;
    for item in input {
        all &= boolean(evaluator, item, call.function)? == wanted;
    }
    Ok(all.into())
}

fn any_is<'d>(evaluator: &Evaluator<'_, 'd>, call: &Call, input: &[Item<'d>], wanted: bool) -> Yield<'d> {
    let mut any = false;
    for item in input {
        any |= boolean(evaluator, item, call.function)? == wanted;
    }
    Ok(any.into())
}

fn is_subset<'d>(evaluator: &Evaluator<'_, 'd>, items: &[Item<'d>], of: &[Item<'d>]) -> bool {
    let mut set = ItemSet::new();
    items.iter().all(|item| set.contains(evaluator.focus.types, of, item))
}
