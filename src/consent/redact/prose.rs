//! What people wrote freely. Beside something that was taken out it goes too: it may tell the same in words that no list knows.

use super::super::code::items;
use super::walk::{Fate, Owner, Place, is_section};
use super::{Pass, Withheld};
use crate::fhir::types::ElementId;
use crate::fhir::{Node, Object};
use compact_str::CompactString;

/// Types that hold prose, pictures and documents, and signatures over what is no longer whole.
const PROSE_TYPES: [&str; 6] = ["Annotation", "Attachment", "Narrative", "Signature", "markdown", "xhtml"];

/// Texts that are prose.
const PROSE_STRINGS: [&str; 8] =
    ["comment", "conclusion", "description", "details", "disposition", "note", "patientInstruction", "summary"];

/// Extensions that repeat in words what an element says.
const WORDING: [&str; 2] =
    ["http://hl7.org/fhir/StructureDefinition/originalText", "http://hl7.org/fhir/StructureDefinition/narrativeLink"];

/// Takes the prose out of a resource; contained resources, entries and the sections of a document have their own.
pub(super) fn remove(pass: &mut Pass<'_>, resource: &mut Node) -> Result<(), Withheld> {
    let root = resource.resource_type().and_then(|name| pass.types.resource(name)).map(|definition| definition.root).ok_or(Withheld)?;
    let object = resource.as_object_mut().ok_or(Withheld)?;
    remove_from(pass, object, root, Owner::Resource).map(drop)
}

/// Takes the words out of a section that has lost something. A section that is left with nothing goes.
pub(super) fn remove_from_section(pass: &mut Pass<'_>, section: &mut Node, place: Place) -> Result<Fate, Withheld> {
    let object = section.as_object_mut().ok_or(Withheld)?;
    let fate = remove_from(pass, object, place.content, Owner::Element)?;
    let is_empty = ["text", "entry", "section"].iter().all(|name| items(section, name).is_empty());
    Ok(if is_empty { Fate::Drop } else { fate })
}

fn remove_from(pass: &mut Pass<'_>, object: &mut Object, parent: ElementId, owner: Owner) -> Result<Fate, Withheld> {
    let mut doomed: Vec<CompactString> = Vec::new();
    for member in object.members_mut() {
        let Some(found) = pass.types.member(parent, &member.name) else { continue };
        let place = Place::of(pass.types, found);
        if place.type_code == "Resource" || place.type_code == "Meta" || is_section(place.content, pass.types) {
            continue;
        }
        let fate = if is_prose(place, pass.is_told) { Fate::Drop } else { remove_below(pass, &mut member.node, place)? };
        match place.loss(owner, fate)? {
            Fate::Keep => {}
            Fate::Spoil => return Ok(Fate::Spoil),
            Fate::Drop => doomed.push(member.name.clone()),
        }
    }
    for name in &doomed {
        object.remove(name);
        object.remove(&format!("_{name}"));
    }
    Ok(if !doomed.is_empty() && object.is_empty() { Fate::Drop } else { Fate::Keep })
}

fn remove_below(pass: &mut Pass<'_>, node: &mut Node, place: Place) -> Result<Fate, Withheld> {
    if let Some(list) = node.as_list_mut() {
        let before = list.len();
        let mut kept = Vec::with_capacity(before);
        for mut item in std::mem::take(list) {
            if remove_below(pass, &mut item, place)? == Fate::Keep {
                kept.push(item);
            }
        }
        *list = kept;
        return Ok(if list.is_empty() && before > 0 { Fate::Drop } else { Fate::Keep });
    }
    if place.type_code == "Extension" {
        return Ok(if pass.is_told && is_wording(node) { Fate::Drop } else { Fate::Keep });
    }
    match node.as_object_mut() {
        Some(object) => remove_from(pass, object, place.content, Owner::Element),
        None => Ok(Fate::Keep),
    }
}

/// Beside a reference that went for the type it points at, only the narrative goes, which renders all the elements.
fn is_prose(place: Place, is_told: bool) -> bool {
    if !is_told {
        return place.type_code == "Narrative";
    }
    let is_answer = place.element.path == "QuestionnaireResponse.item.answer.value[x]";
    let is_string = place.type_code == "string";
    PROSE_TYPES.contains(&place.type_code) || (is_string && (is_answer || PROSE_STRINGS.contains(&place.element.name.as_str())))
}

fn is_wording(extension: &Node) -> bool {
    let holds_prose = ["valueMarkdown", "valueAnnotation", "valueAttachment"].iter().any(|name| extension.get(name).is_some());
    holds_prose || extension.text("url").is_some_and(|url| WORDING.contains(&url)) || items(extension, "extension").iter().any(is_wording)
}
