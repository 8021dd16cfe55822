//! Tokens to the compiled form: precedence climbing, names of types and functions resolved on the way.

use super::Dialect;
use super::error::{Limit, PathError};
use super::function::Function;
use super::item::System;
use super::lexer::{Lexer, Token};
use super::pattern::Pattern;
use super::quantity::{Calendar, Quantity, Unit};
use super::short_form;
use super::syntax::{Call, Chain, ChildStep, Expr, Head, Link, Operator, Path, Step, SystemType, TypeSpecifier, Variable};
use crate::fhir::decimal::Decimal;
use crate::fhir::types::TypeTable;
use compact_str::{CompactString, format_compact};

/// Bytes of an expression.
pub const MAX_LENGTH: usize = 64 * 1024;

/// How deep parentheses, brackets and arguments may nest.
pub const MAX_NESTING: usize = 100;

/// FHIR's own profiles of types, which are named where types are. Nothing is of such a type.
const PROFILES: [&str; 2] = ["SimpleQuantity", "MoneyQuantity"];

/// How tightly the loosest operator (`implies`) and the tightest (`*`) bind.
const LOOSEST: u8 = 1;
const UNION: u8 = 7;
const TYPE_TEST: u8 = 8;

/// Compiles a text against the types it may name.
pub(super) fn parse(text: &str, types: &TypeTable, dialect: Dialect, unknown: UnknownTypes) -> Result<Expr, PathError> {
    if text.len() > MAX_LENGTH {
        return Err(PathError::Limit { limit: Limit::Length, value: MAX_LENGTH as u64 });
    }
    let mut parser = Parser::new(text, types, dialect, unknown)?;
    let expression = parser.expression(LOOSEST)?;
    match parser.token {
        Token::End => Ok(expression),
        _ => parser.fail("an operator or the end"),
    }
}

/// Where names of types that the table does not have pass. Nothing is of such a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownTypes {
    Refused,
    /// After the operators `is` and `as`.
    OfOperators,
    Anywhere,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    types: &'a TypeTable,
    token: Token,
    offset: usize,
    depth: usize,
    dialect: Dialect,
    unknown: UnknownTypes,
    /// Bytes of the patterns compiled so far.
    patterns_bytes: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, types: &'a TypeTable, dialect: Dialect, unknown: UnknownTypes) -> Result<Parser<'a>, PathError> {
        let mut lexer = Lexer::new(text, dialect == Dialect::Published);
        let (token, offset) = lexer.next()?;
        Ok(Parser { lexer, types, token, offset, depth: 0, dialect, unknown, patterns_bytes: 0 })
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, PathError> {
        Err(PathError::Syntax { offset: self.offset, expected })
    }

    fn advance(&mut self) -> Result<Token, PathError> {
        let (token, offset) = self.lexer.next()?;
        self.offset = offset;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn take(&mut self, symbol: &str) -> Result<bool, PathError> {
        let found = matches!(self.token, Token::Symbol(found) if found == symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn require(&mut self, symbol: &str, expected: &'static str) -> Result<(), PathError> {
        if self.take(symbol)? { Ok(()) } else { self.fail(expected) }
    }

    fn expression(&mut self, loosest: u8) -> Result<Expr, PathError> {
        if self.depth == MAX_NESTING {
            return Err(PathError::Limit { limit: Limit::Nesting, value: MAX_NESTING as u64 });
        }
        self.depth += 1;
        let mut left = self.operand()?;
        let mut left_level = u8::MAX;
        while let Some((infix, level)) = self.infix() {
            if level < loosest {
                break;
            }
            self.advance()?;
            let link = match infix {
                Infix::Is => Link::Is(self.type_specifier(UnknownTypes::OfOperators)?),
                Infix::As => Link::As(self.type_specifier(UnknownTypes::OfOperators)?),
                Infix::Binary(operator) => Link::Binary(operator, self.expression(level + 1)?),
            };
            left = appended(left, left_level == level, link);
            left_level = level;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator at the current token, and how tightly it binds.
    fn infix(&self) -> Option<(Infix, u8)> {
        use Operator::*;
        let word = match &self.token {
            Token::Symbol(symbol) => symbol,
            Token::Name { text, quoted: false } => text.as_str(),
            _ => return None,
        };
        let (operator, level) = match word {
            "implies" => (Implies, LOOSEST),
            "or" => (Or, 2),
            "xor" => (Xor, 2),
            "and" => (And, 3),
            "in" => (In, 4),
            "contains" => (Contains, 4),
            "=" => (Equal, 5),
            "!=" => (NotEqual, 5),
            "~" => (Equivalent, 5),
            "!~" => (NotEquivalent, 5),
            "<" => (Less, 6),
            "<=" => (LessOrEqual, 6),
            ">" => (Greater, 6),
            ">=" => (GreaterOrEqual, 6),
            "|" => (Union, UNION),
            "is" => return Some((Infix::Is, TYPE_TEST)),
            "as" => return Some((Infix::As, TYPE_TEST)),
            "+" => (Add, 9),
            "-" => (Subtract, 9),
            "&" => (Concatenate, 9),
            "*" => (Multiply, 10),
            "/" => (Divide, 10),
            "div" => (WholeDivide, 10),
            "mod" => (Modulo, 10),
            _ => return None,
        };
        Some((Infix::Binary(operator), level))
    }

    fn operand(&mut self) -> Result<Expr, PathError> {
        let mut sign = None;
        while let Token::Symbol(symbol @ ("-" | "+")) = self.token {
            self.advance()?;
            // Two minuses cancel, so that a row of signs does not nest.
            sign = Some(sign.unwrap_or(false) != (symbol == "-"));
        }
        let operand = Expr::Path(self.path()?);
        Ok(match sign {
            None => operand,
            Some(true) => Expr::Negate(Box::new(operand)),
            Some(false) => Expr::Affirm(Box::new(operand)),
        })
    }

    fn path(&mut self) -> Result<Path, PathError> {
        let mut steps = Vec::new();
        let head = self.head(&mut steps)?;
        loop {
            if self.take(".")? {
                let step = self.invocation()?;
                steps.extend(short_form::in_full(self.types, &head, &steps, step));
            } else if self.take("[")? {
                steps.push(Step::At(self.expression(LOOSEST)?));
                self.require("]", "']'")?;
            } else {
                return Ok(Path { head, steps });
            }
        }
    }

    /// The first term. A bare name or call is an invocation on `$this`, so it becomes the first step.
    fn head(&mut self, steps: &mut Vec<Step>) -> Result<Head, PathError> {
        match &self.token {
            Token::Name { .. } => self.name_head(steps),
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.expression(LOOSEST)?;
                self.require(")", "')'")?;
                Ok(Head::Nested(Box::new(inner)))
            }
            Token::Symbol("{") => {
                self.advance()?;
                self.require("}", "'}'")?;
                Ok(Head::Nothing)
            }
            Token::Symbol(_) | Token::End => self.fail("an expression"),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<Head, PathError> {
        let offset = self.offset;
        Ok(match self.advance()? {
            Token::Text(text) => Head::Literal(System::String(String::from(text).into())),
            Token::Integer(value) => self.number(System::Integer(value), Decimal::from(value))?,
            Token::Decimal(value) => self.number(System::Decimal(value), value)?,
            Token::Date(value) => Head::Literal(System::Date(value)),
            Token::DateTime(value) => Head::Literal(System::DateTime(value)),
            Token::Time(value) => Head::Literal(System::Time(value)),
            Token::Percent(name) => variable(&name),
            Token::Dollar(name) => match name.as_str() {
                "this" => Head::This,
                "index" => Head::Index,
                "total" => Head::Total,
                _ => return Err(PathError::Syntax { offset, expected: "$this, $index or $total" }),
            },
            Token::Name { .. } | Token::Symbol(_) | Token::End => return Err(PathError::Syntax { offset, expected: "an expression" }),
        })
    }

    /// A number, which a unit may make a quantity.
    fn number(&mut self, plain: System<'static>, value: Decimal) -> Result<Head, PathError> {
        let unit = match &self.token {
            Token::Text(code) => Some(Unit::Ucum(code.clone())),
            Token::Name { text, quoted: false } => Calendar::named(text).map(Unit::Calendar),
            _ => None,
        };
        Ok(match unit {
            Some(unit) => {
                self.advance()?;
                Head::Literal(System::Quantity(Box::new(Quantity { value, unit })))
            }
            None => Head::Literal(plain),
        })
    }

    fn name_head(&mut self, steps: &mut Vec<Step>) -> Result<Head, PathError> {
        if let Token::Name { text, quoted } = &self.token {
            match text.as_str() {
                "true" | "false" if !quoted => {
                    let flag = text == "true";
                    self.advance()?;
                    return Ok(Head::Literal(System::Boolean(flag)));
                }
                // Where an operand is due no operator can stand, so HL7's engine takes its name for an element's: `div.htmlChecks()`.
                "and" | "or" | "xor" | "implies" | "div" | "mod" if !quoted && self.dialect == Dialect::Specification => {
                    return self.fail("an expression");
                }
                // No element of FHIR begins with a capital, so a capital is a type's name.
                name if name.starts_with(|first: char| first.is_ascii_uppercase()) && self.types.type_named(name).is_some() => {
                    let name = text.clone();
                    self.advance()?;
                    return Ok(Head::Type(name));
                }
                _ => {}
            }
        }
        steps.push(self.invocation()?);
        Ok(Head::This)
    }

    fn invocation(&mut self) -> Result<Step, PathError> {
        match self.token {
            Token::Name { .. } => {}
            Token::Dollar(_) => return self.fail("a name (no $ after a dot)"),
            _ => return self.fail("a name"),
        }
        let Token::Name { text, .. } = self.advance()? else { return self.fail("a name") };
        if self.take("(")? { Ok(Step::Call(self.call(&text)?)) } else { Ok(Step::Child(ChildStep::new(text))) }
    }

    fn call(&mut self, name: &str) -> Result<Call, PathError> {
        let known = Function::named(name).filter(|(function, ..)| *function != Function::Item || self.dialect == Dialect::Published);
        let Some((function, fewest, most)) = known else {
            return Err(PathError::UnknownFunction { name: name.to_string() });
        };
        let mut call = Call { function, arguments: Vec::new(), type_name: None, pattern: None };
        if function.takes_type() {
            call.type_name = Some(self.type_specifier(UnknownTypes::Anywhere)?);
            self.require(")", "')'")?;
            return Ok(call);
        }
        if !self.take(")")? {
            loop {
                let argument = self.expression(LOOSEST)?;
                call.arguments.push(if function == Function::Sort { self.sort_direction(argument)? } else { argument });
                if !self.take(",")? {
                    break;
                }
            }
            self.require(")", "',' or ')'")?;
        }
        if call.arguments.len() < fewest || call.arguments.len() > most {
            return Err(PathError::Arguments { function: function.name() });
        }
        if function.takes_pattern() && call.arguments.len() < 2 + usize::from(function == Function::ReplaceMatches) {
            let pattern = call.arguments.first().and_then(literal_text).map(|pattern| Pattern::compile(pattern, "", function));
            call.pattern = match pattern {
                Some(Ok(pattern)) => Some(Ok(pattern.counted(&mut self.patterns_bytes)?)),
                refused => refused,
            };
        }
        Ok(call)
    }

    /// A key of `sort` may be followed by its direction; descending is the same as a minus before it.
    fn sort_direction(&mut self, key: Expr) -> Result<Expr, PathError> {
        let is_descending = match &self.token {
            Token::Name { text, quoted: false } if text == "asc" => false,
            Token::Name { text, quoted: false } if text == "desc" => true,
            _ => return Ok(key),
        };
        self.advance()?;
        Ok(if is_descending { Expr::Negate(Box::new(key)) } else { key })
    }

    /// `Patient`, `FHIR.Patient`, `System.Boolean`. `needed` is what lets a name pass that is not known.
    fn type_specifier(&mut self, needed: UnknownTypes) -> Result<TypeSpecifier, PathError> {
        let first = self.type_part()?;
        let is_profile = self.dialect == Dialect::Published && PROFILES.contains(&first.as_str());
        let passes = is_profile || self.unknown == UnknownTypes::Anywhere || self.unknown == needed;
        if matches!(first.as_str(), "FHIR" | "System") && self.take(".")? {
            let name = self.type_part()?;
            return if first == "System" {
                // `System.Patient` names no type; a test against it is simply false.
                Ok(TypeSpecifier { system: SystemType::named(&name), fhir: None, qualified: true })
            } else {
                let is_known = self.types.type_named(&name).is_some();
                if !is_known && !passes {
                    return Err(PathError::UnknownType { name: format!("{first}.{name}") });
                }
                Ok(TypeSpecifier { system: None, fhir: Some(name).filter(|_| is_known), qualified: true })
            };
        }
        let system = SystemType::named(&first);
        let fhir = self.types.type_named(&first).map(|definition| definition.name.clone());
        if system.is_none() && fhir.is_none() && !passes {
            return Err(PathError::UnknownType { name: first.into() });
        }
        Ok(TypeSpecifier { system, fhir, qualified: false })
    }

    fn type_part(&mut self) -> Result<CompactString, PathError> {
        match self.token {
            Token::Name { .. } => match self.advance()? {
                Token::Name { text, .. } => Ok(text),
                _ => self.fail("the name of a type"),
            },
            _ => self.fail("the name of a type"),
        }
    }
}

enum Infix {
    Binary(Operator),
    Is,
    As,
}

/// Adds a link to the chain that `left` already is at this level, or begins one.
fn appended(left: Expr, same_level: bool, link: Link) -> Expr {
    match left {
        Expr::Chain(mut chain) if same_level => {
            chain.rest.push(link);
            Expr::Chain(chain)
        }
        first => Expr::Chain(Chain { first: Box::new(first), rest: vec![link] }),
    }
}

fn literal_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Path(Path { head: Head::Literal(System::String(text)), steps }) if steps.is_empty() => Some(text),
        _ => None,
    }
}

fn variable(name: &str) -> Head {
    let text = |text: CompactString| Head::Literal(System::String(String::from(text).into()));
    match name {
        "context" => Head::Variable(Variable::Context),
        "resource" => Head::Variable(Variable::Resource),
        "rootResource" => Head::Variable(Variable::RootResource),
        "ucum" => text("http://unitsofmeasure.org".into()),
        "sct" => text("http://snomed.info/sct".into()),
        "loinc" => text("http://loinc.org".into()),
        _ => match (name.strip_prefix("vs-"), name.strip_prefix("ext-")) {
            (Some(value_set), _) => text(format_compact!("http://hl7.org/fhir/ValueSet/{value_set}")),
            (_, Some(extension)) => text(format_compact!("http://hl7.org/fhir/StructureDefinition/{extension}")),
            _ => Head::Variable(Variable::Named(name.into())),
        },
    }
}
