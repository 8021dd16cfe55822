//! The invariants of definitions, compiled when an element first needs them.

use super::Definitions;
use crate::fhir::path::{Expression, PathError};
use crate::fhir::types::{Constraint, ElementId, TypeTable};
use compact_str::CompactString;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Rules that the walk over a document judges itself, faster and with a better place than an expression has:
/// content, extensions' value or extensions, contained resources, narrative. R4's expressions of ref-1 (which refuses `#`) and que-12 (which lets
/// two conditions pass) are not what their texts say.
const JUDGED_BY_THE_WALK: [&str; 10] = ["ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2", "ref-1", "que-12"];

/// Where the rule ids of FHIR's own definitions begin.
const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// One rule, ready to be evaluated.
#[derive(Debug)]
pub struct Invariant {
    pub key: CompactString,
    /// The rule's name in findings: the definition's URL and the key, `http://hl7.org/fhir/StructureDefinition/Observation#obs-6`.
    pub id: &'static str,
    pub is_error: bool,
    pub best_practice: bool,
    /// What the definition says must hold.
    pub text: CompactString,
    /// The same compiled, or why it cannot be.
    pub expression: Result<Expression, PathError>,
}

/// Rules whose published expression is not what their text says, by the expression; later releases state them so.
const CORRECTED: [(&str, &str); 5] = [
    ("($this as dateTime).toString().length() >= 8", "$this is dateTime implies $this.toString().length() >= 8"),
    ("isModifier implies isModifierReason.exists()", "(isModifier.exists() and isModifier) implies isModifierReason.exists()"),
    (
        "probability is decimal implies (probability as decimal) <= 100",
        "probability.empty() or ((probability is decimal) implies ((probability as decimal) <= 100))",
    ),
    ("generated='generated' implies source.empty()", "generated.empty() or generated='generated' implies source.empty()"),
    ("fullUrl.contains('/_history/').not()", "fullUrl.empty() or fullUrl.contains('/_history/').not()"),
];

/// What a rule means where its expression says something else.
fn as_meant(expression: &str) -> &str {
    CORRECTED.iter().find(|one| one.0 == expression).map_or(expression, |one| one.1)
}

impl Invariant {
    /// Compiles a constraint that `source` (a canonical URL) states.
    pub fn compile(constraint: &Constraint, source: &str, types: &TypeTable) -> Invariant {
        Invariant {
            key: constraint.key.clone(),
            id: kept(&format!("{source}#{}", constraint.key)),
            is_error: constraint.is_error,
            best_practice: constraint.best_practice,
            text: constraint.expression.clone(),
            expression: Expression::compile(as_meant(&constraint.expression), types),
        }
    }
}

/// Whether the walk judges a rule itself.
pub fn is_judged_by_the_walk(key: &str) -> bool {
    JUDGED_BY_THE_WALK.contains(&key)
}

/// The rules an element of the type table states that are not judged otherwise.
pub(super) fn of_element(definitions: &Definitions, id: ElementId) -> Box<[Invariant]> {
    let types = definitions.types();
    let element = types.element(id);
    let type_name = element.path.split('.').next().unwrap_or_default();
    let stated = element.constraints.iter().filter(|constraint| !is_judged_by_the_walk(&constraint.key));
    let source = |constraint: &Constraint| types.model_url(type_name).map_or_else(|| source_of(constraint, type_name), str::to_owned);
    stated.map(|constraint| Invariant::compile(constraint, &source(constraint), types)).collect()
}

/// A type repeats the rules of the type it specialises; they keep its name.
fn source_of(constraint: &Constraint, type_name: &str) -> String {
    let owner = if constraint.key.starts_with("dom-") { "DomainResource" } else { type_name };
    format!("{BASE}{owner}")
}

static KEPT: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// Whether anything that was evaluated so far is called so.
#[cfg(test)]
pub fn is_kept(name: &str) -> bool {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
}

/// The text, kept for as long as the process lives, once. Findings name rules by `&'static str`; their number is that of the rules of the
/// packages that were loaded, for of definitions that are only judged no rule is compiled.
fn kept(text: &str) -> &'static str {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.get(text) {
        Some(found) => found,
        None => {
            let text: &'static str = text.to_owned().leak();
            kept.insert(text);
            text
        }
    }
}
