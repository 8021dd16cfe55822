//! Which patients a resource is about.
//!
//! The elements are those by which the R4 patient compartment holds a resource, less the ones that say who did something (a patient who
//! recorded a value is not thereby its subject).

use super::code::{Identifier, Reference, items};
use crate::fhir::Node;

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

/// How deep Bundles may hold Bundles before the rest counts as somebody unknown.
const BUNDLE_DEPTH: usize = 8;

/// The patients a resource is about, each once, those of contained resources and of a Bundle's entries included.
///
/// A resource with several needs a permit from each; one with [`PatientReference::Unresolvable`] among them is not released at all.
pub fn patients_of(resource: &Node) -> Vec<PatientReference> {
    let mut found = Found::default();
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
    let mut found = Found { named: Some(Vec::new()), ..Found::default() };
    collect(resource, resource, BUNDLE_DEPTH, &mut found);
    found.named.unwrap_or_default()
}

/// The identifiers that stand beside the literal references to the patients. Whoever looks them up may find that somebody else is meant as well.
pub fn patient_identifiers_of(resource: &Node) -> Vec<Identifier> {
    let mut found = Found { identifiers: Some(Vec::new()), ..Found::default() };
    collect(resource, resource, BUNDLE_DEPTH, &mut found);
    found.identifiers.unwrap_or_default()
}

/// What was found of the patients.
#[derive(Default)]
struct Found<'n> {
    patients: Vec<PatientReference>,
    /// The identifiers beside literal references, where they are asked for.
    identifiers: Option<Vec<Identifier>>,
    /// By what, where that is asked for.
    named: Option<Vec<Named<'n>>>,
}

impl<'n> Found<'n> {
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
        add(found, own_reference(resource, container));
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
        Some("Patient" | "Group") | None => {
            found.note(Named::Further(node));
            add_named(found, node);
        }
        Some(_) => {}
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

fn resolve(node: &Node) -> PatientReference {
    match Reference::from_node(node) {
        Some(reference) if matches!(reference.type_name(), Some("Patient") | None) => PatientReference::Known(reference),
        _ => PatientReference::Unresolvable,
    }
}

fn add_named(found: &mut Found<'_>, node: &Node) {
    add(found, resolve(node));
    if let (Some(identifiers), Some(identifier)) = (&mut found.identifiers, node.get("identifier").and_then(Identifier::from_node))
        && !identifiers.contains(&identifier)
    {
        identifiers.push(identifier);
    }
}

fn add(found: &mut Found<'_>, patient: PatientReference) {
    if !found.patients.contains(&patient) {
        found.patients.push(patient);
    }
}
