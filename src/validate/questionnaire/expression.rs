//! Items that an expression enables (<http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression>).
//!
//! The expression is asked of the whole response. What it cannot be asked is an answer too: the item is then judged neither missing nor out of place.

use super::super::environment::Surroundings;
use super::super::exhausted::GIVEN_UP;
use super::super::references::Scope;
use super::super::structure::Walk;
use super::extension;
use crate::fhir::Node;
use crate::fhir::path::{DEFAULT_LIMITS, Environment, Expression, Focus, Item, Limits, PathError};
use crate::fhir::types::TypeTable;
use std::cell::Cell;
use std::collections::HashMap;

/// The extension of the implementation guide for structured data capture, and that of Finland's personal health record, which is older.
const ENABLE_WHEN: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression";
const FINNISH: &str = "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen";

/// Units of work that one expression may cost. Whoever sends a response may send its Questionnaire with it.
const STEPS_MAX: u64 = 100_000;

/// How many expressions of one Questionnaire are evaluated.
const EXPRESSIONS_MAX: usize = 500;

/// What an expression says, or why it says nothing.
pub type Said = Result<bool, String>;

/// What the expressions of a Questionnaire say of a response, each evaluated once.
pub struct Expressions<'n> {
    scope: &'n Scope<'n>,
    said: HashMap<&'n str, Said>,
}

impl<'n> Expressions<'n> {
    pub fn of(scope: &'n Scope<'n>) -> Expressions<'n> {
        Expressions { scope, said: HashMap::new() }
    }

    /// Whether the expression of an item enables it; none for an item without.
    pub fn enables(&mut self, walk: &mut Walk<'_>, item: &'n Node) -> Option<Said> {
        Some(stated(item)?.and_then(|text| {
            if let Some(said) = self.said.get(text) {
                return said.clone();
            }
            if self.said.len() >= EXPRESSIONS_MAX {
                return Err(format!("the Questionnaire has more than {EXPRESSIONS_MAX} of them"));
            }
            let said = evaluate(walk, text, self.scope);
            self.said.insert(text, said.clone());
            said
        }))
    }
}

/// The FHIRPath that enables an item, or why what it states is none.
fn stated(item: &Node) -> Option<Result<&str, String>> {
    if let Some(text) = extension(item, FINNISH) {
        return Some(text.as_text().ok_or_else(|| "it is no text".to_owned()));
    }
    let stated = extension(item, ENABLE_WHEN)?;
    Some(match (stated.text("language"), stated.text("expression")) {
        (Some("text/fhirpath"), Some(text)) => Ok(text),
        (Some("text/fhirpath"), None) => Err("it has no text".to_owned()),
        _ => Err("its language is not FHIRPath".to_owned()),
    })
}

fn evaluate(walk: &mut Walk<'_>, text: &str, scope: &Scope<'_>) -> Said {
    if walk.exhausted.is_given_up(ENABLE_WHEN) {
        return Err(GIVEN_UP.to_owned());
    }
    let surroundings = Watched { inner: Surroundings::within(walk, scope), is_short: Cell::new(false) };
    let focus = Focus::resource(walk.types, scope.resource).ok_or("the response is of no known type")?;
    let focus = Focus {
        root_resource: scope.container,
        document: scope.document,
        environment: &surroundings,
        now: walk.options.now,
        limits: Limits { steps: STEPS_MAX, ..DEFAULT_LIMITS },
        ..focus
    };
    let said = Expression::compile(text, walk.types).and_then(|expression| expression.truth(&focus));
    walk.exhausted.note(ENABLE_WHEN, &said);
    if surroundings.is_short.get() {
        return Err("it follows a reference to what is not in hand".to_owned());
    }
    said.map_err(|error| error.to_string())
}

/// The surroundings of an expression, and whether it asked them for a resource that they do not have: what it says then is about nothing.
struct Watched<'a> {
    inner: Surroundings<'a>,
    is_short: Cell<bool>,
}

impl Environment for Watched<'_> {
    fn resolve(&self, reference: &str) -> Option<&Node> {
        let found = self.inner.resolve(reference);
        self.is_short.set(self.is_short.get() || found.is_none());
        found
    }

    fn member_of(&self, types: &TypeTable, coded: &Item<'_>, value_set: &str) -> Result<Option<bool>, PathError> {
        self.inner.member_of(types, coded, value_set)
    }

    fn conforms_to(&self, types: &TypeTable, item: &Item<'_>, profile: &str) -> Result<Option<bool>, PathError> {
        self.inner.conforms_to(types, item, profile)
    }
}
