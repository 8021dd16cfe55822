//! Types of items: `is`, `as`, `ofType`, `type` (N1 §6.3).

use super::super::Dialect;
use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Yield, single};
use super::super::function::Function;
use super::super::item::{Collection, Item, System, TypeInfo};
use super::super::syntax::{Call, SystemType, TypeSpecifier};

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>]) -> Yield<'d> {
    if call.function == Function::Type {
        return Ok(input.iter().map(|item| Item::System(type_of(evaluator, item))).collect());
    }
    let Some(name) = &call.type_name else { return Err(PathError::Arguments { function: call.function.name() }) };
    match call.function {
        Function::Is => is(evaluator, input, name, "is"),
        // FHIR R4's own invariants call `as` on whole collections (dom-3), so it is held to one item only where the specification is.
        Function::As if evaluator.dialect == Dialect::Specification && input.len() > 1 => Err(PathError::NotSingle { operation: "as" }),
        _ => Ok(input.iter().filter(|item| is_exactly(evaluator, item, name)).cloned().collect()),
    }
}

fn type_of<'d>(evaluator: &Evaluator<'_, 'd>, item: &Item<'d>) -> System<'d> {
    let namespace = if matches!(item, Item::Tree(_)) { "FHIR" } else { "System" };
    System::Type(Box::new(TypeInfo { namespace, name: item.type_name(evaluator.focus.types).to_string() }))
}

/// Whether the one item is of a type or a specialisation of it.
pub(in super::super) fn is<'d>(
    evaluator: &Evaluator<'_, 'd>,
    input: &[Item<'d>],
    name: &TypeSpecifier,
    operation: &'static str,
) -> Yield<'d> {
    let types = evaluator.focus.types;
    Ok(match single(input, operation)? {
        None => Collection::Empty,
        Some(Item::System(value)) => is_system(value, name.system).into(),
        Some(Item::Tree(place)) => match &name.fhir {
            Some(fhir) => types.is_kind_of(place.type_name(types), fhir).into(),
            None => (evaluator.dialect == Dialect::Published && is_capitalised(place.type_name(types), name)).into(),
        },
    })
}

/// FHIR R4's que-7 asks `answer is Boolean` where the element is a `boolean`.
fn is_capitalised(type_name: &str, name: &TypeSpecifier) -> bool {
    let mut letters = type_name.chars();
    let capitalised: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    !name.qualified && name.system.is_some() && SystemType::named(&capitalised) == name.system
}

fn is_system(value: &System<'_>, wanted: Option<SystemType>) -> bool {
    match wanted {
        None => false,
        Some(SystemType::Any) => true,
        Some(wanted) => SystemType::named(value.type_name()) == Some(wanted),
    }
}

/// Whether `as` and `ofType` keep an item. Complex types may be specialised; a `code` is no `string` here, as FHIR R4 has it.
pub(in super::super) fn is_exactly(evaluator: &Evaluator<'_, '_>, item: &Item<'_>, name: &TypeSpecifier) -> bool {
    let types = evaluator.focus.types;
    match item {
        Item::System(value) => is_system(value, name.system),
        Item::Tree(place) => name.fhir.as_deref().is_some_and(|fhir| {
            let actual = place.type_name(types);
            actual == fhir || (!place.is_primitive(types) && types.is_kind_of(actual, fhir))
        }),
    }
}
