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
//! * A `BFD_CHECK` and a `FILE_CHECK` never run: they follow what is said of their session or file
//!   ([`Input::Reach`], [`Input::Number`]).
//! * A checker whose id is in the next configuration too keeps its health and its due time.
//! * With `checker_share`, identical checkers run once ([`share`]).

mod entry;
mod share;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kr_model::bfd::Reach;
use kr_model::check::{Checker, CheckerSnapshot, FileVerdict, Probe};
use kr_model::rng::Rng;
use kr_model::script::ScriptOutcome;
use kr_model::units::Weight;
use kr_model::{CheckerId, Generation, Instant, TrackerId};

use crate::health::Health;
use crate::outcome::{Failure, LocalFault, LocalStep, Outcome};
use entry::{Entry, Slot, delay, next_in_step, steps};

pub use words::{
    Action, Attempt, Configuration, DatagramAttempt, Event, Input, State, StreamAttempt,
};

/// The fixed part of the time before a first run.
const FIRST_RUN: Duration = Duration::from_secs(1);

/// The parent ends a program at `misc_timeout`, which may take it some seconds. An outcome that is not
/// there so long after that counts as a time-out, so that a lost answer stops no checker.
const ANSWER_GRACE: Duration = Duration::from_secs(15);

/// Checks that are due within this time of each other start together: thousands of servers then cost
/// hundreds of wake-ups, and no check is late by more than this.
const GATHER: Duration = Duration::from_millis(5);

/// A check that waits this long for others to end is worth a log line.
const LATE: Duration = Duration::from_secs(1);

/// Pause between two such lines.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

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
    /// `checker_share`.
    share: bool,
    /// Who takes the results of whom.
    sharers: BTreeMap<CheckerId, Vec<CheckerId>>,
    /// When lateness was reported last.
    complained: Option<Instant>,
    actions: VecDeque<Action>,
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
            share: false,
            sharers: BTreeMap::new(),
            complained: None,
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
            Input::Suspend(checkers) => self.suspend(&checkers, now),
            Input::Reach { session, reach } => self.reach(session, reach, now),
            Input::Number { file, number } => self.number(file, number, now),
            Input::Tick => {}
        }
        self.expire_answers(now);
        self.start_due(now);
        self.complain(now);
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
            .map(|(at, _)| gathered(*at));
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
            Probe::Tcp(connection) => Some(Attempt::Stream(StreamAttempt::Tcp(connection))),
            Probe::Http(http) => Some(Attempt::Stream(StreamAttempt::Http {
                connection: &http.connection,
                tls: http.tls.as_ref(),
                version: http.version,
                url: http.urls.get(usize::from(entry.health.step))?,
            })),
            Probe::Smtp { helo, hosts } => Some(Attempt::Stream(StreamAttempt::Smtp {
                connection: hosts.get(usize::from(host))?,
                helo,
            })),
            Probe::Dns {
                connection,
                name,
                record,
            } => Some(Attempt::Datagram(DatagramAttempt::Dns {
                connection,
                name,
                record: *record,
            })),
            Probe::Udp(probe) => Some(Attempt::Datagram(DatagramAttempt::Udp(probe))),
            Probe::Ping(connection) => Some(Attempt::Datagram(DatagramAttempt::Ping(connection))),
            Probe::Bfd { .. } | Probe::File(_) | Probe::Misc { .. } => None,
        }
    }

    /// Which host of an `SMTP_CHECK` its current run talks to; 0 for every other check.
    #[must_use]
    pub fn host(&self, checker: CheckerId) -> u16 {
        match self.entries.get(&checker).map(|entry| entry.slot) {
            Some(Slot::Running { host, .. }) => host,
            Some(Slot::Waiting(_) | Slot::Suspended | Slot::Told | Slot::Sharing { .. }) | None => {
                0
            }
        }
    }

    /// The configuration in force.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The configurations of all checkers.
    pub fn all(&self) -> impl Iterator<Item = &Checker> {
        self.entries.values().map(|entry| &entry.config)
    }

    /// The configuration of a checker.
    #[must_use]
    pub fn checker(&self, checker: CheckerId) -> Option<&Checker> {
        self.entries.get(&checker).map(|entry| &entry.config)
    }

    /// What is known of a checker now.
    #[must_use]
    pub fn state(&self, checker: CheckerId) -> Option<State<'_>> {
        let entry = self.entries.get(&checker)?;
        Some(State {
            checker: &entry.config,
            up: entry.health.up,
            has_run: entry.health.has_run,
            weight: entry.weight,
            attempts: entry.attempts,
            failed_attempts: entry.failed_attempts,
            last_duration: entry.last_duration,
            shared: matches!(entry.slot, Slot::Sharing { .. }),
        })
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
        self.share = configuration.share;
        let resume: BTreeMap<CheckerId, CheckerSnapshot> = configuration
            .resume
            .into_iter()
            .map(|snapshot| (snapshot.id, snapshot))
            .collect();
        let kept = configuration.kept;
        let mut changed = BTreeMap::new();
        if kept.is_empty() {
            changed = std::mem::take(&mut self.entries);
        } else {
            let ids: Vec<CheckerId> = self.entries.keys().copied().collect();
            for id in ids.into_iter().filter(|id| !kept.contains(id)) {
                changed.extend(self.entries.remove_entry(&id));
            }
        }
        let mut entries = Vec::with_capacity(configuration.checkers.len());
        for config in configuration.checkers {
            let id = config.id;
            let entry = match changed.remove(&id) {
                Some(entry) => self.kept(entry, config, now),
                None => {
                    let first_wait = FIRST_RUN.saturating_add(self.rng.below(config.timing.warmup));
                    let at = now.saturating_add(first_wait);
                    let entry = match resume.get(&id) {
                        Some(snapshot) => Entry::resumed(config, snapshot, now, at),
                        None => Entry::new(config, at_start, at),
                    };
                    if let Slot::Waiting(at) = entry.slot {
                        self.due.insert((at, id));
                    }
                    entry
                }
            };
            entries.push((id, entry));
        }
        if self.entries.is_empty() {
            // Made at once the map is filled to the last place; grown one by one, half of it.
            self.entries = entries.into_iter().collect();
        } else {
            self.entries.extend(entries);
        }
        for (id, entry) in changed {
            self.forget(id, entry.slot);
        }
        self.regroup(now);
    }

    /// Fits an entry to its new configuration. When it does something else now, what runs is dropped
    /// and it runs at once.
    fn kept(&mut self, mut entry: Entry, config: Checker, now: Instant) -> Entry {
        if entry.config.probe != config.probe && entry.slot != Slot::Suspended {
            self.forget(config.id, entry.slot);
            entry.slot = Slot::first(&config.probe, now);
            if let Slot::Waiting(at) = entry.slot {
                self.due.insert((at, config.id));
            }
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
            Slot::Suspended | Slot::Told | Slot::Sharing { .. } => {}
            Slot::Running { run, answer_by, .. } => {
                self.running = self.running.saturating_sub(1);
                if let Some(at) = answer_by {
                    self.answers.remove(&(at, id));
                }
                self.actions.push_back(Action::Cancel { run });
            }
        }
    }

    /// Stops the checkers of the set, and lets every other one run: those that did not are spread over
    /// their `warmup`, as at a start.
    fn suspend(&mut self, suspended: &BTreeSet<CheckerId>, now: Instant) {
        let mut stopped = Vec::new();
        for (id, entry) in &mut self.entries {
            if entry.slot == Slot::Told {
                continue;
            }
            match (entry.slot == Slot::Suspended, suspended.contains(id)) {
                (false, true) => {
                    stopped.push((*id, entry.slot));
                    entry.slot = Slot::Suspended;
                }
                (true, false) => {
                    let wait = self.rng.below(entry.config.timing.warmup);
                    // It runs then, unless an identical one does.
                    let next = now.saturating_add(wait);
                    entry.slot = Slot::Sharing { next };
                }
                (true, true) | (false, false) => {}
            }
        }
        for (id, slot) in stopped {
            self.forget(id, slot);
        }
        self.regroup(now);
    }

    /// Takes what the VRRP process says of a session: there are no retries.
    fn reach(&mut self, session: TrackerId, reach: Reach, now: Instant) {
        let followers = self.entries.iter_mut().filter_map(|(id, entry)| {
            let Probe::Bfd { session: of, name } = &entry.config.probe else {
                return None;
            };
            (*of == session).then(|| (*id, name.clone()))
        });
        for (id, name) in followers.collect::<Vec<_>>() {
            match reach {
                // Neither good nor bad yet.
                Reach::Untried => {}
                Reach::Up => self.result(id, Ok(None), now),
                Reach::Down => self.result(id, Err(Failure::SessionDown(name)), now),
            }
        }
    }

    /// Takes the number in a file: there are no retries.
    fn number(&mut self, file: TrackerId, number: i32, now: Instant) {
        let followers = self.entries.iter().filter_map(|(id, entry)| {
            let Probe::File(probe) = &entry.config.probe else {
                return None;
            };
            let result = match probe.judge(number) {
                FileVerdict::Good(weight) => Ok(weight),
                FileVerdict::Bad => Err(Failure::Number {
                    file: probe.name.clone(),
                    number,
                }),
            };
            (probe.file == file).then_some((*id, result))
        });
        for (id, result) in followers.collect::<Vec<_>>() {
            self.result(id, result, now);
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
                Probe::Tcp(_)
                | Probe::Http(_)
                | Probe::Smtp { .. }
                | Probe::Dns { .. }
                | Probe::Udp(_)
                | Probe::Bfd { .. }
                | Probe::File(_)
                | Probe::Ping(_) => (Action::Start { checker: id, run }, None),
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

    /// Reports checks that wait for others to end, at most once a minute.
    fn complain(&mut self, now: Instant) {
        let Some(&(due, _)) = self.due.first() else {
            return;
        };
        let late = now.since(due);
        let quiet = self
            .complained
            .is_some_and(|last| now.since(last) < COMPLAINT_INTERVAL);
        if late >= LATE && !quiet {
            self.complained = Some(now);
            self.actions.push_back(Action::Overloaded {
                running: self.running,
                late,
            });
        }
    }

    fn expire_answers(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.answers.first() {
            if at > now {
                return;
            }
            // Whoever runs it ends it in time and says so: that it says nothing is no fault of the server.
            self.unable(id, program_fault("nobody said in time how it ended"), now);
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
            Outcome::Failed(failure) => {
                let failure = match entry.place() {
                    Some(place) => Failure::At {
                        place,
                        failure: Box::new(failure),
                    },
                    None => failure,
                };
                self.result(id, Err(failure), now);
            }
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
            ScriptOutcome::NotTried => {
                let reason = "this host lacks descriptors, memory or processes";
                return self.unable(id, program_fault(reason), now);
            }
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
        if let Slot::Running { started, .. } = entry.slot {
            entry.last_duration = Some(now.since(started));
        }
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
        let health = entry.health;
        let verdict = (effect.news || (weight_changed && health.has_run)).then(|| entry.verdict());
        // Told once more to those who share it, which are few if any.
        let shared = self.sharers.contains_key(&id).then(|| result.clone());
        let event = news_of(entry, was, result, (effect.news, weight_changed));
        // The reason before its consequences, as it shall stand in the log.
        if let Some(event) = event {
            self.actions.push_back(Action::Log { checker: id, event });
        }
        self.wait(id, delay, now);
        // A successor that did not know of a verdict would take it back.
        self.publish(id, now);
        if let Some(verdict) = verdict {
            self.actions.push_back(Action::Verdict {
                generation: self.generation,
                verdict,
            });
        }
        if let Some(result) = shared {
            self.tell_sharers(id, &result, now);
        }
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

/// What the operator is told of a result that changed an entry, which `was` so before.
fn news_of(
    entry: &Entry,
    was: Health,
    result: Result<Option<Weight>, Failure>,
    (news, weight_changed): (bool, bool),
) -> Option<Event> {
    let Entry {
        config,
        health,
        weight,
        ..
    } = entry;
    let log_all = config.log_all_failures;
    match result {
        Ok(_) if news => Some(Event::Up {
            recovered: !was.up && was.has_run,
        }),
        Ok(_) => weight_changed.then_some(Event::Weight(*weight)),
        Err(failure) if news => Some(Event::Down(failure)),
        Err(failure) if log_all && health.up => {
            let all = config.timing.retry.saturating_add(1);
            let left = all.saturating_sub(health.failures);
            Some(Event::Retrying { failure, left })
        }
        Err(failure) if log_all => Some(Event::StillDown(failure)),
        Err(_) => None,
    }
}

/// The next multiple of [`GATHER`].
fn gathered(at: Instant) -> Instant {
    next_in_step(Instant::ZERO, GATHER, at)
}

fn program_fault(reason: &str) -> LocalFault {
    LocalFault {
        step: LocalStep::Program,
        error: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
