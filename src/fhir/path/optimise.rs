//! What is done to an expression once, after parsing: unions of literals become lists, `name.exists()` one step, and what does not depend
//! on the item at hand is marked to be evaluated only once inside a loop.
//!
//! Without the last, `element.all(path.startsWith(%resource.snapshot.element.first().path))` takes time quadratic in its elements.

use super::function::Function;
use super::item::System;
use super::syntax::{Call, Chain, Expr, Head, Link, Operator, Path, Step, Variable};
use std::collections::HashSet;

#[cfg(test)]
mod tests;

/// Rewrites an expression without changing what it means.
pub(super) fn optimised(expression: Expr) -> Expr {
    Optimiser { slots: 0 }.expression(expression, false)
}

struct Optimiser {
    /// How many expressions were marked.
    slots: usize,
}

impl Optimiser {
    /// `in_loop` says whether this is evaluated item by item.
    fn expression(&mut self, expression: Expr, in_loop: bool) -> Expr {
        if in_loop && is_closed(&expression) && is_costly(&expression) {
            let inner = Box::new(self.parts(expression, false));
            self.slots += 1;
            return Expr::Once { slot: self.slots - 1, inner };
        }
        self.parts(expression, in_loop)
    }

    fn boxed(&mut self, expression: Expr, in_loop: bool) -> Box<Expr> {
        Box::new(self.expression(expression, in_loop))
    }

    fn parts(&mut self, expression: Expr, in_loop: bool) -> Expr {
        match expression {
            Expr::Path(path) => Expr::Path(self.path(path, in_loop)),
            Expr::Chain(chain) => self.chain(chain, in_loop),
            Expr::Negate(inner) => Expr::Negate(self.boxed(*inner, in_loop)),
            Expr::Affirm(inner) => Expr::Affirm(self.boxed(*inner, in_loop)),
            Expr::Once { slot, inner } => Expr::Once { slot, inner },
        }
    }

    fn chain(&mut self, chain: Chain, in_loop: bool) -> Expr {
        let chain = match literals(chain) {
            Ok(path) => return Expr::Path(path),
            Err(chain) => chain,
        };
        let rest = chain.rest.into_iter().map(|link| match link {
            Link::Binary(operator, right) => Link::Binary(operator, self.expression(right, in_loop)),
            other => other,
        });
        let rest = rest.collect();
        Expr::Chain(Chain { first: self.boxed(*chain.first, in_loop), rest })
    }

    fn path(&mut self, path: Path, in_loop: bool) -> Path {
        let head = match path.head {
            Head::Nested(inner) => match self.expression(*inner, in_loop) {
                // Parentheses around a bare list of literals have done their work.
                Expr::Path(Path { head: Head::Literals(literals), steps }) if steps.is_empty() => Head::Literals(literals),
                inner => Head::Nested(Box::new(inner)),
            },
            head => head,
        };
        let mut steps = Vec::with_capacity(path.steps.len());
        for step in path.steps {
            let step = match step {
                Step::At(index) => Step::At(self.expression(index, in_loop)),
                Step::Call(call) => Step::Call(self.call(call, in_loop)),
                other => other,
            };
            push_step(&mut steps, step);
        }
        Path { head, steps }
    }

    fn call(&mut self, mut call: Call, in_loop: bool) -> Call {
        let loops = in_loop || binds_this(call.function);
        // A sort key keeps its outermost minus, which `sort` reads.
        if call.function != Function::Sort {
            call.arguments = call.arguments.into_iter().map(|argument| self.expression(argument, loops)).collect();
        }
        call
    }
}

/// Adds a step; one that asks whether there is what the step before it yields becomes one with it.
fn push_step(steps: &mut Vec<Step>, step: Step) {
    let wanted = match &step {
        Step::Call(call) if call.arguments.is_empty() => match call.function {
            Function::Exists => Some(true),
            Function::Empty => Some(false),
            _ => None,
        },
        _ => None,
    };
    match (wanted, steps.pop()) {
        (Some(wanted), Some(Step::Child(child))) => steps.push(Step::Exists { child, wanted }),
        (_, before) => steps.extend(before.into_iter().chain([step])),
    }
}

/// `'a' | 'b' | 'c'` as a list without repetitions; any other chain comes back unchanged.
fn literals(chain: Chain) -> Result<Path, Chain> {
    let is_literal = |expression: &Expr| match expression {
        Expr::Path(path) => path.steps.is_empty() && matches!(path.head, Head::Literal(System::String(_))),
        _ => false,
    };
    let all =
        is_literal(&chain.first) && chain.rest.iter().all(|link| matches!(link, Link::Binary(Operator::Union, right) if is_literal(right)));
    if !all {
        return Err(chain);
    }
    let rest = chain.rest.into_iter().filter_map(|link| match link {
        Link::Binary(_, right) => Some(right),
        _ => None,
    });
    let mut seen = HashSet::new();
    let values = std::iter::once(*chain.first).chain(rest).filter_map(|expression| match expression {
        Expr::Path(Path { head: Head::Literal(System::String(text)), .. }) => seen.insert(text.clone()).then_some(System::String(text)),
        _ => None,
    });
    let values = values.collect();
    Ok(Path { head: Head::Literals(values), steps: Vec::new() })
}

/// Whether a function's arguments are evaluated with `$this` bound to its input.
fn binds_this(function: Function) -> bool {
    use Function::*;
    matches!(function, Where | Select | All | Exists | Repeat | Aggregate | Sort | Trace)
}

/// Whether the expression yields the same for every item: it reads neither `$this` and its kin nor variables that may change.
fn is_closed(expression: &Expr) -> bool {
    match expression {
        Expr::Path(path) => path_is_closed(path),
        Expr::Chain(chain) => {
            is_closed(&chain.first)
                && chain.rest.iter().all(|link| match link {
                    Link::Binary(_, right) => is_closed(right),
                    Link::Is(_) | Link::As(_) => true,
                })
        }
        Expr::Negate(inner) | Expr::Affirm(inner) | Expr::Once { inner, .. } => is_closed(inner),
    }
}

fn path_is_closed(path: &Path) -> bool {
    let head = match &path.head {
        Head::Nothing | Head::Literal(_) | Head::Literals(_) => true,
        Head::Variable(Variable::Context | Variable::Resource | Variable::RootResource) => true,
        Head::Nested(inner) => is_closed(inner),
        Head::This | Head::Index | Head::Total | Head::Type(_) | Head::Variable(Variable::Named(_)) => false,
    };
    head && path.steps.iter().all(|step| match step {
        Step::Child(_) | Step::Exists { .. } => true,
        Step::At(index) => is_closed(index),
        Step::Call(call) if call.function == Function::DefineVariable => false,
        Step::Call(call) => {
            call.arguments.iter().all(|argument| is_closed(argument) || (binds_this(call.function) && reads_only_this(argument)))
        }
    })
}

/// Whether an argument reads nothing from outside but the `$this` that its function binds.
fn reads_only_this(expression: &Expr) -> bool {
    match expression {
        Expr::Path(path) => {
            let head = match &path.head {
                Head::This => true,
                Head::Nested(inner) => reads_only_this(inner),
                Head::Index | Head::Total | Head::Type(_) | Head::Variable(Variable::Named(_)) => false,
                _ => true,
            };
            head && path.steps.iter().all(|step| match step {
                Step::Child(_) | Step::Exists { .. } => true,
                Step::At(index) => reads_only_this(index),
                Step::Call(call) => call.function != Function::DefineVariable && call.arguments.iter().all(reads_only_this),
            })
        }
        Expr::Chain(chain) => {
            reads_only_this(&chain.first)
                && chain.rest.iter().all(|link| match link {
                    Link::Binary(_, right) => reads_only_this(right),
                    Link::Is(_) | Link::As(_) => true,
                })
        }
        Expr::Negate(inner) | Expr::Affirm(inner) | Expr::Once { inner, .. } => reads_only_this(inner),
    }
}

/// Literals and bare variables cost no more than remembering them would.
fn is_costly(expression: &Expr) -> bool {
    match expression {
        Expr::Path(path) => !path.steps.is_empty() || matches!(&path.head, Head::Nested(inner) if is_costly(inner)),
        Expr::Chain(_) => true,
        Expr::Negate(inner) | Expr::Affirm(inner) => is_costly(inner),
        Expr::Once { .. } => false,
    }
}
