//! Up or down: what one result does to a checker. No timers here, only how long to wait
//! ([`Wait`]); [`crate::Checks`] turns that into due times.
//!
//! The same rules hold for every kind of check:
//! * A checker goes down after `retry` + 1 failures in a row, and comes up with one success.
//! * A checker that the daemon starts with is taken as up (unless `alpha`), but one single failure
//!   before its first success takes it down: its retries count as used. keepalived does the same,
//!   except for SMTP_CHECK, which is treated like the others here.
//! * A checker that is down is tried every `delay_loop`, without retries.
//! * With several urls, each success moves on to the next url. Coming up needs one success of every
//!   url in turn. The url that took the checker down is tried alone until it works; then all are tried
//!   from the first (its own success counts when it is the first, or the only one). A url that fails on
//!   the way up is tried again every `delay_before_retry`.

/// What is known of a checker's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Healthy, or taken as healthy.
    pub up: bool,
    /// A result was reached since the checker was configured.
    pub has_run: bool,
    /// Failures in a row while up.
    pub failures: u32,
    /// The url to try next.
    pub step: u16,
    /// Urls passed in a row on the way to the first result or to recovery; none otherwise.
    pub passed: u16,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// `delay_loop`.
    Loop,
    /// `delay_before_retry`.
    Retry,
    /// Between two urls on the way up: nothing with `fast_recovery`, else `delay_loop`.
    NextStep,
    /// After a failure that leaves the checker down.
    Down,
}

/// What a result did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The verdict is new or has changed.
    pub news: bool,
    /// Until the next attempt.
    pub wait: Wait,
}

impl Health {
    /// A checker that the daemon starts with (`at_start`) or that a reload brings.
    #[must_use]
    pub const fn new(alpha: bool, retry: u32, at_start: bool) -> Self {
        Self {
            up: !alpha,
            has_run: false,
            failures: if at_start && !alpha { retry } else { 0 },
            step: 0,
            passed: 0,
        }
    }

    /// Fits a health that was kept from an earlier configuration to new settings.
    #[must_use]
    pub fn fitted(self, retry: u32, steps: u16) -> Self {
        let step_exists = self.step < steps;
        Self {
            failures: self.failures.min(retry),
            step: if step_exists { self.step } else { 0 },
            passed: if step_exists && self.passed < steps {
                self.passed
            } else {
                0
            },
            ..self
        }
    }

    /// An attempt at `self.step` of `steps` urls passed.
    pub const fn pass(&mut self, steps: u16) -> Effect {
        self.failures = 0;
        let next = if self.step.saturating_add(1) < steps {
            self.step.saturating_add(1)
        } else {
            0
        };
        if self.up && self.has_run {
            self.step = next;
            return Effect {
                news: false,
                wait: Wait::Loop,
            };
        }
        if !self.up && self.passed == 0 && self.step != 0 {
            self.step = 0;
            return Effect {
                news: false,
                wait: Wait::NextStep,
            };
        }
        self.step = next;
        self.passed = self.passed.saturating_add(1);
        if self.passed < steps {
            return Effect {
                news: false,
                wait: Wait::NextStep,
            };
        }
        self.up = true;
        self.has_run = true;
        self.passed = 0;
        Effect {
            news: true,
            wait: Wait::Loop,
        }
    }

    /// An attempt failed.
    pub const fn fail(&mut self, retry: u32) -> Effect {
        if self.up && self.failures < retry {
            self.failures = self.failures.saturating_add(1);
            return Effect {
                news: false,
                wait: Wait::Retry,
            };
        }
        if !self.up && self.has_run {
            let wait = if self.passed > 0 {
                Wait::Retry
            } else {
                Wait::Down
            };
            return Effect { news: false, wait };
        }
        self.up = false;
        self.has_run = true;
        self.failures = 0;
        self.passed = 0;
        Effect {
            news: true,
            wait: Wait::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs results (`+` pass, `-` fail) and writes one word per result: the wait, with `UP` or `DOWN`
    /// in front when there is news.
    fn run(health: &mut Health, retry: u32, steps: u16, results: &str) -> String {
        let mut words = Vec::new();
        for result in results.chars() {
            let effect = if result == '+' {
                health.pass(steps)
            } else {
                health.fail(retry)
            };
            let news = match (effect.news, health.up) {
                (false, _) => "",
                (true, true) => "UP ",
                (true, false) => "DOWN ",
            };
            words.push(format!("{news}{:?}@{}", effect.wait, health.step));
        }
        words.join(", ")
    }

    #[test]
    fn one_failure_before_the_first_success_takes_a_server_down_at_start() {
        let mut health = Health::new(false, 3, true);
        assert_eq!(run(&mut health, 3, 1, "--"), "DOWN Down@0, Down@0");
        assert_eq!(run(&mut health, 3, 1, "++"), "UP Loop@0, Loop@0");
    }

    #[test]
    fn a_checker_that_is_up_goes_down_after_retry_plus_one_failures() {
        let mut health = Health::new(false, 2, true);
        assert_eq!(
            run(&mut health, 2, 1, "+--+---"),
            "UP Loop@0, Retry@0, Retry@0, Loop@0, Retry@0, Retry@0, DOWN Down@0"
        );
    }

    #[test]
    fn a_checker_that_a_reload_brings_has_all_its_retries() {
        let mut health = Health::new(false, 1, false);
        assert_eq!(run(&mut health, 1, 1, "--"), "Retry@0, DOWN Down@0");
    }

    #[test]
    fn alpha_is_down_and_says_so_after_the_first_failure() {
        let mut health = Health::new(true, 5, true);
        assert!(!health.up);
        assert_eq!(
            run(&mut health, 5, 1, "--+"),
            "DOWN Down@0, Down@0, UP Loop@0"
        );
    }

    #[test]
    fn several_urls_take_turns_and_the_first_result_needs_all() {
        let mut health = Health::new(true, 0, true);
        assert_eq!(
            run(&mut health, 0, 3, "+++++"),
            "NextStep@1, NextStep@2, UP Loop@0, Loop@1, Loop@2"
        );
    }

    #[test]
    fn the_failing_url_is_tried_alone_then_all_from_the_first() {
        let mut health = Health::new(false, 0, true);
        assert_eq!(
            run(&mut health, 0, 3, "+++++---"),
            "NextStep@1, NextStep@2, UP Loop@0, Loop@1, Loop@2, DOWN Down@2, Down@2, Down@2"
        );
        // Works again; then url 0 passes, url 1 fails once and is tried in place.
        assert_eq!(
            run(&mut health, 0, 3, "++-++"),
            "NextStep@0, NextStep@1, Retry@1, NextStep@2, UP Loop@0"
        );
    }

    #[test]
    fn a_health_kept_over_a_reload_fits_the_new_settings() {
        let health = Health {
            up: false,
            has_run: true,
            failures: 5,
            step: 4,
            passed: 3,
        };
        let fitted = health.fitted(2, 2);
        assert_eq!((fitted.failures, fitted.step, fitted.passed), (2, 0, 0));
        assert_eq!(health.fitted(9, 5), health);
    }
}
