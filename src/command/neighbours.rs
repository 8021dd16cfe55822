//! Resources in the files beside one that is judged, for references that are to be followed.

use crate::definitions::Definitions;
use crate::fhir::{Node, Value, json, xml};
use std::collections::HashMap;
use std::path::Path;

/// How many files are read for one resource; references beyond lead nowhere.
const FILES_MAX: usize = 1_000;

/// How large one of the files may be, in bytes; a larger one is taken as not there.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What relative references lead to, from the resource on and through what it leads to. `Patient/1` is looked for in `Patient-1`, `patient-1`
/// and `1`, each as `.json` and `.xml`.
pub fn of(file: &Path, resource: &Node) -> HashMap<String, Node> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut found = HashMap::new();
    let mut open = Vec::new();
    references(resource, &mut open);
    let mut left = FILES_MAX;
    while let Some(reference) = open.pop() {
        let (false, Some(fewer)) = (found.contains_key(&reference), left.checked_sub(1)) else { continue };
        left = fewer;
        if let Some(node) = read(folder, &reference) {
            references(&node, &mut open);
            found.insert(reference, node);
        }
    }
    found
}

fn references(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(object) => {
            for member in object.members() {
                match member.node.as_text() {
                    Some(text) if member.name == "reference" => found.push(text.to_owned()),
                    _ => references(&member.node, found),
                }
            }
        }
        _ => {}
    }
}

fn read(folder: &Path, reference: &str) -> Option<Node> {
    let (type_name, id) = reference.split_once('/').filter(|(type_name, id)| is_plain(type_name) && is_plain(id))?;
    let lower = type_name.to_lowercase();
    let names = [format!("{type_name}-{id}"), format!("{lower}-{id}"), id.to_owned()];
    let files = names.iter().flat_map(|name| [folder.join(format!("{name}.json")), folder.join(format!("{name}.xml"))]);
    files.filter_map(|file| parse(&file)).find(|node| node.resource_type() == Some(type_name))
}

/// Only letters, digits, `-` and `.`, so that no reference leads out of the folder.
fn is_plain(part: &str) -> bool {
    !part.starts_with('.') && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn parse(file: &Path) -> Option<Node> {
    let is_small = std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= FILE_BYTES_MAX);
    let bytes = if is_small { std::fs::read(file).ok()? } else { return None };
    if file.extension().is_some_and(|extension| extension == "xml") {
        return xml::parse(&bytes, json::DEFAULT_DEPTH, Definitions::embedded().types()).ok();
    }
    json::parse(&bytes, json::DEFAULT_DEPTH).ok()
}
