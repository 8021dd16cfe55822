//! The operator's commands: they ask a running gateway over its admin interface, with the key that lies in its folder.

use super::{FAULT, FINDINGS, FINE, USAGE, complain, named};
use crate::config::{Settings, read_secret};
use clap::{Args, Subcommand};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// How long a call may take: a page of a replay is the longest.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The gateway that is meant.
#[derive(Args)]
pub struct Desk {
    /// The configuration file of the running gateway; it says where the gateway listens and where its key lies.
    #[arg(long)]
    config: PathBuf,
}

#[derive(Args)]
pub struct WorkArguments {
    #[command(flatten)]
    desk: Desk,
    #[command(subcommand)]
    command: WorkCommand,
}

#[derive(Subcommand)]
enum WorkCommand {
    /// Prints the items, an object a line, what was met most often first.
    List {
        #[arg(long)]
        source: Option<String>,
        /// unmapped-code, implausible-unit, refused-version, uncertain-match or late-result.
        #[arg(long)]
        kind: Option<String>,
        /// `requested` for what is open, `completed`, `rejected`.
        #[arg(long)]
        status: Option<String>,
    },
    /// Prints a source's unmapped codes as a sheet to be filled, or as a draft ConceptMap.
    Export {
        #[arg(long)]
        source: String,
        /// `csv` or `concept-map`.
        #[arg(long, default_value = "csv")]
        format: String,
    },
    /// Gives a source a ConceptMap (.json) or a filled sheet (.csv).
    Load {
        #[arg(long)]
        source: String,
        file: PathBuf,
    },
    /// Resolves an item: done, ignore; for an uncertain match also link, apart.
    Resolve {
        task: String,
        decision: String,
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Says who is who: `link A B`, `apart A B`, `unlink A`.
    People {
        decision: String,
        #[arg(required = true, num_args = 1..=2)]
        patients: Vec<String>,
    },
}

#[derive(Args)]
pub struct ReplayArguments {
    #[command(flatten)]
    desk: Desk,
    #[arg(long)]
    source: String,
    /// An instant or a date: what was stored before is left alone.
    #[arg(long)]
    since: Option<String>,
    /// Shows what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where an earlier replay was cut off.
    #[arg(long, default_value_t = 0)]
    after: i64,
}

/// A gateway's admin interface.
struct Admin {
    base: String,
    key: String,
    http: Client,
}

/// What came back: status and text.
type Told = Result<(StatusCode, String), String>;

impl Admin {
    fn of(desk: &Desk) -> Result<Admin, String> {
        let settings = Settings::load(&desk.config).map_err(|error| error.to_string())?;
        let key = read_secret(&settings.keys_dir().join("operator.key"))?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
        Ok(Admin { base: format!("http://{}/desk", settings.server.admin_listen), key: key.reveal().trim().to_owned(), http })
    }

    async fn call(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<(&str, Vec<u8>)>) -> Told {
        let escape = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let mut request = self.http.request(method, format!("{}{path}?{}", self.base, query.join("&"))).bearer_auth(&self.key);
        if let Some((media, bytes)) = body {
            request = request.header("content-type", media).body(bytes);
        }
        let gone = |error: reqwest::Error| format!("the gateway does not answer at {}: {error}", self.base);
        let response = request.send().await.map_err(gone)?;
        let status = response.status();
        Ok((status, response.text().await.map_err(gone)?))
    }

    async fn post(&self, path: &str, body: &Value) -> Told {
        self.call(Method::POST, path, &[], Some(("application/json", body.to_string().into_bytes()))).await
    }
}

/// Runs one exchange; `work` prints what it wants of the answers.
fn with_admin(desk: &Desk, work: impl AsyncFnOnce(&Admin) -> Result<u8, String>) -> u8 {
    let admin = match Admin::of(desk) {
        Ok(admin) => admin,
        Err(text) => return complain(USAGE, text),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    runtime.block_on(work(&admin)).unwrap_or_else(|text| complain(FAULT, text))
}

/// Prints an answer: what was asked for to standard output, what was refused to standard error.
fn print((status, text): (StatusCode, String)) -> u8 {
    if status.is_success() {
        answer_part!("{text}{}", if text.ends_with('\n') { "" } else { "\n" });
        return FINE;
    }
    let outcome: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = outcome.pointer("/issue/0/details/text").and_then(Value::as_str).unwrap_or("the gateway gives no reason");
    complain(if status.is_server_error() { FAULT } else { FINDINGS }, said)
}

pub fn reload(desk: &Desk) -> u8 {
    with_admin(desk, async |admin| Ok(print(admin.post("/reload", &json!({})).await?)))
}

pub fn work(arguments: &WorkArguments) -> u8 {
    with_admin(&arguments.desk, async |admin| match &arguments.command {
        WorkCommand::List { source, kind, status } => {
            let asked = [("source", source), ("kind", kind), ("status", status)];
            let asked: Vec<(&str, &str)> = asked.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            let (status, text) = admin.call(Method::GET, "/work", &asked, None).await?;
            let items: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
            if !status.is_success() {
                return Ok(print((status, text)));
            }
            items.iter().for_each(|item| answer!("{item}"));
            Ok(FINE)
        }
        WorkCommand::Export { source, format } => {
            Ok(print(admin.call(Method::GET, &format!("/sources/{source}/unmapped"), &[("format", format)], None).await?))
        }
        WorkCommand::Load { source, file } => {
            let bytes = named::bytes(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let is_sheet = file.extension().is_some_and(|extension| extension == "csv");
            let media = if is_sheet { "text/csv" } else { "application/fhir+json" };
            Ok(print(admin.call(Method::POST, &format!("/sources/{source}/concept-map"), &[], Some((media, bytes))).await?))
        }
        WorkCommand::Resolve { task, decision, note } => {
            Ok(print(admin.post(&format!("/work/{task}"), &json!({"decision": decision, "note": note})).await?))
        }
        WorkCommand::People { decision, patients } => {
            let ids: Vec<&str> = patients.iter().map(|patient| patient.strip_prefix("Patient/").unwrap_or(patient)).collect();
            Ok(print(admin.post("/people", &json!({"decision": decision, "patients": ids})).await?))
        }
    })
}

/// Asks for page after page. A replay that is cut off says where it goes on; begun anew it writes nothing twice.
pub fn replay(arguments: &ReplayArguments) -> u8 {
    with_admin(&arguments.desk, async |admin| {
        let (mut after, mut looked_at, mut written) = (arguments.after, 0, 0);
        loop {
            let (place, dry) = (after.to_string(), arguments.dry_run.to_string());
            let mut asked = vec![("source", arguments.source.as_str()), ("after", &place), ("dry", &dry)];
            asked.extend(arguments.since.as_deref().map(|since| ("since", since)));
            let told =
                admin.call(Method::POST, "/replay", &asked, None).await.map_err(|text| format!("{text}; go on with --after {after}"))?;
            if !told.0.is_success() {
                remark!("hearthgate: cut off; go on with --after {after}");
                return Ok(print(told));
            }
            let mut lines: Vec<&str> = told.1.lines().collect();
            let summary: Value = lines.pop().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
            lines.iter().for_each(|line| answer!("{line}"));
            let count = |name: &str| summary.get(name).and_then(Value::as_u64).unwrap_or(0);
            looked_at += count("looked-at");
            written += count("written");
            match summary.get("next").and_then(Value::as_i64) {
                Some(next) => after = next,
                None => break,
            }
        }
        remark!("{looked_at} versions looked at, {written} written");
        Ok(FINE)
    })
}
