//! Whether a child still turns its loop: the parent asks every quarter of a second, one question at a time.
//! Pure.
//!
//! On a host that is short of processor time, or was halted as a whole, the parent itself is late. Time
//! that it wanted to sleep counts against a child; time beyond that, and time in which the parent worked,
//! does not, for the child may have lacked the processor then too.

use std::time::Duration;

use kr_model::Instant;
use serde::{Deserialize, Serialize};

/// Less than this is the work of a turn, and nobody's stall.
const STALL: Duration = Duration::from_millis(100);

/// A stall that people are told of.
const LONG_STALL: Duration = Duration::from_secs(1);

/// Time between two such lines of the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Time between two questions.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// A child answered a question that was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StrayPong;

/// Questions to one child.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    asked: u64,
    /// Since the question that is not answered yet.
    silence: Option<Duration>,
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
    /// The next question is due.
    pub(crate) ping_is_due: bool,
}

/// The parent's own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    slept_at: Instant,
    planned: Instant,
    next_at: Instant,
    woke_at: Instant,
    told_at: Option<Instant>,
}

impl Pace {
    /// Questions begin at once.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            slept_at: now,
            planned: now,
            next_at: now,
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
        let ping_is_due = now >= self.next_at;
        if ping_is_due {
            self.next_at = now.saturating_add(PERIOD);
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
            ping_is_due,
        }
    }

    /// When the next question is due.
    pub(crate) const fn poll_timeout(&self) -> Instant {
        self.next_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One turn of the loop: sleeps from `from`, and is woken at `to`.
    fn turn(pace: &mut Pace, heartbeat: &mut Heartbeat, from: u64, to: u64) {
        pace.sleep(at(from), pace.poll_timeout());
        let beat = pace.woke(at(to));
        heartbeat.pass(beat.passed);
        if beat.ping_is_due {
            heartbeat.ping();
        }
    }

    #[test]
    fn silence_grows_until_the_answer_comes() {
        let (mut pace, mut heartbeat) = (Pace::new(at(0)), Heartbeat::default());
        for step in 0..4 {
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
}
