//! What of the stored cannot be believed is passed over as if it were not there, where nobody may learn that there is something.

use crate::outcome::{Fault, FaultKind};

/// Whether something stored is not as it was stored.
pub(crate) fn is_damage(fault: &Fault) -> bool {
    fault.kind == FaultKind::StorageCorrupt
}

/// Whether it is not as it was stored, or is away.
pub(crate) fn is_unreadable(fault: &Fault) -> bool {
    is_damage(fault) || fault.kind == FaultKind::Storage
}

/// Which records are one person's, or none where nobody can tell: by what was filed about others nothing is permitted then.
pub(crate) fn linked_as_far_as_known(linked: Result<Vec<String>, Fault>) -> Result<Vec<String>, Fault> {
    linked.or_else(|fault| {
        if !is_unreadable(&fault) {
            return Err(fault);
        }
        tracing::error!(detail = %fault.detail, "which records are one person's cannot be read");
        Ok(Vec::new())
    })
}

/// The log names the row.
pub(crate) fn leave_out(fault: &Fault) {
    tracing::error!(detail = %fault.detail, "a record is damaged: it is answered as if it were not there");
    metrics::counter!("hearthgate_damaged_records_total").increment(1);
}

/// What was found, where it can be read.
pub(crate) fn readable<T>(found: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match found {
        Err(fault) if is_damage(&fault) => {
            leave_out(&fault);
            Ok(None)
        }
        found => found,
    }
}
