//! Rule 2, its second half. FHIR knows no null, no empty text, no empty object and no empty list; senders do, and mean "absent".
//!
//! The nulls that keep a list of primitives in step with the list of their extensions (`given` and `_given`) are FHIR's own and stay.

use super::super::path::Path;
use super::super::record::{MAX_MEMBERS, Work};
use super::super::rule::EMPTIES;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};
use compact_str::CompactString;

/// Drops what is empty, and what becomes empty by that, from the leaves up.
pub(in super::super) fn apply(resource: &mut Node, path: &Path<'_>, work: &mut Work<'_>) {
    if work.on(EMPTIES) && has_empties(resource) {
        clean(resource, path, work);
    }
}

/// Reads only, because most documents have nothing to drop.
fn has_empties(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.is_empty() || items.iter().any(has_empties),
        Value::Object(object) => object.is_empty() || object.members().iter().any(|member| has_empties(&member.node)),
        _ => is_empty(node),
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => text.trim_ascii().is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn clean(node: &mut Node, path: &Path<'_>, work: &mut Work<'_>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().enumerate().for_each(|(index, item)| clean(item, &path.item(index), work)),
        Value::Object(object) => clean_object(object, path, work),
        _ => {}
    }
}

fn clean_object(object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if object.len() > MAX_MEMBERS {
        work.over_limit = true;
        return;
    }
    for member in object.members_mut() {
        let name = member.name.clone();
        clean(&mut member.node, &path.member(&name), work);
    }
    let lists: Vec<CompactString> =
        object.members().iter().filter(|member| member.node.as_list().is_some()).map(|member| member.name.clone()).collect();
    for name in &lists {
        match name.strip_prefix('_') {
            Some(primary) if lists.iter().any(|other| other == primary) => {}
            None if object.get(&format!("_{name}")).is_some_and(|sibling| sibling.as_list().is_some()) => {
                clean_pair(object, name, path, work)
            }
            _ => clean_list(object, name, path, work),
        }
    }
    let names: Vec<CompactString> =
        object.members().iter().filter(|member| is_empty(&member.node)).map(|member| member.name.clone()).collect();
    for name in names {
        let before = object.remove(&name);
        dropped(before, &path.member(&name), work);
    }
}

/// A list that stands alone: every empty item goes.
fn clean_list(object: &mut Object, name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(Value::List(items)) = object.get_mut(name).map(|node| &mut node.value) else { return };
    let is_sibling = name.starts_with('_');
    if is_sibling && items.iter().any(|item| !is_empty(item)) {
        return;
    }
    let list_path = path.member(name);
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        if is_empty(&item) {
            dropped(Some(item), &list_path.item(index), work);
        } else {
            items.push(item);
        }
    }
}

/// A list of primitives and the list of their extensions: places empty in both go, places empty in one become FHIR's null.
fn clean_pair(object: &mut Object, name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let sibling = format!("_{name}");
    let mut values = take_list(object, name);
    let mut extras = take_list(object, &sibling);
    let longest = values.len().max(extras.len());
    values.resize_with(longest, || Value::Null.into());
    extras.resize_with(longest, || Value::Null.into());
    let list_path = path.member(name);
    let (mut kept_values, mut kept_extras) = (Vec::with_capacity(longest), Vec::with_capacity(longest));
    for (index, (value, extra)) in values.into_iter().zip(extras).enumerate() {
        let place = list_path.item(index);
        if is_empty(&value) && is_empty(&extra) {
            if extra.value != Value::Null {
                dropped(Some(extra), &place, work);
            }
            dropped(Some(value), &place, work);
            continue;
        }
        kept_values.push(null_when_empty(value, &place, work));
        kept_extras.push(null_when_empty(extra, &place, work));
    }
    if kept_extras.iter().all(is_empty) {
        kept_extras.clear();
    }
    object.set(name, kept_values);
    if kept_extras.is_empty() {
        object.remove(&sibling);
    } else {
        object.set(&sibling, kept_extras);
    }
}

fn take_list(object: &mut Object, name: &str) -> Vec<Node> {
    match object.get_mut(name).map(|node| &mut node.value) {
        Some(Value::List(items)) => std::mem::take(items),
        _ => Vec::new(),
    }
}

fn null_when_empty(node: Node, path: &Path<'_>, work: &mut Work<'_>) -> Node {
    if !is_empty(&node) || node.value == Value::Null {
        return node;
    }
    dropped(Some(node), path, work);
    Value::Null.into()
}

fn dropped(before: Option<Node>, path: &Path<'_>, work: &mut Work<'_>) {
    let text = "the element is null or empty, which FHIR does not allow; it was left out";
    work.flag(Severity::Warning, IssueType::Structure, "empty-element", path, text);
    work.changed(EMPTIES, path, before, None);
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    #[test]
    fn dropping() {
        for (before, after, changes) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, 0),
            (r#"{"a":null,"b":"","c":[],"d":{},"e":"  ","f":1}"#, r#"{"f":1}"#, 5),
            (r#"{"a":{"b":{"c":null}},"f":1}"#, r#"{"f":1}"#, 3),
            (r#"{"a":[null,"x",""],"f":1}"#, r#"{"a":["x"],"f":1}"#, 2),
            (r#"{"g":["a",null],"_g":[null,{"id":"i"}]}"#, r#"{"g":["a",null],"_g":[null,{"id":"i"}]}"#, 0),
            (r#"{"g":["a",null,"b"],"_g":[null,null,{"id":"i"}]}"#, r#"{"g":["a","b"],"_g":[null,{"id":"i"}]}"#, 1),
            (r#"{"g":["a","",null],"_g":[{},{"id":"i"}]}"#, r#"{"g":["a",null],"_g":[null,{"id":"i"}]}"#, 3),
            (r#"{"g":["a"],"_g":[null]}"#, r#"{"g":["a"]}"#, 0),
            (r#"{"_g":[null,{"id":"i"}]}"#, r#"{"_g":[null,{"id":"i"}]}"#, 0),
        ] {
            let done = run(before, &source());
            assert_eq!(crate::fhir::json::write(&done.resource), after, "{before}");
            assert_eq!(done.changes.len(), changes, "{before}");
            assert_eq!(done.findings.len(), changes, "{before}");
        }
    }
}
