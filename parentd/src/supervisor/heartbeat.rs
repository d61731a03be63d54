//! Whether a child still turns its loop: the parent asks it again and again, one question at a time. Pure.
//!
//! On a host that is short of processor time, or was halted as a whole, the parent itself is late. Time
//! that it wanted to sleep counts against a child; time beyond that, and time in which the parent worked,
//! does not, for the child may have lacked the processor then too. The later the parent was of late, the longer
//! a child may take, as far as its successor would still be in time; and further when its predecessor was replaced
//! for silence a moment ago, so that where all starve, one is not replaced by another over and over.

use std::time::Duration;

use kr_config::typed::Config;
use kr_model::Instant;
use kr_model::vrrp::Instance;
use serde::{Deserialize, Serialize};

/// Less than this is the work of a turn, and nobody's stall.
const STALL: Duration = Duration::from_millis(100);

/// A stall that people are told of.
const LONG_STALL: Duration = Duration::from_secs(1);

/// Time between two such lines of the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Time between two questions, where nothing asks for more.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// The least patience with a child: a process that only waits for its turn on a busy host is back in less.
const LEAST_PATIENCE: Duration = Duration::from_millis(60);

/// The least time between two questions.
const LEAST_PERIOD: Duration = Duration::from_millis(25);

/// The most patience with a VRRP process. Well below the master-down time with the usual interval of one second
/// (3 s and the skew).
const MOST_PATIENCE_VRRP: Duration = Duration::from_secs(1);

/// From the end of a VRRP process to the first advert of its successor.
const RESUME: Duration = Duration::from_millis(60);

/// For so long after a child was replaced for silence its successor gets all the charity there is.
const FLAPPING: Duration = Duration::from_secs(10);

/// For so long a late wake-up of the parent counts.
const MEMORY: Duration = Duration::from_secs(2);

/// So many times as late as the parent may a child be.
const CHARITY: u32 = 4;

/// How often a child is asked, and how long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cadence {
    /// Between two questions.
    pub(crate) period: Duration,
    /// The longest silence.
    pub(crate) patience: Duration,
    /// The longest silence after which a successor is still in time.
    pub(crate) limit: Duration,
}

impl Cadence {
    /// Questions at the usual pace.
    pub(crate) const fn usual(patience: Duration) -> Self {
        Self {
            period: PERIOD,
            patience,
            limit: patience,
        }
    }

    /// That of the VRRP process: finding out that it hangs, replacing it and resuming fit into the time that
    /// other routers wait for a master, also when it stopped just before an advert was due.
    pub(crate) fn of_vrrpd(config: &Config) -> Self {
        let instances = config.instances.values();
        let spare = instances.map(|entry| spare(&entry.instance)).min();
        let Some(spare) = spare else {
            return Self::usual(MOST_PATIENCE_VRRP);
        };
        let total = spare.saturating_sub(RESUME);
        let period = (total / 5).clamp(LEAST_PERIOD, PERIOD);
        let patience = (total.saturating_mul(3) / 5).clamp(LEAST_PATIENCE, MOST_PATIENCE_VRRP);
        Self {
            period,
            patience,
            limit: total.saturating_sub(period).max(patience),
        }
    }

    /// The patience when the parent was late of late, with a child whose predecessor was replaced for its
    /// silence then.
    pub(crate) fn patience_after(self, beat: Beat, replaced_at: Option<Instant>) -> Duration {
        let flaps = replaced_at.is_some_and(|at| beat.now.since(at) < FLAPPING);
        let most = if flaps {
            MOST_PATIENCE_VRRP
        } else {
            self.limit
        };
        let charity = beat.lateness.saturating_mul(CHARITY).min(most);
        self.patience.max(charity)
    }
}

/// From the moment at which an advert of this instance is due to the moment at which another router may take
/// its place, which has the same settings.
fn spare(instance: &Instance) -> Duration {
    let adverts = u32::from(instance.down_timer_adverts).saturating_sub(1);
    instance
        .advert_interval
        .as_duration()
        .saturating_mul(adverts)
}

/// A child answered a question that was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StrayPong;

/// Questions to one child.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    asked: u64,
    /// Since the question that is not answered yet.
    silence: Option<Duration>,
    /// When the next question is due; `None` is now.
    next_at: Option<Instant>,
}

impl Heartbeat {
    /// Lets time pass that counts.
    pub(crate) fn pass(&mut self, passed: Duration) {
        if let Some(silence) = &mut self.silence {
            *silence = silence.saturating_add(passed);
        }
    }

    /// The number of the next question, unless one is unanswered.
    pub(crate) fn ping(&mut self) -> Option<u64> {
        if self.silence.is_some() {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        self.silence = Some(Duration::ZERO);
        Some(self.asked)
    }

    /// The number of the next question, when one is due.
    pub(crate) fn ping_if_due(&mut self, period: Duration, now: Instant) -> Option<u64> {
        if self.next_at.is_some_and(|at| now < at) {
            return None;
        }
        self.next_at = Some(now.saturating_add(period));
        self.ping()
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// When it answers nothing that is open.
    pub(crate) fn answered(&mut self, nonce: u64) -> Result<(), StrayPong> {
        if self.silence.is_none() || nonce != self.asked {
            return Err(StrayPong);
        }
        self.silence = None;
        Ok(())
    }

    /// It said something else, which shows as well that it turns its loop: its patience begins anew.
    pub(crate) fn spoke(&mut self) {
        if let Some(silence) = &mut self.silence {
            *silence = Duration::ZERO;
        }
    }

    /// How long the open question has waited.
    pub(crate) fn silence(&self) -> Duration {
        self.silence.unwrap_or_default()
    }

    /// When the next question, or the end of the patience with an open one, is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_at
    }
}

/// What a turn of the parent's loop means for every child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Time that counts since the last turn.
    pub(crate) passed: Duration,
    /// Time that does not, for this process lacked the processor, and so may have what it started.
    pub(crate) stalled: Duration,
    /// That was long, and people have not been told for a while.
    pub(crate) is_news: bool,
    /// How late the parent was at most, of late.
    pub(crate) lateness: Duration,
    /// Now.
    pub(crate) now: Instant,
}

/// The parent's own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    slept_at: Instant,
    planned: Instant,
    /// The worst of late, and when it was.
    worst: (Duration, Instant),
    woke_at: Instant,
    told_at: Option<Instant>,
}

impl Pace {
    /// From now on.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            slept_at: now,
            planned: now,
            worst: (Duration::ZERO, now),
            woke_at: now,
            told_at: None,
        }
    }

    /// The parent goes to sleep until `planned` at the latest.
    pub(crate) const fn sleep(&mut self, now: Instant, planned: Instant) {
        self.slept_at = now;
        self.planned = planned;
    }

    /// The parent was woken.
    pub(crate) fn woke(&mut self, now: Instant) -> Beat {
        let late = now.since(self.planned);
        let (worst, at) = self.worst;
        if late >= worst || now.since(at) >= MEMORY {
            self.worst = (late, now);
        }
        let passed = now.min(self.planned).since(self.slept_at);
        let stalled = now.since(self.woke_at).saturating_sub(passed);
        self.woke_at = now;
        let stalled = if stalled < STALL {
            Duration::ZERO
        } else {
            stalled
        };
        let quiet = self.told_at.is_some_and(|at| now.since(at) < TOLD_EVERY);
        let is_news = stalled >= LONG_STALL && !quiet;
        if is_news {
            self.told_at = Some(now);
        }
        Beat {
            passed,
            stalled,
            is_news,
            lateness: self.worst.0,
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::config_with;

    const fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One turn of the loop: sleeps from `from`, and is woken at `to`.
    fn turn(pace: &mut Pace, heartbeat: &mut Heartbeat, from: u64, to: u64) -> Beat {
        let planned = heartbeat.poll_timeout().unwrap_or_else(|| at(from));
        pace.sleep(at(from), planned);
        let beat = pace.woke(at(to));
        heartbeat.pass(beat.passed);
        heartbeat.ping_if_due(PERIOD, at(to));
        beat
    }

    #[test]
    fn silence_grows_until_the_answer_comes() {
        let (mut pace, mut heartbeat) = (Pace::new(at(0)), Heartbeat::default());
        turn(&mut pace, &mut heartbeat, 0, 0);
        for step in 0..3 {
            turn(&mut pace, &mut heartbeat, step * 250, (step + 1) * 250);
        }
        assert_eq!(heartbeat.silence(), millis(750));
        assert_eq!(heartbeat.answered(1), Ok(()));
        assert_eq!(heartbeat.silence(), Duration::ZERO);
        heartbeat.pass(millis(250));
        assert_eq!(heartbeat.silence(), Duration::ZERO);
    }

    #[test]
    fn one_question_is_open_at_a_time() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.ping(), Some(1));
        assert_eq!(heartbeat.ping(), None);
        assert_eq!(heartbeat.answered(1), Ok(()));
        assert_eq!(heartbeat.ping(), Some(2));
    }

    #[test]
    fn a_child_that_was_busy_with_its_configuration_has_its_usual_time_once_that_is_in_force() {
        let mut heartbeat = Heartbeat::default();
        heartbeat.ping();
        heartbeat.pass(millis(4_000));
        heartbeat.spoke();
        assert_eq!(heartbeat.silence(), Duration::ZERO);
        // The question stays open.
        heartbeat.pass(millis(500));
        assert_eq!(heartbeat.silence(), millis(500));
        assert_eq!(heartbeat.answered(1), Ok(()));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_refused() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.answered(0), Err(StrayPong));
        heartbeat.ping();
        assert_eq!(heartbeat.answered(2), Err(StrayPong));
        assert_eq!(heartbeat.answered(1), Ok(()));
        assert_eq!(heartbeat.answered(1), Err(StrayPong));
    }

    #[test]
    fn a_parent_that_is_late_blames_no_child() {
        let (mut pace, mut heartbeat) = (Pace::new(at(0)), Heartbeat::default());
        turn(&mut pace, &mut heartbeat, 0, 0);
        // The host stood still for a minute: only what was planned counts.
        turn(&mut pace, &mut heartbeat, 0, 60_000);
        assert_eq!(heartbeat.silence(), millis(250));
        // So does the time in which the parent read a large configuration.
        turn(&mut pace, &mut heartbeat, 70_000, 70_010);
        assert_eq!(heartbeat.silence(), millis(250));
    }

    #[test]
    fn time_without_the_processor_is_told_and_the_work_of_a_turn_is_not() {
        let mut pace = Pace::new(at(0));
        pace.sleep(at(40), at(250));
        assert_eq!(pace.woke(at(255)).stalled, Duration::ZERO);
        // Late by two seconds, and one second in the midst of its work.
        pace.sleep(at(1_255), at(1_500));
        let long = pace.woke(at(3_500));
        assert_eq!((long.stalled, long.is_news), (millis(3_000), true));
        pace.sleep(at(3_500), at(3_750));
        assert_eq!(pace.woke(at(3_750)).stalled, Duration::ZERO);
        // Told once a minute at most.
        pace.sleep(at(3_750), at(4_000));
        let again = pace.woke(at(9_000));
        assert_eq!((again.stalled, again.is_news), (millis(5_000), false));
    }

    #[test]
    fn many_wakes_count_no_more_than_the_time_that_passed() {
        let (mut pace, mut heartbeat) = (Pace::new(at(0)), Heartbeat::default());
        turn(&mut pace, &mut heartbeat, 0, 0);
        for step in 0..100 {
            turn(&mut pace, &mut heartbeat, step, step + 1);
        }
        assert_eq!(heartbeat.silence(), millis(100));
    }

    #[test]
    fn patience_grows_with_the_lateness_of_the_parent_as_far_as_a_successor_is_in_time() {
        let (mut pace, mut heartbeat) = (Pace::new(at(0)), Heartbeat::default());
        let cadence = Cadence {
            period: PERIOD,
            patience: millis(100),
            limit: millis(150),
        };
        turn(&mut pace, &mut heartbeat, 0, 0);
        let late = turn(&mut pace, &mut heartbeat, 0, 330);
        assert_eq!(late.lateness, millis(80));
        assert_eq!(cadence.patience_after(late, None), millis(150));
        // Replaced a moment ago: that did not help.
        assert_eq!(cadence.patience_after(late, Some(at(200))), millis(320));
        let after = turn(&mut pace, &mut heartbeat, 330, 400);
        assert_eq!(after.lateness, millis(80));
        pace.sleep(at(2_200), at(2_400));
        let later = pace.woke(at(2_400));
        assert_eq!(cadence.patience_after(later, Some(at(200))), millis(100));
        // A host that stood still is no reason to wait for ever.
        let halted = Beat {
            lateness: millis(60_000),
            ..later
        };
        assert_eq!(
            cadence.patience_after(halted, Some(at(2_000))),
            MOST_PATIENCE_VRRP
        );
    }

    #[test]
    fn questions_to_the_vrrp_process_follow_the_shortest_interval() {
        let cadence = |interval: &str| {
            let lines = format!("version 3\n    advert_int {interval}\n    virtual_ipaddress");
            Cadence::of_vrrpd(&config_with("smtp_alert\n    virtual_ipaddress", &lines))
        };
        for (interval, period, patience, limit) in [
            ("1", 250, 1_000, 1_690),
            ("0.5", 188, 564, 752),
            ("0.3", 108, 324, 432),
            ("0.2", 68, 204, 272),
            ("0.1", 28, 84, 112),
            // The floors.
            ("0.01", 25, 60, 60),
        ] {
            let expected = Cadence {
                period: millis(period),
                patience: millis(patience),
                limit: millis(limit),
            };
            assert_eq!(cadence(interval), expected, "{interval}");
        }
        let mut nothing = config_with("", "");
        nothing.instances.clear();
        assert_eq!(
            Cadence::of_vrrpd(&nothing),
            Cadence::usual(MOST_PATIENCE_VRRP)
        );
    }
}
