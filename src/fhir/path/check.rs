//! The strict check: finds names that a type does not have before anything is evaluated.
//!
//! It follows the types an expression can yield. Where it loses track (`resolve()`, contained resources, variables) it says nothing.

use super::error::PathError;
use super::function::Function;
use super::item::System;
use super::syntax::{Call, Chain, ChildStep, Expr, Form, Head, Link, Operator, Path, Step, SystemType, TypeSpecifier, form_of};
use crate::fhir::types::{ElementId, TypeTable};

/// What an expression can yield.
#[derive(Debug, Clone)]
struct Outlook {
    /// `None` when it could be anything.
    kinds: Option<Vec<Kind>>,
    is_ordered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Values whose children are found under this element.
    Tree(ElementId),
    System(SystemType),
}

impl Outlook {
    fn unknown() -> Outlook {
        Outlook { kinds: None, is_ordered: true }
    }

    fn of(kind: Kind) -> Outlook {
        Outlook { kinds: Some(vec![kind]), is_ordered: true }
    }

    fn system(kind: SystemType) -> Outlook {
        Outlook::of(Kind::System(kind))
    }

    /// What either may yield.
    fn or(mut self, other: Outlook) -> Outlook {
        self.kinds = match (self.kinds, other.kinds) {
            (Some(mut mine), Some(theirs)) => {
                for kind in theirs {
                    if !mine.contains(&kind) {
                        mine.push(kind);
                    }
                }
                Some(mine)
            }
            _ => None,
        };
        self.is_ordered &= other.is_ordered;
        self
    }
}

impl super::Expression {
    /// Refuses names that the types cannot have, and functions that need an order where there is none.
    /// `context` is the type of resource the expression is meant for.
    pub fn check(&self, types: &TypeTable, context: Option<&str>) -> Result<(), PathError> {
        let root = context.and_then(|name| types.resource(name)).map(|definition| Kind::Tree(definition.root));
        Checker { types }.expression(&self.root, &root.map_or_else(Outlook::unknown, Outlook::of)).map(|_| ())
    }
}

struct Checker<'t> {
    types: &'t TypeTable,
}

impl Checker<'_> {
    fn expression(&self, expression: &Expr, this: &Outlook) -> Result<Outlook, PathError> {
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
            Head::Literal(value) => literal(value),
            Head::Literals(values) => values.iter().map(literal).reduce(Outlook::or).unwrap_or_else(Outlook::unknown),
            Head::Type(name) => self.type_head(name, this)?,
            Head::Nested(inner) => self.expression(inner, this)?,
            Head::Total | Head::Nothing | Head::Variable(_) => Outlook::unknown(),
        };
        for step in &path.steps {
            outlook = match step {
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
        let fits = |kind: &Kind| match kind {
            Kind::Tree(content) => self.types.is_kind_of(self.type_name(*content), name),
            Kind::System(_) => false,
        };
        match (&this.kinds, self.types.type_named(name)) {
            (Some(kinds), _) if !kinds.iter().any(fits) => {
                let parent = kinds.first().map_or_else(String::new, |kind| self.kind_name(*kind));
                Err(PathError::UnknownElement { name: name.into(), parent: parent.into() })
            }
            (_, Some(definition)) => Ok(Outlook::of(Kind::Tree(definition.root))),
            _ => Ok(Outlook::unknown()),
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
        }
    }

    /// Unknown only where every possible parent lacks the name.
    fn child(&self, child: &ChildStep, parents: &Outlook) -> Result<Outlook, PathError> {
        let Some(kinds) = &parents.kinds else { return Ok(Outlook::unknown()) };
        let mut found: Option<Outlook> = None;
        for kind in kinds {
            let Kind::Tree(content) = kind else { continue };
            if self.is_open(*content) {
                return Ok(Outlook::unknown());
            }
            if let Some(element) = self.types.child_named(*content, &child.name) {
                let outlook = self.values_of(element);
                found = Some(match found {
                    Some(before) => before.or(outlook),
                    None => outlook,
                });
            }
        }
        match (found, kinds.first()) {
            (Some(outlook), _) => Ok(Outlook { is_ordered: parents.is_ordered, ..outlook }),
            (None, None) => Ok(Outlook::unknown()),
            (None, Some(kind)) => Err(PathError::UnknownElement { name: child.name.as_str().into(), parent: self.kind_name(*kind).into() }),
        }
    }

    /// Whether values here may be of types that are only known from the document.
    fn is_open(&self, content: ElementId) -> bool {
        self.types.type_named(self.type_name(content)).is_some_and(|definition| definition.is_abstract && definition.root == content)
    }

    fn values_of(&self, element: ElementId) -> Outlook {
        let count = if self.types.element(element).is_choice { self.types.element(element).types.len() } else { 1 };
        let kinds = (0..count).map(|index| Kind::Tree(self.types.content(element, index)));
        Outlook { kinds: Some(kinds.collect()), is_ordered: true }
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

    fn call(&self, call: &Call, input: Outlook, this: &Outlook) -> Result<Outlook, PathError> {
        use Function::*;
        if call.function.needs_order() && !input.is_ordered {
            return Err(PathError::Unordered { function: call.function.name() });
        }
        let inner = match call.function {
            Where | Select | All | Exists | Repeat | Aggregate | Sort | Trace | DefineVariable | Iif => &input,
            _ => this,
        };
        let arguments = call.arguments.iter().map(|argument| self.expression(argument, inner)).collect::<Result<Vec<_>, _>>()?;
        let mut arguments = arguments.into_iter();
        Ok(match call.function {
            Iif => {
                self.require_boolean(arguments.next())?;
                arguments.next().unwrap_or_else(Outlook::unknown).or(arguments.next().unwrap_or_else(Outlook::unknown))
            }
            Select => Outlook { is_ordered: input.is_ordered, ..arguments.next().unwrap_or_else(Outlook::unknown) },
            Union | Combine => input.or(arguments.next().unwrap_or_else(Outlook::unknown)),
            OfType | As => call.type_name.as_ref().map_or_else(Outlook::unknown, |name| self.named(name)),
            Children | Descendants => Outlook { kinds: None, is_ordered: false },
            Extension => self.types.type_named("Extension").map_or_else(Outlook::unknown, |found| Outlook::of(Kind::Tree(found.root))),
            Where | Single | First | Last | Tail | Skip | Take | Distinct | Intersect | Exclude | Trace | DefineVariable => input,
            Sort => Outlook { is_ordered: true, ..input },
            Empty | Exists | All | AllTrue | AnyTrue | AllFalse | AnyFalse | SubsetOf | SupersetOf | IsDistinct | Not | Is | HasValue
            | HasExtension | MemberOf | ConformsTo | HtmlChecks | HtmlContent | Matches | MatchesFull | StartsWith | EndsWith
            | Contains | Comparable => Outlook::system(SystemType::Boolean),
            Count | Length | IndexOf | LastIndexOf => Outlook::system(SystemType::Integer),
            _ => Outlook::unknown(),
        })
    }

    /// A criterion that can only be something other than a boolean is a mistake.
    fn require_boolean(&self, criterion: Option<Outlook>) -> Result<(), PathError> {
        let is_boolean = |kind: &Kind| match kind {
            Kind::System(system) => matches!(system, SystemType::Boolean | SystemType::Any),
            Kind::Tree(content) => form_of(self.types, *content) != Form::Primitive || self.type_name(*content) == "boolean",
        };
        match criterion.and_then(|outlook| outlook.kinds) {
            Some(kinds) if !kinds.is_empty() && !kinds.iter().any(is_boolean) => Err(PathError::WrongType { operation: "iif" }),
            _ => Ok(()),
        }
    }
}

fn literal(value: &System<'_>) -> Outlook {
    SystemType::named(value.type_name()).map_or_else(Outlook::unknown, Outlook::system)
}
