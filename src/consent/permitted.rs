//! What may leave. A [`Permitted`] is made here and nowhere else, and only it can be sent.

use super::decision::{Decision, Governing};
use super::patients::patients_of;
use crate::fhir::Node;

/// Why a resource may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// The patient's consent, or the rules that hold where the patient has said nothing; `governing` is `None` for the latter.
    Consent { governing: Option<Governing>, reason: &'static str },
    /// It goes back to the organisation that sent it.
    OwnRecord,
    /// Its type cannot hold patient data, and it names no patient.
    NoPatient,
    /// It is a record of what was done, shown to whoever oversees the gateway.
    Oversight,
}

/// A resource that may be sent, with the ground on which it may.
///
/// It cannot be made by hand:
///
/// ```compile_fail
/// use hearthgate::consent::{Ground, Permitted};
/// use hearthgate::fhir::{Node, Object};
/// let resource: Node = Object::resource("Observation").into();
/// let forged = Permitted { resource, ground: Ground::OwnRecord };
/// ```
///
/// Nor can the decision that would release it:
///
/// ```compile_fail
/// use hearthgate::consent::{Decision, Outcome};
/// let forged = Decision { outcome: Outcome::Permit, ..todo!() };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Permitted {
    resource: Node,
    ground: Ground,
}

impl Permitted {
    pub fn resource(&self) -> &Node {
        &self.resource
    }

    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Gives the resource up for sending.
    pub fn into_resource(self) -> Node {
        self.resource
    }
}

/// Releases a resource on the decision that was taken on it.
///
/// `None` when the decision is a denial, was taken on another resource or version or on the request alone, or has not heard every patient the
/// resource is about.
pub fn release(decision: &Decision, resource: Node) -> Option<Permitted> {
    let subject = decision.subject.as_ref().filter(|_| decision.is_permit())?;
    let same_resource = resource.resource_type() == Some(subject.type_name.as_str())
        && resource.text("id") == subject.id.as_deref()
        && resource.text_at(&["meta", "versionId"]) == subject.version.as_deref();
    let all_heard = subject.heard >= patients_of(&resource).len().max(subject.patients);
    let ground = Ground::Consent { governing: decision.governing().cloned(), reason: decision.reason() };
    (same_resource && all_heard).then_some(Permitted { resource, ground })
}

/// Releases the Provenance of a record on the decision that was taken on the record itself.
pub fn release_provenance(decision: &Decision, provenance: Node) -> Option<Permitted> {
    let subject = decision.subject.as_ref().filter(|_| decision.is_permit())?;
    let of_subject = format!("{}/{}", subject.type_name, subject.id.as_deref()?);
    let is_target =
        |target: &Node| target.text("reference").is_some_and(|text| text == of_subject || text.starts_with(&format!("{of_subject}/")));
    let targets = super::code::items(&provenance, "target");
    let all_are = provenance.resource_type() == Some("Provenance")
        && !targets.is_empty()
        && targets.iter().all(is_target)
        && !holds_others(&provenance);
    let ground = Ground::Consent { governing: decision.governing().cloned(), reason: decision.reason() };
    (all_are && subject.heard >= subject.patients).then_some(Permitted { resource: provenance, ground })
}

/// Lets a resource go back to the organisation that sent it, in the words it sent. `None` when the two are not the same or not known.
pub fn own_record(sent_by: &str, asked_by: &str, resource: Node) -> Option<Permitted> {
    (sent_by == asked_by && !sent_by.is_empty()).then_some(Permitted { resource, ground: Ground::OwnRecord })
}

/// Lets whoever oversees the gateway see what was done: AuditEvents and Provenances, which hold no content. `None` for every other type.
pub fn oversight(resource: Node) -> Option<Permitted> {
    let is_trail = matches!(resource.resource_type(), Some("AuditEvent" | "Provenance")) && super::code::items(&resource, "contained").is_empty();
    is_trail.then_some(Permitted { resource, ground: Ground::Oversight })
}

/// Lets a resource go that is of an administrative type and names no patient. `None` for every other.
pub fn no_patient(resource: Node) -> Option<Permitted> {
    let is_free = resource.resource_type().is_some_and(is_administrative) && patients_of(&resource).is_empty() && !holds_others(&resource);
    is_free.then_some(Permitted { resource, ground: Ground::NoPatient })
}

/// A contained resource of another kind may hold what its container cannot.
fn holds_others(resource: &Node) -> bool {
    let contained = super::code::items(resource, "contained");
    contained.iter().any(|inner| !inner.resource_type().is_some_and(is_administrative))
}

/// Whether resources of a type describe the world around care and not a patient: people and places, products, and definitions.
///
/// Types that are absent here need a patient's consent, whether they are known or not.
pub fn is_administrative(type_name: &str) -> bool {
    ADMINISTRATIVE.binary_search(&type_name).is_ok()
}

/// In order, for the binary search.
const ADMINISTRATIVE: [&str; 61] = [
    "ActivityDefinition",
    "CapabilityStatement",
    "CatalogEntry",
    "ChargeItemDefinition",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "DeviceDefinition",
    "EffectEvidenceSynthesis",
    "Endpoint",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "GraphDefinition",
    "HealthcareService",
    "ImplementationGuide",
    "InsurancePlan",
    "Library",
    "Location",
    "Measure",
    "Medication",
    "MedicationKnowledge",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "NamingSystem",
    "ObservationDefinition",
    "OperationDefinition",
    "Organization",
    "OrganizationAffiliation",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Questionnaire",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "RiskEvidenceSynthesis",
    "SearchParameter",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "TerminologyCapabilities",
    "TestScript",
    "ValueSet",
];
