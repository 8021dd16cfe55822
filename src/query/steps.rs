//! Answers that show nothing leave at steps of time. What is hidden takes longer to answer than what is not there, if only because whose it is gets
//! a record of it, and because what it took place in is asked for where it lies; how long an answer took must not tell the one from the other.

use crate::clock::{Clock, Stopwatch};
use std::time::Duration;

/// How far the steps are apart at least: several times what finding nothing takes, so that nearly every such answer leaves at the first.
const STEP: Duration = Duration::from_millis(25);
/// How often a holder may be asked for one answer, one question after the other, before the first step is over.
const QUESTIONS: u32 = 4;
/// How far they are apart at most. Where holders take longer, that something was asked for may show.
const MAX_STEP: Duration = Duration::from_millis(500);

/// The steps from the moment a question was taken up.
pub(super) struct Steps {
    watch: Stopwatch,
    step: Duration,
}

impl Steps {
    /// From now on, where the slowest holder usually takes so long.
    pub(super) fn begin(clock: &Clock, usual: Duration) -> Steps {
        Steps { watch: clock.stopwatch(), step: step_for(usual) }
    }

    /// Waits for the next step where the answer shows nothing.
    pub(super) async fn wait_where(&self, shows_nothing: bool) {
        if shows_nothing {
            tokio::time::sleep(until_next(self.watch.elapsed(), self.step)).await;
        }
    }
}

/// How far steps are apart, so that an answer leaves at the first whether or not holders were asked for more. A multiple of the least, so that it
/// does not change with every question.
fn step_for(usual: Duration) -> Duration {
    let taken = usual.saturating_mul(QUESTIONS).saturating_add(STEP / 2);
    let steps = u32::try_from(taken.as_nanos().div_ceil(STEP.as_nanos())).unwrap_or(u32::MAX);
    STEP.saturating_mul(steps).min(MAX_STEP)
}

/// How long it is to the next step after so much time. Never nothing, so that the first step is one for what took no time as well.
fn until_next(elapsed: Duration, step: Duration) -> Duration {
    let over = elapsed.as_nanos() % step.as_nanos();
    step.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_takes_a_whole_number_of_steps() {
        for (elapsed, answered) in [(0, 25), (3, 25), (24, 25), (25, 50), (26, 50), (1010, 1025)] {
            let elapsed = Duration::from_millis(elapsed);
            assert_eq!(elapsed + until_next(elapsed, STEP), Duration::from_millis(answered));
        }
    }

    #[test]
    fn steps_are_longer_where_holders_are_slower_up_to_a_limit() {
        for (usual, step) in [(0, 25), (1, 25), (3, 25), (4, 50), (60, 275), (118, 500), (5_000, 500)] {
            assert_eq!(step_for(Duration::from_millis(usual)), Duration::from_millis(step), "{usual}");
        }
    }
}
