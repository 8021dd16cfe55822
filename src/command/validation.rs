//! `hearthgate validate`: findings about files, for people and for programs.

use super::{FINDINGS, FINE, USAGE, complain};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, SyntaxError, json, xml};
use crate::outcome::{Finding, IssueType, Severity};
use crate::problem::outcome_with_places;
use crate::validate::{Options, check};
use clap::{ArgAction, Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Options that the HL7 validator has too keep its names where they mean the same.
#[derive(Args)]
pub struct ValidateArguments {
    /// Files with a resource each, JSON or XML; `.ndjson` with one a line.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
    /// The FHIR release; only 4.0 is known.
    #[arg(long, default_value = "4.0")]
    fhir_version: String,
    /// A profile that every resource must meet, by canonical URL; may be given more than once.
    #[arg(long)]
    profile: Vec<String>,
    /// A package of definitions, `.tgz` or folder; may be given more than once.
    #[arg(long = "package", alias = "ig")]
    packages: Vec<PathBuf>,
    /// A file with a definition; may be given more than once.
    #[arg(long = "definition")]
    definitions: Vec<PathBuf>,
    /// Evaluates rules that are marked as best practice, unless the level is `ignore`.
    #[arg(long)]
    best_practice: Option<String>,
    /// Extensions whose URL begins so may be unknown.
    #[arg(long = "allowed-extension-domain")]
    extension_domains: Vec<String>,
    /// Follows references to files beside the one judged.
    #[arg(long)]
    check_references: bool,
    /// Takes references to other servers as they stand.
    #[arg(long)]
    assume_valid_rest_references: bool,
    /// Refuses text that looks like active content.
    #[arg(long)]
    security_checks: bool,
    /// Whether URLs of examples (example.org) may stand for real ones.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    allow_example_urls: bool,
    /// The language displays are checked in.
    #[arg(long)]
    language: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Ndjson,
    Json,
}

/// Judges every file; the exit status says whether there were errors.
pub fn validate(arguments: &ValidateArguments) -> u8 {
    if !arguments.fhir_version.starts_with("4.0") {
        return complain(USAGE, "--fhir-version: only 4.0 is known");
    }
    let loaded = match load(arguments) {
        Ok(loaded) => loaded,
        Err(text) => return complain(USAGE, text),
    };
    let definitions = loaded.as_ref().unwrap_or_else(|| Definitions::embedded());
    let options = options(arguments);
    let mut worst = FINE;
    for file in &arguments.files {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => return complain(USAGE, format!("{}: {error}", file.display())),
        };
        let findings = judge(file, &bytes, definitions, &options);
        if findings.iter().any(Finding::is_error) {
            worst = FINDINGS;
        }
        report(file, &bytes, &findings, arguments.format);
    }
    worst
}

fn options(arguments: &ValidateArguments) -> Options {
    Options {
        profiles: arguments.profile.clone(),
        best_practice: arguments.best_practice.as_deref().is_some_and(|level| !level.eq_ignore_ascii_case("ignore")),
        refuse_unknown_extensions: true,
        report_undecided: true,
        security_checks: arguments.security_checks,
        extension_domains: arguments.extension_domains.clone(),
        ..Options::default()
    }
}

/// The definitions beyond the embedded ones; none when none are asked for.
fn load(arguments: &ValidateArguments) -> Result<Option<Definitions>, String> {
    if arguments.packages.is_empty() && arguments.definitions.is_empty() {
        return Ok(None);
    }
    let packages: Vec<&Path> = arguments.packages.iter().map(PathBuf::as_path).collect();
    let mut definitions = Definitions::with_packages(&packages).map_err(|error| error.to_string())?;
    let mut single = Vec::new();
    for file in &arguments.definitions {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        single.push(parse(file, &bytes).map_err(|error| format!("{}: {}", file.display(), error.kind))?);
    }
    definitions.add(&single);
    Ok(Some(definitions))
}

fn judge(file: &Path, bytes: &[u8], definitions: &Definitions, options: &Options) -> Vec<Finding> {
    let is_lines = file.extension().is_some_and(|extension| extension == "ndjson");
    if !is_lines {
        return parse(file, bytes).map_or_else(|error| vec![unreadable(&error, 0)], |resource| check(definitions, &resource, options));
    }
    let mut findings = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if !line.trim_ascii().is_empty() {
            match json::parse(line, json::DEFAULT_DEPTH) {
                Ok(resource) => findings.extend(check(definitions, &resource, options).into_iter().map(|one| shifted(one, start))),
                Err(error) => findings.push(unreadable(&error, start)),
            }
        }
        start += line.len();
    }
    findings
}

/// The same finding in the whole file.
fn shifted(mut finding: Finding, start: usize) -> Finding {
    finding.offset = finding.offset.and_then(|offset| u32::try_from(start).ok()?.checked_add(offset));
    finding
}

fn unreadable(error: &SyntaxError, start: usize) -> Finding {
    let text = format!("The document cannot be read: {}", error.kind);
    let finding = Finding::new(Severity::Fatal, IssueType::Structure, "Error_parsing_JSON_", text);
    finding.at_offset(u32::try_from(start + error.offset).ok())
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Node, SyntaxError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if file.extension().is_some_and(|extension| extension == "xml") {
        xml::parse(bytes, json::DEFAULT_DEPTH, Definitions::embedded().types())
    } else {
        json::parse(bytes, json::DEFAULT_DEPTH)
    }
}

fn report(file: &Path, bytes: &[u8], findings: &[Finding], format: Output) {
    match format {
        Output::Text => {
            for finding in findings {
                let (line, column) = finding.offset.map_or((0, 0), |offset| json::line_and_column(bytes, offset as usize));
                let (severity, place) = (finding.severity.code(), &finding.expression);
                println!("{}:{line}:{column}: {severity}: {place}: {} [{}]", file.display(), finding.text, finding.message_id);
            }
        }
        Output::Ndjson => {
            let outcome = outcome_with_places(findings, Some(bytes));
            let line = Object::new().with("file", file.to_string_lossy().into_owned()).with("outcome", outcome);
            println!("{}", json::write(&line.into()));
        }
        Output::Json => println!("{}", json::write_pretty(&outcome_with_places(findings, Some(bytes)))),
    }
}
