//! When each checker runs, and what its results mean. The checker process feeds it results and carries
//! out its actions.
//!
//! * The first run of a checker comes 1 s plus a random part of `warmup` after it was configured.
//! * `MISC_CHECK` keeps a fixed rate from the start of one run to the start of the next; every other
//!   check waits from the end of an attempt.
//! * An attempt at an `SMTP_CHECK` talks to every host in turn and passes when all do.
//! * A fault of this host ([`Outcome::Unable`]) is no result: tried again after `delay_loop`.
//! * At most `limit` attempts run at a time. Whoever is due first starts first, so overload makes every
//!   check later by the same amount instead of starving some.
//! * A checker whose id is in the next configuration too keeps its health and its due time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use kr_model::check::{
    Checker, CheckerSnapshot, Connection, HttpVersion, Probe, Timing, TlsOptions, Url,
};
use kr_model::lvs::Verdict;
use kr_model::script::ScriptOutcome;
use kr_model::units::Weight;
use kr_model::{CheckerId, Generation, Instant};

use crate::health::{Effect, Health, Wait};
use crate::outcome::{Failure, LocalFault, Outcome};
use crate::rng::Rng;

/// The fixed part of the time before a first run.
const FIRST_RUN: Duration = Duration::from_secs(1);

/// The parent ends a program at `misc_timeout`, which may take it some seconds. An outcome that is not
/// there so long after that counts as a time-out, so that a lost answer stops no checker.
const ANSWER_GRACE: Duration = Duration::from_secs(15);

/// What happens to the machine.
#[derive(Debug)]
pub enum Input {
    /// A configuration is complete.
    Configure(Configuration),
    /// A network attempt ended.
    Finished {
        /// The checker.
        checker: CheckerId,
        /// The run of [`Action::Start`].
        run: u64,
        /// How.
        outcome: Outcome,
    },
    /// A program ended.
    ScriptEnded {
        /// The checker.
        checker: CheckerId,
        /// The run of [`Action::RunScript`].
        run: u64,
        /// How.
        outcome: ScriptOutcome,
    },
    /// Say the verdict of every checker that has one: somebody new listens.
    Announce,
    /// Time has passed.
    Tick,
}

/// Every checker there is from now on. Checkers have at least one url or host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Its number.
    pub generation: Generation,
    /// The checkers.
    pub checkers: Vec<Checker>,
    /// What a predecessor of this process knew of them.
    pub resume: Vec<CheckerSnapshot>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the attempt that [`Checks::attempt`] describes.
    Start {
        /// The checker.
        checker: CheckerId,
        /// To be given back with the outcome.
        run: u64,
    },
    /// Have the parent run the program of this checker.
    RunScript {
        /// The checker.
        checker: CheckerId,
        /// To be given back with the outcome.
        run: u64,
    },
    /// Drop this attempt; its outcome is of no interest.
    Cancel {
        /// The run.
        run: u64,
    },
    /// Tell the IPVS process.
    Verdict {
        /// Configuration in force.
        generation: Generation,
        /// The verdict.
        verdict: Verdict,
    },
    /// Tell the parent, for a successor.
    Snapshot(CheckerSnapshot),
    /// Tell the operator.
    Log {
        /// The checker.
        checker: CheckerId,
        /// What happened.
        event: Event,
    },
}

/// What an operator is told of a checker. The text follows the checker's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It passed for the first time, or again.
    Up {
        /// It was down before.
        recovered: bool,
    },
    /// It went down.
    Down(Failure),
    /// It failed while up and is tried again (`log_all_failures`).
    Retrying {
        /// Why.
        failure: Failure,
        /// Further attempts before it goes down.
        left: u32,
    },
    /// It failed again while down (`log_all_failures`).
    StillDown(Failure),
    /// Its program asks for another weight; `None` is the configured one.
    Weight(Option<Weight>),
    /// This host cannot try it. Said once per reason.
    Unable(LocalFault),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { recovered: true } => f.write_str("succeeded; now up"),
            Self::Up { recovered: false } => f.write_str("succeeded"),
            Self::Down(failure) => write!(f, "failed: {failure}; now down"),
            Self::Retrying { failure, left } => write!(f, "failed: {failure}; {left} retries left"),
            Self::StillDown(failure) => write!(f, "failed: {failure}; still down"),
            Self::Weight(Some(weight)) => write!(f, "asks for weight {weight}"),
            Self::Weight(None) => f.write_str("asks for the configured weight"),
            Self::Unable(fault) => {
                write!(f, "was not tried: {fault}; the state of the server is kept")
            }
        }
    }
}

/// One network attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Connect only.
    Tcp(&'a Connection),
    /// Fetch a page.
    Http {
        /// Where.
        connection: &'a Connection,
        /// TLS, for `SSL_GET`.
        tls: Option<&'a TlsOptions>,
        /// `http_protocol`.
        version: HttpVersion,
        /// The page.
        url: &'a Url,
    },
    /// Talk to a mail server.
    Smtp {
        /// Where.
        connection: &'a Connection,
        /// `helo_name`.
        helo: &'a str,
    },
}

impl<'a> Attempt<'a> {
    /// How to reach the server.
    #[must_use]
    pub const fn connection(&self) -> &'a Connection {
        match self {
            Self::Tcp(connection)
            | Self::Http { connection, .. }
            | Self::Smtp { connection, .. } => connection,
        }
    }
}

/// The machine. After every [`handle`](Self::handle): [`poll_action`](Self::poll_action) until it is
/// empty, then sleep until [`poll_timeout`](Self::poll_timeout) and hand in [`Input::Tick`].
#[derive(Debug)]
pub struct Checks {
    generation: Generation,
    entries: BTreeMap<CheckerId, Entry>,
    due: BTreeSet<(Instant, CheckerId)>,
    answers: BTreeSet<(Instant, CheckerId)>,
    running: usize,
    limit: usize,
    rng: Rng,
    next_run: u64,
    configured: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Entry {
    config: Checker,
    health: Health,
    weight: Option<Weight>,
    attempts: u64,
    failed_attempts: u64,
    slot: Slot,
    published: Option<(Health, Option<Weight>)>,
    fault: Option<LocalFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Waiting(Instant),
    Running {
        run: u64,
        started: Instant,
        /// Which host of an `SMTP_CHECK`.
        host: u16,
        /// By when the parent must have said how the program ended.
        answer_by: Option<Instant>,
    },
}

impl Checks {
    /// A machine without checkers, which runs at most `limit` (at least one) attempts at a time.
    #[must_use]
    pub fn new(limit: usize, rng: Rng) -> Self {
        Self {
            generation: Generation(0),
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            answers: BTreeSet::new(),
            running: 0,
            limit: limit.max(1),
            rng,
            next_run: 0,
            configured: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes an input. A result of a run that is not the current one of its checker is ignored: the run
    /// was cancelled or belongs to a predecessor of this process.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Configure(configuration) => self.configure(configuration, now),
            Input::Finished {
                checker,
                run,
                outcome,
            } => {
                if self.is_current(checker, run) {
                    self.network_result(checker, outcome, now);
                }
            }
            Input::ScriptEnded {
                checker,
                run,
                outcome,
            } => {
                if self.is_current(checker, run) {
                    self.script_result(checker, outcome, now);
                }
            }
            Input::Announce => self.announce(),
            Input::Tick => {}
        }
        self.expire_answers(now);
        self.start_due(now);
    }

    /// The next thing to do; poll until `None` after every input.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Tick`] is due. Changes with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self
            .due
            .first()
            .filter(|_| self.running < self.limit)
            .map(|(at, _)| *at);
        let answer = self.answers.first().map(|(at, _)| *at);
        match (due, answer) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// What the current run of a checker consists of; `None` when it runs no network attempt.
    #[must_use]
    pub fn attempt(&self, checker: CheckerId) -> Option<Attempt<'_>> {
        let entry = self.entries.get(&checker)?;
        let Slot::Running { host, .. } = entry.slot else {
            return None;
        };
        match &entry.config.probe {
            Probe::Tcp(connection) => Some(Attempt::Tcp(connection)),
            Probe::Http(http) => Some(Attempt::Http {
                connection: &http.connection,
                tls: http.tls.as_ref(),
                version: http.version,
                url: http.urls.get(usize::from(entry.health.step))?,
            }),
            Probe::Smtp { helo, hosts } => Some(Attempt::Smtp {
                connection: hosts.get(usize::from(host))?,
                helo,
            }),
            Probe::Misc { .. } => None,
        }
    }

    /// The configuration of a checker.
    #[must_use]
    pub fn checker(&self, checker: CheckerId) -> Option<&Checker> {
        self.entries.get(&checker).map(|entry| &entry.config)
    }

    fn is_current(&self, checker: CheckerId, run: u64) -> bool {
        self.entries.get(&checker).is_some_and(
            |entry| matches!(entry.slot, Slot::Running { run: current, .. } if current == run),
        )
    }

    fn configure(&mut self, configuration: Configuration, now: Instant) {
        if !self.configured {
            // A predecessor may have asked the parent for programs that end only now: numbers that
            // start from the clock cannot meet its numbers.
            self.next_run = now.as_micros();
        }
        let at_start = !self.configured;
        self.configured = true;
        self.generation = configuration.generation;
        let resume: BTreeMap<CheckerId, CheckerSnapshot> = configuration
            .resume
            .into_iter()
            .map(|snapshot| (snapshot.id, snapshot))
            .collect();
        let mut old = std::mem::take(&mut self.entries);
        for config in configuration.checkers {
            let id = config.id;
            let entry = match old.remove(&id) {
                Some(entry) => self.kept(entry, config, now),
                None => {
                    let first_wait = FIRST_RUN.saturating_add(self.rng.below(config.timing.warmup));
                    let at = now.saturating_add(first_wait);
                    let entry = match resume.get(&id) {
                        Some(snapshot) => Entry::resumed(config, snapshot, now, at),
                        None => Entry::new(config, at_start, at),
                    };
                    self.due.insert((entry.due_at(now), id));
                    entry
                }
            };
            self.entries.insert(id, entry);
        }
        for (id, entry) in old {
            self.forget(id, entry.slot);
        }
    }

    /// Fits an entry to its new configuration. When it does something else now, what runs is dropped
    /// and it runs at once.
    fn kept(&mut self, mut entry: Entry, config: Checker, now: Instant) -> Entry {
        if entry.config.probe != config.probe {
            self.forget(config.id, entry.slot);
            entry.slot = Slot::Waiting(now);
            self.due.insert((now, config.id));
        }
        entry.health = entry
            .health
            .fitted(config.timing.retry, steps(&config.probe));
        entry.config = config;
        entry
    }

    /// Takes a checker out of the tables of times, and drops what it runs.
    fn forget(&mut self, id: CheckerId, slot: Slot) {
        match slot {
            Slot::Waiting(at) => {
                self.due.remove(&(at, id));
            }
            Slot::Running { run, answer_by, .. } => {
                self.running = self.running.saturating_sub(1);
                if let Some(at) = answer_by {
                    self.answers.remove(&(at, id));
                }
                self.actions.push_back(Action::Cancel { run });
            }
        }
    }

    fn announce(&mut self) {
        for entry in self.entries.values().filter(|entry| entry.health.has_run) {
            self.actions.push_back(Action::Verdict {
                generation: self.generation,
                verdict: entry.verdict(),
            });
        }
    }

    fn start_due(&mut self, now: Instant) {
        while self.running < self.limit {
            let Some(&(at, id)) = self.due.first() else {
                return;
            };
            if at > now {
                return;
            }
            self.due.remove(&(at, id));
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let run = self.next_run;
            self.next_run = self.next_run.wrapping_add(1);
            self.running = self.running.saturating_add(1);
            entry.attempts = entry.attempts.saturating_add(1);
            let (action, answer_by) = match &entry.config.probe {
                Probe::Misc { timeout, .. } => {
                    let by = now.saturating_add(timeout.saturating_add(ANSWER_GRACE));
                    self.answers.insert((by, id));
                    (Action::RunScript { checker: id, run }, Some(by))
                }
                Probe::Tcp(_) | Probe::Http(_) | Probe::Smtp { .. } => {
                    (Action::Start { checker: id, run }, None)
                }
            };
            entry.slot = Slot::Running {
                run,
                started: now,
                host: 0,
                answer_by,
            };
            self.actions.push_back(action);
        }
    }

    fn expire_answers(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.answers.first() {
            if at > now {
                return;
            }
            self.script_result(id, ScriptOutcome::TimedOut, now);
            self.answers.remove(&(at, id));
        }
    }

    fn network_result(&mut self, id: CheckerId, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let (Outcome::Passed, Probe::Smtp { hosts, .. }, Slot::Running { run, host, .. }) =
            (&outcome, &entry.config.probe, &mut entry.slot)
        {
            let next = host.saturating_add(1);
            if usize::from(next) < hosts.len() {
                *host = next;
                self.actions.push_back(Action::Start {
                    checker: id,
                    run: *run,
                });
                return;
            }
        }
        match outcome {
            Outcome::Passed => self.result(id, Ok(None), now),
            Outcome::Failed(failure) => self.result(id, Err(failure), now),
            Outcome::Unable(fault) => self.unable(id, fault, now),
        }
    }

    fn script_result(&mut self, id: CheckerId, outcome: ScriptOutcome, now: Instant) {
        let Some(Probe::Misc { dynamic, timeout }) = self
            .entries
            .get(&id)
            .map(|entry| entry.config.probe.clone())
        else {
            return;
        };
        let result = match outcome {
            ScriptOutcome::Exit(0) => Ok(None),
            ScriptOutcome::Exit(code @ 2..) if dynamic => {
                Ok(Weight::try_from(u64::from(code.saturating_sub(2))).ok())
            }
            ScriptOutcome::Exit(code) => Err(Failure::Exit(code)),
            ScriptOutcome::Signal(number) => Err(Failure::Signal(number)),
            ScriptOutcome::TimedOut => Err(Failure::ScriptTimeout(timeout)),
            ScriptOutcome::NotStarted => Err(Failure::NotStarted),
        };
        self.result(id, result, now);
    }

    /// This host could not try: the health stays as it is.
    fn unable(&mut self, id: CheckerId, fault: LocalFault, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if entry.fault.as_ref() != Some(&fault) {
            self.actions.push_back(Action::Log {
                checker: id,
                event: Event::Unable(fault.clone()),
            });
            entry.fault = Some(fault);
        }
        let delay = entry.config.timing.delay_loop;
        self.wait(id, delay, now);
    }

    fn result(&mut self, id: CheckerId, result: Result<Option<Weight>, Failure>, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let was = entry.health;
        entry.fault = None;
        let effect = match &result {
            Ok(_) => entry.health.pass(steps(&entry.config.probe)),
            Err(_) => {
                entry.failed_attempts = entry.failed_attempts.saturating_add(1);
                entry.health.fail(entry.config.timing.retry)
            }
        };
        // A failure that is retried keeps the weight; going down drops it.
        let weight = match &result {
            Ok(weight) => *weight,
            Err(_) if entry.health.up => entry.weight,
            Err(_) => None,
        };
        let weight_changed = weight != entry.weight;
        entry.weight = weight;
        let delay = delay(&entry.config, effect);
        let log_all = entry.config.log_all_failures;
        let left = entry
            .config
            .timing
            .retry
            .saturating_add(1)
            .saturating_sub(entry.health.failures);
        let health = entry.health;
        if effect.news || (weight_changed && health.has_run) {
            self.actions.push_back(Action::Verdict {
                generation: self.generation,
                verdict: entry.verdict(),
            });
        }
        let event = match result {
            Ok(_) if effect.news => Some(Event::Up {
                recovered: !was.up && was.has_run,
            }),
            Ok(_) => weight_changed.then_some(Event::Weight(weight)),
            Err(failure) if effect.news => Some(Event::Down(failure)),
            Err(failure) if log_all && health.up => Some(Event::Retrying { failure, left }),
            Err(failure) if log_all => Some(Event::StillDown(failure)),
            Err(_) => None,
        };
        if let Some(event) = event {
            self.actions.push_back(Action::Log { checker: id, event });
        }
        self.wait(id, delay, now);
        self.publish(id, now);
    }

    /// Ends the current run and sets the next: `delay` from its end, or from its start for programs.
    fn wait(&mut self, id: CheckerId, delay: Duration, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Slot::Running {
            started, answer_by, ..
        } = entry.slot
        else {
            return;
        };
        self.running = self.running.saturating_sub(1);
        let soonest = now.saturating_add(Duration::from_micros(1));
        let at = match answer_by {
            Some(by) => {
                self.answers.remove(&(by, id));
                started.saturating_add(delay).max(soonest)
            }
            None => now.saturating_add(delay).max(soonest),
        };
        entry.slot = Slot::Waiting(at);
        self.due.insert((at, id));
    }

    /// Publishes what a successor needs, when it is not what it already has.
    fn publish(&mut self, id: CheckerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let essence = (entry.health, entry.weight);
        if entry.published != Some(essence) {
            entry.published = Some(essence);
            self.actions
                .push_back(Action::Snapshot(entry.snapshot(now)));
        }
    }
}

impl Entry {
    const fn new(config: Checker, at_start: bool, at: Instant) -> Self {
        Self {
            health: Health::new(config.alpha, config.timing.retry, at_start),
            config,
            weight: None,
            attempts: 0,
            failed_attempts: 0,
            slot: Slot::Waiting(at),
            published: None,
            fault: None,
        }
    }

    /// Carries on where a predecessor ended. `first` is when the checker would run were it new: a due
    /// time beyond that and beyond its own delays cannot be right.
    fn resumed(config: Checker, snapshot: &CheckerSnapshot, now: Instant, first: Instant) -> Self {
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
            slot: Slot::Waiting(at),
            published: Some((health, snapshot.weight)),
            fault: None,
            config,
        }
    }

    const fn verdict(&self) -> Verdict {
        Verdict {
            checker: self.config.id,
            up: self.health.up,
            weight: self.weight,
        }
    }

    const fn due_at(&self, now: Instant) -> Instant {
        match self.slot {
            Slot::Waiting(at) => at,
            Slot::Running { .. } => now,
        }
    }

    const fn snapshot(&self, now: Instant) -> CheckerSnapshot {
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
fn next_in_step(from: Instant, period: Duration, now: Instant) -> Instant {
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
fn steps(probe: &Probe) -> u16 {
    match probe {
        Probe::Http(http) => u16::try_from(http.urls.len()).unwrap_or(u16::MAX),
        Probe::Tcp(_) | Probe::Smtp { .. } | Probe::Misc { .. } => 1,
    }
}

fn delay(config: &Checker, effect: Effect) -> Duration {
    let Timing {
        delay_loop,
        delay_before_retry,
        ..
    } = config.timing;
    let http = match &config.probe {
        Probe::Http(http) => Some(http),
        Probe::Tcp(_) | Probe::Smtp { .. } | Probe::Misc { .. } => None,
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

#[cfg(test)]
mod tests;
