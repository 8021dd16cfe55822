//! Search parameters in the form in which they are applied, compiled once per resource type.

use super::compile;
use super::select::{Selector, Step};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::types::TypeKind;
use compact_str::CompactString;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

/// Parameters whose values nearly all resources of the type share. Looking them up would find nearly everything, and each costs every write a page
/// of the store's tree; the rest of the query narrows, and matching sees to these.
const SHARED_BY_ALL: [(&str, &[&str]); 2] = [
    ("AuditEvent", &["action", "address", "agent-role", "entity-role", "entity-type", "site", "source", "subtype", "type"]),
    ("Provenance", &["agent-role", "agent-type", "signature-type"]),
];

/// A search parameter of one resource type, ready to be applied.
#[derive(Debug)]
pub struct Parameter {
    code: CompactString,
    url: CompactString,
    kind: SearchKind,
    /// Resource types a reference may point to; empty means any.
    pub(super) targets: Vec<CompactString>,
    pub(super) source: Source,
    /// Hash of resource type and code, with which every index key of this parameter begins.
    pub(super) seed: u64,
    /// Whether the store looks resources up by it.
    pub(super) is_indexed: bool,
}

/// Where a parameter's values come from.
#[derive(Debug)]
pub(super) enum Source {
    /// `_id`, which the store keeps beside the document.
    Id,
    /// `_lastUpdated`, likewise.
    LastUpdated,
    Elements(Vec<Selector>),
    Composite(Composite),
    /// The definition has no expression, or one that cannot be walked; a query that uses it is refused.
    Unsupported,
}

#[derive(Debug)]
pub(super) struct Composite {
    pub parts: Vec<Part>,
    pub roots: Vec<Root>,
}

/// One part of a composite: how its values compare, and the parameter whose index holds at least its values.
#[derive(Debug)]
pub(super) struct Part {
    pub parameter: Arc<Parameter>,
    pub is_indexed: bool,
}

/// An element whose parts belong together, and where below it each part's values are.
#[derive(Debug)]
pub(super) struct Root {
    pub steps: Vec<Step>,
    pub parts: Vec<Vec<Selector>>,
}

impl Parameter {
    pub(super) fn new(type_name: &str, code: &str, url: &str, kind: SearchKind, targets: &[CompactString], source: Source) -> Parameter {
        let seed = super::term::seed(type_name, code);
        let is_indexed = !SHARED_BY_ALL.iter().any(|(of_type, codes)| *of_type == type_name && codes.contains(&code));
        Parameter { code: code.into(), url: url.into(), kind, targets: targets.to_vec(), source, seed, is_indexed }
    }

    /// The name in a query.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The canonical URL of the definition.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How its values are written and compared.
    pub fn kind(&self) -> SearchKind {
        self.kind
    }

    pub(super) fn is_supported(&self) -> bool {
        !matches!(self.source, Source::Unsupported)
    }
}

/// The parameters that queries on a resource type may use, by code. Control parameters (`_sort`, `_count` and their like) are not among them.
pub fn supported(definitions: &'static Definitions, type_name: &str) -> impl Iterator<Item = &'static Parameter> {
    parameters_of(definitions, type_name).iter().map(Arc::as_ref).filter(|parameter| parameter.is_supported())
}

/// All parameters of a type, in order of their codes; none for an unknown type.
pub(super) fn parameters_of(definitions: &'static Definitions, type_name: &str) -> &'static [Arc<Parameter>] {
    match catalogue(definitions).get(type_name) {
        Some(cell) => cell.get_or_init(|| compile::parameters(definitions, type_name)),
        None => &[],
    }
}

pub(super) fn parameter(definitions: &'static Definitions, type_name: &str, code: &str) -> Option<&'static Arc<Parameter>> {
    let parameters = parameters_of(definitions, type_name);
    parameters.binary_search_by(|parameter| parameter.code().cmp(code)).ok().and_then(|index| parameters.get(index))
}

type Catalogue = HashMap<CompactString, OnceLock<Vec<Arc<Parameter>>>>;

/// The catalogue that belongs to some definitions. Definitions live as long as the process and are few, so theirs are kept by address.
fn catalogue(definitions: &'static Definitions) -> &'static Catalogue {
    static CATALOGUES: RwLock<Vec<(usize, &'static Catalogue)>> = RwLock::new(Vec::new());
    let address = std::ptr::from_ref(definitions).addr();
    let find = |list: &[(usize, &'static Catalogue)]| list.iter().find(|(of, _)| *of == address).map(|(_, catalogue)| *catalogue);
    // The list is only ever pushed to, so one that a panic left behind is still whole.
    if let Some(known) = find(&CATALOGUES.read().unwrap_or_else(std::sync::PoisonError::into_inner)) {
        return known;
    }
    let mut list = CATALOGUES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    find(&list).unwrap_or_else(|| {
        let types = definitions.types().types().iter().filter(|each| each.kind == TypeKind::Resource && !each.is_abstract);
        let made: &'static Catalogue = Box::leak(Box::new(types.map(|each| (each.name.clone(), OnceLock::new())).collect()));
        list.push((address, made));
        made
    })
}
