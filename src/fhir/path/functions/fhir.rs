//! What FHIR adds to FHIRPath (R4 §2.9.1.5).

use super::super::environment;
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield, single};
use super::super::function::Function;
use super::super::item::{Collection, Item, TreeItem};
use super::super::narrative;
use super::super::syntax::Call;
use super::text::text_argument;
use super::{maybe, one_value};
use crate::fhir::node::Node;
use std::borrow::Cow;

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    match call.function {
        Function::Extension => extensions(evaluator, call, input, scope),
        Function::HasExtension => Ok((!extensions(evaluator, call, input, scope)?.is_empty()).into()),
        Function::HasValue => Ok(has_value(input).into()),
        Function::GetValue => maybe(one_value(evaluator, input, call.function)?),
        Function::Resolve => resolve(evaluator, input),
        Function::HtmlChecks | Function::HtmlContent => html_checks(evaluator, input, call.function),
        Function::Slice => slice(evaluator, call, input, scope),
        // Definitions are not resources of the document, so these have nothing to yield here.
        Function::ElementDefinition | Function::CheckModifiers => Err(PathError::NotSupported { function: call.function.name() }),
        _ => ask(evaluator, call, input, scope),
    }
}

fn extensions<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let url = text_argument(evaluator, call, 0, scope)?;
    let (Some(url), Some(extension)) = (url, evaluator.focus.types.type_named("Extension")) else { return Ok(Collection::Empty) };
    let mut found = Collection::Empty;
    for item in input {
        let Item::Tree(place) = item else { continue };
        let all = place.object().and_then(|object| object.get("extension")).and_then(Node::as_list).unwrap_or_default();
        for node in all.iter().filter(|node| node.text("url") == Some(&url)) {
            found.push(Item::Tree(TreeItem { node: Some(node), sibling: None, content: extension.root }));
        }
    }
    evaluator.produced(found)
}

fn has_value(input: &[Item<'_>]) -> bool {
    match input {
        [Item::Tree(place)] => place.has_value(),
        [Item::System(_)] => true,
        _ => false,
    }
}

fn resolve<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>]) -> Yield<'d> {
    let mut found = Collection::Empty;
    for item in input {
        if let Some(target) = environment::resolve(evaluator, item)? {
            found.push(Item::Tree(target));
        }
    }
    evaluator.produced(found)
}

fn html_checks<'d>(evaluator: &Evaluator<'_, 'd>, input: &[Item<'d>], function: Function) -> Yield<'d> {
    let Some(item) = single(input, function.name())? else { return Ok(Collection::Empty) };
    let Some(text) = item.text() else { return Err(PathError::WrongType { operation: function.name() }) };
    evaluator.spend(text.len() / 64)?;
    match function {
        Function::HtmlChecks => Ok(evaluator.focus.environment.html_checks(&text)?.into()),
        _ => Ok(narrative::has_content(&text).into()),
    }
}

/// The items of the input that are in a slice of a profile.
fn slice<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let (profile, name) = (text_argument(evaluator, call, 0, scope)?, text_argument(evaluator, call, 1, scope)?);
    let (Some(profile), Some(name)) = (profile, name) else { return Ok(Collection::Empty) };
    let mut kept = Collection::Empty;
    for item in input {
        if evaluator.focus.environment.in_slice(evaluator.focus.types, item, &profile, &name)? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

/// The questions only the environment can answer: `memberOf`, `conformsTo`, `subsumes`, `subsumedBy`.
fn ask<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let function = call.function.name();
    let Some(item) = single(input, function)? else { return Ok(Collection::Empty) };
    let argument = evaluator.argument(call, 0, scope)?;
    let Some(other) = single(argument.as_slice(), function)? else { return Ok(Collection::Empty) };
    let environment = evaluator.focus.environment;
    let canonical = || other.text().ok_or(PathError::WrongType { operation: function });
    let answer = match call.function {
        Function::MemberOf => environment.member_of(evaluator.focus.types, item, &canonical()?)?,
        Function::ConformsTo => {
            let profile: Cow<'_, str> = canonical()?;
            match environment.conforms_to(evaluator.focus.types, item, &profile)? {
                Some(answer) => Some(answer),
                None => Some(environment::conforms_to_base(evaluator.focus.types, item, &profile)?),
            }
        }
        Function::Subsumes => environment.subsumes(evaluator.focus.types, item, other)?,
        _ => environment.subsumes(evaluator.focus.types, other, item)?,
    };
    maybe(answer)
}
