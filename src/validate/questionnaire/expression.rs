//! Items that an expression enables (<http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression>).
//!
//! The expression is asked of the whole response, beside the form (`%questionnaire`), the item of it (`%qitem`) and the variables that the form and the
//! items around define (<http://hl7.org/fhir/StructureDefinition/variable>). What it cannot be asked is an answer too: the item is then judged neither
//! missing nor out of place.

use super::super::environment::Surroundings;
use super::super::exhausted::GIVEN_UP;
use super::super::references::Scope;
use super::super::structure::Walk;
use super::extension;
use crate::fhir::Node;
use crate::fhir::path::{DEFAULT_LIMITS, Environment, Expression, Focus, Item, Limits, PathError, TreeItem};
use crate::fhir::types::TypeTable;
use std::cell::Cell;
use std::collections::HashMap;

/// The extension of the implementation guide for structured data capture, and that of Finland's personal health record, which is older.
const ENABLE_WHEN: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression";
const FINNISH: &str = "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen";

/// What an expression may name beside it: a value by its name, computed where the variable is defined and everywhere below.
const VARIABLE: &str = "http://hl7.org/fhir/StructureDefinition/variable";

/// How many variables one expression may have around it.
const VARIABLES_MAX: usize = 32;

/// How deep the items of a form are looked into.
const DEPTH_MAX: usize = super::super::DEPTH_MAX;

/// Units of work that one expression may cost. Whoever sends a response may send its Questionnaire with it.
const STEPS_MAX: u64 = 100_000;

/// How many expressions of one Questionnaire are evaluated.
const EXPRESSIONS_MAX: usize = 500;

/// What an expression says, or why it says nothing.
pub type Said = Result<bool, String>;

/// What the expressions of a Questionnaire say of a response, each evaluated once.
pub struct Expressions<'n> {
    scope: &'n Scope<'n>,
    form: &'n Node,
    /// By the address of the item.
    said: HashMap<usize, Said>,
}

impl<'n> Expressions<'n> {
    pub fn of(form: &'n Node, scope: &'n Scope<'n>) -> Expressions<'n> {
        Expressions { scope, form, said: HashMap::new() }
    }

    /// Whether the expression of an item enables it; none for an item without.
    pub fn enables(&mut self, walk: &mut Walk<'_>, item: &'n Node) -> Option<Said> {
        let stated = stated(item)?;
        let key = std::ptr::from_ref(item).addr();
        if let Some(said) = self.said.get(&key) {
            return Some(said.clone());
        }
        if self.said.len() >= EXPRESSIONS_MAX {
            return Some(Err(format!("the Questionnaire has more than {EXPRESSIONS_MAX} of them")));
        }
        let said = stated.and_then(|text| evaluate(walk, text, self.form, item, self.scope));
        self.said.insert(key, said.clone());
        Some(said)
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

fn evaluate(walk: &mut Walk<'_>, text: &str, form: &Node, item: &Node, scope: &Scope<'_>) -> Said {
    if walk.exhausted.is_given_up(ENABLE_WHEN) {
        return Err(GIVEN_UP.to_owned());
    }
    let mut around = vec![form];
    path_to(form, item, &mut around, 0);
    let variables: Vec<Variable<'_>> = around.iter().flat_map(|node| node.items("extension")).filter_map(variable).collect();
    if variables.len() > VARIABLES_MAX {
        return Err(format!("more than {VARIABLES_MAX} variables are defined around it"));
    }
    let is_short = Cell::new(false);
    let of_form = TreeItem::resource(walk.types, form).map(|form| ("questionnaire", vec![Item::Tree(form)]));
    let content = walk.types.type_named("Questionnaire").and_then(|form| walk.types.child_named(form.root, "item"));
    let of_item = content.map(|content| ("qitem", vec![Item::Tree(TreeItem { node: Some(item), sibling: None, content })]));
    let known = of_form.into_iter().chain(of_item).collect();
    // The variables and the expression together cost no more than one expression may.
    let steps = STEPS_MAX / (1 + variables.len() as u64);
    let said = with_variables(walk, &variables, known, text, scope, &is_short, steps);
    walk.exhausted.note(ENABLE_WHEN, &said);
    if is_short.get() {
        return Err("it follows a reference to what is not in hand".to_owned());
    }
    said.map_err(|error| error.to_string())
}

/// The items of a form from the outside to one of them.
fn path_to<'n>(parent: &'n Node, item: &Node, path: &mut Vec<&'n Node>, depth: usize) -> bool {
    if depth == DEPTH_MAX {
        return false;
    }
    parent.items("item").iter().any(|child| {
        path.push(child);
        let is_there = std::ptr::eq(child, item) || path_to(child, item, path, depth + 1);
        if !is_there {
            path.pop();
        }
        is_there
    })
}

/// The name of a variable and its expression.
type Variable<'n> = (&'n str, &'n str);

/// One in another language is none that an expression could name.
fn variable(extension: &Node) -> Option<Variable<'_>> {
    let stated = extension.get("valueExpression").filter(|_| extension.text("url") == Some(VARIABLE))?;
    let is_path = stated.text("language") == Some("text/fhirpath");
    is_path.then_some(())?;
    Some((stated.text("name")?, stated.text("expression")?))
}

/// Computes one variable after the other, each of which may name those before it, and then the expression. One that cannot be computed has no value,
/// so that the expression that names it says nothing.
fn with_variables<'e>(
    walk: &Walk<'_>,
    variables: &[Variable<'e>],
    known: Vec<(&'e str, Vec<Item<'e>>)>,
    text: &str,
    scope: &'e Scope<'e>,
    is_short: &Cell<bool>,
    steps: u64,
) -> Result<bool, PathError> {
    let surroundings = Watched { inner: Surroundings::within(walk, scope), is_short, known };
    let focus = Focus::resource(walk.types, scope.resource).ok_or(PathError::UnknownCanonical { function: "resource" })?;
    let focus = Focus {
        root_resource: scope.container,
        document: scope.document,
        environment: &surroundings,
        now: walk.options.now,
        limits: Limits { steps, ..DEFAULT_LIMITS },
        ..focus
    };
    let Some(((name, stated), rest)) = variables.split_first() else {
        return Expression::compile(text, walk.types)?.truth(&focus);
    };
    let expression = Expression::compile(stated, walk.types);
    let mut known: Vec<(&str, Vec<Item<'_>>)> = surroundings.known.iter().filter(|one| one.0 != *name).cloned().collect();
    match expression.as_ref().map(|expression| expression.evaluate(&focus)) {
        Ok(Ok(items)) => known.push((name, items)),
        Ok(Err(error @ PathError::Limit { .. })) => return Err(error),
        Ok(Err(_)) | Err(_) => {}
    }
    with_variables(walk, rest, known, text, scope, is_short, steps)
}

/// The surroundings of an expression, and whether it asked them for a resource that they do not have: what it says then is about nothing.
struct Watched<'a, 'e> {
    inner: Surroundings<'a>,
    is_short: &'a Cell<bool>,
    /// The values of variables, by their names.
    known: Vec<(&'e str, Vec<Item<'e>>)>,
}

impl Environment for Watched<'_, '_> {
    fn variable<'v>(&'v self, name: &str) -> Option<&'v [Item<'v>]> {
        self.known.iter().find(|one| one.0 == name).map(|one| one.1.as_slice()).or_else(|| self.inner.variable(name))
    }

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
