//! A point in time as the pure machines see it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds of the monotonic clock (`CLOCK_MONOTONIC`), which all processes of a host share: an
/// instant that one process publishes means the same moment to its successor.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(u64);

impl Instant {
    /// The clock's zero (boot, or the start of a simulation).
    pub const ZERO: Self = Self(0);

    /// An instant from microseconds since the clock's zero.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's zero.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant plus `duration`, or the last representable instant. A part of a microsecond counts as a
    /// whole one, so a time that is not zero always ends later than it began.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let rest = u64::from(!duration.subsec_nanos().is_multiple_of(1_000));
        Self(self.0.saturating_add(micros(duration)).saturating_add(rest))
    }

    /// This instant minus `duration`, or zero.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// Time from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let t = Instant::from_micros(10);
        assert_eq!(t.saturating_sub(Duration::from_secs(1)), Instant::ZERO);
        assert_eq!(
            t.saturating_add(Duration::MAX),
            Instant::from_micros(u64::MAX)
        );
        assert_eq!(
            t.saturating_add(Duration::from_nanos(1_001)).as_micros(),
            12
        );
        assert_eq!(Instant::ZERO.since(t), Duration::ZERO);
        assert_eq!(t.since(Instant::ZERO), Duration::from_micros(10));
    }
}
