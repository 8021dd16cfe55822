//! Calls: what a function is given must be what it takes. It is refused only where nothing that can stand there is.

use super::super::error::PathError;
use super::super::function::{Function, Gives, Signature, Takes};
use super::super::item::System;
use super::super::syntax::{Call, Expr, Form, Head, Path, form_of};
use super::Checker;
use super::outlook::{Kind, Outlook};

impl Checker<'_> {
    pub(super) fn call(&self, call: &Call, input: Outlook, this: &Outlook) -> Result<Outlook, PathError> {
        let Some(signature) = call.function.signature() else { return Ok(Outlook::unknown()) };
        if call.function.needs_order() && !input.is_ordered {
            return Err(PathError::Unordered { function: signature.name });
        }
        if !self.is_strict
            && let Some(Err(PathError::Pattern)) = call.pattern
        {
            return Err(PathError::Pattern);
        }
        if let Some(found) = self.misfit(signature.input, &input) {
            return Err(PathError::WrongInput { function: signature.name, takes: signature.input, found });
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for place in 0..call.arguments.len() {
            let argument = self.argument(call, place, &input, this)?;
            if let Some(found) = self.misfit(signature.argument(place), &argument) {
                return Err(PathError::WrongArgument { function: signature.name, place, takes: signature.argument(place), found });
            }
            arguments.push(argument);
        }
        self.yielded(call, signature, input, arguments)
    }

    fn yielded(&self, call: &Call, signature: &Signature, input: Outlook, arguments: Vec<Outlook>) -> Result<Outlook, PathError> {
        let mut arguments = arguments.into_iter();
        Ok(match signature.gives {
            Gives::System(kind) => Outlook::system(kind),
            Gives::Input => input,
            Gives::Ordered => Outlook { is_ordered: true, ..input },
            Gives::Unordered => Outlook { kinds: None, is_ordered: false },
            Gives::Projection => Outlook { is_ordered: input.is_ordered, ..arguments.next().unwrap_or_else(Outlook::unknown) },
            Gives::Repeated => self.repeated(call, input, arguments.next().unwrap_or_else(Outlook::unknown))?,
            Gives::Either => input.or(arguments.next().unwrap_or_else(Outlook::unknown)),
            Gives::Branches => arguments.skip(1).reduce(Outlook::or).unwrap_or_else(Outlook::unknown),
            Gives::Named => call.type_name.as_ref().map_or_else(Outlook::unknown, |name| self.named(name)),
            Gives::Extension => Outlook::of_type(self.types, "Extension"),
            Gives::Unknown => Outlook::unknown(),
        })
    }

    /// What stands in a place that takes something else; nothing where it may be right.
    fn misfit(&self, takes: Takes, given: &Outlook) -> Option<Box<str>> {
        let kinds = given.kinds.as_deref().filter(|_| takes != Takes::Anything)?;
        let first = kinds.first().filter(|_| !kinds.iter().any(|kind| self.fits(takes, *kind)))?;
        Some(self.kind_name(*first).into())
    }

    fn fits(&self, takes: Takes, kind: Kind) -> bool {
        match kind {
            Kind::Own(_) => true,
            Kind::System(system) => takes.has_system(system),
            Kind::Tree(content) if self.is_open(content) => true,
            Kind::Tree(content) => {
                let name = self.type_name(content);
                takes.has_primitives() && form_of(self.types, content) == Form::Primitive
                    || takes.types().iter().any(|one| self.types.is_kind_of(name, one))
            }
        }
    }

    /// What an argument yields: some functions evaluate it on each item of their input, the others where they are called.
    fn argument(&self, call: &Call, index: usize, input: &Outlook, this: &Outlook) -> Result<Outlook, PathError> {
        use Function::*;
        let Some(argument) = call.arguments.get(index) else { return Ok(Outlook::unknown()) };
        match call.function {
            Repeat if !self.is_strict => self.projection(argument, input),
            Where | Select | All | Exists | Repeat | Sort | Trace => self.expression(argument, input),
            Aggregate if index == 0 => self.expression(argument, input),
            DefineVariable => {
                if let Some(name) = literal_text(argument).filter(|_| index == 0) {
                    self.defined.borrow_mut().push(name.to_owned());
                }
                self.expression(argument, input)
            }
            // Without input the branches of `iif` are evaluated where it is called.
            Iif => self.expression(argument, input).or_else(|error| self.expression(argument, this).map_err(|_| error)),
            _ => self.expression(argument, this),
        }
    }

    /// What one round of `repeat` yields. A name that none of its items has is one that another round's have.
    fn projection(&self, projection: &Expr, input: &Outlook) -> Result<Outlook, PathError> {
        let before = self.may_be_none.replace(true);
        let yielded = self.expression(projection, input);
        self.may_be_none.set(before);
        yielded
    }

    /// What the projection yields of the input, of that again, and so on. A name that none of all those items has is no name of theirs.
    fn repeated(&self, call: &Call, input: Outlook, first: Outlook) -> Result<Outlook, PathError> {
        let Some(projection) = call.arguments.first() else { return Ok(Outlook::unknown()) };
        let mut all = first;
        loop {
            let before = all.kinds.as_ref().map(Vec::len);
            if let Ok(again) = self.projection(projection, &all) {
                all = all.or(again);
            }
            if all.kinds.as_ref().map(Vec::len) == before {
                break;
            }
        }
        if !self.is_strict {
            self.expression(projection, &input.or(all.clone()))?;
        }
        Ok(all)
    }
}

fn literal_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Path(Path { head: Head::Literal(System::String(text)), steps }) if steps.is_empty() => Some(text),
        _ => None,
    }
}
