//! Where a defect can be put: every element of an example, with what its definition says of it.

use hearthgate::fhir::types::{Element, ElementId, TypeTable};
use serde_json::{Map, Value};

/// One element of a document.
pub struct Place {
    /// Its JSON pointer.
    pub pointer: String,
    /// The pointer without the index, where the element repeats.
    pub list_pointer: String,
    /// As a finding names it.
    pub expression: String,
    /// The same without the index.
    pub list_expression: String,
    /// What a finding about its parent names.
    pub parent_expression: String,
    pub parent_pointer: String,
    /// The member's name in JSON (`valueQuantity`).
    pub member: String,
    /// None for a resource.
    pub element: Option<ElementId>,
    /// `Quantity`; the resource's type.
    pub type_name: String,
    /// Under which its children are found; none for a primitive.
    pub content: Option<ElementId>,
}

impl Place {
    pub fn definition<'t>(&self, types: &'t TypeTable) -> Option<&'t Element> {
        self.element.map(|id| types.element(id))
    }

    /// Whether its value is an object with elements.
    pub fn is_complex(&self) -> bool {
        self.content.is_some()
    }
}

/// Every element of a resource, itself first.
pub fn places(types: &TypeTable, resource: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    let expression = resource["resourceType"].as_str().unwrap().to_owned();
    add_resource(types, resource, String::new(), &expression, None, &mut found);
    found
}

fn add_resource(
    types: &TypeTable,
    resource: &Value,
    pointer: String,
    expression: &str,
    element: Option<ElementId>,
    found: &mut Vec<Place>,
) {
    let type_name = resource["resourceType"].as_str().unwrap();
    let content = types.resource(type_name).unwrap().root;
    found.push(Place {
        list_pointer: pointer.clone(),
        expression: expression.to_owned(),
        list_expression: expression.to_owned(),
        parent_expression: String::new(),
        parent_pointer: String::new(),
        member: String::new(),
        element,
        type_name: type_name.to_owned(),
        content: Some(content),
        pointer: pointer.clone(),
    });
    add_members(types, resource.as_object().unwrap(), content, &pointer, expression, found);
}

fn add_members(
    types: &TypeTable,
    object: &Map<String, Value>,
    content: ElementId,
    pointer: &str,
    expression: &str,
    found: &mut Vec<Place>,
) {
    for (name, value) in object {
        let Some(used) = types.member(content, name) else { continue };
        let element = types.element(used.element);
        let type_name = element.types.get(used.type_index).map(|one| one.code.as_str()).unwrap_or_default();
        let below = format!("{pointer}/{name}");
        let step = if element.is_choice { format!("{}.ofType({type_name})", element.name) } else { element.name.to_string() };
        let list_expression = format!("{expression}.{step}");
        let items: Vec<(String, String, &Value)> = match value {
            Value::Array(items) => {
                let one = |(index, item)| (format!("{below}/{index}"), format!("{list_expression}[{index}]"), item);
                items.iter().enumerate().map(one).collect()
            }
            value => vec![(below.clone(), list_expression.clone(), value)],
        };
        for (item_pointer, item_expression, item) in items {
            if type_name == "Resource" {
                add_resource(types, item, item_pointer, &item_expression, Some(used.element), found);
                continue;
            }
            let inner = item.is_object().then(|| types.content(used.element, used.type_index));
            found.push(Place {
                pointer: item_pointer.clone(),
                list_pointer: below.clone(),
                expression: item_expression.clone(),
                list_expression: list_expression.clone(),
                parent_expression: expression.to_owned(),
                parent_pointer: pointer.to_owned(),
                member: name.clone(),
                element: Some(used.element),
                type_name: type_name.to_owned(),
                content: inner,
            });
            if let Some(content) = inner {
                add_members(types, item.as_object().unwrap(), content, &item_pointer, &item_expression, found);
            }
        }
    }
}

/// Sets what a pointer points to, which may be new in its parent.
pub fn put_at(document: &mut Value, pointer: &str, value: Value) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return *document = value };
    match document.pointer_mut(parent).unwrap() {
        Value::Object(object) => drop(object.insert(last.to_owned(), value)),
        Value::Array(items) => match last.parse::<usize>().unwrap() {
            index if index < items.len() => items[index] = value,
            _ => items.push(value),
        },
        _ => panic!("{pointer} has no parent"),
    }
}

pub fn drop_at(document: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(object) => assert!(object.remove(last).is_some(), "{pointer}"),
        Value::Array(items) => drop(items.remove(last.parse::<usize>().unwrap())),
        _ => panic!("{pointer} has no parent"),
    }
}
