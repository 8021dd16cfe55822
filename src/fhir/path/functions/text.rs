//! Functions on text (N1 §5.6). Positions count characters.

use super::super::Dialect;
use super::super::error::{Limit, PathError};
use super::super::evaluate::{Evaluator, Scope, Yield, single};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::pattern::Pattern;
use super::super::syntax::Call;
use super::{maybe, maybe_count};
use std::borrow::Cow;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    use Function::*;
    if call.function == Join {
        return join(evaluator, call, input, scope);
    }
    if input.len() > 1 && evaluator.dialect == Dialect::Published {
        return Ok(of_several(call.function));
    }
    let Some(text) = one_text(evaluator, input, call.function)? else { return Ok(without_text(evaluator, call.function)) };
    evaluator.spend(text.len() / 64)?;
    match call.function {
        Upper => evaluator.text(text.to_uppercase()),
        Lower => evaluator.text(text.to_lowercase()),
        Trim => Ok(trimmed(text)),
        Length => maybe_count(Some(text.chars().count())),
        ToChars => parts(evaluator, text.chars().map(|letter| letter.to_string())),
        Substring => substring(evaluator, call, &text, scope),
        Matches | MatchesFull => matches(evaluator, call, &text, scope),
        Replace | ReplaceMatches => replace(evaluator, call, &text, scope),
        _ => with_text(evaluator, call, &text, scope),
    }
}

/// R4's ref-1 and bdl-8 negate `startsWith` and `contains` of what may be missing, and mean that what is missing contains nothing.
fn without_text<'d>(evaluator: &Evaluator<'_, 'd>, function: Function) -> Collection<'d> {
    let is_search = matches!(function, Function::StartsWith | Function::EndsWith | Function::Contains);
    if is_search && evaluator.dialect == Dialect::Published { false.into() } else { Collection::Empty }
}

/// R5's eld-11 asks whether `type.code` contains a colon where there may be several, and goes on where that says nothing.
fn of_several<'d>(function: Function) -> Collection<'d> {
    if matches!(function, Function::Matches | Function::MatchesFull) { false.into() } else { Collection::Empty }
}

/// Functions with one text as argument; without it they answer nothing.
fn with_text<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    let Some(other) = text_argument(evaluator, call, 0, scope)? else { return Ok(Collection::Empty) };
    let position = |found: Option<usize>| match found.and_then(|at| text.get(..at)) {
        Some(before) => maybe_count(Some(before.chars().count())),
        None => Ok((-1_i64).into()),
    };
    match call.function {
        Function::IndexOf => position(text.find(&*other)),
        Function::LastIndexOf => position(text.rfind(&*other)),
        Function::StartsWith => Ok(text.starts_with(&*other).into()),
        Function::EndsWith => Ok(text.ends_with(&*other).into()),
        Function::Contains => Ok(text.contains(&*other).into()),
        _ => parts(evaluator, text.split(&*other).map(str::to_string)),
    }
}

/// The parts of a text, no more of them made than a collection may have and one.
fn parts<'d>(evaluator: &Evaluator<'_, 'd>, parts: impl Iterator<Item = String>) -> Yield<'d> {
    evaluator.produced(parts.take(evaluator.focus.limits.items.saturating_add(1)).map(Item::from).collect())
}

fn trimmed(text: Cow<'_, str>) -> Collection<'_> {
    match text {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) => text.trim().to_string().into(),
    }
}

/// The text of the one item: strings, and primitives of the document as they are written.
pub(super) fn one_text<'d>(
    evaluator: &Evaluator<'_, 'd>,
    input: &[Item<'d>],
    function: Function,
) -> Result<Option<Cow<'d, str>>, PathError> {
    match single(input, function.name())? {
        None => Ok(None),
        Some(item) => item_text(evaluator, item, function),
    }
}

fn item_text<'d>(evaluator: &Evaluator<'_, 'd>, item: &Item<'d>, function: Function) -> Result<Option<Cow<'d, str>>, PathError> {
    match item {
        Item::System(System::String(text)) => Ok(Some(text.clone())),
        Item::Tree(place) if place.is_primitive(evaluator.focus.types) => Ok(item.text()),
        _ => Err(PathError::WrongType { operation: function.name() }),
    }
}

/// The text of the `index`-th argument; `None` when it is empty.
pub(super) fn text_argument<'d>(
    evaluator: &Evaluator<'_, 'd>,
    call: &'d Call,
    index: usize,
    scope: Scope<'_, 'd>,
) -> Result<Option<Cow<'d, str>>, PathError> {
    one_text(evaluator, evaluator.argument(call, index, scope)?.as_slice(), call.function)
}

fn substring<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    let start = evaluator.single_integer(&evaluator.argument(call, 0, scope)?, "substring")?;
    let length = evaluator.single_integer(&evaluator.argument(call, 1, scope)?, "substring")?;
    let Some(start) = start.and_then(|start| usize::try_from(start).ok()) else { return Ok(Collection::Empty) };
    let Some((offset, _)) = text.char_indices().nth(start) else { return Ok(Collection::Empty) };
    let rest = text.get(offset..).unwrap_or_default();
    let kept = match length {
        None => rest.to_string(),
        Some(length) => rest.chars().take(usize::try_from(length).unwrap_or(0)).collect(),
    };
    Ok(kept.into())
}

/// The pattern of a call, compiled with the expression or now, its match on the text paid for. `None` when an argument is empty.
fn call_pattern<'d>(
    evaluator: &Evaluator<'_, 'd>,
    call: &'d Call,
    flags_index: usize,
    text: &str,
    scope: Scope<'_, 'd>,
) -> Result<Option<Cow<'d, Pattern>>, PathError> {
    let pattern = match &call.pattern {
        Some(Ok(pattern)) => Cow::Borrowed(pattern),
        Some(Err(error)) => return Err(error.clone()),
        None => {
            let Some(written) = text_argument(evaluator, call, 0, scope)? else { return Ok(None) };
            let flags = text_argument(evaluator, call, flags_index, scope)?;
            let pattern = Pattern::compile(&written, flags.as_deref().unwrap_or_default(), call.function)?;
            evaluator.spend(pattern.compile_steps())?;
            Cow::Owned(pattern)
        }
    };
    evaluator.spend(pattern.match_steps(text))?;
    Ok(Some(pattern))
}

fn matches<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    maybe(call_pattern(evaluator, call, 1, text, scope)?.map(|pattern| pattern.regex.is_match(text)))
}

fn replace<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    let Some(substitute) = text_argument(evaluator, call, 1, scope)? else { return Ok(Collection::Empty) };
    if call.function == Function::Replace {
        let Some(wanted) = text_argument(evaluator, call, 0, scope)? else { return Ok(Collection::Empty) };
        return replace_text(evaluator, text, &wanted, &substitute);
    }
    let Some(pattern) = call_pattern(evaluator, call, 2, text, scope)? else { return Ok(Collection::Empty) };
    if pattern.regex.as_str().is_empty() {
        return evaluator.text(text.to_string());
    }
    let mut replaced = String::new();
    let mut copied = 0;
    for found in pattern.regex.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        replaced.push_str(text.get(copied..whole.start()).unwrap_or_default());
        found.expand(&substitute, &mut replaced);
        copied = whole.end();
        // A short substitute may name a long group many times.
        if replaced.len() > evaluator.focus.limits.text_bytes {
            return evaluator.text(replaced);
        }
    }
    replaced.push_str(text.get(copied..).unwrap_or_default());
    evaluator.text(replaced)
}

/// Every occurrence is replaced, between all letters when nothing is wanted. The length is known, and refused, before the text is made.
fn replace_text<'d>(evaluator: &Evaluator<'_, 'd>, text: &str, wanted: &str, substitute: &str) -> Yield<'d> {
    let added = substitute.len().saturating_sub(wanted.len()).saturating_mul(text.matches(wanted).count());
    if added > evaluator.focus.limits.text_bytes {
        return Err(PathError::Limit { limit: Limit::TextBytes, value: evaluator.focus.limits.text_bytes as u64 });
    }
    evaluator.text(text.replace(wanted, substitute))
}

fn join<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    if input.is_empty() {
        return Ok(Collection::Empty);
    }
    let separator = text_argument(evaluator, call, 0, scope)?.unwrap_or_default();
    let mut joined = String::new();
    let mut first = true;
    for item in input {
        // An item without a value, such as a name that has only an extension, adds nothing.
        let Some(part) = item_text(evaluator, item, call.function)? else { continue };
        if !first {
            joined.push_str(&separator);
        }
        first = false;
        joined.push_str(&part);
        if joined.len() > evaluator.focus.limits.text_bytes {
            break;
        }
    }
    evaluator.text(joined)
}
