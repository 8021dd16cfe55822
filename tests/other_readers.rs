//! What the gateway writes, read by another library for FHIR: JSON and XML must say the same to it, and what it writes must say the same to us.

use crate::suites::{files, shared};
use fhirbolt::FhirReleases;
use fhirbolt::element::Element;
use flate2::read::GzDecoder;
use hearthgate::definitions::Definitions;
use hearthgate::fhir::{Node, json, xml};
use hearthgate::validate::{self, Options};
use std::fs;
use std::io::Read;
use std::path::Path;

type Other = Element<{ FhirReleases::R4 }>;

/// Without narratives: the other library leaves out blanks between their elements.
fn without_narratives(node: &Node) -> Node {
    let mut node = node.clone();
    if let Some(object) = node.as_object_mut() {
        object.retain(|member| member.node.get("div").is_none());
        object.members_mut().iter_mut().for_each(|member| member.node = without_narratives(&member.node));
    } else if let Some(list) = node.as_list_mut() {
        list.iter_mut().for_each(|item| *item = without_narratives(item));
    }
    node
}

/// Both formats of a resource through the other library and back.
fn check(name: &str, resource: &Node) {
    let types = Definitions::embedded().types();
    let written = json::write(&without_narratives(resource));
    let from_json: Other = fhirbolt::json::from_str(&written, None).unwrap_or_else(|error| panic!("{name} as JSON: {error}"));
    let own_xml = xml::write(&without_narratives(resource), types);
    let from_xml: Other = fhirbolt::xml::from_str(&own_xml, None).unwrap_or_else(|error| panic!("{name} as XML: {error}"));
    let said = |one: &Other| fhirbolt::json::to_string(one, None).unwrap();
    assert_eq!(said(&from_json), said(&from_xml), "{name}: JSON and XML differ");
    if written.contains("\\n") {
        // It writes a line break into an attribute as it is, and XML makes a blank of that.
        return;
    }
    let theirs = fhirbolt::xml::to_string(&from_json, None).unwrap();
    let back = xml::parse(theirs.as_bytes(), json::DEFAULT_DEPTH, types).unwrap_or_else(|error| panic!("{name}: their XML: {error:?}"));
    assert!(back == xml::parse(own_xml.as_bytes(), json::DEFAULT_DEPTH, types).unwrap(), "{name}: their XML says something else\n{theirs}");
}

#[test]
fn what_normalisation_makes_is_read_by_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/normalise");
    let (definitions, mut count) = (Definitions::embedded(), 0);
    for path in files(&folder).iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let fixture = json::parse(&fs::read(path).unwrap(), json::DEFAULT_DEPTH).unwrap();
        let Some(output) = fixture.get("output").filter(|output| output.resource_type().is_some()) else { continue };
        // What is no FHIR by its form is refused, and stays as it came.
        let found = validate::check(definitions, output, &Options::default());
        if found.iter().any(|finding| validate::breaks_structure(definitions, finding)) {
            continue;
        }
        check(&path.to_string_lossy(), output);
        count += 1;
    }
    assert!(count > 20, "only {count}");
}

#[test]
fn whole_records_are_read_by_others() {
    let Some(folder) = shared("corpus/synthea") else { return };
    for path in files(&folder).iter().filter(|path| path.to_string_lossy().ends_with(".json.gz")).take(2) {
        let mut bytes = Vec::new();
        GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
        let bundle = json::parse(&bytes, json::DEFAULT_DEPTH).unwrap();
        for (index, entry) in bundle.items("entry").iter().enumerate() {
            check(&format!("{} entry {index}", path.display()), entry.get("resource").unwrap());
        }
    }
}
