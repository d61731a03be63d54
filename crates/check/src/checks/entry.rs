//! One checker: its configuration, its health, and whether it waits or runs.

use std::time::Duration;

use kr_model::Instant;
use kr_model::check::{Checker, CheckerSnapshot, Probe, Timing};
use kr_model::lvs::Verdict;
use kr_model::units::Weight;

use crate::health::{Effect, Health, Wait};
use crate::outcome::LocalFault;

/// A configured checker.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) config: Checker,
    pub(super) health: Health,
    /// What its program asks for, while up.
    pub(super) weight: Option<Weight>,
    pub(super) attempts: u64,
    pub(super) failed_attempts: u64,
    /// How long the last run took that ended with a result.
    pub(super) last_duration: Option<Duration>,
    pub(super) slot: Slot,
    /// What the parent knows.
    pub(super) published: Option<(Health, Option<Weight>)>,
    /// The fault of this host that was logged last, until a result comes.
    pub(super) fault: Option<LocalFault>,
}

/// Whether a checker waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Until then.
    Waiting(Instant),
    /// Until this host holds the address of the service (`ha_suspend`).
    Suspended,
    /// For ever: others say how its object is (`BFD_CHECK`).
    Told,
    /// It takes the results of an identical one (`checker_share`).
    Sharing {
        /// When that one runs next, as far as is known.
        next: Instant,
    },
    Running {
        /// Tells the results of this run from those of others.
        run: u64,
        started: Instant,
        /// Which host of an `SMTP_CHECK`.
        host: u16,
        /// By when the parent must have said how the program ended.
        answer_by: Option<Instant>,
    },
}

impl Slot {
    /// What a checker starts with that would run at `at`.
    pub(super) const fn first(probe: &Probe, at: Instant) -> Self {
        match probe {
            Probe::Bfd { .. } | Probe::File(_) => Self::Told,
            Probe::Tcp(_)
            | Probe::Http(_)
            | Probe::Smtp { .. }
            | Probe::Dns { .. }
            | Probe::Udp(_)
            | Probe::Ping(_)
            | Probe::Misc { .. } => Self::Waiting(at),
        }
    }
}

impl Entry {
    pub(super) const fn new(config: Checker, at_start: bool, at: Instant) -> Self {
        Self {
            health: Health::new(config.alpha, config.timing.retry, at_start),
            weight: None,
            attempts: 0,
            failed_attempts: 0,
            last_duration: None,
            slot: Slot::first(&config.probe, at),
            config,
            published: None,
            fault: None,
        }
    }

    /// Carries on where a predecessor ended. `first` is when the checker would run were it new: a due
    /// time beyond that and beyond its own delays cannot be right.
    pub(super) fn resumed(
        config: Checker,
        snapshot: &CheckerSnapshot,
        now: Instant,
        first: Instant,
    ) -> Self {
        let health = Health {
            up: snapshot.up,
            has_run: snapshot.has_run,
            failures: snapshot.failures,
            step: snapshot.step,
            passed: snapshot.passed,
        }
        .fitted(config.timing.retry, steps(&config.probe));
        let Timing {
            delay_loop,
            delay_before_retry,
            ..
        } = config.timing;
        let latest = first.max(now.saturating_add(delay_loop.max(delay_before_retry)));
        let at = if snapshot.next_at >= now || (health.up && health.failures > 0) {
            snapshot.next_at.clamp(now, latest)
        } else {
            next_in_step(snapshot.next_at, delay_loop, now)
        };
        Self {
            health,
            weight: snapshot.weight,
            attempts: snapshot.attempts,
            failed_attempts: snapshot.failed_attempts,
            last_duration: None,
            slot: Slot::first(&config.probe, at),
            published: Some((health, snapshot.weight)),
            fault: None,
            config,
        }
    }

    /// Which of several urls or hosts is tried now.
    pub(super) fn place(&self) -> Option<String> {
        match (&self.config.probe, self.slot) {
            (Probe::Http(http), _) if http.urls.len() > 1 => {
                let url = http.urls.get(usize::from(self.health.step))?;
                Some(format!("url {}", url.path))
            }
            (Probe::Smtp { hosts, .. }, Slot::Running { host, .. }) if hosts.len() > 1 => {
                let host = hosts.get(usize::from(host))?;
                Some(format!("host {}", host.target))
            }
            (
                Probe::Tcp(_)
                | Probe::Http(_)
                | Probe::Smtp { .. }
                | Probe::Dns { .. }
                | Probe::Udp(_)
                | Probe::Ping(_)
                | Probe::Bfd { .. }
                | Probe::File(_)
                | Probe::Misc { .. },
                _,
            ) => None,
        }
    }

    pub(super) const fn verdict(&self) -> Verdict {
        Verdict {
            checker: self.config.id,
            up: self.health.up,
            weight: self.weight,
        }
    }

    pub(super) const fn due_at(&self, now: Instant) -> Instant {
        match self.slot {
            Slot::Waiting(at) | Slot::Sharing { next: at } => at,
            Slot::Running { .. } | Slot::Suspended | Slot::Told => now,
        }
    }

    pub(super) const fn snapshot(&self, now: Instant) -> CheckerSnapshot {
        CheckerSnapshot {
            id: self.config.id,
            up: self.health.up,
            has_run: self.health.has_run,
            failures: self.health.failures,
            next_at: self.due_at(now),
            step: self.health.step,
            passed: self.health.passed,
            weight: self.weight,
            attempts: self.attempts,
            failed_attempts: self.failed_attempts,
        }
    }
}

/// The first of `from`, `from` + `period`, ... that is not before `now`. Successes are not published,
/// so a published time may be many periods old; keeping the step keeps the checkers spread.
pub(super) fn next_in_step(from: Instant, period: Duration, now: Instant) -> Instant {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
    let behind = now.as_micros().saturating_sub(from.as_micros());
    let late = behind.checked_rem(period).unwrap_or(0);
    let ahead = if late == 0 {
        0
    } else {
        period.saturating_sub(late)
    };
    now.saturating_add(Duration::from_micros(ahead))
}

/// How many urls take turns. The hosts of an `SMTP_CHECK` belong to one attempt.
pub(super) fn steps(probe: &Probe) -> u16 {
    match probe {
        Probe::Http(http) => u16::try_from(http.urls.len()).unwrap_or(u16::MAX),
        Probe::Tcp(_)
        | Probe::Smtp { .. }
        | Probe::Dns { .. }
        | Probe::Udp(_)
        | Probe::Ping(_)
        | Probe::Bfd { .. }
        | Probe::File(_)
        | Probe::Misc { .. } => 1,
    }
}

/// How long to wait after a result.
pub(super) fn delay(config: &Checker, effect: Effect) -> Duration {
    let Timing {
        delay_loop,
        delay_before_retry,
        ..
    } = config.timing;
    let http = match &config.probe {
        Probe::Http(http) => Some(http),
        Probe::Tcp(_)
        | Probe::Smtp { .. }
        | Probe::Dns { .. }
        | Probe::Udp(_)
        | Probe::Ping(_)
        | Probe::Bfd { .. }
        | Probe::File(_)
        | Probe::Misc { .. } => None,
    };
    match effect.wait {
        Wait::Loop => delay_loop,
        Wait::Retry => delay_before_retry,
        Wait::NextStep if http.is_some_and(|http| http.fast_recovery) => Duration::ZERO,
        Wait::NextStep => delay_loop,
        Wait::Down if http.is_some() => delay_loop.max(delay_before_retry),
        Wait::Down => delay_loop,
    }
}
