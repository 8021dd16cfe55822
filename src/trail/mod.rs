//! The provenance trail: everything the log holds of a patient or a record, in order, as a Bundle or as an evidence package; the
//! accounting of disclosures that is made of it; and erasure, which ends it.
//!
//! In scope: who may ask, gathering what the leaves stand for, writing it out, the index's upkeep. Out of scope: the index's and the
//! package's formats (`ledger::index`, `evidence`), what may be shown (`query`, `consent`).
//!
//! Invariants:
//! * Asking is audited and anchored before a byte of the answer is made.
//! * The trail is what the leaves under the subject's tags say, so that what it leaves out shows in the proof of completeness.
//! * Content is shown only as consent permits, like everywhere; what oversight sees beyond it are records of what was done.

mod accounting;
mod among;
mod asked;
mod beside;
mod damaged;
mod ending;
mod erasure;
mod export;
mod followed;
mod gather;
mod indexer;
mod merged;
mod named;
mod reading;
mod records;
mod severing;
mod statements;
mod stream;
mod subject;
mod tasks;
mod traces;
mod waiting;
mod whose;

pub use erasure::Erased;
pub use indexer::Indexer;
pub use stream::Pieces;

use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::config::Interaction as Permission;
use crate::identity::Caller;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::query::{QueryPath, may, not_found};
use crate::registry::Role;
use crate::store::{StoredVersion, Whose};
use std::sync::Arc;
use subject::Subject;

/// How often a package is begun anew, because something of it was erased meanwhile, or somebody else's key came to it. Each is on record.
const MAX_ROUNDS: usize = 5;

/// The trail's path. Cheap to clone.
#[derive(Clone)]
pub struct Trail {
    pub query: QueryPath,
    pub indexer: Arc<Indexer>,
    /// The log's key history.
    pub keys: Arc<str>,
    /// The gateway's own policy for its log (c2sp.org/tlog-policy).
    pub policy: Arc<str>,
    /// Whether witnesses are asked, so that a package waits for their word.
    pub is_witnessed: bool,
}

impl Trail {
    /// The trail of a resource as a Bundle, for oversight.
    pub async fn bundle(&self, caller: &Caller, type_name: &str, id: &str, opened: &audit::Opened) -> Result<Pieces, Failure> {
        let work = async {
            let mut subject = self.subject(caller, type_name, id).await?;
            self.record(opened, &subject, "provenance trail").await?;
            for _ in 0..MAX_ROUNDS {
                if let Some(pieces) = self.stream(caller, subject).await? {
                    return Ok(pieces);
                }
                subject = self.subject(caller, type_name, id).await?;
            }
            Err(Fault::new(FaultKind::Overloaded, "more keeps being erased of what is to be told; ask again").into())
        };
        self.query.audited_of(caller, (type_name, id), opened, work).await
    }

    /// The evidence package of a resource, for oversight. `seen` is the size of the checkpoint the reader kept.
    pub async fn package(
        &self,
        caller: &Caller,
        (type_name, id): (&str, &str),
        seen: Option<u64>,
        opened: &audit::Opened,
    ) -> Result<Vec<u8>, Failure> {
        let work = async {
            for _ in 0..MAX_ROUNDS {
                let subject = self.subject(caller, type_name, id).await?;
                let owners = self.record_export(opened, &subject).await?;
                if let Some(package) = self.export(caller, subject, owners, seen).await? {
                    return Ok(package);
                }
            }
            Err(Fault::new(FaultKind::Overloaded, "more keeps being erased of what is to be exported; ask again").into())
        };
        self.query.audited_of(caller, (type_name, id), opened, work).await
    }

    /// What the caller asks about, if it oversees the gateway and there is such a thing.
    async fn subject(&self, caller: &Caller, type_name: &str, id: &str) -> Result<Subject, Failure> {
        if !caller.has_role(Role::Regulator) {
            let text = "Provenance trails and evidence packages are for clients that are registered as regulator.";
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text).into());
        }
        may(caller, Permission::Read, "Provenance")?;
        may(caller, Permission::Read, "AuditEvent")?;
        let subject = self.find(caller, type_name, id).await?;
        self.bring_in(&subject).await?;
        Ok(subject)
    }

    async fn find(&self, caller: &Caller, type_name: &str, id: &str) -> Result<Subject, Failure> {
        let id = self.query.pipeline.dialect(caller).id(type_name, id);
        let found = subject::subject(&self.query.pipeline, type_name, &id).await?;
        Ok(found.ok_or_else(|| not_found(type_name))?)
    }

    /// What was kept back from the log of whom somebody asks about, who may: that the log grows by it would tell others.
    async fn bring_in(&self, subject: &Subject) -> Result<(), Fault> {
        let keyring = &self.query.pipeline.anchor.keyring;
        let names = subject.patients.iter().map(|patient| keyring.patient_name(patient)).collect();
        self.query.pipeline.store.release(Whose::Of(names)).await
    }

    /// Nothing is handed out that is not on record.
    async fn record(&self, opened: &audit::Opened, subject: &Subject, what: &str) -> Result<(), Fault> {
        let closing = Closing {
            resources: vec![subject.reference.clone()],
            patients: subject.patients.clone(),
            description: Some(what.to_owned()),
            ..Closing::default()
        };
        self.query.pipeline.record(opened, &Outcome::Success, LeafKind::Disclose, &closing).await
    }
}

/// Whether it is a record of what was done, as the gateway keeps it. One that somebody filed is a record like any other.
fn is_event(version: &StoredVersion) -> bool {
    version.type_name == "AuditEvent" && version.source == audit::SOURCE
}
