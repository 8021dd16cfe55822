//! How long requests took, as every measurement here tells it.

use std::fmt;
use std::time::Duration;

/// The times of requests that were answered, the fastest first.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn of(mut taken: Vec<Duration>) -> Latencies {
        taken.sort_unstable();
        Latencies(taken)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least time within which a share of them, 0 to 1, was answered; zero where there are none.
    pub fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list of times"
        )]
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        let last = self.0.len().saturating_sub(1);
        self.0.get(rank.saturating_sub(1).min(last)).copied().unwrap_or_default()
    }

    /// How many were answered in a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rate(&self, elapsed: Duration) -> f64 {
        self.0.len() as f64 / elapsed.as_secs_f64()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2?}  p99 {:.2?}  max {:.2?}", self.at(0.5), self.at(0.99), self.at(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_them_was_answered_within_the_time() {
        let check = |count: u64, share: f64, expected: u64| {
            let latencies = Latencies::of((1..=count).rev().map(Duration::from_millis).collect());
            assert_eq!(latencies.at(share), Duration::from_millis(expected), "{share} of {count}");
        };
        for (count, share, expected) in
            [(0, 0.5, 0), (1, 0.5, 1), (1, 1.0, 1), (2, 0.5, 1), (3, 0.5, 2), (100, 0.99, 99), (1000, 1.0, 1000)]
        {
            check(count, share, expected);
        }
        assert_eq!(Latencies::of(vec![Duration::ZERO; 30]).rate(Duration::from_secs(2)).round(), 15.0);
    }
}
