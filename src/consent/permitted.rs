//! What may leave. A [`Permitted`] is made here and nowhere else, and only it can be sent.

use super::code::Reference;
use super::decision::{Decision, Governing, IN_PART, Obligation};
use super::facts;
use super::notice::Notice;
use super::patients::patients_of;
use super::redact::{Gone, Rest, redact};
use super::screen::{Memory, Part, Screen};
use super::vocabulary::Concept;
use crate::fhir::{Node, Object, Value, json};
use crate::normalise::mask_free_text_codes;
use crate::normalise::vocabulary::DUPLICATE_OF;

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
    /// The gateway wrote it for its operators, and one of them asks.
    Operation,
    /// It is the patient's own word, or what the gateway wrote to them; and the patient asks, or whoever acts for them.
    OwnWord,
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
    notices: &'static [Notice],
    is_redacted: bool,
    is_screened: bool,
    /// Ids of the patients it tells of without naming them.
    about: Vec<String>,
    /// What the setting tells in which it took place.
    setting: Vec<Concept>,
}

impl Permitted {
    pub fn resource(&self) -> &Node {
        &self.resource
    }

    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The same, known to tell of patients whom it does not name: a Provenance tells of those its target is about.
    #[must_use]
    pub fn telling_of(mut self, patients: Vec<String>) -> Permitted {
        self.about = patients;
        self
    }

    /// Ids of the patients it tells of without naming them.
    pub fn about(&self) -> &[String] {
        &self.about
    }

    /// The same, known to have taken place in a setting that tells this.
    #[must_use]
    pub fn in_setting(mut self, labels: Vec<Concept>) -> Permitted {
        self.setting = labels;
        self
    }

    /// What the setting tells in which it took place.
    pub fn setting(&self) -> &[Concept] {
        &self.setting
    }

    /// What must be told to the recipient with the resource.
    pub fn notices(&self) -> &'static [Notice] {
        self.notices
    }

    /// Whether something was taken out of the resource. For the gateway's own use: a search that it no longer meets must not find it, and the
    /// recipient is not told, unless the policy says so.
    pub fn is_redacted(&self) -> bool {
        self.is_redacted
    }

    /// Whether the consents tell parts apart, so that something could have been taken out. What is given of whole records only must not depend on
    /// whether something was: that would say that there was something.
    pub fn is_screened(&self) -> bool {
        self.is_screened
    }

    fn whole(resource: Node, ground: Ground) -> Permitted {
        Permitted { resource, ground, notices: &[], is_redacted: false, is_screened: false, about: Vec::new(), setting: Vec::new() }
    }

    /// The same without codes that are free text and may hold names, for a recipient that may be told less than who it is about.
    #[must_use]
    pub fn without_free_text_codes(mut self) -> Permitted {
        self.is_redacted |= !mask_free_text_codes(&mut self.resource).is_empty();
        self.is_screened = true;
        self
    }

    /// The same with what every resource has standing first. Where it stands must not tell what once stood before it.
    #[must_use]
    pub fn in_order(mut self) -> Permitted {
        let Some(object) = self.resource.as_object_mut() else { return self };
        let mut index = 0;
        for name in FIRST {
            if let Some(node) = object.remove(name) {
                object.set_at(index, name, node);
                index += 1;
            }
        }
        self
    }

    /// The same without links to results that its reader may not see, so that a repeat does not tell of what it repeats.
    #[must_use]
    pub fn without_links(mut self, is_seen: impl Fn(&str) -> bool) -> Permitted {
        let Some(object) = self.resource.as_object_mut() else { return self };
        let Some(listed) = object.get("extension").and_then(Node::as_list) else { return self };
        let is_shown = |extension: &&Node| {
            extension.text("url") != Some(DUPLICATE_OF) || extension.text_at(&["valueReference", "reference"]).is_some_and(&is_seen)
        };
        let kept: Vec<Node> = listed.iter().filter(is_shown).cloned().collect();
        if kept.len() < listed.len() {
            self.is_redacted = true;
            if kept.is_empty() { drop(object.remove("extension")) } else { object.set("extension", kept) }
        }
        self
    }

    /// Gives the resource up for sending.
    pub fn into_resource(self) -> Node {
        self.resource
    }
}

/// Releases a resource on the decision that was taken on it, without the parts that the same rules withhold.
///
/// Where the decision denies the resource as a whole because of such parts alone, what is left without them is released. `None` when nothing
/// may be, or the decision was taken on another resource or version or on the request alone, or has not heard every patient the resource is
/// about.
pub fn release(decision: &Decision, resource: Node) -> Option<Permitted> {
    release_beside(decision, resource, &[])
}

/// The same, where it is known of other resources that they are hidden from the recipient: references to them go too.
pub fn release_beside(decision: &Decision, resource: Node, hidden: &[Reference]) -> Option<Permitted> {
    let subject = decision.subject.as_ref()?;
    let same_resource = resource.resource_type() == Some(subject.type_name.as_str())
        && resource.text("id") == subject.id.as_deref()
        && resource.text_at(&["meta", "versionId"]) == subject.version.as_deref();
    let all_heard = subject.heard >= patients_of(&resource).len().max(subject.patients);
    if !same_resource || !all_heard {
        return None;
    }
    let links_people = resource.resource_type() == Some("Patient") && resource.get("link").is_some();
    let screen = match &decision.screen {
        Some(screen) => Screen::clone(screen),
        None if !decision.is_permit() => return None,
        None if hidden.is_empty() && !links_people => return Some(permitted(decision, Rest { resource, facts: None })),
        None => Screen::open(&facts::of(&resource)),
    };
    redact(screen, resource, decision.is_permit(), gone(hidden)).map(|rest| permitted(decision, rest))
}

fn gone(hidden: &[Reference]) -> Gone {
    let mut gone = Gone::default();
    for reference in hidden {
        gone.add(reference.as_str());
    }
    gone
}

/// What stands first in every resource that is shown, in this order.
const FIRST: [&str; 3] = ["resourceType", "id", "meta"];

/// What a Provenance says of the bytes and the elements of the whole record: digests, signatures, and what was changed where.
const OF_THE_WHOLE: [&str; 4] = ["extension", "entity", "policy", "signature"];

fn permitted(decision: &Decision, rest: Rest) -> Permitted {
    let is_noticed = match &rest.facts {
        Some(facts) => facts.tells_substance_use(),
        None => decision.obligations().contains(&Obligation::NoticePart2),
    };
    let reason = if decision.is_permit() { decision.reason() } else { IN_PART };
    Permitted {
        is_redacted: rest.facts.is_some(),
        is_screened: decision.screen.is_some() || rest.facts.is_some(),
        resource: rest.resource,
        ground: Ground::Consent { governing: decision.governing().cloned(), reason },
        notices: if is_noticed { &[Notice::Part2] } else { &[] },
        about: Vec::new(),
        setting: Vec::new(),
    }
}

/// Releases the Provenance of a record on the decision that was taken on the record itself, without what the same rules withhold of it. Where the
/// record is released in part, so is its Provenance; `hidden` is what either of them points at and must not be shown.
pub fn release_provenance(decision: &Decision, record: &Node, hidden: &[Reference], provenance: Node) -> Option<Permitted> {
    let subject = decision.subject.as_ref()?;
    let of_subject = format!("{}/{}", subject.type_name, subject.id.as_deref()?);
    let is_target =
        |target: &Node| target.text("reference").is_some_and(|text| text == of_subject || text.starts_with(&format!("{of_subject}/")));
    let targets = super::code::items(&provenance, "target");
    let all_are = provenance.resource_type() == Some("Provenance")
        && !targets.is_empty()
        && targets.iter().all(is_target)
        && !holds_others(&provenance);
    if !all_are || subject.heard < subject.patients {
        return None;
    }
    // Nothing can be taken out of a record where no screen tells its parts apart and nothing is hidden.
    let is_whole = decision.is_permit() && decision.screen.is_none() && hidden.is_empty();
    if !is_whole && release_beside(decision, record.clone(), hidden).is_none() {
        return None;
    }
    let mut provenance = provenance;
    let before = provenance.as_object().map_or(0, Object::len);
    let screen = match &decision.screen {
        Some(screen) => {
            // Whether or not something was taken out of the record: else their absence would say so.
            if let Some(object) = provenance.as_object_mut() {
                OF_THE_WHOLE.iter().for_each(|name| drop(object.remove(name)));
            }
            screen.beside(&provenance)
        }
        None if hidden.is_empty() => return Some(permitted(decision, Rest { resource: provenance, facts: None })),
        None => Screen::open(&facts::of(record)).beside(&provenance),
    };
    let is_less = provenance.as_object().map_or(0, Object::len) < before;
    let released = permitted(decision, redact(screen, provenance, true, gone(hidden))?);
    Some(Permitted { is_redacted: released.is_redacted || is_less, ..released })
}

/// Whether the rules that a decision was taken by withhold what tells this much, a reference to a place for instance.
pub fn withholds_labels(decision: &Decision) -> impl Fn(&[Concept]) -> bool + '_ {
    let memory = Memory::default();
    move |labels| {
        let part = || Part { labels: labels.to_vec(), ..Part::default() };
        decision.screen.as_ref().is_some_and(|screen| screen.withholds(part(), &memory))
    }
}

/// Whether what a decision was taken on tells so much, and the rules state so much, that it was not found out of every part whether it may be shown.
pub fn is_beyond_deciding(decision: &Decision) -> bool {
    decision.screen.as_ref().is_some_and(|screen| screen.is_exhausted())
}

/// Lets a resource go back to the organisation that sent it, in the words it sent. `None` when the two are not the same or not known.
pub fn own_record(sent_by: &str, asked_by: &str, resource: Node) -> Option<Permitted> {
    (sent_by == asked_by && !sent_by.is_empty()).then(|| Permitted::whole(resource, Ground::OwnRecord))
}

/// Lets whoever oversees the gateway see what was done: AuditEvents and Provenances, which hold no content. `None` for every other type.
pub fn oversight(resource: Node) -> Option<Permitted> {
    let is_trail =
        matches!(resource.resource_type(), Some("AuditEvent" | "Provenance")) && super::code::items(&resource, "contained").is_empty();
    is_trail.then(|| Permitted::whole(resource, Ground::Oversight))
}

/// A record of what was done as it is stored, which may be shown whole to whoever oversees the gateway. Only [`oversight_record`] makes one.
#[derive(Debug, Clone)]
pub struct PermittedRecord(String);

impl PermittedRecord {
    /// The record as it is stored.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The record, read.
    pub fn read(&self) -> Option<Node> {
        json::parse(self.0.as_bytes(), json::DEFAULT_DEPTH).ok()
    }
}

/// The same as [`oversight`] for a record as it is stored, which is not read where its text alone says what it is.
pub fn oversight_record(document: String) -> Option<PermittedRecord> {
    let is_plain =
        ["{\"resourceType\":\"AuditEvent\",", "{\"resourceType\":\"Provenance\","].iter().any(|start| document.starts_with(start))
            && !document.contains("\"contained\"");
    let is_trail = is_plain || json::parse(document.as_bytes(), json::DEFAULT_DEPTH).ok().and_then(oversight).is_some();
    is_trail.then_some(PermittedRecord(document))
}

/// Whether a resource is of a kind the gateway writes for its operators, or tells how one came about.
pub fn is_operators(resource: &Node) -> bool {
    matches!(resource.resource_type(), Some("Task" | "Linkage" | "ConceptMap" | "Provenance"))
}

/// Lets an operator see what the gateway itself wrote for operators; the caller has seen to it that the gateway did. `None` for other types.
pub fn own_work(resource: Node) -> Option<Permitted> {
    let is_plain = is_operators(&resource) && super::code::items(&resource, "contained").is_empty();
    is_plain.then(|| Permitted::whole(resource, Ground::Operation))
}

/// Lets a patient, or whoever acts for them, see the patient's consents and what the gateway wrote to them; the caller has seen to it who asks,
/// and that a Communication is the gateway's. `None` for other types.
pub fn own_word(resource: Node) -> Option<Permitted> {
    let is_such = matches!(resource.resource_type(), Some("Communication" | "Consent"));
    is_such.then(|| Permitted::whole(resource, Ground::OwnWord))
}

/// Lets a resource go that is of an administrative type and names no patient. `None` for every other.
pub fn no_patient(resource: Node) -> Option<Permitted> {
    let is_free = resource.resource_type().is_some_and(is_administrative)
        && patients_of(&resource).is_empty()
        && !holds_others(&resource)
        && !refers_to_patient(&resource);
    is_free.then(|| Permitted::whole(resource, Ground::NoPatient))
}

/// Whether a patient is referred to anywhere, in an extension for instance: what such a resource says is then about somebody.
fn refers_to_patient(node: &Node) -> bool {
    match &node.value {
        Value::Object(object) => {
            let text = |name: &str| object.get(name).and_then(Node::as_text);
            let literal = text("reference").is_some_and(|reference| reference.starts_with("Patient/") || reference.contains("/Patient/"));
            let logical = text("type") == Some("Patient") && object.get("identifier").is_some();
            literal || logical || object.members().iter().any(|member| refers_to_patient(&member.node))
        }
        Value::List(items) => items.iter().any(refers_to_patient),
        _ => false,
    }
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
