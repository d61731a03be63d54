//! Systemd's watchdog (`WatchdogSec`): fed while every running child answers or is being replaced, so
//! that systemd starts the whole daemon anew when the parent hangs, or a child that cannot even be killed.

use std::time::Duration;

use kr_model::Instant;

/// When to feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watchdog {
    /// `None` when systemd watches nothing.
    period: Option<Duration>,
    next_at: Instant,
}

impl Watchdog {
    /// As `WATCHDOG_USEC` and `WATCHDOG_PID` ask for it.
    pub(crate) fn from_environment(now: Instant) -> Self {
        Self::new(sd_notify::watchdog_enabled(), now)
    }

    /// A third of the limit is early enough, even when one comes late.
    fn new(limit: Option<Duration>, now: Instant) -> Self {
        Self {
            period: limit.map(|limit| limit / 3),
            next_at: now,
        }
    }

    /// Whether it is time; to be asked only when all is well.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        match self.period {
            Some(period) if now >= self.next_at => {
                self.next_at = now.saturating_add(period);
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_three_times_within_its_limit_and_not_without_one() {
        let at = |millis: u64| Instant::from_micros(millis * 1_000);
        let mut watchdog = Watchdog::new(Some(Duration::from_secs(3)), at(0));
        let fed: Vec<u64> = (0..12)
            .map(|step| step * 250)
            .filter(|millis| watchdog.is_due(at(*millis)))
            .collect();
        assert_eq!(fed, [0, 1_000, 2_000]);
        assert!(!Watchdog::new(None, at(0)).is_due(at(60_000)));
    }
}
