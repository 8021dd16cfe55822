//! The time of the log: the clock's, but it never goes back. Epochs must follow each other through the log, or nobody could show that none was
//! left out; a clock that jumped ahead and was put right therefore leaves the log waiting at the later time. What is recorded beside the log
//! (AuditEvents, Provenances) has the clock's own time.

use super::leaf::{Leaf, hour};
use crate::clock::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Hours a clock may be behind the log before it is said: two processors of one gateway may number an hour's last leaves in turn.
const UNNOTICED_HOURS: u32 = 1;
const SECONDS_AN_HOUR: i64 = 3600;

/// The newest hour of a log. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct LedgerTime {
    newest_hour: Arc<AtomicU32>,
}

impl LedgerTime {
    /// The time of a log that holds these leaves, among others no later.
    pub fn after<'l>(leaves: impl IntoIterator<Item = &'l Leaf>) -> LedgerTime {
        let newest = leaves.into_iter().map(|leaf| leaf.hour).max().unwrap_or(0);
        LedgerTime { newest_hour: Arc::new(AtomicU32::new(newest)) }
    }

    /// What the log takes an instant for: itself, or the newest hour there is.
    pub fn of(&self, at: Instant) -> Instant {
        let asked = hour(at);
        let newest = self.newest_hour.fetch_max(asked, Ordering::Relaxed);
        if newest <= asked {
            return at;
        }
        if newest - asked > UNNOTICED_HOURS {
            metrics::counter!("hearthgate_ledger_clock_behind_total").increment(1);
        }
        Instant::from_seconds(i64::from(newest) * SECONDS_AN_HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::{LeafKind, Tags};

    #[test]
    fn the_log_waits_for_a_clock_that_was_put_back() {
        let leaf = Leaf::new(LeafKind::Audit, Instant::from_seconds(10 * SECONDS_AN_HOUR), Tags::default(), [0; 32], [0; 32]);
        let time = LedgerTime::after([&leaf]);
        // In hours: what the clock says, and what the log says then.
        for (clock, log) in [(3, 10), (10, 10), (11, 11), (10, 11), (500, 500), (12, 500), (501, 501)] {
            let said = time.clone().of(Instant::from_seconds(clock * SECONDS_AN_HOUR + 5));
            assert_eq!(i64::from(hour(said)), log, "{clock}");
        }
    }
}
