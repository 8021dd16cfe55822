//! What must hold for any bytes at all. The fuzz targets look for bytes that break it; `tests/fuzzed.rs` tries what they found before, again.

#![allow(dead_code, reason = "each target uses one of the laws")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a law says what must hold by failing")]

use hearthgate::definitions::Definitions;
use hearthgate::fhir::path::quantity::Quantity;
use hearthgate::fhir::path::{Dialect, Expression, Focus, Limits};
use hearthgate::fhir::{json, xml};
use hearthgate::outcome::Severity;
use hearthgate::validate::{self, Options};
use std::cell::RefCell;
use std::io::Write;

const DEPTH: usize = 64;

/// What is read is written and read again without a difference, in each form.
pub fn json(data: &[u8]) {
    let Ok(node) = json::parse(data, DEPTH) else { return };
    let written = json::write(&node);
    let again = json::parse(written.as_bytes(), DEPTH).unwrap();
    assert_eq!(json::write(&again), written);
    let pretty = json::write_pretty(&node);
    assert_eq!(json::write(&json::parse(pretty.as_bytes(), DEPTH).unwrap()), written);
    let canonical = json::write_canonical(&node);
    assert_eq!(json::write_canonical(&json::parse(canonical.as_bytes(), DEPTH).unwrap()), canonical);
}

/// What is read from XML is written as XML that reads the same, and its JSON too.
pub fn xml(data: &[u8]) {
    let types = Definitions::embedded().types();
    let Ok(node) = xml::parse(data, DEPTH, types) else { return };
    let as_json = json::write(&node);
    assert_eq!(json::write(&json::parse(as_json.as_bytes(), 2 * DEPTH).unwrap()), as_json);
    // Elements are written in the order of their definition.
    let written = xml::write(&node, types);
    let again = xml::parse(written.as_bytes(), DEPTH, types).unwrap();
    assert_eq!(json::write_canonical(&again), json::write_canonical(&node));
    assert_eq!(xml::write(&again, types), written);
}

/// A Patient and a Bundle with what expressions ask for: choices, extensions on primitives, references, quantities, dates, narrative.
const DOCUMENTS: [&str; 2] = [
    r##"{"resourceType":"Patient","id":"p","active":true,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"},
 "name":[{"use":"official","family":"Chalmers","given":["Peter",null,"James"],"_given":[null,{"id":"g"},null]},{"given":["Jim"]}],
 "birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"u","valueString":"noon"}]},"deceasedDateTime":"2020",
 "contained":[{"resourceType":"Practitioner","id":"c"}],"generalPractitioner":[{"reference":"#c"},{"reference":"Practitioner/1"}]}"##,
    r##"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
 {"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"http://x/Patient/1"},
 "valueQuantity":{"value":1.50,"unit":"gram","system":"http://unitsofmeasure.org","code":"g"},"effectiveDateTime":"2020-02-29T10:00:00.5+14:00"}}]}"##,
];

const SMALL: Limits = Limits { steps: 20_000, items: 1_000, text_bytes: 4_096 };

/// Any text is compiled or refused, and what compiles ends within its limits.
pub fn fhirpath(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let definitions = Definitions::embedded();
    let types = definitions.types();
    for dialect in [Dialect::Published, Dialect::Specification] {
        let Ok(expression) = Expression::compile_as(text, types, dialect) else { continue };
        let _ = expression.check(types, Some("Patient"));
        for document in DOCUMENTS {
            let node = json::parse(document.as_bytes(), DEPTH).unwrap();
            let focus = Focus { limits: SMALL, ..Focus::resource(types, &node).unwrap() };
            if let Ok(items) = expression.evaluate(&focus) {
                assert!(items.len() <= SMALL.items);
                items.iter().for_each(|item| drop(item.text()));
            }
        }
    }
}

/// A quantity that is read is as much as itself, and what it is in another unit is comparable with it.
pub fn ucum(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut codes = text.splitn(2, ' ');
    let (first, second) = (codes.next().unwrap_or_default(), codes.next().unwrap_or_default());
    let Some(quantity) = Quantity::parse(&format!("1.5 '{first}'")) else { return };
    assert!(quantity.comparable(&quantity));
    assert!(quantity.compare(&quantity).is_none_or(|order| order.is_eq()));
    if let Some(other) = quantity.in_unit(second) {
        assert!(quantity.comparable(&other) && other.comparable(&quantity));
        let (there, back) = (quantity.compare(&other), other.compare(&quantity));
        assert_eq!(there.map(std::cmp::Ordering::reverse), back);
    }
    let _ = (quantity.times(&quantity), quantity.divided(&quantity), quantity.plus(&quantity), quantity.to_string());
}

thread_local! {
    /// Where archives lie while they are read.
    static FOLDER: RefCell<Option<std::path::PathBuf>> = const { RefCell::new(None) };
}

fn archive_path() -> std::path::PathBuf {
    FOLDER.with_borrow_mut(|folder| {
        folder
            .get_or_insert_with(|| {
                let memory = std::path::Path::new("/dev/shm");
                let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
                base.join(format!("hearthgate-law-{}-{:?}.tgz", std::process::id(), std::thread::current().id()).replace(['(', ')'], ""))
            })
            .clone()
    })
}

/// The first byte says how the rest becomes an archive: as it is, packed, or as a package of files `name NUL content NUL`.
fn archive(data: &[u8]) -> Vec<u8> {
    let packed = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    match data.split_first() {
        Some((0, rest)) => rest.to_vec(),
        Some((1, rest)) => packed(rest),
        Some((_, rest)) => {
            let mut builder = tar::Builder::new(Vec::new());
            let mut parts = rest.split(|&byte| byte == 0);
            while let (Some(name), Some(content)) = (parts.next(), parts.next()) {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                let name = String::from_utf8_lossy(name);
                if header.set_path(&*name).is_ok() {
                    header.set_cksum();
                    builder.append(&header, content).unwrap();
                }
            }
            packed(&builder.into_inner().unwrap())
        }
        None => Vec::new(),
    }
}

/// Any archive is read or refused, and whatever definitions it holds, resources are judged by them.
pub fn package(data: &[u8]) {
    let path = archive_path();
    std::fs::write(&path, archive(data)).unwrap();
    let read = Definitions::with_packages(&[&path]);
    let _ = std::fs::remove_file(&path);
    let Ok(definitions) = read else { return };
    let urls = String::from_utf8_lossy(data);
    let profiles: Vec<String> =
        urls.split('"').filter(|part| part.contains("://") && definitions.structure(part).is_some()).take(4).map(str::to_owned).collect();
    let patient = json::parse(DOCUMENTS[0].as_bytes(), DEPTH).unwrap();
    validate::check(&definitions, &patient, &Options { profiles, ..Options::default() });
    for url in urls.split('"').filter(|part| definitions.value_set(part).is_some()).take(4) {
        let _ = definitions.value_set_contains(url, None, "a");
    }
}

/// Any document is judged, the same each time, at places that FHIRPath can name.
pub fn validate(data: &[u8]) {
    let Ok(node) = json::parse(data, DEPTH) else { return };
    let options = Options { best_practice: Some(Severity::Warning), report_undecided: true, security_checks: true, ..Options::default() };
    let definitions = Definitions::embedded();
    let found = validate::check(definitions, &node, &options);
    assert_eq!(validate::check(definitions, &node, &options), found);
    for finding in &found {
        // A document of no type has no place that FHIRPath could name: HL7's validator writes `$`.
        let is_place = finding.expression.is_empty()
            || finding.expression == "$"
            || Expression::compile(&finding.expression, definitions.types()).is_ok();
        assert!(is_place, "{}", finding.expression);
    }
}

/// Gives the law of a name the bytes.
pub fn hold(name: &str, data: &[u8]) {
    match name {
        "json" => json(data),
        "xml" => xml(data),
        "fhirpath" => fhirpath(data),
        "ucum" => ucum(data),
        "package" => package(data),
        "validate" => validate(data),
        _ => panic!("no law is named {name}"),
    }
}
