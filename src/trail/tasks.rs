//! What an erasure takes from the work list.
//!
//! A Task of the gateway's refers to the record in which its question came up first, and holds words of it: a code, what was written for one. It goes with
//! that record, and with whoever its words lead to. The question comes up again with the next record that raises it.

use super::damaged::Suspects;
use super::traces::Traces;
use crate::audit;
use crate::fhir::Node;
use crate::normalise::is_key_system;
use crate::outcome::Fault;
use crate::store::Reader;

/// Tasks read at a time.
const PORTION: usize = 1000;

/// The gateway's Tasks that refer to what goes, or whose words lead to the person: id, and newest version. Damaged ones are judged beside them.
pub(super) fn tasks(
    reader: &Reader<'_>,
    goes: impl Fn(&str) -> bool,
    traces: &Traces,
    suspects: &mut Suspects,
) -> Result<Vec<(String, u32)>, Fault> {
    let leads = |task: &Node| references(task).any(&goes) || leads_by_words(task, traces);

    let (mut after, mut going) = (0, Vec::new());
    loop {
        let portion = reader.of_type("Task", after, PORTION)?;
        let Some(last) = portion.last() else { return Ok(going) };
        after = last;
        for damaged in &portion.damaged {
            suspects.judge(reader, damaged, leads, |words| traces.lead_from_words(words))?;
        }
        for version in portion.sound.iter().filter(|version| version.source == audit::SOURCE && !version.deleted()) {
            if leads(&version.parse()?) {
                going.push((version.id.clone(), version.version));
            }
        }
    }
}

/// What the question came up in.
fn references(task: &Node) -> impl Iterator<Item = &str> {
    let inputs = task.items("input").iter().filter_map(|input| input.text_at(&["valueReference", "reference"]));
    task.text_at(&["focus", "reference"]).into_iter().chain(inputs)
}

/// Whether what it says of that leads to the person, or what was said in answer. A code is no word, whatever it looks like, nor is what the catalogue calls
/// it: they lead to the person as the person's identifier.
fn leads_by_words(task: &Node, traces: &Traces) -> bool {
    let inputs = || task.items("input").iter().filter_map(|input| Some((input.get("type")?.items("coding").first()?.text("code")?, input)));
    let input = |name: &str| inputs().find(|(code, _)| *code == name).and_then(|(_, input)| input.text("valueString"));
    let (system, code) = (input("system"), input("code").unwrap_or_default());
    let typed = input("text").filter(|_| system.is_none_or(is_key_system));
    let answers = task.items("output").iter().filter_map(|output| output.text("valueString"));
    let asks = |text: &str| traces.name_the_id(text);
    inputs().any(|(_, input)| input.text("valueString").is_some_and(asks))
        || system.is_some_and(|system| traces.lead_from_code(system, code))
        || typed.into_iter().chain(answers).any(|word| traces.lead_from_words(word))
}
