//! Filtering, projecting, cutting, combining and ordering collections, and the tree functions (N1 §5.2 to §5.4, §5.8, §7).

use super::super::equality::{ItemSet, distinct};
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield, single};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::syntax::{Call, Expr, Head, Path};
use super::super::{operators, tree};
use std::cmp::Ordering;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    match call.function {
        Function::Where => filtered(evaluator, call, input),
        Function::Select => select(evaluator, call, input),
        Function::Repeat => repeat(evaluator, call, input),
        Function::Aggregate => aggregate(evaluator, call, input, scope),
        Function::Sort => sort(evaluator, call, input),
        Function::Iif => iif(evaluator, call, input, scope),
        Function::Single => Ok(single(input, "single")?.cloned().into_iter().collect()),
        Function::First => Ok(input.first().cloned().into_iter().collect()),
        Function::Last => Ok(input.last().cloned().into_iter().collect()),
        Function::Tail => Ok(input.get(1..).unwrap_or_default().into()),
        Function::Item => Ok(input.get(count(evaluator, call, scope)?).cloned().into_iter().collect()),
        Function::Skip => Ok(input.get(count(evaluator, call, scope)?.min(input.len())..).unwrap_or_default().into()),
        Function::Take => Ok(input.get(..count(evaluator, call, scope)?.min(input.len())).unwrap_or_default().into()),
        Function::Intersect => common(evaluator, input, &evaluator.argument(call, 0, scope)?),
        Function::Exclude => without(evaluator, input, &evaluator.argument(call, 0, scope)?),
        Function::Union => operators::union(evaluator, input.into(), evaluator.argument(call, 0, scope)?),
        Function::Combine => {
            let mut all = Collection::from(input);
            all.append(evaluator.argument(call, 0, scope)?);
            evaluator.produced(all)
        }
        Function::Coalesce => coalesce(evaluator, call, scope),
        Function::Children => children(evaluator, input),
        Function::Descendants => descendants(evaluator, input),
        Function::DefineVariable => define_variable(evaluator, call, input, scope),
        // What is traced may be patient data, so nothing is written anywhere.
        _ => Ok(input.into()),
    }
}

fn filtered<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    let criterion = evaluator.lambda(call, 0)?;
    let mut kept = Collection::Empty;
    for (index, item) in input.iter().enumerate() {
        if evaluator.meets(criterion, item, index, call.function)? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

fn select<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    let projection = evaluator.lambda(call, 0)?;
    let mut all = Collection::Empty;
    for (index, item) in input.iter().enumerate() {
        all.append(evaluator.scoped(projection, Scope { this: Some(item), index: Some(index), total: None })?);
        if all.len() > evaluator.focus.limits.items {
            break;
        }
    }
    evaluator.produced(all)
}

/// Projects until nothing new appears.
fn repeat<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    let projection = evaluator.lambda(call, 0)?;
    let mut set = ItemSet::new();
    let mut found: Vec<Item<'d>> = Vec::new();
    let mut frontier = input.to_vec();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (index, item) in frontier.iter().enumerate() {
            for new in evaluator.scoped(projection, Scope { this: Some(item), index: Some(index), total: None })?.into_vec() {
                evaluator.spend(1)?;
                if set.admit(evaluator.focus.types, &mut found, new.clone()) {
                    next.push(new);
                }
            }
            if found.len() > evaluator.focus.limits.items {
                return evaluator.produced(Collection::Many(found));
            }
        }
        frontier = next;
    }
    evaluator.produced(Collection::Many(found))
}

fn aggregate<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let aggregator = evaluator.lambda(call, 0)?;
    let mut total = evaluator.argument(call, 1, scope)?;
    for (index, item) in input.iter().enumerate() {
        total = evaluator.scoped(aggregator, Scope { this: Some(item), index: Some(index), total: Some(&total) })?;
    }
    Ok(total)
}

/// The branch is chosen with the one input item as `$this`; without input, with the `$this` of the call.
fn iif<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let inner = Scope { this: single(input, "iif")?, ..scope };
    let holds = match call.arguments.first() {
        Some(criterion) => evaluator.truth(criterion, inner, "iif")? == Some(true),
        None => false,
    };
    let branch = if holds { 1 } else { 2 };
    evaluator.argument(call, branch, inner)
}

/// How many to skip or take; a negative number counts as none.
fn count<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, scope: Scope<'_, 'd>) -> Result<usize, PathError> {
    let number = evaluator.single_integer(&evaluator.argument(call, 0, scope)?, call.function.name())?;
    let number = number.ok_or(PathError::Arguments { function: call.function.name() })?;
    Ok(usize::try_from(number).unwrap_or(0))
}

fn common<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>], other: &Collection<'d>) -> Yield<'d> {
    evaluator.spend(input.len() + other.len())?;
    let mut set = ItemSet::new();
    let kept = distinct(evaluator.focus.types, input.iter().cloned()).into_iter();
    Ok(kept.filter(|item| set.contains(evaluator.focus.types, other.as_slice(), item)).collect())
}

fn without<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>], other: &Collection<'d>) -> Yield<'d> {
    evaluator.spend(input.len() + other.len())?;
    let mut set = ItemSet::new();
    Ok(input.iter().filter(|item| !set.contains(evaluator.focus.types, other.as_slice(), item)).cloned().collect())
}

fn coalesce<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, scope: Scope<'_, 'd>) -> Yield<'d> {
    for index in 0..call.arguments.len() {
        let found = evaluator.argument(call, index, scope)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Collection::Empty)
}

fn children<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>]) -> Yield<'d> {
    let mut found = Collection::Empty;
    for item in input {
        if let Item::Tree(parent) = item {
            tree::children(evaluator.focus.types, parent, &mut found);
        }
    }
    evaluator.produced(found)
}

/// Level by level; the list of what was found is the list of what is still to be opened.
fn descendants<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>]) -> Yield<'d> {
    let mut found = children(evaluator, input)?;
    let mut opened = 0;
    while let Some(&Item::Tree(parent)) = found.get(opened) {
        opened += 1;
        let before = found.len();
        tree::children(evaluator.focus.types, &parent, &mut found);
        evaluator.spend(1 + found.len() - before)?;
        if found.len() > evaluator.focus.limits.items {
            break;
        }
    }
    evaluator.produced(found)
}

fn define_variable<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let name = match evaluator.single_system(&evaluator.argument(call, 0, scope)?, "defineVariable")? {
        Some(System::String(name)) => name.into_owned(),
        _ => return Err(PathError::Arguments { function: "defineVariable" }),
    };
    let value = match call.arguments.get(1) {
        None => input.into(),
        Some(expression) => evaluator.scoped(expression, Scope { this: input.first(), ..scope })?,
    };
    evaluator.define(name, value);
    Ok(input.into())
}

/// One key of a sort: its expression, and whether a minus before it turns the order round.
fn sort_key(argument: &Expr) -> (&Expr, bool) {
    match argument {
        Expr::Negate(inner) => (inner, true),
        other => (other, false),
    }
}

fn sort<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    const THIS: &Expr = &Expr::Path(Path { head: Head::This, steps: Vec::new() });
    let keys: Vec<(&'d Expr, bool)> =
        if call.arguments.is_empty() { vec![(THIS, false)] } else { call.arguments.iter().map(sort_key).collect() };
    let mut rows = Vec::with_capacity(input.len());
    for (index, item) in input.iter().enumerate() {
        let mut values = Vec::with_capacity(keys.len());
        for (key, _) in &keys {
            let value = evaluator.scoped(key, Scope { this: Some(item), index: Some(index), total: None })?;
            values.push(evaluator.single_system(&value, "sort")?);
        }
        rows.push((values, item));
    }
    evaluator.spend(rows.len().saturating_mul(8))?;
    let mut failure = None;
    rows.sort_by(|(a, _), (b, _)| {
        let orders = a.iter().zip(b).zip(&keys).map(|((a, b), (_, descending))| {
            sort_order(a.as_ref(), b.as_ref(), *descending).unwrap_or_else(|error| {
                failure = Some(error);
                Ordering::Equal
            })
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(rows.into_iter().map(|(_, item)| item.clone()).collect()),
    }
}

/// Nothing comes before something, in either direction.
fn sort_order(a: Option<&System<'_>>, b: Option<&System<'_>>, descending: bool) -> Result<Ordering, PathError> {
    let (Some(first), Some(second)) = (a, b) else { return Ok(a.is_some().cmp(&b.is_some())) };
    let order = operators::compare(first, second, "sort")?.unwrap_or(Ordering::Equal);
    Ok(if descending { order.reverse() } else { order })
}
