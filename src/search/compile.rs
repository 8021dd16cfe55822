//! Search parameter definitions into [`Parameter`]s, by walking their paths along the type table.

use super::expression::{self, Op, Path};
use super::parameter::{Composite, Parameter, Part, Root, Source};
use super::select::{Selector, Step};
use super::target::Shape;
use crate::definitions::{Definitions, SearchKind, SearchParameter};
use crate::fhir::types::{ElementId, TypeTable, choice_name};
use compact_str::CompactString;
use std::sync::Arc;

/// Code systems a `code` element's value set may draw from before its codes count as having none in particular.
const MAX_IMPLIED_SYSTEMS: usize = 8;

/// All parameters of a type, in order of their codes. Of two with one code the first is taken.
pub(super) fn parameters(definitions: &Definitions, type_name: &str) -> Vec<Arc<Parameter>> {
    let Some(definition) = definitions.types().resource(type_name) else { return Vec::new() };
    let compiler = Compiler { definitions, table: definitions.types(), type_name, root: Place { element: definition.root, type_index: 0 } };
    let (composite, simple): (Vec<_>, Vec<_>) =
        definitions.search_parameters(type_name).partition(|parameter| parameter.kind == SearchKind::Composite);
    let mut parameters: Vec<Arc<Parameter>> = simple.into_iter().map(|parameter| Arc::new(compiler.simple(parameter))).collect();
    let composites: Vec<Arc<Parameter>> =
        composite.into_iter().map(|parameter| Arc::new(compiler.composite(parameter, &parameters))).collect();
    parameters.extend(composites);
    parameters.sort_by(|a, b| a.code().cmp(b.code()));
    parameters.dedup_by(|later, first| later.code() == first.code());
    parameters
}

/// An element as one of its types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    element: ElementId,
    type_index: usize,
}

/// A path as far as it has been walked.
#[derive(Clone)]
struct Branch {
    steps: Vec<Step>,
    place: Place,
    /// An extension was selected, whose value's type only the document shows.
    is_extension: bool,
    /// The paths whose truth is the value, see [`Selector::truth`].
    truth: Vec<Vec<Step>>,
}

struct Compiler<'d> {
    definitions: &'d Definitions,
    table: &'d TypeTable,
    type_name: &'d str,
    root: Place,
}

impl Compiler<'_> {
    fn simple(&self, definition: &SearchParameter) -> Parameter {
        let source = match (definition.code.as_str(), definition.kind) {
            ("_id", _) => Source::Id,
            ("_lastUpdated", _) => Source::LastUpdated,
            (_, SearchKind::Special) => Source::Unsupported,
            _ => match self.branches(&definition.expression) {
                Some(branches) => Source::Elements(branches.into_iter().map(|branch| self.selector(branch)).collect()),
                None => Source::Unsupported,
            },
        };
        self.parameter(definition, definition.kind, source)
    }

    fn parameter(&self, definition: &SearchParameter, kind: SearchKind, source: Source) -> Parameter {
        Parameter::new(self.type_name, &definition.code, &definition.url, kind, &definition.targets, source)
    }

    fn composite(&self, definition: &SearchParameter, known: &[Arc<Parameter>]) -> Parameter {
        let source = self.composite_source(definition, known).map_or(Source::Unsupported, Source::Composite);
        self.parameter(definition, SearchKind::Composite, source)
    }

    fn composite_source(&self, definition: &SearchParameter, known: &[Arc<Parameter>]) -> Option<Composite> {
        let mut roots = Vec::new();
        for branch in self.branches(&definition.expression)? {
            let parts: Option<Vec<Vec<Selector>>> =
                definition.components.iter().map(|component| self.component(&branch, &component.expression)).collect();
            roots.push(Root { steps: branch.steps, parts: parts? });
        }
        let mut parts = Vec::new();
        for (index, component) in definition.components.iter().enumerate() {
            parts.push(self.part(&component.definition, &roots, index, known)?);
        }
        (!roots.is_empty() && !parts.is_empty()).then_some(Composite { parts, roots })
    }

    /// How a part compares: as its definition says, or as its element demands where the definition cannot be meant.
    fn part(&self, url: &str, roots: &[Root], index: usize, known: &[Arc<Parameter>]) -> Option<Part> {
        let selectors = |root: &Root| root.parts.get(index).cloned().unwrap_or_default();
        let shape = roots.iter().flat_map(selectors).next()?.shape;
        if let Some(parameter) = known.iter().find(|parameter| parameter.url() == url && shape.suits(parameter.kind())) {
            return Some(Part { is_indexed: covers(parameter, roots, index), parameter: Arc::clone(parameter) });
        }
        let definition = self.definitions.search_parameter_by_url(url)?;
        let kind = if shape.suits(definition.kind) { definition.kind } else { shape.natural_kind()? };
        let parameter = Arc::new(self.parameter(definition, kind, Source::Elements(Vec::new())));
        Some(Part { parameter, is_indexed: false })
    }

    fn component(&self, root: &Branch, expression: &str) -> Option<Vec<Selector>> {
        let mut selectors = Vec::new();
        for path in expression::parse(expression)? {
            let is_from_resource = path.first() == Some(&Op::Resource);
            let start = Branch { steps: Vec::new(), place: if is_from_resource { self.root } else { root.place }, ..root.clone() };
            let rest = path.get(usize::from(is_from_resource)..)?;
            let branches = self.walk(start, rest)?.into_iter();
            selectors.extend(branches.map(|branch| Selector { is_from_resource, ..self.selector(branch) }));
        }
        Some(selectors)
    }

    /// The branches of an expression that begins with type names; those of other types select nothing.
    fn branches(&self, expression: &str) -> Option<Vec<Branch>> {
        let mut branches = Vec::new();
        for path in expression::parse(expression)? {
            if let Some(rest) = self.below_own_type(&path)? {
                let start = Branch { steps: Vec::new(), place: self.root, is_extension: false, truth: Vec::new() };
                branches.extend(match rest.split_last() {
                    Some((Op::Truth, subject)) => vec![truth_of(self.walk(start, subject)?, self.root)],
                    _ => self.walk(start, rest)?,
                });
            }
        }
        Some(branches)
    }

    fn below_own_type<'p>(&self, path: &'p Path) -> Option<Option<&'p [Op]>> {
        match path.split_first()? {
            (Op::Resource, rest) => Some(Some(rest)),
            (Op::Name(name), rest) if self.table.is_kind_of(self.type_name, name) => Some(Some(rest)),
            (Op::Name(name), _) if self.table.type_named(name).is_some() => Some(None),
            // One definition of R4 leaves its type's name out.
            (Op::Name(name), _) if name.starts_with(|first: char| first.is_ascii_lowercase()) => Some(Some(path)),
            _ => None,
        }
    }

    fn walk(&self, start: Branch, path: &[Op]) -> Option<Vec<Branch>> {
        path.iter().try_fold(vec![start], |branches, op| {
            let mut next = Vec::new();
            for branch in branches {
                self.step(branch, op, &mut next)?;
            }
            Some(next)
        })
    }

    /// The branches one step further; `None` when the step cannot be taken.
    fn step(&self, mut branch: Branch, op: &Op, next: &mut Vec<Branch>) -> Option<()> {
        match op {
            Op::Name(name) => return self.enter_member(branch, name, next),
            Op::OfType(name) => {
                let code = self.type_code(branch.place);
                // One definition of R4 writes DateTime for dateTime.
                if code.eq_ignore_ascii_case(name) {
                    next.push(branch);
                }
                return Some(());
            }
            Op::Index(index) => match branch.steps.pop()? {
                Step::Member(name) => branch.steps.push(Step::Nth(name, *index)),
                _ => return None,
            },
            Op::WhereEquals(member, text) => branch.steps.push(Step::Equals(member.clone(), text.clone())),
            Op::WhereResolves(type_name) => branch.steps.push(Step::Resolves(type_name.clone())),
            Op::WhereExtension(url) => branch.steps.push(Step::HasExtension(url.clone())),
            Op::Extension(url) => {
                branch.steps.push(Step::Extension(url.clone()));
                branch.is_extension = true;
            }
            Op::Truth | Op::Resource => return None,
        }
        next.push(branch);
        Some(())
    }

    fn enter_member(&self, branch: Branch, name: &str, next: &mut Vec<Branch>) -> Option<()> {
        if branch.is_extension {
            return None;
        }
        let content = self.table.content(branch.place.element, branch.place.type_index);
        let &child = self.table.element(content).children.iter().find(|child| self.table.element(**child).name == name)?;
        let element = self.table.element(child);
        if !element.is_choice {
            next.push(branch.to(Step::Member(name.into()), Place { element: child, type_index: 0 }));
            return Some(());
        }
        for (type_index, type_use) in element.types.iter().enumerate() {
            let step = Step::Member(choice_name(name, &type_use.code));
            next.push(branch.clone().to(step, Place { element: child, type_index }));
        }
        Some(())
    }

    fn type_code(&self, place: Place) -> &str {
        if place == self.root {
            return self.type_name;
        }
        self.table.element(place.element).types.get(place.type_index).map_or("BackboneElement", |type_use| &type_use.code)
    }

    fn selector(&self, branch: Branch) -> Selector {
        let code = self.type_code(branch.place);
        let shape = match () {
            () if !branch.truth.is_empty() => Shape::Primitive,
            () if branch.is_extension => Shape::Extension,
            () => Shape::of(code),
        };
        let systems = if code == "code" { self.implied_systems(branch.place.element) } else { Vec::new() };
        Selector { steps: branch.steps, shape, systems, truth: branch.truth, is_from_resource: false }
    }

    /// The systems from which an element of type `code` takes its codes.
    fn implied_systems(&self, element: ElementId) -> Vec<CompactString> {
        let binding = self.table.element(element).binding.as_ref();
        let Some(value_set) = binding.and_then(|binding| self.definitions.value_set(&binding.value_set)) else { return Vec::new() };
        let mut systems: Vec<CompactString> = value_set.include.iter().filter_map(|set| set.system.clone()).collect();
        systems.sort_unstable();
        systems.dedup();
        systems.truncate(MAX_IMPLIED_SYSTEMS);
        systems
    }
}

impl Branch {
    fn to(mut self, step: Step, place: Place) -> Branch {
        self.steps.push(step);
        self.place = place;
        self
    }
}

/// One value for all branches: whether any of them leads to anything but false.
fn truth_of(branches: Vec<Branch>, place: Place) -> Branch {
    let truth = branches.into_iter().map(|branch| branch.steps).collect();
    Branch { steps: Vec::new(), place, is_extension: false, truth }
}

/// Whether a parameter selects at least what one part selects below every root.
fn covers(parameter: &Parameter, roots: &[Root], index: usize) -> bool {
    let Source::Elements(selectors) = &parameter.source else { return false };
    roots.iter().all(|root| {
        root.parts.get(index).is_some_and(|part| {
            part.iter().all(|selector| {
                let above: &[Step] = if selector.is_from_resource { &[] } else { &root.steps };
                let whole: Vec<&Step> = above.iter().chain(&selector.steps).collect();
                selectors.iter().any(|own| own.steps.iter().eq(whole.iter().copied()))
            })
        })
    })
}
