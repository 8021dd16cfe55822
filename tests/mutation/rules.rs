//! The rules by which defects are made: each looks at one place and makes what can be wrong there.

use super::places::{Place, drop_at, put_at};
use hearthgate::fhir::types::{BindingStrength, TypeTable, UNBOUNDED};
use serde_json::{Value, json};

/// A document with one defect, and where it must be found.
#[derive(Clone)]
pub struct Mutant {
    pub rule: &'static str,
    pub why: String,
    pub resource: Value,
    pub at: String,
}

type Rule = fn(&TypeTable, &Value, &Place) -> Vec<Mutant>;

pub const RULES: [Rule; 14] = [
    unknown_element,
    missing_required,
    wrong_shape,
    bad_primitive,
    code_outside_its_set,
    not_a_list,
    too_many,
    nothing_there,
    choice_made_twice,
    choice_of_no_type,
    bad_extension,
    wrong_target,
    bad_sibling,
    null_value,
];

fn mutant(rule: &'static str, why: impl Into<String>, resource: Value, at: &str) -> Mutant {
    Mutant { rule, why: why.into(), resource, at: at.to_owned() }
}

fn with(document: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = document.clone();
    put_at(&mut changed, pointer, value);
    changed
}

fn unknown_element(_: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    if !place.is_complex() {
        return Vec::new();
    }
    let changed = with(document, &format!("{}/frobnicated", place.pointer), json!("x"));
    vec![mutant("unknown element", format!("in {}", place.expression), changed, &place.expression)]
}

/// Every required child left out, one at a time.
fn missing_required(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(content) = place.content else { return Vec::new() };
    let object = document.pointer(&place.pointer).unwrap().as_object().unwrap();
    let required = types.element(content).children.iter().filter(|child| types.element(**child).min > 0);
    let mut made = Vec::new();
    for &child in required {
        let names = object.keys().filter(|name| types.member(content, name).is_some_and(|used| used.element == child));
        for name in names {
            let mut changed = document.clone();
            drop_at(&mut changed, &format!("{}/{name}", place.pointer));
            made.push(mutant("missing required", format!("{name} of {}", place.expression), changed, &place.expression));
        }
    }
    made
}

/// Another kind of JSON value than the type has.
fn wrong_shape(_: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    if place.element.is_none() {
        return Vec::new();
    }
    let wrong = match document.pointer(&place.pointer).unwrap() {
        Value::Object(_) => vec![json!("text"), json!(7)],
        Value::String(_) => vec![json!(7), json!({"a": 1}), json!(true)],
        _ => vec![json!("text"), json!({"a": 1})],
    };
    let changed = |value: Value| {
        mutant("wrong shape", format!("{value} at {}", place.expression), with(document, &place.pointer, value), &place.expression)
    };
    wrong.into_iter().map(changed).collect()
}

fn bad_values(type_name: &str) -> Vec<Value> {
    match type_name {
        "integer" => vec![json!(1.5), json!(2_147_483_648_i64)],
        "positiveInt" => vec![json!(0), json!(-1)],
        "unsignedInt" => vec![json!(-1), json!(1.5)],
        "date" => {
            vec![json!("2023-02-29"), json!("2024-13-01"), json!("24-01-01"), json!("2024-1-1"), json!("2024-01-01T00:00:00Z"), json!("")]
        }
        "dateTime" => {
            vec![
                json!("2023-02-29"),
                json!("2024-01-01T25:00:00Z"),
                json!("2024-01-01T10:00:00"),
                json!("2024-01-01T10:00Z"),
                json!("yesterday"),
                json!("2024-01-01T10:00:00+15:00"),
            ]
        }
        "instant" => vec![json!("2024-01-01"), json!("2024-02-30T10:00:00Z"), json!("2024-01-01T10:00:00")],
        "time" => vec![json!("24:00:00"), json!("10:00"), json!("10:61:00")],
        "code" => vec![json!(""), json!(" a"), json!("a  b"), json!("a ")],
        "uri" | "url" | "canonical" => vec![json!("http://a b"), json!("")],
        "oid" => vec![json!("urn:oid:3.1"), json!("1.2.3")],
        "uuid" => vec![json!("urn:uuid:1"), json!("x")],
        "base64Binary" => vec![json!("a$b="), json!("abc")],
        "string" | "markdown" => vec![json!("")],
        _ => Vec::new(),
    }
}

fn bad_primitive(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    // An id of a resource has rules of its own.
    let is_id = place.member == "id";
    let values = if is_id { vec![json!("a b"), json!("a_b"), json!("x".repeat(65))] } else { bad_values(&place.type_name) };
    if place.element.is_none() || place.is_complex() || (is_id && types.type_named(&place.parent_expression).is_none()) {
        return Vec::new();
    }
    let changed = |value: Value| {
        mutant("bad primitive", format!("{value} at {}", place.expression), with(document, &place.pointer, value), &place.expression)
    };
    values.into_iter().map(changed).collect()
}

/// A code that a required set does not have.
fn code_outside_its_set(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let binding = place.definition(types).and_then(|definition| definition.binding.as_ref());
    if !binding.is_some_and(|binding| binding.strength == BindingStrength::Required) {
        return Vec::new();
    }
    let (value, why) = match place.type_name.as_str() {
        // These sets are all of a grammar, in which the word is a word.
        "code" if ["mimetypes", "all-languages", "ucum-units"].iter().any(|set| binding.unwrap().value_set.contains(set)) => {
            return Vec::new();
        }
        "code" => (json!("frobnicated"), "code"),
        "CodeableConcept" => (json!({"coding": [{"system": "http://example.org/other", "code": "frobnicated"}]}), "concept"),
        "Coding" => (json!({"system": "http://example.org/other", "code": "frobnicated"}), "coding"),
        _ => return Vec::new(),
    };
    vec![mutant("code outside its set", format!("{why} at {}", place.expression), with(document, &place.pointer, value), &place.expression)]
}

/// A repeating element that is no list.
fn not_a_list(_: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    if place.pointer == place.list_pointer || !place.pointer.ends_with("/0") {
        return Vec::new();
    }
    let alone = document.pointer(&place.pointer).unwrap().clone();
    vec![mutant("not a list", place.list_expression.clone(), with(document, &place.list_pointer, alone), &place.list_expression)]
}

/// An element more often than it may be there.
fn too_many(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(definition) = place.definition(types) else { return Vec::new() };
    if definition.max == UNBOUNDED || place.pointer != place.list_pointer {
        return Vec::new();
    }
    let one = document.pointer(&place.pointer).unwrap();
    let many = Value::Array(vec![one.clone(); definition.max as usize + 1]);
    vec![mutant("too many", place.expression.clone(), with(document, &place.list_pointer, many), &place.list_expression)]
}

/// An empty list, object or text.
fn nothing_there(_: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let mut made = Vec::new();
    if place.pointer != place.list_pointer && place.pointer.ends_with("/0") {
        let changed = with(document, &place.list_pointer, json!([]));
        made.push(mutant("nothing there", format!("[] at {}", place.list_expression), changed, &place.list_expression));
    }
    if place.is_complex() && place.element.is_some() {
        let at = &place.expression;
        made.push(mutant("nothing there", format!("{{}} at {at}"), with(document, &place.pointer, json!({})), at));
    }
    made
}

/// The element's other type beside the one it has.
fn choice_made_twice(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(definition) = place.definition(types).filter(|definition| definition.is_choice) else { return Vec::new() };
    let other = definition.types.iter().find_map(|other| match other.code.as_str() {
        code if code == place.type_name => None,
        "boolean" => Some(("Boolean", json!(true))),
        "string" => Some(("String", json!("x"))),
        "dateTime" => Some(("DateTime", json!("2024-01-01"))),
        "Period" => Some(("Period", json!({"start": "2024-01-01"}))),
        "CodeableConcept" => Some(("CodeableConcept", json!({"text": "x"}))),
        "Reference" => Some(("Reference", json!({"display": "x"}))),
        _ => None,
    });
    let Some((suffix, value)) = other else { return Vec::new() };
    let changed = with(document, &format!("{}/{}{suffix}", place.parent_pointer, definition.name), value);
    vec![mutant("choice made twice", format!("{suffix} beside {}", place.expression), changed, &place.parent_expression)]
}

/// A type that the choice does not have.
fn choice_of_no_type(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(definition) = place.definition(types).filter(|definition| definition.is_choice) else { return Vec::new() };
    let changed = with(document, &format!("{}/{}Narrative", place.parent_pointer, definition.name), json!({"status": "empty"}));
    vec![mutant("choice of no type", place.expression.clone(), changed, &place.parent_expression)]
}

fn bad_extension(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(content) = place.content else { return Vec::new() };
    if types.member(content, "extension").is_none() || place.type_name == "Extension" {
        return Vec::new();
    }
    let before = document.pointer(&place.pointer).unwrap()["extension"].as_array().cloned().unwrap_or_default();
    let bad = [
        ("no URL", json!({"valueString": "x"})),
        ("a relative URL", json!({"url": "relative", "valueString": "x"})),
        (
            "value and extensions",
            json!({"url": "http://example.org/fhir/e", "valueString": "x", "extension": [{"url": "http://example.org/fhir/f", "valueCode": "y"}]}),
        ),
        ("neither value nor extensions", json!({"url": "http://example.org/fhir/e"})),
        ("an unknown definition", json!({"url": "http://vendor.test/fhir/frobnicated", "valueString": "x"})),
        ("two values", json!({"url": "http://example.org/fhir/e", "valueString": "x", "valueCode": "y"})),
    ];
    let mut made = Vec::new();
    for (why, extension) in bad {
        let mut all = before.clone();
        all.push(extension);
        let changed = with(document, &format!("{}/extension", place.pointer), Value::Array(all));
        made.push(mutant(
            "bad extension",
            format!("{why} at {}", place.expression),
            changed,
            &format!("{}.extension[{}]", place.expression, before.len()),
        ));
    }
    if types.member(content, "modifierExtension").is_some() {
        let unknown = json!([{"url": "http://vendor.test/fhir/m", "valueBoolean": true}]);
        let changed = with(document, &format!("{}/modifierExtension", place.pointer), unknown);
        made.push(mutant(
            "bad extension",
            format!("an unknown modifier at {}", place.expression),
            changed,
            &format!("{}.modifierExtension[0]", place.expression),
        ));
    }
    made
}

/// A type that the reference may not point to, by its text and by its type; and a text that is no reference.
fn wrong_target(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(definition) = place.definition(types).filter(|_| place.type_name == "Reference") else { return Vec::new() };
    let targets: Vec<&str> =
        definition.types.iter().filter(|one| one.code == "Reference").flat_map(|one| &one.targets).map(|one| one.as_str()).collect();
    let mut made = Vec::new();
    let mut add = |why: &str, value: Value| {
        made.push(mutant(
            "wrong target",
            format!("{why} at {}", place.expression),
            with(document, &place.pointer, value),
            &place.expression,
        ));
    };
    if !targets.is_empty() && !targets.contains(&"Resource") {
        let other = ["Patient", "Medication", "Slot"].into_iter().find(|name| !targets.contains(name)).unwrap();
        add("a reference to another type", json!({"reference": format!("{other}/1")}));
        add("another type", json!({"type": other, "display": "x"}));
        add("a URL of another type", json!({"reference": format!("https://example.org/fhir/{other}/1/_history/2")}));
    }
    add("a fragment of nothing", json!({"reference": "#nowhere"}));
    made
}

/// What stands beside a primitive must be an object, with a value of an extension.
fn bad_sibling(types: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    let Some(definition) = place.definition(types) else { return Vec::new() };
    if place.is_complex()
        || definition.repeats()
        || place.type_name == "xhtml"
        || !types.is_primitive(&place.type_name)
        || place.member == "url"
        || place.member == "id"
    {
        return Vec::new();
    }
    let pointer = format!("{}/_{}", place.parent_pointer, place.member);
    vec![
        mutant("bad sibling", format!("text beside {}", place.expression), with(document, &pointer, json!("x")), &place.expression),
        mutant(
            "bad sibling",
            format!("an unknown member beside {}", place.expression),
            with(document, &pointer, json!({"frobnicated": 1})),
            &place.expression,
        ),
        mutant(
            "bad sibling",
            format!("a list beside {}", place.expression),
            with(document, &pointer, json!([{"id": "a"}])),
            &place.expression,
        ),
    ]
}

fn null_value(_: &TypeTable, document: &Value, place: &Place) -> Vec<Mutant> {
    // Beside an extension that says why, null may stand for the value.
    let sibling = format!("{}/_{}", place.parent_pointer, place.member);
    if place.element.is_none() || document.pointer(&sibling).is_some() {
        return Vec::new();
    }
    vec![mutant("null", place.expression.clone(), with(document, &place.pointer, Value::Null), &place.expression)]
}
