//! What a decision needs to know of a resource, gathered once.

use super::code::{Code, Identifier, Reference, codings, items};
use super::criteria::{Kind, Kinds};
use super::label::Labeller;
use super::patients::{PatientReference, patients_of};
use super::period::Period;
use super::references::References;
use super::vocabulary::{CONFIDENTIALITY, Concept, Confidentiality, is_substance_use};
pub(super) use super::writers::{Author, Share};
use super::writers::{Contained, authors_of};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Value};
use compact_str::CompactString;
use std::sync::Arc;

/// The facts of one version of one resource.
#[derive(Debug, Clone, Default)]
pub struct ResourceFacts {
    pub(super) type_name: CompactString,
    pub(super) id: Option<CompactString>,
    /// `Type/id`, when it has an id.
    pub(super) reference: Option<Reference>,
    pub(super) version: Option<CompactString>,
    pub(super) profiles: Vec<CompactString>,
    /// What these profiles are derived from, as far as their definitions are in hand: what conforms to the one conforms to the other.
    pub(super) bases: Vec<CompactString>,
    /// Where that was looked up, so that it is known of its parts in the same way.
    pub(super) definitions: Option<&'static Definitions>,
    /// What the resource is about in the first place: a permit by code must meet one of these.
    pub(super) main_codes: Vec<Code>,
    /// Every code anywhere in it: a denial by code reaches all of them.
    pub(super) all_codes: Vec<Code>,
    /// Whether something that should be coded is only written out, so that a denial by code may be meant without being met.
    pub(super) has_uncoded: bool,
    pub(super) labels: Vec<Concept>,
    /// Those among the labels that the source, or the caller, put on the resource itself: not the ones of its parts, nor what labelling found.
    pub(super) declared: Vec<Concept>,
    /// What the setting tells in which it took place. It holds for the whole, whatever is taken out of it.
    pub(super) setting: Vec<Concept>,
    /// What labelled the resource, so that its parts can be labelled in the same way.
    pub(super) labeller: Option<Labeller>,
    /// Whether labelling, or a label on a part, told of something sensitive.
    pub(super) holds_sensitive: bool,
    /// Whether its source labelled it in a way that cannot be read: it may be any label, and counts as restricted.
    pub(super) has_unread_label: bool,
    /// Whether there is content in it that labelling cannot read.
    pub(super) is_unreadable: bool,
    /// The highest level among the labels.
    pub(super) confidentiality: Option<Confidentiality>,
    /// When what it tells took place.
    pub(super) dates: Arc<Vec<Period>>,
    /// Whether it also took place at a time that is not told as a date.
    pub(super) is_vaguely_dated: bool,
    /// The business identifiers of its own.
    pub(super) identifiers: Vec<Identifier>,
    /// Whoever it is by, and whoever had a part in it. One who is not named has neither reference nor identifier.
    pub(super) authors: Arc<Vec<Author>>,
    /// Whether a remark in it says whose it is.
    pub(super) holds_remarks: bool,
    /// Everything it refers to.
    pub(super) references: References,
    pub(super) patients: Vec<PatientReference>,
    /// Types that are of no time and by no author: who a person is.
    pub(super) is_timeless: bool,
    /// What nothing is known of, because the resource itself is not at hand.
    pub(super) untold: Kinds,
}

impl ResourceFacts {
    /// It names records in the words of whoever sent it: which these are is not told.
    pub fn add_others_words(&mut self) {
        self.untold.add(Kind::Data);
    }

    /// The patients the resource is about.
    pub fn patients(&self) -> &[PatientReference] {
        &self.patients
    }

    /// `Type/id`, when the resource has an id.
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// The highest level among the labels; `None` where nothing tells, which counts as restricted.
    pub fn confidentiality(&self) -> Option<Confidentiality> {
        self.confidentiality
    }

    /// The security labels the facts were gathered with.
    pub fn labels(&self) -> &[Concept] {
        &self.labels
    }

    /// Whether some label says that this is about substance use.
    pub(super) fn tells_substance_use(&self) -> bool {
        self.labels.iter().any(is_substance_use)
    }

    /// Adds a label, as a labelling stage does with what it finds, or the caller with the labels of the version in force.
    pub fn add_label(&mut self, label: Concept) {
        self.declared.push(label.clone());
        self.add_found(label);
    }

    /// Adds what is meant by references of it that name their targets by identifier alone.
    pub fn add_meant(&mut self, references: impl IntoIterator<Item = Reference>) {
        self.references.extend_new(references);
    }

    /// Adds a patient it is about besides those it names literally.
    pub(super) fn add_patient(&mut self, patient: PatientReference) {
        if !self.patients.contains(&patient) {
            self.patients.push(patient);
        }
    }

    /// Adds what the setting tells in which this took place.
    pub fn add_setting(&mut self, labels: Vec<Concept>) {
        self.holds_sensitive |= !labels.is_empty();
        for label in labels {
            self.setting.push(label.clone());
            self.add_found(label);
        }
    }

    /// Adds a label that a part of the resource carries, or that labelling found.
    pub(super) fn add_found(&mut self, label: Concept) {
        self.confidentiality = self.confidentiality.max(label.level());
        self.labels.push(label);
    }
}

/// Elements that say when something took place, and, where there are none of them, elements that say when it was written down.
const CLINICAL_DATES: [&str; 11] =
    ["effective", "performed", "occurrence", "onset", "abatement", "period", "started", "event", "serviced", "collected", "timing"];
/// The forms of `[x]`. The last three are no dates: when it was can then be told in words or by the patient's age alone.
const FORMS: [&str; 9] = ["", "DateTime", "Date", "Instant", "Period", "Timing", "String", "Age", "Range"];
const HAPPENING_DATES: [&str; 11] = [
    "whenHandedOver",
    "whenPrepared",
    "sent",
    "billablePeriod",
    "start",
    "end",
    "startDate",
    "statusDate",
    "executionPeriod",
    "requestedPeriod",
    "receivedTime",
];
/// Elements whose parts say when something took place. Others with dates of their own, names and addresses for instance, tell of something else.
const DATED_PARTS: [&str; 9] = ["accident", "collection", "content", "context", "event", "item", "procedure", "reaction", "stage"];
/// Elements whose `timing` says for when something is ordered: beside the time at which it was written down, not in its stead.
const DOSAGES: [&str; 2] = ["dosageInstruction", "dosage"];
const RECORDING_DATES: [&str; 9] =
    ["authoredOn", "recordedDate", "dateAsserted", "assertedDate", "date", "created", "issued", "recorded", "identified"];

const MAIN_CODES: [&str; 6] = ["code", "vaccineCode", "medicationCodeableConcept", "type", "serviceType", "medication"];
const TYPE: &str = "type";
/// Types of which `type` says what kind of thing, place, visit or bill they are: in words alone it is no code of what somebody has.
const TYPED_THINGS: [&str; 9] =
    ["Claim", "ClaimResponse", "Coverage", "Device", "Encounter", "ExplanationOfBenefit", "Location", "Organization", "Specimen"];

/// Gathers the facts of a resource.
pub fn of(resource: &Node) -> ResourceFacts {
    let type_name = resource.resource_type().unwrap_or_default();
    let mut facts = ResourceFacts {
        type_name: type_name.into(),
        id: resource.text("id").map(CompactString::from),
        reference: Reference::of_resource(resource),
        version: resource.text_at(&["meta", "versionId"]).map(CompactString::from),
        profiles: resource
            .get("meta")
            .map_or(&[][..], |meta| items(meta, "profile"))
            .iter()
            .filter_map(Node::as_text)
            .map(bare_canonical)
            .collect(),
        identifiers: identifiers_of(resource).collect(),
        patients: patients_of(resource),
        is_timeless: matches!(type_name, "Patient" | "Person" | "RelatedPerson"),
        ..ResourceFacts::default()
    };
    let contained = Contained::of(resource);
    add_labels(resource, &mut facts);
    add_codes(resource, &contained, &mut facts);
    add_all_dates(resource, &mut facts);
    walk(resource, "", &mut facts);
    facts.authors = Arc::new(authors_of(resource, &contained, facts.holds_remarks));
    facts
}

/// Elements by which a record is known: R4 searches a document by either as its `identifier`.
const OWN_IDENTIFIERS: [&str; 2] = ["identifier", "masterIdentifier"];

/// The business identifiers of a record's own.
pub(super) fn identifiers_of(resource: &Node) -> impl Iterator<Item = Identifier> {
    OWN_IDENTIFIERS.iter().flat_map(|element| items(resource, element)).filter_map(Identifier::from_node)
}

/// Every reference in a resource, literal or logical, but those to its own parts.
pub fn references_of(resource: &Node) -> Vec<Reference> {
    let mut facts = ResourceFacts::default();
    walk(resource, "", &mut facts);
    facts.references.into_list()
}

pub(super) fn bare_canonical(canonical: &str) -> CompactString {
    canonical.split_once('|').map_or(canonical, |(url, _)| url).into()
}

/// The most labels of one resource that are read. One with more may have any.
const MAX_LABELS: usize = 512;

fn add_labels(resource: &Node, facts: &mut ResourceFacts) {
    labels_of(resource).take(MAX_LABELS).for_each(|label| facts.add_label(label));
    for label in items(resource, "contained").iter().flat_map(labels_of).take(MAX_LABELS) {
        facts.holds_sensitive = true;
        facts.add_found(label);
    }
    let labelled = || std::iter::once(resource).chain(items(resource, "contained"));
    let are_too_many = labelled().map(|part| security_of(part).len()).sum::<usize>() > MAX_LABELS;
    facts.has_unread_label = are_too_many || labelled().any(has_unread_label);
    if facts.has_unread_label {
        let least = if are_too_many { Confidentiality::VeryRestricted } else { Confidentiality::Restricted };
        facts.holds_sensitive = true;
        facts.confidentiality = facts.confidentiality.max(Some(least));
    }
}

/// Whether a label says in words alone what it is, or a level that is none.
fn has_unread_label(resource: &Node) -> bool {
    security_of(resource).iter().any(|label| match Code::from_coding(label) {
        Some(code) => code.system == CONFIDENTIALITY && Confidentiality::of(&code).is_none(),
        None => label.text("display").is_some() || label.text("system").is_some(),
    })
}

/// The labels in a resource's own `meta`.
pub(super) fn labels_of(resource: &Node) -> impl Iterator<Item = Concept> {
    security_of(resource).iter().filter_map(Code::from_coding).map(Concept::new)
}

fn security_of(resource: &Node) -> &[Node] {
    resource.get("meta").map_or(&[][..], |meta| items(meta, "security"))
}

/// Every code in a part of a resource.
pub(super) fn codes_of(part: &Node) -> Vec<Code> {
    let mut facts = ResourceFacts::default();
    walk(part, "", &mut facts);
    facts.all_codes
}

fn add_codes(resource: &Node, contained: &Contained<'_>, facts: &mut ResourceFacts) {
    for element in MAIN_CODES {
        for concept in items(resource, element).iter().flat_map(|node| items(node, "concept").iter().chain(std::iter::once(node))) {
            let before = facts.main_codes.len();
            facts.main_codes.extend(codings(concept).iter().filter_map(Code::from_coding));
            let added = facts.main_codes.get(before..).unwrap_or_default();
            let is_of_things = element == TYPE && TYPED_THINGS.contains(&facts.type_name.as_str());
            let is_coded = is_of_things || added.iter().any(|code| !code.system.is_empty());
            facts.has_uncoded |= concept.text("text").is_some() && !is_coded;
        }
    }
    facts.has_uncoded |= MEDICATIONS.iter().flat_map(|element| items(resource, element)).any(|node| is_elsewhere(node, contained));
}

/// Elements that may name a product by reference, so that its code is in another resource.
const MEDICATIONS: [&str; 2] = ["medicationReference", "medication"];

/// Whether what is referred to is not coded here, in a contained resource.
fn is_elsewhere(node: &Node, contained: &Contained<'_>) -> bool {
    let reference = node.get("reference").map(|inner| if inner.as_text().is_some() { node } else { inner });
    let product = || reference.and_then(|reference| contained.named_by(reference));
    reference.is_some()
        && !product().is_some_and(|product| items(product, "code").iter().flat_map(codings).any(|coding| coding.text("code").is_some()))
}

fn add_all_dates(resource: &Node, facts: &mut ResourceFacts) {
    add_clinical_dates(resource, facts);
    for part in DATED_PARTS.iter().flat_map(|name| items(resource, name)) {
        add_clinical_dates(part, facts);
        Arc::make_mut(&mut facts.dates).extend(part.text("date").and_then(Period::of_date));
    }
    if facts.dates.is_empty() {
        for recorded in RECORDING_DATES.iter().filter_map(|name| resource.get(name)) {
            add_dates(recorded, Arc::make_mut(&mut facts.dates));
        }
    }
    for timing in DOSAGES.iter().flat_map(|name| items(resource, name)).filter_map(|dosage| dosage.get("timing")) {
        add_dates(timing, Arc::make_mut(&mut facts.dates));
    }
}

fn add_clinical_dates(node: &Node, facts: &mut ResourceFacts) {
    for member in node.as_object().into_iter().flat_map(Object::members) {
        let name = member.name.as_str();
        let beside = name.strip_prefix('_');
        let Some(form) = clinical_form(beside.unwrap_or(name)) else { continue };
        let before = facts.dates.len();
        add_dates(&member.node, Arc::make_mut(&mut facts.dates));
        // An element whose name says no form may be something else than a date.
        let is_meant = !form.is_empty() || member.node.as_text().is_some();
        let is_dated = facts.dates.len() > before || beside.is_some_and(|name| node.get(name).is_some());
        facts.is_vaguely_dated |= is_meant && !is_dated;
    }
}

/// The form in which a clinical date is given, empty where the element's name says none; `None` for other elements.
fn clinical_form(name: &str) -> Option<&str> {
    if HAPPENING_DATES.contains(&name) {
        return Some("");
    }
    CLINICAL_DATES.iter().find_map(|element| name.strip_prefix(element).filter(|form| FORMS.contains(form)))
}

/// A date, a period, or a timing's events and bounds.
fn add_dates(node: &Node, dates: &mut Vec<Period>) {
    match &node.value {
        Value::Text(text) => dates.extend(Period::of_date(text)),
        Value::List(items) => items.iter().for_each(|item| add_dates(item, dates)),
        Value::Object(object) if object.get("event").is_some() || object.get("repeat").is_some() => {
            items(node, "event").iter().for_each(|event| add_dates(event, dates));
            let bounds = node.get("repeat").and_then(|repeat| repeat.get("boundsPeriod"));
            dates.extend(bounds.and_then(|bounds| Period::from_node(bounds).ok()));
        }
        Value::Object(_) => dates.extend(Period::from_node(node).ok()),
        _ => {}
    }
}

/// Elements that name who did something or takes part. Where such a reference has an identifier and no type, a person, an institution or a team is meant.
pub(super) const DOERS: [&str; 24] = [
    "actor",
    "agent",
    "asserter",
    "authenticator",
    "author",
    "collector",
    "custodian",
    "enterer",
    "generalPractitioner",
    "individual",
    "informationSource",
    "insurer",
    "interpreter",
    "legalAuthenticator",
    "managingOrganization",
    "organization",
    "party",
    "payor",
    "performer",
    "provider",
    "recorder",
    "requester",
    "resultsInterpreter",
    "who",
];

/// What a node that is named so refers to by identifier.
fn logical_reference(node: &Node, name: &str) -> Option<Reference> {
    let is_reference = node.get("resourceType").is_none();
    let is_told = |reference: &Reference| !DOERS.contains(&name) || reference.sought().is_some_and(|(type_name, _)| !type_name.is_empty());
    Reference::logical(node).filter(|_| is_reference).filter(is_told)
}

/// Collects references and codes from the whole tree. The parser has bounded its depth.
fn walk(node: &Node, name: &str, facts: &mut ResourceFacts) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| walk(item, name, facts)),
        Value::Object(object) => {
            let mut has_value = false;
            let mut has_code = false;
            for member in object.members() {
                match member.name.as_str() {
                    "reference" => facts.references.extend(member.node.as_text().and_then(Reference::new)),
                    "identifier" => facts.references.extend(logical_reference(node, name)),
                    "authorReference" | "authorString" => facts.holds_remarks = true,
                    "code" => has_code |= member.node.as_text().is_some(),
                    "value" => has_value = true,
                    "meta" | "text" => continue,
                    _ => {}
                }
                if matches!(member.node.value, Value::List(_) | Value::Object(_)) {
                    walk(&member.node, &member.name, facts);
                }
            }
            if has_code && !has_value {
                facts.all_codes.extend(Code::from_coding(node));
            }
        }
        _ => {}
    }
}
