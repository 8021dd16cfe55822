//! Deletions of what others sent: nobody but the sender deletes a record. Whoever may read it is told so; to whoever may not there is none.

use super::{MAX_PIECES, QueryPath, is_unread, too_many};
use crate::audit;
use crate::config::Interaction as Permission;
use crate::consent::Permitted;
use crate::identity::Caller;
use crate::intake::{Interaction, Received, Write};
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::pipeline::{Done, Meant, WriteAnswer};
use crate::search::Query;
use std::sync::Arc;

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
            if let Some(seen) = self.seen(caller, attempted.meant).await? {
                let refusal = anothers().at(attempted.path);
                let declared = received.evidence().declared;
                let writes = (received.into_parts().1, declared);
                self.pipeline.record_refused_deletions(caller, writes, &opened, &refusal, seen).await?;
                return Err(refusal.into());
            }
        }
        let answers = self.pipeline.accept(caller, received, opened).await?;
        steps.wait_where(answers.iter().any(|answer| answer.done == Done::Nothing)).await;
        Ok(answers)
    }

    /// One record of those meant that the caller may read, by type and id, where what may be seen of it is what it was found by.
    async fn seen(&self, caller: &Caller, meant: Meant) -> Result<Option<(String, String)>, Failure> {
        let may_read = |type_name: &str| caller.scopes.allows(Permission::Read, type_name);
        match meant {
            Meant::Record(type_name, id) if may_read(&type_name) => {
                let candidates = self.stored(vec![(type_name, id)]).await?;
                Ok(self.permitted(caller, candidates).await?.first().and_then(identity))
            }
            Meant::By(query) if may_read(query.type_name()) => self.seen_among(caller, &query).await,
            _ => Ok(None),
        }
    }

    /// The same by criteria: however much of what meets them is hidden, what is not counts, as in a search.
    async fn seen_among(&self, caller: &Caller, query: &Arc<Query>) -> Result<Option<(String, String)>, Failure> {
        if is_unread(caller, query) {
            return Ok(None);
        }
        let mut behind = 0;
        for _ in 0..MAX_PIECES {
            let (candidates, next) = self.candidates_behind(caller, query, behind).await?;
            let of_others = candidates.sound.into_iter().filter(|candidate| Some(&candidate.source) != caller.source.as_ref());
            let permitted = self.permitted(caller, of_others.collect()).await?;
            let seen = permitted.iter().find(|permitted| query.matches(permitted.resource()));
            match (seen.and_then(identity), next) {
                (Some(seen), _) => return Ok(Some(seen)),
                (None, None) => return Ok(None),
                (None, Some(last)) => behind = last,
            }
        }
        Err(too_many().into())
    }
}

fn identity(permitted: &Permitted) -> Option<(String, String)> {
    let resource = permitted.resource();
    Some((resource.resource_type()?.to_owned(), resource.text("id")?.to_owned()))
}

fn anothers() -> Refusal {
    let text = "This record was sent by another. Only who sent a record deletes it.";
    Refusal::new(Reason::Forbidden, IssueType::Forbidden, text)
}
