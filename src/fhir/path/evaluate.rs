//! The evaluator: walks a compiled expression, each step a bounded one.

use super::error::{Limit, PathError};
use super::focus::Focus;
use super::functions::types;
use super::item::{Collection, Item, System, TreeItem};
use super::syntax::{Call, Chain, ChildStep, Expr, Head, IsJsonName, Link, Operator, Path, Step, TypeSpecifier, Variable};
use super::{Dialect, equality, operators, tree};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

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
    kept: RefCell<Vec<(usize, Rc<Collection<'d>>)>>,
}

/// What an operator is given: made for it, or lent.
pub(super) enum Operand<'d> {
    Own(Collection<'d>),
    Kept(Rc<Collection<'d>>),
}

impl<'d> Operand<'d> {
    pub fn into_collection(self) -> Collection<'d> {
        match self {
            Operand::Own(collection) => collection,
            Operand::Kept(kept) => (*kept).clone(),
        }
    }
}

impl<'d> Deref for Operand<'d> {
    type Target = [Item<'d>];

    #[inline]
    fn deref(&self) -> &[Item<'d>] {
        match self {
            Operand::Own(collection) => collection,
            Operand::Kept(kept) => kept,
        }
    }
}

pub(super) type Yield<'d> = Result<Collection<'d>, PathError>;

impl<'f, 'd> Evaluator<'f, 'd> {
    pub fn new(focus: &'f Focus<'d>, dialect: Dialect) -> Evaluator<'f, 'd> {
        Evaluator { focus, dialect, steps: Cell::new(0), variables: RefCell::new(Vec::new()), kept: RefCell::new(Vec::new()) }
    }

    /// The work counted so far.
    pub fn spent(&self) -> u64 {
        self.steps.get()
    }

    /// Counts work; an error once it is more than the focus allows.
    #[inline]
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
            Expr::Path(path) => self.walk(&path.head, &path.steps, scope),
            Expr::Chain(chain) => self.chain(chain, scope),
            Expr::Negate(operand) => operators::negate(self.single_system(&self.scoped(operand, scope)?, "-")?),
            Expr::Once { slot, inner } => Ok((*self.once(*slot, inner, scope)?).clone()),
            Expr::Affirm(operand) => operators::affirm(self.single_system(&self.scoped(operand, scope)?, "+")?),
        }
    }

    fn chain(&self, chain: &'d Chain, scope: Scope<'_, 'd>) -> Yield<'d> {
        match chain.rest.first() {
            Some(Link::Binary(operator, _)) if operator.is_logical() => Ok(answer(self.logic(chain, scope)?)),
            _ => Ok(self.links(&chain.first, &chain.rest, scope)?.into_collection()),
        }
    }

    /// An operand with what is applied to it in turn.
    pub fn links(&self, first: &'d Expr, links: &'d [Link], scope: Scope<'_, 'd>) -> Result<Operand<'d>, PathError> {
        let mut left = self.operand(first, scope)?;
        for link in links {
            left = Operand::Own(self.link(left, link, scope)?);
        }
        Ok(left)
    }

    /// An operand; what is evaluated once is lent, not copied.
    #[inline]
    pub fn operand(&self, expression: &'d Expr, scope: Scope<'_, 'd>) -> Result<Operand<'d>, PathError> {
        match expression {
            Expr::Once { slot, inner } => self.once(*slot, inner, scope).map(Operand::Kept),
            _ => self.scoped(expression, scope).map(Operand::Own),
        }
    }

    fn once(&self, slot: usize, inner: &'d Expr, scope: Scope<'_, 'd>) -> Result<Rc<Collection<'d>>, PathError> {
        if let Some((_, result)) = self.kept.borrow().iter().find(|(kept, _)| *kept == slot) {
            self.spend(1)?;
            return Ok(Rc::clone(result));
        }
        let result = Rc::new(self.expression(inner, scope)?);
        self.kept.borrow_mut().push((slot, Rc::clone(&result)));
        Ok(result)
    }

    /// Evaluates an operand or argument.
    pub fn scoped(&self, expression: &'d Expr, scope: Scope<'_, 'd>) -> Yield<'d> {
        self.apart(|| self.expression(expression, scope))
    }

    /// Evaluates something; variables it defines end with it.
    #[inline]
    pub fn apart<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        let defined = self.variables.borrow().len();
        let result = evaluate();
        self.variables.borrow_mut().truncate(defined);
        result
    }

    fn link(&self, left: Operand<'d>, link: &'d Link, scope: Scope<'_, 'd>) -> Yield<'d> {
        match link {
            Link::Is(name) => types::is(self, &left, name, "is"),
            Link::As(name) => Ok(self.as_type(&left, name)),
            Link::Binary(operator, right) if operator.is_relation() => Ok(answer(self.relation(&left, *operator, right, scope)?)),
            Link::Binary(operator, right) => {
                let right = self.operand(right, scope)?;
                self.spend(left.len() + right.len())?;
                operators::binary(self, *operator, left, right)
            }
        }
    }

    /// Equality, order and membership.
    pub fn relation(
        &self,
        left: &[Item<'d>],
        operator: Operator,
        right: &'d Expr,
        scope: Scope<'_, 'd>,
    ) -> Result<Option<bool>, PathError> {
        match right {
            Expr::Path(Path { head: Head::Literals(values), steps }) if operator == Operator::In && steps.is_empty() => {
                self.is_among(left, values)
            }
            _ => {
                let right = self.operand(right, scope)?;
                self.spend(left.len() + right.len())?;
                operators::relation(self, operator, left, &right)
            }
        }
    }

    /// `in` with a list of literals, which needs no collection to be made of them.
    fn is_among(&self, items: &[Item<'d>], values: &'d [System<'static>]) -> Result<Option<bool>, PathError> {
        let is_one = |item: &Item<'d>| {
            let item = item.system(self.focus.types);
            item.is_some_and(|item| values.iter().any(|value| equality::equal_systems(&item, value) == Some(true)))
        };
        match items {
            [] => Ok(None),
            [item] => Ok(Some(is_one(item))),
            many if self.dialect == Dialect::Published => Ok(Some(many.iter().all(is_one))),
            _ => Err(PathError::NotSingle { operation: "in" }),
        }
    }

    /// The operator `as` keeps the items of a type; FHIR's own search parameters apply it to whole collections.
    fn as_type(&self, items: &[Item<'d>], name: &TypeSpecifier) -> Collection<'d> {
        items.iter().filter(|item| types::is_exactly(self, item, name)).cloned().collect()
    }

    /// What a head and the steps after it yield.
    pub fn walk(&self, head: &'d Head, steps: &'d [Step], scope: Scope<'_, 'd>) -> Yield<'d> {
        if let (Head::This, Some(&Item::Tree(place))) = (head, scope.this) {
            return self.walk_from(place, steps, scope);
        }
        match self.head(head, scope)? {
            Collection::One(Item::Tree(place)) => self.walk_from(place, steps, scope),
            found => self.follow(found, steps, scope),
        }
    }

    fn walk_from(&self, place: TreeItem<'d>, steps: &'d [Step], scope: Scope<'_, 'd>) -> Yield<'d> {
        let (place, steps) = self.descend(place, steps)?;
        match steps.split_first() {
            None => Ok(Item::Tree(place).into()),
            Some((first, rest)) => self.follow(self.step(first, &[Item::Tree(place)], scope)?, rest, scope),
        }
    }

    fn follow(&self, mut found: Collection<'d>, steps: &'d [Step], scope: Scope<'_, 'd>) -> Yield<'d> {
        for step in steps {
            found = self.step(step, &found, scope)?;
        }
        Ok(found)
    }

    /// Goes from a place to the next for as long as each step leads from one object to one object, which takes no collection.
    pub fn descend(&self, mut place: TreeItem<'d>, mut steps: &'d [Step]) -> Result<(TreeItem<'d>, &'d [Step]), PathError> {
        while let [Step::Child(child), rest @ ..] = steps
            && let Some(inner) = tree::only_object(self.focus.types, &place, child)
        {
            self.spend(2)?;
            (place, steps) = (inner, rest);
        }
        Ok((place, steps))
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
            Step::Child(child) => self.children(child, input),
            Step::Exists { child, wanted } => Ok((self.any_has(child, input)? == *wanted).into()),
            Step::At(index) => {
                let index = self.single_integer(&self.scoped(index, scope)?, "[]")?;
                let item = index.and_then(|index| input.get(usize::try_from(index).ok()?));
                Ok(item.cloned().into_iter().collect())
            }
            Step::Call(call) => self.call(call, input, scope),
        }
    }

    fn children(&self, child: &'d ChildStep, parents: &[Item<'d>]) -> Yield<'d> {
        let types = self.focus.types;
        let mut found = Collection::Empty;
        for parent in parents {
            match parent {
                Item::Tree(place) => {
                    tree::children_named(types, place, child, &mut found).map_err(|found| self.unknown(found, child, place))?;
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

    /// Whether any of the parents has such a child. Every parent is looked at, so that an unknown name among them never goes unseen.
    pub fn any_has(&self, child: &'d ChildStep, parents: &[Item<'d>]) -> Result<bool, PathError> {
        self.spend(1 + parents.len())?;
        let mut any = false;
        for parent in parents {
            any |= match parent {
                Item::Tree(place) => tree::has_child(self.focus.types, place, child).map_err(|found| self.unknown(found, child, place))?,
                Item::System(value) => matches!(value, System::Type(_)) && matches!(child.name.as_str(), "name" | "namespace"),
            };
        }
        Ok(any)
    }

    #[cold]
    fn unknown(&self, _: IsJsonName, child: &ChildStep, parent: &TreeItem<'_>) -> PathError {
        PathError::UnknownElement { name: child.name.as_str().into(), parent: parent.type_name(self.focus.types).into() }
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

    /// The one value of a collection; an error when there are more items.
    pub fn single_system(&self, items: &[Item<'d>], operation: &'static str) -> Result<Option<System<'d>>, PathError> {
        match single(items, operation)? {
            None => Ok(None),
            Some(item) => match item.system(self.focus.types) {
                Some(value) => Ok(Some(value)),
                None if matches!(item, Item::Tree(place) if place.is_primitive(self.focus.types)) => Ok(None),
                None => Err(PathError::WrongType { operation }),
            },
        }
    }

    pub fn single_integer(&self, items: &[Item<'d>], operation: &'static str) -> Result<Option<i64>, PathError> {
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

/// A truth as a collection.
pub(super) fn answer<'d>(truth: Option<bool>) -> Collection<'d> {
    truth.map_or(Collection::Empty, Collection::from)
}
