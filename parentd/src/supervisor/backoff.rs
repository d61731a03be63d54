//! When a child that ended is started again. Pure.
//!
//! A child that worked is started again at once, so that a crash is over in milliseconds; how often is
//! a budget that fills up slowly. A child that never became ready, or has used the budget up, waits 0,
//! 1, 2, 4 ... 60 seconds.

use std::time::Duration;

use kr_model::Instant;

/// Restarts at once that may follow each other.
const BUDGET: u32 = 30;

/// Time after which one of them may be used again.
const REFILL: Duration = Duration::from_secs(2);

/// A child that lived this long starts the waits anew.
const STABLE: Duration = Duration::from_secs(60);

/// The waits in seconds; the last one repeats.
const WAITS: [u64; 8] = [0, 1, 2, 4, 8, 16, 32, 60];

/// Restart history of one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backoff {
    budget: u32,
    filled_at: Instant,
    step: usize,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            budget: BUDGET,
            filled_at: Instant::ZERO,
            step: 0,
        }
    }
}

impl Backoff {
    /// The child ended: how long to wait before the next start.
    pub(crate) fn ended(&mut self, lived: Duration, was_ready: bool, now: Instant) -> Duration {
        self.refill(now);
        if lived >= STABLE {
            self.step = 0;
        }
        if was_ready && self.budget > 0 {
            self.budget = self.budget.saturating_sub(1);
            return Duration::ZERO;
        }
        let last = WAITS.len().saturating_sub(1);
        let wait = WAITS.get(self.step).copied().unwrap_or(60);
        self.step = self.step.saturating_add(1).min(last);
        Duration::from_secs(wait)
    }

    fn refill(&mut self, now: Instant) {
        let periods = now.since(self.filled_at).as_secs() / REFILL.as_secs();
        let gained = u32::try_from(periods).unwrap_or(BUDGET);
        self.budget = self.budget.saturating_add(gained).min(BUDGET);
        self.filled_at = self
            .filled_at
            .saturating_add(REFILL.saturating_mul(gained))
            .max(now.saturating_sub(REFILL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn a_child_that_never_becomes_ready_waits_longer_each_time() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..10)
            .map(|_| {
                backoff
                    .ended(Duration::from_millis(5), false, at(1_000))
                    .as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn twenty_kills_of_a_working_child_cost_no_wait() {
        let mut backoff = Backoff::default();
        for n in 0..20 {
            let wait = backoff.ended(Duration::from_millis(200), true, at(n * 200));
            assert_eq!(wait, Duration::ZERO, "kill {n}");
        }
    }

    #[test]
    fn a_child_that_crashes_on_and_on_uses_its_budget_up() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..33)
            .map(|_| {
                backoff
                    .ended(Duration::from_millis(10), true, at(500))
                    .as_secs()
            })
            .collect();
        assert_eq!(waits[..31], [0; 31]);
        assert_eq!(waits[31..], [1, 2]);
        // Two seconds later one restart at once is there again.
        assert_eq!(backoff.ended(Duration::ZERO, true, at(3_000)).as_secs(), 0);
        assert_eq!(backoff.ended(Duration::ZERO, true, at(3_000)).as_secs(), 4);
    }

    #[test]
    fn a_minute_of_life_starts_the_waits_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.ended(Duration::ZERO, false, at(0));
        }
        assert_eq!(backoff.ended(STABLE, false, at(0)).as_secs(), 0);
        assert_eq!(backoff.ended(Duration::ZERO, false, at(0)).as_secs(), 1);
    }
}
