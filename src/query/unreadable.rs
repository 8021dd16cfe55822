//! What of the stored cannot be believed, as whoever asks may learn of it. A failure tells that there is something: who sent a record, as the row of its
//! resource says, and oversight learn of one; to everybody else, whose sight of it consent decides, it is as if it were not there.

use super::{QueryPath, not_found};
use crate::identity::Caller;
use crate::outcome::{Aside, Failure, Fault};
use crate::pipeline::{is_damage, leave_out};
use crate::registry::Role;
use crate::store::{Rows, StoredVersion};

/// Why nothing was shown, as the record of the refusal alone says.
const REASON: &str = "record-damaged";

impl QueryPath {
    /// The outcome of what was asked of one record, as it may be told.
    pub(super) async fn told_of<T>(
        &self,
        caller: &Caller,
        (type_name, id): (&str, &str),
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match outcome {
            Err(Failure::Fault(fault)) if is_damage(&fault) => {
                let id = self.pipeline.dialect(caller).id(type_name, id);
                if self.learns_of(caller, (type_name, &id)).await? {
                    return Err(fault.into());
                }
                leave_out(&fault);
                Err(super::Refusal { aside: Some(Aside { reason: REASON, consent: None }), ..not_found(type_name) }.into())
            }
            outcome => outcome,
        }
    }

    /// What of the found is as it was stored. The rest is left out, or the failure that it is for who may learn of it.
    pub(super) async fn believed(&self, caller: &Caller, found: Rows) -> Result<Vec<StoredVersion>, Fault> {
        for damaged in found.damaged {
            if self.learns_of(caller, (&damaged.type_name, &damaged.id)).await? {
                return Err(damaged.fault);
            }
            leave_out(&damaged.fault);
        }
        Ok(found.sound)
    }

    async fn learns_of(&self, caller: &Caller, (type_name, id): (&str, &str)) -> Result<bool, Fault> {
        if caller.has_role(Role::Regulator) {
            return Ok(true);
        }
        let source = self.pipeline.store.glance(|reader| reader.source_of(type_name, id)).await?;
        Ok(source.is_some() && source == caller.source)
    }
}
