//! Everything by which a resource points at other records: its references, URIs that are the address of a record, and links in what people wrote.
//!
//! Out of scope: what is withheld of it (`redact`), and what a decision is taken on, which are the references alone.

use super::code::Reference;
use super::facts::references_of;
use crate::definitions::Definitions;
use crate::fhir::{Node, Value};

/// What stands before a link in a narrative and in markdown.
const LINK_MARKS: [&str; 3] = ["href", "src", "]("];

/// What a resource points at, in whatever way.
pub fn pointers_of(resource: &Node) -> Vec<Reference> {
    let mut found = references_of(resource);
    collect(resource, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<Reference>) {
    match &node.value {
        Value::Text(text) => found.extend(addresses_in(text).filter_map(Reference::new).filter(is_record)),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(object) => {
            // A Bundle's entries are named so by themselves, and references are known already.
            let pointing = object.members().iter().filter(|member| !matches!(member.name.as_str(), "fullUrl" | "reference"));
            pointing.for_each(|member| collect(&member.node, found));
        }
        _ => {}
    }
}

fn is_record(reference: &Reference) -> bool {
    reference.type_name().is_some_and(|name| Definitions::embedded().types().resource(name).is_some())
}

/// What may be addresses of records in a text: the whole of it, or the links in it. Queries and fragments are left out.
pub(super) fn addresses_in(text: &str) -> impl Iterator<Item = &str> {
    let is_address = !text.contains(char::is_whitespace) && !text.contains('<');
    let marks = if text.contains('/') && !is_address { &LINK_MARKS[..] } else { &[] };
    let links = marks.iter().flat_map(move |mark| text.match_indices(mark)).filter_map(|(at, mark)| link_at(text.get(at + mark.len()..)?));
    let whole = (is_address && text.contains('/')).then_some(text);
    whole.into_iter().chain(links).map(|address| address.split(['?', '#']).next().unwrap_or_default())
}

/// The link that follows a mark.
fn link_at(rest: &str) -> Option<&str> {
    let quoted = rest.trim_start().strip_prefix('=').map_or(rest, str::trim_start);
    let address = quoted.strip_prefix(['"', '\'']).unwrap_or(quoted);
    address.split(['"', '\'', ')', '<', '>', ' ', '\n', '\t']).next().map(str::trim).filter(|address| address.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{DEFAULT_DEPTH, parse};

    #[test]
    fn whatever_points_at_a_record_is_found() {
        let check = |body: &str, expected: &[&str]| {
            let resource = parse(format!(r#"{{"resourceType":"CarePlan",{body}}}"#).as_bytes(), DEFAULT_DEPTH).unwrap();
            let found: Vec<String> = pointers_of(&resource).iter().map(|reference| reference.as_str().to_owned()).collect();
            assert_eq!(found, expected, "{body}");
        };
        check(r#""subject":{"reference":"Patient/1"}"#, &["Patient/1"]);
        check(r#""instantiatesUri":["Condition/1/_history/2","http://x.example/plans/3"]"#, &["Condition/1"]);
        check(r#""presentedForm":[{"url":"https://h.example/fhir/Binary/1?_format=pdf"}]"#, &["https://h.example/fhir/Binary/1"]);
        check(r#""extension":[{"url":"http://x.example/seen","valueUri":"Condition/4#part"}]"#, &["Condition/4"]);
        check(r#""text":{"div":"<div><a href=\"Condition/5\">it</a> <img src = 'Binary/6' /></div>"}"#, &["Condition/5", "Binary/6"]);
        check(r#""note":[{"text":"See [this](Condition/7) and/or that"}]"#, &["Condition/7"]);
        check(r#""note":[{"text":"See Condition/8 of 1/2/2026"}],"description":"N/A","title":"Docs/1"}"#.trim_end_matches('}'), &[]);
        check(r#""category":[{"coding":[{"system":"http://loinc.org/x/Y","code":"1/2"}]}]"#, &[]);
        check(
            r#""supportingInfo":[{"type":"Condition","identifier":{"system":"s","value":"9"}}],"author":{"identifier":{"system":"npi","value":"1"}}"#,
            &["Condition?identifier=s|9"],
        );
    }
}
