//! Judges a resource against the definitions of its release: what is wrong with it, where, and by which rule.
//!
//! In scope: structure (known members, JSON shapes, choices, cardinality), primitive formats with the real calendar, the rules that definitions
//! state in FHIRPath, profiles (claimed, asked for, and those of vital signs) with slicing, extensions by their definitions, references,
//! codes and bindings as far as terminology is in hand, narrative, contained resources, Bundles, Questionnaires and their responses.
//! Out of scope: fetching anything, terminology servers, and what becomes of a resource with findings.
//!
//! The base definitions are checked in one walk over the document (`structure`), which calls the rest where it applies. Profiles ask only
//! for more than their type, so each is a second walk over what it constrains (`profiles`, `slicing`) that knows nothing of the first.
//!
//! Invariants: [`check`] is a pure function of its arguments; findings come in document order, those about what is missing after those about
//! what is there; text never quotes values, only what definitions call things; a rule that cannot be decided says so
//! ([`IssueType::NotSupported`](crate::outcome::IssueType::NotSupported)) and is no error.
//!
//! Follows <https://hl7.org/fhir/R4/validation.html>, <https://hl7.org/fhir/R4/json.html> and <https://hl7.org/fhir/R4/datatypes.html>.

mod amounts;
pub mod asking;
mod attachments;
mod best_practice;
mod bindings;
mod bundle;
mod calendar;
mod canonicals;
mod codings;
mod conformance;
mod contained;
mod contexts;
mod controls;
mod ecl;
mod environment;
mod exhausted;
mod extensions;
mod identifiers;
mod invariants;
mod languages;
mod limits;
mod links;
mod narrative;
mod order;
mod path;
mod plausible;
mod primitives;
mod profiles;
mod questionnaire;
pub mod reading;
mod references;
mod report;
pub mod shape;
mod slicing;
pub mod slips;
mod stage;
mod structure;
mod text_links;
mod values;
mod verdicts;
mod vital_signs;

pub use environment::Surroundings;
pub use stage::{OnInvalid, Policy, Validated, ValidatedEntry, breaks_structure, questions};

use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::fhir::temporal::DateTime;
use crate::outcome::{Finding, Severity};
use std::collections::HashMap;

/// How many findings one resource may have when the options say nothing; a last one then says that more were left out.
pub const DEFAULT_FINDINGS_MAX: usize = 1_000;

/// How deep elements may nest. The readers refuse documents well before; this bounds trees that were built otherwise.
pub const DEPTH_MAX: usize = 256;

/// What the caller may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// No more errors than this are made, and no more other findings.
    pub findings_max: usize,
    /// Whether it is reported that a code system, a value set or an extension's definition is not in hand, so that something was not checked.
    /// Profiles that are not in hand are always reported.
    pub report_undecided: bool,
    /// How grave it is not to keep to best practice; without it, that is not looked at.
    pub best_practice: Option<Severity>,
    /// Profiles that the resource must meet beside those it claims itself.
    pub profiles: Vec<String>,
    /// Whether an extension whose definition is not in hand is an error.
    pub refuse_unknown_extensions: bool,
    /// Beginnings of the URLs of extensions that may be unknown all the same.
    pub extension_domains: Vec<String>,
    /// Whether text that looks like active content is refused.
    pub security_checks: bool,
    /// Whether URLs of domains kept for examples are refused.
    pub refuse_example_urls: bool,
    /// The language that displays are checked in; any when there is none.
    pub language: Option<String>,
    /// Whether a display that is not one of its code is a warning only.
    pub mild_displays: bool,
    /// Whether references that lead out of the document are taken as they stand. Where they are not and `neighbours` are given, absolute ones must
    /// lead somewhere too; and what HL7's validator does not judge then is warned of only: a type that an address names or that is stated alone, and
    /// answers to a form that refer to what it does not allow.
    pub references_assumed: bool,
    /// Whether HL7's validator is followed where it and the specification differ, so that what it does not ask is warned of only: who compares findings
    /// with its own wants that, and who accepts data does not.
    pub as_hl7: bool,
    /// Whether nothing is said of codes outside of extensible bindings.
    pub quiet_extensible: bool,
    /// Whether a code system that is not in hand is an error.
    pub refuse_unknown_systems: bool,
    /// Whether Observations with codes near to those of vital signs must meet the vital sign's profile, as the HL7 validator asks.
    pub related_vital_signs: bool,
    /// What a terminology server has said; empty when none was asked.
    pub answers: std::sync::Arc<asking::Answers>,
    /// Resources beside the document, by the reference that names them (`Patient/1`). With them, relative references must lead somewhere, and what
    /// they lead to must be as profiles ask; without them, references are not followed beyond the document.
    pub neighbours: Option<HashMap<String, Node>>,
    /// Whether the document was XML, where no value has a kind of JSON.
    pub from_xml: bool,
    /// Whether the document comes out of the store, where it has an id and meta that its sender did not give it and may have been normalised.
    pub is_stored: bool,
    /// Whether characters that turn the direction of text are refused, rather than those only that are not ended.
    pub refuse_direction_controls: bool,
    /// The time that is now, for rules that ask for it and limits that are relative to it; without it those are said not to be checked.
    pub now: Option<DateTime>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            findings_max: DEFAULT_FINDINGS_MAX,
            report_undecided: false,
            best_practice: None,
            profiles: Vec::new(),
            refuse_unknown_extensions: false,
            extension_domains: Vec::new(),
            security_checks: false,
            refuse_example_urls: false,
            language: None,
            mild_displays: false,
            references_assumed: true,
            as_hl7: false,
            quiet_extensible: false,
            refuse_unknown_systems: false,
            related_vital_signs: false,
            answers: std::sync::Arc::default(),
            neighbours: None,
            from_xml: false,
            is_stored: false,
            refuse_direction_controls: false,
            now: None,
        }
    }
}

/// Everything found about a resource; without an error or a fatal finding it is valid.
pub fn check(definitions: &Definitions, resource: &Node, options: &Options) -> Vec<Finding> {
    structure::check(definitions, resource, options).0
}

/// The same, with what a terminology server would have to be asked to say more.
pub fn check_asking(definitions: &Definitions, resource: &Node, options: &Options) -> (Vec<Finding>, Vec<asking::Question>) {
    structure::check(definitions, resource, options)
}

#[cfg(test)]
mod tests;
