//! Conditions: what counts as true, and three-valued logic (N1 §6.5). Rules are made of little else, so no collection is made of a boolean
//! that is only asked for its truth.

use super::error::PathError;
use super::evaluate::{Evaluator, Scope, single};
use super::function::Function;
use super::item::{Item, System};
use super::syntax::{Chain, ChildStep, Expr, Head, Link, Operator, Path, Step};

type Truth = Result<Option<bool>, PathError>;

impl<'d> Evaluator<'_, 'd> {
    /// Whether an item meets a criterion; empty counts as no.
    pub fn meets(&self, criterion: &'d Expr, item: &Item<'d>, index: usize, function: Function) -> Result<bool, PathError> {
        let scope = Scope { this: Some(item), index: Some(index), total: None };
        Ok(self.truth(criterion, scope, function.name())? == Some(true))
    }

    /// An operand or argument as a condition of an operation.
    pub fn truth(&self, expression: &'d Expr, scope: Scope<'_, 'd>, operation: &'static str) -> Truth {
        match expression {
            Expr::Chain(chain) => self.chain_truth(chain, scope, operation),
            Expr::Path(Path { head, steps }) => match steps.as_slice() {
                [before @ .., Step::Exists { child, wanted }] => {
                    let exists = self.apart(|| self.exists(head, before, child, scope))?;
                    Ok(Some(exists == *wanted))
                }
                _ => truth_of(&self.scoped(expression, scope)?, operation),
            },
            _ => truth_of(&self.operand(expression, scope)?, operation),
        }
    }

    fn exists(&self, head: &'d Head, before: &'d [Step], child: &'d ChildStep, scope: Scope<'_, 'd>) -> Result<bool, PathError> {
        self.spend(1)?;
        if let (Head::This, Some(&Item::Tree(place))) = (head, scope.this)
            && let (place, []) = self.descend(place, before)?
        {
            return self.any_has(child, &[Item::Tree(place)]);
        }
        self.any_has(child, &self.walk(head, before, scope)?)
    }

    fn chain_truth(&self, chain: &'d Chain, scope: Scope<'_, 'd>, operation: &'static str) -> Truth {
        self.spend(1)?;
        match chain.rest.as_slice() {
            [Link::Binary(operator, _), ..] if operator.is_logical() => self.logic(chain, scope),
            [before @ .., Link::Binary(operator, right)] if operator.is_relation() => {
                self.relation(&self.links(&chain.first, before, scope)?, *operator, right, scope)
            }
            links => truth_of(&self.links(&chain.first, links, scope)?, operation),
        }
    }

    /// A chain of logical operators. A right side is not evaluated where the left decides.
    pub fn logic(&self, chain: &'d Chain, scope: Scope<'_, 'd>) -> Truth {
        let mut left = None;
        for (index, link) in chain.rest.iter().enumerate() {
            let Link::Binary(operator, right) = link else { continue };
            if index == 0 {
                left = self.truth(&chain.first, scope, operator.symbol())?;
            }
            left = match decided(*operator, left) {
                Some(truth) => Some(truth),
                None => combined(*operator, left, self.truth(right, scope, operator.symbol())?),
            };
        }
        Ok(left)
    }
}

/// What the left side alone makes true or false.
fn decided(operator: Operator, left: Option<bool>) -> Option<bool> {
    match (operator, left) {
        (Operator::And, Some(false)) => Some(false),
        (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => Some(true),
        _ => None,
    }
}

fn combined(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match operator {
        Operator::And => match (left, right) {
            (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Operator::Or => match (left, right) {
            (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Operator::Xor => left.zip(right).map(|(left, right)| left != right),
        _ => match (left, right) {
            (_, Some(true)) => Some(true),
            (Some(true), Some(false)) => Some(false),
            _ => None,
        },
    }
}

/// A collection as a condition: one boolean is itself, one other item is true, none is neither.
pub(super) fn truth_of(items: &[Item<'_>], operation: &'static str) -> Truth {
    Ok(single(items, operation)?.map(|item| match item {
        Item::System(System::Boolean(value)) => *value,
        other => other.boolean().unwrap_or(true),
    }))
}
