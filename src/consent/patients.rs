//! Which patients a resource is about.
//!
//! The elements are those by which the R4 patient compartment holds a resource, less the ones that say who did something (a patient who
//! recorded a value is not thereby its subject).

use super::code::{Identifier, Reference, items};
use crate::fhir::Node;
use crate::normalise::vocabulary::NAMED_PATIENT;
use std::collections::HashMap;

/// A patient a resource is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatientReference {
    /// A literal reference the gateway can follow.
    Known(Reference),
    /// Somebody who cannot be told from the resource alone: an identifier or a display without a reference, a contained patient, a group.
    /// Nothing about them is released.
    Unresolvable,
}

/// Elements that name the patient in most types.
const SUBJECTS: [&str; 3] = ["subject", "patient", "beneficiary"];

/// Further elements of single types: the type, the element, and the member in it that holds the reference (empty when it is the element itself).
const FURTHER: [(&str, &str, &str); 24] = [
    ("Appointment", "participant", "actor"),
    ("AppointmentResponse", "actor", ""),
    ("AuditEvent", "agent", "who"),
    ("AuditEvent", "entity", "what"),
    ("Binary", "securityContext", ""),
    ("Coverage", "policyHolder", ""),
    ("Coverage", "subscriber", ""),
    ("DocumentReference", "context", "sourcePatientInfo"),
    ("EnrollmentRequest", "candidate", ""),
    ("Group", "member", "entity"),
    ("Invoice", "recipient", ""),
    ("Linkage", "item", "resource"),
    ("Observation", "focus", ""),
    ("Person", "link", "target"),
    ("Provenance", "target", ""),
    ("ResearchSubject", "individual", ""),
    ("Schedule", "actor", ""),
    ("SupplyRequest", "deliverTo", ""),
    ("SupplyRequest", "deliverFor", ""),
    ("Task", "for", ""),
    ("Communication", "about", ""),
    ("CommunicationRequest", "about", ""),
    ("DeviceUsage", "patient", ""),
    ("MedicationDispense", "receiver", ""),
];

/// The most numbers that a Patient among a Bundle's entries may bear. Of one with more it is not known who else is meant.
const MAX_NUMBERS: usize = 500;

/// How deep Bundles may hold Bundles before the rest counts as somebody unknown.
pub(super) const BUNDLE_DEPTH: usize = 8;

/// The patients a resource is about, each once, those of contained resources and of a Bundle's entries included.
///
/// A resource with several needs a permit from each; one with [`PatientReference::Unresolvable`] among them is not released at all.
pub fn patients_of(resource: &Node) -> Vec<PatientReference> {
    let mut found = Found::of(resource);
    collect(resource, resource, BUNDLE_DEPTH, &mut found);
    found.patients
}

/// By what a resource names somebody it may be about.
#[derive(Debug, Clone, Copy)]
pub enum Named<'n> {
    /// A Patient: the resource, one that it contains, or one in a Bundle.
    Patient(&'n Node),
    /// A reference to a subject, unless to a contained Patient.
    Subject(&'n Node),
    /// A reference in an element that may name anything, where it may be a patient.
    Further(&'n Node),
    /// More than is looked at.
    Unknown,
}

/// Where [`patients_of`] finds patients, whether they can be told or not.
pub fn named_in(resource: &Node) -> Vec<Named<'_>> {
    let mut found = Found { named: Some(Vec::new()), ..Found::of(resource) };
    collect(resource, resource, BUNDLE_DEPTH, &mut found);
    found.named.unwrap_or_default()
}

/// The identifiers that stand beside the literal references to the patients, and those of Patients among a Bundle's entries. Whoever looks them up may
/// find that somebody else is meant as well.
pub fn patient_identifiers_of(resource: &Node) -> Vec<Identifier> {
    let mut found = Found { identifiers: Some(Vec::new()), ..Found::of(resource) };
    collect(resource, resource, BUNDLE_DEPTH, &mut found);
    found.identifiers.unwrap_or_default()
}

/// By what the entries of a Bundle that is kept whole name patients, with who these are here. The gateway says so when it stores the Bundle; the entries
/// stay in their source's words.
pub fn patients_told_in(bundle: &Node) -> impl Iterator<Item = (&str, &str)> {
    let meta = bundle.get("meta").filter(|_| bundle.resource_type() == Some("Bundle"));
    let told = meta.into_iter().flat_map(|meta| items(meta, "extension")).filter(|extension| extension.text("url") == Some(NAMED_PATIENT));
    told.filter_map(|extension| {
        Some((extension.text_at(&["valueReference", "display"])?, extension.text_at(&["valueReference", "reference"])?))
    })
}

/// What was found of the patients.
#[derive(Default)]
struct Found<'n> {
    /// Who the patients are here that entries name in their source's words.
    told: HashMap<String, Vec<Reference>>,
    patients: Vec<PatientReference>,
    /// The identifiers beside literal references, where they are asked for.
    identifiers: Option<Vec<Identifier>>,
    /// By what, where that is asked for.
    named: Option<Vec<Named<'n>>>,
}

impl<'n> Found<'n> {
    fn of(resource: &Node) -> Found<'n> {
        let mut told: HashMap<String, Vec<Reference>> = HashMap::new();
        for (name, patient) in
            patients_told_in(resource).filter_map(|(name, patient)| Some((Reference::new(name)?, Reference::new(patient)?)))
        {
            told.entry(name.as_str().to_owned()).or_default().push(patient);
        }
        Found { told, ..Found::default() }
    }

    /// Whom a reference names that is in an entry's words; nobody where it is not.
    fn told(&self, named: Option<&Reference>) -> Vec<PatientReference> {
        let told = named.and_then(|named| self.told.get(named.as_str()));
        told.into_iter().flatten().cloned().map(PatientReference::Known).collect()
    }

    fn is_told(&self, node: &Node) -> bool {
        !self.told.is_empty() && Reference::from_node(node).is_some_and(|named| self.told.contains_key(named.as_str()))
    }

    fn add_identifier(&mut self, identifier: Identifier) {
        if let Some(identifiers) = self.identifiers.as_mut().filter(|known| !known.contains(&identifier)) {
            identifiers.push(identifier);
        }
    }

    fn note(&mut self, named: Named<'n>) {
        if let Some(all) = &mut self.named {
            all.push(named);
        }
    }
}

fn collect<'n>(resource: &'n Node, container: &'n Node, depth: usize, found: &mut Found<'n>) {
    let type_name = resource.resource_type().unwrap_or_default();
    if type_name == "Patient" {
        found.note(Named::Patient(resource));
        let own = own_reference(resource, container);
        add_told(found, own);
        if depth < BUNDLE_DEPTH && std::ptr::eq(resource, container) {
            add_entry(resource, found);
        }
    }
    if type_name == "Bundle" {
        collect_entries(resource, depth, found);
    }
    for element in SUBJECTS {
        for reference in items(resource, element) {
            add_reference(reference, container, found);
        }
    }
    for (_, element, member) in FURTHER.iter().filter(|(of_type, ..)| *of_type == type_name) {
        for item in items(resource, element) {
            let reference = if member.is_empty() { Some(item) } else { item.get(member) };
            if let Some(reference) = reference {
                add_patient_only(reference, container, found);
            }
        }
    }
    if std::ptr::eq(resource, container) {
        for contained in items(resource, "contained") {
            // A contained Patient is somebody who cannot be told, whatever refers to them: as a subject, or as who did something.
            collect(contained, container, depth, found);
        }
    }
}

fn own_reference(patient: &Node, container: &Node) -> PatientReference {
    let reference = if std::ptr::eq(patient, container) { Reference::of_resource(patient) } else { None };
    reference.map_or(PatientReference::Unresolvable, PatientReference::Known)
}

/// Adds whom a Patient among the entries of a Bundle bears a number of, and whom it says to be one person with. A Patient's own record says so to the
/// registry; of an entry nothing else knows it.
fn add_entry<'n>(patient: &'n Node, found: &mut Found<'n>) {
    let numbers = items(patient, "identifier");
    if numbers.len() > MAX_NUMBERS {
        found.note(Named::Unknown);
        return add(found, PatientReference::Unresolvable);
    }
    for identifier in numbers.iter().filter_map(Identifier::from_node) {
        found.add_identifier(identifier);
    }
    for other in items(patient, "link").iter().filter_map(|link| link.get("other")) {
        add_patient_only(other, patient, found);
    }
}

/// Adds somebody, or who that is here where it is said in an entry's words.
fn add_told(found: &mut Found<'_>, patient: PatientReference) {
    let named = match &patient {
        PatientReference::Known(named) => Some(named),
        PatientReference::Unresolvable => None,
    };
    let told = found.told(named);
    if told.is_empty() {
        return add(found, patient);
    }
    told.into_iter().for_each(|patient| add(found, patient));
}

fn collect_entries<'n>(bundle: &'n Node, depth: usize, found: &mut Found<'n>) {
    for resource in items(bundle, "entry").iter().filter_map(|entry| entry.get("resource")) {
        if depth == 0 {
            found.note(Named::Unknown);
            return add(found, PatientReference::Unresolvable);
        }
        collect(resource, resource, depth - 1, found);
    }
}

/// A subject: a patient, something that is no person, or somebody not to be told from here.
fn add_reference<'n>(node: &'n Node, container: &Node, found: &mut Found<'n>) {
    match target_type(node, container) {
        Some("Patient") if is_contained(node) => add_named(found, node),
        _ if found.is_told(node) => {
            found.note(Named::Subject(node));
            add_named(found, node);
        }
        Some("Device" | "Location" | "Medication" | "Substance" | "Organization" | "Practitioner" | "HealthcareService" | "Procedure") => {}
        _ => {
            found.note(Named::Subject(node));
            add_named(found, node);
        }
    }
}

/// An element that may name anything: it counts when it is a patient, or may be one.
fn add_patient_only<'n>(node: &'n Node, container: &Node, found: &mut Found<'n>) {
    match target_type(node, container) {
        Some("Patient") if is_contained(node) => add_named(found, node),
        Some(other) if !matches!(other, "Patient" | "Group") && !found.is_told(node) => {}
        _ => {
            found.note(Named::Further(node));
            add_named(found, node);
        }
    }
}

fn is_contained(node: &Node) -> bool {
    node.text("reference").is_some_and(|reference| reference.starts_with('#'))
}

fn target_type<'a>(node: &'a Node, container: &'a Node) -> Option<&'a str> {
    let reference = node.text("reference").unwrap_or_default();
    if let Some(fragment) = reference.strip_prefix('#') {
        let contained = items(container, "contained").iter().find(|contained| contained.text("id") == Some(fragment));
        return contained.and_then(Node::resource_type);
    }
    let before = reference.split_once("/_history/").map_or(reference, |(before, _)| before).rsplit_once('/').map(|(before, _)| before);
    let by_reference =
        before.and_then(|before| before.rsplit('/').next()).filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
    by_reference.or_else(|| node.text("type"))
}

fn resolve(node: &Node, found: &Found<'_>) -> PatientReference {
    match Reference::from_node(node) {
        Some(reference) if found.is_told(node) || matches!(reference.type_name(), Some("Patient") | None) => {
            PatientReference::Known(reference)
        }
        _ => PatientReference::Unresolvable,
    }
}

fn add_named(found: &mut Found<'_>, node: &Node) {
    add_told(found, resolve(node, found));
    if let Some(identifier) = node.get("identifier").and_then(Identifier::from_node) {
        found.add_identifier(identifier);
    }
}

fn add(found: &mut Found<'_>, patient: PatientReference) {
    if !found.patients.contains(&patient) {
        found.patients.push(patient);
    }
}
