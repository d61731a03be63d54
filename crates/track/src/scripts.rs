//! When the program of each `vrrp_script` runs, and what its results mean.
//!
//! A run starts every `interval`, and never while the one before goes on. A result counts when the program
//! ends, and a failure as soon as its `timeout` is over. The first result decides; later ones need `rise`
//! passes or `fall` failures in a row. A run that this host could not make counts for neither.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kr_model::script::ScriptOutcome;
use kr_model::track::{ScriptTracker, TrackerState};
use kr_model::{Instant, ScriptId, TrackerId};
use serde::{Deserialize, Serialize};

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptInput {
    /// A configuration comes into force. Scripts that go on keep their state, their run and its time.
    Configure(BTreeMap<TrackerId, ScriptTracker>),
    /// A run ended, or could not be started.
    Ended {
        /// Whose run.
        tracker: TrackerId,
        /// Its number.
        run: u64,
        /// How it ended.
        outcome: ScriptOutcome,
    },
    /// The time of [`Scripts::poll_timeout`] has come.
    Timer,
    /// This process, and what it started, lacked the processor for so long: runs have as much more time.
    Stalled(Duration),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptAction {
    /// Start the program, and end it when it takes longer than this.
    Start {
        /// Whose run.
        tracker: TrackerId,
        /// The number to give back.
        run: u64,
        /// The program.
        script: ScriptId,
        /// How long it may take.
        timeout: Duration,
    },
    /// The state changed.
    Changed {
        /// Whose state.
        tracker: TrackerId,
        /// The new one.
        state: TrackerState,
        /// The result that made it.
        outcome: ScriptOutcome,
    },
}

/// All tracked scripts.
#[derive(Debug, Default)]
pub struct Scripts {
    entries: BTreeMap<TrackerId, Entry>,
    timers: BTreeSet<(Instant, TrackerId)>,
    actions: VecDeque<ScriptAction>,
    last_run: u64,
}

#[derive(Debug)]
struct Entry {
    config: ScriptTracker,
    verdict: Verdict,
    /// When the next run starts, if none goes on.
    next_at: Instant,
    run: Option<Run>,
    /// The entry in `timers`.
    timer: Option<Instant>,
}

/// What a successor of this program needs to go on with the scripts where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedScripts {
    entries: BTreeMap<TrackerId, (Verdict, Instant, Option<Run>)>,
    last_run: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    number: u64,
    /// When it has failed; `None` when it has.
    late_at: Option<Instant>,
}

/// What the results so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Unknown,
    Good { failures: u32 },
    Bad { passes: u32 },
}

impl Verdict {
    const fn state(self) -> TrackerState {
        match self {
            Self::Unknown => TrackerState::Pending,
            Self::Good { .. } => TrackerState::Up,
            Self::Bad { .. } => TrackerState::Down,
        }
    }

    fn after(self, passed: bool, config: &ScriptTracker) -> Self {
        const GOOD: Verdict = Verdict::Good { failures: 0 };
        const BAD: Verdict = Verdict::Bad { passes: 0 };
        match (self, passed) {
            (Self::Unknown | Self::Good { .. }, true) => GOOD,
            (Self::Unknown | Self::Bad { .. }, false) => BAD,
            (Self::Good { failures }, false) => match failures.saturating_add(1) {
                failures if failures >= config.fall => BAD,
                failures => Self::Good { failures },
            },
            (Self::Bad { passes }, true) => match passes.saturating_add(1) {
                passes if passes >= config.rise => GOOD,
                passes => Self::Bad { passes },
            },
        }
    }
}

impl Entry {
    fn new(config: ScriptTracker, now: Instant) -> Self {
        let verdict = if config.init_fail {
            Verdict::Bad { passes: 0 }
        } else {
            Verdict::Unknown
        };
        Self {
            config,
            verdict,
            next_at: now,
            run: None,
            timer: None,
        }
    }

    /// A changed interval counts from the start of the last run.
    fn adopt(&mut self, config: ScriptTracker, now: Instant) {
        if config.interval != self.config.interval {
            let started = self.next_at.saturating_sub(self.config.interval);
            self.next_at = started.saturating_add(config.interval).max(now);
        }
        self.config = config;
    }

    fn due(&self) -> Option<Instant> {
        match &self.run {
            Some(run) => run.late_at,
            None => Some(self.next_at),
        }
    }
}

impl Scripts {
    /// Takes an input. Poll actions and timeout afterwards.
    pub fn handle(&mut self, input: ScriptInput, now: Instant) {
        match input {
            ScriptInput::Configure(new) => self.configure(new, now),
            ScriptInput::Ended {
                tracker,
                run,
                outcome,
            } => self.ended(tracker, run, outcome, now),
            ScriptInput::Timer => self.timer(now),
            ScriptInput::Stalled(time) => self.stalled(time),
        }
    }

    /// The next thing to do, until `None`. Poll after each [`Self::handle`].
    pub fn poll_action(&mut self) -> Option<ScriptAction> {
        self.actions.pop_front()
    }

    /// When to give [`ScriptInput::Timer`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// State of a script.
    #[must_use]
    pub fn state(&self, id: TrackerId) -> TrackerState {
        let entry = self.entries.get(&id);
        entry.map_or(TrackerState::Pending, |entry| entry.verdict.state())
    }

    /// True for a script of the configuration.
    #[must_use]
    pub fn contains(&self, id: TrackerId) -> bool {
        self.entries.contains_key(&id)
    }

    /// State, run and time of each script. Actions must have been polled.
    #[must_use]
    pub fn hand_over(&self) -> HandedScripts {
        let entries = self.entries.iter();
        HandedScripts {
            entries: entries
                .map(|(id, entry)| (*id, (entry.verdict, entry.next_at, entry.run)))
                .collect(),
            last_run: self.last_run,
        }
    }

    /// Goes on where a predecessor was; to be followed by [`ScriptInput::Configure`] with the same
    /// configuration.
    pub fn take_over(
        &mut self,
        handed: &HandedScripts,
        configuration: &BTreeMap<TrackerId, ScriptTracker>,
    ) {
        self.last_run = handed.last_run;
        for (id, (verdict, next_at, run)) in &handed.entries {
            if let Some(config) = configuration.get(id) {
                let entry = Entry {
                    config: config.clone(),
                    verdict: *verdict,
                    next_at: *next_at,
                    run: *run,
                    timer: None,
                };
                self.entries.insert(*id, entry);
            }
        }
    }

    fn configure(&mut self, new: BTreeMap<TrackerId, ScriptTracker>, now: Instant) {
        let mut old = std::mem::take(&mut self.entries);
        self.timers.clear();
        for (id, config) in new {
            let entry = match old.remove(&id) {
                Some(mut entry) => {
                    entry.adopt(config, now);
                    entry.timer = None;
                    entry
                }
                None => Entry::new(config, now),
            };
            self.entries.insert(id, entry);
            self.move_timer(id);
        }
        self.timer(now);
    }

    fn ended(&mut self, id: TrackerId, run: u64, outcome: ScriptOutcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Some(ended) = entry.run.take_if(|known| known.number == run) else {
            return;
        };
        if entry.next_at < now {
            // The next full interval: starts are not made up for.
            entry.next_at = next_start(entry.next_at, entry.config.interval, now);
        }
        if ended.late_at.is_some() {
            self.judge(id, outcome);
        }
        self.move_timer(id);
    }

    fn timer(&mut self, now: Instant) {
        let due = self.timers.iter().take_while(|(at, _)| *at <= now);
        for id in due.map(|(_, id)| *id).collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            match &mut entry.run {
                Some(run) => {
                    run.late_at = None;
                    self.judge(id, ScriptOutcome::TimedOut);
                }
                None => self.start(id, now),
            }
            self.move_timer(id);
        }
    }

    fn stalled(&mut self, time: Duration) {
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            if let Some(Entry { run: Some(run), .. }) = self.entries.get_mut(&id) {
                run.late_at = run.late_at.map(|at| at.saturating_add(time));
                self.move_timer(id);
            }
        }
    }

    fn start(&mut self, id: TrackerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.last_run = self.last_run.saturating_add(1);
        let next = entry.next_at.saturating_add(entry.config.interval);
        entry.next_at = if next > now {
            next
        } else {
            now.saturating_add(entry.config.interval)
        };
        entry.run = Some(Run {
            number: self.last_run,
            late_at: Some(now.saturating_add(entry.config.timeout)),
        });
        self.actions.push_back(ScriptAction::Start {
            tracker: id,
            run: self.last_run,
            script: entry.config.script,
            timeout: entry.config.timeout,
        });
    }

    fn judge(&mut self, id: TrackerId, outcome: ScriptOutcome) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if outcome == ScriptOutcome::NotTried {
            return;
        }
        let before = entry.verdict.state();
        let passed = outcome == ScriptOutcome::Exit(0);
        entry.verdict = entry.verdict.after(passed, &entry.config);
        let state = entry.verdict.state();
        if state != before {
            self.actions.push_back(ScriptAction::Changed {
                tracker: id,
                state,
                outcome,
            });
        }
    }

    fn move_timer(&mut self, id: TrackerId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let next = entry.due();
        if let Some(old) = std::mem::replace(&mut entry.timer, next) {
            self.timers.remove(&(old, id));
        }
        self.timers.extend(next.map(|at| (at, id)));
    }
}

/// The first of the times `planned`, `planned + interval`, ... that is not before `now`.
fn next_start(planned: Instant, interval: Duration, now: Instant) -> Instant {
    let step = interval.as_micros().max(1);
    let missed = now.since(planned).as_micros().div_ceil(step);
    let ahead = missed.saturating_mul(step);
    planned.saturating_add(Duration::from_micros(
        u64::try_from(ahead).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests;
