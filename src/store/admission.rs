//! Whether submissions are taken: not while the log cannot be published. What is acknowledged must come to where others can see it.
//!
//! What is put on record meanwhile goes on, and is published when the log can be again: reads, refusals, and what only takes away (revocations,
//! erasures) or must not wait (a broken glass).

use super::Store;
use super::unit::Unit;
use super::writer::Work;
use crate::outcome::{Fault, FaultKind};
use std::sync::{Arc, PoisonError, RwLock};

/// Why nothing is taken at the moment, if so. Cheap to clone; all clones say the same.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<RwLock<Option<Fault>>>);

impl Admission {
    /// Why this unit may not be written now.
    pub(super) fn refuses(&self, unit: &Unit) -> Option<Fault> {
        if unit.submits { self.closed() } else { None }
    }

    fn closed(&self) -> Option<Fault> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Says whether the log can be published. From a reason on, nothing that [submits](Unit::submits) is written, until there is none.
    /// Where it is for want of room, room is made: it will be asked for again, so it does not matter where that cannot be done now.
    pub fn tell_unpublished(&self, reason: Option<Fault>) {
        if reason.as_ref().is_some_and(|reason| reason.kind == FaultKind::StorageFull) {
            let _ = self.shared.work.try_send(Work::MakeRoom);
        }
        *self.shared.admission.0.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Why the log cannot be published, and nothing is taken.
    pub fn unpublished(&self) -> Option<Fault> {
        self.shared.admission.closed()
    }
}
