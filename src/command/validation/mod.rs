//! `hearthgate validate`: findings about files, for people and for programs.

mod formats;
mod inputs;
mod loading;
mod release;
mod unread;

use super::package::CacheArgument;
use super::{FAULT, FINDINGS, FINE, USAGE, complain, named, said};
use crate::clock::Clock;
use crate::fhir::json;
use crate::fhir::temporal::DateTime;
use crate::outcome::{Finding, Severity};
use crate::validate::{Options, reading};
use clap::{ArgAction, Args, ValueEnum};
use formats::{Format, Verdict, Writer};
use inputs::{Content, Item, Items};
use release::Judge;
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Documents that are read ahead for each worker: what bounds memory, together with their sizes.
const ITEMS_PER_WORKER: usize = 64;
/// Bytes of documents that are read ahead; one document may be more.
const BATCH_BYTES: usize = 64 << 20;
/// How often a long run says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// The most workers.
const JOBS_MAX: usize = 64;

/// Options that the HL7 validator has too keep its names where they mean the same; they may be written with one dash.
#[derive(Args)]
#[command(
    after_help = "The HL7 validator's names, with one dash or two: -version, -ig, -profile, -tx, -output, -level, -language, -extension, -best-practice, \
                        -check-references, -assumeValidRestReferences, -security-checks, -allow-example-urls, -display-issues-are-warnings, \
                        -no-extensible-binding-warnings, -unknown-codesystems-cause-errors, -no_unicode_bidi_control_chars, -max-validation-messages.\n\n\
                        Exit status: 0 no errors, 1 errors were found, 2 wrong usage, 3 something could not be read or written."
)]
pub struct ValidateArguments {
    /// Files, folders, patterns (`data/**/*.json`), or `-` for NDJSON on standard input. `.ndjson` has one resource a line; `.gz` is unpacked.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Writes to this file instead of standard output.
    #[arg(long)]
    output: Option<PathBuf>,
    /// The FHIR release: 4.0, 4.3 or 5.0.
    #[arg(long, alias = "version", default_value = "4.0")]
    fhir_version: String,
    /// A profile that every resource must meet, by canonical URL; may be given more than once.
    #[arg(long)]
    profile: Vec<String>,
    /// A package of definitions: `.tgz`, folder, or NAME#VERSION of the cache, with what it needs; or a file with a definition, or a folder of such; may
    /// be given more than once.
    #[arg(long = "package", alias = "ig")]
    packages: Vec<String>,
    #[command(flatten)]
    cache: CacheArgument,
    /// A file with a definition; may be given more than once.
    #[arg(long = "definition")]
    definitions: Vec<PathBuf>,
    /// HL7's JSON Schema of the release (`fhir.schema.json`): documents of a release whose definitions are not in hand are held to it.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Findings below this level are left out.
    #[arg(long, value_enum, default_value = "hints")]
    level: Level,
    /// How grave it is not to keep to best practice, as rules are marked; it is not looked at when this is not given, or is `ignore`.
    #[arg(long, value_enum, ignore_case = true)]
    best_practice: Option<BestPractice>,
    /// Extensions whose URL begins so may be unknown; `any` is every one.
    #[arg(long = "allowed-extension-domain", alias = "extension")]
    extension_domains: Vec<String>,
    /// Follows references to files beside the one judged.
    #[arg(long)]
    check_references: bool,
    /// Takes absolute references as they stand, also where references are followed, and holds those that answer a form against the types that it
    /// allows; without it these are warned of only.
    #[arg(long, alias = "assumeValidRestReferences")]
    assume_valid_rest_references: bool,
    /// Refuses text that looks like active content.
    #[arg(long)]
    security_checks: bool,
    /// Whether URLs of examples (example.org) may stand for real ones.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_example_urls: bool,
    /// A terminology server that is asked about codes whose systems are not in hand, or `n/a`. Codes leave this machine then, and nothing else does.
    #[arg(long, default_value = "n/a")]
    tx: String,
    /// The language displays are checked in where a resource does not say which it is in: `any` for none.
    #[arg(long, default_value = "en-US")]
    language: String,
    /// Refuses characters that turn the direction of text.
    #[arg(long, alias = "no_unicode_bidi_control_chars")]
    no_unicode_bidi_control_chars: bool,
    /// A display that is not one of its code is a warning instead of an error.
    #[arg(long)]
    display_issues_are_warnings: bool,
    /// Says nothing about codes outside of extensible bindings.
    #[arg(long)]
    no_extensible_binding_warnings: bool,
    /// A code system that is not known is an error instead of a warning.
    #[arg(long)]
    unknown_codesystems_cause_errors: bool,
    /// Findings of one resource beyond this are left out.
    #[arg(long)]
    max_validation_messages: Option<usize>,
    /// Judges each resource of a Bundle by itself, and not the Bundle.
    #[arg(long)]
    each_entry: bool,
    /// Workers; as many as there are processors when it is not given.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
}

/// The domain that stands for every one.
const ANY: &str = "any";

/// The other validator's levels.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BestPractice {
    Ignore,
    Hint,
    Warning,
    Error,
}

impl BestPractice {
    fn severity(self) -> Option<Severity> {
        match self {
            BestPractice::Ignore => None,
            BestPractice::Hint => Some(Severity::Information),
            BestPractice::Warning => Some(Severity::Warning),
            BestPractice::Error => Some(Severity::Error),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Errors,
    Warnings,
    #[value(alias = "all")]
    Hints,
}

impl Level {
    fn least(self) -> Severity {
        match self {
            Level::Errors => Severity::Error,
            Level::Warnings => Severity::Warning,
            Level::Hints => Severity::Information,
        }
    }
}

/// What was typed as the parser knows it: the HL7 validator writes names with one dash, and what example URLs may do as a word of its own.
pub fn as_known(typed: Vec<OsString>) -> Vec<OsString> {
    let mut known: Vec<OsString> = Vec::new();
    for argument in typed {
        let argument = argument.into_string().map_or_else(|raw| raw, |text| with_two_dashes(text).into());
        match known.last_mut().filter(|last| *last == "--allow-example-urls" && (argument == "true" || argument == "false")) {
            Some(last) => {
                last.push("=");
                last.push(argument);
            }
            None => known.push(argument),
        }
    }
    known
}

/// Names of the HL7 validator are written with one dash; here they become what the parser knows.
fn with_two_dashes(argument: String) -> String {
    let is_name =
        argument.strip_prefix('-').is_some_and(|rest| rest.len() > 1 && rest.starts_with(|first: char| first.is_ascii_lowercase()));
    if is_name { format!("-{argument}") } else { argument }
}

/// Judges everything there is; the exit status says whether there were errors.
pub fn validate(arguments: &ValidateArguments) -> u8 {
    let files = match inputs::files(&arguments.files) {
        Ok(files) => files,
        Err(error) => return complain(if error.is_usage { USAGE } else { FAULT }, error.text),
    };
    let loaded = loading::definitions(arguments);
    let judge = match loaded.as_ref().map_err(Clone::clone).and_then(|loaded| Judge::new(loaded.as_ref(), arguments)) {
        Ok(judge) => judge,
        Err(text) => return complain(USAGE, text),
    };
    let is_single = matches!(files.as_slice(), [only] if is_one_document(only)) && !arguments.each_entry;
    let output: Box<dyn Write> = match &arguments.output {
        Some(path) => match named::create(path) {
            Ok(file) => Box::new(file),
            Err(error) => return complain(USAGE, format!("{}: {error}", path.display())),
        },
        None => Box::new(std::io::stdout()),
    };
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from).min(JOBS_MAX);
    let run = Run { judge: &judge, arguments, jobs };
    match run.all(Items::of(files), BufWriter::new(output), is_single) {
        Ok(Tally { unread: 1.., .. }) => FAULT,
        Ok(Tally { errors: 1.., .. }) => FINDINGS,
        Ok(_) => FINE,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => said::stopped(&error),
        Err(error) => complain(FAULT, format!("the findings cannot be written: {error}")),
    }
}

fn is_one_document(file: &std::path::Path) -> bool {
    let name = file.to_string_lossy();
    name != "-" && !name.trim_end_matches(".gz").ends_with(".ndjson")
}

fn options(arguments: &ValidateArguments) -> Options {
    Options {
        findings_max: arguments.max_validation_messages.unwrap_or(crate::validate::DEFAULT_FINDINGS_MAX),
        profiles: arguments.profile.clone(),
        best_practice: arguments.best_practice.and_then(BestPractice::severity),
        refuse_unknown_extensions: !arguments.extension_domains.iter().any(|domain| domain == ANY),
        report_undecided: true,
        security_checks: arguments.security_checks,
        refuse_example_urls: !arguments.allow_example_urls,
        extension_domains: arguments.extension_domains.iter().filter(|domain| *domain != ANY).cloned().collect(),
        language: (arguments.language != ANY).then(|| arguments.language.clone()),
        mild_displays: arguments.display_issues_are_warnings,
        neighbours: arguments.check_references.then(std::collections::HashMap::new),
        quiet_extensible: arguments.no_extensible_binding_warnings,
        related_vital_signs: true,
        references_assumed: arguments.assume_valid_rest_references,
        as_hl7: true,
        refuse_direction_controls: arguments.no_unicode_bidi_control_chars,
        refuse_unknown_systems: arguments.unknown_codesystems_cause_errors,
        now: DateTime::parse(&Clock::system().now().to_fhir_instant()).ok(),
        ..Options::default()
    }
}

/// What became of the documents of a run.
#[derive(Debug, Default)]
struct Tally {
    documents: u64,
    errors: u64,
    /// How many could not be read though they may be whole.
    unread: u64,
}

/// One run over everything.
struct Run<'a> {
    judge: &'a Judge<'a>,
    arguments: &'a ValidateArguments,
    jobs: usize,
}

impl Run<'_> {
    /// Judges batch after batch, each by all workers, and writes verdicts in the order of the documents.
    fn all(&self, mut items: Items, output: impl Write, is_single: bool) -> std::io::Result<Tally> {
        let mut writer = Writer::begin(output, self.arguments.format, is_single)?;
        let mut tally = Tally::default();
        let stopwatch = Clock::system().stopwatch();
        let mut said = Duration::ZERO;
        loop {
            let batch = self.batch(&mut items);
            if batch.is_empty() {
                break;
            }
            tally.unread += batch.iter().filter(|item| matches!(&item.content, Content::Unreadable(why) if !why.is_broken)).count() as u64;
            for verdict in self.judged(batch).into_iter().flatten() {
                tally.documents += 1;
                tally.errors += u64::from(verdict.findings.iter().any(Finding::is_error));
                writer.write(&self.shown(verdict))?;
            }
            if stopwatch.elapsed() > said + PROGRESS_EVERY {
                said = stopwatch.elapsed();
                remark!("hearthgate: {} resources in {} s, {} with errors", tally.documents, said.as_secs(), tally.errors);
            }
        }
        writer.end()?;
        if said > Duration::ZERO {
            remark!("hearthgate: done, {} resources, {} with errors", tally.documents, tally.errors);
        }
        Ok(tally)
    }

    /// The next documents, as many as may be held.
    fn batch(&self, items: &mut Items) -> Vec<Item> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.jobs * ITEMS_PER_WORKER && bytes < BATCH_BYTES {
            let Some(item) = items.next() else { break };
            bytes += if let Content::Bytes(content) = &item.content { content.len() } else { 0 };
            batch.push(item);
        }
        batch
    }

    fn judged(&self, batch: Vec<Item>) -> Vec<Vec<Verdict>> {
        let workers = self.jobs.min(batch.len());
        if workers < 2 {
            return batch.into_iter().map(|item| self.item(item)).collect();
        }
        let next = AtomicUsize::new(0);
        let slots: Vec<std::sync::Mutex<(Option<Item>, Vec<Verdict>)>> =
            batch.into_iter().map(|item| std::sync::Mutex::new((Some(item), Vec::new()))).collect();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                        // Each slot is taken by one worker; a lock that another one poisoned does not exist.
                        let Ok(mut slot) = slot.lock() else { continue };
                        if let Some(item) = slot.0.take() {
                            slot.1 = self.item(item);
                        }
                    }
                });
            }
        });
        slots.into_iter().map(|slot| slot.into_inner().map(|slot| slot.1).unwrap_or_default()).collect()
    }

    fn item(&self, item: Item) -> Vec<Verdict> {
        let Item { file, line, is_xml, content } = item;
        let verdict = |entry, bytes: &Arc<Vec<u8>>, findings| Verdict { file: file.clone(), line, entry, bytes: bytes.clone(), findings };
        let bytes = match content {
            Content::Bytes(bytes) => Arc::new(bytes),
            Content::TooLong => return vec![verdict(None, &Arc::default(), vec![unread::too_long()])],
            Content::Unreadable(why) => return vec![verdict(None, &Arc::default(), vec![unread::unreadable(&why, is_xml)])],
        };
        if is_xml && self.judge.is_by_schema() {
            return vec![verdict(None, &bytes, vec![unread::shape_of_xml()])];
        }
        let read = reading::read(&bytes, is_xml, json::DEFAULT_DEPTH, self.judge.definitions().types(), true);
        let (resource, mut findings) = match read {
            Ok(read) => read,
            Err(unread) => return vec![verdict(None, &bytes, vec![unread])],
        };
        if !self.arguments.each_entry || resource.resource_type() != Some("Bundle") {
            findings.extend(self.judge.check(std::path::Path::new(&file), is_xml, &resource));
            return vec![verdict(None, &bytes, findings)];
        }
        let entries = resource.items("entry").iter().enumerate().filter_map(|(index, entry)| Some((index, entry.get("resource")?)));
        let under = |index: usize, finding: Finding| finding.under(&format!("Bundle.entry[{index}].resource"));
        // What had to be passed over to read the Bundle is said of it as a whole.
        let whole = (!findings.is_empty()).then(|| verdict(None, &bytes, findings));
        let each = entries.map(|(index, inner)| {
            let findings = self.judge.check(std::path::Path::new(&file), is_xml, inner);
            verdict(Some(index), &bytes, findings.into_iter().map(|finding| under(index, finding)).collect())
        });
        whole.into_iter().chain(each).collect()
    }

    fn shown(&self, mut verdict: Verdict) -> Verdict {
        let least = self.arguments.level.least();
        verdict.findings.retain(|finding| finding.severity >= least);
        verdict
    }
}

#[cfg(test)]
mod tests;
