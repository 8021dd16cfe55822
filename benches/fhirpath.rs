//! FHIRPath as definitions use it: every distinct rule of R4's types, at places of real resources where it applies.
//!
//! A place is an element that states the rule, in a resource of [`real::documents`]; entries of Bundles and contained resources are resources of
//! their own, as they are to the validator. Of all places of a rule an even sample is tried, [`PLACES`] at most: the rules of data types apply at
//! millions. Every rule counts alike in the mean, however often it applies.

use super::real;
use criterion::{Criterion, Throughput};
use hearthgate::definitions::Definitions;
use hearthgate::fhir::Node;
use hearthgate::fhir::path::{Expression, Focus, Item, TreeItem};
use hearthgate::fhir::types::{ElementId, TypeKind, TypeTable};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::Instant;

/// Places that one rule is tried at.
const PLACES: usize = 200;

/// Times in a row that each is tried when the mean is printed.
const ROUNDS: u32 = 20;

/// Rules in the table of the slowest.
const SLOWEST: usize = 20;

/// One element, and the resource it is in.
#[derive(Clone, Copy)]
struct Place {
    item: TreeItem<'static>,
    resource: &'static Node,
    root: &'static Node,
    document: &'static Node,
}

/// Every `stride`-th of the places that were offered; when they are too many, every second goes.
struct Sample {
    kept: Vec<Place>,
    stride: usize,
    offered: usize,
}

impl Sample {
    fn new() -> Sample {
        Sample { kept: Vec::new(), stride: 1, offered: 0 }
    }

    fn offer(&mut self, place: Place) {
        if self.offered.is_multiple_of(self.stride) {
            self.kept.push(place);
        }
        self.offered += 1;
        if self.kept.len() > PLACES {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
    }
}

struct Rule {
    key: String,
    expression: Expression,
    places: Sample,
}

/// The distinct rules of the type table, with the elements that state each.
fn rules(types: &TypeTable) -> (Vec<Rule>, HashMap<ElementId, Vec<usize>>) {
    let (mut rules, mut numbers, mut by_element) = (Vec::new(), BTreeMap::new(), HashMap::<_, Vec<_>>::new());
    for (index, element) in types.elements().iter().enumerate() {
        for constraint in &element.constraints {
            let Ok(expression) = Expression::compile(&constraint.expression, types) else { continue };
            let number = *numbers.entry((&constraint.key, &constraint.expression)).or_insert(rules.len());
            if number == rules.len() {
                rules.push(Rule { key: constraint.key.to_string(), expression, places: Sample::new() });
            }
            by_element.entry(ElementId(u32::try_from(index).expect("few elements"))).or_default().push(number);
        }
    }
    (rules, by_element)
}

/// Walks documents, and offers each place to the rules that apply there.
struct Surveyor {
    types: &'static TypeTable,
    children: &'static Expression,
    rules: Vec<Rule>,
    by_element: HashMap<ElementId, Vec<usize>>,
}

impl Surveyor {
    fn visit(&mut self, place: Place) {
        for &rule in self.by_element.get(&place.item.content).into_iter().flatten() {
            self.rules.get_mut(rule).expect("a rule of the table").places.offer(place);
        }
        let focus = focus(self.types, &place);
        for child in self.children.evaluate(&focus).unwrap_or_default() {
            let Item::Tree(item) = child else { continue };
            self.visit(self.inner(place, item));
        }
    }

    /// A resource within another begins its own surroundings; an entry's is contained in nothing.
    fn inner(&self, place: Place, item: TreeItem<'static>) -> Place {
        match item.node.filter(|_| self.types.root_kind(item.content) == Some(TypeKind::Resource)) {
            None => Place { item, ..place },
            Some(resource) if place.resource.resource_type() == Some("Bundle") => Place { item, resource, root: resource, ..place },
            Some(resource) => Place { item, resource, ..place },
        }
    }
}

/// Every rule that applies somewhere, with its places.
fn placed(types: &'static TypeTable) -> Vec<Rule> {
    let children = Box::leak(Box::new(Expression::compile("children()", types).expect("an expression")));
    let (rules, by_element) = rules(types);
    let mut surveyor = Surveyor { types, children, rules, by_element };
    for document in Vec::leak(real::documents()) {
        let Some(item) = TreeItem::resource(types, document) else { continue };
        surveyor.visit(Place { item, resource: document, root: document, document });
    }
    surveyor.rules.retain(|rule| rule.places.offered > 0);
    surveyor.rules
}

fn focus(types: &'static TypeTable, place: &Place) -> Focus<'static> {
    let whole = Focus::resource(types, place.document).expect("a resource type");
    Focus { context: Item::Tree(place.item), resource: place.resource, root_resource: place.root, ..whole }
}

/// One pass over the places of a rule, each judged so many times in a row, in the form the validator evaluates it.
fn judge(types: &'static TypeTable, rule: &'static Rule, times: u32) -> usize {
    let holds = |focus: &Focus<'static>| rule.expression.truth(black_box(focus)).is_ok_and(|held| held);
    let foci = rule.places.kept.iter().map(|place| focus(types, place));
    foci.map(|focus| (0..times).filter(|_| holds(&focus)).count()).sum()
}

fn mean_micros(types: &'static TypeTable, rule: &'static Rule) -> f64 {
    judge(types, rule, 1);
    let start = Instant::now();
    black_box(judge(types, rule, ROUNDS));
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS) / rule.places.kept.len() as f64
}

/// How many elements the element at a place has in it.
fn size(types: &'static TypeTable, place: &Place, descendants: &'static Expression) -> usize {
    descendants.evaluate(&focus(types, place)).map_or(0, |found| found.len())
}

/// The rules, after their speed was printed.
fn report() -> &'static [Rule] {
    let types = Definitions::embedded().types();
    let rules: &'static [Rule] = Vec::leak(placed(types));
    let mut timed: Vec<(f64, &Rule)> = rules.iter().map(|rule| (mean_micros(types, rule), rule)).collect();
    timed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let descendants: &Expression = Box::leak(Box::new(Expression::compile("descendants()", types).expect("an expression")));
    println!("{:<8} {:>10} {:>9} {:>9} {:>12}", "rule", "µs", "places", "tried", "elements in");
    for (micros, rule) in timed.iter().take(SLOWEST) {
        let kept = &rule.places.kept;
        let elements = kept.iter().map(|place| size(types, place, descendants)).sum::<usize>() / kept.len();
        println!("{:<8} {micros:>10.2} {:>9} {:>9} {elements:>12}", rule.key, rule.places.offered, kept.len());
    }
    let mean = timed.iter().map(|one| one.0).sum::<f64>() / timed.len() as f64;
    let at = |index: usize| timed.get(index).map_or(0.0, |one| one.0);
    println!(
        "fhirpath: {} of {} distinct rules, at {} places; mean of the rules {mean:.3} µs, median {:.3} µs, slowest {:.2} µs",
        rules.len(),
        self::rules(types).0.len(),
        rules.iter().map(|rule| rule.places.kept.len()).sum::<usize>(),
        at(timed.len() / 2),
        at(0)
    );
    rules
}

pub fn invariants(criterion: &mut Criterion) {
    let types = Definitions::embedded().types();
    let rules = report();
    let evaluations: usize = rules.iter().map(|rule| rule.places.kept.len()).sum();
    let mut group = criterion.benchmark_group("fhirpath");
    group.throughput(Throughput::Elements(evaluations as u64));
    group.bench_function("every rule where it applies", |bench| {
        bench.iter(|| rules.iter().map(|rule| judge(types, rule, 1)).sum::<usize>());
    });
    group.finish();
}
