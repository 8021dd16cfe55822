//! The table of `fixtures/normalise/README.md`: every rule with its fixtures, every kind of bad input with its outcome.

use super::super::rule::{RULES, RuleId};
use super::cases_in;
use crate::fhir::{Node, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Findings by the rule that makes them; changes name their rule themselves.
const FINDINGS: &[(u8, &[&str])] = &[
    (1, &["byte-order-mark"]),
    (2, &["empty-element"]),
    (3, &["upstream-empty-entry", "upstream-parameter-ignored"]),
    (4, &["version-converted", "version-refused", "version-unclear", "version-element-refused", "type-unknown", "element-unknown"]),
    (6, &["identifier-system-oid", "identifier-system-name"]),
    (8, &["code-shape", "code-relabelled"]),
    (10, &["unmapped"]),
    (11, &["unit-missing", "unit-unknown", "unit-unmapped", "unit-ambiguous"]),
    (12, &["numeric-text", "implausible-value"]),
    (13, &["sentinel-kept"]),
    (15, &["date-cut", "date-unreadable", "instant-incomplete"]),
    (16, &["number-as-text", "boolean-as-text", "text-as-number", "number-unreadable", "boolean-unreadable"]),
    (
        18,
        &[
            "contained-cycle",
            "contained-nested",
            "reference-contained-missing",
            "reference-logical",
            "reference-foreign",
            "reference-unresolved-urn",
            "reference-unresolved-condition",
            "reference-malformed",
        ],
    ),
    (20, &["duplicate-identical", "duplicate-id", "duplicate-result"]),
    (21, &["extension-other-release", "modifier-extension-unknown"]),
    (23, &["category-added", "value-absent", "element-absent"]),
    (25, &["free-text-code"]),
    (26, &["upstream-error"]),
];

/// Bad input, and the fixtures that show what becomes of it.
const BAD_INPUT: &[(&str, &[&str], &str)] = &[
    ("a wrong charset", &["01-bytes.tsv"], "refused, with the offset of the first byte that is not UTF-8"),
    ("a byte order mark", &["01-bytes.tsv"], "passed over, and on record"),
    ("nulls and empties", &["02-empties"], "left out, each with a finding and on record"),
    (
        "numbers as text",
        &["16-numbers-as-text", "12-numeric-text"],
        "a number of the same digits where the type is one and the text is one; else kept, flagged, and refused by validation",
    ),
    (
        "text as numbers",
        &["16-text-as-numbers"],
        "text of the same characters, with a finding; validation refuses what is no code or date by that",
    ),
    (
        "dates of every shape",
        &["15-dates-of-every-shape", "15-dates", "15-dates-declared"],
        "one form where there is one reading; else cut to what is certain, or kept and flagged",
    ),
    (
        "references to nowhere",
        &["18-references-to-nowhere", "18-references-to-nowhere-logical"],
        "a fullUrl or search nothing answers to: refused when pushed, a logical reference by identifier when fetched; Type/id: kept, for what comes later",
    ),
    ("ids illegal in FHIR", &["19-illegal-id"], "a gateway id, made from the id as sent; the original is on record"),
    ("cyclic contained references", &["18-cyclic-contained"], "kept, with a finding; nothing follows them"),
    (
        "two patients in one message",
        &["19-two-patients"],
        "two records; every reference leads to its own; two findings: that there are two, and what names neither",
    ),
    (
        "an entry of another server",
        &["18-foreign-entries"],
        "a record of its own under an id of that server's; its relative references are that server's too, and flagged where they lead out",
    ),
    ("a fullUrl unlike its resource", &["18-full-urls"], "the resource's own type and id hold; both names lead to it, with a finding"),
    (
        "24:00, and times of day of every shape",
        &["15-times-of-day"],
        "the beginning of the next day; seconds are added; else kept and flagged",
    ),
    (
        "control characters, truth values and fractions where FHIR has none",
        &["16-wrong-kinds-of-number"],
        "kept and flagged; validation refuses",
    ),
    (
        "units that only their place tells",
        &["11-doses", "11-temperature"],
        "read where the place has one reading; else kept as text and flagged",
    ),
    ("implicit rules nobody here knows", &["21-implicit-rules"], "refused, as an unknown modifier extension is"),
    ("the same id with other content", &["19-same-id-other-content"], "both kept, the later as the newer version; a finding says so"),
    ("free text with names in codes", &["25-free-text-codes"], "kept and flagged; masked where only limited or de-identified data may go"),
    ("elements of the wrong kind everywhere", &["99-all-wrong-types"], "kept; nothing is lost and nothing crashes"),
    (
        "another release of FHIR",
        &["04-stu3-observation", "04-dstu2-refused", "04-unclear"],
        "converted by the table in CONVERSIONS.md, or refused by name",
    ),
    (
        "a type or element FHIR R4 does not know",
        &["04-unknown-type", "04-unknown-element"],
        "kept, each with a finding; validation refuses it",
    ),
    ("a reference with blanks around it", &["18-padded-reference"], "leads where the plain one does"),
];

/// Per fixture: the rules that did something and the findings.
fn fired() -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let mut all = BTreeMap::new();
    for file in cases_in("fixtures/normalise").into_iter().chain(cases_in("fixtures/normalise/documents")) {
        let case = json::parse(&std::fs::read(&file).unwrap(), json::DEFAULT_DEPTH).unwrap();
        let (mut rules, mut findings) = (Vec::new(), Vec::new());
        for part in std::iter::once(&case).chain(case.items("lines")) {
            rules.extend(part.items("changes").iter().filter_map(Node::as_text).map(|text| text.split('@').next().unwrap().to_owned()));
            findings.extend(part.items("findings").iter().chain(case.items("outcomes")).filter_map(Node::as_text).map(str::to_owned));
        }
        rules.extend(case.items("left out").iter().filter_map(Node::as_text).map(|text| text.split('@').next().unwrap().to_owned()));
        all.insert(file.file_stem().unwrap().to_string_lossy().into_owned(), (rules, findings));
    }
    let bytes = vec!["01-bytes".to_owned()];
    all.insert("01-bytes.tsv".to_owned(), (bytes, vec![]));
    all
}

fn fires(rule: RuleId, (rules, findings): &(Vec<String>, Vec<String>)) -> bool {
    let label = format!("{:02}-{}", rule.number, rule.name);
    let ids = FINDINGS.iter().find(|(number, _)| *number == rule.number).map_or(&[][..], |(_, ids)| ids);
    rules.contains(&label) || findings.iter().any(|finding| finding.split(' ').any(|word| ids.contains(&word)))
}

fn table() -> String {
    let fired = fired();
    let mut out = String::from(
        "# Fixtures of normalisation\n\n\
         A file is a case: a source's settings, an input, and what comes out, with the rules' changes and findings; under `documents/` whole\n\
         Bundles and failures. `HEARTHGATE_BLESS=1 cargo test --lib normalise::` writes what comes out, to be read before it is believed.\n\
         This page is written by the same command and compared by the tests.\n\n## Rules\n\n| rule | fixtures in which it does something |\n|---|---|\n",
    );
    for rule in RULES {
        let names: Vec<&str> = fired.iter().filter(|(_, what)| fires(rule, what)).map(|(name, _)| name.as_str()).collect();
        let own = names.iter().filter(|name| name.starts_with(&format!("{:02}-", rule.number))).count();
        assert!(own > 0, "{rule} does nothing in a fixture of its own");
        let _ = writeln!(out, "| {rule} | {} |", names.join(", "));
    }
    out.push_str("\n## Bad input\n\n| what is sent | fixtures | what becomes of it |\n|---|---|---|\n");
    for (what, names, becomes) in BAD_INPUT {
        assert!(names.iter().all(|name| fired.contains_key(*name)), "{what}: a fixture is missing");
        let _ = writeln!(out, "| {what} | {} | {becomes} |", names.join(", "));
    }
    out
}

/// Each of the 26 rules does something in a fixture of its own, and the page says which.
#[test]
fn every_rule_fires_and_the_page_says_where() {
    assert_eq!(RULES.len(), 26);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/normalise/README.md");
    if std::env::var_os("HEARTHGATE_BLESS").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table());
}
