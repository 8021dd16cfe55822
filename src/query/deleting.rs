//! Deletions of what others sent: nobody but the sender deletes a record. Whoever may read it is told so; to whoever may not there is none.

use super::QueryPath;
use crate::audit;
use crate::config::Interaction as Permission;
use crate::identity::Caller;
use crate::intake::{Interaction, Received, Write};
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::pipeline::{Attempted, Done, WriteAnswer};

impl QueryPath {
    /// Accepts a submission. What deletes nothing is answered at steps of time, for a record that is hidden takes longer than none.
    pub async fn submit(&self, caller: &Caller, received: Received, opened: audit::Opened) -> Result<Vec<WriteAnswer>, Failure> {
        let may_delete = |write: &Write| match &write.interaction {
            Interaction::Delete { type_name, .. } | Interaction::ConditionalDelete { type_name, .. } => {
                caller.scopes.allows(Permission::Delete, type_name)
            }
            _ => false,
        };
        if !received.writes().iter().any(may_delete) {
            return self.pipeline.accept(caller, received, opened).await;
        }
        let steps = self.steps();
        for attempted in self.pipeline.attempted(caller, received.writes()).await? {
            if self.shows_some(caller, &attempted).await? {
                let refusal = anothers().at(attempted.path);
                let declared = received.evidence().declared;
                let writes = received.into_parts().1;
                self.pipeline.record_refused_submission(caller, (writes, declared), &opened, &refusal).await?;
                return Err(refusal.into());
            }
        }
        let answers = self.pipeline.accept(caller, received, opened).await?;
        steps.wait_where(answers.iter().any(|answer| answer.done == Done::Nothing)).await;
        Ok(answers)
    }

    /// Whether the caller may read one of these records, and what may be seen of it is what it was found by.
    async fn shows_some(&self, caller: &Caller, attempted: &Attempted) -> Result<bool, Failure> {
        let mut wanted = attempted.records.clone();
        wanted.retain(|(type_name, _)| caller.scopes.allows(Permission::Read, type_name));
        let candidates = self.stored(wanted).await?;
        let permitted = self.permitted(caller, candidates).await?;
        let is_met = |query: &crate::search::Query| permitted.iter().any(|permitted| query.matches(permitted.resource()));
        Ok(attempted.criteria.as_ref().map_or(!permitted.is_empty(), is_met))
    }
}

fn anothers() -> Refusal {
    let text = "This record was sent by another. Only who sent a record deletes it.";
    Refusal::new(Reason::Forbidden, IssueType::Forbidden, text)
}
