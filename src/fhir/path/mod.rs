//! FHIRPath: expressions compiled once against the type tables, and evaluated on the document tree without copying it.
//!
//! In scope: the normative specification (N1) with FHIR R4's additions and the functions later releases added that are already in use.
//! Out of scope: terminology, profiles and resources elsewhere, which an [`Environment`] answers for.
//!
//! Invariants: evaluation is pure (`now()` answers what the [`Focus`] says, `trace()` writes nothing); numbers are exact decimals;
//! length, nesting, steps, items and texts are bounded, and a bound that is reached is an error, never a wrong answer.
//! An expression is evaluated with the table it was compiled against.
//!
//! Follows <http://hl7.org/fhirpath/N1/> and <https://hl7.org/fhir/R4/fhirpath.html>.

mod batch;
mod boundary;
mod calendar;
mod check;
mod condition;
mod environment;
mod equality;
mod error;
mod evaluate;
mod focus;
mod function;
mod functions;
mod item;
mod lexer;
mod location;
mod narrative;
mod operators;
mod optimise;
mod parser;
mod pattern;
pub mod quantity;
mod short_form;
mod syntax;
mod tree;

pub use batch::{Answer, Setting, batch, run_one};
pub use check::{Begin, Model, Purpose};
pub use environment::{Alone, Environment};
pub use error::{Limit, PathError};
pub use focus::{DEFAULT_LIMITS, Focus, Limits};
pub use function::Takes;
pub use item::{Item, System, TreeItem, TypeInfo};
pub use location::locate;
pub use narrative::has_content as has_narrative_content;
pub use parser::{MAX_LENGTH, MAX_NESTING, UnknownTypes};
pub use pattern::{MAX_PATTERN_BYTES, MAX_PATTERNS_BYTES};

use super::types::TypeTable;
use condition::truth_of;
use evaluate::{Evaluator, Scope};
use item::Collection;
use optimise::optimised;

#[cfg(test)]
mod tests;

/// Where FHIR R4's published definitions and the specification part ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// As R4's invariants and search parameters need it: `as()` filters a collection, `Boolean` also names FHIR's `boolean`,
    /// a missing text starts with, ends with and contains nothing, and a text may stand in double quotes (R5's eld-11). Beyond that as
    /// HL7's engine has it, which most rules are written for: several texts match nothing and yield nothing (eld-11 again), `contains`
    /// asks for all on its right, `item()` is an index, and where an operand is due an operator is a name (`div.htmlChecks()`).
    #[default]
    Published,
    /// As the specification says.
    Specification,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    root: syntax::Expr,
    dialect: Dialect,
    /// How many elements the table had it was compiled against.
    elements: usize,
}

impl Expression {
    /// Compiles an expression of a published definition.
    pub fn compile(text: &str, types: &TypeTable) -> Result<Expression, PathError> {
        Expression::compile_as(text, types, Dialect::Published)
    }

    pub fn compile_as(text: &str, types: &TypeTable, dialect: Dialect) -> Result<Expression, PathError> {
        let written = Expression::as_written(text, types, dialect)?;
        Ok(Expression { root: optimised(written.root), ..written })
    }

    /// Compiles an expression of a published definition to be checked, where names of types may be other definitions' own.
    pub fn compile_to_check(text: &str, types: &TypeTable, unknown: UnknownTypes) -> Result<Expression, PathError> {
        let root = optimised(parser::parse(text, types, Dialect::Published, unknown)?);
        Ok(Expression { root, dialect: Dialect::Published, elements: types.elements().len() })
    }

    /// The expression without what is done to make it faster.
    fn as_written(text: &str, types: &TypeTable, dialect: Dialect) -> Result<Expression, PathError> {
        Ok(Expression { root: parser::parse(text, types, dialect, UnknownTypes::Refused)?, dialect, elements: types.elements().len() })
    }

    /// What the expression yields at a place.
    pub fn evaluate<'d>(&'d self, focus: &Focus<'d>) -> Result<Vec<Item<'d>>, PathError> {
        self.collection(focus).0.map(Collection::into_vec)
    }

    /// Whether an invariant holds: one boolean is itself, any other item is true, nothing is false.
    pub fn truth<'d>(&'d self, focus: &Focus<'d>) -> Result<bool, PathError> {
        self.truth_and_cost(focus).0
    }

    /// The same, and how many steps it took to find out.
    pub fn truth_and_cost<'d>(&'d self, focus: &Focus<'d>) -> (Result<bool, PathError>, u64) {
        let (yielded, cost) = self.collection(focus);
        let truth = yielded.and_then(|yielded| match yielded.len() {
            0 | 1 => Ok(truth_of(&yielded, "invariant")? == Some(true)),
            _ => Ok(true),
        });
        (truth, cost)
    }

    fn collection<'d>(&'d self, focus: &Focus<'d>) -> (Result<Collection<'d>, PathError>, u64) {
        if focus.types.elements().len() != self.elements {
            return (Err(PathError::OtherTypes), 0);
        }
        let scope = Scope { this: Some(&focus.context), index: None, total: None };
        let evaluator = Evaluator::new(focus, self.dialect);
        let yielded = evaluator.expression(&self.root, scope);
        (yielded, evaluator.spent())
    }
}
