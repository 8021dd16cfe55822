//! The commands that work on files: fhirpath, normalise, consent, check.

use super::{FAULT, FINDINGS, FINE, USAGE, complain};
use crate::clock::Clock;
use crate::config::Settings;
use crate::definitions::Definitions;
use crate::fhir::path;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, json};
use crate::identity::check_key_files;
use crate::intake::{Format, Limits, document};
use crate::normalise::{Context, Dangling, GatewayIds, Links, Searchset, SourceRules, explain, ndjson_line, open_document};
use crate::outcome::Refusal;
use crate::{consent as consents, wire};
use clap::{Args, Subcommand};
use std::io::{BufWriter, Write, stdin, stdout};
use std::path::{Path, PathBuf};

/// The largest file these commands read.
const MAX_FILE_BYTES: usize = 1 << 30;

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

#[derive(Args)]
pub struct NormaliseArguments {
    /// The source: a `[source.NAME]` of the configuration, or any name for the default rules.
    #[arg(long)]
    source: String,
    #[arg(long)]
    config: Option<PathBuf>,
    /// Prints each change for people instead of NDJSON.
    #[arg(long)]
    explain: bool,
    /// Only `ndjson` is known.
    #[arg(long, default_value = "ndjson")]
    format: String,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Subcommand)]
pub enum ConsentCommand {
    /// Decides cases given as NDJSON on standard input; answers NDJSON.
    Decide,
}

pub fn check(file: &Path) -> u8 {
    let checked = Settings::load(file).and_then(|settings| check_key_files(&settings).map(|()| settings));
    match checked {
        Ok(settings) => {
            print!("{}", settings.to_toml());
            FINE
        }
        Err(error) => complain(USAGE, error),
    }
}

pub fn fhirpath(arguments: &FhirpathArguments) -> u8 {
    let types = Definitions::embedded().types();
    let now = DateTime::parse(&Clock::system().now().to_fhir_instant()).ok();
    if arguments.batch {
        let open = |path: &str| read(Path::new(path));
        let done = path::batch(stdin().lock(), BufWriter::new(stdout().lock()), types, now, open);
        return done.map_or_else(|error| complain(FAULT, error), |()| FINE);
    }
    let (Some(expression), Some(file)) = (&arguments.expression, &arguments.file) else {
        return complain(USAGE, "give an expression and a file");
    };
    let document = match read(file) {
        Ok(document) => document,
        Err(text) => return complain(USAGE, text),
    };
    match path::run_one(expression, Some(&document), false, types, now) {
        Ok(answers) => {
            for answer in answers {
                println!("{}: {}", answer.type_name, answer.value);
            }
            FINE
        }
        Err(text) => complain(FINDINGS, text),
    }
}

pub fn normalise(arguments: &NormaliseArguments) -> u8 {
    if arguments.format != "ndjson" {
        return complain(USAGE, "--format: only ndjson is known");
    }
    let rules = match rules(&arguments.source, arguments.config.as_deref()) {
        Ok(rules) => rules,
        Err(text) => return complain(USAGE, text),
    };
    // What this command shows must not depend on a gateway's secret, so ids are made under a fixed key.
    let ids = GatewayIds::new([0; 32]);
    for file in &arguments.files {
        let document = match read(file) {
            Ok(document) => open_document(document),
            Err(text) => return complain(USAGE, text),
        };
        let mut rules = rules.clone();
        document.base().into_iter().for_each(|base| rules.add_base(base));
        let links = links(&document, &rules, &ids);
        let context = Context { source: &rules, ids: &ids, links: &links, types: Definitions::embedded().types() };
        for (index, resource) in document.matches.into_iter().chain(document.includes).enumerate() {
            let done = crate::normalise::normalise(resource, &context);
            if arguments.explain {
                print!("{}", explain(&done));
            } else {
                println!("{}", ndjson_line(&file.display().to_string(), index, &done));
            }
        }
    }
    FINE
}

/// What a document's fullUrls stand for.
fn links(document: &Searchset, rules: &SourceRules, ids: &GatewayIds) -> Links {
    let mut links = Links::new();
    for (url, local) in &document.full_urls {
        if let Some((type_name, id)) = local.split_once('/') {
            links.insert(url, &format!("{type_name}/{}", ids.id(rules.name(), type_name, id)));
        }
    }
    links
}

fn rules(source: &str, config: Option<&Path>) -> Result<SourceRules, String> {
    let Some(path) = config else {
        let mut rules = SourceRules::new::<&str>(source, &[]);
        rules.dangling = Dangling::Logical;
        return Ok(rules);
    };
    let settings = Settings::load(path).map_err(|error| error.to_string())?;
    let found = settings.sources.get(source).ok_or_else(|| format!("{}: has no [source.{source}]", path.display()))?;
    wire::rules_of(source, found).map_err(|fault| fault.to_string())
}

pub fn consent(command: &ConsentCommand) -> u8 {
    let ConsentCommand::Decide = command;
    let mut output = BufWriter::new(stdout().lock());
    let done = consents::decide_stream(stdin().lock(), &mut output).and_then(|_| output.flush());
    done.map_or_else(|error| complain(FAULT, error), |()| FINE)
}

fn read(file: &Path) -> Result<Node, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
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
