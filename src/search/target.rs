//! Values of documents in the forms in which the kinds of search parameters compare them.

use super::select::Site;
use crate::definitions::SearchKind;
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::fhir::node::Value;
use crate::fhir::temporal::{DateTime, Interval};
use compact_str::CompactString;

/// What a type's values look like to search. Types no parameter reads are `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Any primitive that is not a date or a canonical.
    Primitive,
    Canonical,
    Date,
    Period,
    Timing,
    Coding,
    CodeableConcept,
    Identifier,
    ContactPoint,
    HumanName,
    Address,
    Reference,
    Quantity,
    Money,
    Range,
    Resource,
    /// The type is that of the extension's value.
    Extension,
    Other,
}

impl Shape {
    /// The shape of a FHIR type.
    pub fn of(type_code: &str) -> Shape {
        match type_code {
            "canonical" => Shape::Canonical,
            "date" | "dateTime" | "instant" => Shape::Date,
            "Period" => Shape::Period,
            "Timing" => Shape::Timing,
            "Coding" => Shape::Coding,
            "CodeableConcept" => Shape::CodeableConcept,
            "Identifier" => Shape::Identifier,
            "ContactPoint" => Shape::ContactPoint,
            "HumanName" => Shape::HumanName,
            "Address" => Shape::Address,
            "Reference" => Shape::Reference,
            "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity" => Shape::Quantity,
            "Money" => Shape::Money,
            "Range" => Shape::Range,
            "Resource" => Shape::Resource,
            primitive if primitive.starts_with(|first: char| first.is_ascii_lowercase()) => Shape::Primitive,
            _ => Shape::Other,
        }
    }

    /// Whether values of this shape can be compared as a kind compares.
    pub fn suits(self, kind: SearchKind) -> bool {
        match self {
            Shape::Reference | Shape::Resource => kind == SearchKind::Reference,
            Shape::Coding | Shape::CodeableConcept | Shape::Identifier => kind == SearchKind::Token,
            Shape::Quantity | Shape::Money | Shape::Range => matches!(kind, SearchKind::Quantity | SearchKind::Number),
            Shape::Date | Shape::Period | Shape::Timing => kind == SearchKind::Date,
            Shape::Primitive => kind != SearchKind::Reference,
            _ => true,
        }
    }

    /// The kind that compares values of this shape, where there is one obvious choice.
    pub fn natural_kind(self) -> Option<SearchKind> {
        match self {
            Shape::Reference | Shape::Resource => Some(SearchKind::Reference),
            Shape::Coding | Shape::CodeableConcept | Shape::Identifier | Shape::Primitive => Some(SearchKind::Token),
            Shape::Quantity | Shape::Money | Shape::Range => Some(SearchKind::Quantity),
            Shape::Date | Shape::Period | Shape::Timing => Some(SearchKind::Date),
            _ => None,
        }
    }
}

/// A code and its system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub system: Option<&'a str>,
    /// The systems a bare `code` may come from.
    pub implied: &'a [CompactString],
    pub code: Option<&'a str>,
    /// Identifiers differ by case (R4 data type Identifier), codes do not.
    pub is_case_sensitive: bool,
}

/// What a reference points to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pointer<'a> {
    /// `Patient/1`, or a version of it.
    Relative { type_name: &'a str, id: &'a str, version: Option<&'a str> },
    /// A URL or URN, a version behind `|` included.
    Absolute(&'a str),
}

/// A number, or all numbers between two; `None` where there is no bound. Bounds belong to the range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount<'a> {
    pub low: Option<Decimal>,
    pub high: Option<Decimal>,
    pub system: Option<&'a str>,
    pub code: Option<&'a str>,
    pub unit: Option<&'a str>,
}

impl<'a> Site<'a> {
    fn at(self, node: &'a Node, shape: Shape) -> Site<'a> {
        Site { node, shape, ..self }
    }

    /// The value of an extension, as a site of the type its member's name tells.
    fn extension_value(self) -> Option<Site<'a>> {
        self.node.as_object()?.members().iter().find_map(|member| {
            let type_code = member.name.strip_prefix("value")?;
            let complex = Shape::of(type_code);
            let shape = if complex == Shape::Other { Shape::of(&lower_first(type_code)) } else { complex };
            Some(self.at(&member.node, shape))
        })
    }

    pub fn tokens(self, visit: &mut dyn FnMut(Token<'a>)) {
        let node = self.node;
        let coded = |system, code| Token { system, implied: &[], code, is_case_sensitive: false };
        match self.shape {
            Shape::Coding => visit(coded(node.text("system"), node.text("code"))),
            Shape::CodeableConcept => {
                node.items("coding").iter().for_each(|coding| visit(coded(coding.text("system"), coding.text("code"))));
            }
            Shape::Identifier => visit(Token { is_case_sensitive: true, ..coded(node.text("system"), node.text("value")) }),
            Shape::ContactPoint => visit(coded(None, node.text("value"))),
            Shape::Primitive | Shape::Canonical | Shape::Date => {
                if let Some(text) = primitive_text(node) {
                    visit(Token { implied: self.systems, ..coded(None, Some(text)) });
                }
            }
            Shape::Extension => {
                if let Some(value) = self.extension_value() {
                    value.tokens(visit);
                }
            }
            _ => {}
        }
    }

    /// The texts `:text` looks in: displays and texts beside codes.
    pub fn token_texts(self, visit: &mut dyn FnMut(&'a str)) {
        let concept = |concept: &'a Node, visit: &mut dyn FnMut(&'a str)| {
            concept.text("text").into_iter().for_each(&mut *visit);
            concept.items("coding").iter().filter_map(|coding| coding.text("display")).for_each(&mut *visit);
        };
        match self.shape {
            Shape::Coding => self.node.text("display").into_iter().for_each(visit),
            Shape::CodeableConcept => concept(self.node, visit),
            Shape::Identifier => {
                if let Some(kind) = self.node.get("type") {
                    concept(kind, visit);
                }
            }
            _ => {}
        }
    }

    pub fn texts(self, visit: &mut dyn FnMut(&'a str)) {
        let node = self.node;
        match self.shape {
            Shape::Primitive | Shape::Canonical | Shape::Date => node.as_text().into_iter().for_each(visit),
            Shape::HumanName => member_texts(node, &["text", "family", "given", "prefix", "suffix"], visit),
            Shape::Address => member_texts(node, &["text", "line", "city", "district", "state", "postalCode", "country"], visit),
            Shape::CodeableConcept => self.token_texts(visit),
            Shape::Extension => {
                if let Some(value) = self.extension_value() {
                    value.texts(visit);
                }
            }
            _ => {}
        }
    }

    pub fn pointers(self, visit: &mut dyn FnMut(Pointer<'a>)) {
        let literal = match self.shape {
            Shape::Reference => self.node.text("reference"),
            Shape::Canonical | Shape::Primitive => self.node.as_text(),
            Shape::Resource => {
                if let (Some(type_name), Some(id)) = (self.node.resource_type(), self.node.text("id")) {
                    visit(Pointer::Relative { type_name, id, version: None });
                }
                None
            }
            Shape::Extension => {
                if let Some(value) = self.extension_value() {
                    value.pointers(visit);
                }
                None
            }
            _ => None,
        };
        let Some(literal) = literal.filter(|literal| !literal.starts_with('#')) else { return };
        visit(match super::reference::relative(literal) {
            Some((type_name, id)) => {
                Pointer::Relative { type_name, id, version: literal.split_once("/_history/").map(|(_, version)| version) }
            }
            None => Pointer::Absolute(literal),
        });
    }

    /// The identifier a Reference names its target by.
    pub fn pointer_identifier(self) -> Option<Token<'a>> {
        let identifier = self.node.get("identifier").filter(|_| self.shape == Shape::Reference)?;
        let (system, code) = (identifier.text("system"), identifier.text("value"));
        Some(Token { system, implied: &[], code, is_case_sensitive: true })
    }

    pub fn uri(self) -> Option<&'a str> {
        match self.shape {
            Shape::Primitive | Shape::Canonical => self.node.as_text(),
            Shape::Extension => self.extension_value()?.uri(),
            _ => None,
        }
    }

    /// Every instant the value may stand for. A bound that is missing or cannot be read leaves that side open.
    pub fn span(self) -> Option<Interval> {
        match self.shape {
            Shape::Date | Shape::Primitive => instant(self.node),
            Shape::Period => period(self.node),
            Shape::Timing => timing(self.node),
            Shape::Extension => self.extension_value()?.span(),
            _ => None,
        }
    }

    pub fn amount(self) -> Option<Amount<'a>> {
        let node = self.node;
        match self.shape {
            Shape::Primitive => {
                let number = Decimal::parse(node.as_number()?)?;
                Some(Amount { low: Some(number), high: Some(number), system: None, code: None, unit: None })
            }
            Shape::Quantity => quantity(node),
            Shape::Money => {
                let value = number(node, "value")?;
                let currency = node.text("currency");
                Some(Amount { low: Some(value), high: Some(value), system: Some("urn:iso:std:iso:4217"), code: currency, unit: None })
            }
            Shape::Range => range(node),
            Shape::Extension => self.extension_value()?.amount(),
            _ => None,
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

fn primitive_text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        Value::Number(text) | Value::Text(text) => Some(text),
        _ => None,
    }
}

fn member_texts<'a>(node: &'a Node, names: &[&str], visit: &mut dyn FnMut(&'a str)) {
    for member in names.iter().filter_map(|name| node.get(name)) {
        match member.as_list() {
            Some(items) => items.iter().filter_map(Node::as_text).for_each(&mut *visit),
            None => member.as_text().into_iter().for_each(&mut *visit),
        }
    }
}

fn instant(node: &Node) -> Option<Interval> {
    Some(DateTime::parse_partial(node.as_text()?).ok()?.interval())
}

fn period(node: &Node) -> Option<Interval> {
    let (start, end) = (node.get("start").and_then(instant), node.get("end").and_then(instant));
    if start.is_none() && end.is_none() {
        return None;
    }
    Some(Interval { low: start.map_or(i64::MIN, |start| start.low), high: end.map_or(i64::MAX, |end| end.high) })
}

/// The outer limits of a Timing: of its events, or else of its bounds.
fn timing(node: &Node) -> Option<Interval> {
    let events = node.items("event").iter().filter_map(instant);
    let whole = events.reduce(|a, b| Interval { low: a.low.min(b.low), high: a.high.max(b.high) });
    whole.or_else(|| period(node.get("repeat")?.get("boundsPeriod")?))
}

fn number(node: &Node, name: &str) -> Option<Decimal> {
    Decimal::parse(node.get(name)?.as_number()?)
}

fn quantity(node: &Node) -> Option<Amount<'_>> {
    let value = number(node, "value")?;
    let (low, high) = match node.text("comparator") {
        Some("<" | "<=") => (None, Some(value)),
        Some(">" | ">=") => (Some(value), None),
        _ => (Some(value), Some(value)),
    };
    Some(Amount { low, high, system: node.text("system"), code: node.text("code"), unit: node.text("unit") })
}

fn range(node: &Node) -> Option<Amount<'_>> {
    let (low, high) = (node.get("low"), node.get("high"));
    let bound = |side: Option<&Node>| side.and_then(|side| number(side, "value"));
    let (from, to) = (bound(low), bound(high));
    if from.is_none() && to.is_none() {
        return None;
    }
    let side = low.or(high)?;
    Some(Amount { low: from, high: to, system: side.text("system"), code: side.text("code"), unit: side.text("unit") })
}
