//! Links of a narrative and of URIs to places within the resource (<https://hl7.org/fhir/R4/narrative.html#id>): `#id` must lead somewhere.

use super::path::Path;
use super::references::{self, Scope};
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Value};
use crate::outcome::IssueType;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::{HashMap, HashSet};

const LEADS_NOWHERE: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_XHTML_Resolve");
const URL_LEADS_NOWHERE: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_URL_RESOLVE");
const NAMES_NOTHING: Rule = Rule::error(IssueType::Invalid, "XHTML_IDREF_NOT_FOUND");
const NAMES_SEVERAL: Rule = Rule::error(IssueType::Invalid, "XHTML_IDREF_NOT_MULTIPLE_MATCHES");

/// Where FHIR's own site has nothing, and never will.
const NOWHERE: &str = "http://hl7.org/fhir/invalid";

/// The ids of elements and anchors, each with how often it is there.
pub type Places = HashMap<String, usize>;

/// How deep elements may nest to be a link's target; a deeper one is taken as not there.
const DEPTH_MAX: usize = super::DEPTH_MAX;

/// Judges the links of a narrative. Ones that cannot be read as XML are judged elsewhere.
pub fn check(walk: &mut Walk<'_>, narrative: &str, node: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    if !["=\"#", "='#", "idref="].iter().any(|sign| narrative.contains(sign)) {
        return;
    }
    let (mut links, mut named) = (Vec::new(), Vec::new());
    each_attribute(narrative, |element, name, value| {
        if name == "idref" {
            named.push(value.to_owned());
        }
        if let ("a" | "area", "href", Some(id)) | ("img", "src", Some(id)) = (element, name, value.strip_prefix('#')) {
            links.push(id.to_owned());
        }
    });
    let mut places = HashMap::new();
    collect(scope.container, &mut places, 0);
    for id in &named {
        match places.get(id.as_str()) {
            None => walk.report.add(NAMES_NOTHING, path, node, "Nothing in the resource has an id that the narrative names (idref)"),
            Some(1) => {}
            Some(_) => {
                walk.report.add(NAMES_SEVERAL, path, node, "Several things in the resource have an id that the narrative names (idref)")
            }
        }
    }
    for (index, id) in links.iter().enumerate() {
        if !id.is_empty() && !places.contains_key(id.as_str()) && !leads_to_entry(walk, id, scope) {
            let text = format!("Link {} within the narrative leads to nothing in the resource", index + 1);
            walk.report.add(LEADS_NOWHERE, path, node, text);
        }
    }
}

/// Judges a URI: a fragment names something in the resource, and nothing is where HL7 says that nothing is.
pub fn check_uri(walk: &mut Walk<'_>, uri: &str, node: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let leads_nowhere = match uri.strip_prefix('#') {
        Some("") => false,
        Some(id) => !places_of(walk, scope).contains_key(id),
        None => uri.starts_with(NOWHERE),
    };
    if leads_nowhere {
        walk.report.add(URL_LEADS_NOWHERE, path, node, "The URL leads to nothing");
    }
}

/// The places in the resource at hand, gathered once for all its URIs.
pub fn places_of<'w>(walk: &'w mut Walk<'_>, scope: &Scope<'_>) -> &'w Places {
    let of = references::address(scope.container);
    if walk.places.0 != of {
        let mut places = HashMap::new();
        collect(scope.container, &mut places, 0);
        walk.places = (of, places);
    }
    &walk.places.1
}

/// The ids of the elements of a narrative.
pub fn ids_in(narrative: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    each_attribute(narrative, |_, name, value| {
        if name == "id" {
            ids.insert(value.to_owned());
        }
    });
    ids
}

/// Narrative in a Bundle names other entries as `#Type_id`, as HL7's own tools write it. Such links are not followed.
fn leads_to_entry(walk: &Walk<'_>, id: &str, scope: &Scope<'_>) -> bool {
    scope.entry.is_some() && id.split_once('_').is_some_and(|(type_name, _)| walk.types.resource(type_name).is_some())
}

/// The ids of elements and resources, and the anchors of narratives, each with how often it is there.
fn collect(node: &Node, places: &mut Places, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| collect(item, places, depth + 1)),
        Value::Object(object) => {
            for member in object.members() {
                match (member.name.as_str(), member.node.as_text()) {
                    ("id", Some(id)) => {
                        *places.entry(id.to_owned()).or_default() += 1;
                    }
                    ("div", Some(narrative)) => each_attribute(narrative, |element, name, value| {
                        if name == "id" || (element == "a" && name == "name") {
                            *places.entry(value.to_owned()).or_default() += 1;
                        }
                    }),
                    _ => collect(&member.node, places, depth + 1),
                }
            }
        }
        _ => {}
    }
}

/// Calls `act` with each element's name, attribute and value, up to where the text can no longer be read.
fn each_attribute(narrative: &str, mut act: impl FnMut(&str, &str, &str)) {
    let mut reader = Reader::from_str(narrative);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                for attribute in element.attributes().flatten() {
                    act(element.local_name().as_ref(), attribute.key.as_ref(), &attribute.value);
                }
            }
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
