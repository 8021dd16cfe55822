//! Whether a resource may pass from one system to another: the patient's consents, read by machine, deny by default.
//!
//! In scope: FHIR R4 and R5 `Consent` compiled to [`Rules`]; what a resource's codes and words tell of its sensitivity ([`Labeller`]); the
//! decision on a [`Request`] as a whole and on each resource ([`decide`]), with its trace and obligations; which patients a resource is about
//! ([`patients_of`]); the same decision for questions without data ([`Consultation`]); the findings told to whoever files a consent ([`lint()`]); and [`Permitted`], without which nothing is sent, and from which
//! [`release`] has taken what the same rules withhold of a resource's parts.
//! Out of scope: who is calling, where consents are kept, the audit record.
//!
//! Always true:
//! - Pure: no clock, no store, no log. The instant comes with the request.
//! - No consent that applies means deny, unless the operator's [`ImplicitPolicy`] says otherwise; a consent that lapsed never leads there.
//! - What cannot be read permits nothing, and denies as far as it may have been meant to.
//! - A consent is read in one declared way: R4 as IHE Privacy Consent on FHIR means it, R5 by alternating polarity. The other literal readings
//!   run beside it, and where one of them would not release, the answer is deny, flagged `ambiguous`.
//! - The order of consents does not matter, and one more denial never releases more.
//! - Only this room makes a [`Permitted`], and what one holds by consent would itself be permitted whole.
//!
//! Specifications: FHIR [R4 Consent](http://hl7.org/fhir/R4/consent.html) and [R5 Consent](http://hl7.org/fhir/R5/consent.html),
//! IHE ITI [Privacy Consent on FHIR](https://profiles.ihe.net/ITI/PCF/), HL7 v3 ActReason (purpose of use) and Confidentiality.

mod authored;
mod classes;
mod classification;
mod code;
mod codes;
mod compile;
mod consult;
mod counting;
mod criteria;
mod decision;
mod delegate;
mod directory;
mod drugs;
pub mod facts;
mod high_water;
mod label;
mod lint;
mod matching;
mod naming;
mod notice;
mod patients;
mod period;
mod permitted;
mod pointers;
mod policy;
mod readings;
mod recipients;
mod redact;
mod references;
mod request;
mod rules;
mod screen;
mod sensitivity;
mod setting;
mod stream;
mod trace;
mod unsettled;
mod verdict;
mod vocabulary;
mod wording;
mod writers;
mod written;

#[cfg(test)]
mod tests;

pub use code::{Code, Identifier, Reference};
pub use consult::{
    Consultation, Consulted, Deciding, HOOK, MADE_UP, Matter, Rest, Told, are_among, decide_requests, is_same_party, services,
};
pub use counting::will_not_count;
pub use decision::{Decision, Governing, Obligation, Outcome, Step, decide, decide_request, explain};
pub use delegate::{Capacity, capacity};
pub use directory::{Directory, Known, MEMBERS_LIMIT};
pub use facts::{ResourceFacts, references_of};
pub use high_water::HighWater;
pub use label::{Confidence, Labelled, Labeller};
pub use lint::lint;
pub use notice::{NOTICE_HEADER, Notice};
pub use patients::{Named, PatientReference, named_in, patient_identifiers_of, patients_of, patients_told_in};
pub use permitted::{
    Ground, Permitted, PermittedRecord, is_administrative, is_beyond_deciding, is_operators, no_patient, oversight, oversight_record,
    own_record, own_word, own_work, release, release_beside, release_provenance, withholds_labels,
};
pub use pointers::{doers_of, pointers_of, records_at};
pub use policy::{BrokenGlass, BySensitivity, ImplicitPolicy, Policy};
pub use redact::{is_marked_redacted, mark_redacted};
pub use request::{Action, Party, Request};
pub use rules::Rules;
pub use sensitivity::ListError;
pub use setting::{
    NamedRecord, bears, definitions_behind, definitions_of, is_nobodys, is_setting, labels_of_inner_settings, labels_of_setting,
    logical_names, named_settings, settings_of,
};
pub use stream::decide_stream;
pub use unsettled::{
    SETTING_UNKNOWN, decide_unsettled, explain_unsettled, labels_of_unknown_setting, labels_of_worst_setting, turns_on_doers,
    turns_on_setting,
};
pub use vocabulary::{Concept, Confidentiality};
