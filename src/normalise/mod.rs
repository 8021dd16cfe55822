//! Normalisation: what a source sent becomes one clean record, and nothing of it is lost.
//!
//! In scope: the rules that act on one resource, in their published order, each a file under `rules/` with a name, a version and a switch;
//! the lineage they leave; other releases of FHIR ([`versions`]); gateway ids; opening search Bundles and vendors' errors.
//! Out of scope: resolving what a Bundle's references mean (that is [`Links`]), storing lineage,
//! joining the records of one patient.
//!
//! Invariants: pure and bounded. `N(N(x)) = N(x)`. Every leaf of the input is in the output or in a [`Change`]. Decimals keep their digits, dates
//! their precision and offset. What a rule cannot decide it flags; a finding of severity error means the resource must be refused.

mod concept_map;
mod document;
mod duplicates;
mod entries;
mod envelope;
mod explain;
mod facts;
mod ids;
mod links;
mod measurement;
mod path;
mod patients;
mod record;
pub mod rule;
mod rules;
mod settings;
mod source;
mod stage;
mod vendor_error;
pub mod versions;
pub mod vocabulary;
mod walk;

#[cfg(test)]
mod tests;

pub use concept_map::{ConceptMaps, MappedCode};
pub use document::{open_document, open_foreign};
pub use duplicates::{Batch, Beside, MAX_REMEMBERED, ResultKey, link as link_duplicate, repeats, result_key, without_claims};
pub use envelope::{MAX_ENTRIES, MAX_LABELS, OpenedResource, Searchset, open_searchset};
pub use explain::{explain, ndjson_line};
pub use ids::{GatewayIds, gateway_ids_in, is_gateway_id};
pub use links::Links;
pub use record::{Change, MAX_CHANGES, MAX_FINDINGS, MAX_UNMAPPED};
pub use rule::{RULES, RuleId, Switches, rule_named};
pub use rules::bytes::{Preamble, preamble, without_mark};
pub use rules::free_text_codes::mask_free_text_codes;
pub use rules::identifier_systems::canonical_system;
pub use rules::local_codes::is_key_system;
pub use rules::primary_coding::primary_coding;
pub use rules::status::{Succession, succession};
pub use settings::{configure, vendor_defaults};
pub use source::{Dangling, SourceRules, leads_to_same, plain_url};
pub use stage::{Normalised, NormalisedEntry};
pub use vendor_error::{MAX_ERROR_BODY, vendor_error};
pub use versions::{InR4, Release, in_r4, other_release};

use crate::fhir::Node;
use crate::fhir::types::TypeTable;
use crate::outcome::Finding;
use path::Path;
use record::Work;
use rules::{bundled_patients, empties, meta, profile_fill, resource_ids};

/// What the rules may know besides the resource.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub source: &'a SourceRules,
    pub ids: &'a GatewayIds,
    pub links: &'a Links,
    pub types: &'a TypeTable,
    /// The release of FHIR that the message says it is written in, by its media type.
    pub declared: Option<Release>,
}

/// A normalised resource and how it came about.
#[derive(Debug, Clone)]
pub struct Normalisation {
    pub resource: Node,
    /// In the order they were made. See [`Change`] for what their paths speak of.
    pub changes: Vec<Change>,
    /// Of severity error when the resource must be refused.
    pub findings: Vec<Finding>,
    /// Local codes without a portable equivalent, for the work list.
    pub unmapped: Vec<Unmapped>,
}

impl Normalisation {
    /// Whether a rule found something that makes the resource unfit to be accepted.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }
}

/// A code that only its source understands. It may carry what people typed, so it belongs on the work list and not into a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    /// Indexed FHIRPath of the CodeableConcept.
    pub path: String,
    /// System and code by which a ConceptMap may name it; a code that came without a system has one of its source.
    pub coding: Option<(String, String)>,
    pub text: Option<String>,
    /// Another system and code by which a ConceptMap may name it, which tell nothing of what it says.
    pub key: (String, String),
}

/// Applies the rules of the source to one resource.
pub fn normalise(mut resource: Node, context: &Context<'_>) -> Normalisation {
    let type_name = resource.resource_type().unwrap_or("Resource").to_owned();
    let path = Path::root(&type_name);
    let mut work = Work::new(context);
    empties::apply(&mut resource, &path, &mut work);
    if let Some(object) = resource.as_object_mut() {
        versions::apply(object, &path, &mut work);
        walk::resource(object, &path, &mut work);
        profile_fill::apply(object, &path, &mut work);
        resource_ids::apply(object, &path, &mut work);
        meta::apply(object, &path, &mut work);
        bundled_patients::apply(object, &path, &mut work);
    }
    work.finish();
    Normalisation { resource, changes: work.changes, findings: work.findings, unmapped: work.unmapped }
}
