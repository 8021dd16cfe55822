//! What ends the waiting beside the parties' signatures, time and erasure, and what stays of it then: who signed, and nothing of what.

use super::{End, Progress, Waiting};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::Node;
use crate::outcome::{Failure, Fault};
use crate::pipeline::Pipeline;
use crate::store::{Pending, Unit};
use std::time::Duration;

/// How long after its time a submission may go on waiting before a pass notices.
pub const EXPIRY_PASS: Duration = Duration::from_secs(1);

/// How many submissions one pass ends because their time has passed.
const MAX_EXPIRED_PER_PASS: u32 = 100;

/// How many that wait are looked at together.
const WAITING_AT_ONCE: u32 = 100;

/// What stands in every `Provenance.signature` that is kept.
const KEPT_SIGNATURE: &str = "\"sigFormat\"";

/// What of a submission that waits may lead to somebody.
#[derive(Debug, Clone, Copy)]
pub struct Waits<'a> {
    /// As it would be stored; nothing where it would be refused by now.
    pub forms: &'a [Node],
    /// As it is kept, and the bytes of that.
    pub whole: Option<&'a Node>,
    pub bytes: &'a [u8],
}

/// One that waits and was judged to be among those that are looked for.
#[derive(Debug)]
pub struct Found<T> {
    pub id: String,
    pub revision: u32,
    pub judged: T,
}

impl Pipeline {
    /// Ends what was not signed in time; answers how many.
    pub async fn expire(&self) -> Result<usize, Fault> {
        let now = self.clock.now();
        let due = self.store.read(move |reader| reader.pending_due(now, MAX_EXPIRED_PER_PASS)).await?;
        let count = due.len();
        for row in due {
            let waiting = Waiting::read(row)?;
            let missing = waiting.progress.missing(&waiting.held.rule).join(", ");
            let progress = Progress { end: Some(End::Expired), ..waiting.progress.clone() };
            let unit = Unit { assumptions: vec![waiting.unchanged()], pending: Some(waiting.next(&progress)), ..Unit::default() };
            let opened = audit::Opened {
                interaction: "sign-off",
                action: audit::Action::Delete,
                request_id: waiting.held.request_id.clone(),
                at: now,
                peer: String::new(),
                caller: self.submitter(&waiting).ok(),
                query: None,
            };
            let description = Some(format!("not signed in time; missing: {missing}"));
            let withheld = self.patients_of(&waiting).await?;
            let closing = Closing { resources: vec![waiting.reference()], description, withheld, ..Closing::default() };
            self.record_with(unit, &opened, &Outcome::Refused("expired"), LeafKind::Refuse, &closing).await?;
            tracing::warn!(task = waiting.row.id, source = waiting.row.source, missing, "a submission was not signed in time");
            metrics::counter!("hearthgate_sign_offs_expired_total").increment(1);
        }
        Ok(count)
    }

    /// Takes the signatures out of what an older gateway left of submissions that no longer wait: they are over what these said, and whoever has one can
    /// try guesses of that.
    ///
    /// # Errors
    /// When the storage fails. What is damaged is passed over.
    pub async fn forget_signatures(&self) -> Result<(), Fault> {
        for id in self.store.read(|reader| reader.pending_ended_with(KEPT_SIGNATURE)).await? {
            let of = id.clone();
            let waiting = match self.store.read(move |reader| reader.pending(&of)).await.and_then(|row| row.map(Waiting::read).transpose())
            {
                Ok(Some(waiting)) => waiting,
                Ok(None) => continue,
                Err(fault) => {
                    tracing::warn!(task = id, fault = fault.kind.label(), detail = %fault.detail, "what is left of a submission cannot be read");
                    continue;
                }
            };
            let row = Pending { progress: waiting.progress.without_signed().encode(), ..waiting.row.clone() };
            let unit = Unit { assumptions: vec![waiting.unchanged()], pending: Some(row), ..Unit::default() };
            self.store.commit(unit).await?;
        }
        Ok(())
    }

    /// The submissions that wait and are judged to be among those, with what was judged of each.
    pub async fn waiting_where<T>(&self, judge: impl Fn(&Waits<'_>) -> Option<T>) -> Result<Vec<Found<T>>, Fault> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let from = after.clone();
            let rows = self.store.read(move |reader| reader.pending_open(&from, WAITING_AT_ONCE)).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            after.clone_from(&last.id);
            for row in rows {
                let (id, revision) = (row.id.clone(), row.revision);
                let waiting = Waiting::read(row)?;
                let forms = match self.normalised_form(&waiting).await {
                    Ok(forms) => forms,
                    Err(Failure::Refused(_)) => Vec::new(),
                    Err(Failure::Fault(fault)) => return Err(fault),
                };
                let whole = waiting.held.whole(&self.limits, self.definitions).ok();
                let judged = judge(&Waits { forms: &forms, whole: whole.as_ref(), bytes: &waiting.held.bytes });
                found.extend(judged.map(|judged| Found { id, revision, judged }));
                // There may be very many, and each takes a while: whoever else is asked goes on in between.
                tokio::task::yield_now().await;
            }
        }
    }
}
