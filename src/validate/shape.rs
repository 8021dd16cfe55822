//! The shape of documents of a release whose definitions are not in hand, by HL7's JSON Schema for it (`fhir.schema.json`).
//!
//! In scope: which members an element may have, which must be there, their JSON types and their forms. Out of scope: everything else that definitions
//! say, and the outcome says so. The schema chooses a resource's type by a long list of alternatives; here each resource, inside another too, is judged
//! by the part that is for its type, so that a finding names the member that is wrong.
//!
//! Follows <https://hl7.org/fhir/R5/downloads.html> and <https://json-schema.org/draft-06>.

use crate::fhir::{Node, Value};
use crate::outcome::{Finding, IssueType, Severity};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Number, Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Resources inside one another beyond this are not judged.
const RESOURCES_DEPTH_MAX: usize = 32;
/// How large one compiled pattern of the schema may be, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// How many findings one resource may have here.
const FINDINGS_MAX: usize = 200;

/// The part of the schema that lists all resource types.
const ANY_RESOURCE: &str = "ResourceList";

/// A release's JSON Schema; what judges a type is compiled when the type is first met.
pub struct Shapes {
    schema: Json,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Shapes {
    /// Reads HL7's schema of a release; the error says what it is instead.
    pub fn read(bytes: &[u8]) -> Result<Shapes, String> {
        let mut schema: Json = serde_json::from_slice(bytes).map_err(|_| "this is not JSON".to_owned())?;
        let definitions = schema.get_mut("definitions").and_then(Json::as_object_mut);
        let definitions = definitions.filter(|all| all.contains_key(ANY_RESOURCE));
        let definitions = definitions.ok_or_else(|| format!("a JSON Schema of FHIR has definitions, {ANY_RESOURCE} among them"))?;
        definitions.insert(ANY_RESOURCE.to_owned(), json!({"type": "object", "required": ["resourceType"]}));
        Ok(Shapes {
            schema: json!({"$schema": "http://json-schema.org/draft-06/schema#", "definitions": definitions}),
            compiled: Mutex::default(),
        })
    }

    /// Judges a resource and those inside it. The last finding says what was not checked.
    pub fn check(&self, resource: &Node) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.resource(resource, resource.resource_type().unwrap_or_default().to_owned(), 0, &mut findings);
        findings.truncate(FINDINGS_MAX);
        let text = "Only the shape was checked, by the release's JSON Schema: its definitions are not in hand";
        findings.push(Finding::new(Severity::Information, IssueType::NotSupported, "SHAPE_ONLY", text).at_offset(resource.place()));
        findings
    }

    fn resource(&self, resource: &Node, path: String, depth: usize, findings: &mut Vec<Finding>) {
        let type_name = resource.resource_type().unwrap_or_default();
        let Some(shape) = self.shape_of(type_name) else {
            let text = "The type named in resourceType is not a resource type of this release's JSON Schema";
            let id = "This_does_not_appear_to_be_a_FHIR_resource_unknown_name";
            return findings.push(Finding::new(Severity::Error, IssueType::Invalid, id, text).at(path).at_offset(resource.place()));
        };
        findings.extend(shape.iter_errors(&json_of(resource)).take(FINDINGS_MAX).map(|error| finding(&error, resource, &path)));
        if depth == RESOURCES_DEPTH_MAX {
            let text = format!("Resources nest more than {RESOURCES_DEPTH_MAX} levels deep; the rest was not checked");
            return findings.push(Finding::new(Severity::Error, IssueType::TooCostly, "DEPTH_MAX", text).at(path));
        }
        for (inner, at) in inside(resource, &path) {
            self.resource(inner, at, depth + 1, findings);
        }
    }

    /// What judges resources of a type; `None` for what is no type of the schema, or a part of it that cannot be compiled.
    fn shape_of(&self, type_name: &str) -> Option<Arc<Validator>> {
        let stated = self.schema.get("definitions")?.get(type_name)?;
        stated.get("properties")?.get("resourceType")?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = compiled.get(type_name) {
            return Some(Arc::clone(found));
        }
        let mut schema = self.schema.clone();
        schema.as_object_mut()?.insert("$ref".to_owned(), format!("#/definitions/{type_name}").into());
        // Patterns run in time linear in the text.
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        let built = Arc::new(jsonschema::options().with_pattern_options(patterns).build(&schema).ok()?);
        compiled.insert(type_name.to_owned(), Arc::clone(&built));
        Some(built)
    }
}

/// The resources directly inside another, with their paths.
fn inside<'n>(resource: &'n Node, path: &str) -> Vec<(&'n Node, String)> {
    let mut found = Vec::new();
    let mut open = vec![(resource, path.to_owned(), true)];
    while let Some((node, path, is_root)) = open.pop() {
        match &node.value {
            Value::Object(_) if !is_root && node.resource_type().is_some() => found.push((node, path)),
            Value::Object(object) => {
                open.extend(object.members().iter().rev().map(|member| (&member.node, format!("{path}.{}", member.name), false)));
            }
            Value::List(items) => {
                open.extend(items.iter().enumerate().rev().map(|(index, item)| (item, format!("{path}[{index}]"), false)));
            }
            _ => {}
        }
    }
    found
}

/// The document as the schema's engine reads it. Nesting is bounded by the reader that made the node.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Object(object) => {
            Json::Object(object.members().iter().map(|member| (member.name.to_string(), json_of(&member.node))).collect::<Map<_, _>>())
        }
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Text(text) => Json::String(text.to_string()),
        Value::Number(number) => number.parse::<Number>().map_or(Json::Null, Json::Number),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Null => Json::Null,
    }
}

/// What the schema found, in words that quote no value.
fn finding(error: &ValidationError<'_>, resource: &Node, path: &str) -> Finding {
    let pointer = error.instance_path().to_string();
    let (mut node, mut expression) = (resource, path.to_owned());
    for step in pointer.split('/').skip(1) {
        let index = step.parse::<usize>().ok().filter(|_| node.as_list().is_some());
        expression.push_str(&index.map_or_else(|| format!(".{step}"), |index| format!("[{index}]")));
        let next = index.map_or_else(|| node.get(step), |index| node.as_list()?.get(index));
        node = next.unwrap_or(node);
    }
    let (code, id, text) = words(error.kind());
    Finding::new(Severity::Error, code, id, text).at(expression).at_offset(node.place())
}

fn words(kind: &ValidationErrorKind) -> (IssueType, &'static str, String) {
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let is_plain = |name: &&String| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let names: Vec<&str> = unexpected.iter().filter(is_plain).map(String::as_str).collect();
            (IssueType::Structure, "Unrecognised_property_", format!("There is no such element here: {}", names.join(", ")))
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            (IssueType::Structure, "Validation_VAL_Profile_Minimum_one", format!("{name}: at least 1 is required, none is there"))
        }
        ValidationErrorKind::Type { .. } => {
            (IssueType::Invalid, "SHAPE_JSON_TYPE", "The JSON type is not the one that the schema asks for".to_owned())
        }
        ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => {
            (IssueType::CodeInvalid, "Terminology_TX_NoValid_16", "The code is none of those that the schema lists".to_owned())
        }
        ValidationErrorKind::Pattern { .. } => {
            (IssueType::Invalid, "Type_Specific_Checks_DT_Primitive_Regex", "The value does not have the form of its type".to_owned())
        }
        other => (IssueType::Structure, "SHAPE_RULE", format!("The schema's rule '{}' does not hold", other.keyword())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    /// A schema built as HL7's is, of two types.
    const SCHEMA: &str = include_str!("../../fixtures/shape/schema.json");

    #[test]
    fn shapes() {
        let shapes = Shapes::read(SCHEMA.as_bytes()).unwrap();
        let check = |document: &str, expected: &[&str]| {
            let found = shapes.check(&json::parse(document.as_bytes(), 64).unwrap());
            let found: Vec<String> = found.iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
            let expected: Vec<&str> = expected.iter().copied().chain(["SHAPE_ONLY "]).collect();
            assert_eq!(found, expected, "{document}");
        };
        check(r#"{"resourceType": "Pet", "status": "active", "name": [{"text": "a"}]}"#, &[]);
        check(r#"{"resourceType": "Pet"}"#, &["Validation_VAL_Profile_Minimum_one Pet"]);
        check(r#"{"resourceType": "Pet", "status": "gone"}"#, &["Terminology_TX_NoValid_16 Pet.status"]);
        check(r#"{"resourceType": "Pet", "status": "active", "colour": 1}"#, &["Unrecognised_property_ Pet"]);
        check(r#"{"resourceType": "Pet", "status": "active", "name": [{"text": 1}]}"#, &["SHAPE_JSON_TYPE Pet.name[0].text"]);
        check(r#"{"resourceType": "Pet", "status": "active", "id": "a b"}"#, &["Type_Specific_Checks_DT_Primitive_Regex Pet.id"]);
        check(r#"{"resourceType": "Cat"}"#, &["This_does_not_appear_to_be_a_FHIR_resource_unknown_name Cat"]);
        let inner = r#"{"resourceType": "Box", "entry": [{"resource": {"resourceType": "Pet"}}]}"#;
        check(inner, &["Validation_VAL_Profile_Minimum_one Box.entry[0].resource"]);
        let mut nested = r#"{"resourceType": "Pet", "status": "active"}"#.to_owned();
        for _ in 0..=RESOURCES_DEPTH_MAX {
            nested = format!(r#"{{"resourceType": "Box", "entry": [{{"resource": {nested}}}]}}"#);
        }
        let found = shapes.check(&json::parse(nested.as_bytes(), 1024).unwrap());
        assert!(found.iter().any(|one| one.message_id == "DEPTH_MAX"));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in ["", "[]", "{}", r#"{"definitions": {}}"#] {
            assert!(Shapes::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
