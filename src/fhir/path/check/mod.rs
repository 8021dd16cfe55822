//! The strict check: finds names that a type does not have before anything is evaluated.
//!
//! It follows the types an expression can yield. Where it loses track (`resolve()`, contained resources, variables) it says nothing.

mod calls;
mod model;
mod outlook;

use super::error::PathError;
use super::syntax::{Chain, ChildStep, Expr, Head, Link, Operator, Path, Step, SystemType, TypeSpecifier, Variable};
use crate::fhir::types::{ElementId, TypeTable};
pub use model::Model;
use outlook::{Kind, Outlook};
use std::cell::{Cell, RefCell};

#[cfg(test)]
mod tests;

/// Variables that FHIR or FHIRPath have in some release, beside those the parser knows.
const VARIABLES: [&str; 5] = ["us-zip", "terminologies", "server", "factory", "map-codes"];

/// How many parts of an expression are looked at, some of them again and again (`repeat`); what comes after that passes.
const STEPS_MAX: usize = 20_000;

/// What an expression of a definition is written for.
#[derive(Debug, Default)]
pub struct Purpose<'m> {
    /// What `$this` is at the beginning.
    pub context: Begin<'m>,
    /// The type of `%resource`, where it can only be one.
    pub resource: Option<&'m str>,
    /// The type that the definition makes, where the table does not have it.
    pub model: Option<&'m Model<'m>>,
    /// Whether a type's name selects what is of it: the expression has parts for several, and each is of one that the context can be.
    pub selects: bool,
    /// Variables that are there for expressions of this purpose alone.
    pub variables: &'m [&'m str],
}

/// What an expression begins at.
#[derive(Debug, Default)]
pub enum Begin<'m> {
    #[default]
    Anything,
    /// Values whose children are found under one of these elements.
    Elements(Vec<ElementId>),
    /// The element of the model with this path.
    Model(&'m str),
}

impl super::Expression {
    /// Refuses names that the types cannot have, and functions that need an order where there is none.
    /// `context` is the type of resource the expression is meant for.
    pub fn check(&self, types: &TypeTable, context: Option<&str>) -> Result<(), PathError> {
        let root = context.and_then(|name| types.resource(name)).map(|definition| Kind::Tree(definition.root));
        let begin = root.map_or_else(Outlook::unknown, Outlook::of);
        let purpose = Purpose { resource: context, ..Purpose::default() };
        self.checked(types, &purpose, &begin, true)
    }

    /// The first thing in an expression of a definition that cannot be: an element that no type here has, a variable that nobody defines.
    /// What the types do not decide passes.
    pub fn check_for(&self, types: &TypeTable, purpose: &Purpose<'_>) -> Result<(), PathError> {
        let begin = match &purpose.context {
            Begin::Anything => Outlook::unknown(),
            Begin::Elements(contents) => {
                Outlook { kinds: Some(contents.iter().map(|&content| Kind::Tree(content)).collect()), is_ordered: true }
            }
            Begin::Model(path) => purpose.model.map_or_else(Outlook::unknown, |model| model.at(types, path)),
        };
        self.checked(types, purpose, &begin, false)
    }

    fn checked(&self, types: &TypeTable, purpose: &Purpose<'_>, begin: &Outlook, is_strict: bool) -> Result<(), PathError> {
        let (defined, steps, may_be_none) = Default::default();
        Checker { types, purpose, begin, is_strict, defined, steps, may_be_none }.expression(&self.root, begin).map(|_| ())
    }
}

struct Checker<'t> {
    types: &'t TypeTable,
    purpose: &'t Purpose<'t>,
    /// What `%context` is.
    begin: &'t Outlook,
    /// Whether order and criteria count too, and variables are the caller's.
    is_strict: bool,
    /// Variables that the expression itself defined so far.
    defined: RefCell<Vec<String>>,
    /// How many parts were looked at.
    steps: Cell<usize>,
    /// Whether a name that no parent has yields nothing.
    may_be_none: Cell<bool>,
}

impl Checker<'_> {
    fn expression(&self, expression: &Expr, this: &Outlook) -> Result<Outlook, PathError> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            return Ok(Outlook::unknown());
        }
        match expression {
            Expr::Path(path) => self.path(path, this),
            Expr::Chain(chain) => self.chain(chain, this),
            Expr::Negate(operand) | Expr::Affirm(operand) | Expr::Once { inner: operand, .. } => self.expression(operand, this),
        }
    }

    fn chain(&self, chain: &Chain, this: &Outlook) -> Result<Outlook, PathError> {
        let mut left = self.expression(&chain.first, this)?;
        for link in &chain.rest {
            left = match link {
                Link::Is(_) => Outlook::system(SystemType::Boolean),
                Link::As(name) => self.named(name),
                Link::Binary(operator, right) => {
                    let right = self.expression(right, this)?;
                    match operator {
                        Operator::Union => left.or(right),
                        Operator::Concatenate => Outlook::system(SystemType::String),
                        Operator::Add
                        | Operator::Subtract
                        | Operator::Multiply
                        | Operator::Divide
                        | Operator::WholeDivide
                        | Operator::Modulo => Outlook::unknown(),
                        _ => Outlook::system(SystemType::Boolean),
                    }
                }
            };
        }
        Ok(left)
    }

    fn path(&self, path: &Path, this: &Outlook) -> Result<Outlook, PathError> {
        let mut outlook = match &path.head {
            Head::This => this.clone(),
            Head::Index => Outlook::system(SystemType::Integer),
            Head::Literal(value) => Outlook::literal(value),
            Head::Literals(values) => values.iter().map(Outlook::literal).reduce(Outlook::or).unwrap_or_else(Outlook::unknown),
            Head::Type(name) => self.type_head(name, this)?,
            Head::Nested(inner) => self.expression(inner, this)?,
            Head::Variable(variable) => self.variable(variable)?,
            Head::Total | Head::Nothing => Outlook::unknown(),
        };
        if let (true, Head::Type(name)) = (self.purpose.selects, &path.head) {
            self.first_of_abstract(name, path.steps.first())?;
        }
        for (index, step) in path.steps.iter().enumerate() {
            let is_first = index == 0 && matches!(path.head, Head::This);
            outlook = match step {
                Step::Child(child) if is_first && self.purpose.model.is_some_and(|model| model.is_named(&child.name)) => {
                    Outlook::of(Kind::Own(0))
                }
                Step::Child(child) => self.child(child, &outlook)?,
                Step::Exists { child, .. } => {
                    self.child(child, &outlook)?;
                    Outlook::system(SystemType::Boolean)
                }
                Step::At(index) => {
                    self.expression(index, this)?;
                    outlook
                }
                Step::Call(call) => self.call(call, outlook, this)?,
            };
        }
        Ok(outlook)
    }

    fn type_head(&self, name: &str, this: &Outlook) -> Result<Outlook, PathError> {
        if self.purpose.model.is_some_and(|model| model.is_named(name)) {
            return Ok(Outlook::of(Kind::Own(0)));
        }
        let fits = |kind: &Kind| match kind {
            Kind::Tree(content) => self.is_open(*content) || self.types.is_kind_of(self.type_name(*content), name),
            Kind::System(_) => false,
            Kind::Own(_) => true,
        };
        match &this.kinds {
            Some(kinds) if (!self.purpose.selects || self.begin.kinds == this.kinds) && !kinds.iter().any(fits) => {
                let parent = kinds.first().map_or_else(String::new, |kind| self.kind_name(*kind));
                Err(PathError::UnknownElement { name: name.into(), parent: parent.into() })
            }
            _ => Ok(Outlook::of_type(self.types, name)),
        }
    }

    /// What is selected of every resource by the name of all of them (`Resource.meta`) is something that all have.
    fn first_of_abstract(&self, name: &str, first: Option<&Step>) -> Result<(), PathError> {
        let Some(Step::Child(child) | Step::Exists { child, .. }) = first else { return Ok(()) };
        let definition = self.types.type_named(name).filter(|definition| definition.is_abstract);
        match definition.and_then(|definition| self.types.child_named(definition.root, &child.name)) {
            None if definition.is_some() => Err(PathError::UnknownElement { name: child.name.as_str().into(), parent: name.into() }),
            _ => Ok(()),
        }
    }

    fn variable(&self, variable: &Variable) -> Result<Outlook, PathError> {
        match variable {
            Variable::Context => Ok(self.begin.clone()),
            Variable::Resource => Ok(self.purpose.resource.map_or_else(Outlook::unknown, |name| Outlook::of_type(self.types, name))),
            Variable::RootResource => Ok(Outlook::unknown()),
            Variable::Named(name) => {
                let is_known = self.is_strict
                    || VARIABLES.iter().chain(self.purpose.variables).any(|known| known == name)
                    || name.starts_with("cs-")
                    || self.defined.borrow().iter().any(|defined| defined == name.as_str());
                if is_known { Ok(Outlook::unknown()) } else { Err(PathError::UnknownVariable { name: name.to_string() }) }
            }
        }
    }

    fn type_name(&self, content: ElementId) -> &str {
        let element = self.types.element(content);
        if self.types.root_kind(content).is_some() { &element.path } else { element.types.first().map_or("", |type_use| &type_use.code) }
    }

    fn kind_name(&self, kind: Kind) -> String {
        match kind {
            Kind::Tree(content) => self.types.element(content).path.to_string(),
            Kind::System(system) => format!("System.{system:?}"),
            Kind::Own(index) => self.purpose.model.map_or("", |model| model.name_of(index)).to_owned(),
        }
    }

    /// Unknown only where every possible parent lacks the name.
    fn child(&self, child: &ChildStep, parents: &Outlook) -> Result<Outlook, PathError> {
        let Some(kinds) = &parents.kinds else { return Ok(Outlook::unknown()) };
        let mut found: Option<Outlook> = None;
        for kind in kinds {
            let outlook = match kind {
                Kind::System(_) => continue,
                Kind::Tree(content) if self.is_open(*content) => return Ok(Outlook::unknown()),
                Kind::Tree(content) => {
                    self.types.child_named(*content, &child.name).map(|element| Outlook::of_element(self.types, element))
                }
                Kind::Own(index) => self.purpose.model.and_then(|model| model.child(self.types, *index, &child.name)),
            };
            found = match (found, outlook) {
                (Some(before), Some(outlook)) => Some(before.or(outlook)),
                (before, outlook) => before.or(outlook),
            };
        }
        match (found, kinds.first()) {
            (Some(outlook), _) => Ok(Outlook { is_ordered: parents.is_ordered, ..outlook }),
            (None, None) => Ok(Outlook::nothing()),
            (None, Some(_)) if self.may_be_none.get() => Ok(Outlook::nothing()),
            (None, Some(kind)) => Err(PathError::UnknownElement { name: child.name.as_str().into(), parent: self.kind_name(*kind).into() }),
        }
    }

    /// Whether values here may be of types that are only known from the document.
    fn is_open(&self, content: ElementId) -> bool {
        self.types.type_named(self.type_name(content)).is_some_and(|definition| definition.is_abstract && definition.root == content)
    }

    fn named(&self, name: &TypeSpecifier) -> Outlook {
        let fhir = name.fhir.as_deref().and_then(|fhir| self.types.type_named(fhir)).map(|definition| Kind::Tree(definition.root));
        match (fhir, name.system) {
            (Some(fhir), Some(system)) => Outlook::of(fhir).or(Outlook::system(system)),
            (Some(fhir), None) => Outlook::of(fhir),
            (None, Some(system)) => Outlook::system(system),
            (None, None) => Outlook::unknown(),
        }
    }
}
