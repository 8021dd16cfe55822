//! `_include` and `_revinclude` (FHIR R4 §3.1.1.5.4): which other resources come along with those found.

use super::link::{pointers, points_to};
use super::matching::Filter;
use super::parameter::{Parameter, parameters_of};
use super::query::{Query, malformed};
use super::value::{Modifier, Wanted};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::Node;
use crate::outcome::Refusal;
use compact_str::CompactString;
use std::sync::Arc;

/// Includes one query may have.
pub(super) const MAX_INCLUDES: usize = 16;

/// One `_include` or `_revinclude`.
#[derive(Debug, Clone)]
pub struct Include {
    is_reverse: bool,
    /// Whether it applies to what came along, too.
    iterates: bool,
    /// The type that refers.
    type_name: CompactString,
    /// The references it goes by.
    parameters: Vec<Arc<Parameter>>,
    /// The only type that may be referred to, when one is named.
    target: Option<CompactString>,
}

impl Include {
    /// Reads `Type:parameter[:target]`, `Type:*`, or, for a forward include, `*`. `searched` is the type of the query.
    pub(super) fn read(definitions: &'static Definitions, searched: &str, name: &str, value: &str) -> Result<Include, Refusal> {
        let (direction, modifier) = name.split_once(':').map_or((name, None), |(direction, modifier)| (direction, Some(modifier)));
        let is_reverse = direction == "_revinclude";
        let iterates = match modifier {
            None => false,
            Some("iterate") => true,
            Some(_) => return Err(malformed(direction, "knows no modifier but 'iterate'")),
        };
        let value = if value == "*" && !is_reverse { format!("{searched}:*") } else { value.to_owned() };
        let mut parts = value.split(':');
        let (Some(type_name), Some(code), target, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(malformed(direction, "must have the form Type:parameter or Type:parameter:target"));
        };
        let is_known = |type_name: &str| definitions.types().resource(type_name).is_some();
        if !is_known(type_name) || target.is_some_and(|target| !is_known(target)) {
            return Err(malformed(direction, "names a resource type that is not known"));
        }
        let is_reference = |parameter: &&Arc<Parameter>| parameter.kind() == SearchKind::Reference && parameter.is_supported();
        let own = parameters_of(definitions, type_name).iter().filter(is_reference);
        let parameters: Vec<Arc<Parameter>> = own.filter(|parameter| code == "*" || parameter.code() == code).cloned().collect();
        if parameters.is_empty() {
            return Err(malformed(direction, "names a parameter that is no reference of the type"));
        }
        if target.is_some_and(|target| !parameters.iter().any(|parameter| points_to(definitions, parameter, target))) {
            return Err(malformed(direction, "names a target that the reference cannot have"));
        }
        Ok(Include { is_reverse, iterates, type_name: type_name.into(), parameters, target: target.map(CompactString::from) })
    }

    /// Whether it applies to resources that came along, and not only to those found.
    pub fn iterates(&self) -> bool {
        self.iterates
    }

    /// The type and id of everything a forward include brings along with a resource; nothing for a reverse one.
    pub fn referred_to(&self, resource: &Node, visit: &mut dyn FnMut(&str, &str)) {
        if self.is_reverse || resource.resource_type() != Some(&self.type_name) {
            return;
        }
        for parameter in &self.parameters {
            pointers(parameter, resource, &mut |type_name, id| {
                if self.target.as_ref().is_none_or(|target| target == type_name) {
                    visit(type_name, id);
                }
            });
        }
    }

    /// The searches that find what a reverse include brings along with resources; none for a forward one.
    pub fn referring(&self, definitions: &Definitions, resources: &[&Node]) -> Vec<Query> {
        if !self.is_reverse {
            return Vec::new();
        }
        let query = |parameter: &Arc<Parameter>| {
            let wanted = resources.iter().filter_map(|resource| {
                let (type_name, id) = (resource.resource_type()?, resource.text("id")?);
                let is_meant = self.target.as_ref().is_none_or(|target| target == type_name);
                let wanted = || Wanted::Pointer { type_name: Some(type_name.to_owned()), id: id.to_owned() };
                (is_meant && points_to(definitions, parameter, type_name)).then(wanted)
            });
            let alternatives: Vec<Wanted> = wanted.collect();
            (!alternatives.is_empty())
                .then(|| Query::of(&self.type_name, Filter { parameter: Arc::clone(parameter), modifier: Modifier::None, alternatives }))
        };
        self.parameters.iter().filter_map(query).collect()
    }
}
