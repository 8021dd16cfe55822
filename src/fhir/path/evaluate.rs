//! The evaluator: walks a compiled expression, each step a bounded one.

use super::error::{Limit, PathError};
use super::focus::Focus;
use super::function::Function;
use super::functions::types;
use super::item::{Collection, Item, System};
use super::syntax::{Call, Expr, Head, Link, Operator, Path, Step, TypeSpecifier, Variable};
use super::{Dialect, equality, operators, tree};
use std::cell::{Cell, RefCell};

/// What `$this`, `$index` and `$total` mean at a place.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'd> {
    pub this: Option<&'s Item<'d>>,
    pub index: Option<usize>,
    pub total: Option<&'s Collection<'d>>,
}

/// One evaluation.
pub(super) struct Evaluator<'f, 'd> {
    pub focus: &'f Focus<'d>,
    pub dialect: Dialect,
    steps: Cell<u64>,
    /// What `defineVariable` defined, innermost last.
    variables: RefCell<Vec<(String, Collection<'d>)>>,
    /// Results of what is evaluated once, by slot.
    kept: RefCell<Vec<(usize, Collection<'d>)>>,
}

pub(super) type Yield<'d> = Result<Collection<'d>, PathError>;

impl<'f, 'd> Evaluator<'f, 'd> {
    pub fn new(focus: &'f Focus<'d>, dialect: Dialect) -> Evaluator<'f, 'd> {
        Evaluator { focus, dialect, steps: Cell::new(0), variables: RefCell::new(Vec::new()), kept: RefCell::new(Vec::new()) }
    }

    /// Counts work; an error once it is more than the focus allows.
    pub fn spend(&self, steps: usize) -> Result<(), PathError> {
        let spent = self.steps.get().saturating_add(steps as u64);
        self.steps.set(spent);
        if spent > self.focus.limits.steps {
            return Err(PathError::Limit { limit: Limit::Steps, value: self.focus.limits.steps });
        }
        Ok(())
    }

    /// Refuses a text that has grown too long.
    pub fn text(&self, text: String) -> Yield<'d> {
        self.spend(text.len() / 64)?;
        if text.len() > self.focus.limits.text_bytes {
            return Err(PathError::Limit { limit: Limit::TextBytes, value: self.focus.limits.text_bytes as u64 });
        }
        Ok(text.into())
    }

    pub fn expression(&self, expression: &'d Expr, scope: Scope<'_, 'd>) -> Yield<'d> {
        self.spend(1)?;
        match expression {
            Expr::Path(path) => self.path(path, scope),
            Expr::Chain(chain) => {
                let mut left = self.scoped(&chain.first, scope)?;
                for link in &chain.rest {
                    left = self.link(left, link, scope)?;
                }
                Ok(left)
            }
            Expr::Negate(operand) => operators::negate(self.single_system(&self.scoped(operand, scope)?, "-")?),
            Expr::Once { slot, inner } => self.once(*slot, inner, scope),
            Expr::Affirm(operand) => operators::affirm(self.single_system(&self.scoped(operand, scope)?, "+")?),
        }
    }

    fn once(&self, slot: usize, inner: &'d Expr, scope: Scope<'_, 'd>) -> Yield<'d> {
        if let Some((_, result)) = self.kept.borrow().iter().find(|(kept, _)| *kept == slot) {
            self.spend(result.len() / 8)?;
            return Ok(result.clone());
        }
        let result = self.expression(inner, scope)?;
        self.kept.borrow_mut().push((slot, result.clone()));
        Ok(result)
    }

    /// Evaluates an operand or argument; variables it defines end with it.
    pub fn scoped(&self, expression: &'d Expr, scope: Scope<'_, 'd>) -> Yield<'d> {
        let defined = self.variables.borrow().len();
        let result = self.expression(expression, scope);
        self.variables.borrow_mut().truncate(defined);
        result
    }

    fn link(&self, left: Collection<'d>, link: &'d Link, scope: Scope<'_, 'd>) -> Yield<'d> {
        match link {
            Link::Is(name) => types::is(self, left.as_slice(), name, "is"),
            Link::As(name) => Ok(self.as_type(left.as_slice(), name)),
            Link::Binary(Operator::In, Expr::Path(Path { head: Head::Literals(values), steps })) if steps.is_empty() => {
                self.is_among(&left, values)
            }
            Link::Binary(operator, right) => match operator {
                Operator::And | Operator::Or | Operator::Xor | Operator::Implies => self.logic(*operator, &left, right, scope),
                _ => {
                    let right = self.scoped(right, scope)?;
                    self.spend(left.len() + right.len())?;
                    operators::binary(self, *operator, left, right)
                }
            },
        }
    }

    /// `in` with a list of literals, which needs no collection to be made of them.
    fn is_among(&self, items: &Collection<'d>, values: &'d [System<'static>]) -> Yield<'d> {
        let is_one = |item: &Item<'d>| {
            let item = item.system(self.focus.types);
            item.is_some_and(|item| values.iter().any(|value| equality::equal_systems(&item, value) == Some(true)))
        };
        match items.as_slice() {
            [] => Ok(Collection::Empty),
            [item] => Ok(is_one(item).into()),
            many if self.dialect == Dialect::Published => Ok(many.iter().all(is_one).into()),
            _ => Err(PathError::NotSingle { operation: "in" }),
        }
    }

    /// The operator `as` keeps the items of a type; FHIR's own search parameters apply it to whole collections.
    fn as_type(&self, items: &[Item<'d>], name: &TypeSpecifier) -> Collection<'d> {
        items.iter().filter(|item| types::is_exactly(self, item, name)).cloned().collect()
    }

    /// Three-valued logic. The right side is not evaluated where the left decides.
    fn logic(&self, operator: Operator, left: &Collection<'d>, right: &'d Expr, scope: Scope<'_, 'd>) -> Yield<'d> {
        let left = truth_of(left, operator.symbol())?;
        match (operator, left) {
            (Operator::And, Some(false)) => return Ok(false.into()),
            (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => return Ok(true.into()),
            _ => {}
        }
        let right = truth_of(&self.scoped(right, scope)?, operator.symbol())?;
        let result = match operator {
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
        };
        Ok(result.map_or(Collection::Empty, Collection::from))
    }

    fn path(&self, path: &'d Path, scope: Scope<'_, 'd>) -> Yield<'d> {
        let steps = path.steps.as_slice();
        // `$this` is the usual head; its first step can read it in place.
        let (mut current, rest) = match (&path.head, steps.split_first()) {
            (Head::This, Some((first, rest))) => (self.step(first, scope.this.map_or(&[], std::slice::from_ref), scope)?, rest),
            (head, _) => (self.head(head, scope)?, steps),
        };
        for step in rest {
            current = self.step(step, current.as_slice(), scope)?;
        }
        Ok(current)
    }

    fn head(&self, head: &'d Head, scope: Scope<'_, 'd>) -> Yield<'d> {
        Ok(match head {
            Head::This => scope.this.cloned().into_iter().collect(),
            Head::Index => scope.index.and_then(|index| i64::try_from(index).ok()).map_or(Collection::Empty, Collection::from),
            Head::Total => scope.total.cloned().unwrap_or_default(),
            Head::Nothing => Collection::Empty,
            Head::Literal(value) => Collection::One(Item::System(borrowed(value))),
            Head::Literals(values) => values.iter().map(|value| Item::System(borrowed(value))).collect(),
            Head::Variable(variable) => self.variable(variable)?,
            Head::Type(name) => {
                let is_it = |item: &&Item<'d>| self.focus.types.is_kind_of(item.type_name(self.focus.types), name);
                scope.this.filter(is_it).cloned().into_iter().collect()
            }
            Head::Nested(inner) => self.expression(inner, scope)?,
        })
    }

    fn variable(&self, variable: &Variable) -> Yield<'d> {
        match variable {
            Variable::Context => Ok(Collection::One(self.focus.context.clone())),
            Variable::Resource => Ok(self.focus.resource_item().into_iter().collect()),
            Variable::RootResource => Ok(self.focus.root_resource_item().into_iter().collect()),
            Variable::Named(name) => {
                if let Some((_, value)) = self.variables.borrow().iter().rev().find(|(defined, _)| defined == name.as_str()) {
                    return Ok(value.clone());
                }
                match self.focus.environment.variable(name) {
                    Some(items) => Ok(items.iter().cloned().collect()),
                    None => Err(PathError::UnknownVariable { name: name.to_string() }),
                }
            }
        }
    }

    /// Defines a variable for the rest of the path it stands in.
    pub fn define(&self, name: String, value: Collection<'d>) {
        self.variables.borrow_mut().push((name, value));
    }

    fn step(&self, step: &'d Step, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
        match step {
            Step::Child(child) => {
                let mut found = Collection::Empty;
                for item in input {
                    match item {
                        Item::Tree(parent) => {
                            tree::children_named(self.focus.types, parent, child, &mut found).map_err(|tree::IsJsonName| {
                                let parent = parent.type_name(self.focus.types).to_string();
                                PathError::UnknownElement { name: child.name.to_string(), parent }
                            })?
                        }
                        Item::System(System::Type(info)) => match child.name.as_str() {
                            "name" => found.push(info.name.clone().into()),
                            "namespace" => found.push(info.namespace.into()),
                            _ => {}
                        },
                        Item::System(_) => {}
                    }
                }
                self.produced(found)
            }
            Step::At(index) => {
                let index = self.single_integer(&self.scoped(index, scope)?, "[]")?;
                let item = index.and_then(|index| input.get(usize::try_from(index).ok()?));
                Ok(item.cloned().into_iter().collect())
            }
            Step::Call(call) => self.call(call, input, scope),
        }
    }

    /// Counts what a step yielded, and refuses a collection that has grown too large.
    pub fn produced(&self, collection: Collection<'d>) -> Yield<'d> {
        self.spend(1 + collection.len())?;
        if collection.len() > self.focus.limits.items {
            return Err(PathError::Limit { limit: Limit::Items, value: self.focus.limits.items as u64 });
        }
        Ok(collection)
    }

    fn call(&self, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
        self.spend(1 + input.len() / 8)?;
        super::functions::call(self, call, input, scope)
    }

    /// The value of the `index`-th argument, evaluated where the call stands.
    pub fn argument(&self, call: &'d Call, index: usize, scope: Scope<'_, 'd>) -> Yield<'d> {
        match call.arguments.get(index) {
            Some(argument) => self.scoped(argument, scope),
            None => Ok(Collection::Empty),
        }
    }

    /// The `index`-th argument as an expression, for functions that evaluate it item by item.
    pub fn lambda(&self, call: &'d Call, index: usize) -> Result<&'d Expr, PathError> {
        call.arguments.get(index).ok_or(PathError::Arguments { function: call.function.name() })
    }

    /// Whether an item meets a criterion; empty counts as no.
    pub fn meets(&self, criterion: &'d Expr, item: &Item<'d>, index: usize, function: Function) -> Result<bool, PathError> {
        let scope = Scope { this: Some(item), index: Some(index), total: None };
        Ok(truth_of(&self.scoped(criterion, scope)?, function.name())? == Some(true))
    }

    /// The one value of a collection; an error when there are more items.
    pub fn single_system(&self, items: &Collection<'d>, operation: &'static str) -> Result<Option<System<'d>>, PathError> {
        match single(items.as_slice(), operation)? {
            None => Ok(None),
            Some(item) => match item.system(self.focus.types) {
                Some(value) => Ok(Some(value)),
                None if matches!(item, Item::Tree(place) if place.is_primitive(self.focus.types)) => Ok(None),
                None => Err(PathError::WrongType { operation }),
            },
        }
    }

    pub fn single_integer(&self, items: &Collection<'d>, operation: &'static str) -> Result<Option<i64>, PathError> {
        match self.single_system(items, operation)? {
            None => Ok(None),
            Some(System::Integer(value)) => Ok(Some(value)),
            Some(_) => Err(PathError::WrongType { operation }),
        }
    }

    pub fn equal(&self, a: &Item<'d>, b: &Item<'d>) -> Option<bool> {
        equality::equal(self.focus.types, a, b)
    }
}

/// A literal lent to the result; its text is not copied.
fn borrowed<'d>(value: &'d System<'static>) -> System<'d> {
    match value {
        System::String(text) => System::String(std::borrow::Cow::Borrowed(text)),
        other => other.clone(),
    }
}

/// The one item of a collection, if any; an error when there are more.
pub(super) fn single<'s, 'd>(items: &'s [Item<'d>], operation: &'static str) -> Result<Option<&'s Item<'d>>, PathError> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item)),
        _ => Err(PathError::NotSingle { operation }),
    }
}

/// A collection as a condition: one boolean is itself, one other item is true, none is neither.
pub(super) fn truth_of(items: &Collection<'_>, operation: &'static str) -> Result<Option<bool>, PathError> {
    Ok(single(items.as_slice(), operation)?.map(|item| match item {
        Item::System(System::Boolean(value)) => *value,
        other => other.boolean().unwrap_or(true),
    }))
}
