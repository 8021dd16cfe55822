//! Conditions on other resources than the ones searched: chains (`subject:Patient.name=…`) and `_has` (FHIR R4 §3.1.1.4.7, §3.1.1.4.8).
//!
//! A link is a query of its own. Whoever may see what answers it searches first, and [`Query::joined`] turns the answers into a condition
//! on the resources searched for: so what a caller may not see never selects anything.

use super::matching::Filter;
use super::parameter::{Parameter, parameter};
use super::query::{Handling, Query, malformed, not_supported};
use super::select::Site;
use super::target::Pointer;
use super::value::{Modifier, Wanted};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::Node;
use crate::outcome::{Reason, Refusal};
use std::sync::Arc;

/// Links that may stand one behind the other.
pub const MAX_LINK_DEPTH: usize = 3;

/// Types that a chain may go through at once where it names none.
const MAX_CHAINED_TYPES: usize = 16;

/// A condition on what the resources searched for refer to, or are referred to by.
#[derive(Debug, Clone)]
pub struct Link {
    way: Way,
    queries: Vec<Query>,
}

#[derive(Debug, Clone)]
enum Way {
    /// The resources searched for refer to the answers by this parameter.
    Forward(Arc<Parameter>),
    /// The answers refer to the resources searched for by this parameter.
    Reverse(Arc<Parameter>),
}

/// The parts of a parameter's name that leads to another resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedName<'a> {
    /// `parameter[:type].rest`
    Forward { parameter: &'a str, type_name: Option<&'a str>, rest: &'a str },
    /// `_has:type:parameter:rest`
    Reverse { type_name: &'a str, parameter: &'a str, rest: &'a str },
}

impl<'a> LinkedName<'a> {
    /// `None` for a name that stays with the resource itself, and for a `_has` that is not complete.
    pub fn of(name: &'a str) -> Option<LinkedName<'a>> {
        if let Some(reverse) = name.strip_prefix("_has:") {
            let (type_name, after) = reverse.split_once(':')?;
            let (parameter, rest) = after.split_once(':')?;
            return Some(LinkedName::Reverse { type_name, parameter, rest });
        }
        let (first, rest) = name.split_once('.')?;
        let (parameter, type_name) = first.split_once(':').map_or((first, None), |(parameter, type_name)| (parameter, Some(type_name)));
        Some(LinkedName::Forward { parameter, type_name, rest })
    }
}

impl Link {
    /// The queries whose answers matter, each of one type; what any of them finds will do.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// Reads a link of a query on `type_name`, which is itself `depth` links away from what is searched for.
    pub(super) fn read(definitions: &'static Definitions, type_name: &str, name: &str, value: &str, depth: usize) -> Result<Link, Refusal> {
        let shown = super::query::shown(name);
        if depth >= MAX_LINK_DEPTH {
            return Err(not_supported(&shown, format!("Chained search parameters may have at most {MAX_LINK_DEPTH} links.")));
        }
        let inner = |on: &str, rest: &str| Query::parse_linked(definitions, on, &[(rest.to_owned(), value.to_owned())], depth + 1);
        match LinkedName::of(name) {
            Some(LinkedName::Forward { parameter: code, type_name: target, rest }) => {
                let parameter = reference_parameter(definitions, type_name, code, &shown)?;
                let queries = match target {
                    Some(target) if points_to(definitions, parameter, target) => vec![inner(target, rest)?],
                    Some(_) => return Err(malformed(&shown, "names a type that the reference cannot have")),
                    None => any_type(parameter, &shown, |target| inner(target, rest))?,
                };
                Ok(Link { way: Way::Forward(Arc::clone(parameter)), queries })
            }
            Some(LinkedName::Reverse { type_name: other, parameter: code, rest }) => {
                if definitions.types().resource(other).is_none() {
                    return Err(malformed(&shown, "names a resource type that is not known"));
                }
                let parameter = reference_parameter(definitions, other, code, &shown)?;
                if !points_to(definitions, parameter, type_name) {
                    return Err(malformed(&shown, "goes by a reference that cannot point to the type searched for"));
                }
                Ok(Link { way: Way::Reverse(Arc::clone(parameter)), queries: vec![inner(other, rest)?] })
            }
            None => Err(malformed(&shown, "must have the form _has:Type:reference:parameter")),
        }
    }

    /// The condition that the resources found for this link make.
    pub(super) fn filter<'n>(&self, definitions: &'static Definitions, on: &str, found: impl Iterator<Item = &'n Node>) -> Option<Filter> {
        let pointer = |type_name: &str, id: &str| Wanted::Pointer { type_name: Some(type_name.to_owned()), id: id.to_owned() };
        let (parameter, mut alternatives) = match &self.way {
            Way::Forward(parameter) => {
                let named = found.filter_map(|resource| Some(pointer(resource.resource_type()?, resource.text("id")?)));
                (Arc::clone(parameter), named.collect::<Vec<_>>())
            }
            Way::Reverse(parameter) => {
                let mut ids = Vec::new();
                found.for_each(|resource| {
                    pointers(parameter, resource, &mut |type_name, id| {
                        if type_name == on {
                            ids.push(Wanted::Id(id.to_owned()));
                        }
                    })
                });
                (Arc::clone(super::parameter::parameter(definitions, on, "_id")?), ids)
            }
        };
        let mut seen = std::collections::HashSet::new();
        alternatives.retain(|wanted| match wanted {
            Wanted::Id(id) | Wanted::Pointer { id, .. } => seen.insert(id.clone()),
            _ => false,
        });
        Some(Filter { parameter, modifier: Modifier::None, alternatives })
    }
}

/// Hands the type and id of every relative reference the parameter finds in a resource to `visit`.
pub(super) fn pointers<'a>(parameter: &'a Parameter, resource: &'a Node, visit: &mut dyn FnMut(&'a str, &'a str)) {
    parameter.visit(resource, &mut |site: Site<'a>| {
        site.pointers(&mut |pointer| {
            if let Pointer::Relative { type_name, id, .. } = pointer {
                visit(type_name, id);
            }
        });
    });
}

pub(super) fn points_to(definitions: &Definitions, parameter: &Parameter, type_name: &str) -> bool {
    let is_target = parameter.targets.is_empty() || parameter.targets.iter().any(|target| target == type_name);
    is_target && definitions.types().resource(type_name).is_some()
}

fn reference_parameter(
    definitions: &'static Definitions,
    type_name: &str,
    code: &str,
    shown: &str,
) -> Result<&'static Arc<Parameter>, Refusal> {
    let Some(found) = parameter(definitions, type_name, code) else {
        return Err(super::query::unknown(shown, type_name));
    };
    if found.kind() == SearchKind::Reference && found.is_supported() {
        return Ok(found);
    }
    Err(malformed(shown, "goes by a parameter that is no reference"))
}

/// A chain that names no type goes through every type that has the parameter behind it.
fn any_type(parameter: &Parameter, shown: &str, inner: impl Fn(&str) -> Result<Query, Refusal>) -> Result<Vec<Query>, Refusal> {
    if parameter.targets.is_empty() || parameter.targets.len() > MAX_CHAINED_TYPES {
        return Err(malformed(shown, "must name the type it goes through, as in subject:Patient.name"));
    }
    let mut queries = Vec::new();
    let mut unknown = None;
    for target in &parameter.targets {
        match inner(target) {
            Ok(query) => queries.push(query),
            Err(refusal) if refusal.reason == Reason::UnknownParameter => unknown = Some(refusal),
            Err(refusal) => return Err(refusal),
        }
    }
    match unknown {
        Some(refusal) if queries.is_empty() => Err(refusal),
        _ => Ok(queries),
    }
}

impl Query {
    /// A query that stands behind a link. Nothing unknown is passed over in it: its absence would change the answer.
    fn parse_linked(
        definitions: &'static Definitions,
        type_name: &str,
        pairs: &[(String, String)],
        depth: usize,
    ) -> Result<Query, Refusal> {
        Query::parse_at(definitions, type_name, pairs, Handling::Strict, depth)
    }
}
