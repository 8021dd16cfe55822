//! The commands that work on files: fhirpath, consent, check.

use super::{FINDINGS, FINE, USAGE, complain, named, said};
use crate::clock::Clock;
use crate::config::Settings;
use crate::consent::{self as consents, Labeller};
use crate::definitions::Definitions;
use crate::fhir::path;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object, json};
use crate::identity::check_key_files;
use crate::intake::{Format, Limits, document};
use crate::outcome::Refusal;
use crate::validate::Surroundings;
use crate::wire;
use clap::{Args, Subcommand};
use std::io::{BufWriter, Write, stdin, stdout};
use std::path::{Path, PathBuf};

/// The largest file these commands read.
pub(super) const MAX_FILE_BYTES: usize = named::BYTES_MAX;

#[derive(Args)]
pub struct FhirpathArguments {
    /// Reads requests as NDJSON from standard input, and answers each with a line.
    #[arg(long)]
    batch: bool,
    /// The expression.
    #[arg(required_unless_present = "batch")]
    expression: Option<String>,
    /// The resource, JSON or XML.
    #[arg(required_unless_present = "batch")]
    file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum ConsentCommand {
    /// Decides cases given as NDJSON on standard input; answers NDJSON.
    Decide,
    /// Shows what labelling finds in resources: a line of JSON for each, and for each entry of a Bundle.
    Label {
        /// Value sets or lines of text in the place of those that come with the gateway.
        #[arg(long)]
        sensitivities: Option<PathBuf>,
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub fn check(file: &Path) -> u8 {
    let checked = Settings::load(file).and_then(|settings| check_key_files(&settings).map(|()| settings));
    match checked {
        Ok(settings) => {
            for (name, source) in &settings.sources {
                if let Err(fault) = wire::check_rules(name, source) {
                    return complain(USAGE, fault);
                }
            }
            answer_part!("{}", settings.to_toml());
            FINE
        }
        Err(error) => complain(USAGE, error),
    }
}

pub fn fhirpath(arguments: &FhirpathArguments) -> u8 {
    let definitions = Definitions::embedded();
    let now = DateTime::parse(&Clock::system().now().to_fhir_instant()).ok();
    let setting = path::Setting { types: definitions.types(), now, environment: &Surroundings::of(definitions, now) };
    if arguments.batch {
        let open = |path: &str| read(Path::new(path));
        let done = path::batch(stdin().lock(), BufWriter::new(stdout().lock()), &setting, open);
        return done.map_or_else(|error| said::stopped(&error), |()| FINE);
    }
    let (Some(expression), Some(file)) = (&arguments.expression, &arguments.file) else {
        return complain(USAGE, "give an expression and a file");
    };
    let document = match read(file) {
        Ok(document) => document,
        Err(text) => return complain(USAGE, text),
    };
    match path::run_one(expression, Some(&document), false, &setting) {
        Ok(answers) => {
            for answer in answers {
                answer!("{}: {}", answer.type_name, answer.value);
            }
            FINE
        }
        Err(text) => complain(FINDINGS, text),
    }
}

pub fn consent(command: &ConsentCommand) -> u8 {
    let (sensitivities, files) = match command {
        ConsentCommand::Decide => return decide(),
        ConsentCommand::Label { sensitivities, files } => (sensitivities.as_deref(), files),
    };
    let labeller = match sensitivities.map(labeller).transpose() {
        Ok(given) => given.unwrap_or_else(|| Labeller::built_in().clone()),
        Err(text) => return complain(USAGE, text),
    };
    for file in files {
        let document = match read(file) {
            Ok(document) => document,
            Err(text) => return complain(USAGE, text),
        };
        let entries = document.items("entry").iter().filter_map(|entry| entry.get("resource"));
        let resources: Vec<&Node> = if document.resource_type() == Some("Bundle") { entries.collect() } else { vec![&document] };
        resources.iter().for_each(|resource| answer!("{}", json::write(&labelled(&labeller, resource))));
    }
    FINE
}

fn labeller(file: &Path) -> Result<Labeller, String> {
    let bytes = read_bytes(file)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: it is not UTF-8", file.display()))?;
    Labeller::parse(&text).map_err(|error| format!("{}:{}: {}", file.display(), error.line, error.problem))
}

fn labelled(labeller: &Labeller, resource: &Node) -> Node {
    let label = |label: consents::Labelled| -> Node {
        let confidence = label.confidence.code();
        Object::new().with("code", label.code.as_str()).with_some("basis", label.basis.as_deref()).with("confidence", confidence).into()
    };
    let mut facts = consents::facts::of(resource);
    labeller.label(resource, &mut facts);
    // What has no level counts as restricted.
    let level = facts.confidentiality().map_or("R", |level| level.code());
    let labels: Vec<Node> = labeller.explain(resource).into_iter().map(label).collect();
    Object::new()
        .with_some("resource", facts.reference().map(consents::Reference::as_str))
        .with_some("type", resource.resource_type())
        .with("labels", labels)
        .with("confidentiality", level)
        .into()
}

fn decide() -> u8 {
    let mut output = BufWriter::new(stdout().lock());
    let done = consents::decide_stream(stdin().lock(), &mut output).and_then(|_| output.flush());
    done.map_or_else(|error| said::stopped(&error), |()| FINE)
}

/// The bytes of a file that a person named.
pub(super) fn read_bytes(file: &Path) -> Result<Vec<u8>, String> {
    named::bytes(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> Result<Node, String> {
    let bytes = read_bytes(file)?;
    parse(file, &bytes).map_err(|refusal| {
        let texts: Vec<String> = refusal.findings.into_iter().map(|finding| finding.text).collect();
        format!("{}: {}", file.display(), texts.join(" "))
    })
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Node, Refusal> {
    let is_xml = file.extension().is_some_and(|extension| extension == "xml");
    let format = if is_xml { Format::Xml } else { Format::Json };
    let limits = Limits { body_bytes: MAX_FILE_BYTES, depth: json::DEFAULT_DEPTH, bundle_entries: usize::MAX };
    document(bytes, format, &limits, Definitions::embedded().types())
}
