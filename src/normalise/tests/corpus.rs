//! The laws over real captures and generated records, where they lie beside the repository.

use super::super::*;
use super::{check_laws, tracing};
use crate::fhir::json;
use crate::fhir::types::{Element, ElementId, TypeDefinition, TypeKind, TypeTable, TypeUse, UNBOUNDED};
use flate2::read::GzDecoder;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::PathBuf;
use std::sync::LazyLock;

/// What lies beside the repository, `None` (said aloud) when it does not.
pub(super) fn shared(path: &str) -> Option<PathBuf> {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if place.exists() {
        return Some(place);
    }
    println!("skipped: {} is not there", place.display());
    None
}

/// All of R4, read from the official package.
static R4: LazyLock<Option<TypeTable>> = LazyLock::new(|| {
    let package = std::fs::File::open(shared("packages/hl7.fhir.r4.core-4.0.1.tgz")?).unwrap();
    let mut builder = TableBuilder::default();
    for entry in tar::Archive::new(GzDecoder::new(package)).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_string_lossy().starts_with("package/StructureDefinition-") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            builder.add(&json::parse(&bytes, json::DEFAULT_DEPTH).unwrap());
        }
    }
    Some(TypeTable::new("4.0.1", builder.types, builder.elements))
});

#[derive(Default)]
struct TableBuilder {
    types: Vec<TypeDefinition>,
    elements: Vec<Element>,
}

impl TableBuilder {
    fn add(&mut self, definition: &Node) {
        let kind = match definition.text("kind") {
            Some("primitive-type") => TypeKind::Primitive,
            Some("complex-type") => TypeKind::Complex,
            Some("resource") => TypeKind::Resource,
            _ => return,
        };
        if definition.text("derivation") == Some("constraint") {
            return;
        }
        let first = self.elements.len() as u32;
        let mut by_path: HashMap<String, ElementId> = HashMap::new();
        let mut references: Vec<(ElementId, String)> = Vec::new();
        for element in definition.get("snapshot").unwrap().items("element") {
            let path = element.text("path").unwrap();
            let id = self.element(path, element.text("max") != Some("1"), type_codes(element));
            if let Some((parent, _)) = path.rsplit_once('.') {
                self.elements[by_path[parent].0 as usize].children.push(id);
            }
            if let Some(target) = element.text("contentReference") {
                references.push((id, target.trim_start_matches('#').to_owned()));
            }
            by_path.insert(path.to_owned(), id);
        }
        for (id, target) in references {
            self.elements[id.0 as usize].content_reference = Some(by_path[&target]);
        }
        self.types.push(TypeDefinition {
            name: definition.text("type").unwrap().into(),
            kind,
            is_abstract: definition.get("abstract").and_then(Node::as_bool).unwrap(),
            base: None,
            root: ElementId(first),
        });
    }

    fn element(&mut self, path: &str, repeats: bool, types: Vec<String>) -> ElementId {
        let id = ElementId(self.elements.len() as u32);
        let last = path.rsplit('.').next().unwrap();
        self.elements.push(Element {
            path: path.into(),
            name: last.trim_end_matches("[x]").into(),
            min: 0,
            max: if repeats { UNBOUNDED } else { 1 },
            types: types.into_iter().map(|code| TypeUse { code: code.into(), root: None, targets: vec![], profile: None }).collect(),
            is_choice: last.ends_with("[x]"),
            is_modifier: false,
            is_summary: false,
            binding: None,
            constraints: vec![],
            content_reference: None,
            children: vec![],
            max_length: None,
        });
        id
    }
}

fn type_codes(element: &Node) -> Vec<String> {
    let code = |node: &Node| node.text("code").unwrap_or_default().replace("http://hl7.org/fhirpath/System.String", "string");
    element.items("type").iter().map(code).collect()
}

/// The resources of a capture (those of a Bundle, or the one that was read) and what its fullUrls stand for.
fn resources(document: Node, source: &str, ids: &GatewayIds) -> (Vec<Node>, Links) {
    let opened = open_document(document);
    let mut links = Links::new();
    let all = opened.matches.into_iter().chain(opened.includes);
    let named = all.inspect(|opened| {
        let (type_name, id) = (opened.resource.resource_type().unwrap(), opened.resource.text("id"));
        if let (Some(url), Some(id)) = (&opened.full_url, id) {
            links.insert(url, &format!("{type_name}/{}", ids.id(source, type_name, id)));
        }
    });
    (named.map(|opened| opened.resource).collect(), links)
}

fn vendor_source(vendor: &str) -> SourceRules {
    let bases: &[&str] = match vendor {
        "epic" => &["https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4"],
        "cerner" => &["https://fhir-open.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d"],
        _ => &["https://greenfield-prod-apis.meditech.com:443/v2/uscore/STU6"],
    };
    let mut source = SourceRules::new(vendor, bases);
    source.dangling = Dangling::Logical;
    vendor_defaults(&mut source, vendor).unwrap();
    source
}

#[test]
fn captures_keep_the_laws() {
    let (Some(folder), Some(types)) = (shared("suites/ehr"), R4.as_ref()) else { return };
    let definitions = crate::definitions::Definitions::embedded();
    let ids = GatewayIds::new([7; 32]);
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    let (mut count, mut leaves) = (0, 0);
    for vendor in ["epic", "cerner", "meditech"] {
        let source = vendor_source(vendor);
        let mut files: Vec<_> = std::fs::read_dir(folder.join(vendor)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| !file.to_string_lossy().contains("-hapi-validation")) {
            let document = json::parse(&std::fs::read(file).unwrap(), json::DEFAULT_DEPTH).unwrap();
            let (resources, links) = resources(document, vendor, &ids);
            let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
            for resource in resources {
                let done = check_laws(&file.to_string_lossy(), &resource, &context);
                // Rule 4 refuses what is DSTU2, as one CapabilityStatement's forerunner is.
                let is_old = done.findings.iter().any(|finding| finding.message_id == "version-refused");
                assert!(!done.is_refused() || is_old, "{}: {:?}", file.display(), done.findings);
                if !is_old && done.resource.resource_type() != Some("Bundle") {
                    let written = json::write(&done.resource);
                    let read = fhirbolt::json::from_str::<fhirbolt::element::Element<{ fhirbolt::FhirReleases::R4 }>>(&written, None);
                    assert!(read.is_ok(), "{}: another reader says {}", file.display(), read.err().unwrap());
                }
                let judged = crate::validate::check(definitions, &done.resource, &crate::validate::Options::default());
                let is_structural = |finding: &&crate::outcome::Finding| crate::validate::breaks_structure(definitions, finding);
                let errors: Vec<_> = judged.iter().filter(|_| !is_old).filter(is_structural).collect();
                assert!(errors.is_empty(), "{}: {errors:?}", file.display());
                judged.iter().filter(|finding| finding.is_error()).for_each(|finding| {
                    *tally.entry(format!("{vendor} kept with {}", finding.message_id)).or_default() += 1;
                });
                count += 1;
                leaves += tracing::count(&resource);
                for change in &done.changes {
                    *tally.entry(format!("{vendor} change {}", change.rule)).or_default() += 1;
                }
                for finding in &done.findings {
                    *tally.entry(format!("{vendor} {} {}", finding.severity.code(), finding.message_id)).or_default() += 1;
                }
            }
        }
    }
    println!("{count} resources, {leaves} leaves, all accounted for");
    tally.iter().for_each(|(what, times)| println!("{times:6}  {what}"));
}

#[test]
fn synthea_keeps_the_laws() {
    let (Some(folder), Some(types)) = (shared("corpus/synthea"), R4.as_ref()) else { return };
    let source = SourceRules::new("synthea", &["https://synthea.example/fhir"]);
    let ids = GatewayIds::new([7; 32]);
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let mut bytes = Vec::new();
        GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_end(&mut bytes).unwrap();
        let bundle = json::parse(&bytes, json::DEFAULT_DEPTH).unwrap();
        let mut links = Links::new();
        for entry in bundle.items("entry") {
            let resource = entry.get("resource").unwrap();
            let (type_name, id) = (resource.resource_type().unwrap(), resource.text("id").unwrap());
            links.insert(entry.text("fullUrl").unwrap(), &format!("{type_name}/{}", ids.id("synthea", type_name, id)));
        }
        for entry in bundle.items("entry") {
            conditions(entry, &mut |condition| {
                links.insert(condition, &format!("{}/{}", condition.split_once('?').unwrap().0, ids.id("synthea", "x", condition)))
            });
        }
        let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
        for entry in bundle.items("entry") {
            let done = check_laws(&file.to_string_lossy(), entry.get("resource").unwrap(), &context);
            assert!(!done.is_refused(), "{:?}", done.findings);
            count += 1;
            for change in &done.changes {
                *tally.entry(format!("change {}", change.rule)).or_default() += 1;
            }
            for finding in &done.findings {
                *tally.entry(format!("{} {} {}", finding.severity.code(), finding.message_id, finding.expression)).or_default() += 1;
            }
        }
    }
    println!("{count} resources");
    tally.iter().for_each(|(what, times)| println!("{times:6}  {what}"));
}

fn conditions(node: &Node, each: &mut impl FnMut(&str)) {
    if let Some(reference) = node.text("reference").filter(|reference| reference.contains('?')) {
        each(reference);
    }
    for item in node.as_list().unwrap_or_default() {
        conditions(item, each);
    }
    for member in node.as_object().map_or(&[][..], |object| object.members()) {
        conditions(&member.node, each);
    }
}

/// Resources that were written to be wrong.
#[test]
fn validator_cases_keep_the_laws() {
    let (Some(folder), Some(types)) = (shared("suites/validator/files"), R4.as_ref()) else { return };
    let source = vendor_source("epic");
    let (ids, links) = (GatewayIds::new([7; 32]), Links::new());
    let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if let Ok(resource) = json::parse(&std::fs::read(&file).unwrap_or_default(), json::DEFAULT_DEPTH) {
            check_laws(&file.to_string_lossy(), &resource, &context);
        }
    }
}

/// Everything in the R4 package: definitions, value sets and the examples of every type.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes a minute unless compiled for release")]
fn the_package_keeps_the_laws() {
    let (Some(package), Some(types)) = (shared("packages/hl7.fhir.r4.core-4.0.1.tgz"), R4.as_ref()) else { return };
    let source = vendor_source("epic");
    let (ids, links) = (GatewayIds::new([7; 32]), Links::new());
    let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(std::fs::File::open(package).unwrap())).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let Ok(resource) = json::parse(&bytes, json::DEFAULT_DEPTH) else { continue };
        let done = check_laws(&name, &resource, &context);
        let labels = done.changes.iter().map(|change| format!("change {}", change.rule));
        for label in labels.chain(done.findings.iter().map(|finding| format!("{} {}", finding.severity.code(), finding.message_id))) {
            *tally.entry(label).or_default() += 1;
        }
    }
    tally.iter().for_each(|(what, times)| println!("{times:6}  {what}"));
}

/// Prints the time of parsing and of normalising per resource. Run in release: `cargo test --release speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let (Some(folder), Some(types)) = (shared("suites/ehr"), R4.as_ref()) else { return };
    let ids = GatewayIds::new([7; 32]);
    for vendor in ["epic", "cerner", "meditech"] {
        let source = vendor_source(vendor);
        let mut texts = Vec::new();
        for file in std::fs::read_dir(folder.join(vendor)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.to_string_lossy().contains("phase-b") && !file.to_string_lossy().contains("-hapi-validation") {
                let document = json::parse(&std::fs::read(file).unwrap(), json::DEFAULT_DEPTH).unwrap();
                texts.extend(resources(document, vendor, &ids).0.iter().map(json::write));
            }
        }
        let (mut parsing, mut normalising, mut changes) = (Vec::new(), Vec::new(), 0);
        let links = Links::new();
        let context = Context { source: &source, ids: &ids, links: &links, types, declared: None };
        for round in 0..5 {
            for text in &texts {
                let start = std::time::Instant::now();
                let node = json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap();
                let parsed = start.elapsed();
                let start = std::time::Instant::now();
                let done = normalise(node, &context);
                let normalised = start.elapsed();
                if round > 0 {
                    parsing.push(parsed.as_nanos());
                    normalising.push(normalised.as_nanos());
                    changes += done.changes.len();
                }
            }
        }
        parsing.sort_unstable();
        normalising.sort_unstable();
        let at = |times: &[u128], percent: usize| times[(times.len() - 1) * percent / 100] as f64 / 1000.0;
        let mean = texts.iter().map(String::len).sum::<usize>() / texts.len();
        println!(
            "{vendor}: {} resources of {mean} bytes, {:.1} changes each; parse p50 {:.1} p99 {:.1} µs; normalise p50 {:.1} p99 {:.1} µs",
            texts.len(),
            changes as f64 / normalising.len() as f64,
            at(&parsing, 50),
            at(&parsing, 99),
            at(&normalising, 50),
            at(&normalising, 99)
        );
    }
}
