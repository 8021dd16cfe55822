//! The compiled form of an expression: what the parser makes and the evaluator walks.
//!
//! Chains (`a.b.c`, `a or b or c`) are lists, not nests, so that only true nesting costs stack.

use super::error::PathError;
use super::function::Function;
use super::item::System;
use super::pattern::Pattern;
use crate::fhir::types::{ElementId, TypeKind, TypeTable};
use compact_str::CompactString;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) enum Expr {
    Path(Path),
    Chain(Chain),
    Negate(Box<Expr>),
    /// Unary plus: the operand must be a number.
    Affirm(Box<Expr>),
    /// Yields the same whenever it is evaluated on one focus, so its result is kept under `slot`.
    Once {
        slot: usize,
        inner: Box<Expr>,
    },
}

/// A head and the invocations that follow it.
#[derive(Debug)]
pub(super) struct Path {
    pub head: Head,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Head {
    This,
    Index,
    Total,
    Nothing,
    Literal(System<'static>),
    Literals(Vec<System<'static>>),
    Variable(Variable),
    /// A type's name at the beginning: the focus if it is of that type.
    Type(CompactString),
    Nested(Box<Expr>),
}

#[derive(Debug)]
pub(super) enum Variable {
    Context,
    Resource,
    RootResource,
    Named(CompactString),
}

#[derive(Debug)]
pub(super) enum Step {
    Child(ChildStep),
    /// `name.exists()` and `name.empty()` in one: whether there being a child of the name is as `wanted`.
    Exists {
        child: ChildStep,
        wanted: bool,
    },
    At(Expr),
    Call(Call),
}

#[derive(Debug)]
pub(super) struct Call {
    pub function: Function,
    pub arguments: Vec<Expr>,
    /// The argument of `is`, `as` and `ofType`.
    pub type_name: Option<TypeSpecifier>,
    /// The pattern of `matches` and its kin when it is a literal, or why it cannot be used where it is reached.
    pub pattern: Option<Result<Pattern, PathError>>,
}

/// First operand and what is applied to it in turn, all of one precedence.
#[derive(Debug)]
pub(super) struct Chain {
    pub first: Box<Expr>,
    pub rest: Vec<Link>,
}

#[derive(Debug)]
pub(super) enum Link {
    Binary(Operator, Expr),
    Is(TypeSpecifier),
    As(TypeSpecifier),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Add,
    Subtract,
    Concatenate,
    Multiply,
    Divide,
    WholeDivide,
    Modulo,
}

impl Operator {
    /// Whether its right side may not count. The operators of a chain are all of this kind, or none.
    pub fn is_logical(self) -> bool {
        matches!(self, Operator::Implies | Operator::Or | Operator::Xor | Operator::And)
    }

    /// Whether it yields a boolean or nothing.
    pub fn is_relation(self) -> bool {
        use Operator::*;
        matches!(self, In | Contains | Equal | NotEqual | Equivalent | NotEquivalent | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Implies => "implies",
            Operator::Or => "or",
            Operator::Xor => "xor",
            Operator::And => "and",
            Operator::In => "in",
            Operator::Contains => "contains",
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Equivalent => "~",
            Operator::NotEquivalent => "!~",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Union => "|",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Concatenate => "&",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::WholeDivide => "div",
            Operator::Modulo => "mod",
        }
    }
}

/// The types of FHIRPath itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemType {
    Any,
    Boolean,
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
    Quantity,
}

impl SystemType {
    pub fn named(name: &str) -> Option<SystemType> {
        Some(match name {
            "Any" => SystemType::Any,
            "Boolean" => SystemType::Boolean,
            "Integer" => SystemType::Integer,
            "Decimal" => SystemType::Decimal,
            "String" => SystemType::String,
            "Date" => SystemType::Date,
            "DateTime" => SystemType::DateTime,
            "Time" => SystemType::Time,
            "Quantity" => SystemType::Quantity,
            _ => return None,
        })
    }
}

/// A type's name in an expression. Without a namespace it may mean a FHIRPath type, a FHIR type, or (`Quantity`) both.
#[derive(Debug, Clone)]
pub(super) struct TypeSpecifier {
    pub system: Option<SystemType>,
    pub fhir: Option<CompactString>,
    /// Whether the namespace was written.
    pub qualified: bool,
}

/// What a child's name means under one parent: where its values' children are looked up, and how its JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The element under which the children are found; for a choice the choice element itself.
    pub target: ElementId,
    pub form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    Complex = 0,
    Primitive = 1,
    Resource = 2,
    Choice = 3,
}

/// A step to a child by name. It remembers its last meanings, because an expression meets the same types of parents again and again.
#[derive(Debug)]
pub(super) struct ChildStep {
    pub name: CompactString,
    /// By parent: the parent in the high half, the meaning in the low half, both plus one; 0 when empty. One word, so a torn read
    /// cannot mix two meanings.
    remembered: [AtomicU64; REMEMBERED],
}

/// Parents that a step remembers.
const REMEMBERED: usize = 8;

/// A name that an element's type does not have, though its JSON would: `valueQuantity` for `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IsJsonName;

/// What a name means under a parent; nothing where the parent has no such child.
type Named = Result<Option<Meaning>, IsJsonName>;

/// Marks a remembered "no such child".
const NO_MEANING: u32 = u32::MAX;
/// Marks a remembered [`IsJsonName`].
const JSON_NAME: u32 = u32::MAX - 1;
const FORM_BITS: u32 = 2;

impl ChildStep {
    pub fn new(name: CompactString) -> ChildStep {
        ChildStep { name, remembered: Default::default() }
    }

    #[inline]
    pub fn meaning(&self, types: &TypeTable, parent: ElementId) -> Named {
        let Some(place) = self.remembered.get(parent.0 as usize % REMEMBERED) else { return self.looked_up(types, parent) };
        let remembered = place.load(Ordering::Relaxed);
        let key = (u64::from(parent.0) + 1) << 32;
        if remembered & !u64::from(u32::MAX) == key {
            return unpack(u32::try_from(remembered & u64::from(u32::MAX)).unwrap_or(NO_MEANING));
        }
        let meaning = self.looked_up(types, parent);
        place.store(key | u64::from(pack(meaning)), Ordering::Relaxed);
        meaning
    }

    fn looked_up(&self, types: &TypeTable, parent: ElementId) -> Named {
        match types.child_named(parent, &self.name) {
            Some(child) => Ok(Some(meaning_of(types, child))),
            None if types.member(parent, &self.name).is_some() => Err(IsJsonName),
            None => Ok(None),
        }
    }
}

fn pack(named: Named) -> u32 {
    match named {
        Ok(Some(meaning)) => (meaning.target.0 << FORM_BITS) | meaning.form as u32,
        Ok(None) => NO_MEANING,
        Err(IsJsonName) => JSON_NAME,
    }
}

fn unpack(packed: u32) -> Named {
    let form = match packed {
        NO_MEANING => return Ok(None),
        JSON_NAME => return Err(IsJsonName),
        _ => match packed & 3 {
            0 => Form::Complex,
            1 => Form::Primitive,
            2 => Form::Resource,
            _ => Form::Choice,
        },
    };
    Ok(Some(Meaning { target: ElementId(packed >> FORM_BITS), form }))
}

/// What an element's values are.
pub(super) fn meaning_of(types: &TypeTable, child: ElementId) -> Meaning {
    if types.element(child).is_choice {
        return Meaning { target: child, form: Form::Choice };
    }
    let target = types.content(child, 0);
    Meaning { target, form: form_of(types, target) }
}

/// How values whose children are found under `content` are read.
pub(super) fn form_of(types: &TypeTable, content: ElementId) -> Form {
    match types.root_kind(content) {
        Some(TypeKind::Primitive) => Form::Primitive,
        Some(TypeKind::Resource) => Form::Resource,
        _ => Form::Complex,
    }
}
