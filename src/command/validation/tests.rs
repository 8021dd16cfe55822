//! Whole runs over files.

use super::*;
use clap::Parser;
use std::path::Path;

#[derive(Parser)]
struct Whole {
    #[command(flatten)]
    arguments: ValidateArguments,
}

/// A folder of its own for a test's files.
fn folder(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("hearthgate-runs-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join("in")).unwrap();
    root
}

/// The exit status, and for each document its file and the ids and severities of its findings.
fn run(root: &Path, options: &[&str]) -> (u8, Vec<String>) {
    let output = root.join("out.ndjson");
    let own =
        ["hearthgate", "--format", "ndjson", "--output", output.to_str().unwrap(), root.join("in").to_str().unwrap()].map(str::to_owned);
    let given = options.iter().map(|&option| option.to_owned());
    let whole = Whole::try_parse_from(own.into_iter().chain(given)).unwrap_or_else(|error| panic!("{error}"));
    let status = validate(&whole.arguments);
    let lines = std::fs::read_to_string(output).unwrap();
    (status, lines.lines().map(|line| told(root, line)).collect())
}

fn told(root: &Path, line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let file = Path::new(line["file"].as_str().unwrap()).strip_prefix(root.join("in")).unwrap().display().to_string();
    let issues = line["outcome"]["issue"].as_array().cloned().unwrap_or_default();
    let ids = issues.iter().filter(|issue| issue["severity"] != "information").map(|issue| {
        let id = issue["extension"].as_array().into_iter().flatten().find(|one| one["url"].as_str().unwrap().ends_with("message-id"));
        let id = id.and_then(|id| id["valueString"].as_str().or_else(|| id["valueCode"].as_str())).unwrap_or_default().to_owned();
        format!(" {} {id}", issue["severity"].as_str().unwrap())
    });
    file + &ids.collect::<String>()
}

#[test]
fn a_file_that_cannot_be_read_ends_no_run() {
    let root = folder("broken");
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join("in").join(name), bytes).unwrap();
    write("a.json.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab]);
    write("b.json", br#"{"resourceType": "Basic", "code": {"text": "x"}}"#);
    write("c.xml.gz", b"nothing packed");
    let (status, found) = run(&root, &[]);
    assert_eq!(found, ["a.json.gz fatal Error_parsing_JSON_", "b.json", "c.xml.gz fatal Error_parsing_XML_"]);
    assert_eq!(status, FINDINGS);
    // What is no fault of the document's is told by the exit status too.
    std::os::unix::fs::symlink(root.join("nowhere"), root.join("in/aa.json")).unwrap();
    let (status, found) = run(&root, &[]);
    assert_eq!(found.get(1).map(String::as_str), Some("aa.json fatal DOCUMENT_NOT_READ"));
    assert_eq!((status, found.len()), (FAULT, 4));
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_json_schema_judges_no_xml() {
    let root = folder("schema");
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join("in").join(name), bytes).unwrap();
    write("a.json", br#"{"resourceType": "Pet", "status": "active"}"#);
    write("b.xml", br#"<Pet xmlns="http://hl7.org/fhir"><status value="active"/></Pet>"#);
    write("c.xml", br#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/shape/schema.json");
    let cache = root.join("cache");
    let (status, found) = run(&root, &["--fhir-version", "5.0", "--schema", schema, "--cache", cache.to_str().unwrap()]);
    assert_eq!(found, ["a.json", "b.xml error SHAPE_NOT_OF_XML", "c.xml error SHAPE_NOT_OF_XML"]);
    assert_eq!(status, FINDINGS);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn another_release_that_is_judged_as_r4_is_said_to_be() {
    let root = folder("release");
    let write = |name: &str, body: &str| std::fs::write(root.join("in").join(name), body).unwrap();
    let of_r5 = r#"{"resourceType": "Encounter", "status": "completed", "class": [{"text": "x"}], "actualPeriod": {"start": "2024"}}"#;
    let of_r4 = r#"{"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "period": {"start": "2024"}}"#;
    write("a.json", of_r5);
    write("b.json", of_r4);
    write(
        "c.json",
        &format!(r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{{"resource": {of_r4}}}, {{"resource": {of_r5}}}]}}"#),
    );
    let (_, found) = run(&root, &[]);
    let is_said: Vec<bool> = found.iter().map(|line| line.contains(" warning version-judged-as-r4")).collect();
    assert_eq!(is_said, [true, false, true], "{found:#?}");
    let (_, by_entry) = run(&root, &["--each-entry"]);
    assert_eq!(by_entry.iter().filter(|line| line.contains("version-judged-as-r4")).count(), 2, "{by_entry:#?}");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn xml_has_no_findings_of_json() {
    let root = folder("xml");
    let write = |name: &str, body: &str| {
        std::fs::write(root.join("in").join(name), format!("<Patient xmlns=\"http://hl7.org/fhir\">{body}</Patient>")).unwrap();
    };
    write("a.xml", "<active value=\"TRUE\"/>");
    write("b.xml", "<multipleBirthInteger value=\"abc\"/>");
    write("c.xml", "<birthDate id=\"a\"/>");
    let boolean = "a.xml error Type_Specific_Checks_DT_Boolean_Value";
    let (status, found) = run(&root, &["--level", "errors"]);
    let element = "c.xml error http://hl7.org/fhir/StructureDefinition/Element#ele-1";
    assert_eq!(found, [boolean, "b.xml error Type_Specific_Checks_DT_Integer_Valid", element]);
    assert_eq!(status, FINDINGS);
    std::fs::remove_dir_all(root).unwrap();
}

/// The HL7 validator's command lines, as they are written.
#[test]
fn command_lines_of_the_other_validator_are_understood() {
    let known = |typed: &[&str]| -> Vec<String> {
        as_known(typed.iter().map(Into::into).collect()).into_iter().map(|one| one.into_string().unwrap()).collect()
    };
    assert_eq!(known(&["-allow-example-urls", "true", "a.json"]), ["--allow-example-urls=true", "a.json"]);
    assert_eq!(known(&["-allow-example-urls", "a.json"]), ["--allow-example-urls", "a.json"]);
    assert_eq!(known(&["--allow-example-urls=false", "true"]), ["--allow-example-urls=false", "true"], "a file");
    let root = folder("any");
    let patient = br#"{"resourceType": "Patient", "extension": [{"url": "http://nowhere.test/x", "valueString": "x"}]}"#;
    std::fs::write(root.join("in/a.json"), patient).unwrap();
    assert_eq!(run(&root, &[]), (FINDINGS, vec!["a.json error Extension_EXT_Unknown_NotHere".to_owned()]));
    assert_eq!(run(&root, &["--extension", "any"]), (FINE, vec!["a.json".to_owned()]));
    assert_eq!(run(&root, &["--extension", "anybody"]).0, FINDINGS);
    std::fs::remove_dir_all(&root).unwrap();
}
