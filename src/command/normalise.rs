//! `hearthgate normalise`: what a source's rules make of files, one line a resource.

use super::desk::{ReplayArguments, replay};
use super::tools::{MAX_FILE_BYTES, read_bytes};
use super::{FINDINGS, FINE, USAGE, complain};
use crate::config::Settings;
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::intake::{Format, Limits, document};
use crate::normalise::{
    Batch, Change, Dangling, GatewayIds, Normalisation, Searchset, SourceRules, explain, ndjson_line, open_document, open_foreign,
    other_release, preamble, vendor_defaults, without_mark,
};
use crate::outcome::{Finding, IssueType, Refusal, Severity};
use crate::problem::outcome_node;
use crate::wire;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct NormaliseCommand {
    #[command(subcommand)]
    command: Option<OfStored>,
    #[command(flatten)]
    arguments: Option<NormaliseArguments>,
}

/// What is done with what a gateway has stored.
#[derive(Subcommand)]
enum OfStored {
    /// Applies the rules in force to the bytes a source once sent; prints what differs, a line a resource.
    Replay(ReplayArguments),
}

/// `normalise` on files, or on what a gateway has stored.
pub fn normalise_command(command: &NormaliseCommand) -> u8 {
    match (&command.command, &command.arguments) {
        (Some(OfStored::Replay(arguments)), _) => replay(arguments),
        (None, Some(arguments)) => normalise(arguments),
        (None, None) => complain(USAGE, "give --source and files"),
    }
}

#[derive(Args)]
pub struct NormaliseArguments {
    /// The source: a `[source.NAME]` of the configuration; without one, a vendor (epic, cerner, meditech) or any name for the general rules.
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
    /// JSON or XML documents, told apart by their first letter: a resource, a Bundle, a recorded response with one in its `body`, or a server's error; .ndjson holds one document a line.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Normalises the files, in their order, as one batch. What cannot be read is a line of its own, with the reason, and the rest goes on.
fn normalise(arguments: &NormaliseArguments) -> u8 {
    if arguments.format != "ndjson" {
        return complain(USAGE, "--format: only ndjson is known");
    }
    let rules = match rules(&arguments.source, arguments.config.as_deref()) {
        Ok(rules) => rules,
        Err(text) => return complain(USAGE, text),
    };
    // What this command shows must not depend on a gateway's secret, so ids are made under a fixed key.
    let mut run = Run { explain: arguments.explain, rules, ids: GatewayIds::new([0; 32]), batch: Batch::new(), status: FINE };
    for file in &arguments.files {
        match read_bytes(file) {
            Ok(bytes) => run.file(file, &bytes),
            Err(text) => return complain(USAGE, text),
        }
    }
    run.status
}

struct Run {
    explain: bool,
    rules: SourceRules,
    ids: GatewayIds,
    batch: Batch,
    status: u8,
}

impl Run {
    fn file(&mut self, file: &Path, bytes: &[u8]) {
        let mut index = 0;
        if file.extension().is_none_or(|extension| extension != "ndjson") {
            return self.document(file, bytes, &mut index);
        }
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            self.document(file, line, &mut index);
        }
    }

    fn document(&mut self, file: &Path, bytes: &[u8], index: &mut usize) {
        let types = Definitions::embedded().types();
        let preamble = preamble(bytes, self.rules.switches);
        let mut opened = match self.open(bytes) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.status = FINDINGS;
                return self.told(file, index, Vec::new(), refusal.findings, None);
            }
        };
        let mut around = std::mem::take(&mut opened.changes);
        let all = opened.normalise(&self.rules, &self.ids, types, &preamble, &mut self.batch);
        if all.is_empty() && opened.outcomes.is_empty() {
            let text = "the document holds no resources, and nothing was said about that";
            opened.outcomes.push(Finding::new(Severity::Information, IssueType::Informational, "upstream-nothing", text));
        }
        for mut done in all {
            // What was around the resources belongs to what is told of it, or else to the first of them.
            if opened.outcomes.is_empty() {
                done.changes.splice(0..0, std::mem::take(&mut around));
            }
            self.print(file, *index, &done);
            *index += 1;
        }
        if !opened.outcomes.is_empty() {
            self.told(file, index, around, opened.outcomes, opened.outcome);
        }
    }

    /// Reads a document by its first letter rather than by its name: Epic sends XML where nobody asked for JSON.
    fn open(&self, bytes: &[u8]) -> Result<Searchset, Refusal> {
        let limits = Limits { body_bytes: MAX_FILE_BYTES, depth: json::DEFAULT_DEPTH, bundle_entries: usize::MAX };
        let types = Definitions::embedded().types();
        let is_xml = without_mark(bytes).trim_ascii_start().starts_with(b"<");
        let format = if is_xml { Format::Xml } else { Format::Json };
        match document(bytes, format, &limits, types) {
            Ok(document) => Ok(open_document(document)),
            Err(refusal) if is_xml => match open_foreign(bytes) {
                Some(opened) => Ok(opened),
                None => Err(other_release(bytes, self.rules.release, types).unwrap_or(refusal)),
            },
            Err(refusal) => Err(refusal),
        }
    }

    /// What the document said beside its resources, or why there are none, as the OperationOutcome it becomes, unless it is one already.
    fn told(&mut self, file: &Path, index: &mut usize, changes: Vec<Change>, findings: Vec<Finding>, before: Option<Node>) {
        let resource = before.unwrap_or_else(|| outcome_node(&findings));
        self.print(file, *index, &Normalisation { resource, changes, findings, unmapped: Vec::new() });
        *index += 1;
    }

    fn print(&self, file: &Path, index: usize, done: &Normalisation) {
        if self.explain {
            answer_part!("{}", explain(done));
        } else {
            answer!("{}", ndjson_line(&file.display().to_string(), index, done));
        }
    }
}

fn rules(source: &str, config: Option<&Path>) -> Result<SourceRules, String> {
    let Some(path) = config else {
        let mut rules = SourceRules::new::<&str>(source, &[]);
        rules.dangling = Dangling::Logical;
        vendor_defaults(&mut rules, source)?;
        return Ok(rules);
    };
    let settings = Settings::load(path).map_err(|error| error.to_string())?;
    let found = settings.sources.get(source).ok_or_else(|| format!("{}: has no [source.{source}]", path.display()))?;
    wire::rules_of(source, found).map_err(|fault| fault.to_string())
}
