//! What is on record of a record and stands under none of its tags: versions about nobody in the log of an older gateway, whose leaves had no tag for
//! these, and what was done with several records at once that are nobody's.
//!
//! It is told all the same. That it is all there is nothing proves, which whoever reads the trail is told too.

use super::Trail;
use super::subject::{MAX_LEAVES, Place, Subject, no_more_than_told};
use crate::anchor::Leaf;
use crate::audit;
use crate::fhir::{Node, Object};
use crate::outcome::{Failure, Fault};
use crate::search;
use crate::store::Reader;
use std::collections::BTreeSet;

type Definitions = &'static crate::definitions::Definitions;

impl Trail {
    /// The places of a trail with those that no tag leads to.
    pub(super) async fn with_beside(&self, subject: &Subject, mut places: Vec<Place>) -> Result<Vec<Place>, Failure> {
        if subject.leaves.is_empty() {
            return Ok(places);
        }
        let (definitions, of) = (self.query.pipeline.definitions, subject.clone());
        let beside = self.query.pipeline.store.read(move |reader| beside(reader, definitions, &of)).await?;
        places.extend(beside.into_iter().map(|position| Place { position, patient: subject.patients.len(), under: None }));
        places.sort_unstable();
        no_more_than_told(&places)?;
        Ok(places)
    }
}

fn beside(reader: &Reader<'_>, definitions: Definitions, subject: &Subject) -> Result<BTreeSet<u64>, Fault> {
    let mut found = BTreeSet::new();
    for &(first, count) in &subject.leaves {
        let entries = reader.leaves(first, usize::try_from(count).unwrap_or(usize::MAX))?;
        found.extend((first..).zip(entries).filter_map(|(position, entry)| is_untagged(reader, &entry).then_some(position)));
    }
    let id = subject.reference.split_once('/').map_or("", |(_, id)| id);
    let Some(key) = search::reference_key(definitions, "AuditEvent", "entity", id) else { return Ok(found) };
    for position in reader.events_under(key, MAX_LEAVES, |entry| is_untagged(reader, entry))? {
        let event = reader.versions_of_leaves(position, 1)?.pop().flatten();
        let is_named = event.map(|event| event.parse()).transpose()?.is_some_and(|event| audit::names(&event, &subject.reference));
        found.extend(is_named.then_some(position));
    }
    Ok(found)
}

fn is_untagged(reader: &Reader<'_>, entry: &[u8]) -> bool {
    Leaf::read(reader, entry).is_some_and(|leaf| leaf.is_untagged())
}

/// What is said to whoever reads a trail of which a part is under no tag.
pub(super) fn remark(places: &[Place]) -> Option<Node> {
    let count = places.iter().filter(|place| place.under.is_none()).count();
    let text = format!(
        "{count} entries are of a version from before the log had a tag for records that are nobody's, or of what was done with several such records at \
         once. Nothing proves that these are all."
    );
    (count > 0).then(|| said("urn:hearthgate:beside", "information", &text))
}

/// What is said of a trail in the trail itself, as its last entries.
pub(super) fn said(url: &str, severity: &str, text: &str) -> Node {
    let issue: Node = Object::new().with("severity", severity).with("code", "incomplete").with("diagnostics", text).into();
    let outcome = Object::resource("OperationOutcome").with("issue", vec![issue]);
    Object::new().with("fullUrl", url).with("resource", outcome).into()
}
