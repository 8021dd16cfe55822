//! The walk through one resource beside its type table: what is withheld goes, and with it whatever makes no sense without it.

use super::super::code::{Code, Reference, codings, items};
use super::super::facts::{Author, Share};
use super::super::label::{decoded_text, encoded_text, is_silent};
use super::super::pointers::{is_namespace, named_by, named_logically};
use super::super::screen::{Part, with_level};
use super::super::vocabulary::Concept;
use super::super::writers::{Contained, authors_of_part};
use super::super::written::records_in;
use super::{Pass, Withheld, nested, prose};
use crate::fhir::types::{Element, ElementId, MemberUse, TypeTable};
use crate::fhir::{Member, Node, Object, Value};
use compact_str::CompactString;

/// The extension by which an element carries a label of its own (HL7 DS4P).
pub(super) const INLINE_LABEL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";

/// Names the other records of a patient. Links to others than the ones that count can go, although the element is a modifier.
const LINK: &str = "Patient.link";

/// Elements that say what a resource is about. Where one of them tells what is withheld, the whole resource does.
const DEFINING: [&str; 21] = [
    "appointmentType",
    "category",
    "class",
    "code",
    "codeCodeableConcept",
    "codeReference",
    "conclusionCode",
    "id",
    "implicitRules",
    "medication",
    "medicationCodeableConcept",
    "medicationReference",
    "name",
    "programme",
    "securityContext",
    "serviceCategory",
    "serviceType",
    "specialty",
    "title",
    "type",
    "vaccineCode",
];

/// By type, further elements that are the point of it: without one of them that was there, what is left says that something was.
const POINTS: [(&str, &[&str]); 9] = [
    ("AdverseEvent", &["event", "suspectEntity"]),
    ("Appointment", &["reasonCode", "reasonReference"]),
    ("Claim", &["diagnosis", "procedure"]),
    ("ClinicalImpression", &["finding", "investigation", "problem", "prognosisCodeableConcept"]),
    ("Communication", &["about", "payload", "reasonCode", "reasonReference", "topic"]),
    ("CommunicationRequest", &["about", "payload", "reasonCode", "reasonReference"]),
    ("DetectedIssue", &["evidence", "implicated"]),
    ("ExplanationOfBenefit", &["diagnosis", "procedure"]),
    ("Task", &["focus", "input", "output", "reasonCode", "reasonReference"]),
];

/// Elements inside others without which the one they are in goes as well.
const KERNELS: [&str; 3] = ["CarePlan.activity.reference", "Observation.component.value[x]", "QuestionnaireResponse.item.answer"];

/// Whether an element says what a resource is about. A consent cannot lose anything of what it states without stating something else.
pub(super) fn is_defining(type_name: &str, name: &str) -> bool {
    if POINTS.iter().any(|(known, elements)| *known == type_name && elements.contains(&name)) {
        return true;
    }
    match type_name {
        "Consent" => !matches!(name, "contained" | "extension" | "id" | "meta" | "resourceType" | "text"),
        "Patient" | "Person" | "RelatedPerson" => matches!(name, "id" | "implicitRules"),
        _ => DEFINING.binary_search(&name).is_ok() || name.starts_with("value"),
    }
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    /// It goes.
    Drop,
    /// It goes, and so does the element it is in, up to the nearest item of a list: what is beside it speaks of the same.
    Spoil,
}

/// What holds the members that are being walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Resource,
    Element,
}

/// An element as it stands in a document.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub element: &'static Element,
    /// Where its children are found.
    pub content: ElementId,
    pub type_code: &'static str,
}

impl Place {
    pub(super) fn of(types: &'static TypeTable, found: MemberUse) -> Place {
        let element = types.element(found.element);
        let type_code = element.types.get(found.type_index).map_or("", |type_use| type_use.code.as_str());
        Place { element, content: types.content(found.element, found.type_index), type_code }
    }

    /// Whether the rest would mean something else without it.
    fn is_modifier(self) -> bool {
        self.element.is_modifier && self.element.path != LINK
    }

    /// What it means for the holder when this element is no longer there.
    pub(super) fn loss(self, owner: Owner, fate: Fate) -> Result<Fate, Withheld> {
        let is_needed = self.element.min > 0 || self.is_modifier();
        match (owner, fate) {
            (_, Fate::Keep) => Ok(Fate::Keep),
            (Owner::Resource, _) if is_needed => Err(Withheld),
            (Owner::Resource, _) => Ok(Fate::Drop),
            (Owner::Element, _) if is_needed || KERNELS.contains(&self.element.path.as_str()) => Ok(Fate::Spoil),
            (Owner::Element, fate) => Ok(fate),
        }
    }
}

impl Pass<'_> {
    /// Takes out of a resource what is withheld of it; contained resources and entries are not looked into.
    pub(super) fn walk_resource(&mut self, resource: &mut Node) -> Result<(), Withheld> {
        let root = resource.resource_type().and_then(|name| self.types.resource(name)).map(|definition| definition.root);
        let Some(root) = root else { return if self.is_withheld("", resource) { Err(Withheld) } else { Ok(()) } };
        let type_name = CompactString::from(resource.resource_type().unwrap_or_default());
        let object = resource.as_object_mut().ok_or(Withheld)?;
        self.walk_members(object, root, Owner::Resource, &type_name).map(drop)
    }

    /// Walks the members of a resource, of a backbone element or of a data type.
    fn walk_members(&mut self, object: &mut Object, parent: ElementId, owner: Owner, type_name: &str) -> Result<Fate, Withheld> {
        let mut doomed: Vec<CompactString> = Vec::new();
        for index in 0..object.len() {
            let Some(name) = object.members().get(index).map(|member| member.name.clone()) else { break };
            if is_walked_elsewhere(owner, type_name, &name) {
                continue;
            }
            let before = self.removed;
            let fate = self.walk_member(object, index, &name, parent)?;
            if owner == Owner::Resource
                && (self.removed > before || fate != Fate::Keep)
                && (name == "meta" || is_defining(type_name, &name))
            {
                // Tags may go from the meta element; itself it stays.
                if name != "meta" || fate != Fate::Keep {
                    return Err(Withheld);
                }
            }
            match self.place(parent, &name).map_or(Ok(fate), |place| place.loss(owner, fate))? {
                Fate::Keep => {}
                Fate::Spoil => return Ok(Fate::Spoil),
                Fate::Drop => doomed.push(name),
            }
        }
        self.removed += doomed.len();
        for name in &doomed {
            object.remove(name);
            object.remove(&format!("_{name}"));
        }
        Ok(if !doomed.is_empty() && object.is_empty() { Fate::Drop } else { Fate::Keep })
    }

    fn place(&self, parent: ElementId, name: &str) -> Option<Place> {
        let name = name.strip_prefix('_').unwrap_or(name);
        Some(Place::of(self.types, self.types.member(parent, name)?))
    }

    fn walk_member(&mut self, object: &mut Object, index: usize, name: &str, parent: ElementId) -> Result<Fate, Withheld> {
        if let Some(bare_name) = name.strip_prefix('_') {
            return Ok(self.walk_beside(object, bare_name, index));
        }
        let beside = beside(object, name).map(|beside| self.labelled_beside(beside)).unwrap_or_default();
        let place = self.place(parent, name);
        let Some(node) = object.members_mut().get_mut(index).map(|member| &mut member.node) else { return Ok(Fate::Keep) };
        let Some(place) = place else {
            // What the type does not know can go as a whole.
            return Ok(if self.is_withheld(name, node) { Fate::Spoil } else { Fate::Keep });
        };
        let Some(list) = node.as_list_mut() else {
            return if beside.contains(&true) { Ok(Fate::Drop) } else { self.walk_value(node, name, place) };
        };
        let kept = self.walk_items(list, name, place, &beside)?;
        if !kept.contains(&false) {
            return Ok(Fate::Keep);
        }
        self.removed += kept.iter().filter(|is_kept| !**is_kept).count();
        retain_by(list, &kept);
        let is_empty = list.is_empty();
        if let Some(beside) = object.get_mut(&format!("_{name}")).and_then(Node::as_list_mut) {
            retain_by(beside, &kept);
        }
        Ok(match (is_empty, place.is_modifier()) {
            (_, true) => Fate::Spoil,
            (true, false) => Fate::Drop,
            (false, false) => Fate::Keep,
        })
    }

    /// What stands beside a primitive: labels there are looked at with the primitive itself, where there is one.
    fn walk_beside(&mut self, object: &Object, bare_name: &str, index: usize) -> Fate {
        let Some(beside) = object.members().get(index).map(|member| &member.node) else { return Fate::Keep };
        let is_decided = object.get(bare_name).is_some() && self.is_labelled(beside);
        if !is_decided && self.is_withheld(bare_name, beside) { Fate::Spoil } else { Fate::Keep }
    }

    /// Which items of a list stay.
    fn walk_items(&mut self, list: &mut [Node], name: &str, place: Place, beside: &[bool]) -> Result<Vec<bool>, Withheld> {
        let mut kept = Vec::with_capacity(list.len());
        for (index, item) in list.iter_mut().enumerate() {
            let before = self.removed;
            let mut fate = if beside.get(index) == Some(&true) { Fate::Drop } else { self.walk_value(item, name, place)? };
            if fate == Fate::Keep && self.removed > before && is_section(place.content, self.types) {
                fate = prose::remove_from_section(self, item, place)?;
            }
            kept.push(fate == Fate::Keep);
        }
        Ok(kept)
    }

    fn walk_value(&mut self, node: &mut Node, name: &str, place: Place) -> Result<Fate, Withheld> {
        if self.is_labelled(node) {
            return Ok(Fate::Drop);
        }
        let is_named_gone = |pass: &Self| !pass.gone.is_empty() && place.type_code != "Reference" && pass.names_gone(node);
        if self.is_named_gone(name, node) || is_named_gone(self) {
            self.is_told = true;
            return Ok(Fate::Spoil);
        }
        if is_section(place.content, self.types) && self.is_by_withheld(items(node, "author")) {
            return Ok(Fate::Drop);
        }
        if place.element.path == LINK && matches!(node.text("type"), Some("replaced-by" | "replaces")) {
            // Two records of one person: whoever sees the one must know that the other counts.
            return Ok(Fate::Keep);
        }
        match place.type_code {
            "Reference" => return Ok(self.walk_reference(name, node)),
            "Narrative" => return Ok(if self.is_withheld(name, node) { Fate::Drop } else { Fate::Keep }),
            "CodeableConcept" | "Coding" | "Extension" | "Annotation" | "Attachment" | "Identifier" | "Resource" => {
                return Ok(if self.is_withheld(name, node) { Fate::Spoil } else { Fate::Keep });
            }
            _ => {}
        }
        if let Some(object) = node.as_object_mut() {
            return self.walk_members(object, place.content, Owner::Element, place.type_code);
        }
        let is_withheld = match &node.value {
            Value::Text(text) => {
                let points = match matches!(name, "profile" | "system") {
                    true => self.is_address_of_gone(node),
                    false => !self.gone.is_empty() && decoded_text(name, text).is_some_and(|text| self.points_at_gone(&text)),
                };
                self.is_told |= points;
                points || (!is_silent(name) && self.tells_itself(node))
            }
            Value::List(_) => self.is_withheld(name, node),
            _ => false,
        };
        Ok(if is_withheld { Fate::Spoil } else { Fate::Keep })
    }

    /// A reference goes when what it points at is withheld, or when its words tell of it. The patient's own loses its words only.
    fn walk_reference(&mut self, name: &str, node: &mut Node) -> Fate {
        let written = node.text("reference").unwrap_or_default();
        let target = Reference::new(written);
        let is_stranger = target.as_ref().is_some_and(|target| self.screen.is_stranger(target));
        let type_name = target.as_ref().and_then(Reference::type_name).or_else(|| node.text("type"));
        let is_patient = type_name == Some("Patient");
        let is_inside = written.starts_with('#');
        if !is_inside && self.screen.withholds_target(type_name, None, &self.memory) {
            return Fate::Spoil;
        }
        let is_named_gone = !self.gone.is_empty() && self.names_gone(node);
        if self.gone.has(written)
            || is_named_gone
            || is_stranger
            || (!is_inside && self.screen.withholds_target(type_name, target.as_ref(), &self.memory))
        {
            self.is_told = true;
            return Fate::Spoil;
        }
        if !self.is_withheld(name, node) {
            return Fate::Keep;
        }
        if is_patient {
            nested::remove(node, "display");
            self.removed += 1;
        }
        if self.is_withheld(name, node) { Fate::Spoil } else { Fate::Keep }
    }

    /// Whether anything in a part of the resource is withheld: by what it tells, by a label on it, by whoever wrote it, or as a mention of what is gone.
    pub(super) fn is_withheld(&mut self, name: &str, node: &Node) -> bool {
        self.tells(name, node) || self.is_labelled_within(node) || self.is_remark_withheld(node)
    }

    /// Whether a remark in it is by somebody of whom what they wrote is withheld.
    fn is_remark_withheld(&mut self, node: &Node) -> bool {
        if !self.screen.names_authors {
            return false;
        }
        let authors = authors_of_part(node, &Contained::among(&self.writers));
        !authors.is_empty() && self.withholds(Part { authors, ..Part::default() })
    }

    /// The same of those who are named as the authors of a section.
    fn is_by_withheld(&mut self, named: &[Node]) -> bool {
        if !self.screen.names_authors || named.is_empty() {
            return false;
        }
        let contained = Contained::among(&self.writers);
        let authors = named.iter().map(|author| Author::of(author, &contained).with(Share::Part)).collect();
        self.withholds(Part { authors, ..Part::default() })
    }

    /// Whether the codes and words of a part tell what is withheld, or name what is gone.
    fn tells(&mut self, name: &str, node: &Node) -> bool {
        if self.mentions_gone(name, node) {
            self.is_told = true;
            return true;
        }
        self.tells_itself(node)
    }

    /// The same, whatever it names.
    fn tells_itself(&mut self, node: &Node) -> bool {
        if !self.screen.is_telling {
            return false;
        }
        let part = self.screen.part(node);
        self.withholds(part)
    }

    fn withholds(&mut self, part: Part) -> bool {
        let is_withheld = self.screen.withholds(part.clone(), &self.memory);
        if is_withheld {
            self.is_told = true;
            self.removed_labels.extend(part.labels);
        }
        is_withheld
    }

    fn mentions_gone(&self, name: &str, node: &Node) -> bool {
        if self.gone.is_empty() {
            return false;
        }
        match &node.value {
            Value::Text(text) => self.gone.has(text) || self.points_at_gone(text),
            Value::List(items) => items.iter().any(|item| self.mentions_gone(name, item)),
            Value::Object(object) => {
                let is_gone = |member: &Member| {
                    if is_namespace(name, &member.name) {
                        return self.is_address_of_gone(&member.node);
                    }
                    self.is_named_gone(&member.name, &member.node)
                        || self.mentions_gone(&member.name, &member.node)
                        || encoded_text(node, &member.name).is_some_and(|text| self.points_at_gone(&text))
                };
                self.names_gone(node) || object.members().iter().any(is_gone)
            }
            _ => false,
        }
    }

    /// Whether the name of a system of names, or several, is the address of what is gone. As a name it points at nothing.
    fn is_address_of_gone(&self, node: &Node) -> bool {
        match &node.value {
            Value::Text(text) => !self.gone.is_empty() && records_in(text, true).iter().any(|address| self.gone.has(address.as_str())),
            Value::List(items) => items.iter().any(|item| self.is_address_of_gone(item)),
            _ => self.mentions_gone("", node),
        }
    }

    fn points_at_gone(&self, text: &str) -> bool {
        records_in(text, false).iter().any(|address| self.gone.has(address.as_str()))
    }

    /// Whether an element names by identifier what is gone.
    fn names_gone(&self, node: &Node) -> bool {
        named_logically(node).any(|named| self.gone.has(named.as_str()))
    }

    fn is_named_gone(&self, name: &str, node: &Node) -> bool {
        !self.gone.is_empty() && named_by(name, node).is_some_and(|named| self.gone.has(named.as_str()))
    }

    /// Takes out of the resource's labels whatever mentions what is gone beside the label itself.
    pub(super) fn walk_labels(&mut self, resource: &mut Node) {
        let Some(meta) = resource.get_mut("meta").filter(|_| !self.gone.is_empty()) else { return };
        for label in meta.get_mut("security").and_then(Node::as_list_mut).into_iter().flatten() {
            let members = label.as_object().map(Object::members).unwrap_or_default();
            let besides = members.iter().filter(|member| !matches!(member.name.as_str(), "system" | "code"));
            let doomed: Vec<CompactString> =
                besides.filter(|member| self.mentions_gone(&member.name, &member.node)).map(|member| member.name.clone()).collect();
            self.removed += doomed.len();
            self.is_told |= !doomed.is_empty();
            label.as_object_mut().into_iter().for_each(|label| doomed.iter().for_each(|name| drop(label.remove(name))));
        }
    }

    /// Whether a label on the element itself withholds it.
    fn is_labelled(&mut self, node: &Node) -> bool {
        let labels: Vec<Concept> = inline_labels(node).map(Concept::new).collect();
        if labels.is_empty() {
            return false;
        }
        self.withholds(Part { labels: with_level(labels), ..Part::default() })
    }

    fn is_labelled_within(&mut self, node: &Node) -> bool {
        match &node.value {
            Value::List(items) => items.iter().any(|item| self.is_labelled_within(item)),
            Value::Object(object) => self.is_labelled(node) || object.members().iter().any(|member| self.is_labelled_within(&member.node)),
            _ => false,
        }
    }

    /// Which values of a primitive are labelled in what stands beside it.
    fn labelled_beside(&mut self, beside: &Node) -> Vec<bool> {
        match beside.as_list() {
            Some(items) => items.iter().map(|item| self.is_labelled(item)).collect(),
            None => vec![self.is_labelled(beside)],
        }
    }
}

/// The labels an element carries itself.
pub(super) fn inline_labels(node: &Node) -> impl Iterator<Item = Code> {
    let labelling = items(node, "extension").iter().filter(|extension| extension.text("url") == Some(INLINE_LABEL));
    let values = labelling.filter_map(|extension| extension.get("valueCoding").or_else(|| extension.get("valueCodeableConcept")));
    values.flat_map(codings).filter_map(Code::from_coding)
}

/// Resources in a resource, and its labels, are looked at on their own.
fn is_walked_elsewhere(owner: Owner, type_name: &str, name: &str) -> bool {
    match owner {
        Owner::Resource => matches!(name, "resourceType" | "contained") || (type_name == "Bundle" && name == "entry"),
        Owner::Element => type_name == "Meta" && name == "security",
    }
}

/// What stands beside a primitive: its id and extensions.
fn beside<'o>(object: &'o Object, name: &str) -> Option<&'o Node> {
    object.members().iter().find(|member| member.name.strip_prefix('_') == Some(name)).map(|member| &member.node)
}

/// Whether a place is a section of a document, whose words speak of its entries alone.
pub(super) fn is_section(content: ElementId, types: &TypeTable) -> bool {
    types.element(content).path == "Composition.section"
}

fn retain_by(list: &mut Vec<Node>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
}
