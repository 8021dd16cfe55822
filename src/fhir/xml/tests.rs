use super::super::json::{self, DEFAULT_DEPTH, SyntaxErrorKind};
use super::super::node::{Node, Value};
use super::super::types::TypeTable;
use super::*;
use crate::definitions::Definitions;
use std::io::Read;
use std::path::{Path, PathBuf};

fn table() -> &'static TypeTable {
    Definitions::embedded().types()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/xml").join(name)).unwrap()
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

fn from_json(bytes: &[u8]) -> Node {
    json::parse(bytes, DEFAULT_DEPTH).unwrap()
}

fn parse_text(text: &str) -> Result<Node, (usize, SyntaxErrorKind)> {
    parse(text.as_bytes(), DEFAULT_DEPTH, table()).map_err(|error| (error.offset, error.kind))
}

/// JSON to XML and back gives the same members, compared in canonical order.
fn check_round_trip(resource: &Node) -> Result<(), String> {
    let xml = write(resource, table());
    let again = parse(xml.as_bytes(), DEFAULT_DEPTH, table()).map_err(|error| format!("{} at {} of {xml}", error.kind, error.offset))?;
    let (before, after) = (json::write_canonical(resource), json::write_canonical(&again));
    if before == after { Ok(()) } else { Err(format!("{before}\n{after}")) }
}

#[test]
fn fixtures_read_as_their_json() {
    for name in ["patient", "bundle-prefixed"] {
        let expected = from_json(&fixture(&format!("{name}.json")));
        let actual = parse(&fixture(&format!("{name}.xml")), DEFAULT_DEPTH, table()).unwrap();
        assert_eq!(json::write_canonical(&actual), json::write_canonical(&expected), "{name}");
        check_round_trip(&expected).unwrap();
    }
}

#[test]
fn narrative_survives_exactly() {
    let patient = from_json(&fixture("patient.json"));
    let again = parse(write(&patient, table()).as_bytes(), DEFAULT_DEPTH, table()).unwrap();
    assert_eq!(again.text_at(&["text", "div"]), patient.text_at(&["text", "div"]));
}

#[test]
fn offsets_point_at_start_tags() {
    let source = "\u{FEFF}<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/><name><family value=\"A\"/></name></Patient>";
    let patient = parse_text(source).unwrap();
    let at = |node: &Node| &source[node.offset as usize..];
    assert!(at(&patient).starts_with("<Patient"));
    assert!(at(patient.get("active").unwrap()).starts_with("<active"));
    assert!(at(patient.items("name")[0].get("family").unwrap()).starts_with("<family"));
}

#[test]
fn values_that_are_not_of_their_type_stay_text() {
    let observation = parse_text(
        r#"<Observation xmlns="http://hl7.org/fhir"><status value=""/><valueQuantity><value value="01.5"/></valueQuantity></Observation>"#,
    );
    let observation = observation.unwrap();
    assert_eq!(observation.text("status"), Some(""));
    assert_eq!(observation.text_at(&["valueQuantity", "value"]), Some("01.5"));
    let patient = parse_text(r#"<Patient xmlns="http://hl7.org/fhir"><active value="TRUE"/><gender/></Patient>"#).unwrap();
    assert_eq!(patient.text("active"), Some("TRUE"));
    assert_eq!(patient.get("gender"), None);
    assert_eq!(patient.get("_gender").map(|node| &node.value), Some(&Value::Object(crate::fhir::Object::new())));
}

#[test]
fn white_space_in_attributes_is_normalised() {
    let patient = parse_text("<Patient xmlns='http://hl7.org/fhir'><language value = 'a\r\nb\tc&#10;d&#x1F525;'/></Patient>").unwrap();
    assert_eq!(patient.text("language"), Some("a b c\nd\u{1F525}"));
}

/// The document with `body` inside a Patient, and the refusal expected where `at` begins.
fn check_refused(body: &str, at: &str, expected: SyntaxErrorKind) {
    let document = format!("<Patient xmlns=\"http://hl7.org/fhir\">{body}</Patient>");
    let offset = document.find(at).unwrap();
    assert_eq!(parse_text(&document), Err((offset, expected)), "{body}");
}

#[test]
fn refusals_inside_a_resource() {
    use SyntaxErrorKind as Kind;
    let name = |name: &str| name.to_owned();
    check_refused("<colour value='red'/>", "<colour", Kind::UnknownElement { name: name("colour") });
    check_refused("<active value='true' note='x'/>", "note", Kind::UnknownAttribute { name: name("note") });
    check_refused("<name value='x'/>", "value", Kind::UnknownAttribute { name: name("value") });
    check_refused("<name><id value='x'/></name>", "<id", Kind::UnknownElement { name: name("id") });
    check_refused("<active><value value='x'/></active>", "<value", Kind::UnknownElement { name: name("value") });
    check_refused("<extension><url value='x'/></extension>", "<url", Kind::UnknownElement { name: name("url") });
    check_refused("<name/><gender value='male'/><name id='x'/>", "<name id", Kind::OutOfOrder { name: name("name") });
    check_refused(
        "<deceasedBoolean value='true'/><deceasedDateTime value='2020'/><deceasedBoolean value='true'/>",
        "<deceasedBoolean value='true'/></P",
        Kind::OutOfOrder { name: name("deceasedBoolean") },
    );
    check_refused("<gender value='male'/><gender value='female'/>", "<gender value='f", Kind::Repeated { name: name("gender") });
    check_refused("<active value='true' value='false'/>", "value='false'", Kind::Repeated { name: name("value") });
    check_refused("<active xmlns='urn:x' value='true'/>", "<active", Kind::Namespace { name: name("active") });
    check_refused("<text><div>x</div></text>", "<div", Kind::Namespace { name: name("div") });
    check_refused(
        "<active value='true'/>stray",
        "stray",
        Kind::Unexpected { expected: "an element, since text stands only in the narrative" },
    );
    check_refused("<?php x ?>", "<?php", Kind::ProcessingInstruction);
    check_refused("<?xml version='1.0'?>", "<?xml", Kind::ProcessingInstruction);
    check_refused("<language value='&nbsp;'/>", "value", Kind::Entity);
    check_refused("<language value='a & b'/>", "value", Kind::Entity);
    check_refused("<text><div xmlns='http://www.w3.org/1999/xhtml'>a&nbsp;b</div></text>", "&nbsp;", Kind::Entity);
    check_refused("<contained/>", "<contained", Kind::Unexpected { expected: "one resource" });
    check_refused("<contained><Basic/><Basic/></contained>", "<Basic/></c", Kind::UnknownElement { name: name("Basic") });
    check_refused("<contained><Nothing/></contained>", "<Nothing", Kind::UnknownElement { name: name("Nothing") });
}

#[test]
fn ill_formed_markup_is_refused() {
    for body in [
        "<active value='true'/",
        "<active value='true'",
        "<active value=true/>",
        "<active value='true'id='x'/>",
        "<active value/>",
        "<active value='<'/>",
        "<active value='\u{1}'/>",
        "<active value='&#0;'/>",
        "<active value='&#xD800;'/>",
        "<active></name>",
        "<active>",
        "<!-- a -- b -->",
        "<x:active value='true'/>",
        "<active x:value='true'/>",
        "<text><div xmlns='http://www.w3.org/1999/xhtml'><a b=c/></div></text>",
        "<text><div xmlns='http://www.w3.org/1999/xhtml'>]]></div></text>",
        "<text><div xmlns='http://www.w3.org/1999/xhtml'><1/></div></text>",
    ] {
        assert!(parse_text(&format!("<Patient xmlns=\"http://hl7.org/fhir\">{body}</Patient>")).is_err(), "{body}");
    }
}

#[test]
fn refusals_of_the_whole_document() {
    use SyntaxErrorKind as Kind;
    let check = |bytes: &[u8], offset: usize, expected: Kind| {
        let error = parse(bytes, DEFAULT_DEPTH, table()).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, expected), "{}", String::from_utf8_lossy(bytes));
    };
    check(b"", 0, Kind::Empty);
    check(b"\xEF\xBB\xBF \n", 0, Kind::Empty);
    check(b"<Patient/>", 0, Kind::Namespace { name: "Patient".to_owned() });
    check(b"<Patient xmlns='http://hl7.org/fhir'/><Patient/>", 38, Kind::TrailingContent);
    check(b"<Patient xmlns='http://hl7.org/fhir'/>x", 38, Kind::TrailingContent);
    check(b"<!DOCTYPE Patient><Patient xmlns='http://hl7.org/fhir'/>", 0, Kind::Doctype);
    check(b"<?xml version='1.0' encoding='ISO-8859-1'?><Patient xmlns='http://hl7.org/fhir'/>", 0, Kind::Encoding);
    check(b"\xFF\xFE<\0", 0, Kind::Encoding);
    check(b"<Patient xmlns='http://hl7.org/fhir'>\xC0</Patient>", 37, Kind::InvalidUtf8);
    check(b"text", 0, Kind::Unexpected { expected: "a resource" });
    check(b" <?xml version='1.0'?><Patient xmlns='http://hl7.org/fhir'/>", 1, Kind::ProcessingInstruction);
    check(b"<Resource xmlns='http://hl7.org/fhir'/>", 0, Kind::UnknownElement { name: "Resource".to_owned() });
    assert!(parse_text("<?xml version='1.1'?><Patient xmlns='http://hl7.org/fhir'/>").is_err());
    assert!(parse_text("<?xml version='1.0' encoding='utf-8'?><!-- x --><Patient xmlns='http://hl7.org/fhir'/><!-- y -->").is_ok());
}

#[test]
fn depth_is_counted_as_in_json() {
    let nested = |levels: usize| {
        let open = "<extension url='u'>".repeat(levels);
        format!("<Patient xmlns='http://hl7.org/fhir'>{open}{}</Patient>", "</extension>".repeat(levels))
    };
    let read = |levels: usize, limit: usize| parse(nested(levels).as_bytes(), limit, table());
    assert!(read(4, 9).is_ok());
    assert_eq!(read(4, 8).unwrap_err().kind, SyntaxErrorKind::TooDeep { limit: 8 });
    assert!(json::parse(json::write(&read(4, 9).unwrap()).as_bytes(), 9).is_ok());
    assert!(read(50_000, 128).is_err());
    let deep_narrative = format!("{}{}", "<b>".repeat(50_000), "</b>".repeat(50_000));
    assert!(
        parse_text(&format!("<Patient xmlns='http://hl7.org/fhir'><text><div xmlns='{XHTML}'>{deep_narrative}</div></text></Patient>"))
            .is_err()
    );
}

#[test]
fn hostile_attribute_and_namespace_counts_are_bounded() {
    let many = |make: fn(usize) -> String| (0..100).map(make).collect::<String>();
    assert!(parse_text(&format!("<Patient xmlns='{FHIR}'{}/>", many(|n| format!(" a{n}='x'")))).is_err());
    let open: String = many(|n| format!("<b xmlns:p{n}='urn:x'>"));
    let close = "</b>".repeat(100);
    assert!(parse_text(&format!("<Patient xmlns='{FHIR}'><text><div xmlns='{XHTML}'>{open}{close}</div></text></Patient>")).is_err());
}

/// What a hostile or sloppy narrative of a JSON document becomes in XML: always one div in its place.
#[test]
fn narrative_cannot_break_out() {
    let check = |div: &str, expected: &str| {
        let mut patient = from_json(br#"{"resourceType":"Patient","text":{"status":"generated"}}"#);
        patient.get_mut("text").and_then(Node::as_object_mut).unwrap().set("div", div);
        let xml = write(&patient, table());
        assert_eq!(parse(xml.as_bytes(), DEFAULT_DEPTH, table()).unwrap().text_at(&["text", "div"]), Some(expected), "{xml}");
    };
    check("<div>a</div>", "<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>");
    check(
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div></text><active value=\"true\"/>",
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">&lt;div xmlns=&quot;http://www.w3.org/1999/xhtml&quot;&gt;a&lt;/div&gt;&lt;/text&gt;&lt;active value=&quot;true&quot;/&gt;</div>",
    );
    check("a\u{1}&nbsp;", "<div xmlns=\"http://www.w3.org/1999/xhtml\">a\u{FFFD}&amp;nbsp;</div>");
    check("<!DOCTYPE x><div/>", "<div xmlns=\"http://www.w3.org/1999/xhtml\">&lt;!DOCTYPE x&gt;&lt;div/&gt;</div>");
}

/// Documents with bytes changed at random are refused or read to something stable; nothing crashes.
#[test]
fn damaged_documents_do_no_harm() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % sides as u64).unwrap()
    };
    for source in [fixture("patient.xml"), fixture("bundle-prefixed.xml")] {
        for _ in 0..4_000 {
            let mut damaged = source.clone();
            for _ in 0..=roll(3) {
                let (at, from) = (roll(damaged.len()), roll(source.len()));
                match roll(3) {
                    0 => damaged[at] = source[from],
                    1 => drop(damaged.remove(at)),
                    _ => damaged.insert(at, source[from]),
                }
            }
            if let Ok(resource) = parse(&damaged, DEFAULT_DEPTH, table()) {
                let again = parse(write(&resource, table()).as_bytes(), DEFAULT_DEPTH, table()).unwrap();
                assert_eq!(parse(write(&again, table()).as_bytes(), DEFAULT_DEPTH, table()).unwrap(), again);
            }
        }
    }
}

fn gunzipped(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// Some of the corpus carries elements of an earlier release, which have no form in R4 XML.
fn has_known_members_only(resource: &Node) -> bool {
    let root = table().resource(resource.resource_type().unwrap()).unwrap().root;
    resource
        .as_object()
        .unwrap()
        .members()
        .iter()
        .all(|member| member.name == "resourceType" || table().member(root, &member.name).is_some())
}

#[test]
fn corpus_round_trips() {
    let Some(path) = shared("corpus/test-patients-r4.ndjson.gz") else { return };
    let text = gunzipped(&path);
    let resources = text.lines().map(|line| from_json(line.as_bytes())).filter(has_known_members_only);
    let failures: Vec<String> = resources.filter_map(|resource| check_round_trip(&resource).err()).collect();
    assert!(failures.is_empty(), "{} failures, the first: {}", failures.len(), failures[0]);
}

#[test]
fn synthea_round_trips() {
    let Some(folder) = shared("corpus/synthea") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        check_round_trip(&from_json(gunzipped(&path).as_bytes())).unwrap_or_else(|problem| panic!("{}: {:.2000}", path.display(), problem));
    }
}

/// Reading what other implementations wrote: XML to JSON to XML to JSON is stable.
#[test]
fn suite_files_are_stable() {
    let Some(folder) = shared("suites/fhirpath/input") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let resource = parse(&std::fs::read(&path).unwrap(), DEFAULT_DEPTH, table());
            let resource = resource.unwrap_or_else(|error| panic!("{}: {} at {}", path.display(), error.kind, error.offset));
            check_round_trip(&resource).unwrap();
        }
    }
}
