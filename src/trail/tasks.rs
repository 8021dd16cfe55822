//! What an erasure takes from the work list.
//!
//! A Task of the gateway's refers to the record in which its question came up first, and holds words of it: a code, what was written for one. It goes with
//! that record, and with whoever its words lead to. The question comes up again with the next record that raises it.

use super::damaged::Suspects;
use super::traces::Traces;
use crate::audit;
use crate::fhir::Node;
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
    let leads = |task: &Node| references(task).any(&goes) || words(task).any(|word| traces.lead_from_words(word));

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

/// What it says of that, and what was said in answer.
fn words(task: &Node) -> impl Iterator<Item = &str> {
    ["input", "output"].into_iter().flat_map(|name| task.items(name)).filter_map(|part| part.text("valueString"))
}
