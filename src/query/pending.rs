//! What waits for signatures, shown to whoever must sign it: under the same consents as if it were stored.

use super::{Candidate, QueryPath, Ruling, disclosure, not_found};
use crate::audit;
use crate::consent::Permitted;
use crate::fhir::Node;
use crate::identity::Caller;
use crate::outcome::Failure;
use crate::pipeline::Waiting;

impl QueryPath {
    /// The document as sent. Consent rules on every resource in it in the gateway's form; unless all of them may be seen whole, none is shown.
    pub async fn pending(&self, caller: &Caller, waiting: &Waiting, opened: &audit::Opened) -> Result<Node, Failure> {
        let document = self.pipeline.signed_document(waiting)?;
        let permitted = self.permit_pending(caller, waiting).await?;
        self.disclose(opened, disclosure(permitted.iter(), Some("shown to be signed".to_owned())), Vec::new()).await?;
        Ok(document)
    }

    /// Refuses whoever would not be shown what waits, but for its sender.
    pub async fn check_pending(&self, caller: &Caller, waiting: &Waiting) -> Result<(), Failure> {
        if caller.source.as_deref() == Some(waiting.source()) {
            return Ok(());
        }
        self.permit_pending(caller, waiting).await.map(drop)
    }

    async fn permit_pending(&self, caller: &Caller, waiting: &Waiting) -> Result<Vec<Permitted>, Failure> {
        let forms = self.pipeline.normalised_form(waiting).await?;
        let source = waiting.source();
        let candidate = |resource| Candidate { resource, source: source.to_owned(), version: None, at: None, elsewhere: None, there: None };
        let candidates: Vec<Candidate> = forms.into_iter().map(candidate).collect();
        let judge = self.judge(caller, &candidates).await?;
        let mut permitted = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match judge.rule(candidate) {
                Ruling::Permitted(one) if !one.is_redacted() => permitted.push(*one),
                _ => return Err(not_found("Task").into()),
            }
        }
        Ok(permitted)
    }
}
