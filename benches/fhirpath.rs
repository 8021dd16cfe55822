//! FHIRPath as definitions use it: every distinct rule of R4's types, at the places of real resources where it applies.

use super::documents::corpus;
use criterion::{Criterion, Throughput};
use hearthgate::definitions::Definitions;
use hearthgate::fhir::Node;
use hearthgate::fhir::path::{Expression, Focus, Item, TreeItem};
use hearthgate::fhir::types::ElementId;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::Instant;

/// Places that one rule is tried at.
const PLACES: usize = 200;

/// Times over that each is tried when the mean is printed.
const ROUNDS: u32 = 20;

struct Rule {
    expression: Expression,
    /// Where it is tried: the place, and the resource it is in.
    places: Vec<(TreeItem<'static>, &'static Node)>,
}

/// Rules by key and text.
type Rules = BTreeMap<(String, String), Rule>;
/// The rules of an element, by the same.
type RulesOfElements = HashMap<ElementId, Vec<(String, String)>>;

/// The distinct rules of the type table, with the elements that state each.
fn rules(definitions: &'static Definitions) -> (Rules, RulesOfElements) {
    let types = definitions.types();
    let (mut rules, mut by_element) = (BTreeMap::new(), HashMap::<ElementId, Vec<_>>::new());
    for (index, element) in types.elements().iter().enumerate() {
        for constraint in &element.constraints {
            let Ok(expression) = Expression::compile(&constraint.expression, types) else { continue };
            let key = (constraint.key.to_string(), constraint.expression.to_string());
            rules.entry(key.clone()).or_insert(Rule { expression, places: Vec::new() });
            by_element.entry(ElementId(u32::try_from(index).expect("few elements"))).or_default().push(key);
        }
    }
    (rules, by_element)
}

/// Every rule with the places it applies at: those of the documents, and for what they do not have, an empty resource of the type.
fn placed(definitions: &'static Definitions) -> (Vec<Rule>, usize) {
    let types = definitions.types();
    let (mut rules, by_element) = rules(definitions);
    let everything: &'static Expression = Box::leak(Box::new(Expression::compile("$this | descendants()", types).expect("an expression")));
    let documents: &'static [Node] = Vec::leak(corpus());
    for document in documents {
        let Some(focus) = Focus::resource(types, document) else { continue };
        for item in everything.evaluate(&focus).unwrap_or_default() {
            let Item::Tree(place) = item else { continue };
            for key in by_element.get(&place.content).into_iter().flatten() {
                if let Some(rule) = rules.get_mut(key).filter(|rule| rule.places.len() < PLACES) {
                    rule.places.push((place, document));
                }
            }
        }
    }
    let tried = rules.values().filter(|rule| !rule.places.is_empty()).count();
    (rules.into_values().filter(|rule| !rule.places.is_empty()).collect(), tried)
}

/// One pass over all rules and places, in the form the validator evaluates them.
fn judge(definitions: &'static Definitions, rule: &'static Rule) -> usize {
    let holds = |(place, document): &(TreeItem<'static>, &'static Node)| {
        let focus = Focus { context: Item::Tree(*place), ..Focus::resource(definitions.types(), document).expect("a resource type") };
        rule.expression.truth(black_box(&focus)).is_ok_and(|held| held)
    };
    rule.places.iter().filter(|place| holds(place)).count()
}

pub fn invariants(criterion: &mut Criterion) {
    let definitions = Definitions::embedded();
    let (rules, tried) = placed(definitions);
    let rules: &'static [Rule] = Vec::leak(rules);
    let evaluations: usize = rules.iter().map(|rule| rule.places.len()).sum();
    let mut means: Vec<f64> = rules.iter().map(|rule| mean_micros(definitions, rule)).collect();
    means.sort_by(f64::total_cmp);
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let (median, worst) = (means.get(means.len() / 2).copied().unwrap_or_default(), means.last().copied().unwrap_or_default());
    println!(
        "fhirpath: {tried} distinct rules at {evaluations} places; mean of the rules {mean:.3} µs, median {median:.3} µs, slowest {worst:.2} µs"
    );
    let mut group = criterion.benchmark_group("fhirpath");
    group.throughput(Throughput::Elements(evaluations as u64));
    group.bench_function("every rule where it applies", |bench| {
        bench.iter(|| rules.iter().map(|rule| judge(definitions, rule)).sum::<usize>());
    });
    group.finish();
}

fn mean_micros(definitions: &'static Definitions, rule: &'static Rule) -> f64 {
    judge(definitions, rule);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(judge(definitions, rule));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS) / rule.places.len() as f64
}
