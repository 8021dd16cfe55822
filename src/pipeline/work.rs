//! Items for people, as the store takes them.

use super::Pipeline;
use crate::audit;
use crate::clock::Instant;
use crate::outcome::Fault;
use crate::store::WorkDraft;
use crate::worklist::Item;
use data_encoding::HEXLOWER;
use std::collections::HashSet;

impl Pipeline {
    /// The drafts of items, each once.
    pub(crate) fn work(&self, items: &[Item], at: Instant) -> Result<Vec<WorkDraft>, Fault> {
        let mut seen = HashSet::new();
        let fresh = items.iter().map(|item| (item, item.key())).filter(|(_, key)| seen.insert(*key));
        fresh.map(|(item, key)| self.work_draft(item, key, at)).collect()
    }

    fn work_draft(&self, item: &Item, key: [u8; 32], at: Instant) -> Result<WorkDraft, Fault> {
        let id = self.ids.id(audit::SOURCE, "Task", &HEXLOWER.encode(&key));
        let task = self.anchor.authored("Task", &id, &item.to_task(&id, at), None, audit::SOURCE, at)?;
        Ok(WorkDraft { key, kind: item.kind.label(), source: item.source.clone(), at, task })
    }
}
