//! The shape of documents of a release whose definitions are not in hand, by HL7's JSON Schema for it (`fhir.schema.json`).
//!
//! In scope: which members an element may have, which must be there, their JSON types and their forms. Out of scope: everything else that definitions
//! say, and the outcome says so. The schema chooses a resource's type by a long list of alternatives; here each resource, inside another too, is judged
//! by the part that is for its type, so that a finding names the member that is wrong.
//!
//! Follows <https://hl7.org/fhir/R5/downloads.html> and <https://json-schema.org/draft-06>.

mod published;

use crate::fhir::{Node, Value};
use crate::outcome::{Finding, IssueType, Severity};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Number, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Resources inside one another beyond this are not judged.
const RESOURCES_DEPTH_MAX: usize = 32;
/// How many findings one resource may have here.
const FINDINGS_MAX: usize = 200;

/// What judges the resources of a type.
#[derive(Clone)]
enum Judge {
    Shape(Arc<Validator>),
    /// The schema names no such type.
    Unknown,
    /// The part of the schema that is for the type cannot be compiled.
    Broken,
}

/// A release's JSON Schema; what judges a type is compiled when the type is first met.
pub struct Shapes {
    schema: Json,
    /// How many of its patterns are no regular expressions: R5's for `decimal` has a brace too many.
    broken_patterns: usize,
    compiled: Mutex<HashMap<String, Judge>>,
}

impl Shapes {
    /// Reads HL7's schema of a release; the error says what it is instead.
    pub fn read(bytes: &[u8]) -> Result<Shapes, String> {
        let (schema, broken_patterns) = published::read(bytes)?;
        Ok(Shapes { schema, broken_patterns, compiled: Mutex::default() })
    }

    /// Judges a resource and those inside it. The last finding says what was not checked.
    pub fn check(&self, resource: &Node) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.resource(resource, resource.resource_type().unwrap_or_default().to_owned(), 0, &mut findings);
        findings.truncate(FINDINGS_MAX);
        let mut text = "Only the shape was checked, by the release's JSON Schema: its definitions are not in hand".to_owned();
        if self.broken_patterns > 0 {
            text.push_str(&format!("; {} of its patterns are no regular expressions and were left out", self.broken_patterns));
        }
        findings.push(Finding::new(Severity::Information, IssueType::NotSupported, "SHAPE_ONLY", text).at_offset(resource.place()));
        findings
    }

    fn resource(&self, resource: &Node, path: String, depth: usize, findings: &mut Vec<Finding>) {
        let type_name = resource.resource_type().unwrap_or_default();
        match self.judge_of(type_name) {
            Judge::Shape(shape) => {
                findings.extend(
                    shape
                        .iter_errors(&json_of(resource))
                        .filter(|error| !is_placeholder(error, resource))
                        .take(FINDINGS_MAX)
                        .map(|error| finding(&error, resource, &path)),
                );
            }
            Judge::Unknown => {
                let text = "The type named in resourceType is not a resource type of this release's JSON Schema";
                let id = "This_does_not_appear_to_be_a_FHIR_resource_unknown_name";
                return findings.push(Finding::new(Severity::Error, IssueType::Invalid, id, text).at(path).at_offset(resource.place()));
            }
            Judge::Broken => {
                let text = "The JSON Schema's part for this type cannot be compiled; the resource was not checked";
                let finding = Finding::new(Severity::Error, IssueType::NotSupported, "SHAPE_SCHEMA_BROKEN", text);
                return findings.push(finding.at(path).at_offset(resource.place()));
            }
        }
        if depth == RESOURCES_DEPTH_MAX {
            let text = format!("Resources nest more than {RESOURCES_DEPTH_MAX} levels deep; the rest was not checked");
            return findings.push(Finding::new(Severity::Error, IssueType::TooCostly, "DEPTH_MAX", text).at(path));
        }
        for (inner, at) in inside(resource, &path) {
            self.resource(inner, at, depth + 1, findings);
        }
    }

    fn judge_of(&self, type_name: &str) -> Judge {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = compiled.get(type_name) {
            return found.clone();
        }
        let judge = self.compile(type_name);
        if !matches!(judge, Judge::Unknown) {
            compiled.insert(type_name.to_owned(), judge.clone());
        }
        judge
    }

    fn compile(&self, type_name: &str) -> Judge {
        let stated = self.schema.get("definitions").and_then(|all| all.get(type_name)).and_then(|stated| stated.get("properties"));
        if stated.and_then(|properties| properties.get("resourceType")).is_none() {
            return Judge::Unknown;
        }
        let mut schema = self.schema.clone();
        if let Some(members) = schema.as_object_mut() {
            members.insert("$ref".to_owned(), format!("#/definitions/{type_name}").into());
        }
        published::options().build(&schema).map_or(Judge::Broken, |built| Judge::Shape(Arc::new(built)))
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

/// Whether an error is about a null that FHIR's JSON wants: in the list of a primitive's values or in that of their extensions, where the other
/// list has something in its place. HL7's schema knows no such null.
fn is_placeholder(error: &ValidationError<'_>, resource: &Node) -> bool {
    let pointer = error.instance_path().to_string();
    let mut steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let (Some(index), Some(name)) = (steps.pop().and_then(|step| step.parse::<usize>().ok()), steps.pop()) else { return false };
    let mut owner = Some(resource);
    for step in steps {
        owner = owner.and_then(|node| node.get(step).or_else(|| node.as_list()?.get(step.parse::<usize>().ok()?)));
    }
    let item = |name: &str| owner?.get(name)?.as_list()?.get(index);
    let companion = name.strip_prefix('_').map_or_else(|| format!("_{name}"), str::to_owned);
    let is_null = |node: &Node| matches!(node.value, Value::Null);
    item(name).is_some_and(is_null) && item(&companion).is_some_and(|other| !is_null(other))
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
        check(r#"{"resourceType": "Pet", "status": "active", "name": [{"weight": 1.5}]}"#, &[]);
        check(r#"{"resourceType": "Pet", "status": "active", "nick": ["a", null], "_nick": [null, {"id": "b"}]}"#, &[]);
        check(r#"{"resourceType": "Pet", "status": "active", "nick": ["a", null]}"#, &["SHAPE_JSON_TYPE Pet.nick[1]"]);
        check(r#"{"resourceType": "Pet", "status": "active", "kind": "http://a.b/c", "_kind": {"id": "k"}}"#, &[]);
        check(r#"{"resourceType": "Pet"}"#, &["Validation_VAL_Profile_Minimum_one Pet"]);
        check(r#"{"resourceType": "Pet", "status": "gone"}"#, &["Terminology_TX_NoValid_16 Pet.status"]);
        check(r#"{"resourceType": "Pet", "status": "active", "colour": 1}"#, &["Unrecognised_property_ Pet"]);
        check(r#"{"resourceType": "Pet", "status": "active", "name": [{"text": 1}]}"#, &["SHAPE_JSON_TYPE Pet.name[0].text"]);
        check(r#"{"resourceType": "Pet", "status": "active", "id": "a b"}"#, &["Type_Specific_Checks_DT_Primitive_Regex Pet.id"]);
        check(
            "{\"resourceType\": \"Pet\", \"status\": \"active\", \"nick\": [\"a\u{A0}b\", \"\u{3000}\"], \"kind\": \"http://a.b/\u{A0}\"}",
            &[],
        );
        let blank = r#"{"resourceType": "Pet", "status": "active", "nick": [""], "kind": "http://a.b/ c"}"#;
        check(blank, &["Type_Specific_Checks_DT_Primitive_Regex Pet.nick[0]", "Type_Specific_Checks_DT_Primitive_Regex Pet.kind"]);
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
    fn a_pattern_that_is_none_is_left_out_and_named() {
        let shapes = Shapes::read(SCHEMA.as_bytes()).unwrap();
        let found = shapes.check(&json::parse(br#"{"resourceType": "Pet", "status": "active"}"#, 64).unwrap());
        assert!(found[0].text.ends_with("; 1 of its patterns are no regular expressions and were left out"), "{}", found[0].text);
    }

    #[test]
    fn what_cannot_be_compiled_is_said() {
        let broken = SCHEMA.replace("#/definitions/Name", "#/definitions/Missing");
        let shapes = Shapes::read(broken.as_bytes()).unwrap();
        let found = shapes.check(&json::parse(br#"{"resourceType": "Pet", "status": "active"}"#, 64).unwrap());
        assert_eq!(found[0].message_id, "SHAPE_SCHEMA_BROKEN");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in ["", "[]", "{}", r#"{"definitions": {}}"#] {
            assert!(Shapes::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
