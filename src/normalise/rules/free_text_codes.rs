//! Rule 25. Codes that are a customer's free text, names of patients included: flagged when they come in, masked when only de-identified or
//! limited data may go out.
//!
//! Epic gives each customer's categories codes under its own OID; the codes are numbers. One that is none, or 0, was typed by somebody.

use super::super::path::Path;
use super::super::record::{Change, Work};
use super::super::rule::FREE_TEXT_CODES;
use super::super::vocabulary::DATA_ABSENT;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};

/// Below it are the OIDs that Epic gives its customers' category lists.
const CUSTOMERS: &str = "urn:oid:1.2.840.114350.";

/// How deep the mask looks. What nests deeper is no FHIR and is removed whole.
const MAX_DEPTH: usize = 200;

/// Flags a coding whose code is free text.
pub(in super::super) fn apply(coding: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    if work.on(FREE_TEXT_CODES) && is_free_text(coding) {
        let text =
            "the code is free text of the sender's and may hold a name; it is masked where only de-identified or limited data may go";
        work.flag(Severity::Information, IssueType::Informational, "free-text-code", &path.member("code"), text);
    }
}

fn is_free_text(coding: &Object) -> bool {
    let text = |name: &str| coding.get(name).and_then(Node::as_text);
    let (Some(system), Some(code)) = (text("system"), text("code")) else { return false };
    system.starts_with(CUSTOMERS) && (code == "0" || !code.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Masks every such code in a resource, with its display and the text beside it, which repeat it. Answers what was taken out and where.
pub fn mask_free_text_codes(resource: &mut Node) -> Vec<Change> {
    let type_name = resource.resource_type().unwrap_or("Resource").to_owned();
    let mut changes = Vec::new();
    mask(resource, &Path::root(&type_name), MAX_DEPTH, &mut changes);
    changes
}

fn mask(node: &mut Node, path: &Path<'_>, depth: usize, changes: &mut Vec<Change>) {
    if depth == 0 {
        let before = std::mem::replace(&mut node.value, Value::Object(Object::new()));
        return changes.push(Change { rule: FREE_TEXT_CODES, path: path.to_string(), before: Some(before.into()), after: None });
    }
    match &mut node.value {
        Value::List(items) => items.iter_mut().enumerate().for_each(|(index, item)| mask(item, &path.item(index), depth - 1, changes)),
        Value::Object(object) => mask_object(object, path, depth, changes),
        _ => {}
    }
}

fn mask_object(object: &mut Object, path: &Path<'_>, depth: usize, changes: &mut Vec<Change>) {
    let holds_one =
        object.get("coding").and_then(Node::as_list).is_some_and(|codings| codings.iter().filter_map(Node::as_object).any(is_free_text));
    if holds_one {
        take(object, "text", path, changes);
    }
    if is_free_text(object) {
        take(object, "code", path, changes);
        take(object, "display", path, changes);
        let said: Node = Object::new().with("url", DATA_ABSENT).with("valueCode", "masked").into();
        object.set("_code", Object::new().with("extension", vec![said]));
    }
    for member in object.members_mut() {
        let name = member.name.clone();
        mask(&mut member.node, &path.member(&name), depth - 1, changes);
    }
}

fn take(object: &mut Object, name: &str, path: &Path<'_>, changes: &mut Vec<Change>) {
    if let Some(before) = object.remove(name) {
        changes.push(Change { rule: FREE_TEXT_CODES, path: path.member(name).to_string(), before: Some(before), after: None });
    }
}

#[cfg(test)]
mod tests {
    use super::mask_free_text_codes;
    use crate::fhir::json;

    #[test]
    fn masking() {
        for (before, after) in [
            (
                r#"{"coding":[{"system":"urn:oid:1.2.840.114350.1.13.0.1.7.4.1","code":"Jane Doe","display":"Jane Doe"}],"text":"Jane Doe"}"#,
                r#"{"coding":[{"system":"urn:oid:1.2.840.114350.1.13.0.1.7.4.1","_code":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}}]}"#,
            ),
            (
                r#"{"coding":[{"system":"urn:oid:1.2.840.114350.1","code":"0","display":"x"},{"system":"http://loinc.org","code":"718-7"}]}"#,
                r#"{"coding":[{"system":"urn:oid:1.2.840.114350.1","_code":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}},{"system":"http://loinc.org","code":"718-7"}]}"#,
            ),
            // Numbers are codes, other systems are others' business.
            (r#"{"coding":[{"system":"urn:oid:1.2.840.114350.1","code":"101","display":"x"}],"text":"x"}"#, ""),
            (r#"{"coding":[{"system":"urn:oid:1.2.840.1143501.1","code":"x"}]}"#, ""),
            (r#"{"coding":[{"system":"http://loinc.org","code":"x"}]}"#, ""),
        ] {
            let text = |concept: &str| format!(r#"{{"resourceType":"Observation","component":[{{"code":{concept}}}]}}"#);
            let mut resource = json::parse(text(before).as_bytes(), 64).unwrap();
            let changes = mask_free_text_codes(&mut resource);
            let expected = if after.is_empty() { before } else { after };
            assert_eq!(json::write(&resource), text(expected));
            assert_eq!(changes.is_empty(), after.is_empty());
            assert!(mask_free_text_codes(&mut resource).is_empty(), "a second time changes nothing");
        }
    }

    #[test]
    fn what_nests_beyond_the_limit_is_removed() {
        let mut deep = crate::fhir::Node::from("Jane Doe");
        for _ in 0..super::MAX_DEPTH + 5 {
            deep = crate::fhir::Object::new().with("a", deep).into();
        }
        assert_eq!(mask_free_text_codes(&mut deep).len(), 1);
        assert!(!json::write(&deep).contains("Doe"));
    }
}
