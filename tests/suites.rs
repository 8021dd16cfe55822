//! The public suites and packages that lie beside the repository, where they do: each test says when it had nothing to try.

use flate2::read::GzDecoder;
use hearthgate::definitions::Definitions;
use hearthgate::fhir::path::{Alone, Setting, run_one};
use hearthgate::fhir::temporal::DateTime;
use hearthgate::fhir::{Node, json, xml};
use hearthgate::outcome::{Finding, IssueType};
use hearthgate::validate::{self, Options};
use quick_xml::events::{BytesStart, Event};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

#[path = "suites/derived.rs"]
mod derived;
#[path = "suites/hostile.rs"]
mod hostile;
#[path = "suites/published.rs"]
mod published;
#[path = "suites/releases.rs"]
mod releases;
#[path = "suites/rules.rs"]
mod rules;

/// A part of the shared folder; `None`, said aloud, where it is not there.
pub fn shared(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(part);
    if !path.exists() {
        println!("skipped: ../shared/{part} is not here");
        return None;
    }
    Some(path)
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The names say what is asked: `y_` is JSON, `n_` is not, `i_` may be either but must not hurt.
#[test]
fn json_is_told_from_what_is_not() {
    let Some(folder) = shared("suites/json/test_parsing") else { return };
    let mut wrong = Vec::new();
    let tried = files(&folder);
    for path in &tried {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_json = json::parse(&fs::read(path).unwrap(), json::DEFAULT_DEPTH).is_ok();
        // Two files have a member twice, which JSON allows and FHIR does not.
        let duplicate = name.starts_with("y_object_duplicated_key");
        match name.split('_').next().unwrap() {
            "y" if is_json == duplicate => wrong.push(name),
            "n" if is_json => wrong.push(name),
            _ => {}
        }
    }
    assert!(tried.len() > 300, "only {} files", tried.len());
    assert_eq!(wrong, [""; 0]);
}

/// One question of the official FHIRPath suite.
#[derive(Default, Debug)]
struct Question {
    name: String,
    expression: String,
    file: Option<String>,
    is_strict: bool,
    is_invalid: bool,
    is_predicate: bool,
    wanted: Vec<(String, String)>,
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).unwrap()?;
    Some(found.value.into_owned())
}

fn questions(text: &str) -> Vec<Question> {
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut all, mut now, mut inside): (Vec<Question>, Question, String) = Default::default();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                inside = element.name().as_ref().to_owned();
                let is_strict = attribute(&element, "mode").is_some_and(|mode| mode.contains("strict"));
                match inside.as_str() {
                    "test" => {
                        now = Question {
                            name: attribute(&element, "name").unwrap_or_default(),
                            file: attribute(&element, "inputfile"),
                            is_strict,
                            is_predicate: attribute(&element, "predicate").as_deref() == Some("true"),
                            ..Question::default()
                        };
                    }
                    "expression" => {
                        now.is_strict |= is_strict;
                        now.is_invalid = attribute(&element, "invalid").is_some();
                    }
                    "output" => now.wanted.push((attribute(&element, "type").unwrap_or_default(), String::new())),
                    _ => {}
                }
            }
            Event::Text(text) => add(&mut now, &inside, &text),
            Event::CData(text) => add(&mut now, &inside, &text),
            Event::GeneralRef(name) => {
                add(&mut now, &inside, quick_xml::escape::resolve_predefined_entity(&name).unwrap());
            }
            Event::End(element) => {
                inside.clear();
                if element.name().as_ref() == "test" {
                    all.push(std::mem::take(&mut now));
                }
            }
            Event::Eof => return all,
            _ => {}
        }
    }
}

fn add(question: &mut Question, inside: &str, text: &str) {
    match inside {
        "expression" => question.expression.push_str(text),
        "output" => question.wanted.last_mut().unwrap().1.push_str(text),
        _ => {}
    }
}

/// Whether the answer is the one that is wanted, as the suite's scorer has it: values as text, dates without their sign.
fn is_right(question: &Question, answer: Result<Vec<(String, String)>, String>) -> bool {
    let plain = |text: &str| text.trim().trim_start_matches('@').to_owned();
    let Ok(mut items) = answer else { return question.is_invalid };
    if question.is_invalid {
        return false;
    }
    if question.is_predicate {
        let holds = items.first().is_some_and(|(_, value)| value != "false");
        items = vec![("boolean".to_owned(), holds.to_string())];
    }
    items.len() == question.wanted.len()
        && items.iter().zip(&question.wanted).all(|((type_name, value), (wanted_type, wanted))| {
            (wanted_type.is_empty() || wanted_type == type_name) && (wanted.is_empty() || plain(wanted) == plain(value))
        })
}

/// The four that are answered otherwise, and why, are in `fixtures/fhirpath/README.md`.
const ANSWERED_OTHERWISE: [&str; 4] =
    ["testPlusDate19", "LowBoundaryDecimal15", "HighBoundaryDateTimeMillisecond1", "HighBoundaryDateTimeMillisecond3"];

#[test]
fn fhirpath_answers_the_official_suite() {
    let Some(folder) = shared("suites/fhirpath") else { return };
    let definitions = Definitions::embedded();
    let types = definitions.types();
    let setting = Setting { types, now: DateTime::parse("2026-11-20T10:00:00Z").ok(), environment: &Alone };
    let mut documents: HashMap<String, Node> = HashMap::new();
    let asked = questions(&fs::read_to_string(folder.join("tests-fhir-r4.xml")).unwrap());
    let mut wrong = Vec::new();
    for question in &asked {
        let document = question.file.as_ref().map(|file| {
            &*documents.entry(file.clone()).or_insert_with(|| {
                let bytes = fs::read(folder.join("input").join(file)).unwrap();
                if file.ends_with(".xml") { xml::parse(&bytes, 64, types).unwrap() } else { json::parse(&bytes, 64).unwrap() }
            })
        });
        let answer = run_one(&question.expression, document, question.is_strict, &setting);
        let answer = answer.map(|items| items.into_iter().map(|item| (item.type_name, item.value)).collect());
        if !is_right(question, answer) {
            wrong.push(question.name.as_str());
        }
    }
    assert_eq!(asked.len(), 935);
    assert_eq!(wrong, ANSWERED_OTHERWISE);
}

/// The files below `package/example/` of a package.
fn examples(package: &Path) -> Vec<(String, Node)> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(package).unwrap()));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name.starts_with("package/example/") && name.ends_with(".json") && !name.ends_with(".index.json") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.push((name, json::parse(&bytes, json::DEFAULT_DEPTH).unwrap()));
        }
    }
    found
}

/// Two searchsets of US Core 6.1.0 hold an Endpoint `71` under the URL `…/Endpoint/Endpoint-71`: the alarm is not a false one.
fn is_known(finding: &Finding, version: &str) -> bool {
    version == "6.1.0" && finding.message_id == "BUNDLE_ENTRY_URL_MATCHES_TYPE_ID" && finding.expression == "Bundle.entry[2]"
}

#[test]
fn us_core_examples_raise_no_false_alarm() {
    let options = Options { report_undecided: true, ..Options::default() };
    for version in ["6.1.0", "7.0.0"] {
        let Some(package) = shared(&format!("packages/hl7.fhir.us.core-{version}.tgz")) else { return };
        let definitions = Definitions::with_packages(&[&package]).unwrap();
        let (mut tried, mut judged_by_profile, mut undecided, mut alarms) = (0, 0, 0, Vec::new());
        for (name, node) in examples(&package).into_iter().filter(|(_, node)| node.resource_type().is_some()) {
            tried += 1;
            judged_by_profile += usize::from(node.get("meta").is_some_and(|meta| {
                meta.items("profile").iter().any(|profile| {
                    profile.as_text().is_some_and(|profile| profile.contains("/us/core/") && definitions.profile(profile).is_some())
                })
            }));
            for finding in validate::check(&definitions, &node, &options) {
                let is_code = finding.code == IssueType::NotSupported || finding.message_id.starts_with("Terminology_");
                undecided += usize::from(is_code && !finding.is_error());
                if finding.is_error() && !is_known(&finding, version) {
                    alarms.push(format!("{name}: {} {}: {}", finding.message_id, finding.expression, finding.text));
                }
            }
        }
        assert_eq!(alarms, [""; 0], "US Core {version}");
        assert!(tried > 170 && judged_by_profile > 120, "US Core {version}: {tried} tried, {judged_by_profile} by a profile");
        assert!(undecided > 0, "US Core {version}: SNOMED CT is not in hand, so something must be reported as not checked");
        println!("US Core {version}: {tried} examples, {judged_by_profile} by profile, {undecided} findings of what was not checked");
    }
}
