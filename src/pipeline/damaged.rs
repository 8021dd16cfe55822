//! What of the stored cannot be believed is passed over as if it were not there, where nobody may learn that there is something.

use crate::outcome::{Fault, FaultKind};

/// Whether something stored is not as it was stored.
pub(crate) fn is_damage(fault: &Fault) -> bool {
    fault.kind == FaultKind::StorageCorrupt
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
