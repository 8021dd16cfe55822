//! What can be told of a reading before something is written that it comes after: in a transaction, one that fails refuses the whole (R4 §3.1.0.11.2), and
//! nothing can be taken back once it is stored.

use super::history::check_asked;
use super::{QueryPath, may};
use crate::audit;
use crate::config::Interaction as Permission;
use crate::identity::Caller;
use crate::intake::{Interaction, Write};
use crate::outcome::{Failure, Refusal};
use crate::search::{Handling, Query};
use crate::store::HistoryScope;

impl QueryPath {
    /// Refuses a reading that would fail, where what is to be written first makes no difference to it. Nothing is disclosed by that.
    pub async fn foresee(
        &self,
        caller: &Caller,
        interaction: &Interaction,
        handling: Handling,
        writes: &[&Write],
        opened: &audit::Opened,
    ) -> Result<(), Failure> {
        let (type_name, id, version) = match interaction {
            Interaction::Read { type_name, id } => (type_name, id, None),
            Interaction::VersionRead { type_name, id, version } => (type_name, id, Some(version.as_str())),
            Interaction::Search { type_name, pairs } => {
                return self.foresee_search(caller, (type_name, pairs), handling).map_err(Failure::from);
            }
            Interaction::InstanceHistory { type_name, id, pairs } => {
                let scope = HistoryScope::Instance { type_name: type_name.clone(), id: id.clone() };
                check_asked(self.permitted_scope(caller, scope).map(|_| pairs))?;
                if writes.iter().any(|write| self.may_change(caller, write, (type_name, id))) {
                    return Ok(());
                }
                let history = self.foresee_history(caller, (type_name, id), pairs);
                return self.audited_of(caller, (type_name, id), opened, history).await;
            }
            Interaction::TypeHistory { type_name, pairs } => {
                let scope = HistoryScope::Type { type_name: type_name.clone() };
                return Ok(check_asked(self.permitted_scope(caller, scope).map(|_| pairs))?);
            }
            Interaction::SystemHistory { pairs } => {
                return Ok(check_asked(self.permitted_scope(caller, HistoryScope::System).map(|_| pairs))?);
            }
            _ => return Ok(()),
        };
        if writes.iter().any(|write| self.may_change(caller, write, (type_name, id))) {
            return Ok(());
        }
        let read = async { self.readable(caller, type_name, id, version).await.map(drop) };
        self.audited_of(caller, (type_name, id), opened, read).await
    }

    fn foresee_search(
        &self,
        caller: &Caller,
        (type_name, pairs): (&str, &crate::intake::Pairs),
        handling: Handling,
    ) -> Result<(), Refusal> {
        may(caller, Permission::Search, type_name)?;
        let resumed = self.pager.resume(pairs.clone(), caller, type_name, self.pipeline.clock.now())?;
        let pairs = self.pipeline.dialect(caller).pairs(type_name, resumed.pairs);
        Query::parse(self.pipeline.definitions, type_name, &pairs, handling).map(drop)
    }

    /// Whether a write may make another answer of a reading: it writes what is read, or what decides who reads.
    fn may_change(&self, caller: &Caller, write: &Write, (type_name, id): (&str, &str)) -> bool {
        let dialect = self.pipeline.dialect(caller);
        let written = write.interaction.type_name().unwrap_or_default();
        let is_it = match &write.interaction {
            Interaction::Update { id: other, .. } | Interaction::Delete { id: other, .. } => {
                written == type_name && dialect.id(type_name, other) == dialect.id(type_name, id)
            }
            Interaction::ConditionalUpdate { .. } | Interaction::ConditionalDelete { .. } => written == type_name,
            _ => false,
        };
        is_it || written == "Consent"
    }
}
