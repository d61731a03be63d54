//! The one place that reads a clock.

use std::time::Duration;

use kr_model::Instant;
use kr_model::signing::UtcOffset;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// The monotonic clock of the host. Daemons read it once per wake-up and hand the value down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock(());

impl Clock {
    /// The clock.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// Now. Falls back to zero when the kernel has no monotonic clock, which no Linux lacks.
    #[must_use]
    pub fn now(&self) -> Instant {
        let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
            return Instant::ZERO;
        };
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_nsec() / 1_000).unwrap_or(0);
        Instant::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }

    /// How far the time of day (UTC) is ahead of [`now`](Self::now); it changes when the clock is set.
    #[must_use]
    pub fn utc_offset(&self) -> UtcOffset {
        let Ok(time) = clock_gettime(ClockId::CLOCK_REALTIME) else {
            return UtcOffset::default();
        };
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec()).unwrap_or(0);
        let monotonic = Duration::from_micros(self.now().as_micros());
        UtcOffset(Duration::new(seconds, nanos).saturating_sub(monotonic))
    }

    /// Seconds of Unix time (UTC), for log lines and mail headers only.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec())
    }
}

/// Sleeps, for programs that have no loop yet. A signal may end the sleep early.
pub fn pause(time: Duration) {
    let time = TimeSpec::from_duration(time);
    clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::empty(),
        &time,
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_run_backwards() {
        let clock = Clock::new();
        let a = clock.now();
        assert!(clock.now() >= a);
        assert!(clock.unix_seconds() > 1_700_000_000);
        let utc = clock.utc_offset().at(clock.now()).0 / 1_000_000;
        assert!(utc.abs_diff(u64::try_from(clock.unix_seconds()).unwrap()) <= 1);
    }
}
