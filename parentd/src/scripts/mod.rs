//! The operator's scripts: who runs them, whether they may be trusted, in which order they run, and what
//! became of them.

mod prepared;
pub(crate) mod queue;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use kr_event::EventLoop;
use kr_host::runner::{HandedRun, Launch, Purpose, Runner, command_line, environment};
use kr_model::global::DaemonScript;
use kr_model::script::ScriptOutcome;
use kr_model::{CheckerId, Instant, ScriptId, TrackerId};
use kr_sys::handover::Kept;
use kr_sys::spawn::Program;
use mio::Token;
use serde::{Deserialize, Serialize};

use crate::fifos::Reader;
pub(crate) use crate::scripts::prepared::Prepared;
use crate::scripts::queue::{HandedQueue, Input, Job, Object, Queue};

/// Time for scripts that are started while the daemon stops.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(1);

/// From the end of that time to the end of what still runs: after `SIGTERM`.
pub(crate) const STOP_GRACE: Duration = Duration::from_millis(500);

/// A run that ended whose result somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnded {
    /// Of a `MISC_CHECK`.
    Check(CheckEnded),
    /// Of a `vrrp_script`.
    Track {
        /// The tracked script.
        tracker: TrackerId,
        /// Its number for the run.
        run: u64,
        /// How it ended.
        outcome: ScriptOutcome,
    },
}

/// A `MISC_CHECK` run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckEnded {
    /// The checker.
    pub(crate) checker: CheckerId,
    /// Its number for the run.
    pub(crate) run: u64,
    /// How it ended.
    pub(crate) outcome: ScriptOutcome,
}

/// Runs the scripts of the configuration in force.
#[derive(Debug)]
pub(crate) struct Scripts {
    prepared: Prepared,
    queue: Queue,
    runner: Runner,
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
    /// `startup_script` or `shutdown_script`.
    daemon_script_runs: bool,
    stopping: bool,
}

/// Everything that runs and waits, for the next program of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedScripts {
    runs: Vec<HandedRun>,
    queue: HandedQueue,
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
}

impl Scripts {
    /// What runs and waits. A daemon that starts or stops has nothing to hand over.
    pub(crate) fn hand_over(&self, kept: &mut Kept) -> HandedScripts {
        HandedScripts {
            runs: self.runner.hand_over(kept),
            queue: self.queue.hand_over(),
            readers: self.readers.clone(),
            next_reader: self.next_reader,
        }
    }

    /// Goes on with what the program before was doing.
    ///
    /// # Errors
    /// When a descriptor is missing or cannot be watched.
    pub(crate) fn take_over(
        &mut self,
        handed: HandedScripts,
        events: &EventLoop,
    ) -> io::Result<()> {
        self.queue = Queue::take_over(handed.queue);
        self.readers = handed.readers;
        self.next_reader = handed.next_reader;
        self.runner.take_over(handed.runs, events)
    }

    /// Nothing runs yet; runs use tokens from `first_token` on.
    pub(crate) fn new(prepared: Prepared, first_token: usize) -> Self {
        Self {
            prepared,
            queue: Queue::default(),
            runner: Runner::new(first_token),
            readers: BTreeMap::new(),
            next_reader: 0,
            daemon_script_runs: false,
            stopping: false,
        }
    }

    /// Takes the scripts of a new configuration. Those that run go on, except checks of checkers that
    /// `wanted` does not know.
    pub(crate) fn replace(
        &mut self,
        prepared: Prepared,
        wanted: impl Fn(CheckerId) -> bool,
        now: Instant,
    ) {
        self.prepared = prepared;
        self.runner.abandon(wanted, now);
    }

    /// An object has a new state: its scripts run in this order, after those of its state before.
    pub(crate) fn notify(
        &mut self,
        object: Object,
        jobs: Vec<Job>,
        events: &EventLoop,
        now: Instant,
    ) {
        if !jobs.is_empty() {
            self.queue.handle(Input::NewState(object, jobs), now);
            self.start_queued(events, now);
        }
    }

    /// Runs the program of a `MISC_CHECK`. An older run of the same checker is ended. `Some` when it
    /// could not be started.
    pub(crate) fn check(
        &mut self,
        checker: CheckerId,
        run: u64,
        script: ScriptId,
        limit: Duration,
        events: &EventLoop,
        now: Instant,
    ) -> Option<CheckEnded> {
        self.runner.abandon(|other| other != checker, now);
        let purpose = Purpose::Check { checker, run };
        let started = self.start(
            script,
            &[],
            purpose,
            Some(now.saturating_add(limit)),
            events,
        );
        started.err().map(|outcome| CheckEnded {
            checker,
            run,
            outcome,
        })
    }

    /// Runs the program of a `vrrp_script`.
    ///
    /// # Errors
    /// When it could not be started, or not now.
    pub(crate) fn track(
        &mut self,
        tracker: TrackerId,
        run: u64,
        script: ScriptId,
        until: Instant,
        events: &EventLoop,
    ) -> Result<(), ScriptOutcome> {
        let purpose = Purpose::Track { tracker, run };
        self.start(script, &[], purpose, Some(until), events)
    }

    /// Ends the runs of tracked scripts that are tracked no more.
    pub(crate) fn abandon_tracked(&mut self, wanted: impl Fn(TrackerId) -> bool, now: Instant) {
        self.runner.abandon_tracked(wanted, now);
    }

    /// Starts the programs that read FIFOs, as far as they do not run already. Those of other FIFOs find
    /// theirs closed, and have [`STOP_LIMIT`] to end.
    pub(crate) fn read_fifos(&mut self, wanted: &[Reader], events: &EventLoop, now: Instant) {
        for run in self.readers.keys().copied().collect::<Vec<_>>() {
            if self
                .readers
                .get(&run)
                .is_some_and(|reader| !wanted.contains(reader))
            {
                self.readers.remove(&run);
                self.runner
                    .limit_reader(run, now.saturating_add(STOP_LIMIT));
            }
        }
        for reader in wanted {
            if self.readers.values().any(|running| running == reader) {
                continue;
            }
            self.next_reader = self.next_reader.saturating_add(1);
            let run = self.next_reader;
            let path = reader.path.to_string_lossy().into_owned();
            let purpose = Purpose::Reader { run };
            let started = self.start(reader.script, &[path], purpose, None, events);
            if started.is_ok() {
                self.readers.insert(run, reader.clone());
            }
        }
    }

    /// Runs the `startup_script` or the `shutdown_script`.
    pub(crate) fn run_daemon_script(
        &mut self,
        script: DaemonScript,
        events: &EventLoop,
        now: Instant,
    ) {
        let until = Some(now.saturating_add(script.limit));
        let started = self.start(script.script, &[], Purpose::Daemon, until, events);
        self.daemon_script_runs = started.is_ok();
    }

    /// This process lacked the processor for so long: what runs has as much more time.
    pub(crate) fn stalled(&mut self, time: Duration) {
        self.runner.stalled(time);
    }

    /// True while that runs.
    pub(crate) const fn daemon_script_runs(&self) -> bool {
        self.daemon_script_runs
    }

    /// Ends all runs of checks: their process is gone.
    pub(crate) fn abandon_checks(&mut self, now: Instant) {
        self.runner.abandon(|_| false, now);
    }

    /// Collects a script whose token is ready.
    pub(crate) fn collect(
        &mut self,
        token: Token,
        events: &EventLoop,
        now: Instant,
    ) -> Option<RunEnded> {
        match self.runner.collect(token)? {
            (Purpose::Notify { run }, _) => {
                self.queue.handle(Input::Ended(run), now);
                self.start_queued(events, now);
                None
            }
            (Purpose::Check { checker, run }, outcome) => Some(RunEnded::Check(CheckEnded {
                checker,
                run,
                outcome,
            })),
            (Purpose::Track { tracker, run }, outcome) => Some(RunEnded::Track {
                tracker,
                run,
                outcome,
            }),
            (Purpose::Daemon, _) => {
                self.daemon_script_runs = false;
                None
            }
            (Purpose::Reader { run }, _) => {
                self.readers.remove(&run);
                None
            }
            (Purpose::Abandoned, _) => None,
        }
    }

    /// The daemon stops: whatever runs or is started now has [`STOP_LIMIT`], so that a script that hangs
    /// does not keep those of the last state from running. Readers of FIFOs have last lines to read.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.abandon_checks(now);
        let limited = |purpose| !matches!(purpose, Purpose::Reader { .. });
        self.runner.limit(now.saturating_add(STOP_LIMIT), limited);
    }

    /// Every process that could start a script is gone: what runs has [`STOP_LIMIT`] from now.
    pub(crate) fn limit_all(&mut self, now: Instant) {
        self.runner.limit(now.saturating_add(STOP_LIMIT), |_| true);
    }

    /// Kills what still runs.
    pub(crate) fn kill_all(&mut self) {
        self.runner.kill_all();
    }

    /// True when no script runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.runner.is_idle()
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let both = [self.queue.poll_timeout(), self.runner.poll_timeout()];
        both.into_iter().flatten().min()
    }

    /// Serves deadlines that have passed.
    pub(crate) fn handle_timeout(&mut self, events: &EventLoop, now: Instant) {
        self.runner.handle_timeout(now);
        self.queue.handle_timeout(now);
        self.start_queued(events, now);
    }

    fn start_queued(&mut self, events: &EventLoop, now: Instant) {
        while let Some(start) = self.queue.poll_action() {
            if start.overtakes {
                log::warn!("a notify script does not end: running that of the new state beside it");
            }
            let purpose = Purpose::Notify { run: start.run };
            let until = self.stopping.then(|| now.saturating_add(STOP_LIMIT));
            let Job { script, appended } = start.job;
            let started = self.start(script, &appended, purpose, until, events);
            if started.is_err() {
                self.queue.handle(Input::Ended(start.run), now);
            }
        }
    }

    /// Starts a script, or says in the log why not and returns as what that counts.
    fn start(
        &mut self,
        script: ScriptId,
        appended: &[String],
        purpose: Purpose,
        until: Option<Instant>,
        events: &EventLoop,
    ) -> Result<(), ScriptOutcome> {
        let Some(runnable) = self.prepared.get(script) else {
            // Said when the configuration was loaded.
            log::debug!("script {script} cannot run, see the findings of the configuration");
            return Err(ScriptOutcome::NotStarted);
        };
        let (path, arguments) = (runnable.path(), runnable.arguments(appended));
        let name = format!("script `{}`", command_line(path, &arguments));
        let file = match self.prepared.open(runnable) {
            Ok(file) => file,
            Err(trouble) if trouble.is_shortage() => {
                log::error!("{name} cannot be started now: {trouble}");
                return Err(ScriptOutcome::NotTried);
            }
            Err(trouble) => {
                log::error!("{name} does not run: {trouble}; {}", trouble.mend());
                return Err(ScriptOutcome::NotStarted);
            }
        };
        let program = match Program::new(path, &arguments, &environment()) {
            Ok(program) => program,
            Err(error) => {
                log::error!("{name} cannot be started: {error}");
                return Err(ScriptOutcome::NotStarted);
            }
        };
        let launch = Launch {
            program: &program,
            file: Some(file.as_fd()),
            no_new_privileges: self.prepared.no_new_privileges(),
            read_only: self.prepared.read_only(),
            identity: runnable.identity(),
            name: &name,
            purpose,
            until,
        };
        self.runner.start(&launch, events).map_err(|error| {
            log::error!("{name} cannot be started now: {error}");
            ScriptOutcome::NotTried
        })
    }
}
