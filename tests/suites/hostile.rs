//! Documents and definitions built to take all time and memory there is: each ends soon, and a finding or a refusal names the limit it met.

use hearthgate::definitions::{Definitions, Membership};
use hearthgate::fhir::{Node, SyntaxErrorKind, json, xml};
use hearthgate::validate::{self, Options};
use std::fs;
use std::time::{Duration, Instant};

/// Far above what any of these takes in a build without optimisation, far below what an explosion would.
const LONGEST: Duration = Duration::from_secs(120);

const MEGABYTES: usize = 100;
const LEVELS: usize = 100_000;

fn in_time<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let found = act();
    let taken = start.elapsed();
    println!("{what}: {:.2} s", taken.as_secs_f64());
    assert!(taken < LONGEST, "{what} took {taken:?}");
    found
}

fn node(text: &str) -> Node {
    json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap()
}

/// The ids of what is found in a document, with the texts.
fn found(definitions: &Definitions, document: &Node, options: &Options) -> Vec<(String, String)> {
    let findings = validate::check(definitions, document, options);
    findings.into_iter().map(|finding| (finding.message_id.to_owned(), finding.text.to_string())).collect()
}

fn has(found: &[(String, String)], id: &str, words: &str) -> bool {
    found.iter().any(|(found, text)| found == id && text.contains(words))
}

#[test]
fn a_hundred_megabytes_in_one_text() {
    let text = format!(r#"{{"resourceType":"Patient","name":[{{"family":"{}"}}]}}"#, "a".repeat(MEGABYTES << 20));
    let found = in_time("one text", || found(Definitions::embedded(), &node(&text), &Options::default()));
    assert!(has(&found, "Type_Specific_Checks_DT_String_Length", "1 MB"), "{found:?}");
}

#[test]
fn a_hundred_megabytes_of_elements() {
    let one = r#"{"url":"http://example.org/e","valueString":""},"#;
    let mut text = String::from(r#"{"resourceType":"Patient","extension":["#);
    text += &one.repeat((MEGABYTES << 20) / one.len());
    text.pop();
    text += "]}";
    let found = in_time("many elements", || found(Definitions::embedded(), &node(&text), &Options::default()));
    assert!(has(&found, "FINDINGS_MAX", "more than 1000"), "{:?}", found.last());
    assert!(found.len() < 2_100, "{}", found.len());
}

#[test]
fn a_hundred_thousand_levels() {
    let types = Definitions::embedded().types();
    let deep =
        format!(r#"{{"resourceType":"Patient","extension":{}[]{}}}"#, r#"[{"url":"u","extension":"#.repeat(LEVELS), "}]".repeat(LEVELS));
    let limit = SyntaxErrorKind::TooDeep { limit: json::DEFAULT_DEPTH };
    assert_eq!(in_time("JSON", || json::parse(deep.as_bytes(), json::DEFAULT_DEPTH)).unwrap_err().kind, limit);
    assert_eq!(in_time("lenient JSON", || json::parse_leniently(deep.as_bytes(), json::DEFAULT_DEPTH)).unwrap_err().kind, limit);
    let patient =
        |open: &str, close: &str| format!("<Patient xmlns='http://hl7.org/fhir'>{}{}</Patient>", open.repeat(LEVELS), close.repeat(LEVELS));
    let deep = patient("<extension url='u'>", "</extension>");
    assert_eq!(in_time("XML", || xml::parse(deep.as_bytes(), json::DEFAULT_DEPTH, types)).unwrap_err().kind, limit);
    assert_eq!(in_time("lenient XML", || xml::parse_leniently(deep.as_bytes(), json::DEFAULT_DEPTH, types)).unwrap_err().kind, limit);
    // What is passed over is not built, so it may nest.
    let foreign = patient("<x>", "</x>");
    let (_, slips) = in_time("foreign XML", || xml::parse_leniently(foreign.as_bytes(), json::DEFAULT_DEPTH, types)).unwrap();
    assert_eq!(slips.len(), 1);
}

#[test]
fn a_narrative_of_namespaces() {
    let spaces = |count: usize| (0..count).map(|at| format!(" xmlns:a{at}='urn:a'")).collect::<String>();
    let wide = spaces(40_000);
    let deep = (0..100).fold(String::from("x"), |inner, at| {
        format!("<div xmlns:a{at}='urn:a'{}>{inner}</div>", spaces(100).replace(":a", &format!(":b{at}_")))
    });
    for (what, spaces, inside, id) in [
        ("a thousand namespaces, and elements", spaces(1_000), "<b/>".repeat(200_000), "XHTML_ATTRIBUTES_MAX"),
        ("namespaces on one element", wide, "<b/>".repeat(10), "XHTML_ATTRIBUTES_MAX"),
        ("namespaces in one another", String::new(), deep, "XHTML_NAMESPACES_MAX"),
        ("as many as may be, and elements", spaces(120), "<b/>".repeat(200_000), ""),
    ] {
        let div = format!("<div xmlns='http://www.w3.org/1999/xhtml'{spaces}>x{inside}</div>");
        let patient = node(&format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"{div}"}}}}"#));
        let found = in_time(what, || found(Definitions::embedded(), &patient, &Options::default()));
        let costly = found.iter().find(|(id, _)| id.starts_with("XHTML_")).map(|(id, _)| id.as_str());
        assert_eq!(costly.unwrap_or_default(), id, "{what}: {found:?}");
    }
}

#[test]
fn a_rule_that_explodes() {
    let every = "name.select($this | %resource.name).count() > 0";
    let rule = format!(r#"{{"key":"x-1","severity":"error","human":"x","expression":"{every}"}}"#);
    let profile = node(&format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.org/p","name":"P","status":"active","kind":"resource","abstract":false,
        "type":"Patient","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","derivation":"constraint",
        "differential":{{"element":[{{"id":"Patient","path":"Patient","constraint":[{rule}]}}]}}}}"#
    ));
    let names = r#"{"text":"a","given":["b","c"]},"#.repeat(2_000);
    let patient = node(&format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, names.trim_end_matches(',')));
    let options = Options { profiles: vec!["http://example.org/p".to_owned()], ..Options::default() };
    let found = in_time("a rule", || found(&Definitions::with(&[profile]), &patient, &options));
    assert!(has(&found, "INV_NOT_EVALUATED", "more than"), "{found:?}");
}

#[test]
fn a_rule_that_explodes_everywhere() {
    let rule = r#"{"key":"x-1","severity":"error","human":"x","expression":"%resource.name.select($this | %resource.name).exists()"}"#;
    let profile = node(&format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.org/p","name":"P","status":"active","kind":"resource","abstract":false,
        "type":"Patient","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","derivation":"constraint",
        "differential":{{"element":[{{"id":"Patient.name","path":"Patient.name","constraint":[{rule}]}}]}}}}"#
    ));
    let names = r#"{"text":"a","given":["b","c"]},"#.repeat(5_000);
    let patient = node(&format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, names.trim_end_matches(',')));
    let options = Options { profiles: vec!["http://example.org/p".to_owned()], ..Options::default() };
    let found = in_time("a rule on each name", || found(&Definitions::with(&[profile]), &patient, &options));
    assert!(has(&found, "INV_NOT_EVALUATED", "more than") && has(&found, "INV_NOT_EVALUATED", "too often"), "{found:?}");
}

/// An extension's definition, with its contexts and rules about them.
fn extension(contexts: &str, rules: &str) -> Node {
    node(&format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.org/e","name":"E","status":"active","kind":"complex-type","abstract":false,
        "type":"Extension","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension","derivation":"constraint",
        "context":[{contexts}],"contextInvariant":[{rules}],
        "differential":{{"element":[{{"id":"Extension.url","path":"Extension.url","fixedUri":"http://example.org/e"}}]}}}}"#
    ))
}

#[test]
fn extensions_and_their_contexts() {
    const EXTENSION: &str = r#"{"url":"http://example.org/e","valueCode":"x"}"#;
    let wide = format!(r#"{{"resourceType":"Patient","extension":[{}]}}"#, [EXTENSION; 60_000].join(","));
    let name = format!(r#"{{"text":"a","extension":[{EXTENSION}]}}"#);
    let names = format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, vec![name.as_str(); 20_000].join(","));
    let deep =
        (0..50).fold(EXTENSION.to_owned(), |inner, _| format!(r#"{{"url":"http://example.org/e","extension":[{inner},{EXTENSION}]}}"#));
    let deep = format!(r#"{{"resourceType":"Patient","extension":[{}]}}"#, vec![deep.as_str(); 200].join(","));
    let elements = |count: usize| vec![r#"{"type":"element","expression":"Group"}"#; count].join(",");
    let path = |text: &str| format!(r#"{{"type":"fhirpath","expression":"{text}"}}"#);
    let explodes = "%resource.name.select($this | %resource.name)";
    for (what, patient, contexts, rule, id, words) in [
        ("contexts for each of many extensions", &wide, elements(100), "", "CONTEXTS_MAX", "more than 5000000"),
        ("contexts of extensions in one another", &deep, elements(300), "", "FINDINGS_MAX", "more than 1000"),
        ("a path for each of many extensions", &wide, path("descendants()"), "", "", ""),
        ("a rule for each of many extensions", &wide, elements(0), "\"extension.exists()\"", "", ""),
        ("a rule for each of many names", &names, elements(0), "\"text.exists()\"", "", ""),
        (
            "a rule about each of many extensions",
            &wide,
            elements(0),
            "\"%extension.exists()\"",
            "EXT_CONTEXT_NOT_EVALUATED",
            "more than 1000",
        ),
        ("a path that explodes", &names, path(explodes), "", "EXT_CONTEXT_NOT_EVALUATED", "more than"),
        ("a rule that explodes", &names, elements(0), &format!("\"{explodes}.exists()\""), "EXT_CONTEXT_NOT_EVALUATED", "too often"),
    ] {
        let definitions = Definitions::with(&[extension(&contexts, rule)]);
        let found = in_time(what, || found(&definitions, &node(patient), &Options::default()));
        assert_eq!(found.iter().any(|(found, _)| found == id), !id.is_empty(), "{what}");
        assert!(id.is_empty() || has(&found, id, words), "{what}");
    }
}

#[test]
fn value_sets_that_include_each_other() {
    let set = |own: &str, other: &str| {
        node(&format!(
            r#"{{"resourceType":"ValueSet","url":"http://example.org/{own}","status":"active","compose":{{"include":[{{"valueSet":["http://example.org/{other}"]}}]}}}}"#
        ))
    };
    let definitions = Definitions::with(&[set("a", "b"), set("b", "a"), set("own", "own")]);
    for url in ["http://example.org/a", "http://example.org/own"] {
        let answer = in_time("a circle of value sets", || definitions.value_set_contains(url, None, "x"));
        assert!(!matches!(answer, Membership::Member { .. }), "{url}");
    }
}

#[test]
fn a_package_that_ends_in_its_middle() {
    let path = std::env::temp_dir().join(format!("hearthgate-half-{}.tgz", std::process::id()));
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let set = format!(r#"{{"resourceType":"ValueSet","url":"http://example.org/a","name":"{}"}}"#, "x".repeat(50_000));
    for (name, content) in [("package/package.json", r#"{"name":"a","version":"1.0.0"}"#), ("package/ValueSet-a.json", set.as_str())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let whole = builder.into_inner().unwrap().finish().unwrap();
    fs::write(&path, &whole).unwrap();
    assert!(Definitions::with_packages(&[&path]).is_ok());
    for part in [whole.len() / 4, whole.len() / 2] {
        fs::write(&path, &whole[..part]).unwrap();
        let refused = in_time("half a package", || Definitions::with_packages(&[&path]).map(|_| ()));
        assert!(refused.is_err(), "{part} bytes of {}", whole.len());
    }
    fs::remove_file(&path).unwrap();
}
