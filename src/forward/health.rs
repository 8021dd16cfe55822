//! What is known of how a holder fares: whether it is worth asking, whether it may be asked twice, and after how long.
//!
//! In scope: a circuit breaker, a budget for retries and hedged reads, the usual time of an answer. Pure: instants come in. Out of scope: asking.

use crate::clock::Instant;
use std::time::Duration;

/// Failures in a row after which a holder is left alone.
const FAILURES_TO_REST: u32 = 5;
/// How long it is left alone; then one question is tried.
const REST: Duration = Duration::from_secs(10);
/// Second questions that may be saved up, in tenths.
const MAX_BUDGET_TENTHS: u32 = 100;
/// What each question adds to the budget: one in ten may be asked twice.
const EARNED_TENTHS: u32 = 1;
const COST_TENTHS: u32 = 10;
/// How many times its usual time an answer may take before it is asked for again.
const HEDGE_FACTOR: u32 = 4;
/// The least time before it is.
const MIN_HEDGE: Duration = Duration::from_millis(100);
/// The share of a new time in the usual one.
const SHARE: f64 = 0.1;

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was answered, whatever the answer says.
    Answered(Duration),
    /// Not at all, or by a server that is broken.
    Failed,
}

/// One holder's health.
#[derive(Debug, Clone)]
pub(super) struct Health {
    failures: u32,
    /// Until when it is left alone.
    rests_until: Option<Instant>,
    budget_tenths: u32,
    usual: Option<Duration>,
}

impl Default for Health {
    fn default() -> Health {
        Health { failures: 0, rests_until: None, budget_tenths: MAX_BUDGET_TENTHS, usual: None }
    }
}

impl Health {
    /// Whether to ask now. After a rest one question is let through, and the others wait for how it ends.
    pub fn admits(&mut self, now: Instant) -> bool {
        match self.rests_until {
            Some(until) if now < until => return false,
            Some(_) => self.rests_until = Some(now + REST),
            None => {}
        }
        self.budget_tenths = (self.budget_tenths + EARNED_TENTHS).min(MAX_BUDGET_TENTHS);
        true
    }

    /// Whether it is left alone.
    pub fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    pub fn note(&mut self, ended: Ended, now: Instant) {
        match ended {
            Ended::Answered(took) => {
                let usual = self.usual.map_or(took, |usual| usual.mul_f64(1.0 - SHARE) + took.mul_f64(SHARE));
                (self.failures, self.rests_until, self.usual) = (0, None, Some(usual));
            }
            Ended::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES_TO_REST {
                    self.rests_until = Some(now + REST);
                }
            }
        }
    }

    /// Takes one second question from the budget, if there is one.
    pub fn spend(&mut self) -> bool {
        let left = self.budget_tenths.checked_sub(COST_TENTHS);
        self.budget_tenths = left.unwrap_or(self.budget_tenths);
        left.is_some()
    }

    /// How long an answer usually takes, of one that may be asked.
    pub fn usual(&self, now: Instant) -> Option<Duration> {
        self.usual.filter(|_| !self.rests(now))
    }

    /// How long to wait before asking a second time, where an answer may take `timeout`.
    pub fn hedge_after(&self, timeout: Duration) -> Duration {
        let half = timeout / 2;
        self.usual.map_or(half, |usual| (usual * HEDGE_FACTOR).max(MIN_HEDGE).min(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_seconds(seconds)
    }

    #[test]
    fn a_holder_that_fails_is_left_alone_and_tried_again() {
        let mut health = Health::default();
        for _ in 0..FAILURES_TO_REST {
            assert!(health.admits(at(0)));
            health.note(Ended::Failed, at(0));
        }
        assert!(!health.admits(at(9)), "it rests");
        assert!(health.admits(at(10)), "one question tries it");
        assert!(!health.admits(at(10)), "and only one");
        health.note(Ended::Failed, at(11));
        assert!(!health.admits(at(20)));
        assert!(health.admits(at(21)));
        health.note(Ended::Answered(Duration::from_millis(5)), at(21));
        assert!(health.admits(at(21)) && health.admits(at(21)), "it is well again");
        health.note(Ended::Failed, at(22));
        assert!(health.admits(at(22)), "one failure is none");
    }

    #[test]
    fn one_question_in_ten_may_be_asked_twice() {
        let mut health = Health::default();
        let saved = (0..100).filter(|_| health.spend()).count();
        assert_eq!(saved as u32, MAX_BUDGET_TENTHS / COST_TENTHS);
        let twice = (0..100).filter(|_| health.admits(at(0)) && health.spend()).count();
        assert_eq!(twice, 10);
    }

    #[test]
    fn a_second_question_waits_longer_than_answers_usually_take() {
        let mut health = Health::default();
        let timeout = Duration::from_secs(2);
        assert_eq!(health.hedge_after(timeout), Duration::from_secs(1), "nothing is known yet");
        health.note(Ended::Answered(Duration::from_millis(2)), at(0));
        assert_eq!(health.hedge_after(timeout), MIN_HEDGE);
        health.note(Ended::Answered(Duration::from_millis(2_002)), at(0));
        assert_eq!(health.hedge_after(timeout), Duration::from_millis(808));
    }
}
