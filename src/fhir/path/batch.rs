//! Expressions from the command line: one on one document, or a stream of questions as NDJSON.

use super::environment::Environment;
use super::focus::Focus;
use super::item::{Item, System};
use super::{Dialect, Expression};
use crate::fhir::json;
use crate::fhir::node::{Node, Object};
use crate::fhir::temporal::DateTime;
use crate::fhir::types::TypeTable;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};

/// How deep a line of a batch may nest; a question is flat.
const QUESTION_DEPTH: usize = 8;

/// One item of an answer: its type (`code`, `HumanName`, `boolean`) and its value as text, JSON for complex items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub type_name: String,
    pub value: String,
}

/// What every expression of a command is evaluated with.
pub struct Setting<'a> {
    pub types: &'a TypeTable,
    /// What `now()` answers.
    pub now: Option<DateTime>,
    pub environment: &'a dyn Environment,
}

/// Evaluates one expression on a document (or on nothing). `strict` also refuses names that the types do not have.
/// The error is a sentence for the user.
pub fn run_one(expression: &str, document: Option<&Node>, strict: bool, setting: &Setting<'_>) -> Result<Vec<Answer>, String> {
    let types = setting.types;
    let nothing = Node::from(Object::new());
    let node = document.unwrap_or(&nothing);
    let compiled = Expression::compile_as(expression, types, Dialect::Specification).map_err(|error| error.to_string())?;
    if strict {
        compiled.check(types, node.resource_type()).map_err(|error| error.to_string())?;
    }
    let focus = Focus::resource(types, node).ok_or("no resource types are loaded")?;
    let items =
        compiled.evaluate(&Focus { now: setting.now, environment: setting.environment, ..focus }).map_err(|error| error.to_string())?;
    Ok(items.iter().map(|item| answer(item, types)).collect())
}

fn answer(item: &Item<'_>, types: &TypeTable) -> Answer {
    let type_name = match item {
        Item::System(System::Quantity(_)) | Item::Tree(_) => item.type_name(types).to_string(),
        Item::System(value) => lower_first(value.type_name()),
    };
    let value = match item {
        // A time is told from other text by the T of its literal.
        Item::System(System::Time(time)) => format!("T{time}"),
        Item::System(System::Type(name)) => format!("{}.{}", name.namespace, name.name),
        _ => match item.text() {
            Some(text) => text.into_owned(),
            None => item.node().map(json::write).unwrap_or_default(),
        },
    };
    Answer { type_name, value }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Answers every line `{"id", "expression", "file", "strict"}` with `{"id", "result": [{"type", "value"}]}` or `{"id", "error"}`.
/// `open` reads and parses the document of a `file`; each is opened once.
pub fn batch(
    input: impl BufRead,
    mut output: impl Write,
    setting: &Setting<'_>,
    mut open: impl FnMut(&str) -> Result<Node, String>,
) -> io::Result<()> {
    let mut documents: HashMap<String, Result<Node, String>> = HashMap::new();
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let reply = match json::parse(line.as_bytes(), QUESTION_DEPTH) {
            Err(error) => Object::new().with("error", format!("not a question: {} at byte {}", error.kind, error.offset)),
            Ok(question) => {
                let document = question.text("file").map(|file| &*documents.entry(file.to_string()).or_insert_with(|| open(file)));
                reply(&question, document, setting)
            }
        };
        writeln!(output, "{}", json::write(&reply.into()))?;
    }
    output.flush()
}

fn reply(question: &Node, document: Option<&Result<Node, String>>, setting: &Setting<'_>) -> Object {
    let strict = question.get("strict").and_then(Node::as_bool).unwrap_or(false);
    let expression = question.text("expression").unwrap_or_default();
    let result = match document {
        Some(Err(problem)) => Err(problem.clone()),
        Some(Ok(node)) => run_one(expression, Some(node), strict, setting),
        None => run_one(expression, None, strict, setting),
    };
    let reply = Object::new().with_some("id", question.get("id").cloned());
    match result {
        Err(problem) => reply.with("error", problem),
        Ok(answers) => {
            let items = answers.into_iter().map(|answer| Object::new().with("type", answer.type_name).with("value", answer.value).into());
            reply.with("result", items.collect::<Vec<Node>>())
        }
    }
}
