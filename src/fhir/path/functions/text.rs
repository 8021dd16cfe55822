//! Functions on text (N1 §5.6). Positions count characters.

use super::super::Dialect;
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield, single};
use super::super::function::Function;
use super::super::item::{Collection, Item, System};
use super::super::syntax::Call;
use super::{maybe, maybe_count};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Bytes that a compiled regular expression may take.
const MAX_PATTERN_BYTES: usize = 1 << 21;

/// What compiling a pattern met during evaluation costs, in steps.
const PATTERN_STEPS: usize = 500;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    use Function::*;
    if call.function == Join {
        return join(evaluator, call, input, scope);
    }
    let Some(text) = one_text(evaluator, input, call.function)? else { return Ok(without_text(evaluator, call.function)) };
    evaluator.spend(text.len() / 64)?;
    match call.function {
        Upper => evaluator.text(text.to_uppercase()),
        Lower => evaluator.text(text.to_lowercase()),
        Trim => Ok(trimmed(text)),
        Length => maybe_count(Some(text.chars().count())),
        ToChars => evaluator.produced(text.chars().map(|letter| Item::from(letter.to_string())).collect()),
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
        _ => evaluator.produced(text.split(&*other).map(|part| Item::from(part.to_string())).collect()),
    }
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

/// Compiles a pattern: `.` takes line ends too, and the size of what is compiled is bounded. Matching takes linear time.
pub(in super::super) fn pattern(pattern: &str, flags: &str, function: Function) -> Result<Regex, PathError> {
    let whole = match function {
        Function::MatchesFull => Cow::Owned(format!("\\A(?:{pattern})\\z")),
        _ => Cow::Borrowed(pattern),
    };
    RegexBuilder::new(&whole)
        .dot_matches_new_line(true)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|_| PathError::Pattern)
}

/// The pattern of a call: compiled with the expression, or now. `None` when an argument is empty.
fn call_pattern<'d>(
    evaluator: &Evaluator<'_, 'd>,
    call: &'d Call,
    flags_index: usize,
    scope: Scope<'_, 'd>,
) -> Result<Option<Cow<'d, Regex>>, PathError> {
    if let Some(pattern) = &call.pattern {
        return Ok(Some(Cow::Borrowed(pattern)));
    }
    let Some(text) = text_argument(evaluator, call, 0, scope)? else { return Ok(None) };
    let flags = text_argument(evaluator, call, flags_index, scope)?;
    evaluator.spend(PATTERN_STEPS + text.len())?;
    Ok(Some(Cow::Owned(pattern(&text, flags.as_deref().unwrap_or_default(), call.function)?)))
}

fn matches<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    maybe(call_pattern(evaluator, call, 1, scope)?.map(|pattern| pattern.is_match(text)))
}

fn replace<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, text: &str, scope: Scope<'_, 'd>) -> Yield<'d> {
    let Some(substitute) = text_argument(evaluator, call, 1, scope)? else { return Ok(Collection::Empty) };
    // The longest result has the substitute between all letters; refuse it before making it.
    let longest = text.len().saturating_add(text.len().saturating_add(1).saturating_mul(substitute.len()));
    let refuse_before = |count: usize| if longest > evaluator.focus.limits.text_bytes { evaluator.spend(count) } else { Ok(()) };
    if call.function == Function::Replace {
        let Some(pattern) = text_argument(evaluator, call, 0, scope)? else { return Ok(Collection::Empty) };
        refuse_before(longest / 64)?;
        return evaluator.text(text.replace(&*pattern, &substitute));
    }
    let Some(pattern) = call_pattern(evaluator, call, 2, scope)? else { return Ok(Collection::Empty) };
    if pattern.as_str().is_empty() {
        return evaluator.text(text.to_string());
    }
    refuse_before(longest / 64)?;
    evaluator.text(pattern.replace_all(text, &*substitute).into_owned())
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
