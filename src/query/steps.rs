//! Answers that show nothing leave at steps of time. What is hidden takes longer to answer than what is not there, if only because whose it is gets
//! a record of it; how long an answer took must not tell the one from the other.

use crate::clock::{Clock, Stopwatch};
use std::time::Duration;

/// How far the steps are apart: several times what finding nothing takes, so that nearly every such answer leaves at the first.
const STEP: Duration = Duration::from_millis(25);

/// The steps from the moment a question was taken up.
pub(super) struct Steps(Stopwatch);

impl Steps {
    pub(super) fn begin(clock: &Clock) -> Steps {
        Steps(clock.stopwatch())
    }

    /// Waits for the next step where the answer shows nothing.
    pub(super) async fn wait_where(&self, shows_nothing: bool) {
        if shows_nothing {
            tokio::time::sleep(until_next(self.0.elapsed())).await;
        }
    }
}

/// How long it is to the next step after so much time. Never nothing, so that the first step is one for what took no time as well.
fn until_next(elapsed: Duration) -> Duration {
    let over = elapsed.as_nanos() % STEP.as_nanos();
    STEP.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_takes_a_whole_number_of_steps() {
        for (elapsed, answered) in [(0, 25), (3, 25), (24, 25), (25, 50), (26, 50), (1010, 1025)] {
            let elapsed = Duration::from_millis(elapsed);
            assert_eq!(elapsed + until_next(elapsed), Duration::from_millis(answered));
        }
    }
}
