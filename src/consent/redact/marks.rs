//! The labels of a resource from which something was taken out.

use super::super::code::{Code, items};
use super::super::facts::labels_of;
use super::super::screen::Screen;
use super::super::vocabulary::{ACT_CODE, Concept, is_sensitivity};
use super::walk::inline_labels;
use super::{Pass, Withheld};
use crate::fhir::{Node, Object, Value};

const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

const REDACTED: &str = "REDACTED";

/// The instruction by which a resource says that its elements are labelled one by one.
const PROCESS_INLINE_LABEL: &str = "PROCESSINLINELABEL";

/// Labels of the resource's own that would keep it back, but may be there for its parts alone: those of a Bundle, and those of a resource that
/// says its elements are labelled.
pub(super) fn doubtful_labels(screen: &Screen, resource: &Node) -> Vec<Concept> {
    let is_announced = screen.declared().iter().any(|label| label.code.is(ACT_CODE, PROCESS_INLINE_LABEL));
    if !is_announced && resource.resource_type() != Some("Bundle") {
        return Vec::new();
    }
    let is_telling = |label: &&Concept| is_sensitivity(label) || label.confidentiality.is_some();
    screen.declared().iter().filter(is_telling).filter(|label| screen.withholds_label(label)).cloned().collect()
}

/// Brings the labels in line with what is left; answers whether any changed.
pub(super) fn settle(pass: &mut Pass<'_>, resource: &mut Node, doubtful: &[Concept], is_changed: bool) -> Result<bool, Withheld> {
    if !doubtful.iter().all(|label| pass.removed_labels.iter().any(|removed| explains(removed, label))) {
        return Err(Withheld);
    }
    let is_announced = is_changed && !holds_inline_labels(resource);
    let is_doomed = |label: &Concept| {
        doubtful.contains(label)
            || (is_announced && label.code.is(ACT_CODE, PROCESS_INLINE_LABEL))
            || (is_sensitivity(label) && pass.screen.withholds_label(label))
    };
    let doomed: Vec<Concept> = labels_of(resource).filter(is_doomed).collect();
    remove_labels(resource, &doomed);
    if is_changed && pass.screen.is_revealed {
        mark_redacted(resource);
        mark(resource, "tag", "SUBSETTED");
    }
    Ok(!doomed.is_empty())
}

/// Whether a label of what was taken out is the reason for one on the whole.
fn explains(removed: &Concept, label: &Concept) -> bool {
    label.covers(removed) || (label.confidentiality.is_some() && removed.confidentiality >= label.confidentiality)
}

fn holds_inline_labels(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.iter().any(holds_inline_labels),
        Value::Object(object) => {
            inline_labels(node).next().is_some() || object.members().iter().any(|member| holds_inline_labels(&member.node))
        }
        _ => false,
    }
}

fn remove_labels(resource: &mut Node, doomed: &[Concept]) {
    let Some(meta) = resource.get_mut("meta").and_then(Node::as_object_mut).filter(|_| !doomed.is_empty()) else { return };
    if let Some(labels) = meta.get_mut("security").and_then(Node::as_list_mut) {
        labels.retain(|label| Code::from_coding(label).is_none_or(|code| doomed.iter().all(|label| label.code != code)));
        if !labels.is_empty() {
            return;
        }
    }
    meta.remove("security");
    if meta.is_empty()
        && let Some(object) = resource.as_object_mut()
    {
        object.remove("meta");
    }
}

/// Says in a resource's labels that something was taken out of it.
pub fn mark_redacted(resource: &mut Node) {
    mark(resource, "security", REDACTED);
}

/// Whether a resource says that something was taken out of it.
pub fn is_marked_redacted(resource: &Node) -> bool {
    labels_of(resource).any(|label| label.code.is(OBSERVATION_VALUE, REDACTED))
}

fn mark(resource: &mut Node, element: &str, code: &str) {
    let Some(object) = resource.as_object_mut() else { return };
    if object.get("meta").and_then(Node::as_object).is_none() {
        object.set_at(2, "meta", Object::new());
    }
    let Some(meta) = object.get_mut("meta") else { return };
    let mut marks = items(meta, element).to_vec();
    if marks.iter().filter_map(Code::from_coding).any(|known| known.is(OBSERVATION_VALUE, code)) {
        return;
    }
    marks.push(Object::new().with("system", OBSERVATION_VALUE).with("code", code).into());
    if let Some(meta) = meta.as_object_mut() {
        meta.set(element, marks);
    }
}
